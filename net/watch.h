/* net/watch: tells that something in a folder has changed.
 *
 * inotify, gathered for XT_WATCH_GATHER_MS so that a burst of changes is one; and a look with every
 * poll: whether the folder is still the same one and, where inotify fails (limits, file systems), at
 * each file in it.
 */
#ifndef XT_NET_WATCH_H
#define XT_NET_WATCH_H

#include <uv.h>

#include "crypto/file.h"

#define XT_WATCH_GATHER_MS 100

struct xt_watch {
    uv_fs_event_t event;
    uv_timer_t timer;
    char folder[XT_PATH_MAX];
    dev_t device; /* of the folder, as of the last look */
    ino_t inode;
    uint64_t seen; /* a digest of what the last look saw */
    bool told;     /* inotify works; else each look goes over the files */
    void (*tell)(void *context);
    void *context;
};

/* Does not tell of what is there already. */
XT_MUST_USE enum xt_status xt_watch_open(struct xt_watch *watch, uv_loop_t *loop,
                                         const char *folder, void (*tell)(void *context),
                                         void *context);
/* Looks by itself; call about once a second. */
void xt_watch_poll(struct xt_watch *watch);
void xt_watch_close(struct xt_watch *watch);

#endif
