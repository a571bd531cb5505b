/* The same requests over mutual TLS, one after the other on one connection, to the real server. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock.h"
#include "bench/load_run.h"
#include "bench/process.h"
#include "bench/timing.h"
#include "bench/wire.h"
#include "core/token.h"
#include "store/progress.h"

#define COMMAND_LIMIT_MS 60000U
#define START_LIMIT_MS 60000U
#define STOP_LIMIT_MS 35000U
#define ANSWER_LIMIT_S 10
#define CONNECTION_REQUESTS 90000U /* then a new one: the server ends one after 100,000 */
#define REQUEST_ROOM (XT_TIMING_BODY_MAX + 256U)
#define PROGRESS_STEP 256U
#define PARTNER XT_TIMING_PARTNER

struct paths {
    char xacthuc[XT_MICRO_PATH_MAX];
    char issued[XT_MICRO_PATH_MAX];
    char certificate[XT_MICRO_PATH_MAX], key[XT_MICRO_PATH_MAX], authority[XT_MICRO_PATH_MAX];
    char log[XT_MICRO_PATH_MAX];
};

struct client {
    unsigned port;
    struct xt_tls_context *context;
    struct xt_wire wire;
    uint32_t asked;                  /* on this connection */
    size_t sizes[XT_TIMING_CLASSES]; /* of answers' bodies; 0: none yet */
};

/* ---- the server ---- */

static enum xt_status find_paths(const struct xt_timing_options *options,
                                 const struct xt_micro_deployment *deployment, struct paths *paths,
                                 struct xt_failure *failure)
{
    const char *folder = deployment->folder;
    (void)snprintf(paths->issued, sizeof(paths->issued), "%.400s/issued", folder);
    (void)snprintf(paths->certificate, XT_MICRO_PATH_MAX, "%.400s/issued/" PARTNER ".crt", folder);
    (void)snprintf(paths->key, XT_MICRO_PATH_MAX, "%.400s/issued/" PARTNER ".key", folder);
    (void)snprintf(paths->authority, XT_MICRO_PATH_MAX, "%.400s/issued/ca.crt", folder);
    (void)snprintf(paths->log, sizeof(paths->log), "%.400s/log", folder);
    if (options->deploy.program != NULL) {
        (void)snprintf(paths->xacthuc, sizeof(paths->xacthuc), "%.500s", options->deploy.program);
        return XT_OK;
    }
    return xt_micro_beside_us("xacthuc", paths->xacthuc, failure);
}

/* Told of no existence, but of all else. */
static enum xt_status add_partner(const struct paths *paths, const char *dir,
                                  struct xt_failure *failure)
{
    char claims[512] = "";
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        size_t used = strlen(claims);
        (void)snprintf(claims + used, sizeof(claims) - used, "%s%s", used == 0 ? "" : ",",
                       xt_claim_name((enum xt_claim)claim));
    }
    const char *const words[] = {paths->xacthuc,
                                 "partner",
                                 "add",
                                 dir,
                                 PARTNER,
                                 "--purpose",
                                 XT_REQUEST_PURPOSE,
                                 "--claims",
                                 claims,
                                 "--right",
                                 "per_claim,card_state,advisory,authenticate",
                                 "--issue",
                                 paths->issued,
                                 NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    plan.arguments = words;
    plan.log = paths->log;
    return xt_process_run(&plan, COMMAND_LIMIT_MS, xt_load_interrupted, failure);
}

