#define _GNU_SOURCE /* memmem */
#include "tests/test.h"

#include "core/claim.h"
#include "core/policy.h"
#include "core/province.h"
#include "core/request.h"

#include <stdio.h>
#include <string.h>

#define DATE(year, month, day) ((xt_date)((year) << 9 | (month) << 5 | (day)))
#define TODAY DATE(2026, 11, 21)
#define ID "0123456789ABCDEFGHJKMNPQRS"

static struct xt_name name_of(const char *text)
{
    struct xt_name name;
    assert_int_equal(xt_name_parse(xt_span_of_string(text), &name), XT_OK);
    return name;
}

static struct xt_document document_of(const char *text)
{
    struct xt_document document;
    assert_int_equal(xt_document_parse(xt_span_of_string(text), &document), XT_OK);
    return document;
}

/* A living person of whom everything is held, and the claims that all match. */
static void make_person(struct xt_hot *person, struct xt_links *links)
{
    *person = (struct xt_hot){
        .number = 1099012345,
        .name = name_of("Nguyễn Văn Hòa"),
        .date_of_birth = DATE(1999, 1, 25),
        .sex = XT_SEX_MALE,
        .life = XT_LIFE_ALIVE,
        .has_cmnd = true,
        .cmnd = 12345678,
        .province = 5,
        .card_state = XT_CARD_ACTIVE,
        .card_issued_on = DATE(2021, 4, 25),
        .card_expires_on = DATE(2039, 1, 25),
        .card_has_expiry = true,
        .phone_count = 2,
        .phones = {912345678, 987654321},
        .link_types = 0x3f,
    };
    links->count = XT_LINK_TYPE_COUNT;
    links->others = 0;
    for (unsigned i = 0; i < XT_LINK_TYPE_COUNT; i++) {
        links->links[i] =
            (struct xt_link){.type = (enum xt_link_type)i, .number = document_of("AB12345")};
        links->links[i].number.text[0] = (char)('A' + i);
    }
}

static void make_claims(struct xt_claims *claims)
{
    memset(claims, 0, sizeof *claims);
    claims->asked = XT_CLAIM_ALL;
    claims->full_name = name_of("NGUYỄN VĂN HOÀ");
    claims->name_level = XT_NAME_SPELLING;
    claims->date_of_birth = DATE(1999, 1, 25);
    claims->sex = XT_SEX_MALE;
    claims->phone = 987654321;
    claims->card_issued_on = DATE(2021, 4, 25);
    claims->card_expires_on = DATE(2039, 1, 25);
    claims->old_id = (struct xt_id){XT_ID_CMND, 12345678};
    claims->province = 5;
    for (unsigned i = 0; i < XT_LINK_TYPE_COUNT; i++) {
        claims->documents[i] = document_of("AB12345");
        claims->documents[i].text[0] = (char)('A' + i);
    }
}

/* Makes one claim wrong. */
static void spoil(struct xt_claims *claims, unsigned claim)
{
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        claims->full_name = name_of("Trần Thị Bưởi");
        break;
    case XT_CLAIM_DATE_OF_BIRTH:
        claims->date_of_birth = DATE(1999, 1, 0);
        break;
    case XT_CLAIM_SEX:
        claims->sex = XT_SEX_FEMALE;
        break;
    case XT_CLAIM_PHONE:
        claims->phone = 912345679;
        break;
    case XT_CLAIM_CARD_ISSUED_ON:
        claims->card_issued_on = DATE(2021, 4, 26);
        break;
    case XT_CLAIM_CARD_EXPIRES_ON:
        claims->card_expires_on = DATE(2038, 1, 25);
        break;
    case XT_CLAIM_OLD_ID:
        claims->old_id.value++;
        break;
    case XT_CLAIM_PROVINCE:
        claims->province = 6;
        break;
    default:
        claims->documents[claim - XT_CLAIM_HEALTH_INSURANCE].text[6] = '6';
    }
}

