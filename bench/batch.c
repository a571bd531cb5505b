/* bench/batch: drives POST /v1/verify/batch over a few connections: how many lines a second are answered, each
 * rightly and in its order; and what a client with single requests feels of it meanwhile.
 *
 *   lines made beforehand --chunks of 16 KiB--> server --answers--> each against what it must be
 *   --probe   a thread with a connection of its own: one request, its answer, a pause, the next one
 *
 * One thread for the lists, poll. The lists go around and around the lines that were made.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/batch_people.h"
#include "bench/commands.h"
#include "bench/histogram.h"
#include "bench/machine.h"
#include "core/command.h"
#include "store/command_line.h"

#define CONNECTIONS_MAX 64
#define CHUNK_BYTES 15360 /* with its head, one record of TLS */
#define OUTPUT_MOST 49152 /* of ciphertext waiting: then the socket is waited for */
#define INPUT_BYTES 65536
#define ANSWER_MAX 2048
#define END_NS 30000000000ULL /* for the last answers */
#define SAMPLES_NS 1000000000ULL

struct options {
    uint64_t port, seed, count, connections, lines, total, seconds, probe_us, server;
    const char *certificate, *key, *authority;
};

enum reading { IN_HEAD, IN_SIZE, IN_CHUNK, IN_END, IN_TRAILER };

struct connection {
    int fd;
    struct xt_tls *tls;
    uint64_t first;          /* which of the lines was its first */
    uint64_t sent, answered; /* lines */
    bool finished;           /* the last chunk is sent */
    bool done;               /* the summary came */
    enum reading reading;
    size_t matched; /* bytes of what ends a head */
    size_t chunk_left;
    size_t kept; /* bytes of a line that is not whole */
    char line[ANSWER_MAX];
    uint8_t input[INPUT_BYTES];
};

struct probe {
    pthread_t thread;
    const struct run *run;
    struct xt_histogram histogram;
    uint64_t failed;
};

struct run {
    struct options options;
    struct xt_tls_context *context;
    struct xt_batch_people people;
    struct connection *connections;
    uint64_t began_ns, ended_ns, answered, wrong, refused;
    uint64_t server_first, server_most, server_last, own_first, own_most, own_last; /* bytes */
    uint64_t server_cpu_us;
    const char *why;
    bool stop; /* atomic: the probe ends */
};

/* ---- sending ------------------------------------------------------------------------------------ */

static bool write_all(struct connection *connection, struct xt_span data)
{
    size_t taken = 0;
    return xt_tls_write(connection->tls, data, &taken) == XT_OK;
}

static bool is_over(const struct run *run)
{
    const struct options *options = &run->options;
    return options->total > 0 ? false : xt_batch_now() >= run->ended_ns;
}

/* The next lines, at most a chunk; false: the connection is gone. */
static bool send_chunk(struct run *run, struct connection *connection)
{
    static uint8_t chunk[CHUNK_BYTES + 32];
    const struct options *options = &run->options;
    uint64_t most = options->total / options->connections;
    size_t size = 8;
    bool over = is_over(run);
    while (!over) {
        struct xt_span line =
            xt_batch_people_line(&run->people, connection->first + connection->sent);
        if (size + line.size + 2 > CHUNK_BYTES) {
            break;
        }
        memcpy(chunk + size, line.data, line.size);
        size += line.size;
        connection->sent++;
        over = options->total > 0 && connection->sent == most;
    }
    bool fine = true;
    if (size > 8) {
        char head[16];
        (void)snprintf(head, sizeof(head), "%06x\r\n", (unsigned)(size - 8) & 0xffffffU);
        memcpy(chunk, head, 8);
        memcpy(chunk + size, "\r\n", 2);
        fine = write_all(connection, xt_span_of(chunk, size + 2));
    }
    if (fine && over) {
        fine = write_all(connection, xt_span_of_string("0\r\n\r\n"));
        connection->finished = true;
    }
    return fine;
}

