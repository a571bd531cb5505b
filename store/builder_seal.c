#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/builder_unit.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"
#include "store/progress.h"
#include "store/statistics_file.h"
#include "store/sweep.h"

/* One sealing at work. */
struct sealing {
    struct xt_builder *builder;
    struct xt_table_file *file;
    struct xt_progress progress;
    pthread_mutex_t mutex; /* of progress and done */
    uint64_t done;         /* records */
    struct xt_tally tally; /* of everybody in the hot table */
    struct xt_failure *failure;
};

static enum xt_status stopped(const struct sealing *sealing)
{
    return xt_builder_stopped(sealing->builder)
               ? xt_fail(sealing->failure, XT_CLOSED, "interrupted; nothing was changed")
               : XT_OK;
}

static void add_progress(struct sealing *sealing, uint64_t records)
{
    pthread_mutex_lock(&sealing->mutex);
    sealing->done += records;
    xt_progress_look(&sealing->progress, sealing->done);
    pthread_mutex_unlock(&sealing->mutex);
}

static void end_progress(struct sealing *sealing, enum xt_status status)
{
    if (status == XT_OK) {
        xt_progress_finish(&sealing->progress);
    } else {
        xt_progress_break(&sealing->progress);
    }
}

/* ---- the tables ----------------------------------------------------------------------------- */

/* One table at work: a crew's tasks are its units. Counting and storing go in their order; reading,
 * sorting and sealing in between are done on all threads at once. */
struct table_work {
    struct sealing *sealing;
    unsigned table;
    const struct xt_sealer *sealer;
    struct xt_unit_plan plan;
    struct xt_order counting, storing;
    uint64_t ordinal;            /* the next; by counting, as are the records and the replaced */
    struct xt_table_sizes sizes; /* so far; the rest by storing */
    uint64_t replaced;
    struct xt_unit by_thread[XT_CREW_MAX];
};

/* Gives out the unit's ordinals. No two records of a table may be sealed under one. */
static enum xt_status count_unit(struct table_work *work, struct xt_unit *unit, uint64_t number,
                                 uint64_t *next)
{
    uint32_t pages = work->plan.pages / work->plan.units;
    uint32_t first = (uint32_t)number * pages;
    uint64_t needed = xt_unit_ordinals(unit, work->plan.pages, first, first + pages);
    enum xt_status status = xt_order_wait(&work->counting, number);
    if (status == XT_OK) {
        work->sizes.records += unit->records;
        work->replaced += unit->replaced;
        xt_table_writer_start(&unit->writer, work->sealer, work->plan.pages, first, first + pages,
                              work->ordinal);
        work->ordinal += needed;
        *next = work->ordinal;
    }
    return status;
}

static enum xt_status store_unit(struct table_work *work, const struct xt_unit *unit,
                                 uint64_t number, struct xt_failure *failure)
{
    enum xt_status status = xt_order_wait(&work->storing, number);
    if (status == XT_OK) {
        status = xt_table_writer_store(&unit->writer, work->sealing->file, work->table, failure);
        work->sizes.pages += unit->writer.totals.pages;
        work->sizes.disk_bytes += unit->writer.totals.disk_bytes;
    }
    return status;
}

static enum xt_status work_unit(void *context, unsigned thread, uint64_t number,
                                struct xt_failure *failure)
{
    struct table_work *work = context;
    const struct xt_builder *builder = work->sealing->builder;
    struct xt_unit *unit = &work->by_thread[thread];
    unsigned parts = XT_SPILL_PARTS / work->plan.units;
    uint64_t next = 0; /* ordinal after this unit's */
    enum xt_status status = xt_unit_load(builder, work->table, (unsigned)number * parts,
                                         ((unsigned)number + 1) * parts, unit, failure);
    if (status == XT_OK) {
        status = count_unit(work, unit, number, &next);
    }
    xt_order_pass(&work->counting, number, status);
    if (status == XT_OK) {
        status = xt_unit_seal(builder, work->table, unit, failure);
        xt_require(status != XT_OK || unit->writer.ordinal == next);
    }
    if (status == XT_OK) {
        status = store_unit(work, unit, number, failure);
    }
    xt_order_pass(&work->storing, number, status);
    if (status == XT_OK) {
        add_progress(work->sealing, unit->records);
    }
    return status;
}

static enum xt_status run_table(struct table_work *work)
{
    struct sealing *sealing = work->sealing;
    unsigned threads = xt_builder_threads(sealing->builder, work->plan.memory);
    xt_require(threads > 0); /* sorting looked */
    xt_order_init(&work->counting);
    xt_order_init(&work->storing);
    enum xt_status status =
        xt_crew_run(threads, work->plan.units, work_unit, work, sealing->failure);
    for (unsigned i = 0; i < threads; i++) {
        if (status == XT_OK) {
            status = xt_tally_add_all(&sealing->tally, &work->by_thread[i].tally, 1);
            if (status != XT_OK) {
                (void)xt_fail(sealing->failure, status, "cannot count people: out of memory");
            }
        }
        xt_unit_free(&work->by_thread[i]);
    }
    xt_order_destroy(&work->counting);
    xt_order_destroy(&work->storing);
    return status;
}

