#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "store/builder_internal.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"
#include "store/table_writer.h"

/* One sealing at work. */
struct sealing {
    struct xt_builder *builder;
    const volatile sig_atomic_t *stop;
    struct xt_table_file *file;
    struct xt_progress progress;
    uint64_t done; /* records */
    struct xt_failure *failure;
};

static enum xt_status stopped(const struct sealing *sealing)
{
    return sealing->stop != NULL && *sealing->stop != 0
               ? xt_fail(sealing->failure, XT_CLOSED, "interrupted; nothing was changed")
               : XT_OK;
}

static enum xt_status check_room(const struct xt_builder *builder, uint64_t needed,
                                 struct xt_failure *failure)
{
    struct statvfs room;
    if (statvfs(builder->folder, &room) != 0) {
        return xt_fail(failure, XT_IO, "cannot tell the room at %s: %s", builder->folder,
                       strerror(errno));
    }
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (free_bytes >= needed) {
        return XT_OK;
    }
    return xt_fail(failure, XT_DISK_FULL,
                   "not enough room at %s/identity: %.1f MiB are needed and %.1f MiB free; make "
                   "room and import again",
                   builder->dir, (double)needed / (1 << 20), (double)free_bytes / (1 << 20));
}

static enum xt_status add_record(struct sealing *sealing, struct xt_table_writer *writer,
                                 struct xt_hash hash, struct xt_span record)
{
    xt_progress_set(&sealing->progress, ++sealing->done);
    enum xt_status status = stopped(sealing);
    return status == XT_OK ? xt_table_writer_add(writer, hash, record, sealing->failure) : status;
}

static enum xt_status add_hot(struct sealing *sealing, struct xt_table_writer *writer)
{
    size_t count;
    const struct xt_entry *entries = xt_builder_entries(sealing->builder, &count);
    enum xt_status status = XT_OK;
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        uint8_t redirect[XT_ALIAS_MAX + 1];
        const uint8_t *blob = xt_builder_blob(sealing->builder, &entries[i]);
        uint16_t size;
        memcpy(&size, blob + 8, sizeof(size));
        struct xt_span record = xt_span_of(blob + XT_BLOB_PERSON, size);
        if (xt_entry_is_replaced(&entries[i])) {
            record =
                xt_span_of(redirect, xt_builder_redirect(sealing->builder, &entries[i], redirect));
        }
        status =
            add_record(sealing, writer, (struct xt_hash){entries[i].high, entries[i].low}, record);
    }
    return status;
}

static enum xt_status add_cold(struct sealing *sealing, struct xt_table_writer *writer)
{
    size_t count;
    const struct xt_entry *entries = xt_builder_entries(sealing->builder, &count);
    enum xt_status status = XT_OK;
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        if (xt_entry_is_replaced(&entries[i])) {
            continue;
        }
        const uint8_t *blob = xt_builder_blob(sealing->builder, &entries[i]);
        uint16_t sizes[2];
        memcpy(sizes, blob + 8, sizeof(sizes));
        if (sizes[1] > 0) {
            status = add_record(sealing, writer, (struct xt_hash){entries[i].high, entries[i].low},
                                xt_span_of(blob + XT_BLOB_PERSON + sizes[0], sizes[1]));
        }
    }
    return status;
}

static enum xt_status add_aliases(struct sealing *sealing, struct xt_table_writer *writer)
{
    size_t count;
    const struct xt_cmnd_entry *cmnds = xt_builder_cmnds(sealing->builder, &count);
    enum xt_status status = XT_OK;
    for (size_t i = 0, taken; i < count && status == XT_OK; i += taken) {
        uint8_t record[XT_ALIAS_MAX];
        size_t size = xt_builder_alias(cmnds + i, count - i, record, &taken);
        status = add_record(sealing, writer, (struct xt_hash){cmnds[i].high, cmnds[i].low},
                            xt_span_of(record, size));
    }
    return status;
}

