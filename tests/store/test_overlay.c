/* The overlay against a model: after any events, any crash, whatever is asked of the register is what the
 * model says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "store/builder.h"
#include "store/identity.h"
#include "store/live_internal.h"
#include "store/register.h"
#include "tests/core/mutate.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 300 /* in the generation */
#define SPARE 60   /* numbers that nobody has yet */
#define NUMBERS (PEOPLE + SPARE)
#define OLD(i) (PERSON_NUMBER(5000) + (i)) /* replaced by PERSON_NUMBER(i), in the generation */
#define OLDS 10
#define SHARED_CMND 555555555U /* of three people in the generation */
#define PHONES 12              /* a pool, so that several people have the same */
#define PHONE(i) (987650000U + (i))
#define CMNDS 8
#define CMND(i) (777000000U + (i))
#define GROUP_MAX 12

/* Of LMDB, whose header stays in store/: to make a store as older programs did. */
int mdb_txn_begin(struct MDB_env *env, struct MDB_txn *parent, unsigned flags,
                  struct MDB_txn **txn);
int mdb_txn_commit(struct MDB_txn *txn);
int mdb_drop(struct MDB_txn *txn, unsigned table, int whole);

static struct xt_failure failure;
static uint32_t window_events = XT_LIVE_WINDOW_EVENTS;

/* ---- the model -------------------------------------------------------------------------------- */

enum state { NOBODY, SOMEBODY, GONE };

/* A number: whom it names. A person is kept as two records, as anywhere. */
struct slot {
    enum state state;
    uint64_t successor;
    unsigned versions;
    size_t hot_size, cold_size;
    uint8_t hot[XT_HOT_MAX], cold[2048];
    uint8_t before[XT_HOT_MAX]; /* hot record before the last correction */
    size_t before_size;
};

static struct {
    struct slot slots[NUMBERS + OLDS];
    uint64_t sequence;
} model, saved;

static uint64_t number_of(unsigned slot)
{
    return slot < NUMBERS ? PERSON_NUMBER(slot) : OLD(slot - NUMBERS);
}

static struct slot *slot_of(uint64_t number)
{
    for (unsigned i = 0; i < NUMBERS + OLDS; i++) {
        if (number_of(i) == number) {
            return &model.slots[i];
        }
    }
    fail_msg("a number that the model does not have");
    return NULL;
}

static void store(const struct xt_person *person)
{
    struct slot *slot = slot_of(person->number);
    uint8_t cold[sizeof(slot->cold)];
    struct xt_writer writer = xt_writer_over(cold, sizeof(cold));
    xt_cold_encode(person, &writer);
    assert_false(writer.overflow);
    slot->cold_size = writer.size;
    struct xt_writer hot = xt_writer_over(slot->hot, sizeof(slot->hot));
    xt_hot_encode(person, &hot);
    slot->hot_size = hot.size;
    memcpy(slot->cold, cold, writer.size); /* person may borrow from it */
    slot->state = SOMEBODY;
    for (unsigned i = 0; i < person->replaced_count; i++) {
        struct slot *old = slot_of(person->replaced[i]);
        old->state = GONE;
        old->successor = person->number;
    }
}

static void load(const struct slot *slot, struct xt_person *person)
{
    assert_int_equal(xt_person_from_records(xt_span_of(slot->hot, slot->hot_size),
                                            xt_span_of(slot->cold, slot->cold_size), person),
                     XT_OK);
}

static enum xt_subject subject_of(const struct slot *slot)
{
    return slot->state == NOBODY ? XT_SUBJECT_UNKNOWN
           : slot->state == GONE ? XT_SUBJECT_REPLACED
                                 : XT_SUBJECT_PERSON;
}

static enum xt_conflict model_apply(const struct xt_registry_event *event)
{
    struct slot *slot = slot_of(event->number);
    struct xt_person person;
    bool in_use = false;
    memset(&person, 0, sizeof(person));
    if (slot->state == SOMEBODY) {
        load(slot, &person);
    }
    if (event->type == XT_REGISTRY_NUMBER_REPLACED) {
        in_use = slot_of(event->successor)->state != NOBODY;
    }
    for (unsigned i = 0; event->type == XT_REGISTRY_REGISTERED && i < event->person.replaced_count;
         i++) {
        in_use = in_use || slot_of(event->person.replaced[i])->state != NOBODY;
    }
    enum xt_conflict conflict = xt_registry_event_apply(event, subject_of(slot), in_use, &person);
    if (conflict != XT_CONFLICT_NONE) {
        return conflict;
    }
    if (event->type == XT_REGISTRY_CORRECTED) {
        slot->versions++;
        slot->before_size = slot->hot_size;
        memcpy(slot->before, slot->hot, slot->hot_size);
    }
    store(&person);
    model.sequence++;
    return conflict;
}

/* The one person that an alias names; more, or none: NULL. */
static const struct slot *model_alias(struct xt_id id, unsigned *count)
{
    const struct slot *only = NULL;
    *count = 0;
    for (unsigned i = 0; i < NUMBERS + OLDS; i++) {
        const struct slot *slot = &model.slots[i];
        struct xt_hot hot;
        if (slot->state != SOMEBODY) {
            continue;
        }
        assert_int_equal(xt_hot_decode(xt_span_of(slot->hot, slot->hot_size), &hot), XT_OK);
        bool named = id.kind == XT_ID_CMND && hot.has_cmnd && hot.cmnd == id.value;
        for (unsigned p = 0; id.kind == XT_ID_PHONE && p < hot.phone_count; p++) {
            named = named || hot.phones[p] == id.value;
        }
        if (named) {
            only = slot;
            (*count)++;
        }
    }
    return *count == 1 ? only : NULL;
}

