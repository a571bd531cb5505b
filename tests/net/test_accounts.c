/* POST /v1/accounts/... of the real server, two workers, over TLS: what is answered for counts at once, everywhere. */
#include <stdlib.h>
#include <string.h>

#include "tests/net/citizens.h"
#include "tests/test.h"

#define PASSCODE(value) "{\"type\":\"passcode\",\"value\":\"" value "\"}"
#define FIELDS "Content-Type: application/json\r\n"
#define SECRET "Mat-Khau-Rieng-1357"
#define IN_PERSON ",\"evidence\":\"in_person\""
#define WITHOUT CITIZEN_WITHOUT_ACCOUNT

static const char *const two_workers[] = {"--workers", "2", NULL};
static struct server server;
static struct test_client *backend; /* has the right */
static struct test_client *portal;  /* authenticates */

static int begin(void **state)
{
    if (citizens_make(state) != 0) {
        return 1;
    }
    server_start_with(&server, "answer_timeout = 10s\n[passcode]\nmemory = 7\nanswer_step = 50ms\n",
                      two_workers);
    if (!wait_until_attempts_are_taken(&server)) {
        return 1;
    }
    backend = connect_patiently(&server, "backend");
    portal = connect_patiently(&server, "portal");
    return 0;
}

static int end(void **state)
{
    test_client_close(backend);
    test_client_close(portal);
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

/* members: what follows the id, with a comma before it. */
static void change(struct test_client *client, const char *action, const char *id,
                   const char *members, int status, const char *wanted)
{
    char path[64], body[4096];
    struct test_response response;
    snprintf(path, sizeof(path), "/v1/accounts/%s", action);
    snprintf(body, sizeof(body), "{\"id\":\"%s\"%s}", id, members);
    assert_true(test_client_request(client, "POST", path, FIELDS, body, &response));
    if (response.status != status || strstr(response.body, wanted) == NULL) {
        fail_msg("%s%s: %d %s, not %d %s", action, members, response.status, response.body, status,
                 wanted);
    }
    assert_null(strstr(response.body, id)); /* no number in an answer */
    test_response_release(&response);
}

static void must(const char *action, unsigned n, const char *members, const char *wanted)
{
    change(backend, action, citizen_id(n), members, 200, wanted);
}

static void must_not(const char *action, unsigned n, const char *members, int status,
                     const char *code)
{
    char quoted[64];
    snprintf(quoted, sizeof(quoted), "\"code\":\"%s\"", code);
    change(backend, action, citizen_id(n), members, status, quoted);
}

/* With whatever he shows, at another partner's and so mostly at another worker. */
static int status_with(unsigned n, const char *factors)
{
    struct test_response response;
    int status = authenticate(portal, citizen_id(n), "portal", "portal.login", factors, &response);
    test_response_release(&response);
    return status;
}

/* With a device that has another citizen's key and this id. */
static void write_device(char *text, size_t size, unsigned key, const char *device_id,
                         const char *challenge)
{
    char signature[87];
    sign_as_device(key, challenge, signature);
    snprintf(text, size,
             "{\"type\":\"device_key\",\"device_id\":\"%s\",\"challenge\":\"%s\","
             "\"signature\":\"%s\"}",
             device_id, challenge, signature);
}

static int status_with_device(unsigned n, unsigned key, const char *device_id)
{
    char challenge[61], factor[512];
    ask_challenge(portal, citizen_id(n), "device_key", "portal", challenge);
    write_device(factor, sizeof(factor), key, device_id, challenge);
    return status_with(n, factor);
}

static const char *new_device(unsigned key, const char *device_id, const char *shown)
{
    static char members[2048];
    char public_key[160];
    write_device_key(key, public_key);
    snprintf(members, sizeof(members), ",\"device_id\":\"%s\",\"public_key\":\"%s\"%s", device_id,
             public_key, shown);
    return members;
}

/* "factors" with his own device, for this audience. */
static const char *own_device(unsigned n, const char *audience)
{
    static char shown[1024];
    char challenge[61], factor[512];
    ask_challenge(backend, citizen_id(n), "device_key", audience, challenge);
    write_device_factor(factor, sizeof(factor), n, challenge);
    snprintf(shown, sizeof(shown), ",\"factors\":[%s]", factor);
    return shown;
}

/* ---- what is changed ---------------------------------------------------------------------------- */

static void an_account_is_opened_and_used(void **state)
{
    (void)state;
    must_not("passcode", WITHOUT, ",\"passcode\":\"246810\"" IN_PERSON, 409, "no_account");
    must("activate", WITHOUT, ",\"level\":1",
         "\"level\":1,\"locks\":[],\"devices\":0,\"passcode\":false}");
    must_not("activate", WITHOUT, ",\"level\":1", 409, "already_active");
    must("activate", WITHOUT, ",\"level\":2", "\"level\":2,");
    must("passcode", WITHOUT, ",\"passcode\":\"" SECRET "\"" IN_PERSON,
         "\"devices\":0,\"passcode\":true}");
    assert_int_equal(status_with(WITHOUT, PASSCODE(SECRET)), 200);
    assert_int_equal(status_with_device(WITHOUT, 33, "phone"), 401);
    must("devices/add", WITHOUT, new_device(33, "phone", IN_PERSON), "\"devices\":1,");
    assert_int_equal(status_with_device(WITHOUT, 33, "phone"), 200);
    must("devices/remove", WITHOUT, ",\"device_id\":\"phone\"", "\"devices\":0,");
    assert_int_equal(status_with_device(WITHOUT, 33, "phone"), 401);
    must_not("devices/remove", WITHOUT, ",\"device_id\":\"phone\"", 409, "device_unknown");
}

static void a_device_is_added_by_another(void **state)
{
    (void)state;
    must("devices/add", 1, new_device(34, "tablet", own_device(1, "accounts")), "\"devices\":2,");
    assert_int_equal(status_with_device(1, 34, "tablet"), 200);
    must_not("devices/add", 1, new_device(34, "tablet-2", IN_PERSON), 409, "device_known");
    must_not("devices/add", 1, new_device(35, "tablet", IN_PERSON), 409, "device_known");
    must("devices/add", 2, new_device(36, "tablet", ",\"factors\":[" PASSCODE("password") "]"),
         "\"devices\":2,");
    assert_int_equal(status_with_device(2, 36, "tablet"), 200);
}

/* With a device that has another citizen's key. */
static void reaches(unsigned n, unsigned key, const char *device_id, const char *acr)
{
    char challenge[61], factor[512];
    struct test_response response;
    ask_challenge(portal, citizen_id(n), "device_key", "portal", challenge);
    write_device(factor, sizeof(factor), key, device_id, challenge);
    (void)authenticate(portal, citizen_id(n), "portal", "portal.login", factor, &response);
    if (response.status != 200 || strstr(response.body, acr) == NULL) {
        fail_msg("%d %s, not %s", response.status, response.body, acr);
    }
    test_response_release(&response);
}

static const char *also(const char *member, const char *shown)
{
    static char both[1536];
    snprintf(both, sizeof(both), "%s%s", member, shown);
    return both;
}

#define BY_FACE ",\"unlocked_by\":\"face\""

static void a_device_that_a_biometric_unlocks_is_added_in_person_or_by_such_a_one(void **state)
{
    (void)state;
    char both[1536];
    must("devices/add", 18, new_device(41, "new", also(BY_FACE, IN_PERSON)), "\"devices\":2,");
    reaches(18, 41, "new", "\"acr\":\"3\",\"amr\":[\"pop\",\"face\",\"mfa\"]");
    reaches(18, 18, citizen_device(18), "\"acr\":\"1\",\"amr\":[\"pop\"]");
    /* One factor, or two plain ones, each of which one other gives. */
    must_not("devices/add", 19, new_device(42, "new", also(BY_FACE, own_device(19, "accounts"))),
             403, "level_too_low");
    must_not("devices/add", 19,
             new_device(42, "new", BY_FACE ",\"factors\":[" PASSCODE("password") "]"), 403,
             "level_too_low");
    const char *shown = own_device(19, "accounts");
    snprintf(both, sizeof(both), BY_FACE "%.*s," PASSCODE("password") "]", (int)strlen(shown) - 1,
             shown);
    must_not("devices/add", 19, new_device(42, "new", both), 403, "level_too_low");
    /* They are good for a plain one. */
    must("devices/add", 19, new_device(42, "new", own_device(19, "accounts")), "\"devices\":2,");
    reaches(19, 42, "new", "\"acr\":\"1\"");
    /* Such a device vouches for another. */
    must("devices/add", CITIZEN_UNLOCKED,
         new_device(43, "new", also(BY_FACE, own_device(CITIZEN_UNLOCKED, "accounts"))),
         "\"devices\":2,");
    reaches(CITIZEN_UNLOCKED, 43, "new", "\"acr\":\"3\",\"amr\":[\"pop\",\"face\",\"mfa\"]");
}

static void what_is_shown_must_be_his_and_for_this(void **state)
{
    (void)state;
    char shown[1024], challenge[61], factor[512];
    must_not("devices/add", 3, new_device(37, "x", own_device(3, "portal")), 401,
             "authentication_failed"); /* he signed in somewhere with it */
    snprintf(shown, sizeof(shown), "%s", own_device(3, "accounts"));
    must("devices/add", 3, new_device(37, "x", shown), "\"devices\":2,");
    must_not("devices/add", 3, new_device(38, "y", shown), 401, "authentication_failed");
    ask_challenge(backend, citizen_id(3), "device_key", "accounts", challenge);
    write_device(factor, sizeof(factor), 50, citizen_device(3), challenge); /* another key */
    snprintf(shown, sizeof(shown), ",\"factors\":[%s]", factor);
    must_not("devices/add", 3, new_device(38, "y", shown), 401, "authentication_failed");
    must_not("devices/add", 3, new_device(38, "y", ",\"factors\":[" PASSCODE("wrong-one") "]"), 401,
             "authentication_failed");
    assert_int_equal(status_with_device(3, 38, "y"), 401);
}

static void failures_here_count_with_those_elsewhere(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        must_not("passcode", 4, ",\"passcode\":\"135790\",\"factors\":[" PASSCODE("wrong-one") "]",
                 401, "authentication_failed");
    }
    assert_int_equal(status_with(4, PASSCODE("password")), 401); /* has to wait */
    must_not("unlock", 4, ",\"reason\":\"holder\"", 409, "not_locked");
    must("unlock", 4, ",\"reason\":\"attempts\"", "\"locks\":[]");
    assert_int_equal(status_with(4, PASSCODE("password")), 200);
    must_not("unlock", 4, ",\"reason\":\"attempts\"", 409, "not_locked");
}

