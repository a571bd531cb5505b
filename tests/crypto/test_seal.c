#include "crypto/quick_gcm.h"
#include "crypto/seal.h"
#include "tests/crypto/hex.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct xt_sealer *open_counting(void)
{
    uint8_t key[32];
    struct xt_sealer *sealer;
    fill_counting(key, sizeof(key), 0);
    assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
    return sealer;
}

static void sealing_is_aes_256_gcm(void **state)
{
    (void)state;
    uint8_t key[32] = {0};
    uint8_t sealed[64];
    char hex[129];
    struct xt_sealer *sealer;
    assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
    /* Test cases 13 and 14 of the GCM specification (McGrew and Viega), whose nonce is zero. */
    xt_seal(sealer, 0, xt_span_of(NULL, 0), xt_span_of(NULL, 0), sealed);
    assert_string_equal(to_hex(hex, sealed, 16), "530f8afbc74536b9a963b4f1c4cb738b");
    uint8_t zeros[16] = {0};
    xt_seal(sealer, 0, xt_span_of(NULL, 0), xt_span_of(zeros, 16), sealed);
    assert_string_equal(to_hex(hex, sealed, 32),
                        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    xt_sealer_close(sealer);
}

static void the_nonce_is_the_ordinal_in_little_endian(void **state)
{
    (void)state;
    uint8_t sealed[64];
    char hex[129];
    struct xt_sealer *sealer = open_counting();
    /* From another implementation (Python cryptography, AESGCM). */
    xt_seal(sealer, 0x0123456789abcdef, xt_span_of_string("associated"),
            xt_span_of_string("a sealed record"), sealed);
    assert_string_equal(to_hex(hex, sealed, 31),
                        "70939b34c905a52f88c9f508ec09180c590c3979590391f29a73d73841f7a4");
    xt_sealer_close(sealer);
}

/* Intel's library, where it is there, and BoringSSL write and read the same. */
static void both_ways_of_sealing_agree(void **state)
{
    (void)state;
    static uint8_t plain[70000], quick[70000 + XT_SEAL_OVERHEAD], slow[70000 + XT_SEAL_OVERHEAD];
    static uint8_t opened[70000];
    uint8_t associated[48];
    struct xt_sealer *with = open_counting();
    struct xt_sealer *without = open_counting();
    xt_sealer_forget_quick(without);
    fill_counting(plain, sizeof(plain), 5);
    fill_counting(associated, sizeof(associated), 9);
    for (size_t size = 0; size < sizeof(plain); size = size < 300 ? size + 1 : size * 3) {
        struct xt_span more = xt_span_of(associated, size % (sizeof(associated) + 1));
        size_t sealed = size + XT_SEAL_OVERHEAD;
        xt_seal(with, size, more, xt_span_of(plain, size), quick);
        xt_seal(without, size, more, xt_span_of(plain, size), slow);
        assert_memory_equal(quick, slow, sealed);
        assert_int_equal(xt_unseal(with, size, more, xt_span_of(slow, sealed), opened), XT_OK);
        assert_memory_equal(opened, plain, size);
        quick[size * 7 % sealed] ^= 0x10;
        assert_int_equal(xt_unseal(with, size, more, xt_span_of(quick, sealed), opened),
                         XT_CORRUPT);
        assert_int_equal(xt_unseal(without, size, more, xt_span_of(quick, sealed), opened),
                         XT_CORRUPT);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(opened[i], 0);
        }
    }
    xt_sealer_close(with);
    xt_sealer_close(without);
}

static void any_length_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 128, 1000, 65536};
    static uint8_t plain[65536], sealed[65536 + XT_SEAL_OVERHEAD], opened[65536];
    struct xt_sealer *sealer = open_counting();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill_counting(plain, sizes[i], (unsigned)i);
        xt_seal(sealer, i, xt_span_of(sizes, 8), xt_span_of(plain, sizes[i]), sealed);
        assert_int_equal(xt_unseal(sealer, i, xt_span_of(sizes, 8),
                                   xt_span_of(sealed, sizes[i] + XT_SEAL_OVERHEAD), opened),
                         XT_OK);
        assert_memory_equal(plain, opened, sizes[i]);
    }
    xt_sealer_close(sealer);
}

