/* Run by hand (it says what, and is no test): processor time of one worker for a verify, an introspection whose
 * signature is known, and one whose signature is not, over the same connection in turns of one run.
 *
 *   XT_XACTHUC=... XT_BENCH=... token_cost [requests [under way at a time, 1 to 8]]
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/net/token_rig.h"
#include "tests/test.h"

#define DEPTH_MAX 8
#define TOKENS 4000

/* User and system time of a process in seconds. */
static double cpu_of(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_int_equal(sscanf(strrchr(text, ')') + 2,
                            "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
                     2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
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

int main(int argc, char **argv)
{
    static const char *const one_worker[] = {"--workers", "1", NULL};
    static const char *tokens[TOKENS];
    unsigned count = argc > 1 ? number(argv[1], 10000000) : 40000;
    depth = argc > 2 ? number(argv[2], DEPTH_MAX) : 1;
    if (count == 0 || depth == 0 || argc > 3) {
        fputs("usage: token_cost [requests [under way at a time, 1 to 8]]\n", stderr);
        return 2;
    }
    void *state = NULL;
    struct server server;
    pid_t worker;
    xt_crypto_start();
    if (deployment_make(&state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "portal", "--purpose", "a.b",
            "--claims", "full_name,date_of_birth", "--right", "authenticate", "--issue",
            deployment("issued"), NULL) != 0) {
        return 1;
    }
    server_start_with(&server, "connection_requests = 100000000\n", one_worker);
    token_rig_open("https://localhost");
    uint64_t person = person_with("\"account\":{\"level\":", false);
    const char *verify_text = verification(), *warm = introspection(person);
    for (unsigned i = 0; i < TOKENS; i++) {
        tokens[i] = introspection(person);
    }
    assert_int_equal(server_workers(&server, &worker, 1), 1);
    struct test_client *client = connect_as(&server, "portal");
    double cold_start = cpu_of(worker);
    ask(client, TOKENS, tokens, TOKENS, "\"active\":true"); /* each for the first time */
    printf("introspect, signature not known: %.1f us\n",
           (cpu_of(worker) - cold_start) * 1e6 / TOKENS);
    for (unsigned round = 0; round < 3; round++) {
        double start = cpu_of(worker);
        ask(client, count, &verify_text, 1, "\"verified\"");
        double verified = cpu_of(worker);
        ask(client, count, &warm, 1, "\"active\":true");
        double one = cpu_of(worker);
        ask(client, count, tokens, TOKENS, "\"active\":true");
        double many = cpu_of(worker);
        printf("verify %.2f us, introspect one token %.2f us (%.2f), %u tokens %.2f us (%.2f)\n",
               (verified - start) * 1e6 / count, (one - verified) * 1e6 / count,
               (one - verified) / (verified - start), TOKENS, (many - one) * 1e6 / count,
               (many - one) / (verified - start));
    }
    test_client_close(client);
    token_rig_close();
    return server_stop(&server) == 0 && deployment_remove(&state) == 0 ? 0 : 1;
}
