/* xacthuc keys: which keys there are and what needs them; new ones; old ones out. */
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/command_line.h"
#include "store/commands.h"
#include "store/keys_internal.h"

#define TAKEN_WAIT_MS 5000 /* a server looks each second, tells its processes and signs */
#define TAKEN_POLL_MS 50

static const char help[] =
    "usage: xacthuc keys list DIR [--json]\n"
    "       xacthuc keys rotate DIR master|audit|tickets|signing|token [--json]\n"
    "       xacthuc keys retire DIR master ID [--json]\n"
    "\n"
    "list    the keys by id, never by their bytes: when they were made and what still needs them\n"
    "rotate  makes a new key, which is the current one from then on. A running server takes it up\n"
    "        within seconds, without a restart and without closing a connection; waits for that\n"
    "          master   seals new generations, audit segments and the live store. What was sealed\n"
    "                   before still opens with the older key, which stays. Keep a copy of\n"
    "                   keys/master.keys apart from the data, before and after\n"
    "          audit    signs the audit log; the one before vouches for it and is destroyed. Give\n"
    "                   auditors the new keys/audit.pub; those who kept an older one can go on\n"
    "          tickets  of TLS sessions; clients that come back make one full handshake\n"
    "          signing  signs answers: the key that was published as the next one; another is the\n"
    "                   next. The last four before stay published, older ones go by themselves\n"
    "          token    signs access tokens, in the same way; the one before stays published "
    "until\n"
    "                   the last of its tokens is over\n"
    "retire  destroys an old master key; refuses while a generation, the live store or the audit\n"
    "        log needs it. Copies of those elsewhere that need it cannot be opened any more\n"
    "\n"
    "  --json, --help, --version\n"
    "\n"
    "Run it as the user that the server runs as. Exit status 1 when it failed, or when a server\n"
    "that runs has not taken the key (its log says why; SIGHUP makes it look again).\n";
/* The files that are read, LMDB's lock among them, would become another user's. */
static enum xt_status check_owner(const char *dir, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct stat facts;
    if (xt_path_join(path, dir, "keys") != XT_OK || stat(path, &facts) != 0) {
        return xt_fail(failure, XT_NOT_FOUND,
                       "%s is no deployment, it has no folder keys: make one with xacthuc init",
                       dir);
    }
    return facts.st_uid == geteuid()
               ? XT_OK
               : xt_fail(failure, XT_DENIED,
                         "%s belongs to another user (uid %u): run this as that", path,
                         (unsigned)facts.st_uid);
}

static const struct xt_key_kind *find_kind(const char *name)
{
    for (size_t i = 0; i < XT_KEYS_KINDS; i++) {
        if (strcmp(xt_key_kinds[i].name, name) == 0) {
            return &xt_key_kinds[i];
        }
    }
    return NULL;
}

/* -1: go on; else the exit code. */
static int parse(struct xt_keys_asked *asked, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            asked->json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("keys", option, argv);
        }
    }
    int count = argc - optind;
    char **words = argv + optind;
    bool list = count > 0 && strcmp(words[0], "list") == 0;
    bool rotate = count > 0 && strcmp(words[0], "rotate") == 0;
    bool out = count > 0 && strcmp(words[0], "retire") == 0;
    if (!list && !rotate && !out) {
        return xt_usage_error("keys", "say what: list, rotate or retire");
    }
    if (count != (list ? 2 : rotate ? 3 : 4)) {
        return xt_usage_error("keys", list     ? "give one deployment"
                                      : rotate ? "give a deployment and a kind of keys"
                                               : "give a deployment, a kind of keys and an id");
    }
    asked->action = words[0];
    asked->dir = words[1];
    asked->kind = list ? NULL : find_kind(words[2]);
    if (!list && asked->kind == NULL) {
        return xt_usage_error("keys", "there are no keys of the kind %s", words[2]);
    }
    if (out && asked->kind != NULL && asked->kind != &xt_key_kinds[XT_KEYS_MASTER]) {
        return asked->kind == &xt_key_kinds[XT_KEYS_SIGNING] ||
                       asked->kind == &xt_key_kinds[XT_KEYS_TOKEN]
                   ? xt_usage_error("keys", "only master keys are retired: such keys of before "
                                            "go by themselves as new ones come")
                   : xt_usage_error("keys",
                                    "only master keys are retired: old %s keys are gone already",
                                    asked->kind->name);
    }
    asked->id = out ? words[3] : NULL;
    return -1;
}

int xt_command_keys(int argc, char **argv)
{
    struct xt_keys_asked asked = {.action = ""};
    struct xt_failure failure = {.text = ""};
    int code = parse(&asked, argc, argv);
    if (code >= 0) {
        return code;
    }
    umask(077);
    if (check_owner(asked.dir, &failure) != XT_OK) {
        return xt_work_error("keys", &failure);
    }
    return strcmp(asked.action, "list") == 0     ? xt_keys_list(&asked)
           : strcmp(asked.action, "rotate") == 0 ? xt_keys_rotate(&asked)
                                                 : xt_keys_retire(&asked);
}
