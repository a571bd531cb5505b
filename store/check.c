#include "store/check.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/file.h"
#include "store/check_records.h"
#include "store/crew.h"
#include "store/identity.h"
#include "store/manifest.h"
#include "store/statistics_file.h"
#include "store/sweep.h"

/* One check at work. */
struct check {
    const struct xt_check_plan *plan;
    struct xt_generation *generation;
    const struct xt_keyring *keyring;
    const char *folder;             /* of the generation */
    struct xt_check_report *report; /* under the lock while threads work */
    pthread_mutex_t lock;
    struct xt_sweep sweep;
    struct thread *threads; /* one each */
    uint64_t seen[XT_TABLE_COUNT];
};

/* What one thread has of its own. */
struct thread {
    struct check *check;
    struct xt_check_reader reader;
    uint64_t seen; /* records of this part */
};

void xt_damage_text(const struct xt_damage *damage, char *text, size_t size)
{
    if (damage->table == NULL) {
        (void)snprintf(text, size, "%s", damage->what);
    } else if (damage->record == UINT32_MAX) {
        (void)snprintf(text, size, "table %s, page %u (at byte %llu of %s): %s", damage->table,
                       damage->page, (unsigned long long)damage->offset, XT_DATA_NAME,
                       damage->what);
    } else {
        (void)snprintf(text, size, "table %s, page %u, record %u (at byte %llu of %s): %s",
                       damage->table, damage->page, damage->record,
                       (unsigned long long)damage->offset, XT_DATA_NAME, damage->what);
    }
}

/* ---- findings ----------------------------------------------------------------------------- */

static void note(struct check *check, struct xt_damage damage)
{
    pthread_mutex_lock(&check->lock);
    struct xt_check_report *report = check->report;
    if (report->listed < XT_CHECK_LISTED_MAX) {
        report->damages[report->listed++] = damage;
    }
    report->damaged++;
    pthread_mutex_unlock(&check->lock);
}

static void note_at(struct check *check, unsigned table, struct xt_table_place place,
                    const char *what)
{
    uint64_t offset = xt_table_file_offset(check->generation->file, table, place.page) +
                      xt_table_place_offset(check->generation->tables[table], place);
    note(check, (struct xt_damage){xt_table_name(table), place.page, place.index, offset, what});
}

static unsigned rank(const struct xt_damage *damage)
{
    unsigned table = 0;
    while (table < XT_TABLE_COUNT && xt_table_name(table) != damage->table) {
        table++; /* of the file: behind all tables */
    }
    return table;
}

/* By table, page and record; a page comes before its records. */
static int compare_damages(const void *first, const void *second)
{
    const struct xt_damage *a = first, *b = second;
    unsigned rank_a = rank(a), rank_b = rank(b);
    uint32_t record_a = a->record + 1, record_b = b->record + 1; /* UINT32_MAX becomes 0 */
    if (rank_a != rank_b) {
        return rank_a < rank_b ? -1 : 1;
    }
    if (a->page != b->page) {
        return a->page < b->page ? -1 : 1;
    }
    return record_a < record_b ? -1 : record_a > record_b;
}

static void sort_damages(struct xt_check_report *report)
{
    qsort(report->damages, report->listed, sizeof(report->damages[0]), compare_damages);
}

/* ---- records ------------------------------------------------------------------------------ */

static void on_record(void *context, struct xt_table_place place, const char *what)
{
    struct thread *thread = context;
    note_at(thread->check, thread->reader.table, place, what);
}

static enum xt_status visit(void *context, struct xt_table_place place, enum xt_status status,
                            struct xt_span record)
{
    struct thread *thread = context;
    thread->seen++;
    if (status == XT_OK) {
        xt_check_record(&thread->reader, place, record);
    } else {
        on_record(thread, place,
                  place.index == UINT32_MAX ? "the page does not add up"
                                            : "the record does not open");
    }
    return XT_OK;
}

