/* bench/peers_template: the configuration of other software (bench/peers/), filled in and written. */
#ifndef XT_BENCH_PEERS_TEMPLATE_H
#define XT_BENCH_PEERS_TEMPLATE_H

#include "core/span.h"
#include "core/status.h"

struct xt_peers_file {
    const char *name, *text;
};
extern const struct xt_peers_file xt_peers_files[]; /* made by embed.py; ends with a NULL name */

/* What stands for @NAME@ in a text; names are capitals, digits and underscores. */
struct xt_peers_value {
    const char *name, *value;
};

#define XT_PEERS_TEXT_MAX (32U << 10) /* bytes of a text filled in */

/* The text of the file of that name (it must exist) with every @NAME@ filled in, NUL-terminated.
 * XT_TOO_LARGE, or XT_INVALID for a name
 * without a value. values: ends with a NULL name. */
XT_MUST_USE enum xt_status xt_peers_fill(const char *name, const struct xt_peers_value *values,
                                         char text[XT_PEERS_TEXT_MAX], struct xt_failure *failure);

/* The same into folder/as. */
XT_MUST_USE enum xt_status xt_peers_write(const char *name, const struct xt_peers_value *values,
                                          const char *folder, const char *as,
                                          struct xt_failure *failure);

#endif
