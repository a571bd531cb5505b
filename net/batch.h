/* net/batch: POST /v1/verify/batch: lists of verify requests, a line each, answered line by line in their order
 * while they come.
 *
 *   lines --read--> requests --quota, look up together--> outcomes --write down--> answers --> the connection
 *           a group, at most XT_BATCH_GROUP, from its first line to its last answer within one turn of the loop
 *
 *   {"line":1,"txn":"...","answer_id":"...","answered_at":"...","verdict":"verified",...}   as of /v1/verify
 *   {"line":2,"status":400,"code":"invalid_request","errors":[{"pointer":"/id","code":"bad_id"}],"answer_id":"..."}
 *   {"summary":{"lines":2,"verified":1,"not_verified":0,"errors":1,"mismatches":{"phone":1}}}
 *
 * A line is what a request of its own would be: the same policy, quota, entry in the audit log (which has its
 * number as well), counters and miss alarm, as of the partner's file at that moment. It takes one of the
 * partner's rate (the request pays for the first); over the rate it is not refused but waits, and the client
 * with it. Once the partner may no longer ask, that line is told so, and the stream ends.
 * The summary's mismatches are only for partners with the right per_claim, since nobody else is told which
 * claim it was.
 * Resume-From: N in the head: the client has the answers of all lines before N and sends the others; theirs
 * are numbered from N on. When a stream ends, however it does, an entry of the audit log tells the last line
 * that was answered: stream_ended, stream_unread (the server ended it, with a summary that says so), or
 * stream_broken.
 *
 * Lists yield to requests (net/connection_turn), and share what they leave evenly.
 * Memory: XT_BATCH_STREAMS at a time in a worker, XT_BATCH_SHARE of one partner, each with the answers of one
 *         group and the window of its body: some 200 KiB, whatever the length of the list. More are answered
 *         503.
 * Thread: the loop's.
 */
#ifndef XT_NET_BATCH_H
#define XT_NET_BATCH_H

#include <uv.h>

#include "net/service.h"

#define XT_BATCH_GROUP 64   /* lines; two groups of lookups: more of them overlap no better */
#define XT_BATCH_STREAMS 64 /* 13 MiB */
#define XT_BATCH_SHARE 16   /* of one partner: the others find room */
#define XT_BATCH_RESUME_MAX 1000000000000ULL

/* What the lists of one worker share. */
XT_MUST_USE enum xt_status xt_batch_open(uv_loop_t *loop, struct xt_service *service,
                                         struct xt_batch_desk **desk);
/* Before the loop ends: no line that waits goes on by itself. */
void xt_batch_stop(struct xt_batch_desk *desk);
/* After every connection was closed. NULL is fine. */
void xt_batch_close(struct xt_batch_desk *desk);

#endif
