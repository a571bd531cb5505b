/* Since when a person has a device: kept for as long as it matters, and begun anew by one that comes back. */
#include <stdio.h>
#include <sys/stat.h>

#include "store/live_account_internal.h"
#include "tests/store/accounts.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define DAY (24 * 3600 * SECOND)

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, 40);
    now_ms = T0;
    return result;
}

static void add(unsigned person, const char *name, const char *key)
{
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_ADDED, person);
    event.device_id = xt_span_of_string(name);
    event.key = xt_span_of_string(key);
    must(&event);
}

static void take_away(unsigned person, const char *name)
{
    struct xt_account_event event = about(XT_ACCOUNT_DEVICE_REMOVED, person);
    event.device_id = xt_span_of_string(name);
    must(&event);
}

static uint64_t since(unsigned person, const char *key)
{
    uint64_t since_ms;
    LOOK(xt_live_device_since(live, PERSON_NUMBER(person), xt_span_of_string(key), &since_ms));
    return since_ms;
}

static void come_back(void)
{
    open_accounts();
    make_account(1);
    assert_true(since(1, KEY) == T0);
    assert_true(since(4, KEY) == 0 && since(1, "another") == 0);
    now_ms += SECOND;
    add(1, "tablet", "another");
    assert_true(since(1, KEY) == T0 && since(1, "another") == T0 + SECOND);
    now_ms += SECOND;
    take_away(1, "phone");
    assert_true(since(1, "another") == T0 + SECOND);
    now_ms += SECOND;
    add(1, "new name", KEY);
    assert_true(since(1, KEY) == T0 + 3 * SECOND && since(1, "another") == T0 + SECOND);
    close_accounts();
    open_accounts();
    assert_true(since(1, KEY) == T0 + 3 * SECOND && since(1, "another") == T0 + SECOND);
    close_accounts();
}

static void a_device_that_comes_back_begins_anew(void **state)
{
    (void)state;
    in_child(come_back);
}

static void move(void)
{
    const char *line = "{\"event_id\":\"r\",\"type\":\"number_replaced\",\"id\":\"001090000001\","
                       "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"new_id\":\"001090000900\"}}";
    struct xt_live_outcome outcome;
    open_accounts();
    make_account(1);
    now_ms += SECOND;
    apply_changes(live, &line, 1, &outcome);
    assert_int_equal(outcome.status, XT_OK);
    assert_true(since(900, KEY) == T0 && since(1, KEY) == 0);
    now_ms += SECOND;
    add(900, "tablet", "another");
    assert_true(since(900, KEY) == T0 && since(900, "another") == T0 + 2 * SECOND);
    now_ms += XT_LIVE_DEVICE_MS + DAY;
    sweep_all();
    assert_true(since(900, KEY) == 0 && since(900, "another") == 0);
    close_accounts();
}

static void it_goes_along_with_a_new_number(void **state)
{
    (void)state;
    in_child(move);
}

static void wait_a_year(void)
{
    open_accounts();
    struct xt_account_event event = about(XT_ACCOUNT_ACTIVATED, 1);
    event.level = 2;
    must(&event);
    add(1, "phone", KEY);
    now_ms += 200 * DAY;
    add(1, "tablet", "another");
    uint64_t before = records();
    now_ms = T0 + XT_LIVE_DEVICE_MS - DAY;
    sweep_all();
    assert_true(since(1, KEY) == T0);
    now_ms = T0 + XT_LIVE_DEVICE_MS + DAY;
    sweep_all();
    assert_true(since(1, "another") == T0 + 200 * DAY); /* it has a line for later */
    now_ms += 200 * DAY;
    sweep_all();
    assert_true(since(1, KEY) == 0 && since(1, "another") == 0);
    assert_true(records() < before);
    close_accounts();
}

static void after_a_year_nothing_is_kept(void **state)
{
    (void)state;
    in_child(wait_a_year);
}

static void add_without_end(void)
{
    open_accounts();
    make_account(1);
    char key[32];
    uint64_t before = 0;
    for (unsigned i = 0; i < 40; i++) {
        now_ms += 300 * SECOND;
        take_away(1, "phone");
        snprintf(key, sizeof(key), "key %u", i);
        add(1, "phone", key);
        uint64_t count = records();
        assert_true(i == 0 || count == before + 2); /* a line in `touched` for each event */
        before = count;
    }
    assert_true(since(1, key) == now_ms && since(1, KEY) == 0 && since(1, "key 0") == 0);
    close_accounts();
}

static void who_changes_devices_without_end_leaves_one_record(void **state)
{
    (void)state;
    in_child(add_without_end);
}

static void damage(void)
{
    uint8_t key[5];
    uint64_t number = PERSON_NUMBER(1);
    for (unsigned i = 0; i < 5; i++) {
        key[i] = (uint8_t)(number >> (8 * i));
    }
    open_accounts();
    make_account(1);
    now_ms += SECOND;
    assert_int_equal(xt_live_begin_write(live), 0);
    live->active = true;
    int code =
        xt_live_put(live, XT_LIVE_DEVICES_OF, xt_span_of(key, sizeof(key)), xt_span_of_string("x"));
    assert_int_equal(xt_live_end_write(live, code), 0);
    live->active = false;
    uint64_t since_ms;
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_device_since(live, number, xt_span_of_string(KEY), &since_ms),
                     XT_CORRUPT);
    xt_live_end_look(live);
    add(1, "tablet", "another");
    assert_true(since(1, KEY) == now_ms && since(1, "another") == now_ms);
    close_accounts();
}

static void where_it_cannot_be_read_all_begin_anew(void **state)
{
    (void)state;
    in_child(damage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_PEOPLE(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)
        WITH_PEOPLE(a_device_that_comes_back_begins_anew),
        WITH_PEOPLE(it_goes_along_with_a_new_number),
        WITH_PEOPLE(after_a_year_nothing_is_kept),
        WITH_PEOPLE(who_changes_devices_without_end_leaves_one_record),
        WITH_PEOPLE(where_it_cannot_be_read_all_begin_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
