/* Statistics of the writer process: counting changed people, adding up what events changed, telling once a day. */
#include <time.h>
#include <unistd.h>

#include "core/command.h"
#include "net/writer_internal.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"

#define ADD_UP_MS 20 /* between two steps of adding up changes of statistics that have piled up */
#define COUNT_MS 5   /* between two steps of counting changed people, each of some 3 ms */
#define STATISTICS_TICKS 60 /* after what counting or publishing failed of, in ticks */

/* Without them everything else goes on, but for a store of which nobody knows what is in it. It is tried again, and
 * said once (*said) until it works. */
static void statistics_failed(struct xt_writing *writing, enum xt_status status,
                              const struct xt_failure *failure, bool *said)
{
    if (!*said) {
        xt_writing_log(XT_LOG_ERROR, "statistics_failed", failure->text);
    }
    *said = true;
    writing->statistics_at = writing->ticks + STATISTICS_TICKS;
    if (status != XT_DISK_FULL && status != XT_NO_MEMORY && status != XT_CORRUPT &&
        status != XT_DENIED && status != XT_NOT_FOUND) {
        _exit(XT_EXIT_FAILED);
    }
}

/* Once a day, and over every new base. */
static void tell_statistics(struct xt_writing *writing)
{
    struct xt_failure failure = {0};
    struct xt_tally base = {.places = 0};
    struct timespec now;
    bool told = false;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    xt_date today =
        xt_date_of_unix_ms((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    if (writing->base == NULL || xt_live_wants_base(writing->live) ||
        !xt_live_has_counted(writing->live) || writing->told_on == today) {
        return;
    }
    enum xt_status status = xt_generation_statistics(
        writing->dir, xt_generation_manifest(writing->base), writing->keyring, &base, &failure);
    if (status == XT_OK) {
        status = xt_live_tell_statistics(writing->live, &base, today, &told, &failure);
    }
    xt_tally_free(&base);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        statistics_failed(writing, status, &failure, &writing->untold);
        return;
    }
    writing->told_on = today;
    writing->untold = false;
    if (status == XT_NOT_FOUND) {
        xt_writing_log(XT_LOG_INFO, "statistics_lacking", "the generation is of an older program");
    } else if (told) {
        xt_writing_log(XT_LOG_INFO, "statistics_told", NULL);
    }
}

/* One step, and more of them soon where changes have piled up. */
static void add_up_statistics(uv_timer_t *timer)
{
    struct xt_writing *writing = timer->data;
    struct xt_failure failure = {0};
    enum xt_status status = xt_live_fold_changes(writing->live, &failure);
    uint64_t left = xt_live_unfolded(writing->live);
    xt_counter_set(&xt_shared_writer_counters(writing->shared)->statistics_changes, left);
    if (status != XT_OK) {
        statistics_failed(writing, status, &failure, &writing->not_added_up);
        return;
    }
    writing->not_added_up = false;
    if (left >= XT_LIVE_FOLD_FROM && !writing->counting && !writing->stopped) {
        (void)!uv_timer_start(&writing->add_up, add_up_statistics, ADD_UP_MS, 0);
    }
}

static void on_count(uv_timer_t *timer);

void xt_writing_count_after(struct xt_writing *writing, uint64_t after_ms)
{
    if (!writing->stopped && uv_timer_start(&writing->count, on_count, after_ms, 0) == 0) {
        writing->counting = true;
    }
}

/* Groups of events come between the steps. What waits for the count goes on after it, or without it. */
static void on_count(uv_timer_t *timer)
{
    struct xt_writing *writing = timer->data;
    struct xt_failure failure = {0};
    bool done = false;
    writing->counting = false;
    if (writing->base == NULL || xt_live_wants_base(writing->live) || writing->draining) {
        return;
    }
    enum xt_status status = xt_live_count_anew(writing->live, &done, &failure);
    if (status == XT_OK && !done) {
        xt_writing_count_after(writing, COUNT_MS);
        return;
    }
    if (status != XT_OK) {
        statistics_failed(writing, status, &failure, &writing->uncounted);
    } else {
        writing->uncounted = false;
        tell_statistics(writing);
    }
    xt_writing_fold_soon(writing);
}

/* What comes once a day, and again what failed. */
void xt_writing_look_at_statistics(struct xt_writing *writing)
{
    if (writing->ticks >= writing->statistics_at && writing->base != NULL && !writing->counting) {
        if (xt_live_has_counted(writing->live)) {
            tell_statistics(writing);
        } else {
            xt_writing_count_after(writing, 0);
        }
    }
    add_up_statistics(&writing->add_up);
}
