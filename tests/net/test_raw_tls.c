/* Every case of tests/net/raw_cases.h over a real TLS connection of its own, in one record, in two, and
 * (the short ones) a record for each byte: what goes in and comes out of sockets is the same as over
 * the exchange alone. */
#include <stdlib.h>
#include <string.h>

#include "tests/net/rig.h"
#include "tests/net/site_server.h"
#include "tests/test.h"

#define ANSWERS_MAX (1U << 20)
#define SHORT 160 /* bytes of a case that is sent byte by byte */

static struct site_server server;

static int set_up(void **state)
{
    struct xt_settings settings;
    if (deployment_make(state) != 0) {
        return 1;
    }
    xt_settings_defaults(&settings);
    site_server_start(&server, &settings, true);
    return 0;
}

static int tear_down(void **state)
{
    site_server_stop(&server);
    return deployment_remove(state);
}

/* All that is answered until the server ends the stream, which it does because we have: it cannot have
 * missed anything of what we sent before. */
static size_t read_all(struct test_client *client, uint8_t *answers)
{
    size_t size = 0;
    for (long got = 1; got > 0; size += got > 0 ? (size_t)got : 0) {
        got = test_client_receive(client, answers + size, ANSWERS_MAX - 1 - size);
    }
    assert_string_not_equal(test_client_error(client), "timeout");
    answers[size] = '\0';
    return size;
}

static void play(const struct raw_case *c, const uint8_t *bytes, size_t size, size_t first,
                 size_t step)
{
    static uint8_t answers[ANSWERS_MAX];
    char statuses[4096];
    struct test_client *client = connect_as(&server.at, "demo");
    bool sent = true;
    for (size_t at = 0; at < size && sent;) {
        size_t piece = at == 0 ? first : step;
        piece = piece < size - at ? piece : size - at;
        sent = test_client_send(client, bytes + at, piece); /* it may have closed already */
        at += piece;
    }
    test_client_finish(client);
    size_t got = read_all(client, answers);
    const char *last = read_statuses(answers, got, bytes, statuses, sizeof(statuses));
    bool closes = last != NULL && strstr(last, "\r\nConnection: close\r\n") != NULL;
    if (strcmp(statuses, c->statuses) != 0 || closes != c->closes) {
        fail_msg("%s (first record %zu, then %zu): [%s]%s, expected [%s]%s", c->name, first, step,
                 statuses, closes ? " closed" : "", c->statuses, c->closes ? " closed" : "");
    }
    test_client_close(client);
}

static void raw_case_is_answered_the_same_over_tls(void **state)
{
    const struct raw_case *c = *state;
    size_t size = 0;
    uint8_t *bytes = raw_case_bytes(c, &size);
    play(c, bytes, size, size, size);
    play(c, bytes, size, size / 2, size);
    if (size <= SHORT) {
        play(c, bytes, size, 1, 1);
    }
    free(bytes);
}

int main(void)
{
    struct CMUnitTest *tests = calloc(raw_case_count, sizeof(*tests));
    if (tests == NULL) {
        return 1;
    }
    for (size_t i = 0; i < raw_case_count; i++) {
        union {
            const void *from;
            void *to;
        } c = {.from = &raw_cases[i]};
        tests[i] = (struct CMUnitTest){.name = raw_cases[i].name,
                                       .test_func = raw_case_is_answered_the_same_over_tls,
                                       .initial_state = c.to};
    }
    int failed = _cmocka_run_group_tests("raw_tls", tests, raw_case_count, set_up, tear_down);
    free(tests);
    return failed;
}
