#include "core/request_read.h"

#include "core/json.h"
#include "core/plain_text.h"
#include "core/policy.h"
#include "core/province.h"
#include "core/qr.h"

#include <stdio.h>

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))
#define SEEN(what) (1U << (what))

static const struct xt_json_member TOP[] = {
    XT_JSON_MEMBER("txn", XT_REQUEST_TXN),
    XT_JSON_MEMBER("id", XT_REQUEST_ID),
    XT_JSON_MEMBER("purpose", XT_REQUEST_PURPOSE),
    XT_JSON_MEMBER("legal_basis", XT_REQUEST_LEGAL_BASIS),
    XT_JSON_MEMBER("consent_ref", XT_REQUEST_CONSENT_REF),
    XT_JSON_MEMBER("claims", XT_REQUEST_CLAIMS),
    XT_JSON_MEMBER("match", XT_REQUEST_MATCH),
    XT_JSON_MEMBER("qr", XT_REQUEST_QR),
};

static const struct xt_json_member LEVELS[] = {
    XT_JSON_MEMBER("exact", XT_NAME_EXACT),
    XT_JSON_MEMBER("spelling", XT_NAME_SPELLING),
    XT_JSON_MEMBER("unaccented", XT_NAME_UNACCENTED),
    XT_JSON_MEMBER("reordered", XT_NAME_REORDERED),
    XT_JSON_MEMBER("fuzzy", XT_NAME_FUZZY),
};

struct reader {
    struct xt_verify_request *request;
    struct xt_request_errors *errors;
};

/* Notes one finding; parent and name make the pointer. */
static void report(struct reader *reader, const char *code, const char *parent, const char *name)
{
    struct xt_request_errors *errors = reader->errors;
    if (errors->count == XT_REQUEST_ERRORS_MAX) {
        return;
    }
    struct xt_request_error *error = &errors->list[errors->count++];
    error->code = code;
    (void)snprintf(error->pointer, sizeof error->pointer, "%s%s", parent, name);
}

static const char *read_txn(struct xt_verify_request *request, struct xt_span text)
{
    const char *code = xt_text_check(text, XT_TXN_BYTES);
    if (code == NULL && text.size > XT_TXN_MAX && xt_text_length(text) > XT_TXN_MAX) {
        code = "too_long";
    }
    request->has_txn = true;
    request->txn = text;
    return code;
}

static const char *read_qr(struct xt_verify_request *request, struct xt_span text)
{
    struct xt_qr qr;
    /* Scanners end what they read with a line break, which the parser knows of; fields past those
     * it reads may hold anything else. */
    if (memchr(text.data, '\0', text.size) != NULL || xt_qr_parse(text, &qr) != XT_OK) {
        return "bad_qr";
    }
    struct xt_claims *claims = &request->claims;
    request->from_qr = true;
    request->id = (struct xt_id){.kind = XT_ID_PERSONAL, .value = qr.number};
    claims->asked = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                    XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_CARD_ISSUED_ON);
    claims->full_name = qr.name;
    claims->date_of_birth = qr.date_of_birth;
    claims->sex = qr.sex;
    claims->card_issued_on = qr.issued_on;
    if (qr.has_cmnd) {
        claims->asked |= XT_CLAIM_BIT(XT_CLAIM_OLD_ID);
        claims->old_id = (struct xt_id){.kind = XT_ID_CMND, .value = qr.cmnd};
    }
    return NULL;
}

const char *xt_request_read_member(struct xt_verify_request *request, enum xt_request_member what,
                                   struct xt_span text)
{
    switch (what) {
    case XT_REQUEST_TXN:
        return read_txn(request, text);
    case XT_REQUEST_ID:
        return xt_id_parse(text, &request->id) == XT_OK ? NULL : "bad_id";
    case XT_REQUEST_PURPOSE:
        request->purpose = text;
        return xt_policy_name_is_valid(text) ? NULL : "bad_purpose";
    case XT_REQUEST_LEGAL_BASIS:
        request->legal_basis = text;
        return xt_text_check(text, XT_LEGAL_BASIS_MAX);
    case XT_REQUEST_CONSENT_REF:
        request->consent_ref = text;
        return xt_text_check(text, XT_CONSENT_REF_MAX);
    default:
        return read_qr(request, text);
    }
}

