/* net/attributes: POST /v1/attributes: what a citizen lets a partner have of what the register holds about him.
 *
 *   request -> policy -> look the person up -> check his signature -> is the consent on record?
 *                                                | not yet: CONSENT_GIVEN to the writer, durable
 *                                                | yes: the same, and in force
 *                                                v
 *                                              the attributes
 *
 * What leaves was asked for, is in the consent, and is permitted to this partner for this purpose. Everything is
 * looked at at every use: the signature by a device that is his now and was when it was signed, without a break, his
 * account, the time, the record, which says whether the consent was revoked and is of this content.
 * The request alone decides about 400 and what the policy refuses. All else is the one refusal, whoever the id names
 * (nobody, somebody dead, locked, without such a device or such a consent), and takes the same: a lookup of both parts
 * of a record, a signature checked with his key or a stand-in, a look at the consents on record. A key of another kind
 * than the stand-in (Ed25519: some us more) can be told by time, as at POST /v1/authenticate.
 */
#include "net/attributes.h"

#include "core/assurance.h"
#include "core/consent.h"
#include "crypto/holder_key.h"
#include "net/caller.h"
#include "net/deferred.h"
#include "net/exchange.h"
#include "net/route.h"

_Static_assert(XT_ANSWER_HEAD_MAX + XT_ATTRIBUTES_ANSWER_MAX <= XT_OUTPUT_MAX, "every answer fits");
_Static_assert(XT_ATTRIBUTES_ANSWER_MAX <= XT_VERIFY_ARENA, "it is written there");
_Static_assert(XT_CONSENT_ARENA <= XT_VERIFY_ARENA, "and read there");
_Static_assert((XT_CONSENT_LIFETIME_MAX_S + XT_CONSENT_LEEWAY_S) * 1000 <= XT_LIVE_CONSENT_MOST_MS,
               "the writer takes the longest");

/* What a consent is used for: while the writer records it in a deferred's memory. */
struct use {
    struct xt_id subject;   /* the person whom the id names, or of nobody the id */
    uint32_t asked, agreed; /* sets of XT_ATTRIBUTE_BIT: of the request, of the consent */
    uint64_t issued_ms, expires_ms;
    uint8_t handle[XT_CONSENT_HANDLE];
    char reference[XT_CONSENT_HANDLE_TEXT + 1];
    char purpose[XT_PURPOSE_NAME_MAX + 1];
    size_t device_size, key_size;
    enum xt_unlock unlocked_by; /* the device */
    uint8_t device_id[XT_DEVICE_ID_MAX], key[XT_ACCOUNT_KEY_MAX];
};
_Static_assert(sizeof(struct use) <= XT_DEFERRED_MEMORY, "it fits");

/* How things stand with a consent whose signature is right. */
enum standing {
    REFUSED,
    TOO_LOW, /* it counts, but for the level that the purpose asks for */
    FIRST,   /* it is not on record yet */
    COUNTS
};

/* The person, while one request is looked at, or its answer is written. Large. */
static struct xt_person person;

/* ---- looking ------------------------------------------------------------------------------------ */

/* XT_OK also for nobody; then *found is false, and person has no device. */
static enum xt_status look_up(const struct xt_call *call, const struct xt_register *people,
                              struct xt_id id, bool *found)
{
    struct xt_found at;
    enum xt_status status = xt_register_find(people, id, &at);
    *found = false;
    person.device_count = 0; /* what the one before has borrowed is gone */
    if (status != XT_OK) {
        return status;
    }
    bool hidden = at.by_alias && call->allowance->partner->without_old_numbers;
    if (!at.found || hidden) { /* another's is opened in its place */
        xt_register_stand_in(people, at.hot.number, &person);
        person.device_count = 0;
        return XT_OK;
    }
    *found = true;
    return xt_register_person(people, at.hot.number, &person);
}

/* Whether this key has signed it, with the algorithm that is the key's. XT_OK, or why it could not be checked. */
static enum xt_status check_signature(const struct xt_consent_text *consent, struct xt_span key,
                                      bool *right)
{
    struct xt_span used = key.size > 0 ? key : xt_holder_nobody();
    enum xt_holder_key kind = XT_HOLDER_P256;
    enum xt_status known = xt_holder_key_kind(used, &kind);
    enum xt_status status = xt_holder_verify(used, consent->signed_part, consent->signature);
    enum xt_jose_algorithm algorithm = kind == XT_HOLDER_P256 ? XT_JOSE_ES256 : XT_JOSE_EDDSA;
    *right = known == XT_OK && status == XT_OK && key.size > 0 && algorithm == consent->algorithm;
    /* XT_INVALID: a key of the register that is none. */
    return status == XT_DENIED || status == XT_INVALID ? XT_OK : status;
}

