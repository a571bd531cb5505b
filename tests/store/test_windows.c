/* The two windows of idempotency: attempts push no event of the register out of its own. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "tests/store/accounts.h"
#include "tests/store/changes.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

enum { SMALL = XT_LIVE_WINDOW_LEAST, GROUPS = 3 * SMALL / XT_LIVE_GROUP_MAX };

static struct xt_failure failure;
static struct xt_generation *base;

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, 40);
    now_ms = T0;
    return result;
}

static enum xt_status open_with(uint32_t events, uint32_t attempts)
{
    struct xt_live_sizes sizes = {XT_LIVE_MAP_LEAST, events, attempts};
    enum xt_status status =
        xt_live_open(deployment(), deployment_keyring(), true, sizes, &live, &failure);
    if (status == XT_OK) {
        base = open_served();
        xt_live_set_base(live, base);
    }
    return status;
}

static void open_small(void)
{
    if (open_with(SMALL, SMALL) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

static void close_small(void)
{
    xt_live_close(live);
    xt_generation_close(base);
}

/* "deceased" of a person, always under the same event_id. */
static struct xt_live_outcome die(unsigned person)
{
    char line[256];
    const char *lines[1] = {line};
    struct xt_live_outcome outcome;
    snprintf(line, sizeof(line),
             "{\"event_id\":\"d%u\",\"type\":\"deceased\",\"id\":\"%012llu\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{}}",
             person, (unsigned long long)PERSON_NUMBER(person));
    apply_changes(live, lines, 1, &outcome);
    assert_int_equal(outcome.status, XT_OK);
    return outcome;
}

static void try_many(unsigned person, bool passed, unsigned groups)
{
    static struct xt_account_event told[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    for (unsigned group = 0; group < groups; group++) {
        for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
            told[i] = attempt(person, passed);
        }
        tell_many(told, XT_LIVE_GROUP_MAX, outcomes);
        for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
            assert_int_equal(outcomes[i].status, XT_OK);
        }
    }
}

static enum xt_status count_line(void *context, uint64_t sequence, const struct xt_live_line *line)
{
    unsigned *count = context;
    (void)sequence;
    (void)line;
    ++*count;
    return XT_OK;
}

static unsigned lines(void)
{
    unsigned count = 0;
    LOOK(xt_live_log_each(live, count_line, &count));
    return count;
}

static void attempt_more_than_the_window_holds(void)
{
    open_small();
    make_account(1);
    struct xt_live_outcome first = die(2);
    assert_false(first.duplicate);
    try_many(1, true, GROUPS);
    try_many(3, false, GROUPS); /* of somebody without an account, soon throttled */
    struct xt_live_outcome again = die(2);
    assert_true(again.duplicate && again.sequence == first.sequence);
    assert_true(lines() <= 2 * SMALL);
    close_small();
    open_small(); /* and as the log has it */
    again = die(2);
    assert_true(again.duplicate && again.sequence == first.sequence);
    close_small();
}

static void an_event_is_known_after_more_attempts_than_the_window_holds(void **state)
{
    (void)state;
    in_child(attempt_more_than_the_window_holds);
}

/* Of a change that somebody tries to prove, too: it changes nothing, and anybody can send it. */
static void fail_to_change(void)
{
    open_small();
    make_account(1);
    struct xt_live_outcome first = die(2);
    for (unsigned group = 0; group <= SMALL / XT_LIVE_GROUP_MAX; group++) {
        static struct xt_account_event told[XT_LIVE_GROUP_MAX];
        struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
        for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
            told[i] = about(XT_ACCOUNT_PASSCODE_SET, 1);
            told[i].passcode = xt_span_of_string(PHC);
            told[i].proof = attempt(1, true).proof;
            told[i].proof.digests[1][0] ^= 1; /* no key of his */
        }
        tell_many(told, XT_LIVE_GROUP_MAX, outcomes);
        assert_true(outcomes[0].status == XT_OK && outcomes[0].attempt != XT_ATTEMPT_PASSED);
    }
    assert_true(die(2).sequence == first.sequence);
    close_small();
}

static void changes_that_fail_are_attempts(void **state)
{
    (void)state;
    in_child(fail_to_change);
}

static struct xt_live_outcome send(const struct xt_event *event)
{
    static uint8_t memory[XT_EVENT_MAX];
    struct xt_live_outcome outcome;
    struct xt_writer writer = xt_writer_over(memory, sizeof(memory));
    xt_event_encode(event, &writer);
    struct xt_span encoded = xt_written(&writer);
    assert_int_equal(xt_live_apply(live, now_ms, &encoded, 1, &outcome, &failure), XT_OK);
    return outcome;
}

