#include "core/verify_list.h"

#include "core/json.h"

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))

static struct xt_span text_of(yyjson_val *value)
{
    return yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
}

/* ---- requests ----------------------------------------------------------------------------------- */

enum { ID, QR, PURPOSE, LEGAL_BASIS, CONSENT_REF, MATCH, CLAIMS };
static const struct xt_json_member ASKED[] = {
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("purpose", PURPOSE),
    XT_JSON_MEMBER("claims", CLAIMS),
    XT_JSON_MEMBER("legal_basis", LEGAL_BASIS),
    XT_JSON_MEMBER("consent_ref", CONSENT_REF),
    XT_JSON_MEMBER("match", MATCH),
    XT_JSON_MEMBER("qr", QR),
};

static void note_claims(yyjson_val *claims, struct xt_list_request *request)
{
    if (yyjson_is_obj(claims)) {
        request->phone = text_of(yyjson_obj_get(claims, "phone"));
        request->date_of_birth = text_of(yyjson_obj_get(claims, "date_of_birth"));
    }
}

static void note_member(unsigned what, yyjson_val *value, struct xt_list_request *request)
{
    switch (what) {
    case ID:
        request->id = text_of(value);
        break;
    case QR:
        request->qr = text_of(value);
        break;
    case PURPOSE:
        request->has_purpose = true;
        break;
    case LEGAL_BASIS:
        request->has_legal_basis = true;
        break;
    case CONSENT_REF:
        request->has_consent_ref = true;
        break;
    case MATCH:
        request->has_match = true;
        break;
    default:
        note_claims(value, request);
        break;
    }
}

enum xt_status xt_list_request_read(struct xt_span text, struct xt_json_arena arena,
                                    struct xt_list_request *request)
{
    const char *code = NULL;
    yyjson_val *root = xt_json_read(text, arena, &code);
    *request = (struct xt_list_request){.has_purpose = false};
    if (root == NULL) {
        return XT_INVALID;
    }
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(ASKED, COUNT_OF(ASKED), key, &next);
        if (member != NULL) {
            note_member(member->what, yyjson_obj_iter_get_val(key), request);
        }
    }
    return XT_OK;
}

/* ---- suggestions -------------------------------------------------------------------------------- */

static const char *const SUGGESTIONS[XT_SUGGEST_COUNT] = {
    [XT_SUGGEST_NAME_DIACRITICS] = "name_diacritics", [XT_SUGGEST_NAME_ORDER] = "name_order",
    [XT_SUGGEST_NAME_SIMILAR] = "name_similar",       [XT_SUGGEST_DAY_AND_MONTH] = "day_and_month",
    [XT_SUGGEST_OLD_NUMBER] = "old_number",           [XT_SUGGEST_ID_DIGITS] = "id_digits",
};

const char *xt_suggestion_name(enum xt_suggestion suggestion)
{
    return SUGGESTIONS[suggestion];
}

enum xt_status xt_suggestion_by_name(struct xt_span name, enum xt_suggestion *suggestion)
{
    for (unsigned i = 0; i < XT_SUGGEST_COUNT; i++) {
        if (xt_span_is(name, SUGGESTIONS[i])) {
            *suggestion = (enum xt_suggestion)i;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

/* ---- answers ------------------------------------------------------------------------------------ */

enum {
    LINE,
    STATUS,
    CODE,
    ERRORS,
    VERDICT,
    RESULTS,
    CARD,
    REASON,
    ADVISORY,
    ANSWER_ID,
    ANSWERED_AT,
    SUGGESTED,
    SUMMARY
};
static const struct xt_json_member TOLD[] = {
    XT_JSON_MEMBER("line", LINE),           XT_JSON_MEMBER("status", STATUS),
    XT_JSON_MEMBER("code", CODE),           XT_JSON_MEMBER("errors", ERRORS),
    XT_JSON_MEMBER("answer_id", ANSWER_ID), XT_JSON_MEMBER("answered_at", ANSWERED_AT),
    XT_JSON_MEMBER("verdict", VERDICT),     XT_JSON_MEMBER("claims", RESULTS),
    XT_JSON_MEMBER("card", CARD),           XT_JSON_MEMBER("advisory", ADVISORY),
    XT_JSON_MEMBER("reason", REASON),       XT_JSON_MEMBER("suggestions", SUGGESTED),
    XT_JSON_MEMBER("summary", SUMMARY),
};

static void note_results(yyjson_val *results, struct xt_list_answer *answer)
{
    yyjson_obj_iter iterator = yyjson_obj_iter_with(results);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        enum xt_claim claim;
        struct xt_span result = text_of(yyjson_obj_iter_get_val(key));
        if (xt_claim_by_name(xt_json_string(key), &claim) == XT_OK) {
            uint32_t bit = XT_CLAIM_BIT(claim);
            answer->matched |= xt_span_is(result, "match") ? bit : 0;
            answer->mismatched |= xt_span_is(result, "mismatch") ? bit : 0;
            answer->not_held |= xt_span_is(result, "not_held") ? bit : 0;
        }
    }
}

static void note_suggestions(yyjson_val *list, struct xt_list_answer *answer)
{
    yyjson_arr_iter iterator = yyjson_arr_iter_with(list);
    for (yyjson_val *value; (value = yyjson_arr_iter_next(&iterator)) != NULL;) {
        enum xt_suggestion suggestion;
        if (xt_suggestion_by_name(text_of(value), &suggestion) == XT_OK) {
            answer->suggestions |= XT_SUGGEST_BIT(suggestion);
        }
    }
}

static void note_told(unsigned what, yyjson_val *value, struct xt_list_answer *answer)
{
    yyjson_val *inner;
    switch (what) {
    case LINE:
        answer->line = yyjson_get_uint(value);
        break;
    case STATUS:
        answer->status = (unsigned)yyjson_get_uint(value);
        break;
    case CODE:
        answer->code = text_of(value);
        break;
    case ERRORS:
        inner = yyjson_arr_get_first(value);
        answer->pointer = text_of(yyjson_obj_get(inner, "pointer"));
        answer->what = text_of(yyjson_obj_get(inner, "code"));
        break;
    case VERDICT:
        answer->verified = xt_span_is(text_of(value), "verified");
        break;
    case RESULTS:
        note_results(value, answer);
        break;
    case CARD:
        answer->card = text_of(value);
        break;
    case REASON:
        answer->reason = text_of(value);
        break;
    case ADVISORY:
        inner = yyjson_obj_get(value, "full_name");
        answer->name_level = text_of(yyjson_obj_get(inner, "level"));
        break;
    case ANSWER_ID:
        answer->answer_id = text_of(value);
        break;
    case ANSWERED_AT:
        answer->answered_at = text_of(value);
        break;
    case SUGGESTED:
        note_suggestions(value, answer);
        break;
    default:
        answer->is_summary = true;
        answer->unread = yyjson_get_bool(yyjson_obj_get(value, "unread"));
        break;
    }
}

enum xt_status xt_list_answer_read(struct xt_span text, struct xt_json_arena arena,
                                   struct xt_list_answer *answer)
{
    const char *code = NULL;
    bool told = false;
    yyjson_val *root = xt_json_read(text, arena, &code);
    *answer = (struct xt_list_answer){.line = 0};
    if (root == NULL) {
        return XT_INVALID;
    }
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(TOLD, COUNT_OF(TOLD), key, &next);
        if (member != NULL) {
            note_told(member->what, yyjson_obj_iter_get_val(key), answer);
            told = told || member->what == VERDICT || member->what == SUMMARY;
        }
    }
    return told || answer->status != 0 ? XT_OK : XT_INVALID;
}
