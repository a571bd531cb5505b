/* Events of the register: read strictly, carried as bytes, and what follows from each of them. */
#include "tests/test.h"

#include "core/province.h"
#include "core/registry_event.h"
#include "tests/core/mutate.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))
#define KEY "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
#define HEAD                                                                                       \
    "{\"event_id\":\"e-1\",\"id\":\"001099012345\",\"at\":\"2026-11-22T08:00:00Z\",\"type\":"
#define EVENT(type, data) HEAD "\"" type "\",\"data\":{" data "}}"
#define BARE(type) HEAD "\"" type "\"}"

static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
static const struct xt_json_arena arena = {arena_memory, sizeof arena_memory};
static struct xt_registry_event event;
static struct xt_registry_envelope envelope;
static struct xt_reject reject;

static const char RECORD[] =
    "\"full_name\":\"NGUYỄN VĂN AN\",\"date_of_birth\":\"1999-01-25\",\"sex\":\"male\","
    "\"old_id\":\"012345678\",\"replaced_numbers\":[\"001099999999\"],\"nationality\":\"VNM\","
    "\"ethnicity\":\"Kinh\",\"home_town\":\"Hà Nội\",\"father_name\":\"Nguyễn Văn Bình\","
    "\"address\":{\"province\":\"001\",\"ward\":\"00004\",\"text\":\"Số 10 Tràng Thi\"},"
    "\"card\":{\"issued_on\":\"2021-04-25\",\"public_key\":\"" KEY "\"},"
    "\"phones\":[\"+84912345678\"],\"account\":{\"level\":2,\"devices\":[{\"device_id\":\"d-1\","
    "\"public_key\":\"" KEY "\"}],\"passcode_hash\":\"$argon2id$v=19$m=1$a$b\"},"
    "\"links\":[{\"type\":\"vehicle\",\"number\":\"29A/123.45\",\"valid_from\":\"2024\"}]";

static const char *registration(void)
{
    static char line[4096];
    snprintf(line, sizeof(line), HEAD "\"registered\",\"data\":{%s}}", RECORD);
    return line;
}

static const char *const GOOD[] = {
    EVENT("corrected",
          "\"full_name\":\"Nguyễn Văn Ân\",\"date_of_birth\":\"1998\",\"sex\":\"female\","
          "\"old_id\":\"987654321\",\"nationality\":\"VNM\",\"ethnicity\":\"Tày\","
          "\"home_town\":\"Huế\",\"place_of_birth\":\"Huế\",\"father_name\":\"A\","
          "\"mother_name\":\"B\",\"status\":\"missing\""),
    EVENT("corrected", "\"old_id\":null,\"sex\":null,\"home_town\":null,\"full_name\":\"Lê An\""),
    EVENT("deceased", ""),
    BARE("deceased"),
    EVENT("number_replaced", "\"new_id\":\"001099012346\""),
    EVENT("card_issued", "\"issued_on\":\"2024-04-25\""),
    EVENT("card_issued", "\"issued_on\":\"2024-04-25\",\"expires_on\":\"2030-01-01\","
                         "\"public_key\":\"" KEY "\""),
    BARE("card_lost"),
    EVENT("card_lost", "\"issued_on\":\"2021-04-25\""),
    BARE("card_found"),
    BARE("card_revoked"),
    EVENT("address_changed", "\"province\":\"079\",\"ward\":\"26734\",\"text\":\"2 Lê Lợi\""),
    EVENT("address_changed", "\"province\":\"096\""),
    EVENT("phone_linked", "\"phone\":\"0987654321\""),
    EVENT("phone_unlinked", "\"phone\":\"+84912345678\""),
    EVENT("document_linked", "\"type\":\"health_insurance\",\"number\":\"gd 4-01\","
                             "\"valid_from\":\"2024-01-01\",\"valid_until\":\"2025\""),
    EVENT("document_unlinked", "\"type\":\"vehicle\",\"number\":\"29A12345\""),
};

static enum xt_status parse(const char *line)
{
    return xt_registry_event_from_json(xt_span_of_string(line), arena, &envelope, &event, &reject);
}

