#include "net/list_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "net/client_options.h"

#define TURN_MS 100
#define SYNC_MS 5000    /* what a power cut costs */
#define SILENT_MS 60000 /* answers are waited for, and not a byte comes: twice the server's limit */
#define IDLE_MS 10000   /* a stream without lines is ended before the server does */
#define STOP_MS 5000    /* what is on its way when it is to stop is waited for */
#define FIRST_WAIT_MS 250
#define LAST_WAIT_MS 30000
#define QUOTA_WAIT_MS 60000
#define FIRST_TRIES 3 /* of a server that was never reached: its name or port may be wrong */
#define INVALID_MAX 5 /* streams that break in a row because their answers are none */

struct lane {
    struct xt_list_lane stream;
    uint64_t not_before_ms;
    unsigned failures; /* in a row */
};

struct run {
    const struct xt_list_run_options *options;
    struct xt_list_input *input;
    struct xt_list_results *results;
    struct xt_progress *progress;
    struct xt_failure *failure;
    enum xt_status status;
    bool ended; /* the list has no more lines */
    bool ever;  /* a stream was begun: what breaks later is waited out */
    bool stopped;
    unsigned invalid, waits;
    uint64_t not_before_ms, synced_ms, stopped_ms, said_ms;
    uint64_t taken_up_bytes;
    struct xt_json_arena arena;
    unsigned first, pieces, capacity; /* of the ring */
    struct xt_list_piece *ring;
    struct lane lanes[XT_CLIENT_CONNECTIONS_MAX];
};

static uint64_t wait_of(unsigned times)
{
    uint64_t wait = FIRST_WAIT_MS;
    while (times-- > 1 && wait < LAST_WAIT_MS) {
        wait *= 2;
    }
    return wait < LAST_WAIT_MS ? wait : LAST_WAIT_MS;
}

static void fail(struct run *run, enum xt_status status, const char *what, const char *why)
{
    if (run->status == XT_OK) {
        run->status = xt_fail(run->failure, status, "%s%s%s", what, why[0] != 0 ? ": " : "", why);
    }
}

/* That it waits, and for what; not more than once in ten seconds. */
static void say(struct run *run, const char *what, const char *why, uint64_t now)
{
    if (!run->options->quiet && (run->said_ms == 0 || now - run->said_ms >= 10000)) {
        bool terminal = isatty(STDERR_FILENO) == 1;
        fprintf(stderr, "%sxacthuc verify: %s%s%s; waiting\n", terminal ? "\r\033[K" : "", what,
                why[0] != 0 ? ": " : "", why);
        run->said_ms = now;
    }
}

/* ---- pieces ------------------------------------------------------------------------------------- */

static struct xt_list_piece *piece_at(struct run *run, unsigned index)
{
    return &run->ring[(run->first + index) % run->capacity];
}

static void fill(struct run *run)
{
    while (run->status == XT_OK && !run->ended && !run->stopped && run->pieces < run->capacity) {
        enum xt_status status =
            xt_list_piece_fill(piece_at(run, run->pieces), run->input, run->failure);
        run->ended = status == XT_CLOSED;
        run->pieces += status == XT_OK;
        if (status != XT_OK && status != XT_CLOSED) {
            run->status = status;
        }
    }
}

/* The first that waits for a connection; NULL: none. */
static struct xt_list_piece *next_piece(struct run *run)
{
    for (unsigned i = 0; i < run->pieces; i++) {
        struct xt_list_piece *piece = piece_at(run, i);
        if (piece->filled && !piece->given && piece->answered < piece->count) {
            return piece;
        }
    }
    return NULL;
}

static void write_answered(struct run *run)
{
    enum xt_status status = XT_OK;
    while (status == XT_OK && run->pieces > 0) {
        struct xt_list_piece *piece = piece_at(run, 0);
        status = xt_list_piece_write(piece, run->results, run->arena, run->failure);
        if (piece->filled) {
            break;
        }
        run->first = (run->first + 1) % run->capacity;
        run->pieces--;
    }
    if (status == XT_OK) {
        status = xt_list_results_write(run->results, run->failure);
    }
    uint64_t now = xt_client_now_ms();
    if (status == XT_OK && now - run->synced_ms >= SYNC_MS) {
        status = xt_list_results_sync(run->results, run->failure);
        run->synced_ms = now;
    }
    if (run->status == XT_OK) {
        run->status = status;
    }
}

/* ---- lanes -------------------------------------------------------------------------------------- */

