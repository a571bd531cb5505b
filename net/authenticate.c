/* net/authenticate: POST /v1/authenticate: is this person here, now?
 *
 *   request -> look the person up -> check each factor -> [passcode: a thread] -> ATTEMPT to the writer -> token, or
 *                                                                                the one refusal
 *
 * What the worker finds only counts where the writer lets it: failures in a row, locks, challenges used before are
 * decided there, in the order of attempts (store/live_account).
 * What a level hangs on is partly his: the device's record says whether a biometric unlocks its key (core/assurance). The
 * request alone decides about what no device makes enough; that his is not enough is only told to who has passed.
 * Whoever the id names (nobody, somebody dead, locked, throttled, without such a device) the same is done: a
 * lookup of both parts of a record, a MAC of each challenge, a signature checked with his key or a stand-in, a
 * hash compared with his or with nobody's, one attempt made durable. Which factors there are the partner chooses.
 * What holds a passcode is answered at the next step of passcode.answer_step, whatever came of it: hashes of other
 * costs than are set (until their next success) take another time.
 * A key of another kind than the stand-in (Ed25519: some us more) and a replaced number (store/generation) can be
 * told by time.
 */
#include "core/authenticate.h"
#include "core/assurance.h"
#include "crypto/challenge.h"
#include "crypto/holder_key.h"
#include "net/caller.h"
#include "net/deferred.h"
#include "net/hashing.h"
#include "net/rehash.h"
#include "net/route.h"
#include "net/token_answer.h"
#include "store/live_account.h"

#define PASSCODE 0 /* numbers of the bits of enum xt_factor */
#define DEVICE_KEY 1
#define CARD_CHIP 2

_Static_assert(XT_SIGNATURE_BYTES == XT_HOLDER_SIGNATURE, "core/authenticate reads them");
_Static_assert(XT_CHALLENGE_NONCE == XT_ACCOUNT_ID, "the writer takes them");

/* Between the request and its answer: in a deferred's memory. */
struct attempt {
    struct xt_id subject; /* the person whom the id names, or of nobody the id */
    struct xt_account_proof proof;
    unsigned least_level;    /* that the purpose asks for */
    bool passed;             /* so far */
    bool outdated;           /* his passcode's hash is to be made anew, if he passes */
    struct xt_rehash rehash; /* .. then */
    uint8_t certificate[XT_SHA256];
    char audience[XT_TOKEN_TEXT_MAX + 1], purpose[XT_PURPOSE_NAME_MAX + 1];
};

_Static_assert(sizeof(struct attempt) <= XT_DEFERRED_MEMORY, "it fits");

/* What somebody has to show; empty: nothing. Borrowed until the next lookup. */
struct held {
    bool found;
    uint64_t number;
    struct xt_device device;
    struct xt_span card, phc;
    bool card_is_valid;
};

/* ---- the person --------------------------------------------------------------------------------- */

static enum xt_status look_up(const struct xt_call *call, const struct xt_register *people,
                              const struct xt_authenticate_request *request, struct held *held)
{
    static struct xt_person person; /* large; one request at a time */
    struct xt_found found;
    *held = (struct held){.found = false};
    enum xt_status status = xt_register_find(people, request->id, &found);
    if (status != XT_OK) {
        return status;
    }
    bool hidden = found.by_alias && call->allowance->partner->without_old_numbers;
    if (!found.found || hidden) { /* another's is opened in its place */
        xt_register_stand_in(people, found.hot.number, &person);
        return XT_OK;
    }
    status = xt_register_person(people, found.hot.number, &person);
    if (status != XT_OK) {
        return status;
    }
    held->found = true;
    held->number = person.number;
    held->device = xt_person_device(&person, request->device_id);
    held->card = person.card_public_key_der;
    held->card_is_valid =
        xt_card_answer(person.card_state,
                       person.card_has_expiry ? person.card_expires_on : XT_CARD_NO_EXPIRY,
                       call->service->today) == XT_CARD_ANSWER_VALID;
    held->phc = person.passcode_hash;
    return XT_OK;
}

/* ---- factors ------------------------------------------------------------------------------------ */

