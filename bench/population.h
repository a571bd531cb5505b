/* bench/population: a synthetic Viet Nam in which every person is computed on its own.
 *
 * Person `index` is a pure function of (seed, count, index): the same in every process, on every
 * machine, without generating the others. No floating point, no clock. No real person's data.
 *
 *   index --shuffle of 0..count-1--> rank --cell table--> (province, sex, birth year), place in cell
 *   cell, place --shuffle of 0..999999--> the six random digits of the number
 *   index --shuffles--> phones, CMND, document numbers
 *   (seed, index) --stream--> everything else
 *
 * So numbers, phones and CMND are unique except where a share says otherwise, and a place past the
 * cell's people gives a number that surely nobody has.
 * Ages are those at XT_POPULATION_DAY; all weights are domain facts, section 7.
 *
 * Thread: an open population is read only; any number of threads may share it.
 * Memory: about 250 KiB, whatever the count.
 */
#ifndef XT_BENCH_POPULATION_H
#define XT_BENCH_POPULATION_H

#include "core/person.h"

#define XT_POPULATION_MAX                                                                          \
    150000000U /* two phones each must fit the 360 M mobile numbers there are */
#define XT_POPULATION_DAY "2026-01-01" /* nobody is born, no card issued on or after it */
#define XT_POPULATION_LAST_YEAR 2025U
#define XT_POPULATION_YEARS 100U

/* Shares of 10,000. */
#define XT_SHARE_CARD 8900       /* of those aged 14 or more: 73 of 82 million */
#define XT_SHARE_CMND 9600       /* of those born in 2001 or before */
#define XT_SHARE_CMND_TWICE 20   /* of pairs (2k, 2k+1): both hold the same CMND */
#define XT_SHARE_PHONE_TWICE 200 /* of pairs: the odd one's first phone is the even one's */
#define XT_SHARE_REPLACED 10     /* hold a number that was cancelled and re-established */
#define XT_CMND_LAST_YEAR 2001U

#define XT_RESIDENT_TEXT 128 /* bytes of any text below */
#define XT_RESIDENT_PHONES 2

struct xt_text {
    uint8_t size;
    char data[XT_RESIDENT_TEXT];
};

struct xt_resident {
    uint64_t index;
    uint64_t number;
    unsigned birth_province; /* index, core/province */
    enum xt_sex sex;
    unsigned birth_year, age;
    xt_date date_of_birth;
    struct xt_text full_name;
    bool minority_name; /* Y ... or H' ... */
    const char *family; /* static */
    enum xt_life life;
    bool has_cmnd, cmnd_shared; /* shared: exactly one other person holds it as well */
    uint32_t cmnd;
    bool has_replaced;
    uint64_t replaced;
    unsigned province; /* index, where the person lives */
    unsigned ward;     /* 5 digits */
    struct xt_text address;
    enum xt_card_state card_state;
    xt_date card_issued_on, card_expires_on; /* XT_DATE_NONE: does not expire */
    unsigned phone_count;
    uint32_t phones[XT_RESIDENT_PHONES];
    unsigned account_level; /* 0: none */
    uint8_t locks;
};

struct xt_resident_link {
    enum xt_link_type type;
    struct xt_text number;           /* as written: 51K-123.45 */
    xt_date valid_from, valid_until; /* XT_DATE_NONE: not stated, no end */
    bool expired;                    /* before XT_POPULATION_DAY; the others run to 2035 at least */
};

#define XT_KEY_TEXT 122      /* base64url of a P-256 SubjectPublicKeyInfo of 91 bytes */
#define XT_DEVICE_ID_TEXT 32 /* hexadecimal */

/* What --full adds. */
struct xt_resident_more {
    const char *ethnicity; /* static */
    struct xt_text home_town, place_of_birth, father_name, mother_name;
    char card_key[XT_KEY_TEXT];
    bool has_device;
    char device_id[XT_DEVICE_ID_TEXT];
    char device_key[XT_KEY_TEXT];
    const char *unlocked_by; /* static; NULL: not known */
    unsigned link_count; /* at most one of a type, in the order of enum xt_link_type */
    struct xt_resident_link links[XT_LINK_TYPE_COUNT];
};

struct xt_population; /* opaque */

/* count: 1 ... XT_POPULATION_MAX (XT_INVALID otherwise). */
XT_MUST_USE enum xt_status xt_population_open(uint64_t seed, uint64_t count,
                                              struct xt_population **population);
void xt_population_close(struct xt_population *population);

uint64_t xt_population_seed(const struct xt_population *population);
uint64_t xt_population_count(const struct xt_population *population);

/* index: below the count. */
void xt_population_person(const struct xt_population *population, uint64_t index,
                          struct xt_resident *person);
void xt_population_more(const struct xt_population *population, const struct xt_resident *person,
                        struct xt_resident_more *more);

/* The same answers as xt_population_person gives, at a tenth of its cost: for looking for somebody. */
enum xt_life xt_population_life(const struct xt_population *population, uint64_t index);
bool xt_population_has_replaced(const struct xt_population *population, uint64_t index);
bool xt_population_cmnd_is_shared(const struct xt_population *population, uint64_t index);

/* Values that nobody in this population holds; another `which` gives another one (mostly). */
uint64_t xt_population_unknown_number(const struct xt_population *population,
                                      const struct xt_resident *like, uint64_t which);
uint32_t xt_population_unknown_cmnd(const struct xt_population *population, uint64_t which);
uint32_t xt_population_unknown_phone(const struct xt_population *population, uint64_t which);

#endif
