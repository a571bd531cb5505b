/* The writer's channels: events in, one group a turn, answers out. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/writer_internal.h"

#define READS_AT_ONCE 32   /* of one channel, so that a busy one leaves others room in the group */
#define FINISH_ROUNDS 1000 /* who goes on sending does not keep the process from its end */

/* ---- the life of a channel --------------------------------------------------------------------- */

static void free_peer(uv_handle_t *handle)
{
    free(handle->data);
}

static void close_peer(struct xt_writer_peer *peer)
{
    struct xt_writer_desk *desk = peer->desk;
    xt_require(peer->in_group == 0);
    xt_ring_remove(&peer->link);
    desk->peer_count--;
    uv_close((uv_handle_t *)&peer->poll, free_peer); /* stops polling at once */
    close(peer->fd);
    desk->gone(desk->context);
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Looks for what can be done now: reading while there is room for answers, sending while some wait. */
static void look(struct xt_writer_peer *peer)
{
    unsigned held = peer->answers + peer->in_group;
    int wanted = (peer->desk->serving && held < XT_WRITER_ANSWERS ? UV_READABLE : 0) |
                 (peer->answers > 0 ? UV_WRITABLE : 0);
    if (peer->ended || wanted == peer->polled) {
        return;
    }
    int error =
        wanted == 0 ? uv_poll_stop(&peer->poll) : uv_poll_start(&peer->poll, wanted, on_poll);
    peer->polled = wanted;
    peer->ended = error != 0;
}

enum xt_status xt_writer_desk_add(struct xt_writer_desk *desk, int fd, bool administers)
{
    struct xt_writer_peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL || uv_poll_init(desk->loop, &peer->poll, fd) != 0) {
        free(peer);
        close(fd);
        return XT_NO_MEMORY;
    }
    peer->desk = desk;
    peer->fd = fd;
    peer->administers = administers;
    peer->poll.data = peer;
    xt_ring_open(&peer->link);
    xt_ring_append(&desk->peers, &peer->link);
    desk->peer_count++;
    look(peer);
    return XT_OK;
}

static void log_peer(struct xt_writer_desk *desk, const char *reason)
{
    struct xt_log_line line;
    if (xt_log_begin_limited(&desk->log_limit, uv_now(desk->loop), &line, XT_LOG_ERROR,
                             "writer_channel_closed")) {
        xt_log_text(&line, "reason", reason);
        xt_log_end(&line);
    }
}

/* ---- answers ----------------------------------------------------------------------------------- */

