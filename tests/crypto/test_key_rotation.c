/* New keys in the place of old ones, killed at any moment; and keys that the service manager gives. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/answer_key.h"
#include "crypto/audit_key.h"
#include "crypto/credential.h"
#include "crypto/keyring.h"
#include "crypto/keys_folder.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define KILLS 60

static struct xt_failure failure;

static void make_folders(const char *dir)
{
    char path[128];
    assert_int_equal(mkdir(scratch(dir), 0700), 0);
    snprintf(path, sizeof(path), "%s/keys", dir);
    assert_int_equal(mkdir(scratch(path), 0700), 0);
    snprintf(path, sizeof(path), "%s/audit", dir);
    assert_int_equal(mkdir(scratch(path), 0700), 0);
}

static struct xt_keyring *opened(const char *name)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_open(scratch(name), &keyring, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return keyring;
}

static void derive(const struct xt_keyring *keyring, uint32_t id, uint8_t key[XT_KEY_BYTES])
{
    static const uint8_t salt[XT_SALT_BYTES];
    assert_int_equal(xt_keyring_derive(keyring, id, XT_USE_SPILL, 0, salt, key), XT_OK);
}

/* ---- master keys ------------------------------------------------------------------------------ */

static void a_new_key_is_current_and_the_old_one_derives_what_it_did(void **state)
{
    (void)state;
    uint8_t before[XT_KEY_BYTES], after[XT_KEY_BYTES], other[XT_KEY_BYTES];
    uint32_t id = 0;
    char made[XT_KEY_TIME + 1];
    struct stat facts;
    assert_int_equal(xt_keyring_create(scratch("grow.keys"), &failure), XT_OK);
    struct xt_keyring *keyring = opened("grow.keys");
    uint32_t first = xt_keyring_current(keyring);
    derive(keyring, first, before);
    assert_int_equal(xt_keyring_add(scratch("grow.keys"), &id, &failure), XT_OK);
    assert_int_equal(stat(scratch("grow.keys"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);

    struct xt_keyring *grown = opened("grow.keys");
    assert_int_equal(xt_keyring_count(grown), 2);
    assert_true(xt_keyring_current(grown) == id && id != first);
    assert_true(xt_keyring_at(grown, 0, made) == first && xt_keyring_at(grown, 1, made) == id);
    assert_true(xt_key_time_is((const uint8_t *)made));
    assert_false(xt_keyring_is_same(keyring, grown));

    const struct xt_keyring *borrowed = keyring; /* sees the new keys as soon as they are taken */
    xt_keyring_take(keyring, grown);
    assert_true(xt_keyring_current(borrowed) == id && xt_keyring_has(borrowed, first));
    derive(borrowed, first, after);
    derive(borrowed, id, other);
    assert_memory_equal(before, after, XT_KEY_BYTES);
    assert_memory_not_equal(before, other, XT_KEY_BYTES);
    xt_keyring_close(keyring);
}

static void only_an_old_key_can_be_taken_out(void **state)
{
    (void)state;
    uint32_t ids[3];
    uint8_t before[XT_KEY_BYTES], after[XT_KEY_BYTES];
    assert_int_equal(xt_keyring_create(scratch("shrink.keys"), &failure), XT_OK);
    assert_int_equal(xt_keyring_add(scratch("shrink.keys"), &ids[1], &failure), XT_OK);
    assert_int_equal(xt_keyring_add(scratch("shrink.keys"), &ids[2], &failure), XT_OK);
    struct xt_keyring *keyring = opened("shrink.keys");
    char made[XT_KEY_TIME + 1];
    ids[0] = xt_keyring_at(keyring, 0, made);
    derive(keyring, ids[0], before);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_remove(scratch("shrink.keys"), ids[2], &failure), XT_DENIED);
    assert_int_equal(xt_keyring_remove(scratch("shrink.keys"), ids[1], &failure), XT_OK);
    assert_int_equal(xt_keyring_remove(scratch("shrink.keys"), ids[1], &failure), XT_NOT_FOUND);
    keyring = opened("shrink.keys");
    assert_int_equal(xt_keyring_count(keyring), 2);
    assert_true(xt_keyring_current(keyring) == ids[2] && !xt_keyring_has(keyring, ids[1]));
    derive(keyring, ids[0], after);
    assert_memory_equal(before, after, XT_KEY_BYTES);
    xt_keyring_close(keyring);
}

static void a_full_file_takes_no_more_keys_and_stays_as_it_was(void **state)
{
    (void)state;
    uint32_t id;
    assert_int_equal(xt_keyring_create(scratch("full.keys"), &failure), XT_OK);
    for (unsigned i = 1; i < 256; i++) {
        assert_int_equal(xt_keyring_add(scratch("full.keys"), &id, &failure), XT_OK);
    }
    assert_int_equal(xt_keyring_add(scratch("full.keys"), &id, &failure), XT_TOO_LARGE);
    struct xt_keyring *keyring = opened("full.keys");
    assert_int_equal(xt_keyring_count(keyring), 256);
    uint8_t *bytes = xt_secret_alloc(XT_KEYRING_EXPORT_MAX);
    struct xt_writer writer = xt_writer_over(bytes, XT_KEYRING_EXPORT_MAX);
    xt_keyring_export(keyring, &writer);
    assert_false(writer.overflow);
    xt_secret_free(bytes);
    xt_keyring_close(keyring);
}

/* ---- killed ----------------------------------------------------------------------------------- */

/* Rotates without end until it is killed. */
static pid_t rotate_for_ever(const char *dir, bool master)
{
    char keys[XT_PATH_MAX + 32], path[XT_PATH_MAX];
    snprintf(path, sizeof(path), "%s", scratch(dir));
    snprintf(keys, sizeof(keys), "%s/keys/master.keys", path);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint32_t id;
        while ((master ? xt_keyring_add(keys, &id, NULL) : xt_audit_key_rotate(path, &id, NULL)) ==
               XT_OK) {
        }
        _exit(1);
    }
    return child;
}

