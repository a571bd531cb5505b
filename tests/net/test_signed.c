/* Signed answers through the real binary over real TLS. What is verified here follows the rules of
 * RFC 9421 alone: the signature base is put together from what went over the wire, and checked with
 * another library than the one that signed. */
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/answer_key.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

#define ALL "(\"@status\" \"content-digest\" \"@method\";req \"@path\";req \"content-digest\";req)"
#define BOTH "(\"@status\" \"content-digest\")"
#define TEXT 4096

static struct server server;

static int set_up(void **state)
{
    if (deployment_make(state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "sealed", "--purpose", "demo.verify",
            "--claims", "full_name,date_of_birth", "--right", "per_claim,signed", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start(&server, NULL);
    return sodium_init() < 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* ---- asking ----------------------------------------------------------------------------------- */

struct question {
    const char *method, *path, *body; /* body NULL: none */
    char digest[128];                 /* the Content-Digest sent; "": none */
};

static void digest_of(const void *data, size_t size, char text[128])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    char base64[64];
    crypto_hash_sha256(digest, data, size);
    sodium_bin2base64(base64, sizeof(base64), digest, sizeof(digest),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(text, 128, "sha-256=:%s:", base64);
}

static struct question verify_question(const char *body)
{
    struct question question = {.method = "POST", .path = "/v1/verify", .body = body};
    digest_of(body, strlen(body), question.digest);
    return question;
}

/* accept: the value of Accept-Signature, NULL: none. */
static struct test_response ask(struct test_client *client, const struct question *question,
                                const char *accept)
{
    char fields[TEXT] = "Content-Type: application/json\r\n";
    struct test_response response;
    size_t size = strlen(fields);
    if (question->digest[0] != '\0') {
        size += (size_t)snprintf(fields + size, sizeof(fields) - size, "Content-Digest: %s\r\n",
                                 question->digest);
    }
    if (accept != NULL) {
        snprintf(fields + size, sizeof(fields) - size, "Accept-Signature: %s\r\n", accept);
    }
    assert_true(test_client_request(client, question->method, question->path, fields,
                                    question->body, &response));
    return response;
}

static const char *body_about(unsigned n, const char *name)
{
    static char body[1024];
    char id[16], full_name[256], date[16];
    char *line = person_line(n);
    member_of(line, "id", id, sizeof(id));
    member_of(line, "full_name", full_name, sizeof(full_name));
    member_of(line, "date_of_birth", date, sizeof(date));
    free(line);
    snprintf(body, sizeof(body),
             "{\"txn\":\"t-1\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":"
             "\"%s\",\"date_of_birth\":\"%s\"}}",
             id, name == NULL ? full_name : name, date);
    return body;
}

/* ---- verifying -------------------------------------------------------------------------------- */

static char *fetch_keys(void)
{
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    assert_true(
        test_client_request(client, "GET", "/.well-known/jwks.json", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    char *keys = strdup(response.body);
    assert_non_null(keys);
    test_response_release(&response);
    test_client_close(client);
    return keys;
}

/* The public key that a list has under a name; false: none. */
static bool key_named(const char *keys, const char *id, uint8_t public[32])
{
    char needle[80], x[64];
    size_t size = 0;
    snprintf(needle, sizeof(needle), "\",\"kid\":\"%s\"", id);
    const char *at = strstr(keys, needle);
    if (at == NULL || at - keys < 48 || memcmp(at - 48, "\"x\":\"", 5) != 0) {
        return false;
    }
    memcpy(x, at - 43, 43);
    return sodium_base642bin(public, 32, x, 43, NULL, &size, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           size == 32;
}

/* One line of the base. NULL: a component that nobody asked for. */
static const char *value_of(const char *name, bool of_request, const struct question *question,
                            const struct test_response *response, char value[TEXT])
{
    if (of_request) {
        return strcmp(name, "@method") == 0          ? question->method
               : strcmp(name, "@path") == 0          ? question->path
               : strcmp(name, "content-digest") == 0 ? question->digest
                                                     : NULL;
    }
    if (strcmp(name, "@status") == 0) {
        snprintf(value, TEXT, "%d", response->status);
        return value;
    }
    return strcmp(name, "content-digest") == 0
               ? test_response_field(response, "Content-Digest", value, TEXT)
               : NULL;
}

/* RFC 9421 section 2.5, from the parameters of Signature-Input. */
static size_t make_base(const char *parameters, const struct question *question,
                        const struct test_response *response, char base[TEXT])
{
    size_t size = 0;
    const char *at = parameters + 1;
    while (*at == '"') {
        char name[64], value[TEXT];
        size_t length = strcspn(at + 1, "\"");
        snprintf(name, sizeof(name), "%.*s", (int)length, at + 1);
        at += length + 2;
        bool of_request = strncmp(at, ";req", 4) == 0;
        at += of_request ? 4 : 0;
        const char *text = value_of(name, of_request, question, response, value);
        assert_non_null(text);
        size += (size_t)snprintf(base + size, TEXT - size, "\"%s\"%s: %s\n", name,
                                 of_request ? ";req" : "", text);
        at += *at == ' ';
    }
    assert_true(*at == ')');
    return size +
           (size_t)snprintf(base + size, TEXT - size, "\"@signature-params\": %s", parameters);
}

/* What a partner does: digest, base, signature. label: which one. */
static bool is_signed(const struct test_response *response, const struct question *question,
                      const char *keys, const char *label)
{
    char input[TEXT], signature[TEXT], base[TEXT], digest[128], field[TEXT], id[64];
    uint8_t bytes[64], public[32];
    size_t size = 0, label_size = strlen(label);
    if (test_response_field(response, "Content-Digest", field, sizeof(field)) == NULL ||
        test_response_field(response, "Signature-Input", input, sizeof(input)) == NULL ||
        test_response_field(response, "Signature", signature, sizeof(signature)) == NULL) {
        return false;
    }
    digest_of(response->body, response->body_size, digest);
    const char *keyid = strstr(input, ";keyid=\"");
    if (strcmp(field, digest) != 0 || strncmp(input, label, label_size) != 0 ||
        input[label_size] != '=' || strncmp(signature, label, label_size) != 0 || keyid == NULL) {
        return false;
    }
    snprintf(id, sizeof(id), "%.43s", keyid + 8);
    const char *base64 = signature + label_size + 2;
    if (!key_named(keys, id, public) || strlen(base64) != 89 || base64[88] != ':' ||
        sodium_base642bin(bytes, sizeof(bytes), base64, 88, NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        size != 64) {
        return false;
    }
    size_t base_size = make_base(input + label_size + 1, question, response, base);
    return crypto_sign_verify_detached(bytes, (const uint8_t *)base, base_size, public) == 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void a_signed_answer_verifies_and_is_bound_to_its_question(void **state)
{
    (void)state;
    char *keys = fetch_keys(), input[TEXT];
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(3, NULL)), other = question;
    struct test_response response = ask(
        client, &question, "my-1=" ALL ";created;keyid;alg=\"ed25519\";nonce=\"a\\\"b\";tag=\"t\"");
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "\"txn\":\"t-1\""));
    assert_true(is_signed(&response, &question, keys, "my-1"));
    assert_non_null(test_response_field(&response, "Signature-Input", input, sizeof(input)));
    assert_memory_equal(input, "my-1=" ALL ";created=", strlen("my-1=" ALL ";created="));
    assert_true(labs(atol(strstr(input, "created=") + 8) - (long)time(NULL)) < 10);
    assert_non_null(strstr(input, ";alg=\"ed25519\";nonce=\"a\\\"b\";tag=\"t\""));
    /* Another question. */
    other.path = "/v1/verifY";
    assert_false(is_signed(&response, &other, keys, "my-1"));
    other = question;
    other.method = "GET";
    assert_false(is_signed(&response, &other, keys, "my-1"));
    other = question;
    digest_of("{}", 2, other.digest);
    assert_false(is_signed(&response, &other, keys, "my-1"));
    /* Another answer. */
    response.status = 201;
    assert_false(is_signed(&response, &question, keys, "my-1"));
    response.status = 200;
    char *verdict = strstr(response.body, "match");
    assert_non_null(verdict);
    verdict[0] ^= 1;
    assert_false(is_signed(&response, &question, keys, "my-1"));
    verdict[0] ^= 1;
    assert_true(is_signed(&response, &question, keys, "my-1"));
    char *nonce = strstr(response.head, "nonce=\"a");
    nonce[7] = 'x';
    assert_false(is_signed(&response, &question, keys, "my-1"));
    test_response_release(&response);
    test_client_close(client);
    free(keys);
}

/* Takes a field's line, which must be there, out of a head. */
static void take_out(char *head, const char *name)
{
    char *at = strstr(head, name);
    assert_non_null(at);
    char *end = strstr(at + 2, "\r\n");
    assert_non_null(end);
    memmove(at, end, strlen(end) + 1);
}

static void who_does_not_ask_gets_not_a_byte_more(void **state)
{
    (void)state;
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(4, NULL)), plain = question;
    plain.digest[0] = '\0';
    struct test_response without = ask(client, &plain, NULL),
                         with_digest = ask(client, &question, NULL);
    struct test_response with = ask(client, &question, "sig=" ALL);
    assert_null(strstr(without.head, "ignature"));
    assert_null(strstr(without.head, "igest"));
    assert_null(strstr(with_digest.head, "ignature"));
    take_out(without.head, "\r\nDate: ");
    take_out(with_digest.head, "\r\nDate: ");
    take_out(with.head, "\r\nDate: ");
    take_out(with.head, "\r\nContent-Digest: ");
    take_out(with.head, "\r\nSignature-Input: ");
    take_out(with.head, "\r\nSignature: ");
    assert_string_equal(with.head, without.head);
    assert_string_equal(with_digest.head, without.head);
    char expected[512];
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
             "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
             "Strict-Transport-Security: max-age=63072000\r\n\r\n",
             without.body_size);
    assert_string_equal(without.head, expected);
    test_response_release(&without);
    test_response_release(&with_digest);
    test_response_release(&with);
    test_client_close(client);
}

static void refusals_are_signed_as_well(void **state)
{
    (void)state;
    char *keys = fetch_keys();
    static const struct {
        const char *method, *path, *body;
        int status;
    } cases[] = {
        {"POST", "/v1/verify", "{", 400},
        {"POST", "/v1/verify",
         "{\"id\":\"001099012345\",\"purpose\":\"no\",\"claims\":{\"sex\":\"male\"}}", 403},
        {"POST", "/v1/verify?a", "{}", 400},
        {"POST", "/no", "{}", 404},
        {"GET", "/v1/verify", NULL, 405},
        {"GET", "/openapi.json", NULL, 200},
        {"GET", "/.well-known/jwks.json", NULL, 200},
        {"OPTIONS", "/v1/verify", NULL, 204},
        {"HEAD", "/openapi.json", NULL, 200},
        {"HEAD", "/no", NULL, 404},
    };
    struct test_client *client = connect_as(&server, "demo");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct question question = {
            .method = cases[i].method, .path = cases[i].path, .body = cases[i].body};
        char fields[512];
        struct test_response response;
        snprintf(fields, sizeof(fields),
                 "Content-Type: application/json\r\n"
                 "Accept-Signature: a=(\"@path\";req \"content-digest\" \"@method\";req "
                 "\"@status\");nonce=\"%zu\"\r\n",
                 i);
        char text[TEXT];
        int size = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n%s", question.method,
                            question.path, fields);
        if (question.body != NULL) {
            size += snprintf(text + size, sizeof(text) - (size_t)size, "Content-Length: %zu\r\n",
                             strlen(question.body));
        }
        snprintf(text + size, sizeof(text) - (size_t)size, "\r\n%s",
                 question.body == NULL ? "" : question.body);
        assert_true(test_client_send_text(client, text));
        assert_true(test_client_response(client, strcmp(question.method, "HEAD") == 0, &response));
        assert_int_equal(response.status, cases[i].status);
        if (strchr(question.path, '?') != NULL) {
            question.path = "/v1/verify"; /* @path is without the query */
        }
        if (!is_signed(&response, &question, keys, "a")) {
            fail_msg("case %zu: %s", i, response.head);
        }
        test_response_release(&response);
    }
    test_client_close(client);
    free(keys);
}

static void a_partner_with_the_right_needs_not_ask(void **state)
{
    (void)state;
    char *keys = fetch_keys(), input[TEXT];
    struct test_client *client = connect_as(&server, "sealed");
    struct question question = verify_question(body_about(5, NULL));
    struct test_response response = ask(client, &question, NULL);
    assert_int_equal(response.status, 200);
    assert_true(is_signed(&response, &question, keys, "sig"));
    assert_non_null(test_response_field(&response, "Signature-Input", input, sizeof(input)));
    assert_non_null(strstr(input, ALL));
    test_response_release(&response);
    question.digest[0] = '\0';
    response = ask(client, &question, NULL);
    assert_true(is_signed(&response, &question, keys, "sig"));
    assert_non_null(test_response_field(&response, "Signature-Input", input, sizeof(input)));
    assert_non_null(
        strstr(input, "sig=(\"@status\" \"content-digest\" \"@method\";req \"@path\";req);"));
    test_response_release(&response);
    response = ask(client, &question, "own=" BOTH); /* what is asked for goes before */
    assert_true(is_signed(&response, &question, keys, "own"));
    test_response_release(&response);
    question.body = "{\"purpose\":1}";
    response = ask(client, &question, NULL);
    assert_int_equal(response.status, 400);
    assert_true(is_signed(&response, &question, keys, "sig"));
    test_response_release(&response);
    test_client_close(client);
    free(keys);
}

static void assert_refused(struct test_client *client, const struct question *question,
                           const char *accept, const char *code)
{
    struct test_response response = ask(client, question, accept);
    char needle[64];
    snprintf(needle, sizeof(needle), "\"code\":\"%s\"", code);
    if (response.status != 400 || strstr(response.body, needle) == NULL) {
        fail_msg("%s / %s: %d %s", accept, question->digest, response.status, response.body);
    }
    test_response_release(&response);
}

static void what_cannot_be_signed_is_refused(void **state)
{
    (void)state;
#define SIX "0123456789"
    static const char *const wishes[] = {
        "sig",
        "sig=1",
        "sig=()",
        "sig=(\"@status\")",
        "sig=(\"content-digest\")",
        "sig=(\"content-digest\";req \"@status\")",
        "sig=(\"@status\" \"content-digest\" \"date\")",
        "sig=(\"@status\" \"content-digest\" \"@method\")",
        "sig=(\"@status\" \"content-digest\" \"@status\";req)",
        "sig=(\"@status\" \"content-digest\" \"@status\")",
        "sig=(\"@status\" \"content-digest\" \"@path\";req;req)",
        "sig=(\"@status\" \"content-digest\" \"@path\";req=?0)",
        "sig=(\"@status\" \"content-digest\" \"@path\";sf)",
        "sig=(\"@status\" \"content-digest\" @path)",
        "sig=(\"@status\" \"content-digest\" content-digest)",
        "sig=" BOTH ";created=1",
        "sig=" BOTH ";expires",
        "sig=" BOTH ";keyid=\"another\"",
        "sig=" BOTH ";alg=\"rsa-v1_5-sha256\"",
        "sig=" BOTH ";alg",
        "sig=" BOTH ";nonce",
        "sig=" BOTH ";nonce=\"a\";nonce=\"b\"",
        "sig=" BOTH ";nonce=\"" SIX SIX SIX SIX SIX SIX "01234\"",
        "sig=" BOTH ";tag=x",
        "sig=" BOTH ";other=1",
        "sig=" BOTH ", two=" BOTH,
        "sig=" BOTH ",",
        "sig=" BOTH ";nonce=\"\xc3\xa9\"",
        "SIG=" BOTH,
        "a" SIX SIX SIX "01=" BOTH "x",
        "ab" SIX SIX SIX "0=" BOTH,
    };
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(6, NULL));
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        assert_refused(client, &question, wishes[i], "signature_not_possible");
    }
    question.digest[0] = '\0'; /* what is to be covered must be there */
    assert_refused(client, &question, "sig=" ALL, "signature_not_possible");
    snprintf(question.digest, sizeof(question.digest), "md5=:AAAA:"); /* and known */
    assert_refused(client, &question, "sig=" ALL, "signature_not_possible");
    struct test_response response = ask(client, &question, NULL);
    assert_int_equal(response.status, 200); /* RFC 9530: others are ignored */
    test_response_release(&response);
    response = ask(client, &question,
                   "a" SIX SIX SIX "1=" BOTH ";nonce=\"" SIX SIX SIX SIX SIX SIX "0123\"");
    assert_int_equal(response.status, 200); /* the largest there are */
    test_response_release(&response);
    test_client_close(client);
}