static struct xt_span encode(const struct xt_registry_event *from, uint8_t *memory)
{
    struct xt_writer writer = xt_writer_over(memory, XT_REGISTRY_BODY_MAX);
    xt_registry_event_encode(from, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void an_event_comes_back_from_its_bytes(const char *line)
{
    static uint8_t memory[XT_REGISTRY_BODY_MAX];
    static uint8_t again[XT_REGISTRY_BODY_MAX];
    static struct xt_registry_event decoded;
    if (parse(line) != XT_OK) {
        fail_msg("%s at %s: %s", reject.code, reject.pointer, line);
    }
    assert_true(event.number == 1099012345);
    assert_true(envelope.at_ms == 1795334400000ULL);
    assert_int_equal(envelope.event_id.size, 3);
    struct xt_span body = encode(&event, memory);
    assert_int_equal(xt_registry_event_decode(event.type, body, &decoded), XT_OK);
    struct xt_span same = encode(&decoded, again);
    assert_true(xt_span_equal(body, same));
    for (size_t size = 0; size < body.size; size++) { /* cut short it is another event, or none */
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, memory, size);
        if (xt_registry_event_decode(event.type, xt_span_of(exact, size), &decoded) == XT_OK) {
            same = encode(&decoded, again);
            assert_true(xt_span_equal(xt_span_of(exact, size), same));
        }
        free(exact);
    }
}

static void events_of_every_type_are_read_and_come_back_from_their_bytes(void **state)
{
    (void)state;
    bool seen[XT_REGISTRY_END] = {false};
    for (size_t i = 0; i < COUNT_OF(GOOD); i++) {
        an_event_comes_back_from_its_bytes(GOOD[i]);
        seen[event.type] = true;
    }
    an_event_comes_back_from_its_bytes(registration());
    seen[event.type] = true;
    for (unsigned type = XT_REGISTRY_FIRST; type < XT_REGISTRY_END; type++) {
        enum xt_registry_type same;
        const char *name = xt_registry_type_name((enum xt_registry_type)type);
        assert_true(seen[type]);
        assert_int_equal(xt_registry_type_by_name(xt_span_of_string(name), &same), XT_OK);
        assert_int_equal(same, type);
    }
}

static void faults_are_told_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code, *pointer;
    } CASES[] = {
        {"", "malformed_json", ""},
        {"[]", "not_an_object", ""},
        {"{}", "missing_member", "/event_id"},
        {EVENT("born", ""), "unknown_type", "/type"},
        {BARE("phone_linked"), "missing_member", "/data"},
        {HEAD "\"deceased\",\"extra\":1}", "unknown_member", ""},
        {HEAD "\"deceased\",\"id\":\"001099012345\"}", "duplicate_member", "/id"},
        {HEAD "\"deceased\",\"data\":[]}", "wrong_type", "/data"},
        {EVENT("deceased", "\"on\":\"2026-01-01\""), "unknown_member", "/data"},
        {EVENT("corrected", ""), "empty", "/data"},
        {EVENT("corrected", "\"status\":\"deceased\""), "bad_value", "/data/status"},
        {EVENT("corrected", "\"status\":null"), "wrong_type", "/data/status"},
        {EVENT("corrected", "\"full_name\":null"), "wrong_type", "/data/full_name"},
        {EVENT("corrected", "\"date_of_birth\":\"1999-02-30\""), "bad_date", "/data/date_of_birth"},
        {EVENT("corrected", "\"phones\":[]"), "unknown_member", "/data"},
        {EVENT("corrected", "\"sex\":\"male\",\"sex\":null"), "duplicate_member", "/data/sex"},
        {EVENT("number_replaced", ""), "missing_member", "/data/new_id"},
        {EVENT("number_replaced", "\"new_id\":\"001099012345\""), "bad_id", "/data/new_id"},
        {EVENT("number_replaced", "\"new_id\":7"), "wrong_type", "/data/new_id"},
        {EVENT("card_issued", "\"expires_on\":\"2030-01-01\""), "missing_member",
         "/data/issued_on"},
        {EVENT("card_issued", "\"issued_on\":\"soon\""), "bad_date", "/data/issued_on"},
        {EVENT("card_issued", "\"issued_on\":\"2024\",\"state\":\"lost\""), "unknown_member",
         "/data"},
        {EVENT("card_issued", "\"issued_on\":\"2024\",\"public_key\":\"!\""), "bad_key",
         "/data/public_key"},
        {EVENT("card_lost", "\"issued_on\":\"x\""), "bad_date", "/data/issued_on"},
        {EVENT("address_changed", "\"ward\":\"00004\""), "missing_member", "/data/province"},
        {EVENT("address_changed", "\"province\":\"999\""), "bad_value", "/data/province"},
        {EVENT("phone_linked", "\"phone\":\"0\""), "bad_phone", "/data/phone"},
        {EVENT("phone_linked", "\"phone\":\"0912345678\",\"phone\":\"0912345678\""),
         "duplicate_member", "/data/phone"},
        {EVENT("document_linked", "\"type\":\"vehicle\""), "missing_member", "/data/number"},
        {EVENT("document_linked", "\"type\":\"boat\",\"number\":\"1\""), "bad_value", "/data/type"},
        {EVENT("document_unlinked", "\"type\":\"tax\",\"number\":\"1\",\"valid_from\":\"2024\""),
         "unknown_member", "/data"},
        {EVENT("registered", "\"full_name\":\"An\""), "missing_member", "/data/date_of_birth"},
        {EVENT("registered", "\"id\":\"001099012345\""), "unknown_member", "/data"},
        {EVENT("registered", "\"card\":{\"state\":\"gone\"}"), "bad_value", "/data/card/state"},
        {EVENT("registered", "\"full_name\":\"An\",\"date_of_birth\":\"1999\","
                             "\"replaced_numbers\":[\"001099012345\"]"),
         "bad_id", "/data/replaced_numbers/0"},
        {"{\"event_id\":\"a b\"}", "bad_event_id", "/event_id"},
        {"{\"event_id\":\"\"}", "empty", "/event_id"},
        {"{\"id\":\"1\"}", "bad_id", "/id"},
        {"{\"at\":\"2026-11-22 08:00:00Z\"}", "bad_time", "/at"},
        {"{\"at\":\"2026-11-22T24:00:00Z\"}", "bad_time", "/at"},
        {"{\"at\":\"2026-11-22T08:00:00\"}", "bad_time", "/at"},
        {"{\"at\":\"2026-11-22T08:00:00.1234Z\"}", "bad_time", "/at"},
        {"{\"at\":\"1969-12-31T23:59:59Z\"}", "bad_time", "/at"},
        {"{\"at\":5}", "wrong_type", "/at"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        if (parse(CASES[i].line) != XT_INVALID || strcmp(reject.code, CASES[i].code) != 0 ||
            strcmp(reject.pointer, CASES[i].pointer) != 0) {
            fail_msg("%s at '%s' for %s", reject.code, reject.pointer, CASES[i].line);
        }
    }
}

