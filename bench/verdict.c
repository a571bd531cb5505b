#include "bench/verdict.h"

#define DEPTH_MAX 8 /* of members we do not know */

struct reader {
    const uint8_t *at, *end;
};

/* What an answer said. */
struct answer {
    bool has_txn, has_verdict, has_claims;
    struct xt_span txn, verdict;
    uint32_t told, matched; /* XT_CLAIM_BIT sets */
};

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t')) {
        reader->at++;
    }
}

static bool take(struct reader *reader, char byte)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != (uint8_t)byte) {
        return false;
    }
    reader->at++;
    return true;
}

/* Gives the bytes between the quotes as they stand, escapes and all. */
static bool take_string(struct reader *reader, struct xt_span *text)
{
    if (!take(reader, '"')) {
        return false;
    }
    const uint8_t *start = reader->at;
    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '"') {
            *text = xt_span_of(start, (size_t)(reader->at - start));
            reader->at++;
            return true;
        }
        if (*reader->at < ' ') {
            return false;
        }
        if (*reader->at == '\\' && ++reader->at == reader->end) {
            return false;
        }
    }
    return false;
}

/* A number or one of JSON's three words. */
static bool skip_word(struct reader *reader)
{
    const uint8_t *start = reader->at;
    while (reader->at < reader->end &&
           ((*reader->at >= 'a' && *reader->at <= 'z') ||
            (*reader->at >= '0' && *reader->at <= '9') || *reader->at == '-' ||
            *reader->at == '+' || *reader->at == '.' || *reader->at == 'E')) {
        reader->at++;
    }
    return reader->at > start;
}

static bool skip_value(struct reader *reader, unsigned depth)
{
    struct xt_span text;
    skip_space(reader);
    if (reader->at == reader->end || depth == DEPTH_MAX) {
        return false;
    }
    if (*reader->at == '"') {
        return take_string(reader, &text);
    }
    if (*reader->at != '{' && *reader->at != '[') {
        return skip_word(reader);
    }
    bool object = *reader->at++ == '{';
    char close = object ? '}' : ']';
    if (take(reader, close)) {
        return true;
    }
    do {
        if ((object && (!take_string(reader, &text) || !take(reader, ':'))) ||
            !skip_value(reader, depth + 1)) {
            return false;
        }
    } while (take(reader, ','));
    return take(reader, close);
}

static bool take_claims(struct reader *reader, struct answer *answer)
{
    if (answer->has_claims || !take(reader, '{')) {
        return false;
    }
    answer->has_claims = true;
    unsigned next = 0; /* answers list claims in the order of enum xt_claim */
    do {
        struct xt_span name;
        struct xt_span result;
        if (!take_string(reader, &name) || !take(reader, ':') || !take_string(reader, &result)) {
            return false;
        }
        unsigned tried = 0;
        while (tried < XT_CLAIM_COUNT && !xt_span_is(name, xt_claim_name((enum xt_claim)next))) {
            next = (next + 1) % XT_CLAIM_COUNT;
            tried++;
        }
        uint32_t bit = XT_CLAIM_BIT(next);
        bool match = xt_span_is(result, "match");
        if (tried == XT_CLAIM_COUNT || (answer->told & bit) != 0 ||
            (!match && !xt_span_is(result, "mismatch") && !xt_span_is(result, "not_held"))) {
            return false;
        }
        answer->told |= bit;
        answer->matched |= match ? bit : 0;
    } while (take(reader, ','));
    return take(reader, '}');
}

static bool take_once(struct reader *reader, bool *has, struct xt_span *text)
{
    bool fresh = !*has;
    *has = true;
    return fresh && take_string(reader, text);
}

static bool take_answer(struct reader *reader, struct answer *answer)
{
    if (!take(reader, '{')) {
        return false;
    }
    do {
        struct xt_span name;
        if (!take_string(reader, &name) || !take(reader, ':')) {
            return false;
        }
        bool fine = xt_span_is(name, "txn") ? take_once(reader, &answer->has_txn, &answer->txn)
                    : xt_span_is(name, "verdict")
                        ? take_once(reader, &answer->has_verdict, &answer->verdict)
                    : xt_span_is(name, "claims") ? take_claims(reader, answer)
                                                 : skip_value(reader, 0);
        if (!fine) {
            return false;
        }
    } while (take(reader, ','));
    if (!take(reader, '}')) {
        return false;
    }
    skip_space(reader);
    return reader->at == reader->end && answer->has_verdict;
}

enum xt_verdict_check xt_verdict_check(struct xt_span body, const struct xt_expected *expected,
                                       const char **why)
{
    struct reader reader = {.at = body.data, .end = body.data + body.size};
    struct answer answer = {0};
    *why = "body is no answer to a verify request";
    if (body.size == 0 || !take_answer(&reader, &answer)) {
        return XT_VERDICT_MALFORMED;
    }
    bool verified = xt_span_is(answer.verdict, "verified");
    if (!verified && !xt_span_is(answer.verdict, "not_verified")) {
        return XT_VERDICT_MALFORMED;
    }
    if (!answer.has_txn || !xt_span_equal(answer.txn, expected->txn)) {
        *why = "answer to another request: txn differs";
    } else if (verified != (expected->asked == expected->matched)) {
        *why = verified ? "verified, expected not_verified" : "not_verified, expected verified";
    } else if (expected->verdict_only) {
        *why = NULL;
    } else if (!answer.has_claims) {
        *why = "no results of claims: without the right per_claim use --verdict-only";
    } else if (answer.told != expected->asked) {
        *why = "results of other claims than were asked";
    } else if (answer.matched != expected->matched) {
        *why = "another result of a claim than expected";
    } else {
        *why = NULL;
    }
    return *why == NULL ? XT_VERDICT_RIGHT : XT_VERDICT_WRONG;
}