static void wait_for_quota(struct run *run, uint64_t now)
{
    if (run->options->stop_at_quota) {
        fail(run, XT_CLOSED, "the day's quota is used up; the same command goes on another day",
             "");
        return;
    }
    say(run, "the day's quota is used up (Ctrl-C stops, the same command goes on)", "", now);
    run->not_before_ms = now + QUOTA_WAIT_MS;
}

/* Lines were told to come again. */
static void look_at_later(struct run *run, struct lane *lane, uint64_t now)
{
    if (lane->stream.quota) {
        wait_for_quota(run, now);
    } else if (lane->stream.later) {
        run->not_before_ms = now + wait_of(++run->waits);
    }
    lane->stream.quota = lane->stream.later = false;
}

static void take_end(struct run *run, struct lane *lane, enum xt_lane_end end, bool had_lines,
                     uint64_t now)
{
    struct xt_list_lane *stream = &lane->stream;
    uint64_t wait = 0;
    run->invalid = end == XT_LANE_INVALID ? run->invalid + 1 : run->invalid;
    if (end == XT_LANE_REFUSED) {
        fail(run, XT_DENIED, "the server refuses", stream->told);
    } else if (end == XT_LANE_INVALID && run->invalid >= INVALID_MAX) {
        fail(run, XT_INVALID, "the server", stream->told);
    } else if (end == XT_LANE_BROKEN && !run->ever && lane->failures + 1 >= FIRST_TRIES) {
        fail(run, XT_IO, run->options->server->authority, stream->told);
    } else if (end == XT_LANE_BUSY) {
        wait = wait_of(++lane->failures);
        wait = wait < stream->retry_after_s * 1000ULL ? stream->retry_after_s * 1000ULL : wait;
        say(run, "the server answers", stream->told, now);
    } else if (end == XT_LANE_ENDED) {
        wait = had_lines ? FIRST_WAIT_MS : 0; /* it stops, and another takes over */
    } else if (had_lines || !stream->answered) {
        wait = wait_of(++lane->failures);
        say(run, run->options->server->authority, stream->told, now);
    }
    lane->not_before_ms = now + wait;
}

static void open_lane(struct run *run, struct lane *lane, uint64_t now)
{
    if (xt_list_lane_open(&lane->stream, run->options->server, run->options->context) != XT_OK) {
        (void)snprintf(lane->stream.told, sizeof(lane->stream.told), "no connection");
        take_end(run, lane, XT_LANE_BROKEN, true, now);
    }
}

/* A piece each in turn, so that all connections have some. */
static void give(struct run *run, uint64_t now)
{
    bool given = true;
    if (run->stopped || now < run->not_before_ms) {
        return;
    }
    while (given && run->status == XT_OK) {
        given = false;
        for (unsigned i = 0; i < run->options->connections; i++) {
            struct lane *lane = &run->lanes[i];
            struct xt_list_piece *piece = next_piece(run);
            if (piece == NULL) {
                return;
            }
            if (lane->stream.client == NULL && now >= lane->not_before_ms) {
                open_lane(run, lane, now);
            }
            if (xt_list_lane_takes(&lane->stream, piece)) {
                xt_list_lane_give(&lane->stream, piece);
                given = true;
            }
        }
    }
}

/* Streams that have nothing to ask, or from which nothing comes. */
static void look_at_time(struct run *run, struct lane *lane, uint64_t now)
{
    struct xt_list_lane *stream = &lane->stream;
    uint64_t moved = xt_client_moved_ms(stream->client);
    bool idle = stream->count == 0 && !stream->ending;
    if (now <= moved) {
        return;
    }
    if (idle && (now - moved >= IDLE_MS || run->stopped || (run->ended && run->pieces == 0))) {
        xt_list_lane_end(stream);
    } else if (now - moved >= (stream->ending && stream->count == 0 ? STOP_MS : SILENT_MS)) {
        bool had_lines = stream->count > 0;
        xt_list_lane_close(stream);
        (void)snprintf(stream->told, sizeof(stream->told), "no answer");
        take_end(run, lane, XT_LANE_BROKEN, had_lines, now);
    }
}

