/* The audit log of one worker: entries, batches, disks that are full, processes that are killed. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/account_event.h"
#include "store/audit_reader.h"
#include "store/live.h"
#include "tests/store/audit_log.h"
#include "tests/test.h"

static struct xt_failure failure;

static off_t size_of(const char *name)
{
    struct stat facts;
    assert_int_equal(stat(deployment_path(name), &facts), 0);
    return facts.st_size;
}

/* ---- entries ---------------------------------------------------------------------------------- */

static void full_entry(struct xt_audit_entry *entry)
{
    *entry = (struct xt_audit_entry){.unix_ms = LOG_START,
                                     .route = XT_AUDIT_ROUTE_VERIFY,
                                     .verdict = XT_AUDIT_VERIFIED,
                                     .status = 200,
                                     .partner = xt_span_of_string("viettel"),
                                     .purpose = xt_span_of_string("sim.register"),
                                     .legal_basis = xt_span_of_string("đồng ý"),
                                     .consent_ref = xt_span_of_string("hđ \"1\""),
                                     .has_subject = true,
                                     .attributes = 7,
                                     .given = 5,
                                     .asked = XT_CLAIM_ALL};
    memset(entry->answer_id, 0x5a, sizeof(entry->answer_id));
    memset(entry->subject, 0xa5, sizeof(entry->subject));
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        entry->results[i] = i % 4;
    }
}

/* What was shown for an attempt comes back with it, and only with an event. */
static void an_attempt_is_told_with_its_event(void **state)
{
    (void)state;
    uint8_t bytes[XT_AUDIT_ENTRY_MAX], json[XT_AUDIT_ENTRY_JSON_MAX];
    struct xt_audit_entry entry, read;
    full_entry(&entry);
    entry.route = XT_AUDIT_ROUTE_AUTHENTICATE;
    entry.event = XT_ACCOUNT_ATTEMPT;
    entry.sequence = 77;
    for (unsigned attempt = 0; attempt < XT_ATTEMPT_COUNT; attempt++) {
        struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
        entry.attempt = (uint8_t)attempt;
        assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_OK);
        assert_int_equal(xt_audit_entry_decode(xt_written(&writer), &read), XT_OK);
        assert_true(read.attempt == attempt && read.sequence == 77);
        struct xt_writer text = xt_writer_over(json, sizeof(json) - 1);
        xt_audit_entry_to_json(&read, &text);
        json[text.size] = '\0';
        assert_int_equal(strstr((char *)json, ",\"attempt\":\"") != NULL, attempt > 0);
    }
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    entry.attempt = XT_ATTEMPT_COUNT;
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    entry.attempt = XT_ATTEMPT_PASSED;
    entry.event = 0;
    entry.sequence = 0;
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
}

static void an_entry_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t bytes[XT_AUDIT_ENTRY_MAX], again[XT_AUDIT_ENTRY_MAX];
    struct xt_audit_entry entry, read;
    full_entry(&entry);
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_OK);
    assert_int_equal(xt_audit_entry_decode(xt_written(&writer), &read), XT_OK);
    assert_true(read.unix_ms == entry.unix_ms && read.status == 200 && read.asked == XT_CLAIM_ALL);
    assert_true(xt_span_equal(read.legal_basis, entry.legal_basis));
    assert_true(read.attributes == 7 && read.given == 5);
    assert_memory_equal(read.results, entry.results, sizeof(read.results));
    assert_memory_equal(read.subject, entry.subject, sizeof(read.subject));
    struct xt_writer second = xt_writer_over(again, sizeof(again));
    assert_int_equal(xt_audit_entry_encode(&read, &second), XT_OK);
    assert_true(xt_span_equal(xt_written(&writer), xt_written(&second)));
}

