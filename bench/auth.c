/* bench/auth: drives POST /v1/authenticate: how many people a second are authenticated, and how long that takes.
 *
 *   device_key   a challenge, signed as a phone does (P-256), and the attempt: two requests, one after the other
 *   passcode     a wrong one each time: the work is that of a right one (Argon2id), and nothing has to be known
 *
 *   closed loop (no --rate)  each connection begins the next when it has its answer
 *   open loop (--rate)       they are due at even intervals and timed from then, from the first request to the last
 *                            answer, whether a connection was free or not
 *
 * One thread, poll; it signs itself, some 20 us each. --pid: processor time of these processes over the run.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/auth_internal.h"
#include "bench/commands.h"
#include "bench/histogram.h"
#include "core/command.h"
#include "store/command_line.h"

#define END_NS 15000000000ULL /* for the last answers */

const char *const xt_auth_factor_names[XT_AUTH_FACTORS] = {"device_key", "passcode", "card_chip",
                                                           "challenge"};

struct signer {
    struct xt_holder_signer *key; /* NULL: none was made */
};

struct run {
    struct xt_auth_options options;
    struct xt_tls_context *context;
    struct xt_auth_connection *connections;
    struct signer *signers;
    uint64_t begun, passed, failed, refused, began_ns;
    struct xt_histogram histogram;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static bool begin(struct run *run, struct xt_auth_connection *connection, uint64_t due_ns)
{
    connection->person = (unsigned)(run->begun++ % run->options.count);
    connection->due_ns = due_ns;
    bool passcode = run->options.factor == XT_AUTH_PASSCODE;
    connection->step = passcode ? XT_AUTH_TRIED : XT_AUTH_ASKED;
    return passcode ? xt_auth_try_passcode(connection, connection->person)
                    : xt_auth_ask(connection, connection->person, run->options.factor);
}

/* An answer is whole. */
static bool take_answer(struct run *run, struct xt_auth_connection *connection, unsigned status,
                        struct xt_span body)
{
    bool tried = connection->step == XT_AUTH_TRIED;
    if (!tried && status == 200) {
        connection->step = XT_AUTH_TRIED;
        return xt_auth_try_key(connection, connection->person, XT_AUTH_DEVICE_KEY,
                               run->signers[connection->person].key, body);
    }
    run->passed += tried && status == 200;
    run->failed += tried && status == 401;
    bool counts = tried && (status == 200 || status == 401);
    run->refused += !counts;
    if (counts) {
        xt_histogram_record(&run->histogram, (now_ns() - connection->due_ns) / 1000);
    }
    connection->step = XT_AUTH_FREE;
    return true;
}

static bool take_answers(struct run *run, struct xt_auth_connection *connection)
{
    unsigned status;
    struct xt_span body;
    enum xt_status read = xt_auth_receive(connection);
    while (read == XT_OK && (read = xt_auth_next_answer(connection, &status, &body)) == XT_OK) {
        if (!take_answer(run, connection, status, body)) {
            return false;
        }
    }
    return read == XT_AGAIN;
}

/* ---- the run ------------------------------------------------------------------------------------ */

/* What is due by now; false: a connection is gone. */
static bool begin_due(struct run *run, uint64_t now)
{
    const struct xt_auth_options *options = &run->options;
    for (uint64_t i = 0; i < options->connections; i++) {
        uint64_t due = now;
        if (options->rate > 0) {
            due = run->began_ns + run->begun * 1000000000ULL / options->rate;
        }
        if (due > now) {
            return true;
        }
        if (run->connections[i].step == XT_AUTH_FREE && !begin(run, &run->connections[i], due)) {
            return false;
        }
    }
    return true;
}

static bool look(struct run *run, int wait_ms)
{
    static struct pollfd list[XT_AUTH_CONNECTIONS_MAX];
    unsigned count = (unsigned)run->options.connections;
    for (unsigned i = 0; i < count; i++) {
        bool pending = xt_tls_output(run->connections[i].tls).size > 0;
        list[i] = (struct pollfd){.fd = run->connections[i].fd,
                                  .events = (short)(POLLIN | (pending ? POLLOUT : 0))};
    }
    (void)poll(list, count, wait_ms);
    for (unsigned i = 0; i < count; i++) {
        if ((list[i].revents & POLLOUT) != 0 && !xt_auth_flush(&run->connections[i])) {
            return false;
        }
        if ((list[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
            !take_answers(run, &run->connections[i])) {
            return false;
        }
    }
    return true;
}

static uint64_t answered(const struct run *run)
{
    return run->passed + run->failed + run->refused;
}

static bool drive(struct run *run)
{
    bool fine = true;
    run->began_ns = now_ns();
    uint64_t end = run->began_ns + run->options.seconds * 1000000000ULL;
    for (uint64_t now = run->began_ns; fine && now < end; now = now_ns()) {
        fine = begin_due(run, now) && look(run, run->options.rate == 0 ? 100 : 1);
    }
    uint64_t stopped = now_ns();
    while (fine && answered(run) < run->begun && now_ns() < stopped + END_NS) {
        fine = look(run, 10);
    }
    return fine && answered(run) == run->begun;
}

static double cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    return clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0
               ? (double)used.tv_sec + (double)used.tv_nsec / 1e9
               : 0;
}

static void print_result(struct run *run, const double before[XT_AUTH_PIDS_MAX])
{
    double seconds = (double)(now_ns() - run->began_ns) / 1e9;
    uint64_t counted = run->passed + run->failed;
    printf("{\"factor\":\"%s\",\"connections\":%llu,\"rate\":%llu,\"seconds\":%.3f,"
           "\"authenticated\":%llu,\"failed\":%llu,\"refused\":%llu,\"per_second\":%.1f,"
           "\"us\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p99_9\":%u,\"max\":%u},\"cpu\":[",
           xt_auth_factor_names[run->options.factor], (unsigned long long)run->options.connections,
           (unsigned long long)run->options.rate, seconds, (unsigned long long)run->passed,
           (unsigned long long)run->failed, (unsigned long long)run->refused,
           (double)counted / seconds, xt_histogram_percentile(&run->histogram, 50000),
           xt_histogram_percentile(&run->histogram, 90000),
           xt_histogram_percentile(&run->histogram, 99000),
           xt_histogram_percentile(&run->histogram, 99900), run->histogram.max);
    for (unsigned i = 0; i < run->options.pid_count; i++) {
        double used = cpu_s(run->options.pids[i]) - before[i];
        printf("%s{\"pid\":%d,\"share\":%.3f,\"us_each\":%.1f}", i == 0 ? "" : ",",
               (int)run->options.pids[i], used / seconds,
               counted == 0 ? 0 : used * 1e6 / (double)counted);
    }
    printf("]}\n");
}

static enum xt_status open_run(struct run *run, struct xt_failure *failure)
{
    const struct xt_auth_options *options = &run->options;
    const struct xt_tls_client_files files = {.certificate = options->certificate,
                                              .key = options->key,
                                              .server_authority = options->authority};
    enum xt_status status = xt_tls_client(&files, &run->context, failure);
    if (status != XT_OK) {
        return status;
    }
    run->connections = calloc(options->connections, sizeof(*run->connections));
    run->signers = calloc(options->count, sizeof(*run->signers));
    bool fine = run->connections != NULL && run->signers != NULL;
    for (unsigned i = 0; fine && options->factor == XT_AUTH_DEVICE_KEY && i < options->count; i++) {
        fine = xt_auth_person_signer(i, &run->signers[i].key) == XT_OK;
    }
    if (!fine) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_histogram_reset(&run->histogram);
    for (uint64_t i = 0; status == XT_OK && i < options->connections; i++) {
        status = xt_auth_connect(options, run->context, &run->connections[i]);
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot connect to 127.0.0.1:%llu",
                                     (unsigned long long)options->port);
}

static void close_run(struct run *run)
{
    for (uint64_t i = 0; run->connections != NULL && i < run->options.connections; i++) {
        xt_auth_disconnect(&run->connections[i]);
    }
    for (uint64_t i = 0; run->signers != NULL && i < run->options.count; i++) {
        xt_holder_signer_close(run->signers[i].key);
    }
    free(run->signers);
    free(run->connections);
    xt_tls_context_close(run->context);
    free(run);
}

static void print_help(void)
{
    (void)fputs(
        "usage: xacthuc-bench auth --people FILE --count N\n"
        "       xacthuc-bench auth --port N --cert FILE --key FILE --ca FILE --count N\n"
        "                          [--factor F] [--connections N] [--rate N] [--seconds N] [--pid "
        "N]\n\n"
        "The first writes people with devices (NDJSON) to import; the second authenticates them "
        "at\n"
        "127.0.0.1 (the partner needs the right authenticate), and prints as one JSON object how\n"
        "many a second and how long that took.\n\n"
        "  --count N         people, at most 100000\n"
        "  --factor F        device_key (default), or passcode: a wrong one each time; with "
        "--timing "
        "also\n"
        "                    card_chip, or challenge: asking for one only\n"
        "  --connections N   default 64, at most 512\n"
        "  --rate N          authentications a second of all; timed from when each was due\n"
        "  --seconds N       default 10\n"
        "  --pid N           processor time of this process over the run; may be repeated\n"
        "  --timing N        instead: N attempts each at people who are there, at nobody, at the "
        "locked\n"
        "                    and at those who wait, all wrong, and whether their times differ (at "
        "most\n"
        "                    twice --count)\n\n"
        "exit status: 0 every one had its answer, 1 one had not, 2 wrong usage\n",
        stdout);
}

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

static bool take_factor(const char *text, struct xt_auth_options *options)
{
    for (unsigned i = 0; i < XT_AUTH_FACTORS; i++) {
        if (strcmp(text, xt_auth_factor_names[i]) == 0) {
            options->factor = (enum xt_auth_factor)i;
            return true;
        }
    }
    return false;
}

static bool take_pid(const char *text, struct xt_auth_options *options)
{
    uint64_t pid = 0;
    if (options->pid_count == XT_AUTH_PIDS_MAX || !take_number(text, 1, 1U << 22, &pid)) {
        return false;
    }
    options->pids[options->pid_count++] = (pid_t)pid;
    return true;
}

static bool take_option(int option, struct xt_auth_options *options)
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
    case 'P':
        options->people = optarg;
        return true;
    case 'n':
        return take_number(optarg, 1, XT_AUTH_PEOPLE_MAX, &options->count);
    case 'f':
        return take_factor(optarg, options);
    case 'C':
        return take_number(optarg, 1, XT_AUTH_CONNECTIONS_MAX, &options->connections);
    case 'r':
        return take_number(optarg, 1, 1000000, &options->rate);
    case 'S':
        return take_number(optarg, 1, 86400, &options->seconds);
    case 'i':
        return take_pid(optarg, options);
    case 't':
        return take_number(optarg, 100, 1000000, &options->timing);
    default:
        return false;
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct xt_auth_options *options)
{
    static const struct option table[] = {
        {"port", required_argument, NULL, 'p'},   {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},    {"ca", required_argument, NULL, 'a'},
        {"people", required_argument, NULL, 'P'}, {"count", required_argument, NULL, 'n'},
        {"factor", required_argument, NULL, 'f'}, {"connections", required_argument, NULL, 'C'},
        {"rate", required_argument, NULL, 'r'},   {"seconds", required_argument, NULL, 'S'},
        {"pid", required_argument, NULL, 'i'},    {"timing", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
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
    bool drives = options->port != 0 && options->certificate != NULL && options->key != NULL &&
                  options->authority != NULL;
    if (!fine || optind != argc || options->count == 0 || options->timing > options->count * 2 ||
        (options->factor > XT_AUTH_PASSCODE && options->timing == 0) ||
        drives == (options->people != NULL)) {
        (void)fputs("xacthuc-bench auth: wrong usage; see xacthuc-bench auth --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}

static bool measure(struct run *run, struct xt_failure *failure)
{
    double before[XT_AUTH_PIDS_MAX] = {0};
    if (run->options.people != NULL) {
        return xt_auth_people_write((unsigned)run->options.count, run->options.people, failure) ==
               XT_OK;
    }
    if (run->options.timing > 0) {
        return xt_auth_timing(&run->options, failure) == XT_OK;
    }
    if (open_run(run, failure) != XT_OK) {
        return false;
    }
    for (unsigned i = 0; i < run->options.pid_count; i++) {
        before[i] = cpu_s(run->options.pids[i]);
    }
    bool fine = drive(run);
    if (fine) {
        print_result(run, before);
    }
    return fine;
}

int xt_bench_auth(int argc, char **argv)
{
    struct xt_failure failure = {.text = "not every request was answered"};
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return XT_EXIT_FAILED;
    }
    run->options = (struct xt_auth_options){.connections = 64, .seconds = 10};
    int status = parse(argc, argv, &run->options);
    if (status < 0) {
        bool fine = measure(run, &failure);
        if (!fine) {
            (void)fprintf(stderr, "xacthuc-bench auth: %s\n", failure.text);
        }
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
