#include "store/audit_entry.h"

#include "core/account_event.h"
#include "core/little_endian.h"
#include "core/utf8.h"
#include "store/live.h"

#define FLAG_SUBJECT 1
#define FLAG_EVENT 2
#define FLAG_LINE 4
#define FLAG_ATTEMPT 8
#define FLAG_ATTRIBUTES 16
#define FIXED 28 /* bytes before the texts */
#define TEXTS 5

_Static_assert(XT_CLAIM_COUNT <= 32, "the set and the results have room for 32 claims");

static const uint8_t text_max[TEXTS] = {XT_PARTNER_NAME_MAX, XT_PURPOSE_NAME_MAX,
                                        XT_LEGAL_BASIS_MAX, XT_CONSENT_REF_MAX,
                                        XT_AUDIT_PROBLEM_MAX};

static const char *const attempt_names[XT_ATTEMPT_COUNT] = {
    [XT_ATTEMPT_PASSED] = "passed",       [XT_ATTEMPT_FAILED] = "failed",
    [XT_ATTEMPT_UNUSABLE] = "unusable",   [XT_ATTEMPT_USED] = "used",
    [XT_ATTEMPT_THROTTLED] = "throttled", [XT_ATTEMPT_IN_VAIN] = "in_vain"};

static const char CROCKFORD[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const char *xt_audit_route_name(enum xt_audit_route route)
{
    static const char *const names[XT_AUDIT_ROUTE_COUNT] = {
        "other",      "verify",  "verify_batch", "challenges", "authenticate",
        "introspect", "revoke",  "accounts",     "attributes", "events",
        "statistics", "openapi", "backchannel",  "token",      "consents"};
    return (unsigned)route < XT_AUDIT_ROUTE_COUNT ? names[route] : "other";
}

static int crockford_value(uint8_t c)
{
    const char *at = c == 0 ? NULL : strchr(CROCKFORD, c);
    return at == NULL ? -1 : (int)(at - CROCKFORD);
}

enum xt_status xt_audit_answer_id(struct xt_span text, uint8_t answer_id[XT_AUDIT_ANSWER_ID])
{
    unsigned __int128 value = 0;
    if (text.size != XT_ANSWER_ID || text.data[0] > '7') { /* 26 characters are 130 bits */
        return XT_INVALID;
    }
    for (unsigned i = 0; i < XT_ANSWER_ID; i++) {
        int digit = crockford_value(text.data[i]);
        if (digit < 0) {
            return XT_INVALID;
        }
        value = value << 5 | (unsigned)digit;
    }
    for (unsigned i = 0; i < XT_AUDIT_ANSWER_ID; i++) {
        answer_id[i] = (uint8_t)(value >> (120 - 8 * i));
    }
    return XT_OK;
}

void xt_audit_answer_id_text(const uint8_t answer_id[XT_AUDIT_ANSWER_ID], char text[XT_ANSWER_ID])
{
    unsigned __int128 value = 0;
    for (unsigned i = 0; i < XT_AUDIT_ANSWER_ID; i++) {
        value = value << 8 | answer_id[i];
    }
    for (unsigned i = 0; i < XT_ANSWER_ID; i++) {
        text[i] = CROCKFORD[(unsigned)(value >> (125 - 5 * i)) & 31];
    }
}

void xt_audit_entry_outcome(struct xt_audit_entry *entry, uint32_t asked,
                            const struct xt_outcome *outcome)
{
    static const uint8_t stored[] = {[XT_RESULT_MATCH] = XT_AUDIT_MATCH,
                                     [XT_RESULT_MISMATCH] = XT_AUDIT_MISMATCH,
                                     [XT_RESULT_NOT_HELD] = XT_AUDIT_NOT_HELD};
    entry->asked = asked & XT_CLAIM_ALL;
    entry->verdict =
        outcome->verdict == XT_VERDICT_VERIFIED ? XT_AUDIT_VERIFIED : XT_AUDIT_NOT_VERIFIED;
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        entry->results[i] = outcome->results[i] < sizeof(stored) ? stored[outcome->results[i]] : 0;
    }
}

