/* Connections over real sockets in a loop that the test itself turns, so that a turn ends where the test
 * says: what must not happen between two turns is tried between two turns. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crypto/tls_internal.h"
#include "net/connection_internal.h"
#include "net/listener.h"
#include "tests/net/deployment.h"
#include "tests/net/rig.h"
#include "tests/test.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define TURNS_MOST 1000

static uv_loop_t loop;
static struct xt_listener listener;
static unsigned port;

static void listen_with(const struct xt_settings *settings, const struct xt_routes *routes,
                        struct xt_tls_context *tls)
{
    int socket = -1;
    char address[XT_ADDRESS_TEXT];
    void *state = NULL;
    struct xt_failure failure;
    struct xt_entrance entrance = {.tls = tls, .routes = routes};
    assert_int_equal(rig_open(&state), 0);
    rig.settings = *settings;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(xt_listen("127.0.0.1:0", &socket, &failure), XT_OK);
    xt_listening_address(socket, address);
    port = (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
    assert_int_equal(xt_listener_open(&listener, &loop, socket, 100, &entrance, &rig.settings,
                                      &rig.service, NULL, NULL),
                     XT_OK);
}

static void stop_listening(void)
{
    void *state = NULL;
    xt_listener_stop(&listener);
    xt_connections_abort(&listener.connections);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    xt_listener_close(&listener);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(rig_close(&state), 0);
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* The one connection there is, once it is in that phase. */
static struct xt_connection *wait_for(enum xt_phase phase)
{
    struct xt_ring *list = &listener.connections.phases[phase];
    for (unsigned i = 0; i < TURNS_MOST && xt_ring_is_empty(list); i++) {
        turn();
    }
    assert_false(xt_ring_is_empty(list));
    return xt_ring_entry(list->next, struct xt_connection, link);
}

static void wait_for_count(unsigned count)
{
    for (unsigned i = 0; i < TURNS_MOST && listener.connections.count != count; i++) {
        turn();
    }
    assert_int_equal(listener.connections.count, count);
}

/* So that the server's next byte has to wait. */
static void fill_socket(struct xt_connection *connection)
{
    static const char noise[4096];
    uv_os_fd_t fd;
    assert_int_equal(uv_fileno((uv_handle_t *)&connection->tcp, &fd), 0);
    while (send(fd, noise, sizeof(noise), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
}

/* What the server sends until it ends, turning its loop meanwhile; the caller frees it. */
static char *read_all(struct test_client *client, size_t *size)
{
    enum { ROOM = 16 << 20 };
    char *text = malloc(ROOM);
    assert_non_null(text);
    *size = 0;
    for (unsigned quiet = 0; quiet < TURNS_MOST;) {
        ssize_t got = recv(test_client_socket(client), text + *size, ROOM - *size, MSG_DONTWAIT);
        if (got == 0) {
            return text;
        }
        assert_true(got > 0 || errno == EAGAIN);
        quiet = got > 0 ? 0 : quiet + 1;
        *size += got > 0 ? (size_t)got : 0;
        turn();
        if (got < 0) {
            sleep_ms(1);
        }
    }
    fail_msg("the stream does not end");
    return text;
}

static unsigned count_of(const char *text, size_t size, const char *word)
{
    unsigned count = 0;
    for (const char *at = text;
         (at = memmem(at, size - (size_t)(at - text), word, strlen(word))) != NULL; at++) {
        count++;
    }
    return count;
}

static void timeout_of_input_that_waits_for_its_turn_is_answered_once(void **state)
{
    (void)state;
    struct xt_settings settings;
    xt_settings_defaults(&settings);
    settings.requests_per_turn = 1;
    listen_with(&settings, &site, NULL);
    struct test_client *client = connect_plain(port);
    assert_true(test_client_send_text(client, GET("/turn") GET("/turn") GET("/turn")));
    struct xt_connection *connection = wait_for(XT_PHASE_HEAD);
    assert_false(xt_ring_is_empty(&connection->turn)); /* the second and third wait */
    fill_socket(connection);
    connection->since_ms = 0; /* long ago */
    xt_connections_sweep(&listener.connections);
    assert_int_equal(connection->phase, XT_PHASE_WRITING);
    assert_true(xt_ring_is_empty(&connection->turn));
    assert_null(connection->held_read);
    for (unsigned i = 0; i < 10; i++) {
        turn();
    }
    size_t size;
    char *text = read_all(client, &size);
    assert_int_equal(count_of(text, size, "HTTP/1.1 200 "), 1);
    assert_int_equal(count_of(text, size, "HTTP/1.1 408 "), 1);
    free(text);
    test_client_close(client);
    stop_listening();
}

static void drain_gives_idle_connections_a_second(void **state)
{
    (void)state;
    struct xt_settings settings;
    struct test_response response;
    xt_settings_defaults(&settings);
    listen_with(&settings, &site, NULL);
    struct test_client *client = connect_plain(port);
    struct xt_connection *connection = wait_for(XT_PHASE_IDLE);
    connection->since_ms -= 5000; /* idle for that long */
    xt_connections_drain(&listener.connections);
    xt_connections_sweep(&listener.connections);
    assert_false(connection->closing);
    assert_true(test_client_send_text(client, GET("/turn")));
    (void)wait_for(XT_PHASE_LINGERING);
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.head, "\r\nConnection: close\r\n"));
    test_response_release(&response);
    test_client_close(client);
    stop_listening();
}