/* ---- the deployment --------------------------------------------------------------------------- */

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context, (void)line, (void)first;
    fail_msg("%s %s", code, pointer);
}

/* The same people each time, whatever the model says of them by now. */
static void build_generation(bool model_too)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    for (unsigned i = 0; i < PEOPLE; i++) {
        make_person(i, &person);
        if (i < OLDS) {
            person.replaced_count = 1;
            person.replaced[0] = OLD(i);
        }
        if (i > 20 && i < 24) {
            person.has_cmnd = true;
            person.cmnd = SHARED_CMND;
        }
        if (i % 50 == 7) { /* a phone of several */
            person.phones[0] = PHONE(0);
        }
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
        if (model_too) {
            store(&person);
        }
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
}

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    memset(&model, 0, sizeof(model));
    build_generation(true);
    return result;
}

/* ---- events ----------------------------------------------------------------------------------- */

static const char *draw_data(const char *type, uint64_t *random, char *data, size_t size)
{
    static const char *const lives[] = {"alive", "missing", "cancelled"};
    static const char *const names[] = {"Lê An", "NGUYỄN VĂN BÌNH", "Trần Thị Y"};
    unsigned a = (unsigned)(next_random(random) % 1000);
    unsigned b = (unsigned)(next_random(random) % 1000);
    if (strcmp(type, "registered") == 0) {
        snprintf(
            data, size,
            "\"full_name\":\"%s\",\"date_of_birth\":\"2001-%02u-11\",\"phones\":[\"0%u\"]%s%s%u"
            "\"",
            names[a % 3], 1 + a % 12, PHONE(b % PHONES), ",\"account\":{\"level\":1}",
            ",\"old_id\":\"", CMND(a % CMNDS));
        if (a % 4 == 0) {
            snprintf(data + strlen(data), size - strlen(data),
                     ",\"replaced_numbers\":[\"%012llu\"]",
                     (unsigned long long)number_of(PEOPLE + b % SPARE));
        }
    } else if (strcmp(type, "corrected") == 0) {
        char cmnd[16];
        snprintf(cmnd, sizeof(cmnd), "\"%u\"", a % 5 == 0 ? SHARED_CMND : CMND(a % CMNDS));
        snprintf(data, size, "\"full_name\":\"%s\",\"old_id\":%s,\"home_town\":\"Huế %u\"%s%s%s",
                 names[a % 3], a % 3 == 0 ? "null" : cmnd, b, b % 8 == 0 ? ",\"status\":\"" : "",
                 b % 8 == 0 ? lives[a % 3] : "", b % 8 == 0 ? "\"" : "");
    } else if (strcmp(type, "number_replaced") == 0) {
        snprintf(data, size, "\"new_id\":\"%012llu\"",
                 (unsigned long long)number_of(PEOPLE + a % SPARE));
    } else if (strcmp(type, "card_issued") == 0) {
        snprintf(data, size, "\"issued_on\":\"20%02u-%02u-25\"", 15 + a % 10, 1 + b % 12);
    } else if (strcmp(type, "address_changed") == 0) {
        snprintf(data, size, "\"province\":\"079\",\"text\":\"%u Lê Lợi\"", a);
    } else if (strncmp(type, "phone", 5) == 0) {
        snprintf(data, size, "\"phone\":\"0%u\"", PHONE(a % PHONES));
    } else if (strncmp(type, "document", 8) == 0) {
        snprintf(data, size, "\"type\":\"tax\",\"number\":\"%u\"", a % 3);
    } else {
        data[0] = '\0';
    }
    return data;
}

/* Event k of a world: always the same, whatever happened before. */
static void draw_event(unsigned k, struct xt_registry_event *event, struct xt_event *encoded,
                       uint8_t body[XT_EVENT_BODY_MAX])
{
    static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
    static char line[2048]; /* event borrows from the arena, not from it */
    struct xt_json_arena arena = {arena_memory, sizeof(arena_memory)};
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    char data[1024];
    uint64_t random = 1000003ULL * k + 17;
    /* A few people are changed again and again, the others seldom. */
    unsigned of = next_random(&random) % 3 != 0 ? 25 : NUMBERS + OLDS;
    unsigned slot = (unsigned)(next_random(&random) % of) * (of == 25 ? 13 : 1);
    enum xt_registry_type type = (enum xt_registry_type)(
        XT_REGISTRY_FIRST + next_random(&random) % (XT_REGISTRY_END - XT_REGISTRY_FIRST));
    if (type == XT_REGISTRY_DECEASED && next_random(&random) % 6 != 0) {
        type = XT_REGISTRY_CARD_ISSUED; /* else most are dead before long */
    }
    if (type == XT_REGISTRY_REGISTERED && next_random(&random) % 2 == 0) {
        slot = PEOPLE + slot % SPARE;
    }
    const char *name = xt_registry_type_name(type);
    snprintf(line, sizeof(line),
             "{\"event_id\":\"e-%u\",\"type\":\"%s\",\"id\":\"%012llu\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{%s}}",
             k, name, (unsigned long long)number_of(slot),
             draw_data(name, &random, data, sizeof(data)));
    if (xt_registry_event_from_json(xt_span_of_string(line), arena, &envelope, event, &reject) !=
        XT_OK) {
        /* a number replaced by itself, or the like: nothing that a writer would be sent */
        event->type = XT_REGISTRY_DECEASED;
        event->number = PERSON_NUMBER(NUMBERS - 1);
    }
    assert_int_equal(xt_event_from_registry("civil", &envelope, event, body, encoded), XT_OK);
}

