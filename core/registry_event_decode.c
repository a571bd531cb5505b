/* Events from bytes that may be anything. */
#include "core/plain_text.h"
#include "core/province.h"
#include "core/registry_event_internal.h"
#include "core/wire.h"

/* The rules of a member of an import, applied to a text that is there. */
static bool text_is_sound(struct xt_person *person, enum xt_person_member member,
                          struct xt_span text)
{
    return xt_text_is_utf8(text) && xt_person_member_set(person, member, text) == NULL;
}

static bool date_is_sound(xt_date date)
{
    xt_date same;
    return xt_date_make(xt_date_year(date), xt_date_month(date), xt_date_day(date), &same) ==
               XT_OK &&
           same == date;
}

static bool date_is_sound_or_none(xt_date date)
{
    return date == XT_DATE_NONE || date_is_sound(date);
}

static bool phone_is_sound(uint32_t phone)
{
    char text[XT_PHONE_TEXT];
    uint32_t same;
    if (phone >= XT_WIRE_NINE_DIGITS_END) {
        return false;
    }
    xt_phone_format(phone, text);
    return xt_phone_parse(xt_span_of(text, sizeof(text)), &same) == XT_OK && same == phone;
}

static bool link_is_sound(const struct xt_link *link)
{
    struct xt_document same;
    struct xt_span number = xt_span_of(link->number.text, link->number.length);
    return xt_document_parse(number, &same) == XT_OK &&
           xt_span_equal(number, xt_span_of(same.text, same.length)) &&
           date_is_sound_or_none(link->valid_from) && date_is_sound_or_none(link->valid_until);
}

static bool read_text(struct xt_wire *wire, struct xt_span *text)
{
    *text = xt_wire_bytes(wire, (size_t)xt_wire_read(wire, 2));
    return !wire->bad;
}

static struct xt_span rest_of(struct xt_wire *wire)
{
    return xt_wire_bytes(wire, (size_t)(wire->end - wire->at));
}

/* ---- registered ------------------------------------------------------------------------------- */

static bool texts_are_sound(struct xt_person *person)
{
    const struct {
        enum xt_person_member member;
        struct xt_span text;
    } TEXTS[] = {
        {XT_MEMBER_NATIONALITY, person->nationality},
        {XT_MEMBER_ETHNICITY, person->ethnicity},
        {XT_MEMBER_HOME_TOWN, person->home_town},
        {XT_MEMBER_PLACE_OF_BIRTH, person->place_of_birth},
        {XT_MEMBER_FATHER_NAME, person->father_name},
        {XT_MEMBER_MOTHER_NAME, person->mother_name},
        {XT_MEMBER_ADDRESS_WARD, person->address_ward},
        {XT_MEMBER_ADDRESS_TEXT, person->address_text},
        {XT_MEMBER_ACCOUNT_PASSCODE_HASH, person->passcode_hash},
    };
    bool sound = true;
    for (unsigned i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        sound = sound &&
                (TEXTS[i].text.size == 0 || text_is_sound(person, TEXTS[i].member, TEXTS[i].text));
    }
    for (unsigned i = 0; i < person->device_count; i++) {
        struct xt_span id = person->devices[i].device_id;
        sound = sound && xt_text_is_utf8(id) && xt_text_check(id, XT_PERSON_TEXT_MAX) == NULL &&
                person->devices[i].public_key_der.size > 0;
        for (unsigned before = 0; before < i; before++) {
            sound = sound && !xt_span_equal(id, person->devices[before].device_id);
        }
    }
    return sound;
}

/* The name as given must be the one that the hot part has in codes. */
static bool name_is_sound(struct xt_person *person)
{
    char text[XT_NAME_DISPLAY_MAX];
    struct xt_name name = person->name;
    struct xt_span given = person->full_name;
    if (given.size == 0) {
        given = xt_span_of(text, xt_name_display(&name, text, sizeof(text)));
    }
    bool sound = text_is_sound(person, XT_MEMBER_FULL_NAME, given) &&
                 person->name.length == name.length &&
                 memcmp(person->name.codes, name.codes, name.length) == 0;
    person->full_name = given.data == (const uint8_t *)text ? xt_span_of(NULL, 0) : given;
    return sound;
}

