#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/hex.h"
#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct xt_failure failure;
static struct link link_; /* large: not on the stack */

static void write_all(struct side *side, const void *data, size_t size)
{
    size_t taken;
    assert_int_equal(xt_tls_write(side->tls, xt_span_of(data, size), &taken), XT_OK);
    assert_int_equal(taken, size);
}

/* A handshake between fresh contexts. */
static void shake(const char *client_name, const char *server_name)
{
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client(client_name, false);
    link_open(&link_, client, server, server_name);
    xt_tls_context_close(server); /* the connections keep them */
    xt_tls_context_close(client);
    link_pump(&link_, 4096);
}

static void a_client_and_a_server_talk(void **state)
{
    (void)state;
    uint8_t spki[32], expected[32];
    shake("client", "localhost");
    assert_int_equal(link_.client.handshake, XT_OK);
    assert_int_equal(link_.server.handshake, XT_OK);
    assert_string_equal(xt_tls_version(link_.server.tls), "TLSv1.3");
    assert_false(xt_tls_resumed(link_.server.tls));
    assert_string_equal(xt_tls_error(link_.server.tls), "");
    assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_OK);
    assert_int_equal(xt_certificate_spki(scratch("client.crt"), expected, &failure), XT_OK);
    assert_memory_equal(spki, expected, 32);
    int64_t left = xt_tls_peer_not_after(link_.server.tls) - (int64_t)time(NULL);
    assert_true(left > 86000 && left <= 86400);
    assert_int_equal(xt_tls_peer_spki(link_.client.tls, spki), XT_OK);
    assert_int_equal(xt_certificate_spki(scratch("server.crt"), expected, &failure), XT_OK);
    assert_memory_equal(spki, expected, 32);

    write_all(&link_.client, "request", 7);
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.size, 7);
    assert_memory_equal(link_.server.got, "request", 7);
    write_all(&link_.server, "answer", 6);
    link_pump(&link_, 4096);
    assert_memory_equal(link_.client.got, "answer", 6);

    xt_tls_shutdown(link_.server.tls);
    link_pump(&link_, 4096);
    assert_int_equal(link_.client.stream, XT_CLOSED);
    xt_tls_shutdown(link_.client.tls);
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.stream, XT_CLOSED);
    link_close(&link_);
}

static void bytes_may_come_one_at_a_time(void **state)
{
    (void)state;
    static uint8_t data[40000];
    memset(data, 'x', sizeof(data));
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", false);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 1);
    assert_int_equal(link_.server.handshake, XT_OK);
    write_all(&link_.client, data, sizeof(data));
    link_pump(&link_, 1);
    assert_int_equal(link_.server.size, sizeof(data));
    assert_memory_equal(link_.server.got, data, sizeof(data));
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

/* Cuts the stream to one side once, after `at` bytes. */
struct cut {
    bool to_server;
    size_t at, seen;
    struct side *side;
};

static size_t cut_stream(void *data, bool to_server, uint8_t *bytes, size_t size, size_t capacity)
{
    struct cut *cut = data;
    (void)capacity;
    if (to_server != cut->to_server) {
        return size;
    }
    size_t start = cut->seen;
    cut->seen += size;
    if (cut->at <= start || cut->at >= start + size) {
        return size;
    }
    size_t first = cut->at - start;
    side_take(cut->side, bytes, first);
    memmove(bytes, bytes + first, size - first);
    return size - first;
}

static void a_handshake_may_be_split_anywhere(void **state)
{
    (void)state;
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", false);
    for (int to_server = 0; to_server < 2; to_server++) {
        size_t total = 1;
        for (size_t at = 0; at < total; at++) {
            struct cut cut = {.to_server = to_server != 0, .at = at};
            link_open(&link_, client, server, "localhost");
            cut.side = to_server ? &link_.server : &link_.client;
            link_.tamper = cut_stream;
            link_.tamper_data = &cut;
            link_pump(&link_, 4096);
            assert_int_equal(link_.server.handshake, XT_OK);
            assert_int_equal(link_.client.handshake, XT_OK);
            total = cut.seen;
            link_close(&link_);
        }
        assert_true(total > 700);
    }
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

/* ---- who is refused, before any application byte is read ---- */

static void assert_refused(const char *client_name, const char *word, const char *alert)
{
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client(client_name, false);
    for (int round = 0; round < 2; round++) { /* the second time the certificate has been seen */
        link_open(&link_, client, server, "localhost");
        side_work(&link_.client);
        link_pump(&link_, 100);
        /* The client believes to be done before the server has seen its certificate. */
        assert_int_equal(link_.client.handshake, XT_OK);
        assert_int_equal(link_.server.handshake, XT_DENIED);
        assert_int_equal(xt_tls_handshake(link_.server.tls), XT_DENIED);
        assert_string_equal(xt_tls_error(link_.server.tls), word);
        uint8_t spki[32];
        size_t count;
        assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_NOT_FOUND);
        assert_int_equal(xt_tls_peer_certificate(link_.server.tls, spki), XT_NOT_FOUND);
        assert_int_equal(xt_tls_read(link_.server.tls, spki, sizeof(spki), &count), XT_DENIED);
        assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of("x", 1), &count), XT_DENIED);
        assert_int_equal(link_.client.stream, XT_DENIED);
        assert_string_equal(xt_tls_error(link_.client.tls), alert);
        link_close(&link_);
    }
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    (void)state;
    assert_refused(NULL, "no_certificate", "alert_certificate_required");
}

