/* core/request: the JSON of POST /v1/verify, in and out (product contract, section 3). */
#ifndef XT_CORE_REQUEST_H
#define XT_CORE_REQUEST_H

#include "core/claim.h"

#define XT_VERIFY_BODY_MAX 65536   /* bytes of one request's JSON */
#define XT_VERIFY_ARENA (2U << 20) /* bytes of parser memory enough for XT_VERIFY_BODY_MAX */
#define XT_VERIFY_ANSWER_MAX 2048  /* bytes of JSON; always enough */
#define XT_TXN_MAX 64              /* characters (code points) */
#define XT_TXN_BYTES (XT_TXN_MAX * 4)
#define XT_LEGAL_BASIS_MAX 64  /* bytes */
#define XT_CONSENT_REF_MAX 128 /* bytes */
#define XT_ANSWER_ID 26        /* characters: ULID, Crockford base 32 */
#define XT_REQUEST_ERRORS_MAX 16

/* POST /v1/verify:
 *   {"id":"001099012345","purpose":"sim.register","claims":{"full_name":"NGUYEN VAN AN"}}
 * id, purpose and at least one claim are required; "qr" stands in place of id and claims and asks for
 * full_name, date_of_birth, sex, card_issued_on, and old_id where the card shows one. */

struct xt_verify_request {
    bool has_txn;
    struct xt_span txn; /* borrowed from the body, decoded UTF-8, at most XT_TXN_BYTES */
    struct xt_id id;
    bool from_qr;
    struct xt_span purpose, legal_basis, consent_ref; /* borrowed; size 0: absent */
    struct xt_claims claims;
};

/* A bad member: where and what, never its value.
 *
 *   of the whole    malformed_json, not_an_object, too_long
 *   of a member     unknown_member, duplicate_member, missing_member (claims also when empty),
 *                   wrong_type (null and numbers are), empty, too_long, control_character
 *   of its value    bad_id, bad_name, bad_date, bad_phone, bad_document, bad_qr, bad_purpose,
 *                   bad_value (not one of those listed)
 *   conflict        qr beside id or claims */
struct xt_request_error {
    char pointer[64]; /* JSON pointer (RFC 6901) of a member we know, or "" for the whole body; an
                          unknown member's own name is never echoed: its parent is pointed at */
    const char
        *code; /* static: "unknown_member", "missing_member", "wrong_type", "bad_date", ... */
};
struct xt_request_errors {
    unsigned count; /* at most XT_REQUEST_ERRORS_MAX are kept */
    struct xt_request_error list[XT_REQUEST_ERRORS_MAX];
};

/* body is parsed in place: it must be writable, with at least 4 spare bytes after it (the parser's
 * padding). XT_INVALID fills *errors, with as many findings as there are; request must not be used
 * then. errors->count is 0 after XT_OK. */
XT_MUST_USE enum xt_status xt_verify_request_from_json(uint8_t *body, size_t size,
                                                       struct xt_json_arena arena,
                                                       struct xt_verify_request *request,
                                                       struct xt_request_errors *errors);

/* ULID: ms since 1970 UTC (48 bits) and 10 random bytes -> 26 characters, sortable by time. */
void xt_answer_id_make(uint64_t unix_ms, const uint8_t random[10], char answer_id[XT_ANSWER_ID]);

/* YYYY-MM-DDThh:mm:ss.mmmZ, 24 bytes, UTC; years 1970-2200. */
#define XT_TIMESTAMP 24
void xt_timestamp_format(uint64_t unix_ms, char text[XT_TIMESTAMP]);

/* Writes the answer's JSON: txn (where given), answer_id, answered_at, verdict, claims (right
 * per_claim; as listed in enum xt_claim), card (card_state), advisory (where asked for, by right),
 * reason (existence). rights: set of enum xt_right of the partner.
 * The card's real state is told only where that reveals nothing else: with verdict verified, with
 * per_claim and a claim that matched, or with existence; everybody else has "none". */
void xt_verify_answer_to_json(const struct xt_verify_request *request,
                              const struct xt_outcome *outcome, uint32_t rights,
                              const char answer_id[XT_ANSWER_ID], uint64_t unix_ms,
                              struct xt_writer *writer);

/* The same with the time as xt_timestamp_format writes it, for many answers of one moment. */
void xt_verify_answer_at_to_json(const struct xt_verify_request *request,
                                 const struct xt_outcome *outcome, uint32_t rights,
                                 const char answer_id[XT_ANSWER_ID],
                                 const char answered_at[XT_TIMESTAMP], struct xt_writer *writer);

/* Writes text as a JSON string, quotes included; text must be valid UTF-8. */
void xt_json_write_string(struct xt_writer *writer, struct xt_span text);

#endif
