/* bench/resident_text: see the header. No generated text has a character that JSON must escape
 * (letters, spaces, apostrophes, commas), so texts are written as they are; a test parses them all. */
#include "bench/resident_text.h"

#include "core/province.h"

static const char *const lives[] = {"alive", "deceased", "missing", "cancelled"};
static const char *const card_states[] = {"", "active", "lost", "revoked"};
static const struct {
    uint8_t bit;
    const char *name;
} lock_names[] = {{XT_LOCK_HOLDER, "holder"},       {XT_LOCK_BREACH, "breach"},
                  {XT_LOCK_AUTHORITY, "authority"}, {XT_LOCK_CARD_REVOKED, "card_revoked"},
                  {XT_LOCK_DEATH, "death"},         {XT_LOCK_STAY_EXPIRED, "stay_expired"}};

const char *xt_link_type_text(enum xt_link_type type)
{
    static const char *const types[XT_LINK_TYPE_COUNT] = {
        "health_insurance", "social_insurance", "driving_licence", "vehicle", "passport", "tax"};
    return types[type];
}

void xt_write_number(struct xt_writer *writer, uint64_t number)
{
    char *place = (char *)xt_write_reserve(writer, XT_NUMBER_DIGITS);
    if (place != NULL) {
        xt_number_format(number, place);
    }
}

void xt_write_cmnd(struct xt_writer *writer, uint32_t cmnd)
{
    char *place = (char *)xt_write_reserve(writer, XT_CMND_DIGITS);
    if (place != NULL) {
        xt_cmnd_format(cmnd, place);
    }
}

void xt_write_phone(struct xt_writer *writer, uint32_t phone)
{
    char *place = (char *)xt_write_reserve(writer, XT_PHONE_TEXT);
    if (place != NULL) {
        xt_phone_format(phone, place);
    }
}

void xt_write_date(struct xt_writer *writer, xt_date date)
{
    char text[XT_DATE_TEXT_MAX];
    xt_write(writer, text, xt_date_format(date, text));
}

void xt_write_decimal(struct xt_writer *writer, uint64_t value, unsigned digits)
{
    char reversed[20];
    unsigned size = 0;
    while (value > 0 || size < digits || size == 0) {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    }
    uint8_t *place = xt_write_reserve(writer, size);
    for (unsigned i = 0; place != NULL && i < size; i++) {
        place[i] = (uint8_t)reversed[size - 1 - i];
    }
}

static void write_member(struct xt_writer *writer, const char *before, const struct xt_text *text)
{
    xt_write_string(writer, before);
    xt_write_text(writer, text);
}

static void write_card(const struct xt_resident *person, const struct xt_resident_more *more,
                       struct xt_writer *writer)
{
    xt_write_literal(writer, "\",\"card\":{\"issued_on\":\"");
    xt_write_date(writer, person->card_issued_on);
    if (person->card_expires_on != XT_CARD_NO_EXPIRY) {
        xt_write_literal(writer, "\",\"expires_on\":\"");
        xt_write_date(writer, person->card_expires_on);
    }
    xt_write_literal(writer, "\",\"state\":\"");
    xt_write_string(writer, card_states[person->card_state]);
    if (more != NULL) {
        xt_write_literal(writer, "\",\"public_key\":\"");
        xt_write(writer, more->card_key, XT_KEY_TEXT);
    }
    xt_write_literal(writer, "\"}");
}

