/* The life of the writer process: start, lock, store, serve, drain. */
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/command.h"
#include "crypto/file.h"
#include "net/control.h"
#include "net/sandbox.h"
#include "net/worker.h"
#include "net/writer_internal.h"

#define NICE 10         /* workers come first */
#define LOCK_POLL_MS 20 /* while another writer still has the store */
#define TICK_MS 1000
#define READERS_TICKS 10 /* how often places of dead readers are looked for, in ticks */
/* Room that is low: less than a reseal would need (as much as the store takes) and this much more, some
 * 100,000 changed people. */
#define ROOM_LOW (64ULL << 20)

void xt_writing_log(enum xt_log_level level, const char *event, const char *reason)
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

static void stop(struct xt_writing *writing)
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
void xt_writing_broken(void *context, const struct xt_failure *failure)
{
    (void)context;
    xt_writing_log(XT_LOG_ERROR, "live_failed", failure->text);
    _exit(XT_EXIT_FAILED);
}

void xt_writing_finish(struct xt_writing *writing)
{
    if (!writing->stopped) {
        xt_writer_desk_finish(&writing->desk);
        stop(writing);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    xt_writing_log(XT_LOG_WARNING, "drain_timeout", NULL);
    xt_writing_finish(timer->data);
}

static void on_peer_gone(void *context)
{
    struct xt_writing *writing = context;
    if (writing->draining && writing->desk.peer_count == 0) {
        stop(writing);
    }
}

/* Until the last channel is closed by its other side. */
void xt_writing_drain(struct xt_writing *writing)
{
    if (writing->draining || writing->stopped) {
        return;
    }
    writing->draining = true;
    if (writing->desk.peer_count == 0 || !writing->desk.serving ||
        uv_timer_start(&writing->deadline, on_deadline, writing->settings.drain_ms, 0) != 0) {
        xt_writing_finish(writing);
    }
}

static void on_terminate(uv_signal_t *signal, int number)
{
    (void)number;
    xt_writing_drain(signal->data);
}

/* ---- the beginning ------------------------------------------------------------------------------ */

/* Before the disk, a limit or the map is full: then events are refused. */
static void look_at_room(struct xt_writing *writing)
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
    struct xt_writing *writing = timer->data;
    unsigned dead = 0;
    xt_vitals_update(&writing->vitals);
    look_at_room(writing);
    if (xt_live_wants_base(writing->live)) {
        xt_writing_open_base(writing);
    }
    xt_writing_sweep(&writing->sweep);
    xt_writing_look_at_statistics(writing);
    if (++writing->ticks % READERS_TICKS == 0 &&
        xt_live_check_readers(writing->live, &dead) == XT_OK && dead > 0) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_INFO, "live_readers_cleared");
        xt_log_number(&line, "readers", dead);
        xt_log_end(&line);
    }
}

static enum xt_status open_store(struct xt_writing *writing, struct xt_failure *failure)
{
    struct xt_sandbox_report report;
    enum xt_status status =
        xt_live_open_writer(writing->dir, writing->keyring, &writing->live, failure);
    if (status == XT_OK) {
        /* Nobody has spoken to us yet but the supervisor. */
        status = xt_sandbox_writer(writing->dir, &report, failure);
    }
    writing->sealed = status == XT_OK && xt_writing_reseal(writing, writing->keyring) == XT_OK;
    /* The store has its own keys now; the ring stays for the generations to come. */
    if (status == XT_OK) {
        xt_writing_open_base(writing);
    }
    if (status == XT_OK) {
        look_at_room(writing);
    }
    if (status == XT_OK && uv_timer_start(&writing->timer, on_tick, TICK_MS, TICK_MS) != 0) {
        status = xt_fail(failure, XT_IO, "cannot start a timer");
    }
    return status;
}

static bool waits_for_lock(struct xt_writing *writing)
{
    uint64_t now = uv_now(&writing->loop);
    if (writing->waiting_since_ms == 0) {
        writing->waiting_since_ms = now;
        xt_writing_log(XT_LOG_INFO, "writer_waits", "another process has the live store still");
    }
    return writing->lock_wait_ms == 0 || now - writing->waiting_since_ms < writing->lock_wait_ms;
}

static void on_lock_poll(uv_timer_t *timer)
{
    struct xt_writing *writing = timer->data;
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
        xt_writing_log(XT_LOG_ERROR, "live_failed", failure.text);
        writing->failed = true;
        stop(writing);
        return;
    }
    xt_writer_desk_serve(&writing->desk, writing->live, xt_shared_writer_counters(writing->shared));
    tell(XT_CONTROL_READY);
    if (writing->sealed) {
        xt_writing_tell_keys_taken(writing->keys_serial);
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "writer_ready");
    xt_log_number(&line, "sequence", xt_live_sequence(writing->live));
    xt_log_end(&line);
}

static enum xt_status open_loop(struct xt_writing *writing, struct xt_failure *failure)
{
    if (uv_loop_init(&writing->loop) != 0) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot start a loop");
    }
    enum xt_status status = xt_writer_desk_open(&writing->desk, &writing->loop);
    writing->desk.gone = on_peer_gone;
    writing->desk.broken = xt_writing_broken;
    writing->desk.wants_base = xt_writing_open_base;
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
        uv_poll_start(&writing->control, UV_READABLE, xt_writing_on_control) != 0 ||
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
    struct xt_writing *writing = calloc(1, sizeof(*writing)); /* 1 MiB: the group */
    (void)argc;
    (void)argv;
    harden();
    give_way();
    if (writing == NULL) {
        return XT_EXIT_FAILED;
    }
    writing->lock = -1;
    enum xt_status status = xt_writing_receive_start(writing, &failure);
    if (status == XT_OK) {
        status = open_loop(writing, &failure);
    }
    if (status != XT_OK) {
        xt_writing_log(XT_LOG_ERROR, "writer_failed", failure.text);
        _exit(XT_EXIT_FAILED); /* nothing of it is worth taking apart */
    }
    uv_run(&writing->loop, UV_RUN_DEFAULT);
    bool failed = writing->failed;
    if (!failed) {
        tell(XT_CONTROL_STOPPED);
        xt_writing_log(XT_LOG_INFO, "writer_stopped", NULL);
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
