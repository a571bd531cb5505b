/* net/writer_message: the packets between a process and the writer. Internal to net/.
 *
 *   event     'E' version 1 | ticket 8 | encoded event (store/live_event)     to the writer
 *   answers   'A' version 1 | count 2  | count times: ticket 8, sequence 8, status 1, duplicate 1,
 *                                                      conflict 1
 *
 * Little endian. A ticket is the sender's number for the event; the writer only repeats it.
 */
#ifndef XT_NET_WRITER_MESSAGE_H
#define XT_NET_WRITER_MESSAGE_H

#include "core/little_endian.h"
#include "store/live_event.h"

#define XT_WRITER_VERSION 2
#define XT_WRITER_EVENT_HEAD 10
#define XT_WRITER_EVENT_MAX (XT_WRITER_EVENT_HEAD + XT_EVENT_MAX)
#define XT_WRITER_ANSWERS_HEAD 4
#define XT_WRITER_ANSWER_SIZE 19
#define XT_WRITER_ANSWERS_IN_ONE 256
#define XT_WRITER_ANSWERS_MAX                                                                      \
    (XT_WRITER_ANSWERS_HEAD + XT_WRITER_ANSWERS_IN_ONE * XT_WRITER_ANSWER_SIZE)

static inline void xt_writer_event_begin(struct xt_writer *writer, uint64_t ticket)
{
    xt_put(writer, 'E', 1);
    xt_put(writer, XT_WRITER_VERSION, 1);
    xt_put(writer, ticket, 8);
}

/* The encoded event in a packet; false: it is none. */
static inline bool xt_writer_event_open(struct xt_span packet, uint64_t *ticket,
                                        struct xt_span *event)
{
    struct xt_taker taker = xt_taker_over(packet);
    bool known = xt_take(&taker, 1) == 'E' && xt_take(&taker, 1) == XT_WRITER_VERSION;
    *ticket = xt_take(&taker, 8);
    *event = taker.rest;
    return known && !taker.bad && event->size <= XT_EVENT_MAX;
}

#endif
