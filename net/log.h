/* net/log: JSON lines on stderr.
 *
 *   {"ts":"2026-11-21T09:00:00.123Z","level":"info","event":"listening","listen":"127.0.0.1:8443"}
 *
 * One line is one write(2), so lines of several processes never mix. Fields are words of our own,
 * numbers, file names of the deployment and trace ids: never identity numbers, names, request text,
 * targets or bodies. Nothing is logged per request. A full line is cut, never split.
 */
#ifndef XT_NET_LOG_H
#define XT_NET_LOG_H

#include "core/span.h"

struct xt_counter;

#define XT_LOG_LINE_MAX 2048 /* bytes */

enum xt_log_level { XT_LOG_INFO, XT_LOG_WARNING, XT_LOG_ERROR };

struct xt_log_line {
    struct xt_writer writer;
    uint8_t text[XT_LOG_LINE_MAX];
};

void xt_log_begin(struct xt_log_line *line, enum xt_log_level level, const char *event);
void xt_log_text(struct xt_log_line *line, const char *key, const char *value);
void xt_log_span(struct xt_log_line *line, const char *key, struct xt_span value);
void xt_log_number(struct xt_log_line *line, const char *key, uint64_t value);
/* trace_id and span_id of the caller's traceparent (net/trace), where it sent a good one. */
void xt_log_trace(struct xt_log_line *line, struct xt_span traceparent);
void xt_log_end(struct xt_log_line *line);

/* For events that a peer can cause: at most XT_LOG_PER_SECOND lines a second; the next line that is
 * allowed carries how many were left out. */
#define XT_LOG_PER_SECOND 10
struct xt_log_limit {
    uint64_t second;
    uint32_t lines, suppressed;
    struct xt_counter *counter; /* of lines left out, over all time; NULL: not counted */
};
/* Begins the line; false: too many, leave it out. now_ms: any clock in milliseconds. */
bool xt_log_begin_limited(struct xt_log_limit *limit, uint64_t now_ms, struct xt_log_line *line,
                          enum xt_log_level level, const char *event);

#endif
