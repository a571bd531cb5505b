#include "bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/load_run.h"

/* ---- a connection ------------------------------------------------------------------------------- */

static enum xt_status shake_hands(struct xt_wire *wire)
{
    for (;;) {
        enum xt_status status = xt_tls_handshake(wire->tls);
        if (!xt_wire_flush(wire, true) || (status != XT_OK && status != XT_AGAIN)) {
            return XT_IO;
        }
        if (status == XT_OK) { /* what follows the handshake in the same read is kept */
            return xt_tls_settle(wire->tls) == XT_OK ? XT_OK : XT_IO;
        }
        if (xt_wire_receive(wire, true) != XT_OK) {
            return XT_IO;
        }
    }
}

enum xt_status xt_wire_open(struct xt_wire *wire, uint16_t port, struct xt_tls_context *context,
                            unsigned limit_s)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = (time_t)limit_s};
    int on = 1;
    wire->tls = NULL;
    wire->text_size = 0;
    wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return wire->fd >= 0 &&
                   setsockopt(wire->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
                   setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                   connect(wire->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   xt_tls_open(context, "127.0.0.1", &wire->tls) == XT_OK
               ? shake_hands(wire)
               : XT_IO;
}

void xt_wire_close(struct xt_wire *wire)
{
    xt_tls_close(wire->tls);
    wire->tls = NULL;
    if (wire->fd > 0) {
        (void)close(wire->fd);
    }
    wire->fd = 0;
}

bool xt_wire_flush(struct xt_wire *wire, bool wait)
{
    for (;;) {
        struct xt_span output = xt_tls_output(wire->tls);
        if (output.size == 0) {
            return true;
        }
        ssize_t sent =
            send(wire->fd, output.data, output.size, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
        if (sent < 0 && errno != EINTR) {
            return !wait && errno == EAGAIN;
        }
        xt_tls_output_taken(wire->tls, sent < 0 ? 0 : (size_t)sent);
        if (!wait && sent >= 0 && (size_t)sent < output.size) {
            return true; /* it takes no more now */
        }
    }
}

bool xt_wire_send(struct xt_wire *wire, struct xt_span plain, bool wait)
{
    size_t taken = 0;
    return xt_tls_write(wire->tls, plain, &taken) == XT_OK && xt_wire_flush(wire, wait);
}

enum xt_status xt_wire_receive(struct xt_wire *wire, bool wait)
{
    ssize_t got;
    do {
        got = recv(wire->fd, wire->input, sizeof(wire->input), wait ? 0 : MSG_DONTWAIT);
    } while (wait && got < 0 && errno == EINTR && !xt_load_interrupted());
    if (got > 0) {
        xt_tls_feed(wire->tls, xt_span_of(wire->input, (size_t)got));
        return XT_OK;
    }
    if (!wait && got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return XT_AGAIN;
    }
    errno = got == 0 ? ECONNRESET : errno;
    return XT_CLOSED;
}

enum xt_status xt_wire_read(struct xt_wire *wire, uint8_t *data, size_t size, size_t *got)
{
    enum xt_status status = xt_tls_read(wire->tls, data, size, got);
    return status != XT_AGAIN || xt_tls_settle(wire->tls) == XT_OK ? status : XT_IO;
}

/* ---- one request at a time ---------------------------------------------------------------------- */

struct xt_span xt_wire_request(const char *target, const char *type, struct xt_span body,
                               uint8_t *room, size_t size)
{
    bool get = body.data == NULL;
    char fields[256];
    struct xt_writer writer = xt_writer_over(room, size);
    (void)snprintf(fields, sizeof(fields),
                   "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s%sContent-Length: %zu\r\n\r\n",
                   get ? "GET" : "POST", target, get ? "" : "Content-Type: ", get ? "" : type,
                   get ? "" : "\r\n", body.size);
    xt_write_string(&writer, fields);
    xt_write_span(&writer, body);
    xt_require(!writer.overflow);
    return xt_written(&writer);
}

enum xt_status xt_wire_answer(struct xt_wire *wire, struct xt_response_head *head)
{
    for (;;) {
        size_t got = 0;
        enum xt_status status = xt_wire_read(wire, wire->text + wire->text_size,
                                             sizeof(wire->text) - wire->text_size, &got);
        if (status != XT_OK) {
            return status;
        }
        wire->text_size += got;
        status = xt_response_read(xt_span_of(wire->text, wire->text_size), head);
        if (status == XT_AGAIN) {
            continue;
        }
        if (status != XT_OK || head->close || head->body_size > sizeof(wire->text) / 2) {
            return XT_IO;
        }
        if (wire->text_size >= head->size + head->body_size) {
            wire->text_size = 0; /* nothing follows */
            return XT_OK;
        }
    }
}

enum xt_status xt_wire_ask(struct xt_wire *wire, struct xt_span request,
                           struct xt_response_head *head)
{
    if (!xt_wire_send(wire, request, true)) {
        return XT_IO;
    }
    for (;;) {
        enum xt_status status = xt_wire_answer(wire, head);
        if (status != XT_AGAIN) {
            return status;
        }
        if (xt_wire_receive(wire, true) != XT_OK) {
            return XT_IO;
        }
    }
}