/* Valid UTF-8 without control characters, so that it can stand in JSON and on a terminal. */
static bool text_is_sound(struct xt_span text, size_t max)
{
    if (text.size > max) {
        return false;
    }
    for (size_t at = 0; at < text.size;) {
        uint32_t point = text.data[at];
        size_t length = 1;
        if (point >= 0x80) {
            length = xt_utf8_read(text.data + at, text.size - at, &point);
        }
        if (length == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            return false;
        }
        at += length;
    }
    return true;
}

/* Of the register or of an account; NULL: it is neither. */
static const char *event_name(unsigned event)
{
    return event >= XT_REGISTRY_FIRST && event < XT_REGISTRY_END
               ? xt_registry_type_name((enum xt_registry_type)event)
           : event >= XT_ACCOUNT_FIRST && event < XT_ACCOUNT_END
               ? xt_account_type_name((enum xt_account_type)event)
               : NULL;
}

static bool numbers_are_sound(const struct xt_audit_entry *entry)
{
    return entry->unix_ms < XT_AUDIT_MS_END && (unsigned)entry->route < XT_AUDIT_ROUTE_COUNT &&
           (unsigned)entry->verdict < XT_AUDIT_VERDICT_COUNT && entry->status >= 100 &&
           entry->status <= 599 && (entry->asked & ~XT_CLAIM_ALL) == 0 &&
           entry->line < XT_AUDIT_LINE_END && entry->attempt < XT_ATTEMPT_COUNT &&
           (entry->event != 0 || entry->attempt == 0) &&
           (entry->attributes & ~XT_ATTRIBUTE_ALL) == 0 &&
           (entry->given & ~entry->attributes) == 0 &&
           (entry->event == 0 ? entry->sequence == 0 : event_name(entry->event) != NULL);
}

enum xt_status xt_audit_entry_encode(const struct xt_audit_entry *entry, struct xt_writer *writer)
{
    const struct xt_span *texts[TEXTS] = {&entry->partner, &entry->purpose, &entry->legal_basis,
                                          &entry->consent_ref, &entry->problem};
    if (!numbers_are_sound(entry)) {
        return XT_INVALID;
    }
    struct xt_writer made = *writer;
    uint8_t *fixed = xt_write_reserve(&made, FIXED);
    if (fixed == NULL) {
        return XT_NO_SPACE;
    }
    fixed[0] = XT_AUDIT_ENTRY_VERSION;
    fixed[1] =
        (uint8_t)((entry->has_subject ? FLAG_SUBJECT : 0) | (entry->event != 0 ? FLAG_EVENT : 0) |
                  (entry->line != 0 ? FLAG_LINE : 0) | (entry->attempt != 0 ? FLAG_ATTEMPT : 0) |
                  (entry->attributes != 0 ? FLAG_ATTRIBUTES : 0));
    for (unsigned i = 0; i < 6; i++) {
        fixed[2 + i] = (uint8_t)(entry->unix_ms >> (8 * i));
    }
    memcpy(fixed + 8, entry->answer_id, XT_AUDIT_ANSWER_ID);
    fixed[24] = (uint8_t)entry->route;
    fixed[25] = (uint8_t)entry->verdict;
    fixed[26] = (uint8_t)entry->status;
    fixed[27] = (uint8_t)(entry->status >> 8);
    for (unsigned i = 0; i < TEXTS; i++) {
        if (!text_is_sound(*texts[i], text_max[i])) {
            return XT_INVALID;
        }
        xt_write_byte(&made, (uint8_t)texts[i]->size);
        xt_write_span(&made, *texts[i]);
    }
    if (entry->has_subject) {
        xt_write(&made, entry->subject, XT_PSEUDONYM_BYTES);
    }
    if (entry->event != 0) {
        xt_put(&made, entry->event, 1);
        xt_put(&made, entry->sequence, 8);
    }
    if (entry->line != 0) {
        xt_put(&made, entry->line, 6);
    }
    if (entry->attempt != 0) {
        xt_put(&made, entry->attempt, 1);
    }
    if (entry->attributes != 0) {
        xt_put(&made, entry->attributes, 4);
        xt_put(&made, entry->given, 4);
    }
    xt_put(&made, entry->asked, 4);
    unsigned bits = 0;
    uint8_t byte = 0;
    for (uint32_t left = entry->asked; left != 0; left &= left - 1) {
        byte |= (uint8_t)((entry->results[__builtin_ctz(left)] & 3U) << bits);
        bits += 2;
        if (bits == 8 || (left & (left - 1)) == 0) {
            xt_write_byte(&made, byte);
            bits = 0;
            byte = 0;
        }
    }
    if (made.overflow) {
        return XT_NO_SPACE;
    }
    *writer = made;
    return XT_OK;
}

