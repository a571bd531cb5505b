#include "core/person_member.h"
#include "core/plain_text.h"
#include "core/record.h"
#include "core/wire.h"

#define COLD_VERSION 1
#define COLD_FIXED 6 /* version and number */

/* Fields in the order in which they stand. Never renumbered within a version. */
enum tag {
    TAG_FULL_NAME = 1,
    TAG_REPLACED, /* a list; number 5 */
    TAG_NATIONALITY,
    TAG_ETHNICITY,
    TAG_HOME_TOWN,
    TAG_PLACE_OF_BIRTH,
    TAG_FATHER_NAME,
    TAG_MOTHER_NAME,
    TAG_ADDRESS_WARD,
    TAG_ADDRESS_TEXT,
    TAG_CARD_KEY, /* DER */
    TAG_PASSCODE_HASH,
    TAG_DEVICE, /* a list; id length, and from bit 13 what unlocks it 2 | id | DER */
    TAG_LINK,   /* a list; type 1 | from 3 | until 3 (0: not stated) | number */
    TAG_COUNT
};

#define TAG_BIT(tag) (1U << (tag))
#define LISTS (TAG_BIT(TAG_REPLACED) | TAG_BIT(TAG_DEVICE) | TAG_BIT(TAG_LINK))

#define DEVICE_FIXED 2
#define DEVICE_UNLOCK 13 /* bit; the id's length has those below */
#define LINK_FIXED 7
#define KEY_DER_MAX (XT_PERSON_KEY_MAX / 4 * 3)

static void write_tag(struct xt_writer *writer, enum tag tag, size_t size)
{
    xt_write_byte(writer, (uint8_t)tag);
    if (size < 0x80) {
        xt_write_byte(writer, (uint8_t)size);
    } else {
        xt_write_byte(writer, (uint8_t)(0x80 | (size & 0x7f)));
        xt_write_byte(writer, (uint8_t)(size >> 7));
    }
}

static void write_field(struct xt_writer *writer, enum tag tag, struct xt_span value)
{
    if (value.size > 0) {
        write_tag(writer, tag, value.size);
        xt_write_span(writer, value);
    }
}

static size_t key_size(struct xt_span text, struct xt_span der)
{
    return text.size > 0 ? text.size * 3 / 4 : der.size;
}

/* Text is decoded straight into the record; it was checked when it was read. */
static void write_key(struct xt_writer *writer, struct xt_span text, struct xt_span der)
{
    uint8_t *place = xt_write_reserve(writer, key_size(text, der));
    if (place == NULL) {
        return;
    }
    if (text.size == 0) {
        memcpy(place, der.data, der.size);
        return;
    }
    size_t length = 0;
    xt_require(xt_base64url_decode(text, place, &length));
}

static bool name_is_as_displayed(const struct xt_person *person)
{
    char text[XT_NAME_DISPLAY_MAX];
    size_t size = xt_name_display(&person->name, text, sizeof text);
    return xt_span_equal(person->full_name, xt_span_of(text, size));
}

static void write_device(struct xt_writer *writer, const struct xt_device *device)
{
    write_tag(writer, TAG_DEVICE,
              DEVICE_FIXED + device->device_id.size +
                  key_size(device->public_key, device->public_key_der));
    xt_wire_write(writer, device->device_id.size | (size_t)device->unlocked_by << DEVICE_UNLOCK,
                  DEVICE_FIXED);
    xt_write_span(writer, device->device_id);
    write_key(writer, device->public_key, device->public_key_der);
}

static void write_link(struct xt_writer *writer, const struct xt_link *link)
{
    write_tag(writer, TAG_LINK, LINK_FIXED + (size_t)link->number.length);
    xt_write_byte(writer, (uint8_t)link->type);
    xt_wire_write(writer, link->valid_from, XT_WIRE_DATE);
    xt_wire_write(writer, link->valid_until, XT_WIRE_DATE);
    xt_write(writer, link->number.text, link->number.length);
}

