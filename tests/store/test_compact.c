/* Compacting changes no answer: before, while and after what was folded leaves the live store, with events
 * meanwhile, over an import, and whoever is killed. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/identity.h"
#include "store/live_fold.h"
#include "tests/core/mutate.h"
#include "tests/store/world.h"

static struct xt_failure failure;
static unsigned next; /* event */

static int make(void **state)
{
    next = 0;
    return world_make(state);
}

/* ---- helpers ------------------------------------------------------------------------------------ */

static void apply_groups(unsigned groups)
{
    static struct answer answer;
    for (unsigned i = 0; i < groups; i++, next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
}

static void compact_now(void)
{
    if (run("compact", "DIR", "--quiet", NULL) != 0) {
        fail_msg("%s", run_err);
    }
}

static pid_t start_compacting(void)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        execl(program(), "xacthuc", "compact", deployment(), "--quiet", (char *)NULL);
        _exit(127);
    }
    return child;
}

static uint32_t current(void)
{
    uint32_t number = 0;
    assert_int_equal(xt_generation_current(deployment(), &number, &failure), XT_OK);
    return number;
}

static void take_current(void)
{
    static struct answer answer;
    order_group(TAKE_CURRENT, 0);
    (void)hear(&answer);
}

static bool drop_step(void)
{
    static struct answer answer;
    order_group(DROP_FOLDED, 0);
    (void)hear(&answer);
    return answer.done;
}

static uint64_t entries_of(const struct xt_register *as)
{
    uint64_t count = 0;
    assert_int_equal(xt_live_count_entries(as->live, &count), XT_OK);
    return count;
}

static void check_current(void)
{
    struct xt_register as = open_register();
    check_all(&as);
    close_register(&as);
}

/* ---- the model ---------------------------------------------------------------------------------- */

#define ROUNDS 4

/* Each round: events, a compaction, with events meanwhile in every other one; the old generation is read for a
 * while beside the new one; then the overlay shrinks. */
static void whatever_happened_compacting_changes_no_answer(void **state)
{
    (void)state;
    assert_true(start_writer() == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int status = 0;
        apply_groups(40);
        struct xt_register before = open_register();
        check_all(&before);
        uint64_t folded = model.sequence;
        if (round % 2 == 0) {
            compact_now();
        } else {
            pid_t compacting = start_compacting();
            for (unsigned i = 0; i < 30; i++) {
                apply_groups(1);
                usleep(2000);
            }
            assert_int_equal(waitpid(compacting, &status, 0), compacting);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        apply_groups(2); /* over the old one */
        assert_int_equal(xt_live_refresh(before.live, 1, 0), XT_OK);
        check_all(&before);
        check_current();
        assert_true(current() == round + 2);
        struct xt_register after = open_register();
        const struct xt_manifest *manifest = xt_generation_manifest(after.generation);
        assert_true(manifest->folded >= folded && manifest->folded <= model.sequence);
        assert_int_equal(manifest->folded_base, round + 1);
        assert_memory_equal(manifest->folded_live, xt_live_identity(after.live),
                            XT_GENERATION_IDENTITY);
        uint64_t entries = entries_of(&after);
        assert_true(entries > 100);

        take_current();
        apply_groups(2);
        assert_int_equal(xt_live_refresh(before.live, 2, 0), XT_OK);
        check_all(&before); /* nothing was dropped yet */
        while (!drop_step()) {
            assert_int_equal(xt_live_refresh(after.live, 100 + next, 0), XT_OK);
            check_all(&after);
            apply_groups(1);
        }
        assert_int_equal(xt_live_refresh(after.live, 200 + next, 0), XT_OK);
        check_all(&after);
        assert_true(entries_of(&after) < entries);
        assert_int_equal(xt_live_refresh(before.live, 3, 0), XT_OK);
        struct xt_found found;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(1)};
        assert_int_equal(xt_register_find(&before, id, &found), XT_BUSY);
        close_register(&before);
        close_register(&after);
        if (run("check", "DIR", "--quiet", NULL) != 0) {
            fail_msg("%s", run_err);
        }
    }
    stop_writer(0);
    assert_true(start_writer() == model.sequence);
    apply_groups(5);
    check_current();
    stop_writer(0);
}

