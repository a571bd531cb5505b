#include <stdio.h>

#include "crypto/file.h"
#include "store/generation_internal.h"
#include "store/identity.h"
#include "store/manifest.h"

/* One check at work. The table being walked and the lookups that compare it with the others use the
 * same generation; only the walk's own record is kept across them. */
struct check {
    struct xt_generation *generation;
    unsigned table;
    struct xt_table_place place;
    struct xt_check_report *report;
    struct xt_failure *failure;
    struct xt_progress progress;
    uint64_t replaced, links, seen;
};

/* Notes one finding; the first is the one that is told. */
static enum xt_status damaged(struct check *check, const char *what)
{
    struct xt_check_report *report = check->report;
    if (report->damaged++ == 0) {
        report->table = xt_table_name(check->table);
        report->page = check->place.page;
        report->record = check->place.index;
        if (check->place.index == UINT32_MAX) {
            (void)xt_fail(check->failure, XT_CORRUPT, "table %s, page %u: %s", report->table,
                          check->place.page, what);
        } else {
            (void)xt_fail(check->failure, XT_CORRUPT, "table %s, page %u, record %u: %s",
                          report->table, check->place.page, check->place.index, what);
        }
    }
    return XT_OK; /* on to the next record */
}

static bool is_at_home(const struct check *check, struct xt_id id)
{
    struct xt_hash hash = xt_key_hash(check->generation->hash_key, id);
    struct xt_table_place home = xt_table_place_of(check->generation->tables[check->table], hash);
    return home.page == check->place.page && home.tag == check->place.tag;
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

/* Cross-checks below let a record pass that does not open: the walk over its own table tells of it,
 * with its own place. */

/* Whether a living number (not a replaced one) is in the hot table. */
static bool is_person(struct check *check, uint64_t number, struct xt_found *found)
{
    enum xt_status status = xt_generation_find(check->generation, personal(number), found);
    return status == XT_CORRUPT || (status == XT_OK && found->found && !found->by_alias);
}

/* Whether a CMND leads to a person. A cancelled one (any: whoever else holds it stands for him) is left
 * out of it where somebody else holds it. A CMND shared by several answers as unknown, so its record is looked at here by hand. */
static bool cmnd_names(struct check *check, uint32_t cmnd, uint64_t number, bool any)
{
    struct xt_generation *generation = check->generation;
    struct xt_id id = {.kind = XT_ID_CMND, .value = cmnd};
    struct xt_hash hash = xt_key_hash(generation->hash_key, id);
    uint32_t cursor = 0;
    for (;;) {
        size_t size;
        struct xt_alias alias;
        enum xt_status status = xt_table_get(generation->tables[XT_TABLE_ALIAS], hash, &cursor,
                                             generation->record, &size);
        if (status != XT_OK) {
            return status == XT_CORRUPT;
        }
        if (xt_alias_decode(xt_span_of(generation->record, size), &alias) != XT_OK ||
            alias.old.kind != XT_ID_CMND || alias.old.value != cmnd) {
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

static enum xt_status check_hot(struct check *check, struct xt_span record)
{
    struct xt_alias alias;
    struct xt_hot hot;
    struct xt_found found;
    enum xt_status status = xt_redirect_decode(record, &alias);
    if (status == XT_OK) {
        check->replaced++;
        if (alias.count != 1 || !is_at_home(check, alias.old)) {
            return damaged(check, "a replaced number is not where it belongs");
        }
        return is_person(check, alias.people[0], &found)
                   ? XT_OK
                   : damaged(check, "a replaced number names nobody");
    }
    if (status != XT_NOT_FOUND || xt_hot_decode(record, &hot) != XT_OK) {
        return damaged(check, "the record does not decode");
    }
    check->report->people++;
    if (!is_at_home(check, personal(hot.number))) {
        return damaged(check, "the record is not where it belongs");
    }
    struct xt_links links;
    unsigned types = 0;
    status = xt_generation_links(check->generation, hot.number, &links);
    for (unsigned i = 0; i < links.count; i++) {
        types |= 1U << links.links[i].type;
    }
    if (status != XT_CORRUPT && types != hot.link_types) {
        return damaged(check, "its cold part does not fit");
    }
    if (hot.has_cmnd && !cmnd_names(check, hot.cmnd, hot.number, hot.life == XT_LIFE_CANCELLED)) {
        return damaged(check, "its CMND does not lead to it");
    }
    return XT_OK;
}

static enum xt_status check_cold(struct check *check, struct xt_span record)
{
    struct xt_person person;
    struct xt_found found;
    if (xt_cold_decode(record, &person) != XT_OK) {
        return damaged(check, "the record does not decode");
    }
    if (!is_at_home(check, personal(person.number))) {
        return damaged(check, "the record is not where it belongs");
    }
    return is_person(check, person.number, &found) ? XT_OK
                                                   : damaged(check, "its hot part is missing");
}

static enum xt_status check_alias(struct check *check, struct xt_span record)
{
    struct xt_alias alias;
    if (xt_alias_decode(record, &alias) != XT_OK || alias.old.kind != XT_ID_CMND) {
        return damaged(check, "the record does not decode");
    }
    if (!is_at_home(check, alias.old)) {
        return damaged(check, "the record is not where it belongs");
    }
    for (unsigned i = 0; i < alias.count; i++) {
        struct xt_found found = {.found = false};
        if (!is_person(check, alias.people[i], &found) ||
            (found.found && (!found.hot.has_cmnd || found.hot.cmnd != alias.old.value))) {
            return damaged(check, "it names somebody who does not have this CMND");
        }
    }
    return XT_OK;
}

static enum xt_status check_record(void *context, struct xt_table_place place,
                                   enum xt_status status, struct xt_span record)
{
    struct check *check = context;
    check->place = place;
    check->seen++;
    xt_progress_set(&check->progress, ++check->report->records);
    if (status != XT_OK) {
        return damaged(check, place.index == UINT32_MAX ? "the page does not add up"
                                                        : "the record does not open");
    }
    return check->table == XT_TABLE_HOT    ? check_hot(check, record)
           : check->table == XT_TABLE_COLD ? check_cold(check, record)
                                           : check_alias(check, record);
}

static enum xt_status check_tables(struct check *check, bool quiet)
{
    const struct xt_manifest *manifest = &check->generation->manifest;
    uint64_t expected = 0;
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        expected += manifest->tables[i].records;
    }
    xt_progress_start(&check->progress, "checking records", "records", expected, quiet);
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < XT_TABLE_COUNT && status == XT_OK; i++) {
        check->table = i;
        check->seen = 0;
        status = xt_table_walk(check->generation->tables[i], check_record, check);
        if (status == XT_OK && check->report->damaged == 0 &&
            check->seen != manifest->tables[i].records) {
            check->place = (struct xt_table_place){0, UINT32_MAX, 0};
            status = damaged(check, "its number of records is not the manifest's");
        }
    }
    if (status == XT_OK && check->report->damaged == 0 &&
        (check->report->people != manifest->people || check->replaced != manifest->replaced)) {
        check->table = XT_TABLE_HOT;
        check->place = (struct xt_table_place){0, UINT32_MAX, 0};
        status = damaged(check, "its number of people is not the manifest's");
    }
    xt_progress_finish(&check->progress);
    return status == XT_OK ? XT_OK : xt_fail(check->failure, status, "out of memory");
}

static enum xt_status check_digest(struct check *check, const char *path, bool quiet)
{
    const struct xt_manifest *manifest = &check->generation->manifest;
    uint64_t bytes;
    uint8_t digest[XT_DIGEST_BYTES];
    struct xt_failure failure;
    xt_progress_start(&check->progress, "reading the file", "bytes", manifest->file_bytes, quiet);
    enum xt_status status =
        xt_table_file_survey(path, &check->progress, &bytes, digest, NULL, &failure);
    if (status != XT_OK) {
        return xt_fail(check->failure, status, "%s", failure.text);
    }
    xt_progress_finish(&check->progress);
    if (memcmp(digest, manifest->digest, sizeof(digest)) != 0 && check->report->damaged++ == 0) {
        (void)xt_fail(check->failure, XT_CORRUPT,
                      "%s differs from what was sealed, but every record in it is sound", path);
    }
    return XT_OK;
}

enum xt_status xt_generation_check(const char *dir, uint32_t number,
                                   const struct xt_keyring *keyring, bool quiet,
                                   struct xt_check_report *report, struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    struct xt_failure first;
    *report = (struct xt_check_report){.table = NULL};
    struct check check = {.report = report, .failure = &first};
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
    /* Records first: they tell where the damage is; the digest only that there is some. */
    status = check_tables(&check, quiet);
    if (status == XT_OK) {
        status = check_digest(&check, path, quiet);
    }
    xt_generation_close(check.generation);
    if (status == XT_OK && report->damaged > 0) {
        status = XT_CORRUPT;
    }
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "%s", first.text);
}