static bool lists_are_sound(const struct xt_person *person)
{
    bool sound = true;
    for (unsigned i = 0; i < person->phone_count; i++) {
        sound = sound && phone_is_sound(person->phones[i]);
        for (unsigned before = 0; before < i; before++) {
            sound = sound && person->phones[i] != person->phones[before];
        }
    }
    for (unsigned i = 0; i < person->replaced_count; i++) {
        sound = sound && person->replaced[i] != person->number;
        for (unsigned before = 0; before < i; before++) {
            sound = sound && person->replaced[i] != person->replaced[before];
        }
    }
    for (unsigned i = 0; i < person->link_count; i++) {
        sound = sound && link_is_sound(&person->links[i]);
    }
    return sound;
}

/* Two records that say the same person in another way, or that contradict each other (which documents
 * there are), do not come back as these bytes. */
static bool comes_back(const struct xt_person *person, struct xt_span hot, struct xt_span cold)
{
    uint8_t again[XT_HOT_MAX + XT_COLD_MAX];
    struct xt_writer writer = xt_writer_over(again, sizeof(again));
    xt_hot_encode(person, &writer);
    size_t size = writer.size;
    xt_cold_encode(person, &writer);
    return !writer.overflow && xt_span_equal(hot, xt_span_of(again, size)) &&
           xt_span_equal(cold, xt_span_of(again + size, writer.size - size));
}

static bool read_record(struct xt_wire *wire, struct xt_registry_event *event)
{
    struct xt_person *person = &event->person;
    struct xt_span hot = xt_wire_bytes(wire, (size_t)xt_wire_read(wire, 2));
    struct xt_span cold = rest_of(wire);
    return !wire->bad && xt_person_from_records(hot, cold, person) == XT_OK &&
           person->number == event->number && date_is_sound(person->date_of_birth) &&
           date_is_sound_or_none(person->card_issued_on) &&
           date_is_sound_or_none(person->card_expires_on) && lists_are_sound(person) &&
           texts_are_sound(person) && name_is_sound(person) && comes_back(person, hot, cold);
}

/* ---- the others ------------------------------------------------------------------------------- */

static bool read_correctable(struct xt_wire *wire, unsigned correctable, struct xt_person *person)
{
    struct xt_span text;
    switch (correctable) {
    case XT_CORRECT_DATE_OF_BIRTH:
        person->date_of_birth = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
        return date_is_sound(person->date_of_birth);
    case XT_CORRECT_SEX:
        person->sex = (enum xt_sex)xt_wire_read(wire, 1);
        return person->sex == XT_SEX_MALE || person->sex == XT_SEX_FEMALE;
    case XT_CORRECT_OLD_ID:
        person->has_cmnd = true;
        person->cmnd = (uint32_t)xt_wire_read(wire, 4);
        return person->cmnd < XT_WIRE_NINE_DIGITS_END;
    case XT_CORRECT_STATUS:
        person->life = (enum xt_life)xt_wire_read(wire, 1);
        return person->life == XT_LIFE_ALIVE || person->life == XT_LIFE_MISSING ||
               person->life == XT_LIFE_CANCELLED;
    default:
        return read_text(wire, &text) &&
               text_is_sound(person, xt_correctable_member(correctable), text);
    }
}

static bool read_correction(struct xt_wire *wire, struct xt_registry_event *event)
{
    uint32_t all = XT_CORRECT_BIT(XT_CORRECT_COUNT) - 1;
    event->set = (uint32_t)xt_wire_read(wire, 2);
    event->cleared = (uint32_t)xt_wire_read(wire, 2);
    bool sound = event->set <= all && (event->cleared & ~(all & ~XT_CORRECT_REQUIRED)) == 0 &&
                 (event->set & event->cleared) == 0 && (event->set | event->cleared) != 0;
    for (unsigned i = 0; sound && i < XT_CORRECT_COUNT; i++) {
        sound = (event->set & XT_CORRECT_BIT(i)) == 0 || read_correctable(wire, i, &event->person);
    }
    return sound;
}