static void spoil_all(struct xt_claims *claims)
{
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        spoil(claims, claim);
    }
}

/* Takes what one claim is about out of the register. */
static void forget(struct xt_hot *person, struct xt_links *links, unsigned claim)
{
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
    case XT_CLAIM_DATE_OF_BIRTH:
        break; /* always held */
    case XT_CLAIM_SEX:
        person->sex = XT_SEX_UNKNOWN;
        break;
    case XT_CLAIM_PHONE:
        person->phone_count = 0;
        break;
    case XT_CLAIM_CARD_ISSUED_ON:
        person->card_issued_on = XT_DATE_NONE;
        break;
    case XT_CLAIM_CARD_EXPIRES_ON:
        person->card_has_expiry = false;
        person->card_expires_on = XT_DATE_NONE;
        break;
    case XT_CLAIM_OLD_ID:
        person->has_cmnd = false;
        person->cmnd = 0;
        break;
    case XT_CLAIM_PROVINCE:
        person->province = XT_PROVINCE_NONE;
        break;
    default:
        links->links[claim - XT_CLAIM_HEALTH_INSURANCE] = links->links[--links->count];
    }
}

static void everything_right_is_verified(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    struct xt_outcome outcome;
    make_person(&person, &links);
    make_claims(&claims);
    for (unsigned existence = 0; existence < 2; existence++) {
        xt_claims_compare(&claims, true, &person, &links, existence, false, TODAY, &outcome);
        assert_int_equal(outcome.verdict, XT_VERDICT_VERIFIED);
        assert_int_equal(outcome.card, XT_CARD_ANSWER_VALID);
        assert_int_equal(outcome.reason, XT_REASON_NONE);
        for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
            assert_int_equal(outcome.results[claim], XT_RESULT_MATCH);
        }
    }
    claims.asked = 0; /* the parser never gives this, but nothing asked is nothing verified */
    xt_claims_compare(&claims, true, &person, &links, false, false, TODAY, &outcome);
    assert_int_equal(outcome.verdict, XT_VERDICT_NOT_VERIFIED);
}

/* How a person stands to the register. */
enum situation { LIVING, UNKNOWN, DECEASED, MISSING, CANCELLED, SITUATIONS };
static const enum xt_life LIVES[] = {XT_LIFE_ALIVE, XT_LIFE_ALIVE, XT_LIFE_DECEASED,
                                     XT_LIFE_MISSING, XT_LIFE_CANCELLED};
static const enum xt_reason REASONS[] = {XT_REASON_NONE, XT_REASON_UNKNOWN, XT_REASON_DECEASED,
                                         XT_REASON_MISSING, XT_REASON_CANCELLED};

enum claimed { RIGHT, WRONG, NOT_HELD, CLAIMED };

static enum xt_result expected(enum situation situation, enum claimed claimed, unsigned claim,
                               bool existence)
{
    bool always_held = claim == XT_CLAIM_FULL_NAME || claim == XT_CLAIM_DATE_OF_BIRTH;
    bool told = situation == LIVING || (existence && situation != UNKNOWN);
    if (claimed == NOT_HELD && !always_held) {
        return told && existence ? XT_RESULT_NOT_HELD : XT_RESULT_MISMATCH;
    }
    return told && claimed != WRONG ? XT_RESULT_MATCH : XT_RESULT_MISMATCH;
}