/* What the socket takes. */
static bool send_more(struct run *run, struct connection *connection)
{
    for (;;) {
        while (!connection->finished && xt_tls_output(connection->tls).size < OUTPUT_MOST) {
            if (!send_chunk(run, connection)) {
                return false;
            }
        }
        struct xt_span output = xt_tls_output(connection->tls);
        if (output.size == 0) {
            return true;
        }
        ssize_t sent = send(connection->fd, output.data, output.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        xt_tls_output_taken(connection->tls, (size_t)sent);
        if ((size_t)sent < output.size) {
            return true;
        }
    }
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void take_answer(struct run *run, struct connection *connection, uint8_t *line, size_t size)
{
    static const char summary[] = "{\"summary\":";
    if (size > sizeof(summary) && memcmp(line, summary, sizeof(summary) - 1) == 0) {
        connection->done = true;
        return;
    }
    uint64_t index = connection->first + connection->answered++;
    const char *why = NULL;
    switch (xt_batch_people_check(&run->people, index, connection->answered, line, size, &why)) {
    case XT_BATCH_RIGHT:
        break;
    case XT_BATCH_REFUSED:
        run->refused++;
        break;
    case XT_BATCH_WRONG:
        run->wrong++;
        run->why = why;
        break;
    }
    run->answered++;
}

/* Bytes of content: whole lines where they stand, others put together. */
static bool take_content(struct run *run, struct connection *connection, uint8_t *data, size_t size)
{
    while (size > 0) {
        uint8_t *end = memchr(data, '\n', size);
        size_t part = end == NULL ? size : (size_t)(end - data);
        if (end != NULL && connection->kept == 0) {
            take_answer(run, connection, data, part);
        } else {
            if (part > ANSWER_MAX - connection->kept) {
                return false;
            }
            memcpy(connection->line + connection->kept, data, part);
            connection->kept += part;
            if (end != NULL) {
                take_answer(run, connection, (uint8_t *)connection->line, connection->kept);
                connection->kept = 0;
            }
        }
        size -= part + (end != NULL);
        data += part + (end != NULL);
    }
    return true;
}

/* One byte of what stands around the content; false: that is no such answer. */
static bool take_frame(struct connection *connection, uint8_t byte)
{
    static const char end_of_head[] = "\r\n\r\n";
    switch (connection->reading) {
    case IN_HEAD:
        connection->matched = byte == (uint8_t)end_of_head[connection->matched]
                                  ? connection->matched + 1
                                  : (size_t)(byte == '\r');
        if (connection->matched == sizeof(end_of_head) - 1) {
            connection->reading = IN_SIZE;
        }
        return true;
    case IN_SIZE:
        if (byte == '\n') {
            connection->reading = connection->chunk_left > 0 ? IN_CHUNK : IN_TRAILER;
        } else if (byte != '\r') {
            unsigned digit = byte <= '9' ? byte - 48U : (byte | 0x20U) - 'a' + 10U;
            connection->chunk_left = connection->chunk_left * 16 + digit;
            return digit < 16 && connection->chunk_left < 1U << 24;
        }
        return true;
    case IN_END:
        connection->reading = byte == '\n' ? IN_SIZE : IN_END;
        return byte == '\r' || byte == '\n';
    default:
        return true;
    }
}

static bool take_plain(struct run *run, struct connection *connection, uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        if (connection->reading != IN_CHUNK) {
            if (!take_frame(connection, data[at++])) {
                return false;
            }
            continue;
        }
        size_t part = size - at < connection->chunk_left ? size - at : connection->chunk_left;
        if (!take_content(run, connection, data + at, part)) {
            return false;
        }
        at += part;
        connection->chunk_left -= part;
        connection->reading = connection->chunk_left == 0 ? IN_END : IN_CHUNK;
    }
    return true;
}

static bool receive(struct run *run, struct connection *connection)
{
    static uint8_t plain[16384];
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
        if (status != XT_OK || !take_plain(run, connection, plain, got)) {
            return connection->done;
        }
    }
}

/* ---- the probe ---------------------------------------------------------------------------------- */

