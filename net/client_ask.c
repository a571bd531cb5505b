/* One request and its answer; where servers are. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/keyring.h"
#include "net/client.h"

#define ANSWER_MAX (1U << 20) /* bytes; an answer of ours has some hundreds */

/* ---- where ------------------------------------------------------------------------------------- */

/* Copies a name of `size` bytes; false: none, too long, or with what no name has. */
static bool take_host(struct xt_client_server *server, const char *text, size_t size)
{
    if (size == 0 || size >= sizeof(server->host)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || c == ':';
        if (!fine) {
            return false;
        }
    }
    memcpy(server->host, text, size);
    server->host[size] = 0;
    return true;
}

static bool take_port(struct xt_client_server *server, const char *text)
{
    size_t size = strspn(text, "0123456789");
    if (size == 0 || size >= sizeof(server->port) ||
        (text[size] != 0 && strcmp(text + size, "/") != 0)) {
        return false;
    }
    memcpy(server->port, text, size);
    server->port[size] = 0;
    long port = strtol(server->port, NULL, 10);
    return port >= 1 && port <= 65535;
}

enum xt_status xt_client_server_parse(const char *url, struct xt_client_server *server)
{
    static const char scheme[] = "https://";
    *server = (struct xt_client_server){.addresses = 0};
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0) {
        return XT_INVALID;
    }
    const char *host = url + sizeof(scheme) - 1;
    bool bracketed = *host == '[';
    host += bracketed;
    size_t size = strcspn(host, bracketed ? "]" : ":/");
    const char *rest = host + size;
    if (!take_host(server, host, size) || (bracketed && *rest++ != ']') ||
        (!bracketed && memchr(host, ':', size) != NULL)) {
        return XT_INVALID;
    }
    bool fine = *rest == ':' ? take_port(server, rest + 1)
                             : take_port(server, "443") && (*rest == 0 || strcmp(rest, "/") == 0);
    (void)snprintf(server->authority, sizeof(server->authority), bracketed ? "[%s]:%s" : "%s:%s",
                   server->host, server->port);
    return fine ? XT_OK : XT_INVALID;
}

enum xt_status xt_client_server_resolve(struct xt_client_server *server, struct xt_failure *failure)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(server->host, server->port, &hints, &list);
    if (error != 0) {
        return xt_fail(failure, XT_NOT_FOUND, "cannot find %s: %s", server->host,
                       gai_strerror(error));
    }
    server->addresses = 0;
    for (const struct addrinfo *at = list; at != NULL && server->addresses < XT_CLIENT_ADDRESSES;
         at = at->ai_next) {
        if (at->ai_addrlen <= sizeof(server->address[0])) {
            memcpy(&server->address[server->addresses], at->ai_addr, at->ai_addrlen);
            server->address_size[server->addresses++] = at->ai_addrlen;
        }
    }
    freeaddrinfo(list);
    return XT_OK;
}

/* ---- one request -------------------------------------------------------------------------------- */

struct asking {
    struct xt_client_answer *answer;
    bool ended;
};

static bool take_head(void *context, unsigned status, unsigned retry_after_s)
{
    struct asking *asking = context;
    asking->answer->status = status;
    asking->answer->retry_after_s = retry_after_s;
    return true;
}

static bool take_body(void *context, struct xt_span piece)
{
    struct xt_client_answer *answer = ((struct asking *)context)->answer;
    if (piece.size > answer->capacity - answer->size) {
        return false;
    }
    memcpy(answer->body + answer->size, piece.data, piece.size);
    answer->size += piece.size;
    return true;
}

static bool take_end(void *context)
{
    ((struct asking *)context)->ended = true;
    return true;
}

static enum xt_status wait_for(struct xt_client *client, const struct asking *asking,
                               unsigned timeout_ms)
{
    enum xt_status status = XT_OK;
    while (status == XT_OK && !asking->ended) {
        struct pollfd one = {.fd = xt_client_socket(client), .events = xt_client_events(client)};
        int ready = poll(&one, 1, (int)timeout_ms);
        if (ready < 0 && errno != EINTR) {
            return XT_IO;
        }
        if (ready == 0) {
            return XT_BUSY;
        }
        status = xt_client_run(client, ready > 0 ? one.revents : 0);
    }
    return asking->ended ? XT_OK : status;
}

enum xt_status xt_client_ask(const struct xt_client_server *server, struct xt_tls_context *context,
                             const char *path, struct xt_span body, unsigned timeout_ms,
                             struct xt_client_answer *answer, struct xt_failure *failure)
{
    char head[512];
    struct xt_client *client = NULL;
    struct asking asking = {.answer = answer};
    const struct xt_client_taker taker = {&asking, take_head, take_body, take_end};
    *answer = (struct xt_client_answer){.capacity = ANSWER_MAX};
    answer->body = calloc(1, ANSWER_MAX + 1);
    if (answer->body == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    enum xt_status status = xt_client_open(server, context, &taker, &client);
    if (status != XT_OK) {
        return xt_fail(failure, status, "no connection to %s", server->authority);
    }
    int size = snprintf(head, sizeof(head),
                        "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                        path, server->authority, body.size);
    xt_client_send(client, xt_span_of(head, (size_t)size));
    xt_client_send(client, body);
    status = wait_for(client, &asking, timeout_ms);
    if (status == XT_BUSY) {
        (void)xt_fail(failure, status, "%s does not answer", server->authority);
    } else if (status != XT_OK) {
        (void)xt_fail(failure, status, "no answer of %s: %s", server->authority,
                      xt_client_why(client));
    }
    xt_client_close(client);
    return status;
}

void xt_client_answer_release(struct xt_client_answer *answer)
{
    if (answer->body != NULL) {
        xt_wipe(answer->body, answer->capacity);
        free(answer->body);
    }
    *answer = (struct xt_client_answer){.size = 0};
}