static void repeat_attempts(void)
{
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    open_small();
    make_account(1);
    struct xt_account_event told = attempt(1, true);
    xt_event_from_account(&told, body, &event);
    assert_int_equal(send(&event).attempt, XT_ATTEMPT_PASSED);
    try_many(1, true, 2);
    assert_true(send(&event).duplicate);
    now_ms += XT_LIVE_ATTEMPTS_MS;
    try_many(1, true, 1);
    struct xt_live_outcome later = send(&event); /* by time: its challenge is over as well */
    assert_false(later.duplicate);
    assert_int_equal(later.attempt, XT_ATTEMPT_USED);
    close_small();
}

static void an_attempt_is_known_for_ten_minutes(void **state)
{
    (void)state;
    in_child(repeat_attempts);
}

/* ---- readers ----------------------------------------------------------------------------------- */

static int ends[2][2];

static void step(int end)
{
    assert_int_equal(write(end, "", 1), 1);
}

static void wait_at(int end)
{
    char byte;
    assert_int_equal(read(end, &byte, 1), 1);
}

static void read_late(void)
{
    struct xt_live *reader = NULL;
    struct xt_live_entry entry;
    assert_int_equal(xt_live_open_reader(deployment(), deployment_keyring(), &reader, &failure),
                     XT_OK);
    xt_live_rest(reader);
    step(ends[1][1]);
    wait_at(ends[0][0]);
    assert_int_equal(xt_live_refresh(reader, 1, 0), XT_OK);
    for (unsigned person = 1; person <= 2; person++) {
        assert_true(xt_live_may_hold(reader, xt_live_key(reader, id_of(person))));
        assert_int_equal(xt_live_entry(reader, PERSON_NUMBER(person), &entry), XT_OK);
    }
}

