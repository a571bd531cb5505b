/* How many people there are: what the files and the live store say, against a recount of everybody through the
 * register, after any events, kills and generations. */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/check.h"
#include "store/live_fold.h"
#include "store/live_internal.h"
#include "store/live_statistics.h"
#include "store/register.h"
#include "store/statistics_file.h"
#include "tests/core/mutate.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 400
#define NUMBERS 520 /* those that nobody has yet included */
#define GROUP 12

static struct xt_failure failure;

static void must(enum xt_status status)
{
    if (status != XT_OK) {
        fail_msg("%s: %s", xt_status_name(status), failure.text);
    }
}

static xt_date day(unsigned n)
{
    xt_date date = XT_DATE_NONE;
    assert_int_equal(xt_date_make(2026, 11, 1, &date), XT_OK);
    return xt_date_from_days(xt_date_to_days(date) + (int32_t)n);
}

static int make(void **state)
{
    int status = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return status;
}

/* ---- people ------------------------------------------------------------------------------------- */

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context;
    (void)line;
    (void)first;
    fail_msg("%s at %s", code, pointer);
}

/* What contradicts the import before: another has the old number; whose number was old is in force again.
 * false: nobody has this number. */
static bool claim_numbers(unsigned i, uint64_t salt, struct xt_person *person)
{
    if (i % 8 == salt % 8) {
        person->replaced[person->replaced_count++] = PERSON_NUMBER(PEOPLE + i / 8);
    }
    if (i % 8 == (salt + 4) % 8 && i + 1 < PEOPLE) {
        person->replaced[person->replaced_count++] = PERSON_NUMBER(i + 1);
    }
    return i % 8 != (salt + 5) % 8;
}

/* People of every kind; another salt is another register of the same numbers. */
static void build(unsigned from, unsigned to, uint64_t salt)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    static struct xt_person person;
    must(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure));
    for (unsigned i = from; i < to; i++) {
        uint64_t random = salt * 1000003 + i;
        make_person(i, &person);
        if (to == PEOPLE && !claim_numbers(i, salt, &person)) {
            continue;
        }
        person.address_province = (unsigned)(next_random(&random) % 5);
        person.sex = (enum xt_sex)(next_random(&random) % 3);
        person.life = next_random(&random) % 10 == 0 ? XT_LIFE_DECEASED : XT_LIFE_ALIVE;
        person.card_state = (enum xt_card_state)(next_random(&random) % 4);
        must(xt_date_make(1930 + (unsigned)(next_random(&random) % 90), 0, 0,
                          &person.date_of_birth));
        if (person.card_state != XT_CARD_NONE) {
            must(xt_date_make(2021, 4, 25, &person.card_issued_on));
            person.card_expires_on = xt_card_expiry(person.date_of_birth, person.card_issued_on);
            person.card_has_expiry = person.card_expires_on != XT_CARD_NO_EXPIRY;
        }
        must(xt_builder_add(builder, i % xt_builder_lanes(builder), &person, i + 1, &failure));
    }
    must(xt_builder_sort(builder, no_duplicate, NULL, &failure));
    must(xt_builder_seal(builder, &manifest, &failure));
    xt_builder_close(builder);
}

static enum xt_status count_hot(void *context, const struct xt_hot *hot)
{
    return xt_tally_add(context, xt_statistics_key(hot), 1);
}

static void read_file(const struct xt_generation *generation, struct xt_tally *tally)
{
    *tally = (struct xt_tally){.places = 0};
    must(xt_generation_statistics(deployment(), xt_generation_manifest(generation),
                                  deployment_keyring(), tally, &failure));
}

/* ---- the file of a generation -------------------------------------------------------------------- */

