/* What opening a generation costs in memory, and what the system is told of its map. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/generation_internal.h"
#include "store/warm_up.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

/* What /proc/self/smaps says of all maps whose line contains `file`, in KiB. */
struct maps {
    unsigned count, random; /* of them, with MADV_RANDOM */
    unsigned long size, resident, dirty;
};

static struct maps maps_of(const char *file)
{
    struct maps maps = {0};
    char line[1024];
    bool wanted = false;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        unsigned long value =
            strtoul(strchr(line, ':') != NULL ? strchr(line, ':') + 1 : "", NULL, 10);
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            wanted = strstr(line, file) != NULL;
            maps.count += wanted;
        } else if (wanted && strncmp(line, "Size:", 5) == 0) {
            maps.size += value;
        } else if (wanted && strncmp(line, "Rss:", 4) == 0) {
            maps.resident += value;
        } else if (wanted && strncmp(line, "Private_Dirty:", 14) == 0) {
            maps.dirty += value;
        } else if (wanted && strncmp(line, "VmFlags:", 8) == 0) {
            maps.random += strstr(line, " rr") != NULL;
        }
    }
    fclose(smaps);
    return maps;
}

/* Private memory of this process in KiB, of whatever kind. */
static unsigned long anonymous_kib(void)
{
    char line[256];
    unsigned long value = 0;
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    assert_non_null(rollup);
    while (fgets(line, sizeof(line), rollup) != NULL) {
        if (strncmp(line, "Anonymous:", 10) == 0) {
            value = strtoul(line + 10, NULL, 10);
        }
    }
    fclose(rollup);
    return value;
}

static int build_world(void **state)
{
    deployment_make(state);
    build_people(0, 20000);
    return 0;
}

static void the_map_is_for_reading_at_random(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    struct maps maps = maps_of("data.mdb");
    assert_int_equal(maps.count, 1);
    assert_int_equal(maps.random, 1);
    xt_generation_close(generation);
    assert_int_equal(maps_of("data.mdb").count, 0);
}

/* A switch has both open for a moment: neither has memory of its own for its records. */
static void two_generations_at_once_share_all_but_their_lists_of_pages(void **state)
{
    (void)state;
    build_people(0, 20000);
    unsigned long before = anonymous_kib();
    struct xt_failure failure;
    struct xt_generation *one, *two;
    assert_int_equal(xt_generation_open(deployment(), 1, deployment_keyring(), &one, &failure),
                     XT_OK);
    assert_int_equal(xt_generation_open(deployment(), 2, deployment_keyring(), &two, &failure),
                     XT_OK);
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(find_is(one, XT_ID_PERSONAL, PERSON_NUMBER(i), true));
        assert_true(find_is(two, XT_ID_PERSONAL, PERSON_NUMBER(i), true));
    }
    struct maps maps = maps_of("data.mdb");
    assert_int_equal(maps.count, 2);
    assert_int_equal(maps.random, 2);
    assert_true(maps.resident > 1000); /* of the page cache */
    assert_int_equal(maps.dirty, 0);
    unsigned long more = anonymous_kib() - before;
    assert_true(more < 1024);
    xt_generation_close(one);
    xt_generation_close(two);
}

/* How many OS pages of a table are in the page cache. */
static size_t cached(const struct xt_generation *generation, unsigned table, size_t *all)
{
    const struct xt_span *pages = xt_table_file_pages(generation->file, table);
    uintptr_t os_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char there[256];
    size_t count = 0;
    *all = 0;
    for (uint32_t i = 0; i < generation->manifest.tables[table].pages; i++) {
        uintptr_t begin = (uintptr_t)pages[i].data & ~(os_page - 1);
        size_t size = (uintptr_t)pages[i].data + pages[i].size - begin;
        void *place;
        memcpy(&place, &begin, sizeof(place));
        assert_true(size < sizeof(there) * os_page);
        assert_int_equal(mincore(place, size, there), 0);
        for (size_t j = 0; j < (size + os_page - 1) / os_page; j++, (*all)++) {
            count += there[j] & 1;
        }
    }
    return count;
}

