/* Whom the real server refuses in the handshake, before it reads a byte of a request, and when it changes
 * its mind about those it let in. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/authority.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

static const char get[] = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
static const char ask[] = "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\","
                          "\"claims\":{\"full_name\":\"An\"}}";

static struct server server;

/* ---- certificates ----------------------------------------------------------------------------- */

static void issue(const char *name, int use, time_t from, time_t until, const char *authority)
{
    char key[512], certificate[512], ca_key[512], ca[512];
    uint8_t spki[XT_SPKI_SHA256];
    struct xt_failure failure;
    snprintf(key, sizeof(key), "%s/%s.key", deployment("issued"), name);
    snprintf(certificate, sizeof(certificate), "%s/%s.crt", deployment("issued"), name);
    snprintf(ca_key, sizeof(ca_key), "%s", deployment("DIR/keys/ca.key"));
    snprintf(ca, sizeof(ca), "%s", deployment("DIR/ca.crt"));
    if (authority != NULL) { /* another one, of this name */
        snprintf(ca_key, sizeof(ca_key), "%s.key", deployment(authority));
        snprintf(ca, sizeof(ca), "%s.crt", deployment(authority));
        assert_int_equal(xt_authority_create(ca_key, ca, authority, &failure), XT_OK);
    }
    struct xt_certificate_request request = {.use = (enum xt_certificate_use)use,
                                             .common_name = name,
                                             .not_before = from,
                                             .not_after = until};
    assert_int_equal(xt_authority_issue(ca_key, ca, &request, key, certificate, spki, &failure),
                     XT_OK);
}

/* What our own authority would never issue: with extensions of the openssl command. */
static bool issue_odd(const char *name, const char *extensions)
{
    char command[2048];
    snprintf(
        command, sizeof(command),
        "cd '%s' && command -v openssl && printf '%s' > %s.ext && "
        "openssl ecparam -name prime256v1 -genkey -noout -out issued/%s.key && "
        "chmod 600 issued/%s.key && openssl req -new -key issued/%s.key -subj /CN=%s -out odd.csr "
        "&& openssl x509 -req -in odd.csr -CA DIR/ca.crt -CAkey DIR/keys/ca.key -days 1 "
        "-set_serial 77 -extfile %s.ext -out issued/%s.crt",
        deployment(""), extensions, name, name, name, name, name, name, name);
    return run("/bin/sh", "-c", command, NULL) == 0;
}

static void revoke_certificate(const char *partner)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s.crt", deployment("issued"), partner);
    assert_int_equal(run(xacthuc(), "partner", "revoke", deployment("DIR"), "--cert", path, NULL),
                     0);
}

static void forget_list(void)
{
    (void)remove(deployment("DIR/revoked.crl"));
}

/* ---- the server ------------------------------------------------------------------------------- */

/* The sum of all samples of /metrics that begin so. */
static uint64_t metric(const char *begin)
{
    struct test_client *client = connect_plain(server.admin_port);
    struct test_response response;
    uint64_t sum = 0;
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    const char *at = response.body;
    while ((at = strstr(at, begin)) != NULL) {
        if (at == response.body || at[-1] == '\n') {
            sum += strtoull(at + strcspn(at, " \n"), NULL, 10);
        }
        at += strlen(begin);
    }
    test_response_release(&response);
    test_client_close(client);
    return sum;
}

/* Requests that partners made; those for /metrics are ours. */
static uint64_t requests(void)
{
    return metric("xacthuc_requests_total{route=\"/openapi.json\"") +
           metric("xacthuc_requests_total{route=\"/v1/verify\"");
}

static unsigned count_logged(const char *text)
{
    char *log = server_log();
    unsigned count = 0;
    for (const char *at = log; (at = strstr(at, text)) != NULL; at += strlen(text)) {
        count++;
    }
    free(log);
    return count;
}

/* SIGHUP, and until every worker has what is new. */
static void reload(void)
{
    unsigned before = count_logged("\"event\":\"reloaded\"");
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 10; count_logged("\"event\":\"reloaded\"") == before; sleep_ms(5)) {
        if (now_s() > end) {
            fail_msg("no reload: %s", server_log());
        }
    }
}