static void a_reader_that_rested_hears_of_changes_behind_many_attempts(void **state)
{
    (void)state;
    int status = 0;
    open_small();
    make_account(4);
    assert_int_equal(pipe(ends[0]), 0);
    assert_int_equal(pipe(ends[1]), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        read_late();
        _exit(0);
    }
    wait_at(ends[1][0]);
    make_account(1);
    try_many(4, true, GROUPS);
    assert_false(die(2).duplicate);
    try_many(4, true, GROUPS);
    step(ends[0][1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close_small();
    for (unsigned i = 0; i < 4; i++) {
        close(ends[i / 2][i % 2]);
    }
}

/* ---- what the log lacks ------------------------------------------------------------------------- */

static void write_to_store(uint64_t drop, bool older)
{
    uint8_t fields[16];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    xt_put(&writer, live->sequence, 8);
    xt_put(&writer, live->time_ms, 8);
    int code = xt_live_begin_write(live);
    live->active = code == 0;
    if (code == 0 && drop > 0) {
        code = xt_live_log_drop(live, drop, true);
    }
    if (code == 0 && older) {
        code = xt_live_put(live, XT_LIVE_POSITION, xt_span_of(NULL, 0), xt_written(&writer));
    }
    assert_int_equal(xt_live_end_write(live, code), 0);
    live->active = false;
}

static uint64_t died_at;

static void leave_half_a_log(void)
{
    open_small();
    make_account(1);
    try_many(1, true, 1);
    write_to_store(live->sequence - 3, false);
    close_small();
}

static void open_half_a_log(void)
{
    assert_int_equal(open_with(SMALL, SMALL), XT_CORRUPT);
}

static void a_line_that_lacks_is_found(void **state)
{
    (void)state;
    in_child(leave_half_a_log);
    in_child(open_half_a_log);
}

/* As a program leaves it that knows one window: no number lacks, and nothing says how many there are. */
static void leave_an_older_log(void)
{
    assert_int_equal(open_with(16 * SMALL, 16 * SMALL), XT_OK);
    make_account(1);
    (void)die(2);
    try_many(1, true, GROUPS);
    write_to_store(0, true);
    close_small();
}

/* What one group does of it is bounded, so that nobody waits for all of it. */
static void go_on_with_an_older_log(void)
{
    open_small();
    died_at = die(2).sequence;
    assert_true(died_at > 0 && died_at < 10);
    unsigned before = lines();
    assert_true(before > 4 * XT_LIVE_FORGET_MOST);
    for (unsigned groups = 0; live->stray > 0; groups++) {
        uint64_t looked = live->stray_at;
        struct xt_live_outcome outcome;
        struct xt_account_event told = attempt(1, true);
        tell_many(&told, 1, &outcome);
        assert_int_equal(outcome.attempt, XT_ATTEMPT_PASSED);
        assert_true(live->stray_at - looked <= XT_LIVE_FORGET_MOST);
        assert_true(lines() + XT_LIVE_FORGET_MOST >= before && lines() <= before + 1);
        assert_true(groups < 4 * SMALL);
        before = lines();
    }
    try_many(1, true, 1);
    assert_true(lines() <= SMALL);
    assert_true(die(2).sequence == died_at);
    close_small();
    open_small();
    assert_true(live->stray == 0 && die(2).sequence == died_at);
    close_small();
}

static void a_log_of_one_window_is_cut_to_two(void **state)
{
    (void)state;
    in_child(leave_an_older_log);
    in_child(go_on_with_an_older_log);
}

/* ---- an attempt that is sent again -------------------------------------------------------------- */

/* What the processes of a test share. */
static struct {
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
} * resent;

static void leave_an_attempt_in_an_older_log(unsigned behind)
{
    assert_int_equal(open_with(16 * SMALL, 16 * SMALL), XT_OK);
    make_account(1);
    try_many(1, true, GROUPS);
    struct xt_account_event told = attempt(1, true);
    xt_event_from_account(&told, resent->body, &resent->event);
    assert_int_equal(send(&resent->event).attempt, XT_ATTEMPT_PASSED);
    try_many(1, true, behind / XT_LIVE_GROUP_MAX);
    write_to_store(0, true);
    close_small();
}

static void leave_it_in_the_window(void)
{
    leave_an_attempt_in_an_older_log(XT_LIVE_GROUP_MAX);
}

static void leave_it_outside_of_the_window(void)
{
    leave_an_attempt_in_an_older_log(SMALL - 2 * XT_LIVE_GROUP_MAX);
}

static void send_what_is_known(void)
{
    open_small();
    struct xt_live_outcome again = send(&resent->event);
    assert_true(again.duplicate);
    assert_int_equal(again.attempt, XT_ATTEMPT_PASSED);
    close_small();
}

/* Its old line is still in the log, and time has passed that would empty the window. */
static void send_what_is_forgotten(void)
{
    open_small();
    for (unsigned i = 0; i < 3; i++) {
        struct xt_account_event told = attempt(1, true);
        now_ms += XT_LIVE_ATTEMPTS_MS;
        must(&told);
    }
    struct xt_live_outcome again = send(&resent->event);
    assert_false(again.duplicate);
    assert_int_equal(again.attempt, XT_ATTEMPT_USED);
    assert_true(live->stray > 0);
    close_small();
}

static void open_it(void)
{
    open_small();
    assert_true(send(&resent->event).duplicate);
    for (unsigned groups = 0; live->stray > 0; groups++) {
        struct xt_account_event told = attempt(1, true);
        must(&told);
        assert_true(groups < 4 * SMALL);
    }
    assert_true(send(&resent->event).duplicate);
    close_small();
    open_small();
    assert_true(send(&resent->event).duplicate);
    close_small();
}

static void share(void)
{
    resent = mmap(NULL, sizeof(*resent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(resent != MAP_FAILED);
}

static void an_attempt_of_before_is_known_after_the_cut(void **state)
{
    (void)state;
    share();
    in_child(leave_it_in_the_window);
    in_child(send_what_is_known);
    munmap(resent, sizeof(*resent));
}

static void an_attempt_that_is_in_the_log_twice_opens(void **state)
{
    (void)state;
    share();
    in_child(leave_it_outside_of_the_window);
    in_child(send_what_is_forgotten);
    in_child(open_it);
    munmap(resent, sizeof(*resent));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_PEOPLE(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)
        WITH_PEOPLE(an_event_is_known_after_more_attempts_than_the_window_holds),
        WITH_PEOPLE(changes_that_fail_are_attempts),
        WITH_PEOPLE(an_attempt_is_known_for_ten_minutes),
        WITH_PEOPLE(a_reader_that_rested_hears_of_changes_behind_many_attempts),
        WITH_PEOPLE(a_line_that_lacks_is_found),
        WITH_PEOPLE(a_log_of_one_window_is_cut_to_two),
        WITH_PEOPLE(an_attempt_of_before_is_known_after_the_cut),
        WITH_PEOPLE(an_attempt_that_is_in_the_log_twice_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
