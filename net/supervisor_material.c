#include "net/supervisor_material.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/answer_key.h"
#include "crypto/credential.h"
#include "crypto/keys_folder.h"
#include "net/config.h"
#include "net/control.h"
#include "net/log.h"
#include "net/snapshot.h"

enum xt_status xt_material_settings(const char *dir, const struct xt_overrides *overrides,
                                    struct xt_settings *settings, struct xt_failure *failure)
{
    const struct {
        const char *key, *value;
    } given[] = {{"listen", overrides->listen},
                 {"admin_listen", overrides->admin},
                 {"workers", overrides->workers}};
    enum xt_status status = xt_config_read(dir, settings, failure);
    for (size_t i = 0; status == XT_OK && i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].value != NULL) {
            status = xt_settings_set(settings, "server", given[i].key, given[i].value, failure);
        }
    }
    return status;
}

/* ---- certificates ----------------------------------------------------------------------------- */

static enum xt_status name_files(const char *dir, const struct xt_settings *settings,
                                 struct xt_identity_files *identity, struct xt_failure *failure)
{
    enum xt_status status = xt_key_path(dir, "server.key", identity->key, failure);
    if (status != XT_OK) {
        return status;
    }
    bool fits = xt_path_join(identity->certificate, dir, "server.crt") == XT_OK &&
                xt_path_join(identity->authority, dir, "ca.crt") == XT_OK &&
                (settings->revocations[0] == '\0' ||
                 xt_path_join(identity->revocations, dir, settings->revocations) == XT_OK);
    return fits ? XT_OK : xt_fail(failure, XT_TOO_LARGE, "the path %s is too long", dir);
}

static enum xt_status check_sizes(const struct xt_identity_files *identity,
                                  struct xt_failure *failure)
{
    if (identity->tls.key.size > XT_CONTROL_KEY_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "%s is too large for one key", identity->key);
    }
    return XT_OK;
}

enum xt_status xt_material_identity(const char *dir, const struct xt_settings *settings,
                                    struct xt_identity_files **result, struct xt_failure *failure)
{
    struct xt_identity_files *identity = calloc(1, sizeof(*identity));
    if (identity == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the certificates");
    }
    enum xt_status status = name_files(dir, settings, identity, failure);
    if (status == XT_OK) {
        struct xt_tls_server_files files = {
            .certificate = identity->certificate,
            .key = identity->key,
            .client_authority = identity->authority,
            .revocations = identity->revocations[0] == '\0' ? NULL : identity->revocations};
        status = xt_tls_material_read(&files, &identity->tls, failure);
    }
    if (status != XT_OK) {
        free(identity);
        return status;
    }
    identity->tls.allow_tls12 = strcmp(settings->tls_min_version, "1.2") == 0;
    status = check_sizes(identity, failure);
    struct xt_tls_context *context = NULL;
    if (status == XT_OK) {
        status = xt_tls_server(&identity->tls, &context, failure);
    }
    if (status != XT_OK) {
        xt_material_release_identity(identity);
        return status;
    }
    identity->revocations_until = xt_tls_revocations_until(context);
    xt_tls_context_close(context);
    *result = identity;
    return XT_OK;
}

void xt_material_release_identity(struct xt_identity_files *identity)
{
    if (identity != NULL) {
        xt_tls_material_release(&identity->tls);
        free(identity);
    }
}

enum xt_status xt_material_signing(const char *dir, const char *file, uint8_t **text, size_t *size,
                                   struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    *text = NULL;
    *size = 0;
    enum xt_status status = xt_key_path(dir, file, path, failure);
    if (status == XT_OK) {
        status = xt_answer_key_read(path, text, size, failure);
    }
    if (status != XT_NOT_FOUND) {
        return status;
    }
    struct xt_log_line line;
    bool tokens = strcmp(file, "token.key") == 0;
    xt_log_begin(&line, XT_LOG_WARNING, tokens ? "token_key_missing" : "signing_key_missing");
    xt_log_text(&line, "file", path);
    xt_log_end(&line);
    return XT_OK;
}

void xt_material_make_token_keys(const char *dir)
{
    char path[XT_PATH_MAX];
    struct xt_failure failure = {.text = ""};
    struct xt_log_line line;
    int lock = -1;
    enum xt_status status = xt_key_path(dir, "token.key", path, &failure);
    if (status != XT_OK || access(path, F_OK) == 0) {
        return; /* what is wrong with it is told when it is read */
    }
    status = xt_keys_lock(dir, &lock, &failure);
    if (status == XT_OK) {
        status = xt_answer_key_make(path, &failure);
        close(lock);
    }
    if (status == XT_EXISTS) {
        return;
    }
    xt_log_begin(&line, status == XT_OK ? XT_LOG_INFO : XT_LOG_WARNING,
                 status == XT_OK ? "token_key_made" : "token_key_not_made");
    xt_log_text(&line, "file", path);
    if (status != XT_OK) {
        xt_log_text(&line, "reason", failure.text);
    }
    xt_log_end(&line);
}

/* ---- partners --------------------------------------------------------------------------------- */

static void report_partner(void *context, const char *file, const char *why)
{
    (void)context;
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, "partner_refused");
    xt_log_text(&line, "file", file);
    xt_log_text(&line, "reason", why);
    xt_log_end(&line);
}

enum xt_status xt_material_partners(const char *dir, const struct xt_partners *previous,
                                    const struct xt_live *live, struct xt_partners **partners,
                                    struct xt_failure *failure)
{
    enum xt_status status =
        xt_partners_load_held(dir, previous, live, report_partner, NULL, partners, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "partners_loaded");
    xt_log_number(&line, "partners", xt_partners_count(*partners));
    xt_log_end(&line);
    return XT_OK;
}

enum xt_status xt_material_snapshot(const struct xt_identity_files *identity,
                                    const struct xt_partners *partners, struct xt_shared *shared,
                                    uint64_t now_ms, int *fd, struct xt_failure *failure)
{
    uint32_t *cells = calloc((size_t)xt_partners_count(partners) + 1, sizeof(*cells));
    if (cells == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for a snapshot");
    }
    xt_shared_assign(shared, partners, now_ms, cells);
    struct xt_snapshot_parts parts = {.chain = identity->tls.certificate,
                                      .authority = identity->tls.client_authority,
                                      .revocations = identity->tls.revocations,
                                      .partners = partners,
                                      .cells = cells};
    enum xt_status status = xt_snapshot_write(&parts, fd, failure);
    free(cells);
    return status;
}
