/* CIBA in poll mode through the real binary over real TLS: a partner asks, the citizen's device decides through its
 * backend, the partner fetches tokens; once each, whoever dies meanwhile. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/jose.h"
#include "crypto/keyring.h"
#include "crypto/token.h"
#include "tests/net/citizens.h"
#include "tests/test.h"

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define JSON "Content-Type: application/json\r\n"
#define GRANT "grant_type=urn:openid:params:grant-type:ciba&auth_req_id="
#define ASK "scope=openid&purpose=portal.login&login_hint="

static struct server server;
static const char *const two_workers[] = {"--workers", "2", NULL};

static int set_up(void **state)
{
    if (citizens_make(state) != 0) {
        return 1;
    }
    server_start_with(&server, "answer_timeout = 1m\n[passcode]\nmemory = 7\nanswer_step = 50ms\n",
                      two_workers);
    return wait_until_attempts_are_taken(&server) ? 0 : 1;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* ---- steps ------------------------------------------------------------------------------------ */

/* On a connection of its own; the response is the caller's. */
static int post(const char *partner, const char *target, const char *type, const char *body,
                struct test_response *response)
{
    struct test_client *client = connect_as(&server, partner);
    assert_true(test_client_request(client, "POST", target, type, body, response));
    test_client_close(client);
    return response->status;
}

/* The caller frees the body. */
static char *told(const char *partner, const char *target, const char *type, const char *body,
                  int status)
{
    struct test_response response = {0};
    if (post(partner, target, type, body, &response) != status) {
        fail_msg("%s: %d %s", target, response.status, response.body);
    }
    char *text = strdup(response.body);
    test_response_release(&response);
    return text;
}

static void ask(const char *partner, unsigned n, const char *more, char auth_req_id[64])
{
    char body[512];
    snprintf(body, sizeof(body), ASK "%s%s", citizen_id(n), more);
    char *answer = told(partner, "/v1/backchannel/authorize", FORM, body, 200);
    member_of(answer, "auth_req_id", auth_req_id, 64);
    assert_int_equal(strlen(auth_req_id), 43);
    free(answer);
}

/* What the citizen is asked: the whole answer, which the caller frees. */
static char *pending(unsigned n)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", citizen_id(n));
    return told("backend", "/v1/backchannel/pending", JSON, body, 200);
}

/* The newest request of a citizen. */
static void name_of(unsigned n, char request[32])
{
    char *list = pending(n);
    member_of(list, "request", request, 32);
    free(list);
}

/* The citizen decides with a challenge for `audience` (NULL: the right one), and a passcode (NULL: none); gives the status. */
static int decide_with(unsigned n, const char *request, const char *decision, const char *audience,
                       unsigned signer, const char *passcode)
{
    char right[96], challenge[61], signature[87], body[512];
    struct test_response response = {0};
    struct test_client *client = connect_as(&server, "backend");
    snprintf(right, sizeof(right), "urn:xacthuc:ciba:%s:%s", request, decision);
    ask_challenge(client, citizen_id(n), "device_key", audience != NULL ? audience : right,
                  challenge);
    sign_as_device(signer, challenge, signature);
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"request\":\"%s\",\"decision\":\"%s\",\"device_id\":\"%s\","
             "\"challenge\":\"%s\",\"signature\":\"%s\"%s%s%s}",
             citizen_id(n), request, decision, citizen_device(n), challenge, signature,
             passcode != NULL ? ",\"passcode\":\"" : "", passcode != NULL ? passcode : "",
             passcode != NULL ? "\"" : "");
    assert_true(
        test_client_request(client, "POST", "/v1/backchannel/decide", JSON, body, &response));
    int status = response.status;
    if (status == 200) {
        assert_string_equal(response.body, decision[0] == 'a' ? "{\"state\":\"approved\"}"
                                                              : "{\"state\":\"denied\"}");
    }
    assert_true(status != 403 || strstr(response.body, "\"level_too_low\"") != NULL);
    test_response_release(&response);
    test_client_close(client);
    return status;
}

