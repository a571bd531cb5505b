/* net/accounts: POST /v1/accounts/...: accounts are opened, locked, given devices and passcodes.
 *
 *   request -> look the person up -> check what he shows -> [his passcode, the new one: a thread]
 *           -> one event to the writer: the change, and with it the attempt that it rests on -> his account
 *
 * Whoever has the right `accounts` acts for citizens and may know who exists: what the register holds against
 * a change is told (409). What somebody shows for it is tried as at POST /v1/authenticate: failures are counted,
 * challenges are used up, and why it failed is not told (401).
 */
#include <stdio.h>

#include "core/account_request.h"
#include "core/assurance.h"
#include "crypto/challenge.h"
#include "crypto/holder_key.h"
#include "net/caller.h"
#include "net/deferred.h"
#include "net/hashing.h"
#include "net/route.h"
#include "store/live_account.h"

#define PASSCODE 0 /* numbers of the bits of enum xt_factor */
#define DEVICE_KEY 1
#define CARD_CHIP 2

/* Between the request and its answer: in a deferred's memory, which is wiped. */
struct change {
    struct xt_service *service;
    enum xt_account_type type;
    uint64_t number;
    unsigned level, reason;
    enum xt_unlock unlocked_by;
    bool passed; /* what he showed, so far; true where nothing is asked for */
    struct xt_account_proof proof;
    size_t device_size, key_size, passcode_size;
    uint8_t device_id[XT_DEVICE_ID_MAX];
    uint8_t key[XT_ACCOUNT_KEY_MAX];
    uint8_t passcode[XT_PASSCODE_MAX]; /* the new one */
};
_Static_assert(sizeof(struct change) <= XT_DEFERRED_MEMORY, "it fits");

static const enum xt_account_type TYPES[] = {
    [XT_ACTION_ACTIVATE] = XT_ACCOUNT_ACTIVATED,
    [XT_ACTION_LOCK] = XT_ACCOUNT_LOCKED,
    [XT_ACTION_UNLOCK] = XT_ACCOUNT_UNLOCKED,
    [XT_ACTION_PASSCODE] = XT_ACCOUNT_PASSCODE_SET,
    [XT_ACTION_DEVICE_ADD] = XT_ACCOUNT_DEVICE_ADDED,
    [XT_ACTION_DEVICE_REMOVE] = XT_ACCOUNT_DEVICE_REMOVED,
};

/* ---- what he shows ------------------------------------------------------------------------------ */

/* A signature over a challenge of ours for an account, by this key. */
static enum xt_status check_key(const struct xt_call *call,
                                const struct xt_authenticate_request *shown, unsigned bit,
                                struct xt_span key, struct change *change)
{
    const struct xt_service *service = call->service;
    struct xt_account_proof *proof = &change->proof;
    struct xt_challenge_scope scope = {.id = shown->id,
                                       .factor = 1U << bit,
                                       .audience = shown->audience,
                                       .partner = call->entry.partner};
    struct xt_challenge_use use;
    enum xt_status status = xt_challenge_check(service->keyring, &scope, service->unix_ms,
                                               shown->challenges[bit], &use);
    if (status != XT_OK && status != XT_DENIED) {
        return status;
    }
    change->passed = change->passed && status == XT_OK;
    xt_account_proof_uses(proof, use.nonce, use.until_ms);
    status = key.size == 0 ? XT_DENIED
                           : xt_holder_verify(key, shown->challenges[bit], shown->signatures[bit]);
    change->passed = change->passed && status == XT_OK;
    return status == XT_DENIED || status == XT_INVALID ? XT_OK : status;
}

static bool card_is_valid(const struct xt_person *person, xt_date today)
{
    return xt_card_answer(person->card_state,
                          person->card_has_expiry ? person->card_expires_on : XT_CARD_NO_EXPIRY,
                          today) == XT_CARD_ANSWER_VALID;
}

static enum xt_status check_shown(const struct xt_call *call,
                                  const struct xt_authenticate_request *shown,
                                  const struct xt_person *person, struct change *change)
{
    const struct xt_live *live = call->service->live;
    enum xt_status status = XT_OK;
    change->passed = true;
    change->proof.factors = shown->factors;
    if ((shown->factors & XT_FACTOR_DEVICE_KEY) != 0) {
        const struct xt_device device = xt_person_device(person, shown->device_id);
        status = check_key(call, shown, DEVICE_KEY, device.public_key_der, change);
        xt_live_proof_device(live, device.public_key_der, device.unlocked_by, &change->proof);
    }
    if (status == XT_OK && (shown->factors & XT_FACTOR_CARD_CHIP) != 0) {
        struct xt_span key = person->card_public_key_der;
        status = check_key(call, shown, CARD_CHIP, key, change);
        xt_live_factor_digest(live, XT_FACTOR_CARD_CHIP, key, change->proof.digests[CARD_CHIP]);
        change->passed = change->passed && card_is_valid(person, call->service->today);
    }
    if ((shown->factors & XT_FACTOR_PASSCODE) != 0) {
        xt_live_factor_digest(live, XT_FACTOR_PASSCODE, person->passcode_hash,
                              change->proof.digests[PASSCODE]);
    }
    return status;
}

