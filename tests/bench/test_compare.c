/* xacthuc-bench compare on files whose truth is known: sets and runs made here with a fixed seed. */
#include "tests/test.h"

#include "bench/load_result.h"
#include "bench/process.h"
#include "bench/random.h"
#include "core/json_document.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 20000

static char folder[] = "/tmp/xt-compare-XXXXXX";

/* Valid until eight more were asked for. */
static const char *in_folder(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static char said[1 << 17];

/* Runs xacthuc-bench with the words of line; gives its exit status, `said` is what it wrote. */
static int bench(const char *line)
{
    char words[2048];
    const char *arguments[64] = {getenv("XT_BENCH")};
    unsigned count = 1;
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    struct xt_process process;
    struct xt_failure failure = {""};
    assert_non_null(arguments[0]);
    (void)snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < 63);
        arguments[count++] = word;
    }
    plan.arguments = arguments;
    plan.log = in_folder("said");
    (void)unlink(plan.log);
    if (xt_process_start(&plan, &process, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    (void)!xt_process_finish(&process, LIMIT_MS, NULL, &failure);
    int status = process.exit_status;
    xt_process_stop(&process, 0);
    FILE *file = fopen(in_folder("said"), "re");
    assert_non_null(file);
    said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
    (void)fclose(file);
    return status;
}

static int compare(const char *options)
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "compare %s %s %s", in_folder("a.json"), in_folder("b.json"),
                   options);
    return bench(line);
}

static void assert_said(const char *text)
{
    if (strstr(said, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, said);
    }
}

static void assert_not_said(const char *text)
{
    if (strstr(said, text) != NULL) {
        fail_msg("'%s' is in: %s", text, said);
    }
}

