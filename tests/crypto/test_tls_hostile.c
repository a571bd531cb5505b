/* What a hostile peer may send: nothing of it may crash, hang or be taken for a partner. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define MUTATIONS 3000

static struct link link_;
static struct xt_tls_context *server, *client;

/* xorshift64*: the same mutations in every run. */
static uint64_t random_state;

static size_t pick(size_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (size_t)((random_state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

struct mutation {
    bool to_server;
    size_t at, seen; /* where in the stream to that side */
};

static size_t mutate(void *data, bool to_server, uint8_t *bytes, size_t size, size_t capacity)
{
    struct mutation *mutation = data;
    if (to_server != mutation->to_server) {
        return size;
    }
    size_t start = mutation->seen;
    mutation->seen += size;
    if (mutation->at < start || mutation->at >= start + size) {
        return size;
    }
    size_t place = mutation->at - start;
    size_t length = 1 + pick(20);
    switch (pick(5)) {
    case 0: /* flip a bit */
        bytes[place] ^= (uint8_t)(1U << pick(8));
        return size;
    case 1: /* another byte */
        bytes[place] = (uint8_t)pick(256);
        return size;
    case 2: /* take some out */
        length = length < size - place ? length : size - place;
        memmove(bytes + place, bytes + place + length, size - place - length);
        return size - length;
    case 3: /* put some in */
        length = length < capacity - size ? length : capacity - size;
        memmove(bytes + place + length, bytes + place, size - place);
        for (size_t i = 0; i < length; i++) {
            bytes[place + i] = (uint8_t)pick(256);
        }
        return size + length;
    default: /* the rest is garbage */
        for (size_t i = place; i < size; i++) {
            bytes[i] = (uint8_t)pick(256);
        }
        return size;
    }
}

static void mutated_handshakes_end_in_a_verified_partner_or_in_an_error(void **state)
{
    (void)state;
    uint8_t expected[32], spki[32];
    unsigned refused = 0;
    assert_int_equal(xt_certificate_spki(scratch("client.crt"), expected, NULL), XT_OK);
    random_state = 20261121;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        struct mutation mutation = {.to_server = i % 3 != 0, .at = pick(1200)};
        link_open(&link_, client, server, "localhost");
        link_.tamper = mutate;
        link_.tamper_data = &mutation;
        link_pump(&link_, 1 + pick(2000));
        if (link_.server.handshake == XT_OK) {
            assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_OK);
            assert_memory_equal(spki, expected, 32);
        } else {
            refused++;
            assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_NOT_FOUND);
            if (link_.server.handshake != XT_AGAIN) {
                assert_string_not_equal(xt_tls_error(link_.server.tls), "");
            }
        }
        link_close(&link_);
    }
    assert_true(refused > MUTATIONS / 2);
}

static void a_mutated_stream_never_gives_wrong_bytes(void **state)
{
    (void)state;
    random_state = 7;
    uint8_t message[300];
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    for (unsigned i = 0; i < MUTATIONS / 10; i++) {
        size_t taken;
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_int_equal(link_.server.handshake, XT_OK);
        assert_int_equal(xt_tls_write(link_.client.tls, xt_span_of(message, 300), &taken), XT_OK);
        struct mutation mutation = {.to_server = true, .at = pick(300 + 22)};
        link_.tamper = mutate;
        link_.tamper_data = &mutation;
        link_pump(&link_, 4096);
        assert_memory_equal(link_.server.got, message, link_.server.size);
        link_close(&link_);
    }
}

/* What a server says to bytes of no client. */
static const char *answer_to(const void *bytes, size_t size, enum xt_status expected)
{
    static char word[64];
    memset(&link_, 0, sizeof(link_));
    link_.server.handshake = XT_AGAIN;
    link_.server.stream = XT_AGAIN;
    assert_int_equal(xt_tls_open(server, NULL, &link_.server.tls), XT_OK);
    side_take(&link_.server, bytes, size);
    assert_int_equal(link_.server.handshake, expected);
    snprintf(word, sizeof(word), "%s", xt_tls_error(link_.server.tls));
    /* A second call on a broken connection says the same. */
    assert_int_equal(xt_tls_handshake(link_.server.tls), expected);
    assert_string_equal(xt_tls_error(link_.server.tls), word);
    xt_tls_close(link_.server.tls);
    return word;
}

