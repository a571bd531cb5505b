/* openapi.json describes the API as it is built: targets, methods, members, enumerations, codes. The
 * embedded document has no white space outside strings, so its parts can be found as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/claim.h"
#include "net/openapi.h"
#include "net/problem.h"
#include "net/route.h"
#include "tests/test.h"

static char *document;

static int set_up(void **state)
{
    (void)state;
    document = malloc(xt_openapi_json_size + 1);
    if (document == NULL) {
        return 1;
    }
    memcpy(document, xt_openapi_json, xt_openapi_json_size);
    document[xt_openapi_json_size] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(document);
    return 0;
}

/* The text after `start`, up to its matching bracket; the caller frees it. */
static char *part_after(const char *start)
{
    const char *at = strstr(document, start);
    if (at == NULL) {
        fail_msg("openapi.json has no %s", start);
        return NULL;
    }
    at += strlen(start);
    size_t depth = 0, size = 0;
    bool quoted = false;
    do {
        if (at[size] == '"' && at[size - 1] != '\\') {
            quoted = !quoted;
        }
        depth += !quoted && (at[size] == '{' || at[size] == '[');
        depth -= !quoted && (at[size] == '}' || at[size] == ']');
        size++;
    } while (depth > 0);
    return strndup(at, size);
}

/* Names of an object's members at its own level, or the strings of an array: each must be known. */
static unsigned each_name(const char *text, bool (*is_known)(const char *name))
{
    unsigned count = 0, depth = 0;
    bool array = text[0] == '[';
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == '"') {
            const char *end = at + 1;
            while (*end != '"') {
                end += *end == '\\' ? 2 : 1;
            }
            if (depth == 1 && (array || end[1] == ':')) {
                char name[64];
                snprintf(name, sizeof(name), "%.*s", (int)(end - at - 1), at + 1);
                if (!is_known(name)) {
                    fail_msg("openapi.json names %s, the code does not", name);
                }
                count++;
            }
            at = end;
        }
    }
    return count;
}

static bool is_route(const char *name)
{
    return xt_route_find(&xt_api_routes, xt_span_of_string(name)) != NULL;
}

static void targets_are_the_routes(void **state)
{
    (void)state;
    char *paths = part_after("\"paths\":");
    assert_int_equal(each_name(paths, is_route), xt_api_routes.count);
    free(paths);
    for (size_t i = 0; i < xt_api_routes.count; i++) {
        static const struct {
            const char *name;
            enum xt_method method;
        } methods[] = {{"get", XT_GET}, {"post", XT_POST}, {"put", XT_PUT}, {"delete", XT_DELETE}};
        const struct xt_route *route = &xt_api_routes.list[i];
        char key[128];
        snprintf(key, sizeof(key), "\"%s\":", route->path);
        char *operations = part_after(key);
        for (size_t j = 0; j < 4; j++) {
            snprintf(key, sizeof(key), "\"%s\":{\"operationId\"", methods[j].name);
            assert_int_equal(strstr(operations, key) != NULL,
                             (route->methods & methods[j].method) != 0);
        }
        free(operations);
    }
}

static bool is_claim(const char *name)
{
    enum xt_claim claim;
    return xt_claim_by_name(xt_span_of_string(name), &claim) == XT_OK;
}

static void claims_are_those_of_the_register(void **state)
{
    (void)state;
    char *claims = part_after("\"Claims\":{\"type\":\"object\",\"additionalProperties\":false,"
                              "\"minProperties\":1,\"properties\":");
    assert_int_equal(each_name(claims, is_claim), XT_CLAIM_COUNT);
    free(claims);
}

static bool is_code(const char *name)
{
    for (unsigned i = 1; i < XT_PROBLEM_COUNT; i++) {
        if (strcmp(xt_problem_text((enum xt_problem)i)->code, name) == 0) {
            return true;
        }
    }
    return false;
}

static void problem_codes_are_the_table(void **state)
{
    (void)state;
    char *codes = part_after("\"code\":{\"type\":\"string\",\"enum\":");
    assert_int_equal(each_name(codes, is_code), XT_PROBLEM_COUNT - 1);
    free(codes);
    char *statuses = part_after("\"status\":{\"type\":\"integer\",\"enum\":");
    for (unsigned i = 1; i < XT_PROBLEM_COUNT; i++) {
        char number[8];
        snprintf(number, sizeof(number), "%u", xt_problem_text((enum xt_problem)i)->status);
        assert_non_null(strstr(statuses, number));
    }
    free(statuses);
}

