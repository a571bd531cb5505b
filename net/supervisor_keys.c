/* Master, ticket and signing keys that change while the service runs: from DIR/keys to every process.
 *
 *   DIR/keys changed --> read, checked --> KEYS to all workers and the writer --> KEYS_TAKEN from all
 *                                                                             --> DIR/supervisor/keys.taken
 *
 * A keyring is taken whole or not at all, and never one that lacks a key which something here is sealed
 * under. Whoever is started meanwhile gets the new keys with START.
 */
#include "net/supervisor_internal.h"

#include <inttypes.h>
#include <time.h>

#include "crypto/answer_key.h"
#include "store/command_line.h"
#include "store/keys_taken.h"

/* ---- reading ---------------------------------------------------------------------------------- */

static enum xt_status lacks(uint32_t id, const char *what, struct xt_failure *failure)
{
    return xt_fail(failure, XT_DENIED,
                   "keys/master.keys lacks the key %08" PRIx32 ", which %s needs: restore it", id,
                   what);
}

static enum xt_status check_keyring(const struct xt_supervisor *supervisor,
                                    const struct xt_keyring *keyring, struct xt_failure *failure)
{
    const struct xt_live *live = supervisor->record.live;
    if (supervisor->generation != 0 && !xt_keyring_has(keyring, supervisor->generation_key)) {
        return lacks(supervisor->generation_key, "the generation that is served", failure);
    }
    if (live != NULL && !xt_keyring_has(keyring, xt_live_key_id(live))) {
        return lacks(xt_live_key_id(live), "the live store", failure);
    }
    return XT_OK;
}

enum xt_status xt_supervisor_read_keys(const struct xt_supervisor *supervisor,
                                       struct xt_new_keys *keys, struct xt_failure *failure)
{
    struct xt_ticket_order order;
    *keys = (struct xt_new_keys){.keyring = NULL};
    enum xt_status status = xt_ticket_order_read(supervisor->plan->dir, &order, failure);
    if (status == XT_OK) {
        keys->ticket_order = order.id;
        status = xt_deployment_keyring(supervisor->plan->dir, &keys->keyring, failure);
    }
    if (status == XT_OK) {
        status = check_keyring(supervisor, keys->keyring, failure);
    }
    if (status == XT_OK) {
        status = xt_material_signing(supervisor->plan->dir, "signing.key", &keys->signing.text,
                                     &keys->signing.size, failure);
    }
    if (status == XT_OK) {
        status = xt_material_signing(supervisor->plan->dir, "token.key", &keys->token.text,
                                     &keys->token.size, failure);
    }
    if (status != XT_OK) {
        xt_new_keys_release(keys);
    }
    return status;
}

void xt_new_keys_release(struct xt_new_keys *keys)
{
    xt_keyring_close(keys->keyring);
    xt_file_release_secret(keys->signing.text);
    xt_file_release_secret(keys->token.text);
    *keys = (struct xt_new_keys){.keyring = NULL};
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* Of the key that signs; 0: none does. */
static uint32_t number_of(const struct xt_signing_text *text)
{
    struct xt_answer_keys *keys = NULL;
    uint32_t number = 0;
    if (text->size > 0 && xt_answer_keys_open(xt_span_of(text->text, text->size), &keys) == XT_OK) {
        number = xt_answer_keys_current(keys)->number;
        xt_answer_keys_close(keys);
    }
    return number;
}

static void log_signing(struct xt_log_line *line, const char *name,
                        const struct xt_signing_text *text)
{
    char id[9];
    (void)snprintf(id, sizeof(id), "%08" PRIx32, number_of(text));
    xt_log_text(line, name, text->size > 0 ? id : "none");
}

static void log_new(const struct xt_supervisor *supervisor, bool master, bool tickets, bool signing,
                    bool token)
{
    char id[9];
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "keys_loaded");
    if (master) {
        (void)snprintf(id, sizeof(id), "%08" PRIx32, xt_keyring_current(supervisor->keyring));
        xt_log_text(&line, "master", id);
        xt_log_number(&line, "master_keys", xt_keyring_count(supervisor->keyring));
    }
    if (tickets) {
        xt_log_text(&line, "tickets", "renewed");
    }
    if (signing) {
        log_signing(&line, "signing", &supervisor->signing);
    }
    if (token) {
        log_signing(&line, "token", &supervisor->token);
    }
    xt_log_end(&line);
}

static bool is_same(const struct xt_signing_text *a, const struct xt_signing_text *b)
{
    return a->size == b->size && xt_secret_equal(a->text, b->text, a->size);
}

/* Puts what is new in the place of what is in force; what stands in *now then is to be given back. */
static bool exchange(struct xt_signing_text *now, struct xt_signing_text *in_force, bool keep_gone)
{
    if ((keep_gone && now->size == 0) || is_same(now, in_force)) {
        return false;
    }
    const struct xt_signing_text before = *in_force;
    *in_force = *now;
    *now = before;
    return true;
}

void xt_supervisor_take_keys(struct xt_supervisor *supervisor, struct xt_new_keys *keys)
{
    bool master = !xt_keyring_is_same(keys->keyring, supervisor->keyring);
    bool tickets = keys->ticket_order != supervisor->ticket_order;
    bool signing = exchange(&keys->signing, &supervisor->signing, keys->keep_gone);
    bool token = exchange(&keys->token, &supervisor->token, keys->keep_gone);
    if (master) {
        xt_keyring_take(supervisor->keyring, keys->keyring);
    } else {
        xt_keyring_close(keys->keyring);
    }
    keys->keyring = NULL;
    if (tickets) {
        supervisor->ticket_order = keys->ticket_order;
        xt_ticket_seed_make(supervisor->tickets, (int64_t)time(NULL));
    }
    /* A new audit key signs from the next checkpoint on, so that is due. */
    supervisor->audit.checkpoint_at_ms = 0;
    if (master || tickets || signing || token) {
        log_new(supervisor, master, tickets, signing, token);
        supervisor->keys_serial++;
        xt_workers_sync(supervisor);
        xt_writer_slot_sync(supervisor);
    }
    xt_new_keys_release(keys);
}

