#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/command.h"
#include "core/settings.h"
#include "crypto/file.h"
#include "crypto/init.h"
#include "crypto/keyring.h"
#include "crypto/tls.h"
#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define RUN_ARGUMENTS_MAX 12

struct run {
    int code; /* exit code, or -signal */
    char out[4096], error[4096];
};

static void read_text(const char *name, char text[4096])
{
    uint8_t *content;
    size_t size;
    assert_int_equal(xt_file_read(scratch(name), 4095, &content, &size, NULL), XT_OK);
    memcpy(text, content, size + 1);
    xt_file_release(content, size);
}

/* The command in a process of its own, as it sets the umask and writes to the terminal.
 * interrupted: with a SIGINT that comes at once. */
static struct run run(bool interrupted, const char *const arguments[])
{
    struct run result = {.code = 0};
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static char copies[RUN_ARGUMENTS_MAX][XT_PATH_MAX];
        char *argv[RUN_ARGUMENTS_MAX + 1] = {NULL};
        int argc = 0;
        snprintf(copies[0], XT_PATH_MAX, "init");
        argv[argc++] = copies[0];
        for (size_t i = 0; arguments[i] != NULL; i++, argc++) {
            snprintf(copies[argc], XT_PATH_MAX, "%s", arguments[i]);
            argv[argc] = copies[argc];
        }
        if (freopen(scratch("out"), "w", stdout) == NULL ||
            freopen(scratch("error"), "w", stderr) == NULL) {
            _exit(99);
        }
        if (interrupted) { /* pending from the start: delivered as soon as it is let through */
            sigset_t set;
            (void)signal(SIGINT, SIG_DFL); /* a shell's & has it ignored */
            sigemptyset(&set);
            sigaddset(&set, SIGINT);
            sigprocmask(SIG_BLOCK, &set, NULL);
            raise(SIGINT);
        }
        int code = xt_command_init(argc, argv);
        fflush(NULL);
        _exit(code);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    result.code = WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
    read_text("out", result.out);
    read_text("error", result.error);
    unlink(scratch("out"));
    unlink(scratch("error"));
    return result;
}

#define RUN(...) run(false, (const char *const[]){__VA_ARGS__, NULL})

static unsigned mode_of(const char *name)
{
    struct stat facts;
    assert_int_equal(lstat(scratch(name), &facts), 0);
    return facts.st_mode & 07777;
}

/* A deployment that its own libraries can use. */
static void assert_usable(const char *name)
{
    char path[300];
    struct xt_failure failure;
    struct xt_keyring *keyring;
    static const char *const secret[] = {"keys/master.keys", "keys/ca.key",    "keys/server.key",
                                         "keys/signing.key", "keys/token.key", "xacthuc.conf"};
    static const char *const folders[] = {"",     "keys",       "partners", "identity",
                                          "live", "supervisor", "audit"};
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", name, secret[i]);
        assert_int_equal(mode_of(path), 0600);
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", name, folders[i]);
        assert_int_equal(mode_of(path), 0700);
    }
    assert_int_equal(scratch_count(name), 9); /* and nothing else */
    snprintf(path, sizeof(path), "%s/keys/master.keys", name);
    assert_int_equal(xt_keyring_open(scratch(path), &keyring, &failure), XT_OK);
    xt_keyring_close(keyring);

    char certificate[300], key[300], authority[300];
    snprintf(certificate, sizeof(certificate), "%s/server.crt", name);
    snprintf(key, sizeof(key), "%s/keys/server.key", name);
    snprintf(authority, sizeof(authority), "%s/ca.crt", name);
    struct xt_tls_server_files files = {.certificate = scratch(certificate),
                                        .key = scratch(key),
                                        .client_authority = scratch(authority)};
    struct xt_tls_context *context;
    assert_int_equal(link_server_of(&files, NULL, &context, &failure), XT_OK);
    xt_tls_context_close(context);
}

static void a_new_folder_becomes_a_deployment(void **state)
{
    (void)state;
    struct run result = RUN(scratch("new"));
    assert_string_equal(result.error, "");
    assert_int_equal(result.code, XT_EXIT_OK);
    assert_non_null(strstr(result.out, "Next: xacthuc import"));
    assert_usable("new");
}

