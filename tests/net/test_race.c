/* Attempts over eight connections of two workers of the real server, over TLS, at once: nobody is let through for a
 * 101st failure in a row, and no challenge lets in twice; also while workers and the writer are killed.
 *
 *   people who are guessed at    everybody shows something wrong; every round the clock leaps by more than the longest
 *                                wait, so that each of them may be tried once more, and all try at once
 *   people who are welcome       show challenges, each over several connections
 *
 * What is checked is kept outside: what was answered (one challenge, one 200 at most), what the audit log tells of each
 * person in the order of the sequence, what the live store counts once nobody serves, and what is answered then to who
 * shows the right thing.
 * XT_ATTEMPTS in the environment: about how many are made (3,300; a soak makes 100,000); XT_KILLS: how many workers and
 * writers are killed under them (4; 200). What a killed worker had not written down is told by nobody: of those the
 * store's count is the witness.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/throttle.h"
#include "crypto/keyring.h"
#include "store/live_account.h"
#include "tests/core/mutate.h"
#include "tests/net/citizens.h"
#include "tests/preload.h"
#include "tests/test.h"

#define FIELDS "Content-Type: application/json\r\n"
#define GUESSED 3
#define FIRST_GUESSED 64
#define WELCOME 6
#define FIRST_WELCOME 80
#define SLOTS 4    /* challenges at a time */
#define SHOWN 4    /* times that each is shown */
#define ROUNDS 104 /* five failures in the first, one in each after it */
#define LEAP_MS (XT_THROTTLE_LONGEST_MS + 1000)
#define FRESH_S 40 /* a challenge is shown no longer */

enum { THREADS = 8 };

struct slot {
    bool busy; /* somebody asks for it */
    unsigned person, challenge, shown;
    double drawn_s;
    char factor[512]; /* "": none */
};

static struct server server;
static struct preload_control *control;

static struct {
    pthread_mutex_t lock;
    pthread_barrier_t begin, end;
    bool over;
    unsigned each; /* attempts of a thread in a round */
    struct slot slots[SLOTS];
    unsigned challenges, most;
    uint8_t *let_in; /* answers 200, by challenge */
    unsigned let_in_of[WELCOME];
    unsigned attempts, refused, unknown, other, guessed_right;
} field;

/* ---- the server ----------------------------------------------------------------------------------- */

static void serve(void)
{
    static const char *const two_workers[] = {"--workers", "2", NULL};
    char options[512];
    const char *asan = getenv("ASAN_OPTIONS");
    snprintf(options, sizeof(options), "%s:verify_asan_link_order=0", asan == NULL ? "" : asan);
    assert_int_equal(setenv("ASAN_OPTIONS", options, 1), 0);
    assert_int_equal(setenv("PRELOAD_FOLDER", deployment("none"), 1), 0);
    assert_int_equal(setenv("PRELOAD_CONTROL", deployment("DIR/live/control"), 1), 0);
    assert_int_equal(setenv("LD_PRELOAD", getenv("XT_PRELOAD"), 1), 0);
    server_start_with(&server, "answer_timeout = 1m\n", two_workers);
    assert_int_equal(unsetenv("LD_PRELOAD"), 0);
    assert_true(wait_until_attempts_are_taken(&server));
}

static int make(void **state)
{
    if (citizens_make(state) != 0) {
        return 1;
    }
    (void)mkdir(deployment("DIR/live"), 0700); /* where processes of the server may open it */
    int fd = open(deployment("DIR/live/control"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof(*control)) == 0);
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(control != MAP_FAILED);
    close(fd);
    serve();
    return 0;
}

static int end(void **state)
{
    int status = server_stop(&server);
    munmap(control, sizeof(*control));
    return deployment_remove(state) != 0 ? 1 : status;
}

/* Workers look at the time of day once a millisecond. */
static void leap(void)
{
    __atomic_fetch_add(&control->clock_ms, (int64_t)LEAP_MS, __ATOMIC_RELAXED);
    sleep_ms(3);
}

/* ---- attempts ------------------------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    struct test_client *client;
    uint64_t random;
};

/* false: none was given. A connection that is gone is made anew. */
static bool ask_for(struct caller *caller, unsigned n, char challenge[61])
{
    char body[256];
    struct test_response response;
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"factor\":\"device_key\",\"audience\":\"portal\"}", citizen_id(n));
    if (!test_client_request(caller->client, "POST", "/v1/challenges", FIELDS, body, &response)) {
        test_client_close(caller->client);
        caller->client = connect_patiently(&server, "portal");
        return false;
    }
    bool given = response.status == 200;
    if (given) {
        member_of(response.body, "challenge", challenge, 61);
    }
    test_response_release(&response);
    return given;
}

