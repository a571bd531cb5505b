#include <stdlib.h>
#include <unistd.h>

#include "net/supervisor_internal.h"
#include "store/identity.h"

/* ---- generations ------------------------------------------------------------------------------ */

static void log_exchanged(uint32_t number)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "generation_exchanged");
    xt_log_number(&line, "generation", number);
    xt_log_end(&line);
}

/* The generation is checked. exchanged: it has the number of the one before, and workers do not open
 * what they have already, so that others must. */
static void take_generation(struct xt_supervisor *supervisor, struct xt_generation *generation,
                            bool exchanged)
{
    xt_workers_sync(supervisor);
    xt_warmer_take(supervisor, generation);
    if (exchanged) {
        log_exchanged(supervisor->generation);
        xt_workers_replace(supervisor);
        xt_supervisor_progress(supervisor); /* whoever asked for the look need not */
    }
}

/* Does it hold what a compaction took out of the live store? Going back on purpose loses that. */
static enum xt_status check_overlay(struct xt_supervisor *supervisor,
                                    const struct xt_manifest *manifest, bool rollback,
                                    struct xt_failure *failure)
{
    enum xt_status status =
        xt_writer_record_may_lie_over(&supervisor->record, manifest, false, failure);
    if (status != XT_DENIED || !rollback) {
        return status;
    }
    struct xt_failure lost = *failure;
    status = xt_writer_record_may_lie_over(&supervisor->record, manifest, true, failure);
    if (status == XT_OK) {
        struct xt_log_line line;
        xt_log_begin(&line, XT_LOG_WARNING, "changes_lost");
        xt_log_number(&line, "generation", manifest->number);
        xt_log_text(&line, "reason", lost.text);
        xt_log_end(&line);
    }
    return status;
}

/* One that was refused as too old: a newer folder is what the operator wants, nearly always. */
static void name_newer(const struct xt_supervisor *supervisor, uint32_t number,
                       struct xt_failure *failure)
{
    uint32_t newer = xt_identity_highest(supervisor->plan->dir);
    struct xt_failure reason = *failure;
    if (newer > number) {
        (void)xt_fail(failure, XT_DENIED, "%s (%06u is there: link identity/current to it)",
                      reason.text, newer);
    }
}

/* May it be served, and lie under the live store? It goes on record, and what it holds leaves the live store,
 * only when the link that names it is on the disk. */
static enum xt_status check_generation(struct xt_supervisor *supervisor,
                                       const struct xt_manifest *manifest, bool *rollback,
                                       struct xt_failure *failure)
{
    enum xt_status status = xt_writer_record_may_serve(
        &supervisor->record, manifest->number, manifest->digest,
        supervisor->settings.allow_older_generation != 0, rollback, failure);
    if (status == XT_OK) {
        status = check_overlay(supervisor, manifest, *rollback, failure);
    }
    if (status == XT_DENIED) {
        name_newer(supervisor, manifest->number, failure);
    }
    return status == XT_OK ? xt_identity_sync(supervisor->plan->dir, failure) : status;
}

enum xt_status xt_supervisor_look_at_generation(struct xt_supervisor *supervisor,
                                                struct xt_failure *failure)
{
    uint32_t number = 0;
    struct xt_generation *generation = NULL;
    enum xt_status status = xt_generation_current(supervisor->plan->dir, &number, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK; /* one that is in use stays so */
    }
    if (status != XT_OK) {
        return status;
    }
    /* Looked at before it is opened: what is exchanged in between is found to be another one later. */
    struct stat data = {.st_ino = 0};
    bool there = xt_generation_look(supervisor->plan->dir, number, &data);
    bool exchanged = number == supervisor->generation;
    if (exchanged && (!there || (data.st_dev == supervisor->data_device &&
                                 data.st_ino == supervisor->data_inode))) {
        return XT_OK;
    }
    /* What a worker would find wrong with it is found here, once. */
    status = xt_generation_open(supervisor->plan->dir, number, supervisor->keyring, &generation,
                                failure);
    if (status == XT_DENIED && xt_supervisor_look_at_keys(supervisor, failure) == XT_OK) {
        /* Its key is as new as itself, and we hear of its folder first. */
        status = xt_generation_open(supervisor->plan->dir, number, supervisor->keyring, &generation,
                                    failure);
    }
    if (status != XT_OK) {
        return status;
    }
    uint8_t digest[XT_GENERATION_DIGEST];
    bool rollback = false;
    memcpy(digest, xt_generation_manifest(generation)->digest, sizeof(digest));
    status = check_generation(supervisor, xt_generation_manifest(generation), &rollback, failure);
    if (status != XT_OK) {
        xt_generation_close(generation);
        return status;
    }
    xt_writer_record_generation(&supervisor->record, number, digest, rollback);
    supervisor->generation = number;
    supervisor->generation_serial++;
    supervisor->generation_key = xt_generation_manifest(generation)->key_id;
    supervisor->data_device = data.st_dev;
    supervisor->data_inode = data.st_ino;
    memcpy(supervisor->digest, digest, sizeof(digest));
    take_generation(supervisor, generation, exchanged);
    return XT_OK;
}

