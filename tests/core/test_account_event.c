/* Events of accounts: one way to write each, nothing else is taken, and what follows from them for a person. */
#include "core/account_event.h"

#include "core/person_member.h"
#include "tests/core/mutate.h"
#include "tests/test.h"

#define COUNT_OF(list) (sizeof(list) / sizeof((list)[0]))
#define PHC                                                                                        \
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$"                                       \
    "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
#define NUMBER 1099012345ULL

static struct xt_span text(const char *chars)
{
    return xt_span_of_string(chars);
}

static unsigned challenges_of(unsigned factors)
{
    return (factors >> 1 & 1U) + (factors >> 2);
}

static struct xt_account_proof proof_of(unsigned factors, unsigned nonces)
{
    struct xt_account_proof proof = {.factors = factors, .nonce_count = nonces};
    for (unsigned i = 0; i < XT_FACTOR_COUNT; i++) {
        if ((factors & 1U << i) != 0) {
            memset(proof.digests[i], (int)i + 1, XT_ACCOUNT_DIGEST);
        }
    }
    for (unsigned i = 0; i < nonces; i++) {
        memset(proof.nonces[i].bytes, (int)i + 9, XT_ACCOUNT_ID);
        proof.nonces[i].expires_ms = 1800000000000ULL + i;
    }
    return proof;
}

/* One of each type. */
static struct xt_account_event sample(enum xt_account_type type)
{
    struct xt_account_event event = {.type = type, .actor = text("vneid")};
    event.subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = NUMBER};
    memset(event.id, 7, sizeof(event.id));
    event.expires_ms = 1800000000000ULL;
    switch (type) {
    case XT_ACCOUNT_ACTIVATED:
        event.level = 2;
        break;
    case XT_ACCOUNT_LOCKED:
    case XT_ACCOUNT_UNLOCKED:
        event.reason = XT_LOCK_HOLDER;
        break;
    case XT_ACCOUNT_DEVICE_ADDED:
        event.key = text("a key's bytes");
        event.proof = proof_of(XT_FACTOR_DEVICE_KEY, 1);
        event.device_id = text("phone-1");
        break;
    case XT_ACCOUNT_DEVICE_REMOVED:
        event.device_id = text("phone-1");
        break;
    case XT_ACCOUNT_PASSCODE_SET:
        event.passcode = text(PHC);
        break;
    case XT_ACCOUNT_ATTEMPT:
        event.passed = true;
        event.proof = proof_of(XT_FACTOR_PASSCODE | XT_FACTOR_DEVICE_KEY, 1);
        break;
    case XT_ACCOUNT_PASSCODE_REHASHED:
        memset(event.digest, 5, sizeof(event.digest));
        event.passcode = text(PHC);
        break;
    case XT_ACCOUNT_CONSENT_GIVEN:
        event.partner = text("bank");
        event.purpose = text("account.open");
        event.attributes = 5;
        event.proof = proof_of(XT_FACTOR_DEVICE_KEY, 0);
        break;
    case XT_ACCOUNT_BACKCHANNEL_ASKED:
        event.purpose = text("portal.login");
        event.scope = text("openid");
        event.binding = text("Mã 1234");
        break;
    case XT_ACCOUNT_BACKCHANNEL_DECIDED:
        event.approved = event.passed = true;
        event.acr = 2;
        event.proof = proof_of(XT_FACTOR_DEVICE_KEY | XT_FACTOR_CARD_CHIP, 2);
        break;
    default:
        break;
    }
    return event;
}