static void a_generation_counts_its_people(void **state)
{
    (void)state;
    static const unsigned sizes[] = {0, 7, 20000};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct xt_tally told;
        struct xt_tally counted = {.places = 0};
        build(0, sizes[i], i);
        struct xt_generation *generation = open_served();
        read_file(generation, &told);
        must(xt_generation_each(generation, count_hot, &counted));
        assert_true(xt_tally_is_same(&told, &counted));
        assert_true((counted.used > 0) == (sizes[i] > 1));
        must(xt_tally_add(&counted, 1ULL << 32, 1));
        assert_false(xt_tally_is_same(&told, &counted));
        xt_tally_free(&counted);
        xt_tally_free(&told);
        xt_generation_close(generation);
    }
}

static enum xt_status read_again(const struct xt_generation *generation)
{
    struct xt_tally tally = {.places = 0};
    enum xt_status status = xt_generation_statistics(
        deployment(), xt_generation_manifest(generation), deployment_keyring(), &tally, &failure);
    xt_tally_free(&tally);
    return status;
}

static enum xt_status check_served(void)
{
    static struct xt_check_report report;
    return xt_generation_check(deployment(), 2, deployment_keyring(), NULL, &report, &failure);
}

static void a_damaged_or_foreign_file_is_not_believed(void **state)
{
    (void)state;
    build(0, 50, 1);
    build(0, 50, 2);
    struct xt_generation *generation = open_served();
    assert_int_equal(read_again(generation), XT_OK);
    assert_int_equal(check_served(), XT_OK);
    assert_int_equal(chmod(deployment_path("identity/000001"), 0700), 0);
    assert_int_equal(chmod(deployment_path("identity/000002"), 0700), 0);
    char path[XT_PATH_MAX];
    snprintf(path, sizeof(path), "%s", deployment_path("identity/000002/statistics"));
    assert_int_equal(chmod(path, 0600), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    for (long at = 0; at < size; at++) {
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        int byte = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        (void)fputc(byte ^ 1, file);
        (void)fflush(file);
        assert_int_equal(read_again(generation), XT_CORRUPT);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        (void)fputc(byte, file);
        (void)fflush(file);
    }
    assert_int_equal(read_again(generation), XT_OK);
    assert_int_equal(ftruncate(fileno(file), 5), 0);
    assert_int_equal(read_again(generation), XT_CORRUPT);
    (void)fclose(file);
    assert_int_equal(check_served(), XT_CORRUPT);
    assert_int_equal(rename(deployment_path("identity/000001/statistics"), path), 0);
    assert_int_equal(check_served(), XT_CORRUPT);
    assert_int_equal(read_again(generation), XT_CORRUPT); /* sealed, but not for this one */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(read_again(generation), XT_NOT_FOUND);
    assert_int_equal(check_served(), XT_OK); /* as older programs left it */
    struct xt_tally others = {.places = 0};
    must(xt_tally_add(&others, 1ULL << 32, 50));
    must(xt_statistics_file_write(deployment_path("identity/000002"),
                                  xt_generation_manifest(generation), deployment_keyring(), &others,
                                  &failure));
    xt_tally_free(&others);
    assert_int_equal(read_again(generation), XT_OK);
    assert_int_equal(check_served(), XT_CORRUPT); /* but it counts other people */
    xt_generation_close(generation);
}

/* ---- events --------------------------------------------------------------------------------------- */

static unsigned number_at(uint64_t random)
{
    return random % 2 == 0 ? (unsigned)(random >> 8) % NUMBERS : (unsigned)(random >> 8) % 25 * 13;
}

static const char *draw_data(enum xt_registry_type type, uint64_t *random, char data[512])
{
    static const char *const lives[] = {"alive", "missing", "cancelled"};
    unsigned a = (unsigned)(next_random(random) >> 33);
    unsigned b = (unsigned)(next_random(random) >> 33);
    data[0] = '\0';
    switch (type) {
    case XT_REGISTRY_REGISTERED:
        snprintf(data, 512,
                 "\"full_name\":\"Trần Thị Bình\",\"date_of_birth\":\"%u\",\"sex\":\"female\","
                 "\"account\":{\"level\":%u}%s%llu%s",
                 1950 + a % 70, 1 + a % 2,
                 b % 4 == 0 ? ",\"replaced_numbers\":[\"00" : ",\"phones\":[\"09",
                 b % 4 == 0 ? (unsigned long long)PERSON_NUMBER(PEOPLE + a % 120)
                            : 12345678ULL + a % 9,
                 "\"]");
        break;
    case XT_REGISTRY_CORRECTED:
        snprintf(data, 512, "\"date_of_birth\":\"%u-05\"%s%s%s", 1940 + a % 80,
                 b % 3 == 0 ? ",\"status\":\"" : ",\"sex\":\"",
                 b % 3 == 0   ? lives[a % 3]
                 : b % 3 == 1 ? "male"
                              : "female",
                 "\"");
        break;
    case XT_REGISTRY_NUMBER_REPLACED:
        snprintf(data, 512, "\"new_id\":\"00%llu\"",
                 (unsigned long long)PERSON_NUMBER(PEOPLE + a % 120));
        break;
    case XT_REGISTRY_CARD_ISSUED:
        snprintf(data, 512, "\"issued_on\":\"20%02u-%02u-25\",\"expires_on\":\"20%02u-07-01\"",
                 22 + a % 4, 1 + b % 12, 28 + b % 20);
        break;
    case XT_REGISTRY_ADDRESS_CHANGED:
        snprintf(data, 512, "\"province\":\"%s\"", a % 2 == 0 ? "079" : "048");
        break;
    default:
        break;
    }
    return data;
}

static const enum xt_registry_type types[] = {
    XT_REGISTRY_REGISTERED,      XT_REGISTRY_CORRECTED,   XT_REGISTRY_DECEASED,
    XT_REGISTRY_NUMBER_REPLACED, XT_REGISTRY_CARD_ISSUED, XT_REGISTRY_CARD_LOST,
    XT_REGISTRY_CARD_REVOKED,    XT_REGISTRY_CARD_FOUND,  XT_REGISTRY_ADDRESS_CHANGED,
};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* Event k, always the same. false: not one that a partner could send. */
static bool draw_event(unsigned k, struct xt_writer *writer)
{
    static uint8_t memory[XT_PERSON_JSON_ARENA];
    static struct xt_registry_event told;
    static uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    struct xt_event event;
    char data[512];
    char line[1024];
    uint64_t random = 1000003ULL * k + 99;
    enum xt_registry_type type = types[next_random(&random) % TYPES];
    type = type == XT_REGISTRY_DECEASED && next_random(&random) % 12 != 0 ? XT_REGISTRY_CARD_ISSUED
                                                                          : type;
    unsigned number = number_at(next_random(&random));
    number = type == XT_REGISTRY_REGISTERED ? PEOPLE + number % (NUMBERS - PEOPLE) : number;
    snprintf(line, sizeof(line),
             "{\"event_id\":\"e-%u\",\"type\":\"%s\",\"id\":\"%012llu\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{%s}}",
             k, xt_registry_type_name(type), (unsigned long long)PERSON_NUMBER(number),
             draw_data(type, &random, data));
    if (xt_registry_event_from_json(xt_span_of_string(line),
                                    (struct xt_json_arena){memory, sizeof(memory)}, &envelope,
                                    &told, &reject) != XT_OK) {
        return false;
    }
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, &event), XT_OK);
    xt_event_encode(&event, writer);
    assert_false(writer->overflow);
    return true;
}

