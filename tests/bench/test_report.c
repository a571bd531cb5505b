/* xacthuc-bench report: of a run against the real server, and of files made to measure. */
#include "tests/test.h"

#include "bench/report_number.h"
#include "bench/report_page.h"
#include "bench/report_style.h"
#include "core/json_document.h"
#include "tests/bench/html_check.h"
#include "tests/bench/result_text.h"
#include "tests/net/deployment.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server the_server;

static void write_result(const char *name, const struct result_wish *wish)
{
    char *text = result_text(wish);
    write_text(deployment(name), text);
    free(text);
}

/* The page of one result made to measure; the caller frees it. */
static char *page_of(const struct result_wish *wish)
{
    write_result("made.json", wish);
    assert_int_equal(
        run(bench(), "report", deployment("made.json"), "--html", deployment("made.html"), NULL),
        0);
    return read_text(deployment("made.html"));
}

static void assert_holds(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in: %.3000s", part, text);
    }
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("'%s' is in the text", part);
    }
}

static int load(const char *out, const char *const *rest)
{
    char url[64];
    const char *words[40] = {"load",
                             "--server",
                             url,
                             "--cert",
                             deployment("issued/demo.crt"),
                             "--key",
                             deployment("issued/demo.key"),
                             "--ca",
                             deployment("DIR/ca.crt"),
                             "--seed",
                             SEED,
                             "--count",
                             PEOPLE,
                             "--requests",
                             "1000",
                             "--out",
                             out,
                             "--quiet"};
    unsigned count = 18;
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", the_server.port);
    for (; *rest != NULL; rest++) {
        words[count++] = *rest;
    }
    return run(bench(), words[0], words[1], words[2], words[3], words[4], words[5], words[6],
               words[7], words[8], words[9], words[10], words[11], words[12], words[13], words[14],
               words[15], words[16], words[17], words[18], words[19], words[20], words[21],
               words[22], words[23], words[24], words[25], words[26], words[27], words[28], NULL);
}

static void real_runs_become_a_page_a_table_rows_and_figures(void **state)
{
    (void)state;
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)the_server.pid);
    char *open = strdup(deployment("open.json"));
    char *knee = strdup(deployment("knee.json"));
    char *html = strdup(deployment("both.html"));
    const char *const steady[] = {"--rate", "100",          "--duration", "1s", "--warmup",
                                  "0s",     "--server-pid", pid,          NULL};
    const char *const search[] = {"--find-knee", "--rate",   "1000", "--slo",   "60s", "--duration",
                                  "100ms",       "--warmup", "0s",   "--queue", "10",  NULL};
    assert_int_equal(load(open, steady), 0);
    assert_int_equal(load(knee, search), 0);
    assert_int_equal(run(bench(), "report", open, knee, "--html", html, "--csv",
                         deployment("both.csv"), "--markdown", deployment("both.md"), "--json",
                         deployment("both.out"), NULL),
                     0);
    char *page = read_text(html);
    html_check(page);
    static const char *const plots[] = {"all-percentiles", "all-throughput", "A-throughput",
                                        "A-latency",       "A-percentiles",  "A-handshakes",
                                        "A-cpu",           "B-knee",         "B-latency"};
    for (unsigned i = 0; i < sizeof(plots) / sizeof(plots[0]); i++) {
        char id[64];
        (void)snprintf(id, sizeof(id), "aria-labelledby=\"%s-t %s-d\"", plots[i], plots[i]);
        assert_holds(page, id);
    }
    assert_holds(page, "Open loop");
    assert_holds(page, "100 requests a second were due whatever the server did");
    assert_holds(page, "None: all 100 answers that came were right.");
    char *rows = read_text(deployment("both.csv"));
    assert_int_equal(strncmp(rows, "run,row,at,right,errors,p50_us,", 31), 0);
    assert_int_equal(occurrences(rows, "\"open\",percentile,"), 9);
    assert_holds(rows, "\"open\",second,0,");
    char *table = read_text(deployment("both.md"));
    assert_holds(table, "| open | open | 100 | 100 | 0 |");
    char *figures = read_text(deployment("both.out"));
    assert_holds(figures, "{\"format\":\"xacthuc-report/1\"");
    assert_holds(figures, "\"wanted_rate\":100,");
    assert_holds(figures, "\"knee\":{\"slo_p99_us\":60000000,");
    free(figures);
    free(table);
    free(rows);
    free(page);
    free(html);
    free(knee);
    free(open);
}

