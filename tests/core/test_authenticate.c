#include "core/authenticate.h"

#include <stdlib.h>

#include "core/assurance.h"
#include "core/json.h"
#include "tests/test.h"

#define NONE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define SIGNED                                                                                     \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_w"
#define PASSCODE "{\"type\":\"passcode\",\"value\":\"246810\"}"
#define DEVICE                                                                                     \
    "{\"type\":\"device_key\",\"device_id\":\"phone-1\",\"challenge\":\"" NONE                     \
    "\",\"signature\":\"" SIGNED "\"}"
#define CARD "{\"type\":\"card_chip\",\"challenge\":\"" NONE "\",\"signature\":\"" SIGNED "\"}"
#define WITH(factors) "{\"id\":\"001099012345\",\"audience\":\"portal\",\"factors\":[" factors "]}"

static uint8_t memory[1 << 20];
static uint8_t body[XT_AUTHENTICATE_BODY_MAX + 8];
static struct xt_request_errors errors;

static uint8_t *copy(const char *text)
{
    memset(body, 0, sizeof(body));
    memcpy(body, text, strlen(text));
    return body;
}

static enum xt_status read(const char *text, struct xt_authenticate_request *request)
{
    struct xt_json_arena arena = {memory, sizeof(memory)};
    return xt_authenticate_request_from_json(copy(text), strlen(text), arena, request, &errors);
}

static enum xt_status read_challenge(const char *text, struct xt_challenge_request *request)
{
    struct xt_json_arena arena = {memory, sizeof(memory)};
    return xt_challenge_request_from_json(copy(text), strlen(text), arena, request, &errors);
}

static void every_factor_is_read(void **state)
{
    (void)state;
    struct xt_authenticate_request request;
    assert_int_equal(read("{\"purpose\":\"portal.login\",\"factors\":[" CARD "," DEVICE "," PASSCODE
                          "],\"audience\":\"https://a.vn/x\",\"id\":\"012345678\"}",
                          &request),
                     XT_OK);
    assert_int_equal(request.factors,
                     XT_FACTOR_PASSCODE | XT_FACTOR_DEVICE_KEY | XT_FACTOR_CARD_CHIP);
    assert_int_equal(request.id.kind, XT_ID_CMND);
    assert_true(xt_span_is(request.audience, "https://a.vn/x"));
    assert_true(xt_span_is(request.purpose, "portal.login"));
    assert_true(xt_span_is(request.passcode, "246810"));
    assert_true(xt_span_is(request.device_id, "phone-1"));
    assert_true(xt_span_is(request.challenges[1], NONE));
    assert_true(xt_span_is(request.challenges[2], NONE));
    assert_int_equal(request.signatures[1][0], 0);
    assert_int_equal(request.signatures[2][63], 0xff);
    assert_int_equal(read(WITH(PASSCODE), &request), XT_OK);
    assert_int_equal(request.factors, XT_FACTOR_PASSCODE);
    assert_int_equal(request.purpose.size, 0);
}

