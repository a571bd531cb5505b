/* xacthuc-bench load against the real server, against servers that are not there, and against one
 * that lies. */
#include "tests/test.h"

#include "tests/net/deployment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Under sanitizers everything is many times slower; rates that a laptop's core can always do. */
#define PEOPLE_OPTIONS "--seed " SEED " --count " PEOPLE " --requests 2000"

static const char *out_file(void)
{
    return deployment("load.out");
}

/* Starts xacthuc-bench load with the words of `line`; output and errors go into files. */
static pid_t start_load(const char *line)
{
    char words[2048];
    char *arguments[64] = {"xacthuc-bench", "load"};
    unsigned count = 2;
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < 63);
        arguments[count++] = word;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int out = open(out_file(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) {
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

static void assert_said(const char *text)
{
    char *said = read_text(out_file());
    if (strstr(said, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, said);
    }
    free(said);
}

/* As partner demo, with the result in result.json. The caller gives the rest. */
static const char *against(const struct server *server, const char *rest)
{
    static char line[2048];
    (void)snprintf(line, sizeof(line),
                   "--server https://127.0.0.1:%u --cert %s --key %s --ca %s --out %s %s",
                   server->port, deployment("issued/demo.crt"), deployment("issued/demo.key"),
                   deployment("DIR/ca.crt"), deployment("result.json"), rest);
    return line;
}

static int load(const struct server *server, const char *rest)
{
    (void)unlink(deployment("result.json"));
    return finish(start_load(against(server, rest)));
}

/* The number behind "name": in the result, the first of that name. */
static double result(const char *name)
{
    char *text = read_text(deployment("result.json"));
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    char *at = strstr(text, quoted);
    if (at == NULL) {
        fail_msg("no %s in the result: %.200s", name, text);
    }
    double value = strtod(at + strlen(quoted), NULL);
    free(text);
    return value;
}

static bool result_has(const char *part)
{
    char *text = read_text(deployment("result.json"));
    bool has = strstr(text, part) != NULL;
    free(text);
    return has;
}

static struct server the_server;

static void every_answer_of_the_server_is_right(void **state)
{
    (void)state;
    static const char *const rests[] = {
        PEOPLE_OPTIONS " --warmup 100ms --duration 1s --rate 300 --ramp 200ms --threads 2",
        PEOPLE_OPTIONS " --warmup 0s --duration 500ms --connections 8 --pipeline 4",
        PEOPLE_OPTIONS " --warmup 0s --duration 500ms --connections 4 --handshake per-request",
        PEOPLE_OPTIONS " --warmup 0s --duration 500ms --connections 2 --handshake resume",
    };
    for (unsigned i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        if (load(&the_server, rests[i]) != 0) {
            assert_said("errors       none");
            fail_msg("%s", rests[i]);
        }
        assert_said("errors       none");
        assert_true(result("right") > 20);
        assert_int_equal((int)result("errors"), 0);
        assert_true(result_has("\"format\":\"xacthuc-load/1\""));
        assert_true(result_has("\"interrupted\":false"));
        if (i == 0) { /* one request may fall on either side of an edge */
            assert_true(result("right") >= 299 && result("right") <= 301);
        }
        if (i == 3) {
            assert_true(result("resumed") >= result("right") / 2);
        }
    }
}

static void a_scenario_mixes_verify_and_get(void **state)
{
    (void)state;
    char rest[512];
    write_text(deployment("mix.ini"), "# three to one\n[verify]\nweight = 3\nmix = right=1\n\n"
                                      "[get]\npath = /openapi.json\n"
                                      "[get]\npath = /nothing/here\nstatus = 404\n");
    (void)snprintf(rest, sizeof(rest), "%s --scenario %s --warmup 0s --duration 500ms --rate 200",
                   PEOPLE_OPTIONS, deployment("mix.ini"));
    assert_int_equal(load(&the_server, rest), 0);
    write_text(deployment("mix.ini"), "[verify]\nweight = 3\n[get]\npath = /nothing/here\n");
    assert_int_equal(load(&the_server, rest), 1);
    assert_said("status 404, expected 200");
    assert_true(result("status") > 0);
    write_text(deployment("mix.ini"), "[verify]\nheight = 3\n");
    assert_int_equal(load(&the_server, rest), 2);
    assert_said("mix.ini:2: [verify] has weight and mix");
}

static void other_people_than_the_server_has_are_wrong_answers(void **state)
{
    (void)state;
    assert_int_equal(
        load(&the_server,
             "--seed 99 --count " PEOPLE
             " --requests 2000 --warmup 0s --duration 300ms --rate 200 --connections 1"),
        1);
    assert_said("not_verified, expected verified");
    assert_true(result("verdict") > 0);
    assert_int_equal((int)(result("right") + result("verdict")), 60);
}

static void signed_answers_are_verified_and_others_are_wrong(void **state)
{
    (void)state;
    char rest[512];
    struct test_client *client = connect_as(&the_server, "demo");
    struct test_response response;
    assert_true(
        test_client_request(client, "GET", "/.well-known/jwks.json", NULL, NULL, &response));
    write_text(deployment("jwks.json"), response.body);
    (void)snprintf(rest, sizeof(rest),
                   "%s --signed %s --warmup 0s --duration 500ms --connections 2", PEOPLE_OPTIONS,
                   deployment("jwks.json"));
    assert_int_equal(load(&the_server, rest), 0);
    assert_true(result_has("\"signed\":true"));
    assert_true(result("signatures_verified") > 1);
    char *key = strstr(response.body, "\"kid\":\"") + 7; /* the one that signs comes first */
    key[0] = key[0] == 'A' ? 'B' : 'A';
    write_text(deployment("jwks.json"), response.body);
    assert_int_equal(load(&the_server, rest), 1);
    assert_said("of a key that was not published");
    test_response_release(&response);
    assert_true(
        test_client_request(client, "GET", "/.well-known/jwks.json", NULL, NULL, &response));
    memcpy(strstr(response.body, "\"x\":\"") + 5, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
           43);
    write_text(deployment("jwks.json"), response.body);
    assert_int_equal(load(&the_server, rest), 1);
    assert_said("the signature does not verify");
    test_response_release(&response);
    test_client_close(client);
    write_text(deployment("jwks.json"), "{\"keys\":[]}");
    assert_int_equal(load(&the_server, rest), 2);
    assert_said("jwks.json has no Ed25519 key");
}

static void a_result_shows_the_servers_cpu(void **state)
{
    (void)state;
    char rest[256];
    (void)snprintf(rest, sizeof(rest),
                   "%s --warmup 0s --duration 1s --connections 8 --server-pid %d", PEOPLE_OPTIONS,
                   (int)the_server.pid);
    assert_int_equal(load(&the_server, rest), 0);
    double cpu = result("cpu_us_per_request");
    assert_true(cpu > 1 && cpu < 1000000);
    assert_true(result("resident_bytes") > 1e6);
}

static void the_knee_is_between_what_held_and_what_did_not(void **state)
{
    (void)state;
    assert_int_equal(load(&the_server, PEOPLE_OPTIONS
                          " --find-knee --rate 100 --slo 60s --warmup 0s --duration 200ms"
                          " --connections 4 --timeout 5s --queue 10 --quiet"),
                     0);
    assert_said("knee");
    assert_true(result_has("\"kept\":true") && result_has("\"kept\":false"));
    assert_true(result_has("\"slo_p99_us\":60000000"));
}

static void nobody_there_and_nobody_trusted_is_said_before_the_run(void **state)
{
    (void)state;
    char line[1024];
    (void)snprintf(line, sizeof(line), "--server https://127.0.0.1:1 --ca %s " PEOPLE_OPTIONS,
                   deployment("DIR/ca.crt"));
    assert_int_equal(finish(start_load(line)), 1);
    assert_said("connect: Connection refused; is the server running?");
    (void)snprintf(line, sizeof(line), "--server https://127.0.0.1:%u --ca %s " PEOPLE_OPTIONS,
                   the_server.port, deployment("DIR/ca.crt"));
    assert_int_equal(finish(start_load(line)), 1); /* no certificate */
    assert_said("handshake: alert_certificate_required");
    assert_int_equal(run(xacthuc(), "init", deployment("OTHER"), NULL), 0);
    (void)snprintf(line, sizeof(line), "--server https://127.0.0.1:%u --ca %s " PEOPLE_OPTIONS,
                   the_server.port, deployment("OTHER/ca.crt"));
    assert_int_equal(finish(start_load(line)), 1); /* another authority */
    assert_said("handshake: ");
    assert_said("look at --cert, --key and --ca");
}

static void signal_workers(int number)
{
    pid_t pids[64];
    unsigned count = server_workers(&the_server, pids, 64);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(kill(pids[i], number), 0);
    }
}

/* 4 s with a pause of 1 s in the middle; gives the run's exit status. */
static int load_with_pause(const char *rest)
{
    (void)unlink(deployment("result.json"));
    pid_t child = start_load(against(&the_server, rest));
    sleep_ms(2000);
    signal_workers(SIGSTOP);
    sleep_ms(1000);
    signal_workers(SIGCONT);
    return finish(child);
}

static void an_open_loop_shows_a_pause_and_a_closed_loop_hides_it(void **state)
{
    (void)state;
    assert_int_equal(load_with_pause(PEOPLE_OPTIONS " --rate 200 --warmup 200ms --duration 4s"), 0);
    assert_true(result("p99.9") > 900000 && result("p99.9") < 3000000);
    assert_true(result("p90") > 300000); /* a quarter of the callers felt it */
    assert_int_equal(
        load_with_pause(PEOPLE_OPTIONS " --connections 1 --warmup 200ms --duration 4s"), 0);
    assert_true(result("p99.9") < 300000);
    assert_said("HIDES PAUSES");
}

static void an_interrupted_run_tells_what_it_has(void **state)
{
    (void)state;
    (void)unlink(deployment("result.json"));
    pid_t child =
        start_load(against(&the_server, PEOPLE_OPTIONS " --rate 100 --warmup 0s --duration 60s"));
    sleep_ms(1500);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(finish(child), 0);
    assert_true(result_has("\"interrupted\":true"));
    assert_true(result("right") > 20 && result("right") < 1000);
    assert_said("interrupted");
}

static void connections_that_the_server_ends_are_made_again(void **state)
{
    (void)state;
    (void)server_stop(&the_server);
    server_start(&the_server, "connection_requests = 10\n");
    assert_int_equal(load(&the_server, PEOPLE_OPTIONS
                          " --warmup 0s --duration 500ms --connections 4 --rate 400"),
                     0);
    assert_true(result("right") >= 199);
    assert_true(result("resumed") == 0);
    assert_true(result_has("\"closed\":0,"));
    (void)server_stop(&the_server);
    server_start(&the_server, NULL);
}

static void a_server_that_stops_is_counted_by_kind(void **state)
{
    (void)state;
    (void)unlink(deployment("result.json"));
    pid_t child = start_load(against(&the_server, PEOPLE_OPTIONS
                                     " --rate 200 --warmup 0s --duration 2500ms --connections 4"));
    sleep_ms(1200);
    (void)server_stop(&the_server);
    assert_int_equal(finish(child), 1);
    assert_true(result("right") > 20);
    assert_true(result("connect") > 0);
    assert_true(result("unfinished") > 0);
    server_start(&the_server, NULL);
}

/* ---- a server that lies ---- */

struct liar {
    int socket;
    unsigned port;
    const char *answer; /* NULL: close */
    pthread_t thread;
};

static void *lie(void *argument)
{
    struct liar *liar = argument;
    char request[8192];
    for (;;) {
        int caller = accept(liar->socket, NULL, NULL);
        if (caller < 0) {
            return NULL;
        }
        while (recv(caller, request, sizeof(request), 0) > 0 && liar->answer != NULL &&
               send(caller, liar->answer, strlen(liar->answer), MSG_NOSIGNAL) > 0) {
        }
        (void)close(caller);
    }
}

static void start_liar(struct liar *liar, const char *answer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    liar->answer = answer;
    liar->socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(liar->socket, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(liar->socket, 16), 0);
    assert_int_equal(getsockname(liar->socket, (struct sockaddr *)&address, &size), 0);
    liar->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&liar->thread, NULL, lie, liar), 0);
}