static void the_settings_file_is_the_commented_default(void **state)
{
    (void)state;
    static uint8_t text[XT_SETTINGS_TEXT_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_settings_write_default(&writer);
    uint8_t *content;
    size_t size;
    assert_int_equal(RUN(scratch("settings")).code, XT_EXIT_OK);
    assert_int_equal(
        xt_file_read(scratch("settings/xacthuc.conf"), sizeof(text), &content, &size, NULL), XT_OK);
    assert_int_equal(size, writer.size);
    assert_memory_equal(content, text, size);
    xt_file_release(content, size);
}

static void an_empty_folder_is_filled(void **state)
{
    (void)state;
    char path[300];
    assert_int_equal(mkdir(scratch("empty"), 0755), 0);
    snprintf(path, sizeof(path), "%s///", scratch("empty"));
    struct run result = RUN(path);
    assert_string_equal(result.error, "");
    assert_int_equal(result.code, XT_EXIT_OK);
    assert_usable("empty");
}

static void nothing_is_ever_overwritten(void **state)
{
    (void)state;
    assert_int_equal(RUN(scratch("twice")).code, XT_EXIT_OK);
    char before[4096], after[4096];
    read_text("twice/keys/master.keys", before);
    struct run result = RUN(scratch("twice"));
    assert_int_equal(result.code, XT_EXIT_FAILED);
    assert_non_null(strstr(result.error, "nothing was changed"));
    assert_string_equal(strchr(result.error, '\n'), "\n"); /* one line */
    read_text("twice/keys/master.keys", after);
    assert_string_equal(before, after);

    scratch_write("plain", "x", 1, 0600);
    assert_int_equal(RUN(scratch("plain")).code, XT_EXIT_FAILED);
    assert_int_equal(symlink("nowhere", scratch("dangling")), 0);
    assert_int_equal(RUN(scratch("dangling")).code, XT_EXIT_FAILED);
    assert_int_equal(mkdir(scratch("other"), 0700), 0);
    scratch_write("other/file", "x", 1, 0600);
    assert_int_equal(RUN(scratch("other")).code, XT_EXIT_FAILED);
    assert_int_equal(scratch_count("other"), 1);
}

static void a_failure_leaves_nothing_behind(void **state)
{
    (void)state;
    size_t before = scratch_count("");
    struct run result = RUN(scratch("bad"), "--dns", "not a name");
    assert_int_equal(result.code, XT_EXIT_FAILED);
    assert_non_null(strstr(result.error, "not a name is not a DNS name"));
    assert_int_equal(RUN(scratch("bad"), "--address", "1.2.3").code, XT_EXIT_FAILED);
    assert_int_equal(RUN(scratch("bad"), "--crl-url", "no-url").code, XT_EXIT_FAILED);
    assert_int_equal(RUN(scratch("none/bad")).code, XT_EXIT_FAILED);
    assert_int_equal(scratch_count(""), before);
    assert_int_equal(mkdir(scratch("bad2"), 0700), 0);
    assert_int_equal(RUN(scratch("bad2"), "--dns", "not a name").code, XT_EXIT_FAILED);
    assert_int_equal(scratch_count("bad2"), 0);
}

static void an_interrupt_leaves_nothing_behind(void **state)
{
    (void)state;
    size_t before = scratch_count("");
    struct run result = run(true, (const char *const[]){scratch("interrupted"), NULL});
    assert_int_equal(result.code, XT_EXIT_FAILED);
    assert_non_null(strstr(result.error, "interrupted"));
    assert_int_equal(scratch_count(""), before);
}

static void the_server_answers_to_its_names(void **state)
{
    (void)state;
    if (!have_openssl()) {
        skip();
    }
    assert_int_equal(RUN(scratch("named"), "--name", "Sở Tư pháp", "--dns", "id.example.vn",
                         "--dns=b.example.vn", "--address", "10.1.2.3")
                         .code,
                     XT_EXIT_OK);
    assert_usable("named");
    char text[SHELL_TEXT_MAX];
    assert_true(scratch_shell(text, "openssl x509 -noout -text -in named/server.crt"));
    assert_non_null(strstr(text, "DNS:id.example.vn, DNS:b.example.vn, DNS:localhost"));
    assert_non_null(strstr(text, "IP Address:10.1.2.3, IP Address:127.0.0.1, IP Address:0:0:0:0"));
}

static void wrong_usage_is_told_in_a_line(void **state)
{
    (void)state;
    struct run result = RUN("--help");
    assert_int_equal(result.code, XT_EXIT_OK);
    assert_memory_equal(result.out, "usage: xacthuc init", 19);
    assert_int_equal(RUN("--version").code, XT_EXIT_OK);
    static const char *const wrong[][3] = {{NULL},
                                           {"", NULL},
                                           {"a", "b", NULL},
                                           {"a", "--unknown", NULL},
                                           {"a", "--dns", NULL},
                                           {"a", "-x", NULL}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        result = run(false, wrong[i]);
        assert_int_equal(result.code, XT_EXIT_USAGE);
        assert_string_equal(strchr(result.error, '\n'), "\n");
        assert_string_equal(result.out, "");
    }
    assert_int_not_equal(access("a", F_OK), 0);
}

static void nothing_that_is_there_is_overwritten_whichever_file_it_is(void **state)
{
    (void)state;
    static const char *const parts[] = {"keys/master.keys", "keys/audit.key",  "keys/audit.pub",
                                        "keys/ca.key",      "keys/server.key", "ca.crt",
                                        "server.crt",       "xacthuc.conf",    "partners/a.json",
                                        "live/live.mdb",    "audit/head",      "identity/current"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char text[SHELL_TEXT_MAX], path[128];
        uint8_t *content;
        size_t size;
        snprintf(path, sizeof(path), "taken/%s", parts[i]);
        assert_true(scratch_shell(
            text, "rm -rf taken; mkdir -p \"$(dirname %s)\" && echo kept > %s", path, path));
        struct run result = RUN(scratch("taken"));
        assert_int_equal(result.code, XT_EXIT_FAILED);
        assert_non_null(strstr(result.error, "nothing was changed: choose another"));
        assert_int_equal(scratch_count("taken"), 1);
        assert_int_equal(xt_file_read(scratch(path), 100, &content, &size, NULL), XT_OK);
        assert_string_equal((const char *)content, "kept\n");
        xt_file_release(content, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_becomes_a_deployment),
        cmocka_unit_test(the_settings_file_is_the_commented_default),
        cmocka_unit_test(an_empty_folder_is_filled),
        cmocka_unit_test(nothing_is_ever_overwritten),
        cmocka_unit_test(a_failure_leaves_nothing_behind),
        cmocka_unit_test(an_interrupt_leaves_nothing_behind),
        cmocka_unit_test(the_server_answers_to_its_names),
        cmocka_unit_test(wrong_usage_is_told_in_a_line),
        cmocka_unit_test(nothing_that_is_there_is_overwritten_whichever_file_it_is),
    };
    return cmocka_run_group_tests_name("crypto/init", tests, scratch_make, scratch_remove);
}
