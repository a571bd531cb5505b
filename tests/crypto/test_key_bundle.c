#include "crypto/key_bundle.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "crypto/keyring.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define PASSPHRASE "correct horse battery staple"

static struct xt_failure failure;

static struct xt_span secret_of(const char *text)
{
    return xt_span_of_string(text);
}

static enum xt_status read_with(const char *name, const char *passphrase,
                                struct xt_key_bundle **bundle)
{
    return xt_key_bundle_read(scratch(name), secret_of(passphrase), bundle, &failure);
}

static void write_bundle(const char *name)
{
    struct xt_key_bundle *bundle = NULL;
    assert_int_equal(xt_key_bundle_new(&bundle), XT_OK);
    assert_int_equal(xt_key_bundle_add(bundle, "keys/master.keys", secret_of("master of all")),
                     XT_OK);
    assert_int_equal(xt_key_bundle_add(bundle, "keys/empty", xt_span_of(NULL, 0)), XT_OK);
    assert_int_equal(xt_key_bundle_add(bundle, "tls/a-b_c.pem", secret_of("certificate")), XT_OK);
    assert_int_equal(xt_key_bundle_write(bundle, scratch(name), secret_of(PASSPHRASE), &failure),
                     XT_OK);
    xt_key_bundle_close(bundle);
}

static uint8_t *content_of(const char *name, size_t *size)
{
    uint8_t *content = NULL;
    assert_int_equal(xt_file_read(scratch(name), 1 << 20, &content, size, &failure), XT_OK);
    return content;
}

static void what_was_put_in_comes_out_under_its_passphrase(void **state)
{
    (void)state;
    struct stat facts;
    struct xt_key_bundle *bundle = NULL;
    struct xt_span name, content;
    size_t place = 0;
    assert_int_equal(stat(scratch("one"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(read_with("one", PASSPHRASE, &bundle), XT_OK);
    assert_true(xt_key_bundle_next(bundle, &place, &name, &content));
    assert_true(xt_span_is(name, "keys/master.keys") && xt_span_is(content, "master of all"));
    assert_true(xt_key_bundle_next(bundle, &place, &name, &content));
    assert_true(xt_span_is(name, "keys/empty") && content.size == 0);
    assert_true(xt_key_bundle_find(bundle, "tls/a-b_c.pem", &content));
    assert_true(xt_span_is(content, "certificate"));
    assert_false(xt_key_bundle_find(bundle, "tls/other", &content));
    xt_key_bundle_close(bundle);
}

static void another_passphrase_is_denied(void **state)
{
    (void)state;
    struct xt_key_bundle *bundle = NULL;
    assert_int_equal(read_with("one", PASSPHRASE "!", &bundle), XT_DENIED);
    assert_non_null(strstr(failure.text, "passphrase"));
    assert_null(strstr(failure.text, PASSPHRASE));
    assert_null(bundle);
}

static void nothing_of_it_stands_in_the_file_and_no_two_files_are_alike(void **state)
{
    (void)state;
    size_t size, other_size;
    write_bundle("two");
    uint8_t *one = content_of("one", &size);
    uint8_t *two = content_of("two", &other_size);
    assert_null(memmem(one, size, "master", 6));
    assert_null(memmem(one, size, "correct", 7));
    assert_int_equal(size, other_size);
    assert_memory_not_equal(one + 20, two + 20, 16); /* salt */
    assert_memory_not_equal(one + size - 32, two + size - 32, 32);
    xt_file_release(one, size);
    xt_file_release(two, size);
}

/* One of each part: every try takes a second of work. */
static void every_changed_byte_and_every_cut_is_found(void **state)
{
    (void)state;
    size_t size;
    struct xt_key_bundle *bundle = NULL;
    uint8_t *content = content_of("one", &size);
    static const size_t places[] = {0, 8, 20, 100, 140};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) + 1; i++) {
        size_t at = i < sizeof(places) / sizeof(places[0]) ? places[i] : size - 1;
        assert_true(at < size);
        content[at] ^= 1;
        scratch_write("changed", content, size, 0600);
        content[at] ^= 1;
        assert_int_not_equal(read_with("changed", PASSPHRASE, &bundle), XT_OK);
        assert_null(bundle);
    }
    static const size_t cuts[] = {1, 21};
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) { /* 21: the last message */
        scratch_write("cut", content, size - cuts[i], 0600);
        assert_int_equal(read_with("cut", PASSPHRASE, &bundle), XT_CORRUPT);
    }
    uint8_t *longer = malloc(size + 1);
    assert_non_null(longer);
    memcpy(longer, content, size);
    longer[size] = 0;
    scratch_write("longer", longer, size + 1, 0600);
    assert_int_equal(read_with("longer", PASSPHRASE, &bundle), XT_CORRUPT);
    free(longer);
    scratch_write("none", "xt-keys\n", 8, 0600);
    assert_int_equal(read_with("none", PASSPHRASE, &bundle), XT_INVALID);
    xt_file_release(content, size);
}

