/* The live store: what was acknowledged is there once, whole, sealed, and for every reader. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/live_internal.h"
#include "store/local_disk.h"
#include "tests/core/mutate.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define DAY_MS XT_LIVE_WINDOW_MS

static struct xt_failure failure;

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

static int remove_all(void **state)
{
    (void)umount2(deployment_path("live"), MNT_DETACH); /* of a test that failed half-way */
    return deployment_remove(state);
}

static struct xt_live *open_sized(bool writes, uint64_t map_bytes, uint32_t window_events)
{
    struct xt_live *live = NULL;
    struct xt_live_sizes sizes = {map_bytes, window_events, window_events};
    if (xt_live_open(deployment(), deployment_keyring(), writes, sizes, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return live;
}

static struct xt_live *open_writer(void)
{
    return open_sized(true, XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_EVENTS);
}

static struct xt_live *open_reader(void)
{
    return open_sized(false, XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_EVENTS);
}

/* Runs in a process of its own, as LMDB wants a file opened once in each. */
static void in_child(void (*work)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work();
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void spki_of(unsigned i, uint8_t spki[XT_SPKI_DIGEST])
{
    memset(spki, (int)(i >> 16), XT_SPKI_DIGEST);
    spki[0] = (uint8_t)i;
    spki[1] = (uint8_t)(i >> 8);
}

static struct xt_event held_event(unsigned i, const char *partner)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    spki_of(i, event.certificate_held.spki);
    snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "%s", partner);
    return event;
}

static struct xt_event served_event(uint32_t number, uint8_t digest, bool rollback)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = number;
    memset(event.generation_served.digest, digest, XT_GENERATION_DIGEST);
    event.generation_served.rollback = rollback;
    return event;
}

static struct xt_span encode(const struct xt_event *event, uint8_t memory[XT_EVENT_MAX])
{
    struct xt_writer writer = xt_writer_over(memory, XT_EVENT_MAX);
    xt_event_encode(event, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

/* Applies some events in one group. */
static enum xt_status apply(struct xt_live *live, uint64_t now_ms, const struct xt_event *events,
                            unsigned count, struct xt_live_outcome *outcomes)
{
    static uint8_t memory[XT_LIVE_GROUP_MAX][XT_EVENT_MAX];
    struct xt_span spans[XT_LIVE_GROUP_MAX];
    for (unsigned i = 0; i < count; i++) {
        spans[i] = encode(&events[i], memory[i]);
    }
    return xt_live_apply(live, now_ms, spans, count, outcomes, &failure);
}

static struct xt_live_outcome apply_one(struct xt_live *live, const struct xt_event *event)
{
    struct xt_live_outcome outcome;
    assert_int_equal(apply(live, event->at_ms, event, 1, &outcome), XT_OK);
    return outcome;
}

static void assert_applied(struct xt_live_outcome outcome, uint64_t sequence, bool duplicate)
{
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.sequence, sequence);
    assert_int_equal(outcome.duplicate, duplicate);
}

static void assert_held_by(const struct xt_live *live, unsigned i, const char *partner)
{
    uint8_t spki[XT_SPKI_DIGEST];
    char name[XT_PARTNER_NAME_MAX + 1];
    spki_of(i, spki);
    enum xt_status status = xt_live_holder(live, spki, name);
    assert_int_equal(status, partner == NULL ? XT_NOT_FOUND : XT_OK);
    if (partner != NULL) {
        assert_string_equal(name, partner);
    }
}

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

/* ---- readers -------------------------------------------------------------------------------------- */

static int ends[2][2]; /* pipes: to the child, from the child */

static void step_to(int end)
{
    uint8_t byte = 1;
    assert_int_equal(write(end, &byte, 1), 1);
}

static void wait_for(int end)
{
    uint8_t byte;
    assert_int_equal(read(end, &byte, 1), 1);
}

/* In a child: sees nothing new until the epoch has changed, and then all of it. */
static void read_along(void)
{
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_refresh(live, 0, 0), XT_OK);
    assert_held_by(live, 1, NULL);
    step_to(ends[1][1]);
    wait_for(ends[0][0]); /* it was applied */
    assert_held_by(live, 1, NULL);
    assert_int_equal(xt_live_refresh(live, 0, 0), XT_OK);
    assert_held_by(live, 1, NULL);
    assert_int_equal(xt_live_refresh(live, 1, 0), XT_OK);
    assert_held_by(live, 1, "vnpt");
    xt_live_rest(live);
    step_to(ends[1][1]);
    wait_for(ends[0][0]); /* another one */
    assert_int_equal(xt_live_refresh(live, 1, 0),
                     XT_OK); /* it has rested: a new look in any case */
    assert_held_by(live, 1, "fpt");
    assert_int_equal(xt_live_sequence(live), 2);
    xt_live_close(live);
}