static void a_body_that_does_not_fit_its_digest_is_refused_and_the_refusal_signed(void **state)
{
    (void)state;
    char *keys = fetch_keys();
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(7, NULL)), other;
    char right[128], sha512[128];
    strcpy(right, question.digest);
    uint8_t digest[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(digest, (const uint8_t *)question.body, strlen(question.body));
    sodium_bin2base64(sha512, sizeof(sha512), digest, sizeof(digest),
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(question.digest, sizeof(question.digest), "sha-512=:%.88s:", sha512);
    struct test_response response = ask(client, &question, "sig=" ALL);
    assert_int_equal(response.status, 200);
    assert_true(is_signed(&response, &question, keys, "sig"));
    test_response_release(&response);
    digest_of("{}", 2, question.digest);
    response = ask(client, &question, "sig=" ALL);
    assert_int_equal(response.status, 400);
    assert_non_null(strstr(response.body, "\"code\":\"bad_content_digest\""));
    assert_true(is_signed(&response, &question, keys, "sig"));
    test_response_release(&response);
    other = question;
    snprintf(other.digest, sizeof(other.digest), "sha-512=:%.80s:", sha512);
    assert_refused(client, &other, NULL, "bad_content_digest");
    static const char *const forms[] = {
        "sha-256=%.44s", "sha-256=:%.43s:", "sha-256=:%.44s",  "sha-256=\"%.44s\"",
        "sha-256=::",    "sha-256",         "sha-256=(%.44s)", "sha-256=:%.44s:,",
        "=:%.44s:",      "md5=x",           "md5=:AA"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(other.digest, sizeof(other.digest), forms[i], right + 9);
#pragma GCC diagnostic pop
        assert_refused(client, &other, NULL, "bad_content_digest");
    }
    test_client_close(client);
    /* Two of a field: nobody knows which one an intermediary believed. */
    static const char *const twice[] = {"Content-Digest: md5=:AA==:\r\n",
                                        "Accept-Signature: a=" BOTH "\r\n"};
    for (size_t i = 0; i < 2; i++) {
        char fields[512];
        client = connect_as(&server, "demo");
        snprintf(fields, sizeof(fields), "%s%s", twice[i], twice[i]);
        assert_true(test_client_request(client, "POST", "/v1/verify", fields, "{}", &response));
        assert_int_equal(response.status, 400);
        assert_non_null(strstr(response.body, "\"code\":\"malformed_http\""));
        test_response_release(&response);
        test_client_close(client);
    }
    free(keys);
}

static void unknown_and_wrong_are_signed_alike(void **state)
{
    (void)state;
    struct test_client *client = connect_as(&server, "demo");
    char unknown[1024];
    struct question wrong = verify_question(body_about(8, "Không Ai Cả"));
    struct test_response a = ask(client, &wrong, "sig=" ALL ";nonce=\"n\"");
    strcpy(unknown, wrong.body);
    memcpy(strstr(unknown, "\"id\":\"") + 6, "096399999999", 12);
    memcpy(strstr(unknown, "\"date_of_birth\":\"") + 17, "1901", 4);
    struct question nobody = verify_question(unknown);
    struct test_response b = ask(client, &nobody, "sig=" ALL ";nonce=\"n\"");
    assert_int_equal(a.status, 200);
    assert_int_equal(b.status, 200);
    assert_non_null(strstr(b.body, "\"verdict\":\"not_verified\""));
    assert_int_equal(strlen(a.head), strlen(b.head));
    test_response_release(&a);
    test_response_release(&b);
    test_client_close(client);
}

/* More than a turn has for one connection: the rest waits for its turn and none is lost. */
static void pipelined_signed_answers_all_verify(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    char *keys = fetch_keys(), text[TEXT];
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(9, NULL));
    snprintf(text, sizeof(text),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Digest: %s\r\nAccept-Signature: sig=" ALL "\r\nContent-Length: %zu\r\n\r\n%s",
             question.digest, strlen(question.body), question.body);
    for (int i = 0; i < COUNT; i++) {
        assert_true(test_client_send_text(client, text));
    }
    for (int i = 0; i < COUNT; i++) {
        struct test_response response;
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        assert_true(is_signed(&response, &question, keys, "sig"));
        test_response_release(&response);
    }
    test_client_close(client);
    free(keys);
}

