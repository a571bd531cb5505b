#include "crypto/challenge.h"

#include <unistd.h>

#include "core/plain_text.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define NOW 1795316400000ULL

static struct xt_failure failure;
static struct xt_keyring *keyring;

static struct xt_challenge_scope scope_of(uint64_t number)
{
    return (struct xt_challenge_scope){.id = {.kind = XT_ID_PERSONAL, .value = number},
                                       .factor = 1,
                                       .audience = xt_span_of_string("https://bank.example"),
                                       .partner = xt_span_of_string("bank")};
}

static enum xt_status check(const struct xt_challenge_scope *scope, uint64_t now_ms,
                            const char *text)
{
    struct xt_challenge_use use;
    return xt_challenge_check(keyring, scope, now_ms, xt_span_of(text, XT_CHALLENGE_TEXT), &use);
}

static int set_up(void **state)
{
    xt_crypto_start();
    int status = scratch_make(state);
    if (status == 0 && (xt_keyring_create(scratch("keys"), &failure) != XT_OK ||
                        xt_keyring_open(scratch("keys"), &keyring, &failure) != XT_OK)) {
        return -1;
    }
    return status;
}

static int tear_down(void **state)
{
    xt_keyring_close(keyring);
    return scratch_remove(state);
}

static void one_of_ours_is_known_for_a_minute(void **state)
{
    (void)state;
    char text[XT_CHALLENGE_TEXT];
    struct xt_challenge_scope scope = scope_of(1099012345);
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, text), XT_OK);
    assert_int_equal(check(&scope, NOW, text), XT_OK);
    assert_int_equal(check(&scope, NOW + XT_CHALLENGE_MS - 1, text), XT_OK);
    assert_int_equal(check(&scope, NOW + XT_CHALLENGE_MS, text), XT_DENIED);
    assert_int_equal(check(&scope, NOW - 1000, text), XT_OK); /* another node's clock */
    assert_int_equal(check(&scope, NOW - 1001, text), XT_DENIED);
    assert_int_equal(check(&scope, 0, text), XT_DENIED);
    assert_int_equal(check(&scope, UINT64_MAX, text), XT_DENIED);
}

static void one_for_anything_else_is_none(void **state)
{
    (void)state;
    char text[XT_CHALLENGE_TEXT];
    struct xt_challenge_scope scope = scope_of(1099012345), other = scope;
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, text), XT_OK);
    other.id.value++;
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    other = scope;
    other.id.kind = XT_ID_CMND;
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    other = scope;
    other.factor = 2;
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    other = scope;
    other.audience = xt_span_of_string("https://bank.examplf");
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    other = scope;
    other.partner = xt_span_of_string("bank2");
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    /* The same bytes, cut at another place. */
    other.audience = xt_span_of_string("https://bank.exampleb");
    other.partner = xt_span_of_string("ank");
    assert_int_equal(check(&other, NOW, text), XT_DENIED);
    assert_int_equal(check(&scope, NOW, text), XT_OK);
}

static void whatever_bit_is_changed_it_is_none(void **state)
{
    (void)state;
    char text[XT_CHALLENGE_TEXT];
    struct xt_challenge_scope scope = scope_of(1099012345);
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, text), XT_OK);
    static const char DIGITS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=. ";
    for (unsigned i = 0; i < XT_CHALLENGE_TEXT; i++) {
        char was = text[i];
        for (const char *digit = DIGITS; *digit != '\0'; digit++) {
            text[i] = *digit;
            assert_int_equal(check(&scope, NOW, text), *digit == was ? XT_OK : XT_DENIED);
        }
        text[i] = was;
    }
    struct xt_challenge_use use;
    for (size_t size = 0; size < XT_CHALLENGE_TEXT; size++) {
        assert_int_equal(xt_challenge_check(keyring, &scope, NOW, xt_span_of(text, size), &use),
                         XT_DENIED);
    }
}

