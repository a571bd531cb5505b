/* Accounts in the live store: what a person has, who failed how often, which challenge was used. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/passcode.h"
#include "store/live_account_internal.h"
#include "store/live_fold.h"
#include "tests/store/accounts.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

/* Of LMDB, whose header stays in store/: to make a store as older programs did. */
int mdb_txn_begin(struct MDB_env *env, struct MDB_txn *parent, unsigned flags,
                  struct MDB_txn **txn);
int mdb_txn_commit(struct MDB_txn *txn);
int mdb_drop(struct MDB_txn *txn, unsigned table, int whole);

#define PEOPLE 40
#define DAY (24 * 3600 * SECOND)
static struct xt_failure failure;

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, PEOPLE);
    now_ms = T0;
    return result;
}

/* ---- what a person has -------------------------------------------------------------------------- */

static void change_a_person(void)
{
    open_accounts();
    make_account(3);
    const struct xt_person *person = look_at(3);
    assert_int_equal(person->account_level, 2);
    assert_true(xt_span_is(person->passcode_hash, PHC));
    assert_int_equal(person->device_count, 1);
    assert_true(xt_span_is(person->devices[0].device_id, "phone"));
    assert_true(xt_span_is(person->devices[0].public_key_der, KEY));
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_REMOVED, 3);
    event.device_id = xt_span_of_string("phone");
    must(&event);
    must_not(&event, XT_CONFLICT_DEVICE_UNKNOWN);
    assert_int_equal(look_at(3)->device_count, 0);
    assert_int_equal(look_at(6)->account_level, 0); /* nobody else's */
    event = about(XT_ACCOUNT_LOCKED, 6);
    event.reason = XT_LOCK_HOLDER;
    must_not(&event, XT_CONFLICT_NO_ACCOUNT);
    event.subject.value = 99;
    must_not(&event, XT_CONFLICT_UNKNOWN_PERSON);
    close_accounts();
    open_accounts(); /* and after a restart */
    assert_int_equal(look_at(3)->account_level, 2);
    close_accounts();
}

static void an_account_is_part_of_the_person(void **state)
{
    (void)state;
    in_child(change_a_person);
}

static struct xt_lock_fact fact_of(unsigned person, unsigned reason)
{
    struct xt_lock_fact facts[XT_LOCK_FACTS_MAX];
    struct xt_lock_fact none = {.reason = 0};
    unsigned count;
    LOOK(xt_live_lock_facts(live, PERSON_NUMBER(person), facts, &count));
    for (unsigned i = 0; i < count; i++) {
        if (facts[i].reason == reason) {
            return facts[i];
        }
    }
    return none;
}

static void lock_and_unlock(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event event = about(XT_ACCOUNT_LOCKED, 1);
    event.reason = XT_LOCK_HOLDER;
    must(&event);
    now_ms += SECOND;
    event.reason = XT_LOCK_AUTHORITY;
    event.actor = xt_span_of_string("police");
    must(&event);
    assert_int_equal(look_at(1)->locks, XT_LOCK_HOLDER | XT_LOCK_AUTHORITY);
    assert_string_equal(fact_of(1, XT_LOCK_HOLDER).actor, "vneid");
    assert_true(fact_of(1, XT_LOCK_HOLDER).at_ms == T0);
    assert_string_equal(fact_of(1, XT_LOCK_AUTHORITY).actor, "police");
    assert_true(fact_of(1, XT_LOCK_AUTHORITY).at_ms == T0 + SECOND);
    event = about(XT_ACCOUNT_UNLOCKED, 1);
    event.reason = XT_LOCK_HOLDER;
    must(&event);
    assert_int_equal(fact_of(1, XT_LOCK_HOLDER).reason, 0);
    assert_string_equal(fact_of(1, XT_LOCK_AUTHORITY).actor, "police");
    event.reason = XT_LOCK_AUTHORITY;
    must(&event);
    assert_int_equal(look_at(1)->locks, 0);
    close_accounts();
}

static void a_lock_tells_since_when_and_by_whom(void **state)
{
    (void)state;
    in_child(lock_and_unlock);
}

#define EVENT(id, type, person, data)                                                              \
    "{\"event_id\":\"" id "\",\"type\":\"" type "\",\"id\":\"00109000000" person                   \
    "\",\"at\":\"2026-11-22T08:00:00Z\",\"data\":" data "}"

static void change_by_register(const char *line)
{
    struct xt_live_outcome outcome;
    apply_changes(live, &line, 1, &outcome);
    if (outcome.status != XT_OK) {
        fail_msg("%s: %s", line, xt_conflict_name(outcome.conflict));
    }
}

static void follow_the_register(void)
{
    open_accounts();
    make_account(1);
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
    change_by_register(EVENT("0", "card_issued", "1", "{\"issued_on\":\"2026-10-01\"}"));
    change_by_register(EVENT("a", "card_revoked", "1", "{}"));
    assert_int_equal(look_at(1)->locks, XT_LOCK_CARD_REVOKED);
    assert_string_equal(fact_of(1, XT_LOCK_CARD_REVOKED).actor, "");
    assert_true(fact_of(1, XT_LOCK_CARD_REVOKED).at_ms > 0);
    assert_int_equal(try(1, true), XT_ATTEMPT_UNUSABLE);
    change_by_register(EVENT("b", "card_issued", "1", "{\"issued_on\":\"2026-11-01\"}"));
    assert_int_equal(look_at(1)->locks, 0);
    assert_int_equal(fact_of(1, XT_LOCK_CARD_REVOKED).reason, 0);
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
    struct xt_account_event event = about(XT_ACCOUNT_LOCKED, 1);
    event.reason = XT_LOCK_HOLDER;
    must(&event);
    change_by_register(EVENT("c", "deceased", "1", "{}"));
    assert_true((look_at(1)->locks & XT_LOCK_DEATH) != 0);
    assert_string_equal(fact_of(1, XT_LOCK_HOLDER).actor, "vneid");
    event.type = XT_ACCOUNT_UNLOCKED;
    must(&event);
    assert_int_equal(try(1, true), XT_ATTEMPT_UNUSABLE); /* the dead stay locked */
    close_accounts();
}

