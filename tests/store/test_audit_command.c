/* `xacthuc audit` as an operator runs it, and what a rotation and an expiry leave. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/audit_log.h"
#include "tests/test.h"

static struct xt_failure failure;

/* Three segments of a worker, 100 entries each, an hour apart in their names. */
static int make_log(void **state)
{
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    audit_log_make(state);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    worker_open(&worker, 0, LOG_START, checkpoints);
    for (unsigned i = 0; i < 3; i++) {
        if (i > 0) {
            worker_rotate(&worker, LOG_START + i * 3600000ULL);
        }
        worker_write(&worker, i * 3600000ULL, i * 3600000ULL + 100, 10);
        checkpoint(checkpoints, LOG_START + i * 3600000ULL + 100,
                   i > 0 ? XT_AUDIT_FLAG_ROTATION : 0, all, 1);
    }
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    return 0;
}

static unsigned lines(const char *text)
{
    unsigned count = 0;
    for (; *text != 0; text++) {
        count += *text == '\n';
    }
    return count;
}

static void verify_tells_what_it_found(void **state)
{
    (void)state;
    assert_int_equal(run("audit", "verify", "DIR", "--quiet", NULL), 0);
    assert_string_equal(run_out,
                        "the audit log is sound: 300 entries in 3 files up to checkpoint 3\n");
    assert_int_equal(run("audit", "verify", "DIR", "--json", "--quiet", NULL), 0);
    assert_non_null(strstr(run_out, "{\"sound\":true,\"segments\":3,\"entries\":300,"));
    assert_int_equal(run("audit", "verify", "DIR", "--checkpoint", "4", "--quiet", NULL), 1);
    assert_int_equal(unlink(deployment_path("audit/head")), 0);
    assert_int_equal(run("audit", "verify", "DIR", "--json", "--quiet", NULL), 1);
    assert_non_null(strstr(run_out, "{\"sound\":false,"));
    assert_non_null(strstr(run_out, "{\"file\":\"head\",\"offset\":0,\"text\":"));
    assert_non_null(strstr(run_err, "xacthuc audit: the audit log is damaged"));
}

static void verify_takes_a_public_key_that_was_kept_elsewhere(void **state)
{
    (void)state;
    char other[200];
    snprintf(other, sizeof(other), "%s", deployment_path("other.pub"));
    write_text("other.pub", read_text("keys/audit.pub"));
    assert_int_equal(run("audit", "verify", "DIR", "--quiet", "--public-key", other, NULL), 0);
    write_text("other.pub", "00000001 "
                            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n");
    assert_int_equal(run("audit", "verify", "DIR", "--quiet", "--public-key", other, NULL), 1);
    assert_int_equal(run("audit", "verify", "DIR", "--public-key", "/nonexistent", NULL), 1);
}

static void search_answers_who_asked_about_whom(void **state)
{
    (void)state;
    char number[32];
    assert_int_equal(run("audit", "search", "DIR", "--partner", "p1", "--json", NULL), 0);
    assert_int_equal(lines(run_out), 75);
    assert_int_equal(run("audit", "search", "DIR", "--from", "2026-11-22T04:04:05Z", "--to",
                         "2026-11-22T11:04:05.110+07:00", NULL),
                     0);
    assert_int_equal(lines(run_out), 100);
    assert_non_null(strstr(run_err, "100 found"));
    snprintf(number, sizeof(number), "%012llu\n", PERSON_NUMBER(3600013ULL));
    assert_int_equal(run_with_input(number, strlen(number), "audit", "search", "DIR", "--id", "-",
                                    "--json", NULL),
                     0);
    assert_int_equal(lines(run_out), 1);
    assert_non_null(strstr(run_out, "\"time\":\"2026-11-22T04:04:05.013Z\""));
    assert_non_null(strstr(run_out, "\"partner\":\"p1\""));
    assert_null(strstr(run_out, "1093600013"));
    char answer[XT_ANSWER_ID + 1];
    memcpy(answer, strstr(run_out, "\"answer_id\":\"") + 13, XT_ANSWER_ID);
    answer[XT_ANSWER_ID] = 0;
    assert_int_equal(run("audit", "search", "DIR", "--answer", answer, NULL), 0);
    assert_int_equal(lines(run_out), 1);
    assert_non_null(strstr(run_out, "p1 verify sim.register 200 not_verified full_name=match,"
                                    "date_of_birth=mismatch,phone=not_held\n"));
}

static void a_number_in_an_argument_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run("audit", "search", "DIR", "--id", "001099012345", NULL), 2);
    assert_non_null(strstr(run_err, "arguments can be seen by everybody"));
    assert_null(strstr(run_err, "001099012345"));
    assert_int_equal(run_with_input("12345\n", 6, "audit", "search", "DIR", "--id", "-", NULL), 2);
}

static void export_gives_every_entry_as_a_line_of_json(void **state)
{
    (void)state;
    assert_int_equal(run("audit", "export", "DIR", "--to", "2026-11-22T05:00:00Z", NULL), 0);
    assert_int_equal(lines(run_out), 200);
    assert_int_equal(strncmp(run_out, "{\"time\":\"2026-11-22T03:04:05.000Z\",", 34), 0);
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    assert_int_equal(run("audit", NULL), 2);
    assert_int_equal(run("audit", "bend", "DIR", NULL), 2);
    assert_int_equal(run("audit", "verify", NULL), 2);
    assert_int_equal(run("audit", "verify", "DIR", "--partner", "p1", NULL), 2);
    assert_int_equal(run("audit", "expire", "DIR", NULL), 2);
    assert_int_equal(run("audit", "expire", "DIR", "--before", "2026-13-01", NULL), 2);
    assert_int_equal(run("audit", "expire", "DIR", "--before", "2199-01-01", NULL), 2);
    assert_int_equal(run("audit", "search", "DIR", "--from", "yesterday", NULL), 2);
    assert_int_equal(run("audit", "--help", NULL), 0);
    assert_int_equal(run("audit", "verify", "/nonexistent", NULL), 1);
}