static void make_cold(void)
{
    int fd = open(deployment_path("identity/000001/data.mdb"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

/* Whatever the size: of a cold file the tree is read, and then what is asked for. */
static void opening_reads_no_records(void **state)
{
    (void)state;
    make_cold();
    struct xt_generation *generation = open_served();
    size_t all, opened = cached(generation, XT_TABLE_HOT, &all);
    if (opened == all) {
        xt_generation_close(generation);
        print_message("this file system cannot be made cold: not tested\n");
        return;
    }
    assert_true(opened <= all / 10); /* beside a tree page, where the system saw fit */
    for (unsigned i = 0; i < 20; i++) {
        assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(i), true));
    }
    assert_true(cached(generation, XT_TABLE_HOT, &all) <= opened + 20 * 4);
    xt_generation_close(generation);
}

static enum xt_status ignore(void *context, struct xt_table_place place, enum xt_status status,
                             struct xt_span record)
{
    (void)context;
    (void)place;
    (void)record;
    return status;
}

static void a_walk_gives_back_what_it_has_read(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    uint32_t pages = (uint32_t)generation->manifest.tables[XT_TABLE_HOT].pages;
    unsigned long opened = maps_of("data.mdb").resident;
    assert_int_equal(xt_table_walk(generation->tables[XT_TABLE_HOT], ignore, NULL), XT_OK);
    unsigned long walked = maps_of("data.mdb").resident;
    assert_true(walked >= opened + pages * 50);
    xt_table_file_forget(generation->file, XT_TABLE_HOT, 0, pages);
    assert_true(maps_of("data.mdb").resident < walked - pages * 50);
    assert_int_equal(xt_table_file_load(generation->file, XT_TABLE_HOT, 0, pages, true), XT_OK);
    assert_true(maps_of("data.mdb").resident >= opened + pages * 50);
    xt_table_file_forget(generation->file, XT_TABLE_HOT, 0, pages);
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(7), true));
    xt_generation_close(generation);
}

/* ---- the warm-up ----------------------------------------------------------------------------- */

/* This process has a kernel that does not know MADV_POPULATE_READ, which came with Linux 5.14. */
static bool go_back_before_5_14(void)
{
    enum { POPULATE_READ = 22 };
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, POPULATE_READ, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program_of_it = {sizeof(filter) / sizeof(filter[0]), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program_of_it) == 0;
}

/* The exit status of a process of its own: 0, or which step failed. */
static int warm_up_before_5_14(void)
{
    struct xt_warm_up warm_up;
    struct xt_failure failure;
    struct xt_generation *generation = NULL;
    enum xt_status status = XT_OK;
    if (xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure) != XT_OK) {
        return 1;
    }
    if (!go_back_before_5_14()) {
        return 2;
    }
    if (xt_table_file_load(generation->file, XT_TABLE_HOT, 0, 1, true) != XT_UNSUPPORTED) {
        return 3;
    }
    xt_warm_up_begin(&warm_up, generation, 0);
    while (status == XT_OK) {
        status = xt_warm_up_step(&warm_up, 1U << 20);
    }
    bool all = status == XT_NOT_FOUND && warm_up.at.done == warm_up.wanted;
    xt_warm_up_end(&warm_up);
    return all ? 0 : 4;
}

static void an_old_kernel_reads_the_hot_pages_as_well(void **state)
{
    (void)state;
    struct xt_generation *generation = open_served();
    size_t all, before;
    int status = 0;
    make_cold();
    before = cached(generation, XT_TABLE_HOT, &all);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(warm_up_before_5_14());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* It was only begun. */
    for (unsigned i = 0; i < 500 && cached(generation, XT_TABLE_HOT, &all) < all; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_int_equal(cached(generation, XT_TABLE_HOT, &all), all);
    xt_generation_close(generation);
    if (before == all) {
        print_message("this file system cannot be made cold: the half of it is not tested\n");
    }
}

/* Of the hot tables, or with the rest; gives how many bytes were read. */
static uint64_t warm_all(uint64_t reserve, struct xt_warm_up *warm_up)
{
    struct xt_failure failure;
    struct xt_generation *generation;
    enum xt_status status = XT_OK;
    assert_int_equal(
        xt_generation_open(deployment(), 1, deployment_keyring(), &generation, &failure), XT_OK);
    xt_warm_up_begin(warm_up, generation, reserve);
    while (status == XT_OK) {
        status = xt_warm_up_step(warm_up, 300000);
        assert_true(warm_up->at.done <= warm_up->wanted && warm_up->wanted <= warm_up->all);
    }
    assert_int_equal(status, XT_NOT_FOUND);
    uint64_t done = warm_up->at.done;
    assert_int_equal(done, warm_up->wanted);
    assert_int_equal(xt_warm_up_step(warm_up, 1), XT_NOT_FOUND);
    xt_generation_close(warm_up->generation);
    warm_up->generation = NULL;
    return done;
}

static bool is_cached(const struct xt_generation *generation, unsigned table)
{
    size_t all, there = cached(generation, table, &all);
    return there == all;
}

static void only_hot_pages_are_read_where_there_is_no_room_for_all(void **state)
{
    (void)state;
    struct xt_warm_up warm_up;
    struct xt_generation *generation = open_served();
    make_cold();
    uint64_t hot = warm_all(XT_WARM_HOT_ONLY, &warm_up);
    assert_true(warm_up.partly && hot < warm_up.all);
    assert_true(warm_up.room > 0); /* this machine tells it */
    assert_true(is_cached(generation, XT_TABLE_HOT));
    assert_true(is_cached(generation, XT_TABLE_ALIAS));
    /* Of so small a register others may come along with them: the disk reads 2 MiB at a time. */
    assert_true(warm_all(0, &warm_up) > hot);
    assert_true(!warm_up.partly && warm_up.wanted == warm_up.all);
    for (unsigned table = 0; table < XT_TABLE_PHONE; table++) {
        assert_true(is_cached(generation, table));
    }
    xt_generation_close(generation);
}

static void others_take_the_memory_meanwhile(void **state)
{
    (void)state;
    struct xt_warm_up warm_up;
    struct xt_generation *generation = open_served();
    enum xt_status status = XT_OK;
    xt_warm_up_begin(&warm_up, generation, 0);
    uint64_t wanted = warm_up.wanted;
    while (status == XT_OK && warm_up.at.table != 2) {
        status = xt_warm_up_step(&warm_up, 300000);
    }
    assert_int_equal(xt_warm_up_step(&warm_up, 4096), XT_OK); /* into the rest */
    warm_up.reserve = warm_up.room;
    assert_int_equal(xt_warm_up_step(&warm_up, 4096), XT_NOT_FOUND);
    assert_true(warm_up.partly);
    assert_true(warm_up.wanted == warm_up.at.done && warm_up.wanted < wanted);
    xt_warm_up_end(&warm_up);
}

static void what_was_read_is_mapped_before_it_is_asked_for(void **state)
{
    (void)state;
    struct xt_warm_up warm_up;
    struct xt_warm_place at = {.done = 0};
    uint64_t all = warm_all(0, &warm_up);
    struct xt_generation *generation = open_served();
    unsigned long opened = maps_of("data.mdb").resident;
    assert_int_equal(xt_warm_map_step(&at, generation, 0), XT_AGAIN); /* none was read yet */
    assert_int_equal(xt_warm_map_step(&at, generation, 1), XT_AGAIN);
    assert_true(maps_of("data.mdb").resident == opened);
    unsigned steps = 0;
    while (xt_warm_map_step(&at, generation, all) == XT_OK) {
        steps++;
    }
    assert_true(steps >= 2);
    assert_int_equal(at.done, all);
    struct maps maps = maps_of("data.mdb");
    assert_true(maps.resident * 1024 >= all);
    assert_true(maps.random < maps.count); /* what is used counts as used */
    unsigned long anonymous = anonymous_kib();
    for (unsigned i = 0; i < 20000; i += 7) {
        assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(i), true));
    }
    assert_true(maps_of("data.mdb").resident == maps.resident); /* nothing came by lookups */
