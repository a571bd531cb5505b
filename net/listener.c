#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Bytes of an answer that the kernel takes beyond what it may send now. A client that does not read is
 * then seen soon, and costs this much and not the 4 MiB that a socket's buffer grows to. */
#define UNSENT_MAX 65536

union address {
    struct sockaddr_in6 in6; /* the largest first: an initializer clears all of it */
    struct sockaddr_in in;
    struct sockaddr any;
};

/* ---- sockets ---------------------------------------------------------------------------------- */

static bool parse_address(const char *text, union address *address, socklen_t *size)
{
    char host[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return false;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    size_t length = (size_t)(colon - text);
    bool v6 = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    const char *start = v6 ? text + 1 : text;
    length -= v6 ? 2 : 0;
    if (*end != '\0' || end == colon + 1 || port > 65535 || length >= sizeof(host)) {
        return false;
    }
    memcpy(host, start, length);
    host[length] = '\0';
    memset(address, 0, sizeof(*address));
    if (v6) {
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons((uint16_t)port);
        *size = sizeof(address->in6);
        return inet_pton(AF_INET6, host, &address->in6.sin6_addr) == 1;
    }
    address->in.sin_family = AF_INET;
    address->in.sin_port = htons((uint16_t)port);
    *size = sizeof(address->in);
    return inet_pton(AF_INET, host, &address->in.sin_addr) == 1;
}

static enum xt_status open_socket(const char *text, int beside, int *result,
                                  struct xt_failure *failure)
{
    union address address = {.in6 = {0}};
    socklen_t size = 0;
    if (!parse_address(text, &address, &size)) {
        return xt_fail(failure, XT_INVALID,
                       "cannot listen on %s: give ADDRESS:PORT or [V6ADDRESS]:PORT", text);
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    /* Accepted sockets inherit TCP_NODELAY, which saves a system call each. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &beside, sizeof(beside)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, &address.any, size) != 0 || listen(fd, BACKLOG) != 0) {
        enum xt_status status =
            xt_fail(failure, XT_IO, "cannot listen on %s: %s", text, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    *result = fd;
    return XT_OK;
}

enum xt_status xt_listen(const char *text, int *result, struct xt_failure *failure)
{
    return open_socket(text, 0, result, failure);
}

enum xt_status xt_listen_beside(const char *text, int *result, struct xt_failure *failure)
{
    return open_socket(text, 1, result, failure);
}

void xt_listening_address(int fd, char text[XT_ADDRESS_TEXT])
{
    union address address = {.in6 = {0}};
    socklen_t size = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "";
    text[0] = '\0';
    if (getsockname(fd, &address.any, &size) != 0) {
        return;
    }
    if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.in6.sin6_addr, host, sizeof(host));
        snprintf(text, XT_ADDRESS_TEXT, "[%s]:%u", host, ntohs(address.in6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address.in.sin_addr, host, sizeof(host));
        snprintf(text, XT_ADDRESS_TEXT, "%s:%u", host, ntohs(address.in.sin_port));
    }
}

bool xt_listening_on_loopback(int fd)
{
    union address address = {.in6 = {0}};
    socklen_t size = sizeof(address);
    if (getsockname(fd, &address.any, &size) != 0) {
        return false;
    }
    if (address.any.sa_family == AF_INET6) {
        const struct in6_addr *in6 = &address.in6.sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
    }
    return ntohl(address.in.sin_addr.s_addr) >> 24 == 127;
}

/* ---- accepting -------------------------------------------------------------------------------- */

static void map_address(const union address *from, uint8_t address[16])
{
    if (from->any.sa_family == AF_INET6) {
        memcpy(address, &from->in6.sin6_addr, 16);
        return;
    }
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    memcpy(address, mapped, sizeof(mapped));
    memcpy(address + 12, &from->in.sin_addr, 4);
}

static void set_watching(struct xt_listener *listener, bool watching);

/* No room: the kernel queues clients until a connection has gone. */
static void pause_accepting(struct xt_listener *listener)
{
    struct xt_connections *all = &listener->connections;
    struct xt_log_line line;
    listener->paused = true;
    set_watching(listener, false);
    xt_counter_add(&all->service->counters->shed[XT_SHED_ACCEPT_PAUSED], 1);
    if (xt_log_begin_limited(&all->log_limit, uv_now(all->loop), &line, XT_LOG_WARNING,
                             "accept_paused")) {
        xt_log_number(&line, "connections", all->open);
        xt_log_end(&line);
    }
}

/* What to do when accept4 gives an error (accept(2), Linux). */
enum refusal {
    NOBODY_WAITS,
    NEXT_ONE, /* that client is gone already */
    NO_ROOM,  /* our own descriptors are used up: one less makes room */
    TRY_LATER /* the whole system's are, or its memory: closing ours need not help */
};

static enum refusal refusal_of(int error)
{
    switch (error) {
    case EAGAIN:
        return NOBODY_WAITS;
    case EMFILE:
        return NO_ROOM;
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return NEXT_ONE;
    default:
        return TRY_LATER;
    }
}

/* Takes up to `most` of those that wait. */
static void take_clients(struct xt_listener *listener, unsigned most)
{
    struct xt_connections *all = &listener->connections;
    for (unsigned i = 0; i < most; i++) {
        if (all->open >= listener->limit) {
            /* Only the first is known to be there; the others come with the next turn. */
            if (i > 0) {
                return;
            }
            if (!xt_connections_close_idlest(all)) {
                pause_accepting(listener);
                return;
            }
        }
        union address from = {.in6 = {0}};
        socklen_t size = sizeof(from);
        int fd = accept4(listener->socket, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            uint8_t address[16];
            map_address(&from, address);
            xt_connection_open(all, &listener->entrance, fd, address);
            continue;
        }
        enum refusal refusal = refusal_of(errno);
        /* The kernel looks for a descriptor before it looks for a client: only the first is known to
         * be there, and nobody is closed for one who is not. */
        if (refusal == NOBODY_WAITS || (refusal == NO_ROOM && i > 0)) {
            return;
        }
        if (refusal == TRY_LATER || (refusal == NO_ROOM && !xt_connections_close_idlest(all))) {
            pause_accepting(listener);
            return;
        }
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct xt_listener *listener = poll->data;
    struct xt_connections *all = &listener->connections;
    (void)events;
    if (status < 0) {
        pause_accepting(listener); /* the sweep tries again */
    } else {
        /* Fewer while handshakes wait for their turn, but never nobody: those who keep it so are
         * strangers, and who is behind them in the kernel's queue may be a partner. */
        unsigned most = all->settings->accepts_per_turn;
        take_clients(listener, xt_ring_is_empty(&all->shakes) ? most : (most + 3) / 4);
    }
}

static void set_watching(struct xt_listener *listener, bool watching)
{
    if (watching == listener->watching || listener->closed) {
        return;
    }
    listener->watching = watching;
    if (!watching) {
        (void)uv_poll_stop(&listener->poll);
    } else if (uv_poll_start(&listener->poll, UV_READABLE, on_ready) != 0) {
        listener->watching = false;
        listener->paused = true;
    }
}

/* Accepted sockets inherit these from the listening one, so that they cost no system call each. A peer
 * that acknowledges nothing, or keeps its window shut, is given up by the kernel after the same time as
 * one that we see taking nothing: its answers may all be in the kernel, so that we see it idle. */
static bool limit_unsent(const struct xt_listener *listener, const struct xt_settings *settings)
{
    unsigned stall_ms = settings->write_stall_ms, unsent = UNSENT_MAX;
    return setsockopt(listener->socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall_ms,
                      sizeof(stall_ms)) == 0 &&
           setsockopt(listener->socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)) ==
               0;
}

enum xt_status xt_listener_open(struct xt_listener *listener, uv_loop_t *loop, int socket,
                                unsigned limit, const struct xt_entrance *entrance,
                                const struct xt_settings *settings, struct xt_service *service,
                                void (*gone)(void *context), void *context)
{
    *listener = (struct xt_listener){.socket = socket, .limit = limit, .entrance = *entrance};
    if (!limit_unsent(listener, settings) || uv_poll_init(loop, &listener->poll, socket) != 0) {
        close(socket);
        return XT_IO;
    }
    listener->poll.data = listener;
    if (xt_connections_open(&listener->connections, loop, settings, service) != XT_OK) {
        return XT_NO_MEMORY;
    }
    listener->connections.tls = entrance->tls;
    listener->connections.gone = gone;
    listener->connections.context = context;
    set_watching(listener, true);
    return XT_OK;
}

void xt_listener_set_tls(struct xt_listener *listener, struct xt_tls_context *tls)
{
    listener->entrance.tls = tls;
    listener->connections.tls = tls;
}

void xt_listener_reload(struct xt_listener *listener, unsigned limit)
{
    listener->limit = limit;
    xt_connections_reload(&listener->connections);
    if (!listener->closed) {
        (void)limit_unsent(listener, listener->connections.settings); /* worked at the start */
    }
}

void xt_listener_sweep(struct xt_listener *listener)
{
    xt_connections_sweep(&listener->connections);
    if (listener->paused && !listener->closed) {
        listener->paused = false;
        set_watching(listener, true);
    }
}

void xt_listener_stop(struct xt_listener *listener)
{
    if (!listener->closed) {
        set_watching(listener, false);
        listener->closed = true;
        uv_close((uv_handle_t *)&listener->poll, NULL);
        close(listener->socket); /* libuv has let go of it */
    }
}

void xt_listener_drain(struct xt_listener *listener)
{
    if (!listener->closed) {
        take_clients(listener, BACKLOG);
        xt_listener_stop(listener);
    }
    xt_connections_drain(&listener->connections);
}

void xt_listener_close(struct xt_listener *listener)
{
    xt_connections_close(&listener->connections);
}
