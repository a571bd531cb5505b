/* Access tokens through the real binary over real TLS: what counts for whom, what ends it, and that a revocation is
 * in force on every worker when it is answered. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/live_account.h"
#include "tests/net/token_rig.h"
#include "tests/test.h"

#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define INACTIVE "{\"active\":false}"
#define ISSUER "https://localhost" /* of the certificate; the port is the system's */

static struct server server;
static const char *const two_workers[] = {"--workers", "2", NULL};
static uint64_t person;

static int set_up(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    static const struct {
        const char *name, *rights;
    } partners[] = {{"portal", "authenticate"}, {"clinic", "authenticate"}, {"shop", "per_claim"}};
    for (unsigned i = 0; i < sizeof(partners) / sizeof(partners[0]); i++) {
        if (run(xacthuc(), "partner", "add", deployment("DIR"), partners[i].name, "--purpose",
                "a.b", "--claims", "full_name", "--right", partners[i].rights, "--issue",
                deployment("issued"), NULL) != 0) {
            return 1;
        }
    }
    server_start_with(&server, NULL, two_workers);
    token_rig_open(ISSUER);
    person = person_with("\"account\":{\"level\":", false);
    return 0;
}

static int tear_down(void **state)
{
    token_rig_close();
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* ---- asking ----------------------------------------------------------------------------------- */

static int post(const char *partner, const char *target, const char *body,
                struct test_response *response)
{
    struct test_client *client = connect_as(&server, partner);
    assert_true(test_client_request(client, "POST", target, FORM, body, response));
    test_client_close(client);
    return response->status;
}

/* The caller frees the body. */
static char *introspected(const char *partner, const char *token)
{
    char body[2048];
    struct test_response response = {0};
    snprintf(body, sizeof(body), "token=%s", token);
    if (post(partner, "/v1/introspect", body, &response) != 200) {
        fail_msg("%d %s", response.status, response.body);
    }
    char *told = strdup(response.body);
    test_response_release(&response);
    return told;
}

static bool is_active(const char *partner, const char *token)
{
    char *told = introspected(partner, token);
    bool active = strncmp(told, "{\"active\":true,", 15) == 0;
    if (!active) {
        assert_string_equal(told, INACTIVE);
    }
    free(told);
    return active;
}

/* Ten connections of their own: both workers are asked. */
static void assert_everywhere(const char *partner, const char *token, bool wanted)
{
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(is_active(partner, token), wanted);
    }
}

static int end_token(const char *partner, const char *token)
{
    char body[2048];
    struct test_response response = {0};
    snprintf(body, sizeof(body), "token=%s&token_type_hint=access_token", token);
    int status = post(partner, "/v1/revoke", body, &response);
    test_response_release(&response);
    return status;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void a_token_is_told_to_whom_it_is_for(void **state)
{
    (void)state;
    char *token = strdup(token_for(person, "portal", "clinic", 600));
    char *told = introspected("portal", token), number[32];
    assert_non_null(strstr(told, "\"active\":true,\"token_type\":\"Bearer\""));
    assert_non_null(strstr(told, "\"iss\":\"" ISSUER "\""));
    assert_non_null(strstr(told, "\"aud\":\"clinic\",\"client_id\":\"portal\""));
    assert_non_null(strstr(told, "\"acr\":\"2\",\"amr\":[\"hwk\",\"pin\",\"mfa\"]"));
    assert_non_null(strstr(told, "\"cnf\":{\"x5t#S256\":\""));
    snprintf(number, sizeof(number), "%012llu", (unsigned long long)person);
    assert_null(strstr(told, number));
    free(told);
    assert_true(is_active("portal", token)); /* its certificate */
    assert_true(is_active("clinic", token)); /* its audience */
    free(token);
    /* Neither: another partner's token, also for somebody who may introspect. */
    assert_false(is_active("clinic", token_for(person, "portal", "portal", 600)));
    assert_false(is_active("clinic", token_for(person, "portal", "urn:clinic", 600)));
}

static void whoever_cannot_use_it_is_not_told(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        bool any;
    } people[] = {{"\"status\":\"deceased\"", true},
                  {"\"status\":\"missing\"", true},
                  {"\"locks\":[\"", true}};
    for (unsigned i = 0; i < sizeof(people) / sizeof(people[0]); i++) {
        uint64_t number = person_with(people[i].member, people[i].any);
        assert_false(is_active("portal", token_for(number, "portal", "portal", 600)));
    }
    /* A number that nobody has. */
    assert_false(is_active("portal", token_for(1099999999, "portal", "portal", 600)));
    /* Over, not begun, of another issuer, of another key, and what is no token. */
    struct xt_token claims = token_claims(person, "portal", "portal", 600);
    assert_true(is_active("portal", token_of(&claims)));
    claims.issued_s -= 700;
    claims.expires_s -= 700;
    assert_false(is_active("portal", token_of(&claims)));
    claims.issued_s += 800;
    claims.expires_s += 800;
    assert_false(is_active("portal", token_of(&claims)));
    claims = token_claims(person, "portal", "portal", 600);
    claims.issuer = xt_span_of_string("https://id.example.com");
    assert_false(is_active("portal", token_of(&claims)));
    claims = token_claims(person, "portal", "portal", 600);
    struct xt_answer_keys *others = NULL;
    assert_int_equal(
        xt_answer_keys_open(xt_span_of_string("current  2026-01-01T00:00:00Z 9d61b19deffd5a60ba844a"
                                              "f492ec2cc44449c5697b326919703bac031cae7f60\n"),
                            &others),
        XT_OK);
    assert_false(is_active("portal", token_by(others, &claims)));
    xt_answer_keys_close(others);
    memset(claims.handle, 7, sizeof(claims.handle)); /* a person it does not name */
    assert_false(is_active("portal", token_of(&claims)));
    assert_false(is_active("portal", "x"));
    assert_false(is_active("portal", "eyJhbGciOiJub25lIn0.e30."));
}