static void kill_after(pid_t child, unsigned us)
{
    struct timespec time = {.tv_nsec = (long)us * 1000};
    int how;
    (void)nanosleep(&time, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &how, 0), child);
}

static void a_killed_rotation_leaves_the_old_or_the_new_file(void **state)
{
    (void)state;
    make_folders("killed");
    char first[XT_KEY_TIME + 1];
    assert_int_equal(xt_keyring_create(scratch("killed/keys/master.keys"), &failure), XT_OK);
    struct xt_keyring *keyring = opened("killed/keys/master.keys");
    uint32_t id = xt_keyring_at(keyring, 0, first);
    xt_keyring_close(keyring);
    size_t count = 1, left_over = 0;
    /* Longer where the disk is so slow that none was done before its kill. */
    for (unsigned i = 0; i < KILLS || (count == 1 && i < 50 * KILLS); i++) {
        kill_after(rotate_for_ever("killed", true), 300 + i * 50);
        left_over += scratch_count("killed/keys") - 1;
        int lock;
        assert_int_equal(xt_keys_lock(scratch("killed"), &lock, &failure), XT_OK);
        assert_int_equal(scratch_count("killed/keys"), 1); /* no key lies about */
        close(lock);
        keyring = opened("killed/keys/master.keys");
        assert_true(xt_keyring_has(keyring, id) && xt_keyring_count(keyring) >= count);
        count = xt_keyring_count(keyring);
        xt_keyring_close(keyring);
    }
    assert_true(count > 1);
    printf("%u kills left %zu temporary files, all removed by the next lock\n", KILLS, left_over);
}

static void a_killed_rotation_of_the_audit_key_leaves_a_key_that_is_vouched_for(void **state)
{
    (void)state;
    make_folders("audit");
    struct xt_audit_public *kept = NULL, *now = NULL;
    struct xt_audit_key *key = NULL;
    struct xt_audit_head head = {.number = 7};
    assert_int_equal(xt_audit_key_make(scratch("audit"), &failure), XT_OK);
    assert_int_equal(xt_audit_public_open(scratch("audit/keys/audit.pub"), &kept, &failure), XT_OK);
    for (unsigned i = 0; i < 20; i++) {
        kill_after(rotate_for_ever("audit", false), 500 + i * 150);
        int lock;
        assert_int_equal(xt_keys_lock(scratch("audit"), &lock, &failure), XT_OK);
        close(lock);
        assert_int_equal(xt_audit_key_open(scratch("audit/keys/audit.key"), &key, &failure), XT_OK);
        assert_int_equal(xt_audit_public_open(scratch("audit/keys/audit.pub"), &now, &failure),
                         XT_OK);
        xt_audit_public_extend(kept, now);
        assert_true(xt_audit_public_order(kept, xt_audit_key_id(key)) >= 0);
        assert_int_equal(xt_audit_head_write(scratch("audit/audit/head"), key, &head, &failure),
                         XT_OK);
        assert_int_equal(xt_audit_head_read(scratch("audit/audit/head"), kept, &head, &failure),
                         XT_OK);
        assert_true(head.key_id == xt_audit_key_id(key));
        xt_audit_public_close(now);
        xt_audit_key_close(key);
    }
    assert_true(xt_audit_public_count(kept) > 1);
    xt_audit_public_close(kept);
}

