#include "core/authenticate.h"

#include <stdio.h>

#include "core/authenticate_internal.h"
#include "core/plain_text.h"
#include "core/policy.h"
#include "core/token.h"

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))
#define SEEN(what) (1U << (what))
#define SIGNATURE_CHARACTERS 86 /* of XT_SIGNATURE_BYTES */

static const struct xt_json_member FACTORS[] = {
    XT_JSON_MEMBER("passcode", XT_FACTOR_PASSCODE),
    XT_JSON_MEMBER("device_key", XT_FACTOR_DEVICE_KEY),
    XT_JSON_MEMBER("card_chip", XT_FACTOR_CARD_CHIP),
};

enum { ID, AUDIENCE, PURPOSE, FACTOR, FACTOR_LIST, REQUEST, DECISION };
static const struct xt_json_member OF_CHALLENGE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("factor", FACTOR),
    XT_JSON_MEMBER("audience", AUDIENCE),
};
static const struct xt_json_member OF_AUTHENTICATE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("audience", AUDIENCE),
    XT_JSON_MEMBER("purpose", PURPOSE),
    XT_JSON_MEMBER("factors", FACTOR_LIST),
};

enum { TYPE, VALUE, DEVICE_ID, CHALLENGE, SIGNATURE };
static const struct xt_json_member IN_FACTOR[] = {
    XT_JSON_MEMBER("type", TYPE),           XT_JSON_MEMBER("value", VALUE),
    XT_JSON_MEMBER("device_id", DEVICE_ID), XT_JSON_MEMBER("challenge", CHALLENGE),
    XT_JSON_MEMBER("signature", SIGNATURE),
};
/* What each type has, by the number of its bit. */
static const uint32_t WANTED[XT_FACTOR_COUNT] = {
    SEEN(TYPE) | SEEN(VALUE),
    SEEN(TYPE) | SEEN(DEVICE_ID) | SEEN(CHALLENGE) | SEEN(SIGNATURE),
    SEEN(TYPE) | SEEN(CHALLENGE) | SEEN(SIGNATURE),
};

const char *xt_factor_name(enum xt_factor factor)
{
    return FACTORS[__builtin_ctz((unsigned)factor)].name;
}

/* Notes one finding; parent and name make the pointer. */
static void report(struct xt_request_errors *errors, const char *code, const char *parent,
                   const char *name)
{
    if (errors->count == XT_REQUEST_ERRORS_MAX) {
        return;
    }
    struct xt_request_error *error = &errors->list[errors->count++];
    error->code = code;
    (void)snprintf(error->pointer, sizeof error->pointer, "%s%s", parent, name);
}

/* Reads one member of the table's; what is wrong with it, or NULL. */
typedef const char *read_one(void *into, unsigned what, yyjson_val *value,
                             struct xt_request_errors *errors);

/* Reads an object's members; parent is its pointer. Gives the set of those that were there. */
static uint32_t read_members(yyjson_val *object, const struct xt_json_member *table, unsigned count,
                             const char *parent, read_one *read, void *into,
                             struct xt_request_errors *errors)
{
    uint32_t seen = 0;
    unsigned next = 0;
    char under[32];
    (void)snprintf(under, sizeof(under), "%s/", parent);
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(table, count, key, &next);
        if (member == NULL) {
            report(errors, "unknown_member", parent, "");
            continue;
        }
        const char *code = (seen & SEEN(member->what)) != 0
                               ? "duplicate_member"
                               : read(into, member->what, yyjson_obj_iter_get_val(key), errors);
        seen |= SEEN(member->what);
        if (code != NULL) {
            report(errors, code, under, member->name);
        }
    }
    return seen;
}

static void want(uint32_t wanted, uint32_t seen, const struct xt_json_member *table, unsigned count,
                 const char *parent, struct xt_request_errors *errors)
{
    char under[32];
    (void)snprintf(under, sizeof(under), "%s/", parent);
    for (unsigned i = 0; i < count; i++) {
        if ((wanted & ~seen & SEEN(table[i].what)) != 0) {
            report(errors, "missing_member", under, table[i].name);
        }
    }
}