static void deaths_and_revoked_cards_lock_and_tell_so(void **state)
{
    (void)state;
    in_child(follow_the_register);
}

static void replace_a_number(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event event = about(XT_ACCOUNT_LOCKED, 1);
    event.reason = XT_LOCK_BREACH;
    must(&event);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_UNUSABLE);
    }
    change_by_register(EVENT("a", "number_replaced", "1", "{\"new_id\":\"001090000900\"}"));
    assert_int_equal(failures_of(id_of(1)), 0);
    assert_int_equal(failures_of(id_of(900)), 3);
    assert_string_equal(fact_of(900, XT_LOCK_BREACH).actor, "vneid");
    assert_int_equal(fact_of(1, XT_LOCK_BREACH).reason, 0);
    assert_int_equal(try(1, true), XT_ATTEMPT_UNUSABLE); /* an old number is nobody's account */
    must_not(&event, XT_CONFLICT_NUMBER_REPLACED);
    close_accounts();
}

static void a_new_number_takes_failures_and_locks_along(void **state)
{
    (void)state;
    in_child(replace_a_number);
}

/* ---- attempts ----------------------------------------------------------------------------------- */

/* The wait of core/throttle, as it is told. */
static uint64_t wait_of(struct xt_id subject)
{
    struct xt_throttle throttle;
    LOOK(xt_live_throttle(live, subject, false, &throttle));
    return xt_throttle_wait_ms(&throttle, now_ms);
}

static void fail_until_stopped(void)
{
    open_accounts();
    make_account(1);
    for (unsigned i = 1; i <= XT_THROTTLE_STOP; i++) {
        uint64_t wait = wait_of(id_of(1));
        if (wait > 0) { /* too early by a millisecond: not even counted */
            now_ms += wait - 1;
            assert_int_equal(try(1, true), XT_ATTEMPT_THROTTLED);
            now_ms += 1;
        }
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
        assert_int_equal(failures_of(id_of(1)), i);
    }
    now_ms += 365 * DAY;
    assert_int_equal(try(1, true), XT_ATTEMPT_THROTTLED);
    assert_true(wait_of(id_of(1)) == XT_THROTTLE_STOPPED);
    assert_int_equal(try(3, true), XT_ATTEMPT_UNUSABLE); /* has no account: another matter */
    struct xt_account_event event = about(XT_ACCOUNT_UNLOCKED, 1);
    must(&event);
    must_not(&event, XT_CONFLICT_NOT_LOCKED);
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
    assert_int_equal(failures_of(id_of(1)), 0);
    close_accounts();
}

static void a_hundred_failures_stop_an_account_until_it_is_reset(void **state)
{
    (void)state;
    in_child(fail_until_stopped);
}

static void reset_each_way(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event lock = about(XT_ACCOUNT_LOCKED, 1);
    struct xt_account_event unlock = about(XT_ACCOUNT_UNLOCKED, 1);
    struct xt_account_event passcode = about(XT_ACCOUNT_PASSCODE_SET, 1);
    lock.reason = unlock.reason = XT_LOCK_HOLDER;
    passcode.passcode = xt_span_of_string(PHC);
    for (unsigned way = 0; way < 3; way++) {
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
        }
        if (way == 0) {
            assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
        } else if (way == 1) {
            must(&lock);
            assert_int_equal(failures_of(id_of(1)), 4);
            must(&unlock);
        } else {
            must(&passcode);
        }
        assert_int_equal(failures_of(id_of(1)), 0);
    }
    struct xt_account_event nobody = about(XT_ACCOUNT_UNLOCKED, 3);
    must_not(&nobody, XT_CONFLICT_NO_ACCOUNT);
    close_accounts();
}

static void a_success_an_unlocking_or_a_new_passcode_begin_anew(void **state)
{
    (void)state;
    in_child(reset_each_way);
}

/* Without a challenge. */
static struct xt_account_event guess(unsigned person, bool passed)
{
    struct xt_account_event event = about(XT_ACCOUNT_ATTEMPT, person);
    event.passed = passed;
    add_factor(&event.proof, XT_FACTOR_PASSCODE, PHC);
    return event;
}