static void a_client_of_another_authority_is_refused(void **state)
{
    (void)state;
    assert_refused("stranger", "unknown_ca", "alert_unknown_ca");
}

static void an_expired_client_is_refused(void **state)
{
    (void)state;
    assert_refused("expired", "certificate_expired", "alert_certificate_expired");
}

static void a_client_whose_time_has_not_come_is_refused(void **state)
{
    (void)state;
    assert_refused("early", "certificate_not_yet_valid", "alert_certificate_expired");
}

static void a_servers_certificate_is_no_clients(void **state)
{
    (void)state;
    assert_refused("server", "wrong_purpose", "alert_unsupported_certificate");
}

/* Certificates that our own authority would never issue, made with the openssl command. */
static void make_odd_with(const char *name, const char *extensions, const char *key)
{
    char text[SHELL_TEXT_MAX];
    assert_true(scratch_shell(
        text,
        "printf '%s' > %s.ext && "
        "openssl %s -out %s.key && chmod 600 %s.key && "
        "openssl req -new -key %s.key -subj /CN=%s -out %s.csr && "
        "openssl x509 -req -in %s.csr -CA ca.crt -CAkey ca.key -days 1 -set_serial 77 "
        "-extfile %s.ext -out %s.crt",
        extensions, name, key, name, name, name, name, name, name, name, name));
}

static void make_odd(const char *name, const char *extensions)
{
    make_odd_with(name, extensions, "ecparam -name prime256v1 -genkey -noout");
}

static void a_client_with_a_weak_key_is_refused(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    uint8_t spki[XT_SPKI_SHA256];
    make_odd_with("weak", "extendedKeyUsage=clientAuth\n",
                  "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024");
    assert_refused("weak", "weak_key", "alert_bad_certificate");
    char *authority = strdup(scratch("ca.crt"));
    assert_int_equal(xt_certificate_check_client(scratch("weak.crt"), authority, spki, &failure),
                     XT_DENIED);
    free(authority);
    assert_non_null(strstr(failure.text, "weak key"));
}

static void a_certificate_must_say_that_it_is_for_clients(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    make_odd("nopurpose",
             "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n");
    assert_refused("nopurpose", "wrong_purpose", "alert_unsupported_certificate");
    make_odd("anypurpose", "extendedKeyUsage=anyExtendedKeyUsage\n");
    assert_refused("anypurpose", "wrong_purpose", "alert_unsupported_certificate");
    make_odd("mail", "extendedKeyUsage=emailProtection,codeSigning\n");
    assert_refused("mail", "wrong_purpose", "alert_unsupported_certificate");
    make_odd("leafca", "basicConstraints=critical,CA:TRUE\nextendedKeyUsage=clientAuth\n"
                       "keyUsage=critical,digitalSignature,keyCertSign\n");
    assert_refused("leafca", "certificate_is_ca", "alert_unsupported_certificate");
    make_odd("both", "extendedKeyUsage=serverAuth,clientAuth\n");
    shake("both", "localhost");
    assert_int_equal(link_.server.handshake, XT_OK);
    link_close(&link_);
}

