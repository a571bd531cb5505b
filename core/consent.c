#include "core/consent.h"

#include "core/authenticate_internal.h"
#include "core/plain_text.h"

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))
#define SEEN(what) (1U << (what))
#define PAYLOAD_MAX (XT_CONSENT_MAX / 4 * 3)

_Static_assert(XT_CONSENT_MAX <= XT_JOSE_MAX, "core/jose reads it");
_Static_assert(XT_CONSENT_HANDLE == XT_ACCOUNT_ID, "the writer keeps it");
_Static_assert(XT_CONSENT_HANDLE_TEXT == (XT_CONSENT_HANDLE * 4 + 2) / 3, "base64url");

/* ---- both the citizen's text and the partner's request ------------------------------------------- */

/* Names of attributes, each once and at least one; what is wrong with the list, or NULL. */
static const char *read_attributes(yyjson_val *list, uint32_t *set)
{
    *set = 0;
    if (!yyjson_is_arr(list)) {
        return "wrong_type";
    }
    size_t count = yyjson_arr_size(list);
    if (count == 0 || count > XT_ATTRIBUTE_COUNT) {
        return count == 0 ? "empty" : "too_long";
    }
    yyjson_arr_iter iterator = yyjson_arr_iter_with(list);
    for (yyjson_val *name; (name = yyjson_arr_iter_next(&iterator)) != NULL;) {
        enum xt_attribute attribute;
        if (!yyjson_is_str(name) ||
            xt_attribute_by_name(xt_json_string(name), &attribute) != XT_OK) {
            return "bad_attribute";
        }
        if ((*set & XT_ATTRIBUTE_BIT(attribute)) != 0) {
            return "duplicate";
        }
        *set |= XT_ATTRIBUTE_BIT(attribute);
    }
    return NULL;
}

static bool read_handle(struct xt_span text, uint8_t handle[XT_CONSENT_HANDLE])
{
    size_t size = 0;
    return text.size == XT_CONSENT_HANDLE_TEXT && xt_base64url_decode(text, handle, &size) &&
           size == XT_CONSENT_HANDLE;
}

/* ---- the citizen's text ------------------------------------------------------------------------- */

enum { AUD, PURPOSE_MEMBER, ATTRIBUTES_MEMBER, IAT, EXP, JTI, MEMBERS };
static const struct xt_json_member IN_PAYLOAD[MEMBERS] = {
    XT_JSON_MEMBER("aud", AUD),
    XT_JSON_MEMBER("purpose", PURPOSE_MEMBER),
    XT_JSON_MEMBER("attributes", ATTRIBUTES_MEMBER),
    XT_JSON_MEMBER("iat", IAT),
    XT_JSON_MEMBER("exp", EXP),
    XT_JSON_MEMBER("jti", JTI),
};

static bool take_seconds(yyjson_val *value, int64_t *seconds)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > UINT32_MAX) {
        return false; /* the year 2106 */
    }
    *seconds = (int64_t)yyjson_get_uint(value);
    return true;
}

static bool take_name(yyjson_val *value, struct xt_span *name)
{
    *name = yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
    return xt_policy_name_is_valid(*name);
}

static bool take_handle(yyjson_val *value, struct xt_consent_text *consent)
{
    if (!yyjson_is_str(value) || !read_handle(xt_json_string(value), consent->handle)) {
        return false;
    }
    memcpy(consent->handle_text, yyjson_get_str(value), XT_CONSENT_HANDLE_TEXT);
    consent->handle_text[XT_CONSENT_HANDLE_TEXT] = '\0';
    return true;
}

static bool take_member(unsigned what, yyjson_val *value, struct xt_consent_text *consent)
{
    switch (what) {
    case AUD:
        return take_name(value, &consent->partner);
    case PURPOSE_MEMBER:
        return take_name(value, &consent->purpose);
    case ATTRIBUTES_MEMBER:
        return read_attributes(value, &consent->attributes) == NULL;
    case IAT:
        return take_seconds(value, &consent->issued_s);
    case EXP:
        return take_seconds(value, &consent->expires_s);
    default:
        return take_handle(value, consent);
    }
}

