#include "net/writer_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/writer_message.h"

#define SEND_BUFFER (1 << 20) /* asked of the kernel, which may give less; a batch of events fits */

/* An event on its way; its ticket is its number, so it stands at ticket modulo the size. */
struct waiting {
    xt_writer_callback callback; /* NULL: answered */
    void *context;
};

struct xt_writer_channel {
    uv_loop_t *loop;
    uv_poll_t *poll; /* NULL: no writer; freed in its close callback */
    int fd, polled;
    uint64_t first, next; /* tickets: first .. next - 1 are under way, or answered behind others */
    unsigned unanswered;
    struct waiting waiting[XT_WRITER_CHANNEL_EVENTS];
    /* Packets that the kernel has not taken yet: size 2 and bytes each, from begin to end. */
    size_t begin, end;
    uint8_t unsent[XT_WRITER_CHANNEL_BYTES];
};

enum xt_status xt_writer_channel_pair(int ends[2], struct xt_failure *failure)
{
    int size = SEND_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        return xt_fail(failure, XT_IO, "cannot make a channel: %s", strerror(errno));
    }
    for (unsigned i = 0; i < 2; i++) {
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    return XT_OK;
}

/* ---- the end of a channel ----------------------------------------------------------------------- */

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static void disconnect(struct xt_writer_channel *channel)
{
    if (channel->poll != NULL) {
        channel->poll->data = NULL;
        uv_close((uv_handle_t *)channel->poll, free_poll);
        close(channel->fd);
    }
    channel->poll = NULL;
    channel->fd = -1;
    channel->polled = 0;
    channel->begin = channel->end = 0;
}

/* The callbacks may send again: those events belong to what comes, and are not touched here. */
static void give_up(struct xt_writer_channel *channel)
{
    static const struct xt_writer_answer closed = {.status = XT_CLOSED};
    uint64_t end = channel->next;
    disconnect(channel);
    while (channel->first < end) {
        struct waiting *waiting = &channel->waiting[channel->first % XT_WRITER_CHANNEL_EVENTS];
        struct waiting due = *waiting;
        *waiting = (struct waiting){.callback = NULL};
        channel->first++;
        if (due.callback != NULL) {
            channel->unanswered--;
            due.callback(due.context, &closed);
        }
    }
}

/* ---- answers ------------------------------------------------------------------------------------ */

static bool take_answer(struct xt_writer_channel *channel, struct xt_taker *taker)
{
    uint64_t ticket = xt_take(taker, 8);
    struct xt_writer_answer answer = {.sequence = xt_take(taker, 8)};
    answer.status = (enum xt_status)xt_take(taker, 1);
    answer.duplicate = xt_take(taker, 1) == 1;
    answer.conflict = (enum xt_conflict)xt_take(taker, 1);
    uint64_t attempt = xt_take(taker, 1);
    answer.attempt = attempt < XT_ATTEMPT_COUNT ? (enum xt_attempt)attempt : XT_ATTEMPT_NONE;
    if (taker->bad || ticket < channel->first || ticket >= channel->next) {
        return false;
    }
    struct waiting *waiting = &channel->waiting[ticket % XT_WRITER_CHANNEL_EVENTS];
    struct waiting due = *waiting;
    if (due.callback == NULL) {
        return false; /* answered twice */
    }
    *waiting = (struct waiting){.callback = NULL};
    channel->unanswered--;
    while (channel->first < channel->next &&
           channel->waiting[channel->first % XT_WRITER_CHANNEL_EVENTS].callback == NULL) {
        channel->first++;
    }
    due.callback(due.context, &answer);
    return true;
}

/* false: not from our writer. poll tells whether a callback replaced or closed the channel meanwhile. */
static bool take_answers(uv_poll_t *poll, struct xt_span packet)
{
    struct xt_taker taker = xt_taker_over(packet);
    bool known = xt_take(&taker, 1) == 'A' && xt_take(&taker, 1) == XT_WRITER_VERSION;
    uint64_t count = xt_take(&taker, 2);
    if (!known || taker.bad || taker.rest.size != count * XT_WRITER_ANSWER_SIZE) {
        return false;
    }
    for (uint64_t i = 0; i < count && poll->data != NULL; i++) {
        if (!take_answer(poll->data, &taker)) {
            return false;
        }
    }
    return true;
}

/* What the writer answered before it ended is read too: then only the rest is unknown. */
static void receive(uv_poll_t *poll, bool ending)
{
    uint8_t packet[XT_WRITER_ANSWERS_MAX];
    bool reset = false;
    while (poll->data != NULL) {
        struct xt_writer_channel *channel = poll->data;
        ssize_t size = recv(channel->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == ECONNRESET && !reset) {
            reset = ending = true; /* the other side left something unread; its answers follow */
            continue;
        }
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !ending) {
            return;
        }
        if (size <= 0 || (size_t)size > sizeof(packet) ||
            !take_answers(poll, xt_span_of(packet, (size_t)size))) {
            break;
        }
    }
    if (poll->data != NULL) {
        give_up(poll->data);
    }
}

/* ---- events ------------------------------------------------------------------------------------- */

