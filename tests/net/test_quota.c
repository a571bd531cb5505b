/* Quota and rate over real connections: exactly, with 8 connections at once on 2 workers, and over a restart,
 * whether the service was stopped or killed. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/deployment.h"
#include "tests/test.h"

#define CALLERS 8
#define IDS 900U   /* that are asked about */
#define QUOTA 600U /* of them */

static const char *const two_workers[] = {"--workers", "2", NULL};

static void set_partner(const char *option, const char *value)
{
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "demo", option, value, NULL), 0);
}

static int remove_limits(void **state)
{
    (void)state;
    return run(xacthuc(), "partner", "set", deployment("DIR"), "demo", "--rate", "none",
               "--daily-quota", "none", NULL);
}

/* ---- many callers at once --------------------------------------------------------------------- */

/* Numbers of people who are there and of nobody, in turns. */
static char numbers[IDS][16];

static void take_numbers(void)
{
    FILE *file = fopen(deployment("people.ndjson"), "r");
    char *line = NULL;
    size_t capacity = 0;
    assert_non_null(file);
    for (unsigned i = 0; i < IDS; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "0010990%05u", i);
        if (i % 2 == 0) {
            assert_true(getline(&line, &capacity, file) > 0);
            member_of(line, "id", numbers[i], sizeof(numbers[i]));
        }
    }
    free(line);
    fclose(file);
}

struct caller {
    pthread_t thread;
    struct test_client *client;
    unsigned index, rounds;
    double until; /* for rates */
    unsigned through, refused, other;
    char why[256]; /* the last that was neither */
    bool had[IDS];
};

static void ask(struct caller *caller, unsigned id)
{
    char body[256];
    struct test_response response = {.status = 0};
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}",
             numbers[id]);
    bool got = test_client_request(caller->client, "POST", "/v1/verify",
                                   "Content-Type: application/json\r\n", body, &response);
    if (got && response.status == 200) {
        caller->through++;
        caller->had[id] = true;
    } else if (got && response.status == 429) {
        caller->refused++;
    } else {
        caller->other++;
        snprintf(caller->why, sizeof(caller->why), "%s",
                 got ? response.body : test_client_error(caller->client));
    }
    if (got) {
        test_response_release(&response);
    }
}

/* All ask about all ids, each from another one on. */
static void *ask_all(void *context)
{
    struct caller *caller = context;
    for (unsigned i = 0; i < IDS; i++) {
        ask(caller, (i * 7 + caller->index * IDS / CALLERS) % IDS);
    }
    return NULL;
}

static void *ask_until(void *context)
{
    struct caller *caller = context;
    while (now_s() < caller->until) {
        ask(caller, caller->index);
    }
    return NULL;
}

static unsigned open_of(const struct server *server, unsigned worker)
{
    char name[80];
    struct test_client *client = connect_plain(server->admin_port);
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    snprintf(name, sizeof(name), "xacthuc_connections{worker=\"%u\",listener=\"api\"} ", worker);
    const char *at = strstr(response.body, name);
    assert_non_null(at);
    unsigned count = (unsigned)strtoul(at + strlen(name), NULL, 10);
    test_response_release(&response);
    test_client_close(client);
    return count;
}

/* Connects until each worker has one of them at least. */
static void connect_all(const struct server *server, struct caller callers[CALLERS])
{
    for (unsigned tries = 0; tries < 20; tries++) {
        for (unsigned i = 0; i < CALLERS; i++) {
            callers[i] = (struct caller){.index = i, .client = connect_as(server, "demo")};
        }
        if (open_of(server, 0) > 0 && open_of(server, 1) > 0) {
            return;
        }
        for (unsigned i = 0; i < CALLERS; i++) {
            test_client_close(callers[i].client);
        }
        sleep_ms(100);
    }
    fail_msg("all connections went to one worker, 20 times");
}

/* Gives how many answers were neither; with `strict` there must be none. */
static unsigned call(struct caller callers[CALLERS], void *(*how)(void *), bool strict)
{
    unsigned other = 0;
    for (unsigned i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, how, &callers[i]), 0);
    }
    for (unsigned i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        other += callers[i].other;
        if (callers[i].other > 0 && strict) {
            fail_msg("%u times: %s", callers[i].other, callers[i].why);
        }
        test_client_close(callers[i].client);
    }
    return other;
}

static unsigned distinct(struct caller callers[CALLERS], bool had[IDS])
{
    unsigned count = 0;
    for (unsigned id = 0; id < IDS; id++) {
        for (unsigned i = 0; i < CALLERS; i++) {
            had[id] = had[id] || callers[i].had[id];
        }
        count += had[id];
    }
    return count;
}