/* A challenge of ours for this request, used up by it; of another a nonce that nobody has stands in its place. */
static enum xt_status check_challenge(const struct xt_call *call,
                                      const struct xt_authenticate_request *request, unsigned bit,
                                      struct attempt *attempt)
{
    const struct xt_service *service = call->service;
    struct xt_challenge_scope scope = {.id = request->id,
                                       .factor = 1U << bit,
                                       .audience = request->audience,
                                       .partner = call->entry.partner};
    struct xt_challenge_use use;
    enum xt_status status = xt_challenge_check(service->keyring, &scope, service->unix_ms,
                                               request->challenges[bit], &use);
    if (status != XT_OK && status != XT_DENIED) {
        return status;
    }
    attempt->passed = attempt->passed && status == XT_OK;
    xt_account_proof_uses(&attempt->proof, use.nonce, use.until_ms);
    return XT_OK;
}

static struct xt_span or_nobody(struct xt_span key)
{
    return key.size > 0 ? key : xt_holder_nobody();
}

/* A signature over the challenge by this key. */
static enum xt_status check_key(const struct xt_call *call,
                                const struct xt_authenticate_request *request, unsigned bit,
                                struct xt_span key, bool counts, struct attempt *attempt)
{
    enum xt_status status = check_challenge(call, request, bit, attempt);
    if (status != XT_OK) {
        return status;
    }
    status = xt_holder_verify(or_nobody(key), request->challenges[bit], request->signatures[bit]);
    attempt->passed = attempt->passed && status == XT_OK && key.size > 0 && counts;
    /* XT_INVALID: a key of the register that is none. */
    return status == XT_DENIED || status == XT_INVALID ? XT_OK : status;
}

static enum xt_status check_factors(const struct xt_call *call,
                                    const struct xt_authenticate_request *request,
                                    const struct held *held, struct attempt *attempt)
{
    const struct xt_live *live = call->service->live;
    struct xt_account_proof *proof = &attempt->proof;
    enum xt_status status = XT_OK;
    attempt->passed = held->found;
    proof->factors = request->factors;
    if ((request->factors & XT_FACTOR_DEVICE_KEY) != 0) {
        struct xt_span key = held->device.public_key_der;
        status = check_key(call, request, DEVICE_KEY, key, true, attempt);
        xt_live_proof_device(live, or_nobody(key), held->device.unlocked_by, proof);
    }
    if (status == XT_OK && (request->factors & XT_FACTOR_CARD_CHIP) != 0) {
        status = check_key(call, request, CARD_CHIP, held->card, held->card_is_valid, attempt);
        xt_live_factor_digest(live, XT_FACTOR_CARD_CHIP, or_nobody(held->card),
                              proof->digests[CARD_CHIP]);
    }
    if ((request->factors & XT_FACTOR_PASSCODE) != 0) {
        xt_live_factor_digest(live, XT_FACTOR_PASSCODE, held->phc, proof->digests[PASSCODE]);
    }
    return status;
}

/* ---- the attempt -------------------------------------------------------------------------------- */

static void send_attempt(struct xt_deferred *deferred)
{
    const struct attempt *attempt = deferred->memory;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = XT_ACCOUNT_ATTEMPT,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = attempt->subject,
                                    .passed = attempt->passed,
                                    .proof = attempt->proof};
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

static void on_hashed(void *context, const struct xt_hashing_result *result)
{
    struct xt_deferred *deferred = context;
    struct attempt *attempt = deferred->memory;
    if (result->status != XT_OK && result->status != XT_DENIED) {
        xt_deferred_done(deferred, result->status); /* no attempt was made */
        return;
    }
    attempt->passed = attempt->passed && result->status == XT_OK;
    attempt->outdated = attempt->passed && result->outdated;
    send_attempt(deferred);
}

