/* The supervisor's side of quotas: files and indexes of the days, who has which region. */
#include "store/quota_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/local_disk.h"

#define PREFIX "quota-"
#define INDEX ".index"
#define NAME_MAX_SIZE 32 /* bytes of "quota-20261122.index" and its NUL */
#define INDEX_MAX                                                                                  \
    (sizeof(struct xt_quota_head) + XT_QUOTA_NAMES_MAX * sizeof(struct xt_quota_entry) +           \
     XT_DIGEST_BYTES)
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct day {
    int fd; /* of its file; -1: this day is not held */
    struct xt_quota_head head;
    struct xt_quota_entry *entries;
    size_t capacity;
    bool changed; /* the index on the disk is another */
};

struct xt_quota_book {
    char folder[XT_PATH_MAX];
    int lock;                       /* -1: another process has it */
    struct day days[XT_QUOTA_DAYS]; /* those held first, by day, ascending */
    int handed;                     /* the indexes, for workers; -1: never made */
    uint64_t serial;
    bool stale;             /* what was handed is not what holds any more */
    struct xt_failure lost; /* text "": nothing was */
};

static const struct day no_day = {.fd = -1};

/* ---- names ------------------------------------------------------------------------------------ */

static enum xt_status path_of(const struct xt_quota_book *book, int32_t day, const char *suffix,
                              char path[XT_PATH_MAX])
{
    char name[NAME_MAX_SIZE];
    xt_date date = xt_date_from_days(day);
    (void)snprintf(name, sizeof(name), PREFIX "%04u%02u%02u%s", xt_date_year(date) % 10000,
                   xt_date_month(date) % 100, xt_date_day(date) % 100, suffix);
    return xt_path_join(path, book->folder, name);
}

/* The day that a file's name tells; false: it is not called after one. */
static bool day_of(const char *name, int32_t *day)
{
    char text[XT_DATE_TEXT_MAX + 1];
    xt_date date = XT_DATE_NONE;
    const char *digits = name + sizeof(PREFIX) - 1;
    if (strncmp(name, PREFIX, sizeof(PREFIX) - 1) != 0 || strspn(digits, "0123456789") != 8 ||
        (digits[8] != '\0' && strcmp(digits + 8, INDEX) != 0)) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2s", digits, digits + 4, digits + 6);
    if (xt_date_parse(xt_span_of_string(text), &date) != XT_OK) {
        return false;
    }
    *day = xt_date_to_days(date);
    return true;
}

static void release(struct day *day)
{
    if (day->fd >= 0) {
        close(day->fd);
    }
    free(day->entries);
    *day = no_day;
}

static void remove_files(const struct xt_quota_book *book, int32_t day)
{
    static const char *const suffixes[] = {INDEX, ""}; /* without its index a file is nobody's */
    char path[XT_PATH_MAX];
    for (unsigned i = 0; i < 2; i++) {
        if (path_of(book, day, suffixes[i], path) == XT_OK) {
            (void)unlink(path);
        }
    }
}

/* ---- one day: reading ------------------------------------------------------------------------- */

static enum xt_status index_mac(const struct xt_keyring *keyring, const struct xt_quota_head *head,
                                struct xt_span text, uint8_t mac[XT_DIGEST_BYTES])
{
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status =
        xt_keyring_derive(keyring, head->key_id, XT_USE_QUOTA, XT_QUOTA_MAC_KEY, head->salt, key);
    if (status == XT_OK) {
        xt_mac(key, text, mac);
    }
    xt_wipe(key, sizeof(key));
    return status;
}

static enum xt_status read_index(const struct xt_quota_book *book, const struct xt_keyring *keyring,
                                 int32_t number, struct day *day, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL, mac[XT_DIGEST_BYTES];
    const uint8_t *entries = NULL;
    size_t size = 0;
    struct stat facts;
    enum xt_status status = path_of(book, number, INDEX, path);
    if (status == XT_OK) {
        status = xt_file_read(path, INDEX_MAX, &content, &size, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    struct xt_span text = xt_span_of(content, size);
    if (fstat(day->fd, &facts) != 0 || facts.st_size < 0 ||
        !xt_quota_index_cut(&text, (uint64_t)facts.st_size, &day->head, &entries) ||
        text.size != 0 || day->head.day != number) {
        status = xt_fail(failure, XT_CORRUPT, "%s does not add up", path);
    } else {
        status = index_mac(keyring, &day->head, xt_span_of(content, size - XT_DIGEST_BYTES), mac);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "%s is under master key %08x, which is not there", path,
                          (unsigned)day->head.key_id);
        } else if (!xt_secret_equal(mac, content + size - XT_DIGEST_BYTES, sizeof(mac))) {
            status = xt_fail(failure, XT_CORRUPT, "%s was changed", path);
        }
    }
    if (status == XT_OK) {
        day->capacity = (size_t)day->head.entries + 1;
        day->entries = calloc(day->capacity, sizeof(*day->entries));
        status = day->entries == NULL ? XT_NO_MEMORY : XT_OK;
    }
    if (status == XT_OK) {
        memcpy(day->entries, entries, (size_t)day->head.entries * sizeof(*day->entries));
    }
    xt_file_release(content, size);
    return status;
}

