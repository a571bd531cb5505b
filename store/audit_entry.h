/* store/audit_entry: one line of the audit log: who asked what about whom, and what was answered.
 *
 *   version 1 | flags 1 | time 6 | answer id 16 | route 1 | verdict 1 | status 2
 *   | partner, purpose, legal basis, consent reference, problem: length 1, UTF-8
 *   | subject 16, where flag 1 is set | event: type 1, sequence 8, where flag 2 is
 *   | line 6, where flag 4 is | attempt 1, where flag 8 is
 *   | attributes: asked 4, given 4, where flag 16 is
 *   | claims asked 4 | 2 bits for each of them in their order, the rest zero      integers little endian
 *
 * There is one way only to write an entry: what decodes is what was encoded, byte by byte. The subject is
 * a keyed pseudonym: no number, name or other datum of a person stands in an entry; what a caller wrote
 * as consent reference or legal basis is his own text, and sealed with the rest.
 */
#ifndef XT_STORE_AUDIT_ENTRY_H
#define XT_STORE_AUDIT_ENTRY_H

#include "core/policy.h"
#include "crypto/keyhash.h"

#define XT_AUDIT_ENTRY_VERSION 1
#define XT_AUDIT_MS_END 7258118400000ULL /* 2200-01-01: within core/date's years */
#define XT_AUDIT_LINE_END (1ULL << 48)
#define XT_AUDIT_PROBLEM_MAX 48 /* bytes of a problem's code */
#define XT_AUDIT_ANSWER_ID 16   /* bytes: the ULID's 128 bits, big endian */
#define XT_AUDIT_ENTRY_MAX                                                                         \
    (28 + 5 + XT_PARTNER_NAME_MAX + XT_PURPOSE_NAME_MAX + XT_LEGAL_BASIS_MAX +                     \
     XT_CONSENT_REF_MAX + XT_AUDIT_PROBLEM_MAX + XT_PSEUDONYM_BYTES + 9 + 6 + 1 + 8 + 4 + 8)

/* Numbers are stored: never change or reuse one, append. */
enum xt_audit_route {
    XT_AUDIT_ROUTE_OTHER, /* not found, or not understood as a request */
    XT_AUDIT_ROUTE_VERIFY,
    XT_AUDIT_ROUTE_VERIFY_BATCH, /* one line of it */
    XT_AUDIT_ROUTE_CHALLENGES,
    XT_AUDIT_ROUTE_AUTHENTICATE,
    XT_AUDIT_ROUTE_INTROSPECT,
    XT_AUDIT_ROUTE_REVOKE,
    XT_AUDIT_ROUTE_ACCOUNTS,
    XT_AUDIT_ROUTE_ATTRIBUTES,
    XT_AUDIT_ROUTE_EVENTS,
    XT_AUDIT_ROUTE_STATISTICS,
    XT_AUDIT_ROUTE_OPENAPI,
    XT_AUDIT_ROUTE_BACKCHANNEL,
    XT_AUDIT_ROUTE_TOKEN,
    XT_AUDIT_ROUTE_CONSENTS,
    XT_AUDIT_ROUTE_COUNT
};
const char *xt_audit_route_name(enum xt_audit_route route);

enum xt_audit_verdict {
    XT_AUDIT_NO_VERDICT, /* refused, or not a question of one */
    XT_AUDIT_VERIFIED,
    XT_AUDIT_NOT_VERIFIED,
    XT_AUDIT_VERDICT_COUNT
};

/* Of one claim asked. */
enum xt_audit_result {
    XT_AUDIT_NO_RESULT, /* refused before it was compared */
    XT_AUDIT_MATCH,
    XT_AUDIT_MISMATCH,
    XT_AUDIT_NOT_HELD
};

struct xt_audit_entry {
    uint64_t unix_ms; /* below XT_AUDIT_MS_END */
    uint8_t answer_id[XT_AUDIT_ANSWER_ID];
    enum xt_audit_route route;
    enum xt_audit_verdict verdict;
    uint16_t status; /* of HTTP, 100-599 */
    /* Borrowed UTF-8 without control characters; empty: none. */
    struct xt_span partner, purpose, legal_basis, consent_ref, problem;
    bool has_subject;
    uint8_t subject[XT_PSEUDONYM_BYTES];
    /* Of a line of /v1/events: enum xt_registry_type, of what the writer was told about an account: enum
     * xt_account_type (0: none), and the sequence of the event that was applied (0: none was, or it is not known). */
    uint8_t event;
    uint64_t sequence;
    /* What became of what somebody showed (enum xt_attempt): here alone it is told why he was refused. 0: nothing was
     * shown, or it is not known. Only with an event. */
    uint8_t attempt;
    /* Of a line of /v1/verify/batch: its number; of the entry at the end of such a request (no subject): that
     * of the last line answered. 0: none. Below XT_AUDIT_LINE_END. */
    uint64_t line;
    /* Of /v1/attributes: sets of XT_ATTRIBUTE_BIT: which were asked for (0: it is of another route), and which
     * of these left. */
    uint32_t attributes, given;
    uint32_t asked; /* set of XT_CLAIM_BIT */
    uint8_t
        results[XT_CLAIM_COUNT]; /* enum xt_audit_result; of claims not asked they do not count */
};

/* Fills answer_id from its 26 characters. XT_INVALID: no ULID. Capitals only, as we write them. */
XT_MUST_USE enum xt_status xt_audit_answer_id(struct xt_span text,
                                              uint8_t answer_id[XT_AUDIT_ANSWER_ID]);
void xt_audit_answer_id_text(const uint8_t answer_id[XT_AUDIT_ANSWER_ID], char text[XT_ANSWER_ID]);

/* Fills verdict, asked and results from an outcome. */
void xt_audit_entry_outcome(struct xt_audit_entry *entry, uint32_t asked,
                            const struct xt_outcome *outcome);

/* Writes it. XT_INVALID: a text too long or no UTF-8, or a number out of its range: nothing that a
 * peer sent gets so far, so it is a fault of the caller. XT_NO_SPACE: does not fit; nothing was written. */
XT_MUST_USE enum xt_status xt_audit_entry_encode(const struct xt_audit_entry *entry,
                                                 struct xt_writer *writer);

/* bytes: exactly one entry; texts are borrowed from it. XT_CORRUPT: not what xt_audit_entry_encode
 * writes. XT_UNSUPPORTED: of a later version. */
XT_MUST_USE enum xt_status xt_audit_entry_decode(struct xt_span bytes,
                                                 struct xt_audit_entry *entry);

/* One JSON object, no newline. */
#define XT_AUDIT_ENTRY_JSON_MAX 8192 /* always enough */
void xt_audit_entry_to_json(const struct xt_audit_entry *entry, struct xt_writer *writer);

#endif
