/* The supervisor's side of quotas: which days are held, by whom, and what the workers are handed. */
#include "store/quota_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/local_disk.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct xt_quota_book {
    char folder[XT_PATH_MAX];
    int lock;                                /* -1: another process has it */
    struct xt_quota_day days[XT_QUOTA_DAYS]; /* those held first, by day, ascending */
    int handed;                              /* the indexes, for workers; -1: never made */
    uint64_t serial;
    bool leapt;             /* a day to come was told of */
    bool stale;             /* what was handed is not what holds any more */
    struct xt_failure lost; /* text "": nothing was */
};

/* ---- days ------------------------------------------------------------------------------------- */

/* Told of a day with marks that is let go though it was not just over: whoever used up his quota has
 * another one until the clock is back. */
static void tell_leap(struct xt_quota_book *book, const struct xt_quota_day *day, int32_t today)
{
    if (day->head.day != today - 1 && xt_quota_day_is_used(day)) {
        (void)xt_fail(&book->lost, XT_INVALID,
                      "the clock leapt by %ld days: what was asked before does not count until it "
                      "is back",
                      (long)today - day->head.day);
    }
}

/* What is over, and what a clock that is wrong or was wrong has left. The files stay: the clock may come
 * back. */
static void drop_days(struct xt_quota_book *book, int32_t today, bool *changed)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        struct xt_quota_day *day = &book->days[i];
        if (day->fd < 0) {
            continue;
        }
        if (day->head.day < today || day->head.day > today + 1) {
            tell_leap(book, day, today);
            xt_quota_day_release(day);
            *changed = true;
        } else if (kept++ != i) {
            book->days[kept - 1] = *day;
            *day = XT_QUOTA_NO_DAY;
        }
    }
}

static bool any_quota(const struct xt_partners *partners)
{
    for (unsigned i = 0; i < xt_partners_count(partners); i++) {
        if (xt_partners_at(partners, i)->daily_quota > 0) {
            return true;
        }
    }
    return false;
}

static unsigned days_held(const struct xt_quota_book *book)
{
    return (book->days[0].fd >= 0) + (book->days[1].fd >= 0);
}

static bool has_day(const struct xt_quota_book *book, int32_t number)
{
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        if (book->days[i].fd >= 0 && book->days[i].head.day == number) {
            return true;
        }
    }
    return false;
}

/* Holds the day as it lies there, if it does. */
static enum xt_status take_day(struct xt_quota_book *book, const struct xt_keyring *keyring,
                               int32_t number)
{
    struct xt_quota_day day = XT_QUOTA_NO_DAY;
    struct xt_failure why = {0};
    enum xt_status status =
        xt_quota_day_read(book->folder, book->lock >= 0, keyring, number, &day, &why);
    if (status == XT_CORRUPT || status == XT_NOT_FOUND) {
        if (why.text[0] != '\0') {
            book->lost = why;
        }
        if (book->lock >= 0) {
            xt_quota_day_remove(book->folder, number);
        }
        return XT_OK;
    }
    if (status == XT_OK) {
        unsigned at = days_held(book);
        if (at == 1 && book->days[0].head.day > number) {
            book->days[1] = book->days[0];
            at = 0;
        }
        book->days[at] = day;
    }
    return status;
}

/* Today and tomorrow, as they lie there. */
static enum xt_status read_days(struct xt_quota_book *book, const struct xt_keyring *keyring,
                                int32_t today)
{
    enum xt_status status = XT_OK;
    for (int32_t number = today; status == XT_OK && number <= today + 1; number++) {
        status = has_day(book, number) ? XT_OK : take_day(book, keyring, number);
    }
    return status;
}

/* Those that are there already (a clock that came back), then today's, unless a newer day is held (a clock
 * that was set back), and the next one's in time. */
static enum xt_status add_days(struct xt_quota_book *book, const struct xt_keyring *keyring,
                               uint64_t unix_ms, bool *changed, struct xt_failure *failure)
{
    int32_t today = xt_quota_day(unix_ms);
    unsigned held = days_held(book);
    enum xt_status status = read_days(book, keyring, today);
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "cannot read the quotas in %s: %s", book->folder,
                      xt_status_name(status));
    }
    *changed = *changed || days_held(book) != held;
    if (status == XT_OK && days_held(book) == 0) {
        status = xt_quota_day_make(book->folder, keyring, today, &book->days[0], failure);
    }
    if (status == XT_OK && days_held(book) == 1 && !has_day(book, today + 1) &&
        xt_quota_seconds_left(unix_ms) <= XT_QUOTA_AHEAD_S) {
        status = xt_quota_day_make(book->folder, keyring, today + 1, &book->days[1], failure);
    }
    return status;
}