/* Who died between taking a place and taking a slot lost a place: as many are taken as slots are. Only
 * while no worker of any supervisor has the file. */
static enum xt_status count_again(const struct day *day)
{
    size_t size = (size_t)day->head.size;
    uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, day->fd, 0);
    if (map == MAP_FAILED) {
        return XT_NO_MEMORY;
    }
    for (uint64_t i = 0; i < day->head.entries; i++) {
        const struct xt_quota_entry *entry = &day->entries[i];
        uint64_t used = 0;
        for (uint64_t j = 0; j < entry->regions; j++) {
            const uint64_t *slots = (const uint64_t *)(const void *)(map + entry->region[j].at);
            for (uint64_t at = 0; at < XT_QUOTA_SLOTS * entry->region[j].ids; at++) {
                used += slots[at] != 0;
            }
        }
        memcpy(map + i * XT_QUOTA_LINE, &used, sizeof(used));
    }
    (void)munmap(map, size);
    return XT_OK;
}

/* The lock is on the open file, which our workers' maps hold open as well: who gets it alone is alone. */
static enum xt_status open_file(const struct xt_quota_book *book, int32_t number, int flags,
                                struct day *day, bool *alone, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(book, number, "", path);
    if (status != XT_OK) {
        return status;
    }
    day->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (day->fd < 0) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot open %s: %s", path,
                       strerror(errno));
    }
    *alone = flock(day->fd, LOCK_EX | LOCK_NB) == 0;
    if (flock(day->fd, LOCK_SH | LOCK_NB) != 0) {
        return xt_fail(failure, XT_BUSY, "%s is being counted by another process", path);
    }
    return XT_OK;
}

/* XT_NOT_FOUND: there is none. */
static enum xt_status read_day(const struct xt_quota_book *book, const struct xt_keyring *keyring,
                               int32_t number, struct day *day, struct xt_failure *failure)
{
    bool alone = false;
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(book, number, INDEX, path);
    if (status == XT_OK && access(path, F_OK) != 0) {
        status = XT_NOT_FOUND; /* a file without an index was never handed to anybody */
    }
    if (status == XT_OK) {
        status = open_file(book, number, 0, day, &alone, failure);
        status = status == XT_NOT_FOUND ? XT_CORRUPT : status;
    }
    if (status == XT_OK) {
        status = read_index(book, keyring, number, day, failure);
    }
    if (status == XT_OK && alone && book->lock >= 0) {
        status = count_again(day);
    }
    if (status != XT_OK) {
        release(day);
    }
    return status;
}

/* ---- one day: making -------------------------------------------------------------------------- */

static enum xt_status allocate(int fd, uint64_t at, uint64_t size, struct xt_failure *failure)
{
    int error;
    do {
        error = fallocate(fd, 0, (off_t)at, (off_t)size) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EOPNOTSUPP) { /* by writing, then */
        error = posix_fallocate(fd, (off_t)at, (off_t)size);
    }
    return error == 0 ? XT_OK
                      : xt_fail(failure, error == ENOSPC || error == EDQUOT ? XT_DISK_FULL : XT_IO,
                                "no room for a daily quota (%llu bytes): %s",
                                (unsigned long long)size, strerror(error));
}

static enum xt_status make_day(const struct xt_quota_book *book, const struct xt_keyring *keyring,
                               int32_t number, struct day *day, struct xt_failure *failure)
{
    bool alone = false;
    enum xt_status status = open_file(book, number, O_CREAT | O_TRUNC, day, &alone, failure);
    if (status == XT_OK) {
        status = allocate(day->fd, 0, XT_QUOTA_COUNTERS, failure);
    }
    if (status != XT_OK) {
        release(day);
        remove_files(book, number);
        return status;
    }
    day->head = (struct xt_quota_head){.magic = XT_QUOTA_MAGIC,
                                       .key_id = xt_keyring_current(keyring),
                                       .day = number,
                                       .size = XT_QUOTA_COUNTERS};
    xt_random(day->head.salt, sizeof(day->head.salt));
    day->changed = true;
    return XT_OK;
}

static size_t index_size(const struct day *day)
{
    return sizeof(day->head) + (size_t)day->head.entries * sizeof(*day->entries) + XT_DIGEST_BYTES;
}

