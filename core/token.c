#include "core/token.h"

#include "core/jose.h"
#include "core/json.h"
#include "core/plain_text.h"
#include "core/policy.h"

/* ---- texts ------------------------------------------------------------------------------------ */

static bool is_plain(struct xt_span text, size_t most)
{
    if (text.size == 0 || text.size > most) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte <= ' ' || byte > '~' || byte == '"' || byte == '\\') {
            return false;
        }
    }
    return true;
}

bool xt_token_text_is_valid(struct xt_span text)
{
    return is_plain(text, XT_TOKEN_TEXT_MAX);
}

static bool is_valid(const struct xt_token *token)
{
    bool fine = xt_token_text_is_valid(token->issuer) && xt_token_text_is_valid(token->audience) &&
                xt_policy_name_is_valid(token->client) && token->issued_s >= 0 &&
                token->expires_s > token->issued_s &&
                token->expires_s - token->issued_s <= XT_TOKEN_LIFETIME_MAX_S &&
                token->level >= 1 && token->level <= 4 && token->method_count >= 1 &&
                token->method_count <= XT_TOKEN_METHODS_MAX;
    for (unsigned i = 0; fine && i < token->method_count; i++) {
        fine = is_plain(token->methods[i], XT_TOKEN_METHOD_MAX);
    }
    return fine;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_assurance(struct xt_writer *writer, const struct xt_token *token)
{
    xt_write_literal(writer, ",\"acr\":\"");
    xt_write_digits(writer, token->level);
    xt_write_literal(writer, "\",\"amr\":[");
    for (unsigned i = 0; i < token->method_count; i++) {
        xt_write_string(writer, i == 0 ? "\"" : ",\"");
        xt_write_span(writer, token->methods[i]);
        xt_write_byte(writer, '"');
    }
    xt_write_byte(writer, ']');
}

void xt_token_members_write(const struct xt_token *token, struct xt_writer *writer)
{
    xt_write_literal(writer, "\"iss\":\"");
    xt_write_span(writer, token->issuer);
    xt_write_literal(writer, "\",\"sub\":\"");
    xt_base64url_write(writer, xt_span_of(token->subject, XT_TOKEN_SUBJECT));
    xt_write_literal(writer, "\",\"aud\":\"");
    xt_write_span(writer, token->audience);
    xt_write_literal(writer, "\",\"client_id\":\"");
    xt_write_span(writer, token->client);
    xt_write_literal(writer, "\",\"iat\":");
    xt_write_digits(writer, token->issued_s);
    xt_write_literal(writer, ",\"exp\":");
    xt_write_digits(writer, token->expires_s);
    xt_write_literal(writer, ",\"jti\":\"");
    xt_base64url_write(writer, xt_span_of(token->handle, XT_TOKEN_HANDLE));
    xt_write_byte(writer, '"');
    write_assurance(writer, token);
    xt_write_literal(writer, ",\"cnf\":{\"x5t#S256\":\"");
    xt_base64url_write(writer, xt_span_of(token->certificate, XT_TOKEN_CERTIFICATE));
    xt_write_literal(writer, "\"}");
}

void xt_token_claims_write(const struct xt_token *token, struct xt_writer *writer)
{
    xt_require(is_valid(token));
    xt_write_byte(writer, '{');
    xt_token_members_write(token, writer);
    xt_write_byte(writer, '}');
}

void xt_token_id_claims_write(const struct xt_token *token, int64_t authenticated_s,
                              struct xt_writer *writer)
{
    xt_require(is_valid(token) && authenticated_s >= 0);
    xt_write_literal(writer, "{\"iss\":\"");
    xt_write_span(writer, token->issuer);
    xt_write_literal(writer, "\",\"sub\":\"");
    xt_base64url_write(writer, xt_span_of(token->subject, XT_TOKEN_SUBJECT));
    xt_write_literal(writer, "\",\"aud\":\"");
    xt_write_span(writer, token->client);
    xt_write_literal(writer, "\",\"iat\":");
    xt_write_digits(writer, token->issued_s);
    xt_write_literal(writer, ",\"exp\":");
    xt_write_digits(writer, token->expires_s);
    xt_write_literal(writer, ",\"auth_time\":");
    xt_write_digits(writer, authenticated_s);
    write_assurance(writer, token);
    xt_write_byte(writer, '}');
}

/* ---- reading ---------------------------------------------------------------------------------- */

enum claim { ISS, SUB, AUD, CLIENT_ID, IAT, EXP, JTI, ACR, AMR, CNF, CLAIMS };
static const struct xt_json_member CLAIM_NAMES[CLAIMS] = {
    XT_JSON_MEMBER("iss", ISS), XT_JSON_MEMBER("sub", SUB),
    XT_JSON_MEMBER("aud", AUD), XT_JSON_MEMBER("client_id", CLIENT_ID),
    XT_JSON_MEMBER("iat", IAT), XT_JSON_MEMBER("exp", EXP),
    XT_JSON_MEMBER("jti", JTI), XT_JSON_MEMBER("acr", ACR),
    XT_JSON_MEMBER("amr", AMR), XT_JSON_MEMBER("cnf", CNF),
};

/* Bytes of a fixed number in base64url. */
static bool take_bytes(yyjson_val *value, uint8_t *bytes, size_t size)
{
    size_t got = 0;
    struct xt_span text = yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
    return text.size == (size * 4 + 2) / 3 && xt_base64url_decode(text, bytes, &got) && got == size;
}

static bool take_seconds(yyjson_val *value, int64_t *seconds)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > UINT32_MAX) {
        return false; /* the year 2106 */
    }
    *seconds = (int64_t)yyjson_get_uint(value);
    return true;
}

