#include "core/jose.h"

#include "core/json.h"
#include "core/plain_text.h"

enum { ALGORITHM, TYPE, KEY_ID };
static const struct xt_json_member IN_HEADER[] = {
    XT_JSON_MEMBER("alg", ALGORITHM),
    XT_JSON_MEMBER("typ", TYPE),
    XT_JSON_MEMBER("kid", KEY_ID),
};
#define HEADER_MAX 512 /* bytes */
#define TEXT_MAX 255   /* bytes of typ and kid: a device_id is one */

/* Cuts off what stands before the next dot. */
static bool cut(struct xt_span *rest, struct xt_span *part)
{
    const uint8_t *dot = rest->size == 0 ? NULL : memchr(rest->data, '.', rest->size);
    if (dot == NULL) {
        return false;
    }
    *part = xt_span_of(rest->data, (size_t)(dot - rest->data));
    *rest = xt_span_of(dot + 1, rest->size - part->size - 1);
    return true;
}

static bool take_algorithm(struct xt_span name, enum xt_jose_algorithm *algorithm)
{
    *algorithm = xt_span_is(name, "EdDSA") ? XT_JOSE_EDDSA : XT_JOSE_ES256;
    return *algorithm == XT_JOSE_EDDSA || xt_span_is(name, "ES256");
}

static bool take_member(yyjson_val *key, yyjson_val *value, unsigned *next, uint32_t *seen,
                        struct xt_jose *jose)
{
    const struct xt_json_member *member =
        xt_json_find(IN_HEADER, sizeof(IN_HEADER) / sizeof(IN_HEADER[0]), key, next);
    if (member == NULL || !yyjson_is_str(value) || (*seen & 1U << member->what) != 0) {
        return false;
    }
    *seen |= 1U << member->what;
    struct xt_span text = xt_json_string(value);
    if (member->what == ALGORITHM) {
        return take_algorithm(text, &jose->algorithm);
    }
    *(member->what == TYPE ? &jose->type : &jose->key_id) = text;
    return xt_text_check(text, TEXT_MAX) == NULL;
}

/* {"typ":"at+jwt","alg":"EdDSA","kid":"43 digits of base64url"}: how our own access tokens begin, read without a
 * parser. false: it may be another form. The id is kept in the arena. */
#define OWN_START "{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\""
#define OWN_KEY_ID 43
static bool read_own_header(struct xt_span header, struct xt_json_arena arena, struct xt_jose *jose)
{
    const size_t start = sizeof(OWN_START) - 1;
    size_t length = 0;
    if (header.size != start + OWN_KEY_ID + 2 || arena.size < OWN_KEY_ID ||
        memcmp(header.data, OWN_START, start) != 0 ||
        memcmp(header.data + start + OWN_KEY_ID, "\"}", 2) != 0 ||
        !xt_base64url_decode(xt_span_of(header.data + start, OWN_KEY_ID), NULL, &length)) {
        return false;
    }
    memcpy(arena.memory, header.data + start, OWN_KEY_ID);
    jose->algorithm = XT_JOSE_EDDSA;
    jose->type = xt_span_of_string("at+jwt");
    jose->key_id = xt_span_of(arena.memory, OWN_KEY_ID);
    return true;
}

static bool read_header(struct xt_span encoded, struct xt_json_arena arena, struct xt_jose *jose)
{
    uint8_t header[HEADER_MAX];
    size_t size = 0;
    const char *code = NULL;
    if (encoded.size > HEADER_MAX || !xt_base64url_decode(encoded, header, &size)) {
        return false;
    }
    if (read_own_header(xt_span_of(header, size), arena, jose)) {
        return true;
    }
    yyjson_val *object = xt_json_read(xt_span_of(header, size), arena, &code);
    if (object == NULL) {
        return false;
    }
    unsigned next = 0;
    uint32_t seen = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        if (!take_member(key, yyjson_obj_iter_get_val(key), &next, &seen, jose)) {
            return false;
        }
    }
    return (seen & 1U << ALGORITHM) != 0;
}

enum xt_status xt_jose_read(struct xt_span text, struct xt_json_arena arena, uint8_t *payload,
                            struct xt_jose *jose)
{
    struct xt_span rest = text, header, body;
    size_t size = 0;
    *jose = (struct xt_jose){.algorithm = XT_JOSE_EDDSA};
    if (text.size > XT_JOSE_MAX) {
        return XT_TOO_LARGE;
    }
    if (!cut(&rest, &header) || !cut(&rest, &body) ||
        rest.size != (XT_JOSE_SIGNATURE * 4 + 2) / 3 ||
        !xt_base64url_decode(rest, jose->signature, &size) || size != XT_JOSE_SIGNATURE ||
        !xt_base64url_decode(body, payload, &size)) {
        return XT_INVALID;
    }
    jose->payload = xt_span_of(payload, size);
    jose->signed_part = xt_span_of(text.data, header.size + 1 + body.size);
    return read_header(header, arena, jose) ? XT_OK : XT_INVALID;
}

void xt_base64url_write(struct xt_writer *writer, struct xt_span bytes)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t whole = bytes.size / 3, left = bytes.size % 3;
    uint8_t *place = xt_write_reserve(writer, whole * 4 + (left > 0 ? left + 1 : 0));
    if (place == NULL) {
        return;
    }
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < whole; i++, at += 3, place += 4) {
        uint32_t group = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        place[0] = (uint8_t)DIGITS[group >> 18];
        place[1] = (uint8_t)DIGITS[group >> 12 & 63];
        place[2] = (uint8_t)DIGITS[group >> 6 & 63];
        place[3] = (uint8_t)DIGITS[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0);
        for (unsigned digit = 0; digit < left + 1; digit++) {
            place[digit] = (uint8_t)DIGITS[group >> (18 - 6 * digit) & 63];
        }
    }
}
