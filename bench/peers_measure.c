/* The rounds: who is measured when, and what is kept of it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>

#include "bench/peers.h"

#define SECOND_NS 1000000000ULL
#define WARMUP_MOST_NS SECOND_NS
#define WARMUP_SHARE 5U /* of the measured time, where that is shorter */
#define TIMEOUT_NS (10 * SECOND_NS)
#define QUEUE 100000U
#define OPEN_SHARE 2U /* the open loop asks for one part in two of the closed loop's rate */

static const struct xt_workload *workload_of(const struct xt_peers *peers,
                                             const struct xt_peer *peer)
{
    return peer->kind->ldap ? &peers->compares
                            : (peer->kind->unchecked ? &peers->unchecked : &peers->verify);
}

struct asker {
    struct xt_load_options options;
    struct xt_load_target target;
    char certificate[XT_PATH_MAX], key[XT_PATH_MAX], authority[XT_PATH_MAX];
};

/* xacthuc has an authority of its own and has issued the client's certificate. */
static enum xt_status find_files(const struct xt_peers *peers, const struct xt_peer *peer,
                                 struct asker *asker)
{
    char issued[XT_PATH_MAX];
    bool own = peer->kind == &xt_peer_kinds[XT_PEER_XACTHUC];
    enum xt_status status = xt_path_join(issued, peer->folder, "issued");
    const char *folder = own ? issued : peers->tls;
    if (status == XT_OK) {
        status =
            xt_path_join(asker->certificate, folder, own ? XT_PEERS_PARTNER ".crt" : "client.crt");
    }
    if (status == XT_OK) {
        status = xt_path_join(asker->key, folder, own ? XT_PEERS_PARTNER ".key" : "client.key");
    }
    return status == XT_OK ? xt_path_join(asker->authority, folder, "ca.crt") : status;
}

static enum xt_status make_asker(const struct xt_peers *peers, const struct xt_peer *peer,
                                 struct asker *asker)
{
    uint64_t duration = (uint64_t)peers->options->seconds * SECOND_NS;
    uint64_t warmup = duration / WARMUP_SHARE;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)peer->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(&asker->target.address, &address, sizeof(address));
    asker->target.size = sizeof(address);
    asker->options =
        (struct xt_load_options){.server = peer->kind->title,
                                 .tls = true,
                                 .host = "127.0.0.1",
                                 .port = "8443",
                                 .certificate = asker->certificate,
                                 .key = asker->key,
                                 .authority = asker->authority,
                                 .connections = XT_PEERS_CONNECTIONS,
                                 .threads = 1,
                                 .pipeline = 1,
                                 .queue = QUEUE,
                                 .warmup_ns = warmup < WARMUP_MOST_NS ? warmup : WARMUP_MOST_NS,
                                 .duration_ns = duration,
                                 .timeout_ns = TIMEOUT_NS,
                                 .server_pid = peer->server.pid,
                                 .helper_pid = peer->store.pid,
                                 .quiet = true};
    return find_files(peers, peer, asker);
}

static const char *first_detail(const struct xt_load_figures *figures)
{
    for (unsigned kind = 0; kind < XT_LOAD_ERRORS; kind++) {
        if (figures->details[kind][0] != '\0') {
            return figures->details[kind];
        }
    }
    return "no answers";
}

static void note_errors(const struct xt_peer *peer, const struct xt_load_figures *figures)
{
    uint64_t errors = figures->error_count + figures->early_errors;
    if (errors > 0 || figures->latency.count == 0) {
        (void)fprintf(stderr, "%s: %llu errors: %s\n", peer->kind->name, (unsigned long long)errors,
                      first_detail(figures));
    }
}

