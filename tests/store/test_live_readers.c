/* Readers of the live store: what was acknowledged is there for every one of them, and none of them harms it. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/live_store.h"

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
        EACH(a_reader_sees_what_was_applied_when_the_epoch_changes),
        EACH(places_of_killed_readers_are_freed),
        EACH(killed_readers_fill_no_table),
        EACH(killed_readers_do_not_make_the_file_grow),
        EACH(a_reader_before_the_first_writer_finds_nothing_and_makes_nothing),
        EACH(readers_follow_a_map_that_grew),
        EACH(a_reader_believes_no_other_commit_than_it_was_told_of),
        EACH(a_writer_writes_behind_no_other_commit_than_its_last),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
