/* `xacthuc import --links`: lists of documents against a model of the register, over what changed and what did
 * not, in both formats, through kills and hostile lines. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/links.h"
#include "store/live_fold.h"
#include "tests/core/mutate.h"
#include "tests/store/world.h"

#define REJECTS "import-rejects.ndjson"
#define LINES 900
#define TEXT_MAX (1 << 18)

static struct xt_failure failure;
static unsigned next; /* event */

static int make(void **state)
{
    next = 0;
    return world_make(state);
}

/* ---- helpers ------------------------------------------------------------------------------------ */

static void apply_groups(unsigned groups)
{
    static struct answer answer;
    for (unsigned i = 0; i < groups; i++, next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
}

static bool order(unsigned what)
{
    static struct answer answer;
    order_group(what, 0);
    (void)hear(&answer);
    return answer.done;
}

static uint32_t current(void)
{
    uint32_t number = 0;
    assert_int_equal(xt_generation_current(deployment(), &number, &failure), XT_OK);
    return number;
}

static void check_current(void)
{
    struct xt_register as = open_register();
    check_all(&as);
    close_register(&as);
}

static void check_files(void)
{
    if (run("check", "DIR", "--quiet", NULL) != 0) {
        fail_msg("%s", run_err);
    }
    assert_int_equal(count_names("identity", "building-"), 0);
}

static struct text {
    size_t size;
    char data[TEXT_MAX];
} list, told;

XT_PRINTF(2, 3)
static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size =
        vsnprintf(text->data + text->size, sizeof(text->data) - text->size, format, arguments);
    va_end(arguments);
    assert_true(size >= 0 && text->size + (size_t)size < sizeof(text->data));
    text->size += (size_t)size;
}

/* ---- a list, and what the model makes of it ------------------------------------------------------ */

static const char *const TYPES[XT_LINK_TYPE_COUNT] = {
    "health_insurance", "social_insurance", "driving_licence", "vehicle", "passport", "tax"};

/* Documents that the list gave so far and that were taken, to tell duplicates by. */
static struct given {
    uint64_t number;
    struct xt_link link;
    unsigned line;
} given[LINES];
static unsigned given_count, linked, unchanged, rejects;

static unsigned line_of_given(uint64_t number, const struct xt_link *link)
{
    for (unsigned i = 0; i < given_count; i++) {
        if (given[i].number == number && given[i].link.type == link->type &&
            given[i].link.number.length == link->number.length &&
            memcmp(given[i].link.number.text, link->number.text, link->number.length) == 0) {
            return given[i].line;
        }
    }
    return 0;
}

static void follow_line(unsigned line, uint64_t number, const struct xt_link *link)
{
    unsigned before = line_of_given(number, link);
    if (before != 0) {
        add(&told,
            "{\"line\":%u,\"first_line\":%u,\"code\":\"duplicate\",\"pointer\":\"/number\"}\n",
            line, before);
        rejects++;
        return;
    }
    enum xt_conflict conflict = model_link(number, link);
    if (conflict == XT_CONFLICT_NONE || conflict == XT_CONFLICT_DOCUMENT_ALREADY_LINKED) {
        linked += conflict == XT_CONFLICT_NONE;
        unchanged += conflict != XT_CONFLICT_NONE;
        given[given_count++] = (struct given){number, *link, line};
        return;
    }
    add(&told, "{\"line\":%u,\"code\":\"%s\",\"pointer\":\"/id\"}\n", line,
        xt_conflict_name(conflict));
    rejects++;
}