static int decide(unsigned n, const char *request, const char *decision, const char *audience,
                  unsigned signer)
{
    return decide_with(n, request, decision, audience, signer, NULL);
}

static int fetch(const char *partner, const char *auth_req_id, struct test_response *response)
{
    char body[256];
    snprintf(body, sizeof(body), "%s%s", GRANT, auth_req_id);
    return post(partner, "/v1/token", FORM, body, response);
}

static void assert_error(const char *partner, const char *auth_req_id, const char *error)
{
    struct test_response response = {0};
    char member[64];
    snprintf(member, sizeof(member), "{\"error\":\"%s\",", error);
    if (fetch(partner, auth_req_id, &response) != 400 ||
        strncmp(response.body, member, strlen(member)) != 0) {
        fail_msg("%s expected: %d %s", error, response.status, response.body);
    }
    test_response_release(&response);
}

static bool is_waiting(const char *auth_req_id)
{
    struct test_response response = {0};
    int status = fetch("portal", auth_req_id, &response);
    bool waiting = status == 400 && (strstr(response.body, "authorization_pending") != NULL ||
                                     strstr(response.body, "slow_down") != NULL);
    test_response_release(&response);
    return waiting;
}

/* ---- tests ------------------------------------------------------------------------------------ */

/* An ID token: by the key that is current, for this partner, of the same person as the access token. */
static void assert_id_token(const char *text, const char *access_token, const char *reached)
{
    static uint8_t memory[XT_JOSE_ARENA], payload[XT_JOSE_MAX], other[XT_JOSE_MAX];
    const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};
    struct xt_jose jose;
    struct xt_failure failure;
    struct xt_answer_keys *keys = NULL;
    uint8_t *key = NULL;
    size_t size = 0;
    assert_int_equal(xt_answer_key_read(deployment("DIR/keys/token.key"), &key, &size, &failure),
                     XT_OK);
    assert_int_equal(xt_answer_keys_open(xt_span_of(key, size), &keys), XT_OK);
    xt_file_release_secret(key);
    assert_int_equal(xt_jose_read(xt_span_of_string(text), arena, payload, &jose), XT_OK);
    assert_true(xt_span_is(jose.type, "JWT"));
    assert_true(xt_answer_signature_is_right(xt_answer_keys_current(keys)->public, jose.signed_part,
                                             jose.signature));
    payload[jose.payload.size] = '\0';
    const char *claims = (const char *)payload;
    assert_non_null(strstr(claims, "\"aud\":\"portal\""));
    assert_non_null(strstr(claims, reached));
    assert_non_null(strstr(claims, "\"auth_time\":"));
    char sub[64], same[64];
    member_of(claims, "sub", sub, sizeof(sub));
    assert_int_equal(xt_jose_read(xt_span_of_string(access_token), arena, other, &jose), XT_OK);
    other[jose.payload.size] = '\0';
    member_of((const char *)other, "sub", same, sizeof(same));
    assert_string_equal(sub, same);
    xt_answer_keys_close(keys);
}

