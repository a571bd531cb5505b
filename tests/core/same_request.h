/* tests/core/same_request: whether two verify requests are the same, members not there aside. */
#ifndef XT_TESTS_CORE_SAME_REQUEST_H
#define XT_TESTS_CORE_SAME_REQUEST_H

#include "core/request.h"

static inline bool same_id(struct xt_id a, struct xt_id b)
{
    return a.kind == b.kind && a.value == b.value;
}

static inline bool same_claim(const struct xt_claims *a, const struct xt_claims *b, unsigned claim)
{
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        return a->full_name.length == b->full_name.length &&
               memcmp(a->full_name.codes, b->full_name.codes, a->full_name.length) == 0;
    case XT_CLAIM_DATE_OF_BIRTH:
        return a->date_of_birth == b->date_of_birth;
    case XT_CLAIM_SEX:
        return a->sex == b->sex;
    case XT_CLAIM_PHONE:
        return a->phone == b->phone;
    case XT_CLAIM_CARD_ISSUED_ON:
        return a->card_issued_on == b->card_issued_on;
    case XT_CLAIM_CARD_EXPIRES_ON:
        return a->card_expires_on == b->card_expires_on;
    case XT_CLAIM_OLD_ID:
        return same_id(a->old_id, b->old_id);
    case XT_CLAIM_PROVINCE:
        return a->province == b->province;
    default:
        claim -= XT_CLAIM_HEALTH_INSURANCE;
        return a->documents[claim].length == b->documents[claim].length &&
               memcmp(a->documents[claim].text, b->documents[claim].text,
                      a->documents[claim].length) == 0;
    }
}

static inline bool same_request(const struct xt_verify_request *a,
                                const struct xt_verify_request *b)
{
    bool same = a->has_txn == b->has_txn && xt_span_equal(a->txn, b->txn) &&
                same_id(a->id, b->id) && a->from_qr == b->from_qr &&
                xt_span_equal(a->purpose, b->purpose) &&
                xt_span_equal(a->legal_basis, b->legal_basis) &&
                xt_span_equal(a->consent_ref, b->consent_ref) &&
                a->claims.asked == b->claims.asked && a->claims.name_level == b->claims.name_level;
    for (uint32_t left = a->claims.asked; same && left != 0; left &= left - 1) {
        same = same_claim(&a->claims, &b->claims, (unsigned)__builtin_ctz(left));
    }
    return same;
}

#endif
