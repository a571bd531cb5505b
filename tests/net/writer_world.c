#include "tests/net/writer_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/settings.h"
#include "net/sandbox.h"
#include "store/identity.h"

struct writer_world world;
struct xt_failure failure;

void in_dir(char path[XT_PATH_MAX], const char *name)
{
    assert_int_equal(xt_path_join(path, world.dir, name), XT_OK);
}

/* ---- the process ---------------------------------------------------------------------------------- */

static void send_start(void)
{
    static uint8_t keys[XT_KEYRING_EXPORT_MAX];
    struct xt_settings settings;
    struct xt_control_message message = {.type = XT_CONTROL_START, .fd_count = XT_SHARED_FDS};
    struct xt_writer writer = xt_writer_over(keys, sizeof(keys));
    xt_settings_defaults(&settings);
    xt_keyring_export(world.keyring, &writer);
    message.numbers[XT_START_PLACE] = xt_shared_writer_place(WORKERS);
    message.numbers[XT_START_WORKERS] = WORKERS;
    message.blobs[XT_START_DIR] = xt_span_of(world.dir, strlen(world.dir) + 1);
    message.blobs[XT_START_SETTINGS] = xt_span_of(&settings, sizeof(settings));
    message.blobs[XT_START_KEYRING] = xt_written(&writer);
    xt_shared_hand(world.shared, &message.fds[XT_START_SHARED]);
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
}

void expect_told(enum xt_control_type type)
{
    struct xt_control_message message;
    enum xt_control_type told;
    do {
        assert_int_equal(xt_control_wait(world.control, PATIENCE_MS, &message), XT_OK);
        told = message.type;
        xt_control_release(&message);
    } while (told == XT_CONTROL_KEYS_TAKEN && type != told);
    assert_int_equal(told, type);
}

void start_writer(void)
{
    int ends[2];
    assert_int_equal(xt_control_pair(ends, &failure), XT_OK);
    const char *program = getenv("XT_XACTHUC");
    assert_non_null(program);
    world.writer = fork();
    assert_true(world.writer >= 0);
    if (world.writer == 0) {
        /* Its log is for whoever looks for the reason of a failure: XT_WRITER_LOG=1. */
        int log = open(getenv("XT_WRITER_LOG") != NULL ? "/dev/stderr" : "/dev/null", O_WRONLY);
        struct rlimit limit = {world.file_limit, RLIM_INFINITY};
        dup2(log, 2);
        if (world.file_limit > 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            _exit(125);
        }
        if (dup2(ends[1], XT_CONTROL_FD) != XT_CONTROL_FD ||
            (ends[1] == XT_CONTROL_FD && fcntl(XT_CONTROL_FD, F_SETFD, 0) != 0)) {
            _exit(126);
        }
        execl(program, "xacthuc", "serve-writer", NULL);
        _exit(127);
    }
    close(ends[1]);
    world.control = ends[0];
    send_start();
}

int reap(void)
{
    int status = 0;
    assert_int_equal(waitpid(world.writer, &status, 0), world.writer);
    world.writer = 0;
    close(world.control);
    world.control = -1;
    return status;
}

void kill_writer(void)
{
    assert_int_equal(kill(world.writer, SIGKILL), 0);
    assert_true(WIFSIGNALED(reap()));
}

void tell(enum xt_control_type type)
{
    struct xt_control_message message = {.type = type};
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
}

void drain_writer(void)
{
    tell(XT_CONTROL_DRAIN);
    int status = reap();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int connect_with(unsigned place, int answer_bytes)
{
    int ends[2];
    struct xt_control_message message = {.type = XT_CONTROL_CHANNEL, .fd_count = 1};
    assert_int_equal(xt_writer_channel_pair(ends, &failure), XT_OK);
    if (answer_bytes > 0) {
        assert_int_equal(
            setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &answer_bytes, sizeof(answer_bytes)), 0);
    }
    message.numbers[0] = place;
    message.fds[0] = ends[0];
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
    close(ends[0]);
    return ends[1];
}

int connect_place(unsigned place)
{
    return connect_with(place, 0);
}

int connect_administrator(void)
{
    return connect_place(xt_shared_supervisor_place(WORKERS));
}

/* ---- set-up ---------------------------------------------------------------------------------------- */

