/* Whom a round is about: prepared before any time is taken. */
#include <stdlib.h>

#include "bench/micro.h"
#include "bench/spelling.h"
#include "core/policy.h"

#define SPARE_BYTES 4 /* the parser's padding */

static enum xt_status no_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "not enough memory; ask for fewer --keys or --requests");
}

static struct xt_partner *make_partner(void)
{
    struct xt_partner *partner = calloc(1, sizeof(*partner));
    if (partner != NULL) {
        struct xt_purpose *purpose = &partner->purposes[0];
        struct xt_writer name = xt_writer_over(partner->name, XT_PARTNER_NAME_MAX);
        struct xt_writer purpose_name = xt_writer_over(purpose->name, XT_PURPOSE_NAME_MAX);
        xt_write_literal(&name, "micro");
        xt_write_literal(&purpose_name, XT_REQUEST_PURPOSE);
        purpose->claims = XT_CLAIM_ALL;
        partner->purpose_count = 1;
        partner->active = true;
        partner->rights = XT_RIGHT_PER_CLAIM;
    }
    return partner;
}

enum xt_status xt_micro_people_open(const struct xt_population *population,
                                    const struct xt_micro_options *options,
                                    struct xt_micro_people **opened, struct xt_failure *failure)
{
    struct xt_micro_people *people = calloc(1, sizeof(*people));
    if (people == NULL) {
        return no_memory(failure);
    }
    people->population = population;
    people->key_count = options->keys;
    people->changed_count = options->overlay;
    people->request_count = options->requests;
    xt_request_plan_defaults(&people->plan, population);
    people->partner = make_partner();
    people->hits = calloc(people->key_count, sizeof(*people->hits));
    people->misses = calloc(people->key_count, sizeof(*people->misses));
    people->changed = calloc(people->key_count, sizeof(*people->changed));
    people->cmnds = calloc(people->key_count, sizeof(*people->cmnds));
    people->requests = calloc(people->request_count, sizeof(*people->requests));
    if (people->partner == NULL || people->hits == NULL || people->misses == NULL ||
        people->cmnds == NULL || people->changed == NULL || people->requests == NULL) {
        xt_micro_people_close(people);
        return no_memory(failure);
    }
    *opened = people;
    return XT_OK;
}

void xt_micro_people_close(struct xt_micro_people *people)
{
    if (people != NULL) {
        free(people->partner);
        free(people->hits);
        free(people->misses);
        free(people->changed);
        free(people->cmnds);
        free(people->requests);
        free(people->bodies);
        free(people);
    }
}

static void choose_keys(struct xt_micro_people *people, unsigned turn)
{
    struct xt_stream stream = xt_stream_of(xt_population_seed(people->population), turn);
    uint32_t changed = (uint32_t)people->changed_count;
    uint32_t count = (uint32_t)xt_population_count(people->population) - changed;
    struct xt_resident person;
    people->cmnd_count = 0;
    for (uint32_t i = 0; i < people->key_count; i++) {
        xt_population_person(people->population, xt_stream_below(&stream, count), &person);
        people->hits[i] = person.number;
        people->misses[i] = xt_population_unknown_number(people->population, &person, i);
        if (person.has_cmnd && !person.cmnd_shared) {
            people->cmnds[people->cmnd_count++] = person.cmnd;
        }
        if (changed > 0) {
            xt_population_person(people->population, count + xt_stream_below(&stream, changed),
                                 &person);
            people->changed[i] = person.number;
        }
    }
}

static struct xt_name name_of(const struct xt_letters *letters)
{
    char text[XT_SPELLING_TEXT_MAX];
    struct xt_name name;
    size_t size = xt_letters_write(letters, XT_FORM_NFC, text);
    xt_require(xt_name_parse(xt_span_of(text, size), &name) == XT_OK);
    return name;
}

/* Each name as somebody claims it: the same at just this level, where the name has such a form. */
static void choose_names(struct xt_micro_people *people, unsigned turn)
{
    struct xt_stream stream = xt_stream_of(~xt_population_seed(people->population), turn);
    uint32_t count = (uint32_t)xt_population_count(people->population);
    struct xt_resident person;
    for (unsigned i = 0; i < XT_MICRO_NAMES; i++) {
        struct xt_letters letters[XT_MICRO_LEVELS];
        xt_population_person(people->population, xt_stream_below(&stream, count), &person);
        xt_letters_read(xt_span_of(person.full_name.data, person.full_name.size), &letters[0]);
        for (unsigned level = 1; level < XT_MICRO_LEVELS; level++) {
            letters[level] = letters[0];
        }
        if (!xt_letters_move_tone(&letters[XT_NAME_SPELLING])) {
            (void)xt_letters_swap_i_y(&letters[XT_NAME_SPELLING]);
        }
        (void)xt_letters_spoil(&letters[XT_NAME_UNACCENTED], XT_MISTAKE_UNACCENTED, &stream);
        (void)xt_letters_spoil(&letters[XT_NAME_REORDERED], XT_MISTAKE_REORDERED, &stream);
        (void)xt_letters_spoil(&letters[XT_NAME_FUZZY], XT_MISTAKE_SUBSTITUTED, &stream);
        people->held[i] = name_of(&letters[0]);
        for (unsigned level = 0; level < XT_MICRO_LEVELS; level++) {
            people->claimed[level][i] = name_of(&letters[level]);
        }
    }
}

static enum xt_status choose_requests(struct xt_micro_people *people, unsigned turn,
                                      struct xt_failure *failure)
{
    people->body_bytes = 0;
    for (uint32_t i = 0; i < people->request_count; i++) {
        struct xt_generated_request made;
        xt_request_make(&people->plan, (uint64_t)turn * people->request_count + i, &made);
        size_t needed = people->body_bytes + made.body_size + SPARE_BYTES;
        if (needed > people->body_capacity) {
            size_t capacity = 2 * needed + (1U << 20);
            uint8_t *grown = capacity > UINT32_MAX ? NULL : realloc(people->bodies, capacity);
            if (grown == NULL) {
                return no_memory(failure);
            }
            people->bodies = grown;
            people->body_capacity = capacity;
        }
        people->requests[i] = (struct xt_micro_request){.offset = (uint32_t)people->body_bytes,
                                                        .size = (uint32_t)made.body_size,
                                                        .asked = made.asked,
                                                        .matched = made.matched};
        memcpy(people->bodies + people->body_bytes, made.body, made.body_size);
        people->body_bytes += made.body_size;
    }
    return XT_OK;
}

enum xt_status xt_micro_people_choose(struct xt_micro_people *people, unsigned turn, unsigned needs,
                                      struct xt_failure *failure)
{
    if ((needs & XT_MICRO_KEYS) != 0) {
        choose_keys(people, turn);
    }
    if ((needs & XT_MICRO_NEW_NAMES) != 0) {
        choose_names(people, turn);
    }
    return (needs & XT_MICRO_NEW_REQUESTS) != 0 ? choose_requests(people, turn, failure) : XT_OK;
}
