#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/keyring_internal.h"
#include "tests/crypto/hex.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define LINE_A "0000000a 2026-11-21T09:00:00Z " KEY_A "\n"
#define LINE_B "deadbeef 2026-12-21T09:00:00Z " KEY_B "\n"

static struct xt_failure failure;

static enum xt_status open_text(const char *text, struct xt_keyring **keyring)
{
    scratch_write("keys", text, strlen(text), 0600);
    return xt_keyring_open(scratch("keys"), keyring, &failure);
}

static void a_made_file_opens_and_is_private(void **state)
{
    (void)state;
    struct stat facts;
    struct xt_keyring *keyring;
    assert_int_equal(xt_keyring_create(scratch("made"), &failure), XT_OK);
    assert_int_equal(stat(scratch("made"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(xt_keyring_open(scratch("made"), &keyring, &failure), XT_OK);
    assert_int_not_equal(xt_keyring_current(keyring), 0);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_create(scratch("made"), &failure), XT_EXISTS);
}

static void two_made_files_have_different_keys(void **state)
{
    (void)state;
    uint8_t *one, *two;
    size_t size;
    assert_int_equal(xt_keyring_create(scratch("one"), &failure), XT_OK);
    assert_int_equal(xt_keyring_create(scratch("two"), &failure), XT_OK);
    assert_int_equal(xt_file_read(scratch("one"), 1000, &one, &size, &failure), XT_OK);
    assert_int_equal(xt_file_read(scratch("two"), 1000, &two, &size, &failure), XT_OK);
    assert_int_equal(size, strlen(LINE_A));
    assert_memory_not_equal(one, two, 8);
    assert_memory_not_equal(one + 30, two + 30, 64);
    xt_file_release(one, size);
    xt_file_release(two, size);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    struct xt_keyring *keyring;
    scratch_write("open", LINE_A, strlen(LINE_A), 0644);
    assert_int_equal(xt_keyring_open(scratch("open"), &keyring, &failure), XT_DENIED);
    assert_non_null(strstr(failure.text, "chmod 600"));
    assert_int_equal(xt_keyring_open(scratch("absent"), &keyring, &failure), XT_NOT_FOUND);
}

static void a_bad_line_is_refused_by_its_number_and_without_its_key(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "0000000a 2026-11-21T09:00:00Z " KEY_A,      /* no newline */
        LINE_A "\n",                                 /* an empty line */
        LINE_A "0000000b 2026-11-21T09:00:00Z 00\n", /* short */
        "0000000A 2026-11-21T09:00:00Z " KEY_A "\n", /* upper case */
        "00000000 2026-11-21T09:00:00Z " KEY_A "\n", /* id 0 */
        "0000000a 2026-11-21 09:00:00Z " KEY_A "\n", /* not a time */
        "0000000a  026-11-21T09:00:00Z " KEY_A "\n",
        "0000000a\t2026-11-21T09:00:00Z " KEY_A "\n", /* a tab */
        "0000000g 2026-11-21T09:00:00Z " KEY_A "\n",
        "0000000a 2026-11-21T09:00:00Z 0x0102030405060708090a0b0c0d0e0f10"
        "1112131415161718191a1b1c1d1e1f\n",
        LINE_A LINE_A, /* one id twice */
        LINE_A "#" LINE_B,
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct xt_keyring *keyring;
        assert_int_equal(open_text(bad[i], &keyring), XT_INVALID);
        assert_null(strstr(failure.text, "0405"));
        assert_non_null(strstr(failure.text, "keys"));
    }
    struct xt_keyring *keyring;
    assert_int_equal(open_text(LINE_A "0000000G 2026-11-21T09:00:00Z " KEY_A "\n", &keyring),
                     XT_INVALID);
    assert_non_null(strstr(failure.text, "line 2"));
}

static void the_last_line_is_current_and_older_keys_still_derive(void **state)
{
    (void)state;
    struct xt_keyring *old, *rotated;
    uint8_t salt[XT_SALT_BYTES] = {0};
    uint8_t before[XT_KEY_BYTES], after[XT_KEY_BYTES], current[XT_KEY_BYTES];
    assert_int_equal(open_text(LINE_A, &old), XT_OK);
    assert_int_equal(xt_keyring_current(old), 0x0a);
    assert_int_equal(xt_keyring_derive(old, 0x0a, XT_USE_PSEUDONYM, 0, salt, before), XT_OK);
    assert_int_equal(open_text(LINE_A LINE_B, &rotated), XT_OK);
    assert_true(xt_keyring_current(rotated) == 0xdeadbeef);
    assert_int_equal(xt_keyring_derive(rotated, 0x0a, XT_USE_PSEUDONYM, 0, salt, after), XT_OK);
    assert_int_equal(xt_keyring_derive(rotated, 0xdeadbeef, XT_USE_PSEUDONYM, 0, salt, current),
                     XT_OK);
    assert_memory_equal(before, after, XT_KEY_BYTES);
    assert_memory_not_equal(before, current, XT_KEY_BYTES);
    assert_int_equal(xt_keyring_derive(rotated, 0x0b, XT_USE_PSEUDONYM, 0, salt, current),
                     XT_NOT_FOUND);
    xt_keyring_close(old);
    xt_keyring_close(rotated);
    xt_keyring_close(NULL);
}

static void derivation_is_keyed_blake2b_over_label_use_number_and_salt(void **state)
{
    (void)state;
    struct xt_keyring *keyring;
    uint8_t salt[XT_SALT_BYTES], key[XT_KEY_BYTES];
    char hex[65];
    fill_counting(salt, sizeof(salt), 100);
    assert_int_equal(open_text(LINE_A, &keyring), XT_OK);
    assert_int_equal(xt_keyring_derive(keyring, 0x0a, XT_USE_GENERATION_SEAL, 7, salt, key), XT_OK);
    /* hashlib.blake2b(b"xacthuc key v1\0\0" + u32(1) + u32(7) + salt, key=master, digest_size=32) */
    assert_string_equal(to_hex(hex, key, 32),
                        "00b84ca3e3acd3f7f970d08e77634345fa7b6d7f9c1248e765f54bdcc1922764");
    xt_keyring_close(keyring);
}

static void every_input_of_a_derivation_matters(void **state)
{
    (void)state;
    struct xt_keyring *keyring;
    uint8_t salt[XT_SALT_BYTES] = {0};
    uint8_t keys[6 * 3 + 32][XT_KEY_BYTES];
    size_t count = 0;
    assert_int_equal(open_text(LINE_A, &keyring), XT_OK);
    for (int use = XT_USE_GENERATION_HASH; use <= XT_USE_SPILL; use++) {
        for (uint32_t number = 0; number < 3; number++) {
            assert_int_equal(
                xt_keyring_derive(keyring, 0x0a, (enum xt_key_use)use, number, salt, keys[count++]),
                XT_OK);
        }
    }
    for (size_t i = 0; i < XT_SALT_BYTES; i++) {
        salt[i] = 1;
        assert_int_equal(
            xt_keyring_derive(keyring, 0x0a, XT_USE_GENERATION_HASH, 0, salt, keys[count++]),
            XT_OK);
        salt[i] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(keys[i], keys[j], XT_KEY_BYTES);
        }
    }
    xt_keyring_close(keyring);
}

