/* bench/events: drives POST /v1/events over a few connections: how many events a second become durable, and how
 * long an acknowledgement takes.
 *
 *   closed loop (no --rate)  each connection keeps --depth events under way
 *   open loop (--rate)       events are due at even intervals, and an acknowledgement is timed from when its
 *                            event was due, whether it could be sent then or not
 *
 * People move (address_changed), each event another one's, around and around. One thread, poll.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/commands.h"
#include "bench/histogram.h"
#include "bench/population.h"
#include "core/command.h"
#include "crypto/tls.h"
#include "store/command_line.h"

#define CONNECTIONS_MAX 64
#define DEPTH_MAX 256  /* as many as the server has under way of one stream */
#define SENT_MAX 65536 /* not answered, of a connection */
#define LINE_MAX_BYTES 256
#define END_NS 10000000000ULL /* for the last answers */

struct options {
    uint64_t port, seed, count, connections, depth, rate, seconds;
    const char *certificate, *key, *authority;
};

struct connection {
    int fd;
    struct xt_tls *tls;
    uint64_t due_ns[SENT_MAX]; /* of those not answered: a ring */
    uint32_t first, waiting;
    bool line_ends_object;     /* the last byte before a line feed was } */
    size_t applied, duplicate; /* bytes of these words, with their quotes, that were matched */
    bool acknowledged;         /* one of them stands in this line */
    uint8_t input[16384];
};

struct run {
    struct options options;
    struct xt_population *population;
    struct xt_tls_context *context;
    struct connection *connections;
    uint64_t next_person, sent, answered, acknowledged, applied, began_ns;
    struct xt_histogram histogram;
    char prefix[24];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* ---- a connection ------------------------------------------------------------------------------- */

/* Sends what is pending; false: the connection is gone. */
static bool flush(struct connection *connection)
{
    for (;;) {
        struct xt_span output = xt_tls_output(connection->tls);
        if (output.size == 0) {
            return true;
        }
        ssize_t sent = send(connection->fd, output.data, output.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        xt_tls_output_taken(connection->tls, (size_t)sent);
    }
}

static enum xt_status shake(struct connection *connection)
{
    for (;;) {
        enum xt_status status = xt_tls_handshake(connection->tls);
        if (!flush(connection) || (status != XT_AGAIN && status != XT_OK)) {
            return XT_IO;
        }
        if (status == XT_OK) {
            return XT_OK;
        }
        ssize_t got = recv(connection->fd, connection->input, sizeof(connection->input), 0);
        if (got <= 0) {
            return XT_IO;
        }
        xt_tls_feed(connection->tls, xt_span_of(connection->input, (size_t)got));
    }
}

static enum xt_status open_connection(struct run *run, struct connection *connection)
{
    static const char head[] = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/x-ndjson\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)run->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    size_t taken = 0;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        xt_tls_open(run->context, "127.0.0.1", &connection->tls) != XT_OK ||
        shake(connection) != XT_OK) {
        return XT_IO;
    }
    return xt_tls_write(connection->tls, xt_span_of(head, sizeof(head) - 1), &taken) == XT_OK &&
                   flush(connection)
               ? XT_OK
               : XT_IO;
}

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
    int size =
        snprintf(line, LINE_MAX_BYTES,
                 "{\"event_id\":\"%s-%llu\",\"type\":\"address_changed\",\"id\":\"%012llu\","
                 "\"at\":\"2026-01-01T00:00:00Z\",\"data\":{\"province\":\"%s\"}}\n",
                 run->prefix, (unsigned long long)run->sent, (unsigned long long)person.number,
                 run->next_person / count % 2 == 0 ? "001" : "079");
    run->next_person++;
    return (size_t)size;
}

