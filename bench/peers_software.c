/* Which programs and packages are here; installing what is not. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/peers.h"

#define APT_LIMIT_MS 900000U
#define VERSION_LIMIT_MS 10000U

#define LUA_MODULE "/usr/lib/nginx/modules/ngx_http_lua_module.so"
#define SLAPD_MDB "/usr/lib/ldap/back_mdb*.so*"

const struct xt_peer_kind xt_peer_kinds[XT_PEER_COUNT] = {
    [XT_PEER_XACTHUC] = {.name = "xacthuc",
                         .title = "xacthuc",
                         .deeds = {"yes", "yes", "yes", "body, length, time", "yes", "not yet"},
                         .start = xt_peer_start_xacthuc},
    [XT_PEER_NGINX] =
        {.name = "nginx",
         .title = "nginx return 200",
         .note = "always the same body, as long as a mean answer of xacthuc's; looks nothing up",
         .deeds = {"no", "yes", "no", "-", "-", "no"},
         .needs = {{"nginx", "nginx-light"}},
         .unchecked = true,
         .start = xt_peer_start_nginx},
    [XT_PEER_REDIS] =
        {.name = "redis",
         .title = "nginx + Lua + Redis",
         .note = "one packed string a person, names folded by the loader; Redis over a Unix socket "
                 "with a pool of connections, on the same core as nginx; no persistence",
         .deeds = {"yes", "yes", "table in Lua", "body, length; not time", "no", "no"},
         .needs = {{"nginx", "nginx-light"},
                   {LUA_MODULE, "libnginx-mod-http-lua"},
                   {"/usr/lib/*/lua/5.1/cjson.so", "lua-cjson"},
                   {"/usr/share/lua/5.1/nginx/redis.lua", "lua-nginx-redis"},
                   {"redis-server", "redis-server"}},
         .start = xt_peer_start_redis},
    [XT_PEER_POSTGRES] =
        {.name = "postgres",
         .title = "nginx + Lua + PostgreSQL",
         .note = "primary key and an index of old numbers, prepared statements, Unix socket; "
                 "Debian's Lua driver blocks a worker of nginx while it waits, so four share the "
                 "core; names folded by the loader; memory includes shared_buffers as far as used, "
                 "not the kernel's page cache",
         .deeds = {"yes", "yes", "table in Lua", "body, length; not time", "no", "no"},
         .needs = {{"nginx", "nginx-light"},
                   {LUA_MODULE, "libnginx-mod-http-lua"},
                   {"/usr/lib/*/lua/5.1/cjson.so", "lua-cjson"},
                   {"/usr/lib/*/lua/5.1/luasql/postgres.so", "lua-sql-postgres"},
                   {"/usr/lib/postgresql/*/bin/postgres", "postgresql"}},
         .start = xt_peer_start_postgres},
    [XT_PEER_SLAPD] =
        {.name = "slapd",
         .title = "OpenLDAP slapd, LMDB",
         .note = "one compare operation per claim, sent together, verified when all are true; "
                 "numbers resolved and values brought into the register's form by the caller "
                 "beforehand, not counted; only those alive are entries; an unknown number has a "
                 "result code of its own",
         .deeds = {"byte by byte only", "yes", "no", "no", "no", "no"},
         .needs = {{"slapd", "slapd"}, {"slapadd", "slapd"}, {SLAPD_MDB, "slapd"}},
         .ldap = true,
         .start = xt_peer_start_slapd},
};

bool xt_peers_glob(const char *pattern, char path[XT_PATH_MAX])
{
    glob_t found;
    bool any = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
    if (any) {
        const char *last = found.gl_pathv[found.gl_pathc - 1];
        any = strlen(last) < XT_PATH_MAX;
        if (any) {
            memcpy(path, last, strlen(last) + 1);
        }
    }
    globfree(&found);
    return any;
}

static bool is_here(const char *what)
{
    char path[XT_PATH_MAX];
    return what[0] == '/' ? xt_peers_glob(what, path)
                          : xt_process_find(what, path, sizeof(path)) == XT_OK;
}

static bool is_wanted(const struct xt_peers *peers, unsigned name)
{
    return (peers->options->only & 1U << name) != 0;
}

