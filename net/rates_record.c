#include "net/rates_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/file.h"
#include "net/rates.h"

/*   xacthuc-rates 1 drained 1795316400123      or      xacthuc-rates 1 serving
 *   viettel 1999500000                                 viettel
 * Behind the names: requests of the burst that are used, in millionths; behind drained: when, in ms. */
#define TITLE "xacthuc-rates 1 "
#define LINE_MAX_SIZE (XT_PARTNER_NAME_MAX + 32) /* bytes */
#define FILE_MAX_SIZE ((XT_PARTNERS_MAX + 1) * LINE_MAX_SIZE)
#define UNITS_PER_NS 16ULL /* as in net/rates */
#define MILLIONTH 1e-6

struct record {
    bool drained;
    uint64_t unix_ms; /* when */
    struct xt_span lines;
};

static enum xt_status path_of(const char *dir, char path[XT_PATH_MAX])
{
    return xt_path_join(path, dir, XT_SUPERVISOR_FOLDER "/rates");
}

/* ---- reading ---------------------------------------------------------------------------------- */

static bool cut_line(struct xt_span *text, struct xt_span *line)
{
    const uint8_t *end = text->size == 0 ? NULL : memchr(text->data, '\n', text->size);
    if (end == NULL) {
        return false;
    }
    *line = xt_span_of(text->data, (size_t)(end - text->data));
    *text = xt_span_of(end + 1, text->size - line->size - 1);
    return true;
}

/* Digits only, at most 17 of them. */
static bool read_number(struct xt_span text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *number = 10 * *number + (uint64_t)(text.data[i] - '0');
    }
    return text.size > 0 && text.size <= 17;
}

static bool starts_with(struct xt_span *text, const char *with)
{
    size_t size = strlen(with);
    if (text->size < size || memcmp(text->data, with, size) != 0) {
        return false;
    }
    *text = xt_span_of(text->data + size, text->size - size);
    return true;
}

static bool read_record(struct xt_span text, struct record *record)
{
    struct xt_span title;
    if (!cut_line(&text, &title) || !starts_with(&title, TITLE)) {
        return false;
    }
    record->lines = text;
    record->drained = starts_with(&title, "drained ");
    return record->drained ? read_number(title, &record->unix_ms) : xt_span_is(title, "serving");
}

/* Whether a partner is in it, and how many millionths of a request he has used. */
static bool find(const struct record *record, const char *name, uint64_t *used)
{
    struct xt_span rest = record->lines, line;
    *used = 0;
    while (cut_line(&rest, &line)) {
        if (starts_with(&line, name) && (line.size == 0 || line.data[0] == ' ')) {
            return line.size == 0 || read_number(xt_span_of(line.data + 1, line.size - 1), used);
        }
    }
    return false;
}

/* How far ahead a partner's theoretical arrival time is now, in the units of his word. */
static uint64_t ahead_of(const struct record *record, const struct xt_partner *partner,
                         const struct xt_rate *rate, uint64_t unix_ms)
{
    uint64_t all = rate->tolerance + rate->interval, millionths = 0;
    if (record->lines.data == NULL) {
        return all; /* not understood */
    }
    if (!find(record, partner->name, &millionths)) {
        return 0;
    }
    if (!record->drained) {
        return all;
    }
    double used = (double)millionths * MILLIONTH * (double)rate->interval;
    uint64_t passed_ms = unix_ms > record->unix_ms ? unix_ms - record->unix_ms : 0;
    double passed = (double)passed_ms * 1e6 * (double)UNITS_PER_NS;
    used = used > passed ? used - passed : 0;
    return used < (double)all ? (uint64_t)used : all;
}

static void restore(const struct record *record, struct xt_shared *shared,
                    const struct xt_partners *partners, uint64_t now_ns, uint64_t unix_ms)
{
    unsigned count = xt_partners_count(partners);
    uint32_t *cells = calloc((size_t)count + 1, sizeof(*cells));
    xt_require(cells != NULL); /* at the start */
    xt_shared_assign(shared, partners, now_ns / 1000000, cells);
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        struct xt_rate rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
        uint64_t ahead = rate.interval == 0 ? 0 : ahead_of(record, partner, &rate, unix_ms);
        if (ahead > 0) {
            __atomic_store_n(xt_shared_rate(shared, cells[i]), now_ns * UNITS_PER_NS + ahead,
                             __ATOMIC_RELAXED);
        }
    }
    free(cells);
}

