#include "crypto/answer_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/plain_text.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define LINE 95 /* bytes */

static struct xt_failure failure;

static struct xt_answer_keys *open_keys(const char *name)
{
    uint8_t *text = NULL;
    size_t size = 0;
    struct xt_answer_keys *keys = NULL;
    assert_int_equal(xt_answer_key_read(scratch(name), &text, &size, &failure), XT_OK);
    assert_int_equal(xt_answer_keys_open(xt_span_of(text, size), &keys), XT_OK);
    xt_file_release_secret(text);
    return keys;
}

static struct xt_answer_keys *keys_of_seed(const char *hex)
{
    char line[LINE + 1];
    struct xt_answer_keys *keys = NULL;
    snprintf(line, sizeof(line), "current  2026-01-01T00:00:00Z %s\n", hex);
    assert_int_equal(xt_answer_keys_open(xt_span_of_string(line), &keys), XT_OK);
    return keys;
}

/* RFC 8037 appendix A: the JWK, its thumbprint and a signature by the key of A.1. */
static void the_key_of_rfc_8037_has_its_thumbprint_and_signs_as_there(void **state)
{
    (void)state;
    struct xt_answer_keys *keys =
        keys_of_seed("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    uint8_t json[XT_ANSWER_JWKS_MAX], signature[XT_ANSWER_SIGNATURE], expected[64];
    struct xt_writer writer = xt_writer_over(json, sizeof(json));
    xt_answer_keys_to_json(keys, &writer);
    assert_true(
        xt_span_is(xt_written(&writer),
                   "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
                   "7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
                   "\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\",\"use\":\"sig\","
                   "\"alg\":\"EdDSA\"}"));
    size_t size = 0;
    assert_true(xt_base64url_decode(
        xt_span_of_string("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7"
                          "sVvpAr_MuM0KAg"),
        expected, &size));
    assert_int_equal(size, 64);
    xt_answer_sign(keys,
                   xt_span_of_string("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"),
                   signature);
    assert_memory_equal(signature, expected, 64);
    xt_answer_keys_close(keys);
}

/* RFC 9421 appendix B.2.6 and the key of B.1.4. */
static void the_signature_base_of_rfc_9421_is_signed_as_there(void **state)
{
    (void)state;
    static const char base[] =
        "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n"
        "\"@method\": POST\n"
        "\"@path\": /foo\n"
        "\"@authority\": example.com\n"
        "\"content-type\": application/json\n"
        "\"content-length\": 18\n"
        "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" "
        "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    struct xt_answer_keys *keys =
        keys_of_seed("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5");
    const struct xt_answer_key_facts *facts = xt_answer_keys_current(keys);
    uint8_t signature[XT_ANSWER_SIGNATURE], expected[64], public[32];
    size_t size = 0;
    assert_true(xt_base64url_decode(
        xt_span_of_string("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"), public, &size));
    assert_memory_equal(facts->public, public, 32);
    assert_true(xt_base64url_decode(
        xt_span_of_string(
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv"
            "5lIp5WPpBKRCw"),
        expected, &size));
    assert_int_equal(size, 64);
    xt_answer_sign(keys, xt_span_of_string(base), signature);
    assert_memory_equal(signature, expected, 64);
    assert_true(xt_answer_signature_is_right(public, xt_span_of_string(base), signature));
    signature[63] ^= 1;
    assert_false(xt_answer_signature_is_right(public, xt_span_of_string(base), signature));
    xt_answer_keys_close(keys);
}

static void a_file_is_made_once_with_a_current_and_a_next_key(void **state)
{
    (void)state;
    struct stat facts;
    assert_int_equal(xt_answer_key_make(scratch("made"), &failure), XT_OK);
    assert_int_equal(xt_answer_key_make(scratch("made"), &failure), XT_EXISTS);
    assert_int_equal(stat(scratch("made"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    struct xt_answer_keys *keys = open_keys("made");
    assert_int_equal(xt_answer_keys_count(keys), 2);
    assert_int_equal(xt_answer_keys_at(keys, 0)->state, XT_ANSWER_CURRENT);
    assert_int_equal(xt_answer_keys_at(keys, 1)->state, XT_ANSWER_NEXT);
    assert_ptr_equal(xt_answer_keys_current(keys), xt_answer_keys_at(keys, 0));
    assert_string_not_equal(xt_answer_keys_at(keys, 0)->id, xt_answer_keys_at(keys, 1)->id);
    xt_answer_keys_close(keys);
}

static void what_was_next_signs_after_a_rotation_and_the_newest_previous_ones_stay(void **state)
{
    (void)state;
    char signed_by[12][XT_ANSWER_KEY_ID + 1];
    assert_int_equal(xt_answer_key_rotate(scratch("turn"), &failure), XT_NOT_FOUND);
    assert_int_equal(xt_answer_key_make(scratch("turn"), &failure), XT_OK);
    for (unsigned turn = 0; turn < 10; turn++) {
        struct xt_answer_keys *keys = open_keys("turn");
        unsigned previous = turn < XT_ANSWER_PREVIOUS_MAX ? turn : XT_ANSWER_PREVIOUS_MAX;
        assert_int_equal(xt_answer_keys_count(keys), previous + 2);
        if (turn == 0) {
            strcpy(signed_by[0], xt_answer_keys_current(keys)->id);
        }
        assert_string_equal(xt_answer_keys_current(keys)->id, signed_by[turn]);
        for (unsigned i = 0; i < previous; i++) {
            assert_int_equal(xt_answer_keys_at(keys, i)->state, XT_ANSWER_PREVIOUS);
            assert_string_equal(xt_answer_keys_at(keys, i)->id, signed_by[turn - previous + i]);
        }
        strcpy(signed_by[turn + 1], xt_answer_keys_at(keys, previous + 1)->id);
        uint8_t json[XT_ANSWER_JWKS_MAX];
        struct xt_writer writer = xt_writer_over(json, sizeof(json));
        xt_answer_keys_to_json(keys, &writer); /* the current one first, all of them there */
        assert_false(writer.overflow);
        assert_non_null(memmem(json, 170, signed_by[turn], XT_ANSWER_KEY_ID));
        assert_non_null(memmem(json, writer.size, signed_by[turn - previous], XT_ANSWER_KEY_ID));
        xt_answer_keys_close(keys);
        assert_int_equal(xt_answer_key_rotate(scratch("turn"), &failure), XT_OK);
    }
}

static void a_file_without_a_next_key_can_be_rotated(void **state)
{
    (void)state;
    char text[2 * LINE + 1];
    uint8_t *content = NULL;
    size_t size = 0;
    assert_int_equal(xt_answer_key_make(scratch("short"), &failure), XT_OK);
    assert_int_equal(xt_file_read(scratch("short"), sizeof(text), &content, &size, &failure),
                     XT_OK);
    assert_int_equal(size, 2 * LINE);
    scratch_write("alone", content, LINE, 0600);
    xt_file_release(content, size);
    struct xt_answer_keys *keys = open_keys("alone");
    char before[XT_ANSWER_KEY_ID + 1];
    strcpy(before, xt_answer_keys_current(keys)->id);
    xt_answer_keys_close(keys);
    assert_int_equal(xt_answer_key_rotate(scratch("alone"), &failure), XT_OK);
    keys = open_keys("alone");
    assert_int_equal(xt_answer_keys_count(keys), 3);
    assert_string_equal(xt_answer_keys_at(keys, 0)->id, before);
    assert_int_equal(xt_answer_keys_at(keys, 1)->state, XT_ANSWER_CURRENT);
    xt_answer_keys_close(keys);
}

#define A "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define B "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
#define WHEN " 2026-01-01T00:00:00Z "
#define PREVIOUS(seed) "previous" WHEN seed "\n"
#define CURRENT(seed) "current " WHEN seed "\n"
#define NEXT(seed) "next    " WHEN seed "\n"

static void a_file_that_does_not_add_up_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "\n",
        PREVIOUS(A),
        NEXT(A),
        CURRENT(A) CURRENT(B),
        NEXT(A) CURRENT(B),
        CURRENT(A) PREVIOUS(B),
        CURRENT(A) NEXT(A),
        PREVIOUS(A) NEXT(B),
        "current  2026-01-01T00:00:00Z " A,
        "current  2026-01-01 00:00:00Z " A "\n",
        "CURRENT " WHEN A "\n",
        "current " WHEN "9D61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n",
        "current " WHEN "zz61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n",
        CURRENT(A) "next",
    };
    uint8_t *text = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char name[16];
        snprintf(name, sizeof(name), "bad%zu", i);
        scratch_write(name, texts[i], strlen(texts[i]), 0600);
        assert_int_equal(xt_answer_key_read(scratch(name), &text, &size, &failure), XT_INVALID);
        assert_null(strstr(failure.text, "9d61"));
        assert_int_equal(xt_answer_key_rotate(scratch(name), &failure), XT_INVALID);
    }
    scratch_write("open", CURRENT(A), LINE, 0644);
    assert_int_equal(xt_answer_key_read(scratch("open"), &text, &size, &failure), XT_DENIED);
    assert_int_equal(xt_answer_key_read(scratch("none"), &text, &size, &failure), XT_NOT_FOUND);
}

/* The openssl command verifies what we sign, and not what was changed afterwards. */
static void another_library_verifies_what_is_signed(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    assert_int_equal(xt_answer_key_make(scratch("own"), &failure), XT_OK);
    struct xt_answer_keys *keys = open_keys("own");
    static const uint8_t prefix[] = {
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
        0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}; /* SubjectPublicKeyInfo of RFC 8410 */
    uint8_t spki[44], signature[XT_ANSWER_SIGNATURE];
    char message[] = "\"@status\": 200\n\"@signature-params\": (\"@status\")", text[SHELL_TEXT_MAX];
    memcpy(spki, prefix, sizeof(prefix));
    memcpy(spki + sizeof(prefix), xt_answer_keys_current(keys)->public, 32);
    xt_answer_sign(keys, xt_span_of_string(message), signature);
    scratch_write("spki", spki, sizeof(spki), 0600);
    scratch_write("signature", signature, sizeof(signature), 0600);
    scratch_write("message", message, strlen(message), 0600);
    static const char command[] = "openssl pkeyutl -verify -pubin -inkey spki -keyform DER -rawin "
                                  "-in message -sigfile signature";
    assert_true(scratch_shell(text, "%s", command));
    message[12] = '1';
    scratch_write("message", message, strlen(message), 0600);
    assert_false(scratch_shell(text, "%s", command));
    xt_answer_keys_close(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_rfc_8037_has_its_thumbprint_and_signs_as_there),
        cmocka_unit_test(the_signature_base_of_rfc_9421_is_signed_as_there),
        cmocka_unit_test(a_file_is_made_once_with_a_current_and_a_next_key),
        cmocka_unit_test(what_was_next_signs_after_a_rotation_and_the_newest_previous_ones_stay),
        cmocka_unit_test(a_file_without_a_next_key_can_be_rotated),
        cmocka_unit_test(a_file_that_does_not_add_up_is_refused),
        cmocka_unit_test(another_library_verifies_what_is_signed),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
