/* Rates over several processes, and the memory that they share: cells of partners, counters. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/rates.h"
#include "net/shared_internal.h"
#include "tests/test.h"

#define S 1000000000ULL /* nanoseconds */
#define MS 1000000ULL

/* ---- the algorithm ---------------------------------------------------------------------------- */

static unsigned taken_at(uint64_t *word, const struct xt_rate *rate, uint64_t now_ns,
                         unsigned attempts)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < attempts; i++) {
        uint64_t wait = 0;
        taken += xt_rate_take(word, rate, now_ns, &wait);
    }
    return taken;
}

static void a_burst_is_taken_and_then_the_rate(void **state)
{
    (void)state;
    struct xt_rate rate = xt_rate_of(7, 20);
    uint64_t word = 0, wait = 0, now = 5 * S;
    assert_int_equal(taken_at(&word, &rate, now, 1000), 20);
    assert_false(xt_rate_take(&word, &rate, now, &wait));
    assert_int_equal(wait, 143); /* a seventh of a second, rounded up */
    assert_false(xt_rate_take(&word, &rate, now + 142 * MS, &wait));
    assert_int_equal(wait, 1);
    assert_true(xt_rate_take(&word, &rate, now + 143 * MS, &wait));
    assert_int_equal(wait, 0);
    /* In 1000 s at 7/s, asked every millisecond: 7000, less what was taken ahead. */
    unsigned taken = 0;
    for (unsigned i = 1; i <= 1000000; i++) {
        taken += xt_rate_take(&word, &rate, now + 143 * MS + i * MS, &wait);
    }
    assert_in_range(taken, 6999, 7000);
    /* At rest it fills up to the burst and no further. */
    assert_int_equal(taken_at(&word, &rate, now + 100000 * S, 1000), 20);
}

static void any_rate_and_any_clock_are_borne(void **state)
{
    (void)state;
    struct xt_rate none = xt_rate_of(0, 5), slow = xt_rate_of(1, 0);
    struct xt_rate fast = xt_rate_of(XT_RATE_MAX, XT_RATE_MAX);
    struct xt_rate deep = xt_rate_of(1, XT_RATE_MAX);
    uint64_t word = 0, wait = 0;
    assert_int_equal(taken_at(&word, &none, 1, 100), 100); /* no limit */
    assert_int_equal(word, 0);
    assert_int_equal(taken_at(&word, &slow, 0, 10), 1); /* burst as rate; clock at 0 */
    word = 0;
    const uint64_t decades = 30 * 365 * 86400 * S;
    assert_int_equal(taken_at(&word, &fast, decades, 100), 100);
    assert_true(word > decades * 16); /* nothing wrapped */
    word = 0;
    assert_int_equal(taken_at(&word, &deep, decades, 100), 100);
    word = 0;
    for (unsigned i = 0; i < XT_RATE_MAX; i++) { /* all of the deepest burst, and not one more */
        if (!xt_rate_take(&word, &deep, S, &wait)) {
            fail_msg("refused after %u", i);
        }
    }
    assert_false(xt_rate_take(&word, &deep, S, &wait));
    assert_int_equal(wait, 1000);
    /* Somebody whose clock is behind is refused, not let through. */
    word = 0;
    assert_int_equal(taken_at(&word, &slow, 10 * S, 10), 1);
    assert_int_equal(taken_at(&word, &slow, 9 * S, 10), 0);
    assert_int_equal(taken_at(&word, &slow, 10 * S + 999 * MS, 10), 0);
    assert_int_equal(taken_at(&word, &slow, 11 * S, 10), 1);
}

static void a_changed_rate_keeps_what_was_used(void **state)
{
    (void)state;
    struct xt_rate ten = xt_rate_of(10, 100), small = xt_rate_of(10, 2), none = xt_rate_of(0, 0);
    struct xt_rate hundred = xt_rate_of(100, 100);
    uint64_t word = 0, now = 50 * S;
    assert_int_equal(taken_at(&word, &ten, now, 60), 60);
    uint64_t before = word;
    xt_rate_change(&word, &ten, &ten, now);
    assert_true(word == before); /* the same rate: neither filled nor emptied */
    xt_rate_change(&word, &ten, &hundred, now);
    assert_in_range(taken_at(&word, &hundred, now, 1000), 39, 41);
    /* A smaller burst is empty at most: the next one is there after one interval. */
    xt_rate_change(&word, &hundred, &small, now);
    assert_int_equal(taken_at(&word, &small, now + 90 * MS, 10), 0);
    assert_int_equal(taken_at(&word, &small, now + 101 * MS, 10), 1);
    xt_rate_change(&word, &small, &none, now);
    xt_rate_change(&word, &none, &small, now);
    assert_int_equal(taken_at(&word, &small, now, 10), 2);
}