static enum xt_status check_part(void *context, unsigned number, unsigned table, uint32_t from,
                                 uint32_t to)
{
    struct check *check = context;
    struct thread *thread = &check->threads[number];
    thread->seen = 0;
    thread->reader.table = table;
    enum xt_status status =
        xt_table_walk_pages(check->generation->tables[table], from, to, visit, thread);
    xt_check_flush(&thread->reader);
    xt_sweep_add(&check->sweep, thread->seen);
    pthread_mutex_lock(&check->lock);
    check->seen[table] += thread->seen;
    pthread_mutex_unlock(&check->lock);
    return status;
}

static enum xt_status sweep_tables(struct check *check)
{
    const struct xt_manifest *manifest = &check->generation->manifest;
    struct xt_progress progress;
    uint64_t expected = 0;
    enum xt_status status = XT_OK;
    check->sweep = (struct xt_sweep){.file = check->generation->file,
                                     .threads = xt_crew_processors(),
                                     .part = check_part,
                                     .context = check,
                                     .progress = &progress};
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        check->sweep.pages[i] = (uint32_t)manifest->tables[i].pages;
        expected += manifest->tables[i].records;
    }
    check->threads = calloc(check->sweep.threads, sizeof(*check->threads));
    if (check->threads == NULL) {
        return XT_NO_MEMORY;
    }
    for (unsigned i = 0; i < check->sweep.threads && status == XT_OK; i++) {
        check->threads[i].check = check;
        status = xt_check_reader_open(check->generation, on_record, &check->threads[i],
                                      &check->threads[i].reader);
    }
    if (status == XT_OK) {
        xt_progress_start(&progress, "checking records", "records", expected, check->plan->quiet);
        progress.interrupted = check->plan->interrupted;
        status = xt_sweep_run(&check->sweep);
        if (status == XT_OK) {
            xt_progress_finish(&progress);
        } else {
            xt_progress_break(&progress);
        }
    }
    return status;
}

/* Of a sound generation the counts are known. */
static void check_counts(struct check *check)
{
    const struct xt_manifest *manifest = &check->generation->manifest;
    struct xt_check_report *report = check->report;
    const struct xt_table_place nowhere = {0, UINT32_MAX, 0};
    uint64_t replaced = 0;
    for (unsigned i = 0; i < check->sweep.threads; i++) {
        report->people += check->threads[i].reader.people;
        replaced += check->threads[i].reader.replaced;
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        report->records += check->seen[i];
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT && report->damaged == 0; i++) {
        if (check->seen[i] != manifest->tables[i].records) {
            note_at(check, i, nowhere, "its number of records is not the manifest's");
        }
    }
    if (report->damaged == 0 &&
        (report->people != manifest->people || replaced != manifest->replaced)) {
        note_at(check, XT_TABLE_HOT, nowhere, "its number of people is not the manifest's");
    }
}

/* The statistics are those of the people. Generations of older programs have none. */
static enum xt_status check_statistics(struct check *check)
{
    struct xt_tally told = {.places = 0};
    struct xt_tally counted = {.places = 0};
    struct xt_failure unused;
    bool untold = false;
    enum xt_status read = xt_statistics_file_read(check->folder, &check->generation->manifest,
                                                  check->keyring, &told, &unused);
    enum xt_status status = read == XT_NO_MEMORY ? read : XT_OK;
    for (unsigned i = 0; i < check->sweep.threads && status == XT_OK; i++) {
        untold = untold || check->threads[i].reader.untold;
        status = xt_tally_add_all(&counted, &check->threads[i].reader.tally, 1);
    }
    status = untold ? XT_NO_MEMORY : status;
    if (status == XT_OK && read != XT_OK && read != XT_NOT_FOUND) {
        note(check, (struct xt_damage){.what = "the file of statistics cannot be read"});
    } else if (status == XT_OK && read == XT_OK && check->report->damaged == 0 &&
               !xt_tally_is_same(&told, &counted)) {
        note(check, (struct xt_damage){.what = "the statistics are not those of the people"});
    }
    xt_tally_free(&counted);
    xt_tally_free(&told);
    return status;
}