static void keys_cannot_be_overwritten_in_memory(void **state)
{
    (void)state;
    struct xt_keyring *keyring;
    assert_int_equal(open_text(LINE_A, &keyring), XT_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        *(volatile uint8_t *)keyring->all = 0;
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    xt_keyring_close(keyring);
}

static void a_keyring_opens_where_memory_may_not_be_locked(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        struct xt_keyring *keyring;
        (void)setrlimit(RLIMIT_MEMLOCK, &none);
        bool root = geteuid() == 0;
        scratch_write("locked", LINE_A, strlen(LINE_A), 0600);
        if (root && (chown(scratch("locked"), 65534, (gid_t)-1) != 0 ||
                     chmod(scratch(""), 0755) != 0 || setuid(65534) != 0)) {
            _exit(2);
        }
        bool opened = xt_keyring_open(scratch("locked"), &keyring, &failure) == XT_OK;
        xt_keyring_close(opened ? keyring : NULL);
        _exit(opened ? 0 : 1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void an_exported_keyring_is_imported_as_it_was(void **state)
{
    (void)state;
    struct xt_keyring *keyring, *copy;
    uint8_t salt[XT_SALT_BYTES] = {0}, key[XT_KEY_BYTES], again[XT_KEY_BYTES];
    const char *path = scratch("exported.keys");
    assert_int_equal(xt_keyring_create(path, NULL), XT_OK);
    char text[SHELL_TEXT_MAX]; /* a second key behind it, as a rotation would leave it */
    assert_true(scratch_shell(text, "sed 's/^......../0000beef/' exported.keys > more && "
                                    "cat more >> exported.keys && rm more"));
    assert_int_equal(xt_keyring_open(path, &keyring, NULL), XT_OK);
    uint8_t *bytes = xt_secret_alloc(XT_KEYRING_EXPORT_MAX);
    assert_non_null(bytes);
    struct xt_writer writer = xt_writer_over(bytes, XT_KEYRING_EXPORT_MAX);
    xt_keyring_export(keyring, &writer);
    assert_false(writer.overflow);
    assert_int_equal(writer.size, 4 + 2 * 36);
    assert_int_equal(xt_keyring_import(xt_written(&writer), &copy), XT_OK);
    assert_int_equal(xt_keyring_current(copy), 0xbeef);
    assert_int_equal(xt_keyring_derive(keyring, 0xbeef, XT_USE_SPILL, 7, salt, key), XT_OK);
    assert_int_equal(xt_keyring_derive(copy, 0xbeef, XT_USE_SPILL, 7, salt, again), XT_OK);
    assert_memory_equal(key, again, sizeof(key));
    xt_keyring_close(copy);

    copy = NULL;
    for (size_t size = 0; size < writer.size; size++) {
        assert_int_equal(xt_keyring_import(xt_span_of(bytes, size), &copy), XT_INVALID);
    }
    assert_int_equal(xt_keyring_import(xt_span_of(bytes, writer.size + 1), &copy), XT_INVALID);
    memcpy(bytes + 4 + 36, bytes + 4, 4); /* one id twice */
    assert_int_equal(xt_keyring_import(xt_written(&writer), &copy), XT_INVALID);
    memset(bytes + 4 + 36, 0, 4); /* no id */
    assert_int_equal(xt_keyring_import(xt_written(&writer), &copy), XT_INVALID);
    memset(bytes, 0xff, 4);
    assert_int_equal(xt_keyring_import(xt_written(&writer), &copy), XT_INVALID);
    memset(bytes, 0, 4);
    assert_int_equal(xt_keyring_import(xt_span_of(bytes, 4), &copy), XT_INVALID);
    assert_null(copy);
    xt_secret_free(bytes);
    xt_secret_free(NULL);
    xt_keyring_close(keyring);
}

static void random_bytes_do_not_repeat(void **state)
{
    (void)state;
    static uint8_t drawn[2000][16];
    uint8_t zeros[16] = {0};
    uint8_t large[2000];
    for (size_t i = 0; i < 2000; i++) { /* past several refills */
        xt_random(drawn[i], 16);
        assert_memory_not_equal(drawn[i], zeros, 16);
        for (size_t j = 0; j < i; j++) {
            assert_true(memcmp(drawn[i], drawn[j], 16) != 0);
        }
    }
    xt_random(large, sizeof(large));
    assert_memory_not_equal(large, large + 1000, 1000);
    xt_random(large, 0);
}

static void a_child_process_draws_other_bytes_than_its_parent(void **state)
{
    (void)state;
    int ends[2];
    uint8_t mine[64], theirs[64];
    xt_random(mine, 8); /* the buffer is filled */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        xt_random(theirs, sizeof(theirs));
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    xt_random(mine, sizeof(mine));
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), (int)sizeof(theirs));
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    uint8_t zeros[64] = {0};
    assert_memory_not_equal(mine, theirs, 64);
    assert_memory_not_equal(theirs, zeros, 64); /* not the wiped page either */
    close(ends[0]);
    close(ends[1]);
}

static void secrets_are_compared_whole_and_wiped(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    uint8_t zeros[32] = {0};
    fill_counting(a, 32, 1);
    memcpy(b, a, 32);
    assert_true(xt_secret_equal(a, b, 32));
    for (size_t bit = 0; bit < 256; bit++) {
        b[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(xt_secret_equal(a, b, 32));
        b[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    assert_true(xt_secret_equal(a, zeros, 0));
    xt_wipe(a, 32);
    assert_memory_equal(a, zeros, 32);
    xt_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_file_opens_and_is_private),
        cmocka_unit_test(two_made_files_have_different_keys),
        cmocka_unit_test(a_file_that_others_may_read_is_refused),
        cmocka_unit_test(a_bad_line_is_refused_by_its_number_and_without_its_key),
        cmocka_unit_test(the_last_line_is_current_and_older_keys_still_derive),
        cmocka_unit_test(derivation_is_keyed_blake2b_over_label_use_number_and_salt),
        cmocka_unit_test(every_input_of_a_derivation_matters),
        cmocka_unit_test(keys_cannot_be_overwritten_in_memory),
        cmocka_unit_test(a_keyring_opens_where_memory_may_not_be_locked),
        cmocka_unit_test(an_exported_keyring_is_imported_as_it_was),
        cmocka_unit_test(random_bytes_do_not_repeat),
        cmocka_unit_test(a_child_process_draws_other_bytes_than_its_parent),
        cmocka_unit_test(secrets_are_compared_whole_and_wiped),
    };
    return cmocka_run_group_tests_name("crypto/keyring", tests, scratch_make, scratch_remove);
}
