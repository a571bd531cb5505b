#include "net/miss_alarm.h"

#include <stdlib.h>
#include <string.h>

#include "net/log.h"

#define PARTS 12U

struct counts {
    uint64_t answers, misses;
};

/* One partner, as long as the epoch of its cell is the same. */
struct watched {
    uint64_t epoch;              /* 0: nobody yet */
    uint64_t told_ms;            /* 0: never */
    struct counts before[PARTS]; /* the sums when each part of the window began */
};

struct xt_miss_alarm {
    uint64_t began_ms; /* of the newest part */
    unsigned newest;
    bool is_off; /* at the last look: nobody was watched */
    struct xt_log_limit limit;
    struct watched cells[XT_CELLS];
};

enum xt_status xt_miss_alarm_open(struct xt_miss_alarm **alarm)
{
    *alarm = calloc(1, sizeof(**alarm));
    return *alarm == NULL ? XT_NO_MEMORY : XT_OK;
}

void xt_miss_alarm_close(struct xt_miss_alarm *alarm)
{
    free(alarm);
}

/* Over all places of workers. */
static struct counts sum_of(const struct xt_shared *shared, uint32_t cell, uint64_t epoch)
{
    struct counts sum = {0, 0};
    for (unsigned worker = 0; worker < xt_shared_workers(shared); worker++) {
        const struct xt_partner_counters *counters =
            &xt_shared_counters(shared, worker)->by_partner[cell];
        const struct xt_counter *verify = counters->outcomes[XT_ROUTE_VERIFY];
        const struct xt_counter *batch = counters->outcomes[XT_ROUTE_VERIFY_BATCH];
        if (__atomic_load_n(&counters->epoch.value, __ATOMIC_ACQUIRE) == epoch) {
            sum.answers += xt_counter_get(&verify[XT_OUTCOME_VERIFIED]) +
                           xt_counter_get(&verify[XT_OUTCOME_NOT_VERIFIED]) +
                           xt_counter_get(&batch[XT_OUTCOME_VERIFIED]) +
                           xt_counter_get(&batch[XT_OUTCOME_NOT_VERIFIED]) +
                           xt_counter_get(&counters->events);
            sum.misses += xt_counter_get(&counters->misses);
        }
    }
    return sum;
}

static void tell(struct xt_miss_alarm *alarm, const char *name, const struct counts *counts,
                 const struct xt_settings *settings, uint64_t now_ms)
{
    struct xt_log_line line;
    if (xt_log_begin_limited(&alarm->limit, now_ms, &line, XT_LOG_WARNING, "partner_misses_high")) {
        xt_log_text(&line, "partner", name);
        xt_log_number(&line, "answers", counts->answers);
        xt_log_number(&line, "misses", counts->misses);
        xt_log_number(&line, "window_s", settings->miss_alarm_ms / 1000);
        xt_log_end(&line);
    }
}

/* What a worker can write there is any number; the sums only decide about a line of the log. */
static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

/* What was counted until now, maybe since the start, is of no window. */
static void begin_anew(struct watched *watched, const struct counts *sum)
{
    for (unsigned i = 0; i < PARTS; i++) {
        watched->before[i] = *sum;
    }
}

static void look_at(struct xt_miss_alarm *alarm, const struct xt_shared *shared, uint32_t cell,
                    bool next_part, const struct xt_settings *settings, uint64_t now_ms)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    uint64_t epoch = 0;
    struct watched *watched = &alarm->cells[cell];
    if (!xt_shared_cell(shared, cell, now_ms, name, &epoch)) {
        return;
    }
    struct counts sum = sum_of(shared, cell, epoch);
    if (watched->epoch != epoch) { /* another partner, whose counts began at zero */
        *watched = (struct watched){.epoch = epoch};
        if (alarm->is_off) {
            begin_anew(watched, &sum);
        }
    }
    if (next_part) {
        watched->before[alarm->newest] = sum;
    }
    const struct counts *oldest = &watched->before[(alarm->newest + 1) % PARTS];
    struct counts within = {grown(sum.answers, oldest->answers), grown(sum.misses, oldest->misses)};
    /* In floating point: what a worker wrote may be large. */
    bool high =
        within.answers >= settings->miss_alarm_min &&
        (double)within.misses * 100 >= (double)within.answers * settings->miss_alarm_percent;
    if (high && (watched->told_ms == 0 || now_ms - watched->told_ms >= settings->miss_alarm_ms)) {
        watched->told_ms = now_ms;
        tell(alarm, name, &within, settings, now_ms);
    }
}

void xt_miss_alarm_tick(struct xt_miss_alarm *alarm, const struct xt_shared *shared,
                        const struct xt_settings *settings, uint64_t now_ms)
{
    if (alarm == NULL) {
        return;
    }
    if (settings->miss_alarm_percent == 0) {
        alarm->is_off = true;
        return;
    }
    if (alarm->is_off) {
        memset(alarm->cells, 0, sizeof(alarm->cells));
    }
    bool next_part = now_ms - alarm->began_ms >= settings->miss_alarm_ms / PARTS;
    if (next_part) {
        alarm->began_ms = now_ms;
        alarm->newest = (alarm->newest + 1) % PARTS;
    }
    for (uint32_t cell = 0; cell < XT_CELLS; cell++) {
        look_at(alarm, shared, cell, next_part, settings, now_ms);
    }
    alarm->is_off = false;
}
