#include "tests/net/verify_client.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

#define ARGUMENTS_MAX 64

extern char **environ;

pid_t verify_client_start(const struct server *server, const char *partner, const char *input,
                          const char *const *arguments)
{
    char url[64], certificate[512], key[512];
    const char *argv[ARGUMENTS_MAX] = {xacthuc(),   "verify", "--server", url,   "--cert",
                                       certificate, "--key",  key,        "--ca"};
    unsigned count = 9;
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", server->port);
    snprintf(certificate, sizeof(certificate), "%s/%s.crt", deployment("issued"), partner);
    snprintf(key, sizeof(key), "%s/%s.key", deployment("issued"), partner);
    argv[count++] = deployment("issued/ca.crt");
    for (; *arguments != NULL; arguments++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        argv[count++] = *arguments;
    }
    write_text(deployment("said.in"), input == NULL ? "" : input);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, deployment("said.in"), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, deployment("said.out"),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, deployment("said.error"),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int error = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(error, 0);
    return pid;
}

struct said verify_client_said(int status)
{
    return (struct said){.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                         .out = read_text(deployment("said.out")),
                         .error = read_text(deployment("said.error"))};
}

struct said verify_client(const struct server *server, const char *partner, const char *input, ...)
{
    const char *arguments[ARGUMENTS_MAX];
    unsigned count = 0;
    int status = 0;
    va_list list;
    va_start(list, input);
    while ((arguments[count] = va_arg(list, const char *)) != NULL) {
        assert_true(++count < ARGUMENTS_MAX);
    }
    va_end(list);
    pid_t pid = verify_client_start(server, partner, input, arguments);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return verify_client_said(status);
}

void said_release(struct said *said)
{
    free(said->out);
    free(said->error);
    *said = (struct said){.status = 0};
}