static bool take_text(yyjson_val *value, struct xt_span *text)
{
    *text = yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
    return text->size > 0;
}

static bool take_methods(yyjson_val *value, struct xt_token *token)
{
    if (!yyjson_is_arr(value) || yyjson_arr_size(value) > XT_TOKEN_METHODS_MAX) {
        return false;
    }
    yyjson_arr_iter iterator = yyjson_arr_iter_with(value);
    for (yyjson_val *method; (method = yyjson_arr_iter_next(&iterator)) != NULL;) {
        if (!take_text(method, &token->methods[token->method_count++])) {
            return false;
        }
    }
    return true;
}

static bool take_confirmation(yyjson_val *value, struct xt_token *token)
{
    return yyjson_is_obj(value) && yyjson_obj_size(value) == 1 &&
           take_bytes(yyjson_obj_get(value, "x5t#S256"), token->certificate, XT_TOKEN_CERTIFICATE);
}

static bool take_claim(enum claim claim, yyjson_val *value, struct xt_token *token)
{
    struct xt_span text;
    switch (claim) {
    case ISS:
        return take_text(value, &token->issuer);
    case SUB:
        return take_bytes(value, token->subject, XT_TOKEN_SUBJECT);
    case AUD:
        return take_text(value, &token->audience);
    case CLIENT_ID:
        return take_text(value, &token->client);
    case IAT:
        return take_seconds(value, &token->issued_s);
    case EXP:
        return take_seconds(value, &token->expires_s);
    case JTI:
        return take_bytes(value, token->handle, XT_TOKEN_HANDLE);
    case ACR:
        token->level = take_text(value, &text) && text.size == 1 ? (unsigned)text.data[0] - '0' : 0;
        return token->level != 0;
    case AMR:
        return take_methods(value, token);
    default:
        return take_confirmation(value, token);
    }
}

/* ---- reading our own ---------------------------------------------------------------------------- */

static bool skip(struct xt_span *rest, const char *text, size_t size)
{
    if (rest->size < size || memcmp(rest->data, text, size) != 0) {
        return false;
    }
    *rest = xt_span_of(rest->data + size, rest->size - size);
    return true;
}
#define SKIP(rest, literal) skip(rest, literal, sizeof(literal) - 1)

/* Up to the next quotation mark, which is taken as well. What may not stand in a text is found by is_valid. */
static bool take_quoted(struct xt_span *rest, struct xt_span *text)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '"', rest->size);
    if (end == NULL) {
        return false;
    }
    *text = xt_span_of(rest->data, (size_t)(end - rest->data));
    *rest = xt_span_of(end + 1, rest->size - text->size - 1);
    return true;
}

