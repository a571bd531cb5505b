/* tests/net/events_rig: the real server with two workers and a partner `reg` who may tell the register; events, their
 * answers, and whether the audit log has all of them. */
#ifndef XT_TESTS_NET_EVENTS_RIG_H
#define XT_TESTS_NET_EVENTS_RIG_H

#include "tests/net/feed.h"
#include "tests/test.h"

#define EVENTS "/v1/events"
#define AT "\"at\":\"2026-11-22T08:00:00Z\""
#define FIELDS "Content-Type: application/x-ndjson\r\n"

#define SEQUENCES 200000
extern uint8_t answered[SEQUENCES]; /* how many answers gave this sequence */
extern uint64_t gone_sequence;      /* of an event for which there was nobody to answer */

extern const char *const two_workers[];
extern struct server server;

/* Set-up and tear-down of cmocka. */
int begin(void **state);
int end(void **state);

/* The number behind `name` in a line; 0: there is none. */
uint64_t number_of(const char *line, const char *name);
/* Each line of an answer that has a sequence is counted in answered. */
void keep_sequences(const char *text);
bool hear(struct feed *feed, char line[FEED_LINE_MAX]);
void post(const char *body, struct test_response *response);

/* One event a line. data: "" or ",\"data\":{...}". */
void write_event(char *line, size_t size, const char *event_id, const char *type, const char *id,
                 const char *data);
/* Tells one event under a new id; what comes of it has `wanted` in it. */
void tell(const char *type, const char *id, const char *data, const char *wanted);
/* Verifies as `wide`; the answer has `wanted` in it. */
void ask(const char *id, const char *claims, const char *wanted);
unsigned count_of(const char *text, const char *part);

/* Stops the server, looks whether every answer that gave a sequence stands in the audit log once and nothing else
 * does, and starts it again. Gives the log as text, and how many sequences were answered. The caller frees it. */
char *audit_log_with_every_event(unsigned *acknowledged);

#endif