static void guess_between_successes(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event wrong = guess(1, false);
    struct xt_account_event right = guess(1, true);
    struct xt_account_event device = about(XT_ACCOUNT_DEVICE_ADDED, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(tell(&wrong).attempt, XT_ATTEMPT_FAILED);
        assert_int_equal(try(1, true), XT_ATTEMPT_PASSED); /* with the device */
        assert_int_equal(failures_of(id_of(1)), i + 1);
    }
    device.device_id = xt_span_of_string("tablet");
    device.key = xt_span_of_string("another key");
    device.proof = attempt(1, true).proof; /* nor does a change with it */
    assert_int_equal(tell(&device).attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(failures_of(id_of(1)), 3);
    assert_int_equal(tell(&right).attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(failures_of(id_of(1)), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
        assert_int_equal(tell(&wrong).attempt, XT_ATTEMPT_FAILED);
    }
    assert_int_equal(try(1, true), XT_ATTEMPT_THROTTLED); /* both wait */
    assert_int_equal(tell(&right).attempt, XT_ATTEMPT_THROTTLED);
    assert_int_equal(wait_of(id_of(1)), XT_THROTTLE_FIRST_MS);
    change_by_register(EVENT("a", "number_replaced", "1", "{\"new_id\":\"001090000901\"}"));
    assert_int_equal(failures_of(id_of(901)), 5);
    struct xt_account_event passcode = about(XT_ACCOUNT_PASSCODE_SET, 901);
    passcode.passcode = xt_span_of_string(PHC);
    must(&passcode);
    assert_int_equal(failures_of(id_of(901)), 0);
    close_accounts();
}

static void a_device_does_not_make_up_for_wrong_passcodes(void **state)
{
    (void)state;
    in_child(guess_between_successes);
}

static void use_challenges(void)
{
    open_accounts();
    make_account(1);
    make_account(4);
    struct xt_account_event first = attempt(1, true);
    struct xt_account_event again = first;
    assert_int_equal(tell(&first).attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(tell(&again).attempt, XT_ATTEMPT_USED);
    again.subject = id_of(4); /* a challenge is one challenge, whoever shows it */
    assert_int_equal(tell(&again).attempt, XT_ATTEMPT_USED);
    first = attempt(1, false); /* one that failed is used up as well */
    assert_int_equal(tell(&first).attempt, XT_ATTEMPT_FAILED);
    first.passed = true;
    assert_int_equal(tell(&first).attempt, XT_ATTEMPT_USED);
    first = attempt(1, true);
    first.proof.nonce_count = 2; /* the same for two factors */
    first.proof.nonces[1] = first.proof.nonces[0];
    bool used = false;
    LOOK(xt_live_proof_is_used(live, &first.proof, &used));
    assert_true(used);
    first = attempt(1, true);
    first.proof.nonces[0].expires_ms = now_ms; /* over */
    assert_int_equal(tell(&first).attempt, XT_ATTEMPT_USED);
    assert_int_equal(failures_of(id_of(1)), 4);
    first = attempt(4, true);
    first.proof.nonces[0].expires_ms = now_ms + XT_LIVE_NONCE_MOST_MS + 1; /* none of ours */
    assert_int_equal(tell(&first).attempt, XT_ATTEMPT_USED);
    close_accounts();
}

static void a_challenge_counts_once(void **state)
{
    (void)state;
    in_child(use_challenges);
}

static void set_the_clock_back(void)
{
    open_accounts();
    make_account(1);
    now_ms += 365 * DAY; /* a clock that is ahead */
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    }
    now_ms -= 365 * DAY;
    assert_int_equal(try(1, true), XT_ATTEMPT_THROTTLED);
    now_ms += XT_THROTTLE_FIRST_MS;
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
    close_accounts();
}

static void a_clock_that_was_ahead_does_not_lock_anybody_out(void **state)
{
    (void)state;
    in_child(set_the_clock_back);
}

static void use_challenges_while_throttled(void)
{
    open_accounts();
    make_account(1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    }
    struct xt_account_event waiting = attempt(1, true);
    waiting.proof.nonces[0].expires_ms = now_ms + 120 * SECOND;
    assert_int_equal(tell(&waiting).attempt, XT_ATTEMPT_THROTTLED);
    assert_int_equal(failures_of(id_of(1)), 5);
    now_ms += 30 * SECOND;
    assert_int_equal(tell(&waiting).attempt, XT_ATTEMPT_USED);
    close_accounts();
}

static void a_challenge_shown_too_early_is_used_up_and_not_counted(void **state)
{
    (void)state;
    in_child(use_challenges_while_throttled);
}

static void take_factors_away(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event device = attempt(1, true);
    struct xt_account_event passcode = attempt(1, true);
    passcode.proof = (struct xt_account_proof){.factors = 0};
    add_factor(&passcode.proof, XT_FACTOR_PASSCODE, PHC);
    assert_int_equal(tell(&passcode).attempt, XT_ATTEMPT_PASSED);
    struct xt_account_event both = attempt(1, true);
    add_factor(&both.proof, XT_FACTOR_PASSCODE, "another hash");
    assert_int_equal(tell(&both).attempt, XT_ATTEMPT_UNUSABLE); /* all of it must be his */
    struct xt_account_event card = attempt(1, true);
    add_factor(&card.proof, XT_FACTOR_CARD_CHIP, "");
    card.proof.nonce_count = 2;
    card.proof.nonces[1] = attempt(1, true).proof.nonces[0];
    assert_int_equal(tell(&card).attempt, XT_ATTEMPT_UNUSABLE); /* his card has no key */
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_REMOVED, 1);
    event.device_id = xt_span_of_string("phone");
    must(&event);
    assert_int_equal(tell(&device).attempt, XT_ATTEMPT_UNUSABLE);
    event = about(XT_ACCOUNT_PASSCODE_SET, 1);
    event.passcode = xt_span_of_string(PHC "x");
    must(&event);
    assert_int_equal(tell(&passcode).attempt, XT_ATTEMPT_UNUSABLE);
    close_accounts();
}

static void what_is_not_his_any_more_is_a_failure(void **state)
{
    (void)state;
    in_child(take_factors_away);
}

/* A better hash (costs, in KiB and passes) in place of this one. */
static struct xt_account_event rehash(const char *of, uint32_t memory_kib,
                                      char phc[XT_PASSCODE_PHC_MAX])
{
    struct xt_account_event event = about(XT_ACCOUNT_PASSCODE_REHASHED, 1);
    const struct xt_passcode_costs costs = {.memory_kib = memory_kib, .passes = 1};
    uint8_t pepper[XT_KEY_BYTES];
    size_t size;
    xt_live_pepper(live, pepper);
    assert_int_equal(xt_passcode_hash(&costs, pepper, xt_span_of_string("246810"), phc, &size),
                     XT_OK);
    phc[size] = '\0';
    event.passcode = xt_span_of(phc, size);
    xt_live_factor_digest(live, XT_FACTOR_PASSCODE, xt_span_of_string(of), event.digest);
    return event;
}

static void register_as(const char *device_id, enum xt_unlock unlocked_by)
{
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_REMOVED, 1);
    event.device_id = xt_span_of_string(device_id);
    must(&event);
    event = about(XT_ACCOUNT_DEVICE_ADDED, 1);
    event.device_id = xt_span_of_string(device_id);
    event.key = xt_span_of_string(KEY);
    event.unlocked_by = unlocked_by;
    must(&event);
}