static bool read_payload(struct xt_span json, struct xt_json_arena arena,
                         struct xt_consent_text *consent)
{
    const char *code = NULL;
    unsigned next = 0;
    uint32_t seen = 0;
    yyjson_val *object = xt_json_read(json, arena, &code);
    if (object == NULL) {
        return false;
    }
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(IN_PAYLOAD, MEMBERS, key, &next);
        if (member == NULL || (seen & SEEN(member->what)) != 0 ||
            !take_member(member->what, yyjson_obj_iter_get_val(key), consent)) {
            return false;
        }
        seen |= SEEN(member->what);
    }
    return seen == SEEN(MEMBERS) - 1 && consent->expires_s > consent->issued_s &&
           consent->expires_s - consent->issued_s <= XT_CONSENT_LIFETIME_MAX_S;
}

/* The arena: what the header takes, the payload decoded, what that takes. */
enum xt_status xt_consent_read(struct xt_span text, struct xt_json_arena arena,
                               struct xt_consent_text *consent)
{
    uint8_t *memory = arena.memory;
    const struct xt_json_arena of_header = {.memory = memory, .size = XT_JOSE_ARENA};
    const struct xt_json_arena of_payload = {.memory = memory + XT_JOSE_ARENA + PAYLOAD_MAX,
                                             .size = arena.size - XT_JOSE_ARENA - PAYLOAD_MAX};
    struct xt_jose jose;
    xt_require(arena.size >= XT_CONSENT_ARENA);
    memset(consent, 0, sizeof(*consent));
    if (text.size > XT_CONSENT_MAX ||
        xt_jose_read(text, of_header, memory + XT_JOSE_ARENA, &jose) != XT_OK ||
        !xt_span_is(jose.type, "consent+jwt") || jose.key_id.size == 0) {
        return XT_INVALID;
    }
    consent->algorithm = jose.algorithm;
    memcpy(consent->signature, jose.signature, sizeof(consent->signature));
    consent->signed_part = jose.signed_part;
    consent->device_id = jose.key_id;
    return read_payload(jose.payload, of_payload, consent) ? XT_OK : XT_INVALID;
}

bool xt_consent_is_in_time(const struct xt_consent_text *consent, int64_t now_s)
{
    return consent->issued_s <= now_s + XT_CONSENT_LEEWAY_S && now_s < consent->expires_s;
}

/* ---- requests ----------------------------------------------------------------------------------- */

enum { ID, PURPOSE, ATTRIBUTES, CONSENT };
static const struct xt_json_member OF_ATTRIBUTES[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("purpose", PURPOSE),
    XT_JSON_MEMBER("attributes", ATTRIBUTES),
    XT_JSON_MEMBER("consent", CONSENT),
};
static const struct xt_json_member OF_REVOKE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("consent_ref", CONSENT),
};

static const char *read_of_attributes(void *into, unsigned what, yyjson_val *value,
                                      struct xt_request_errors *errors)
{
    struct xt_attributes_request *request = into;
    struct xt_span text;
    (void)errors;
    if (what == ATTRIBUTES) {
        return read_attributes(value, &request->attributes);
    }
    const char *code = xt_text_member(value, &text);
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
        request->consent = text;
        return NULL;
    }
}

enum xt_status xt_attributes_request_from_json(uint8_t *body, size_t size,
                                               struct xt_json_arena arena,
                                               struct xt_attributes_request *request,
                                               struct xt_request_errors *errors)
{
    memset(request, 0, sizeof(*request));
    return xt_body_read(body, size, arena, OF_ATTRIBUTES, COUNT_OF(OF_ATTRIBUTES), 0,
                        read_of_attributes, request, errors);
}

struct revoking {
    struct xt_id *id;
    uint8_t *handle;
};

static const char *read_of_revoke(void *into, unsigned what, yyjson_val *value,
                                  struct xt_request_errors *errors)
{
    const struct revoking *revoking = into;
    struct xt_span text;
    const char *code = xt_text_member(value, &text);
    (void)errors;
    if (code != NULL) {
        return code;
    }
    if (what == ID) {
        return xt_id_parse(text, revoking->id) == XT_OK ? NULL : "bad_id";
    }
    return read_handle(text, revoking->handle) ? NULL : "bad_consent_ref";
}

enum xt_status xt_revoke_request_from_json(uint8_t *body, size_t size, struct xt_json_arena arena,
                                           struct xt_id *id, uint8_t handle[XT_CONSENT_HANDLE],
                                           struct xt_request_errors *errors)
{
    struct revoking revoking = {.id = id, .handle = handle};
    memset(id, 0, sizeof(*id));
    memset(handle, 0, XT_CONSENT_HANDLE);
    return xt_body_read(body, size, arena, OF_REVOKE, COUNT_OF(OF_REVOKE), 0, read_of_revoke,
                        &revoking, errors);
}
