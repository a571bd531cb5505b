/* The live store under damage, full disks and SIGKILL: it is sealed, and what was told is there. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/local_disk.h"
#include "tests/core/mutate.h"
#include "tests/store/live_store.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(nothing_stands_in_the_clear),
        EACH(damaged_records_are_never_believed),
        EACH(another_master_key_does_not_open_it),
        EACH(one_writer_at_a_time),
        EACH(a_full_disk_refuses_whole_events_and_goes_on_when_there_is_room),
        EACH(a_limit_of_file_size_is_like_a_full_disk),
        EACH(network_file_systems_are_refused),
        EACH(a_killed_writer_loses_nothing_that_it_told),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