static void a_closed_loop_says_that_it_hides_pauses(void **state)
{
    (void)state;
    const struct result_wish closed = {.seconds = 3, .closed = true};
    char *page = page_of(&closed);
    html_check(page);
    assert_holds(page, "Closed loop: hides pauses");
    assert_lacks(page, "were due whatever the server did");
    free(page);
    assert_int_equal(
        run(bench(), "report", deployment("made.json"), "--markdown", deployment("made.md"), NULL),
        0);
    page = read_text(deployment("made.md"));
    assert_holds(page, "closed: hides pauses");
    free(page);
}

static void no_right_answer_one_second_and_no_server_are_shown_as_such(void **state)
{
    (void)state;
    const struct result_wish wrong = {.seconds = 3, .none_right = true, .server = true};
    char *page = page_of(&wrong);
    html_check(page);
    assert_holds(page, "Not one answer was right");
    assert_holds(page, "no right answer</text>");
    assert_holds(page, "100\xc2\xa0% of 300");
    assert_lacks(page, "nan");
    assert_lacks(page, "inf%");
    free(page);
    const struct result_wish one = {.seconds = 1};
    page = page_of(&one);
    html_check(page);
    assert_holds(page, "<circle class=\"dot s0\" cx=\"50.00%\""); /* a line of one point is none */
    assert_holds(page, "was not read (--server-pid)");
    assert_holds(page, "From p99 on, percentiles rest on fewer than ten answers (1)");
    free(page);
}

/* Least y (highest place) of the line of that class within the plot of that id. */
static double highest(const char *page, const char *plot, const char *class)
{
    char part[64];
    (void)snprintf(part, sizeof(part), "aria-labelledby=\"%s-t", plot);
    const char *at = strstr(page, part);
    assert_non_null(at);
    (void)snprintf(part, sizeof(part), "<path class=\"line %s\" d=\"", class);
    at = strstr(at, part);
    assert_non_null(at);
    at += strlen(part);
    double least = 1e9;
    while (*at == 'M' || *at == 'L') {
        char *end;
        (void)strtod(at + 1, &end);
        double y = strtod(end, &end);
        least = y < least ? y : least;
        at = strncmp(end, "h0", 2) == 0 ? end + 2 : end;
    }
    assert_int_equal(*at, '"');
    return least;
}

static void one_slow_second_of_two_hours_is_still_seen(void **state)
{
    (void)state;
    struct result_wish wish = {.seconds = 7200, .slow_second = 4321};
    char *page = page_of(&wish);
    html_check(page);
    assert_true(highest(page, "A-latency", "s1") < 20);  /* near the top, at a second */
    assert_true(highest(page, "A-latency", "s0") > 100); /* p99 had no such second */
    assert_holds(page, "987\xc2\xa0ms</td>");
    assert_true(occurrences(page, "<tr data-x=") < 300);
    assert_true(strlen(page) < 200000);
    free(page);
    assert_int_equal(
        run(bench(), "report", deployment("made.json"), "--csv", deployment("made.csv"), NULL), 0);
    page = read_text(deployment("made.csv"));
    assert_int_equal(occurrences(page, ",second,"), 7200);
    assert_holds(page, "\"made\",second,4321,100,0,100,200,300,987000,987000,\n");
    free(page);
}

