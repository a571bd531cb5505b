/* Answers that come later: order, time limits, clients that leave, a writer that ends. By bytes, and over
 * real sockets in a loop that the test turns. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/connection_internal.h"
#include "net/deferred.h"
#include "net/listener.h"
#include "net/writer_message.h"
#include "tests/net/deployment.h"
#include "tests/net/rig.h"
#include "tests/test.h"

#define LATER(body) "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n" body
#define NOW "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- the site ----------------------------------------------------------------------------------- */

struct memory {
    char text[4];
};

static struct xt_deferred *pending[XT_DEFERRED_MOST + 1];
static unsigned pending_count, finished, without_client;
static struct xt_deferred_desk *desk;
static enum { WAITS, IS_DONE, SENDS } mode;
static uv_loop_t *desk_loop; /* NULL: nothing is held */
static uint32_t step_ms;

static void finish(struct xt_deferred *deferred, struct xt_call *call, struct xt_answer *answer)
{
    struct memory *memory = deferred->memory;
    finished++;
    without_client += call->request->path.size == 0;
    if (xt_deferred_refuse(deferred, call, answer)) {
        return;
    }
    memcpy(call->service->scratch, memory->text, sizeof(memory->text));
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_span_of(call->service->scratch, 4)};
}

static unsigned noted;

static void note(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct memory *memory = deferred->memory;
    call->entry.purpose = xt_span_of(memory->text, sizeof(memory->text));
    noted++;
}

static void handle_later(struct xt_call *call, struct xt_answer *answer)
{
    static const struct xt_deferred_kind kind = {sizeof(struct memory), finish, note, NULL};
    struct xt_deferred *deferred = xt_deferred_open(call, &kind, answer);
    if (deferred == NULL) {
        return;
    }
    struct memory *memory = deferred->memory;
    assert_memory_equal(memory->text, "\0\0\0", 4);
    memcpy(memory->text, call->request->body, sizeof(memory->text));
    xt_deferred_hold(deferred, step_ms);
    if (mode == SENDS) {
        xt_deferred_send(deferred,
                         &(struct xt_event){.type = XT_EVENT_CERTIFICATE_HELD, .id = {1}});
    } else if (mode == IS_DONE) {
        xt_deferred_done(deferred, XT_OK);
    } else {
        pending[pending_count++] = deferred;
    }
}

static void handle_now(struct xt_call *call, struct xt_answer *answer)
{
    (void)call;
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_span_of_string("\"now\"")};
}

static const struct xt_route list[] = {
    {"/later", XT_POST, handle_later},
    {"/now", XT_GET, handle_now},
};
static const struct xt_routes later_site = {list, 2, XT_GET | XT_POST, false};

static void open_site(struct xt_writer_channel *writer)
{
    void *state = NULL;
    assert_int_equal(rig_open(&state), 0);
    assert_int_equal(xt_deferred_desk_open(desk_loop, &rig.service, writer, &desk), XT_OK);
    pending_count = finished = without_client = noted = 0;
    mode = WAITS;
}

static void close_site(void)
{
    void *state = NULL;
    xt_deferred_desk_close(desk); /* aborts if one was not given back */
    assert_int_equal(rig_close(&state), 0);
}

/* ---- by bytes ----------------------------------------------------------------------------------- */

static struct xt_exchange exchange;
static char output[8192];
static size_t output_size;

static void wake(void *woken)
{
    ++*(unsigned *)woken;
}

static void open_exchange(unsigned *woken)
{
    xt_exchange_open(&exchange, &rig.shared, &rig.service, &later_site, true);
    exchange.wake = wake;
    exchange.wake_context = woken;
    output_size = 0;
}

/* Gives what comes of it; what was answered is added to output. */
static enum xt_exchange_result feed(const char *text, size_t *used)
{
    static uint8_t room[XT_OUTPUT_MAX];
    struct xt_writer writer = xt_writer_over(room, sizeof(room));
    enum xt_exchange_result result =
        xt_exchange_run(&exchange, (const uint8_t *)text, strlen(text), used, &writer);
    assert_true(output_size + writer.size < sizeof(output));
    memcpy(output + output_size, room, writer.size);
    output_size += writer.size;
    output[output_size] = '\0';
    return result;
}