static void stop_liar(struct liar *liar)
{
    (void)shutdown(liar->socket, SHUT_RDWR);
    (void)pthread_join(liar->thread, NULL);
    (void)close(liar->socket);
}

static void a_server_that_lies_is_found_out(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *kind;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n"
         "{\"txn\":\"gen-7-0\",\"verdict\":\"not_verified\"}",
         "malformed"}, /* one byte too many */
        {"HTTP/1.1 200 OK\r\nContent-Length: 66\r\n\r\n"
         "{\"txn\":\"gen-7-0\",\"verdict\":\"verified\",\"claims\":{\"tax\":\"mismatch\"}}",
         "verdict"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "malformed"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", "malformed"},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", "status"},
        {"hello\r\n\r\n", "malformed"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct liar liar;
        char line[1024];
        start_liar(&liar, cases[i].answer);
        (void)unlink(deployment("result.json"));
        (void)snprintf(line, sizeof(line),
                       "--server http://127.0.0.1:%u --connections 1 --warmup 0s --duration 200ms"
                       " --rate 100 --timeout 300ms --out %s " PEOPLE_OPTIONS,
                       liar.port, deployment("result.json"));
        int status = finish(start_load(line));
        stop_liar(&liar);
        assert_int_equal(status, 1);
        if (result(cases[i].kind) < 1) {
            assert_said(cases[i].kind);
            fail_msg("%s not found out", cases[i].answer);
        }
        assert_int_equal((int)result("right"), 0);
    }
}

