/* net/shared_cells: which partner has which cell, and since when. */
#include "net/shared_internal.h"

/* Gives the cell to a name that had none. */
static void name_cell(struct xt_shared_cell *cell, const char *name)
{
    uint64_t words[XT_CELL_NAME_WORDS] = {0};
    size_t size = strlen(name);
    memcpy(words, name, size);
    __atomic_store_n(&cell->version, cell->version + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (unsigned i = 0; i < XT_CELL_NAME_WORDS; i++) {
        __atomic_store_n(&cell->name[i], words[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(&cell->name_size, size, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->epoch, cell->epoch + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->retired_ms, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&cell->version, cell->version + 1, __ATOMIC_RELEASE);
}

/* A word of its own: seen with the name before or after, it is right for both. */
static void set_retired(struct xt_shared_cell *cell, uint64_t retired_ms)
{
    __atomic_store_n(&cell->retired_ms, retired_ms, __ATOMIC_RELAXED);
}

static size_t slot_of(const struct xt_shared *shared, const char *name, size_t size)
{
    const struct xt_shared_cell *cells = xt_shared_header_of(shared)->cells;
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    }
    size_t at = (hash ^ hash >> 32) % XT_CELL_SLOTS;
    while (shared->slots[at] != 0) {
        const struct xt_shared_cell *cell = &cells[shared->slots[at] - 1];
        if (cell->name_size == size && memcmp(cell->name, name, size) == 0) {
            break;
        }
        at = (at + 1) % XT_CELL_SLOTS;
    }
    return at;
}

static void index_cells(struct xt_shared *shared)
{
    const struct xt_shared_cell *cells = xt_shared_header_of(shared)->cells;
    memset(shared->slots, 0, sizeof(shared->slots));
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        if (cells[i].epoch != 0) {
            size_t at = slot_of(shared, (const char *)cells[i].name, cells[i].name_size);
            shared->slots[at] = (uint16_t)(i + 1);
        }
    }
}

/* One that was never used, else the one retired first. */
static struct xt_shared_cell *free_cell(struct xt_shared_header *header)
{
    struct xt_shared_cell *oldest = NULL;
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        struct xt_shared_cell *cell = &header->cells[i];
        if (cell->epoch == 0) {
            return cell;
        }
        if (cell->retired_ms != 0 && (oldest == NULL || cell->retired_ms < oldest->retired_ms)) {
            oldest = cell;
        }
    }
    xt_require(oldest != NULL); /* there are twice as many as partners */
    return oldest;
}

/* A partner of the set before, or one that comes back. */
static void keep_cell(struct xt_shared_cell *cell, const struct xt_partner *partner, uint64_t *word,
                      uint64_t now_ms)
{
    struct xt_rate rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
    xt_rate_change(word, &cell->rate, &rate, now_ms * 1000000);
    cell->rate = rate;
    set_retired(cell, 0);
}

void xt_shared_assign(struct xt_shared *shared, const struct xt_partners *partners, uint64_t now_ms,
                      uint32_t *cells)
{
    struct xt_shared_header *header = xt_shared_header_of(shared);
    unsigned count = xt_partners_count(partners);
    xt_require(count <= XT_PARTNERS_MAX);
    now_ms = now_ms == 0 ? 1 : now_ms;
    index_cells(shared);
    uint8_t kept[XT_CELLS / 8] = {0};
    for (unsigned i = 0; i < count; i++) {
        const struct xt_partner *partner = xt_partners_at(partners, i);
        uint16_t known = shared->slots[slot_of(shared, partner->name, strlen(partner->name))];
        cells[i] = known == 0 ? XT_NO_CELL : known - 1U;
        if (known != 0) {
            kept[cells[i] / 8] |= (uint8_t)(1U << cells[i] % 8);
            keep_cell(&header->cells[cells[i]], partner, xt_shared_rate(shared, cells[i]), now_ms);
        }
    }
    for (uint32_t i = 0; i < XT_CELLS; i++) {
        struct xt_shared_cell *cell = &header->cells[i];
        if (cell->epoch != 0 && cell->retired_ms == 0 && (kept[i / 8] & 1U << i % 8) == 0) {
            set_retired(cell, now_ms);
        }
    }
    for (unsigned i = 0; i < count; i++) { /* now that nobody is about to come back for his cell */
        if (cells[i] == XT_NO_CELL) {
            const struct xt_partner *partner = xt_partners_at(partners, i);
            struct xt_shared_cell *cell = free_cell(header);
            cells[i] = (uint32_t)(cell - header->cells);
            cell->rate = xt_rate_of(partner->rate_per_second, partner->rate_burst);
            __atomic_store_n(xt_shared_rate(shared, cells[i]), 0, __ATOMIC_RELAXED);
            name_cell(cell, partner->name);
        }
    }
}

void xt_shared_use(struct xt_shared *shared, unsigned worker, uint32_t cell)
{
    xt_require(cell < XT_CELLS);
    struct xt_partner_counters *counters = &xt_shared_counters(shared, worker)->by_partner[cell];
    uint64_t epoch =
        __atomic_load_n(&xt_shared_header_of(shared)->cells[cell].epoch, __ATOMIC_RELAXED);
    if (xt_counter_get(&counters->epoch) != epoch) {
        for (unsigned route = 0; route < XT_ROUTE_PARTNERS_COUNT; route++) {
            for (unsigned outcome = 0; outcome < XT_OUTCOME_COUNT; outcome++) {
                xt_counter_set(&counters->outcomes[route][outcome], 0);
            }
        }
        __atomic_store_n(&counters->epoch.value, epoch, __ATOMIC_RELEASE);
    }
}

uint64_t *xt_shared_rate(struct xt_shared *shared, uint32_t cell)
{
    return cell < XT_CELLS ? &xt_shared_rates_of(shared)->cells[cell].word : NULL;
}

bool xt_shared_cell(const struct xt_shared *shared, uint32_t cell, uint64_t now_ms,
                    char name[XT_PARTNER_NAME_MAX + 1], uint64_t *epoch)
{
    const struct xt_shared_cell *read = &xt_shared_header_of(shared)->cells[cell];
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
