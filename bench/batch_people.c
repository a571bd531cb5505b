#include "bench/batch_people.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/verdict.h"

#define TXN_START "{\"txn\":\""

uint64_t xt_batch_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* ---- lines -------------------------------------------------------------------------------------- */

static enum xt_status add_line(const struct xt_request_plan *plan, uint64_t index, size_t *capacity,
                               struct xt_batch_people *people)
{
    struct xt_generated_request made;
    size_t size = people->offsets[index];
    xt_request_make(plan, index, &made);
    if (*capacity - size < made.body_size + 1) {
        size_t larger = *capacity + *capacity / 4 + (16U << 20);
        uint8_t *text = realloc(people->text, larger);
        if (text == NULL) {
            return XT_NO_MEMORY;
        }
        people->text = text;
        *capacity = larger;
    }
    memcpy(people->text + size, made.body, made.body_size);
    people->text[size + made.body_size] = '\n';
    people->offsets[index + 1] = size + made.body_size + 1;
    people->asked[index] = (uint16_t)made.asked;
    people->matched[index] = (uint16_t)made.matched;
    return XT_OK;
}

enum xt_status xt_batch_people_make(uint64_t seed, uint64_t count, uint64_t lines,
                                    struct xt_batch_people *people, struct xt_failure *failure)
{
    struct xt_population *population = NULL;
    struct xt_request_plan plan;
    size_t capacity = 0;
    *people = (struct xt_batch_people){.count = lines,
                                       .offsets = calloc(lines + 1, sizeof(uint64_t)),
                                       .asked = calloc(lines, sizeof(uint16_t)),
                                       .matched = calloc(lines, sizeof(uint16_t))};
    if (people->offsets == NULL || people->asked == NULL || people->matched == NULL ||
        xt_population_open(seed, count, &population) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory; ask for fewer --lines");
    }
    xt_request_plan_defaults(&plan, population);
    enum xt_status status = XT_OK;
    for (uint64_t i = 0; status == XT_OK && i < lines; i++) {
        status = add_line(&plan, i, &capacity, people);
    }
    xt_population_close(population);
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "not enough memory; ask for fewer --lines");
}

void xt_batch_people_free(struct xt_batch_people *people)
{
    free(people->offsets);
    free(people->asked);
    free(people->matched);
    free(people->text);
}

/* {"line":N,"txn":... as the answer to a single request; gives where that begins, 0: it is none. */
static size_t strip_number(uint8_t *answer, size_t size, uint64_t number)
{
    static const char start[] = "{\"line\":";
    uint64_t told = 0;
    size_t at = sizeof(start) - 1;
    if (size < sizeof(start) || memcmp(answer, start, sizeof(start) - 1) != 0) {
        return 0;
    }
    for (; at < size && answer[at] >= '0' && answer[at] <= '9'; at++) {
        told = told * 10 + (answer[at] - '0');
    }
    if (at == size || answer[at] != ',' || told != number) {
        return 0;
    }
    answer[at] = '{';
    return at;
}

enum xt_batch_check xt_batch_people_check(const struct xt_batch_people *people, uint64_t index,
                                          uint64_t number, uint8_t *answer, size_t size,
                                          const char **why)
{
    static const char refusal[] = "{\"status\":";
    struct xt_span line = xt_batch_people_line(people, index);
    size_t at = strip_number(answer, size, number);
    if (at == 0) {
        *why = "another line's number";
        return XT_BATCH_WRONG;
    }
    if (size - at > sizeof(refusal) && memcmp(answer + at, refusal, sizeof(refusal) - 1) == 0) {
        return XT_BATCH_REFUSED;
    }
    const uint8_t *txn = line.data + sizeof(TXN_START) - 1;
    const uint8_t *end = memchr(txn, '"', line.size - sizeof(TXN_START));
    struct xt_expected expected = {.txn = xt_span_of(txn, (size_t)(end - txn)),
                                   .asked = people->asked[index % people->count],
                                   .matched = people->matched[index % people->count]};
    return xt_verdict_check(xt_span_of(answer + at, size - at), &expected, why) == XT_VERDICT_RIGHT
               ? XT_BATCH_RIGHT
               : XT_BATCH_WRONG;
}

