/* The audit log as the supervisor keeps it: what a crash left is repaired, and a signed checkpoint says how
 * far every segment has come. */
#include "net/supervisor_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_MS 10000
#define EXPIRY_MS 3600000U
#define DAY_MS 86400000U
#define EXPIRED_PER_TICK 64 /* files */
#define CONTRADICTED_MOST 5 /* checkpoints in a row */

static uint64_t unix_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Since the machine started, asleep or not. Nobody sets it. */
static uint64_t steady_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void xt_audit_log_repair(const char *event, const struct xt_audit_repair *repair)
{
    struct xt_log_line line;
    xt_log_begin(&line, repair->repaired > 0 ? XT_LOG_WARNING : XT_LOG_INFO, event);
    xt_log_number(&line, "segments", repair->closed);
    xt_log_number(&line, "torn", repair->repaired);
    xt_log_number(&line, "bytes_cut", repair->cut);
    xt_log_end(&line);
}

/* The same trouble each second is one line. */
void xt_audit_trouble(enum xt_status *told, const char *event, enum xt_status status,
                      const struct xt_failure *failure)
{
    if (*told != status) {
        *told = status;
        if (status != XT_OK) {
            xt_supervisor_log_failure(event, failure);
        }
    }
}

void xt_member_audit_kill(const struct xt_member *member, const char *why)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, "worker_killed");
    xt_log_number(&line, "worker", member->slot->index);
    xt_log_number(&line, "pid", (uint64_t)xt_child_pid(member->child));
    xt_log_text(&line, "reason", why);
    xt_log_end(&line);
    xt_child_signal(member->child, SIGKILL);
}

/* ---- the clock --------------------------------------------------------------------------------- */

/* A restart does not make the clock right: the file says that it was doubted. */
static bool doubted_path(const struct xt_supervisor *supervisor, char path[XT_PATH_MAX])
{
    return xt_path_join(path, supervisor->plan->dir, XT_SUPERVISOR_FOLDER "/clock.doubted") ==
           XT_OK;
}

static void doubt_clock(struct xt_supervisor *supervisor)
{
    char path[XT_PATH_MAX];
    struct xt_failure failure = {0};
    struct xt_log_line line;
    supervisor->audit.doubted = true;
    if (doubted_path(supervisor, path) &&
        xt_file_write(path, xt_span_of_string(""), 0600, true, &failure) != XT_OK) {
        xt_supervisor_log_failure("clock_not_doubted", &failure); /* after a restart, that is */
    }
    if (supervisor->settings.audit_retention > 0) {
        xt_log_begin(&line, XT_LOG_WARNING, "audit_expiry_held");
        xt_log_text(&line, "reason",
                    "the clock has leapt, or nothing was logged for more than an hour");
        xt_log_number(&line, "for_s", XT_WALL_CLOCK_TRIAL_MS / 1000);
        xt_log_end(&line);
    }
}

static void begin_clock(struct xt_supervisor *supervisor)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    char path[XT_PATH_MAX];
    struct stat facts;
    bool leapt = xt_wall_clock_begin(&desk->clock, xt_audit_checkpoints_time(desk->checkpoints),
                                     unix_ms(), steady_ms());
    if (leapt || !doubted_path(supervisor, path) || lstat(path, &facts) == 0) {
        xt_wall_clock_doubt(&desk->clock, steady_ms());
        doubt_clock(supervisor);
    }
}

/* Whether what it calls old is. */
static bool believe_clock(struct xt_supervisor *supervisor, uint64_t now)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    uint64_t steady = steady_ms();
    char path[XT_PATH_MAX];
    if (xt_wall_clock_look(&desk->clock, now, steady)) {
        doubt_clock(supervisor);
    }
    bool believed = xt_wall_clock_is_believed(&desk->clock, steady);
    if (believed && desk->doubted && doubted_path(supervisor, path)) {
        (void)unlink(path);
        desk->doubted = false;
    }
    return believed;
}

/* ---- start and end ---------------------------------------------------------------------------- */

static enum xt_status recover(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    struct xt_audit_repair repair;
    enum xt_status status = xt_audit_recover(supervisor->audit.checkpoints, supervisor->keyring,
                                             unix_ms(), &repair, failure);
    if (status == XT_OK && repair.closed + repair.repaired > 0) {
        xt_audit_log_repair("audit_recovered", &repair);
    }
    return status;
}

enum xt_status xt_audit_desk_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    enum xt_status status =
        xt_audit_checkpoints_open(supervisor->plan->dir, &supervisor->audit.checkpoints, failure);
    if (status == XT_OK) {
        begin_clock(supervisor);
        status = recover(supervisor, failure);
    }
    if (status == XT_DISK_FULL) { /* it starts, and refuses requests until there is room */
        xt_supervisor_log_failure("checkpoint_failed", failure);
        supervisor->audit.recover_due = true;
        status = XT_OK;
    }
    return status;
}

void xt_audit_desk_end(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    if (supervisor->audit.checkpoints != NULL &&
        xt_audit_checkpoint_write(supervisor->audit.checkpoints, unix_ms(), XT_AUDIT_FLAG_END, NULL,
                                  0, &failure) != XT_OK) {
        xt_supervisor_log_failure("checkpoint_failed", &failure);
    }
}

void xt_audit_desk_close(struct xt_supervisor *supervisor)
{
    xt_audit_checkpoints_close(supervisor->audit.checkpoints);
    supervisor->audit.checkpoints = NULL;
}

/* ---- checkpoints ------------------------------------------------------------------------------ */

