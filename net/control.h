/* net/control: the channel between the supervisor and one of its children: messages with descriptors.
 *
 *   supervisor --- SOCK_SEQPACKET, descriptor XT_CONTROL_FD in the child --- worker or writer
 *
 *   to a worker     START, RELOAD, GENERATION, QUOTA, WRITER, AUDIT, DRAIN
 *   to the writer   START, CHANNEL (one for each worker, again after a worker was replaced), DRAIN
 *   from both       READY, STOPPED; from a worker also RELOADED, OPENED, AUDITING, REFUSED, LEAVING
 *   to and from the supervisor that is to take over: net/upgrade
 *
 * One message is one packet: it arrives whole or not at all. Both ends are the same program (a child is
 * started from the supervisor's own executable), so a message is numbers and bytes in memory order;
 * what every type means by them stands with its name. What comes from a child is checked all the same:
 * it has talked to strangers.
 * The end: a channel that gives XT_CLOSED has lost its other side. A child whose supervisor is gone
 * drains and ends.
 * Secrets (master keys, the TLS key, signing keys, the ticket seed) travel here only. xt_control_release wipes what
 * was received; what is sent is the caller's to wipe.
 */
#ifndef XT_NET_CONTROL_H
#define XT_NET_CONTROL_H

#include "core/span.h"
#include "core/status.h"

#define XT_CONTROL_FD 3              /* in a child */
#define XT_CONTROL_MESSAGE_MAX 98304 /* bytes of one packet; below the least send buffer of Linux */
#define XT_CONTROL_KEY_MAX 65536     /* bytes of the TLS key; the rest is for the other blobs */
#define XT_CONTROL_NUMBERS 8
#define XT_CONTROL_BLOBS 8
#define XT_CONTROL_FDS 130 /* of one message; the kernel allows 253 */
#define XT_WORKERS_MAX 128

enum xt_control_type {
    /* To a worker: numbers as enum xt_start_number, blobs as enum xt_start_blob, descriptors as enum
     * xt_start_fd. To the writer: the same without tickets, TLS key, sockets and snapshot, and the
     * descriptors of the shared memory alone. */
    XT_CONTROL_START = 1,
    /* numbers[0] a serial number that the answer repeats; blobs[0] struct xt_settings; blobs[1] the TLS
     * key in PEM, empty: certificate, key, authority and revocations are as before; fds[0] the
     * snapshot. To the writer the snapshot alone. */
    XT_CONTROL_RELOAD,
    XT_CONTROL_GENERATION, /* numbers[0] the number of the generation to open, [1] a serial number that
                            * the answer repeats; blobs[0] the digest of the one that was checked: what
                            * lies under the number now may be another */
    XT_CONTROL_WRITER,     /* fds[0] a channel to a new writer */
    XT_CONTROL_CHANNEL,    /* numbers[0] the worker's place; fds[0] the channel to that worker */
    XT_CONTROL_DRAIN,      /* numbers[0] enum xt_drain; a later one may ask for more */
    XT_CONTROL_AUDIT, /* blobs[0] struct xt_audit_header; fds[0] a new segment of the audit log, to go on
                         * in */
    XT_CONTROL_QUOTA, /* what the partners' daily quotas are kept in from now on: numbers[0] a serial
                         * number; fds as xt_quota_book_hand gives them */

    /* numbers[0] a serial number that the answer repeats, [1] the period of the ticket seed; blobs[0] the
     * keyring, blobs[1] the secret of the seed, blobs[2] the signing keys, as XT_START_SIGNING. To the
     * writer the keyring alone. */
    XT_CONTROL_KEYS,

    /* To the writer: blobs[0] the digest of a generation; no process of this service reads, or is about to
     * read, any other. */
    XT_CONTROL_SETTLED,

    XT_CONTROL_READY = 32, /* it serves */
    XT_CONTROL_RELOADED,   /* numbers[0] the serial number */
    XT_CONTROL_OPENED,     /* numbers[0] the generation that is served now, [1] the serial number */
    XT_CONTROL_REFUSED,    /* numbers[0] the type refused, [1] its serial number or generation,
                            * [2] 0: it has no generation to go on by, and another process would have
                            * none either; blobs[0] why, in words of ours */
    XT_CONTROL_KEYS_TAKEN, /* numbers[0] the serial number: it seals under the current key from now on */
    XT_CONTROL_LEAVING,  /* from a worker that was told to end by somebody else: it drains */
    XT_CONTROL_AUDITING, /* it goes on in the segment that it was given */
    XT_CONTROL_STOPPED, /* drained: nothing is under way any more. A child ends then, but a worker of a
                         * draining service goes on answering probes until XT_DRAIN_NOW */