static void *run_probe(void *argument)
{
    struct probe *probe = argument;
    const struct run *run = probe->run;
    struct xt_batch_peer peer;
    xt_histogram_reset(&probe->histogram);
    if (xt_batch_connect((uint16_t)run->options.port, run->context, &peer) != XT_OK) {
        probe->failed++;
        return NULL;
    }
    for (uint64_t i = 0; !__atomic_load_n(&run->stop, __ATOMIC_RELAXED); i++) {
        uint64_t began = xt_batch_now();
        if (!xt_batch_ask(&peer, xt_batch_people_line(&run->people, i))) {
            probe->failed++;
            break;
        }
        xt_histogram_record(&probe->histogram, (xt_batch_now() - began) / 1000);
        if (run->options.probe_us > 1) {
            (void)usleep((useconds_t)run->options.probe_us);
        }
    }
    xt_batch_disconnect(&peer);
    return NULL;
}

/* ---- the run ------------------------------------------------------------------------------------ */

static void sample(struct run *run)
{
    struct xt_process_use use;
    if (xt_process_read(getpid(), &use)) {
        run->own_last = use.resident_bytes;
        run->own_first = run->own_first == 0 ? use.resident_bytes : run->own_first;
        run->own_most = use.resident_bytes > run->own_most ? use.resident_bytes : run->own_most;
    }
    if (run->options.server > 0 && xt_process_read((int)run->options.server, &use)) {
        run->server_last = use.resident_bytes;
        run->server_first = run->server_first == 0 ? use.resident_bytes : run->server_first;
        run->server_most =
            use.resident_bytes > run->server_most ? use.resident_bytes : run->server_most;
    }
}

static uint64_t server_cpu(const struct run *run)
{
    struct xt_process_use use;
    bool known = run->options.server > 0 && xt_process_read((int)run->options.server, &use);
    return known ? use.cpu_us : 0;
}

static bool is_done(const struct run *run)
{
    for (uint64_t i = 0; i < run->options.connections; i++) {
        if (!run->connections[i].done) {
            return false;
        }
    }
    return true;
}

