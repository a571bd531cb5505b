/* store/generation: one sealed generation of the register, and the one that is served.
 *
 *   DIR/identity/
 *     current -> 000007            a symbolic link, switched by rename
 *     000007/                      0500 once sealed; never changed afterwards
 *       data.mdb                   the tables (store/table_file)
 *       manifest                   version, key id, salt, counts, sizes, digest of data.mdb, MAC
 *       statistics                 how many people there are of each kind (store/statistics_file)
 *     building-<pid>-<random>/     an import at work, or what a killed one left: removed by the next
 *
 * Readers open data.mdb MDB_RDONLY|MDB_NOLOCK|MDB_NOTLS|MDB_NORDAHEAD|MDB_NOSUBDIR: no lock file.
 * Thread:  one loop; open after fork(), never twice in a process at once for the same file.
 */
#ifndef XT_STORE_GENERATION_H
#define XT_STORE_GENERATION_H

#include <sys/stat.h>

#include "core/record.h"
#include "crypto/keyring.h"
#include "store/table.h"

struct xt_generation; /* opaque */

#define XT_GENERATION_DIGEST 32   /* bytes */
#define XT_GENERATION_IDENTITY 32 /* bytes that tell one live store from another */

struct xt_manifest {
    uint32_t version;
    uint32_t number; /* 7 for 000007 */
    uint32_t key_id;
    uint8_t salt[XT_SALT_BYTES];
    uint64_t made_unix_ms;
    uint64_t people;   /* hot records */
    uint64_t replaced; /* replaced numbers: the other records of the hot table */
    uint64_t aliases;  /* different CMND numbers */
    uint64_t phones;   /* different phones */
    /* Of a generation that a compaction made (store/compact): it holds all changes of one live store
     * up to this event. 0: it was imported. */
    uint64_t folded;
    uint32_t folded_base;                        /* the generation that they were folded into */
    uint8_t folded_live[XT_GENERATION_IDENTITY]; /* which live store: store/live_fold.h */
    struct xt_table_sizes tables[XT_TABLE_COUNT];
    uint64_t file_bytes;
    uint8_t digest[XT_GENERATION_DIGEST]; /* BLAKE2b-256 of data.mdb */
};

/* Number of the served generation; XT_NOT_FOUND when nothing was imported yet. */
XT_MUST_USE enum xt_status xt_generation_current(const char *dir, uint32_t *number,
                                                 struct xt_failure *failure);

/* Opens one (checks the manifest's MAC, the file's size and its tree, not the whole digest: ready at
 * once whatever the size). XT_CORRUPT: it is not what was sealed. XT_DENIED: the keyring lacks its
 * master key. XT_NOT_FOUND: there is no such generation. keyring is not needed after this. */
XT_MUST_USE enum xt_status xt_generation_open(const char *dir, uint32_t number,
                                              const struct xt_keyring *keyring,
                                              struct xt_generation **generation,
                                              struct xt_failure *failure);
void xt_generation_close(struct xt_generation *generation);

/* Which file stands under a generation's number now, to tell by device and inode whether it is still the
 * one that was opened. false: none, or it cannot be looked at. */
bool xt_generation_look(const char *dir, uint32_t number, struct stat *data);

const struct xt_manifest *xt_generation_manifest(const struct xt_generation *generation);

/* What an id names. */
struct xt_found {
    /* false: hot is somebody else's or a stand-in, so that comparing with it takes what comparing with
     * people does; nothing of it may be told. Its number is what was looked up (of a CMND a number that
     * nobody has), so that looking for its links goes to as many pages as that of people does. */
    bool found;
    bool by_alias; /* found through a CMND or a replaced number */
    struct xt_hot hot;
};

/* Looks a person up by number, replaced number or CMND. An alias of several people is not found.
 * XT_OK also when nothing was found. XT_CORRUPT: the record is damaged (answer 503).
 *
 * Work: one lookup for a number in force and for one that nobody has; two for any CMND, known or
 * not. A replaced number costs two, the second for its successor: by some 0.5 us (more where a page
 * is cold) it can be told from a number in force and from one that was never given, so that it shows
 * to have been given once. Accepted: one number in a thousand is one, nothing else of its holder shows,
 * and who asks must hold a partner's certificate and a purpose. To hide it every verify would have to
 * pay for a second lookup. */
XT_MUST_USE enum xt_status xt_generation_find(struct xt_generation *generation, struct xt_id id,
                                              struct xt_found *found);

/* The same for many ids, with the waits for memory of XT_TABLE_GROUP of them at a time overlapped: the
 * same answers, in any order of kinds, each with its status in its place. Two of the same id are fine. */
struct xt_lookup {
    struct xt_id id;       /* asked */
    enum xt_status status; /* and told: as xt_generation_find gives them */
    struct xt_found found;
};
void xt_generation_find_batch(struct xt_generation *generation, struct xt_lookup *const *lookups,
                              size_t count);

/* The links of these people (at most XT_TABLE_GROUP) are going to be asked for next: fetches what that
 * will need, all at once. Changes no answer. */
void xt_generation_expect_links(struct xt_generation *generation, const uint64_t *numbers,
                                unsigned count);

/* The links of a person (number as in xt_found.hot). A number without a cold record costs what one
 * with it does: another record of its page is opened and decoded. XT_NOT_FOUND: no cold record;
 * *links is then empty, with others' to be compared with. */
XT_MUST_USE enum xt_status xt_generation_links(struct xt_generation *generation, uint64_t number,
                                               struct xt_links *links);

/* A person's cold record, borrowed until the next lookup. XT_NOT_FOUND: there is none; *record is then another's
 * of its page, or empty, only for looking alike. */
XT_MUST_USE enum xt_status xt_generation_cold(struct xt_generation *generation, uint64_t number,
                                              struct xt_span *record);
/* Whom a CMND or a phone names. XT_NOT_FOUND: nobody. */
XT_MUST_USE enum xt_status xt_generation_people(struct xt_generation *generation, struct xt_id id,
                                                struct xt_alias *alias);

/* Every person's hot record, in the order of the hashes; visit gives XT_OK to go on. XT_CORRUPT at
 * the first record that does not open. */
typedef enum xt_status (*xt_generation_visit)(void *context, const struct xt_hot *hot);
XT_MUST_USE enum xt_status xt_generation_each(struct xt_generation *generation,
                                              xt_generation_visit visit, void *context);

#endif
