/* Daily quotas: exact over processes, over days, over raised quotas, over whoever dies; nothing of it tells
 * a number. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/quota_internal.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define S 1000ULL /* ms */
#define DAY_MS (86400 * S)
/* 2026-11-22 10:00 in Viet Nam. */
#define MORNING (1795316400ULL * S)

static struct xt_keyring *keyring;

static int set_up(void **state)
{
    int status = deployment_make(state);
    keyring = deployment_keyring();
    return status != 0 ? status : mkdir(deployment_path("supervisor"), 0700);
}

/* ---- partners with a quota -------------------------------------------------------------------- */

static struct xt_partners *partners_of(const char *const *names, const uint64_t *quotas,
                                       unsigned count)
{
    static char texts[8][512];
    struct xt_span spans[8];
    struct xt_partners *partners = NULL;
    struct xt_failure failure;
    for (unsigned i = 0; i < count; i++) {
        char quota[64] = "";
        if (quotas[i] > 0) {
            snprintf(quota, sizeof(quota), ",\"daily_quota\":%llu", (unsigned long long)quotas[i]);
        }
        snprintf(
            texts[i], sizeof(texts[i]),
            "{\"name\":\"%s\",\"certificates\":[{\"spki_sha256\":\"%064x\"}],\"purposes\":[]%s}",
            names[i], i + 1, quota);
        spans[i] = xt_span_of_string(texts[i]);
    }
    if (xt_partners_parse(spans, count, &partners, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return partners;
}

static struct xt_partners *one(uint64_t quota)
{
    static const char *const names[] = {"bank"};
    return partners_of(names, &quota, 1);
}

/* ---- a book, and a worker's view of it -------------------------------------------------------- */

static struct xt_quota_book *book_open(uint64_t unix_ms)
{
    struct xt_quota_book *book = NULL;
    struct xt_failure failure = {""};
    if (xt_quota_book_open(deployment(), keyring, unix_ms, &book, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return book;
}

static void settle(struct xt_quota_book *book, uint64_t quota, uint64_t unix_ms)
{
    struct xt_partners *partners = one(quota);
    struct xt_failure failure = {""};
    enum xt_status status = xt_quota_book_settle(book, partners, keyring, unix_ms, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_partners_free(partners);
}

static struct xt_quota_view *view_of(const struct xt_quota_book *book)
{
    int fds[XT_QUOTA_FDS];
    struct xt_quota_view *view = NULL;
    struct xt_failure failure = {""};
    unsigned count = xt_quota_book_hand(book, fds);
    if (xt_quota_view_open(fds, count, keyring, &view, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return view;
}

static enum xt_status ask(const struct xt_quota_view *view, uint64_t quota, uint64_t number,
                          uint64_t unix_ms)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    return xt_quota_take(view, xt_quota_seat(view, "bank"), quota, id, xt_quota_day(unix_ms));
}

/* Asks about numbers from..from+count-1; how many were let through. */
static uint64_t let_through(const struct xt_quota_view *view, uint64_t quota, uint64_t from,
                            uint64_t count, uint64_t unix_ms)
{
    uint64_t through = 0;
    for (uint64_t i = 0; i < count; i++) {
        enum xt_status status = ask(view, quota, from + i, unix_ms);
        assert_true(status == XT_OK || status == XT_DENIED);
        through += status == XT_OK;
    }
    return through;
}

static uint64_t used(const struct xt_quota_view *view, uint64_t unix_ms)
{
    return xt_quota_used(view, xt_quota_seat(view, "bank"), xt_quota_day(unix_ms));
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void as_many_ids_as_the_quota_and_not_one_more(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    assert_int_equal(xt_quota_book_serial(book), 0); /* nobody has a quota: nothing is made */
    assert_int_equal(count_names("supervisor", "quota-"), 0);
    settle(book, 1000, MORNING);
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(let_through(view, 1000, 1, 1500, MORNING), 1000);
    assert_int_equal(let_through(view, 1000, 1, 1000, MORNING), 1000); /* again: free */
    assert_int_equal(ask(view, 1000, 1001, MORNING), XT_DENIED);
    assert_int_equal(used(view, MORNING), 1000);
    /* The same digits of another kind are another id. */
    struct xt_id cmnd = {.kind = XT_ID_CMND, .value = 1};
    assert_int_equal(
        xt_quota_take(view, xt_quota_seat(view, "bank"), 1000, cmnd, xt_quota_day(MORNING)),
        XT_DENIED);
    assert_null(xt_quota_seat(view, "other"));
    assert_null(xt_quota_seat(NULL, "bank"));
    xt_quota_view_close(view);
    xt_quota_book_close(book);
}

static void partners_do_not_share_and_cannot_be_compared(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "free"};
    static const uint64_t quotas[] = {10, 20, 5000, 0};
    struct xt_partners *partners = partners_of(names, quotas, 4);
    struct xt_quota_book *book = book_open(MORNING);
    struct xt_failure failure;
    assert_int_equal(xt_quota_book_settle(book, partners, keyring, MORNING, &failure), XT_OK);
    struct xt_quota_view *view = view_of(book);
    for (unsigned i = 0; i < 3; i++) {
        const struct xt_quota_seat *seat = xt_quota_seat(view, names[i]);
        uint64_t through = 0;
        for (uint64_t number = 1; number <= 6000; number++) {
            struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
            through += xt_quota_take(view, seat, quotas[i], id, xt_quota_day(MORNING)) == XT_OK;
        }
        assert_int_equal(through, quotas[i]);
    }
    assert_null(xt_quota_seat(view, "free"));
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    xt_partners_free(partners);

    /* All words of the file that are neither 0 nor counters: no two alike, though both asked 1-10. */
    int fd = open(deployment_path("supervisor/quota-20261122"), O_RDONLY);
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    uint64_t *words = malloc((size_t)facts.st_size);
    assert_int_equal(read(fd, words, (size_t)facts.st_size), facts.st_size);
    close(fd);
    size_t count = (size_t)facts.st_size / 8, marks = 0;
    uint64_t seen[10 + 20 + 5000];
    for (size_t i = XT_QUOTA_COUNTERS / 8; i < count; i++) {
        if (words[i] != 0) {
            assert_true(words[i] > 1000000000000ULL); /* and no number in the clear */
            for (size_t j = 0; j < marks; j++) {
                assert_true(seen[j] != words[i]);
            }
            assert_true(marks < sizeof(seen) / sizeof(seen[0]));
            seen[marks++] = words[i];
        }
    }
    assert_int_equal(marks, 10 + 20 + 5000);
    free(words);
}

static void another_quota_keeps_what_was_asked(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, 100, MORNING);
    struct xt_quota_view *before = view_of(book);
    assert_int_equal(let_through(before, 100, 1, 200, MORNING), 100);

    settle(book, 50, MORNING); /* less: nothing new, and those before stay free */
    assert_int_equal(let_through(before, 50, 1, 200, MORNING), 100);

    uint64_t quota = 100, serial = xt_quota_book_serial(book);
    while (quota < 300000) { /* more, again and again, past the room of each region */
        quota = quota * 2 + 1;
        settle(book, quota, MORNING);
        struct xt_quota_view *view = view_of(book);
        assert_int_equal(let_through(view, quota, 1, quota + 10, MORNING), quota);
        assert_int_equal(used(view, MORNING), quota);
        assert_int_equal(used(before, MORNING), quota); /* a worker that was not told yet */
        xt_quota_view_close(view);
    }
    assert_true(xt_quota_book_serial(book) > serial);
    /* A worker that knows of the quota and not of the room for it lets nobody through for nothing. */
    assert_int_equal(ask(before, quota + 1, quota + 100, MORNING), XT_AGAIN);
    assert_int_equal(used(before, MORNING), quota);
    xt_quota_view_close(before);
    xt_quota_book_close(book);

    book = book_open(MORNING); /* and after a start */
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(let_through(view, quota, 1, quota + 10, MORNING), quota);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
}

static void the_largest_quota_can_be_reached_by_raising(void **state)
{
    (void)state;
    struct xt_quota_entry entry = {.regions = 0};
    for (uint64_t quota = 1; quota < XT_QUOTA_MAX; quota = xt_quota_room(&entry) + 1) {
        uint64_t room = xt_quota_room(&entry);
        assert_true(entry.regions < XT_QUOTA_REGIONS);
        entry.region[entry.regions++].ids = room < XT_QUOTA_LEAST ? XT_QUOTA_LEAST : room;
    }
}

static void a_new_day_is_a_new_set(void **state)
{
    (void)state;
    const uint64_t evening = MORNING + 14 * 3600 * S - 60 * S; /* 23:59 */
    const uint64_t night = evening + 61 * S;
    assert_int_equal(xt_quota_seconds_left(evening), 60);
    assert_int_equal(xt_quota_day(night), xt_quota_day(evening) + 1);
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, 10, MORNING);
    assert_int_equal(count_names("supervisor", "quota-"), 2);
    settle(book, 10, evening); /* the next one's is there before it begins */
    assert_int_equal(count_names("supervisor", "quota-"), 4);
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(let_through(view, 10, 1, 20, evening), 10);
    assert_int_equal(let_through(view, 10, 1, 20, night), 10); /* no settle in between */
    assert_int_equal(let_through(view, 10, 11, 10, evening), 0);
    assert_int_equal(ask(view, 10, 1, night + DAY_MS), XT_AGAIN); /* a day that nobody made */
    settle(book, 10, night);
    assert_int_equal(count_names("supervisor", "quota-"),
                     4); /* the old one is kept, one day long */
    xt_quota_view_close(view);
    view = view_of(book);
    assert_int_equal(let_through(view, 10, 1, 20, night), 10);
    /* A clock that is set back goes on with the newer day. */
    settle(book, 10, evening);
    assert_int_equal(let_through(view, 10, 11, 10, evening), 0);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    book = book_open(evening);
    settle(book, 10, evening);
    view = view_of(book);
    assert_int_equal(let_through(view, 10, 11, 10, evening), 0);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    /* One that was years ahead does not stop the days. */
    book = book_open(MORNING + 400 * DAY_MS);
    settle(book, 10, MORNING + 400 * DAY_MS);
    xt_quota_book_close(book);
    book = book_open(MORNING + 3 * DAY_MS);
    settle(book, 10, MORNING + 3 * DAY_MS);
    assert_int_equal(count_names("supervisor", "quota-"),
                     6); /* that day, the newest past, and the one to come */
    view = view_of(book);
    assert_int_equal(let_through(view, 10, 11, 10, MORNING + 3 * DAY_MS), 10);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
}

/* ---- processes -------------------------------------------------------------------------------- */

#define PROCESSES 4
#define IDS 800000U
#define QUOTA 600000U

struct arena {
    uint64_t waiting, through[PROCESSES];
    uint8_t had[IDS + 1]; /* let through by anybody */
};

/* All ask all ids, each in an order of its own, with a quota for fewer of them. */
static void hammer(const struct xt_quota_view *view, struct arena *arena, unsigned process)
{
    __atomic_sub_fetch(&arena->waiting, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&arena->waiting, __ATOMIC_ACQUIRE) > 0) {
        sched_yield();
    }
    static const unsigned steps[PROCESSES] = {1, 3, 7, 11};
    for (unsigned i = 0; i < IDS; i++) {
        unsigned number = (i * steps[process] + process * (IDS / PROCESSES)) % IDS + 1;
        if (ask(view, QUOTA, number, MORNING) == XT_OK) {
            __atomic_store_n(&arena->had[number], 1, __ATOMIC_RELAXED);
            arena->through[process]++;
        }
    }
}

static unsigned distinct(const struct arena *arena)
{
    unsigned count = 0;
    for (unsigned i = 1; i <= IDS; i++) {
        count += arena->had[i];
    }
    return count;
}

/* Where the clock goes, and back: what was asked on the real day still counts. */
static void a_leap_of_the_clock_and_back_gives_no_second_quota(void **state)
{
    (void)state;
    static const int64_t leaps[] = {1, -1, 2, 40, -3, -20000};
    struct xt_failure why;
    for (unsigned i = 0; i < 2 * sizeof(leaps) / sizeof(*leaps); i++) {
        struct xt_quota_book *book = book_open(MORNING);
        settle(book, 10, MORNING);
        struct xt_quota_view *view = view_of(book);
        assert_int_equal(let_through(view, 10, 1, 20, MORNING), 10);
        xt_quota_view_close(view);
        int64_t leap = leaps[i / 2];
        const uint64_t wrong = MORNING + (uint64_t)(leap * (int64_t)DAY_MS);
        if (i % 2 == 0) { /* a start with a wrong clock, or one that runs */
            xt_quota_book_close(book);
            book = book_open(wrong);
        }
        settle(book, 10, wrong);
        bool told = xt_quota_book_lost(book, &why);
        if (leap < -1 || (i % 2 == 1 && leap > 1)) {
            assert_true(told);
            assert_non_null(strstr(why.text, "clock"));
        }
        settle(book, 10, wrong);
        settle(book, 10, MORNING);
        view = view_of(book);
        assert_int_equal(used(view, MORNING), 10);
        assert_int_equal(let_through(view, 10, 11, 20, MORNING), 0);
        xt_quota_view_close(view);
        xt_quota_book_close(book);
        xt_quota_day_remove(deployment_path("supervisor"), xt_quota_day(MORNING));
        xt_quota_day_remove(deployment_path("supervisor"), xt_quota_day(wrong));
    }
}

static void processes_together_get_one_quota(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, QUOTA, MORNING);
    struct arena *arena =
        mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(arena != MAP_FAILED);
    arena->waiting = PROCESSES;
    pid_t children[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            hammer(view_of(book), arena, i);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(distinct(arena), QUOTA);
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(used(view, MORNING), QUOTA);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    munmap(arena, sizeof(*arena));
}

/* Workers are killed wherever they are, again and again: never more than the quota, and after a start
 * exactly as many places are taken as ids were. */
static void killed_processes_lose_nothing(void **state)
{
    (void)state;
    struct arena *arena =
        mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(arena != MAP_FAILED);
    unsigned rounds = 0;
    for (; rounds < 40; rounds++) {
        struct xt_quota_book *book = book_open(MORNING);
        settle(book, QUOTA, MORNING);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            arena->waiting = 1;
            hammer(view_of(book), arena, rounds % PROCESSES);
            _exit(0);
        }
        struct timespec pause = {.tv_nsec = 300000 + 100000L * rounds};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        xt_quota_book_close(book);
        book = book_open(MORNING); /* counts again */
        struct xt_quota_view *view = view_of(book);
        unsigned had = distinct(arena);
        /* One may have had its place and died before it could say so. */
        assert_in_range(used(view, MORNING), had, had + rounds + 1);
        assert_true(used(view, MORNING) <= QUOTA);
        for (unsigned i = 1; i <= IDS; i++) {
            assert_true(!arena->had[i] || ask(view, 1, i, MORNING) == XT_OK);
        }
        xt_quota_view_close(view);
        xt_quota_book_close(book);
    }
    munmap(arena, sizeof(*arena));
}

/* A place that was taken for nothing is given back, but not while anybody else has the file. */
static void only_who_is_alone_counts_again(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, 100, MORNING);
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(let_through(view, 100, 1, 50, MORNING), 50);
    int fds[XT_QUOTA_FDS];
    assert_int_equal(xt_quota_book_hand(book, fds), 2);
    uint64_t lost = 51;
    assert_int_equal(pwrite(fds[1], &lost, sizeof(lost), 0), sizeof(lost));
    xt_quota_book_close(book);
    book = book_open(MORNING); /* the view is a worker that still drains */
    assert_int_equal(used(view, MORNING), 51);
    xt_quota_book_close(book);
    xt_quota_view_close(view);
    book = book_open(MORNING);
    view = view_of(book);
    assert_int_equal(used(view, MORNING), 50);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
}

/* A second supervisor (an upgrade) changes nothing, takes up what the first makes, and goes on after it. */
static void two_supervisors_agree(void **state)
{
    (void)state;
    struct xt_quota_book *first = book_open(MORNING);
    settle(first, 10, MORNING);
    struct xt_quota_book *second = book_open(MORNING);
    struct xt_quota_view *view = view_of(second);
    assert_int_equal(let_through(view, 10, 1, 4, MORNING), 4);
    xt_quota_view_close(view);
    settle(first, 20000, MORNING);
    struct xt_partners *partners = one(20000);
    struct xt_failure failure;
    uint64_t serial = xt_quota_book_serial(second);
    assert_int_equal(xt_quota_book_settle(second, partners, keyring, MORNING, &failure), XT_BUSY);
    assert_true(xt_quota_book_serial(second) > serial);
    serial = xt_quota_book_serial(second);
    assert_int_equal(xt_quota_book_settle(second, partners, keyring, MORNING, &failure), XT_BUSY);
    assert_true(xt_quota_book_serial(second) == serial); /* nothing new */
    view = view_of(second);
    assert_int_equal(let_through(view, 20000, 1, 30000, MORNING), 20000);
    settle(first, 40000, MORNING); /* and is gone before the second looked again */
    xt_quota_book_close(first);
    xt_partners_free(partners);
    settle(second, 50000, MORNING);
    xt_quota_view_close(view);
    view = view_of(second);
    assert_int_equal(let_through(view, 50000, 1, 60000, MORNING), 50000);
    xt_quota_view_close(view);
    xt_quota_book_close(second);
}

/* ---- what can go wrong ------------------------------------------------------------------------ */

static void flip(const char *name, off_t at)
{
    int fd = open(deployment_path(name), O_RDWR);
    uint8_t byte = 0;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void a_damaged_index_is_told_and_the_day_begins_anew(void **state)
{
    (void)state;
    static const char index[] = "supervisor/quota-20261122.index",
                      file[] = "supervisor/quota-20261122";
    struct xt_failure why;
    size_t size = sizeof(struct xt_quota_head) + sizeof(struct xt_quota_entry) + XT_DIGEST_BYTES;
    for (unsigned i = 0; i < size + 4; i += i < 72 ? 1 : 13) {
        struct xt_quota_book *book = book_open(MORNING);
        settle(book, 10, MORNING);
        assert_false(xt_quota_book_lost(book, &why));
        xt_quota_book_close(book);
        if (i >= size) { /* cut off, or gone */
            assert_int_equal(truncate(deployment_path(file), i == size ? 0 : 70000), 0);
        } else {
            flip(index, (off_t)i);
        }
        book = book_open(MORNING);
        assert_true(xt_quota_book_lost(book, &why));
        assert_false(xt_quota_book_lost(book, &why)); /* once */
        settle(book, 10, MORNING);
        struct xt_quota_view *view = view_of(book);
        assert_int_equal(let_through(view, 10, 1, 20, MORNING), 10);
        xt_quota_view_close(view);
        xt_quota_book_close(book);
        unlink(deployment_path(index));
        unlink(deployment_path(file));
    }
}

/* What strangers who have taken over a worker can write: any word of the sets and counters. */
static void any_content_of_the_sets_is_borne(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, 10, MORNING);
    struct xt_quota_view *view = view_of(book);
    int fds[XT_QUOTA_FDS];
    struct stat facts;
    assert_int_equal(xt_quota_book_hand(book, fds), 2);
    assert_int_equal(fstat(fds[1], &facts), 0);
    uint8_t *map = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    assert_true(map != MAP_FAILED);
    static const uint8_t fills[] = {0xff, 0x01, 0x80};
    for (unsigned i = 0; i < sizeof(fills); i++) {
        memset(map, fills[i], (size_t)facts.st_size);
        for (uint64_t number = 1; number < 100; number++) {
            assert_int_not_equal(ask(view, 10, number, MORNING), XT_OK);
        }
        memset(map, 0, XT_QUOTA_COUNTERS);
        assert_int_equal(ask(view, 10, 1, MORNING), XT_AGAIN); /* a full set, an empty counter */
        assert_int_equal(used(view, MORNING), 0);
    }
    munmap(map, (size_t)facts.st_size);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
}

static void no_room_lets_nobody_through_and_is_mended(void **state)
{
    (void)state;
    static const char *const names[] = {"large", "small"};
    static const uint64_t quotas[] = {50000000, 10};
    struct xt_partners *partners = partners_of(names, quotas, 2);
    struct xt_quota_book *book = book_open(MORNING);
    struct rlimit before, small = {16 << 20, RLIM_INFINITY};
    struct xt_failure failure = {""};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum xt_status status = xt_quota_book_settle(book, partners, keyring, MORNING, &failure);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(status == XT_IO || status == XT_DISK_FULL);
    assert_non_null(strstr(failure.text, "no room for a daily quota"));
    struct xt_quota_view *view = view_of(book);
    assert_null(xt_quota_seat(view, "large"));
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = 1};
    int32_t day = xt_quota_day(MORNING);
    assert_int_equal(xt_quota_take(view, xt_quota_seat(view, "large"), 50000000, id, day),
                     XT_AGAIN);
    assert_int_equal(xt_quota_take(view, xt_quota_seat(view, "small"), 10, id, day), XT_OK);
    xt_quota_view_close(view);
    assert_int_equal(xt_quota_book_settle(book, partners, keyring, MORNING, &failure), XT_OK);
    view = view_of(book);
    assert_int_equal(xt_quota_take(view, xt_quota_seat(view, "large"), 50000000, id, day), XT_OK);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    xt_partners_free(partners);
}

