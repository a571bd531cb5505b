#include "core/consent.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/test.h"

#define HEADER "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\"}"
#define PAYLOAD                                                                                    \
    "{\"aud\":\"bank\",\"purpose\":\"account.open\",\"attributes\":[\"full_name\",\"tax\"],"       \
    "\"iat\":1800000000,\"exp\":1800003600,\"jti\":\"AgICAgICAgICAgICAgICAg\"}"

static uint8_t memory[XT_CONSENT_ARENA];
static const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};
static struct xt_consent_text consent;

/* With a signature of 64 bytes 0xa5, without the bytes around it, so that ASan sees a read past its end. */
static enum xt_status read_as(const char *header, const char *payload)
{
    static char text[16384];
    uint8_t signature[XT_JOSE_SIGNATURE];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    memset(signature, 0xa5, sizeof(signature));
    xt_base64url_write(&writer, xt_span_of_string(header));
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of_string(payload));
    xt_write_byte(&writer, '.');
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    assert_false(writer.overflow);
    char *copy = malloc(writer.size);
    assert_non_null(copy);
    memcpy(copy, text, writer.size);
    enum xt_status status = xt_consent_read(xt_span_of(copy, writer.size), arena, &consent);
    free(copy);
    return status;
}

static void a_consent_is_taken_apart(void **state)
{
    (void)state;
    assert_int_equal(read_as(HEADER, PAYLOAD), XT_OK);
    assert_int_equal(consent.algorithm, XT_JOSE_ES256);
    assert_true(xt_span_is(consent.device_id, "phone-1"));
    assert_true(xt_span_is(consent.partner, "bank"));
    assert_true(xt_span_is(consent.purpose, "account.open"));
    assert_int_equal(consent.attributes,
                     XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_FULL_NAME) | XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_TAX));
    assert_true(consent.issued_s == 1800000000 && consent.expires_s == 1800003600);
    assert_int_equal(consent.handle[0], 2);
    assert_string_equal(consent.handle_text, "AgICAgICAgICAgICAgICAg");
    assert_int_equal(consent.signature[63], 0xa5);
    assert_int_equal(
        read_as("{\"kid\":\"p\",\"typ\":\"consent+jwt\",\"alg\":\"EdDSA\"}",
                "{\"jti\":\"AgICAgICAgICAgICAgICAg\",\"exp\":1800003600,\"iat\":1800000000,"
                "\"attributes\":[\"sex\"],\"purpose\":\"p\",\"aud\":\"b\"}"),
        XT_OK);
    assert_int_equal(consent.algorithm, XT_JOSE_EDDSA);
}

static void headers_of_other_things_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\"}",
        "{\"typ\":\"consent+jwt\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"Consent+jwt\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"none\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"HS256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\"}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\",\"x\":1}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-1\",\"kid\":\"phone-1\"}",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        assert_int_equal(read_as(headers[i], PAYLOAD), XT_INVALID);
    }
}

/* PAYLOAD with one part of it put differently. */
static enum xt_status read_with(const char *part, const char *instead)
{
    char payload[1024];
    const char *at = strstr(PAYLOAD, part);
    assert_non_null(at);
    snprintf(payload, sizeof(payload), "%.*s%s%s", (int)(at - PAYLOAD), PAYLOAD, instead,
             at + strlen(part));
    return read_as(HEADER, payload);
}

