#include "net/client.h"

#include <errno.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crypto/keyring.h"

#define INPUT_BYTES 16384U /* what TLS takes at once */
#define ROUNDS 16          /* reads of one call: others have their turn too */

struct xt_client {
    const struct xt_client_server *server;
    struct xt_tls_context *context;
    struct xt_client_taker taker;
    unsigned tried; /* addresses */
    int fd;
    bool connected, shaken;
    struct xt_tls *tls;
    const char *why;
    uint64_t moved_ms;
    llhttp_t parser;
    llhttp_settings_t callbacks;
    bool in_answer;
    char field[16]; /* the beginning of the field's name that is being read, in small letters */
    size_t field_size;
    bool is_retry_after, field_ended;
    unsigned retry_after_s;
    size_t begin, end; /* of out: what waits */
    uint8_t out[XT_CLIENT_ROOM];
    uint8_t input[INPUT_BYTES];
    uint8_t plain[INPUT_BYTES];
};

uint64_t xt_client_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- HTTP --------------------------------------------------------------------------------------- */

static struct xt_client *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_begin(llhttp_t *parser)
{
    struct xt_client *client = of(parser);
    client->in_answer = true;
    client->retry_after_s = 0;
    client->field_size = 0;
    client->field_ended = true;
    return 0;
}

static int on_field(llhttp_t *parser, const char *text, size_t size)
{
    struct xt_client *client = of(parser);
    if (client->field_ended) {
        client->field_ended = false;
        client->field_size = 0;
    }
    for (size_t i = 0; i < size; i++, client->field_size++) {
        if (client->field_size < sizeof(client->field)) {
            char letter = text[i];
            client->field[client->field_size] =
                (char)(letter >= 'A' && letter <= 'Z' ? letter | 0x20 : letter);
        }
    }
    return 0;
}

/* Retry-After in seconds; dates, which our servers do not send, count as none. */
static int on_value(llhttp_t *parser, const char *text, size_t size)
{
    struct xt_client *client = of(parser);
    static const char name[] = "retry-after";
    client->field_ended = true;
    if (client->field_size != sizeof(name) - 1 ||
        memcmp(client->field, name, sizeof(name) - 1) != 0) {
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || client->retry_after_s > 1000000) {
            client->retry_after_s = 0;
            return 0;
        }
        client->retry_after_s = client->retry_after_s * 10 + (unsigned)(text[i] - '0');
    }
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct xt_client *client = of(parser);
    if (parser->status_code < 200) {
        return 0; /* 100 Continue and the like say nothing to us */
    }
    return client->taker.take_head(client->taker.context, parser->status_code,
                                   client->retry_after_s)
               ? 0
               : -1;
}

static int on_body(llhttp_t *parser, const char *text, size_t size)
{
    struct xt_client *client = of(parser);
    return client->taker.take_body(client->taker.context, xt_span_of(text, size)) ? 0 : -1;
}

static int on_end(llhttp_t *parser)
{
    struct xt_client *client = of(parser);
    client->in_answer = false;
    if (parser->status_code < 200) {
        return 0;
    }
    return client->taker.take_end(client->taker.context) ? 0 : -1;
}

/* ---- connecting --------------------------------------------------------------------------------- */

static enum xt_status failed(struct xt_client *client, enum xt_status status, const char *why)
{
    client->why = why;
    return status;
}

/* Begins with the next address that lets itself be begun with. */
static enum xt_status connect_next(struct xt_client *client)
{
    while (client->tried < client->server->addresses) {
        unsigned at = client->tried++;
        const struct sockaddr *address = (const struct sockaddr *)&client->server->address[at];
        int on = 1;
        if (client->fd >= 0) {
            close(client->fd);
        }
        client->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (client->fd < 0) {
            continue;
        }
        (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (connect(client->fd, address, client->server->address_size[at]) == 0 ||
            errno == EINPROGRESS) {
            return XT_OK;
        }
    }
    return failed(client, XT_IO, "no connection");
}

static enum xt_status begin_tls(struct xt_client *client)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
        return connect_next(client);
    }
    client->connected = true;
    if (xt_tls_open(client->context, client->server->host, &client->tls) != XT_OK) {
        return failed(client, XT_NO_MEMORY, "out of memory");
    }
    return XT_OK;
}

enum xt_status xt_client_open(const struct xt_client_server *server, struct xt_tls_context *context,
                              const struct xt_client_taker *taker, struct xt_client **opened)
{
    struct xt_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return XT_NO_MEMORY;
    }
    client->server = server;
    client->context = context;
    client->taker = *taker;
    client->fd = -1;
    client->why = "";
    client->moved_ms = xt_client_now_ms();
    llhttp_settings_init(&client->callbacks);
    client->callbacks.on_message_begin = on_begin;
    client->callbacks.on_header_field = on_field;
    client->callbacks.on_header_value = on_value;
    client->callbacks.on_headers_complete = on_head;
    client->callbacks.on_body = on_body;
    client->callbacks.on_message_complete = on_end;
    llhttp_init(&client->parser, HTTP_RESPONSE, &client->callbacks);
    client->parser.data = client;
    enum xt_status status = connect_next(client);
    if (status != XT_OK) {
        xt_client_close(client);
        return status;
    }
    *opened = client;
    return XT_OK;
}