/* ---- partners --------------------------------------------------------------------------------- */

enum xt_status xt_supervisor_load_partners(struct xt_supervisor *supervisor,
                                           struct xt_failure *failure)
{
    struct xt_partners *loaded = NULL;
    const struct xt_live *live = NULL;
    enum xt_status status = xt_writer_record_live(&supervisor->record, &live, failure);
    if (status == XT_OK) {
        status = xt_material_partners(supervisor->plan->dir, supervisor->partners, live, &loaded,
                                      failure);
    }
    if (status == XT_OK) {
        xt_writer_record_partners(&supervisor->record, supervisor->partners, loaded);
        xt_partners_free(supervisor->partners);
        supervisor->partners = loaded;
    }
    return status;
}

/* Another snapshot in the place of the one in force, told to all. */
static enum xt_status renew_snapshot(struct xt_supervisor *supervisor,
                                     const struct xt_identity_files *identity,
                                     struct xt_failure *failure)
{
    int fd = -1;
    enum xt_status status = xt_material_snapshot(identity, supervisor->partners, supervisor->shared,
                                                 xt_supervisor_now(supervisor), &fd, failure);
    supervisor->snapshot_due = status != XT_OK; /* the next tick tries again */
    if (status != XT_OK) {
        return status;
    }
    close(supervisor->snapshot);
    supervisor->snapshot = fd;
    supervisor->serial++;
    return XT_OK;
}

void xt_supervisor_take_partners(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    enum xt_status status = xt_supervisor_load_partners(supervisor, &failure);
    if (status == XT_OK) {
        status = renew_snapshot(supervisor, supervisor->identity, &failure);
        xt_quotas_settle(supervisor);
        xt_quotas_name_rates(supervisor);
    }
    if (status != XT_OK) {
        xt_supervisor_log_failure("partners_failed", &failure);
        return;
    }
    xt_writer_slot_sync(supervisor); /* the first to know who may tell the register */
    xt_workers_sync(supervisor);
    xt_supervisor_progress(supervisor);
}

/* ---- SIGHUP ----------------------------------------------------------------------------------- */

static void log_needs_restart(const char *setting)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_WARNING, "needs_restart");
    xt_log_text(&line, "setting", setting);
    xt_log_end(&line);
}

void xt_supervisor_log_fixed(const struct xt_supervisor *supervisor,
                             const struct xt_settings *settings)
{
    unsigned wanted = settings->workers != 0 ? settings->workers : supervisor->cpu_count;
    if (!xt_sockets_are_at(supervisor->slots[0].api_socket, settings->listen)) {
        log_needs_restart("listen");
    }
    if (!xt_sockets_are_at(supervisor->slots[0].admin_socket, settings->admin_listen)) {
        log_needs_restart("admin_listen");
    }
    if (wanted != supervisor->workers && wanted != 0) {
        log_needs_restart("workers");
    }
}

static bool is_same(const struct xt_identity_files *a, const struct xt_identity_files *b)
{
    return xt_span_equal(a->tls.certificate, b->tls.certificate) &&
           a->tls.key.size == b->tls.key.size &&
           xt_secret_equal(a->tls.key.data, b->tls.key.data, a->tls.key.size) &&
           xt_span_equal(a->tls.client_authority, b->tls.client_authority) &&
           xt_span_equal(a->tls.revocations, b->tls.revocations) &&
           a->tls.allow_tls12 == b->tls.allow_tls12;
}

