/* The result file of `xacthuc-bench peers`: "format":"xacthuc-peers/1".
 *   configuration  what was asked for
 *   machine        as in the files of `load`
 *   peers          [{name,title,state,did,...}]: state "measured", "missing" (with the packages),
 *                  "failed" (with the reason) or "left_out"; measured ones have
 *                  rounds [{requests_per_s,cpu_us_per_request,p50_us,...}], the same as medians, and
 *                  ratio: xacthuc's by theirs, round by round, as median, least and most
 */
#include "bench/peers.h"
#include "bench/print.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum xt_status tried = (call);                                                             \
        if (tried != XT_OK) {                                                                      \
            return tried;                                                                          \
        }                                                                                          \
    } while (0)

struct json {
    struct xt_output *output;
    struct xt_failure *failure;
};

static enum xt_status member(const struct json *json, const char *before, const char *name,
                             const char *text)
{
    TRY(xt_print(json->output, json->failure, "%s\"%s\":", before, name));
    return xt_print_string(json->output, json->failure, text);
}

static enum xt_status write_top(const struct json *json, const struct xt_peers *peers)
{
    const struct xt_peers_options *options = peers->options;
    const struct xt_machine *machine = &peers->machine;
    TRY(xt_print(json->output, json->failure,
                 "{\"format\":\"xacthuc-peers/1\",\"version\":\"" XT_VERSION
                 "\",\"began\":\"%s\",\"took_s\":%.1f,\n\"configuration\":{\"count\":%llu,"
                 "\"seed\":%llu,\"rounds\":%u,\"seconds\":%u,\"connections\":%u,\"requests\":%u,"
                 "\"server_core\":%d,\"client_core\":%d},\n",
                 peers->date, peers->seconds, (unsigned long long)options->count,
                 (unsigned long long)options->seed, options->rounds, options->seconds,
                 XT_PEERS_CONNECTIONS, peers->requests, peers->server_core, peers->client_core));
    TRY(member(json, "\"machine\":{", "processor", machine->processor));
    TRY(member(json, ",", "kernel", machine->kernel));
    TRY(member(json, ",", "architecture", machine->architecture));
    return xt_print(json->output, json->failure,
                    ",\"cores\":%u,\"memory_bytes\":%llu,\"load_average\":%.2f},\n\"peers\":[",
                    machine->cores, (unsigned long long)machine->memory_bytes,
                    machine->load_average);
}

static enum xt_status write_round(const struct json *json, const struct xt_peer_round *round,
                                  const char *before)
{
    return xt_print(json->output, json->failure,
                    "%s\n   {\"requests_per_s\":%.1f,\"cpu_us_per_request\":%.2f,"
                    "\"client_core_share\":%.3f,\"open_requests_per_s\":%.0f,\"p50_us\":%u,"
                    "\"p99_us\":%u,\"p99.9_us\":%u,\"right\":%llu,\"errors\":%llu}",
                    before, round->rate, round->cpu_us, round->client_share, round->open_rate,
                    round->p50, round->p99, round->p999, (unsigned long long)round->right,
                    (unsigned long long)round->errors);
}

static enum xt_status write_ratio(const struct json *json, const struct xt_peers *peers,
                                  const struct xt_peer *peer, enum xt_peer_value value,
                                  const char *before, const char *name)
{
    struct xt_peer_middle ratio;
    if (!xt_peer_ratio(peers, peer, value, &ratio)) {
        return xt_print(json->output, json->failure, "%s\"%s\":null", before, name);
    }
    return xt_print(json->output, json->failure,
                    "%s\"%s\":{\"median\":%.4f,\"least\":%.4f,\"most\":%.4f}", before, name,
                    ratio.median, ratio.least, ratio.most);
}

static enum xt_status write_memory(const struct json *json, const struct xt_peer *peer)
{
    const struct xt_process_memory *memory = &peer->memory;
    if (!peer->has_memory) {
        return xt_print(json->output, json->failure, ",\"memory_bytes\":null");
    }
    return xt_print(json->output, json->failure,
                    ",\"memory_bytes\":%llu,\"memory_anonymous_bytes\":%llu,"
                    "\"memory_file_bytes\":%llu,\"memory_shared_bytes\":%llu",
                    (unsigned long long)memory->bytes, (unsigned long long)memory->anonymous_bytes,
                    (unsigned long long)memory->file_bytes,
                    (unsigned long long)memory->shared_bytes);
}

