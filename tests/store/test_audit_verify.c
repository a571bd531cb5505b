/* The audit log against who can write to its files: 10,000 seeded changes, all found, each in its place. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "crypto/file.h"
#include "tests/core/mutate.h"
#include "tests/store/audit_log.h"
#include "tests/test.h"

#define MUTATIONS 10000
#define FILES_MAX 16
#define PIECES_MAX 64
#define FILE_MAX 65536

/* A file as it should be, and where its pieces (header, batches; checkpoints) begin. */
struct original {
    char name[XT_AUDIT_NAME];
    uint8_t bytes[FILE_MAX];
    size_t size;
    size_t pieces[PIECES_MAX + 1]; /* the last: its end */
    unsigned count;
};

static struct original originals[FILES_MAX];
static unsigned file_count;
static uint8_t changed[2 * FILE_MAX];
static struct xt_failure failure;
static uint8_t old_head[XT_AUDIT_HEAD_BYTES];

static void put_file(const char *name, const uint8_t *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "audit/%s", name);
    int fd = open(deployment_path(path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    /* Not O_TRUNC: some file systems sync what replaces a file so. */
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static size_t get_file(const char *name, uint8_t *bytes, size_t room)
{
    char path[128];
    uint8_t *content;
    size_t size;
    snprintf(path, sizeof(path), "audit/%s", name);
    assert_int_equal(xt_file_read(deployment_path(path), room, &content, &size, &failure), XT_OK);
    memcpy(bytes, content, size);
    xt_file_release(content, size);
    return size;
}

static size_t length_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16;
}

static void find_pieces(struct original *file)
{
    size_t at = 0;
    file->count = 0;
    bool segment = xt_audit_is_name(file->name);
    while (at < file->size) {
        assert_true(file->count < PIECES_MAX);
        file->pieces[file->count++] = at;
        if (strcmp(file->name, "head") == 0) {
            at = file->size;
        } else if (!segment) {
            at += 4 + length_at(file->bytes + at) + XT_AUDIT_SIGNATURE;
        } else if (at == 0) {
            at = XT_AUDIT_HEADER_BYTES;
        } else {
            at += XT_AUDIT_BATCH_HEADER + length_at(file->bytes + at + 4) + XT_AUDIT_DIGEST;
        }
    }
    assert_int_equal(at, file->size);
    file->pieces[file->count] = at;
}

static void remember_files(void)
{
    DIR *list = opendir(deployment_path("audit"));
    assert_non_null(list);
    file_count = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        assert_true(file_count < FILES_MAX);
        struct original *file = &originals[file_count++];
        snprintf(file->name, sizeof(file->name), "%.40s", entry->d_name);
        file->size = get_file(file->name, file->bytes, FILE_MAX);
        find_pieces(file);
    }
    closedir(list);
}

/* Two workers, three segments each, of which one expired and one was repaired; eight checkpoints. */
static int make_small_log(void **state)
{
    struct worker_log first, second;
    struct worker_log *both[] = {&first, &second};
    struct xt_audit_repair repair;
    struct xt_audit_expiry expiry;
    audit_log_make(state);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&first, 0, LOG_START, checkpoints);
    worker_open(&second, 1, LOG_START, checkpoints);
    checkpoint(checkpoints, LOG_START, XT_AUDIT_FLAG_ROTATION, both, 2);
    worker_write(&first, 0, 10, 3);
    worker_rotate(&first, LOG_START + 1000);
    checkpoint(checkpoints, LOG_START + 1000, XT_AUDIT_FLAG_ROTATION, both, 2);
    worker_write(&first, 2000, 2020, 3);
    worker_write(&second, 2000, 2010, 3);
    checkpoint(checkpoints, LOG_START + 3000, 0, both, 2);
    get_file("head", old_head, sizeof(old_head));
    worker_rotate(&first, LOG_START + 4000);
    checkpoint(checkpoints, LOG_START + 4000, XT_AUDIT_FLAG_ROTATION, both, 2);
    worker_write(&first, 5000, 5020, 4);
    worker_write(&second, 5000, 5020, 2);
    int fd = second.fd; /* killed while it wrote */
    assert_int_equal(write(fd, "XAB1", 4), 4);
    worker_close(&second);
    assert_int_equal(xt_audit_recover_one(checkpoints, deployment_keyring(), LOG_START + 6000,
                                          &second.header, &repair, &failure),
                     XT_OK);
    assert_int_equal(repair.cut, 4);
    worker_open(&second, 1, LOG_START + 6000, checkpoints);
    worker_write(&second, 6000, 6010, 2);
    assert_int_equal(xt_audit_expire(checkpoints, LOG_START + 7000, LOG_START + 900, SIZE_MAX,
                                     &expiry, &failure),
                     XT_OK);
    assert_int_equal(expiry.segments, 1);
    assert_int_equal(xt_audit_end(first.log), XT_OK);
    assert_int_equal(xt_audit_end(second.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 8000, XT_AUDIT_FLAG_END, both, 2);
    worker_close(&first);
    worker_close(&second);
    xt_audit_checkpoints_close(checkpoints);
    remember_files();
    assert_int_equal(file_count, 4 + 2);
    assert_sound(20 + 10 + 20 + 20 + 10);
    return 0;
}

