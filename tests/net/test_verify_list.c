/* `xacthuc verify LIST` through the real binary over real TLS: results in order, whatever interrupts it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/verify_client.h"
#include "tests/test.h"

#define REQUESTS "20000"
#define LINES 20000U
#define KILLS_DEFAULT 20

static struct server server;
static unsigned whole_ms = 100; /* what a list takes here, or somewhat less */

/* The requests of a generated list, and what their verdicts must be, a line each. */
static void make_list(const char *list, const char *expected)
{
    char *text, *at, *line;
    FILE *out = fopen(deployment(list), "w"), *verdicts = fopen(deployment(expected), "w");
    assert_non_null(out);
    assert_non_null(verdicts);
    assert_int_equal(run(bench(), "gen", "--requests", REQUESTS, "--seed", SEED, "--count", PEOPLE,
                         "--out", deployment("requests.ndjson"), NULL),
                     0);
    text = at = read_text(deployment("requests.ndjson"));
    while ((line = strsep(&at, "\n")) != NULL && *line != 0) {
        static const char begin[] = "{\"request\":", middle[] = ",\"expect\":";
        char *expect = strstr(line, middle);
        assert_non_null(expect);
        fprintf(verdicts, "%s\n",
                strstr(expect, "\"verdict\":\"verified\"") != NULL ? "verified" : "not_verified");
        fprintf(out, "%.*s\n", (int)(expect - line - (long)strlen(begin)), line + strlen(begin));
    }
    free(text);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(verdicts), 0);
}

