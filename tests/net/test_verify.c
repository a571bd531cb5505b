/* POST /v1/verify through the real binary over real TLS: verdicts, refusals, uniformity, privacy. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/authority.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

#define REQUESTS 10000

static struct server server;

static int set_up(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    server_start(&server, NULL);
    return run(bench(), "gen", "--requests", "10000", "--seed", SEED, "--count", PEOPLE, "--out",
               deployment("requests.ndjson"), NULL);
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* A living person of the register, with a request about him. */
struct subject {
    char id[16], full_name[256], date_of_birth[16];
};

static struct subject subject_with(const char *needle)
{
    struct subject subject;
    for (unsigned n = 0;; n++) {
        char *line = person_line(n);
        bool fits = strstr(line, "\"status\":\"alive\"") != NULL && strstr(line, needle) != NULL;
        if (fits) {
            member_of(line, "id", subject.id, sizeof(subject.id));
            member_of(line, "full_name", subject.full_name, sizeof(subject.full_name));
            member_of(line, "date_of_birth", subject.date_of_birth, sizeof(subject.date_of_birth));
        }
        free(line);
        if (fits) {
            return subject;
        }
    }
}

static const char *about(const struct subject *subject, const char *name)
{
    static char body[1024];
    snprintf(body, sizeof(body),
             "{\"txn\":\"t-1\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":"
             "\"%s\",\"date_of_birth\":\"%s\"}}",
             subject->id, name, subject->date_of_birth);
    return body;
}

static void right_claims_are_verified(void **state)
{
    (void)state;
    struct subject subject = subject_with("\"state\":\"active\"");
    struct test_client *client = connect_as(&server, "wide");
    struct test_response response;
    char value[128];
    assert_int_equal(verify(client, about(&subject, subject.full_name), &response), 200);
    assert_non_null(strstr(response.body, "{\"txn\":\"t-1\",\"answer_id\":\""));
    assert_non_null(strstr(response.body, "\"verdict\":\"verified\",\"claims\":{\"full_name\":"
                                          "\"match\",\"date_of_birth\":\"match\"},\"card\":\""));
    assert_string_equal(test_response_field(&response, "Content-Type", value, sizeof(value)),
                        "application/json");
    test_response_release(&response);
    test_client_close(client);
}

static void answered_at_is_now(void **state)
{
    (void)state;
    struct subject subject = subject_with("\"state\":\"active\"");
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    for (int i = 0; i < 3; i++) {
        struct timespec before, after;
        clock_gettime(CLOCK_REALTIME, &before);
        assert_int_equal(verify(client, about(&subject, "X"), &response), 200);
        clock_gettime(CLOCK_REALTIME, &after);
        char text[64];
        member_of(response.body, "answered_at", text, sizeof(text));
        struct tm tm = {0};
        char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        assert_non_null(rest);
        assert_true(rest[0] == '.' && strlen(rest) == 5 && rest[4] == 'Z');
        double at = (double)timegm(&tm) + atof(rest);
        assert_true(at >= (double)before.tv_sec + (double)before.tv_nsec / 1e9 - 0.0011);
        assert_true(at <= (double)after.tv_sec + (double)after.tv_nsec / 1e9 + 0.0001);
        test_response_release(&response);
        sleep_ms(37);
    }
    test_client_close(client);
}

/* ---- ten thousand generated requests ---------------------------------------------------------- */

struct expectation {
    char *request;        /* body */
    const char *expected; /* "verdict":"...","claims":{...} */
    size_t expected_size;
};

static struct expectation *read_expectations(char **text)
{
    struct expectation *list = calloc(REQUESTS, sizeof(*list));
    assert_non_null(list);
    *text = read_text(deployment("requests.ndjson"));
    char *line = *text;
    for (unsigned i = 0; i < REQUESTS; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        char *expect = strstr(line, ",\"expect\":{");
        assert_non_null(expect);
        *expect = '\0';
        assert_memory_equal(line, "{\"request\":", 11);
        list[i].request = line + 11;
        list[i].expected = expect + 11;
        list[i].expected_size = (size_t)(strstr(list[i].expected, ",\"kind\"") - list[i].expected);
        line = end + 1;
    }
    return list;
}