static void times_are_read_to_the_millisecond_and_from_any_zone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } CASES[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-22T15:00:00+07:00", 1795334400000ULL},
        {"2026-11-22T08:00:00.5Z", 1795334400500ULL},
        {"2026-11-22T08:00:00.123Z", 1795334400123ULL},
        {"2026-11-22T04:30:00-03:30", 1795334400000ULL},
        {"2016-12-31T23:59:60Z", 1483228799000ULL},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char line[256];
        snprintf(line, sizeof(line),
                 "{\"event_id\":\"e\",\"type\":\"deceased\",\"id\":\"001099012345\",\"at\":\"%s\"}",
                 CASES[i].text);
        assert_int_equal(parse(line), XT_OK);
        assert_true(envelope.at_ms == CASES[i].ms);
    }
}

static void damaged_bytes_are_refused_or_are_another_sound_event(void **state)
{
    (void)state;
    static uint8_t memory[XT_REGISTRY_BODY_MAX];
    static uint8_t again[XT_REGISTRY_BODY_MAX];
    static struct xt_registry_event decoded;
    uint64_t random = 7;
    unsigned taken = 0;
    for (unsigned round = 0; round < 60000; round++) {
        const char *line =
            round % 4 == 0 ? registration() : GOOD[next_random(&random) % COUNT_OF(GOOD)];
        assert_int_equal(parse(line), XT_OK);
        size_t size = encode(&event, memory).size;
        size = mutate(memory, size, sizeof(memory), &random);
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, memory, size);
        if (xt_registry_event_decode(event.type, xt_span_of(exact, size), &decoded) == XT_OK) {
            struct xt_span same = encode(&decoded, again);
            assert_true(xt_span_equal(xt_span_of(exact, size), same));
            taken++;
        }
        free(exact);
    }
    assert_true(taken > 0 && taken < 60000);
    assert_int_equal(
        xt_registry_event_decode((enum xt_registry_type)1, xt_span_of(memory, 5), &decoded),
        XT_UNSUPPORTED);
}