/* What a worker found of the device as it was registered then. */
static struct xt_account_event attempt_as(enum xt_unlock unlocked_by)
{
    struct xt_account_event event = attempt(1, true);
    xt_live_proof_device(live, xt_span_of_string(KEY), unlocked_by, &event.proof);
    return event;
}

static void register_otherwise(void)
{
    open_accounts();
    make_account(1);
    for (unsigned is = 0; is < XT_UNLOCK_COUNT; is++) {
        register_as("phone", (enum xt_unlock)is);
        for (unsigned was = 0; was < XT_UNLOCK_COUNT; was++) {
            struct xt_account_event event = attempt_as((enum xt_unlock)was);
            assert_int_equal(tell(&event).attempt,
                             is == was ? XT_ATTEMPT_PASSED : XT_ATTEMPT_UNUSABLE);
            event = attempt_as((enum xt_unlock)is); /* what it claims and what it was must agree */
            event.proof.unlocked_by = (enum xt_unlock)was;
            assert_int_equal(tell(&event).attempt,
                             is == was ? XT_ATTEMPT_PASSED : XT_ATTEMPT_UNUSABLE);
            event = attempt_as((enum xt_unlock)is); /* nobody waits */
            assert_int_equal(tell(&event).attempt, XT_ATTEMPT_PASSED);
        }
    }
    close_accounts();
}

static void what_was_found_of_a_device_counts_while_the_same_unlocks_it(void **state)
{
    (void)state;
    in_child(register_otherwise);
}

static void hash_again(void)
{
    char first[XT_PASSCODE_PHC_MAX + 1], second[XT_PASSCODE_PHC_MAX + 1];
    char third[XT_PASSCODE_PHC_MAX + 1];
    open_accounts();
    make_account(1);
    assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    struct xt_account_event event = rehash("another text", 64, first);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = rehash(PHC, 64, first);
    event.passcode = xt_span_of_string(PHC "x"); /* no pepper */
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event.passcode = xt_span_of_string(first);
    must(&event);
    assert_true(xt_span_is(look_at(1)->passcode_hash, first));
    assert_int_equal(failures_of(id_of(1)), 1); /* nothing else changes */
    assert_int_equal(look_at(1)->device_count, 1);
    struct xt_account_event late = attempt(1, true);
    add_factor(&late.proof, XT_FACTOR_PASSCODE, PHC);
    assert_int_equal(tell(&late).attempt, XT_ATTEMPT_UNUSABLE); /* checked against the old one */
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = rehash(first, 64, second);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED); /* it is no better: somebody sets a passcode */
    event = rehash(first, 32, second);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = rehash(first, 128, third);
    must(&event);
    assert_true(xt_span_is(look_at(1)->passcode_hash, third));
    close_accounts();
}

static void a_better_hash_takes_the_place_of_the_one_that_was_compared(void **state)
{
    (void)state;
    in_child(hash_again);
}

/* What is shown for a change is tried with it, in one event. */
static void change_with_a_proof(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event shown = attempt(1, true);
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_ADDED, 1);
    event.device_id = xt_span_of_string("tablet");
    event.key = xt_span_of_string("another key");
    event.proof = shown.proof;
    struct xt_live_outcome outcome = tell(&event);
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(look_at(1)->device_count, 2);
    assert_int_equal(tell(&shown).attempt, XT_ATTEMPT_USED); /* its challenge is used up */
    event.device_id = xt_span_of_string("third");
    event.key = xt_span_of_string("a third key");
    outcome = tell(&event); /* with the same challenge: an attempt, and no device */
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.attempt, XT_ATTEMPT_USED);
    assert_int_equal(look_at(1)->device_count, 2);
    assert_int_equal(failures_of(id_of(1)), 2);
    event = about(XT_ACCOUNT_PASSCODE_SET, 1);
    event.passcode = xt_span_of_string(PHC "new");
    add_factor(&event.proof, XT_FACTOR_PASSCODE, "somebody else's hash");
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_UNUSABLE);
    assert_int_equal(failures_of(id_of(1)), 3);
    assert_true(xt_span_is(look_at(1)->passcode_hash, PHC));
    add_factor(&event.proof, XT_FACTOR_PASSCODE, PHC);
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_PASSED);
    assert_true(xt_span_is(look_at(1)->passcode_hash, PHC "new"));
    assert_int_equal(failures_of(id_of(1)), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    }
    add_factor(&event.proof, XT_FACTOR_PASSCODE, PHC "new");
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_THROTTLED);
    close_accounts();
}