/* ---- the event ---------------------------------------------------------------------------------- */

/* phc: of a new passcode. What did not pass is told as an attempt, which counts, and changes nothing. */
static void send_change(struct xt_deferred *deferred, struct xt_span phc)
{
    const struct change *change = deferred->memory;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct xt_account_event told = {.type = change->passed ? change->type : XT_ACCOUNT_ATTEMPT,
                                    .actor = xt_span_of_string(deferred->partner),
                                    .subject = {.kind = XT_ID_PERSONAL, .value = change->number},
                                    .level = change->level,
                                    .reason = change->reason,
                                    .device_id = xt_span_of(change->device_id, change->device_size),
                                    .key = xt_span_of(change->key, change->key_size),
                                    .unlocked_by = change->unlocked_by,
                                    .passcode = phc,
                                    .proof = change->proof};
    xt_event_from_account(&told, body, &event);
    xt_deferred_send(deferred, &event);
    xt_wipe(body, sizeof(body));
}

static void on_made(void *context, const struct xt_hashing_result *result)
{
    struct xt_deferred *deferred = context;
    if (result->status != XT_OK) {
        xt_deferred_done(deferred, result->status); /* nothing was told */
    } else {
        const struct change *change = deferred->memory;
        send_change(deferred, change->passed ? result->phc : xt_span_of(NULL, 0));
    }
}

/* What was shown is checked: now the new passcode, or nothing more. It is hashed in vain, too: that a wrong old
 * one takes less time would tell of a right one where the writer says no. */
static enum xt_status go_on(struct xt_service *service, struct xt_deferred *deferred)
{
    const struct change *change = deferred->memory;
    uint8_t pepper[XT_KEY_BYTES];
    if (change->passcode_size == 0) {
        send_change(deferred, xt_span_of(NULL, 0));
        return XT_OK;
    }
    if (service->live == NULL) { /* it broke meanwhile */
        return XT_CLOSED;
    }
    xt_live_pepper(service->live, pepper);
    enum xt_status status =
        xt_hashing_make(service->hashing, deferred->cell, pepper,
                        xt_span_of(change->passcode, change->passcode_size), on_made, deferred);
    xt_wipe(pepper, sizeof(pepper));
    return status;
}

static void on_verified(void *context, const struct xt_hashing_result *result)
{
    struct xt_deferred *deferred = context;
    struct change *change = deferred->memory;
    enum xt_status status = result->status == XT_DENIED ? XT_OK : result->status;
    change->passed = change->passed && result->status == XT_OK;
    if (status == XT_OK) {
        status = go_on(change->service, deferred);
    }
    if (status != XT_OK) {
        xt_deferred_done(deferred, status);
    }
}