static unsigned applied_types[XT_REGISTRY_END];

static unsigned write_group(struct xt_live *live, unsigned from)
{
    static uint8_t memory[GROUP][XT_EVENT_MAX];
    struct xt_span spans[GROUP];
    struct xt_live_outcome outcomes[GROUP];
    unsigned count = 0;
    for (unsigned i = 0; i < GROUP; i++) {
        struct xt_writer writer = xt_writer_over(memory[count], XT_EVENT_MAX);
        if (draw_event(from + i, &writer)) {
            spans[count++] = xt_written(&writer);
        }
    }
    must(xt_live_apply(live, 1000 + from, spans, count, outcomes, &failure));
    unsigned applied = 0;
    for (unsigned i = 0; i < count; i++) {
        struct xt_event event;
        assert_int_equal(xt_event_decode(spans[i], &event), XT_OK);
        applied += outcomes[i].status == XT_OK && !outcomes[i].duplicate;
        applied_types[event.type] += outcomes[i].status == XT_OK;
    }
    return applied;
}

/* ---- the writer, in a process of its own ------------------------------------------------------------ */

static void count_all(struct xt_live *live)
{
    for (bool done = false; !done;) {
        must(xt_live_count_anew(live, &done, &failure));
    }
}

static struct xt_live *open_writer(bool counts)
{
    struct xt_live *live = NULL;
    must(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure));
    xt_live_set_base(live, open_served());
    if (counts) {
        count_all(live);
    }
    return live;
}

