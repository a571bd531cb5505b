/* The life of the writer process: start, lock, store, serve, drain. */
#include "net/writer.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/command.h"
#include "crypto/file.h"
#include "net/control.h"
#include "net/sandbox.h"
#include "net/snapshot.h"
#include "net/vitals.h"
#include "net/worker.h"
#include "net/writer_internal.h"
#include "store/live_account.h"
#include "store/live_fold.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"

#define NICE 10             /* workers come first */
#define START_WAIT_MS 10000 /* for START: the supervisor sends it right after the start */
#define LOCK_POLL_MS 20     /* while another writer still has the store */
#define TICK_MS 1000
#define FOLD_MS                                                                                    \
    20 /* between two steps of dropping what a compaction folded: others want the disk as well */
#define ADD_UP_MS 20 /* between two steps of adding up changes of statistics that have piled up */
#define COUNT_MS 5   /* between two steps of counting changed people, each of some 3 ms */
#define SWEEP_MS 20  /* between two steps of sweeping away what is over */
#define FOLD_AGAIN_MS 5000  /* when the disk was full */
#define STATISTICS_TICKS 60 /* after what counting or publishing failed of, in ticks */
#define READERS_TICKS 10    /* how often places of dead readers are looked for, in ticks */
/* Room that is low: less than a reseal would need (as much as the store takes) and this much more, some
 * 100,000 changed people. */
#define ROOM_LOW (64ULL << 20)

struct writing {
    uv_loop_t loop;
    uv_poll_t control;
    uv_timer_t timer;    /* waits for the lock, then ticks */
    uv_timer_t deadline; /* of a drain */
    uv_timer_t fold;     /* the next step of dropping */
    uv_timer_t add_up;   /* the next step of adding up what events changed in statistics */
    uv_timer_t count;    /* the next step of counting changed people */
    uv_timer_t sweep;    /* the next step of sweeping away what is over */
    uv_signal_t terminate;
    struct xt_settings settings;
    char dir[XT_PATH_MAX];
    struct xt_keyring *keyring; /* for the generations to come */
    uint64_t keys_serial;       /* of it, until the store is open */
    bool sealed;                /* the store is under its current key */
    struct xt_shared *shared;
    struct xt_vitals_source vitals;
    struct xt_live *live;
    struct xt_generation *base;            /* that registry events are applied over */
    uint8_t settled[XT_GENERATION_DIGEST]; /* the one generation that is read; zero: not known */
    int lock;
    uint64_t ticks;
    uint64_t lock_wait_ms,
        waiting_since_ms; /* for the one that has the store; 0: for ever; not yet */
    bool draining, stopped, failed;
    bool folding;     /* there was something to drop */
    bool counting;    /* changed people, over a new base: nothing is dropped meanwhile */
    bool base_failed; /* and the log says so */
    bool room_low;    /* the same */
    xt_date told_on;  /* the day on which statistics were last made, or are lacking; 0: not yet */
    uint64_t statistics_at;               /* tick from which they are tried again */
    bool uncounted, untold, not_added_up; /* and the log says so */
    struct xt_writer_desk desk;
};

static void log_reason(enum xt_log_level level, const char *event, const char *reason)
{
    struct xt_log_line line;
    xt_log_begin(&line, level, event);
    if (reason != NULL) {
        xt_log_text(&line, "reason", reason);
    }
    xt_log_end(&line);
}

