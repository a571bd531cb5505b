/* The program xacthuc-bench itself: two processes, files, pipes, interruptions, wrong usage. */
#include "tests/test.h"

#include "bench/population.h"
#include "bench/resident_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[256];

static const char *program(void)
{
    const char *path = getenv("XT_BENCH");
    return path != NULL ? path : "build/xacthuc-bench";
}

static char *in_folder(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* Starts xacthuc-bench with the words of `line`, output and errors into files of the folder (or
 * output into `out`, when not -1). */
static pid_t start(const char *line, int out)
{
    char words[1024];
    char *arguments[32] = {NULL};
    unsigned count = 0;
    (void)snprintf(words, sizeof(words), "xacthuc-bench %s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < 31);
        arguments[count++] = word;
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Whoever started the tests may have had them ignored (nohup, a shell's &). */
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        for (unsigned i = 0; i < 3; i++) {
            (void)signal(signals[i], SIG_DFL);
        }
        int error = open(in_folder("stderr"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out < 0) {
            out = open(in_folder("stdout"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        }
        if (dup2(out, STDOUT_FILENO) < 0 || dup2(error, STDERR_FILENO) < 0) {
            _exit(126);
        }
        (void)execv(program(), arguments);
        _exit(127);
    }
    return child;
}

static int finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *line)
{
    return finish(start(line, -1));
}

/* The whole file, NUL-terminated; the caller frees it. */
static char *read_whole(const char *path, size_t *size)
{
    struct stat facts;
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &facts), 0);
    char *text = malloc((size_t)facts.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(file, text, (size_t)facts.st_size), facts.st_size);
    text[facts.st_size] = '\0';
    *size = (size_t)facts.st_size;
    assert_int_equal(close(file), 0);
    return text;
}

static void assert_one_line_of_error(const char *has)
{
    size_t size;
    char *text = read_whole(in_folder("stderr"), &size);
    assert_true(size > 0);
    assert_ptr_equal(strchr(text, '\n'), text + size - 1);
    if (strstr(text, has) == NULL) {
        fail_msg("'%s' is not in: %s", has, text);
    }
    free(text);
}

static unsigned files_named(const char *start_of_name)
{
    DIR *directory = opendir(folder);
    unsigned count = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += strncmp(entry->d_name, start_of_name, strlen(start_of_name)) == 0;
    }
    (void)closedir(directory);
    return count;
}

static void a_process_writes_the_people_that_the_library_computes(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct xt_population *population;
    size_t size, at = 0;
    assert_int_equal(run("gen --count 20000 --seed 5 --full"), 0);
    char *text = read_whole(in_folder("stdout"), &size);
    assert_int_equal(xt_population_open(5, COUNT, &population), XT_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        char line[XT_RESIDENT_LINE_MAX];
        struct xt_resident person;
        struct xt_resident_more more;
        struct xt_writer writer = xt_writer_over(line, sizeof(line));
        xt_population_person(population, i, &person);
        xt_population_more(population, &person, &more);
        xt_resident_to_json(&person, &more, &writer);
        assert_true(at + writer.size <= size);
        assert_memory_equal(text + at, line, writer.size);
        at += writer.size;
    }
    assert_int_equal(at, size);
    xt_population_close(population);
    free(text);
}

static void out_writes_what_standard_output_gets(void **state)
{
    (void)state;
    static const char *const lines[] = {"gen --count 3000 --seed 9",
                                        "gen --count 3000 --seed 9 --format csv",
                                        "gen --count 3000 --seed 9 --requests 2000 --full"};
    for (unsigned i = 0; i < 3; i++) {
        char line[700];
        size_t first, second;
        assert_int_equal(run(lines[i]), 0);
        char *one = read_whole(in_folder("stdout"), &first);
        (void)snprintf(line, sizeof(line), "%s --out %s", lines[i], in_folder("people"));
        assert_int_equal(run(line), 0);
        char *two = read_whole(in_folder("people"), &second);
        assert_int_equal(first, second);
        assert_memory_equal(one, two, first);
        assert_int_equal(files_named("people"), 1);
        free(one);
        free(two);
    }
    assert_int_equal(unlink(in_folder("people")), 0);
}

static void an_interrupted_job_leaves_nothing(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < 3; i++) {
        char line[700];
        (void)snprintf(line, sizeof(line), "gen --count 100000000 --seed 1 --out %s",
                       in_folder("big"));
        pid_t child = start(line, -1);
        for (unsigned wait = 0; wait < 2000 && files_named("big") == 0; wait++) {
            struct timespec pause = {.tv_nsec = 5000000};
            (void)nanosleep(&pause, NULL);
        }
        assert_int_equal(files_named("big"), 1);
        assert_int_equal(kill(child, signals[i]), 0);
        assert_int_equal(finish(child), 128 + signals[i]);
        assert_int_equal(files_named("big"), 0);
    }
}