/* Numbers of all kinds; some documents are what an event could have given, some come twice. */
static void draw_list(unsigned seed, unsigned lines, bool csv)
{
    uint64_t random = 31 * seed + 5;
    list.size = told.size = 0;
    given_count = linked = unchanged = rejects = 0;
    if (csv) {
        add(&list, "number,id,valid_until,type,valid_from\n");
    }
    for (unsigned i = 0; i < lines; i++) {
        uint64_t number = number_of((unsigned)(next_random(&random) % (NUMBERS + OLDS)));
        unsigned type = (unsigned)(next_random(&random) % XT_LINK_TYPE_COUNT);
        unsigned document = (unsigned)(next_random(&random) % 3);
        unsigned year = 20 + (unsigned)(next_random(&random) % 2);
        bool ends = next_random(&random) % 2 == 0;
        char text[32];
        char until[16] = "";
        struct xt_link link = {.type = (enum xt_link_type)type};
        snprintf(text, sizeof(text), type == XT_LINK_TAX ? "%u" : "Ab-%u", document);
        assert_int_equal(xt_document_parse(xt_span_of_string(text), &link.number), XT_OK);
        if (ends) {
            snprintf(until, sizeof(until), "20%u-12-31", year + 10);
            assert_int_equal(xt_date_parse(xt_span_of_string(until), &link.valid_until), XT_OK);
        }
        if (csv) {
            add(&list, "%s,%012llu,%s,%s,\n", text, (unsigned long long)number, until, TYPES[type]);
        } else {
            add(&list, "{\"id\":\"%012llu\",\"type\":\"%s\",\"number\":\"%s\"%s%s%s}\n",
                (unsigned long long)number, TYPES[type], text, ends ? ",\"valid_until\":\"" : "",
                until, ends ? "\"" : "");
        }
        follow_line(i + 1 + csv, number, &link);
    }
}

static void assert_summary(uint32_t generation)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "{\"generation\":%u,\"linked\":%u,\"unchanged\":%u,",
             generation, linked, unchanged);
    if (strncmp(run_out, wanted, strlen(wanted)) != 0) {
        fail_msg("%s instead of %s (%s)", run_out, wanted, run_err);
    }
    assert_string_equal(read_text(REJECTS), told.data);
}

/* In one of the three ways. */
static int import_list(bool csv, bool pipe)
{
    if (pipe) {
        return run_with_input(list.data, list.size, "import", "DIR", "--links", "-", "--json",
                              "--quiet", "--max-rejects", "100000", "--format",
                              csv ? "csv" : "ndjson", NULL);
    }
    const char *name = csv ? "list.csv" : "list.ndjson";
    write_text(name, list.data);
    return run("import", "DIR", "--links", deployment_path(name), "--json", "--quiet",
               "--max-rejects", "100000", NULL);
}

/* ---- the model ---------------------------------------------------------------------------------- */

#define ROUNDS 4

/* Each round: events, a list, which no older entry of the overlay hides; events over it; then a compaction, or
 * what was folded leaves the live store, and nothing is lost. */
static void whatever_changed_a_list_becomes_part_of_the_register(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t before = current();
        assert_true(start_writer() == model.sequence);
        apply_groups(30);
        stop_writer(0);
        draw_list(round, LINES, round % 2 == 1);
        assert_int_equal(import_list(round % 2 == 1, round >= 2), 0);
        assert_summary(before + 1);
        assert_true(linked > 100 && rejects > 100);
        check_current();
        check_files();

        assert_true(start_writer() == model.sequence);
        check_current();
        apply_groups(20);
        check_current();
        if (round % 2 == 0) {
            while (!order(DROP_FOLDED)) {
                check_current();
                apply_groups(1);
            }
        } else {
            assert_int_equal(run("compact", "DIR", "--quiet", NULL), 0);
            order(TAKE_CURRENT);
        }
        check_current();
        apply_groups(2);
        check_current();
        stop_writer(0);
    }
    check_files();
}

static void where_nothing_ever_happened_a_list_is_taken_as_well(void **state)
{
    (void)state;
    draw_list(9, LINES, false);
    assert_int_equal(import_list(false, false), 0);
    assert_summary(2);
    assert_true(start_writer() == 0);
    check_current();
    apply_groups(10);
    check_current();
    stop_writer(0);
    struct xt_generation *generation = open_served();
    assert_int_equal(xt_generation_manifest(generation)->folded, 0);
    xt_generation_close(generation);
}

static void a_list_that_says_what_is_known_makes_no_generation(void **state)
{
    (void)state;
    draw_list(3, 50, false);
    assert_int_equal(import_list(false, false), 0);
    draw_list(3, 50, false);
    assert_int_equal(linked, 0);
    assert_int_equal(import_list(false, false), 0);
    assert_non_null(strstr(run_out, "{\"generation\":null,\"linked\":0,"));
    assert_int_equal(current(), 2);
    assert_int_equal(run_with_input("", 0, "import", "DIR", "--links", "-", NULL), 0);
    assert_non_null(strstr(run_out, "generation 000002 is served as before"));
    assert_true(start_writer() == 0);
    check_current();
    stop_writer(0);
}

/* ---- lines --------------------------------------------------------------------------------------- */