/* One chunk of `count` events, timed from due_ns on, each `step` later. */
static bool tell(struct run *run, struct connection *connection, unsigned count, uint64_t due_ns,
                 uint64_t step)
{
    static char text[DEPTH_MAX * LINE_MAX_BYTES];
    char head[16];
    size_t size = 0;
    size_t taken = 0;
    for (unsigned i = 0; i < count; i++) {
        size += write_event(run, text + size);
        connection->due_ns[(connection->first + connection->waiting) % SENT_MAX] =
            due_ns + i * step;
        connection->waiting++;
        run->sent++;
    }
    int length = snprintf(head, sizeof(head), "%zx\r\n", size);
    return xt_tls_write(connection->tls, xt_span_of(head, (size_t)length), &taken) == XT_OK &&
           xt_tls_write(connection->tls, xt_span_of(text, size), &taken) == XT_OK &&
           xt_tls_write(connection->tls, xt_span_of("\r\n", 2), &taken) == XT_OK &&
           flush(connection);
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
    for (size_t i = 0; i < size; i++) {
        bool applied = match("\"applied\"", &connection->applied, data[i]);
        bool duplicate = match("\"duplicate\"", &connection->duplicate, data[i]);
        run->applied += applied;
        connection->acknowledged = connection->acknowledged || applied || duplicate;
        if (data[i] == '\n' && connection->line_ends_object && connection->waiting > 0) {
            if (connection->acknowledged) {
                xt_histogram_record(&run->histogram,
                                    (now - connection->due_ns[connection->first]) / 1000);
                run->acknowledged++;
            }
            connection->acknowledged = false;
            connection->first = (connection->first + 1) % SENT_MAX;
            connection->waiting--;
            run->answered++;
        }
        connection->line_ends_object = data[i] == '}';
    }
}

static bool take_answers(struct run *run, struct connection *connection)
{
    uint8_t plain[16384];
    ssize_t size = recv(connection->fd, connection->input, sizeof(connection->input), MSG_DONTWAIT);
    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    }
    xt_tls_feed(connection->tls, xt_span_of(connection->input, (size_t)size));
    for (;;) {
        size_t got = 0;
        enum xt_status status = xt_tls_read(connection->tls, plain, sizeof(plain), &got);
        if (status == XT_AGAIN) {
            return xt_tls_settle(connection->tls) == XT_OK;
        }
        if (status != XT_OK) {
            return false;
        }
        count_answers(run, connection, plain, got, now_ns());
    }
}

/* ---- the run ------------------------------------------------------------------------------------ */

/* What is due by now; false: a connection is gone. */
static bool send_due(struct run *run, uint64_t now)
{
    const struct options *options = &run->options;
    if (options->rate == 0) {
        for (uint64_t i = 0; i < options->connections; i++) {
            struct connection *connection = &run->connections[i];
            if (connection->waiting <= options->depth / 2 &&
                !tell(run, connection, (unsigned)options->depth - connection->waiting, now, 0)) {
                return false;
            }
        }
        return true;
    }
    uint64_t step = 1000000000ULL / options->rate;
    while (run->began_ns + run->sent * step <= now) {
        struct connection *connection = &run->connections[run->sent % options->connections];
        if (connection->waiting == SENT_MAX ||
            !tell(run, connection, 1, run->began_ns + run->sent * step, 0)) {
            return false;
        }
    }
    return true;
}