void xt_client_close(struct xt_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->tls != NULL && client->shaken) {
        xt_tls_shutdown(client->tls);
        struct xt_span last = xt_tls_output(client->tls);
        (void)send(client->fd, last.data, last.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    xt_tls_close(client->tls);
    if (client->fd >= 0) {
        close(client->fd);
    }
    xt_wipe(client, sizeof(*client));
    free(client);
}

int xt_client_socket(const struct xt_client *client)
{
    return client->fd;
}

short xt_client_events(const struct xt_client *client)
{
    bool out = !client->connected || xt_tls_output(client->tls).size > 0 ||
               (client->shaken && client->end > client->begin);
    return (short)(POLLIN | (out ? POLLOUT : 0));
}

const char *xt_client_why(const struct xt_client *client)
{
    return client->why;
}

uint64_t xt_client_moved_ms(const struct xt_client *client)
{
    return client->moved_ms;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

size_t xt_client_room(const struct xt_client *client)
{
    return sizeof(client->out) - (client->end - client->begin);
}

void xt_client_send(struct xt_client *client, struct xt_span bytes)
{
    xt_require(bytes.size <= xt_client_room(client));
    if (bytes.size > sizeof(client->out) - client->end) {
        memmove(client->out, client->out + client->begin, client->end - client->begin);
        client->end -= client->begin;
        client->begin = 0;
    }
    if (bytes.size > 0) {
        memcpy(client->out + client->end, bytes.data, bytes.size);
        client->end += bytes.size;
    }
}

/* Everything that the socket takes now. */
static enum xt_status put_out(struct xt_client *client)
{
    for (;;) {
        struct xt_span output = xt_tls_output(client->tls);
        if (output.size == 0 && client->shaken && client->end > client->begin) {
            size_t taken = 0;
            struct xt_span waiting =
                xt_span_of(client->out + client->begin, client->end - client->begin);
            enum xt_status status = xt_tls_write(client->tls, waiting, &taken);
            if (status != XT_OK && status != XT_AGAIN) {
                return failed(client, status, xt_tls_error(client->tls));
            }
            client->begin += taken;
            if (client->begin == client->end) {
                client->begin = client->end = 0;
            }
            output = xt_tls_output(client->tls);
        }
        if (output.size == 0) {
            return XT_OK;
        }
        ssize_t sent = send(client->fd, output.data, output.size, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR
                       ? XT_OK
                       : failed(client, XT_IO, "the connection broke");
        }
        client->moved_ms = xt_client_now_ms();
        xt_tls_output_taken(client->tls, (size_t)sent);
    }
}

static enum xt_status parse(struct xt_client *client, size_t size)
{
    enum llhttp_errno error = llhttp_execute(&client->parser, (const char *)client->plain, size);
    if (error == HPE_OK) {
        return XT_OK;
    }
    return failed(client, XT_INVALID,
                  error == HPE_CLOSED_CONNECTION ? "bytes after the last answer"
                                                 : "an answer that is none");
}

static enum xt_status take_plain(struct xt_client *client)
{
    for (;;) {
        size_t got = 0;
        enum xt_status status =
            xt_tls_read(client->tls, client->plain, sizeof(client->plain), &got);
        if (status == XT_AGAIN) {
            return xt_tls_settle(client->tls);
        }
        if (status == XT_CLOSED) {
            return client->in_answer ? failed(client, XT_IO, "the connection broke")
                                     : failed(client, XT_CLOSED, "the server ended it");
        }
        if (status == XT_OK) {
            status = parse(client, got);
        } else {
            client->why = xt_tls_error(client->tls);
        }
        if (status != XT_OK) {
            return status;
        }
    }
}

static enum xt_status shake(struct xt_client *client)
{
    enum xt_status status = xt_tls_handshake(client->tls);
    if (status == XT_AGAIN) {
        return xt_tls_settle(client->tls);
    }
    if (status != XT_OK) {
        const char *why = xt_tls_error(client->tls);
        (void)put_out(client); /* the alert */
        return failed(client, status, why);
    }
    client->shaken = true;
    return take_plain(client);
}

static enum xt_status take_in(struct xt_client *client)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        ssize_t got = recv(client->fd, client->input, sizeof(client->input), 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return XT_OK;
        }
        if (got <= 0) {
            return failed(client,
                          client->in_answer || got < 0 || !client->shaken ? XT_IO : XT_CLOSED,
                          "the connection broke");
        }
        client->moved_ms = xt_client_now_ms();
        xt_tls_feed(client->tls, xt_span_of(client->input, (size_t)got));
        enum xt_status status = client->shaken ? take_plain(client) : shake(client);
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

enum xt_status xt_client_run(struct xt_client *client, short revents)
{
    enum xt_status status = XT_OK;
    if (!client->connected) {
        if ((revents & (POLLOUT | POLLERR | POLLHUP)) == 0) {
            return XT_OK;
        }
        status = begin_tls(client);
        if (status != XT_OK || !client->connected) {
            return status;
        }
        status = shake(client);
    } else if ((revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
        status = take_in(client);
    }
    if (status == XT_OK) {
        status = put_out(client);
        /* A server that refuses us closes while our request is on its way; its alert is still there. */
        enum xt_status told = status == XT_IO && client->shaken ? take_in(client) : XT_OK;
        status = told != XT_OK ? told : status;
    }
    return status;
}