static void what_is_shown_for_a_change_counts_as_an_attempt(void **state)
{
    (void)state;
    in_child(change_with_a_proof);
}

static void show_for_what_cannot_be(void)
{
    open_accounts();
    make_account(1);
    assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_ADDED, 1);
    event.device_id = xt_span_of_string("phone");
    event.key = xt_span_of_string("another key");
    event.proof = attempt(1, true).proof;
    struct xt_live_outcome outcome = tell(&event);
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.attempt, XT_ATTEMPT_IN_VAIN);
    assert_int_equal(outcome.conflict, XT_CONFLICT_DEVICE_KNOWN);
    assert_int_equal(look_at(1)->device_count, 1);
    assert_int_equal(failures_of(id_of(1)), 0); /* it passed */
    outcome = tell(&event);                     /* its challenge is used up */
    assert_int_equal(outcome.attempt, XT_ATTEMPT_USED);
    assert_int_equal(outcome.conflict, XT_CONFLICT_NONE);
    assert_int_equal(failures_of(id_of(1)), 1);
    event.proof = (struct xt_account_proof){.factors = 0}; /* he is there: nothing is tried */
    must_not(&event, XT_CONFLICT_DEVICE_KNOWN);
    close_accounts();
}

static void what_was_shown_for_a_change_that_cannot_be_made_is_an_attempt(void **state)
{
    (void)state;
    in_child(show_for_what_cannot_be);
}

/* All at once, in one group: what was told first counts first. */
static void attempt_in_one_group(void)
{
    static struct xt_account_event told[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    open_accounts();
    make_account(1);
    struct xt_account_event same = attempt(1, true);
    for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
        told[i] = i % 2 == 0 ? same : attempt(1, false);
    }
    tell_many(told, XT_LIVE_GROUP_MAX, outcomes);
    for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
        assert_int_equal(outcomes[i].status, XT_OK);
        assert_int_equal(outcomes[i].attempt, i == 0       ? XT_ATTEMPT_PASSED
                                              : i > 5      ? XT_ATTEMPT_THROTTLED
                                              : i % 2 == 0 ? XT_ATTEMPT_USED
                                                           : XT_ATTEMPT_FAILED);
    }
    assert_int_equal(failures_of(id_of(1)), 5);
    close_accounts();
}

static void a_group_of_attempts_is_decided_in_its_order(void **state)
{
    (void)state;
    in_child(attempt_in_one_group);
}

/* An event that is sent again, since nobody knows what came of it, says what came of it. */
static void repeat(void)
{
    static uint8_t body[XT_ACCOUNT_BODY_MAX];
    static uint8_t memory[XT_EVENT_MAX];
    struct xt_event event;
    struct xt_live_outcome outcome;
    struct xt_writer writer = xt_writer_over(memory, sizeof(memory));
    open_accounts();
    make_account(1);
    struct xt_account_event told = attempt(1, false);
    xt_event_from_account(&told, body, &event);
    xt_event_encode(&event, &writer);
    struct xt_span encoded = xt_written(&writer);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(xt_live_apply(live, now_ms, &encoded, 1, &outcome, &failure), XT_OK);
        assert_int_equal(outcome.status, XT_OK);
        assert_int_equal(outcome.attempt, XT_ATTEMPT_FAILED);
        assert_int_equal(outcome.duplicate, i > 0);
        if (i == 1) {
            close_accounts();
            open_accounts();
        }
    }
    assert_int_equal(failures_of(id_of(1)), 1);
    close_accounts();
}

static void an_attempt_sent_again_is_not_counted_again(void **state)
{
    (void)state;
    in_child(repeat);
}

/* ---- nobody ------------------------------------------------------------------------------------- */

static void guess_at_nobody(void)
{
    open_accounts();
    struct xt_id cmnd = {.kind = XT_ID_CMND, .value = 123};
    struct xt_account_event event = attempt(7000, true);
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_UNUSABLE);
    uint64_t before = records();
    sweep_all();
    assert_int_equal(records(), before);
    for (unsigned i = 0; i < 7; i++) {
        event = attempt(7001, false);
        event.subject = cmnd;
        assert_int_equal(tell(&event).attempt, i < 5 ? XT_ATTEMPT_UNUSABLE : XT_ATTEMPT_THROTTLED);
    }
    assert_int_equal(failures_of(cmnd), 5);
    now_ms += DAY / 2;
    event = attempt(7001, false);
    event.subject = cmnd;
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_UNUSABLE);
    now_ms += DAY / 2 + 180 * SECOND;
    sweep_all();
    assert_int_equal(failures_of(cmnd), 6); /* a day after the last, not after the first */
    assert_int_equal(failures_of(id_of(7000)), 0);
    now_ms += DAY / 2;
    sweep_all();
    assert_int_equal(failures_of(cmnd), 0);
    close_accounts();
}