/* ---- several processes ------------------------------------------------------------------------ */

#define PROCESSES 4
#define ATTEMPTS 400000U
#define STEP_NS 500U

struct arena {
    uint64_t word, clock_ns, taken, waiting;
};

/* Time is a number that every attempt moves on by step_ns: what must come out depends on no scheduler. */
static void hammer(struct arena *arena, const struct xt_rate *rate, unsigned step_ns)
{
    uint64_t taken = 0, wait = 0;
    __atomic_sub_fetch(&arena->waiting, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&arena->waiting, __ATOMIC_ACQUIRE) > 0) {
        sched_yield(); /* all at once, or there is nothing to test */
    }
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t now = __atomic_add_fetch(&arena->clock_ns, step_ns, __ATOMIC_RELAXED);
        taken += xt_rate_take(&arena->word, rate, now, &wait);
    }
    __atomic_add_fetch(&arena->taken, taken, __ATOMIC_RELAXED);
}

static struct arena hammered_by_processes(const struct xt_rate *rate, unsigned step_ns)
{
    struct arena *arena =
        mmap(NULL, sizeof(*arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(arena != MAP_FAILED);
    arena->clock_ns = S;
    arena->waiting = PROCESSES;
    pid_t children[PROCESSES];
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            hammer(arena, rate, step_ns);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct arena result = *arena;
    munmap(arena, sizeof(*arena));
    return result;
}

static void processes_together_get_one_burst(void **state)
{
    (void)state;
    const uint32_t burst = PROCESSES * ATTEMPTS / 2; /* half of all attempts, in one instant */
    struct xt_rate rate = xt_rate_of(1, burst);
    struct arena arena = hammered_by_processes(&rate, 0);
    assert_int_equal(arena.taken, burst);
}

static void processes_together_get_one_rate(void **state)
{
    (void)state;
    const uint32_t per_second = 1000000, burst = 5000; /* half of all attempts are taken */
    struct xt_rate rate = xt_rate_of(per_second, burst);
    struct arena arena = hammered_by_processes(&rate, STEP_NS);
    double seconds = (double)(arena.clock_ns - S) / (double)S;
    double expected = burst + per_second * seconds;
    assert_true((double)arena.taken <= expected + 1);
    assert_true((double)arena.taken >= 0.99 * expected);
}

/* ---- partners' cells -------------------------------------------------------------------------- */

static char dir[] = "/tmp/xt-rates-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    char path[320];
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    snprintf(path, sizeof(path), "%s/partners", dir);
    return mkdir(path, 0700);
}

static void partner_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/partners/%s.json", dir, name);
}

