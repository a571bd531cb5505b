/* Consents and requests by the back channel in the live store: given, decided and taken once. */
#include <stdio.h>
#include <sys/stat.h>

#include "tests/store/accounts.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, 40);
    now_ms = T0;
    return result;
}

static void die(const char *number)
{
    char line[256];
    const char *lines[1] = {line};
    struct xt_live_outcome outcome;
    snprintf(line, sizeof(line),
             "{\"event_id\":\"d%s\",\"type\":\"deceased\",\"id\":\"%s\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{}}",
             number, number);
    apply_changes(live, lines, 1, &outcome);
    assert_int_equal(outcome.status, XT_OK);
}

/* ---- consents ---------------------------------------------------------------------------------- */

static struct xt_consent read_consent(const struct xt_account_event *told)
{
    struct xt_consent read;
    LOOK(xt_live_consent(live, told->subject.value, told->id, &read));
    return read;
}

static void give_and_revoke(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event first = consent(1, 1);
    struct xt_account_event second = consent(1, 2);
    second.partner = xt_span_of_string("clinic");
    must(&first);
    must(&second);
    must_not(&first, XT_CONFLICT_CONSENT_KNOWN);
    struct xt_consent read = read_consent(&second);
    assert_string_equal(read.partner, "clinic");
    assert_string_equal(read.purpose, "account.open");
    assert_true(read.number == PERSON_NUMBER(1) && read.attributes == 5);
    assert_true(read.given_ms == T0 && read.expires_ms == T0 + 3600 * SECOND);
    assert_true(read.revoked_ms == 0);
    assert_int_equal(count_consents(1), 2);
    assert_int_equal(count_consents(4), 0);
    now_ms += SECOND;
    struct xt_account_event revoked = first;
    revoked.type = XT_ACCOUNT_CONSENT_REVOKED;
    must(&revoked);
    must_not(&revoked, XT_CONFLICT_CONSENT_REVOKED);
    assert_true(read_consent(&first).revoked_ms == now_ms);
    assert_true(read_consent(&second).revoked_ms == 0);
    must_not(&first, XT_CONFLICT_CONSENT_REVOKED); /* the same signature gives no second one */
    assert_int_equal(count_consents(1), 2);
    now_ms += 3800 * SECOND;
    sweep_all();
    assert_int_equal(count_consents(1), 0);
    must_not(&first, XT_CONFLICT_EXPIRED);
    close_accounts();
}

static void a_consent_counts_until_it_is_revoked_or_over(void **state)
{
    (void)state;
    in_child(give_and_revoke);
}

#define HERS "a key of hers"

static void give_under_one_name(void)
{
    open_accounts();
    make_account(1);
    make_account(4);
    make_account(7);
    struct xt_account_event added = about(XT_ACCOUNT_DEVICE_ADDED, 4);
    added.device_id = xt_span_of_string("hers");
    added.key = xt_span_of_string(HERS);
    must(&added);
    struct xt_account_event his = consent(1, 1);
    struct xt_account_event hers = consent(4, 1);
    struct xt_account_event unused = consent(7, 1);
    struct xt_account_event revoked = consent(7, 1);
    revoked.type = XT_ACCOUNT_CONSENT_REVOKED;
    add_factor(&hers.proof, XT_FACTOR_DEVICE_KEY, HERS);
    must(&revoked);
    must(&his);
    must(&hers);
    must_not(&hers, XT_CONFLICT_CONSENT_KNOWN);
    must_not(&unused, XT_CONFLICT_CONSENT_REVOKED);
    revoked.subject = id_of(4);
    must(&revoked);
    assert_true(read_consent(&his).revoked_ms == 0);
    assert_true(read_consent(&hers).revoked_ms == now_ms);
    assert_true(read_consent(&his).number == PERSON_NUMBER(1));
    assert_true(read_consent(&hers).number == PERSON_NUMBER(4));
    now_ms += 3800 * SECOND;
    sweep_all();
    assert_int_equal(count_consents(1), 0);
    assert_int_equal(count_consents(4), 0);
    assert_int_equal(count_consents(7), 1);
    close_accounts();
}

static void a_consent_is_of_one_person_whatever_others_name_theirs(void **state)
{
    (void)state;
    in_child(give_under_one_name);
}

static void give_for_two(void)
{
    open_accounts();
    make_account(1);
    make_account(4); /* with the same key */
    struct xt_account_event event = consent(1, 1);
    must(&event);
    event.subject = id_of(4);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    struct xt_account_event other = consent(4, 2);
    must(&other);
    now_ms += 3800 * SECOND;
    uint64_t before = records();
    sweep_all();
    assert_int_equal(records(),
                     before - 10); /* of each: itself, the key's, their lines, the list */
    close_accounts();
}

