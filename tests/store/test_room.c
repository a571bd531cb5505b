/* How much memory there is, told by files as the system has them, below a folder of our own. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/room.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define MEMINFO                                                                                    \
    "MemTotal:       24683532 kB\nMemFree:          518540 kB\nMemAvailable:   23573820 kB\n"      \
    "Buffers:           43736 kB\n"
#define AVAILABLE (23573820ULL << 10)
#define UNUSED (518540ULL << 10)

/* Writes a file below the root of this test, with its folders. */
static void tell(const char *root, const char *path, const char *text)
{
    char name[256];
    snprintf(name, sizeof(name), "%s/%s", root, path);
    for (char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(deployment_path(name), 0700);
        *slash = '/';
    }
    write_text(name, text);
}

static bool look(const char *root, struct xt_room *room)
{
    return xt_room_look(deployment_path(root), room);
}

static void it_is_what_the_machine_has(void **state)
{
    (void)state;
    struct xt_room room;
    tell("plain", "proc/meminfo", MEMINFO);
    assert_true(look("plain", &room));
    assert_true(room.available == AVAILABLE && room.free == UNUSED);
    tell("plain", "proc/self/cgroup", "9:name=systemd:/\n4:memory:/a/b\n"); /* no cgroup v2 */
    assert_true(look("plain", &room));
    assert_true(room.available == AVAILABLE && room.free == UNUSED);
    tell("plain", "proc/self/cgroup", "0::/system.slice/xacthuc.service\n");
    tell("plain", "sys/fs/cgroup/system.slice/xacthuc.service/memory.max", "max\n");
    tell("plain", "sys/fs/cgroup/system.slice/xacthuc.service/memory.high", "max\n");
    assert_true(look("plain", &room));
    assert_true(room.available == AVAILABLE && room.free == UNUSED);
    assert_true(xt_room_look("", &room)); /* and this machine tells it */
    assert_true(room.available > 0);
}

#define STAT "anon 300000000\nfile 900000000\nkernel 1\ninactive_anon 1\nactive_anon 2\n"
#define GROUP "sys/fs/cgroup/system.slice/xacthuc.service/"

static void a_limit_of_its_group_counts(void **state)
{
    (void)state;
    struct xt_room room;
    tell("limited", "proc/meminfo", MEMINFO);
    tell("limited", "proc/self/cgroup", "4:cpu:/x\n0::/system.slice/xacthuc.service\n");
    tell("limited", GROUP "memory.max", "4000000000\n");
    tell("limited", GROUP "memory.high", "max\n");
    tell("limited", GROUP "memory.current", "1300000000\n");
    tell("limited", GROUP "memory.stat", STAT "inactive_file 600000000\nactive_file 250000000\n");
    assert_true(look("limited", &room));
    assert_true(room.available == 4000000000 - (1300000000 - 850000000));
    assert_true(room.free == UNUSED);
    tell("limited", GROUP "memory.high", "1500000000\n"); /* the lower one */
    assert_true(look("limited", &room));
    assert_true(room.available == 1500000000 - 450000000);
    assert_true(room.free == 200000000);
    tell("limited", GROUP "memory.high", "1000000000\n"); /* which it is over */
    assert_true(look("limited", &room));
    assert_true(room.available == 550000000 && room.free == 0);
}

static void a_limit_above_its_group_counts(void **state)
{
    (void)state;
    struct xt_room room;
    tell("above", "proc/meminfo", MEMINFO);
    tell("above", "proc/self/cgroup", "0::/system.slice/xacthuc.service\n");
    tell("above", GROUP "memory.max", "8000000000\n");
    tell("above", GROUP "memory.current", "1000\n");
    tell("above", "sys/fs/cgroup/system.slice/memory.max", "2000000000\n");
    tell("above", "sys/fs/cgroup/system.slice/memory.current", "1999999000\n");
    assert_true(look("above", &room));
    assert_true(room.available == 1000 && room.free == 1000);
    tell("above", "sys/fs/cgroup/memory.max", "500\n"); /* a container's own */
    tell("above", "sys/fs/cgroup/memory.current", "0\n");
    assert_true(look("above", &room));
    assert_true(room.available == 500 && room.free == 500);
}

static void what_makes_no_sense_is_no_limit(void **state)
{
    (void)state;
    static char text[20000];
    struct xt_room room;
    assert_false(look("nothing", &room));
    assert_true(room.available == 0);
    tell("odd", "proc/meminfo", "MemFree: 12 kB\n"); /* Linux before 3.14 */
    assert_false(look("odd", &room));
    tell("odd", "proc/meminfo", MEMINFO);
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "0::/", 4);
    tell("odd", "proc/self/cgroup", text);
    assert_true(look("odd", &room));
    assert_true(room.available == AVAILABLE);
    tell("odd", "proc/self/cgroup", "0::/../a\n");
    assert_true(look("odd", &room));
    assert_true(room.available == AVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_machine_has),
        cmocka_unit_test(a_limit_of_its_group_counts),
        cmocka_unit_test(a_limit_above_its_group_counts),
        cmocka_unit_test(what_makes_no_sense_is_no_limit),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
