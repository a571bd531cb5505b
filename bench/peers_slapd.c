/* OpenLDAP's slapd on its LMDB backend. */
#include <stdlib.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/peers.h"
#include "bench/peers_template.h"

#define READY_MS 60000U
#define MODULES "/usr/lib/ldap"

/* Address space for the map: some 1.5 KiB an entry, and room. */
static uint64_t map_size(uint64_t count)
{
    return (1ULL << 30) + count * 8192;
}

static enum xt_status configure(struct xt_peers *peers, struct xt_peer *peer,
                                struct xt_failure *failure)
{
    char data[XT_PATH_MAX];
    char map[32];
    (void)snprintf(map, sizeof(map), "%llu", (unsigned long long)map_size(peers->options->count));
    const struct xt_peers_value values[] = {{"FOLDER", peer->folder},
                                            {"TLS", peers->tls},
                                            {"LDAP_MODULES", MODULES},
                                            {"LDAP_MAP", map},
                                            {NULL, NULL}};
    enum xt_status status = xt_path_join(data, peer->folder, "data");
    if (status == XT_OK) {
        status = xt_folder_make(data, 0700, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_hand_over(peers, data, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write("slapd.conf", values, peer->folder, "slapd.conf", failure);
    }
    return status;
}

enum xt_status xt_peer_start_slapd(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure)
{
    char configuration[XT_PATH_MAX];
    char people[XT_PATH_MAX];
    char url[64];
    const char *load[] = {"slapadd", "-q", "-f", configuration, "-l", people, NULL};
    const char *server[] = {"slapd", "-d", "0", "-f", configuration, "-h", url, NULL};
    enum xt_status status = xt_peers_make_folder(peers, peer, failure);
    if (status == XT_OK) {
        status = xt_path_join(configuration, peer->folder, "slapd.conf");
    }
    if (status == XT_OK) {
        status = xt_path_join(people, peer->folder, "people.ldif");
    }
    if (status == XT_OK) {
        status = configure(peers, peer, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write_people(peers, peer, XT_PEERS_LDIF, "people.ldif", failure);
    }
    double began = xt_clock_s();
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, load, "slapadd", NULL, failure);
    }
    peer->load_seconds = xt_clock_s() - began;
    (void)unlink(people);
    if (status != XT_OK) {
        return status;
    }
    if (xt_path_join(people, peer->folder, "data") == XT_OK) {
        peer->disk_bytes = xt_peers_disk_use(people);
    }
    peer->port = xt_process_free_port();
    (void)snprintf(url, sizeof(url), "ldaps://127.0.0.1:%u/", peer->port);
    status = xt_peers_serve(peers, peer, server, "slapd", SIGTERM, &peer->server, failure);
    if (status == XT_OK) {
        status =
            xt_process_wait_port(&peer->server, peer->port, READY_MS, xt_load_interrupted, failure);
    }
    return status;
}
