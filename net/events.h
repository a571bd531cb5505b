/* net/events: POST /v1/events: what partners tell the register, line by line, each answered once it is durable
 * and seen by every worker.
 *
 *   line -> event --+--> writer channel --> durable, epoch --> answer, written down --> in the order of lines
 *                   |        ^                   |
 *                   |        +--- sent again ----+ the writer died before it answered: the same event once more,
 *                   |                              which counts once (its id)
 *                   +--> no event: its problem at once
 *
 *   {"line":1,"event_id":"...","status":"applied","sequence":7,"answer_id":"..."}     or "duplicate"
 *   {"line":2,"status":400,"code":"invalid_event","errors":[{"pointer":"/data/phone","code":"bad_phone"}],...}
 *   {"line":3,"event_id":"...","status":409,"code":"card_not_lost","answer_id":"..."}
 *   {"summary":{"lines":3,"applied":1,"duplicates":0,"conflicts":1,"errors":1}}
 *
 * Codes: 400 invalid_event; 409 those of core/registry_event and event_id_reused; 413 line_too_long,
 * event_too_large (import it); 403 endpoint_not_permitted and the like, when the partner may no longer; 503 to be sent again with the
 * same event_id: not_ready, outcome_unknown (it may have been applied), not_stored (no room), not_logged,
 * record_damaged.
 *
 * Every line that is answered has its entry in the audit log: partner, type, whom it is about, result,
 * sequence; also where its client has gone meanwhile. Events of one stream are applied in its order, but
 * for those that are refused.
 * Each line takes one of its partner's rate (a request one for its first line), and none of his quota: an
 * answer tells whether the register has such a person, in such a state. A line that is over the rate is not
 * refused but waits, and the client with it. Lines that do not fit the register count as misses (net/miss_alarm).
 * Once the partner may no longer, that line is answered, and the stream ends.
 *
 * Memory: XT_EVENTS_STREAMS streams at a time in a worker, each with XT_EVENTS_LINES lines under way and
 *         XT_EVENTS_BYTES of events not answered yet.
 * Thread: the loop's.
 */
#ifndef XT_NET_EVENTS_H
#define XT_NET_EVENTS_H

#include <uv.h>

#include "net/service.h"
#include "net/writer_channel.h"

#define XT_EVENTS_STREAMS 128
#define XT_EVENTS_SHARE (XT_EVENTS_STREAMS / 2) /* of one partner: the others find room */
#define XT_EVENTS_LINES 256
#define XT_EVENTS_BYTES (64U << 10)

/* What the streams of one worker share. writer: borrowed. */
XT_MUST_USE enum xt_status xt_events_open(uv_loop_t *loop, struct xt_service *service,
                                          struct xt_writer_channel *writer,
                                          struct xt_events_desk **desk);
/* There is a writer again. */
void xt_events_resume(struct xt_events_desk *desk);
/* Before the loop ends: no line that waits for its rate goes on by itself. */
void xt_events_stop(struct xt_events_desk *desk);
/* After the channel and every connection was closed. NULL is fine. */
void xt_events_close(struct xt_events_desk *desk);

#endif
