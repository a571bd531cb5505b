/* Who is asked about in each class, and in which words. */
#include <stdlib.h>

#include "bench/resident_text.h"
#include "bench/spelling.h"
#include "bench/timing.h"
#include "core/province.h"

#define LEAST_CASES 8U /* fewer of a class are not worth asking about */
#define SPARE_BYTES 4  /* the parser's padding */
#define TRIES 10000U

const char *xt_timing_class_name(enum xt_timing_class class)
{
    static const char *const names[XT_TIMING_CLASSES] = {
        "wrong",         "unknown",        "deceased",       "control",       "few_wrong",
        "missing",       "cancelled",      "name_far",       "name_near",     "fuzzy_wrong",
        "fuzzy_unknown", "fuzzy_deceased", "paper_wrong",    "paper_unknown", "paper_deceased",
        "cmnd_wrong",    "cmnd_unknown",   "cmnd_few_wrong", "cmnd_shared",   "replaced",
        "token_revoked", "token_over",     "token_foreign",  "token_nobody",  "token_deceased"};
    return names[class];
}

/* ---- indices of people of a kind, in random order ---- */

struct indices {
    uint32_t count;
    uint64_t list[XT_TIMING_POOL];
};

/* Reservoir sampling: each of those that are offered is as likely to stay. */
static void offer(struct indices *indices, uint64_t index, uint64_t *seen, struct xt_stream *stream)
{
    uint64_t place = (*seen)++;
    if (indices->count < XT_TIMING_POOL) {
        indices->list[indices->count++] = index;
        return;
    }
    place = xt_stream_next(stream) % (place + 1);
    if (place < XT_TIMING_POOL) {
        indices->list[place] = index;
    }
}

enum kind { DECEASED, MISSING, CANCELLED, SHARED, REPLACED, KINDS };

static void look_for_people(const struct xt_population *population, struct indices *kinds)
{
    struct xt_stream stream = xt_stream_of(xt_population_seed(population), 2);
    uint64_t seen[KINDS] = {0};
    uint64_t count = xt_population_count(population);
    for (uint64_t index = 0; index < count; index++) {
        enum xt_life life = xt_population_life(population, index);
        if (life == XT_LIFE_ALIVE) {
            if (xt_population_has_replaced(population, index)) {
                offer(&kinds[REPLACED], index, &seen[REPLACED], &stream);
            }
            /* One of the two. Of somebody cancelled the register drops it. */
            if (index % 2 == 0 && xt_population_cmnd_is_shared(population, index) &&
                xt_population_life(population, index ^ 1) == XT_LIFE_ALIVE) {
                offer(&kinds[SHARED], index, &seen[SHARED], &stream);
            }
        } else {
            enum kind kind = life == XT_LIFE_DECEASED  ? DECEASED
                             : life == XT_LIFE_MISSING ? MISSING
                                                       : CANCELLED;
            offer(&kinds[kind], index, &seen[kind], &stream);
        }
    }
}

/* ---- one request ---- */

struct draft {
    const struct xt_population *population;
    struct xt_stream stream;
    struct xt_timing_cases *cases;
    struct xt_resident person; /* whose claims are made */
    struct xt_resident_more more;
    struct xt_letters letters;     /* of that name */
    struct xt_resident other;      /* alive, and nothing of it is the same */
    char number[XT_NUMBER_DIGITS]; /* as asked */
    size_t number_size;
};

enum theme { PLAIN, PLAIN_AND_MORE, NAME, FUZZY, PAPER };

static void write_member(struct xt_writer *writer, enum xt_claim claim)
{
    if (writer->data[writer->size - 1] != '{') {
        xt_write_byte(writer, ',');
    }
    xt_write_byte(writer, '"');
    xt_write_string(writer, xt_claim_name(claim));
    xt_write_literal(writer, "\":\"");
}

static void write_date(struct xt_writer *writer, enum xt_claim claim, xt_date date)
{
    write_member(writer, claim);
    xt_write_date(writer, date);
    xt_write_byte(writer, '"');
}

/* The name; near: but for its last letter. */
static void write_name(const struct draft *draft, bool near, struct xt_writer *writer)
{
    char text[XT_SPELLING_TEXT_MAX];
    struct xt_letters letters = draft->letters;
    struct xt_letter *last = &letters.list[letters.count - 1];
    if (near) {
        *last = (struct xt_letter){.base = last->base == 't' ? 'p' : 't', .upper = last->upper};
    }
    size_t size = xt_letters_write(&letters, XT_FORM_NFC, text);
    write_member(writer, XT_CLAIM_FULL_NAME);
    xt_write(writer, text, size);
    xt_write_byte(writer, '"');
}