/* Whether the file is as long as its worker says: what never was written nobody could restore. */
static bool is_there(const struct xt_supervisor *supervisor, const struct xt_audit_state *state)
{
    char folder[XT_PATH_MAX], path[XT_PATH_MAX], name[XT_AUDIT_NAME];
    struct stat facts;
    xt_audit_name(state->start_ms, state->worker, state->id, name);
    return xt_path_join(folder, supervisor->plan->dir, "audit") == XT_OK &&
           xt_path_join(path, folder, name) == XT_OK && stat(path, &facts) == 0 &&
           (uint64_t)facts.st_size >= state->bytes;
}

/* The rows of one worker; none where it cannot be believed, which ends it. */
static size_t rows_of(struct xt_supervisor *supervisor, const struct xt_member *member,
                      struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS])
{
    const struct xt_audit_known *known = xt_audit_checkpoints_known(supervisor->audit.checkpoints);
    struct xt_audit_progress progress;
    /* One that is at it, or broken, is left out this time. */
    if (member->child == NULL ||
        xt_audit_progress_read(&xt_shared_counters(supervisor->shared, member->place)->audit,
                               &progress) != XT_OK) {
        return 0;
    }
    size_t count =
        xt_audit_progress_rows(&progress, member->audit.given, member->audit.count, rows);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct xt_audit_row *before = xt_audit_known_find(known, rows[i].state.id);
        if (rows[i].kind == XT_AUDIT_CLOSED && before != NULL && before->kind != XT_AUDIT_OPEN &&
            before->state.bytes == rows[i].state.bytes) {
            continue; /* it is in the list, and may be expired by now */
        }
        if (!xt_audit_checkpoints_takes(supervisor->audit.checkpoints, &rows[i]) ||
            !is_there(supervisor, &rows[i].state)) {
            xt_member_audit_kill(member, "what it says of its audit log cannot be true");
            return 0;
        }
        rows[kept++] = rows[i];
    }
    return kept;
}

static void written(struct xt_supervisor *supervisor)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    desk->rotated = false;
    desk->contradicted = 0;
    desk->checkpoint_at_ms = xt_supervisor_now(supervisor) + CHECKPOINT_MS;
    xt_shared_set_checkpoint(supervisor->shared, xt_audit_checkpoints_number(desk->checkpoints),
                             unix_ms() / 1000);
}

static void write_checkpoint(struct xt_supervisor *supervisor)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    struct xt_failure failure = {0};
    unsigned places = 2 * supervisor->workers;
    size_t count = 0;
    struct xt_audit_row *rows = calloc((size_t)places * XT_AUDIT_PROGRESS_ROWS, sizeof(*rows));
    if (rows == NULL) {
        return; /* the next tick tries again */
    }
    for (unsigned i = 0; i < places; i++) {
        const struct xt_slot *slot = &supervisor->slots[i % supervisor->workers];
        count += rows_of(supervisor, &slot->members[i / supervisor->workers], rows + count);
    }
    enum xt_status status = xt_audit_checkpoint_write(desk->checkpoints, unix_ms(),
                                                      desk->rotated ? XT_AUDIT_FLAG_ROTATION : 0,
                                                      rows, count, &failure);
    free(rows);
    xt_audit_trouble(&desk->told_checkpoint, "checkpoint_failed", status, &failure);
    if (status == XT_OK) {
        written(supervisor);
    } else if (status == XT_IO ||
               (status == XT_CORRUPT && ++desk->contradicted >= CONTRADICTED_MOST)) {
        /* Nobody could vouch for what is logged from now on. (A row that contradicts the list is found by
         * the next tick, once the list was read, and its worker ends.) */
        xt_supervisor_fail(supervisor, "the audit log's checkpoints cannot be written");
    }
}

/* What a clock that has leapt calls old may be of today: the log is not cut by it before somebody could
 * see it. */
static void expire(struct xt_supervisor *supervisor, uint64_t now_ms)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    uint64_t days = supervisor->settings.audit_retention, now = unix_ms();
    struct xt_audit_expiry expiry;
    struct xt_failure failure = {0};
    bool believed = believe_clock(supervisor, now);
    if (days == 0 || now_ms < desk->expiry_at_ms || now < days * DAY_MS || !believed) {
        return;
    }
    desk->expiry_at_ms = now_ms + EXPIRY_MS;
    if (xt_audit_expire(desk->checkpoints, now, now - days * DAY_MS, EXPIRED_PER_TICK, &expiry,
                        &failure) != XT_OK) {
        xt_supervisor_log_failure("audit_not_expired", &failure);
    } else if (expiry.segments > 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_INFO, "audit_expired");
        xt_log_number(&line, "segments", expiry.segments);
        xt_log_number(&line, "entries", expiry.entries);
        xt_log_number(&line, "bytes", expiry.bytes);
        xt_log_end(&line);
        desk->expiry_at_ms = expiry.segments < EXPIRED_PER_TICK ? desk->expiry_at_ms : now_ms;
    }
}

/* Where there was no room to write down what was closed. */
static void recover_again(struct xt_supervisor *supervisor)
{
    struct xt_audit_desk *desk = &supervisor->audit;
    struct xt_failure failure = {0};
    if (!desk->recover_due || desk->told_checkpoint == XT_DISK_FULL) {
        return; /* when checkpoints are written again, there is room */
    }
    enum xt_status status = recover(supervisor, &failure);
    desk->recover_due = status == XT_DISK_FULL;
    xt_audit_trouble(&desk->told_closing, "audit_not_closed", status, &failure);
}

void xt_audit_desk_tick(struct xt_supervisor *supervisor)
{
    uint64_t now = xt_supervisor_now(supervisor);
    if (!supervisor->draining) {
        xt_members_audit_tick(supervisor);
        expire(supervisor, now);
    }
    if (now >= supervisor->audit.checkpoint_at_ms) {
        write_checkpoint(supervisor);
        recover_again(supervisor);
    }
}