static void each_claim_is_told_as_rights_and_situation_allow(void **state)
{
    (void)state;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        for (unsigned at = 0; at < SITUATIONS * CLAIMED * 2; at++) {
            enum situation situation = (enum situation)(at / 2 / CLAIMED);
            enum claimed claimed = (enum claimed)(at / 2 % CLAIMED);
            bool existence = at % 2 != 0;
            struct xt_hot person;
            struct xt_links links;
            struct xt_claims claims;
            struct xt_outcome outcome;
            make_person(&person, &links);
            make_claims(&claims);
            person.life = LIVES[situation];
            if (claimed == WRONG) {
                spoil(&claims, claim);
            } else if (claimed == NOT_HELD) {
                forget(&person, &links, claim);
            }
            /* alone, then among all others, which are right */
            for (unsigned all = 0; all < 2; all++) {
                claims.asked = all != 0 ? XT_CLAIM_ALL : XT_CLAIM_BIT(claim);
                memset(&outcome, 0xa5, sizeof outcome);
                xt_claims_compare(&claims, situation != UNKNOWN, &person, &links, existence, false,
                                  TODAY, &outcome);
                enum xt_result result = expected(situation, claimed, claim, existence);
                if (outcome.results[claim] != result) {
                    fail_msg("%s: situation %u, claimed %u, existence %u: %u, not %u",
                             xt_claim_name((enum xt_claim)claim), situation, claimed, existence,
                             outcome.results[claim], result);
                }
                bool verified = situation == LIVING && result == XT_RESULT_MATCH;
                assert_int_equal(outcome.verdict,
                                 verified ? XT_VERDICT_VERIFIED : XT_VERDICT_NOT_VERIFIED);
                assert_int_equal(outcome.reason, existence ? REASONS[situation] : XT_REASON_NONE);
                assert_false(outcome.has_name_advisory);
            }
        }
    }
}

static void no_links_at_all_means_no_documents(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    struct xt_outcome outcome;
    make_person(&person, &links);
    make_claims(&claims);
    xt_claims_compare(&claims, true, &person, NULL, true, false, TODAY, &outcome);
    for (unsigned claim = XT_CLAIM_HEALTH_INSURANCE; claim < XT_CLAIM_COUNT; claim++) {
        assert_int_equal(outcome.results[claim], XT_RESULT_NOT_HELD);
    }
    assert_int_equal(outcome.results[XT_CLAIM_PROVINCE], XT_RESULT_MATCH);
}

/* One claim compared with a living person, with existence so that NOT_HELD shows. */
static enum xt_result compare_one(const struct xt_claims *claims, unsigned claim,
                                  const struct xt_hot *person, const struct xt_links *links)
{
    struct xt_claims one = *claims;
    struct xt_outcome outcome;
    one.asked = XT_CLAIM_BIT(claim);
    xt_claims_compare(&one, true, person, links, true, false, TODAY, &outcome);
    return (enum xt_result)outcome.results[claim];
}

static void dates_match_only_in_the_precision_that_is_held(void **state)
{
    (void)state;
    static const struct {
        xt_date held, claimed;
        bool match;
    } CASES[] = {
        {DATE(1950, 0, 0), DATE(1950, 0, 0), true},  {DATE(1950, 0, 0), DATE(1950, 1, 1), false},
        {DATE(1950, 0, 0), DATE(1950, 1, 0), false}, {DATE(1950, 3, 0), DATE(1950, 3, 0), true},
        {DATE(1950, 3, 0), DATE(1950, 3, 1), false}, {DATE(1950, 3, 1), DATE(1950, 3, 0), false},
        {DATE(1950, 3, 1), DATE(1950, 0, 0), false}, {DATE(1950, 3, 1), DATE(1950, 3, 1), true},
        {DATE(1950, 3, 1), DATE(1950, 1, 3), false}, {DATE(1950, 1, 1), DATE(1950, 0, 0), false},
    };
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    make_person(&person, &links);
    make_claims(&claims);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        person.date_of_birth = CASES[i].held;
        claims.date_of_birth = CASES[i].claimed;
        assert_int_equal(compare_one(&claims, XT_CLAIM_DATE_OF_BIRTH, &person, &links),
                         CASES[i].match ? XT_RESULT_MATCH : XT_RESULT_MISMATCH);
    }
}