static int set_up(void **state)
{
    if (deployment_make(state) != 0 ||
        run(xacthuc(), "partner", "add", deployment("DIR"), "quota", "--purpose", "demo.verify",
            "--claims", "full_name", "--daily-quota", "40", "--issue", deployment("issued"),
            NULL) != 0) {
        return 1;
    }
    make_list("list.ndjson", "expected");
    server_start(&server, NULL);
    return 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

static bool exists(const char *name)
{
    return access(deployment(name), F_OK) == 0;
}

/* A path that stays: deployment() takes its own back after a while. */
static const char *kept(const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s", deployment(name));
    return path;
}

static void copy(const char *from, const char *to)
{
    assert_int_equal(run("/bin/cp", deployment(from), deployment(to), NULL), 0);
}

/* Every line of the generated list has its result, in order, and the verdict is right. */
static void assert_results_are_right(const char *results)
{
    char *text, *expected, *at, *next, *line;
    struct stat facts;
    unsigned number = 0;
    assert_int_equal(stat(deployment(results), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    text = at = read_text(deployment(results));
    expected = next = read_text(deployment("expected"));
    while ((line = strsep(&at, "\n")) != NULL && *line != 0) {
        char begin[64], verdict[64];
        const char *right = strsep(&next, "\n");
        snprintf(begin, sizeof(begin), "{\"line\":%u,\"txn\":\"gen-7-%u\",", number + 1, number);
        snprintf(verdict, sizeof(verdict), "\"verdict\":\"%s\"", right);
        assert_memory_equal(line, begin, strlen(begin));
        assert_non_null(strstr(line, verdict));
        assert_int_equal(line[strlen(line) - 1], '}');
        number++;
    }
    assert_int_equal(number, LINES);
    free(text);
    free(expected);
}

/* How many lines of lists this partner has asked about, by the audit log. */
static unsigned long asked_by(const char *partner)
{
    char command[1200];
    snprintf(command, sizeof(command),
             "'%s' audit search '%s' --partner %s 2>/dev/null | "
             "grep -c 'verify_batch demo.verify' >'%s'",
             xacthuc(), deployment("DIR"), partner, deployment("count"));
    (void)run("/bin/sh", "-c", command, NULL);
    char *text = read_text(deployment("count"));
    unsigned long count = strtoul(text, NULL, 10);
    free(text);
    return count;
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* ---- whole lists ------------------------------------------------------------------------------- */

static void a_list_is_asked_whole(void **state)
{
    (void)state;
    double before = now_s();
    struct said said =
        verify_client(&server, "demo", NULL, deployment("list.ndjson"), "--json", "--quiet", NULL);
    whole_ms = (unsigned)((now_s() - before) * 1000);
    whole_ms = whole_ms < 60 ? 60 : whole_ms > 150 ? 150 : whole_ms;
    assert_string_equal(said.error, "");
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "{\"lines\":" REQUESTS ","));
    assert_results_are_right("list.ndjson.results.ndjson");
    assert_false(exists("list.ndjson.results.ndjson.part"));
    assert_false(exists("list.ndjson.results.ndjson.state"));
    said_release(&said);
    /* What is there is not asked again. */
    said = verify_client(&server, "demo", NULL, deployment("list.ndjson"), NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "is there already"));
    said_release(&said);
}

/* Somebody whose record is alive, with a phone, n-th from the first. */
static void somebody(unsigned n, char id[16], char name[256], char born[16], char phone[16])
{
    for (unsigned i = 0;; i++) {
        char *line = person_line(i);
        const char *at = strstr(line, "\"phones\":[\"");
        if (at != NULL && strstr(line, "\"status\":\"alive\"") != NULL && n-- == 0) {
            member_of(line, "id", id, 16);
            member_of(line, "full_name", name, 256);
            member_of(line, "date_of_birth", born, 16);
            snprintf(phone, 16, "%.12s", at + strlen("\"phones\":[\""));
            free(line);
            return;
        }
        free(line);
    }
}

static void a_table_with_an_operators_own_columns_gets_verdict_columns(void **state)
{
    (void)state;
    char id[16], name[256], born[16], phone[16], text[4096], row[512], wanted[600];
    somebody(0, id, name, born, phone);
    snprintf(row, sizeof(row), "1;%s;\"%s\";%.2s/%.2s/%.4s;%s", id, name, born + 8, born + 5, born,
             phone);
    snprintf(
        text, sizeof(text),
        "\xef\xbb\xbfstt;so_giay_to;ho_ten;ngay_sinh;so_dien_thoai\r\n%s\r\n\r\n2;%.11s;An;1/2/"
        "1980;"
        "0912345678\n3;%s;\"An;;\n4;%s;An;31/02/1980;0912345678\n5;%s;\xff;1/2/1980;0912345678",
        row, id + 1, id, id, id);
    write_text(deployment("table.csv"), text);
    struct said said = verify_client(
        &server, "wide", NULL, deployment("table.csv"), "--purpose", "demo.verify", "--map",
        "so_giay_to=id,ho_ten=full_name,ngay_sinh=date_of_birth,so_dien_thoai=phone",
        "--date-format", "dd/mm/yyyy", "--quiet", NULL);
    assert_string_equal(said.error, "");
    assert_int_equal(said.status, 0);
    said_release(&said);
    char *results = read_text(deployment("table.csv.results.csv"));
    static const char header[] =
        "stt;so_giay_to;ho_ten;ngay_sinh;so_dien_thoai;verdict;mismatch;"
        "not_held;reason;card;name;error;suggestion;answer_id;answered_at\n";
    assert_memory_equal(results, header, strlen(header));
    snprintf(wanted, sizeof(wanted), "\n%s;verified;;;;", row);
    assert_non_null(strstr(results, wanted));
    assert_non_null(strstr(results, ";invalid_request /id bad_id;id_digits;"));
    snprintf(wanted, sizeof(wanted), "\n\"3;%s;\"\"An;;\";;;;;;;;;;;malformed_csv;;;\n", id);
    assert_non_null(strstr(results, wanted));
    assert_non_null(strstr(results, ";invalid_request /claims/date_of_birth bad_date;;"));
    assert_non_null(strstr(results, ";;;;;;;not_utf8;;;\n"));
    free(results);
}

static void what_is_wrong_with_a_list_is_suggested_and_flagged(void **state)
{
    (void)state;
    char id[2][16], name[2][256], born[2][16], phone[2][16], text[8192];
    size_t size = 0;
    for (unsigned i = 0; i < 2; i++) {
        somebody(i, id[i], name[i], born[i], phone[i]);
    }
    write_text(deployment("flags.ndjson"), "");
#define LINE(...) size += (size_t)snprintf(text + size, sizeof(text) - size, __VA_ARGS__)
#define PHONE "{\"id\":\"%s\",\"claims\":{\"phone\":\"%s\"}}\n"
    LINE(PHONE, id[0], phone[0]);
    LINE(PHONE, id[1], phone[0]); /* a phone on two ids */
    LINE("\n");
    LINE(PHONE, id[0], phone[0]); /* again */
    LINE(PHONE PHONE PHONE, id[1], "0912345678", id[1], "0912345679", id[1], "+84912345670");
    LINE("{\"id\":\"%s\",\"claims\":{\"full_name\":\"%s\"}}\n", id[0], name[0]);
    write_text(deployment("flags.ndjson"), text);
    struct said said = verify_client(&server, "wide", NULL, deployment("flags.ndjson"), "--purpose",
                                     "demo.verify", "--quiet", "--json", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "\"lines\":7,"));
    assert_non_null(strstr(said.out, "\"duplicates\":1,\"phones_on_two_ids\":1,"
                                     "\"ids_with_more_than_3_phones\":1,\"not_compared\":0"));
    said_release(&said);
    char *flags = read_text(deployment("flags.ndjson.flags.ndjson"));
    assert_non_null(strstr(flags, "{\"flag\":\"duplicate\",\"lines\":[1,4]}\n"));
    assert_non_null(strstr(flags, "{\"flag\":\"phone_on_two_ids\",\"lines\":[1,2]}\n"));
    assert_non_null(strstr(flags, "{\"flag\":\"more_than_3_phones\",\"lines\":[2,5,6,7]}\n"));
    free(flags);
}

