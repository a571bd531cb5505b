/* Each limit alone, over real sockets: what is over it has its own status, or its own end; what is at it
 * is fine. All other limits are far away, so that nothing else can be the cause. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/net/rig.h"
#include "tests/net/site_server.h"
#include "tests/test.h"

#define SOON 300 /* ms: the one limit of time that a test is about */

static struct xt_settings far_away;

static int set_up(void **state)
{
    xt_settings_defaults(&far_away);
    far_away.header_ms = far_away.body_ms = far_away.handshake_ms = far_away.idle_ms = 60000;
    far_away.write_stall_ms = far_away.write_ms = 60000;
    return deployment_make(state);
}

static char *filled(const char *before, char c, size_t count, const char *after)
{
    char *text = malloc(strlen(before) + count + strlen(after) + 1);
    assert_non_null(text);
    strcpy(text, before);
    memset(text + strlen(before), c, count);
    strcpy(text + strlen(before) + count, after);
    return text;
}

/* Sends on a connection of its own and gives the status; the answer closes when it is a refusal. */
static int status_for(const struct site_server *server, char *text)
{
    struct test_response response;
    struct test_client *client = connect_as(&server->at, "demo");
    assert_true(test_client_send_text(client, text));
    free(text);
    if (!test_client_response(client, false, &response)) {
        fail_msg("no answer: %s", test_client_error(client));
    }
    int status = response.status;
    assert_true(status == 200 || strstr(response.head, "\r\nConnection: close\r\n") != NULL);
    test_response_release(&response);
    test_client_close(client);
    return status;
}

static void sizes_have_their_statuses(void **state)
{
    (void)state;
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ", end[] = "\r\n\r\n";
    static const char post[] = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    struct site_server server;
    struct xt_settings settings = far_away;
    settings.header_bytes = 1024;
    settings.header_fields = 8;
    settings.body_bytes = 2000;
    site_server_start(&server, &settings, true);
    size_t room = 1024 - (sizeof(head) - 1) - (sizeof(end) - 1);
    assert_int_equal(status_for(&server, filled(head, 'a', room, end)), 200);
    assert_int_equal(status_for(&server, filled(head, 'a', room + 1, end)), 431);
    assert_int_equal(status_for(&server, filled("GET /", 'a', 1020, " HTTP/1.1\r\n")), 414);
    const char *eight =
        "GET / HTTP/1.1\r\nHost: a\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\na: b\r\n";
    assert_int_equal(status_for(&server, filled(eight, 'a', 1, ": b\r\n\r\n")), 200);
    assert_int_equal(status_for(&server, filled(eight, 'a', 1, ": b\r\na: b\r\n\r\n")), 431);
    char text[128];
    snprintf(text, sizeof(text), "%sContent-Length: 2000\r\n\r\n", post);
    assert_int_equal(status_for(&server, filled(text, 'a', 2000, "")), 200);
    snprintf(text, sizeof(text), "%sContent-Length: 2001\r\n\r\n", post);
    assert_int_equal(status_for(&server, filled(text, 'a', 2001, "")), 413);
    snprintf(text, sizeof(text), "%sTransfer-Encoding: chunked\r\n\r\n7d0\r\n", post);
    assert_int_equal(status_for(&server, filled(text, 'a', 2000, "\r\n0\r\n\r\n")), 200);
    assert_int_equal(status_for(&server, filled(text, 'a', 2000, "\r\n1\r\na\r\n")), 413);
    site_server_stop(&server);
}

static void expect_408(const struct xt_settings *settings, const char *sent)
{
    struct site_server server;
    struct test_response response;
    site_server_start(&server, settings, true);
    struct test_client *client = connect_as(&server.at, "demo");
    assert_true(test_client_send_text(client, sent));
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, 408);
    assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
    test_response_release(&response);
    assert_true(test_client_wait_closed(client));
    test_client_close(client);
    site_server_stop(&server);
}

static void slow_head_is_408(void **state)
{
    (void)state;
    struct xt_settings settings = far_away;
    settings.header_ms = SOON;
    expect_408(&settings, "GET / HTTP/1.1\r\nHost:");
    expect_408(&settings, "G");
}