/* ---- the writer, in a process of its own -------------------------------------------------------- */

struct order {
    unsigned from, count; /* 0: seal the store under the current key of the key file */
};

struct answer {
    uint64_t sequence;
    uint32_t key_id;
    struct xt_live_outcome outcomes[GROUP_MAX];
};

static void write_group(struct xt_live *live, struct order order, struct answer *answer)
{
    static struct xt_registry_event event;
    static uint8_t bodies[GROUP_MAX][XT_EVENT_BODY_MAX], memory[GROUP_MAX][XT_EVENT_MAX];
    struct xt_span spans[GROUP_MAX];
    for (unsigned i = 0; i < order.count; i++) {
        struct xt_event encoded;
        draw_event(order.from + i, &event, &encoded, bodies[i]);
        struct xt_writer writer = xt_writer_over(memory[i], XT_EVENT_MAX);
        xt_event_encode(&encoded, &writer);
        assert_false(writer.overflow);
        spans[i] = xt_written(&writer);
    }
    enum xt_status status =
        xt_live_apply(live, 1000 + order.from, spans, order.count, answer->outcomes, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    answer->sequence = xt_live_sequence(live);
}

/* With the keys that are in the file by now. */
static struct xt_keyring *read_keys(void)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return keyring;
}

static void seal_anew(struct xt_live *live)
{
    bool done = false;
    struct xt_keyring *keyring = read_keys();
    if (xt_live_reseal(live, keyring, &done, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_true(done);
    xt_keyring_close(keyring);
}

/* Tells its sequence, and then applies what it is told to. */
static void be_writer(int channel)
{
    struct xt_live *live = NULL;
    struct order order = {0, 0};
    static struct answer answer;
    struct xt_live_sizes sizes = {XT_LIVE_MAP_LEAST, window_events};
    if (xt_live_open(deployment(), deployment_keyring(), true, sizes, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_live_set_base(live, open_served());
    answer.sequence = xt_live_sequence(live);
    answer.key_id = xt_live_key_id(live);
    do {
        assert_int_equal(send(channel, &answer, sizeof(answer), MSG_NOSIGNAL), sizeof(answer));
        if (recv(channel, &order, sizeof(order), 0) != sizeof(order)) {
            break;
        }
        if (order.count > 0) {
            write_group(live, order, &answer);
        } else {
            seal_anew(live);
            answer.key_id = xt_live_key_id(live);
        }
    } while (true);
    _exit(0);
}

static struct {
    pid_t process;
    int channel;
} writer;

static uint64_t hear(struct answer *answer)
{
    assert_int_equal(recv(writer.channel, answer, sizeof(*answer), 0), sizeof(*answer));
    return answer->sequence;
}

static uint64_t start_writer(void)
{
    static struct answer answer;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    fflush(NULL);
    writer.process = fork();
    assert_true(writer.process >= 0);
    if (writer.process == 0) {
        close(ends[0]);
        be_writer(ends[1]);
    }
    close(ends[1]);
    writer.channel = ends[0];
    return hear(&answer);
}

static void stop_writer(int with)
{
    int status = 0;
    if (with != 0) {
        (void)kill(writer.process, with);
    }
    close(writer.channel);
    assert_int_equal(waitpid(writer.process, &status, 0), writer.process);
    assert_true(with != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void order_group(unsigned from, unsigned count)
{
    struct order order = {from, count};
    assert_int_equal(send(writer.channel, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order));
}

static bool followed[GROUP_MAX]; /* which events of the last group were applied */

/* The model does the same; its answers must be those of the writer. */
static void follow_group(unsigned from, unsigned count, const struct answer *answer)
{
    static struct xt_registry_event event;
    static uint8_t body[XT_EVENT_BODY_MAX];
    for (unsigned i = 0; i < count; i++) {
        struct xt_event encoded;
        draw_event(from + i, &event, &encoded, body);
        enum xt_conflict conflict = model_apply(&event);
        followed[i] = conflict == XT_CONFLICT_NONE;
        if (answer == NULL) {
            continue;
        }
        const struct xt_live_outcome *outcome = &answer->outcomes[i];
        if (outcome->conflict != conflict ||
            outcome->status != (conflict == XT_CONFLICT_NONE ? XT_OK : XT_DENIED)) {
            fail_msg("event %u (%s): the store says %s, the model %s", from + i,
                     xt_registry_type_name(event.type), xt_conflict_name(outcome->conflict),
                     xt_conflict_name(conflict));
        }
        assert_true(conflict != XT_CONFLICT_NONE || outcome->sequence == model.sequence);
    }
    assert_true(answer == NULL || answer->sequence == model.sequence);
}

/* ---- what readers see --------------------------------------------------------------------------- */

static struct xt_register open_register(void)
{
    struct xt_register as = {.generation = open_served()};
    if (xt_live_open_reader(deployment(), deployment_keyring(), &as.live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return as;
}

static void close_register(struct xt_register *as)
{
    xt_live_close(as->live);
    xt_generation_close(as->generation);
}

static void assert_hot_is(const struct xt_hot *hot, const struct slot *slot)
{
    struct xt_hot wanted;
    assert_int_equal(xt_hot_decode(xt_span_of(slot->hot, slot->hot_size), &wanted), XT_OK);
    assert_true(hot->number == wanted.number);
    assert_int_equal(hot->name.length, wanted.name.length);
    assert_memory_equal(hot->name.codes, wanted.name.codes, wanted.name.length);
    assert_int_equal(hot->life, wanted.life);
    assert_int_equal(hot->card_state, wanted.card_state);
    assert_int_equal(hot->card_issued_on, wanted.card_issued_on);
    assert_int_equal(hot->has_cmnd, wanted.has_cmnd);
    assert_int_equal(hot->cmnd, wanted.cmnd);
    assert_int_equal(hot->locks, wanted.locks);
    assert_int_equal(hot->province, wanted.province);
    assert_int_equal(hot->phone_count, wanted.phone_count);
    assert_memory_equal(hot->phones, wanted.phones, wanted.phone_count * sizeof(hot->phones[0]));
}

static void assert_found(const struct xt_found *found, const struct slot *slot, bool by_alias)
{
    assert_int_equal(found->found, slot != NULL);
    assert_int_equal(found->by_alias, slot != NULL && by_alias);
    if (slot != NULL) {
        assert_hot_is(&found->hot, slot);
    }
}

static void check_number(const struct xt_register *as, unsigned index)
{
    const struct slot *slot = &model.slots[index];
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number_of(index)};
    struct xt_found found;
    static struct xt_person person;
    assert_int_equal(xt_register_find(as, id, &found), XT_OK);
    if (slot->state == GONE) {
        assert_found(&found, slot_of(slot->successor), true);
    } else {
        assert_found(&found, slot->state == SOMEBODY ? slot : NULL, false);
    }
    enum xt_status status = xt_register_person(as, id.value, &person);
    assert_int_equal(status, slot->state == SOMEBODY ? XT_OK : XT_NOT_FOUND);
    if (status == XT_OK) {
        uint8_t cold[sizeof(slot->cold)];
        struct xt_writer over = xt_writer_over(cold, sizeof(cold));
        xt_cold_encode(&person, &over);
        assert_int_equal(over.size, slot->cold_size);
        assert_memory_equal(cold, slot->cold, slot->cold_size);
        static struct xt_links links;
        enum xt_status linked = xt_register_links(as, id.value, &links);
        assert_true(linked == XT_OK || linked == XT_NOT_FOUND); /* nothing but a hot record */
        assert_int_equal(links.count, person.link_count);
    }
    if (slot->versions > 0 && slot->state == SOMEBODY) {
        struct xt_live_entry entry;
        uint64_t at_ms;
        assert_int_equal(xt_live_version(as->live, id.value, slot->versions - 1, &at_ms, &entry),
                         XT_OK);
        assert_int_equal(entry.hot.size, slot->before_size);
        assert_memory_equal(entry.hot.data, slot->before, slot->before_size);
        assert_true(at_ms >= 1000);
        assert_int_equal(xt_live_version(as->live, id.value, slot->versions, &at_ms, &entry),
                         XT_NOT_FOUND);
    }
}

static void check_alias(const struct xt_register *as, enum xt_id_kind kind, uint64_t value)
{
    struct xt_id id = {.kind = kind, .value = value};
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned wanted = 0;
    unsigned count = 0;
    const struct slot *slot = model_alias(id, &wanted);
    assert_int_equal(xt_register_people(as, id, people, &count), XT_OK);
    if (count != wanted) {
        fail_msg("%llu names %u people, the model says %u", (unsigned long long)value, count,
                 wanted);
    }
    if (kind == XT_ID_CMND) {
        struct xt_found found;
        assert_int_equal(xt_register_find(as, id, &found), XT_OK);
        assert_found(&found, slot, true);
    }
}

/* The same people and CMNDs, many at once. */
static void check_batch(const struct xt_register *as)
{
    static struct xt_lookup lookups[NUMBERS + OLDS + CMNDS];
    struct xt_lookup *list[NUMBERS + OLDS + CMNDS];
    for (unsigned i = 0; i < NUMBERS + OLDS + CMNDS; i++) {
        lookups[i].id = i < NUMBERS + OLDS
                            ? (struct xt_id){.kind = XT_ID_PERSONAL, .value = number_of(i)}
                            : (struct xt_id){.kind = XT_ID_CMND, .value = CMND(i - NUMBERS - OLDS)};
        list[i] = &lookups[i];
    }
    xt_register_find_batch(as, list, NUMBERS + OLDS + CMNDS);
    for (unsigned i = 0; i < NUMBERS + OLDS + CMNDS; i++) {
        struct xt_found single;
        assert_int_equal(lookups[i].status, XT_OK);
        assert_int_equal(xt_register_find(as, lookups[i].id, &single), XT_OK);
        assert_int_equal(lookups[i].found.found, single.found);
        assert_int_equal(lookups[i].found.by_alias, single.by_alias);
        assert_true(lookups[i].found.hot.number == single.hot.number);
        assert_int_equal(lookups[i].found.hot.card_state, single.hot.card_state);
    }
}

static void check_all(const struct xt_register *as)
{
    assert_true(xt_live_sequence(as->live) == model.sequence);
    for (unsigned i = 0; i < NUMBERS + OLDS; i++) {
        check_number(as, i);
    }
    for (unsigned i = 0; i < CMNDS; i++) {
        check_alias(as, XT_ID_CMND, CMND(i));
    }
    check_alias(as, XT_ID_CMND, SHARED_CMND);
    check_alias(as, XT_ID_CMND, PERSON_CMND(3));
    check_alias(as, XT_ID_CMND, PERSON_CMND(39));
    check_alias(as, XT_ID_CMND, 123123123);
    for (unsigned i = 0; i < PHONES; i++) {
        check_alias(as, XT_ID_PHONE, PHONE(i));
    }
    check_alias(as, XT_ID_PHONE, 912000013);
    check_batch(as);
}

/* ---- tests -------------------------------------------------------------------------------------- */

#define GROUPS 400

static void whatever_happens_the_register_is_what_the_model_says(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned applied[XT_REGISTRY_END] = {0};
    unsigned next = 0;
    uint64_t random = 5;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    check_all(&as);
    for (unsigned group = 0; group < GROUPS; group++) {
        unsigned count = 1 + (unsigned)(next_random(&random) % GROUP_MAX);
        order_group(next, count);
        assert_true(hear(&answer) >= model.sequence);
        follow_group(next, count, &answer);
        for (unsigned i = 0; i < count; i++) {
            static struct xt_registry_event event;
            static uint8_t body[XT_EVENT_BODY_MAX];
            struct xt_event encoded;
            draw_event(next + i, &event, &encoded, body);
            applied[event.type] += answer.outcomes[i].status == XT_OK;
        }
        next += count;
        assert_int_equal(xt_live_refresh(as.live, group + 1), XT_OK);
        if (group % 10 == 9) {
            check_all(&as);
        }
        for (unsigned i = 0; i < 5; i++) {
            check_number(&as, (unsigned)(next_random(&random) % (NUMBERS + OLDS)));
        }
    }
    for (unsigned type = XT_REGISTRY_FIRST; type < XT_REGISTRY_END; type++) {
        if (applied[type] < 3) {
            fail_msg("%s was applied %u times: the test is not one",
                     xt_registry_type_name((enum xt_registry_type)type), applied[type]);
        }
    }
    stop_writer(0);
    assert_true(start_writer() == model.sequence); /* and after a restart */
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

#define KILLS 150

/* Sent again after a crash, what had been applied is a duplicate, and the rest is applied. */
static void a_killed_writer_leaves_groups_whole_or_not_at_all(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    unsigned lost = 0;
    unsigned kept = 0;
    uint64_t random = 99;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    for (unsigned kill_at = 0; kill_at < KILLS; kill_at++) {
        unsigned count = 1 + (unsigned)(next_random(&random) % GROUP_MAX);
        order_group(next, count);
        if (kill_at % 5 == 4) { /* committed for certain */
            (void)hear(&answer);
        } else if (kill_at % 3 != 0) {
            usleep((useconds_t)(next_random(&random) % 2500));
        }
        stop_writer(SIGKILL);
        saved = model;
        uint64_t sequence = start_writer();
        follow_group(next, count, NULL);
        if (sequence != model.sequence) {
            assert_true(sequence == saved.sequence); /* not a part of it */
            model = saved;
            order_group(next, count);
            (void)hear(&answer);
            follow_group(next, count, &answer);
            lost++;
        } else {
            kept += sequence != saved.sequence;
            for (unsigned i = 0; i < count; i++) { /* those that were applied are so still, once */
                if (followed[i]) {
                    order_group(next + i, 1);
                    assert_true(hear(&answer) == sequence);
                    assert_int_equal(answer.outcomes[0].status, XT_OK);
                    assert_true(answer.outcomes[0].duplicate);
                }
            }
        }
        next += count;
        assert_int_equal(xt_live_refresh(as.live, kill_at + 1), XT_OK);
        if (kill_at % 10 == 9) {
            check_all(&as);
        }
    }
    if (lost < KILLS / 10 || kept < KILLS / 10) {
        fail_msg("%u groups were lost and %u kept: they were not killed in between", lost, kept);
    }
    close_register(&as);
    stop_writer(0);
}

/* What the log has forgotten it cannot tell a reader any more. */
static void a_reader_that_lags_behind_the_log_reads_all_keys_again(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    window_events = XT_LIVE_WINDOW_LEAST;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    for (; model.sequence <= XT_LIVE_WINDOW_LEAST + GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
        if (model.sequence < 10) { /* from here on it sleeps */
            assert_int_equal(xt_live_refresh(as.live, next + 1), XT_OK);
            xt_live_rest(as.live);
        }
    }
    assert_true(as.live->filtered < 10);
    assert_int_equal(xt_live_refresh(as.live, next + 1), XT_OK);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
    window_events = XT_LIVE_WINDOW_EVENTS;
}

/* A store of before there were overlays gets its tables from the writer; a reader that was there first
 * sees them then. */
static void an_older_store_is_given_an_overlay(void **state)
{
    (void)state;
    static struct answer answer;
    assert_true(start_writer() == 0);
    stop_writer(0);
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct xt_live *live = NULL;
        struct MDB_txn *txn = NULL;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        assert_int_equal(mdb_txn_begin(live->env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_drop(txn, live->tables[XT_LIVE_PEOPLE], 1), 0);
        assert_int_equal(mdb_drop(txn, live->tables[XT_LIVE_TOUCHED], 1), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct xt_register as = open_register();
    assert_false(as.live->has_overlay);
    check_all(&as);
    assert_true(start_writer() == 0);
    order_group(0, GROUP_MAX);
    (void)hear(&answer);
    follow_group(0, GROUP_MAX, &answer);
    assert_true(model.sequence > 0);
    assert_int_equal(xt_live_refresh(as.live, 1), XT_OK);
    assert_true(as.live->has_overlay);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

/* Numbers and names, as digits, as integers or as letters, stand nowhere in the file. */
static void nobody_is_in_the_file_in_the_clear(void **state)
{
    (void)state;
    static struct answer answer;
    static uint8_t text[1 << 20];
    assert_true(start_writer() == 0);
    for (unsigned next = 0; next < 40 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
    }
    stop_writer(0);
    FILE *file = fopen(deployment_path("live/live.mdb"), "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_true(size > 100000);
    for (unsigned slot = 0; slot < NUMBERS; slot++) {
        uint8_t bytes[5];
        char digits[XT_NUMBER_DIGITS];
        struct xt_writer over = xt_writer_over(bytes, sizeof(bytes));
        xt_put(&over, number_of(slot), sizeof(bytes));
        xt_number_format(number_of(slot), digits);
        assert_null(memmem(text, size, bytes, sizeof(bytes)));
        assert_null(memmem(text, size, digits, sizeof(digits)));
    }
    assert_null(memmem(text, size, "Huế", strlen("Huế")));
    assert_null(memmem(text, size, "NGUY", 4));
}

/* ---- new master keys ------------------------------------------------------------------------------ */

/* Gives the id that is current from now on, here too. */
static uint32_t rotate_keys(void)
{
    uint32_t id = 0;
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    xt_keyring_take(deployment_keyring(), read_keys());
    assert_int_equal(xt_keyring_current(deployment_keyring()), id);
    return id;
}

static int retire(uint32_t id)
{
    char text[16];
    snprintf(text, sizeof(text), "%08x", id);
    return run("keys", "retire", "DIR", "master", text, NULL);
}

/* Whoever reads meanwhile goes on with the filter that he has: the keys in it are the same. */
static void a_new_master_key_seals_the_overlay_anew_and_the_old_one_can_go(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    uint32_t old = xt_keyring_current(deployment_keyring());
    assert_true(start_writer() == 0);
    for (; next < 60 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    assert_int_equal(answer.key_id, old);
    struct xt_register as = open_register();
    check_all(&as);
    uint64_t keys = as.live->filter.count;
    uint32_t current = rotate_keys();
    assert_int_equal(retire(old), 1); /* the overlay needs it */
    order_group(0, 0);
    assert_true(hear(&answer) == model.sequence);
    assert_int_equal(answer.key_id, current);
    check_all(&as); /* as it was before */
    assert_int_equal(xt_live_key_id(as.live), old);
    assert_int_equal(xt_live_refresh(as.live, 1), XT_OK);
    assert_int_equal(xt_live_key_id(as.live), current);
    check_all(&as);
    for (; next < 90 * GROUP_MAX; next += GROUP_MAX) { /* nobody is there twice */
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    assert_int_equal(xt_live_refresh(as.live, 2), XT_OK);
    assert_true(as.live->filter.count >= keys);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
    assert_true(start_writer() == model.sequence);
    as = open_register();
    check_all(&as);
    close_register(&as);
    stop_writer(0);

    assert_int_equal(retire(old), 1); /* the generation needs it still */
    build_generation(false);
    assert_int_equal(retire(old), 1);
    xt_identity_remove(deployment(), "000001");
    assert_int_equal(retire(old), 0);
    xt_keyring_take(deployment_keyring(), read_keys());
    assert_false(xt_keyring_has(deployment_keyring(), old));
    assert_true(start_writer() == model.sequence);
    as = open_register();
    check_all(&as);
    order_group(next, GROUP_MAX);
    (void)hear(&answer);
    follow_group(next, GROUP_MAX, &answer);
    assert_int_equal(xt_live_refresh(as.live, 1), XT_OK);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

#define ROTATIONS 12
#define ROTATIONS_MOST 100

static void a_writer_killed_while_it_seals_anew_leaves_the_overlay_under_one_key(void **state)
{
    (void)state;
    static struct answer answer;
    uint64_t random = 41;
    unsigned next = 0;
    unsigned before = 0;
    unsigned after = 0;
    assert_true(start_writer() == 0);
    for (; next < 60 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    for (unsigned i = 0; i < ROTATIONS || (before == 0 && i < ROTATIONS_MOST); i++) {
        uint32_t current = rotate_keys();
        order_group(0, 0);
        if (i % 4 == 3) {
            (void)hear(&answer);
        } else {
            usleep((useconds_t)(next_random(&random) % 4000));
        }
        stop_writer(SIGKILL);
        assert_true(start_writer() == model.sequence);
        struct xt_register as = open_register();
        check_all(&as);
        before += xt_live_key_id(as.live) != current;
        after += xt_live_key_id(as.live) == current;
        close_register(&as);
    }
    assert_true(before > 0 && after > 0);
    stop_writer(0);
}

/* ---- one writer, one event at a time ------------------------------------------------------------- */

static void in_writer(void (*work)(struct xt_live *live))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct xt_live *live = NULL;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        xt_live_set_base(live, open_served());
        work(live);
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct xt_live_outcome tell(struct xt_live *live, enum xt_registry_type type, unsigned slot,
                                   uint32_t phone)
{
    static struct xt_registry_event event;
    static unsigned id;
    struct xt_registry_envelope envelope = {.at_ms = 1};
    struct xt_event encoded;
    struct xt_live_outcome outcome;
    uint8_t body[XT_EVENT_BODY_MAX], memory[XT_EVENT_MAX];
    char event_id[16];
    int size = snprintf(event_id, sizeof(event_id), "%u", id++);
    memset(&event, 0, sizeof(event));
    envelope.event_id = xt_span_of(event_id, (size_t)size);
    event.type = type;
    event.number = number_of(slot);
    event.person.phone_count = 1;
    event.person.phones[0] = phone;
    assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded), XT_OK);
    struct xt_writer over = xt_writer_over(memory, sizeof(memory));
    xt_event_encode(&encoded, &over);
    struct xt_span span = xt_written(&over);
    assert_int_equal(xt_live_apply(live, 1, &span, 1, &outcome, &failure), XT_OK);
    return outcome;
}

/* What the overlay notes about one phone has an end; the event that would pass it changes nothing. */
static void fill_a_phone(struct xt_live *live)
{
    const uint32_t phone = 911111111;
    const unsigned most = XT_LIVE_ALIAS_MAX - 1;
    struct xt_live_outcome outcome;
    for (unsigned i = 0; i < most; i++) {
        assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, i, phone).status, XT_OK);
    }
    uint64_t sequence = xt_live_sequence(live);
    outcome = tell(live, XT_REGISTRY_PHONE_LINKED, most, phone);
    assert_int_equal(outcome.status, XT_DENIED);
    assert_int_equal(outcome.conflict, XT_CONFLICT_TOO_MANY);
    assert_true(xt_live_sequence(live) == sequence);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, most, phone).conflict,
                     XT_CONFLICT_PHONE_NOT_LINKED);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, 3, phone).status, XT_OK);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, most, phone).status, XT_OK);
}

static void an_alias_has_room_for_so_many_changes(void **state)
{
    (void)state;
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    in_writer(fill_a_phone);
    struct xt_register as = open_register();
    struct xt_id id = {.kind = XT_ID_PHONE, .value = 911111111};
    assert_int_equal(xt_register_people(&as, id, people, &count), XT_OK);
    assert_int_equal(count, XT_LIVE_ALIAS_MAX - 1);
    close_register(&as);
}

/* An alias that is emptied again leaves nothing behind, and one of the generation comes back. */
static void take_a_phone_away_and_back(struct xt_live *live)
{
    uint32_t sealed = 912000013; /* of person 13 alone */
    struct xt_live_alias alias;
    struct xt_id id = {.kind = XT_ID_PHONE, .value = sealed};
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, 13, sealed).status, XT_OK);
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_alias(live, id, &alias), XT_OK);
    assert_int_equal(alias.count, 1);
    xt_live_end_look(live);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, 13, sealed).status, XT_OK);
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_alias(live, id, &alias), XT_NOT_FOUND);
    xt_live_end_look(live);
}

