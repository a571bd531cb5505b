/* Consents that were revoked before they were used: for good, of one person, along with his number; and what older
 * programs left of consents in a live store. */
#include <stdio.h>
#include <sys/stat.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"
#include "tests/store/accounts.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define YEAR XT_LIVE_CONSENT_MOST_MS

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, 40);
    now_ms = T0;
    return result;
}

static struct xt_account_event revocation(unsigned person, unsigned id)
{
    struct xt_account_event event = about(XT_ACCOUNT_CONSENT_REVOKED, person);
    struct xt_writer writer = xt_writer_over(event.id, sizeof(event.id));
    for (unsigned i = 0; i < XT_ACCOUNT_ID / 2; i++) {
        xt_put(&writer, id, 2);
    }
    return event;
}

/* The id of consent(person, id). */
static struct xt_account_event revocation_of(unsigned person, uint8_t id)
{
    return revocation(person, id * 0x101U);
}

/* Number n is replaced by PERSON_NUMBER(900). */
static void replace(unsigned n)
{
    char line[256];
    const char *lines[1] = {line};
    struct xt_live_outcome outcome;
    snprintf(line, sizeof(line),
             "{\"event_id\":\"r\",\"type\":\"number_replaced\",\"id\":\"00109000%04u\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"new_id\":\"001090000900\"}}",
             n);
    apply_changes(live, lines, 1, &outcome);
    assert_int_equal(outcome.status, XT_OK);
}

static bool is_barred(unsigned person, const struct xt_account_event *told)
{
    bool barred;
    LOOK(xt_live_consent_is_barred(live, PERSON_NUMBER(person), told->id, &barred));
    return barred;
}

/* At once, as if there had been a step every ten minutes. */
static void wait_a_year(void)
{
    now_ms += YEAR + 3600 * SECOND;
    live->swept_ms = now_ms - SECOND;
    sweep_all();
}

/* ---- for good ----------------------------------------------------------------------------------- */

static void revoke_and_wait(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event revoked = revocation_of(1, 9);
    must(&revoked);
    wait_a_year();
    assert_int_equal(count_consents(1), 0);
    close_accounts();
    open_accounts();
    struct xt_account_event event = consent(1, 9);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    must(&revoked); /* he sees it again */
    must_not(&revoked, XT_CONFLICT_CONSENT_REVOKED);
    assert_int_equal(count_consents(1), 1);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    assert_true(is_barred(1, &event));
    assert_false(is_barred(4, &event));
    close_accounts();
}

static void what_was_revoked_unused_never_counts_again(void **state)
{
    (void)state;
    in_child(revoke_and_wait);
}

