/* The drill: a deployment that serves and is changed is backed up, then lost, and restored; it goes on. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/callers.h"
#include "tests/test.h"

#define MOVES 400 /* people whose phone the registry links, one after another */
#define LEAST 60  /* of them before the backup begins */
#define QUOTA "5"
#define ROUNDS 3 /* of a compaction and a backup at once */
#define PASSPHRASE "correct horse battery staple\n"

static const char *const two_workers[] = {"--workers", "2", NULL};
static char ids[MOVES][16];

/* ---- the registry ----------------------------------------------------------------------------- */

static struct {
    pthread_t thread;
    struct test_client *client;
    _Atomic unsigned acknowledged;
    atomic_bool stop, failed;
} registry;

static void event_line(unsigned k, char *line, size_t size)
{
    snprintf(line, size,
             "{\"event_id\":\"link-%u\",\"type\":\"phone_linked\",\"id\":\"%s\",\"at\":"
             "\"2026-11-22T08:00:00Z\",\"data\":{\"phone\":\"0387%06u\"}}\n",
             k, ids[k], k);
}

/* Whether the answer has `word`. 503 is to be sent again: the writer may not be ready yet. */
static bool tell(struct test_client *client, unsigned k, const char *word)
{
    char line[256];
    bool has = false, again = true;
    event_line(k, line, sizeof(line));
    for (double end = now_s() + 10; again && now_s() < end;) {
        struct test_response response;
        if (!test_client_request(client, "POST", "/v1/events",
                                 "Content-Type: application/x-ndjson\r\n", line, &response)) {
            return false;
        }
        has = response.status == 200 && strstr(response.body, word) != NULL;
        again = strstr(response.body, "\"status\":503") != NULL;
        test_response_release(&response);
        if (again) {
            sleep_ms(10);
        }
    }
    return has;
}

static void *go_on_telling(void *unused)
{
    for (unsigned k = 0; k < MOVES && !registry.stop && !registry.failed; k++) {
        if (tell(registry.client, k, "\"status\":\"applied\"")) {
            registry.acknowledged = k + 1;
        } else {
            registry.failed = true;
        }
    }
    return unused;
}

static void wait_for_acknowledged(unsigned count)
{
    for (double end = now_s() + 30; registry.acknowledged < count; sleep_ms(2)) {
        assert_false(registry.failed);
        assert_true(now_s() < end);
    }
}

/* ---- asking ----------------------------------------------------------------------------------- */

static int ask(struct test_client *client, unsigned k, bool *matches)
{
    char body[256];
    struct test_response response;
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"phone\":\"0387%06u\"}}",
             ids[k], k);
    int status = verify(client, body, &response);
    *matches = strstr(response.body, "\"verdict\":\"verified\"") != NULL;
    test_response_release(&response);
    return status;
}

/* How many of them have their phone: the first so many, and nobody else. */
static unsigned count_moved(const struct server *server)
{
    unsigned moved = 0;
    struct test_client *client = connect_as(server, "demo");
    for (unsigned k = 0; k < MOVES; k++) {
        bool matches = false;
        assert_int_equal(ask(client, k, &matches), 200);
        assert_true(!matches || moved == k);
        moved += matches;
    }
    test_client_close(client);
    return moved;
}

/* Status of the question of somebody with a quota. */
static int ask_few(const struct server *server, unsigned k)
{
    bool matches;
    struct test_client *client = connect_as(server, "few");
    int status = ask(client, k, &matches);
    test_client_close(client);
    return status;
}

/* ---- the drill -------------------------------------------------------------------------------- */

static void choose_people(void)
{
    FILE *file = fopen(deployment("people.ndjson"), "r");
    char *line = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    for (unsigned count = 0; count < MOVES;) {
        assert_true(getline(&line, &capacity, file) > 0);
        if (strstr(line, "\"status\":\"alive\"") != NULL) {
            member_of(line, "id", ids[count++], sizeof(ids[0]));
        }
    }
    free(line);
    fclose(file);
}

static int make(void **state)
{
    int made = deployment_make(state);
    const char *dir = deployment("DIR"), *issued = deployment("issued");
    choose_people();
    write_text(deployment("passphrase"), PASSPHRASE);
    return made != 0 || chmod(deployment("passphrase"), 0600) != 0 ||
           run(xacthuc(), "partner", "add", dir, "civil", "--purpose", "demo.verify", "--claims",
               "full_name", "--right", "registry", "--issue", issued, NULL) != 0 ||
           run(xacthuc(), "partner", "add", dir, "few", "--purpose", "demo.verify", "--claims",
               "phone", "--daily-quota", QUOTA, "--issue", issued, NULL) != 0 ||
           run(xacthuc(), "partner", "disable", dir, "narrow", NULL) != 0;
}

