/* The real writer process: what it has answered for is in the live store once, in order, for everybody, whatever
 * is killed and when, or has no room. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/writer.h"
#include "net/writer_message.h"
#include "store/live_internal.h"
#include "tests/core/mutate.h"
#include "tests/net/writer_world.h"

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

static enum xt_status count_line(void *context, uint64_t sequence, const struct xt_live_line *line)
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

int main(void)
{
    if (!world_begin()) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(killed_writers_lose_nothing_and_do_nothing_twice),
        EACH(killed_clients_do_not_stop_the_others),
        EACH(a_full_disk_refuses_and_goes_on_by_itself),
        EACH(a_limit_of_file_size_refuses_and_goes_on_when_it_is_raised),
        EACH(a_second_writer_waits_for_the_first),
        EACH(a_waiting_writer_ends_when_it_is_told),
        EACH(draining_answers_what_was_sent),
        EACH(without_a_supervisor_it_serves_until_the_last_channel_closes),
        EACH(it_does_not_start_without_a_supervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