/* A child that does this and ends. */
static void in_child(void (*act)(void *context), void *context)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        act(context);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct view {
    struct xt_register as;
    uint64_t epoch;
};

static void open_view(struct view *view)
{
    *view = (struct view){.as.generation = open_served()};
    must(xt_live_open_reader(deployment(), deployment_keyring(), &view->as.live, &failure));
}

static void close_view(struct view *view)
{
    xt_live_close(view->as.live);
    xt_generation_close(view->as.generation);
}

static enum xt_status count_now(struct view *view, struct xt_tally *now)
{
    read_file(view->as.generation, now);
    assert_int_equal(xt_live_refresh(view->as.live, ++view->epoch, 0), XT_OK);
    return xt_live_add_cells(view->as.live, xt_generation_manifest(view->as.generation)->digest,
                             now);
}

/* Everybody there is, looked up one by one. */
static void recount(struct view *view, struct xt_tally *counted)
{
    *counted = (struct xt_tally){.places = 0};
    for (unsigned i = 0; i < NUMBERS; i++) {
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(i)};
        struct xt_found found;
        assert_int_equal(xt_register_find(&view->as, id, &found), XT_OK);
        if (found.found && !found.by_alias) {
            must(count_hot(counted, &found.hot));
        }
    }
}

static void assert_exact(struct view *view)
{
    struct xt_tally now;
    struct xt_tally counted;
    assert_int_equal(count_now(view, &now), XT_OK);
    recount(view, &counted);
    assert_true(xt_tally_is_same(&now, &counted));
    xt_tally_free(&counted);
    xt_tally_free(&now);
}

static void apply_many(void *context)
{
    const unsigned *range = context;
    struct xt_live *live = open_writer(true);
    unsigned applied = 0;
    for (unsigned i = range[0]; i < range[1]; i += GROUP) {
        applied += write_group(live, i);
        if (i % 96 == 0) {
            live->unfolded = i % 192 == 0 ? XT_LIVE_FOLD_FROM : 0;
            must(xt_live_fold_changes(live, &failure));
        }
    }
    assert_true(applied > (range[1] - range[0]) / 12);
    for (unsigned i = 0; range[1] - range[0] > 3000 && i < TYPES; i++) {
        assert_true(applied_types[types[i]] > 5);
    }
}

static void counts_are_exact_after_events_of_all_types(void **state)
{
    (void)state;
    struct view view;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 6000});
    open_view(&view);
    assert_exact(&view);
    in_child(apply_many, (unsigned[]){6000, 6600}); /* and go on after a restart */
    assert_exact(&view);
    close_view(&view);
}

static void counts_are_exact_over_another_generation(void **state)
{
    (void)state;
    struct view view;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 2400});
    for (unsigned i = 1; i < 5; i++) { /* some people are in it, others not */
        struct xt_tally now;
        build(i * 60, PEOPLE, i + 1);
        open_view(&view);
        assert_int_equal(count_now(&view, &now), XT_BUSY); /* nobody has counted yet */
        xt_tally_free(&now);
        in_child(apply_many, (unsigned[]){i * 2400, i * 2400 + 240});
        assert_exact(&view);
        close_view(&view);
    }
}

