#include "net/question.h"

#include "core/request.h"
#include "core/utf8.h"

const char *xt_question_name(unsigned member)
{
    static const char *const others[] = {"id",          "qr",          "txn",  "purpose",
                                         "legal_basis", "consent_ref", "match"};
    _Static_assert(sizeof(others) / sizeof(others[0]) == XT_ASK_COUNT - XT_CLAIM_COUNT, "each");
    return member < XT_CLAIM_COUNT ? xt_claim_name((enum xt_claim)member)
                                   : others[member - XT_CLAIM_COUNT];
}

unsigned xt_question_member(struct xt_span name)
{
    unsigned member = 0;
    while (member < XT_ASK_COUNT && !xt_span_is(name, xt_question_name(member))) {
        member++;
    }
    return member;
}

static bool is_utf8(struct xt_span text)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t code_point;
        size_t size = xt_utf8_read(text.data + at, text.size - at, &code_point);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

static void write_member(struct xt_writer *writer, const struct xt_question *question,
                         unsigned member, bool *first)
{
    if (question->values[member].size > 0) {
        if (!*first) {
            xt_write_byte(writer, ',');
        }
        *first = false;
        xt_write_byte(writer, '"');
        xt_write_string(writer, xt_question_name(member));
        xt_write_literal(writer, "\":");
        xt_json_write_string(writer, question->values[member]);
    }
}

static void write_claims(struct xt_writer *writer, const struct xt_question *question, bool *first)
{
    bool none = true;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        none = none && question->values[claim].size == 0;
    }
    if (none) {
        return;
    }
    xt_write_string(writer, *first ? "\"claims\":{" : ",\"claims\":{");
    *first = true;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        write_member(writer, question, claim, first);
    }
    *first = false;
    xt_write_byte(writer, '}');
}

enum xt_status xt_question_to_json(const struct xt_question *question, struct xt_writer *writer)
{
    static const unsigned before[] = {XT_ASK_TXN,     XT_ASK_ID,          XT_ASK_QR,
                                      XT_ASK_PURPOSE, XT_ASK_LEGAL_BASIS, XT_ASK_CONSENT_REF};
    bool first = true;
    for (unsigned member = 0; member < XT_ASK_COUNT; member++) {
        if (!is_utf8(question->values[member])) {
            return XT_INVALID;
        }
    }
    xt_write_byte(writer, '{');
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        write_member(writer, question, before[i], &first);
    }
    write_claims(writer, question, &first);
    if (question->values[XT_ASK_MATCH].size > 0) {
        xt_write_string(writer, first ? "\"match\":{\"full_name\":" : ",\"match\":{\"full_name\":");
        xt_json_write_string(writer, question->values[XT_ASK_MATCH]);
        xt_write_byte(writer, '}');
    }
    xt_write_byte(writer, '}');
    return writer->overflow ? XT_TOO_LARGE : XT_OK;
}