#define AT_0 "{\"id\":\"001090000000\","

static void hostile_lines_are_told_by_line_and_code(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code, *pointer;
    } cases[] = {
        {"nonsense", "malformed_json", ""},
        {"[]", "not_an_object", ""},
        {"{}", "missing_member", "/id"},
        {AT_0 "\"type\":\"tax\"}", "missing_member", "/number"},
        {AT_0 "\"number\":\"1\"}", "missing_member", "/type"},
        {AT_0 "\"type\":\"tax\",\"number\":\"1\",\"x\":\"1\"}", "unknown_member", ""},
        {AT_0 "\"type\":\"tax\",\"number\":\"1\",\"type\":\"tax\"}", "duplicate_member", "/type"},
        {AT_0 "\"type\":\"tax\",\"number\":1}", "wrong_type", "/number"},
        {AT_0 "\"type\":\"tax\",\"number\":\"\"}", "empty", "/number"},
        {AT_0 "\"type\":\"library\",\"number\":\"1\"}", "bad_value", "/type"},
        {AT_0 "\"type\":\"tax\",\"number\":\"1_\"}", "bad_document", "/number"},
        {AT_0 "\"type\":\"tax\",\"number\":\"1\",\"valid_from\":\"2024-02-30\"}", "bad_date",
         "/valid_from"},
        {AT_0 "\"type\":\"tax\",\"number\":\"1\",\"valid_until\":null}", "wrong_type",
         "/valid_until"},
        {"{\"id\":\"00109000000\",\"type\":\"tax\",\"number\":\"1\"}", "bad_id", "/id"},
        {"{\"id\":\"100000000\",\"type\":\"tax\",\"number\":\"1\"}", "old_number", "/id"},
        {"{\"id\":\"001090005000\",\"type\":\"tax\",\"number\":\"1\"}", "number_replaced", "/id"},
        {"{\"id\":\"001090009999\",\"type\":\"tax\",\"number\":\"1\"}", "unknown_person", "/id"},
        {"{\"id\":\"999999999999\",\"type\":\"tax\",\"number\":\"1\"}", "unknown_person", "/id"},
        {"{\"id\":\"000000000000\",\"type\":\"tax\",\"number\":\"1\"}", "unknown_person", "/id"},
    };
    unsigned count = sizeof(cases) / sizeof(cases[0]);
    list.size = 0;
    for (unsigned i = 0; i < count; i++) {
        add(&list, "%s\n", cases[i].line);
    }
    add(&list, AT_0 "\"type\":\"tax\",\"number\":\"PRIVATE1\"}\n" AT_0
                    "\"type\":\"tax\",\"number\":\"private-1\",\"valid_from\":\"2024\"}\n");
    char most[16];
    snprintf(most, sizeof(most), "%u", count);
    assert_int_equal(run_with_input(list.data, list.size, "import", "DIR", "--links", "-",
                                    "--max-rejects", most, NULL),
                     1);
    assert_non_null(strstr(run_err, "nothing was changed"));
    assert_int_equal(current(), 1);
    for (unsigned i = 0; i < count; i++) {
        char wanted[128];
        snprintf(wanted, sizeof(wanted), "{\"line\":%u,\"code\":\"%s\",\"pointer\":\"%s\"}\n",
                 i + 1, cases[i].code, cases[i].pointer);
        if (strstr(read_text(REJECTS), wanted) == NULL) {
            fail_msg("%s is not in %s", wanted, read_text(REJECTS));
        }
    }
    char duplicate[128];
    snprintf(duplicate, sizeof(duplicate),
             "{\"line\":%u,\"first_line\":%u,\"code\":\"duplicate\",\"pointer\":\"/number\"}\n",
             count + 2, count + 1);
    assert_non_null(strstr(read_text(REJECTS), duplicate));
    assert_null(strstr(read_text(REJECTS), "PRIVATE"));
    assert_null(strstr(read_text(REJECTS), "0010"));
    snprintf(most, sizeof(most), "%u", count + 1);
    assert_int_equal(run_with_input(list.data, list.size, "import", "DIR", "--links", "-",
                                    "--max-rejects", most, NULL),
                     0);
    assert_int_equal(current(), 2);
    struct xt_link link = {.type = XT_LINK_TAX, .number = {8, "PRIVATE1"}};
    assert_int_equal(model_link(PERSON_NUMBER(0), &link), XT_CONFLICT_NONE);
    assert_true(start_writer() == 0);
    check_current();
    stop_writer(0);
    assert_int_equal(run("import", "DIR", "--links", deployment_path("none"), NULL), 1);
    assert_int_equal(run("import", "DIR", "FILE", "--links", "-", NULL), 2);
}

