/* xacthuc-bench peers: the same verify work on other software. */
#include "bench/peers.h"

#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/commands.h"
#include "bench/ldap.h"
#include "core/command.h"
#include "core/policy.h"
#include "core/request.h"

#define STOP_LIMIT_MS 15000U
#define SAMPLE 1000U               /* answers whose length is looked at */
#define CERTIFICATE_LIFE_S 8640000 /* 100 days */

__attribute__((format(printf, 2, 3))) static void note(const struct xt_peers *peers,
                                                       const char *format, ...)
{
    if (!peers->options->quiet) {
        va_list arguments;
        va_start(arguments, format);
        (void)vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
}

static void stop_all(struct xt_peers *peers)
{
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        xt_process_stop(&peers->list[name].server, STOP_LIMIT_MS);
        xt_process_stop(&peers->list[name].store, STOP_LIMIT_MS);
    }
}

/* ---- what all need ---- */

static enum xt_status issue(const struct xt_peers *peers, enum xt_certificate_use use,
                            const char *name, const char *common_name, struct xt_failure *failure)
{
    static const char *const addresses[] = {"127.0.0.1", NULL};
    char authority_key[XT_PATH_MAX];
    char authority[XT_PATH_MAX];
    char key[XT_PATH_MAX];
    char certificate[XT_PATH_MAX];
    char file[64];
    uint8_t spki[XT_SPKI_SHA256];
    struct xt_certificate_request request = {.use = use,
                                             .common_name = common_name,
                                             .addresses =
                                                 use == XT_CERTIFICATE_SERVER ? addresses : NULL,
                                             .not_before = time(NULL) - XT_CLOCK_SKEW_SECONDS,
                                             .not_after = time(NULL) + CERTIFICATE_LIFE_S};
    enum xt_status status = xt_path_join(authority_key, peers->tls, "ca.key");
    if (status == XT_OK) {
        status = xt_path_join(authority, peers->tls, "ca.crt");
    }
    (void)snprintf(file, sizeof(file), "%s.key", name);
    if (status == XT_OK) {
        status = xt_path_join(key, peers->tls, file);
    }
    (void)snprintf(file, sizeof(file), "%s.crt", name);
    if (status == XT_OK) {
        status = xt_path_join(certificate, peers->tls, file);
    }
    if (status == XT_OK) {
        status =
            xt_authority_issue(authority_key, authority, &request, key, certificate, spki, failure);
    }
    return status == XT_OK && use == XT_CERTIFICATE_SERVER ? xt_peers_hand_over(peers, key, failure)
                                                           : status;
}

static enum xt_status make_certificates(struct xt_peers *peers, struct xt_failure *failure)
{
    char key[XT_PATH_MAX];
    char certificate[XT_PATH_MAX];
    enum xt_status status = xt_path_join(peers->tls, peers->folder, "tls");
    if (status == XT_OK) {
        status = xt_folder_make(peers->tls, 0755, failure);
    }
    if (status == XT_OK) {
        status = xt_path_join(key, peers->tls, "ca.key");
    }
    if (status == XT_OK) {
        status = xt_path_join(certificate, peers->tls, "ca.crt");
    }
    if (status == XT_OK) {
        status = xt_authority_create(key, certificate, "xacthuc-bench peers", failure);
    }
    if (status == XT_OK) {
        status = issue(peers, XT_CERTIFICATE_SERVER, "server", "localhost", failure);
    }
    return status == XT_OK
               ? issue(peers, XT_CERTIFICATE_CLIENT, "client", XT_PEERS_PARTNER, failure)
               : status;
}

/* The first two cores we may use; with one only, client and server share it. */
static void choose_cores(struct xt_peers *peers)
{
    cpu_set_t cores;
    peers->server_core = peers->client_core = -1;
    if (sched_getaffinity(0, sizeof(cores), &cores) != 0) {
        return;
    }
    for (int core = 0; core < CPU_SETSIZE && peers->client_core < 0; core++) {
        if (CPU_ISSET((unsigned)core, &cores)) {
            *(peers->server_core < 0 ? &peers->server_core : &peers->client_core) = core;
        }
    }
    if (peers->client_core < 0) {
        peers->client_core = peers->server_core;
        (void)fputs(
            "there is one core only: client and server share it, so the figures say little\n",
            stderr);
    }
}

