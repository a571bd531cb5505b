#include "core/request_read.h"

struct cursor {
    const uint8_t *at, *end;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t')) {
        cursor->at++;
    }
}

static bool take(struct cursor *cursor, uint8_t byte)
{
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte) {
        return false;
    }
    cursor->at++;
    return true;
}

/* Ends a string without escapes, rightly or not. */
static inline bool is_end(uint8_t byte)
{
    return byte == '"' || byte == '\\' || byte < 0x20;
}

#define EACH_BYTE(byte) (0x0101010101010101ULL * (byte))

/* Marks the high bit of each byte that is_end, and perhaps of some after the first such. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");
static inline uint64_t ends_in(uint64_t word)
{
    uint64_t quote = word ^ EACH_BYTE('"');
    uint64_t escape = word ^ EACH_BYTE('\\');
    return (((quote - EACH_BYTE(1)) & ~quote) | ((escape - EACH_BYTE(1)) & ~escape) |
            ((word - EACH_BYTE(0x20)) & ~word)) &
           EACH_BYTE(0x80);
}

/* The text of a string; *is_ascii: of all its bytes. */
static bool take_string(struct cursor *cursor, struct xt_span *text, bool *is_ascii)
{
    if (!take(cursor, '"')) {
        return false;
    }
    const uint8_t *at = cursor->at;
    uint64_t high = 0, ends = 0;
    while (cursor->end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        ends = ends_in(word);
        if (ends != 0) {
            unsigned size = (unsigned)__builtin_ctzll(ends) / 8;
            high |= size == 0 ? 0 : word << (64 - 8 * size);
            at += size;
            break;
        }
        high |= word;
        at += 8;
    }
    while (at < cursor->end && !is_end(*at)) {
        high |= *at++;
    }
    if (at == cursor->end || *at != '"') {
        return false;
    }
    *text = xt_span_of(cursor->at, (size_t)(at - cursor->at));
    *is_ascii = (high & EACH_BYTE(0x80)) == 0;
    cursor->at = at + 1;
    return text->size > 0;
}

#define IS(name, text) (memcmp((name).data, "" text, sizeof(text) - 1) == 0)

/* XT_CLAIM_COUNT: none. */
static enum xt_claim claim_named(struct xt_span name)
{
#define IF(text, claim)                                                                            \
    if (IS(name, text)) {                                                                          \
        return claim;                                                                              \
    }
    switch (name.size) {
    case 3:
        IF("sex", XT_CLAIM_SEX)
        IF("tax", XT_CLAIM_TAX)
        break;
    case 5:
        IF("phone", XT_CLAIM_PHONE)
        break;
    case 6:
        IF("old_id", XT_CLAIM_OLD_ID)
        break;
    case 7:
        IF("vehicle", XT_CLAIM_VEHICLE)
        break;
    case 8:
        IF("province", XT_CLAIM_PROVINCE)
        IF("passport", XT_CLAIM_PASSPORT)
        break;
    case 9:
        IF("full_name", XT_CLAIM_FULL_NAME)
        break;
    case 13:
        IF("date_of_birth", XT_CLAIM_DATE_OF_BIRTH)
        break;
    case 14:
        IF("card_issued_on", XT_CLAIM_CARD_ISSUED_ON)
        break;
    case 15:
        IF("card_expires_on", XT_CLAIM_CARD_EXPIRES_ON)
        IF("driving_licence", XT_CLAIM_DRIVING_LICENCE)
        break;
    case 16:
        IF("health_insurance", XT_CLAIM_HEALTH_INSURANCE)
        IF("social_insurance", XT_CLAIM_SOCIAL_INSURANCE)
        break;
    default:
        break;
    }
#undef IF
    return XT_CLAIM_COUNT;
}

/* Those that this reader takes; XT_REQUEST_QR: none of them. */
static enum xt_request_member member_named(struct xt_span name)
{
    switch (name.size) {
    case 2:
        return IS(name, "id") ? XT_REQUEST_ID : XT_REQUEST_QR;
    case 3:
        return IS(name, "txn") ? XT_REQUEST_TXN : XT_REQUEST_QR;
    case 6:
        return IS(name, "claims") ? XT_REQUEST_CLAIMS : XT_REQUEST_QR;
    case 7:
        return IS(name, "purpose") ? XT_REQUEST_PURPOSE : XT_REQUEST_QR;
    case 11:
        return IS(name, "legal_basis")   ? XT_REQUEST_LEGAL_BASIS
               : IS(name, "consent_ref") ? XT_REQUEST_CONSENT_REF
                                         : XT_REQUEST_QR;
    default:
        return XT_REQUEST_QR;
    }
}

/* A member's name and the colon. */
static bool take_name(struct cursor *cursor, struct xt_span *name)
{
    bool is_ascii = true;
    return take_string(cursor, name, &is_ascii) && take(cursor, ':');
}

static bool take_claims(struct cursor *cursor, struct xt_claims *claims)
{
    struct xt_span name, text;
    bool is_ascii = true;
    if (!take(cursor, '{')) {
        return false;
    }
    do {
        enum xt_claim claim = take_name(cursor, &name) ? claim_named(name) : XT_CLAIM_COUNT;
        /* A name's own parser looks at its UTF-8; no other claim takes more than ASCII. */
        if (claim == XT_CLAIM_COUNT || (claims->asked & XT_CLAIM_BIT(claim)) != 0 ||
            !take_string(cursor, &text, &is_ascii) || (!is_ascii && claim != XT_CLAIM_FULL_NAME) ||
            xt_request_read_claim(claims, claim, text) != NULL) {
            return false;
        }
        claims->asked |= XT_CLAIM_BIT(claim);
    } while (take(cursor, ','));
    return take(cursor, '}');
}

bool xt_verify_request_read_plain(const uint8_t *body, size_t size,
                                  struct xt_verify_request *request)
{
    const unsigned needed =
        1U << XT_REQUEST_ID | 1U << XT_REQUEST_PURPOSE | 1U << XT_REQUEST_CLAIMS;
    struct cursor cursor = {body, body + size};
    struct xt_span name, text;
    bool is_ascii = true;
    unsigned seen = 0;
    xt_verify_request_clear(request);
    if (!take(&cursor, '{')) {
        return false;
    }
    do {
        enum xt_request_member what =
            take_name(&cursor, &name) ? member_named(name) : XT_REQUEST_QR;
        if (what == XT_REQUEST_QR || (seen & 1U << what) != 0) {
            return false;
        }
        seen |= 1U << what;
        bool fine = what == XT_REQUEST_CLAIMS
                        ? take_claims(&cursor, &request->claims)
                        : take_string(&cursor, &text, &is_ascii) && is_ascii &&
                              xt_request_read_member(request, what, text) == NULL;
        if (!fine) {
            return false;
        }
    } while (take(&cursor, ','));
    if (!take(&cursor, '}')) {
        return false;
    }
    skip_space(&cursor);
    return cursor.at == cursor.end && (seen & needed) == needed;
}
