/* net/events_internal: what events.c (streams and their lines), events_send.c (to the writer and back) and
 * events_answer.c (what is written) share. Internal to net/. */
#ifndef XT_NET_EVENTS_INTERNAL_H
#define XT_NET_EVENTS_INTERNAL_H

#include "net/events.h"
#include "net/pool.h"
#include "net/ring.h"
#include "net/stream.h"

enum xt_events_state {
    XT_EVENTS_WAITING, /* to be sent, or to be sent again */
    XT_EVENTS_SENT,
    XT_EVENTS_DONE
};

struct xt_events_stream;

/* An event that the writer has: it outlives a line that is no longer waited for. */
struct xt_events_call {
    struct xt_events_desk *desk;
    struct xt_events_stream *stream; /* NULL: nobody waits */
    unsigned line;
};

struct xt_events_line {
    uint64_t number; /* in the body */
    enum xt_events_state state;
    bool was_sent;
    struct xt_events_call *call; /* with XT_EVENTS_SENT */
    enum xt_registry_type type;
    uint64_t person;
    uint8_t id[XT_EVENT_ID];
    uint64_t at_ms;
    uint64_t body_at; /* never falls; its place in the ring of bodies is the rest of the division */
    uint32_t body_size;
    uint8_t event_id_size;
    char event_id[XT_REGISTRY_EVENT_ID_MAX];
    /* With XT_EVENTS_DONE. */
    unsigned status; /* 200, or that of a problem */
    bool duplicate;
    uint64_t sequence;
    const char *code;
    const char *fault; /* of a member: its code; NULL: none */
    char pointer[64];
    char answer_id[XT_ANSWER_ID];
};

struct xt_events_stream {
    struct xt_stream base;
    struct xt_events_desk *desk;
    const struct xt_peer *peer; /* of the connection, while that is there */
    char partner[XT_PARTNER_NAME_MAX + 1];
    struct xt_ring link;   /* in the desk's list */
    unsigned first, count; /* lines taken and not written: a ring */
    unsigned unsent;       /* of them, from the first on: those before it were sent or are done */
    unsigned under_way;    /* sent and not answered */
    uint32_t cell;         /* of its partner, from the first line on */
    bool is_paid;          /* the first line was taken: the request's rate is spent */
    bool waits_for_rate;
    bool hopeless, abandoned; /* nothing has moved for too long; its client has gone */
    uint64_t bodies_end;
    uint64_t answered, applied, duplicates, conflicts;
    struct xt_events_line lines[XT_EVENTS_LINES];
    uint8_t bodies[XT_EVENTS_BYTES];
};

struct xt_events_desk {
    struct xt_service *service;
    struct xt_writer_channel *writer;
    struct xt_pool streams, calls;
    struct xt_ring all;
    uv_timer_t rate;               /* the next time that a line may be taken which waits for it */
    bool starved;                  /* the channel took no more from somebody */
    struct xt_registry_event told; /* of the line at hand */
};

static inline struct xt_events_stream *xt_events_stream_of(struct xt_stream *base)
{
    return (struct xt_events_stream *)(void *)base;
}

static inline struct xt_events_line *xt_events_line_at(struct xt_events_stream *stream,
                                                       unsigned index)
{
    return &stream->lines[(stream->first + index) % XT_EVENTS_LINES];
}

/* ---- to the writer and back (events_send.c) ----------------------------------------------------- */

/* The line can be answered from now on, and is written down. */
void xt_events_finish(struct xt_events_stream *stream, struct xt_events_line *line, unsigned status,
                      const char *code);
/* The same of what nobody will hear of any more. */
void xt_events_finish_unknown(struct xt_events_stream *stream, struct xt_events_line *line);
/* Its client has gone: it stays until what it has sent is answered, so that the log has it. */
void xt_events_release_if_done(struct xt_events_stream *stream);
/* Those that have lines to send. */
void xt_events_wake_unsent(struct xt_events_desk *desk);
/* Sends those that were not sent, in their order, as many as the channel takes. */
void xt_events_work(struct xt_stream *base);

/* ---- what is written (events_answer.c) ---------------------------------------------------------- */

bool xt_events_is_due(const struct xt_stream *base);
bool xt_events_is_busy(const struct xt_stream *base);
void xt_events_write_answer(struct xt_stream *base, struct xt_writer *writer);
void xt_events_summarize(struct xt_stream *base, bool unread, struct xt_writer *writer);

#endif