/* ---- refused certificates --------------------------------------------------------------------- */

/* A client that sends its request at once, together with the end of its handshake, gets an alert, and its
 * request is not read. NULL alert: the client itself may see it first. */
static void assert_no_entry(const struct test_client_options *options, const char *alert)
{
    char error[TEST_ERROR_MAX] = "", byte;
    uint64_t refused = metric("xacthuc_tls_handshakes_total{result=\"refused\"");
    uint64_t before = requests();
    struct test_client *client = test_client_open(options, error);
    if (client != NULL) { /* with TLS 1.3 it learns only from its first read */
        (void)test_client_send_text(client, get);
        assert_true(test_client_receive(client, &byte, 1) < 0);
        snprintf(error, sizeof(error), "%s", test_client_error(client));
        test_client_close(client);
    }
    assert_string_equal(error, alert);
    assert_int_equal(metric("xacthuc_tls_handshakes_total{result=\"refused\""), refused + 1);
    assert_int_equal(requests(), before);
}

static void assert_certificate_refused(const char *name, const char *alert)
{
    struct test_client_options options = options_as(&server, name);
    assert_no_entry(&options, alert);
}

static void only_certificates_for_clients_of_our_authority_that_are_in_force_get_in(void **state)
{
    (void)state;
    time_t now = time(NULL);
    issue("expired", XT_CERTIFICATE_CLIENT, now - 7200, now - 60, NULL);
    issue("early", XT_CERTIFICATE_CLIENT, now + 3600, now + 7200, NULL);
    issue("serverlike", XT_CERTIFICATE_SERVER, now - 60, now + 3600, NULL);
    issue("foreign", XT_CERTIFICATE_CLIENT, now - 60, now + 3600, "other");
    assert_certificate_refused(NULL, "alert_certificate_required");
    assert_certificate_refused("foreign", "alert_unknown_ca");
    assert_certificate_refused("expired", "alert_certificate_expired");
    assert_certificate_refused("early", "alert_certificate_expired");
    assert_certificate_refused("serverlike", "alert_unsupported_certificate");
    assert_int_equal(requests(), 0);
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/openapi.json", NULL, NULL, &response));
    assert_int_equal(response.status, 200);
    test_response_release(&response);
    test_client_close(client);
    assert_int_equal(requests(), 1);
}

static void authorities_are_no_clients(void **state)
{
    (void)state;
    /* Our authority's own certificate may not sign handshakes at all: no client loads it. */
    if (!issue_odd("leafca", "basicConstraints=critical,CA:TRUE\\nextendedKeyUsage=clientAuth\\n"
                             "keyUsage=critical,digitalSignature,keyCertSign\\n")) {
        skip();
    }
    assert_certificate_refused("leafca", "alert_unsupported_certificate");
    assert_true(issue_odd("silent", "keyUsage=critical,digitalSignature\\n"));
    assert_certificate_refused("silent", "alert_unsupported_certificate");
    assert_true(issue_odd("any", "extendedKeyUsage=anyExtendedKeyUsage\\n"));
    assert_certificate_refused("any", "alert_unsupported_certificate");
}

/* ---- revoked ---------------------------------------------------------------------------------- */

static struct xt_tls_context *resuming(const char *partner)
{
    struct test_client_options options = options_as(&server, partner);
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority,
                                        .resume = true};
    struct xt_tls_context *context;
    struct xt_failure failure;
    assert_int_equal(xt_tls_client(&files, &context, &failure), XT_OK);
    return context;
}

/* One request on a connection of its own; was the session resumed? */
static bool ask_resuming(struct xt_tls_context *context)
{
    char error[TEST_ERROR_MAX] = "";
    struct test_client_options options = {.port = server.port, .context = context};
    struct test_client *client = test_client_open(&options, error);
    struct test_response response;
    if (client == NULL) {
        fail_msg("refused: %s", error);
    }
    assert_int_equal(verify(client, ask, &response), 200);
    test_response_release(&response);
    bool resumed = xt_tls_resumed(test_client_tls(client));
    test_client_close(client);
    return resumed;
}

