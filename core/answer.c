#include "core/policy.h"
#include "core/request.h"

#include "core/date.h"

#define MS_PER_DAY 86400000U

static const char HEX[] = "0123456789abcdef";

/* 40 bits as 8 characters: written out, since compilers leave the loop over shifts as it is. */
static inline void write_forty_bits(char *text, uint64_t bits)
{
    static const char CROCKFORD[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    text[0] = CROCKFORD[bits >> 35 & 31];
    text[1] = CROCKFORD[bits >> 30 & 31];
    text[2] = CROCKFORD[bits >> 25 & 31];
    text[3] = CROCKFORD[bits >> 20 & 31];
    text[4] = CROCKFORD[bits >> 15 & 31];
    text[5] = CROCKFORD[bits >> 10 & 31];
    text[6] = CROCKFORD[bits >> 5 & 31];
    text[7] = CROCKFORD[bits & 31];
}

/* 5 bytes, the first one highest. */
static inline uint64_t forty_bits(const uint8_t *bytes)
{
    return (uint64_t)bytes[0] << 32 | (uint64_t)bytes[1] << 24 | (uint64_t)bytes[2] << 16 |
           (uint64_t)bytes[3] << 8 | bytes[4];
}

void xt_answer_id_make(uint64_t unix_ms, const uint8_t random[10], char answer_id[XT_ANSWER_ID])
{
    write_forty_bits(answer_id, unix_ms >> 10); /* 50 bits are 10 characters: the last two follow */
    write_forty_bits(answer_id + 2, unix_ms & 0xffffffffffULL);
    write_forty_bits(answer_id + 10, forty_bits(random));
    write_forty_bits(answer_id + 18, forty_bits(random + 5));
}

static void write_two_digits(char *text, unsigned value)
{
    text[0] = (char)('0' + value / 10);
    text[1] = (char)('0' + value % 10);
}

void xt_timestamp_format(uint64_t unix_ms, char text[XT_TIMESTAMP])
{
    xt_date date = xt_date_from_days((int32_t)(unix_ms / MS_PER_DAY));
    unsigned ms = (unsigned)(unix_ms % MS_PER_DAY);
    unsigned seconds = ms / 1000;
    memcpy(text, "YYYY-MM-DDThh:mm:ss.mmmZ", XT_TIMESTAMP);
    write_two_digits(text, xt_date_year(date) / 100);
    write_two_digits(text + 2, xt_date_year(date) % 100);
    write_two_digits(text + 5, xt_date_month(date));
    write_two_digits(text + 8, xt_date_day(date));
    write_two_digits(text + 11, seconds / 3600);
    write_two_digits(text + 14, seconds / 60 % 60);
    write_two_digits(text + 17, seconds % 60);
    text[20] = (char)('0' + ms % 1000 / 100);
    write_two_digits(text + 21, ms % 100);
}

/* How a byte is written in a JSON string: 0 as it is, 'u' as \u00XX, else a backslash and this. */
static uint8_t escape_of(uint8_t byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return byte < 0x20 || byte == 0x7f ? 'u' : 0;
    }
}

/* U+2028 and U+2029: line ends in JavaScript, but not in JSON. */
static bool is_line_separator(struct xt_span text, size_t at)
{
    return text.data[at] == 0xe2 && text.size - at >= 3 && text.data[at + 1] == 0x80 &&
           (text.data[at + 2] & 0xfe) == 0xa8;
}

void xt_json_write_string(struct xt_writer *writer, struct xt_span text)
{
    size_t from = 0; /* start of what is not yet written */
    xt_write_byte(writer, '"');
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at];
        uint8_t escape = escape_of(byte);
        bool separator = is_line_separator(text, at);
        if (escape == 0 && !separator) {
            continue;
        }
        xt_write(writer, text.data + from, at - from);
        if (separator) {
            xt_write_string(writer, text.data[at + 2] == 0xa8 ? "\\u2028" : "\\u2029");
            at += 2;
        } else if (escape == 'u') {
            uint8_t code[6] = {
                '\\', 'u', '0', '0', (uint8_t)HEX[byte >> 4], (uint8_t)HEX[byte & 15]};
            xt_write(writer, code, sizeof code);
        } else {
            uint8_t pair[2] = {'\\', escape};
            xt_write(writer, pair, sizeof pair);
        }
        from = at + 1;
    }
    if (from < text.size) {
        xt_write(writer, text.data + from, text.size - from);
    }
    xt_write_byte(writer, '"');
}

