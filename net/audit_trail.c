#include "net/audit_trail.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/command.h"
#include "net/log.h"

static bool syncs_before_answers(const struct xt_audit_trail *trail)
{
    return strcmp(trail->settings->audit_sync, "answer") == 0;
}

/* ---- what the operator hears ------------------------------------------------------------------ */

static void log_state(const struct xt_audit_trail *trail, enum xt_log_level level,
                      const char *event, const char *reason)
{
    struct xt_log_line line;
    xt_log_begin(&line, level, event);
    xt_log_number(&line, "worker", trail->worker);
    if (reason != NULL) {
        xt_log_text(&line, "reason", reason);
    }
    xt_log_end(&line);
}

/* Answers under way are cut off with the process: none of them leaves unlogged. */
_Noreturn static void give_up(const struct xt_audit_trail *trail)
{
    log_state(trail, XT_LOG_ERROR, "audit_failed",
              "the audit log could not be written or synced; see the kernel's log");
    _exit(XT_EXIT_FAILED);
}

static void set_full(struct xt_audit_trail *trail, bool full)
{
    if (full != trail->full) {
        trail->full = full;
        xt_counter_set(&trail->counters->now.audit_full, full);
        log_state(trail, full ? XT_LOG_ERROR : XT_LOG_INFO, full ? "audit_full" : "audit_has_room",
                  full ? "no room for the audit log: requests are refused until there is" : NULL);
    }
}

/* ---- the disk --------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void wait_for(struct xt_audit_trail *trail, uint64_t ms)
{
    if (!trail->waiting && !trail->ended) {
        trail->waiting = true;
        (void)uv_timer_start(&trail->timer, on_timer, ms, 0); /* of an open handle: cannot fail */
    }
}

static void count_sync(struct xt_audit_trail *trail, uint64_t began_ns)
{
    xt_counter_add(&trail->counters->audit_syncs, 1);
    xt_counter_add(&trail->counters->audit_sync_ns, uv_hrtime() - began_ns);
}

static void begin_pass(struct xt_audit_trail *trail);

static void run_pass(uv_work_t *work)
{
    struct xt_audit_trail *trail = work->data;
    trail->passed = xt_audit_pass_run(&trail->pass);
}

/* The oldest of what came meanwhile may have come when this one began. */
static void wait_for_next(struct xt_audit_trail *trail)
{
    struct xt_audit_pass next;
    uint64_t taken_ms = (uv_hrtime() - trail->pass_began_ns) / 1000000;
    if (!xt_audit_pass_begin(trail->log, &next)) {
        return;
    }
    if (taken_ms < XT_AUDIT_DELAY_MS) {
        wait_for(trail, XT_AUDIT_DELAY_MS - taken_ms);
    } else {
        begin_pass(trail);
    }
}

static void on_passed(uv_work_t *work, int cancelled)
{
    struct xt_audit_trail *trail = work->data;
    trail->passing = false;
    if (trail->old_fd >= 0) {
        close(trail->old_fd);
        trail->old_fd = -1;
    }
    if (trail->ended || cancelled != 0) {
        return;
    }
    count_sync(trail, trail->pass_began_ns);
    if (xt_audit_pass_end(trail->log, &trail->pass, trail->passed) != XT_OK) {
        give_up(trail);
    }
    wait_for_next(trail);
}

static void begin_pass(struct xt_audit_trail *trail)
{
    if (trail->passing || !xt_audit_pass_begin(trail->log, &trail->pass)) {
        return; /* the end of the one under way looks again */
    }
    trail->work.data = trail;
    trail->pass_began_ns = uv_hrtime();
    if (uv_queue_work(trail->loop, &trail->work, run_pass, on_passed) != 0) {
        give_up(trail);
    }
    trail->passing = true;
}

static enum xt_status sync_now(struct xt_audit_trail *trail)
{
    struct xt_audit_pass due;
    uint64_t began = uv_hrtime();
    bool any = xt_audit_pass_begin(trail->log, &due);
    enum xt_status status = xt_audit_sync(trail->log);
    if (any) {
        count_sync(trail, began);
    }
    return status;
}

/* ---- adding ----------------------------------------------------------------------------------- */

enum xt_status xt_audit_trail_add(struct xt_audit_trail *trail, const struct xt_audit_entry *entry)
{
    if (!xt_audit_trail_can(trail)) {
        return XT_DISK_FULL;
    }
    enum xt_status status = xt_audit_add(trail->log, entry);
    if (status == XT_IO) {
        give_up(trail);
    }
    if (status == XT_OK) {
        xt_counter_add(&trail->counters->audit_entries, 1);
    } else if (status == XT_DISK_FULL) {
        set_full(trail, true);
        wait_for(trail, XT_AUDIT_RETRY_MS);
    }
    return status;
}

