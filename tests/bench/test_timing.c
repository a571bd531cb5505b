/* xacthuc-bench timing: its arithmetic on series that are known, and the real program once, quickly. No
 * verdict on this machine's times: those belong to ./dev bench timing. */
#include "tests/test.h"

#include "bench/random.h"
#include "bench/timing.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Welch's t ---- */

static void t_of_known_samples_is_right(void **state)
{
    (void)state;
    static const double a[] = {3, 4, 1, 2.1};
    static const double b[] = {490.2, 340, 433.9};
    struct xt_moments first = {0}, second = {0};
    for (unsigned i = 0; i < 4; i++) {
        xt_moments_add(&first, a[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        xt_moments_add(&second, b[i]);
    }
    double error = 0;
    double t = xt_welch_t(&first, &second, &error);
    assert_true(fabs(first.mean - 2.525) < 1e-9 && fabs(second.mean - 421.3666667) < 1e-6);
    assert_true(fabs(t + 9.5594977) < 1e-5);
    assert_true(fabs(error * t - (first.mean - second.mean)) < 1e-9);
}

static void too_little_to_tell_by_is_zero(void **state)
{
    (void)state;
    struct xt_moments none = {0}, one = {.count = 1, .mean = 5}, same = {.count = 9, .mean = 5};
    struct xt_moments other = {.count = 9, .mean = 6};
    assert_true(xt_welch_t(&none, &one, NULL) == 0);
    assert_true(xt_welch_t(&same, &same, NULL) == 0);
    assert_true(xt_welch_t(&same, &other, NULL) < -1e300); /* no spread, and yet apart */
}

#define VALUES 20000U

/* About 1000 with a spread of 58, now and then a hundred times as much; shift: added. */
static void make_series(uint64_t key, uint32_t shift, uint32_t spread, uint32_t *values)
{
    struct xt_stream stream = xt_stream_of(20260101, key);
    for (unsigned i = 0; i < VALUES; i++) {
        values[i] = 1000 - spread / 2 + xt_stream_below(&stream, spread) + shift;
        if (xt_stream_below(&stream, 500) == 0) {
            values[i] += 100000 + xt_stream_below(&stream, 1000000);
        }
    }
}

/* Every value of a case of its own. */
static struct xt_welch_class class_of(const uint32_t *values)
{
    static uint32_t cases[VALUES];
    for (uint32_t i = 0; i < VALUES; i++) {
        cases[i] = i;
    }
    return (struct xt_welch_class){
        .values = values, .cases = cases, .count = VALUES, .case_count = VALUES};
}

static bool compare(const uint32_t *a, const uint32_t *b, struct xt_welch *welch)
{
    struct xt_welch_class first = class_of(a), other = class_of(b);
    return xt_welch_compare(&first, &other, welch);
}

static void equal_series_are_alike(void **state)
{
    (void)state;
    static uint32_t a[VALUES], b[VALUES];
    struct xt_welch welch;
    for (uint64_t key = 0; key < 20; key++) {
        make_series(2 * key, 0, 200, a);
        make_series(2 * key + 1, 0, 200, b);
        assert_true(compare(a, b, &welch));
        assert_true(welch.worst < XT_WELCH_LIMIT);
        assert_true(fabs(welch.worst - welch.naive) < 0.01); /* one value a case: the same */
        assert_int_equal(welch.count_a, VALUES);
    }
}

static void a_small_difference_under_large_outliers_is_found(void **state)
{
    (void)state;
    static uint32_t a[VALUES], b[VALUES];
    struct xt_welch welch;
    make_series(1, 0, 200, a);
    make_series(2, 5, 200, b);
    assert_true(compare(a, b, &welch));
    assert_true(fabs(welch.raw) < XT_WELCH_LIMIT); /* drowned */
    assert_true(welch.cropped < -XT_WELCH_LIMIT);
    assert_true(welch.worst > XT_WELCH_LIMIT);
    assert_true(welch.difference < -2 && welch.difference > -8 && welch.error > 0.1);
}

static void another_spread_about_the_same_mean_is_found(void **state)
{
    (void)state;
    static uint32_t a[VALUES], b[VALUES];
    struct xt_welch welch;
    make_series(3, 0, 200, a);
    make_series(4, 0, 220, b);
    assert_true(compare(a, b, &welch));
    assert_true(fabs(welch.cropped_second) > XT_WELCH_LIMIT);
}

#define PEOPLE 100U

/* Each of 100 people has a time of his own, up to 100 more or less, and is asked 200 times. */
static void make_people(uint64_t key, uint32_t shift, uint32_t *values, uint32_t *cases)
{
    struct xt_stream stream = xt_stream_of(20260102, key);
    uint32_t own[PEOPLE];
    for (unsigned i = 0; i < PEOPLE; i++) {
        own[i] = 1000 + xt_stream_below(&stream, 200);
    }
    for (unsigned i = 0; i < VALUES; i++) {
        cases[i] = xt_stream_below(&stream, PEOPLE);
        values[i] = own[cases[i]] + xt_stream_below(&stream, 200) + shift;
    }
}

static struct xt_welch compare_people(uint64_t key, uint32_t shift)
{
    static uint32_t a[VALUES], b[VALUES], cases_a[VALUES], cases_b[VALUES];
    struct xt_welch welch;
    make_people(2 * key, 0, a, cases_a);
    make_people(2 * key + 1, shift, b, cases_b);
    struct xt_welch_class first = {a, cases_a, VALUES, PEOPLE};
    struct xt_welch_class other = {b, cases_b, VALUES, PEOPLE};
    assert_true(xt_welch_compare(&first, &other, &welch));
    return welch;
}

static void what_differs_between_people_is_not_taken_for_a_class(void **state)
{
    (void)state;
    unsigned fooled = 0;
    for (uint64_t key = 0; key < 40; key++) {
        struct xt_welch welch = compare_people(key, 0);
        assert_true(welch.worst < XT_WELCH_LIMIT);
        fooled += welch.naive > XT_WELCH_LIMIT;
    }
    assert_true(fooled > 20); /* whoever takes each value for independent nearly always is */
}

static void a_class_that_differs_is_found_behind_its_people(void **state)
{
    (void)state;
    for (uint64_t key = 0; key < 40; key++) {
        assert_true(compare_people(key, 100).worst > XT_WELCH_LIMIT);
    }
}

/* ---- verdicts ---- */

static void a_control_that_is_not_found_proves_nothing(void **state)
{
    (void)state;
    static struct xt_timing_result result;
    struct xt_timing_run *run = &result.sizes[0].runs[0];
    bool blind;
    result.size_count = 1;
    run->pair_count = 3;
    run->pairs[0] = (struct xt_timing_pair){.need = XT_TIMING_DIFFERENT, .welch = {.worst = 50}};
    run->pairs[1] = (struct xt_timing_pair){.need = XT_TIMING_ALIKE, .welch = {.worst = 4.4}};
    run->pairs[2] = (struct xt_timing_pair){.need = XT_TIMING_TOLD, .welch = {.worst = 90}};
    assert_int_equal(xt_timing_failures(&result, &blind), 0);
    assert_false(blind);
    run->pairs[1].welch.worst = 4.6;
    assert_int_equal(xt_timing_failures(&result, &blind), 1);
    assert_false(blind);
    /* Alike, but only 60 ns of 1000 would have been seen. */
    run->pairs[1].welch = (struct xt_welch){.worst = 1, .error = 60 / XT_WELCH_LIMIT, .mean = 1000};
    run->ns = 1;
    run->resolves = 0.05;
    assert_int_equal(xt_timing_failures(&result, &blind), 1);
    assert_true(blind);
    run->resolves = 0.07;
    assert_int_equal(xt_timing_failures(&result, &blind), 0);
    run->pairs[1].welch.worst = 4.6;
    run->pairs[0].welch.worst = 4.4;
    assert_int_equal(xt_timing_failures(&result, &blind), 2);
    assert_true(blind);
}

static void samples_of_classes_are_put_into_pairs(void **state)
{
    (void)state;
    struct xt_timing_samples samples;
    struct xt_timing_cases cases = {.bodies = NULL};
    struct xt_timing_run run;
    struct xt_failure failure = {""};
    assert_int_equal(xt_timing_samples_open(VALUES, &samples, &failure), XT_OK);
    const enum xt_timing_class classes[] = {XT_TIMING_WRONG, XT_TIMING_UNKNOWN, XT_TIMING_DECEASED,
                                            XT_TIMING_CONTROL};
    for (unsigned i = 0; i < 4; i++) {
        make_series(100 + i, classes[i] == XT_TIMING_CONTROL ? 20 : 0, 200,
                    samples.list[classes[i]]);
        samples.counts[classes[i]] = VALUES;
        cases.counts[classes[i]] = 1000;
        for (uint32_t j = 0; j < VALUES; j++) {
            samples.cases[classes[i]][j] = j % 1000;
        }
    }
    assert_int_equal(xt_timing_judge(&samples, &cases, 0, &run, &failure), XT_OK);
    assert_int_equal(run.pair_count, 4); /* the others have no samples */
    assert_int_equal(run.requests, 4 * VALUES);
    for (unsigned i = 0; i < run.pair_count; i++) {
        assert_true(xt_timing_pair_passes(&run.pairs[i]));
        assert_int_equal(run.pairs[i].need, run.pairs[i].b == XT_TIMING_CONTROL
                                                ? XT_TIMING_DIFFERENT
                                                : XT_TIMING_ALIKE);
    }
    xt_timing_samples_close(&samples);
}

/* ---- the program ---- */

static char folder[] = "/tmp/xt-timing-XXXXXX";

static int run(const char *const *arguments)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int none = open("/dev/null", O_RDWR);
        (void)dup2(none, 1);
        (void)dup2(none, 2);
        (void)execv(getenv("XT_BENCH"), (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void the_program_measures_and_tells(void **state)
{
    (void)state;
    char file[64];
    char text[32768];
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/timing.json", folder);
    const char *const arguments[] = {
        "xacthuc-bench",  "timing", "--count", "5000", "--requests", "3000",
        "--tls-requests", "3000",   "--temp",  folder, "--xacthuc",  getenv("XT_XACTHUC"),
        "--quiet",        "--json", file,      NULL};
    int status = run(arguments);
    assert_true(status == 0 || status == 1); /* as this machine's noise will have it */
    FILE *result = fopen(file, "r");
    assert_non_null(result); /* every answer was as it must be, or there were none */
    text[fread(text, 1, sizeof(text) - 1, result)] = '\0';
    fclose(result);
    assert_non_null(strstr(text, "\"format\":\"xacthuc-timing/1\""));
    assert_non_null(strstr(text, status == 0 ? "\"passes\":true,\n" : "\"passes\":false,\n"));
    assert_non_null(strstr(text, "\"in_process\":{\"requests\":"));
    assert_non_null(strstr(text, "\"over_tls\":{\"requests\":9000,"));
    assert_non_null(strstr(text, "\"a\":\"unknown\",\"b\":\"deceased\",\"needed\":\"alike\""));
    assert_non_null(strstr(text, "\"a\":\"wrong\",\"b\":\"control\",\"needed\":\"different\""));
    assert_non_null(strstr(text, "\"a\":\"token_nobody\",\"b\":\"token_revoked\""));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0); /* it left nothing else */
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    const char *const words[][5] = {
        {"xacthuc-bench", "timing", "--count", "10", NULL},
        {"xacthuc-bench", "timing", "--requests", "5", NULL},
        {"xacthuc-bench", "timing", "--tls-requests", "5", NULL},
        {"xacthuc-bench", "timing", "--dir", "x", NULL},
        {"xacthuc-bench", "timing", "people", NULL, NULL},
    };
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_int_equal(run(words[i]), 2);
    }
    const char *const help[] = {"xacthuc-bench", "timing", "--help", NULL};
    assert_int_equal(run(help), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t_of_known_samples_is_right),
        cmocka_unit_test(too_little_to_tell_by_is_zero),
        cmocka_unit_test(equal_series_are_alike),
        cmocka_unit_test(a_small_difference_under_large_outliers_is_found),
        cmocka_unit_test(another_spread_about_the_same_mean_is_found),
        cmocka_unit_test(what_differs_between_people_is_not_taken_for_a_class),
        cmocka_unit_test(a_class_that_differs_is_found_behind_its_people),
        cmocka_unit_test(a_control_that_is_not_found_proves_nothing),
        cmocka_unit_test(samples_of_classes_are_put_into_pairs),
        cmocka_unit_test(the_program_measures_and_tells),
        cmocka_unit_test(wrong_usage_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
