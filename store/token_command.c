/* xacthuc token: what a token says, for the operator. The token comes on stdin: arguments are seen by everybody on
 * the machine, and kept by shells. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/jose.h"
#include "crypto/credential.h"
#include "crypto/token.h"
#include "store/command_line.h"
#include "store/commands.h"

static const char help[] =
    "usage: xacthuc token inspect DIR [--json] < TOKEN\n"
    "\n"
    "Reads an access token from standard input and tells its header, its claims, whether a key of\n"
    "keys/token.key has signed it, and whether its time is over. Nothing in it tells of whom it\n"
    "is: sub is another for each partner, and jti can be read by the server alone. Whether it was\n"
    "revoked, or the account is locked, is for POST /v1/introspect.\n"
    "\n"
    "  --json, --help, --version\n"
    "\n"
    "Exit status 0: rightly signed and in time; 1: it is not.\n";

struct inspection {
    struct xt_token_text read;
    const char *signature; /* "right", "wrong", "unknown_key" */
    const char *key;       /* "current", "next", "previous"; NULL: unknown */
    const char *time;      /* "counts", "over", "not_yet" */
    uint8_t text[XT_TOKEN_MAX + 4], payload[XT_TOKEN_PAYLOAD], memory[XT_JOSE_ARENA];
};

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, const char **dir, bool *json)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            *json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("token", option, argv);
        }
    }
    if (argc - optind < 1 || strcmp(argv[optind], "inspect") != 0) {
        return xt_usage_error("token", "say what: inspect");
    }
    if (argc - optind != 2) {
        return xt_usage_error("token", argc - optind > 2
                                           ? "a token is given on standard input, never as an "
                                             "argument"
                                           : "give one deployment");
    }
    *dir = argv[optind + 1];
    return -1;
}

/* Without white space around it. */
static enum xt_status read_token(struct inspection *inspection, struct xt_span *token,
                                 struct xt_failure *failure)
{
    size_t size = fread(inspection->text, 1, sizeof(inspection->text), stdin), start = 0;
    if (ferror(stdin)) {
        return xt_fail(failure, XT_IO, "cannot read standard input");
    }
    while (start < size && strchr(" \t\r\n", inspection->text[start]) != NULL) {
        start++;
    }
    while (size > start && strchr(" \t\r\n", inspection->text[size - 1]) != NULL) {
        size--;
    }
    *token = xt_span_of(inspection->text + start, size - start);
    const struct xt_json_arena arena = {.memory = inspection->memory,
                                        .size = sizeof(inspection->memory)};
    if (token->size == 0) {
        return xt_fail(failure, XT_INVALID, "there is no token on standard input");
    }
    return xt_token_read(*token, arena, inspection->payload, &inspection->read) == XT_OK
               ? XT_OK
               : xt_fail(failure, XT_INVALID,
                         "this is no access token of this program: three parts in base64url, the "
                         "header typ at+jwt, alg EdDSA and a kid, the claims those of RFC 9068 "
                         "that it gives");
}

static enum xt_status judge(const char *dir, struct inspection *inspection,
                            struct xt_failure *failure)
{
    static const char *const states[] = {"previous", "current", "next"};
    const struct xt_token_text *read = &inspection->read;
    char path[XT_PATH_MAX];
    uint8_t *text = NULL;
    size_t size = 0;
    struct xt_answer_keys *keys = NULL;
    enum xt_status status = xt_key_path(dir, "token.key", path, failure);
    if (status == XT_OK) {
        status = xt_answer_key_read(path, &text, &size, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_answer_keys_open(xt_span_of(text, size), &keys);
    xt_file_release_secret(text);
    if (status != XT_OK) {
        return xt_fail(failure, status, "no memory for the keys");
    }
    const struct xt_answer_key_facts *key =
        xt_answer_keys_find(keys, xt_span_of_string(read->key_id), INT64_MIN);
    int64_t now_s = (int64_t)time(NULL);
    inspection->key = key != NULL ? states[key->state] : NULL;
    inspection->signature =
        key == NULL ? "unknown_key"
        : xt_answer_signature_is_right(key->public, read->signed_part, read->signature) ? "right"
                                                                                        : "wrong";
    inspection->time = xt_token_is_in_time(&read->claims, now_s) ? "counts"
                       : now_s >= read->claims.expires_s         ? "over"
                                                                 : "not_yet";
    xt_answer_keys_close(keys);
    return XT_OK;
}

static void print(const struct inspection *inspection, bool json)
{
    uint8_t text[XT_TOKEN_CLAIMS_MAX];
    const struct xt_token *claims = &inspection->read.claims;
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_token_claims_write(claims, &writer);
    const char *kid = inspection->read.key_id;
    if (json) {
        printf("{\"header\":{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"},\"claims\":%.*s,"
               "\"signature\":\"%s\",\"key\":",
               kid, (int)writer.size, (const char *)text, inspection->signature);
        printf(inspection->key != NULL ? "\"%s\"" : "null", inspection->key);
        printf(",\"time\":\"%s\"}\n", inspection->time);
        return;
    }
    printf("header     {\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}\n", kid);
    printf("claims     %.*s\n", (int)writer.size, (const char *)text);
    printf("signature  %s%s%s%s\n",
           inspection->key == NULL ? "by no key of keys/token.key" : inspection->signature,
           inspection->key == NULL ? "" : " (the ", inspection->key == NULL ? "" : inspection->key,
           inspection->key == NULL ? "" : " key)");
    printf("time       %s (from %" PRId64 " to %" PRId64 ", Unix seconds)\n",
           strcmp(inspection->time, "not_yet") == 0 ? "not yet" : inspection->time,
           claims->issued_s, claims->expires_s);
}

int xt_command_token(int argc, char **argv)
{
    static struct inspection inspection;
    struct xt_failure failure = {.text = ""};
    const char *dir = NULL;
    bool json = false;
    struct xt_span token;
    int code = parse(argc, argv, &dir, &json);
    if (code >= 0) {
        return code;
    }
    enum xt_status status = read_token(&inspection, &token, &failure);
    if (status == XT_OK) {
        status = judge(dir, &inspection, &failure);
    }
    if (status == XT_OK) {
        print(&inspection, json);
        code = xt_finish_output("token");
        bool good =
            strcmp(inspection.signature, "right") == 0 && strcmp(inspection.time, "counts") == 0;
        code = code == XT_EXIT_OK && !good ? XT_EXIT_FAILED : code;
    } else {
        code = xt_work_error("token", &failure);
    }
    xt_wipe(&inspection, sizeof(inspection));
    return code;
}