static void no_two_have_the_same_nonce_and_none_tells_whom_it_is_for(void **state)
{
    (void)state;
    char one[XT_CHALLENGE_TEXT], other[XT_CHALLENGE_TEXT];
    struct xt_challenge_use uses[2], again;
    struct xt_challenge_scope scope = scope_of(1099012345);
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, one), XT_OK);
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, other), XT_OK);
    struct xt_span first = xt_span_of(one, sizeof(one)), second = xt_span_of(other, sizeof(other));
    assert_int_equal(xt_challenge_check(keyring, &scope, NOW, first, &uses[0]), XT_OK);
    assert_int_equal(xt_challenge_check(keyring, &scope, NOW, second, &uses[1]), XT_OK);
    assert_memory_not_equal(uses[0].nonce, uses[1].nonce, XT_CHALLENGE_NONCE);
    /* Shown again, or elsewhere, it is used up as the same. */
    assert_int_equal(xt_challenge_check(keyring, &scope, NOW + 500, first, &again), XT_OK);
    assert_memory_equal(again.nonce, uses[0].nonce, XT_CHALLENGE_NONCE);
    assert_true(again.until_ms == uses[0].until_ms && again.until_ms == NOW + XT_CHALLENGE_KEPT_MS);
    assert_int_equal(xt_challenge_check(keyring, &scope, NOW + XT_CHALLENGE_MS, first, &again),
                     XT_DENIED);
    assert_memory_not_equal(again.nonce, uses[0].nonce, XT_CHALLENGE_NONCE);
    /* What stands in it besides nonce and MAC is the same for everybody. */
    struct xt_challenge_scope another = scope_of(1099012346);
    assert_int_equal(xt_challenge_make(keyring, &another, NOW, other), XT_OK);
    assert_memory_equal(one, other, 17); /* 13 bytes */
}

static void one_outlives_a_new_master_key_but_not_its_own(void **state)
{
    (void)state;
    char text[XT_CHALLENGE_TEXT];
    struct xt_challenge_scope scope = scope_of(1099012345);
    uint32_t old = xt_keyring_current(keyring), id = 0;
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, text), XT_OK);
    assert_int_equal(xt_keyring_add(scratch("keys"), &id, &failure), XT_OK);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_open(scratch("keys"), &keyring, &failure), XT_OK);
    assert_int_equal(check(&scope, NOW, text), XT_OK);
    assert_int_equal(xt_keyring_remove(scratch("keys"), old, &failure), XT_OK);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_open(scratch("keys"), &keyring, &failure), XT_OK);
    assert_int_equal(check(&scope, NOW, text), XT_DENIED);
}

static void write_known_key(void)
{
    static const char line[] = "00000001 2026-11-21T09:00:00Z "
                               "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    assert_int_equal(unlink(scratch("keys")), 0);
    scratch_write("keys", line, sizeof(line) - 1, 0600);
    xt_keyring_close(keyring);
    assert_int_equal(xt_keyring_open(scratch("keys"), &keyring, &failure), XT_OK);
}

/* Its use stands where a program from before wrote it, so that it could count once more. */
static void one_of_a_program_from_before_is_none(void **state)
{
    (void)state;
    static const char before[] = "AQEAAACAPzIBogEAAN0Hjy9inCbUBbTtwuWq6WDK9GPZ-qDAmns8rfwp0bL5";
    char text[XT_CHALLENGE_TEXT];
    struct xt_challenge_scope scope = scope_of(1099012345);
    write_known_key();
    assert_int_equal(xt_challenge_make(keyring, &scope, NOW, text), XT_OK);
    assert_int_equal(check(&scope, NOW, text), XT_OK);
    assert_int_equal(sizeof(before) - 1, XT_CHALLENGE_TEXT);
    assert_int_equal(check(&scope, NOW, before), XT_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_ours_is_known_for_a_minute, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_for_anything_else_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whatever_bit_is_changed_it_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_two_have_the_same_nonce_and_none_tells_whom_it_is_for,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_outlives_a_new_master_key_but_not_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_of_a_program_from_before_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
