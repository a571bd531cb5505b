/* core/person: one identity record as the register imports it (product contract, section 2).
 *
 * Memory: text members are borrowed and nothing here is allocated. Read from JSON they lie in the
 *         parser's arena and live until it is used again; from CSV, in the row's fields; from a
 *         stored record (core/record), in its bytes. Elements of lists past their count are left as
 *         they were: a person is 4 KiB and is filled millions of times.
 */
#ifndef XT_CORE_PERSON_H
#define XT_CORE_PERSON_H

#include "core/card.h"
#include "core/date.h"
#include "core/name.h"
#include "core/number.h"
#include "core/phone.h"

/* Limits of one record; more is a reject, never cut off. */
#define XT_PERSON_PHONES_MAX 32
#define XT_PERSON_REPLACED_MAX 8
#define XT_PERSON_DEVICES_MAX 16
#define XT_PERSON_LINKS_MAX 64
#define XT_PERSON_TEXT_MAX 512   /* bytes of any one text member, UTF-8 */
#define XT_PERSON_KEY_MAX 1024   /* bytes of a public key, base64url text */
#define XT_PERSON_JSON_MAX 65536 /* bytes of one NDJSON line */

enum xt_life {
    XT_LIFE_ALIVE,
    XT_LIFE_DECEASED,
    XT_LIFE_MISSING,
    XT_LIFE_CANCELLED /* the number is no longer in force */
};

enum xt_link_type {
    XT_LINK_HEALTH_INSURANCE,
    XT_LINK_SOCIAL_INSURANCE,
    XT_LINK_DRIVING_LICENCE,
    XT_LINK_VEHICLE,
    XT_LINK_PASSPORT,
    XT_LINK_TAX,
    XT_LINK_TYPE_COUNT
};

/* Reasons an account is locked: a set (bits), not a state. */
enum xt_lock {
    XT_LOCK_HOLDER = 1 << 0,
    XT_LOCK_BREACH = 1 << 1,
    XT_LOCK_AUTHORITY = 1 << 2,
    XT_LOCK_CARD_REVOKED = 1 << 3,
    XT_LOCK_DEATH = 1 << 4,
    XT_LOCK_STAY_EXPIRED = 1 << 5
};

/* A document number in canonical form: ASCII capitals and digits only, as claims are compared. */
#define XT_DOCUMENT_MAX 24
struct xt_document {
    uint8_t length;
    char text[XT_DOCUMENT_MAX];
};

struct xt_link {
    enum xt_link_type type;
    struct xt_document number;
    xt_date valid_from;  /* XT_DATE_NONE: not stated */
    xt_date valid_until; /* XT_DATE_NONE: no end stated */
};

/* What the phone's secure hardware asks of its holder each time before it signs, as whoever registered the device says,
 * who has checked the phone's attestation of the key (NIST SP 800-63B, section 5.1.9). Numbers are stored: never change
 * one. */
enum xt_unlock {
    XT_UNLOCK_NONE,      /* nothing is known: the key is something possessed, and no more */
    XT_UNLOCK_BIOMETRIC, /* which one the phone does not tell */
    XT_UNLOCK_FINGERPRINT,
    XT_UNLOCK_FACE,
    XT_UNLOCK_IRIS,
    XT_UNLOCK_COUNT
};

/* Public keys come as text and are stored as bytes. Whoever fills a key sets one of the two members
 * and leaves the other empty: an import the text (checked base64url, unpadded, canonical), a stored
 * record the DER. What the DER holds is for crypto/ to say. */
struct xt_device {
    struct xt_span device_id;
    struct xt_span public_key;     /* base64url text of the SPKI (P-256 or Ed25519) */
    struct xt_span public_key_der; /* the same decoded */
    enum xt_unlock unlocked_by;
};