static void an_approved_request_gives_tokens_once(void **state)
{
    (void)state;
    char id[64], request[32], access[2048], token[2048], body[2100];
    struct test_response response = {0};
    ask("portal", 0, "&binding_message=S%E1%BB%91%20%227%22&requested_expiry=90", id);
    char *list = pending(0);
    assert_non_null(strstr(list, "\"partner\":\"portal\",\"purpose\":\"portal.login\",\"scope\":"
                                 "\"openid\",\"binding_message\":\"Số \\\"7\\\"\""));
    assert_null(strstr(list, id)); /* who sees the request cannot fetch the tokens */
    member_of(list, "request", request, sizeof(request));
    free(list);
    assert_error("portal", request, "invalid_grant");
    assert_error("shop", id, "invalid_grant"); /* another partner's */
    assert_true(is_waiting(id));
    assert_int_equal(decide(0, request, "approve", NULL, 0), 200);
    assert_int_equal(fetch("portal", id, &response), 200);
    member_of(response.body, "access_token", access, sizeof(access));
    member_of(response.body, "id_token", token, sizeof(token));
    assert_non_null(strstr(response.body, "\"token_type\":\"Bearer\",\"expires_in\":600"));
    assert_null(strstr(response.body, citizen_id(0)));
    assert_id_token(token, access, "\"acr\":\"1\",\"amr\":[\"pop\"]");
    test_response_release(&response);
    assert_error("portal", id, "invalid_grant"); /* once */
    snprintf(body, sizeof(body), "token=%s", access);
    char *active = told("portal", "/v1/introspect", FORM, body, 200);
    assert_non_null(strstr(active, "{\"active\":true,"));
    free(active);
    snprintf(body, sizeof(body), "token=%s", token); /* an ID token is no access token */
    active = told("portal", "/v1/introspect", FORM, body, 200);
    assert_string_equal(active, "{\"active\":false}");
    free(active);
    list = pending(0);
    assert_string_equal(list, "{\"requests\":[]}");
    free(list);
}

static void a_request_is_decided_once_and_by_its_person_alone(void **state)
{
    (void)state;
    char id[64], other[64], request[32], second[32], audience[96];
    ask("portal", 1, "", id);
    name_of(1, request);
    ask("portal", 1, "", other);
    name_of(1, second);
    assert_string_not_equal(request, second);
    /* A signature for denying, or for another request, approves nothing. */
    snprintf(audience, sizeof(audience), "urn:xacthuc:ciba:%s:deny", request);
    assert_int_equal(decide(1, request, "approve", audience, 1), 401);
    snprintf(audience, sizeof(audience), "urn:xacthuc:ciba:%s:approve", second);
    assert_int_equal(decide(1, request, "approve", audience, 1), 401);
    assert_int_equal(decide(1, request, "approve", "portal", 1), 401);
    assert_int_equal(decide(1, request, "approve", NULL, 2), 401); /* another's device */
    assert_int_equal(decide(2, request, "approve", NULL, 2), 409); /* another's request */
    assert_int_equal(decide(1, "AAAAAAAAAAAAAAAAAAAAAA", "approve", NULL, 1), 409);
    assert_true(is_waiting(id));
    assert_int_equal(decide(1, request, "deny", NULL, 1), 200);
    assert_int_equal(decide(1, request, "approve", NULL, 1), 409);
    assert_error("portal", id, "access_denied");
    assert_true(is_waiting(other)); /* the other one is still open */
    assert_int_equal(decide(1, second, "approve", NULL, 1), 200);
    assert_int_equal(decide(1, second, "deny", NULL, 1), 409);
}

/* The same signature again: its challenge is used up. */
static void a_signature_decides_once(void **state)
{
    (void)state;
    char id[64], request[32], audience[96], challenge[61], signature[87], body[512];
    struct test_client *client = connect_as(&server, "backend");
    ask("portal", 3, "", id);
    name_of(3, request);
    snprintf(audience, sizeof(audience), "urn:xacthuc:ciba:%s:approve", request);
    ask_challenge(client, citizen_id(3), "device_key", audience, challenge);
    sign_as_device(3, challenge, signature);
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"request\":\"%s\",\"decision\":\"approve\",\"device_id\":\"%s\","
             "\"challenge\":\"%s\",\"signature\":\"%s\"}",
             citizen_id(3), request, citizen_device(3), challenge, signature);
    for (unsigned i = 0; i < 3; i++) {
        struct test_response response = {0};
        assert_true(
            test_client_request(client, "POST", "/v1/backchannel/decide", JSON, body, &response));
        assert_int_equal(response.status, i == 0 ? 200 : 409);
        test_response_release(&response);
    }
    test_client_close(client);
}

