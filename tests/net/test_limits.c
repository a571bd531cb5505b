/* What one client may cost: time limits, connections, output that nobody reads. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/net/deployment.h"
#include "tests/test.h"

/* Limits are those of one worker. */
static const char *const one_worker[] = {"--workers", "1", NULL};
static const char get[] = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";

static double time_to_close(struct test_client *client)
{
    double begin = now_s();
    assert_true(test_client_wait_closed(client));
    return now_s() - begin;
}

static void assert_408(struct test_client *client)
{
    struct test_response response;
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, 408);
    assert_non_null(strstr(response.body, "\"code\":\"request_timeout\""));
    assert_non_null(strstr(response.head, "Connection: close"));
    test_response_release(&response);
    assert_true(time_to_close(client) < 1);
}

static void slow_clients_are_timed_out(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "header_timeout = 600ms\nbody_timeout = 600ms\n"
                          "handshake_timeout = 600ms\nidle_timeout = 3s\n");
    double begin = now_s();
    struct test_client *mute = connect_plain(server.port);
    struct test_client *idle = connect_as(&server, "demo");
    struct test_client *header = connect_as(&server, "demo");
    struct test_client *body = connect_as(&server, "demo");
    assert_true(test_client_send_text(body, "POST /v1/verify HTTP/1.1\r\nHost: a\r\n"
                                            "Content-Type: application/json\r\n"
                                            "Content-Length: 100\r\n\r\n{"));
    /* Bytes that trickle in do not extend the limit. */
    const char *trickle =
        "GET /openapi.json HTTP/1.1\r\nHost: a\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t i = 0; i < 8; i++) {
        assert_true(test_client_send(header, trickle + i, 1));
        sleep_ms(50);
    }
    assert_408(header);
    assert_true(now_s() - begin >= 0.6 && now_s() - begin < 2.9);
    assert_408(body);
    assert_true(time_to_close(mute) < 1);
    assert_true(now_s() - begin < 3);
    assert_true(time_to_close(idle) < 5);
    assert_true(now_s() - begin >= 3);
    test_client_close(mute);
    test_client_close(idle);
    test_client_close(header);
    test_client_close(body);
    assert_int_equal(server_stop(&server), 0);
}

static void idle_time_starts_anew_with_each_answer(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    server_start(&server, "idle_timeout = 1s\n");
    struct test_client *client = connect_as(&server, "demo");
    for (int i = 0; i < 4; i++) {
        assert_true(test_client_request(client, "GET", "/nothing", NULL, NULL, &response));
        assert_int_equal(response.status, 404);
        test_response_release(&response);
        sleep_ms(500);
    }
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    enum { LIMIT = 8 };
    struct server server;
    struct test_client *clients[LIMIT + 2];
    struct test_response response;
    server_start_with(&server, "connections = 8\n", one_worker);
    for (int i = 0; i < LIMIT + 2; i++) {
        clients[i] = connect_as(&server, "demo");
        assert_true(test_client_request(clients[i], "GET", "/nothing", NULL, NULL, &response));
        test_response_release(&response);
    }
    assert_true(test_client_wait_closed(clients[0]));
    assert_true(test_client_wait_closed(clients[1]));
    for (int i = 2; i < LIMIT + 2; i++) {
        assert_true(test_client_request(clients[i], "GET", "/nothing", NULL, NULL, &response));
        test_response_release(&response);
    }
    for (int i = 0; i < LIMIT + 2; i++) {
        test_client_close(clients[i]);
    }
    assert_int_equal(server_stop(&server), 0);
}

/* Nobody without a certificate may throw out those who have one, whatever he sends. */
static void strangers_make_room_before_partners(void **state)
{
    (void)state;
    enum { PARTNERS = 4, STRANGERS = 40 };
    const char *const sent[] = {NULL, "GET / HTTP/1.1\r\n\r\n"};
    for (unsigned way = 0; way < 2; way++) {
        struct server server;
        struct test_client *partners[PARTNERS], *strangers[STRANGERS];
        struct test_response response;
        server_start_with(&server, "connections = 16\n", one_worker);
        for (unsigned i = 0; i < PARTNERS; i++) {
            partners[i] = connect_as(&server, "demo");
            assert_true(test_client_request(partners[i], "GET", "/nothing", NULL, NULL, &response));
            test_response_release(&response);
        }
        for (unsigned i = 0; i < STRANGERS; i++) {
            strangers[i] = connect_plain(server.port);
            if (sent[way] != NULL) {
                assert_true(test_client_send_text(strangers[i], sent[way]));
            }
        }
        sleep_ms(300);
        for (unsigned i = 0; i < PARTNERS; i++) {
            assert_true(test_client_request(partners[i], "GET", "/nothing", NULL, NULL, &response));
            assert_int_equal(response.status, 404);
            test_response_release(&response);
            test_client_close(partners[i]);
        }
        for (unsigned i = 0; i < STRANGERS; i++) {
            test_client_close(strangers[i]);
        }
        assert_int_equal(server_stop(&server), 0);
    }
}