static xt_date claimed_issue(const struct xt_resident *person)
{
    const xt_date some_day = (xt_date)2022 << 9 | 3U << 5 | 15U;
    return person->card_state != XT_CARD_NONE ? person->card_issued_on : some_day;
}

/* What the register holds of somebody; where it holds nothing, something as long. */
static void write_claims(const struct draft *draft, enum theme theme, struct xt_writer *writer)
{
    const struct xt_resident *person = &draft->person;
    write_name(draft, theme == NAME, writer);
    if (theme == NAME) {
        return;
    }
    write_date(writer, XT_CLAIM_DATE_OF_BIRTH, person->date_of_birth);
    if (theme == PAPER) {
        const struct xt_resident_more *more = &draft->more;
        bool has = more->link_count > 0 && more->links[0].type == XT_LINK_HEALTH_INSURANCE;
        write_member(writer, XT_CLAIM_HEALTH_INSURANCE);
        if (has) {
            xt_write_text(writer, &more->links[0].number);
        } else {
            xt_write_literal(writer, "DN4010000000000");
        }
        xt_write_byte(writer, '"');
        return;
    }
    write_member(writer, XT_CLAIM_SEX);
    xt_write_string(writer, person->sex == XT_SEX_FEMALE ? "female" : "male");
    xt_write_byte(writer, '"');
    write_member(writer, XT_CLAIM_PHONE);
    xt_write_phone(writer, person->phone_count > 0
                               ? person->phones[0]
                               : xt_population_unknown_phone(draft->population, person->index));
    xt_write_byte(writer, '"');
    write_date(writer, XT_CLAIM_CARD_ISSUED_ON, claimed_issue(person));
    if (theme == PLAIN_AND_MORE) {
        write_member(writer, XT_CLAIM_PROVINCE);
        xt_write_decimal(writer, xt_province_at(person->province)->code, 3);
        xt_write_byte(writer, '"');
    }
}

static enum xt_status make_room(struct xt_timing_cases *cases)
{
    if (cases->body_capacity - cases->body_bytes < XT_TIMING_BODY_MAX + SPARE_BYTES) {
        size_t capacity = 2 * cases->body_capacity + (1U << 20);
        uint8_t *grown = capacity > UINT32_MAX ? NULL : realloc(cases->bodies, capacity);
        if (grown == NULL) {
            return XT_NO_MEMORY;
        }
        cases->bodies = grown;
        cases->body_capacity = capacity;
    }
    return XT_OK;
}

static void keep(struct xt_timing_cases *cases, enum xt_timing_class class, size_t size)
{
    cases->list[class][cases->counts[class]++] =
        (struct xt_timing_case){.offset = (uint32_t)cases->body_bytes, .size = (uint32_t)size};
    cases->body_bytes += size;
}

enum xt_status xt_timing_case_add(struct xt_timing_cases *cases, enum xt_timing_class class,
                                  struct xt_span body)
{
    xt_require(body.size <= XT_TIMING_BODY_MAX && cases->counts[class] < XT_TIMING_POOL);
    enum xt_status status = make_room(cases);
    if (status == XT_OK) {
        memcpy(cases->bodies + cases->body_bytes, body.data, body.size);
        keep(cases, class, body.size);
    }
    return status;
}

/* Adds a request to a class. */
static enum xt_status add(struct draft *draft, enum xt_timing_class class, enum theme theme)
{
    struct xt_timing_cases *cases = draft->cases;
    enum xt_status status = make_room(cases);
    if (status != XT_OK) {
        return status;
    }
    struct xt_writer writer = xt_writer_over(cases->bodies + cases->body_bytes, XT_TIMING_BODY_MAX);
    xt_write_literal(&writer, "{\"txn\":\"timing\",\"id\":\"");
    xt_write(&writer, draft->number, draft->number_size);
    xt_write_literal(&writer, "\",\"purpose\":\"" XT_REQUEST_PURPOSE "\",\"claims\":{");
    write_claims(draft, theme, &writer);
    if (theme == FUZZY) {
        xt_write_literal(&writer, "},\"match\":{\"full_name\":\"fuzzy\"}}");
    } else {
        xt_write_literal(&writer, "}}");
    }
    xt_require(!writer.overflow);
    keep(cases, class, writer.size);
    return XT_OK;
}

static void ask_number(struct draft *draft, uint64_t number)
{
    xt_number_format(number, draft->number);
    draft->number_size = XT_NUMBER_DIGITS;
}

static void ask_cmnd(struct draft *draft, uint32_t cmnd)
{
    xt_cmnd_format(cmnd, draft->number);
    draft->number_size = XT_CMND_DIGITS;
}