/* Length and members of the answer without what is random. */
static void asked_about(unsigned n, size_t *size, char id[64])
{
    struct test_response response = {0};
    char body[256];
    snprintf(body, sizeof(body), ASK "%s", citizen_id(n));
    assert_int_equal(post("portal", "/v1/backchannel/authorize", FORM, body, &response), 200);
    *size = response.body_size;
    assert_non_null(strstr(response.body, "\",\"expires_in\":120,\"interval\":5}"));
    member_of(response.body, "auth_req_id", id, 64);
    test_response_release(&response);
}

static void whom_nobody_is_looks_as_everybody(void **state)
{
    (void)state;
    static const unsigned who[] = {CITIZEN_DEAD, CITIZEN_LOCKED, CITIZEN_WITHOUT_ACCOUNT, CITIZENS};
    size_t wanted, size;
    char id[64], request[32];
    asked_about(4, &wanted, id);
    for (unsigned i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
        asked_about(who[i], &size, id);
        assert_int_equal(size, wanted);
        assert_true(is_waiting(id));
        name_of(who[i], request);
        int status = decide(who[i], request, "approve", NULL, who[i] % CITIZENS);
        assert_int_equal(status, 401);
        assert_true(is_waiting(id));
    }
}

static void who_asks_too_often_is_told(void **state)
{
    (void)state;
    char id[64];
    struct test_response response = {0};
    ask("portal", 5, "", id);
    double before = 0;
    for (unsigned i = 0; i < 12; i++) { /* connections of either worker */
        double now = now_s();
        assert_int_equal(fetch("portal", id, &response), 400);
        bool in_time = i == 0 || now - before > 3; /* a machine that stood still */
        before = now;
        assert_true(in_time || strstr(response.body, "slow_down") != NULL);
        assert_true(i > 0 || strstr(response.body, "authorization_pending") != NULL);
        test_response_release(&response);
    }
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        int status;
        const char *error;
    } cases[] = {
        {"scope=openid&purpose=portal.login", 400, "invalid_request"},
        {"scope=openid&purpose=portal.login&login_hint=12", 400, "invalid_request"},
        {"scope=openid&login_hint=001099012345", 400, "invalid_request"},
        {"purpose=portal.login&login_hint=001099012345", 400, "invalid_scope"},
        {"scope=profile&purpose=portal.login&login_hint=001099012345", 400, "invalid_scope"},
        {"scope=openid%22&purpose=portal.login&login_hint=001099012345", 400, "invalid_scope"},
        {ASK "001099012345&requested_expiry=0", 400, "invalid_request"},
        {ASK "001099012345&requested_expiry=-1", 400, "invalid_request"},
        {ASK "001099012345&login_hint_token=x", 400, "invalid_request"},
        {ASK "001099012345&request=x.y.z", 400, "invalid_request"},
        {ASK "001099012345&client_id=shop", 401, "invalid_client"},
        {"scope=openid&purpose=other&login_hint=001099012345", 403, "purpose_not_permitted"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char member[64];
        char *answer =
            told("portal", "/v1/backchannel/authorize", FORM, cases[i].more, cases[i].status);
        snprintf(member, sizeof(member), "\"error\":\"%s\"", cases[i].error);
        assert_non_null(strstr(answer, member));
        assert_null(strstr(answer, "001099012345"));
        free(answer);
    }
    char body[512];
    int size = snprintf(body, sizeof(body), ASK "001099012345&binding_message=");
    memset(body + size, 'x', 129);
    body[size + 129] = '\0';
    char *answer = told("portal", "/v1/backchannel/authorize", FORM, body, 400);
    assert_non_null(strstr(answer, "\"error\":\"invalid_binding_message\""));
    free(answer);
    static const char *const misleading[] = {"7%E2%80%AE8", "%E2%81%A6x", "a%E2%80%A8b", "%D8%9C",
                                             "%E2%80%8F"};
    for (size_t i = 0; i < sizeof(misleading) / sizeof(misleading[0]); i++) {
        snprintf(body, sizeof(body), ASK "001099012345&binding_message=%s", misleading[i]);
        answer = told("portal", "/v1/backchannel/authorize", FORM, body, 400);
        assert_non_null(strstr(answer, "\"error\":\"invalid_binding_message\""));
        free(answer);
    }
    free(told("demo", "/v1/backchannel/authorize", FORM, ASK "001099012345", 403));
    free(told("portal", "/v1/backchannel/pending", JSON, "{\"id\":\"001099012345\"}", 403));
    free(told("portal", "/v1/backchannel/decide", JSON, "{}", 403));
    free(told("backend", "/v1/backchannel/decide", JSON, "{}", 400));
    free(told("backend", "/v1/backchannel/pending", JSON, "{\"id\":\"x\"}", 400));
    answer = told("portal", "/v1/token", FORM, "grant_type=password", 400);
    assert_non_null(strstr(answer, "\"unsupported_grant_type\""));
    free(answer);
    free(told("portal", "/v1/token", FORM, "auth_req_id=x", 400));
    assert_error("portal", "x", "invalid_grant");
}