static int try(struct caller *caller, unsigned n, const char *factor)
{
    struct test_response response;
    int status =
        authenticate(caller->client, citizen_id(n), "portal", "portal.login", factor, &response);
    if (status == 0) {
        test_client_close(caller->client);
        caller->client = connect_patiently(&server, "portal");
    } else {
        test_response_release(&response);
    }
    pthread_mutex_lock(&field.lock);
    field.attempts++;
    field.refused += status == 401;
    field.unknown += status == 0 || status == 503;
    field.other += status != 0 && status != 200 && status != 401 && status != 503;
    pthread_mutex_unlock(&field.lock);
    return status;
}

/* Mostly over a challenge that is none; now and then over one of his, with somebody else's key. */
static void guess(struct caller *caller)
{
    char challenge[61], signature[87], factor[512];
    unsigned n = FIRST_GUESSED + (unsigned)(next_random(&caller->random) % GUESSED);
    memset(challenge, 'A', 60);
    memset(signature, 'A', 86);
    challenge[60] = signature[86] = '\0';
    if (next_random(&caller->random) % 8 == 0) {
        if (!ask_for(caller, n, challenge)) {
            return;
        }
        sign_as_device(n + 16, challenge, signature);
    }
    snprintf(
        factor, sizeof(factor),
        "{\"type\":\"device_key\",\"device_id\":\"%s\",\"challenge\":\"%s\",\"signature\":\"%s\"}",
        citizen_device(n), challenge, signature);
    if (try(caller, n, factor) == 200) {
        pthread_mutex_lock(&field.lock);
        field.guessed_right++;
        pthread_mutex_unlock(&field.lock);
    }
}

/* The caller has the lock. */
static bool can_be_shown(const struct slot *slot)
{
    return slot->factor[0] != '\0' && slot->shown < SHOWN && now_s() - slot->drawn_s < FRESH_S;
}

/* Puts a new challenge into a slot that is ours. */
static bool draw(struct caller *caller, struct slot *slot)
{
    char challenge[61], factor[512];
    unsigned person = (unsigned)(next_random(&caller->random) % WELCOME);
    double now = now_s();
    bool given = ask_for(caller, FIRST_WELCOME + person, challenge);
    if (given) {
        write_device_factor(factor, sizeof(factor), FIRST_WELCOME + person, challenge);
    }
    pthread_mutex_lock(&field.lock);
    slot->busy = false;
    slot->shown = 0;
    slot->factor[0] = '\0';
    if (given && field.challenges < field.most) {
        slot->person = person;
        slot->challenge = field.challenges++;
        slot->drawn_s = now;
        memcpy(slot->factor, factor, sizeof(factor));
    }
    pthread_mutex_unlock(&field.lock);
    return given;
}

static void show(struct caller *caller)
{
    struct slot *slot = &field.slots[next_random(&caller->random) % SLOTS];
    pthread_mutex_lock(&field.lock);
    bool ours = !slot->busy && !can_be_shown(slot);
    slot->busy = slot->busy || ours;
    pthread_mutex_unlock(&field.lock);
    if (ours && !draw(caller, slot)) {
        return;
    }
    pthread_mutex_lock(&field.lock);
    struct slot shown = *slot;
    bool can = !slot->busy && can_be_shown(slot);
    slot->shown += can;
    pthread_mutex_unlock(&field.lock);
    if (can && try(caller, FIRST_WELCOME + shown.person, shown.factor) == 200) {
        pthread_mutex_lock(&field.lock);
        field.let_in[shown.challenge]++;
        field.let_in_of[shown.person]++;
        pthread_mutex_unlock(&field.lock);
    }
}

static void *call(void *context)
{
    struct caller *caller = context;
    caller->client = connect_patiently(&server, "portal");
    for (;;) {
        (void)pthread_barrier_wait(&field.begin);
        if (field.over) {
            break;
        }
        for (unsigned i = 0; i < field.each; i++) {
            if (next_random(&caller->random) % 2 == 0) {
                guess(caller);
            } else {
                show(caller);
            }
        }
        (void)pthread_barrier_wait(&field.end);
    }
    test_client_close(caller->client);
    return NULL;
}

/* ---- rounds --------------------------------------------------------------------------------------- */

