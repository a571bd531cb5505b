/* POST /v1/challenges and /v1/authenticate of the real server, two workers, over TLS.
 * XT_KILLS in the environment: how many writers and workers are killed under attempts (3; a soak takes 200). */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/citizens.h"
#include "tests/test.h"

#define PASSCODE(value) "{\"type\":\"passcode\",\"value\":\"" value "\"}"
#define FIELDS "Content-Type: application/json\r\n"
#define SECRET "Kh0ng-Ai-Biet-2468"

static const char *const two_workers[] = {"--workers", "2", NULL};
static struct server server;
static struct test_client *portal;
static struct test_client *notary; /* whose purposes ask for level 3 and 4 */

static int begin(void **state)
{
    if (citizens_make(state) != 0) {
        return 1;
    }
    if (run(xacthuc(), "partner", "add", deployment("DIR"), "notary", "--purpose", "notary.look",
            "--claims", "full_name", "--purpose", "notary.sign", "--claims", "full_name",
            "--least-level", "3", "--purpose", "notary.land", "--claims", "full_name",
            "--least-level", "4", "--right", "authenticate", "--issue", deployment("issued"),
            NULL) != 0) {
        return 1;
    }
    server_start_with(
        &server, "answer_timeout = 1m\n[passcode]\nmemory = 7\nqueue = 4\nanswer_step = 50ms\n",
        two_workers);
    if (!wait_until_attempts_are_taken(&server)) {
        return 1;
    }
    portal = connect_patiently(&server, "portal");
    notary = connect_patiently(&server, "notary");
    return 0;
}