void xt_rates_record_restore(const char *dir, struct xt_shared *shared,
                             const struct xt_partners *partners, uint64_t now_ns, uint64_t unix_ms)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    struct record record = {.drained = false};
    if (path_of(dir, path) != XT_OK) {
        return;
    }
    enum xt_status status = xt_file_read(path, FILE_MAX_SIZE, &content, &size, NULL);
    if (status == XT_NOT_FOUND) {
        return; /* the first start */
    }
    if (status != XT_OK || !read_record(xt_span_of(content, size), &record)) {
        record.lines = xt_span_of(NULL, 0);
    }
    restore(&record, shared, partners, now_ns, unix_ms);
    if (status == XT_OK) {
        xt_file_release(content, size);
    }
}

/* ---- writing ---------------------------------------------------------------------------------- */

static enum xt_status write_file(const char *dir, struct xt_writer *writer,
                                 struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    xt_require(!writer->overflow);
    return path_of(dir, path) == XT_OK
               ? xt_file_write(path, xt_written(writer), 0600, true, failure)
               : xt_fail(failure, XT_TOO_LARGE, "the path %s is too long", dir);
}

enum xt_status xt_rates_record_names(const char *dir, const struct xt_partners *partners,
                                     uint64_t *written, struct xt_failure *failure)
{
    uint8_t *text = malloc(FILE_MAX_SIZE);
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : FILE_MAX_SIZE);
    uint64_t digest = 0xcbf29ce484222325ULL; /* FNV-1a */
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the partners' rates");
    }
    xt_write_literal(&writer, TITLE "serving\n");
    for (unsigned i = 0; i < xt_partners_count(partners); i++) {
        if (xt_partners_at(partners, i)->rate_per_second > 0) {
            xt_write_string(&writer, xt_partners_at(partners, i)->name);
            xt_write_byte(&writer, '\n');
        }
    }
    for (size_t i = 0; i < writer.size; i++) {
        digest = (digest ^ text[i]) * 0x100000001b3ULL;
    }
    enum xt_status status = digest == *written ? XT_OK : write_file(dir, &writer, failure);
    *written = status == XT_OK ? digest : 0;
    free(text);
    return status;
}

enum xt_status xt_rates_record_save(const char *dir, struct xt_shared *shared,
                                    const struct xt_partners *partners, uint64_t now_ns,
                                    uint64_t unix_ms, struct xt_failure *failure)
{
    unsigned count = xt_partners_count(partners);
    uint8_t *text = malloc(FILE_MAX_SIZE);
    uint32_t *cells = calloc((size_t)count + 1, sizeof(*cells));
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : FILE_MAX_SIZE);
    char line[LINE_MAX_SIZE];
    if (text == NULL || cells == NULL) {
        free(text);
        free(cells);
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the partners' rates");
    }
    xt_shared_assign(shared, partners, now_ns / 1000000, cells);
    (void)snprintf(line, sizeof(line), TITLE "drained %" PRIu64 "\n", unix_ms);
    xt_write_string(&writer, line);
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        struct xt_rate rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
        if (rate.interval == 0) {
            continue;
        }
        uint64_t due = __atomic_load_n(xt_shared_rate(shared, cells[i]), __ATOMIC_RELAXED);
        uint64_t now = now_ns * UNITS_PER_NS, all = rate.tolerance + rate.interval;
        uint64_t ahead = due > now ? due - now : 0;
        ahead = ahead < all ? ahead : all; /* a worker may have written anything */
        (void)snprintf(line, sizeof(line), "%s %" PRIu64 "\n", partner->name,
                       (uint64_t)((double)ahead / (double)rate.interval / MILLIONTH + 0.999));
        xt_write_string(&writer, line);
    }
    enum xt_status status = write_file(dir, &writer, failure);
    free(text);
    free(cells);
    return status;
}
