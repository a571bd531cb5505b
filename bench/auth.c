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
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/auth_people.h"
#include "bench/commands.h"
#include "bench/histogram.h"
#include "bench/response.h"
#include "core/command.h"
#include "core/jose.h"
#include "crypto/tls.h"
#include "store/command_line.h"

#define CONNECTIONS_MAX 512
#define PIDS_MAX 8
#define BODY_MAX 1024
#define CHALLENGE 60
#define END_NS 15000000000ULL /* for the last answers */

struct options {
    uint64_t port, count, connections, rate, seconds;
    bool passcode;
    const char *certificate, *key, *authority, *people;
    unsigned pid_count;
    pid_t pids[PIDS_MAX];
};

enum step { FREE, ASKED, TRIED };

struct connection {
    int fd;
    struct xt_tls *tls;
    enum step step;
    unsigned person;
    uint64_t due_ns;
    size_t input_size; /* of an answer so far, in clear */
    uint8_t input[8192];
    uint8_t sealed[16384];
};

struct run {
    struct options options;
    struct xt_tls_context *context;
    struct connection *connections;
    struct xt_holder_signer **signers;
    uint64_t begun, passed, failed, refused, began_ns;
    struct xt_histogram histogram;
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
        ssize_t got = recv(connection->fd, connection->sealed, sizeof(connection->sealed), 0);
        if (got <= 0) {
            return XT_IO;
        }
        xt_tls_feed(connection->tls, xt_span_of(connection->sealed, (size_t)got));
    }
}

static enum xt_status open_connection(struct run *run, struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)run->options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connection->fd >= 0 &&
                   connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
                   xt_tls_open(run->context, "127.0.0.1", &connection->tls) == XT_OK &&
                   shake(connection) == XT_OK
               ? XT_OK
               : XT_IO;
}

/* ---- one authentication ------------------------------------------------------------------------- */

static bool post(struct connection *connection, const char *target, const char *body)
{
    char text[BODY_MAX + 256];
    size_t taken = 0;
    int size = snprintf(text, sizeof(text),
                        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        target, strlen(body), body);
    return xt_tls_write(connection->tls, xt_span_of(text, (size_t)size), &taken) == XT_OK &&
           flush(connection);
}

static bool begin(struct run *run, struct connection *connection, uint64_t due_ns)
{
    char id[XT_AUTH_ID], body[BODY_MAX];
    connection->person = (unsigned)(run->begun++ % run->options.count);
    connection->due_ns = due_ns;
    xt_auth_person_id(connection->person, id);
    if (run->options.passcode) {
        connection->step = TRIED;
        (void)snprintf(body, sizeof(body),
                       "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"passcode\","
                       "\"value\":\"not his\"}]}",
                       id);
        return post(connection, "/v1/authenticate", body);
    }
    connection->step = ASKED;
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"factor\":\"device_key\",\"audience\":\"bench\"}", id);
    return post(connection, "/v1/challenges", body);
}

/* false: it is no answer with a challenge. */
static bool attempt(struct run *run, struct connection *connection, struct xt_span answer)
{
    static const char name[] = "\"challenge\":\"";
    uint8_t signature[XT_HOLDER_SIGNATURE];
    char id[XT_AUTH_ID], body[BODY_MAX], text[96];
    const uint8_t *at = memmem(answer.data, answer.size, name, sizeof(name) - 1);
    if (at == NULL || at + sizeof(name) - 1 + CHALLENGE > answer.data + answer.size) {
        return false;
    }
    struct xt_span challenge = xt_span_of(at + sizeof(name) - 1, CHALLENGE);
    if (xt_holder_sign(run->signers[connection->person], challenge, signature) != XT_OK) {
        return false;
    }
    struct xt_writer writer = xt_writer_over((uint8_t *)text, sizeof(text) - 1);
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    text[writer.size] = '\0';
    xt_auth_person_id(connection->person, id);
    connection->step = TRIED;
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"device_key\","
                   "\"device_id\":\"" XT_AUTH_DEVICE
                   "\",\"challenge\":\"%.*s\",\"signature\":\"%s\"}]}",
                   id, CHALLENGE, (const char *)challenge.data, text);
    return post(connection, "/v1/authenticate", body);
}

/* An answer is whole. */
static bool take_answer(struct run *run, struct connection *connection, unsigned status,
                        struct xt_span body)
{
    if (connection->step == ASKED && status == 200) {
        return attempt(run, connection, body);
    }
    run->passed += connection->step == TRIED && status == 200;
    run->failed += connection->step == TRIED && status == 401;
    bool counts = connection->step == TRIED && (status == 200 || status == 401);
    run->refused += !counts;
    if (counts) {
        xt_histogram_record(&run->histogram, (now_ns() - connection->due_ns) / 1000);
    }
    connection->step = FREE;
    return true;
}

static bool take_answers(struct run *run, struct connection *connection)
{
    ssize_t size =
        recv(connection->fd, connection->sealed, sizeof(connection->sealed), MSG_DONTWAIT);
    if (size <= 0) {
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    }
    xt_tls_feed(connection->tls, xt_span_of(connection->sealed, (size_t)size));
    for (;;) {
        size_t got = 0;
        struct xt_response_head head;
        enum xt_status status =
            xt_tls_read(connection->tls, connection->input + connection->input_size,
                        sizeof(connection->input) - connection->input_size, &got);
        if (status == XT_AGAIN) {
            return xt_tls_settle(connection->tls) == XT_OK;
        }
        connection->input_size += got;
        enum xt_status read =
            status != XT_OK
                ? XT_IO
                : xt_response_read(xt_span_of(connection->input, connection->input_size), &head);
        if (read == XT_AGAIN ||
            (read == XT_OK && connection->input_size < head.size + head.body_size)) {
            continue;
        }
        if (read != XT_OK || head.close) {
            return false;
        }
        connection->input_size = 0; /* one request at a time: nothing follows */
        if (!take_answer(run, connection, head.status,
                         xt_span_of(connection->input + head.size, (size_t)head.body_size))) {
            return false;
        }
    }
}

