/* /metrics of thousands of partners: in pieces, in bounded memory, however slowly it is read. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "net/connection.h"
#include "net/listener.h"
#include "net/metrics.h"
#include "net/shared_internal.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

#define OUTPUT_MAX (64U << 20)

static const char question[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
static char folder[] = "/tmp/xt-scrape-XXXXXX";

static int write_partners(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s/partners", mkdtemp(folder));
    if (mkdir(path, 0700) != 0) {
        return 1;
    }
    for (unsigned i = 0; i < XT_PARTNERS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/partners/p%u.json", folder, i);
        FILE *file = fopen(path, "w");
        if (file == NULL) {
            return 1;
        }
        fprintf(file,
                "{\"name\":\"p%u\",\"certificates\":[{\"spki_sha256\":\"%064x\"}],"
                "\"purposes\":[]}",
                i, i + 1);
        fclose(file);
    }
    xt_crypto_start();
    return 0;
}

static int remove_partners(void **state)
{
    (void)state;
    char path[256];
    for (unsigned i = 0; i < XT_PARTNERS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/partners/p%u.json", folder, i);
        (void)unlink(path);
    }
    snprintf(path, sizeof(path), "%s/partners", folder);
    return rmdir(path) == 0 && rmdir(folder) == 0 ? 0 : 1;
}

/* 4096 partners with counters of two workers; no server could be asked that much in a test. */
struct large {
    struct xt_settings settings;
    struct xt_service service;
    struct xt_http_shared http;
    struct xt_shared *supervisor, *workers[2];
};

static void large_open(struct large *large)
{
    static uint32_t cells[XT_PARTNERS_MAX];
    struct xt_failure failure;
    struct xt_partners *partners = NULL;
    int fds[XT_SHARED_FDS];
    xt_settings_defaults(&large->settings);
    assert_int_equal(xt_service_open(&large->service, &large->settings), XT_OK);
    assert_int_equal(xt_shared_create(2, &large->supervisor, &failure), XT_OK);
    xt_shared_hand(large->supervisor, fds);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(xt_shared_attach(fds, i, &large->workers[i], &failure), XT_OK);
    }
    assert_int_equal(xt_partners_load(folder, NULL, NULL, NULL, &partners, &failure), XT_OK);
    assert_int_equal(xt_partners_count(partners), XT_PARTNERS_MAX);
    xt_shared_assign(large->supervisor, partners, 1000, cells);
    xt_service_share(&large->service, large->workers[0], 0);
    assert_int_equal(xt_service_take_partners(&large->service, partners, cells), XT_OK);
    for (unsigned i = 0; i < XT_PARTNERS_MAX; i++) {
        unsigned number = (unsigned)atoi(xt_partners_at(partners, i)->name + 1);
        for (unsigned worker = 0; worker < 2; worker++) {
            xt_shared_use(large->workers[worker], worker, cells[i]);
            struct xt_partner_counters *counters =
                &xt_shared_counters(large->workers[worker], worker)->by_partner[cells[i]];
            for (unsigned outcome = 0; outcome < 5; outcome++) {
                xt_counter_add(&counters->outcomes[0][outcome], 1000 + number);
            }
        }
    }
    xt_service_set_time(&large->service, 1795251600123, 2000000000000);
    xt_http_shared_open(&large->http, &large->settings);
}

static void large_close(struct large *large)
{
    xt_http_shared_close(&large->http);
    xt_service_close(&large->service);
    xt_shared_close(large->supervisor);
    xt_shared_close(large->workers[0]);
    xt_shared_close(large->workers[1]);
}

/* Takes a chunked body apart; the caller frees it. */
static char *join_chunks(const char *text)
{
    char *body = malloc(strlen(text) + 1);
    size_t size = 0;
    assert_non_null(body);
    for (;;) {
        char *end = NULL;
        unsigned long chunk = strtoul(text, &end, 16);
        assert_true(end > text);
        assert_memory_equal(end, "\r\n", 2);
        memcpy(body + size, end + 2, chunk);
        size += chunk;
        assert_memory_equal(end + 2 + chunk, "\r\n", 2);
        text = end + 2 + chunk + 2;
        if (chunk == 0) {
            body[size] = '\0';
            assert_string_equal(text, "");
            return body;
        }
    }
}

