#include "tests/test.h"

#include "core/settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void defaults_are_those_of_the_design(void **state)
{
    (void)state;
    struct xt_settings s;
    memset(&s, 0xa5, sizeof s);
    xt_settings_defaults(&s);
    assert_string_equal(s.listen, "127.0.0.1:8443");
    assert_string_equal(s.admin_listen, "127.0.0.1:9443");
    assert_string_equal(s.tls_min_version, "1.3");
    assert_int_equal(s.workers, 0);
    assert_string_equal(s.revocations, "revoked.crl");
    assert_int_equal(s.allow_older_generation, 0);
    assert_int_equal(s.warm_up_rate, 256);
    assert_int_equal(s.warm_up_reserve, 2048);
    assert_int_equal(s.header_bytes, 8192);
    assert_int_equal(s.header_fields, 64);
    assert_int_equal(s.body_bytes, 65536);
    assert_int_equal(s.header_ms, 10000);
    assert_int_equal(s.body_ms, 10000);
    assert_int_equal(s.handshake_ms, 5000);
    assert_int_equal(s.idle_ms, 75000);
    assert_int_equal(s.connection_requests, 100000);
    assert_int_equal(s.connection_ms, 3600000);
    assert_int_equal(s.write_stall_ms, 10000);
    assert_int_equal(s.write_ms, 60000);
    assert_int_equal(s.drain_ms, 30000);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.accepts_per_turn, 16);
    assert_int_equal(s.handshakes_per_turn, 4);
    assert_int_equal(s.requests_per_turn, 8);
    assert_int_equal(s.overload_turn_ms, 1000);
}

static void an_answer_step_that_cannot_fit_is_refused(void **state)
{
    (void)state;
    struct xt_settings s;
    struct xt_failure failure = {""};
    xt_settings_defaults(&s);
    assert_int_equal(xt_settings_check(&s, &failure), XT_OK);
    s.passcode_step_ms = s.answer_ms / 2;
    assert_int_equal(xt_settings_check(&s, &failure), XT_OK);
    s.passcode_step_ms++;
    assert_int_equal(xt_settings_check(&s, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "answer_step"));
    assert_non_null(strstr(failure.text, "answer_timeout"));
    s.passcode_step_ms = 0;
    assert_int_equal(xt_settings_check(&s, &failure), XT_OK);
}

/* Reads the written file as a simple INI reader would, into settings that start as nothing. */
static void the_written_file_says_every_default_and_its_reason(void **state)
{
    (void)state;
    static char text[XT_SETTINGS_TEXT_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof text - 1);
    xt_settings_write_default(&writer);
    assert_false(writer.overflow);
    assert_int_equal(text[writer.size - 1], '\n');
    text[writer.size] = '\0';

    struct xt_settings defaults;
    struct xt_settings read;
    char section[64] = "";
    unsigned settings = 0;
    bool commented = false;
    xt_settings_defaults(&defaults);
    memset(&read, 0, sizeof read);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 100);
        char key[64];
        char value[128];
        if (line[0] == '#') {
            commented = true;
        } else if (sscanf(line, "[%63[a-z]]", section) != 1) {
            struct xt_failure failure = {""};
            assert_int_equal(sscanf(line, "%63s = %127s", key, value), 2);
            assert_true(commented);
            if (xt_settings_set(&read, section, key, value, &failure) != XT_OK) {
                fail_msg("%s", failure.text);
            }
            commented = false;
            settings++;
        }
    }
    assert_int_equal(settings, 40);
    assert_memory_equal(&read, &defaults, sizeof read);
}

static void values_within_bounds_are_taken(void **state)
{
    (void)state;
    struct xt_settings s;
    struct xt_failure failure;
    xt_settings_defaults(&s);
    assert_int_equal(xt_settings_set(&s, "server", "listen", "[::]:0", &failure), XT_OK);
    assert_string_equal(s.listen, "[::]:0");
    assert_int_equal(xt_settings_set(&s, "server", "admin_listen", "0.0.0.0:65535", &failure),
                     XT_OK);
    assert_int_equal(xt_settings_set(&s, "server", "tls_min_version", "1.2", &failure), XT_OK);
    assert_string_equal(s.tls_min_version, "1.2");
    assert_int_equal(xt_settings_set(&s, "server", "revocations", "lists/ca..crl", &failure),
                     XT_OK);
    assert_string_equal(s.revocations, "lists/ca..crl");
    assert_int_equal(xt_settings_set(&s, "server", "revocations", "", &failure), XT_OK);
    assert_string_equal(s.revocations, "");
    assert_int_equal(xt_settings_set(&s, "server", "workers", "128", &failure), XT_OK);
    assert_int_equal(s.workers, 128);
    assert_int_equal(xt_settings_set(&s, "server", "allow_older_generation", "yes", &failure),
                     XT_OK);
    assert_int_equal(s.allow_older_generation, 1);
    assert_int_equal(
        xt_settings_set(&s, "tokens", "issuer", "https://id.example.vn:8443/xt", &failure), XT_OK);
    assert_string_equal(s.token_issuer, "https://id.example.vn:8443/xt");
    assert_int_equal(xt_settings_set(&s, "tokens", "issuer", "auto", &failure), XT_OK);
    assert_int_equal(xt_settings_set(&s, "tokens", "lifetime", "15m", &failure), XT_OK);
    assert_int_equal(s.token_ms, 900000);
    assert_int_equal(xt_settings_set(&s, "limits", "header_timeout", "250ms", &failure), XT_OK);
    assert_int_equal(s.header_ms, 250);
    assert_int_equal(xt_settings_set(&s, "limits", "header_timeout", "5m", &failure), XT_OK);
    assert_int_equal(s.header_ms, 300000);
    assert_int_equal(xt_settings_set(&s, "limits", "connection_time", "24h", &failure), XT_OK);
    assert_int_equal(s.connection_ms, 86400000);
    assert_int_equal(xt_settings_set(&s, "limits", "header_bytes", "1024", &failure), XT_OK);
    assert_int_equal(s.header_bytes, 1024);
    assert_int_equal(xt_settings_set(&s, "limits", "header_bytes", "65536", &failure), XT_OK);
}