static int end(void **state)
{
    test_client_close(portal);
    test_client_close(notary);
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

static void expect(struct test_response *response, int status, const char *wanted)
{
    if (response->status != status || strstr(response->body, wanted) == NULL) {
        fail_msg("%d %s, not %d %s", response->status, response->body, status, wanted);
    }
    test_response_release(response);
}

static void device_factor(unsigned n, char factor[512])
{
    char challenge[61];
    ask_challenge(portal, citizen_id(n), "device_key", "portal", challenge);
    write_device_factor(factor, 512, n, challenge);
}

static void card_factor(unsigned n, char factor[512])
{
    char challenge[61];
    ask_challenge(portal, citizen_id(n), "card_chip", "portal", challenge);
    write_card_factor(factor, 512, n, challenge);
}

/* ---- who is let in ------------------------------------------------------------------------------ */

static void each_factor_alone_is_level_1(void **state)
{
    (void)state;
    struct test_response response;
    char factor[512];
    for (unsigned n = 1; n <= 2; n++) { /* Ed25519 and P-256 */
        device_factor(n, factor);
        (void)authenticate(portal, citizen_id(n), "portal", "portal.login", factor, &response);
        assert_non_null(strstr(response.body, "{\"access_token\":\"eyJ"));
        assert_non_null(strstr(response.body, "\"token_type\":\"Bearer\",\"expires_in\":600,"));
        expect(&response, 200, "\"acr\":\"1\",\"amr\":[\"pop\"],\"sub\":\"");
        card_factor(n, factor);
        (void)authenticate(portal, citizen_id(n), "portal", "portal.login", factor, &response);
        expect(&response, 200, "\"acr\":\"1\",\"amr\":[\"sc\"]");
        (void)authenticate(portal, citizen_id(n), "portal", "portal.login", PASSCODE("password"),
                           &response);
        expect(&response, 200, "\"acr\":\"1\",\"amr\":[\"pwd\"]");
    }
}

static void two_factors_are_level_2(void **state)
{
    (void)state;
    struct test_response response;
    char device[512], card[512], both[2048];
    device_factor(3, device);
    snprintf(both, sizeof(both), PASSCODE("password") ",%s", device);
    (void)authenticate(portal, citizen_id(3), "portal", "portal.pay", both, &response);
    expect(&response, 200, "\"acr\":\"2\",\"amr\":[\"pop\",\"pwd\",\"mfa\"]");
    device_factor(3, device);
    card_factor(3, card);
    snprintf(both, sizeof(both), "%s,%s", device, card);
    (void)authenticate(portal, citizen_id(3), "portal", "portal.pay", both, &response);
    expect(&response, 200, "\"acr\":\"2\",\"amr\":[\"pop\",\"sc\"]");
    card_factor(3, card);
    device_factor(3, device);
    snprintf(both, sizeof(both), "%s,%s," PASSCODE("password"), device, card);
    (void)authenticate(portal, citizen_id(3), "portal", "portal.login", both, &response);
    expect(&response, 200, "\"acr\":\"2\",\"amr\":[\"pop\",\"sc\",\"pwd\",\"mfa\"]");
}

static void at_notary(unsigned n, const char *purpose, bool passcode, bool card, int status,
                      const char *wanted)
{
    char challenge[61], device[512], chip[512] = "", all[2048];
    struct test_response response;
    ask_challenge(notary, citizen_id(n), "device_key", "portal", challenge);
    write_device_factor(device, sizeof(device), n, challenge);
    if (card) {
        ask_challenge(notary, citizen_id(n), "card_chip", "portal", challenge);
        write_card_factor(chip, sizeof(chip), n, challenge);
    }
    snprintf(all, sizeof(all), "%s%s%s%s", device, card ? "," : "", chip,
             passcode ? "," PASSCODE("password") : "");
    (void)authenticate(notary, citizen_id(n), "portal", purpose, all, &response);
    expect(&response, status, wanted);
}

static void device_that_a_biometric_unlocks_is_level_3(void **state)
{
    (void)state;
    static const char *const wanted[] = {"\"acr\":\"3\",\"amr\":[\"pop\",\"fpt\",\"mfa\"]",
                                         "\"acr\":\"3\",\"amr\":[\"pop\",\"face\",\"mfa\"]",
                                         "\"acr\":\"3\",\"amr\":[\"pop\",\"iris\",\"mfa\"]",
                                         "\"acr\":\"3\",\"amr\":[\"pop\",\"mfa\"]"};
    for (unsigned i = 0; i < 4; i++) {
        at_notary(CITIZEN_UNLOCKED + i, "notary.sign", false, false, 200, wanted[i]);
    }
    at_notary(CITIZEN_UNLOCKED, "notary.sign", false, true, 200,
              "\"acr\":\"3\",\"amr\":[\"pop\",\"fpt\",\"sc\",\"mfa\"]");
}

static void such_a_device_with_the_passcode_is_level_4(void **state)
{
    (void)state;
    at_notary(CITIZEN_UNLOCKED, "notary.land", true, false, 200,
              "\"acr\":\"4\",\"amr\":[\"pop\",\"fpt\",\"pwd\",\"mfa\"]");
    at_notary(CITIZEN_UNLOCKED + 1, "notary.land", true, true, 200,
              "\"acr\":\"4\",\"amr\":[\"pop\",\"face\",\"sc\",\"pwd\",\"mfa\"]");
}

/* By the factors alone where no device makes them enough; else behind the attempt, and only to who has passed. */
static void plain_device_does_not_reach_level_3(void **state)
{
    (void)state;
    struct test_response response;
    char challenge[61], factor[512];
    at_notary(52, "notary.sign", false, false, 403, "level_too_low");
    at_notary(52, "notary.sign", true, true, 403, "level_too_low");
    at_notary(52, "notary.look", true, true, 200, "\"acr\":\"2\"");
    at_notary(CITIZEN_UNLOCKED, "notary.land", false, true, 403, "level_too_low");
    (void)authenticate(notary, citizen_id(52), "portal", "notary.sign", PASSCODE("password"),
                       &response);
    expect(&response, 403, "level_too_low");
    /* Who does not pass is told what everybody is told. */
    ask_challenge(notary, citizen_id(53), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 54, challenge);
    (void)authenticate(notary, citizen_id(53), "portal", "notary.sign", factor, &response);
    expect(&response, 401, "authentication_failed");
    ask_challenge(notary, citizen_id(CITIZEN_UNLOCKED), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 54, challenge);
    (void)authenticate(notary, citizen_id(CITIZEN_UNLOCKED), "portal", "notary.sign", factor,
                       &response);
    expect(&response, 401, "authentication_failed");
}

/* The imported hash takes the place of one of ours at the first success: both let him in. */
static void passcode_goes_on_after_it_was_hashed_anew(void **state)
{
    (void)state;
    struct test_response response;
    for (unsigned i = 0; i < 3; i++) {
        (void)authenticate(portal, citizen_id(4), "portal", "portal.login", PASSCODE("password"),
                           &response);
        expect(&response, 200, "\"amr\":[\"pwd\"]");
    }
    (void)authenticate(portal, citizen_id(4), "portal", "portal.login", PASSCODE("passwore"),
                       &response);
    expect(&response, 401, "authentication_failed");
    (void)authenticate(portal, citizen_id(4), "portal", "portal.login", PASSCODE("password"),
                       &response);
    expect(&response, 200, "\"amr\":[\"pwd\"]");
}

/* A second hash is made only behind a success, and once: whose account waits cannot be told by it that the guess
 * was right. */
static void hash_is_made_anew_only_after_the_verdict(void **state)
{
    (void)state;
    static const char *const tries[] = {PASSCODE("passwore"), PASSCODE("password"),
                                        PASSCODE("password")};
    struct test_response response;
    unsigned before = hashes_at_rest(&server);
    for (unsigned i = 0; i < 3; i++) {
        (void)authenticate(portal, citizen_id(33), "portal", "portal.login", tries[i], &response);
        expect(&response, i == 0 ? 401 : 200, "");
    }
    unsigned after = hashes_at_rest(&server);
    assert_int_equal(after - before, 4); /* one each, and one behind the first success */
    for (unsigned i = 0; i < 6; i++) {
        (void)authenticate(portal, citizen_id(34), "portal", "portal.login",
                           i < 5 ? tries[0] : tries[1], &response);
        expect(&response, 401, "authentication_failed");
    }
    assert_int_equal(hashes_at_rest(&server) - after, 6); /* the last was right, and it waits */
}

static void subject_of(const char *partner, unsigned n, char sub[64])
{
    struct test_response response;
    struct test_client *client = connect_patiently(&server, partner);
    assert_int_equal(authenticate_by_device(client, n, &response), 200);
    member_of(response.body, "sub", sub, 64);
    assert_int_equal(strlen(sub), 43);
    test_response_release(&response);
    test_client_close(client);
}

static void subject_is_another_for_each_partner(void **state)
{
    (void)state;
    char first[64], again[64], other[64], somebody_else[64];
    subject_of("portal", 5, first);
    subject_of("portal", 5, again);
    subject_of("shop", 5, other);
    subject_of("portal", 6, somebody_else);
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
    assert_string_not_equal(first, somebody_else);
}

/* ---- who is not --------------------------------------------------------------------------------- */

/* Head and body without what differs between any two answers. */
static char *form_of(struct test_response *response)
{
    char *text = NULL;
    char *date = strstr(response->head, "Date: "), *id = strstr(response->body, "answer_id\":\"");
    assert_non_null(date);
    assert_non_null(id);
    memset(date, '.', strcspn(date, "\r"));
    memset(id + 12, '.', 26);
    assert_true(asprintf(&text, "%s%s", response->head, response->body) > 0);
    test_response_release(response);
    return text;
}

static char *refusal; /* of the first */

static void is_refused_alike(const char *who, const char *id, const char *audience,
                             const char *factors)
{
    struct test_response response;
    assert_int_equal(authenticate(portal, id, audience, "portal.login", factors, &response), 401);
    char *form = form_of(&response);
    if (refusal == NULL) {
        refusal = form;
        assert_non_null(strstr(form, "authentication_failed"));
        return;
    }
    if (strcmp(form, refusal) != 0) {
        fail_msg("%s: %s\nnot %s", who, form, refusal);
    }
    free(form);
}

static void every_failure_looks_the_same(void **state)
{
    (void)state;
    char factor[512], challenge[61], both[2048];
    struct test_response response;
    device_factor(CITIZENS, factor);
    is_refused_alike("nobody", citizen_id(CITIZENS), "portal", factor);
    is_refused_alike("nobody, passcode", citizen_id(CITIZENS), "portal", PASSCODE("password"));
    is_refused_alike("a CMND that nobody has", "987654321", "portal", PASSCODE("password"));
    device_factor(CITIZEN_LOCKED, factor);
    is_refused_alike("locked", citizen_id(CITIZEN_LOCKED), "portal", factor);
    device_factor(CITIZEN_DEAD, factor);
    is_refused_alike("dead", citizen_id(CITIZEN_DEAD), "portal", factor);
    device_factor(CITIZEN_WITHOUT_ACCOUNT, factor);
    is_refused_alike("without an account", citizen_id(CITIZEN_WITHOUT_ACCOUNT), "portal", factor);
    card_factor(CITIZEN_WITH_LOST_CARD, factor);
    is_refused_alike("lost card", citizen_id(CITIZEN_WITH_LOST_CARD), "portal", factor);
    is_refused_alike("without a passcode", citizen_id(CITIZEN_WITHOUT_PASSCODE), "portal",
                     PASSCODE("password"));
    is_refused_alike("wrong passcode", citizen_id(7), "portal", PASSCODE("Password"));
    device_factor(7, factor);
    snprintf(both, sizeof(both), "%s," PASSCODE("Password"), factor);
    is_refused_alike("one of two wrong", citizen_id(7), "portal", both);
    ask_challenge(portal, citizen_id(8), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 10, challenge);
    is_refused_alike("another's device", citizen_id(8), "portal", factor);
    ask_challenge(portal, citizen_id(9), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 8, challenge);
    is_refused_alike("challenge of another", citizen_id(8), "portal", factor);
    ask_challenge(portal, citizen_id(8), "card_chip", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 8, challenge);
    is_refused_alike("challenge of another factor", citizen_id(8), "portal", factor);
    ask_challenge(portal, citizen_id(8), "device_key", "shop", challenge);
    write_device_factor(factor, sizeof(factor), 8, challenge);
    is_refused_alike("challenge of another audience", citizen_id(8), "portal", factor);
    struct test_client *shop = connect_patiently(&server, "shop");
    ask_challenge(shop, citizen_id(10), "device_key", "portal", challenge);
    test_client_close(shop);
    write_device_factor(factor, sizeof(factor), 10, challenge);
    is_refused_alike("challenge of another partner", citizen_id(10), "portal", factor);
    device_factor(10, factor);
    assert_int_equal(
        authenticate(portal, citizen_id(10), "portal", "portal.login", factor, &response), 200);
    test_response_release(&response);
    is_refused_alike("challenge that was used", citizen_id(10), "portal", factor);
    free(refusal);
}

/* Somebody, nobody, right, wrong: none is answered before a step is over, so that none can be told by it. */
static void no_passcode_is_answered_before_its_step(void **state)
{
    (void)state;
    static const struct {
        unsigned n;
        const char *factor;
    } cases[] = {{1, PASSCODE("password")},
                 {1, PASSCODE("passwore")},
                 {CITIZENS, PASSCODE("password")},
                 {CITIZEN_WITHOUT_PASSCODE, PASSCODE("password")},
                 {CITIZEN_LOCKED, PASSCODE("password")}};
    struct test_response response;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double began = now_s();
        (void)authenticate(portal, citizen_id(cases[i].n), "portal", "portal.login",
                           cases[i].factor, &response);
        assert_true(now_s() - began >= 0.05); /* never less, however busy the machine is */
        expect(&response, i == 0 ? 200 : 401, "");
    }
}