static void two_at_once_are_excluded_and_one_that_died_excludes_nobody(void **state)
{
    (void)state;
    int one, two;
    make_folders("locked");
    assert_int_equal(xt_keys_lock(scratch("locked"), &one, &failure), XT_OK);
    assert_int_equal(xt_keys_lock(scratch("locked"), &two, &failure), XT_BUSY);
    close(one);
    pid_t child = fork();
    if (child == 0) {
        _exit(xt_keys_lock(scratch("locked"), &one, NULL) == XT_OK ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_int_equal(xt_keys_lock(scratch("locked"), &two, &failure), XT_OK);
    close(two);
    assert_int_equal(xt_keys_lock(scratch("nothing"), &two, &failure), XT_NOT_FOUND);
    if (geteuid() == 0) {
        assert_int_equal(chown(scratch("locked/keys"), 12345, (gid_t)-1), 0);
        assert_int_equal(xt_keys_lock(scratch("locked"), &two, &failure), XT_DENIED);
        assert_non_null(strstr(failure.text, "12345"));
    }
}

/* ---- the chain of audit keys ------------------------------------------------------------------ */

static void who_kept_the_first_public_key_trusts_those_that_follow_and_no_others(void **state)
{
    (void)state;
    make_folders("chain");
    uint8_t signature[XT_AUDIT_SIGNATURE];
    struct xt_audit_public *kept = NULL, *now = NULL, *foreign = NULL;
    struct xt_audit_key *old = NULL, *key = NULL;
    struct xt_span message = xt_span_of_string("message");
    uint32_t ids[3];
    char text[SHELL_TEXT_MAX], made[XT_KEY_TIME + 1];
    uint32_t by;
    assert_int_equal(xt_audit_key_make(scratch("chain"), &failure), XT_OK);
    assert_true(scratch_shell(text, "cp chain/keys/audit.pub kept.pub"));
    assert_int_equal(xt_audit_key_open(scratch("chain/keys/audit.key"), &old, &failure), XT_OK);
    ids[0] = xt_audit_key_id(old);
    assert_int_equal(xt_audit_key_rotate(scratch("chain"), &ids[1], &failure), XT_OK);
    assert_int_equal(xt_audit_key_rotate(scratch("chain"), &ids[2], &failure), XT_OK);
    /* The seed of a key that signs no more is gone. */
    assert_true(scratch_shell(text, "wc -l < chain/keys/audit.key"));
    assert_int_equal(strtol(text, NULL, 10), 1);
    assert_int_equal(xt_audit_key_open(scratch("chain/keys/audit.key"), &key, &failure), XT_OK);
    assert_true(xt_audit_key_id(key) == ids[2]);
    xt_audit_sign(key, "l", message, signature);

    assert_int_equal(xt_audit_public_open(scratch("kept.pub"), &kept, &failure), XT_OK);
    assert_int_equal(xt_audit_check(kept, ids[2], "l", message, signature), XT_NOT_FOUND);
    assert_int_equal(xt_audit_public_open(scratch("chain/keys/audit.pub"), &now, &failure), XT_OK);
    assert_int_equal(xt_audit_public_count(now), 3);
    assert_true(xt_audit_public_at(now, 2, made, &by) == ids[2] && by == ids[1]);
    xt_audit_public_extend(kept, now);
    assert_int_equal(xt_audit_check(kept, ids[2], "l", message, signature), XT_OK);
    assert_true(xt_audit_public_order(kept, ids[0]) == 0 &&
                xt_audit_public_order(kept, ids[2]) == 2);

    /* Another deployment's keys are vouched for by its own only. */
    make_folders("foreign");
    uint32_t id;
    assert_int_equal(xt_audit_key_rotate(scratch("foreign"), &id, &failure), XT_OK);
    assert_int_equal(xt_audit_public_open(scratch("foreign/keys/audit.pub"), &foreign, &failure),
                     XT_OK);
    xt_audit_public_extend(kept, foreign);
    assert_int_equal(xt_audit_public_order(kept, id), -1);

    /* A changed signature, key or time, or an id twice, is no file of keys. */
    static const char *const changes[] = {
        "2s/.$/x/",     "2s/.$/0/;2s/.\\{5\\}$/00000/",
        "2s/ 20/ 19/",  "3s/^\\(........\\) .../\\1 000/",
        "2s/ [^ ]*$//", "2p",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct xt_audit_public *bad = NULL;
        assert_true(scratch_shell(text, "sed '%s' chain/keys/audit.pub > bad.pub", changes[i]));
        if (xt_audit_public_open(scratch("bad.pub"), &bad, &failure) != XT_INVALID) {
            fail_msg("%s is taken", changes[i]);
        }
    }
    xt_audit_public_close(kept);
    xt_audit_public_close(now);
    xt_audit_public_close(foreign);
    xt_audit_key_close(old);
    xt_audit_key_close(key);
}

/* ---- credentials ------------------------------------------------------------------------------ */

static enum xt_status read_credential(const char *name)
{
    uint8_t *content;
    size_t size;
    char path[XT_PATH_MAX];
    assert_int_equal(xt_key_path(scratch("deployment"), name, path, &failure), XT_OK);
    enum xt_status status = xt_file_read_secret(path, 100, &content, &size, &failure);
    if (status == XT_OK) {
        xt_file_release_secret(content);
    }
    return status;
}

/* As systemd makes it: the folder 0500 or 0550, files 0400, or 0440 where the right is an ACL. */
static void keys_that_the_service_manager_gives_are_taken_from_its_folder_alone(void **state)
{
    (void)state;
    make_folders("deployment");
    scratch_write("deployment/keys/master.keys", "x", 1, 0600);
    scratch_write("deployment/keys/other.keys", "x", 1, 0440);
    assert_int_equal(mkdir(scratch("credentials"), 0700), 0);
    scratch_write("credentials/master.keys", "y", 1, 0440);
    scratch_write("elsewhere", "y", 1, 0440);
    char path[XT_PATH_MAX];
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch("credentials"), 1), 0);
    assert_int_equal(xt_key_path(scratch("deployment"), "master.keys", path, &failure), XT_OK);
    assert_string_equal(path, scratch("credentials/master.keys"));
    assert_int_equal(xt_key_path(scratch("deployment"), "other.keys", path, &failure), XT_OK);
    assert_string_equal(path, scratch("deployment/keys/other.keys"));
    static const unsigned fine[] = {0400, 0440, 0600};
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        assert_int_equal(chmod(scratch("credentials/master.keys"), fine[i]), 0);
        assert_int_equal(chmod(scratch("credentials"), i == 1 ? 0550 : 0500), 0);
        assert_int_equal(read_credential("master.keys"), XT_OK);
    }
    static const unsigned open_modes[] = {0444, 0460, 0420, 0404, 0450, 0666};
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        assert_int_equal(chmod(scratch("credentials/master.keys"), open_modes[i]), 0);
        assert_int_equal(read_credential("master.keys"), XT_DENIED);
    }
    /* What is readable by a group anywhere else stays refused. */
    assert_int_equal(read_credential("other.keys"), XT_DENIED);
    uint8_t *content;
    size_t size;
    snprintf(path, sizeof(path), "%s", scratch("credentials/../elsewhere"));
    assert_int_equal(xt_file_read_secret(path, 100, &content, &size, &failure), XT_DENIED);
    /* A folder that others can write or enter is not the service manager's. */
    assert_int_equal(chmod(scratch("credentials/master.keys"), 0440), 0);
    static const unsigned folders[] = {0770, 0777, 0755, 0701};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        assert_int_equal(chmod(scratch("credentials"), folders[i]), 0);
        assert_null(xt_credential_folder());
        /* Nor are the keys in DIR, which may be older, taken instead. */
        failure.text[0] = '\0';
        assert_int_equal(xt_key_path(scratch("deployment"), "master.keys", path, &failure),
                         XT_DENIED);
        assert_non_null(strstr(failure.text, "CREDENTIALS_DIRECTORY"));
    }
    assert_int_equal(chmod(scratch("credentials"), 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(scratch("credentials/master.keys"), 12345, (gid_t)-1), 0);
        assert_int_equal(read_credential("master.keys"), XT_DENIED);
        assert_int_equal(chown(scratch("credentials/master.keys"), 0, 12345), 0);
        assert_int_equal(read_credential("master.keys"), XT_DENIED); /* a group of people */
    }
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "credentials", 1), 0);
    assert_null(xt_credential_folder());
    assert_int_equal(xt_key_path(scratch("deployment"), "master.keys", path, &failure), XT_DENIED);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_int_equal(read_credential("master.keys"), XT_OK); /* of DIR/keys */
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

