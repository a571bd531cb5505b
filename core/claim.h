/* core/claim: what a partner says of a person, compared with what the register holds. */
#ifndef XT_CORE_CLAIM_H
#define XT_CORE_CLAIM_H

#include "core/person.h"
#include "core/record.h"

/* In the order in which answers list them. */
enum xt_claim {
    XT_CLAIM_FULL_NAME,
    XT_CLAIM_DATE_OF_BIRTH,
    XT_CLAIM_SEX,
    XT_CLAIM_PHONE,
    XT_CLAIM_CARD_ISSUED_ON,
    XT_CLAIM_CARD_EXPIRES_ON,
    XT_CLAIM_OLD_ID,
    XT_CLAIM_PROVINCE,
    XT_CLAIM_HEALTH_INSURANCE, /* the documents stand in the order of enum xt_link_type */
    XT_CLAIM_SOCIAL_INSURANCE,
    XT_CLAIM_DRIVING_LICENCE,
    XT_CLAIM_VEHICLE,
    XT_CLAIM_PASSPORT,
    XT_CLAIM_TAX,
    XT_CLAIM_COUNT
};

#define XT_CLAIM_BIT(claim) (1U << (unsigned)(claim))
#define XT_CLAIM_ALL (XT_CLAIM_BIT(XT_CLAIM_COUNT) - 1)
#define XT_CLAIM_DOCUMENTS                                                                         \
    (XT_CLAIM_ALL & ~(XT_CLAIM_BIT(XT_CLAIM_HEALTH_INSURANCE) - 1)) /* need the cold part */

const char *xt_claim_name(enum xt_claim claim);
struct xt_span xt_claim_name_span(enum xt_claim claim); /* the same with its length */
XT_MUST_USE enum xt_status xt_claim_by_name(struct xt_span name, enum xt_claim *claim);

/* The claims of one request, parsed into the register's own terms. Members not asked for are not
 * filled. */
struct xt_claims {
    uint32_t asked; /* XT_CLAIM_BIT set */
    struct xt_name full_name;
    enum xt_name_level
        name_level; /* the loosest level the caller wants to hear of; default SPELLING.
                                      Levels past SPELLING are advisory: the claim itself matches by
                                      SPELLING (by EXACT where the caller asks for that) */
    xt_date date_of_birth;
    enum xt_sex sex;
    uint32_t phone;
    xt_date card_issued_on, card_expires_on;
    struct xt_id old_id;
    unsigned province;
    struct xt_document documents[XT_LINK_TYPE_COUNT];
};

enum xt_result { XT_RESULT_MATCH, XT_RESULT_MISMATCH, XT_RESULT_NOT_HELD };

enum xt_verdict { XT_VERDICT_VERIFIED, XT_VERDICT_NOT_VERIFIED };

/* Why a person with every claim right is not verified; told only by the right `existence`. */
enum xt_reason {
    XT_REASON_NONE,
    XT_REASON_UNKNOWN,
    XT_REASON_DECEASED,
    XT_REASON_MISSING,
    XT_REASON_CANCELLED
};
const char *xt_reason_name(enum xt_reason reason);

struct xt_outcome {
    enum xt_verdict verdict;
    uint8_t results[XT_CLAIM_COUNT]; /* enum xt_result, for claims asked; others are MISMATCH */
    enum xt_card_answer card; /* NONE unless a claim matched or `existence`; an answer shows it only
                                 where it tells nothing that the rest of the answer does not */
    enum xt_reason reason;    /* NONE without `existence` */
    bool has_name_advisory;   /* a level past SPELLING was asked for, with the right */
    struct xt_name_comparison name_advisory; /* DIFFERENT has score 0: a near miss is nothing */
};

/* Compares. `found` false: person is a stand-in of the same shape (its content must not matter); the
 * same work is done and the outcome is that of a living person of whom every claim mismatches. The
 * same for deceased, missing, cancelled. `links` is NULL when no document claim was asked or the
 * person holds none of those types. `existence`: gives NOT_HELD where the register holds nothing,
 * and the real results and reason; an unknown person mismatches all the same. `advisory`: also
 * compares the name at the advisory levels when the request asks for one.
 * today: the civil date of the answer. Pure; constant work for the same request shape: every claim
 * asked is compared, nothing ends early, and what may not be told is masked out at the end.
 *
 * Dates match only when equal in value and precision: where the register knows just 1950, "1950"
 * matches and "1950-01-01" does not. A card's expiry that no import stated is held all the same where
 * the rule gives one (core/card). A document matches when its number is equal and it is in force
 * today; end dates that know only a year or month run to its end. */
void xt_claims_compare(const struct xt_claims *claims, bool found, const struct xt_hot *person,
                       const struct xt_links *links, bool existence, bool advisory, xt_date today,
                       struct xt_outcome *outcome);

#endif
