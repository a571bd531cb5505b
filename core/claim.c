#include "core/claim.h"

#include "core/branchless.h"
#include "core/province.h"

static const struct {
    const char *name;
    size_t length;
} CLAIMS[XT_CLAIM_COUNT] = {
#define CLAIM(claim, text) [claim] = {text, sizeof(text) - 1}
    CLAIM(XT_CLAIM_FULL_NAME, "full_name"),
    CLAIM(XT_CLAIM_DATE_OF_BIRTH, "date_of_birth"),
    CLAIM(XT_CLAIM_SEX, "sex"),
    CLAIM(XT_CLAIM_PHONE, "phone"),
    CLAIM(XT_CLAIM_CARD_ISSUED_ON, "card_issued_on"),
    CLAIM(XT_CLAIM_CARD_EXPIRES_ON, "card_expires_on"),
    CLAIM(XT_CLAIM_OLD_ID, "old_id"),
    CLAIM(XT_CLAIM_PROVINCE, "province"),
    CLAIM(XT_CLAIM_HEALTH_INSURANCE, "health_insurance"),
    CLAIM(XT_CLAIM_SOCIAL_INSURANCE, "social_insurance"),
    CLAIM(XT_CLAIM_DRIVING_LICENCE, "driving_licence"),
    CLAIM(XT_CLAIM_VEHICLE, "vehicle"),
    CLAIM(XT_CLAIM_PASSPORT, "passport"),
    CLAIM(XT_CLAIM_TAX, "tax"),
#undef CLAIM
};
_Static_assert(XT_CLAIM_COUNT - XT_CLAIM_HEALTH_INSURANCE == XT_LINK_TYPE_COUNT,
               "every kind of document is a claim");

const char *xt_claim_name(enum xt_claim claim)
{
    return CLAIMS[claim].name;
}

struct xt_span xt_claim_name_span(enum xt_claim claim)
{
    return xt_span_of(CLAIMS[claim].name, CLAIMS[claim].length);
}

enum xt_status xt_claim_by_name(struct xt_span name, enum xt_claim *claim)
{
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        if (name.size == CLAIMS[i].length && memcmp(name.data, CLAIMS[i].name, name.size) == 0) {
            *claim = (enum xt_claim)i;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

const char *xt_reason_name(enum xt_reason reason)
{
    switch (reason) {
    case XT_REASON_NONE:
        return "none";
    case XT_REASON_UNKNOWN:
        return "unknown";
    case XT_REASON_DECEASED:
        return "deceased";
    case XT_REASON_MISSING:
        return "missing";
    case XT_REASON_CANCELLED:
        return "cancelled";
    }
    return "none";
}

/* What the record says to each claim: sets of XT_CLAIM_BIT. */
struct findings {
    uint32_t equal;
    uint32_t held; /* the register holds something to compare with */
};

/* Without branches on what is held: a bit is moved to its place, or zero is. */
static inline void find(struct findings *findings, enum xt_claim claim, bool held, bool equal)
{
    findings->held |= (uint32_t)held << claim;
    findings->equal |= (uint32_t)(held & equal) << claim;
}

/* Compared whether there or not: hardly anybody has more. */
#define PHONES_ALWAYS 4U

static bool phone_is_held(const struct xt_hot *person, uint32_t phone)
{
    unsigned same = 0;
    for (unsigned i = 0; i < PHONES_ALWAYS || i < person->phone_count; i++) {
        same |= (unsigned)(person->phones[i] == phone) & (i < person->phone_count);
    }
    return same != 0;
}

static bool is_in_force(const struct xt_link *link, xt_date today)
{
    /* A year alone orders before all its days, so a start needs no such care. */
    return (link->valid_from <= today) &
           ((link->valid_until == XT_DATE_NONE) | (today <= xt_date_latest(link->valid_until)));
}
_Static_assert(XT_DATE_NONE == 0, "a start that is not stated is before every day");

/* In a time that tells nothing of either. */
static bool same_document(const struct xt_document *claimed, const struct xt_document *held)
{
    unsigned difference = claimed->length ^ held->length;
    for (unsigned i = 0; i < XT_DOCUMENT_MAX; i++) {
        unsigned letter = (uint8_t)claimed->text[i] ^ (uint8_t)held->text[i];
        difference |= letter & (0U - (i < claimed->length));
    }
    return difference == 0;
}

static void find_documents(const struct xt_claims *claims, const struct xt_links *links,
                           xt_date today, struct findings *findings)
{
    unsigned count = links != NULL ? links->count + links->others : 0;
    for (unsigned i = 0; i < count; i++) {
        const struct xt_link *link = &links->links[i];
        unsigned claim = XT_CLAIM_HEALTH_INSURANCE + (unsigned)link->type;
        const struct xt_document *claimed = &claims->documents[link->type];
        bool asked = (claims->asked & XT_CLAIM_BIT(claim)) != 0;
        find(findings, (enum xt_claim)claim, links->others == 0,
             asked & same_document(claimed, &link->number) & is_in_force(link, today));
    }
}

static struct findings find_all(const struct xt_claims *claims, const struct xt_hot *person,
                                const struct xt_links *links, xt_date today)
{
    struct findings findings = {0};
    uint32_t asked = claims->asked;
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_FULL_NAME)) != 0) {
        enum xt_name_level level =
            claims->name_level == XT_NAME_EXACT ? XT_NAME_EXACT : XT_NAME_SPELLING;
        find(&findings, XT_CLAIM_FULL_NAME, true,
             xt_name_matches(&claims->full_name, &person->name, level));
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH)) != 0) {
        find(&findings, XT_CLAIM_DATE_OF_BIRTH, true,
             claims->date_of_birth == person->date_of_birth);
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_SEX)) != 0) {
        find(&findings, XT_CLAIM_SEX, person->sex != XT_SEX_UNKNOWN, claims->sex == person->sex);
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_PHONE)) != 0) {
        find(&findings, XT_CLAIM_PHONE, person->phone_count > 0,
             phone_is_held(person, claims->phone));
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_CARD_ISSUED_ON)) != 0) {
        find(&findings, XT_CLAIM_CARD_ISSUED_ON, person->card_issued_on != XT_DATE_NONE,
             claims->card_issued_on == person->card_issued_on);
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_CARD_EXPIRES_ON)) != 0) {
        find(&findings, XT_CLAIM_CARD_EXPIRES_ON, person->card_has_expiry,
             claims->card_expires_on == person->card_expires_on);
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_OLD_ID)) != 0) {
        find(&findings, XT_CLAIM_OLD_ID, person->has_cmnd,
             (claims->old_id.kind == XT_ID_CMND) & (claims->old_id.value == person->cmnd));
    }
    if ((asked & XT_CLAIM_BIT(XT_CLAIM_PROVINCE)) != 0) {
        find(&findings, XT_CLAIM_PROVINCE, person->province != XT_PROVINCE_NONE,
             claims->province == person->province);
    }
    if ((asked & XT_CLAIM_DOCUMENTS) != 0) {
        find_documents(claims, links, today, &findings);
    }
    findings.equal &= asked;
    findings.held &= asked;
    return findings;
}

