/* Result files read back: what stands in them, and what is refused with a word on where. */
#include "tests/test.h"

#include "bench/result_file.h"
#include "tests/bench/result_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As if text were the file run.json. */
static enum xt_status parse(const char *text, struct xt_bench_result **result,
                            struct xt_failure *failure)
{
    struct xt_json_document *document = NULL;
    *result = NULL;
    enum xt_status status = xt_json_document_parse(xt_span_of_string(text), &document, failure);
    if (status == XT_OK) {
        status = xt_result_read(xt_json_document_root(document), "run.json", result, failure);
        xt_json_document_free(document);
    }
    return status;
}

static const char *value_of(const struct xt_result_pairs *pairs, const char *name)
{
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->list[i].name, name) == 0) {
            return pairs->list[i].value;
        }
    }
    fail_msg("no %s", name);
    return "";
}

static void everything_in_a_result_is_read(void **state)
{
    (void)state;
    const struct result_wish wish = {
        .seconds = 3, .server = true, .knee = true, .text = "\\u00fa\\n<"};
    struct xt_failure failure = {""};
    struct xt_bench_result *result;
    char *text = result_text(&wish);
    if (parse(text, &result, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_string_equal(result->program, "xacthuc-bench 9");
    assert_true(result->open_loop && !result->interrupted && result->has_server);
    assert_int_equal(result->right, 300);
    assert_int_equal(result->wanted_rate, 100);
    assert_int_equal(result->kind_count, 3);
    assert_string_equal(result->kinds[1].name, "verdict");
    assert_string_equal(result->kinds[1].first, "\xc3\xba <"); /* a line's end is a space */
    assert_true(result->server_cpu_per_request > 9.24 && result->server_cpu_per_request < 9.26);
    assert_int_equal(result->second_count, 3);
    assert_int_equal(result->seconds[2].second, 2);
    assert_int_equal(result->seconds[2].p999, 400);
    assert_int_equal(result->latency.count, 300);
    assert_int_equal(xt_histogram_percentile(&result->latency, 50000), 100);
    assert_int_equal(xt_histogram_percentile(&result->latency, 99000), 2049);
    assert_int_equal(result->handshake.count, 4);
    assert_true(result->has_knee);
    assert_int_equal(result->knee.count, 3);
    assert_int_equal(result->knee.rate, 2000);
    assert_true(result->knee.steps[0].kept && !result->knee.steps[1].kept);
    assert_string_equal(value_of(&result->configuration, "people.seed"), "1");
    assert_string_equal(value_of(&result->configuration, "open_loop"), "yes");
    assert_string_equal(value_of(&result->configuration, "scenario 1"), "kind verify, weight 3");
    xt_result_free(result);
    free(text);
}

static void a_result_may_stand_inside_another_document(void **state)
{
    (void)state;
    const struct result_wish wish = {.seconds = 2, .closed = true};
    struct xt_json_document *document = NULL;
    struct xt_bench_result *result = NULL;
    struct xt_failure failure = {""};
    char *text = result_text(&wish);
    size_t size = strlen(text) + 64;
    char *larger = malloc(size);
    assert_non_null(larger);
    (void)snprintf(larger, size, "{\"format\":\"other/1\",\"runs\":{\"closed\":%s}}", text);
    assert_int_equal(xt_json_document_parse(xt_span_of_string(larger), &document, &failure), XT_OK);
    const struct xt_json_value *runs = xt_json_member_of(xt_json_document_root(document), "runs");
    assert_int_equal(xt_result_read(xt_json_member_of(runs, "closed"), "standard.json: closed",
                                    &result, &failure),
                     XT_OK);
    assert_string_equal(result->label, "standard.json: closed");
    assert_false(result->open_loop);
    xt_result_free(result);
    assert_int_equal(xt_result_read(xt_json_document_root(document), "x", &result, &failure),
                     XT_UNSUPPORTED);
    assert_null(result);
    xt_json_document_free(document);
    free(larger);
    free(text);
}

static void what_does_not_add_up_is_refused_by_member(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } changes[] = {
        {"xacthuc-load/1", "xacthuc-load/2", "format must be"},
        {"\"open_loop\":true", "\"open_loop\":1", "configuration.open_loop must be true or false"},
        {"\"open_loop\":true,", "", "configuration.open_loop is missing"},
        {"\"threads\":1", "\"threads\":1,\"threads\":2", "configuration.threads is missing or"},
        {"\"duration_s\":3", "\"duration_s\":-1", "configuration.duration_s must be a number"},
        {"\"duration_s\":3", "\"duration_s\":1e300", "configuration.duration_s must be a number"},
        {"\"machine\":{", "\"machine\":[],\"n\":{", "machine must be an object"},
        {"\"measured_s\":3.0", "\"measured_s\":\"3\"", "run.measured_s must be a number"},
        {"\"began\":1795303237.5", "\"began\":1e18", "run.began must be a number"},
        {"\"errors\":0", "\"errors\":1", "run.errors_by_kind does not add up"},
        {"\"errors\":0", "\"errors\":-1", "run.errors must be a whole number"},
        {"\"timeout\":0", "\"timeout\":0.5", "run.errors_by_kind must hold whole numbers"},
        {"\"right\":300", "\"right\":299", "histogram.count must be run.right"},
        {"\"right_in_time\":300", "\"right_in_time\":301", "run.right_in_time must not be more"},
        {"\"server\":{", "\"server\":7,\"x\":{", "run.server.cpu_us is missing"},
        {"\"processes\":2", "\"processes\":99999999999999999999", "run.server.processes must be"},
        {"\"second\":1,", "\"second\":0,", "seconds: second must ascend"},
        {"\"second\":2,", "\"second\":2000000,", "seconds: second is larger"},
        {"\"p99_us\":300", "\"p99_us\":60000001", "seconds: p99_us is larger"},
        {"[100,150]", "[100,151]", "histogram.values do not add up"},
        {"[100,150]", "[101,150]", "histogram.values do not add up"},
        {"[2048,150]", "[2049,150]", "histogram.values must be the lowest values"},
        {"[2048,150]", "[100,150]", "histogram.values must be the lowest values of different"},
        {"[2048,150]", "[2048,-1]", "histogram.values must be pairs"},
        {"[2048,150]", "[0,150]", "histogram.values must be pairs"},
        {"[2048,150]", "[4294967297,150]", "histogram.values must be pairs"},
        {"[2048,150]", "[2048,150,1]", "histogram.values must be pairs"},
        {"\"min\":100", "\"min\":99", "histogram.values do not add up"},
        {"\"max\":2049", "\"max\":2050", "histogram.values do not add up"},
        {"\"sum\":322350", "\"sum\":1", "histogram.values do not add up"},
        {"\"digits\":3", "\"digits\":2", "histogram.digits"},
        {"\"unit\":\"us\"", "\"unit\":\"ms\"", "histogram.unit must be"},
        {"\"slo_p99_us\":1000", "\"slo_p99_us\":null", "knee.slo_p99_us must be a whole number"},
        {"\"kept\":false", "\"kept\":0", "knee.steps: kept must be true or false"},
        {"\"steps\":[", "\"steps\":[1,", "knee.steps: wanted_rate is missing"},
    };
    const struct result_wish wish = {.seconds = 3, .server = true, .knee = true};
    char *text = result_text(&wish);
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct xt_failure failure = {""};
        struct xt_bench_result *result;
        char *changed = result_replaced(text, changes[i].from, changes[i].to);
        enum xt_status status = parse(changed, &result, &failure);
        if (status == XT_OK || result != NULL || strstr(failure.text, changes[i].says) == NULL ||
            strncmp(failure.text, "run.json: ", 10) != 0) {
            fail_msg("%s -> %s: '%s'", changes[i].from, changes[i].to, failure.text);
        }
        free(changed);
    }
    free(text);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    struct xt_failure failure = {""};
    struct xt_bench_result *result;
    struct result_wish wish = {.seconds = XT_RESULT_SECONDS_MAX + 1};
    char *text = result_text(&wish);
    assert_int_equal(parse(text, &result, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "seconds has more than 100,000 rows"));
    free(text);
    wish.seconds = 1;
    text = result_text(&wish);
    char many[4096] = "\"list\":[0";
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), ",%u", i);
    }
    (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "],\"people\"");
    char *changed = result_replaced(text, "\"people\"", many);
    assert_int_equal(parse(changed, &result, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "has too many members"));
    free(changed);
    free(text);
}