static void requests_behind_it_wait_for_their_answers(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    const char *text = NOW LATER("\"ab\"") NOW;
    open_site(NULL);
    open_exchange(&woken);
    assert_int_equal(feed(text, &used), XT_EXCHANGE_WAIT);
    assert_int_equal(pending_count, 1);
    assert_non_null(strstr(output, "\r\n\r\n\"now\""));
    size_t before = output_size;
    assert_int_equal(feed(text + used, &used), XT_EXCHANGE_WAIT);
    assert_int_equal(used, 0); /* nothing is looked at */
    assert_int_equal(output_size, before);
    assert_int_equal(woken, 0);
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(woken, 1);
    assert_int_equal(finished, 0); /* in the connection's turn */
    assert_int_equal(feed(NOW, &used), XT_EXCHANGE_MORE);
    const char *later = strstr(output, "\"ab\"");
    assert_non_null(later);
    assert_non_null(strstr(later, "\r\n\r\n\"now\""));
    assert_int_equal(finished, 1);
    assert_int_equal(without_client, 0);
    assert_int_equal(xt_deferred_waiting(desk), 0);
    xt_exchange_close(&exchange);
    close_site();
}

static void what_is_done_at_once_is_answered_at_once(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    open_exchange(&woken);
    mode = IS_DONE;
    assert_int_equal(feed(LATER("\"xy\"") NOW, &used), XT_EXCHANGE_MORE);
    assert_non_null(strstr(output, "\"xy\"HTTP/1.1 200 OK"));
    xt_exchange_close(&exchange);
    close_site();
}

static void body_is_wiped_while_it_waits(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"pw\""), &used), XT_EXCHANGE_WAIT);
    assert_memory_equal(exchange.http.request.body, "\0\0\0", 4);
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(feed("", &used), XT_EXCHANGE_MORE);
    assert_non_null(strstr(output, "\"pw\""));
    xt_exchange_close(&exchange);
    close_site();
}

static void last_answer_of_a_connection_says_so(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"ab\"") NOW, &used), XT_EXCHANGE_WAIT);
    exchange.retire = true; /* the server ends meanwhile */
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(feed(NOW, &used), XT_EXCHANGE_LAST);
    assert_int_equal(used, 0);
    assert_non_null(strstr(output, "Connection: close"));
    xt_exchange_close(&exchange);
    close_site();
}

static void late_answer_is_503_and_the_work_ends_by_itself(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"ab\"") NOW, &used), XT_EXCHANGE_WAIT);
    assert_true(xt_exchange_give_up(&exchange));
    assert_int_equal(feed(NOW, &used), XT_EXCHANGE_MORE);
    assert_non_null(strstr(output, "HTTP/1.1 503"));
    assert_non_null(strstr(output, "outcome_unknown"));
    assert_non_null(strstr(output, "Retry-After: 1"));
    assert_non_null(strstr(output, "\r\n\r\n\"now\"")); /* the connection goes on */
    assert_int_equal(finished, 0);
    assert_int_equal(noted, 1); /* the audit log knows whom it was about */
    assert_int_equal(xt_deferred_waiting(desk), 1);
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(finished, 1);
    assert_int_equal(without_client, 1);
    assert_null(strstr(output, "\"ab\""));
    xt_exchange_close(&exchange);
    close_site();
}

static void client_that_leaves_does_not_end_the_work(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    xt_exchange_leave(&exchange);
    xt_exchange_close(&exchange);
    assert_int_equal(finished, 0);
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(finished, 1);
    assert_int_equal(without_client, 1);
    assert_int_equal(woken, 0);
    /* The same when it was done and not answered yet. */
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    xt_deferred_done(pending[1], XT_OK);
    xt_exchange_close(&exchange);
    assert_int_equal(finished, 2);
    assert_int_equal(without_client, 2);
    close_site();
}

static void more_than_there_is_room_for_are_refused_at_once(void **state)
{
    (void)state;
    static struct xt_exchange many[XT_DEFERRED_MOST + 1];
    unsigned woken = 0;
    size_t used = 0;
    open_site(NULL);
    for (unsigned i = 0; i < XT_DEFERRED_MOST + 1; i++) {
        open_exchange(&woken);
        enum xt_exchange_result result = feed(LATER("\"ab\""), &used);
        assert_int_equal(result, i < XT_DEFERRED_MOST ? XT_EXCHANGE_WAIT : XT_EXCHANGE_MORE);
        many[i] = exchange;
    }
    assert_non_null(strstr(output, "HTTP/1.1 503"));
    assert_non_null(strstr(output, "overloaded"));
    assert_int_equal(pending_count, XT_DEFERRED_MOST);
    for (unsigned i = 0; i < XT_DEFERRED_MOST; i++) {
        xt_deferred_done(pending[i], XT_OK);
    }
    for (unsigned i = 0; i < XT_DEFERRED_MOST + 1; i++) {
        xt_exchange_close(&many[i]);
    }
    close_site();
}