static void set_partner(const char *name, unsigned per_second, unsigned burst)
{
    char path[320];
    partner_path(path, sizeof(path), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    uint64_t hash = 5381;
    for (const char *at = name; *at != '\0'; at++) {
        hash = hash * 33 + (uint8_t)*at;
    }
    fprintf(file,
            "{\"name\":\"%s\",\"certificates\":[{\"spki_sha256\":\"%064llx\"}],\"purposes\":[],"
            "\"rate\":{\"per_second\":%u,\"burst\":%u}}",
            name, (unsigned long long)hash, per_second, burst);
    assert_int_equal(fclose(file), 0);
}

static void remove_partner(const char *name)
{
    char path[320];
    partner_path(path, sizeof(path), name);
    assert_int_equal(unlink(path), 0);
}

static int remove_dir(void **state)
{
    (void)state;
    char path[320];
    snprintf(path, sizeof(path), "%s/partners", dir);
    return rmdir(path) == 0 && rmdir(dir) == 0 ? 0 : 1; /* every test removes its partners */
}

static void refused(void *context, const char *file, const char *why)
{
    (void)context;
    fail_msg("%s: %s", file, why);
}

static struct xt_partners *load(void)
{
    struct xt_partners *partners = NULL;
    struct xt_failure failure;
    assert_int_equal(xt_partners_load(dir, NULL, refused, NULL, &partners, &failure), XT_OK);
    return partners;
}

/* The supervisor's view and those of two workers, in one process. */
struct tree {
    struct xt_shared *supervisor, *workers[2];
};

static void tree_open(struct tree *tree)
{
    struct xt_failure failure;
    int fds[XT_SHARED_FDS];
    assert_int_equal(xt_shared_create(2, &tree->supervisor, &failure), XT_OK);
    xt_shared_hand(tree->supervisor, fds);
    assert_int_equal(xt_shared_attach(fds, 0, &tree->workers[0], &failure), XT_OK);
    assert_int_equal(xt_shared_attach(fds, 1, &tree->workers[1], &failure), XT_OK);
}

static void tree_close(struct tree *tree)
{
    xt_shared_close(tree->supervisor);
    xt_shared_close(tree->workers[0]);
    xt_shared_close(tree->workers[1]);
}

/* The cell that a name is reported under; XT_NO_CELL: none. */
static uint32_t reported(const struct tree *tree, const char *name, uint64_t now_ms)
{
    uint32_t found = XT_NO_CELL;
    for (uint32_t cell = 0; cell < XT_CELLS; cell++) {
        char text[XT_PARTNER_NAME_MAX + 1];
        uint64_t epoch = 0;
        if (xt_shared_cell(tree->workers[1], cell, now_ms, text, &epoch) &&
            strcmp(text, name) == 0) {
            assert_int_equal(found, XT_NO_CELL); /* once */
            found = cell;
        }
    }
    return found;
}

static uint32_t cell_of(const struct xt_partners *partners, const uint32_t *cells, const char *name)
{
    for (unsigned i = 0; i < xt_partners_count(partners); i++) {
        if (strcmp(xt_partners_at(partners, i)->name, name) == 0) {
            return cells[i];
        }
    }
    return XT_NO_CELL;
}

static void a_partner_keeps_its_cell_over_reloads(void **state)
{
    (void)state;
    struct tree tree;
    uint32_t cells[8], before = 0;
    tree_open(&tree);
    set_partner("b", 10, 5);
    set_partner("c", 10, 5);
    struct xt_partners *partners = load();
    xt_shared_assign(tree.supervisor, partners, 1000, cells);
    before = cell_of(partners, cells, "c");
    assert_int_not_equal(before, cell_of(partners, cells, "b"));

    /* Both workers take from the same word. */
    struct xt_rates *rates[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(xt_rates_open(partners, cells, tree.workers[i], i, &rates[i]), XT_OK);
    }
    const struct xt_partner *c = xt_partners_by_name(partners, "c");
    const struct xt_allowance *first = xt_rates_of(rates[0], c), *second = xt_rates_of(rates[1], c);
    assert_ptr_not_equal(first->word, second->word);
    assert_int_equal(taken_at(first->word, &first->rate, S, 3), 3);
    assert_int_equal(taken_at(second->word, &second->rate, S, 10), 2);
    xt_rates_close(rates[0]);
    xt_rates_close(rates[1]);
    xt_partners_free(partners);

    set_partner("a", 10, 5); /* before the others in the order of names */
    remove_partner("b");
    partners = load();
    xt_shared_assign(tree.supervisor, partners, 2000, cells);
    assert_int_equal(cell_of(partners, cells, "c"), before);
    struct xt_rate rate = xt_rate_of(10, 5);
    assert_int_equal(taken_at(xt_shared_rate(tree.workers[0], before), &rate, S, 10), 0);
    xt_partners_free(partners);
    remove_partner("a");
    remove_partner("c");
    tree_close(&tree);
}

static void a_removed_partners_cell_is_told_of_and_then_free(void **state)
{
    (void)state;
    struct tree tree;
    uint32_t cells[8];
    tree_open(&tree);
    set_partner("old", 10, 5);
    struct xt_partners *partners = load();
    xt_shared_assign(tree.supervisor, partners, 1000, cells);
    uint32_t cell = cells[0];
    xt_shared_use(tree.workers[0], 0, cell);
    struct xt_partner_counters *counters =
        &xt_shared_counters(tree.workers[0], 0)->by_partner[cell];
    xt_counter_add(&counters->outcomes[0][0], 7);
    xt_partners_free(partners);
    remove_partner("old");
    set_partner("stays", 10, 5);

    partners = load();
    xt_shared_assign(tree.supervisor, partners, 2000, cells);
    assert_int_not_equal(cells[0], cell);
    assert_int_equal(reported(&tree, "old", 2000 + XT_CELL_KEPT_MS - 1), cell);
    assert_int_equal(reported(&tree, "old", 2000 + XT_CELL_KEPT_MS), XT_NO_CELL);
    assert_int_equal(reported(&tree, "stays", 2000 + XT_CELL_KEPT_MS), cells[0]);
    xt_partners_free(partners);

    set_partner("old", 10, 5); /* back again: the same cell and its counters */
    partners = load();
    xt_shared_assign(tree.supervisor, partners, 3000, cells);
    assert_int_equal(cell_of(partners, cells, "old"), cell);
    xt_shared_use(tree.workers[0], 0, cell);
    assert_int_equal(xt_counter_get(&counters->outcomes[0][0]), 7);
    xt_partners_free(partners);
    remove_partner("old");
    remove_partner("stays");
    tree_close(&tree);
}

#define AT_A_TIME 8

/* As many names as it takes to use every cell up. */
static void a_cell_that_changes_hands_begins_at_zero(void **state)
{
    (void)state;
    struct tree tree;
    uint32_t cells[8];
    tree_open(&tree);
    set_partner("first", 10, 5);
    struct xt_partners *partners = load();
    xt_shared_assign(tree.supervisor, partners, 1, cells);
    uint32_t cell = cells[0];
    xt_shared_use(tree.workers[0], 0, cell);
    struct xt_partner_counters *counters =
        &xt_shared_counters(tree.workers[0], 0)->by_partner[cell];
    xt_counter_add(&counters->outcomes[0][3], 9);
    struct xt_rate rate = xt_rate_of(10, 5);
    assert_int_equal(taken_at(xt_shared_rate(tree.workers[0], cell), &rate, S, 10), 5);
    xt_partners_free(partners);
    remove_partner("first");
    char holder[32] = "";
    unsigned turns = 0;
    for (; holder[0] == '\0' && turns < XT_CELLS; turns++) {
        char names[AT_A_TIME][32];
        for (unsigned i = 0; i < AT_A_TIME; i++) {
            snprintf(names[i], sizeof(names[i]), "n%u-%u", turns, i);
            set_partner(names[i], 10, 5);
        }
        partners = load();
        xt_shared_assign(tree.supervisor, partners, 1000 + turns, cells);
        for (unsigned i = 0; i < AT_A_TIME; i++) {
            if (cell_of(partners, cells, names[i]) == cell) {
                strcpy(holder, names[i]);
            }
            remove_partner(names[i]);
        }
        assert_int_equal(reported(&tree, names[0], 1000), cell_of(partners, cells, names[0]));
        xt_partners_free(partners);
    }
    assert_int_equal(turns, XT_CELLS / AT_A_TIME); /* unused ones first, then the oldest */
    /* Until the worker takes the new set, what it counts is under the old epoch and is not told. */
    char text[XT_PARTNER_NAME_MAX + 1];
    uint64_t epoch = 0;
    assert_true(xt_shared_cell(tree.workers[0], cell, 10000, text, &epoch));
    assert_string_equal(text, holder);
    assert_true(xt_counter_get(&counters->epoch) != epoch);
    xt_shared_use(tree.workers[0], 0, cell);
    assert_true(xt_counter_get(&counters->epoch) == epoch);
    assert_int_equal(xt_counter_get(&counters->outcomes[0][3]), 0);
    assert_int_equal(taken_at(xt_shared_rate(tree.workers[0], cell), &rate, S, 10), 5);
    tree_close(&tree);
}

/* ---- the memory ------------------------------------------------------------------------------- */

static void a_replaced_worker_goes_on_from_the_old_counters(void **state)
{
    (void)state;
    struct xt_shared *supervisor = NULL, *worker = NULL;
    struct xt_failure failure;
    int fds[XT_SHARED_FDS];
    assert_int_equal(xt_shared_create(3, &supervisor, &failure), XT_OK);
    xt_shared_hand(supervisor, fds);
    for (unsigned life = 1; life <= 3; life++) {
        assert_int_equal(xt_shared_attach(fds, 2, &worker, &failure), XT_OK);
        struct xt_counters *counters = xt_shared_counters(worker, 2);
        assert_int_equal(xt_counter_get(&counters->requests[0][0]), life - 1);
        assert_int_equal(xt_counter_get(&counters->now.generation), 0); /* a gauge begins anew */
        xt_counter_add(&counters->requests[0][0], 1);
        xt_counter_set(&counters->now.generation, 5);
        xt_shared_close(worker);
        xt_shared_count_restart(supervisor, 2);
    }
    assert_int_equal(xt_counter_get(&xt_shared_process(supervisor, 2)->restarts), 3);
    assert_int_equal(xt_counter_get(&xt_shared_counters(supervisor, 2)->requests[0][0]), 3);
    xt_shared_close(supervisor);
}

static void nobody_writes_where_it_is_not_his(void **state)
{
    (void)state;
    struct tree tree;
    tree_open(&tree);
    void *places[] = {xt_shared_counters(tree.workers[0], 1),
                      xt_shared_counters(tree.supervisor, 0), xt_shared_vitals(tree.workers[0], 2),
                      xt_shared_vitals(tree.workers[0], 3),
                      (void *)(uintptr_t)xt_shared_process(tree.workers[0], 0)};
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        void *start = (uint8_t *)places[i] - (uintptr_t)places[i] % page;
        assert_int_equal(mprotect(start, page, PROT_READ | PROT_WRITE), -1);
        assert_int_equal(errno, EACCES);
        assert_int_equal(mprotect(start, page, PROT_READ), 0); /* it is a map of ours */
    }
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);
            *(volatile uint64_t *)places[i] = 1;
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    }
    tree_close(&tree);
}

