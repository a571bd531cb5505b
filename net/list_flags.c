#include "net/list_flags.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/phone.h"
#include "crypto/file.h"
#include "crypto/keyhash.h"
#include "crypto/keyring.h"
#include "store/sort.h"
#include "store/spill.h"

#define PART_MAX (1ULL << 30) /* bytes of lines that are looked at together */

enum { BY_ID, BY_PHONE, SPILLS };

/* What the other one of a line is: the phone of an id, the id of a phone. */
struct other {
    uint64_t hash; /* 0: none */
    uint64_t zero;
    uint64_t line;
};

struct flags {
    struct xt_list_counts *counts;
    struct xt_spill *spill[SPILLS];
    struct xt_spill_writer *writer[SPILLS];
    uint64_t records[SPILLS][XT_SPILL_PARTS];
    struct xt_spill_load load;
    struct xt_memory others;
    FILE *out;
    uint8_t *key;
};

/* ---- reading ------------------------------------------------------------------------------------ */

static enum xt_status keep(struct flags *flags, unsigned by, struct xt_hash hash, uint64_t line,
                           uint64_t other, struct xt_failure *failure)
{
    flags->records[by][hash.high / (UINT64_MAX / XT_SPILL_PARTS + 1)]++;
    return xt_spill_add(flags->writer[by], hash.high, hash.low, line, 0,
                        xt_span_of(&other, sizeof(other)), failure);
}

static enum xt_status add(struct flags *flags, const struct xt_list_item *item,
                          struct xt_failure *failure)
{
    struct xt_id id;
    struct xt_id phone = {.kind = XT_ID_PHONE};
    uint32_t digits = 0;
    if (item->code != NULL || xt_id_parse(item->id, &id) != XT_OK) {
        return XT_OK;
    }
    bool has_phone = xt_phone_parse(item->phone, &digits) == XT_OK;
    phone.value = digits;
    struct xt_hash by_id = xt_key_hash(flags->key, id);
    struct xt_hash by_phone = has_phone ? xt_key_hash(flags->key, phone) : (struct xt_hash){0, 0};
    /* The other's hash stands for it in its low half, and is never 0. */
    enum xt_status status =
        keep(flags, BY_ID, by_id, item->number, has_phone ? by_phone.low | 1 : 0, failure);
    if (status == XT_OK && has_phone) {
        status = keep(flags, BY_PHONE, by_phone, item->number, by_id.low | 1, failure);
    }
    return status;
}

static enum xt_status read_all(struct flags *flags, struct xt_list_input *input,
                               struct xt_progress *progress, struct xt_failure *failure)
{
    struct xt_list_item item;
    uint64_t lines = 0;
    enum xt_status status;
    while ((status = xt_list_input_next(input, &item, failure)) == XT_OK) {
        status = add(flags, &item, failure);
        if (status != XT_OK) {
            return status;
        }
        xt_progress_set(progress, ++lines);
        if (xt_progress_interrupted(progress)) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
    }
    for (unsigned i = 0; status == XT_CLOSED && i < SPILLS; i++) {
        enum xt_status flushed = xt_spill_flush(flags->writer[i], failure);
        status = flushed == XT_OK ? XT_CLOSED : flushed;
    }
    return status == XT_CLOSED ? XT_OK : status;
}

/* ---- telling ------------------------------------------------------------------------------------ */

/* One flag and its lines, in their order; one_of_each: the first line of each other. */
static void tell(struct flags *flags, const char *flag, const struct other *others, size_t count,
                 bool one_of_each)
{
    uint64_t lines[XT_LIST_FLAG_LINES];
    size_t told = 0, more = 0;
    for (size_t i = 0; i < count; i++) {
        if (one_of_each && i > 0 && others[i].hash == others[i - 1].hash) {
            continue;
        }
        if (told == XT_LIST_FLAG_LINES) {
            more++;
            continue;
        }
        size_t at = told++;
        for (; at > 0 && lines[at - 1] > others[i].line; at--) {
            lines[at] = lines[at - 1];
        }
        lines[at] = others[i].line;
    }
    fprintf(flags->out, "{\"flag\":\"%s\",\"lines\":[", flag);
    for (size_t i = 0; i < told; i++) {
        fprintf(flags->out, "%s%llu", i == 0 ? "" : ",", (unsigned long long)lines[i]);
    }
    if (more > 0) {
        fprintf(flags->out, "],\"more\":%zu}\n", more);
    } else {
        fputs("]}\n", flags->out);
    }
}

/* The lines of one id, or of one phone, sorted by what they say of the other. */
static void look_at(struct flags *flags, unsigned by, const struct other *others, size_t count)
{
    size_t kinds = 0;
    for (size_t from = 0, to; from < count; from = to) {
        to = from + 1;
        while (to < count && others[to].hash == others[from].hash) {
            to++;
        }
        kinds += others[from].hash != 0;
        if (by == BY_ID && to - from > 1) {
            flags->counts->duplicates += to - from - 1;
            tell(flags, "duplicate", others + from, to - from, false);
        }
    }
    size_t none = 0; /* lines of the id without a phone come first */
    while (none < count && others[none].hash == 0) {
        none++;
    }
    if (by == BY_ID && kinds > XT_LIST_PHONES_MAX) {
        flags->counts->documents++;
        tell(flags, "more_than_3_phones", others + none, count - none, true);
    } else if (by == BY_PHONE && kinds > 1) {
        flags->counts->phones++;
        tell(flags, "phone_on_two_ids", others, count, true);
    }
}

