#include "crypto/tickets.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <sodium.h>

#include "crypto/keyring.h"

#define NAME_BYTES 16
#define NONCE_BYTES 12
#define TIME_BYTES 8
#define TAG_BYTES 16
_Static_assert(XT_TICKET_OVERHEAD == NAME_BYTES + NONCE_BYTES + TIME_BYTES + TAG_BYTES,
               "the format of a ticket");

/* A clock that leaps by years must not stop the loop: as many periods are followed in one call. */
#define TURNS_MAX 65536

/* Those that may open something, and the newest, which does not seal yet. */
#define KEYS_MAX (XT_TICKET_PERIODS_BACK + 1)

struct ticket_key {
    uint64_t period;
    uint8_t name[NAME_BYTES];
    EVP_AEAD_CTX aead; /* holds the expanded key */
};

struct xt_tickets {
    int64_t now;
    uint64_t turned;            /* the period of now when it was last turned */
    bool caught_up;             /* false: a leap is still being followed */
    struct xt_ticket_seed next; /* of the first period that has no key yet */
    size_t count;               /* at least 1; oldest first */
    struct ticket_key keys[KEYS_MAX];
};

/* A clock before 1970 stands at its beginning. */
static int64_t clamp(int64_t unix_s)
{
    return unix_s < 0 ? 0 : unix_s;
}

static uint64_t period_of(int64_t unix_s)
{
    return (uint64_t)clamp(unix_s) / XT_TICKET_PERIOD_SECONDS;
}

/* The oldest period whose key may still open a ticket. */
static uint64_t oldest_period(int64_t unix_s)
{
    uint64_t period = period_of(unix_s);
    return period < XT_TICKET_PERIODS_BACK ? 0 : period - XT_TICKET_PERIODS_BACK;
}

/* One of a secret's children: keyed BLAKE2b of a label of fixed length. */
static void derive(const uint8_t secret[32], const char label[16], uint8_t *out, size_t size)
{
    int result =
        crypto_generichash_blake2b(out, size, (const unsigned char *)label, 16, secret, 32);
    xt_require(result == 0);
}

static void seed_turn(struct xt_ticket_seed *seed)
{
    uint8_t next[32];
    derive(seed->secret, "xacthuc tickets+", next, sizeof(next));
    memcpy(seed->secret, next, sizeof(next));
    xt_wipe(next, sizeof(next));
    seed->period++;
}

static void seed_advance(struct xt_ticket_seed *seed, uint64_t period)
{
    for (unsigned i = 0; i < TURNS_MAX && seed->period < period; i++) {
        seed_turn(seed);
    }
}

void xt_ticket_seed_make(struct xt_ticket_seed *seed, int64_t unix_s)
{
    seed->period = oldest_period(unix_s);
    xt_random(seed->secret, sizeof(seed->secret));
}

void xt_ticket_seed_advance(struct xt_ticket_seed *seed, int64_t unix_s)
{
    seed_advance(seed, oldest_period(unix_s));
}

/* ---- keys ---- */

static void drop_oldest(struct xt_tickets *tickets)
{
    EVP_AEAD_CTX_cleanup(&tickets->keys[0].aead);
    tickets->count--;
    /* The context's state lies within it, so it may be moved. */
    memmove(&tickets->keys[0], &tickets->keys[1], tickets->count * sizeof(tickets->keys[0]));
    xt_wipe(&tickets->keys[tickets->count], sizeof(tickets->keys[0]));
}

static void add_next(struct xt_tickets *tickets)
{
    if (tickets->count == KEYS_MAX) {
        drop_oldest(tickets);
    }
    struct ticket_key *key = &tickets->keys[tickets->count++];
    uint8_t bytes[32];
    derive(tickets->next.secret, "xacthuc ticket k", bytes, sizeof(bytes));
    derive(tickets->next.secret, "xacthuc ticket n", key->name, sizeof(key->name));
    key->period = tickets->next.period;
    /* Fails for a wrong length only: its state needs no memory of its own. */
    xt_require(EVP_AEAD_CTX_init(&key->aead, EVP_aead_aes_256_gcm(), bytes, sizeof(bytes),
                                 TAG_BYTES, NULL) == 1);
    xt_wipe(bytes, sizeof(bytes));
    seed_turn(&tickets->next);
}

/* Keys from the oldest that is accepted to that of the present period. After a clock that went back
 * the present ones are still there or, gone for good, replaced by the oldest there is. */
static void take_up(struct xt_tickets *tickets)
{
    uint64_t oldest = oldest_period(tickets->now);
    uint64_t present = period_of(tickets->now);
    while (tickets->count > 1 && tickets->keys[0].period < oldest) {
        drop_oldest(tickets);
    }
    seed_advance(&tickets->next, oldest);
    for (unsigned i = 0; i < KEYS_MAX && tickets->next.period <= present; i++) {
        add_next(tickets);
    }
    if (tickets->count == 0) { /* a clock before the seed's */
        add_next(tickets);
    }
    while (tickets->count > 1 && tickets->keys[0].period < oldest) {
        drop_oldest(tickets);
    }
    tickets->caught_up = tickets->next.period > present;
    tickets->turned = present;
}

