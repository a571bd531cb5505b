/* `xacthuc import`, `check` and `stats` as their operator sees them: the real binary. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/generation.h"
#include "store/import_people.h"
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

/* Keys: the generator of P-256; the same with a y that no point has; Ed25519 of order 1, and of 31 bytes. */
#define P256 "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
#define KEY_OF_A_POINT                                                                             \
    P256 "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q"
#define KEY_OF_NO_POINT                                                                            \
    P256 "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li_hp_m47n60p8D54WK84zV2sxXs7LtkBoN79R9g"
#define KEY_OF_SMALL_ORDER "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_TOO_SHORT "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define CARD(id, key)                                                                              \
    "{\"id\":\"" id                                                                                \
    "\",\"full_name\":\"Lê Kín\",\"date_of_birth\":\"1999\",\"card\":{\"public_key\":\"" key       \
    "\"}}\n"
#define DEVICE(id, key)                                                                            \
    "{\"id\":\"" id                                                                                \
    "\",\"full_name\":\"Lê Kín\",\"date_of_birth\":\"1999\",\"account\":{\"level\":1,"           \
    "\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" KEY_OF_A_POINT                           \
    "\"},{\"device_id\":\"b\",\"public_key\":\"" key "\"}]}}\n"
#define HINT                                                                                       \
    ",\"hint\":\"give the base64url text of the DER of a SubjectPublicKeyInfo: of P-256 an "       \
    "uncompressed "                                                                                \
    "point of the curve, or Ed25519; or leave the key out\"}\n"

