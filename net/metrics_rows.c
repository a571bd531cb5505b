/* net/metrics_rows: the lines of /metrics. */
#include "net/metrics_internal.h"

/* ---- the format ------------------------------------------------------------------------------- */

static void write_number(struct xt_writer *writer, uint64_t value, enum xt_unit unit)
{
    char digits[24];
    unsigned least = unit == XT_UNIT_ONE ? 0 : unit == XT_UNIT_MICRO ? 6 : 9;
    size_t at = sizeof(digits), written = 0;
    do {
        if (least > 0 && written == least) {
            digits[--at] = '.';
        }
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
        written++;
    } while (value > 0 || written <= least);
    xt_write(writer, digits + at, sizeof(digits) - at);
}

/* A line is: begin, labels, end. */
void xt_metric_begin(struct xt_writer *writer, const struct xt_metric *metric, const char *suffix)
{
    xt_write_literal(writer, "xacthuc_");
    xt_write_string(writer, metric->name);
    xt_write_string(writer, suffix);
}

static void label(struct xt_writer *writer, bool *first, const char *name, const char *value)
{
    xt_write_byte(writer, *first ? '{' : ',');
    *first = false;
    xt_write_string(writer, name);
    xt_write_literal(writer, "=\"");
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\\' || *at == '"') {
            xt_write_byte(writer, '\\');
            xt_write_byte(writer, (uint8_t)*at);
        } else if (*at == '\n') {
            xt_write_literal(writer, "\\n");
        } else {
            xt_write_byte(writer, (uint8_t)*at);
        }
    }
    xt_write_byte(writer, '"');
}

static void end(struct xt_writer *writer, bool first, uint64_t value, enum xt_unit unit)
{
    if (!first) {
        xt_write_byte(writer, '}');
    }
    xt_write_byte(writer, ' ');
    write_number(writer, value, unit);
    xt_write_byte(writer, '\n');
}

static void label_number(struct xt_writer *writer, bool *first, const char *name, unsigned value)
{
    char text[12];
    struct xt_writer digits = xt_writer_over(text, sizeof(text) - 1);
    write_number(&digits, value, XT_UNIT_ONE);
    text[digits.size] = '\0';
    label(writer, first, name, text);
}

/* ---- numbers over all workers ----------------------------------------------------------------- */

static const struct xt_counter *counter_at(const void *base, size_t place)
{
    return (const struct xt_counter *)(const void *)((const char *)base + place);
}

static const struct xt_counters *counters_of(struct xt_scrape *scrape, unsigned worker)
{
    return xt_shared_counters(scrape->shared, worker);
}

static uint64_t sum(struct xt_scrape *scrape, size_t place)
{
    uint64_t total = 0;
    for (unsigned worker = 0; worker < scrape->workers; worker++) {
        total += xt_counter_get(counter_at(counters_of(scrape, worker), place));
    }
    return total;
}

unsigned xt_metric_as_counted(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    (void)scrape;
    return metric->count;
}

void xt_metric_sum_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                       struct xt_writer *writer)
{
    bool first = true;
    xt_metric_begin(writer, metric, "");
    if (metric->label != NULL) {
        label(writer, &first, metric->label, metric->values[row]);
    }
    end(writer, first, sum(scrape, metric->place + row * sizeof(struct xt_counter)), metric->unit);
}

static enum xt_process_state state_of(const struct xt_scrape *scrape, unsigned place)
{
    return (enum xt_process_state)xt_counter_get(&xt_shared_process(scrape->shared, place)->state);
}

/* A gauge of a process that has gone says nothing. */
static bool is_up(const struct xt_scrape *scrape, unsigned place)
{
    const struct xt_process *process = xt_shared_process(scrape->shared, place);
    enum xt_process_state state = state_of(scrape, place);
    return state == XT_PROCESS_SERVING || state == XT_PROCESS_DRAINING ||
           (state == XT_PROCESS_NONE && xt_counter_get(&process->pid) != 0); /* it leaves */
}

unsigned xt_metric_by_worker(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    return scrape->slots * metric->count;
}