static void right_factor_waits_after_five_failures(void **state)
{
    (void)state;
    struct test_response response;
    for (unsigned i = 0; i < 4; i++) {
        (void)authenticate(portal, citizen_id(16), "portal", "portal.login", PASSCODE("1"),
                           &response);
        expect(&response, 401, "authentication_failed");
    }
    assert_int_equal(authenticate_by_device(portal, 16, &response),
                     200); /* no passcode: it stays */
    test_response_release(&response);
    (void)authenticate(portal, citizen_id(16), "portal", "portal.login", PASSCODE("1"), &response);
    expect(&response, 401, "authentication_failed");
    assert_int_equal(authenticate_by_device(portal, 16, &response), 401);
    test_response_release(&response);
    assert_int_equal(authenticate_by_device(portal, 17, &response), 200); /* others do not */
    test_response_release(&response);
}

/* ---- races -------------------------------------------------------------------------------------- */

enum { THREADS = 8 };

struct caller {
    pthread_t thread;
    char id[16], factors[1024];
    unsigned times;
    unsigned let_in, failed, unknown, other;
};

static pthread_barrier_t barrier;

static void *call(void *context)
{
    struct caller *caller = context;
    struct test_client *client = connect_patiently(&server, "portal");
    (void)pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < caller->times; i++) {
        struct test_response response;
        int status =
            authenticate(client, caller->id, "portal", "portal.login", caller->factors, &response);
        caller->let_in += status == 200;
        caller->failed += status == 401;
        caller->unknown += status == 503 || status == 0;
        caller->other += status != 200 && status != 401 && status != 503 && status != 0;
        if (status != 0) {
            test_response_release(&response);
        } else {
            test_client_close(client);
            client = connect_patiently(&server, "portal");
        }
    }
    test_client_close(client);
    return NULL;
}