enum xt_status xt_supervisor_check_revocations(bool list_in_force,
                                               const struct xt_settings *settings,
                                               const struct xt_identity_files *identity,
                                               struct xt_failure *failure)
{
    if (identity->tls.revocations.size > 0 || !list_in_force || settings->revocations[0] == '\0') {
        return XT_OK;
    }
    return xt_fail(failure, XT_NOT_FOUND,
                   "the revocation list %s is gone: restore it, or empty [server] revocations",
                   settings->revocations);
}

/* Reads and checks everything beside what is in force; on failure nothing has changed. */
static enum xt_status read_all(const struct xt_supervisor *supervisor, struct xt_settings *settings,
                               struct xt_identity_files **identity, struct xt_failure *failure)
{
    const char *dir = supervisor->plan->dir;
    enum xt_status status =
        xt_material_settings(dir, supervisor->plan->overrides, settings, failure);
    if (status == XT_OK) {
        status = xt_material_identity(dir, settings, identity, failure);
    }
    if (status == XT_OK) {
        status = xt_supervisor_check_revocations(supervisor->identity->tls.revocations.size > 0,
                                                 settings, *identity, failure);
        if (status != XT_OK) {
            xt_material_release_identity(*identity);
        }
    }
    return status;
}

static void take_all(struct xt_supervisor *supervisor, const struct xt_settings *settings,
                     struct xt_identity_files *identity)
{
    /* Memory of requests under way is measured by these, so that only a new process can have others. */
    bool replace = settings->header_bytes != supervisor->settings.header_bytes ||
                   settings->body_bytes != supervisor->settings.body_bytes;
    uint64_t rate_before = supervisor->settings.warm_up_rate;
    uint64_t reserve_before = supervisor->settings.warm_up_reserve;
    if (is_same(identity, supervisor->identity)) {
        xt_material_release_identity(identity);
    } else {
        xt_material_release_identity(supervisor->identity);
        supervisor->identity = identity;
        supervisor->identity_serial++;
        supervisor->revocations_warned_s = 0;
    }
    supervisor->settings = *settings;
    xt_writer_slot_sync(supervisor);
    xt_workers_sync(supervisor);
    struct xt_failure failure = {0};
    if (xt_supervisor_look_at_generation(supervisor, &failure) != XT_OK) {
        xt_supervisor_log_failure("generation_refused", &failure);
    }
    xt_warmer_retune(supervisor, rate_before, reserve_before);
    if (replace) {
        xt_workers_replace(supervisor);
    }
}

void xt_supervisor_reload(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    struct xt_settings *settings = calloc(1, sizeof(*settings));
    struct xt_identity_files *identity = NULL;
    struct xt_new_keys keys = {.keyring = NULL};
    if (supervisor->draining || settings == NULL) {
        xt_upgrade_pass_on_reload(supervisor);
        free(settings);
        return;
    }
    if (supervisor->serving) { /* else the manager waits for READY anyway */
        xt_notify_reloading(&supervisor->notify);
    }
    supervisor->reloading = true;
    enum xt_status status = xt_supervisor_read_keys(supervisor, &keys, &failure);
    if (status == XT_OK) {
        status = read_all(supervisor, settings, &identity, &failure);
    }
    if (status == XT_OK) {
        status = xt_supervisor_load_partners(supervisor, &failure);
        if (status == XT_OK) {
            status = renew_snapshot(supervisor, identity, &failure);
            xt_quotas_settle(supervisor);
            xt_quotas_name_rates(supervisor);
        }
        if (status == XT_OK) {
            xt_supervisor_log_fixed(supervisor, settings);
            xt_supervisor_take_keys(supervisor, &keys);
            take_all(supervisor, settings, identity);
        } else {
            xt_material_release_identity(identity);
        }
    }
    free(settings);
    xt_new_keys_release(&keys);
    if (status != XT_OK) {
        xt_supervisor_log_failure("reload_refused", &failure);
        supervisor->reloading = false;
        if (supervisor->serving) {
            xt_supervisor_tell_ready(supervisor);
        }
    }
    xt_supervisor_progress(supervisor);
}