static void write_account(const struct xt_resident *person, const struct xt_resident_more *more,
                          struct xt_writer *writer)
{
    xt_write_literal(writer, ",\"account\":{\"level\":");
    xt_write_byte(writer, (uint8_t)('0' + person->account_level));
    if (person->locks != 0) {
        const char *between = ",\"locks\":[\"";
        for (unsigned i = 0; i < sizeof(lock_names) / sizeof(lock_names[0]); i++) {
            if ((person->locks & lock_names[i].bit) != 0) {
                xt_write_string(writer, between);
                xt_write_string(writer, lock_names[i].name);
                between = "\",\"";
            }
        }
        xt_write_literal(writer, "\"]");
    }
    if (more != NULL && more->has_device) {
        xt_write_literal(writer, ",\"devices\":[{\"device_id\":\"");
        xt_write(writer, more->device_id, XT_DEVICE_ID_TEXT);
        xt_write_literal(writer, "\",\"public_key\":\"");
        xt_write(writer, more->device_key, XT_KEY_TEXT);
        if (more->unlocked_by != NULL) {
            xt_write_literal(writer, "\",\"unlocked_by\":\"");
            xt_write_string(writer, more->unlocked_by);
        }
        xt_write_literal(writer, "\"}]");
    }
    xt_write_byte(writer, '}');
}

static void write_links(const struct xt_resident_more *more, struct xt_writer *writer)
{
    if (more->link_count == 0) {
        return;
    }
    xt_write_literal(writer, ",\"links\":[");
    for (unsigned i = 0; i < more->link_count; i++) {
        const struct xt_resident_link *link = &more->links[i];
        xt_write_string(writer, i == 0 ? "{\"type\":\"" : ",{\"type\":\"");
        xt_write_string(writer, xt_link_type_text(link->type));
        write_member(writer, "\",\"number\":\"", &link->number);
        if (link->valid_from != XT_DATE_NONE) {
            xt_write_literal(writer, "\",\"valid_from\":\"");
            xt_write_date(writer, link->valid_from);
        }
        if (link->valid_until != XT_DATE_NONE) {
            xt_write_literal(writer, "\",\"valid_until\":\"");
            xt_write_date(writer, link->valid_until);
        }
        xt_write_literal(writer, "\"}");
    }
    xt_write_byte(writer, ']');
}

void xt_resident_to_json(const struct xt_resident *person, const struct xt_resident_more *more,
                         struct xt_writer *writer)
{
    xt_write_literal(writer, "{\"id\":\"");
    xt_write_number(writer, person->number);
    write_member(writer, "\",\"full_name\":\"", &person->full_name);
    xt_write_literal(writer, "\",\"date_of_birth\":\"");
    xt_write_date(writer, person->date_of_birth);
    xt_write_string(writer,
                    person->sex == XT_SEX_FEMALE ? "\",\"sex\":\"female" : "\",\"sex\":\"male");
    if (person->has_cmnd) {
        xt_write_literal(writer, "\",\"old_id\":\"");
        xt_write_cmnd(writer, person->cmnd);
    }
    xt_write_byte(writer, '"');
    if (person->has_replaced) {
        xt_write_literal(writer, ",\"replaced_numbers\":[\"");
        xt_write_number(writer, person->replaced);
        xt_write_literal(writer, "\"]");
    }
    if (more != NULL) {
        xt_write_literal(writer, ",\"nationality\":\"VNM\",\"ethnicity\":\"");
        xt_write_string(writer, more->ethnicity);
        write_member(writer, "\",\"home_town\":\"", &more->home_town);
        write_member(writer, "\",\"place_of_birth\":\"", &more->place_of_birth);
        write_member(writer, "\",\"father_name\":\"", &more->father_name);
        write_member(writer, "\",\"mother_name\":\"", &more->mother_name);
        xt_write_byte(writer, '"');
    }
    xt_write_literal(writer, ",\"address\":{\"province\":\"");
    xt_write_decimal(writer, xt_province_at(person->province)->code, 3);
    xt_write_literal(writer, "\",\"ward\":\"");
    xt_write_decimal(writer, person->ward, 5);
    write_member(writer, "\",\"text\":\"", &person->address);
    xt_write_literal(writer, "\"},\"status\":\"");
    xt_write_string(writer, lives[person->life]);
    if (person->card_state != XT_CARD_NONE) {
        write_card(person, more, writer);
    } else {
        xt_write_byte(writer, '"');
    }
    if (person->phone_count > 0) {
        xt_write_literal(writer, ",\"phones\":[\"");
        for (unsigned i = 0; i < person->phone_count; i++) {
            if (i > 0) {
                xt_write_literal(writer, "\",\"");
            }
            xt_write_phone(writer, person->phones[i]);
        }
        xt_write_literal(writer, "\"]");
    }
    if (person->account_level > 0) {
        write_account(person, more, writer);
    }
    if (more != NULL) {
        write_links(more, writer);
    }
    xt_write_literal(writer, "}\n");
}

