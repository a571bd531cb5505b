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

bool xt_generation_look(const char *dir, uint32_t number, struct stat *data)
{
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    struct xt_failure failure;
    xt_identity_name(number, name);
    return xt_identity_path(dir, name, folder, &failure) == XT_OK &&
           xt_path_join(path, folder, XT_DATA_NAME) == XT_OK && stat(path, data) == 0;
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