static void a_reader_sees_what_was_applied_when_the_epoch_changes(void **state)
{
    (void)state;
    int status = 0;
    struct xt_live *live = open_writer();
    assert_int_equal(pipe2(ends[0], O_CLOEXEC), 0);
    assert_int_equal(pipe2(ends[1], O_CLOEXEC), 0);
    xt_live_close(live);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        read_along();
        _exit(0);
    }
    live = open_writer();
    wait_for(ends[1][0]);
    struct xt_event event = held_event(1, "vnpt");
    assert_applied(apply_one(live, &event), 1, false);
    step_to(ends[0][1]);
    wait_for(ends[1][0]);
    event = held_event(1, "fpt");
    assert_applied(apply_one(live, &event), 2, false);
    step_to(ends[0][1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    xt_live_close(live);
    for (unsigned i = 0; i < 4; i++) {
        close(ends[i / 2][i % 2]);
    }
}

/* A reader that sees something and is killed. */
static void kill_a_reader(void)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct xt_live *reader = NULL;
        if (xt_live_open_reader(deployment(), deployment_keyring(), &reader, NULL) == XT_OK) {
            raise(SIGKILL);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void killed_readers_fill_no_table(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    unsigned dead = 0;
    for (unsigned i = 0; i < XT_LIVE_READERS + 20; i++) { /* the writer is busy meanwhile */
        kill_a_reader();
    }
    assert_int_equal(xt_live_check_readers(live, &dead), XT_OK);
    assert_true(dead > 0 && dead < XT_LIVE_READERS);
    xt_live_close(live);
}

static off_t store_size(void)
{
    struct stat facts;
    assert_int_equal(stat(deployment_path("live/live.mdb"), &facts), 0);
    return facts.st_size;
}

/* Pages that a killed reader saw are used again once its place was freed. */
static void killed_readers_do_not_make_the_file_grow(void **state)
{
    (void)state;
    struct xt_live *live = open_sized(true, XT_LIVE_MAP_LEAST, 4 * XT_LIVE_GROUP_MAX);
    off_t before = 0;
    for (unsigned i = 0; i < 700; i++) {
        struct xt_event event = held_event(i % 50, "vnpt");
        unsigned dead = 0;
        kill_a_reader();
        assert_int_equal(apply_one(live, &event).status, XT_OK);
        if (i % 10 == 9) { /* as the writer does once in a while */
            assert_int_equal(xt_live_check_readers(live, &dead), XT_OK);
            assert_int_equal(dead, 10);
        }
        before = i == 599 ? store_size() : before;
    }
    assert_true(store_size() <= before + (64 << 10)); /* some pages more or less */
    xt_live_close(live);
}

static void places_of_killed_readers_are_freed(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    unsigned dead = 9;
    for (unsigned i = 0; i < 5; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct xt_live *reader = NULL;
            if (xt_live_open_reader(deployment(), deployment_keyring(), &reader, NULL) == XT_OK) {
                raise(SIGKILL);
            }
            _exit(1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
    }
    assert_int_equal(xt_live_check_readers(live, &dead), XT_OK);
    assert_int_equal(dead, 5);
    assert_int_equal(xt_live_check_readers(live, &dead), XT_OK);
    assert_int_equal(dead, 0);
    xt_live_close(live);
}

static void a_reader_before_the_first_writer_finds_nothing_and_makes_nothing(void **state)
{
    (void)state;
    struct xt_live *live = NULL;
    assert_int_equal(xt_live_open_reader(deployment(), deployment_keyring(), &live, &failure),
                     XT_NOT_FOUND);
    assert_int_equal(count_names("live", ""), 0);
}

#define SMALL_MAP (1U << 20)
#define LAST 20000U

static void readers_follow_a_map_that_grew(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    xt_live_close(live);
    int status = 0;
    assert_int_equal(pipe2(ends[0], O_CLOEXEC), 0);
    assert_int_equal(pipe2(ends[1], O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        live = open_sized(false, SMALL_MAP, XT_LIVE_WINDOW_EVENTS);
        step_to(ends[1][1]);
        wait_for(ends[0][0]);
        assert_int_equal(xt_live_refresh(live, 1, 0), XT_OK);
        assert_held_by(live, LAST, "vnpt");
        _exit(0);
    }
    live = open_sized(true, SMALL_MAP, XT_LIVE_WINDOW_EVENTS);
    wait_for(ends[1][0]);
    for (unsigned at = 0; at <= LAST; at += XT_LIVE_GROUP_MAX) {
        struct xt_event events[XT_LIVE_GROUP_MAX];
        struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
        for (unsigned i = 0; i < XT_LIVE_GROUP_MAX; i++) {
            events[i] = held_event(at + i, "vnpt");
        }
        assert_int_equal(apply(live, 1, events, XT_LIVE_GROUP_MAX, outcomes), XT_OK);
        assert_applied(outcomes[XT_LIVE_GROUP_MAX - 1], at + XT_LIVE_GROUP_MAX, false);
    }
    step_to(ends[0][1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    xt_live_close(live);
    for (unsigned i = 0; i < 4; i++) {
        close(ends[i / 2][i % 2]);
    }
}

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

static enum xt_status count_line(void *context, uint64_t sequence,
                                 const struct xt_live_line *line)
{
    unsigned *count = context;
    (void)sequence;
    (void)line;
    ++*count;
    return XT_OK;
}

static unsigned count_log(void)
{
    unsigned count = 0;
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_log_each(live, count_line, &count), XT_OK);
    xt_live_close(live);
    return count;
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

/* ---- damage and disks ------------------------------------------------------------------------------ */

/* Nothing in the clear: neither a name nor a digest nor an id. */
static void nothing_stands_in_the_clear(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    struct xt_event event = held_event(0x414243, "a-partner-of-ours");
    memset(event.certificate_held.spki, 'Q', XT_SPKI_DIGEST);
    assert_applied(apply_one(live, &event), 1, false);
    xt_live_close(live);
    FILE *file = fopen(deployment_path("live/live.mdb"), "rb");
    assert_non_null(file);
    static uint8_t content[1 << 20];
    size_t size = fread(content, 1, sizeof(content), file);
    fclose(file);
    assert_true(size > 4096);
    assert_non_null(memmem(content, size, "xt-live\n", 8)); /* we would find it */
    assert_null(memmem(content, size, "a-partner-of-ours", 17));
    assert_null(memmem(content, size, "QQQQQQQQ", 8));
    assert_null(memmem(content, size, event.id, 8));
}

/* Bits flipped in sealed records: found, never a wrong answer. */
static void damaged_records_are_never_believed(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    for (unsigned i = 0; i < 8; i++) {
        struct xt_event event = held_event(i, "vnpt");
        assert_applied(apply_one(live, &event), i + 1, false);
    }
    xt_live_close(live);
    live = open_reader();
    for (unsigned i = 0; i < 8; i++) { /* from the sealed value, found through the keyed hash */
        uint8_t spki[XT_SPKI_DIGEST];
        uint8_t hash[XT_LIVE_HASH];
        spki_of(i, spki);
        xt_live_hash(live->sealer, XT_LIVE_CERTIFICATE_HOLDER, xt_span_of(spki, sizeof(spki)),
                     hash);
        int fd = open(deployment_path("live/live.mdb"), O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        struct stat facts;
        assert_int_equal(fstat(fd, &facts), 0);
        uint8_t *content = malloc((size_t)facts.st_size);
        assert_non_null(content);
        assert_int_equal(pread(fd, content, (size_t)facts.st_size, 0), facts.st_size);
        unsigned hits = 0;
        for (off_t at = 0; at + XT_LIVE_HASH + 60 < facts.st_size; at++) {
            if (memcmp(content + at, hash, sizeof(hash)) == 0) {
                off_t place = at + XT_LIVE_HASH + i * 7; /* nonce, text, tag */
                uint8_t byte = content[place] ^ (uint8_t)(1U << i);
                assert_int_equal(pwrite(fd, &byte, 1, place), 1);
                hits++;
            }
        }
        assert_true(hits > 0);
        char name[XT_PARTNER_NAME_MAX + 1];
        assert_int_equal(xt_live_holder(live, spki, name), XT_CORRUPT);
        free(content);
        close(fd);
    }
    xt_live_close(live);
}

static void another_master_key_does_not_open_it(void **state)
{
    (void)state;
    struct xt_live *live = open_writer();
    xt_live_close(live);
    struct xt_keyring *other = NULL;
    assert_int_equal(xt_keyring_create(deployment_path("keys/other.keys"), &failure), XT_OK);
    assert_int_equal(xt_keyring_open(deployment_path("keys/other.keys"), &other, &failure), XT_OK);
    assert_int_equal(xt_live_open_reader(deployment(), other, &live, &failure), XT_DENIED);
    assert_non_null(strstr(failure.text, "master key"));
    xt_keyring_close(other);
}

static void one_writer_at_a_time(void **state)
{
    (void)state;
    int first = -1;
    int second = -1;
    assert_int_equal(xt_live_lock(deployment(), &first, &failure), XT_OK);
    assert_int_equal(xt_live_lock(deployment(), &second, &failure), XT_BUSY);
    close(first);
    assert_int_equal(xt_live_lock(deployment(), &second, &failure), XT_OK);
    close(second);
}

/* Fills what is left of the disk, so that the next pages find none. */
static void a_full_disk_refuses_whole_events_and_goes_on_when_there_is_room(void **state)
{
    (void)state;
    if (mount("live", deployment_path("live"), "tmpfs", 0, "size=3m") != 0) {
        print_message("not permitted to mount a tmpfs: the test with RLIMIT_FSIZE remains\n");
        skip();
    }
    struct xt_live *live = open_writer();
    struct xt_live_outcome outcome;
    struct xt_event event = held_event(0, "vnpt");
    assert_applied(apply_one(live, &event), 1, false);
    write_text("live/ballast", "");
    FILE *ballast = fopen(deployment_path("live/ballast"), "w");
    assert_non_null(ballast);
    setvbuf(ballast, NULL, _IONBF, 0);
    for (char page[4096] = {0}; fwrite(page, sizeof(page), 1, ballast) == 1;) {
    }
    fclose(ballast);
    unsigned applied = 1;
    unsigned i = 1;
    enum xt_status status = XT_OK;
    for (; i < 100000 && status == XT_OK; i++) {
        event = held_event(i, "vnpt");
        status = apply(live, 1, &event, 1, &outcome);
        applied += status == XT_OK;
    }
    assert_int_equal(status, XT_DISK_FULL);
    assert_int_equal(outcome.status, XT_DISK_FULL);
    for (unsigned again = 0; again < 20; again++) { /* and again, with other events among them */
        struct xt_event group[3] = {event, held_event(0, "vnpt"), event};
        struct xt_live_outcome outcomes[3];
        assert_int_equal(apply(live, 1, group, 3, outcomes), XT_DISK_FULL);
        for (unsigned j = 0; j < 3; j++) {
            assert_int_equal(outcomes[j].status, XT_DISK_FULL);
        }
    }
    assert_int_equal(xt_live_sequence(live), applied);
    assert_int_equal(unlink(deployment_path("live/ballast")), 0);
    assert_applied(apply_one(live, &event), applied + 1, false); /* the one that was refused */
    xt_live_close(live);
    live = open_reader();
    assert_int_equal(xt_live_sequence(live), applied + 1);
    for (unsigned j = 0; j < i; j++) {
        assert_held_by(live, j, "vnpt");
    }
    xt_live_close(live);
    assert_int_equal(count_log(), applied + 1);
    /* Lazily: LMDB 0.9.31 leaves its environment open. */
    assert_int_equal(umount2(deployment_path("live"), MNT_DETACH), 0);
}

static void write_below_a_limit(void)
{
    struct xt_live_outcome outcome;
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = RLIM_INFINITY}; /* not whole pages */
    struct xt_event event;
    enum xt_status status = XT_OK;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct xt_live *live = open_writer();
    unsigned i = 0;
    for (; i < 10000 && status == XT_OK; i++) {
        event = held_event(i, "vnpt");
        status = apply(live, 1, &event, 1, &outcome);
    }
    assert_int_equal(status, XT_DISK_FULL);
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_applied(apply_one(live, &event), i, false);
    xt_live_close(live);
}

static void a_limit_of_file_size_is_like_a_full_disk(void **state)
{
    (void)state;
    in_child(write_below_a_limit);
}

static void network_file_systems_are_refused(void **state)
{
    (void)state;
    assert_string_equal(xt_disk_refused(0x6969, XT_DISK_READ_MAPS), "NFS");
    assert_string_equal(xt_disk_refused(0xff534d42, XT_DISK_SHARED_MAPS), "CIFS");
    assert_string_equal(xt_disk_refused(0x65735546, XT_DISK_SHARED_MAPS), "FUSE");
    assert_null(xt_disk_refused(0x65735546, XT_DISK_READ_MAPS));
    assert_null(xt_disk_refused(0xef53, XT_DISK_SHARED_MAPS)); /* ext4 */
    /* A real one: mounted for another user, so that the kernel answers for its missing server. */
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=65534,group_id=65534", fd);
    if (fd < 0 || mount("xt", deployment_path("live"), "fuse.xt", 0, options) != 0) {
        print_message("no FUSE here: its number alone was tried\n");
    } else {
        struct xt_live *live = NULL;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_UNSUPPORTED);
        assert_non_null(strstr(failure.text, "FUSE"));
        assert_int_equal(umount2(deployment_path("live"), MNT_DETACH), 0);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- a writer that is killed ------------------------------------------------------------------------ */

/* Applies events 0, 1, 2 ... in groups of random sizes and tells of each group when it is durable. */
static void apply_until_killed(unsigned from, int told)
{
    struct xt_live *live = NULL;
    if (xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure) != XT_OK ||
        xt_live_sequence(live) < from) {
        _exit(3);
    }
    uint64_t seed = from + 1;
    unsigned next = (unsigned)xt_live_sequence(live);
    for (;;) {
        struct xt_event events[XT_LIVE_GROUP_MAX];
        struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
        unsigned count = 1 + (unsigned)(next_random(&seed) % 40);
        for (unsigned i = 0; i < count; i++) {
            events[i] = held_event(next + i, "vnpt");
        }
        if (apply(live, 1, events, count, outcomes) != XT_OK) {
            _exit(4);
        }
        next += count;
        if (outcomes[count - 1].sequence != next ||
            write(told, &next, sizeof(next)) != sizeof(next)) {
            _exit(5);
        }
    }
}

static void a_killed_writer_loses_nothing_that_it_told(void **state)
{
    (void)state;
    unsigned told = 0;
    for (unsigned kills = 0; kills < 40; kills++) {
        int pipe_ends[2];
        int status = 0;
        assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            apply_until_killed(told, pipe_ends[1]);
        }
        close(pipe_ends[1]);
        uint64_t random;
        xt_random(&random, sizeof(random));
        unsigned groups = (unsigned)(random % 30);
        for (unsigned i = 0; i < groups; i++) {
            assert_int_equal(read(pipe_ends[0], &told, sizeof(told)), sizeof(told));
        }
        usleep((useconds_t)(random >> 32) % 3000);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* else it told of an error */
        while (read(pipe_ends[0], &told, sizeof(told)) == sizeof(told)) {
        }
        close(pipe_ends[0]);
    }
    struct xt_live *live =
        open_writer(); /* reads every line of the log, whose numbers have no gap */
    assert_true(xt_live_sequence(live) >= told);
    xt_live_close(live);
    live = open_reader();
    for (unsigned i = 0; i < xt_live_sequence(live); i++) {
        assert_held_by(live, i, "vnpt");
    }
    xt_live_close(live);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

/* ---- the lock file, which every reader may write ------------------------------------------------- */

#define LOCK_HEAD 128 /* bytes of LMDB's lock file before the places of readers */

/* What a reader that was taken over can do: LMDB's word for the last transaction, found by its value. */
static void tell_of_another_commit(uint64_t right, uint64_t wrong)
{
    int fd = open(deployment_path("live/live.mdb-lock"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    uint64_t *words = mmap(NULL, LOCK_HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(words, MAP_FAILED);
    unsigned found = 0;
    for (unsigned i = 0; i < LOCK_HEAD / sizeof(*words); i++) {
        if (words[i] == right) {
            words[i] = wrong;
            found++;
        }
    }
    assert_int_equal(found, 1);
    assert_int_equal(munmap(words, LOCK_HEAD), 0);
    (void)fd; /* closing it would end the locks of this process on it */
}

static uint64_t *told; /* shared with children: xt_live_committed */

static void apply_some(void)
{
    struct xt_live *live = open_writer();
    for (unsigned i = 1; i <= 20; i++) {
        struct xt_event event = held_event(i, "vnpt");
        assert_applied(apply_one(live, &event), i, false);
    }
    *told = xt_live_committed(live);
    xt_live_close(live);
}

static void write_behind_a_wrong_word(void)
{
    struct xt_live *live = open_writer();
    struct xt_event event = held_event(21, "vnpt");
    struct xt_live_outcome outcome;
    assert_applied(apply_one(live, &event), 21, false);
    *told = xt_live_committed(live);
    tell_of_another_commit(*told, *told - 1);
    event = held_event(22, "fpt");
    for (unsigned i = 0; i < 2; i++) { /* it does not come back to it either */
        assert_int_equal(apply(live, event.at_ms, &event, 1, &outcome), XT_IO);
    }
    xt_live_close(live);
}

static void write_after_it(void)
{
    struct xt_live *live = open_writer();
    struct xt_event event = held_event(22, "fpt");
    assert_applied(apply_one(live, &event), 22, false);
    *told = xt_live_committed(live);
    xt_live_close(live);
}

static void a_reader_believes_no_other_commit_than_it_was_told_of(void **state)
{
    (void)state;
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(told, MAP_FAILED);
    in_child(apply_some);
    uint64_t last = *told;
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_refresh(live, 20, last), XT_OK);
    assert_held_by(live, 20, "vnpt");
    const uint64_t wrong[] = {last - 1, last - 2, last + 1, last + 2, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        xt_live_rest(live);
        tell_of_another_commit(last, wrong[i]);
        assert_int_equal(xt_live_refresh(live, 21 + i, last), XT_IO);
        tell_of_another_commit(wrong[i], last);
        assert_int_equal(xt_live_refresh(live, 21 + i, last), XT_OK);
        assert_held_by(live, 20, "vnpt");
    }
    xt_live_close(live);
    assert_int_equal(munmap(told, sizeof(*told)), 0);
}

static void a_writer_writes_behind_no_other_commit_than_its_last(void **state)
{
    (void)state;
    told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(told, MAP_FAILED);
    in_child(apply_some);
    struct xt_live *live = open_reader(); /* who opens a store alone sets its word right */
    in_child(write_behind_a_wrong_word);
    assert_int_equal(xt_live_refresh(live, 21, *told), XT_IO);
    in_child(write_after_it);
    assert_int_equal(xt_live_refresh(live, 22, *told), XT_OK);
    assert_int_equal(xt_live_sequence(live), 22);
    assert_held_by(live, 20, "vnpt");
    assert_held_by(live, 21, "vnpt");
    assert_held_by(live, 22, "fpt");
    xt_live_close(live);
    assert_int_equal(munmap(told, sizeof(*told)), 0);
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
        EACH(a_reader_sees_what_was_applied_when_the_epoch_changes),
        EACH(places_of_killed_readers_are_freed),
        EACH(killed_readers_fill_no_table),
        EACH(killed_readers_do_not_make_the_file_grow),
        EACH(a_reader_before_the_first_writer_finds_nothing_and_makes_nothing),
        EACH(readers_follow_a_map_that_grew),
        cmocka_unit_test(the_window_finds_what_is_in_it_and_nothing_else),
        EACH(ids_are_forgotten_by_count_and_by_time),
        EACH(full_groups_pass_through_a_full_window),
        EACH(a_clock_that_leaps_forgets_no_id),
        EACH(ids_are_forgotten_by_count_after_a_clock_that_ran_ahead),
        EACH(a_log_that_is_too_long_is_cut_when_it_is_opened),
        EACH(nothing_stands_in_the_clear),
        EACH(damaged_records_are_never_believed),
        EACH(another_master_key_does_not_open_it),
        EACH(one_writer_at_a_time),
        EACH(a_full_disk_refuses_whole_events_and_goes_on_when_there_is_room),
        EACH(a_limit_of_file_size_is_like_a_full_disk),
        EACH(network_file_systems_are_refused),
        EACH(a_killed_writer_loses_nothing_that_it_told),
        EACH(a_reader_believes_no_other_commit_than_it_was_told_of),
        EACH(a_writer_writes_behind_no_other_commit_than_its_last),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
