#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "crypto/file.h"
#include "tests/crypto/hex.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct xt_failure failure;

static const char *const names[] = {"id.example.vn", "*.id.example.vn", NULL};
static const char *const addresses[] = {"127.0.0.1", "2001:db8::1", NULL};

static struct xt_certificate_request request_for(enum xt_certificate_use use)
{
    time_t now = time(NULL);
    return (struct xt_certificate_request){
        .use = use,
        .common_name = use == XT_CERTIFICATE_SERVER ? "id.example.vn" : "Viễn thông",
        .dns_names = use == XT_CERTIFICATE_SERVER ? names : NULL,
        .addresses = use == XT_CERTIFICATE_SERVER ? addresses : NULL,
        .not_before = now - XT_CLOCK_SKEW_SECONDS,
        .not_after = now + (time_t)XT_CERTIFICATE_DAYS * 86400,
    };
}

static enum xt_status issue(const struct xt_certificate_request *request, const char *name,
                            uint8_t spki[XT_SPKI_SHA256])
{
    char key[64], certificate[64];
    snprintf(key, sizeof(key), "%s.key", name);
    snprintf(certificate, sizeof(certificate), "%s.crt", name);
    return xt_authority_issue(scratch("ca.key"), scratch("ca.crt"), request, scratch(key),
                              scratch(certificate), spki, &failure);
}

