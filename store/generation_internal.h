/* store/generation_internal: what the parts of store/ that open a generation share. Private to it. */
#ifndef XT_STORE_GENERATION_INTERNAL_H
#define XT_STORE_GENERATION_INTERNAL_H

#include "store/generation.h"
#include "store/memory.h"
#include "store/table_file.h"

#define XT_DATA_NAME "data.mdb"

/* A replaced number's record in the hot table: this byte, then the alias. The first byte of every
 * other hot record is its version, which never gets here. */
#define XT_REDIRECT_MARK 0xff

struct xt_generation {
    struct xt_memory self; /* that this stands in: left out of core dumps, wiped */
    struct xt_manifest manifest;
    struct xt_table_file *file;
    struct xt_table *tables[XT_TABLE_COUNT];
    uint8_t hash_key[XT_KEY_BYTES];
    size_t stand_in_size;
    uint8_t stand_in[XT_HOT_MAX]; /* a hot record for whoever is not found */
    uint8_t record[XT_RECORD_MAX];
};

/* Opens the generation in a folder, whatever it is called. */
XT_MUST_USE enum xt_status xt_generation_open_folder(const char *folder,
                                                     const struct xt_keyring *keyring,
                                                     struct xt_generation **generation,
                                                     struct xt_failure *failure);

/* The parts of a redirect; XT_NOT_FOUND when the hot table's record is not one. */
XT_MUST_USE enum xt_status xt_redirect_decode(struct xt_span record, struct xt_alias *alias);

#endif
