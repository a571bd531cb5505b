#include "net/signature.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/structured_field.h"
#include "net/answer.h"
#include "net/request_line.h"

#define BASE_MAX 2048 /* bytes: every component at its largest takes about 1,300 */

static const struct {
    const char *name;
    bool of_request;
} components[XT_SIGNATURE_COMPONENTS] = {
    [XT_COVERS_STATUS] = {"@status", false},
    [XT_COVERS_CONTENT_DIGEST] = {"content-digest", false},
    [XT_COVERS_METHOD] = {"@method", true},
    [XT_COVERS_PATH] = {"@path", true},
    [XT_COVERS_REQUEST_DIGEST] = {"content-digest", true},
};

/* ---- Content-Digest --------------------------------------------------------------------------- */

/* The digest's one form in base64: what is written otherwise is not equal, and refused. */
static bool is_digest(struct xt_span base64, const uint8_t *digest, size_t size)
{
    uint8_t text[XT_FIELD_BYTES_SIZE(XT_SHA512)];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_field_write_bytes(&writer, digest, size);
    return xt_span_equal(base64, xt_span_of(text + 1, writer.size - 2));
}

static bool digest_is_right(struct xt_span algorithm, const struct xt_field_value *value,
                            struct xt_span body, bool *known)
{
    uint8_t digest[XT_SHA512];
    if (value->type != XT_FIELD_BYTES) {
        return false;
    }
    if (xt_span_is(algorithm, "sha-256")) {
        *known = true;
        xt_sha256(body, digest);
        return is_digest(value->text, digest, XT_SHA256);
    }
    if (xt_span_is(algorithm, "sha-512")) {
        *known = true;
        xt_sha512(body, digest);
        return is_digest(value->text, digest, XT_SHA512);
    }
    return true; /* of algorithms that nobody should trust any more: RFC 9530 has us ignore them */
}

/* A field of one member or a few: each that we know must be right. */
static bool read_digest(const struct xt_http_request *request, struct xt_signing *signing)
{
    struct xt_span field = request->content_digest, algorithm;
    struct xt_span body = xt_span_of(request->body, request->body_size);
    struct xt_field_reader reader = xt_field_over(field);
    struct xt_field_value value;
    bool known = false, right = field.size <= XT_SIGNATURE_FIELD_MAX;
    while (right && xt_field_member(&reader, &algorithm, &value)) {
        right = digest_is_right(algorithm, &value, body, &known);
    }
    if (known && !reader.bad) {
        signing->request_digest = field;
    }
    return right && !reader.bad;
}

/* ---- Accept-Signature ------------------------------------------------------------------------- */

static bool is_true(const struct xt_field_value *value)
{
    return value->type == XT_FIELD_BOOLEAN && value->number == 1;
}

static bool read_component(struct xt_field_reader *reader, const struct xt_field_value *item,
                           struct xt_signing *signing)
{
    struct xt_span key;
    struct xt_field_value value;
    bool of_request = false;
    while (xt_field_parameter(reader, &key, &value)) {
        if (!xt_span_is(key, "req") || !is_true(&value) || of_request) {
            return false;
        }
        of_request = true;
    }
    for (unsigned i = 0; item->type == XT_FIELD_STRING && i < XT_SIGNATURE_COMPONENTS; i++) {
        if (of_request != components[i].of_request || !xt_span_is(item->text, components[i].name)) {
            continue;
        }
        for (unsigned j = 0; j < signing->count; j++) {
            if (signing->components[j] == i) {
                return false; /* none stands twice (RFC 9421 section 2) */
            }
        }
        signing->components[signing->count++] = (uint8_t)i;
        return true;
    }
    return false;
}

static bool take_text(const struct xt_field_value *value, struct xt_span *text)
{
    if (value->type != XT_FIELD_STRING || value->text.size > XT_SIGNATURE_TEXT_MAX ||
        text->data != NULL) {
        return false;
    }
    *text = value->text;
    return true;
}

