/* POST /v1/verify/batch against lists and clients that mean harm: each line has its answer or the list a bounded
 * end, the worker's memory stays what it was, and others are served.
 * XT_MIB in the environment: how long the longest line is (64; a soak takes 1024).
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/net/feed.h"
#include "tests/test.h"

#define BATCH "/v1/verify/batch"
#define MIB (1U << 20)
/* That a worker may grow by meanwhile: buffers of a few connections. Its own memory, not the pages it maps. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH (512U << 20) /* it keeps what was freed */
#else
#define GROWTH (16U << 20)
#endif

static const char *const one_worker[] = {"--workers", "1", NULL};
static struct server server;
static char right_line[400];
static size_t right_size;

static int begin(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    char id[16], name[200];
    char *person = person_line(11);
    member_of(person, "id", id, sizeof(id));
    member_of(person, "full_name", name, sizeof(name));
    free(person);
    right_size = (size_t)snprintf(right_line, sizeof(right_line),
                                  "{\"txn\":\"r\",\"id\":\"%s\",\"purpose\":\"demo.verify\","
                                  "\"claims\":{\"full_name\":\"%s\"}}\n",
                                  id, name);
    server_start_with(&server, "write_stall_timeout = 1s\n", one_worker);
    return 0;
}

static int end(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

static uint64_t number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* Of the worker: what it does not share with a file. */
static uint64_t own_memory(void)
{
    char path[64];
    pid_t worker;
    assert_int_equal(server_workers(&server, &worker, 1), 1);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)worker);
    char *status = read_text(path);
    uint64_t kib = number_of(status, "RssAnon:");
    free(status);
    assert_true(kib > 0);
    return kib * 1024;
}

/* Others are answered, and the worker is as large as it was. */
static void expect_unharmed(uint64_t before)
{
    struct test_response response;
    struct test_client *client = connect_as(&server, "wide");
    assert_true(test_client_request(client, "POST", BATCH, "Content-Type: application/x-ndjson\r\n",
                                    right_line, &response));
    assert_non_null(strstr(response.body, "\"verified\":1,"));
    test_response_release(&response);
    test_client_close(client);
    assert_true(own_memory() < before + GROWTH);
}

static void send_bytes(struct feed *feed, const void *data, size_t size)
{
    char head[32];
    int length = snprintf(head, sizeof(head), "%zx\r\n", size);
    assert_true(test_client_send(feed->client, head, (size_t)length) &&
                test_client_send(feed->client, data, size) &&
                test_client_send(feed->client, "\r\n", 2));
}

/* The end of the list, and its summary. */
static void expect_end(struct feed *feed, uint64_t lines, uint64_t errors)
{
    char line[FEED_LINE_MAX];
    feed_end(feed);
    assert_true(feed_line(feed, line));
    assert_int_equal(number_of(line, "{\"summary\":{\"lines\":"), lines);
    assert_int_equal(number_of(line, "\"errors\":"), errors);
    assert_false(feed_line(feed, line));
    assert_true(feed->ended);
    test_client_close(feed->client);
}

static void a_line_over_the_limit_has_its_own_answer_however_long_it_is(void **state)
{
    (void)state;
    static struct feed feed;
    static char piece[MIB];
    char line[FEED_LINE_MAX];
    const char *asked = getenv("XT_MIB");
    uint64_t before = own_memory();
    memset(piece, 'x', sizeof(piece));
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    send_bytes(&feed, right_line, right_size);
    for (unsigned i = 0; i < (asked != NULL ? strtoul(asked, NULL, 10) : 64); i++) {
        send_bytes(&feed, piece, sizeof(piece));
    }
    send_bytes(&feed, "\n", 1);
    send_bytes(&feed, right_line, right_size);
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "{\"line\":1,\"txn\":\"r\""));
    assert_true(feed_line(&feed, line));
    assert_non_null(
        strstr(line, "{\"line\":2,\"status\":413,\"code\":\"line_too_long\",\"answer_id\""));
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "{\"line\":3,\"txn\":\"r\""));
    expect_end(&feed, 3, 1);
    expect_unharmed(before);
}

static void a_line_without_end_is_answered_when_the_list_ends(void **state)
{
    (void)state;
    static struct feed feed;
    static char piece[MIB];
    char line[FEED_LINE_MAX];
    uint64_t before = own_memory();
    memset(piece, '[', sizeof(piece));
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    send_bytes(&feed, "{\"id\":\"", 7);
    for (unsigned i = 0; i < 16; i++) {
        send_bytes(&feed, piece, sizeof(piece));
    }
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "{\"line\":1,\"status\":413,\"code\":\"line_too_long\""));
    expect_end(&feed, 1, 1);
    expect_unharmed(before);
}

static void what_is_no_text_is_answered_line_by_line(void **state)
{
    (void)state;
    static struct feed feed;
    static const char lines[] = "\0\n"
                                "{\"id\":\"00\0\",\"purpose\":\"demo.verify\"}\n"
                                "{\"id\":\"\xff\xfe\",\"purpose\":\"demo.verify\"}\n"
                                "\xef\xbb\xbf{}\n"
                                "[[[[[[[[[[[[[[[[[[[[[[[[\n"
                                "{\"txn\":\"a\n"
                                "\",\"id\":\n"
                                "\"\n";
    char line[FEED_LINE_MAX];
    uint64_t before = own_memory();
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    send_bytes(&feed, lines, sizeof(lines) - 1);
    for (unsigned i = 1; i <= 8; i++) {
        assert_true(feed_line(&feed, line));
        assert_int_equal(number_of(line, "{\"line\":"), i);
        assert_non_null(strstr(line, "\"status\":400,\"code\":\"invalid_request\",\"errors\":[{"
                                     "\"pointer\":\"\",\"code\":\"malformed_json\"}]"));
    }
    expect_end(&feed, 8, 8);
    expect_unharmed(before);
}

