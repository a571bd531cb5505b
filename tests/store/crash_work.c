#include "tests/store/crash_work.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/live_fold.h"
#include "store/live_overlay.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"
#include "tests/core/mutate.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define GROUP_MOST 12
#define MAP_BYTES (128U << 10) /* it grows several times */
#define RESEAL_EVERY 25
#define FOLD_EVERY 10
#define COMPACT_FIRST 16
#define COMPACT_EVERY 100
#define CERTIFICATES 40
#define CURSOR_NEXT 8 /* MDB_NEXT */

/* Of LMDB, whose header stays in store/. */
struct MDB_cursor;
struct value {
    size_t size;
    const void *data;
};
int mdb_cursor_open(struct MDB_txn *txn, unsigned table, struct MDB_cursor **cursor);
int mdb_cursor_get(struct MDB_cursor *cursor, struct value *key, struct value *value, int how);
void mdb_cursor_close(struct MDB_cursor *cursor);

/* ---- looking ------------------------------------------------------------------------------------ */

static uint64_t add_hash(uint64_t hash, struct value value)
{
    const uint8_t *bytes = value.data;
    hash = (hash ^ value.size) * 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < value.size; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
    }
    return hash ^ hash >> 31;
}

static bool look_at_table(struct xt_live *live, unsigned table, uint64_t *hash, uint64_t *count)
{
    struct MDB_cursor *cursor = NULL;
    struct value key, value;
    *hash = *count = 0;
    if (mdb_cursor_open(live->txn, live->tables[table], &cursor) != 0) {
        return false;
    }
    int code;
    while ((code = mdb_cursor_get(cursor, &key, &value, CURSOR_NEXT)) == 0) {
        *hash = add_hash(add_hash(*hash, key), value);
        ++*count;
    }
    mdb_cursor_close(cursor);
    return code == -30798; /* MDB_NOTFOUND: the end */
}

bool work_look(struct xt_live *live, struct work_sight *sight)
{
    memset(sight, 0, sizeof(*sight));
    if (xt_live_begin_look(live) != XT_OK) {
        return false;
    }
    bool whole = true;
    for (unsigned i = 0; whole && i < XT_LIVE_TABLES; i++) {
        uint64_t count;
        whole = look_at_table(live, i, &sight->tables[i], &count);
        sight->log_lines = i == XT_LIVE_LOG ? count : sight->log_lines;
    }
    xt_live_end_look(live);
    sight->sequence = xt_live_sequence(live);
    return whole;
}

/* ---- counting ----------------------------------------------------------------------------------- */

struct xt_generation *work_base(struct xt_live *live, const char *dir,
                                const struct xt_keyring *keyring)
{
    struct xt_generation *base = NULL;
    struct xt_failure failure;
    uint8_t digest[XT_GENERATION_DIGEST];
    uint32_t number = 1;
    enum xt_status status = xt_live_look_up_generation(live, &number, digest);
    bool recorded = status == XT_OK;
    number = recorded ? number : 1;
    if ((!recorded && status != XT_NOT_FOUND) ||
        xt_generation_open(dir, number, keyring, &base, &failure) != XT_OK) {
        return NULL;
    }
    if (recorded && memcmp(xt_generation_manifest(base)->digest, digest, sizeof(digest)) != 0) {
        xt_generation_close(base);
        return NULL;
    }
    return base;
}

/* Adds the person whose number this is; within a look. */
static enum xt_status count_number(struct xt_live *live, struct xt_generation *base,
                                   uint64_t number, struct xt_tally *counted)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    struct xt_live_entry entry;
    struct xt_found found;
    enum xt_status status = xt_live_entry(live, number, &entry);
    if (status == XT_OK && entry.replaced) {
        return XT_OK;
    }
    if (status == XT_OK) {
        status = xt_hot_decode(entry.hot, &found.hot);
    } else if (status == XT_NOT_FOUND) {
        status = xt_generation_find(base, id, &found);
        if (status == XT_OK && (!found.found || found.by_alias)) {
            return XT_OK;
        }
    }
    return status == XT_OK ? xt_tally_add(counted, xt_statistics_key(&found.hot), 1) : status;
}

