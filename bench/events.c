/* bench/events: drives POST /v1/events over a few connections: how many events a second become durable, and how
 * long an acknowledgement takes.
 *
 *   closed loop (no --rate)  each connection keeps --depth events under way
 *   open loop (--rate)       events are due at even intervals, and an acknowledgement is timed from when its
 *                            event was due, whether it could be sent then or not
 *
 * People move (address_changed), each event another one's, around and around. One thread, poll.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "bench/commands.h"
#include "bench/crowd.h"
#include "bench/histogram.h"
#include "bench/population.h"
#include "core/command.h"
#include "crypto/keyring.h"

#define CONNECTIONS_MAX 64
#define DEPTH_MAX 256  /* as many as the server has under way of one stream */
#define SENT_MAX 65536 /* not answered, of a connection */
#define LINE_MAX_BYTES 256
#define END_NS 10000000000ULL /* for the last answers */

struct options {
    struct xt_crowd_options server;
    uint64_t seed, count, depth;
};

/* Where in the answers a connection is. */
struct reading {
    bool line_ends_object;     /* the last byte before a line feed was } */
    size_t applied, duplicate; /* bytes of these words, with their quotes, that were matched */
    bool acknowledged;         /* one of them stands in this line */
};

struct connection {
    struct xt_wire *wire;
    uint64_t due_ns[SENT_MAX]; /* of those not answered: a ring */
    uint32_t first, waiting;
    struct reading reading;
};

struct run {
    struct options options;
    struct xt_population *population;
    struct xt_crowd crowd;
    struct connection *connections;
    uint64_t next_person, acknowledged, applied;
    struct xt_histogram histogram;
    char prefix[24];
};

/* ---- events ------------------------------------------------------------------------------------- */

/* The next person who is alive has moved. */
static size_t write_event(struct run *run, char line[LINE_MAX_BYTES])
{
    struct xt_resident person;
    uint64_t count = run->options.count;
    while (xt_population_life(run->population, run->next_person % count) != XT_LIFE_ALIVE) {
        run->next_person++;
    }
    xt_population_person(run->population, run->next_person % count, &person);
    int size = snprintf(line, LINE_MAX_BYTES,
                        "{\"event_id\":\"%s-%llu\",\"type\":\"address_changed\",\"id\":\"%012llu\","
                        "\"at\":\"2026-01-01T00:00:00Z\",\"data\":{\"province\":\"%s\"}}\n",
                        run->prefix, (unsigned long long)run->crowd.begun,
                        (unsigned long long)person.number,
                        run->next_person / count % 2 == 0 ? "001" : "079");
    run->next_person++;
    return (size_t)size;
}

/* One chunk of `count` events, timed from due_ns on. */
static bool tell(struct run *run, struct connection *connection, unsigned count, uint64_t due_ns)
{
    static char text[DEPTH_MAX * LINE_MAX_BYTES];
    char head[16];
    size_t size = 0;
    size_t taken = 0;
    for (unsigned i = 0; i < count; i++) {
        size += write_event(run, text + size);
        connection->due_ns[(connection->first + connection->waiting) % SENT_MAX] = due_ns;
        connection->waiting++;
        run->crowd.begun++;
    }
    int length = snprintf(head, sizeof(head), "%zx\r\n", size);
    return xt_tls_write(connection->wire->tls, xt_span_of(head, (size_t)length), &taken) == XT_OK &&
           xt_tls_write(connection->wire->tls, xt_span_of(text, size), &taken) == XT_OK &&
           xt_wire_send(connection->wire, xt_span_of("\r\n", 2), false);
}

/* Whether `word` ends with this byte. Only its first character stands in it twice, its quote: at the beginning
 * of a match. */
static bool match(const char *word, size_t *matched, uint8_t byte)
{
    *matched = byte == (uint8_t)word[*matched] ? *matched + 1 : byte == (uint8_t)word[0];
    bool whole = word[*matched] == '\0';
    *matched = whole ? 0 : *matched;
    return whole;
}

/* What was refused is answered and counts for nothing. Answers end in }LF; heads and chunk sizes in CR LF. */
static void count_answers(struct run *run, struct connection *connection, const uint8_t *data,
                          size_t size, uint64_t now)
{
    struct reading reading = connection->reading; /* a copy of its own: the loop is for each byte */
    for (size_t i = 0; i < size; i++) {
        bool applied = match("\"applied\"", &reading.applied, data[i]);
        bool duplicate = match("\"duplicate\"", &reading.duplicate, data[i]);
        run->applied += applied;
        reading.acknowledged = reading.acknowledged || applied || duplicate;
        if (data[i] == '\n' && reading.line_ends_object && connection->waiting > 0) {
            if (reading.acknowledged) {
                xt_histogram_record(&run->histogram,
                                    (now - connection->due_ns[connection->first]) / 1000);
                run->acknowledged++;
            }
            reading.acknowledged = false;
            connection->first = (connection->first + 1) % SENT_MAX;
            connection->waiting--;
            run->crowd.answered++;
        }
        reading.line_ends_object = data[i] == '}';
    }
    connection->reading = reading;
}

static bool take_answers(void *context, unsigned index)
{
    struct run *run = context;
    struct connection *connection = &run->connections[index];
    uint8_t plain[16384];
    for (;;) {
        size_t got = 0;
        enum xt_status status = xt_wire_read(connection->wire, plain, sizeof(plain), &got);
        if (status != XT_OK) {
            return status == XT_AGAIN;
        }
        count_answers(run, connection, plain, got, xt_clock_ns());
    }
}

/* ---- the run ------------------------------------------------------------------------------------ */

