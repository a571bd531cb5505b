#include "crypto/keyhash.h"
#include "tests/crypto/hex.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static uint8_t key[32];

static void hashes_are_siphash_2_4_with_128_bits(void **state)
{
    (void)state;
    /* The vector of the SipHash authors for the 9 bytes 00..08 under the key 00..0f. */
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = 0x0807060504030201};
    struct xt_hash hash = xt_key_hash(key, id);
    assert_true(hash.high == 0xabbad90a06994426);
    assert_true(hash.low == 0xed716dbb028b7fc4);
}

static void numbers_of_the_two_kinds_have_different_hashes(void **state)
{
    (void)state;
    struct xt_id personal = {.kind = XT_ID_PERSONAL, .value = 1099012345};
    struct xt_id cmnd = {.kind = XT_ID_CMND, .value = 12345678};
    struct xt_id same_value = {.kind = XT_ID_CMND, .value = 1099012345};
    assert_true(xt_key_hash(key, personal).high == 0x8a50a03f7a659122);
    assert_true(xt_key_hash(key, cmnd).low == 0x1f1badd6950f5290);
    assert_true(xt_key_hash(key, personal).high != xt_key_hash(key, same_value).high);
}

static void hashes_depend_on_the_first_half_of_the_key_only(void **state)
{
    (void)state;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = 1};
    struct xt_hash before = xt_key_hash(key, id);
    for (size_t i = 0; i < 32; i++) {
        uint8_t other[32];
        memcpy(other, key, 32);
        other[i] ^= 1;
        assert_int_equal(xt_key_hash(other, id).high != before.high, i < 16);
    }
}

static void pseudonyms_are_siphash_2_4_with_128_bits(void **state)
{
    (void)state;
    /* The vector of the SipHash authors for the 9 bytes 00..08 under the key 00..0f, as they print it. */
    uint8_t pseudonym[XT_PSEUDONYM_BYTES];
    char hex[64];
    xt_pseudonym(key, (struct xt_id){.kind = XT_ID_PERSONAL, .value = 0x0807060504030201},
                 pseudonym);
    assert_string_equal(to_hex(hex, pseudonym, 16), "264499060ad9baabc47f8b02bb6d71ed");
}

int main(void)
{
    fill_counting(key, sizeof(key), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_siphash_2_4_with_128_bits),
        cmocka_unit_test(numbers_of_the_two_kinds_have_different_hashes),
        cmocka_unit_test(hashes_depend_on_the_first_half_of_the_key_only),
        cmocka_unit_test(pseudonyms_are_siphash_2_4_with_128_bits),
    };
    return cmocka_run_group_tests_name("crypto/keyhash", tests, scratch_make, scratch_remove);
}