void xt_cold_encode(const struct xt_person *person, struct xt_writer *writer)
{
    xt_write_byte(writer, COLD_VERSION);
    xt_wire_write(writer, person->number, XT_WIRE_NUMBER);
    if (person->full_name.size > 0 && !name_is_as_displayed(person)) {
        write_field(writer, TAG_FULL_NAME, person->full_name);
    }
    for (unsigned i = 0; i < person->replaced_count; i++) {
        write_tag(writer, TAG_REPLACED, XT_WIRE_NUMBER);
        xt_wire_write(writer, person->replaced[i], XT_WIRE_NUMBER);
    }
    write_field(writer, TAG_NATIONALITY, person->nationality);
    write_field(writer, TAG_ETHNICITY, person->ethnicity);
    write_field(writer, TAG_HOME_TOWN, person->home_town);
    write_field(writer, TAG_PLACE_OF_BIRTH, person->place_of_birth);
    write_field(writer, TAG_FATHER_NAME, person->father_name);
    write_field(writer, TAG_MOTHER_NAME, person->mother_name);
    write_field(writer, TAG_ADDRESS_WARD, person->address_ward);
    write_field(writer, TAG_ADDRESS_TEXT, person->address_text);
    size_t card_key = key_size(person->card_public_key, person->card_public_key_der);
    if (card_key > 0) {
        write_tag(writer, TAG_CARD_KEY, card_key);
        write_key(writer, person->card_public_key, person->card_public_key_der);
    }
    write_field(writer, TAG_PASSCODE_HASH, person->passcode_hash);
    for (unsigned i = 0; i < person->device_count; i++) {
        write_device(writer, &person->devices[i]);
    }
    for (unsigned i = 0; i < person->link_count; i++) {
        write_link(writer, &person->links[i]);
    }
}

/* Steps to the next field; 0 at the end or when something is wrong. */
static unsigned next_field(struct xt_wire *wire, unsigned previous, struct xt_span *value)
{
    if (wire->bad || wire->at == wire->end) {
        return 0;
    }
    unsigned tag = (unsigned)xt_wire_read(wire, 1);
    size_t size = (size_t)xt_wire_read(wire, 1);
    if (size >= 0x80) {
        size_t high = (size_t)xt_wire_read(wire, 1);
        wire->bad = wire->bad || high == 0 || high > 0x7f; /* one form only */
        size = (size & 0x7f) | high << 7;
    }
    *value = xt_wire_bytes(wire, size);
    bool follows = tag > previous || (tag == previous && tag != 0 && (LISTS & TAG_BIT(tag)) != 0);
    if (wire->bad || size == 0 || tag == 0 || tag >= TAG_COUNT || !follows) {
        wire->bad = true;
        return 0;
    }
    return tag;
}

static bool date_is_sound_or_none(xt_date date)
{
    return date == XT_DATE_NONE || xt_wire_date_is_sound(date);
}

static bool read_link(struct xt_span value, unsigned *count, struct xt_link *links)
{
    if (*count == XT_PERSON_LINKS_MAX || value.size <= LINK_FIXED ||
        value.size > LINK_FIXED + XT_DOCUMENT_MAX || value.data[0] >= XT_LINK_TYPE_COUNT) {
        return false;
    }
    struct xt_link *link = &links[(*count)++];
    link->type = (enum xt_link_type)value.data[0];
    link->valid_from = (xt_date)xt_wire_integer(value.data + 1, XT_WIRE_DATE);
    link->valid_until = (xt_date)xt_wire_integer(value.data + 4, XT_WIRE_DATE);
    link->number.length = (uint8_t)(value.size - LINK_FIXED);
    memcpy(link->number.text, value.data + LINK_FIXED, link->number.length);
    return date_is_sound_or_none(link->valid_from) && date_is_sound_or_none(link->valid_until);
}

static bool read_device(struct xt_span value, struct xt_person *person)
{
    if (person->device_count == XT_PERSON_DEVICES_MAX || value.size < DEVICE_FIXED) {
        return false;
    }
    uint64_t fixed = xt_wire_integer(value.data, DEVICE_FIXED);
    size_t id_size = (size_t)(fixed & ((1U << DEVICE_UNLOCK) - 1));
    if (fixed >> DEVICE_UNLOCK >= XT_UNLOCK_COUNT || id_size == 0 || id_size > XT_PERSON_TEXT_MAX ||
        id_size >= value.size - DEVICE_FIXED) {
        return false;
    }
    struct xt_device *device = &person->devices[person->device_count++];
    device->device_id = xt_span_of(value.data + DEVICE_FIXED, id_size);
    device->unlocked_by = (enum xt_unlock)(fixed >> DEVICE_UNLOCK);
    device->public_key = xt_span_of(NULL, 0);
    device->public_key_der =
        xt_span_of(value.data + DEVICE_FIXED + id_size, value.size - DEVICE_FIXED - id_size);
    return device->public_key_der.size <= KEY_DER_MAX;
}