/* Not even nearly the same name. */
static bool names_differ(const struct xt_text *a, const struct xt_text *b)
{
    struct xt_name one, other;
    return xt_name_parse(xt_span_of(a->data, a->size), &one) == XT_OK &&
           xt_name_parse(xt_span_of(b->data, b->size), &other) == XT_OK &&
           xt_name_compare(&one, &other).level == XT_NAME_DIFFERENT;
}

static bool nothing_is_the_same(const struct xt_resident *a, const struct xt_resident *b)
{
    bool same_phone = false;
    for (unsigned i = 0; i < b->phone_count; i++) {
        same_phone |= a->phone_count > 0 && a->phones[0] == b->phones[i];
    }
    return a->sex != b->sex && a->date_of_birth != b->date_of_birth && a->province != b->province &&
           !same_phone && claimed_issue(a) != b->card_issued_on &&
           names_differ(&a->full_name, &b->full_name);
}

/* Somebody alive of whom nothing is the same. wants_cmnd: who has a CMND of his own. */
static enum xt_status choose_other(struct draft *draft, bool wants_cmnd)
{
    uint32_t count = (uint32_t)xt_population_count(draft->population);
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint32_t index = xt_stream_below(&draft->stream, count);
        xt_population_person(draft->population, index, &draft->other);
        if (draft->other.life == XT_LIFE_ALIVE &&
            (!wants_cmnd || (draft->other.has_cmnd && !draft->other.cmnd_shared)) &&
            nothing_is_the_same(&draft->person, &draft->other)) {
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

static void choose_person(struct draft *draft, uint64_t index)
{
    const struct xt_text *name = &draft->person.full_name;
    xt_population_person(draft->population, index, &draft->person);
    xt_population_more(draft->population, &draft->person, &draft->more);
    xt_letters_read(xt_span_of(name->data, name->size), &draft->letters);
}

/* ---- themes: case n of each class has the same text but for the number ---- */

/* Somebody alive, nobody, and the deceased person whose claims are made. */
static enum xt_status add_three(struct draft *draft, enum xt_timing_class first, enum theme theme,
                                uint64_t unknown)
{
    ask_number(draft, draft->other.number);
    enum xt_status status = add(draft, first, theme);
    ask_number(draft, unknown);
    if (status == XT_OK) {
        status = add(draft, (enum xt_timing_class)(first + 1), theme);
    }
    ask_number(draft, draft->person.number);
    return status == XT_OK ? add(draft, (enum xt_timing_class)(first + 2), theme) : status;
}

/* Each number is asked about as often as any other: one that is asked more often is found in a nearer
 * cache. So the themes share the three, and the control has somebody of its own. */
static enum xt_status add_deceased(struct draft *draft, const struct indices *deceased)
{
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < deceased->count && status == XT_OK; i++) {
        choose_person(draft, deceased->list[i]);
        status = choose_other(draft, false);
        if (status == XT_OK) {
            uint64_t unknown = xt_population_unknown_number(draft->population, &draft->other, i);
            uint64_t *three = draft->cases->threes[draft->cases->three_count++];
            three[0] = draft->other.number;
            three[1] = unknown;
            three[2] = draft->person.number;
            status = add_three(draft, XT_TIMING_WRONG, PLAIN, unknown);
            if (status == XT_OK) {
                status = add_three(draft, XT_TIMING_FUZZY_WRONG, FUZZY, unknown);
            }
            if (status == XT_OK) {
                status = add_three(draft, XT_TIMING_PAPER_WRONG, PAPER, unknown);
            }
        }
        if (status == XT_OK) {
            status = choose_other(draft, false);
        }
        if (status == XT_OK) {
            ask_number(draft, draft->other.number);
            status = add(draft, XT_TIMING_CONTROL, PLAIN_AND_MORE);
        }
    }
    return status;
}

/* Claims of people who are missing, in three classes; those who were cancelled have others. */
static enum xt_status add_few(struct draft *draft, const struct indices *missing,
                              const struct indices *cancelled)
{
    uint32_t count = missing->count < cancelled->count ? missing->count : cancelled->count;
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < count && status == XT_OK; i++) {
        struct xt_resident somebody;
        xt_population_person(draft->population, cancelled->list[i], &somebody);
        choose_person(draft, missing->list[i]);
        status = choose_other(draft, false);
        ask_number(draft, draft->other.number);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_FEW_WRONG, PLAIN);
        }
        ask_number(draft, draft->person.number);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_MISSING, PLAIN);
        }
        ask_number(draft, somebody.number);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_CANCELLED, PLAIN);
        }
    }
    return status;
}