static void assert_expected(const struct expectation *expectation,
                            const struct test_response *response)
{
    assert_int_equal(response->status, 200);
    const char *verdict = strstr(response->body, "\"verdict\":");
    if (verdict == NULL ||
        strncmp(verdict, expectation->expected, expectation->expected_size) != 0) {
        fail_msg("request %s\nexpected %.*s\nanswer %s", expectation->request,
                 (int)expectation->expected_size, expectation->expected, response->body);
    }
    /* In order: txn is echoed. */
    char asked[64], echoed[64];
    member_of(expectation->request, "txn", asked, sizeof(asked));
    member_of(response->body, "txn", echoed, sizeof(echoed));
    assert_string_equal(asked, echoed);
}

static void generated_requests_get_their_verdicts_one_by_one(void **state)
{
    (void)state;
    char *text = NULL;
    struct expectation *list = read_expectations(&text);
    struct test_client *client = connect_as(&server, "demo");
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct test_response response;
        verify(client, list[i].request, &response);
        assert_expected(&list[i], &response);
        test_response_release(&response);
    }
    test_client_close(client);
    free(list);
    free(text);
}

static void generated_requests_get_their_verdicts_pipelined(void **state)
{
    (void)state;
    enum { DEPTH = 100 };
    char *text = NULL, *batch = malloc(DEPTH * 4096);
    assert_non_null(batch);
    struct expectation *list = read_expectations(&text);
    struct test_client *client = connect_as(&server, "demo");
    for (unsigned i = 0; i < REQUESTS; i += DEPTH) {
        size_t size = 0;
        for (unsigned j = 0; j < DEPTH; j++) {
            size += (size_t)sprintf(batch + size,
                                    "POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: "
                                    "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                    strlen(list[i + j].request), list[i + j].request);
        }
        assert_true(test_client_send(client, batch, size));
        for (unsigned j = 0; j < DEPTH; j++) {
            struct test_response response;
            assert_true(test_client_response(client, false, &response));
            assert_expected(&list[i + j], &response);
            test_response_release(&response);
        }
    }
    test_client_close(client);
    free(list);
    free(text);
    free(batch);
}

/* ---- bad input -------------------------------------------------------------------------------- */

static void bad_bodies_are_refused_and_pointed_at(void **state)
{
    (void)state;
#define WITH(claims) "{\"id\":\"001099012345\",\"purpose\":\"demo.verify\",\"claims\":{" claims "}}"
    static const struct {
        const char *body, *pointer, *code;
    } cases[] = {
        {"", "", "malformed_json"},
        {"{", "", "malformed_json"},
        {"{\"id\":\"001099012345\",}", "", "malformed_json"},
        {"[]", "", "not_an_object"},
        {"{} {}", "", "malformed_json"},
        {WITH("\"full_name\":\"An\"") "x", "", "malformed_json"},
        {"{\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}", "/id", "missing_member"},
        {"{\"id\":\"001099012345\",\"claims\":{\"sex\":\"male\"}}", "/purpose", "missing_member"},
        {"{\"id\":\"001099012345\",\"purpose\":\"demo.verify\"}", "/claims", "missing_member"},
        {WITH(""), "/claims", "missing_member"},
        {WITH("\"shoe_size\":\"43\""), "/claims", "unknown_member"},
        {"{\"idd\":\"1\"}", "", "unknown_member"},
        {WITH("\"full_name\":7"), "/claims/full_name", "wrong_type"},
        {WITH("\"full_name\":null"), "/claims/full_name", "wrong_type"},
        {"{\"id\":1099012345,\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}", "/id",
         "wrong_type"},
        {"{\"id\":\"0010990123456\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"}}",
         "/id", "bad_id"},
        {WITH("\"date_of_birth\":\"2023-02-30\""), "/claims/date_of_birth", "bad_date"},
        {WITH("\"date_of_birth\":\"30/01/1999\""), "/claims/date_of_birth", "bad_date"},
        {WITH("\"sex\":\"other\""), "/claims/sex", "bad_value"},
        {WITH("\"phone\":\"12345\""), "/claims/phone", "bad_phone"},
        {WITH("\"full_name\":\"\xff\xfe\""), "", "malformed_json"},
        {WITH("\"full_name\":\"Nguyeãn Vaên An\""), "/claims/full_name", "bad_name"},
        {WITH("\"full_name\":\"Nguyễn 1\""), "/claims/full_name", "bad_name"},
        {WITH("\"sex\":\"male\",\"sex\":\"male\""), "/claims/sex", "duplicate_member"},
        {"{\"qr\":\"001099012345||Nguyễn Văn An|25011999|Nam|Hà Nội\",\"purpose\":\"demo.verify\"}",
         "/qr", "bad_qr"},
        {"{\"qr\":\"x\",\"id\":\"001099012345\",\"purpose\":\"demo.verify\"}", "/qr", "conflict"},
    };
    struct test_client *client = connect_as(&server, "demo");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test_response response;
        char expected[128];
        if (verify(client, cases[i].body, &response) != 400) {
            fail_msg("%s: %d", cases[i].body, response.status);
        }
        assert_non_null(strstr(response.body, "\"code\":\"invalid_request\""));
        snprintf(expected, sizeof(expected), "{\"pointer\":\"%s\",\"code\":\"%s\"}",
                 cases[i].pointer, cases[i].code);
        if (strstr(response.body, expected) == NULL) {
            fail_msg("%s: expected %s in %s", cases[i].body, expected, response.body);
        }
        test_response_release(&response);
    }
    test_client_close(client);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEPTH = 30000 };
    char *body = malloc(2 * DEPTH + 1);
    assert_non_null(body);
    memset(body, '[', DEPTH);
    memset(body + DEPTH, ']', DEPTH);
    body[2 * DEPTH] = '\0';
    assert_int_equal(status_of(&server, "demo", body), 400);
    for (size_t i = 0; i < DEPTH; i++) { /* and as the value of a known member */
        body[i] = '[';
    }
    memcpy(body, "{\"claims\":", 10);
    body[2 * DEPTH - 1] = '}';
    assert_int_equal(status_of(&server, "demo", body), 400);
    free(body);
}