struct xt_person {
    uint64_t number;
    struct xt_name name;
    struct xt_span full_name; /* as given, UTF-8; from a stored record empty where it is just what
                                 xt_name_display() gives of name */
    xt_date date_of_birth;
    enum xt_sex sex;
    enum xt_life life;
    bool has_cmnd;
    uint32_t cmnd;
    unsigned replaced_count;
    uint64_t replaced[XT_PERSON_REPLACED_MAX];
    struct xt_span nationality, ethnicity, home_town, place_of_birth, father_name, mother_name;
    unsigned address_province; /* index, XT_PROVINCE_NONE where not known */
    struct xt_span address_ward, address_text;
    enum xt_card_state card_state;  /* not stated: active when there is anything about a card */
    xt_date card_issued_on;         /* XT_DATE_NONE: not held */
    xt_date card_expires_on;        /* as stated; by xt_card_expiry() where only card_issued_on is;
                                      XT_DATE_NONE exactly when card_has_expiry is false */
    bool card_has_expiry;           /* false: it does not expire, or there is nothing to tell by */
    struct xt_span card_public_key; /* base64url text of the SPKI */
    struct xt_span card_public_key_der; /* the same decoded */
    unsigned phone_count;
    uint32_t phones[XT_PERSON_PHONES_MAX];
    unsigned account_level; /* 0: no account, 1, 2 */
    uint8_t locks;          /* set of enum xt_lock */
    struct xt_span passcode_hash;
    unsigned device_count;
    struct xt_device devices[XT_PERSON_DEVICES_MAX];
    unsigned link_count;
    struct xt_link links[XT_PERSON_LINKS_MAX];
};

/* The device of this id, of a stored record; all of it empty: he has no such device. */
struct xt_device xt_person_device(const struct xt_person *person, struct xt_span device_id);

/* "fingerprint", "face", "iris", "biometric"; there is no word for none. NULL, or what is wrong: bad_value. */
const char *xt_unlock_read(struct xt_span name, enum xt_unlock *unlocked_by);

/* Why a record was refused: a stable code and a JSON pointer, never the value.
 *
 *   of the whole    malformed_json, not_an_object, too_long, column_count
 *   of a member     unknown_member (the pointer is its parent's: the name may be data),
 *                   duplicate_member, missing_member, wrong_type (null is one too), empty, too_long,
 *                   too_many, control_character, invalid_utf8 (CSV), duplicate (in a list of devices)
 *   of its value    bad_id, bad_name, bad_date, bad_phone, bad_document, bad_key, bad_value (not one
 *                   of those listed)
 *   of a header     unknown_column, duplicate_column, missing_column, too_many
 *
 * That a number implies another sex or birth year than the record states is no reject: wrong
 * numbers exist, and are replaced in time. */
struct xt_reject {
    const char *code; /* static text */
    char pointer[64]; /* "/address/province", "/links/3/number"; for CSV the column's name after a
                         slash ("/address.province"), for its header "/column/3", counted from 1 */
};

/* What to do about a reject, where its code does not say it by itself; NULL: nothing more is to be said. */
const char *xt_reject_hint(const char *code);

/* Canonical document number: letters are capitalised, spaces, dots, hyphens and slashes dropped.
 * XT_INVALID when empty, too long or with anything else in it. */
XT_MUST_USE enum xt_status xt_document_parse(struct xt_span text, struct xt_document *document);

/* Memory for the JSON parser, of the caller, reused for every record. */
struct xt_json_arena {
    void *memory;
    size_t size; /* bytes; XT_PERSON_JSON_ARENA is enough for a line of XT_PERSON_JSON_MAX */
};
#define XT_PERSON_JSON_ARENA (2U << 20)

/* One line of NDJSON (without its line feed) -> person. The text is copied into the arena, which
 * person's texts borrow from. XT_INVALID fills *reject. Unknown members, duplicates of a member,
 * wrong types are refused; of several faults the first is told. */
XT_MUST_USE enum xt_status xt_person_from_json(struct xt_span line, struct xt_json_arena arena,
                                               struct xt_person *person, struct xt_reject *reject);

/* CSV with the same member names as header; nested ones with a dot (address.province, card.state,
 * account.level); lists (phones, replaced_numbers, account.locks) separated by spaces. `links` and
 * `account.devices` have no column. An empty field is an absent member. A byte order mark before the
 * header is skipped. */
#define XT_PERSON_CSV_COLUMNS_MAX 64
struct xt_person_columns {
    unsigned count;
    uint8_t member[XT_PERSON_CSV_COLUMNS_MAX]; /* what each column holds; private numbering */
};

/* Header row -> columns. XT_INVALID tells the unknown or repeated column by its place (a file
 * without a header begins with a person: its first row must not land in a log), the missing one by
 * its name. */
XT_MUST_USE enum xt_status xt_person_csv_header(const struct xt_span *fields, unsigned count,
                                                struct xt_person_columns *columns,
                                                struct xt_reject *reject);
XT_MUST_USE enum xt_status xt_person_from_csv(const struct xt_person_columns *columns,
                                              const struct xt_span *fields, unsigned count,
                                              struct xt_person *person, struct xt_reject *reject);

#endif
