#include "core/json.h"
#include "core/plain_text.h"
#include "core/policy.h"

#include <inttypes.h>
#include <stdio.h>

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))
#define SEEN(what) (1U << (what))
#define WHERE_MAX 64 /* bytes: "purposes[31].claims[13]" */

enum { NAME, STATE, CERTIFICATES, PURPOSES, RIGHTS, RATE, DAILY_QUOTA, NETWORKS, OLD_NUMBERS };
static const struct xt_json_member TOP[] = {
    XT_JSON_MEMBER("name", NAME),
    XT_JSON_MEMBER("state", STATE),
    XT_JSON_MEMBER("certificates", CERTIFICATES),
    XT_JSON_MEMBER("purposes", PURPOSES),
    XT_JSON_MEMBER("rights", RIGHTS),
    XT_JSON_MEMBER("rate", RATE),
    XT_JSON_MEMBER("daily_quota", DAILY_QUOTA),
    XT_JSON_MEMBER("networks", NETWORKS),
    XT_JSON_MEMBER("old_numbers", OLD_NUMBERS),
};
enum { SPKI_SHA256, NOTE };
static const struct xt_json_member IN_CERTIFICATE[] = {
    XT_JSON_MEMBER("spki_sha256", SPKI_SHA256),
    XT_JSON_MEMBER("note", NOTE),
};
enum {
    PURPOSE_NAME,
    CLAIMS,
    CLAIMS_REQUIRED,
    ATTRIBUTES,
    LEGAL_BASIS_REQUIRED,
    CONSENT_REQUIRED,
    LEAST_LEVEL
};
static const struct xt_json_member IN_PURPOSE[] = {
    XT_JSON_MEMBER("name", PURPOSE_NAME),
    XT_JSON_MEMBER("claims", CLAIMS),
    XT_JSON_MEMBER("claims_required", CLAIMS_REQUIRED),
    XT_JSON_MEMBER("attributes", ATTRIBUTES),
    XT_JSON_MEMBER("legal_basis_required", LEGAL_BASIS_REQUIRED),
    XT_JSON_MEMBER("consent_required", CONSENT_REQUIRED),
    XT_JSON_MEMBER("least_level", LEAST_LEVEL),
};
enum { PER_SECOND, BURST };
static const struct xt_json_member IN_RATE[] = {
    XT_JSON_MEMBER("per_second", PER_SECOND),
    XT_JSON_MEMBER("burst", BURST),
};

static const char NAME_RULE[] =
    "must be 1-64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit";

struct reader {
    struct xt_partner *partner;
    struct xt_failure *failure;
};

/* Reads one member of an object, which stands at `where` in the file. */
typedef enum xt_status read_one(struct reader *reader, unsigned what, yyjson_val *value,
                                const char *where, void *into);
/* Reads one element of a list. */
typedef enum xt_status read_item(struct reader *reader, yyjson_val *value, const char *where,
                                 void *into);

static enum xt_status refuse(struct reader *reader, const char *where, const char *rule)
{
    return xt_fail(reader->failure, XT_INVALID, "%s %s", where, rule);
}

static enum xt_status read_object(struct reader *reader, yyjson_val *object, const char *where,
                                  const struct xt_json_member *table, unsigned count,
                                  uint32_t required, read_one *read, void *into)
{
    if (!yyjson_is_obj(object)) {
        return refuse(reader, where, "must be an object");
    }
    uint32_t seen = 0;
    unsigned next = 0;
    char path[WHERE_MAX];
    const char *dot = where[0] == '\0' ? "" : ".";
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(table, count, key, &next);
        if (member == NULL) {
            return refuse(reader, where[0] == '\0' ? "the file" : where,
                          "has a member that this server does not know");
        }
        (void)snprintf(path, sizeof path, "%s%s%s", where, dot, member->name);
        if ((seen & SEEN(member->what)) != 0) {
            return refuse(reader, path, "is there twice");
        }
        seen |= SEEN(member->what);
        enum xt_status status =
            read(reader, member->what, yyjson_obj_iter_get_val(key), path, into);
        if (status != XT_OK) {
            return status;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if ((required & ~seen & SEEN(table[i].what)) != 0) {
            (void)snprintf(path, sizeof path, "%s%s%s", where, dot, table[i].name);
            return refuse(reader, path, "is missing");
        }
    }
    return XT_OK;
}