static void a_passcode_is_changed_by_the_old_one(void **state)
{
    (void)state;
    must("passcode", 5, ",\"passcode\":\"246810\",\"factors\":[" PASSCODE("password") "]",
         "\"passcode\":true}");
    assert_int_equal(status_with(5, PASSCODE("password")), 401);
    assert_int_equal(status_with(5, PASSCODE("246810")), 200);
    char members[2048];
    snprintf(members, sizeof(members), ",\"passcode\":\"975310\"%s", own_device(5, "accounts"));
    must("passcode", 5, members, "\"passcode\":true}");
    assert_int_equal(status_with(5, PASSCODE("975310")), 200);
}

/* Whoever may not be let in now could read off the time that his guess was right. */
static void a_wrong_old_passcode_takes_as_many_hashes_as_a_right_one(void **state)
{
    (void)state;
    unsigned before = hashes_at_rest(&server);
    must_not("passcode", 6, ",\"passcode\":\"246810\",\"factors\":[" PASSCODE("passwore") "]", 401,
             "authentication_failed");
    unsigned wrong = hashes_at_rest(&server) - before;
    must("passcode", 6, ",\"passcode\":\"246810\",\"factors\":[" PASSCODE("password") "]",
         "\"passcode\":true}");
    unsigned right = hashes_at_rest(&server) - before - wrong;
    assert_int_equal(wrong, 2);
    assert_int_equal(right, 2);
    assert_int_equal(status_with(6, PASSCODE("passwore")), 401);
    assert_int_equal(status_with(6, PASSCODE("246810")), 200);
}

