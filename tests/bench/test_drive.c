/* xacthuc-bench events, batch and auth against the real server: what they print is read by people and programs, so
 * it is compared as it stands, but for the numbers. */
#include "tests/test.h"

#include "tests/net/deployment.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AUTH_PEOPLE "100"
#define TIMES "{\"p50\":0,\"p90\":0,\"p99\":0,\"p99_9\":0,\"max\":0}"
#define CPU "{\"pid\":0,\"share\":0,\"us_each\":0}"

static struct server the_server;

/* Starts xacthuc-bench with the words of `line`; output and errors go into files. */
static pid_t start_bench(const char *line)
{
    char words[2048];
    char *arguments[64] = {"xacthuc-bench"};
    unsigned count = 1;
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < 63);
        arguments[count++] = word;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out = open(deployment("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int errors = open(deployment("errors"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0) {
            _exit(126);
        }
        (void)execv(bench(), arguments);
        _exit(127);
    }
    return child;
}

static int finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* `command` as a partner; the caller gives the rest. */
static const char *as(const char *partner, const char *command, const char *rest)
{
    static char line[2048];
    char certificate[64], key[64];
    (void)snprintf(certificate, sizeof(certificate), "issued/%s.crt", partner);
    (void)snprintf(key, sizeof(key), "issued/%s.key", partner);
    (void)snprintf(line, sizeof(line), "%s --port %u --cert %s --key %s --ca %s %s", command,
                   the_server.port, deployment(certificate), deployment(key),
                   deployment("DIR/ca.crt"), rest);
    return line;
}

static int drive(const char *partner, const char *command, const char *rest)
{
    int status = finish(start_bench(as(partner, command, rest)));
    if (status != 0) {
        char *said = read_text(deployment("out")), *errors = read_text(deployment("errors"));
        print_message("%d: %s%s", status, errors, said);
        free(said);
        free(errors);
    }
    return status;
}

/* Every number becomes 0. */
static void blank_numbers(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0';) {
        if (!isdigit((unsigned char)*at) && !(*at == '-' && isdigit((unsigned char)at[1]))) {
            *to++ = *at++;
            continue;
        }
        at += *at == '-';
        at += strspn(at, "0123456789");
        if (*at == '.') {
            at += 1 + strspn(at + 1, "0123456789");
        }
        *to++ = '0';
    }
    *to = '\0';
}

static void assert_printed(const char *expected)
{
    char *said = read_text(deployment("out"));
    char *blank = strdup(expected);
    assert_non_null(blank);
    blank_numbers(said);
    blank_numbers(blank);
    assert_string_equal(said, blank);
    free(blank);
    free(said);
}

static void assert_failed(const char *expected)
{
    char *said = read_text(deployment("errors"));
    assert_string_equal(said, expected);
    free(said);
}

/* The number behind "name": in the output, the first of that name. */
static uint64_t printed(const char *name)
{
    char *text = read_text(deployment("out"));
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    char *at = strstr(text, quoted);
    if (at == NULL) {
        fail_msg("no %s in the output: %.200s", name, text);
    }
    uint64_t value = strtoull(at + strlen(quoted), NULL, 10);
    free(text);
    return value;
}

/* ---- events ------------------------------------------------------------------------------------- */

/* The writer takes them once it has the generation that is served. */
static void wait_until_events_are_taken(void)
{
    bool taken = false;
    for (unsigned i = 0; !taken && i < 10; i++) {
        taken =
            drive("reg", "events",
                  "--seed " SEED " --count " PEOPLE " --connections 1 --rate 5 --seconds 1") == 0;
    }
    assert_true(taken);
}

/* How many events the writer has applied, as the server tells. */
static uint64_t applied_by_server(void)
{
    struct test_client *client = connect_plain(the_server.admin_port);
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    const char *at = strstr(response.body, "\nxacthuc_writer_sequence ");
    assert_non_null(at);
    uint64_t sequence = strtoull(strchr(at, ' '), NULL, 10);
    test_response_release(&response);
    test_client_close(client);
    return sequence;
}

