#include "tests/net/events_rig.h"

#include <stdlib.h>
#include <string.h>

const char *const two_workers[] = {"--workers", "2", NULL};
struct server server;
static unsigned next_event; /* numbers of event_ids that were not used yet */

/* ---- what was answered -------------------------------------------------------------------------- */

uint8_t answered[SEQUENCES];
uint64_t gone_sequence;

uint64_t number_of(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

void keep_sequences(const char *text)
{
    for (const char *at = text; (at = strstr(at, "\"sequence\":")) != NULL; at++) {
        uint64_t sequence = number_of(at, "\"sequence\":");
        assert_in_range(sequence, 1, SEQUENCES - 1);
        answered[sequence]++;
    }
}

bool hear(struct feed *feed, char line[FEED_LINE_MAX])
{
    bool heard = feed_line(feed, line);
    if (heard) {
        keep_sequences(line);
    }
    return heard;
}

void post(const char *body, struct test_response *response)
{
    struct test_client *client = connect_as(&server, "reg");
    assert_true(test_client_request(client, "POST", EVENTS, FIELDS, body, response));
    keep_sequences(response->body);
    test_client_close(client);
}

/* The writer opens what is served a moment after the first start. */
static bool wait_until_events_are_taken(void)
{
    const char *line =
        "{\"event_id\":\"first\",\"type\":\"deceased\",\"id\":\"001099999777\"," AT "}";
    for (double until = now_s() + 20; now_s() < until; sleep_ms(20)) {
        struct test_response response;
        post(line, &response);
        bool taken = strstr(response.body, "unknown_person") != NULL;
        test_response_release(&response);
        if (taken) {
            return true;
        }
    }
    return false;
}

int begin(void **state)
{
    if (deployment_make(state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "reg", "--purpose", "demo.verify",
            "--claims", "full_name", "--right", "registry,card_state", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start_with(&server, NULL, two_workers);
    return wait_until_events_are_taken() ? 0 : 1;
}

int end(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

/* ---- telling and asking ------------------------------------------------------------------------- */

void write_event(char *line, size_t size, const char *event_id, const char *type, const char *id,
                 const char *data)
{
    int length =
        snprintf(line, size, "{\"event_id\":\"%s\",\"type\":\"%s\",\"id\":\"%s\"," AT "%s}\n",
                 event_id, type, id, data);
    assert_true(length > 0 && (size_t)length < size);
}

void tell(const char *type, const char *id, const char *data, const char *wanted)
{
    char line[2048];
    char event_id[32];
    struct test_response response;
    snprintf(event_id, sizeof(event_id), "t%u", next_event++);
    write_event(line, sizeof(line), event_id, type, id, data);
    post(line, &response);
    assert_int_equal(response.status, 200);
    if (strstr(response.body, wanted) == NULL) {
        fail_msg("%s: %s", type, response.body);
    }
    test_response_release(&response);
}

void ask(const char *id, const char *claims, const char *wanted)
{
    char body[512];
    struct test_response response;
    struct test_client *client = connect_as(&server, "wide");
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{%s}}", id,
             claims);
    assert_int_equal(verify(client, body, &response), 200);
    if (strstr(response.body, wanted) == NULL) {
        fail_msg("%s, not %s", response.body, wanted);
    }
    test_response_release(&response);
    test_client_close(client);
}

unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* ---- the audit log ------------------------------------------------------------------------------ */

/* How many entries of the log have each sequence. */
static void count_logged(const char *found, uint8_t logged[SEQUENCES])
{
    for (const char *at = found; (at = strstr(at, "\"route\":\"events\"")) != NULL; at++) {
        const char *end = strchr(at, '\n');
        const char *here = strstr(at, "\"sequence\":");
        assert_non_null(end);
        uint64_t sequence = here != NULL && here < end ? number_of(here, "\"sequence\":") : 0;
        assert_true(sequence < SEQUENCES);
        logged[sequence]++; /* 0: was refused */
    }
}

char *audit_log_with_every_event(unsigned *acknowledged)
{
    static uint8_t logged[SEQUENCES];
    char command[1024];
    *acknowledged = 0;
    assert_int_equal(server_stop(&server), 0);
    snprintf(command, sizeof(command), "%s audit export %s > %s 2>&1", xacthuc(), deployment("DIR"),
             deployment("found.txt"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    char *found = read_text(deployment("found.txt"));
    count_logged(found, logged);
    for (unsigned i = 1; i < SEQUENCES; i++) {
        unsigned wanted = answered[i] + (i == gone_sequence);
        if (logged[i] != wanted) {
            fail_msg("sequence %u: %u entries, %u answers%s", i, logged[i], answered[i],
                     i == gone_sequence ? ", and a client that had gone" : "");
        }
        *acknowledged += answered[i] > 0;
    }
    snprintf(command, sizeof(command), "%s audit verify %s", xacthuc(), deployment("DIR"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    server_start_with(&server, NULL, two_workers);
    return found;
}