static void an_overlay_that_was_folded_whole_costs_nothing_any_more(void **state)
{
    (void)state;
    assert_true(start_writer() == 0);
    apply_groups(20);
    struct xt_register as = open_register();
    assert_false(xt_live_is_bare(as.live));
    compact_now();
    take_current();
    while (!drop_step()) {
    }
    xt_live_rest(as.live);
    assert_int_equal(xt_live_refresh(as.live, 1, 0), XT_OK);
    assert_true(entries_of(&as) == 0);
    assert_true(xt_live_is_bare(as.live));
    assert_true(as.live->filter.blocks == NULL);
    close_register(&as);
    check_current();
    assert_int_equal(run("compact", "DIR", "--quiet", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"generation\":null"));
    assert_int_equal(current(), 2);
    stop_writer(0);
}

/* ---- kills --------------------------------------------------------------------------------------- */

#define KILLS 24

static void a_killed_compaction_changes_nothing(void **state)
{
    (void)state;
    uint64_t random = 7;
    unsigned made = 0;
    struct timespec from, to;
    assert_true(start_writer() == 0);
    apply_groups(20);
    clock_gettime(CLOCK_MONOTONIC, &from);
    compact_now();
    clock_gettime(CLOCK_MONOTONIC, &to);
    uint64_t within_us =
        (uint64_t)((to.tv_sec - from.tv_sec) * 1000000L + (to.tv_nsec - from.tv_nsec) / 1000);
    /* A compaction takes longer or shorter from one to the next where others want the processors: the kills follow it,
     * and go on until some came before the switch and some after. */
    unsigned kills = 0;
    for (; kills < KILLS || (kills < 8 * KILLS && (made == 0 || made == kills)); kills++) {
        int status = 0;
        uint32_t was = current();
        pid_t compacting = start_compacting();
        usleep((useconds_t)(next_random(&random) % (within_us * 3 / 2)));
        (void)kill(compacting, SIGKILL);
        assert_int_equal(waitpid(compacting, &status, 0), compacting);
        bool switched = current() != was;
        made += switched;
        within_us = switched ? within_us * 9 / 10 + 100 : within_us * 11 / 10;
        if (kills % 4 == 0) {
            apply_groups(1);
        }
        check_current();
    }
    if (made == 0 || made == kills) {
        fail_msg("%u of %u had been switched: all or none was killed in time", made, kills);
    }
    compact_now();
    assert_int_equal(count_names("identity", "building-"), 0);
    check_current();
    stop_writer(0);
}

/* What is dropped of it goes on where the writer before left it, or does not; the register is the same. */
static void a_writer_killed_while_it_drops_leaves_the_register_whole(void **state)
{
    (void)state;
    uint64_t random = 11;
    unsigned unfinished = 0;
    assert_true(start_writer() == 0);
    for (unsigned i = 0; i < 8; i++) {
        struct order order = {DROP_FOLDED, 0};
        apply_groups(i == 0 ? 150 : 10);
        compact_now();
        take_current();
        for (unsigned step = 0; step < 3; step++) {
            (void)!write(writer.channel, &order, sizeof(order));
        }
        usleep((useconds_t)(next_random(&random) % 6000));
        stop_writer(SIGKILL);
        assert_true(start_writer() == model.sequence);
        check_current();
        take_current();
        unfinished += !drop_step();
        while (!drop_step()) {
        }
        check_current();
        struct xt_register as = open_register();
        assert_true(entries_of(&as) == 0);
        close_register(&as);
    }
    stop_writer(0);
}

/* ---- what may lie over what ------------------------------------------------------------------------ */

static void point_at(uint32_t number)
{
    char name[XT_GENERATION_NAME];
    xt_identity_name(number, name);
    (void)unlink(deployment_path("identity/current"));
    assert_int_equal(symlink(name, deployment_path("identity/current")), 0);
}

static enum xt_status may_lie(const struct xt_register *as, bool rollback)
{
    return xt_live_may_lie_over(as->live, xt_generation_manifest(as->generation), rollback,
                                &failure);
}

