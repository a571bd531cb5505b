/* xacthuc keys: which keys there are and what needs them; new ones; old ones out. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/audit_key.h"
#include "crypto/credential.h"
#include "crypto/keys_folder.h"
#include "crypto/tickets.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/identity.h"
#include "store/keys_taken.h"
#include "store/keys_use.h"

#define TAKEN_WAIT_MS 5000 /* a server looks each second, tells its processes and signs */
#define TAKEN_POLL_MS 50

static const char help[] =
    "usage: xacthuc keys list DIR [--json]\n"
    "       xacthuc keys rotate DIR master|audit|tickets [--json]\n"
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
    "retire  destroys an old master key; refuses while a generation, the live store or the audit\n"
    "        log needs it. Copies of those elsewhere that need it cannot be opened any more\n"
    "\n"
    "  --json, --help, --version\n"
    "\n"
    "Run it as the user that the server runs as. Exit status 1 when it failed, or when a server\n"
    "that runs has not taken the key (its log says why; SIGHUP makes it look again).\n";

struct asked {
    const char *action, *dir, *id;
    const struct kind *kind;
    bool json;
};

/* ---- kinds ------------------------------------------------------------------------------------ */

/* One key as it is told. */
struct row {
    const char *kind;
    uint32_t id; /* 0: it has none */
    const char *made;
    bool current;
    const struct xt_key_use_count *use; /* of a master key */
    uint32_t vouched_by;                /* of an audit key; 0: nobody */
};

struct printer {
    bool json;
    unsigned rows;
};

static void print_row(struct printer *printer, const struct row *row);

/* A further kind of keys is a line in `kinds` and these three. */
struct kind {
    const char *name;
    const char *file; /* in DIR/keys */
    enum xt_status (*list)(const char *dir, struct printer *printer, struct xt_failure *failure);
    enum xt_status (*rotate)(const char *dir, uint32_t *id, struct xt_failure *failure);
    /* Whether the server that runs has it in force. */
    bool (*is_taken)(const char *dir, uint32_t id, const struct xt_keys_taken *taken);
};

/* -- master -- */

static enum xt_status list_master(const char *dir, struct printer *printer,
                                  struct xt_failure *failure)
{
    struct xt_keyring *keyring = NULL;
    struct xt_keys_use use = {.count = 0};
    enum xt_status status = xt_deployment_keyring(dir, &keyring, failure);
    if (status == XT_OK) {
        status = xt_keys_use_read(dir, keyring, &use, failure);
    }
    for (size_t i = 0; status == XT_OK && i < use.count; i++) {
        char made[XT_KEY_TIME + 1] = "";
        bool here = i < xt_keyring_count(keyring);
        if (here) {
            (void)xt_keyring_at(keyring, i, made);
        }
        struct row row = {.kind = "master",
                          .id = use.keys[i].id,
                          .made = here ? made : "missing",
                          .current = use.keys[i].id == xt_keyring_current(keyring),
                          .use = &use.keys[i]};
        print_row(printer, &row);
    }
    xt_keys_use_free(&use);
    xt_keyring_close(keyring);
    return status;
}

static enum xt_status rotate_master(const char *dir, uint32_t *id, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_key_path(dir, "master.keys", path, failure);
    return status == XT_OK ? xt_keyring_add(path, id, failure) : status;
}

static bool master_is_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    (void)dir;
    return taken->master == id;
}

/* -- audit -- */

static enum xt_status open_audit_public(const char *dir, struct xt_audit_public **keys,
                                        struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_key_path(dir, "audit.pub", path, failure);
    return status == XT_OK ? xt_audit_public_open(path, keys, failure) : status;
}

static enum xt_status list_audit(const char *dir, struct printer *printer,
                                 struct xt_failure *failure)
{
    struct xt_audit_public *keys = NULL;
    enum xt_status status = open_audit_public(dir, &keys, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    size_t count = xt_audit_public_count(keys);
    for (size_t i = 0; i < count; i++) {
        char made[XT_AUDIT_KEY_TIME + 1];
        struct row row = {.kind = "audit", .made = made, .current = i + 1 == count};
        row.id = xt_audit_public_at(keys, i, made, &row.vouched_by);
        print_row(printer, &row);
    }
    xt_audit_public_close(keys);
    return XT_OK;
}

/* The head is signed anew with every checkpoint. */
static bool audit_is_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    char path[XT_PATH_MAX];
    struct xt_audit_public *keys = NULL;
    struct xt_audit_head head = {.key_id = 0};
    (void)taken;
    if (xt_path_join(path, dir, "audit/head") != XT_OK ||
        open_audit_public(dir, &keys, NULL) != XT_OK) {
        return false;
    }
    bool read = xt_audit_head_read(path, keys, &head, NULL) == XT_OK;
    xt_audit_public_close(keys);
    return read && head.key_id == id;
}

