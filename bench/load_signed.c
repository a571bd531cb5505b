#include "bench/load_signed.h"

#include <stdlib.h>

#include "core/json_document.h"
#include "core/plain_text.h"
#include "core/structured_field.h"
#include "crypto/answer_key.h"

#define KEYS_MAX 16
#define JWKS_MAX 65536
#define BASE_MAX 1024
#define SIGNATURE_SIZE (4 + XT_FIELD_BYTES_SIZE(XT_ANSWER_SIGNATURE)) /* sig=:...: */

struct xt_load_keys {
    unsigned count;
    struct {
        char id[XT_ANSWER_KEY_ID];
        uint8_t public[XT_ANSWER_PUBLIC];
    } list[KEYS_MAX];
};

static void take_key(const struct xt_json_value *key, struct xt_load_keys *keys)
{
    struct xt_span curve = xt_json_text(xt_json_member_of(key, "crv"));
    struct xt_span x = xt_json_text(xt_json_member_of(key, "x"));
    struct xt_span id = xt_json_text(xt_json_member_of(key, "kid"));
    size_t size = 0;
    if (xt_span_is(curve, "Ed25519") && id.size == XT_ANSWER_KEY_ID && x.size == XT_ANSWER_KEY_ID &&
        keys->count < KEYS_MAX && xt_base64url_decode(x, keys->list[keys->count].public, &size)) {
        memcpy(keys->list[keys->count++].id, id.data, XT_ANSWER_KEY_ID);
    }
}

enum xt_status xt_load_keys_open(const char *path, struct xt_load_keys **keys,
                                 struct xt_failure *failure)
{
    uint8_t *text = NULL;
    size_t size = 0;
    struct xt_json_document *document = NULL;
    struct xt_load_keys *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the keys");
    }
    enum xt_status status = xt_file_read(path, JWKS_MAX, &text, &size, failure);
    if (status == XT_OK) {
        status = xt_json_document_parse(xt_span_of(text, size), &document, failure);
    }
    if (status == XT_OK) {
        const struct xt_json_value *list =
            xt_json_member_of(xt_json_document_root(document), "keys");
        struct xt_json_walk walk = xt_json_walk_over(list);
        while (list != NULL && xt_json_walk_next(&walk)) {
            take_key(walk.value, made);
        }
        if (made->count == 0) {
            status =
                xt_fail(failure, XT_INVALID,
                        "%s has no Ed25519 key: take the server's /.well-known/jwks.json", path);
        }
    }
    xt_json_document_free(document);
    xt_file_release(text, size);
    if (status != XT_OK) {
        free(made);
        return status;
    }
    *keys = made;
    return XT_OK;
}

void xt_load_keys_close(struct xt_load_keys *keys)
{
    free(keys);
}

void xt_load_write_digest(struct xt_span body, struct xt_writer *writer)
{
    uint8_t digest[XT_SHA256];
    xt_sha256(body, digest);
    xt_write_literal(writer, "sha-256=");
    xt_field_write_bytes(writer, digest, sizeof(digest));
}

static const uint8_t *key_named(const struct xt_load_keys *keys, struct xt_span id)
{
    for (unsigned i = 0; i < keys->count; i++) {
        if (xt_span_equal(id, xt_span_of(keys->list[i].id, XT_ANSWER_KEY_ID))) {
            return keys->list[i].public;
        }
    }
    return NULL;
}

/* The key that Signature-Input names, which must cover what was asked for, in order; NULL: not so. */
static const uint8_t *read_input(const struct xt_load_keys *keys, struct xt_span input)
{
    static const char start[] = "sig=" XT_LOAD_SIGNED_LIST ";created=";
    static const char keyid[] = ";keyid=\"";
    size_t at = sizeof(start) - 1;
    if (input.size < at || memcmp(input.data, start, at) != 0) {
        return NULL;
    }
    while (at < input.size && input.data[at] >= '0' && input.data[at] <= '9') {
        at++;
    }
    if (input.size - at != sizeof(keyid) - 1 + XT_ANSWER_KEY_ID + 1 ||
        memcmp(input.data + at, keyid, sizeof(keyid) - 1) != 0) {
        return NULL;
    }
    return key_named(keys, xt_span_of(input.data + at + sizeof(keyid) - 1, XT_ANSWER_KEY_ID));
}

/* sig=:...: to bytes, by way of base64url, which is what core/ reads. */
static bool read_signature(struct xt_span field, uint8_t signature[XT_ANSWER_SIGNATURE])
{
    uint8_t text[SIGNATURE_SIZE];
    size_t size = 0;
    if (field.size != SIGNATURE_SIZE || memcmp(field.data, "sig=:", 5) != 0 ||
        memcmp(field.data + SIGNATURE_SIZE - 3, "==:", 3) != 0) {
        return false;
    }
    for (size_t i = 0; i < SIGNATURE_SIZE; i++) {
        uint8_t c = field.data[i];
        text[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    return xt_base64url_decode(xt_span_of(text + 5, SIGNATURE_SIZE - 8), signature, &size);
}

bool xt_load_is_signed(const struct xt_load_keys *keys, const struct xt_response_head *head,
                       struct xt_span body, struct xt_span request_digest, bool whole,
                       const char **why)
{
    uint8_t digest[XT_LOAD_DIGEST_SIZE], room[BASE_MAX], signature[XT_ANSWER_SIGNATURE];
    *why = "it is not signed";
    if (head->content_digest.size == 0 || head->signature_input.size == 0 ||
        head->signature.size == 0) {
        return false;
    }
    if (!whole) {
        return true;
    }
    struct xt_writer writer = xt_writer_over(digest, sizeof(digest));
    xt_load_write_digest(body, &writer);
    *why = "Content-Digest is not that of the body";
    if (!xt_span_equal(head->content_digest, xt_written(&writer))) {
        return false;
    }
    const uint8_t *public = read_input(keys, head->signature_input);
    *why = "Signature-Input is not what was asked for, or of a key that was not published";
    if (public == NULL) {
        return false;
    }
    struct xt_writer base = xt_writer_over(room, sizeof(room));
    const char status[3] = {(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
                            (char)('0' + head->status % 10)};
    xt_write_literal(&base, "\"@status\": ");
    xt_write(&base, status, sizeof(status));
    xt_write_literal(&base, "\n\"content-digest\": ");
    xt_write_span(&base, head->content_digest);
    xt_write_literal(&base, "\n\"@method\";req: POST\n\"@path\";req: /v1/verify\n"
                            "\"content-digest\";req: ");
    xt_write_span(&base, request_digest);
    xt_write_literal(&base, "\n\"@signature-params\": ");
    xt_write(&base, head->signature_input.data + 4, head->signature_input.size - 4);
    *why = "the signature does not verify";
    return !base.overflow && read_signature(head->signature, signature) &&
           xt_answer_signature_is_right(public, xt_written(&base), signature);
}
