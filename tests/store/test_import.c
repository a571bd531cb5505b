/* `xacthuc import`, `check` and `stats` as their operator sees them: the real binary. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/generation.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define REJECTS "import-rejects.ndjson"
#define AN                                                                                         \
    "{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\"}\n"
#define BINH                                                                                       \
    "{\"id\":\"001199012346\",\"full_name\":\"Trần Thị Bình\",\"date_of_birth\":\"1999-02\"}\n"
#define CHAU "{\"id\":\"079080000001\",\"full_name\":\"Lê Châu\",\"date_of_birth\":\"1980\"}\n"

static int import_text(const char *text)
{
    return run_with_input(text, strlen(text), "import", "DIR", "-", NULL);
}

static bool served(uint64_t number)
{
    struct xt_generation *generation = open_served();
    bool found = find_is(generation, XT_ID_PERSONAL, number, true);
    xt_generation_close(generation);
    return found;
}

static void assert_one_line(const char *text)
{
    assert_true(strlen(text) > 0);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void people_come_from_a_pipe_or_a_file(void **state)
{
    (void)state;
    assert_int_equal(import_text(AN BINH), 0);
    assert_non_null(strstr(run_out, "generation 000001 is served: 2 people, 0 rejects"));
    assert_non_null(strstr(run_out, "hot"));
    assert_true(served(1099012345));
    assert_false(exists(REJECTS));
    write_text("people.ndjson", CHAU);
    assert_int_equal(
        run("import", "DIR", deployment_path("people.ndjson"), "--json", "--memory", "256M", NULL),
        0);
    assert_non_null(strstr(run_out, "\"generation\":2,\"people\":1,\"rejects\":0,"
                                    "\"rejects_file\":null"));
    assert_non_null(strstr(run_out, "\"hot\":{\"records\":1,\"disk_bytes\":"));
    assert_one_line(run_out);
    assert_true(served(79080000001));
    assert_false(served(1099012345));
}

static void ends_of_line_marks_and_empty_lines_do_not_matter(void **state)
{
    (void)state;
    char text[2048];
    snprintf(text, sizeof(text), "\xef\xbb\xbf%s\r\n\r\n\n%s", AN, BINH);
    text[strlen(text) - 1] = 0; /* the last line without its end */
    assert_int_equal(import_text(text), 0);
    assert_non_null(strstr(run_out, "2 people"));
}

static void a_bad_line_fails_the_import_and_is_told_without_its_content(void **state)
{
    (void)state;
    assert_int_equal(import_text(AN), 0);
    assert_int_equal(import_text(BINH "{\"id\":\"001099012399\",\"full_name\":\"Đỗ Thị "
                                      "Kín\",\"date_of_birth\":\"2023-02-30\"}\n"
                                      "not json\n" CHAU "{\"id\":\"1\"}\n"),
                     1);
    assert_string_equal(run_out, "");
    assert_non_null(strstr(run_err, "3 lines were refused and --max-rejects allows 0: see "));
    const char *rejects = read_text(REJECTS);
    assert_non_null(
        strstr(rejects, "{\"line\":2,\"code\":\"bad_date\",\"pointer\":\"/date_of_birth\"}\n"));
    assert_non_null(strstr(rejects, "{\"line\":3,\"code\":\"malformed_json\",\"pointer\":\"\"}\n"));
    assert_non_null(strstr(rejects, "{\"line\":5,\"code\":\"bad_id\",\"pointer\":\"/id\"}\n"));
    assert_null(strstr(rejects, "001099012399"));
    assert_null(strstr(rejects, "Kín"));
    assert_null(strstr(rejects, "2023"));
    assert_null(strstr(run_err, "001099012399"));
    assert_true(served(1099012345)); /* as it was */
    assert_false(served(1199012346));
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_false(exists(REJECTS ".partial"));
}