/* -- tickets -- */

static enum xt_status list_tickets(const char *dir, struct printer *printer,
                                   struct xt_failure *failure)
{
    struct xt_ticket_order order;
    enum xt_status status = xt_ticket_order_read(dir, &order, failure);
    struct row row = {.kind = "tickets", .id = order.id, .made = order.made, .current = true};
    if (status == XT_OK) {
        print_row(printer, &row);
    }
    return status;
}

static bool tickets_are_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    (void)dir;
    return taken->tickets == id;
}

static const struct kind kinds[] = {
    {"master", "master.keys", list_master, rotate_master, master_is_taken},
    {"audit", "audit.key", list_audit, xt_audit_key_rotate, audit_is_taken},
    {"tickets", "tickets", list_tickets, xt_ticket_order_write, tickets_are_taken},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* ---- telling ---------------------------------------------------------------------------------- */

static void print_use_json(const struct xt_key_use_count *use)
{
    printf("\"generations\":%u,\"first_generation\":%u,\"last_generation\":%u,"
           "\"live_store\":%s,\"quota_days\":%u,\"audit_segments\":%" PRIu64,
           use->generations, use->first_generation, use->last_generation,
           use->live_store ? "true" : "false", use->quota_days, use->segments);
}

static void print_use_text(const struct xt_key_use_count *use)
{
    const char *separator = "";
    if (use->generations == 1) {
        printf("generation %06u", use->first_generation);
        separator = ", ";
    } else if (use->generations > 1) {
        printf("%u generations (%06u to %06u)", use->generations, use->first_generation,
               use->last_generation);
        separator = ", ";
    }
    if (use->live_store) {
        printf("%slive store", separator);
        separator = ", ";
    }
    if (use->quota_days > 0) {
        printf("%squotas of %u %s", separator, use->quota_days,
               use->quota_days == 1 ? "day" : "days");
        separator = ", ";
    }
    if (use->segments > 0) {
        printf("%s%" PRIu64 " audit %s", separator, use->segments,
               use->segments == 1 ? "segment" : "segments");
    }
}

static void print_row_json(const struct row *row)
{
    printf("{\"kind\":\"%s\",", row->kind);
    if (row->id != 0) {
        printf("\"id\":\"%08" PRIx32 "\",", row->id);
    }
    if (row->made[0] == '2') {
        printf("\"made\":\"%s\",", row->made);
    }
    printf("\"missing\":%s,\"current\":%s", row->made[0] == 'm' ? "true" : "false",
           row->current ? "true" : "false");
    if (row->use != NULL) {
        putchar(',');
        print_use_json(row->use);
    }
    if (row->vouched_by != 0) {
        printf(",\"vouched_by\":\"%08" PRIx32 "\"", row->vouched_by);
    }
    putchar('}');
}

static void print_row_text(const struct row *row)
{
    char id[9] = "-";
    if (row->id != 0) {
        snprintf(id, sizeof(id), "%08" PRIx32, row->id);
    }
    printf("%-8s %-8s  %-20s  %-7s  ", row->kind, id, row->made[0] != 0 ? row->made : "-",
           row->current ? "current" : "old");
    if (row->use != NULL && xt_key_is_used(row->use)) {
        print_use_text(row->use);
    } else if (row->use != NULL && !row->current) {
        fputs("not needed by anything here: keys retire takes it out", stdout);
    } else if (row->vouched_by != 0) {
        printf("vouched for by %08" PRIx32, row->vouched_by);
    } else if (row->id == 0) {
        fputs("in the server's memory only, new each 15 minutes", stdout);
    }
    putchar('\n');
}

static void print_row(struct printer *printer, const struct row *row)
{
    if (printer->json) {
        fputs(printer->rows > 0 ? "," : "", stdout);
        print_row_json(row);
    } else {
        print_row_text(row);
    }
    printer->rows++;
}

/* ---- list ------------------------------------------------------------------------------------- */

static int run_list(const struct asked *asked)
{
    struct printer printer = {.json = asked->json};
    struct xt_failure failure = {.text = ""};
    enum xt_status status = XT_OK;
    if (asked->json) {
        fputs("{\"keys\":[", stdout);
    }
    for (size_t i = 0; status == XT_OK && i < KINDS; i++) {
        status = kinds[i].list(asked->dir, &printer, &failure);
    }
    if (asked->json && status == XT_OK) {
        puts("]}");
    }
    return status == XT_OK ? xt_finish_output("keys") : xt_work_error("keys", &failure);
}

/* ---- rotate ----------------------------------------------------------------------------------- */

enum server { SERVER_TAKEN, SERVER_NOT_RUNNING, SERVER_NOT_TAKEN };

static enum server wait_for_server(const struct asked *asked, uint32_t id)
{
    const struct timespec pause = {.tv_nsec = TAKEN_POLL_MS * 1000000L};
    for (unsigned waited = 0; waited <= TAKEN_WAIT_MS; waited += TAKEN_POLL_MS) {
        struct xt_keys_taken taken;
        bool runs = false;
        enum xt_status status = xt_keys_taken_read(asked->dir, &runs, &taken, NULL);
        if (status == XT_NOT_FOUND || (status == XT_OK && !runs)) {
            return SERVER_NOT_RUNNING;
        }
        if (status == XT_OK && asked->kind->is_taken(asked->dir, id, &taken)) {
            return SERVER_TAKEN;
        }
        (void)nanosleep(&pause, NULL);
    }
    return SERVER_NOT_TAKEN;
}

/* Of the older master keys; what cannot be read is not told here, but by list. */
static void print_still_needed(const struct asked *asked)
{
    struct xt_keyring *keyring = NULL;
    struct xt_keys_use use = {.count = 0};
    unsigned told = 0;
    if (xt_deployment_keyring(asked->dir, &keyring, NULL) == XT_OK) {
        (void)!xt_keys_use_read(asked->dir, keyring, &use, NULL);
    }
    for (size_t i = 0; i < use.count; i++) {
        const struct xt_key_use_count *count = &use.keys[i];
        if (count->id == xt_keyring_current(keyring) || !xt_key_is_used(count)) {
            continue;
        }
        if (asked->json) {
            printf("%s{\"id\":\"%08" PRIx32 "\",", told++ > 0 ? "," : "", count->id);
            print_use_json(count);
            putchar('}');
        } else {
            if (told++ == 0) {
                puts("Still needed (generations until two imports have come after them, audit "
                     "segments until they expire):");
            }
            printf("  %08" PRIx32 "  ", count->id);
            print_use_text(count);
            putchar('\n');
        }
    }
    xt_keys_use_free(&use);
    xt_keyring_close(keyring);
}

static void print_rotated(const struct asked *asked, uint32_t id, enum server server)
{
    static const char *const words[] = {"taken", "not_running", "not_taken"};
    bool master = asked->kind == &kinds[0];
    if (asked->json) {
        printf("{\"kind\":\"%s\",\"id\":\"%08" PRIx32 "\",\"server\":\"%s\"", asked->kind->name, id,
               words[server]);
        if (master) {
            fputs(",\"still_needed\":[", stdout);
            print_still_needed(asked);
            putchar(']');
        }
        puts("}");
        return;
    }
    printf("%s: %08" PRIx32 " is current%s\n", asked->kind->name, id,
           server == SERVER_TAKEN         ? "; the server has taken it"
           : server == SERVER_NOT_RUNNING ? "; no server runs here, the next start takes it"
                                          : "");
    if (master) {
        puts("Keep a copy of keys/master.keys apart from the data: it has a key more.");
        print_still_needed(asked);
    } else if (asked->kind == &kinds[1]) {
        puts("Give auditors the new keys/audit.pub, above all if the key before may be in other "
             "hands.");
    }
}

static int run_rotate(const struct asked *asked)
{
    struct xt_failure failure = {.text = ""};
    char path[XT_PATH_MAX];
    int lock = -1;
    uint32_t id = 0;
    xt_require(asked->kind != NULL);
    enum xt_status status = xt_key_path(asked->dir, asked->kind->file, path, &failure);
    if (status == XT_OK && xt_is_credential(path)) {
        status = xt_fail(&failure, XT_DENIED,
                         "%s is a credential of the service manager: rotate its source, then "
                         "restart the service",
                         path);
    }
    if (status == XT_OK) {
        status = xt_keys_lock(asked->dir, &lock, &failure);
    }
    if (status == XT_OK) {
        status = asked->kind->rotate(asked->dir, &id, &failure);
        close(lock);
    }
    if (status != XT_OK) {
        return xt_work_error("keys", &failure);
    }
    enum server server = wait_for_server(asked, id);
    print_rotated(asked, id, server);
    int code = xt_finish_output("keys");
    if (server == SERVER_NOT_TAKEN) {
        (void)xt_fail(&failure, XT_AGAIN,
                      "the key is made, but the server that runs has not taken it within %d s: its "
                      "log says why (keys_refused); then send it SIGHUP",
                      TAKEN_WAIT_MS / 1000);
        code = xt_work_error("keys", &failure);
    }
    return code;
}

/* ---- retire ----------------------------------------------------------------------------------- */

static bool parse_id(const char *text, uint32_t *id)
{
    if (strlen(text) != 8 || strspn(text, "0123456789abcdef") != 8) {
        return false;
    }
    *id = (uint32_t)strtoul(text, NULL, 16);
    return *id != 0;
}

/* A process that has not heard of the current key still seals under the one before. */
static enum xt_status check_server(const char *dir, const struct xt_keyring *keyring,
                                   struct xt_failure *failure)
{
    uint32_t current = xt_keyring_current(keyring);
    struct asked asked = {.dir = dir, .kind = &kinds[0]};
    if (wait_for_server(&asked, current) != SERVER_NOT_TAKEN) {
        return XT_OK;
    }
    return xt_fail(failure, XT_BUSY,
                   "the server that runs has not taken the current key %08" PRIx32
                   ": send it SIGHUP and look at its log, then try again",
                   current);
}

static enum xt_status check_unused(const char *dir, const struct xt_keyring *keyring, uint32_t id,
                                   struct xt_failure *failure)
{
    struct xt_keys_use use;
    enum xt_status status = xt_keys_use_read(dir, keyring, &use, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_key_use_count count = xt_keys_use_of(&use, id);
    xt_keys_use_free(&use);
    if (!xt_key_is_used(&count)) {
        return XT_OK;
    }
    return xt_fail(failure, XT_DENIED,
                   "master key %08" PRIx32 " is needed by %u generations, %s%s%" PRIu64
                   " audit segments, which could never be read again: see xacthuc keys list",
                   id, count.generations, count.live_store ? "the live store, " : "",
                   count.quota_days > 0 ? "today's quotas, " : "", count.segments);
}

static enum xt_status retire(const char *dir, uint32_t id, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_keyring *keyring = NULL;
    int import = -1;
    enum xt_status status = xt_path_join(path, dir, "keys/master.keys");
    if (status == XT_OK) {
        status = xt_keyring_open(path, &keyring, failure);
    }
    if (status == XT_OK) { /* an import that began before the rotation seals under the key before */
        status = xt_identity_lock(dir, &import, failure);
    }
    if (status == XT_OK) {
        status = check_server(dir, keyring, failure);
    }
    if (status == XT_OK && xt_keyring_has(keyring, id) && id != xt_keyring_current(keyring)) {
        status = check_unused(dir, keyring, id, failure);
    }
    if (status == XT_OK) {
        status = xt_keyring_remove(path, id, failure);
    }
    if (import >= 0) {
        close(import);
    }
    xt_keyring_close(keyring);
    return status;
}

static int run_retire(const struct asked *asked)
{
    struct xt_failure failure = {.text = ""};
    uint32_t id;
    int lock = -1;
    if (!parse_id(asked->id, &id)) {
        return xt_usage_error("keys", "an id is 8 digits of 0-9 and a-f");
    }
    enum xt_status status = xt_keys_lock(asked->dir, &lock, &failure);
    if (status == XT_OK) {
        status = retire(asked->dir, id, &failure);
        close(lock);
    }
    if (status != XT_OK) {
        return xt_work_error("keys", &failure);
    }
    if (asked->json) {
        printf("{\"kind\":\"master\",\"id\":\"%08" PRIx32 "\",\"retired\":true}\n", id);
    } else {
        printf("master: %08" PRIx32 " is gone; only copies of keys/master.keys have it still\n",
               id);
    }
    return xt_finish_output("keys");
}

/* ---- the command ------------------------------------------------------------------------------ */

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

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* -1: go on; else the exit code. */
static int parse(struct asked *asked, int argc, char **argv)
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
    if (out && asked->kind != NULL && asked->kind != &kinds[0]) {
        return xt_usage_error("keys", "only master keys are retired: old %s keys are gone already",
                              asked->kind->name);
    }
    asked->id = out ? words[3] : NULL;
    return -1;
}

int xt_command_keys(int argc, char **argv)
{
    struct asked asked = {.action = ""};
    struct xt_failure failure = {.text = ""};
    int code = parse(&asked, argc, argv);
    if (code >= 0) {
        return code;
    }
    umask(077);
    if (check_owner(asked.dir, &failure) != XT_OK) {
        return xt_work_error("keys", &failure);
    }
    return strcmp(asked.action, "list") == 0     ? run_list(&asked)
           : strcmp(asked.action, "rotate") == 0 ? run_rotate(&asked)
                                                 : run_retire(&asked);
}
