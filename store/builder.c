#include "store/builder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/builder_internal.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"

static enum xt_status out_of_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY,
                   "out of memory: the import holds everybody in memory, about 150 bytes a person");
}

static enum xt_status make_folder(struct xt_builder *builder, struct xt_failure *failure)
{
    uint8_t random[8];
    char name[64];
    char folder[XT_PATH_MAX];
    xt_random(random, sizeof(random));
    int size = snprintf(name, sizeof(name), "building-%ld-", (long)getpid());
    for (size_t i = 0; i < sizeof(random); i++) {
        size += snprintf(name + size, sizeof(name) - (size_t)size, "%02x", random[i]);
    }
    enum xt_status status = xt_identity_path(builder->dir, name, folder, failure);
    if (status != XT_OK) {
        return status;
    }
    if (mkdir(folder, 0700) != 0) {
        return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot make %s: %s",
                       folder, strerror(errno));
    }
    memcpy(builder->folder, folder, sizeof(folder));
    return XT_OK;
}

static size_t empty_cold_size(void)
{
    struct xt_person person;
    uint8_t record[64];
    memset(&person, 0, sizeof(person));
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    xt_cold_encode(&person, &writer);
    xt_require(!writer.overflow);
    return writer.size;
}

enum xt_status xt_builder_open(const char *dir, const struct xt_keyring *keyring,
                               struct xt_builder **opened, struct xt_failure *failure)
{
    struct xt_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL) {
        return out_of_memory(failure);
    }
    builder->lock = -1;
    builder->keyring = keyring;
    builder->empty_cold = empty_cold_size();
    builder->manifest.version = XT_MANIFEST_VERSION;
    builder->manifest.key_id = xt_keyring_current(keyring);
    xt_random(builder->manifest.salt, sizeof(builder->manifest.salt));
    builder->dir = strdup(dir);
    enum xt_status status = builder->dir == NULL ? out_of_memory(failure) : XT_OK;
    if (status == XT_OK) {
        status = xt_identity_is_local(dir, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_lock(dir, &builder->lock, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_prepare(dir, &builder->manifest.number, &builder->before, failure);
    }
    if (status == XT_OK) {
        status = xt_keyring_derive(keyring, builder->manifest.key_id, XT_USE_GENERATION_HASH, 0,
                                   builder->manifest.salt, builder->hash_key);
    }
    if (status == XT_OK) {
        status = make_folder(builder, failure);
    }
    if (status != XT_OK) {
        xt_builder_close(builder);
        return status;
    }
    *opened = builder;
    return XT_OK;
}

void xt_builder_close(struct xt_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    if (builder->folder[0] != 0) {
        xt_identity_remove(builder->dir, strrchr(builder->folder, '/') + 1);
    }
    if (builder->lock >= 0) {
        close(builder->lock);
    }
    xt_memory_free(&builder->arena);
    xt_memory_free(&builder->entries);
    xt_memory_free(&builder->cmnds);
    free(builder->dir);
    xt_wipe(builder, sizeof(*builder));
    free(builder);
}

/* at: with the marks that the entry gets. */
static enum xt_status add_entry(struct xt_builder *builder, uint64_t number, uint64_t line,
                                uint64_t at)
{
    uint8_t *place;
    enum xt_status status = xt_memory_extend(&builder->entries, sizeof(struct xt_entry), &place);
    if (status == XT_OK) {
        struct xt_hash hash =
            xt_key_hash(builder->hash_key, (struct xt_id){.kind = XT_ID_PERSONAL, .value = number});
        struct xt_entry entry = {hash.high, hash.low, line, at};
        memcpy(place, &entry, sizeof(entry));
    }
    return status;
}

static uint64_t cancelled_mark(const struct xt_person *person)
{
    return person->life == XT_LIFE_CANCELLED ? XT_ENTRY_CANCELLED : 0;
}

static enum xt_status add_person(struct xt_builder *builder, const struct xt_person *person,
                                 uint64_t line)
{
    const size_t most = XT_BLOB_PERSON + XT_HOT_MAX + XT_COLD_MAX;
    size_t at = builder->arena.size;
    uint8_t *place;
    enum xt_status status = xt_memory_extend(&builder->arena, most, &place);
    if (status != XT_OK) {
        return status;
    }
    struct xt_writer hot = xt_writer_over(place + XT_BLOB_PERSON, XT_HOT_MAX);
    xt_hot_encode(person, &hot);
    struct xt_writer cold = xt_writer_over(place + XT_BLOB_PERSON + hot.size, XT_COLD_MAX);
    xt_cold_encode(person, &cold);
    xt_require(!hot.overflow && !cold.overflow);
    uint16_t sizes[2] = {(uint16_t)hot.size,
                         (uint16_t)(cold.size == builder->empty_cold ? 0 : cold.size)};
    memcpy(place, &person->number, 8);
    memcpy(place + 8, sizes, 4);
    builder->arena.size = at + XT_BLOB_PERSON + sizes[0] + sizes[1];
    return add_entry(builder, person->number, line, at | cancelled_mark(person));
}

static enum xt_status add_replaced(struct xt_builder *builder, uint64_t old,
                                   const struct xt_person *person, uint64_t line)
{
    size_t at = builder->arena.size;
    uint8_t *place;
    enum xt_status status = xt_memory_extend(&builder->arena, XT_BLOB_REPLACED, &place);
    if (status != XT_OK) {
        return status;
    }
    memcpy(place, &old, 8);
    memcpy(place + 8, &person->number, 8);
    return add_entry(builder, old, line, at | XT_ENTRY_REPLACED | cancelled_mark(person));
}

static enum xt_status add_cmnd(struct xt_builder *builder, const struct xt_person *person,
                               uint64_t line)
{
    uint8_t *place;
    enum xt_status status = xt_memory_extend(&builder->cmnds, sizeof(struct xt_cmnd_entry), &place);
    if (status == XT_OK) {
        struct xt_hash hash = xt_key_hash(
            builder->hash_key, (struct xt_id){.kind = XT_ID_CMND, .value = person->cmnd});
        struct xt_cmnd_entry entry = {.high = hash.high,
                                      .low = hash.low,
                                      .line = line,
                                      .number = person->number,
                                      .cmnd = person->cmnd,
                                      .cancelled = person->life == XT_LIFE_CANCELLED};
        memcpy(place, &entry, sizeof(entry));
    }
    return status;
}

enum xt_status xt_builder_add(struct xt_builder *builder, const struct xt_person *person,
                              uint64_t line, struct xt_failure *failure)
{
    xt_require(!builder->sorted && line > 0);
    enum xt_status status = add_person(builder, person, line);
    for (unsigned i = 0; i < person->replaced_count && status == XT_OK; i++) {
        status = add_replaced(builder, person->replaced[i], person, line);
    }
    if (status == XT_OK && person->has_cmnd) {
        status = add_cmnd(builder, person, line);
    }
    return status == XT_OK ? XT_OK : out_of_memory(failure);
}

size_t xt_builder_redirect(const struct xt_builder *builder, const struct xt_entry *entry,
                           uint8_t record[XT_ALIAS_MAX + 1])
{
    const uint8_t *blob = xt_builder_blob(builder, entry);
    struct xt_alias alias = {.old = {.kind = XT_ID_PERSONAL}, .count = 1};
    memcpy(&alias.old.value, blob, 8);
    memcpy(&alias.people[0], blob + 8, 8);
    struct xt_writer writer = xt_writer_over(record, XT_ALIAS_MAX + 1);
    xt_write_byte(&writer, XT_REDIRECT_MARK);
    xt_alias_encode(&alias, &writer);
    xt_require(!writer.overflow);
    return writer.size;
}

size_t xt_builder_alias(const struct xt_cmnd_entry *cmnds, size_t count,
                        uint8_t record[XT_ALIAS_MAX], size_t *taken)
{
    struct xt_alias alias = {.old = {.kind = XT_ID_CMND, .value = cmnds[0].cmnd}};
    size_t same = 0;
    while (same < count && cmnds[same].cmnd == cmnds[0].cmnd) {
        if (alias.count < XT_ALIAS_PEOPLE_MAX) {
            alias.people[alias.count++] = cmnds[same].number;
        }
        same++;
    }
    struct xt_writer writer = xt_writer_over(record, XT_ALIAS_MAX);
    xt_alias_encode(&alias, &writer);
    xt_require(!writer.overflow);
    *taken = same;
    return writer.size;
}