static void a_file_is_kept_until_its_successor_is_complete(void **state)
{
    (void)state;
    char line[700];
    size_t size;
    (void)snprintf(line, sizeof(line), "gen --count 10 --seed 1 --out %s", in_folder("kept"));
    assert_int_equal(run(line), 0);
    (void)snprintf(line, sizeof(line), "gen --count 100000000 --seed 1 --out %s",
                   in_folder("kept"));
    pid_t child = start(line, -1);
    for (unsigned wait = 0; wait < 2000 && files_named("kept") == 1; wait++) {
        struct timespec pause = {.tv_nsec = 5000000};
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(finish(child), 128 + SIGTERM);
    char *text = read_whole(in_folder("kept"), &size);
    unsigned lines = 0;
    for (size_t at = 0; at < size; at++) {
        lines += text[at] == '\n';
    }
    assert_int_equal(lines, 10);
    free(text);
    assert_int_equal(files_named("kept"), 1);
    assert_int_equal(unlink(in_folder("kept")), 0);
}

static void a_reader_that_leaves_ends_the_work(void **state)
{
    (void)state;
    int ends[2];
    char some[1000];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);
    pid_t child = start("gen --count 100000000 --seed 1", ends[1]);
    assert_int_equal(close(ends[1]), 0);
    assert_true(read(ends[0], some, sizeof(some)) > 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(finish(child), 1);
    assert_one_line_of_error("went away");
}

static void what_cannot_be_written_fails_with_one_line(void **state)
{
    (void)state;
    assert_int_equal(run("gen --count 10 --seed 1 --out /nowhere/people"), 1);
    assert_one_line_of_error("/nowhere/people");
    assert_int_equal(run("gen --count 100000 --seed 1 --out /dev/full"), 1);
    assert_one_line_of_error("/dev/full");
    struct stat facts;
    assert_int_equal(stat("/dev/full", &facts), 0);
    assert_true(S_ISCHR(facts.st_mode)); /* not replaced by a file */
}

static void wrong_usage_is_said_in_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "no command"},
        {"jen", "no command 'jen'"},
        {"gen", "needs --count and --seed"},
        {"gen --count 10", "needs --count and --seed"},
        {"gen --count 0 --seed 1", "--count takes"},
        {"gen --count 150000001 --seed 1", "--count takes"},
        {"gen --count 1e6 --seed 1", "--count takes"},
        {"gen --count 10 --seed -1", "--seed takes"},
        {"gen --count 10 --seed 18446744073709551616", "--seed takes"},
        {"gen --count 10 --seed 1 --format xml", "--format takes"},
        {"gen --count 10 --seed 1 --colour", "does not know --colour"},
        {"gen --count 10 --seed", "--seed needs a value"},
        {"gen --count 10 --seed 1 more", "takes no 'more'"},
        {"gen --count 10 --seed 1 --mix right=1", "need --requests"},
        {"gen --count 10 --seed 1 --requests 5 --mix left=1", "--mix takes"},
        {"gen --count 10 --seed 1 --requests 5 --format csv", "--format is for people"},
        {"gen --count 10 --seed 1 --requests 0", "--requests takes"},
        {"gen --count 10 --seed 1 --requests 5 --purpose Demo", "--purpose takes"},
        {"gen --count 10 --seed 1 --requests 5 --claims name", "no claim 'name'"},
        {"gen --count 10 --seed 1 --requests 5 --claims tax", "need --full"},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(run(cases[i].line), 2);
        assert_one_line_of_error(cases[i].says);
        assert_one_line_of_error("--help");
    }
}

static void help_and_version_are_there(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "gen --help", "--version"};
    static const char *const says[] = {"gen ", "--requests", XT_VERSION};
    for (unsigned i = 0; i < 3; i++) {
        size_t size;
        assert_int_equal(run(lines[i]), 0);
        char *text = read_whole(in_folder("stdout"), &size);
        assert_non_null(strstr(text, says[i]));
        free(text);
    }
}

static void purpose_and_claims_are_as_asked(void **state)
{
    (void)state;
    size_t size;
    assert_int_equal(run("gen --count 1000 --seed 1 --requests 500 --purpose sim.register "
                         "--claims full_name,date_of_birth,phone"),
                     0);
    char *text = read_whole(in_folder("stdout"), &size);
    unsigned lines = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        lines++;
        assert_non_null(strstr(line, "\"purpose\":\"sim.register\""));
        assert_null(strstr(line, "\"sex\""));
        assert_null(strstr(line, "\"qr\""));
        assert_null(strstr(line, "\"province\""));
    }
    assert_int_equal(lines, 500);
    free(text);
}

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof(folder), "%s/xt-test-gen-XXXXXX", base != NULL ? base : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(in_folder("stdout"));
    (void)unlink(in_folder("stderr"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_writes_the_people_that_the_library_computes),
        cmocka_unit_test(out_writes_what_standard_output_gets),
        cmocka_unit_test(an_interrupted_job_leaves_nothing),
        cmocka_unit_test(a_file_is_kept_until_its_successor_is_complete),
        cmocka_unit_test(a_reader_that_leaves_ends_the_work),
        cmocka_unit_test(what_cannot_be_written_fails_with_one_line),
        cmocka_unit_test(wrong_usage_is_said_in_one_line),
        cmocka_unit_test(help_and_version_are_there),
        cmocka_unit_test(purpose_and_claims_are_as_asked),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
