#include "tests/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_MS 10000
#define RESPONSE_MAX (64U << 20) /* a test that asks for more is wrong */

struct test_client {
    int fd;
    struct xt_tls_context *context; /* ours, or NULL */
    struct xt_tls *tls;             /* NULL: plain */
    int timeout_ms;
    char error[TEST_ERROR_MAX];
    uint8_t in[16384]; /* fed to TLS */
    uint8_t *pending;  /* received, not yet used by a response */
    size_t pending_size, pending_capacity;
};

static bool fail(struct test_client *client, const char *word)
{
    snprintf(client->error, sizeof(client->error), "%s", word);
    return false;
}

static bool wait_for(struct test_client *client, short events)
{
    struct pollfd entry = {.fd = client->fd, .events = events};
    int ready;
    do {
        ready = poll(&entry, 1, client->timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 || fail(client, "timeout");
}

bool test_client_send_raw(struct test_client *client, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(client->fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(client, POLLOUT)) {
                return false;
            }
            continue;
        }
        if (sent < 0) {
            return fail(client, "closed");
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool flush(struct test_client *client)
{
    struct xt_span output = xt_tls_output(client->tls);
    if (output.size == 0) {
        return true;
    }
    bool sent = test_client_send_raw(client, output.data, output.size);
    xt_tls_output_taken(client->tls, output.size);
    return sent;
}

/* Bytes from the socket: > 0, 0 at the end, -1 on an error. */
static long receive_raw(struct test_client *client, void *data, size_t size)
{
    for (;;) {
        if (!wait_for(client, POLLIN)) {
            return -1;
        }
        ssize_t got = recv(client->fd, data, size, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (got < 0) {
            fail(client, "reset");
            return -1;
        }
        return (long)got;
    }
}

static bool handshake(struct test_client *client)
{
    for (;;) {
        enum xt_status status = xt_tls_handshake(client->tls);
        if (!flush(client)) {
            return false;
        }
        if (status == XT_OK) {
            return true;
        }
        if (status != XT_AGAIN) {
            return fail(client, xt_tls_error(client->tls));
        }
        long got = receive_raw(client, client->in, sizeof(client->in));
        if (got <= 0) {
            return got < 0 ? false : fail(client, "closed");
        }
        xt_tls_feed(client->tls, xt_span_of(client->in, (size_t)got));
    }
}

static bool connect_socket(struct test_client *client, const char *address, unsigned port)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || inet_pton(AF_INET, address, &where.sin_addr) != 1 ||
        connect(client->fd, (const struct sockaddr *)&where, sizeof(where)) != 0) {
        return fail(client, "connect");
    }
    return true;
}

static bool start_tls(struct test_client *client, const struct test_client_options *options,
                      const char *name)
{
    struct xt_tls_context *context = options->context;
    if (context == NULL) {
        struct xt_tls_client_files files = {.certificate = options->certificate,
                                            .key = options->key,
                                            .server_authority = options->authority};
        struct xt_failure failure;
        if (xt_tls_client(&files, &client->context, &failure) != XT_OK) {
            return fail(client, failure.text);
        }
        context = client->context;
    }
    if (xt_tls_open(context, name, &client->tls) != XT_OK) {
        return fail(client, "no_memory");
    }
    return handshake(client);
}

struct test_client *test_client_open(const struct test_client_options *options,
                                     char error[TEST_ERROR_MAX])
{
    struct test_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    const char *address = options->address != NULL ? options->address : "127.0.0.1";
    const char *name = options->server_name != NULL ? options->server_name : address;
    client->timeout_ms = options->timeout_ms > 0 ? (int)options->timeout_ms : TIMEOUT_DEFAULT_MS;
    if (connect_socket(client, address, options->port) &&
        (options->plain || start_tls(client, options, name))) {
        return client;
    }
    if (error != NULL) {
        memcpy(error, client->error, TEST_ERROR_MAX);
    }
    test_client_close(client);
    return NULL;
}

void test_client_close(struct test_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->tls != NULL) {
        xt_tls_shutdown(client->tls);
        (void)flush(client);
        xt_tls_close(client->tls);
    }
    xt_tls_context_close(client->context);
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client->pending);
    free(client);
}