/* ---- an answer that never ends ---------------------------------------------------------------- */

static bool next_piece(struct xt_pieces *pieces, struct xt_writer *writer)
{
    static const uint8_t piece[XT_PIECE_MIN];
    (void)pieces;
    xt_write(writer, piece, sizeof(piece));
    return true;
}

static void close_pieces(struct xt_pieces *pieces)
{
    (void)pieces;
}

static void handle_endless(struct xt_call *call, struct xt_answer *answer)
{
    static struct xt_pieces endless = {next_piece, close_pieces};
    (void)call;
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_METRICS, .pieces = &endless};
}

static const struct xt_route endless_list[] = {{"/endless", XT_GET, handle_endless}};
static const struct xt_routes endless_site = {endless_list, 1, XT_GET, false};

/* Reads what the kernels hold until the server has begun another write; false: it closed the connection. */
static bool take_some(struct test_client *client)
{
    static char some[65536];
    uint64_t sent = xt_counter_get(&rig.service.counters->bytes_out[XT_ENTRANCE_API]);
    for (unsigned i = 0; i < TURNS_MOST && listener.connections.open > 0; i++) {
        if (xt_counter_get(&rig.service.counters->bytes_out[XT_ENTRANCE_API]) - sent > 1 << 20) {
            return true;
        }
        (void)recv(test_client_socket(client), some, sizeof(some), MSG_DONTWAIT);
        turn();
    }
    assert_int_equal(listener.connections.open, 0);
    return false;
}

static void answer_in_pieces_has_one_write_timeout(void **state)
{
    (void)state;
    struct xt_settings settings;
    xt_settings_defaults(&settings);
    settings.write_ms = 50000;
    listen_with(&settings, &endless_site, NULL);
    struct test_client *client = connect_plain(port);
    assert_true(test_client_send_text(client, GET("/endless")));
    struct xt_connection *connection = wait_for(XT_PHASE_WRITING);
    assert_true(take_some(client)); /* whoever reads has all of the time */
    connection = wait_for(XT_PHASE_WRITING);
    connection->write_began_ms -= settings.write_ms;
    (void)take_some(client);
    wait_for_count(0);
    test_client_close(client);
    stop_listening();
}

/* ---- handshakes ------------------------------------------------------------------------------- */

static struct xt_tls_context *server_context(void)
{
    char paths[3][256];
    static const char *const names[] = {"DIR/server.crt", "DIR/keys/server.key", "DIR/ca.crt"};
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s", deployment(names[i]));
    }
    struct xt_tls_server_files files = {
        .certificate = paths[0], .key = paths[1], .client_authority = paths[2]};
    struct xt_tls_server_material material = {.allow_tls12 = false};
    struct xt_tls_context *tls = NULL;
    struct xt_failure failure;
    assert_int_equal(xt_tls_material_read(&files, &material, &failure), XT_OK);
    assert_int_equal(xt_tls_server(&material, &tls, &failure), XT_OK);
    xt_tls_material_release(&material);
    return tls;
}