/* The piece that a byte is in. */
static unsigned piece_of(const struct original *file, size_t at)
{
    unsigned piece = 0;
    while (piece + 1 < file->count && file->pieces[piece + 1] <= at) {
        piece++;
    }
    return piece;
}

static size_t piece_size(const struct original *file, unsigned piece)
{
    return file->pieces[piece + 1] - file->pieces[piece];
}

static size_t put_piece(uint8_t *to, const struct original *file, unsigned piece)
{
    size_t size = piece_size(file, piece);
    memcpy(to, file->bytes + file->pieces[piece], size);
    return size;
}

static size_t first_difference(const struct original *file, size_t size)
{
    size_t at = 0;
    while (at < size && at < file->size && changed[at] == file->bytes[at]) {
        at++;
    }
    return at;
}

/* One change. Gives the new size; *expected: the offset that verify is to name. */
static size_t change(const struct original *file, uint64_t *random, size_t *expected,
                     const char **what)
{
    uint64_t draw = next_random(random);
    size_t at = (size_t)(draw >> 32) % file->size;
    unsigned one = (unsigned)(draw >> 16 & 0xff) % file->count;
    unsigned other = (unsigned)(draw >> 24 & 0xff) % file->count;
    unsigned low = one < other ? one : other, high = one < other ? other : one;
    size_t size = 0;
    memcpy(changed, file->bytes, file->size);
    switch (draw & 7) {
    case 0: /* drop a piece */
        *what = "dropped";
        *expected = file->pieces[one];
        memmove(changed + file->pieces[one], changed + file->pieces[one + 1],
                file->size - file->pieces[one + 1]);
        return file->size - piece_size(file, one);
    case 1: /* double a piece */
        *what = "doubled";
        *expected = file->pieces[one + 1];
        size = file->pieces[one + 1];
        size += put_piece(changed + size, file, one);
        memcpy(changed + size, file->bytes + file->pieces[one + 1],
               file->size - file->pieces[one + 1]);
        return file->size + piece_size(file, one);
    case 2: /* two change places */
        *what = "moved";
        if (low == high) {
            break;
        }
        *expected = file->pieces[low];
        size = file->pieces[low];
        size += put_piece(changed + size, file, high);
        for (unsigned i = low + 1; i < high; i++) {
            size += put_piece(changed + size, file, i);
        }
        (void)put_piece(changed + size, file, low);
        return file->size;
    case 3: /* cut */
        *what = "cut";
        *expected = file->pieces[piece_of(file, at)];
        return at;
    case 4: /* something added at the end */
        *what = "lengthened";
        *expected = file->size;
        changed[file->size] = (uint8_t)draw;
        memset(changed + file->size + 1, (int)(draw >> 8 & 1), at % 300);
        return file->size + 1 + at % 300;
    case 5: /* a byte taken out or put in */
        *what = "shifted";
        size = file->size + 1;
        if ((draw >> 8 & 1) != 0) {
            memmove(changed + at, changed + at + 1, file->size - at - 1);
            size = file->size - 1;
        } else {
            memmove(changed + at + 1, changed + at, file->size - at);
        }
        at = first_difference(file, size);
        *expected = at == file->size ? at : file->pieces[piece_of(file, at)];
        return size;
    default:
        break;
    }
    *what = "flipped";
    *expected = file->pieces[piece_of(file, at)];
    changed[at] ^= (uint8_t)(1U << (draw >> 8 & 7));
    return file->size;
}

static bool names(const struct xt_audit_report *report, const char *file, size_t offset)
{
    for (size_t i = 0; i < report->fault_count; i++) {
        if (strcmp(report->faults[i].file, file) == 0 && report->faults[i].offset == offset) {
            return true;
        }
    }
    return false;
}