static bool takes(uint8_t *data, size_t size)
{
    static uint8_t memory[XT_REGISTRY_BODY_MAX];
    static struct xt_registry_event decoded;
    if (xt_registry_event_from_json(xt_span_of(data, size), arena, &envelope, &event, &reject) !=
        XT_OK) {
        return false;
    }
    struct xt_span body = encode(&event, memory);
    assert_int_equal(xt_registry_event_decode(event.type, body, &decoded), XT_OK);
    return true;
}

static void the_corpus_is_taken_and_refused_as_named(void **state)
{
    (void)state;
    replay_corpus("registry_event", 0, takes);
}

static void damaged_lines_do_no_harm(void **state)
{
    (void)state;
    uint64_t random = 11;
    uint8_t line[8192];
    for (unsigned round = 0; round < 20000; round++) {
        const char *from =
            round % 4 == 0 ? registration() : GOOD[next_random(&random) % COUNT_OF(GOOD)];
        size_t size = strlen(from);
        memcpy(line, from, size);
        (void)takes(line, mutate(line, size, sizeof(line), &random));
    }
}

/* ---- rules ------------------------------------------------------------------------------------ */

/* One person, stored as the register does: in two records between any two events. */
static struct {
    uint8_t hot[XT_HOT_MAX], cold[XT_COLD_MAX];
    size_t hot_size, cold_size;
    struct xt_person person;
    bool known;
} world;

static void restart(void)
{
    world.known = false;
}

static enum xt_conflict try_event(const char *line, enum xt_subject subject, bool in_use)
{
    static uint8_t body[XT_REGISTRY_BODY_MAX];
    static struct xt_registry_event decoded;
    if (parse(line) != XT_OK) {
        fail_msg("%s at %s: %s", reject.code, reject.pointer, line);
    }
    assert_int_equal(xt_registry_event_decode(event.type, encode(&event, body), &decoded), XT_OK);
    struct xt_person person = world.person;
    enum xt_conflict conflict = xt_registry_event_apply(&decoded, subject, in_use, &person);
    if (conflict != XT_CONFLICT_NONE) {
        return conflict;
    }
    static uint8_t cold[XT_COLD_MAX]; /* person borrows from the one there is */
    struct xt_writer writer = xt_writer_over(world.hot, sizeof(world.hot));
    xt_hot_encode(&person, &writer);
    world.hot_size = writer.size;
    writer = xt_writer_over(cold, sizeof(cold));
    xt_cold_encode(&person, &writer);
    assert_false(writer.overflow);
    world.cold_size = writer.size;
    memcpy(world.cold, cold, writer.size);
    assert_int_equal(xt_person_from_records(xt_span_of(world.hot, world.hot_size),
                                            xt_span_of(world.cold, world.cold_size), &world.person),
                     XT_OK);
    world.known = true;
    return conflict;
}

static void expect(const char *line, enum xt_conflict expected)
{
    enum xt_conflict conflict =
        try_event(line, world.known ? XT_SUBJECT_PERSON : XT_SUBJECT_UNKNOWN, false);
    if (conflict != expected) {
        fail_msg("%s, expected %s: %s", xt_conflict_name(conflict), xt_conflict_name(expected),
                 line);
    }
}

#define LOST BARE("card_lost")
#define FOUND BARE("card_found")
#define REVOKED BARE("card_revoked")
#define ISSUED(on) EVENT("card_issued", "\"issued_on\":\"" on "\"")
#define DECEASED BARE("deceased")
#define STATUS(life) EVENT("corrected", "\"status\":\"" life "\"")

static void a_registration_makes_the_person_that_it_tells(void **state)
{
    (void)state;
    restart();
    expect(LOST, XT_CONFLICT_UNKNOWN_PERSON);
    assert_int_equal(try_event(registration(), XT_SUBJECT_REPLACED, false),
                     XT_CONFLICT_NUMBER_REPLACED);
    assert_int_equal(try_event(registration(), XT_SUBJECT_UNKNOWN, true),
                     XT_CONFLICT_NUMBER_IN_USE);
    expect(registration(), XT_CONFLICT_NONE);
    expect(registration(), XT_CONFLICT_ALREADY_REGISTERED);
    assert_true(world.person.number == 1099012345);
    assert_int_equal(world.person.link_count, 1);
    assert_int_equal(world.person.card_state, XT_CARD_ACTIVE);
    assert_true(xt_span_is(world.person.full_name, "NGUYỄN VĂN AN"));
}