static bool is_same(const struct xt_consent *known, const struct use *use, const char *partner)
{
    return known->revoked_ms == 0 && known->attributes == use->agreed &&
           known->expires_ms == use->expires_ms && strcmp(known->partner, partner) == 0 &&
           strcmp(known->purpose, use->purpose) == 0;
}

/* Of a consent with a right signature, which `known` says is on record, or nothing (NULL). A device that was taken away
 * and came back has not signed what it signed before: by the phone's clock, and by ours once it is on record. */
static enum xt_status look_at_past(const struct xt_live *live, const struct use *use,
                                   const struct xt_consent *known, bool *counts)
{
    uint64_t since_ms = 0;
    bool barred = false;
    enum xt_status status = xt_live_device_since(live, use->subject.value,
                                                 xt_span_of(use->key, use->key_size), &since_ms);
    if (status == XT_OK) {
        status = xt_live_consent_is_barred(live, use->subject.value, use->handle, &barred);
    }
    *counts = !barred && use->issued_ms + XT_CONSENT_LEEWAY_S * 1000 >= since_ms &&
              (known == NULL || known->given_ms > since_ms);
    return status;
}

/* What the record says, and whether `person` and his device may still give anything. */
static enum xt_status look_at_record(struct xt_service *service, const struct use *use,
                                     const char *partner, enum standing *standing)
{
    struct xt_consent known;
    enum xt_status status = xt_live_consent(service->live, use->subject.value, use->handle, &known);
    bool first = status == XT_NOT_FOUND;
    const struct xt_device device =
        xt_person_device(&person, xt_span_of(use->device_id, use->device_size));
    bool may = xt_live_account_is_open(&person) &&
               xt_span_equal(device.public_key_der, xt_span_of(use->key, use->key_size)) &&
               device.unlocked_by == use->unlocked_by && service->unix_ms < use->expires_ms;
    bool counts = first || (status == XT_OK && is_same(&known, use, partner));
    if ((first || status == XT_OK) && use->key_size > 0) {
        bool still = false;
        status = look_at_past(service->live, use, first ? NULL : &known, &still);
        counts = counts && still;
    }
    *standing = !may || !counts ? REFUSED : first ? FIRST : COUNTS;
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void note_use(const struct use *use, struct xt_call *call)
{
    xt_call_note_subject(call, use->subject);
    call->entry.purpose = xt_span_of_string(use->purpose);
    call->entry.consent_ref = xt_span_of_string(use->reference);
    call->entry.attributes = use->asked;
}

static void refuse(struct xt_call *call, struct xt_answer *answer)
{
    xt_call_count_attempt(call, false);
    xt_call_refuse(call, XT_PROBLEM_CONSENT_REFUSED, NULL, answer);
}

/* Of the person at hand. */
static void give(const struct use *use, struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    char at[XT_TIMESTAMP], until[XT_TIMESTAMP];
    struct xt_writer writer = xt_writer_over(service->arena.memory, XT_ATTRIBUTES_ANSWER_MAX);
    xt_timestamp_format(service->unix_ms, at);
    xt_timestamp_format(use->expires_ms, until);
    xt_write_literal(&writer, "{\"answer_id\":\"");
    xt_write(&writer, call->answer_id, XT_ANSWER_ID);
    xt_write_literal(&writer, "\",\"answered_at\":\"");
    xt_write(&writer, at, sizeof(at));
    xt_write_literal(&writer, "\",\"consent_ref\":\"");
    xt_write_string(&writer, use->reference);
    xt_write_literal(&writer, "\",\"expires_at\":\"");
    xt_write(&writer, until, sizeof(until));
    xt_write_literal(&writer, "\",\"attributes\":");
    xt_attributes_write(&person, use->asked, &writer);
    xt_write_byte(&writer, '}');
    xt_require(!writer.overflow);
    call->entry.given = xt_attributes_held(&person, use->asked);
    xt_call_count_attempt(call, true);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

static void fail(struct xt_call *call, enum xt_status status, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    service->live_failed |= status == XT_IO;
    xt_service_log_damage(service, status, call->answer_id, call->request->traceparent);
    xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
}

/* The partner is as he was when he asked, as far as this needs him. */
static bool may_still(const struct xt_call *call, const struct use *use)
{
    const struct xt_partner *partner = call->allowance->partner;
    uint32_t denied;
    return partner->active && (partner->rights & XT_RIGHT_ATTRIBUTES) != 0 &&
           xt_policy_attributes(partner, xt_span_of_string(use->purpose), use->asked, &denied) ==
               XT_ALLOW;
}

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    note_use(deferred->memory, call);
    xt_deferred_note(deferred, XT_ACCOUNT_CONSENT_GIVEN, call);
}

/* It is on record now, by this request or by another at the same time. Since then anything may have changed. */
static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    const struct use *use = deferred->memory;
    struct xt_service *service = call->service;
    struct xt_register people;
    enum standing standing = REFUSED;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    enum xt_conflict conflict =
        deferred->status == XT_DENIED ? deferred->outcome.conflict : XT_CONFLICT_NONE;
    if (conflict == XT_CONFLICT_TOO_MANY) {
        xt_call_refuse(call, XT_PROBLEM_TOO_MANY, NULL, answer);
        return;
    }
    if (conflict != XT_CONFLICT_NONE && conflict != XT_CONFLICT_CONSENT_KNOWN) {
        refuse(call, answer);
        return;
    }
    if (call->allowance == NULL || !may_still(call, use)) {
        xt_call_refuse(call, XT_PROBLEM_PARTNER_INACTIVE, NULL, answer);
        return;
    }
    enum xt_status status =
        service->generation == NULL ? XT_BUSY : xt_service_accounts(service, &people);
    if (status == XT_OK) {
        status = xt_register_person(&people, use->subject.value, &person);
    }
    if (status == XT_OK) {
        status = look_at_record(service, use, deferred->partner, &standing);
    }
    if (status != XT_OK && status != XT_NOT_FOUND) {
        fail(call, status, answer);
    } else if (standing != COUNTS) {
        refuse(call, answer);
    } else {
        give(use, call, answer);
    }
}