/* The day goes on under the key that it began with; the next one is made under the new one. */
static void another_master_key_does_not_change_the_day(void **state)
{
    (void)state;
    struct xt_quota_book *book = book_open(MORNING);
    settle(book, 10, MORNING);
    struct xt_quota_view *view = view_of(book);
    assert_int_equal(let_through(view, 10, 1, 6, MORNING), 6);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    struct xt_failure failure;
    struct xt_keyring *whole = keyring, *rotated = NULL, *fresh = NULL;
    char both[1024];
    snprintf(both, sizeof(both), "%s%s", read_text("keys/master.keys"),
             "0badcafe 2026-11-22T00:00:00Z "
             "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    write_text("keys/rotated.keys", both);
    write_text("keys/fresh.keys", strchr(both, '\n') + 1);
    chmod(deployment_path("keys/rotated.keys"), 0600);
    chmod(deployment_path("keys/fresh.keys"), 0600);
    if (xt_keyring_open(deployment_path("keys/rotated.keys"), &rotated, &failure) != XT_OK ||
        xt_keyring_open(deployment_path("keys/fresh.keys"), &fresh, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    keyring = rotated;
    const uint64_t evening = MORNING + 14 * 3600 * S - 60 * S;
    book = book_open(evening);
    assert_false(xt_quota_book_lost(book, &failure));
    settle(book, 10, evening);
    view = view_of(book);
    assert_int_equal(let_through(view, 10, 1, 20, evening), 10);
    assert_int_equal(let_through(view, 10, 1, 20, evening + 120 * S), 10);
    /* A worker that has the new key alone cannot take up the day; one with both can. */
    int fds[XT_QUOTA_FDS];
    struct xt_quota_view *none = NULL;
    unsigned count = xt_quota_book_hand(book, fds);
    assert_int_equal(xt_quota_view_open(fds, count, fresh, &none, &failure), XT_NOT_FOUND);
    xt_quota_view_close(view);
    xt_quota_book_close(book);
    /* Without the key of the day there is nothing to go on by, and it is said. */
    keyring = fresh;
    book = book_open(evening);
    assert_true(xt_quota_book_lost(book, &failure));
    assert_non_null(strstr(failure.text, "master key"));
    xt_quota_book_close(book);
    keyring = whole;
    xt_keyring_close(rotated);
    xt_keyring_close(fresh);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, deployment_remove)

/* ---- keys ------------------------------------------------------------------------------------- */

static void a_master_key_that_a_day_needs_is_retired_when_the_day_is_over(void **state)
{
    (void)state;
    char old[9];
    /* Today's morning in Viet Nam: shortly before midnight the next day's file is there, too, under the old key. */
    uint64_t now = (uint64_t)time(NULL) * S;
    now -= (now + 7 * 3600 * S) % DAY_MS;
    now += 7 * 3600 * S;
    snprintf(old, sizeof(old), "%08x", xt_keyring_current(keyring));
    struct xt_quota_book *book = book_open(now);
    settle(book, 100, now);
    xt_quota_book_close(book);
    assert_int_equal(run("keys", "rotate", "DIR", "master", NULL), 0);
    assert_int_equal(run("keys", "list", "DIR", NULL), 0);
    assert_non_null(strstr(run_out, "quotas of "));
    assert_int_equal(run("keys", "retire", "DIR", "master", old, NULL), 1);
    assert_non_null(strstr(run_err, "today's quotas"));
    /* The newest day past stays, so it is cleared away two days later, by those that came after. */
    struct xt_keyring *whole = keyring;
    struct xt_failure failure;
    keyring = NULL;
    assert_int_equal(xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure),
                     XT_OK);
    for (unsigned days = 1; days <= 2; days++) {
        book = book_open(now + days * DAY_MS);
        settle(book, 100, now + days * DAY_MS);
        xt_quota_book_close(book);
    }
    xt_keyring_close(keyring);
    keyring = whole;
    assert_int_equal(run("keys", "retire", "DIR", "master", old, NULL), 0);
    assert_int_equal(run("keys", "list", "DIR", NULL), 0);
    assert_null(strstr(run_out, old));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(as_many_ids_as_the_quota_and_not_one_more),
        EACH(partners_do_not_share_and_cannot_be_compared),
        EACH(another_quota_keeps_what_was_asked),
        cmocka_unit_test(the_largest_quota_can_be_reached_by_raising),
        EACH(a_new_day_is_a_new_set),
        EACH(a_leap_of_the_clock_and_back_gives_no_second_quota),
        EACH(processes_together_get_one_quota),
        EACH(killed_processes_lose_nothing),
        EACH(only_who_is_alone_counts_again),
        EACH(two_supervisors_agree),
        EACH(a_master_key_that_a_day_needs_is_retired_when_the_day_is_over),
        EACH(a_damaged_index_is_told_and_the_day_begins_anew),
        EACH(any_content_of_the_sets_is_borne),
        EACH(no_room_lets_nobody_through_and_is_mended),
        EACH(another_master_key_does_not_change_the_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