static void an_old_id_is_compared_with_the_cmnd_only(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    make_person(&person, &links);
    make_claims(&claims);
    claims.old_id = (struct xt_id){XT_ID_PERSONAL, 12345678}; /* 000012345678 */
    assert_int_equal(compare_one(&claims, XT_CLAIM_OLD_ID, &person, &links), XT_RESULT_MISMATCH);
    person.has_cmnd = false;
    person.cmnd = 0;
    claims.old_id = (struct xt_id){XT_ID_CMND, 0}; /* 000000000: nobody's */
    assert_int_equal(compare_one(&claims, XT_CLAIM_OLD_ID, &person, &links), XT_RESULT_NOT_HELD);
    person.has_cmnd = true;
    assert_int_equal(compare_one(&claims, XT_CLAIM_OLD_ID, &person, &links), XT_RESULT_MATCH);
}

static void a_document_matches_only_while_in_force(void **state)
{
    (void)state;
    static const struct {
        xt_date from, until;
        bool in_force; /* on 2026-11-21 */
    } CASES[] = {
        {XT_DATE_NONE, XT_DATE_NONE, true},        {DATE(2026, 11, 21), XT_DATE_NONE, true},
        {DATE(2026, 11, 22), XT_DATE_NONE, false}, {DATE(2026, 11, 0), XT_DATE_NONE, true},
        {DATE(2026, 12, 0), XT_DATE_NONE, false},  {DATE(2026, 0, 0), XT_DATE_NONE, true},
        {DATE(2027, 0, 0), XT_DATE_NONE, false},   {XT_DATE_NONE, DATE(2026, 11, 21), true},
        {XT_DATE_NONE, DATE(2026, 11, 20), false}, {XT_DATE_NONE, DATE(2026, 11, 0), true},
        {XT_DATE_NONE, DATE(2026, 10, 0), false},  {XT_DATE_NONE, DATE(2026, 0, 0), true},
        {XT_DATE_NONE, DATE(2025, 0, 0), false},   {DATE(2020, 0, 0), DATE(2026, 12, 0), true},
    };
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    make_person(&person, &links);
    make_claims(&claims);
    struct xt_link *link = &links.links[XT_LINK_PASSPORT];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        link->valid_from = CASES[i].from;
        link->valid_until = CASES[i].until;
        if (compare_one(&claims, XT_CLAIM_PASSPORT, &person, &links) !=
            (CASES[i].in_force ? XT_RESULT_MATCH : XT_RESULT_MISMATCH)) {
            fail_msg("case %zu", i);
        }
    }
}

static void any_of_several_documents_matches(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    make_person(&person, &links);
    make_claims(&claims);
    static const char *const NUMBERS[] = {"29A1", "29A2", "29A3"};
    links.count = 3;
    links.others = 0;
    for (unsigned i = 0; i < 3; i++) {
        links.links[i] =
            (struct xt_link){.type = XT_LINK_VEHICLE, .number = document_of(NUMBERS[i])};
    }
    links.links[2].valid_until = DATE(2020, 1, 1);
    for (unsigned i = 0; i < 3; i++) {
        claims.documents[XT_LINK_VEHICLE] = document_of(NUMBERS[i]);
        assert_int_equal(compare_one(&claims, XT_CLAIM_VEHICLE, &person, &links),
                         i < 2 ? XT_RESULT_MATCH : XT_RESULT_MISMATCH);
    }
    claims.documents[XT_LINK_VEHICLE] = document_of("29A11");
    assert_int_equal(compare_one(&claims, XT_CLAIM_VEHICLE, &person, &links), XT_RESULT_MISMATCH);
    /* the same number of another kind of document is another document */
    claims.documents[XT_LINK_TAX] = document_of("29A1");
    assert_int_equal(compare_one(&claims, XT_CLAIM_TAX, &person, &links), XT_RESULT_NOT_HELD);
}