static void certificates_that_were_verified_before_vouch_for_no_others(void **state)
{
    (void)state;
    struct xt_tls_context *server = link_server();
    time_t now = time(NULL);
    uint8_t spki[32], expected[32];
    for (int i = 0; i < 260; i++) { /* fills most places where a context remembers them */
        bool stranger = i >= 230;
        link_issue(stranger ? "other-ca" : "ca", "many", XT_CERTIFICATE_CLIENT, now - 300,
                   now + 999);
        assert_int_equal(xt_certificate_spki(scratch("many.crt"), expected, &failure), XT_OK);
        struct xt_tls_context *client = link_client("many", false);
        for (int round = 0; round < 2; round++) {
            link_open(&link_, client, server, "localhost");
            link_pump(&link_, 4096);
            assert_int_equal(link_.server.handshake, stranger ? XT_DENIED : XT_OK);
            if (!stranger) {
                assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_OK);
                assert_memory_equal(spki, expected, 32);
            }
            link_close(&link_);
        }
        xt_tls_context_close(client);
        assert_int_equal(unlink(scratch("many.key")), 0);
        assert_int_equal(unlink(scratch("many.crt")), 0);
    }
    xt_tls_context_close(server);
}

static void a_client_verifies_the_server_and_its_name(void **state)
{
    (void)state;
    static const char *const good[] = {"localhost", "id.example.vn", "127.0.0.1", "::1"};
    static const char *const bad[] = {"example.vn", "id.example.com", "127.0.0.2",
                                      "::2",        "server",         "a.id.example.vn"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        shake("client", good[i]);
        assert_int_equal(link_.client.handshake, XT_OK);
        assert_int_equal(link_.server.handshake, XT_OK);
        link_close(&link_);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        shake("client", bad[i]);
        assert_int_equal(link_.client.handshake, XT_DENIED);
        assert_string_equal(xt_tls_error(link_.client.tls), "wrong_name");
        assert_int_equal(link_.server.handshake, XT_DENIED);
        link_close(&link_);
    }
}

static struct xt_tls_context *server_of(const char *certificate, const char *key)
{
    struct xt_tls_context *context;
    struct xt_tls_server_files files = {.certificate = scratch(certificate),
                                        .key = scratch(key),
                                        .client_authority = scratch("ca.crt")};
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_OK);
    return context;
}