static void back_up(void)
{
    assert_int_equal(run(xacthuc(), "backup", deployment("DIR"), deployment("out"), "--keys",
                         deployment("keys"), "--passphrase-file", deployment("passphrase"), NULL),
                     0);
}

static void lose_and_restore(const char *out, const char *lost)
{
    assert_int_equal(rename(deployment("DIR"), deployment(lost)), 0);
    int code = run(xacthuc(), "restore", deployment(out), deployment("DIR"), "--keys",
                   deployment("keys"), "--passphrase-file", deployment("passphrase"), NULL);
    if (code != 0) {
        fail_msg("%s", read_text(deployment("commands.log")));
    }
}

static void serve_on(const struct server *server, unsigned before)
{
    unsigned moved = count_moved(server);
    assert_in_range(moved, before, registry.acknowledged);
    assert_int_equal(ask_few(server, 0), 200); /* asked before: free */
    assert_int_equal(ask_few(server, 3), 200);
    assert_int_equal(ask_few(server, 4), 200);
    assert_int_equal(ask_few(server, 5), 429);
    assert_int_equal(status_of(server, "narrow",
                               "{\"id\":\"001099000001\",\"purpose\":\"narrow.purpose\",\"claims\":"
                               "{\"full_name\":\"An\"}}"),
                     403);
    struct test_client *client = connect_as(server, "civil");
    assert_true(tell(client, 0, "\"status\":\"duplicate\""));
    assert_true(tell(client, moved - 1, "\"status\":\"duplicate\""));
    assert_true(tell(client, moved, "\"status\":\"applied\""));
    test_client_close(client);
    assert_int_equal(count_moved(server), moved + 1);
}

static void a_lost_deployment_goes_on_from_its_backup(void **state)
{
    (void)state;
    struct server server;
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 2);
    registry.client = connect_as(&server, "civil");
    assert_int_equal(pthread_create(&registry.thread, NULL, go_on_telling, NULL), 0);
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(ask_few(&server, k), 200);
    }
    wait_for_acknowledged(LEAST);
    unsigned before = registry.acknowledged;
    back_up();
    registry.stop = true;
    assert_int_equal(pthread_join(registry.thread, NULL), 0);
    assert_false(registry.failed);
    test_client_close(registry.client);
    assert_true(callers_wait(callers, 50, 20000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(count_moved(&server), registry.acknowledged);
    assert_int_equal(server_stop(&server), 0);

    lose_and_restore("out", "lost");
    server_start_with(&server, NULL, two_workers);
    serve_on(&server, before);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("statistics_lacking"), 0);
    assert_int_equal(run(xacthuc(), "audit", "verify", deployment("DIR"), "--quiet", NULL), 0);
    assert_int_equal(run(xacthuc(), "check", deployment("DIR"), "--quiet", NULL), 0);
    assert_int_equal(run(xacthuc(), "audit", "verify", deployment("lost"), "--quiet", NULL), 0);
}

/* ---- beside a compaction ---------------------------------------------------------------------- */

static pid_t start_compaction(void)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(run(xacthuc(), "compact", deployment("DIR"), "--quiet", NULL));
    }
    return child;
}

static void a_backup_beside_a_compaction_answers_the_same(void **state)
{
    (void)state;
    struct server server;
    unsigned known[ROUNDS], told = 0;
    char name[32], lost[32];
    server_start_with(&server, NULL, two_workers);
    back_up(); /* for the keys */
    struct test_client *client = connect_as(&server, "civil");
    for (unsigned i = 0; i < ROUNDS; i++) {
        int status = 0;
        for (known[i] = told + LEAST; told < known[i]; told++) {
            assert_true(tell(client, told, "\"status\":\"applied\""));
        }
        snprintf(name, sizeof(name), "out-%u", i);
        pid_t compaction = start_compaction();
        sleep_ms(60 * i);
        assert_int_equal(
            run(xacthuc(), "backup", deployment("DIR"), deployment(name), "--quiet", NULL), 0);
        assert_int_equal(waitpid(compaction, &status, 0), compaction);
        assert_int_equal(status, 0);
    }
    test_client_close(client);
    assert_int_equal(server_stop(&server), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "out-%u", i);
        snprintf(lost, sizeof(lost), "lost-%u", i);
        lose_and_restore(name, lost);
        server_start_with(&server, NULL, two_workers);
        assert_int_equal(count_moved(&server), known[i]);
        client = connect_as(&server, "civil");
        assert_true(tell(client, 0, "\"status\":\"duplicate\""));
        assert_true(tell(client, known[i], "\"status\":\"applied\""));
        test_client_close(client);
        assert_int_equal(count_moved(&server), known[i] + 1);
        assert_int_equal(server_stop(&server), 0);
    }
    assert_int_equal(server_log_count("statistics_lacking"), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_lost_deployment_goes_on_from_its_backup),
        EACH(a_backup_beside_a_compaction_answers_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