enum xt_status xt_supervisor_look_at_keys(struct xt_supervisor *supervisor,
                                          struct xt_failure *failure)
{
    struct xt_new_keys keys;
    enum xt_status status = xt_supervisor_read_keys(supervisor, &keys, failure);
    if (status == XT_OK) {
        keys.keep_gone = true;
        xt_supervisor_take_keys(supervisor, &keys);
    }
    return status;
}

void xt_supervisor_keys_changed(void *context)
{
    struct xt_supervisor *supervisor = context;
    struct xt_failure failure = {0};
    if (supervisor->draining) {
        return;
    }
    if (xt_supervisor_look_at_keys(supervisor, &failure) != XT_OK) {
        xt_supervisor_log_failure("keys_refused", &failure);
    }
    xt_supervisor_progress(supervisor);
}

/* ---- telling ---------------------------------------------------------------------------------- */

struct xt_span xt_supervisor_write_signing(const struct xt_supervisor *supervisor,
                                           struct xt_writer *writer)
{
    size_t at = writer->size;
    xt_write(writer, supervisor->signing.text, supervisor->signing.size);
    xt_write_byte(writer, '\n');
    xt_write(writer, supervisor->token.text, supervisor->token.size);
    xt_require(!writer->overflow);
    return xt_span_of(writer->data + at, writer->size - at);
}

static enum xt_status send_keys(struct xt_supervisor *supervisor, struct xt_child *child,
                                bool worker)
{
    uint8_t *exported = xt_secret_alloc(XT_KEYRING_EXPORT_MAX + XT_SIGNING_TEXT_MAX);
    if (exported == NULL) {
        return XT_NO_MEMORY;
    }
    struct xt_writer writer = xt_writer_over(exported, XT_KEYRING_EXPORT_MAX + XT_SIGNING_TEXT_MAX);
    xt_keyring_export(supervisor->keyring, &writer);
    xt_require(!writer.overflow);
    struct xt_control_message message = {.type = XT_CONTROL_KEYS,
                                         .numbers = {supervisor->keys_serial}};
    message.blobs[0] = xt_written(&writer);
    if (worker) {
        message.numbers[1] = supervisor->tickets->period;
        message.blobs[1] =
            xt_span_of(supervisor->tickets->secret, sizeof(supervisor->tickets->secret));
        message.blobs[2] = xt_supervisor_write_signing(supervisor, &writer);
    }
    enum xt_status status = xt_child_send(child, &message);
    xt_secret_free(exported);
    return status;
}

enum xt_status xt_member_keys_sync(struct xt_member *member)
{
    struct xt_supervisor *supervisor = member->supervisor;
    if (member->keys.sent == supervisor->keys_serial) {
        return XT_OK;
    }
    enum xt_status status = send_keys(supervisor, member->child, true);
    if (status == XT_OK) {
        member->keys.sent = supervisor->keys_serial;
    }
    return status;
}

static bool workers_have_them(const struct xt_supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->workers; i++) {
        for (unsigned j = 0; j < 2; j++) {
            const struct xt_member *member = &supervisor->slots[i].members[j];
            if (member->child != NULL && member->keys.taken != supervisor->keys_serial) {
                return false;
            }
        }
    }
    return true;
}

/* The last to get them: what it seals anew the workers must be able to read. */
enum xt_status xt_writer_slot_keys_sync(struct xt_supervisor *supervisor)
{
    struct xt_writer_slot *writer = &supervisor->writer;
    if (writer->keys.sent == supervisor->keys_serial || !workers_have_them(supervisor)) {
        return XT_OK;
    }
    enum xt_status status = send_keys(supervisor, writer->child, false);
    if (status == XT_OK) {
        writer->keys.sent = supervisor->keys_serial;
    }
    return status;
}

/* ---- everybody has them ----------------------------------------------------------------------- */

static bool all_have_them(const struct xt_supervisor *supervisor)
{
    const struct xt_writer_slot *writer = &supervisor->writer;
    return writer->child != NULL && writer->keys.taken == supervisor->keys_serial &&
           workers_have_them(supervisor);
}

void xt_supervisor_keys_progress(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    if (supervisor->writer.keys.sent != supervisor->keys_serial) {
        xt_writer_slot_sync(supervisor);
    }
    if (supervisor->keys_told == supervisor->keys_serial || !supervisor->serving ||
        !all_have_them(supervisor)) {
        return;
    }
    supervisor->keys_told = supervisor->keys_serial;
    struct xt_keys_taken taken = {.master = xt_keyring_current(supervisor->keyring),
                                  .tickets = supervisor->ticket_order,
                                  .signing = number_of(&supervisor->signing),
                                  .token = number_of(&supervisor->token)};
    if (xt_keys_taken_write(supervisor->plan->dir, &taken, &failure) != XT_OK) {
        xt_supervisor_log_failure("keys_taken_not_told",
                                  &failure); /* they are in force all the same */
        return;
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "keys_taken");
    xt_log_number(&line, "serial", supervisor->keys_serial);
    xt_log_end(&line);
}
