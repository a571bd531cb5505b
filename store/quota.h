/* store/quota: which identity numbers each partner has asked about today, so that no partner asks about
 * more of them than his daily quota: exactly, over all workers, across a restart and whoever dies.
 *
 *   DIR/supervisor/quota-20261122         counters, then the partners' sets: mapped by all workers
 *   DIR/supervisor/quota-20261122.index   which partner has which of them; written by the supervisor, under a MAC
 *   DIR/supervisor/quota.lock             held by the supervisor that may change any of it
 *
 *   counters    one for each partner of the index, each in a cache line of its own
 *   region      2 slots of 8 bytes for each id that it is for, so it is half full at most; a slot is
 *               0 or the mark of an id
 *   mark        the first 64 bits of the keyed hash of kind and number under a key of this day and
 *               partner, derived from the master key that was current when the day's files were made:
 *               who has the disk and not the keys learns how many ids were asked and nothing of which, and
 *               cannot tell the same id under two partners. Of a million ids of one partner two have the
 *               same mark once in 10^7 days; then one of them is free.
 *
 * A request looks its mark up (open addressing: one cache miss) and, if it is new, first takes a place
 * by compare-and-swap on the counter and then a slot by compare-and-swap. So no more ids than the
 * quota are ever let through. A process that dies between the two loses one place, until the next start
 * counts the slots. Of two requests that ask the same new id in the same instant, one gives its place
 * back; in between, in nanoseconds, another id may be refused that would have had the last place.
 *
 * A partner whose quota is raised gets a further region, at least as large as all that he has; nothing
 * moves. One whose quota is lowered keeps what he has asked. The files keep what a partner that was
 * removed has asked, for when he comes back the same day.
 * A day is the civil day in Viet Nam. The next one's files are made some minutes before, and both days
 * are handed out, so that no turn of a loop waits at midnight. A clock that is set back goes on with the
 * newer day, or with the day that it is if that one is still there: the newest file of a day past stays, and
 * so does any of a day to come, for a clock that was wrong comes back.
 * Room is allocated when a region is made (a map of a file with holes would end a process on a full disk):
 * 16 bytes for each id of a quota, for today and the day before, and
 * for a while before midnight for the next one.
 * What was asked is in memory of the kernel's as soon as it is let through, and survives any process;
 * only a power cut can take back what the kernel had not written yet (vm.dirty_expire_centisecs, 30 s).
 * On a disk of another machine there is no such memory (store/local_disk).
 */
#ifndef XT_STORE_QUOTA_H
#define XT_STORE_QUOTA_H

#include "core/date.h"
#include "crypto/keyring.h"
#include "store/partners.h"

#define XT_QUOTA_DAYS 2                  /* that are held at a time, at most */
#define XT_QUOTA_FDS (1 + XT_QUOTA_DAYS) /* what is handed to a worker */
#define XT_QUOTA_AHEAD_S 600 /* the next day's files are made so long before it begins */

/* Days since 1970-01-01 of the civil day in Viet Nam. */
int32_t xt_quota_day(uint64_t unix_ms);
/* Seconds until the next one begins, 1 to 86400. */
uint32_t xt_quota_seconds_left(uint64_t unix_ms);

/* ---- the supervisor's ------------------------------------------------------------------------- */

struct xt_quota_book; /* opaque: the files of the days that are held */

/* Opens what there is for the day of unix_ms and the next one. No partner with a quota, no file. Never
 * fails for what is wrong with a file: the day then begins anew, and xt_quota_book_lost says why. */
XT_MUST_USE enum xt_status xt_quota_book_open(const char *dir, const struct xt_keyring *keyring,
                                              uint64_t unix_ms, struct xt_quota_book **book,
                                              struct xt_failure *failure);
void xt_quota_book_close(struct xt_quota_book *book);

/* Makes the files of days to come and room for each partner with a quota, takes away what is over. To be
 * called about once a second and when the partners change. On failure (XT_DISK_FULL, XT_IO, XT_TOO_LARGE:
 * a quota was raised too often in one day) the others have their room all the same, and who has none is
 * not let through. XT_BUSY: another process has the lock (a supervisor that still drains), and what
 * it makes is taken up. */
XT_MUST_USE enum xt_status xt_quota_book_settle(struct xt_quota_book *book,
                                                const struct xt_partners *partners,
                                                const struct xt_keyring *keyring, uint64_t unix_ms,
                                                struct xt_failure *failure);

/* A number that changes with what is to be handed; 0: nothing was ever to be handed. */
uint64_t xt_quota_book_serial(const struct xt_quota_book *book);
/* The descriptors for a worker; gives how many. They stay the book's, until the next settle. */
unsigned xt_quota_book_hand(const struct xt_quota_book *book, int fds[XT_QUOTA_FDS]);
/* Whether what was asked in a day was lost, and why, for the log; told once. */
bool xt_quota_book_lost(struct xt_quota_book *book, struct xt_failure *why);

/* ---- a worker's ------------------------------------------------------------------------------- */

struct xt_quota_view; /* opaque: maps */
struct xt_quota_seat; /* opaque: of one partner in a view */

/* Maps what was handed; the descriptors stay the caller's, who may close them. XT_NOT_FOUND: the master
 * key of the day is not in the keyring; XT_CORRUPT: it does not add up; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_quota_view_open(const int *fds, unsigned count,
                                              const struct xt_keyring *keyring,
                                              struct xt_quota_view **view,
                                              struct xt_failure *failure);
void xt_quota_view_close(struct xt_quota_view *view);

/* NULL: nothing is kept for a partner of this name. Borrowed from the view. */
const struct xt_quota_seat *xt_quota_seat(const struct xt_quota_view *view, const char *name);

/* May he ask about this id today? XT_OK: yes, and it is counted, or was before. XT_DENIED: his quota is
 * used up. XT_AGAIN: there is no room for it yet (nor any for the day, or for a quota just raised). */
XT_MUST_USE enum xt_status xt_quota_take(const struct xt_quota_view *view,
                                         const struct xt_quota_seat *seat, uint64_t quota,
                                         struct xt_id id, int32_t day);

/* How many ids count for him on that day. */
uint64_t xt_quota_used(const struct xt_quota_view *view, const struct xt_quota_seat *seat,
                       int32_t day);

#endif
