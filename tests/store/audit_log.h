/* tests/store/audit_log: an audit log in the test's deployment, written as the server writes it. */
#ifndef XT_TESTS_STORE_AUDIT_LOG_H
#define XT_TESTS_STORE_AUDIT_LOG_H

#include "store/audit_recover.h"
#include "store/audit_search.h"
#include "store/audit_verify.h"
#include "tests/store/deployment.h"

#define LOG_START 1795316645000ULL /* 2026-11-22T03:04:05Z */

/* Set-up and tear-down: deployment_make, and a folder audit; the tear-down also unmounts what a test that
 * failed half-way left there. */
int audit_log_make(void **state);
int audit_log_remove(void **state);

/* One worker's log with its descriptor. */
struct worker_log {
    struct xt_audit_log *log;
    struct xt_audit_header header;
    struct xt_audit_header before; /* the one before a rotation */
    struct xt_audit_progress progress;
    int fd;
};
/* checkpoints NULL: the chain begins. */
void worker_open(struct worker_log *worker, unsigned number, uint64_t unix_ms,
                 const struct xt_audit_checkpoints *checkpoints);
void worker_close(struct worker_log *worker);
void worker_rotate(struct worker_log *worker, uint64_t unix_ms);
/* Name of its segment, in DIR: audit/...; valid until eight more were asked for. */
const char *worker_file(const struct worker_log *worker);

/* Entry i: time LOG_START + i, person i, partners p0 .. p3, every kind of content. text: of the caller. */
struct entry_text {
    char consent[32];
};
void make_entry(const struct worker_log *worker, uint64_t i, struct xt_audit_entry *entry,
                struct entry_text *text);
/* Adds entries from .. to - 1, `each` in a batch, and syncs. */
void worker_write(struct worker_log *worker, uint64_t from, uint64_t to, unsigned each);

size_t worker_rows(const struct worker_log *worker, const struct xt_audit_progress *progress,
                   struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS]);
struct xt_audit_checkpoints *open_checkpoints(void);
void checkpoint(struct xt_audit_checkpoints *checkpoints, uint64_t unix_ms, uint32_t flags,
                struct worker_log *const *workers, size_t count);

/* Runs the verification without progress on one thread. The report is freed by the caller. */
enum xt_status verify_log(struct xt_audit_report *report);
/* Fails with the faults where there are any. */
void assert_sound(uint64_t entries);
/* Whether bytes stand anywhere in a file. */
bool file_holds(const char *name, const void *bytes, size_t size);

/* How many entries a search finds. */
uint64_t found_by(const struct xt_audit_query *query, struct xt_audit_tally *tally);

#endif
