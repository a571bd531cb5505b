#include "tests/store/world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/builder.h"
#include "store/live_fold.h"
#include "tests/core/mutate.h"

static struct xt_failure failure;
uint32_t window_events = XT_LIVE_WINDOW_EVENTS;

/* ---- the model -------------------------------------------------------------------------------- */

struct world model, saved;

uint64_t number_of(unsigned slot)
{
    return slot < NUMBERS ? PERSON_NUMBER(slot) : OLD(slot - NUMBERS);
}

struct slot *slot_of(uint64_t number)
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
    struct xt_writer over = xt_writer_over(cold, sizeof(cold));
    xt_cold_encode(person, &over);
    assert_false(over.overflow);
    slot->cold_size = over.size;
    struct xt_writer hot = xt_writer_over(slot->hot, sizeof(slot->hot));
    xt_hot_encode(person, &hot);
    slot->hot_size = hot.size;
    memcpy(slot->cold, cold, over.size); /* person may borrow from it */
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

enum xt_conflict model_link(uint64_t number, const struct xt_link *link)
{
    static struct xt_registry_event event;
    event.type = XT_REGISTRY_DOCUMENT_LINKED;
    event.number = number;
    event.person.links[0] = *link;
    enum xt_conflict conflict = model_apply(&event);
    model.sequence -= conflict == XT_CONFLICT_NONE;
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

void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                  const char *pointer)
{
    (void)context, (void)line, (void)first;
    fail_msg("%s %s", code, pointer);
}

/* The same people each time, whatever the model says of them by now. */
void build_generation(bool model_too)
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

int world_make(void **state)
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
        snprintf(cmnd, sizeof(cmnd), "\"%u\"", a % 20 == 1 ? SHARED_CMND : CMND(a % CMNDS));
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
void draw_event(unsigned k, struct xt_registry_event *event, struct xt_event *encoded,
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

void write_group(struct xt_live *live, struct order order, struct answer *answer)
{
    static struct xt_registry_event event;
    static uint8_t bodies[GROUP_MAX][XT_EVENT_BODY_MAX], memory[GROUP_MAX][XT_EVENT_MAX];
    struct xt_span spans[GROUP_MAX];
    for (unsigned i = 0; i < order.count; i++) {
        struct xt_event encoded;
        draw_event(order.from + i, &event, &encoded, bodies[i]);
        struct xt_writer over = xt_writer_over(memory[i], XT_EVENT_MAX);
        xt_event_encode(&encoded, &over);
        assert_false(over.overflow);
        spans[i] = xt_written(&over);
    }
    enum xt_status status =
        xt_live_apply(live, 1000 + order.from, spans, order.count, answer->outcomes, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    answer->sequence = xt_live_sequence(live);
}

/* With the keys that are in the file by now. */
struct xt_keyring *read_keys(void)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return keyring;
}

void seal_anew(struct xt_live *live)
{
    bool done = false;
    struct xt_keyring *keyring = read_keys();
    if (xt_live_reseal(live, keyring, &done, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_true(done);
    xt_keyring_close(keyring);
}

static void obey(struct xt_live *live, unsigned work, struct answer *answer)
{
    static struct xt_generation *base;
    if (work == SEAL_ANEW) {
        seal_anew(live);
        xt_keyring_take(deployment_keyring(), read_keys());
        answer->key_id = xt_live_key_id(live);
    } else if (work == TAKE_CURRENT) {
        struct xt_generation *before = base;
        base = open_served();
        assert_int_equal(xt_live_may_lie_over(live, xt_generation_manifest(base), false, &failure),
                         XT_OK);
        xt_live_set_base(live, base);
        xt_generation_close(before);
    } else if (xt_live_drop_folded(live, &answer->done, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

/* Tells its sequence, and then applies what it is told to. */
static void be_writer(int channel)
{
    struct xt_live *live = NULL;
    struct order order = {0, 0};
    static struct answer answer;
    struct xt_live_sizes sizes = {XT_LIVE_MAP_LEAST, window_events, 0};
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
            obey(live, order.from, &answer);
        }
    } while (true);
    _exit(0);
}

struct world_writer writer;

uint64_t hear(struct answer *answer)
{
    assert_int_equal(recv(writer.channel, answer, sizeof(*answer), 0), sizeof(*answer));
    return answer->sequence;
}

uint64_t start_writer(void)
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

void stop_writer(int with)
{
    int status = 0;
    if (with != 0) {
        (void)kill(writer.process, with);
    }
    close(writer.channel);
    assert_int_equal(waitpid(writer.process, &status, 0), writer.process);
    assert_true(with != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

void order_group(unsigned from, unsigned count)
{
    struct order order = {from, count};
    assert_int_equal(send(writer.channel, &order, sizeof(order), MSG_NOSIGNAL), sizeof(order));
}

bool followed[GROUP_MAX];

/* The model does the same; its answers must be those of the writer. */
void follow_group(unsigned from, unsigned count, const struct answer *answer)
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

struct xt_register open_register(void)
{
    struct xt_register as = {.generation = open_served()};
    if (xt_live_open_reader(deployment(), deployment_keyring(), &as.live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return as;
}

void close_register(struct xt_register *as)
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

void check_number(const struct xt_register *as, unsigned index)
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

void check_alias(const struct xt_register *as, enum xt_id_kind kind, uint64_t value)
{
    struct xt_id id = {.kind = kind, .value = value};
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned wanted = 0;
    unsigned count = 0;
    const struct slot *slot = model_alias(id, &wanted);
    assert_int_equal(xt_register_people(as, id, people, &count), XT_OK);
    /* A sealed alias names some of so many, and then it is not known how many there are. */
    bool many = wanted >= XT_ALIAS_PEOPLE_MAX && count >= XT_ALIAS_PEOPLE_MAX;
    if (count != wanted && !many) {
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

void check_all(const struct xt_register *as)
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