static void plain_http_on_a_tls_port_is_named(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                           "POST /v1/verify HTTP/1.1\r\n\r\n",
                                           "CONNECT x:443 HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        assert_string_equal(answer_to(requests[i], strlen(requests[i]), XT_INVALID), "plain_http");
    }
}

static void garbage_is_not_tls(void **state)
{
    (void)state;
    assert_string_equal(answer_to("SSH-2.0-OpenSSH_9.2\r\n", 21, XT_INVALID), "not_tls");
    uint8_t zeros[64] = {0};
    assert_string_equal(answer_to(zeros, sizeof(zeros), XT_INVALID), "not_tls");
    random_state = 99;
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t bytes[200];
        for (size_t j = 0; j < sizeof(bytes); j++) {
            bytes[j] = (uint8_t)pick(256);
        }
        bytes[0] = i % 2 == 0 ? 22 : bytes[0]; /* half of them look like a handshake */
        bytes[1] = 3;
        bytes[2] = 1;
        bytes[3] = 0;
        bytes[4] = (uint8_t)(sizeof(bytes) - 5);
        bytes[5] = 1;
        bytes[6] = 0;
        bytes[7] = 0;
        bytes[8] = (uint8_t)(sizeof(bytes) - 9);
        answer_to(bytes, sizeof(bytes), XT_INVALID);
    }
}

static void records_and_messages_over_the_limit_are_refused_at_their_header(void **state)
{
    (void)state;
    static const uint8_t record[] = {22, 3, 1, 0x48, 0x01}; /* 18,433 bytes */
    assert_string_equal(answer_to(record, sizeof(record), XT_INVALID), "record_too_large");
    /* A ClientHello that says it has 16 MiB. */
    static const uint8_t message[] = {22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff};
    assert_string_equal(answer_to(message, sizeof(message), XT_INVALID), "message_too_large");
}

static void empty_records_do_not_go_on_for_ever(void **state)
{
    (void)state;
    uint8_t bytes[5 * 200];
    for (size_t i = 0; i < 200; i++) {
        static const uint8_t empty[] = {22, 3, 1, 0, 0};
        memcpy(bytes + 5 * i, empty, 5);
    }
    answer_to(bytes, sizeof(bytes), XT_INVALID);
}

static void an_old_version_is_named(void **state)
{
    (void)state;
    /* A ClientHello of TLS 1.2 without supported_versions. */
    uint8_t hello[5 + 4 + 2 + 32 + 1 + 4 + 2] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3};
    static const uint8_t tail[] = {0, 0, 2, 0xc0, 0x2f, 1, 0};
    memcpy(hello + sizeof(hello) - sizeof(tail), tail, sizeof(tail));
    assert_string_equal(answer_to(hello, sizeof(hello), XT_INVALID), "unsupported_version");
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        link_make_certificates();
        server = link_server();
        client = link_client("client", false);
    }
    return result;
}

static int tear_down(void **state)
{
    xt_tls_context_close(server);
    xt_tls_context_close(client);
    return scratch_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_handshakes_end_in_a_verified_partner_or_in_an_error),
        cmocka_unit_test(a_mutated_stream_never_gives_wrong_bytes),
        cmocka_unit_test(plain_http_on_a_tls_port_is_named),
        cmocka_unit_test(garbage_is_not_tls),
        cmocka_unit_test(records_and_messages_over_the_limit_are_refused_at_their_header),
        cmocka_unit_test(empty_records_do_not_go_on_for_ever),
        cmocka_unit_test(an_old_version_is_named),
    };
    return cmocka_run_group_tests_name("crypto/tls_hostile", tests, set_up, tear_down);
}
