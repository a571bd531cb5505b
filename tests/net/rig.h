/* tests/net/rig: a small site, and the exchange alone driven with bytes: no socket.
 *
 *   GET /           answers what it was sent (nothing, usually)
 *   POST /echo      answers what it was sent, the first 4 KiB of it
 *   GET /document   40,000 bytes, more than one fits into an output
 *   GET /turn       {"order":N,"put_off":M}: how many of these were answered before; what rig_put_off says
 *   GET /slow       the same after 5 ms
 */
#ifndef XT_TESTS_NET_RIG_H
#define XT_TESTS_NET_RIG_H

#include "net/exchange.h"

extern const struct xt_routes site;

struct rig {
    struct xt_settings settings;
    struct xt_service service;
    struct xt_http_shared shared;
};
extern struct rig rig;
extern unsigned (*rig_put_off)(void); /* NULL: 0 */

/* Group set-up and tear-down of cmocka; the latter fails when a request's memory was not given back. */
int rig_open(void **state);
int rig_close(void **state);

struct play {
    struct xt_exchange exchange;
    bool closed, tls;
    uint8_t *output; /* of all feeds, NUL-terminated; one play at a time */
    size_t output_size;
};

void play_open(struct play *play, bool tls);
/* Feeds a piece as the connection does: an exact copy, so that reading past it is seen. */
void play_feed(struct play *play, const uint8_t *data, size_t size);
void play_close(struct play *play);
/* Opens and feeds all of it at once. */
void play_text(struct play *play, const char *text, bool tls);

/* One line of tests/net/raw_cases.h. */
struct raw_case {
    const char *name;
    const char *bytes;
    size_t length;
    const char *statuses; /* of the answers in order, a space between */
    bool closes;          /* the server, after the last answer */
};
extern const struct raw_case raw_cases[];
extern const size_t raw_case_count;

/* The bytes of a case, {abc*20} being abc twenty times. The caller frees them. */
uint8_t *raw_case_bytes(const struct raw_case *c, size_t *size);
/* "200 405 ..." out of answers that are whole, in order. input: the first request, as answers to HEAD
 * have no body. Fails the test when something else is among them. Gives the head of the last one, NULL
 * when there is none. */
const char *read_statuses(const uint8_t *output, size_t output_size, const uint8_t *input,
                          char *text, size_t size);

#endif