/* Without events: they drop what is folded, and count. */
static void drop_folded(void *context)
{
    struct xt_live *live = open_writer(true);
    (void)context;
    for (bool done = false; !done;) {
        must(xt_live_drop_folded(live, &done, &failure));
    }
}

static void counts_are_exact_after_a_compaction(void **state)
{
    (void)state;
    struct view view;
    build(0, PEOPLE, 1);
    for (unsigned i = 0; i < 4; i++) {
        in_child(apply_many, (unsigned[]){i * 2400, i * 2400 + 240});
        if (i % 2 == 1) { /* an import that says otherwise, over which nothing happens yet */
            build(0, PEOPLE, i + 1);
            in_child(drop_folded, NULL);
            open_view(&view);
            assert_exact(&view);
            close_view(&view);
        }
        if (run("compact", "DIR", "--quiet", NULL) != 0) {
            fail_msg("%s", run_err);
        }
        in_child(apply_many, (unsigned[]){i * 2400 + 240, i * 2400 + 480});
        for (unsigned dropped = 0; dropped < 2; dropped++) {
            open_view(&view);
            assert_exact(&view);
            close_view(&view);
            in_child(drop_folded, NULL);
        }
        open_view(&view);
        assert_exact(&view);
        close_view(&view);
    }
}

/* Documents are not counted, but who has them is in a generation that a list made of the one before. */
static void counts_are_exact_over_a_list_of_documents(void **state)
{
    (void)state;
    static char list[NUMBERS * 64];
    struct view view;
    build(0, PEOPLE, 1);
    for (unsigned i = 0; i < 3; i++) {
        size_t size = 0;
        in_child(apply_many, (unsigned[]){i * 2400, i * 2400 + 2400});
        for (unsigned at = 0; at < NUMBERS; at++) {
            size += (size_t)snprintf(list + size, sizeof(list) - size,
                                     "{\"id\":\"%012llu\",\"type\":\"tax\",\"number\":\"%u\"}\n",
                                     (unsigned long long)PERSON_NUMBER(at), i);
        }
        if (run_with_input(list, size, "import", "DIR", "--links", "-", "--max-rejects", "10000",
                           NULL) != 0) {
            fail_msg("%s", run_err);
        }
        open_view(&view);
        in_child(apply_many, (unsigned[]){i * 2400 + 2400, i * 2400 + 2640});
        assert_exact(&view);
        close_view(&view);
    }
}

static void no_kill_makes_counts_wrong(void **state)
{
    (void)state;
    struct view view;
    unsigned *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned moved = 0;
    uint64_t random = 7;
    assert_true(at != MAP_FAILED);
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 120});
    open_view(&view);
    *at = 120;
    for (unsigned i = 0; i < 60; i++) {
        unsigned before = *at;
        at[1] = 0; /* it has not begun */
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            struct xt_live *live = open_writer(true);
            __atomic_store_n(&at[1], 1, __ATOMIC_RELEASE);
            for (;; *at += GROUP) {
                (void)write_group(live, *at);
                live->unfolded = XT_LIVE_FOLD_FROM;
                must(xt_live_fold_changes(live, &failure));
            }
        }
        for (unsigned waits = 0; waits < 5000 && __atomic_load_n(&at[1], __ATOMIC_ACQUIRE) == 0;
             waits++) {
            usleep(1000);
        }
        usleep((useconds_t)(1000 + next_random(&random) % 15000));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        moved += *at > before;
        assert_exact(&view);
    }
    assert_true(moved > 10);
    close_view(&view);
    (void)munmap(at, 4096);
}

static void apply_uncounted(void *context)
{
    (void)context;
    struct xt_live *live = open_writer(false);
    assert_true(write_group(live, 6000) + write_group(live, 6012) > 0);
}