static void rejects_up_to_the_limit_are_let_through(void **state)
{
    (void)state;
    const char text[] = AN "bad\nbad\n" BINH;
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--max-rejects", "1",
                                    "--json", NULL),
                     1);
    assert_non_null(strstr(run_out, "{\"generation\":null,\"people\":2,\"rejects\":2,"));
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--max-rejects", "2",
                                    "--rejects", deployment_path("mine.ndjson"), NULL),
                     0);
    assert_non_null(strstr(run_out, "2 people, 2 rejects"));
    assert_non_null(strstr(run_out, "mine.ndjson"));
    assert_non_null(strstr(read_text("mine.ndjson"), "\"line\":2,"));
    assert_int_equal(import_text(AN), 0); /* nothing to tell: the old file goes */
    assert_false(exists(REJECTS));
    assert_true(exists("mine.ndjson"));
}

static void a_duplicate_names_both_lines(void **state)
{
    (void)state;
    assert_int_equal(import_text(CHAU AN BINH AN), 1);
    assert_string_equal(
        read_text(REJECTS),
        "{\"line\":4,\"first_line\":2,\"code\":\"duplicate_id\",\"pointer\":\"/id\"}\n");
    assert_int_equal(
        import_text(AN "{\"id\":\"001199012346\",\"full_name\":\"Trần Thị Bình\",\"date_of_birth\":"
                       "\"1999\",\"replaced_numbers\":[\"001099012345\"]}\n"),
        1);
    assert_string_equal(read_text(REJECTS),
                        "{\"line\":2,\"first_line\":1,\"code\":\"replaced_number_in_use\","
                        "\"pointer\":\"/replaced_numbers\"}\n");
}

static void a_line_that_is_too_long_is_one_reject(void **state)
{
    (void)state;
    size_t size = 3U << 20;
    char *text = malloc(size + 512);
    assert_non_null(text);
    memset(text, 'x', size);
    snprintf(text + size, 512, "\n%s", AN);
    assert_int_equal(
        run_with_input(text, strlen(text), "import", "DIR", "-", "--max-rejects", "1", NULL), 0);
    assert_string_equal(read_text(REJECTS),
                        "{\"line\":1,\"code\":\"line_too_long\",\"pointer\":\"\"}\n");
    free(text);
}

static void an_input_without_people_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(import_text(AN), 0);
    assert_int_equal(import_text(""), 1);
    assert_non_null(strstr(run_err, "there is nobody in the standard input"));
    assert_int_equal(run("import", "DIR", deployment_path("missing.ndjson"), NULL), 1);
    assert_one_line(run_err);
    assert_true(served(1099012345));
}

static void csv_and_ndjson_of_the_same_people_give_the_same_answers(void **state)
{
    (void)state;
    struct xt_generation *generation;
    struct xt_found from_json;
    struct xt_found from_csv;
    const struct xt_id ids[] = {{.kind = XT_ID_PERSONAL, .value = 1099012345},
                                {.kind = XT_ID_PERSONAL, .value = 79080000001},
                                {.kind = XT_ID_PERSONAL, .value = 1099999999},
                                {.kind = XT_ID_CMND, .value = 12345678},
                                {.kind = XT_ID_PERSONAL, .value = 5}};
    struct xt_found found[5];
    assert_int_equal(
        import_text("{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":"
                    "\"1999-01-25\",\"sex\":\"male\",\"old_id\":\"012345678\","
                    "\"replaced_numbers\":[\"001099999999\"],\"address\":{\"province\":\"001\","
                    "\"ward\":\"00004\",\"text\":\"Số 10, Tràng Thi\"},\"card\":{\"issued_on\":"
                    "\"2021-04-25\",\"expires_on\":\"2039-01-25\",\"state\":\"active\"},"
                    "\"phones\":[\"+84912345678\",\"0912345679\"],\"account\":{\"level\":2,"
                    "\"locks\":[\"holder\",\"breach\"]}}\n" CHAU),
        0);
    memset(&from_json, 0, sizeof(from_json));
    memset(&from_csv, 0, sizeof(from_csv));
    memset(found, 0, sizeof(found));
    generation = open_served();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(xt_generation_find(generation, ids[i], &found[i]), XT_OK);
        assert_int_equal(found[i].found, i < 4);
    }
    xt_generation_close(generation);
    write_text("people.csv",
               "id,full_name,date_of_birth,sex,old_id,replaced_numbers,address.province,"
               "address.ward,address.text,card.issued_on,card.expires_on,card.state,phones,"
               "account.level,account.locks\r\n"
               "001099012345,Nguyễn Văn An,1999-01-25,male,012345678,001099999999,001,00004,"
               "\"Số 10, Tràng Thi\",2021-04-25,2039-01-25,active,+84912345678 0912345679,2,"
               "holder breach\r\n"
               "\r\n"
               "079080000001,\"Lê Châu\",1980,,,,,,,,,,,,\r\n");
    assert_int_equal(run("import", "DIR", deployment_path("people.csv"), NULL), 0);
    generation = open_served();
    for (unsigned i = 0; i < 5; i++) {
        memset(&from_csv, 0, sizeof(from_csv));
        assert_int_equal(xt_generation_find(generation, ids[i], &from_csv), XT_OK);
        assert_memory_equal(&from_csv, &found[i], sizeof(from_csv));
    }
    xt_generation_close(generation);
}

