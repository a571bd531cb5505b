/* The folder that a run works in, and the programs that run in it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/peers.h"

#define COMMAND_LIMIT_MS 1200000U /* loading a million people takes some two minutes at worst */
#define FOLDER_MAX 64U            /* of the folder's path: Unix sockets in it have 107 bytes */

/* ---- folders and files ---- */

/* What xacthuc has sealed is read-only, folders as well. */
static int open_up(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)where;
    if (type == FTW_D || type == FTW_DNR) {
        (void)chmod(path, 0700);
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)where;
    (void)!(type == FTW_DP ? rmdir(path) : unlink(path)); /* what can go goes */
    return 0;
}

static void remove_tree(const char *folder)
{
    (void)nftw(folder, open_up, 16, FTW_PHYS | FTW_MOUNT);
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static uint64_t counted_bytes;

static int count_one(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)path;
    (void)where;
    counted_bytes += type == FTW_F ? (uint64_t)facts->st_blocks * 512 : 0;
    return 0;
}

uint64_t xt_peers_disk_use(const char *folder)
{
    counted_bytes = 0;
    (void)nftw(folder, count_one, 16, FTW_PHYS);
    return counted_bytes;
}

enum xt_status xt_peers_hand_over(const struct xt_peers *peers, const char *path,
                                  struct xt_failure *failure)
{
    return peers->user == 0 || lchown(path, peers->user, peers->group) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot hand over %s: %s", path, strerror(errno));
}

static bool is_own(const struct xt_peer *peer)
{
    return peer->kind == &xt_peer_kinds[XT_PEER_XACTHUC];
}

enum xt_status xt_peers_make_folder(const struct xt_peers *peers, struct xt_peer *peer,
                                    struct xt_failure *failure)
{
    enum xt_status status = xt_path_join(peer->folder, peers->folder, peer->kind->name);
    if (status == XT_OK) {
        status = xt_folder_make(peer->folder, 0755, failure);
    }
    return status == XT_OK && !is_own(peer) ? xt_peers_hand_over(peers, peer->folder, failure)
                                            : status;
}

enum xt_status xt_peers_write_people(const struct xt_peers *peers, struct xt_peer *peer,
                                     enum xt_peers_form form, const char *name,
                                     struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_path_join(path, peer->folder, name);
    return status == XT_OK
               ? xt_peers_people_write(peers->population, form, path, peers->options->quiet,
                                       xt_load_interrupted, failure)
               : status;
}

/* The folder of the whole: absolute, short, and without a character that a configuration would have to
 * quote. */
static enum xt_status check_folder(const char *path, struct xt_failure *failure)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    return path[0] == '/' && strlen(path) <= FOLDER_MAX && strspn(path, plain) == strlen(path)
               ? XT_OK
               : xt_fail(failure, XT_INVALID,
                         "%.200s will not do: sockets and configurations need a path of letters, "
                         "digits and . _ - of at most %u characters",
                         path, FOLDER_MAX);
}

static enum xt_status keep_folder(struct xt_peers *peers, struct xt_failure *failure)
{
    const char *keep = peers->options->keep;
    bool made = mkdir(keep, 0755) == 0;
    if (!made && (errno != EEXIST || rmdir(keep) != 0 || mkdir(keep, 0755) != 0)) {
        return xt_fail(failure, XT_EXISTS, "--keep %.200s: %s; give a new or empty folder", keep,
                       strerror(errno));
    }
    char *whole = realpath(keep, NULL);
    if (whole == NULL) {
        return xt_fail(failure, XT_IO, "--keep %.200s: %s", keep, strerror(errno));
    }
    (void)snprintf(peers->folder, sizeof(peers->folder), "%s", whole);
    free(whole);
    enum xt_status status = check_folder(peers->folder, failure);
    if (status != XT_OK) {
        (void)rmdir(keep);
    }
    return status;
}

enum xt_status xt_peers_open_folder(struct xt_peers *peers, struct xt_failure *failure)
{
    if (peers->options->keep != NULL) {
        return keep_folder(peers, failure);
    }
    const char *where = getenv("TMPDIR");
    (void)snprintf(peers->folder, sizeof(peers->folder), "%s/xacthuc-peers-XXXXXX",
                   where != NULL && where[0] == '/' ? where : "/tmp");
    enum xt_status status = check_folder(peers->folder, failure);
    if (status != XT_OK) {
        return status;
    }
    if (mkdtemp(peers->folder) == NULL) {
        return xt_fail(failure, XT_IO, "cannot make %s: %s", peers->folder, strerror(errno));
    }
    peers->made_folder = true;
    return chmod(peers->folder, 0755) == 0
               ? XT_OK
               : xt_fail(failure, XT_IO, "%s: %s", peers->folder, strerror(errno));
}

void xt_peers_remove_folder(const struct xt_peers *peers)
{
    if (!peers->made_folder) {
        return;
    }
    remove_tree(peers->folder);
    if (access(peers->folder, F_OK) == 0) {
        (void)fprintf(stderr, "cannot remove all of %s\n", peers->folder);
    }
}

/* ---- programs ---- */

static enum xt_status plan_of(const struct xt_peers *peers, const struct xt_peer *peer,
                              const char *const *arguments, const char *as, char log[XT_PATH_MAX],
                              struct xt_process_plan *plan)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.log", as);
    *plan = (struct xt_process_plan)XT_PROCESS_PLAN;
    plan->arguments = arguments;
    plan->log = log;
    plan->folder = peer->folder;
    plan->user = is_own(peer) ? 0 : peers->user;
    plan->group = peers->group;
    return xt_path_join(log, peer->folder, name);
}

enum xt_status xt_peers_command(const struct xt_peers *peers, const struct xt_peer *peer,
                                const char *const *arguments, const char *as, const char *input,
                                struct xt_failure *failure)
{
    char log[XT_PATH_MAX];
    struct xt_process_plan plan;
    struct xt_failure why = {""};
    enum xt_status status = plan_of(peers, peer, arguments, as, log, &plan);
    if (status == XT_OK && input != NULL) {
        plan.input = open(input, O_RDONLY | O_CLOEXEC);
        if (plan.input < 0) {
            return xt_fail(failure, XT_IO, "cannot read %s: %s", input, strerror(errno));
        }
    }
    if (status == XT_OK) {
        status = xt_process_run(&plan, COMMAND_LIMIT_MS, xt_load_interrupted, &why);
    }
    if (plan.input >= 0) {
        (void)close(plan.input);
    }
    return status == XT_OK ? XT_OK : xt_fail(failure, status, "%s: %.400s", as, why.text);
}

static void note_command(struct xt_peer *peer, const char *const *arguments)
{
    for (unsigned i = 0; arguments[i] != NULL; i++) {
        size_t used = strlen(peer->command);
        (void)snprintf(peer->command + used, sizeof(peer->command) - used, "%s%s",
                       used == 0 ? ""
                       : i == 0  ? " & "
                                 : " ",
                       arguments[i]);
    }
}

enum xt_status xt_peers_serve(const struct xt_peers *peers, struct xt_peer *peer,
                              const char *const *arguments, const char *as, int end_signal,
                              struct xt_process *process, struct xt_failure *failure)
{
    char log[XT_PATH_MAX];
    struct xt_process_plan plan;
    enum xt_status status = plan_of(peers, peer, arguments, as, log, &plan);
    plan.core = peers->server_core;
    plan.end_signal = end_signal;
    note_command(peer, arguments);
    return status == XT_OK ? xt_process_start(&plan, process, failure) : status;
}