static void what_is_as_it_was_takes_no_room(void **state)
{
    (void)state;
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    in_writer(take_a_phone_away_and_back);
    struct xt_register as = open_register();
    struct xt_id id = {.kind = XT_ID_PHONE, .value = 912000013};
    assert_int_equal(xt_register_people(&as, id, people, &count), XT_OK);
    assert_int_equal(count, 1);
    assert_true(people[0] == PERSON_NUMBER(13));
    close_register(&as);
}

/* As much as a record may hold. */
static struct xt_person *largest_person(void)
{
    static struct xt_person person;
    static char text[XT_PERSON_TEXT_MAX], key[XT_PERSON_KEY_MAX], ids[XT_PERSON_DEVICES_MAX][400];
    make_person(1, &person);
    memset(text, 'x', sizeof(text));
    memset(key, 'A', sizeof(key));
    person.home_town = person.place_of_birth = person.father_name = person.mother_name =
        person.address_text = xt_span_of(text, sizeof(text));
    person.card_state = XT_CARD_ACTIVE;
    for (unsigned i = 0; i < XT_PERSON_DEVICES_MAX; i++) {
        memset(ids[i], 'a' + (int)i, sizeof(ids[i]));
        person.devices[i].device_id = xt_span_of(ids[i], sizeof(ids[i]));
        person.devices[i].public_key = xt_span_of(key, sizeof(key));
    }
    person.device_count = XT_PERSON_DEVICES_MAX;
    return &person;
}