/* ---- the request -------------------------------------------------------------------------------- */

static void send_consent(struct xt_deferred *deferred, const struct xt_live *live)
{
    const struct use *use = deferred->memory;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = XT_ACCOUNT_CONSENT_GIVEN,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = use->subject,
                                    .expires_ms = use->expires_ms,
                                    .partner = xt_span_of_string(deferred->partner),
                                    .purpose = xt_span_of_string(use->purpose),
                                    .attributes = use->agreed,
                                    .proof = {.factors = XT_FACTOR_DEVICE_KEY}};
    memcpy(told.id, use->handle, sizeof(told.id));
    xt_live_proof_device(live, xt_span_of(use->key, use->key_size), use->unlocked_by, &told.proof);
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

/* What the citizen has signed is on record before anything leaves. */
static void record(const struct use *use, struct xt_call *call, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct use), finish, note, NULL};
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred != NULL) {
        deferred->room = XT_ATTRIBUTES_ANSWER_MAX;
        memcpy(deferred->memory, use, sizeof(*use));
        send_consent(deferred, call->service->live);
    }
}

static void begin_use(const struct xt_attributes_request *request,
                      const struct xt_consent_text *consent, struct use *use)
{
    memset(use, 0, sizeof(*use));
    use->subject = request->id;
    use->asked = request->attributes;
    use->agreed = consent->attributes;
    use->issued_ms = (uint64_t)consent->issued_s * 1000;
    use->expires_ms = (uint64_t)consent->expires_s * 1000;
    memcpy(use->handle, consent->handle, sizeof(use->handle));
    memcpy(use->reference, consent->handle_text, sizeof(use->reference));
    memcpy(use->purpose, request->purpose.data, request->purpose.size);
    memcpy(use->device_id, consent->device_id.data, consent->device_id.size);
    use->device_size = consent->device_id.size;
}

/* By the request alone: what the consent says is what is asked for, by whom, and now. */
static bool fits(const struct xt_call *call, const struct xt_attributes_request *request,
                 const struct xt_consent_text *consent)
{
    return xt_span_is(consent->partner, call->allowance->partner->name) &&
           xt_span_equal(consent->purpose, request->purpose) &&
           (request->attributes & ~consent->attributes) == 0 &&
           xt_consent_is_in_time(consent, (int64_t)(call->service->unix_ms / 1000));
}

/* A consent is one factor, and what unlocks it. */
static unsigned level_of(enum xt_unlock unlocked_by)
{
    struct xt_assurance assurance;
    xt_assurance_of(XT_FACTOR_DEVICE_KEY, unlocked_by, &assurance);
    return assurance.level;
}

static unsigned least_level(const struct xt_call *call, const struct xt_attributes_request *request)
{
    return xt_partner_purpose(call->allowance->partner, request->purpose)->least_level;
}