/* ---- keys ------------------------------------------------------------------------------------- */

static unsigned count_of(const char *text, const char *needle)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, needle)) != NULL; at++) {
        count++;
    }
    return count;
}

static void the_list_of_keys_names_them_by_thumbprint_and_has_no_secret(void **state)
{
    (void)state;
    char value[128];
    struct test_client *client = connect_as(&server, "narrow");
    struct test_response response;
    assert_true(
        test_client_request(client, "GET", "/.well-known/jwks.json", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    assert_string_equal(test_response_field(&response, "Cache-Control", value, sizeof(value)),
                        "max-age=3600");
    assert_string_equal(test_response_field(&response, "Content-Type", value, sizeof(value)),
                        "application/json");
    assert_non_null(strstr(response.head, "\r\nDate: "));
    assert_non_null(strstr(response.head, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_int_equal(count_of(response.body, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""),
                     4); /* two sign tokens */
    assert_int_equal(count_of(response.body, "\"use\":\"sig\",\"alg\":\"EdDSA\"}"), 4);
    assert_null(strstr(response.body, "\"d\""));
    for (char *at = response.body; (at = strstr(at, "\"x\":\"")) != NULL; at += 5) {
        char canonical[256], id[64]; /* RFC 7638 section 3.1 */
        uint8_t digest[crypto_hash_sha256_BYTES];
        int size = snprintf(canonical, sizeof(canonical),
                            "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%.43s\"}", at + 5);
        crypto_hash_sha256(digest, (const uint8_t *)canonical, (size_t)size);
        sodium_bin2base64(id, sizeof(id), digest, sizeof(digest),
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        assert_memory_equal(at + 5 + 43, "\",\"kid\":\"", 9);
        assert_memory_equal(at + 5 + 43 + 9, id, 43);
    }
    test_response_release(&response);
    test_client_close(client);
}

/* Whichever worker gives it, the list has so many keys. */
static void assert_have_keys(unsigned wanted)
{
    for (unsigned i = 0; i < 8; i++) {
        char *keys = fetch_keys();
        assert_int_equal(count_of(keys, "\"kid\""), wanted);
        free(keys);
    }
}

static void a_key_is_known_before_it_signs_and_after_it_did(void **state)
{
    (void)state;
    char *before = fetch_keys();
    struct test_client *client = connect_as(&server, "demo");
    struct question question = verify_question(body_about(10, NULL));
    struct test_response old = ask(client, &question, "sig=" ALL);
    assert_true(is_signed(&old, &question, before, "sig"));
    assert_int_equal(run(xacthuc(), "keys", "rotate", deployment("DIR"), "signing", NULL), 0);
    assert_have_keys(5); /* without a signal and without waiting: the command has waited */
    char *after = fetch_keys(), first[TEXT], second[TEXT];
    struct test_response new = ask(client, &question, "sig=" ALL); /* on the connection of before */
    assert_true(is_signed(&new, &question, before, "sig"));
    assert_true(is_signed(&new, &question, after, "sig"));
    assert_true(is_signed(&old, &question, after, "sig"));
    assert_non_null(test_response_field(&old, "Signature-Input", first, sizeof(first)));
    assert_non_null(test_response_field(&new, "Signature-Input", second, sizeof(second)));
    assert_memory_not_equal(strstr(first, "keyid="), strstr(second, "keyid="), 50);
    /* A file that does not add up is refused, and the keys of before go on. */
    char *text = read_text(deployment("DIR/keys/signing.key"));
    write_text(deployment("DIR/keys/signing.key"), "current\n");
    assert_int_equal(kill(server.pid, SIGHUP), 0);
    assert_true(server_log_has("\"reload_refused\"", 5000));
    assert_have_keys(5);
    write_text(deployment("DIR/keys/signing.key"), text);
    char *log = server_log();
    assert_null(strstr(log, strrchr(text, ' ') + 1));
    free(log);
    free(text);
    test_response_release(&old);
    test_response_release(&new);
    test_client_close(client);
    free(before);
    free(after);
}

/* The last test: a deployment of before there were such keys. */
static void without_keys_nothing_is_signed_and_whoever_asks_is_told(void **state)
{
    (void)state;
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(unlink(deployment("DIR/keys/signing.key")), 0);
    assert_int_equal(unlink(deployment("DIR/keys/token.key")), 0);
    server_start(&server, NULL);
    assert_true(server_log_has("\"signing_key_missing\"", 5000));
    assert_true(server_log_has("\"token_key_made\"", 5000)); /* nobody else's are forged by them */
    char *keys = fetch_keys();
    assert_int_equal(count_of(keys, "\"kid\""), 2);
    free(keys);
    struct question question = verify_question(body_about(11, NULL));
    struct test_client *client = connect_as(&server, "demo");
    assert_refused(client, &question, "sig=" ALL, "signature_not_possible");
    struct test_response response = ask(client, &question, NULL);
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(client);
    client = connect_as(&server, "sealed");
    response = ask(client, &question, NULL);
    assert_int_equal(response.status, 200);
    assert_null(strstr(response.head, "ignature"));
    test_response_release(&response);
    /* The command makes what is missing, and the connection that is open has signed answers then. */
    assert_int_equal(run(xacthuc(), "keys", "rotate", deployment("DIR"), "signing", NULL), 0);
    assert_have_keys(4);
    keys = fetch_keys();
    response = ask(client, &question, NULL);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.head, "\r\nSignature: "));
    test_response_release(&response);
    test_client_close(client);
    client = connect_as(&server, "demo");
    response = ask(client, &question, "sig=" ALL);
    assert_true(is_signed(&response, &question, keys, "sig"));
    test_response_release(&response);
    test_client_close(client);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_answer_verifies_and_is_bound_to_its_question),
        cmocka_unit_test(who_does_not_ask_gets_not_a_byte_more),
        cmocka_unit_test(refusals_are_signed_as_well),
        cmocka_unit_test(a_partner_with_the_right_needs_not_ask),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
        cmocka_unit_test(a_body_that_does_not_fit_its_digest_is_refused_and_the_refusal_signed),
        cmocka_unit_test(unknown_and_wrong_are_signed_alike),
        cmocka_unit_test(pipelined_signed_answers_all_verify),
        cmocka_unit_test(the_list_of_keys_names_them_by_thumbprint_and_has_no_secret),
        cmocka_unit_test(a_key_is_known_before_it_signs_and_after_it_did),
        cmocka_unit_test(without_keys_nothing_is_signed_and_whoever_asks_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
