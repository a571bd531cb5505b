#include "tests/net/token_rig.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/command_line.h"
#include "store/live_account.h"
#include "tests/test.h"

static struct xt_keyring *keyring;
static struct xt_live *live;
static struct xt_answer_keys *keys;
static char issuer_text[XT_TOKEN_TEXT_MAX + 1];

void token_rig_open(const char *issuer)
{
    struct xt_failure failure = {.text = ""};
    uint8_t *text = NULL;
    size_t size = 0;
    snprintf(issuer_text, sizeof(issuer_text), "%s", issuer);
    if (xt_deployment_keyring(deployment("DIR"), &keyring, &failure) != XT_OK ||
        xt_live_open_reader(deployment("DIR"), keyring, &live, &failure) != XT_OK ||
        xt_answer_key_read(deployment("DIR/keys/token.key"), &text, &size, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_int_equal(xt_answer_keys_open(xt_span_of(text, size), &keys), XT_OK);
    xt_file_release_secret(text);
}

void token_rig_close(void)
{
    xt_answer_keys_close(keys);
    xt_live_close(live);
    xt_keyring_close(keyring);
}

uint64_t person_with(const char *member, bool any)
{
    char *people = read_text(deployment("people.ndjson")), *rest = people;
    uint64_t number = 0;
    for (char *line; number == 0 && (line = strsep(&rest, "\n")) != NULL && *line != '\0';) {
        bool fine = any || (strstr(line, "\"status\":\"alive\"") != NULL &&
                            strstr(line, "\"locks\":") == NULL);
        if (fine && strstr(line, member) != NULL) {
            char id[32];
            member_of(line, "id", id, sizeof(id));
            number = strtoull(id, NULL, 10);
        }
    }
    free(people);
    if (number == 0) {
        fail_msg("nobody has %s", member);
    }
    return number;
}

void certificate_digest(const char *path, uint8_t digest[32])
{
    char *text = read_text(path);
    uint8_t der[4096];
    size_t size = 0;
    char *start = strstr(text, "-----BEGIN CERTIFICATE-----");
    assert_non_null(start);
    start += strlen("-----BEGIN CERTIFICATE-----");
    char *end = strstr(start, "-----END");
    assert_non_null(end);
    assert_int_equal(sodium_base642bin(der, sizeof(der), start, (size_t)(end - start), "\r\n",
                                       &size, NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    crypto_hash_sha256(digest, der, size);
    free(text);
}

struct xt_token token_claims(uint64_t number, const char *partner, const char *audience,
                             int lifetime_s)
{
    char path[64];
    struct xt_token token = {
        .issuer = xt_span_of_string(issuer_text),
        .audience = xt_span_of_string(audience),
        .client = xt_span_of_string(partner),
        .issued_s = (int64_t)time(NULL) - 1,
        .level = 2,
        .methods = {xt_span_of_string("hwk"), xt_span_of_string("pin"), xt_span_of_string("mfa")},
        .method_count = 3};
    token.expires_s = token.issued_s + 1 + lifetime_s;
    xt_live_pairwise(live, number, token.client, token.subject);
    xt_live_token_handle(live, number, token.handle);
    snprintf(path, sizeof(path), "issued/%s.crt", partner);
    certificate_digest(deployment(path), token.certificate);
    return token;
}

const char *token_by(const struct xt_answer_keys *by, const struct xt_token *claims)
{
    static char text[XT_TOKEN_MAX + 1];
    struct xt_writer writer = xt_writer_over(text, XT_TOKEN_MAX);
    xt_token_make(by, claims, &writer);
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    return text;
}

const char *token_of(const struct xt_token *claims)
{
    return token_by(keys, claims);
}

const char *token_for(uint64_t number, const char *partner, const char *audience, int lifetime_s)
{
    struct xt_token claims = token_claims(number, partner, audience, lifetime_s);
    return token_of(&claims);
}