static void what_a_key_has_signed_is_of_one_person(void **state)
{
    (void)state;
    in_child(give_for_two);
}

/* The same device, of which something else is said. */
static void register_as(unsigned person, enum xt_unlock unlocked_by)
{
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_REMOVED, person);
    event.device_id = xt_span_of_string("phone");
    must(&event);
    event = about(XT_ACCOUNT_DEVICE_ADDED, person);
    event.device_id = xt_span_of_string("phone");
    event.key = xt_span_of_string(KEY);
    event.unlocked_by = unlocked_by;
    must(&event);
}

static struct xt_account_event consent_by(unsigned person, uint8_t id, enum xt_unlock unlocked_by)
{
    struct xt_account_event event = consent(person, id);
    xt_live_proof_device(live, xt_span_of_string(KEY), unlocked_by, &event.proof);
    return event;
}

static void give_for_two_otherwise(void)
{
    open_accounts();
    make_account(1);
    make_account(4); /* with the same key */
    register_as(4, XT_UNLOCK_FACE);
    struct xt_account_event event = consent(1, 1);
    must(&event);
    event = consent_by(4, 1, XT_UNLOCK_FACE);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = consent_by(4, 2, XT_UNLOCK_FACE);
    must(&event);
    event = consent(1, 2);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    register_as(4, XT_UNLOCK_BIOMETRIC);
    event = consent_by(4, 1, XT_UNLOCK_BIOMETRIC);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    close_accounts();
}

static void what_a_key_has_signed_is_of_one_person_whatever_unlocks_it(void **state)
{
    (void)state;
    in_child(give_for_two_otherwise);
}

static void revoke_unused(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event event = consent(1, 9);
    struct xt_account_event revoked = event;
    revoked.type = XT_ACCOUNT_CONSENT_REVOKED;
    revoked.subject = id_of(5000); /* nobody */
    must_not(&revoked, XT_CONFLICT_CONSENT_UNKNOWN);
    revoked.subject = id_of(1);
    must(&revoked);
    must_not(&revoked, XT_CONFLICT_CONSENT_REVOKED);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    struct xt_consent read = read_consent(&event);
    assert_true(read.number == PERSON_NUMBER(1) && read.attributes == 0);
    assert_true(read.revoked_ms == now_ms && read.expires_ms == now_ms + XT_LIVE_CONSENT_MOST_MS);
    assert_int_equal(count_consents(1), 1);
    now_ms += XT_LIVE_CONSENT_MOST_MS - SECOND; /* longer than any that was signed before it */
    sweep_all();
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    now_ms += 300 * SECOND;
    sweep_all();
    assert_int_equal(count_consents(1), 0);
    event.expires_ms = now_ms + 3600 * SECOND; /* it was dated ahead */
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    for (unsigned i = 0; i < XT_LIVE_CONSENTS_MAX; i++) {
        memset(revoked.id, (int)i, sizeof(revoked.id));
        must(&revoked);
    }
    memset(revoked.id, XT_LIVE_CONSENTS_MAX, sizeof(revoked.id));
    must(&revoked); /* a full list does not stand in the way, and does not grow */
    memcpy(event.id, revoked.id, sizeof(event.id));
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    assert_int_equal(count_consents(1), XT_LIVE_CONSENTS_MAX);
    close_accounts();
}

static void a_consent_that_was_never_used_is_revoked_all_the_same(void **state)
{
    (void)state;
    in_child(revoke_unused);
}

static void give_wrongly(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event event = consent(1, 1);
    add_factor(&event.proof, XT_FACTOR_DEVICE_KEY, "another key");
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = consent(3, 1); /* has no account */
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = consent(5000, 1);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    event = consent(1, 1);
    event.expires_ms = now_ms;
    must_not(&event, XT_CONFLICT_EXPIRED);
    event.expires_ms = now_ms + XT_LIVE_CONSENT_MOST_MS + 1;
    must_not(&event, XT_CONFLICT_EXPIRED);
    for (unsigned i = 0; i < XT_LIVE_CONSENTS_MAX; i++) {
        event = consent(1, (uint8_t)i);
        must(&event);
    }
    event = consent(1, XT_LIVE_CONSENTS_MAX);
    must_not(&event, XT_CONFLICT_TOO_MANY);
    make_account(4);
    struct xt_account_event lock = about(XT_ACCOUNT_LOCKED, 4);
    lock.reason = XT_LOCK_BREACH;
    must(&lock);
    event = consent(4, 200);
    must_not(&event, XT_CONFLICT_PROOF_REFUSED);
    close_accounts();
}