/* Even one that has kept the descriptors cannot get at what the supervisor says. */
static void nobody_maps_the_header_to_write(void **state)
{
    (void)state;
    struct tree tree;
    int fds[XT_SHARED_FDS];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    tree_open(&tree);
    xt_shared_hand(tree.supervisor, fds);
    const int read_only[] = {fds[XT_SHARED_HEADER], fds[XT_SHARED_VIEW]};
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, read_only[i], 0),
                         MAP_FAILED);
        assert_int_equal(pwrite(read_only[i], "x", 1, 0), -1);
    }
    tree_close(&tree);
}

/* Every word that a worker, or several together, can write. */
static void scribble(const struct tree *tree, uint64_t value)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *words = (uint64_t *)(void *)xt_shared_counters(tree->workers[i], i);
        for (size_t at = 0; at < sizeof(struct xt_counters) / sizeof(*words); at++) {
            words[at] = value == 0 ? at * 0x9e3779b97f4a7c15U : value;
        }
        for (uint32_t cell = 0; cell < XT_CELLS; cell++) {
            *xt_shared_rate(tree->workers[i], cell) = value == 0 ? ~(uint64_t)cell : value;
        }
    }
}

static void a_hostile_worker_changes_no_decision(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, UINT64_MAX, 1ULL << 40, 1ULL << 63};
    struct tree tree;
    uint32_t cells[8], again[8];
    tree_open(&tree);
    set_partner("b", 10, 5);
    set_partner("c", 10, 5);
    struct xt_partners *partners = load();
    xt_shared_assign(tree.supervisor, partners, 1000, cells);
    for (unsigned i = 0; i < 2; i++) {
        xt_shared_set_process(tree.supervisor, i, XT_PROCESS_SERVING, 1);
    }
    for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct xt_readiness readiness;
        struct xt_rates *rates = NULL;
        scribble(&tree, values[i]);
        set_partner("b", 10 + i, 7); /* a changed rate goes by the word that is there */
        xt_partners_free(partners);
        partners = load();
        xt_shared_assign(tree.supervisor, partners, 2000 + i, again);
        assert_memory_equal(cells, again, 2 * sizeof(cells[0]));
        assert_int_equal(reported(&tree, "b", 3000), cells[0]);
        assert_int_equal(xt_shared_slots(tree.workers[1]), 2);
        (void)xt_shared_is_ready(tree.workers[1], &readiness);
        assert_int_equal(readiness.workers, 2);
        assert_int_equal(readiness.serving, 2);
        assert_int_equal(xt_rates_open(partners, cells, tree.workers[1], 1, &rates), XT_OK);
        const struct xt_allowance *b = xt_rates_of(rates, xt_partners_by_name(partners, "b"));
        (void)taken_at(b->word, &b->rate, S, 100);
        xt_rates_close(rates);
    }
    xt_partners_free(partners);
    remove_partner("b");
    remove_partner("c");
    tree_close(&tree);
}

