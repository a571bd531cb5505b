#include "store/quota_internal.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "crypto/keyhash.h"

#define DAY_S 86400U
#define VIET_NAM_S (7 * 3600U)

/* Slots that are looked at, at most. Regions are half full, so that 100 in a row are not taken by chance;
 * a worker that strangers have taken over can fill them all. */
#define PROBES 2048

int32_t xt_quota_day(uint64_t unix_ms)
{
    return xt_date_to_days(xt_date_of_unix_ms(unix_ms));
}

uint32_t xt_quota_seconds_left(uint64_t unix_ms)
{
    return DAY_S - (uint32_t)((unix_ms / 1000 + VIET_NAM_S) % DAY_S);
}

/* ---- the index -------------------------------------------------------------------------------- */

static bool entry_is_sound(const struct xt_quota_entry *entry, uint64_t size)
{
    const char *end = memchr(entry->name, '\0', sizeof(entry->name));
    if (end == NULL ||
        !xt_policy_name_is_valid(xt_span_of(entry->name, (size_t)(end - entry->name))) ||
        entry->regions == 0 || entry->regions > XT_QUOTA_REGIONS) {
        return false;
    }
    for (uint64_t i = 0; i < entry->regions; i++) {
        const struct xt_quota_region *region = &entry->region[i];
        if (region->ids == 0 || region->ids > 2 * XT_QUOTA_MAX || region->at % 8 != 0 ||
            region->at < XT_QUOTA_COUNTERS || region->at > size ||
            xt_quota_region_bytes(region->ids) > size - region->at) {
            return false;
        }
    }
    return true;
}

bool xt_quota_index_cut(struct xt_span *text, uint64_t file_size, struct xt_quota_head *head,
                        const uint8_t **entries)
{
    if (text->size < sizeof(*head) + XT_DIGEST_BYTES) {
        return false;
    }
    memcpy(head, text->data, sizeof(*head));
    size_t room = text->size - sizeof(*head) - XT_DIGEST_BYTES;
    if (head->magic != XT_QUOTA_MAGIC || head->entries > XT_QUOTA_NAMES_MAX ||
        head->entries > room / sizeof(struct xt_quota_entry) || head->size > file_size ||
        head->size < XT_QUOTA_COUNTERS) {
        return false;
    }
    *entries = text->data + sizeof(*head);
    for (uint64_t i = 0; i < head->entries; i++) {
        struct xt_quota_entry entry;
        memcpy(&entry, *entries + i * sizeof(entry), sizeof(entry));
        if (!entry_is_sound(&entry, head->size)) {
            return false;
        }
    }
    size_t used =
        sizeof(*head) + (size_t)head->entries * sizeof(struct xt_quota_entry) + XT_DIGEST_BYTES;
    *text = xt_span_of(text->data + used, text->size - used);
    return true;
}

/* ---- the view --------------------------------------------------------------------------------- */

struct set {
    uint64_t *slots;
    uint64_t count; /* of slots */
    uint64_t first; /* the number of the first id that it is for */
};

struct place {
    uint64_t *counter; /* NULL: nothing is kept for this partner on this day */
    const uint8_t *key;
    unsigned sets;
    struct set set[XT_QUOTA_REGIONS];
};

struct xt_quota_seat {
    char name[XT_PARTNER_NAME_MAX + 8];
    struct place days[XT_QUOTA_DAYS];
};

struct xt_quota_view {
    unsigned days;
    struct {
        int32_t day;
        uint8_t *map;
        size_t size;
    } files[XT_QUOTA_DAYS];        /* by day, ascending */
    uint8_t (*keys)[XT_KEY_BYTES]; /* in locked memory */
    size_t count;
    struct xt_quota_seat *seats; /* by name, ascending */
};

void xt_quota_view_close(struct xt_quota_view *view)
{
    if (view == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_QUOTA_DAYS; i++) {
        if (view->files[i].map != NULL) {
            (void)munmap(view->files[i].map, view->files[i].size);
        }
    }
    xt_secret_free(view->keys);
    free(view->seats);
    free(view);
}

