/* Events of accounts as bytes. */
#include "core/account_event.h"

#include "core/little_endian.h"
#include "core/plain_text.h"
#include "core/wire.h"

/* From these bits on stands what unlocks a device: of its id's size, and of the factors that were shown; and the level that
 * is asked for, of the scope's size. */
#define DEVICE_UNLOCK 13
#define FACTORS_UNLOCK 5
#define SCOPE_LEVEL 13

static const char *const TYPE_NAMES[XT_ACCOUNT_END - XT_ACCOUNT_FIRST] = {
    "activated",         "locked",
    "unlocked",          "device_added",
    "device_removed",    "passcode_set",
    "attempt",           "token_revoked",
    "consent_given",     "consent_revoked",
    "backchannel_asked", "backchannel_decided",
    "backchannel_taken", "passcode_rehashed",
};

const char *xt_account_type_name(enum xt_account_type type)
{
    xt_require(type >= XT_ACCOUNT_FIRST && type < XT_ACCOUNT_END);
    return TYPE_NAMES[type - XT_ACCOUNT_FIRST];
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_name(struct xt_writer *writer, struct xt_span name)
{
    xt_put(writer, name.size, 1);
    xt_write_span(writer, name);
}

static void write_subject(struct xt_writer *writer, struct xt_id subject)
{
    xt_put(writer, (uint64_t)subject.kind, 1);
    xt_put(writer, subject.value, XT_WIRE_NUMBER);
}

static void write_proof(struct xt_writer *writer, const struct xt_account_proof *proof)
{
    xt_put(writer, proof->factors | (unsigned)proof->unlocked_by << FACTORS_UNLOCK, 1);
    for (unsigned i = 0; i < XT_FACTOR_COUNT; i++) {
        if ((proof->factors & 1U << i) != 0) {
            xt_write(writer, proof->digests[i], XT_ACCOUNT_DIGEST);
        }
    }
    xt_put(writer, proof->nonce_count, 1);
    for (unsigned i = 0; i < proof->nonce_count; i++) {
        xt_write(writer, proof->nonces[i].bytes, XT_ACCOUNT_ID);
        xt_put(writer, proof->nonces[i].expires_ms, 8);
    }
}

/* Of a change that the person showed something for, or was there for. */
static void write_shown(struct xt_writer *writer, const struct xt_account_proof *proof)
{
    if (proof->factors == 0) {
        xt_put(writer, 0, 1);
    } else {
        write_proof(writer, proof);
    }
}

static void write_consent(struct xt_writer *writer, const struct xt_account_event *event)
{
    xt_put(writer, event->subject.value, XT_WIRE_NUMBER);
    xt_write(writer, event->id, XT_ACCOUNT_ID);
    xt_put(writer, event->expires_ms, 8);
    xt_put(writer, event->attributes, 4);
    write_name(writer, event->partner);
    write_name(writer, event->purpose);
    write_proof(writer, &event->proof);
}

static void write_asked(struct xt_writer *writer, const struct xt_account_event *event)
{
    write_subject(writer, event->subject);
    xt_write(writer, event->id, XT_ACCOUNT_ID);
    xt_put(writer, event->expires_ms, 8);
    write_name(writer, event->purpose);
    xt_put(writer, event->scope.size | (size_t)event->level << SCOPE_LEVEL, 2);
    xt_write_span(writer, event->scope);
    xt_write_span(writer, event->binding);
}

static void write_change(struct xt_writer *writer, const struct xt_account_event *event)
{
    xt_put(writer, event->subject.value, XT_WIRE_NUMBER);
    switch (event->type) {
    case XT_ACCOUNT_ACTIVATED:
        xt_put(writer, event->level, 1);
        return;
    case XT_ACCOUNT_LOCKED:
    case XT_ACCOUNT_UNLOCKED:
        xt_put(writer, event->reason, 1);
        return;
    case XT_ACCOUNT_DEVICE_ADDED:
        write_shown(writer, &event->proof);
        xt_put(writer, event->device_id.size | (size_t)event->unlocked_by << DEVICE_UNLOCK, 2);
        xt_write_span(writer, event->device_id);
        xt_write_span(writer, event->key);
        return;
    case XT_ACCOUNT_DEVICE_REMOVED:
        xt_write_span(writer, event->device_id);
        return;
    default:
        xt_require(event->type == XT_ACCOUNT_PASSCODE_SET);
        write_shown(writer, &event->proof);
        xt_write_span(writer, event->passcode);
    }
}

void xt_account_event_encode(const struct xt_account_event *event, struct xt_writer *writer)
{
    write_name(writer, event->actor);
    switch (event->type) {
    case XT_ACCOUNT_ATTEMPT:
        write_subject(writer, event->subject);
        xt_put(writer, event->passed, 1);
        write_proof(writer, &event->proof);
        return;
    case XT_ACCOUNT_TOKEN_REVOKED:
        xt_write(writer, event->id, XT_ACCOUNT_ID);
        xt_put(writer, event->expires_ms, 8);
        return;
    case XT_ACCOUNT_CONSENT_GIVEN:
        write_consent(writer, event);
        return;
    case XT_ACCOUNT_CONSENT_REVOKED:
        xt_put(writer, event->subject.value, XT_WIRE_NUMBER);
        xt_write(writer, event->id, XT_ACCOUNT_ID);
        return;
    case XT_ACCOUNT_BACKCHANNEL_ASKED:
        write_asked(writer, event);
        return;
    case XT_ACCOUNT_BACKCHANNEL_DECIDED:
        xt_write(writer, event->id, XT_ACCOUNT_ID);
        xt_put(writer, event->approved, 1);
        xt_put(writer, event->acr, 1);
        xt_put(writer, event->passed, 1);
        write_proof(writer, &event->proof);
        return;
    case XT_ACCOUNT_BACKCHANNEL_TAKEN:
        xt_write(writer, event->id, XT_ACCOUNT_ID);
        return;
    case XT_ACCOUNT_PASSCODE_REHASHED:
        xt_put(writer, event->subject.value, XT_WIRE_NUMBER);
        xt_write(writer, event->digest, XT_ACCOUNT_DIGEST);
        xt_write_span(writer, event->passcode);
        return;
    default:
        write_change(writer, event);
    }
}

/* ---- reading ---------------------------------------------------------------------------------- */

static struct xt_span rest_of(struct xt_taker *taker)
{
    return xt_take_bytes(taker, taker->rest.size);
}

/* A partner or a purpose. */
static bool read_name(struct xt_taker *taker, struct xt_span *name)
{
    *name = xt_take_bytes(taker, (size_t)xt_take(taker, 1));
    return !taker->bad && xt_policy_name_is_valid(*name);
}

static bool text_is_sound(struct xt_span text, size_t most)
{
    return xt_text_is_utf8(text) && xt_text_check(text, most) == NULL;
}

static bool read_flag(struct xt_taker *taker, bool *flag)
{
    uint64_t value = xt_take(taker, 1);
    *flag = value == 1;
    return value <= 1;
}

static bool read_expiry(struct xt_taker *taker, uint64_t *expires_ms)
{
    *expires_ms = xt_take(taker, 8);
    return *expires_ms <= XT_ACCOUNT_TIME_MAX;
}

static bool read_number(struct xt_taker *taker, struct xt_id *subject)
{
    subject->kind = XT_ID_PERSONAL;
    subject->value = xt_take(taker, XT_WIRE_NUMBER);
    return subject->value < XT_WIRE_NUMBER_END;
}

static bool read_subject(struct xt_taker *taker, struct xt_id *subject)
{
    uint64_t kind = xt_take(taker, 1);
    if (kind != XT_ID_PERSONAL && kind != XT_ID_CMND) {
        return false;
    }
    bool sound = read_number(taker, subject);
    subject->kind = (enum xt_id_kind)kind;
    return sound && (kind == XT_ID_PERSONAL || subject->value < XT_WIRE_NINE_DIGITS_END);
}

/* A challenge for each factor that signs one; a passcode needs none. */
static unsigned challenges_of(unsigned factors)
{
    return ((factors & XT_FACTOR_DEVICE_KEY) != 0) + ((factors & XT_FACTOR_CARD_CHIP) != 0);
}

static bool read_factors(struct xt_taker *taker, struct xt_account_proof *proof)
{
    unsigned fixed = (unsigned)xt_take(taker, 1);
    unsigned unlocked_by = fixed >> FACTORS_UNLOCK;
    proof->factors = fixed & ((1U << FACTORS_UNLOCK) - 1);
    proof->unlocked_by = (enum xt_unlock)unlocked_by;
    if (proof->factors == 0 || proof->factors >= 1U << XT_FACTOR_COUNT ||
        unlocked_by >= XT_UNLOCK_COUNT ||
        (unlocked_by != XT_UNLOCK_NONE && (proof->factors & XT_FACTOR_DEVICE_KEY) == 0)) {
        return false;
    }
    for (unsigned i = 0; i < XT_FACTOR_COUNT; i++) {
        if ((proof->factors & 1U << i) != 0) {
            xt_take_copy(taker, proof->digests[i], XT_ACCOUNT_DIGEST);
        }
    }
    proof->nonce_count = (unsigned)xt_take(taker, 1);
    bool sound = proof->nonce_count <= XT_ACCOUNT_NONCES_MAX;
    for (unsigned i = 0; sound && i < proof->nonce_count; i++) {
        xt_take_copy(taker, proof->nonces[i].bytes, XT_ACCOUNT_ID);
        sound = read_expiry(taker, &proof->nonces[i].expires_ms);
    }
    return sound && !taker->bad;
}

static bool read_proof(struct xt_taker *taker, struct xt_account_proof *proof)
{
    return read_factors(taker, proof) && proof->nonce_count == challenges_of(proof->factors);
}

static bool read_shown(struct xt_taker *taker, struct xt_account_proof *proof)
{
    if (taker->rest.size > 0 && taker->rest.data[0] == 0) {
        (void)xt_take(taker, 1);
        return true;
    }
    return read_proof(taker, proof);
}

/* As an import takes them (core/person). */
static bool passcode_is_sound(struct xt_span passcode)
{
    static const char prefix[] = "$argon2id$";
    return text_is_sound(passcode, XT_PERSON_TEXT_MAX) && passcode.size > sizeof(prefix) - 1 &&
           memcmp(passcode.data, prefix, sizeof(prefix) - 1) == 0;
}

static bool read_device(struct xt_taker *taker, struct xt_account_event *event)
{
    if (!read_shown(taker, &event->proof)) {
        return false;
    }
    uint64_t fixed = xt_take(taker, 2);
    event->device_id = xt_take_bytes(taker, (size_t)(fixed & ((1U << DEVICE_UNLOCK) - 1)));
    event->unlocked_by = (enum xt_unlock)(fixed >> DEVICE_UNLOCK);
    event->key = rest_of(taker);
    return fixed >> DEVICE_UNLOCK < XT_UNLOCK_COUNT &&
           text_is_sound(event->device_id, XT_PERSON_TEXT_MAX) && event->key.size > 0 &&
           event->key.size <= XT_ACCOUNT_KEY_MAX;
}

static bool reason_is_sound(const struct xt_account_event *event)
{
    unsigned reason = event->reason;
    return reason == 0
               ? event->type == XT_ACCOUNT_UNLOCKED
               : (reason & ~(unsigned)XT_LOCKS_BY_PARTNERS) == 0 && (reason & (reason - 1)) == 0;
}

static bool read_change(struct xt_taker *taker, struct xt_account_event *event)
{
    if (!read_number(taker, &event->subject)) {
        return false;
    }
    switch (event->type) {
    case XT_ACCOUNT_ACTIVATED:
        event->level = (unsigned)xt_take(taker, 1);
        return event->level == 1 || event->level == 2;
    case XT_ACCOUNT_LOCKED:
    case XT_ACCOUNT_UNLOCKED:
        event->reason = (unsigned)xt_take(taker, 1);
        return !taker->bad && reason_is_sound(event);
    case XT_ACCOUNT_DEVICE_ADDED:
        return read_device(taker, event);
    case XT_ACCOUNT_DEVICE_REMOVED:
        event->device_id = rest_of(taker);
        return text_is_sound(event->device_id, XT_PERSON_TEXT_MAX);
    default:
        if (!read_shown(taker, &event->proof)) {
            return false;
        }
        event->passcode = rest_of(taker);
        return passcode_is_sound(event->passcode);
    }
}

/* What was signed is told by its id, which is given once; there may be a challenge as well. */
static bool read_consent(struct xt_taker *taker, struct xt_account_event *event)
{
    bool sound = read_number(taker, &event->subject);
    xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
    sound = sound && read_expiry(taker, &event->expires_ms);
    event->attributes = (uint32_t)xt_take(taker, 4);
    return sound && event->attributes != 0 && read_name(taker, &event->partner) &&
           read_name(taker, &event->purpose) && read_factors(taker, &event->proof) &&
           event->proof.factors == XT_FACTOR_DEVICE_KEY;
}

static bool scope_is_sound(struct xt_span scope)
{
    for (size_t i = 0; i < scope.size; i++) {
        if (scope.data[i] < 0x20 || scope.data[i] > 0x7e) {
            return false;
        }
    }
    return scope.size <= XT_ACCOUNT_SCOPE_MAX;
}

static bool read_asked(struct xt_taker *taker, struct xt_account_event *event)
{
    bool sound = read_subject(taker, &event->subject);
    xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
    sound = sound && read_expiry(taker, &event->expires_ms) && read_name(taker, &event->purpose);
    uint64_t fixed = xt_take(taker, 2);
    event->level = (unsigned)(fixed >> SCOPE_LEVEL);
    event->scope = xt_take_bytes(taker, (size_t)(fixed & ((1U << SCOPE_LEVEL) - 1)));
    event->binding = rest_of(taker);
    return sound && event->level <= XT_LEVEL_MOST && scope_is_sound(event->scope) &&
           (event->binding.size == 0 || text_is_sound(event->binding, XT_ACCOUNT_BINDING_MAX));
}

static bool read_decided(struct xt_taker *taker, struct xt_account_event *event)
{
    xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
    bool sound = read_flag(taker, &event->approved);
    event->acr = (unsigned)xt_take(taker, 1);
    return sound && (event->approved ? event->acr >= 1 && event->acr <= 4 : event->acr == 0) &&
           read_flag(taker, &event->passed) && read_proof(taker, &event->proof);
}

static bool read_attempt(struct xt_taker *taker, struct xt_account_event *event)
{
    return read_subject(taker, &event->subject) && read_flag(taker, &event->passed) &&
           read_proof(taker, &event->proof);
}

static bool read_rehashed(struct xt_taker *taker, struct xt_account_event *event)
{
    bool sound = read_number(taker, &event->subject);
    xt_take_copy(taker, event->digest, XT_ACCOUNT_DIGEST);
    event->passcode = rest_of(taker);
    return sound && passcode_is_sound(event->passcode);
}

static bool read_body(struct xt_taker *taker, struct xt_account_event *event)
{
    if (!read_name(taker, &event->actor)) {
        return false;
    }
    switch (event->type) {
    case XT_ACCOUNT_ATTEMPT:
        return read_attempt(taker, event);
    case XT_ACCOUNT_TOKEN_REVOKED:
        xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
        return read_expiry(taker, &event->expires_ms);
    case XT_ACCOUNT_CONSENT_GIVEN:
        return read_consent(taker, event);
    case XT_ACCOUNT_CONSENT_REVOKED: {
        bool sound = read_number(taker, &event->subject);
        xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
        return sound;
    }
    case XT_ACCOUNT_BACKCHANNEL_ASKED:
        return read_asked(taker, event);
    case XT_ACCOUNT_BACKCHANNEL_DECIDED:
        return read_decided(taker, event);
    case XT_ACCOUNT_BACKCHANNEL_TAKEN:
        xt_take_copy(taker, event->id, XT_ACCOUNT_ID);
        return true;
    case XT_ACCOUNT_PASSCODE_REHASHED:
        return read_rehashed(taker, event);
    default:
        return read_change(taker, event);
    }
}

enum xt_status xt_account_event_decode(enum xt_account_type type, struct xt_span body,
                                       struct xt_account_event *event)
{
    struct xt_taker taker = xt_taker_over(body);
    if (type < XT_ACCOUNT_FIRST || type >= XT_ACCOUNT_END) {
        return XT_UNSUPPORTED;
    }
    memset(event, 0, sizeof(*event));
    event->type = type;
    return read_body(&taker, event) && xt_taken_all(&taker) ? XT_OK : XT_INVALID;
}