/* Of the places of one worker: what it has (connections, ...) added up while one leaves and another
 * serves; what it serves by is told of the one that serves. */
void xt_metric_worker_gauge_row(struct xt_scrape *scrape, const struct xt_metric *metric,
                                unsigned row, struct xt_writer *writer)
{
    unsigned worker = row / metric->count, value = row % metric->count;
    size_t counter = metric->place + value * sizeof(struct xt_counter);
    bool adds_up = counter < offsetof(struct xt_counters, now.generation), told = false;
    uint64_t total = 0;
    for (unsigned place = worker; place < scrape->workers; place += scrape->slots) {
        if (state_of(scrape, place) == XT_PROCESS_SERVING || (adds_up && is_up(scrape, place))) {
            total += xt_counter_get(counter_at(counters_of(scrape, place), counter));
            told = true;
        }
    }
    if (told) {
        bool first = true;
        xt_metric_begin(writer, metric, "");
        label_number(writer, &first, "worker", worker);
        if (metric->label != NULL) {
            label(writer, &first, metric->label, metric->values[value]);
        }
        end(writer, first, total, metric->unit);
    }
}

/* ---- requests --------------------------------------------------------------------------------- */

static const char *const routes[XT_ROUTE_COUNT] = {[XT_ROUTE_VERIFY] = "/v1/verify",
                                                   [XT_ROUTE_VERIFY_BATCH] = "/v1/verify/batch",
                                                   [XT_ROUTE_OPENAPI] = "/openapi.json",
                                                   [XT_ROUTE_HEALTHZ] = "/healthz",
                                                   [XT_ROUTE_READYZ] = "/readyz",
                                                   [XT_ROUTE_METRICS] = "/metrics",
                                                   [XT_ROUTE_JWKS] = "/.well-known/jwks.json",
                                                   [XT_ROUTE_EVENTS] = "/v1/events",
                                                   [XT_ROUTE_STATISTICS] = "/v1/statistics",
                                                   [XT_ROUTE_INTROSPECT] = "/v1/introspect",
                                                   [XT_ROUTE_REVOKE] = "/v1/revoke",
                                                   [XT_ROUTE_ACCOUNTS] = "/v1/accounts",
                                                   [XT_ROUTE_ATTRIBUTES] = "/v1/attributes",
                                                   [XT_ROUTE_CONSENTS] = "/v1/consents",
                                                   [XT_ROUTE_CHALLENGES] = "/v1/challenges",
                                                   [XT_ROUTE_AUTHENTICATE] = "/v1/authenticate",
                                                   [XT_ROUTE_METADATA] =
                                                       "/.well-known/oauth-authorization-server",
                                                   [XT_ROUTE_BACKCHANNEL] = "/v1/backchannel",
                                                   [XT_ROUTE_TOKEN] = "/v1/token",
                                                   [XT_ROUTE_OTHER] = "other"};

static void label_outcome(struct xt_writer *writer, bool *first, unsigned outcome)
{
    static const char *const told[] = {"verified", "not_verified", "answered"};
    if (outcome < XT_OUTCOME_REFUSED) {
        label(writer, first, "result", told[outcome]);
        label(writer, first, "code", outcome == XT_OUTCOME_ANSWERED ? "2xx" : "200");
    } else if (outcome < XT_OUTCOME_FAILED) {
        unsigned at = outcome - XT_OUTCOME_REFUSED;
        label(writer, first, "result", "refused");
        if (at < XT_REFUSED_STATUSES) {
            label_number(writer, first, "code", xt_refused_statuses[at]);
        } else {
            label(writer, first, "code", "other");
        }
    } else {
        label(writer, first, "result", "failed");
        label(writer, first, "code", outcome == XT_OUTCOME_FAILED ? "500" : "503");
    }
}

unsigned xt_metric_request_rows(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    (void)scrape;
    (void)metric;
    return XT_ROUTE_COUNT * XT_OUTCOME_COUNT;
}