static enum xt_status write_index(const struct day *day, const struct xt_keyring *keyring,
                                  struct xt_writer *writer)
{
    uint8_t mac[XT_DIGEST_BYTES];
    size_t from = writer->size;
    xt_write(writer, &day->head, sizeof(day->head));
    xt_write(writer, day->entries, (size_t)day->head.entries * sizeof(*day->entries));
    struct xt_span text = xt_written(writer);
    enum xt_status status =
        index_mac(keyring, &day->head, xt_span_of(text.data + from, text.size - from), mac);
    xt_write(writer, mac, sizeof(mac));
    return status;
}

static enum xt_status save(const struct xt_quota_book *book, const struct xt_keyring *keyring,
                           struct day *day, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(book, day->head.day, INDEX, path);
    uint8_t *text = malloc(index_size(day));
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : index_size(day));
    if (status == XT_OK) {
        status = text == NULL ? XT_NO_MEMORY : write_index(day, keyring, &writer);
    }
    if (status == XT_OK) {
        status = xt_file_write(path, xt_written(&writer), 0600, true, failure);
    } else {
        (void)xt_fail(failure, status, "cannot write %s: %s", path, xt_status_name(status));
    }
    free(text);
    day->changed = status != XT_OK;
    return status;
}

/* ---- room ------------------------------------------------------------------------------------- */

/* From *next on, and then round: who was added in the order of names is found in that order at once. */
static struct xt_quota_entry *find(const struct day *day, const char *name, uint64_t *next)
{
    uint64_t count = day->head.entries;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = (*next + i) % count;
        if (strcmp(day->entries[at].name, name) == 0) {
            *next = at + 1;
            return &day->entries[at];
        }
    }
    return NULL;
}

static enum xt_status add_entry(struct day *day, const char *name, struct xt_quota_entry **entry,
                                struct xt_failure *failure)
{
    size_t count = (size_t)day->head.entries;
    if (count == XT_QUOTA_NAMES_MAX) {
        return xt_fail(failure, XT_TOO_LARGE,
                       "%s: too many partners had a daily quota today: it has one tomorrow", name);
    }
    if (count >= day->capacity) {
        size_t capacity = count < 16 ? 16 : 2 * count;
        struct xt_quota_entry *grown = realloc(day->entries, capacity * sizeof(*grown));
        if (grown == NULL) {
            return xt_fail(failure, XT_NO_MEMORY, "no memory for the quotas");
        }
        day->entries = grown;
        day->capacity = capacity;
    }
    *entry = &day->entries[count];
    memset(*entry, 0, sizeof(**entry));
    memcpy((*entry)->name, name, strlen(name));
    return XT_OK;
}

/* A further region, at the end of the file. */
static enum xt_status add_region(struct day *day, struct xt_quota_entry *entry, uint64_t wanted,
                                 struct xt_failure *failure)
{
    uint64_t room = xt_quota_room(entry), ids = wanted - room;
    if (entry->regions == XT_QUOTA_REGIONS) {
        return xt_fail(failure, XT_TOO_LARGE,
                       "%s: its daily quota was raised too often today: it holds from tomorrow on",
                       entry->name);
    }
    /* As large as all before it, so that raising it by and by needs few. */
    ids = ids < room ? room : ids;
    ids = ids < XT_QUOTA_LEAST ? XT_QUOTA_LEAST : ids;
    uint64_t size = xt_quota_region_bytes(ids);
    size = (size + XT_QUOTA_PAGE - 1) / XT_QUOTA_PAGE * XT_QUOTA_PAGE;
    enum xt_status status = allocate(day->fd, day->head.size, size, failure);
    if (status == XT_OK) {
        entry->region[entry->regions++] =
            (struct xt_quota_region){.at = day->head.size, .ids = ids};
        day->head.size += size;
        day->changed = true;
    }
    return status;
}

static enum xt_status settle_partner(struct day *day, const struct xt_partner *partner,
                                     uint64_t *next, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    struct xt_quota_entry *entry = find(day, partner->name, next);
    bool fresh = entry == NULL;
    if (fresh) {
        status = add_entry(day, partner->name, &entry, failure);
    }
    if (status == XT_OK && xt_quota_room(entry) < partner->daily_quota) {
        status = add_region(day, entry, partner->daily_quota, failure);
    }
    day->head.entries += fresh && status == XT_OK;
    return status;
}