static void fail_with(const struct xt_audit_report *report, const struct original *file,
                      const char *what, size_t offset)
{
    for (size_t i = 0; i < report->fault_count; i++) {
        print_message("found: %s at %llu: %s\n", report->faults[i].file,
                      (unsigned long long)report->faults[i].offset, report->faults[i].what);
    }
    for (unsigned i = 0; i <= file->count; i++) {
        print_message("piece %u at %zu\n", i, file->pieces[i]);
    }
    fail_msg("%s was %s at %zu", file->name, what, offset);
}

static void every_change_is_found_where_it_was_made(void **state)
{
    (void)state;
    uint64_t random = 20261122;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        const struct original *file = &originals[next_random(&random) % file_count];
        struct xt_audit_report report;
        const char *what = "";
        size_t expected = 0;
        size_t size = change(file, &random, &expected, &what);
        if (size == file->size && memcmp(changed, file->bytes, size) == 0) {
            continue; /* a byte put in beside its like at the end */
        }
        if (strcmp(file->name, "head") == 0) {
            expected = 0;
        }
        put_file(file->name, changed, size);
        enum xt_status status = verify_log(&report);
        if (status != XT_CORRUPT || !names(&report, file->name, expected)) {
            fail_with(&report, file, what, expected);
        }
        xt_audit_report_free(&report);
        put_file(file->name, file->bytes, file->size);
    }
    assert_sound(80);
}

static void every_file_that_is_removed_is_missed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < file_count; i++) {
        struct xt_audit_report report;
        char path[128];
        snprintf(path, sizeof(path), "audit/%.47s", originals[i].name);
        assert_int_equal(unlink(deployment_path(path)), 0);
        assert_int_equal(verify_log(&report), XT_CORRUPT);
        assert_true(names(&report, originals[i].name, 0));
        xt_audit_report_free(&report);
        put_file(originals[i].name, originals[i].bytes, originals[i].size);
    }
    assert_sound(80);
}

static void files_that_are_swapped_copied_or_put_back_are_found(void **state)
{
    (void)state;
    struct xt_audit_report report;
    struct original *segments[FILES_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < file_count; i++) {
        if (xt_audit_is_name(originals[i].name)) {
            segments[count++] = &originals[i];
        }
    }
    for (unsigned i = 0; i < count; i++) {
        const struct original *one = segments[i], *other = segments[(i + 1) % count];
        put_file(one->name, other->bytes, other->size);
        put_file(other->name, one->bytes, one->size);
        assert_int_equal(verify_log(&report), XT_CORRUPT);
        assert_true(names(&report, one->name, 0) && names(&report, other->name, 0));
        xt_audit_report_free(&report);
        put_file(one->name, one->bytes, one->size);
        put_file(other->name, other->bytes, other->size);
    }
    put_file("20261122T040000Z-w0-00000000.seg", segments[0]->bytes, segments[0]->size);
    assert_int_equal(verify_log(&report), XT_CORRUPT);
    assert_true(names(&report, "20261122T040000Z-w0-00000000.seg", 0));
    xt_audit_report_free(&report);
    assert_int_equal(unlink(deployment_path("audit/20261122T040000Z-w0-00000000.seg")), 0);
    put_file("head", old_head, sizeof(old_head));
    assert_int_equal(verify_log(&report), XT_CORRUPT);
    xt_audit_report_free(&report);
    assert_int_equal(unlink(deployment_path("audit/head")), 0);
    assert_int_equal(unlink(deployment_path("audit/checkpoints")), 0);
    assert_int_equal(verify_log(&report), XT_CORRUPT);
    assert_true(names(&report, "head", 0));
    xt_audit_report_free(&report);
    remember_files();
}

/* A log as long as the list that an older head names: found by a number that was noted elsewhere. */
static void an_older_log_is_found_by_a_number_noted_elsewhere(void **state)
{
    (void)state;
    struct xt_audit_report report;
    struct xt_audit_plan plan = {.threads = 2, .quiet = true};
    assert_int_equal(xt_audit_verify(deployment(), deployment_keyring(), &plan, &report, &failure),
                     XT_OK);
    assert_true(report.repaired == 1 && report.cut == 4 && report.expired == 1);
    plan.at_least = report.checkpoints;
    xt_audit_report_free(&report);
    assert_int_equal(xt_audit_verify(deployment(), deployment_keyring(), &plan, &report, &failure),
                     XT_OK);
    xt_audit_report_free(&report);
    plan.at_least++;
    assert_int_equal(xt_audit_verify(deployment(), deployment_keyring(), &plan, &report, &failure),
                     XT_CORRUPT);
    xt_audit_report_free(&report);
}

