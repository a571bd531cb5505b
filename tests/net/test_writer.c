/* The writer process, the real one: what it has answered for is in the live store once, in order, for
 * everybody, whatever is killed and when. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "core/settings.h"
#include "net/control.h"
#include "net/sandbox.h"
#include "net/snapshot.h"
#include "net/writer.h"
#include "net/writer_channel.h"
#include "net/writer_message.h"
#include "net/writer_record.h"
#include "store/builder.h"
#include "store/identity.h"
#include "store/live_internal.h"
#include "store/register.h"
#include "tests/core/mutate.h"
#include "tests/test.h"

#define WORKERS 2
#define PATIENCE_MS 20000

/* One deployment, shared memory and, mostly, one writer. */
static struct {
    char dir[64];
    struct xt_keyring *keyring;
    struct xt_shared *shared;
    uv_loop_t loop;
    uv_timer_t patience;
    pid_t writer;
    int control;       /* our end; -1: none */
    rlim_t file_limit; /* bytes of a file of the writer's; 0: as many as we may */
} world;
static struct xt_failure failure;

static void in_dir(char path[XT_PATH_MAX], const char *name)
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

/* The next thing that it says, but for that it has its keys, which it says when it has them. */
static void expect_told(enum xt_control_type type)
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

static void start_writer(void)
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

static int reap(void)
{
    int status = 0;
    assert_int_equal(waitpid(world.writer, &status, 0), world.writer);
    world.writer = 0;
    close(world.control);
    world.control = -1;
    return status;
}

static void kill_writer(void)
{
    assert_int_equal(kill(world.writer, SIGKILL), 0);
    assert_true(WIFSIGNALED(reap()));
}

static void tell(enum xt_control_type type)
{
    struct xt_control_message message = {.type = type};
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
}

static void drain_writer(void)
{
    tell(XT_CONTROL_DRAIN);
    int status = reap();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A channel: the writer has one end, the other is returned. answer_bytes: what the kernel keeps of the
 * writer's answers; 0: as much as usual. */
static int connect_with(unsigned place, int answer_bytes)
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

static int connect_place(unsigned place)
{
    return connect_with(place, 0);
}

static int connect_administrator(void)
{
    return connect_place(xt_shared_supervisor_place(WORKERS));
}

/* ---- set-up ---------------------------------------------------------------------------------------- */

static int make(void **state)
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

static int remove_all(void **state)
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

static struct xt_live *open_reader(void)
{
    struct xt_live *live = NULL;
    if (xt_live_open_reader(world.dir, world.keyring, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return live;
}

/* ---- events ----------------------------------------------------------------------------------------- */

static struct xt_event held_event(unsigned i, const char *partner)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    memcpy(event.certificate_held.spki, &i, sizeof(i));
    snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "%s", partner);
    return event;
}

static bool is_held(const struct xt_live *live, unsigned i, const char *partner)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    struct xt_event event = held_event(i, partner);
    enum xt_status status = xt_live_holder(live, event.certificate_held.spki, name);
    assert_true(status == XT_OK || status == XT_NOT_FOUND);
    return status == XT_OK && strcmp(name, partner) == 0;
}

/* What came back for one event. */
struct asked {
    unsigned answers;
    struct xt_writer_answer answer;
};

static void on_answer(void *context, const struct xt_writer_answer *answer)
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

/* Runs the loop until it holds. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        assert_int_equal(uv_timer_start(&world.patience, on_patience, PATIENCE_MS, 0), 0);         \
        while (!(condition)) {                                                                     \
            uv_run(&world.loop, UV_RUN_ONCE);                                                      \
        }                                                                                          \
        uv_timer_stop(&world.patience);                                                            \
    } while (0)

static struct xt_writer_channel *open_channel(int fd)
{
    struct xt_writer_channel *channel = NULL;
    assert_int_equal(xt_writer_channel_open(&world.loop, fd, &channel), XT_OK);
    return channel;
}

static struct xt_writer_answer ask_for(struct xt_writer_channel *channel, const char *partner,
                                       const struct xt_event *event)
{
    struct asked asked = {.answers = 0};
    assert_int_equal(xt_writer_send_for(channel, partner, event, on_answer, &asked), XT_OK);
    assert_int_equal(asked.answers, 0); /* never from within */
    run_until(asked.answers > 0);
    assert_int_equal(asked.answers, 1);
    return asked.answer;
}

static struct xt_writer_answer ask(struct xt_writer_channel *channel, const struct xt_event *event)
{
    return ask_for(channel, "", event);
}

static unsigned count_descriptors(pid_t pid)
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

/* ---- answers ------------------------------------------------------------------------------------------ */

static void an_answer_means_applied_durable_and_visible(void **state)
{
    (void)state;
    start_writer();
    int fd = connect_administrator();
    expect_told(XT_CONTROL_READY);
    struct xt_writer_channel *channel = open_channel(fd);
    struct xt_live *live = open_reader();
    assert_int_equal(
        xt_live_refresh(live, xt_writer_epoch(world.shared), xt_writer_commit(world.shared)),
        XT_OK);
    for (unsigned i = 0; i < 300; i++) {
        struct xt_event event = held_event(i, "vnpt");
        assert_false(is_held(live, i, "vnpt"));
        struct xt_writer_answer answer = ask(channel, &event);
        assert_int_equal(answer.status, XT_OK);
        assert_int_equal(answer.sequence, i + 1);
        assert_false(answer.duplicate);
        assert_int_equal(
            xt_live_refresh(live, xt_writer_epoch(world.shared), xt_writer_commit(world.shared)),
            XT_OK);
        assert_true(is_held(live, i, "vnpt"));
        answer = ask(channel, &event);
        assert_int_equal(answer.status, XT_OK);
        assert_int_equal(answer.sequence, i + 1);
        assert_true(answer.duplicate);
    }
    const struct xt_writer_counters *counters = xt_shared_writer_counters(world.shared);
    assert_int_equal(xt_counter_get(&counters->events), 300);
    assert_int_equal(xt_counter_get(&counters->transactions), 300);
    xt_live_close(live);
    xt_writer_channel_close(channel);
    drain_writer();
}

