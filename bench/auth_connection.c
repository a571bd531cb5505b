#include "bench/auth_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/response.h"
#include "core/jose.h"

/* Sends what is pending; false: the connection is gone. */
bool xt_auth_flush(struct xt_auth_connection *connection)
{
    for (;;) {
        struct xt_span output = xt_tls_output(connection->tls);
        if (output.size == 0) {
            return true;
        }
        ssize_t sent = send(connection->fd, output.data, output.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        xt_tls_output_taken(connection->tls, (size_t)sent);
    }
}

static enum xt_status shake(struct xt_auth_connection *connection)
{
    for (;;) {
        enum xt_status status = xt_tls_handshake(connection->tls);
        if (!xt_auth_flush(connection) || (status != XT_AGAIN && status != XT_OK)) {
            return XT_IO;
        }
        if (status == XT_OK) {
            return XT_OK;
        }
        ssize_t got = recv(connection->fd, connection->sealed, sizeof(connection->sealed), 0);
        if (got <= 0) {
            return XT_IO;
        }
        xt_tls_feed(connection->tls, xt_span_of(connection->sealed, (size_t)got));
    }
}

enum xt_status xt_auth_connect(const struct xt_auth_options *options,
                               struct xt_tls_context *context,
                               struct xt_auth_connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connection->fd >= 0 &&
                   connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                   xt_tls_open(context, "127.0.0.1", &connection->tls) == XT_OK &&
                   shake(connection) == XT_OK
               ? XT_OK
               : XT_IO;
}

void xt_auth_disconnect(struct xt_auth_connection *connection)
{
    xt_tls_close(connection->tls);
    if (connection->fd > 0) {
        close(connection->fd);
    }
}

static bool post(struct xt_auth_connection *connection, const char *target, const char *body)
{
    char text[XT_AUTH_BODY_MAX + 256];
    size_t taken = 0;
    int size = snprintf(text, sizeof(text),
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        target, strlen(body), body);
    return xt_tls_write(connection->tls, xt_span_of(text, (size_t)size), &taken) == XT_OK &&
           xt_auth_flush(connection);
}

bool xt_auth_ask(struct xt_auth_connection *connection, unsigned person, enum xt_auth_factor factor)
{
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX];
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"factor\":\"%s\",\"audience\":\"bench\"}",
                   id, factor == XT_AUTH_CARD_CHIP ? "card_chip" : "device_key");
    return post(connection, "/v1/challenges", body);
}

bool xt_auth_try_passcode(struct xt_auth_connection *connection, unsigned person)
{
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX];
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"passcode\","
                   "\"value\":\"not his\"}]}",
                   id);
    return post(connection, "/v1/authenticate", body);
}

bool xt_auth_try_key(struct xt_auth_connection *connection, unsigned person,
                     enum xt_auth_factor factor, const struct xt_holder_signer *signer,
                     struct xt_span answer)
{
    static const char name[] = "\"challenge\":\"";
    uint8_t signature[XT_HOLDER_SIGNATURE];
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX], text[96];
    const uint8_t *at = memmem(answer.data, answer.size, name, sizeof(name) - 1);
    if (at == NULL || at + sizeof(name) - 1 + XT_CHALLENGE_CHARACTERS > answer.data + answer.size) {
        return false;
    }
    struct xt_span challenge = xt_span_of(at + sizeof(name) - 1, XT_CHALLENGE_CHARACTERS);
    if (xt_holder_sign(signer, challenge, signature) != XT_OK) {
        return false;
    }
    struct xt_writer writer = xt_writer_over((uint8_t *)text, sizeof(text) - 1);
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    text[writer.size] = '\0';
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"%s\","
                   "\"challenge\":\"%.*s\",\"signature\":\"%s\"}]}",
                   id,
                   factor == XT_AUTH_CARD_CHIP ? "card_chip"
                                               : "device_key\",\"device_id\":\"" XT_AUTH_DEVICE,
                   XT_CHALLENGE_CHARACTERS, (const char *)challenge.data, text);
    return post(connection, "/v1/authenticate", body);
}

enum xt_status xt_auth_receive(struct xt_auth_connection *connection)
{
    ssize_t size =
        recv(connection->fd, connection->sealed, sizeof(connection->sealed), MSG_DONTWAIT);
    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR) ? XT_AGAIN : XT_CLOSED;
    }
    xt_tls_feed(connection->tls, xt_span_of(connection->sealed, (size_t)size));
    return XT_OK;
}

enum xt_status xt_auth_wait(struct xt_auth_connection *connection, int wait_ms)
{
    struct pollfd look = {.fd = connection->fd, .events = POLLIN};
    if (!xt_auth_flush(connection) || poll(&look, 1, wait_ms) != 1) {
        return XT_CLOSED;
    }
    enum xt_status status = xt_auth_receive(connection);
    return status == XT_AGAIN ? XT_OK : status;
}

enum xt_status xt_auth_next_answer(struct xt_auth_connection *connection, unsigned *status,
                                   struct xt_span *body)
{
    for (;;) {
        size_t got = 0;
        struct xt_response_head head;
        enum xt_status read =
            xt_tls_read(connection->tls, connection->input + connection->input_size,
                        sizeof(connection->input) - connection->input_size, &got);
        if (read == XT_AGAIN) {
            return xt_tls_settle(connection->tls) == XT_OK ? XT_AGAIN : XT_IO;
        }
        if (read != XT_OK) {
            return read;
        }
        connection->input_size += got;
        read = xt_response_read(xt_span_of(connection->input, connection->input_size), &head);
        if (read == XT_AGAIN ||
            (read == XT_OK && connection->input_size < head.size + head.body_size)) {
            continue;
        }
        if (read != XT_OK || head.close) {
            return XT_CLOSED;
        }
        connection->input_size = 0; /* one request at a time: nothing follows */
        *status = head.status;
        *body = xt_span_of(connection->input + head.size, (size_t)head.body_size);
        return XT_OK;
    }
}