    /* Between two supervisors (net/upgrade). */
    /* To the new one: numbers[0] the version of what follows, [1] workers, [2] the period of the ticket
     * seed, [3] whether a revocation list is in force, [4] the id of the ticket rotation; blobs[0] the secret of the seed; fds: the api
     * sockets. */
    XT_CONTROL_TAKE_OVER = 64,
    XT_CONTROL_UPGRADED, /* from the new one: all its workers serve */
    XT_CONTROL_TAKEN,    /* to the new one: go on alone; the old one drains now */
    /* To the new one, right after TAKE_OVER: fds: the admin sockets. In one message the descriptors of
     * 128 workers would be more than the kernel passes. */
    XT_CONTROL_TAKE_OVER_ADMIN
};

enum xt_start_number {
    XT_START_PLACE,   /* of this process in the shared memory */
    XT_START_INDEX,   /* of the worker: 0 to workers - 1 */
    XT_START_WORKERS, /* how many there are; for the writer: how many places they have */
    XT_START_CPU,     /* to be pinned to; XT_START_NO_CPU: none */
    XT_START_SERIAL,  /* of the snapshot, as in RELOAD; for the writer: of the keys, as in KEYS */
    XT_START_GENERATION, /* to open first; 0: there is none yet */
    XT_START_TICKET_PERIOD,
    XT_START_LOCK_WAIT_MS, /* for the writer: how long to wait for one that has the store; 0: for ever */
    /* For a worker, 1: no other serves in its place, so it is to serve without a generation rather than
     * not at all. */
    XT_START_ALONE = XT_START_LOCK_WAIT_MS
};
#define XT_START_NO_CPU UINT32_MAX

enum xt_drain {
    XT_DRAIN_LEAVE,   /* others go on in its place: it ends once nothing is under way */
    XT_DRAIN_SERVICE, /* the service ends: probes are answered (not ready) until all have drained */
    XT_DRAIN_NOW      /* cut off what is under way and end */
};
enum xt_start_blob {
    XT_START_DIR,      /* absolute, with its NUL */
    XT_START_SETTINGS, /* struct xt_settings */
    XT_START_KEYRING,  /* as xt_keyring_export writes it */
    XT_START_TICKET_SECRET,
    XT_START_TLS_KEY,      /* PEM */
    XT_START_DIGEST,       /* of the generation */
    XT_START_AUDIT_HEADER, /* of the audit segment, where there is one */
    /* The keys that sign answers, an empty line, those that sign tokens: each as xt_answer_key_read gives it;
     * empty: there are none. */
    XT_START_SIGNING
};
enum xt_start_fd {
    XT_START_SHARED, /* the first of four: enum xt_shared_fd */
    XT_START_API = XT_START_SHARED + 4,
    XT_START_ADMIN,
    XT_START_SNAPSHOT,
    XT_START_FIXED,                  /* so many are always there */
    XT_START_AUDIT = XT_START_FIXED, /* where there is room on the disk; else it comes later */
    XT_START_FD_COUNT
};

struct xt_control_message {
    enum xt_control_type type;
    uint64_t numbers[XT_CONTROL_NUMBERS];
    struct xt_span blobs[XT_CONTROL_BLOBS]; /* borrowed, aligned to 8 bytes when received */
    int fds[XT_CONTROL_FDS];                /* received: the receiver's to close, cloexec */
    unsigned fd_count;
    uint8_t
        *memory; /* of a received message, from xt_secret_alloc where there was room; NULL: none */
    size_t memory_size;
    bool memory_locked; /* it was */
};

/* A pair of ends, cloexec and non-blocking, with room for a message of the largest size. */
XT_MUST_USE enum xt_status xt_control_pair(int ends[2], struct xt_failure *failure);

/* From now on nobody can send descriptors to this end, where the kernel knows how (Linux 6.16). For
 * ends to which nobody has any to send: who got hold of the other side could fill our table. */
void xt_control_take_no_descriptors(int channel);

/* Sends one message; its descriptors stay the caller's. Never waits. XT_AGAIN: the other side does not
 * read, or too many descriptors are on their way; try again when the channel is writable, and a while
 * later if it was so already. XT_CLOSED: it has gone. XT_TOO_LARGE. XT_IO. */
XT_MUST_USE enum xt_status xt_control_send(int channel, const struct xt_control_message *message);

/* Takes one message; give it back with xt_control_release whatever the status was. Never waits.
 * XT_AGAIN: there is none. XT_CLOSED: the other side has gone. XT_INVALID: not a message of ours; its
 * descriptors are closed. XT_NO_MEMORY. XT_IO. */
XT_MUST_USE enum xt_status xt_control_receive(int channel, struct xt_control_message *message);

/* The same, waiting for at most timeout_ms (XT_AGAIN: nothing came). */
XT_MUST_USE enum xt_status xt_control_wait(int channel, int timeout_ms,
                                           struct xt_control_message *message);

/* Wipes and frees the memory of a received message and closes the descriptors that are left in it. */
void xt_control_release(struct xt_control_message *message);

/* Takes descriptor `at` out of a received message, the caller's from now on; -1: there is none. */
int xt_control_take_fd(struct xt_control_message *message, unsigned at);

/* Copies a blob that must have exactly this size; false: it has another. */
bool xt_control_copy(const struct xt_control_message *message, unsigned blob, void *data,
                     size_t size);

#endif
