/* store/links_internal: what the parts of `import --links` share. Private to it.
 *
 *   links_read.c     lines into the sealed files
 *   links_decide.c   what they change in whom
 *   links.c          both, and the new generation
 */
#ifndef XT_STORE_LINKS_INTERNAL_H
#define XT_STORE_LINKS_INTERNAL_H

#include "store/compact_internal.h"
#include "store/links.h"
#include "store/spill.h"

struct xt_linking {
    struct xt_compaction compaction;
    struct xt_live *live; /* NULL: there is none, or nothing in it */
    struct xt_spill *spill;
    struct xt_relinked relinked;
    struct xt_rejects *rejects;
    struct xt_links_report *report;
    struct xt_failure *failure;
};

/* One record for each line that can be read: hash and number of the person, line, and the bytes of a struct
 * xt_link. Gives in *lines how many. */
XT_MUST_USE enum xt_status xt_links_read(struct xt_linking *linking,
                                         const struct xt_import_input *input, uint64_t *lines);

/* Goes through them: those who change into the builder and into relinked, the others into the rejects. */
XT_MUST_USE enum xt_status xt_links_decide(struct xt_linking *linking);

#endif