static void tell(enum xt_control_type type)
{
    struct xt_control_message message = {.type = type};
    if (xt_control_send(XT_CONTROL_FD, &message) != XT_OK) {
        /* The supervisor is gone or about to see us end: the loop hears of the former. */
    }
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void stop(struct writing *writing)
{
    if (writing->stopped) {
        return;
    }
    writing->stopped = true;
    xt_writer_desk_close(&writing->desk);
    uv_close((uv_handle_t *)&writing->control, NULL);
    uv_close((uv_handle_t *)&writing->timer, NULL);
    uv_close((uv_handle_t *)&writing->deadline, NULL);
    uv_close((uv_handle_t *)&writing->fold, NULL);
    uv_close((uv_handle_t *)&writing->count, NULL);
    uv_close((uv_handle_t *)&writing->sweep, NULL);
    uv_close((uv_handle_t *)&writing->add_up, NULL);
    uv_close((uv_handle_t *)&writing->terminate, NULL);
}

/* What was committed and what was not is only in the file now: a new process reads it. */
static void on_broken(void *context, const struct xt_failure *failure)
{
    (void)context;
    log_reason(XT_LOG_ERROR, "live_failed", failure->text);
    _exit(XT_EXIT_FAILED);
}

static void finish(struct writing *writing)
{
    if (!writing->stopped) {
        xt_writer_desk_finish(&writing->desk);
        stop(writing);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    log_reason(XT_LOG_WARNING, "drain_timeout", NULL);
    finish(timer->data);
}

static void on_peer_gone(void *context)
{
    struct writing *writing = context;
    if (writing->draining && writing->desk.peer_count == 0) {
        stop(writing);
    }
}

/* Until the last channel is closed by its other side. */
static void drain(struct writing *writing)
{
    if (writing->draining || writing->stopped) {
        return;
    }
    writing->draining = true;
    if (writing->desk.peer_count == 0 || !writing->desk.serving ||
        uv_timer_start(&writing->deadline, on_deadline, writing->settings.drain_ms, 0) != 0) {
        finish(writing);
    }
}

static void on_terminate(uv_signal_t *signal, int number)
{
    (void)number;
    drain(signal->data);
}

/* ---- what was compacted ------------------------------------------------------------------------ */

static bool reads_base_only(const struct writing *writing)
{
    return writing->live != NULL && !xt_live_wants_base(writing->live) &&
           memcmp(xt_generation_manifest(writing->base)->digest, writing->settled,
                  sizeof(writing->settled)) == 0;
}

static void start_folding(struct writing *writing, uint64_t after_ms);

static void on_fold(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
    struct xt_failure failure = {0};
    bool done = false;
    if (!reads_base_only(writing) || writing->draining || writing->counting) {
        return;
    }
    enum xt_status status = xt_live_drop_folded(writing->live, &done, &failure);
    if (status == XT_DISK_FULL) {
        log_reason(XT_LOG_WARNING, "live_not_folded", failure.text);
        start_folding(writing, FOLD_AGAIN_MS);
    } else if (status != XT_OK) {
        on_broken(writing, &failure);
    } else if (!done) {
        writing->folding = true;
        start_folding(writing, FOLD_MS);
    } else if (writing->folding) {
        writing->folding = false;
        log_reason(XT_LOG_INFO, "live_folded", NULL);
    }
}

/* After a change of what is read, or of the base. */
static void start_folding(struct writing *writing, uint64_t after_ms)
{
    if (!writing->stopped && reads_base_only(writing)) {
        (void)!uv_timer_start(&writing->fold, on_fold, after_ms, 0);
    }
}

static void take_settled(struct writing *writing, const struct xt_control_message *message)
{
    if (xt_control_copy(message, 0, writing->settled, sizeof(writing->settled))) {
        start_folding(writing, FOLD_MS);
    }
}

/* ---- the supervisor's messages ------------------------------------------------------------------ */

static void take_channel(struct writing *writing, struct xt_control_message *message)
{
    int fd = xt_control_take_fd(message, 0);
    bool administers =
        message->numbers[0] == xt_shared_supervisor_place(xt_shared_workers(writing->shared));
    if (fd < 0 || xt_writer_desk_add(&writing->desk, fd, administers) != XT_OK) {
        log_reason(XT_LOG_ERROR, "writer_channel_refused", "no memory or file descriptor");
    }
}

/* Seals the store under the current key. A full disk leaves it under the one before: the supervisor is not
 * told that it is done, and the next start or rotation tries again. */
static enum xt_status reseal(struct writing *writing, const struct xt_keyring *keyring)
{
    struct xt_failure failure = {0};
    bool done = false;
    enum xt_status status = xt_live_reseal(writing->live, keyring, &done, &failure);
    if (status != XT_OK) {
        log_reason(XT_LOG_ERROR, "live_not_resealed", failure.text);
        if (status != XT_DISK_FULL && status != XT_NO_MEMORY) {
            _exit(XT_EXIT_FAILED); /* a new process finds out what is in the file */
        }
    } else if (done) {
        log_reason(XT_LOG_INFO, "live_resealed", NULL);
    }
    return status;
}

static void tell_keys_taken(uint64_t serial)
{
    struct xt_control_message message = {.type = XT_CONTROL_KEYS_TAKEN, .numbers = {serial}};
    (void)!xt_control_send(XT_CONTROL_FD, &message);
}

static void take_keys(struct writing *writing, const struct xt_control_message *message)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_import(message->blobs[0], &keyring) != XT_OK) {
        log_reason(XT_LOG_ERROR, "live_not_resealed", "no memory for the keys");
        return;
    }
    if (writing->live == NULL) { /* it waits for the store, and opens it with these */
        xt_keyring_take(writing->keyring, keyring);
        writing->keys_serial = message->numbers[0];
        return;
    }
    if (reseal(writing, keyring) == XT_OK) {
        tell_keys_taken(message->numbers[0]);
    }
    xt_keyring_take(writing->keyring,
                    keyring); /* under a full disk too: generations do not wait for it */
}

