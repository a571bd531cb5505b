#include "core/record.h"

#include "core/province.h"
#include "core/wire.h"

#define HOT_VERSION 1
#define HOT_FIXED 13 /* bytes up to the name's codes */

/* Flags of a hot record, from the low bit up. */
#define SEX_SHIFT 0     /* 2 bits, enum xt_sex */
#define LIFE_SHIFT 2    /* 2 bits, enum xt_life */
#define CARD_SHIFT 4    /* 2 bits, enum xt_card_state */
#define LEVEL_SHIFT 6   /* 2 bits, account level */
#define EXPIRY_SHIFT 8  /* 2 bits, enum expiry */
#define PHONES_SHIFT 10 /* 2 bits: 0, 1, 2, or "a count follows" */
#define HAS_ISSUED (1U << 12)
#define HAS_CMND (1U << 13)
#define HAS_LOCKS (1U << 14)
#define HAS_LINKS (1U << 15)

#define PHONES_COUNTED 3U

enum expiry {
    EXPIRY_NONE,
    EXPIRY_BY_RULE, /* what xt_card_expiry() gives: not stored */
    EXPIRY_STATED,
    EXPIRY_COUNT
};

#define TWO_BITS(flags, shift) ((flags) >> (shift)&3U)

static enum expiry expiry_of(const struct xt_person *person)
{
    if (!person->card_has_expiry) {
        return EXPIRY_NONE;
    }
    xt_date by_rule = xt_card_expiry(person->date_of_birth, person->card_issued_on);
    return person->card_issued_on != XT_DATE_NONE && by_rule == person->card_expires_on
               ? EXPIRY_BY_RULE
               : EXPIRY_STATED;
}

static uint8_t link_types_of(const struct xt_person *person)
{
    unsigned types = 0;
    for (unsigned i = 0; i < person->link_count; i++) {
        types |= 1U << person->links[i].type;
    }
    return (uint8_t)types;
}

void xt_hot_encode(const struct xt_person *person, struct xt_writer *writer)
{
    enum expiry expiry = expiry_of(person);
    uint8_t link_types = link_types_of(person);
    unsigned counted = person->phone_count < PHONES_COUNTED ? person->phone_count : PHONES_COUNTED;
    unsigned flags = (unsigned)person->sex << SEX_SHIFT | (unsigned)person->life << LIFE_SHIFT |
                     (unsigned)person->card_state << CARD_SHIFT |
                     person->account_level << LEVEL_SHIFT | (unsigned)expiry << EXPIRY_SHIFT |
                     counted << PHONES_SHIFT;
    flags |= person->card_issued_on != XT_DATE_NONE ? HAS_ISSUED : 0;
    flags |= person->has_cmnd ? HAS_CMND : 0;
    flags |= person->locks != 0 ? HAS_LOCKS : 0;
    flags |= link_types != 0 ? HAS_LINKS : 0;

    xt_write_byte(writer, HOT_VERSION);
    xt_wire_write(writer, person->number, XT_WIRE_NUMBER);
    xt_wire_write(writer, person->date_of_birth, XT_WIRE_DATE);
    xt_wire_write(writer, flags, 2);
    xt_write_byte(writer, (uint8_t)person->address_province);
    xt_write_byte(writer, person->name.length);
    xt_write(writer, person->name.codes, person->name.length);
    if ((flags & HAS_ISSUED) != 0) {
        xt_wire_write(writer, person->card_issued_on, XT_WIRE_DATE);
    }
    if (expiry == EXPIRY_STATED) {
        xt_wire_write(writer, person->card_expires_on, XT_WIRE_DATE);
    }
    if (person->has_cmnd) {
        xt_wire_write(writer, person->cmnd, 4);
    }
    if (counted == PHONES_COUNTED) {
        xt_write_byte(writer, (uint8_t)person->phone_count);
    }
    for (unsigned i = 0; i < person->phone_count; i++) {
        xt_wire_write(writer, person->phones[i], 4);
    }
    if (person->locks != 0) {
        xt_write_byte(writer, person->locks);
    }
    if (link_types != 0) {
        xt_write_byte(writer, link_types);
    }
}

/* What follows the name: how long it is in all is known from the flags, so the size is checked once
 * and the rest is read without further ado. */
