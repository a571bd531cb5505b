/* net/writer_internal: what the parts of the writer process share. Internal to net/. */
#ifndef XT_NET_WRITER_INTERNAL_H
#define XT_NET_WRITER_INTERNAL_H

#include <uv.h>

#include "core/settings.h"
#include "crypto/keyring.h"
#include "net/log.h"
#include "net/ring.h"
#include "net/vitals.h"
#include "net/writer.h"
#include "net/writer_message.h"
#include "store/generation.h"
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

/* The process: all that writer.c (its life), writer_orders.c (what the supervisor tells it), writer_base.c and
 * writer_statistics.c share. */
struct xt_writing {
    uv_loop_t loop;
    uv_poll_t control;
    uv_timer_t timer;    /* waits for the lock, then ticks */
    uv_timer_t deadline; /* of a drain */
    uv_timer_t fold;     /* the next step of dropping */
    uv_timer_t add_up;   /* the next step of adding up what events changed in statistics */
    uv_timer_t count;    /* the next step of counting changed people */
    uv_timer_t sweep;    /* the next step of sweeping away what is over */
    uv_signal_t terminate;
    struct xt_settings settings;
    char dir[XT_PATH_MAX];
    struct xt_keyring *keyring; /* for the generations to come */
    uint64_t keys_serial;       /* of it, until the store is open */
    bool sealed;                /* the store is under its current key */
    struct xt_shared *shared;
    struct xt_vitals_source vitals;
    struct xt_live *live;
    struct xt_generation *base;            /* that registry events are applied over */
    uint8_t settled[XT_GENERATION_DIGEST]; /* the one generation that is read; zero: not known */
    int lock;
    uint64_t ticks;
    /* Of the one that has the store; 0: for ever; not yet. */
    uint64_t lock_wait_ms, waiting_since_ms;
    bool draining, stopped, failed;
    bool folding;     /* there was something to drop */
    bool counting;    /* changed people, over a new base: nothing is dropped meanwhile */
    bool base_failed; /* and the log says so */
    bool room_low;    /* the same */
    xt_date told_on;  /* the day on which statistics were last made, or are lacking; 0: not yet */
    uint64_t statistics_at;               /* tick from which they are tried again */
    bool uncounted, untold, not_added_up; /* and the log says so */
    struct xt_writer_desk desk;
};

/* reason: NULL for none. */
void xt_writing_log(enum xt_log_level level, const char *event, const char *reason);
/* The store failed: ends the process (and never returns). */
void xt_writing_broken(void *writing, const struct xt_failure *failure);
/* Takes and answers what was sent until now, and ends. */
void xt_writing_finish(struct xt_writing *writing);
/* Goes on until the last channel is closed by its other side, or the deadline. */
void xt_writing_drain(struct xt_writing *writing);

/* ---- what the supervisor tells (writer_orders.c) ------------------------------------------------ */

/* Waits for START and takes it apart. */
XT_MUST_USE enum xt_status xt_writing_receive_start(struct xt_writing *writing,
                                                    struct xt_failure *failure);
/* XT_CONTROL_FD has something to read. */
void xt_writing_on_control(uv_poll_t *poll, int status, int events);
/* Seals the store under the current key, if it is not. */
XT_MUST_USE enum xt_status xt_writing_reseal(struct xt_writing *writing,
                                             const struct xt_keyring *keyring);
void xt_writing_tell_keys_taken(uint64_t serial);

/* ---- the generation under the overlay (writer_base.c) ------------------------------------------- */

/* Another one is on record, or none is open yet. */
void xt_writing_open_base(void *writing);
/* After a change of what is read, or of the base: drops what a compaction folded, if it may. */
void xt_writing_fold_soon(struct xt_writing *writing);
/* One step of sweeping away what is over, and more of them soon where there is more; timer: `sweep`. */
void xt_writing_sweep(uv_timer_t *timer);

/* ---- statistics (writer_statistics.c) ----------------------------------------------------------- */

/* Counts changed people, step by step. */
void xt_writing_count_after(struct xt_writing *writing, uint64_t after_ms);
/* With every tick: what comes once a day, and again what failed. */
void xt_writing_look_at_statistics(struct xt_writing *writing);

#endif