static enum xt_status write_table(struct sealing *sealing, unsigned table,
                                  enum xt_status (*add)(struct sealing *, struct xt_table_writer *))
{
    struct xt_builder *builder = sealing->builder;
    struct xt_manifest *manifest = &builder->manifest;
    struct xt_table_writer writer;
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status = xt_keyring_derive(builder->keyring, manifest->key_id,
                                              XT_USE_GENERATION_SEAL, table, manifest->salt, key);
    xt_require(status == XT_OK); /* the hash key came from the same master key */
    uint32_t pages =
        xt_table_page_count(manifest->tables[table].records, builder->record_bytes[table]);
    status = xt_table_writer_start(&writer, sealing->file, table, pages, key, sealing->failure);
    xt_wipe(key, sizeof(key));
    if (status != XT_OK) {
        return status;
    }
    status = add(sealing, &writer);
    if (status == XT_OK) {
        status = xt_table_writer_finish(&writer, &manifest->tables[table], sealing->failure);
    }
    xt_table_writer_end(&writer);
    return status;
}

static enum xt_status write_tables(struct sealing *sealing, const char *path, bool quiet)
{
    struct xt_builder *builder = sealing->builder;
    uint64_t records = 0;
    uint64_t at_most = XT_MANIFEST_MAX;
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        records += builder->manifest.tables[i].records;
        at_most +=
            xt_table_bytes_at_most(builder->manifest.tables[i].records, builder->record_bytes[i]);
    }
    enum xt_status status = check_room(builder, at_most, sealing->failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_table_file_create(path, at_most, &sealing->file, sealing->failure);
    if (status != XT_OK) {
        return status;
    }
    xt_progress_start(&sealing->progress, "sealing", "records", records, quiet);
    status = write_table(sealing, XT_TABLE_HOT, add_hot);
    if (status == XT_OK) {
        status = write_table(sealing, XT_TABLE_COLD, add_cold);
    }
    if (status == XT_OK) {
        status = write_table(sealing, XT_TABLE_ALIAS, add_aliases);
    }
    if (status == XT_OK) {
        status = xt_table_file_finish(sealing->file, sealing->failure);
    }
    if (status == XT_OK) {
        xt_progress_finish(&sealing->progress);
    }
    xt_table_file_close(sealing->file);
    sealing->file = NULL;
    return status;
}

/* Spreads what LMDB itself takes over the tables by their pages, so that they add up to the file. */
static void share_tree(struct xt_manifest *manifest)
{
    uint64_t data = 0;
    uint64_t pages = 0;
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        data += manifest->tables[i].disk_bytes;
        pages += manifest->tables[i].pages;
    }
    uint64_t tree = manifest->file_bytes > data ? manifest->file_bytes - data : 0;
    uint64_t left = tree;
    for (unsigned i = XT_TABLE_COUNT; i-- > 1;) {
        uint64_t share = tree * manifest->tables[i].pages / pages;
        manifest->tables[i].disk_bytes += share;
        left -= share;
    }
    manifest->tables[XT_TABLE_HOT].disk_bytes += left;
}

static enum xt_status count_record(void *context, struct xt_table_place place,
                                   enum xt_status status, struct xt_span record)
{
    struct sealing *sealing = context;
    (void)record;
    if (status != XT_OK) {
        return xt_fail(sealing->failure, status,
                       "what was written does not read back (page %u, record %u): check the disk "
                       "and the memory of this machine",
                       place.page, place.index);
    }
    xt_progress_set(&sealing->progress, ++sealing->done);
    return stopped(sealing);
}