static bool take_quoted_bytes(struct xt_span *rest, uint8_t *bytes, size_t size)
{
    struct xt_span text;
    size_t got = 0;
    return take_quoted(rest, &text) && text.size == (size * 4 + 2) / 3 &&
           xt_base64url_decode(text, bytes, &got) && got == size;
}

static bool take_digits(struct xt_span *rest, int64_t *seconds)
{
    size_t count = 0;
    *seconds = 0;
    for (; count < rest->size && count < 10 && rest->data[count] >= '0' && rest->data[count] <= '9';
         count++) {
        *seconds = *seconds * 10 + (rest->data[count] - '0');
    }
    bool fine = count > 0 && *seconds <= UINT32_MAX && (rest->data[0] != '0' || count == 1);
    *rest = xt_span_of(rest->data + count, rest->size - count);
    return fine;
}

static bool take_quoted_methods(struct xt_span *rest, struct xt_token *token)
{
    do {
        if (token->method_count == XT_TOKEN_METHODS_MAX || !SKIP(rest, "\"") ||
            !take_quoted(rest, &token->methods[token->method_count++])) {
            return false;
        }
    } while (SKIP(rest, ","));
    return true;
}

/* Claims as xt_token_claims_write writes them, in one pass: what is read so the parser reads as the same. false: it may
 * be another form. */
static bool read_own(struct xt_span text, struct xt_json_arena arena, struct xt_token *token)
{
    struct xt_span acr, json = xt_span_of(arena.memory, text.size);
    if (text.size > arena.size) {
        return false;
    }
    memcpy(arena.memory, text.data,
           text.size); /* what is read is borrowed from there, as the parser has it */
    bool fine =
        SKIP(&json, "{\"iss\":\"") && take_quoted(&json, &token->issuer) &&
        SKIP(&json, ",\"sub\":\"") && take_quoted_bytes(&json, token->subject, XT_TOKEN_SUBJECT) &&
        SKIP(&json, ",\"aud\":\"") && take_quoted(&json, &token->audience) &&
        SKIP(&json, ",\"client_id\":\"") && take_quoted(&json, &token->client) &&
        SKIP(&json, ",\"iat\":") && take_digits(&json, &token->issued_s) &&
        SKIP(&json, ",\"exp\":") && take_digits(&json, &token->expires_s) &&
        SKIP(&json, ",\"jti\":\"") && take_quoted_bytes(&json, token->handle, XT_TOKEN_HANDLE) &&
        SKIP(&json, ",\"acr\":\"") && take_quoted(&json, &acr) && acr.size == 1 &&
        SKIP(&json, ",\"amr\":[") && take_quoted_methods(&json, token) &&
        SKIP(&json, "],\"cnf\":{\"x5t#S256\":\"") &&
        take_quoted_bytes(&json, token->certificate, XT_TOKEN_CERTIFICATE) && SKIP(&json, "}}") &&
        json.size == 0;
    token->level = fine ? (unsigned)acr.data[0] - '0' : 0;
    token->members = xt_span_of(arena.memory + 1, text.size < 2 ? 0 : text.size - 2);
    return fine && is_valid(token);
}

enum xt_status xt_token_claims_read(struct xt_span json, struct xt_json_arena arena,
                                    struct xt_token *token)
{
    const char *code = NULL;
    unsigned next = 0;
    uint32_t seen = 0;
    *token = (struct xt_token){.level = 0};
    if (json.size <= XT_TOKEN_CLAIMS_MAX && read_own(json, arena, token)) {
        return XT_OK;
    }
    *token = (struct xt_token){.level = 0};
    yyjson_val *object = json.size > XT_TOKEN_CLAIMS_MAX ? NULL : xt_json_read(json, arena, &code);
    if (object == NULL) {
        return XT_INVALID;
    }
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(CLAIM_NAMES, CLAIMS, key, &next);
        if (member == NULL || (seen & 1U << member->what) != 0 ||
            !take_claim((enum claim)member->what, yyjson_obj_iter_get_val(key), token)) {
            return XT_INVALID;
        }
        seen |= 1U << member->what;
    }
    return seen == (1U << CLAIMS) - 1 && is_valid(token) ? XT_OK : XT_INVALID;
}

bool xt_token_is_in_time(const struct xt_token *token, int64_t now_s)
{
    return token->issued_s <= now_s + XT_TOKEN_LEEWAY_S && now_s < token->expires_s;
}
