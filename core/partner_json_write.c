/* The text of a partner's file, as a reviewer reads it: one certificate, purpose or network a line or
 * block, in a fixed order, so that a change shows as a small difference. */
#include "core/policy.h"

#include <inttypes.h>
#include <stdio.h>

static void write_number(struct xt_writer *writer, uint64_t number)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%" PRIu64, number);
    xt_write_string(writer, digits);
}

/* Starts one entry of a list on its own line. */
static void write_entry(struct xt_writer *writer, unsigned index)
{
    xt_write_string(writer, index == 0 ? "\n    " : ",\n    ");
}

static void end_list(struct xt_writer *writer, unsigned count)
{
    xt_write_string(writer, count == 0 ? "]" : "\n  ]");
}

static void write_text(struct xt_writer *writer, const char *text)
{
    xt_json_write_string(writer, xt_span_of_string(text));
}

static void write_certificates(const struct xt_partner *partner, struct xt_writer *writer)
{
    static const char DIGITS[] = "0123456789abcdef";
    xt_write_literal(writer, ",\n  \"certificates\": [");
    for (unsigned i = 0; i < partner->certificate_count; i++) {
        write_entry(writer, i);
        xt_write_literal(writer, "{\"spki_sha256\": \"");
        for (unsigned j = 0; j < XT_SPKI_DIGEST; j++) {
            xt_write_byte(writer, (uint8_t)DIGITS[partner->certificates[i][j] >> 4]);
            xt_write_byte(writer, (uint8_t)DIGITS[partner->certificates[i][j] & 15]);
        }
        xt_write_literal(writer, "\"");
        if (partner->certificate_notes[i][0] != '\0') {
            xt_write_literal(writer, ", \"note\": ");
            write_text(writer, partner->certificate_notes[i]);
        }
        xt_write_literal(writer, "}");
    }
    end_list(writer, partner->certificate_count);
}

static void write_claims(uint32_t claims, struct xt_writer *writer)
{
    const char *comma = "";
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((claims & XT_CLAIM_BIT(claim)) != 0) {
            xt_write_string(writer, comma);
            write_text(writer, xt_claim_name((enum xt_claim)claim));
            comma = ", ";
        }
    }
}

static void write_attributes(uint32_t attributes, struct xt_writer *writer)
{
    const char *comma = "";
    for (unsigned attribute = 0; attribute < XT_ATTRIBUTE_COUNT; attribute++) {
        if ((attributes & XT_ATTRIBUTE_BIT(attribute)) != 0) {
            xt_write_string(writer, comma);
            write_text(writer, xt_attribute_name((enum xt_attribute)attribute));
            comma = ", ";
        }
    }
}

static void write_purposes(const struct xt_partner *partner, struct xt_writer *writer)
{
    xt_write_literal(writer, ",\n  \"purposes\": [");
    for (unsigned i = 0; i < partner->purpose_count; i++) {
        const struct xt_purpose *purpose = &partner->purposes[i];
        write_entry(writer, i);
        xt_write_literal(writer, "{\n      \"name\": ");
        write_text(writer, purpose->name);
        xt_write_literal(writer, ",\n      \"claims\": [");
        write_claims(purpose->claims, writer);
        if (purpose->required != 0) {
            xt_write_literal(writer, "],\n      \"claims_required\": [");
            write_claims(purpose->required, writer);
        }
        if (purpose->attributes != 0) {
            xt_write_literal(writer, "],\n      \"attributes\": [");
            write_attributes(purpose->attributes, writer);
        }
        xt_write_literal(writer, "],\n      \"legal_basis_required\": ");
        xt_write_string(writer, purpose->legal_basis_required ? "true" : "false");
        xt_write_literal(writer, ",\n      \"consent_required\": ");
        xt_write_string(writer, purpose->consent_required ? "true" : "false");
        if (purpose->least_level != 0) {
            xt_write_literal(writer, ",\n      \"least_level\": ");
            xt_write_byte(writer, (uint8_t)('0' + purpose->least_level));
        }
        xt_write_literal(writer, "\n    }");
    }
    end_list(writer, partner->purpose_count);
}

static void write_rights(const struct xt_partner *partner, struct xt_writer *writer)
{
    const char *comma = "";
    xt_write_literal(writer, ",\n  \"rights\": [");
    for (unsigned i = 0; i < XT_RIGHT_COUNT; i++) {
        if ((partner->rights & 1U << i) != 0) {
            xt_write_string(writer, comma);
            write_text(writer, xt_right_name((enum xt_right)(1U << i)));
            comma = ", ";
        }
    }
    xt_write_literal(writer, "]");
}

static void write_networks(const struct xt_partner *partner, struct xt_writer *writer)
{
    char text[XT_NETWORK_TEXT];
    xt_write_literal(writer, ",\n  \"networks\": [");
    for (unsigned i = 0; i < partner->network_count; i++) {
        write_entry(writer, i);
        xt_network_format(&partner->networks[i], text);
        write_text(writer, text);
    }
    end_list(writer, partner->network_count);
}

void xt_partner_to_json(const struct xt_partner *partner, struct xt_writer *writer)
{
    xt_write_literal(writer, "{\n  \"name\": ");
    write_text(writer, partner->name);
    xt_write_literal(writer, ",\n  \"state\": ");
    write_text(writer, partner->active ? "active" : "disabled");
    write_certificates(partner, writer);
    write_purposes(partner, writer);
    write_rights(partner, writer);
    if (partner->rate_per_second != 0) {
        xt_write_literal(writer, ",\n  \"rate\": {\"per_second\": ");
        write_number(writer, partner->rate_per_second);
        xt_write_literal(writer, ", \"burst\": ");
        write_number(writer,
                     partner->rate_burst == 0 ? partner->rate_per_second : partner->rate_burst);
        xt_write_literal(writer, "}");
    }
    if (partner->daily_quota != 0) {
        xt_write_literal(writer, ",\n  \"daily_quota\": ");
        write_number(writer, partner->daily_quota);
    }
    if (partner->without_old_numbers) {
        xt_write_literal(writer, ",\n  \"old_numbers\": false");
    }
    if (partner->network_count > 0) {
        write_networks(partner, writer);
    }
    xt_write_literal(writer, "\n}\n");
}
