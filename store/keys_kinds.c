/* The kinds of keys in DIR/keys. */
#include "crypto/answer_key.h"
#include "crypto/audit_key.h"
#include "crypto/credential.h"
#include "crypto/tickets.h"
#include "store/command_line.h"
#include "store/keys_internal.h"

/* ---- master ---------------------------------------------------------------------------------- */

static enum xt_status list_master(const char *dir, struct xt_key_printer *printer,
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
        struct xt_key_row row = {.kind = "master",
                                 .id = use.keys[i].id,
                                 .made = here ? made : "missing",
                                 .current = use.keys[i].id == xt_keyring_current(keyring),
                                 .use = &use.keys[i]};
        xt_key_print_row(printer, &row);
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

/* ---- audit ----------------------------------------------------------------------------------- */

static enum xt_status open_audit_public(const char *dir, struct xt_audit_public **keys,
                                        struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = xt_key_path(dir, "audit.pub", path, failure);
    return status == XT_OK ? xt_audit_public_open(path, keys, failure) : status;
}

static enum xt_status list_audit(const char *dir, struct xt_key_printer *printer,
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
        struct xt_key_row row = {.kind = "audit", .made = made, .current = i + 1 == count};
        row.id = xt_audit_public_at(keys, i, made, &row.vouched_by);
        xt_key_print_row(printer, &row);
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

/* ---- tickets --------------------------------------------------------------------------------- */

static enum xt_status list_tickets(const char *dir, struct xt_key_printer *printer,
                                   struct xt_failure *failure)
{
    struct xt_ticket_order order;
    enum xt_status status = xt_ticket_order_read(dir, &order, failure);
    struct xt_key_row row = {
        .kind = "tickets", .id = order.id, .made = order.made, .current = true};
    if (status == XT_OK) {
        xt_key_print_row(printer, &row);
    }
    return status;
}

static bool tickets_are_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    (void)dir;
    return taken->tickets == id;
}

/* ---- signing --------------------------------------------------------------------------------- */

/* Gives *keys to be closed. XT_NOT_FOUND: there are none. */
static enum xt_status open_signing(const char *path, struct xt_answer_keys **keys,
                                   struct xt_failure *failure)
{
    uint8_t *text = NULL;
    size_t size = 0;
    enum xt_status status = xt_answer_key_read(path, &text, &size, failure);
    if (status == XT_OK) {
        status = xt_answer_keys_open(xt_span_of(text, size), keys);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "no memory for the signing keys");
        }
        xt_file_release_secret(text);
    }
    return status;
}

static enum xt_status list_family(const char *dir, const char *kind, const char *file,
                                  struct xt_key_printer *printer, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_answer_keys *keys = NULL;
    enum xt_status status = xt_key_path(dir, file, path, failure);
    if (status == XT_OK) {
        status = open_signing(path, &keys, failure);
    }
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    for (unsigned i = 0; i < xt_answer_keys_count(keys); i++) {
        const struct xt_answer_key_facts *facts = xt_answer_keys_at(keys, i);
        const struct xt_key_row row = {.kind = kind,
                                       .id = facts->number,
                                       .made = facts->made,
                                       .current = facts->state == XT_ANSWER_CURRENT,
                                       .next = facts->state == XT_ANSWER_NEXT,
                                       .kid = facts->id};
        xt_key_print_row(printer, &row);
    }
    xt_answer_keys_close(keys);
    return XT_OK;
}

/* In a deployment of before there were such keys it makes the first ones. */
static enum xt_status rotate_family(const char *dir, const char *file, uint32_t *id,
                                    struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_answer_keys *keys = NULL;
    enum xt_status status = xt_key_path(dir, file, path, failure);
    if (status == XT_OK) {
        status = xt_answer_key_rotate(path, failure);
    }
    if (status == XT_NOT_FOUND) {
        status = xt_answer_key_make(path, failure);
    }
    if (status == XT_OK) {
        status = open_signing(path, &keys, failure);
    }
    if (status == XT_OK) {
        *id = xt_answer_keys_current(keys)->number;
        xt_answer_keys_close(keys);
    }
    return status;
}

static enum xt_status list_signing(const char *dir, struct xt_key_printer *printer,
                                   struct xt_failure *failure)
{
    return list_family(dir, "signing", "signing.key", printer, failure);
}

static enum xt_status list_token(const char *dir, struct xt_key_printer *printer,
                                 struct xt_failure *failure)
{
    return list_family(dir, "token", "token.key", printer, failure);
}

static enum xt_status rotate_signing(const char *dir, uint32_t *id, struct xt_failure *failure)
{
    return rotate_family(dir, "signing.key", id, failure);
}

static enum xt_status rotate_token(const char *dir, uint32_t *id, struct xt_failure *failure)
{
    return rotate_family(dir, "token.key", id, failure);
}

static bool token_is_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    (void)dir;
    return taken->token == id;
}

static bool signing_is_taken(const char *dir, uint32_t id, const struct xt_keys_taken *taken)
{
    (void)dir;
    return taken->signing == id;
}

/* ---- all of them ----------------------------------------------------------------------------- */

const struct xt_key_kind xt_key_kinds[XT_KEYS_KINDS] = {
    {"master", "master.keys", list_master, rotate_master, master_is_taken},
    {"audit", "audit.key", list_audit, xt_audit_key_rotate, audit_is_taken},
    {"tickets", "tickets", list_tickets, xt_ticket_order_write, tickets_are_taken},
    {"signing", "signing.key", list_signing, rotate_signing, signing_is_taken},
    {"token", "token.key", list_token, rotate_token, token_is_taken},
};