static void write_claims(struct xt_writer *writer, uint32_t asked, const uint8_t *results,
                         bool existence)
{
#define RESULT(text) xt_span_of("\":\"" text "\"", sizeof("\":\"" text "\"") - 1)
    const struct xt_span RESULTS[] = {
        [XT_RESULT_MATCH] = RESULT("match"),
        [XT_RESULT_MISMATCH] = RESULT("mismatch"),
        [XT_RESULT_NOT_HELD] = RESULT("not_held"),
    };
#undef RESULT
    xt_write_literal(writer, ",\"claims\":");
    uint8_t before = '{';
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((asked & XT_CLAIM_BIT(claim)) == 0) {
            continue;
        }
        unsigned result = results[claim] == XT_RESULT_NOT_HELD && !existence ? XT_RESULT_MISMATCH
                                                                             : results[claim];
        const uint8_t start[2] = {before, '"'};
        xt_write(writer, start, sizeof(start));
        xt_write_span(writer, xt_claim_name_span((enum xt_claim)claim));
        xt_write_span(writer, RESULTS[result]);
        before = ',';
    }
    if (before == '{') {
        xt_write_byte(writer, '{');
    }
    xt_write_byte(writer, '}');
}

static void write_advisory(struct xt_writer *writer, const struct xt_name_comparison *comparison)
{
    static const char *const LEVELS[] = {
        [XT_NAME_EXACT] = "exact",           [XT_NAME_SPELLING] = "spelling",
        [XT_NAME_UNACCENTED] = "unaccented", [XT_NAME_REORDERED] = "reordered",
        [XT_NAME_FUZZY] = "fuzzy",           [XT_NAME_DIFFERENT] = "different",
    };
    unsigned score = comparison->score > 100 ? 100 : comparison->score;
    xt_write_literal(writer, ",\"advisory\":{\"full_name\":{\"level\":\"");
    xt_write_string(writer, LEVELS[comparison->level]);
    xt_write_literal(writer, "\",\"score\":");
    if (score == 100) {
        xt_write_byte(writer, '1');
    }
    if (score >= 10) {
        xt_write_byte(writer, (uint8_t)('0' + score / 10 % 10));
    }
    xt_write_byte(writer, (uint8_t)('0' + score % 10));
    xt_write_literal(writer, "}}");
}

void xt_verify_answer_to_json(const struct xt_verify_request *request,
                              const struct xt_outcome *outcome, uint32_t rights,
                              const char answer_id[XT_ANSWER_ID], uint64_t unix_ms,
                              struct xt_writer *writer)
{
    char answered_at[XT_TIMESTAMP];
    xt_timestamp_format(unix_ms, answered_at);
    xt_verify_answer_at_to_json(request, outcome, rights, answer_id, answered_at, writer);
}

void xt_verify_answer_at_to_json(const struct xt_verify_request *request,
                                 const struct xt_outcome *outcome, uint32_t rights,
                                 const char answer_id[XT_ANSWER_ID],
                                 const char answered_at[XT_TIMESTAMP], struct xt_writer *writer)
{
    bool verified = outcome->verdict == XT_VERDICT_VERIFIED;
    bool per_claim = (rights & XT_RIGHT_PER_CLAIM) != 0;
    bool existence = (rights & XT_RIGHT_EXISTENCE) != 0;

    xt_write_byte(writer, '{');
    if (request->has_txn) {
        xt_write_literal(writer, "\"txn\":");
        xt_json_write_string(writer, request->txn);
        xt_write_byte(writer, ',');
    }
    xt_write_literal(writer, "\"answer_id\":\"");
    xt_write(writer, answer_id, XT_ANSWER_ID);
    xt_write_literal(writer, "\",\"answered_at\":\"");
    xt_write(writer, answered_at, XT_TIMESTAMP);
    if (verified) {
        xt_write_literal(writer, "\",\"verdict\":\"verified\"");
    } else {
        xt_write_literal(writer, "\",\"verdict\":\"not_verified\"");
    }
    if (per_claim) {
        write_claims(writer, request->claims.asked, outcome->results, existence);
    }
    if ((rights & XT_RIGHT_CARD_STATE) != 0) {
        bool tells = verified || per_claim || existence;
        xt_write_literal(writer, ",\"card\":\"");
        xt_write_string(writer, xt_card_answer_name(tells ? outcome->card : XT_CARD_ANSWER_NONE));
        xt_write_byte(writer, '"');
    }
    if ((rights & XT_RIGHT_ADVISORY) != 0 && outcome->has_name_advisory) {
        write_advisory(writer, &outcome->name_advisory);
    }
    if (existence && outcome->reason != XT_REASON_NONE) {
        xt_write_literal(writer, ",\"reason\":\"");
        xt_write_string(writer, xt_reason_name(outcome->reason));
        xt_write_byte(writer, '"');
    }
    xt_write_byte(writer, '}');
}