/* Who may tell the register. One that cannot be read leaves those before in force. */
static void take_partners(struct writing *writing, const struct xt_control_message *message)
{
    struct xt_snapshot snapshot = {.map = NULL};
    struct xt_failure failure = {0};
    if (message->fd_count == 1 && xt_snapshot_open(message->fds[0], &snapshot, &failure) == XT_OK) {
        xt_partners_free(writing->desk.partners);
        writing->desk.partners = snapshot.partners;
        snapshot.partners = NULL;
    } else {
        log_reason(XT_LOG_ERROR, "writer_partners_refused", failure.text);
    }
    xt_snapshot_close(&snapshot);
}

static void take_message(struct writing *writing, struct xt_control_message *message)
{
    switch (message->type) {
    case XT_CONTROL_CHANNEL:
        take_channel(writing, message);
        break;
    case XT_CONTROL_KEYS:
        take_keys(writing, message);
        break;
    case XT_CONTROL_RELOAD:
        take_partners(writing, message);
        break;
    case XT_CONTROL_SETTLED:
        take_settled(writing, message);
        break;
    case XT_CONTROL_DRAIN:
        finish(writing);
        break;
    default: /* of a message that this process does not know nothing depends */
        break;
    }
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    struct writing *writing = poll->data;
    (void)events;
    while (!writing->stopped) {
        struct xt_control_message message;
        enum xt_status received =
            status < 0 ? XT_CLOSED : xt_control_receive(XT_CONTROL_FD, &message);
        if (received == XT_OK) {
            take_message(writing, &message);
        } else if (received != XT_AGAIN) {
            (void)uv_poll_stop(poll);
            drain(writing);
        }
        if (status >= 0) {
            xt_control_release(&message);
        }
        if (received != XT_OK) {
            return;
        }
    }
}

/* ---- statistics ---------------------------------------------------------------------------------- */

/* Without them everything else goes on, but for a store of which nobody knows what is in it. It is tried again, and
 * said once (*said) until it works. */
static void statistics_failed(struct writing *writing, enum xt_status status,
                              const struct xt_failure *failure, bool *said)
{
    if (!*said) {
        log_reason(XT_LOG_ERROR, "statistics_failed", failure->text);
    }
    *said = true;
    writing->statistics_at = writing->ticks + STATISTICS_TICKS;
    if (status != XT_DISK_FULL && status != XT_NO_MEMORY && status != XT_CORRUPT &&
        status != XT_DENIED && status != XT_NOT_FOUND) {
        _exit(XT_EXIT_FAILED);
    }
}

/* Once a day, and over every new base. */
static void tell_statistics(struct writing *writing)
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
        log_reason(XT_LOG_INFO, "statistics_lacking", "the generation is of an older program");
    } else if (told) {
        log_reason(XT_LOG_INFO, "statistics_told", NULL);
    }
}