void xt_resident_csv_header(bool full, struct xt_writer *writer)
{
    xt_write_literal(writer, "id,full_name,date_of_birth,sex,old_id,replaced_numbers,"
                             "address.province,address.ward,address.text,status,card.issued_on,"
                             "card.expires_on,card.state,phones,account.level,account.locks");
    if (full) {
        xt_write_literal(writer, ",nationality,ethnicity,home_town,place_of_birth,father_name,"
                                 "mother_name,card.public_key");
    }
    xt_write_byte(writer, '\n');
}

static void write_csv_card(const struct xt_resident *person, struct xt_writer *writer)
{
    if (person->card_state != XT_CARD_NONE) {
        xt_write_date(writer, person->card_issued_on);
    }
    xt_write_byte(writer, ',');
    if (person->card_state != XT_CARD_NONE && person->card_expires_on != XT_CARD_NO_EXPIRY) {
        xt_write_date(writer, person->card_expires_on);
    }
    xt_write_byte(writer, ',');
    xt_write_string(writer, card_states[person->card_state]);
    xt_write_byte(writer, ',');
}

void xt_resident_to_csv(const struct xt_resident *person, const struct xt_resident_more *more,
                        struct xt_writer *writer)
{
    xt_write_number(writer, person->number);
    write_member(writer, ",", &person->full_name);
    xt_write_byte(writer, ',');
    xt_write_date(writer, person->date_of_birth);
    xt_write_string(writer, person->sex == XT_SEX_FEMALE ? ",female," : ",male,");
    if (person->has_cmnd) {
        xt_write_cmnd(writer, person->cmnd);
    }
    xt_write_byte(writer, ',');
    if (person->has_replaced) {
        xt_write_number(writer, person->replaced);
    }
    xt_write_byte(writer, ',');
    xt_write_decimal(writer, xt_province_at(person->province)->code, 3);
    xt_write_byte(writer, ',');
    xt_write_decimal(writer, person->ward, 5);
    write_member(writer, ",", &person->address);
    xt_write_byte(writer, ',');
    xt_write_string(writer, lives[person->life]);
    xt_write_byte(writer, ',');
    write_csv_card(person, writer);
    for (unsigned i = 0; i < person->phone_count; i++) {
        if (i > 0) {
            xt_write_byte(writer, ' ');
        }
        xt_write_phone(writer, person->phones[i]);
    }
    xt_write_byte(writer, ',');
    if (person->account_level > 0) {
        xt_write_byte(writer, (uint8_t)('0' + person->account_level));
    }
    const char *between = ",";
    for (unsigned i = 0; i < sizeof(lock_names) / sizeof(lock_names[0]); i++) {
        if ((person->locks & lock_names[i].bit) != 0) {
            xt_write_string(writer, between);
            xt_write_string(writer, lock_names[i].name);
            between = " ";
        }
    }
    if (person->locks == 0) {
        xt_write_byte(writer, ',');
    }
    if (more != NULL) {
        xt_write_literal(writer, ",VNM,");
        xt_write_string(writer, more->ethnicity);
        write_member(writer, ",\"", &more->home_town); /* places have commas */
        write_member(writer, "\",\"", &more->place_of_birth);
        write_member(writer, "\",", &more->father_name);
        write_member(writer, ",", &more->mother_name);
        xt_write_byte(writer, ',');
        if (person->card_state != XT_CARD_NONE) {
            xt_write(writer, more->card_key, XT_KEY_TEXT);
        }
    }
    xt_write_byte(writer, '\n');
}
