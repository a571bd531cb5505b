#include "tests/store/audit_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "tests/test.h"

static struct xt_failure failure;

int audit_log_make(void **state)
{
    deployment_make(state);
    assert_int_equal(mkdir(deployment_path("audit"), 0700), 0);
    return 0;
}

int audit_log_remove(void **state)
{
    (void)umount2(deployment_path("audit"), MNT_DETACH);
    return deployment_remove(state);
}

void worker_open(struct worker_log *worker, unsigned number, uint64_t unix_ms,
                 const struct xt_audit_checkpoints *checkpoints)
{
    memset(worker, 0, sizeof(*worker));
    worker->header.worker = number;
    worker->header.unix_ms = unix_ms;
    if (checkpoints != NULL) {
        xt_audit_checkpoints_link(checkpoints, number, &worker->header.before);
    }
    assert_int_equal(xt_audit_create(deployment(), &worker->header, &worker->fd, &failure), XT_OK);
    assert_int_equal(xt_audit_open(worker->fd, deployment_keyring(), &worker->header,
                                   &worker->progress, &worker->log),
                     XT_OK);
}

void worker_close(struct worker_log *worker)
{
    xt_audit_close(worker->log);
    close(worker->fd);
    worker->log = NULL;
}

void worker_rotate(struct worker_log *worker, uint64_t unix_ms)
{
    int before = worker->fd;
    worker->before = worker->header;
    worker->header.unix_ms = unix_ms;
    assert_int_equal(xt_audit_create(deployment(), &worker->header, &worker->fd, &failure), XT_OK);
    assert_int_equal(
        xt_audit_rotate(worker->log, worker->fd, deployment_keyring(), &worker->header), XT_OK);
    close(before);
}

const char *worker_file(const struct worker_log *worker)
{
    static char names[8][XT_AUDIT_NAME + 8];
    static unsigned next;
    char name[XT_AUDIT_NAME];
    char *path = names[next++ % 8];
    xt_audit_name(worker->header.unix_ms, worker->header.worker, worker->header.id, name);
    snprintf(path, sizeof(names[0]), "audit/%s", name);
    return path;
}

void make_entry(const struct worker_log *worker, uint64_t i, struct xt_audit_entry *entry,
                struct entry_text *text)
{
    static const char *const partners[] = {"p0", "p1", "p2", "p3"};
    uint8_t random[10] = {0};
    char answer[XT_ANSWER_ID];
    memcpy(random, &i, sizeof(i));
    *entry = (struct xt_audit_entry){.unix_ms = LOG_START + i,
                                     .route = XT_AUDIT_ROUTE_VERIFY,
                                     .verdict = XT_AUDIT_NOT_VERIFIED,
                                     .status = 200,
                                     .partner = xt_span_of_string(partners[i % 4])};
    xt_answer_id_make(entry->unix_ms, random, answer);
    assert_int_equal(xt_audit_answer_id(xt_span_of(answer, sizeof(answer)), entry->answer_id),
                     XT_OK);
    if (i % 5 == 4) { /* a refusal */
        entry->status = 403;
        entry->verdict = XT_AUDIT_NO_VERDICT;
        entry->problem = xt_span_of_string("purpose_not_permitted");
        return;
    }
    entry->purpose = xt_span_of_string("sim.register");
    entry->legal_basis = xt_span_of_string("consent");
    int size =
        snprintf(text->consent, sizeof(text->consent), "consent-%llu", (unsigned long long)i);
    entry->consent_ref = xt_span_of(text->consent, (size_t)size);
    entry->has_subject = true;
    xt_audit_subject(worker->log, (struct xt_id){.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(i)},
                     entry->subject);
    entry->asked = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                   XT_CLAIM_BIT(XT_CLAIM_PHONE);
    entry->results[XT_CLAIM_FULL_NAME] = XT_AUDIT_MATCH;
    entry->results[XT_CLAIM_DATE_OF_BIRTH] = i % 2 == 0 ? XT_AUDIT_MATCH : XT_AUDIT_MISMATCH;
    entry->results[XT_CLAIM_PHONE] = XT_AUDIT_NOT_HELD;
}

void worker_write(struct worker_log *worker, uint64_t from, uint64_t to, unsigned each)
{
    for (uint64_t i = from; i < to; i++) {
        struct xt_audit_entry entry;
        struct entry_text text;
        make_entry(worker, i, &entry, &text);
        assert_int_equal(xt_audit_add(worker->log, &entry), XT_OK);
        if ((i - from) % each == each - 1) {
            assert_int_equal(xt_audit_flush(worker->log), XT_OK);
        }
    }
    assert_int_equal(xt_audit_flush(worker->log), XT_OK);
    assert_int_equal(xt_audit_sync(worker->log), XT_OK);
}

size_t worker_rows(const struct worker_log *worker, const struct xt_audit_progress *progress,
                   struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS])
{
    const struct xt_audit_header given[] = {worker->header, worker->before};
    return xt_audit_progress_rows(progress, given, 2, rows);
}

struct xt_audit_checkpoints *open_checkpoints(void)
{
    struct xt_audit_checkpoints *checkpoints = NULL;
    if (xt_audit_checkpoints_open(deployment(), &checkpoints, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return checkpoints;
}

void checkpoint(struct xt_audit_checkpoints *checkpoints, uint64_t unix_ms, uint32_t flags,
                struct worker_log *const *workers, size_t count)
{
    struct xt_audit_row rows[64];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        struct xt_audit_progress copy;
        assert_int_equal(xt_audit_progress_read(&workers[i]->progress, &copy), XT_OK);
        used += worker_rows(workers[i], &copy, rows + used);
    }
    if (xt_audit_checkpoint_write(checkpoints, unix_ms, flags, rows, used, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

enum xt_status verify_log(struct xt_audit_report *report)
{
    const struct xt_audit_plan plan = {.threads = 1, .quiet = true};
    return xt_audit_verify(deployment(), deployment_keyring(), &plan, report, &failure);
}

void assert_sound(uint64_t entries)
{
    struct xt_audit_report report;
    if (verify_log(&report) != XT_OK) {
        fail_msg("%s: %s at %llu: %s", failure.text,
                 report.fault_count > 0 ? report.faults[0].file : "",
                 report.fault_count > 0 ? (unsigned long long)report.faults[0].offset : 0,
                 report.fault_count > 0 ? report.faults[0].what : "");
    }
    assert_int_equal(report.entries, entries);
    xt_audit_report_free(&report);
}

bool file_holds(const char *name, const void *bytes, size_t size)
{
    uint8_t *content;
    size_t length;
    assert_int_equal(xt_file_read(deployment_path(name), 1U << 28, &content, &length, &failure),
                     XT_OK);
    bool holds = memmem(content, length, bytes, size) != NULL;
    xt_file_release(content, length);
    return holds;
}

static enum xt_status count_one(void *context, const struct xt_audit_entry *entry,
                                struct xt_failure *why)
{
    (void)entry;
    (void)why;
    ++*(uint64_t *)context;
    return XT_OK;
}

uint64_t found_by(const struct xt_audit_query *query, struct xt_audit_tally *tally)
{
    uint64_t count = 0;
    struct xt_audit_tally own;
    if (tally == NULL) {
        tally = &own;
    }
    if (xt_audit_search(deployment(), deployment_keyring(), query, count_one, &count, tally,
                        &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_int_equal(tally->found, count);
    return count;
}