/* A first flight, as a client without a certificate sends it. */
static size_t make_hello(uint8_t *hello, size_t capacity)
{
    struct xt_tls_context *context = NULL;
    struct xt_tls *tls = NULL;
    struct xt_failure failure;
    assert_int_equal(xt_tls_client(&(struct xt_tls_client_files){0}, &context, &failure), XT_OK);
    assert_int_equal(xt_tls_open(context, "a", &tls), XT_OK);
    assert_int_equal(xt_tls_handshake(tls), XT_AGAIN);
    struct xt_span output = xt_tls_output(tls);
    assert_true(output.size > 100 && output.size <= capacity);
    memcpy(hello, output.data, output.size);
    size_t size = output.size;
    xt_tls_close(tls);
    xt_tls_context_close(context);
    return size;
}

static void handshakes_do_not_switch_accepting_off(void **state)
{
    (void)state;
    enum { STRANGERS = 4, TRICKLED = 50, NEWCOMERS = 3 };
    static uint8_t hello[4096];
    struct xt_settings settings;
    struct test_client *strangers[STRANGERS], *newcomers[NEWCOMERS];
    xt_settings_defaults(&settings);
    settings.handshakes_per_turn = 1;
    settings.accepts_per_turn = 4;
    struct xt_tls_context *tls = server_context();
    listen_with(&settings, &site, tls);
    size_t size = make_hello(hello, sizeof(hello));
    for (unsigned i = 0; i < STRANGERS; i++) {
        strangers[i] = connect_plain(port);
    }
    wait_for_count(STRANGERS);
    for (unsigned at = 0; at < TRICKLED; at++) { /* bytes that are no step take nobody's turn */
        for (unsigned i = 0; i < STRANGERS; i++) {
            assert_true(test_client_send_raw(strangers[i], hello + at, 1));
        }
        turn();
        assert_true(xt_ring_is_empty(&listener.connections.shakes));
    }
    for (unsigned i = 0; i < STRANGERS; i++) {
        assert_true(test_client_send_raw(strangers[i], hello + TRICKLED, size - TRICKLED));
    }
    turn();
    assert_false(xt_ring_is_empty(&listener.connections.shakes)); /* steps do */
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        newcomers[i] = connect_plain(port);
    }
    turn(); /* two of the four wait still: one comes in, and the others later */
    assert_false(xt_ring_is_empty(&listener.connections.shakes));
    assert_int_equal(listener.connections.count, STRANGERS + 1);
    wait_for_count(STRANGERS + NEWCOMERS);
    for (unsigned i = 0; i < STRANGERS; i++) {
        test_client_close(strangers[i]);
    }
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        test_client_close(newcomers[i]);
    }
    stop_listening();
    xt_tls_context_close(tls);
}

static void output_that_nobody_reads_is_bounded(void **state)
{
    (void)state;
    static struct xt_tls_buffer *lent[XT_TLS_LENT_MAX];
    struct xt_tls_context *tls = server_context();
    for (unsigned i = 0; i < XT_TLS_LENT_MAX; i++) {
        lent[i] = xt_tls_buffer_take(tls, XT_TLS_LARGE_BYTES);
        assert_non_null(lent[i]);
    }
    assert_null(xt_tls_buffer_take(tls, XT_TLS_LARGE_BYTES));
    struct xt_tls_buffer *record = xt_tls_buffer_take(tls, XT_TLS_SMALL_BYTES);
    assert_non_null(record); /* handshakes and short answers go on */
    xt_tls_buffer_give(tls, record);
    assert_null(xt_tls_buffer_take(tls, XT_TLS_LARGE_BYTES));
    for (unsigned i = 0; i < XT_TLS_LENT_MAX; i++) {
        xt_tls_buffer_give(tls, lent[i]);
    }
    struct xt_tls_buffer *again = xt_tls_buffer_take(tls, XT_TLS_LARGE_BYTES);
    assert_non_null(again);
    xt_tls_buffer_give(tls, again);
    xt_tls_context_close(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeout_of_input_that_waits_for_its_turn_is_answered_once),
        cmocka_unit_test(drain_gives_idle_connections_a_second),
        cmocka_unit_test(answer_in_pieces_has_one_write_timeout),
        cmocka_unit_test(handshakes_do_not_switch_accepting_off),
        cmocka_unit_test(output_that_nobody_reads_is_bounded),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
