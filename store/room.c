#include "store/room.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/file.h"

#define TEXT_MAX                                                                                   \
    8192 /* memory.stat has some 2,500 bytes, and what is wanted of meminfo is in front */

/* What /proc and /sys tell has no size beforehand. */
static bool read_text(const char *root, const char *path, const char *name, char text[TEXT_MAX])
{
    char full[XT_PATH_MAX];
    size_t size = 0;
    ssize_t got = 1;
    int length = snprintf(full, sizeof(full), "%s%s%s", root, path, name);
    if (length < 0 || (size_t)length >= sizeof(full)) {
        return false;
    }
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    while (got > 0 && size < TEXT_MAX - 1) {
        got = read(fd, text + size, TEXT_MAX - 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    (void)close(fd);
    text[size] = '\0';
    return got >= 0;
}

/* The number behind a name that begins a line. */
static bool find_number(const char *text, const char *name, uint64_t *value)
{
    size_t size = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0) {
            char *end = NULL;
            *value = strtoull(line + size, &end, 10);
            return end != line + size;
        }
    }
    return false;
}

static uint64_t less(uint64_t value, uint64_t taken)
{
    return value > taken ? value - taken : 0;
}

/* One group's part. "max" is no number: no limit. */
static void look_at_group(const char *root, const char *group, struct xt_room *room)
{
    char text[TEXT_MAX];
    uint64_t limit = UINT64_MAX, value = 0, used = 0, active = 0, inactive = 0;
    static const char *const limits[] = {"/memory.max", "/memory.high"};
    for (unsigned i = 0; i < 2; i++) {
        if (read_text(root, group, limits[i], text) && find_number(text, "", &value)) {
            limit = value < limit ? value : limit;
        }
    }
    if (limit == UINT64_MAX || !read_text(root, group, "/memory.current", text) ||
        !find_number(text, "", &used)) {
        return;
    }
    if (read_text(root, group, "/memory.stat", text)) {
        (void)find_number(text, "active_file ", &active);
        (void)find_number(text, "inactive_file ", &inactive);
    }
    uint64_t available = less(limit, less(used, active + inactive));
    uint64_t unused = less(limit, used);
    room->available = available < room->available ? available : room->available;
    room->free = unused < room->free ? unused : room->free;
}

/* The group that we are in, and each above it: all their limits hold. Within a container the highest that shows
 * is not the machine's, so that it is looked at as well. */
static void look_at_groups(const char *root, struct xt_room *room)
{
    char text[TEXT_MAX];
    char group[XT_PATH_MAX];
    if (!read_text(root, "/proc/self/cgroup", "", text)) {
        return;
    }
    const char *line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line == NULL) {
        return; /* no cgroup v2 */
    }
    line = strchr(line, '/');
    int length =
        snprintf(group, sizeof(group), "/sys/fs/cgroup%.*s", (int)strcspn(line, "\n"), line);
    if (length < 0 || (size_t)length >= sizeof(group)) {
        return;
    }
    for (char *slash; strlen(group) >= strlen("/sys/fs/cgroup"); *slash = '\0') {
        look_at_group(root, group, room);
        slash = strrchr(group, '/');
    }
}

bool xt_room_look(const char *root, struct xt_room *room)
{
    char text[TEXT_MAX];
    uint64_t available = 0, unused = 0;
    *room = (struct xt_room){.available = 0};
    if (!read_text(root, "/proc/meminfo", "", text) ||
        !find_number(text, "MemAvailable:", &available) ||
        !find_number(text, "MemFree:", &unused)) {
        return false;
    }
    room->available = available << 10; /* from KiB */
    room->free = unused << 10;
    look_at_groups(root, room);
    return true;
}