static void busy_connections_make_newcomers_wait(void **state)
{
    (void)state;
    enum { LIMIT = 4 };
    struct server server;
    struct test_client *clients[LIMIT];
    struct test_response response;
    server_start_with(&server, "connections = 4\n", one_worker);
    for (int i = 0; i < LIMIT; i++) {
        clients[i] = connect_as(&server, "demo");
        assert_true(test_client_send_text(clients[i], "GET /nothing HTTP/1.1\r\n"));
    }
    sleep_ms(200);
    struct test_client *late = connect_plain(server.port); /* in the kernel's queue */
    assert_true(server_log_has("\"event\":\"accept_paused\"", 2000));
    test_client_close(late);
    for (int i = 0; i < LIMIT; i++) {
        assert_true(test_client_send_text(clients[i], "Host: a\r\n\r\n"));
        assert_true(test_client_response(clients[i], false, &response));
        assert_int_equal(response.status, 404);
        test_response_release(&response);
    }
    late = connect_as(&server, "demo"); /* idle ones make room again */
    assert_true(test_client_request(late, "GET", "/nothing", NULL, NULL, &response));
    test_response_release(&response);
    test_client_close(late);
    for (int i = 0; i < LIMIT; i++) {
        test_client_close(clients[i]);
    }
    assert_int_equal(server_stop(&server), 0);
}

/* Sends until the server stops reading; how many whole requests went out. Plain connections only: the
 * socket is written to directly. */
static unsigned stuff(struct test_client *client, const char *text, unsigned most)
{
    size_t size = strlen(text), pending = 0;
    unsigned sent = 0;
    int fd = test_client_socket(client);
    for (int quiet = 0; sent < most && quiet < 20;) {
        ssize_t got = send(fd, text + pending, size - pending, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got < 0) {
            quiet++;
            sleep_ms(10);
            continue;
        }
        quiet = 0;
        pending += (size_t)got;
        if (pending == size) {
            pending = 0;
            sent++;
        }
    }
    return sent;
}

static void client_that_does_not_read_is_not_read_from(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "write_stall_timeout = 1s\n");
    struct test_client *client = connect_plain(server.admin_port);
    unsigned sent = stuff(client, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", 10000000);
    assert_true(sent > 100);      /* far more than one turn of the loop */
    assert_true(sent < 10000000); /* and it stopped */
    sleep_ms(1600); /* cut off by now: what is left to read ends without an answer to the last */
    unsigned answered = 0;
    for (struct test_response response; test_client_response(client, false, &response);
         answered++) {
        test_response_release(&response);
    }
    assert_true(answered < sent);
    test_client_close(client);

    /* Whoever reads late, but in time, gets everything. */
    client = connect_plain(server.admin_port);
    sent = stuff(client, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 20000);
    for (unsigned i = 0; i < sent; i++) {
        struct test_response response;
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, "{\"status\":\"ok\"}\n");
        test_response_release(&response);
    }
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

/* Over TLS: more requests in one go than the output, the sockets and a read can hold. */
static void flood_over_tls_is_answered_in_order(void **state)
{
    (void)state;
    enum { COUNT = 40000, EVERY = 50 };
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    char *all = malloc(COUNT * sizeof(get));
    assert_non_null(all);
    size_t size = 0;
    for (unsigned i = 0; i < COUNT; i++) { /* two kinds of answer, so that order shows */
        size += (size_t)sprintf(all + size, "%s",
                                i % EVERY == 0 ? get : "GET /no HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_true(test_client_send(client, all, size));
    sleep_ms(300); /* the server's output is full by now; others use the loop's buffers */
    static char body[60001];
    memset(body, 'a', sizeof(body) - 1);
    struct test_client *other = connect_as(&server, "demo");
    for (unsigned i = 0; i < 10; i++) {
        struct test_response response;
        assert_true(test_client_request(other, "POST", "/no", NULL, body, &response));
        assert_int_equal(response.status, 404);
        test_response_release(&response);
    }
    test_client_close(other);
    for (unsigned i = 0; i < COUNT; i++) {
        struct test_response response;
        assert_true(test_client_response(client, false, &response));
        assert_int_equal(response.status, i % EVERY == 0 ? 200 : 404);
        test_response_release(&response);
    }
    free(all);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void refusal_reaches_a_client_that_is_still_sending(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    static char noise[300000];
    memset(noise, 'a', sizeof(noise) - 1);
    assert_true(test_client_send_text(client, "POST /v1/verify HTTP/1.1\r\nHost: a\r\n"
                                              "Content-Length: 300000\r\n\r\n"));
    (void)test_client_send_text(client, noise);
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, 413);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    struct server server;
    struct test_response response;
    server_start(&server, NULL);
    struct test_client *client = connect_as(&server, "demo");
    assert_true(test_client_send_text(client, get));
    test_client_finish(client);
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

static void plain_http_at_the_tls_port_is_refused(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    struct test_client *client = connect_plain(server.port);
    assert_true(test_client_send_text(client, get));
    assert_true(time_to_close(client) < 3);
    test_client_close(client);
    client = connect_as(&server, "demo"); /* and noise inside an open TLS connection */
    assert_true(test_client_send_raw(client, get, sizeof(get) - 1));
    assert_true(time_to_close(client) < 3);
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_clients_are_timed_out),
        cmocka_unit_test(idle_time_starts_anew_with_each_answer),
        cmocka_unit_test(oldest_idle_connection_makes_room),
        cmocka_unit_test(strangers_make_room_before_partners),
        cmocka_unit_test(busy_connections_make_newcomers_wait),
        cmocka_unit_test(client_that_does_not_read_is_not_read_from),
        cmocka_unit_test(flood_over_tls_is_answered_in_order),
        cmocka_unit_test(refusal_reaches_a_client_that_is_still_sending),
        cmocka_unit_test(half_closed_client_gets_its_answer),
        cmocka_unit_test(plain_http_at_the_tls_port_is_refused),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
