/* The live store: what was acknowledged is there once and whole. */
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/core/mutate.h"
#include "tests/store/live_store.h"

/* ---- events as bytes ---------------------------------------------------------------------------- */

static void events_come_back_as_they_were_written(void **state)
{
    (void)state;
    uint8_t memory[XT_EVENT_MAX];
    uint8_t again[XT_EVENT_MAX];
    char longest[XT_PARTNER_NAME_MAX + 1];
    memset(longest, 'a', XT_PARTNER_NAME_MAX);
    longest[XT_PARTNER_NAME_MAX] = '\0';
    const struct xt_event events[] = {held_event(1, "viettel"), held_event(2, ""),
                                      held_event(3, longest), served_event(7, 9, false),
                                      served_event(UINT32_MAX, 255, true)};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct xt_event decoded;
        struct xt_span span = encode(&events[i], memory);
        assert_int_equal(xt_event_decode(span, &decoded), XT_OK);
        assert_int_equal(decoded.type, events[i].type);
        assert_int_equal(decoded.at_ms, events[i].at_ms);
        assert_memory_equal(decoded.id, events[i].id, XT_EVENT_ID);
        assert_true(xt_span_equal(encode(&decoded, again), span));
        for (size_t size = 0; size < span.size; size++) { /* cut anywhere it is none */
            assert_int_not_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_OK);
        }
    }
}

static void events_that_are_none_are_refused(void **state)
{
    (void)state;
    uint8_t memory[XT_EVENT_MAX] = {0};
    struct xt_event event = held_event(1, "viettel");
    struct xt_event decoded;
    size_t size = encode(&event, memory).size;
    memory[0] = 2; /* version */
    assert_int_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_UNSUPPORTED);
    memory[0] = 1;
    memory[1] = 200; /* type */
    assert_int_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_UNSUPPORTED);
    memory[1] = XT_EVENT_CERTIFICATE_HELD;
    memset(memory + 3, 0, XT_EVENT_ID);
    assert_int_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_INVALID);
    size = encode(&event, memory).size;
    memset(memory + 3 + XT_EVENT_ID, 0xff, 8); /* the year 584 million */
    assert_int_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_INVALID);
    size = encode(&event, memory).size;
    memory[size - 1] = '/'; /* no letter of a partner's name */
    assert_int_equal(xt_event_decode(xt_span_of(memory, size), &decoded), XT_INVALID);
    assert_int_equal(xt_event_decode(xt_span_of(memory, sizeof(memory)), &decoded), XT_INVALID);
    assert_int_equal(xt_event_decode(xt_span_of(NULL, 0), &decoded), XT_INVALID);
}

/* Whatever is done to an event: it is refused, or it says just what its bytes say. */
static void mutated_events_are_refused_or_mean_what_they_say(void **state)
{
    (void)state;
    uint64_t seed = 4;
    unsigned taken = 0;
    unsigned refused = 0;
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t memory[XT_EVENT_MAX];
        uint8_t again[XT_EVENT_MAX];
        struct xt_event event =
            (i & 1) != 0 ? held_event(i, "vnpt") : served_event(i + 1, (uint8_t)i, (i & 2) != 0);
        size_t size = mutate(memory, encode(&event, memory).size, sizeof(memory), &seed);
        uint8_t *exact = malloc(size == 0 ? 1 : size); /* so that a sanitizer sees its end */
        assert_non_null(exact);
        memcpy(exact, memory, size);
        struct xt_event decoded;
        if (xt_event_decode(xt_span_of(exact, size), &decoded) == XT_OK) {
            assert_true(xt_span_equal(encode(&decoded, again), xt_span_of(exact, size)));
            taken++;
        } else {
            refused++;
        }
        free(exact);
    }
    assert_true(taken > 1000 && refused > 1000);
}

/* ---- the store ----------------------------------------------------------------------------------- */

static void check_reopened(void)
{
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_sequence(live), 4);
    assert_held_by(live, 1, "fpt");
    assert_held_by(live, 2, NULL);
    assert_held_by(live, 3, NULL);
    xt_live_close(live);
}

static void what_was_applied_is_there_after_opening_again(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    const struct xt_event events[] = {held_event(1, "vnpt"), held_event(2, "vnpt"),
                                      held_event(1, "fpt"), held_event(2, "")};
    for (unsigned i = 0; i < 4; i++) {
        assert_applied(apply_one(live, &events[i]), i + 1, false);
    }
    xt_live_close(live);
    in_child(check_reopened);
}

static void an_event_counts_once(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    struct xt_event first = held_event(1, "vnpt");
    struct xt_event second = held_event(1, "fpt");
    struct xt_live_outcome outcomes[4];
    const struct xt_event group[] = {first, second, first, second};
    assert_int_equal(apply(live, first.at_ms, group, 4, outcomes), XT_OK);
    assert_applied(outcomes[0], 1, false);
    assert_applied(outcomes[1], 2, false);
    assert_applied(outcomes[2], 1, true); /* within the group */
    assert_applied(outcomes[3], 2, true);
    assert_applied(apply_one(live, &first), 1, true); /* and later */
    memcpy(second.id, first.id, XT_EVENT_ID);         /* another event of the same id */
    assert_int_equal(apply_one(live, &second).status, XT_EXISTS);
    assert_int_equal(xt_live_sequence(live), 2);
    xt_live_close(live);
    live = NULL;
}