static void hostile_text_stays_text(void **state)
{
    (void)state;
    static const char evil[] = "</script><img src=x onerror='a()'>&|`*\\\"";
    const struct result_wish wish = {
        .seconds = 2, .none_right = true, .text = "</script><img src=x onerror='a()'>&|`*\\\""};
    write_result("a<b>\"|,'.json", &wish);
    write_result("=1+1.json", &wish);
    char *first = strdup(deployment("a<b>\"|,'.json"));
    char *second = strdup(deployment("=1+1.json"));
    assert_int_equal(run(bench(), "report", first, second, "--title", evil, "--html",
                         deployment("evil.html"), "--csv", deployment("evil.csv"), "--markdown",
                         deployment("evil.md"), "--json", deployment("evil.out"), NULL),
                     0);
    char *page = read_text(deployment("evil.html"));
    html_check(page);
    assert_int_equal(occurrences(page, "<script"), 1);
    assert_int_equal(occurrences(page, "<style"), 1);
    assert_holds(page, "a&lt;b&gt;&quot;|,&#39;</a>");
    free(page);
    page = read_text(deployment("evil.csv"));
    assert_holds(page, "\"a<b>\"\"|,'\",second,0,0,100,,,,,,\n");
    assert_holds(page, "\"'=1+1\",second,");
    free(page);
    page = read_text(deployment("evil.md"));
    assert_holds(page, "| a\\<b\\>\"\\|,' | open |");
    assert_true(occurrences(page, "<img") > 0);
    assert_int_equal(occurrences(page, "<img"), occurrences(page, "\\<img"));
    free(page);
    page = read_text(deployment("evil.out"));
    struct xt_json_document *document = NULL;
    assert_int_equal(xt_json_document_parse(xt_span_of_string(page), &document, NULL), XT_OK);
    const struct xt_json_value *title = xt_json_member_of(xt_json_document_root(document), "title");
    assert_true(xt_span_is(xt_json_text(title), evil));
    xt_json_document_free(document);
    free(page);
    free(second);
    free(first);
}

/* The policy in the page allows its own style and script and nothing else. */
static void the_policy_names_the_page_s_own_style_and_script(void **state)
{
    (void)state;
    static const struct {
        const char *text, *digest, *directive;
    } allowed[] = {{xt_report_style, XT_REPORT_STYLE_DIGEST, "style-src 'sha256-"},
                   {xt_report_script, XT_REPORT_SCRIPT_DIGEST, "script-src 'sha256-"}};
    const struct result_wish wish = {.seconds = 2};
    char *page = page_of(&wish);
    assert_holds(page, "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ");
    for (unsigned i = 0; i < 2; i++) {
        unsigned char hash[crypto_hash_sha256_BYTES];
        char expected[64];
        char directive[128];
        (void)crypto_hash_sha256(hash, (const unsigned char *)allowed[i].text,
                                 strlen(allowed[i].text));
        (void)sodium_bin2base64(expected, sizeof(expected), hash, sizeof(hash),
                                sodium_base64_VARIANT_ORIGINAL);
        assert_string_equal(allowed[i].digest, expected);
        (void)snprintf(directive, sizeof(directive), "%s%s'", allowed[i].directive, expected);
        assert_holds(page, directive);
        assert_holds(page, allowed[i].text);
        assert_lacks(allowed[i].text, "http");
        assert_lacks(allowed[i].text, "url(");
        assert_lacks(allowed[i].text, "@import");
    }
    assert_lacks(page, "unsafe-inline");
    free(page);
}