static void a_header_of_a_csv_is_looked_at(void **state)
{
    (void)state;
    static const char *const headers[] = {"id,type\n", "id,type,number,number\n",
                                          "id,type,number,owner\n", "001090000000,tax,1\n"};
    static const char *const codes[] = {"missing_column /number", "duplicate_column /column/4",
                                        "unknown_column /column/4", "unknown_column /column/1"};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(run_with_input(headers[i], strlen(headers[i]), "import", "DIR", "--links",
                                        "-", "--format", "csv", NULL),
                         1);
        assert_non_null(strstr(run_err, codes[i]));
    }
    static const char csv[] = "\xef\xbb\xbfid,type,number\r\n\"001090000001\", tax ,12 34\r\n";
    assert_int_equal(run_with_input(csv, strlen(csv), "import", "DIR", "--links", "-", NULL), 1);
    assert_non_null(strstr(run_err, "give --format csv"));
    assert_int_equal(run_with_input(csv, strlen(csv), "import", "DIR", "--links", "-", "--format",
                                    "csv", "--json", NULL),
                     0);
    assert_non_null(strstr(run_out, "\"linked\":1,"));
}

static void a_person_takes_as_many_documents_as_a_record_holds(void **state)
{
    (void)state;
    static struct xt_person person;
    list.size = 0;
    for (unsigned i = 0; i < XT_PERSON_LINKS_MAX + 6; i++) {
        add(&list, "{\"id\":\"001090000001\",\"type\":\"vehicle\",\"number\":\"V%u\"}\n", i);
    }
    assert_int_equal(run_with_input(list.data, list.size, "import", "DIR", "--links", "-",
                                    "--max-rejects", "6", "--json", NULL),
                     0);
    assert_non_null(strstr(run_out, "\"linked\":64,\"unchanged\":0,\"people_changed\":1,"));
    for (unsigned i = 0; i < 6; i++) {
        char wanted[96];
        snprintf(wanted, sizeof(wanted),
                 "{\"line\":%u,\"code\":\"too_many\",\"pointer\":\"/number\"}\n",
                 XT_PERSON_LINKS_MAX + 1 + i);
        assert_non_null(strstr(read_text(REJECTS), wanted));
    }
    struct xt_register as = {.generation = open_served()};
    assert_int_equal(xt_register_person(&as, PERSON_NUMBER(1), &person), XT_OK);
    assert_int_equal(person.link_count, XT_PERSON_LINKS_MAX);
    xt_generation_close(as.generation);
    check_files();
}

/* All lines of one number fall into one part: it is told before anything is sorted what that takes. */
static void a_list_that_does_not_fit_into_memory_is_refused(void **state)
{
    (void)state;
    const struct xt_builder_options options = {.quiet = true, .memory = 1U << 20};
    volatile sig_atomic_t stop = 0;
    struct xt_links_report report;
    struct xt_rejects refused;
    FILE *file = tmpfile();
    assert_non_null(file);
    for (unsigned i = 0; i < 20000; i++) {
        assert_true(fprintf(file, AT_0 "\"type\":\"tax\",\"number\":\"%u\"}\n", i) > 0);
    }
    rewind(file);
    struct xt_import_input input = {.fd = fileno(file),
                                    .name = "list",
                                    .quiet = true,
                                    .stop = &stop,
                                    .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert_int_equal(xt_rejects_start(&refused, deployment_path(REJECTS), input.fd, &failure),
                     XT_OK);
    assert_int_equal(xt_links_import(deployment(), deployment_keyring(), &options, &input, &refused,
                                     100000, &report, &failure),
                     XT_NO_MEMORY);
    assert_non_null(strstr(failure.text, "--memory"));
    assert_false(report.made);
    xt_rejects_end(&refused);
    close(input.wake);
    fclose(file);
    assert_int_equal(current(), 1);
    assert_int_equal(count_names("identity", "building-"), 0);
}

/* ---- servers, kills -------------------------------------------------------------------------------- */

static pid_t start_importing(int input)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(input >= 0 ? input : null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        execl(program(), "xacthuc", "import", deployment(), "--links",
              input >= 0 ? "-" : deployment_path("list.ndjson"), "--max-rejects", "100000",
              "--quiet", (char *)NULL);
        _exit(127);
    }
    return child;
}

