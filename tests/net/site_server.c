#include "tests/net/site_server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/listener.h"
#include "tests/net/rig.h"
#include "tests/test.h"

#define SWEEP_MS 50
#define PLACES 1000

/* Of the serving process. */
static struct xt_listener listener;
static uv_timer_t sweep;
static uv_signal_t terminate;

static unsigned count_put_off(void)
{
    unsigned count = 0;
    const struct xt_ring *list = &listener.connections.shakes;
    for (const struct xt_ring *link = list->next; link != list; link = link->next) {
        count++;
    }
    return count;
}

static void on_sweep(uv_timer_t *timer)
{
    (void)timer;
    xt_listener_sweep(&listener);
}

static void on_terminate(uv_signal_t *signal, int number)
{
    (void)number;
    xt_listener_stop(&listener);
    xt_connections_abort(&listener.connections);
    uv_close((uv_handle_t *)&sweep, NULL);
    uv_close((uv_handle_t *)signal, NULL);
}

static struct xt_tls_context *open_tls(void)
{
    char paths[3][256];
    static const char *const names[] = {"DIR/server.crt", "DIR/keys/server.key", "DIR/ca.crt"};
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s", deployment(names[i]));
    }
    struct xt_tls_server_files files = {
        .certificate = paths[0], .key = paths[1], .client_authority = paths[2]};
    struct xt_tls_server_material material = {.allow_tls12 = false};
    struct xt_tls_context *tls = NULL;
    struct xt_failure failure;
    if (xt_tls_material_read(&files, &material, &failure) != XT_OK) {
        return NULL;
    }
    enum xt_status status = xt_tls_server(&material, &tls, &failure);
    xt_tls_material_release(&material);
    return status == XT_OK ? tls : NULL;
}

/* Gives the exit status. */
static int serve(int socket, const struct xt_settings *settings, bool with_tls)
{
    uv_loop_t loop;
    void *state = NULL;
    struct xt_tls_context *tls = with_tls ? open_tls() : NULL;
    struct xt_entrance entrance = {.tls = tls, .routes = &site};
    if (rig_open(&state) != 0 || (with_tls && tls == NULL) || uv_loop_init(&loop) != 0) {
        return 2;
    }
    rig.settings = *settings;
    rig_put_off = count_put_off;
    if (xt_listener_open(&listener, &loop, socket, PLACES, &entrance, &rig.settings, &rig.service,
                         NULL, NULL) != XT_OK ||
        uv_timer_init(&loop, &sweep) != 0 || uv_signal_init(&loop, &terminate) != 0 ||
        uv_timer_start(&sweep, on_sweep, SWEEP_MS, SWEEP_MS) != 0 ||
        uv_signal_start(&terminate, on_terminate, SIGTERM) != 0) {
        return 2;
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    xt_listener_close(&listener);
    xt_tls_context_close(tls);
    int status = uv_loop_close(&loop) == 0 ? 0 : 3;
    (void)rig_close(&state);
    return status;
}

void site_server_start(struct site_server *server, const struct xt_settings *settings, bool tls)
{
    int socket = -1;
    char address[XT_ADDRESS_TEXT];
    struct xt_failure failure;
    assert_int_equal(xt_listen("127.0.0.1:0", &socket, &failure), XT_OK);
    xt_listening_address(socket, address);
    *server = (struct site_server){.tls = tls};
    server->at.port = (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
    server->at.pid = fork();
    assert_true(server->at.pid >= 0);
    if (server->at.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGPIPE, SIG_IGN);
        exit(serve(socket, settings, tls)); /* with what a sanitizer does at the end */
    }
    (void)close(socket);
    /* Sockets inherit what the process sets on the listening one: not those that came before it did. */
    struct test_client *client =
        tls ? connect_as(&server->at, "demo") : connect_plain(server->at.port);
    struct test_response response;
    assert_true(test_client_request(client, "GET", "/", NULL, NULL, &response));
    test_response_release(&response);
    test_client_close(client);
}

void site_server_stop(struct site_server *server)
{
    int status = -1;
    assert_int_equal(kill(server->at.pid, SIGTERM), 0);
    while (waitpid(server->at.pid, &status, 0) < 0 && errno == EINTR) {
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void site_server_freeze(const struct site_server *server)
{
    int status = 0;
    assert_int_equal(kill(server->at.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(server->at.pid, &status, WUNTRACED), server->at.pid);
    assert_true(WIFSTOPPED(status));
}

void site_server_thaw(const struct site_server *server)
{
    assert_int_equal(kill(server->at.pid, SIGCONT), 0);
}

unsigned site_server_cpu_ms(const struct site_server *server)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)server->at.pid);
    char *text = read_text(path), *at = strrchr(text, ')');
    unsigned long user = 0, kernel = 0;
    assert_non_null(at);
    assert_int_equal(
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel), 2);
    free(text);
    return (unsigned)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}