static enum xt_status compare_passcode(struct xt_service *service,
                                       const struct xt_authenticate_request *request,
                                       const struct held *held, struct xt_deferred *deferred)
{
    uint8_t pepper[XT_KEY_BYTES];
    xt_live_pepper(service->live, pepper);
    enum xt_status status = xt_hashing_verify(service->hashing, deferred->cell, pepper, held->phc,
                                              request->passcode, on_hashed, deferred);
    xt_wipe(pepper, sizeof(pepper));
    return status;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static bool can_authenticate(const struct xt_service *service)
{
    return service->keyring != NULL && service->deferred != NULL && service->hashing != NULL &&
           xt_oauth_can_give(service);
}

/* A better hash is not made before the writer has let him pass. */
static bool decided(struct xt_deferred *deferred, const struct xt_service *service)
{
    struct attempt *attempt = deferred->memory;
    if (!attempt->outdated || deferred->outcome.attempt != XT_ATTEMPT_PASSED) {
        return false;
    }
    attempt->rehash.deferred = deferred;
    attempt->rehash.number = attempt->subject.value;
    memcpy(attempt->rehash.digest, attempt->proof.digests[PASSCODE], XT_ACCOUNT_DIGEST);
    return xt_rehash_begin(&attempt->rehash, service);
}

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct attempt *attempt = deferred->memory;
    xt_call_note_subject(call, attempt->subject);
    call->entry.purpose = xt_span_of_string(attempt->purpose);
    xt_deferred_note(deferred, XT_ACCOUNT_ATTEMPT, call);
}

static bool is_enough(const struct attempt *attempt)
{
    struct xt_assurance assurance;
    xt_assurance_of(attempt->proof.factors, attempt->proof.unlocked_by, &assurance);
    return assurance.level >= attempt->least_level;
}

static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    const struct attempt *attempt = deferred->memory;
    struct xt_service *service = call->service;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    bool passed = deferred->status == XT_OK && deferred->outcome.attempt == XT_ATTEMPT_PASSED;
    xt_call_count_attempt(call, passed);
    if (!passed) {
        xt_call_refuse(call, XT_PROBLEM_AUTHENTICATION_FAILED, NULL, answer);
    } else if (call->allowance == NULL || !call->allowance->partner->active) {
        xt_call_refuse(call, XT_PROBLEM_PARTNER_INACTIVE, NULL, answer);
    } else if (!is_enough(attempt)) {
        xt_call_refuse(call, XT_PROBLEM_LEVEL_TOO_LOW, NULL, answer);
    } else if (!can_authenticate(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else {
        struct xt_token_grant grant = {.number = attempt->subject.value,
                                       .factors = attempt->proof.factors,
                                       .unlocked_by = attempt->proof.unlocked_by,
                                       .partner = call->entry.partner,
                                       .audience = xt_span_of_string(attempt->audience)};
        memcpy(grant.certificate, attempt->certificate, sizeof(grant.certificate));
        xt_token_answer(call, &grant, answer);
    }
}

/* ---- the request -------------------------------------------------------------------------------- */

/* Whether a purpose of his asks for a level: then he may not leave out which one it is for. */
static bool needs_purpose(const struct xt_partner *partner)
{
    for (unsigned i = 0; i < partner->purpose_count; i++) {
        if (partner->purposes[i].least_level > 0) {
            return true;
        }
    }
    return false;
}

/* What the policy has against it: by the request alone, whoever it is about. */
static enum xt_problem judge(const struct xt_partner *partner,
                             const struct xt_authenticate_request *request,
                             struct xt_request_errors *errors)
{
    if (request->purpose.size == 0) {
        if (!needs_purpose(partner)) {
            return XT_PROBLEM_NONE;
        }
        errors->list[errors->count++] =
            (struct xt_request_error){.pointer = "/purpose", .code = "missing_member"};
        return XT_PROBLEM_INVALID_REQUEST;
    }
    const struct xt_purpose *purpose = xt_partner_purpose(partner, request->purpose);
    if (purpose == NULL) {
        errors->list[errors->count++] =
            (struct xt_request_error){.pointer = "/purpose", .code = "not_permitted"};
        return XT_PROBLEM_PURPOSE_NOT_PERMITTED;
    }
    return xt_assurance_most(request->factors) < purpose->least_level ? XT_PROBLEM_LEVEL_TOO_LOW
                                                                      : XT_PROBLEM_NONE;
}

static void copy_text(char *text, size_t room, struct xt_span span)
{
    xt_require(span.size < room);
    memcpy(text, span.data, span.size);
    text[span.size] = '\0';
}

static void begin_attempt(const struct xt_call *call, const struct xt_authenticate_request *request,
                          const struct held *held, struct attempt *attempt)
{
    attempt->subject = request->id;
    if (held->found) {
        attempt->subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = held->number};
    }
    memcpy(attempt->certificate, call->peer->certificate, sizeof(attempt->certificate));
    copy_text(attempt->audience, sizeof(attempt->audience), request->audience);
    if (request->purpose.size > 0) {
        const struct xt_partner *partner = call->allowance->partner;
        attempt->least_level = xt_partner_purpose(partner, request->purpose)->least_level;
        copy_text(attempt->purpose, sizeof(attempt->purpose), request->purpose);
    }
    if (request->passcode.size > 0) {
        memcpy(attempt->rehash.passcode, request->passcode.data, request->passcode.size);
        attempt->rehash.passcode_size = request->passcode.size;
    }
}