static void locks_are_told_with_who_and_when(void **state)
{
    (void)state;
    char challenge[61], factor[512];
    ask_challenge(portal, citizen_id(6), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), 6, challenge);
    must("lock", 6, ",\"reason\":\"holder\"", "\"locks\":[{\"reason\":\"holder\",\"at\":\"20");
    assert_int_equal(status_with(6, factor), 401); /* signed before */
    must_not("lock", 6, ",\"reason\":\"holder\"", 409, "already_locked");
    must("lock", 6, ",\"reason\":\"authority\"",
         "Z\",\"actor\":\"backend\"},{\"reason\":\"authority\"");
    must("unlock", 6, ",\"reason\":\"holder\"", "\"locks\":[{\"reason\":\"authority\",");
    assert_int_equal(status_with_device(6, 6, citizen_device(6)), 401);
    must("unlock", 6, ",\"reason\":\"authority\"", "\"locks\":[],");
    assert_int_equal(status_with_device(6, 6, citizen_device(6)), 200);
    /* One that was imported is told without them. */
    must("lock", CITIZEN_LOCKED, ",\"reason\":\"breach\"",
         "\"locks\":[{\"reason\":\"holder\"},{\"reason\":\"breach\",\"at\":\"");
}

static void the_dead_get_nothing(void **state)
{
    (void)state;
    must_not("activate", CITIZEN_DEAD, ",\"level\":2", 409, "person_deceased");
    must_not("passcode", CITIZEN_DEAD, ",\"passcode\":\"246810\"" IN_PERSON, 409,
             "person_deceased");
    must_not("activate", CITIZENS, ",\"level\":2", 409, "unknown_person");
}