static bool look(struct run *run)
{
    struct pollfd list[CONNECTIONS_MAX];
    unsigned count = (unsigned)run->options.connections;
    for (unsigned i = 0; i < count; i++) {
        struct connection *connection = &run->connections[i];
        bool wants = xt_tls_output(connection->tls).size > 0 || !connection->finished;
        list[i] = (struct pollfd){.fd = connection->done ? -1 : connection->fd,
                                  .events = (short)(POLLIN | (wants ? POLLOUT : 0))};
    }
    (void)poll(list, count, 1000);
    for (unsigned i = 0; i < count; i++) {
        if ((list[i].revents & POLLOUT) != 0 && !send_more(run, &run->connections[i])) {
            return false;
        }
        if ((list[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
            !receive(run, &run->connections[i])) {
            return false;
        }
    }
    return true;
}

static bool drive(struct run *run)
{
    const struct options *options = &run->options;
    bool fine = true;
    sample(run);
    uint64_t cpu = server_cpu(run);
    run->began_ns = xt_batch_now();
    run->ended_ns = run->began_ns + options->seconds * 1000000000ULL;
    uint64_t sampled = run->began_ns, moved = run->began_ns, before = 0;
    while (fine && !is_done(run)) {
        fine = look(run);
        uint64_t now = xt_batch_now();
        if (run->answered != before) {
            before = run->answered;
            moved = now;
        }
        fine = fine && now - moved < END_NS;
        if (now - sampled >= SAMPLES_NS) {
            sampled = now;
            sample(run);
        }
    }
    run->ended_ns = xt_batch_now();
    run->server_cpu_us = server_cpu(run) - cpu;
    sample(run);
    return fine;
}

static uint64_t kib(uint64_t bytes)
{
    return bytes / 1024;
}

static void print_result(const struct run *run, const struct probe *probe)
{
    const struct options *options = &run->options;
    double seconds = (double)(run->ended_ns - run->began_ns) / 1e9;
    double lines = run->answered == 0 ? 1 : (double)run->answered;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t i = 0; i < options->connections; i++) {
        uint64_t answered = run->connections[i].answered;
        least = answered < least ? answered : least;
        most = answered > most ? answered : most;
    }
    printf("{\"connections\":%" PRIu64 ",\"seconds\":%.3f,\"lines\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"lines_per_second\":%.0f",
           options->connections, seconds, run->answered, run->wrong, run->refused,
           (double)run->answered / seconds);
    printf(",\"lines_of_each\":{\"least\":%" PRIu64 ",\"most\":%" PRIu64 "}", least, most);
    if (options->server > 0) {
        printf(",\"server_cpu_us_per_line\":%.3f,\"server_kib\":{\"first\":%" PRIu64
               ",\"most\":%" PRIu64 ",\"last\":%" PRIu64 "}",
               (double)run->server_cpu_us / lines, kib(run->server_first), kib(run->server_most),
               kib(run->server_last));
    }
    printf(",\"client_kib\":{\"first\":%" PRIu64 ",\"most\":%" PRIu64 ",\"last\":%" PRIu64 "}",
           kib(run->own_first), kib(run->own_most), kib(run->own_last));
    if (options->probe_us > 0) {
        const struct xt_histogram *histogram = &probe->histogram;
        printf(",\"probe\":{\"requests\":%" PRIu64 ",\"failed\":%" PRIu64
               ",\"us\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p99_9\":%u,\"max\":%u}}",
               histogram->count, probe->failed, xt_histogram_percentile(histogram, 50000),
               xt_histogram_percentile(histogram, 90000), xt_histogram_percentile(histogram, 99000),
               xt_histogram_percentile(histogram, 99900), histogram->max);
    }
    printf("}\n");
}

static enum xt_status open_connection(struct run *run, unsigned index)
{
    static const char head[] = "POST /v1/verify/batch HTTP/1.1\r\nHost: localhost\r\n"
                               "Content-Type: application/x-ndjson\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    struct connection *connection = &run->connections[index];
    struct xt_batch_peer peer;
    enum xt_status status = xt_batch_connect((uint16_t)run->options.port, run->context, &peer);
    connection->fd = peer.fd;
    connection->tls = peer.tls;
    connection->first = index * (run->options.lines / run->options.connections);
    return status != XT_OK                                  ? status
           : write_all(connection, xt_span_of_string(head)) ? XT_OK
                                                            : XT_IO;
}

static enum xt_status open_run(struct run *run, struct xt_failure *failure)
{
    const struct options *options = &run->options;
    const struct xt_tls_client_files files = {.certificate = options->certificate,
                                              .key = options->key,
                                              .server_authority = options->authority};
    enum xt_status status = xt_tls_client(&files, &run->context, failure);
    if (status == XT_OK) {
        status = xt_batch_people_make(options->seed, options->count, options->lines, &run->people,
                                      failure);
    }
    if (status != XT_OK) {
        return status;
    }
    run->connections = calloc(options->connections, sizeof(*run->connections));
    if (run->connections == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    for (unsigned i = 0; i < options->connections; i++) {
        run->connections[i].fd = -1;
    }
    for (unsigned i = 0; status == XT_OK && i < options->connections; i++) {
        status = open_connection(run, i);
    }
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "cannot connect to 127.0.0.1:%" PRIu64, options->port);
}

static void close_run(struct run *run)
{
    for (uint64_t i = 0; run->connections != NULL && i < run->options.connections; i++) {
        xt_batch_disconnect(
            &(struct xt_batch_peer){.fd = run->connections[i].fd, .tls = run->connections[i].tls});
    }
    free(run->connections);
    xt_batch_people_free(&run->people);
    xt_tls_context_close(run->context);
    free(run);
}

static void print_help(void)
{
    (void)fputs(
        "usage: xacthuc-bench batch --port N --cert FILE --key FILE --ca FILE --seed S --count N\n"
        "                           [--lines N] [--total N | --seconds N] [--connections N]\n"
        "                           [--probe US] [--server PID]\n\n"
        "Sends lists to 127.0.0.1 (POST /v1/verify/batch; the partner needs the purpose\n"
        "demo.verify, every claim but documents and the right per_claim), checks every answer,\n"
        "and prints as one JSON object how many lines a second were answered.\n\n"
        "  --seed, --count   the population that was imported (gen)\n"
        "  --lines N         different lines, default 1000000; sent around and around\n"
        "  --total N         lines in all; else as many as there are in --seconds (default 10)\n"
        "  --connections N   lists at a time, default 2, at most 64\n"
        "  --probe US        meanwhile, single requests on a connection of their own, each US\n"
        "                    microseconds after the answer before (1: at once)\n"
        "  --server PID      tells the server's memory and CPU as well\n\n"
        "exit status: 0 every line was answered rightly, 1 one was not, 2 wrong usage\n",
        stdout);
}

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

static bool take_option(int option, struct options *options)
{
    switch (option) {
    case 'p':
        return take_number(optarg, 1, 65535, &options->port);
    case 'c':
        options->certificate = optarg;
        return true;
    case 'k':
        options->key = optarg;
        return true;
    case 'a':
        options->authority = optarg;
        return true;
    case 's':
        return take_number(optarg, 0, UINT64_MAX, &options->seed);
    case 'n':
        return take_number(optarg, 1, XT_POPULATION_MAX, &options->count);
    case 'l':
        return take_number(optarg, 1000, 100000000, &options->lines);
    case 't':
        return take_number(optarg, 1, UINT64_MAX, &options->total);
    case 'S':
        return take_number(optarg, 1, 86400, &options->seconds);
    case 'C':
        return take_number(optarg, 1, CONNECTIONS_MAX, &options->connections);
    case 'P':
        return take_number(optarg, 1, 1000000, &options->probe_us);
    case 'v':
        return take_number(optarg, 1, INT32_MAX, &options->server);
    default:
        return false;
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"port", required_argument, NULL, 'p'},    {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},     {"ca", required_argument, NULL, 'a'},
        {"seed", required_argument, NULL, 's'},    {"count", required_argument, NULL, 'n'},
        {"lines", required_argument, NULL, 'l'},   {"total", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'S'}, {"connections", required_argument, NULL, 'C'},
        {"probe", required_argument, NULL, 'P'},   {"server", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    bool fine = true;
    opterr = 0;
    optind = 1;
    for (int option; fine && (option = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        if (option == 'h') {
            print_help();
            return XT_EXIT_OK;
        }
        fine = take_option(option, options);
    }
    if (!fine || optind != argc || options->port == 0 || options->count == 0 ||
        options->total % options->connections != 0) {
        (void)fputs("xacthuc-bench batch: wrong usage; see xacthuc-bench batch --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}

static bool measure(struct run *run, struct probe *probe)
{
    bool probing = run->options.probe_us > 0;
    if (probing && pthread_create(&probe->thread, NULL, run_probe, probe) != 0) {
        return false;
    }
    bool fine = drive(run);
    __atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
    if (probing) {
        (void)pthread_join(probe->thread, NULL);
    }
    return fine;
}

int xt_bench_batch(int argc, char **argv)
{
    struct xt_failure failure = {.text = "a connection ended, or nothing came for 30 s"};
    struct run *run = calloc(1, sizeof(*run));
    static struct probe probe;
    if (run == NULL) {
        return XT_EXIT_FAILED;
    }
    probe.run = run;
    run->options = (struct options){.connections = 2, .lines = 1000000, .seconds = 10};
    int status = parse(argc, argv, &run->options);
    if (status < 0) {
        bool fine = open_run(run, &failure) == XT_OK && measure(run, &probe);
        if (fine) {
            print_result(run, &probe);
        } else {
            (void)fprintf(stderr, "xacthuc-bench batch: %s\n", failure.text);
        }
        if (run->wrong > 0) {
            (void)fprintf(stderr, "xacthuc-bench batch: a wrong answer: %s\n", run->why);
        }
        fine = fine && run->wrong == 0 && run->refused == 0 && probe.failed == 0;
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