static void a_deployment_that_has_never_logged_says_so(void **state)
{
    (void)state;
    assert_int_equal(run("audit", "verify", "DIR", NULL), 1);
    assert_non_null(strstr(run_err, "audit.pub"));
    assert_int_equal(run("audit", "search", "DIR", NULL), 0);
    assert_string_equal(run_out, "");
}

static void expire_removes_whole_files_and_verify_still_holds(void **state)
{
    (void)state;
    struct xt_audit_expiry expiry;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    assert_int_equal(count_names("audit", "2026"), 3);
    /* The last is open: it stays, whatever its age. */
    assert_int_equal(xt_audit_expire(checkpoints, LOG_START + 9000000, LOG_START + 8000000,
                                     SIZE_MAX, &expiry, &failure),
                     XT_OK);
    assert_true(expiry.segments == 2 && expiry.entries == 200 && expiry.open == 1);
    xt_audit_checkpoints_close(checkpoints);
    assert_int_equal(count_names("audit", "2026"), 1);
    assert_sound(100);
    assert_int_equal(run("audit", "verify", "DIR", "--quiet", NULL), 0);
    assert_non_null(strstr(run_out, "2 files were removed by audit expire\n"));
    assert_int_equal(run("audit", "search", "DIR", "--json", NULL), 0);
    assert_int_equal(lines(run_out), 100);
    /* The chain goes on after it. */
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    struct xt_audit_repair repair;
    checkpoints = open_checkpoints();
    assert_int_equal(
        xt_audit_recover(checkpoints, deployment_keyring(), LOG_START + 9000000, &repair, &failure),
        XT_OK);
    assert_true(repair.closed == 1 && repair.repaired == 0);
    worker_open(&worker, 0, LOG_START + 9000000, checkpoints);
    worker_write(&worker, 9000000, 9000010, 10);
    assert_int_equal(xt_audit_end(worker.log), XT_OK);
    checkpoint(checkpoints, LOG_START + 9000100, XT_AUDIT_FLAG_END, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(110);
}

static void expire_at_the_command_line_keeps_what_is_young(void **state)
{
    (void)state;
    assert_int_equal(run("audit", "expire", "DIR", "--before", "2020-01-01", "--json", NULL), 0);
    assert_string_equal(run_out, "{\"files\":0,\"entries\":0,\"bytes\":0,\"open\":0}\n");
    assert_int_equal(count_names("audit", "2026"), 3);
    assert_sound(300);
}

static void an_interrupted_expiry_is_finished_by_the_next(void **state)
{
    (void)state;
    struct xt_audit_expiry expiry;
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    const struct xt_audit_known *known = xt_audit_checkpoints_known(checkpoints);
    struct xt_audit_row row = known->rows[0];
    row.kind = XT_AUDIT_EXPIRED;
    assert_int_equal(xt_audit_checkpoint_write(checkpoints, LOG_START + 9000000,
                                               XT_AUDIT_FLAG_EXPIRED, &row, 1, &failure),
                     XT_OK);
    assert_int_equal(count_names("audit", "2026"), 3); /* the tombstone is there, so is the file */
    assert_int_equal(
        xt_audit_expire(checkpoints, LOG_START + 9000000, LOG_START, SIZE_MAX, &expiry, &failure),
        XT_OK);
    assert_int_equal(expiry.segments, 1);
    assert_int_equal(count_names("audit", "2026"), 2);
    xt_audit_checkpoints_close(checkpoints);
    assert_sound(200);
}

static void times_are_read_strictly(void **state)
{
    (void)state;
    uint64_t ms = 0;
    assert_true(xt_audit_time_parse("2026-11-22T03:04:05Z", &ms) && ms == LOG_START);
    assert_true(xt_audit_time_parse("2026-11-22T10:04:05+07:00", &ms) && ms == LOG_START);
    assert_true(xt_audit_time_parse("2026-11-22T03:04:05.250", &ms) && ms == LOG_START + 250);
    assert_true(xt_audit_time_parse("2026-11-22", &ms) && ms % 86400000 == 0);
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-11",
                                        "2026-02-30",
                                        "2026-11-22T",
                                        "2026-11-22 03:04:05",
                                        "2026-11-22T24:00:00Z",
                                        "2026-11-22T03:04:05ZZ",
                                        "2026-11-22T03:04:05+7",
                                        "2026-11-22T03:04:05.1Z",
                                        "1969-12-31",
                                        "2200-01-01"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(xt_audit_time_parse(wrong[i], &ms));
    }
}

#define IN_LOG(test) cmocka_unit_test_setup_teardown(test, make_log, audit_log_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOG(verify_tells_what_it_found),
        IN_LOG(verify_takes_a_public_key_that_was_kept_elsewhere),
        IN_LOG(search_answers_who_asked_about_whom),
        IN_LOG(a_number_in_an_argument_is_refused),
        IN_LOG(export_gives_every_entry_as_a_line_of_json),
        IN_LOG(wrong_usage_is_told),
        IN_LOG(expire_removes_whole_files_and_verify_still_holds),
        IN_LOG(expire_at_the_command_line_keeps_what_is_young),
        IN_LOG(an_interrupted_expiry_is_finished_by_the_next),
        cmocka_unit_test_setup_teardown(a_deployment_that_has_never_logged_says_so, audit_log_make,
                                        audit_log_remove),
        cmocka_unit_test(times_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