static void a_token_over_another_certificate_is_refused(void **state)
{
    (void)state;
    char *before = strdup(token_for(person, "portal", "portal", 600));
    assert_true(is_active("portal", before));
    /* A second certificate of the same partner. */
    struct xt_token claims = token_claims(person, "portal", "urn:elsewhere", 600);
    certificate_digest(deployment("issued/clinic.crt"), claims.certificate);
    assert_false(is_active("portal", token_of(&claims)));
    assert_true(is_active("clinic", token_of(&claims)));
    free(before);
}

static void a_revoked_token_counts_nowhere_once_it_is_answered(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        char *token = strdup(token_for(person, "portal", "clinic", 600));
        assert_everywhere("portal", token, true); /* and every worker knows its signature */
        struct test_client *open = connect_as(&server, "clinic");
        assert_int_equal(end_token("clinic", token), 400); /* not his */
        assert_everywhere("portal", token, true);
        assert_int_equal(end_token("portal", token), 200);
        assert_everywhere("portal", token, false);
        assert_everywhere("clinic", token, false);
        char body[2048];
        struct test_response response = {0};
        snprintf(body, sizeof(body), "token=%s", token);
        assert_true(test_client_request(open, "POST", "/v1/introspect", FORM, body, &response));
        assert_string_equal(response.body, INACTIVE); /* a connection of before */
        test_response_release(&response);
        test_client_close(open);
        assert_int_equal(end_token("portal", token), 200); /* again */
        free(token);
    }
    assert_true(is_active("portal", token_for(person, "portal", "portal", 600)));
    assert_int_equal(end_token("portal", "x.y.z"), 200);
    assert_int_equal(end_token("portal", token_for(1099999999, "portal", "portal", 600)), 200);
}

static void a_revocation_outlives_writer_and_workers(void **state)
{
    (void)state;
    pid_t workers[4], writers[2];
    char *token = strdup(token_for(person, "portal", "portal", 600));
    assert_int_equal(end_token("portal", token), 200);
    assert_int_equal(server_writers(&server, writers, 2), 1);
    assert_int_equal(server_workers(&server, workers, 4), 2);
    kill(writers[0], SIGKILL);
    kill(workers[0], SIGKILL);
    assert_true(server_wait_for_workers(&server, 2, workers[0], 10000));
    assert_everywhere("portal", token, false);
    free(token);
}

static void what_is_asked_wrongly_is_refused_as_oauth_does(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int status;
        const char *error;
    } cases[] = {
        {"", 400, "\"error\":\"invalid_request\""},
        {"token=", 400, "\"error\":\"invalid_request\""},
        {"token=a&token=b", 400, "\"error\":\"invalid_request\""},
        {"token=%zz", 400, "\"error\":\"invalid_request\""},
        {"token=a&client_id=clinic", 401, "\"error\":\"invalid_client\""},
        {"token=a&client_id=portal", 200, NULL},
        {"token=a&other=ignored", 200, NULL},
    };
    static const char *const targets[] = {"/v1/introspect", "/v1/revoke"};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned j = 0; j < 2; j++) {
            struct test_response response = {0};
            char type[64];
            assert_int_equal(post("portal", targets[j], cases[i].body, &response), cases[i].status);
            assert_string_equal(test_response_field(&response, "Content-Type", type, sizeof(type)),
                                "application/json");
            if (cases[i].error != NULL) {
                assert_non_null(strstr(response.body, cases[i].error));
            }
            test_response_release(&response);
        }
    }
    for (unsigned j = 0; j < 2; j++) {
        struct test_response response = {0};
        assert_int_equal(post("shop", targets[j], "token=a", &response), 403);
        assert_non_null(strstr(response.body, "\"endpoint_not_permitted\""));
        test_response_release(&response);
        struct test_client *client = connect_as(&server, "portal");
        assert_true(test_client_request(client, "POST", targets[j],
                                        "Content-Type: application/json\r\n", "{\"token\":\"a\"}",
                                        &response));
        assert_int_equal(response.status, 415);
        test_response_release(&response);
        test_client_close(client);
    }
}

