/* net/writer_internal: what the parts of the writer process share. Internal to net/. */
#ifndef XT_NET_WRITER_INTERNAL_H
#define XT_NET_WRITER_INTERNAL_H

#include <uv.h>

#include "core/settings.h"
#include "net/log.h"
#include "net/ring.h"
#include "net/writer.h"
#include "net/writer_message.h"
#include "store/live.h"
#include "store/partners.h"

struct xt_writer_desk;

/* A process at the other end of a channel. */
struct xt_writer_peer {
    struct xt_ring link;
    struct xt_writer_desk *desk;
    uv_poll_t poll;
    int fd, polled;   /* polled: what the loop looks for */
    bool administers; /* the supervisor */
    bool more;        /* there may be something to read */
    bool ended;       /* nothing more is read or sent; goes after the group at hand */
    unsigned in_group;
    unsigned first_answer, answers; /* a ring of those that were not sent yet */
    struct {
        uint64_t ticket;
        struct xt_live_outcome outcome;
    } waiting[XT_WRITER_ANSWERS];
};

/* The channels and the group at hand. */
struct xt_writer_desk {
    uv_loop_t *loop;
    uv_check_t turn;
    struct xt_live *live;
    struct xt_writer_counters *counters;
    struct xt_partners *partners; /* whose rights count; NULL: none is known yet */
    struct xt_ring peers;
    unsigned peer_count;
    bool serving, disk_full;
    void (*gone)(void *context); /* a peer has left */
    void (*broken)(void *context, const struct xt_failure *failure);
    void (*wants_base)(void *context); /* another generation is on record: xt_live_set_base */
    void *context;
    struct xt_log_limit log_limit;

    unsigned count; /* events in the group */
    struct xt_writer_peer *from[XT_LIVE_GROUP_MAX];
    uint64_t tickets[XT_LIVE_GROUP_MAX];
    struct xt_span events[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    uint8_t packets[XT_LIVE_GROUP_MAX][XT_WRITER_EVENT_MAX];
};

XT_MUST_USE enum xt_status xt_writer_desk_open(struct xt_writer_desk *desk, uv_loop_t *loop);
/* A new channel; fd is taken, also on failure. Read once the desk serves. */
XT_MUST_USE enum xt_status xt_writer_desk_add(struct xt_writer_desk *desk, int fd,
                                              bool administers);
/* Begins to read all channels. */
void xt_writer_desk_serve(struct xt_writer_desk *desk, struct xt_live *live,
                          struct xt_writer_counters *counters);
/* Takes what was sent until now, and answers it. */
void xt_writer_desk_finish(struct xt_writer_desk *desk);
/* Whether a partner of that name may tell this: his rights, and, of an account, that he says it himself. */
bool xt_writer_may_tell(const struct xt_partners *partners, struct xt_span name,
                        const struct xt_event *event);
/* Closes all; the loop then runs until they are gone. */
void xt_writer_desk_close(struct xt_writer_desk *desk);

#endif