#define EVENTS_LINE                                                                                \
    "{\"connections\":0,\"depth\":0,\"rate\":0,\"seconds\":0,\"events\":0,\"refused\":0,"          \
    "\"applied\":0,\"events_per_second\":0,\"us\":" TIMES "}\n"

static void events_in_a_closed_loop_are_all_acknowledged(void **state)
{
    (void)state;
    wait_until_events_are_taken();
    assert_int_equal(drive("reg", "events",
                           "--seed " SEED " --count " PEOPLE " --connections 2 --depth 16 "
                           "--seconds 1"),
                     0);
    assert_printed(EVENTS_LINE);
    assert_failed("");
    assert_int_equal(printed("connections"), 2);
    assert_int_equal(printed("depth"), 16);
    assert_int_equal(printed("refused"), 0);
    assert_true(printed("events") >= 32);
    assert_int_equal(printed("applied"), printed("events"));
}

/* Whether there was time for them or not: what was due is sent as soon as it can be. */
static void events_in_an_open_loop_are_as_many_as_were_due(void **state)
{
    (void)state;
    assert_int_equal(drive("reg", "events",
                           "--seed " SEED " --count " PEOPLE " --connections 3 --rate 200 "
                           "--seconds 1"),
                     0);
    assert_printed(EVENTS_LINE);
    assert_int_equal(printed("rate"), 200);
    assert_true(printed("events") <= 201);
    assert_int_equal(printed("applied"), printed("events"));
}

static void events_that_are_refused_are_told_and_fail(void **state)
{
    (void)state;
    /* Nobody of another population is in the register. */
    assert_int_equal(
        drive("reg", "events", "--seed 8 --count " PEOPLE " --connections 1 --depth 4 --seconds 1"),
        1);
    assert_printed(EVENTS_LINE);
    assert_true(printed("refused") > 0);
    assert_int_equal(printed("applied"), 0);
}

/* ---- lists -------------------------------------------------------------------------------------- */

static void lists_are_answered_rightly_beside_single_requests(void **state)
{
    (void)state;
    char rest[256];
    (void)snprintf(rest, sizeof(rest),
                   "--seed " SEED " --count " PEOPLE " --lines 1000 --total 6000 --connections 2 "
                   "--probe 1000 --server %d",
                   (int)the_server.pid);
    assert_int_equal(drive("demo", "batch", rest), 0);
    assert_printed("{\"connections\":0,\"seconds\":0,\"lines\":0,\"wrong\":0,\"refused\":0,"
                   "\"lines_per_second\":0,\"lines_of_each\":{\"least\":0,\"most\":0},"
                   "\"server_cpu_us_per_line\":0,\"server_kib\":{\"first\":0,\"most\":0,"
                   "\"last\":0},\"client_kib\":{\"first\":0,\"most\":0,\"last\":0},\"probe\":{"
                   "\"requests\":0,\"failed\":0,\"us\":" TIMES ",\"late_us\":" TIMES "}}\n");
    assert_failed("");
    assert_int_equal(printed("lines"), 6000);
    assert_int_equal(printed("least"), 3000);
    assert_int_equal(printed("wrong"), 0);
    assert_int_equal(printed("failed"), 0);
    assert_true(printed("requests") > 0);
}

static void lists_of_two_partners_are_told_apart(void **state)
{
    (void)state;
    char rest[1536];
    (void)snprintf(rest, sizeof(rest),
                   "--seed " SEED " --count " PEOPLE " --lines 1000 --total 2000 --connections 2 "
                   "--cert2 %s --key2 %s",
                   deployment("issued/second.crt"), deployment("issued/second.key"));
    assert_int_equal(drive("demo", "batch", rest), 0);
    assert_printed("{\"connections\":0,\"seconds\":0,\"lines\":0,\"wrong\":0,\"refused\":0,"
                   "\"lines_per_second\":0,\"lines_of_each\":{\"least\":0,\"most\":0},"
                   "\"lines_of_partners\":[0,0],\"client_kib\":{\"first\":0,\"most\":0,"
                   "\"last\":0}}\n");
    assert_int_equal(printed("lines"), 2000);
}

