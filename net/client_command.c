#include "net/client_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/json_document.h"
#include "core/request.h"
#include "crypto/keyring.h"
#include "net/client.h"
#include "net/client_options.h"
#include "net/list_command.h"
#include "store/command_line.h"

#define TIMEOUT_MS 30000 /* without a byte; the server's own limits are shorter */
#define REQUEST_MAX XT_VERIFY_BODY_MAX

/* ---- the question ------------------------------------------------------------------------------- */

/* All of standard input; what of it is no request the server tells. */
static enum xt_status read_request(struct xt_writer *writer, struct xt_failure *failure)
{
    while (writer->size < writer->capacity) {
        ssize_t got =
            read(STDIN_FILENO, writer->data + writer->size, writer->capacity - writer->size);
        if (got < 0 && errno != EINTR) {
            return xt_fail(failure, XT_IO, "cannot read standard input: %s", strerror(errno));
        }
        if (got == 0) {
            return writer->size > 0 ? XT_OK
                                    : xt_fail(failure, XT_INVALID, "standard input is empty");
        }
        writer->size += got > 0 ? (size_t)got : 0;
    }
    return xt_fail(failure, XT_TOO_LARGE, "a request has at most %d bytes", REQUEST_MAX - 1);
}

static enum xt_status make_request(const struct xt_client_options *options,
                                   struct xt_writer *writer, struct xt_failure *failure)
{
    if (options->file != NULL) {
        return read_request(writer, failure);
    }
    enum xt_status status = xt_question_to_json(&options->question, writer);
    return status == XT_OK ? status
                           : xt_fail(failure, status, "a value is %s",
                                     status == XT_INVALID ? "not UTF-8" : "too long");
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void print_text(const char *name, const struct xt_json_value *value)
{
    struct xt_span text = xt_json_text(value);
    if (text.size > 0) {
        printf("%-18s %.*s\n", name, (int)text.size, (const char *)text.data);
    }
}

static void print_answer(const struct xt_json_value *root)
{
    struct xt_json_walk walk = xt_json_walk_over(xt_json_member_of(root, "claims"));
    const struct xt_json_value *advisory =
        xt_json_member_of(xt_json_member_of(root, "advisory"), "full_name");
    print_text("verdict", xt_json_member_of(root, "verdict"));
    while (xt_json_walk_next(&walk)) {
        printf("  %-16.*s %.*s\n", (int)walk.name.size, (const char *)walk.name.data,
               (int)xt_json_text(walk.value).size, (const char *)xt_json_text(walk.value).data);
    }
    print_text("card", xt_json_member_of(root, "card"));
    print_text("reason", xt_json_member_of(root, "reason"));
    if (advisory != NULL) {
        struct xt_span level = xt_json_text(xt_json_member_of(advisory, "level"));
        printf("%-18s %.*s, score %llu: no match\n", "name, advisory", (int)level.size,
               (const char *)level.data,
               (unsigned long long)xt_json_integer(xt_json_member_of(advisory, "score")));
    }
    print_text("txn", xt_json_member_of(root, "txn"));
    print_text("answer_id", xt_json_member_of(root, "answer_id"));
    print_text("answered_at", xt_json_member_of(root, "answered_at"));
}

/* A refusal: its code and what to do, and which members are wrong. */
static void print_problem(const struct xt_client_answer *answer, const struct xt_json_value *root)
{
    struct xt_span code = xt_json_text(xt_json_member_of(root, "code"));
    struct xt_span detail = xt_json_text(xt_json_member_of(root, "detail"));
    struct xt_span id = xt_json_text(xt_json_member_of(root, "answer_id"));
    struct xt_json_walk walk = xt_json_walk_over(xt_json_member_of(root, "errors"));
    fprintf(stderr, "xacthuc verify: refused: %u %.*s: %.*s", answer->status, (int)code.size,
            (const char *)code.data, (int)detail.size, (const char *)detail.data);
    while (xt_json_walk_next(&walk)) {
        struct xt_span pointer = xt_json_text(xt_json_member_of(walk.value, "pointer"));
        struct xt_span what = xt_json_text(xt_json_member_of(walk.value, "code"));
        fprintf(stderr, " %.*s %.*s;", (int)pointer.size, (const char *)pointer.data,
                (int)what.size, (const char *)what.data);
    }
    if (answer->retry_after_s > 0) {
        fprintf(stderr, " again in %u s;", answer->retry_after_s);
    }
    fprintf(stderr, " answer_id %.*s\n", (int)id.size, (const char *)id.data);
}

static int show(const struct xt_client_options *options, const struct xt_client_answer *answer)
{
    struct xt_failure failure;
    struct xt_json_document *document = NULL;
    if (xt_json_document_parse(xt_span_of(answer->body, answer->size), &document, &failure) !=
        XT_OK) {
        (void)xt_fail(&failure, XT_INVALID, "the server answers %u, and not in JSON",
                      answer->status);
        return xt_work_error("verify", &failure);
    }
    const struct xt_json_value *root = xt_json_document_root(document);
    bool answered = answer->status == 200;
    if (options->json) {
        printf("%.*s\n", (int)answer->size, (const char *)answer->body);
    } else if (answered) {
        print_answer(root);
    }
    if (!answered) {
        print_problem(answer, root);
    }
    xt_json_document_free(document);
    int status = xt_finish_output("verify");
    return answered ? status : XT_EXIT_FAILED;
}

/* ---- the command -------------------------------------------------------------------------------- */

static enum xt_status connect_to(const struct xt_client_options *options,
                                 struct xt_client_server *server, struct xt_tls_context **context,
                                 struct xt_failure *failure)
{
    const struct xt_tls_client_files files = {.certificate = options->certificate,
                                              .key = options->key,
                                              .server_authority = options->authority};
    enum xt_status status = xt_tls_client(&files, context, failure);
    return status == XT_OK ? xt_client_server_resolve(server, failure) : status;
}

static int ask_one(const struct xt_client_options *options, const struct xt_client_server *server,
                   struct xt_tls_context *context)
{
    struct xt_failure failure;
    struct xt_client_answer answer = {.size = 0};
    uint8_t *text = calloc(1, REQUEST_MAX);
    if (text == NULL) {
        (void)xt_fail(&failure, XT_NO_MEMORY, "out of memory");
        return xt_work_error("verify", &failure);
    }
    struct xt_writer writer = xt_writer_over(text, REQUEST_MAX);
    enum xt_status status = make_request(options, &writer, &failure);
    if (status == XT_OK) {
        status = xt_client_ask(server, context, "/v1/verify", xt_written(&writer), TIMEOUT_MS,
                               &answer, &failure);
    }
    int result = status == XT_OK ? show(options, &answer) : xt_work_error("verify", &failure);
    xt_client_answer_release(&answer);
    xt_wipe(text, REQUEST_MAX);
    free(text);
    return result;
}

static int ask(const struct xt_client_options *options)
{
    struct xt_client_server server;
    struct xt_tls_context *context = NULL;
    struct xt_failure failure;
    int result;
    if (xt_client_server_parse(options->server, &server) != XT_OK) {
        return xt_usage_error("verify", "--server is https://HOST or https://HOST:PORT");
    }
    if (connect_to(options, &server, &context, &failure) != XT_OK) {
        result = xt_work_error("verify", &failure);
    } else if (options->file != NULL && strcmp(options->file, "-") != 0) {
        result = xt_list_command(options, &server, context);
    } else {
        result = ask_one(options, &server, context);
    }
    xt_tls_context_close(context);
    return result;
}

int xt_command_verify(int argc, char **argv)
{
    struct xt_client_options options;
    int result = xt_client_options_parse(argc, argv, &options);
    if (result < 0) {
        result = ask(&options);
    }
    xt_client_options_release(&options);
    return result;
}
