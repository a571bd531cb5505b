/* core/verify_list: lines of lists of verify requests and of their answers, as a client reads them.
 *
 * Thread: pure functions. Memory: everything lives in the caller's arena until it is used again.
 */
#ifndef XT_CORE_VERIFY_LIST_H
#define XT_CORE_VERIFY_LIST_H

#include "core/claim.h"
#include "core/request.h"

/* What a client wants to know of a request before it sends it; the server judges it. Texts that are
 * not there, or no strings, have size 0. */
struct xt_list_request {
    bool has_purpose, has_legal_basis, has_consent_ref, has_match;
    struct xt_span id, qr, phone, date_of_birth;
};
/* XT_INVALID: no JSON object. */
XT_MUST_USE enum xt_status xt_list_request_read(struct xt_span text, struct xt_json_arena arena,
                                                struct xt_list_request *request);

/* What may be wrong with a line that was not verified, so that its owner can mend it. A suggestion is
 * no match, and no proof. */
enum xt_suggestion {
    XT_SUGGEST_NAME_DIACRITICS, /* the name is right without its diacritics */
    XT_SUGGEST_NAME_ORDER,      /* ... in another order, or joined otherwise */
    XT_SUGGEST_NAME_SIMILAR,    /* ... but for a few letters */
    XT_SUGGEST_DAY_AND_MONTH, /* the date of birth mismatches, and may be read the other way round */
    XT_SUGGEST_OLD_NUMBER,    /* the person was asked about by the 9-digit CMND */
    XT_SUGGEST_ID_DIGITS, /* digits of the number are missing: spreadsheets drop leading zeros */
    XT_SUGGEST_COUNT
};
#define XT_SUGGEST_BIT(suggestion) (1U << (unsigned)(suggestion))
const char *xt_suggestion_name(enum xt_suggestion suggestion);
XT_MUST_USE enum xt_status xt_suggestion_by_name(struct xt_span name,
                                                 enum xt_suggestion *suggestion);

/* One line of an answer or of results made of them. */
struct xt_list_answer {
    uint64_t line;   /* 0: none */
    bool is_summary; /* the last line: of the others only unread is filled in */
    bool unread;
    unsigned status; /* of a problem; 0: answered */
    bool verified;
    uint32_t matched, mismatched, not_held; /* XT_CLAIM_BIT sets */
    uint32_t suggestions;                   /* XT_SUGGEST_BIT set, of results */
    struct xt_span code;                    /* of a problem */
    struct xt_span pointer, what;           /* of its first bad member */
    struct xt_span answer_id, answered_at, card, reason, name_level;
};
/* XT_INVALID: no answer. */
XT_MUST_USE enum xt_status xt_list_answer_read(struct xt_span text, struct xt_json_arena arena,
                                               struct xt_list_answer *answer);

#endif
