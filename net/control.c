#include "net/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyring.h"

#ifndef SO_PASSRIGHTS /* since Linux 6.16 */
#define SO_PASSRIGHTS 83
#endif

#define MAGIC 0x31435458U /* "XTC1" */
#define ALIGNMENT 8U
#define SEND_BUFFER                                                                                \
    (256 << 10) /* the kernel allows at least 208 KiB wherever it was not told less */

/* What a packet begins with; blobs follow, each at a multiple of ALIGNMENT. */
struct head {
    uint32_t magic, type;
    uint32_t fd_count, spare;
    uint64_t numbers[XT_CONTROL_NUMBERS];
    uint64_t sizes[XT_CONTROL_BLOBS];
};
_Static_assert(sizeof(struct head) % ALIGNMENT == 0, "the first blob is aligned");

union ancillary {
    struct cmsghdr head; /* for its alignment */
    uint8_t room[CMSG_SPACE(sizeof(int) * XT_CONTROL_FDS)];
};

static size_t padded(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

enum xt_status xt_control_pair(int ends[2], struct xt_failure *failure)
{
    int buffer = SEND_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        ends[0] = ends[1] = -1;
        return xt_fail(failure, XT_IO, "cannot make a channel: %s", strerror(errno));
    }
    for (unsigned i = 0; i < 2; i++) {
        (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    }
    return XT_OK;
}

void xt_control_take_no_descriptors(int channel)
{
    int none = 0;
    /* An older kernel does not know it; what came all the same is closed with its message. */
    (void)setsockopt(channel, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
}

/* Secrets belong in locked memory; but one that has none left must still hear what it is told, and say that
 * it cannot take it. Zeros. */
static uint8_t *memory_for(size_t size, bool *locked)
{
    uint8_t *memory = xt_secret_alloc(size);
    *locked = memory != NULL;
    memory = memory != NULL ? memory : malloc(size);
    if (memory != NULL) {
        memset(memory, 0, size);
    }
    return memory;
}

static void give_back(uint8_t *memory, size_t size, bool locked)
{
    if (locked) {
        xt_secret_free(memory);
    } else if (memory != NULL) {
        xt_wipe(memory, size);
        free(memory);
    }
}

/* ---- sending ---------------------------------------------------------------------------------- */

static enum xt_status send_packet(int channel, struct xt_span packet,
                                  const struct xt_control_message *message)
{
    union ancillary ancillary = {.room = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)packet.data, .iov_len = packet.size};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};
    if (message->fd_count > 0) {
        size_t size = sizeof(int) * message->fd_count;
        head.msg_control = ancillary.room;
        head.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&head);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(rights), message->fds, size);
    }
    ssize_t sent;
    do {
        sent = sendmsg(channel, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) {
        return XT_OK;
    }
    switch (errno) {
    case EAGAIN:
    case ENOBUFS:
    case ETOOMANYREFS: /* descriptors on their way count for the user, whoever of his processes sent them */
        return XT_AGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return XT_CLOSED;
    case EMSGSIZE:
        return XT_TOO_LARGE;
    default:
        return XT_IO;
    }
}

enum xt_status xt_control_send(int channel, const struct xt_control_message *message)
{
    struct head head = {
        .magic = MAGIC, .type = (uint32_t)message->type, .fd_count = message->fd_count};
    size_t size = sizeof(head);
    xt_require(message->fd_count <= XT_CONTROL_FDS);
    for (unsigned i = 0; i < XT_CONTROL_BLOBS; i++) {
        if (message->blobs[i].size > XT_CONTROL_MESSAGE_MAX) {
            return XT_TOO_LARGE;
        }
        head.sizes[i] = message->blobs[i].size;
        size += padded(message->blobs[i].size);
    }
    if (size > XT_CONTROL_MESSAGE_MAX) {
        return XT_TOO_LARGE;
    }
    memcpy(head.numbers, message->numbers, sizeof(head.numbers));
    bool locked;
    uint8_t *packet = memory_for(size, &locked);
    if (packet == NULL) {
        return XT_NO_MEMORY;
    }
    struct xt_writer writer = xt_writer_over(packet, size);
    xt_write(&writer, &head, sizeof(head));
    for (unsigned i = 0; i < XT_CONTROL_BLOBS; i++) {
        xt_write_span(&writer, message->blobs[i]);
        (void)xt_write_reserve(&writer, padded(writer.size) - writer.size);
    }
    xt_require(!writer.overflow && writer.size == size);
    xt_wipe_registers();
    enum xt_status status = send_packet(channel, xt_span_of(packet, size), message);
    give_back(packet, size, locked);
    return status;
}

