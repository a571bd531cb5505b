/* Which events the live store still knows by their id: as many as fit, for as long as is promised. */
#include <unistd.h>

#include "tests/core/mutate.h"
#include "tests/store/live_store.h"

/* ---- the window ----------------------------------------------------------------------------------- */

/* A small one against a plain list, with ids that collide. */
static void the_window_finds_what_is_in_it_and_nothing_else(void **state)
{
    (void)state;
    enum { CAPACITY = 64, IDS = 400 };
    struct xt_live_window window;
    uint64_t sequences[IDS] = {0}; /* of each id that is in; 0: it is not */
    unsigned order[8192];
    uint64_t seed = 7;
    uint64_t next = 1000;
    uint64_t first = 1000;
    assert_int_equal(xt_live_window_open(&window, CAPACITY), XT_OK);
    for (unsigned step = 0; step < 100000; step++) {
        uint64_t random = next_random(&seed);
        unsigned id = (unsigned)(random >> 8) % IDS;
        struct xt_window_event event = {.content = id, .sequence = next};
        memset(event.id, 0, sizeof(event.id));
        event.id[0] = (uint8_t)(id % 5 + 120); /* few homes, at the end of the slots */
        event.id[8] = (uint8_t)id;
        event.id[9] = (uint8_t)(id >> 8);
        const struct xt_window_event *found = xt_live_window_find(&window, event.id);
        assert_true((found != NULL) == (sequences[id] != 0));
        if (found != NULL) {
            assert_int_equal(found->sequence, sequences[id]);
            assert_int_equal(found->content, id);
        } else if (next - first < CAPACITY && (random & 3) != 0) {
            xt_live_window_add(&window, &event);
            order[next % 8192] = id;
            sequences[id] = next++;
        }
        if ((random & 7) == 7 && next > first) {
            xt_live_window_take_back(&window);
            sequences[order[--next % 8192]] = 0;
        } else if (((random & 7) == 6 || next - first == CAPACITY) && next > first) {
            xt_live_window_forget(&window);
            sequences[order[first++ % 8192]] = 0;
        }
        assert_int_equal(xt_live_window_count(&window), next - first);
    }
    xt_live_window_close(&window);
}

static void ids_are_forgotten_by_count_and_by_time(void **state)
{
    (void)state;
    enum { WINDOW = XT_LIVE_GROUP_MAX * 4 };
    struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, WINDOW);
    struct xt_event first = held_event(0, "vnpt");
    struct xt_event last = first;
    struct xt_live_outcome outcome;
    uint64_t now = 1000000;
    assert_int_equal(apply(live, now, &first, 1, &outcome), XT_OK);
    for (unsigned i = 1; i < 2 * WINDOW; i++) {
        last = held_event(i, "vnpt");
        assert_int_equal(apply(live, now, &last, 1, &outcome), XT_OK);
        assert_applied(outcome, i + 1, false);
    }
    assert_int_equal(apply(live, now, &last, 1, &outcome), XT_OK);
    assert_applied(outcome, 2 * WINDOW, true);
    assert_int_equal(apply(live, now, &first, 1, &outcome), XT_OK); /* too long ago, by count */
    assert_applied(outcome, 2 * WINDOW + 1, false);
    unsigned sequence = 2 * WINDOW + 2;
    for (uint64_t end = now + DAY_MS; now + XT_LIVE_GAP_MS < end; sequence++) { /* a day goes by */
        struct xt_event other = held_event(sequence, "vnpt");
        now += XT_LIVE_GAP_MS;
        assert_int_equal(apply(live, now, &other, 1, &outcome), XT_OK);
        assert_applied(outcome, sequence, false);
    }
    assert_int_equal(apply(live, now, &last, 1, &outcome), XT_OK);
    assert_applied(outcome, 2 * WINDOW, true);
    now += XT_LIVE_GAP_MS + 1;
    for (unsigned i = 0; i < 4; i++, sequence++) { /* each group takes some of the old ones out */
        struct xt_event other = held_event(sequence, "vnpt");
        assert_int_equal(apply(live, now, &other, 1, &outcome), XT_OK);
        assert_applied(outcome, sequence, false);
    }
    assert_int_equal(apply(live, now, &last, 1, &outcome), XT_OK); /* by time */
    assert_applied(outcome, sequence, false);
    xt_live_close(live);
    assert_int_equal(count_log(), sequence - 2 * WINDOW - 1);
}

#define YEAR_MS (365 * DAY_MS)
static struct xt_event early[3];

static void send_early_ones(void)
{
    struct xt_live *live = open_writer();
    for (unsigned i = 0; i < 3; i++) {
        struct xt_live_outcome outcome;
        assert_int_equal(apply(live, 2 * DAY_MS, &early[i], 1, &outcome), XT_OK);
        assert_applied(outcome, i + 1, true);
    }
    xt_live_close(live);
}

/* Whoever had no answer before the leap sends again after it. */
static void a_clock_that_leaps_forgets_no_id(void **state)
{
    (void)state;
    static const uint64_t clock[] = {YEAR_MS,        YEAR_MS + 1,      3600,  0,
                                     UINT64_MAX / 2, 2 * DAY_MS + 500, DAY_MS};
    struct xt_live *live = open_writer();
    struct xt_live_outcome outcome;
    for (unsigned i = 0; i < 3; i++) {
        early[i] = held_event(i, "vnpt");
        assert_int_equal(apply(live, 2 * DAY_MS, &early[i], 1, &outcome), XT_OK);
    }
    for (unsigned i = 0; i < 7; i++) {
        struct xt_event other = held_event(10 + i, "vnpt");
        assert_int_equal(apply(live, clock[i], &other, 1, &outcome), XT_OK);
        assert_applied(outcome, 4 + i, false);
        assert_int_equal(apply(live, clock[i], &early[i % 3], 1, &outcome), XT_OK);
        assert_applied(outcome, 1 + i % 3, true);
    }
    xt_live_close(live);
    in_child(send_early_ones);
}