enum xt_status work_recount(struct xt_live *live, struct xt_generation *base, const char *dir,
                            const struct xt_keyring *keyring)
{
    const struct xt_manifest *manifest = xt_generation_manifest(base);
    struct xt_tally now = {.places = 0};
    struct xt_tally counted = {.places = 0};
    struct xt_failure failure;
    enum xt_status status = xt_generation_statistics(dir, manifest, keyring, &now, &failure);
    if (status == XT_OK) {
        status = xt_live_add_cells(live, manifest->digest, &now);
    }
    if (status == XT_OK) {
        status = xt_live_begin_look(live);
    }
    if (status == XT_OK) {
        for (unsigned i = 0; status == XT_OK && i < WORK_NUMBERS; i++) {
            status = count_number(live, base, PERSON_NUMBER(i), &counted);
        }
        xt_live_end_look(live);
        status = status == XT_OK && !xt_tally_is_same(&now, &counted) ? XT_CORRUPT : status;
    }
    xt_tally_free(&counted);
    xt_tally_free(&now);
    return status;
}

enum xt_status work_fold(struct xt_live *live)
{
    struct xt_failure failure;
    live->unfolded = XT_LIVE_FOLD_FROM; /* as if there were many */
    return xt_live_fold_changes(live, &failure);
}

/* ---- events ------------------------------------------------------------------------------------- */

static struct xt_span encode(const struct xt_event *event, uint8_t memory[XT_EVENT_MAX])
{
    struct xt_writer writer = xt_writer_over(memory, XT_EVENT_MAX);
    xt_event_encode(event, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

static struct xt_span certificate_event(uint64_t id, uint64_t random, uint8_t memory[XT_EVENT_MAX])
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    memset(event.id, 0, sizeof(event.id));
    memcpy(event.id, &id, sizeof(id));
    event.id[15] = 1;
    event.at_ms = 1000;
    event.certificate_held.spki[0] = (uint8_t)(random % CERTIFICATES);
    if (random / CERTIFICATES % 5 != 0) { /* else nobody's */
        snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "p%u",
                 (unsigned)(random >> 32));
    }
    return encode(&event, memory);
}

/* Half of what is told changes the statistics, if the rules let it. */
static enum xt_registry_type draw_type(uint64_t random)
{
    static const enum xt_registry_type types[] = {
        XT_REGISTRY_ADDRESS_CHANGED, XT_REGISTRY_CARD_LOST,    XT_REGISTRY_ADDRESS_CHANGED,
        XT_REGISTRY_CARD_LOST,       XT_REGISTRY_CARD_FOUND,   XT_REGISTRY_CARD_ISSUED,
        XT_REGISTRY_CARD_ISSUED,     XT_REGISTRY_CARD_REVOKED, XT_REGISTRY_PHONE_LINKED,
        XT_REGISTRY_PHONE_UNLINKED,  XT_REGISTRY_CORRECTED,
    };
    if (random / 1000 % 150 == 1) {
        return XT_REGISTRY_DECEASED;
    }
    if (random / 1000 % 50 == 2) {
        return XT_REGISTRY_NUMBER_REPLACED;
    }
    return types[random % (sizeof(types) / sizeof(types[0]))];
}

/* What it says may be against the rules: then it is refused, each time. */
static struct xt_span registry_event(uint64_t id, uint64_t random, uint8_t memory[XT_EVENT_MAX])
{
    static struct xt_registry_event told;
    static uint8_t body[XT_EVENT_BODY_MAX];
    char event_id[32], text[64];
    struct xt_registry_envelope envelope = {.at_ms = 1};
    struct xt_event event;
    snprintf(event_id, sizeof(event_id), "e-%llu", (unsigned long long)id);
    snprintf(text, sizeof(text), "%u Lê Lợi", (unsigned)(random >> 40));
    envelope.event_id = xt_span_of_string(event_id);
    memset(&told, 0, sizeof(told));
    told.type = draw_type(random);
    told.number = PERSON_NUMBER(random % 1000 % WORK_PEOPLE);
    told.successor = PERSON_NUMBER(WORK_PEOPLE + random % (WORK_NUMBERS - WORK_PEOPLE));
    if ((told.type == XT_REGISTRY_NUMBER_REPLACED || told.type == XT_REGISTRY_DECEASED) &&
        told.number == PERSON_NUMBER(0)) {
        told.number++;
    }
    told.person.address_province = 1 + (unsigned)(random >> 20) % 40;
    told.person.address_text = xt_span_of_string(text);
    told.person.home_town = told.person.address_text;
    told.set = told.type == XT_REGISTRY_CORRECTED ? XT_CORRECT_BIT(XT_CORRECT_HOME_TOWN) : 0;
    told.person.phone_count = 1;
    told.person.phones[0] = 987650000U + (unsigned)(random % 5);
    if (told.type == XT_REGISTRY_CARD_ISSUED) {
        assert_int_equal(
            xt_date_make(2020 + (unsigned)(random >> 30) % 6, 5, 1, &told.person.card_issued_on),
            XT_OK);
    }
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, &event), XT_OK);
    return encode(&event, memory);
}