bool test_client_send(struct test_client *client, const void *data, size_t size)
{
    if (client->tls == NULL) {
        return test_client_send_raw(client, data, size);
    }
    struct xt_span rest = xt_span_of(data, size);
    while (rest.size > 0) {
        size_t taken;
        enum xt_status status = xt_tls_write(client->tls, rest, &taken);
        if ((status != XT_OK && status != XT_AGAIN) || !flush(client)) {
            return client->error[0] != 0 ? false : fail(client, xt_tls_error(client->tls));
        }
        rest.data += taken;
        rest.size -= taken;
    }
    return true;
}

bool test_client_send_text(struct test_client *client, const char *text)
{
    return test_client_send(client, text, strlen(text));
}

void test_client_finish(struct test_client *client)
{
    (void)shutdown(client->fd, SHUT_WR);
}

/* From the peer, past `pending`. */
static long receive_more(struct test_client *client, void *data, size_t size)
{
    if (client->tls == NULL) {
        return receive_raw(client, data, size);
    }
    for (;;) {
        size_t got;
        enum xt_status status = xt_tls_read(client->tls, data, size, &got);
        if (xt_tls_settle(client->tls) != XT_OK || !flush(client)) {
            return -1;
        }
        if (status == XT_OK) {
            return (long)got;
        }
        if (status == XT_CLOSED) {
            return 0;
        }
        if (status != XT_AGAIN) {
            fail(client, xt_tls_error(client->tls));
            return -1;
        }
        long more = receive_raw(client, client->in, sizeof(client->in));
        if (more == 0) {
            fail(client, "truncated"); /* no close_notify */
        }
        if (more <= 0) {
            return more;
        }
        xt_tls_feed(client->tls, xt_span_of(client->in, (size_t)more));
    }
}

static void drop_pending(struct test_client *client, size_t size)
{
    client->pending_size -= size;
    memmove(client->pending, client->pending + size, client->pending_size);
}

long test_client_receive(struct test_client *client, void *data, size_t size)
{
    if (client->pending_size > 0) {
        size_t taken = size < client->pending_size ? size : client->pending_size;
        memcpy(data, client->pending, taken);
        drop_pending(client, taken);
        return (long)taken;
    }
    return receive_more(client, data, size);
}

bool test_client_wait_closed(struct test_client *client)
{
    uint8_t sink[4096];
    long got;
    client->error[0] = 0;
    do {
        got = test_client_receive(client, sink, sizeof(sink));
    } while (got > 0);
    return strcmp(client->error, "timeout") != 0;
}

const char *test_client_error(const struct test_client *client)
{
    return client->error;
}

const struct xt_tls *test_client_tls(const struct test_client *client)
{
    return client->tls;
}

int test_client_socket(const struct test_client *client)
{
    return client->fd;
}

/* Reads more into pending: > 0, 0 at the end, -1 on an error. */
static long extend(struct test_client *client)
{
    if (client->pending_capacity - client->pending_size < sizeof(client->in)) {
        size_t capacity = client->pending_capacity * 2 + 2 * sizeof(client->in);
        uint8_t *grown = capacity > RESPONSE_MAX ? NULL : realloc(client->pending, capacity);
        if (grown == NULL) {
            fail(client, "response too large");
            return -1;
        }
        client->pending = grown;
        client->pending_capacity = capacity;
    }
    long got = receive_more(client, client->pending + client->pending_size,
                            client->pending_capacity - client->pending_size);
    if (got > 0) {
        client->pending_size += (size_t)got;
    }
    return got;
}

/* Waits until text stands in pending at or after from; its place, or -1. */
static long find(struct test_client *client, const char *text, size_t from)
{
    for (;;) {
        const uint8_t *hit =
            client->pending_size <= from
                ? NULL
                : memmem(client->pending + from, client->pending_size - from, text, strlen(text));
        if (hit != NULL) {
            return (long)(hit - client->pending);
        }
        long got = extend(client);
        if (got <= 0) {
            if (got == 0) {
                fail(client, "closed");
            }
            return -1;
        }
    }
}

