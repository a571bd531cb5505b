/* core/record: the compact, versioned encoding of a person, split in two.
 *
 *   hot   what a verify needs: number, name, dates, sex, life, card, phones, province, CMND,
 *         account level and locks, which kinds of documents there are. 38 bytes on average.
 *   cold  the rest: name as given where it differs, parents, home town, address text, keys,
 *         devices, passcode hash, links, replaced numbers.
 *
 *   hot:  version 1 | number 5 | birth 3 | flags 2 | province 1 | name length 1 | name codes
 *         then, where the flags say so:
 *         card issued 3 | card expires 3 | CMND 4 | phone count 1 (from three up) | phones 4 each |
 *         locks 1 | link types 1
 *   cold: version 1 | number 5 | fields: tag 1, length 1-2 (7 bits a byte, low first), bytes;
 *         tags never fall, and only those of lists repeat
 *
 * Integers are little-endian. There is one encoding of a person: decoders refuse any other, so that
 * encode(decode(bytes)) == bytes. Both begin with a version byte. A decoder refuses a version it does
 * not know (XT_UNSUPPORTED) and what does not add up (XT_CORRUPT); it never reads outside the span,
 * whatever is in it.
 * Memory: decoding copies what is fixed in size and borrows text from the span.
 */
#ifndef XT_CORE_RECORD_H
#define XT_CORE_RECORD_H

#include "core/person.h"

#define XT_HOT_MAX 512    /* bytes; the encoder's worst case */
#define XT_COLD_MAX 49152 /* bytes */

/* A hot record opened. */
struct xt_hot {
    uint64_t number;
    struct xt_name name;
    xt_date date_of_birth;
    enum xt_sex sex;
    enum xt_life life;
    bool has_cmnd;
    uint32_t cmnd;
    unsigned province; /* index of the address, XT_PROVINCE_NONE where not known */
    enum xt_card_state card_state;
    xt_date card_issued_on, card_expires_on;
    bool card_has_expiry;
    unsigned phone_count;
    uint32_t phones[XT_PERSON_PHONES_MAX];
    unsigned account_level;
    uint8_t locks;
    uint8_t
        link_types; /* bit per enum xt_link_type: what the cold part holds, so that a claim about
                           a document the person does not have needs no second lookup */
};

/* person: from an import, or both parts decoded and merged. Names of 1-XT_NAME_MAX codes. */
void xt_hot_encode(const struct xt_person *person, struct xt_writer *writer);
void xt_cold_encode(const struct xt_person *person, struct xt_writer *writer);

/* phones past phone_count and codes past name.length may then be anything. */
XT_MUST_USE enum xt_status xt_hot_decode(struct xt_span record, struct xt_hot *hot);

/* The same of size bytes in a room of at least XT_HOT_MAX that may all be read (those behind the record
 * change nothing): the hot path of every verify. Takes the same time whatever the record holds. */
XT_MUST_USE enum xt_status xt_hot_decode_in_room(const uint8_t *record, size_t size,
                                                 struct xt_hot *hot);

/* Fills every member of person that the cold part holds (the others are cleared), and the number.
 * Keys come as DER (public_key_der, card_public_key_der), their texts are empty. full_name is empty
 * where it is what xt_name_display() gives of the hot part's name. */
XT_MUST_USE enum xt_status xt_cold_decode(struct xt_span record, struct xt_person *person);

/* Fills what the hot part holds, but for the number, into a person that xt_cold_decode has filled. */
void xt_person_add_hot(const struct xt_hot *hot, struct xt_person *person);

/* A whole person out of both parts: encoded again it is the same bytes. Texts are borrowed from cold.
 * XT_CORRUPT also where they are of different people. */
XT_MUST_USE enum xt_status xt_person_from_records(struct xt_span hot, struct xt_span cold,
                                                  struct xt_person *person);

/* Only the links, for claims about documents. */
struct xt_links {
    unsigned count;
    unsigned others; /* above 0: the count is 0 and these are somebody else's, there to be compared
                        with all the same; nothing of them counts */
    struct xt_link links[XT_PERSON_LINKS_MAX];
};
XT_MUST_USE enum xt_status xt_cold_links(struct xt_span record, uint64_t *number,
                                         struct xt_links *links);

/* An alias: an old number, or a phone, that names people. kind and value are the alias itself, so that
 * a reader can tell two of them with equal hash tags apart. */
#define XT_ALIAS_PEOPLE_MAX 16 /* more than this are still "several": not one */
#define XT_ALIAS_MAX 128       /* bytes */
struct xt_alias {
    struct xt_id old;
    unsigned count;                       /* 1: that person; more: ambiguous, answered as unknown */
    uint64_t people[XT_ALIAS_PEOPLE_MAX]; /* past the count: anything */
};
void xt_alias_encode(const struct xt_alias *alias, struct xt_writer *writer);
XT_MUST_USE enum xt_status xt_alias_decode(struct xt_span record, struct xt_alias *alias);

#endif