static void assert_answer(struct test_client *client, int status, const char *code)
{
    struct test_response response;
    assert_int_equal(verify(client, ask, &response), status);
    if (code != NULL) {
        assert_non_null(strstr(response.body, code));
    }
    test_response_release(&response);
}

static void who_is_revoked_is_out_on_new_resumed_and_open_connections(void **state)
{
    (void)state;
    struct xt_tls_context *session = resuming("demo");
    struct test_client *open = connect_as(&server, "demo");
    struct test_client *other = connect_as(&server, "wide");
    assert_false(ask_resuming(session));
    assert_true(ask_resuming(session));
    assert_answer(open, 200, NULL);
    assert_answer(other, 200, NULL);

    revoke_certificate("demo");
    reload();
    for (int i = 0; i < 3; i++) {
        assert_answer(open, 401, "\"code\":\"certificate_refused\"");
    }
    assert_answer(other, 200, NULL);
    assert_certificate_refused("demo", "alert_certificate_revoked");
    struct test_client_options options = {.port = server.port, .context = session};
    uint64_t resumed = metric("xacthuc_tls_handshakes_total{result=\"resumed\"");
    assert_no_entry(&options, "alert_certificate_revoked");
    assert_int_equal(metric("xacthuc_tls_handshakes_total{result=\"resumed\""), resumed);
    assert_int_equal(status_of(&server, "wide", ask), 200);
    char *log = server_log();
    assert_non_null(strstr(log, "\"reason\":\"certificate_revoked\""));
    free(log);

    test_client_close(open);
    test_client_close(other);
    xt_tls_context_close(session);
    forget_list();
}

static void a_bad_list_is_refused_and_the_old_one_stays(void **state)
{
    (void)state;
    revoke_certificate("narrow");
    reload();
    struct test_client *client = connect_as(&server, "demo");
    assert_certificate_refused("narrow", "alert_certificate_revoked");
    unsigned refused = count_logged("\"event\":\"reload_refused\"");
    write_text(deployment("DIR/revoked.crl"), "not a list\n");
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 10;
         count_logged("\"event\":\"reload_refused\"") == refused && now_s() < end;) {
        sleep_ms(5);
    }
    assert_int_equal(count_logged("\"event\":\"reload_refused\""), refused + 1);
    assert_true(server_log_has("holds no list of revoked certificates", 1000));
    assert_certificate_refused("narrow", "alert_certificate_revoked");
    assert_answer(client, 200, NULL);
    test_client_close(client);
    forget_list();
}

/* ---- resumption ------------------------------------------------------------------------------- */

static void every_worker_resumes_every_session(void **state)
{
    (void)state;
    enum { CONNECTIONS = 24 };
    struct xt_tls_context *session = resuming("demo");
    pid_t workers[8];
    assert_false(ask_resuming(session));
    for (int i = 0; i < CONNECTIONS; i++) { /* the kernel spreads them over two workers */
        assert_true(ask_resuming(session));
    }
    reload();
    assert_true(ask_resuming(session));
    /* Another process in a dead one's place has the same keys. */
    assert_int_equal(server_workers(&server, workers, 8), 2);
    for (int i = 0; i < 2; i++) {
        unsigned started = count_logged("\"event\":\"worker_started\"");
        kill(workers[i], SIGKILL);
        for (double end = now_s() + 10;
             count_logged("\"event\":\"worker_started\"") == started && now_s() < end;) {
            sleep_ms(5);
        }
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_true(ask_resuming(session));
    }
    xt_tls_context_close(session);
}

/* ---- what is no handshake of ours ------------------------------------------------------------- */

/* Sends bytes past TLS and gives what comes back until the server closes; fails when it does not. */
static size_t exchange_raw(const void *bytes, size_t size, uint8_t *answer, size_t room)
{
    uint64_t before = requests();
    struct test_client *client = connect_plain(server.port);
    (void)test_client_send(client, bytes, size);
    size_t got = 0;
    long more;
    while (got < room && (more = test_client_receive(client, answer + got, room - got)) > 0) {
        got += (size_t)more;
    }
    assert_string_not_equal(test_client_error(client), "timeout");
    test_client_close(client);
    assert_int_equal(requests(), before);
    return got;
}