/* As root, the others' software runs as nobody: PostgreSQL insists, and none of them needs more. */
static enum xt_status choose_user(struct xt_peers *peers, struct xt_failure *failure)
{
    if (geteuid() != 0) {
        return XT_OK;
    }
    errno = 0;
    const struct passwd *nobody = getpwnam("nobody");
    if (nobody == NULL) {
        return xt_fail(failure, XT_NOT_FOUND,
                       "there is no user nobody; run it as another than root");
    }
    peers->user = nobody->pw_uid;
    peers->group = nobody->pw_gid;
    return XT_OK;
}

/* The mean length of the answers that xacthuc gives to these requests. */
static unsigned mean_answer(const struct xt_workload *workload)
{
    char answer_id[XT_ANSWER_ID];
    uint64_t sum = 0;
    unsigned count = workload->count < SAMPLE ? workload->count : SAMPLE;
    xt_require(count > 0);
    memset(answer_id, '0', sizeof(answer_id));
    for (unsigned i = 0; i < count; i++) {
        const struct xt_workload_request *asked = &workload->requests[i];
        uint8_t text[XT_VERIFY_ANSWER_MAX];
        struct xt_writer writer = xt_writer_over(text, sizeof(text));
        struct xt_verify_request request = {
            .has_txn = true,
            .txn = xt_span_of(workload->wire + asked->txn_offset, asked->txn_size),
            .claims.asked = asked->asked};
        struct xt_outcome outcome = {.verdict = asked->asked == asked->matched
                                                    ? XT_VERDICT_VERIFIED
                                                    : XT_VERDICT_NOT_VERIFIED};
        for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
            bool match = (asked->matched & XT_CLAIM_BIT(claim)) != 0;
            outcome.results[claim] = match ? XT_RESULT_MATCH : XT_RESULT_MISMATCH;
        }
        xt_verify_answer_to_json(&request, &outcome, XT_RIGHT_PER_CLAIM, answer_id, 0, &writer);
        sum += writer.size;
    }
    return (unsigned)(sum / count);
}

static enum xt_status make_workloads(struct xt_peers *peers, struct xt_failure *failure)
{
    uint64_t people = peers->options->count;
    peers->requests = people < XT_PEERS_REQUESTS_MIN   ? XT_PEERS_REQUESTS_MIN
                      : people > XT_PEERS_REQUESTS_MAX ? XT_PEERS_REQUESTS_MAX
                                                       : (unsigned)people;
    struct xt_load_options options = {.tls = true,
                                      .host = "127.0.0.1",
                                      .port = "8443",
                                      .has_people = true,
                                      .seed = peers->options->seed,
                                      .count = peers->options->count,
                                      .requests = peers->requests};
    enum xt_status status = xt_workload_make(&options, &peers->verify, failure);
    if (status == XT_OK) {
        peers->answer_size = mean_answer(&peers->verify);
    }
    if (status == XT_OK && peers->list[XT_PEER_NGINX].state == XT_PEER_READY) {
        options.unchecked = true;
        status = xt_workload_make(&options, &peers->unchecked, failure);
    }
    if (status == XT_OK && peers->list[XT_PEER_SLAPD].state == XT_PEER_READY) {
        status = xt_ldap_workload_make(&options, &peers->compares, failure);
    }
    return status;
}

/* ---- the run ---- */

/* XT_CLOSED: interrupted. A peer that fails is left out, and told of. */
static enum xt_status start_all(struct xt_peers *peers, struct xt_failure *failure)
{
    unsigned ready = 0;
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        struct xt_peer *peer = &peers->list[name];
        struct xt_failure why = {"the folder's name is too long"};
        if (peer->state != XT_PEER_READY) {
            continue;
        }
        note(peers, "%s: loading and starting\n", peer->kind->name);
        enum xt_status status = peer->kind->start(peers, peer, &why);
        if (xt_load_interrupted()) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
        if (status != XT_OK) {
            peer->state = XT_PEER_FAILED;
            (void)snprintf(peer->why, sizeof(peer->why), "%s", why.text);
            xt_process_stop(&peer->server, STOP_LIMIT_MS);
            xt_process_stop(&peer->store, STOP_LIMIT_MS);
            (void)fprintf(stderr, "%s: %s\n", peer->kind->name, peer->why);
        } else {
            ready++;
            note(peers, "%s: loaded in %.1f s\n", peer->kind->name, peer->load_seconds);
        }
    }
    return ready > 0 ? XT_OK : xt_fail(failure, XT_NOT_FOUND, "none of them could be started");
}