static void keys_are_private_and_nothing_is_overwritten(void **state)
{
    (void)state;
    struct stat facts;
    uint8_t spki[32];
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    assert_int_equal(issue(&request, "private", spki), XT_OK);
    assert_int_equal(stat(scratch("private.key"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(stat(scratch("ca.key"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_int_equal(stat(scratch("private.crt"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0644);

    assert_int_equal(issue(&request, "private", spki), XT_EXISTS);
    assert_int_equal(unlink(scratch("private.key")), 0);
    assert_int_equal(issue(&request, "private", spki), XT_EXISTS); /* the certificate is there */
    assert_int_not_equal(access(scratch("private.key"), F_OK), 0);
    assert_int_equal(xt_authority_issue(scratch("ca.key"), scratch("ca.crt"), &request,
                                        scratch("alone.key"), scratch("none/alone.crt"), spki,
                                        &failure),
                     XT_NOT_FOUND);
    assert_int_not_equal(access(scratch("alone.key"), F_OK),
                         0); /* no key without its certificate */
    assert_int_equal(xt_authority_create(scratch("ca.key"), scratch("new.crt"), "other", &failure),
                     XT_EXISTS);
    assert_int_not_equal(access(scratch("new.crt"), F_OK), 0);
}

static void the_spki_is_that_of_the_written_certificate(void **state)
{
    (void)state;
    uint8_t spki[32], read[32], other[32];
    char text[SHELL_TEXT_MAX], hex[65];
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    assert_int_equal(issue(&request, "spki", spki), XT_OK);
    assert_int_equal(xt_certificate_spki(scratch("spki.crt"), read, &failure), XT_OK);
    assert_memory_equal(spki, read, 32);
    assert_int_equal(issue(&request, "spki2", other), XT_OK);
    assert_memory_not_equal(spki, other, 32);
    assert_int_equal(xt_certificate_spki(scratch("spki.key"), read, &failure), XT_INVALID);
    assert_int_equal(xt_certificate_spki(scratch("nothing"), read, &failure), XT_NOT_FOUND);
    if (have_openssl()) {
        assert_true(scratch_shell(
            text, "openssl x509 -in spki.crt -noout -pubkey | openssl pkey -pubin -outform "
                  "DER | openssl dgst -sha256 -r"));
        assert_memory_equal(text, to_hex(hex, spki, 32), 64);
    }
}

static void another_implementation_accepts_the_chain_strictly(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    char text[SHELL_TEXT_MAX];
    uint8_t spki[32];
    struct xt_certificate_request server = request_for(XT_CERTIFICATE_SERVER);
    struct xt_certificate_request client = request_for(XT_CERTIFICATE_CLIENT);
    assert_int_equal(issue(&server, "server", spki), XT_OK);
    assert_int_equal(issue(&client, "client", spki), XT_OK);
    static const char *const good[] = {
        "-purpose sslserver -verify_hostname id.example.vn server.crt",
        "-purpose sslserver -verify_hostname a.id.example.vn server.crt",
        "-purpose sslserver -verify_ip 127.0.0.1 server.crt",
        "-purpose sslserver -verify_ip 2001:db8::1 server.crt",
        "-purpose sslclient client.crt",
    };
    static const char *const bad[] = {
        "-purpose sslclient server.crt",
        "-purpose sslserver client.crt",
        "-purpose sslserver -verify_hostname example.vn server.crt",
        "-purpose sslserver -verify_ip 127.0.0.2 server.crt",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!scratch_shell(text, "openssl verify -x509_strict -CAfile ca.crt %s", good[i])) {
            fail_msg("%s: %s", good[i], text);
        }
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(scratch_shell(text, "openssl verify -x509_strict -CAfile ca.crt %s", bad[i]));
    }
}

static void certificates_say_what_they_are_for(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    char text[SHELL_TEXT_MAX];
    uint8_t spki[32];
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_SERVER);
    assert_true(scratch_shell(text, "openssl x509 -in ca.crt -noout -text"));
    assert_non_null(strstr(text, "Version: 3"));
    assert_non_null(
        strstr(text, "Basic Constraints: critical\n                CA:TRUE, pathlen:0"));
    assert_non_null(
        strstr(text, "Key Usage: critical\n                Certificate Sign, CRL Sign"));
    assert_non_null(strstr(text, "Subject Key Identifier"));
    assert_non_null(strstr(text, "ecdsa-with-SHA256"));
    assert_non_null(strstr(text, "NIST CURVE: P-256"));
    assert_int_equal(issue(&request, "facts", spki), XT_OK);
    assert_true(scratch_shell(text, "openssl x509 -in facts.crt -noout -text"));
    assert_non_null(strstr(text, "Basic Constraints: critical\n                CA:FALSE"));
    assert_non_null(strstr(text, "Key Usage: critical\n                Digital Signature\n"));
    assert_non_null(strstr(text, "Usage: \n                TLS Web Server Authentication\n"));
    assert_non_null(strstr(text, "DNS:id.example.vn, DNS:*.id.example.vn, IP Address:127.0.0.1, "
                                 "IP Address:2001:DB8:0:0:0:0:0:1"));
    assert_non_null(strstr(text, "Authority Key Identifier"));
    assert_null(strstr(text, "CRL Distribution"));
    request.revocations_url = "http://id.example.vn:8080/revoked.crl";
    assert_int_equal(issue(&request, "listed", spki), XT_OK);
    assert_true(scratch_shell(text, "openssl x509 -in listed.crt -noout -text"));
    assert_non_null(strstr(text, "CRL Distribution Points: \n                Full Name:\n"));
    assert_non_null(strstr(text, "URI:http://id.example.vn:8080/revoked.crl\n"));
    static const char *const bad_urls[] = {
        "",          "http://",     "https://a/b", "ftp://a/b",
        "http:///b", "http://a/\n", "http://a/ b", "http://\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++) {
        request.revocations_url = bad_urls[i];
        assert_int_equal(issue(&request, "never", spki), XT_INVALID);
        assert_non_null(strstr(failure.text, "revocation list"));
    }
}

static void times_are_written_as_rfc_5280_says(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    char text[SHELL_TEXT_MAX];
    uint8_t spki[32];
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    request.not_before = 1767225600; /* 2026-01-01 */
    request.not_after = 2524607999;  /* the last second of 2049 */
    assert_int_equal(issue(&request, "utc", spki), XT_OK);
    assert_true(scratch_shell(text, "openssl asn1parse -in utc.crt"));
    assert_non_null(strstr(text, "UTCTIME           :260101000000Z"));
    assert_non_null(strstr(text, "UTCTIME           :491231235959Z"));
    request.not_after = 2524608000; /* 2050 */
    assert_int_equal(issue(&request, "generalized", spki), XT_OK);
    assert_true(scratch_shell(text, "openssl asn1parse -in generalized.crt"));
    assert_non_null(strstr(text, "GENERALIZEDTIME   :20500101000000Z"));
}

static void serials_are_16_random_positive_bytes(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    char text[SHELL_TEXT_MAX], before[64] = "";
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    for (int i = 0; i < 4; i++) {
        uint8_t spki[32];
        char name[32];
        snprintf(name, sizeof(name), "serial%d", i);
        assert_int_equal(issue(&request, name, spki), XT_OK);
        assert_true(scratch_shell(text, "openssl x509 -in %s.crt -noout -serial", name));
        assert_int_equal(strlen(text), strlen("serial=\n") + 32);
        assert_true(text[7] >= '4' && text[7] <= '7');
        assert_string_not_equal(text, before);
        snprintf(before, sizeof(before), "%.60s", text);
    }
}

static void a_request_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    uint8_t spki[32];
    static const char *const bad_names[] = {
        "",
        "a b",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "*",
        "*.",
        "a.*.b",
        "a,IP:1.2.3.4",
        "a_b",
        "máy",
        "a\nb",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad_addresses[] = {"",    "1.2.3",     "1.2.3.4.5",
                                                "::g", "localhost", "1.2.3.4/8"};
    for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
        const char *const list[] = {bad_names[i], NULL};
        struct xt_certificate_request request = request_for(XT_CERTIFICATE_SERVER);
        request.dns_names = list;
        assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    }
    for (size_t i = 0; i < sizeof(bad_addresses) / sizeof(bad_addresses[0]); i++) {
        const char *const list[] = {bad_addresses[i], NULL};
        struct xt_certificate_request request = request_for(XT_CERTIFICATE_SERVER);
        request.addresses = list;
        assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    }
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    request.common_name = "";
    assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    request.common_name = "01234567890123456789012345678901234567890123456789012345678901234";
    assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    request.common_name = "\xff\xfe";
    assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    request = request_for(XT_CERTIFICATE_CLIENT);
    request.not_after = request.not_before;
    assert_int_equal(issue(&request, "bad", spki), XT_INVALID);
    assert_int_not_equal(access(scratch("bad.key"), F_OK), 0);
    assert_int_not_equal(access(scratch("bad.crt"), F_OK), 0);
}

static void only_an_authority_with_its_own_key_signs(void **state)
{
    (void)state;
    uint8_t spki[32];
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    assert_int_equal(issue(&request, "leaf", spki), XT_OK);
    assert_int_equal(xt_authority_create(scratch("b.key"), scratch("b.crt"), "another", &failure),
                     XT_OK);
    assert_int_equal(xt_authority_issue(scratch("leaf.key"), scratch("leaf.crt"), &request,
                                        scratch("x.key"), scratch("x.crt"), spki, &failure),
                     XT_INVALID);
    assert_int_equal(xt_authority_issue(scratch("b.key"), scratch("ca.crt"), &request,
                                        scratch("x.key"), scratch("x.crt"), spki, &failure),
                     XT_INVALID);
    assert_non_null(strstr(failure.text, "does not belong"));
    assert_int_equal(chmod(scratch("b.key"), 0640), 0);
    assert_int_equal(xt_authority_issue(scratch("b.key"), scratch("b.crt"), &request,
                                        scratch("x.key"), scratch("x.crt"), spki, &failure),
                     XT_DENIED);
    assert_int_not_equal(access(scratch("x.key"), F_OK), 0);
}

static enum xt_status check_client(const char *certificate, const char *authority)
{
    uint8_t spki[32];
    return xt_certificate_check_client(scratch(certificate), scratch(authority), spki, &failure);
}

static void what_a_handshake_would_refuse_is_told_beforehand(void **state)
{
    (void)state;
    uint8_t issued[32], read[32];
    time_t now = time(NULL);
    struct xt_certificate_request request = request_for(XT_CERTIFICATE_CLIENT);
    assert_int_equal(issue(&request, "good", issued), XT_OK);
    assert_int_equal(
        xt_certificate_check_client(scratch("good.crt"), scratch("ca.crt"), read, &failure), XT_OK);
    assert_memory_equal(issued, read, 32);
    assert_int_equal(
        xt_authority_create(scratch("other.key"), scratch("other.crt"), "another", &failure),
        XT_OK);
    assert_int_equal(check_client("good.crt", "other.crt"), XT_DENIED);
    assert_non_null(strstr(failure.text, "is not signed by an authority in"));
    assert_int_equal(check_client("ca.crt", "ca.crt"), XT_DENIED);
    assert_int_equal(check_client("ca.key", "ca.crt"), XT_INVALID);
    assert_int_equal(check_client("good.crt", "nothing"), XT_NOT_FOUND);

    /* The same name with another key does not sign for it. */
    assert_int_equal(
        xt_authority_create(scratch("same.key"), scratch("same.crt"), "Cơ quan", &failure), XT_OK);
    assert_int_equal(check_client("good.crt", "same.crt"), XT_DENIED);

    request.not_before = now - 7200;
    request.not_after = now - 3600;
    assert_int_equal(issue(&request, "old", issued), XT_OK);
    assert_int_equal(check_client("old.crt", "ca.crt"), XT_DENIED);
    assert_non_null(strstr(failure.text, "has expired"));
    request.not_before = now + 3600;
    request.not_after = now + 7200;
    assert_int_equal(issue(&request, "early", issued), XT_OK);
    assert_int_equal(check_client("early.crt", "ca.crt"), XT_DENIED);
    assert_non_null(strstr(failure.text, "not valid yet"));
    request = request_for(XT_CERTIFICATE_SERVER);
    assert_int_equal(issue(&request, "forserver", issued), XT_OK);
    assert_int_equal(check_client("forserver.crt", "ca.crt"), XT_DENIED);
    assert_non_null(strstr(failure.text, "clientAuth"));
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        assert_int_equal(
            xt_authority_create(scratch("ca.key"), scratch("ca.crt"), "Cơ quan", &failure), XT_OK);
    }
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_private_and_nothing_is_overwritten),
        cmocka_unit_test(the_spki_is_that_of_the_written_certificate),
        cmocka_unit_test(another_implementation_accepts_the_chain_strictly),
        cmocka_unit_test(certificates_say_what_they_are_for),
        cmocka_unit_test(times_are_written_as_rfc_5280_says),
        cmocka_unit_test(serials_are_16_random_positive_bytes),
        cmocka_unit_test(a_request_that_makes_no_sense_is_refused),
        cmocka_unit_test(only_an_authority_with_its_own_key_signs),
        cmocka_unit_test(what_a_handshake_would_refuse_is_told_beforehand),
    };
    return cmocka_run_group_tests_name("crypto/authority", tests, set_up, scratch_remove);
}