static void every_member_stands_there_once_and_none_besides(void **state)
{
    (void)state;
    static const struct {
        const char *part, *instead;
    } CASES[] = {
        {"\"aud\":\"bank\",", ""},
        {"\"aud\":\"bank\"", "\"aud\":[\"bank\"]"},
        {"\"aud\":\"bank\"", "\"aud\":\"bank\",\"aud\":\"bank\""},
        {"\"bank\"", "\"Bank\""},
        {"\"bank\"", "\"\""},
        {"\"purpose\":\"account.open\",", ""},
        {"\"account.open\"", "null"},
        {"\"account.open\"", "\"account open\""},
        {"\"attributes\":[\"full_name\",\"tax\"],", ""},
        {"[\"full_name\",\"tax\"]", "[]"},
        {"[\"full_name\",\"tax\"]", "\"full_name\""},
        {"[\"full_name\",\"tax\"]", "[\"full_name\",\"full_name\"]"},
        {"[\"full_name\",\"tax\"]", "[\"*\"]"},
        {"[\"full_name\",\"tax\"]", "[\"full_name\",7]"},
        {"\"iat\":1800000000,", ""},
        {"1800000000", "1800000000.5"},
        {"1800000000", "\"1800000000\""},
        {"1800000000", "-1"},
        {"1800000000", "1800003600"}, /* over when it begins */
        {"1800003600", "4294967296"},
        {"1800003600", "1831536001"}, /* a second more than 365 days */
        {",\"jti\":\"AgICAgICAgICAgICAgICAg\"", ""},
        {"AgICAgICAgICAgICAgICAg", "AgICAgICAgICAgICAgICAh"}, /* bits that no byte needs */
        {"AgICAgICAgICAgICAgICAg", "AgICAgICAgICAgICAgICAg=="},
        {"AgICAgICAgICAgICAgICAg", "AgICAgICAgICAgICAgIC"},
        {"AgICAgICAgICAgICAgICAg", "AgICAgICAgICAgICAgICAgIC"},
        {"{\"aud\"", "{\"nbf\":1,\"aud\""},
        {"{\"aud\"", "{\"sub\":\"001099012345\",\"aud\""},
        {"{\"aud\"", "[{\"aud\""},
        {"{\"aud\"", "{\"aud\\u0000\":1,\"aud\""},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if (read_with(CASES[i].part, CASES[i].instead) != XT_INVALID) {
            fail_msg("%s for %s was taken", CASES[i].instead, CASES[i].part);
        }
    }
    assert_int_equal(read_with("1800003600", "1831536000"), XT_OK);
    assert_int_equal(read_as(HEADER, PAYLOAD " "), XT_OK);
    assert_int_equal(read_as(HEADER, PAYLOAD "x"), XT_INVALID);
    assert_int_equal(read_as(HEADER, ""), XT_INVALID);
}

static void too_long_a_text_is_not_looked_at(void **state)
{
    (void)state;
    static char payload[4096];
    size_t size = strlen(PAYLOAD), most = (XT_CONSENT_MAX - 200) / 4 * 3 - 8;
    memset(payload, ' ', sizeof(payload) - 1);
    memcpy(payload, PAYLOAD, size);
    payload[most] = '\0';
    assert_int_equal(read_as(HEADER, payload), XT_OK);
    payload[most] = ' ';
    payload[most + 120] = '\0';
    assert_int_equal(read_as(HEADER, payload), XT_INVALID);
    memset(payload, '[', sizeof(payload) - 1); /* deep, and of many values */
    payload[2900] = '\0';
    assert_int_equal(read_as(HEADER, payload), XT_INVALID);
    for (size_t i = 1; i < 2900; i += 2) {
        payload[i] = i % 4 == 1 ? '1' : ',';
    }
    assert_int_equal(read_as(HEADER, payload), XT_INVALID);
}

static void time_is_kept_to_the_second(void **state)
{
    (void)state;
    assert_int_equal(read_as(HEADER, PAYLOAD), XT_OK);
    assert_false(xt_consent_is_in_time(&consent, 1800000000 - XT_CONSENT_LEEWAY_S - 1));
    assert_true(xt_consent_is_in_time(&consent, 1800000000 - XT_CONSENT_LEEWAY_S));
    assert_true(xt_consent_is_in_time(&consent, 1800003599));
    assert_false(xt_consent_is_in_time(&consent, 1800003600));
}

/* ---- requests ----------------------------------------------------------------------------------- */

static struct xt_request_errors errors;

static uint8_t *body_of(const char *json)
{
    size_t size = strlen(json);
    uint8_t *body = calloc(1, size + 4);
    assert_non_null(body);
    memcpy(body, json, size);
    return body;
}