static void wrong_usage_and_unreadable_files_are_told_apart(void **state)
{
    (void)state;
    const struct result_wish wish = {.seconds = 2};
    write_result("made.json", &wish);
    char *made = strdup(deployment("made.json"));
    assert_int_equal(run(bench(), "report", NULL), 2);
    assert_int_equal(run(bench(), "report", made, "--frame", NULL), 2);
    assert_int_equal(run(bench(), "report", made, "--html", NULL), 2);
    assert_int_equal(run(bench(), "report", made, "--html", "-", "--csv", "-", NULL), 2);
    assert_int_equal(run(bench(), "report", made, "--html", "x", "--csv", "x", NULL), 2);
    assert_int_equal(run(bench(), "report", "--help", NULL), 0);
    assert_int_equal(run(bench(), "report", made, NULL), 0);
    assert_int_equal(run(bench(), "report", "/nowhere.json", NULL), 1);
    assert_int_equal(run(bench(), "report", made, "--html", "/nowhere/x.html", NULL), 1);
    write_text(deployment("broken.json"), "{\"format\":\"xacthuc-load/1\"}");
    assert_int_equal(run(bench(), "report", made, deployment("broken.json"), "--html",
                         deployment("broken.html"), NULL),
                     1);
    assert_int_not_equal(access(deployment("broken.html"), F_OK), 0); /* nothing half-made */
    free(made);
}

static void figures_read_as_people_write_them(void **state)
{
    (void)state;
    assert_string_equal(xt_number_count(0).text, "0");
    assert_string_equal(xt_number_count(999).text, "999");
    assert_string_equal(xt_number_count(1234567).text, "1,234,567");
    assert_string_equal(xt_number_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
    assert_string_equal(xt_number_us(49).text, "49\xc2\xa0\xc2\xb5s");
    assert_string_equal(xt_number_us(999).text, "999\xc2\xa0\xc2\xb5s");
    assert_string_equal(xt_number_us(1000).text, "1.00\xc2\xa0ms");
    assert_string_equal(xt_number_us(9996).text, "10.0\xc2\xa0ms");
    assert_string_equal(xt_number_us(999499).text, "999\xc2\xa0ms");
    assert_string_equal(xt_number_us(999600).text, "1.00\xc2\xa0s");
    assert_string_equal(xt_number_us(60000000).text, "60.0\xc2\xa0s");
    assert_string_equal(xt_number_seconds(0.1).text, "0.1\xc2\xa0s");
    assert_string_equal(xt_number_seconds(30).text, "30\xc2\xa0s");
    assert_string_equal(xt_number_seconds(150).text, "2\xc2\xa0min 30\xc2\xa0s");
    assert_string_equal(xt_number_seconds(7200).text, "2\xc2\xa0h");
    assert_string_equal(xt_number_rate(4999.6).text, "5,000");
    assert_string_equal(xt_number_rate(12.34).text, "12.3");
    assert_string_equal(xt_number_bytes(22544384).text, "21.5\xc2\xa0MiB");
    assert_string_equal(xt_number_percentile(99999).text, "p99.999");
    assert_string_equal(xt_number_date(1795303237.5).text, "2026-11-21 23:20:37 UTC");
    char clean[16];
    xt_page_clean("a\x01\xff\xc3\xa9", clean, sizeof(clean));
    assert_string_equal(clean, "a \xef\xbf\xbd\xc3\xa9");
    xt_page_clean("aaaaaaaaaaaaaa\xc3\xa9", clean, sizeof(clean)); /* not half a character */
    assert_string_equal(clean, "aaaaaaaaaaaaaa");
}

static int set_up(void **state)
{
    if (sodium_init() < 0 || deployment_make(state) != 0) {
        return -1;
    }
    server_start(&the_server, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)server_stop(&the_server);
    return deployment_remove(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_runs_become_a_page_a_table_rows_and_figures),
        cmocka_unit_test(a_closed_loop_says_that_it_hides_pauses),
        cmocka_unit_test(no_right_answer_one_second_and_no_server_are_shown_as_such),
        cmocka_unit_test(one_slow_second_of_two_hours_is_still_seen),
        cmocka_unit_test(hostile_text_stays_text),
        cmocka_unit_test(the_policy_names_the_page_s_own_style_and_script),
        cmocka_unit_test(wrong_usage_and_unreadable_files_are_told_apart),
        cmocka_unit_test(figures_read_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
