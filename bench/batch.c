/* bench/batch: drives POST /v1/verify/batch over a few connections: how many lines a second are answered, each
 * rightly and in its order; and what a client with single requests feels of it meanwhile.
 *
 *   lines made beforehand --chunks of 16 KiB--> server --answers--> each against what it must be
 *   --probe   single requests meanwhile (bench/batch_probe)
 *
 * One thread for the lists, poll. The lists go around and around the lines that were made.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/batch_list.h"
#include "bench/batch_options.h"
#include "bench/batch_probe.h"
#include "bench/commands.h"
#include "bench/machine.h"
#include "core/command.h"
#include "store/background.h"

#define END_NS 30000000000ULL /* for the last answers */
#define SAMPLES_NS 1000000000ULL

struct run {
    struct xt_batch_options options;
    struct xt_tls_context *contexts[XT_BATCH_PARTNERS_MAX];
    struct xt_batch_people people;
    struct xt_batch_list *lists;
    struct xt_batch_tally tally;
    uint64_t began_ns, ended_ns;
    uint64_t server_first, server_most, server_last, own_first, own_most, own_last; /* bytes */
    uint64_t server_cpu_us;
    struct xt_batch_probe probe;
};

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
    struct pollfd looks[XT_BATCH_CONNECTIONS_MAX];
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
    const struct xt_batch_options *options = &run->options;
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

/* Who has had how much: the lists, and the partners. */
static void print_shares(const struct run *run)
{
    uint64_t least = UINT64_MAX, most = 0, of_partner[XT_BATCH_PARTNERS_MAX] = {0};
    for (uint64_t i = 0; i < run->options.connections; i++) {
        uint64_t answered = run->lists[i].answered;
        least = answered < least ? answered : least;
        most = answered > most ? answered : most;
        of_partner[i % run->options.partners] += answered;
    }
    printf(",\"lines_of_each\":{\"least\":%" PRIu64 ",\"most\":%" PRIu64 "}", least, most);
    if (run->options.partners == 2) {
        printf(",\"lines_of_partners\":[%" PRIu64 ",%" PRIu64 "]", of_partner[0], of_partner[1]);
    }
}

static void print_result(const struct run *run)
{
    const struct xt_batch_options *options = &run->options;
    double seconds = (double)(run->ended_ns - run->began_ns) / 1e9;
    double lines = run->tally.answered == 0 ? 1 : (double)run->tally.answered;
    printf("{\"connections\":%" PRIu64 ",\"seconds\":%.3f,\"lines\":%" PRIu64 ",\"wrong\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"lines_per_second\":%.0f",
           options->connections, seconds, run->tally.answered, run->tally.wrong, run->tally.refused,
           (double)run->tally.answered / seconds);
    print_shares(run);
    if (options->server > 0) {
        printf(",\"server_cpu_us_per_line\":%.3f,\"server_kib\":{\"first\":%" PRIu64
               ",\"most\":%" PRIu64 ",\"last\":%" PRIu64 "}",
               (double)run->server_cpu_us / lines, kib(run->server_first), kib(run->server_most),
               kib(run->server_last));
    }
    printf(",\"client_kib\":{\"first\":%" PRIu64 ",\"most\":%" PRIu64 ",\"last\":%" PRIu64 "}",
           kib(run->own_first), kib(run->own_most), kib(run->own_last));
    if (options->probe_us > 0) {
        xt_batch_probe_print(&run->probe);
    }
    printf("}\n");
}

static enum xt_status open_list(struct run *run, unsigned index)
{
    const struct xt_batch_options *options = &run->options;
    struct xt_batch_list *list = &run->lists[index];
    struct xt_batch_peer peer;
    enum xt_status status =
        xt_batch_connect((uint16_t)options->port, run->contexts[index % options->partners], &peer);
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
    const struct xt_batch_options *options = &run->options;
    enum xt_status status = XT_OK;
    for (unsigned i = 0; status == XT_OK && i < options->partners; i++) {
        const struct xt_tls_client_files files = {.certificate = options->certificates[i],
                                                  .key = options->keys[i],
                                                  .server_authority = options->authority};
        status = xt_tls_client(&files, &run->contexts[i], failure);
    }
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
    for (unsigned i = 0; i < XT_BATCH_PARTNERS_MAX; i++) {
        xt_tls_context_close(run->contexts[i]);
    }
    free(run);
}

static bool measure(struct run *run)
{
    const struct xt_batch_options *options = &run->options;
    bool probing = options->probe_us > 0;
    if (probing) {
        run->probe.port = (uint16_t)options->port;
        run->probe.pause_us = options->probe_us;
        run->probe.context = run->contexts[0];
        run->probe.people = &run->people;
        if (!xt_batch_probe_start(&run->probe)) {
            return false;
        }
        xt_background_enter(); /* the lists; the probe's thread is there already */
    }
    bool fine = drive(run);
    if (probing) {
        xt_batch_probe_stop(&run->probe);
    }
    return fine;
}

int xt_bench_batch(int argc, char **argv)
{
    struct xt_failure failure = {.text = "a connection ended, or nothing came for 30 s"};
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        return XT_EXIT_FAILED;
    }
    run->options = (struct xt_batch_options){.connections = 2, .lines = 1000000, .seconds = 10};
    int status = xt_batch_options_parse(argc, argv, &run->options);
    if (status < 0) {
        bool fine = open_run(run, &failure) == XT_OK && measure(run);
        if (fine) {
            print_result(run);
        } else {
            (void)fprintf(stderr, "xacthuc-bench batch: %s\n", failure.text);
        }
        if (run->tally.wrong > 0) {
            (void)fprintf(stderr, "xacthuc-bench batch: a wrong answer: %s\n", run->tally.why);
        }
        fine = fine && run->tally.wrong == 0 && run->tally.refused == 0 && run->probe.failed == 0;
        status = fine && fflush(stdout) == 0 ? XT_EXIT_OK : XT_EXIT_FAILED;
    }
    close_run(run);
    return status;
}