enum xt_status xt_tickets_open(const struct xt_ticket_seed *seed, int64_t unix_s,
                               struct xt_tickets **tickets)
{
    struct xt_tickets *made = xt_secret_alloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    memset(made, 0, sizeof(*made));
    made->now = clamp(unix_s);
    made->next = *seed;
    take_up(made);
    *tickets = made;
    return XT_OK;
}

void xt_tickets_renew(struct xt_tickets *tickets, const struct xt_ticket_seed *seed, int64_t unix_s)
{
    for (size_t i = 0; i < tickets->count; i++) {
        EVP_AEAD_CTX_cleanup(&tickets->keys[i].aead);
    }
    xt_wipe(tickets, sizeof(*tickets));
    tickets->now = clamp(unix_s);
    tickets->next = *seed;
    take_up(tickets);
}

void xt_tickets_close(struct xt_tickets *tickets)
{
    if (tickets == NULL) {
        return;
    }
    for (size_t i = 0; i < tickets->count; i++) {
        EVP_AEAD_CTX_cleanup(&tickets->keys[i].aead);
    }
    xt_secret_free(tickets);
}

void xt_tickets_turn(struct xt_tickets *tickets, int64_t unix_s)
{
    tickets->now = clamp(unix_s);
    if (period_of(tickets->now) != tickets->turned || !tickets->caught_up) {
        take_up(tickets);
    }
}

/* The newest key that has been known everywhere for long enough. */
static const struct ticket_key *sealing_key(const struct xt_tickets *tickets)
{
    for (size_t i = tickets->count - 1; i > 0; i--) {
        uint64_t begin = tickets->keys[i].period * XT_TICKET_PERIOD_SECONDS;
        if ((uint64_t)tickets->now >= begin + XT_TICKET_ACTIVE_SECONDS) {
            return &tickets->keys[i];
        }
    }
    return &tickets->keys[0];
}

/* ---- tickets ---- */

static void put_time(uint8_t bytes[TIME_BYTES], int64_t unix_s)
{
    for (unsigned i = 0; i < TIME_BYTES; i++) {
        bytes[i] = (uint8_t)((uint64_t)unix_s >> (8 * i));
    }
}

static int64_t get_time(const uint8_t bytes[TIME_BYTES])
{
    uint64_t value = 0;
    for (unsigned i = 0; i < TIME_BYTES; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return (int64_t)value;
}

void xt_ticket_seal(const struct xt_tickets *tickets, struct xt_span session, uint8_t *sealed)
{
    const struct ticket_key *key = sealing_key(tickets);
    uint8_t *nonce = sealed + NAME_BYTES;
    uint8_t *content = nonce + NONCE_BYTES;
    memmove(content + TIME_BYTES, session.data, session.size); /* first: it may lie in sealed */
    memcpy(sealed, key->name, NAME_BYTES);
    xt_random(nonce, NONCE_BYTES);
    put_time(content, tickets->now);
    size_t size = TIME_BYTES + session.size, written;
    int done = EVP_AEAD_CTX_seal(&key->aead, content, &written, size + TAG_BYTES, nonce,
                                 NONCE_BYTES, content, size, sealed, NAME_BYTES);
    xt_require(done == 1 && written == size + TAG_BYTES);
}

enum xt_status xt_ticket_open(const struct xt_tickets *tickets, struct xt_span ticket,
                              uint8_t *session, size_t *size)
{
    const struct ticket_key *key = NULL;
    if (ticket.size < XT_TICKET_OVERHEAD) {
        return XT_NOT_FOUND;
    }
    /* Names are public: no need to compare them in constant time. */
    for (size_t i = 0; key == NULL && i < tickets->count; i++) {
        if (memcmp(tickets->keys[i].name, ticket.data, NAME_BYTES) == 0) {
            key = &tickets->keys[i];
        }
    }
    /* After its time a key may still be there, for want of a newer one. */
    if (key == NULL || key->period < oldest_period(tickets->now)) {
        return XT_NOT_FOUND;
    }
    uint8_t *nonce = session + NAME_BYTES;
    uint8_t *content = nonce + NONCE_BYTES;
    size_t content_size = ticket.size - NAME_BYTES - NONCE_BYTES, plain_size;
    memmove(session, ticket.data, ticket.size);
    if (EVP_AEAD_CTX_open(&key->aead, content, &plain_size, content_size, nonce, NONCE_BYTES,
                          content, content_size, session, NAME_BYTES) != 1) {
        ERR_clear_error();
        return XT_NOT_FOUND;
    }
    xt_require(plain_size >= TIME_BYTES);
    int64_t made = get_time(content);
    /* Clocks of one machine: a worker's turn may be a second late. */
    if (tickets->now < made - 1 || tickets->now - made >= XT_TICKET_LIFE_SECONDS) {
        xt_wipe(content, plain_size);
        return XT_NOT_FOUND;
    }
    *size = plain_size - TIME_BYTES;
    memmove(session, content + TIME_BYTES, *size);
    return XT_OK;
}