static struct xt_event remembered;

static void send_remembered_again(void)
{
    struct xt_live *live = open_writer();
    assert_applied(apply_one(live, &remembered), 2, true);
    assert_int_equal(xt_live_sequence(live), 3);
    xt_live_close(live);
}

static void an_event_counts_once_across_a_restart(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    struct xt_event other = held_event(1, "vnpt");
    assert_applied(apply_one(live, &other), 1, false);
    remembered = held_event(2, "vnpt");
    assert_applied(apply_one(live, &remembered), 2, false);
    other = held_event(3, "vnpt");
    assert_applied(apply_one(live, &other), 3, false);
    xt_live_close(live);
    in_child(send_remembered_again);
}

static void refused_events_take_no_number(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    const struct xt_event group[] = {served_event(5, 1, false), served_event(4, 2, false),
                                     served_event(5, 2, false), held_event(1, "vnpt"),
                                     served_event(4, 2, true),  served_event(6, 3, false)};
    struct xt_live_outcome outcomes[6];
    uint32_t number = 0;
    uint8_t digest[XT_GENERATION_DIGEST];
    assert_int_equal(apply(live, group[0].at_ms, group, 6, outcomes), XT_OK);
    assert_applied(outcomes[0], 1, false);
    assert_int_equal(outcomes[1].status, XT_DENIED); /* older */
    assert_int_equal(outcomes[2].status, XT_DENIED); /* another of the same number */
    assert_applied(outcomes[3], 2, false);
    assert_applied(outcomes[4], 3, false); /* the operator said so */
    assert_applied(outcomes[5], 4, false);
    xt_live_close(live);
    live = open_reader();
    assert_int_equal(xt_live_generation(live, &number, digest), XT_OK);
    assert_int_equal(number, 6);
    assert_int_equal(digest[0], 3);
    xt_live_close(live);
}

static void a_group_in_which_nothing_is_new_is_answered_at_once(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    struct xt_span none = xt_span_of("nonsense", 8);
    struct xt_live_outcome outcome;
    struct stat before;
    struct stat after;
    struct xt_event event = held_event(1, "vnpt");
    assert_applied(apply_one(live, &event), 1, false);
    assert_int_equal(stat(deployment_path("live/live.mdb"), &before), 0);
    assert_int_equal(xt_live_apply(live, 0, &none, 1, &outcome, &failure), XT_OK);
    assert_int_not_equal(outcome.status, XT_OK);
    assert_applied(apply_one(live, &event), 1, true);
    assert_int_equal(xt_live_apply(live, 0, NULL, 0, NULL, &failure), XT_OK);
    assert_int_equal(stat(deployment_path("live/live.mdb"), &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
    xt_live_close(live);
}

static void older_generations_need_the_operators_word(void **state)
{
    (void)state;
    uint8_t digest[XT_GENERATION_DIGEST];
    bool record = false;
    bool rollback = false;
    memset(digest, 1, sizeof(digest));
    assert_int_equal(xt_live_may_serve(NULL, 1, digest, false, &record, &rollback, &failure),
                     XT_OK);
    assert_true(record && !rollback);
    struct xt_live *writer = open_writer();
    struct xt_event event = served_event(5, 1, false);
    assert_applied(apply_one(writer, &event), 1, false);
    xt_live_close(writer);
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_may_serve(live, 5, digest, false, &record, &rollback, &failure),
                     XT_OK);
    assert_true(!record && !rollback);
    assert_int_equal(xt_live_may_serve(live, 6, digest, false, &record, &rollback, &failure),
                     XT_OK);
    assert_true(record && !rollback);
    assert_int_equal(xt_live_may_serve(live, 4, digest, false, &record, &rollback, &failure),
                     XT_DENIED);
    assert_non_null(strstr(failure.text, "generation 000004 is older than 000005"));
    assert_non_null(strstr(failure.text, "allow_older_generation"));
    assert_int_equal(xt_live_may_serve(live, 4, digest, true, &record, &rollback, &failure), XT_OK);
    assert_true(record && rollback);
    memset(digest, 2, sizeof(digest));
    assert_int_equal(xt_live_may_serve(live, 5, digest, false, &record, &rollback, &failure),
                     XT_DENIED);
    assert_non_null(strstr(failure.text, "not the one of that number"));
    xt_live_close(live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_as_they_were_written),
        cmocka_unit_test(events_that_are_none_are_refused),
        cmocka_unit_test(mutated_events_are_refused_or_mean_what_they_say),
        EACH(what_was_applied_is_there_after_opening_again),
        EACH(an_event_counts_once),
        EACH(an_event_counts_once_across_a_restart),
        EACH(refused_events_take_no_number),
        EACH(a_group_in_which_nothing_is_new_is_answered_at_once),
        EACH(older_generations_need_the_operators_word),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
