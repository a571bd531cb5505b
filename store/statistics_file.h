/* store/statistics_file: how many people of a sealed generation have each key of core/statistics: the file
 * `statistics` beside data.mdb.
 *
 *   magic 8 | sealed: people, by rising keys: key less the one before, people     each 7 bits a byte, low first
 *
 * Sealed with AES-256-GCM under the generation's salt, as its records are, as table XT_STATISTICS_TABLE; bound to the
 * digest of data.mdb. Generations from before there was such a file are served without statistics until the next
 * import or compaction.
 */
#ifndef XT_STORE_STATISTICS_FILE_H
#define XT_STORE_STATISTICS_FILE_H

#include "store/generation.h"
#include "store/tally.h"

#define XT_STATISTICS_NAME "statistics"
#define XT_STATISTICS_TABLE 255U /* no table of records has this number */

/* Writes folder/statistics, 0400 and synced; the manifest is whole. No count is below 0. */
XT_MUST_USE enum xt_status xt_statistics_file_write(const char *folder,
                                                    const struct xt_manifest *manifest,
                                                    const struct xt_keyring *keyring,
                                                    const struct xt_tally *tally,
                                                    struct xt_failure *failure);

/* XT_NOT_FOUND: there is none. XT_CORRUPT, XT_DENIED (the key), XT_NO_MEMORY. tally is empty or zeroed; the
 * caller frees it. */
XT_MUST_USE enum xt_status xt_statistics_file_read(const char *folder,
                                                   const struct xt_manifest *manifest,
                                                   const struct xt_keyring *keyring,
                                                   struct xt_tally *tally,
                                                   struct xt_failure *failure);

/* The same of generation manifest->number of a deployment. */
XT_MUST_USE enum xt_status xt_generation_statistics(const char *dir,
                                                    const struct xt_manifest *manifest,
                                                    const struct xt_keyring *keyring,
                                                    struct xt_tally *tally,
                                                    struct xt_failure *failure);

#endif