static void a_person_has_eight_open_requests_four_of_a_partner_whoever_he_is(void **state)
{
    (void)state;
    static const unsigned who[] = {6, CITIZENS + 1};
    for (unsigned i = 0; i < 2; i++) {
        char body[256], id[64];
        snprintf(body, sizeof(body), ASK "%s", citizen_id(who[i]));
        for (unsigned j = 0; j < 8; j++) {
            ask(j < 4 ? "portal" : "shop", who[i],
                "&binding_message=%22%22%22%22%22%22%22%22%22%22%22%22%22%22", id);
            if (j == 3) {
                free(told("portal", "/v1/backchannel/authorize", FORM, body, 429));
            }
        }
        free(told("backend", "/v1/backchannel/authorize", FORM, body, 429));
        char *list = pending(who[i]);
        unsigned count = 0;
        for (const char *at = list; (at = strstr(at, "\"request\":")) != NULL; at++) {
            count++;
        }
        assert_int_equal(count, 8);
        free(list);
    }
}

static int by_device(unsigned n)
{
    struct test_response response = {0};
    struct test_client *client = connect_patiently(&server, "portal");
    int status = authenticate_by_device(client, n, &response);
    test_response_release(&response);
    test_client_close(client);
    return status;
}

/* As at POST /v1/authenticate, and with those: five in a row, and the account waits. */
static void a_decision_that_proves_nothing_is_an_attempt_that_failed(void **state)
{
    (void)state;
    char id[64], request[32];
    pid_t writers[2];
    ask("portal", 8, "", id);
    name_of(8, request);
    assert_int_equal(by_device(8), 200);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(decide(8, request, i % 2 == 0 ? "approve" : "deny", NULL, 9), 401);
    }
    assert_int_equal(decide(8, request, "approve", "portal", 8), 401);
    assert_int_equal(server_writers(&server, writers, 2), 1);
    kill(writers[0], SIGKILL); /* they were on the disk before their answers */
    assert_true(wait_until_attempts_are_taken(&server));
    assert_int_equal(decide(8, request, "approve", NULL, 8), 401);
    assert_int_equal(by_device(8), 401);
    assert_true(is_waiting(id));
}

static void a_decision_that_counts_ends_a_row_of_failures(void **state)
{
    (void)state;
    char id[64], request[32];
    for (unsigned round = 0; round < 2; round++) {
        ask("portal", 9, "", id);
        name_of(9, request);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(decide(9, request, "approve", NULL, 8), 401);
        }
        assert_int_equal(decide(9, request, "approve", NULL, 9), 200);
    }
    assert_int_equal(by_device(9), 200);
}

static int pending_status(unsigned n)
{
    char body[64];
    struct test_response response = {0};
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", citizen_id(n));
    int status = post("backend", "/v1/backchannel/pending", JSON, body, &response);
    assert_true(status != 429 || strstr(response.body, "\"quota_exceeded\"") != NULL);
    test_response_release(&response);
    return status;
}

static void set_backend_quota(const char *quota)
{
    assert_int_equal(run(xacthuc(), "partner", "set", deployment("DIR"), "backend", "--daily-quota",
                         quota, NULL),
                     0);
}

