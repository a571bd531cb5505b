#include "tests/test.h"

#include "core/province.h"
#include "core/record.h"
#include "tests/core/mutate.h"

static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
static const struct xt_json_arena arena = {arena_memory, sizeof arena_memory};

#define KEY "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"
#define REQUIRED(name) "{\"id\":\"001099012345\",\"full_name\":\"" name "\",\"date_of_birth\":"

/* People of every shape; damaged ones are made from their records. */
static const char *const PEOPLE[] = {
    REQUIRED("Nguyễn Văn An") "\"1999-01-25\"}",
    REQUIRED("Y") "\"1950\",\"status\":\"deceased\"}",
    REQUIRED("NGUYỄN VĂN AN") "\"1999-01\",\"sex\":\"female\",\"old_id\":\"000000000\","
                              "\"phones\":[\"0912345678\"],\"address\":{\"province\":\"096\"}}",
    REQUIRED("Nguyễn Văn An") "\"1999-01-25\",\"sex\":\"male\",\"status\":\"missing\",\"card\":{"
                              "\"issued_on\":\"2021-04-25\","
                              "\"expires_on\":\"2024-01-25\",\"state\":\"active\"},\"phones\":["
                              "\"0912345678\",\"0912345679\"],"
                              "\"account\":{\"level\":1},\"links\":[{\"type\":\"tax\",\"number\":"
                              "\"1\"}]}",
    REQUIRED("Nguyễn Văn An") "\"1999-01-25\",\"card\":{\"issued_on\":\"2021-04-25\",\"expires_"
                              "on\":\"2030-05-05\","
                              "\"state\":\"lost\"},\"phones\":[\"0912345678\",\"0912345679\","
                              "\"0912345670\"]}",
    REQUIRED("Nguyễn Văn An") "\"1999-01-25\",\"card\":{\"expires_on\":\"2030-05-05\"}}",
    REQUIRED("Nguyễn  Văn An") "\"1999-01-25\",\"sex\":\"male\",\"old_id\":\"012345678\","
                               "\"replaced_numbers\":[\"001099999999\","
                               "\"001099999998\"],\"nationality\":\"VNM\",\"ethnicity\":\"Kinh\","
                               "\"home_town\":\"Sóc Sơn\","
                               "\"place_of_birth\":\"Hà Nội\",\"father_name\":\"Nguyễn Văn "
                               "Bình\",\"mother_name\":\"Hoa\","
                               "\"address\":{\"province\":\"001\",\"ward\":\"00004\",\"text\":\"Số "
                               "10 Tràng Thi, một địa chỉ dài "
                               "hơn một trăm hai mươi bảy byte để độ dài của nó cần đến hai byte "
                               "trong bản ghi, thế là vừa đủ "
                               "rồi\"},\"status\":\"cancelled\",\"card\":{\"issued_on\":\"2021-04-"
                               "25\",\"state\":\"revoked\","
                               "\"public_key\":\"" KEY
                               "\"},\"phones\":[\"0912345678\",\"0987654321\",\"0912345670\","
                               "\"0912345671\"],\"account\":{\"level\":2,\"locks\":[\"death\","
                               "\"stay_expired\"],\"devices\":[{"
                               "\"device_id\":\"d-1\",\"public_key\":\"" KEY
                               "\"},{\"device_id\":\"d-2\",\"public_key\":\"AA\"}],"
                               "\"passcode_hash\":\"$argon2id$v=19$m=1$a$b\"},\"links\":[{\"type\":"
                               "\"health_insurance\","
                               "\"number\":\"GD401\",\"valid_from\":\"2024\",\"valid_until\":"
                               "\"2024-12\"},{\"type\":\"vehicle\","
                               "\"number\":\"29A12345\"},{\"type\":\"vehicle\",\"number\":"
                               "\"29A12346\"}]}",
};
#define PEOPLE_COUNT (sizeof PEOPLE / sizeof PEOPLE[0])

static void read_person(const char *line, struct xt_person *person)
{
    struct xt_reject reject = {0};
    if (xt_person_from_json(xt_span_of_string(line), arena, person, &reject) != XT_OK) {
        fail_msg("%s: %s at %s", line, reject.code, reject.pointer);
    }
}