/* One step, and more of them soon where changes have piled up. */
static void add_up_statistics(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
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

static void start_counting(struct writing *writing, uint64_t after_ms)
{
    if (!writing->stopped && uv_timer_start(&writing->count, on_count, after_ms, 0) == 0) {
        writing->counting = true;
    }
}

/* Groups of events come between the steps. What waits for the count goes on after it, or without it. */
static void on_count(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
    struct xt_failure failure = {0};
    bool done = false;
    writing->counting = false;
    if (writing->base == NULL || xt_live_wants_base(writing->live) || writing->draining) {
        return;
    }
    enum xt_status status = xt_live_count_anew(writing->live, &done, &failure);
    if (status == XT_OK && !done) {
        start_counting(writing, COUNT_MS);
        return;
    }
    if (status != XT_OK) {
        statistics_failed(writing, status, &failure, &writing->uncounted);
    } else {
        writing->uncounted = false;
        tell_statistics(writing);
    }
    start_folding(writing, FOLD_MS);
}

/* What comes once a day, and again what failed. */
static void look_at_statistics(struct writing *writing)
{
    if (writing->ticks >= writing->statistics_at && writing->base != NULL && !writing->counting) {
        if (xt_live_has_counted(writing->live)) {
            tell_statistics(writing);
        } else {
            start_counting(writing, 0);
        }
    }
    add_up_statistics(&writing->add_up);
}

/* ---- the generation under the overlay ------------------------------------------------------------ */

static enum xt_status open_recorded(const struct writing *writing, uint32_t number,
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
static void forget_settled(struct writing *writing)
{
    if (writing->base != NULL && memcmp(xt_generation_manifest(writing->base)->digest,
                                        writing->settled, sizeof(writing->settled)) == 0) {
        memset(writing->settled, 0, sizeof(writing->settled));
    }
}

/* The one on record, which the workers serve. Until it is open registry events are refused; the next tick
 * tries again. */
static void on_wants_base(void *context)
{
    struct writing *writing = context;
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
            log_reason(XT_LOG_ERROR, "base_not_opened", failure.text);
        }
        writing->base_failed = true;
        return;
    }
    writing->base_failed = false;
    xt_live_set_base(writing->live, base);
    xt_generation_close(writing->base);
    writing->base = base;
    writing->told_on = XT_DATE_NONE;
    start_counting(writing, 0);
}

/* ---- what is over ------------------------------------------------------------------------------- */

/* A full disk leaves it where it is; the next tick tries again. */
static void sweep(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
    struct xt_failure failure = {0};
    struct timespec now;
    bool done = true;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    enum xt_status status = xt_live_sweep(writing->live, now_ms, &done, &failure);
    if (status != XT_OK && status != XT_DISK_FULL) {
        on_broken(writing, &failure);
    }
    if (status == XT_OK && !done && !writing->stopped) {
        (void)!uv_timer_start(&writing->sweep, sweep, SWEEP_MS, 0);
    }
}

/* ---- the beginning ------------------------------------------------------------------------------ */

/* Before the disk, a limit or the map is full: then events are refused. */
static void look_at_room(struct writing *writing)
{
    struct xt_writer_counters *counters = xt_shared_writer_counters(writing->shared);
    uint64_t used, left;
    if (xt_live_room(writing->live, &used, &left) != XT_OK) {
        return;
    }
    xt_counter_set(&counters->store_bytes, used);
    xt_counter_set(&counters->room_bytes, left);
    bool low = left < ROOM_LOW || left - ROOM_LOW < used;
    if (low && !writing->room_low) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "live_room_low");
        xt_log_number(&line, "store_bytes", used);
        xt_log_number(&line, "room_bytes", left);
        xt_log_end(&line);
    }
    writing->room_low = low;
}

static void on_tick(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
    unsigned dead = 0;
    xt_vitals_update(&writing->vitals);
    look_at_room(writing);
    if (xt_live_wants_base(writing->live)) {
        on_wants_base(writing);
    }
    sweep(&writing->sweep);
    look_at_statistics(writing);
    if (++writing->ticks % READERS_TICKS == 0 &&
        xt_live_check_readers(writing->live, &dead) == XT_OK && dead > 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_INFO, "live_readers_cleared");
        xt_log_number(&line, "readers", dead);
        xt_log_end(&line);
    }
}