static enum xt_status serve(const struct paths *paths, const char *dir, unsigned *port,
                            struct xt_process *process, struct xt_failure *failure)
{
    char listen[32];
    const char *const words[] = {paths->xacthuc, "serve",       dir,         "--listen", listen,
                                 "--admin",      "127.0.0.1:0", "--workers", "1",        NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    *port = xt_process_free_port();
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", *port);
    plan.arguments = words;
    plan.log = paths->log;
    enum xt_status status = xt_process_start(&plan, process, failure);
    return status == XT_OK
               ? xt_process_wait_port(process, *port, START_LIMIT_MS, xt_load_interrupted, failure)
               : status;
}

/* ---- the client: every step waits ---- */

static enum xt_status lost(const struct client *client, struct xt_failure *failure)
{
    int cause = errno;
    const char *word = client->wire.tls != NULL ? xt_tls_error(client->wire.tls) : NULL;
    return xt_fail(failure, XT_IO, "the connection to the server was lost: %s",
                   word != NULL && word[0] != '\0' ? word : strerror(cause));
}

static enum xt_status connect_to_server(struct client *client, struct xt_failure *failure)
{
    xt_wire_close(&client->wire);
    client->asked = 0;
    return xt_wire_open(&client->wire, (uint16_t)client->port, client->context, ANSWER_LIMIT_S) ==
                   XT_OK
               ? XT_OK
               : lost(client, failure);
}

/* Where a class is asked, and what it must be told. */
struct question {
    const char *target, *type, *told;
};

static const struct question *question_of(enum xt_timing_class class)
{
    static const struct question verify = {"/v1/verify", "application/json",
                                           "\"verdict\":\"not_verified\""};
    static const struct question introspect = {
        "/v1/introspect", "application/x-www-form-urlencoded", "{\"active\":false}"};
    return class < XT_TIMING_TOKEN_REVOKED ? &verify : &introspect;
}

static enum xt_status check_answer(struct client *client, enum xt_timing_class class,
                                   const struct xt_response_head *head, struct xt_failure *failure)
{
    const char *verdict = question_of(class)->told;
    struct xt_span body = xt_wire_body(&client->wire, head);
    size_t whole = head->size + body.size;
    bool told =
        head->status == 200 && memmem(body.data, body.size, verdict, strlen(verdict)) != NULL;
    size_t *size = &client->sizes[class];
    *size = *size == 0 ? whole : *size;
    return told && *size == whole
               ? XT_OK
               : xt_fail(failure, XT_CORRUPT, "an answer of class %s is not like the others (%u)",
                         xt_timing_class_name(class), head->status);
}

static bool send_text(struct client *client, struct xt_span text, struct xt_response_head *head)
{
    client->asked++;
    return xt_wire_ask(&client->wire, text, head) == XT_OK;
}

static struct xt_span body_of(const struct xt_timing_cases *cases,
                              const struct xt_timing_case *asked)
{
    return xt_span_of(cases->bodies + asked->offset, asked->size);
}

/* One request; *time: from before it is encrypted until its answer is there, in ns. */
static enum xt_status ask(struct client *client, const struct xt_timing_cases *cases,
                          const struct xt_timing_turn *turn, uint64_t *time,
                          struct xt_failure *failure)
{
    uint8_t text[REQUEST_ROOM];
    struct xt_response_head head = {.status = 0};
    const struct question *question = question_of(turn->class);
    struct xt_span request = xt_wire_request(question->target, question->type,
                                             body_of(cases, turn->asked), text, sizeof(text));
    uint64_t from = xt_clock_ns();
    bool fine = send_text(client, request, &head);
    *time = xt_clock_ns() - from;
    return fine ? check_answer(client, turn->class, &head, failure) : lost(client, failure);
}

/* ---- tokens -------------------------------------------------------------------------------------- */

/* As whom the server makes tokens, in its own words (RFC 8414). */
static enum xt_status find_issuer(struct client *client, struct xt_writer *issuer,
                                  struct xt_failure *failure)
{
    static const char name[] = "\"issuer\":\"";
    uint8_t text[REQUEST_ROOM];
    struct xt_response_head head = {.status = 0};
    struct xt_span request = xt_wire_request("/.well-known/oauth-authorization-server", NULL,
                                             xt_span_of(NULL, 0), text, sizeof(text));
    if (!send_text(client, request, &head)) {
        return lost(client, failure);
    }
    struct xt_span body = xt_wire_body(&client->wire, &head);
    const uint8_t *start = memmem(body.data, body.size, name, sizeof(name) - 1),
                  *end = start == NULL
                             ? NULL
                             : memchr(start + sizeof(name) - 1, '"',
                                      (size_t)(body.data + body.size - start) - (sizeof(name) - 1));
    if (head.status != 200 || end == NULL) {
        return xt_fail(failure, XT_CORRUPT, "the server does not tell its issuer");
    }
    start += sizeof(name) - 1;
    xt_write(issuer, start, (size_t)(end - start));
    return issuer->overflow ? XT_NO_SPACE : XT_OK;
}

static enum xt_status revoke_tokens(struct client *client, const struct xt_timing_cases *cases,
                                    struct xt_failure *failure)
{
    for (uint32_t i = 0; i < cases->counts[XT_TIMING_TOKEN_REVOKED]; i++) {
        uint8_t text[REQUEST_ROOM];
        struct xt_response_head head = {.status = 0};
        struct xt_span request = xt_wire_request(
            "/v1/revoke", question_of(XT_TIMING_TOKEN_REVOKED)->type,
            body_of(cases, &cases->list[XT_TIMING_TOKEN_REVOKED][i]), text, sizeof(text));
        if (!send_text(client, request, &head)) {
            return lost(client, failure);
        }
        if (head.status != 200) {
            return xt_fail(failure, XT_CORRUPT, "a token was not revoked (%u)", head.status);
        }
    }
    return XT_OK;
}

static enum xt_status add_tokens(struct client *client, const char *dir,
                                 struct xt_timing_cases *cases, struct xt_failure *failure)
{
    uint8_t name[XT_TOKEN_TEXT_MAX];
    struct xt_writer issuer = xt_writer_over(name, sizeof(name));
    enum xt_status status = find_issuer(client, &issuer, failure);
    if (status == XT_OK) {
        status = xt_timing_tokens_add(dir, xt_written(&issuer), cases, failure);
    }
    return status == XT_OK ? revoke_tokens(client, cases, failure) : status;
}

static enum xt_status warm(struct client *client, const struct xt_timing_cases *cases,
                           uint32_t classes, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    uint64_t unused;
    for (unsigned class = 0; class < XT_TIMING_CLASSES; class ++) {
        uint32_t count = (classes >> class & 1U) != 0 ? cases->counts[class] : 0;
        for (uint32_t i = 0; i < count && status == XT_OK; i++) {
            struct xt_timing_turn turn = {.class = (enum xt_timing_class) class,
                                          .asked = &cases->list[class][i]};
            status = ask(client, cases, &turn, &unused, failure);
        }
    }
    return status;
}

static enum xt_status measure(const struct xt_timing_options *options, struct client *client,
                              const struct xt_timing_cases *cases, uint32_t classes,
                              struct xt_timing_samples *samples, struct xt_failure *failure)
{
    struct xt_stream stream = xt_stream_of(options->deploy.seed, 5);
    struct xt_progress progress;
    struct xt_timing_turn turn;
    uint64_t done = 0, time = 0;
    xt_progress_start(&progress, "asking over TLS", "requests",
                      (uint64_t)samples->capacity * (unsigned)__builtin_popcount(classes),
                      options->deploy.quiet);
    enum xt_status status = connect_to_server(client, failure);
    while (status == XT_OK && xt_timing_next(cases, samples, classes, &stream, &turn)) {
        status = ask(client, cases, &turn, &time, failure);
        samples->cases[turn.class][samples->counts[turn.class]] = turn.place;
        samples->list[turn.class][samples->counts[turn.class]++] =
            time < UINT32_MAX ? (uint32_t)time : UINT32_MAX;
        if (++done % PROGRESS_STEP == 0) {
            xt_progress_set(&progress, done);
            status = xt_load_interrupted() ? xt_fail(failure, XT_CLOSED, "interrupted") : status;
        }
        if (status == XT_OK && client->asked >= CONNECTION_REQUESTS) {
            status = connect_to_server(client, failure);
        }
    }
    xt_progress_finish(&progress);
    return status;
}

static enum xt_status ask_server(const struct xt_timing_options *options, const struct paths *paths,
                                 unsigned port, const char *dir, struct xt_timing_cases *cases,
                                 uint32_t classes, struct xt_timing_samples *samples,
                                 struct xt_failure *failure)
{
    struct xt_tls_client_files files = {
        .certificate = paths->certificate, .key = paths->key, .server_authority = paths->authority};
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    client->port = port;
    enum xt_status status = xt_tls_client(&files, &client->context, failure);
    if (status == XT_OK) {
        status = connect_to_server(client, failure);
    }
    if (status == XT_OK) {
        status = add_tokens(client, dir, cases, failure);
    }
    if (status == XT_OK) {
        status = warm(client, cases, classes, failure);
    }
    if (status == XT_OK) {
        status = measure(options, client, cases, classes, samples, failure);
    }
    xt_wire_close(&client->wire);
    xt_tls_context_close(client->context);
    free(client);
    return status;
}

enum xt_status xt_timing_over_tls(const struct xt_timing_options *options,
                                  const struct xt_micro_deployment *deployment,
                                  struct xt_timing_cases *cases, uint32_t classes,
                                  struct xt_timing_samples *samples, struct xt_failure *failure)
{
    struct paths paths;
    struct xt_process server = {0};
    unsigned port = 0;
    enum xt_status status = find_paths(options, deployment, &paths, failure);
    if (status == XT_OK) {
        status = add_partner(&paths, deployment->dir, failure);
    }
    if (status == XT_OK) {
        status = serve(&paths, deployment->dir, &port, &server, failure);
    }
    if (status == XT_OK) {
        status =
            ask_server(options, &paths, port, deployment->dir, cases, classes, samples, failure);
    }
    xt_process_stop(&server, STOP_LIMIT_MS);
    return status;
}
