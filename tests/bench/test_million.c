/* A million people through everything: import, switch, check, lookups singly and in batches, the plain
 * layout, the real server. Right answers only; how long it takes is for bench/. */
#include "tests/net/deployment.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MANY "100000" /* ten times as slow */
#else
#define MANY "1000000"
#endif
#define MANY_SEED "11"

/* The first line of what a command printed. */
static void shell(const char *command, char *line, size_t size)
{
    FILE *output = popen(command, "re");
    assert_non_null(output);
    line[0] = '\0';
    if (fgets(line, (int)size, output) == NULL) {
        line[0] = '\0';
    }
    int status = pclose(output);
    if (status != 0) {
        fail_msg("%s: status %d", command, status);
    }
}

static void import_many(void)
{
    char command[1024];
    char line[1024];
    (void)snprintf(command, sizeof(command),
                   "'%s' gen --count " MANY " --seed " MANY_SEED
                   " 2>/dev/null | '%s' import '%s' - "
                   "--memory 256M --json --quiet",
                   bench(), xacthuc(), deployment("DIR"));
    shell(command, line, sizeof(line));
    assert_non_null(strstr(line, "\"people\":" MANY ",\"rejects\":0"));
}

static void a_million_people_are_served_as_a_thousand_are(void **state)
{
    (void)state;
    struct server server;
    char url[64];
    char checked[1024];
    char command[1024];
    server_start_with(&server, NULL, (const char *const[]){"--workers", "1", NULL});
    import_many(); /* and switched to while it serves */
    assert_true(server_log_has("\"people\":" MANY, 10000));

    (void)snprintf(command, sizeof(command), "'%s' check '%s' --json --quiet", xacthuc(),
                   deployment("DIR"));
    shell(command, checked, sizeof(checked));
    assert_non_null(strstr(checked, "\"sound\":true,\"people\":" MANY));
    assert_int_equal(run(bench(), "micro", "--dir", deployment("DIR"), "--count", MANY, "--seed",
                         MANY_SEED, "--plain", "--rounds", "1", "--keys", "50000", "--requests",
                         "20000", "--quiet", NULL),
                     0);

    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", server.port);
    assert_int_equal(run(bench(), "load", "--server", url, "--cert", deployment("issued/demo.crt"),
                         "--key", deployment("issued/demo.key"), "--ca", deployment("DIR/ca.crt"),
                         "--seed", MANY_SEED, "--count", MANY, "--requests", "20000",
                         "--connections", "4", "--duration", "2s", "--quiet", NULL),
                     0);
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_people_are_served_as_a_thousand_are),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