struct xt_span work_first_event(uint32_t step, uint8_t memory[XT_EVENT_MAX])
{
    uint64_t random = step;
    return certificate_event(1000ULL * step + 1, next_random(&random), memory);
}

struct xt_span work_other_event(bool of_register, uint8_t memory[XT_EVENT_MAX])
{
    return of_register ? registry_event(UINT32_MAX, 0, memory)
                       : certificate_event(UINT32_MAX, 7, memory);
}

/* ---- the work ----------------------------------------------------------------------------------- */

static struct {
    const char *dir;
    int told;
    struct xt_live *live;
    struct xt_generation *base;
    struct xt_keyring *keyring; /* that opened the base */
} work;

static struct xt_keyring *open_keys(void)
{
    char path[XT_PATH_MAX];
    struct xt_keyring *keyring = NULL;
    struct xt_failure failure;
    assert_int_equal(xt_path_join(path, work.dir, "keys/master.keys"), XT_OK);
    assert_int_equal(xt_keyring_open(path, &keyring, &failure), XT_OK);
    return keyring;
}

static void tell(uint32_t step, enum work_kind kind, uint64_t first_sequence)
{
    static struct work_told last;
    struct work_told told = {.step = step,
                             .kind = kind,
                             .counted = work.live->counted && !work.live->base_is_old,
                             .first_sequence = first_sequence};
    assert_true(work_look(work.live, &told.sight));
    if (kind == WORK_SETTLED && step == last.step &&
        memcmp(&told.sight, &last.sight, sizeof(last.sight)) == 0) {
        return; /* nothing was to be done */
    }
    last = told;
    assert_int_equal(write(work.told, &told, sizeof(told)), sizeof(told));
}

static void must(enum xt_status status)
{
    if (status != XT_OK) {
        _exit(1); /* as the writer does */
    }
}

static void seal_anew(uint32_t step)
{
    char path[XT_PATH_MAX];
    struct xt_failure failure;
    uint32_t id;
    bool done = false;
    assert_int_equal(xt_path_join(path, work.dir, "keys/master.keys"), XT_OK);
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_OK);
    struct xt_keyring *keyring = open_keys();
    assert_int_equal(xt_live_reseal(work.live, keyring, &done, &failure), XT_OK);
    assert_true(done);
    xt_keyring_close(keyring);
    tell(step + 1, WORK_SEALED_ANEW, 0);
}

static void apply_group(uint32_t step)
{
    static uint8_t memory[GROUP_MOST][XT_EVENT_MAX];
    struct xt_span events[GROUP_MOST];
    struct xt_live_outcome outcomes[GROUP_MOST];
    struct xt_failure failure;
    uint64_t random = 1000003ULL * step + 11;
    unsigned count = 1 + (unsigned)(next_random(&random) % GROUP_MOST);
    events[0] = work_first_event(step, memory[0]);
    for (unsigned i = 1; i < count; i++) {
        uint64_t id = 1000ULL * step + 1 + i;
        uint64_t drawn = next_random(&random);
        events[i] = drawn % 4 == 0 ? certificate_event(id, drawn >> 2, memory[i])
                                   : registry_event(id, drawn >> 2, memory[i]);
    }
    enum xt_status status =
        xt_live_apply(work.live, 1000ULL * step, events, count, outcomes, &failure);
    must(status);
    assert_int_equal(outcomes[0].status, XT_OK);
    tell(step + 1, WORK_EVENTS, outcomes[0].sequence);
}

