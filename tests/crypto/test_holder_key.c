#include "crypto/holder_key.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/holder_signer.h"
#include "crypto/keyring.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static uint8_t spki[128], signature[XT_HOLDER_SIGNATURE];
static size_t spki_size;

static struct xt_span key(void)
{
    return xt_span_of(spki, spki_size);
}

static enum xt_status verify(const char *message)
{
    return xt_holder_verify(key(), xt_span_of_string(message), signature);
}

static size_t bytes_of_hex(const char *hex, uint8_t *bytes, size_t most)
{
    size_t size = strlen(hex) / 2;
    assert_true(size <= most);
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return size;
}

static void use_key(const char *hex)
{
    spki_size = bytes_of_hex(hex, spki, sizeof(spki));
}

static void use_signature(const char *hex)
{
    assert_int_equal(bytes_of_hex(hex, signature, sizeof(signature)), XT_HOLDER_SIGNATURE);
}

#define ED25519_DER "302a300506032b6570032100"
#define P256_DER "3059301306072a8648ce3d020106082a8648ce3d030107034200"

/* RFC 8032, section 7.1, test 3: two bytes af 82. */
static void use_rfc_8032(void)
{
    use_key(ED25519_DER "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
    use_signature("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a");
}

/* RFC 6979, appendix A.2.5, SHA-256, "sample". */
static void use_rfc_6979(void)
{
    use_key(P256_DER "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
                     "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
    use_signature("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
                  "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
}

static void signatures_of_the_standards_are_right(void **state)
{
    (void)state;
    enum xt_holder_key kind;
    use_rfc_8032();
    assert_int_equal(xt_holder_key_kind(key(), &kind), XT_OK);
    assert_int_equal(kind, XT_HOLDER_ED25519);
    assert_int_equal(verify("\xaf\x82"), XT_OK);
    assert_int_equal(verify("\xaf\x83"), XT_DENIED);
    use_rfc_6979();
    assert_int_equal(xt_holder_key_kind(key(), &kind), XT_OK);
    assert_int_equal(kind, XT_HOLDER_P256);
    assert_int_equal(verify("sample"), XT_OK);
    assert_int_equal(verify("Sample"), XT_DENIED);
    assert_int_equal(verify(""), XT_DENIED);
}

static void whatever_bit_of_a_signature_is_changed_it_is_wrong(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8 * XT_HOLDER_SIGNATURE; bit++) {
        use_rfc_8032();
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(verify("\xaf\x82"), XT_DENIED);
        use_rfc_6979();
        signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(verify("sample"), XT_DENIED);
    }
}

static void whatever_bit_of_a_key_is_changed_it_verifies_nothing(void **state)
{
    (void)state;
    use_rfc_8032();
    for (unsigned bit = 0; bit < 8 * 44; bit++) {
        use_rfc_8032();
        spki[bit / 8] ^= (uint8_t)(1U << bit % 8);
        enum xt_status status = verify("\xaf\x82");
        assert_true(status == XT_INVALID || (bit >= 8 * 12 && status == XT_DENIED));
    }
    for (unsigned bit = 0; bit < 8 * 91; bit++) {
        use_rfc_6979();
        spki[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(verify("sample"), XT_INVALID); /* off the curve, or of another kind */
    }
}

/* With n, the order of the curve; Wycheproof's special cases of ECDSA in P1363 form. */
static void numbers_outside_their_range_are_wrong(void **state)
{
    (void)state;
    static const char *const zero =
        "0000000000000000000000000000000000000000000000000000000000000000";
    static const char *const n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    static const char *const all =
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    static const char *const one =
        "0000000000000000000000000000000000000000000000000000000000000001";
    static const char *const below =
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550";
    const char *const list[] = {zero, n, all, one, below};
    char hex[4 * XT_HOLDER_SIGNATURE];
    use_rfc_6979();
    for (unsigned r = 0; r < 5; r++) {
        for (unsigned s = 0; s < 5; s++) {
            snprintf(hex, sizeof(hex), "%s%s", list[r], list[s]);
            use_signature(hex);
            assert_int_equal(verify("sample"), XT_DENIED);
            assert_int_equal(verify(""), XT_DENIED);
        }
    }
    /* The right r beside them, and the right s. */
    for (unsigned i = 0; i < 3; i++) {
        use_rfc_6979();
        (void)bytes_of_hex(list[i], signature + 32, 32);
        assert_int_equal(verify("sample"), XT_DENIED);
        use_rfc_6979();
        (void)bytes_of_hex(list[i], signature, 32);
        assert_int_equal(verify("sample"), XT_DENIED);
    }
    /* S of Ed25519 with the order of its group added: the same point, another signature. */
    use_rfc_8032();
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    unsigned carry = 0;
    for (unsigned i = 0; i < 32; i++) {
        carry += signature[32 + i] + (unsigned)order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(verify("\xaf\x82"), XT_DENIED);
}

/* Under a key of small order one signature is right for nearly every message. */
static void keys_of_small_order_are_none(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        /* Not the one way to write them. */
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    enum xt_holder_key kind;
    char hex[128];
    for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        snprintf(hex, sizeof(hex), ED25519_DER "%s", points[i]);
        use_key(hex);
        assert_int_equal(xt_holder_key_kind(key(), &kind), XT_INVALID);
        memset(signature, 0, sizeof(signature)); /* R the neutral element, S 0 */
        signature[0] = 1;
        assert_int_equal(verify("anything"), XT_INVALID);
    }
}

static void other_keys_are_none(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "30",
        ED25519_DER,
        /* One byte too many, at the end. */
        ED25519_DER "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb91154890802500",
        /* X25519, Ed448's identifier. */
        "302a300506032b656e032100fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "302a300506032b6571032100fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        /* P-256, compressed, and the point at infinity. */
        "3039301306072a8648ce3d020106082a8648ce3d03010703220003"
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "3019301306072a8648ce3d020106082a8648ce3d03010703020000",
        P256_DER
        "0400000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000",
    };
    enum xt_holder_key kind;
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        use_rfc_8032();
        use_key(keys[i]);
        assert_int_equal(xt_holder_key_kind(key(), &kind), XT_INVALID);
        assert_int_equal(verify("\xaf\x82"), XT_INVALID);
    }
}

/* ---- what load generators and tests sign with --------------------------------------------------- */

static void what_is_signed_verifies(void **state)
{
    (void)state;
    static const enum xt_holder_key kinds[] = {XT_HOLDER_P256, XT_HOLDER_ED25519};
    for (unsigned i = 0; i < 2; i++) {
        uint8_t seed[XT_HOLDER_SEED] = {(uint8_t)i}, again[XT_HOLDER_SPKI_MAX];
        struct xt_holder_signer *signer = NULL, *same = NULL;
        enum xt_holder_key kind;
        assert_int_equal(xt_holder_signer_open(kinds[i], seed, &signer), XT_OK);
        assert_int_equal(xt_holder_signer_open(kinds[i], seed, &same), XT_OK);
        spki_size = xt_holder_signer_spki(signer, spki);
        assert_int_equal(xt_holder_signer_spki(same, again), spki_size);
        assert_memory_equal(spki, again, spki_size);
        assert_int_equal(xt_holder_key_kind(key(), &kind), XT_OK);
        assert_int_equal(kind, kinds[i]);
        for (unsigned n = 0; n < 20; n++) {
            assert_int_equal(xt_holder_sign(signer, xt_span_of_string("a message"), signature),
                             XT_OK);
            assert_int_equal(verify("a message"), XT_OK);
            assert_int_equal(verify("another"), XT_DENIED);
        }
        xt_holder_signer_close(signer);
        xt_holder_signer_close(same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_the_standards_are_right),
        cmocka_unit_test(whatever_bit_of_a_signature_is_changed_it_is_wrong),
        cmocka_unit_test(whatever_bit_of_a_key_is_changed_it_verifies_nothing),
        cmocka_unit_test(numbers_outside_their_range_are_wrong),
        cmocka_unit_test(keys_of_small_order_are_none),
        cmocka_unit_test(other_keys_are_none),
        cmocka_unit_test(what_is_signed_verifies),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