enum xt_status xt_audit_trail_flush(struct xt_audit_trail *trail)
{
    if (trail->log == NULL || trail->ended) {
        return XT_OK;
    }
    bool answer = syncs_before_answers(trail);
    enum xt_status status = xt_audit_flush(trail->log);
    uint64_t size = xt_audit_written(trail->log)->bytes;
    uint64_t written = size - trail->counted; /* also by xt_audit_add, whose batch was full */
    trail->counted = size;
    xt_counter_add(&trail->counters->audit_bytes, written);
    if (status == XT_OK && answer) {
        status = sync_now(trail); /* costs nothing where nothing is new */
    }
    if (status == XT_IO) {
        give_up(trail);
    }
    /* Looked at after the write, so that what the next turn adds has its room before it is answered. */
    enum xt_status room = status == XT_OK ? xt_audit_reserve(trail->log) : status;
    if (room != XT_OK || trail->full) {
        set_full(trail, room != XT_OK);
    }
    if (written > 0 && !answer && !trail->passing) {
        wait_for(trail, XT_AUDIT_DELAY_MS);
    } else if (trail->full) {
        wait_for(trail, XT_AUDIT_RETRY_MS);
    }
    return status;
}

static void on_timer(uv_timer_t *timer)
{
    struct xt_audit_trail *trail = timer->data;
    trail->waiting = false;
    if (trail->log != NULL && trail->full) {
        (void)!xt_audit_trail_flush(trail); /* its own end says whether there is room */
    }
    if (trail->log != NULL) {
        begin_pass(trail);
    }
}

static void do_nothing(uv_work_t *work)
{
    (void)work;
}

static void did_nothing(uv_work_t *work, int cancelled)
{
    (void)work;
    (void)cancelled;
}

/* ---- files ------------------------------------------------------------------------------------ */

enum xt_status xt_audit_trail_open(struct xt_audit_trail *trail, uv_loop_t *loop,
                                   const struct xt_settings *settings,
                                   struct xt_audit_progress *progress, struct xt_counters *counters,
                                   unsigned worker)
{
    *trail = (struct xt_audit_trail){.loop = loop,
                                     .settings = settings,
                                     .progress = progress,
                                     .counters = counters,
                                     .worker = worker,
                                     .fd = -1,
                                     .old_fd = -1};
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk, not a reason to die */
    if (uv_timer_init(loop, &trail->timer) != 0) {
        return XT_IO;
    }
    trail->timer.data = trail;
    xt_counter_set(&counters->now.audit_full, 1); /* until it has a file */
    return XT_OK;
}

/* Now and not with the first answer: where they cannot be made, libuv ends the process. */
enum xt_status xt_audit_trail_start(struct xt_audit_trail *trail)
{
    return uv_queue_work(trail->loop, &trail->starter, do_nothing, did_nothing) == 0 ? XT_OK
                                                                                     : XT_IO;
}

static enum xt_status go_on_in(struct xt_audit_trail *trail, int fd,
                               const struct xt_keyring *keyring, struct xt_audit_header *header)
{
    enum xt_status status = xt_audit_rotate(trail->log, fd, keyring, header);
    if (status == XT_IO) {
        give_up(trail);
    }
    if (status != XT_OK) {
        return status;
    }
    if (trail->passing) {
        trail->old_fd = trail->fd; /* not closed under a thread that uses it */
    } else {
        close(trail->fd);
    }
    return XT_OK;
}

enum xt_status xt_audit_trail_take(struct xt_audit_trail *trail, int fd,
                                   const struct xt_keyring *keyring, struct xt_audit_header *header)
{
    enum xt_status status = XT_BUSY; /* two rotations within one pass: the supervisor asks again */
    if (trail->ended) {
        status = XT_CLOSED;
    } else if (trail->log == NULL) {
        status = xt_audit_open(fd, keyring, header, trail->progress, &trail->log);
    } else if (trail->old_fd < 0) {
        status = go_on_in(trail, fd, keyring, header);
    }
    if (status != XT_OK) {
        close(fd);
        return status;
    }
    trail->fd = fd;
    trail->counted = xt_audit_written(trail->log)->bytes;
    xt_counter_set(&trail->counters->now.audit_full, trail->full);
    (void)!xt_audit_trail_flush(trail); /* says whether there is room for more than the header */
    return XT_OK;
}

void xt_audit_trail_stop(struct xt_audit_trail *trail)
{
    if (trail->log != NULL && !trail->ended && xt_audit_end(trail->log) == XT_IO) {
        give_up(trail);
    }
    trail->ended = true;
    uv_close((uv_handle_t *)&trail->timer, NULL);
}

void xt_audit_trail_close(struct xt_audit_trail *trail)
{
    xt_audit_close(trail->log);
    trail->log = NULL;
    if (trail->fd >= 0) {
        close(trail->fd);
        trail->fd = -1;
    }
}