static void a_generation_that_lacks_what_was_dropped_is_refused(void **state)
{
    (void)state;
    assert_true(start_writer() == 0);
    apply_groups(10);
    compact_now();
    point_at(1);
    struct xt_register as = open_register();
    assert_int_equal(may_lie(&as, false), XT_OK); /* nothing is dropped yet */
    close_register(&as);
    point_at(2);
    take_current();
    while (!drop_step()) {
    }
    point_at(1);
    as = open_register();
    assert_int_equal(may_lie(&as, false), XT_DENIED);
    assert_non_null(strstr(failure.text, "000001 lacks events"));
    assert_int_equal(may_lie(&as, true), XT_OK);
    close_register(&as);
    apply_groups(1);
    assert_int_equal(run("compact", "DIR", "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "000001 lacks events"));
    point_at(2);
    check_current();
    stop_writer(0);
}

static void copy_file(const char *from, const char *to)
{
    static char text[1 << 16];
    FILE *in = fopen(deployment_path(from), "rb");
    FILE *out = fopen(deployment_path(to), "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t got; (got = fread(text, 1, sizeof(text), in)) > 0;) {
        assert_int_equal(fwrite(text, 1, got, out), got);
    }
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* The live store of a backup, under the generation of today. */
static void a_generation_that_knows_more_than_the_live_store_is_refused(void **state)
{
    (void)state;
    assert_true(start_writer() == 0);
    apply_groups(5);
    stop_writer(0);
    copy_file("live/live.mdb", "copy.mdb");
    assert_true(start_writer() == model.sequence);
    apply_groups(5);
    compact_now();
    stop_writer(0);
    copy_file("copy.mdb", "live/live.mdb");
    struct xt_register as = open_register();
    assert_int_equal(may_lie(&as, false), XT_DENIED);
    assert_non_null(strstr(failure.text, "put both back from one backup"));
    assert_int_equal(may_lie(&as, true), XT_DENIED);
    close_register(&as);
}

/* Another store's events have other numbers: a base that holds those of the one before says nothing. */
static void what_another_live_store_had_is_not_dropped_from_this_one(void **state)
{
    (void)state;
    assert_true(start_writer() == 0);
    apply_groups(10);
    compact_now();
    stop_writer(0);
    assert_int_equal(unlink(deployment_path("live/live.mdb")), 0);
    assert_int_equal(unlink(deployment_path("live/live.mdb-lock")), 0);
    model.sequence = 0;
    for (unsigned i = 0; i < NUMBERS + OLDS; i++) {
        model.slots[i].versions = 0;
    }
    assert_true(start_writer() == 0);
    apply_groups(3);
    assert_true(drop_step());
    check_current();
    struct xt_register as = open_register();
    assert_true(entries_of(&as) > 0);
    close_register(&as);
    stop_writer(0);
}

static void only_one_builds_at_a_time(void **state)
{
    (void)state;
    int lock = -1;
    assert_true(start_writer() == 0);
    apply_groups(1);
    assert_int_equal(xt_identity_lock(deployment(), &lock, &failure), XT_OK);
    assert_int_equal(run("compact", "DIR", NULL), 1);
    assert_non_null(strstr(run_err, "another import or compaction"));
    close(lock);
    compact_now();
    stop_writer(0);
}

/* A new master key in between: the store is known by what goes along with its hashes. */
static void a_live_store_sealed_anew_is_still_the_same(void **state)
{
    (void)state;
    static struct answer answer;
    uint32_t id = 0;
    assert_true(start_writer() == 0);
    apply_groups(10);
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    xt_keyring_take(deployment_keyring(), read_keys());
    compact_now();
    order_group(SEAL_ANEW, 0);
    (void)hear(&answer);
    take_current();
    while (!drop_step()) {
    }
    struct xt_register as = open_register();
    assert_true(entries_of(&as) == 0);
    close_register(&as);
    check_current();
    stop_writer(0);
}

/* ---- what registers export ---------------------------------------------------------------------- */

#define CROWD 400
#define ANSWER_MAX 512
#define CMND_POOL 80
#define PHONE_POOL 160
#define CROWD_NUMBER(i) (1090000000ULL + (i))
#define CROWD_IDS (CROWD + CMND_POOL + PHONE_POOL)

static struct {
    size_t size;
    uint8_t text[ANSWER_MAX];
} recorded[CROWD_IDS];

static uint32_t crowd_shift; /* of lives and phones, so that imports contradict each other */

/* People as an import has them: cancelled ones, some folded into their successors, chains of them; others who
 * state an old number of somebody in force; CMNDs and phones of several. */
static unsigned make_crowd(struct xt_person people[CROWD])
{
    uint64_t random = 99;
    unsigned count = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        struct xt_person *person = &people[count];
        unsigned kind = (unsigned)((next_random(&random) + crowd_shift) % 10);
        make_person(i, person);
        if (i % 37 == 5) {
            continue; /* nobody has it */
        }
        person->life = kind == 0 ? XT_LIFE_CANCELLED : kind == 1 ? XT_LIFE_DECEASED : XT_LIFE_ALIVE;
        person->has_cmnd = kind > 2;
        person->cmnd = (uint32_t)(777000000 + next_random(&random) % CMND_POOL);
        person->phone_count = kind % 3;
        for (unsigned p = 0; p < person->phone_count; p++) {
            person->phones[p] =
                (uint32_t)(987650000 + 80 * p + (next_random(&random) + crowd_shift) % 80);
        }
        count++;
    }
    /* Successors: the one after a cancelled person has his number; every other time it is cancelled too. */
    for (unsigned i = 0; i + 1 < count; i++) {
        if (people[i].life == XT_LIFE_CANCELLED && i % 3 != 0) {
            people[i + 1].replaced_count = 1;
            people[i + 1].replaced[0] = people[i].number;
            people[i + 1].life = i % 2 == 0 ? XT_LIFE_CANCELLED : XT_LIFE_ALIVE;
        }
    }
    for (unsigned i = 1; i + 2 < count; i += 3) {
        const struct xt_person *holder = &people[i + 1];
        struct xt_person *other = &people[i + 2];
        if (holder->replaced_count > 0 && holder->life == XT_LIFE_ALIVE &&
            other->replaced_count == 0) {
            other->life = XT_LIFE_CANCELLED;
            other->replaced[other->replaced_count++] = holder->replaced[0];
        }
    }
    return count;
}

static void build_crowd(void)
{
    static struct xt_person people[CROWD];
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    unsigned count = make_crowd(people);
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(xt_builder_add(builder, 0, &people[i], i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_true(xt_builder_folded(builder) > 5);
    if (xt_builder_seal(builder, &manifest, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_builder_close(builder);
}

static int make_with_crowd(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    crowd_shift = 0;
    build_crowd();
    return result;
}

static struct xt_id crowd_id(unsigned i)
{
    return i < CROWD ? (struct xt_id){.kind = XT_ID_PERSONAL, .value = CROWD_NUMBER(i)}
           : i < CROWD + CMND_POOL
               ? (struct xt_id){.kind = XT_ID_CMND, .value = 777000000 + i - CROWD}
               : (struct xt_id){.kind = XT_ID_PHONE, .value = 987650000 + i - CROWD - CMND_POOL};
}

static int compare_numbers(const void *one, const void *other)
{
    const uint64_t *a = one;
    const uint64_t *b = other;
    return *a < *b ? -1 : *a > *b;
}

/* All that can be asked about an id, as bytes. */
static size_t answer_of(const struct xt_register *as, struct xt_id id, uint8_t text[ANSWER_MAX])
{
    struct xt_writer over = xt_writer_over(text, ANSWER_MAX);
    static struct xt_found found;
    static struct xt_person person;
    if (id.kind != XT_ID_PHONE) {
        assert_int_equal(xt_register_find(as, id, &found), XT_OK);
        xt_write_byte(&over, (uint8_t)(found.found * 2 + found.by_alias));
        if (found.found) {
            memset(&person, 0, sizeof(person));
            person.number = found.hot.number;
            xt_person_add_hot(&found.hot, &person);
            xt_hot_encode(&person, &over);
        }
    }
    if (id.kind == XT_ID_PERSONAL) {
        enum xt_status status = xt_register_person(as, id.value, &person);
        xt_write_byte(&over, (uint8_t)status);
        if (status == XT_OK) {
            xt_cold_encode(&person, &over);
        }
    } else {
        uint64_t people[XT_ALIAS_PEOPLE_MAX];
        unsigned count = 0;
        assert_int_equal(xt_register_people(as, id, people, &count), XT_OK);
        xt_write_byte(&over, (uint8_t)(count > XT_ALIAS_PEOPLE_MAX ? 255 : count));
        if (count <= XT_ALIAS_PEOPLE_MAX) {
            qsort(people, count, sizeof(people[0]), compare_numbers);
            xt_write(&over, people, count * sizeof(people[0]));
        }
    }
    assert_false(over.overflow);
    return over.size;
}

static void record_answers(void)
{
    struct xt_register as = open_register();
    for (unsigned i = 0; i < CROWD_IDS; i++) {
        recorded[i].size = answer_of(&as, crowd_id(i), recorded[i].text);
    }
    close_register(&as);
}

/* About the first so many ids. */
static void assert_same_about(unsigned ids)
{
    uint8_t text[ANSWER_MAX];
    struct xt_register as = open_register();
    for (unsigned i = 0; i < ids; i++) {
        struct xt_id id = crowd_id(i);
        size_t size = answer_of(&as, id, text);
        if (size != recorded[i].size || memcmp(text, recorded[i].text, size) != 0) {
            fail_msg("%llu (kind %u) is answered otherwise", (unsigned long long)id.value, id.kind);
        }
    }
    close_register(&as);
}

static void assert_same_answers(void)
{
    assert_same_about(CROWD_IDS);
}

static uint64_t random_events = 1;

static void draw_crowd_event(uint64_t *random, struct xt_registry_event *event)
{
    static const char *const lives[] = {"alive", "cancelled", "missing", "alive"};
    static const char *const types[] = {"corrected",       "phone_linked",    "phone_unlinked",
                                        "number_replaced", "address_changed", "deceased"};
    static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
    static char line[1024];
    struct xt_json_arena arena = {arena_memory, sizeof(arena_memory)};
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    char data[256] = "";
    unsigned type = (unsigned)(next_random(random) % 6);
    unsigned a = (unsigned)(next_random(random) % 1000);
    unsigned slot = (unsigned)(next_random(random) % CROWD);
    if (type == 0) {
        snprintf(data, sizeof(data), "\"status\":\"%s\",\"old_id\":\"%u\"", lives[a % 4],
                 777000000 + a % CMND_POOL);
    } else if (type < 3) {
        snprintf(data, sizeof(data), "\"phone\":\"0%u\"", 987650000 + a % PHONE_POOL);
    } else if (type == 3) {
        snprintf(data, sizeof(data), "\"new_id\":\"%012llu\"",
                 (unsigned long long)CROWD_NUMBER(a % (CROWD / 37) * 37 + 5));
    } else if (type == 4) {
        snprintf(data, sizeof(data), "\"province\":\"079\",\"text\":\"%u Lê Lợi\"", a);
    }
    snprintf(line, sizeof(line),
             "{\"event_id\":\"e-%llu\",\"type\":\"%s\",\"id\":\"%012llu\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{%s}}",
             (unsigned long long)random_events++, types[type],
             (unsigned long long)CROWD_NUMBER(slot), data);
    if (xt_registry_event_from_json(xt_span_of_string(line), arena, &envelope, event, &reject) !=
        XT_OK) {
        event->type = XT_REGISTRY_DECEASED;
        event->number = CROWD_NUMBER(slot);
    }
}

/* A writer of its own, which drops what it can and then applies some events. */
static void change_crowd(unsigned events, bool drops)
{
    int status = 0;
    uint64_t seed = random_events * 77;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        static struct xt_registry_event event;
        struct xt_live *live = NULL;
        unsigned applied = 0;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        xt_live_set_base(live, open_served());
        for (bool done = !drops; !done;) {
            assert_int_equal(xt_live_drop_folded(live, &done, &failure), XT_OK);
        }
        for (unsigned i = 0; i < events; i++) {
            struct xt_registry_envelope envelope = {.at_ms = 1};
            struct xt_event encoded;
            struct xt_live_outcome outcome;
            uint8_t body[XT_EVENT_BODY_MAX], memory[XT_EVENT_MAX];
            char id[24];
            draw_crowd_event(&seed, &event);
            int size = snprintf(id, sizeof(id), "%llu", (unsigned long long)(seed + i));
            envelope.event_id = xt_span_of(id, (size_t)size);
            assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded),
                             XT_OK);
            struct xt_writer over = xt_writer_over(memory, sizeof(memory));
            xt_event_encode(&encoded, &over);
            struct xt_span span = xt_written(&over);
            assert_int_equal(xt_live_apply(live, 1, &span, 1, &outcome, &failure), XT_OK);
            applied += outcome.status == XT_OK;
        }
        _exit(events == 0 || applied > events / 5 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    random_events += events;
}

static void folded_and_cancelled_people_are_answered_as_before(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        change_crowd(60, round % 2 == 0);
        record_answers();
        compact_now();
        assert_same_answers();
        change_crowd(0, true);
        assert_same_answers();
        if (run("check", "DIR", "--quiet", NULL) != 0) {
            fail_msg("round %u: %s", round, run_err);
        }
    }
}

#define SHARED_PHONE 911000111U

/* Person 1 is cancelled, and so the phone that he shares names person 2 alone. */
static void build_two(void)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 1; i <= 2; i++) {
        make_person(i, &person);
        person.life = i == 1 ? XT_LIFE_CANCELLED : XT_LIFE_ALIVE;
        person.phone_count = 1;
        person.phones[0] = SHARED_PHONE;
        assert_int_equal(xt_builder_add(builder, 0, &person, i, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
}

static void revive_person_1(void)
{
    static struct xt_registry_event event;
    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string("r"), .at_ms = 1};
    struct xt_live *live = NULL;
    struct xt_event encoded;
    struct xt_live_outcome outcome;
    uint8_t body[XT_EVENT_BODY_MAX], memory[XT_EVENT_MAX];
    assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                     XT_OK);
    xt_live_set_base(live, open_served());
    event.type = XT_REGISTRY_CORRECTED;
    event.number = PERSON_NUMBER(1);
    event.set = XT_CORRECT_BIT(XT_CORRECT_STATUS);
    event.person.life = XT_LIFE_ALIVE;
    assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded), XT_OK);
    struct xt_writer over = xt_writer_over(memory, sizeof(memory));
    xt_event_encode(&encoded, &over);
    struct xt_span span = xt_written(&over);
    assert_int_equal(xt_live_apply(live, 1, &span, 1, &outcome, &failure), XT_OK);
    assert_int_equal(outcome.status, XT_OK);
    _exit(0);
}

static unsigned holders_of(uint32_t phone)
{
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    struct xt_register as = open_register();
    struct xt_id id = {.kind = XT_ID_PHONE, .value = phone};
    assert_int_equal(xt_register_people(&as, id, people, &count), XT_OK);
    close_register(&as);
    return count;
}

static void whoever_is_in_force_again_counts_again(void **state)
{
    (void)state;
    int status = 0;
    build_two();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        revive_person_1();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(holders_of(SHARED_PHONE), 2);
    compact_now();
    assert_int_equal(holders_of(SHARED_PHONE), 2);
}

static int make_empty(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

/* An import under the overlay: it lies over it as over any, and is folded into it, also where it says of the same
 * people something else. Only what two sources say of one person's CMND and phones is settled: his record
 * counts. */
static void an_import_in_between_is_what_the_overlay_is_folded_into(void **state)
{
    (void)state;
    change_crowd(60, false);
    build_crowd(); /* the same people */
    record_answers();
    compact_now();
    assert_same_answers();
    for (unsigned round = 0; round < 4; round++) {
        change_crowd(40, true);
        crowd_shift = 7 * round + 1; /* others */
        build_crowd();
        change_crowd(20, false);
        record_answers();
        compact_now();
        assert_same_about(CROWD); /* numbers */
        if (run("check", "DIR", "--quiet", NULL) != 0) {
            fail_msg("%s%s", run_err, run_out);
        }
        record_answers();
        change_crowd(0, true);
        assert_same_answers();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_happened_compacting_changes_no_answer, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(an_overlay_that_was_folded_whole_costs_nothing_any_more,
                                        make, deployment_remove),
        cmocka_unit_test_setup_teardown(a_killed_compaction_changes_nothing, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(a_writer_killed_while_it_drops_leaves_the_register_whole,
                                        make, deployment_remove),
        cmocka_unit_test_setup_teardown(a_generation_that_lacks_what_was_dropped_is_refused, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(a_generation_that_knows_more_than_the_live_store_is_refused,
                                        make, deployment_remove),
        cmocka_unit_test_setup_teardown(what_another_live_store_had_is_not_dropped_from_this_one,
                                        make, deployment_remove),
        cmocka_unit_test_setup_teardown(only_one_builds_at_a_time, make, deployment_remove),
        cmocka_unit_test_setup_teardown(a_live_store_sealed_anew_is_still_the_same, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(folded_and_cancelled_people_are_answered_as_before,
                                        make_with_crowd, deployment_remove),
        cmocka_unit_test_setup_teardown(whoever_is_in_force_again_counts_again, make_empty,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(an_import_in_between_is_what_the_overlay_is_folded_into,
                                        make_with_crowd, deployment_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
