/* bench/population_more: what --full adds: parents, documents, devices, keys. */
#include <pthread.h>

#include "bench/population_private.h"
#include "core/jose.h"
#include "core/province.h"
#include "crypto/holder_signer.h"

/* How many numbers each kind of document has; a shuffle of them makes every one unique. */
#define INSURANCE_NUMBERS 10000000000U /* 10 digits */
#define LICENCE_NUMBERS 1000000000000U /* 12 digits */
#define PLATE_LETTERS "ABCDEFGHKLMNPSTUVXYZ"
#define VEHICLE_NUMBERS (89U * 20U * 100000U) /* 11-99, a letter, five digits */
#define PASSPORT_NUMBERS (26U * 10000000U)    /* a letter, seven digits */
#define TAX_NUMBERS 10000000000U

_Static_assert(VEHICLE_NUMBERS >= XT_POPULATION_MAX, "every person could have a vehicle");

void xt_population_open_more(struct xt_population *population)
{
    const uint64_t *keys = population->keys;
    xt_permutation_init(&population->insurance, INSURANCE_NUMBERS, keys[XT_USE_INSURANCE]);
    xt_permutation_init(&population->licences, LICENCE_NUMBERS, keys[XT_USE_LICENCE]);
    xt_permutation_init(&population->vehicles, VEHICLE_NUMBERS, keys[XT_USE_VEHICLE]);
    xt_permutation_init(&population->passports, PASSPORT_NUMBERS, keys[XT_USE_PASSPORT]);
    xt_permutation_init(&population->taxes, TAX_NUMBERS, keys[XT_USE_TAX]);
}

/* Keys must be points of the curve: an import takes no others. One of his own for everybody would cost ten times what
 * the rest of a person does, so they have these, which everybody can make: they protect nobody. */
#define KEYS 1024
static char keys[KEYS][XT_KEY_TEXT];
static pthread_once_t keys_made = PTHREAD_ONCE_INIT;

static void make_keys(void)
{
    for (unsigned i = 0; i < KEYS; i++) {
        struct xt_holder_signer *signer = NULL;
        uint8_t spki[XT_HOLDER_SPKI_MAX];
        uint8_t seed[XT_HOLDER_SEED] = {(uint8_t)(i >> 8), (uint8_t)i, 'g', 'e', 'n'};
        struct xt_writer writer = xt_writer_over(keys[i], XT_KEY_TEXT);
        xt_require(xt_holder_signer_open(XT_HOLDER_P256, seed, &signer) == XT_OK);
        size_t size = xt_holder_signer_spki(signer, spki);
        xt_holder_signer_close(signer);
        xt_base64url_write(&writer, xt_span_of(spki, size));
        xt_require(!writer.overflow && writer.size == XT_KEY_TEXT);
    }
}

static void take_key(struct xt_stream *stream, char text[XT_KEY_TEXT])
{
    (void)pthread_once(&keys_made, make_keys);
    memcpy(text, keys[xt_stream_next(stream) % KEYS], XT_KEY_TEXT);
}

static struct xt_resident_link *add_link(struct xt_resident_more *more, enum xt_link_type type)
{
    struct xt_resident_link *link = &more->links[more->link_count++];
    link->type = type;
    link->number.size = 0;
    link->valid_from = XT_DATE_NONE;
    link->valid_until = XT_DATE_NONE;
    link->expired = false;
    return link;
}

/* One in twenty ran out in 2020-2024, the others run to 2035 or state no end: so a claim about a
 * document is right or wrong whatever day within nine years it is answered on. */
static void set_validity(struct xt_resident_link *link, bool ends, uint64_t hash)
{
    link->expired = hash % 20 == 0;
    unsigned year = link->expired ? 2010 + xt_scale(hash, 5) : XT_POPULATION_LAST_YEAR;
    link->valid_from = (xt_date)year << 9 | (1 + (xt_date)(hash / 20 % 12)) << 5 | 15U;
    if (ends || link->expired) {
        link->valid_until = xt_date_add_years(link->valid_from, 10);
    }
}