/* Such a record takes several pages of its own, which are to be sealed anew as well. */
static void lose_the_card(struct xt_live *live)
{
    assert_int_equal(tell(live, XT_REGISTRY_CARD_LOST, 1, 0).status, XT_OK);
    (void)rotate_keys();
    seal_anew(live);
}

static void the_largest_record_can_be_changed_but_not_be_sent(void **state)
{
    (void)state;
    static struct xt_registry_event event;
    static uint8_t wanted[XT_COLD_MAX], cold[XT_COLD_MAX];
    static struct xt_person person;
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_writer was = xt_writer_over(wanted, sizeof(wanted));
    struct xt_writer is = xt_writer_over(cold, sizeof(cold));
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    assert_int_equal(xt_builder_add(builder, 0, largest_person(), 1, &failure), XT_OK);
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
    xt_cold_encode(largest_person(), &was);
    assert_true(was.size > 20000);
    in_writer(lose_the_card);
    xt_keyring_take(deployment_keyring(), read_keys());
    struct xt_register as = open_register();
    assert_int_equal(xt_register_person(&as, PERSON_NUMBER(1), &person), XT_OK);
    assert_int_equal(person.card_state, XT_CARD_LOST);
    xt_cold_encode(&person, &is);
    assert_int_equal(is.size, was.size);
    assert_memory_equal(cold, wanted, is.size);
    close_register(&as);

    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string("1")};
    struct xt_event encoded;
    uint8_t body[XT_EVENT_BODY_MAX];
    event.type = XT_REGISTRY_REGISTERED;
    event.number = PERSON_NUMBER(2);
    event.person = *largest_person();
    assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded),
                     XT_TOO_LARGE);
}

