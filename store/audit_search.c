#include "store/audit_search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/audit_internal.h"
#include "store/audit_reader.h"

#define MS_PER_DAY 86400000ULL

/* ---- time ------------------------------------------------------------------------------------- */

/* digits ASCII digits at *text. */
static bool take_number(const char **text, unsigned digits, unsigned *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++, (*text)++) {
        unsigned digit = (unsigned)(unsigned char)**text - '0';
        if (digit > 9) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    return true;
}

static bool take_sign(const char **text, char sign)
{
    bool is = **text == sign;
    *text += is;
    return is;
}

/* Z, or the distance from UTC in minutes. */
static bool take_zone(const char **text, int *minutes)
{
    unsigned hours, rest;
    *minutes = 0;
    if (**text == 0 || take_sign(text, 'Z')) {
        return true;
    }
    int sign = take_sign(text, '-') ? -1 : 1;
    if ((sign == 1 && !take_sign(text, '+')) || !take_number(text, 2, &hours) ||
        !take_sign(text, ':') || !take_number(text, 2, &rest) || hours > 14 || rest > 59) {
        return false;
    }
    *minutes = sign * (int)(hours * 60 + rest);
    return true;
}

bool xt_audit_time_parse(const char *text, uint64_t *unix_ms)
{
    xt_date date;
    unsigned hour = 0, minute = 0, second = 0, ms = 0;
    int zone = 0;
    if (strlen(text) < 10 || xt_date_parse(xt_span_of(text, 10), &date) != XT_OK ||
        !xt_date_is_full(date) || xt_date_to_days(date) < 1) {
        return false;
    }
    const char *rest = text + 10;
    if (*rest != 0) {
        if (!take_sign(&rest, 'T') || !take_number(&rest, 2, &hour) || !take_sign(&rest, ':') ||
            !take_number(&rest, 2, &minute) || !take_sign(&rest, ':') ||
            !take_number(&rest, 2, &second) || hour > 23 || minute > 59 || second > 59) {
            return false;
        }
        if (take_sign(&rest, '.') && !take_number(&rest, 3, &ms)) {
            return false;
        }
        if (!take_zone(&rest, &zone) || *rest != 0) {
            return false;
        }
    }
    int64_t seconds = (int64_t)hour * 3600 + minute * 60 + second - (int64_t)zone * 60;
    *unix_ms =
        (uint64_t)((int64_t)((uint64_t)xt_date_to_days(date) * MS_PER_DAY + ms) + seconds * 1000);
    return *unix_ms < XT_AUDIT_MS_END;
}

/* ---- the index -------------------------------------------------------------------------------- */

struct index {
    uint64_t from_ms;
    struct xt_audit_known
        begin; /* of each segment the last state with nothing of from_ms or later */
    bool short_of_memory;
};

static void note_begin(void *context, const struct xt_audit_checkpoint *checkpoint, uint64_t offset)
{
    (void)offset;
    struct index *index = context;
    struct xt_audit_row row;
    for (uint32_t i = 0; i < checkpoint->rows; i++) {
        if (xt_audit_checkpoint_row(checkpoint, i, &row) == XT_OK && row.kind == XT_AUDIT_OPEN &&
            row.state.last_ms < index->from_ms &&
            xt_audit_known_apply(&index->begin, &row) == XT_NO_MEMORY) {
            index->short_of_memory = true;
        }
    }
}

/* ---- one segment ------------------------------------------------------------------------------ */

struct search {
    const struct xt_audit_query *query;
    const struct xt_keyring *keyring;
    struct xt_audit_walk walk;
    struct index index;
    xt_audit_found found;
    void *context;
    struct xt_audit_tally *tally;
    struct xt_failure *failure;
};

static bool overlaps(const struct xt_audit_query *query, uint64_t first_ms, uint64_t last_ms)
{
    return last_ms >= query->from_ms && (query->to_ms == 0 || first_ms < query->to_ms);
}

static bool matches(const struct xt_audit_query *query, const struct xt_audit_entry *entry,
                    const uint8_t subject[XT_PSEUDONYM_BYTES])
{
    return overlaps(query, entry->unix_ms, entry->unix_ms) &&
           (query->partner.size == 0 || xt_span_equal(query->partner, entry->partner)) &&
           (!query->has_answer ||
            memcmp(query->answer_id, entry->answer_id, XT_AUDIT_ANSWER_ID) == 0) &&
           (!query->has_subject ||
            (entry->has_subject && xt_secret_equal(subject, entry->subject, XT_PSEUDONYM_BYTES)));
}

static enum xt_status look_through(struct search *search, struct xt_span plain,
                                   const uint8_t subject[XT_PSEUDONYM_BYTES])
{
    struct xt_audit_entry entry;
    while (xt_audit_entry_next(&plain, &entry) == XT_OK) { /* they were all checked before */
        search->tally->read++;
        if (matches(search->query, &entry, subject)) {
            search->tally->found++;
            enum xt_status status = search->found(search->context, &entry, search->failure);
            if (status != XT_OK) {
                return status;
            }
        }
    }
    return XT_OK;
}