static enum xt_status open_sealer(const struct xt_builder *builder, unsigned table,
                                  struct xt_sealer **sealer, struct xt_failure *failure)
{
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status =
        xt_keyring_derive(builder->keyring, builder->manifest.key_id, XT_USE_GENERATION_SEAL, table,
                          builder->manifest.salt, key);
    xt_require(status == XT_OK); /* the hash key came from the same master key */
    status = xt_sealer_open(key, sealer);
    xt_wipe(key, sizeof(key));
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "cannot seal: out of memory");
}

/* Whether the table has as many pages as were foreseen is for the reader: they follow from counts that
 * are a little too high, of people who may be left out. */
static enum xt_status write_table(struct sealing *sealing, unsigned table)
{
    struct xt_builder *builder = sealing->builder;
    struct xt_manifest *manifest = &builder->manifest;
    struct xt_sealer *sealer = NULL;
    struct table_work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        return xt_fail(sealing->failure, XT_NO_MEMORY, "cannot seal: out of memory");
    }
    work->sealing = sealing;
    work->table = table;
    work->plan = xt_units_plan(builder, table);
    enum xt_status status = open_sealer(builder, table, &sealer, sealing->failure);
    if (status == XT_OK) {
        work->sealer = sealer;
        status = run_table(work);
    }
    if (status == XT_OK) {
        manifest->tables[table] = work->sizes;
        manifest->replaced += work->replaced;
        xt_spill_close(builder->spills[table]); /* gives its room back */
        builder->spills[table] = NULL;
    }
    xt_sealer_close(sealer);
    free(work);
    return status;
}

static enum xt_status write_tables(struct sealing *sealing, const char *path)
{
    struct xt_builder *builder = sealing->builder;
    struct xt_manifest *manifest = &builder->manifest;
    uint64_t records = 0;
    uint64_t at_most = XT_MANIFEST_MAX;
    uint64_t given_back = 0; /* what was spilled of a table goes once it is written */
    uint64_t room = 0;
    for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
        struct xt_spill_totals totals = xt_spill_totals(builder->spills[table]);
        records += totals.records;
        at_most += xt_table_bytes_at_most(totals.records, xt_units_plan(builder, table).bytes);
        uint64_t missing = at_most > given_back ? at_most - given_back : 0;
        room = missing > room ? missing : room;
        given_back += totals.disk_bytes;
    }
    enum xt_status status = xt_builder_room(builder, room, sealing->failure);
    if (status == XT_OK) {
        status = xt_table_file_create(path, at_most, &sealing->file, sealing->failure);
    }
    if (status != XT_OK) {
        return status;
    }
    sealing->done = 0;
    xt_progress_start(&sealing->progress, "sealing", "records", records, builder->options.quiet);
    for (unsigned table = 0; table < XT_TABLE_COUNT && status == XT_OK; table++) {
        status = write_table(sealing, table);
    }
    manifest->people = manifest->tables[XT_TABLE_HOT].records - manifest->replaced;
    manifest->aliases = manifest->tables[XT_TABLE_ALIAS].records;
    manifest->phones = manifest->tables[XT_TABLE_PHONE].records;
    end_progress(sealing, status);
    if (status == XT_OK) {
        status = xt_table_file_finish(sealing->file, sealing->failure);
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

/* ---- verifying ------------------------------------------------------------------------------ */

struct verification {
    struct sealing *sealing;
    struct xt_generation *generation;
    struct xt_sweep sweep;
    pthread_mutex_t mutex; /* of the failure */
};

/* A part's, told once: what all threads count in is slow to count in. */
struct verified {
    struct verification *verification;
    uint64_t records;
};

static enum xt_status count_record(void *context, struct xt_table_place place,
                                   enum xt_status status, struct xt_span record)
{
    struct verified *verified = context;
    struct verification *verification = verified->verification;
    (void)record;
    if (status != XT_OK) {
        pthread_mutex_lock(&verification->mutex);
        (void)xt_fail(verification->sealing->failure, status,
                      "what was written does not read back (page %u, record %u): check the disk "
                      "and the memory of this machine",
                      place.page, place.index);
        pthread_mutex_unlock(&verification->mutex);
        return status;
    }
    verified->records++;
    return XT_OK;
}

static enum xt_status verify_pages(void *context, unsigned thread, unsigned table, uint32_t from,
                                   uint32_t to)
{
    struct verified verified = {.verification = context};
    (void)thread;
    enum xt_status status = xt_table_walk_pages(verified.verification->generation->tables[table],
                                                from, to, count_record, &verified);
    xt_sweep_add(&verified.verification->sweep, verified.records);
    return status;
}

static enum xt_status sweep_tables(struct verification *verification)
{
    struct sealing *sealing = verification->sealing;
    const struct xt_builder *builder = sealing->builder;
    uint64_t expected = 0;
    verification->sweep = (struct xt_sweep){.file = verification->generation->file,
                                            .threads = builder->options.threads,
                                            .part = verify_pages,
                                            .context = verification,
                                            .progress = &sealing->progress};
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        expected += builder->manifest.tables[i].records;
        verification->sweep.pages[i] = (uint32_t)builder->manifest.tables[i].pages;
    }
    xt_progress_start(&sealing->progress, "verifying", "records", expected, builder->options.quiet);
    sealing->progress.interrupted = builder->options.stop;
    enum xt_status status = xt_sweep_run(&verification->sweep);
    if (status == XT_CLOSED) {
        status = stopped(sealing);
    } else if (status == XT_NO_MEMORY) {
        (void)xt_fail(sealing->failure, status, "cannot read back what was written: out of memory");
    } else if (status == XT_OK && verification->sweep.done != expected) {
        status =
            xt_fail(sealing->failure, XT_CORRUPT,
                    "what was written does not read back: %llu records in place of %llu",
                    (unsigned long long)verification->sweep.done, (unsigned long long)expected);
    }
    end_progress(sealing, status);
    return status;
}