/* Of one citizen; others are not told of. */
static void what_a_backend_asks_takes_its_quota(void **state)
{
    (void)state;
    char id[64], request[32];
    int status = 0;
    ask("portal", 20, "", id);
    name_of(20, request);
    set_backend_quota("1");
    for (double until = now_s() + 60; status != 429 && now_s() < until; sleep_ms(50)) {
        status = pending_status(18);
        status =
            pending_status(19) == 429 ? 429 : status; /* one of them: both when it is in force */
    }
    assert_int_equal(status, 429);
    assert_int_equal(pending_status(0), 429);
    assert_int_equal(decide(20, request, "approve", NULL, 20), 429);
    assert_true(is_waiting(id));
    set_backend_quota("none");
    for (double until = now_s() + 60; status != 200 && now_s() < until; sleep_ms(50)) {
        status = pending_status(19);
    }
    assert_int_equal(status, 200);
    assert_int_equal(decide(20, request, "approve", NULL, 20), 200);
}

/* ---- levels ----------------------------------------------------------------------------------- */

/* purpose: and what follows it. Gives the request's names, and sees that the citizen is told of this level. */
static void ask_at(unsigned n, const char *purpose, unsigned level, char auth_req_id[64],
                   char request[32])
{
    char body[512], wanted[32];
    snprintf(body, sizeof(body), "scope=openid&login_hint=%s&purpose=%s", citizen_id(n), purpose);
    char *answer = told("portal", "/v1/backchannel/authorize", FORM, body, 200);
    member_of(answer, "auth_req_id", auth_req_id, 64);
    free(answer);
    char *list = pending(n);
    member_of(list, "request", request, 32); /* the newest */
    snprintf(wanted, sizeof(wanted), ",\"least_level\":%u,", level);
    if (strncmp(strstr(list, ",\"least_level\":"), wanted, strlen(wanted)) != 0) {
        fail_msg("%s, not %s", list, wanted);
    }
    free(list);
}

static void gives_tokens(const char *auth_req_id, const char *reached)
{
    char access[2048], token[2048];
    struct test_response response = {0};
    assert_int_equal(fetch("portal", auth_req_id, &response), 200);
    member_of(response.body, "access_token", access, sizeof(access));
    member_of(response.body, "id_token", token, sizeof(token));
    assert_id_token(token, access, reached);
    test_response_release(&response);
}

static void a_purpose_is_approved_at_its_level(void **state)
{
    (void)state;
    char id[64], request[32];
    ask_at(22, "portal.pay", 2, id, request);
    assert_int_equal(decide(22, request, "approve", NULL, 22), 403);
    assert_true(is_waiting(id));
    assert_int_equal(decide_with(22, request, "approve", NULL, 22, "password"), 200);
    gives_tokens(id, "\"acr\":\"2\",\"amr\":[\"pop\",\"pwd\",\"mfa\"]");
    ask_at(CITIZEN_UNLOCKED, "portal.pay", 2, id, request);
    assert_int_equal(decide(CITIZEN_UNLOCKED, request, "approve", NULL, CITIZEN_UNLOCKED), 200);
    gives_tokens(id, "\"acr\":\"3\",\"amr\":[\"pop\",\"fpt\",\"mfa\"]");
}

static void acr_values_ask_for_a_level(void **state)
{
    (void)state;
    const unsigned n = CITIZEN_UNLOCKED + 1;
    char id[64], request[32];
    ask_at(n, "portal.login&acr_values=4", 4, id, request);
    assert_int_equal(decide(n, request, "approve", NULL, n), 403);
    assert_int_equal(decide_with(n, request, "approve", NULL, n, "password"), 200);
    gives_tokens(id, "\"acr\":\"4\",\"amr\":[\"pop\",\"face\",\"pwd\",\"mfa\"]");
    ask_at(24, "portal.login&acr_values=4%203", 3, id, request); /* the lowest */
    assert_int_equal(decide_with(24, request, "approve", NULL, 24, "password"), 403);
    assert_true(is_waiting(id));
    assert_int_equal(decide(24, request, "deny", NULL, 24), 200); /* needs none */
    assert_error("portal", id, "access_denied");
    ask_at(n, "portal.pay&acr_values=1", 2, id, request); /* the purpose asks for more */
    ask_at(n, "portal.login&acr_values=urn:other%2022%205%20", 1, id, request);
    assert_int_equal(decide(n, request, "approve", NULL, n), 200);
    gives_tokens(id, "\"acr\":\"3\",\"amr\":[\"pop\",\"face\",\"mfa\"]");
}

