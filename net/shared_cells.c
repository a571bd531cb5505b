/* net/shared_cells: which partner has which cell, and since when. */
#include "net/shared_internal.h"

/* ---- the supervisor's ------------------------------------------------------------------------- */

/* Gives the cell to a name that had none, and tells of it. The version is made of the epoch, so that
 * nothing is read back from where it is published. */
static void name_cell(struct xt_shared *shared, uint32_t at, const char *name)
{
    struct xt_booked_cell *booked = &shared->book->cells[at];
    struct xt_shared_cell *cell = &shared->header->cells[at];
    uint64_t words[XT_CELL_NAME_WORDS] = {0};
    booked->name_size = strlen(name);
    xt_require(booked->name_size <= XT_PARTNER_NAME_MAX);
    memcpy(booked->name, name, booked->name_size);
    memcpy(words, name, booked->name_size);
    booked->retired_ms = 0;
    booked->epoch++;
    __atomic_store_n(&cell->version, 2 * booked->epoch - 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (unsigned i = 0; i < XT_CELL_NAME_WORDS; i++) {
        __atomic_store_n(&cell->name[i], words[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(&cell->name_size, booked->name_size, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->epoch, booked->epoch, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->retired_ms, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->version, 2 * booked->epoch, __ATOMIC_RELEASE);
}

/* A word of its own: seen with the name before or after, it is right for both. */
static void set_retired(struct xt_shared *shared, uint32_t at, uint64_t retired_ms)
{
    shared->book->cells[at].retired_ms = retired_ms;
    __atomic_store_n(&shared->header->cells[at].retired_ms, retired_ms, __ATOMIC_RELAXED);
}

static size_t slot_of(const struct xt_shared_book *book, const char *name, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    }
    size_t at = (hash ^ hash >> 32) % XT_CELL_SLOTS;
    while (book->slots[at] != 0) {
        const struct xt_booked_cell *cell = &book->cells[book->slots[at] - 1];
        if (cell->name_size == size && memcmp(cell->name, name, size) == 0) {
            break;
        }
        at = (at + 1) % XT_CELL_SLOTS;
    }
    return at;
}

static void index_cells(struct xt_shared_book *book)
{
    memset(book->slots, 0, sizeof(book->slots));
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        const struct xt_booked_cell *cell = &book->cells[i];
        if (cell->epoch != 0) {
            book->slots[slot_of(book, cell->name, cell->name_size)] = (uint16_t)(i + 1);
        }
    }
}

/* One that was never used, else the one retired first. */
static uint32_t free_cell(const struct xt_shared_book *book)
{
    uint32_t oldest = XT_NO_CELL;
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        const struct xt_booked_cell *cell = &book->cells[i];
        if (cell->epoch == 0) {
            return i;
        }
        if (cell->retired_ms != 0 &&
            (oldest == XT_NO_CELL || cell->retired_ms < book->cells[oldest].retired_ms)) {
            oldest = i;
        }
    }
    xt_require(oldest != XT_NO_CELL); /* there are twice as many as partners */
    return oldest;
}

/* A partner of the set before, or one that comes back. */
static void keep_cell(struct xt_shared *shared, uint32_t at, const struct xt_partner *partner,
                      uint64_t now_ms)
{
    struct xt_booked_cell *cell = &shared->book->cells[at];
    struct xt_rate rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
    xt_rate_change(xt_shared_rate(shared, at), &cell->rate, &rate, now_ms * 1000000);
    cell->rate = rate;
    set_retired(shared, at, 0);
}

static void take_cell(struct xt_shared *shared, uint32_t at, const struct xt_partner *partner)
{
    shared->book->cells[at].rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
    __atomic_store_n(xt_shared_rate(shared, at), 0, __ATOMIC_RELAXED);
    name_cell(shared, at, partner->name);
}

void xt_shared_assign(struct xt_shared *shared, const struct xt_partners *partners, uint64_t now_ms,
                      uint32_t *cells)
{
    struct xt_shared_book *book = shared->book;
    unsigned count = xt_partners_count(partners);
    xt_require(book != NULL && count <= XT_PARTNERS_MAX);
    now_ms = now_ms == 0 ? 1 : now_ms;
    index_cells(book);
    uint8_t kept[XT_CELLS / 8] = {0};
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        uint16_t known = book->slots[slot_of(book, partner->name, strlen(partner->name))];
        cells[i] = known == 0 ? XT_NO_CELL : known - 1U;
        if (known != 0) {
            kept[cells[i] / 8] |= (uint8_t)(1U << cells[i] % 8);
            keep_cell(shared, cells[i], partner, now_ms);
        }
    }
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        const struct xt_booked_cell *cell = &book->cells[i];
        if (cell->epoch != 0 && cell->retired_ms == 0 && (kept[i / 8] & 1U << i % 8) == 0) {
            set_retired(shared, i, now_ms);
        }
    }
    for (unsigned i = 0; i < count; i++) { /* now that nobody is about to come back for his cell */
        if (cells[i] == XT_NO_CELL) {
            cells[i] = free_cell(book);
            take_cell(shared, cells[i], xt_partners_at(partners, i));
        }
    }
}