static void slow_body_is_408(void **state)
{
    (void)state;
    struct xt_settings settings = far_away;
    settings.body_ms = SOON;
    expect_408(&settings, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx");
    expect_408(&settings, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void expect_end(const struct xt_settings *settings, bool tls)
{
    struct site_server server;
    site_server_start(&server, settings, true);
    struct test_client *client =
        tls ? connect_as(&server.at, "demo") : connect_plain(server.at.port);
    assert_true(test_client_wait_closed(client));
    test_client_close(client);
    site_server_stop(&server);
}

static void slow_handshake_is_ended(void **state)
{
    (void)state;
    struct xt_settings settings = far_away;
    settings.handshake_ms = SOON;
    expect_end(&settings, false);
}

static void idle_connection_is_ended(void **state)
{
    (void)state;
    struct xt_settings settings = far_away;
    settings.idle_ms = SOON;
    expect_end(&settings, true);
}

static void last_request_of_a_connection_says_so(void **state)
{
    (void)state;
    struct site_server server;
    struct test_response response;
    struct xt_settings settings = far_away;
    settings.connection_requests = 3;
    site_server_start(&server, &settings, true);
    struct test_client *client = connect_as(&server.at, "demo");
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(test_client_request(client, "GET", "/", NULL, NULL, &response));
        assert_int_equal(response.status, 200);
        assert_int_equal(strstr(response.head, "\r\nConnection: close\r\n") != NULL, i == 3);
        test_response_release(&response);
    }
    assert_true(test_client_wait_closed(client));
    test_client_close(client);
    site_server_stop(&server);
}

static void old_connection_ends_with_an_answer(void **state)
{
    (void)state;
    struct site_server server;
    struct test_response response;
    struct xt_settings settings = far_away;
    settings.connection_ms = SOON;
    site_server_start(&server, &settings, true);
    struct test_client *client = connect_as(&server.at, "demo");
    sleep_ms(2 * SOON);
    assert_true(test_client_request(client, "GET", "/", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
    test_response_release(&response);
    assert_true(test_client_wait_closed(client));
    test_client_close(client);
    site_server_stop(&server);
}

/* Asks for far more than both kernels keep. */
static void ask_for_much(struct test_client *client, unsigned requests)
{
    static const char get[] = "GET /document HTTP/1.1\r\nHost: a\r\n\r\n";
    char *many = malloc(requests * sizeof(get));
    assert_non_null(many);
    many[0] = '\0';
    for (unsigned i = 0; i < requests; i++) {
        memcpy(many + i * (sizeof(get) - 1), get, sizeof(get));
    }
    assert_true(test_client_send_text(client, many));
    free(many);
}

static void assert_cut_off(struct test_client *client, size_t per_read, unsigned every_ms)
{
    static uint8_t bytes[65536];
    double begin = now_s();
    while (now_s() - begin < 20) { /* less than the limits that are far away */
        ssize_t got = recv(test_client_socket(client), bytes, per_read, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            return;
        }
        sleep_ms(every_ms);
    }
    fail_msg("the connection is still there");
}

static void client_that_takes_nothing_is_cut_off(void **state)
{
    (void)state;
    struct site_server server;
    struct xt_settings settings = far_away;
    settings.write_stall_ms = SOON;
    site_server_start(&server, &settings, false);
    struct test_client *client = connect_plain(server.at.port);
    ask_for_much(client, 400); /* 16 MB */
    sleep_ms(4 * SOON);
    assert_cut_off(client, 65536, 1); /* what had been sent, then the end */
    test_client_close(client);
    site_server_stop(&server);
}

static void client_that_takes_too_long_is_cut_off(void **state)
{
    (void)state;
    struct site_server server;
    struct xt_settings settings = far_away;
    settings.write_ms = 2 * SOON;
    site_server_start(&server, &settings, false);
    struct test_client *client = connect_plain(server.at.port);
    ask_for_much(client, 400);
    assert_cut_off(client, 1000, 20); /* always a bit: one write would take about a second */
    test_client_close(client);
    site_server_stop(&server);
}

/* Answers that all fit into the kernels: to the loop the connection is idle, but nobody takes them. */
static void client_whose_answers_wait_in_the_kernel_is_cut_off(void **state)
{
    (void)state;
    struct site_server server;
    struct xt_settings settings = far_away;
    settings.write_stall_ms = SOON;
    site_server_start(&server, &settings, false);
    struct test_client *client = connect_plain(server.at.port);
    int small = 4096;
    assert_int_equal(
        setsockopt(test_client_socket(client), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    ask_for_much(client,
                 2); /* 80 KB: what the window has not room for waits at the server's side */
    sleep_ms(10 * SOON);
    /* The server's kernel has forgotten it: whatever comes now is answered by a reset. */
    (void)test_client_send_raw(client, "GET", 3);
    assert_cut_off(client, 65536, 10);
    test_client_close(client);
    site_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_their_statuses),
        cmocka_unit_test(slow_head_is_408),
        cmocka_unit_test(slow_body_is_408),
        cmocka_unit_test(slow_handshake_is_ended),
        cmocka_unit_test(idle_connection_is_ended),
        cmocka_unit_test(last_request_of_a_connection_says_so),
        cmocka_unit_test(old_connection_ends_with_an_answer),
        cmocka_unit_test(client_that_takes_nothing_is_cut_off),
        cmocka_unit_test(client_that_takes_too_long_is_cut_off),
        cmocka_unit_test(client_whose_answers_wait_in_the_kernel_is_cut_off),
    };
    return cmocka_run_group_tests(tests, set_up, deployment_remove);
}
