/* net/deferred: a request that is answered later: when the writer has applied its event, or a thread has
 * done what takes too long for the loop.
 *
 *   handler --open--> deferred --send--> writer -----> done --wake--> finish: the answer, and its entry
 *               |        |                              ^               in the audit log; then as always:
 *               |        +-- a thread of the pool ------+               signature, metrics, the connection
 *               |
 *   its client has gone:     done --> finish, with nobody to answer: it is written down all the same
 *   limits.answer_timeout:   503 outcome_unknown at once; what comes later is written down as above
 *
 *   held (xt_deferred_hold): what is done early is ready at the next whole step from its arrival, so that
 *   how long it took says nothing
 *
 * Meanwhile the connection reads nothing, and requests behind this one wait. The request's head is there
 * until finish, but for a client that has gone; its body is wiped when the handler returns, so that what
 * is needed of it is kept in the deferred's memory, which is wiped as well.
 * Memory: XT_DEFERRED_MOST at a time in a worker, half of them of one partner at most; of a free list.
 * Thread: the loop's.
 */
#ifndef XT_NET_DEFERRED_H
#define XT_NET_DEFERRED_H

#include <uv.h>

#include "net/ring.h"
#include "net/service.h"
#include "net/signature.h"
#include "net/writer_channel.h"

#define XT_DEFERRED_MOST 1024 /* as many as the way to the writer takes */
#define XT_DEFERRED_SHARE (XT_DEFERRED_MOST / 2)
#define XT_DEFERRED_MEMORY 4096 /* bytes that a kind may have */

struct xt_deferred;

struct xt_deferred_kind {
    size_t size; /* bytes of its memory */
    /* It is done: fills the answer (at most `room` bytes; up to XT_SCRATCH, in the service's scratch memory) and the
     * call's entry, as a handler does. Exactly once, and never from within open, send or done of a client
     * that waits. The partner is in call->entry, and in call->allowance while he is known. Without a client
     * the answer goes nowhere, and call->request has nothing in it. */
    void (*finish)(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer);
    /* NULL: nothing. Fills the call's entry with what the request is about, whatever comes of it: before finish,
     * and of one that is late before its 503. */
    void (*note)(const struct xt_deferred *deferred, struct xt_call *call);
    /* NULL: nothing. The writer has taken the event (XT_OK), its outcome is there. true: something follows from it,
     * and xt_deferred_done after that. */
    bool (*decided)(struct xt_deferred *deferred, const struct xt_service *service);
};

struct xt_deferred {
    const struct xt_deferred_kind *kind;
    struct xt_deferred_desk *desk;
    void *memory;                          /* kind->size bytes, zeroed at first */
    char partner[XT_PARTNER_NAME_MAX + 1]; /* who asks */
    enum xt_status status;           /* once it is done: of xt_deferred_done, or of the writer */
    struct xt_writer_answer outcome; /* of the writer, with XT_OK and XT_DENIED */
    bool was_sent;                   /* the writer may have it */
    size_t room; /* bytes of the largest answer; 0: XT_SCRATCH. The handler sets it */
    /* Of net/exchange. */
    bool ready, late, finished, abandoned;
    struct xt_ring held; /* done, and not ready before due_ns; or in no list */
    uint32_t step_ms;    /* 0: ready when it is done */
    uint64_t due_ns;
    enum xt_route_id route;
    uint32_t cell; /* of the partner */
    uint64_t began_ns;
    struct xt_signing signing;
    void (*wake)(void *context);
    void *context;
};

/* ---- for handlers ------------------------------------------------------------------------------- */

/* From within a handler, for call->allowance's partner. NULL: too many wait already, and the answer is made
 * (503). Else answer->deferred is it, and the exchange's once the handler returns. */
XT_MUST_USE struct xt_deferred *xt_deferred_open(struct xt_call *call,
                                                 const struct xt_deferred_kind *kind,
                                                 struct xt_answer *answer);

/* From within the same handler: it answers at once after all. */
void xt_deferred_cancel(struct xt_deferred *deferred, struct xt_answer *answer);

/* From within the same handler: once done it waits for the next whole multiple of step_ms since its request was
 * handled, whatever became of it, and its time limit goes on meanwhile. 0: it does not. */
void xt_deferred_hold(struct xt_deferred *deferred, uint32_t step_ms);

/* Sends an event to the writer in the partner's name; it is done once that is answered, with its status:
 * XT_CLOSED, the writer is gone; XT_AGAIN, it has too much to do. The event is copied. */
void xt_deferred_send(struct xt_deferred *deferred, const struct xt_event *event);

/* Once the writer has decided: sends another event and is done after it with XT_OK and the outcome of the first,
 * whatever becomes of this one. */
void xt_deferred_send_also(struct xt_deferred *deferred, const struct xt_event *event);

/* It is done; it may be gone when this returns. */
void xt_deferred_done(struct xt_deferred *deferred, enum xt_status status);

/* In note: what the writer was told, and what he has made of it as far as that is known. */
void xt_deferred_note(const struct xt_deferred *deferred, enum xt_account_type told,
                      struct xt_call *call);

/* In finish: makes the refusal where the writer did not decide (503, 500; 403 where it does not let this
 * partner). false: it did: status is XT_OK, or XT_DENIED with a conflict. */
XT_MUST_USE bool xt_deferred_refuse(const struct xt_deferred *deferred, struct xt_call *call,
                                    struct xt_answer *answer);

/* ---- for the exchange --------------------------------------------------------------------------- */

/* Of a client that waits, once it is ready or late: 503 if it is late. */
void xt_deferred_finish(struct xt_deferred *deferred, struct xt_call *call,
                        struct xt_answer *answer);
/* The answer is made and written down: it goes, or if it was late, is on its own. */
void xt_deferred_end(struct xt_deferred *deferred);
/* Nobody waits any more. */
void xt_deferred_leave(struct xt_deferred *deferred);

/* ---- for the worker ----------------------------------------------------------------------------- */

/* What the deferred answers of one worker share. writer: borrowed; NULL: nothing is sent. loop: NULL: nothing is
 * held (tests of parts). */
XT_MUST_USE enum xt_status xt_deferred_desk_open(uv_loop_t *loop, struct xt_service *service,
                                                 struct xt_writer_channel *writer,
                                                 struct xt_deferred_desk **desk);
unsigned xt_deferred_waiting(const struct xt_deferred_desk *desk);
/* What is held is ready now, nothing is held any more, and the loop may end. Once, and only of one with a loop. */
void xt_deferred_desk_stop(struct xt_deferred_desk *desk);
/* After the loop, the channel was closed, every connection and every thread's work. NULL is fine. */
void xt_deferred_desk_close(struct xt_deferred_desk *desk);

#endif