/* ---- the ends of a service -------------------------------------------------------------------- */

static void stop(struct server *server)
{
    assert_int_equal(server_stop(server), 0);
}

/* Everything at once: nobody has a moment to put anything in order. */
static void kill_all(struct server *server)
{
    pid_t pids[8];
    unsigned count = server_workers(server, pids, 4);
    count += server_writers(server, pids + count, 4);
    kill(server->pid, SIGSTOP); /* so that it replaces nobody */
    for (unsigned i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
    }
    kill(server->pid, SIGKILL);
    (void)server_wait(server, 5000);
    for (unsigned i = 0; i < count; i++) {
        assert_true(wait_until_gone(pids[i], 5000));
    }
}

static void kill_supervisor(struct server *server)
{
    kill(server->pid, SIGKILL); /* its children end when they see it */
    (void)server_wait(server, 5000);
}

static void kill_worker(struct server *server)
{
    pid_t pids[4];
    assert_int_equal(server_workers(server, pids, 4), 2);
    kill(pids[0], SIGKILL);
    assert_true(server_wait_for_workers(server, 2, pids[0], 10000));
    sleep_ms(300);
}

static bool logged_again(const char *text, unsigned before)
{
    for (double end = now_s() + 20; now_s() < end; sleep_ms(10)) {
        if (server_log_count(text) > before) {
            return true;
        }
    }
    return false;
}

static void upgrade(struct server *server)
{
    static const char upgraded[] = "\"event\":\"upgraded\"", pid[] = "\"pid\":";
    static const char settled[] = "\"event\":\"writer_started\"";
    unsigned before = server_log_count(upgraded), settled_before = server_log_count(settled);
    kill(server->pid, SIGUSR2);
    assert_true(logged_again(upgraded, before));
    assert_int_equal(server_wait(server, 20000), 0);
    char *log = server_log(), *line = log;
    for (char *at = log; (at = strstr(at, upgraded)) != NULL; at++) {
        line = at;
    }
    line = strstr(line, pid);
    assert_non_null(line);
    server_adopt(server, (pid_t)strtol(line + sizeof(pid) - 1, NULL, 10));
    free(log);
    assert_true(logged_again(settled, settled_before));
}

/* All of them. Who is not there any more afterwards must be started again. */
static const struct {
    void (*end)(struct server *server);
    bool goes_on;
} ends[] = {{stop, false},
            {kill_all, false},
            {kill_worker, true},
            {upgrade, true},
            {kill_supervisor, false}};

static void end_and_go_on(struct server *server, unsigned i)
{
    ends[i].end(server);
    if (!ends[i].goes_on) {
        server_start_with(server, NULL, two_workers);
    }
}

/* ---- quota ------------------------------------------------------------------------------------ */

static void quota_is_exact_over_workers_and_restarts(void **state)
{
    (void)state;
    static struct caller callers[CALLERS];
    static bool had[IDS];
    struct server server;
    char quota[16];
    snprintf(quota, sizeof(quota), "%u", QUOTA);
    set_partner("--daily-quota", quota);
    take_numbers();
    server_start_with(&server, NULL, two_workers);
    connect_all(&server, callers);
    (void)call(callers, ask_all, true);
    assert_int_equal(distinct(callers, had), QUOTA);
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        end_and_go_on(&server, i);
        connect_all(&server, callers);
        (void)call(callers, ask_all, true);
        assert_int_equal(distinct(callers, had), QUOTA); /* no other ids than before */
        for (unsigned j = 0; j < CALLERS; j++) {
            assert_int_equal(callers[j].through, QUOTA); /* and these are free */
        }
    }
    stop(&server);
}

static void refusal_is_the_same_for_everybody(void **state)
{
    (void)state;
    struct server server;
    char texts[2][512], wait[16];
    take_numbers();
    server_start_with(&server, NULL, two_workers);
    struct test_client *client = connect_as(&server, "demo");
    set_partner("--daily-quota", "1");
    assert_true(server_log_has("\"event\":\"partners_loaded\"", 3000));
    unsigned refused = 0;
    for (unsigned i = 0; i < IDS && refused < 2; i++) {
        /* One who is there, one who is not; those asked about in the test before stay free. */
        char body[256];
        struct test_response response;
        unsigned id = refused == 0 ? i / 2 * 2 : i / 2 * 2 + 1;
        snprintf(body, sizeof(body),
                 "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"}}",
                 numbers[id]);
        int status = verify(client, body, &response);
        if (status == 429) {
            assert_non_null(strstr(response.body, "\"code\":\"quota_exceeded\""));
            assert_null(strstr(response.body, numbers[id]));
            assert_non_null(test_response_field(&response, "Retry-After", wait, sizeof(wait)));
            assert_in_range(atoi(wait), 1, 3600);
            char *answer_id = strstr(response.body, "\"answer_id\":\"");
            assert_non_null(answer_id);
            memset(answer_id + 13, 'X', 26);
            snprintf(texts[refused++], sizeof(texts[0]), "%s", response.body);
        } else {
            assert_int_equal(status, 200);
        }
        test_response_release(&response);
    }
    assert_int_equal(refused, 2);
    assert_string_equal(texts[0], texts[1]);
    test_client_close(client);
    stop(&server);
}

