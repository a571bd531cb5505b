/* The server's life: partners and generations that change under it, drain, signals, wrong starts. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/net/callers.h"
#include "tests/test.h"

static const char question[] =
    "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}";

static char *partner_file(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s.json", deployment("DIR/partners"), name);
    return path;
}

/* Asks on an open connection until it gets this status; how long that took, in seconds. */
static double time_until(struct test_client *client, int status)
{
    double begin = now_s();
    for (;;) {
        struct test_response response;
        int got = verify(client, question, &response);
        test_response_release(&response);
        if (got == status || now_s() - begin > 5) {
            assert_int_equal(got, status);
            return now_s() - begin;
        }
        sleep_ms(10);
    }
}

static void admin_tells_health_and_readiness(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    server_start(&server, NULL);
    struct test_client *client = connect_plain(server.admin_port);
    assert_true(test_client_request(client, "GET", "/healthz", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "{\"status\":\"ok\"}\n");
    assert_null(strstr(response.head, "Strict-Transport-Security"));
    test_response_release(&response);
    assert_true(test_client_request(client, "GET", "/readyz", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "{\"status\":\"ready\",\"generation\":1,\"people\":" PEOPLE
                                       ",\"partners\":3}\n");
    test_response_release(&response);
    assert_true(test_client_request(client, "POST", "/v1/verify", NULL, question, &response));
    assert_int_equal(response.status, 404);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* The edit that README tells an operator to make, in a partner file whose text is `active`. */
static void write_disabled(const char *name, const char *active)
{
    const char word[] = "\"state\": \"active\"";
    size_t size = strlen(active) + 64;
    char *disabled = malloc(size);
    const char *at = strstr(active, word);
    assert_non_null(disabled);
    assert_non_null(at);
    (void)snprintf(disabled, size, "%.*s\"state\": \"disabled\"%s", (int)(at - active), active,
                   at + strlen(word));
    write_text(partner_file(name), disabled);
    free(disabled);
}

static void changed_partner_takes_effect_on_open_connections(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    char *before = read_text(partner_file("demo"));
    assert_true(time_until(client, 200) < 1);

    write_disabled("demo", before);
    assert_true(time_until(client, 403) < 1);
    assert_int_equal(status_of(&server, "demo", "{"), 403); /* learns nothing of its body */
    write_text(partner_file("demo"), before);
    assert_true(time_until(client, 200) < 1);
    assert_int_equal(unlink(partner_file("demo")), 0);
    assert_true(time_until(client, 401) < 1);
    write_text(partner_file("demo"), before);
    assert_true(time_until(client, 200) < 1);

    free(before);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* inotify stays with the folder it was given: a restored copy under the same name is another one. */
static void a_folder_put_in_place_of_the_old_one_is_followed(void **state)
{
    (void)state;
    struct server server;
    char folder[512], aside[512];
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    char *before = read_text(partner_file("demo"));
    snprintf(folder, sizeof(folder), "%s", deployment("DIR/partners"));
    snprintf(aside, sizeof(aside), "%s", deployment("aside"));
    assert_int_equal(rename(folder, aside), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    write_text(partner_file("demo"), before);
    sleep_ms(1500);
    assert_true(time_until(client, 200) < 0.5);
    write_text(partner_file("demo"), "{\"name\":\"demo\",");
    sleep_ms(300);
    write_disabled("demo", before);
    assert_true(time_until(client, 403) < 1);
    assert_int_equal(unlink(partner_file("demo")), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(rename(aside, folder), 0);
    assert_true(time_until(client, 200) < 2.5);
    free(before);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void bad_partner_file_is_refused_and_the_old_one_stays(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    char *before = read_text(partner_file("demo"));
    write_text(partner_file("demo"), "{\"name\":\"demo\",");
    assert_true(server_log_has("\"event\":\"partner_refused\",\"file\":\"demo.json\"", 3000));
    assert_true(time_until(client, 200) < 0.5);
    write_text(partner_file("demo"), before);
    free(before);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* Gives the count of answers with this status to `count` requests. */
static unsigned count_status(struct test_client *client, unsigned count, int status)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++) {
        struct test_response response;
        char wait[16];
        if (verify(client, question, &response) == status) {
            found++;
            if (status == 429) {
                assert_non_null(test_response_field(&response, "Retry-After", wait, sizeof(wait)));
                assert_true(atoi(wait) >= 1);
            }
        }
        test_response_release(&response);
    }
    return found;
}

static void rate_is_kept_across_reloads(void **state)
{
    (void)state;
    struct server server;
    char *before = read_text(partner_file("demo")), *limited = malloc(strlen(before) + 128);
    assert_non_null(limited);
    char *rights = strstr(before, "\"rights\"");
    assert_non_null(rights);
    sprintf(limited, "%.*s\"rate\":{\"per_second\":1,\"burst\":20},%s", (int)(rights - before),
            before, rights);
    char *old_rate = strstr(strstr(limited, "\"rights\""), "\"rate\"");
    assert_null(old_rate); /* else the file would be a duplicate member */
    write_text(partner_file("demo"), limited);
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    assert_true(count_status(client, 40, 429) >= 18);
    char *narrow = read_text(partner_file("narrow"));
    write_text(partner_file("narrow"), narrow); /* any change loads all again */
    sleep_ms(500);
    assert_true(count_status(client, 20, 429) >= 18);
    free(narrow);
    test_client_close(client);
    write_text(partner_file("demo"), before);
    free(before);
    free(limited);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- generations ------------------------------------------------------------------------------ */

static unsigned ready_generation(const struct server *server)
{
    struct test_client *client = connect_plain(server->admin_port);
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/readyz", NULL, NULL, &response));
    const char *at = strstr(response.body, "\"generation\":");
    unsigned number = at == NULL ? 0 : (unsigned)strtoul(at + 13, NULL, 10);
    test_response_release(&response);
    test_client_close(client);
    return number;
}

static void new_generation_is_served_without_losing_an_answer(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    unsigned first = ready_generation(&server);
    struct callers *callers = callers_start(&server, 2);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(
            run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL), 0);
        double begin = now_s();
        while (ready_generation(&server) != first + i && now_s() - begin < 5) {
            sleep_ms(10);
        }
        assert_true(now_s() - begin < 1.5);
    }
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_true(result.right > 100);
    /* The old ones are closed: only the current file is mapped. */
    pid_t workers[8];
    unsigned count = server_workers(&server, workers, 8);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++) {
        char path[64], current[32];
        snprintf(path, sizeof(path), "/proc/%d/maps", (int)workers[i]);
        char *maps = read_text(path);
        if (maps[0] != '\0') { /* not readable for others than root: it is not dumpable */
            snprintf(current, sizeof(current), "/%06u/", first + 3);
            assert_non_null(strstr(maps, current));
            snprintf(current, sizeof(current), "/%06u/", first);
            assert_null(strstr(maps, current));
        }
        free(maps);
    }
    assert_int_equal(server_stop(&server), 0);
}

static void without_a_generation_it_is_not_ready(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char wait[16];
    char hidden[512], current[512];
    snprintf(current, sizeof(current), "%s", deployment("DIR/identity/current"));
    snprintf(hidden, sizeof(hidden), "%s", deployment("hidden"));
    assert_int_equal(rename(current, hidden), 0);
    server_start(&server, NULL);
    struct test_client *admin = connect_plain(server.admin_port);
    assert_true(test_client_request(admin, "GET", "/readyz", NULL, NULL, &response));
    assert_int_equal(response.status, 503);
    assert_non_null(strstr(response.body, "\"reasons\":[\"no_generation\"]"));
    test_response_release(&response);
    struct test_client *client = connect_as(&server, "demo");
    assert_int_equal(verify(client, question, &response), 503);
    assert_non_null(strstr(response.body, "\"code\":\"not_ready\""));
    assert_non_null(test_response_field(&response, "Retry-After", wait, sizeof(wait)));
    test_response_release(&response);
    assert_int_equal(rename(hidden, current), 0);
    assert_true(time_until(client, 200) < 1.5);
    test_client_close(client);
    test_client_close(admin);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void drain_answers_what_is_under_way_and_ends(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    char field[32], head[256];
    server_start(&server, NULL);
    struct test_client *idle = connect_as(&server, "demo");
    assert_int_equal(verify(idle, question, &response), 200);
    test_response_release(&response);
    struct test_client *next = connect_as(&server, "demo");
    struct test_client *busy = connect_as(&server, "demo");
    snprintf(head, sizeof(head),
             "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(question));
    assert_true(test_client_send_text(busy, head));
    sleep_ms(200);
    struct test_client *admin = connect_plain(server.admin_port);

    assert_int_equal(verify(next, question, &response), 200);
    test_response_release(&response);
    kill(server.pid, SIGTERM);
    sleep_ms(150);
    /* A kept-alive connection's next request may have been on its way. */
    assert_int_equal(verify(next, question, &response), 200);
    assert_string_equal(test_response_field(&response, "Connection", field, sizeof(field)),
                        "close");
    test_response_release(&response);
    assert_true(test_client_wait_closed(next));
    test_client_close(next);
    assert_true(test_client_wait_closed(idle));
    assert_true(test_client_request(admin, "GET", "/readyz", NULL, NULL, &response));
    assert_int_equal(response.status, 503);
    assert_non_null(strstr(response.body, "\"draining\""));
    test_response_release(&response);
    char error[TEST_ERROR_MAX];
    struct test_client_options options = options_as(&server, "demo");
    double asked = now_s(); /* nothing new is taken, and nobody is kept waiting for it */
    assert_null(test_client_open(&options, error));
    assert_true(now_s() - asked < 2);

    assert_true(test_client_send_text(busy, question));
    assert_true(test_client_response(busy, false, &response));
    assert_int_equal(response.status, 200);
    assert_string_equal(test_response_field(&response, "Connection", field, sizeof(field)),
                        "close");
    test_response_release(&response);
    assert_true(test_client_wait_closed(busy));
    test_client_close(busy);
    test_client_close(idle);
    assert_int_equal(server_wait(&server, 5000), 0);
    test_client_close(admin);
}

static void drain_has_an_end(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "drain_timeout = 1s\n");
    struct test_client *client = connect_as(&server, "demo");
    assert_true(test_client_send_text(client, "POST /v1/verify HTTP/1.1\r\n"));
    sleep_ms(100);
    kill(server.pid, SIGINT);
    double begin = now_s();
    assert_int_equal(server_wait(&server, 5000), 0);
    assert_true(now_s() - begin >= 0.9);
    test_client_close(client);
}

static void a_hangup_ends_nothing(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    kill(server.pid, SIGHUP);
    assert_true(server_log_has("\"event\":\"reloaded\"", 2000));
    assert_true(time_until(client, 200) < 1);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void second_signal_ends_at_once(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    assert_true(test_client_send_text(client, "POST /v1/verify HTTP/1.1\r\n"));
    sleep_ms(100);
    kill(server.pid, SIGTERM);
    sleep_ms(200);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server, 2000), 1);
    test_client_close(client);
}

/* ---- wrong starts ----------------------------------------------------------------------------- */

static void wrong_usage_and_bad_configuration_are_told(void **state)
{
    (void)state;
    assert_int_equal(run(xacthuc(), "serve", NULL), 2);
    assert_int_equal(run(xacthuc(), "serve", "--nonsense", deployment("DIR"), NULL), 2);
    assert_int_equal(run(xacthuc(), "serve", "--help", NULL), 0);
    assert_int_equal(run(xacthuc(), "serve", deployment("nothing"), NULL), 1);
    const char *const addresses[] = {"127.0.0.1", "foo", "8443", "localhost:1", "127.0.0.1:99999"};
    for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", addresses[i], NULL),
                         2);
        assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--admin", addresses[i], NULL),
                         2);
    }
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), "--listen", "127.0.0.1:0",
                         "--admin", "0.0.0.0:0", NULL),
                     1);
    char *log = read_text(deployment("commands.log"));
    assert_non_null(strstr(log, "is not loopback"));
    free(log);
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    write_text(deployment("DIR/xacthuc.conf"), "[limits]\nshoe_size = 43\n");
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), NULL), 1);
    write_text(deployment("DIR/xacthuc.conf"), "[limits]\nidle_timeout = 75s\nnonsense\n");
    assert_int_equal(run(xacthuc(), "serve", deployment("DIR"), NULL), 1);
    write_text(deployment("DIR/xacthuc.conf"), conf);
    free(conf);
    log = read_text(deployment("commands.log"));
    assert_non_null(strstr(log, "xacthuc.conf, line 2: "));
    assert_non_null(strstr(log, "xacthuc.conf, line 3: "));
    free(log);
}