static void names_match_by_spelling_whatever_advice_is_asked(void **state)
{
    (void)state;
    static const struct {
        const char *claimed;
        enum xt_name_level asked;
        enum xt_result result;
        bool has_advisory;
        enum xt_name_level level; /* told with the right */
    } CASES[] = {
        {"Nguyễn Văn Hòa", XT_NAME_EXACT, XT_RESULT_MATCH, false, 0},
        {"Nguyễn Văn Hoà", XT_NAME_EXACT, XT_RESULT_MISMATCH, false, 0},
        {"Nguyễn Văn Hoà", XT_NAME_SPELLING, XT_RESULT_MATCH, false, 0},
        {"Nguyen Van Hoa", XT_NAME_SPELLING, XT_RESULT_MISMATCH, false, 0},
        {"Nguyễn Văn Hòa", XT_NAME_UNACCENTED, XT_RESULT_MATCH, true, XT_NAME_EXACT},
        {"Nguyễn Văn Hoà", XT_NAME_FUZZY, XT_RESULT_MATCH, true, XT_NAME_SPELLING},
        {"Nguyen Van Hoa", XT_NAME_UNACCENTED, XT_RESULT_MISMATCH, true, XT_NAME_UNACCENTED},
        {"Nguyen Van Hoa", XT_NAME_FUZZY, XT_RESULT_MISMATCH, true, XT_NAME_UNACCENTED},
        {"Hòa Nguyễn Văn", XT_NAME_UNACCENTED, XT_RESULT_MISMATCH, true, XT_NAME_DIFFERENT},
        {"Hòa Nguyễn Văn", XT_NAME_REORDERED, XT_RESULT_MISMATCH, true, XT_NAME_REORDERED},
        {"Trần Thị Bưởi", XT_NAME_FUZZY, XT_RESULT_MISMATCH, true, XT_NAME_DIFFERENT},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_hot person;
        struct xt_links links;
        struct xt_claims claims;
        struct xt_outcome outcome;
        make_person(&person, &links);
        make_claims(&claims);
        claims.asked = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
        claims.full_name = name_of(CASES[i].claimed);
        claims.name_level = CASES[i].asked;
        xt_claims_compare(&claims, true, &person, NULL, false, true, TODAY, &outcome);
        assert_int_equal(outcome.results[XT_CLAIM_FULL_NAME], CASES[i].result);
        assert_int_equal(outcome.has_name_advisory, CASES[i].has_advisory);
        if (CASES[i].has_advisory) {
            assert_int_equal(outcome.name_advisory.level, CASES[i].level);
            assert_int_equal(outcome.name_advisory.score,
                             CASES[i].level == XT_NAME_DIFFERENT ? 0 : 100);
        }
        /* without the right there is none; of the unknown there is nothing to say */
        xt_claims_compare(&claims, true, &person, NULL, false, false, TODAY, &outcome);
        assert_false(outcome.has_name_advisory);
        xt_claims_compare(&claims, false, &person, NULL, true, true, TODAY, &outcome);
        assert_int_equal(outcome.name_advisory.level, XT_NAME_DIFFERENT);
        assert_int_equal(outcome.name_advisory.score, 0);
    }
}

static void a_near_miss_is_told_by_its_score_to_who_asks_for_it(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    struct xt_outcome outcome;
    make_person(&person, &links);
    make_claims(&claims);
    claims.full_name = name_of("Nguyễn Văn Hòaa");
    struct xt_name_comparison direct = xt_name_compare(&claims.full_name, &person.name);
    assert_int_equal(direct.level, XT_NAME_FUZZY);
    claims.name_level = XT_NAME_FUZZY;
    xt_claims_compare(&claims, true, &person, &links, false, true, TODAY, &outcome);
    assert_int_equal(outcome.name_advisory.level, XT_NAME_FUZZY);
    assert_int_equal(outcome.name_advisory.score, direct.score);
    claims.name_level = XT_NAME_REORDERED;
    xt_claims_compare(&claims, true, &person, &links, false, true, TODAY, &outcome);
    assert_int_equal(outcome.name_advisory.level, XT_NAME_DIFFERENT);
    assert_int_equal(outcome.name_advisory.score, 0);
}