static void failures_at_a_number_that_nobody_has_go_after_a_day(void **state)
{
    (void)state;
    in_child(guess_at_nobody);
}

static void guess_at_many(void)
{
    open_accounts();
    for (unsigned i = 0; i < 20; i++) {
        struct xt_account_event event = attempt(7000 + i, false);
        assert_int_equal(tell(&event).attempt, XT_ATTEMPT_UNUSABLE);
        struct xt_live_throttle_record record;
        LOOK(xt_live_throttle_get(live, id_of(7000 + i), false, &record));
        assert_false(record.there); /* never under the number itself */
        LOOK(xt_live_throttle_get(live, id_of(7000 + i), true, &record));
        assert_true(record.there && record.throttle.failures >= 1);
    }
    close_accounts();
}

static void numbers_that_nobody_has_are_counted_by_a_short_hash(void **state)
{
    (void)state;
    in_child(guess_at_many);
}

static void try_somebody_and_nobody(void)
{
    struct xt_person *other = NULL;
    open_accounts();
    make_account(4);
    uint64_t before = records();
    assert_int_equal(try(4, false), XT_ATTEMPT_FAILED);
    uint64_t somebody = records() - before;
    struct xt_account_event event = attempt(7100, false);
    assert_int_equal(tell(&event).attempt, XT_ATTEMPT_UNUSABLE);
    assert_int_equal(records() - before - somebody, somebody); /* written for either */
    before = records();
    for (unsigned i = 1; i < 8; i++) { /* for who failed before, and waits, as well */
        assert_int_equal(try(4, false), i < 5 ? XT_ATTEMPT_FAILED : XT_ATTEMPT_THROTTLED);
        assert_int_equal(records() - before, i * (somebody - 1)); /* their record is there */
    }
    LOOK(xt_live_load_stand_in(live, id_of(7100).value, &other));
    assert_true(other->number != 0 && other->number != id_of(7100).value);
    close_accounts();
}

static void of_nobody_as_much_is_read_and_written(void **state)
{
    (void)state;
    in_child(try_somebody_and_nobody);
}

_Static_assert(3 * XT_LIVE_GROUP_MAX > XT_LIVE_SWEEP_MOST, "more than one step");

static void sweep_much(void)
{
    static struct xt_account_event told[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    open_accounts();
    make_account(1);
    make_account(4);
    assert_int_equal(try(4, false), XT_ATTEMPT_FAILED);
    now_ms += 600 * SECOND;
    sweep_all();
    uint64_t before = records();
    for (unsigned group = 0; group < 3; group++) {
        for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
            told[i] = attempt(1, true);
        }
        tell_many(told, XT_LIVE_GROUP_MAX, outcomes);
        assert_int_equal(outcomes[XT_LIVE_GROUP_MAX - 1].attempt, XT_ATTEMPT_PASSED);
    }
    assert_true(records() == before + 3ULL * XT_LIVE_GROUP_MAX);
    bool done = true;
    now_ms += 60 * SECOND; /* over, and not swept yet: a clock may go back */
    assert_int_equal(xt_live_sweep(live, now_ms, &done, &failure), XT_OK);
    assert_true(done && records() > before);
    now_ms += 120 * SECOND;
    assert_int_equal(xt_live_sweep(live, now_ms, &done, &failure), XT_OK);
    assert_false(done); /* in steps */
    sweep_all();
    assert_int_equal(records(), before);
    assert_int_equal(failures_of(id_of(4)), 1); /* of somebody they stay */
    close_accounts();
}

static void what_is_over_is_swept_away_in_steps(void **state)
{
    (void)state;
    in_child(sweep_much);
}

/* A record of this kind that holds no such thing. */
static void damage(enum xt_live_kind kind, unsigned person)
{
    uint8_t key[XT_SUBJECT_KEY];
    xt_live_subject_key(id_of(person), key);
    int code = xt_live_begin_write(live);
    live->active = code == 0;
    code = code == 0 ? xt_live_put(live, kind, xt_span_of(key, sizeof(key)), xt_span_of_string("x"))
                     : code;
    assert_int_equal(xt_live_end_write(live, code), 0);
    live->active = false;
}

static void damage_records(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event consent = about(XT_ACCOUNT_CONSENT_GIVEN, 1);
    consent.partner = consent.purpose = xt_span_of_string("bank");
    consent.attributes = 1;
    consent.expires_ms = now_ms + 60 * SECOND;
    add_factor(&consent.proof, XT_FACTOR_DEVICE_KEY, KEY);
    must(&consent);
    damage(XT_LIVE_CONSENTS_OF, 1);
    now_ms += 300 * SECOND;
    sweep_all();
    struct xt_consent gone;
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_consent(live, PERSON_NUMBER(1), consent.id, &gone), XT_NOT_FOUND);
    xt_live_end_look(live);
    damage(XT_LIVE_THROTTLE, 1);
    struct xt_account_event device = attempt(1, true);
    assert_int_equal(tell(&device).status, XT_CORRUPT);
    struct xt_account_event lock = about(XT_ACCOUNT_LOCKED, 1);
    lock.reason = XT_LOCK_HOLDER;
    must(&lock);
    lock.type = XT_ACCOUNT_UNLOCKED; /* which begins to count anew */
    must(&lock);
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED);
    close_accounts();
}

static void a_damaged_record_stops_nothing_but_what_needs_it(void **state)
{
    (void)state;
    in_child(damage_records);
}

