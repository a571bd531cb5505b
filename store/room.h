/* store/room: how much memory there is for pages of files: of the machine, and below the limits of the control
 * groups (cgroup v2) that this process is in.
 *
 * Thread: any. Blocks: never; some small files of /proc and /sys are read.
 */
#ifndef XT_STORE_ROOM_H
#define XT_STORE_ROOM_H

#include <stdbool.h>
#include <stdint.h>

struct xt_room {
    uint64_t available; /* bytes: free, or pages of files, which give way to others */
    uint64_t free;      /* bytes that nothing has to give way for */
};

/* root: what stands before /proc and /sys; "" but in tests. false: the machine does not tell. A limit that cannot
 * be read is none. */
bool xt_room_look(const char *root, struct xt_room *room);

#endif
