#include "store/check_records.h"

/* What both stand in. */
struct memory {
    struct xt_generation generation;
    struct xt_check_waiting waiting[XT_CHECK_GROUP];
};

enum xt_status xt_check_reader_open(const struct xt_generation *generation, xt_check_told told,
                                    void *context, struct xt_check_reader *reader)
{
    uint8_t *place = NULL;
    *reader = (struct xt_check_reader){.told = told, .context = context};
    enum xt_status status = xt_memory_extend(&reader->memory, sizeof(struct memory), &place);
    if (status != XT_OK) {
        return status;
    }
    /* The same file and tables, with a record of its own to open into. */
    struct memory *memory = (struct memory *)(void *)place;
    reader->generation = &memory->generation;
    reader->waiting = memory->waiting;
    memcpy(reader->generation, generation, sizeof(*generation));
    memset(reader->generation->tables, 0, sizeof(reader->generation->tables));
    for (unsigned i = 0; i < XT_TABLE_COUNT && status == XT_OK; i++) {
        status = xt_table_share(generation->tables[i], &reader->generation->tables[i]);
    }
    if (status != XT_OK) {
        xt_check_reader_close(reader);
    }
    return status;
}

void xt_check_reader_close(struct xt_check_reader *reader)
{
    for (unsigned i = 0; reader->generation != NULL && i < XT_TABLE_COUNT; i++) {
        xt_table_close(reader->generation->tables[i]);
    }
    xt_tally_free(&reader->tally);
    xt_memory_free(&reader->memory);
    *reader = (struct xt_check_reader){.generation = NULL};
}