static void four_thousand_partners_leave_in_bounded_pieces(void **state)
{
    (void)state;
    static struct large large;
    static uint8_t room[XT_OUTPUT_MAX];
    struct xt_exchange exchange;
    size_t size = 0, used = 0;
    unsigned turns = 0;
    char *output = malloc(64U << 20);
    assert_non_null(output);
    large_open(&large);
    xt_exchange_open(&exchange, &large.http, &large.service, &xt_admin_routes, false);
    enum xt_exchange_result result = XT_EXCHANGE_FULL;
    for (size_t at = 0; result == XT_EXCHANGE_FULL; at += used, turns++) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        result = xt_exchange_run(&exchange, (const uint8_t *)question + at,
                                 sizeof(question) - 1 - at, &used, &writer);
        assert_true(size + writer.size < 64U << 20);
        memcpy(output + size, room, writer.size);
        size += writer.size;
        assert_true(large.service.scrapes == (result == XT_EXCHANGE_FULL));
    }
    assert_int_equal(result, XT_EXCHANGE_MORE);
    assert_true(size > 10 * sizeof(room) && turns >= size / sizeof(room));
    output[size] = '\0';
    char *body = join_chunks(strstr(output, "\r\n\r\n") + 4);
    struct scrape scrape;
    scrape_read(&scrape, body);
    no_series_is_there_twice(&scrape);
    assert_true(value_of(&scrape, OF_PARTNER("p77", "result=\"verified\",code=\"200\"")) == 2154);
    assert_true(value_of(&scrape, OF_PARTNER("p4095", "result=\"refused\",code=\"401\"")) == 10190);
    assert_true(sum_of(&scrape, "xacthuc_partner_requests_total") ==
                10.0 * (1000.0 * 4096 + 4095.0 * 4096 / 2));
    scrape_free(&scrape);
    free(body);
    free(output);

    /* A scraper that goes away gives everything back; more than a few at a time are refused. */
    static struct xt_exchange many[XT_SCRAPES_MAX + 1];
    for (unsigned i = 0; i <= XT_SCRAPES_MAX; i++) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        xt_exchange_open(&many[i], &large.http, &large.service, &xt_admin_routes, false);
        result = xt_exchange_run(&many[i], (const uint8_t *)question, sizeof(question) - 1, &used,
                                 &writer);
        assert_int_equal(result, i < XT_SCRAPES_MAX ? XT_EXCHANGE_FULL : XT_EXCHANGE_MORE);
        assert_memory_equal(room, i < XT_SCRAPES_MAX ? "HTTP/1.1 200" : "HTTP/1.1 503", 12);
    }
    for (unsigned i = 0; i <= XT_SCRAPES_MAX; i++) {
        xt_exchange_close(&many[i]);
    }
    assert_int_equal(large.service.scrapes, 0);
    xt_exchange_close(&exchange);
    large_close(&large);
}

/* ---- workers that have been taken over -------------------------------------------------------- */

/* Bytes of the whole answer; no piece is larger than its room. */
static size_t scrape_all(struct large *large)
{
    static uint8_t room[XT_OUTPUT_MAX];
    struct xt_exchange exchange;
    enum xt_exchange_result result = XT_EXCHANGE_FULL;
    size_t size = 0, used = 0;
    xt_exchange_open(&exchange, &large->http, &large->service, &xt_admin_routes, false);
    for (size_t at = 0; result == XT_EXCHANGE_FULL; at += used) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        result = xt_exchange_run(&exchange, (const uint8_t *)question + at,
                                 sizeof(question) - 1 - at, &used, &writer);
        assert_false(writer.overflow);
        size += writer.size;
        assert_true(size < OUTPUT_MAX);
    }
    assert_int_equal(result, XT_EXCHANGE_MORE);
    xt_exchange_close(&exchange);
    return size;
}