/* ---- the run ------------------------------------------------------------------------------------ */

/* What is due by now; false: a connection is gone. */
static bool begin_due(struct run *run, uint64_t now)
{
    const struct options *options = &run->options;
    for (uint64_t i = 0; i < options->connections; i++) {
        uint64_t due = now;
        if (options->rate > 0) {
            due = run->began_ns + run->begun * 1000000000ULL / options->rate;
        }
        if (due > now) {
            return true;
        }
        if (run->connections[i].step == FREE && !begin(run, &run->connections[i], due)) {
            return false;
        }
    }
    return true;
}

static bool look(struct run *run, int wait_ms)
{
    static struct pollfd list[CONNECTIONS_MAX];
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

static void print_result(struct run *run, const double before[PIDS_MAX])
{
    double seconds = (double)(now_ns() - run->began_ns) / 1e9;
    uint64_t counted = run->passed + run->failed;
    printf("{\"factor\":\"%s\",\"connections\":%llu,\"rate\":%llu,\"seconds\":%.3f,"
           "\"authenticated\":%llu,\"failed\":%llu,\"refused\":%llu,\"per_second\":%.1f,"
           "\"us\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p99_9\":%u,\"max\":%u},\"cpu\":[",
           run->options.passcode ? "passcode" : "device_key",
           (unsigned long long)run->options.connections, (unsigned long long)run->options.rate,
           seconds, (unsigned long long)run->passed, (unsigned long long)run->failed,
           (unsigned long long)run->refused, (double)counted / seconds,
           xt_histogram_percentile(&run->histogram, 50000),
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
    const struct options *options = &run->options;
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
    for (unsigned i = 0; fine && !options->passcode && i < options->count; i++) {
        fine = xt_auth_person_signer(i, &run->signers[i]) == XT_OK;
    }
    if (!fine) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_histogram_reset(&run->histogram);
    for (uint64_t i = 0; status == XT_OK && i < options->connections; i++) {
        status = open_connection(run, &run->connections[i]);
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot connect to 127.0.0.1:%llu",
                                     (unsigned long long)options->port);
}

static void close_run(struct run *run)
{
    for (uint64_t i = 0; run->connections != NULL && i < run->options.connections; i++) {
        xt_tls_close(run->connections[i].tls);
        if (run->connections[i].fd > 0) {
            close(run->connections[i].fd);
        }
    }
    for (uint64_t i = 0; run->signers != NULL && i < run->options.count; i++) {
        xt_holder_signer_close(run->signers[i]);
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
        "  --factor F        device_key (default), or passcode: a wrong one each time\n"
        "  --connections N   default 64, at most 512\n"
        "  --rate N          authentications a second of all; timed from when each was due\n"
        "  --seconds N       default 10\n"
        "  --pid N           processor time of this process over the run; may be repeated\n\n"
        "exit status: 0 every one had its answer, 1 one had not, 2 wrong usage\n",
        stdout);
}

static bool take_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

static bool take_factor(const char *text, struct options *options)
{
    options->passcode = strcmp(text, "passcode") == 0;
    return options->passcode || strcmp(text, "device_key") == 0;
}

static bool take_pid(const char *text, struct options *options)
{
    uint64_t pid = 0;
    if (options->pid_count == PIDS_MAX || !take_number(text, 1, 1U << 22, &pid)) {
        return false;
    }
    options->pids[options->pid_count++] = (pid_t)pid;
    return true;
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
    case 'P':
        options->people = optarg;
        return true;
    case 'n':
        return take_number(optarg, 1, XT_AUTH_PEOPLE_MAX, &options->count);
    case 'f':
        return take_factor(optarg, options);
    case 'C':
        return take_number(optarg, 1, CONNECTIONS_MAX, &options->connections);
    case 'r':
        return take_number(optarg, 1, 1000000, &options->rate);
    case 'S':
        return take_number(optarg, 1, 86400, &options->seconds);
    case 'i':
        return take_pid(optarg, options);
    default:
        return false;
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {{"port", required_argument, NULL, 'p'},
                                          {"cert", required_argument, NULL, 'c'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"ca", required_argument, NULL, 'a'},
                                          {"people", required_argument, NULL, 'P'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"factor", required_argument, NULL, 'f'},
                                          {"connections", required_argument, NULL, 'C'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"seconds", required_argument, NULL, 'S'},
                                          {"pid", required_argument, NULL, 'i'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
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
    if (!fine || optind != argc || options->count == 0 || drives == (options->people != NULL)) {
        (void)fputs("xacthuc-bench auth: wrong usage; see xacthuc-bench auth --help\n", stderr);
        return XT_EXIT_USAGE;
    }
    return -1;
}

static bool measure(struct run *run, struct xt_failure *failure)
{
    double before[PIDS_MAX] = {0};
    if (run->options.people != NULL) {
        return xt_auth_people_write((unsigned)run->options.count, run->options.people, failure) ==
               XT_OK;
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
    run->options = (struct options){.connections = 64, .seconds = 10};
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