static void keys_that_nobody_can_sign_with_are_rejects(void **state)
{
    (void)state;
    static const char people[] = CARD("001099000001", KEY_OF_A_POINT)
        CARD("001099000002", KEY_OF_NO_POINT) CARD("001099000003", KEY_OF_SMALL_ORDER)
            CARD("001099000004", KEY_TOO_SHORT) CARD("001099000005", "AAAA")
                DEVICE("001099000006", KEY_OF_A_POINT) DEVICE("001099000007", KEY_OF_NO_POINT)
                    DEVICE("001099000008", KEY_OF_SMALL_ORDER);
    assert_int_equal(import_text(people), 1);
    const char *rejects = read_text(REJECTS);
    assert_string_equal(
        rejects,
        "{\"line\":2,\"code\":\"bad_key\",\"pointer\":\"/card/public_key\"" HINT
        "{\"line\":3,\"code\":\"bad_key\",\"pointer\":\"/card/public_key\"" HINT
        "{\"line\":4,\"code\":\"bad_key\",\"pointer\":\"/card/public_key\"" HINT
        "{\"line\":5,\"code\":\"bad_key\",\"pointer\":\"/card/public_key\"" HINT
        "{\"line\":7,\"code\":\"bad_key\",\"pointer\":\"/account/devices/1/public_key\"" HINT
        "{\"line\":8,\"code\":\"bad_key\",\"pointer\":\"/account/devices/1/public_key\"" HINT);
    static const char rows[] = "id,full_name,date_of_birth,card.public_key\n"
                               "001099000001,Lê Kín,1999," KEY_OF_A_POINT "\n"
                               "001099000002,Lê Kín,1999," KEY_OF_NO_POINT "\n"
                               "001099000003,Lê Kín,1999,\n";
    assert_int_equal(run_with_input(rows, strlen(rows), "import", "DIR", "-", "--format", "csv",
                                    "--max-rejects", "1", NULL),
                     0);
    assert_non_null(strstr(run_out, "is served: 2 people, 1 rejects"));
    assert_string_equal(read_text(REJECTS),
                        "{\"line\":3,\"code\":\"bad_key\",\"pointer\":\"/card.public_key\"" HINT);
    assert_true(served(1099000001));
    assert_false(served(1099000002));
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

/* Nothing but what counts: what is past the counts may be anything, and so may be who is not found. */
static void keep_what_counts(struct xt_found *found)
{
    struct xt_hot *hot = &found->hot;
    memset(hot->name.codes + hot->name.length, 0, XT_NAME_MAX - (size_t)hot->name.length);
    memset(hot->phones + hot->phone_count, 0,
           sizeof(hot->phones) - hot->phone_count * sizeof(hot->phones[0]));
    if (!found->found) {
        memset(hot, 0, sizeof(*hot));
    }
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
        keep_what_counts(&found[i]);
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
        keep_what_counts(&from_csv);
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

static void a_csv_may_begin_with_more_empty_lines_than_a_block_holds(void **state)
{
    (void)state;
    enum { EMPTY = 600 << 10 };
    static char text[EMPTY + 256];
    memset(text, '\n', EMPTY);
    snprintf(text + EMPTY, sizeof(text) - EMPTY,
             "id,full_name,date_of_birth\n001099012345,Nguyễn Văn An,1999-01-25\n1,x,y\n");
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--format", "csv",
                                    "--max-rejects", "1", NULL),
                     0);
    assert_string_equal(read_text(REJECTS),
                        "{\"line\":614403,\"code\":\"bad_id\",\"pointer\":\"/id\"}\n");
    assert_true(served(1099012345));
    assert_int_equal(run_with_input(text, EMPTY, "import", "DIR", "-", "--format", "csv", NULL), 1);
    assert_non_null(strstr(run_err, "there is nobody in"));
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
    assert_non_null(strstr(run_err, "another import or compaction is at work"));
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
    /* 9 are women, which the number of men would tell; one province hides for the empty ones. */
    assert_non_null(strstr(run_out, "         900\n"));
    assert_non_null(strstr(run_out, "-  001 Hà Nội\n"));
    assert_non_null(strstr(run_out, "450  002 Hà Giang\n"));
    assert_non_null(strstr(run_out, "-  female\n"));
    assert_non_null(strstr(run_out, "-  male\n"));
    assert_non_null(strstr(run_out, "300  2\n"));
    assert_null(strstr(run_out, "891"));
    assert_int_equal(run("stats", "DIR", "--json", "--quiet", NULL), 0);
    assert_non_null(strstr(run_out, "\"people\":900,"));
    assert_non_null(strstr(run_out, "\"published\":false,"));
    assert_non_null(strstr(run_out, "\"counts\":[null,null]"));
    assert_non_null(strstr(run_out, "\"counts\":[300,300,300]"));
    assert_null(strstr(run_out, "891"));
    assert_one_line(run_out);
    assert_string_equal(run_err, "");
    assert_int_equal(run("stats", "DIR", "--by", "account", "--json", NULL), 0);
    assert_non_null(strstr(run_out, ",\"by\":[\"account\"],"));
    assert_non_null(strstr(run_out, ",\"counts\":[300,300,300]}\n"));
    assert_int_equal(run("stats", "DIR", "--by", "province,age,sex", NULL), 0);
    assert_non_null(strstr(run_out, "withheld"));
    assert_int_equal(run("stats", "DIR", "--by", "province,unit", NULL), 2);
    assert_int_equal(run("stats", "DIR", "--by", "name", NULL), 2);
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

static void very_many_short_rejects_are_all_told(void **state)
{
    (void)state;
    enum { COUNT = 300000 }; /* several blocks of lines of two bytes */
    char *text = malloc(2 * COUNT + 256);
    assert_non_null(text);
    for (unsigned i = 0; i < COUNT; i++) {
        memcpy(text + 2 * (size_t)i, "x\n", 2);
    }
    snprintf(text + 2 * COUNT, 256, "%s{\"id\":\"1\"}\n", AN);
    assert_int_equal(run_with_input(text, strlen(text), "import", "DIR", "-", "--max-rejects",
                                    "300001", "--quiet", NULL),
                     0);
    free(text);
    FILE *file = fopen(deployment_path(REJECTS), "r");
    char line[256] = "";
    char expected[256];
    assert_non_null(file);
    unsigned wrong = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(expected, sizeof(expected),
                 "{\"line\":%u,\"code\":\"malformed_json\",\"pointer\":\"\"}\n", i + 1);
        wrong += fgets(line, sizeof(line), file) == NULL || strcmp(line, expected) != 0;
    }
    assert_int_equal(wrong, 0);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, "{\"line\":300002,\"code\":\"bad_id\",\"pointer\":\"/id\"}\n");
    assert_null(fgets(line, sizeof(line), file));
    fclose(file);
}

/* The exit status of an import that must end by itself soon; -1: it did not. */
static int wait_for_end(pid_t child)
{
    int status = 0;
    for (unsigned tries = 0; tries < 4000; tries++) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

/* A person of whom a thread writes two to the disk with the third: no block holds three. */
static size_t write_large_person(char *text, size_t size)
{
    char long_text[513];
    memset(long_text, 'A', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    int at = snprintf(
        text, size,
        "{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
        "\"ethnicity\":\"%s\",\"home_town\":\"%s\",\"place_of_birth\":\"%s\",\"father_name\":\"%"
        "s\","
        "\"mother_name\":\"%s\",\"account\":{\"level\":2,\"devices\":[",
        long_text, long_text, long_text, long_text, long_text);
    for (unsigned i = 0; i < 16; i++) {
        at += snprintf(text + at, size - (size_t)at,
                       "%s{\"device_id\":\"%.500s-%u\",\"public_key\":\"" KEY_OF_A_POINT "\"}",
                       i == 0 ? "" : ",", long_text, i);
    }
    at += snprintf(text + at, size - (size_t)at, "]}}\n");
    return (size_t)at;
}

/* So that an import has one lane. */
static void use_one_processor(void)
{
    cpu_set_t all;
    cpu_set_t one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(all), &all) == 0) {
        for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
            if (CPU_ISSET(i, &all)) {
                CPU_SET(i, &one);
            }
        }
        (void)sched_setaffinity(0, sizeof(one), &one);
    }
}