/* XT_AGAIN: the kernel takes no more now. XT_CLOSED: the writer is gone. */
static enum xt_status hand_over(const struct xt_writer_channel *channel, struct xt_span packet)
{
    for (;;) {
        ssize_t sent = send(channel->fd, packet.data, packet.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            return XT_OK;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM) {
            return XT_AGAIN;
        }
        if (errno != EINTR) {
            return XT_CLOSED;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void look(struct xt_writer_channel *channel)
{
    int wanted = UV_READABLE | (channel->end > channel->begin ? UV_WRITABLE : 0);
    if (wanted != channel->polled && uv_poll_start(channel->poll, wanted, on_poll) == 0) {
        channel->polled = wanted;
    }
}

static void send_rest(struct xt_writer_channel *channel)
{
    while (channel->end > channel->begin) {
        struct xt_taker taker = xt_taker_over(
            xt_span_of(channel->unsent + channel->begin, channel->end - channel->begin));
        struct xt_span packet = xt_take_bytes(&taker, (size_t)xt_take(&taker, 2));
        if (hand_over(channel, packet) != XT_OK) {
            break; /* full, or gone: then there is something to read, and that tells */
        }
        channel->begin += 2 + packet.size;
    }
    if (channel->begin == channel->end) {
        channel->begin = channel->end = 0;
    }
    look(channel);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    if (poll->data == NULL) {
        return;
    }
    if (status < 0 || (events & UV_READABLE) != 0) {
        receive(poll, status < 0);
    }
    if (poll->data != NULL && (events & UV_WRITABLE) != 0) {
        send_rest(poll->data);
    }
}

/* Behind what waits already; XT_AGAIN: no room. */
static enum xt_status keep(struct xt_writer_channel *channel, struct xt_span packet)
{
    if (packet.size + 2 > sizeof(channel->unsent) - channel->end) {
        memmove(channel->unsent, channel->unsent + channel->begin, channel->end - channel->begin);
        channel->end -= channel->begin;
        channel->begin = 0;
    }
    struct xt_writer writer =
        xt_writer_over(channel->unsent + channel->end, sizeof(channel->unsent) - channel->end);
    xt_put(&writer, packet.size, 2);
    xt_write_span(&writer, packet);
    if (writer.overflow) {
        return XT_AGAIN;
    }
    channel->end += writer.size;
    look(channel);
    return XT_OK;
}

enum xt_status xt_writer_send(struct xt_writer_channel *channel, const struct xt_event *event,
                              xt_writer_callback callback, void *context)
{
    return xt_writer_send_for(channel, "", event, callback, context);
}

enum xt_status xt_writer_send_for(struct xt_writer_channel *channel, const char *partner,
                                  const struct xt_event *event, xt_writer_callback callback,
                                  void *context)
{
    uint8_t packet[XT_WRITER_EVENT_MAX];
    struct xt_writer writer = xt_writer_over(packet, sizeof(packet));
    xt_require(callback != NULL);
    if (channel->poll == NULL) {
        return XT_CLOSED;
    }
    if (channel->next - channel->first == XT_WRITER_CHANNEL_EVENTS) {
        return XT_AGAIN;
    }
    xt_writer_event_begin(&writer, channel->next, xt_span_of_string(partner));
    xt_event_encode(event, &writer);
    xt_require(!writer.overflow);
    enum xt_status status =
        channel->end > channel->begin ? XT_AGAIN : hand_over(channel, xt_written(&writer));
    if (status == XT_AGAIN) {
        status = keep(channel, xt_written(&writer));
    }
    if (status == XT_OK) {
        channel->waiting[channel->next % XT_WRITER_CHANNEL_EVENTS] =
            (struct waiting){.callback = callback, .context = context};
        channel->next++;
        channel->unanswered++;
    }
    return status;
}

/* ---- the channel -------------------------------------------------------------------------------- */

static enum xt_status connect_to(struct xt_writer_channel *channel, int fd)
{
    channel->poll = malloc(sizeof(*channel->poll));
    if (channel->poll == NULL || uv_poll_init(channel->loop, channel->poll, fd) != 0) {
        free(channel->poll);
        channel->poll = NULL;
        return XT_NO_MEMORY;
    }
    channel->poll->data = channel;
    channel->fd = fd;
    look(channel);
    if (channel->polled == 0) {
        channel->poll->data = NULL;
        uv_close((uv_handle_t *)channel->poll, free_poll);
        channel->poll = NULL;
        return XT_IO;
    }
    return XT_OK;
}

enum xt_status xt_writer_channel_open(uv_loop_t *loop, int fd, struct xt_writer_channel **opened)
{
    struct xt_writer_channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL) {
        return XT_NO_MEMORY;
    }
    channel->loop = loop;
    channel->fd = -1;
    enum xt_status status = fd >= 0 ? connect_to(channel, fd) : XT_OK;
    if (status != XT_OK) {
        free(channel);
        return status;
    }
    *opened = channel;
    return XT_OK;
}

enum xt_status xt_writer_channel_replace(struct xt_writer_channel *channel, int fd)
{
    /* Callbacks are called while there is no writer, so that nobody sends into the new one from within
     * before it is there. */
    give_up(channel);
    return connect_to(channel, fd);
}

void xt_writer_channel_close(struct xt_writer_channel *channel)
{
    if (channel != NULL) {
        give_up(channel);
        free(channel);
    }
}

unsigned xt_writer_channel_waiting(const struct xt_writer_channel *channel)
{
    return channel->unanswered;
}

bool xt_writer_channel_is_open(const struct xt_writer_channel *channel)
{
    return channel->poll != NULL;
}
