/* net/metrics_text: what /metrics tells, and how it leaves. */
#include <stdlib.h>

#include "net/metrics_internal.h"
#include "net/route.h"

/* ---- the table -------------------------------------------------------------------------------- */

#define COUNTER(member) offsetof(struct xt_counters, member)
#define VITAL(member) offsetof(struct xt_vitals, member)
#define WRITER(member) offsetof(struct xt_writer_counters, member)

static const char *const listeners[XT_ENTRANCE_COUNT] = {"api", "admin"};
static const char *const handshakes[] = {"full", "resumed", "refused", "unfinished"};
static const char *const sheds[XT_SHED_COUNT] = {"connection_closed_for_room", "accept_paused",
                                                 "no_buffer", "request_refused"};
static const char *const events[] = {"committed", "refused", "failed"};

_Static_assert(offsetof(struct xt_counters, handshakes_unfinished) -
                       offsetof(struct xt_counters, handshakes_full) ==
                   3 * sizeof(struct xt_counter),
               "the handshakes stand in the order of their names");
_Static_assert(offsetof(struct xt_writer_counters, failed) -
                       offsetof(struct xt_writer_counters, events) ==
                   2 * sizeof(struct xt_counter),
               "the events stand in the order of their names");

static const struct xt_metric metrics[] = {
    {.name = "build_info",
     .type = "gauge",
     .help = "Always 1; the version is a label.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_build_row,
     .count = 1},
    {.name = "start_time_seconds",
     .type = "gauge",
     .help = "When the supervisor started, in Unix time.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_started_row,
     .count = 1},
    {.name = "ready",
     .type = "gauge",
     .help = "1 when /readyz says ready: every worker serves a generation, and the writer serves.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_ready_row,
     .count = 1},
    {.name = "requests_total",
     .type = "counter",
     .help = "Requests answered, by route, result and HTTP status.",
     .rows = xt_metric_request_rows,
     .row = xt_metric_request_row},
    {.name = "partner_requests_total",
     .type = "counter",
     .help = "Requests of known partners, by partner, route, result and HTTP status.",
     .rows = xt_metric_partner_rows,
     .row = xt_metric_partner_row},
    {.name = "partner_misses_total",
     .type = "counter",
     .help = "Answers in which not one claim matched, and events that did not fit the register, by "
             "partner.",
     .rows = xt_metric_partner_rows,
     .row = xt_metric_misses_row},
    {.name = "partner_quota_used_ids",
     .type = "gauge",
     .help = "Distinct ids that count for the partner's daily quota today.",
     .rows = xt_metric_partner_rows,
     .row = xt_metric_quota_row,
     .place = 0},
    {.name = "partner_quota_ids",
     .type = "gauge",
     .help = "The partner's daily quota.",
     .rows = xt_metric_partner_rows,
     .row = xt_metric_quota_row,
     .place = 1},
    {.name = "request_duration_seconds",
     .type = "histogram",
     .help = "From the read that completed a request until its answer was handed to the socket.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_latency_row,
     .count = XT_ROUTE_COUNT},
    {.name = "turn_duration_seconds",
     .type = "histogram",
     .help =
         "Turns of a worker's loop that served its clients: what a request may wait for before it "
         "is read.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_turn_row,
     .count = 1},
    {.name = "connections",
     .type = "gauge",
     .help = "Open connections.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.open),
     .label = "listener",
     .values = listeners,
     .count = XT_ENTRANCE_COUNT},
    {.name = "connections_handshaking",
     .type = "gauge",
     .help = "Open connections that are in their TLS handshake.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.shaking),
     .count = 1},
    {.name = "connections_accepted_total",
     .type = "counter",
     .help = "Connections accepted.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(accepted),
     .label = "listener",
     .values = listeners,
     .count = XT_ENTRANCE_COUNT},
    {.name = "tls_handshakes_total",
     .type = "counter",
     .help = "TLS handshakes: full, resumed by ticket, refused, or given up unfinished.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(handshakes_full),
     .label = "result",
     .values = handshakes,
     .count = 4},
    {.name = "received_bytes_total",
     .type = "counter",
     .help = "Bytes read from sockets, TLS included.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(bytes_in),
     .label = "listener",
     .values = listeners,
     .count = XT_ENTRANCE_COUNT},
    {.name = "sent_bytes_total",
     .type = "counter",
     .help = "Bytes written to sockets, TLS included.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(bytes_out),
     .label = "listener",
     .values = listeners,
     .count = XT_ENTRANCE_COUNT},
    {.name = "overload_total",
     .type = "counter",
     .help = "Times that something was given up for want of room, by what it was.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(shed),
     .label = "reason",
     .values = sheds,
     .count = XT_SHED_COUNT},
    {.name = "log_lines_suppressed_total",
     .type = "counter",
     .help = "Log lines left out because there were too many of their kind in one second.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(log_suppressed),
     .count = 1},
    {.name = "buffers_held",
     .type = "gauge",
     .help = "Buffers of 64 KiB lent to connections whose client does not read.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.held_buffers),
     .count = 1},
    {.name = "writer_queue_events",
     .type = "gauge",
     .help = "Events that a worker has sent to the writer and that are not acknowledged yet.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.writer_queue),
     .count = 1},
    {.name = "deferred_answers",
     .type = "gauge",
     .help = "Requests whose answer waits for the writer or for a thread.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.deferred),
     .count = 1},
    {.name = "passcodes_waiting",
     .type = "gauge",
     .help = "Passcodes that are hashed or wait for it.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.hashing),
     .count = 1},
    {.name = "passcode_hashes_total",
     .type = "counter",
     .help = "Hashes of passcodes computed, to compare and to keep.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(hashes),
     .count = 1},
    {.name = "generation",
     .type = "gauge",
     .help = "Number of the generation that a worker serves; 0: none.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.generation),
     .count = 1},
    {.name = "people",
     .type = "gauge",
     .help = "People in the generation that a worker serves.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.people),
     .count = 1},
    {.name = "aliases",
     .type = "gauge",
     .help = "Old numbers in the generation that a worker serves.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.aliases),
     .count = 1},
    {.name = "partners",
     .type = "gauge",
     .help = "Partners that a worker has in force.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.partners),
     .count = 1},
    {.name = "audit_entries_total",
     .type = "counter",
     .help = "Answers written down in the audit log.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(audit_entries),
     .count = 1},
    {.name = "audit_bytes_total",
     .type = "counter",
     .help = "Bytes written to the audit log.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(audit_bytes),
     .count = 1},
    {.name = "audit_syncs_total",
     .type = "counter",
     .help = "Times that the audit log was made durable.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(audit_syncs),
     .count = 1},
    {.name = "audit_sync_seconds_total",
     .type = "counter",
     .help = "Time that this waited for the disk.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_sum_row,
     .place = COUNTER(audit_sync_ns),
     .count = 1,
     .unit = XT_UNIT_NANO},
    {.name = "audit_full",
     .type = "gauge",
     .help = "1 while a worker refuses requests because there is no room for the audit log.",
     .rows = xt_metric_by_worker,
     .row = xt_metric_worker_gauge_row,
     .place = COUNTER(now.audit_full),
     .count = 1},
    {.name = "audit_checkpoint",
     .type = "gauge",
     .help = "Number of the audit log's last signed checkpoint.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_checkpoint_row,
     .place = 0,
     .count = 1},
    {.name = "audit_checkpoint_time_seconds",
     .type = "gauge",
     .help = "When all that is durable was last vouched for by a checkpoint, in Unix time.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_checkpoint_row,
     .place = 1,
     .count = 1},
    {.name = "warm_up_bytes",
     .type = "gauge",
     .help = "Bytes of the register's pages that the warm-up has read.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_warm_up_row,
     .place = 0,
     .count = 1},
    {.name = "warm_up_wanted_bytes",
     .type = "gauge",
     .help = "Bytes that it reads in all; 0: there is no warm-up.",
     .rows = xt_metric_as_counted,
     .row = xt_metric_warm_up_row,
     .place = 1,
     .count = 1},
    {.name = "process_up",
     .type = "gauge",
     .help = "1 when the process serves; 0 when it starts, drains or has died.",
     .rows = xt_metric_processes,
     .row = xt_metric_up_row},
    {.name = "process_restarts_total",
     .type = "counter",
     .help = "Times that the process had to be replaced.",
     .rows = xt_metric_processes,
     .row = xt_metric_restarts_row},
    {.name = "process_uptime_seconds",
     .type = "gauge",
     .help = "Time since the process was started.",
     .rows = xt_metric_processes,
     .row = xt_metric_uptime_row},
    {.name = "process_cpu_seconds_total",
     .type = "counter",
     .help = "CPU time, user and system, over all processes of this place.",
     .rows = xt_metric_processes,
     .row = xt_metric_vitals_row,
     .place = VITAL(cpu_us),
     .unit = XT_UNIT_MICRO},
    {.name = "process_major_page_faults_total",
     .type = "counter",
     .help = "Reads of memory that had to wait for the disk.",
     .rows = xt_metric_processes,
     .row = xt_metric_vitals_row,
     .place = VITAL(major_faults)},
    {.name = "process_resident_memory_bytes",
     .type = "gauge",
     .help = "Resident memory, the mapped register included; 0: not known.",
     .rows = xt_metric_processes,
     .row = xt_metric_vitals_row,
     .place = VITAL(resident_bytes)},
    {.name = "process_own_memory_bytes",
     .type = "gauge",
     .help = "Resident memory that is the process's own, neither of files nor shared.",
     .rows = xt_metric_processes,
     .row = xt_metric_vitals_row,
     .place = VITAL(own_bytes)},
    {.name = "writer_events_total",
     .type = "counter",
     .help = "Events that the writer has handled.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(events),
     .label = "result",
     .values = events,
     .count = 3},
    {.name = "writer_transactions_total",
     .type = "counter",
     .help = "Transactions that the writer has committed.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(transactions),
     .count = 1},
    {.name = "writer_commit_seconds_total",
     .type = "counter",
     .help = "Time that the writer has spent in commits.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(commit_ns),
     .count = 1,
     .unit = XT_UNIT_NANO},
    {.name = "writer_pending_events",
     .type = "gauge",
     .help = "Events that the writer has received and not committed yet.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(queue),
     .count = 1},
    {.name = "writer_sequence",
     .type = "gauge",
     .help = "Sequence number of the last committed event.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(sequence),
     .count = 1},
    {.name = "writer_statistics_changes",
     .type = "gauge",
     .help = "Changes of statistics that are not added up yet.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(statistics_changes),
     .count = 1},
    {.name = "writer_store_bytes",
     .type = "gauge",
     .help = "Bytes that the live store takes.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(store_bytes),
     .count = 1},
    {.name = "writer_room_bytes",
     .type = "gauge",
     .help = "Bytes that the live store can grow by.",
     .rows = xt_metric_writer_rows,
     .row = xt_metric_writer_row,
     .place = WRITER(room_bytes),
     .count = 1},
};
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

