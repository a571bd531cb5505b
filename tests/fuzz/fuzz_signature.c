/* "Accept-Signature LF Content-Digest LF body": whatever is taken can be signed, fits, covers the status
 * and the body, verifies, and is a structured field itself. */
#include "net/signature.h"

#include "core/structured_field.h"
#include "crypto/keyring.h"
#include "net/answer.h"
#include "tests/fuzz/fuzz.h"

static struct xt_span part(struct xt_span *rest)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    struct xt_span line = xt_span_of(rest->data, size);
    *rest = xt_span_of(rest->data + size, rest->size - size);
    if (rest->size > 0) {
        *rest = xt_span_of(rest->data + 1, rest->size - 1);
    }
    return line;
}

static struct xt_answer_keys *open_keys(void)
{
    struct xt_answer_keys *keys = NULL;
    xt_crypto_start();
    xt_require(
        xt_answer_keys_open(xt_span_of_string("current  2026-01-01T00:00:00Z 9d61b19deffd5a60ba844a"
                                              "f492ec2cc44449c5697b326919703bac031cae7f60\n"),
                            &keys) == XT_OK);
    return keys;
}

/* The value of a field of the answer. */
static struct xt_span field_of(struct xt_span lines, const char *name)
{
    const uint8_t *at = memmem(lines.data, lines.size, name, strlen(name));
    xt_require(at != NULL);
    at += strlen(name);
    const uint8_t *end = memchr(at, '\r', (size_t)(lines.data + lines.size - at));
    xt_require(end != NULL);
    return xt_span_of(at, (size_t)(end - at));
}

static void check(struct xt_span lines)
{
    static const char *const names[] = {
        "Content-Digest: ", "\r\nSignature-Input: ", "\r\nSignature: "};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct xt_field_reader reader = xt_field_over(field_of(lines, names[i]));
        struct xt_span key;
        struct xt_field_value value;
        xt_require(xt_field_member(&reader, &key, &value));
        xt_require(!xt_field_member(&reader, &key, &value) && !reader.bad);
    }
    struct xt_span input = field_of(lines, names[1]);
    xt_require(memmem(input.data, input.size, "\"@status\"", 9) != NULL);
    xt_require(memmem(input.data, input.size, "\"content-digest\"", 16) != NULL);
}

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_answer_keys *keys;
    keys = keys == NULL ? open_keys() : keys;
    struct xt_span rest = xt_span_of(data, size);
    struct xt_http_request request = {.method = XT_POST, .path = xt_span_of_string("/v1/verify")};
    request.accept_signature = part(&rest);
    request.content_digest = part(&rest);
    request.body = fuzz_copy(rest.data, rest.size, XT_HTTP_BODY_PADDING);
    request.body_size = rest.size;
    struct xt_signing signing;
    enum xt_problem problem = xt_signature_read(&request, keys, &signing);
    xt_require(problem != XT_PROBLEM_NONE || signing.wanted == (request.accept_signature.size > 0));
    if (!signing.wanted) {
        xt_signature_by_right(&request, &signing);
    }
    uint8_t room[XT_SIGNATURE_LINES_MAX];
    struct xt_writer lines = xt_writer_over(room, sizeof(room));
    xt_signature_write(keys, &signing, &request, 200, xt_span_of_string("{}"), 1800000000, &lines);
    check(xt_written(&lines));
    free(request.body);
}