#ifndef __SANITIZE_ADDRESS__ /* whose own memory grows with what is called */
    assert_true(anonymous_kib() <= anonymous + 8);
#else
    (void)anonymous;
#endif
    xt_generation_close(generation);
}

/* Waiting for the disk would hold up a worker. */
static void what_left_the_memory_again_is_not_mapped(void **state)
{
    (void)state;
    struct xt_warm_up warm_up;
    struct xt_warm_place at = {.done = 0};
    uint64_t all = warm_all(0, &warm_up);
    size_t pages;
    struct xt_generation *generation = open_served();
    make_cold();
    size_t before = cached(generation, XT_TABLE_COLD, &pages);
    while (xt_warm_map_step(&at, generation, all) == XT_OK) {
    }
    assert_int_equal(at.done, all);
    assert_int_equal(cached(generation, XT_TABLE_COLD, &pages), before);
    assert_true(find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(3), true));
    xt_generation_close(generation);
    if (before == pages) {
        print_message("this file system cannot be made cold: the half of it is not tested\n");
    }
}

static void a_slice_is_small_at_any_rate(void **state)
{
    (void)state;
    uint64_t period_ms;
    assert_int_equal(xt_warm_up_slice(0, &period_ms), 0);
    for (uint64_t rate = 1; rate <= 65536; rate++) {
        uint64_t bytes = xt_warm_up_slice(rate, &period_ms);
        assert_in_range(bytes, 1, 64U << 20);
        assert_true(period_ms <= 100);
        /* So many a second, to the millisecond that a period is cut off at. */
        assert_true(bytes * 1000 <= (rate << 20) * (period_ms + 1));
        assert_true((bytes + 1) * 1000 >= (rate << 20) * period_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_is_for_reading_at_random),
        cmocka_unit_test(opening_reads_no_records),
        cmocka_unit_test(a_walk_gives_back_what_it_has_read),
        cmocka_unit_test(an_old_kernel_reads_the_hot_pages_as_well),
        cmocka_unit_test(only_hot_pages_are_read_where_there_is_no_room_for_all),
        cmocka_unit_test(others_take_the_memory_meanwhile),
        cmocka_unit_test(what_was_read_is_mapped_before_it_is_asked_for),
        cmocka_unit_test(what_left_the_memory_again_is_not_mapped),
        cmocka_unit_test(a_slice_is_small_at_any_rate),
        cmocka_unit_test(two_generations_at_once_share_all_but_their_lists_of_pages),
    };
    return cmocka_run_group_tests(tests, build_world, deployment_remove);
}
