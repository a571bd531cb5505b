/* What one turn of the loop gives to each: no client, however much it sends, makes others wait for all
 * of it, and too much for all is refused instead of queued. Order is told by the server itself (GET
 * /turn), and what must be there at once is sent while it is stopped. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/net/rig.h"
#include "tests/net/site_server.h"
#include "tests/test.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static struct xt_settings settings;

static int set_up(void **state)
{
    xt_settings_defaults(&settings);
    return deployment_make(state);
}

static struct test_client *connect_to(const struct site_server *server)
{
    return server->tls ? connect_as(&server->at, "demo") : connect_plain(server->at.port);
}

/* A member of the answer to GET /turn or /slow. */
static unsigned number_of(const struct test_response *response, const char *name)
{
    const char *at = strstr(response->body, name);
    assert_int_equal(response->status, 200);
    assert_non_null(at);
    return (unsigned)strtoul(at + strlen(name) + 2, NULL, 10);
}

static void read_answer(struct test_client *client, struct test_response *response)
{
    if (!test_client_response(client, false, response)) {
        fail_msg("no answer: %s", test_client_error(client));
    }
}

static unsigned order_of_next(struct test_client *client)
{
    struct test_response response;
    read_answer(client, &response);
    unsigned order = number_of(&response, "order");
    test_response_release(&response);
    return order;
}

/* A connection that has been answered once: its handshake is over on both sides. */
static struct test_client *connect_known(const struct site_server *server)
{
    struct test_client *client = connect_to(server);
    assert_true(test_client_send_text(client, GET("/turn")));
    (void)order_of_next(client);
    return client;
}

static void deep_pipeline_lets_others_in(void **state)
{
    (void)state;
    enum { DEEP = 200, PER_TURN = 4 };
    static char many[DEEP * sizeof(GET("/turn"))];
    struct xt_settings few = settings;
    few.requests_per_turn = PER_TURN;
    many[0] = '\0';
    for (unsigned i = 0; i < DEEP; i++) {
        strcat(many, GET("/turn"));
    }
    for (unsigned tls = 0; tls < 2; tls++) {
        struct site_server server;
        site_server_start(&server, &few, tls == 1);
        struct test_client *deep = connect_known(&server), *other = connect_known(&server);
        site_server_freeze(&server);
        assert_true(test_client_send_text(deep, many));
        assert_true(test_client_send_text(other, GET("/turn")));
        site_server_thaw(&server);
        unsigned begin = order_of_next(deep);
        unsigned mine = order_of_next(other);
        assert_true(mine <= begin + 2 * PER_TURN);
        for (unsigned i = 1; i < DEEP; i++) { /* and it gets all of its own, in order */
            unsigned next = order_of_next(deep);
            assert_true(next > begin);
            begin = next;
        }
        test_client_close(deep);
        test_client_close(other);
        site_server_stop(&server);
    }
}

/* Two of them go on in turns until both are through. */
static void two_deep_pipelines_alternate(void **state)
{
    (void)state;
    enum { DEEP = 100, PER_TURN = 5 };
    static char many[DEEP * sizeof(GET("/turn"))];
    struct site_server server;
    struct xt_settings few = settings;
    few.requests_per_turn = PER_TURN;
    many[0] = '\0';
    for (unsigned i = 0; i < DEEP; i++) {
        strcat(many, GET("/turn"));
    }
    site_server_start(&server, &few, true);
    struct test_client *clients[2] = {connect_known(&server), connect_known(&server)};
    site_server_freeze(&server);
    assert_true(test_client_send_text(clients[0], many));
    assert_true(test_client_send_text(clients[1], many));
    site_server_thaw(&server);
    for (unsigned i = 0; i < DEEP; i++) {
        unsigned a = order_of_next(clients[0]), b = order_of_next(clients[1]);
        unsigned apart = a > b ? a - b : b - a;
        assert_true(apart <= 2 * PER_TURN);
    }
    test_client_close(clients[0]);
    test_client_close(clients[1]);
    site_server_stop(&server);
}