static void fill_links(const struct xt_population *population, const struct xt_resident *person,
                       struct xt_stream *stream, struct xt_resident_more *more)
{
    uint64_t index = person->index, rolls[XT_LINK_TYPE_COUNT];
    for (unsigned type = 0; type < XT_LINK_TYPE_COUNT; type++) {
        rolls[type] = xt_stream_next(stream);
    }
    uint64_t insurance = xt_permutation_at(&population->insurance, 0, index);
    bool adult = person->age >= 18, working = adult && person->age < 60;
    struct xt_resident_link *link;
    more->link_count = 0;
    if (xt_chance(rolls[XT_LINK_HEALTH_INSURANCE], 9000)) {
        link = add_link(more, XT_LINK_HEALTH_INSURANCE);
        xt_text_add(&link->number, person->age < 6 ? "TE1" : working ? "DN4" : "GD4");
        xt_text_add_decimal(&link->number, xt_province_at(person->province)->code, 2);
        xt_text_add_decimal(&link->number, insurance, 10);
        link->valid_from = (xt_date)XT_POPULATION_LAST_YEAR << 9 | 1U << 5 | 1U;
    }
    if (working && xt_chance(rolls[XT_LINK_SOCIAL_INSURANCE], 4520)) { /* 27 % of all */
        link = add_link(more, XT_LINK_SOCIAL_INSURANCE);
        xt_text_add_decimal(&link->number, insurance, 10);
    }
    if (adult && xt_chance(rolls[XT_LINK_DRIVING_LICENCE], 5000)) {
        link = add_link(more, XT_LINK_DRIVING_LICENCE);
        xt_text_add_decimal(&link->number, xt_permutation_at(&population->licences, 0, index), 12);
        set_validity(link, false, rolls[XT_LINK_DRIVING_LICENCE]);
    }
    if (adult && xt_chance(rolls[XT_LINK_VEHICLE], 238)) { /* 1.7 % of all */
        uint64_t plate = xt_permutation_at(&population->vehicles, 0, index);
        char letter[2] = {PLATE_LETTERS[plate / 100000 % 20], '\0'};
        link = add_link(more, XT_LINK_VEHICLE);
        xt_text_add_decimal(&link->number, 11 + plate / 2000000, 2);
        xt_text_add(&link->number, letter);
        xt_text_add(&link->number, "-");
        xt_text_add_decimal(&link->number, plate / 100 % 1000, 3);
        xt_text_add(&link->number, ".");
        xt_text_add_decimal(&link->number, plate % 100, 2);
    }
    if (xt_chance(rolls[XT_LINK_PASSPORT], 150)) {
        uint64_t passport = xt_permutation_at(&population->passports, 0, index);
        char letter[2] = {(char)('A' + passport / 10000000), '\0'};
        link = add_link(more, XT_LINK_PASSPORT);
        xt_text_add(&link->number, letter);
        xt_text_add_decimal(&link->number, passport % 10000000, 7);
        set_validity(link, true, rolls[XT_LINK_PASSPORT]);
    }
    if (adult && xt_chance(rolls[XT_LINK_TAX], 7500)) {
        link = add_link(more, XT_LINK_TAX);
        xt_text_add_decimal(&link->number, xt_permutation_at(&population->taxes, 0, index), 10);
    }
}

static void fill_place(struct xt_text *text, unsigned province, uint64_t hash)
{
    text->size = 0;
    xt_text_add(text, xt_name_any(&xt_names_commune, hash));
    xt_text_add(text, ", ");
    xt_text_add(text, xt_province_at(province)->name);
}

/* Of the last draw, so that it moves no other. An assumption. */
static const char *what_unlocks(uint64_t roll)
{
    return xt_chance(roll, 3500)   ? NULL
           : xt_chance(roll, 7500) ? "fingerprint"
           : xt_chance(roll, 9700) ? "face"
                                   : "biometric";
}

void xt_population_more(const struct xt_population *population, const struct xt_resident *person,
                        struct xt_resident_more *more)
{
    struct xt_stream stream = xt_stream_of(population->keys[XT_USE_MORE], person->index);
    const struct xt_name_samplers *names = &population->names;
    more->ethnicity =
        person->minority_name ? "Ê Đê" : xt_name_sample(&names->ethnicity, xt_stream_next(&stream));
    uint64_t town = xt_stream_next(&stream);
    fill_place(&more->home_town, person->birth_province, town);
    fill_place(&more->place_of_birth, person->birth_province,
               xt_chance(town << 32, 8000) ? town : xt_stream_next(&stream));
    const char *fathers = person->minority_name ? "Y" : person->family;
    const char *mothers =
        person->minority_name ? "H'" : xt_name_sample(&names->family[1], xt_stream_next(&stream));
    xt_name_compose(names, fathers, false, &stream, &more->father_name);
    xt_name_compose(names, mothers, true, &stream, &more->mother_name);
    fill_links(population, person, &stream, more);
    if (person->card_state != XT_CARD_NONE) {
        take_key(&stream, more->card_key);
    }
    more->has_device = person->account_level > 0;
    if (more->has_device) {
        for (unsigned at = 0; at < XT_DEVICE_ID_TEXT; at += 16) {
            uint64_t word = xt_stream_next(&stream);
            for (unsigned i = 0; i < 16; i++) {
                more->device_id[at + i] = "0123456789abcdef"[word >> (4 * i) & 15U];
            }
        }
        take_key(&stream, more->device_key);
        more->unlocked_by = what_unlocks(xt_stream_next(&stream));
    }
}
