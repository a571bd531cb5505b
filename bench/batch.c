/* bench/batch: drives POST /v1/verify/batch over a few connections: how many lines a second are answered, each
 * rightly and in its order; and what a client with single requests feels of it meanwhile.
 *
 *   lines made beforehand --chunks of 16 KiB--> server --answers--> each against what it must be
 *   --probe   single requests meanwhile (bench/batch_probe)
 *
 * One thread for the lists, poll. The lists go around and around the lines that were made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/batch_list.h"
#include "bench/batch_options.h"
#include "bench/batch_probe.h"
#include "bench/clock.h"
#include "bench/commands.h"
#include "bench/machine.h"
#include "core/command.h"
#include "store/background.h"

#define END_NS 30000000000ULL /* for the last answers */
#define SAMPLES_NS 1000000000ULL

struct run {
    struct xt_batch_options options;
    struct xt_crowd crowd;
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
    if (run->options.pid > 0 && xt_process_read((int)run->options.pid, &use)) {
        run->server_last = use.resident_bytes;
        run->server_first = run->server_first == 0 ? use.resident_bytes : run->server_first;
        run->server_most =
            use.resident_bytes > run->server_most ? use.resident_bytes : run->server_most;
    }
}

static uint64_t server_cpu(const struct run *run)
{
    struct xt_process_use use;
    bool known = run->options.pid > 0 && xt_process_read((int)run->options.pid, &use);
    return known ? use.cpu_us : 0;
}

static bool is_done(const struct run *run)
{
    for (unsigned i = 0; i < run->crowd.count; i++) {
        if (!run->crowd.wires[i].finished) {
            return false;
        }
    }
    return true;
}

static bool begin_list(void *context, unsigned index)
{
    struct run *run = context;
    const struct xt_batch_options *options = &run->options;
    struct xt_batch_list *list = &run->lists[index];
    list->people = &run->people;
    list->tally = &run->tally;
    list->wire = &run->crowd.wires[index];
    list->first = index * (options->lines / run->crowd.count);
    list->most = options->total / run->crowd.count;
    return xt_batch_list_begin(list);
}

static bool send_list(void *context, unsigned index)
{
    struct run *run = context;
    struct xt_batch_list *list = &run->lists[index];
    list->ended = run->options.total == 0 && xt_clock_ns() >= run->ended_ns;
    return xt_batch_list_send(list);
}

static bool take_list(void *context, unsigned index)
{
    struct run *run = context;
    return xt_batch_list_take(&run->lists[index]);
}

static bool drive(struct run *run)
{
    const struct xt_batch_options *options = &run->options;
    bool fine = true;
    sample(run);
    uint64_t cpu = server_cpu(run);
    run->began_ns = xt_clock_ns();
    run->ended_ns = run->began_ns + options->server.seconds * 1000000000ULL;
    uint64_t sampled = run->began_ns, moved = run->began_ns, before = 0;
    while (fine && !is_done(run)) {
        fine = xt_crowd_look(&run->crowd, 1000);
        uint64_t now = xt_clock_ns();
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
    run->ended_ns = xt_clock_ns();
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
    uint64_t least = UINT64_MAX, most = 0, of_partner[XT_CROWD_PARTNERS] = {0};
    for (unsigned i = 0; i < run->crowd.count; i++) {
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
           options->server.connections, seconds, run->tally.answered, run->tally.wrong,
           run->tally.refused, (double)run->tally.answered / seconds);
    print_shares(run);
    if (options->pid > 0) {
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

static enum xt_status open_run(struct run *run, struct xt_failure *failure)
{
    const struct xt_batch_options *options = &run->options;
    enum xt_status status = xt_crowd_read(&run->crowd, &options->server, failure);
    if (status == XT_OK) {
        status = xt_batch_people_make(options->seed, options->count, options->lines, &run->people,
                                      failure);
    }
    if (status != XT_OK) {
        return status;
    }
    run->lists = calloc(options->server.connections, sizeof(*run->lists));
    if (run->lists == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    run->crowd.context = run;
    run->crowd.begin = begin_list;
    run->crowd.send = send_list;
    run->crowd.take = take_list;
    return xt_crowd_open(&run->crowd, &options->server, failure);
}

static void close_run(struct run *run)
{
    xt_crowd_close(&run->crowd);
    free(run->lists);
    xt_batch_people_free(&run->people);
    free(run);
}

static bool measure(struct run *run)
{
    const struct xt_batch_options *options = &run->options;
    bool probing = options->probe_us > 0;
    if (probing) {
        run->probe.port = (uint16_t)options->server.port;
        run->probe.pause_us = options->probe_us;
        run->probe.context = run->crowd.contexts[0];
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
    run->options =
        (struct xt_batch_options){.server = {.connections = 2, .seconds = 10}, .lines = 1000000};
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