static int compare_seats(const void *a, const void *b)
{
    const struct xt_quota_seat *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int compare_with_name(const void *name, const void *element)
{
    const struct xt_quota_seat *seat = element;
    return strcmp(name, seat->name);
}

const struct xt_quota_seat *xt_quota_seat(const struct xt_quota_view *view, const char *name)
{
    return view == NULL || view->count == 0
               ? NULL
               : bsearch(name, view->seats, view->count, sizeof(view->seats[0]), compare_with_name);
}

/* The sets of one entry, in the maps of its day. */
static void take_entry(struct xt_quota_view *view, unsigned day, uint64_t number,
                       const struct xt_quota_entry *entry, const uint8_t *key,
                       struct xt_quota_seat *seat)
{
    struct place *place = &seat->days[day];
    uint8_t *map = view->files[day].map;
    uint64_t first = 0;
    memcpy(seat->name, entry->name, sizeof(seat->name));
    place->counter = (uint64_t *)(void *)(map + number * XT_QUOTA_LINE);
    place->key = key;
    place->sets = (unsigned)entry->regions;
    for (unsigned i = 0; i < place->sets; i++) {
        const struct xt_quota_region *region = &entry->region[i];
        place->set[i] = (struct set){.slots = (uint64_t *)(void *)(map + region->at),
                                     .count = XT_QUOTA_SLOTS * region->ids,
                                     .first = first};
        first += region->ids;
    }
}

/* Those of one name become one. */
static void merge_seats(struct xt_quota_view *view)
{
    size_t kept = 0;
    qsort(view->seats, view->count, sizeof(view->seats[0]), compare_seats);
    for (size_t i = 0; i < view->count; i++) {
        struct xt_quota_seat *last = kept == 0 ? NULL : &view->seats[kept - 1];
        if (last == NULL || strcmp(last->name, view->seats[i].name) != 0) {
            view->seats[kept++] = view->seats[i];
            continue;
        }
        for (unsigned day = 0; day < XT_QUOTA_DAYS; day++) {
            if (view->seats[i].days[day].counter != NULL) {
                last->days[day] = view->seats[i].days[day];
            }
        }
    }
    view->count = kept;
}

static enum xt_status map_day(struct xt_quota_view *view, int fd, const struct xt_quota_head *head)
{
    /* What lies behind it is of no partner of this index. */
    void *map = mmap(NULL, (size_t)head->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return XT_NO_MEMORY;
    }
    (void)madvise(map, (size_t)head->size, MADV_DONTDUMP);
    (void)madvise(map, (size_t)head->size, MADV_RANDOM);
    view->files[view->days].day = head->day;
    view->files[view->days].map = map;
    view->files[view->days].size = (size_t)head->size;
    return XT_OK;
}

/* One day's index at the front of *text. */
static enum xt_status take_day(struct xt_quota_view *view, struct xt_span *text, int fd,
                               const struct xt_keyring *keyring)
{
    struct xt_quota_head head;
    const uint8_t *entries = NULL;
    struct stat facts;
    if (fstat(fd, &facts) != 0 || facts.st_size < 0 ||
        !xt_quota_index_cut(text, (uint64_t)facts.st_size, &head, &entries) ||
        (view->days > 0 && head.day <= view->files[view->days - 1].day)) {
        return XT_CORRUPT;
    }
    enum xt_status status = map_day(view, fd, &head);
    for (uint64_t i = 0; status == XT_OK && i < head.entries; i++) {
        struct xt_quota_entry entry;
        uint8_t *key = view->keys[view->count];
        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        status = xt_keyring_derive(keyring, head.key_id, XT_USE_QUOTA, (uint32_t)i, head.salt, key);
        take_entry(view, view->days, i, &entry, key, &view->seats[view->count]);
        view->count++;
    }
    view->days++;
    return status;
}

static enum xt_status take_days(struct xt_quota_view *view, struct xt_span text, const int *fds,
                                unsigned days, const struct xt_keyring *keyring)
{
    size_t most = text.size / sizeof(struct xt_quota_entry) + 1;
    view->keys = xt_secret_alloc(most * sizeof(view->keys[0]));
    view->seats = calloc(most, sizeof(view->seats[0]));
    enum xt_status status = view->keys == NULL || view->seats == NULL ? XT_NO_MEMORY : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < days; i++) {
        status = take_day(view, &text, fds[i], keyring);
    }
    if (status != XT_OK) {
        return status;
    }
    merge_seats(view);
    return text.size == 0 ? XT_OK : XT_CORRUPT;
}

