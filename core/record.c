#include "core/record.h"

#include "core/branchless.h"
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

/* Decoding takes the same steps whatever is held: a verify's time must not tell of whom it was. So what
 * is not there is loaded as well (from inside the room) and masked away, and nothing is decided but
 * whether the record is sound. */

#define NAME_STEP 32U   /* codes copied at a time: hardly a name is longer */
#define PHONES_ALWAYS 4 /* loaded whether there or not */
_Static_assert(HOT_FIXED + XT_NAME_MAX + NAME_STEP + 3 + 3 + 4 + 1 + 4 * XT_PERSON_PHONES_MAX + 2 <=
                   XT_HOT_MAX,
               "what is loaded lies inside the room");

/* issued and expires_on: what is loaded, whatever it is. */
static inline bool decode_expiry(struct xt_hot *hot, enum expiry expiry, bool has_issued,
                                 xt_date issued, xt_date stated)
{
    bool is_stated = expiry == EXPIRY_STATED;
    hot->card_has_expiry = expiry != EXPIRY_NONE;
    hot->card_issued_on = issued & xt_mask(has_issued);
    /* None without the day of issue. */
    xt_date by_rule = xt_card_expiry(hot->date_of_birth, hot->card_issued_on);
    hot->card_expires_on = ((stated & xt_mask(is_stated)) | (by_rule & xt_mask(!is_stated))) &
                           xt_mask(hot->card_has_expiry);
    return ((has_issued == 0) | xt_wire_date_is_sound(issued)) &
           ((is_stated == 0) | (xt_wire_date_is_sound(stated) & (stated != by_rule))) &
           ((expiry != EXPIRY_BY_RULE) | (by_rule != XT_DATE_NONE));
}

static inline bool decode_phones(const uint8_t *at, unsigned count, struct xt_hot *hot)
{
    bool sound = true;
    hot->phone_count = count;
    for (unsigned i = 0; i < PHONES_ALWAYS; i++) {
        hot->phones[i] = (uint32_t)xt_wire_integer(at + 4 * (size_t)i, 4);
        sound &= (i >= count) | (hot->phones[i] < XT_WIRE_NINE_DIGITS_END);
    }
    for (unsigned i = PHONES_ALWAYS; i < count; i++) {
        hot->phones[i] = (uint32_t)xt_wire_integer(at + 4 * (size_t)i, 4);
        sound &= hot->phones[i] < XT_WIRE_NINE_DIGITS_END;
    }
    return sound;
}

/* What follows the name; size: of that. */
static inline bool decode_optional(const uint8_t *at, size_t size, unsigned flags,
                                   struct xt_hot *hot)
{
    enum expiry expiry = (enum expiry)TWO_BITS(flags, EXPIRY_SHIFT);
    bool has_issued = (flags & HAS_ISSUED) != 0;
    bool has_locks = (flags & HAS_LOCKS) != 0;
    bool has_links = (flags & HAS_LINKS) != 0;
    bool counted = TWO_BITS(flags, PHONES_SHIFT) == PHONES_COUNTED;
    size_t stated_at = XT_WIRE_DATE * (size_t)has_issued;
    size_t cmnd_at = stated_at + XT_WIRE_DATE * (size_t)(expiry == EXPIRY_STATED);
    hot->has_cmnd = (flags & HAS_CMND) != 0;
    size_t count_at = cmnd_at + 4 * (size_t)hot->has_cmnd;
    size_t phones_at = count_at + counted;

    unsigned count =
        (at[count_at] & xt_mask(counted)) | (TWO_BITS(flags, PHONES_SHIFT) & xt_mask(!counted));
    bool sound = (count <= XT_PERSON_PHONES_MAX) & ((counted == 0) | (count >= PHONES_COUNTED));
    count &= xt_mask(sound);
    size_t locks_at = phones_at + 4 * (size_t)count;
    size_t links_at = locks_at + has_locks;
    sound &= size == links_at + has_links;

    sound &= decode_expiry(hot, expiry, has_issued, (xt_date)xt_wire_integer(at, XT_WIRE_DATE),
                           (xt_date)xt_wire_integer(at + stated_at, XT_WIRE_DATE));
    hot->cmnd = (uint32_t)xt_wire_integer(at + cmnd_at, 4) & xt_mask(hot->has_cmnd);
    sound &= hot->cmnd < XT_WIRE_NINE_DIGITS_END;
    sound &= decode_phones(at + phones_at, count, hot);
    hot->locks = (uint8_t)(at[locks_at] & xt_mask(has_locks));
    hot->link_types = (uint8_t)(at[links_at] & xt_mask(has_links));
    return sound & (hot->locks < XT_LOCK_STAY_EXPIRED << 1) & (has_locks == (hot->locks != 0)) &
           (hot->link_types < 1U << XT_LINK_TYPE_COUNT) & (has_links == (hot->link_types != 0));
}

enum xt_status xt_hot_decode_in_room(const uint8_t *at, size_t size, struct xt_hot *hot)
{
    if (size > 0 && at[0] != HOT_VERSION) {
        return XT_UNSUPPORTED;
    }
    if (size < HOT_FIXED) {
        return XT_CORRUPT;
    }
    hot->number = xt_wire_integer(at + 1, XT_WIRE_NUMBER);
    hot->date_of_birth = (xt_date)xt_wire_integer(at + 6, XT_WIRE_DATE);
    unsigned flags = (unsigned)xt_wire_integer(at + 9, 2);
    hot->province = at[11];
    hot->name.length = at[12];
    size_t fixed = HOT_FIXED + (size_t)hot->name.length;
    if (hot->name.length == 0 || hot->name.length > XT_NAME_MAX || size < fixed) {
        return XT_CORRUPT;
    }
    memcpy(hot->name.codes, at + HOT_FIXED, NAME_STEP);
    for (size_t from = NAME_STEP; from < hot->name.length; from++) {
        hot->name.codes[from] = at[HOT_FIXED + from];
    }
    hot->sex = (enum xt_sex)TWO_BITS(flags, SEX_SHIFT);
    hot->life = (enum xt_life)TWO_BITS(flags, LIFE_SHIFT);
    hot->card_state = (enum xt_card_state)TWO_BITS(flags, CARD_SHIFT);
    hot->account_level = TWO_BITS(flags, LEVEL_SHIFT);
    bool sound = (hot->number < XT_WIRE_NUMBER_END) & (hot->province <= XT_PROVINCE_COUNT) &
                 xt_wire_date_is_sound(hot->date_of_birth) & (hot->sex <= XT_SEX_FEMALE) &
                 (hot->account_level <= 2) & (TWO_BITS(flags, EXPIRY_SHIFT) < EXPIRY_COUNT);
    sound &= decode_optional(at + fixed, size - fixed, flags, hot);
    return sound ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_hot_decode(struct xt_span record, struct xt_hot *hot)
{
    uint8_t room[XT_HOT_MAX] = {0};
    if (record.size > sizeof(room)) {
        return record.data[0] != HOT_VERSION ? XT_UNSUPPORTED : XT_CORRUPT;
    }
    if (record.size > 0) {
        memcpy(room, record.data, record.size);
    }
    return xt_hot_decode_in_room(room, record.size, hot);
}