/* What a server refuses to start on is what verify finds: damage is never repaired away. */
static void recovery_refuses_what_is_no_torn_tail(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_repair repair;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 5, LOG_START + 9000, checkpoints);
    worker_write(&worker, 9000, 9020, 5);
    checkpoint(checkpoints, LOG_START + 9100, 0, all, 1);
    worker_close(&worker);
    assert_int_equal(
        truncate(deployment_path(worker_file(&worker)), (off_t)worker.progress.current.bytes - 1),
        0);
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 9200, &repair, &failure),
        XT_CORRUPT);
    assert_non_null(strstr(failure.text, "a checkpoint knows more of it"));
    assert_int_equal(unlink(deployment_path(worker_file(&worker))), 0);
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 9200, &repair, &failure),
        XT_CORRUPT);
    assert_non_null(strstr(failure.text, "is missing"));
    xt_audit_checkpoints_close(checkpoints);
}

static void a_worker_that_takes_back_what_it_told_is_not_signed_for(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_row rows[XT_AUDIT_PROGRESS_ROWS];
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 6, LOG_START + 9000, checkpoints);
    worker_write(&worker, 9000, 9020, 5);
    checkpoint(checkpoints, LOG_START + 9100, 0, all, 1);
    assert_int_equal(worker_rows(&worker, &worker.progress, rows), 1);
    rows[0].state.bytes--;
    uint64_t number = xt_audit_checkpoints_number(checkpoints);
    assert_int_equal(xt_audit_checkpoint_write(checkpoints, LOG_START + 9200, 0, rows, 1, &failure),
                     XT_CORRUPT);
    rows[0].state.bytes++;
    rows[0].state.digest[0] ^= 1;
    assert_int_equal(xt_audit_checkpoint_write(checkpoints, LOG_START + 9200, 0, rows, 1, &failure),
                     XT_CORRUPT);
    assert_false(xt_audit_checkpoints_takes(checkpoints, &rows[0]));
    rows[0].state.digest[0] ^= 1;
    assert_true(xt_audit_checkpoints_takes(checkpoints, &rows[0]));
    rows[0].state.id[0] ^= 1; /* a new segment that could never be read back */
    rows[0].state.start_ms = UINT64_MAX;
    assert_int_equal(xt_audit_checkpoint_write(checkpoints, LOG_START + 9200, 0, rows, 1, &failure),
                     XT_CORRUPT);
    assert_int_equal(xt_audit_checkpoints_number(checkpoints), number);
    struct xt_audit_progress forged = worker.progress;
    forged.current.id[0] ^= 1; /* of a segment that it was not given */
    assert_int_equal(worker_rows(&worker, &forged, rows), 0);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
}

static void open_after(struct worker_log *worker, const struct xt_audit_link *before)
{
    *worker = (struct worker_log){.header = {.worker = 7, .unix_ms = LOG_START + 9000}};
    worker->header.before = *before;
    assert_int_equal(xt_audit_create(deployment(), &worker->header, &worker->fd, &failure), XT_OK);
    assert_int_equal(xt_audit_open(worker->fd, deployment_keyring(), &worker->header,
                                   &worker->progress, &worker->log),
                     XT_OK);
}

static void a_segment_that_does_not_follow_the_one_it_names_is_found(void **state)
{
    (void)state;
    struct xt_audit_report report;
    struct worker_log worker;
    struct xt_audit_link before;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    for (unsigned i = 0; i < 3; i++) {
        xt_audit_checkpoints_link(checkpoints, 1, &before);
        before.id[0] ^= i == 1;
        before.digest[0] ^= i == 2;
        open_after(&worker, &before);
        worker_close(&worker);
        assert_int_equal(verify_log(&report), i == 0 ? XT_OK : XT_CORRUPT);
        assert_true(i == 0 || names(&report, worker_file(&worker) + strlen("audit/"), 0));
        xt_audit_report_free(&report);
        assert_int_equal(unlink(deployment_path(worker_file(&worker))), 0);
    }
    xt_audit_checkpoints_close(checkpoints);
}

/* ---- the list's own crashes --------------------------------------------------------------------- */

