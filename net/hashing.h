/* net/hashing: passcodes are compared and hashed (crypto/passcode) by threads beside the loop, some 20 ms each.
 *
 *   submit -> ring of jobs -> a thread, when nothing else wants the processor -> ring -> callback, in the loop
 *                |
 *                +- full (passcode.queue), or half of it this partner's: XT_AGAIN at once, and the request is 503
 *
 * The threads run with SCHED_IDLE (sched(7)): whoever answers on the same processor comes first, and on a
 * machine whose processors are all busy passcodes wait, until their queue is full. They may use every
 * processor that the server may, and hold nothing that the loop waits for, in the kernel and in libuv either
 * (they tell it by an eventfd that a job is done). Memory: passcode.memory for each
 * thread that is at work.
 * Thread: the loop's. What is secret in a job is wiped when it is done.
 */
#ifndef XT_NET_HASHING_H
#define XT_NET_HASHING_H

#include <uv.h>

#include "core/authenticate.h"
#include "core/settings.h"
#include "crypto/passcode.h"
#include "net/shared.h"

#define XT_HASHING_MOST 256U /* jobs of one worker, at work or waiting */
#define XT_HASHING_THREADS_MOST 8U

struct xt_hashing; /* opaque */

struct xt_hashing_result {
    enum xt_status
        status;    /* of xt_passcode_verify or xt_passcode_hash; XT_CLOSED: the process ends */
    bool outdated; /* of verify: it is his, and its hash is to be made anew once he has passed */
    struct xt_span phc; /* of make: the PHC text */
};
typedef void (*xt_hashing_callback)(void *context, const struct xt_hashing_result *result);

/* How many threads a worker has on so many processors of the server: what is set, or its share of them, at most
 * XT_HASHING_THREADS_SHARE. */
#define XT_HASHING_THREADS_SHARE 2U
unsigned xt_hashing_threads(const struct xt_settings *settings, unsigned processors);

/* The threads begin here: after the sandbox, so that they are in it. settings: borrowed; how many threads is
 * read once. */
XT_MUST_USE enum xt_status xt_hashing_open(uv_loop_t *loop, const struct xt_settings *settings,
                                           struct xt_hashing **hashing);

/* Compares passcode with phc (empty: nobody's, the same work): one hash, whatever comes of it. A better one is
 * not made here: how long an answer takes must not tell that the passcode was right where the writer says no.
 * Everything is copied; at most XT_PASSCODE_MAX and XT_PASSCODE_PHC_MAX bytes (a longer phc is nobody's).
 * cell: of the partner who asks; XT_NO_CELL: nobody's. XT_AGAIN: the queue is full, or half of it his. XT_CLOSED: xt_hashing_stop was called. */
XT_MUST_USE enum xt_status xt_hashing_verify(struct xt_hashing *hashing, uint32_t cell,
                                             const uint8_t pepper[XT_PASSCODE_PEPPER],
                                             struct xt_span phc, struct xt_span passcode,
                                             xt_hashing_callback callback, void *context);
/* Makes a hash of a new passcode. */
XT_MUST_USE enum xt_status xt_hashing_make(struct xt_hashing *hashing, uint32_t cell,
                                           const uint8_t pepper[XT_PASSCODE_PEPPER],
                                           struct xt_span passcode, xt_hashing_callback callback,
                                           void *context);

/* Jobs at work or waiting; for metrics. */
unsigned xt_hashing_waiting(const struct xt_hashing *hashing);
/* Hashes computed so far, of either kind. */
uint64_t xt_hashing_count(const struct xt_hashing *hashing);

/* Waits for what is at work, calls every callback that is due (XT_CLOSED), and lets the loop end. NULL is fine. */
void xt_hashing_stop(struct xt_hashing *hashing);
/* After the loop. NULL is fine. */
void xt_hashing_close(struct xt_hashing *hashing);

#endif