static void what_is_not_canonical_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[XT_AUDIT_ENTRY_MAX + 1], again[XT_AUDIT_ENTRY_MAX];
    struct xt_audit_entry entry, read;
    full_entry(&entry);
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_OK);
    size_t size = writer.size;
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_not_equal(xt_audit_entry_decode(xt_span_of(bytes, cut), &read), XT_OK);
    }
    bytes[size] = 0;
    assert_int_not_equal(xt_audit_entry_decode(xt_span_of(bytes, size + 1), &read), XT_OK);
    for (size_t at = 0; at < size; at++) { /* every flip is refused or is another entry */
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1U << bit);
            if (xt_audit_entry_decode(xt_span_of(bytes, size), &read) == XT_OK) {
                struct xt_writer second = xt_writer_over(again, sizeof(again));
                assert_int_equal(xt_audit_entry_encode(&read, &second), XT_OK);
                assert_true(xt_span_equal(xt_span_of(bytes, size), xt_written(&second)));
            }
            bytes[at] ^= (uint8_t)(1U << bit);
        }
    }
    bytes[0] = XT_AUDIT_ENTRY_VERSION + 1;
    assert_int_equal(xt_audit_entry_decode(xt_span_of(bytes, size), &read), XT_UNSUPPORTED);
}

static void an_entry_that_no_caller_should_make_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[XT_AUDIT_ENTRY_MAX];
    static char long_text[XT_CONSENT_REF_MAX + 1];
    memset(long_text, 'x', sizeof(long_text));
    struct xt_audit_entry entry;
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    full_entry(&entry);
    entry.consent_ref = xt_span_of(long_text, sizeof(long_text));
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    entry.consent_ref = xt_span_of_string("a\nb");
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    entry.consent_ref = xt_span_of_string("\xc3");
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    entry.status = 99;
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    entry.asked = XT_CLAIM_ALL + 1;
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    entry.given = 8; /* what was not asked for */
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    entry.attributes = XT_ATTRIBUTE_ALL + 1;
    assert_int_equal(xt_audit_entry_encode(&entry, &writer), XT_INVALID);
    full_entry(&entry);
    struct xt_writer small = xt_writer_over(bytes, 40);
    assert_int_equal(xt_audit_entry_encode(&entry, &small), XT_NO_SPACE);
    assert_true(writer.size == 0 && small.size == 0);
}

static void an_answer_id_and_json_are_as_partners_see_them(void **state)
{
    (void)state;
    char text[XT_ANSWER_ID], made[XT_ANSWER_ID];
    uint8_t id[XT_AUDIT_ANSWER_ID], random[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 255};
    xt_answer_id_make(LOG_START, random, text);
    assert_int_equal(xt_audit_answer_id(xt_span_of(text, sizeof(text)), id), XT_OK);
    xt_audit_answer_id_text(id, made);
    assert_memory_equal(text, made, sizeof(text));
    assert_memory_equal(id + 6, random, sizeof(random));
    text[3] = 'I';
    assert_int_equal(xt_audit_answer_id(xt_span_of(text, sizeof(text)), id), XT_INVALID);

    uint8_t json[XT_AUDIT_ENTRY_JSON_MAX];
    struct xt_audit_entry entry;
    struct xt_writer writer = xt_writer_over(json, sizeof(json));
    full_entry(&entry);
    entry.asked = XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_PHONE);
    xt_audit_entry_to_json(&entry, &writer);
    assert_true(xt_span_is(
        xt_written(&writer),
        "{\"time\":\"2026-11-22T03:04:05.000Z\",\"answer_id\":\"2TB9D5MPJTB9D5MPJTB9D5MPJT\","
        "\"route\":\"verify\",\"status\":200,\"partner\":\"viettel\",\"purpose\":\"sim.register\","
        "\"legal_basis\":\"đồng ý\",\"consent_ref\":\"hđ \\\"1\\\"\","
        "\"subject\":\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\",\"verdict\":\"verified\","
        "\"claims\":{\"sex\":\"mismatch\",\"phone\":\"not_held\"},\"attributes\":{\"asked\":"
        "[\"full_name\",\"date_of_birth\",\"sex\"],\"given\":[\"full_name\",\"sex\"]}}"));
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void what_was_written_verifies_and_can_be_found(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 1000, 7);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 1000, XT_AUDIT_FLAG_END, all, 1);
    assert_sound(1000);
    struct xt_audit_query query = {.partner = xt_span_of_string("p1")};
    assert_int_equal(found_by(&query, NULL), 250);
    query.has_subject = true;
    query.subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(13)};
    assert_int_equal(found_by(&query, NULL), 1);
    query.partner = xt_span_of_string("p2");
    assert_int_equal(found_by(&query, NULL), 0);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
}