/* One byte in each record: the work is in the records and not in requests. */
static void many_small_records_let_others_in(void **state)
{
    (void)state;
    enum { RECORDS = 200 }; /* few enough for the socket of a server that stands still */
    struct site_server server;
    struct xt_settings few = settings;
    few.requests_per_turn = 1;
    site_server_start(&server, &few, true);
    struct test_client *slow = connect_known(&server), *other = connect_known(&server);
    site_server_freeze(&server);
    const char *head = "GET /turn HTTP/1.1\r\nHost: a\r\nX: ";
    assert_true(test_client_send_text(slow, head));
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_true(test_client_send(slow, "a", 1));
    }
    assert_true(test_client_send_text(slow, "\r\n\r\n"));
    assert_true(test_client_send_text(other, GET("/turn") GET("/turn")));
    site_server_thaw(&server);
    (void)order_of_next(other); /* the second comes after everybody who was ready had his turn */
    unsigned mine = order_of_next(other);
    assert_true(mine < order_of_next(slow));
    test_client_close(slow);
    test_client_close(other);
    site_server_stop(&server);
}

static void long_turn_refuses_the_rest_of_it(void **state)
{
    (void)state;
    enum { CLIENTS = 4 };
    struct site_server server;
    struct xt_settings hasty = settings;
    hasty.overload_turn_ms = 2; /* each request takes 5 */
    site_server_start(&server, &hasty, true);
    struct test_client *clients[CLIENTS];
    struct test_response response;
    unsigned answered = 0, refused = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_known(&server);
    }
    site_server_freeze(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_true(test_client_send_text(clients[i], GET("/slow")));
    }
    site_server_thaw(&server);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char value[16];
        read_answer(clients[i], &response);
        answered += response.status == 200;
        if (response.status != 200) {
            assert_int_equal(response.status, 503);
            assert_string_equal(test_response_field(&response, "Retry-After", value, sizeof(value)),
                                "1");
            assert_non_null(strstr(response.body, "\"code\":\"overloaded\""));
            assert_null(strstr(response.head, "Connection: close"));
            refused++;
        }
        test_response_release(&response);
    }
    /* The first, and one more for which the machine might have been busy elsewhere. */
    assert_int_equal(answered, 2);
    assert_int_equal(refused, CLIENTS - 2);
    for (unsigned i = 0; i < CLIENTS; i++) { /* all are still there, and the next turn is another */
        assert_true(test_client_request(clients[i], "GET", "/slow", NULL, NULL, &response));
        assert_int_equal(response.status, 200);
        test_response_release(&response);
        test_client_close(clients[i]);
    }
    site_server_stop(&server);
}

/* Sends the first flight of a handshake and waits for nothing. */
struct greeting {
    struct test_client *socket;
    struct xt_tls *tls;
};

static void greet(struct greeting *greeting, struct xt_tls_context *context)
{
    assert_int_equal(xt_tls_open(context, "127.0.0.1", &greeting->tls), XT_OK);
    assert_int_equal(xt_tls_handshake(greeting->tls), XT_AGAIN);
    struct xt_span output = xt_tls_output(greeting->tls);
    assert_true(test_client_send_raw(greeting->socket, output.data, output.size));
    xt_tls_output_taken(greeting->tls, output.size);
}

static void finish_greeting(struct greeting *greeting)
{
    uint8_t bytes[8192];
    size_t got = 0;
    enum xt_status status = XT_AGAIN;
    while (status == XT_AGAIN) {
        struct xt_span output = xt_tls_output(greeting->tls);
        if (output.size > 0) {
            assert_true(test_client_send_raw(greeting->socket, output.data, output.size));
            xt_tls_output_taken(greeting->tls, output.size);
        }
        long size = test_client_receive(greeting->socket, bytes, sizeof(bytes));
        assert_true(size > 0);
        xt_tls_feed(greeting->tls, xt_span_of(bytes, (size_t)size));
        status = xt_tls_handshake(greeting->tls);
        if (status == XT_AGAIN) {
            assert_int_equal(xt_tls_settle(greeting->tls), XT_OK);
        }
    }
    assert_int_equal(status, XT_OK);
    assert_int_equal(xt_tls_write(greeting->tls, xt_span_of_string(GET("/turn")), &got), XT_OK);
    struct xt_span output = xt_tls_output(greeting->tls);
    assert_true(test_client_send_raw(greeting->socket, output.data, output.size));
    xt_tls_output_taken(greeting->tls, output.size);
    for (got = 0; got == 0;) {
        status = xt_tls_read(greeting->tls, bytes, sizeof(bytes), &got);
        if (status == XT_AGAIN) {
            static uint8_t more[8192];
            long size = test_client_receive(greeting->socket, more, sizeof(more));
            assert_true(size > 0);
            xt_tls_feed(greeting->tls, xt_span_of(more, (size_t)size));
        } else {
            assert_int_equal(status, XT_OK);
        }
    }
    assert_memory_equal(bytes, "HTTP/1.1 200", 12);
    xt_tls_close(greeting->tls);
    test_client_close(greeting->socket);
}