static struct caller together(const char *id, const char *factors, unsigned times)
{
    static struct caller callers[THREADS];
    struct caller sum = {.times = times};
    assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.times = times};
        snprintf(callers[i].id, sizeof(callers[i].id), "%s", id);
        snprintf(callers[i].factors, sizeof(callers[i].factors), "%s", factors);
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        sum.let_in += callers[i].let_in;
        sum.failed += callers[i].failed;
        sum.unknown += callers[i].unknown;
        sum.other += callers[i].other;
    }
    (void)pthread_barrier_destroy(&barrier);
    return sum;
}

static void challenge_counts_once_over_all_workers(void **state)
{
    (void)state;
    char factor[512];
    for (unsigned n = 18; n < 26; n++) {
        device_factor(n, factor);
        struct caller sum = together(citizen_id(n), factor, 1);
        assert_int_equal(sum.let_in, 1);
        assert_int_equal(sum.failed, THREADS - 1);
    }
}

/* Whoever dies meanwhile: a challenge lets in at most once, and what let in has its token. */
static void challenge_counts_once_whoever_is_killed(void **state)
{
    (void)state;
    const char *kills = getenv("XT_KILLS");
    unsigned rounds = kills != NULL ? (unsigned)strtoul(kills, NULL, 10) : 3;
    unsigned all = 0;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned n = 64 + i % 28 * 16 + i / 28 % 11; /* somebody else each time: failures add up */
        char factor[512];
        pid_t pids[8];
        struct test_client *client = connect_patiently(&server, "portal");
        char challenge[61];
        ask_challenge(client, citizen_id(n), "device_key", "portal", challenge);
        test_client_close(client);
        write_device_factor(factor, sizeof(factor), n, challenge);
        unsigned count =
            i % 3 == 2 ? server_workers(&server, pids, 8) : server_writers(&server, pids, 8);
        assert_true(count > 0);
        pid_t victim = pids[i % count], killer = fork();
        if (killer == 0) {
            sleep_ms(i % 5);
            (void)kill(victim, SIGKILL);
            _exit(0);
        }
        struct caller sum = together(citizen_id(n), factor, 3);
        unsigned let_in = sum.let_in;
        assert_int_equal(sum.other, 0);
        assert_int_equal(waitpid(killer, NULL, 0), killer);
        assert_true(server_wait_for_workers(&server, 2, victim, 60000));
        assert_true(wait_until_attempts_are_taken(&server));
        sum = together(citizen_id(n), factor, 1); /* maybe none of the first was heard */
        assert_true(let_in + sum.let_in <= 1);
        all += let_in + sum.let_in;
    }
    assert_true(all > 0);
    test_client_close(portal);
    portal = connect_patiently(&server, "portal");
}