/* ---- tokens and keys ---------------------------------------------------------------------------- */

static bool is_revoked(const uint8_t jti[XT_ACCOUNT_ID])
{
    bool revoked;
    uint8_t mark[XT_LIVE_TOKEN_MARK];
    xt_live_token_mark(live, jti, mark);
    LOOK(xt_live_token_is_revoked(live, mark, &revoked));
    return revoked;
}

static void revoke_tokens(void)
{
    open_accounts();
    struct xt_account_event event = about(XT_ACCOUNT_TOKEN_REVOKED, 0);
    xt_live_token_handle(live, PERSON_NUMBER(1), event.id);
    event.expires_ms = now_ms + 900 * SECOND;
    assert_false(is_revoked(event.id));
    must(&event);
    must(&event); /* again, with another id: as well */
    assert_true(is_revoked(event.id));
    now_ms += 900 * SECOND;
    sweep_all();
    assert_true(is_revoked(event.id));
    now_ms += 180 * SECOND;
    sweep_all();
    assert_false(is_revoked(event.id)); /* it is over by itself */
    must(&event);
    assert_false(is_revoked(event.id));
    event.expires_ms = now_ms + 900 * SECOND;
    must(&event);
    event.expires_ms = now_ms + SECOND; /* told again with an earlier end: it stays */
    must(&event);
    now_ms += 300 * SECOND;
    sweep_all();
    assert_true(is_revoked(event.id));
    event.expires_ms = now_ms + XT_LIVE_TOKEN_MOST_MS + 1;
    must_not(&event, XT_CONFLICT_EXPIRED);
    close_accounts();
}

static void a_revoked_token_is_remembered_until_it_is_over(void **state)
{
    (void)state;
    in_child(revoke_tokens);
}

struct derived {
    uint8_t sub[XT_PAIRWISE_BYTES], pepper[XT_KEY_BYTES], jti[XT_ACCOUNT_ID];
    uint8_t digest[XT_ACCOUNT_DIGEST];
};

static void derive(struct derived *into)
{
    xt_live_pairwise(live, PERSON_NUMBER(1), xt_span_of_string("bank"), into->sub);
    xt_live_pepper(live, into->pepper);
    xt_live_factor_digest(live, XT_FACTOR_PASSCODE, xt_span_of_string(PHC), into->digest);
}

static void leap_ahead(void)
{
    bool done;
    open_accounts();
    make_account(1);
    struct xt_account_event once = attempt(1, true);
    assert_int_equal(tell(&once).attempt, XT_ATTEMPT_PASSED);
    struct xt_account_event event = about(XT_ACCOUNT_TOKEN_REVOKED, 0);
    xt_live_token_handle(live, PERSON_NUMBER(1), event.id);
    event.expires_ms = now_ms + 900 * SECOND;
    must(&event);
    assert_int_equal(xt_live_sweep(live, now_ms, &done, &failure), XT_OK);
    assert_int_equal(xt_live_sweep(live, now_ms + 365 * DAY, &done, &failure), XT_OK);
    assert_int_equal(xt_live_sweep(live, now_ms, &done, &failure), XT_OK);
    assert_true(is_revoked(event.id));
    sweep_all();
    now_ms += 1100 * SECOND;
    sweep_all();
    assert_false(is_revoked(event.id));
    close_accounts();
}

static void a_clock_that_leaps_does_not_make_it_forget(void **state)
{
    (void)state;
    in_child(leap_ahead);
}

static void names_differ(void)
{
    uint8_t other[XT_PAIRWISE_BYTES];
    struct derived a;
    open_accounts();
    derive(&a);
    xt_live_pairwise(live, PERSON_NUMBER(1), xt_span_of_string("banks"), other);
    assert_memory_not_equal(other, a.sub, sizeof(other));
    xt_live_pairwise(live, PERSON_NUMBER(2), xt_span_of_string("bank"), other);
    assert_memory_not_equal(other, a.sub, sizeof(other));
    uint8_t digest[XT_ACCOUNT_DIGEST];
    xt_live_factor_digest(live, XT_FACTOR_DEVICE_KEY, xt_span_of_string(PHC), digest);
    assert_memory_not_equal(digest, a.digest, sizeof(digest));
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t jti[2][XT_ACCOUNT_ID];
        uint64_t number;
        xt_live_token_handle(live, PERSON_NUMBER(i), jti[0]);
        xt_live_token_handle(live, PERSON_NUMBER(i), jti[1]);
        assert_memory_not_equal(jti[0], jti[1], XT_ACCOUNT_ID);
        assert_int_equal(xt_live_token_number(live, jti[0], &number), XT_OK);
        assert_true(number == PERSON_NUMBER(i));
        jti[0][i % XT_ACCOUNT_ID] ^= 1;
        assert_true(xt_live_token_number(live, jti[0], &number) != XT_OK ||
                    number != PERSON_NUMBER(i));
    }
    close_accounts();
}

static void a_person_has_another_name_for_each_partner(void **state)
{
    (void)state;
    in_child(names_differ);
}