static bool read_optional(const uint8_t *at, size_t size, unsigned flags, struct xt_hot *hot)
{
    enum expiry expiry = (enum expiry)TWO_BITS(flags, EXPIRY_SHIFT);
    bool has_issued = (flags & HAS_ISSUED) != 0;
    bool has_locks = (flags & HAS_LOCKS) != 0;
    bool has_links = (flags & HAS_LINKS) != 0;
    bool counted = TWO_BITS(flags, PHONES_SHIFT) == PHONES_COUNTED;
    hot->has_cmnd = (flags & HAS_CMND) != 0;
    hot->card_has_expiry = expiry != EXPIRY_NONE;

    size_t before_phones = (has_issued ? XT_WIRE_DATE : 0U) +
                           (expiry == EXPIRY_STATED ? XT_WIRE_DATE : 0U) +
                           (hot->has_cmnd ? 4U : 0U) + (counted ? 1U : 0U);
    size_t after_phones = (has_locks ? 1U : 0U) + (has_links ? 1U : 0U);
    if (size < before_phones + after_phones) {
        return false;
    }
    unsigned phone_count = counted ? at[before_phones - 1] : TWO_BITS(flags, PHONES_SHIFT);
    if (size != before_phones + phone_count * 4U + after_phones ||
        phone_count > XT_PERSON_PHONES_MAX || (counted && phone_count < PHONES_COUNTED)) {
        return false;
    }

    bool sound = true;
    hot->card_issued_on = XT_DATE_NONE;
    hot->card_expires_on = XT_DATE_NONE;
    if (has_issued) {
        hot->card_issued_on = (xt_date)xt_wire_integer(at, XT_WIRE_DATE);
        sound = xt_wire_date_is_sound(hot->card_issued_on);
        at += XT_WIRE_DATE;
    }
    if (hot->card_has_expiry) {
        xt_date by_rule = sound && has_issued
                              ? xt_card_expiry(hot->date_of_birth, hot->card_issued_on)
                              : XT_DATE_NONE;
        if (expiry == EXPIRY_STATED) {
            hot->card_expires_on = (xt_date)xt_wire_integer(at, XT_WIRE_DATE);
            sound = sound && xt_wire_date_is_sound(hot->card_expires_on) &&
                    hot->card_expires_on != by_rule;
            at += XT_WIRE_DATE;
        } else {
            hot->card_expires_on = by_rule;
            sound = sound && by_rule != XT_DATE_NONE;
        }
    }
    hot->cmnd = 0;
    if (hot->has_cmnd) {
        hot->cmnd = (uint32_t)xt_wire_integer(at, 4);
        sound = sound && hot->cmnd < XT_WIRE_NINE_DIGITS_END;
        at += 4;
    }
    at += counted;
    hot->phone_count = phone_count;
    for (unsigned i = 0; i < phone_count; i++, at += 4) {
        hot->phones[i] = (uint32_t)xt_wire_integer(at, 4);
        sound = sound && hot->phones[i] < XT_WIRE_NINE_DIGITS_END;
    }
    hot->locks = has_locks ? *at++ : 0;
    hot->link_types = has_links ? *at++ : 0;
    return sound && hot->locks < XT_LOCK_STAY_EXPIRED << 1 && has_locks == (hot->locks != 0) &&
           hot->link_types < 1U << XT_LINK_TYPE_COUNT && has_links == (hot->link_types != 0);
}

/* Short copies of any length, of which compilers make a string instruction three times as slow as the
 * rest of the decoder. */
static void copy_codes(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size < 8) {
        for (size_t i = 0; i < size; i++) {
            to[i] = from[i];
        }
        return;
    }
    for (size_t at = 0; at + 8 < size; at += 8) {
        memcpy(to + at, from + at, 8);
    }
    memcpy(to + size - 8, from + size - 8, 8); /* overlaps what is done */
}

enum xt_status xt_hot_decode(struct xt_span record, struct xt_hot *hot)
{
    if (record.size > 0 && record.data[0] != HOT_VERSION) {
        return XT_UNSUPPORTED;
    }
    if (record.size < HOT_FIXED) {
        return XT_CORRUPT;
    }
    const uint8_t *at = record.data;
    hot->number = xt_wire_integer(at + 1, XT_WIRE_NUMBER);
    hot->date_of_birth = (xt_date)xt_wire_integer(at + 6, XT_WIRE_DATE);
    unsigned flags = (unsigned)xt_wire_integer(at + 9, 2);
    hot->province = at[11];
    hot->name.length = at[12];
    if (hot->name.length == 0 || hot->name.length > XT_NAME_MAX ||
        record.size < HOT_FIXED + (size_t)hot->name.length) {
        return XT_CORRUPT;
    }
    copy_codes(hot->name.codes, at + HOT_FIXED, hot->name.length);
    hot->sex = (enum xt_sex)TWO_BITS(flags, SEX_SHIFT);
    hot->life = (enum xt_life)TWO_BITS(flags, LIFE_SHIFT);
    hot->card_state = (enum xt_card_state)TWO_BITS(flags, CARD_SHIFT);
    hot->account_level = TWO_BITS(flags, LEVEL_SHIFT);
    bool sound = hot->number < XT_WIRE_NUMBER_END && hot->province <= XT_PROVINCE_COUNT &&
                 xt_wire_date_is_sound(hot->date_of_birth) && hot->sex <= XT_SEX_FEMALE &&
                 hot->account_level <= 2 && TWO_BITS(flags, EXPIRY_SHIFT) < EXPIRY_COUNT;
    size_t fixed = HOT_FIXED + (size_t)hot->name.length;
    return sound && read_optional(at + fixed, record.size - fixed, flags, hot) ? XT_OK : XT_CORRUPT;
}