static bool read_parameter(struct xt_span key, const struct xt_field_value *value,
                           const struct xt_answer_keys *keys, struct xt_signing *signing)
{
    if (xt_span_is(key, "created")) { /* always there */
        return is_true(value);
    }
    if (xt_span_is(key,
                   "keyid")) { /* the same; or a certain one, which must be the one that signs */
        return is_true(value) || (value->type == XT_FIELD_STRING &&
                                  xt_span_is(value->text, xt_answer_keys_current(keys)->id));
    }
    if (xt_span_is(key, "alg")) {
        signing->with_alg = true;
        return value->type == XT_FIELD_STRING && xt_span_is(value->text, "ed25519");
    }
    if (xt_span_is(key, "nonce")) {
        return take_text(value, &signing->nonce);
    }
    return xt_span_is(key, "tag") && take_text(value, &signing->tag);
}

static bool covers(const struct xt_signing *signing, enum xt_signature_component component)
{
    return memchr(signing->components, component, signing->count) != NULL;
}

/* What a component of the request needs is there. */
static bool is_applicable(const struct xt_http_request *request, const struct xt_signing *signing)
{
    return covers(signing, XT_COVERS_STATUS) && covers(signing, XT_COVERS_CONTENT_DIGEST) &&
           (!covers(signing, XT_COVERS_PATH) || request->path.size <= XT_SIGNATURE_FIELD_MAX) &&
           (!covers(signing, XT_COVERS_REQUEST_DIGEST) || signing->request_digest.size > 0);
}

/* One signature: whoever wants two asks twice. */
static bool read_wish(const struct xt_http_request *request, const struct xt_answer_keys *keys,
                      struct xt_signing *signing)
{
    struct xt_field_reader reader = xt_field_over(request->accept_signature);
    struct xt_span key;
    struct xt_field_value value;
    bool fine = xt_field_member(&reader, &signing->label, &value) && value.type == XT_FIELD_LIST &&
                signing->label.size <= XT_SIGNATURE_LABEL_MAX;
    while (fine && xt_field_item(&reader, &value)) {
        fine = read_component(&reader, &value, signing);
    }
    while (fine && xt_field_parameter(&reader, &key, &value)) {
        fine = read_parameter(key, &value, keys, signing);
    }
    return fine && !xt_field_member(&reader, &key, &value) && !reader.bad &&
           is_applicable(request, signing);
}

enum xt_problem xt_signature_read(const struct xt_http_request *request,
                                  const struct xt_answer_keys *keys, struct xt_signing *signing)
{
    *signing = (struct xt_signing){0};
    bool digest_is_right = request->content_digest.size == 0 || read_digest(request, signing);
    if (request->accept_signature.size > 0) {
        signing->wanted = keys != NULL && read_wish(request, keys, signing);
    }
    if (!digest_is_right) {
        return XT_PROBLEM_BAD_CONTENT_DIGEST;
    }
    return request->accept_signature.size > 0 && !signing->wanted
               ? XT_PROBLEM_SIGNATURE_NOT_POSSIBLE
               : XT_PROBLEM_NONE;
}

void xt_signature_by_right(const struct xt_http_request *request, struct xt_signing *signing)
{
    struct xt_span digest = signing->request_digest;
    *signing = (struct xt_signing){
        .wanted = request->path.size <= XT_SIGNATURE_FIELD_MAX,
        .count = digest.size > 0 ? XT_SIGNATURE_COMPONENTS : XT_SIGNATURE_COMPONENTS - 1,
        .components = {XT_COVERS_STATUS, XT_COVERS_CONTENT_DIGEST, XT_COVERS_METHOD, XT_COVERS_PATH,
                       XT_COVERS_REQUEST_DIGEST},
        .label = xt_span_of_string("sig"),
        .request_digest = digest};
}

/* ---- the signature ---------------------------------------------------------------------------- */

static void write_text(struct xt_writer *writer, const char *name, struct xt_span text)
{
    if (text.data != NULL) {
        xt_write_string(writer, name);
        xt_write_span(writer, text);
        xt_write_byte(writer, '"');
    }
}