void xt_metric_request_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                           struct xt_writer *writer)
{
    unsigned route = row / XT_OUTCOME_COUNT, outcome = row % XT_OUTCOME_COUNT;
    uint64_t count =
        sum(scrape, offsetof(struct xt_counters, requests) + row * sizeof(struct xt_counter));
    bool always =
        route == XT_ROUTE_VERIFY && (outcome < XT_OUTCOME_ANSWERED || outcome >= XT_OUTCOME_FAILED);
    if (count > 0 || always) {
        bool first = true;
        xt_metric_begin(writer, metric, "");
        label(writer, &first, "route", routes[route]);
        label_outcome(writer, &first, outcome);
        end(writer, first, count, XT_UNIT_ONE);
    }
}

unsigned xt_metric_partner_rows(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    (void)scrape;
    (void)metric;
    return XT_CELLS;
}

void xt_metric_partner_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned cell,
                           struct xt_writer *writer)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    uint64_t epoch = 0;
    if (!xt_shared_cell(scrape->shared, cell, scrape->now_ms, name, &epoch)) {
        return;
    }
    uint64_t counts[XT_ROUTE_PARTNERS_COUNT][XT_OUTCOME_COUNT] = {{0}};
    for (unsigned worker = 0; worker < scrape->workers; worker++) {
        const struct xt_partner_counters *counters = &counters_of(scrape, worker)->by_partner[cell];
        bool valid = __atomic_load_n(&counters->epoch.value, __ATOMIC_ACQUIRE) == epoch;
        for (unsigned i = 0; valid && i < XT_ROUTE_PARTNERS_COUNT * XT_OUTCOME_COUNT; i++) {
            counts[i / XT_OUTCOME_COUNT][i % XT_OUTCOME_COUNT] +=
                xt_counter_get(&counters->outcomes[i / XT_OUTCOME_COUNT][i % XT_OUTCOME_COUNT]);
        }
    }
    for (unsigned route = 0; route < XT_ROUTE_PARTNERS_COUNT; route++) {
        for (unsigned outcome = 0; outcome < XT_OUTCOME_COUNT; outcome++) {
            if (counts[route][outcome] > 0) {
                bool first = true;
                xt_metric_begin(writer, metric, "");
                label(writer, &first, "partner", name);
                label(writer, &first, "route", routes[route]);
                label_outcome(writer, &first, outcome);
                end(writer, first, counts[route][outcome], XT_UNIT_ONE);
            }
        }
    }
}

void xt_metric_misses_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned cell,
                          struct xt_writer *writer)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    uint64_t epoch = 0, misses = 0;
    if (!xt_shared_cell(scrape->shared, cell, scrape->now_ms, name, &epoch)) {
        return;
    }
    for (unsigned worker = 0; worker < scrape->workers; worker++) {
        const struct xt_partner_counters *counters = &counters_of(scrape, worker)->by_partner[cell];
        if (__atomic_load_n(&counters->epoch.value, __ATOMIC_ACQUIRE) == epoch) {
            misses += xt_counter_get(&counters->misses);
        }
    }
    if (misses > 0) {
        bool first = true;
        xt_metric_begin(writer, metric, "");
        label(writer, &first, "partner", name);
        end(writer, first, misses, XT_UNIT_ONE);
    }
}

/* Of those in force that have one. */
void xt_metric_quota_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned cell,
                         struct xt_writer *writer)
{
    const struct xt_service *service = scrape->service;
    char name[XT_PARTNER_NAME_MAX + 1];
    uint64_t epoch = 0;
    const struct xt_partner *partner =
        service->partners != NULL &&
                xt_shared_cell(scrape->shared, cell, scrape->now_ms, name, &epoch)
            ? xt_partners_by_name(service->partners, name)
            : NULL;
    if (partner != NULL && partner->daily_quota > 0) {
        bool first = true;
        uint64_t used =
            xt_quota_used(service->quotas, xt_quota_seat(service->quotas, name), service->day);
        xt_metric_begin(writer, metric, "");
        label(writer, &first, "partner", name);
        end(writer, first, metric->place == 0 ? used : partner->daily_quota, XT_UNIT_ONE);
    }
}