/* ---- interruptions ------------------------------------------------------------------------------ */

static unsigned kills(void)
{
    const char *text = getenv("XT_KILLS");
    return text == NULL ? KILLS_DEFAULT : (unsigned)strtoul(text, NULL, 10);
}

/* Starts the command again until it says that all is done. */
static void finish(const char *list, const char *results)
{
    struct said said = verify_client(&server, "demo", NULL, deployment(list), "--quiet", NULL);
    if (said.status != 0 && strstr(said.error, "is there already") == NULL) {
        print_message("%s", said.error);
        assert_non_null(strstr(said.error, "is there already")); /* the last one came that far */
    }
    said_release(&said);
    assert_results_are_right(results);
}

static void a_killed_client_goes_on_and_asks_each_line_once(void **state)
{
    (void)state;
    copy("list.ndjson", "killed.ndjson");
    const char *const arguments[] = {kept("killed.ndjson"), "--quiet", "--connections", "2", NULL};
    unsigned seed = 1, amid = 0;
    for (unsigned i = 0; i < kills(); i++) {
        pid_t pid = verify_client_start(&server, "demo", NULL, arguments);
        sleep_ms((unsigned)rand_r(&seed) % whole_ms);
        kill(pid, SIGKILL);
        (void)wait_for(pid);
        amid += exists("killed.ndjson.results.ndjson.part");
        if (exists("killed.ndjson.results.ndjson")) { /* done in spite of it: once more */
            assert_results_are_right("killed.ndjson.results.ndjson");
            assert_int_equal(unlink(deployment("killed.ndjson.results.ndjson")), 0);
        }
    }
    assert_true(amid > kills() / 4);
    finish("killed.ndjson", "killed.ndjson.results.ndjson");
}

static void a_killed_client_goes_on_with_a_table_too(void **state)
{
    (void)state;
    assert_int_equal(run("/bin/sh", "-c",
                         "(echo id,full_name; sed -n 's/^{\"id\":\"\\([0-9]*\\)\",\"full_name\":"
                         "\"\\([^\"]*\\)\".*/\\1,\\2/p' \"$0\") >\"$1\"",
                         deployment("people.ndjson"), deployment("people.csv"), NULL),
                     0);
    const char *const arguments[] = {kept("people.csv"), "--purpose", "demo.verify", "--quiet",
                                     NULL};
    unsigned seed = 2;
    for (unsigned i = 0; i < 5; i++) {
        pid_t pid = verify_client_start(&server, "wide", NULL, arguments);
        sleep_ms(whole_ms / 4 + (unsigned)rand_r(&seed) % whole_ms);
        kill(pid, SIGKILL);
        (void)wait_for(pid);
    }
    struct said said = verify_client(&server, "wide", NULL, kept("people.csv"), "--purpose",
                                     "demo.verify", "--quiet", NULL);
    assert_true(said.status == 0 || strstr(said.error, "is there already") != NULL);
    said_release(&said);
    char *list = read_text(deployment("people.csv")), *results, *at = list, *next, *row;
    results = next = read_text(deployment("people.csv.results.csv"));
    unsigned rows = 0;
    for (; (row = strsep(&at, "\n")) != NULL && *row != 0; rows++) {
        char *result = strsep(&next, "\n");
        assert_non_null(result);
        assert_memory_equal(result, row, strlen(row));
        assert_int_equal(result[strlen(row)], ',');
    }
    assert_int_equal(rows, atoi(PEOPLE) + 1);
    assert_string_equal(next, "");
    free(list);
    free(results);
}

