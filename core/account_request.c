#include "core/account_request.h"

#include "core/authenticate_internal.h"
#include "core/person_member.h"
#include "core/plain_text.h"

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))
#define SEEN(what) (1U << (what))

enum { ID, LEVEL, REASON, PASSCODE, DEVICE_ID, PUBLIC_KEY, UNLOCKED_BY, EVIDENCE, FACTORS };
static const struct xt_json_member OF_ACTIVATE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("level", LEVEL),
};
static const struct xt_json_member OF_LOCK[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("reason", REASON),
};
static const struct xt_json_member OF_PASSCODE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("passcode", PASSCODE),
    XT_JSON_MEMBER("evidence", EVIDENCE),
    XT_JSON_MEMBER("factors", FACTORS),
};
static const struct xt_json_member OF_DEVICE_ADD[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("device_id", DEVICE_ID),
    XT_JSON_MEMBER("public_key", PUBLIC_KEY),
    XT_JSON_MEMBER("unlocked_by", UNLOCKED_BY),
    XT_JSON_MEMBER("evidence", EVIDENCE),
    XT_JSON_MEMBER("factors", FACTORS),
};
static const struct xt_json_member OF_DEVICE_REMOVE[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("device_id", DEVICE_ID),
};

static const struct {
    const struct xt_json_member *members;
    unsigned count;
} FORMS[] = {
    [XT_ACTION_ACTIVATE] = {OF_ACTIVATE, COUNT_OF(OF_ACTIVATE)},
    [XT_ACTION_LOCK] = {OF_LOCK, COUNT_OF(OF_LOCK)},
    [XT_ACTION_UNLOCK] = {OF_LOCK, COUNT_OF(OF_LOCK)},
    [XT_ACTION_PASSCODE] = {OF_PASSCODE, COUNT_OF(OF_PASSCODE)},
    [XT_ACTION_DEVICE_ADD] = {OF_DEVICE_ADD, COUNT_OF(OF_DEVICE_ADD)},
    [XT_ACTION_DEVICE_REMOVE] = {OF_DEVICE_REMOVE, COUNT_OF(OF_DEVICE_REMOVE)},
};

static const struct {
    const char *name;
    unsigned reason;
} LOCKS[] = {
    {"holder", XT_LOCK_HOLDER},       {"breach", XT_LOCK_BREACH},
    {"authority", XT_LOCK_AUTHORITY}, {"stay_expired", XT_LOCK_STAY_EXPIRED},
    {"death", XT_LOCK_DEATH},         {"card_revoked", XT_LOCK_CARD_REVOKED},
};

const char *xt_lock_name(unsigned reason)
{
    unsigned at = 0;
    while (at + 1 < COUNT_OF(LOCKS) && LOCKS[at].reason != reason) {
        at++;
    }
    return LOCKS[at].name;
}

/* What is being read. */
struct reading {
    enum xt_account_action action;
    struct xt_account_request *request;
    uint32_t seen;
};

static const char *read_level(yyjson_val *value, unsigned *level)
{
    if (!yyjson_is_uint(value)) {
        return "wrong_type";
    }
    uint64_t number = yyjson_get_uint(value);
    *level = number <= 2 ? (unsigned)number : 0;
    return *level == 0 ? "bad_level" : NULL;
}

static const char *read_reason(enum xt_account_action action, struct xt_span text, unsigned *reason)
{
    *reason = 0;
    if (action == XT_ACTION_UNLOCK && xt_span_is(text, "attempts")) {
        return NULL;
    }
    for (unsigned i = 0; i < COUNT_OF(LOCKS); i++) {
        if (xt_span_is(text, LOCKS[i].name) && (LOCKS[i].reason & XT_LOCKS_BY_PARTNERS) != 0) {
            *reason = LOCKS[i].reason;
        }
    }
    return *reason == 0 ? "bad_reason" : NULL;
}

static const char *read_key(struct xt_span text, struct xt_account_request *request)
{
    const char *code = xt_person_key_check(text);
    return code != NULL                                                  ? code
           : xt_base64url_decode(text, request->key, &request->key_size) ? NULL
                                                                         : "bad_key";
}

static const char *read_passcode(struct xt_span text, struct xt_account_request *request)
{
    const char *code = xt_text_check(text, XT_PASSCODE_MAX);
    request->passcode = text;
    return code == NULL && xt_text_length(text) < XT_PASSCODE_LEAST ? "too_short" : code;
}

static const char *read_member(void *into, unsigned what, yyjson_val *value,
                               struct xt_request_errors *errors)
{
    struct reading *reading = into;
    struct xt_account_request *request = reading->request;
    struct xt_span text;
    reading->seen |= SEEN(what);
    if (what == LEVEL) {
        return read_level(value, &request->level);
    }
    if (what == FACTORS) {
        return xt_factors_read(&request->shown, value, errors);
    }
    const char *code = xt_text_member(value, &text);
    if (code != NULL) {
        return code;
    }
    switch (what) {
    case ID:
        return xt_id_parse(text, &request->id) == XT_OK ? NULL : "bad_id";
    case REASON:
        return read_reason(reading->action, text, &request->reason);
    case PASSCODE:
        return read_passcode(text, request);
    case DEVICE_ID:
        request->device_id = text;
        return xt_text_check(text, XT_DEVICE_ID_MAX);
    case PUBLIC_KEY:
        return read_key(text, request);
    case UNLOCKED_BY:
        return xt_unlock_read(text, &request->unlocked_by);
    default:
        return xt_span_is(text, "in_person") ? NULL : "bad_evidence";
    }
}

/* Who gives something new says why he may. */
static void check_shown(const struct reading *reading, struct xt_request_errors *errors)
{
    uint32_t both = SEEN(EVIDENCE) | SEEN(FACTORS);
    bool asked = reading->action == XT_ACTION_PASSCODE || reading->action == XT_ACTION_DEVICE_ADD;
    if ((reading->seen & both) == both) {
        xt_request_report(errors, "conflict", "/evidence");
    } else if (asked && (reading->seen & both) == 0) {
        xt_request_report(errors, "missing_member", "/evidence");
    }
}

enum xt_status xt_account_request_from_json(enum xt_account_action action, uint8_t *body,
                                            size_t size, struct xt_json_arena arena,
                                            struct xt_account_request *request,
                                            struct xt_request_errors *errors)
{
    struct reading reading = {.action = action, .request = request};
    memset(request, 0, sizeof(*request));
    enum xt_status status = xt_body_read(
        body, size, arena, FORMS[action].members, FORMS[action].count,
        SEEN(UNLOCKED_BY) | SEEN(EVIDENCE) | SEEN(FACTORS), read_member, &reading, errors);
    if (status == XT_OK) {
        check_shown(&reading, errors);
    }
    request->shown.id = request->id;
    request->shown.audience = xt_span_of_string(XT_ACCOUNT_AUDIENCE);
    return errors->count == 0 ? status : XT_INVALID;
}