static void a_full_batch_is_flushed_by_itself(void **state)
{
    (void)state;
    struct worker_log worker;
    worker_open(&worker, 0, LOG_START, NULL);
    for (uint64_t i = 0; i < 20000; i++) {
        struct xt_audit_entry entry;
        struct entry_text text;
        make_entry(&worker, i, &entry, &text);
        assert_int_equal(xt_audit_add(worker.log, &entry), XT_OK);
        assert_true(xt_audit_pending(worker.log) <= XT_AUDIT_BATCH_ENTRIES);
    }
    assert_true(xt_audit_written(worker.log)->batches > 10);
    assert_int_equal(xt_audit_flush(worker.log), XT_OK);
    assert_int_equal(xt_audit_written(worker.log)->entries, 20000);
    worker_close(&worker);
}

static void nothing_of_a_person_or_partner_stands_in_the_files_in_the_clear(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_entry entry;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    full_entry(&entry);
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = 1099012345};
    xt_audit_subject(worker.log, id, entry.subject);
    assert_int_equal(xt_audit_add(worker.log, &entry), XT_OK);
    assert_int_equal(xt_audit_flush(worker.log), XT_OK);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START, XT_AUDIT_FLAG_END, all, 1);
    const char *const files[] = {worker_file(&worker), "audit/checkpoints", "audit/head"};
    for (size_t i = 0; i < 3; i++) {
        uint64_t value = id.value;
        assert_false(file_holds(files[i], "001099012345", 12));
        assert_false(file_holds(files[i], &value, 5));
        assert_false(file_holds(files[i], entry.subject, sizeof(entry.subject)));
        assert_false(file_holds(files[i], "viettel", 7));
        assert_false(file_holds(files[i], "sim.register", 12));
        assert_false(file_holds(files[i], entry.answer_id, sizeof(entry.answer_id)));
    }
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
}

static void only_what_is_durable_is_told_to_the_supervisor(void **state)
{
    (void)state;
    struct worker_log worker;
    struct xt_audit_progress copy;
    struct xt_audit_entry entry;
    worker_open(&worker, 0, LOG_START, NULL);
    full_entry(&entry);
    assert_int_equal(xt_audit_add(worker.log, &entry), XT_OK);
    assert_int_equal(xt_audit_flush(worker.log), XT_OK);
    assert_int_equal(xt_audit_progress_read(&worker.progress, &copy), XT_OK);
    assert_int_equal(copy.current.entries, 0);
    assert_int_equal(xt_audit_sync(worker.log), XT_OK);
    assert_int_equal(xt_audit_progress_read(&worker.progress, &copy), XT_OK);
    assert_int_equal(copy.current.entries, 1);
    assert_memory_equal(&copy.current, xt_audit_written(worker.log), sizeof(copy.current));
    worker.progress.sequence |= 1; /* killed while at it */
    assert_int_equal(xt_audit_progress_read(&worker.progress, &copy), XT_BUSY);
    assert_int_equal(xt_audit_add(worker.log, &entry), XT_OK);
    assert_int_equal(xt_audit_flush(worker.log), XT_OK);
    assert_int_equal(xt_audit_sync(worker.log), XT_OK);
    assert_int_equal(xt_audit_progress_read(&worker.progress, &copy), XT_OK);
    assert_int_equal(copy.current.entries, 2);
    worker_close(&worker);
}

static void a_file_that_is_not_empty_is_not_gone_on_with(void **state)
{
    (void)state;
    struct worker_log worker;
    struct xt_audit_log *second = NULL;
    worker_open(&worker, 0, LOG_START, NULL);
    assert_int_equal(xt_audit_open(worker.fd, deployment_keyring(), &worker.header, NULL, &second),
                     XT_INVALID);
    worker_close(&worker);
}

/* ---- disks ------------------------------------------------------------------------------------ */