static enum xt_status ask(const char *json, struct xt_attributes_request *request)
{
    uint8_t *body = body_of(json);
    enum xt_status status =
        xt_attributes_request_from_json(body, strlen(json), arena, request, &errors);
    assert_true((status == XT_OK) == (errors.count == 0));
    if (status == XT_OK) {
        assert_true(xt_span_is(request->purpose, "p") && xt_span_is(request->consent, "a.b.c"));
    }
    free(body);
    return status;
}

static void requests_name_what_is_wrong(void **state)
{
    (void)state;
    struct xt_attributes_request request;
    static const struct {
        const char *json, *pointer, *code;
    } CASES[] = {
        {"{\"purpose\":\"p\",\"attributes\":[\"sex\"],\"consent\":\"c\"}", "/id", "missing_member"},
        {"{\"id\":\"1\",\"purpose\":\"p\",\"attributes\":[\"sex\"],\"consent\":\"c\"}", "/id",
         "bad_id"},
        {"{\"id\":\"001099012345\",\"purpose\":\"P\",\"attributes\":[\"sex\"],\"consent\":\"c\"}",
         "/purpose", "bad_purpose"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[],\"consent\":\"c\"}",
         "/attributes", "empty"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":{},\"consent\":\"c\"}",
         "/attributes", "wrong_type"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"id\"],\"consent\":\"c\"}",
         "/attributes", "bad_attribute"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"sex\",\"sex\"],"
         "\"consent\":\"c\"}",
         "/attributes", "duplicate"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"sex\"],\"consent\":\"\"}",
         "/consent", "empty"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"sex\"]}", "/consent",
         "missing_member"},
        {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"sex\"],\"consent\":\"c\","
         "\"sub\":1}",
         "", "unknown_member"},
        {"[]", "", "not_an_object"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_int_equal(ask(CASES[i].json, &request), XT_INVALID);
        assert_string_equal(errors.list[0].pointer, CASES[i].pointer);
        assert_string_equal(errors.list[0].code, CASES[i].code);
    }
    assert_int_equal(ask("{\"id\":\"001099012345\",\"purpose\":\"p\",\"attributes\":[\"sex\"],"
                         "\"consent\":\"a.b.c\"}",
                         &request),
                     XT_OK);
    assert_true(request.id.value == 1099012345);
    assert_int_equal(request.attributes, XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_SEX));
}

static enum xt_status revoke_by(const char *json, struct xt_id *id, uint8_t *handle)
{
    uint8_t *body = body_of(json);
    enum xt_status status =
        xt_revoke_request_from_json(body, strlen(json), arena, id, handle, &errors);
    free(body);
    return status;
}

static void a_revocation_names_person_and_consent(void **state)
{
    (void)state;
    struct xt_id id;
    uint8_t handle[XT_CONSENT_HANDLE];
    assert_int_equal(revoke_by("{\"id\":\"001099012345\",\"consent_ref\":"
                               "\"AgICAgICAgICAgICAgICAg\"}",
                               &id, handle),
                     XT_OK);
    assert_true(id.value == 1099012345 && handle[15] == 2);
    static const char *const refused[] = {
        "{\"id\":\"001099012345\"}",
        "{\"id\":\"001099012345\",\"consent_ref\":\"AgICAgICAgICAgICAgICAg=\"}",
        "{\"id\":\"001099012345\",\"consent_ref\":\"AgICAgICAgICAgICAgICA*\"}",
        "{\"id\":\"001099012345\",\"consent_ref\":\"AgICAgICAgICAgICAgICAh\"}",
        "{\"id\":\"001099012345\",\"consent_ref\":7}",
        "{\"consent_ref\":\"AgICAgICAgICAgICAgICAg\"}",
    };
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(revoke_by(refused[i], &id, handle), XT_INVALID);
        assert_true(errors.count > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_consent_is_taken_apart),
        cmocka_unit_test(headers_of_other_things_are_refused),
        cmocka_unit_test(every_member_stands_there_once_and_none_besides),
        cmocka_unit_test(too_long_a_text_is_not_looked_at),
        cmocka_unit_test(time_is_kept_to_the_second),
        cmocka_unit_test(requests_name_what_is_wrong),
        cmocka_unit_test(a_revocation_names_person_and_consent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