/* What the supervisor has published is not what it goes by: even if the seal failed. */
static void the_supervisor_does_not_read_back_what_it_published(void **state)
{
    (void)state;
    struct tree tree;
    uint32_t cells[8], again[8];
    tree_open(&tree);
    set_partner("b", 10, 5);
    set_partner("c", 10, 5);
    struct xt_partners *partners = load();
    xt_shared_assign(tree.supervisor, partners, 1000, cells);
    static const int bytes[] = {0, 0xff, 0x22, 0x0a};
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        struct xt_readiness readiness;
        char name[XT_PARTNER_NAME_MAX + 1];
        uint64_t epoch = 0;
        memset(tree.supervisor->header, bytes[i], sizeof(*tree.supervisor->header));
        for (uint32_t cell = 0; cell < XT_CELLS; cell++) {
            struct xt_shared_cell *told = &tree.supervisor->header->cells[cell];
            (void)xt_shared_cell(tree.workers[1], cell, 3000, name, &epoch);
            told->version = 2;
            told->name_size = i % 2 == 0 ? 1ULL << 40 : XT_PARTNER_NAME_MAX;
            (void)xt_shared_cell(tree.workers[1], cell, 3000, name, &epoch);
        }
        assert_false(xt_shared_is_ready(tree.workers[1], &readiness));
        assert_int_equal(readiness.workers, 2);
        assert_int_equal(xt_shared_workers(tree.workers[1]), 2);
        xt_shared_use(tree.workers[1], 1, cells[0]);
        xt_shared_assign(tree.supervisor, partners, 2000 + i, again);
        assert_memory_equal(cells, again, 2 * sizeof(cells[0]));
    }
    xt_partners_free(partners);
    remove_partner("b");
    remove_partner("c");
    tree_close(&tree);
}