/* A text that is there; NULL when it is. */
static const char *text_of(yyjson_val *value, struct xt_span *text)
{
    if (!yyjson_is_str(value)) {
        return "wrong_type";
    }
    *text = xt_json_string(value);
    return text->size == 0 ? "empty" : NULL;
}

static const char *read_factor_name(yyjson_val *value, unsigned *factor)
{
    struct xt_span text;
    unsigned next = 0;
    const char *code = text_of(value, &text);
    const struct xt_json_member *found =
        code == NULL ? xt_json_find(FACTORS, COUNT_OF(FACTORS), value, &next) : NULL;
    *factor = found == NULL ? 0 : found->what;
    return code != NULL ? code : found == NULL ? "bad_factor" : NULL;
}

/* ---- factors ------------------------------------------------------------------------------------ */

struct factor {
    unsigned type;
    struct xt_span value, device_id, challenge;
    uint8_t signature[XT_SIGNATURE_BYTES];
};

static bool is_challenge(struct xt_span text)
{
    uint8_t bytes[XT_CHALLENGE_CHARACTERS];
    size_t size = 0;
    return text.size == XT_CHALLENGE_CHARACTERS && xt_base64url_decode(text, bytes, &size);
}

static const char *read_in_factor(void *into, unsigned what, yyjson_val *value,
                                  struct xt_request_errors *errors)
{
    struct factor *factor = into;
    struct xt_span text;
    size_t size = 0;
    (void)errors;
    if (what == TYPE) {
        return read_factor_name(value, &factor->type);
    }
    const char *code = text_of(value, &text);
    if (code != NULL) {
        return code;
    }
    switch (what) {
    case VALUE:
        factor->value = text;
        return xt_text_check(text, XT_PASSCODE_MAX);
    case DEVICE_ID:
        factor->device_id = text;
        return xt_text_check(text, XT_DEVICE_ID_MAX);
    case CHALLENGE:
        factor->challenge = text;
        return is_challenge(text) ? NULL : "bad_challenge";
    default:
        return text.size == SIGNATURE_CHARACTERS &&
                       xt_base64url_decode(text, factor->signature, &size) &&
                       size == XT_SIGNATURE_BYTES
                   ? NULL
                   : "bad_signature";
    }
}

static void take_factor(struct xt_authenticate_request *request, const struct factor *factor)
{
    unsigned bit = (unsigned)__builtin_ctz(factor->type);
    request->factors |= factor->type;
    if (factor->type == XT_FACTOR_PASSCODE) {
        request->passcode = factor->value;
        return;
    }
    if (factor->type == XT_FACTOR_DEVICE_KEY) {
        request->device_id = factor->device_id;
    }
    request->challenges[bit] = factor->challenge;
    memcpy(request->signatures[bit], factor->signature, XT_SIGNATURE_BYTES);
}

static void read_factor(struct xt_authenticate_request *request, yyjson_val *value, unsigned index,
                        struct xt_request_errors *errors)
{
    struct factor factor = {0};
    char parent[16];
    unsigned before = errors->count;
    (void)snprintf(parent, sizeof(parent), "/factors/%u", index);
    if (!yyjson_is_obj(value)) {
        report(errors, "wrong_type", parent, "");
        return;
    }
    uint32_t seen = read_members(value, IN_FACTOR, COUNT_OF(IN_FACTOR), parent, read_in_factor,
                                 &factor, errors);
    if (factor.type == 0) {
        want(SEEN(TYPE), seen, IN_FACTOR, COUNT_OF(IN_FACTOR), parent, errors);
        return;
    }
    uint32_t wanted = WANTED[__builtin_ctz(factor.type)];
    want(wanted, seen, IN_FACTOR, COUNT_OF(IN_FACTOR), parent, errors);
    if ((seen & ~wanted) != 0 || (request->factors & factor.type) != 0) {
        report(errors, "conflict", parent, "");
    }
    if (errors->count == before) {
        take_factor(request, &factor);
    }
}