static void a_server_that_does_not_answer_is_said_before_the_run(void **state)
{
    (void)state;
    struct liar liar;
    char line[256];
    start_liar(&liar, NULL);
    (void)snprintf(line, sizeof(line), "--server http://127.0.0.1:%u " PEOPLE_OPTIONS, liar.port);
    assert_int_equal(finish(start_load(line)), 1);
    assert_said("closed: ");
    stop_liar(&liar);
}

static void wrong_usage_is_said_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "needs --server"},
        {"--server ftp://x", "--server takes"},
        {"--server http://x:0 --path /", "--server takes"},
        {"--server https://x --path /", "needs --ca"},
        {"--server http://x --ca y --path /", "need https://"},
        {"--server https://x --ca y --cert z --path /", "--cert and --key"},
        {"--server http://x", "needs --seed and --count"},
        {"--server http://x --seed 1", "--seed and --count go together"},
        {"--server http://x --seed 1 --count 0", "--count takes"},
        {"--server http://x --path / --rate 0", "--rate takes"},
        {"--server http://x --path / --connections 20001", "--connections takes"},
        {"--server http://x --path / --connections 1 --threads 2", "--threads may not"},
        {"--server http://x --path / --pipeline 65", "--pipeline takes"},
        {"--server http://x --path / --duration 10", "--duration takes"},
        {"--server http://x --path / --duration 1ms", "--duration takes"},
        {"--server http://x --path / --timeout 2m", "--timeout takes"},
        {"--server http://x --path / --slo 1ms", "--slo needs --find-knee"},
        {"--server http://x --path / --handshake none", "--handshake takes"},
        {"--server http://x --path / --handshake per-request --pipeline 2", "--pipeline needs"},
        {"--server http://x --path x", "--path takes"},
        {"--server http://x --path / --seed 1 --count 5", "--path stands alone"},
        {"--server http://x --seed 1 --count 5 --mix left=1", "--mix takes"},
        {"--server http://x --seed 1 --count 5 --claims tax", "need --full"},
        {"--server http://x --path / --out f --hdr f", "two files"},
        {"--server http://x --path / --colour", "does not know --colour"},
        {"--server http://x --path / more", "takes no 'more'"},
        {"--server", "--server needs a value"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(finish(start_load(cases[i].line)), 2);
        assert_said(cases[i].says);
        assert_said("see xacthuc-bench load --help\n");
    }
    assert_int_equal(finish(start_load("--help")), 0);
    assert_said("HIDE PAUSES");
    assert_int_equal(finish(start_load("--server http://127.0.0.1:1 --path / --out /nowhere/x")),
                     1);
    assert_said("/nowhere/x");
}