/* Fills what there is room for, sees refusals, makes room again, and nothing is lost or doubled. */
static void write_against_a_limit(struct worker_log *worker, void (*make_room)(void))
{
    struct xt_audit_entry entry;
    struct entry_text text;
    uint64_t i = 0;
    enum xt_status status;
    do {
        make_entry(worker, i, &entry, &text);
        assert_int_equal(xt_audit_add(worker->log, &entry), XT_OK);
        i++;
        status = xt_audit_flush(worker->log);
        assert_true(i < 100000);
    } while (status == XT_OK);
    assert_int_equal(status, XT_DISK_FULL);
    struct stat facts;
    assert_int_equal(fstat(worker->fd, &facts), 0);
    assert_int_equal(facts.st_size, xt_audit_written(worker->log)->bytes);
    /* A few more are taken while there is no room, none of which may be answered. */
    for (unsigned more = 0; more < 5; more++, i++) {
        make_entry(worker, i, &entry, &text);
        assert_int_equal(xt_audit_add(worker->log, &entry), XT_OK);
        assert_int_equal(xt_audit_flush(worker->log), XT_DISK_FULL);
    }
    assert_int_equal(xt_audit_pending(worker->log), 6);
    assert_int_equal(fstat(worker->fd, &facts), 0);
    assert_int_equal(facts.st_size, xt_audit_written(worker->log)->bytes);
    /* Memory is bounded: then adding is refused as well. */
    uint64_t before = i;
    for (;; i++) {
        make_entry(worker, i, &entry, &text);
        status = xt_audit_add(worker->log, &entry);
        if (status != XT_OK) {
            break;
        }
        assert_true(i < before + 2 * XT_AUDIT_BATCH_ENTRIES);
    }
    assert_int_equal(status, XT_DISK_FULL);
    make_room();
    assert_int_equal(xt_audit_flush(worker->log), XT_OK);
    assert_int_equal(xt_audit_pending(worker->log), 0);
    assert_int_equal(xt_audit_add(worker->log, &entry), XT_OK);
    assert_int_equal(xt_audit_end(worker->log), XT_OK);
    assert_int_equal(xt_audit_written(worker->log)->entries, i + 1);
}

