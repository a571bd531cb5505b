/* The register is read into the page cache, in slices, while the service runs: its hot pages, then the rest.
 *
 * By the supervisor: it answers no request, so that nobody waits while it waits for the disk, and what
 * it reads all workers have. In its loop's thread pool, so that its own clocks go on. */
#include "net/supervisor_internal.h"

#define FIRST_MS 500 /* workers start first: they read the file as well */
#define TELL_MS 10000

static void on_slice_due(uv_timer_t *timer);

static void log_progress(const struct xt_warmer *warmer, const char *event)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, event);
    xt_log_number(&line, "generation", xt_generation_manifest(warmer->warm_up.generation)->number);
    xt_log_number(&line, "bytes", warmer->warm_up.at.done);
    xt_log_number(&line, "of", warmer->warm_up.wanted);
    xt_log_end(&line);
}

/* Once for each time that it begins. */
static void log_left_out(struct xt_warmer *warmer)
{
    const struct xt_warm_up *warm_up = &warmer->warm_up;
    struct xt_log_line line;
    if (!warm_up->partly || warmer->told_partly) {
        return;
    }
    warmer->told_partly = true;
    xt_log_begin(&line, XT_LOG_INFO, "warm_up_hot_only");
    xt_log_number(&line, "generation", xt_generation_manifest(warm_up->generation)->number);
    xt_log_number(&line, "bytes", warm_up->wanted);
    xt_log_number(&line, "left_out", warm_up->all - warm_up->wanted);
    xt_log_number(&line, "available", warm_up->room);
    xt_log_number(&line, "reserve", warm_up->reserve);
    xt_log_end(&line);
}

static void tell(const struct xt_supervisor *supervisor)
{
    const struct xt_warm_up *warm_up = &supervisor->warmer.warm_up;
    uint32_t generation =
        warm_up->generation == NULL ? 0 : xt_generation_manifest(warm_up->generation)->number;
    xt_shared_set_warm_up(supervisor->shared, generation, warm_up->at.done, warm_up->wanted);
}

static void start_timer(struct xt_supervisor *supervisor, uint64_t after_ms)
{
    (void)uv_timer_start(&supervisor->warmer.timer, on_slice_due, after_ms, 0);
}

static void begin(struct xt_supervisor *supervisor, struct xt_generation *generation)
{
    struct xt_warmer *warmer = &supervisor->warmer;
    xt_warm_up_begin(&warmer->warm_up, generation,
                     (uint64_t)supervisor->settings.warm_up_reserve << 20);
    warmer->told_partly = false;
    log_left_out(warmer);
    warmer->told_ms = xt_supervisor_now(supervisor);
    tell(supervisor);
    start_timer(supervisor, FIRST_MS);
}

/* In a thread of the pool; nobody else touches the warm-up meanwhile. */
static void read_slice(uv_work_t *work)
{
    struct xt_warmer *warmer = work->data;
    warmer->status = xt_warm_up_step(&warmer->warm_up, warmer->slice_bytes);
}

static void end(struct xt_supervisor *supervisor)
{
    struct xt_warmer *warmer = &supervisor->warmer;
    if (warmer->status == XT_NOT_FOUND) {
        log_progress(warmer, "warmed_up");
    } else if (warmer->status != XT_OK) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_ERROR, "warm_up_failed");
        xt_log_number(&line, "generation",
                      xt_generation_manifest(warmer->warm_up.generation)->number);
        xt_log_text(&line, "status", xt_status_name(warmer->status));
        xt_log_end(&line);
    }
    xt_warm_up_end(&warmer->warm_up);
}

/* None is wanted, and none waits. Not while a slice is read. */
static void forget(struct xt_supervisor *supervisor)
{
    struct xt_warmer *warmer = &supervisor->warmer;
    (void)uv_timer_stop(&warmer->timer);
    xt_warm_up_end(&warmer->warm_up);
    xt_generation_close(warmer->next);
    warmer->next = NULL;
    tell(supervisor);
}