static void lists_end_when_their_time_is_over(void **state)
{
    (void)state;
    assert_int_equal(
        drive("demo", "batch", "--seed " SEED " --count " PEOPLE " --lines 1000 --seconds 1"), 0);
    assert_true(printed("lines") > 0);
}

static void lists_of_other_people_are_answered_wrongly(void **state)
{
    (void)state;
    assert_int_equal(drive("demo", "batch",
                           "--seed 8 --count " PEOPLE " --lines 1000 --total 1000 "
                           "--connections 1"),
                     1);
    char *said = read_text(deployment("errors"));
    assert_non_null(strstr(said, "xacthuc-bench batch: a wrong answer: "));
    free(said);
    assert_true(printed("wrong") > 0);
}

/* ---- people who authenticate -------------------------------------------------------------------- */

#define AUTH_LINE                                                                                  \
    "\"connections\":0,\"rate\":0,\"seconds\":0,\"authenticated\":0,\"failed\":0,"                 \
    "\"refused\":0,\"per_second\":0,\"us\":" TIMES ",\"cpu\":["

#define PAIR(name)                                                                                 \
    "{\"a\":\"wrong\",\"b\":\"" name "\",\"t\":0,\"naive\":0,\"difference_us\":0,"                 \
    "\"would_be_seen_us\":0,\"mean_us\":0}"
#define PAIRS                                                                                      \
    "{\"factor\":\"device_key\",\"attempts\":0,\"pairs\":[" PAIR("unknown") "," PAIR(              \
        "locked") "," PAIR("waiting") "],"

static void refusals_are_compared_in_pairs(void **state)
{
    (void)state;
    int status = drive("portal", "auth", "--count " AUTH_PEOPLE " --timing 100");
    assert_true(status == 0 || status == 1); /* of so few it can look like a difference */
    assert_failed(status == 0 ? "" : "xacthuc-bench auth: time tells them apart\n");
    assert_printed(status == 0 ? PAIRS "\"alike\":true}\n" : PAIRS "\"alike\":false}\n");
}

static void devices_authenticate_in_a_closed_loop(void **state)
{
    (void)state;
    char rest[128];
    (void)snprintf(rest, sizeof(rest),
                   "--count " AUTH_PEOPLE " --connections 4 --seconds 1 --pid %d --pid %d",
                   (int)the_server.pid, (int)getpid());
    assert_int_equal(drive("portal", "auth", rest), 0);
    assert_printed("{\"factor\":\"device_key\"," AUTH_LINE CPU "," CPU "]}\n");
    assert_failed("");
    assert_true(printed("authenticated") > 0);
    assert_int_equal(printed("refused"), 0);
}

static void passcodes_fail_in_an_open_loop(void **state)
{
    (void)state;
    assert_int_equal(drive("portal", "auth",
                           "--count " AUTH_PEOPLE " --factor passcode --connections 8 --rate 20 "
                           "--seconds 1"),
                     0);
    assert_printed("{\"factor\":\"passcode\"," AUTH_LINE "]}\n");
    assert_int_equal(printed("authenticated"), 0);
    assert_true(printed("failed") > 0);
    assert_true(printed("failed") + printed("refused") <= 21);
}

/* ---- when it cannot be ---------------------------------------------------------------------------- */

static void nobody_there_is_said(void **state)
{
    (void)state;
    struct server server = the_server;
    char expected[128];
    the_server.port = 1;
    static const char *const commands[] = {"events", "batch", "auth"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(
            drive("demo", commands[i],
                  i == 2 ? "--count 10"
                         : (i == 1 ? "--seed 7 --count 100 --lines 1000" : "--seed 7 --count 100")),
            1);
        (void)snprintf(expected, sizeof(expected),
                       "xacthuc-bench %s: cannot connect to 127.0.0.1:1\n", commands[i]);
        assert_failed(expected);
    }
    the_server = server;
}