/* More at a time than the queue takes: they are told at once, and nobody else waits. */
static void passcodes_over_the_queue_are_refused_at_once(void **state)
{
    (void)state;
    struct caller sum = together(citizen_id(50), PASSCODE("1"), 12);
    assert_int_equal(sum.failed + sum.unknown, 12 * THREADS);
    assert_int_equal(sum.other, 0);
    assert_true(sum.failed > 0);
}

/* ---- who may ask -------------------------------------------------------------------------------- */

static void purpose_may_ask_for_a_level(void **state)
{
    (void)state;
    struct test_response response;
    char factor[512];
    device_factor(26, factor);
    (void)authenticate(portal, citizen_id(26), "portal", "portal.pay", PASSCODE("password"),
                       &response);
    expect(&response, 403, "level_too_low");
    (void)authenticate(portal, citizen_id(26), "portal", NULL, factor, &response);
    expect(&response, 400, "{\"pointer\":\"/purpose\",\"code\":\"missing_member\"}");
    (void)authenticate(portal, citizen_id(26), "portal", "portal.vote", factor, &response);
    expect(&response, 403, "{\"pointer\":\"/purpose\",\"code\":\"not_permitted\"}");
    (void)authenticate(portal, citizen_id(26), "portal", "portal.login", factor, &response);
    expect(&response, 200, "\"acr\":\"1\""); /* no attempt was made before */
}