/* The same is done whoever it is about. */
static enum xt_status look(struct xt_call *call, const struct xt_attributes_request *request,
                           const struct xt_consent_text *consent, struct use *use,
                           enum standing *standing)
{
    struct xt_service *service = call->service;
    struct xt_register people;
    bool found = false, right = false;
    enum xt_status status = xt_service_accounts(service, &people);
    if (status == XT_OK) {
        status = look_up(call, &people, request->id, &found);
    }
    if (status != XT_OK) {
        return status;
    }
    const struct xt_device device = xt_person_device(&person, consent->device_id);
    struct xt_span key = device.public_key_der;
    status = check_signature(consent, key, &right);
    if (found) {
        use->subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = person.number};
    }
    if (right) {
        memcpy(use->key, key.data, key.size);
        use->key_size = key.size;
        use->unlocked_by = device.unlocked_by;
    }
    if (status == XT_OK) {
        status = look_at_record(service, use, call->allowance->partner->name, standing);
    }
    if (!found || !right || !fits(call, request, consent)) {
        *standing = REFUSED;
    }
    if (*standing != REFUSED && level_of(use->unlocked_by) < least_level(call, request)) {
        *standing = TOO_LOW;
    }
    return status;
}

static void answer_request(struct xt_call *call, const struct xt_attributes_request *request,
                           const struct xt_consent_text *consent, struct xt_answer *answer)
{
    static struct use use; /* its texts stand in the call's entry until that is written */
    enum standing standing = REFUSED;
    begin_use(request, consent, &use);
    enum xt_status status = look(call, request, consent, &use, &standing);
    note_use(&use, call);
    if (status != XT_OK) {
        fail(call, status, answer);
    } else if (standing == REFUSED) {
        refuse(call, answer);
    } else if (standing == TOO_LOW) {
        xt_call_count_attempt(call, true);
        xt_call_refuse(call, XT_PROBLEM_LEVEL_TOO_LOW, NULL, answer);
    } else if (standing == FIRST) {
        record(&use, call, answer);
    } else {
        give(&use, call, answer);
    }
}

static enum xt_problem point_at(const char *pointer, enum xt_problem problem,
                                struct xt_request_errors *errors)
{
    struct xt_request_error *error = &errors->list[errors->count++];
    error->code = "not_permitted";
    memcpy(error->pointer, pointer, strlen(pointer) + 1);
    return problem;
}

/* What the policy has against it: by the request alone, whoever it is about. */
static enum xt_problem judge(const struct xt_partner *partner,
                             const struct xt_attributes_request *request,
                             struct xt_request_errors *errors)
{
    uint32_t denied = 0;
    enum xt_decision decision =
        xt_policy_attributes(partner, request->purpose, request->attributes, &denied);
    if (decision != XT_ALLOW) {
        return point_at(decision == XT_DENY_PURPOSE ? "/purpose" : "/attributes",
                        xt_problem_of_decision(decision), errors);
    }
    return xt_partner_purpose(partner, request->purpose)->least_level >
                   xt_assurance_most(XT_FACTOR_DEVICE_KEY)
               ? point_at("/purpose", XT_PROBLEM_LEVEL_TOO_LOW, errors)
               : XT_PROBLEM_NONE;
}

static bool is_ready(const struct xt_service *service)
{
    return service->generation != NULL && service->live != NULL && service->deferred != NULL;
}

void xt_handle_attributes(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_attributes_request request;
    struct xt_consent_text consent;
    struct xt_request_errors errors;
    const struct xt_partner *partner =
        xt_call_begin_json(call, XT_RIGHT_ATTRIBUTES, XT_AUTHENTICATE_BODY_MAX, answer);
    if (partner == NULL) {
        return;
    }
    enum xt_status status = xt_attributes_request_from_json(
        call->request->body, call->request->body_size, service->arena, &request, &errors);
    if (status == XT_OK) {
        status = xt_consent_read(request.consent, service->arena, &consent);
        if (status != XT_OK) {
            errors.list[errors.count++] =
                (struct xt_request_error){.pointer = "/consent", .code = "bad_consent"};
        }
    }
    if (status != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        return;
    }
    xt_call_note_subject(call, request.id);
    call->entry.purpose = request.purpose;
    call->entry.attributes = request.attributes;
    enum xt_problem problem = judge(partner, &request, &errors);
    if (problem != XT_PROBLEM_NONE) {
        xt_call_refuse(call, problem, &errors, answer);
    } else if (!is_ready(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else if (xt_call_take_quota(call, request.id, answer)) {
        answer_request(call, &request, &consent, answer);
    }
}