/* Under a new master key everything is as it was. */
static void seal_anew(void)
{
    struct xt_keyring *keyring = NULL;
    struct derived before, after;
    bool done;
    open_accounts();
    make_account(1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    }
    struct xt_account_event once = attempt(1, true);
    assert_int_equal(tell(&once).attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    derive(&before);
    xt_live_token_handle(live, PERSON_NUMBER(1), before.jti);
    assert_int_equal(run("keys", "rotate", "DIR", "master", NULL), 0);
    assert_int_equal(xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure),
                     XT_OK);
    assert_int_equal(xt_live_reseal(live, keyring, &done, &failure), XT_OK);
    assert_true(done);
    uint64_t number;
    derive(&after);
    assert_memory_equal(before.sub, after.sub, sizeof(before.sub));
    assert_memory_equal(before.pepper, after.pepper, sizeof(before.pepper));
    assert_memory_equal(before.digest, after.digest, sizeof(before.digest));
    assert_int_equal(xt_live_token_number(live, before.jti, &number), XT_OK);
    assert_true(number == PERSON_NUMBER(1));
    assert_int_equal(tell(&once).attempt, XT_ATTEMPT_USED);
    assert_int_equal(failures_of(id_of(1)), 2);
    assert_true(xt_span_is(look_at(1)->passcode_hash, PHC));
    now_ms += DAY;
    sweep_all();
    close_accounts();
    xt_keyring_close(keyring);
}

static void a_new_master_key_changes_nothing_for_accounts(void **state)
{
    (void)state;
    in_child(seal_anew);
}

/* ---- the store as a whole ----------------------------------------------------------------------- */

static void fill(void)
{
    open_accounts();
    make_account(1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(try(1, false), XT_ATTEMPT_FAILED);
    }
    close_accounts();
}

static void look_after_compaction(void)
{
    open_accounts();
    struct xt_generation *served = open_served();
    assert_int_equal(xt_generation_manifest(served)->number, 2);
    xt_generation_close(served);
    for (bool done = false; !done;) {
        assert_int_equal(xt_live_drop_folded(live, &done, &failure), XT_OK);
    }
    struct xt_live_entry entry;
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_entry(live, PERSON_NUMBER(1), &entry), XT_NOT_FOUND);
    xt_live_end_look(live);
    assert_int_equal(look_at(1)->account_level, 2);
    assert_true(xt_span_is(look_at(1)->passcode_hash, PHC));
    assert_int_equal(failures_of(id_of(1)), 3);
    assert_int_equal(try(1, true), XT_ATTEMPT_PASSED); /* his key stands in the generation now */
    close_accounts();
}

static void compaction_takes_accounts_along(void **state)
{
    (void)state;
    in_child(fill);
    if (run("compact", "DIR", "--quiet", NULL) != 0) {
        fail_msg("%s", run_err);
    }
    in_child(look_after_compaction);
}

/* As a program before there were accounts left it. */
static void drop_due(void)
{
    struct MDB_txn *txn = NULL;
    open_accounts();
    assert_int_equal(mdb_txn_begin(live->env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_drop(txn, live->tables[XT_LIVE_DUE], 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    _exit(0);
}

static void a_store_of_before_accounts_is_taken_on(void **state)
{
    (void)state;
    in_child(drop_due);
    in_child(fill);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_PEOPLE(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)
        WITH_PEOPLE(an_account_is_part_of_the_person),
        WITH_PEOPLE(a_lock_tells_since_when_and_by_whom),
        WITH_PEOPLE(deaths_and_revoked_cards_lock_and_tell_so),
        WITH_PEOPLE(a_new_number_takes_failures_and_locks_along),
        WITH_PEOPLE(a_hundred_failures_stop_an_account_until_it_is_reset),
        WITH_PEOPLE(a_success_an_unlocking_or_a_new_passcode_begin_anew),
        WITH_PEOPLE(a_device_does_not_make_up_for_wrong_passcodes),
        WITH_PEOPLE(a_clock_that_was_ahead_does_not_lock_anybody_out),
        WITH_PEOPLE(a_challenge_counts_once),
        WITH_PEOPLE(a_challenge_shown_too_early_is_used_up_and_not_counted),
        WITH_PEOPLE(what_is_not_his_any_more_is_a_failure),
        WITH_PEOPLE(what_was_found_of_a_device_counts_while_the_same_unlocks_it),
        WITH_PEOPLE(a_better_hash_takes_the_place_of_the_one_that_was_compared),
        WITH_PEOPLE(what_is_shown_for_a_change_counts_as_an_attempt),
        WITH_PEOPLE(what_was_shown_for_a_change_that_cannot_be_made_is_an_attempt),
        WITH_PEOPLE(a_group_of_attempts_is_decided_in_its_order),
        WITH_PEOPLE(an_attempt_sent_again_is_not_counted_again),
        WITH_PEOPLE(failures_at_a_number_that_nobody_has_go_after_a_day),
        WITH_PEOPLE(numbers_that_nobody_has_are_counted_by_a_short_hash),
        WITH_PEOPLE(of_nobody_as_much_is_read_and_written),
        WITH_PEOPLE(what_is_over_is_swept_away_in_steps),
        WITH_PEOPLE(a_damaged_record_stops_nothing_but_what_needs_it),
        WITH_PEOPLE(a_revoked_token_is_remembered_until_it_is_over),
        WITH_PEOPLE(a_clock_that_leaps_does_not_make_it_forget),
        WITH_PEOPLE(a_person_has_another_name_for_each_partner),
        WITH_PEOPLE(a_new_master_key_changes_nothing_for_accounts),
        WITH_PEOPLE(compaction_takes_accounts_along),
        WITH_PEOPLE(a_store_of_before_accounts_is_taken_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