static void a_client_refuses_an_expired_server_and_a_client_as_server(void **state)
{
    (void)state;
    struct xt_tls_context *client = link_client("client", false);
    struct xt_tls_context *server = server_of("old-server.crt", "old-server.key");
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_string_equal(xt_tls_error(link_.client.tls), "certificate_expired");
    link_close(&link_);
    xt_tls_context_close(server);
    server = server_of("second.crt", "second.key");
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_string_equal(xt_tls_error(link_.client.tls), "wrong_purpose");
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static void a_client_without_an_authority_verifies_nothing(void **state)
{
    (void)state;
    struct xt_tls_context *client, *server = server_of("old-server.crt", "old-server.key");
    struct xt_tls_client_files files = {.certificate = scratch("client.crt"),
                                        .key = scratch("client.key")};
    uint8_t spki[32];
    assert_int_equal(xt_tls_client(&files, &client, &failure), XT_OK);
    link_open(&link_, client, server, NULL);
    link_pump(&link_, 4096);
    assert_int_equal(link_.client.handshake, XT_OK);
    assert_int_equal(link_.server.handshake, XT_OK);
    assert_int_equal(xt_tls_peer_spki(link_.client.tls, spki), XT_NOT_FOUND);
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

/* ---- resumption ---- */

/* The ticket leaves with the server's first answer. */
static void answer(void)
{
    write_all(&link_.server, "answer", 6);
    link_pump(&link_, 4096);
    assert_int_equal(link_.client.size, 6);
}

/* As another program tells it: what a partner puts into its configuration. */
static void digest_of(const char *name, uint8_t digest[32])
{
    char hex[SHELL_TEXT_MAX];
    assert_true(scratch_shell(hex, "openssl x509 -in %s -outform DER | sha256sum", scratch(name)));
    assert_true(xt_hex_parse((const uint8_t *)hex, digest, 32));
}

static void a_resumed_session_keeps_the_partner(void **state)
{
    (void)state;
    uint8_t first[32], again[32], digest[32];
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", true);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_int_equal(xt_tls_peer_spki(link_.server.tls, first), XT_OK);
    assert_int_equal(xt_tls_peer_certificate(link_.server.tls, digest), XT_OK);
    if (have_openssl()) {
        uint8_t expected[32];
        digest_of("client.crt", expected);
        assert_memory_equal(digest, expected, 32);
    }
    int64_t until = xt_tls_peer_not_after(link_.server.tls);
    answer();
    link_close(&link_);
    for (int i = 0; i < 5; i++) { /* each ticket is replaced by the next */
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_int_equal(link_.server.handshake, XT_OK);
        assert_true(xt_tls_resumed(link_.server.tls));
        assert_true(xt_tls_resumed(link_.client.tls));
        assert_int_equal(xt_tls_peer_spki(link_.server.tls, again), XT_OK);
        assert_memory_equal(first, again, 32);
        assert_int_equal(xt_tls_peer_certificate(link_.server.tls, again), XT_OK);
        assert_memory_equal(digest, again, 32);
        assert_true(xt_tls_peer_not_after(link_.server.tls) == until);
        write_all(&link_.client, "hello", 5);
        link_pump(&link_, 4096);
        assert_memory_equal(link_.server.got, "hello", 5);
        answer();
        link_close(&link_);
    }
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static void a_ticket_is_no_use_once_its_certificate_has_expired(void **state)
{
    (void)state;
    time_t now = time(NULL);
    link_issue("ca", "brief", XT_CERTIFICATE_CLIENT, now - 300, now + 2);
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("brief", true);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.handshake, XT_OK);
    answer();
    link_close(&link_);
    while (time(NULL) <= now + 2) {
        usleep(50000);
    }
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_true(xt_tls_resumed(link_.server.tls));
    assert_int_equal(link_.server.handshake, XT_DENIED);
    assert_string_equal(xt_tls_error(link_.server.tls), "certificate_expired");
    uint8_t byte;
    size_t count;
    assert_int_equal(xt_tls_handshake(link_.server.tls), XT_DENIED); /* and stays so */
    assert_int_equal(xt_tls_read(link_.server.tls, &byte, 1, &count), XT_DENIED);
    assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of("x", 1), &count), XT_DENIED);
    assert_int_equal(link_.client.stream, XT_DENIED);
    assert_string_equal(xt_tls_error(link_.client.tls), "alert_certificate_expired");
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static void a_new_context_does_not_resume_old_tickets(void **state)
{
    (void)state;
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", true);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    answer();
    link_close(&link_);
    xt_tls_context_close(server);
    server = link_server();
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.handshake, XT_OK); /* a full handshake instead */
    assert_false(xt_tls_resumed(link_.server.tls));
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static void only_clients_that_want_to_resume_do(void **state)
{
    (void)state;
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", false);
    for (int i = 0; i < 2; i++) {
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_false(xt_tls_resumed(link_.server.tls));
        answer();
        link_close(&link_);
    }
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

/* ---- bounds ---- */

static void output_is_bounded_and_goes_on_once_it_is_sent(void **state)
{
    (void)state;
    static uint8_t data[200000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 256);
    }
    shake("client", "localhost");
    struct xt_span rest = xt_span_of(data, sizeof(data));
    unsigned waits = 0;
    while (rest.size > 0) {
        size_t taken;
        enum xt_status status = xt_tls_write(link_.server.tls, rest, &taken);
        assert_true(xt_tls_output(link_.server.tls).size <= XT_TLS_OUTPUT_MAX);
        rest.data += taken;
        rest.size -= taken;
        if (status == XT_AGAIN) {
            waits++;
            assert_true(xt_tls_output(link_.server.tls).size > XT_TLS_OUTPUT_MAX - 5000);
            assert_int_equal(xt_tls_write(link_.server.tls, rest, &taken), XT_AGAIN);
            assert_int_equal(taken, 0);
            /* Half of it is sent, and there is room again. */
            for (unsigned sent = 0; sent < 16; sent++) {
                struct xt_span output = xt_tls_output(link_.server.tls);
                uint8_t piece[2000];
                memcpy(piece, output.data, sizeof(piece));
                xt_tls_output_taken(link_.server.tls, sizeof(piece));
                side_take(&link_.client, piece, sizeof(piece));
            }
            /* What was not taken may be given anew in another size. */
            assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of(rest.data, 1), &taken),
                             XT_OK);
            rest.data += taken;
            rest.size -= taken;
        } else {
            assert_int_equal(status, XT_OK);
        }
    }
    assert_true(waits >= 2);
    link_pump(&link_, 4096);
    assert_int_equal(link_.client.size, sizeof(data));
    assert_memory_equal(link_.client.got, data, sizeof(data));
    link_close(&link_);
}

