#include "store/generation.h"

#include <stdlib.h>

#include "crypto/file.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"

/* What is decoded for whoever is not found: an ordinary living person, so that it takes the time that
 * an ordinary person takes. Its content never reaches an answer. */
static enum xt_status make_stand_in(struct xt_generation *generation)
{
    struct xt_person person;
    memset(&person, 0, sizeof(person));
    enum xt_status status =
        xt_name_parse(xt_span_of_string("Nguy\xe1\xbb\x85n V\xc4\x83n An"), &person.name);
    if (status == XT_OK) {
        status = xt_date_make(1990, 1, 2, &person.date_of_birth);
    }
    if (status == XT_OK) {
        status = xt_date_make(2021, 4, 25, &person.card_issued_on);
    }
    if (status != XT_OK) {
        return status;
    }
    person.sex = XT_SEX_MALE;
    person.card_state = XT_CARD_ACTIVE;
    person.card_has_expiry = true;
    person.card_expires_on = xt_card_expiry(person.date_of_birth, person.card_issued_on);
    person.phone_count = 1;
    struct xt_writer writer = xt_writer_over(generation->stand_in, sizeof(generation->stand_in));
    xt_hot_encode(&person, &writer);
    generation->stand_in_size = writer.size;
    struct xt_hot hot;
    return xt_hot_decode(xt_written(&writer), &hot);
}

static enum xt_status open_tables(struct xt_generation *generation, const char *folder,
                                  const struct xt_structure *structure,
                                  const struct xt_keyring *keyring, struct xt_failure *failure)
{
    const struct xt_manifest *manifest = &generation->manifest;
    uint32_t page_counts[XT_TABLE_COUNT];
    char path[XT_PATH_MAX];
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        page_counts[i] = (uint32_t)manifest->tables[i].pages;
    }
    if (xt_path_join(path, folder, XT_DATA_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_table_file_open(path, manifest->file_bytes, structure, page_counts,
                                               &generation->file, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_keyring_derive(keyring, manifest->key_id, XT_USE_GENERATION_HASH, 0, manifest->salt,
                               generation->hash_key);
    for (unsigned i = 0; i < XT_TABLE_COUNT && status == XT_OK; i++) {
        uint8_t key[XT_KEY_BYTES];
        status = xt_keyring_derive(keyring, manifest->key_id, XT_USE_GENERATION_SEAL, i,
                                   manifest->salt, key);
        if (status == XT_OK) {
            status = xt_table_open(xt_table_file_pages(generation->file, i), page_counts[i],
                                   manifest->tables[i], key, &generation->tables[i]);
        }
        xt_wipe(key, sizeof(key));
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot open %s: out of memory", path);
}

enum xt_status xt_generation_open_folder(const char *folder, const struct xt_keyring *keyring,
                                         struct xt_generation **opened, struct xt_failure *failure)
{
    struct xt_memory memory = {.data = NULL};
    uint8_t *place = NULL;
    enum xt_status status = xt_memory_extend(&memory, sizeof(struct xt_generation), &place);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot open %s: out of memory", folder);
    }
    struct xt_generation *generation = (struct xt_generation *)(void *)place;
    generation->self = memory;
    struct xt_structure structure = {.pages = NULL};
    status = xt_manifest_read(folder, keyring, &generation->manifest, &structure, failure);
    if (status == XT_OK) {
        status = open_tables(generation, folder, &structure, keyring, failure);
    }
    xt_structure_free(&structure);
    if (status == XT_OK) {
        status = make_stand_in(generation);
        xt_require(status == XT_OK);
        *opened = generation;
    } else {
        xt_generation_close(generation);
    }
    return status;
}

enum xt_status xt_generation_open(const char *dir, uint32_t number,
                                  const struct xt_keyring *keyring,
                                  struct xt_generation **generation, struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    xt_identity_name(number, name);
    enum xt_status status = xt_identity_is_local(dir, failure);
    if (status == XT_OK) {
        status = xt_identity_path(dir, name, folder, failure);
    }
    if (status == XT_OK) {
        status = xt_generation_open_folder(folder, keyring, generation, failure);
    }
    if (status == XT_OK && (*generation)->manifest.number != number) {
        uint32_t actual = (*generation)->manifest.number;
        xt_generation_close(*generation);
        *generation = NULL;
        status = xt_fail(failure, XT_CORRUPT, "%s holds generation %06u: rename it back", folder,
                         actual);
    }
    return status;
}

void xt_generation_close(struct xt_generation *generation)
{
    if (generation == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        xt_table_close(generation->tables[i]);
    }
    xt_table_file_close(generation->file);
    struct xt_memory self = generation->self;
    xt_memory_free(&self);
}

const struct xt_manifest *xt_generation_manifest(const struct xt_generation *generation)
{
    return &generation->manifest;
}

enum xt_status xt_redirect_decode(struct xt_span record, struct xt_alias *alias)
{
    if (record.size == 0 || record.data[0] != XT_REDIRECT_MARK) {
        return XT_NOT_FOUND;
    }
    return xt_alias_decode(xt_span_of(record.data + 1, record.size - 1), alias);
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

/* number: what was looked up, so that the links of nobody are looked for where the links of somebody
 * of that number would be: in one page for everybody unknown they would always be warm. */
static enum xt_status not_found(const struct xt_generation *generation, uint64_t number,
                                struct xt_found *found)
{
    found->found = false;
    found->by_alias = false;
    enum xt_status status =
        xt_hot_decode(xt_span_of(generation->stand_in, generation->stand_in_size), &found->hot);
    xt_require(status == XT_OK);
    found->hot.number = number;
    return XT_OK;
}

/* One lookup in the hot table: a person (XT_OK), the person that a replaced number names (XT_AGAIN,
 * *successor), or XT_NOT_FOUND. */
static enum xt_status find_hot(struct xt_generation *generation, uint64_t number,
                               struct xt_hot *hot, uint64_t *successor)
{
    struct xt_hash hash = xt_key_hash(generation->hash_key, personal(number));
    uint32_t cursor = 0;
    for (;;) {
        size_t size;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_HOT], hash, &cursor,
                                             generation->record, &size);
        if (status != XT_OK) {
            return status;
        }
        struct xt_span record = xt_span_of(generation->record, size);
        struct xt_alias alias;
        status = xt_redirect_decode(record, &alias);
        if (status == XT_OK && alias.old.kind == XT_ID_PERSONAL && alias.old.value == number) {
            *successor = alias.people[0];
            return alias.count == 1 ? XT_AGAIN : XT_CORRUPT;
        }
        if (status == XT_NOT_FOUND) {
            status = xt_hot_decode(record, hot);
            if (status == XT_OK && hot->number == number) {
                return XT_OK;
            }
        }
        if (status != XT_OK) {
            return XT_CORRUPT;
        }
    }
}

/* The one person whom a CMND names; XT_NOT_FOUND for none and for several. */
static enum xt_status find_alias(struct xt_generation *generation, struct xt_id cmnd,
                                 uint64_t *number)
{
    struct xt_hash hash = xt_key_hash(generation->hash_key, cmnd);
    uint32_t cursor = 0;
    for (;;) {
        size_t size;
        struct xt_alias alias;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_ALIAS], hash, &cursor,
                                             generation->record, &size);
        if (status != XT_OK) {
            return status;
        }
        if (xt_alias_decode(xt_span_of(generation->record, size), &alias) != XT_OK) {
            return XT_CORRUPT;
        }
        if (alias.old.kind == cmnd.kind && alias.old.value == cmnd.value) {
            *number = alias.people[0];
            return alias.count == 1 ? XT_OK : XT_NOT_FOUND;
        }
    }
}

