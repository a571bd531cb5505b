/* One day of quotas on the disk: its file, its index, and who gets which region of it. */
#include "store/quota_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"

#define PREFIX "quota-"
#define INDEX ".index"
#define NAME_MAX_SIZE 32 /* bytes of "quota-20261122.index" and its NUL */
#define INDEX_MAX                                                                                  \
    (sizeof(struct xt_quota_head) + XT_QUOTA_NAMES_MAX * sizeof(struct xt_quota_entry) +           \
     XT_DIGEST_BYTES)

/* ---- names ------------------------------------------------------------------------------------ */

static enum xt_status path_of(const char *folder, int32_t day, const char *suffix,
                              char path[XT_PATH_MAX])
{
    char name[NAME_MAX_SIZE];
    xt_date date = xt_date_from_days(day);
    (void)snprintf(name, sizeof(name), PREFIX "%04u%02u%02u%s", xt_date_year(date) % 10000,
                   xt_date_month(date) % 100, xt_date_day(date) % 100, suffix);
    return xt_path_join(path, folder, name);
}

/* The day that a file's name tells; false: it is not called after one. */
bool xt_quota_day_of(const char *name, int32_t *day)
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

void xt_quota_day_release(struct xt_quota_day *day)
{
    if (day->fd >= 0) {
        close(day->fd);
    }
    free(day->entries);
    *day = XT_QUOTA_NO_DAY;
}

bool xt_quota_day_is_used(const struct xt_quota_day *day)
{
    bool is_used = false;
    for (uint64_t i = 0; !is_used && i < day->head.entries; i++) {
        uint64_t count = 0;
        is_used = pread(day->fd, &count, sizeof(count), (off_t)(i * XT_QUOTA_LINE)) ==
                      (ssize_t)sizeof(count) &&
                  count > 0;
    }
    return is_used;
}

void xt_quota_day_remove(const char *folder, int32_t day)
{
    static const char *const suffixes[] = {INDEX, ""}; /* without its index a file is nobody's */
    char path[XT_PATH_MAX];
    for (unsigned i = 0; i < 2; i++) {
        if (path_of(folder, day, suffixes[i], path) == XT_OK) {
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

static enum xt_status read_index(const char *folder, const struct xt_keyring *keyring,
                                 int32_t number, struct xt_quota_day *day,
                                 struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL, mac[XT_DIGEST_BYTES];
    const uint8_t *entries = NULL;
    size_t size = 0;
    struct stat facts;
    enum xt_status status = path_of(folder, number, INDEX, path);
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
    if (status == XT_OK && entries != NULL) {
        memcpy(day->entries, entries, (size_t)day->head.entries * sizeof(*day->entries));
    }
    xt_file_release(content, size);
    return status;
}

/* Who died between taking a place and taking a slot lost a place: as many are taken as slots are. Only
 * while no worker of any supervisor has the file. */
static enum xt_status count_again(const struct xt_quota_day *day)
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
static enum xt_status open_file(const char *folder, int32_t number, int flags,
                                struct xt_quota_day *day, bool *alone, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(folder, number, "", path);
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
enum xt_status xt_quota_day_read(const char *folder, bool owner, const struct xt_keyring *keyring,
                                 int32_t number, struct xt_quota_day *day,
                                 struct xt_failure *failure)
{
    bool alone = false;
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(folder, number, INDEX, path);
    if (status == XT_OK && access(path, F_OK) != 0) {
        status = XT_NOT_FOUND; /* a file without an index was never handed to anybody */
    }
    if (status == XT_OK) {
        status = open_file(folder, number, 0, day, &alone, failure);
        status = status == XT_NOT_FOUND ? XT_CORRUPT : status;
    }
    if (status == XT_OK) {
        status = read_index(folder, keyring, number, day, failure);
    }
    if (status == XT_OK && alone && owner) {
        status = count_again(day);
    }
    if (status != XT_OK) {
        xt_quota_day_release(day);
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

enum xt_status xt_quota_day_make(const char *folder, const struct xt_keyring *keyring,
                                 int32_t number, struct xt_quota_day *day,
                                 struct xt_failure *failure)
{
    bool alone = false;
    enum xt_status status = open_file(folder, number, O_CREAT | O_TRUNC, day, &alone, failure);
    if (status == XT_OK) {
        status = allocate(day->fd, 0, XT_QUOTA_COUNTERS, failure);
    }
    if (status != XT_OK) {
        xt_quota_day_release(day);
        xt_quota_day_remove(folder, number);
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

size_t xt_quota_day_size(const struct xt_quota_day *day)
{
    return sizeof(day->head) + (size_t)day->head.entries * sizeof(*day->entries) + XT_DIGEST_BYTES;
}

enum xt_status xt_quota_day_write(const struct xt_quota_day *day, const struct xt_keyring *keyring,
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

static enum xt_status save(const char *folder, const struct xt_keyring *keyring,
                           struct xt_quota_day *day, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = path_of(folder, day->head.day, INDEX, path);
    uint8_t *text = malloc(xt_quota_day_size(day));
    struct xt_writer writer = xt_writer_over(text, text == NULL ? 0 : xt_quota_day_size(day));
    if (status == XT_OK) {
        status = text == NULL ? XT_NO_MEMORY : xt_quota_day_write(day, keyring, &writer);
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
static struct xt_quota_entry *find(const struct xt_quota_day *day, const char *name, uint64_t *next)
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

static enum xt_status add_entry(struct xt_quota_day *day, const char *name,
                                struct xt_quota_entry **entry, struct xt_failure *failure)
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
static enum xt_status add_region(struct xt_quota_day *day, struct xt_quota_entry *entry,
                                 uint64_t wanted, struct xt_failure *failure)
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

static enum xt_status settle_partner(struct xt_quota_day *day, const struct xt_partner *partner,
                                     uint64_t *next, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    struct xt_quota_entry *entry = find(day, partner->name, next);
    bool fresh = entry == NULL;
    if (fresh) {
        status = add_entry(day, partner->name, &entry, failure);
    }
    if (status == XT_OK && entry != NULL && xt_quota_room(entry) < partner->daily_quota) {
        status = add_region(day, entry, partner->daily_quota, failure);
    }
    day->head.entries += fresh && status == XT_OK;
    return status;
}

/* Everybody has a try; tells of the first that failed. */
enum xt_status xt_quota_day_settle(const char *folder, struct xt_quota_day *day,
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
        enum xt_status status = save(folder, keyring, day, first == XT_OK ? failure : NULL);
        *changed = *changed || status == XT_OK;
        first = first == XT_OK ? status : first;
    }
    return first;
}
