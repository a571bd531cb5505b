/* Tokens that all are answered {"active":false}: signed by the deployment's own key, so that nothing but what the
 * server alone knows tells them apart. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/timing.h"
#include "crypto/file.h"
#include "crypto/token.h"
#include "store/command_line.h"
#include "store/live_account.h"

#define TOKENS_MOST 4096U /* of a class: each is revoked before */
#define LIFETIME_S 900
#define FORM "token="

struct issuer {
    struct xt_keyring *keyring;
    struct xt_live *live;
    struct xt_answer_keys *keys;
    struct xt_span name;
    int64_t now_s;
};

static enum xt_status open_issuer(const char *dir, struct xt_span name, struct issuer *issuer,
                                  struct xt_failure *failure)
{
    char path[XT_MICRO_PATH_MAX + 16];
    uint8_t *text = NULL;
    size_t size = 0;
    *issuer = (struct issuer){.name = name, .now_s = (int64_t)time(NULL)};
    (void)snprintf(path, sizeof(path), "%s/keys/token.key", dir);
    enum xt_status status = xt_deployment_keyring(dir, &issuer->keyring, failure);
    if (status == XT_OK) {
        status = xt_live_open_reader(dir, issuer->keyring, &issuer->live, failure);
    }
    if (status == XT_OK) {
        status = xt_answer_key_read(path, &text, &size, failure);
    }
    if (status == XT_OK) {
        status = xt_answer_keys_open(xt_span_of(text, size), &issuer->keys);
        xt_file_release_secret(text);
    }
    return status;
}

static void close_issuer(struct issuer *issuer)
{
    xt_answer_keys_close(issuer->keys);
    xt_live_close(issuer->live);
    xt_keyring_close(issuer->keyring);
}

/* Of the same length whatever it says. */
static void write_token(const struct issuer *issuer, enum xt_timing_class class, uint64_t number,
                        struct xt_writer *writer)
{
    bool foreign = class == XT_TIMING_TOKEN_FOREIGN;
    struct xt_token token = {.issuer = issuer->name,
                             .audience = xt_span_of_string(foreign ? "others" : XT_TIMING_PARTNER),
                             .client = xt_span_of_string(foreign ? "others" : XT_TIMING_PARTNER),
                             .issued_s = issuer->now_s -
                                         (class == XT_TIMING_TOKEN_OVER ? 2 * LIFETIME_S : 1),
                             .level = 1,
                             .methods = {xt_span_of_string("hwk")},
                             .method_count = 1};
    token.expires_s = token.issued_s + LIFETIME_S;
    xt_live_pairwise(issuer->live, number, token.client, token.subject);
    xt_live_token_handle(issuer->live, number, token.handle);
    xt_write_literal(writer, FORM);
    xt_token_make(issuer->keys, &token, writer);
}

enum xt_status xt_timing_tokens_add(const char *dir, struct xt_span issuer_name,
                                    struct xt_timing_cases *cases, struct xt_failure *failure)
{
    struct issuer issuer;
    uint32_t most = cases->three_count / 3, count = most < TOKENS_MOST ? most : TOKENS_MOST;
    enum xt_status status = open_issuer(dir, issuer_name, &issuer, failure);
    for (uint32_t i = 0; i < count && status == XT_OK; i++) {
        /* Each number as often as any other. */
        const struct {
            enum xt_timing_class class;
            uint64_t number;
        } tokens[] = {{XT_TIMING_TOKEN_REVOKED, cases->threes[3 * i][0]},
                      {XT_TIMING_TOKEN_OVER, cases->threes[3 * i + 1][0]},
                      {XT_TIMING_TOKEN_FOREIGN, cases->threes[3 * i + 2][0]},
                      {XT_TIMING_TOKEN_NOBODY, cases->threes[i][1]},
                      {XT_TIMING_TOKEN_DECEASED, cases->threes[i][2]}};
        for (unsigned at = 0; at < sizeof(tokens) / sizeof(tokens[0]) && status == XT_OK; at++) {
            uint8_t text[XT_TIMING_BODY_MAX];
            struct xt_writer writer = xt_writer_over(text, sizeof(text));
            write_token(&issuer, tokens[at].class, tokens[at].number, &writer);
            status = writer.overflow
                         ? XT_NO_SPACE
                         : xt_timing_case_add(cases, tokens[at].class, xt_written(&writer));
        }
    }
    close_issuer(&issuer);
    return status == XT_OK || failure->text[0] != '\0'
               ? status
               : xt_fail(failure, status, "cannot make tokens of this deployment");
}