static enum xt_status open_store(struct writing *writing, struct xt_failure *failure)
{
    struct xt_sandbox_report report;
    enum xt_status status =
        xt_live_open_writer(writing->dir, writing->keyring, &writing->live, failure);
    if (status == XT_OK) {
        /* Nobody has spoken to us yet but the supervisor. */
        status = xt_sandbox_writer(writing->dir, &report, failure);
    }
    writing->sealed = status == XT_OK && reseal(writing, writing->keyring) == XT_OK;
    /* The store has its own keys now; the ring stays for the generations to come. */
    if (status == XT_OK) {
        on_wants_base(writing);
    }
    if (status == XT_OK) {
        look_at_room(writing);
    }
    if (status == XT_OK && uv_timer_start(&writing->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        status = xt_fail(failure, XT_IO, "cannot start a timer");
    }
    return status;
}

static bool waits_for_lock(struct writing *writing)
{
    uint64_t now = uv_now(&writing->loop);
    if (writing->waiting_since_ms == 0) {
        writing->waiting_since_ms = now;
        log_reason(XT_LOG_INFO, "writer_waits", "another process has the live store still");
    }
    return writing->lock_wait_ms == 0 || now - writing->waiting_since_ms < writing->lock_wait_ms;
}

static void on_lock_poll(uv_timer_t *timer)
{
    struct writing *writing = timer->data;
    struct xt_failure failure = {0};
    enum xt_status status = xt_live_lock(writing->dir, &writing->lock, &failure);
    if (status == XT_BUSY) {
        if (waits_for_lock(writing)) {
            return;
        }
        (void)xt_fail(&failure, status,
                      "another process has %s/live: is xacthuc serve running there already?",
                      writing->dir);
    }
    (void)uv_timer_stop(timer);
    if (status == XT_OK) {
        status = open_store(writing, &failure);
    }
    if (status != XT_OK) {
        log_reason(XT_LOG_ERROR, "live_failed", failure.text);
        writing->failed = true;
        stop(writing);
        return;
    }
    xt_writer_desk_serve(&writing->desk, writing->live, xt_shared_writer_counters(writing->shared));
    tell(XT_CONTROL_READY);
    if (writing->sealed) {
        tell_keys_taken(writing->keys_serial);
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "writer_ready");
    xt_log_number(&line, "sequence", xt_live_sequence(writing->live));
    xt_log_end(&line);
}

/* Takes START apart. */
static enum xt_status take_start(struct writing *writing, struct xt_control_message *message,
                                 struct xt_failure *failure)
{
    const struct xt_span dir = message->blobs[XT_START_DIR];
    if (message->type != XT_CONTROL_START || dir.size == 0 || dir.size > sizeof(writing->dir) ||
        dir.data[dir.size - 1] != '\0' ||
        !xt_control_copy(message, XT_START_SETTINGS, &writing->settings,
                         sizeof(writing->settings))) {
        return xt_fail(failure, XT_INVALID, "the supervisor's first message is not START");
    }
    memcpy(writing->dir, dir.data, dir.size);
    writing->lock_wait_ms = message->numbers[XT_START_LOCK_WAIT_MS];
    writing->keys_serial = message->numbers[XT_START_SERIAL];
    enum xt_status status = xt_keyring_import(message->blobs[XT_START_KEYRING], &writing->keyring);
    if (status != XT_OK) {
        return xt_fail(failure, status, "the keys cannot be taken over: %s",
                       xt_status_name(status));
    }
    if (message->fd_count != XT_SHARED_FDS) {
        return xt_fail(failure, XT_INVALID, "the shared memory did not come with START");
    }
    status =
        xt_shared_attach(&message->fds[XT_START_SHARED], (unsigned)message->numbers[XT_START_PLACE],
                         &writing->shared, failure);
    if (status == XT_OK) {
        xt_vitals_open(
            &writing->vitals,
            xt_shared_vitals(writing->shared, (unsigned)message->numbers[XT_START_PLACE]));
    }
    return status;
}

static enum xt_status receive_start(struct writing *writing, struct xt_failure *failure)
{
    struct xt_control_message message;
    enum xt_status status = xt_control_wait(XT_CONTROL_FD, START_WAIT_MS, &message);
    status = status == XT_OK ? take_start(writing, &message, failure)
                             : xt_fail(failure, status,
                                       "no START came: this command is not for "
                                       "operators, run xacthuc serve");
    xt_control_release(&message);
    return status;
}

static enum xt_status open_loop(struct writing *writing, struct xt_failure *failure)
{
    if (uv_loop_init(&writing->loop) != 0) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot start a loop");
    }
    enum xt_status status = xt_writer_desk_open(&writing->desk, &writing->loop);
    writing->desk.gone = on_peer_gone;
    writing->desk.broken = on_broken;
    writing->desk.wants_base = on_wants_base;
    writing->desk.context = writing;
    writing->control.data = writing->timer.data = writing->deadline.data = writing;
    writing->fold.data = writing->count.data = writing->add_up.data = writing->sweep.data = writing;
    writing->terminate.data = writing;
    if (status != XT_OK || uv_poll_init(&writing->loop, &writing->control, XT_CONTROL_FD) != 0 ||
        uv_timer_init(&writing->loop, &writing->timer) != 0 ||
        uv_timer_init(&writing->loop, &writing->deadline) != 0 ||
        uv_timer_init(&writing->loop, &writing->fold) != 0 ||
        uv_timer_init(&writing->loop, &writing->count) != 0 ||
        uv_timer_init(&writing->loop, &writing->sweep) != 0 ||
        uv_timer_init(&writing->loop, &writing->add_up) != 0 ||
        uv_signal_init(&writing->loop, &writing->terminate) != 0 ||
        uv_poll_start(&writing->control, UV_READABLE, on_control) != 0 ||
        uv_timer_start(&writing->timer, on_lock_poll, 0, LOCK_POLL_MS) != 0 ||
        uv_signal_start(&writing->terminate, on_terminate, SIGTERM) != 0) {
        return xt_fail(failure, XT_IO, "cannot start the loop");
    }
    return XT_OK;
}