static void changes_that_nobody_counted_take_the_counts_away(void **state)
{
    (void)state;
    struct view view;
    struct xt_tally now;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 240});
    open_view(&view);
    assert_exact(&view);
    in_child(apply_uncounted, NULL);
    assert_int_equal(count_now(&view, &now), XT_BUSY);
    xt_tally_free(&now);
    in_child(apply_many, (unsigned[]){240, 300});
    assert_exact(&view);
    close_view(&view);
}

/* at[0]: what is left for the next process; at[1]: the next event. */
static void leave_changes(void *context)
{
    uint64_t *at = context;
    struct xt_live *live = open_writer(true);
    assert_int_equal(xt_live_unfolded(live), *at);
    for (unsigned i = 0; i < 600; i += GROUP) {
        (void)write_group(live, (unsigned)at[1] + i);
    }
    assert_true(xt_live_unfolded(live) > *at + 20);
    *at = xt_live_unfolded(live);
    at[1] += 600;
    xt_live_close(live);
}

static void fold_what_is_left(void *context)
{
    uint64_t *at = context;
    struct xt_live *live = open_writer(true);
    assert_int_equal(xt_live_unfolded(live), *at);
    must(xt_live_fold_changes(live, &failure)); /* too few to be folded */
    assert_int_equal(xt_live_unfolded(live), *at);
    live->unfolded = XT_LIVE_FOLD_FROM;
    must(xt_live_fold_changes(live, &failure));
    assert_int_equal(xt_live_unfolded(live), 0);
    *at = 0;
    xt_live_close(live);
}

static void changes_that_wait_are_known(void **state)
{
    (void)state;
    struct view view;
    uint64_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    build(0, PEOPLE, 1);
    in_child(leave_changes, at);
    in_child(leave_changes, at);
    in_child(fold_what_is_left, at);
    in_child(leave_changes, at);
    open_view(&view);
    assert_exact(&view);
    close_view(&view);
    (void)munmap(at, 4096);
}

/* Whether the page has a node at this place; else what looks like one is left over, and may lie under others. */
static bool is_node(const uint8_t *file, size_t at)
{
    const uint8_t *page = file + (at & ~(size_t)4095);
    size_t lower =
        page[12] + 256U * page[13]; /* the end of the places of its nodes, which begin at 16 */
    for (size_t i = 16; (page[10] & 2) != 0 && i + 2 <= lower && i < 4096; i += 2) {
        if (page[i] + 256U * page[i + 1] == (at & 4095)) {
            return true;
        }
    }
    return false;
}

/* In the file, whoever has it open: the last byte of all change records, found by LMDB's head of a node (size of the
 * data, flags, size of the key) and the size of no other record with such a key. */
static unsigned damage_changes(void)
{
    static uint8_t file[16 << 20];
    static const uint8_t head[] = {
        XT_LIVE_RECORD_HEAD + 10 + XT_LIVE_SEAL_OVERHEAD, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0};
    unsigned damaged = 0;
    FILE *live = fopen(deployment_path("live/live.mdb"), "r+b");
    assert_non_null(live);
    size_t size = fread(file, 1, sizeof(file), live);
    for (size_t at = 0; at + 16 + head[0] <= size; at += 2) {
        if (memcmp(file + at, head, sizeof(head)) == 0 && is_node(file, at)) {
            size_t last = at + 16 + head[0] - 1;
            assert_int_equal(fseek(live, (long)last, SEEK_SET), 0);
            (void)fputc(file[last] ^ 1, live);
            damaged++;
        }
    }
    (void)fclose(live);
    return damaged;
}

static void fold_what_is_damaged(void *context)
{
    (void)context;
    struct xt_live *live = open_writer(true);
    assert_true(write_group(live, 6000) + write_group(live, 6012) > 0);
    assert_true(damage_changes() > 0);
    live->unfolded = XT_LIVE_FOLD_FROM;
    assert_int_equal(xt_live_fold_changes(live, &failure), XT_CORRUPT);
    assert_non_null(strstr(failure.text, "statistics"));
    assert_false(xt_live_has_counted(live));
}

