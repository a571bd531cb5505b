/* One connection of the load: socket, TLS, requests out, answers in. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/ldap.h"
#include "bench/load_internal.h"
#include "bench/response.h"
#include "bench/verdict.h"

static bool keeps_alive(const struct xt_load_loop *loop)
{
    return loop->shared->options->handshake == XT_LOAD_KEEP_ALIVE;
}

static void watch(struct xt_load_loop *loop, struct xt_load_connection *connection, int operation,
                  bool write)
{
    struct epoll_event event = {.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = connection};
    connection->wants_write = write;
    xt_require(epoll_ctl(loop->epoll, operation, connection->socket, &event) == 0);
}

/* ---- ends ---- */

void xt_load_release(struct xt_load_connection *connection)
{
    xt_tls_close(connection->tls);
    connection->tls = NULL;
    if (connection->socket >= 0) {
        (void)close(connection->socket); /* epoll forgets it */
        connection->socket = -1;
    }
    connection->state = XT_LOAD_IDLE;
    connection->input_size = 0;
    connection->output_begin = connection->output_end = 0;
    connection->skip = 0;
    connection->wants_write = connection->closing = connection->has_answered = false;
    connection->first = connection->flying = connection->unsent = 0;
}

static void forget_flights(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    loop->flying -= connection->flying;
    connection->flying = 0;
}

void xt_load_fail(struct xt_load_loop *loop, struct xt_load_connection *connection,
                  enum xt_load_error error, const char *detail)
{
    uint64_t lost = connection->flying;
    if (error == XT_LOAD_CLOSED || error == XT_LOAD_TIMEOUT) {
        xt_load_count_error(loop, error, lost, detail);
    } else {
        /* The one it is about, and those behind it. */
        xt_load_count_error(loop, error, 1, detail);
        xt_load_count_error(loop, XT_LOAD_CLOSED, lost > 1 ? lost - 1 : 0,
                            "behind a failed request");
    }
    /* An idle connection that the server no longer wanted is no failure. */
    bool harmless = error == XT_LOAD_CLOSED && lost == 0 && connection->has_answered;
    connection->retry_at = harmless ? 0 : loop->now + XT_LOAD_RETRY_NS;
    forget_flights(loop, connection);
    xt_load_release(connection);
    xt_load_update_room(loop, connection);
}