static bool is_at_home(const struct xt_check_reader *reader, struct xt_id id)
{
    struct xt_hash hash = xt_key_hash(reader->generation->hash_key, id);
    struct xt_table_place home = xt_table_place_of(reader->generation->tables[reader->table], hash);
    return home.page == reader->place.page && home.tag == reader->place.tag;
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

/* Whether a living number (not a replaced one) is in the hot table. found->found is false where its
 * record does not open. */
static bool is_person(struct xt_check_reader *reader, uint64_t number, struct xt_found *found)
{
    enum xt_status status = xt_generation_find(reader->generation, personal(number), found);
    if (status == XT_CORRUPT) {
        found->found = false;
        return true;
    }
    return status == XT_OK && found->found && !found->by_alias;
}

/* Whether a CMND or a phone leads to a person. any: whoever it leads to will do. One shared by several
 * answers as unknown, so its record is looked at here by hand. */
static bool leads_to(struct xt_check_reader *reader, unsigned table, struct xt_id id,
                     uint64_t number, bool any)
{
    struct xt_generation *generation = reader->generation;
    struct xt_hash hash = xt_key_hash(generation->hash_key, id);
    uint32_t cursor = 0;
    for (;;) {
        size_t size;
        struct xt_alias alias;
        enum xt_status status =
            xt_table_get(generation->tables[table], hash, &cursor, generation->record, &size);
        if (status != XT_OK) {
            return status == XT_CORRUPT;
        }
        if (xt_alias_decode(xt_span_of(generation->record, size), &alias) != XT_OK ||
            alias.old.kind != id.kind || alias.old.value != id.value) {
            continue;
        }
        /* The list may be cut off: several anyway. */
        bool named = any || alias.count == XT_ALIAS_PEOPLE_MAX;
        for (unsigned i = 0; i < alias.count; i++) {
            named = named || alias.people[i] == number;
        }
        return named;
    }
}

static bool phones_lead_to(struct xt_check_reader *reader, const struct xt_hot *hot, bool any)
{
    for (unsigned i = 0; i < hot->phone_count; i++) {
        struct xt_id phone = {.kind = XT_ID_PHONE, .value = hot->phones[i]};
        if (!leads_to(reader, XT_TABLE_PHONE, phone, hot->number, any)) {
            return false;
        }
    }
    return true;
}

static const char *check_replaced(struct xt_check_reader *reader, const struct xt_alias *alias)
{
    struct xt_found found;
    reader->replaced++;
    if (alias->count != 1 || !is_at_home(reader, alias->old)) {
        return "a replaced number is not where it belongs";
    }
    return is_person(reader, alias->people[0], &found) ? NULL : "a replaced number names nobody";
}

static const char *check_hot(struct xt_check_reader *reader, struct xt_span record)
{
    struct xt_alias alias;
    struct xt_hot hot;
    enum xt_status status = xt_redirect_decode(record, &alias);
    if (status == XT_OK) {
        return check_replaced(reader, &alias);
    }
    if (status != XT_NOT_FOUND || xt_hot_decode(record, &hot) != XT_OK) {
        return "the record does not decode";
    }
    reader->people++;
    reader->untold =
        xt_tally_add(&reader->tally, xt_statistics_key(&hot), 1) != XT_OK || reader->untold;
    if (!is_at_home(reader, personal(hot.number))) {
        return "the record is not where it belongs";
    }
    struct xt_links links;
    unsigned types = 0;
    status = xt_generation_links(reader->generation, hot.number, &links);
    for (unsigned i = 0; i < links.count; i++) {
        types |= 1U << links.links[i].type;
    }
    if (status != XT_CORRUPT && types != hot.link_types) {
        return "its cold part does not fit";
    }
    /* A cancelled person is left out where somebody else holds the same, who then stands for both. */
    bool any = hot.life == XT_LIFE_CANCELLED;
    struct xt_id cmnd = {.kind = XT_ID_CMND, .value = hot.cmnd};
    if (hot.has_cmnd && !leads_to(reader, XT_TABLE_ALIAS, cmnd, hot.number, any)) {
        return "its CMND does not lead to it";
    }
    return phones_lead_to(reader, &hot, any) ? NULL : "a phone of its does not lead to it";
}

/* Each number that a person in force replaced leads to him; a cancelled one's may lead to another. Where a
 * compaction carried on somebody whom a later import contradicts it names whom the import says. */
static bool replaced_lead_to(struct xt_check_reader *reader, const struct xt_person *person)
{
    bool compacted = xt_generation_manifest(reader->generation)->folded > 0;
    for (unsigned i = 0; i < person->replaced_count; i++) {
        struct xt_found found;
        enum xt_status status =
            xt_generation_find(reader->generation, personal(person->replaced[i]), &found);
        bool his = found.by_alias && found.hot.number == person->number;
        if (status != XT_CORRUPT && (!found.found || (!his && !compacted))) {
            return false;
        }
    }
    return true;
}

static const char *check_cold(struct xt_check_reader *reader, struct xt_span record)
{
    struct xt_person person;
    struct xt_found found;
    if (xt_cold_decode(record, &person) != XT_OK) {
        return "the record does not decode";
    }
    if (!is_at_home(reader, personal(person.number))) {
        return "the record is not where it belongs";
    }
    if (!is_person(reader, person.number, &found)) {
        return "its hot part is missing";
    }
    bool in_force = found.found && found.hot.life != XT_LIFE_CANCELLED;
    return in_force && !replaced_lead_to(reader, &person)
               ? "a number that it replaced does not lead to it"
               : NULL;
}

static bool holds(const struct xt_hot *hot, struct xt_id id)
{
    if (id.kind == XT_ID_CMND) {
        return hot->has_cmnd && hot->cmnd == id.value;
    }
    for (unsigned i = 0; i < hot->phone_count; i++) {
        if (hot->phones[i] == id.value) {
            return true;
        }
    }
    return false;
}

static const char *check_alias(struct xt_check_reader *reader, struct xt_span record)
{
    enum xt_id_kind kind = reader->table == XT_TABLE_PHONE ? XT_ID_PHONE : XT_ID_CMND;
    struct xt_alias alias;
    if (xt_alias_decode(record, &alias) != XT_OK || alias.old.kind != kind) {
        return "the record does not decode";
    }
    if (!is_at_home(reader, alias.old)) {
        return "the record is not where it belongs";
    }
    for (unsigned i = 0; i < alias.count; i++) {
        struct xt_found found = {.found = false};
        if (!is_person(reader, alias.people[i], &found) ||
            (found.found && !holds(&found.hot, alias.old))) {
            return kind == XT_ID_PHONE ? "it names somebody who does not have this phone"
                                       : "it names somebody who does not have this CMND";
        }
    }
    return NULL;
}

static const char *check_one(struct xt_check_reader *reader, struct xt_span record)
{
    switch (reader->table) {
    case XT_TABLE_HOT:
        return check_hot(reader, record);
    case XT_TABLE_COLD:
        return check_cold(reader, record);
    default:
        return check_alias(reader, record);
    }
}

/* ---- groups ------------------------------------------------------------------------------- */

/* What is going to be looked up in one table. More than fit are looked up all the same. */
struct expected {
    unsigned count;
    struct xt_hash hashes[XT_TABLE_GROUP];
};

static void expect(const struct xt_check_reader *reader, struct expected *expected, struct xt_id id)
{
    if (expected->count < XT_TABLE_GROUP) {
        expected->hashes[expected->count++] = xt_key_hash(reader->generation->hash_key, id);
    }
}

/* Links need none: the cold table has its people in the order of the hot one. */
static void expect_of_hot(const struct xt_check_reader *reader, struct xt_span record,
                          struct expected expected[XT_TABLE_COUNT])
{
    struct xt_hot hot;
    if (record.data[0] == XT_REDIRECT_MARK || xt_hot_decode(record, &hot) != XT_OK) {
        return;
    }
    if (hot.has_cmnd) {
        expect(reader, &expected[XT_TABLE_ALIAS],
               (struct xt_id){.kind = XT_ID_CMND, .value = hot.cmnd});
    }
    for (unsigned i = 0; i < hot.phone_count; i++) {
        expect(reader, &expected[XT_TABLE_PHONE],
               (struct xt_id){.kind = XT_ID_PHONE, .value = hot.phones[i]});
    }
}

static void expect_of_alias(const struct xt_check_reader *reader, struct xt_span record,
                            struct expected expected[XT_TABLE_COUNT])
{
    struct xt_alias alias;
    if (xt_alias_decode(record, &alias) == XT_OK) {
        for (unsigned i = 0; i < alias.count; i++) {
            expect(reader, &expected[XT_TABLE_HOT], personal(alias.people[i]));
        }
    }
}

static void look_at(struct xt_check_reader *reader, struct xt_table_place place,
                    struct xt_span record)
{
    reader->place = place;
    const char *what = check_one(reader, record);
    if (what != NULL) {
        reader->told(reader->context, place, what);
    }
}

void xt_check_flush(struct xt_check_reader *reader)
{
    struct expected expected[XT_TABLE_COUNT];
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        expected[i].count = 0;
    }
    for (unsigned i = 0; i < reader->waits; i++) {
        struct xt_span record = xt_span_of(reader->waiting[i].bytes, reader->waiting[i].size);
        if (reader->table == XT_TABLE_HOT) {
            expect_of_hot(reader, record, expected);
        } else {
            expect_of_alias(reader, record, expected);
        }
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        xt_table_expect(reader->generation->tables[i], expected[i].hashes, expected[i].count);
    }
    for (unsigned i = 0; i < reader->waits; i++) {
        struct xt_check_waiting *waiting = &reader->waiting[i];
        look_at(reader, waiting->place, xt_span_of(waiting->bytes, waiting->size));
    }
    reader->waits = 0;
}

void xt_check_record(struct xt_check_reader *reader, struct xt_table_place place,
                     struct xt_span record)
{
    if (reader->table == XT_TABLE_COLD || record.size > XT_CHECK_WAITS_MOST || record.size == 0) {
        look_at(reader, place, record);
        return;
    }
    struct xt_check_waiting *waiting = &reader->waiting[reader->waits++];
    waiting->place = place;
    waiting->size = record.size;
    memcpy(waiting->bytes, record.data, record.size);
    if (reader->waits == XT_CHECK_GROUP) {
        xt_check_flush(reader);
    }
}