static enum xt_status read_segment(struct search *search, struct xt_audit_reader *reader,
                                   const char *name)
{
    const struct xt_audit_query *query = search->query;
    uint8_t subject[XT_PSEUDONYM_BYTES] = {0};
    struct xt_audit_batch batch;
    struct xt_span plain;
    const char *what = "this is no batch";
    const struct xt_audit_header *header = xt_audit_reader_header(reader);
    const struct xt_audit_row *begin = xt_audit_known_find(&search->index.begin, header->id);
    if (begin != NULL) {
        xt_audit_reader_seek(reader, &begin->state);
    }
    if (query->has_subject) {
        xt_audit_keys_subject(xt_audit_reader_keys(reader), query->subject, subject);
    }
    enum xt_status status;
    while ((status = xt_audit_reader_peek(reader, &batch)) == XT_OK) {
        if (query->interrupted != NULL && *query->interrupted != 0) {
            return xt_fail(search->failure, XT_CLOSED, "interrupted");
        }
        if (!overlaps(query, batch.first_ms, batch.last_ms)) {
            xt_audit_reader_skip(reader, &batch);
            continue;
        }
        status = xt_audit_reader_take(reader, &batch, &plain, &what);
        if (status != XT_OK) {
            break;
        }
        status = look_through(search, plain, subject);
        if (status != XT_OK) {
            return status;
        }
    }
    /* A batch that is not whole is being written, or torn: nobody was answered by it. */
    return status == XT_NOT_FOUND || status == XT_AGAIN
               ? XT_OK
               : xt_fail(search->failure, XT_CORRUPT,
                         "%s is damaged at byte %llu (%s): see xacthuc audit verify", name,
                         (unsigned long long)xt_audit_reader_state(reader)->bytes, what);
}

/* Those that the checkpoints close tell when their entries are of. */
static bool may_hold(const struct search *search, const char *name)
{
    const struct xt_audit_row *row = xt_audit_known_by_name(&search->walk.known, name);
    if (row == NULL || row->kind == XT_AUDIT_OPEN) {
        return true;
    }
    return row->kind == XT_AUDIT_CLOSED && row->state.entries > 0 &&
           overlaps(search->query, row->state.first_ms, row->state.last_ms);
}

static enum xt_status search_file(struct search *search, const char *dir, const char *name)
{
    char path[XT_PATH_MAX];
    struct xt_audit_reader *reader = NULL;
    if (!may_hold(search, name)) {
        return XT_OK;
    }
    enum xt_status status = xt_audit_path(dir, name, path, search->failure);
    if (status != XT_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT
                   ? XT_OK /* expired meanwhile */
                   : xt_fail(search->failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    status = xt_audit_reader_open(fd, search->keyring, &reader);
    if (status == XT_AGAIN) {
        return XT_OK; /* nothing was written to it yet */
    }
    if (status != XT_OK) {
        return xt_fail(
            search->failure, status == XT_NOT_FOUND ? XT_DENIED : status, "%s %s", name,
            status == XT_NOT_FOUND
                ? "is sealed under a master key that keys/master.keys has not: restore it"
                : "cannot be read: see xacthuc audit verify");
    }
    search->tally->segments++;
    status = read_segment(search, reader, name);
    xt_audit_reader_close(reader);
    return status;
}

static enum xt_status read_index(struct search *search, const char *dir)
{
    char path[XT_PATH_MAX];
    struct xt_audit_snapshot list = {.fd = -1};
    enum xt_status status = xt_audit_path(dir, "checkpoints", path, search->failure);
    if (status != XT_OK) {
        return status;
    }
    list.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (list.fd < 0) {
        return XT_OK; /* without an index all is read */
    }
    off_t size = lseek(list.fd, 0, SEEK_END);
    list.size = size > 0 ? (uint64_t)size : 0;
    status = xt_audit_walk(&search->walk, &list, NULL, note_begin, &search->index, search->failure);
    close(list.fd);
    if (search->index.short_of_memory) {
        return xt_fail(search->failure, XT_NO_MEMORY, "out of memory");
    }
    /* A damaged list is an index that ends early: more is read, nothing is missed. */
    return status == XT_CORRUPT ? XT_OK : status;
}

enum xt_status xt_audit_search(const char *dir, const struct xt_keyring *keyring,
                               const struct xt_audit_query *query, xt_audit_found found,
                               void *context, struct xt_audit_tally *tally,
                               struct xt_failure *failure)
{
    struct search search = {.query = query,
                            .keyring = keyring,
                            .index = {.from_ms = query->from_ms},
                            .found = found,
                            .context = context,
                            .tally = tally,
                            .failure = failure};
    struct xt_audit_file *files = NULL;
    struct xt_failure first = {.text = ""};
    size_t count = 0;
    bool damaged = false;
    *tally = (struct xt_audit_tally){.found = 0};
    enum xt_status status = read_index(&search, dir);
    if (status == XT_OK) {
        status = xt_audit_files(dir, &files, &count, failure);
    }
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        status = search_file(&search, dir, files[i].name);
        if (status == XT_CORRUPT) { /* the rest is worth having */
            if (!damaged && failure != NULL) {
                first = *failure;
            }
            damaged = true;
            status = XT_OK;
        }
    }
    free(files);
    xt_audit_known_free(&search.walk.known);
    xt_audit_known_free(&search.index.begin);
    return status != XT_OK || !damaged ? status : xt_fail(failure, XT_CORRUPT, "%s", first.text);
}