/* Gives whether the next label is the first. */
static bool begin_part(struct xt_writer *writer, const struct xt_metric *metric, const char *suffix,
                       const char *route)
{
    bool first = true;
    xt_metric_begin(writer, metric, suffix);
    if (route != NULL) {
        label(writer, &first, "route", route);
    }
    return first;
}

/* The struct xt_latency at place; route NULL: it has no labels. */
static void write_histogram(struct xt_scrape *scrape, const struct xt_metric *metric, size_t place,
                            const char *route, struct xt_writer *writer)
{
    uint64_t total = 0, sum_ns = sum(scrape, place + offsetof(struct xt_latency, sum_ns));
    for (unsigned bucket = 0; bucket < XT_LATENCY_BUCKETS; bucket++) {
        char bound[24] = "+Inf";
        total += sum(scrape, place + bucket * sizeof(struct xt_counter));
        if (bucket < XT_LATENCY_BUCKETS - 1) {
            struct xt_writer digits = xt_writer_over(bound, sizeof(bound) - 1);
            write_number(&digits, xt_latency_bounds_ns[bucket] / 1000, XT_UNIT_MICRO);
            while (digits.size > 0 && bound[digits.size - 1] == '0') {
                digits.size--; /* 0.000050 and 1.000000 are 0.00005 and 1 */
            }
            digits.size -= bound[digits.size - 1] == '.';
            bound[digits.size] = '\0';
        }
        bool first = begin_part(writer, metric, "_bucket", route);
        label(writer, &first, "le", bound);
        end(writer, first, total, XT_UNIT_ONE);
    }
    end(writer, begin_part(writer, metric, "_sum", route), sum_ns, XT_UNIT_NANO);
    end(writer, begin_part(writer, metric, "_count", route), total, XT_UNIT_ONE);
}

void xt_metric_latency_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned route,
                           struct xt_writer *writer)
{
    size_t place = offsetof(struct xt_counters, latency) + route * sizeof(struct xt_latency);
    if (route == XT_ROUTE_VERIFY || sum(scrape, place + offsetof(struct xt_latency, sum_ns)) > 0) {
        write_histogram(scrape, metric, place, routes[route], writer);
    }
}

void xt_metric_turn_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                        struct xt_writer *writer)
{
    (void)row;
    write_histogram(scrape, metric, offsetof(struct xt_counters, turns), NULL, writer);
}

/* ---- processes -------------------------------------------------------------------------------- */

/* A row for each worker, then the writer and the supervisor. */
unsigned xt_metric_processes(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    (void)metric;
    return scrape->slots + 2;
}

/* What is known of the places of a row together. */
struct process {
    bool wanted, up, serving;
    unsigned first, last, step; /* its places */
    uint64_t restarts, started_ms;
};

static struct process process_of(const struct xt_scrape *scrape, unsigned row)
{
    bool worker = row < scrape->slots;
    struct process process = {.first = worker ? row : scrape->workers + row - scrape->slots,
                              .step = scrape->slots};
    process.last = worker ? scrape->workers : process.first + 1;
    for (unsigned place = process.first; place < process.last; place += process.step) {
        const struct xt_process *told = xt_shared_process(scrape->shared, place);
        bool serving = state_of(scrape, place) == XT_PROCESS_SERVING;
        process.wanted = process.wanted || worker || state_of(scrape, place) != XT_PROCESS_NONE;
        process.up = process.up || is_up(scrape, place);
        process.restarts += xt_counter_get(&told->restarts);
        if (serving || process.started_ms == 0) {
            process.started_ms = xt_counter_get(&told->started_ms);
        }
        process.serving = process.serving || serving;
    }
    return process;
}

static void write_process(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                          uint64_t value, struct xt_writer *writer)
{
    bool first = true;
    xt_metric_begin(writer, metric, "");
    label(writer, &first, "process",
          row < scrape->slots    ? "worker"
          : row == scrape->slots ? "writer"
                                 : "supervisor");
    if (row < scrape->slots) {
        label_number(writer, &first, "worker", row);
    }
    end(writer, first, value, metric->unit);
}