static enum xt_status look_at_group(struct flags *flags, unsigned by,
                                    const struct xt_spilled *records, size_t count)
{
    uint8_t *place = NULL;
    flags->others.size = 0;
    if (count == 1) {
        return XT_OK; /* nearly all are alone */
    }
    enum xt_status status = xt_memory_extend(&flags->others, count * sizeof(struct other), &place);
    if (status != XT_OK) {
        return status;
    }
    struct other *others = (struct other *)(void *)place;
    for (size_t i = 0; i < count; i++) {
        others[i] = (struct other){.line = xt_spilled_line(&records[i])};
        memcpy(&others[i].hash, xt_spill_payload(&flags->load, &records[i]),
               sizeof(others[i].hash));
    }
    xt_sort_entries(others, count, sizeof(*others));
    look_at(flags, by, others, count);
    return XT_OK;
}

static enum xt_status look_at_part(struct flags *flags, unsigned by, unsigned part,
                                   struct xt_failure *failure)
{
    size_t count;
    if (xt_spill_part_bytes(flags->spill[by], part) > PART_MAX) {
        flags->counts->not_compared += flags->records[by][part];
        return XT_OK;
    }
    enum xt_status status = xt_spill_read(flags->spill[by], part, part + 1, &flags->load, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_spilled *records = xt_spill_records(&flags->load, &count);
    if (count > 0) {
        xt_sort_entries(records, count, sizeof(*records));
    }
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && records[to].high == records[from].high &&
               records[to].key == records[from].key) {
            to++;
        }
        status = look_at_group(flags, by, records + from, to - from);
    }
    return status == XT_OK ? status : xt_fail(failure, status, "out of memory");
}

static enum xt_status look_at_all(struct flags *flags, const struct xt_progress *progress,
                                  struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned by = 0; by < SPILLS; by++) {
        for (unsigned part = 0; part < XT_SPILL_PARTS && status == XT_OK; part++) {
            status = look_at_part(flags, by, part, failure);
            if (xt_progress_interrupted(progress)) {
                return xt_fail(failure, XT_CLOSED, "interrupted");
            }
        }
    }
    return status;
}

/* ---- all ---------------------------------------------------------------------------------------- */

/* What a killed run left in its folder for sorting: files that had a name for a moment. */
static void clear_folder(const char *folder)
{
    static const char begin[] = "sorting-";
    DIR *list = opendir(folder);
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        if (strncmp(entry->d_name, begin, sizeof(begin) - 1) == 0) {
            (void)unlinkat(dirfd(list), entry->d_name, 0);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

/* In a folder of their own, for as long as they have names. */
static enum xt_status open_spills(struct flags *flags, const char *path, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    if (snprintf(folder, sizeof(folder), "%s.sort", path) >= (int)sizeof(folder)) {
        return xt_fail(failure, XT_TOO_LARGE, "the list's path is too long");
    }
    enum xt_status status = xt_folder_make(folder, 0700, failure);
    flags->key = xt_secret_alloc(32);
    if (status == XT_OK && flags->key == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    if (status != XT_OK) {
        return status;
    }
    clear_folder(folder);
    xt_random(flags->key, 32);
    for (unsigned i = 0; status == XT_OK && i < SPILLS; i++) {
        status = xt_spill_open(folder, &flags->spill[i], failure);
        if (status == XT_OK) {
            status = xt_spill_writer_open(flags->spill[i], &flags->writer[i], failure);
        }
    }
    (void)rmdir(folder);
    return status;
}

static enum xt_status write_out(struct flags *flags, struct xt_list_input *input, const char *path,
                                struct xt_progress *progress, struct xt_failure *failure)
{
    char part[XT_PATH_MAX];
    if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part)) {
        return xt_fail(failure, XT_TOO_LARGE, "the list's path is too long");
    }
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    flags->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (flags->out == NULL) {
        return xt_fail(failure, XT_IO, "cannot write %s: %s", part, strerror(errno));
    }
    enum xt_status status = read_all(flags, input, progress, failure);
    if (status == XT_OK) {
        status = look_at_all(flags, progress, failure);
    }
    bool written = fflush(flags->out) == 0 && fsync(fd) == 0;
    written = fclose(flags->out) == 0 && written;
    if (status == XT_OK && (!written || rename(part, path) != 0)) {
        status = xt_fail(failure, XT_IO, "cannot write %s: %s", path, strerror(errno));
    }
    if (status != XT_OK) {
        (void)unlink(part);
    }
    return status;
}

enum xt_status xt_list_flags(struct xt_list_input *input, const char *path,
                             struct xt_progress *progress, struct xt_list_counts *counts,
                             struct xt_failure *failure)
{
    struct flags flags = {.counts = counts};
    enum xt_status status = open_spills(&flags, path, failure);
    if (status == XT_OK) {
        status = write_out(&flags, input, path, progress, failure);
    }
    counts->flagged = status == XT_OK;
    for (unsigned i = 0; i < SPILLS; i++) {
        xt_spill_writer_close(flags.writer[i]);
        if (flags.spill[i] != NULL) {
            xt_spill_close(flags.spill[i]);
        }
    }
    xt_spill_load_free(&flags.load);
    xt_memory_free(&flags.others);
    xt_secret_free(flags.key);
    return status;
}