static struct xt_span encode(const struct xt_account_event *event, uint8_t *body)
{
    struct xt_writer writer = xt_writer_over(body, XT_ACCOUNT_BODY_MAX);
    xt_account_event_encode(event, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

static bool is_taken(const struct xt_account_event *event)
{
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_account_event read;
    return xt_account_event_decode(event->type, encode(event, body), &read) == XT_OK;
}

static void events_of_every_type_come_back_from_their_bytes(void **state)
{
    (void)state;
    for (unsigned type = XT_ACCOUNT_FIRST; type < XT_ACCOUNT_END; type++) {
        uint8_t body[XT_ACCOUNT_BODY_MAX];
        uint8_t again[XT_ACCOUNT_BODY_MAX];
        struct xt_account_event event = sample((enum xt_account_type)type);
        struct xt_account_event read;
        struct xt_span bytes = encode(&event, body);
        assert_int_equal(xt_account_event_decode(event.type, bytes, &read), XT_OK);
        assert_true(xt_span_equal(encode(&read, again), bytes));
        assert_true(xt_span_equal(read.actor, event.actor));
        for (unsigned other = XT_ACCOUNT_FIRST; other < type; other++) {
            assert_string_not_equal(xt_account_type_name((enum xt_account_type)type),
                                    xt_account_type_name((enum xt_account_type)other));
        }
    }
}

static void a_change_of_somebody_who_was_there_needs_no_proof(void **state)
{
    (void)state;
    for (unsigned type = XT_ACCOUNT_DEVICE_ADDED; type <= XT_ACCOUNT_PASSCODE_SET; type++) {
        struct xt_account_event event = sample((enum xt_account_type)type);
        for (unsigned factors = 0; factors < 1U << XT_FACTOR_COUNT; factors++) {
            event.proof = proof_of(factors, challenges_of(factors));
            assert_true(is_taken(&event));
        }
    }
}

static void what_unlocks_a_device_comes_back(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 8; code++) {
        uint8_t body[XT_ACCOUNT_BODY_MAX];
        struct xt_account_event read, event = sample(XT_ACCOUNT_DEVICE_ADDED);
        event.unlocked_by = (enum xt_unlock)code;
        assert_int_equal(is_taken(&event), code < XT_UNLOCK_COUNT);
        if (code < XT_UNLOCK_COUNT) {
            assert_int_equal(xt_account_event_decode(event.type, encode(&event, body), &read),
                             XT_OK);
            assert_int_equal(read.unlocked_by, code);
            assert_true(xt_span_equal(read.device_id, event.device_id));
        }
    }
}

static void proof_tells_what_unlocks_the_device_that_was_shown(void **state)
{
    (void)state;
    for (unsigned factors = 1; factors < 1U << XT_FACTOR_COUNT; factors++) {
        for (unsigned code = 0; code < 8; code++) {
            uint8_t body[XT_ACCOUNT_BODY_MAX];
            struct xt_account_event read, event = sample(XT_ACCOUNT_ATTEMPT);
            event.proof = proof_of(factors, challenges_of(factors));
            event.proof.unlocked_by = (enum xt_unlock)code;
            bool sound =
                code == 0 || (code < XT_UNLOCK_COUNT && (factors & XT_FACTOR_DEVICE_KEY) != 0);
            struct xt_span bytes = encode(&event, body);
            assert_int_equal(xt_account_event_decode(event.type, bytes, &read),
                             sound ? XT_OK : XT_INVALID);
            assert_true(!sound || (read.proof.unlocked_by == event.proof.unlocked_by &&
                                   read.proof.factors == factors));
        }
    }
}

/* actor 5, each with its size | number 5 | no proof | id size 2 | id | key: as it was before. */
static void a_device_without_it_is_written_as_ever(void **state)
{
    (void)state;
    static const uint8_t before[] = {0, 7, 0, 'p', 'h', 'o', 'n', 'e', '-', '1', 'a', ' '};
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_account_event event = sample(XT_ACCOUNT_DEVICE_ADDED);
    event.proof = (struct xt_account_proof){.factors = 0};
    struct xt_span bytes = encode(&event, body);
    assert_memory_equal(bytes.data + 1 + strlen("vneid") + 5, before, sizeof(before));
}

static void level_that_is_asked_for_comes_back(void **state)
{
    (void)state;
    for (unsigned level = 0; level < 8; level++) {
        uint8_t body[XT_ACCOUNT_BODY_MAX];
        struct xt_account_event read, event = sample(XT_ACCOUNT_BACKCHANNEL_ASKED);
        event.level = level;
        assert_int_equal(is_taken(&event), level <= XT_LEVEL_MOST);
        if (level <= XT_LEVEL_MOST) {
            assert_int_equal(xt_account_event_decode(event.type, encode(&event, body), &read),
                             XT_OK);
            assert_int_equal(read.level, level);
            assert_true(xt_span_equal(read.scope, event.scope));
        }
    }
}

static void applying_keeps_what_unlocks_the_device(void **state)
{
    (void)state;
    static struct xt_person person;
    struct xt_account_event event = sample(XT_ACCOUNT_DEVICE_ADDED);
    event.unlocked_by = XT_UNLOCK_IRIS;
    person = (struct xt_person){.account_level = 2};
    assert_int_equal(xt_account_event_apply(&event, XT_SUBJECT_PERSON, &person), XT_CONFLICT_NONE);
    assert_int_equal(person.devices[0].unlocked_by, XT_UNLOCK_IRIS);
}

static void an_event_of_the_longest_texts_fits(void **state)
{
    (void)state;
    static char name[XT_PARTNER_NAME_MAX + 1];
    static char longest[XT_PERSON_TEXT_MAX + 1];
    static uint8_t key[XT_ACCOUNT_KEY_MAX];
    memset(name, 'a', XT_PARTNER_NAME_MAX);
    memset(longest, 'b', XT_PERSON_TEXT_MAX);
    struct xt_account_event event = sample(XT_ACCOUNT_DEVICE_ADDED);
    event.actor = text(name);
    event.device_id = text(longest);
    event.unlocked_by = XT_UNLOCK_IRIS;
    event.key = xt_span_of(key, sizeof(key));
    assert_true(is_taken(&event));
    event = sample(XT_ACCOUNT_BACKCHANNEL_ASKED);
    event.actor = event.purpose = text(name);
    event.scope = event.binding = xt_span_of(longest, XT_ACCOUNT_SCOPE_MAX);
    assert_true(is_taken(&event));
}

/* Of any bytes: they are an event that comes back as these bytes, or none. */
static void damaged_bytes_are_another_event_or_none(void **state)
{
    (void)state;
    uint64_t random = 3;
    unsigned taken = 0;
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t body[XT_ACCOUNT_BODY_MAX];
        uint8_t again[XT_ACCOUNT_BODY_MAX];
        enum xt_account_type type =
            (enum xt_account_type)(XT_ACCOUNT_FIRST + i % (XT_ACCOUNT_END - XT_ACCOUNT_FIRST));
        struct xt_account_event event = sample(type);
        struct xt_span bytes = encode(&event, body);
        bytes.size = mutate(body, bytes.size, sizeof(body), &random);
        if (xt_account_event_decode(type, bytes, &event) == XT_OK) {
            assert_true(xt_span_equal(encode(&event, again), bytes));
            taken++;
        }
    }
    assert_true(taken > 1000);
}