/* The register did not give what it must: the operator has to know. */
static void log_damage(const struct xt_call *call, enum xt_status status)
{
    struct xt_service *service = call->service;
    struct xt_log_line line;
    if (xt_log_begin_limited(&service->log_limit, service->monotonic_ns / 1000000, &line,
                             XT_LOG_ERROR, "lookup_failed")) {
        xt_log_text(&line, "status", xt_status_name(status));
        xt_log_number(&line, "generation", xt_generation_manifest(service->generation)->number);
        xt_log_span(&line, "answer_id", xt_span_of(call->answer_id, XT_ANSWER_ID));
        xt_log_trace(&line, call->request->traceparent);
        xt_log_end(&line);
    }
}

/* The request is fine and may be asked. */
static void try(struct xt_call *call, const struct xt_authenticate_request *request,
                struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct attempt), finish, note, decided};
    struct xt_service *service = call->service;
    struct xt_register people;
    struct held held;
    enum xt_status status = xt_service_register(service, &people);
    if (status != XT_OK) {
        log_damage(call, status);
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    status = look_up(call, &people, request, &held);
    if (status != XT_OK) {
        service->live_failed |= status == XT_IO;
        log_damage(call, status);
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
        return;
    }
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    begin_attempt(call, request, &held, deferred->memory);
    status = check_factors(call, request, &held, deferred->memory);
    if (status == XT_OK && (request->factors & XT_FACTOR_PASSCODE) != 0) {
        xt_deferred_hold(deferred, service->settings->passcode_step_ms);
        status = compare_passcode(service, request, &held, deferred);
    } else if (status == XT_OK) {
        send_attempt(deferred);
    }
    if (status != XT_OK) { /* no attempt was made */
        xt_deferred_cancel(deferred, answer);
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
    }
}

void xt_handle_authenticate(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_authenticate_request request;
    struct xt_request_errors errors;
    const struct xt_partner *partner =
        xt_call_begin_json(call, XT_RIGHT_AUTHENTICATE, XT_AUTHENTICATE_BODY_MAX, answer);
    if (partner == NULL) {
        return;
    }
    if (xt_authenticate_request_from_json(call->request->body, call->request->body_size,
                                          service->arena, &request, &errors) != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        xt_wipe(call->request->body, call->request->body_size); /* a passcode may be in it */
        return;
    }
    xt_call_note_subject(call, request.id);
    call->entry.purpose = request.purpose;
    enum xt_problem problem = judge(partner, &request, &errors);
    if (problem != XT_PROBLEM_NONE) {
        xt_call_refuse(call, problem, errors.count > 0 ? &errors : NULL, answer);
    } else if (service->generation == NULL || !can_authenticate(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else if (xt_call_take_quota(call, request.id, answer)) {
        try(call, &request, answer);
    }
    if (request.passcode.size > 0) { /* the body is wiped only where its answer comes later */
        xt_wipe((uint8_t *)(uintptr_t)request.passcode.data, request.passcode.size);
    }
}