/* Codes of members, found by asking: each body makes one of them. */
static void member_codes_are_listed(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{",
        "[]",
        "{\"x\":1}",
        "{\"id\":\"1\",\"id\":\"1\"}",
        "{}",
        "{\"id\":1}",
        "{\"txn\":\"\"}",
        "{\"purpose\":\"\"}",
        "{\"txn\":\"a\\u0001\"}",
        "{\"id\":\"1\"}",
        "{\"purpose\":\"A B\"}",
        "{\"claims\":{\"full_name\":\"1\"}}",
        "{\"claims\":{\"full_name\":\"\"}}",
        "{\"claims\":{\"date_of_birth\":\"x\"}}",
        "{\"claims\":{\"phone\":\"x\"}}",
        "{\"claims\":{\"tax\":\"?\"}}",
        "{\"claims\":{\"sex\":\"x\"}}",
        "{\"qr\":\"x\"}",
        "{\"qr\":\"x\",\"id\":\"x\"}",
        "{\"legal_basis\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};
    const char *list = strstr(document, "[\"malformed_json\"");
    assert_non_null(list);
    char *listed = strndup(list, strcspn(list, "]"));
    struct xt_json_arena arena = {.memory = malloc(XT_VERIFY_ARENA), .size = XT_VERIFY_ARENA};
    assert_non_null(arena.memory);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        uint8_t body[512] = {0};
        struct xt_verify_request request;
        struct xt_request_errors errors;
        memcpy(body, bodies[i], strlen(bodies[i]));
        assert_int_equal(
            xt_verify_request_from_json(body, strlen(bodies[i]), arena, &request, &errors),
            XT_INVALID);
        for (unsigned j = 0; j < errors.count; j++) {
            char quoted[64];
            snprintf(quoted, sizeof(quoted), "\"%s\"", errors.list[j].code);
            if (strstr(listed, quoted) == NULL) {
                fail_msg("openapi.json does not list %s", quoted);
            }
        }
    }
    free(arena.memory);
    free(listed);
}

/* The members of a request, found by asking: an unknown one is refused at its parent. */
static bool is_request_member(const char *name)
{
    struct xt_json_arena arena = {.memory = malloc(XT_VERIFY_ARENA), .size = XT_VERIFY_ARENA};
    uint8_t body[256] = {0};
    struct xt_verify_request request;
    struct xt_request_errors errors;
    assert_non_null(arena.memory);
    int size = snprintf((char *)body, sizeof(body) - 8, "{\"%s\":[]}", name);
    assert_int_equal(xt_verify_request_from_json(body, (size_t)size, arena, &request, &errors),
                     XT_INVALID);
    bool known = true;
    for (unsigned i = 0; i < errors.count; i++) {
        known = known && strcmp(errors.list[i].code, "unknown_member") != 0;
    }
    free(arena.memory);
    return known;
}

static void request_members_are_known(void **state)
{
    (void)state;
    char *schema = part_after("\"VerifyRequest\":");
    const char *properties = strstr(schema, "\"properties\":");
    assert_non_null(properties);
    assert_int_equal(each_name(properties + strlen("\"properties\":"), is_request_member), 8);
    assert_false(is_request_member("nothing"));
    free(schema);
}

static void answer_words_are_those_of_the_code(void **state)
{
    (void)state;
    for (int i = XT_CARD_ANSWER_NONE; i <= XT_CARD_ANSWER_REVOKED; i++) {
        char word[64];
        snprintf(word, sizeof(word), "\"%s\"", xt_card_answer_name((enum xt_card_answer)i));
        char *card = part_after("\"card\":{\"type\":\"string\",\"enum\":");
        assert_non_null(strstr(card, word));
        free(card);
    }
    for (int i = XT_REASON_UNKNOWN; i <= XT_REASON_CANCELLED; i++) {
        char word[64];
        snprintf(word, sizeof(word), "\"%s\"", xt_reason_name((enum xt_reason)i));
        char *reason = part_after("\"reason\":{\"type\":\"string\",\"enum\":");
        assert_non_null(strstr(reason, word));
        free(reason);
    }
    assert_non_null(strstr(document, "\"version\":\"" XT_VERSION "\""));
}

static void statuses_and_decisions_are_problems(void **state)
{
    (void)state;
    for (int status = XT_NOT_FOUND; status <= XT_CLOSED; status++) {
        assert_true(xt_problem_text(xt_problem_of_status((enum xt_status)status))->status >= 400);
    }
    assert_int_equal(xt_problem_text(xt_problem_of_status(XT_CORRUPT))->status, 503);
    assert_int_equal(xt_problem_of_decision(XT_ALLOW), XT_PROBLEM_NONE);
    for (int decision = XT_DENY_PARTNER_INACTIVE; decision <= XT_DENY_NAME_LEVEL; decision++) {
        assert_int_equal(
            xt_problem_text(xt_problem_of_decision((enum xt_decision)decision))->status, 403);
    }
    for (unsigned i = 1; i < XT_PROBLEM_COUNT; i++) {
        const struct xt_problem_text *text = xt_problem_text((enum xt_problem)i);
        assert_true(text->title[0] != '\0' && text->title_vi[0] != '\0' && text->detail[0] != '\0');
        assert_true(text->retry_after_s > 0 || (text->status != 503 && text->status != 429));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_the_routes),
        cmocka_unit_test(claims_are_those_of_the_register),
        cmocka_unit_test(problem_codes_are_the_table),
        cmocka_unit_test(member_codes_are_listed),
        cmocka_unit_test(request_members_are_known),
        cmocka_unit_test(answer_words_are_those_of_the_code),
        cmocka_unit_test(statuses_and_decisions_are_problems),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