static void refuse(enum xt_account_type type, void (*spoil)(struct xt_account_event *event))
{
    struct xt_account_event event = sample(type);
    assert_true(is_taken(&event));
    spoil(&event);
    if (is_taken(&event)) {
        fail_msg("%s was taken", xt_account_type_name(type));
    }
}

#define SPOIL(name, line)                                                                          \
    static void name(struct xt_account_event *event)                                               \
    {                                                                                              \
        line;                                                                                      \
    }
static const struct xt_id ten_digits = {.kind = XT_ID_CMND, .value = 1000000000ULL};
SPOIL(nobody_says_it, event->actor = xt_span_of(NULL, 0))
SPOIL(a_bad_name_says_it, event->actor = xt_span_of_string("Viettel"))
SPOIL(a_13th_digit, event->subject.value = 1000000000000ULL)
SPOIL(a_phone, event->subject.kind = XT_ID_PHONE)
SPOIL(a_cmnd_of_ten_digits, event->subject = ten_digits)
SPOIL(level_3, event->level = 3)
SPOIL(level_0, event->level = 0)
SPOIL(no_reason, event->reason = 0)
SPOIL(two_reasons, event->reason = XT_LOCK_HOLDER | XT_LOCK_BREACH)
SPOIL(death, event->reason = XT_LOCK_DEATH)
SPOIL(card_revoked, event->reason = XT_LOCK_CARD_REVOKED)
SPOIL(no_key, event->key = xt_span_of(NULL, 0))
SPOIL(no_device, event->device_id = xt_span_of(NULL, 0))
SPOIL(a_control_character, event->device_id = xt_span_of_string("a\nb"))
SPOIL(another_hash, event->passcode = xt_span_of_string("$2b$12$abc"))
SPOIL(no_hash, event->passcode = xt_span_of(NULL, 0))
SPOIL(a_key_without_a_challenge, event->proof.nonce_count = 0)
SPOIL(a_challenge_too_many, event->proof.nonce_count = 2)
SPOIL(a_card_without_a_challenge, event->proof.nonce_count = 1)
SPOIL(no_factor, event->proof.factors = 0)
SPOIL(a_factor_too_many, event->proof.factors = 8)
SPOIL(after_all_days, event->expires_ms = XT_ACCOUNT_TIME_MAX + 1)
SPOIL(nothing_consented, event->attributes = 0)
SPOIL(no_purpose, event->purpose = xt_span_of(NULL, 0))
SPOIL(a_scope_of_two_lines, event->scope = xt_span_of_string("a\nb"))
SPOIL(an_approval_of_no_level, event->acr = 0)
SPOIL(an_approval_of_level_5, event->acr = 5)
SPOIL(a_denial_of_some_level, event->approved = false)

