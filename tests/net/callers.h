/* tests/net/callers: threads that ask on and on as a good client does: one connection each, a new one
 * after Connection: close. What becomes of every request is counted. */
#ifndef XT_TESTS_NET_CALLERS_H
#define XT_TESTS_NET_CALLERS_H

#include "tests/net/deployment.h"

struct callers; /* opaque */

struct callers_result {
    unsigned right;           /* verified, as it must be */
    unsigned wrong;           /* any other answer */
    unsigned refused;         /* no connection */
    unsigned cut;             /* a connection that ended without having said so */
    unsigned longest_wait_ms; /* until a request was answered, reconnecting included */
};

/* The server and the callers must not end before callers_stop. */
struct callers *callers_start(const struct server *server, unsigned count);
/* From now on the answer_id of every answer is written to `file`, a line each. */
void callers_note_answers(struct callers *callers, FILE *file);
/* How many right answers there are so far. */
unsigned callers_right(const struct callers *callers);
/* Waits for that many more right answers; false after timeout_ms. */
bool callers_wait(const struct callers *callers, unsigned more, unsigned timeout_ms);
struct callers_result callers_stop(struct callers *callers);

/* A verify of somebody who is there, whose answer is `verified`. */
void verified_question(char *body, size_t size);

#endif
