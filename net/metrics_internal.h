/* net/metrics_internal: what metrics.c (counting), metrics_text.c (the table of what is told, and the
 * pieces) and metrics_rows.c (the lines of each) share. */
#ifndef XT_NET_METRICS_INTERNAL_H
#define XT_NET_METRICS_INTERNAL_H

#include "net/metrics.h"

/* Statuses that refusals are counted by; all others together in one more place. */
#define XT_REFUSED_STATUSES 17
extern const uint16_t xt_refused_statuses[XT_REFUSED_STATUSES];
_Static_assert(XT_REFUSED_STATUSES + 1 == XT_OUTCOME_FAILED - XT_OUTCOME_REFUSED,
               "each status has a place, and one is for the rest");

/* Upper bounds of the latency buckets but the last. */
extern const uint64_t xt_latency_bounds_ns[XT_LATENCY_BUCKETS - 1];

/* One answer under way: where it is in the table. */
struct xt_scrape {
    struct xt_pieces pieces;
    struct xt_service *service;
    struct xt_shared *shared;
    unsigned workers, slots; /* places, and workers */
    uint64_t now_ms;         /* CLOCK_MONOTONIC, when it was asked */
    unsigned metric, row;
    bool titled; /* HELP and TYPE of this metric are written */
};

/* Of what is counted; told in seconds but for XT_UNIT_ONE. */
enum xt_unit { XT_UNIT_ONE, XT_UNIT_MICRO, XT_UNIT_NANO };

struct xt_metric {
    const char *name; /* without the prefix */
    const char *type, *help;
    unsigned (*rows)(const struct xt_scrape *, const struct xt_metric *);
    void (*row)(struct xt_scrape *, const struct xt_metric *, unsigned row, struct xt_writer *);
    size_t place; /* of the (first) counter in its struct, for those that are alike */
    const char *label;
    const char *const *values; /* of the label, one for each row */
    unsigned count;
    enum xt_unit unit;
};

/* The beginning of a line, or the name in a comment. */
void xt_metric_begin(struct xt_writer *writer, const struct xt_metric *metric, const char *suffix);

/* How many rows a metric has, and one of them: no line, one, or several, below XT_PIECE_MIN bytes. */
unsigned xt_metric_as_counted(const struct xt_scrape *, const struct xt_metric *);
unsigned xt_metric_by_worker(const struct xt_scrape *, const struct xt_metric *);
unsigned xt_metric_request_rows(const struct xt_scrape *, const struct xt_metric *);
unsigned xt_metric_partner_rows(const struct xt_scrape *, const struct xt_metric *);
unsigned xt_metric_processes(const struct xt_scrape *, const struct xt_metric *);
unsigned xt_metric_writer_rows(const struct xt_scrape *, const struct xt_metric *);
void xt_metric_sum_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                       struct xt_writer *);
void xt_metric_worker_gauge_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                                struct xt_writer *);
void xt_metric_request_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                           struct xt_writer *);
void xt_metric_partner_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                           struct xt_writer *);
void xt_metric_misses_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                          struct xt_writer *);
/* place 0: how many ids count today; 1: how many may. */
void xt_metric_quota_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                         struct xt_writer *);
void xt_metric_latency_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                           struct xt_writer *);
void xt_metric_turn_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                        struct xt_writer *);
void xt_metric_up_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                      struct xt_writer *);
void xt_metric_restarts_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                            struct xt_writer *);
void xt_metric_uptime_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                          struct xt_writer *);
void xt_metric_vitals_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                          struct xt_writer *);
void xt_metric_started_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                           struct xt_writer *);
void xt_metric_ready_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                         struct xt_writer *);
/* place 0: what was read; 1: what is to be. */
void xt_metric_warm_up_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                           struct xt_writer *);
/* place 0: its number; 1: its time. */
void xt_metric_checkpoint_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                              struct xt_writer *);
void xt_metric_build_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                         struct xt_writer *);
void xt_metric_writer_row(struct xt_scrape *, const struct xt_metric *, unsigned row,
                          struct xt_writer *);

#endif