static void a_card_goes_through_its_states(void **state)
{
    (void)state;
    restart();
    expect(EVENT("registered", "\"full_name\":\"An\",\"date_of_birth\":\"1999-01-25\","
                               "\"account\":{\"level\":2}"),
           XT_CONFLICT_NONE);
    expect(LOST, XT_CONFLICT_NO_CARD);
    expect(FOUND, XT_CONFLICT_NO_CARD);
    expect(REVOKED, XT_CONFLICT_NO_CARD);
    expect(ISSUED("1998-12-31"), XT_CONFLICT_CARD_BEFORE_BIRTH);
    expect(EVENT("card_issued", "\"issued_on\":\"2021-04-25\",\"expires_on\":\"2021-04-24\""),
           XT_CONFLICT_CARD_BEFORE_BIRTH);
    expect(ISSUED("2021-04-25"), XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_expires_on, 2024 << 9 | 1 << 5 | 25); /* by the rule */
    expect(ISSUED("2021-04-25"), XT_CONFLICT_CARD_NOT_NEWER);
    expect(ISSUED("2020-04-25"), XT_CONFLICT_CARD_NOT_NEWER);
    expect(FOUND, XT_CONFLICT_CARD_NOT_LOST);
    expect(LOST, XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_state, XT_CARD_LOST);
    expect(LOST, XT_CONFLICT_CARD_ALREADY_LOST);
    expect(FOUND, XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_state, XT_CARD_ACTIVE);
    expect(EVENT("card_lost", "\"issued_on\":\"2021-04-25\""), XT_CONFLICT_NONE);
    expect(ISSUED("2021-04-25"), XT_CONFLICT_NONE); /* the same day, in place of the lost one */
    expect(EVENT("card_issued", "\"issued_on\":\"2024-02-01\",\"expires_on\":\"2030-01-01\","
                                "\"public_key\":\"" KEY "\""),
           XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_expires_on, 2030 << 9 | 1 << 5 | 1);
    assert_int_equal(world.person.card_public_key_der.size, sizeof(KEY) * 3 / 4 - 0);
    expect(EVENT("card_lost", "\"issued_on\":\"2021-04-25\""), XT_CONFLICT_CARD_REPLACED);
    expect(EVENT("card_revoked", "\"issued_on\":\"2021-04-25\""), XT_CONFLICT_CARD_REPLACED);
    expect(REVOKED, XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_state, XT_CARD_REVOKED);
    assert_int_equal(world.person.locks, XT_LOCK_CARD_REVOKED);
    expect(REVOKED, XT_CONFLICT_CARD_REVOKED);
    expect(LOST, XT_CONFLICT_CARD_REVOKED);
    expect(FOUND, XT_CONFLICT_CARD_REVOKED);
    expect(ISSUED("2025-02-01"), XT_CONFLICT_NONE);
    assert_int_equal(world.person.locks, 0);
    assert_int_equal(world.person.card_public_key_der.size, 0);
}

static void death_closes_the_account_and_the_card(void **state)
{
    (void)state;
    restart();
    expect(registration(), XT_CONFLICT_NONE);
    expect(LOST, XT_CONFLICT_NONE);
    expect(DECEASED, XT_CONFLICT_NONE);
    assert_int_equal(world.person.life, XT_LIFE_DECEASED);
    assert_int_equal(world.person.card_state, XT_CARD_REVOKED);
    assert_int_equal(world.person.locks, XT_LOCK_DEATH | XT_LOCK_CARD_REVOKED);
    expect(DECEASED, XT_CONFLICT_PERSON_DECEASED);
    expect(ISSUED("2025-02-01"), XT_CONFLICT_PERSON_DECEASED);
    expect(FOUND, XT_CONFLICT_PERSON_DECEASED);
    expect(EVENT("number_replaced", "\"new_id\":\"001099012346\""), XT_CONFLICT_PERSON_DECEASED);
    expect(EVENT("address_changed", "\"province\":\"096\""), XT_CONFLICT_PERSON_DECEASED);
    expect(EVENT("phone_linked", "\"phone\":\"0987654321\""), XT_CONFLICT_PERSON_DECEASED);
    expect(EVENT("phone_unlinked", "\"phone\":\"0912345678\""), XT_CONFLICT_NONE);
    expect(EVENT("document_unlinked", "\"type\":\"vehicle\",\"number\":\"29A12345\""),
           XT_CONFLICT_NONE);
    expect(EVENT("corrected", "\"full_name\":\"Lê An\""), XT_CONFLICT_NONE);
    assert_int_equal(world.person.life, XT_LIFE_DECEASED);
    expect(STATUS("alive"), XT_CONFLICT_NONE); /* entered by mistake */
    assert_int_equal(world.person.locks, XT_LOCK_CARD_REVOKED);
    assert_int_equal(world.person.card_state, XT_CARD_REVOKED);
    expect(ISSUED("2025-02-01"), XT_CONFLICT_NONE);
}