/* Everybody has a try; tells of the first that failed. */
static enum xt_status settle_day(const struct xt_quota_book *book, struct day *day,
                                 const struct xt_partners *partners,
                                 const struct xt_keyring *keyring, bool *changed,
                                 struct xt_failure *failure)
{
    enum xt_status first = XT_OK;
    uint64_t next = 0;
    for (unsigned i = 0; i < xt_partners_count(partners); i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        struct xt_failure why;
        enum xt_status status =
            partner->daily_quota == 0 ? XT_OK : settle_partner(day, partner, &next, &why);
        if (status != XT_OK && first == XT_OK) {
            first = xt_fail(failure, status, "%s", why.text);
        }
    }
    if (day->changed) {
        /* On the disk before anybody uses it. */
        enum xt_status status = save(book, keyring, day, first == XT_OK ? failure : NULL);
        *changed = *changed || status == XT_OK;
        first = first == XT_OK ? status : first;
    }
    return first;
}

/* ---- days ------------------------------------------------------------------------------------- */

/* What is over, and what a clock that was far ahead has left. */
static void drop_days(struct xt_quota_book *book, int32_t today, bool *changed)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        struct day *day = &book->days[i];
        if (day->fd < 0) {
            continue;
        }
        if (day->head.day < today || day->head.day > today + 1) {
            if (book->lock >= 0) {
                remove_files(book, day->head.day);
            }
            release(day);
            *changed = true;
        } else if (kept++ != i) {
            book->days[kept - 1] = *day;
            *day = no_day;
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

/* Today's, unless a newer day is held already (a clock that was set back), and the next one's in time. */
static enum xt_status add_days(struct xt_quota_book *book, const struct xt_keyring *keyring,
                               uint64_t unix_ms, struct xt_failure *failure)
{
    int32_t today = xt_quota_day(unix_ms);
    enum xt_status status = XT_OK;
    if (days_held(book) == 0) {
        status = make_day(book, keyring, today, &book->days[0], failure);
    }
    if (status == XT_OK && days_held(book) == 1 && !has_day(book, today + 1) &&
        xt_quota_seconds_left(unix_ms) <= XT_QUOTA_AHEAD_S) {
        status = make_day(book, keyring, today + 1, &book->days[1], failure);
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
        size += index_size(&book->days[i]);
    }
    uint8_t *text = malloc(size + 1);
    int fd = memfd_create("xacthuc-quota", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : size);
    enum xt_status status = text == NULL || fd < 0 ? XT_NO_MEMORY : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < days; i++) {
        status = write_index(&book->days[i], keyring, &writer);
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

/* Today and tomorrow, as they lie there. */
static enum xt_status read_days(struct xt_quota_book *book, const struct xt_keyring *keyring,
                                int32_t today)
{
    unsigned held = 0;
    for (int32_t number = today; number <= today + 1; number++) {
        struct day *day = &book->days[held];
        struct xt_failure why = {0};
        enum xt_status status = read_day(book, keyring, number, day, &why);
        held += status == XT_OK;
        if (status == XT_CORRUPT || status == XT_NOT_FOUND) {
            if (why.text[0] != '\0') {
                book->lost = why;
            }
            if (book->lock >= 0) {
                remove_files(book, number);
            }
        } else if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

/* Files of days that are over, from before we were started. */
static void clear_up(const struct xt_quota_book *book, int32_t today)
{
    DIR *list = opendir(book->folder);
    struct dirent *entry;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        int32_t day = 0;
        if (day_of(entry->d_name, &day) && (day < today || day > today + 1)) {
            remove_files(book, day);
        }
    }
    if (list != NULL) {
        closedir(list);
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
    *made = (struct xt_quota_book){.lock = -1, .handed = -1, .days = {no_day, no_day}};
    enum xt_status status = xt_path_join(made->folder, dir, "live");
    if (status == XT_OK) {
        status = xt_disk_check(made->folder, XT_DISK_SHARED_MAPS, failure);
    } else {
        (void)xt_fail(failure, status, "the path %s is too long", dir);
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
        release(&book->days[i]);
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
    fresh.days[0] = fresh.days[1] = no_day;
    enum xt_status status = read_days(&fresh, keyring, xt_quota_day(unix_ms));
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        const struct day *left = &fresh.days[i], *right = &book->days[i];
        same = same && (left->fd < 0) == (right->fd < 0) &&
               (left->fd < 0 || (memcmp(&left->head, &right->head, sizeof(left->head)) == 0 &&
                                 memcmp(left->entries, right->entries,
                                        (size_t)left->head.entries * sizeof(*left->entries)) == 0));
    }
    struct xt_quota_book *gone = same || status != XT_OK ? &fresh : book;
    release(&gone->days[0]);
    release(&gone->days[1]);
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
    enum xt_status status = XT_OK;
    if (any_quota(partners)) {
        status = add_days(book, keyring, unix_ms, failure);
    }
    for (unsigned i = 0; i < days_held(book); i++) {
        enum xt_status settled = settle_day(book, &book->days[i], partners, keyring, &changed,
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