/* ---- the writer --------------------------------------------------------------------------------- */

static uv_loop_t loop;

/* ---- held answers ------------------------------------------------------------------------------- */

static void open_held(unsigned *woken, uint32_t step)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    desk_loop = &loop;
    step_ms = step;
    open_site(NULL);
    rig.service.monotonic_ns = uv_hrtime();
    open_exchange(woken);
}

static void close_held(void)
{
    size_t used = 0;
    desk_loop = NULL;
    step_ms = 0;
    (void)used;
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    close_site();
}

/* Right and wrong, soon and late within a step: all leave at the same time after their request. */
static void held_answer_leaves_at_a_whole_step(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    for (unsigned i = 0; i < 2; i++) {
        open_held(&woken, 40);
        uint64_t began = rig.service.monotonic_ns;
        woken = 0;
        assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
        if (i == 1) {
            usleep(60000); /* over the first step: the second, or one after it */
        }
        xt_deferred_done(pending[0], i == 0 ? XT_OK : XT_NO_MEMORY);
        uint64_t due = pending[0]->due_ns;
        assert_int_equal(woken, 0);
        assert_int_equal((due - began) % 40000000, 0);
        assert_true(due - began >= (i + 1) * 40000000ULL);
        assert_int_equal(feed("", &used), XT_EXCHANGE_WAIT);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_true(uv_hrtime() >= due);
        assert_int_equal(woken, 1);
        assert_int_equal(feed("", &used), XT_EXCHANGE_MORE);
        assert_non_null(strstr(output, i == 0 ? "HTTP/1.1 200" : "HTTP/1.1 503"));
        xt_exchange_close(&exchange);
        xt_deferred_desk_stop(desk);
        close_held();
    }
}

