#include "core/attribute.h"

#include "core/province.h"
#include "core/request.h"

static const char *const NAMES[XT_ATTRIBUTE_COUNT] = {
    [XT_ATTRIBUTE_FULL_NAME] = "full_name",
    [XT_ATTRIBUTE_DATE_OF_BIRTH] = "date_of_birth",
    [XT_ATTRIBUTE_SEX] = "sex",
    [XT_ATTRIBUTE_NATIONALITY] = "nationality",
    [XT_ATTRIBUTE_ETHNICITY] = "ethnicity",
    [XT_ATTRIBUTE_HOME_TOWN] = "home_town",
    [XT_ATTRIBUTE_PLACE_OF_BIRTH] = "place_of_birth",
    [XT_ATTRIBUTE_FATHER_NAME] = "father_name",
    [XT_ATTRIBUTE_MOTHER_NAME] = "mother_name",
    [XT_ATTRIBUTE_ADDRESS] = "address",
    [XT_ATTRIBUTE_PHONES] = "phones",
    [XT_ATTRIBUTE_OLD_ID] = "old_id",
    [XT_ATTRIBUTE_CARD_ISSUED_ON] = "card_issued_on",
    [XT_ATTRIBUTE_CARD_EXPIRES_ON] = "card_expires_on",
    [XT_ATTRIBUTE_HEALTH_INSURANCE] = "health_insurance",
    [XT_ATTRIBUTE_SOCIAL_INSURANCE] = "social_insurance",
    [XT_ATTRIBUTE_DRIVING_LICENCE] = "driving_licence",
    [XT_ATTRIBUTE_VEHICLE] = "vehicle",
    [XT_ATTRIBUTE_PASSPORT] = "passport",
    [XT_ATTRIBUTE_TAX] = "tax",
};
_Static_assert(XT_ATTRIBUTE_COUNT - XT_ATTRIBUTE_HEALTH_INSURANCE == XT_LINK_TYPE_COUNT,
               "every kind of document is an attribute");

/* Every text twice as long for its escapes (there are no control characters in one), every list full. */
#define TEXTS_MOST (9 * 2 * XT_PERSON_TEXT_MAX)
#define LISTS_MOST (XT_PERSON_PHONES_MAX * (XT_PHONE_TEXT + 3) + XT_PERSON_LINKS_MAX * 112)
_Static_assert(TEXTS_MOST + LISTS_MOST + 1024 <= XT_ATTRIBUTES_JSON_MAX, "everybody fits");
_Static_assert(XT_NAME_DISPLAY_MAX <= XT_PERSON_TEXT_MAX, "a name is a text like others");

const char *xt_attribute_name(enum xt_attribute attribute)
{
    return NAMES[attribute];
}