enum xt_status xt_quota_view_open(const int *fds, unsigned count, const struct xt_keyring *keyring,
                                  struct xt_quota_view **view, struct xt_failure *failure)
{
    struct stat facts;
    if (count == 0 || count > XT_QUOTA_FDS || fstat(fds[0], &facts) != 0) {
        return xt_fail(failure, XT_INVALID, "the quotas are handed over in another way");
    }
    size_t size = (size_t)facts.st_size;
    struct xt_quota_view *made = calloc(1, sizeof(*made));
    void *map = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fds[0], 0);
    enum xt_status status = XT_NO_MEMORY;
    if (made != NULL && map != MAP_FAILED) {
        status = take_days(made, xt_span_of(map, size), fds + 1, count - 1, keyring);
    }
    if (map != NULL && map != MAP_FAILED) {
        (void)munmap(map, size);
    }
    if (status != XT_OK) {
        xt_quota_view_close(made);
        return xt_fail(failure, status, "cannot take the partners' quotas: %s",
                       xt_status_name(status));
    }
    *view = made;
    return XT_OK;
}

/* ---- a request -------------------------------------------------------------------------------- */

/* The day's, or the next one's that is held: a clock that was set back gives no fresh day. */
static const struct place *place_of(const struct xt_quota_view *view,
                                    const struct xt_quota_seat *seat, int32_t day)
{
    for (unsigned i = 0; i < view->days; i++) {
        if (view->files[i].day >= day) {
            return seat->days[i].counter == NULL ? NULL : &seat->days[i];
        }
    }
    return NULL;
}

/* The slot that holds mark, or the free one where it belongs; NULL: neither within reach. */
static uint64_t *look(const struct set *set, uint64_t mark)
{
    uint64_t at = (mark >> 32) * set->count >> 32;
    for (unsigned i = 0; i < PROBES; i++) {
        uint64_t *slot = &set->slots[at];
        uint64_t held = __atomic_load_n(slot, __ATOMIC_RELAXED);
        if (held == mark || held == 0) {
            return slot;
        }
        at = at + 1 == set->count ? 0 : at + 1;
    }
    return NULL;
}

static bool is_held(const struct place *place, uint64_t mark)
{
    for (unsigned i = 0; i < place->sets; i++) {
        const uint64_t *slot = look(&place->set[i], mark);
        if (slot != NULL && __atomic_load_n(slot, __ATOMIC_RELAXED) == mark) {
            return true;
        }
    }
    return false;
}

/* Puts mark into the set that the number is of; true: it was not there before. */
static enum xt_status insert(const struct place *place, uint64_t number, uint64_t mark, bool *fresh)
{
    unsigned at = place->sets - 1;
    while (place->set[at].first > number) {
        at--;
    }
    const struct set *set = &place->set[at];
    if (number - set->first >= set->count / XT_QUOTA_SLOTS) {
        return XT_AGAIN; /* the quota was raised, and there is no room for that yet */
    }
    for (unsigned i = 0; i < PROBES; i++) {
        uint64_t *slot = look(set, mark);
        uint64_t held = 0;
        if (slot == NULL) {
            return XT_AGAIN;
        }
        if (__atomic_compare_exchange_n(slot, &held, mark, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            *fresh = true;
            return XT_OK;
        }
        if (held == mark) {
            *fresh = false;
            return XT_OK;
        }
        /* Another id was put there in this moment: look further. */
    }
    return XT_AGAIN;
}

enum xt_status xt_quota_take(const struct xt_quota_view *view, const struct xt_quota_seat *seat,
                             uint64_t quota, struct xt_id id, int32_t day)
{
    const struct place *place = view == NULL || seat == NULL ? NULL : place_of(view, seat, day);
    if (place == NULL) {
        return XT_AGAIN;
    }
    uint64_t mark = xt_key_hash(place->key, id).high;
    mark += mark == 0;
    if (is_held(place, mark)) {
        return XT_OK;
    }
    /* Nothing else is published by these words, so no order is needed. */
    uint64_t used = __atomic_load_n(place->counter, __ATOMIC_RELAXED);
    do {
        if (used >= quota) {
            /* Who has the last place may have it for this very id. */
            return is_held(place, mark) ? XT_OK : XT_DENIED;
        }
    } while (!__atomic_compare_exchange_n(place->counter, &used, used + 1, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    bool fresh = false;
    enum xt_status status = insert(place, used, mark, &fresh);
    if (!fresh) {
        (void)__atomic_sub_fetch(place->counter, 1, __ATOMIC_RELAXED);
    }
    return status;
}

uint64_t xt_quota_used(const struct xt_quota_view *view, const struct xt_quota_seat *seat,
                       int32_t day)
{
    const struct place *place = view == NULL || seat == NULL ? NULL : place_of(view, seat, day);
    return place == NULL ? 0 : __atomic_load_n(place->counter, __ATOMIC_RELAXED);
}