static void on_slice_read(uv_work_t *work, int status)
{
    struct xt_warmer *warmer = work->data;
    struct xt_supervisor *supervisor = warmer->supervisor;
    (void)status; /* it is never cancelled */
    warmer->reading = false;
    tell(supervisor);
    log_left_out(warmer);
    bool off = supervisor->settings.warm_up_rate == 0;
    bool over = warmer->status != XT_OK || supervisor->draining || warmer->next != NULL || off;
    if (over) {
        end(supervisor);
    }
    if (off) {
        forget(supervisor);
    }
    if (supervisor->draining) {
        return;
    }
    uint64_t now = xt_supervisor_now(supervisor);
    if (warmer->next != NULL) {
        struct xt_generation *next = warmer->next;
        warmer->next = NULL;
        begin(supervisor, next);
    } else if (!over) {
        if (now - warmer->told_ms >= TELL_MS) {
            warmer->told_ms = now;
            log_progress(warmer, "warming_up");
        }
        uint64_t due = warmer->began_ms + warmer->period_ms;
        start_timer(supervisor, due > now ? due - now : 0);
    }
}

static void on_slice_due(uv_timer_t *timer)
{
    struct xt_supervisor *supervisor = timer->data;
    struct xt_warmer *warmer = &supervisor->warmer;
    warmer->slice_bytes = xt_warm_up_slice(supervisor->settings.warm_up_rate, &warmer->period_ms);
    warmer->began_ms = xt_supervisor_now(supervisor);
    warmer->status = XT_OK;
    warmer->work.data = warmer;
    warmer->reading =
        !supervisor->draining && warmer->slice_bytes > 0 &&
        uv_queue_work(&supervisor->loop, &warmer->work, read_slice, on_slice_read) == 0;
    if (!warmer->reading) {
        end(supervisor);
    }
}

bool xt_warmer_open(struct xt_supervisor *supervisor)
{
    supervisor->warmer.supervisor = supervisor;
    supervisor->warmer.timer.data = supervisor;
    return uv_timer_init(&supervisor->loop, &supervisor->warmer.timer) == 0;
}

void xt_warmer_take(struct xt_supervisor *supervisor, struct xt_generation *generation)
{
    struct xt_warmer *warmer = &supervisor->warmer;
    if (supervisor->draining) {
        xt_generation_close(generation);
    } else if (warmer->reading) { /* its slice ends first */
        xt_generation_close(warmer->next);
        warmer->next = generation;
    } else if (supervisor->settings.warm_up_rate == 0) {
        xt_generation_close(generation);
        forget(supervisor);
    } else {
        xt_warm_up_end(&warmer->warm_up);
        begin(supervisor, generation);
    }
}

/* The one that is served, once more. */
static void begin_served(struct xt_supervisor *supervisor)
{
    struct xt_generation *generation = NULL;
    struct xt_failure failure = {0};
    if (xt_generation_open(supervisor->plan->dir, supervisor->generation, supervisor->keyring,
                           &generation, &failure) == XT_OK) {
        xt_warmer_take(supervisor, generation);
    } else {
        xt_supervisor_log_failure("warm_up_failed", &failure);
    }
}

void xt_warmer_retune(struct xt_supervisor *supervisor, uint64_t rate_before,
                      uint64_t reserve_before)
{
    const struct xt_warmer *warmer = &supervisor->warmer;
    bool off = supervisor->settings.warm_up_rate == 0;
    bool asleep = rate_before == 0 && warmer->warm_up.generation == NULL;
    bool other = supervisor->settings.warm_up_reserve != reserve_before;
    if (supervisor->draining || (warmer->reading && (off || !other))) {
        return; /* the slice's end looks at the rate */
    }
    if (off) {
        forget(supervisor);
    } else if ((asleep || other) && supervisor->generation != 0) {
        begin_served(supervisor); /* what is in memory already takes no time */
    }
}

void xt_warmer_stop(struct xt_supervisor *supervisor)
{
    uv_close((uv_handle_t *)&supervisor->warmer.timer, NULL);
}

void xt_warmer_close(struct xt_supervisor *supervisor)
{
    xt_warm_up_end(&supervisor->warmer.warm_up);
    xt_generation_close(supervisor->warmer.next);
    supervisor->warmer.next = NULL;
}