static void an_interrupted_client_asks_no_line_twice(void **state)
{
    (void)state;
    unsigned long before = asked_by("wide");
    copy("list.ndjson", "stopped.ndjson");
    const char *const arguments[] = {kept("stopped.ndjson"), "--quiet", NULL};
    unsigned interrupted = 0;
    for (int status = 1; status != 0; interrupted += status != 0) {
        pid_t pid = verify_client_start(&server, "wide", NULL, arguments);
        sleep_ms(40 + 10 * interrupted);
        kill(pid, interrupted % 2 == 0 ? SIGINT : SIGTERM);
        int end = wait_for(pid);
        assert_true(WIFEXITED(end) || WTERMSIG(end) == SIGINT || WTERMSIG(end) == SIGTERM);
        status = WIFEXITED(end) ? WEXITSTATUS(end) : 1;
        assert_true(interrupted < 100);
    }
    assert_results_are_right("stopped.ndjson.results.ndjson");
    sleep_ms(200); /* the log is written at most 10 ms later */
    assert_int_equal(asked_by("wide") - before, LINES);
}

static void a_server_that_goes_away_is_waited_for(void **state)
{
    (void)state;
    pid_t workers[8];
    copy("list.ndjson", "restart.ndjson");
    const char *const arguments[] = {kept("restart.ndjson"), "--quiet", "--connections", "1", NULL};
    pid_t pid = verify_client_start(&server, "demo", NULL, arguments);
    sleep_ms(50);
    unsigned count = server_workers(&server, workers, 8);
    for (unsigned i = 0; i < count; i++) {
        kill(workers[i], SIGKILL);
    }
    struct said said = verify_client_said(wait_for(pid));
    assert_string_equal(said.error, "");
    assert_int_equal(said.status, 0);
    said_release(&said);
    assert_results_are_right("restart.ndjson.results.ndjson");
}

static void connections_that_are_too_many_for_the_server_wait(void **state)
{
    (void)state;
    copy("list.ndjson", "many.ndjson");
    struct said said = verify_client(&server, "demo", NULL, deployment("many.ndjson"),
                                     "--connections", "64", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.error, "503 overloaded; waiting"));
    said_release(&said);
    assert_results_are_right("many.ndjson.results.ndjson");
}

static void who_may_not_ask_is_told_so_and_nothing_is_written(void **state)
{
    (void)state;
    copy("list.ndjson", "refused.ndjson");
    assert_int_equal(run(xacthuc(), "partner", "disable", deployment("DIR"), "narrow", NULL), 0);
    sleep_ms(1500); /* taken up within a second */
    struct said said = verify_client(&server, "narrow", NULL, deployment("refused.ndjson"), NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "the server refuses: 403 partner_inactive"));
    assert_false(exists("refused.ndjson.results.ndjson"));
    said_release(&said);
    char *part = read_text(deployment("refused.ndjson.results.ndjson.part"));
    assert_string_equal(part, "");
    free(part);
}

/* ---- what is found ------------------------------------------------------------------------------ */

static void results_that_are_torn_are_mended_and_others_refused(void **state)
{
    (void)state;
    struct said said;
    copy("list.ndjson", "torn.ndjson");
    const char *const arguments[] = {kept("torn.ndjson"), "--quiet", NULL};
    for (unsigned i = 0; !exists("torn.ndjson.results.ndjson.part"); i++) {
        pid_t pid = verify_client_start(&server, "demo", NULL, arguments);
        sleep_ms(30 + i);
        kill(pid, SIGKILL);
        (void)wait_for(pid);
        assert_true(i < 100 && !exists("torn.ndjson.results.ndjson"));
    }
    said =
        verify_client(&server, "demo", NULL, deployment("torn.ndjson"), "--match", "exact", NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "other options"));
    said_release(&said);
    /* What a power cut leaves: zeros where data was not yet, and half a line. */
    assert_int_equal(run("/bin/sh", "-c",
                         "head -c 5000 /dev/zero >> \"$0\"; printf '{\"line\":7' >> \"$0\"",
                         deployment("torn.ndjson.results.ndjson.part"), NULL),
                     0);
    finish("torn.ndjson", "torn.ndjson.results.ndjson");
}

