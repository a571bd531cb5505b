/* Run by hand (it says what, and is no test): processor time of one worker for a verify, an introspection whose
 * signature is known, and one whose signature is not, over the same connection in turns of one run. Medians of the
 * turns, and of the ratios within each: a machine that is busy for a while spoils some turns only.
 *
 *   XT_XACTHUC=... XT_BENCH=... token_cost [requests a turn [under way at a time, 1 to 8 [turns [only]]]]
 *
 * only (verify, one, many): nothing else is asked, for a profiler.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/keyring.h"
#include "tests/net/token_rig.h"
#include "tests/test.h"

#define DEPTH_MAX 8
#define TOKENS 4000
#define TURNS_MAX 99

/* User and system time of a process in seconds. */
static double cpu_of(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static unsigned depth = 1; /* requests under way */

/* Sends requests in turn and reads all answers. */
static void ask(struct test_client *client, unsigned count, const char *const *requests,
                unsigned different, const char *expected)
{
    struct test_response response = {0};
    for (unsigned sent = 0; sent < count; sent += depth) {
        char batch[DEPTH_MAX * 4096];
        size_t size = 0;
        for (unsigned i = 0; i < depth; i++) {
            size_t length = strlen(requests[(sent + i) % different]);
            memcpy(batch + size, requests[(sent + i) % different], length);
            size += length;
        }
        assert_true(test_client_send(client, batch, size));
        for (unsigned i = 0; i < depth; i++) {
            assert_true(test_client_response(client, false, &response));
            if (response.status != 200 || strstr(response.body, expected) == NULL) {
                fail_msg("%d %s", response.status, response.body);
            }
            test_response_release(&response);
        }
    }
}

static char *request(const char *target, const char *type, const char *body)
{
    char text[4096];
    snprintf(
        text, sizeof(text),
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
        target, type, strlen(body), body);
    return strdup(text);
}

static char *introspection(uint64_t person)
{
    char body[2048];
    snprintf(body, sizeof(body), "token=%s", token_for(person, "portal", "portal", 800));
    return request("/v1/introspect", "application/x-www-form-urlencoded", body);
}

static char *verification(void)
{
    char *line = person_line(3), body[2048], id[32], name[256], date[32];
    member_of(line, "id", id, sizeof(id));
    member_of(line, "full_name", name, sizeof(name));
    member_of(line, "date_of_birth", date, sizeof(date));
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"a.b\",\"claims\":{\"full_name\":\"%s\","
             "\"date_of_birth\":\"%s\"}}",
             id, name, date);
    free(line);
    return request("/v1/verify", "application/json", body);
}

/* 0: it is none of 1 to most. */
static unsigned number(const char *text, unsigned most)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    return *end == '\0' && value <= most ? (unsigned)value : 0;
}

enum part { VERIFY, ONE, MANY, PARTS };
static const char *const PART_NAMES[PARTS] = {"verify", "one", "many"};

struct turns {
    unsigned requests, count;
    const char *only; /* NULL: all parts */
    pid_t worker;
    const char *verify, *warm, *tokens[TOKENS];
    double us[PARTS][TURNS_MAX], ratio[PARTS][TURNS_MAX]; /* of one request; to the verify's */
};

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), by_size);
    return values[count / 2];
}

static void take_turn(struct turns *turns, struct test_client *client, unsigned turn)
{
    const char *const *requests[PARTS] = {&turns->verify, &turns->warm, turns->tokens};
    for (unsigned part = 0; part < PARTS; part++) {
        if (turns->only != NULL && strcmp(turns->only, PART_NAMES[part]) != 0) {
            continue;
        }
        double start = cpu_of(turns->worker);
        ask(client, turns->requests, requests[part], part == MANY ? TOKENS : 1,
            part == VERIFY ? "\"verified\"" : "\"active\":true");
        turns->us[part][turn] = (cpu_of(turns->worker) - start) * 1e6 / turns->requests;
        turns->ratio[part][turn] = turns->us[part][turn] / turns->us[VERIFY][turn];
    }
}

static void print_turns(struct turns *turns)
{
    for (unsigned part = 0; part < PARTS; part++) {
        if (turns->only == NULL || strcmp(turns->only, PART_NAMES[part]) == 0) {
            printf("%-6s %6.2f us", PART_NAMES[part], median(turns->us[part], turns->count));
            turns->only == NULL &&part != VERIFY
                ? printf(" (%.2f)\n", median(turns->ratio[part], turns->count))
                : printf("\n");
        }
    }
}

static void measure(struct turns *turns, const struct server *server)
{
    uint64_t person = person_with("\"account\":{\"level\":", false);
    turns->verify = verification();
    turns->warm = introspection(person);
    for (unsigned i = 0; i < TOKENS; i++) {
        turns->tokens[i] = introspection(person);
    }
    assert_int_equal(server_workers(server, &turns->worker, 1), 1);
    struct test_client *client = connect_as(server, "portal");
    double start = cpu_of(turns->worker);
    ask(client, TOKENS, turns->tokens, TOKENS, "\"active\":true"); /* each for the first time */
    printf("introspect, signature not known: %.1f us\n",
           (cpu_of(turns->worker) - start) * 1e6 / TOKENS);
    for (unsigned turn = 0; turn < turns->count; turn++) {
        take_turn(turns, client, turn);
    }
    print_turns(turns);
    test_client_close(client);
}

int main(int argc, char **argv)
{
    static const char *const one_worker[] = {"--workers", "1", NULL};
    static struct turns turns = {.requests = 4000, .count = 9};
    turns.requests = argc > 1 ? number(argv[1], 10000000) : turns.requests;
    depth = argc > 2 ? number(argv[2], DEPTH_MAX) : 1;
    turns.count = argc > 3 ? number(argv[3], TURNS_MAX) : turns.count;
    turns.only = argc > 4 ? argv[4] : NULL;
    if (turns.requests == 0 || depth == 0 || turns.count == 0 || argc > 5) {
        fputs("usage: token_cost [requests a turn [under way at a time, 1 to 8 [turns [only]]]]\n",
              stderr);
        return 2;
    }
    void *state = NULL;
    struct server server;
    xt_crypto_start();
    if (deployment_make(&state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "portal", "--purpose", "a.b",
            "--claims", "full_name,date_of_birth", "--right", "authenticate", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start_with(&server, "connection_requests = 100000000\n", one_worker);
    token_rig_open("https://localhost");
    measure(&turns, &server);
    token_rig_close();
    return server_stop(&server) == 0 && deployment_remove(&state) == 0 ? 0 : 1;
}