static struct xt_span encode_hot(const struct xt_person *person, uint8_t record[XT_HOT_MAX])
{
    struct xt_writer writer = xt_writer_over(record, XT_HOT_MAX);
    xt_hot_encode(person, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

static struct xt_span encode_cold(const struct xt_person *person, uint8_t record[XT_COLD_MAX])
{
    struct xt_writer writer = xt_writer_over(record, XT_COLD_MAX);
    xt_cold_encode(person, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

/* What a hot record holds, put back into a person, so that it can be encoded again. */
static void merge_hot(const struct xt_hot *hot, struct xt_person *person)
{
    person->number = hot->number;
    person->name = hot->name;
    person->date_of_birth = hot->date_of_birth;
    person->sex = hot->sex;
    person->life = hot->life;
    person->has_cmnd = hot->has_cmnd;
    person->cmnd = hot->cmnd;
    person->address_province = hot->province;
    person->card_state = hot->card_state;
    person->card_issued_on = hot->card_issued_on;
    person->card_expires_on = hot->card_expires_on;
    person->card_has_expiry = hot->card_has_expiry;
    person->phone_count = hot->phone_count;
    memcpy(person->phones, hot->phones, hot->phone_count * sizeof hot->phones[0]);
    person->account_level = hot->account_level;
    person->locks = hot->locks;
}

static void assert_same_span(struct xt_span a, struct xt_span b)
{
    assert_true(xt_span_equal(a, b));
}

static void a_hot_record_gives_back_what_a_verify_needs(void **state)
{
    (void)state;
    for (size_t i = 0; i < PEOPLE_COUNT; i++) {
        struct xt_person person;
        struct xt_hot hot;
        uint8_t record[XT_HOT_MAX];
        read_person(PEOPLE[i], &person);
        memset(&hot, 0xa5, sizeof hot);
        assert_int_equal(xt_hot_decode(encode_hot(&person, record), &hot), XT_OK);
        assert_true(hot.number == person.number);
        assert_int_equal(hot.name.length, person.name.length);
        assert_memory_equal(hot.name.codes, person.name.codes, person.name.length);
        assert_int_equal(hot.date_of_birth, person.date_of_birth);
        assert_int_equal(hot.sex, person.sex);
        assert_int_equal(hot.life, person.life);
        assert_int_equal(hot.has_cmnd, person.has_cmnd);
        assert_int_equal(hot.cmnd, person.cmnd);
        assert_int_equal(hot.province, person.address_province);
        assert_int_equal(hot.card_state, person.card_state);
        assert_int_equal(hot.card_issued_on, person.card_issued_on);
        assert_int_equal(hot.card_has_expiry, person.card_has_expiry);
        assert_int_equal(hot.card_expires_on, person.card_expires_on);
        assert_int_equal(hot.phone_count, person.phone_count);
        assert_memory_equal(hot.phones, person.phones,
                            person.phone_count * sizeof person.phones[0]);
        assert_int_equal(hot.account_level, person.account_level);
        assert_int_equal(hot.locks, person.locks);
        unsigned types = 0;
        for (unsigned j = 0; j < person.link_count; j++) {
            types |= 1U << person.links[j].type;
        }
        assert_int_equal(hot.link_types, types);
    }
}

static void assert_same_links(const struct xt_link *a, const struct xt_link *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(a[i].type, b[i].type);
        assert_int_equal(a[i].valid_from, b[i].valid_from);
        assert_int_equal(a[i].valid_until, b[i].valid_until);
        assert_int_equal(a[i].number.length, b[i].number.length);
        assert_memory_equal(a[i].number.text, b[i].number.text, a[i].number.length);
    }
}

static void a_cold_record_gives_back_the_rest(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    for (size_t i = 0; i < PEOPLE_COUNT; i++) {
        struct xt_person person;
        struct xt_person cold;
        struct xt_links links;
        uint64_t number = 0;
        read_person(PEOPLE[i], &person);
        struct xt_span span = encode_cold(&person, record);
        memset(&cold, 0xa5, sizeof cold);
        assert_int_equal(xt_cold_decode(span, &cold), XT_OK);
        assert_true(cold.number == person.number);
        assert_int_equal(cold.replaced_count, person.replaced_count);
        assert_memory_equal(cold.replaced, person.replaced,
                            person.replaced_count * sizeof person.replaced[0]);
        assert_same_span(cold.nationality, person.nationality);
        assert_same_span(cold.ethnicity, person.ethnicity);
        assert_same_span(cold.home_town, person.home_town);
        assert_same_span(cold.place_of_birth, person.place_of_birth);
        assert_same_span(cold.father_name, person.father_name);
        assert_same_span(cold.mother_name, person.mother_name);
        assert_same_span(cold.address_ward, person.address_ward);
        assert_same_span(cold.address_text, person.address_text);
        assert_same_span(cold.passcode_hash, person.passcode_hash);
        assert_int_equal(cold.card_public_key.size, 0);
        assert_int_equal(cold.device_count, person.device_count);
        for (unsigned j = 0; j < cold.device_count; j++) {
            assert_same_span(cold.devices[j].device_id, person.devices[j].device_id);
        }
        assert_int_equal(cold.link_count, person.link_count);
        assert_same_links(cold.links, person.links, person.link_count);
        assert_int_equal(xt_cold_links(span, &number, &links), XT_OK);
        assert_true(number == person.number);
        assert_int_equal(links.count, person.link_count);
        assert_same_links(links.links, person.links, person.link_count);
        assert_int_equal(cold.phone_count, 0); /* those are in the hot part */
    }
}

static void a_name_is_kept_as_given_only_where_it_differs(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    struct xt_person person;
    struct xt_person cold;
    read_person(REQUIRED("Nguyễn Văn An") "\"1999\"}", &person);
    struct xt_span span = encode_cold(&person, record);
    assert_int_equal(span.size, 6); /* version and number */
    assert_int_equal(xt_cold_decode(span, &cold), XT_OK);
    assert_int_equal(cold.full_name.size, 0);
    read_person(REQUIRED("NGUYỄN VĂN AN") "\"1999\"}", &person);
    assert_int_equal(xt_cold_decode(encode_cold(&person, record), &cold), XT_OK);
    assert_same_span(cold.full_name, person.full_name);
}

static void keys_are_stored_as_bytes(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    struct xt_person person;
    struct xt_person cold;
    read_person(PEOPLE[PEOPLE_COUNT - 1], &person);
    assert_int_equal(xt_cold_decode(encode_cold(&person, record), &cold), XT_OK);
    static const uint8_t DER[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                  0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                  0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
    assert_same_span(cold.card_public_key_der, xt_span_of(DER, sizeof DER));
    assert_same_span(cold.devices[0].public_key_der, xt_span_of(DER, sizeof DER));
    assert_int_equal(cold.devices[0].public_key.size, 0);
    assert_same_span(cold.devices[1].public_key_der, xt_span_of("\0", 1));
}

static void both_parts_together_encode_to_the_same_records_again(void **state)
{
    (void)state;
    static uint8_t cold_record[XT_COLD_MAX];
    static uint8_t cold_again[XT_COLD_MAX];
    uint8_t hot_record[XT_HOT_MAX];
    uint8_t hot_again[XT_HOT_MAX];
    for (size_t i = 0; i < PEOPLE_COUNT; i++) {
        struct xt_person person;
        struct xt_person merged;
        struct xt_hot hot;
        read_person(PEOPLE[i], &person);
        struct xt_span hot_span = encode_hot(&person, hot_record);
        struct xt_span cold_span = encode_cold(&person, cold_record);
        assert_int_equal(xt_hot_decode(hot_span, &hot), XT_OK);
        assert_int_equal(xt_cold_decode(cold_span, &merged), XT_OK);
        merge_hot(&hot, &merged);
        assert_same_span(encode_hot(&merged, hot_again), hot_span);
        assert_same_span(encode_cold(&merged, cold_again), cold_span);
    }
}

static void a_typical_person_takes_forty_bytes(void **state)
{
    (void)state;
    uint8_t record[XT_HOT_MAX];
    struct xt_person person;
    read_person(REQUIRED("Nguyễn Văn An") "\"1999-01-25\",\"sex\":\"male\",\"old_id\":"
                                          "\"012345678\",\"address\":{\"province\":"
                                          "\"001\"},\"card\":{\"issued_on\":\"2021-04-25\","
                                          "\"expires_on\":\"2039-01-25\"},"
                                          "\"phones\":[\"0912345678\"],\"account\":{\"level\":2}}",
                &person);
    /* 13 fixed + 13 of the name + 3 issued + 3 expires + 4 CMND + 4 phone; by rule nothing for expires
     */
    xt_date by_rule = xt_card_expiry(person.date_of_birth, person.card_issued_on);
    assert_int_not_equal(by_rule, person.card_expires_on);
    assert_int_equal(encode_hot(&person, record).size, 40);
    person.card_expires_on = by_rule;
    assert_int_equal(encode_hot(&person, record).size, 37);
}

static void the_largest_person_fits(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    static uint8_t text[XT_PERSON_KEY_MAX];
    uint8_t hot_record[XT_HOT_MAX];
    struct xt_person p;
    struct xt_person cold;
    struct xt_hot hot;
    memset(text, 'A', sizeof text);
    read_person(PEOPLE[0], &p);
    struct xt_span most = xt_span_of(text, XT_PERSON_TEXT_MAX);
    p.full_name = p.nationality = p.ethnicity = p.home_town = p.place_of_birth = most;
    p.father_name = p.mother_name = p.address_ward = p.address_text = p.passcode_hash = most;
    p.nationality.size = 3;
    p.card_public_key = xt_span_of(text, XT_PERSON_KEY_MAX);
    p.replaced_count = XT_PERSON_REPLACED_MAX;
    p.phone_count = XT_PERSON_PHONES_MAX;
    p.device_count = XT_PERSON_DEVICES_MAX;
    p.link_count = XT_PERSON_LINKS_MAX;
    p.name.length = XT_NAME_MAX;
    memset(p.name.codes, p.name.codes[0], XT_NAME_MAX);
    memset(p.replaced, 0, sizeof p.replaced);
    memset(p.phones, 0, sizeof p.phones);
    p.has_cmnd = true;
    p.locks = 0x3f;
    p.card_state = XT_CARD_ACTIVE;
    p.card_has_expiry = true;
    p.card_issued_on = p.card_expires_on = 2020 << 9;
    for (unsigned i = 0; i < XT_PERSON_DEVICES_MAX; i++) {
        p.devices[i] = (struct xt_device){.device_id = most, .public_key = p.card_public_key};
    }
    for (unsigned i = 0; i < XT_PERSON_LINKS_MAX; i++) {
        p.links[i] = (struct xt_link){.type = XT_LINK_TAX, .number = {.length = XT_DOCUMENT_MAX}};
        memset(p.links[i].number.text, 'A', XT_DOCUMENT_MAX);
    }
    assert_int_equal(xt_cold_decode(encode_cold(&p, record), &cold), XT_OK);
    assert_int_equal(cold.device_count, XT_PERSON_DEVICES_MAX);
    assert_int_equal(cold.devices[15].public_key_der.size, 768);
    assert_int_equal(cold.link_count, XT_PERSON_LINKS_MAX);
    assert_int_equal(xt_hot_decode(encode_hot(&p, hot_record), &hot), XT_OK);
    assert_int_equal(hot.phone_count, XT_PERSON_PHONES_MAX);
    assert_int_equal(hot.name.length, XT_NAME_MAX);
}

static void what_unlocks_a_device_comes_back(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    static uint8_t key[91];
    struct xt_person p;
    struct xt_person read;
    read_person(PEOPLE[0], &p);
    p.device_count = XT_UNLOCK_COUNT;
    for (unsigned i = 0; i < XT_UNLOCK_COUNT; i++) {
        static const char *const ids[XT_UNLOCK_COUNT] = {"one", "two", "three", "four", "five"};
        p.devices[i] = (struct xt_device){.device_id = xt_span_of_string(ids[i]),
                                          .public_key_der = xt_span_of(key, sizeof(key)),
                                          .unlocked_by = (enum xt_unlock)i};
    }
    assert_int_equal(xt_cold_decode(encode_cold(&p, record), &read), XT_OK);
    assert_int_equal(read.device_count, XT_UNLOCK_COUNT);
    for (unsigned i = 0; i < XT_UNLOCK_COUNT; i++) {
        assert_int_equal(read.devices[i].unlocked_by, i);
        assert_int_equal(xt_person_device(&read, p.devices[i].device_id).unlocked_by, i);
        assert_same_span(read.devices[i].device_id, p.devices[i].device_id);
    }
    assert_int_equal(xt_person_device(&read, xt_span_of_string("six")).public_key_der.size, 0);
}

/* tag 13 | size | id size 2 | id | key at the end: as it was before anything could be said about it. */
static void a_device_without_it_is_written_as_ever(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    struct xt_person p;
    struct xt_person read;
    static const uint8_t before[] = {13, 8, 3, 0, 'o', 'n', 'e', 'k', 'e', 'y'};
    read_person(PEOPLE[0], &p);
    p.device_count = 1;
    p.devices[0] = (struct xt_device){.device_id = xt_span_of_string("one"),
                                      .public_key_der = xt_span_of_string("key")};
    struct xt_span span = encode_cold(&p, record);
    assert_memory_equal(span.data + span.size - sizeof(before), before, sizeof(before));
    assert_int_equal(xt_cold_decode(span, &read), XT_OK);
    assert_int_equal(read.devices[0].unlocked_by, XT_UNLOCK_NONE);
    for (unsigned code = 0; code < 8; code++) {
        record[span.size - sizeof(before) + 3] = (uint8_t)(code << 5);
        assert_int_equal(xt_cold_decode(span, &read), code < XT_UNLOCK_COUNT ? XT_OK : XT_CORRUPT);
    }
}

static void an_encoder_says_when_there_is_no_room(void **state)
{
    (void)state;
    struct xt_person person;
    uint8_t record[XT_HOT_MAX];
    read_person(PEOPLE[PEOPLE_COUNT - 1], &person);
    size_t size = encode_hot(&person, record).size;
    struct xt_writer writer = xt_writer_over(record, size - 1);
    xt_hot_encode(&person, &writer);
    assert_true(writer.overflow);
    for (size_t room = 0; room < 200; room++) {
        writer = xt_writer_over(record, room);
        xt_cold_encode(&person, &writer);
        assert_true(writer.overflow);
    }
}

static void unknown_versions_are_unsupported(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    struct xt_person person;
    struct xt_hot hot;
    struct xt_links links;
    struct xt_alias alias;
    uint64_t number = 0;
    read_person(PEOPLE[0], &person);
    struct xt_span span = encode_hot(&person, record);
    record[0] = 2;
    assert_int_equal(xt_hot_decode(span, &hot), XT_UNSUPPORTED);
    span = encode_cold(&person, record);
    record[0] = 0;
    assert_int_equal(xt_cold_decode(span, &person), XT_UNSUPPORTED);
    assert_int_equal(xt_cold_links(span, &number, &links), XT_UNSUPPORTED);
    assert_int_equal(xt_alias_decode(span, &alias), XT_UNSUPPORTED);
    assert_int_equal(xt_hot_decode(xt_span_of(NULL, 0), &hot), XT_CORRUPT);
    assert_int_equal(xt_cold_decode(xt_span_of(NULL, 0), &person), XT_CORRUPT);
    assert_int_equal(xt_alias_decode(xt_span_of(NULL, 0), &alias), XT_CORRUPT);
}

/* Records cut to every length: from memory of just that size, so that a sanitizer sees more. */
static void every_cut_record_is_corrupt(void **state)
{
    (void)state;
    static uint8_t record[XT_COLD_MAX];
    for (size_t i = 0; i < PEOPLE_COUNT; i++) {
        struct xt_person person;
        struct xt_hot hot;
        read_person(PEOPLE[i], &person);
        struct xt_span span = encode_hot(&person, record);
        for (size_t size = 0; size < span.size; size++) {
            uint8_t *cut = malloc(size + 1);
            memcpy(cut, record, size);
            uint8_t *end = cut + 1 + size; /* the bytes stand at the end of the block */
            memmove(end - size, cut, size);
            assert_int_equal(xt_hot_decode(xt_span_of(end - size, size), &hot), XT_CORRUPT);
            free(cut);
        }
        record[span.size] = 0;
        assert_int_equal(xt_hot_decode(xt_span_of(record, span.size + 1), &hot), XT_CORRUPT);
    }
}

/* The damages a decoder must see, one by one: place and what is written there. */
static void nonsense_in_a_hot_record_is_corrupt(void **state)
{
    (void)state;
    /* the last person: 13 fixed | name 13 | issued 3 | CMND 4 | count 1 | phones 16 | locks | links */
    struct xt_person person;
    struct xt_hot hot;
    uint8_t record[XT_HOT_MAX];
    static const struct {
        const char *what;
        unsigned at, byte;
    } DAMAGES[] = {
        {"a number of 13 digits", 5, 0xff},
        {"a birth year before 1800", 8, 0x01},
        {"a birth day without a month", 6, 0x19},
        {"a sex of 3", 9, 0xff},
        {"an account level of 3", 9, 0xfb},
        {"an expiry of 3", 10, 0xff},
        {"a province of 64", 11, XT_PROVINCE_COUNT + 1},
        {"no name", 12, 0},
        {"a name that is too long", 12, XT_NAME_MAX + 1},
        {"an issue date without a year", 28, 0},
        {"a CMND of ten digits", 32, 0xff},
        {"two phones, counted", 33, 2},
        {"33 phones", 33, 33},
        {"a phone of ten digits", 37, 0xff},
        {"no locks", 50, 0},
        {"a lock of ours that does not exist", 50, 0x40},
        {"no links", 51, 0},
        {"a seventh kind of link", 51, 0x40},
    };
    read_person(PEOPLE[PEOPLE_COUNT - 1], &person);
    assert_int_equal(encode_hot(&person, record).size, 52);
    for (size_t i = 0; i < sizeof DAMAGES / sizeof DAMAGES[0]; i++) {
        struct xt_span span = encode_hot(&person, record);
        record[DAMAGES[i].at] = (uint8_t)DAMAGES[i].byte;
        if (xt_hot_decode(span, &hot) != XT_CORRUPT) {
            fail_msg("%s was accepted", DAMAGES[i].what);
        }
    }
}

static void nonsense_in_a_cold_record_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *what, *bytes;
        size_t size;
        enum xt_status status;
    } CASES[] = {
#define FIXED "\x01\x39\x30\x00\x00\x00"
#define CASE(what, bytes, status) {what, FIXED bytes, sizeof(FIXED bytes) - 1, status}
        CASE("nothing more", "", XT_OK),
        CASE("a home town", "\x05\x02Hn", XT_OK),
        CASE("two links", "\x0e\x08\x05\0\0\0\0\0\0A\x0e\x08\x05\0\0\0\0\0\0B", XT_OK),
        CASE("tag 0", "\x00\x01x", XT_CORRUPT),
        CASE("a tag after the last", "\x0f\x01x", XT_CORRUPT),
        CASE("tags out of order", "\x05\x01x\x04\x01x", XT_CORRUPT),
        CASE("one home town twice", "\x05\x01x\x05\x01x", XT_CORRUPT),
        CASE("an empty field", "\x05\x00", XT_CORRUPT),
        CASE("a field without its length", "\x05", XT_CORRUPT),
        CASE("a field without its bytes", "\x05\x02x", XT_CORRUPT),
        CASE("a length that ends early", "\x05\x82", XT_CORRUPT),
        CASE("a length longer than it need be", "\x05\x81\x00x", XT_CORRUPT),
        CASE("a length of three bytes", "\x05\x81\x80x", XT_CORRUPT),
        CASE("a nationality of two letters", "\x03\x02VN", XT_CORRUPT),
        CASE("a replaced number of four bytes", "\x02\x04xxxx", XT_CORRUPT),
        CASE("a replaced number of 13 digits", "\x02\x05\xff\xff\xff\xff\xff", XT_CORRUPT),
        CASE("a device without a key", "\x0d\x03\x01\x00x", XT_CORRUPT),
        CASE("a device without an id", "\x0d\x03\x00\x00x", XT_CORRUPT),
        CASE("a device id past its end", "\x0d\x04\xff\x00xy", XT_CORRUPT),
        CASE("a link without a number", "\x0e\x07\x05\0\0\0\0\0\0", XT_CORRUPT),
        CASE("a link of a seventh kind", "\x0e\x08\x06\0\0\0\0\0\0A", XT_CORRUPT),
        CASE("a link from the year 1", "\x0e\x08\x05\x00\x02\0\0\0\0A", XT_CORRUPT),
        CASE("a link until the year 1", "\x0e\x08\x05\0\0\0\x00\x02\0A", XT_CORRUPT),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_person person;
        struct xt_span span = xt_span_of(CASES[i].bytes, CASES[i].size);
        if (xt_cold_decode(span, &person) != CASES[i].status) {
            fail_msg("%s", CASES[i].what);
        }
    }
    /* Lists past their bounds. */
    static const struct {
        uint8_t tag, size;
        unsigned most;
    } LISTS[] = {{2, 5, XT_PERSON_REPLACED_MAX},
                 {13, 4, XT_PERSON_DEVICES_MAX},
                 {14, 8, XT_PERSON_LINKS_MAX}};
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
        uint8_t record[1024] = {1};
        size_t size = 6;
        for (unsigned j = 0; j <= LISTS[i].most; j++) {
            struct xt_person person;
            struct xt_links links;
            uint64_t number = 0;
            record[size] = LISTS[i].tag;
            record[size + 1] = LISTS[i].size;
            record[size + 2] = 1; /* an id of one byte, a type, a digit */
            size += 2U + LISTS[i].size;
            struct xt_span span = xt_span_of(record, size);
            bool fits = j < LISTS[i].most;
            assert_int_equal(xt_cold_decode(span, &person), fits ? XT_OK : XT_CORRUPT);
            assert_int_equal(xt_cold_links(span, &number, &links),
                             fits || LISTS[i].tag != 14 ? XT_OK : XT_CORRUPT);
        }
    }
}

/* A damaged record is refused, or it is a record: then it encodes to itself. Mostly single bits and
 * bytes here: JSON's favourites mean nothing. */
static void damaged_hot_records_are_refused_or_sound(void **state)
{
    (void)state;
    static struct {
        uint8_t bytes[XT_HOT_MAX];
        size_t size;
    } records[PEOPLE_COUNT];
    uint64_t random = 2;
    unsigned sound = 0;
    for (size_t i = 0; i < PEOPLE_COUNT; i++) {
        struct xt_person person;
        read_person(PEOPLE[i], &person);
        records[i].size = encode_hot(&person, records[i].bytes).size;
    }
    for (unsigned i = 0; i < 1000000; i++) {
        uint8_t record[XT_HOT_MAX];
        uint8_t again[XT_HOT_MAX];
        struct xt_hot hot;
        struct xt_person person;
        size_t which = next_random(&random) % PEOPLE_COUNT;
        memcpy(record, records[which].bytes, records[which].size);
        size_t size = mutate(record, records[which].size, 128, &random);
        struct xt_span span = xt_span_of(record, size);
        enum xt_status status = xt_hot_decode(span, &hot);
        if (status != XT_OK) {
            assert_true(status == XT_CORRUPT || status == XT_UNSUPPORTED);
            continue;
        }
        sound++;
        merge_hot(&hot, &person);
        person.link_count = 0;
        for (unsigned type = 0; type < XT_LINK_TYPE_COUNT; type++) {
            if ((hot.link_types >> type & 1) != 0) {
                person.links[person.link_count++].type = (enum xt_link_type)type;
            }
        }
        struct xt_writer writer = xt_writer_over(again, sizeof again);
        xt_hot_encode(&person, &writer);
        if (!xt_span_equal(xt_written(&writer), span)) {
            fail_msg("round %u: a record with two encodings", i);
        }
    }
    assert_true(sound > 1000);
}

static void damaged_cold_records_are_refused_or_sound(void **state)
{
    (void)state;
    static uint8_t original[XT_COLD_MAX];
    static uint8_t again[XT_COLD_MAX];
    uint8_t record[2048];
    uint64_t random = 3;
    unsigned sound = 0;
    struct xt_person person;
    read_person(PEOPLE[PEOPLE_COUNT - 1], &person);
    struct xt_name name = person.name;
    size_t original_size = encode_cold(&person, original).size;
    for (unsigned i = 0; i < 300000; i++) {
        memcpy(record, original, original_size);
        size_t size = mutate(record, original_size, sizeof record, &random);
        struct xt_span span = xt_span_of(record, size);
        struct xt_links links;
        uint64_t number = 0;
        enum xt_status status = xt_cold_decode(span, &person);
        if (status == XT_OK) {
            sound++;
            assert_int_equal(xt_cold_links(span, &number, &links), XT_OK);
            assert_int_equal(links.count, person.link_count);
            if (person.full_name.size == 0) {
                continue; /* dropped, or as displayed: the name is in the hot part */
            }
            person.name = name;
            struct xt_writer writer = xt_writer_over(again, sizeof again);
            xt_cold_encode(&person, &writer);
            assert_true(writer.size <= size);
        } else {
            assert_true(status == XT_CORRUPT || status == XT_UNSUPPORTED);
        }
    }
    assert_true(sound > 1000);
}

static void an_alias_names_its_people(void **state)
{
    (void)state;
    uint8_t record[XT_ALIAS_MAX];
    for (unsigned count = 1; count <= XT_ALIAS_PEOPLE_MAX; count++) {
        struct xt_alias alias = {.old = {XT_ID_CMND, 12345678}, .count = count};
        struct xt_alias back;
        for (unsigned i = 0; i < count; i++) {
            alias.people[i] = 999999999999 - i;
        }
        struct xt_writer writer = xt_writer_over(record, sizeof record);
        xt_alias_encode(&alias, &writer);
        assert_false(writer.overflow);
        assert_int_equal(xt_alias_decode(xt_written(&writer), &back), XT_OK);
        assert_int_equal(back.old.kind, XT_ID_CMND);
        assert_true(back.old.value == 12345678);
        assert_int_equal(back.count, count);
        assert_memory_equal(back.people, alias.people, count * sizeof alias.people[0]);
        for (size_t cut = 0; cut < writer.size; cut++) {
            enum xt_status status = xt_alias_decode(xt_span_of(record, cut), &back);
            bool whole = cut > 7 && (cut - 7) % 5 == 0; /* fewer people is a record, too */
            assert_int_equal(status, whole ? XT_OK : XT_CORRUPT);
        }
    }
}

static void nonsense_in_an_alias_is_corrupt(void **state)
{
    (void)state;
    uint8_t record[XT_ALIAS_MAX] = {1, XT_ID_CMND, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0};
    struct xt_alias alias;
    assert_int_equal(xt_alias_decode(xt_span_of(record, 12), &alias), XT_OK);
    record[1] = XT_ID_PHONE + 1; /* a kind that is none */
    assert_int_equal(xt_alias_decode(xt_span_of(record, 12), &alias), XT_CORRUPT);
    record[1] = XT_ID_CMND;
    record[6] = 1; /* more than nine digits */
    assert_int_equal(xt_alias_decode(xt_span_of(record, 12), &alias), XT_CORRUPT);
    record[1] = XT_ID_PERSONAL;
    assert_int_equal(xt_alias_decode(xt_span_of(record, 12), &alias), XT_OK);
    record[11] = 0xff; /* a person of 13 digits */
    assert_int_equal(xt_alias_decode(xt_span_of(record, 12), &alias), XT_CORRUPT);
    record[11] = 0;
    assert_int_equal(xt_alias_decode(xt_span_of(record, 7 + 5 * 17), &alias), XT_CORRUPT);
}

static bool take_hot(uint8_t *data, size_t size)
{
    struct xt_hot hot;
    return xt_hot_decode(xt_span_of(data, size), &hot) == XT_OK;
}

static bool take_cold(uint8_t *data, size_t size)
{
    struct xt_person person;
    return xt_cold_decode(xt_span_of(data, size), &person) == XT_OK;
}

static void the_corpus_of_stored_records_is_judged_as_before(void **state)
{
    (void)state;
    replay_corpus("hot_record", 0, take_hot);
    replay_corpus("cold_record", 0, take_cold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hot_record_gives_back_what_a_verify_needs),
        cmocka_unit_test(a_cold_record_gives_back_the_rest),
        cmocka_unit_test(a_name_is_kept_as_given_only_where_it_differs),
        cmocka_unit_test(keys_are_stored_as_bytes),
        cmocka_unit_test(both_parts_together_encode_to_the_same_records_again),
        cmocka_unit_test(a_typical_person_takes_forty_bytes),
        cmocka_unit_test(the_largest_person_fits),
        cmocka_unit_test(what_unlocks_a_device_comes_back),
        cmocka_unit_test(a_device_without_it_is_written_as_ever),
        cmocka_unit_test(an_encoder_says_when_there_is_no_room),
        cmocka_unit_test(unknown_versions_are_unsupported),
        cmocka_unit_test(every_cut_record_is_corrupt),
        cmocka_unit_test(nonsense_in_a_hot_record_is_corrupt),
        cmocka_unit_test(nonsense_in_a_cold_record_is_corrupt),
        cmocka_unit_test(damaged_hot_records_are_refused_or_sound),
        cmocka_unit_test(damaged_cold_records_are_refused_or_sound),
        cmocka_unit_test(an_alias_names_its_people),
        cmocka_unit_test(nonsense_in_an_alias_is_corrupt),
        cmocka_unit_test(the_corpus_of_stored_records_is_judged_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
