/* nginx: alone, and with Lua before Redis and PostgreSQL. */
#include <stdlib.h>
#include <unistd.h>

#include "bench/peers.h"
#include "bench/peers_store.h"
#include "bench/peers_template.h"

#define READY_MS 30000U

/* How many workers: PostgreSQL's driver blocks them. */
#define LUA_WORKERS "1"
#define BLOCKING_WORKERS "4"

#define LOAD_LUA                                                                                   \
    "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n"                                     \
    "load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"
#define LUA_LOCATION "content_by_lua_block { require(\"store\")() }"

static enum xt_status make_subfolder(const struct xt_peers *peers, const struct xt_peer *peer,
                                     const char *name, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_path_join(path, peer->folder, name);
    if (status == XT_OK) {
        status = xt_folder_make(path, 0700, failure);
    }
    return status == XT_OK ? xt_peers_hand_over(peers, path, failure) : status;
}

static enum xt_status start_nginx(struct xt_peers *peers, struct xt_peer *peer, const char *modules,
                                  const char *workers, const char *http, const char *location,
                                  struct xt_failure *failure)
{
    static const char *const folders[] = {"body", "proxy", "fastcgi", "uwsgi", "scgi"};
    char port[16];
    char path[XT_PATH_MAX];
    peer->port = xt_process_free_port();
    (void)snprintf(port, sizeof(port), "%u", peer->port);
    const struct xt_peers_value values[] = {
        {"MODULES", modules}, {"WORKERS", workers}, {"FOLDER", peer->folder}, {"HTTP", http},
        {"PORT", port},       {"TLS", peers->tls},  {"LOCATION", location},   {NULL, NULL}};
    enum xt_status status = XT_OK;
    for (unsigned i = 0; status == XT_OK && i < sizeof(folders) / sizeof(folders[0]); i++) {
        status = make_subfolder(peers, peer, folders[i], failure);
    }
    if (status == XT_OK) {
        status = xt_peers_write("nginx.conf", values, peer->folder, "nginx.conf", failure);
    }
    if (status == XT_OK) {
        status = xt_path_join(path, peer->folder, "nginx.conf");
    }
    if (status != XT_OK) {
        return status;
    }
    const char *arguments[] = {"nginx", "-p", peer->folder, "-c", path, "-e", "stderr", NULL};
    status = xt_peers_serve(peers, peer, arguments, "nginx", SIGTERM, &peer->server, failure);
    if (status == XT_OK) {
        status =
            xt_process_wait_port(&peer->server, peer->port, READY_MS, xt_load_interrupted, failure);
    }
    return status;
}

enum xt_status xt_peer_start_nginx(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure)
{
    static const char front[] = "return 200 '{\"fill\":\"";
    static const char back[] = "\"}';";
    char location[2048];
    /* The body is what stands between the quotes. */
    size_t fill = peers->answer_size - strlen("{\"fill\":\"\"}");
    xt_require(peers->answer_size > 32 && fill + sizeof(front) + sizeof(back) < sizeof(location));
    size_t size = sizeof(front) - 1;
    memcpy(location, front, size);
    memset(location + size, 'x', fill);
    memcpy(location + size + fill, back, sizeof(back));
    enum xt_status status = xt_peers_make_folder(peers, peer, failure);
    if (status == XT_OK) {
        status = start_nginx(peers, peer, "", LUA_WORKERS, "", location, failure);
    }
    return status;
}

/* nginx with match.lua and the store's Lua. values: of that. */
static enum xt_status start_lua(struct xt_peers *peers, struct xt_peer *peer, const char *store,
                                const char *workers, const struct xt_peers_value *values,
                                struct xt_failure *failure)
{
    char http[XT_PATH_MAX + 256];
    (void)snprintf(http, sizeof(http),
                   "lua_package_path '%s/?.lua;/usr/share/lua/5.1/?.lua;;';\n"
                   "    init_by_lua_block { require \"match\" }",
                   peer->folder);
    enum xt_status status = xt_peers_write("match.lua", values, peer->folder, "match.lua", failure);
    if (status == XT_OK) {
        status = xt_peers_write(store, values, peer->folder, "store.lua", failure);
    }
    if (status == XT_OK) {
        status = start_nginx(peers, peer, LOAD_LUA, workers, http, LUA_LOCATION, failure);
    }
    return status;
}

enum xt_status xt_peer_start_redis(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure)
{
    char socket_path[XT_PATH_MAX];
    enum xt_status status = xt_peers_make_folder(peers, peer, failure);
    if (status == XT_OK) {
        status = xt_path_join(socket_path, peer->folder, "redis.sock");
    }
    if (status == XT_OK) {
        status = xt_peers_start_redis(peers, peer, socket_path, failure);
    }
    const struct xt_peers_value values[] = {{"REDIS", socket_path}, {NULL, NULL}};
    return status == XT_OK ? start_lua(peers, peer, "redis.lua", LUA_WORKERS, values, failure)
                           : status;
}

enum xt_status xt_peer_start_postgres(struct xt_peers *peers, struct xt_peer *peer,
                                      struct xt_failure *failure)
{
    enum xt_status status = xt_peers_make_folder(peers, peer, failure);
    if (status == XT_OK) {
        status = xt_peers_start_postgres(peers, peer, failure);
    }
    const struct xt_peers_value values[] = {
        {"POSTGRES", peer->folder}, {"POSTGRES_PORT", XT_PEERS_POSTGRES_PORT}, {NULL, NULL}};
    return status == XT_OK
               ? start_lua(peers, peer, "postgres.lua", BLOCKING_WORKERS, values, failure)
               : status;
}