/* ---- a worker's ------------------------------------------------------------------------------- */

void xt_shared_use(struct xt_shared *shared, unsigned worker, uint32_t cell)
{
    xt_require(cell < XT_CELLS);
    struct xt_partner_counters *counters = &xt_shared_counters(shared, worker)->by_partner[cell];
    uint64_t epoch = __atomic_load_n(&shared->header->cells[cell].epoch, __ATOMIC_RELAXED);
    if (xt_counter_get(&counters->epoch) != epoch) {
        for (unsigned route = 0; route < XT_ROUTE_PARTNERS_COUNT; route++) {
            for (unsigned outcome = 0; outcome < XT_OUTCOME_COUNT; outcome++) {
                xt_counter_set(&counters->outcomes[route][outcome], 0);
            }
        }
        xt_counter_set(&counters->misses, 0);
        xt_counter_set(&counters->events, 0);
        __atomic_store_n(&counters->epoch.value, epoch, __ATOMIC_RELEASE);
    }
}

uint64_t *xt_shared_rate(struct xt_shared *shared, uint32_t cell)
{
    return cell < XT_CELLS && shared->rates != NULL ? &shared->rates->cells[cell].word : NULL;
}

uint64_t *xt_shared_poll(struct xt_shared *shared, uint32_t place)
{
    return shared->rates != NULL ? &shared->rates->polls[place % XT_SHARED_POLLS] : NULL;
}

bool xt_shared_cell(const struct xt_shared *shared, uint32_t cell, uint64_t now_ms,
                    char name[XT_PARTNER_NAME_MAX + 1], uint64_t *epoch)
{
    xt_require(cell < XT_CELLS);
    const struct xt_shared_cell *read = &shared->header->cells[cell];
    uint64_t words[XT_CELL_NAME_WORDS], size = 0, retired_ms = 0, before = 0, after = 0;
    /* The supervisor writes a few hundred bytes at most between odd and even; if it dies there, the
     * cell is given up. */
    for (unsigned tries = 0; tries < 1000; tries++) {
        before = __atomic_load_n(&read->version, __ATOMIC_ACQUIRE);
        for (unsigned i = 0; i < XT_CELL_NAME_WORDS; i++) {
            words[i] = __atomic_load_n(&read->name[i], __ATOMIC_RELAXED);
        }
        size = __atomic_load_n(&read->name_size, __ATOMIC_RELAXED);
        *epoch = __atomic_load_n(&read->epoch, __ATOMIC_RELAXED);
        retired_ms = __atomic_load_n(&read->retired_ms, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = __atomic_load_n(&read->version, __ATOMIC_RELAXED);
        if (before == after && before % 2 == 0) {
            break;
        }
    }
    if (before != after || before % 2 != 0 || *epoch == 0 || size > XT_PARTNER_NAME_MAX ||
        (retired_ms != 0 && now_ms >= retired_ms + XT_CELL_KEPT_MS)) {
        return false;
    }
    memcpy(name, words, size);
    name[size] = '\0';
    return true;
}