static void a_consent_needs_a_device_of_his_and_an_open_account(void **state)
{
    (void)state;
    in_child(give_wrongly);
}

/* ---- requests by the back channel ---------------------------------------------------------------- */

static struct xt_account_event ask(unsigned person, uint8_t id)
{
    struct xt_account_event event = about(XT_ACCOUNT_BACKCHANNEL_ASKED, person);
    event.actor = xt_span_of_string("portal");
    event.purpose = xt_span_of_string("portal.login");
    event.scope = xt_span_of_string("openid");
    event.binding = xt_span_of_string("Mã 1234");
    event.expires_ms = now_ms + 300 * SECOND;
    memset(event.id, id, sizeof(event.id));
    return event;
}

static struct xt_account_event answer(uint8_t id, bool approved)
{
    struct xt_account_event event = attempt(1, true);
    event.type = XT_ACCOUNT_BACKCHANNEL_DECIDED;
    event.approved = approved;
    event.acr = approved ? 1 : 0;
    memset(event.id, id, sizeof(event.id));
    return event;
}

static struct xt_account_event take(uint8_t id)
{
    struct xt_account_event event = about(XT_ACCOUNT_BACKCHANNEL_TAKEN, 0);
    event.actor = xt_span_of_string("portal");
    memset(event.id, id, sizeof(event.id));
    return event;
}

static struct xt_backchannel read_request(uint8_t id)
{
    uint8_t bytes[XT_ACCOUNT_ID];
    struct xt_backchannel request;
    memset(bytes, id, sizeof(bytes));
    LOOK(xt_live_backchannel(live, bytes, &request));
    return request;
}

static unsigned count_requests(struct xt_id subject)
{
    uint8_t ids[XT_LIVE_REQUESTS_MAX][XT_ACCOUNT_ID];
    unsigned count;
    LOOK(xt_live_backchannels(live, subject, ids, &count));
    return count;
}

static void approve(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event asked = ask(1, 1);
    struct xt_account_event approved = answer(1, true);
    struct xt_account_event denied = answer(1, false);
    struct xt_account_event taken = take(1);
    must_not(&approved, XT_CONFLICT_REQUEST_UNKNOWN);
    must_not(&taken, XT_CONFLICT_REQUEST_UNKNOWN);
    must(&asked);
    must_not(&asked, XT_CONFLICT_REQUEST_KNOWN);
    must_not(&taken, XT_CONFLICT_REQUEST_PENDING);
    struct xt_backchannel request = read_request(1);
    assert_int_equal(request.state, XT_BACKCHANNEL_PENDING);
    assert_string_equal(request.partner, "portal");
    assert_string_equal(request.purpose, "portal.login");
    assert_string_equal(request.scope, "openid");
    assert_string_equal(request.binding, "Mã 1234");
    assert_true(request.subject.value == PERSON_NUMBER(1) && request.asked_ms == T0);
    assert_int_equal(count_requests(id_of(1)), 1);
    must(&approved);
    must_not(&approved, XT_CONFLICT_REQUEST_DECIDED);
    must_not(&denied, XT_CONFLICT_REQUEST_DECIDED);
    request = read_request(1);
    assert_int_equal(request.state, XT_BACKCHANNEL_APPROVED);
    assert_true(request.acr == 1 && request.factors == XT_FACTOR_DEVICE_KEY);
    struct xt_account_event stolen = taken;
    stolen.actor = xt_span_of_string("bank");
    must_not(&stolen, XT_CONFLICT_REQUEST_UNKNOWN);
    must(&taken);
    must_not(&taken, XT_CONFLICT_REQUEST_TAKEN);
    now_ms += 300 * SECOND;
    must_not(&taken, XT_CONFLICT_REQUEST_UNKNOWN);
    now_ms += 180 * SECOND;
    sweep_all();
    assert_int_equal(count_requests(id_of(1)), 0);
    close_accounts();
}

static void a_request_is_decided_once_and_taken_once(void **state)
{
    (void)state;
    in_child(approve);
}

static void deny(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event asked = ask(1, 1);
    struct xt_account_event denied = answer(1, false);
    struct xt_account_event taken = take(1);
    must(&asked);
    must(&denied);
    must_not(&taken, XT_CONFLICT_REQUEST_DENIED);
    asked = ask(1, 2);
    must(&asked);
    struct xt_account_event late = answer(2, true);
    late.proof.nonces[0].expires_ms = asked.expires_ms + SECOND;
    now_ms = asked.expires_ms;
    must_not(&late, XT_CONFLICT_REQUEST_UNKNOWN);
    asked = ask(1, 3);
    asked.expires_ms = now_ms + XT_LIVE_REQUEST_MOST_MS + 1;
    must_not(&asked, XT_CONFLICT_EXPIRED);
    close_accounts();
}