static void raise_limit(void)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_file_at_its_limit_refuses_and_goes_on_once_there_is_room(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    if (limit.rlim_max != RLIM_INFINITY) {
        skip();
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    limit.rlim_cur = 100001; /* within a batch: a short write comes first */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    write_against_a_limit(&worker, raise_limit);
    uint64_t entries = xt_audit_written(worker.log)->entries;
    checkpoint(checkpoints, LOG_START, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(entries);
}

static void remove_ballast(void)
{
    assert_int_equal(unlink(deployment_path("audit/ballast")), 0);
}

static void a_full_file_system_refuses_and_goes_on_once_there_is_room(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    if (mount("none", deployment_path("audit"), "tmpfs", 0, "size=1m") != 0) {
        skip(); /* takes root */
    }
    int ballast = open(deployment_path("audit/ballast"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(ballast >= 0);
    assert_int_equal(posix_fallocate(ballast, 0, 768 << 10), 0);
    close(ballast);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    write_against_a_limit(&worker, remove_ballast);
    uint64_t entries = xt_audit_written(worker.log)->entries;
    checkpoint(checkpoints, LOG_START, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(entries);
    assert_int_equal(umount2(deployment_path("audit"), MNT_DETACH), 0);
}

static void a_failed_sync_ends_the_log(void **state)
{
    (void)state;
    struct worker_log worker;
    struct xt_audit_entry entry;
    worker_open(&worker, 0, LOG_START, NULL);
    full_entry(&entry);
    assert_int_equal(xt_audit_add(worker.log, &entry), XT_OK);
    assert_int_equal(xt_audit_flush(worker.log), XT_OK);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], worker.fd), worker.fd); /* fdatasync of a pipe: EINVAL */
    assert_int_equal(xt_audit_sync(worker.log), XT_IO);
    assert_int_equal(xt_audit_add(worker.log, &entry), XT_IO);
    assert_int_equal(xt_audit_flush(worker.log), XT_IO);
    assert_int_equal(xt_audit_sync(worker.log), XT_IO);
    close(ends[0]);
    close(ends[1]);
    worker_close(&worker);
}

/* ---- crashes ---------------------------------------------------------------------------------- */

static void a_torn_tail_at_every_byte_is_cut_and_written_down(void **state)
{
    (void)state;
    struct worker_log worker;
    worker_open(&worker, 0, LOG_START, NULL);
    worker_write(&worker, 0, 20, 5);
    off_t whole = size_of(worker_file(&worker));
    worker_write(&worker, 24, 25, 5);
    off_t size = size_of(worker_file(&worker));
    worker_close(&worker);
    char original[64];
    snprintf(original, sizeof(original), "%s", worker_file(&worker));
    static uint8_t content[1 << 16];
    int fd = open(deployment_path(original), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, content, sizeof(content)), size);
    close(fd);
    uint64_t repaired = 0, cut = 0;
    for (off_t at = whole; at <= size; at++) {
        struct xt_audit_repair repair;
        FILE *file = fopen(deployment_path(original), "w");
        assert_non_null(file);
        assert_int_equal(fwrite(content, 1, (size_t)at, file), at);
        fclose(file);
        /* What is known goes back to before each time. */
        (void)unlink(deployment_path("audit/checkpoints"));
        (void)unlink(deployment_path("audit/head"));
        (void)unlink(deployment_path("keys/audit.key"));
        struct xt_audit_checkpoints *checkpoints = open_checkpoints();
        assert_int_equal(
            xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 100, &repair, &failure),
            XT_OK);
        xt_audit_checkpoints_close(checkpoints);
        assert_int_equal(repair.closed, 1);
        assert_int_equal(repair.cut, at == size ? 0 : at - whole);
        assert_int_equal(size_of(original), at == size ? size : whole);
        struct xt_audit_report report;
        assert_int_equal(verify_log(&report), XT_OK);
        assert_int_equal(report.entries, at == size ? 21 : 20);
        repaired += report.repaired;
        cut += report.cut;
        xt_audit_report_free(&report);
    }
    assert_int_equal(repaired, size - whole - 1);
    assert_true(cut > 0);
}

static void a_tail_of_zeros_is_torn_and_a_changed_one_is_not(void **state)
{
    (void)state;
    struct worker_log worker;
    struct xt_audit_repair repair;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 20, 5);
    off_t size = size_of(worker_file(&worker));
    worker_close(&worker);
    int fd = open(deployment_path(worker_file(&worker)), O_RDWR | O_CLOEXEC);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, size - 5), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, size - 5), 1);
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 100, &repair, &failure),
        XT_CORRUPT);
    assert_non_null(strstr(failure.text, "is damaged at byte"));
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, size - 5), 1);
    assert_int_equal(ftruncate(fd, size + 4096), 0); /* grew before its data came */
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 100, &repair, &failure),
        XT_OK);
    assert_int_equal(repair.cut, 4096);
    close(fd);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(20);
}

static void a_file_without_a_whole_header_is_removed(void **state)
{
    (void)state;
    struct worker_log worker;
    struct xt_audit_repair repair;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_close(&worker);
    assert_int_equal(truncate(deployment_path(worker_file(&worker)), 100), 0);
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 100, &repair, &failure),
        XT_OK);
    assert_int_equal(repair.repaired, 1);
    assert_false(exists(worker_file(&worker)));
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(0);
}

static void what_somebody_still_writes_is_left_alone(void **state)
{
    (void)state;
    struct worker_log worker, next;
    struct xt_audit_repair repair;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    struct worker_log *both[] = {&worker, &next};
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 10, 5);
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 100, &repair, &failure),
        XT_OK);
    assert_true(repair.busy == 1 && repair.closed == 0);
    worker_open(&next, 0, LOG_START + 1000, checkpoints); /* the heir of an upgrade */
    worker_write(&worker, 10, 20, 5);
    worker_write(&next, 20, 30, 5);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 2000, XT_AUDIT_FLAG_ROTATION, both, 2);
    worker_close(&worker);
    worker_close(&next);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(30);
}

/* ---- kills ------------------------------------------------------------------------------------ */

struct told {
    uint64_t flushed; /* entries, as the child said */
    struct xt_audit_progress progress;
};