static int status_with(const char *fields, const char *body)
{
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    assert_true(test_client_request(client, "POST", "/v1/verify", fields, body, &response));
    int status = response.status;
    test_response_release(&response);
    test_client_close(client);
    return status;
}

static void only_json_in_utf_8_is_taken(void **state)
{
    (void)state;
    struct subject subject = subject_with("");
    char body[1024];
    snprintf(body, sizeof(body), "%s", about(&subject, "An"));
    assert_int_equal(status_with(NULL, body), 415);
    assert_int_equal(status_with("Content-Type: text/json\r\n", body), 415);
    assert_int_equal(status_with("Content-Type: application/jsonx\r\n", body), 415);
    assert_int_equal(status_with("Content-Type: application/json; charset=utf-16\r\n", body), 415);
    assert_int_equal(
        status_with("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", body), 415);
    assert_int_equal(status_with("Content-Type: Application/JSON ; charset=UTF-8\r\n", body), 200);
    assert_int_equal(status_with("Content-Type: application/json;charset=\"utf-8\"\r\n", body),
                     200);
}

/* ---- who may ask what ------------------------------------------------------------------------- */

static void assert_refused(const char *partner, const char *body, int status, const char *needle)
{
    struct test_client *client = connect_as(&server, partner);
    struct test_response response;
    char type[64];
    assert_int_equal(verify(client, body, &response), status);
    assert_non_null(strstr(response.body, needle));
    assert_string_equal(test_response_field(&response, "Content-Type", type, sizeof(type)),
                        "application/problem+json");
    bool challenged =
        test_response_field(&response, "WWW-Authenticate", type, sizeof(type)) != NULL;
    assert_int_equal(challenged, status == 401);
    test_response_release(&response);
    test_client_close(client);
}

static void what_the_partner_lacks_is_denied(void **state)
{
    (void)state;
    struct subject subject = subject_with("");
    assert_refused("narrow", about(&subject, "An"), 403, "\"code\":\"purpose_not_permitted\"");
    char body[1024];
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"narrow.purpose\",\"claims\":{\"full_name\":\"An\","
             "\"sex\":\"male\",\"phone\":\"0912345678\"}}",
             subject.id);
    assert_refused("narrow", body, 403, "\"code\":\"claim_not_permitted\"");
    assert_refused("narrow", body, 403,
                   "\"errors\":[{\"pointer\":\"/claims/sex\",\"code\":\"not_permitted\"},"
                   "{\"pointer\":\"/claims/phone\",\"code\":\"not_permitted\"}]");
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"An\"},"
             "\"match\":{\"full_name\":\"fuzzy\"}}",
             subject.id);
    assert_refused("demo", body, 403, "\"code\":\"name_level_not_permitted\"");
    assert_int_equal(status_of(&server, "wide", body), 200);
}