static atomic_bool stop_writing;

static void *write_without_end(void *argument)
{
    uint64_t *word = argument;
    for (uint64_t i = 0; !stop_writing; i++) {
        __atomic_store_n(word, i << 4, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_word_that_never_rests_holds_nobody_up(void **state)
{
    (void)state;
    uint64_t word = 0;
    pthread_t thread;
    struct xt_rate one = xt_rate_of(7, 20), other = xt_rate_of(9, 30);
    stop_writing = false;
    assert_int_equal(pthread_create(&thread, NULL, write_without_end, &word), 0);
    for (unsigned i = 0; i < 2000; i++) {
        (void)taken_at(&word, &one, S, 3);
        xt_rate_change(&word, i % 2 == 0 ? &one : &other, i % 2 == 0 ? &other : &one, S);
    }
    stop_writing = true;
    pthread_join(thread, NULL);
}

static void the_memory_cannot_be_cut_and_must_be_ours(void **state)
{
    (void)state;
    struct xt_shared *supervisor = NULL, *worker = NULL;
    struct xt_failure failure;
    int fds[XT_SHARED_FDS], other = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(xt_shared_create(0, &supervisor, &failure), XT_INVALID);
    assert_int_equal(xt_shared_create(XT_SHARED_WORKERS_MAX + 1, &supervisor, &failure),
                     XT_INVALID);
    assert_int_equal(xt_shared_create(1, &supervisor, &failure), XT_OK);
    xt_shared_hand(supervisor, fds);
    assert_int_equal(xt_shared_attach(fds, 2, &worker, &failure), XT_INVALID);
    for (unsigned i = 0; i < XT_SHARED_FDS; i++) {
        int kept = fds[i];
        assert_int_equal(ftruncate(kept, 0), -1);
        assert_int_equal(errno, i == XT_SHARED_VIEW ? EINVAL : EPERM); /* cannot write; sealed */
        fds[i] = other;
        assert_int_not_equal(xt_shared_attach(fds, 0, &worker, &failure), XT_OK);
        fds[i] = kept;
    }
    assert_int_equal(xt_shared_attach(fds, 0, &worker, &failure), XT_OK);
    xt_shared_close(worker);
    xt_shared_close(supervisor);
    close(other);
}

static void ready_is_when_every_one_serves(void **state)
{
    (void)state;
    struct tree tree;
    struct xt_readiness readiness;
    struct xt_failure failure;
    int fds[XT_SHARED_FDS];
    tree_open(&tree);
    assert_false(xt_shared_is_ready(tree.workers[0], &readiness)); /* nobody is wanted yet */
    xt_shared_set_process(tree.supervisor, 0, XT_PROCESS_STARTING, 1);
    xt_shared_set_process(tree.supervisor, 1, XT_PROCESS_STARTING, 1);
    for (unsigned i = 0; i < 2; i++) {
        xt_shared_set_process(tree.supervisor, i, XT_PROCESS_SERVING, 1);
        assert_false(xt_shared_is_ready(tree.workers[0], &readiness));
        assert_int_equal(readiness.serving, i + 1);
        xt_counter_set(&xt_shared_counters(tree.workers[i], i)->now.generation, 1);
    }
    assert_true(xt_shared_is_ready(tree.workers[0], &readiness));
    xt_shared_set_process(tree.supervisor, 2, XT_PROCESS_STARTING, 1);
    assert_false(xt_shared_is_ready(tree.workers[0], &readiness)); /* a writer is wanted */
    xt_shared_set_process(tree.supervisor, 2, XT_PROCESS_SERVING, 1);
    assert_true(xt_shared_is_ready(tree.workers[0], &readiness));
    xt_shared_count_restart(tree.supervisor, 1);
    assert_false(xt_shared_is_ready(tree.workers[0], &readiness));
    xt_shared_set_process(tree.supervisor, 1, XT_PROCESS_SERVING, 1);
    assert_true(xt_shared_is_ready(tree.workers[0], &readiness));
    xt_shared_set_slots(tree.supervisor, 1); /* two places of one worker: one serving is enough */
    xt_shared_close(tree.workers[0]);
    xt_shared_hand(tree.supervisor, fds);
    assert_int_equal(xt_shared_attach(fds, 0, &tree.workers[0], &failure), XT_OK);
    xt_shared_count_restart(tree.supervisor, 0);
    assert_true(xt_shared_is_ready(tree.workers[0], &readiness));
    assert_int_equal(readiness.workers, 1);
    xt_shared_count_restart(tree.supervisor, 1);
    assert_false(xt_shared_is_ready(tree.workers[0], &readiness));
    xt_shared_set_process(tree.supervisor, 1, XT_PROCESS_SERVING, 1);
    xt_shared_set_process(tree.supervisor, 3, XT_PROCESS_DRAINING, 1);
    assert_false(xt_shared_is_ready(tree.workers[0], &readiness));
    tree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_taken_and_then_the_rate),
        cmocka_unit_test(any_rate_and_any_clock_are_borne),
        cmocka_unit_test(a_changed_rate_keeps_what_was_used),
        cmocka_unit_test(processes_together_get_one_burst),
        cmocka_unit_test(processes_together_get_one_rate),
        cmocka_unit_test(a_partner_keeps_its_cell_over_reloads),
        cmocka_unit_test(a_removed_partners_cell_is_told_of_and_then_free),
        cmocka_unit_test(a_cell_that_changes_hands_begins_at_zero),
        cmocka_unit_test(a_replaced_worker_goes_on_from_the_old_counters),
        cmocka_unit_test(nobody_writes_where_it_is_not_his),
        cmocka_unit_test(nobody_maps_the_header_to_write),
        cmocka_unit_test(a_hostile_worker_changes_no_decision),
        cmocka_unit_test(the_supervisor_does_not_read_back_what_it_published),
        cmocka_unit_test(a_word_that_never_rests_holds_nobody_up),
        cmocka_unit_test(the_memory_cannot_be_cut_and_must_be_ours),
        cmocka_unit_test(ready_is_when_every_one_serves),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