static const char *read_name(struct xt_claims *claims, struct xt_span text)
{
    enum xt_status status = xt_name_parse(text, &claims->full_name);
    return status == XT_OK ? NULL : status == XT_TOO_LARGE ? "too_long" : "bad_name";
}

static const char *read_date(struct xt_span text, xt_date *date)
{
    return xt_date_parse(text, date) == XT_OK ? NULL : "bad_date";
}

static const char *read_sex(struct xt_span text, enum xt_sex *sex)
{
    *sex = xt_span_is(text, "male")     ? XT_SEX_MALE
           : xt_span_is(text, "female") ? XT_SEX_FEMALE
                                        : XT_SEX_UNKNOWN;
    return *sex == XT_SEX_UNKNOWN ? "bad_value" : NULL;
}

/* The claim is about the 9-digit number only: a 12-digit one could never match. */
static const char *read_old_id(struct xt_span text, struct xt_id *old_id)
{
    old_id->kind = XT_ID_CMND;
    return xt_cmnd_parse(text, &old_id->value) == XT_OK ? NULL : "bad_id";
}

const char *xt_request_read_claim(struct xt_claims *claims, enum xt_claim claim,
                                  struct xt_span text)
{
    if (text.size == 0) {
        return "empty";
    }
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        return read_name(claims, text);
    case XT_CLAIM_DATE_OF_BIRTH:
        return read_date(text, &claims->date_of_birth);
    case XT_CLAIM_SEX:
        return read_sex(text, &claims->sex);
    case XT_CLAIM_PHONE:
        return xt_phone_parse(text, &claims->phone) == XT_OK ? NULL : "bad_phone";
    case XT_CLAIM_CARD_ISSUED_ON:
        return read_date(text, &claims->card_issued_on);
    case XT_CLAIM_CARD_EXPIRES_ON:
        return read_date(text, &claims->card_expires_on);
    case XT_CLAIM_OLD_ID:
        return read_old_id(text, &claims->old_id);
    case XT_CLAIM_PROVINCE:
        return xt_province_parse(text, &claims->province) == XT_OK ? NULL : "bad_value";
    default:
        break;
    }
    unsigned type = (unsigned)claim - XT_CLAIM_HEALTH_INSURANCE;
    return xt_document_parse(text, &claims->documents[type]) == XT_OK ? NULL : "bad_document";
}

static void read_claims(struct reader *reader, yyjson_val *object)
{
    struct xt_claims *claims = &reader->request->claims;
    if (!yyjson_is_obj(object)) {
        report(reader, "wrong_type", "/claims", "");
        return;
    }
    if (yyjson_obj_size(object) == 0) {
        report(reader, "missing_member", "/claims", "");
        return;
    }
    uint32_t seen = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        enum xt_claim claim = XT_CLAIM_COUNT;
        if (xt_claim_by_name(xt_json_string(key), &claim) != XT_OK) {
            report(reader, "unknown_member", "/claims", "");
            continue;
        }
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        const char *code = (seen & XT_CLAIM_BIT(claim)) != 0 ? "duplicate_member"
                           : !yyjson_is_str(value)
                               ? "wrong_type"
                               : xt_request_read_claim(claims, claim, xt_json_string(value));
        seen |= XT_CLAIM_BIT(claim);
        if (code != NULL) {
            report(reader, code, "/claims/", xt_claim_name(claim));
        }
    }
    claims->asked = seen;
}