static bool look(struct run *run, int wait_ms)
{
    struct pollfd list[CONNECTIONS_MAX];
    unsigned count = (unsigned)run->options.connections;
    for (unsigned i = 0; i < count; i++) {
        bool pending = xt_tls_output(run->connections[i].tls).size > 0;
        list[i] = (struct pollfd){.fd = run->connections[i].fd,
                                  .events = (short)(POLLIN | (pending ? POLLOUT : 0))};
    }
    (void)poll(list, count, wait_ms);
    for (unsigned i = 0; i < count; i++) {
        if ((list[i].revents & POLLOUT) != 0 && !flush(&run->connections[i])) {
            return false;
        }
        if ((list[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
            !take_answers(run, &run->connections[i])) {
            return false;
        }
    }
    return true;
}

static bool drive(struct run *run)
{
    bool fine = true;
    run->began_ns = now_ns();
    uint64_t end = run->began_ns + run->options.seconds * 1000000000ULL;
    for (uint64_t now = run->began_ns; fine && now < end; now = now_ns()) {
        fine = send_due(run, now) && look(run, run->options.rate == 0 ? 100 : 1);
    }
    uint64_t stopped = now_ns();
    while (fine && run->answered < run->sent && now_ns() < stopped + END_NS) {
        fine = look(run, 10);
    }
    return fine && run->answered == run->sent;
}

static void print_result(struct run *run)
{
    double seconds = (double)(now_ns() - run->began_ns) / 1e9;
    printf("{\"connections\":%llu,\"depth\":%llu,\"rate\":%llu,\"seconds\":%.3f,\"events\":%llu,"
           "\"refused\":%llu,\"applied\":%llu,\"events_per_second\":%.1f,\"us\":{\"p50\":%u,"
           "\"p90\":%u,\"p99\":%u,"
           "\"p99_9\":%u,\"max\":%u}}\n",
           (unsigned long long)run->options.connections, (unsigned long long)run->options.depth,
           (unsigned long long)run->options.rate, seconds, (unsigned long long)run->acknowledged,
           (unsigned long long)(run->answered - run->acknowledged),
           (unsigned long long)run->applied, (double)run->acknowledged / seconds,
           xt_histogram_percentile(&run->histogram, 50000),
           xt_histogram_percentile(&run->histogram, 90000),
           xt_histogram_percentile(&run->histogram, 99000),
           xt_histogram_percentile(&run->histogram, 99900), run->histogram.max);
}

static enum xt_status open_run(struct run *run, struct xt_failure *failure)
{
    const struct xt_tls_client_files files = {.certificate = run->options.certificate,
                                              .key = run->options.key,
                                              .server_authority = run->options.authority};
    uint8_t random[8];
    xt_random(random, sizeof(random));
    for (unsigned i = 0; i < sizeof(random); i++) {
        (void)snprintf(run->prefix + 2 * (size_t)i, 3, "%02x", random[i]);
    }
    enum xt_status status = xt_tls_client(&files, &run->context, failure);
    if (status != XT_OK) {
        return status;
    }
    run->connections = calloc(run->options.connections, sizeof(*run->connections));
    if (run->connections == NULL ||
        xt_population_open(run->options.seed, run->options.count, &run->population) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_histogram_reset(&run->histogram);
    for (uint64_t i = 0; status == XT_OK && i < run->options.connections; i++) {
        status = open_connection(run, &run->connections[i]);
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot connect to 127.0.0.1:%llu",
                                     (unsigned long long)run->options.port);
}

static void close_run(struct run *run)
{
    for (uint64_t i = 0; run->connections != NULL && i < run->options.connections; i++) {
        xt_tls_close(run->connections[i].tls);
        if (run->connections[i].fd > 0) {
            close(run->connections[i].fd);
        }
    }
    free(run->connections);
    xt_population_close(run->population);
    xt_tls_context_close(run->context);
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

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"port", required_argument, NULL, 'p'},  {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},   {"ca", required_argument, NULL, 'a'},
        {"seed", required_argument, NULL, 's'},  {"count", required_argument, NULL, 'n'},
        {"depth", required_argument, NULL, 'd'}, {"connections", required_argument, NULL, 'C'},
        {"rate", required_argument, NULL, 'r'},  {"seconds", required_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    bool fine = true;
    opterr = 0;
    optind = 1;
    for (int option; fine && (option = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        switch (option) {
        case 'p':
            fine = take_number(optarg, 1, 65535, &options->port);
            break;
        case 'c':
            options->certificate = optarg;
            break;
        case 'k':
            options->key = optarg;
            break;
        case 'a':
            options->authority = optarg;
            break;
        case 's':
            fine = take_number(optarg, 0, UINT64_MAX, &options->seed);
            break;
        case 'n':
            fine = take_number(optarg, 1, XT_POPULATION_MAX, &options->count);
            break;
        case 'd':
            fine = take_number(optarg, 1, DEPTH_MAX, &options->depth);
            break;
        case 'C':
            fine = take_number(optarg, 1, CONNECTIONS_MAX, &options->connections);
            break;
        case 'r':
            fine = take_number(optarg, 1, 1000000, &options->rate);
            break;
        case 'S':
            fine = take_number(optarg, 1, 86400, &options->seconds);
            break;
        case 'h':
            print_help();
            return XT_EXIT_OK;
        default:
            fine = false;
            break;
        }
    }
    if (!fine || optind != argc || options->port == 0 || options->count == 0) {
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
    run->options = (struct options){.connections = 8, .depth = 128, .seconds = 10};
    int status = parse(argc, argv, &run->options);
    if (status < 0) {
        bool fine = open_run(run, &failure) == XT_OK && drive(run);
        if (fine) {
            print_result(run);
        } else {
            (void)fprintf(stderr, "xacthuc-bench events: %s\n", failure.text);
        }
        fine = fine && run->acknowledged == run->answered;
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
