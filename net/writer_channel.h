/* net/writer_channel: one process's way to the writer: events go there, answers come back.
 *
 *   caller -> xt_writer_send -> packet -> writer: apply, commit, sync -> answer packet -> callback
 *
 * Every event that was taken (XT_OK) has its callback called exactly once, from the loop, never from
 * within xt_writer_send: with the writer's answer, or with XT_CLOSED when the channel ended before it
 * came (the writer died, a new one took its place, xt_writer_channel_close). After XT_CLOSED nobody
 * knows whether the event was applied: send it again with the same id, then it counts once.
 * XT_OK in an answer means: applied, durable, and visible to every process that looks at the epoch
 * (net/writer.h) before it reads.
 *
 * Thread:  one loop. Blocks: never.
 * Memory:  the event is copied; at most XT_WRITER_CHANNEL_EVENTS wait for their answers, and at most
 *          XT_WRITER_CHANNEL_BYTES of them have not been handed to the kernel yet.
 */
#ifndef XT_NET_WRITER_CHANNEL_H
#define XT_NET_WRITER_CHANNEL_H

#include <uv.h>

#include "store/live.h"

#define XT_WRITER_CHANNEL_EVENTS 1024
#define XT_WRITER_CHANNEL_BYTES (512U << 10)

struct xt_writer_channel; /* opaque */

/* Why an event was not applied, apart from XT_CLOSED:
 *   XT_INVALID, XT_UNSUPPORTED  not an event that this program knows
 *   XT_EXISTS                   this id was used for another event
 *   XT_DENIED                   against the rules of its type, or not this process's to send
 *   XT_DISK_FULL                no room: send it again later
 *   XT_BUSY                     of an event about people: no generation is open yet, send it again
 *   XT_CORRUPT                  of an event about people: the record is damaged */
struct xt_writer_answer {
    enum xt_status status;
    enum xt_conflict
        conflict; /* of a registry event or an account's with XT_DENIED: which rule (409) */
    enum xt_attempt attempt; /* of an attempt with XT_OK; duplicates too */
    bool duplicate;          /* it had been applied before: sequence is of that time */
    uint64_t sequence;       /* with XT_OK */
};
typedef void (*xt_writer_callback)(void *context, const struct xt_writer_answer *answer);

/* A pair of ends, cloexec and non-blocking: one for the writer, one for a process that sends. */
XT_MUST_USE enum xt_status xt_writer_channel_pair(int ends[2], struct xt_failure *failure);

/* fd is taken with XT_OK; -1: there is no writer yet, one comes with xt_writer_channel_replace. */
XT_MUST_USE enum xt_status xt_writer_channel_open(uv_loop_t *loop, int fd,
                                                  struct xt_writer_channel **channel);
/* Calls every callback that is due with XT_CLOSED, now. NULL is fine. */
void xt_writer_channel_close(struct xt_writer_channel *channel);

/* A new writer: what the old one has not answered is XT_CLOSED, now. fd is taken; XT_IO or
 * XT_NO_MEMORY: it is the caller's still, and there is no writer. */
XT_MUST_USE enum xt_status xt_writer_channel_replace(struct xt_writer_channel *channel, int fd);

/* Of a registry event, or one of an account (there he is its actor): the partner who tells it, as the certificate
 * says; the writer asks whether he may. */
XT_MUST_USE enum xt_status xt_writer_send_for(struct xt_writer_channel *channel,
                                              const char *partner, const struct xt_event *event,
                                              xt_writer_callback callback, void *context);

/* XT_AGAIN: too many are under way (answer 503). XT_CLOSED: there is no writer now (503 as well). */
XT_MUST_USE enum xt_status xt_writer_send(struct xt_writer_channel *channel,
                                          const struct xt_event *event, xt_writer_callback callback,
                                          void *context);

/* Events sent and not answered yet; for metrics. */
unsigned xt_writer_channel_waiting(const struct xt_writer_channel *channel);
/* Whether there is a writer, as far as is known. */
bool xt_writer_channel_is_open(const struct xt_writer_channel *channel);

#endif