static void read_match(struct reader *reader, yyjson_val *object)
{
    static const struct xt_json_member IN_MATCH[] = {XT_JSON_MEMBER("full_name", 0)};
    if (!yyjson_is_obj(object)) {
        report(reader, "wrong_type", "/match", "");
        return;
    }
    bool seen = false;
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        if (xt_json_find(IN_MATCH, COUNT_OF(IN_MATCH), key, &next) == NULL) {
            report(reader, "unknown_member", "/match", "");
            continue;
        }
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        unsigned at = 0;
        const struct xt_json_member *level =
            yyjson_is_str(value) ? xt_json_find(LEVELS, COUNT_OF(LEVELS), value, &at) : NULL;
        const char *code = seen                         ? "duplicate_member"
                           : !yyjson_is_str(value)      ? "wrong_type"
                           : yyjson_get_len(value) == 0 ? "empty"
                           : level == NULL              ? "bad_value"
                                                        : NULL;
        seen = true;
        if (code != NULL) {
            report(reader, code, "/match/full_name", "");
        } else {
            reader->request->claims.name_level = (enum xt_name_level)level->what;
        }
    }
}

static void read_member(struct reader *reader, const struct xt_json_member *member,
                        yyjson_val *value)
{
    if (member->what == XT_REQUEST_CLAIMS) {
        read_claims(reader, value);
        return;
    }
    if (member->what == XT_REQUEST_MATCH) {
        read_match(reader, value);
        return;
    }
    const char *code =
        !yyjson_is_str(value) ? "wrong_type"
        : yyjson_get_len(value) == 0
            ? "empty"
            : xt_request_read_member(reader->request, (enum xt_request_member)member->what,
                                     xt_json_string(value));
    if (code != NULL) {
        report(reader, code, "/", member->name);
    }
}

static void check_members(struct reader *reader, uint32_t seen)
{
    bool qr = (seen & SEEN(XT_REQUEST_QR)) != 0;
    if (qr && (seen & (SEEN(XT_REQUEST_ID) | SEEN(XT_REQUEST_CLAIMS))) != 0) {
        report(reader, "conflict", "/qr", "");
    }
    if (!qr && (seen & SEEN(XT_REQUEST_ID)) == 0) {
        report(reader, "missing_member", "/id", "");
    }
    if ((seen & SEEN(XT_REQUEST_PURPOSE)) == 0) {
        report(reader, "missing_member", "/purpose", "");
    }
    if (!qr && (seen & SEEN(XT_REQUEST_CLAIMS)) == 0) {
        report(reader, "missing_member", "/claims", "");
    }
}

/* Members that a request need not have; names, documents and the like are filled when asked for. */
void xt_verify_request_clear(struct xt_verify_request *request)
{
    request->has_txn = false;
    request->from_qr = false;
    request->txn = request->purpose = request->legal_basis = request->consent_ref =
        xt_span_of(NULL, 0);
    request->claims.asked = 0;
    request->claims.name_level = XT_NAME_SPELLING;
}

enum xt_status xt_verify_request_from_json(uint8_t *body, size_t size, struct xt_json_arena arena,
                                           struct xt_verify_request *request,
                                           struct xt_request_errors *errors)
{
    if (size <= XT_VERIFY_BODY_MAX && xt_verify_request_read_plain(body, size, request)) {
        errors->count = 0;
        return XT_OK;
    }
    return xt_verify_request_read_any(body, size, arena, request, errors);
}

enum xt_status xt_verify_request_read_any(uint8_t *body, size_t size, struct xt_json_arena arena,
                                          struct xt_verify_request *request,
                                          struct xt_request_errors *errors)
{
    struct reader reader = {.request = request, .errors = errors};
    const char *code = size > XT_VERIFY_BODY_MAX ? "too_long" : "malformed_json";
    errors->count = 0;
    xt_verify_request_clear(request);
    yyjson_val *root = size > 0 && size <= XT_VERIFY_BODY_MAX
                           ? xt_json_read_in_place(body, size, arena, &code)
                           : NULL;
    if (root == NULL) {
        report(&reader, code, "", "");
        return XT_INVALID;
    }
    uint32_t seen = 0;
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(TOP, COUNT_OF(TOP), key, &next);
        if (member == NULL) {
            report(&reader, "unknown_member", "", "");
        } else if ((seen & SEEN(member->what)) != 0) {
            report(&reader, "duplicate_member", "/", member->name);
        } else {
            seen |= SEEN(member->what);
            read_member(&reader, member, yyjson_obj_iter_get_val(key));
        }
    }
    check_members(&reader, seen);
    return errors->count == 0 ? XT_OK : XT_INVALID;
}