static void read_memory(struct xt_peers *peers)
{
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        struct xt_peer *peer = &peers->list[name];
        struct xt_process_memory store = {0};
        if (peer->state != XT_PEER_READY) {
            continue;
        }
        peer->has_memory = xt_process_memory(peer->server.pid, &peer->memory) &&
                           (peer->store.pid == 0 || xt_process_memory(peer->store.pid, &store));
        peer->memory.bytes += store.bytes;
        peer->memory.anonymous_bytes += store.anonymous_bytes;
        peer->memory.file_bytes += store.file_bytes;
        peer->memory.shared_bytes += store.shared_bytes;
    }
}

static enum xt_status run(struct xt_peers *peers, struct xt_failure *failure)
{
    enum xt_status status = choose_user(peers, failure);
    choose_cores(peers);
    if (status == XT_OK) {
        status = xt_peers_open_folder(peers, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_find_software(peers, failure);
    }
    if (status == XT_OK) {
        status = make_certificates(peers, failure);
    }
    if (status == XT_OK) {
        status = make_workloads(peers, failure);
    }
    if (status == XT_OK) {
        status = start_all(peers, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_measure(peers, failure);
    }
    if (status == XT_OK) {
        read_memory(peers);
        xt_peer_look_at_audit(&peers->list[XT_PEER_XACTHUC]);
    }
    return status;
}

static bool all_right(const struct xt_peers *peers)
{
    bool right = true;
    unsigned ready = 0;
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        const struct xt_peer *peer = &peers->list[name];
        right = right && peer->state != XT_PEER_FAILED;
        ready += peer->state == XT_PEER_READY;
        for (unsigned i = 0; i < peer->round_count; i++) {
            right = right && peer->rounds[i].errors == 0 && peer->rounds[i].right > 0;
        }
    }
    return right && ready > 0;
}

static int report(const struct xt_peers *peers)
{
    const struct xt_peers_options *options = peers->options;
    struct xt_failure failure = {""};
    xt_peers_print(peers, stdout);
    enum xt_status status =
        fflush(stdout) == 0 ? XT_OK : xt_fail(&failure, XT_IO, "cannot write the tables");
    if (status == XT_OK && options->markdown != NULL) {
        status = xt_peers_write_markdown(peers, options->markdown, &failure);
    }
    if (status == XT_OK && options->json != NULL) {
        status = xt_peers_write_json(peers, options->json, &failure);
    }
    if (status != XT_OK) {
        (void)fprintf(stderr, "xacthuc-bench peers: %s\n", failure.text);
    }
    return status == XT_OK && all_right(peers) ? XT_EXIT_OK : XT_EXIT_FAILED;
}

int xt_bench_peers(int argc, char **argv)
{
    struct xt_peers_options options;
    struct xt_failure failure = {"the folder's name is too long"};
    int exit_status = xt_peers_options_parse(argc, argv, &options);
    if (exit_status >= 0) {
        return exit_status;
    }
    struct xt_peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL ||
        xt_population_open(options.seed, options.count, &peers->population) != XT_OK) {
        free(peers);
        (void)fputs("xacthuc-bench peers: not enough memory\n", stderr);
        return XT_EXIT_FAILED;
    }
    time_t now = time(NULL);
    struct tm utc;
    (void)strftime(peers->date, sizeof(peers->date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    peers->options = &options;
    xt_machine_read(&peers->machine);
    (void)umask(022); /* the software reads what we write as another user; no secrets among it */
    xt_load_watch_signals();
    double began = xt_clock_s();
    enum xt_status status = run(peers, &failure);
    peers->seconds = xt_clock_s() - began;
    stop_all(peers);
    xt_peers_remove_folder(peers);
    if (status == XT_OK) {
        exit_status = report(peers);
    } else {
        (void)fprintf(stderr, "xacthuc-bench peers: %s\n", failure.text);
        exit_status = XT_EXIT_FAILED;
    }
    xt_workload_free(&peers->verify);
    xt_workload_free(&peers->unchecked);
    xt_workload_free(&peers->compares);
    xt_population_close(peers->population);
    free(peers);
    return exit_status;
}