/* Opens the finished folder as a reader would, and every record in it. */
static enum xt_status verify(struct sealing *sealing, bool quiet)
{
    struct xt_builder *builder = sealing->builder;
    struct xt_generation *generation = NULL;
    uint64_t expected = 0;
    enum xt_status status =
        xt_generation_open_folder(builder->folder, builder->keyring, &generation, sealing->failure);
    if (status != XT_OK) {
        return status;
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        expected += builder->manifest.tables[i].records;
    }
    sealing->done = 0;
    xt_progress_start(&sealing->progress, "verifying", "records", expected, quiet);
    for (unsigned i = 0; i < XT_TABLE_COUNT && status == XT_OK; i++) {
        status = xt_table_walk(generation->tables[i], count_record, sealing);
    }
    xt_generation_close(generation);
    if (status == XT_OK && sealing->done != expected) {
        status = xt_fail(sealing->failure, XT_CORRUPT,
                         "what was written does not read back: %llu records in place of %llu",
                         (unsigned long long)sealing->done, (unsigned long long)expected);
    }
    if (status == XT_OK) {
        xt_progress_finish(&sealing->progress);
    }
    return status;
}

/* Syncs a file or folder by path and takes away the right to write it. */
static enum xt_status make_lasting(const char *path, mode_t mode, struct xt_failure *failure)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool done = fd >= 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    enum xt_status status = done ? XT_OK
                                 : xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO,
                                           "cannot sync %s: %s", path, strerror(errno));
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

static enum xt_status publish(struct xt_builder *builder, struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    char parent[XT_PATH_MAX];
    char target[XT_PATH_MAX];
    uint32_t current = 0;
    xt_identity_name(builder->manifest.number, name);
    enum xt_status status = xt_identity_path(builder->dir, name, target, failure);
    if (status == XT_OK) {
        status = xt_identity_path(builder->dir, "", parent, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_identity_intend(builder->dir, builder->manifest.number, failure);
    if (status != XT_OK) {
        return status;
    }
    if (rename(builder->folder, target) != 0) {
        status = xt_fail(failure, XT_IO, "cannot rename %s to %s: %s", builder->folder, target,
                         strerror(errno));
        xt_identity_remove(builder->dir, XT_IDENTITY_SWITCHING);
        return status;
    }
    builder->folder[0] = 0;
    status = xt_folder_sync(parent, failure);
    if (status == XT_OK) {
        status = xt_identity_switch(builder->dir, failure);
    }
    if (status != XT_OK && (xt_generation_current(builder->dir, &current, NULL) != XT_OK ||
                            current != builder->manifest.number)) {
        xt_identity_remove(builder->dir, name); /* nobody was switched to it */
        xt_identity_remove(builder->dir, XT_IDENTITY_SWITCHING);
    }
    return status;
}

enum xt_status xt_builder_seal(struct xt_builder *builder, bool quiet,
                               const volatile sig_atomic_t *stop, struct xt_manifest *manifest,
                               struct xt_failure *failure)
{
    xt_require(builder->sorted);
    struct sealing sealing = {.builder = builder, .stop = stop, .failure = failure};
    struct xt_structure structure = {.pages = NULL};
    char path[XT_PATH_MAX];
    if (xt_path_join(path, builder->folder, XT_DATA_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = write_tables(&sealing, path, quiet);
    if (status == XT_OK) {
        status = make_lasting(path, 0400, failure);
    }
    if (status == XT_OK) {
        status = xt_table_file_survey(path, NULL, &builder->manifest.file_bytes,
                                      builder->manifest.digest, &structure, failure);
    }
    if (status == XT_OK) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        builder->manifest.made_unix_ms =
            (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        share_tree(&builder->manifest);
        status = xt_manifest_write(builder->folder, &builder->manifest, &structure,
                                   builder->keyring, failure);
    }
    xt_structure_free(&structure);
    if (status == XT_OK) {
        status = verify(&sealing, quiet);
    }
    if (status == XT_OK) {
        status = make_lasting(builder->folder, 0500, failure);
    }
    if (status == XT_OK) {
        status = stopped(&sealing);
    }
    if (status == XT_OK) {
        status = publish(builder, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    *manifest = builder->manifest;
    /* The switch is done: what cannot be cleared up now goes after the next import. */
    status = xt_identity_clear(builder->dir, manifest->number, builder->before, NULL);
    return status == XT_OK ? status : XT_OK;
}