static void damaged_counts_are_made_anew(void **state)
{
    (void)state;
    struct view view;
    struct xt_tally now;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 240});
    open_view(&view);
    assert_exact(&view);
    in_child(fold_what_is_damaged, NULL);
    assert_int_equal(count_now(&view, &now), XT_BUSY);
    xt_tally_free(&now);
    in_child(apply_many, (unsigned[]){240, 300});
    assert_exact(&view);
    close_view(&view);
}

/* Groups come between the steps of a count; from time to time the map grows, which ends its snapshot. */
static void count_between_groups(void *context)
{
    unsigned *from = context;
    struct xt_live *live = open_writer(false);
    unsigned steps = 0;
    unsigned applied = 0;
    live->count_most = 16;
    for (bool done = false; !done; steps++) {
        must(xt_live_count_anew(live, &done, &failure));
        applied += write_group(live, *from + GROUP * steps);
        if (steps == 20) {
            assert_non_null(live->counting);
            assert_int_equal(xt_live_grow(live, true), 0);
        }
    }
    assert_true(steps > 40);
    assert_true(applied > 100);
    assert_true(live->unfolded > 0);
    live->unfolded = XT_LIVE_FOLD_FROM;
    must(xt_live_fold_changes(live, &failure));
}

static void events_while_people_are_counted_count_once(void **state)
{
    (void)state;
    struct view view;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 2400});
    for (unsigned i = 1; i < 4; i++) {
        build(i * 60, PEOPLE, i + 1);
        in_child(count_between_groups, (unsigned[]){i * 3000});
        open_view(&view);
        assert_exact(&view);
        close_view(&view);
    }
}

static void count_a_little(void *context)
{
    const unsigned *from = context;
    struct xt_live *live = open_writer(false);
    live->count_most = 16;
    bool done = false;
    for (unsigned i = 0; i < from[1]; i++) {
        must(xt_live_count_anew(live, &done, &failure));
        (void)write_group(live, from[0] + GROUP * i);
    }
    assert_false(done);
}

static void a_count_that_did_not_end_begins_anew(void **state)
{
    (void)state;
    struct view view;
    struct xt_tally now;
    build(0, PEOPLE, 1);
    in_child(apply_many, (unsigned[]){0, 2400});
    build(60, PEOPLE, 2);
    open_view(&view);
    for (unsigned steps = 1; steps < 60; steps += 7) {
        in_child(count_a_little, (unsigned[]){3000 + steps * 500, steps});
        assert_int_equal(count_now(&view, &now), XT_BUSY);
        xt_tally_free(&now);
    }
    in_child(apply_many, (unsigned[]){40000, 40120});
    assert_exact(&view);
    close_view(&view);
}

/* ---- told ------------------------------------------------------------------------------------------- */

static bool tell(struct xt_live *live, const struct xt_tally *base, unsigned n)
{
    bool told = false;
    struct xt_tally people = {.places = 0};
    must(xt_tally_add_all(&people, base, 1));
    must(xt_live_tell_statistics(live, &people, day(n), &told, &failure));
    xt_tally_free(&people);
    return told;
}

static uint32_t total_told(struct xt_live *live, unsigned n)
{
    static struct xt_statistics statistics;
    xt_date as_of = XT_DATE_NONE;
    must(xt_live_statistics(live, &statistics, &as_of));
    assert_int_equal(as_of, day(n));
    return statistics.counts[0];
}

