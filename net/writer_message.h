/* net/writer_message: the packets between a process and the writer. Internal to net/.
 *
 *   event     'E' version 1 | ticket 8 | name size 1 | partner's name | encoded event (store/live_event)
 *                                                                             to the writer
 *   answers   'A' version 1 | count 2  | count times: ticket 8, sequence 8, status 1, duplicate 1,
 *                                                      conflict 1, attempt 1
 *
 * Little endian. Of an event that no partner has sent the name is empty. A ticket is the sender's number for the event; the writer only repeats it.
 */
#ifndef XT_NET_WRITER_MESSAGE_H
#define XT_NET_WRITER_MESSAGE_H

#include "core/little_endian.h"
#include "store/live_event.h"

#define XT_WRITER_VERSION 4
#define XT_WRITER_EVENT_HEAD (11 + XT_PARTNER_NAME_MAX) /* at most */
#define XT_WRITER_EVENT_MAX (XT_WRITER_EVENT_HEAD + XT_EVENT_MAX)
#define XT_WRITER_ANSWERS_HEAD 4
#define XT_WRITER_ANSWER_SIZE 20
#define XT_WRITER_ANSWERS_IN_ONE 256
#define XT_WRITER_ANSWERS_MAX                                                                      \
    (XT_WRITER_ANSWERS_HEAD + XT_WRITER_ANSWERS_IN_ONE * XT_WRITER_ANSWER_SIZE)

static inline void xt_writer_event_begin(struct xt_writer *writer, uint64_t ticket,
                                         struct xt_span partner)
{
    xt_put(writer, 'E', 1);
    xt_put(writer, XT_WRITER_VERSION, 1);
    xt_put(writer, ticket, 8);
    xt_put(writer, partner.size, 1);
    xt_write_span(writer, partner);
}

/* The encoded event in a packet; false: it is none. */
static inline bool xt_writer_event_open(struct xt_span packet, uint64_t *ticket,
                                        struct xt_span *partner, struct xt_span *event)
{
    struct xt_taker taker = xt_taker_over(packet);
    bool known = xt_take(&taker, 1) == 'E' && xt_take(&taker, 1) == XT_WRITER_VERSION;
    *ticket = xt_take(&taker, 8);
    *partner = xt_take_bytes(&taker, (size_t)xt_take(&taker, 1));
    *event = taker.rest;
    return known && !taker.bad && partner->size <= XT_PARTNER_NAME_MAX &&
           event->size <= XT_EVENT_MAX;
}

#endif