static enum xt_status read_list(struct reader *reader, yyjson_val *list, const char *where,
                                size_t most, read_item *read, void *into)
{
    if (!yyjson_is_arr(list)) {
        return refuse(reader, where, "must be a list");
    }
    if (yyjson_arr_size(list) > most) {
        return xt_fail(reader->failure, XT_INVALID, "%s must have at most %zu entries", where,
                       most);
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(list, index, count, item)
    {
        char path[WHERE_MAX];
        (void)snprintf(path, sizeof path, "%s[%zu]", where, index);
        enum xt_status status = read(reader, item, path, into);
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

static bool hex_digit(uint8_t byte, uint8_t *value)
{
    bool digit = byte >= '0' && byte <= '9';
    *value = (uint8_t)(digit ? byte - '0' : byte - 'a' + 10);
    return digit || (byte >= 'a' && byte <= 'f');
}

static bool hex_parse(struct xt_span text, uint8_t bytes[XT_SPKI_DIGEST])
{
    if (text.size != (size_t)2 * XT_SPKI_DIGEST) {
        return false;
    }
    for (size_t i = 0; i < XT_SPKI_DIGEST; i++) {
        uint8_t high = 0;
        uint8_t low = 0;
        if (!hex_digit(text.data[2 * i], &high) || !hex_digit(text.data[2 * i + 1], &low)) {
            return false;
        }
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Both readers of names: NUL-terminated into a place of 64 bytes and one. */
static enum xt_status read_name(struct reader *reader, yyjson_val *value, const char *where,
                                char name[XT_PARTNER_NAME_MAX + 1])
{
    struct xt_span text = yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
    if (!xt_policy_name_is_valid(text)) {
        return refuse(reader, where, NAME_RULE);
    }
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    return XT_OK;
}

static enum xt_status read_boolean(struct reader *reader, yyjson_val *value, const char *where,
                                   bool *boolean)
{
    *boolean = yyjson_get_bool(value);
    return yyjson_is_bool(value) ? XT_OK : refuse(reader, where, "must be true or false");
}

static enum xt_status read_count(struct reader *reader, yyjson_val *value, const char *where,
                                 uint64_t most, uint64_t *count)
{
    *count = yyjson_get_uint(value);
    if (!yyjson_is_uint(value) || *count < 1 || *count > most) {
        return xt_fail(reader->failure, XT_INVALID, "%s must be a whole number from 1 to %" PRIu64,
                       where, most);
    }
    return XT_OK;
}

static enum xt_status read_certificate_member(struct reader *reader, unsigned what,
                                              yyjson_val *value, const char *where, void *into)
{
    (void)into;
    struct xt_partner *partner = reader->partner;
    unsigned at = partner->certificate_count;
    struct xt_span text = yyjson_is_str(value) ? xt_json_string(value) : xt_span_of(NULL, 0);
    if (what == SPKI_SHA256) {
        if (!hex_parse(text, partner->certificates[at])) {
            return refuse(reader, where, "must be 64 hexadecimal digits in lower case");
        }
        for (unsigned i = 0; i < at; i++) {
            if (memcmp(partner->certificates[i], partner->certificates[at], XT_SPKI_DIGEST) == 0) {
                return refuse(reader, where, "is there twice");
            }
        }
        return XT_OK;
    }
    if (!yyjson_is_str(value) || text.size > XT_CERTIFICATE_NOTE_MAX || xt_text_has_control(text)) {
        return refuse(reader, where, "must be a text of at most 128 bytes on one line");
    }
    if (text.size > 0) {
        memcpy(partner->certificate_notes[at], text.data, text.size);
    }
    return XT_OK;
}

static enum xt_status read_certificate(struct reader *reader, yyjson_val *value, const char *where,
                                       void *into)
{
    enum xt_status status =
        read_object(reader, value, where, IN_CERTIFICATE, COUNT_OF(IN_CERTIFICATE),
                    SEEN(SPKI_SHA256), read_certificate_member, into);
    reader->partner->certificate_count += status == XT_OK;
    return status;
}

static enum xt_status read_claim(struct reader *reader, yyjson_val *value, const char *where,
                                 void *into)
{
    uint32_t *claims = into;
    enum xt_claim claim = XT_CLAIM_COUNT;
    if (!yyjson_is_str(value) || xt_claim_by_name(xt_json_string(value), &claim) != XT_OK) {
        return refuse(reader, where,
                      "must be one of full_name, date_of_birth, sex, phone, card_issued_on, "
                      "card_expires_on, old_id, province, health_insurance, social_insurance, "
                      "driving_licence, vehicle, passport, tax");
    }
    if ((*claims & XT_CLAIM_BIT(claim)) != 0) {
        return refuse(reader, where, "is there twice");
    }
    *claims |= XT_CLAIM_BIT(claim);
    return XT_OK;
}

static enum xt_status read_attribute(struct reader *reader, yyjson_val *value, const char *where,
                                     void *into)
{
    uint32_t *attributes = into;
    enum xt_attribute attribute;
    if (!yyjson_is_str(value) || xt_attribute_by_name(xt_json_string(value), &attribute) != XT_OK) {
        return refuse(reader, where,
                      "must be one of full_name, date_of_birth, sex, nationality, ethnicity, "
                      "home_town, place_of_birth, father_name, mother_name, address, phones, "
                      "old_id, card_issued_on, card_expires_on, health_insurance, "
                      "social_insurance, driving_licence, vehicle, passport, tax");
    }
    if ((*attributes & XT_ATTRIBUTE_BIT(attribute)) != 0) {
        return refuse(reader, where, "is there twice");
    }
    *attributes |= XT_ATTRIBUTE_BIT(attribute);
    return XT_OK;
}

static enum xt_status read_level(struct reader *reader, yyjson_val *value, const char *where,
                                 unsigned *level)
{
    uint64_t number = yyjson_is_uint(value) ? yyjson_get_uint(value) : 0;
    if (number < 1 || number > XT_LEVEL_MOST) {
        return refuse(reader, where, "must be a level from 1 to 4");
    }
    *level = (unsigned)number;
    return XT_OK;
}

static enum xt_status read_purpose_member(struct reader *reader, unsigned what, yyjson_val *value,
                                          const char *where, void *into)
{
    struct xt_purpose *purpose = into;
    switch (what) {
    case PURPOSE_NAME: {
        enum xt_status status = read_name(reader, value, where, purpose->name);
        if (status == XT_OK &&
            xt_partner_purpose(reader->partner, xt_span_of_string(purpose->name)) != NULL) {
            return refuse(reader, where, "is there twice");
        }
        return status;
    }
    case CLAIMS:
        return read_list(reader, value, where, XT_CLAIM_COUNT, read_claim, &purpose->claims);
    case CLAIMS_REQUIRED:
        return read_list(reader, value, where, XT_CLAIM_COUNT, read_claim, &purpose->required);
    case ATTRIBUTES:
        return read_list(reader, value, where, XT_ATTRIBUTE_COUNT, read_attribute,
                         &purpose->attributes);
    case LEGAL_BASIS_REQUIRED:
        return read_boolean(reader, value, where, &purpose->legal_basis_required);
    case LEAST_LEVEL:
        return read_level(reader, value, where, &purpose->least_level);
    default:
        return read_boolean(reader, value, where, &purpose->consent_required);
    }
}

static enum xt_status read_purpose(struct reader *reader, yyjson_val *value, const char *where,
                                   void *into)
{
    (void)into;
    struct xt_partner *partner = reader->partner;
    struct xt_purpose *purpose = &partner->purposes[partner->purpose_count];
    enum xt_status status =
        read_object(reader, value, where, IN_PURPOSE, COUNT_OF(IN_PURPOSE),
                    SEEN(PURPOSE_NAME) | SEEN(CLAIMS), read_purpose_member, purpose);
    if (status == XT_OK && (purpose->required & ~purpose->claims) != 0) {
        char path[WHERE_MAX];
        (void)snprintf(path, sizeof path, "%s.claims_required", where);
        return refuse(reader, path, "must be among the purpose's claims");
    }
    partner->purpose_count += status == XT_OK;
    return status;
}

static enum xt_status read_right(struct reader *reader, yyjson_val *value, const char *where,
                                 void *into)
{
    (void)into;
    uint32_t right = 0;
    if (!yyjson_is_str(value) || xt_right_by_name(xt_json_string(value), &right) != XT_OK) {
        return refuse(reader, where,
                      "must be one of per_claim, card_state, existence, advisory, authenticate, "
                      "accounts, attributes, registry, statistics, audit, signed, sensitive");
    }
    if ((reader->partner->rights & right) != 0) {
        return refuse(reader, where, "is there twice");
    }
    reader->partner->rights |= right;
    return XT_OK;
}

static enum xt_status read_network(struct reader *reader, yyjson_val *value, const char *where,
                                   void *into)
{
    (void)into;
    struct xt_partner *partner = reader->partner;
    struct xt_network *network = &partner->networks[partner->network_count];
    if (!yyjson_is_str(value) || xt_network_parse(xt_json_string(value), network) != XT_OK) {
        return refuse(reader, where,
                      "must be a network such as 10.0.0.0/8 or 2001:db8::/32, with no bits set "
                      "past the prefix");
    }
    partner->network_count++;
    return XT_OK;
}

static enum xt_status read_rate_member(struct reader *reader, unsigned what, yyjson_val *value,
                                       const char *where, void *into)
{
    (void)into;
    uint64_t count = 0;
    enum xt_status status = read_count(reader, value, where, XT_RATE_MAX, &count);
    if (what == PER_SECOND) {
        reader->partner->rate_per_second = (uint32_t)count;
    } else {
        reader->partner->rate_burst = (uint32_t)count;
    }
    return status;
}

static enum xt_status read_state(struct reader *reader, yyjson_val *value, const char *where)
{
    reader->partner->active = yyjson_equals_str(value, "active");
    return reader->partner->active || yyjson_equals_str(value, "disabled")
               ? XT_OK
               : refuse(reader, where, "must be active or disabled");
}

static enum xt_status read_top_member(struct reader *reader, unsigned what, yyjson_val *value,
                                      const char *where, void *into)
{
    struct xt_partner *partner = reader->partner;
    enum xt_status status = XT_OK;
    switch (what) {
    case NAME:
        return read_name(reader, value, where, partner->name);
    case STATE:
        return read_state(reader, value, where);
    case CERTIFICATES:
        status =
            read_list(reader, value, where, XT_PARTNER_CERTIFICATES_MAX, read_certificate, into);
        return status == XT_OK && partner->certificate_count == 0
                   ? refuse(reader, where, "must have at least one entry")
                   : status;
    case PURPOSES:
        return read_list(reader, value, where, XT_PARTNER_PURPOSES_MAX, read_purpose, into);
    case RIGHTS:
        return read_list(reader, value, where, XT_RIGHT_COUNT, read_right, into);
    case RATE:
        status = read_object(reader, value, where, IN_RATE, COUNT_OF(IN_RATE), SEEN(PER_SECOND),
                             read_rate_member, into);
        partner->rate_burst =
            partner->rate_burst == 0 ? partner->rate_per_second : partner->rate_burst;
        return status;
    case DAILY_QUOTA:
        return read_count(reader, value, where, XT_QUOTA_MAX, &partner->daily_quota);
    case OLD_NUMBERS:
        status = read_boolean(reader, value, where, &partner->without_old_numbers);
        partner->without_old_numbers = !partner->without_old_numbers;
        return status;
    default:
        return read_list(reader, value, where, XT_PARTNER_NETWORKS_MAX, read_network, into);
    }
}

enum xt_status xt_partner_from_json(struct xt_span text, struct xt_json_arena arena,
                                    struct xt_partner *partner, struct xt_failure *failure)
{
    memset(partner, 0, sizeof *partner);
    partner->active = true;
    if (text.size > XT_PARTNER_JSON_MAX) {
        return xt_fail(failure, XT_INVALID, "the file must have at most %d bytes",
                       XT_PARTNER_JSON_MAX);
    }
    const char *code = NULL;
    yyjson_val *root = xt_json_read(text, arena, &code);
    if (root == NULL) {
        return xt_fail(failure, XT_INVALID, "the file must be one JSON object (%s)", code);
    }
    struct reader reader = {.partner = partner, .failure = failure};
    return read_object(&reader, root, "", TOP, COUNT_OF(TOP),
                       SEEN(NAME) | SEEN(CERTIFICATES) | SEEN(PURPOSES), read_top_member, NULL);
}