/* Its groups wait for the disk anyway, so it takes what workers leave: it never interrupts one when it wakes, and
 * has a tenth of a processor that is fully loaded, enough for groups that are then larger. With more (nice 5) it
 * makes smaller groups, and verifies that share its processor wait for them; the price is that where other programs
 * want every processor, who waits for the writer may wait for a second. */
static void give_way(void)
{
    static const struct sched_param none;
    (void)sched_setscheduler(0, SCHED_BATCH, &none);
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* or as it was, where that is less */
}

/* Keys are in our memory: no core dumps, no ptrace by others of the same user. Ctrl-C and a terminal's
 * end are the supervisor's business; a file that grows too large is an error like any other. */
static void harden(void)
{
    xt_process_harden();
    (void)prctl(PR_SET_NAME, "xacthuc-writer");
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
}

int xt_command_serve_writer(int argc, char **argv)
{
    struct xt_failure failure = {0};
    struct writing *writing = calloc(1, sizeof(*writing)); /* 1 MiB: the group */
    (void)argc;
    (void)argv;
    harden();
    give_way();
    if (writing == NULL) {
        return XT_EXIT_FAILED;
    }
    writing->lock = -1;
    enum xt_status status = receive_start(writing, &failure);
    if (status == XT_OK) {
        status = open_loop(writing, &failure);
    }
    if (status != XT_OK) {
        log_reason(XT_LOG_ERROR, "writer_failed", failure.text);
        _exit(XT_EXIT_FAILED); /* nothing of it is worth taking apart */
    }
    uv_run(&writing->loop, UV_RUN_DEFAULT);
    bool failed = writing->failed;
    if (!failed) {
        tell(XT_CONTROL_STOPPED);
        log_reason(XT_LOG_INFO, "writer_stopped", NULL);
    }
    xt_live_close(writing->live);
    xt_generation_close(writing->base);
    xt_partners_free(writing->desk.partners);
    xt_keyring_close(writing->keyring);
    xt_vitals_close(&writing->vitals);
    xt_shared_close(writing->shared);
    xt_require(uv_loop_close(&writing->loop) == 0);
    if (writing->lock >= 0) {
        close(writing->lock); /* the next writer may go on */
    }
    free(writing);
    /* Not exit: a leak checker would want to trace this process, which the sandbox ends one for. */
    _exit(failed ? XT_EXIT_FAILED : XT_EXIT_OK);
}