static void what_no_sender_may_say_is_no_event(void **state)
{
    (void)state;
    for (unsigned type = XT_ACCOUNT_FIRST; type < XT_ACCOUNT_END; type++) {
        refuse((enum xt_account_type)type, nobody_says_it);
        refuse((enum xt_account_type)type, a_bad_name_says_it);
    }
    for (unsigned type = XT_ACCOUNT_ACTIVATED; type <= XT_ACCOUNT_ATTEMPT; type++) {
        refuse((enum xt_account_type)type, a_13th_digit);
    }
    refuse(XT_ACCOUNT_ATTEMPT, a_phone);
    refuse(XT_ACCOUNT_BACKCHANNEL_ASKED, a_phone);
    refuse(XT_ACCOUNT_ATTEMPT, a_cmnd_of_ten_digits);
    refuse(XT_ACCOUNT_ACTIVATED, level_3);
    refuse(XT_ACCOUNT_ACTIVATED, level_0);
    refuse(XT_ACCOUNT_LOCKED, no_reason);
    refuse(XT_ACCOUNT_LOCKED, two_reasons);
    refuse(XT_ACCOUNT_LOCKED, death);
    refuse(XT_ACCOUNT_UNLOCKED, death);
    refuse(XT_ACCOUNT_UNLOCKED, card_revoked);
    refuse(XT_ACCOUNT_DEVICE_ADDED, no_key);
    refuse(XT_ACCOUNT_DEVICE_ADDED, no_device);
    refuse(XT_ACCOUNT_DEVICE_ADDED, a_control_character);
    refuse(XT_ACCOUNT_DEVICE_REMOVED, no_device);
    refuse(XT_ACCOUNT_PASSCODE_SET, another_hash);
    refuse(XT_ACCOUNT_PASSCODE_SET, no_hash);
    refuse(XT_ACCOUNT_PASSCODE_REHASHED, another_hash);
    refuse(XT_ACCOUNT_PASSCODE_REHASHED, no_hash);
    refuse(XT_ACCOUNT_PASSCODE_REHASHED, a_13th_digit);
    for (unsigned i = 0; i < 2; i++) {
        enum xt_account_type type = i == 0 ? XT_ACCOUNT_ATTEMPT : XT_ACCOUNT_DEVICE_ADDED;
        refuse(type, a_key_without_a_challenge);
        refuse(type, a_challenge_too_many);
    }
    refuse(XT_ACCOUNT_BACKCHANNEL_DECIDED, a_card_without_a_challenge);
    refuse(XT_ACCOUNT_ATTEMPT, no_factor);
    refuse(XT_ACCOUNT_ATTEMPT, a_factor_too_many);
    refuse(XT_ACCOUNT_TOKEN_REVOKED, after_all_days);
    refuse(XT_ACCOUNT_CONSENT_GIVEN, nothing_consented);
    refuse(XT_ACCOUNT_CONSENT_GIVEN, no_purpose);
    refuse(XT_ACCOUNT_CONSENT_GIVEN, after_all_days);
    refuse(XT_ACCOUNT_BACKCHANNEL_ASKED, a_scope_of_two_lines);
    refuse(XT_ACCOUNT_BACKCHANNEL_DECIDED, an_approval_of_no_level);
    refuse(XT_ACCOUNT_BACKCHANNEL_DECIDED, an_approval_of_level_5);
    refuse(XT_ACCOUNT_BACKCHANNEL_DECIDED, a_denial_of_some_level);
}