static void the_metadata_names_what_is_served(void **state)
{
    (void)state;
    struct test_response response = {0};
    struct test_client *client = connect_as(&server, "shop");
    assert_true(test_client_request(client, "GET", "/.well-known/oauth-authorization-server", NULL,
                                    NULL, &response));
    assert_int_equal(response.status, 200);
    assert_memory_equal(response.body, "{\"issuer\":\"" ISSUER "\",", 30);
    static const char *const urls[] = {"jwks_uri", "introspection_endpoint", "revocation_endpoint"};
    for (unsigned i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char url[128];
        struct test_response there = {0};
        member_of(response.body, urls[i], url, sizeof(url));
        assert_memory_equal(url, ISSUER, strlen(ISSUER));
        assert_true(
            test_client_request(client, "OPTIONS", url + strlen(ISSUER), NULL, NULL, &there));
        assert_int_equal(there.status, 204);
        test_response_release(&there);
    }
    test_response_release(&response);
    test_client_close(client);
}

static void what_was_asked_is_in_the_audit_log_and_no_token(void **state)
{
    (void)state;
    char command[512], *token = strdup(token_for(person, "portal", "portal", 600));
    assert_true(is_active("portal", token));
    assert_int_equal(end_token("portal", token), 200);
    sleep_ms(200);
    snprintf(command, sizeof(command),
             "echo %012llu | %s audit search %s --partner portal --id - --json > %s",
             (unsigned long long)person, xacthuc(), deployment("DIR"), deployment("found"));
    assert_int_equal(system(command), 0);
    char *found = read_text(deployment("found"));
    assert_non_null(strstr(found, "\"introspect\""));
    assert_non_null(strstr(found, "\"revoke\""));
    assert_null(strstr(found, token));
    char *log = server_log();
    assert_null(strstr(log, token));
    assert_null(strstr(log, strrchr(token, '.')));
    free(log);
    free(found);
    free(token);
}

static void the_operator_inspects_a_token_from_standard_input(void **state)
{
    (void)state;
    static const struct {
        const char *options, *wanted;
        int lifetime, exit;
    } cases[] = {
        {"--json", "\"signature\":\"right\",\"key\":\"current\",\"time\":\"counts\"}", 60, 0},
        {"", "signature  right (the current key)", 60, 0},
        {"--json", "\"time\":\"over\"}", 0, 1}};
    char command[512];
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_text(deployment("token"), token_for(person, "portal", "portal", cases[i].lifetime));
        snprintf(command, sizeof(command), "%s token inspect %s %s < %s > %s 2>&1", xacthuc(),
                 cases[i].options, deployment("DIR"), deployment("token"), deployment("out"));
        assert_int_equal(system(command) >> 8, cases[i].exit);
        char *out = read_text(deployment("out"));
        assert_non_null(strstr(out, cases[i].wanted));
        assert_non_null(strstr(out, "\"sub\":\""));
        free(out);
    }
    char *token = strdup(token_for(person, "portal", "portal", 60));
    char *digit = token + strlen(token) - 10;
    *digit = *digit == 'A' ? 'B' : 'A';
    write_text(deployment("token"), token);
    snprintf(command, sizeof(command), "%s token inspect --json %s < %s > %s", xacthuc(),
             deployment("DIR"), deployment("token"), deployment("out"));
    assert_int_equal(system(command) >> 8, 1);
    char *out = read_text(deployment("out"));
    assert_non_null(strstr(out, "\"signature\":\"wrong\""));
    free(out);
    assert_int_equal(run(xacthuc(), "token", "inspect", deployment("DIR"), token, NULL), 2);
    free(token);
}

/* Rotated twice, the token of the first key still counts; without its file no old token does. */
static void a_rotation_ends_no_token_and_a_lost_key_ends_all(void **state)
{
    (void)state;
    char *token = strdup(token_for(person, "portal", "portal", 600));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(run(xacthuc(), "keys", "rotate", deployment("DIR"), "token", NULL), 0);
        assert_everywhere("portal", token, true);
    }
    assert_int_equal(unlink(deployment("DIR/keys/token.key")), 0);
    assert_int_equal(run(xacthuc(), "keys", "rotate", deployment("DIR"), "token", NULL), 0);
    assert_everywhere("portal", token, false);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_told_to_whom_it_is_for),
        cmocka_unit_test(whoever_cannot_use_it_is_not_told),
        cmocka_unit_test(a_token_over_another_certificate_is_refused),
        cmocka_unit_test(a_revoked_token_counts_nowhere_once_it_is_answered),
        cmocka_unit_test(a_revocation_outlives_writer_and_workers),
        cmocka_unit_test(what_is_asked_wrongly_is_refused_as_oauth_does),
        cmocka_unit_test(the_metadata_names_what_is_served),
        cmocka_unit_test(what_was_asked_is_in_the_audit_log_and_no_token),
        cmocka_unit_test(the_operator_inspects_a_token_from_standard_input),
        cmocka_unit_test(a_rotation_ends_no_token_and_a_lost_key_ends_all),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