/* Opens the generation on record, and counts over it. */
static void lie_over(uint32_t step)
{
    struct xt_failure failure;
    xt_live_set_base(work.live, NULL);
    xt_generation_close(work.base);
    xt_keyring_close(work.keyring);
    work.keyring = open_keys();
    work.base = work_base(work.live, work.dir, work.keyring);
    assert_non_null(work.base);
    xt_live_set_base(work.live, work.base);
    for (bool counted = false; !counted;) { /* each time a transaction, at most */
        must(xt_live_count_anew(work.live, &counted, &failure));
        tell(step, WORK_SETTLED, 0);
    }
}

/* In a process that nobody records. */
static void run_unseen(const char *file, const char *const *arguments)
{
    int status = 0;
    union { /* execv takes char * for historical reasons only */
        const char *const *from;
        char *const *to;
    } list = {.from = arguments};
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unsetenv("LD_PRELOAD") == 0) {
            execv(file, list.to);
        }
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void work_keep(const char *dir, uint32_t number)
{
    char from[XT_PATH_MAX], to[XT_PATH_MAX];
    snprintf(from, sizeof(from), "%s/identity/%06u", dir, number);
    snprintf(to, sizeof(to), "%s/kept/identity/", dir);
    run_unseen("/bin/cp", (const char *const[]){"cp", "-al", from, to, NULL});
}

/* Gives the number of what it made. */
static uint32_t compact(void)
{
    struct xt_failure failure;
    uint32_t number = 0;
    run_unseen(program(), (const char *const[]){"xacthuc", "compact", work.dir, "--quiet", NULL});
    assert_int_equal(xt_generation_current(work.dir, &number, &failure), XT_OK);
    work_keep(work.dir, number);
    return number;
}

/* What was made is served: this is written down, counted over, and what it holds is dropped. */
static void compact_and_drop(uint32_t step)
{
    uint8_t memory[XT_EVENT_MAX];
    struct xt_generation *made = NULL;
    struct xt_failure failure;
    struct xt_live_outcome outcome;
    struct xt_event event;
    struct xt_keyring *keyring = open_keys();
    uint32_t number = compact();
    bool done = false;
    assert_int_equal(xt_generation_open(work.dir, number, keyring, &made, &failure), XT_OK);
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = number;
    memcpy(event.generation_served.digest, xt_generation_manifest(made)->digest,
           XT_GENERATION_DIGEST);
    xt_generation_close(made);
    xt_keyring_close(keyring);
    struct xt_span encoded = encode(&event, memory);
    must(xt_live_apply(work.live, 1000ULL * step, &encoded, 1, &outcome, &failure));
    assert_int_equal(outcome.status, XT_OK);
    tell(step, WORK_SETTLED, 0);
    lie_over(step);
    while (!done) {
        must(xt_live_drop_folded(work.live, &done, &failure));
        tell(step, WORK_SETTLED, 0);
    }
    tell(step + 1, WORK_SETTLED, 0);
}

static void do_step(uint32_t step)
{
    if (step % RESEAL_EVERY == RESEAL_EVERY - 1) {
        seal_anew(step);
    } else if (step % COMPACT_EVERY == COMPACT_FIRST) {
        compact_and_drop(step);
    } else if (step % FOLD_EVERY == FOLD_EVERY / 2) {
        must(work_fold(work.live));
        tell(step + 1, WORK_SETTLED, 0);
    } else {
        apply_group(step);
    }
}

void work_run(const char *dir, uint32_t from, uint32_t end)
{
    char path[XT_PATH_MAX];
    struct xt_failure failure;
    struct xt_live_sizes sizes = {MAP_BYTES, XT_LIVE_WINDOW_LEAST, 0};
    xt_crypto_start();
    work.dir = dir;
    assert_int_equal(xt_path_join(path, dir, "live/told"), XT_OK);
    work.told = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(work.told >= 0);
    struct xt_keyring *keyring = open_keys();
    enum xt_status status = xt_live_open(dir, keyring, true, sizes, &work.live, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    tell(from, WORK_OPENED, 0);
    lie_over(from);
    for (uint32_t step = from; step < end; step++) {
        do_step(step);
    }
    xt_live_close(work.live);
    xt_generation_close(work.base);
    xt_keyring_close(work.keyring);
    xt_keyring_close(keyring);
    exit(0);
}