/* ---- who may ask, and how ----------------------------------------------------------------------- */

static void requests_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *action, *members, *wanted;
    } CASES[] = {
        {"activate", "", "{\"pointer\":\"/level\",\"code\":\"missing_member\"}"},
        {"activate", ",\"level\":3", "{\"pointer\":\"/level\",\"code\":\"bad_level\"}"},
        {"activate", ",\"level\":\"2\"", "{\"pointer\":\"/level\",\"code\":\"wrong_type\"}"},
        {"activate", ",\"level\":1,\"x\":1", "\"code\":\"unknown_member\"}"},
        {"lock", ",\"reason\":\"death\"", "{\"pointer\":\"/reason\",\"code\":\"bad_reason\"}"},
        {"lock", ",\"reason\":\"attempts\"", "{\"pointer\":\"/reason\",\"code\":\"bad_reason\"}"},
        {"unlock", ",\"reason\":\"card_revoked\"",
         "{\"pointer\":\"/reason\",\"code\":\"bad_reason\"}"},
        {"passcode", ",\"passcode\":\"12345\"" IN_PERSON,
         "{\"pointer\":\"/passcode\",\"code\":\"too_short\"}"},
        {"passcode", ",\"passcode\":\"123456\"",
         "{\"pointer\":\"/evidence\",\"code\":\"missing_member\"}"},
        {"passcode", ",\"passcode\":\"123456\",\"evidence\":\"by_phone\"",
         "{\"pointer\":\"/evidence\",\"code\":\"bad_evidence\"}"},
        {"passcode", ",\"passcode\":\"123456\",\"factors\":[" PASSCODE("a") "]" IN_PERSON,
         "{\"pointer\":\"/evidence\",\"code\":\"conflict\"}"},
        {"passcode", ",\"passcode\":\"123456\",\"factors\":[]",
         "{\"pointer\":\"/factors\",\"code\":\"empty\"}"},
        {"devices/add", ",\"device_id\":\"a\",\"public_key\":\"AAAA\"" IN_PERSON,
         "{\"pointer\":\"/public_key\",\"code\":\"bad_key\"}"},
        {"devices/add", ",\"device_id\":\"a\",\"public_key\":\"*\"" IN_PERSON,
         "{\"pointer\":\"/public_key\",\"code\":\"bad_key\"}"},
        {"devices/add", ",\"device_id\":\"a\",\"unlocked_by\":\"voice\"" IN_PERSON,
         "{\"pointer\":\"/unlocked_by\",\"code\":\"bad_value\"}"},
        {"passcode", ",\"passcode\":\"123456\",\"unlocked_by\":\"face\"" IN_PERSON,
         "\"code\":\"unknown_member\"}"},
        {"devices/remove", ",\"device_id\":\"\"",
         "{\"pointer\":\"/device_id\",\"code\":\"empty\"}"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        change(backend, CASES[i].action, citizen_id(7), CASES[i].members, 400, CASES[i].wanted);
    }
    change(backend, "lock", "12", ",\"reason\":\"holder\"", 400,
           "{\"pointer\":\"/id\",\"code\":\"bad_id\"}");
}

