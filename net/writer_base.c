/* The generation under the writer's overlay, and what is dropped between two groups: what a compaction folded into
 * it, and what is over. */
#include <time.h>

#include "net/writer_internal.h"
#include "store/live_account.h"
#include "store/live_fold.h"

/* Between two steps of dropping what a compaction folded: others want the disk as well. */
#define FOLD_MS 20
#define FOLD_AGAIN_MS 5000 /* when the disk was full */
#define SWEEP_MS 20        /* between two steps of sweeping away what is over */

/* ---- the generation under the overlay ------------------------------------------------------------ */

static enum xt_status open_recorded(const struct xt_writing *writing, uint32_t number,
                                    const uint8_t digest[XT_GENERATION_DIGEST],
                                    struct xt_generation **base, struct xt_failure *failure)
{
    enum xt_status status =
        xt_generation_open(writing->dir, number, writing->keyring, base, failure);
    if (status == XT_OK &&
        memcmp(xt_generation_manifest(*base)->digest, digest, XT_GENERATION_DIGEST) != 0) {
        xt_generation_close(*base);
        return xt_fail(failure, XT_DENIED, "generation %06u is not the one on record", number);
    }
    if (status == XT_OK) {
        status = xt_live_may_lie_over(writing->live, xt_generation_manifest(*base), false, failure);
        if (status != XT_OK) {
            xt_generation_close(*base);
        }
    }
    return status;
}

/* Another is on record than the base: workers read that one too, even if it is the base again later. What the
 * supervisor told of it already stays. */
static void forget_settled(struct xt_writing *writing)
{
    if (writing->base != NULL && memcmp(xt_generation_manifest(writing->base)->digest,
                                        writing->settled, sizeof(writing->settled)) == 0) {
        memset(writing->settled, 0, sizeof(writing->settled));
    }
}

/* The one on record, which the workers serve. Until it is open registry events are refused; the next tick
 * tries again. */
void xt_writing_open_base(void *context)
{
    struct xt_writing *writing = context;
    struct xt_failure failure = {0};
    struct xt_generation *base = NULL;
    uint8_t digest[XT_GENERATION_DIGEST];
    uint32_t number;
    forget_settled(writing);
    if (xt_live_look_up_generation(writing->live, &number, digest) != XT_OK) {
        return; /* none was served yet */
    }
    enum xt_status status = open_recorded(writing, number, digest, &base, &failure);
    if (status != XT_OK) {
        if (!writing->base_failed) {
            xt_writing_log(XT_LOG_ERROR, "base_not_opened", failure.text);
        }
        writing->base_failed = true;
        return;
    }
    writing->base_failed = false;
    xt_live_set_base(writing->live, base);
    xt_generation_close(writing->base);
    writing->base = base;
    writing->told_on = XT_DATE_NONE;
    xt_writing_count_after(writing, 0);
}

/* ---- what was compacted ------------------------------------------------------------------------ */

static bool reads_base_only(const struct xt_writing *writing)
{
    return writing->live != NULL && !xt_live_wants_base(writing->live) &&
           memcmp(xt_generation_manifest(writing->base)->digest, writing->settled,
                  sizeof(writing->settled)) == 0;
}

static void start_folding(struct xt_writing *writing, uint64_t after_ms);

static void on_fold(uv_timer_t *timer)
{
    struct xt_writing *writing = timer->data;
    struct xt_failure failure = {0};
    bool done = false;
    if (!reads_base_only(writing) || writing->draining || writing->counting) {
        return;
    }
    enum xt_status status = xt_live_drop_folded(writing->live, &done, &failure);
    if (status == XT_DISK_FULL) {
        xt_writing_log(XT_LOG_WARNING, "live_not_folded", failure.text);
        start_folding(writing, FOLD_AGAIN_MS);
    } else if (status != XT_OK) {
        xt_writing_broken(writing, &failure);
    } else if (!done) {
        writing->folding = true;
        start_folding(writing, FOLD_MS);
    } else if (writing->folding) {
        writing->folding = false;
        xt_writing_log(XT_LOG_INFO, "live_folded", NULL);
    }
}

static void start_folding(struct xt_writing *writing, uint64_t after_ms)
{
    if (!writing->stopped && reads_base_only(writing)) {
        (void)!uv_timer_start(&writing->fold, on_fold, after_ms, 0);
    }
}

void xt_writing_fold_soon(struct xt_writing *writing)
{
    start_folding(writing, FOLD_MS);
}

/* ---- what is over ------------------------------------------------------------------------------- */

/* A full disk leaves it where it is; the next tick tries again. */
void xt_writing_sweep(uv_timer_t *timer)
{
    struct xt_writing *writing = timer->data;
    struct xt_failure failure = {0};
    struct timespec now;
    bool done = true;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    enum xt_status status = xt_live_sweep(writing->live, now_ms, &done, &failure);
    if (status != XT_OK && status != XT_DISK_FULL) {
        xt_writing_broken(writing, &failure);
    }
    if (status == XT_OK && !done && !writing->stopped) {
        (void)!uv_timer_start(&writing->sweep, xt_writing_sweep, SWEEP_MS, 0);
    }
}