/* Adds a package to a list with spaces between, once. */
static void add_package(char *list, size_t size, const char *package)
{
    size_t length = strlen(package);
    for (const char *at = strstr(list, package); at != NULL; at = strstr(at + 1, package)) {
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return;
        }
    }
    size_t used = strlen(list);
    (void)snprintf(list + used, size - used, "%s%s", used == 0 ? "" : " ", package);
}

static void missing_of(const struct xt_peer_kind *kind, char *list, size_t size)
{
    for (unsigned i = 0; i < XT_PEERS_NEEDS_MAX && kind->needs[i].what != NULL; i++) {
        if (!is_here(kind->needs[i].what)) {
            add_package(list, size, kind->needs[i].package);
        }
    }
}

static void missing_of_all(const struct xt_peers *peers, char *list, size_t size)
{
    list[0] = '\0';
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        if (is_wanted(peers, name)) {
            missing_of(&xt_peer_kinds[name], list, size);
        }
    }
}

/* ---- installing ---- */

/* Debian's way to keep a package from starting its service: a program that says no. */
#define POLICY "/usr/sbin/policy-rc.d"

static enum xt_status forbid_services(bool *made, struct xt_failure *failure)
{
    static const char text[] = "#!/bin/sh\nexit 101\n";
    *made = access(POLICY, F_OK) != 0;
    return *made ? xt_file_write(POLICY, xt_span_of(text, sizeof(text) - 1), 0755, false, failure)
                 : XT_OK;
}

static enum xt_status run_apt(const struct xt_peers *peers, const char *const *arguments,
                              struct xt_failure *failure)
{
    static const char *const quietly[] = {"DEBIAN_FRONTEND=noninteractive", NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    char log[XT_PATH_MAX];
    struct xt_failure why;
    if (xt_path_join(log, peers->folder, "apt.log") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the folder's name is too long");
    }
    plan.arguments = arguments;
    plan.set = quietly;
    plan.log = log;
    enum xt_status status = xt_process_run(&plan, APT_LIMIT_MS, xt_load_interrupted, &why);
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "apt-get %s: %.300s", arguments[1], why.text);
}

static enum xt_status install(const struct xt_peers *peers, char *packages,
                              struct xt_failure *failure)
{
    static const char *const update[] = {"apt-get", "update", NULL};
    const char *arguments[32] = {"apt-get", "install", "-y", "--no-install-recommends"};
    unsigned count = 4;
    bool forbidden = false;
    if (geteuid() != 0) {
        return xt_fail(failure, XT_DENIED,
                       "--install needs root; as root, run: apt-get install "
                       "--no-install-recommends %s",
                       packages);
    }
    if (!peers->options->quiet) {
        (void)fprintf(stderr, "installing %s\n", packages);
    }
    char *rest = NULL;
    char line[512];
    (void)snprintf(line, sizeof(line), "%s", packages);
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < 31;
         word = strtok_r(NULL, " ", &rest)) {
        arguments[count++] = word;
    }
    enum xt_status status = forbid_services(&forbidden, failure);
    if (status == XT_OK) {
        status = run_apt(peers, update, failure);
    }
    if (status == XT_OK) {
        status = run_apt(peers, arguments, failure);
    }
    if (forbidden) {
        (void)unlink(POLICY);
    }
    return status;
}

/* ---- versions ---- */

/* A program's own line without what it says around its name and version. */
static char *essence(char *line)
{
    static const char *const before[] = {"nginx version: ", "@(#) $OpenLDAP: "};
    static const char *const after[] = {" sha=", " (Debian", " (Ubuntu"};
    char *said = line;
    for (unsigned i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        size_t length = strlen(before[i]);
        said += strncmp(said, before[i], length) == 0 ? length : 0;
    }
    for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        char *end = strstr(said, after[i]);
        if (end != NULL) {
            *end = '\0';
        }
    }
    if (strncmp(said, "slapd ", 6) == 0) { /* and when and by whom it was built */
        said[6 + strcspn(said + 6, " ")] = '\0';
    }
    return said;
}