static bool take_results(struct xt_taker *taker, struct xt_audit_entry *entry)
{
    entry->asked = (uint32_t)xt_take(taker, 4);
    unsigned count = (unsigned)__builtin_popcount(entry->asked);
    struct xt_span packed = xt_take_bytes(taker, (count + 3) / 4);
    memset(entry->results, 0, sizeof(entry->results));
    if (!xt_taken_all(taker) || (entry->asked & ~XT_CLAIM_ALL) != 0) {
        return false;
    }
    unsigned at = 0;
    for (uint32_t left = entry->asked; left != 0; left &= left - 1, at++) {
        entry->results[__builtin_ctz(left)] = packed.data[at / 4] >> (at % 4 * 2) & 3U;
    }
    return at % 4 == 0 || packed.data[at / 4] >> (at % 4 * 2) == 0;
}

enum xt_status xt_audit_entry_decode(struct xt_span bytes, struct xt_audit_entry *entry)
{
    struct xt_span *texts[TEXTS] = {&entry->partner, &entry->purpose, &entry->legal_basis,
                                    &entry->consent_ref, &entry->problem};
    struct xt_taker taker = xt_taker_over(bytes);
    uint8_t version = (uint8_t)xt_take(&taker, 1);
    if (!taker.bad && version > XT_AUDIT_ENTRY_VERSION) {
        return XT_UNSUPPORTED;
    }
    uint8_t flags = (uint8_t)xt_take(&taker, 1);
    entry->unix_ms = xt_take(&taker, 6);
    xt_take_copy(&taker, entry->answer_id, XT_AUDIT_ANSWER_ID);
    entry->route = (enum xt_audit_route)xt_take(&taker, 1);
    entry->verdict = (enum xt_audit_verdict)xt_take(&taker, 1);
    entry->status = (uint16_t)xt_take(&taker, 2);
    for (unsigned i = 0; i < TEXTS; i++) {
        size_t size = (size_t)xt_take(&taker, 1);
        *texts[i] = xt_take_bytes(&taker, size);
        if (!text_is_sound(*texts[i], text_max[i])) {
            return XT_CORRUPT;
        }
    }
    entry->has_subject = (flags & FLAG_SUBJECT) != 0;
    memset(entry->subject, 0, sizeof(entry->subject));
    if (entry->has_subject) {
        xt_take_copy(&taker, entry->subject, XT_PSEUDONYM_BYTES);
    }
    bool is_event = (flags & FLAG_EVENT) != 0;
    entry->event = is_event ? (uint8_t)xt_take(&taker, 1) : 0;
    entry->sequence = is_event ? xt_take(&taker, 8) : 0;
    bool has_line = (flags & FLAG_LINE) != 0;
    entry->line = has_line ? xt_take(&taker, 6) : 0;
    bool is_attempt = (flags & FLAG_ATTEMPT) != 0;
    entry->attempt = is_attempt ? (uint8_t)xt_take(&taker, 1) : 0;
    bool has_attributes = (flags & FLAG_ATTRIBUTES) != 0;
    entry->attributes = has_attributes ? (uint32_t)xt_take(&taker, 4) : 0;
    entry->given = has_attributes ? (uint32_t)xt_take(&taker, 4) : 0;
    bool fine =
        take_results(&taker, entry) && version == XT_AUDIT_ENTRY_VERSION &&
        (flags & ~(FLAG_SUBJECT | FLAG_EVENT | FLAG_LINE | FLAG_ATTEMPT | FLAG_ATTRIBUTES)) == 0 &&
        has_line == (entry->line != 0) && is_event == (entry->event != 0) &&
        is_attempt == (entry->attempt != 0) && has_attributes == (entry->attributes != 0) &&
        numbers_are_sound(entry);
    return fine ? XT_OK : XT_CORRUPT;
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static void write_member(struct xt_writer *writer, const char *name, struct xt_span text)
{
    if (text.size > 0) {
        xt_write_literal(writer, ",\"");
        xt_write_string(writer, name);
        xt_write_literal(writer, "\":");
        xt_json_write_string(writer, text);
    }
}

static void write_hex(struct xt_writer *writer, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        xt_write_byte(writer, (uint8_t)digits[bytes[i] >> 4]);
        xt_write_byte(writer, (uint8_t)digits[bytes[i] & 15]);
    }
}

