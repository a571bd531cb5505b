/* Compacting while it serves: what was folded leaves the live store once nobody reads an older generation, and
 * not before, whoever is killed, stopped or replaced meanwhile.
 * XT_KILLS in the environment: how many compactions are killed at random moments (5; a soak takes 50). XT_SEED:
 * draws the moments of another run again.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "crypto/keyring.h"
#include "store/identity.h"
#include "store/live_fold.h"
#include "store/live_overlay.h"
#include "tests/core/mutate.h"
#include "tests/net/callers.h"
#include "tests/test.h"

#define EVENTS 8000 /* a step of the writer takes 512 entries, each 20 ms */

static const char *const two_workers[] = {"--workers", "2", NULL};

/* ---- the live store, in a process of its own ------------------------------------------------------ */

static struct xt_keyring *read_keys(void)
{
    struct xt_failure failure = {0};
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_open(deployment("DIR/keys/master.keys"), &keyring, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return keyring;
}

static uint32_t current(void)
{
    struct xt_failure failure = {0};
    uint32_t number = 0;
    if (xt_generation_current(deployment("DIR"), &number, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return number;
}

static void point_at(uint32_t number)
{
    char name[XT_GENERATION_NAME];
    xt_identity_name(number, name);
    (void)unlink(deployment("DIR/identity/new"));
    assert_int_equal(symlink(name, deployment("DIR/identity/new")), 0);
    assert_int_equal(rename(deployment("DIR/identity/new"), deployment("DIR/identity/current")), 0);
}

static void apply_group(struct xt_live *live, const uint64_t *numbers, unsigned count)
{
    static uint8_t bodies[XT_LIVE_GROUP_MAX][XT_EVENT_BODY_MAX];
    static uint8_t memory[XT_LIVE_GROUP_MAX][XT_EVENT_MAX];
    static struct xt_registry_event told;
    static unsigned id;
    struct xt_failure failure = {0};
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX] = {{.sequence = 0}};
    struct xt_span events[XT_LIVE_GROUP_MAX] = {{NULL, 0}};
    for (unsigned i = 0; i < count; i++) {
        char event_id[32];
        struct xt_event event;
        int size = snprintf(event_id, sizeof(event_id), "%d-%u", (int)getpid(), id++);
        struct xt_registry_envelope envelope = {.event_id = xt_span_of(event_id, (size_t)size)};
        told.type = XT_REGISTRY_ADDRESS_CHANGED;
        told.number = numbers[i];
        told.person.address_province = 5;
        told.person.address_text = xt_span_of_string("another street");
        assert_int_equal(xt_event_from_registry("civil", &envelope, &told, bodies[i], &event),
                         XT_OK);
        struct xt_writer writer = xt_writer_over(memory[i], XT_EVENT_MAX);
        xt_event_encode(&event, &writer);
        events[i] = xt_written(&writer);
    }
    assert_int_equal(xt_live_apply(live, 1000, events, count, outcomes, &failure), XT_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(outcomes[i].status, XT_OK);
    }
}

static void apply_all(void)
{
    static uint64_t numbers[XT_LIVE_GROUP_MAX];
    struct xt_failure failure = {0};
    struct xt_keyring *keyring = read_keys();
    struct xt_live *live = NULL;
    struct xt_generation *base = NULL;
    int lock = -1;
    char line[8192];
    unsigned count = 0;
    FILE *people = fopen(deployment("people.ndjson"), "r");
    assert_non_null(people);
    if (xt_live_lock(deployment("DIR"), &lock, &failure) != XT_OK ||
        xt_live_open_writer(deployment("DIR"), keyring, &live, &failure) != XT_OK ||
        xt_generation_open(deployment("DIR"), current(), keyring, &base, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_live_set_base(live, base);
    for (unsigned i = 0; i < 20000 && fgets(line, sizeof(line), people) != NULL; i++) {
        char number[16];
        member_of(line, "id", number, sizeof(number));
        if (strstr(line, "\"status\":\"alive\"") != NULL && i < EVENTS) {
            numbers[count++] = strtoull(number, NULL, 10);
        }
        if (count == XT_LIVE_GROUP_MAX) {
            apply_group(live, numbers, count);
            count = 0;
        }
    }
    apply_group(live, numbers, count);
    _exit(0);
}

/* While no server runs. */
static void change_people(void)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        apply_all();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint64_t entries(void)
{
    uint64_t count = 0;
    struct xt_failure failure = {0};
    struct xt_keyring *keyring = read_keys();
    struct xt_live *live = NULL;
    if (xt_live_open_reader(deployment("DIR"), keyring, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_int_equal(xt_live_count_entries(live, &count), XT_OK);
    xt_live_close(live);
    xt_keyring_close(keyring);
    return count;
}

static bool entries_reach(uint64_t at_most, unsigned timeout_ms)
{
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(10)) {
        if (entries() <= at_most) {
            return true;
        }
    }
    return false;
}

/* The generation on record. */
static uint32_t recorded(void)
{
    uint32_t number = 0;
    uint8_t digest[XT_GENERATION_DIGEST];
    struct xt_failure failure = {0};
    struct xt_keyring *keyring = read_keys();
    struct xt_live *live = NULL;
    assert_int_equal(xt_live_open_reader(deployment("DIR"), keyring, &live, &failure), XT_OK);
    assert_int_equal(xt_live_generation(live, &number, digest), XT_OK);
    xt_live_close(live);
    xt_keyring_close(keyring);
    return number;
}

static void compact(void)
{
    uint32_t before = current();
    int exit_status = run(xacthuc(), "compact", deployment("DIR"), "--quiet", NULL);
    assert_int_equal(exit_status, 0);
    assert_true(current() > before);
}

static pid_t writer_of(const struct server *server)
{
    pid_t pid = 0;
    for (double end = now_s() + 5; server_writers(server, &pid, 1) != 1; sleep_ms(10)) {
        if (now_s() > end) {
            fail_msg("there is no writer");
        }
    }
    return pid;
}

static unsigned status_now(const struct server *server)
{
    char body[2048];
    verified_question(body, sizeof(body));
    return (unsigned)status_of(server, "demo", body);
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void what_was_compacted_leaves_the_live_store_and_nobody_notices(void **state)
{
    (void)state;
    struct server server;
    change_people();
    assert_true(entries() > EVENTS * 9 / 10);
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 2);
    assert_true(callers_wait(callers, 10, 5000));
    unsigned folded = server_log_count("live_folded");
    compact();
    for (double end = now_s() + 20; server_log_count("live_folded") == folded && now_s() < end;) {
        sleep_ms(10);
    }
    assert_int_equal(entries(), 0);
    assert_true(callers_wait(callers, 10, 5000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(run(xacthuc(), "check", deployment("DIR"), "--quiet", NULL), 0);
}

/* It has the generation before, and what that one lacks must stay. */
static void a_worker_that_stands_still_keeps_the_overlay_whole(void **state)
{
    (void)state;
    struct server server;
    pid_t workers[2];
    change_people();
    uint64_t all = entries();
    server_start_with(&server, NULL, two_workers);
    assert_int_equal(server_workers(&server, workers, 2), 2);
    assert_int_equal(kill(workers[1], SIGSTOP), 0);
    compact();
    sleep_ms(1500);
    assert_true(entries() == all);
    assert_int_equal(kill(workers[1], SIGCONT), 0);
    assert_true(entries_reach(0, 20000));
    assert_int_equal(status_now(&server), 200);
    assert_int_equal(server_stop(&server), 0);
}

static void a_killed_writer_and_a_killed_server_go_on_where_they_were(void **state)
{
    (void)state;
    struct server server;
    change_people();
    uint64_t all = entries();
    server_start_with(&server, NULL, two_workers);
    compact();
    unsigned between = 0;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(entries_reach(all - (i + 1) * all / 12, 20000));
        kill(writer_of(&server), SIGKILL);
        between += entries() > 0;
        assert_int_equal(status_now(&server), 200);
    }
    assert_true(entries_reach(all / 2, 20000));
    kill(server.pid, SIGKILL);
    (void)server_wait(&server, 5000);
    between += entries() > 0;
    assert_true(between >= 3);
    server_start_with(&server, NULL, two_workers);
    assert_true(entries_reach(0, 20000));
    assert_int_equal(status_now(&server), 200);
    assert_int_equal(server_stop(&server), 0);
}

/* Goes on with the one that took over. */
static void adopt_last(struct server *server)
{
    char *log = server_log();
    char *line = NULL;
    for (char *at = log; (at = strstr(at, "\"event\":\"upgraded\"")) != NULL; at++) {
        line = at;
    }
    assert_non_null(line);
    char *pid = strstr(line, "\"pid\":");
    assert_non_null(pid);
    server_adopt(server, (pid_t)strtol(pid + 6, NULL, 10));
    free(log);
}

/* Of the two services each reads what it found, until one is alone. */
static void an_upgrade_and_a_compaction_at_once_end_well(void **state)
{
    (void)state;
    struct server server;
    change_people();
    server_start_with(&server, NULL, two_workers);
    struct callers *callers = callers_start(&server, 2);
    assert_true(callers_wait(callers, 10, 5000));
    kill(server.pid, SIGUSR2);
    compact();
    assert_int_equal(server_wait(&server, 20000), 0);
    adopt_last(&server);
    assert_true(callers_wait(callers, 10, 20000));
    assert_true(entries_reach(0, 40000));
    struct callers_result result = callers_stop(callers);
    assert_int_equal(result.wrong + result.refused + result.cut, 0);
    assert_int_equal(server_stop(&server), 0);
}

static void going_back_needs_the_operators_word_and_says_what_is_lost(void **state)
{
    (void)state;
    struct server server;
    change_people();
    server_start_with(&server, NULL, two_workers);
    compact();
    uint32_t made = current();
    assert_true(entries_reach(0, 20000));
    unsigned refused = server_log_count("generation_refused");
    point_at(made - 1);
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 5; server_log_count("generation_refused") == refused;) {
        assert_true(now_s() < end);
        sleep_ms(10);
    }
    assert_int_equal(server_log_count("changes_lost"), 0);
    assert_true(server_log_has("is there: link identity/current to it", 1000));
    assert_int_equal(status_now(&server), 200);
    assert_int_equal(server_stop(&server), 0);

    server_start_with(&server, "[server]\nallow_older_generation = yes\n", two_workers);
    assert_true(server_log_has("changes_lost", 5000));
    assert_true(server_log_has("lacks events up to", 1000));
    /* Until it is on record the workers refuse to read it under what is left. */
    for (double end = now_s() + 5; recorded() != made - 1 || status_now(&server) != 200;
         sleep_ms(10)) {
        assert_true(now_s() < end);
    }
    assert_int_equal(server_stop(&server), 0);
    server_start_with(&server, NULL, two_workers); /* it is on record now */
    assert_int_equal(status_now(&server), 200);
    assert_int_equal(server_stop(&server), 0);
}

/* ---- events that come meanwhile -------------------------------------------------------------------- */

#define TOLD 300
#define TOLD_AT_ONCE 10
#define NEW_PHONE(i) (981000000U + (i))

/* How many of the lines are durable now; the others were to be sent again. */
static unsigned told(struct test_client *civil, const char *body)
{
    struct test_response response;
    unsigned applied = 0, duplicates = 0, conflicts = 1;
    assert_true(test_client_request(civil, "POST", "/v1/events",
                                    "Content-Type: application/x-ndjson\r\n", body, &response));
    const char *summary = strstr(response.body, "\"applied\":");
    if (response.status != 200 || summary == NULL ||
        sscanf(summary, "\"applied\":%u,\"duplicates\":%u,\"conflicts\":%u", &applied, &duplicates,
               &conflicts) != 3 ||
        conflicts != 0 ||
        (applied + duplicates < TOLD_AT_ONCE && strstr(response.body, "\"not_ready\"") == NULL)) {
        fail_msg("%d %s", response.status, response.body);
    }
    test_response_release(&response);
    return applied + duplicates;
}

/* Person i gets another phone. A writer that begins while one compaction follows the other may find the
 * generation on record gone until the next one is: 503, to be sent again. */
static void tell_phones(struct test_client *civil, char numbers[TOLD][16], unsigned from)
{
    static char body[TOLD_AT_ONCE * 256];
    size_t size = 0;
    unsigned tries = 0;
    for (unsigned i = from; i < from + TOLD_AT_ONCE; i++) {
        size += (size_t)snprintf(body + size, sizeof(body) - size,
                                 "{\"event_id\":\"p-%u\",\"type\":\"phone_linked\",\"id\":\"%s\","
                                 "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"phone\":\"0%u\"}}\n",
                                 i, numbers[i], NEW_PHONE(i));
    }
    while (told(civil, body) < TOLD_AT_ONCE) {
        assert_true(++tries < 100);
        sleep_ms(100);
    }
}

static void assert_phone(struct test_client *demo, const char *number, unsigned phone)
{
    char body[256];
    struct test_response response;
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"phone\":\"0%u\"}}",
                   number, phone);
    assert_int_equal(verify(demo, body, &response), 200);
    if (strstr(response.body, "\"verdict\":\"verified\"") == NULL) {
        fail_msg("phone %u is lost: %s", phone, response.body);
    }
    test_response_release(&response);
}

static pid_t start_compacting(void)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        (void)!freopen("/dev/null", "w", stdout);
        execl(xacthuc(), "xacthuc", "compact", deployment("DIR"), "--quiet", (char *)NULL);
        _exit(127);
    }
    return child;
}

static void read_living(char numbers[TOLD][16])
{
    char line[8192];
    unsigned count = 0;
    FILE *people = fopen(deployment("people.ndjson"), "r");
    assert_non_null(people);
    while (count < TOLD && fgets(line, sizeof(line), people) != NULL) {
        if (strstr(line, "\"status\":\"alive\"") != NULL) {
            member_of(line, "id", numbers[count++], sizeof(numbers[0]));
        }
    }
    fclose(people);
    assert_int_equal(count, TOLD);
}

/* Compactions one after the other, some killed, the writer killed in between: what was acknowledged is seen
 * at once and stays. */
static void what_was_told_while_compacting_is_seen_at_once_and_for_good(void **state)
{
    (void)state;
    static char numbers[TOLD][16];
    struct server server;
    int status = 0;
    unsigned ended = 0;
    read_living(numbers);
    server_start_with(&server, NULL, two_workers);
    struct test_client *civil = connect_as(&server, "civil");
    struct test_client *demo = connect_as(&server, "demo");
    pid_t compacting = start_compacting();
    for (unsigned i = 0; i < TOLD; i += TOLD_AT_ONCE) {
        tell_phones(civil, numbers, i);
        for (unsigned j = 0; j < TOLD_AT_ONCE; j++) {
            assert_phone(demo, numbers[i + j], NEW_PHONE(i + j));
        }
        assert_phone(demo, numbers[i / 2], NEW_PHONE(i / 2));
        if (i % 70 == 40) {
            kill(compacting, SIGKILL);
        }
        if (i % 110 == 60) {
            kill(writer_of(&server), SIGKILL);
        }
        if (waitpid(compacting, &status, WNOHANG) == compacting) {
            ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
            compacting = start_compacting();
        }
        sleep_ms(20);
    }
    assert_int_equal(waitpid(compacting, &status, 0), compacting);
    ended += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    compact();
    assert_true(ended > 0);
    for (unsigned i = 0; i < TOLD; i++) {
        assert_phone(demo, numbers[i], NEW_PHONE(i));
    }
    assert_true(entries_reach(0, 20000));
    for (unsigned i = 0; i < TOLD; i++) {
        assert_phone(demo, numbers[i], NEW_PHONE(i));
    }
    test_client_close(civil);
    test_client_close(demo);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(run(xacthuc(), "check", deployment("DIR"), "--quiet", NULL), 0);
}

/* ---- kills at random moments ---------------------------------------------------------------------- */

static const char *const provinces[] = {"001", "002", "004", "006", "008", "010", "011", "012"};
#define PROVINCES (sizeof(provinces) / sizeof(provinces[0]))

/* Where the civil registry has said that people live, as far as it was acknowledged. */
static struct {
    char numbers[TOLD][16];
    unsigned province[TOLD]; /* index of provinces, and one; 0: nothing was said */
    unsigned told;
} moved;

/* A few more people move, each for certain: somebody who does so again comes from elsewhere. */
static void move_some(struct test_client *civil)
{
    char body[TOLD_AT_ONCE * 200];
    size_t size = 0;
    char wanted[64];
    struct test_response response;
    unsigned from = moved.told;
    for (; moved.told < from + TOLD_AT_ONCE; moved.told++) {
        unsigned i = moved.told % TOLD;
        moved.province[i] = moved.province[i] % PROVINCES + 1;
        size +=
            (size_t)snprintf(body + size, sizeof(body) - size,
                             "{\"event_id\":\"m-%u\",\"type\":\"address_changed\",\"id\":\"%s\","
                             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"province\":\"%s\"}}\n",
                             moved.told, moved.numbers[i], provinces[moved.province[i] - 1]);
    }
    assert_true(test_client_request(civil, "POST", "/v1/events",
                                    "Content-Type: application/x-ndjson\r\n", body, &response));
    (void)snprintf(wanted, sizeof(wanted), "\"applied\":%u,", TOLD_AT_ONCE);
    if (response.status != 200 || strstr(response.body, wanted) == NULL) {
        fail_msg("%d %s", response.status, response.body);
    }
    test_response_release(&response);
}

static void assert_moved(struct test_client *demo, unsigned from, unsigned end)
{
    for (unsigned i = from; i < end; i++) {
        char body[256];
        struct test_response response;
        if (moved.province[i % TOLD] == 0) {
            continue;
        }
        (void)snprintf(
            body, sizeof(body),
            "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"province\":\"%s\"}}",
            moved.numbers[i % TOLD], provinces[moved.province[i % TOLD] - 1]);
        assert_int_equal(verify(demo, body, &response), 200);
        if (strstr(response.body, "\"province\":\"match\"") == NULL) {
            fail_msg("move %u of %u is lost: %s", i, moved.told, response.body);
        }
        test_response_release(&response);
    }
}

/* How long a compaction takes while people move, in seconds. */
static double measure(struct test_client *civil)
{
    int status = 0;
    move_some(civil);
    double began = now_s();
    pid_t child = start_compacting();
    while (waitpid(child, &status, WNOHANG) == 0) {
        move_some(civil);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return now_s() - began;
}

/* Whether it had not ended before the signal came. */
static bool kill_one(struct test_client *civil, double after_s)
{
    int status = 0;
    move_some(civil); /* there is something to compact */
    pid_t child = start_compacting();
    double at = now_s() + after_s;
    while (now_s() < at) {
        if (at - now_s() > 0.01) {
            move_some(civil);
        }
    }
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status)) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void compactions_killed_at_random_moments_lose_nothing_acknowledged(void **state)
{
    (void)state;
    struct server server;
    const char *text = getenv("XT_KILLS");
    const char *seed = getenv("XT_SEED");
    unsigned wanted = text == NULL ? 5 : (unsigned)strtoul(text, NULL, 10);
    uint64_t random = seed == NULL ? (uint64_t)time(NULL) : strtoull(seed, NULL, 10);
    unsigned killed = 0;
    unsigned ended = 0;
    print_message("XT_SEED=%llu\n", (unsigned long long)random);
    read_living(moved.numbers);
    server_start_with(&server, NULL, two_workers);
    struct test_client *civil = connect_as(&server, "civil");
    struct test_client *demo = connect_as(&server, "demo");
    double takes_s = measure(civil);
    uint32_t first = current();
    while (killed < wanted && ended <= wanted + 10) {
        unsigned from = moved.told;
        double after_s = (double)(next_random(&random) % 1000) / 1000 * takes_s;
        bool died = kill_one(civil, after_s);
        takes_s = died ? takes_s : after_s; /* it takes less by now */
        killed += died;
        ended += !died;
        assert_moved(demo, from, moved.told - from > TOLD ? from + TOLD : moved.told);
    }
    print_message(
        "%u compactions of up to %.0f ms killed, %u had ended; %u people moved meanwhile\n", killed,
        takes_s * 1000, ended, moved.told);
    assert_int_equal(killed, wanted);
    assert_true(current() <= first + killed + ended); /* one may have switched before it died */
    compact();
    assert_moved(demo, 0, TOLD);
    assert_true(entries_reach(0, 20000));
    assert_moved(demo, 0, TOLD);
    test_client_close(civil);
    test_client_close(demo);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(run(xacthuc(), "check", deployment("DIR"), "--quiet", NULL), 0);
}

static int begin(void **state)
{
    return deployment_make(state) != 0 ||
                   run(xacthuc(), "partner", "add", deployment("DIR"), "civil", "--purpose",
                       "civil.registry", "--claims", "full_name", "--right", "registry", "--issue",
                       deployment("issued"), NULL) != 0
               ? 1
               : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_compacted_leaves_the_live_store_and_nobody_notices),
        cmocka_unit_test(a_worker_that_stands_still_keeps_the_overlay_whole),
        cmocka_unit_test(a_killed_writer_and_a_killed_server_go_on_where_they_were),
        cmocka_unit_test(what_was_told_while_compacting_is_seen_at_once_and_for_good),
        cmocka_unit_test(compactions_killed_at_random_moments_lose_nothing_acknowledged),
        cmocka_unit_test(going_back_needs_the_operators_word_and_says_what_is_lost),
        cmocka_unit_test(an_upgrade_and_a_compaction_at_once_end_well),
    };
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* an heir's parent ends before it does */
    return cmocka_run_group_tests(tests, begin, deployment_remove);
}