static bool read_replaced(struct xt_span value, struct xt_person *person)
{
    if (person->replaced_count == XT_PERSON_REPLACED_MAX || value.size != XT_WIRE_NUMBER) {
        return false;
    }
    uint64_t number = xt_wire_integer(value.data, XT_WIRE_NUMBER);
    person->replaced[person->replaced_count++] = number;
    return number < XT_WIRE_NUMBER_END;
}

static bool read_text(struct xt_span value, struct xt_span *member)
{
    *member = value;
    return value.size <= XT_PERSON_TEXT_MAX;
}

static bool read_field(unsigned tag, struct xt_span value, struct xt_person *person)
{
    switch ((enum tag)tag) {
    case TAG_FULL_NAME:
        return read_text(value, &person->full_name);
    case TAG_REPLACED:
        return read_replaced(value, person);
    case TAG_NATIONALITY:
        return read_text(value, &person->nationality) && value.size == 3;
    case TAG_ETHNICITY:
        return read_text(value, &person->ethnicity);
    case TAG_HOME_TOWN:
        return read_text(value, &person->home_town);
    case TAG_PLACE_OF_BIRTH:
        return read_text(value, &person->place_of_birth);
    case TAG_FATHER_NAME:
        return read_text(value, &person->father_name);
    case TAG_MOTHER_NAME:
        return read_text(value, &person->mother_name);
    case TAG_ADDRESS_WARD:
        return read_text(value, &person->address_ward);
    case TAG_ADDRESS_TEXT:
        return read_text(value, &person->address_text);
    case TAG_CARD_KEY:
        person->card_public_key_der = value;
        return value.size <= KEY_DER_MAX;
    case TAG_PASSCODE_HASH:
        return read_text(value, &person->passcode_hash);
    case TAG_DEVICE:
        return read_device(value, person);
    case TAG_LINK:
        return read_link(value, &person->link_count, person->links);
    case TAG_COUNT:
        break;
    }
    return false;
}

/* Opens a record up to its fields. */
static enum xt_status read_fixed(struct xt_span record, struct xt_wire *wire, uint64_t *number)
{
    if (record.size > 0 && record.data[0] != COLD_VERSION) {
        return XT_UNSUPPORTED;
    }
    if (record.size < COLD_FIXED) {
        return XT_CORRUPT;
    }
    *wire = xt_wire_over(record);
    (void)xt_wire_read(wire, 1);
    *number = xt_wire_read(wire, XT_WIRE_NUMBER);
    return *number < XT_WIRE_NUMBER_END ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_cold_decode(struct xt_span record, struct xt_person *person)
{
    struct xt_wire wire;
    struct xt_span value;
    xt_person_clear(person);
    enum xt_status status = read_fixed(record, &wire, &person->number);
    if (status != XT_OK) {
        return status;
    }
    unsigned tag = 0;
    while ((tag = next_field(&wire, tag, &value)) != 0) {
        if (!read_field(tag, value, person)) {
            return XT_CORRUPT;
        }
    }
    return xt_wire_is_done(&wire) ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_cold_links(struct xt_span record, uint64_t *number, struct xt_links *links)
{
    struct xt_wire wire;
    struct xt_span value;
    links->count = 0;
    links->others = 0;
    enum xt_status status = read_fixed(record, &wire, number);
    if (status != XT_OK) {
        return status;
    }
    unsigned tag = 0;
    while ((tag = next_field(&wire, tag, &value)) != 0) {
        if (tag == TAG_LINK && !read_link(value, &links->count, links->links)) {
            return XT_CORRUPT;
        }
    }
    return xt_wire_is_done(&wire) ? XT_OK : XT_CORRUPT;
}