static enum xt_status compare_passcode(struct xt_service *service,
                                       const struct xt_authenticate_request *shown,
                                       struct xt_span phc, struct xt_deferred *deferred)
{
    uint8_t pepper[XT_KEY_BYTES];
    xt_live_pepper(service->live, pepper);
    enum xt_status status = xt_hashing_verify(service->hashing, deferred->cell, pepper, phc,
                                              shown->passcode, on_verified, deferred);
    xt_wipe(pepper, sizeof(pepper));
    return status;
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void write_lock(struct xt_writer *writer, unsigned reason, const struct xt_lock_fact *facts,
                       unsigned count)
{
    xt_write_literal(writer, "{\"reason\":\"");
    xt_write_string(writer, xt_lock_name(reason));
    xt_write_literal(writer, "\"");
    for (unsigned i = 0; i < count; i++) {
        char at[XT_TIMESTAMP];
        if (facts[i].reason != reason) {
            continue;
        }
        xt_timestamp_format(facts[i].at_ms, at);
        xt_write_literal(writer, ",\"at\":\"");
        xt_write(writer, at, sizeof(at));
        xt_write_literal(writer, "\"");
        if (facts[i].actor[0] != '\0') { /* a partner's name needs no escapes */
            xt_write_literal(writer, ",\"actor\":\"");
            xt_write_string(writer, facts[i].actor);
            xt_write_literal(writer, "\"");
        }
    }
    xt_write_literal(writer, "}");
}

static void write_account(struct xt_writer *writer, const char answer_id[XT_ANSWER_ID],
                          const struct xt_person *person, const struct xt_lock_fact *facts,
                          unsigned count)
{
    char text[64];
    bool first = true;
    xt_write_literal(writer, "{\"answer_id\":\"");
    xt_write(writer, answer_id, XT_ANSWER_ID);
    (void)snprintf(text, sizeof(text), "\",\"level\":%u,\"locks\":[", person->account_level);
    xt_write_string(writer, text);
    for (unsigned reason = 1; reason <= XT_LOCK_STAY_EXPIRED; reason <<= 1) {
        if ((person->locks & reason) != 0) {
            xt_write_string(writer, first ? "" : ",");
            write_lock(writer, reason, facts, count);
            first = false;
        }
    }
    (void)snprintf(text, sizeof(text), "],\"devices\":%u,\"passcode\":%s}", person->device_count,
                   person->passcode_hash.size > 0 ? "true" : "false");
    xt_write_string(writer, text);
}

/* As it is now: with this change, and whatever came after it. */
static void answer_account(struct xt_call *call, uint64_t number, struct xt_answer *answer)
{
    static struct xt_person person; /* large; one answer at a time */
    struct xt_service *service = call->service;
    struct xt_lock_fact facts[XT_LOCK_FACTS_MAX];
    struct xt_register people;
    unsigned count = 0;
    enum xt_status status =
        service->generation == NULL ? XT_BUSY : xt_service_register(service, &people);
    if (status == XT_OK) {
        status = xt_register_person(&people, number, &person);
    }
    if (status == XT_OK && people.live != NULL) {
        status = xt_live_lock_facts(people.live, number, facts, &count);
    }
    if (status != XT_OK) { /* it is done, and what has become of it cannot be told */
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, XT_PROBLEM_OUTCOME_UNKNOWN, NULL, answer);
        return;
    }
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    write_account(&writer, call->answer_id, &person, facts, count);
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct change *change = deferred->memory;
    xt_call_note_subject(call, (struct xt_id){.kind = XT_ID_PERSONAL, .value = change->number});
    xt_deferred_note(deferred, change->type, call);
}

static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    const struct change *change = deferred->memory;
    enum xt_attempt attempt = deferred->outcome.attempt;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    enum xt_conflict conflict = deferred->outcome.conflict;
    bool in_vain = attempt == XT_ATTEMPT_IN_VAIN;
    bool shown = change->proof.factors != 0;
    if ((in_vain && conflict == XT_CONFLICT_NONE) ||
        (change->passed && shown && attempt == XT_ATTEMPT_NONE && deferred->status != XT_DENIED)) {
        /* Of an attempt that nobody knows any more: it may be done. */
        xt_call_refuse(call, XT_PROBLEM_OUTCOME_UNKNOWN, NULL, answer);
    } else if (in_vain || deferred->status == XT_DENIED) {
        xt_call_refuse(call, xt_problem_of_conflict(conflict), NULL, answer);
    } else if (!change->passed || (shown && attempt != XT_ATTEMPT_PASSED)) {
        xt_call_refuse(call, XT_PROBLEM_AUTHENTICATION_FAILED, NULL, answer);
    } else {
        answer_account(call, change->number, answer);
    }
}

/* ---- the request -------------------------------------------------------------------------------- */

static void copy(uint8_t *into, size_t *size, struct xt_span from)
{
    memcpy(into, from.data, from.size);
    *size = from.size;
}

static void begin_change(enum xt_account_action action, const struct xt_account_request *request,
                         uint64_t number, struct change *change)
{
    change->type = TYPES[action];
    change->number = number;
    change->level = request->level;
    change->reason = request->reason;
    change->unlocked_by = request->unlocked_by;
    if (request->device_id.size > 0) {
        copy(change->device_id, &change->device_size, request->device_id);
    }
    if (request->passcode.size > 0) {
        copy(change->passcode, &change->passcode_size, request->passcode);
    }
    copy(change->key, &change->key_size, xt_span_of(request->key, request->key_size));
}

/* Whom the id names now. XT_NOT_FOUND: nobody. */
static enum xt_status find_person(struct xt_call *call, struct xt_id id, struct xt_person *person)
{
    struct xt_register people;
    struct xt_found found;
    enum xt_status status = xt_service_register(call->service, &people);
    status = status == XT_OK ? xt_register_find(&people, id, &found) : status;
    if (status == XT_OK &&
        (!found.found || (found.by_alias && call->allowance->partner->without_old_numbers))) {
        status = XT_NOT_FOUND;
    }
    return status == XT_OK ? xt_register_person(&people, found.hot.number, person) : status;
}

