/* xacthuc itself, as its operator would set it up. */
#include <stdlib.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/peers.h"
#include "bench/requests.h"

#define READY_MS 30000U

/* What serve knows differs by version: one worker where it has several. */
static bool serve_knows(const struct xt_peers *peers, const struct xt_peer *peer,
                        const char *option)
{
    const char *arguments[] = {peers->xacthuc, "serve", "--help", NULL};
    char path[XT_PATH_MAX];
    uint8_t *text = NULL;
    size_t size = 0;
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    if (xt_path_join(path, peer->folder, "serve-help") != XT_OK) {
        return false;
    }
    plan.arguments = arguments;
    plan.log = path;
    bool knows = xt_process_run(&plan, READY_MS, xt_load_interrupted, NULL) == XT_OK &&
                 xt_file_read(path, 1U << 20, &text, &size, NULL) == XT_OK &&
                 strstr((const char *)text, option) != NULL;
    if (text != NULL) {
        xt_file_release(text, size);
    }
    (void)unlink(path);
    return knows;
}

/* All that a person without documents can be asked for. */
static void claims_list(char *text, size_t size)
{
    text[0] = '\0';
    for (unsigned claim = 0; claim < XT_CLAIM_HEALTH_INSURANCE; claim++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ",",
                       xt_claim_name((enum xt_claim)claim));
    }
}

static enum xt_status set_up(struct xt_peers *peers, struct xt_peer *peer, const char *dir,
                             const char *people, struct xt_failure *failure)
{
    char claims[512];
    claims_list(claims, sizeof(claims));
    const char *init[] = {peers->xacthuc, "init", dir, NULL};
    const char *import[] = {peers->xacthuc, "import", dir, people, "--quiet", NULL};
    char issued[XT_PATH_MAX];
    const char *partner[] = {
        peers->xacthuc, "partner",          "add",      dir,    XT_PEERS_PARTNER,
        "--purpose",    XT_REQUEST_PURPOSE, "--claims", claims, "--right",
        "per_claim",    "--issue",          issued,     NULL};
    enum xt_status status = xt_path_join(issued, peer->folder, "issued");
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, init, "init", NULL, failure);
    }
    double began = xt_clock_s();
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, import, "import", NULL, failure);
    }
    peer->load_seconds = xt_clock_s() - began;
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, partner, "partner", NULL, failure);
    }
    return status;
}

enum xt_status xt_peer_start_xacthuc(struct xt_peers *peers, struct xt_peer *peer,
                                     struct xt_failure *failure)
{
    char dir[XT_PATH_MAX];
    char people[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    char listen[32];
    const char *arguments[] = {peers->xacthuc, "serve",       dir,  "--listen", listen,
                               "--admin",      "127.0.0.1:0", NULL, NULL,       NULL};
    enum xt_status status = xt_peers_make_folder(peers, peer, failure);
    if (status == XT_OK) {
        status = xt_path_join(dir, peer->folder, "DIR");
    }
    if (status == XT_OK) {
        status = xt_path_join(people, peer->folder, "people.ndjson");
    }
    if (status == XT_OK) {
        status = xt_peers_write_people(peers, peer, XT_PEERS_NDJSON, "people.ndjson", failure);
    }
    if (status == XT_OK) {
        status = set_up(peers, peer, dir, people, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    (void)unlink(people);
    if (xt_path_join(path, dir, "identity") == XT_OK) {
        peer->disk_bytes = xt_peers_disk_use(path);
    }
    if (serve_knows(peers, peer, "--workers")) {
        arguments[7] = "--workers";
        arguments[8] = "1";
    }
    peer->port = xt_process_free_port();
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", peer->port);
    status = xt_peers_serve(peers, peer, arguments, "serve", SIGTERM, &peer->server, failure);
    if (status == XT_OK) {
        status =
            xt_process_wait_port(&peer->server, peer->port, READY_MS, xt_load_interrupted, failure);
    }
    return status;
}

void xt_peer_look_at_audit(struct xt_peer *peer)
{
    char path[XT_PATH_MAX];
    if (peer->round_count > 0 && xt_path_join(path, peer->folder, "DIR/audit") == XT_OK &&
        xt_peers_disk_use(path) > 0) {
        peer->deeds.audit = "yes";
    }
}