/* Somebody's name but for its last letter, asked of that person and of somebody else. */
static enum xt_status add_names(struct draft *draft, uint32_t count)
{
    uint32_t people = (uint32_t)xt_population_count(draft->population);
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < count && status == XT_OK;) {
        uint32_t index = xt_stream_below(&draft->stream, people);
        if (xt_population_life(draft->population, index) != XT_LIFE_ALIVE) {
            continue;
        }
        i++;
        choose_person(draft, index);
        status = choose_other(draft, false);
        ask_number(draft, draft->other.number);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_NAME_FAR, NAME);
        }
        ask_number(draft, draft->person.number);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_NAME_NEAR, NAME);
        }
    }
    return status;
}

/* By the CMND of somebody alive, and by one that nobody has; shared: one that two have. */
static enum xt_status add_cmnds(struct draft *draft, const struct indices *claimants,
                                const struct indices *shared)
{
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < claimants->count && status == XT_OK; i++) {
        choose_person(draft, claimants->list[i]);
        status = choose_other(draft, true);
        ask_cmnd(draft, draft->other.cmnd);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_CMND_WRONG, PLAIN);
        }
        ask_cmnd(draft, xt_population_unknown_cmnd(draft->population, i));
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_CMND_UNKNOWN, PLAIN);
        }
    }
    for (uint32_t i = 0; i < shared->count && i < claimants->count && status == XT_OK; i++) {
        struct xt_resident somebody;
        xt_population_person(draft->population, shared->list[i], &somebody);
        choose_person(draft, claimants->list[i]);
        status = choose_other(draft, true);
        ask_cmnd(draft, draft->other.cmnd);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_CMND_FEW_WRONG, PLAIN);
        }
        ask_cmnd(draft, somebody.cmnd);
        if (status == XT_OK) {
            status = add(draft, XT_TIMING_CMND_SHARED, PLAIN);
        }
    }
    return status;
}

static enum xt_status add_replaced(struct draft *draft, const struct indices *claimants,
                                   const struct indices *replaced)
{
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < replaced->count && i < claimants->count && status == XT_OK; i++) {
        struct xt_resident somebody;
        xt_population_person(draft->population, replaced->list[i], &somebody);
        choose_person(draft, claimants->list[i]);
        if (nothing_is_the_same(&draft->person, &somebody)) {
            ask_number(draft, somebody.replaced);
            status = add(draft, XT_TIMING_REPLACED, PLAIN);
        }
    }
    return status;
}

enum xt_status xt_timing_cases_open(const struct xt_population *population,
                                    struct xt_timing_cases *cases, struct xt_failure *failure)
{
    *cases = (struct xt_timing_cases){.bodies = NULL};
    struct indices *kinds = calloc(KINDS, sizeof(*kinds));
    struct draft *draft = calloc(1, sizeof(*draft));
    enum xt_status status = kinds != NULL && draft != NULL ? XT_OK : XT_NO_MEMORY;
    for (unsigned i = 0; i < XT_TIMING_CLASSES && status == XT_OK; i++) {
        cases->list[i] = calloc(XT_TIMING_POOL, sizeof(*cases->list[i]));
        status = cases->list[i] != NULL ? XT_OK : XT_NO_MEMORY;
    }
    cases->threes = calloc(XT_TIMING_POOL, sizeof(*cases->threes));
    status = cases->threes != NULL ? status : XT_NO_MEMORY;
    if (status == XT_OK) {
        look_for_people(population, kinds);
        *draft = (struct draft){.population = population,
                                .stream = xt_stream_of(xt_population_seed(population), 3),
                                .cases = cases};
        status = add_deceased(draft, &kinds[DECEASED]);
    }
    if (status == XT_OK) {
        status = add_few(draft, &kinds[MISSING], &kinds[CANCELLED]);
    }
    if (status == XT_OK) {
        status = add_names(draft, kinds[DECEASED].count);
    }
    if (status == XT_OK) {
        status = add_cmnds(draft, &kinds[DECEASED], &kinds[SHARED]);
    }
    if (status == XT_OK) {
        status = add_replaced(draft, &kinds[DECEASED], &kinds[REPLACED]);
    }
    free(kinds);
    free(draft);
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        cases->counts[i] = cases->counts[i] < LEAST_CASES ? 0 : cases->counts[i];
    }
    if (status == XT_OK && cases->counts[XT_TIMING_DECEASED] == 0) {
        status = XT_NOT_FOUND;
    }
    return status == XT_OK ? XT_OK
           : status == XT_NO_MEMORY
               ? xt_fail(failure, status, "not enough memory")
               : xt_fail(failure, status, "this population is too small: too few are deceased");
}

void xt_timing_cases_close(struct xt_timing_cases *cases)
{
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        free(cases->list[i]);
    }
    free(cases->threes);
    free(cases->bodies);
    *cases = (struct xt_timing_cases){.bodies = NULL};
}