static void send_answers(struct xt_writer_peer *peer)
{
    uint8_t packet[XT_WRITER_ANSWERS_MAX];
    while (peer->answers > 0 && !peer->ended) {
        unsigned count =
            peer->answers < XT_WRITER_ANSWERS_IN_ONE ? peer->answers : XT_WRITER_ANSWERS_IN_ONE;
        struct xt_writer writer = xt_writer_over(packet, sizeof(packet));
        xt_put(&writer, 'A', 1);
        xt_put(&writer, XT_WRITER_VERSION, 1);
        xt_put(&writer, count, 2);
        for (unsigned i = 0; i < count; i++) {
            unsigned at = (peer->first_answer + i) % XT_WRITER_ANSWERS;
            const struct xt_live_outcome *outcome = &peer->waiting[at].outcome;
            xt_put(&writer, peer->waiting[at].ticket, 8);
            xt_put(&writer, outcome->sequence, 8);
            xt_put(&writer, (uint64_t)outcome->status, 1);
            xt_put(&writer, outcome->duplicate, 1);
            xt_put(&writer, (uint64_t)outcome->conflict, 1);
            xt_put(&writer, (uint64_t)outcome->attempt, 1);
        }
        if (send(peer->fd, packet, writer.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            if (errno == EINTR) {
                continue;
            }
            peer->ended = errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS;
            return;
        }
        peer->first_answer = (peer->first_answer + count) % XT_WRITER_ANSWERS;
        peer->answers -= count;
    }
}

static void keep_answer(struct xt_writer_peer *peer, uint64_t ticket,
                        const struct xt_live_outcome *outcome)
{
    unsigned at = (peer->first_answer + peer->answers) % XT_WRITER_ANSWERS;
    xt_require(peer->answers < XT_WRITER_ANSWERS);
    peer->waiting[at].ticket = ticket;
    peer->waiting[at].outcome = *outcome;
    peer->answers++;
}

/* ---- the group --------------------------------------------------------------------------------- */

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Of a worker everything but what a partner says who may (net/writer_rights). What is no event at all goes on and gets
 * its own answer. */
static bool is_forbidden(const struct xt_writer_peer *peer, struct xt_span partner,
                         struct xt_span encoded)
{
    struct xt_event event;
    return !peer->administers && xt_event_decode(encoded, &event) == XT_OK &&
           !xt_writer_may_tell(peer->desk->partners, partner, &event);
}

static void log_disk(struct xt_writer_desk *desk, enum xt_status status)
{
    struct xt_log_line line;
    bool full = status == XT_DISK_FULL;
    if (full == desk->disk_full) {
        return;
    }
    desk->disk_full = full;
    xt_log_begin(&line, full ? XT_LOG_ERROR : XT_LOG_INFO,
                 full ? "live_disk_full" : "live_resumed");
    if (full) {
        xt_log_text(&line, "reason", "events are refused until there is room for the live store");
    }
    xt_log_end(&line);
}

static void count_outcomes(struct xt_writer_desk *desk, uint64_t before, uint64_t began_ns)
{
    struct xt_writer_counters *counters = desk->counters;
    unsigned refused = 0;
    unsigned failed = 0;
    for (unsigned i = 0; i < desk->count; i++) {
        enum xt_status status = desk->outcomes[i].status;
        failed += status == XT_DISK_FULL;
        refused += status != XT_OK && status != XT_DISK_FULL;
    }
    uint64_t applied = xt_live_sequence(desk->live) - before;
    xt_counter_add(&counters->events, applied);
    xt_counter_add(&counters->transactions, applied > 0);
    xt_counter_add(&counters->refused, refused);
    xt_counter_add(&counters->failed, failed);
    xt_counter_add(&counters->commit_ns, uv_hrtime() - began_ns);
}

/* For all processes: what is committed up to here. Before any answer leaves. */
static void publish(struct xt_writer_desk *desk)
{
    __atomic_store_n(&desk->counters->commit.value, xt_live_committed(desk->live),
                     __ATOMIC_RELEASE);
    __atomic_store_n(&desk->counters->sequence.value, xt_live_sequence(desk->live),
                     __ATOMIC_RELEASE);
}

/* Registry events that came behind a generation_served in its group found a base that was old. It is opened
 * now; they are applied over it in a transaction of their own, in their order. status: of the group. */
static enum xt_status apply_again(struct xt_writer_desk *desk, enum xt_status status,
                                  struct xt_failure *failure)
{
    struct xt_span events[XT_LIVE_GROUP_MAX];
    struct xt_live_outcome outcomes[XT_LIVE_GROUP_MAX];
    unsigned places[XT_LIVE_GROUP_MAX], count = 0;
    if (!xt_live_wants_base(desk->live)) {
        return status;
    }
    desk->wants_base(desk->context);
    for (unsigned i = 0; i < desk->count && !xt_live_wants_base(desk->live); i++) {
        if (desk->outcomes[i].status == XT_BUSY) {
            places[count] = i;
            events[count++] = desk->events[i];
        }
    }
    if (count == 0) {
        return status;
    }
    status = xt_live_apply(desk->live, unix_ms(), events, count, outcomes, failure);
    for (unsigned i = 0; i < count; i++) {
        desk->outcomes[places[i]] = outcomes[i];
    }
    if (status == XT_OK || status == XT_DISK_FULL) {
        publish(desk);
    }
    return status;
}

static void commit(struct xt_writer_desk *desk)
{
    struct xt_failure failure = {0};
    uint64_t before = xt_live_sequence(desk->live);
    uint64_t began_ns = uv_hrtime();
    if (desk->count == 0) {
        return;
    }
    xt_counter_set(&desk->counters->queue, desk->count);
    enum xt_status status =
        xt_live_apply(desk->live, unix_ms(), desk->events, desk->count, desk->outcomes, &failure);
    if (status == XT_OK || status == XT_DISK_FULL) {
        publish(desk);
        status = apply_again(desk, status, &failure);
    }
    if (status != XT_OK && status != XT_DISK_FULL) {
        desk->broken(desk->context, &failure);
        return;
    }
    log_disk(desk, status);
    count_outcomes(desk, before, began_ns);
    for (unsigned i = 0; i < desk->count; i++) {
        desk->from[i]->in_group--;
        keep_answer(desk->from[i], desk->tickets[i], &desk->outcomes[i]);
    }
    desk->count = 0;
    xt_counter_set(&desk->counters->queue, 0);
}

/* One packet into the group, or straight to an answer. */
static void take(struct xt_writer_peer *peer, struct xt_span packet)
{
    struct xt_writer_desk *desk = peer->desk;
    uint64_t ticket;
    struct xt_span event, partner;
    if (!xt_writer_event_open(packet, &ticket, &partner, &event)) {
        peer->ended = true;
        log_peer(desk, "it sent what is no event");
        return;
    }
    if (is_forbidden(peer, partner, event)) {
        struct xt_live_outcome denied = {.status = XT_DENIED};
        xt_counter_add(&desk->counters->refused, 1);
        keep_answer(peer, ticket, &denied);
        return;
    }
    desk->from[desk->count] = peer;
    desk->tickets[desk->count] = ticket;
    desk->events[desk->count] = event;
    desk->count++;
    peer->in_group++;
}

/* Gives whether something was read. */
static bool receive(struct xt_writer_peer *peer)
{
    struct xt_writer_desk *desk = peer->desk;
    unsigned reads = 0;
    while (reads < READS_AT_ONCE && !peer->ended &&
           peer->answers + peer->in_group < XT_WRITER_ANSWERS) {
        if (desk->count == XT_LIVE_GROUP_MAX) {
            commit(desk);
        }
        uint8_t *packet = desk->packets[desk->count];
        ssize_t size = recv(peer->fd, packet, XT_WRITER_EVENT_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        if (size <= 0) {
            peer->ended = true; /* the other side has gone */
            break;
        }
        reads++;
        /* A packet that was cut keeps its real size, and is none of ours. */
        take(peer, xt_span_of(packet, (size_t)size > XT_WRITER_EVENT_MAX ? 0 : (size_t)size));
    }
    peer->more = reads == READS_AT_ONCE;
    return reads > 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct xt_writer_peer *peer = poll->data;
    if (status < 0) { /* the loop has stopped looking at it */
        peer->polled = 0;
        peer->ended = true;
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        send_answers(peer);
    }
    if ((events & UV_READABLE) != 0) {
        (void)receive(peer);
    }
}

static void answer_all(struct xt_writer_desk *desk)
{
    for (struct xt_ring *at = desk->peers.next, *next; at != &desk->peers; at = next) {
        struct xt_writer_peer *peer = xt_ring_entry(at, struct xt_writer_peer, link);
        next = at->next;
        send_answers(peer);
        look(peer);
        if (peer->ended) {
            close_peer(peer);
        }
    }
}

/* Goes round those that had more than one helping, until the group is full. */
static void fill_group(struct xt_writer_desk *desk)
{
    for (bool more = true; more;) {
        more = false;
        for (struct xt_ring *at = desk->peers.next; at != &desk->peers; at = at->next) {
            struct xt_writer_peer *peer = xt_ring_entry(at, struct xt_writer_peer, link);
            if (peer->more && desk->count + READS_AT_ONCE <= XT_LIVE_GROUP_MAX) {
                more = receive(peer) || more;
            }
        }
    }
}

/* The loop has given every channel that had something its turn. */
static void on_turn(uv_check_t *turn)
{
    struct xt_writer_desk *desk = turn->data;
    if (desk->serving) {
        fill_group(desk);
        commit(desk);
        answer_all(desk);
    }
}

/* ---- the desk ---------------------------------------------------------------------------------- */

enum xt_status xt_writer_desk_open(struct xt_writer_desk *desk, uv_loop_t *loop)
{
    memset(desk, 0, offsetof(struct xt_writer_desk, packets));
    desk->loop = loop;
    xt_ring_open(&desk->peers);
    desk->turn.data = desk;
    return uv_check_init(loop, &desk->turn) == 0 && uv_check_start(&desk->turn, on_turn) == 0
               ? XT_OK
               : XT_IO;
}

void xt_writer_desk_serve(struct xt_writer_desk *desk, struct xt_live *live,
                          struct xt_writer_counters *counters)
{
    desk->live = live;
    desk->counters = counters;
    desk->serving = true;
    publish(desk);
    answer_all(desk); /* begins to look */
}

void xt_writer_desk_finish(struct xt_writer_desk *desk)
{
    bool more = desk->serving;
    for (unsigned round = 0; more && round < FINISH_ROUNDS; round++) {
        more = false;
        for (struct xt_ring *at = desk->peers.next; at != &desk->peers; at = at->next) {
            more = receive(xt_ring_entry(at, struct xt_writer_peer, link)) || more;
        }
        commit(desk);
        answer_all(desk);
    }
}

void xt_writer_desk_close(struct xt_writer_desk *desk)
{
    desk->serving = false;
    while (!xt_ring_is_empty(&desk->peers)) {
        close_peer(xt_ring_entry(desk->peers.next, struct xt_writer_peer, link));
    }
    uv_close((uv_handle_t *)&desk->turn, NULL);
}