static void write_until_killed(struct told *told, int fd, struct xt_audit_header *header,
                               uint64_t first)
{
    struct worker_log worker = {.fd = fd, .header = *header};
    if (xt_audit_open(fd, deployment_keyring(), &worker.header, &told->progress, &worker.log) !=
        XT_OK) {
        _exit(1);
    }
    for (uint64_t i = first;; i++) {
        struct xt_audit_entry entry;
        struct entry_text text;
        make_entry(&worker, i, &entry, &text);
        if (xt_audit_add(worker.log, &entry) != XT_OK) {
            _exit(1);
        }
        if (i % 3 == 0) {
            if (xt_audit_flush(worker.log) != XT_OK ||
                (i % 30 == 0 && xt_audit_sync(worker.log) != XT_OK)) {
                _exit(1);
            }
            __atomic_store_n(&told->flushed, i - first + 1, __ATOMIC_RELEASE);
        }
    }
}

static void whatever_a_killed_child_said_was_flushed_is_there(void **state)
{
    (void)state;
    struct told *told =
        mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    uint64_t entries = 0, random = 7;
    for (unsigned round = 0; round < 50; round++) {
        struct xt_audit_header header = {.worker = 0, .unix_ms = LOG_START + round};
        struct xt_audit_repair repair;
        struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS];
        struct xt_audit_progress copy;
        int fd;
        memset(told, 0, sizeof(*told));
        xt_audit_checkpoints_link(checkpoints, 0, &header.before);
        assert_true(round == 0 || header.before.id[0] != 0 || header.before.id[1] != 0);
        assert_int_equal(xt_audit_create(deployment(), &header, &fd, &failure), XT_OK);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_until_killed(told, fd, &header, round * 100000);
        }
        close(fd);
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        usleep(1000 + (unsigned)(random >> 40) % 8000);
        if (round % 2 == 0 && xt_audit_progress_read(&told->progress, &copy) == XT_OK) {
            size_t count = xt_audit_progress_rows(&copy, &header, 1, rows);
            assert_int_equal(
                xt_audit_checkpoint_write(checkpoints, LOG_START + round, 0, rows, count, &failure),
                XT_OK);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(xt_audit_recover_one(checkpoints, deployment_keyring(), LOG_START + round,
                                              &header, &repair, &failure),
                         XT_OK);
        const struct xt_audit_row *row =
            xt_audit_known_find(xt_audit_checkpoints_known(checkpoints), header.id);
        if (row != NULL) { /* NULL: killed before it had written the header */
            assert_int_equal(row->kind, XT_AUDIT_CLOSED);
            assert_true(row->state.entries >= told->flushed);
            entries += row->state.entries;
        } else {
            assert_int_equal(told->flushed, 0);
        }
    }
    xt_audit_checkpoints_close(checkpoints);
    munmap(told, sizeof(*told));
    assert_true(entries > 0);
    assert_sound(entries);
}

static void verify_finds_nothing_wrong_while_a_worker_writes(void **state)
{
    (void)state;
    struct told *told =
        mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    memset(told, 0, sizeof(*told));
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    struct xt_audit_header header = {.worker = 0, .unix_ms = LOG_START};
    int fd, status = 0;
    assert_int_equal(xt_audit_create(deployment(), &header, &fd, &failure), XT_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        write_until_killed(told, fd, &header, 0);
    }
    close(fd);
    enum xt_status verified = XT_OK;
    unsigned written = 0;
    for (unsigned round = 0; round < 30 && verified == XT_OK; round++) {
        struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS];
        struct xt_audit_progress copy;
        struct xt_audit_report report;
        if (xt_audit_progress_read(&told->progress, &copy) == XT_OK) {
            size_t count = xt_audit_progress_rows(&copy, &header, 1, rows);
            written += xt_audit_checkpoint_write(checkpoints, LOG_START + round, 0, rows, count,
                                                 &failure) == XT_OK;
        }
        verified = verify_log(&report);
        for (size_t i = 0; i < report.fault_count; i++) {
            print_message("%s at %llu: %s\n", report.faults[i].file,
                          (unsigned long long)report.faults[i].offset, report.faults[i].what);
        }
        xt_audit_report_free(&report);
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    xt_audit_checkpoints_close(checkpoints);
    munmap(told, sizeof(*told));
    assert_int_equal(verified, XT_OK);
    assert_true(written > 0);
}