/* The answer was the last on this connection; the server never looked at what we sent after it. */
static void end_cleanly(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    for (unsigned i = 0; i < connection->flying; i++) {
        unsigned place = (connection->first + i) % loop->shared->options->pipeline;
        xt_load_retry(loop, connection->flights[place]);
    }
    if (connection->tls != NULL) {
        xt_tls_shutdown(connection->tls);
        struct xt_span rest = xt_tls_output(connection->tls);
        if (rest.size > 0) {
            (void)send(connection->socket, rest.data, rest.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    }
    connection->retry_at = 0;
    forget_flights(loop, connection);
    xt_load_release(connection);
    xt_load_update_room(loop, connection);
}

/* ---- beginnings ---- */

static void write_request(struct xt_load_loop *loop, struct xt_load_connection *connection,
                          const struct xt_workload_request *request)
{
    struct xt_span bytes =
        xt_span_of(loop->shared->workload->wire + request->offset, request->size);
    if (connection->tls != NULL) {
        size_t taken = 0;
        /* An error shows again at the next read; xt_load_update_room saw to the room. */
        enum xt_status status = xt_tls_write(connection->tls, bytes, &taken);
        xt_require(status != XT_AGAIN);
    } else {
        if (connection->output_begin == connection->output_end) {
            connection->output_begin = connection->output_end = 0;
        }
        xt_require(connection->output_end + bytes.size <=
                   XT_LOAD_OUTPUT_MAX + XT_WORKLOAD_WIRE_MAX);
        memcpy(connection->output + connection->output_end, bytes.data, bytes.size);
        connection->output_end += bytes.size;
    }
    if (!connection->dirty) {
        connection->dirty = true;
        loop->dirty[loop->dirty_count++] = connection;
    }
}

static void write_unsent(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    for (; connection->unsent > 0; connection->unsent--) {
        unsigned place = (connection->first + connection->flying - connection->unsent) %
                         loop->shared->options->pipeline;
        write_request(loop, connection, connection->flights[place].request);
    }
}

static void established(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    connection->state = XT_LOAD_OPEN;
    loop->result->connections++;
    loop->result->resumed += connection->tls != NULL && xt_tls_resumed(connection->tls);
    xt_histogram_record(&loop->result->handshake, (loop->now - connection->since + 500) / 1000);
    write_unsent(loop, connection);
    xt_load_update_room(loop, connection);
}

static void shake_hands(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    enum xt_status status = xt_tls_handshake(connection->tls);
    if (status != XT_OK && status != XT_AGAIN) {
        xt_load_fail(loop, connection, XT_LOAD_HANDSHAKE, xt_tls_error(connection->tls));
        return;
    }
    if (status == XT_OK) {
        established(loop, connection);
    }
    xt_load_flush(loop, connection);
}

static void connected(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    watch(loop, connection, EPOLL_CTL_MOD, false);
    if (!loop->shared->options->tls) {
        established(loop, connection);
        xt_load_flush(loop, connection);
        return;
    }
    if (xt_tls_open(loop->tls, loop->shared->options->host, &connection->tls) != XT_OK) {
        xt_load_fail(loop, connection, XT_LOAD_HANDSHAKE, "out of memory");
        return;
    }
    connection->state = XT_LOAD_SHAKING;
    shake_hands(loop, connection);
}

void xt_load_open(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    const struct xt_load_shared *shared = loop->shared;
    int one = 1;
    connection->since = loop->now;
    connection->state = XT_LOAD_CONNECTING;
    connection->socket =
        socket(shared->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->socket < 0) {
        xt_load_fail(loop, connection, XT_LOAD_CONNECT, strerror(errno));
        return;
    }
    (void)setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(connection->socket, (const struct sockaddr *)&shared->address,
                shared->address_size) != 0 &&
        errno != EINPROGRESS) {
        xt_load_fail(loop, connection, XT_LOAD_CONNECT, strerror(errno));
        return;
    }
    watch(loop, connection, EPOLL_CTL_ADD, true);
    xt_load_update_room(loop, connection);
}

void xt_load_take(struct xt_load_loop *loop, struct xt_load_connection *connection,
                  struct xt_load_flight flight)
{
    unsigned place = (connection->first + connection->flying) % loop->shared->options->pipeline;
    connection->flights[place] = flight;
    connection->flying++;
    loop->flying++;
    if (connection->state == XT_LOAD_OPEN) {
        write_request(loop, connection, flight.request);
        xt_load_update_room(loop, connection);
        return;
    }
    connection->unsent++;
    xt_load_open(loop, connection);
}

void xt_load_flush(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    for (;;) {
        struct xt_span waiting =
            connection->tls != NULL
                ? xt_tls_output(connection->tls)
                : xt_span_of(connection->output == NULL
                                 ? NULL
                                 : connection->output + connection->output_begin,
                             connection->output_end - connection->output_begin);
        if (waiting.size == 0) {
            if (connection->wants_write && connection->state >= XT_LOAD_SHAKING) {
                watch(loop, connection, EPOLL_CTL_MOD, false);
                xt_load_update_room(loop, connection);
            }
            return;
        }
        ssize_t sent =
            send(connection->socket, waiting.data, waiting.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            /* A broken connection is told by the next read, which may still find an answer. */
            if (errno == EAGAIN && !connection->wants_write) {
                watch(loop, connection, EPOLL_CTL_MOD, true);
                xt_load_update_room(loop, connection);
            }
            return;
        }
        if (connection->tls != NULL) {
            xt_tls_output_taken(connection->tls, (size_t)sent);
        } else {
            connection->output_begin += (size_t)sent;
        }
    }
}

/* ---- answers ---- */

/* NULL: it is as it must be. */
static const char *wrong_signature(struct xt_load_loop *loop,
                                   const struct xt_workload_request *request,
                                   const struct xt_response_head *head, struct xt_span body)
{
    const struct xt_workload *workload = loop->shared->workload;
    struct xt_span digest =
        xt_span_of(workload->wire + request->digest_offset, XT_LOAD_DIGEST_SIZE);
    bool whole = loop->judged++ % XT_LOAD_SIGNED_SAMPLE == 0;
    const char *why;
    if (!xt_load_is_signed(workload->keys, head, body, digest, whole, &why)) {
        return why;
    }
    loop->result->signatures += whole;
    return NULL;
}

/* head: NULL where nobody looks at the body. */
static void judge(struct xt_load_loop *loop, const struct xt_load_flight *flight, unsigned status,
                  const struct xt_response_head *head, struct xt_span body)
{
    const struct xt_workload_request *request = flight->request;
    const struct xt_workload *workload = loop->shared->workload;
    char detail[XT_LOAD_DETAIL_MAX];
    if (status != request->status) {
        (void)snprintf(detail, sizeof(detail), "request %u: status %u, expected %u", request->index,
                       status, request->status);
        xt_load_count_error(loop, XT_LOAD_STATUS, 1, detail);
        return;
    }
    if (!request->check) {
        xt_load_count_right(loop, flight);
        return;
    }
    struct xt_expected expected = {
        .txn = xt_span_of(workload->wire + request->txn_offset, request->txn_size),
        .asked = request->asked,
        .matched = request->matched,
        .verdict_only = workload->verdict_only};
    const char *why;
    enum xt_verdict_check check = xt_verdict_check(body, &expected, &why);
    if (check == XT_VERDICT_RIGHT && workload->keys != NULL && head != NULL) {
        why = wrong_signature(loop, request, head, body);
        check = why == NULL ? XT_VERDICT_RIGHT : XT_VERDICT_WRONG;
    }
    if (check == XT_VERDICT_RIGHT) {
        xt_load_count_right(loop, flight);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "request %u: %s", request->index, why);
    xt_load_count_error(loop, check == XT_VERDICT_WRONG ? XT_LOAD_VERDICT : XT_LOAD_MALFORMED, 1,
                        detail);
}

static void finish_answer(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    connection->has_answered = true;
    connection->first = (connection->first + 1) % loop->shared->options->pipeline;
    connection->flying--;
    loop->flying--;
    if (!connection->closing && keeps_alive(loop)) {
        xt_load_update_room(loop, connection);
    }
}

/* The same for compare operations: all answers to a verify, or nothing. */
static size_t consume_compares(struct xt_load_loop *loop, struct xt_load_connection *connection,
                               struct xt_span input, bool *ended)
{
    const struct xt_load_flight *flight = &connection->flights[connection->first];
    const struct xt_workload_request *request = flight->request;
    char detail[XT_LOAD_DETAIL_MAX];
    uint32_t matched;
    size_t size;
    const char *why;
    enum xt_status status = xt_ldap_read_answers(input, request->asked, &matched, &size, &why);
    if (status == XT_AGAIN) {
        return 0;
    }
    if (status != XT_OK) {
        (void)snprintf(detail, sizeof(detail), "request %u: not LDAP: %s", request->index, why);
        xt_load_fail(loop, connection, XT_LOAD_MALFORMED, detail);
        *ended = true;
        return 0;
    }
    if (matched == request->matched) {
        xt_load_count_right(loop, flight);
    } else {
        (void)snprintf(detail, sizeof(detail),
                       "request %u: another result of a claim than expected", request->index);
        xt_load_count_error(loop, XT_LOAD_VERDICT, 1, detail);
    }
    finish_answer(loop, connection);
    return size;
}

/* One answer, or part of one, at the front of input; gives the bytes consumed, 0 when more must come
 * first. *ended: the connection is no more. */
static size_t consume_one(struct xt_load_loop *loop, struct xt_load_connection *connection,
                          struct xt_span input, bool *ended)
{
    if (connection->skip > 0) {
        size_t part = input.size < connection->skip ? input.size : (size_t)connection->skip;
        connection->skip -= part;
        if (connection->skip == 0) {
            judge(loop, &connection->flights[connection->first], connection->status, NULL,
                  xt_span_of(NULL, 0));
            finish_answer(loop, connection);
        }
        return part;
    }
    if (connection->flying - connection->unsent == 0) {
        xt_load_fail(loop, connection, XT_LOAD_MALFORMED, "bytes that nobody asked for");
        *ended = true;
        return 0;
    }
    if (loop->shared->workload->ldap) {
        return consume_compares(loop, connection, input, ended);
    }
    const struct xt_load_flight *flight = &connection->flights[connection->first];
    struct xt_response_head head;
    enum xt_status status = xt_response_read(input, &head);
    if (status == XT_AGAIN) {
        return 0;
    }
    bool needed = status == XT_OK && flight->request->check && head.status == 200;
    if (needed && head.size + head.body_size > XT_LOAD_INPUT_MAX) {
        status = XT_INVALID;
        head.wrong = "body too long";
    }
    if (status != XT_OK) {
        char detail[XT_LOAD_DETAIL_MAX];
        (void)snprintf(detail, sizeof(detail), "request %u: not HTTP: %s", flight->request->index,
                       head.wrong);
        xt_load_fail(loop, connection, XT_LOAD_MALFORMED, detail);
        *ended = true;
        return 0;
    }
    size_t there = input.size - head.size;
    bool complete = there >= head.body_size;
    if (!complete && needed) {
        return 0;
    }
    connection->closing = head.close;
    connection->status = head.status;
    if (!complete) {
        connection->skip = head.body_size - there;
        return input.size;
    }
    judge(loop, flight, head.status, &head,
          xt_span_of(input.data + head.size, (size_t)head.body_size));
    finish_answer(loop, connection);
    return head.size + (size_t)head.body_size;
}

/* false: the connection is no more. */
static bool consume(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    size_t at = 0;
    bool ended = false;
    while (at < connection->input_size) {
        size_t taken =
            consume_one(loop, connection,
                        xt_span_of(connection->input + at, connection->input_size - at), &ended);
        if (ended) {
            return false;
        }
        if (taken == 0) {
            break;
        }
        at += taken;
        if (connection->skip == 0 && (connection->closing || !keeps_alive(loop))) {
            end_cleanly(loop, connection);
            return false;
        }
    }
    connection->input_size -= at;
    if (at > 0 && connection->input_size > 0) {
        memmove(connection->input, connection->input + at, connection->input_size);
    }
    return true;
}

/* Decrypts and consumes what the TLS layer has; false: the connection is no more. */
static bool drain_tls(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    for (;;) {
        size_t got;
        enum xt_status status =
            xt_tls_read(connection->tls, connection->input + connection->input_size,
                        XT_LOAD_INPUT_MAX - connection->input_size, &got);
        if (status == XT_AGAIN) {
            break;
        }
        if (status == XT_CLOSED) {
            xt_load_fail(loop, connection, XT_LOAD_CLOSED, "close_notify before the answer");
            return false;
        }
        if (status != XT_OK) {
            xt_load_fail(loop, connection,
                         status == XT_DENIED ? XT_LOAD_HANDSHAKE : XT_LOAD_MALFORMED,
                         xt_tls_error(connection->tls));
            return false;
        }
        connection->input_size += got;
        if (!consume(loop, connection)) {
            return false;
        }
        if (connection->flying == 0) {
            break; /* nothing more is owed: no second look that finds nothing */
        }
    }
    if (xt_tls_settle(connection->tls) != XT_OK) {
        xt_load_fail(loop, connection, XT_LOAD_MALFORMED, "more bytes than were asked for");
        return false;
    }
    return true;
}

static void received(struct xt_load_loop *loop, struct xt_load_connection *connection, size_t size)
{
    if (connection->tls == NULL) {
        connection->input_size += size;
        (void)consume(loop, connection);
        return;
    }
    xt_tls_feed(connection->tls, xt_span_of(loop->scratch, size));
    if (connection->state == XT_LOAD_SHAKING) {
        shake_hands(loop, connection);
        if (connection->state == XT_LOAD_SHAKING) {
            if (xt_tls_settle(connection->tls) != XT_OK) {
                xt_load_fail(loop, connection, XT_LOAD_HANDSHAKE, "too many bytes");
            }
            return;
        }
    }
    if (connection->state == XT_LOAD_OPEN) {
        (void)drain_tls(loop, connection);
    }
}

static void readable(struct xt_load_loop *loop, struct xt_load_connection *connection)
{
    bool plain = connection->tls == NULL;
    ssize_t got = plain ? recv(connection->socket, connection->input + connection->input_size,
                               XT_LOAD_INPUT_MAX - connection->input_size, 0)
                        : recv(connection->socket, loop->scratch, sizeof(loop->scratch), 0);
    loop->now = xt_clock_ns();
    if (got > 0) {
        received(loop, connection, (size_t)got);
    } else if (got == 0 || errno != EAGAIN) {
        const char *why = got == 0 ? "end of stream before the answer" : strerror(errno);
        xt_load_fail(loop, connection,
                     connection->state == XT_LOAD_SHAKING ? XT_LOAD_HANDSHAKE : XT_LOAD_CLOSED,
                     why);
    }
}

void xt_load_event(struct xt_load_loop *loop, struct xt_load_connection *connection,
                   uint32_t events)
{
    if (connection->state == XT_LOAD_CONNECTING) {
        int error = 0;
        socklen_t size = sizeof(error);
        (void)getsockopt(connection->socket, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            xt_load_fail(loop, connection, XT_LOAD_CONNECT, strerror(error));
        } else {
            connected(loop, connection);
        }
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        xt_load_flush(loop, connection);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        readable(loop, connection);
    }
}