static void others_are_refused_with_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *section, *key, *value;
        enum xt_status status;
        const char *failure;
    } CASES[] = {
#define ADDRESS_RULE                                                                               \
    "[server] listen must be an IPv4 address and a port (127.0.0.1:8443) or an IPv6 one "          \
    "([::1]:8443)"
        {"server", "listen", "", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "8443", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "localhost:8443", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "127.0.0.1:65536", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "127.0.0.1:", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "127.0.0.1:08", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "::1:8443", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "[127.0.0.1]:8443", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", "[::1:8443", XT_INVALID, ADDRESS_RULE},
        {"server", "listen", ":8443", XT_INVALID, ADDRESS_RULE},
#define ISSUER_RULE                                                                                \
    "[tokens] issuer must be https://name, without ?, # or a / at its end, of at most 128 "        \
    "characters; or auto"
        {"tokens", "issuer", "", XT_INVALID, ISSUER_RULE},
        {"tokens", "issuer", "http://id.example.vn", XT_INVALID, ISSUER_RULE},
        {"tokens", "issuer", "https://id.example.vn/", XT_INVALID, ISSUER_RULE},
        {"tokens", "issuer", "https://id.example.vn?a", XT_INVALID, ISSUER_RULE},
        {"tokens", "issuer", "https://id.example\".vn", XT_INVALID, ISSUER_RULE},
        {"tokens", "lifetime", "901s", XT_INVALID,
         "[tokens] lifetime must be a whole number with its unit (ms, s, m or h) from 1m to 15m"},
        {"server", "tls_min_version", "1.1", XT_INVALID,
         "[server] tls_min_version must be 1.3 or 1.2"},
#define FILE_RULE "[server] revocations must be a file below this folder, or empty"
        {"server", "revocations", "/etc/passwd", XT_INVALID, FILE_RULE},
        {"server", "revocations", "../ca.crl", XT_INVALID, FILE_RULE},
        {"server", "revocations", "lists/../../ca.crl", XT_INVALID, FILE_RULE},
        {"server", "revocations", "lists//ca.crl", XT_INVALID, FILE_RULE},
        {"server", "revocations", "lists/", XT_INVALID, FILE_RULE},
        {"server", "revocations", ".", XT_INVALID, FILE_RULE},
        {"server", "allow_older_generation", "true", XT_INVALID,
         "[server] allow_older_generation must be yes or no"},
        {"server", "workers", "129", XT_INVALID,
         "[server] workers must be a whole number from 0 to 128"},
        {"limits", "header_bytes", "1023", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
        {"limits", "header_bytes", "65537", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
        {"limits", "header_bytes", "8k", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
        {"limits", "header_bytes", "-8192", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
        {"limits", "header_bytes", "08192", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
        {"limits", "header_bytes", "99999999999999999999", XT_INVALID,
         "[limits] header_bytes must be a whole number from 1024 to 65536"},
#define TIME_RULE                                                                                  \
    "[limits] header_timeout must be a whole number with its unit (ms, s, m or h) from 100ms to "  \
    "5m"
        {"limits", "header_timeout", "10", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "10 s", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "10S", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "1.5s", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "99ms", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "301s", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "9999999999h", XT_INVALID, TIME_RULE},
        {"limits", "header_timeout", "s", XT_INVALID, TIME_RULE},
        {"limits", "listen", "127.0.0.1:1", XT_NOT_FOUND,
         "[limits] listen is not a setting; `xacthuc init` writes a file with all of them"},
        {"server", "Listen", "127.0.0.1:1", XT_NOT_FOUND,
         "[server] Listen is not a setting; `xacthuc init` writes a file with all of them"},
        {"", "", "", XT_NOT_FOUND,
         "[]  is not a setting; `xacthuc init` writes a file with all of them"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_settings settings;
        struct xt_settings before;
        struct xt_failure failure = {""};
        xt_settings_defaults(&settings);
        before = settings;
        enum xt_status status =
            xt_settings_set(&settings, CASES[i].section, CASES[i].key, CASES[i].value, &failure);
        if (status != CASES[i].status || strcmp(failure.text, CASES[i].failure) != 0) {
            fail_msg("%s = %s: %s", CASES[i].key, CASES[i].value, failure.text);
        }
        assert_memory_equal(&settings, &before, sizeof settings);
    }
    struct xt_settings settings;
    struct xt_failure failure;
    char long_text[XT_SETTING_STRING_MAX + 16];
    memset(long_text, '1', sizeof long_text);
    memcpy(long_text + sizeof long_text - 4, ":80", 4);
    xt_settings_defaults(&settings);
    assert_int_equal(xt_settings_set(&settings, "server", "listen", long_text, &failure),
                     XT_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_design),
        cmocka_unit_test(an_answer_step_that_cannot_fit_is_refused),
        cmocka_unit_test(the_written_file_says_every_default_and_its_reason),
        cmocka_unit_test(values_within_bounds_are_taken),
        cmocka_unit_test(others_are_refused_with_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
