/* store/keys_internal: what the files of `xacthuc keys` share. Private to them.
 *
 *   keys_command.c   options, usage, which of these
 *   keys_kinds.c     what kinds of keys there are: their rows, a new one, whether the server has it
 *   keys_list.c      keys as text and as JSON
 *   keys_change.c    rotate and retire
 */
#ifndef XT_STORE_KEYS_INTERNAL_H
#define XT_STORE_KEYS_INTERNAL_H

#include "store/keys_taken.h"
#include "store/keys_use.h"

/* One key as it is told. */
struct xt_key_row {
    const char *kind;
    uint32_t id; /* 0: it has none */
    const char *made;
    bool current;
    const struct xt_key_use_count *use; /* of a master key */
    uint32_t vouched_by;                /* of an audit key; 0: nobody */
    const char *kid; /* of a signing or token key: its name in the published list */
    bool next;       /* it will be the current one */
};

struct xt_key_printer {
    bool json;
    unsigned rows;
};

/* A further kind of keys is a place in the enumeration, a line in `kinds` and these three. */
enum xt_key_kind_place {
    XT_KEYS_MASTER,
    XT_KEYS_AUDIT,
    XT_KEYS_TICKETS,
    XT_KEYS_SIGNING,
    XT_KEYS_TOKEN,
    XT_KEYS_KINDS
};
struct xt_key_kind {
    const char *name;
    const char *file; /* in DIR/keys */
    enum xt_status (*list)(const char *dir, struct xt_key_printer *printer,
                           struct xt_failure *failure);
    enum xt_status (*rotate)(const char *dir, uint32_t *id, struct xt_failure *failure);
    /* Whether the server that runs has it in force. */
    bool (*is_taken)(const char *dir, uint32_t id, const struct xt_keys_taken *taken);
};
extern const struct xt_key_kind xt_key_kinds[XT_KEYS_KINDS];

/* What the command line asks for. */
struct xt_keys_asked {
    const char *action, *dir, *id;
    const struct xt_key_kind *kind;
    bool json;
};

/* ---- keys_list.c ---- */
void xt_key_print_row(struct xt_key_printer *printer, const struct xt_key_row *row);
/* What needs a master key: as members of an object, as words. */
void xt_key_print_use_json(const struct xt_key_use_count *use);
void xt_key_print_use_text(const struct xt_key_use_count *use);

/* Exit codes. */
XT_MUST_USE int xt_keys_list(const struct xt_keys_asked *asked);
/* ---- keys_change.c ---- */
XT_MUST_USE int xt_keys_rotate(const struct xt_keys_asked *asked);
XT_MUST_USE int xt_keys_retire(const struct xt_keys_asked *asked);

#endif