#define SOON_MS 1000000 /* UTC; nothing grows old in these */
enum { SMALL = 4 * XT_LIVE_GROUP_MAX, MANY = 9 * SMALL };
static struct xt_event many[MANY]; /* made before the processes that send them */
static unsigned sent;

static void make_many(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = held_event(i, "vnpt");
    }
    sent = 0;
}

/* Sends the next ones in groups of the largest size, each group twice. */
static void send_groups(struct xt_live *live, uint64_t now_ms, unsigned groups)
{
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    assert_int_equal(xt_live_sequence(live), sent);
    for (; groups > 0; groups--, sent += XT_LIVE_GROUP_MAX) {
        assert_true(sent + XT_LIVE_GROUP_MAX <= MANY);
        for (unsigned again = 0; again < 2; again++) {
            assert_int_equal(apply(live, now_ms, many + sent, XT_LIVE_GROUP_MAX, outcomes), XT_OK);
            for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
                assert_applied(outcomes[i], sent + i + 1, again == 1);
            }
        }
    }
}

/* The newest ids that are promised are known. */
static void send_old_ones(struct xt_live *live)
{
    for (unsigned i = sent - (SMALL - 2 * XT_LIVE_GROUP_MAX); i < sent; i++) {
        struct xt_live_outcome outcome;
        assert_int_equal(apply(live, SOON_MS, &many[i], 1, &outcome), XT_OK);
        assert_applied(outcome, i + 1, true);
    }
}

static void send_more(void)
{
    struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, SMALL);
    send_old_ones(live);
    send_groups(live, SOON_MS, 5);
    send_old_ones(live);
    xt_live_close(live);
}

static void full_groups_pass_through_a_full_window(void **state)
{
    (void)state;
    make_many();
    for (unsigned groups = 0; groups < 3 * SMALL / XT_LIVE_GROUP_MAX; groups++) {
        struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, SMALL);
        send_groups(live, SOON_MS, 1);
        xt_live_close(live);
    }
    in_child(send_more);
    sent += 5 * XT_LIVE_GROUP_MAX;
    in_child(send_more);
    assert_true(count_log() <= SMALL);
}

static void ids_are_forgotten_by_count_after_a_clock_that_ran_ahead(void **state)
{
    (void)state;
    make_many();
    struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, SMALL);
    send_groups(live, 4000000000000, 1); /* the year 2096 */
    send_groups(live, SOON_MS, 12);
    send_old_ones(live);
    xt_live_close(live);
    assert_true(count_log() <= SMALL);
}

static void send_through_a_smaller_window(void)
{
    struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, SMALL);
    send_old_ones(live);
    assert_int_equal(xt_live_window_count(&live->window), SMALL - 2 * XT_LIVE_GROUP_MAX);
    /* The newest of those that were cut is a new one again; its old line leaves the log with one of the next groups. */
    struct xt_event cut = many[sent - (SMALL - 2 * XT_LIVE_GROUP_MAX) - 1];
    for (unsigned again = 0; again < 2; again++) {
        struct xt_live_outcome outcome;
        assert_int_equal(apply(live, SOON_MS, &cut, 1, &outcome), XT_OK);
        assert_applied(outcome, sent + 1, again == 1);
        xt_live_close(live);
        live = open_sized(true, XT_LIVE_MAP_LEAST, SMALL);
    }
    for (unsigned next = sent; live->stray > 0; next++) {
        struct xt_live_outcome outcome;
        assert_true(next < MANY);
        assert_int_equal(apply(live, SOON_MS, &many[next], 1, &outcome), XT_OK);
        assert_applied(outcome, next + 2, false);
    }
    xt_live_close(live);
}

/* Exactly full, and with more than there is room for. */
static void a_log_that_is_too_long_is_cut_when_it_is_opened(void **state)
{
    (void)state;
    static const unsigned lines[] = {SMALL - XT_LIVE_GROUP_MAX, SMALL, SMALL + XT_LIVE_GROUP_MAX,
                                     3 * SMALL};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (i > 0) {
            (void)unlink(deployment_path("live/live.mdb"));
            (void)unlink(deployment_path("live/live.mdb-lock"));
        }
        make_many();
        struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, 16 * SMALL);
        send_groups(live, SOON_MS, lines[i] / XT_LIVE_GROUP_MAX);
        xt_live_close(live);
        assert_int_equal(count_log(), lines[i]);
        in_child(send_through_a_smaller_window);
        assert_true(count_log() <= SMALL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_finds_what_is_in_it_and_nothing_else),
        EACH(ids_are_forgotten_by_count_and_by_time),
        EACH(full_groups_pass_through_a_full_window),
        EACH(a_clock_that_leaps_forgets_no_id),
        EACH(ids_are_forgotten_by_count_after_a_clock_that_ran_ahead),
        EACH(a_log_that_is_too_long_is_cut_when_it_is_opened),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