static void records_hold_up_to_16_kib(void **state)
{
    (void)state;
    static uint8_t data[16384];
    shake("client", "localhost");
    write_all(&link_.server, "ticket", 6); /* the session ticket goes before the first record */
    link_pump(&link_, 4096);
    write_all(&link_.server, data, sizeof(data));
    struct xt_span output = xt_tls_output(link_.server.tls);
    assert_int_equal(output.size, 16384 + 5 + 1 + 16); /* header, type, tag: one record */
    assert_int_equal(output.data[0], 23);
    link_close(&link_);
}

static void input_is_kept_only_for_one_record_and_a_bit(void **state)
{
    (void)state;
    static uint8_t wire[60000], data[16384];
    size_t size = 0;
    shake("client", "localhost");
    for (int i = 0; i < 3; i++) {
        memset(data, 'a' + i, sizeof(data));
        write_all(&link_.client, data, sizeof(data));
    }
    struct xt_span output = xt_tls_output(link_.client.tls);
    size = output.size;
    memcpy(wire, output.data, size);
    xt_tls_output_taken(link_.client.tls, size);
    xt_tls_feed(link_.server.tls, xt_span_of(wire, size));
    assert_int_equal(xt_tls_settle(link_.server.tls), XT_TOO_LARGE);
    uint8_t got[1000];
    size_t count;
    assert_int_equal(xt_tls_read(link_.server.tls, got, sizeof(got), &count), XT_OK);
    assert_int_equal(xt_tls_settle(link_.server.tls), XT_TOO_LARGE); /* two more */
    link_close(&link_);

    shake("client", "localhost");
    write_all(&link_.client, data, sizeof(data));
    output = xt_tls_output(link_.client.tls);
    memcpy(wire, output.data, output.size);
    xt_tls_feed(link_.server.tls, xt_span_of(wire, output.size));
    assert_int_equal(xt_tls_settle(link_.server.tls), XT_OK); /* not read at all: kept */
    memset(wire, 0, sizeof(wire));                            /* and the caller's buffer is free */
    side_work(&link_.server);
    assert_int_equal(link_.server.size, sizeof(data));
    assert_memory_equal(link_.server.got, data, sizeof(data));
    link_close(&link_);
}

static void a_reader_that_stops_loses_nothing(void **state)
{
    (void)state;
    static uint8_t wire[60000], got[50000];
    shake("client", "localhost");
    for (unsigned i = 0; i < 400; i++) {
        uint8_t message[100];
        memset(message, (int)i, sizeof(message));
        write_all(&link_.client, message, sizeof(message));
    }
    struct xt_span output = xt_tls_output(link_.client.tls);
    size_t size = output.size, fed = 0, total = 0;
    memcpy(wire, output.data, size);
    while (total < 40000) { /* takes in a little more than it reads: some is always kept */
        size_t step = size - fed < 130 ? size - fed : 130;
        xt_tls_feed(link_.server.tls, xt_span_of(wire + fed, step));
        fed += step;
        size_t count;
        enum xt_status status = xt_tls_read(link_.server.tls, got + total, 200, &count);
        assert_true(status == XT_OK || status == XT_AGAIN);
        total += count;
        assert_int_equal(xt_tls_settle(link_.server.tls), XT_OK);
    }
    assert_int_equal(total, 40000);
    for (unsigned i = 0; i < 40000; i++) {
        assert_int_equal(got[i], (uint8_t)(i / 100));
    }
    link_close(&link_);
}