static void a_torn_checkpoint_is_cut_and_a_head_that_lags_catches_up(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    uint8_t head[XT_AUDIT_HEAD_BYTES];
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    worker_write(&worker, 0, 10, 5);
    checkpoint(checkpoints, LOG_START + 10, 0, all, 1);
    get_file("head", head, sizeof(head));
    size_t before = get_file("checkpoints", changed, sizeof(changed));
    worker_write(&worker, 10, 20, 5);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 20, XT_AUDIT_FLAG_END, all, 1);
    uint64_t number = xt_audit_checkpoints_number(checkpoints);
    xt_audit_checkpoints_close(checkpoints);
    worker_close(&worker);
    size_t after = get_file("checkpoints", changed, sizeof(changed));
    for (size_t size = before; size <= after; size++) { /* head still of before */
        put_file("head", head, sizeof(head));
        put_file("checkpoints", changed, size);
        checkpoints = open_checkpoints();
        assert_int_equal(xt_audit_checkpoints_number(checkpoints),
                         size == after ? number : number - 1);
        xt_audit_checkpoints_close(checkpoints);
        assert_sound(20);
    }
    changed[after - 1] ^= 1;
    put_file("head", head, sizeof(head));
    put_file("checkpoints", changed, after);
    assert_int_equal(xt_audit_checkpoints_open(deployment(), &checkpoints, &failure), XT_CORRUPT);
}

static void two_processes_append_to_one_list(void **state)
{
    (void)state;
    struct worker_log first, second;
    struct worker_log *one[] = {&first}, *other[] = {&second};
    struct xt_audit_checkpoints *mine = open_checkpoints();
    struct xt_audit_checkpoints *theirs = open_checkpoints();
    worker_open(&first, 0, LOG_START, mine);
    worker_open(&second, 1, LOG_START, theirs);
    for (unsigned i = 0; i < 10; i++) {
        worker_write(&first, i * 10, i * 10 + 10, 3);
        worker_write(&second, i * 10, i * 10 + 10, 3);
        checkpoint(mine, LOG_START + i, 0, one, 1);
        checkpoint(theirs, LOG_START + i, 0, other, 1);
    }
    assert_int_equal(xt_audit_checkpoints_number(theirs), 20);
    worker_close(&first);
    worker_close(&second);
    xt_audit_checkpoints_close(mine);
    xt_audit_checkpoints_close(theirs);
    assert_sound(200);
}

/* ---- size ------------------------------------------------------------------------------------- */

static void a_million_entries_verify_and_are_searched_by_time(void **state)
{
    (void)state;
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    for (uint64_t from = 0; from < 1000000; from += 100000) {
        if (from == 500000) {
            worker_rotate(&worker, LOG_START + from);
        }
        worker_write(&worker, from, from + 100000, 64);
        checkpoint(checkpoints, LOG_START + from + 100000,
                   from == 500000 ? XT_AUDIT_FLAG_ROTATION : 0, all, 1);
    }
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 1000000, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(1000000);
    struct xt_audit_tally tally;
    struct xt_audit_query query = {.from_ms = LOG_START + 850000, .to_ms = LOG_START + 850010};
    assert_int_equal(found_by(&query, &tally), 10);
    assert_true(tally.segments == 1 && tally.read <= 2 * 64);
    query = (struct xt_audit_query){.partner = xt_span_of_string("p3")};
    assert_int_equal(found_by(&query, &tally), 250000);
    assert_int_equal(tally.read, 1000000);
}

#define IN_SMALL_LOG(test) cmocka_unit_test_setup_teardown(test, make_small_log, audit_log_remove)
#define IN_LOG(test) cmocka_unit_test_setup_teardown(test, audit_log_make, audit_log_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SMALL_LOG(every_change_is_found_where_it_was_made),
        IN_SMALL_LOG(every_file_that_is_removed_is_missed),
        IN_SMALL_LOG(files_that_are_swapped_copied_or_put_back_are_found),
        IN_SMALL_LOG(an_older_log_is_found_by_a_number_noted_elsewhere),
        IN_SMALL_LOG(recovery_refuses_what_is_no_torn_tail),
        IN_SMALL_LOG(a_worker_that_takes_back_what_it_told_is_not_signed_for),
        IN_SMALL_LOG(a_segment_that_does_not_follow_the_one_it_names_is_found),
        IN_LOG(a_torn_checkpoint_is_cut_and_a_head_that_lags_catches_up),
        IN_LOG(two_processes_append_to_one_list),
        IN_LOG(a_million_entries_verify_and_are_searched_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