static void tell_often(void *context)
{
    (void)context;
    static struct xt_statistics statistics;
    struct xt_tally base;
    xt_date as_of;
    struct xt_live *live = open_writer(true);
    read_file(live->base, &base);
    assert_int_equal(xt_live_statistics(live, &statistics, &as_of), XT_NOT_FOUND);
    assert_true(tell(live, &base, 100));
    uint32_t total = total_told(live, 100);
    assert_true(total > 300);
    assert_false(tell(live, &base, 100));
    assert_false(tell(live, &base, 100 + XT_STATISTICS_DAYS)); /* nothing has changed */
    for (unsigned i = 0; i < 600; i += GROUP) {
        (void)write_group(live, i);
    }
    for (unsigned n = 100 - XT_STATISTICS_DAYS + 1; n < 100 + XT_STATISTICS_DAYS; n++) {
        assert_false(tell(live, &base, n));
    }
    assert_int_equal(total_told(live, 100), total);
    unsigned last = 100 + XT_STATISTICS_DAYS;
    assert_true(tell(live, &base, last));
    assert_int_not_equal(total_told(live, last), total);

    /* With new keys, and over another generation, it is still there. */
    uint32_t id = 0;
    bool done = false;
    struct xt_keyring *keyring = NULL;
    must(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure));
    must(xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure));
    must(xt_live_reseal(live, keyring, &done, &failure));
    assert_true(done);
    (void)total_told(live, last);
    (void)write_group(live, 900);
    xt_live_set_base(live, live->base);
    live->counted = false;
    count_all(live);
    (void)total_told(live, last);
    xt_tally_free(&base);
}

static void what_is_told_changes_once_a_month_and_with_ten_people(void **state)
{
    (void)state;
    build(0, PEOPLE, 1);
    in_child(tell_often, NULL);
}

/* Where fewer than ten people were, nothing was told, and nobody has to wait. */
static void tell_soon(void *context)
{
    (void)context;
    struct xt_tally base;
    struct xt_live *live = open_writer(true);
    read_file(live->base, &base);
    assert_true(tell(live, &base, 1));
    unsigned applied = 0;
    for (unsigned i = 0; applied < 200; i += GROUP) {
        applied += write_group(live, i);
    }
    assert_false(tell(live, &base, 1));
    assert_true(tell(live, &base, 2));
    assert_true(total_told(live, 2) >= XT_STATISTICS_SMALLEST);
    xt_tally_free(&base);
}

static void the_first_people_are_told_the_next_day(void **state)
{
    (void)state;
    build(0, 3, 1);
    in_child(tell_soon, NULL);
}

/* A few changes alone are not told. */
static void tell_little(void *context)
{
    (void)context;
    struct xt_tally base;
    struct xt_live *live = open_writer(true);
    unsigned applied = 0;
    read_file(live->base, &base);
    assert_true(tell(live, &base, 1));
    for (unsigned k = 0; applied < XT_STATISTICS_SMALLEST - 1; k++) {
        static uint8_t memory[XT_EVENT_MAX];
        struct xt_writer writer = xt_writer_over(memory, sizeof(memory));
        struct xt_live_outcome outcome;
        if (draw_event(k, &writer)) {
            struct xt_span span = xt_written(&writer);
            must(xt_live_apply(live, 1000, &span, 1, &outcome, &failure));
            applied += outcome.status == XT_OK;
        }
        assert_false(tell(live, &base, 1 + XT_STATISTICS_DAYS));
    }
    xt_tally_free(&base);
}

static void fewer_than_ten_changes_are_not_told(void **state)
{
    (void)state;
    build(0, PEOPLE, 1);
    in_child(tell_little, NULL);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_generation_counts_its_people),
        EACH(a_damaged_or_foreign_file_is_not_believed),
        EACH(counts_are_exact_after_events_of_all_types),
        EACH(counts_are_exact_over_another_generation),
        EACH(counts_are_exact_after_a_compaction),
        EACH(counts_are_exact_over_a_list_of_documents),
        EACH(no_kill_makes_counts_wrong),
        EACH(changes_that_nobody_counted_take_the_counts_away),
        EACH(changes_that_wait_are_known),
        EACH(damaged_counts_are_made_anew),
        EACH(events_while_people_are_counted_count_once),
        EACH(a_count_that_did_not_end_begins_anew),
        EACH(what_is_told_changes_once_a_month_and_with_ten_people),
        EACH(the_first_people_are_told_the_next_day),
        EACH(fewer_than_ten_changes_are_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