/* Whoever gives us a file cannot make us take all memory there is, or all time. */
static void what_would_take_too_much_work_is_refused(void **state)
{
    (void)state;
    size_t size;
    struct xt_key_bundle *bundle = NULL;
    uint8_t *content = content_of("one", &size);
    memset(content + 12, 0x7f, 4); /* passes */
    scratch_write("dear2", content, size, 0600);
    assert_int_equal(read_with("dear2", PASSPHRASE, &bundle), XT_UNSUPPORTED);
    memcpy(content + 12, "\1\0\0\0", 4);
    memset(content + 16, 0x7f, 4); /* memory */
    scratch_write("dear3", content, size, 0600);
    assert_int_equal(read_with("dear3", PASSPHRASE, &bundle), XT_UNSUPPORTED);
    content[8] = 2; /* version */
    scratch_write("later", content, size, 0600);
    assert_int_equal(read_with("later", PASSPHRASE, &bundle), XT_UNSUPPORTED);
    xt_file_release(content, size);
}

static void names_stay_inside_the_deployment(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "/a",   "a/",  "a//b", "..",       "../a", "a/../b",
                                      ".a", "a/.b", "a b", "a\nb", "\xc4\x91", "a\\b", "-/./b"};
    static const char *const good[] = {"a", "a/b", "keys/master.keys", "-a", "a..b", "A_9/0.x"};
    struct xt_key_bundle *bundle = NULL;
    assert_int_equal(xt_key_bundle_new(&bundle), XT_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(xt_key_bundle_add(bundle, bad[i], secret_of("x")), XT_INVALID);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(xt_key_bundle_add(bundle, good[i], secret_of("x")), XT_OK);
    }
    assert_false(xt_key_bundle_name_is_valid(xt_span_of("a\0b", 3)));
    xt_key_bundle_close(bundle);
}

static void short_passphrases_existing_files_and_too_much_are_refused(void **state)
{
    (void)state;
    struct xt_key_bundle *bundle = NULL;
    char *much = calloc(1, XT_KEY_BUNDLE_MAX);
    assert_non_null(much);
    assert_int_equal(xt_key_bundle_new(&bundle), XT_OK);
    assert_int_equal(
        xt_key_bundle_write(bundle, scratch("short"), secret_of("12345678901"), &failure),
        XT_INVALID);
    scratch_write("there", "x", 1, 0600);
    assert_int_equal(xt_key_bundle_write(bundle, scratch("there"), secret_of(PASSPHRASE), &failure),
                     XT_EXISTS);
    assert_int_equal(xt_key_bundle_add(bundle, "a", xt_span_of(much, XT_KEY_BUNDLE_MAX)),
                     XT_TOO_LARGE);
    assert_int_equal(xt_key_bundle_add(bundle, "a", xt_span_of(much, XT_KEY_BUNDLE_MAX - 7)),
                     XT_OK);
    assert_int_equal(xt_key_bundle_write(bundle, scratch("full"), secret_of(PASSPHRASE), &failure),
                     XT_OK);
    xt_key_bundle_close(bundle);
    assert_int_equal(read_with("full", PASSPHRASE, &bundle), XT_OK);
    xt_key_bundle_close(bundle);
    free(much);
}

/* One for most of the tests. */
static int make(void **state)
{
    int result = scratch_make(state);
    write_bundle("one");
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_comes_out_under_its_passphrase),
        cmocka_unit_test(another_passphrase_is_denied),
        cmocka_unit_test(nothing_of_it_stands_in_the_file_and_no_two_files_are_alike),
        cmocka_unit_test(every_changed_byte_and_every_cut_is_found),
        cmocka_unit_test(what_would_take_too_much_work_is_refused),
        cmocka_unit_test(names_stay_inside_the_deployment),
        cmocka_unit_test(short_passphrases_existing_files_and_too_much_are_refused),
    };
    return cmocka_run_group_tests(tests, make, scratch_remove);
}