/* ---- piece by piece --------------------------------------------------------------------------- */

static void write_title(struct xt_writer *writer, const struct xt_metric *metric)
{
    xt_write_literal(writer, "# HELP ");
    xt_metric_begin(writer, metric, " ");
    xt_write_string(writer, metric->help);
    xt_write_literal(writer, "\n# TYPE ");
    xt_metric_begin(writer, metric, " ");
    xt_write_string(writer, metric->type);
    xt_write_byte(writer, '\n');
}

static bool next_piece(struct xt_pieces *pieces, struct xt_writer *writer)
{
    struct xt_scrape *scrape = (struct xt_scrape *)(void *)pieces;
    for (; scrape->metric < METRICS; scrape->metric++, scrape->row = 0, scrape->titled = false) {
        const struct xt_metric *metric = &metrics[scrape->metric];
        unsigned rows = metric->rows(scrape, metric);
        if (rows > 0 && !scrape->titled) {
            if (writer->capacity - writer->size < XT_PIECE_MIN) {
                return true;
            }
            write_title(writer, metric);
            scrape->titled = true;
        }
        for (; scrape->row < rows; scrape->row++) {
            if (writer->capacity - writer->size < XT_PIECE_MIN) {
                return true;
            }
            metric->row(scrape, metric, scrape->row, writer);
        }
    }
    return false;
}

static void close_scrape(struct xt_pieces *pieces)
{
    struct xt_scrape *scrape = (struct xt_scrape *)(void *)pieces;
    scrape->service->scrapes--;
    free(scrape);
}

void xt_handle_metrics(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    if (service->shared == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    struct xt_scrape *scrape = service->scrapes < XT_SCRAPES_MAX ? malloc(sizeof(*scrape)) : NULL;
    if (scrape == NULL) {
        xt_call_refuse(call, XT_PROBLEM_OVERLOADED, NULL, answer);
        return;
    }
    service->scrapes++;
    *scrape = (struct xt_scrape){.pieces = {.next = next_piece, .close = close_scrape},
                                 .service = service,
                                 .shared = service->shared,
                                 .workers = xt_shared_workers(service->shared),
                                 .slots = xt_shared_slots(service->shared),
                                 .now_ms = service->monotonic_ns / 1000000};
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_METRICS, .pieces = &scrape->pieces};
}