static void a_csv_is_refused_line_by_line_and_for_its_header(void **state)
{
    (void)state;
    const char text[] = "id,full_name,date_of_birth\n"
                        "001099012345,Nguyễn Văn An,1999-01-25\n"
                        "001099012346,\"Nguyễn Văn Ba,1999-01-25\n" /* a quote is missing */
                        "001099012347,Nguyễn Văn Ca\n"
                        "001099012348,Nguyễn Văn Du,1999-13-25\n";
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--format", "csv",
                                    "--max-rejects", "3", NULL),
                     0);
    assert_string_equal(read_text(REJECTS),
                        "{\"line\":3,\"code\":\"malformed_csv\",\"pointer\":\"\"}\n"
                        "{\"line\":4,\"code\":\"column_count\",\"pointer\":\"\"}\n"
                        "{\"line\":5,\"code\":\"bad_date\",\"pointer\":\"/date_of_birth\"}\n");
    const char header[] = "id,full_name,birthday\n001099012345,Nguyễn Văn An,1999-01-25\n";
    assert_int_equal(
        run_with_input(header, strlen(header), "import", "DIR", "-", "--format", "csv", NULL), 1);
    assert_non_null(strstr(run_err, "the header of the CSV cannot be used: unknown_column"));
    /* Read as what it is not, it is one mistake and not a reject a line. */
    assert_int_equal(
        run_with_input(text, strlen(text), "import", "DIR", "-", "--max-rejects", "9", NULL), 1);
    assert_non_null(strstr(run_err, "is a CSV header: give --format csv"));
    assert_one_line(run_err);
    assert_true(served(1099012345));
}

static void wrong_usage_is_told_in_one_line(void **state)
{
    (void)state;
    assert_int_equal(run("import", NULL), 2);
    assert_one_line(run_err);
    assert_int_equal(run("import", "DIR", NULL), 2);
    assert_int_equal(run("import", "DIR", "a", "b", NULL), 2);
    assert_int_equal(run("import", "DIR", "-", "--max-rejects", "many", NULL), 2);
    assert_int_equal(run("import", "DIR", "-", "--format", "xml", NULL), 2);
    const char *const memories[] = {"", "G", "2", "255M", "2g", "-1G", "99999999999999999999G"};
    for (unsigned i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
        assert_int_equal(run("import", "DIR", "-", "--memory", memories[i], NULL), 2);
        assert_non_null(strstr(run_err, "--memory needs a size"));
        assert_one_line(run_err);
    }
    assert_int_equal(run("import", "DIR", "-", "--nonsense", NULL), 2);
    assert_non_null(strstr(run_err, "--nonsense"));
    assert_int_equal(run("import", "DIR", "-", "--rejects", NULL), 2);
    assert_one_line(run_err);
    assert_int_equal(run("import", "--help", NULL), 0);
    assert_non_null(strstr(run_out, "usage: xacthuc import DIR FILE"));
    assert_int_equal(run("import", "--version", NULL), 0);
    assert_int_equal(run("import", deployment_path("nowhere"), "-", NULL), 1);
    assert_one_line(run_err);
    assert_non_null(strstr(run_err, "make one with xacthuc init"));
}