/* ---- configuration ---- */

static void bad_files_are_refused_with_their_name(void **state)
{
    (void)state;
    struct xt_tls_context *context = NULL;
    struct xt_tls_server_files files = {.certificate = scratch("server.crt"),
                                        .key = scratch("client.key"),
                                        .client_authority = scratch("ca.crt")};
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "does not belong"));
    files.key = scratch("server.key");
    files.client_authority = scratch("client.crt");
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "CA:TRUE"));
    files.client_authority = scratch("missing.crt");
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_NOT_FOUND);
    assert_non_null(strstr(failure.text, "missing.crt"));
    scratch_write("garbage", "garbage\n", 8, 0600);
    files.client_authority = scratch("ca.crt");
    files.certificate = scratch("garbage");
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_INVALID);
    files.certificate = scratch("server.crt");
    files.key = scratch("garbage");
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_INVALID);
    files.key = scratch("server.key");
    assert_int_equal(chmod(scratch("server.key"), 0644), 0);
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_DENIED);
    assert_non_null(strstr(failure.text, "chmod 600"));
    assert_int_equal(chmod(scratch("server.key"), 0600), 0);
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_OK);
    xt_tls_context_close(context);
    xt_tls_context_close(NULL);
    xt_tls_close(NULL);
}

static size_t replace_alpn(void *data, bool to_server, uint8_t *bytes, size_t size, size_t capacity)
{
    (void)capacity;
    uint8_t *name = to_server ? memmem(bytes, size, "http/1.1", 8) : NULL;
    if (name != NULL) {
        memcpy(name, data, 8);
    }
    return size;
}

static void a_client_that_speaks_no_http11_is_refused(void **state)
{
    (void)state;
    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", false);
    link_open(&link_, client, server, "localhost");
    char other[] = "spdy/3.1";
    link_.tamper = replace_alpn;
    link_.tamper_data = other;
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.handshake, XT_INVALID);
    assert_string_equal(xt_tls_error(link_.server.tls), "no_application_protocol");
    assert_int_equal(link_.client.handshake, XT_INVALID);
    assert_string_equal(xt_tls_error(link_.client.tls), "alert_no_application_protocol");
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        link_make_certificates();
    }
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_and_a_server_talk),
        cmocka_unit_test(bytes_may_come_one_at_a_time),
        cmocka_unit_test(a_handshake_may_be_split_anywhere),
        cmocka_unit_test(a_client_without_a_certificate_is_refused),
        cmocka_unit_test(a_client_of_another_authority_is_refused),
        cmocka_unit_test(an_expired_client_is_refused),
        cmocka_unit_test(a_client_whose_time_has_not_come_is_refused),
        cmocka_unit_test(a_servers_certificate_is_no_clients),
        cmocka_unit_test(a_certificate_must_say_that_it_is_for_clients),
        cmocka_unit_test(a_client_with_a_weak_key_is_refused),
        cmocka_unit_test(certificates_that_were_verified_before_vouch_for_no_others),
        cmocka_unit_test(a_client_verifies_the_server_and_its_name),
        cmocka_unit_test(a_client_refuses_an_expired_server_and_a_client_as_server),
        cmocka_unit_test(a_client_without_an_authority_verifies_nothing),
        cmocka_unit_test(a_resumed_session_keeps_the_partner),
        cmocka_unit_test(a_ticket_is_no_use_once_its_certificate_has_expired),
        cmocka_unit_test(a_new_context_does_not_resume_old_tickets),
        cmocka_unit_test(only_clients_that_want_to_resume_do),
        cmocka_unit_test(output_is_bounded_and_goes_on_once_it_is_sent),
        cmocka_unit_test(records_hold_up_to_16_kib),
        cmocka_unit_test(input_is_kept_only_for_one_record_and_a_bit),
        cmocka_unit_test(a_reader_that_stops_loses_nothing),
        cmocka_unit_test(bad_files_are_refused_with_their_name),
        cmocka_unit_test(a_client_that_speaks_no_http11_is_refused),
    };
    return cmocka_run_group_tests_name("crypto/tls", tests, set_up, scratch_remove);
}