static void write_claims(struct xt_writer *writer, const struct xt_audit_entry *entry)
{
    static const char *const names[] = {"none", "match", "mismatch", "not_held"};
    xt_write_literal(writer, ",\"claims\":{");
    bool first = true;
    for (uint32_t left = entry->asked; left != 0; left &= left - 1) {
        enum xt_claim claim = (enum xt_claim)__builtin_ctz(left);
        xt_write_string(writer, first ? "\"" : ",\"");
        xt_write_span(writer, xt_claim_name_span(claim));
        xt_write_literal(writer, "\":\"");
        xt_write_string(writer, names[entry->results[claim] & 3]);
        xt_write_literal(writer, "\"");
        first = false;
    }
    xt_write_literal(writer, "}");
}

static void write_attributes(struct xt_writer *writer, const struct xt_audit_entry *entry)
{
    xt_write_literal(writer, ",\"attributes\":{\"asked\":");
    xt_attribute_names_write(entry->attributes, writer);
    xt_write_literal(writer, ",\"given\":");
    xt_attribute_names_write(entry->given, writer);
    xt_write_byte(writer, '}');
}

void xt_audit_entry_to_json(const struct xt_audit_entry *entry, struct xt_writer *writer)
{
    char time[XT_TIMESTAMP], id[XT_ANSWER_ID];
    xt_timestamp_format(entry->unix_ms, time);
    xt_audit_answer_id_text(entry->answer_id, id);
    xt_write_literal(writer, "{\"time\":\"");
    xt_write(writer, time, sizeof(time));
    xt_write_literal(writer, "\",\"answer_id\":\"");
    xt_write(writer, id, sizeof(id));
    xt_write_literal(writer, "\",\"route\":\"");
    xt_write_string(writer, xt_audit_route_name(entry->route));
    xt_write_literal(writer, "\",\"status\":");
    const uint8_t digits[3] = {(uint8_t)('0' + entry->status / 100),
                               (uint8_t)('0' + entry->status / 10 % 10),
                               (uint8_t)('0' + entry->status % 10)};
    xt_write(writer, digits, sizeof(digits));
    write_member(writer, "partner", entry->partner);
    write_member(writer, "purpose", entry->purpose);
    write_member(writer, "legal_basis", entry->legal_basis);
    write_member(writer, "consent_ref", entry->consent_ref);
    write_member(writer, "code", entry->problem);
    if (entry->has_subject) {
        xt_write_literal(writer, ",\"subject\":\"");
        write_hex(writer, entry->subject, XT_PSEUDONYM_BYTES);
        xt_write_literal(writer, "\"");
    }
    if (entry->event != 0) {
        write_member(writer, "event", xt_span_of_string(event_name(entry->event)));
        xt_write_literal(writer, ",\"sequence\":");
        xt_write_digits(writer, entry->sequence);
    }
    if (entry->attempt != 0) {
        write_member(writer, "attempt", xt_span_of_string(attempt_names[entry->attempt]));
    }
    if (entry->line != 0) {
        xt_write_literal(writer, ",\"line\":");
        xt_write_digits(writer, entry->line);
    }
    if (entry->verdict != XT_AUDIT_NO_VERDICT) {
        xt_write_string(writer, entry->verdict == XT_AUDIT_VERIFIED
                                    ? ",\"verdict\":\"verified\""
                                    : ",\"verdict\":\"not_verified\"");
    }
    if (entry->asked != 0) {
        write_claims(writer, entry);
    }
    if (entry->attributes != 0) {
        write_attributes(writer, entry);
    }
    xt_write_literal(writer, "}");
}