static void hostile_lines_get_results_of_their_own(void **state)
{
    (void)state;
    char id[16], name[256], born[16], phone[16], line[512];
    somebody(0, id, name, born, phone);
    FILE *file = fopen(deployment("hostile.ndjson"), "w");
    assert_non_null(file);
    fputs("\xef\xbb\xbf\r\n \n{}\r\nnonsense\n[1]\n{\"id\":\"1\"", file);
    fputc(0, file);
    fputs("}\n{\"txn\":\"", file);
    for (unsigned i = 0; i < 300000; i++) {
        fputc('x', file);
    }
    snprintf(line, sizeof(line), "\"}\n{\"id\":\"%s\",\"claims\":{\"full_name\":\"%s\"}}", id,
             name);
    fputs(line, file);
    assert_int_equal(fclose(file), 0);
    struct said said = verify_client(&server, "demo", NULL, deployment("hostile.ndjson"),
                                     "--purpose", "demo.verify", "--json", "--quiet", NULL);
    assert_string_equal(said.error, "");
    assert_non_null(
        strstr(said.out, "{\"lines\":6,\"verified\":1,\"not_verified\":0,\"errors\":5"));
    assert_non_null(strstr(said.out, "\"line_too_long\":1"));
    said_release(&said);
    char *results = read_text(deployment("hostile.ndjson.results.ndjson"));
    assert_non_null(strstr(results, "{\"line\":7,\"status\":400,\"code\":\"line_too_long\"}\n"));
    assert_non_null(strstr(results, "\n{\"line\":8,\"answer_id\""));
    free(results);
}

static void a_quota_that_is_used_up_stops_the_list_until_there_is_more(void **state)
{
    (void)state;
    char text[8192];
    size_t size = 0;
    for (unsigned i = 0; i < 100; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "{\"id\":\"%012u\",\"claims\":{\"full_name\":\"An\"}}\n", i);
    }
    write_text(deployment("quota.ndjson"), text);
    struct said said =
        verify_client(&server, "quota", NULL, deployment("quota.ndjson"), "--purpose",
                      "demo.verify", "--stop-at-quota", "--quiet", NULL);
    assert_int_equal(said.status, 1);
    assert_non_null(strstr(said.error, "quota is used up"));
    said_release(&said);
    assert_int_equal(asked_by("quota"), 100);
    assert_int_equal(
        run(xacthuc(), "partner", "set", deployment("DIR"), "quota", "--daily-quota", "200", NULL),
        0);
    sleep_ms(1500); /* taken up within a second */
    said = verify_client(&server, "quota", NULL, deployment("quota.ndjson"), "--purpose",
                         "demo.verify", "--json", "--quiet", NULL);
    assert_int_equal(said.status, 0);
    assert_non_null(strstr(said.out, "{\"lines\":100,\"verified\":0,\"not_verified\":100,"));
    said_release(&said);
    assert_int_equal(asked_by("quota"), 160); /* 40 were answered the first time */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_asked_whole),
        cmocka_unit_test(a_table_with_an_operators_own_columns_gets_verdict_columns),
        cmocka_unit_test(what_is_wrong_with_a_list_is_suggested_and_flagged),
        cmocka_unit_test(a_killed_client_goes_on_and_asks_each_line_once),
        cmocka_unit_test(a_killed_client_goes_on_with_a_table_too),
        cmocka_unit_test(an_interrupted_client_asks_no_line_twice),
        cmocka_unit_test(a_server_that_goes_away_is_waited_for),
        cmocka_unit_test(connections_that_are_too_many_for_the_server_wait),
        cmocka_unit_test(who_may_not_ask_is_told_so_and_nothing_is_written),
        cmocka_unit_test(results_that_are_torn_are_mended_and_others_refused),
        cmocka_unit_test(hostile_lines_get_results_of_their_own),
        cmocka_unit_test(a_quota_that_is_used_up_stops_the_list_until_there_is_more),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
