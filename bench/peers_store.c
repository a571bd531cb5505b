#include "bench/peers_store.h"

#include <stdlib.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/peers_template.h"

#define READY_MS 60000U

static enum xt_status path_in(char path[XT_PATH_MAX], const struct xt_peer *peer, const char *name,
                              struct xt_failure *failure)
{
    return xt_path_join(path, peer->folder, name) == XT_OK
               ? XT_OK
               : xt_fail(failure, XT_TOO_LARGE, "the folder's name is too long");
}

/* ---- Redis ---- */

enum xt_status xt_peers_start_redis(struct xt_peers *peers, struct xt_peer *peer,
                                    const char *socket_path, struct xt_failure *failure)
{
    char configuration[XT_PATH_MAX];
    char people[XT_PATH_MAX];
    const struct xt_peers_value values[] = {
        {"REDIS", socket_path}, {"FOLDER", peer->folder}, {NULL, NULL}};
    const char *server[] = {"redis-server", configuration, NULL};
    const char *load[] = {"redis-cli", "-s", socket_path, "--pipe", NULL};
    enum xt_status status =
        xt_peers_write_people(peers, peer, XT_PEERS_REDIS, "people.resp", failure);
    if (status == XT_OK) {
        status = path_in(configuration, peer, "redis.conf", failure);
    }
    if (status == XT_OK) {
        status = path_in(people, peer, "people.resp", failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write("redis.conf", values, peer->folder, "redis.conf", failure);
    }
    if (status == XT_OK) {
        status = xt_peers_serve(peers, peer, server, "redis", SIGTERM, &peer->store, failure);
    }
    if (status == XT_OK) {
        status =
            xt_process_wait_path(&peer->store, socket_path, READY_MS, xt_load_interrupted, failure);
    }
    double began = xt_clock_s();
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, load, "load", people, failure);
    }
    peer->load_seconds = xt_clock_s() - began;
    (void)unlink(people);
    return status;
}

/* ---- PostgreSQL ---- */

/* As the server's programs are rarely in PATH, and another one of the name may be. */
static enum xt_status find_program(const char *name, char path[XT_PATH_MAX],
                                   struct xt_failure *failure)
{
    char pattern[128];
    (void)snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    return xt_peers_glob(pattern, path)
               ? XT_OK
               : xt_fail(failure, XT_NOT_FOUND, "there is no %s; install postgresql", pattern);
}

static enum xt_status make_cluster(struct xt_peers *peers, struct xt_peer *peer, const char *data,
                                   struct xt_failure *failure)
{
    char initdb[XT_PATH_MAX];
    char buffers[16];
    /* Room for the table and its indexes, some 250 bytes a person. */
    (void)snprintf(buffers, sizeof(buffers), "%llu",
                   128ULL + (unsigned long long)(peers->options->count * 400 >> 20));
    const struct xt_peers_value values[] = {{"FOLDER", peer->folder},
                                            {"POSTGRES_PORT", XT_PEERS_POSTGRES_PORT},
                                            {"SHARED_BUFFERS", buffers},
                                            {NULL, NULL}};
    const char *arguments[] = {initdb,  "-D",        data, "-U",   "people",     "-A",
                               "trust", "--no-sync", "-E", "UTF8", "--locale=C", NULL};
    enum xt_status status = find_program("initdb", initdb, failure);
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, arguments, "initdb", NULL, failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write("postgresql.conf", values, data, "postgresql.conf", failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write("schema.sql", values, peer->folder, "schema.sql", failure);
    }
    return status;
}

/* people.tsv and aliases.tsv are read by the server itself. */
static enum xt_status load_tables(struct xt_peers *peers, struct xt_peer *peer,
                                  struct xt_failure *failure)
{
    char psql[XT_PATH_MAX];
    char schema[XT_PATH_MAX];
    const char *create[] = {psql,     "-h", peer->folder, "-p", XT_PEERS_POSTGRES_PORT,   "-U",
                            "people", "-d", "postgres",   "-c", "CREATE DATABASE people", NULL};
    const char *load[] = {psql, "-X",     "-h", peer->folder, "-p", XT_PEERS_POSTGRES_PORT,
                          "-U", "people", "-d", "people",     "-v", "ON_ERROR_STOP=1",
                          "-f", schema,   NULL};
    enum xt_status status = find_program("psql", psql, failure);
    if (status == XT_OK) {
        status = path_in(schema, peer, "schema.sql", failure);
    }
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, create, "create", NULL, failure);
    }
    double began = xt_clock_s();
    if (status == XT_OK) {
        status = xt_peers_command(peers, peer, load, "load", NULL, failure);
    }
    peer->load_seconds = xt_clock_s() - began;
    return status;
}

/* It accepts connections before it answers them. */
static enum xt_status wait_until_ready(struct xt_peers *peers, struct xt_peer *peer,
                                       const char *socket_path, struct xt_failure *failure)
{
    char pg_isready[XT_PATH_MAX];
    const char *arguments[] = {pg_isready, "-q", "-h", peer->folder, "-p", XT_PEERS_POSTGRES_PORT,
                               NULL};
    enum xt_status status = find_program("pg_isready", pg_isready, failure);
    double until = xt_clock_s() + READY_MS / 1000.0;
    if (status == XT_OK) {
        status =
            xt_process_wait_path(&peer->store, socket_path, READY_MS, xt_load_interrupted, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    do {
        status = xt_peers_command(peers, peer, arguments, "ready", NULL, failure);
    } while (status == XT_IO && xt_process_runs(&peer->store) && xt_clock_s() < until);
    return status;
}

static void remove_files(const struct xt_peer *peer)
{
    static const char *const names[] = {"people.tsv", "aliases.tsv"};
    char path[XT_PATH_MAX];
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (xt_path_join(path, peer->folder, names[i]) == XT_OK) {
            (void)unlink(path);
        }
    }
}

enum xt_status xt_peers_start_postgres(struct xt_peers *peers, struct xt_peer *peer,
                                       struct xt_failure *failure)
{
    char program[XT_PATH_MAX];
    char data[XT_PATH_MAX];
    char socket_path[XT_PATH_MAX];
    const char *server[] = {program, "-D", data, NULL};
    enum xt_status status =
        xt_peers_write_people(peers, peer, XT_PEERS_TABLE, "people.tsv", failure);
    if (status == XT_OK) {
        status = xt_peers_write_people(peers, peer, XT_PEERS_ALIASES, "aliases.tsv", failure);
    }
    if (status == XT_OK) {
        status = find_program("postgres", program, failure);
    }
    if (status == XT_OK) {
        status = path_in(data, peer, "data", failure);
    }
    if (status == XT_OK) {
        status = path_in(socket_path, peer, ".s.PGSQL." XT_PEERS_POSTGRES_PORT, failure);
    }
    if (status == XT_OK) {
        status = make_cluster(peers, peer, data, failure);
    }
    if (status == XT_OK) { /* SIGINT: do not wait for those connected */
        status = xt_peers_serve(peers, peer, server, "postgres", SIGINT, &peer->store, failure);
    }
    if (status == XT_OK) {
        status = wait_until_ready(peers, peer, socket_path, failure);
    }
    if (status == XT_OK) {
        status = load_tables(peers, peer, failure);
    }
    remove_files(peer);
    if (status == XT_OK && xt_path_join(socket_path, data, "base") == XT_OK) {
        peer->disk_bytes = xt_peers_disk_use(socket_path);
    }
    return status;
}