static bool have(struct test_client *client, size_t size)
{
    while (client->pending_size < size) {
        long got = extend(client);
        if (got <= 0) {
            return got < 0 ? false : fail(client, "closed");
        }
    }
    return true;
}

static bool take_body(struct test_client *client, size_t size, struct test_response *response)
{
    char *grown = realloc(response->body, response->body_size + size + 1);
    if (grown == NULL) {
        return fail(client, "no_memory");
    }
    response->body = grown;
    if (size > 0) {
        memcpy(grown + response->body_size, client->pending, size);
        drop_pending(client, size);
    }
    response->body_size += size;
    grown[response->body_size] = 0;
    return true;
}

static bool read_chunks(struct test_client *client, struct test_response *response)
{
    for (;;) {
        long end = find(client, "\r\n", 0);
        if (end < 0) {
            return false;
        }
        char *rest;
        client->pending[end] = 0;
        unsigned long size = strtoul((const char *)client->pending, &rest, 16);
        if (end == 0 || rest != (const char *)client->pending + end || size > RESPONSE_MAX) {
            return fail(client, "bad chunk");
        }
        drop_pending(client, (size_t)end + 2);
        if (!have(client, size + 2) || !take_body(client, size, response)) {
            return false;
        }
        if (memcmp(client->pending, "\r\n", 2) != 0) {
            return fail(client, "bad chunk");
        }
        drop_pending(client, 2); /* no trailers: we send none */
        if (size == 0) {
            return true;
        }
    }
}

const char *test_response_field(const struct test_response *response, const char *name, char *value,
                                size_t size)
{
    size_t name_size = strlen(name);
    for (const char *line = strstr(response->head, "\r\n"); line != NULL && line[2] != 0;
         line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_size) != 0 || line[name_size] != ':') {
            continue;
        }
        line += name_size + 1;
        line += strspn(line, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(line, "\r\n"), line);
        return value;
    }
    return NULL;
}

static bool read_body(struct test_client *client, bool head, struct test_response *response)
{
    char value[64];
    if (!take_body(client, 0, response)) {
        return false;
    }
    if (head || response->status == 204 || response->status == 304) {
        return true;
    }
    if (test_response_field(response, "Transfer-Encoding", value, sizeof(value)) != NULL) {
        response->chunked = strcasecmp(value, "chunked") == 0;
        return response->chunked ? read_chunks(client, response) : fail(client, "bad encoding");
    }
    if (test_response_field(response, "Content-Length", value, sizeof(value)) != NULL) {
        unsigned long size = strtoul(value, NULL, 10);
        return have(client, size) && take_body(client, size, response);
    }
    long got;
    while ((got = extend(client)) > 0) {
    }
    return got == 0 && take_body(client, client->pending_size, response);
}

bool test_client_response(struct test_client *client, bool head, struct test_response *response)
{
    *response = (struct test_response){.status = 0};
    client->error[0] = 0;
    do {
        free(response->head);
        response->head = NULL;
        long end = find(client, "\r\n\r\n", 0);
        if (end < 0) {
            return false;
        }
        size_t size = (size_t)end + 4;
        response->head = strndup((const char *)client->pending, size);
        drop_pending(client, size);
        if (response->head == NULL || strncmp(response->head, "HTTP/1.", 7) != 0) {
            test_response_release(response);
            return fail(client, "not http");
        }
        response->status = (int)strtol(response->head + 9, NULL, 10);
    } while (response->status == 100);
    if (!read_body(client, head, response)) {
        test_response_release(response);
        return false;
    }
    return true;
}

void test_response_release(struct test_response *response)
{
    free(response->head);
    free(response->body);
    *response = (struct test_response){.status = 0};
}

bool test_client_request(struct test_client *client, const char *method, const char *target,
                         const char *fields, const char *body, struct test_response *response)
{
    *response = (struct test_response){.status = 0};
    char length[64] = "";
    if (body != NULL) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }
    char *request;
    int size = asprintf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s", method, target,
                        fields != NULL ? fields : "", length, body != NULL ? body : "");
    if (size < 0) {
        return fail(client, "no_memory");
    }
    bool sent = test_client_send(client, request, (size_t)size);
    free(request);
    return sent && test_client_response(client, strcmp(method, "HEAD") == 0, response);
}
