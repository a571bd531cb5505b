/* What the supervisor tells the writer: START, channels, keys, partners, which generation is read. */
#include <unistd.h>

#include "core/command.h"
#include "net/control.h"
#include "net/snapshot.h"
#include "net/writer_internal.h"

#define START_WAIT_MS 10000 /* for START: the supervisor sends it right after the start */

/* ---- START ------------------------------------------------------------------------------------- */

/* Takes START apart. */
static enum xt_status take_start(struct xt_writing *writing, struct xt_control_message *message,
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

enum xt_status xt_writing_receive_start(struct xt_writing *writing, struct xt_failure *failure)
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

/* ---- while it serves ---------------------------------------------------------------------------- */

static void take_channel(struct xt_writing *writing, struct xt_control_message *message)
{
    int fd = xt_control_take_fd(message, 0);
    bool administers =
        message->numbers[0] == xt_shared_supervisor_place(xt_shared_workers(writing->shared));
    if (fd < 0 || xt_writer_desk_add(&writing->desk, fd, administers) != XT_OK) {
        xt_writing_log(XT_LOG_ERROR, "writer_channel_refused", "no memory or file descriptor");
    }
}

/* Seals the store under the current key. A full disk leaves it under the one before: the supervisor is not
 * told that it is done, and the next start or rotation tries again. */
enum xt_status xt_writing_reseal(struct xt_writing *writing, const struct xt_keyring *keyring)
{
    struct xt_failure failure = {0};
    bool done = false;
    enum xt_status status = xt_live_reseal(writing->live, keyring, &done, &failure);
    if (status != XT_OK) {
        xt_writing_log(XT_LOG_ERROR, "live_not_resealed", failure.text);
        if (status != XT_DISK_FULL && status != XT_NO_MEMORY) {
            _exit(XT_EXIT_FAILED); /* a new process finds out what is in the file */
        }
    } else if (done) {
        xt_writing_log(XT_LOG_INFO, "live_resealed", NULL);
    }
    return status;
}

void xt_writing_tell_keys_taken(uint64_t serial)
{
    struct xt_control_message message = {.type = XT_CONTROL_KEYS_TAKEN, .numbers = {serial}};
    (void)!xt_control_send(XT_CONTROL_FD, &message);
}

static void take_keys(struct xt_writing *writing, const struct xt_control_message *message)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_import(message->blobs[0], &keyring) != XT_OK) {
        xt_writing_log(XT_LOG_ERROR, "live_not_resealed", "no memory for the keys");
        return;
    }
    if (writing->live == NULL) { /* it waits for the store, and opens it with these */
        xt_keyring_take(writing->keyring, keyring);
        writing->keys_serial = message->numbers[0];
        return;
    }
    if (xt_writing_reseal(writing, keyring) == XT_OK) {
        xt_writing_tell_keys_taken(message->numbers[0]);
    }
    xt_keyring_take(writing->keyring,
                    keyring); /* under a full disk too: generations do not wait for it */
}

/* Who may tell the register. One that cannot be read leaves those before in force. */
static void take_partners(struct xt_writing *writing, const struct xt_control_message *message)
{
    struct xt_snapshot snapshot = {.map = NULL};
    struct xt_failure failure = {0};
    if (message->fd_count == 1 && xt_snapshot_open(message->fds[0], &snapshot, &failure) == XT_OK) {
        xt_partners_free(writing->desk.partners);
        writing->desk.partners = snapshot.partners;
        snapshot.partners = NULL;
    } else {
        xt_writing_log(XT_LOG_ERROR, "writer_partners_refused", failure.text);
    }
    xt_snapshot_close(&snapshot);
}

static void take_settled(struct xt_writing *writing, const struct xt_control_message *message)
{
    if (xt_control_copy(message, 0, writing->settled, sizeof(writing->settled))) {
        xt_writing_fold_soon(writing);
    }
}

static void take_message(struct xt_writing *writing, struct xt_control_message *message)
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
        xt_writing_finish(writing);
        break;
    default: /* of a message that this process does not know nothing depends */
        break;
    }
}

void xt_writing_on_control(uv_poll_t *poll, int status, int events)
{
    struct xt_writing *writing = poll->data;
    (void)events;
    while (!writing->stopped) {
        struct xt_control_message message;
        enum xt_status received =
            status < 0 ? XT_CLOSED : xt_control_receive(XT_CONTROL_FD, &message);
        if (received == XT_OK) {
            take_message(writing, &message);
        } else if (received != XT_AGAIN) {
            (void)uv_poll_stop(poll);
            xt_writing_drain(writing);
        }
        if (status >= 0) {
            xt_control_release(&message);
        }
        if (received != XT_OK) {
            return;
        }
    }
}