static void any_flipped_bit_is_found_and_the_plaintext_wiped(void **state)
{
    (void)state;
    uint8_t plain[40], sealed[56], opened[40];
    uint8_t associated[20];
    uint8_t zeros[40] = {0};
    struct xt_sealer *sealer = open_counting();
    fill_counting(plain, sizeof(plain), 1);
    fill_counting(associated, sizeof(associated), 7);
    struct xt_span with = xt_span_of(associated, sizeof(associated));
    xt_seal(sealer, 5, with, xt_span_of(plain, sizeof(plain)), sealed);
    struct xt_span whole = xt_span_of(sealed, sizeof(sealed));
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        memset(opened, 0xaa, sizeof(opened));
        assert_int_equal(xt_unseal(sealer, 5, with, whole, opened), XT_CORRUPT);
        assert_memory_equal(opened, zeros, sizeof(opened));
        sealed[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t bit = 0; bit < sizeof(associated) * 8; bit++) {
        associated[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(xt_unseal(sealer, 5, with, whole, opened), XT_CORRUPT);
        associated[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        assert_int_equal(xt_unseal(sealer, 5 ^ (uint64_t)1 << bit, with, whole, opened),
                         XT_CORRUPT);
    }
    for (size_t size = 0; size < sizeof(sealed); size++) {
        assert_int_equal(xt_unseal(sealer, 5, with, xt_span_of(sealed, size), opened), XT_CORRUPT);
    }
    assert_int_equal(xt_unseal(sealer, 5, with, whole, opened), XT_OK);
    assert_memory_equal(opened, plain, sizeof(plain));
    xt_sealer_close(sealer);
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    uint8_t sealed[20], opened[4], key[32];
    struct xt_sealer *sealer = open_counting();
    xt_seal(sealer, 5, xt_span_of(NULL, 0), xt_span_of_string("text"), sealed);
    xt_sealer_close(sealer);
    for (size_t i = 0; i < 32; i++) {
        fill_counting(key, sizeof(key), 0);
        key[i] ^= 0x80;
        assert_int_equal(xt_sealer_open(key, &sealer), XT_OK);
        assert_int_equal(xt_unseal(sealer, 5, xt_span_of(NULL, 0), xt_span_of(sealed, 20), opened),
                         XT_CORRUPT);
        xt_sealer_close(sealer);
    }
    xt_sealer_close(NULL);
}

static void digests_are_blake2b_256_however_the_data_is_cut(void **state)
{
    (void)state;
    uint8_t result[XT_DIGEST_BYTES];
    uint8_t whole[XT_DIGEST_BYTES];
    char hex[65];
    struct xt_digest *digest = xt_digest_start();
    xt_digest_finish(digest, result);
    assert_string_equal(to_hex(hex, result, 32),
                        "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    digest = xt_digest_start();
    xt_digest_add(digest, xt_span_of_string("abc"));
    xt_digest_finish(digest, result);
    assert_string_equal(to_hex(hex, result, 32),
                        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    uint8_t data[600];
    fill_counting(data, sizeof(data), 3);
    digest = xt_digest_start();
    xt_digest_add(digest, xt_span_of(data, sizeof(data)));
    xt_digest_finish(digest, whole);
    for (size_t cut = 0; cut <= sizeof(data); cut += 13) {
        digest = xt_digest_start();
        xt_digest_add(digest, xt_span_of(data, cut));
        xt_digest_add(digest, xt_span_of(data + cut, sizeof(data) - cut));
        xt_digest_finish(digest, result);
        assert_memory_equal(result, whole, sizeof(whole));
    }
    xt_digest_finish(xt_digest_start(), NULL); /* given up */
    xt_digest_finish(NULL, NULL);
}

static void macs_are_keyed_blake2b_256(void **state)
{
    (void)state;
    uint8_t key[32], mac[XT_DIGEST_BYTES];
    char hex[65];
    fill_counting(key, sizeof(key), 0);
    xt_mac(key, xt_span_of_string("abc"), mac);
    assert_string_equal(to_hex(hex, mac, 32),
                        "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_is_aes_256_gcm),
        cmocka_unit_test(the_nonce_is_the_ordinal_in_little_endian),
        cmocka_unit_test(both_ways_of_sealing_agree),
        cmocka_unit_test(any_length_comes_back),
        cmocka_unit_test(any_flipped_bit_is_found_and_the_plaintext_wiped),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(digests_are_blake2b_256_however_the_data_is_cut),
        cmocka_unit_test(macs_are_keyed_blake2b_256),
    };
    return cmocka_run_group_tests_name("crypto/seal", tests, scratch_make, scratch_remove);
}