static void run_lane(struct run *run, struct lane *lane, short revents)
{
    struct xt_list_lane *stream = &lane->stream;
    bool had_lines = stream->count > 0;
    enum xt_lane_end end = xt_list_lane_run(stream, revents);
    uint64_t now = xt_client_now_ms();
    if (stream->answered) {
        run->ever = true;
        lane->failures = run->invalid = 0;
        run->waits = stream->later ? run->waits : 0;
    }
    run->ever = run->ever || stream->status != 0;
    look_at_later(run, lane, now);
    if (end == XT_LANE_GOES_ON) {
        look_at_time(run, lane, now);
    } else {
        take_end(run, lane, end, had_lines, now);
    }
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static unsigned open_lanes(const struct run *run)
{
    unsigned count = 0;
    for (unsigned i = 0; i < run->options->connections; i++) {
        count += run->lanes[i].stream.client != NULL;
    }
    return count;
}

static void turn(struct run *run)
{
    struct pollfd list[XT_CLIENT_CONNECTIONS_MAX];
    struct lane *lanes[XT_CLIENT_CONNECTIONS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < run->options->connections; i++) {
        const struct xt_client *client = run->lanes[i].stream.client;
        if (client != NULL) {
            list[count] =
                (struct pollfd){.fd = xt_client_socket(client), .events = xt_client_events(client)};
            lanes[count++] = &run->lanes[i];
        }
    }
    bool done = run->ended && run->pieces == 0; /* streams are to be ended now */
    int ready = poll(list, count, done ? 1 : TURN_MS);
    if (ready < 0 && errno != EINTR) {
        fail(run, XT_IO, "poll", strerror(errno));
    }
    for (unsigned i = 0; i < count && run->status == XT_OK; i++) {
        run_lane(run, lanes[i], ready > 0 ? list[i].revents : 0);
    }
}

static void show_progress(struct run *run)
{
    struct xt_progress *progress = run->progress;
    uint64_t lines = xt_list_results_counts(run->results)->lines;
    uint64_t done = lines - xt_list_results_taken_up(run->results);
    uint64_t bytes = xt_list_input_bytes(run->input) - run->taken_up_bytes;
    uint64_t size = xt_list_input_size(run->input) - run->taken_up_bytes;
    /* How many lines there are is known at the end only: as many as there would be of this length. */
    if (done > 0 && bytes > 0) {
        progress->total = (uint64_t)((double)done * (double)size / (double)bytes);
    }
    xt_progress_look(progress, done);
}

/* False: there is nothing left to wait for. */
static bool goes_on(struct run *run)
{
    uint64_t now = xt_client_now_ms();
    if (!run->stopped && xt_progress_interrupted(run->progress)) {
        run->stopped = true;
        run->stopped_ms = now;
    }
    unsigned open = open_lanes(run);
    if (run->status != XT_OK) {
        return false;
    }
    if (run->stopped) {
        return open > 0 && now - run->stopped_ms < STOP_MS;
    }
    return !run->ended || run->pieces > 0 || open > 0;
}

static void loop(struct run *run)
{
    run->synced_ms = xt_client_now_ms();
    do {
        fill(run);
        give(run, xt_client_now_ms());
        turn(run);
        write_answered(run);
        show_progress(run);
    } while (goes_on(run));
    if (run->status == XT_OK && (!run->ended || run->pieces > 0)) {
        fail(run, XT_CLOSED, "interrupted; the same command goes on", "");
    }
}

static void end(struct run *run)
{
    struct xt_failure other;
    for (unsigned i = 0; i < run->options->connections; i++) {
        if (run->lanes[i].stream.client != NULL) {
            xt_list_lane_close(&run->lanes[i].stream);
        }
    }
    /* Of a failed run too: what was answered is not asked again. */
    enum xt_status status = xt_list_results_sync(run->results, &other);
    if (run->status == XT_OK && status != XT_OK) {
        *run->failure = other;
        run->status = status;
    }
    for (unsigned i = 0; run->ring != NULL && i < run->capacity; i++) {
        xt_list_piece_release(&run->ring[i]);
    }
    free(run->ring);
    if (run->arena.memory != NULL) {
        xt_wipe(run->arena.memory, run->arena.size);
        free(run->arena.memory);
    }
}

enum xt_status xt_list_run(const struct xt_list_run_options *options, struct xt_list_input *input,
                           struct xt_list_results *results, struct xt_progress *progress,
                           struct xt_failure *failure)
{
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    *run = (struct run){.options = options,
                        .input = input,
                        .results = results,
                        .progress = progress,
                        .failure = failure,
                        .taken_up_bytes = xt_list_input_bytes(input),
                        .capacity = 2 * options->connections * XT_LIST_LANE_PIECES};
    run->arena = (struct xt_json_arena){malloc(XT_VERIFY_ARENA), XT_VERIFY_ARENA};
    run->ring = calloc(run->capacity, sizeof(*run->ring));
    if (run->arena.memory == NULL || run->ring == NULL) {
        run->status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
    } else {
        for (unsigned i = 0; i < options->connections; i++) {
            run->lanes[i].stream.arena = run->arena;
        }
        loop(run);
    }
    end(run);
    enum xt_status status = run->status;
    xt_wipe(run, sizeof(*run));
    free(run);
    return status;
}