/* A device that a biometric unlocks is good for level 3 from then on: who is not there in person shows as much for it
 * (NIST SP 800-63B, section 6.1.2.1: whoever binds an authenticator is authenticated at the level at which it is used).
 * Two plain factors would not do: each of them can be had by showing one other, so that one led to level 3 in three
 * steps. */
#define LEVEL_TO_BIND 3

static bool may_bind(const struct xt_account_request *request, const struct xt_person *person)
{
    const struct xt_authenticate_request *shown = &request->shown;
    struct xt_assurance assurance;
    xt_assurance_of(shown->factors, xt_person_device(person, shown->device_id).unlocked_by,
                    &assurance);
    return request->unlocked_by == XT_UNLOCK_NONE || shown->factors == 0 ||
           assurance.level >= LEVEL_TO_BIND;
}

static void begin(struct xt_call *call, enum xt_account_action action,
                  const struct xt_account_request *request, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct change), finish, note, NULL};
    static struct xt_person person; /* large; one request at a time */
    struct xt_service *service = call->service;
    enum xt_status status = find_person(call, request->id, &person);
    if (status == XT_NOT_FOUND) {
        xt_call_refuse(call, XT_PROBLEM_UNKNOWN_PERSON, NULL, answer);
        return;
    }
    if (status != XT_OK) {
        service->live_failed |= status == XT_IO;
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
        return;
    }
    if (!may_bind(request, &person)) {
        xt_call_refuse(call, XT_PROBLEM_LEVEL_TOO_LOW, NULL, answer);
        return;
    }
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct change *change = deferred->memory;
    change->service = service;
    begin_change(action, request, person.number, change);
    status = check_shown(call, &request->shown, &person, change);
    if (status == XT_OK && (request->shown.factors & XT_FACTOR_PASSCODE) != 0) {
        xt_deferred_hold(deferred, service->settings->passcode_step_ms);
        status = compare_passcode(service, &request->shown, person.passcode_hash, deferred);
    } else if (status == XT_OK) {
        status = go_on(service, deferred);
    }
    if (status != XT_OK) { /* nothing was told */
        xt_deferred_cancel(deferred, answer);
        xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
    }
}

static bool is_ready(const struct xt_service *service)
{
    return service->generation != NULL && service->keyring != NULL && service->live != NULL &&
           service->deferred != NULL && service->hashing != NULL;
}

static void wipe_passcode(struct xt_span passcode)
{
    if (passcode.size > 0) {
        xt_wipe((uint8_t *)(uintptr_t)passcode.data, passcode.size);
    }
}

static void handle(struct xt_call *call, enum xt_account_action action, struct xt_answer *answer)
{
    static struct xt_account_request request;
    struct xt_service *service = call->service;
    struct xt_request_errors errors;
    enum xt_holder_key kind;
    if (xt_call_begin_json(call, XT_RIGHT_ACCOUNTS, XT_AUTHENTICATE_BODY_MAX, answer) == NULL) {
        return;
    }
    enum xt_status status = xt_account_request_from_json(
        action, call->request->body, call->request->body_size, service->arena, &request, &errors);
    if (status == XT_OK && action == XT_ACTION_DEVICE_ADD &&
        xt_holder_key_kind(xt_span_of(request.key, request.key_size), &kind) != XT_OK) {
        errors.list[errors.count++] =
            (struct xt_request_error){.pointer = "/public_key", .code = "bad_key"};
        status = XT_INVALID;
    }
    if (status != XT_OK) {
        xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
        xt_wipe(call->request->body, call->request->body_size); /* a passcode may be in it */
        return;
    }
    xt_call_note_subject(call, request.id);
    if (!is_ready(service)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
    } else if (xt_call_take_quota(call, request.id, answer)) {
        begin(call, action, &request, answer);
    }
    /* The body is wiped only where its answer comes later. */
    wipe_passcode(request.shown.passcode);
    wipe_passcode(request.passcode);
}

void xt_handle_activate(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_ACTIVATE, answer);
}

void xt_handle_lock(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_LOCK, answer);
}

void xt_handle_unlock(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_UNLOCK, answer);
}

void xt_handle_passcode(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_PASSCODE, answer);
}

void xt_handle_device_add(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_DEVICE_ADD, answer);
}

void xt_handle_device_remove(struct xt_call *call, struct xt_answer *answer)
{
    handle(call, XT_ACTION_DEVICE_REMOVE, answer);
}