/* The counts are read back as well. */
static enum xt_status verify_statistics(struct sealing *sealing)
{
    const struct xt_builder *builder = sealing->builder;
    struct xt_tally read = {.places = 0};
    enum xt_status status = xt_statistics_file_read(builder->folder, &builder->manifest,
                                                    builder->keyring, &read, sealing->failure);
    if (status == XT_OK && !xt_tally_is_same(&read, &sealing->tally)) {
        status = xt_fail(sealing->failure, XT_CORRUPT, "the statistics do not read back");
    }
    xt_tally_free(&read);
    return status;
}

/* Opens the finished folder as a reader would, and every record in it. */
static enum xt_status verify(struct sealing *sealing)
{
    const struct xt_builder *builder = sealing->builder;
    struct verification verification = {.sealing = sealing};
    enum xt_status status = xt_generation_open_folder(builder->folder, builder->keyring,
                                                      &verification.generation, sealing->failure);
    if (status != XT_OK) {
        return status;
    }
    pthread_mutex_init(&verification.mutex, NULL);
    status = sweep_tables(&verification);
    if (status == XT_OK) {
        status = verify_statistics(sealing);
    }
    pthread_mutex_destroy(&verification.mutex);
    xt_generation_close(verification.generation);
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

static enum xt_status write_generation(struct sealing *sealing)
{
    struct xt_builder *builder = sealing->builder;
    struct xt_failure *failure = sealing->failure;
    struct xt_structure structure = {.pages = NULL};
    struct timespec now;
    char path[XT_PATH_MAX];
    if (xt_path_join(path, builder->folder, XT_DATA_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = write_tables(sealing, path);
    if (status == XT_OK) {
        status = make_lasting(path, 0400, failure);
    }
    if (status == XT_OK) {
        uint64_t about = 0;
        for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
            about += builder->manifest.tables[i].disk_bytes;
        }
        xt_progress_start(&sealing->progress, "reading it back", "bytes", about,
                          builder->options.quiet);
        sealing->progress.interrupted = builder->options.stop;
        status = xt_table_file_survey(path, &sealing->progress, &builder->manifest.file_bytes,
                                      builder->manifest.digest, &structure, failure);
        end_progress(sealing, status);
    }
    if (status == XT_OK) {
        clock_gettime(CLOCK_REALTIME, &now);
        builder->manifest.made_unix_ms =
            (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        share_tree(&builder->manifest);
        status = xt_manifest_write(builder->folder, &builder->manifest, &structure,
                                   builder->keyring, failure);
    }
    if (status == XT_OK) {
        status = xt_statistics_file_write(builder->folder, &builder->manifest, builder->keyring,
                                          &sealing->tally, failure);
    }
    xt_structure_free(&structure);
    return status;
}

enum xt_status xt_builder_seal(struct xt_builder *builder, struct xt_manifest *manifest,
                               struct xt_failure *failure)
{
    xt_require(builder->sorted);
    struct sealing sealing = {.builder = builder, .failure = failure};
    pthread_mutex_init(&sealing.mutex, NULL);
    enum xt_status status = write_generation(&sealing);
    if (status == XT_OK) {
        status = verify(&sealing);
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
    xt_tally_free(&sealing.tally);
    pthread_mutex_destroy(&sealing.mutex);
    if (status != XT_OK) {
        return status;
    }
    *manifest = builder->manifest;
    /* The switch is done: what cannot be cleared up now goes after the next import. */
    status = xt_identity_clear(builder->dir, manifest->number, builder->before, NULL);
    return status == XT_OK ? status : XT_OK;
}