static void write_component(struct xt_writer *writer, unsigned component)
{
    xt_write_byte(writer, '"');
    xt_write_string(writer, components[component].name);
    xt_write_byte(writer, '"');
    if (components[component].of_request) {
        xt_write_literal(writer, ";req");
    }
}

/* The value of @signature-params, which is that of Signature-Input as well. */
static void write_parameters(const struct xt_signing *signing, const char *key_id, uint64_t unix_s,
                             struct xt_writer *writer)
{
    char created[48];
    for (unsigned i = 0; i < signing->count; i++) {
        xt_write_byte(writer, i == 0 ? '(' : ' ');
        write_component(writer, signing->components[i]);
    }
    snprintf(created, sizeof(created), ");created=%" PRIu64, unix_s);
    xt_write_string(writer, created);
    write_text(writer, ";keyid=\"", xt_span_of(key_id, XT_ANSWER_KEY_ID));
    if (signing->with_alg) {
        xt_write_literal(writer, ";alg=\"ed25519\"");
    }
    write_text(writer, ";nonce=\"", signing->nonce);
    write_text(writer, ";tag=\"", signing->tag);
}

static void write_value(unsigned component, const struct xt_signing *signing,
                        const struct xt_http_request *request, unsigned status,
                        struct xt_span digest, struct xt_writer *base)
{
    const char code[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                          (char)('0' + status % 10)};
    switch ((enum xt_signature_component)component) {
    case XT_COVERS_STATUS:
        xt_write(base, code, sizeof(code));
        break;
    case XT_COVERS_CONTENT_DIGEST:
        xt_write_span(base, digest);
        break;
    case XT_COVERS_METHOD:
        xt_write_string(base, xt_method_name(request->method));
        break;
    case XT_COVERS_PATH:
        xt_write_span(base, request->path);
        break;
    case XT_COVERS_REQUEST_DIGEST:
        xt_write_span(base, signing->request_digest);
        break;
    case XT_SIGNATURE_COMPONENTS:
        break;
    }
}

void xt_signature_write(const struct xt_answer_keys *keys, const struct xt_signing *signing,
                        const struct xt_http_request *request, unsigned status, struct xt_span body,
                        uint64_t unix_s, struct xt_writer *lines)
{
    uint8_t room[BASE_MAX], sha256[XT_SHA256], signature[XT_ANSWER_SIGNATURE];
    struct xt_writer base = xt_writer_over(room, sizeof(room));
    const uint8_t *text = lines->data;
    xt_require(text != NULL);
    xt_sha256(body, sha256);
    xt_write_literal(lines, "Content-Digest: ");
    size_t start = lines->size;
    xt_write_literal(lines, "sha-256=");
    xt_field_write_bytes(lines, sha256, sizeof(sha256));
    struct xt_span digest = xt_span_of(text + start, lines->size - start);
    xt_write_literal(lines, "\r\nSignature-Input: ");
    xt_write_span(lines, signing->label);
    xt_write_byte(lines, '=');
    start = lines->size;
    write_parameters(signing, xt_answer_keys_current(keys)->id, unix_s, lines);
    struct xt_span parameters = xt_span_of(text + start, lines->size - start);
    for (unsigned i = 0; i < signing->count; i++) { /* RFC 9421 section 2.5 */
        write_component(&base, signing->components[i]);
        xt_write_literal(&base, ": ");
        write_value(signing->components[i], signing, request, status, digest, &base);
        xt_write_byte(&base, '\n');
    }
    xt_write_literal(&base, "\"@signature-params\": ");
    xt_write_span(&base, parameters);
    xt_require(!base.overflow);
    xt_answer_sign(keys, xt_written(&base), signature);
    xt_write_literal(lines, "\r\nSignature: ");
    xt_write_span(lines, signing->label);
    xt_write_byte(lines, '=');
    xt_field_write_bytes(lines, signature, sizeof(signature));
    xt_write_literal(lines, "\r\n");
    xt_require(!lines->overflow);
}