static void a_wrong_passcode_is_a_failed_attempt(void **state)
{
    (void)state;
    char id[64], request[32];
    ask_at(25, "portal.pay", 2, id, request);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(decide_with(25, request, "approve", NULL, 25, "passwore"), 401);
    }
    assert_int_equal(decide_with(25, request, "approve", NULL, 25, "password"), 401);
    assert_int_equal(by_device(25), 401);
    assert_true(is_waiting(id));
}

/* Asked, writer killed; decided, writer and a worker killed; taken, killed: each holds, none happens twice. */
static void nothing_is_lost_or_done_twice_when_processes_die(void **state)
{
    (void)state;
    char id[64], request[32];
    pid_t writers[2], workers[4];
    struct test_response response = {0};
    ask("portal", 7, "", id);
    for (unsigned step = 0; step < 3; step++) {
        assert_int_equal(server_writers(&server, writers, 2), 1);
        assert_int_equal(server_workers(&server, workers, 4), 2);
        kill(writers[0], SIGKILL);
        kill(workers[step % 2], SIGKILL);
        assert_true(server_wait_for_workers(&server, 2, workers[step % 2], 10000));
        assert_true(wait_until_attempts_are_taken(&server));
        if (step == 0) {
            assert_true(is_waiting(id));
            name_of(7, request);
            assert_int_equal(decide(7, request, "approve", NULL, 7), 200);
        } else if (step == 1) {
            assert_int_equal(decide(7, request, "deny", NULL, 7), 409);
            assert_int_equal(fetch("portal", id, &response), 200);
            test_response_release(&response);
        } else {
            assert_error("portal", id, "invalid_grant");
        }
    }
}

static void all_of_it_is_in_the_audit_log(void **state)
{
    (void)state;
    char command[512];
    sleep_ms(200);
    snprintf(command, sizeof(command), "echo %s | %s audit search %s --id - --json > %s",
             citizen_id(0), xacthuc(), deployment("DIR"), deployment("found"));
    assert_int_equal(system(command), 0);
    char *found = read_text(deployment("found"));
    assert_non_null(strstr(found, "\"backchannel\""));
    assert_non_null(strstr(found, "\"token\""));
    assert_non_null(strstr(found, "\"authorization_pending\""));
    assert_non_null(strstr(found, "\"portal.login\""));
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_approved_request_gives_tokens_once),
        cmocka_unit_test(a_request_is_decided_once_and_by_its_person_alone),
        cmocka_unit_test(a_signature_decides_once),
        cmocka_unit_test(whom_nobody_is_looks_as_everybody),
        cmocka_unit_test(who_asks_too_often_is_told),
        cmocka_unit_test(what_is_asked_wrongly_is_refused),
        cmocka_unit_test(a_person_has_eight_open_requests_four_of_a_partner_whoever_he_is),
        cmocka_unit_test(a_decision_that_proves_nothing_is_an_attempt_that_failed),
        cmocka_unit_test(a_decision_that_counts_ends_a_row_of_failures),
        cmocka_unit_test(what_a_backend_asks_takes_its_quota),
        cmocka_unit_test(a_purpose_is_approved_at_its_level),
        cmocka_unit_test(acr_values_ask_for_a_level),
        cmocka_unit_test(a_wrong_passcode_is_a_failed_attempt),
        cmocka_unit_test(nothing_is_lost_or_done_twice_when_processes_die),
        cmocka_unit_test(all_of_it_is_in_the_audit_log),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
