/* store/import_people: the lines of an input become people in a builder. */
#ifndef XT_STORE_IMPORT_PEOPLE_H
#define XT_STORE_IMPORT_PEOPLE_H

#include "store/builder.h"
#include "store/import_read.h"

/* Gives in *people how many were added. Rejects do not fail it. */
XT_MUST_USE enum xt_status xt_import_people(const struct xt_import_input *input,
                                            struct xt_builder *builder, struct xt_rejects *rejects,
                                            uint64_t *people, struct xt_failure *failure);

#endif