static const char *read_factors(struct xt_authenticate_request *request, yyjson_val *list,
                                struct xt_request_errors *errors)
{
    if (!yyjson_is_arr(list)) {
        return "wrong_type";
    }
    size_t count = yyjson_arr_size(list);
    if (count == 0 || count > XT_FACTOR_COUNT) {
        return count == 0 ? "empty" : "too_long";
    }
    yyjson_arr_iter iterator = yyjson_arr_iter_with(list);
    for (unsigned i = 0; i < count; i++) {
        read_factor(request, yyjson_arr_iter_next(&iterator), i, errors);
    }
    return NULL;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static const char *read_of_challenge(void *into, unsigned what, yyjson_val *value,
                                     struct xt_request_errors *errors)
{
    struct xt_challenge_request *request = into;
    struct xt_span text;
    unsigned factor = 0;
    (void)errors;
    if (what == FACTOR) {
        const char *code = read_factor_name(value, &factor);
        request->factor = (enum xt_factor)factor;
        return code == NULL && factor == XT_FACTOR_PASSCODE ? "bad_factor" : code;
    }
    const char *code = text_of(value, &text);
    if (code != NULL) {
        return code;
    }
    if (what == ID) {
        return xt_id_parse(text, &request->id) == XT_OK ? NULL : "bad_id";
    }
    request->audience = text;
    return xt_token_text_is_valid(text) ? NULL : "bad_audience";
}

static const char *read_of_authenticate(void *into, unsigned what, yyjson_val *value,
                                        struct xt_request_errors *errors)
{
    struct xt_authenticate_request *request = into;
    struct xt_span text;
    if (what == FACTOR_LIST) {
        return read_factors(request, value, errors);
    }
    const char *code = text_of(value, &text);
    if (code != NULL) {
        return code;
    }
    switch (what) {
    case ID:
        return xt_id_parse(text, &request->id) == XT_OK ? NULL : "bad_id";
    case PURPOSE:
        request->purpose = text;
        return xt_policy_name_is_valid(text) ? NULL : "bad_purpose";
    default:
        request->audience = text;
        return xt_token_text_is_valid(text) ? NULL : "bad_audience";
    }
}

static enum xt_status read_body(uint8_t *body, size_t size, struct xt_json_arena arena,
                                const struct xt_json_member *table, unsigned count,
                                uint32_t optional, read_one *read, void *into,
                                struct xt_request_errors *errors)
{
    const char *code = size > XT_AUTHENTICATE_BODY_MAX ? "too_long" : "malformed_json";
    errors->count = 0;
    yyjson_val *root = size > 0 && size <= XT_AUTHENTICATE_BODY_MAX
                           ? xt_json_read_in_place(body, size, arena, &code)
                           : NULL;
    if (root == NULL) {
        report(errors, code, "", "");
        return XT_INVALID;
    }
    uint32_t seen = read_members(root, table, count, "", read, into, errors);
    want(~optional, seen, table, count, "", errors);
    return errors->count == 0 ? XT_OK : XT_INVALID;
}

enum xt_status xt_challenge_request_from_json(uint8_t *body, size_t size,
                                              struct xt_json_arena arena,
                                              struct xt_challenge_request *request,
                                              struct xt_request_errors *errors)
{
    memset(request, 0, sizeof(*request));
    return read_body(body, size, arena, OF_CHALLENGE, COUNT_OF(OF_CHALLENGE), 0, read_of_challenge,
                     request, errors);
}

enum xt_status xt_authenticate_request_from_json(uint8_t *body, size_t size,
                                                 struct xt_json_arena arena,
                                                 struct xt_authenticate_request *request,
                                                 struct xt_request_errors *errors)
{
    memset(request, 0, sizeof(*request));
    return read_body(body, size, arena, OF_AUTHENTICATE, COUNT_OF(OF_AUTHENTICATE), SEEN(PURPOSE),
                     read_of_authenticate, request, errors);
}

/* ---- for core/account_request ------------------------------------------------------------------- */

enum xt_status xt_body_read(uint8_t *body, size_t size, struct xt_json_arena arena,
                            const struct xt_json_member *table, unsigned count, uint32_t optional,
                            xt_read_member *read, void *into, struct xt_request_errors *errors)
{
    return read_body(body, size, arena, table, count, optional, read, into, errors);
}

const char *xt_factors_read(struct xt_authenticate_request *request, yyjson_val *list,
                            struct xt_request_errors *errors)
{
    return read_factors(request, list, errors);
}

const char *xt_text_member(yyjson_val *value, struct xt_span *text)
{
    return text_of(value, text);
}

void xt_request_report(struct xt_request_errors *errors, const char *code, const char *pointer)
{
    report(errors, code, pointer, "");
}

/* ---- the back channel --------------------------------------------------------------------------- */

/* Those of a device key have their numbers behind the others. */
#define OF_FACTOR 16
static const struct xt_json_member OF_DECISION[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("request", REQUEST),
    XT_JSON_MEMBER("decision", DECISION),
    XT_JSON_MEMBER("device_id", OF_FACTOR + DEVICE_ID),
    XT_JSON_MEMBER("challenge", OF_FACTOR + CHALLENGE),
    XT_JSON_MEMBER("signature", OF_FACTOR + SIGNATURE),
    XT_JSON_MEMBER("passcode", OF_FACTOR + VALUE),
};

struct decision {
    struct xt_decision_request *request;
    struct factor factor;
};

static const char *read_of_decision(void *into, unsigned what, yyjson_val *value,
                                    struct xt_request_errors *errors)
{
    struct decision *decision = into;
    struct xt_decision_request *request = decision->request;
    struct xt_span text;
    size_t size = 0;
    if (what >= OF_FACTOR) {
        return read_in_factor(&decision->factor, what - OF_FACTOR, value, errors);
    }
    const char *code = text_of(value, &text);
    if (code != NULL) {
        return code;
    }
    switch (what) {
    case ID:
        return xt_id_parse(text, &request->id) == XT_OK ? NULL : "bad_id";
    case REQUEST:
        return text.size == (XT_REQUEST_HANDLE * 4 + 2) / 3 &&
                       xt_base64url_decode(text, request->handle, &size)
                   ? NULL
                   : "bad_request";
    default:
        request->approve = xt_span_is(text, "approve");
        return request->approve || xt_span_is(text, "deny") ? NULL : "bad_decision";
    }
}

static const char *read_of_pending(void *into, unsigned what, yyjson_val *value,
                                   struct xt_request_errors *errors)
{
    struct xt_span text;
    const char *code = text_of(value, &text);
    (void)what;
    (void)errors;
    return code != NULL ? code : xt_id_parse(text, into) == XT_OK ? NULL : "bad_id";
}

enum xt_status xt_pending_request_from_json(uint8_t *body, size_t size, struct xt_json_arena arena,
                                            struct xt_id *id, struct xt_request_errors *errors)
{
    static const struct xt_json_member members[] = {XT_JSON_MEMBER("id", ID)};
    memset(id, 0, sizeof(*id));
    return read_body(body, size, arena, members, COUNT_OF(members), 0, read_of_pending, id, errors);
}

enum xt_status xt_decision_request_from_json(uint8_t *body, size_t size, struct xt_json_arena arena,
                                             struct xt_decision_request *request,
                                             struct xt_request_errors *errors)
{
    struct decision decision = {.request = request};
    memset(request, 0, sizeof(*request));
    enum xt_status status = read_body(body, size, arena, OF_DECISION, COUNT_OF(OF_DECISION),
                                      SEEN(OF_FACTOR + VALUE), read_of_decision, &decision, errors);
    request->device_id = decision.factor.device_id;
    request->challenge = decision.factor.challenge;
    request->passcode = decision.factor.value;
    memcpy(request->signature, decision.factor.signature, sizeof(request->signature));
    return status;
}