static enum xt_status write_medians(const struct json *json, const struct xt_peer *peer)
{
    return xt_print(
        json->output, json->failure,
        ",\n  \"median\":{\"requests_per_s\":%.1f,\"cpu_us_per_request\":%.2f,"
        "\"p50_us\":%.0f,\"p99_us\":%.0f,\"p99.9_us\":%.0f},\n  \"rounds\":[",
        xt_peer_middle(peer, XT_PEER_RATE).median, xt_peer_middle(peer, XT_PEER_CPU).median,
        xt_peer_middle(peer, XT_PEER_P50).median, xt_peer_middle(peer, XT_PEER_P99).median,
        xt_peer_middle(peer, XT_PEER_P999).median);
}

static enum xt_status write_measured(const struct json *json, const struct xt_peers *peers,
                                     const struct xt_peer *peer)
{
    TRY(member(json, ",\n  ", "versions", peer->version));
    TRY(member(json, ",", "command", peer->command));
    TRY(xt_print(json->output, json->failure,
                 ",\n  \"answers_checked\":%s,\"right_share\":%.8f,\"load_s\":%.2f,"
                 "\"disk_bytes\":%llu",
                 peer->kind->unchecked ? "false" : "true", xt_peer_right_share(peer),
                 peer->load_seconds, (unsigned long long)peer->disk_bytes));
    TRY(write_memory(json, peer));
    TRY(write_medians(json, peer));
    for (unsigned i = 0; i < peer->round_count; i++) {
        TRY(write_round(json, &peer->rounds[i], i == 0 ? "" : ","));
    }
    TRY(write_ratio(json, peers, peer, XT_PEER_RATE, "],\n  \"ratio\":{", "requests_per_s"));
    TRY(write_ratio(json, peers, peer, XT_PEER_CPU, ",", "cpu_us_per_request"));
    TRY(write_ratio(json, peers, peer, XT_PEER_P99, ",", "p99_us"));
    TRY(write_ratio(json, peers, peer, XT_PEER_P999, ",", "p99.9_us"));
    return xt_print(json->output, json->failure, "}");
}

static enum xt_status write_peer(const struct json *json, const struct xt_peers *peers,
                                 const struct xt_peer *peer, const char *before)
{
    static const char *const states[] = {"left_out", "missing", "failed", "measured"};
    TRY(xt_print(json->output, json->failure, "%s\n {", before));
    TRY(member(json, "", "name", peer->kind->name));
    TRY(member(json, ",", "title", peer->kind->title));
    TRY(member(json, ",", "state", states[peer->state]));
    if (peer->state == XT_PEER_MISSING || peer->state == XT_PEER_FAILED) {
        TRY(member(json, ",", peer->state == XT_PEER_MISSING ? "packages" : "reason", peer->why));
    }
    TRY(member(json, ",\n  \"did\":{", "match", peer->deeds.match));
    TRY(member(json, ",", "mutual_tls", peer->deeds.mutual_tls));
    TRY(member(json, ",", "policy", peer->deeds.policy));
    TRY(member(json, ",", "uniform_answers", peer->deeds.uniform));
    TRY(member(json, ",", "sealed_at_rest", peer->deeds.sealed));
    TRY(member(json, ",", "audit", peer->deeds.audit));
    TRY(xt_print(json->output, json->failure, "}"));
    if (peer->kind->note != NULL) {
        TRY(member(json, ",", "note", peer->kind->note));
    }
    if (peer->state == XT_PEER_READY && peer->round_count > 0) {
        TRY(write_measured(json, peers, peer));
    }
    return xt_print(json->output, json->failure, "}");
}

static enum xt_status write_all(const struct json *json, const struct xt_peers *peers)
{
    TRY(write_top(json, peers));
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        TRY(write_peer(json, peers, &peers->list[name], name == 0 ? "" : ","));
    }
    TRY(xt_print(json->output, json->failure, "\n]}\n"));
    return xt_output_commit(json->output, json->failure);
}

enum xt_status xt_peers_write_json(const struct xt_peers *peers, const char *path,
                                   struct xt_failure *failure)
{
    struct xt_output output;
    enum xt_status status = xt_output_open(&output, path, failure);
    if (status == XT_OK) {
        const struct json json = {&output, failure};
        status = write_all(&json, peers);
        xt_output_close(&output);
    }
    return status;
}