static void no_server_and_no_list_at_the_same_time(void **state)
{
    (void)state;
    int lock = -1;
    int ends[2];
    int status = 0;
    draw_list(1, 20, false);
    assert_int_equal(xt_live_lock(deployment(), &lock, &failure), XT_OK);
    assert_int_equal(import_list(false, false), 1);
    assert_non_null(strstr(run_err, "a server runs on"));
    assert_non_null(strstr(run_err, "document_linked"));
    assert_int_equal(current(), 1);
    close(lock);

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t importing = start_importing(ends[0]);
    close(ends[0]);
    enum xt_status locked = XT_OK;
    for (unsigned i = 0; i < 500 && locked == XT_OK; i++) {
        usleep(10000);
        locked = xt_live_lock(deployment(), &lock, &failure);
        if (locked == XT_OK) {
            close(lock);
        }
    }
    assert_int_equal(locked, XT_BUSY); /* while it still reads */
    assert_int_equal(write(ends[1], list.data, list.size), (ssize_t)list.size);
    close(ends[1]);
    assert_int_equal(waitpid(importing, &status, 0), importing);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(xt_live_lock(deployment(), &lock, &failure), XT_OK);
    close(lock);
    assert_true(start_writer() == 0);
    check_current();
    stop_writer(0);
}

#define KILLS 16

static void a_killed_import_of_a_list_changed_nothing_or_all(void **state)
{
    (void)state;
    static struct world after;
    uint64_t random = 5;
    unsigned made = 0;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    draw_list(100, LINES, false);
    assert_int_equal(import_list(false, false), 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    uint64_t within_us =
        (uint64_t)((to.tv_sec - from.tv_sec) * 1000000L + (to.tv_nsec - from.tv_nsec) / 1000);
    /* An import takes longer or shorter from one to the next where others want the processors: the kills follow it,
     * and go on until some came before the switch and some after. */
    unsigned kills = 0;
    for (; kills < KILLS || (kills < 8 * KILLS && (made == 0 || made == kills)); kills++) {
        int status = 0;
        assert_true(start_writer() == model.sequence);
        apply_groups(2);
        stop_writer(0);
        uint32_t was = current();
        saved = model;
        draw_list(kills, LINES, false);
        after = model;
        write_text("list.ndjson", list.data);
        pid_t importing = start_importing(-1);
        usleep((useconds_t)(next_random(&random) % (within_us * 5 / 4)));
        (void)kill(importing, SIGKILL);
        assert_int_equal(waitpid(importing, &status, 0), importing);
        bool switched = current() != was;
        made += switched;
        within_us = switched ? within_us * 9 / 10 + 100 : within_us * 11 / 10;
        model = switched ? after : saved;
        check_current();
    }
    if (made == 0 || made == kills) {
        fail_msg("%u of %u had been switched: all or none was killed in time", made, kills);
    }
    draw_list(100, LINES, false);
    assert_int_equal(import_list(false, false), 0);
    check_current();
    check_files();
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
    (void)state;
    int ends[2];
    int status = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t importing = start_importing(ends[0]);
    close(ends[0]);
    for (unsigned i = 0; i < 2000 && count_names("identity", "building-") == 0; i++) {
        usleep(5000);
    }
    usleep(20000);
    (void)kill(importing, SIGTERM);
    assert_int_equal(waitpid(importing, &status, 0), importing);
    close(ends[1]);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_int_equal(current(), 1);
    assert_int_equal(count_names("identity", "building-"), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(whatever_changed_a_list_becomes_part_of_the_register),
        EACH(where_nothing_ever_happened_a_list_is_taken_as_well),
        EACH(a_list_that_says_what_is_known_makes_no_generation),
        EACH(hostile_lines_are_told_by_line_and_code),
        EACH(a_header_of_a_csv_is_looked_at),
        EACH(a_person_takes_as_many_documents_as_a_record_holds),
        EACH(a_list_that_does_not_fit_into_memory_is_refused),
        EACH(no_server_and_no_list_at_the_same_time),
        EACH(a_killed_import_of_a_list_changed_nothing_or_all),
        EACH(a_signal_ends_it_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
