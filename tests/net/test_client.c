/* `xacthuc verify` about one person, through the real binary over real TLS. */
#include <stdlib.h>
#include <string.h>

#include "tests/net/verify_client.h"
#include "tests/test.h"

static struct server server;
static char id[16], name[256], born[16];

static int set_up(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    for (unsigned n = 0; id[0] == 0; n++) {
        char *line = person_line(n);
        if (strstr(line, "\"status\":\"alive\"") != NULL) {
            member_of(line, "id", id, sizeof(id));
            member_of(line, "full_name", name, sizeof(name));
            member_of(line, "date_of_birth", born, sizeof(born));
        }
        free(line);
    }
    server_start(&server, NULL);
    return 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

static void a_person_is_asked_about_by_options(void **state)
{
    (void)state;
    struct said said =
        verify_client(&server, "demo", NULL, "--purpose", "demo.verify", "--id", id, "--full-name",
                      name, "--date-of-birth", "1850-01-01", "--txn", "t 1", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "verdict            not_verified\n"));
    assert_non_null(strstr(said.out, "  full_name        match\n"));
    assert_non_null(strstr(said.out, "  date_of_birth    mismatch\n"));
    assert_non_null(strstr(said.out, "t 1"));
    assert_string_equal(said.error, "");
    said_release(&said);
}

static void values_are_read_from_standard_input_in_the_order_of_the_options(void **state)
{
    (void)state;
    char input[512];
    snprintf(input, sizeof(input), "%s\n%s\n%s\n", born, id, name);
    struct said said =
        verify_client(&server, "demo", input, "--date-of-birth", "-", "--id", "-", "--purpose",
                      "demo.verify", "--full-name", "-", "--json", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "\"verdict\":\"verified\""));
    said_release(&said);
    said = verify_client(&server, "demo", "", "--purpose", "demo.verify", "--id", "-",
                         "--full-name", name, NULL);
    assert_int_equal(said.status, 2);
    said_release(&said);
}

static void a_request_is_read_from_standard_input(void **state)
{
    (void)state;
    char input[512];
    snprintf(input, sizeof(input),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"%s\"}}\n", id,
             name);
    struct said said = verify_client(&server, "wide", input, "-", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "verdict            verified\n"));
    said_release(&said);
}

static void a_refusal_fails_and_repeats_nothing_of_the_person(void **state)
{
    (void)state;
    struct said said = verify_client(&server, "demo", NULL, "--purpose", "demo.verify", "--id",
                                     "07907188875", "--full-name", "Hoang 5", NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "400 invalid_request"));
    assert_non_null(strstr(said.error, "/id bad_id"));
    assert_null(strstr(said.error, "0790718"));
    assert_null(strstr(said.error, "Hoang"));
    assert_string_equal(said.out, "");
    said_release(&said);
    said = verify_client(&server, "narrow", NULL, "--purpose", "demo.verify", "--id", id,
                         "--full-name", name, NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "403 purpose_not_permitted"));
    said_release(&said);
    said = verify_client(&server, "demo", NULL, "--idd=079071888754", NULL);
    assert_int_equal(said.status, 2);
    assert_null(strstr(said.error, "079071"));
    said_release(&said);
}

/* A prompt that waits for its second line holds the process while its command line is looked at. */
static void the_command_line_does_not_keep_the_person(void **state)
{
    (void)state;
    char command[2048];
    snprintf(command, sizeof(command),
             "mkfifo '%s'; '%s' verify --server https://127.0.0.1:%u --cert a --key b --ca c "
             "--purpose demo.verify --id %s --full-name - < '%s' 2>/dev/null & pid=$!; "
             "exec 3> '%s'; i=0; while tr '\\0' ' ' < /proc/$pid/cmdline | grep -q %s; do "
             "i=$((i+1)); [ $i -lt 500 ] || exit 1; sleep 0.01; done; "
             "tr '\\0' ' ' < /proc/$pid/cmdline | grep -q -- '--id \\*\\*'; found=$?; exec 3>&-; "
             "wait $pid; "
             "exit $found",
             deployment("fifo"), xacthuc(), server.port, id, deployment("fifo"), deployment("fifo"),
             id);
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
}

static void a_server_of_another_authority_is_not_asked(void **state)
{
    (void)state;
    struct said said;
    char certificate[512], key[512]; /* deployment() gives a path for a while only */
    snprintf(certificate, sizeof(certificate), "%s", deployment("elsewhere/else.crt"));
    snprintf(key, sizeof(key), "%s", deployment("elsewhere/else.key"));
    write_text(deployment("none.txt"), "no certificate\n");
    said = verify_client(&server, "demo", NULL, "--ca", deployment("none.txt"), "--purpose", "p",
                         "--id", id, "--full-name", name, NULL);
    assert_int_equal(said.status, 1);
    said_release(&said);
    assert_int_equal(run(xacthuc(), "init", deployment("OTHER"), NULL), 0);
    assert_int_equal(run(xacthuc(), "partner", "add", deployment("OTHER"), "else", "--purpose",
                         "demo.verify", "--claims", "full_name", "--issue", deployment("elsewhere"),
                         NULL),
                     0);
    said = verify_client(&server, "demo", NULL, "--ca", deployment("elsewhere/ca.crt"), "--purpose",
                         "p", "--id", id, "--full-name", name, NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "unknown_ca"));
    said_release(&said);
    said = verify_client(&server, "demo", NULL, "--cert", certificate, "--key", key, "--purpose",
                         "p", "--id", id, "--full-name", name, NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "alert_unknown_ca"));
    said_release(&said);
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://localhost", "https://",    "https://a:0",
                                       "https://a:x",      "https://a b", "https://[::1",
                                       "https://a:1/path"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct said said = verify_client(&server, "demo", NULL, "--server", urls[i], "--purpose",
                                         "p", "--id", id, "--full-name", "An", NULL);
        assert_int_equal(said.status, 2);
        said_release(&said);
    }
    struct said said = verify_client(&server, "demo", NULL, NULL);
    assert_int_equal(said.status, 2);
    said_release(&said);
    said = verify_client(&server, "demo", NULL, "--id", id, "list.ndjson", NULL);
    assert_int_equal(said.status, 2);
    said_release(&said);
    assert_int_equal(run(xacthuc(), "verify", "--help", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_is_asked_about_by_options),
        cmocka_unit_test(values_are_read_from_standard_input_in_the_order_of_the_options),
        cmocka_unit_test(a_request_is_read_from_standard_input),
        cmocka_unit_test(a_refusal_fails_and_repeats_nothing_of_the_person),
        cmocka_unit_test(the_command_line_does_not_keep_the_person),
        cmocka_unit_test(a_server_of_another_authority_is_not_asked),
        cmocka_unit_test(wrong_usage_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