static void each_mistake_is_pointed_at(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pointer, *code;
    } cases[] = {
        {"", "", "malformed_json"},
        {"[]", "", "not_an_object"},
        {"{\"audience\":\"a\",\"factors\":[" PASSCODE "]}", "/id", "missing_member"},
        {"{\"id\":\"001099012345\",\"factors\":[" PASSCODE "]}", "/audience", "missing_member"},
        {"{\"id\":\"001099012345\",\"audience\":\"a\"}", "/factors", "missing_member"},
        {"{\"id\":\"001099012345\",\"audience\":\"a\",\"factors\":{}}", "/factors", "wrong_type"},
        {"{\"id\":\"001099012345\",\"audience\":\"a\",\"x\":1,\"factors\":[" PASSCODE "]}", "",
         "unknown_member"},
        {"{\"id\":\"1\",\"audience\":\"a\",\"factors\":[" PASSCODE "]}", "/id", "bad_id"},
        {"{\"id\":\"001099012345\",\"audience\":\"a b\",\"factors\":[" PASSCODE "]}", "/audience",
         "bad_audience"},
        {"{\"id\":\"001099012345\",\"audience\":\"\xc3\xa1\",\"factors\":[" PASSCODE "]}",
         "/audience", "bad_audience"},
        {"{\"id\":\"001099012345\",\"audience\":\"a\",\"purpose\":\"A\",\"factors\":[" PASSCODE
         "]}",
         "/purpose", "bad_purpose"},
        {"{\"id\":\"001099012345\",\"id\":\"001099012345\",\"audience\":\"a\",\"factors\":"
         "[" PASSCODE "]}",
         "/id", "duplicate_member"},
        {WITH(""), "/factors", "empty"},
        {WITH(PASSCODE "," DEVICE "," CARD "," CARD), "/factors", "too_long"},
        {WITH(PASSCODE "," PASSCODE), "/factors/1", "conflict"},
        {WITH("3"), "/factors/0", "wrong_type"},
        {WITH("{\"type\":\"face\"}"), "/factors/0/type", "bad_factor"},
        {WITH("{\"value\":\"1\"}"), "/factors/0/type", "missing_member"},
        {WITH("{\"type\":\"passcode\"}"), "/factors/0/value", "missing_member"},
        {WITH("{\"type\":\"passcode\",\"value\":246810}"), "/factors/0/value", "wrong_type"},
        {WITH("{\"type\":\"passcode\",\"value\":\"\"}"), "/factors/0/value", "empty"},
        {WITH("{\"type\":\"passcode\",\"value\":\"1\\u0000\"}"), "/factors/0/value",
         "control_character"},
        {WITH("{\"type\":\"passcode\",\"value\":\"1\",\"device_id\":\"a\"}"), "/factors/0",
         "conflict"},
        {WITH("{\"type\":\"passcode\",\"value\":\"1\",\"pin\":\"a\"}"), "/factors/0",
         "unknown_member"},
        {WITH("{\"type\":\"card_chip\",\"challenge\":\"" NONE "\"}"), "/factors/0/signature",
         "missing_member"},
        {WITH("{\"type\":\"card_chip\",\"challenge\":\"" NONE "A\",\"signature\":\"" SIGNED "\"}"),
         "/factors/0/challenge", "bad_challenge"},
        {WITH("{\"type\":\"card_chip\",\"challenge\":\"" NONE "\",\"signature\":\"" SIGNED "A\"}"),
         "/factors/0/signature", "bad_signature"},
        {WITH("{\"type\":\"card_chip\",\"challenge\":\"" NONE "\",\"signature\":\"AA\"}"),
         "/factors/0/signature", "bad_signature"},
    };
    struct xt_authenticate_request request;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (read(cases[i].text, &request) != XT_INVALID ||
            strcmp(errors.list[0].pointer, cases[i].pointer) != 0 ||
            strcmp(errors.list[0].code, cases[i].code) != 0) {
            fail_msg("%s: %s %s", cases[i].text, errors.list[0].pointer, errors.list[0].code);
        }
    }
}

static void challenge_is_asked_for_a_key_only(void **state)
{
    (void)state;
    struct xt_challenge_request request;
    assert_int_equal(
        read_challenge("{\"id\":\"001099012345\",\"factor\":\"card_chip\",\"audience\":\"portal\"}",
                       &request),
        XT_OK);
    assert_int_equal(request.factor, XT_FACTOR_CARD_CHIP);
    assert_int_equal(request.id.value, 1099012345);
    static const char *const bad[][3] = {
        {"{\"id\":\"001099012345\",\"factor\":\"passcode\",\"audience\":\"a\"}", "/factor",
         "bad_factor"},
        {"{\"id\":\"001099012345\",\"factor\":7,\"audience\":\"a\"}", "/factor", "wrong_type"},
        {"{\"id\":\"001099012345\",\"audience\":\"a\"}", "/factor", "missing_member"},
        {"{\"id\":\"001099012345\",\"factor\":\"device_key\"}", "/audience", "missing_member"},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_challenge(bad[i][0], &request), XT_INVALID);
        assert_string_equal(errors.list[0].pointer, bad[i][1]);
        assert_string_equal(errors.list[0].code, bad[i][2]);
    }
}