/* ---- rules ------------------------------------------------------------------------------------- */

static struct xt_person person;

static void begin(unsigned level)
{
    xt_person_clear(&person);
    person.number = NUMBER;
    person.account_level = level;
}

static void apply(const struct xt_account_event *event, enum xt_conflict expected)
{
    enum xt_conflict conflict = xt_account_event_apply(event, XT_SUBJECT_PERSON, &person);
    if (conflict != expected) {
        fail_msg("%s: %s, expected %s", xt_account_type_name(event->type),
                 xt_conflict_name(conflict), xt_conflict_name(expected));
    }
}

static void a_level_is_raised_and_never_lowered(void **state)
{
    (void)state;
    struct xt_account_event event = sample(XT_ACCOUNT_ACTIVATED);
    begin(0);
    event.level = 1;
    apply(&event, XT_CONFLICT_NONE);
    apply(&event, XT_CONFLICT_ALREADY_ACTIVE);
    event.level = 2;
    apply(&event, XT_CONFLICT_NONE);
    assert_int_equal(person.account_level, 2);
    event.level = 1;
    apply(&event, XT_CONFLICT_ALREADY_ACTIVE);
}

static void locks_are_a_set(void **state)
{
    (void)state;
    struct xt_account_event event = sample(XT_ACCOUNT_LOCKED);
    begin(1);
    apply(&event, XT_CONFLICT_NONE);
    apply(&event, XT_CONFLICT_ALREADY_LOCKED);
    event.reason = XT_LOCK_AUTHORITY;
    apply(&event, XT_CONFLICT_NONE);
    assert_int_equal(person.locks, XT_LOCK_HOLDER | XT_LOCK_AUTHORITY);
    event = sample(XT_ACCOUNT_UNLOCKED);
    apply(&event, XT_CONFLICT_NONE);
    apply(&event, XT_CONFLICT_NOT_LOCKED);
    assert_int_equal(person.locks, XT_LOCK_AUTHORITY);
}

static void devices_have_each_its_id_and_its_key(void **state)
{
    (void)state;
    struct xt_account_event event = sample(XT_ACCOUNT_DEVICE_ADDED);
    char ids[XT_PERSON_DEVICES_MAX + 1][8];
    begin(2);
    apply(&event, XT_CONFLICT_NONE);
    apply(&event, XT_CONFLICT_DEVICE_KNOWN);
    event.device_id = text("phone-2"); /* the same key */
    apply(&event, XT_CONFLICT_DEVICE_KNOWN);
    for (unsigned i = 1; i <= XT_PERSON_DEVICES_MAX; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%u", i);
        event.device_id = event.key = text(ids[i]);
        apply(&event, i < XT_PERSON_DEVICES_MAX ? XT_CONFLICT_NONE : XT_CONFLICT_TOO_MANY);
    }
    event = sample(XT_ACCOUNT_DEVICE_REMOVED);
    apply(&event, XT_CONFLICT_NONE);
    apply(&event, XT_CONFLICT_DEVICE_UNKNOWN);
    assert_int_equal(person.device_count, XT_PERSON_DEVICES_MAX - 1);
    assert_true(xt_span_is(person.devices[0].device_id, "1"));
}

static void an_account_whose_card_is_revoked_begins_locked(void **state)
{
    (void)state;
    struct xt_account_event event = sample(XT_ACCOUNT_ACTIVATED);
    begin(0);
    person.card_state = XT_CARD_REVOKED;
    apply(&event, XT_CONFLICT_NONE);
    assert_int_equal(person.locks, XT_LOCK_CARD_REVOKED);
}

