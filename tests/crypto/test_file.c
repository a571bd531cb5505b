#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct xt_failure failure;

static void assert_content(const char *name, const char *text)
{
    uint8_t *content;
    size_t size;
    assert_int_equal(xt_file_read(scratch(name), 1000, &content, &size, &failure), XT_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal((const char *)content, text); /* the NUL is there */
    xt_file_release(content, size);
}

static void what_is_written_is_read_back_with_its_mode(void **state)
{
    (void)state;
    struct stat facts;
    assert_int_equal(xt_file_write(scratch("a"), xt_span_of_string("hello"), 0600, false, &failure),
                     XT_OK);
    assert_content("a", "hello");
    assert_int_equal(stat(scratch("a"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(xt_file_write(scratch("empty"), xt_span_of(NULL, 0), 0644, false, NULL),
                     XT_OK);
    assert_content("empty", "");
    assert_int_equal(stat(scratch("empty"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0644);
}

static void an_existing_file_is_refused_unless_it_may_be_replaced(void **state)
{
    (void)state;
    scratch_write("b", "old", 3, 0600);
    size_t before = scratch_count("");
    assert_int_equal(xt_file_write(scratch("b"), xt_span_of_string("new"), 0600, false, &failure),
                     XT_EXISTS);
    assert_non_null(strstr(failure.text, "not overwritten"));
    assert_content("b", "old");
    assert_int_equal(xt_file_write(scratch("b"), xt_span_of_string("new"), 0600, true, &failure),
                     XT_OK);
    assert_content("b", "new");
    assert_int_equal(scratch_count(""), before); /* no temporary file stays */
}

static void a_symbolic_link_is_replaced_and_its_target_untouched(void **state)
{
    (void)state;
    scratch_write("target", "kept", 4, 0600);
    assert_int_equal(symlink("target", scratch("link")), 0);
    assert_int_equal(symlink("nowhere", scratch("dangling")), 0);
    assert_int_equal(
        xt_file_write(scratch("dangling"), xt_span_of_string("x"), 0600, false, &failure),
        XT_EXISTS);
    assert_int_equal(xt_file_write(scratch("link"), xt_span_of_string("new"), 0600, true, &failure),
                     XT_OK);
    assert_content("target", "kept");
    assert_content("link", "new");
    struct stat facts;
    assert_int_equal(lstat(scratch("link"), &facts), 0);
    assert_true(S_ISREG(facts.st_mode));
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void **state)
{
    (void)state;
    scratch_write("limited", "old", 3, 0600);
    size_t before = scratch_count("");
    struct rlimit normal, small = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
    uint8_t big[5000] = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &normal), 0);
    small.rlim_max = normal.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum xt_status status =
        xt_file_write(scratch("limited"), xt_span_of(big, sizeof(big)), 0600, true, &failure);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &normal), 0);
    assert_int_equal(status, XT_IO);
    assert_content("limited", "old");
    assert_int_equal(scratch_count(""), before);
}

static void a_missing_folder_and_an_endless_path_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(
        xt_file_write(scratch("none/file"), xt_span_of_string("x"), 0600, true, &failure),
        XT_NOT_FOUND);
    char path[XT_PATH_MAX + 100];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = 0;
    assert_int_equal(xt_file_write(path, xt_span_of_string("x"), 0600, true, &failure),
                     XT_TOO_LARGE);
}

static void reading_is_bounded_and_only_of_plain_files(void **state)
{
    (void)state;
    uint8_t *content;
    size_t size;
    scratch_write("ten", "0123456789", 10, 0644);
    assert_int_equal(xt_file_read(scratch("ten"), 9, &content, &size, &failure), XT_TOO_LARGE);
    assert_int_equal(xt_file_read(scratch("ten"), 10, &content, &size, &failure), XT_OK);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(content[size + i], 0);
    }
    xt_file_release(content, size);
    assert_int_equal(xt_file_read(scratch("no"), 9, &content, &size, &failure), XT_NOT_FOUND);
    assert_int_equal(xt_file_read(scratch(""), 9, &content, &size, &failure), XT_INVALID);
    assert_int_equal(mkfifo(scratch("fifo"), 0600), 0);
    assert_int_equal(xt_file_read(scratch("fifo"), 9, &content, &size, &failure), XT_INVALID);
    xt_file_release(NULL, 0);
}