static void a_second_import_is_told_to_wait(void **state)
{
    (void)state;
    int lock = open(deployment_path("identity/.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(import_text(AN), 1);
    assert_non_null(strstr(run_err, "another import is at work"));
    close(lock);
    assert_int_equal(import_text(AN), 0);
}

/* Starts an import that reads from a pipe, gives it some people and half a line, and a signal. */
/* Empty lines, so many that the blocks of the first ones are read into again and their rejects told. */
static void fill_pipe(int fd, size_t size)
{
    static char lines[65536];
    memset(lines, '\n', sizeof(lines));
    while (size > 0) {
        ssize_t wrote = write(fd, lines, size < sizeof(lines) ? size : sizeof(lines));
        assert_true(wrote > 0);
        size -= (size_t)wrote;
    }
}

static void an_interrupted_import_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(import_text(AN), 0);
    unsigned before = count_names("identity", "");
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < 3; i++) {
        int ends[2];
        int status = 0;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        pid_t child = fork();
        if (child == 0) {
            dup2(ends[0], 0);
            (void)signal(SIGHUP, SIG_DFL); /* whoever runs the tests may have it ignored */
            execl(program(), "xacthuc", "import", deployment(), "-", "--quiet", NULL);
            _exit(127);
        }
        close(ends[0]);
        const char text[] = BINH "bad line\n" CHAU "{\"id\":\"0010";
        assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
        fill_pipe(ends[1], 4U << 20);
        for (unsigned tries = 0; tries < 1000 && !exists(REJECTS ".partial"); tries++) {
            nanosleep(&(struct timespec){0, 5000000}, NULL); /* until it has read that far */
        }
        assert_true(exists(REJECTS ".partial"));
        assert_int_equal(count_names("identity", "building-"), 1);
        assert_int_equal(kill(child, signals[i]), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        close(ends[1]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        assert_int_equal(count_names("identity", ""), before);
        assert_false(exists(REJECTS ".partial") || exists(REJECTS));
        assert_true(served(1099012345));
    }
}

static void a_full_disk_is_a_clear_refusal(void **state)
{
    (void)state;
    const char *identity = deployment_path("identity");
    if (mount("none", identity, "tmpfs", 0, "size=4m") != 0) {
        skip(); /* needs root */
    }
    assert_int_equal(import_text(AN), 1); /* the manifest and the tree keep a reserve */
    assert_non_null(strstr(run_err, "not enough room"));
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_int_equal(umount(identity), 0);
}

static void check_tells_sound_from_damaged(void **state)
{
    (void)state;
    assert_int_equal(run("check", "DIR", NULL), 1);
    assert_non_null(strstr(run_err, "nothing was imported"));
    build_people(0, 500);
    assert_int_equal(run("check", "DIR", NULL), 0);
    assert_string_equal(run_out, "generation 000001 is sound: 500 people, 1592 records\n");
    assert_int_equal(run("check", "DIR", "--json", "--quiet", NULL), 0);
    assert_string_equal(run_out, "{\"generation\":1,\"sound\":true,\"people\":500,\"records\":1592,"
                                 "\"damaged\":0}\n");
    assert_string_equal(run_err, "");

    const char *path = deployment_path("identity/000001/data.mdb");
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    uint8_t byte;
    /* 20000 bytes in, behind the slots of the first page of the hot table */
    assert_int_equal(pread(fd, &byte, 1, 20000), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 20000), 1);
    close(fd);
    assert_int_equal(run("check", "DIR", "--json", "--quiet", NULL), 1);
    assert_non_null(strstr(run_out, "\"sound\":false"));
    assert_non_null(strstr(run_out, "\"table\":\"hot\",\"page\":0,\"record\":"));
    assert_non_null(strstr(run_err, "generation 000001 is damaged in "));
    assert_int_equal(run("check", "DIR", NULL), 1);
    assert_non_null(strstr(run_out, "table hot, page 0, record "));
    assert_int_equal(run("check", "DIR", "--generation", "7", NULL), 1);
    assert_int_equal(run("check", "DIR", "--generation", "0", NULL), 2);
    assert_int_equal(run("check", NULL), 2);
    assert_int_equal(run("check", "--help", NULL), 0);
}

static void stats_counts_people_and_hides_small_cells(void **state)
{
    (void)state;
    build_people(0, 900); /* 450 in each of two provinces; 9 women */
    assert_int_equal(run("stats", "DIR", NULL), 0);
    assert_non_null(strstr(run_out, "generation 000001: 900 people, 0 replaced numbers, 300 CMND"));
    assert_non_null(strstr(run_out, "450  001 Hà Nội\n"));
    assert_non_null(strstr(run_out, "<10  female\n"));
    assert_non_null(strstr(run_out, "891  male\n"));
    assert_non_null(strstr(run_out, "300  2\n"));
    assert_int_equal(run("stats", "DIR", "--json", "--quiet", NULL), 0);
    assert_non_null(strstr(run_out, "\"people\":900,"));
    assert_non_null(strstr(run_out, "{\"value\":\"female\",\"count\":\"<10\"}"));
    assert_non_null(strstr(run_out, "{\"value\":\"male\",\"count\":891}"));
    assert_non_null(strstr(run_out, "{\"value\":\"002\",\"count\":450}"));
    assert_non_null(strstr(run_out, "{\"value\":\"deceased\","));
    assert_non_null(strstr(run_out, "{\"value\":\"cancelled\","));
    assert_one_line(run_out);
    assert_string_equal(run_err, "");
    assert_int_equal(run("stats", NULL), 2);
    assert_int_equal(run("stats", "--help", NULL), 0);
}

static void cancelled_records_are_folded_and_counted(void **state)
{
    (void)state;
    const char text[] =
        "{\"id\":\"001099099999\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
        "\"status\":\"cancelled\",\"old_id\":\"012345678\"}\n"
        "{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
        "\"old_id\":\"012345678\",\"replaced_numbers\":[\"001099099999\"]}\n";
    assert_int_equal(import_text(text), 0);
    assert_non_null(strstr(run_out, "is served: 1 people, 0 rejects"));
    assert_non_null(strstr(run_out, "  1 cancelled records were folded into their successors\n"));
    assert_true(served(1099099999));
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"people\":1,\"rejects\":0,"));
    assert_non_null(strstr(run_out, "\"folded\":1,\"replaced\":1,\"aliases\":1,"));
    assert_int_equal(run("check", "DIR", "--quiet", NULL), 0);
    char more[1024];
    snprintf(more, sizeof(more), "%sbad\n", text);
    assert_int_equal(run_with_input(more, strlen(more), "import", "DIR", "-", "--json", NULL), 1);
    assert_non_null(strstr(run_out, "{\"generation\":null,\"people\":1,\"rejects\":1,"));
    import_text(AN);
    assert_null(strstr(run_out, "folded"));
}