static void the_card_is_told_only_where_something_matched(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    struct xt_outcome outcome;
    make_person(&person, &links);
    make_claims(&claims);
    person.card_state = XT_CARD_LOST;
    xt_claims_compare(&claims, true, &person, &links, false, false, TODAY, &outcome);
    assert_int_equal(outcome.verdict, XT_VERDICT_VERIFIED); /* a lost card does not change data */
    assert_int_equal(outcome.card, XT_CARD_ANSWER_LOST);
    spoil_all(&claims);
    claims.province = 5;
    xt_claims_compare(&claims, true, &person, &links, false, false, TODAY, &outcome);
    assert_int_equal(outcome.card, XT_CARD_ANSWER_LOST);
    claims.province = 6;
    xt_claims_compare(&claims, true, &person, &links, false, false, TODAY, &outcome);
    assert_int_equal(outcome.card, XT_CARD_ANSWER_NONE);
    xt_claims_compare(&claims, true, &person, &links, true, false, TODAY, &outcome);
    assert_int_equal(outcome.card, XT_CARD_ANSWER_LOST);
    xt_claims_compare(&claims, false, &person, &links, true, false, TODAY, &outcome);
    assert_int_equal(outcome.card, XT_CARD_ANSWER_NONE);
    make_claims(&claims);
    person.card_state = XT_CARD_ACTIVE;
    person.card_expires_on = DATE(2026, 11, 20);
    xt_claims_compare(&claims, true, &person, &links, false, false, TODAY, &outcome);
    assert_int_equal(outcome.card, XT_CARD_ANSWER_EXPIRED);
}