static void write_text(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(in_folder(name), "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* ---- standard sets ---- */

struct truth { /* a factor on one side of what is the same otherwise */
    unsigned rounds;
    uint64_t seed;
    double cpu, rate, p99, reference, instructions, errors, noise;
    const char *settings, *machine, *extra;
};
#define TRUTH                                                                                      \
    {                                                                                              \
        .rounds = 10, .cpu = 1, .rate = 1, .p99 = 1, .reference = 1, .instructions = 1,            \
        .noise = 0.01, .settings = "\"seed\":1,\"count\":200000", .machine = "\"cores\":2",        \
        .extra = ""                                                                                \
    }

static double noisy(struct xt_stream *stream, double value, double noise)
{
    double sum = 0; /* of twelve evens: normal enough, of variance 1 */
    for (unsigned i = 0; i < 12; i++) {
        sum += (double)(xt_stream_next(stream) >> 11) / 9007199254740992.0;
    }
    return value * (1 + noise * (sum - 6));
}

static void put_measure(FILE *file, const struct truth *truth, struct xt_stream *stream,
                        const char *name, const char *kind, const char *better, double value,
                        unsigned count, double noise)
{
    (void)fprintf(file, "\"%s\":{\"unit\":\"us\",\"kind\":\"%s\",\"better\":\"%s\",\"values\":[",
                  name, kind, better);
    for (unsigned i = 0; i < count; i++) {
        (void)fprintf(file, "%s%.9g", i > 0 ? "," : "", noisy(stream, value, noise));
    }
    (void)fprintf(file, "]}");
    (void)truth;
}

static void write_set(const char *name, const struct truth *truth)
{
    FILE *file = fopen(in_folder(name), "we");
    struct xt_stream stream = xt_stream_of(99, truth->seed);
    assert_non_null(file);
    (void)fprintf(file,
                  "{\"format\":\"xacthuc-standard/1\",\"commit\":\"abc1234\","
                  "\"date\":\"2026-11-21T09:00:00Z\",\"settings\":{%s},"
                  "\"effort\":{\"rounds\":%u},\"machine\":{%s},%s\"measures\":{",
                  truth->settings, truth->rounds, truth->machine, truth->extra);
    put_measure(file, truth, &stream, "import_instructions", "counted", "less",
                382e6 * truth->instructions, 2, 0.0002);
    (void)fputc(',', file);
    put_measure(file, truth, &stream, "reference_integer", "reference", "less",
                5 * truth->reference, truth->rounds, truth->noise);
    (void)fputs("},\"runs\":{\"keep_alive\":{\"configuration\":{\"connections\":64},"
                "\"measures\":{",
                file);
    put_measure(file, truth, &stream, "errors", "errors", "less", truth->errors, truth->rounds, 0);
    (void)fputc(',', file);
    put_measure(file, truth, &stream, "requests", "slices", "more", 50000 * truth->rate,
                truth->rounds, truth->noise);
    (void)fputc(',', file);
    put_measure(file, truth, &stream, "server_cpu_per_request", "slices", "less", 20 * truth->cpu,
                truth->rounds, truth->noise);
    (void)fputc(',', file);
    put_measure(file, truth, &stream, "server_user_per_request", "shown", "less", 10 * truth->cpu,
                truth->rounds, truth->noise);
    (void)fputs("},\"rounds\":[]},\"open_low\":{\"configuration\":{\"rate\":5000},\"measures\":{",
                file);
    put_measure(file, truth, &stream, "p99", "slices", "less", 300 * truth->p99, truth->rounds,
                truth->noise);
    (void)fputs("},\"rounds\":[]}}}\n", file);
    assert_int_equal(fclose(file), 0);
}

static void write_sets(struct truth a, struct truth b)
{
    a.seed = 1;
    b.seed = 2;
    write_set("a.json", &a);
    write_set("b.json", &b);
}

static void equal_sets_are_noise(void **state)
{
    (void)state;
    struct truth truth = TRUTH;
    write_sets(truth, truth);
    assert_int_equal(compare(""), 0);
    assert_said("commit abc1234, 2026-11-21T09:00:00Z");
    assert_said("nothing is worse beyond noise");
    assert_said("4 measures are judged together");
    assert_not_said("better:");
    assert_not_said("DIFFERS");
}

static void what_got_worse_is_named_and_what_got_better_is_no_fault(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.cpu = 1.10;
    write_sets(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: keep_alive server_cpu_per_request by +");
    assert_not_said("worse: keep_alive requests");
    assert_not_said("worse: keep_alive server_user_per_request"); /* shown, not judged */
    write_sets(other, same);
    assert_int_equal(compare(""), 0);
    assert_said("better: keep_alive server_cpu_per_request by -");
    assert_said("nothing is worse beyond noise");
    other.cpu = 1;
    other.rate = 0.9; /* here less is worse */
    write_sets(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: keep_alive requests by -");
}

static void a_difference_that_is_real_but_small_is_called_small(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    same.noise = other.noise = 0.001;
    other.cpu = 1.01;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("small");
    assert_int_equal(compare("--smallest 0.5"), 1);
    assert_said("worse: keep_alive server_cpu_per_request");
    assert_int_equal(compare("--smallest 0.5 --confidence 99.9"), 1);
}

static void a_difference_within_the_noise_is_noise_however_large(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    same.noise = other.noise = 0.15;
    other.cpu = 1.05;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_not_said("worse:");
}

static void under_eight_rounds_nothing_can_be_said(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    same.rounds = other.rounds = 7;
    other.cpu = 3;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("too few slices");
    assert_said("nothing can be said");
    same.rounds = other.rounds = 8;
    write_sets(same, other);
    assert_int_equal(compare(""), 1);
}

static void sets_measured_differently_are_refused_unless_forced(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.settings = "\"seed\":1,\"count\":100000";
    write_sets(same, other);
    assert_int_equal(compare(""), 2);
    assert_said("DIFFERS  settings.count: A 200000, B 100000");
    assert_said("--force");
    assert_not_said("verdict");
    assert_int_equal(compare("--force"), 0);
    assert_said("DIFFERS  settings.count");
    other.settings = "\"seed\":1";
    write_sets(same, other);
    assert_int_equal(compare(""), 2);
    assert_said("A 200000, B (none)");
    other.settings = same.settings; /* of the machine: told, not refused */
    other.machine = "\"cores\":4";
    other.rounds = 12;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("differs  machine.cores: A 2, B 4");
    assert_said("differs  effort.rounds: A 10, B 12");
}

static void the_first_error_is_worse_than_none(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.errors = 0.1; /* one in all */
    write_sets(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: keep_alive errors");
    write_sets(other, same);
    assert_int_equal(compare(""), 0);
    assert_said("better: keep_alive errors");
    write_sets(other, other);
    assert_int_equal(compare(""), 0);
}

static void counts_are_judged_without_an_interval(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.instructions = 1.05;
    write_sets(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: import_instructions by +5.0 %");
    other.instructions = 1.001;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    other.instructions = 1.01;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("small");
}

static void a_machine_that_differs_is_said_and_is_not_the_programs_fault(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.reference = 1.2;
    write_sets(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("machine");
    assert_said("The machine itself differs between A and B");
}

static void what_only_one_side_has_is_told(void **state)
{
    (void)state;
    struct truth truth = TRUTH;
    static const char one[] =
        "{\"format\":\"xacthuc-standard/1\",\"commit\":\"\",\"date\":\"\",\"settings\":{\"seed\":1,"
        "\"count\":200000},\"effort\":{},\"machine\":{},\"measures\":{\"new\":{\"unit\":\"\","
        "\"kind\":\"slices\",\"better\":\"less\",\"values\":[1]}},\"runs\":{}}";
    write_sets(truth, truth);
    write_text("b.json", one, sizeof(one) - 1);
    assert_int_equal(compare("--force"), 0);
    assert_said("only in A: keep_alive requests");
    assert_said("only in B: new");
}

static void json_and_markdown_say_the_same(void **state)
{
    (void)state;
    struct truth same = TRUTH;
    struct truth other = TRUTH;
    other.cpu = 1.10;
    write_sets(same, other);
    assert_int_equal(compare("--markdown"), 1);
    assert_said("| keep\\_alive | server\\_cpu\\_per\\_request | ");
    assert_said("| worse |");
    assert_int_equal(compare("--json"), 1);
    struct xt_json_document *document;
    assert_int_equal(xt_json_document_parse(xt_span_of_string(said), &document, NULL), XT_OK);
    const struct xt_json_value *root = xt_json_document_root(document);
    assert_true(xt_span_is(xt_json_text(xt_json_member_of(root, "format")), "xacthuc-compare/1"));
    assert_int_equal(xt_json_integer(xt_json_member_of(root, "worse")), 1);
    assert_true(xt_json_bool(xt_json_member_of(root, "comparable")));
    assert_int_equal(xt_json_size(xt_json_member_of(root, "measures")), 7);
    struct xt_json_walk walk = xt_json_walk_over(xt_json_member_of(root, "measures"));
    unsigned worse = 0;
    while (xt_json_walk_next(&walk)) {
        if (xt_span_is(xt_json_text(xt_json_member_of(walk.value, "verdict")), "worse")) {
            double low = xt_json_real(xt_json_member_of(walk.value, "low"));
            double high = xt_json_real(xt_json_member_of(walk.value, "high"));
            assert_true(low > 1.02 && low < 1.10 && high > 1.10 && high < 1.18);
            worse++;
        }
    }
    assert_int_equal(worse, 1);
    xt_json_document_free(document);
}

/* ---- single runs ---- */

struct run {
    uint64_t rate, seed, connections;
    unsigned seconds;
    const char *server;
    double slower, more;
    bool interrupted;
    unsigned error_second; /* 0: none */
};
#define RUN                                                                                        \
    {                                                                                              \
        .rate = 5000, .seed = 1, .connections = 64, .seconds = 30,                                 \
        .server = "https://127.0.0.1:8443", .slower = 1, .more = 1                                 \
    }

/* Written by the very writer of `load`, from made-up seconds. */
static void write_run(const char *name, const struct run *run, uint64_t stream_index)
{
    struct xt_stream stream = xt_stream_of(5, stream_index);
    struct xt_load_options options = {.server = run->server,
                                      .tls = true,
                                      .connections = (unsigned)run->connections,
                                      .threads = 1,
                                      .pipeline = 1,
                                      .rate = run->rate,
                                      .duration_ns = run->seconds * 1000000000ULL,
                                      .has_people = true,
                                      .seed = run->seed,
                                      .count = 1000};
    static struct xt_workload workload = {
        .scenario = {.count = 1, .parts = {{.verify = true, .weight = 1}}}, .count = 100};
    struct xt_machine machine = {.processor = "one", .cores = 2};
    struct xt_load_figures *figures = calloc(1, sizeof(*figures));
    struct xt_failure failure = {""};
    assert_non_null(figures);
    figures->seconds = calloc(run->seconds + 1, sizeof(*figures->seconds));
    assert_non_null(figures->seconds);
    figures->rate = run->rate;
    figures->measured = run->seconds;
    figures->interrupted = run->interrupted;
    figures->client_cpu_us = 1000000;
    figures->second_count = run->seconds + 1; /* the last one is the drain */
    for (unsigned i = 0; i <= run->seconds; i++) {
        struct xt_load_second *row = &figures->seconds[i];
        row->second = i;
        row->right = i == run->seconds ? 1 : (uint64_t)noisy(&stream, 5000 * run->more, 0.02);
        row->p50 = (uint32_t)noisy(&stream, 2000, 0.05);
        row->p99 = (uint32_t)noisy(&stream, 9000 * run->slower, 0.05);
        row->p999 = (uint32_t)noisy(&stream, 20000, 0.2);
        row->errors = run->error_second != 0 && i == run->error_second;
        figures->error_count += row->errors;
        for (uint64_t answer = 0; answer < row->right; answer++) {
            xt_histogram_record(&figures->latency, row->p50);
        }
        figures->in_time += i < run->seconds ? row->right : 0;
    }
    figures->errors[XT_LOAD_TIMEOUT] = figures->error_count;
    struct xt_load_result result = {
        .options = &options, .workload = &workload, .machine = &machine, .figures = figures};
    if (xt_load_result_write(&result, in_folder(name), &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_load_figures_free(figures);
}

static void write_runs(struct run a, struct run b)
{
    write_run("a.json", &a, 1);
    write_run("b.json", &b, 2);
}

static void runs_are_compared_second_by_second(void **state)
{
    (void)state;
    struct run same = RUN;
    struct run other = RUN;
    write_runs(same, same);
    assert_int_equal(compare(""), 0);
    assert_said("nothing is worse beyond noise");
    assert_said("open loop, 30 s");
    assert_said("One run each");
    other.slower = 1.2;
    write_runs(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: p99 by +");
    assert_not_said("worse: p50");
    other.slower = 1;
    other.more = 0.9;
    write_runs(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: requests by -");
}

static void what_a_run_has_once_is_shown_but_not_judged(void **state)
{
    (void)state;
    struct run run = RUN;
    write_runs(run, run);
    assert_int_equal(compare("--json"), 0);
    assert_said("\"name\":\"client_cpu_per_request\",\"unit\":\"us\",\"better\":\"less\","
                "\"slices_a\":1,\"slices_b\":1");
    assert_said("\"verdict\":\"too few slices\"");
    run.seconds = 7;
    write_runs(run, run);
    assert_int_equal(compare(""), 0);
    assert_said("nothing can be said: too few slices");
}

static void latencies_of_a_closed_loop_are_not_judged(void **state)
{
    (void)state;
    struct run same = RUN;
    struct run other = RUN;
    same.rate = other.rate = 0;
    other.slower = 3;
    write_runs(same, other);
    assert_int_equal(compare(""), 0);
    assert_said("closed loop");
    assert_not_said("worse:");
}

static void runs_measured_differently_are_refused(void **state)
{
    (void)state;
    static const struct run others[] = {
        {.rate = 6000, .seed = 1, .connections = 64, .seconds = 30, .server = "https://a:1"},
        {.rate = 0, .seed = 1, .connections = 64, .seconds = 30, .server = "https://a:1"},
        {.rate = 5000, .seed = 2, .connections = 64, .seconds = 30, .server = "https://a:1"},
        {.rate = 5000, .seed = 1, .connections = 32, .seconds = 30, .server = "https://a:1"},
        {.rate = 5000, .seed = 1, .connections = 64, .seconds = 30, .server = "http://a:1"}};
    static const char *const names[] = {"rate", "open_loop", "people.seed", "connections", "tls"};
    struct run same = RUN;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct run other = others[i];
        char text[64];
        other.slower = other.more = 1;
        write_runs(same, other);
        assert_int_equal(compare(""), 2);
        (void)snprintf(text, sizeof(text), "DIFFERS  %s: A ", names[i]);
        assert_said(text);
    }
    struct run elsewhere = RUN;
    elsewhere.server = "https://192.0.2.1:8443";
    elsewhere.seconds = 40;
    write_runs(same, elsewhere);
    assert_int_equal(compare(""), 0);
    assert_said("differs  server: A https://127.0.0.1:8443, B https://192.0.2.1:8443");
}

static void errors_and_interruptions_of_a_run_are_told(void **state)
{
    (void)state;
    struct run same = RUN;
    struct run other = RUN;
    other.error_second = 30; /* in the drain */
    other.interrupted = true;
    write_runs(same, other);
    assert_int_equal(compare(""), 1);
    assert_said("worse: errors");
    assert_said("B was interrupted");
}

/* ---- what is no result ---- */

static void a_run_and_a_set_do_not_compare(void **state)
{
    (void)state;
    struct run run = RUN;
    struct truth truth = TRUTH;
    write_run("a.json", &run, 1);
    write_set("b.json", &truth);
    assert_int_equal(compare("--force"), 2);
    assert_said("one is a single run, the other a standard set");
}

#define SET_HEAD                                                                                   \
    "{\"format\":\"xacthuc-standard/1\",\"commit\":\"c\",\"date\":\"d\",\"settings\":{},"          \
    "\"effort\":{},\"machine\":{},"
#define SET_TAIL ",\"runs\":{}}"

static void hostile_files_are_refused_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "empty"},
        {"{", "b.json"},
        {"[]", "format"},
        {"{\"format\":\"xacthuc-load/1\"}", "b.json"},
        {"{\"format\":\"xacthuc-load/2\"}", "is not xacthuc-load/1"},
        {"{\"format\":7}", "is not xacthuc-load/1"},
        {"{\"format\":\"xacthuc-standard/1\"}", "commit is missing"},
        {SET_HEAD "\"measures\":{}}", "runs is missing"},
        {SET_HEAD "\"measures\":[]" SET_TAIL, "measures is missing"},
        {SET_HEAD "\"measures\":{\"m\":7}" SET_TAIL, "values is missing"},
        {SET_HEAD "\"measures\":{\"m\":{\"unit\":\"\",\"kind\":\"slices\",\"better\":\"less\","
                  "\"values\":[]}}" SET_TAIL,
         "m has no values"},
        {SET_HEAD "\"measures\":{\"m\":{\"unit\":\"\",\"kind\":\"guess\",\"better\":\"less\","
                  "\"values\":[1]}}" SET_TAIL,
         "m has a kind that is not known"},
        {SET_HEAD "\"measures\":{\"m\":{\"unit\":\"\",\"kind\":\"slices\",\"better\":\"less\","
                  "\"values\":[1,-1]}}" SET_TAIL,
         "negative"},
        {SET_HEAD "\"measures\":{\"m\":{\"unit\":\"\",\"kind\":\"slices\",\"better\":\"less\","
                  "\"values\":[1,\"2\"]}}" SET_TAIL,
         "no number"},
        {SET_HEAD "\"measures\":{\"m\":{\"unit\":\"\",\"kind\":\"slices\",\"better\":\"less\","
                  "\"values\":[1e300]}}" SET_TAIL,
         "absurd"},
        {SET_HEAD "\"measures\":{\"\\u001b[2Jm\":{\"unit\":\"\",\"kind\":\"slices\","
                  "\"better\":\"less\",\"values\":[null]}}" SET_TAIL,
         " [2Jm has a value"},
    };
    struct truth truth = TRUTH;
    write_set("a.json", &truth);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_text("b.json", cases[i].text, strlen(cases[i].text));
        assert_int_equal(compare(""), 2);
        assert_said("xacthuc-bench compare: ");
        assert_said(cases[i].says);
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
}

static void more_measures_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    FILE *file = fopen(in_folder("b.json"), "we");
    assert_non_null(file);
    (void)fputs(SET_HEAD "\"measures\":{", file);
    for (unsigned i = 0; i < 600; i++) {
        (void)fprintf(file,
                      "%s\"m%u\":{\"unit\":\"\",\"kind\":\"slices\",\"better\":\"less\","
                      "\"values\":[1]}",
                      i > 0 ? "," : "", i);
    }
    (void)fputs("}" SET_TAIL, file);
    assert_int_equal(fclose(file), 0);
    struct truth truth = TRUTH;
    write_set("a.json", &truth);
    assert_int_equal(compare(""), 2);
    assert_said("too many");
}

/* Every beginning of a good file is a bad file; none may do harm. */
static void files_that_end_early_do_no_harm(void **state)
{
    (void)state;
    static char text[1 << 16];
    struct truth truth = TRUTH;
    write_sets(truth, truth);
    FILE *file = fopen(in_folder("a.json"), "re");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    assert_true(size > 1000 && size < sizeof(text));
    for (size_t end = 1; end < size - 2; end += size / 40) {
        write_text("b.json", text, end);
        assert_int_equal(compare(""), 2);
    }
}

static void wrong_usage_is_said_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"compare", "takes two files"},
        {"compare a", "takes two files"},
        {"compare a b c", "takes two files"},
        {"compare a b --confidence 79", "--confidence takes"},
        {"compare a b --confidence 100", "--confidence takes"},
        {"compare a b --smallest x", "--smallest takes"},
        {"compare a b --json --markdown", "not both"},
        {"compare a b --colour", "does not know --colour"},
        {"compare a b --confidence", "--confidence needs a value"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(bench(cases[i].line), 2);
        assert_said(cases[i].says);
        assert_said("see xacthuc-bench compare --help\n");
    }
    assert_int_equal(bench("compare /nowhere/a /nowhere/b"), 2);
    assert_said("/nowhere/a");
    assert_int_equal(bench("compare --help"), 0);
    assert_said("Exit status");
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    static const char *const names[] = {"a.json", "b.json", "said"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlink(in_folder(names[i]));
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sets_are_noise),
        cmocka_unit_test(what_got_worse_is_named_and_what_got_better_is_no_fault),
        cmocka_unit_test(a_difference_that_is_real_but_small_is_called_small),
        cmocka_unit_test(a_difference_within_the_noise_is_noise_however_large),
        cmocka_unit_test(under_eight_rounds_nothing_can_be_said),
        cmocka_unit_test(sets_measured_differently_are_refused_unless_forced),
        cmocka_unit_test(the_first_error_is_worse_than_none),
        cmocka_unit_test(counts_are_judged_without_an_interval),
        cmocka_unit_test(a_machine_that_differs_is_said_and_is_not_the_programs_fault),
        cmocka_unit_test(what_only_one_side_has_is_told),
        cmocka_unit_test(json_and_markdown_say_the_same),
        cmocka_unit_test(runs_are_compared_second_by_second),
        cmocka_unit_test(what_a_run_has_once_is_shown_but_not_judged),
        cmocka_unit_test(latencies_of_a_closed_loop_are_not_judged),
        cmocka_unit_test(runs_measured_differently_are_refused),
        cmocka_unit_test(errors_and_interruptions_of_a_run_are_told),
        cmocka_unit_test(a_run_and_a_set_do_not_compare),
        cmocka_unit_test(hostile_files_are_refused_in_one_line),
        cmocka_unit_test(more_measures_than_there_is_room_for_are_refused),
        cmocka_unit_test(files_that_end_early_do_no_harm),
        cmocka_unit_test(wrong_usage_is_said_in_one_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