/* Whoever writes into the pipe keeps it open and says nothing more. */
static void a_lane_that_fails_ends_the_wait_for_input(void **state)
{
    (void)state;
    static char text[32768];
    int ends[2];
    int errors[2];
    const char *path = program();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit small = {4096, 4096}; /* as if the disk were full */
        (void)setrlimit(RLIMIT_FSIZE, &small);
        use_one_processor();
        dup2(ends[0], 0);
        dup2(errors[1], 2);
        execl(path, "xacthuc", "import", deployment(), "-", "--quiet", NULL);
        _exit(127);
    }
    close(ends[0]);
    close(errors[1]);
    size_t size = write_large_person(text, sizeof(text));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(write(ends[1], text, size), (ssize_t)size);
    }
    int status = wait_for_end(child);
    ssize_t got = read(errors[0], text, sizeof(text) - 1);
    assert_true(got > 0);
    text[got] = 0;
    close(ends[1]);
    close(errors[0]);
    assert_int_equal(status, 1);
    assert_non_null(strstr(text, "make room and import again"));
    assert_one_line(text);
    assert_int_equal(count_names("identity", "building-"), 0);
}

static void a_reject_file_that_may_not_grow_is_told(void **state)
{
    (void)state;
    const char *path = program();
    FILE *in = tmpfile();
    FILE *err = tmpfile();
    char text[1024];
    assert_true(in != NULL && err != NULL);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(fputs("bad\n", in) >= 0);
    }
    rewind(in);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit small = {4096, 4096};
        (void)signal(SIGXFSZ, SIG_DFL);
        (void)setrlimit(RLIMIT_FSIZE, &small);
        dup2(fileno(in), 0);
        dup2(fileno(err), 2);
        execl(path, "xacthuc", "import", deployment(), "-", "--max-rejects", "1000", NULL);
        _exit(127);
    }
    int status = wait_for_end(child);
    rewind(err);
    text[fread(text, 1, sizeof(text) - 1, err)] = 0;
    fclose(in);
    fclose(err);
    assert_int_equal(status, 1);
    assert_non_null(strstr(text, "cannot write the reject file"));
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_false(exists(REJECTS ".partial"));
}

/* One person and so many empty lines. */
static void write_sparse(const char *name, size_t size)
{
    FILE *file = fopen(deployment_path(name), "w");
    char *lines = malloc(size);
    assert_true(file != NULL && lines != NULL);
    memset(lines, '\n', size);
    assert_true(fputs(AN, file) >= 0);
    assert_int_equal(fwrite(lines, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    free(lines);
}

static void an_estimate_refuses_only_what_is_far_from_fitting(void **state)
{
    (void)state;
    const char *identity = deployment_path("identity");
    if (mount("none", identity, "tmpfs", 0, "size=8m") != 0) {
        skip(); /* needs root */
    }
    write_sparse("little.ndjson", 1U << 20);
    write_sparse("more.ndjson", 13U << 20);
    write_sparse("much.ndjson", 30U << 20);
    assert_int_equal(run("import", "DIR", deployment_path("little.ndjson"), "--quiet", NULL), 0);
    assert_string_equal(run_err, "");
    assert_int_equal(run("import", "DIR", deployment_path("more.ndjson"), "--quiet", NULL), 0);
    assert_non_null(strstr(run_err, "xacthuc import: the new generation may not fit at "));
    assert_non_null(strstr(run_err, "about 10.4 MiB are needed and "));
    assert_one_line(run_err);
    assert_true(served(1099012345));
    assert_int_equal(run("import", "DIR", deployment_path("much.ndjson"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "not enough room"));
    assert_non_null(strstr(run_err, "about 24.0 MiB are needed and "));
    assert_one_line(run_err);
    assert_int_equal(count_names("identity", "building-"), 0);
    assert_int_equal(umount(identity), 0);
}

/* Whether a file of /proc/PID that everybody may read holds some text. */
static bool proc_has(pid_t child, const char *name, const char *text)
{
    char path[64];
    char content[4096];
    snprintf(path, sizeof(path), "/proc/%ld/%s", (long)child, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, content, sizeof(content) - 1);
    content[size < 0 ? 0 : size] = 0;
    close(fd);
    return strstr(content, text) != NULL;
}

/* proc(5): what is in /proc/PID belongs to root when the process is not dumpable, whoever runs it. The
 * import waits for whoever opens the other end of its input. */
static void nobody_else_of_the_same_user_may_look_into_an_import(void **state)
{
    (void)state;
    char path[64];
    struct stat facts = {.st_uid = 65534};
    const char *importer = program();
    const char *fifo = deployment_path("people.ndjson");
    if (geteuid() != 0) {
        skip(); /* needs root, to become somebody else */
    }
    assert_int_equal(mkfifo(fifo, 0644), 0);
    assert_int_equal(chmod(fifo, 0644), 0);
    assert_int_equal(chmod(deployment(), 0711), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0) {
            _exit(126);
        }
        execl(importer, "xacthuc", "import", deployment(), fifo, "--quiet", NULL);
        _exit(127);
    }
    bool hidden = false;
    for (unsigned tries = 0; tries < 2000 && !hidden; tries++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
        hidden = proc_has(child, "comm", "xacthuc\n") &&
                 proc_has(child, "limits", "Max core file size        0                    0 ");
    }
    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)child);
    for (unsigned tries = 0; tries < 200 && facts.st_uid != 0; tries++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL); /* from one call to the next */
        assert_int_equal(stat(path, &facts), 0);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(hidden);
    assert_int_equal(facts.st_uid, 0);
}