/* The ids of one partner are not those of another. */
static void partners_do_not_meet_each_others_event_ids(void **state)
{
    (void)state;
    static struct xt_registry_event event;
    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string("b1")};
    struct xt_event one, same, other;
    uint8_t body[XT_EVENT_BODY_MAX];
    event.type = XT_REGISTRY_DECEASED;
    event.number = PERSON_NUMBER(2);
    assert_int_equal(xt_event_from_registry("a", &envelope, &event, body, &one), XT_OK);
    assert_int_equal(xt_event_from_registry("a", &envelope, &event, body, &same), XT_OK);
    envelope.event_id = xt_span_of_string("1");
    assert_int_equal(xt_event_from_registry("ab", &envelope, &event, body, &other), XT_OK);
    assert_memory_equal(one.id, same.id, sizeof(one.id));
    assert_memory_not_equal(one.id, other.id, sizeof(one.id));
}

static int make_empty(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

static void without_a_base_registry_events_are_refused(void **state)
{
    (void)state;
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct xt_live *live = NULL;
        static struct answer answer;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        write_group(live, (struct order){0, 4}, &answer);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(answer.outcomes[i].status, XT_BUSY);
        }
        assert_true(answer.sequence == 0);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_filter_never_denies_and_seldom_errs(void **state)
{
    (void)state;
    struct xt_live_filter filter;
    uint64_t random = 3;
    assert_int_equal(xt_live_filter_open(&filter, 100000), XT_OK);
    struct xt_hash some = {next_random(&random), next_random(&random)};
    assert_false(xt_live_filter_may_hold(&filter, some));
    for (uint64_t i = 0; i < filter.capacity; i++) {
        uint64_t seed = i;
        xt_live_filter_add(&filter, (struct xt_hash){next_random(&seed), next_random(&seed)});
    }
    unsigned wrong = 0;
    for (uint64_t i = 0; i < filter.capacity; i++) {
        uint64_t seed = i;
        assert_true(xt_live_filter_may_hold(
            &filter, (struct xt_hash){next_random(&seed), next_random(&seed)}));
        wrong += xt_live_filter_may_hold(
            &filter, (struct xt_hash){next_random(&random), next_random(&random)});
    }
    assert_true(wrong < filter.capacity / 100);
    assert_true(filter.count > filter.capacity * 98 / 100);
    xt_live_filter_close(&filter);
    assert_false(xt_live_filter_may_hold(&filter, some));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_never_denies_and_seldom_errs),
        cmocka_unit_test_setup_teardown(whatever_happens_the_register_is_what_the_model_says, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_groups_whole_or_not_at_all, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(a_reader_that_lags_behind_the_log_reads_all_keys_again,
                                        make, deployment_remove),
        cmocka_unit_test_setup_teardown(an_older_store_is_given_an_overlay, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(
            a_new_master_key_seals_the_overlay_anew_and_the_old_one_can_go, make,
            deployment_remove),
        cmocka_unit_test_setup_teardown(
            a_writer_killed_while_it_seals_anew_leaves_the_overlay_under_one_key, make,
            deployment_remove),
        cmocka_unit_test_setup_teardown(nobody_is_in_the_file_in_the_clear, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(an_alias_has_room_for_so_many_changes, make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(what_is_as_it_was_takes_no_room, make, deployment_remove),
        cmocka_unit_test_setup_teardown(the_largest_record_can_be_changed_but_not_be_sent,
                                        make_empty, deployment_remove),
        cmocka_unit_test(partners_do_not_meet_each_others_event_ids),
        cmocka_unit_test_setup_teardown(without_a_base_registry_events_are_refused, make,
                                        deployment_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