/* For whom each type is refused, and why. */
static void the_dead_the_cancelled_and_the_missing_get_nothing_new(void **state)
{
    (void)state;
    for (unsigned type = XT_ACCOUNT_ACTIVATED; type <= XT_ACCOUNT_PASSCODE_SET; type++) {
        struct xt_account_event event = sample((enum xt_account_type)type);
        bool locks = type == XT_ACCOUNT_LOCKED || type == XT_ACCOUNT_UNLOCKED;
        assert_true(xt_account_changes_person(event.type));
        assert_int_equal(xt_account_event_apply(&event, XT_SUBJECT_UNKNOWN, &person),
                         XT_CONFLICT_UNKNOWN_PERSON);
        assert_int_equal(xt_account_event_apply(&event, XT_SUBJECT_REPLACED, &person),
                         XT_CONFLICT_NUMBER_REPLACED);
        begin(0);
        apply(&event, type == XT_ACCOUNT_ACTIVATED ? XT_CONFLICT_NONE : XT_CONFLICT_NO_ACCOUNT);
        begin(1);
        person.life = XT_LIFE_DECEASED;
        person.locks = type == XT_ACCOUNT_UNLOCKED ? XT_LOCK_HOLDER : 0;
        apply(&event, locks ? XT_CONFLICT_NONE : XT_CONFLICT_PERSON_DECEASED);
        begin(1);
        person.life = XT_LIFE_CANCELLED;
        person.locks = type == XT_ACCOUNT_UNLOCKED ? XT_LOCK_HOLDER : 0;
        apply(&event, locks ? XT_CONFLICT_NONE : XT_CONFLICT_NUMBER_CANCELLED);
        begin(1);
        person.life = XT_LIFE_MISSING;
        person.locks = type == XT_ACCOUNT_UNLOCKED ? XT_LOCK_HOLDER : 0;
        apply(&event, locks                               ? XT_CONFLICT_NONE
                      : type == XT_ACCOUNT_DEVICE_REMOVED ? XT_CONFLICT_DEVICE_UNKNOWN
                                                          : XT_CONFLICT_PERSON_MISSING);
    }
    for (unsigned type = XT_ACCOUNT_ATTEMPT; type < XT_ACCOUNT_PASSCODE_REHASHED; type++) {
        assert_false(xt_account_changes_person((enum xt_account_type)type));
    }
}

static void a_better_hash_changes_nothing_else(void **state)
{
    (void)state;
    struct xt_account_event event = sample(XT_ACCOUNT_PASSCODE_REHASHED);
    assert_true(xt_account_changes_person(event.type));
    begin(0);
    apply(&event, XT_CONFLICT_NO_ACCOUNT);
    begin(2);
    person.locks = XT_LOCK_HOLDER;
    apply(&event, XT_CONFLICT_NONE);
    assert_true(xt_span_is(person.passcode_hash, PHC));
    assert_int_equal(person.locks, XT_LOCK_HOLDER);
    assert_int_equal(person.account_level, 2);
    person.life = XT_LIFE_DECEASED;
    apply(&event, XT_CONFLICT_PERSON_DECEASED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_every_type_come_back_from_their_bytes),
        cmocka_unit_test(a_change_of_somebody_who_was_there_needs_no_proof),
        cmocka_unit_test(what_unlocks_a_device_comes_back),
        cmocka_unit_test(proof_tells_what_unlocks_the_device_that_was_shown),
        cmocka_unit_test(a_device_without_it_is_written_as_ever),
        cmocka_unit_test(level_that_is_asked_for_comes_back),
        cmocka_unit_test(applying_keeps_what_unlocks_the_device),
        cmocka_unit_test(an_event_of_the_longest_texts_fits),
        cmocka_unit_test(damaged_bytes_are_another_event_or_none),
        cmocka_unit_test(what_no_sender_may_say_is_no_event),
        cmocka_unit_test(a_level_is_raised_and_never_lowered),
        cmocka_unit_test(locks_are_a_set),
        cmocka_unit_test(devices_have_each_its_id_and_its_key),
        cmocka_unit_test(an_account_whose_card_is_revoked_begins_locked),
        cmocka_unit_test(a_better_hash_changes_nothing_else),
        cmocka_unit_test(the_dead_the_cancelled_and_the_missing_get_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