/* The first line that a program says of itself, added to text. */
static void add_version(const struct xt_peers *peers, const char *program, const char *option,
                        char *text, size_t size)
{
    const char *arguments[] = {program, option, NULL};
    struct xt_process_plan plan = XT_PROCESS_PLAN;
    char log[XT_PATH_MAX];
    char line[160] = "";
    if (xt_path_join(log, peers->folder, "version.log") != XT_OK) {
        return;
    }
    (void)unlink(log);
    plan.arguments = arguments;
    plan.log = log;
    /* Some tell it with an exit status that is not 0: what it says is what counts. */
    (void)!xt_process_run(&plan, VERSION_LIMIT_MS, xt_load_interrupted, NULL);
    FILE *file = fopen(log, "re");
    while (file != NULL && line[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    (void)unlink(log);
    const char *said = essence(line);
    size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ", said);
}

static void read_versions(struct xt_peers *peers)
{
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        struct xt_peer *peer = &peers->list[name];
        char path[XT_PATH_MAX];
        if (peer->state != XT_PEER_READY) {
            continue;
        }
        if (name == XT_PEER_XACTHUC) {
            add_version(peers, peers->xacthuc, "--version", peer->version, sizeof(peer->version));
        } else if (name == XT_PEER_SLAPD) {
            add_version(peers, "slapd", "-VV", peer->version, sizeof(peer->version));
        } else {
            add_version(peers, "nginx", "-v", peer->version, sizeof(peer->version));
        }
        if (name == XT_PEER_REDIS) {
            add_version(peers, "redis-server", "--version", peer->version, sizeof(peer->version));
        }
        if (name == XT_PEER_POSTGRES && xt_peers_glob("/usr/lib/postgresql/*/bin/postgres", path)) {
            add_version(peers, path, "--version", peer->version, sizeof(peer->version));
        }
    }
}

/* Beside this program, else in PATH. */
static bool find_xacthuc(struct xt_peers *peers)
{
    char own[XT_PATH_MAX];
    if (peers->options->xacthuc != NULL) {
        char *real = realpath(peers->options->xacthuc, NULL);
        bool fine =
            real != NULL && xt_process_find(real, peers->xacthuc, sizeof(peers->xacthuc)) == XT_OK;
        free(real);
        return fine;
    }
    ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (size > 0) {
        own[size] = '\0';
        char *slash = strrchr(own, '/');
        if (slash != NULL && (size_t)(slash - own) + sizeof("/xacthuc") <= sizeof(own)) {
            memcpy(slash, "/xacthuc", sizeof("/xacthuc"));
            if (xt_process_find(own, peers->xacthuc, sizeof(peers->xacthuc)) == XT_OK) {
                return true;
            }
        }
    }
    return xt_process_find("xacthuc", peers->xacthuc, sizeof(peers->xacthuc)) == XT_OK;
}

enum xt_status xt_peers_find_software(struct xt_peers *peers, struct xt_failure *failure)
{
    char packages[512];
    missing_of_all(peers, packages, sizeof(packages));
    if (packages[0] != '\0' && peers->options->install) {
        enum xt_status status = install(peers, packages, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        struct xt_peer *peer = &peers->list[name];
        peer->kind = &xt_peer_kinds[name];
        peer->deeds = peer->kind->deeds;
        peer->state = is_wanted(peers, name) ? XT_PEER_READY : XT_PEER_LEFT_OUT;
        if (peer->state == XT_PEER_READY) {
            missing_of(peer->kind, peer->why, sizeof(peer->why));
            peer->state = peer->why[0] == '\0' ? XT_PEER_READY : XT_PEER_MISSING;
        }
    }
    struct xt_peer *own = &peers->list[XT_PEER_XACTHUC];
    if (own->state == XT_PEER_READY && !find_xacthuc(peers)) {
        return xt_fail(failure, XT_NOT_FOUND,
                       "there is no xacthuc beside this program or in PATH; give --xacthuc");
    }
    missing_of_all(peers, packages, sizeof(packages));
    if (packages[0] != '\0') {
        (void)fprintf(stderr,
                      "not everything is installed; --install (as root) does it, or:\n"
                      "  apt-get install --no-install-recommends %s\n",
                      packages);
    }
    read_versions(peers);
    return XT_OK;
}