static void a_denied_request_and_one_that_is_over_give_nothing(void **state)
{
    (void)state;
    in_child(deny);
}

static void ask_often(void)
{
    open_accounts();
    make_account(1);
    for (uint8_t id = 1; id <= 3 * XT_LIVE_REQUESTS_MAX; id++) {
        struct xt_account_event asked = ask(1, id);
        struct xt_account_event denied = answer(id, false);
        must(&asked);
        must(&denied);
    }
    struct xt_account_event more = ask(1, 90);
    for (uint8_t id = 101; id <= 100 + XT_LIVE_REQUESTS_MAX; id++) {
        struct xt_account_event asked = ask(1, id);
        if (id > 100 + XT_LIVE_REQUESTS_SHARE) {
            must_not(&asked, XT_CONFLICT_TOO_MANY); /* of one partner */
            asked.actor = xt_span_of_string("bank");
        }
        must(&asked);
    }
    more.actor = xt_span_of_string("clinic");
    must_not(&more, XT_CONFLICT_TOO_MANY);
    assert_int_equal(count_requests(id_of(1)), XT_LIVE_REQUESTS_MAX);
    struct xt_account_event known = ask(1, 3 * XT_LIVE_REQUESTS_MAX);
    must_not(&known, XT_CONFLICT_REQUEST_KNOWN); /* it is there until it is over */
    now_ms += 300 * SECOND;                      /* over, and not swept away yet */
    more = ask(1, 91);
    must(&more);
    close_accounts();
}

static void only_pending_requests_take_up_a_place(void **state)
{
    (void)state;
    in_child(ask_often);
}

static void replace_a_number(void)
{
    uint8_t ids[XT_LIVE_CONSENTS_MAX][XT_ACCOUNT_ID];
    unsigned count;
    const char *line = "{\"event_id\":\"r\",\"type\":\"number_replaced\",\"id\":\"001090000001\","
                       "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"new_id\":\"001090000900\"}}";
    struct xt_live_outcome outcome;
    open_accounts();
    make_account(1);
    struct xt_account_event given = consent(1, 1);
    struct xt_account_event asked = ask(1, 2);
    must(&given);
    must(&asked);
    apply_changes(live, &line, 1, &outcome);
    assert_int_equal(outcome.status, XT_OK);
    LOOK(xt_live_consents(live, PERSON_NUMBER(900), ids, &count));
    assert_int_equal(count, 1);
    LOOK(xt_live_consents(live, PERSON_NUMBER(1), ids, &count));
    assert_int_equal(count, 0);
    given.subject = id_of(900);
    assert_true(read_consent(&given).number == PERSON_NUMBER(900));
    assert_int_equal(count_requests(id_of(900)), 1);
    assert_int_equal(count_requests(id_of(1)), 0);
    struct xt_account_event approved = answer(2, true);
    must(&approved); /* by the device that went along */
    struct xt_account_event revoked = given;
    revoked.type = XT_ACCOUNT_CONSENT_REVOKED;
    revoked.subject = id_of(900);
    must(&revoked);
    now_ms += 2 * 3600 * SECOND;
    sweep_all();
    LOOK(xt_live_consents(live, PERSON_NUMBER(900), ids, &count));
    assert_int_equal(count, 0);
    close_accounts();
}

static void a_new_number_takes_consents_and_requests_along(void **state)
{
    (void)state;
    in_child(replace_a_number);
}

/* A decision that proves nothing: an attempt that fails, as any other. */
static enum xt_attempt try_to_decide(const struct xt_account_event *event)
{
    struct xt_live_outcome outcome = tell(event);
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.conflict, XT_CONFLICT_NONE);
    assert_true(outcome.attempt == XT_ATTEMPT_PASSED ||
                read_request(event->id[0]).state == XT_BACKCHANNEL_PENDING);
    return outcome.attempt;
}