static void a_cancelled_number_can_only_be_put_in_force_again(void **state)
{
    (void)state;
    restart();
    expect(registration(), XT_CONFLICT_NONE);
    expect(STATUS("cancelled"), XT_CONFLICT_NONE);
    assert_int_equal(world.person.card_state, XT_CARD_REVOKED);
    expect(LOST, XT_CONFLICT_NUMBER_CANCELLED);
    expect(DECEASED, XT_CONFLICT_NUMBER_CANCELLED);
    expect(EVENT("corrected", "\"full_name\":\"Lê An\""), XT_CONFLICT_NUMBER_CANCELLED);
    assert_int_equal(try_event(STATUS("alive"), XT_SUBJECT_PERSON, true),
                     XT_CONFLICT_NUMBER_IN_USE); /* one that he had before names somebody else */
    expect(STATUS("missing"), XT_CONFLICT_NONE);
    assert_int_equal(world.person.life, XT_LIFE_MISSING);
    assert_int_equal(try_event(STATUS("alive"), XT_SUBJECT_PERSON, true), XT_CONFLICT_NONE);
    expect(DECEASED, XT_CONFLICT_NONE);
}

static void a_replaced_number_becomes_an_alias(void **state)
{
    (void)state;
    static const char line[] = EVENT("number_replaced", "\"new_id\":\"001099012346\"");
    restart();
    expect(registration(), XT_CONFLICT_NONE);
    assert_int_equal(try_event(line, XT_SUBJECT_PERSON, true), XT_CONFLICT_NUMBER_IN_USE);
    expect(line, XT_CONFLICT_NONE);
    assert_true(world.person.number == 1099012346);
    assert_int_equal(world.person.replaced_count, 2);
    assert_true(world.person.replaced[1] == 1099012345);
    assert_int_equal(world.person.card_state, XT_CARD_REVOKED); /* the old number stands on it */
    assert_int_equal(try_event(LOST, XT_SUBJECT_REPLACED, false), XT_CONFLICT_NUMBER_REPLACED);
    for (unsigned i = 2; i < XT_PERSON_REPLACED_MAX; i++) {
        expect(line, XT_CONFLICT_NONE);
    }
    expect(line, XT_CONFLICT_TOO_MANY);
}

static void corrections_set_and_clear_members(void **state)
{
    (void)state;
    const struct xt_person *person = &world.person;
    restart();
    expect(registration(), XT_CONFLICT_NONE);
    expect(GOOD[0], XT_CONFLICT_NONE);
    assert_true(xt_span_is(person->ethnicity, "Tày"));
    assert_true(xt_span_is(person->mother_name, "B"));
    assert_int_equal(person->date_of_birth, 1998 << 9);
    assert_int_equal(person->sex, XT_SEX_FEMALE);
    assert_int_equal(person->cmnd, 987654321);
    assert_int_equal(person->life, XT_LIFE_MISSING);
    assert_int_equal(person->phone_count, 1); /* what it does not name stays */
    expect(GOOD[1], XT_CONFLICT_NONE);
    assert_false(person->has_cmnd);
    assert_int_equal(person->sex, XT_SEX_UNKNOWN);
    assert_int_equal(person->home_town.size, 0);
    assert_int_equal(person->full_name.size, 0); /* as displayed */
    struct xt_name name;
    assert_int_equal(xt_name_parse(xt_span_of_string("Lê An"), &name), XT_OK);
    assert_memory_equal(person->name.codes, name.codes, name.length);
    assert_true(xt_span_is(person->ethnicity, "Tày"));
}