/* ---- handing ---------------------------------------------------------------------------------- */

static enum xt_status write_all(int fd, struct xt_span text)
{
    while (text.size > 0) {
        ssize_t size = write(fd, text.data, text.size);
        if (size < 0 && errno != EINTR) {
            return XT_NO_MEMORY;
        }
        size_t done = size < 0 ? 0 : (size_t)size;
        text = xt_span_of(text.data + done, text.size - done);
    }
    return XT_OK;
}

static enum xt_status renew_handed(struct xt_quota_book *book, const struct xt_keyring *keyring,
                                   struct xt_failure *failure)
{
    unsigned days = days_held(book);
    size_t size = 0;
    for (unsigned i = 0; i < days; i++) {
        size += xt_quota_day_size(&book->days[i]);
    }
    uint8_t *text = malloc(size + 1);
    int fd = memfd_create("xacthuc-quota", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : size);
    enum xt_status status = text == NULL || fd < 0 ? XT_NO_MEMORY : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < days; i++) {
        status = xt_quota_day_write(&book->days[i], keyring, &writer);
    }
    if (status == XT_OK) {
        status = write_all(fd, xt_written(&writer));
    }
    if (status == XT_OK && fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
        status = XT_IO;
    }
    free(text);
    if (status != XT_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return xt_fail(failure, status, "cannot hand the quotas to the workers: %s",
                       xt_status_name(status));
    }
    if (book->handed >= 0) {
        close(book->handed);
    }
    book->handed = fd;
    book->stale = false;
    book->serial++;
    return XT_OK;
}

uint64_t xt_quota_book_serial(const struct xt_quota_book *book)
{
    return book == NULL ? 0 : book->serial;
}

unsigned xt_quota_book_hand(const struct xt_quota_book *book, int fds[XT_QUOTA_FDS])
{
    unsigned days = days_held(book);
    fds[0] = book->handed;
    for (unsigned i = 0; i < days; i++) {
        fds[1 + i] = book->days[i].fd;
    }
    return 1 + days;
}

bool xt_quota_book_lost(struct xt_quota_book *book, struct xt_failure *why)
{
    *why = book->lost;
    book->lost.text[0] = '\0';
    return why->text[0] != '\0';
}

/* ---- the book --------------------------------------------------------------------------------- */

static void take_lock(struct xt_quota_book *book)
{
    char path[XT_PATH_MAX];
    if (book->lock >= 0 || xt_path_join(path, book->folder, "quota.lock") != XT_OK) {
        return;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        book->lock = fd;
    } else if (fd >= 0) {
        close(fd);
    }
}