static void ten_million_blank_lines_are_nothing(void **state)
{
    (void)state;
    static struct feed feed;
    static char piece[MIB];
    char line[FEED_LINE_MAX];
    uint64_t before = own_memory();
    memset(piece, '\n', sizeof(piece));
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    for (unsigned i = 0; i < 10; i++) {
        send_bytes(&feed, piece, sizeof(piece));
    }
    send_bytes(&feed, right_line, right_size);
    assert_true(feed_line(&feed, line));
    assert_int_equal(number_of(line, "{\"line\":"), 10 * MIB + 1);
    expect_end(&feed, 1, 0);
    expect_unharmed(before);
}

/* Whether the socket takes more within a while. */
static bool takes_more(const struct test_client *client)
{
    struct pollfd look = {.fd = test_client_socket(client), .events = POLLOUT};
    return poll(&look, 1, 300) == 1;
}

/* It is not read from, and cut off in the end; meanwhile it costs one list's memory. */
static void a_client_that_never_reads_is_cut_off(void **state)
{
    (void)state;
    static struct feed feed;
    static char lines[64 * sizeof(right_line)];
    enum { MOST = 100000 };
    unsigned sent = 0;
    int small = 65536;
    uint64_t before = own_memory();
    lines[0] = '\0';
    for (unsigned i = 0; i < 64; i++) {
        memcpy(lines + i * right_size, right_line, right_size);
    }
    struct test_client *client = connect_as(&server, "demo");
    assert_int_equal(
        setsockopt(test_client_socket(client), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    feed_open(&feed, client, BATCH);
    while (sent < MOST && takes_more(client)) {
        char head[32];
        int length = snprintf(head, sizeof(head), "%zx\r\n", 64 * right_size);
        if (!test_client_send(client, head, (size_t)length) ||
            !test_client_send(client, lines, 64 * right_size) ||
            !test_client_send(client, "\r\n", 2)) {
            break; /* it was quick to cut us off */
        }
        sent++;
    }
    assert_in_range(sent, 1, MOST - 1);
    expect_unharmed(before);
    struct pollfd look = {.fd = test_client_socket(client), .events = 0};
    assert_int_equal(poll(&look, 1, 10000), 1); /* a reset: what we sent was never read */
    assert_true((look.revents & (POLLHUP | POLLERR)) != 0);
    test_client_close(client);
    expect_unharmed(before);
}

static void clients_that_go_away_leave_nothing(void **state)
{
    (void)state;
    static struct feed feed;
    uint64_t before = own_memory();
    for (unsigned i = 0; i < 200; i++) {
        feed_open(&feed, connect_as(&server, "demo"), BATCH);
        for (unsigned j = 0; j < i % 5; j++) {
            send_bytes(&feed, right_line, right_size);
        }
        send_bytes(&feed, right_line, right_size / 2);
        if (i % 2 == 0) {
            test_client_close(feed.client); /* with a word */
        } else {
            struct linger at_once = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(test_client_socket(feed.client), SOL_SOCKET, SO_LINGER, &at_once,
                             sizeof(at_once));
            test_client_close(feed.client); /* with a reset */
        }
    }
    expect_unharmed(before);
}

static void half_a_line_at_the_end_is_a_line(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    send_bytes(&feed, right_line, right_size / 2);
    feed_end(&feed);
    assert_true(feed_line(&feed, line));
    assert_non_null(strstr(line, "\"malformed_json\""));
    assert_true(feed_line(&feed, line));
    assert_int_equal(number_of(line, "\"errors\":"), 1);
    test_client_close(feed.client);
}

/* Every cut of the same bytes into chunks gives the same answers. */
static void any_split_of_the_bytes_is_answered_the_same(void **state)
{
    (void)state;
    static struct feed feed;
    char line[FEED_LINE_MAX];
    feed_open(&feed, connect_as(&server, "demo"), BATCH);
    for (size_t cut = 1; cut < right_size; cut++) {
        send_bytes(&feed, right_line, cut);
        send_bytes(&feed, right_line + cut, right_size - cut);
        assert_true(feed_line(&feed, line));
        assert_int_equal(number_of(line, "{\"line\":"), cut);
        assert_non_null(strstr(line, "\"verdict\":\"verified\""));
    }
    expect_end(&feed, right_size - 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_text_is_answered_line_by_line),
        cmocka_unit_test(half_a_line_at_the_end_is_a_line),
        cmocka_unit_test(any_split_of_the_bytes_is_answered_the_same),
        cmocka_unit_test(a_line_over_the_limit_has_its_own_answer_however_long_it_is),
        cmocka_unit_test(a_line_without_end_is_answered_when_the_list_ends),
        cmocka_unit_test(ten_million_blank_lines_are_nothing),
        cmocka_unit_test(a_client_that_never_reads_is_cut_off),
        cmocka_unit_test(clients_that_go_away_leave_nothing),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