static void metrics_bear_any_number_in_shared_memory(void **state)
{
    (void)state;
    static struct large large;
    static const int bytes[] = {0xff, 0x0a, 0x22, 0x01, 0};
    large_open(&large);
    size_t before = scrape_all(&large);
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        struct xt_counters *counters = xt_shared_counters(large.workers[1], 1);
        memset(counters, bytes[i], sizeof(*counters));
        assert_true(scrape_all(&large) > before / 4);
    }
    /* And if it were the header, which no child can write. */
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        memset(large.supervisor->header, bytes[i], sizeof(*large.supervisor->header));
        assert_true(scrape_all(&large) > 1000);
        for (uint32_t cell = 0; cell < XT_CELLS; cell++) {
            struct xt_shared_cell *told = &large.supervisor->header->cells[cell];
            told->version = 2; /* a whole name of the greatest length, all to be escaped */
            told->name_size = XT_PARTNER_NAME_MAX;
            told->epoch = 1;
            told->retired_ms = 0;
        }
        assert_true(scrape_all(&large) > 1000);
    }
    large_close(&large);
}

/* ---- a scraper that hardly reads -------------------------------------------------------------- */

struct slow {
    unsigned port;
    char *text;
    size_t size;
    atomic_bool done;
};

static void *read_slowly(void *argument)
{
    struct slow *slow = argument;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)slow->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        write(fd, question, sizeof(question) - 1) > 0) {
        /* Until the last chunk; the connection stays open, as scrapers keep it. */
        while (slow->size < 5 || memcmp(slow->text + slow->size - 5, "0\r\n\r\n", 5) != 0) {
            ssize_t got = recv(fd, slow->text + slow->size, 1000, 0);
            if (got <= 0) {
                break;
            }
            slow->size += (size_t)got;
        }
    }
    close(fd);
    slow->text[slow->size] = '\0';
    slow->done = true;
    return NULL;
}

static void a_slow_scraper_gets_all_of_it(void **state)
{
    (void)state;
    static struct large large;
    static struct xt_connections connections;
    struct xt_entrance entrance = {.tls = NULL, .routes = &xt_admin_routes};
    const uint8_t address[16] = {0};
    struct xt_failure failure;
    struct slow slow = {.text = malloc(OUTPUT_MAX)};
    char name[XT_ADDRESS_TEXT];
    uv_loop_t loop;
    pthread_t thread;
    int listener = -1, socket = -1, small = 4096;
    assert_non_null(slow.text);
    large_open(&large);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(xt_connections_open(&connections, &loop, &large.settings, &large.service),
                     XT_OK);
    connections.probes = true;
    assert_int_equal(xt_listen("127.0.0.1:0", &listener, &failure), XT_OK);
    xt_listening_address(listener, name);
    slow.port = (unsigned)strtoul(strchr(name, ':') + 1, NULL, 10);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &slow), 0);
    while (socket < 0) {
        socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    xt_connection_open(&connections, &entrance, socket, address);
    bool waited = false;
    while (!slow.done) {
        uv_run(&loop, UV_RUN_NOWAIT);
        waited = waited || !xt_ring_is_empty(&connections.phases[XT_PHASE_WRITING]);
    }
    pthread_join(thread, NULL);
    assert_true(waited); /* the socket did refuse to take more */
    char *start = strstr(slow.text, "\r\n\r\n"), *body = join_chunks(start + 4);
    struct scrape scrape;
    scrape_read(&scrape, body);
    no_series_is_there_twice(&scrape);
    assert_true(sum_of(&scrape, "xacthuc_partner_requests_total") ==
                10.0 * (1000.0 * 4096 + 4095.0 * 4096 / 2));
    assert_true(value_of(&scrape, OF_PARTNER("p4095", "result=\"refused\",code=\"401\"")) == 10190);
    scrape_free(&scrape);
    free(body);
    free(slow.text);
    xt_connections_abort(&connections);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(large.service.scrapes, 0);
    xt_connections_close(&connections);
    close(listener);
    large_close(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_thousand_partners_leave_in_bounded_pieces),
        cmocka_unit_test(metrics_bear_any_number_in_shared_memory),
        cmocka_unit_test(a_slow_scraper_gets_all_of_it),
    };
    return cmocka_run_group_tests(tests, write_partners, remove_partners);
}