static void right_is_needed(void **state)
{
    (void)state;
    struct test_response response;
    struct test_client *demo = connect_patiently(&server, "demo");
    (void)authenticate(demo, citizen_id(1), "portal", "portal.login", PASSCODE("password"),
                       &response);
    expect(&response, 403, "endpoint_not_permitted");
    assert_true(test_client_request(demo, "POST", "/v1/challenges", FIELDS, "{}", &response));
    expect(&response, 403, "endpoint_not_permitted");
    test_client_close(demo);
    assert_true(test_client_request(portal, "POST", "/v1/challenges", FIELDS, "{}", &response));
    expect(&response, 400, "{\"pointer\":\"/id\",\"code\":\"missing_member\"}");
    assert_true(
        test_client_request(portal, "POST", "/v1/authenticate", FIELDS, "{\"x\":1}", &response));
    expect(&response, 400, "{\"pointer\":\"/factors\",\"code\":\"missing_member\"}");
    assert_true(test_client_request(portal, "POST", "/v1/authenticate",
                                    "Content-Type: text/plain\r\n", "{}", &response));
    expect(&response, 415, "unsupported_media_type");
}

static void numbers_beyond_the_quota_are_not_tried(void **state)
{
    (void)state;
    struct test_response response;
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "shop", "--daily-quota", "2", NULL), 0);
    struct test_client *shop = connect_patiently(&server, "shop");
    bool refused = false; /* one of three: which, depends on when the change is taken up */
    for (double until = now_s() + 60; !refused && now_s() < until; sleep_ms(50)) {
        for (unsigned n = 27; n < 30; n++) {
            if (authenticate_by_device(shop, n, &response) == 429) {
                assert_non_null(strstr(response.body, "quota_exceeded"));
                refused = true;
            }
            test_response_release(&response);
        }
    }
    assert_true(refused);
    test_client_close(shop);
}

/* ---- the connection ----------------------------------------------------------------------------- */

static void requests_behind_it_are_answered_after_it(void **state)
{
    (void)state;
    char factor[512], body[1024], text[4096];
    struct test_response response;
    device_factor(30, factor);
    int size = snprintf(
        body, sizeof(body),
        "{\"id\":\"%s\",\"audience\":\"portal\",\"purpose\":\"portal.login\",\"factors\":[%s]}",
        citizen_id(30), factor);
    snprintf(text, sizeof(text),
             "POST /v1/authenticate HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: %d\r\n\r\n%s"
             "GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n"
             "POST /v1/authenticate HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: %d\r\n\r\n%s",
             size, body, size, body);
    assert_true(test_client_send_text(portal, text));
    assert_true(test_client_response(portal, false, &response));
    expect(&response, 200, "access_token");
    assert_true(test_client_response(portal, false, &response));
    expect(&response, 200, "\"keys\"");
    assert_true(test_client_response(portal, false, &response));
    expect(&response, 401, "authentication_failed");
}