static enum xt_status check_records(struct check *check, struct xt_failure *failure)
{
    enum xt_status status = sweep_tables(check);
    if (status == XT_OK) {
        check_counts(check);
        status = check_statistics(check);
    }
    for (unsigned i = 0; check->threads != NULL && i < check->sweep.threads; i++) {
        xt_check_reader_close(&check->threads[i].reader);
    }
    free(check->threads);
    return status == XT_OK          ? XT_OK
           : status == XT_CLOSED    ? xt_fail(failure, status, "interrupted")
           : status == XT_NO_MEMORY ? xt_fail(failure, status, "out of memory")
                                    : xt_fail(failure, status, "%s", xt_status_name(status));
}

/* ---- all of it ---------------------------------------------------------------------------- */

static enum xt_status check_digest(struct check *check, const char *path, bool *sound,
                                   struct xt_failure *failure)
{
    const struct xt_manifest *manifest = &check->generation->manifest;
    uint64_t bytes;
    uint8_t digest[XT_DIGEST_BYTES];
    struct xt_progress progress;
    xt_progress_start(&progress, "reading the file", "bytes", manifest->file_bytes,
                      check->plan->quiet);
    progress.interrupted = check->plan->interrupted;
    enum xt_status status = xt_table_file_survey(path, &progress, &bytes, digest, NULL, failure);
    if (status != XT_OK) {
        xt_progress_break(&progress);
        return status;
    }
    xt_progress_finish(&progress);
    *sound = memcmp(digest, manifest->digest, sizeof(digest)) == 0;
    return XT_OK;
}

/* It has ended early: what was found until then stays in the list. */
static enum xt_status fail_early(struct xt_check_report *report, enum xt_status status,
                                 struct xt_failure *failure)
{
    struct xt_failure reason = *failure;
    if (report->damaged == 0) {
        return status;
    }
    sort_damages(report);
    return xt_fail(failure, status,
                   "%.200s; the check is incomplete: %llu damaged %s found until then", reason.text,
                   (unsigned long long)report->damaged,
                   report->damaged == 1 ? "place was" : "places were");
}

static enum xt_status check_opened(struct check *check, const char *path,
                                   struct xt_failure *failure)
{
    bool sound = false;
    struct xt_check_report *report = check->report;
    /* The digest first: it reads the file from end to end, and leaves it in the page cache. */
    enum xt_status status = check_digest(check, path, &sound, failure);
    if (status == XT_OK) {
        status = check_records(check, failure);
    }
    if (status != XT_OK) {
        return fail_early(report, status, failure);
    }
    if (!sound && report->damaged == 0) {
        note(check, (struct xt_damage){.what = "the file differs from what was sealed, but every "
                                               "record in it is sound"});
    }
    if (report->damaged == 0) {
        return XT_OK;
    }
    sort_damages(report);
    char text[256];
    xt_damage_text(&report->damages[0], text, sizeof(text));
    return xt_fail(failure, XT_CORRUPT, "%s", text);
}

enum xt_status xt_generation_check(const char *dir, uint32_t number,
                                   const struct xt_keyring *keyring,
                                   const struct xt_check_plan *plan, struct xt_check_report *report,
                                   struct xt_failure *failure)
{
    static const struct xt_check_plan quiet = {.quiet = true};
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    struct check check = {.plan = plan != NULL ? plan : &quiet,
                          .keyring = keyring,
                          .folder = folder,
                          .report = report};
    report->people = report->records = report->damaged = 0;
    report->listed = 0;
    xt_identity_name(number, name);
    enum xt_status status = xt_identity_path(dir, name, folder, failure);
    if (status == XT_OK && xt_path_join(path, folder, XT_DATA_NAME) != XT_OK) {
        status = xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    if (status == XT_OK) {
        status = xt_generation_open(dir, number, keyring, &check.generation, failure);
    }
    if (status != XT_OK) {
        report->damaged = status == XT_CORRUPT;
        return status;
    }
    pthread_mutex_init(&check.lock, NULL);
    status = check_opened(&check, path, failure);
    pthread_mutex_destroy(&check.lock);
    xt_generation_close(check.generation);
    return status;
}