static void storm_of_handshakes_lets_established_clients_in(void **state)
{
    (void)state;
    enum { STORM = 40, PER_TURN = 2 };
    struct site_server server;
    struct xt_settings few = settings;
    few.handshakes_per_turn = PER_TURN;
    few.requests_per_turn = 1;
    site_server_start(&server, &few, true);
    struct xt_tls_context *context = NULL;
    struct test_client_options options = options_as(&server.at, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority};
    struct xt_failure failure;
    assert_int_equal(xt_tls_client(&files, &context, &failure), XT_OK);
    struct greeting storm[STORM];
    struct test_response response;
    struct test_client *client = connect_known(&server);
    /* Accepted before it stops, so that all of them are ready in the same turn. */
    for (unsigned i = 0; i < STORM; i++) {
        storm[i].socket = connect_plain(server.at.port);
    }
    for (unsigned i = 0; i < 10; i++) { /* by these turns at the latest */
        assert_true(test_client_request(client, "GET", "/turn", NULL, NULL, &response));
        test_response_release(&response);
    }
    site_server_freeze(&server);
    for (unsigned i = 0; i < STORM; i++) {
        greet(&storm[i], context);
    }
    /* The second is answered after everybody who was ready had his turn, wherever the first stood. */
    assert_true(test_client_send_text(client, GET("/turn") GET("/turn")));
    site_server_thaw(&server);
    (void)order_of_next(client);
    read_answer(client, &response);
    assert_int_equal(number_of(&response, "put_off"), STORM - PER_TURN);
    test_response_release(&response);
    /* And everybody of the storm gets through. */
    for (unsigned i = 0; i < STORM; i++) {
        finish_greeting(&storm[i]);
    }
    xt_tls_context_close(context);
    test_client_close(client);
    site_server_stop(&server);
}

/* Descriptors used up by clients that all are in the middle of a request: nobody can be closed. */
static void no_descriptors_left_neither_spins_nor_hurts(void **state)
{
    (void)state;
    enum { ROOM = 6, LATE = 20 };
    struct site_server server;
    site_server_start(&server, &settings, false);
    struct test_client *clients[ROOM], *late[LATE];
    clients[0] = connect_known(&server);
    rlim_t used = 0; /* one past its highest descriptor */
    for (unsigned number = 0; number < 64; number++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)server.at.pid, number);
        used = access(path, F_OK) == 0 ? number + 1 : used;
    }
    struct rlimit limit = {used + ROOM - 1, used + ROOM - 1};
    assert_int_equal(prlimit(server.at.pid, RLIMIT_NOFILE, &limit, NULL), 0);
    assert_true(test_client_send_text(clients[0], "GET /turn HTTP/1.1\r\n"));
    for (unsigned i = 1; i < ROOM; i++) {
        clients[i] = connect_to(&server);
        assert_true(test_client_send_text(clients[i], "GET /turn HTTP/1.1\r\n"));
    }
    sleep_ms(200); /* their halves are read: none is idle */
    for (unsigned i = 0; i < LATE; i++) {
        late[i] = connect_to(&server); /* in the kernel's queue */
        assert_true(test_client_send_text(late[i], GET("/turn")));
    }
    unsigned before = site_server_cpu_ms(&server);
    sleep_ms(1000);
    unsigned spent = site_server_cpu_ms(&server) - before;
    assert_true(spent < 300); /* one that spins takes all of the second it is given */
    for (unsigned i = 0; i < ROOM; i++) {
        assert_true(test_client_send_text(clients[i], "Host: a\r\n\r\n"));
        (void)order_of_next(clients[i]);
    }
    for (unsigned i = 0; i < LATE;
         i++) { /* those are idle now: each makes room for one that waits */
        (void)order_of_next(late[i]);
        test_client_close(late[i]);
    }
    for (unsigned i = 0; i < ROOM; i++) {
        test_client_close(clients[i]);
    }
    site_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deep_pipeline_lets_others_in),
        cmocka_unit_test(two_deep_pipelines_alternate),
        cmocka_unit_test(many_small_records_let_others_in),
        cmocka_unit_test(long_turn_refuses_the_rest_of_it),
        cmocka_unit_test(storm_of_handshakes_lets_established_clients_in),
        cmocka_unit_test(no_descriptors_left_neither_spins_nor_hurts),
    };
    return cmocka_run_group_tests(tests, set_up, deployment_remove);
}