static void the_right_is_needed(void **state)
{
    (void)state;
    static const char *const actions[] = {"activate", "lock",        "unlock",
                                          "passcode", "devices/add", "devices/remove"};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        change(portal, actions[i], citizen_id(8), ",\"level\":2", 403, "endpoint_not_permitted");
    }
    assert_int_equal(status_with_device(8, 8, citizen_device(8)), 200);
}

/* A passcode stands nowhere on the disk, and every change in the audit log, with what it was. */
static void changes_are_in_the_audit_log_and_passcodes_are_not(void **state)
{
    (void)state;
    char command[512];
    snprintf(command, sizeof(command), "grep -rqa -e '" SECRET "' '%s'", deployment("DIR"));
    assert_int_not_equal(system(command), 0);
    snprintf(command, sizeof(command), "'%s' audit search '%s' --partner backend --json > '%s'",
             xacthuc(), deployment("DIR"), deployment("found"));
    sleep_ms(1200); /* until the entries are on the disk and signed for */
    assert_int_equal(system(command), 0);
    char *found = read_text(deployment("found"));
    static const char *const events[] = {"activated",    "locked",         "unlocked",
                                         "device_added", "device_removed", "passcode_set"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char event[64];
        snprintf(event, sizeof(event), "\"event\":\"%s\",\"sequence\":", events[i]);
        if (strstr(found, event) == NULL) {
            fail_msg("no %s", event);
        }
    }
    assert_non_null(strstr(found, "\"code\":\"authentication_failed\""));
    assert_null(strstr(found, citizen_id(1)));
    free(found);
}

static void old_numbers_name_nobody_to_partners_without_them(void **state)
{
    (void)state;
    struct test_response response;
    bool unknown = false;
    change(backend, "lock", CITIZEN_OLD_NUMBER, ",\"reason\":\"holder\"", 200, "\"holder\"");
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "backend", "--old-numbers", "no", NULL),
        0);
    for (double until = now_s() + 60; !unknown && now_s() < until; sleep_ms(50)) {
        assert_true(test_client_request(
            backend, "POST", "/v1/accounts/unlock", FIELDS,
            "{\"id\":\"" CITIZEN_OLD_NUMBER "\",\"reason\":\"attempts\"}", &response));
        unknown = strstr(response.body, "unknown_person") != NULL;
        test_response_release(&response);
    }
    change(backend, "unlock", CITIZEN_OLD_NUMBER, ",\"reason\":\"holder\"", 409, "unknown_person");
    must("unlock", CITIZEN_WITH_OLD_NUMBER, ",\"reason\":\"holder\"", "\"locks\":[]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_opened_and_used),
        cmocka_unit_test(a_device_is_added_by_another),
        cmocka_unit_test(a_device_that_a_biometric_unlocks_is_added_in_person_or_by_such_a_one),
        cmocka_unit_test(what_is_shown_must_be_his_and_for_this),
        cmocka_unit_test(failures_here_count_with_those_elsewhere),
        cmocka_unit_test(a_passcode_is_changed_by_the_old_one),
        cmocka_unit_test(a_wrong_old_passcode_takes_as_many_hashes_as_a_right_one),
        cmocka_unit_test(locks_are_told_with_who_and_when),
        cmocka_unit_test(the_dead_get_nothing),
        cmocka_unit_test(requests_are_strict),
        cmocka_unit_test(the_right_is_needed),
        cmocka_unit_test(changes_are_in_the_audit_log_and_passcodes_are_not),
        cmocka_unit_test(old_numbers_name_nobody_to_partners_without_them),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