static enum xt_reason reason_of(bool found, enum xt_life life)
{
    static const enum xt_reason REASONS[] = {
        [XT_LIFE_ALIVE] = XT_REASON_NONE,
        [XT_LIFE_DECEASED] = XT_REASON_DECEASED,
        [XT_LIFE_MISSING] = XT_REASON_MISSING,
        [XT_LIFE_CANCELLED] = XT_REASON_CANCELLED,
        [XT_LIFE_CANCELLED + 1] = XT_REASON_UNKNOWN, /* nobody */
    };
    uint32_t is_found = xt_mask(found);
    return REASONS[((unsigned)life & is_found) | ((XT_LIFE_CANCELLED + 1U) & ~is_found)];
}

/* Always compares when asked to; tells only of levels the caller asked for, and of a person it may
 * know to be there. */
static struct xt_name_comparison advise(const struct xt_claims *claims, const struct xt_hot *person,
                                        bool tells)
{
    struct xt_name_comparison comparison = xt_name_compare(&claims->full_name, &person->name);
    uint32_t told = xt_mask(tells & (comparison.level <= claims->name_level) &
                            (comparison.level != XT_NAME_DIFFERENT));
    comparison.level = (enum xt_name_level)(((unsigned)comparison.level & told) |
                                            ((unsigned)XT_NAME_DIFFERENT & ~told));
    comparison.score &= told;
    return comparison;
}

void xt_claims_compare(const struct xt_claims *claims, bool found, const struct xt_hot *person,
                       const struct xt_links *links, bool existence, bool advisory, xt_date today,
                       struct xt_outcome *outcome)
{
    struct findings findings = find_all(claims, person, links, today);
    bool alive = person->life == XT_LIFE_ALIVE;
    bool tells = found & (alive | existence);
    uint32_t told = XT_CLAIM_ALL & xt_mask(tells);
    uint32_t matched = findings.equal & told;
    uint32_t not_held = claims->asked & ~findings.held & told & (existence ? XT_CLAIM_ALL : 0);
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        /* MATCH 0, MISMATCH 1, NOT_HELD 2 */
        outcome->results[i] = (uint8_t)(1U - (matched >> i & 1U) + (not_held >> i & 1U));
    }
    bool verified = found & alive & (claims->asked != 0) & (matched == claims->asked);
    outcome->verdict = verified ? XT_VERDICT_VERIFIED : XT_VERDICT_NOT_VERIFIED;

    enum xt_card_answer card = xt_card_answer(person->card_state, person->card_expires_on, today);
    unsigned told_card = xt_mask(tells & (existence | (matched != 0)));
    outcome->card = (enum xt_card_answer)((unsigned)card & told_card);
    enum xt_reason reason = reason_of(found, person->life);
    outcome->reason = existence ? reason : XT_REASON_NONE;

    outcome->has_name_advisory = advisory &&
                                 (claims->asked & XT_CLAIM_BIT(XT_CLAIM_FULL_NAME)) != 0 &&
                                 claims->name_level > XT_NAME_SPELLING;
    outcome->name_advisory =
        outcome->has_name_advisory
            ? advise(claims, person, tells)
            : (struct xt_name_comparison){.level = XT_NAME_DIFFERENT, .score = 0};
}
_Static_assert(XT_CARD_ANSWER_NONE == 0, "what is masked away is no card");
_Static_assert(XT_RESULT_MATCH == 0 && XT_RESULT_MISMATCH == 1 && XT_RESULT_NOT_HELD == 2,
               "results are computed from bits");