static void workers_may_not_send_what_is_the_supervisors(void **state)
{
    (void)state;
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_place(0));
    struct xt_event event = held_event(1, "thief");
    assert_int_equal(ask(channel, &event).status, XT_DENIED);
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = 1;
    event.generation_served.rollback = true;
    assert_int_equal(ask(channel, &event).status, XT_DENIED);
    assert_int_equal(xt_writer_epoch(world.shared), 0);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* ---- the register --------------------------------------------------------------------------------- */

#define SOMEBODY 1090000001ULL

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context, (void)line, (void)first;
    fail_msg("%s %s", code, pointer);
}

/* A generation with people 1 to count; gives the event that says it is served. */
static struct xt_event import(unsigned count)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    struct xt_event event;
    memset(&person, 0, sizeof(person));
    person.full_name = xt_span_of_string("Nguyễn Văn An");
    assert_int_equal(xt_name_parse(person.full_name, &person.name), XT_OK);
    assert_int_equal(xt_date_make(1990, 1, 2, &person.date_of_birth), XT_OK);
    assert_int_equal(xt_date_make(2021, 4, 25, &person.card_issued_on), XT_OK);
    person.card_state = XT_CARD_ACTIVE;
    assert_int_equal(xt_builder_open(world.dir, world.keyring, NULL, &builder, &failure), XT_OK);
    for (unsigned i = 0; i < count; i++) {
        person.number = SOMEBODY + i;
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = manifest.number;
    memcpy(event.generation_served.digest, manifest.digest, XT_GENERATION_DIGEST);
    return event;
}

/* One of the types that say nothing more than whom they are about. */
static struct xt_event registry_event(enum xt_registry_type type, uint64_t number,
                                      const char *event_id, uint8_t body[XT_EVENT_BODY_MAX])
{
    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string(event_id), .at_ms = 1};
    static struct xt_registry_event told;
    struct xt_event event;
    memset(&told, 0, sizeof(told));
    told.type = type;
    told.number = number;
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, &event), XT_OK);
    return event;
}

static struct xt_writer_answer tell_of(struct xt_writer_channel *channel,
                                       enum xt_registry_type type, uint64_t number,
                                       const char *event_id)
{
    uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_event event = registry_event(type, number, event_id, body);
    return ask(channel, &event);
}

static enum xt_card_state card_of(const struct xt_register *as, uint64_t number)
{
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    assert_int_equal(
        xt_live_refresh(as->live, xt_writer_epoch(world.shared), xt_writer_commit(world.shared)),
        XT_OK);
    assert_int_equal(xt_register_find(as, id, &found), XT_OK);
    assert_true(found.found);
    return found.hot.card_state;
}

static void tell_partners(const char *const *names, const bool *may, unsigned count)
{
    static uint8_t texts[4][XT_PARTNER_JSON_MAX];
    struct xt_span spans[4];
    uint32_t cells[4] = {0};
    struct xt_partners *partners = NULL;
    struct xt_control_message message = {.type = XT_CONTROL_RELOAD, .fd_count = 1};
    for (unsigned i = 0; i < count; i++) {
        static struct xt_partner partner;
        struct xt_writer writer = xt_writer_over(texts[i], sizeof(texts[i]));
        memset(&partner, 0, sizeof(partner));
        snprintf(partner.name, sizeof(partner.name), "%s", names[i]);
        partner.active = strcmp(names[i], "inactive") != 0;
        partner.rights = may[i] ? XT_RIGHT_REGISTRY : XT_RIGHT_PER_CLAIM;
        partner.certificate_count = 1;
        partner.certificates[0][0] = (uint8_t)(i + 1);
        xt_partner_to_json(&partner, &writer);
        spans[i] = xt_written(&writer);
    }
    assert_int_equal(xt_partners_parse(spans, count, &partners, &failure), XT_OK);
    struct xt_snapshot_parts parts = {.partners = partners, .cells = cells};
    assert_int_equal(xt_snapshot_write(&parts, &message.fds[0], &failure), XT_OK);
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
    close(message.fds[0]);
    xt_partners_free(partners);
}

/* Of a worker: nothing but registry events, in the name of somebody who has the right. */
static void expect_only_the_registry(struct xt_writer_channel *worker,
                                     const struct xt_event *served)
{
    static const char *const names[] = {"bank", "civil", "inactive"};
    uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_event about_nobody = registry_event(XT_REGISTRY_CARD_LOST, SOMEBODY + 99, "n", body);
    struct xt_event held = held_event(7, "civil");
    assert_int_equal(ask_for(worker, "civil", &about_nobody).status,
                     XT_DENIED); /* nobody may yet */
    tell_partners(names, (const bool[]){false, true, true}, 3);
    struct xt_writer_answer answer;
    do { /* until it has been told */
        answer = ask_for(worker, "civil", &about_nobody);
    } while (answer.conflict == XT_CONFLICT_NONE);
    assert_int_equal(answer.conflict, XT_CONFLICT_UNKNOWN_PERSON);
    static const char *const others[] = {"",       "bank",  "inactive", "civi",
                                         "civil2", "CIVIL", "../civil"};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        answer = ask_for(worker, others[i], &about_nobody);
        assert_int_equal(answer.status, XT_DENIED);
        assert_int_equal(answer.conflict, XT_CONFLICT_NONE);
    }
    assert_int_equal(ask_for(worker, "civil", &held).status, XT_DENIED);
    assert_int_equal(ask_for(worker, "civil", served).status, XT_DENIED);
    tell_partners(names, (const bool[]){false, false, true}, 3);
    do {
        answer = ask_for(worker, "civil", &about_nobody);
    } while (answer.conflict != XT_CONFLICT_NONE);
    assert_int_equal(answer.status, XT_DENIED);
}