static void issue(const char *name, time_t from, time_t until, bool own_authority)
{
    char key[512], certificate[512], ca_key[512], ca[512];
    uint8_t spki[XT_SPKI_SHA256];
    struct xt_failure failure;
    snprintf(key, sizeof(key), "%s/%s.key", deployment("issued"), name);
    snprintf(certificate, sizeof(certificate), "%s/%s.crt", deployment("issued"), name);
    snprintf(ca_key, sizeof(ca_key), "%s",
             deployment(own_authority ? "DIR/keys/ca.key" : "other.key"));
    snprintf(ca, sizeof(ca), "%s", deployment(own_authority ? "DIR/ca.crt" : "other.crt"));
    if (!own_authority) {
        assert_int_equal(xt_authority_create(ca_key, ca, "somebody else", &failure), XT_OK);
    }
    struct xt_certificate_request request = {
        .use = XT_CERTIFICATE_CLIENT, .common_name = name, .not_before = from, .not_after = until};
    assert_int_equal(xt_authority_issue(ca_key, ca, &request, key, certificate, spki, &failure),
                     XT_OK);
}

/* With TLS 1.3 the client learns only from its first read that the server refused it. */
static void assert_no_entry(const char *partner)
{
    char error[TEST_ERROR_MAX] = "";
    struct test_client_options options = options_as(&server, partner);
    struct test_client *client = test_client_open(&options, error);
    if (client != NULL) {
        char byte;
        (void)test_client_send_text(client, "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_true(test_client_receive(client, &byte, 1) <= 0);
        test_client_close(client);
    }
}

static void certificates_that_are_not_ours_do_not_get_in(void **state)
{
    (void)state;
    time_t now = time(NULL);
    issue("expired", now - 7200, now - 3600, true);
    issue("early", now + 3600, now + 7200, true);
    issue("foreign", now - 60, now + 3600, false);
    assert_no_entry(NULL);
    assert_no_entry("expired");
    assert_no_entry("early");
    assert_no_entry("foreign");
    assert_true(server_log_has("\"event\":\"handshake_refused\"", 1000));
}

static void certificate_of_no_partner_is_401(void **state)
{
    (void)state;
    time_t now = time(NULL);
    issue("stranger", now - 60, now + 3600, true);
    struct subject subject = subject_with("");
    assert_refused("stranger", about(&subject, "An"), 401, "\"code\":\"unknown_certificate\"");
}

static void certificate_that_expires_meanwhile_is_401(void **state)
{
    (void)state;
    time_t now = time(NULL);
    issue("brief", now - 60, now + 3, true);
    assert_int_equal(run(xacthuc(), "partner", "add", deployment("DIR"), "brief", "--purpose",
                         "demo.verify", "--claims", "full_name,date_of_birth", "--cert",
                         deployment("issued/brief.crt"), NULL),
                     0);
    struct subject subject = subject_with("");
    struct test_client *client = connect_as(&server, "brief");
    struct test_response response;
    for (double end = now_s() + 10; now_s() < end; sleep_ms(100)) {
        int status = verify(client, about(&subject, "An"), &response);
        if (status == 401 && strstr(response.body, "certificate_expired") != NULL) {
            break;
        }
        test_response_release(&response);
    }
    assert_int_equal(response.status, 401);
    assert_non_null(strstr(response.body, "\"code\":\"certificate_expired\""));
    test_response_release(&response);
    test_client_close(client);
}

/* ---- what an answer must not tell ------------------------------------------------------------- */

static void unknown_and_gone_people_look_like_a_mismatch(void **state)
{
    (void)state;
    struct test_client *client = connect_as(&server, "demo");
    struct test_response first = {0};
    struct subject alive = subject_with("\"state\":\"active\"");
    static const char *const kinds[] = {"alive", "unknown", "deceased", "missing", "cancelled"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct subject subject = alive;
        if (i == 1) {
            snprintf(subject.id, sizeof(subject.id), "001099000001");
        }
        for (unsigned n = 0; i > 1; n++) {
            char *line = person_line(n), needle[64];
            snprintf(needle, sizeof(needle), "\"status\":\"%s\"", kinds[i]);
            bool fits = strstr(line, needle) != NULL;
            member_of(line, "id", subject.id, sizeof(subject.id));
            free(line);
            if (fits) {
                break;
            }
        }
        char body[1024];
        snprintf(body, sizeof(body),
                 "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"Không Ai "
                 "Cả\",\"date_of_birth\":\"1801-01-01\",\"phone\":\"0912345678\",\"passport\":"
                 "\"B1\"}}",
                 subject.id);
        struct test_response response;
        assert_int_equal(verify(client, body, &response), 200);
        char *date = strstr(response.head, "Date: ");
        assert_non_null(date);
        memset(date, '-', strcspn(date, "\r"));
        static const char *const own[] = {"\"answer_id\":\"", "\"answered_at\":\""};
        for (size_t j = 0; j < 2; j++) { /* the two members that differ from answer to answer */
            char *value = strstr(response.body, own[j]);
            assert_non_null(value);
            value += strlen(own[j]);
            memset(value, '-', strcspn(value, "\""));
        }
        if (i == 0) {
            first = response;
            continue;
        }
        assert_string_equal(response.head, first.head);
        assert_string_equal(response.body, first.body);
        test_response_release(&response);
    }
    test_response_release(&first);
    test_client_close(client);
}

static void only_existence_is_told_the_reason(void **state)
{
    (void)state;
    static const char body[] = "{\"id\":\"001099000001\",\"purpose\":\"demo.verify\",\"claims\":{"
                               "\"full_name\":\"An\"}}";
    struct test_client *client = connect_as(&server, "wide");
    struct test_response response;
    assert_int_equal(verify(client, body, &response), 200);
    assert_non_null(strstr(response.body, "\"reason\":\"unknown\""));
    test_response_release(&response);
    test_client_close(client);
}

static void curl_gets_an_answer(void **state)
{
    (void)state;
    if (run("/bin/sh", "-c", "command -v curl", NULL) != 0) {
        skip();
    }
    struct subject subject = subject_with("\"state\":\"active\"");
    char command[4096];
    write_text(deployment("curl.json"), about(&subject, subject.full_name));
    snprintf(command, sizeof(command),
             "curl --silent --show-error --fail --max-time 10 --cacert '%s' --cert '%s' --key '%s' "
             "-H 'Content-Type: application/json' --data-binary '@%s' "
             "https://127.0.0.1:%u/v1/verify | grep -q '\"verdict\":\"verified\"'",
             deployment("DIR/ca.crt"), deployment("issued/demo.crt"), deployment("issued/demo.key"),
             deployment("curl.json"), server.port);
    assert_int_equal(run("/bin/sh", "-c", command, NULL), 0);
}

/* Last: whatever the tests before have sent, the log holds none of it. */
static void log_has_no_personal_data(void **state)
{
    (void)state;
    char *log = server_log();
    assert_true(strlen(log) > 0);
    for (unsigned n = 0; n < 500; n += 5) {
        char *line = person_line(n), text[256];
        member_of(line, "id", text, sizeof(text));
        assert_null(strstr(log, text));
        member_of(line, "full_name", text, sizeof(text));
        assert_null(strstr(log, text));
        free(line);
    }
    static const char *const words[] = {"demo.verify", "0912345678", "001099012345",
                                        "/v1/",        "Không",      "gen-7-"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_null(strstr(log, words[i]));
    }
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_claims_are_verified),
        cmocka_unit_test(answered_at_is_now),
        cmocka_unit_test(generated_requests_get_their_verdicts_one_by_one),
        cmocka_unit_test(generated_requests_get_their_verdicts_pipelined),
        cmocka_unit_test(bad_bodies_are_refused_and_pointed_at),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(only_json_in_utf_8_is_taken),
        cmocka_unit_test(what_the_partner_lacks_is_denied),
        cmocka_unit_test(certificates_that_are_not_ours_do_not_get_in),
        cmocka_unit_test(certificate_of_no_partner_is_401),
        cmocka_unit_test(certificate_that_expires_meanwhile_is_401),
        cmocka_unit_test(unknown_and_gone_people_look_like_a_mismatch),
        cmocka_unit_test(only_existence_is_told_the_reason),
        cmocka_unit_test(curl_gets_an_answer),
        cmocka_unit_test(log_has_no_personal_data),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