static void wrong_usage_is_said_in_one_line(void **state)
{
    (void)state;
    static const char *const lines[] = {"events --port 1",
                                        "events --port 1 --count 1 --rate 0",
                                        "events --port 1 --count 1 --depth 257",
                                        "batch --port 1 --count 1 --total 3",
                                        "batch --port 0 --count 1",
                                        "auth --count 0",
                                        "auth --count 1 --factor nothing",
                                        "auth --count 1",
                                        "events --nothing",
                                        "batch 1",
                                        "auth --pid 0"};
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char expected[128];
        int word = (int)strcspn(lines[i], " ");
        assert_int_equal(finish(start_bench(lines[i])), 2);
        (void)snprintf(expected, sizeof(expected),
                       "xacthuc-bench %.*s: wrong usage; see xacthuc-bench %.*s --help\n", word,
                       lines[i], word, lines[i]);
        assert_failed(expected);
        assert_printed("");
    }
}

/* The last: the server is gone afterwards. */
static void a_server_that_goes_away_is_said(void **state)
{
    (void)state;
    uint64_t before = applied_by_server();
    pid_t child = start_bench(
        as("reg", "events", "--seed " SEED " --count " PEOPLE " --depth 4 --seconds 30"));
    for (unsigned i = 0; i < 500 && applied_by_server() == before; i++) {
        sleep_ms(10);
    }
    assert_true(applied_by_server() > before);
    (void)server_stop(&the_server);
    assert_int_equal(finish(child), 1);
    assert_failed("xacthuc-bench events: not every event was answered\n");
    assert_printed("");
}

static bool add(const char *name, const char *purpose, const char *claims, const char *rights)
{
    return run(xacthuc(), "partner", "add", deployment("DIR"), name, "--purpose", purpose,
               "--claims", claims, "--right", rights, "--issue", deployment("issued"), NULL) == 0;
}

static bool add_partners(void)
{
    return add("reg", "demo.verify", "full_name", "registry") &&
           add("portal", "portal.login", "full_name", "authenticate") &&
           add("second", "demo.verify",
               "full_name,date_of_birth,sex,phone,card_issued_on,card_expires_on,old_id,province",
               "per_claim");
}

static int set_up(void **state)
{
    char command[1200];
    if (deployment_make(state) != 0) {
        return 1;
    }
    (void)snprintf(command, sizeof(command), "cat %s >>%s", deployment("auth.ndjson"),
                   deployment("people.ndjson"));
    if (run(bench(), "auth", "--people", deployment("auth.ndjson"), "--count", AUTH_PEOPLE, NULL) !=
            0 ||
        run("/bin/sh", "-c", command, NULL) != 0 ||
        run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL) != 0 ||
        !add_partners()) {
        return 1;
    }
    server_start(&the_server, "drain_timeout = 1s\n");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_said_in_one_line),
        cmocka_unit_test(nobody_there_is_said),
        cmocka_unit_test(lists_are_answered_rightly_beside_single_requests),
        cmocka_unit_test(lists_of_two_partners_are_told_apart),
        cmocka_unit_test(lists_end_when_their_time_is_over),
        cmocka_unit_test(lists_of_other_people_are_answered_wrongly),
        cmocka_unit_test(refusals_are_compared_in_pairs),
        cmocka_unit_test(devices_authenticate_in_a_closed_loop),
        cmocka_unit_test(passcodes_fail_in_an_open_loop),
        /* After the lists: those who move have other answers. */
        cmocka_unit_test(events_in_a_closed_loop_are_all_acknowledged),
        cmocka_unit_test(events_in_an_open_loop_are_as_many_as_were_due),
        cmocka_unit_test(events_that_are_refused_are_told_and_fail),
        cmocka_unit_test(a_server_that_goes_away_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, deployment_remove);
}
