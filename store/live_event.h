/* store/live_event: what happened, as it travels to the writer and is applied to the live store.
 *
 *   version 1 | type 2 | id 16 | at 8 | body size 2 | body          integers little endian
 *
 *   certificate_held   SPKI digest 32 | name size 1 | partner name     who holds a client certificate
 *                                                     from now on; size 0: nobody any more
 *   generation_served  number 4 | digest 32 | rollback 1               the generation that is served;
 *                                                     1: the operator permits an older one
 *   16 to 39           of the register: core/registry_event has their bodies, and checks them
 *   40 and above       of accounts: core/account_event, the same
 *
 * There is one way to write an event, and the decoder takes nothing else: what it takes, encoded again,
 * is the same bytes. It trusts no length in it.
 * The id makes an event idempotent: one that was applied is not applied again (store/live.h).
 */
#ifndef XT_STORE_LIVE_EVENT_H
#define XT_STORE_LIVE_EVENT_H

#include "core/account_event.h"
#include "core/policy.h"
#include "core/registry_event.h"
#include "store/generation.h"

#define XT_EVENT_ID 16
#define XT_EVENT_MAX 4096 /* bytes of an encoded event of any type, with room for those to come */
#define XT_EVENT_AT_MAX 253402300799999ULL /* 9999-12-31T23:59:59.999Z */

enum xt_event_type {
    XT_EVENT_CERTIFICATE_HELD = 1,
    XT_EVENT_GENERATION_SERVED = 2,
};

struct xt_event {
    enum xt_event_type type;
    uint8_t id[XT_EVENT_ID]; /* random; not all zero */
    uint64_t at_ms; /* UTC, milliseconds since 1970: when it happened, as the sender says */
    union {
        struct {
            uint8_t spki[XT_SPKI_DIGEST];
            char partner[XT_PARTNER_NAME_MAX + 1]; /* "": nobody */
        } certificate_held;
        struct {
            uint32_t number; /* not 0 */
            uint8_t digest[XT_GENERATION_DIGEST];
            bool rollback;
        } generation_served;
        struct xt_span registry; /* the body, borrowed; not checked yet */
        struct xt_span account;  /* the same */
    };
};

static inline bool xt_event_is_registry(const struct xt_event *event)
{
    return (unsigned)event->type >= XT_REGISTRY_FIRST && (unsigned)event->type < XT_REGISTRY_END;
}

static inline bool xt_event_is_account(const struct xt_event *event)
{
    return (unsigned)event->type >= XT_ACCOUNT_FIRST && (unsigned)event->type < XT_ACCOUNT_END;
}

/* Fills in a type, a random id and the time; the rest is zero. */
void xt_event_begin(struct xt_event *event, enum xt_event_type type);

/* A partner's event on its way to the writer. Its id is made of his name and his event_id, so that no
 * partner meets the ids of another. body: where it is encoded, and event borrows it from. XT_TOO_LARGE: it
 * does not fit (a registration with long texts or many keys: import it). */
#define XT_EVENT_BODY_MAX (XT_EVENT_MAX - 29)
XT_MUST_USE enum xt_status xt_event_from_registry(const char *partner,
                                                  const struct xt_registry_envelope *envelope,
                                                  const struct xt_registry_event *told,
                                                  uint8_t body[XT_EVENT_BODY_MAX],
                                                  struct xt_event *event);

/* An event of an account, of now, with a random id: who sends it again with the same id (an event is only copied) has
 * it applied once. body: where it is encoded, and event borrows it from; it may be a secret, wipe it. */
void xt_event_from_account(const struct xt_account_event *told, uint8_t body[XT_ACCOUNT_BODY_MAX],
                           struct xt_event *event);

/* The caller's event must be sound (aborts otherwise). XT_EVENT_MAX bytes are enough. */
void xt_event_encode(const struct xt_event *event, struct xt_writer *writer);

/* XT_UNSUPPORTED: another version or type than this program knows. XT_INVALID: not an event. Then
 * *event is not to be used. */
XT_MUST_USE enum xt_status xt_event_decode(struct xt_span encoded, struct xt_event *event);

#endif