static void addresses_phones_and_documents_come_and_go(void **state)
{
    (void)state;
    const struct xt_person *person = &world.person;
    char line[512];
    restart();
    expect(registration(), XT_CONFLICT_NONE);
    expect(EVENT("address_changed", "\"province\":\"096\""), XT_CONFLICT_NONE);
    assert_int_equal(person->address_province, xt_province_index(96));
    assert_int_equal(person->address_ward.size + person->address_text.size, 0);

    expect(EVENT("phone_linked", "\"phone\":\"0912345678\""), XT_CONFLICT_PHONE_ALREADY_LINKED);
    expect(EVENT("phone_unlinked", "\"phone\":\"0987654321\""), XT_CONFLICT_PHONE_NOT_LINKED);
    for (unsigned i = 1; i < XT_PERSON_PHONES_MAX; i++) {
        snprintf(line, sizeof(line), EVENT("phone_linked", "\"phone\":\"09876543%02u\""), i);
        expect(line, XT_CONFLICT_NONE);
    }
    expect(EVENT("phone_linked", "\"phone\":\"0987654399\""), XT_CONFLICT_TOO_MANY);
    expect(EVENT("phone_unlinked", "\"phone\":\"0987654301\""), XT_CONFLICT_NONE);
    assert_int_equal(person->phones[1], 987654302);

    expect(EVENT("document_linked", "\"type\":\"vehicle\",\"number\":\"29A12345\","
                                    "\"valid_from\":\"2024\""),
           XT_CONFLICT_DOCUMENT_ALREADY_LINKED);
    expect(EVENT("document_linked", "\"type\":\"vehicle\",\"number\":\"29A12345\","
                                    "\"valid_until\":\"2030\""),
           XT_CONFLICT_NONE); /* renewed */
    assert_int_equal(person->link_count, 1);
    assert_int_equal(person->links[0].valid_from, XT_DATE_NONE);
    assert_int_equal(person->links[0].valid_until, 2030 << 9);
    for (unsigned i = 1; i < XT_PERSON_LINKS_MAX; i++) {
        snprintf(line, sizeof(line), EVENT("document_linked", "\"type\":\"tax\",\"number\":\"%u\""),
                 i);
        expect(line, XT_CONFLICT_NONE);
    }
    expect(EVENT("document_linked", "\"type\":\"tax\",\"number\":\"X\""), XT_CONFLICT_TOO_MANY);
    expect(EVENT("document_unlinked", "\"type\":\"passport\",\"number\":\"1\""),
           XT_CONFLICT_DOCUMENT_NOT_LINKED);
    expect(EVENT("document_unlinked", "\"type\":\"tax\",\"number\":\"1\""), XT_CONFLICT_NONE);
    assert_int_equal(person->link_count, XT_PERSON_LINKS_MAX - 1);
    assert_memory_equal(person->links[1].number.text, "2", 1);
}

static void every_conflict_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < XT_CONFLICT_COUNT; i++) {
        for (unsigned other = 0; other < i; other++) {
            assert_string_not_equal(xt_conflict_name((enum xt_conflict)i),
                                    xt_conflict_name((enum xt_conflict)other));
        }
    }
    assert_string_equal(xt_conflict_name(XT_CONFLICT_COUNT), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_every_type_are_read_and_come_back_from_their_bytes),
        cmocka_unit_test(faults_are_told_with_their_place),
        cmocka_unit_test(times_are_read_to_the_millisecond_and_from_any_zone),
        cmocka_unit_test(damaged_bytes_are_refused_or_are_another_sound_event),
        cmocka_unit_test(the_corpus_is_taken_and_refused_as_named),
        cmocka_unit_test(damaged_lines_do_no_harm),
        cmocka_unit_test(a_registration_makes_the_person_that_it_tells),
        cmocka_unit_test(a_card_goes_through_its_states),
        cmocka_unit_test(death_closes_the_account_and_the_card),
        cmocka_unit_test(a_cancelled_number_can_only_be_put_in_force_again),
        cmocka_unit_test(a_replaced_number_becomes_an_alias),
        cmocka_unit_test(corrections_set_and_clear_members),
        cmocka_unit_test(addresses_phones_and_documents_come_and_go),
        cmocka_unit_test(every_conflict_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