static void kill_one(unsigned i, uint64_t *random, pid_t *victim)
{
    pid_t pids[8];
    unsigned count =
        i % 2 == 0 ? server_writers(&server, pids, 8) : server_workers(&server, pids, 8);
    *victim = count > 0 ? pids[next_random(random) % count] : 0;
    if (*victim > 0) {
        usleep((useconds_t)(next_random(random) % 10000));
        (void)kill(*victim, SIGKILL);
    }
}

/* kills: spread over the rounds. */
static unsigned run_rounds(unsigned rounds, unsigned kills, uint64_t seed)
{
    struct caller callers[THREADS];
    unsigned killed = 0;
    uint64_t random = seed;
    field.over = false;
    assert_int_equal(pthread_barrier_init(&field.begin, NULL, THREADS + 1), 0);
    assert_int_equal(pthread_barrier_init(&field.end, NULL, THREADS + 1), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.random = seed + i + 1};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (unsigned round = 0; round < rounds; round++) {
        bool kills_now = killed < kills && round >= killed * rounds / kills;
        pid_t victim = 0;
        memset(field.slots, 0, sizeof(field.slots)); /* challenges of before are over */
        leap();
        (void)pthread_barrier_wait(&field.begin);
        if (kills_now) {
            kill_one(killed++, &random, &victim);
        }
        (void)pthread_barrier_wait(&field.end);
        if (victim > 0) {
            assert_true(server_wait_for_workers(&server, 2, victim, 60000));
            assert_true(wait_until_attempts_are_taken(&server));
        }
    }
    field.over = true;
    (void)pthread_barrier_wait(&field.begin);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
    }
    (void)pthread_barrier_destroy(&field.begin);
    (void)pthread_barrier_destroy(&field.end);
    return killed;
}

/* The fewest failures in a row that the store counts of anybody who is guessed at. Nobody serves. */
static unsigned least_failures(void)
{
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    struct xt_live *live = NULL;
    unsigned least = UINT32_MAX;
    assert_int_equal(xt_keyring_open(deployment("DIR/keys/master.keys"), &keyring, &failure),
                     XT_OK);
    assert_int_equal(xt_live_open_reader(deployment("DIR"), keyring, &live, &failure), XT_OK);
    for (unsigned i = 0; i < GUESSED; i++) {
        struct xt_throttle throttle;
        struct xt_id id = {.kind = XT_ID_PERSONAL,
                           .value = strtoull(citizen_id(FIRST_GUESSED + i), NULL, 10)};
        assert_int_equal(xt_live_throttle(live, id, false, &throttle), XT_OK);
        assert_true(throttle.failures <= XT_THROTTLE_STOP);
        least = throttle.failures < least ? throttle.failures : least;
    }
    xt_live_close(live);
    xt_keyring_close(keyring);
    return least;
}

/* ---- what the audit log tells ---------------------------------------------------------------------- */

struct told {
    uint64_t sequence;
    char attempt[16];
};

static int by_sequence(const void *a, const void *b)
{
    uint64_t first = ((const struct told *)a)->sequence,
             second = ((const struct told *)b)->sequence;
    return (first > second) - (first < second);
}