static void approve_wrongly(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event asked = ask(1, 1);
    must(&asked);
    struct xt_account_event approved = answer(1, true);
    struct xt_account_event wrong = answer(1, true);
    add_factor(&wrong.proof, XT_FACTOR_DEVICE_KEY, "another key");
    assert_int_equal(try_to_decide(&wrong), XT_ATTEMPT_UNUSABLE);
    assert_int_equal(failures_of(id_of(1)), 1);
    struct xt_account_event used = attempt(1, true);
    assert_int_equal(tell(&used).attempt, XT_ATTEMPT_PASSED);
    assert_int_equal(failures_of(id_of(1)), 0);
    wrong = approved;
    wrong.proof = used.proof;
    assert_int_equal(try_to_decide(&wrong), XT_ATTEMPT_USED);
    for (unsigned i = 2; i <= 5; i++) {
        wrong = answer(1, i % 2 == 0);
        wrong.passed = false; /* as the worker found it */
        assert_int_equal(try_to_decide(&wrong), XT_ATTEMPT_FAILED);
        assert_int_equal(failures_of(id_of(1)), i);
    }
    used = attempt(1, true); /* its challenge is used up with it */
    used.proof = wrong.proof;
    struct xt_account_event waiting = answer(1, true);
    assert_int_equal(try_to_decide(&waiting), XT_ATTEMPT_THROTTLED);
    assert_int_equal(try(1, true), XT_ATTEMPT_THROTTLED);
    assert_int_equal(failures_of(id_of(1)), 5);
    now_ms += 30 * SECOND;
    assert_int_equal(try_to_decide(&approved), XT_ATTEMPT_PASSED);
    assert_int_equal(failures_of(id_of(1)), 0);
    assert_int_equal(tell(&used).attempt, XT_ATTEMPT_USED);
    struct xt_account_event again = attempt(1, true); /* its challenge is used up */
    again.proof = approved.proof;
    assert_int_equal(tell(&again).attempt, XT_ATTEMPT_USED);
    /* What is decided is told to everybody, whatever he shows, and nothing is counted. */
    uint32_t failures = failures_of(id_of(1));
    wrong = answer(1, true);
    wrong.passed = false;
    must_not(&wrong, XT_CONFLICT_REQUEST_DECIDED);
    assert_int_equal(failures_of(id_of(1)), failures);
    die("001090000001");
    struct xt_account_event taken = take(1);
    must_not(&taken, XT_CONFLICT_PROOF_REFUSED); /* who died in between gets no token */
    close_accounts();
}

static void an_approval_counts_like_an_attempt(void **state)
{
    (void)state;
    in_child(approve_wrongly);
}

static void ask_nobody(void)
{
    open_accounts();
    struct xt_account_event asked = ask(0, 1);
    asked.subject = (struct xt_id){.kind = XT_ID_CMND, .value = 77};
    must(&asked);
    assert_int_equal(count_requests(asked.subject), 1);
    struct xt_account_event approved = answer(1, true);
    assert_int_equal(try_to_decide(&approved), XT_ATTEMPT_UNUSABLE);
    assert_int_equal(failures_of(asked.subject), 1);
    for (uint8_t i = 2; i <= XT_LIVE_REQUESTS_MAX; i++) {
        memset(asked.id, i, sizeof(asked.id));
        asked.actor = xt_span_of_string(i <= XT_LIVE_REQUESTS_SHARE ? "portal" : "bank");
        must(&asked);
    }
    memset(asked.id, 100, sizeof(asked.id));
    asked.actor = xt_span_of_string("clinic");
    must_not(&asked, XT_CONFLICT_TOO_MANY);
    asked = ask(7000, 101);
    must(&asked);
    approved = answer(101, true);
    assert_int_equal(try_to_decide(&approved), XT_ATTEMPT_UNUSABLE);
    assert_int_equal(failures_of(asked.subject), 1);
    close_accounts();
}

static void a_request_about_nobody_is_kept_and_never_approved(void **state)
{
    (void)state;
    in_child(ask_nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_PEOPLE(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)
        WITH_PEOPLE(a_consent_counts_until_it_is_revoked_or_over),
        WITH_PEOPLE(a_consent_is_of_one_person_whatever_others_name_theirs),
        WITH_PEOPLE(what_a_key_has_signed_is_of_one_person),
        WITH_PEOPLE(what_a_key_has_signed_is_of_one_person_whatever_unlocks_it),
        WITH_PEOPLE(a_consent_that_was_never_used_is_revoked_all_the_same),
        WITH_PEOPLE(a_consent_needs_a_device_of_his_and_an_open_account),
        WITH_PEOPLE(a_request_is_decided_once_and_taken_once),
        WITH_PEOPLE(a_denied_request_and_one_that_is_over_give_nothing),
        WITH_PEOPLE(a_new_number_takes_consents_and_requests_along),
        WITH_PEOPLE(only_pending_requests_take_up_a_place),
        WITH_PEOPLE(an_approval_counts_like_an_attempt),
        WITH_PEOPLE(a_request_about_nobody_is_kept_and_never_approved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