static void registry_events_change_the_register_and_only_for_whom_it_may(void **state)
{
    (void)state;
    struct xt_register as = {.generation = NULL};
    struct xt_event served = import(1);
    start_writer();
    struct xt_writer_channel *supervisor = open_channel(connect_administrator());
    struct xt_writer_channel *worker = open_channel(connect_place(0));
    /* Nothing is served yet. */
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_BUSY);
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    /* A worker that was taken over could forge it. */
    assert_int_equal(tell_of(worker, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_DENIED);
    expect_only_the_registry(worker, &served);
    as.live = open_reader();
    assert_int_equal(xt_generation_open(world.dir, 1, world.keyring, &as.generation, &failure),
                     XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    struct xt_writer_answer answer = tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "2");
    assert_int_equal(answer.status, XT_DENIED);
    assert_int_equal(answer.conflict, XT_CONFLICT_CARD_ALREADY_LOST);
    assert_true(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").duplicate);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "1").status, XT_EXISTS);
    answer = tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3");
    assert_int_equal(answer.conflict, XT_CONFLICT_UNKNOWN_PERSON);
    /* Another generation is served, with one person more; the overlay lies over it all the same. The
     * writer opens it after the group that tells of it. */
    served = import(2);
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    /* And so after a crash, with the generation on record. */
    kill_writer();
    xt_writer_channel_close(supervisor);
    xt_writer_channel_close(worker);
    start_writer();
    supervisor = open_channel(connect_administrator());
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "4").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_true(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").duplicate);
    xt_live_close(as.live);
    xt_generation_close(as.generation);
    xt_writer_channel_close(supervisor);
    drain_writer();
}

/* The key file has a new key; the writer is told as the supervisor tells it. */
static void rotate_keys(void)
{
    char path[XT_PATH_MAX];
    uint8_t keys[XT_KEYRING_EXPORT_MAX];
    uint32_t id = 0;
    struct xt_keyring *with_new = NULL;
    struct xt_writer writer = xt_writer_over(keys, sizeof(keys));
    struct xt_control_message message = {.type = XT_CONTROL_KEYS, .numbers = {7}};
    in_dir(path, "keys/master.keys");
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_OK);
    assert_int_equal(xt_keyring_open(path, &with_new, &failure), XT_OK);
    xt_keyring_take(world.keyring, with_new);
    xt_keyring_export(world.keyring, &writer);
    message.blobs[0] = xt_written(&writer);
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
    expect_told(XT_CONTROL_KEYS_TAKEN);
}

static void a_writer_goes_on_under_new_keys_over_old_and_new_generations(void **state)
{
    (void)state;
    struct xt_register as = {.generation = NULL};
    struct xt_event served = import(1);
    start_writer();
    expect_told(XT_CONTROL_READY);
    expect_told(XT_CONTROL_KEYS_TAKEN);
    struct xt_writer_channel *supervisor = open_channel(connect_administrator());
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_OK);
    as.live = open_reader();
    assert_int_equal(xt_generation_open(world.dir, 1, world.keyring, &as.generation, &failure),
                     XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    rotate_keys();
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "2").conflict,
                     XT_CONFLICT_CARD_ALREADY_LOST);
    served = import(2); /* under the new key, which the writer was not started with */
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3").status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "4").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_int_equal(xt_live_key_id(as.live), xt_keyring_current(world.keyring));
    xt_live_close(as.live);
    xt_generation_close(as.generation);
    xt_writer_channel_close(supervisor);
    drain_writer();
}

static void refused_events_do_not_stop_the_others(void **state)
{
    (void)state;
    struct asked asked[64] = {{.answers = 0}};
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    for (unsigned i = 0; i < 64; i++) {
        struct xt_event event = held_event(i, "vnpt");
        if (i % 2 == 1) { /* 40, 39, ... : only the first is not older than the one before */
            xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
            event.generation_served.number = 40 - i / 2;
        }
        assert_int_equal(xt_writer_send(channel, &event, on_answer, &asked[i]), XT_OK);
    }
    run_until(xt_writer_channel_waiting(channel) == 0);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(asked[i].answers, 1);
        assert_int_equal(asked[i].answer.status, i % 2 == 0 || i == 1 ? XT_OK : XT_DENIED);
    }
    assert_int_equal(xt_writer_epoch(world.shared), 33);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* ---- bounds ------------------------------------------------------------------------------------------ */

static void a_channel_takes_so_many_and_says_again(void **state)
{
    (void)state;
    static struct asked asked[XT_WRITER_CHANNEL_EVENTS + 8];
    memset(asked, 0, sizeof(asked));
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    expect_told(XT_CONTROL_READY);
    assert_int_equal(kill(world.writer, SIGSTOP), 0);
    unsigned sent = 0;
    enum xt_status status = XT_OK;
    while (status == XT_OK && sent < sizeof(asked) / sizeof(asked[0])) {
        struct xt_event event = held_event(sent, "vnpt");
        status = xt_writer_send(channel, &event, on_answer, &asked[sent]);
        sent += status == XT_OK;
    }
    assert_int_equal(status, XT_AGAIN);
    assert_int_equal(sent, XT_WRITER_CHANNEL_EVENTS);
    assert_int_equal(kill(world.writer, SIGCONT), 0);
    run_until(xt_writer_channel_waiting(channel) == 0);
    for (unsigned i = 0; i < sent; i++) {
        assert_int_equal(asked[i].answers, 1);
        assert_int_equal(asked[i].answer.sequence, i + 1);
    }
    struct xt_event event = held_event(sent, "vnpt");
    assert_int_equal(ask(channel, &event).sequence, sent + 1);
    xt_writer_channel_close(channel);
    drain_writer();
}