/* Attempts at somebody that were applied, in their order. The caller frees it. */
static struct told *read_attempts(unsigned n, unsigned *count)
{
    char command[1024];
    snprintf(command, sizeof(command), "echo %s | '%s' audit search '%s' --id - --json > '%s'",
             citizen_id(n), xacthuc(), deployment("DIR"), deployment("found.ndjson"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
    char *text = read_text(deployment("found.ndjson"));
    struct told *list = calloc(strlen(text) / 64 + 1, sizeof(*list));
    assert_non_null(list);
    *count = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        const char *sequence = strstr(line, "\"sequence\":");
        if (strstr(line, "\"attempt\":\"") == NULL || sequence == NULL) {
            continue;
        }
        struct told *told = &list[(*count)++];
        told->sequence = strtoull(sequence + 11, NULL, 10);
        member_of(line, "attempt", told->attempt, sizeof(told->attempt));
    }
    free(text);
    qsort(list, *count, sizeof(*list), by_sequence);
    for (unsigned i = 1; i < *count; i++) {
        assert_true(list[i].sequence > list[i - 1].sequence);
    }
    return list;
}

/* Gives how many were let through, which all failed, and none after the hundredth. */
static unsigned failures_told(unsigned n)
{
    unsigned count, counted = 0;
    struct told *list = read_attempts(n, &count);
    for (unsigned i = 0; i < count; i++) {
        bool throttled = strcmp(list[i].attempt, "throttled") == 0;
        if (!throttled && strcmp(list[i].attempt, "failed") != 0) {
            fail_msg("a guess was %s", list[i].attempt);
        }
        counted += !throttled;
        assert_true(counted <= XT_THROTTLE_STOP);
    }
    assert_true(count > counted);
    free(list);
    return counted;
}

static unsigned passes_told(unsigned n)
{
    unsigned count, passed = 0;
    struct told *list = read_attempts(n, &count);
    for (unsigned i = 0; i < count; i++) {
        passed += strcmp(list[i].attempt, "passed") == 0;
    }
    free(list);
    return passed;
}

/* With every answer known it is exact. */
static void check_log(void)
{
    unsigned lost = 0;
    bool exact = field.unknown == 0;
    for (unsigned i = 0; i < GUESSED; i++) {
        lost += XT_THROTTLE_STOP - failures_told(FIRST_GUESSED + i);
    }
    assert_true(lost <= field.unknown);
    for (unsigned i = 0; i < WELCOME; i++) {
        unsigned told = passes_told(FIRST_WELCOME + i);
        assert_true(exact ? told == field.let_in_of[i] : told >= field.let_in_of[i]);
    }
    for (unsigned i = 0; i < field.challenges; i++) {
        assert_true(field.let_in[i] <= 1);
    }
}

/* ---- the tests ------------------------------------------------------------------------------------- */

static int right_at(struct test_client *client, unsigned n)
{
    struct test_response response;
    int status = authenticate_by_device(client, n, &response);
    test_response_release(&response);
    return status;
}

/* Who is stopped is not let in with the right thing either, however long he waits, until somebody resets it. */
static void ask_at_the_end(void)
{
    struct test_client *portal = connect_patiently(&server, "portal");
    struct test_client *backend = connect_patiently(&server, "backend");
    for (unsigned i = 0; i < 2; i++) {
        leap();
        for (unsigned n = 0; n < GUESSED; n++) {
            assert_int_equal(right_at(portal, FIRST_GUESSED + n), 401);
        }
    }
    for (unsigned n = 0; n < GUESSED; n++) {
        char body[128];
        struct test_response response;
        snprintf(body, sizeof(body), "{\"id\":\"%s\",\"reason\":\"attempts\"}",
                 citizen_id(FIRST_GUESSED + n));
        assert_true(
            test_client_request(backend, "POST", "/v1/accounts/unlock", FIELDS, body, &response));
        assert_int_equal(response.status, 200);
        test_response_release(&response);
        assert_int_equal(right_at(portal, FIRST_GUESSED + n), 200);
    }
    test_client_close(backend);
    test_client_close(portal);
}

static unsigned from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

static void race(unsigned kills)
{
    unsigned attempts = from_environment("XT_ATTEMPTS", 3300);
    unsigned rounds = kills + 4 > ROUNDS ? kills + 4 : ROUNDS, killed = 0, least = 0;
    memset(&field, 0, sizeof(field));
    (void)pthread_mutex_init(&field.lock, NULL);
    field.each = (attempts + THREADS * rounds - 1) / (THREADS * rounds);
    field.most = 2 * attempts + 10000;
    field.let_in = calloc(field.most, 1);
    assert_non_null(field.let_in);
    for (unsigned i = 0; i < 9 && (least < XT_THROTTLE_STOP || field.attempts < attempts); i++) {
        killed += run_rounds(i == 0 ? rounds : 10, i == 0 ? kills : 0, (uint64_t)now_s() + 100 * i);
        assert_int_equal(server_stop(&server), 0);
        least = least_failures();
        serve();
    }
    unsigned let_in = 0;
    for (unsigned i = 0; i < WELCOME; i++) {
        let_in += field.let_in_of[i];
    }
    print_message("%u attempts, %u let in, %u challenges, %u refused, %u not known, %u killed\n",
                  field.attempts, let_in, field.challenges, field.refused, field.unknown, killed);
    assert_int_equal(least, XT_THROTTLE_STOP);
    assert_int_equal(killed, kills);
    assert_int_equal(field.other, 0);
    assert_int_equal(field.guessed_right, 0);
    assert_true(let_in > 0);
    check_log();
    ask_at_the_end();
    free(field.let_in);
    (void)pthread_mutex_destroy(&field.lock);
}

static void no_101st_failure_and_no_challenge_twice(void **state)
{
    (void)state;
    race(0);
}

static void nor_whoever_is_killed_meanwhile(void **state)
{
    (void)state;
    race(from_environment("XT_KILLS", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_101st_failure_and_no_challenge_twice, make, end),
        cmocka_unit_test_setup_teardown(nor_whoever_is_killed_meanwhile, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
