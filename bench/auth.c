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
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/auth_internal.h"
#include "bench/clock.h"
#include "bench/commands.h"
#include "bench/histogram.h"
#include "core/command.h"

#define END_NS 15000000000ULL /* for the last answers */

const char *const xt_auth_factor_names[XT_AUTH_FACTORS] = {"device_key", "passcode", "card_chip",
                                                           "challenge"};

struct signer {
    struct xt_holder_signer *key; /* NULL: none was made */
};

/* What is under way on a connection: one attempt. */
struct attempt {
    enum { FREE, ASKED, TRIED } step;
    unsigned person;
    uint64_t due_ns;
};

struct run {
    struct xt_auth_options options;
    struct xt_crowd crowd;
    struct attempt *attempts;
    struct signer *signers;
    uint64_t passed, failed;
    struct xt_histogram histogram;
};

static bool begin(struct run *run, unsigned index, uint64_t due_ns)
{
    struct attempt *attempt = &run->attempts[index];
    struct xt_auth_request request;
    attempt->person = (unsigned)(run->crowd.begun++ % run->options.count);
    attempt->due_ns = due_ns;
    bool passcode = run->options.factor == XT_AUTH_PASSCODE;
    attempt->step = passcode ? TRIED : ASKED;
    return xt_wire_send(&run->crowd.wires[index],
                        passcode ? xt_auth_try_passcode(&request, attempt->person)
                                 : xt_auth_ask(&request, attempt->person, run->options.factor),
                        false);
}

/* An answer is whole. */
static bool take_answer(struct run *run, unsigned index, unsigned status, struct xt_span body)
{
    struct attempt *attempt = &run->attempts[index];
    bool tried = attempt->step == TRIED;
    if (!tried && status == 200) {
        struct xt_auth_request request;
        attempt->step = TRIED;
        struct xt_span text = xt_auth_try_key(&request, attempt->person, XT_AUTH_DEVICE_KEY,
                                              run->signers[attempt->person].key, body);
        return text.size > 0 && xt_wire_send(&run->crowd.wires[index], text, false);
    }
    run->passed += tried && status == 200;
    run->failed += tried && status == 401;
    if (tried && (status == 200 || status == 401)) {
        xt_histogram_record(&run->histogram, (xt_clock_ns() - attempt->due_ns) / 1000);
    }
    attempt->step = FREE;
    run->crowd.answered++;
    return true;
}

static bool take_answers(void *context, unsigned index)
{
    struct run *run = context;
    struct xt_wire *wire = &run->crowd.wires[index];
    struct xt_response_head head;
    enum xt_status read;
    while ((read = xt_wire_answer(wire, &head)) == XT_OK) {
        if (!take_answer(run, index, head.status, xt_wire_body(wire, &head))) {
            return false;
        }
    }
    return read == XT_AGAIN;
}

/* ---- the run ------------------------------------------------------------------------------------ */

/* What is due by now; false: a connection is gone. */
static bool begin_due(void *context, uint64_t now)
{
    struct run *run = context;
    uint64_t rate = run->options.server.rate;
    for (unsigned i = 0; i < run->crowd.count; i++) {
        uint64_t due = now;
        if (rate > 0) {
            due = run->crowd.began_ns + run->crowd.begun * 1000000000ULL / rate;
        }
        if (due > now) {
            return true;
        }
        if (run->attempts[i].step == FREE && !begin(run, i, due)) {
            return false;
        }
    }
    return true;
}

static double cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    return clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0
               ? (double)used.tv_sec + (double)used.tv_nsec / 1e9
               : 0;
}

static void print_result(const struct run *run, const double before[XT_AUTH_PIDS_MAX])
{
    const struct xt_crowd_options *server = &run->options.server;
    double seconds = (double)(xt_clock_ns() - run->crowd.began_ns) / 1e9;
    uint64_t counted = run->passed + run->failed;
    printf("{\"factor\":\"%s\",\"connections\":%llu,\"rate\":%llu,\"seconds\":%.3f,"
           "\"authenticated\":%llu,\"failed\":%llu,\"refused\":%llu,\"per_second\":%.1f,\"us\":",
           xt_auth_factor_names[run->options.factor], (unsigned long long)server->connections,
           (unsigned long long)server->rate, seconds, (unsigned long long)run->passed,
           (unsigned long long)run->failed, (unsigned long long)(run->crowd.answered - counted),
           (double)counted / seconds);
    xt_histogram_print(&run->histogram);
    printf(",\"cpu\":[");
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
    enum xt_status status = xt_crowd_read(&run->crowd, &options->server, failure);
    if (status != XT_OK) {
        return status;
    }
    run->attempts = calloc(options->server.connections, sizeof(*run->attempts));
    run->signers = calloc(options->count, sizeof(*run->signers));
    bool fine = run->attempts != NULL && run->signers != NULL;
    for (unsigned i = 0; fine && options->factor == XT_AUTH_DEVICE_KEY && i < options->count; i++) {
        fine = xt_auth_person_signer(i, &run->signers[i].key) == XT_OK;
    }
    if (!fine) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_histogram_reset(&run->histogram);
    run->crowd.context = run;
    run->crowd.take = take_answers;
    run->crowd.begin_due = begin_due;
    run->crowd.end_ns = END_NS;
    return xt_crowd_open(&run->crowd, &options->server, failure);
}

static void close_run(struct run *run)
{
    xt_crowd_close(&run->crowd);
    for (uint64_t i = 0; run->signers != NULL && i < run->options.count; i++) {
        xt_holder_signer_close(run->signers[i].key);
    }
    free(run->signers);
    free(run->attempts);
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
    if (options->pid_count == XT_AUTH_PIDS_MAX || !xt_crowd_number(text, 1, 1U << 22, &pid)) {
        return false;
    }
    options->pids[options->pid_count++] = (pid_t)pid;
    return true;
}

static bool take_option(int option, struct xt_auth_options *options)
{
    switch (option) {
    case 'P':
        options->people = optarg;
        return true;
    case 'n':
        return xt_crowd_number(optarg, 1, XT_AUTH_PEOPLE_MAX, &options->count);
    case 'f':
        return take_factor(optarg, options);
    case 'r':
        return xt_crowd_number(optarg, 1, 1000000, &options->server.rate);
    case 'i':
        return take_pid(optarg, options);
    case 't':
        return xt_crowd_number(optarg, 100, 1000000, &options->timing);
    default:
        return xt_crowd_take_option(option, optarg, XT_CROWD_MAX, &options->server);
    }
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct xt_auth_options *options)
{
    static const struct option table[] = {XT_CROWD_OPTIONS,
                                          {"people", required_argument, NULL, 'P'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"factor", required_argument, NULL, 'f'},
                                          {"rate", required_argument, NULL, 'r'},
                                          {"pid", required_argument, NULL, 'i'},
                                          {"timing", required_argument, NULL, 't'},
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
    const struct xt_crowd_options *server = &options->server;
    bool drives = server->port != 0 && server->certificates[0] != NULL && server->keys[0] != NULL &&
                  server->authority != NULL;
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
    bool fine = xt_crowd_drive(&run->crowd, &run->options.server);
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
    run->options = (struct xt_auth_options){.server = {.connections = 64, .seconds = 10}};
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