/* Goes through the days that have a file: the newest of those past; removes those before `keep`. */
static int32_t walk_days(struct xt_quota_book *book, int32_t today, int32_t keep)
{
    DIR *list = opendir(book->folder);
    struct dirent *entry;
    int32_t newest = INT32_MIN;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        int32_t day = 0;
        if (!xt_quota_day_of(entry->d_name, &day)) {
            continue;
        }
        if (day < keep) {
            xt_quota_day_remove(book->folder, day);
        } else if (day < today && day > newest) {
            newest = day;
        } else if (day > today + 1 && !book->leapt) {
            book->leapt = true;
            (void)xt_fail(&book->lost, XT_INVALID,
                          "%s/%s is of a day to come: if the clock is wrong, what was asked does "
                          "not count until it is right",
                          book->folder, entry->d_name);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    return newest;
}

/* Files of days that are over, but for the newest of them: a clock that is ahead may come back. What lies
 * in the future is never removed: then it is the clock that may be wrong. */
static void clear_up(struct xt_quota_book *book, int32_t today)
{
    int32_t newest = walk_days(book, today, INT32_MIN);
    if (newest != INT32_MIN) {
        (void)walk_days(book, today, newest);
    }
}

enum xt_status xt_quota_book_open(const char *dir, const struct xt_keyring *keyring,
                                  uint64_t unix_ms, struct xt_quota_book **book,
                                  struct xt_failure *failure)
{
    struct xt_quota_book *made = malloc(sizeof(*made));
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "no memory for the quotas");
    }
    *made = (struct xt_quota_book){
        .lock = -1, .handed = -1, .days = {XT_QUOTA_NO_DAY, XT_QUOTA_NO_DAY}};
    enum xt_status status = xt_path_join(made->folder, dir, XT_SUPERVISOR_FOLDER);
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "the path %s is too long", dir);
    }
    if (status == XT_OK) {
        status = xt_disk_check(made->folder, XT_DISK_SHARED_MAPS, failure);
    }
    if (status == XT_OK) {
        take_lock(made);
        if (made->lock >= 0) {
            clear_up(made, xt_quota_day(unix_ms));
        }
        status = read_days(made, keyring, xt_quota_day(unix_ms));
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "cannot read the quotas in %s: %s", made->folder,
                          xt_status_name(status));
        }
    }
    if (status == XT_OK && days_held(made) > 0) {
        status = renew_handed(made, keyring, failure);
    }
    if (status != XT_OK) {
        xt_quota_book_close(made);
        return status;
    }
    *book = made;
    return XT_OK;
}

void xt_quota_book_close(struct xt_quota_book *book)
{
    if (book == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        xt_quota_day_release(&book->days[i]);
    }
    if (book->handed >= 0) {
        close(book->handed);
    }
    if (book->lock >= 0) {
        close(book->lock);
    }
    free(book);
}

/* Another supervisor decides; what it wrote is taken up when it is another than what we have. */
static enum xt_status follow(struct xt_quota_book *book, const struct xt_keyring *keyring,
                             uint64_t unix_ms, struct xt_failure *failure)
{
    struct xt_quota_book fresh = *book;
    bool same = true;
    fresh.days[0] = fresh.days[1] = XT_QUOTA_NO_DAY;
    enum xt_status status = read_days(&fresh, keyring, xt_quota_day(unix_ms));
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        const struct xt_quota_day *left = &fresh.days[i], *right = &book->days[i];
        same = same && (left->fd < 0) == (right->fd < 0) &&
               (left->fd < 0 || (memcmp(&left->head, &right->head, sizeof(left->head)) == 0 &&
                                 memcmp(left->entries, right->entries,
                                        (size_t)left->head.entries * sizeof(*left->entries)) == 0));
    }
    struct xt_quota_book *gone = same || status != XT_OK ? &fresh : book;
    xt_quota_day_release(&gone->days[0]);
    xt_quota_day_release(&gone->days[1]);
    if (gone == book) {
        memcpy(book->days, fresh.days, sizeof(book->days));
        status = renew_handed(book, keyring, failure);
    }
    return status == XT_OK ? XT_BUSY : status;
}

enum xt_status xt_quota_book_settle(struct xt_quota_book *book, const struct xt_partners *partners,
                                    const struct xt_keyring *keyring, uint64_t unix_ms,
                                    struct xt_failure *failure)
{
    bool changed = false, had_lock = book->lock >= 0;
    take_lock(book);
    if (!had_lock) { /* what the one before has done last, too */
        enum xt_status status = follow(book, keyring, unix_ms, failure);
        if (book->lock < 0 || status != XT_BUSY) {
            return status;
        }
    }
    drop_days(book, xt_quota_day(unix_ms), &changed);
    bool dropped = changed;
    enum xt_status status = XT_OK;
    if (any_quota(partners)) {
        status = add_days(book, keyring, unix_ms, &changed, failure);
    }
    if (dropped) {
        clear_up(book, xt_quota_day(unix_ms));
    }
    for (unsigned i = 0; i < days_held(book); i++) {
        enum xt_status settled =
            xt_quota_day_settle(book->folder, &book->days[i], partners, keyring, &changed,
                                status == XT_OK ? failure : NULL);
        status = status == XT_OK ? settled : status;
    }
    book->stale = book->stale || changed;
    if (book->stale && !book->days[0].changed && !book->days[1].changed) {
        enum xt_status handed = renew_handed(book, keyring, status == XT_OK ? failure : NULL);
        status = status == XT_OK ? handed : status;
    }
    return status;
}