/* What is on the disk does not tell who was asked about. */
static void nobody_reads_a_number_from_the_files(void **state)
{
    (void)state;
    char command[600];
    take_numbers();
    FILE *file = fopen(deployment("patterns"), "w");
    assert_non_null(file);
    for (unsigned i = 0; i < IDS; i++) {
        fprintf(file, "%s\n", numbers[i]);
    }
    fclose(file);
    snprintf(command, sizeof(command), "test -n \"$(ls %s/quota-*)\" && ! grep -raqF -f %s %s",
             deployment("DIR/supervisor"), deployment("patterns"), deployment("DIR/supervisor"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
}

/* ---- rate ------------------------------------------------------------------------------------- */

#define RATE 500
#define BURST 500
#define SECONDS 4.0

static void rate_is_exact_over_workers(void **state)
{
    (void)state;
    static struct caller callers[CALLERS];
    struct server server;
    take_numbers();
    assert_int_equal(remove_limits(NULL), 0);
    set_partner("--rate", "500:500");
    server_start_with(&server, NULL, two_workers);
    connect_all(&server, callers);
    double begin = now_s();
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i].until = begin + SECONDS;
    }
    unsigned other = call(callers, ask_until, false);
    double took = now_s() - begin;
    unsigned through = 0, refused = 0;
    for (unsigned i = 0; i < CALLERS; i++) {
        through += callers[i].through;
        refused += callers[i].refused;
    }
    assert_true(refused > 0);
    assert_true(through <= 1.01 * (BURST + RATE * took));
    /* A server that the machine did not let run for two seconds answers 503 to what waited. */
    assert_true(other > 0 || through >= 0.99 * (BURST + RATE * SECONDS));
    stop(&server);
}

static unsigned burst_of(const struct server *server)
{
    struct caller caller = {.client = connect_as(server, "demo")};
    for (unsigned i = 0; i < 60; i++) {
        ask(&caller, i);
    }
    assert_int_equal(caller.other, 0);
    test_client_close(caller.client);
    return caller.through;
}

static void a_restart_gives_no_fresh_burst(void **state)
{
    (void)state;
    struct server server;
    take_numbers();
    assert_int_equal(remove_limits(NULL), 0);
    server_start_with(&server, NULL, two_workers);
    set_partner("--rate", "1:40");
    double begin = now_s();
    while (burst_of(&server) == 60 && now_s() < begin + 3) {
        sleep_ms(20); /* until the change is there */
    }
    for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        begin = now_s();
        (void)burst_of(&server); /* all of it */
        end_and_go_on(&server, i);
        unsigned through = burst_of(&server);
        assert_true(through <= now_s() - begin + 2);
    }
    stop(&server);
}

/* What was left of the burst is left after a proper stop, too. */
static void a_stop_keeps_what_was_left(void **state)
{
    (void)state;
    struct server server;
    struct caller caller = {.index = 0};
    take_numbers();
    assert_int_equal(remove_limits(NULL), 0);
    server_start_with(&server, NULL, two_workers);
    stop(&server); /* demo is known, and without a rate */
    set_partner("--rate", "1:50");
    server_start_with(&server, NULL, two_workers); /* new to rates: a full burst */
    caller.client = connect_as(&server, "demo");
    for (unsigned i = 0; i < 30; i++) {
        ask(&caller, i);
    }
    test_client_close(caller.client);
    assert_int_equal(caller.through, 30);
    double begin = now_s();
    stop(&server);
    server_start_with(&server, NULL, two_workers);
    unsigned through = burst_of(&server);
    assert_true(through >= 19);
    assert_true(through <= 20 + now_s() - begin + 2);
    stop(&server);
}

int main(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* of an upgrade's heir */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quota_is_exact_over_workers_and_restarts),
        cmocka_unit_test(refusal_is_the_same_for_everybody),
        cmocka_unit_test(nobody_reads_a_number_from_the_files),
        cmocka_unit_test_teardown(rate_is_exact_over_workers, remove_limits),
        cmocka_unit_test_teardown(a_restart_gives_no_fresh_burst, remove_limits),
        cmocka_unit_test_teardown(a_stop_keeps_what_was_left, remove_limits),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
