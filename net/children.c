#include "net/children.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGES_PER_TURN 64 /* a child that never stops talking must not hold up the others */

struct xt_child {
    struct xt_child_plan plan;
    uv_process_t process;
    uv_poll_t poll;
    int channel;
    uint64_t started_ms;
    unsigned open_handles;
    bool deaf;   /* the channel has ended */
    bool gone;   /* the process has */
    bool closed; /* its handles and the channel are: nothing of it may be used */
    bool retold; /* the channel was found writable, and what is to be said is being said again */
};

static void on_closed(uv_handle_t *handle)
{
    struct xt_child *child = handle->data;
    if (--child->open_handles == 0) {
        free(child);
    }
}

static void on_channel(uv_poll_t *poll, int status, int events);

static void listen_to(struct xt_child *child, bool writable)
{
    int events = UV_READABLE | (writable ? UV_WRITABLE : 0);
    if (!child->deaf && uv_poll_start(&child->poll, events, on_channel) != 0) {
        xt_child_signal(child, SIGKILL); /* nobody could talk to it */
    }
}

/* Reads what is there; false: the channel has ended. */
static bool read_channel(struct xt_child *child, unsigned at_most)
{
    for (unsigned i = 0; i < at_most; i++) {
        struct xt_control_message message;
        enum xt_status status = xt_control_receive(child->channel, &message);
        if (status == XT_OK) {
            child->plan.told(child->plan.context, child, &message);
        }
        xt_control_release(&message);
        if (child->closed || status == XT_AGAIN || status == XT_NO_MEMORY) {
            return true; /* what it said may have been that nobody wants to hear more of it */
        }
        if (status != XT_OK) {
            return false;
        }
    }
    return true;
}

static void on_channel(uv_poll_t *poll, int status, int events)
{
    struct xt_child *child = poll->data;
    if (status == 0 && (events & UV_WRITABLE) != 0) {
        listen_to(child, false);
        child->retold = true;
        child->plan.writable(child->plan.context, child);
        child->retold = false;
    }
    if (child->gone) {
        return;
    }
    bool more = read_channel(child, MESSAGES_PER_TURN);
    if (child->gone) {
        return;
    }
    if (more) {
        if (status < 0) {
            listen_to(child, false); /* libuv stops at an error, and the last words may be many */
        }
        return;
    }
    /* It closed the channel or sent what is none of our messages: nothing can be asked of it any
     * more. One that ends by itself is about to do so anyway. */
    child->deaf = true;
    (void)uv_poll_stop(&child->poll);
    if (!child->plan.heir) {
        xt_child_signal(child, SIGKILL);
    }
}

static void close_handles(struct xt_child *child)
{
    child->closed = true;
    uv_close((uv_handle_t *)&child->process, on_closed);
    uv_close((uv_handle_t *)&child->poll, on_closed);
    close(child->channel); /* libuv has let go of it */
}

static void on_process_end(uv_process_t *process, int64_t status, int signal)
{
    struct xt_child *child = process->data;
    struct xt_child_end end = {.status = (int)status,
                               .signal = signal,
                               .uptime_ms = uv_now(process->loop) - child->started_ms};
    child->gone = true;
    if (!child->deaf) {
        (void)read_channel(child, MESSAGES_PER_TURN); /* its last words */
    }
    if (child->closed) {
        return;
    }
    child->plan.ended(child->plan.context, child, &end);
    close_handles(child);
}

void xt_child_forget(struct xt_child *child)
{
    child->gone = child->deaf = true;
    close_handles(child);
}

/* Starts the process with the other end of the channel as its XT_CONTROL_FD. */
static int spawn(uv_loop_t *loop, struct xt_child *child, int channel)
{
    uv_stdio_container_t descriptors[XT_CONTROL_FD + 1] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = channel},
    };
    uv_process_options_t options = {
        /* The file that runs, not what has its name now: an upgrade may have put another there. */
        .file = child->plan.program != NULL ? child->plan.program : "/proc/self/exe",
        .args = (char **)(uintptr_t)child->plan.command,
        .exit_cb = on_process_end,
        .stdio = descriptors,
        .stdio_count = XT_CONTROL_FD + 1,
    };
    child->process.data = child;
    int error = uv_spawn(loop, &child->process, &options);
    if (error != 0) {
        uv_close((uv_handle_t *)&child->process, on_closed);
        child->open_handles++;
    }
    return error;
}

enum xt_status xt_child_start(uv_loop_t *loop, const struct xt_child_plan *plan,
                              struct xt_child **result, struct xt_failure *failure)
{
    int ends[2];
    struct xt_child *child = calloc(1, sizeof(*child));
    if (child == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for a child");
    }
    enum xt_status status = xt_control_pair(ends, failure);
    if (status != XT_OK) {
        free(child);
        return status;
    }
    child->plan = *plan;
    child->channel = ends[0];
    xt_control_take_no_descriptors(child->channel);
    uv_update_time(loop);
    child->started_ms = uv_now(loop);
    child->poll.data = child;
    int error = uv_poll_init(loop, &child->poll, child->channel);
    if (error != 0) {
        close(ends[0]);
        close(ends[1]);
        free(child);
        return xt_fail(failure, XT_IO, "cannot watch a channel: %s", uv_strerror(error));
    }
    child->open_handles = 1;
    error = spawn(loop, child, ends[1]);
    close(ends[1]);
    if (error != 0) {
        uv_close((uv_handle_t *)&child->poll, on_closed);
        close(ends[0]);
        return xt_fail(failure, error == UV_EACCES ? XT_DENIED : XT_IO, "cannot start %s: %s",
                       plan->program != NULL ? plan->program : plan->command[0],
                       uv_strerror(error));
    }
    child->open_handles++;
    listen_to(child, false);
    *result = child;
    return XT_OK;
}

enum xt_status xt_child_send(struct xt_child *child, const struct xt_control_message *message)
{
    enum xt_status status =
        child->deaf || child->gone ? XT_CLOSED : xt_control_send(child->channel, message);
    if (status == XT_AGAIN && !child->retold) {
        listen_to(child, true); /* said again: waiting for what holds already would never end */
    }
    return status;
}

void xt_child_signal(struct xt_child *child, int signal)
{
    if (!child->gone) {
        (void)uv_process_kill(&child->process, signal);
    }
}

pid_t xt_child_pid(const struct xt_child *child)
{
    return child->process.pid;
}