/* A fatal alert of TLS: type 21, any version, 2 bytes, level 2. */
static void assert_alert(const uint8_t *answer, size_t size, unsigned description)
{
    assert_int_equal(size, 7);
    assert_int_equal(answer[0], 21);
    assert_int_equal(answer[5], 2);
    assert_int_equal(answer[6], description);
}

/* The first flight of a real client. */
static size_t client_hello(uint8_t *bytes, size_t room)
{
    struct test_client_options options = options_as(&server, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority};
    struct xt_tls_context *context;
    struct xt_failure failure;
    struct xt_tls *tls;
    assert_int_equal(xt_tls_client(&files, &context, &failure), XT_OK);
    assert_int_equal(xt_tls_open(context, "127.0.0.1", &tls), XT_OK);
    assert_int_equal(xt_tls_handshake(tls), XT_AGAIN);
    struct xt_span output = xt_tls_output(tls);
    assert_true(output.size > 0 && output.size <= room);
    memcpy(bytes, output.data, output.size);
    xt_tls_close(tls);
    xt_tls_context_close(context);
    return output.size;
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    /* ClientHellos without supported_versions: TLS 1.2, 1.1, 1.0 and SSL 3. */
    for (uint8_t minor = 3; minor != UINT8_MAX; minor--) {
        uint8_t hello[5 + 4 + 2 + 32 + 1 + 4 + 2] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, minor};
        static const uint8_t tail[] = {0, 0, 2, 0xc0, 0x2f, 1, 0};
        uint8_t answer[512];
        memcpy(hello + sizeof(hello) - sizeof(tail), tail, sizeof(tail));
        size_t size = exchange_raw(hello, sizeof(hello), answer, sizeof(answer));
        assert_alert(answer, size, 70); /* protocol_version */
    }
}

static void clients_that_want_another_protocol_are_refused(void **state)
{
    (void)state;
    uint8_t hello[4096], answer[512];
    size_t size = client_hello(hello, sizeof(hello));
    uint8_t *name = memmem(hello, size, "http/1.1", 8);
    assert_non_null(name);
    memcpy(name, "http/2.0", 8);
    size = exchange_raw(hello, size, answer, sizeof(answer));
    assert_alert(answer, size, 120); /* no_application_protocol */
}

static void what_is_not_tls_is_refused(void **state)
{
    (void)state;
    uint8_t answer[4096], zeros[4096] = {0};
    static const char *const texts[] = {
        "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", "POST /v1/verify HTTP/1.1\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n", "EHLO example.vn\r\n", "\x16\x03\x01\x00\x04\x01\x00\x00\x00"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t size = i + 1 < sizeof(texts) / sizeof(texts[0]) ? strlen(texts[i]) : 9;
        size_t got = exchange_raw(texts[i], size, answer, sizeof(answer));
        assert_true(got == 0 || answer[0] == 21); /* nothing, or an alert; no page */
        assert_null(memmem(answer, got, "HTTP", 4));
    }
    assert_true(exchange_raw(zeros, sizeof(zeros), answer, sizeof(answer)) <= 7);
    /* Application data before any handshake. */
    static const uint8_t early[] = {23, 3, 3, 0, 16, 'G', 'E', 'T', ' ', '/'};
    assert_true(exchange_raw(early, sizeof(early), answer, sizeof(answer)) <= 7);
}