void xt_metric_up_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                      struct xt_writer *writer)
{
    struct process process = process_of(scrape, row);
    if (process.wanted) {
        write_process(scrape, metric, row, process.serving, writer);
    }
}

void xt_metric_restarts_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                            struct xt_writer *writer)
{
    struct process process = process_of(scrape, row);
    if (process.wanted && row <= scrape->slots) { /* nobody replaces a supervisor */
        write_process(scrape, metric, row, process.restarts, writer);
    }
}

void xt_metric_uptime_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                          struct xt_writer *writer)
{
    struct process process = process_of(scrape, row);
    if (process.up) {
        bool begun = scrape->now_ms > process.started_ms;
        uint64_t seconds = begun ? (scrape->now_ms - process.started_ms) / 1000 : 0;
        write_process(scrape, metric, row, seconds, writer);
    }
}

void xt_metric_vitals_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                          struct xt_writer *writer)
{
    bool gauge = metric->place == offsetof(struct xt_vitals, resident_bytes) ||
                 metric->place == offsetof(struct xt_vitals, own_bytes);
    struct process process = process_of(scrape, row);
    uint64_t total = 0;
    for (unsigned place = process.first; place < process.last; place += process.step) {
        if (!gauge || is_up(scrape, place)) {
            const struct xt_vitals *vitals = xt_shared_vitals(scrape->shared, place);
            total += xt_counter_get(counter_at(vitals, metric->place));
        }
    }
    if (gauge ? process.up : process.wanted) {
        write_process(scrape, metric, row, total, writer);
    }
}

void xt_metric_started_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                           struct xt_writer *writer)
{
    (void)row;
    xt_metric_begin(writer, metric, "");
    end(writer, true, xt_shared_started_unix_ms(scrape->shared) * 1000, XT_UNIT_MICRO);
}

void xt_metric_ready_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                         struct xt_writer *writer)
{
    (void)row;
    struct xt_readiness readiness;
    xt_metric_begin(writer, metric, "");
    end(writer, true, xt_shared_is_ready(scrape->shared, &readiness), XT_UNIT_ONE);
}

void xt_metric_warm_up_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                           struct xt_writer *writer)
{
    (void)row;
    uint64_t done, wanted;
    xt_shared_warm_up(scrape->shared, &done, &wanted);
    xt_metric_begin(writer, metric, "");
    end(writer, true, metric->place == 0 ? done : wanted, XT_UNIT_ONE);
}

void xt_metric_checkpoint_row(struct xt_scrape *scrape, const struct xt_metric *metric,
                              unsigned row, struct xt_writer *writer)
{
    (void)row;
    uint64_t number, unix_s;
    xt_shared_checkpoint(scrape->shared, &number, &unix_s);
    xt_metric_begin(writer, metric, "");
    end(writer, true, metric->place == 0 ? number : unix_s, XT_UNIT_ONE);
}

void xt_metric_build_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                         struct xt_writer *writer)
{
    (void)scrape;
    (void)row;
    bool first = true;
    xt_metric_begin(writer, metric, "");
    label(writer, &first, "version", XT_VERSION);
    end(writer, first, 1, XT_UNIT_ONE);
}

/* Nothing is told of a writer that there is not. */
unsigned xt_metric_writer_rows(const struct xt_scrape *scrape, const struct xt_metric *metric)
{
    bool there = state_of(scrape, xt_shared_writer_place(scrape->workers)) != XT_PROCESS_NONE;
    return there ? metric->count : 0;
}

void xt_metric_writer_row(struct xt_scrape *scrape, const struct xt_metric *metric, unsigned row,
                          struct xt_writer *writer)
{
    const struct xt_writer_counters *counters = xt_shared_writer_counters(scrape->shared);
    size_t place = metric->place + row * sizeof(struct xt_counter);
    bool first = true;
    xt_metric_begin(writer, metric, "");
    if (metric->label != NULL) {
        label(writer, &first, metric->label, metric->values[row]);
    }
    end(writer, first, xt_counter_get(counter_at(counters, place)), metric->unit);
}