enum xt_status xt_attribute_by_name(struct xt_span name, enum xt_attribute *attribute)
{
    for (unsigned i = 0; i < XT_ATTRIBUTE_COUNT; i++) {
        if (xt_span_is(name, NAMES[i])) {
            *attribute = (enum xt_attribute)i;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

void xt_attribute_names_write(uint32_t set, struct xt_writer *writer)
{
    xt_write_byte(writer, '[');
    for (uint32_t left = set & XT_ATTRIBUTE_ALL; left != 0; left &= left - 1) {
        xt_write_byte(writer, '"');
        xt_write_string(writer, NAMES[__builtin_ctz(left)]);
        xt_write_string(writer, (left & (left - 1)) != 0 ? "\"," : "\"");
    }
    xt_write_byte(writer, ']');
}

/* ---- values ------------------------------------------------------------------------------------- */

static enum xt_link_type link_of(enum xt_attribute attribute)
{
    return (enum xt_link_type)(attribute - XT_ATTRIBUTE_HEALTH_INSURANCE);
}

/* The attributes that are one text each; NULL: it is another. */
static const struct xt_span *text_of(const struct xt_person *person, enum xt_attribute attribute)
{
    switch (attribute) {
    case XT_ATTRIBUTE_NATIONALITY:
        return &person->nationality;
    case XT_ATTRIBUTE_ETHNICITY:
        return &person->ethnicity;
    case XT_ATTRIBUTE_HOME_TOWN:
        return &person->home_town;
    case XT_ATTRIBUTE_PLACE_OF_BIRTH:
        return &person->place_of_birth;
    case XT_ATTRIBUTE_FATHER_NAME:
        return &person->father_name;
    case XT_ATTRIBUTE_MOTHER_NAME:
        return &person->mother_name;
    default:
        return NULL;
    }
}

/* The same of a date. */
static xt_date date_of(const struct xt_person *person, enum xt_attribute attribute)
{
    switch (attribute) {
    case XT_ATTRIBUTE_DATE_OF_BIRTH:
        return person->date_of_birth;
    case XT_ATTRIBUTE_CARD_ISSUED_ON:
        return person->card_issued_on;
    case XT_ATTRIBUTE_CARD_EXPIRES_ON:
        return person->card_has_expiry ? person->card_expires_on : XT_DATE_NONE;
    default:
        return XT_DATE_NONE;
    }
}

static bool has_address(const struct xt_person *person)
{
    return person->address_province != XT_PROVINCE_NONE || person->address_ward.size > 0 ||
           person->address_text.size > 0;
}

static bool has_link(const struct xt_person *person, enum xt_link_type type)
{
    unsigned at = 0;
    while (at < person->link_count && person->links[at].type != type) {
        at++;
    }
    return at < person->link_count;
}

static bool has(const struct xt_person *person, enum xt_attribute attribute)
{
    const struct xt_span *text = text_of(person, attribute);
    switch (attribute) {
    case XT_ATTRIBUTE_FULL_NAME:
        return true;
    case XT_ATTRIBUTE_SEX:
        return person->sex != XT_SEX_UNKNOWN;
    case XT_ATTRIBUTE_ADDRESS:
        return has_address(person);
    case XT_ATTRIBUTE_PHONES:
        return person->phone_count > 0;
    case XT_ATTRIBUTE_OLD_ID:
        return person->has_cmnd;
    default:
        return text != NULL ? text->size > 0
               : attribute >= XT_ATTRIBUTE_HEALTH_INSURANCE
                   ? has_link(person, link_of(attribute))
                   : date_of(person, attribute) != XT_DATE_NONE;
    }
}

uint32_t xt_attributes_held(const struct xt_person *person, uint32_t set)
{
    uint32_t held = 0;
    for (uint32_t left = set & XT_ATTRIBUTE_ALL; left != 0; left &= left - 1) {
        enum xt_attribute attribute = (enum xt_attribute)__builtin_ctz(left);
        held |= has(person, attribute) ? XT_ATTRIBUTE_BIT(attribute) : 0;
    }
    return held;
}

static void write_quoted(struct xt_writer *writer, const char *text, size_t size)
{
    xt_write_byte(writer, '"');
    xt_write(writer, text, size);
    xt_write_byte(writer, '"');
}

static void write_date(struct xt_writer *writer, xt_date date)
{
    char text[XT_DATE_TEXT_MAX];
    write_quoted(writer, text, xt_date_format(date, text));
}

static void write_full_name(struct xt_writer *writer, const struct xt_person *person)
{
    char text[XT_NAME_DISPLAY_MAX];
    struct xt_span name = person->full_name;
    if (name.size == 0) {
        name = xt_span_of(text, xt_name_display(&person->name, text, sizeof(text)));
    }
    xt_json_write_string(writer, name);
}

static void write_address(struct xt_writer *writer, const struct xt_person *person)
{
    const char *comma = "";
    xt_write_byte(writer, '{');
    if (person->address_province != XT_PROVINCE_NONE) {
        unsigned code = xt_province_at(person->address_province)->code;
        const char digits[3] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10),
                                (char)('0' + code % 10)};
        xt_write_literal(writer, "\"province\":");
        write_quoted(writer, digits, sizeof(digits));
        comma = ",";
    }
    if (person->address_ward.size > 0) {
        xt_write_string(writer, comma);
        xt_write_literal(writer, "\"ward\":");
        xt_json_write_string(writer, person->address_ward);
        comma = ",";
    }
    if (person->address_text.size > 0) {
        xt_write_string(writer, comma);
        xt_write_literal(writer, "\"text\":");
        xt_json_write_string(writer, person->address_text);
    }
    xt_write_byte(writer, '}');
}

static void write_phones(struct xt_writer *writer, const struct xt_person *person)
{
    xt_write_byte(writer, '[');
    for (unsigned i = 0; i < person->phone_count; i++) {
        char text[XT_PHONE_TEXT];
        xt_phone_format(person->phones[i], text);
        xt_write_string(writer, i == 0 ? "" : ",");
        write_quoted(writer, text, sizeof(text));
    }
    xt_write_byte(writer, ']');
}

static void write_links(struct xt_writer *writer, const struct xt_person *person,
                        enum xt_link_type type)
{
    const char *comma = "";
    xt_write_byte(writer, '[');
    for (unsigned i = 0; i < person->link_count; i++) {
        const struct xt_link *link = &person->links[i];
        if (link->type != type) {
            continue;
        }
        xt_write_string(writer, comma);
        xt_write_literal(writer, "{\"number\":");
        write_quoted(writer, link->number.text, link->number.length);
        if (link->valid_from != XT_DATE_NONE) {
            xt_write_literal(writer, ",\"valid_from\":");
            write_date(writer, link->valid_from);
        }
        if (link->valid_until != XT_DATE_NONE) {
            xt_write_literal(writer, ",\"valid_until\":");
            write_date(writer, link->valid_until);
        }
        xt_write_byte(writer, '}');
        comma = ",";
    }
    xt_write_byte(writer, ']');
}

static void write_value(struct xt_writer *writer, const struct xt_person *person,
                        enum xt_attribute attribute)
{
    char digits[XT_CMND_DIGITS];
    if (attribute == XT_ATTRIBUTE_PHONES) {
        write_phones(writer, person);
        return;
    }
    if (attribute >= XT_ATTRIBUTE_HEALTH_INSURANCE) {
        write_links(writer, person, link_of(attribute));
        return;
    }
    if (!has(person, attribute)) {
        xt_write_literal(writer, "null");
        return;
    }
    switch (attribute) {
    case XT_ATTRIBUTE_FULL_NAME:
        write_full_name(writer, person);
        return;
    case XT_ATTRIBUTE_SEX:
        xt_write_string(writer, person->sex == XT_SEX_MALE ? "\"male\"" : "\"female\"");
        return;
    case XT_ATTRIBUTE_ADDRESS:
        write_address(writer, person);
        return;
    case XT_ATTRIBUTE_OLD_ID:
        xt_cmnd_format(person->cmnd, digits);
        write_quoted(writer, digits, sizeof(digits));
        return;
    default:
        if (text_of(person, attribute) != NULL) {
            xt_json_write_string(writer, *text_of(person, attribute));
        } else {
            write_date(writer, date_of(person, attribute));
        }
    }
}

void xt_attributes_write(const struct xt_person *person, uint32_t set, struct xt_writer *writer)
{
    xt_write_byte(writer, '{');
    for (uint32_t left = set & XT_ATTRIBUTE_ALL; left != 0; left &= left - 1) {
        enum xt_attribute attribute = (enum xt_attribute)__builtin_ctz(left);
        xt_write_byte(writer, '"');
        xt_write_string(writer, NAMES[attribute]);
        xt_write_literal(writer, "\":");
        write_value(writer, person, attribute);
        xt_write_string(writer, (left & (left - 1)) != 0 ? "," : "");
    }
    xt_write_byte(writer, '}');
}