static enum xt_status run_loop(const struct xt_peers *peers, const struct xt_peer *peer,
                               const struct asker *asker, uint64_t rate,
                               struct xt_peer_round *round, struct xt_failure *failure)
{
    struct xt_load_figures *figures;
    enum xt_status status = xt_load_run(&asker->options, workload_of(peers, peer), &asker->target,
                                        rate, NULL, NULL, &figures, failure);
    if (status != XT_OK) {
        return status;
    }
    note_errors(peer, figures);
    double right = (double)figures->latency.count;
    round->right += figures->latency.count + figures->early_right;
    round->errors += figures->error_count + figures->early_errors;
    if (rate == 0 && figures->measured > 0) {
        round->rate = (double)figures->in_time / figures->measured;
        round->cpu_us =
            figures->has_server && right > 0 ? (double)figures->server_cpu_us / right : 0;
        round->client_share = (double)figures->client_cpu_us / 1e6 / figures->measured;
    } else {
        round->open_rate = (double)rate;
        round->p50 = xt_histogram_percentile(&figures->latency, 50000);
        round->p99 = xt_histogram_percentile(&figures->latency, 99000);
        round->p999 = xt_histogram_percentile(&figures->latency, 99900);
    }
    xt_load_figures_free(figures);
    return xt_load_interrupted() ? xt_fail(failure, XT_CLOSED, "interrupted") : XT_OK;
}

static enum xt_status measure_one(const struct xt_peers *peers, struct xt_peer *peer,
                                  struct xt_failure *failure)
{
    struct asker *asker = calloc(1, sizeof(*asker));
    struct xt_peer_round round = {0};
    if (asker == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    enum xt_status status = make_asker(peers, peer, asker);
    if (status == XT_OK && peer->round_count == 0) {
        status = xt_load_try(&asker->options, workload_of(peers, peer), &asker->target, failure);
    }
    if (status == XT_OK) {
        status = run_loop(peers, peer, asker, 0, &round, failure);
    }
    if (status == XT_OK && round.rate == 0) { /* the machine stood still, or it does */
        status = run_loop(peers, peer, asker, 0, &round, failure);
    }
    if (status == XT_OK && round.rate == 0) {
        status = xt_fail(failure, XT_IO, "nothing right within the time measured");
    }
    if (status == XT_OK) {
        uint64_t rate = (uint64_t)(round.rate / OPEN_SHARE);
        status = run_loop(peers, peer, asker, rate > 0 ? rate : 1, &round, failure);
    }
    if (status == XT_OK && !(xt_process_runs(&peer->server) &&
                             (peer->store.pid == 0 || xt_process_runs(&peer->store)))) {
        status =
            xt_fail(failure, XT_IO, "it has ended while it was measured; see --keep for its log");
    }
    if (status == XT_OK) {
        peer->rounds[peer->round_count++] = round;
    }
    free(asker);
    return status;
}

static void pin_client(const struct xt_peers *peers)
{
    cpu_set_t cores;
    if (peers->client_core >= 0) {
        CPU_ZERO(&cores);
        CPU_SET((unsigned)peers->client_core, &cores);
        (void)sched_setaffinity(0, sizeof(cores), &cores);
    }
}

enum xt_status xt_peers_measure(struct xt_peers *peers, struct xt_failure *failure)
{
    const struct xt_peers_options *options = peers->options;
    pin_client(peers); /* the threads of the load inherit it */
    for (unsigned number = 0; number < options->rounds; number++) {
        for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
            struct xt_peer *peer = &peers->list[name];
            if (peer->state != XT_PEER_READY) {
                continue;
            }
            struct xt_failure why = {"the folder's name is too long"};
            enum xt_status status = measure_one(peers, peer, &why);
            if (status == XT_CLOSED || xt_load_interrupted()) {
                return xt_fail(failure, XT_CLOSED, "interrupted");
            }
            if (status != XT_OK) {
                peer->state = XT_PEER_FAILED;
                (void)snprintf(peer->why, sizeof(peer->why), "%s", why.text);
                (void)fprintf(stderr, "%s: %s\n", peer->kind->name, peer->why);
            } else if (!options->quiet) {
                const struct xt_peer_round *round = &peer->rounds[peer->round_count - 1];
                (void)fprintf(stderr, "round %u of %u, %-8s %9.0f/s, %6.1f us CPU, p99 %.2f ms\n",
                              number + 1, options->rounds, peer->kind->name, round->rate,
                              round->cpu_us, (double)round->p99 / 1000);
            }
        }
    }
    return XT_OK;
}