static size_t make_packet(unsigned i, uint8_t packet[XT_WRITER_EVENT_MAX])
{
    struct xt_event event = held_event(i, "deaf");
    struct xt_writer writer = xt_writer_over(packet, XT_WRITER_EVENT_MAX);
    xt_writer_event_begin(&writer, i, xt_span_of(NULL, 0));
    xt_event_encode(&event, &writer);
    return writer.size;
}

/* It sends and does not read: its own answers are all that it blocks. */
static void who_does_not_read_his_answers_is_not_read(void **state)
{
    (void)state;
    enum { MOST = 200000 };
    static uint8_t seen[MOST];
    uint8_t packet[XT_WRITER_ANSWERS_MAX];
    memset(seen, 0, sizeof(seen));
    start_writer();
    int deaf = connect_with(xt_shared_supervisor_place(WORKERS), 8192);
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    unsigned sent = 0;
    unsigned blocked = 0;
    for (unsigned i = 0; blocked < 20 && sent < MOST; i++) {
        uint8_t message[XT_WRITER_EVENT_MAX];
        size_t size = make_packet(sent, message);
        if (send(deaf, message, size, MSG_NOSIGNAL) == (ssize_t)size) {
            sent++;
            blocked = 0;
        } else {
            struct xt_event event = held_event(1000000 + i, "other");
            assert_int_equal(ask(channel, &event).status, XT_OK); /* others are served */
            blocked++;
        }
    }
    assert_int_equal(blocked, 20);
    unsigned answered = 0;
    while (answered < sent) {
        ssize_t size = recv(deaf, packet, sizeof(packet), 0);
        if (size < 0) {
            usleep(1000);
            continue;
        }
        struct xt_taker taker = xt_taker_over(xt_span_of(packet + 2, (size_t)size - 2));
        for (uint64_t count = xt_take(&taker, 2); count > 0; count--) {
            uint64_t ticket = xt_take(&taker, 8);
            assert_true(xt_take(&taker, 8) > 0);
            assert_int_equal(xt_take(&taker, 1), XT_OK);
            assert_int_equal(xt_take(&taker, 3), 0); /* no duplicate, conflict or attempt */
            assert_true(ticket < sent && !seen[ticket]);
            seen[ticket] = 1;
            answered++;
        }
        assert_true(xt_taken_all(&taker));
    }
    close(deaf);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* Packets that no program of ours sends: refused one by one or with their channel, and nobody else
 * notices. */
static void broken_packets_cost_their_own_channel_only(void **state)
{
    (void)state;
    uint64_t seed = 11;
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    expect_told(XT_CONTROL_READY);
    struct xt_event first = held_event(0, "vnpt");
    assert_int_equal(ask(channel, &first).status, XT_OK); /* it has its channel */
    unsigned descriptors = count_descriptors(world.writer);
    unsigned closed = 0;
    unsigned refused = 0;
    int hostile = connect_place(0);
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t packet[2 * XT_WRITER_EVENT_MAX];
        uint8_t answers[XT_WRITER_ANSWERS_MAX];
        size_t size = mutate(packet, make_packet(i, packet), sizeof(packet), &seed);
        if (i % 100 == 0) {
            size = sizeof(packet); /* larger than any event */
        }
        assert_true(send(hostile, packet, size == 0 ? 1 : size, MSG_NOSIGNAL) > 0);
        struct pollfd reply = {.fd = hostile, .events = POLLIN};
        assert_int_equal(poll(&reply, 1, PATIENCE_MS), 1);
        if (recv(hostile, answers, sizeof(answers), 0) <= 0) {
            close(hostile); /* no packet of ours: the writer has hung up */
            hostile = connect_place(0);
            closed++;
        } else {
            refused++; /* one of ours, with whatever in it: refused by itself */
        }
        if (i % 500 == 0) {
            struct xt_event event = held_event(i, "vnpt");
            assert_int_equal(ask(channel, &event).status, XT_OK);
        }
    }
    close(hostile);
    assert_true(closed > 100 && refused > 100);
    assert_int_equal(xt_writer_epoch(world.shared), 11); /* ours alone */
    struct xt_event event = held_event(1, "vnpt");
    for (unsigned i = 0; i < 1000 && count_descriptors(world.writer) > descriptors; i++) {
        assert_int_equal(ask(channel, &event).status,
                         XT_OK); /* it hears of the last one meanwhile */
    }
    assert_int_equal(count_descriptors(world.writer), descriptors);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* The other way: a writer that talks nonsense is as good as none, and every event has its callback. */
static void broken_answers_end_the_channel(void **state)
{
    (void)state;
    uint64_t seed = 12;
    for (unsigned round = 0; round < 300; round++) {
        int ends[2];
        struct asked asked[8] = {{.answers = 0}};
        assert_int_equal(xt_writer_channel_pair(ends, &failure), XT_OK);
        struct xt_writer_channel *channel = open_channel(ends[0]);
        for (unsigned i = 0; i < 8; i++) {
            struct xt_event event = held_event(i, "vnpt");
            assert_int_equal(xt_writer_send(channel, &event, on_answer, &asked[i]), XT_OK);
        }
        for (unsigned i = 0; i < 20; i++) {
            uint8_t packet[256];
            struct xt_writer writer = xt_writer_over(packet, sizeof(packet));
            xt_put(&writer, 'A', 1);
            xt_put(&writer, XT_WRITER_VERSION, 1);
            xt_put(&writer, 2, 2);
            for (unsigned j = 0; j < 2; j++) {
                xt_put(&writer, next_random(&seed) % 10, 8);
                xt_put(&writer, i, 8);
                xt_put(&writer, 0, XT_WRITER_ANSWER_SIZE - 16);
            }
            size_t size = mutate(packet, writer.size, sizeof(packet), &seed);
            (void)send(ends[1], packet, size == 0 ? 1 : size, MSG_NOSIGNAL);
        }
        close(ends[1]);
        run_until(!xt_writer_channel_is_open(channel));
        for (unsigned i = 0; i < 8; i++) {
            assert_int_equal(asked[i].answers, 1);
        }
        xt_writer_channel_close(channel);
    }
}

/* ---- kills -------------------------------------------------------------------------------------------- */

#define CLIENTS 4
#define IN_FLIGHT 24

/* An event of a client: sent until it is answered, or given up after its writer died. */
struct job {
    struct client *client;
    struct xt_event event;
    unsigned number;
    uint64_t sequence;
    enum { JOB_SENT, JOB_DONE, JOB_AGAIN, JOB_LEFT } state;
};
struct client {
    struct xt_writer_channel *channel;
    unsigned in_flight;
};

static struct storm {
    struct client clients[CLIENTS];
    struct job *jobs;
    unsigned count, most, acknowledged, left, duplicates;
    struct xt_live *live;
    uint64_t seed;
    bool feeding;
} storm;

static void on_job(void *context, const struct xt_writer_answer *answer)
{
    struct job *job = context;
    job->client->in_flight--;
    assert_int_equal(job->state, JOB_SENT);
    if (answer->status == XT_CLOSED) {
        bool leave = next_random(&storm.seed) % 4 == 0;
        job->state = leave ? JOB_LEFT : JOB_AGAIN;
        storm.left += leave;
        return;
    }
    assert_int_equal(answer->status, XT_OK);
    assert_true(answer->sequence > 0);
    job->state = JOB_DONE;
    job->sequence = answer->sequence;
    storm.acknowledged++;
    storm.duplicates += answer->duplicate;
    /* The answer is there, so everybody sees it who looks at the epoch. */
    if (job->number % 16 == 0) {
        assert_int_equal(xt_live_refresh(storm.live, xt_writer_epoch(world.shared),
                                         xt_writer_commit(world.shared)),
                         XT_OK);
        assert_true(is_held(storm.live, job->number, "vnpt"));
        xt_live_rest(storm.live);
    }
}

static bool send_job(struct job *job, struct client *client)
{
    job->client = client;
    job->state = JOB_SENT;
    if (xt_writer_send(client->channel, &job->event, on_job, job) != XT_OK) {
        job->state = JOB_AGAIN;
        return false;
    }
    client->in_flight++;
    return true;
}

static void feed(void)
{
    for (unsigned i = 0; i < CLIENTS && storm.feeding; i++) {
        struct client *client = &storm.clients[i];
        while (client->in_flight < IN_FLIGHT && storm.count < storm.most) {
            struct job *job = &storm.jobs[storm.count];
            *job = (struct job){.number = storm.count, .event = held_event(storm.count, "vnpt")};
            storm.count++;
            if (!send_job(job, client)) {
                break;
            }
        }
    }
}

static void restart_writer(void)
{
    start_writer();
    for (unsigned i = 0; i < CLIENTS; i++) {
        int fd = connect_administrator();
        if (storm.clients[i].channel == NULL) {
            storm.clients[i].channel = open_channel(fd);
        } else {
            assert_int_equal(xt_writer_channel_replace(storm.clients[i].channel, fd), XT_OK);
        }
        assert_int_equal(storm.clients[i].in_flight, 0);
    }
    for (unsigned i = 0; i < storm.count; i++) { /* with the same id, by whoever */
        if (storm.jobs[i].state == JOB_AGAIN) {
            struct client *client = &storm.clients[next_random(&storm.seed) % CLIENTS];
            assert_true(send_job(&storm.jobs[i], client));
        }
    }
}

/* Numbers 1, 2, 3 ... without a gap, each for one event; what was acknowledged is there, and the rest of
 * the numbers belong to events that were left alone after their writer died. */
static void check_storm(void)
{
    struct xt_live *live = storm.live;
    assert_int_equal(xt_live_refresh(live, UINT64_MAX, 0), XT_OK);
    uint64_t last = xt_live_sequence(live);
    uint8_t *used = calloc(last + 1, 1);
    assert_non_null(used);
    unsigned applied_and_left = 0;
    for (unsigned i = 0; i < storm.count; i++) {
        const struct job *job = &storm.jobs[i];
        bool held = is_held(live, job->number, "vnpt");
        if (job->state == JOB_DONE) {
            assert_true(held);
            assert_true(job->sequence >= 1 && job->sequence <= last && !used[job->sequence]);
            used[job->sequence] = 1;
        } else {
            assert_int_equal(job->state, JOB_LEFT);
            applied_and_left += held;
        }
    }
    assert_int_equal(last, storm.acknowledged + applied_and_left);
    free(used);
}

static enum xt_status count_line(void *context, uint64_t sequence,
                                 const struct xt_live_line *line)
{
    uint64_t *next = context;
    (void)line;
    return sequence == ++*next ? XT_OK : XT_CORRUPT;
}

static void killed_writers_lose_nothing_and_do_nothing_twice(void **state)
{
    (void)state;
    enum { KILLS = 30 };
    memset(&storm, 0, sizeof(storm));
    storm.most = 60000;
    storm.seed = (uint64_t)time(NULL);
    storm.jobs = calloc(storm.most, sizeof(*storm.jobs));
    assert_non_null(storm.jobs);
    print_message("seed %llu\n", (unsigned long long)storm.seed);
    start_writer();
    expect_told(XT_CONTROL_READY);
    drain_writer(); /* there is a store to read now */
    storm.live = open_reader();
    xt_live_rest(storm.live);
    storm.feeding = true;
    restart_writer();
    unsigned descriptors = count_descriptors(getpid());
    for (unsigned kills = 0; kills < KILLS; kills++) {
        unsigned until = storm.acknowledged + (unsigned)(next_random(&storm.seed) % 700);
        run_until((feed(), storm.acknowledged >= until));
        usleep((useconds_t)(next_random(&storm.seed) % 2000)); /* anywhere in its work */
        kill_writer();
        if (kills % 2 == 0) { /* some hear of it by themselves, others from their supervisor */
            storm.feeding = false;
            run_until(!xt_writer_channel_is_open(storm.clients[0].channel));
            storm.feeding = true;
        }
        restart_writer();
        uv_run(&world.loop, UV_RUN_NOWAIT);
        assert_int_equal(count_descriptors(getpid()), descriptors);
    }
    storm.most = storm.count;
    run_until(storm.acknowledged + storm.left == storm.count);
    drain_writer();
    check_storm();
    uint64_t next = 0;
    assert_int_equal(xt_live_log_each(storm.live, count_line, &next), XT_OK);
    assert_int_equal(next, xt_live_sequence(storm.live));
    print_message("%u events, %u acknowledged (%u were a second time), %u left\n", storm.count,
                  storm.acknowledged, storm.duplicates, storm.left);
    assert_true(storm.left > 0 && storm.acknowledged > 1000);
    xt_live_close(storm.live);
    for (unsigned i = 0; i < CLIENTS; i++) {
        xt_writer_channel_close(storm.clients[i].channel);
    }
    free(storm.jobs);
}

static void killed_clients_do_not_stop_the_others(void **state)
{
    (void)state;
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    struct xt_event event = held_event(0, "vnpt");
    assert_int_equal(ask(channel, &event).status, XT_OK); /* it has its channel */
    unsigned descriptors = count_descriptors(world.writer);
    for (unsigned round = 0; round < 10; round++) {
        int fd = connect_administrator();
        pid_t client = fork();
        assert_true(client >= 0);
        if (client == 0) {
            for (unsigned i = 0;; i++) {
                uint8_t packet[XT_WRITER_EVENT_MAX];
                (void)send(fd, packet, make_packet(i, packet), MSG_NOSIGNAL);
            }
        }
        close(fd);
        for (unsigned i = 0; i < 5; i++) {
            event = held_event(i, "vnpt");
            assert_int_equal(ask(channel, &event).status, XT_OK);
        }
        assert_int_equal(kill(client, SIGKILL), 0);
        assert_int_equal(waitpid(client, NULL, 0), client);
    }
    for (unsigned i = 0; i < 1000 && count_descriptors(world.writer) > descriptors; i++) {
        assert_int_equal(ask(channel, &event).status, XT_OK);
    }
    assert_int_equal(count_descriptors(world.writer), descriptors);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* ---- the disk ------------------------------------------------------------------------------------------ */

static void a_full_disk_refuses_and_goes_on_by_itself(void **state)
{
    (void)state;
    char path[XT_PATH_MAX];
    in_dir(path, "live");
    if (mount("live", path, "tmpfs", 0, "size=4m") != 0) {
        skip();
    }
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    struct xt_event event = held_event(0, "vnpt");
    assert_int_equal(ask(channel, &event).status, XT_OK);
    in_dir(path, "live/ballast");
    int ballast = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(ballast >= 0);
    for (char page[4096] = {0}; write(ballast, page, sizeof(page)) > 0;) {
    }
    close(ballast);
    struct xt_writer_answer answer = {.status = XT_OK};
    unsigned applied = 1;
    for (unsigned i = 1; answer.status == XT_OK && i < 20000; i++) {
        event = held_event(i, "vnpt");
        answer = ask(channel, &event);
        applied += answer.status == XT_OK;
    }
    assert_int_equal(answer.status, XT_DISK_FULL);
    assert_int_equal(xt_writer_epoch(world.shared), applied);
    assert_int_equal(unlink(path), 0);
    answer = ask(channel, &event);
    assert_int_equal(answer.status, XT_OK);
    assert_int_equal(answer.sequence, applied + 1);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* The same below a limit of file size: LMDB tells of a write that was cut short as of a broken disk, and
 * the sandbox is around the process that has to know the difference. */
static void a_limit_of_file_size_refuses_and_goes_on_when_it_is_raised(void **state)
{
    (void)state;
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    struct xt_event applied = held_event(0, "vnpt");
    struct xt_event event = applied;
    struct xt_writer_answer answer = {.status = XT_OK};
    unsigned count = 0;
    world.file_limit = 100000; /* not whole pages */
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    while (answer.status == XT_OK && count < 20000) {
        event = held_event(count, "vnpt");
        event = count == 0 ? applied : event;
        answer = ask(channel, &event);
        count += answer.status == XT_OK;
    }
    assert_int_equal(answer.status, XT_DISK_FULL);
    assert_true(count > 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(ask(channel, &event).status, XT_DISK_FULL);
        answer = ask(channel, &applied);
        assert_int_equal(answer.status, XT_OK);
        assert_true(answer.duplicate);
    }
    assert_int_equal(xt_writer_epoch(world.shared), count);
    assert_int_equal(prlimit(world.writer, RLIMIT_FSIZE, &none, NULL), 0);
    answer = ask(channel, &event);
    assert_int_equal(answer.status, XT_OK);
    assert_int_equal(answer.sequence, count + 1);
    xt_writer_channel_close(channel);
    drain_writer();
}

/* ---- the beginning and the end -------------------------------------------------------------------------- */

static void a_second_writer_waits_for_the_first(void **state)
{
    (void)state;
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    struct xt_event event = held_event(1, "vnpt");
    assert_int_equal(ask(channel, &event).sequence, 1);
    pid_t first = world.writer;
    int first_control = world.control;
    start_writer();
    struct xt_writer_channel *second = open_channel(connect_administrator());
    struct xt_control_message message;
    struct asked asked = {.answers = 0};
    event = held_event(2, "vnpt");
    assert_int_equal(xt_writer_send(second, &event, on_answer, &asked), XT_OK); /* it waits too */
    assert_int_equal(xt_control_wait(world.control, 200, &message), XT_AGAIN);
    xt_control_release(&message);
    event = held_event(3, "vnpt");
    assert_int_equal(ask(channel, &event).sequence, 2);
    assert_int_equal(asked.answers, 0);
    int later_control = world.control;
    pid_t later = world.writer;
    world.writer = first;
    world.control = first_control;
    expect_told(XT_CONTROL_READY);
    drain_writer();
    world.writer = later;
    world.control = later_control;
    run_until(asked.answers == 1);
    assert_int_equal(asked.answer.sequence, 3);
    expect_told(XT_CONTROL_READY);
    xt_writer_channel_close(channel);
    xt_writer_channel_close(second);
    drain_writer();
}

static void a_waiting_writer_ends_when_it_is_told(void **state)
{
    (void)state;
    int lock = -1;
    assert_int_equal(xt_live_lock(world.dir, &lock, &failure), XT_OK);
    start_writer();
    usleep(50000);
    drain_writer();
    start_writer();
    usleep(50000);
    shutdown(world.control, SHUT_RDWR); /* its supervisor is gone */
    int status = reap();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(lock);
}

static void draining_answers_what_was_sent(void **state)
{
    (void)state;
    enum { EVENTS = 500 };
    struct asked asked[EVENTS];
    memset(asked, 0, sizeof(asked));
    start_writer();
    struct xt_writer_channel *channel = open_channel(connect_administrator());
    expect_told(XT_CONTROL_READY);
    for (unsigned i = 0; i < EVENTS; i++) {
        struct xt_event event = held_event(i, "vnpt");
        assert_int_equal(xt_writer_send(channel, &event, on_answer, &asked[i]), XT_OK);
    }
    tell(XT_CONTROL_DRAIN);
    run_until(!xt_writer_channel_is_open(channel));
    for (unsigned i = 0; i < EVENTS; i++) {
        assert_int_equal(asked[i].answers, 1);
        assert_int_equal(asked[i].answer.status, XT_OK);
    }
    struct xt_event event = held_event(1, "vnpt");
    assert_int_equal(xt_writer_send(channel, &event, on_answer, &asked[0]), XT_CLOSED);
    xt_writer_channel_close(channel);
    expect_told(XT_CONTROL_STOPPED);
    assert_int_equal(reap(), 0);
}

/* Without a supervisor, and after a SIGTERM to all: as long as somebody has it open. */
static void without_a_supervisor_it_serves_until_the_last_channel_closes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        start_writer();
        struct xt_writer_channel *channel = open_channel(connect_administrator());
        struct xt_event event = held_event(round, "vnpt");
        assert_int_equal(ask(channel, &event).status, XT_OK);
        if (round == 0) {
            shutdown(world.control, SHUT_RDWR);
        } else {
            assert_int_equal(kill(world.writer, SIGTERM), 0);
        }
        for (unsigned i = 0; i < 20; i++) {
            event = held_event(100 + i, "vnpt");
            assert_int_equal(ask(channel, &event).status, XT_OK);
        }
        xt_writer_channel_close(channel);
        int status = reap();
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void it_does_not_start_without_a_supervisor(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(xt_control_pair(ends, &failure), XT_OK);
    close(ends[0]);
    world.control = ends[1];
    world.writer = fork();
    assert_true(world.writer >= 0);
    if (world.writer == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        close(XT_CONTROL_FD);
        execl(getenv("XT_XACTHUC"), "xacthuc", "serve-writer", NULL);
        _exit(127);
    }
    int status = reap();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* ---- the record ----------------------------------------------------------------------------------------- */

static char reported[4096];

static void report(void *context, const char *file, const char *why)
{
    size_t size = strlen(reported);
    (void)context;
    snprintf(reported + size, sizeof(reported) - size, "%s: %s\n", file, why);
}

static void save_partner(const char *name, unsigned certificate)
{
    struct xt_partner partner = {.active = true, .certificate_count = 1, .purpose_count = 1};
    snprintf(partner.name, sizeof(partner.name), "%s", name);
    snprintf(partner.purposes[0].name, sizeof(partner.purposes[0].name), "test");
    partner.purposes[0].claims = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    memset(partner.certificates[0], (int)certificate, XT_SPKI_DIGEST);
    assert_int_equal(xt_partner_save(world.dir, &partner, true, &failure), XT_OK);
}

static struct xt_partners *load(struct xt_writer_record *record, const struct xt_partners *previous)
{
    const struct xt_live *live;
    struct xt_partners *partners = NULL;
    reported[0] = '\0';
    assert_int_equal(xt_writer_record_live(record, &live, &failure), XT_OK);
    assert_int_equal(
        xt_partners_load_held(world.dir, previous, live, report, NULL, &partners, &failure), XT_OK);
    return partners;
}

static const char *holder(const struct xt_partners *partners, unsigned certificate)
{
    uint8_t spki[XT_SPKI_DIGEST];
    memset(spki, (int)certificate, sizeof(spki));
    const struct xt_partner *partner = xt_partners_by_spki(partners, spki);
    return partner == NULL ? "" : partner->name;
}

static void remove_partner(const char *name)
{
    char file[128];
    char path[XT_PATH_MAX];
    snprintf(file, sizeof(file), "partners/%s.json", name);
    in_dir(path, file);
    assert_int_equal(unlink(path), 0);
}

static void the_supervisors_record_outlives_it(void **state)
{
    (void)state;
    struct xt_writer_record record;
    uint8_t digest[XT_GENERATION_DIGEST] = {7};
    bool rollback = false;
    char path[XT_PATH_MAX];
    in_dir(path, "partners");
    assert_int_equal(mkdir(path, 0700), 0);
    save_partner("mike", 1);
    save_partner("alpha", 2);
    struct xt_writer_channel *channel = open_channel(-1); /* no writer yet */
    assert_int_equal(
        xt_writer_record_open(&record, world.dir, world.keyring, world.shared, channel, &failure),
        XT_OK);
    struct xt_partners *first = load(&record, NULL);
    xt_writer_record_partners(&record, NULL, first);
    assert_int_equal(xt_writer_record_may_serve(&record, 7, digest, false, &rollback, &failure),
                     XT_OK);
    xt_writer_record_generation(&record, 7, digest, rollback);
    assert_false(xt_writer_record_is_done(&record));
    start_writer();
    assert_int_equal(xt_writer_channel_replace(channel, connect_administrator()), XT_OK);
    xt_writer_record_tick(&record);
    run_until(xt_writer_record_is_done(&record));
    assert_int_equal(xt_writer_epoch(world.shared), 3);
    xt_writer_record_partners(&record, first, first); /* all is on record: nothing is sent */
    assert_true(xt_writer_record_is_done(&record));
    kill_writer();
    xt_writer_channel_close(channel);
    xt_writer_record_close(&record);
    xt_partners_free(first);

    /* A new start, and a thief whose file comes first. */
    save_partner("alpha", 1);
    channel = open_channel(-1);
    assert_int_equal(
        xt_writer_record_open(&record, world.dir, world.keyring, world.shared, channel, &failure),
        XT_OK);
    struct xt_partners *second = load(&record, NULL);
    assert_non_null(
        strstr(reported, "alpha.json: one of its certificates is already that of mike"));
    assert_string_equal(holder(second, 1), "mike");
    assert_int_equal(xt_partners_count(second), 1);
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, false, &rollback, &failure),
                     XT_DENIED);
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, true, &rollback, &failure),
                     XT_OK);
    assert_true(rollback);
    start_writer();
    assert_int_equal(xt_writer_channel_replace(channel, connect_administrator()), XT_OK);
    xt_writer_record_partners(&record, NULL, second);
    xt_writer_record_generation(&record, 6, digest, rollback);
    run_until(xt_writer_record_is_done(&record));
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, false, &rollback, &failure),
                     XT_OK);
    /* Who leaves gives it free. */
    remove_partner("mike");
    struct xt_partners *third = load(&record, second);
    assert_string_equal(holder(third, 1), "alpha");
    xt_writer_record_partners(&record, second, third);
    run_until(xt_writer_record_is_done(&record));
    remove_partner("alpha");
    struct xt_partners *fourth = load(&record, third);
    xt_writer_record_partners(&record, third, fourth);
    run_until(xt_writer_record_is_done(&record));
    const struct xt_live *live;
    char name[XT_PARTNER_NAME_MAX + 1];
    uint8_t spki[XT_SPKI_DIGEST];
    memset(spki, 1, sizeof(spki));
    assert_int_equal(xt_writer_record_live(&record, &live, &failure), XT_OK);
    assert_int_equal(xt_live_holder(live, spki, name), XT_NOT_FOUND);
    xt_writer_channel_close(channel);
    xt_writer_record_close(&record);
    drain_writer();
    xt_partners_free(second);
    xt_partners_free(third);
    xt_partners_free(fourth);
    assert_int_equal(rmdir(path), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

int main(void)
{
    struct xt_failure no_rings; /* as the supervisor leaves it to its children */
    if (xt_sandbox_without_rings(&no_rings) != XT_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(an_answer_means_applied_durable_and_visible),
        EACH(workers_may_not_send_what_is_the_supervisors),
        EACH(registry_events_change_the_register_and_only_for_whom_it_may),
        EACH(a_writer_goes_on_under_new_keys_over_old_and_new_generations),
        EACH(refused_events_do_not_stop_the_others),
        EACH(a_channel_takes_so_many_and_says_again),
        EACH(who_does_not_read_his_answers_is_not_read),
        EACH(broken_packets_cost_their_own_channel_only),
        EACH(broken_answers_end_the_channel),
        EACH(killed_writers_lose_nothing_and_do_nothing_twice),
        EACH(killed_clients_do_not_stop_the_others),
        EACH(a_full_disk_refuses_and_goes_on_by_itself),
        EACH(a_limit_of_file_size_refuses_and_goes_on_when_it_is_raised),
        EACH(a_second_writer_waits_for_the_first),
        EACH(a_waiting_writer_ends_when_it_is_told),
        EACH(draining_answers_what_was_sent),
        EACH(without_a_supervisor_it_serves_until_the_last_channel_closes),
        EACH(it_does_not_start_without_a_supervisor),
        EACH(the_supervisors_record_outlives_it),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