static int import_file(const char *input, const char *rejects)
{
    return run("import", "DIR", deployment_path(input), "--rejects", deployment_path(rejects),
               "--max-rejects", "5", NULL);
}

static void the_rejects_never_take_the_place_of_other_data(void **state)
{
    (void)state;
    const char *const inputs[] = {AN BINH, AN "bad\n"}; /* would remove it; would replace it */
    for (unsigned i = 0; i < 2; i++) {
        write_text("people.ndjson", inputs[i]);
        assert_int_equal(import_file("people.ndjson", "people.ndjson"), 1);
        assert_one_line(run_err);
        assert_non_null(strstr(run_err, "is what is to be imported"));
        assert_int_equal(link(deployment_path("people.ndjson"), deployment_path("again.ndjson")),
                         0);
        assert_int_equal(import_file("people.ndjson", "again.ndjson"), 1);
        assert_int_equal(unlink(deployment_path("again.ndjson")), 0);
        assert_string_equal(read_text("people.ndjson"), inputs[i]);

        write_text("notes.txt", "precious");
        assert_int_equal(import_file("people.ndjson", "notes.txt"), 1);
        assert_non_null(strstr(run_err, "is not overwritten"));
        assert_string_equal(read_text("notes.txt"), "precious");
        write_text("mine.partial", "precious");
        assert_int_equal(import_file("people.ndjson", "mine"), 1);
        assert_string_equal(read_text("mine.partial"), "precious");
        assert_int_equal(exists("identity/current"), i == 1); /* nothing was built yet */

        write_text("empty", "");
        write_text("before", "{\"line\":3,\"code\":\"bad_id\",\"pointer\":\"/id\"}\n");
        write_text("before.partial", "{\"line\":3,\"co");
        assert_int_equal(import_file("people.ndjson", "empty"), 0);
        assert_int_equal(import_file("people.ndjson", "before"), 0);
        assert_int_equal(exists("empty"), i == 1);
        assert_int_equal(exists("before"), i == 1);
        assert_false(exists("before.partial"));
        assert_int_equal(run("check", "DIR", "--quiet", NULL), 0);
    }
    assert_int_equal(run("import", "--help", NULL), 0);
    assert_non_null(strstr(run_out, "never replaced or removed"));
}