/* One that an older program has made has no folder for what the supervisor alone writes. */
static void a_deployment_without_the_supervisors_folder_is_served(void **state)
{
    (void)state;
    struct server server;
    assert_int_equal(run("/bin/rm", "-r", deployment("DIR/supervisor"), NULL), 0);
    server_start(&server, "");
    assert_int_equal(access(deployment("DIR/supervisor"), W_OK), 0);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("\"event\":\"keys_taken_not_told\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admin_tells_health_and_readiness),
        cmocka_unit_test(changed_partner_takes_effect_on_open_connections),
        cmocka_unit_test(a_folder_put_in_place_of_the_old_one_is_followed),
        cmocka_unit_test(bad_partner_file_is_refused_and_the_old_one_stays),
        cmocka_unit_test(rate_is_kept_across_reloads),
        cmocka_unit_test(new_generation_is_served_without_losing_an_answer),
        cmocka_unit_test(without_a_generation_it_is_not_ready),
        cmocka_unit_test(drain_answers_what_is_under_way_and_ends),
        cmocka_unit_test(drain_has_an_end),
        cmocka_unit_test(a_hangup_ends_nothing),
        cmocka_unit_test(second_signal_ends_at_once),
        cmocka_unit_test(wrong_usage_and_bad_configuration_are_told),
        cmocka_unit_test(a_deployment_without_the_supervisors_folder_is_served),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
