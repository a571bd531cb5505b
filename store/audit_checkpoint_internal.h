/* store/audit_checkpoint_internal: between the parts of store/audit_checkpoint only. */
#ifndef XT_STORE_AUDIT_CHECKPOINT_INTERNAL_H
#define XT_STORE_AUDIT_CHECKPOINT_INTERNAL_H

#include "store/audit_checkpoint.h"

#define XT_AUDIT_CHECKPOINT_LABEL "xt audit check 1"

/* Signs; gives its bytes. number, unix_ms, flags, before and rows of checkpoint count. */
size_t xt_audit_checkpoint_make(const struct xt_audit_checkpoint *checkpoint,
                                const struct xt_audit_key *key, const struct xt_audit_row *rows,
                                uint8_t bytes[XT_AUDIT_CHECKPOINT_MAX]);

#endif
