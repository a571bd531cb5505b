/* crypto/tickets: the keys of TLS session tickets, the same in every worker without a word between them.
 *
 *   secret(n) --BLAKE2b--> secret(n+1) --BLAKE2b--> ...       one a period of 15 minutes since 1970
 *       |                      |
 *       +--> key, name         +--> key, name                 AES-256-GCM
 *
 *   period n begins    60 s later           n+1 begins   60 s later               3600 s later
 *        |------ known ----|---- new tickets are sealed with key n ---|---- opened ----| wiped
 *
 * Whoever has a seed derives every later key and none before it. Workers get the seed at their start,
 * turn it by the clock and wipe what nobody accepts any more; the supervisor keeps its own copy
 * advanced for those it starts later. The first 60 s of a period give clocks and late turns room: a
 * ticket is never sealed with a key that another worker does not have yet.
 *
 *   ticket = name of its key 16 | nonce 12, random | sealed (time made 8, session) | tag 16
 *
 * A ticket is refused an hour after it was made by its own time, also while its key lives; then, and
 * when its key is unknown or it does not verify, a full handshake follows.
 *
 * New keys at once: another seed, xt_tickets_renew. Tickets from before are then unknown to everybody.
 * `xacthuc keys rotate DIR tickets` asks the server for it by DIR/keys/tickets, in which stands an id that
 * was never there and a time; the keys themselves are in memory only.
 *
 * Memory: keys live in locked memory and are wiped when they are over. Thread: one loop's.
 */
#ifndef XT_CRYPTO_TICKETS_H
#define XT_CRYPTO_TICKETS_H

#include "core/span.h"
#include "core/status.h"

#define XT_TICKET_PERIOD_SECONDS 900
#define XT_TICKET_ACTIVE_SECONDS 60 /* into its period, from when on a key seals */
#define XT_TICKET_LIFE_SECONDS 3600
/* The oldest key that may still open something: it sealed until 60 s into the period after its own. */
#define XT_TICKET_PERIODS_BACK 5

struct xt_ticket_seed {
    uint64_t period; /* since 1970, that secret is of */
    uint8_t secret[32];
};

/* A random seed whose first period is XT_TICKET_PERIODS_BACK before that of unix_s. */
void xt_ticket_seed_make(struct xt_ticket_seed *seed, int64_t unix_s);

/* Turns the seed on to the oldest period that is still accepted at unix_s; never back. A clock that
 * leaps by years is followed in several calls. */
void xt_ticket_seed_advance(struct xt_ticket_seed *seed, int64_t unix_s);

struct xt_tickets; /* opaque */

XT_MUST_USE enum xt_status xt_tickets_open(const struct xt_ticket_seed *seed, int64_t unix_s,
                                           struct xt_tickets **tickets);
/* Contexts made with it, and their connections, must be gone. NULL is fine. */
void xt_tickets_close(struct xt_tickets *tickets);

/* Goes on by this seed alone; tickets from before open no more. */
void xt_tickets_renew(struct xt_tickets *tickets, const struct xt_ticket_seed *seed,
                      int64_t unix_s);

/* The last rotation that was asked for; id 0: none. XT_INVALID: the file is damaged. */
struct xt_ticket_order {
    uint32_t id;
    char made[21]; /* as XT_KEY_TIME; "": none */
};
XT_MUST_USE enum xt_status xt_ticket_order_read(const char *dir, struct xt_ticket_order *order,
                                                struct xt_failure *failure);
/* Asks for another. Hold xt_keys_lock. */
XT_MUST_USE enum xt_status xt_ticket_order_write(const char *dir, uint32_t *id,
                                                 struct xt_failure *failure);

/* Sets the time, once a second or so: takes up the keys of a period that began, wipes the ones that
 * are over. Cheap when neither is due. */
void xt_tickets_turn(struct xt_tickets *tickets, int64_t unix_s);

/* ---- for crypto/tls only ---- */

#define XT_TICKET_OVERHEAD 52 /* bytes that a ticket is larger than its session */

/* sealed has room for session.size + XT_TICKET_OVERHEAD. */
void xt_ticket_seal(const struct xt_tickets *tickets, struct xt_span session, uint8_t *sealed);

/* session has room for ticket.size bytes. XT_NOT_FOUND: no key of that name, too old, or it does not
 * verify; then session holds nothing of it. */
XT_MUST_USE enum xt_status xt_ticket_open(const struct xt_tickets *tickets, struct xt_span ticket,
                                          uint8_t *session, size_t *size);

#endif