static void held_answer_without_a_client_is_written_down(void **state)
{
    (void)state;
    unsigned woken = 0;
    size_t used = 0;
    open_held(&woken, 20);
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    xt_deferred_done(pending[0], XT_OK);
    xt_exchange_leave(&exchange);
    xt_exchange_close(&exchange);
    assert_int_equal(finished, 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(finished, 1);
    assert_int_equal(without_client, 1);
    /* The same of one that is late, and then of one at the end of the process. */
    open_exchange(&woken);
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    xt_deferred_done(pending[1], XT_OK);
    assert_true(xt_exchange_give_up(&exchange));
    assert_int_equal(feed("", &used), XT_EXCHANGE_MORE);
    assert_non_null(strstr(output, "outcome_unknown"));
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(finished, 2);
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    pending[2]->step_ms = 3600000;
    xt_deferred_done(pending[2], XT_OK);
    xt_exchange_leave(&exchange);
    xt_exchange_close(&exchange);
    assert_int_equal(finished, 2);
    xt_deferred_desk_stop(desk);
    assert_int_equal(finished, 3);
    assert_int_equal(xt_deferred_waiting(desk), 0);
    close_held();
}

static void writer_that_is_gone_leaves_the_outcome_unknown(void **state)
{
    (void)state;
    int ends[2];
    unsigned woken = 0;
    size_t used = 0;
    struct xt_failure failure;
    struct xt_writer_channel *channel = NULL;
    uint8_t packet[XT_WRITER_EVENT_MAX];
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(xt_writer_channel_pair(ends, &failure), XT_OK);
    assert_int_equal(xt_writer_channel_open(&loop, ends[1], &channel), XT_OK);
    open_site(channel);
    open_exchange(&woken);
    mode = SENDS;
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_WAIT);
    assert_true(read(ends[0], packet, sizeof(packet)) > 0); /* it had it */
    close(ends[0]);
    for (unsigned i = 0; i < 1000 && woken == 0; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(woken, 1);
    assert_int_equal(feed("", &used), XT_EXCHANGE_MORE);
    assert_non_null(strstr(output, "HTTP/1.1 503"));
    assert_non_null(strstr(output, "outcome_unknown"));
    output_size = 0;
    assert_int_equal(feed(LATER("\"ab\""), &used), XT_EXCHANGE_MORE); /* now there is none */
    assert_non_null(strstr(output, "HTTP/1.1 503"));
    assert_non_null(strstr(output, "not_ready"));
    assert_int_equal(finished, 2);
    xt_exchange_close(&exchange);
    xt_writer_channel_close(channel);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    close_site();
}

/* ---- over sockets ------------------------------------------------------------------------------- */

static struct xt_listener listener;
static unsigned port;

static void listen_here(void)
{
    int socket = -1;
    char address[XT_ADDRESS_TEXT];
    struct xt_failure failure;
    struct xt_entrance entrance = {.routes = &later_site};
    open_site(NULL);
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
    xt_listener_stop(&listener);
    xt_connections_abort(&listener.connections);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    xt_listener_close(&listener);
    assert_int_equal(uv_loop_close(&loop), 0);
    close_site();
}

static void wait_until_pending(unsigned count)
{
    for (unsigned i = 0; i < 1000 && pending_count < count; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(pending_count, count);
}

static void expect(struct test_client *client, int status)
{
    struct test_response response;
    for (unsigned i = 0; i < 20; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(test_client_response(client, false, &response));
    assert_int_equal(response.status, status);
    test_response_release(&response);
}

static void waiting_keeps_no_buffer_of_the_loop(void **state)
{
    (void)state;
    listen_here();
    struct test_client *client = connect_plain(port), *other = connect_plain(port);
    assert_true(test_client_send_text(client, LATER("\"ab\"")));
    wait_until_pending(1);
    struct xt_connections *all = &listener.connections;
    assert_false(xt_ring_is_empty(&all->phases[XT_PHASE_DEFERRED]));
    unsigned lent = all->buffers.out_count;
    assert_true(test_client_send_text(other, LATER("\"ab\"") NOW)); /* this one has input left */
    wait_until_pending(2);
    assert_int_equal(all->buffers.out_count, lent + 1);
    xt_deferred_done(pending[1], XT_OK);
    expect(other, 200);
    expect(other, 200);
    assert_int_equal(all->buffers.out_count, lent);
    xt_deferred_done(pending[0], XT_OK);
    expect(client, 200);
    assert_false(xt_ring_is_empty(&all->phases[XT_PHASE_IDLE]));
    test_client_close(client);
    test_client_close(other);
    stop_listening();
}

static void time_limit_is_kept(void **state)
{
    (void)state;
    listen_here();
    struct test_client *client = connect_plain(port);
    assert_true(test_client_send_text(client, LATER("\"ab\"")));
    wait_until_pending(1);
    struct xt_ring *waiting = &listener.connections.phases[XT_PHASE_DEFERRED];
    struct xt_connection *connection = xt_ring_entry(waiting->next, struct xt_connection, link);
    xt_connections_sweep(&listener.connections);
    assert_false(connection->exchange.deferred->late);
    connection->since_ms -= rig.settings.answer_ms;
    xt_connections_sweep(&listener.connections);
    expect(client, 503);
    assert_int_equal(finished, 0);
    xt_deferred_done(pending[0], XT_OK);
    assert_int_equal(without_client, 1);
    test_client_close(client);
    stop_listening();
}

static void connections_that_are_cut_off_leave_the_work(void **state)
{
    (void)state;
    listen_here();
    struct test_client *client = connect_plain(port);
    assert_true(test_client_send_text(client, LATER("\"ab\"")));
    wait_until_pending(1);
    xt_connections_abort(&listener.connections);
    xt_deferred_done(pending[0], XT_OK); /* before the close callback, as at a worker's end */
    assert_int_equal(finished, 1);
    assert_int_equal(without_client, 1);
    test_client_close(client);
    stop_listening();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_behind_it_wait_for_their_answers),
        cmocka_unit_test(what_is_done_at_once_is_answered_at_once),
        cmocka_unit_test(body_is_wiped_while_it_waits),
        cmocka_unit_test(last_answer_of_a_connection_says_so),
        cmocka_unit_test(late_answer_is_503_and_the_work_ends_by_itself),
        cmocka_unit_test(client_that_leaves_does_not_end_the_work),
        cmocka_unit_test(more_than_there_is_room_for_are_refused_at_once),
        cmocka_unit_test(held_answer_leaves_at_a_whole_step),
        cmocka_unit_test(held_answer_without_a_client_is_written_down),
        cmocka_unit_test(writer_that_is_gone_leaves_the_outcome_unknown),
        cmocka_unit_test(waiting_keeps_no_buffer_of_the_loop),
        cmocka_unit_test(time_limit_is_kept),
        cmocka_unit_test(connections_that_are_cut_off_leave_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