/* Whatever a changed byte makes of a file, reading it ends, and what is accepted adds up. */
static void changed_bytes_are_refused_or_harmless(void **state)
{
    (void)state;
    const struct result_wish wish = {.seconds = 3, .server = true, .knee = true};
    char *text = result_text(&wish);
    size_t size = strlen(text);
    unsigned accepted = 0;
    for (size_t at = 0; at < size; at++) {
        static const char others[] = {'0', '9', '-', ',', '"', '}', ']', 'e', (char)0x80};
        char before = text[at];
        for (unsigned i = 0; i < sizeof(others); i++) {
            struct xt_failure failure = {""};
            struct xt_bench_result *result;
            text[at] = others[i];
            if (parse(text, &result, &failure) == XT_OK) {
                accepted++;
                assert_int_equal(result->latency.count, result->right);
                assert_true(xt_histogram_percentile(&result->latency, 99999) <= 2049);
                xt_result_free(result);
            } else {
                assert_true(failure.text[0] != '\0');
            }
        }
        text[at] = before;
    }
    assert_true(accepted > 100); /* names and settings are free */
    free(text);
}

static void files_that_are_no_results_are_told_apart(void **state)
{
    (void)state;
    struct xt_failure failure = {""};
    struct xt_bench_result *result;
    assert_int_equal(xt_result_load("/nowhere/run.json", &result, &failure), XT_NOT_FOUND);
    assert_non_null(strstr(failure.text, "cannot read /nowhere/run.json"));
    assert_int_equal(xt_result_load("/", &result, &failure), XT_IO);
    assert_int_equal(xt_result_load("/dev/null", &result, &failure), XT_INVALID);
    assert_non_null(strstr(failure.text, "/dev/null: no JSON: it is empty"));
    assert_int_equal(xt_result_load("/dev/zero", &result, &failure), XT_TOO_LARGE);
    assert_int_equal(parse("{\"format\":\"xacthuc-load/1\"} x", &result, &failure), XT_INVALID);
    assert_int_equal(parse("[]", &result, &failure), XT_UNSUPPORTED);
    assert_int_equal(parse("\"\xff\"", &result, &failure), XT_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_in_a_result_is_read),
        cmocka_unit_test(a_result_may_stand_inside_another_document),
        cmocka_unit_test(what_does_not_add_up_is_refused_by_member),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(changed_bytes_are_refused_or_harmless),
        cmocka_unit_test(files_that_are_no_results_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