static struct xt_span answer(const struct xt_claims *claims, bool found,
                             const struct xt_hot *person, const struct xt_links *links,
                             uint32_t rights, uint8_t text[XT_VERIFY_ANSWER_MAX])
{
    struct xt_verify_request request = {
        .has_txn = true, .txn = xt_span_of_string("t"), .claims = *claims};
    struct xt_outcome outcome;
    struct xt_writer writer = xt_writer_over(text, XT_VERIFY_ANSWER_MAX);
    xt_claims_compare(claims, found, person, links, (rights & XT_RIGHT_EXISTENCE) != 0,
                      (rights & XT_RIGHT_ADVISORY) != 0, TODAY, &outcome);
    xt_verify_answer_to_json(&request, &outcome, rights, ID, 1795251600123, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

/* For every set of claims, every right but existence and every level: the bytes of the answer about
 * an unknown, deceased, missing or cancelled person of whom all is claimed right are those about a
 * living person of whom all is claimed wrong. */
static void people_who_may_not_be_told_of_look_like_a_mismatch(void **state)
{
    (void)state;
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims right;
    struct xt_claims wrong;
    make_person(&person, &links);
    make_claims(&right);
    make_claims(&wrong);
    spoil_all(&wrong);
    for (uint32_t asked = 1; asked <= XT_CLAIM_ALL; asked++) {
        uint32_t rights = asked * 2654435761U >> 29; /* each combination for 1 in 8 sets */
        rights = (rights & 3) | (rights >> 2) * XT_RIGHT_ADVISORY;
        uint32_t most = asked < 512 ? 8 : 1; /* and all of them for small sets */
        for (uint32_t combination = 0; combination < most; combination++) {
            uint8_t living[XT_VERIFY_ANSWER_MAX];
            uint8_t other[XT_VERIFY_ANSWER_MAX];
            if (most == 8) {
                rights = (combination & 3) | (combination >> 2) * XT_RIGHT_ADVISORY;
            }
            right.asked = wrong.asked = asked;
            right.name_level = wrong.name_level = (enum xt_name_level)(asked % 5);
            person.life = XT_LIFE_ALIVE;
            struct xt_span expected_answer = answer(&wrong, true, &person, &links, rights, living);
            for (unsigned situation = UNKNOWN; situation < SITUATIONS; situation++) {
                person.life = LIVES[situation];
                struct xt_span told =
                    answer(&right, situation != UNKNOWN, &person, &links, rights, other);
                if (!xt_span_equal(told, expected_answer)) {
                    fail_msg("%.*s\n%.*s", (int)told.size, (const char *)told.data,
                             (int)expected_answer.size, (const char *)expected_answer.data);
                }
            }
            /* nor does it matter what the stand-in is, or whether it has links */
            person.life = XT_LIFE_DECEASED;
            assert_true(xt_span_equal(answer(&right, false, &person, NULL, rights, other),
                                      expected_answer));
        }
    }
}

static void existence_alone_tells_them_apart(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"", "unknown", "deceased", "missing", "cancelled"};
    struct xt_hot person;
    struct xt_links links;
    struct xt_claims claims;
    make_person(&person, &links);
    make_claims(&claims);
    for (unsigned situation = 0; situation < SITUATIONS; situation++) {
        uint8_t text[XT_VERIFY_ANSWER_MAX];
        char wanted[32];
        person.life = LIVES[situation];
        struct xt_span told =
            answer(&claims, situation != UNKNOWN, &person, &links, XT_RIGHT_EXISTENCE, text);
        snprintf(wanted, sizeof wanted, "\"reason\":\"%s\"", WORDS[situation]);
        bool has = memmem(told.data, told.size, wanted, strlen(wanted)) != NULL;
        assert_int_equal(has, situation != LIVING);
        assert_int_equal(memmem(told.data, told.size, "reason", 6) != NULL, situation != LIVING);
    }
}

static void claims_are_called_as_in_the_contract(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"full_name",
                                        "date_of_birth",
                                        "sex",
                                        "phone",
                                        "card_issued_on",
                                        "card_expires_on",
                                        "old_id",
                                        "province",
                                        "health_insurance",
                                        "social_insurance",
                                        "driving_licence",
                                        "vehicle",
                                        "passport",
                                        "tax"};
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        enum xt_claim claim = XT_CLAIM_COUNT;
        assert_string_equal(xt_claim_name((enum xt_claim)i), NAMES[i]);
        assert_int_equal(xt_claim_by_name(xt_span_of_string(NAMES[i]), &claim), XT_OK);
        assert_int_equal(claim, i);
    }
    enum xt_claim claim;
    assert_int_equal(xt_claim_by_name(xt_span_of_string("name"), &claim), XT_NOT_FOUND);
    assert_int_equal(xt_claim_by_name(xt_span_of("sex\0", 4), &claim), XT_NOT_FOUND);
    assert_int_equal(xt_claim_by_name(xt_span_of(NULL, 0), &claim), XT_NOT_FOUND);
    assert_string_equal(xt_reason_name(XT_REASON_NONE), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_right_is_verified),
        cmocka_unit_test(each_claim_is_told_as_rights_and_situation_allow),
        cmocka_unit_test(no_links_at_all_means_no_documents),
        cmocka_unit_test(dates_match_only_in_the_precision_that_is_held),
        cmocka_unit_test(an_old_id_is_compared_with_the_cmnd_only),
        cmocka_unit_test(a_document_matches_only_while_in_force),
        cmocka_unit_test(any_of_several_documents_matches),
        cmocka_unit_test(names_match_by_spelling_whatever_advice_is_asked),
        cmocka_unit_test(a_near_miss_is_told_by_its_score_to_who_asks_for_it),
        cmocka_unit_test(the_card_is_told_only_where_something_matched),
        cmocka_unit_test(people_who_may_not_be_told_of_look_like_a_mismatch),
        cmocka_unit_test(existence_alone_tells_them_apart),
        cmocka_unit_test(claims_are_called_as_in_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
