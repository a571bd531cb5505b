/* The writer process, the real one: what it answers to whom, and what it takes at most. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/writer.h"
#include "net/writer_message.h"
#include "store/live_internal.h"
#include "tests/core/mutate.h"
#include "tests/net/writer_world.h"

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

int main(void)
{
    if (!world_begin()) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(an_answer_means_applied_durable_and_visible),
        EACH(workers_may_not_send_what_is_the_supervisors),
        EACH(refused_events_do_not_stop_the_others),
        EACH(a_channel_takes_so_many_and_says_again),
        EACH(who_does_not_read_his_answers_is_not_read),
        EACH(broken_packets_cost_their_own_channel_only),
        EACH(broken_answers_end_the_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