static int set_up(void **state)
{
    int failed = deployment_make(state);
    if (failed == 0) {
        server_start(&the_server, NULL);
    }
    return failed;
}

static int tear_down(void **state)
{
    (void)server_stop(&the_server);
    return deployment_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_said_in_one_line),
        cmocka_unit_test(every_answer_of_the_server_is_right),
        cmocka_unit_test(a_scenario_mixes_verify_and_get),
        cmocka_unit_test(other_people_than_the_server_has_are_wrong_answers),
        cmocka_unit_test(signed_answers_are_verified_and_others_are_wrong),
        cmocka_unit_test(a_result_shows_the_servers_cpu),
        cmocka_unit_test(the_knee_is_between_what_held_and_what_did_not),
        cmocka_unit_test(nobody_there_and_nobody_trusted_is_said_before_the_run),
        cmocka_unit_test(an_open_loop_shows_a_pause_and_a_closed_loop_hides_it),
        cmocka_unit_test(an_interrupted_run_tells_what_it_has),
        cmocka_unit_test(connections_that_the_server_ends_are_made_again),
        cmocka_unit_test(a_server_that_stops_is_counted_by_kind),
        cmocka_unit_test(a_server_that_lies_is_found_out),
        cmocka_unit_test(a_server_that_does_not_answer_is_said_before_the_run),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
