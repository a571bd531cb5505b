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

#include "bench/batch_list.h"
#include "bench/commands.h"
#include "bench/histogram.h"
#include "bench/machine.h"
#include "core/command.h"
#include "store/command_line.h"

#define CONNECTIONS_MAX 64
#define END_NS 30000000000ULL /* for the last answers */
#define SAMPLES_NS 1000000000ULL

struct options {
    uint64_t port, seed, count, connections, lines, total, seconds, probe_us, server;
    const char *certificate, *key, *authority;
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
    struct xt_batch_list *lists;
    struct xt_batch_tally tally;
    uint64_t began_ns, ended_ns;
    uint64_t server_first, server_most, server_last, own_first, own_most, own_last; /* bytes */
    uint64_t server_cpu_us;
    bool stop; /* atomic: the probe ends */
};

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
        if (!run->lists[i].done) {
            return false;
        }
    }
    return true;
}

static bool look(struct run *run)
{
    struct pollfd looks[CONNECTIONS_MAX];
    unsigned count = (unsigned)run->options.connections;
    bool over = run->options.total == 0 && xt_batch_now() >= run->ended_ns;
    for (unsigned i = 0; i < count; i++) {
        struct xt_batch_list *list = &run->lists[i];
        list->ended = over;
        bool wants = xt_tls_output(list->tls).size > 0 || !list->finished;
        looks[i] = (struct pollfd){.fd = list->done ? -1 : list->fd,
                                   .events = (short)(POLLIN | (wants ? POLLOUT : 0))};
    }
    (void)poll(looks, count, 1000);
    for (unsigned i = 0; i < count; i++) {
        if ((looks[i].revents & POLLOUT) != 0 && !xt_batch_list_send(&run->lists[i])) {
            return false;
        }
        if ((looks[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
            !xt_batch_list_receive(&run->lists[i])) {
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
        if (run->tally.answered != before) {
            before = run->tally.answered;
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
    double lines = run->tally.answered == 0 ? 1 : (double)run->tally.answered;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint64_t i = 0; i < options->connections; i++) {
        uint64_t answered = run->lists[i].answered;
        least = answered < least ? answered : least;
        most = answered > most ? answered : most;
    }
    printf("{\"connections\":%" PRIu64 ",\"seconds\":%.3f,\"lines\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"lines_per_second\":%.0f",
           options->connections, seconds, run->tally.answered, run->tally.wrong, run->tally.refused,
           (double)run->tally.answered / seconds);
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

static enum xt_status open_list(struct run *run, unsigned index)
{
    const struct options *options = &run->options;
    struct xt_batch_list *list = &run->lists[index];
    struct xt_batch_peer peer;
    enum xt_status status = xt_batch_connect((uint16_t)options->port, run->context, &peer);
    list->people = &run->people;
    list->tally = &run->tally;
    list->fd = peer.fd;
    list->tls = peer.tls;
    list->first = index * (options->lines / options->connections);
    list->most = options->total / options->connections;
    return status != XT_OK ? status : xt_batch_list_begin(list) ? XT_OK : XT_IO;
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
    run->lists = calloc(options->connections, sizeof(*run->lists));
    if (run->lists == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    for (unsigned i = 0; i < options->connections; i++) {
        run->lists[i].fd = -1;
    }
    for (unsigned i = 0; status == XT_OK && i < options->connections; i++) {
        status = open_list(run, i);
    }
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "cannot connect to 127.0.0.1:%" PRIu64, options->port);
}

static void close_run(struct run *run)
{
    for (uint64_t i = 0; run->lists != NULL && i < run->options.connections; i++) {
        xt_batch_disconnect(
            &(struct xt_batch_peer){.fd = run->lists[i].fd, .tls = run->lists[i].tls});
    }
    free(run->lists);
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
        if (run->tally.wrong > 0) {
            (void)fprintf(stderr, "xacthuc-bench batch: a wrong answer: %s\n", run->tally.why);
        }
        fine = fine && run->tally.wrong == 0 && run->tally.refused == 0 && probe.failed == 0;
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
