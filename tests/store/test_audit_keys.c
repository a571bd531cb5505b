/* What whoever has a key of the audit log that signs no more, or one of his own, cannot do to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/audit_key.h"
#include "store/audit_checkpoint_internal.h"
#include "tests/store/audit_log.h"
#include "tests/test.h"

#define MINUTE 60000

static struct xt_failure failure;
static struct xt_audit_key *old, *current, *foreign;

static struct xt_audit_key *key_of(const char *dir)
{
    char path[XT_PATH_MAX + 32];
    struct xt_audit_key *key = NULL;
    snprintf(path, sizeof(path), "%s/keys/audit.key", dir);
    if (xt_audit_key_open(path, &key, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return key;
}

/* A log that two keys have signed, one after the other; the first is kept, as a thief may have it, and the
 * public key of that time, as an auditor may. */
static int make(void **state)
{
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    uint32_t id;
    audit_log_make(state);
    struct xt_audit_checkpoints *checkpoints = open_checkpoints();
    old = key_of(deployment());
    write_text("kept.pub", read_text("keys/audit.pub"));
    worker_open(&worker, 0, LOG_START, checkpoints);
    checkpoint(checkpoints, LOG_START, XT_AUDIT_FLAG_ROTATION, all, 1);
    worker_write(&worker, 0, 20, 4);
    checkpoint(checkpoints, LOG_START + MINUTE, 0, all, 1);
    assert_int_equal(xt_audit_key_rotate(deployment(), &id, &failure), XT_OK);
    worker_write(&worker, 20, 40, 4);
    checkpoint(checkpoints, LOG_START + 2 * MINUTE, 0, all, 1);
    worker_close(&worker);
    xt_audit_checkpoints_close(checkpoints);
    current = key_of(deployment());
    assert_true(xt_audit_key_id(current) == id && xt_audit_key_id(old) != id);
    char command[XT_PATH_MAX + 64];
    snprintf(command, sizeof(command), "mkdir -p %s/keys %s/audit", deployment_path("foreign"),
             deployment_path("foreign"));
    assert_int_equal(system(command), 0);
    assert_int_equal(xt_audit_key_make(deployment_path("foreign"), &failure), XT_OK);
    foreign = key_of(deployment_path("foreign"));
    assert_sound(40);
    return 0;
}

static int remove_all(void **state)
{
    xt_audit_key_close(old);
    xt_audit_key_close(current);
    xt_audit_key_close(foreign);
    return audit_log_remove(state);
}

/* With the log's own keys, and with the kept one and those it vouches for. */
static void assert_verifies(bool by_its_own, bool by_the_kept)
{
    struct xt_audit_plan plan = {.threads = 1, .quiet = true};
    for (unsigned i = 0; i < 2; i++) {
        struct xt_audit_report report = {.faults = NULL};
        plan.public_key = i == 0 ? NULL : deployment_path("kept.pub");
        enum xt_status status =
            xt_audit_verify(deployment(), deployment_keyring(), &plan, &report, &failure);
        assert_int_equal(status == XT_OK, i == 0 ? by_its_own : by_the_kept);
        xt_audit_report_free(&report);
    }
}

static bool is_told(const char *what)
{
    struct xt_audit_report report = {.faults = NULL};
    bool told = false;
    assert_int_equal(verify_log(&report), XT_CORRUPT);
    for (size_t i = 0; i < report.fault_count; i++) {
        told = told || strstr(report.faults[i].what, what) != NULL;
    }
    xt_audit_report_free(&report);
    return told;
}

static void read_head(struct xt_audit_head *head)
{
    struct xt_audit_public *keys = NULL;
    assert_int_equal(xt_audit_public_open(deployment_path("keys/audit.pub"), &keys, &failure),
                     XT_OK);
    assert_int_equal(xt_audit_head_read(deployment_path("audit/head"), keys, head, &failure),
                     XT_OK);
    xt_audit_public_close(keys);
}

/* Another checkpoint that follows the last, and the head that names it. */
static void append(const struct xt_audit_key *key, const struct xt_audit_key *of_head)
{
    static uint8_t bytes[XT_AUDIT_CHECKPOINT_MAX];
    struct xt_audit_head head;
    read_head(&head);
    struct xt_audit_checkpoint next = {.number = head.number + 1,
                                       .unix_ms = LOG_START + 3 * MINUTE};
    memcpy(next.before, head.digest, sizeof(next.before));
    size_t size = xt_audit_checkpoint_make(&next, key, NULL, bytes);
    FILE *list = fopen(deployment_path("audit/checkpoints"), "a");
    assert_non_null(list);
    assert_int_equal(fwrite(bytes, 1, size, list), size);
    assert_int_equal(fclose(list), 0);
    head.number++;
    head.end += size;
    xt_audit_chain(head.digest, xt_span_of(bytes, size), head.digest);
    assert_int_equal(xt_audit_head_write(deployment_path("audit/head"), of_head, &head, &failure),
                     XT_OK);
}

static void the_key_in_force_goes_on(void **state)
{
    (void)state;
    append(current, current);
    assert_verifies(true, true);
}

static void an_older_key_that_signs_after_a_newer_one_is_found(void **state)
{
    (void)state;
    append(old, old);
    assert_verifies(false, false);
    assert_true(is_told("in whose place another was by then"));
}

static void an_older_key_cannot_sign_below_a_head_of_the_newer(void **state)
{
    (void)state;
    append(old, current);
    assert_verifies(false, false);
}

static void an_older_key_cannot_sign_the_head(void **state)
{
    (void)state;
    struct xt_audit_head head;
    read_head(&head);
    assert_int_equal(xt_audit_head_write(deployment_path("audit/head"), old, &head, &failure),
                     XT_OK);
    assert_verifies(false, false);
    assert_int_equal(xt_audit_head_write(deployment_path("audit/head"), current, &head, &failure),
                     XT_OK);
    assert_verifies(true, true);
}

static void a_foreign_key_signs_nothing(void **state)
{
    (void)state;
    append(foreign, foreign);
    assert_verifies(false, false);
}

/* The foreign key in audit.pub: with the voucher that the log's own key has, and with none. */
static void a_forged_voucher_brings_nobody_in(void **state)
{
    (void)state;
    char real[4096], line[1024], text[8192];
    snprintf(real, sizeof(real), "%s", read_text("keys/audit.pub"));
    snprintf(line, sizeof(line), "%s", read_text("foreign/keys/audit.pub"));
    line[strcspn(line, "\n")] = '\0';
    char *second = strchr(real, '\n') + 1;
    const char *voucher = second + 8 + 1 + 64 + 1 + 20; /* behind id, key and time */
    append(foreign, foreign);
    snprintf(text, sizeof(text), "%s%.94s%s", real, line, voucher);
    write_text("keys/audit.pub", text);
    assert_verifies(false, false);
    snprintf(text, sizeof(text), "%s%.94s\n", real, line);
    write_text("keys/audit.pub", text);
    assert_verifies(true, false); /* whoever keeps a copy of his own sees it; nobody else can */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_key_in_force_goes_on),
        EACH(an_older_key_that_signs_after_a_newer_one_is_found),
        EACH(an_older_key_cannot_sign_below_a_head_of_the_newer),
        EACH(an_older_key_cannot_sign_the_head),
        EACH(a_foreign_key_signs_nothing),
        EACH(a_forged_voucher_brings_nobody_in),
    };
    xt_crypto_start();
    return cmocka_run_group_tests_name("store/audit_keys", tests, NULL, NULL);
}