/* ---- in this process ---------------------------------------------------------------------------- */

static unsigned threads_left = UINT_MAX; /* that can still be made */

/* Stands before the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run_thread)(void *),
                   void *data)
{
    union {
        void *found;
        int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    } real = {.found = dlsym(RTLD_NEXT, "pthread_create")};
    if (threads_left == 0) {
        return EAGAIN;
    }
    threads_left -= threads_left != UINT_MAX;
    return real.create(thread, attributes, run_thread, data);
}

static void fewer_threads_do_it_as_well(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 3; threads++) {
        const struct xt_builder_options options = {.quiet = true, .threads = 4};
        volatile sig_atomic_t stop = 0;
        struct xt_builder *builder = NULL;
        struct xt_rejects rejects;
        struct xt_failure failure = {.text = ""};
        uint64_t people = 0;
        FILE *file = tmpfile();
        assert_non_null(file);
        assert_true(fputs(AN "bad\n" BINH, file) >= 0);
        rewind(file);
        struct xt_import_input input = {.fd = fileno(file),
                                        .name = "people",
                                        .quiet = true,
                                        .stop = &stop,
                                        .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        assert_int_equal(
            xt_builder_open(deployment(), deployment_keyring(), &options, &builder, &failure),
            XT_OK);
        assert_int_equal(xt_rejects_start(&rejects, deployment_path(REJECTS), input.fd, &failure),
                         XT_OK);
        threads_left = threads;
        enum xt_status status = xt_import_people(&input, builder, &rejects, &people, &failure);
        threads_left = UINT_MAX;
        assert_int_equal(status, threads == 0 ? XT_NO_MEMORY : XT_OK);
        assert_int_equal(people, threads == 0 ? 0 : 2);
        assert_int_equal(rejects.count, threads == 0 ? 0 : 1);
        xt_rejects_end(&rejects);
        xt_builder_close(builder);
        close(input.wake);
        fclose(file);
    }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, deployment_make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(people_come_from_a_pipe_or_a_file),
        EACH(ends_of_line_marks_and_empty_lines_do_not_matter),
        EACH(a_bad_line_fails_the_import_and_is_told_without_its_content),
        EACH(keys_that_nobody_can_sign_with_are_rejects),
        EACH(rejects_up_to_the_limit_are_let_through),
        EACH(a_duplicate_names_both_lines),
        EACH(a_line_that_is_too_long_is_one_reject),
        EACH(an_input_without_people_changes_nothing),
        EACH(csv_and_ndjson_of_the_same_people_give_the_same_answers),
        EACH(a_csv_is_refused_line_by_line_and_for_its_header),
        EACH(a_csv_may_begin_with_more_empty_lines_than_a_block_holds),
        EACH(very_many_short_rejects_are_all_told),
        EACH(a_lane_that_fails_ends_the_wait_for_input),
        EACH(a_reject_file_that_may_not_grow_is_told),
        EACH(an_estimate_refuses_only_what_is_far_from_fitting),
        EACH(nobody_else_of_the_same_user_may_look_into_an_import),
        EACH(fewer_threads_do_it_as_well),
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