static void revoke_without_end(void)
{
    static struct xt_account_event told[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    open_accounts();
    make_account(1);
    make_account(4);
    struct xt_account_event given = consent(1, 255);
    must(&given);
    for (unsigned id = 1; id <= XT_LIVE_REVOKED_MAX;) {
        unsigned count = 0;
        for (; count < XT_LIVE_GROUP_MAX && id <= XT_LIVE_REVOKED_MAX; count++) {
            told[count] = revocation(1, id++);
        }
        tell_many(told, count, outcomes);
        assert_int_equal(outcomes[0].status, XT_OK);
        assert_int_equal(outcomes[count - 1].status, XT_OK);
    }
    struct xt_account_event more = revocation(1, XT_LIVE_REVOKED_MAX + 1);
    must_not(&more, XT_CONFLICT_TOO_MANY);
    more.subject = id_of(4);
    must(&more); /* others go on */
    more = revocation_of(1, 255);
    must(&more); /* what is on record can be revoked all the same */
    wait_a_year();
    for (unsigned id = 1; id <= XT_LIVE_REVOKED_MAX; id += 401) {
        struct xt_account_event event = consent(1, 0);
        more = revocation(1, id);
        memcpy(event.id, more.id, sizeof(event.id));
        must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
        must(&more); /* takes no more room */
    }
    replace(1);
    more = revocation(900, XT_LIVE_REVOKED_MAX);
    assert_true(is_barred(900, &more));
    assert_false(is_barred(1, &more));
    more = revocation(900, XT_LIVE_REVOKED_MAX + 2);
    must_not(&more, XT_CONFLICT_TOO_MANY);
    close_accounts();
}

static void there_is_an_end_to_what_is_kept_of_a_person(void **state)
{
    (void)state;
    in_child(revoke_without_end);
}

/* ---- new numbers -------------------------------------------------------------------------------- */

static void move_more_than_a_list_holds(void)
{
    open_accounts();
    make_account(1);
    for (unsigned id = 1; id <= XT_LIVE_CONSENTS_MAX + 6; id++) {
        struct xt_account_event revoked = revocation_of(1, (uint8_t)id);
        must(&revoked);
    }
    replace(1);
    assert_int_equal(count_consents(900), XT_LIVE_CONSENTS_MAX);
    for (unsigned id = 1; id <= XT_LIVE_CONSENTS_MAX + 6; id++) {
        struct xt_account_event event = consent(900, (uint8_t)id);
        must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    }
    struct xt_account_event event = consent(900, 200);
    struct xt_live_outcome outcome = tell(&event);
    assert_int_equal(outcome.conflict, XT_CONFLICT_TOO_MANY); /* of the list; it is not barred */
    close_accounts();
}

static void a_new_number_takes_all_of_them_along(void **state)
{
    (void)state;
    in_child(move_more_than_a_list_holds);
}

/* As an older program has it: under its id alone. attributes 0: revoked unused. */
static int put_older(unsigned person, uint8_t id, uint64_t revoked_ms, uint32_t attributes)
{
    static const char partner[] = "bank";
    uint8_t fields[128];
    uint8_t key[XT_ACCOUNT_ID];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    struct xt_live_ids list;
    uint64_t expires_ms = now_ms + (attributes == 0 ? YEAR : 3600 * SECOND);
    memset(key, id, sizeof(key));
    xt_put(&writer, PERSON_NUMBER(person), 5);
    xt_write(&writer, key, sizeof(key));
    xt_put(&writer, now_ms, 8);
    xt_put(&writer, expires_ms, 8);
    xt_put(&writer, revoked_ms, 8);
    xt_put(&writer, attributes, 4);
    xt_put(&writer, strlen(partner), 1);
    xt_write_string(&writer, partner);
    xt_write_string(&writer, "account.open");
    assert_int_equal(xt_live_ids_get(live, XT_LIVE_CONSENTS_OF, id_of(person), &list), XT_OK);
    memcpy(list.ids[list.count++], key, sizeof(key));
    int code = xt_live_put_until(live, XT_LIVE_CONSENT, xt_span_of(key, sizeof(key)),
                                 xt_written(&writer), expires_ms);
    return code == 0 ? xt_live_ids_put(live, XT_LIVE_CONSENTS_OF, id_of(person), &list) : code;
}

static bool is_under_older_key(uint8_t id)
{
    uint8_t key[XT_ACCOUNT_ID];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    memset(key, id, sizeof(key));
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    enum xt_status status =
        xt_live_get(live, XT_LIVE_CONSENT, xt_span_of(key, sizeof(key)), fields, &size, NULL);
    xt_live_end_look(live);
    return status == XT_OK;
}

static void begin_group(void)
{
    assert_int_equal(xt_live_begin_write(live), 0);
    live->active = true;
}

static void end_group(int code)
{
    assert_int_equal(xt_live_end_write(live, code), 0);
    live->active = false;
}

static uint64_t revoked_ms(unsigned person, uint8_t id)
{
    struct xt_account_event event = consent(person, id);
    struct xt_consent read;
    LOOK(xt_live_consent(live, PERSON_NUMBER(person), event.id, &read));
    assert_true(read.number == PERSON_NUMBER(person));
    return read.revoked_ms;
}

static void move_to_what_is_there(void)
{
    open_accounts();
    make_account(1);
    for (uint8_t id = 1; id <= 4; id++) {
        struct xt_account_event event = consent(1, id);
        must(&event);
    }
    struct xt_account_event revoked = revocation_of(1, 4);
    must(&revoked);
    enum xt_status barred;
    begin_group(); /* of somebody who had that number, and whom the register has no more */
    int code = xt_live_bar_consent(live, PERSON_NUMBER(900), consent(900, 1).id, &barred);
    code = code == 0 ? put_older(900, 2, now_ms, 5) : code;
    code = code == 0 ? put_older(900, 3, 0, 5) : code;
    code = code == 0 ? put_older(900, 4, 0, 5) : code;
    end_group(code);
    replace(1);
    assert_true(revoked_ms(900, 1) != 0);
    assert_true(revoked_ms(900, 2) != 0);
    assert_true(revoked_ms(900, 3) == 0);
    assert_true(revoked_ms(900, 4) != 0);
    assert_int_equal(count_consents(900), 4);
    assert_int_equal(count_consents(1), 0);
    now_ms += 2 * 3600 * SECOND;
    sweep_all();
    assert_int_equal(count_consents(900), 0);
    close_accounts();
}

static void at_a_new_number_the_revoked_one_counts(void **state)
{
    (void)state;
    in_child(move_to_what_is_there);
}

/* ---- older programs ----------------------------------------------------------------------------- */

static void go_on_with_an_older_store(void)
{
    open_accounts();
    make_account(1);
    make_account(4);
    begin_group();
    int code = put_older(1, 1, 0, 5);
    code = code == 0 ? put_older(1, 2, now_ms, 5) : code;
    code = code == 0 ? put_older(1, 3, now_ms, 0) : code;
    code = code == 0 ? put_older(4, 4, 0, 5) : code;
    end_group(code);
    struct xt_account_event event = consent(1, 1);
    must_not(&event, XT_CONFLICT_CONSENT_KNOWN);
    assert_int_equal(count_consents(1), 3);
    assert_true(revoked_ms(1, 1) == 0 && revoked_ms(1, 2) == now_ms && revoked_ms(4, 4) == 0);
    struct xt_account_event revoked = revocation_of(1, 1);
    must(&revoked);
    must_not(&revoked, XT_CONFLICT_CONSENT_REVOKED);
    assert_true(revoked_ms(1, 1) == now_ms);
    assert_false(is_under_older_key(1));
    assert_int_equal(count_consents(1), 3);
    for (uint8_t id = 2; id <= 3; id++) {
        event = consent(1, id);
        must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    }
    event = consent(1, 4); /* another person's name */
    must(&event);
    revoked = revocation_of(1, 4);
    must(&revoked);
    assert_true(is_under_older_key(4) && revoked_ms(4, 4) == 0);
    wait_a_year();
    assert_false(is_under_older_key(3) || is_under_older_key(4));
    event = consent(1, 3);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    assert_int_equal(count_consents(1), 0);
    assert_int_equal(count_consents(4), 0);
    close_accounts();
}

static void consents_of_older_programs_go_on(void **state)
{
    (void)state;
    in_child(go_on_with_an_older_store);
}

static void move_an_older_one(void)
{
    open_accounts();
    make_account(1);
    begin_group();
    int code = put_older(1, 1, 0, 5);
    code = code == 0 ? put_older(1, 2, now_ms, 0) : code;
    end_group(code);
    replace(1);
    assert_true(revoked_ms(900, 1) == 0 && revoked_ms(900, 2) != 0);
    assert_false(is_under_older_key(1) || is_under_older_key(2));
    wait_a_year();
    struct xt_account_event event = consent(900, 2);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    close_accounts();
}

static void consents_of_older_programs_move_along(void **state)
{
    (void)state;
    in_child(move_an_older_one);
}

/* An older program does not find what is given, and puts what it revokes on record as never used. */
static void revoke_by_an_older_program(void)
{
    open_accounts();
    make_account(1);
    struct xt_account_event event = consent(1, 1);
    must(&event);
    begin_group();
    end_group(put_older(1, 1, now_ms, 0));
    assert_true(revoked_ms(1, 1) == now_ms);
    must_not(&event, XT_CONFLICT_CONSENT_REVOKED);
    close_accounts();
}

static void what_an_older_program_revoked_in_between_is_revoked(void **state)
{
    (void)state;
    in_child(revoke_by_an_older_program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_PEOPLE(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)
        WITH_PEOPLE(what_was_revoked_unused_never_counts_again),
        WITH_PEOPLE(there_is_an_end_to_what_is_kept_of_a_person),
        WITH_PEOPLE(a_new_number_takes_all_of_them_along),
        WITH_PEOPLE(at_a_new_number_the_revoked_one_counts),
        WITH_PEOPLE(consents_of_older_programs_go_on),
        WITH_PEOPLE(consents_of_older_programs_move_along),
        WITH_PEOPLE(what_an_older_program_revoked_in_between_is_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