/* Path as it was, once it is a link to where it was moved to. */
static void make_link(const char *name, const char *target)
{
    char from[XT_PATH_MAX];
    snprintf(from, sizeof(from), "%s", scratch(name));
    assert_int_equal(rename(from, scratch(target)), 0);
    assert_int_equal(symlink(scratch(target), from), 0);
}

static void assert_still_a_link(const char *name)
{
    struct stat facts;
    assert_int_equal(lstat(scratch(name), &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_non_null(strstr(failure.text, "is a symbolic link"));
    failure.text[0] = '\0';
}

static void keys_behind_a_link_are_not_changed_and_the_link_stays(void **state)
{
    (void)state;
    uint32_t id = 0, older;
    make_folders("linked");
    char path[XT_PATH_MAX];
    snprintf(path, sizeof(path), "%s", scratch("linked/keys/master.keys"));
    assert_int_equal(xt_keyring_create(path, &failure), XT_OK);
    struct xt_keyring *keyring = NULL;
    assert_int_equal(xt_keyring_open(path, &keyring, &failure), XT_OK);
    older = xt_keyring_current(keyring);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_OK);
    make_link("linked/keys/master.keys", "linked/master.keys");
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_DENIED);
    assert_still_a_link("linked/keys/master.keys");
    assert_int_equal(xt_keyring_remove(path, older, &failure), XT_DENIED);
    assert_still_a_link("linked/keys/master.keys");

    snprintf(path, sizeof(path), "%s", scratch("linked/keys/signing.key"));
    assert_int_equal(xt_answer_key_make(path, &failure), XT_OK);
    make_link("linked/keys/signing.key", "linked/signing.key");
    assert_int_equal(xt_answer_key_rotate(path, &failure), XT_DENIED);
    assert_still_a_link("linked/keys/signing.key");

    snprintf(path, sizeof(path), "%s", scratch("linked"));
    assert_int_equal(xt_audit_key_make(path, &failure), XT_OK);
    make_link("linked/keys/audit.pub", "linked/audit.pub");
    assert_int_equal(xt_audit_key_rotate(path, &id, &failure), XT_DENIED);
    assert_still_a_link("linked/keys/audit.pub");
    make_link("linked/keys/audit.key", "linked/audit.key");
    assert_int_equal(xt_audit_key_rotate(path, &id, &failure), XT_DENIED);
    assert_still_a_link("linked/keys/audit.key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_key_is_current_and_the_old_one_derives_what_it_did),
        cmocka_unit_test(only_an_old_key_can_be_taken_out),
        cmocka_unit_test(a_full_file_takes_no_more_keys_and_stays_as_it_was),
        cmocka_unit_test(a_killed_rotation_leaves_the_old_or_the_new_file),
        cmocka_unit_test(a_killed_rotation_of_the_audit_key_leaves_a_key_that_is_vouched_for),
        cmocka_unit_test(two_at_once_are_excluded_and_one_that_died_excludes_nobody),
        cmocka_unit_test(who_kept_the_first_public_key_trusts_those_that_follow_and_no_others),
        cmocka_unit_test(keys_that_the_service_manager_gives_are_taken_from_its_folder_alone),
        cmocka_unit_test(keys_behind_a_link_are_not_changed_and_the_link_stays),
    };
    return cmocka_run_group_tests_name("crypto/key_rotation", tests, scratch_make, scratch_remove);
}