static bool read_card(struct xt_wire *wire, struct xt_registry_event *event)
{
    struct xt_person *person = &event->person;
    person->card_issued_on = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
    uint64_t stated = xt_wire_read(wire, 1);
    person->card_expires_on = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
    person->card_public_key_der = rest_of(wire);
    event->expiry_stated = person->card_has_expiry = stated == 1;
    return stated <= 1 && date_is_sound(person->card_issued_on) &&
           (stated == 1 ? date_is_sound(person->card_expires_on)
                        : person->card_expires_on == XT_DATE_NONE) &&
           person->card_public_key_der.size <= XT_PERSON_KEY_MAX / 4 * 3;
}

static bool read_address(struct xt_wire *wire, struct xt_person *person)
{
    struct xt_span text;
    person->address_province = (unsigned)xt_wire_read(wire, 1);
    struct xt_span ward = xt_wire_bytes(wire, (size_t)xt_wire_read(wire, 1));
    return read_text(wire, &text) && person->address_province != XT_PROVINCE_NONE &&
           person->address_province <= XT_PROVINCE_COUNT &&
           (ward.size == 0 || text_is_sound(person, XT_MEMBER_ADDRESS_WARD, ward)) &&
           (text.size == 0 || text_is_sound(person, XT_MEMBER_ADDRESS_TEXT, text));
}

static bool read_document(struct xt_wire *wire, struct xt_registry_event *event)
{
    struct xt_link *link = &event->person.links[0];
    uint64_t type = xt_wire_read(wire, 1);
    link->type = (enum xt_link_type)type;
    link->valid_from = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
    link->valid_until = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
    struct xt_span number = rest_of(wire);
    if (wire->bad || type >= XT_LINK_TYPE_COUNT || number.size > XT_DOCUMENT_MAX) {
        return false;
    }
    link->number.length = (uint8_t)number.size;
    memcpy(link->number.text, number.data, number.size);
    event->person.link_count = 1;
    bool dated = link->valid_from != XT_DATE_NONE || link->valid_until != XT_DATE_NONE;
    return link_is_sound(link) && (event->type == XT_REGISTRY_DOCUMENT_LINKED || !dated);
}

static bool read_body(struct xt_wire *wire, struct xt_registry_event *event)
{
    struct xt_person *person = &event->person;
    switch (event->type) {
    case XT_REGISTRY_REGISTERED:
        return read_record(wire, event);
    case XT_REGISTRY_CORRECTED:
        return read_correction(wire, event);
    case XT_REGISTRY_DECEASED:
        return true;
    case XT_REGISTRY_NUMBER_REPLACED:
        event->successor = xt_wire_read(wire, XT_WIRE_NUMBER);
        return event->successor < XT_WIRE_NUMBER_END && event->successor != event->number;
    case XT_REGISTRY_CARD_ISSUED:
        return read_card(wire, event);
    case XT_REGISTRY_CARD_LOST:
    case XT_REGISTRY_CARD_REVOKED:
    case XT_REGISTRY_CARD_FOUND:
        person->card_issued_on = (xt_date)xt_wire_read(wire, XT_WIRE_DATE);
        return date_is_sound_or_none(person->card_issued_on);
    case XT_REGISTRY_ADDRESS_CHANGED:
        return read_address(wire, person);
    case XT_REGISTRY_PHONE_LINKED:
    case XT_REGISTRY_PHONE_UNLINKED:
        person->phone_count = 1;
        person->phones[0] = (uint32_t)xt_wire_read(wire, 4);
        return phone_is_sound(person->phones[0]);
    case XT_REGISTRY_DOCUMENT_LINKED:
    case XT_REGISTRY_DOCUMENT_UNLINKED:
        return read_document(wire, event);
    case XT_REGISTRY_END:
        break;
    }
    return false;
}

enum xt_status xt_registry_event_decode(enum xt_registry_type type, struct xt_span body,
                                        struct xt_registry_event *event)
{
    struct xt_wire wire = xt_wire_over(body);
    if (type < XT_REGISTRY_FIRST || type >= XT_REGISTRY_END) {
        return XT_UNSUPPORTED;
    }
    xt_registry_event_clear(event);
    event->type = type;
    event->number = xt_wire_read(&wire, XT_WIRE_NUMBER);
    bool sound = event->number < XT_WIRE_NUMBER_END && !wire.bad && read_body(&wire, event);
    return sound && xt_wire_is_done(&wire) ? XT_OK : XT_INVALID;
}