/* What is due by now; false: a connection is gone. */
static bool send_due(void *context, uint64_t now)
{
    struct run *run = context;
    const struct options *options = &run->options;
    const struct xt_crowd_options *server = &options->server;
    if (server->rate == 0) {
        for (uint64_t i = 0; i < server->connections; i++) {
            struct connection *connection = &run->connections[i];
            if (connection->waiting <= options->depth / 2 &&
                !tell(run, connection, (unsigned)options->depth - connection->waiting, now)) {
                return false;
            }
        }
        return true;
    }
    uint64_t step = 1000000000ULL / server->rate;
    while (run->crowd.began_ns + run->crowd.begun * step <= now) {
        struct connection *connection = &run->connections[run->crowd.begun % server->connections];
        if (connection->waiting == SENT_MAX ||
            !tell(run, connection, 1, run->crowd.began_ns + run->crowd.begun * step)) {
            return false;
        }
    }
    return true;
}

static void print_result(const struct run *run)
{
    const struct xt_crowd_options *server = &run->options.server;
    double seconds = (double)(xt_clock_ns() - run->crowd.began_ns) / 1e9;
    printf("{\"connections\":%llu,\"depth\":%llu,\"rate\":%llu,\"seconds\":%.3f,\"events\":%llu,"
           "\"refused\":%llu,\"applied\":%llu,\"events_per_second\":%.1f,\"us\":",
           (unsigned long long)server->connections, (unsigned long long)run->options.depth,
           (unsigned long long)server->rate, seconds, (unsigned long long)run->acknowledged,
           (unsigned long long)(run->crowd.answered - run->acknowledged),
           (unsigned long long)run->applied, (double)run->acknowledged / seconds);
    xt_histogram_print(&run->histogram);
    printf("}\n");
}

/* The head of its request. */
static bool begin_stream(void *context, unsigned index)
{
    static const char head[] = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/x-ndjson\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    struct run *run = context;
    run->connections[index].wire = &run->crowd.wires[index];
    return xt_wire_send(&run->crowd.wires[index], xt_span_of(head, sizeof(head) - 1), false);
}

static enum xt_status open_run(struct run *run, struct xt_failure *failure)
{
    const struct options *options = &run->options;
    uint8_t random[8];
    xt_random(random, sizeof(random));
    for (unsigned i = 0; i < sizeof(random); i++) {
        (void)snprintf(run->prefix + 2 * (size_t)i, 3, "%02x", random[i]);
    }
    enum xt_status status = xt_crowd_read(&run->crowd, &options->server, failure);
    if (status != XT_OK) {
        return status;
    }
    run->connections = calloc(options->server.connections, sizeof(*run->connections));
    if (run->connections == NULL ||
        xt_population_open(options->seed, options->count, &run->population) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_histogram_reset(&run->histogram);
    run->crowd.context = run;
    run->crowd.begin = begin_stream;
    run->crowd.take = take_answers;
    run->crowd.begin_due = send_due;
    run->crowd.end_ns = END_NS;
    return xt_crowd_open(&run->crowd, &options->server, failure);
}

static void close_run(struct run *run)
{
    xt_crowd_close(&run->crowd);
    free(run->connections);
    xt_population_close(run->population);
    free(run);
}

static void print_help(void)
{
    (void)fputs(
        "usage: xacthuc-bench events --port N --cert FILE --key FILE --ca FILE --seed S --count N\n"
        "                            [--connections N] [--depth N] [--rate N] [--seconds N]\n\n"
        "Tells the register at 127.0.0.1 that people have moved (POST /v1/events; the partner "
        "needs\n"
        "the right registry), and prints as one JSON object how many events a second were\n"
        "acknowledged and how long that took. The register then is another: not for a real one.\n\n"
        "  --seed, --count   the population that was imported (gen)\n"
        "  --connections N   default 8, at most 64\n"
        "  --depth N         events under way of a connection, default 128; without --rate\n"
        "  --rate N          events a second of all; timed from when each was due\n"
        "  --seconds N       default 10\n\n"
        "exit status: 0 every event was acknowledged, 1 one was not, 2 wrong usage\n",
        stdout);
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {XT_CROWD_OPTIONS,
                                          {"seed", required_argument, NULL, 's'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"depth", required_argument, NULL, 'd'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool fine = true;
    opterr = 0;
    optind = 1;
    for (int option; fine && (option = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        switch (option) {
        case 's':
            fine = xt_crowd_number(optarg, 0, UINT64_MAX, &options->seed);
            break;
        case 'n':
            fine = xt_crowd_number(optarg, 1, XT_POPULATION_MAX, &options->count);
            break;
        case 'd':
            fine = xt_crowd_number(optarg, 1, DEPTH_MAX, &options->depth);
            break;
        case 'r':
            fine = xt_crowd_number(optarg, 1, 1000000, &options->server.rate);
            break;
        case 'h':
            print_help();
            return XT_EXIT_OK;
        default:
            fine = xt_crowd_take_option(option, optarg, CONNECTIONS_MAX, &options->server);
            break;
        }
    }
    if (!fine || optind != argc || options->server.port == 0 || options->count == 0) {
        (void)fputs("xacthuc-bench events: wrong usage; see xacthuc-bench events --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}

int xt_bench_events(int argc, char **argv)
{
    struct xt_failure failure = {.text = "not every event was answered"};
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return XT_EXIT_FAILED;
    }
    run->options = (struct options){.server = {.connections = 8, .seconds = 10}, .depth = 128};
    int status = parse(argc, argv, &run->options);
    if (status < 0) {
        bool fine =
            open_run(run, &failure) == XT_OK && xt_crowd_drive(&run->crowd, &run->options.server);
        if (fine) {
            print_result(run);
        } else {
            (void)fprintf(stderr, "xacthuc-bench events: %s\n", failure.text);
        }
        fine = fine && run->acknowledged == run->crowd.answered;
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