/* ---- receiving -------------------------------------------------------------------------------- */

/* Every descriptor that came becomes the message's, so that none is lost whatever the packet says. */
static bool keep_descriptors(struct msghdr *head, struct xt_control_message *message)
{
    bool fits = (head->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(head); part != NULL; part = CMSG_NXTHDR(head, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
            if (message->fd_count < XT_CONTROL_FDS) {
                message->fds[message->fd_count++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

static enum xt_status parse(struct xt_control_message *message)
{
    struct head head;
    if (message->memory_size < sizeof(head)) {
        return XT_INVALID;
    }
    memcpy(&head, message->memory, sizeof(head));
    if (head.magic != MAGIC || head.fd_count != message->fd_count) {
        return XT_INVALID;
    }
    size_t at = sizeof(head);
    for (unsigned i = 0; i < XT_CONTROL_BLOBS; i++) {
        size_t left = message->memory_size - at;
        if (head.sizes[i] > left || padded((size_t)head.sizes[i]) > left) {
            return XT_INVALID;
        }
        message->blobs[i] = xt_span_of(message->memory + at, (size_t)head.sizes[i]);
        at += padded((size_t)head.sizes[i]);
    }
    message->type = (enum xt_control_type)head.type;
    memcpy(message->numbers, head.numbers, sizeof(head.numbers));
    return at == message->memory_size ? XT_OK : XT_INVALID;
}

/* Size of the next packet in *size; the packet stays. */
static enum xt_status next_size(int channel, size_t *size)
{
    for (;;) {
        ssize_t got = recv(channel, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        if (got > 0) {
            *size = (size_t)got;
            return XT_OK;
        }
        if (got == 0) {
            return XT_CLOSED;
        }
        if (errno == EAGAIN) {
            return XT_AGAIN;
        }
        /* A reset says that the other side went without reading all; what it sent before is still
         * there. */
        if (errno != EINTR && errno != ECONNRESET) {
            return XT_IO;
        }
    }
}

enum xt_status xt_control_receive(int channel, struct xt_control_message *message)
{
    union ancillary ancillary;
    size_t size = 0;
    *message = (struct xt_control_message){.fd_count = 0};
    enum xt_status status = next_size(channel, &size);
    if (status != XT_OK) {
        return status;
    }
    bool fits = size <= XT_CONTROL_MESSAGE_MAX;
    size = fits ? size : sizeof(struct head); /* taken out of the way, and refused below */
    message->memory = memory_for(size, &message->memory_locked);
    if (message->memory == NULL) {
        return XT_NO_MEMORY;
    }
    struct iovec part = {.iov_base = message->memory, .iov_len = size};
    struct msghdr head = {.msg_iov = &part,
                          .msg_iovlen = 1,
                          .msg_control = ancillary.room,
                          .msg_controllen = sizeof(ancillary)};
    ssize_t got;
    do {
        got = recvmsg(channel, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN ? XT_AGAIN : XT_IO;
    }
    message->memory_size = (size_t)got;
    fits = keep_descriptors(&head, message) && fits && (head.msg_flags & MSG_TRUNC) == 0;
    return fits ? parse(message) : XT_INVALID;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum xt_status xt_control_wait(int channel, int timeout_ms, struct xt_control_message *message)
{
    int64_t end = now_ms() + timeout_ms;
    for (;;) {
        enum xt_status status = xt_control_receive(channel, message);
        int64_t left = end - now_ms();
        if (status != XT_AGAIN || left <= 0) {
            return status;
        }
        struct pollfd event = {.fd = channel, .events = POLLIN};
        (void)poll(&event, 1, (int)left);
    }
}

void xt_control_release(struct xt_control_message *message)
{
    for (unsigned i = 0; i < message->fd_count; i++) {
        if (message->fds[i] >= 0) {
            close(message->fds[i]);
        }
    }
    give_back(message->memory, message->memory_size, message->memory_locked);
    *message = (struct xt_control_message){.fd_count = 0};
}

int xt_control_take_fd(struct xt_control_message *message, unsigned at)
{
    if (at >= message->fd_count) {
        return -1;
    }
    int fd = message->fds[at];
    message->fds[at] = -1;
    return fd;
}

bool xt_control_copy(const struct xt_control_message *message, unsigned blob, void *data,
                     size_t size)
{
    if (message->blobs[blob].size != size) {
        return false;
    }
    memcpy(data, message->blobs[blob].data, size);
    return true;
}