bool world_begin(void)
{
    struct xt_failure no_rings; /* as the supervisor leaves it to its children */
    if (xt_sandbox_without_rings(&no_rings) != XT_OK) {
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    xt_crypto_start();
    return true;
}

int make(void **state)
{
    char path[XT_PATH_MAX];
    (void)state;
    snprintf(world.dir, sizeof(world.dir), "/tmp/xt-writer-XXXXXX");
    assert_non_null(mkdtemp(world.dir));
    in_dir(path, "live");
    assert_int_equal(mkdir(path, 0700), 0);
    in_dir(path, "identity");
    assert_int_equal(mkdir(path, 0700), 0);
    in_dir(path, "keys");
    assert_int_equal(mkdir(path, 0700), 0);
    in_dir(path, "keys/master.keys");
    assert_int_equal(xt_keyring_create(path, &failure), XT_OK);
    assert_int_equal(xt_keyring_open(path, &world.keyring, &failure), XT_OK);
    assert_int_equal(xt_shared_create(WORKERS, &world.shared, &failure), XT_OK);
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(uv_timer_init(&world.loop, &world.patience), 0);
    world.control = -1;
    world.file_limit = 0;
    return 0;
}

int remove_all(void **state)
{
    static const char *const names[] = {"live/live.mdb", "live/live.mdb-lock", "live/.lock",
                                        "live/ballast", "keys/master.keys"};
    char path[XT_PATH_MAX];
    (void)state;
    if (world.writer > 0) {
        kill(world.writer, SIGKILL);
        reap();
    }
    uv_close((uv_handle_t *)&world.patience, NULL);
    while (uv_run(&world.loop, UV_RUN_NOWAIT) != 0) {
    }
    assert_int_equal(uv_loop_close(&world.loop), 0);
    xt_shared_close(world.shared);
    xt_keyring_close(world.keyring);
    in_dir(path, "live");
    (void)umount2(path, MNT_DETACH);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        in_dir(path, names[i]);
        unlink(path);
    }
    in_dir(path, "live");
    assert_int_equal(rmdir(path), 0);
    xt_identity_remove(world.dir, "current");
    xt_identity_remove(world.dir, "000001");
    xt_identity_remove(world.dir, "000002");
    in_dir(path, "identity/.lock");
    (void)unlink(path);
    in_dir(path, "identity");
    assert_int_equal(rmdir(path), 0);
    in_dir(path, "keys");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(world.dir), 0);
    return 0;
}

struct xt_live *open_reader(void)
{
    struct xt_live *live = NULL;
    if (xt_live_open_reader(world.dir, world.keyring, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return live;
}

/* ---- events ----------------------------------------------------------------------------------------- */

struct xt_event held_event(unsigned i, const char *partner)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    memcpy(event.certificate_held.spki, &i, sizeof(i));
    snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "%s", partner);
    return event;
}

bool is_held(const struct xt_live *live, unsigned i, const char *partner)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    struct xt_event event = held_event(i, partner);
    enum xt_status status = xt_live_holder(live, event.certificate_held.spki, name);
    assert_true(status == XT_OK || status == XT_NOT_FOUND);
    return status == XT_OK && strcmp(name, partner) == 0;
}

size_t make_packet(unsigned i, uint8_t packet[XT_WRITER_EVENT_MAX])
{
    struct xt_event event = held_event(i, "deaf");
    struct xt_writer writer = xt_writer_over(packet, XT_WRITER_EVENT_MAX);
    xt_writer_event_begin(&writer, i, xt_span_of(NULL, 0));
    xt_event_encode(&event, &writer);
    return writer.size;
}

void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct asked *asked = context;
    asked->answers++;
    asked->answer = *answer;
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d s", PATIENCE_MS / 1000);
}

void start_patience(void)
{
    assert_int_equal(uv_timer_start(&world.patience, on_patience, PATIENCE_MS, 0), 0);
}

struct xt_writer_channel *open_channel(int fd)
{
    struct xt_writer_channel *channel = NULL;
    assert_int_equal(xt_writer_channel_open(&world.loop, fd, &channel), XT_OK);
    return channel;
}

struct xt_writer_answer ask_for(struct xt_writer_channel *channel, const char *partner,
                                const struct xt_event *event)
{
    struct asked asked = {.answers = 0};
    assert_int_equal(xt_writer_send_for(channel, partner, event, on_answer, &asked), XT_OK);
    assert_int_equal(asked.answers, 0); /* never from within */
    run_until(asked.answers > 0);
    assert_int_equal(asked.answers, 1);
    return asked.answer;
}

struct xt_writer_answer ask(struct xt_writer_channel *channel, const struct xt_event *event)
{
    return ask_for(channel, "", event);
}

unsigned count_descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *list = opendir(path);
    assert_non_null(list);
    while (readdir(list) != NULL) {
        count++;
    }
    closedir(list);
    return count;
}