static void body_that_is_too_large_is_not_read(void **state)
{
    (void)state;
    static uint8_t large[XT_AUTHENTICATE_BODY_MAX + 8];
    struct xt_authenticate_request request;
    struct xt_json_arena arena = {memory, sizeof(memory)};
    memset(large, ' ', sizeof(large));
    assert_int_equal(xt_authenticate_request_from_json(large, XT_AUTHENTICATE_BODY_MAX + 1, arena,
                                                       &request, &errors),
                     XT_INVALID);
    assert_string_equal(errors.list[0].code, "too_long");
}

/* ---- assurance ---------------------------------------------------------------------------------- */

static void level_follows_from_the_factors_and_what_unlocks_the_device(void **state)
{
    (void)state;
    enum { PWD = XT_FACTOR_PASSCODE, POP = XT_FACTOR_DEVICE_KEY, SC = XT_FACTOR_CARD_CHIP };
    static const struct {
        unsigned factors;
        enum xt_unlock unlocked_by;
        unsigned level;
        const char *methods;
    } cases[] = {
        {0, XT_UNLOCK_NONE, 0, ""},
        {PWD, XT_UNLOCK_NONE, 1, "pwd "},
        {POP, XT_UNLOCK_NONE, 1, "pop "},
        {SC, XT_UNLOCK_NONE, 1, "sc "},
        {POP | PWD, XT_UNLOCK_NONE, 2, "pop pwd mfa "},
        {SC | PWD, XT_UNLOCK_NONE, 2, "sc pwd mfa "},
        {SC | POP, XT_UNLOCK_NONE, 2, "pop sc "}, /* both are possessed */
        {SC | POP | PWD, XT_UNLOCK_NONE, 2, "pop sc pwd mfa "},
        {POP, XT_UNLOCK_FINGERPRINT, 3, "pop fpt mfa "},
        {POP, XT_UNLOCK_FACE, 3, "pop face mfa "},
        {POP, XT_UNLOCK_IRIS, 3, "pop iris mfa "},
        {POP, XT_UNLOCK_BIOMETRIC, 3, "pop mfa "}, /* RFC 8176 has no word for it */
        {SC | POP, XT_UNLOCK_FACE, 3, "pop face sc mfa "},
        {POP | PWD, XT_UNLOCK_IRIS, 4, "pop iris pwd mfa "},
        {POP | PWD, XT_UNLOCK_BIOMETRIC, 4, "pop pwd mfa "},
        {SC | POP | PWD, XT_UNLOCK_FINGERPRINT, 4, "pop fpt sc pwd mfa "},
        /* What unlocks a device that was not shown makes nothing more. */
        {PWD, XT_UNLOCK_FACE, 1, "pwd "},
        {SC | PWD, XT_UNLOCK_FACE, 2, "sc pwd mfa "},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct xt_assurance assurance;
        char text[64];
        struct xt_writer writer = xt_writer_over((uint8_t *)text, sizeof(text) - 1);
        xt_assurance_of(cases[i].factors, cases[i].unlocked_by, &assurance);
        for (unsigned at = 0; at < assurance.method_count; at++) {
            xt_write_span(&writer, assurance.methods[at]);
            xt_write_byte(&writer, ' ');
        }
        text[writer.size] = '\0';
        assert_int_equal(assurance.level, cases[i].level);
        assert_string_equal(text, cases[i].methods);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_factor_is_read),
        cmocka_unit_test(each_mistake_is_pointed_at),
        cmocka_unit_test(challenge_is_asked_for_a_key_only),
        cmocka_unit_test(body_that_is_too_large_is_not_read),
        cmocka_unit_test(level_follows_from_the_factors_and_what_unlocks_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