static void clients_that_leave_are_written_down(void **state)
{
    (void)state;
    char factor[512], body[1024], text[2048];
    struct test_response response;
    device_factor(31, factor);
    int size = snprintf(
        body, sizeof(body),
        "{\"id\":\"%s\",\"audience\":\"portal\",\"purpose\":\"portal.login\",\"factors\":[%s]}",
        citizen_id(31), factor);
    snprintf(text, sizeof(text),
             "POST /v1/authenticate HTTP/1.1\r\nHost: a\r\n" FIELDS "Content-Length: %d\r\n\r\n%s",
             size, body);
    struct test_client *hasty = connect_patiently(&server, "portal");
    assert_true(test_client_send_text(hasty, text));
    test_client_close(hasty);
    sleep_ms(300);
    assert_int_equal(
        authenticate(portal, citizen_id(31), "portal", "portal.login", factor, &response), 401);
    test_response_release(&response); /* it was used */
}

/* ---- secrets ------------------------------------------------------------------------------------ */

static void passcode_stands_nowhere(void **state)
{
    (void)state;
    struct test_response response;
    char command[700];
    (void)authenticate(portal, citizen_id(51), "portal", "portal.login", PASSCODE(SECRET),
                       &response);
    expect(&response, 401, "authentication_failed");
    assert_true(test_client_request(portal, "POST", "/v1/authenticate", FIELDS,
                                    "{\"id\":\"" SECRET "\",\"x\":\"" SECRET "\"}", &response));
    assert_null(strstr(response.body, SECRET));
    test_response_release(&response);
    sleep_ms(200);
    snprintf(command, sizeof(command), "grep -rqa -e '" SECRET "' -e '%s' '%s' '%s'",
             citizen_id(51), deployment("DIR"), deployment("server.log"));
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 1);
}

/* Everything that runs in a worker is in its sandbox: the threads that hash and those of the loop's pool. */
static void every_thread_is_in_the_sandbox(void **state)
{
    (void)state;
    pid_t pids[8];
    unsigned workers = server_workers(&server, pids, 8);
    assert_int_equal(workers, 2);
    for (unsigned i = 0; i < workers; i++) {
        char path[512], folder[64], filters[32], first[32] = "";
        unsigned threads = 0;
        snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pids[i]);
        DIR *list = opendir(folder);
        assert_non_null(list);
        for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
            if (entry->d_name[0] == '.') {
                continue;
            }
            snprintf(path, sizeof(path), "%s/%s/status", folder, entry->d_name);
            char *status = read_text(path);
            assert_non_null(strstr(status, "Seccomp:\t2"));
            assert_non_null(strstr(status, "CapEff:\t0000000000000000"));
            snprintf(filters, sizeof(filters), "%s", strstr(status, "Seccomp_filters:"));
            assert_true(first[0] == '\0' || strncmp(filters, first, strcspn(first, "\n")) == 0);
            memcpy(first, filters, sizeof(first));
            free(status);
            threads++;
        }
        closedir(list);
        assert_true(threads >= 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_factor_alone_is_level_1),
        cmocka_unit_test(two_factors_are_level_2),
        cmocka_unit_test(device_that_a_biometric_unlocks_is_level_3),
        cmocka_unit_test(such_a_device_with_the_passcode_is_level_4),
        cmocka_unit_test(plain_device_does_not_reach_level_3),
        cmocka_unit_test(passcode_goes_on_after_it_was_hashed_anew),
        cmocka_unit_test(hash_is_made_anew_only_after_the_verdict),
        cmocka_unit_test(subject_is_another_for_each_partner),
        cmocka_unit_test(every_failure_looks_the_same),
        cmocka_unit_test(no_passcode_is_answered_before_its_step),
        cmocka_unit_test(right_factor_waits_after_five_failures),
        cmocka_unit_test(challenge_counts_once_over_all_workers),
        cmocka_unit_test(purpose_may_ask_for_a_level),
        cmocka_unit_test(right_is_needed),
        cmocka_unit_test(requests_behind_it_are_answered_after_it),
        cmocka_unit_test(clients_that_leave_are_written_down),
        cmocka_unit_test(passcodes_over_the_queue_are_refused_at_once),
        cmocka_unit_test(passcode_stands_nowhere),
        cmocka_unit_test(every_thread_is_in_the_sandbox),
        cmocka_unit_test(numbers_beyond_the_quota_are_not_tried),
        cmocka_unit_test(challenge_counts_once_whoever_is_killed),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
