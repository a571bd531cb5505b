/* xacthuc-bench micro on the real program: what it measures is right, its file, and the report of it. */
#include "tests/test.h"

#include "bench/micro.h"
#include "bench/process.h"
#include "bench/result_file.h"
#include "core/json_document.h"
#include "tests/bench/html_check.h"
#include "tests/bench/result_text.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[] = "/tmp/xt-micro-XXXXXX";

/* Valid until eight more were asked for. */
static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static char *read_whole(const char *name)
{
    static char text[1 << 18];
    FILE *file = fopen(in_folder(name), "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

/* Starts the program; its output goes to the files "out" and "said". */
static pid_t start(const char *const *arguments)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int out = open(in_folder("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int said = open(in_folder("said"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(out, 1);
        (void)dup2(said, 2);
        (void)execv(getenv("XT_BENCH"), (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return pid;
}

#define RUN(...) run((const char *const[]){"xacthuc-bench", __VA_ARGS__, NULL})
static int run(const char *const *arguments)
{
    int status = 0;
    pid_t pid = start(arguments);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void assert_said(const char *text)
{
    const char *said = read_whole("said");
    if (strstr(said, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, said);
    }
}

/* What is in the folder for temporary things. */
static unsigned left_over(void)
{
    unsigned count = 0;
    DIR *open_folder = opendir(in_folder("temp"));
    assert_non_null(open_folder);
    for (struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(open_folder);
    return count;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL && mkdir(in_folder("temp"), 0700) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[512];
    (void)snprintf(command, sizeof(command), "chmod -R u+w %s && rm -rf %s", folder, folder);
    return system(command);
}

static struct xt_micro_result *read_result(const char *name)
{
    struct xt_json_document *document = NULL;
    struct xt_failure failure = {""};
    struct xt_micro_result *result = calloc(1, sizeof(*result));
    assert_non_null(result);
    if (xt_result_document(in_folder(name), &document, &failure) != XT_OK ||
        xt_micro_read(xt_json_document_root(document), name, result, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_json_document_free(document);
    return result;
}

static void every_part_of_every_size_is_measured(void **state)
{
    (void)state;
    assert_int_equal(RUN("micro", "--growth", "1000,3k", "--rounds", "3", "--keys", "1000",
                         "--requests", "1000", "--plain", "--overlay", "300", "--seed", "7",
                         "--temp", in_folder("temp"), "--json", in_folder("micro.json"), "--commit",
                         "abc-1", "--quiet"),
                     0);
    assert_int_equal(left_over(), 0);
    struct xt_micro_result *result = read_result("micro.json");
    assert_int_equal(result->size_count, 2);
    assert_int_equal(result->seed, 7);
    assert_int_equal(result->rounds, 3);
    assert_string_equal(result->commit, "abc-1");
    for (unsigned i = 0; i < 2; i++) {
        const struct xt_micro_size *size = &result->sizes[i];
        assert_int_equal(size->count, i == 0 ? 1000 : 3000);
        assert_true(size->hot_bytes > 30000 && size->file_bytes > size->hot_bytes);
        assert_true(size->plain_bytes > 30000);
        for (unsigned part = 0; part < XT_MICRO_PARTS; part++) {
            const struct xt_micro_measure *measure = &size->measures[part];
            assert_int_equal(measure->count, 3);
            assert_true(measure->operations > 0);
            assert_true(measure->low > 0 && measure->low <= measure->median &&
                        measure->median <= measure->high);
        }
        assert_int_equal(size->measures[XT_MICRO_HIT].operations, 1000);
        assert_int_equal(size->measures[XT_MICRO_VERIFY_BATCH].operations, 1000);
    }
    free(result);
    const char *out = read_whole("out");
    assert_non_null(strstr(out, "3,000 people; hot table "));
    assert_non_null(strstr(out, "whole verify, JSON in to JSON out"));
    assert_non_null(strstr(out, "packed against plain: "));
}

static void only_the_parts_that_were_asked_for_are_measured(void **state)
{
    (void)state;
    assert_int_equal(RUN("micro", "--count", "1000", "--rounds", "1", "--keys", "1000",
                         "--requests", "1000", "--temp", in_folder("temp"), "--json", "-",
                         "--parts", "lookup_hit,verify_batch", "--quiet"),
                     0);
    const char *out = read_whole("out"); /* the file and no table */
    assert_memory_equal(out, "{\"format\":\"xacthuc-micro/1\"", 26);
    assert_non_null(strstr(out, "\"lookup_hit\":{"));
    assert_non_null(strstr(out, "\"verify_batch\":{"));
    assert_null(strstr(out, "\"lookup_miss\":{"));
    assert_null(strstr(out, "\"plain_hit\":{"));
    assert_int_equal(left_over(), 0);
}

/* A deployment of 1,200 people of seed 3. */
static void make_deployment(void)
{
    char command[1024];
    (void)snprintf(command, sizeof(command),
                   "%s init %s >/dev/null && %s gen --count 1200 --seed 3 2>/dev/null | %s import "
                   "%s - --quiet >/dev/null",
                   getenv("XT_XACTHUC"), in_folder("DIR"), getenv("XT_BENCH"), getenv("XT_XACTHUC"),
                   in_folder("DIR"));
    assert_int_equal(system(command), 0);
}

static void a_deployment_must_hold_the_people_that_are_named(void **state)
{
    (void)state;
    make_deployment();
#define MEASURE(count, seed)                                                                       \
    RUN("micro", "--dir", in_folder("DIR"), "--count", count, "--seed", seed, "--rounds", "1",     \
        "--keys", "1000", "--requests", "1000", "--temp", in_folder("temp"), "--quiet")
    assert_int_equal(MEASURE("1200", "3"), 0);
    assert_int_equal(MEASURE("1200", "4"), 1);
    assert_said("this register holds 1200 people, and not those of --count 1200 --seed 4");
    assert_int_equal(MEASURE("1300", "3"), 1);
    assert_said("not those of --count 1300");
#undef MEASURE
    assert_int_equal(RUN("micro", "--dir", in_folder("nothing"), "--count", "1000", "--quiet"), 1);
    assert_int_equal(left_over(), 0);
}

static void an_interrupted_run_leaves_nothing(void **state)
{
    (void)state;
    const char *const arguments[] = {
        "xacthuc-bench",        "micro", "--count", "200k", "--temp", in_folder("temp"), "--json",
        in_folder("none.json"), NULL};
    struct timespec moment = {.tv_nsec = 20000000};
    pid_t pid = start(arguments);
    int status = 0;
    while (left_over() == 0) {
        (void)nanosleep(&moment, NULL);
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    }
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_said("interrupted; nothing is written");
    assert_int_equal(left_over(), 0);
    assert_int_not_equal(access(in_folder("none.json"), F_OK), 0);
}

static void wrong_usage_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *arguments[4], *said;
    } cases[] = {
        {{"--count", "999"}, "--count takes a number from 1000"},
        {{"--count", "1x"}, "--count takes"},
        {{"--count", "200M"}, "--count takes"},
        {{"--count", "99999999999999999999"}, "--count takes"},
        {{"--growth", "3M,1M"}, "ascending"},
        {{"--growth", "1M,"}, "ascending"},
        {{"--growth", "1M", "--count", "1M"}, "leave out --count"},
        {{"--growth", "1M", "--dir", "x"}, "leave out --dir"},
        {{"--dir", "x"}, "--dir needs the --count"},
        {{"--rounds", "0"}, "--rounds takes"},
        {{"--rounds", "101"}, "--rounds takes"},
        {{"--keys", "10"}, "--keys takes"},
        {{"--requests", "many"}, "--requests takes"},
        {{"--parts", "lookup_hit,nothing"}, "no part 'nothing'"},
        {{"--parts", ""}, "no part ''"},
        {{"--overlay", "10", "--dir", "x"}, "leave out --dir"},
        {{"--core", "-1"}, "--core takes"},
        {{"--commit", "a b"}, "--commit takes"},
        {{"--xacthuc", "xacthuc"}, "takes a path"},
        {{"--seed"}, "--seed needs a value"},
        {{"--what"}, "does not know --what"},
        {{"more"}, "takes no 'more'"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *given = cases[i].arguments;
        const char *const arguments[] = {"xacthuc-bench", "micro",  given[0], given[1],
                                         given[2],        given[3], NULL};
        assert_int_equal(run(arguments), 2);
        assert_said(cases[i].said);
    }
    assert_int_equal(RUN("micro", "--help"), 0);
    assert_non_null(strstr(read_whole("out"), "--growth"));
}

static void no_room_is_told_before_anything_is_made(void **state)
{
    (void)state;
    assert_int_equal(RUN("micro", "--count", "1000", "--temp", in_folder("no/such"), "--quiet"), 1);
    assert_said("give another --temp");
    assert_int_equal(RUN("micro", "--count", "1000", "--xacthuc", in_folder("none"), "--temp",
                         in_folder("temp"), "--quiet"),
                     1);
    assert_said("say where it is by --xacthuc");
    assert_int_equal(left_over(), 0);
}

/* ---- the report ---- */

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void results_become_a_page_a_table_rows_and_figures(void **state)
{
    (void)state;
    assert_int_equal(RUN("report", in_folder("micro.json"), "--html", in_folder("page.html"),
                         "--markdown", in_folder("table.md"), "--csv", in_folder("rows.csv"),
                         "--json", in_folder("figures.json"), "--title", "Growth & <more>"),
                     0);
    const char *page = read_whole("page.html");
    html_check(page);
    assert_non_null(strstr(page, "Growth &amp; &lt;more&gt;"));
    assert_int_equal(occurrences(page, "id=\"growth-lookup-t\""), 1);
    assert_int_equal(occurrences(page, "id=\"growth-verify-t\""), 1);
    assert_non_null(strstr(page, ">plain</text>"));
    assert_non_null(strstr(page, "abc-1"));
    const char *table = read_whole("table.md");
    assert_non_null(strstr(table, "| part | 1\xc2\xa0k | 3\xc2\xa0k |"));
    assert_non_null(strstr(table, "\n| lookup and unseal | "));
    const char *rows = read_whole("rows.csv");
    assert_int_equal(occurrences(rows, "\n1000,lookup_hit,"), 3);
    assert_int_equal(occurrences(rows, "\n3000,"), 3 * XT_MICRO_PARTS);
    struct xt_json_document *document = NULL;
    struct xt_failure failure;
    assert_int_equal(xt_result_document(in_folder("figures.json"), &document, &failure), XT_OK);
    xt_json_document_free(document);
}

static void sizes_of_several_files_make_one_curve(void **state)
{
    (void)state;
    char *text = strdup(read_whole("micro.json"));
    char *other = result_replaced(text, "\"count\":1000,", "\"count\":500000,");
    char *more = result_replaced(other, "\"commit\":\"abc-1\"", "\"commit\":\"abc-2\"");
    write_file("more.json", more);
    assert_int_equal(RUN("report", in_folder("more.json"), in_folder("micro.json")), 0);
    const char *out = read_whole("out");
    assert_non_null(strstr(out, "| 1\xc2\xa0k | 3\xc2\xa0k | 3\xc2\xa0k | 500\xc2\xa0k |"));
    assert_non_null(strstr(out, "several machines or versions"));
    free(text);
    free(other);
    free(more);
}

static void a_file_that_is_not_right_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *said;
    } cases[] = {
        {"\"count\":1000,", "\"count\":0,", "count must be above 0"},
        {"\"count\":1000,", "\"count\":-5,", "count"},
        {"\"values\":[", "\"values\":[-1,", "values"},
        {"\"values\":[", "\"values\":[1e300,", "values"},
        {"\"cpu_values\":[", "\"cpu_values\":[1,2,3,4,5,", "a value for each round"},
        {"\"sizes\":[", "\"sizes\":7,\"other\":[", "sizes must be a list"},
        {"\"measures\":{", "\"measures\":[{", "json"},
        {"\"processor\":\"", "\"processor\":\"<script>\\u0001", NULL},
        {"\"format\":\"xacthuc-micro/1\"", "\"format\":\"xacthuc-micro/2\"", "format"},
    };
    char *text = strdup(read_whole("micro.json"));
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bad = result_replaced(text, cases[i].from, cases[i].to);
        write_file("bad.json", bad);
        int status = RUN("report", in_folder("bad.json"), "--html", in_folder("bad.html"));
        assert_int_equal(status, cases[i].said != NULL);
        if (cases[i].said != NULL) {
            assert_said(cases[i].said);
        } else {
            html_check(read_whole("bad.html"));
        }
        free(bad);
    }
    free(text);
}

static void runs_of_load_do_not_mix_with_it(void **state)
{
    (void)state;
    struct result_wish wish = {.seconds = 3};
    char *text = result_text(&wish);
    write_file("load.json", text);
    free(text);
    assert_int_equal(RUN("report", in_folder("load.json"), in_folder("micro.json")), 1);
    assert_said("do not go into one report");
    assert_int_equal(RUN("report", in_folder("micro.json"), in_folder("load.json")), 1);
    assert_said("do not go into one report");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_part_of_every_size_is_measured), /* the report's tests use its file */
        cmocka_unit_test(only_the_parts_that_were_asked_for_are_measured),
        cmocka_unit_test(a_deployment_must_hold_the_people_that_are_named),
        cmocka_unit_test(an_interrupted_run_leaves_nothing),
        cmocka_unit_test(wrong_usage_is_told),
        cmocka_unit_test(no_room_is_told_before_anything_is_made),
        cmocka_unit_test(results_become_a_page_a_table_rows_and_figures),
        cmocka_unit_test(sizes_of_several_files_make_one_curve),
        cmocka_unit_test(a_file_that_is_not_right_is_refused),
        cmocka_unit_test(runs_of_load_do_not_mix_with_it),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
