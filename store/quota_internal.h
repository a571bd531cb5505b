/* store/quota_internal: the format, for quota_day.c and quota_book.c (the supervisor) and quota.c
 * (workers).
 *
 *   index   head | entries, one a partner: its place is his number | MAC
 *   what is handed to workers: the indexes of the days, one after another, in a sealed memory file, then
 *   the file of each day
 * All in memory order: a file is of the machine that wrote it, and has another magic for one with the
 * other byte order.
 */
#ifndef XT_STORE_QUOTA_INTERNAL_H
#define XT_STORE_QUOTA_INTERNAL_H

#include "crypto/seal.h"
#include "store/quota.h"

#define XT_QUOTA_MAGIC 0x3161746f75717478ULL /* "xtquota1" */
#define XT_QUOTA_NAMES_MAX (2 * XT_PARTNERS_MAX)
#define XT_QUOTA_LINE 64 /* bytes from one counter to the next */
#define XT_QUOTA_COUNTERS ((uint64_t)XT_QUOTA_NAMES_MAX * XT_QUOTA_LINE)
#define XT_QUOTA_REGIONS 16
#define XT_QUOTA_LEAST 4096 /* ids of the smallest region: doubled 15 times it holds XT_QUOTA_MAX */
#define XT_QUOTA_SLOTS 2    /* for each id */
#define XT_QUOTA_PAGE 65536U
#define XT_QUOTA_MAC_KEY UINT32_MAX /* no partner's number */

struct xt_quota_head {
    uint64_t magic;
    uint32_t key_id; /* of the master key */
    int32_t day;
    uint64_t entries;
    uint64_t size; /* bytes of the day's file that are in use */
    uint8_t salt[XT_SALT_BYTES];
};

struct xt_quota_region {
    uint64_t at;  /* bytes from the beginning of the file, a multiple of 8 */
    uint64_t ids; /* that it is for */
};

struct xt_quota_entry {
    char name[XT_PARTNER_NAME_MAX + 8]; /* with its NUL */
    uint64_t regions;
    struct xt_quota_region region[XT_QUOTA_REGIONS];
};
_Static_assert(sizeof(struct xt_quota_head) == 64 && sizeof(struct xt_quota_entry) == 336,
               "no padding is written");
_Static_assert(XT_QUOTA_MAX <= (uint64_t)XT_QUOTA_LEAST << (XT_QUOTA_REGIONS - 1),
               "any quota can be reached by raising it");

static inline uint64_t xt_quota_region_bytes(uint64_t ids)
{
    return ids * XT_QUOTA_SLOTS * sizeof(uint64_t);
}

/* How many ids the regions of an entry are for. */
static inline uint64_t xt_quota_room(const struct xt_quota_entry *entry)
{
    uint64_t ids = 0;
    for (uint64_t i = 0; i < entry->regions; i++) {
        ids += entry->region[i].ids;
    }
    return ids;
}

/* The index at the front of text, cut off it with its MAC, whose value is not looked at. Everything that
 * is gone by later lies within its bounds then. false: it does not add up. file_size: of its day's. */
bool xt_quota_index_cut(struct xt_span *text, uint64_t file_size, struct xt_quota_head *head,
                        const uint8_t **entries);

/* ---- one day, for quota_book.c ---------------------------------------------------------------- */

struct xt_quota_day {
    int fd; /* of its file; -1: this day is not held */
    struct xt_quota_head head;
    struct xt_quota_entry *entries;
    size_t capacity;
    bool changed; /* the index on the disk is another */
};
#define XT_QUOTA_NO_DAY ((struct xt_quota_day){.fd = -1})

/* The day that a file's name tells; false: it is not called after one. */
bool xt_quota_day_of(const char *name, int32_t *day);

/* What lies there. owner: nobody else may change it, so that places are counted again where no worker
 * has the file. XT_NOT_FOUND: nothing (an empty failure), or its master key is not there; XT_CORRUPT. */
XT_MUST_USE enum xt_status xt_quota_day_read(const char *folder, bool owner,
                                             const struct xt_keyring *keyring, int32_t number,
                                             struct xt_quota_day *day, struct xt_failure *failure);
/* Makes the file, with nobody in it and no index yet. */
XT_MUST_USE enum xt_status xt_quota_day_make(const char *folder, const struct xt_keyring *keyring,
                                             int32_t number, struct xt_quota_day *day,
                                             struct xt_failure *failure);
/* Room for every partner with a quota, and the index written; everybody has a try, and the first failure
 * is told. *changed becomes true when another index is on the disk. */
XT_MUST_USE enum xt_status xt_quota_day_settle(const char *folder, struct xt_quota_day *day,
                                               const struct xt_partners *partners,
                                               const struct xt_keyring *keyring, bool *changed,
                                               struct xt_failure *failure);
/* The index with its MAC. */
size_t xt_quota_day_size(const struct xt_quota_day *day);
XT_MUST_USE enum xt_status xt_quota_day_write(const struct xt_quota_day *day,
                                              const struct xt_keyring *keyring,
                                              struct xt_writer *writer);
/* Whether anybody asked anything that day. */
bool xt_quota_day_is_used(const struct xt_quota_day *day);
void xt_quota_day_release(struct xt_quota_day *day);
void xt_quota_day_remove(const char *folder, int32_t number);

#endif
