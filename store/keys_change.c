/* xacthuc keys rotate and retire: new keys, which the server takes up, and old ones out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "crypto/keys_folder.h"
#include "store/command_line.h"
#include "store/identity.h"
#include "store/keys_internal.h"

#define TAKEN_WAIT_MS 5000 /* a server looks each second, tells its processes and signs */
#define TAKEN_POLL_MS 50

/* ---- rotate ----------------------------------------------------------------------------------- */

enum server { SERVER_TAKEN, SERVER_NOT_RUNNING, SERVER_NOT_TAKEN };

static enum server wait_for_server(const struct xt_keys_asked *asked, uint32_t id)
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
static void print_still_needed(const struct xt_keys_asked *asked)
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
            xt_key_print_use_json(count);
            putchar('}');
        } else {
            if (told++ == 0) {
                puts("Still needed (generations until two imports have come after them, audit "
                     "segments until they expire):");
            }
            printf("  %08" PRIx32 "  ", count->id);
            xt_key_print_use_text(count);
            putchar('\n');
        }
    }
    xt_keys_use_free(&use);
    xt_keyring_close(keyring);
}

static void print_rotated(const struct xt_keys_asked *asked, uint32_t id, enum server server)
{
    static const char *const words[] = {"taken", "not_running", "not_taken"};
    bool master = asked->kind == &xt_key_kinds[XT_KEYS_MASTER];
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
    } else if (asked->kind == &xt_key_kinds[XT_KEYS_AUDIT]) {
        puts("Give auditors the new keys/audit.pub, above all if the key before may be in other "
             "hands.");
    } else if (asked->kind == &xt_key_kinds[XT_KEYS_SIGNING] ||
               asked->kind == &xt_key_kinds[XT_KEYS_TOKEN]) {
        puts("Partners who keep the published list have it already; the key before stays in the "
             "list.");
    }
}

int xt_keys_rotate(const struct xt_keys_asked *asked)
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
    struct xt_keys_asked asked = {.dir = dir, .kind = &xt_key_kinds[XT_KEYS_MASTER]};
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

int xt_keys_retire(const struct xt_keys_asked *asked)
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