/* A worker goes on telling of the segment before its rotation, which the operator may have expired. */
static void a_closed_segment_that_was_expired_is_no_news(void **state)
{
    (void)state;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    struct xt_audit_checkpoints *operators = NULL;
    struct worker_log worker;
    struct worker_log *const all[] = {&worker};
    struct xt_audit_expiry expiry;
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 10, 5);
    worker_rotate(&worker, LOG_START + 1000);
    checkpoint(checkpoints, LOG_START + 1000, XT_AUDIT_FLAG_ROTATION, all, 1);
    operators = open_checkpoints(); /* another process */
    assert_int_equal(
        xt_audit_expire(operators, LOG_START + 2000, LOG_START + 900, SIZE_MAX, &expiry, &failure),
        XT_OK);
    assert_int_equal(expiry.segments, 1);
    xt_audit_checkpoints_close(operators);
    worker_write(&worker, 2000, 2010, 5);
    checkpoint(checkpoints, LOG_START + 3000, 0, all, 1); /* with the row of before the expiry */
    worker_write(&worker, 3000, 3010, 5);
    checkpoint(checkpoints, LOG_START + 4000, 0, all, 1); /* knowing of it */
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 5000, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(20);
}

/* A list that says two things of one segment could never be read again. */
static void no_checkpoint_says_two_things_of_one_segment(void **state)
{
    (void)state;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    struct worker_log worker;
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 10, 5);
    struct xt_audit_progress hostile;
    assert_int_equal(xt_audit_progress_read(&worker.progress, &hostile), XT_OK);
    hostile.before = hostile.current;
    hostile.before.closed = 1;
    struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS];
    assert_int_equal(worker_rows(&worker, &hostile, rows), 1);
    struct xt_audit_row twice[] = {rows[0], rows[0]};
    twice[1].kind = XT_AUDIT_OPEN;
    assert_int_equal(xt_audit_checkpoint_write(checkpoints, LOG_START + 100, 0, twice, 2, &failure),
                     XT_CORRUPT);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    struct worker_log *const all[] = {&worker};
    checkpoint(checkpoints, LOG_START + 200, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(10);
}

#define IN_LOG(test) cmocka_unit_test_setup_teardown(test, audit_log_make, audit_log_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_comes_back_as_it_was),
        cmocka_unit_test(an_attempt_is_told_with_its_event),
        cmocka_unit_test(what_is_not_canonical_is_refused),
        cmocka_unit_test(an_entry_that_no_caller_should_make_is_refused),
        cmocka_unit_test(an_answer_id_and_json_are_as_partners_see_them),
        IN_LOG(what_was_written_verifies_and_can_be_found),
        IN_LOG(a_full_batch_is_flushed_by_itself),
        IN_LOG(nothing_of_a_person_or_partner_stands_in_the_files_in_the_clear),
        IN_LOG(only_what_is_durable_is_told_to_the_supervisor),
        IN_LOG(a_file_that_is_not_empty_is_not_gone_on_with),
        IN_LOG(a_file_at_its_limit_refuses_and_goes_on_once_there_is_room),
        IN_LOG(a_full_file_system_refuses_and_goes_on_once_there_is_room),
        IN_LOG(a_failed_sync_ends_the_log),
        IN_LOG(a_torn_tail_at_every_byte_is_cut_and_written_down),
        IN_LOG(a_tail_of_zeros_is_torn_and_a_changed_one_is_not),
        IN_LOG(a_file_without_a_whole_header_is_removed),
        IN_LOG(what_somebody_still_writes_is_left_alone),
        IN_LOG(a_closed_segment_that_was_expired_is_no_news),
        IN_LOG(no_checkpoint_says_two_things_of_one_segment),
        IN_LOG(verify_finds_nothing_wrong_while_a_worker_writes),
        IN_LOG(whatever_a_killed_child_said_was_flushed_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