static void a_hello_over_the_limit_is_refused_at_its_header(void **state)
{
    (void)state;
    static uint8_t bytes[64 << 10];
    uint8_t answer[512];
    /* One message of 16 MiB less a byte, announced in its first record. */
    static const uint8_t announced[] = {22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff};
    assert_alert(answer, exchange_raw(announced, sizeof(announced), answer, sizeof(answer)), 47);
    /* A record that says it is larger than any may be. */
    static const uint8_t record[] = {22, 3, 1, 0x48, 0x01};
    assert_alert(answer, exchange_raw(record, sizeof(record), answer, sizeof(answer)), 22);
    /* A hello of 40,000 bytes, really sent. */
    size_t size = 0;
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t header[] = {22, 3, 1, 0x3a, 0x98}; /* 15,000 */
        memcpy(bytes + size, header, sizeof(header));
        memset(bytes + size + sizeof(header), 0, 15000);
        size += sizeof(header) + 15000;
    }
    static const uint8_t message[] = {1, 0, 0xaf, 0xc4}; /* 44,996 */
    memcpy(bytes + 5, message, sizeof(message));
    size = exchange_raw(bytes, size, answer, sizeof(answer));
    assert_true(size <= 7);
}

static void who_stops_in_the_middle_is_let_go(void **state)
{
    (void)state;
    uint8_t hello[4096], answer[8192];
    size_t size = client_hello(hello, sizeof(hello));
    uint64_t before = metric("xacthuc_tls_handshakes_total{result=\"unfinished\"");
    /* exchange_raw waits for the server's close, which comes with the limit on handshakes. */
    assert_int_equal(exchange_raw(hello, 1, answer, sizeof(answer)), 0);
    assert_int_equal(exchange_raw(hello, size / 2, answer, sizeof(answer)), 0);
    assert_int_equal(exchange_raw(hello, size - 1, answer, sizeof(answer)), 0);
    size_t flight = exchange_raw(hello, size, answer, sizeof(answer));
    assert_true(flight > 100 && answer[0] == 22); /* its flight, and then nothing from us */
    assert_int_equal(metric("xacthuc_tls_handshakes_total{result=\"unfinished\""), before + 4);
    /* And who goes away. */
    struct test_client *client = connect_plain(server.port);
    assert_true(test_client_send(client, hello, size));
    test_client_close(client);
    assert_int_equal(status_of(&server, "demo", ask), 200);
}

/* ---- TLS 1.2, where it is allowed -------------------------------------------------------------- */

static bool speaks(const char *options)
{
    char command[1024];
    snprintf(
        command, sizeof(command),
        "cd '%s' && echo | timeout 10 openssl s_client -connect 127.0.0.1:%u "
        "-CAfile DIR/ca.crt -verify_return_error -cert issued/demo.crt -key issued/demo.key %s",
        deployment(""), server.port, options);
    return run("/bin/sh", "-c", command, NULL) == 0;
}

static void tls_1_2_is_spoken_where_it_is_allowed_and_1_1_is_not(void **state)
{
    (void)state;
    if (run("/bin/sh", "-c", "command -v openssl", NULL) != 0) {
        skip();
    }
    assert_false(speaks("-tls1_2"));
    assert_int_equal(server_stop(&server), 0);
    server_start(&server, "\n[server]\ntls_min_version = 1.2\n");
    assert_true(speaks("-tls1_2"));
    assert_false(speaks("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256"));
    assert_false(speaks("-tls1_1 -cipher DEFAULT@SECLEVEL=0"));
}

/* ---- */

static int set_up(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    static const char *const two[] = {"--workers", "2", NULL};
    server_start_with(&server, "handshake_timeout = 700ms\n", two);
    return 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_certificates_for_clients_of_our_authority_that_are_in_force_get_in),
        cmocka_unit_test(authorities_are_no_clients),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(clients_that_want_another_protocol_are_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(a_hello_over_the_limit_is_refused_at_its_header),
        cmocka_unit_test(who_stops_in_the_middle_is_let_go),
        cmocka_unit_test(every_worker_resumes_every_session),
        cmocka_unit_test(a_bad_list_is_refused_and_the_old_one_stays),
        cmocka_unit_test(who_is_revoked_is_out_on_new_resumed_and_open_connections),
        cmocka_unit_test(tls_1_2_is_spoken_where_it_is_allowed_and_1_1_is_not),
    };
    return cmocka_run_group_tests_name("net/tls_negative", tests, set_up, tear_down);
}
