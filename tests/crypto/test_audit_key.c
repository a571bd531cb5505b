#include "crypto/audit_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

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

static void a_key_is_made_once_and_what_it_signs_verifies_with_the_public_part(void **state)
{
    (void)state;
    make_folders("once");
    struct xt_audit_key *key = NULL;
    struct xt_audit_public *public = NULL, *own = NULL;
    struct stat facts;
    uint8_t signature[XT_AUDIT_SIGNATURE];
    assert_int_equal(xt_audit_key_make(scratch("once"), &failure), XT_OK);
    assert_int_equal(stat(scratch("once/keys/audit.key"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    ino_t made = facts.st_ino;
    assert_int_equal(xt_audit_key_make(scratch("once"), &failure), XT_OK);
    assert_int_equal(stat(scratch("once/keys/audit.key"), &facts), 0);
    assert_true(facts.st_ino == made);
    assert_int_equal(xt_audit_key_open(scratch("once/keys/audit.key"), &key, &failure), XT_OK);
    assert_int_equal(xt_audit_public_open(scratch("once/keys/audit.pub"), &public, &failure),
                     XT_OK);
    assert_int_equal(xt_audit_public_of(key, &own), XT_OK);
    struct xt_span message = xt_span_of_string("checkpoint");
    uint32_t id = xt_audit_key_id(key);
    xt_audit_sign(key, "one thing", message, signature);
    assert_int_equal(xt_audit_check(public, id, "one thing", message, signature), XT_OK);
    assert_int_equal(xt_audit_check(own, id, "one thing", message, signature), XT_OK);
    assert_int_equal(xt_audit_check(public, id, "another thing", message, signature), XT_CORRUPT);
    assert_int_equal(
        xt_audit_check(public, id, "one thing", xt_span_of_string("checkpoinT"), signature),
        XT_CORRUPT);
    assert_int_equal(xt_audit_check(public, id + 1, "one thing", message, signature), XT_NOT_FOUND);
    signature[10] ^= 1;
    assert_int_equal(xt_audit_check(public, id, "one thing", message, signature), XT_CORRUPT);
    xt_audit_public_close(public);
    xt_audit_public_close(own);
    xt_audit_key_close(key);
}

static void a_lost_key_of_a_log_is_not_replaced_by_another(void **state)
{
    (void)state;
    make_folders("lost");
    assert_int_equal(xt_audit_key_make(scratch("lost"), &failure), XT_OK);
    scratch_write("lost/audit/checkpoints", "x", 1, 0600);
    assert_int_equal(unlink(scratch("lost/keys/audit.key")), 0);
    assert_int_equal(xt_audit_key_make(scratch("lost"), &failure), XT_DENIED);
    assert_int_equal(unlink(scratch("lost/audit/checkpoints")), 0);
    assert_int_equal(xt_audit_key_make(scratch("lost"), &failure), XT_OK); /* a crash half-way */
}

static void every_flip_in_the_head_is_seen(void **state)
{
    (void)state;
    make_folders("head");
    struct xt_audit_public *public = NULL;
    struct xt_audit_head head = {.number = 9};
    uint8_t *bytes;
    size_t size;
    assert_int_equal(xt_audit_key_make(scratch("head"), &failure), XT_OK);
    assert_int_equal(xt_audit_public_open(scratch("head/keys/audit.pub"), &public, &failure),
                     XT_OK);
    assert_int_equal(xt_audit_head_read(scratch("head/audit/head"), public, &head, &failure),
                     XT_OK);
    assert_true(head.number == 0 && head.end == 0);
    assert_int_equal(xt_file_read(scratch("head/audit/head"), 1000, &bytes, &size, &failure),
                     XT_OK);
    assert_int_equal(size, XT_AUDIT_HEAD_BYTES);
    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_int_equal(xt_audit_head_parse(xt_span_of(bytes, size), public, &head), XT_CORRUPT);
        bytes[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(xt_audit_head_parse(xt_span_of(bytes, i), public, &head), XT_CORRUPT);
    }
    xt_file_release(bytes, size);
    xt_audit_public_close(public);
}

static void a_key_file_that_others_may_read_or_that_is_no_key_file_is_refused(void **state)
{
    (void)state;
    make_folders("mode");
    struct xt_audit_key *key = NULL;
    struct xt_audit_public *public = NULL;
    assert_int_equal(xt_audit_key_make(scratch("mode"), &failure), XT_OK);
    assert_int_equal(chmod(scratch("mode/keys/audit.key"), 0640), 0);
    assert_int_equal(xt_audit_key_open(scratch("mode/keys/audit.key"), &key, &failure), XT_DENIED);
    scratch_write("bad.key", "00000000 xyz\n", 13, 0600);
    assert_int_equal(xt_audit_key_open(scratch("bad.key"), &key, &failure), XT_INVALID);
    assert_int_equal(xt_audit_public_open(scratch("bad.key"), &public, &failure), XT_INVALID);
    scratch_write("empty.key", "", 0, 0600);
    assert_int_equal(xt_audit_key_open(scratch("empty.key"), &key, &failure), XT_INVALID);
    assert_int_equal(xt_audit_key_open(scratch("none.key"), &key, &failure), XT_NOT_FOUND);
}

/* Another implementation of Ed25519 and BLAKE2b gives the same. */
#define ED25519_DER 44 /* bytes of a SubjectPublicKeyInfo: a fixed head (RFC 8410) and the key */

/* hex: the key's 64 digits. */
static size_t ed25519_der(const char *hex, uint8_t der[ED25519_DER])
{
    static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                   0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    memcpy(der, head, sizeof(head));
    for (size_t i = 0; i < ED25519_DER - sizeof(head); i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        der[sizeof(head) + i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return ED25519_DER;
}

static void openssl_verifies_the_signature_as_well(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    make_folders("peer");
    struct xt_audit_key *key = NULL;
    uint8_t signature[XT_AUDIT_SIGNATURE];
    uint8_t public_der[ED25519_DER];
    char text[SHELL_TEXT_MAX];
    assert_int_equal(xt_audit_key_make(scratch("peer"), &failure), XT_OK);
    assert_int_equal(xt_audit_key_open(scratch("peer/keys/audit.key"), &key, &failure), XT_OK);
    xt_audit_sign(key, "0123456789abcdef", xt_span_of_string("message"), signature);
    scratch_write("signature", signature, sizeof(signature), 0600);
    if (!scratch_shell(text, "cut -d' ' -f2 peer/keys/audit.pub")) {
        fail_msg("%s", text);
    }
    scratch_write("public.der", public_der, ed25519_der(text, public_der), 0600);
    if (!scratch_shell(
            text, "set -e; "
                  "printf 0123456789abcdefmessage | openssl dgst -blake2b512 -binary > digest; "
                  "openssl pkeyutl -verify -pubin -inkey public.der -keyform DER -rawin "
                  "-in digest -sigfile signature")) {
        fail_msg("%s", text);
    }
    xt_audit_key_close(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_made_once_and_what_it_signs_verifies_with_the_public_part),
        cmocka_unit_test(a_lost_key_of_a_log_is_not_replaced_by_another),
        cmocka_unit_test(every_flip_in_the_head_is_seen),
        cmocka_unit_test(a_key_file_that_others_may_read_or_that_is_no_key_file_is_refused),
        cmocka_unit_test(openssl_verifies_the_signature_as_well),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