/* ---- one at a time ------------------------------------------------------------------------------ */

static bool flush(const struct xt_batch_peer *peer)
{
    for (;;) {
        struct xt_span output = xt_tls_output(peer->tls);
        if (output.size == 0) {
            return true;
        }
        ssize_t sent = send(peer->fd, output.data, output.size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return false;
        }
        xt_tls_output_taken(peer->tls, sent < 0 ? 0 : (size_t)sent);
    }
}

static enum xt_status shake(const struct xt_batch_peer *peer)
{
    uint8_t input[16384];
    for (;;) {
        enum xt_status status = xt_tls_handshake(peer->tls);
        if (!flush(peer) || (status != XT_AGAIN && status != XT_OK)) {
            return XT_IO;
        }
        if (status == XT_OK) {
            return XT_OK;
        }
        ssize_t got = recv(peer->fd, input, sizeof(input), 0);
        if (got <= 0) {
            return XT_IO;
        }
        xt_tls_feed(peer->tls, xt_span_of(input, (size_t)got));
        /* What follows the handshake in the same read is kept for later. */
        status = xt_tls_handshake(peer->tls);
        if (xt_tls_settle(peer->tls) != XT_OK || !flush(peer) ||
            (status != XT_AGAIN && status != XT_OK)) {
            return XT_IO;
        }
    }
}

enum xt_status xt_batch_connect(uint16_t port, struct xt_tls_context *context,
                                struct xt_batch_peer *peer)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    peer->tls = NULL;
    peer->size = 0;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        xt_tls_open(context, "127.0.0.1", &peer->tls) != XT_OK) {
        return XT_IO;
    }
    return shake(peer);
}

void xt_batch_disconnect(struct xt_batch_peer *peer)
{
    xt_tls_close(peer->tls);
    if (peer->fd >= 0) {
        close(peer->fd);
    }
}

/* Whether the answer is whole: its head, and as much as Content-Length says. */
static bool is_whole(struct xt_batch_peer *peer)
{
    peer->answer[peer->size] = '\0';
    const char *end = strstr(peer->answer, "\r\n\r\n");
    const char *length = strstr(peer->answer, "Content-Length: ");
    return end != NULL && length != NULL && length < end &&
           peer->size >= (size_t)(end + 4 - peer->answer) + strtoul(length + 16, NULL, 10);
}

bool xt_batch_ask(struct xt_batch_peer *peer, struct xt_span body)
{
    uint8_t text[XT_REQUEST_BODY_MAX + 512], input[16384];
    size_t taken = 0;
    int head = snprintf((char *)text, sizeof(text),
                        "POST /v1/verify HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                        body.size);
    memcpy(text + head, body.data, body.size);
    peer->size = 0;
    if (xt_tls_write(peer->tls, xt_span_of(text, (size_t)head + body.size), &taken) != XT_OK ||
        !flush(peer)) {
        return false;
    }
    while (!is_whole(peer)) {
        ssize_t got = recv(peer->fd, input, sizeof(input), 0);
        if (got <= 0) {
            return false;
        }
        xt_tls_feed(peer->tls, xt_span_of(input, (size_t)got));
        enum xt_status status;
        do {
            size_t part = 0;
            status = xt_tls_read(peer->tls, (uint8_t *)peer->answer + peer->size,
                                 sizeof(peer->answer) - 1 - peer->size, &part);
            peer->size += part;
        } while (status == XT_OK && peer->size < sizeof(peer->answer) - 1);
        if (status != XT_AGAIN || xt_tls_settle(peer->tls) != XT_OK) {
            return false;
        }
    }
    return strncmp(peer->answer, "HTTP/1.1 200", 12) == 0;
}