/* Writes x without end until nobody reads any more. */
static pid_t start_endless_line(int to)
{
    pid_t child = fork();
    if (child == 0) {
        static char text[1 << 16];
        memset(text, 'x', sizeof(text));
        signal(SIGPIPE, SIG_DFL);
        while (write(to, text, sizeof(text)) > 0) {
        }
        _exit(0);
    }
    return child;
}

static void an_endless_line_can_be_interrupted(void **state)
{
    (void)state;
    int ends[2];
    int status = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[0], 0);
        execl(program(), "xacthuc", "import", deployment(), "-", "--quiet", NULL);
        _exit(127);
    }
    close(ends[0]);
    pid_t writer = start_endless_line(ends[1]);
    close(ends[1]);
    for (unsigned tries = 0; tries < 1000 && count_names("identity", "building-") == 0; tries++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    nanosleep(&(struct timespec){0, 50000000}, NULL); /* into the line; either way must end */
    assert_int_equal(kill(child, SIGINT), 0);
    for (unsigned tries = 0; tries < 2000 && waitpid(child, &status, WNOHANG) == 0; tries++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 1;
    if (waitpid(child, &status, WNOHANG) == 0) { /* a failure must not leave it running */
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        ended = false;
    }
    waitpid(writer, &status, 0); /* its pipe is broken */
    assert_true(ended);
    assert_int_equal(count_names("identity", "building-"), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, deployment_make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(people_come_from_a_pipe_or_a_file),
        EACH(ends_of_line_marks_and_empty_lines_do_not_matter),
        EACH(a_bad_line_fails_the_import_and_is_told_without_its_content),
        EACH(rejects_up_to_the_limit_are_let_through),
        EACH(a_duplicate_names_both_lines),
        EACH(a_line_that_is_too_long_is_one_reject),
        EACH(an_input_without_people_changes_nothing),
        EACH(csv_and_ndjson_of_the_same_people_give_the_same_answers),
        EACH(a_csv_is_refused_line_by_line_and_for_its_header),
        EACH(wrong_usage_is_told_in_one_line),
        EACH(a_second_import_is_told_to_wait),
        EACH(an_interrupted_import_leaves_nothing),
        EACH(a_full_disk_is_a_clear_refusal),
        EACH(check_tells_sound_from_damaged),
        EACH(stats_counts_people_and_hides_small_cells),
        EACH(cancelled_records_are_folded_and_counted),
        EACH(the_rejects_never_take_the_place_of_other_data),
        EACH(an_endless_line_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