static void a_secret_that_others_may_use_is_refused_with_the_chmod(void **state)
{
    (void)state;
    uint8_t *content;
    size_t size;
    static const unsigned open_modes[] = {0640, 0604, 0660, 0620, 0602, 0610, 0644, 0777};
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        scratch_write("secret", "x", 1, open_modes[i]);
        assert_int_equal(xt_file_read_secret(scratch("secret"), 9, &content, &size, &failure),
                         XT_DENIED);
        assert_non_null(strstr(failure.text, "chmod 600"));
    }
    static const unsigned closed_modes[] = {0600, 0400};
    for (size_t i = 0; i < 2; i++) {
        scratch_write("secret", "x", 1, closed_modes[i]);
        assert_int_equal(xt_file_read_secret(scratch("secret"), 9, &content, &size, &failure),
                         XT_OK);
        xt_file_release_secret(content);
    }
}

static void a_secret_of_another_user_is_refused(void **state)
{
    (void)state;
    uint8_t *content;
    size_t size;
    if (geteuid() != 0) {
        skip();
    }
    scratch_write("theirs", "x", 1, 0600);
    assert_int_equal(chown(scratch("theirs"), 12345, (gid_t)-1), 0);
    assert_int_equal(xt_file_read_secret(scratch("theirs"), 9, &content, &size, &failure),
                     XT_DENIED);
    assert_non_null(strstr(failure.text, "12345"));
}

static void folders_are_made_once_and_synced(void **state)
{
    (void)state;
    struct stat facts;
    assert_int_equal(xt_folder_make(scratch("folder"), 0700, &failure), XT_OK);
    assert_int_equal(xt_folder_make(scratch("folder"), 0700, &failure), XT_OK);
    assert_int_equal(stat(scratch("folder"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0700);
    assert_int_equal(xt_folder_sync(scratch("folder"), &failure), XT_OK);
    scratch_write("plain", "x", 1, 0600);
    assert_int_equal(xt_folder_make(scratch("plain"), 0700, &failure), XT_EXISTS);
    assert_int_not_equal(xt_folder_sync(scratch("plain"), &failure), XT_OK);
    assert_int_equal(xt_folder_sync(scratch("missing"), &failure), XT_NOT_FOUND);
}

static void paths_are_joined_with_one_slash(void **state)
{
    (void)state;
    char path[XT_PATH_MAX];
    assert_int_equal(xt_path_join(path, "a", "b"), XT_OK);
    assert_string_equal(path, "a/b");
    assert_int_equal(xt_path_join(path, "/", "b"), XT_OK);
    assert_string_equal(path, "/b");
    assert_int_equal(xt_path_join(path, "a/", "b/c"), XT_OK);
    assert_string_equal(path, "a/b/c");
    char folder[XT_PATH_MAX];
    memset(folder, 'a', sizeof(folder));
    folder[XT_PATH_MAX - 3] = 0;
    assert_int_equal(xt_path_join(path, folder, "b"), XT_OK);
    assert_int_equal(strlen(path), XT_PATH_MAX - 1);
    assert_int_equal(xt_path_join(path, folder, "bc"), XT_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_with_its_mode),
        cmocka_unit_test(an_existing_file_is_refused_unless_it_may_be_replaced),
        cmocka_unit_test(a_symbolic_link_is_replaced_and_its_target_untouched),
        cmocka_unit_test(a_failed_write_leaves_the_old_file_and_nothing_else),
        cmocka_unit_test(a_missing_folder_and_an_endless_path_are_told_apart),
        cmocka_unit_test(reading_is_bounded_and_only_of_plain_files),
        cmocka_unit_test(a_secret_that_others_may_use_is_refused_with_the_chmod),
        cmocka_unit_test(a_secret_of_another_user_is_refused),
        cmocka_unit_test(folders_are_made_once_and_synced),
        cmocka_unit_test(paths_are_joined_with_one_slash),
    };
    return cmocka_run_group_tests_name("crypto/file", tests, scratch_make, scratch_remove);
}