enum xt_status xt_generation_find(struct xt_generation *generation, struct xt_id id,
                                  struct xt_found *found)
{
    uint64_t number = id.value;
    uint64_t successor = 0;
    bool named = true;
    enum xt_status status;
    if (id.kind == XT_ID_CMND) {
        status = find_alias(generation, id, &number);
        if (status != XT_OK && status != XT_NOT_FOUND) {
            return status;
        }
        named = status == XT_OK;
        number = named ? number : ~id.value; /* no number is as large */
    }
    status = find_hot(generation, number, &found->hot, &successor);
    if (!named) { /* a damaged record that nobody asked for is no reason to refuse */
        return not_found(generation, number, found);
    }
    if (status == XT_AGAIN && id.kind == XT_ID_PERSONAL) {
        uint64_t unused;
        status = find_hot(generation, successor, &found->hot, &unused);
        if (status != XT_OK) {
            return XT_CORRUPT;
        }
        found->found = true;
        found->by_alias = true;
        return XT_OK;
    }
    if (status == XT_NOT_FOUND && id.kind == XT_ID_PERSONAL) {
        return not_found(generation, number, found);
    }
    if (status != XT_OK) {
        return XT_CORRUPT;
    }
    found->found = true;
    found->by_alias = id.kind == XT_ID_CMND;
    return XT_OK;
}

enum xt_status xt_generation_links(struct xt_generation *generation, uint64_t number,
                                   struct xt_links *links)
{
    struct xt_hash hash = xt_key_hash(generation->hash_key, personal(number));
    uint32_t cursor = 0;
    for (;;) {
        size_t size = 0;
        uint64_t held = 0;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_COLD], hash, &cursor,
                                             generation->record, &size);
        if (status != XT_OK && status != XT_NOT_FOUND) {
            links->count = 0;
            return status;
        }
        /* A miss has opened a neighbour in its place: decoded like a hit, and dropped. */
        enum xt_status decoded = xt_cold_links(xt_span_of(generation->record, size), &held, links);
        if (status == XT_NOT_FOUND || decoded != XT_OK) {
            links->count = 0;
            return status == XT_NOT_FOUND ? XT_NOT_FOUND : XT_CORRUPT;
        }
        if (held == number) {
            return XT_OK;
        }
    }
}

struct each {
    xt_generation_visit visit;
    void *context;
};

static enum xt_status each_record(void *context, struct xt_table_place place, enum xt_status status,
                                  struct xt_span record)
{
    const struct each *each = context;
    struct xt_hot hot;
    (void)place;
    if (status != XT_OK) {
        return status;
    }
    if (record.data[0] == XT_REDIRECT_MARK) {
        return XT_OK;
    }
    return xt_hot_decode(record, &hot) == XT_OK ? each->visit(each->context, &hot) : XT_CORRUPT;
}

enum xt_status xt_generation_each(struct xt_generation *generation, xt_generation_visit visit,
                                  void *context)
{
    struct each each = {.visit = visit, .context = context};
    return xt_table_walk(generation->tables[XT_TABLE_HOT], each_record, &each);
}
