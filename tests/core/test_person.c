#include "tests/test.h"

#include "core/person.h"
#include "core/province.h"
#include "tests/core/mutate.h"

#include <stdio.h>
#include <stdlib.h>

static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
static const struct xt_json_arena arena = {arena_memory, sizeof arena_memory};

#define KEY "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"

static const char FULL[] =
    "{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
    "\"sex\":\"male\",\"old_id\":\"012345678\",\"replaced_numbers\":[\"001099999999\"],"
    "\"nationality\":\"VNM\",\"ethnicity\":\"Kinh\",\"home_town\":\"Sóc Sơn, Hà Nội\","
    "\"place_of_birth\":\"Hà Nội\",\"father_name\":\"Nguyễn Văn Bình\",\"mother_name\":\"Trần Thị "
    "Hoa\",\"address\":{\"province\":\"001\",\"ward\":\"00004\",\"text\":\"Số 10 Tràng Thi\"},"
    "\"status\":\"missing\",\"card\":{\"issued_on\":\"2021-04-25\",\"expires_on\":\"2039-01-25\","
    "\"state\":\"lost\",\"public_key\":\"" KEY "\"},"
    "\"phones\":[\"+84912345678\",\"0987654321\",\"84912345678\"],"
    "\"account\":{\"level\":2,\"locks\":[\"holder\",\"stay_expired\"],\"devices\":[{\"device_id\":"
    "\"d-1\",\"public_key\":\"" KEY "\"}],\"passcode_hash\":\"$argon2id$v=19$m=1$a$b\"},"
    "\"links\":[{\"type\":\"health_insurance\",\"number\":\"gd 4-01\",\"valid_from\":\"2024\","
    "\"valid_until\":\"2024-12\"},{\"type\":\"vehicle\",\"number\":\"29A/123.45\"}]}";

static enum xt_status parse(const char *line, struct xt_person *person, struct xt_reject *reject)
{
    return xt_person_from_json(xt_span_of_string(line), arena, person, reject);
}

static void assert_span(struct xt_span span, const char *text)
{
    assert_int_equal(span.size, strlen(text));
    assert_memory_equal(span.data, text, span.size);
}

static void every_member_of_the_contract_is_read(void **state)
{
    (void)state;
    struct xt_person p;
    struct xt_reject reject;
    assert_int_equal(parse(FULL, &p, &reject), XT_OK);
    assert_true(p.number == 1099012345);
    assert_span(p.full_name, "Nguyễn Văn An");
    assert_int_equal(p.date_of_birth, 1999 << 9 | 1 << 5 | 25);
    assert_int_equal(p.sex, XT_SEX_MALE);
    assert_true(p.has_cmnd);
    assert_int_equal(p.cmnd, 12345678);
    assert_int_equal(p.replaced_count, 1);
    assert_true(p.replaced[0] == 1099999999);
    assert_span(p.nationality, "VNM");
    assert_span(p.ethnicity, "Kinh");
    assert_span(p.home_town, "Sóc Sơn, Hà Nội");
    assert_span(p.place_of_birth, "Hà Nội");
    assert_span(p.father_name, "Nguyễn Văn Bình");
    assert_span(p.mother_name, "Trần Thị Hoa");
    assert_int_equal(p.address_province, xt_province_index(1));
    assert_span(p.address_ward, "00004");
    assert_span(p.address_text, "Số 10 Tràng Thi");
    assert_int_equal(p.life, XT_LIFE_MISSING);
    assert_int_equal(p.card_issued_on, 2021 << 9 | 4 << 5 | 25);
    assert_true(p.card_has_expiry);
    assert_int_equal(p.card_expires_on, 2039 << 9 | 1 << 5 | 25);
    assert_int_equal(p.card_state, XT_CARD_LOST);
    assert_span(p.card_public_key, KEY);
    assert_int_equal(p.card_public_key_der.size, 0);
    assert_int_equal(p.phone_count, 2); /* the third is the first again */
    assert_int_equal(p.phones[0], 912345678);
    assert_int_equal(p.phones[1], 987654321);
    assert_int_equal(p.account_level, 2);
    assert_int_equal(p.locks, XT_LOCK_HOLDER | XT_LOCK_STAY_EXPIRED);
    assert_int_equal(p.device_count, 1);
    assert_span(p.devices[0].device_id, "d-1");
    assert_span(p.devices[0].public_key, KEY);
    assert_span(p.passcode_hash, "$argon2id$v=19$m=1$a$b");
    assert_int_equal(p.link_count, 2);
    assert_int_equal(p.links[0].type, XT_LINK_HEALTH_INSURANCE);
    assert_int_equal(p.links[0].number.length, 5);
    assert_memory_equal(p.links[0].number.text, "GD401", 5);
    assert_int_equal(p.links[0].valid_from, 2024 << 9);
    assert_int_equal(p.links[0].valid_until, 2024 << 9 | 12 << 5);
    assert_int_equal(p.links[1].valid_from, XT_DATE_NONE);
    assert_memory_equal(p.links[1].number.text, "29A12345", 8);
}

#define MINIMAL "\"id\":\"001099012345\",\"full_name\":\"Lê An\",\"date_of_birth\":\"1950\""

static void absent_members_have_their_defaults(void **state)
{
    (void)state;
    struct xt_person p;
    struct xt_reject reject;
    memset(&p, 0xa5, sizeof p);
    assert_int_equal(parse("{" MINIMAL "}", &p, &reject), XT_OK);
    assert_int_equal(p.date_of_birth, 1950 << 9);
    assert_int_equal(p.sex, XT_SEX_UNKNOWN); /* although the number implies one */
    assert_int_equal(p.life, XT_LIFE_ALIVE);
    assert_false(p.has_cmnd);
    assert_int_equal(p.address_province, XT_PROVINCE_NONE);
    assert_int_equal(p.card_state, XT_CARD_NONE);
    assert_int_equal(p.card_issued_on, XT_DATE_NONE);
    assert_false(p.card_has_expiry);
    assert_int_equal(p.account_level, 0);
    assert_int_equal(p.locks, 0);
    assert_int_equal(p.phone_count + p.device_count + p.link_count + p.replaced_count, 0);
    assert_int_equal(p.nationality.size + p.ethnicity.size + p.passcode_hash.size, 0);

    assert_int_equal(parse("{" MINIMAL ",\"card\":{},\"account\":{},\"links\":[]}", &p, &reject),
                     XT_OK);
    assert_int_equal(p.card_state, XT_CARD_NONE);
    assert_int_equal(parse("{" MINIMAL ",\"card\":{\"issued_on\":\"2021-04-25\"}}", &p, &reject),
                     XT_OK);
    assert_int_equal(p.card_state, XT_CARD_ACTIVE);
    assert_false(p.card_has_expiry); /* by the rule: issued after 60 */
}

static void a_device_tells_what_unlocks_it(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        enum xt_unlock unlocked_by;
    } cases[] = {
        {"", XT_UNLOCK_NONE},
        {",\"unlocked_by\":\"biometric\"", XT_UNLOCK_BIOMETRIC},
        {",\"unlocked_by\":\"fingerprint\"", XT_UNLOCK_FINGERPRINT},
        {",\"unlocked_by\":\"face\"", XT_UNLOCK_FACE},
        {",\"unlocked_by\":\"iris\"", XT_UNLOCK_IRIS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[512];
        struct xt_person p;
        struct xt_reject reject;
        (void)snprintf(line, sizeof line,
                       "{" MINIMAL ",\"account\":{\"level\":2,\"devices\":[{\"device_id\":\"a\","
                       "\"public_key\":\"" KEY "\"%s}]}}",
                       cases[i].member);
        assert_int_equal(parse(line, &p, &reject), XT_OK);
        assert_int_equal(p.devices[0].unlocked_by, cases[i].unlocked_by);
    }
}

static void a_card_without_an_expiry_expires_by_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *card;
        unsigned year; /* of 1 January; 0: none */
    } cases[] = {
        {"{\"issued_on\":\"2010-01-01\"}", 2020},
        {"{\"issued_on\":\"2018-01-01\"}", 2040},
        {"{\"issued_on\":\"2038-01-01\"}", 0},
        {"{\"issued_on\":\"2010-01-01\",\"expires_on\":\"2030-01-01\"}", 2030},
        {"{\"issued_on\":\"2010-01-01\",\"state\":\"lost\"}", 2020},
        {"{\"state\":\"active\"}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[256];
        struct xt_person p;
        struct xt_reject reject;
        (void)snprintf(line, sizeof line,
                       "{\"card\":%s,\"id\":\"001080012345\",\"full_name\":\"Lê An\","
                       "\"date_of_birth\":\"1980-01-01\"}",
                       cases[i].card);
        assert_int_equal(parse(line, &p, &reject), XT_OK);
        assert_int_equal(p.card_has_expiry, cases[i].year != 0);
        assert_int_equal(p.card_expires_on,
                         cases[i].year != 0 ? cases[i].year << 9 | 1 << 5 | 1 : XT_DATE_NONE);
    }
}

static void a_number_that_implies_another_sex_is_no_reject(void **state)
{
    (void)state;
    struct xt_person p;
    struct xt_reject reject;
    assert_int_equal(parse("{\"id\":\"001199012345\",\"full_name\":\"Lê An\",\"sex\":\"male\","
                           "\"date_of_birth\":\"1950-02-03\"}",
                           &p, &reject),
                     XT_OK);
    assert_int_equal(p.sex, XT_SEX_MALE);
}

#define NAME_PART "\"full_name\":\"Lê An\",\"date_of_birth\":\"1950\""
#define WITH(member) "{" MINIMAL "," member "}"
#define P5(text) text text text text text
#define P25(text) P5(P5(text))
#define P125(text) P5(P25(text))

static const struct {
    const char *line, *code, *pointer;
} REJECTS[] = {
    {"", "malformed_json", ""},
    {"{", "malformed_json", ""},
    {"{}{}", "malformed_json", ""},
    {"{} x", "malformed_json", ""},
    {"{\"id\":\"\xc3\x28\"}", "malformed_json", ""},
    {"{\"id\":\"\xed\xa0\x80\"}", "malformed_json", ""},
    {"{\"id\":\"\\ud800\"}", "malformed_json", ""},
    {"{\"id\":01}", "malformed_json", ""},
    {"{\"id\":NaN}", "malformed_json", ""},
    {"{'id':1}", "malformed_json", ""},
    {"{\"id\":\"1\",}", "malformed_json", ""},
    {"// x\n{}", "malformed_json", ""},
    {"[]", "not_an_object", ""},
    {"null", "not_an_object", ""},
    {"\"x\"", "not_an_object", ""},
    {"12", "not_an_object", ""},
    {"{}", "missing_member", "/id"},
    {"{\"id\":\"001099012345\",\"date_of_birth\":\"1950\"}", "missing_member", "/full_name"},
    {"{\"id\":\"001099012345\",\"full_name\":\"Lê An\"}", "missing_member", "/date_of_birth"},
    {WITH("\"Id\":\"001099012345\""), "unknown_member", ""},
    {WITH("\"id\\u0000\":\"001099012345\""), "unknown_member", ""},
    {WITH("\"\":1"), "unknown_member", ""},
    {WITH("\"address\":{\"zip\":\"1\"}"), "unknown_member", "/address"},
    {WITH("\"card\":{\"id\":\"1\"}"), "unknown_member", "/card"},
    {WITH("\"account\":{\"phones\":[]}"), "unknown_member", "/account"},
    {WITH("\"links\":[{\"kind\":\"tax\"}]"), "unknown_member", "/links/0"},
    {WITH("\"account\":{\"devices\":[{\"x\":\"1\"}]}"), "unknown_member", "/account/devices/0"},
    {WITH("\"id\":\"001099012345\""), "duplicate_member", "/id"},
    {WITH("\"\\u0069d\":\"001099012345\""), "duplicate_member", "/id"},
    {WITH("\"phones\":[],\"phones\":[]"), "duplicate_member", "/phones"},
    {WITH("\"card\":{},\"card\":{}"), "duplicate_member", "/card"},
    {WITH("\"card\":{\"state\":\"lost\",\"state\":\"lost\"}"), "duplicate_member", "/card/state"},
    {WITH("\"links\":[{\"type\":\"tax\",\"type\":\"tax\"}]"), "duplicate_member", "/links/0/type"},
    {WITH("\"sex\":null"), "wrong_type", "/sex"},
    {WITH("\"sex\":1"), "wrong_type", "/sex"},
    {"{\"id\":1099012345," NAME_PART "}", "wrong_type", "/id"},
    {WITH("\"address\":\"Hà Nội\""), "wrong_type", "/address"},
    {WITH("\"address\":null"), "wrong_type", "/address"},
    {WITH("\"card\":[]"), "wrong_type", "/card"},
    {WITH("\"phones\":\"0912345678\""), "wrong_type", "/phones"},
    {WITH("\"phones\":[912345678]"), "wrong_type", "/phones/0"},
    {WITH("\"phones\":[[[[[[[[]]]]]]]]"), "wrong_type", "/phones/0"},
    {WITH("\"account\":{\"level\":\"2\"}"), "wrong_type", "/account/level"},
    {WITH("\"account\":{\"level\":2.0}"), "wrong_type", "/account/level"},
    {WITH("\"account\":{\"level\":-1}"), "wrong_type", "/account/level"},
    {WITH("\"account\":{\"locks\":{}}"), "wrong_type", "/account/locks"},
    {WITH("\"account\":{\"devices\":{}}"), "wrong_type", "/account/devices"},
    {WITH("\"account\":{\"devices\":[1]}"), "wrong_type", "/account/devices/0"},
    {WITH("\"links\":{}"), "wrong_type", "/links"},
    {WITH("\"links\":[[]]"), "wrong_type", "/links/0"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":7}]"), "wrong_type", "/links/0/number"},
    {"{\"id\":\"\"," NAME_PART "}", "empty", "/id"},
    {WITH("\"sex\":\"\""), "empty", "/sex"},
    {WITH("\"old_id\":\"\""), "empty", "/old_id"},
    {WITH("\"home_town\":\"\""), "empty", "/home_town"},
    {WITH("\"nationality\":\"\""), "empty", "/nationality"},
    {WITH("\"address\":{\"province\":\"\"}"), "empty", "/address/province"},
    {WITH("\"address\":{\"ward\":\"\"}"), "empty", "/address/ward"},
    {WITH("\"card\":{\"issued_on\":\"\"}"), "empty", "/card/issued_on"},
    {WITH("\"card\":{\"public_key\":\"\"}"), "empty", "/card/public_key"},
    {WITH("\"phones\":[\"\"]"), "empty", "/phones/0"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":\"\"}]"), "empty", "/links/0/number"},
    {WITH("\"home_town\":\"" P125("12345") "\""), "too_long", "/home_town"},
    {"{\"id\":\"001099012345\",\"full_name\":\"" P125("An Le ") "\",\"date_of_birth\":\"1950\"}",
     "too_long", "/full_name"},
    {"{\"id\":\"001099012345\",\"full_name\":\"" P25("An Le") "\",\"date_of_birth\":\"1950\"}",
     "too_long", "/full_name"},
    {WITH("\"card\":{\"public_key\":\"" P125("AAAAAAAAA") "\"}"), "too_long", "/card/public_key"},
    {WITH("\"home_town\":\"a\\u0000b\""), "control_character", "/home_town"},
    {WITH("\"home_town\":\"Hà Nội, Sóc Sơn\\n\""), "control_character", "/home_town"},
    {WITH("\"home_town\":\"Hà Nội\\u0085 \""), "control_character", "/home_town"},
    {WITH("\"home_town\":\"Hà Nội \\u007f\""), "control_character", "/home_town"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\\tb\",\"public_key\":\"" KEY "\"}]}"),
     "control_character", "/account/devices/0/device_id"},
    {"{\"id\":\"00109901234\"," NAME_PART "}", "bad_id", "/id"},
    {"{\"id\":\"0010990123456\"," NAME_PART "}", "bad_id", "/id"},
    {"{\"id\":\"00109901234x\"," NAME_PART "}", "bad_id", "/id"},
    {WITH("\"old_id\":\"0010990123\""), "bad_id", "/old_id"},
    {WITH("\"replaced_numbers\":[\"001099999999\",\"1\"]"), "bad_id", "/replaced_numbers/1"},
    {"{\"id\":\"001099012345\",\"full_name\":\"An 7\",\"date_of_birth\":\"1950\"}", "bad_name",
     "/full_name"},
    {"{\"id\":\"001099012345\",\"full_name\":\"An\\u0000\",\"date_of_birth\":\"1950\"}", "bad_name",
     "/full_name"},
    {"{\"id\":\"001099012345\",\"full_name\":\"An\",\"date_of_birth\":\"2023-02-30\"}", "bad_date",
     "/date_of_birth"},
    {WITH("\"card\":{\"expires_on\":\"25/01/2039\"}"), "bad_date", "/card/expires_on"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":\"1\",\"valid_from\":\"x\"}]"), "bad_date",
     "/links/0/valid_from"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":\"1\",\"valid_until\":\"x\"}]"), "bad_date",
     "/links/0/valid_until"},
    {WITH("\"phones\":[\"0912345678\",\"0112345678\"]"), "bad_phone", "/phones/1"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":\"#1\"}]"), "bad_document", "/links/0/number"},
    {WITH("\"links\":[{\"type\":\"tax\",\"number\":\"--\"}]"), "bad_document", "/links/0/number"},
    {WITH("\"card\":{\"public_key\":\"AAA=\"}"), "bad_key", "/card/public_key"},
    {WITH("\"card\":{\"public_key\":\"AA+A\"}"), "bad_key", "/card/public_key"},
    {WITH("\"card\":{\"public_key\":\"AAAAA\"}"), "bad_key", "/card/public_key"},
    {WITH("\"card\":{\"public_key\":\"AB\"}"), "bad_key", "/card/public_key"}, /* bits left over */
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\",\"public_key\":\"!\"}]}"), "bad_key",
     "/account/devices/0/public_key"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" KEY
          "\",\"unlocked_by\":\"finger\"}]}"),
     "bad_value", "/account/devices/0/unlocked_by"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" KEY
          "\",\"unlocked_by\":\"none\"}]}"),
     "bad_value", "/account/devices/0/unlocked_by"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" KEY
          "\",\"unlocked_by\":null}]}"),
     "wrong_type", "/account/devices/0/unlocked_by"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\"}]}"), "missing_member",
     "/account/devices/0/public_key"},
    {WITH("\"account\":{\"devices\":[{\"public_key\":\"" KEY "\"}]}"), "missing_member",
     "/account/devices/0/device_id"},
    {WITH("\"account\":{\"devices\":[{\"device_id\":\"a\",\"public_key\":\"" KEY
          "\"},{\"device_id\":\"a\",\"public_key\":\"" KEY "\"}]}"),
     "duplicate", "/account/devices/1/device_id"},
    {WITH("\"links\":[{\"number\":\"1\"}]"), "missing_member", "/links/0/type"},
    {WITH("\"links\":[{\"type\":\"tax\"}]"), "missing_member", "/links/0/number"},
    {WITH("\"links\":[{\"type\":\"permit\",\"number\":\"1\"}]"), "bad_value", "/links/0/type"},
    {WITH("\"sex\":\"Nam\""), "bad_value", "/sex"},
    {WITH("\"sex\":\"male\\u0000\""), "bad_value", "/sex"},
    {WITH("\"status\":\"dead\""), "bad_value", "/status"},
    {WITH("\"nationality\":\"vnm\""), "bad_value", "/nationality"},
    {WITH("\"nationality\":\"VN\""), "bad_value", "/nationality"},
    {WITH("\"address\":{\"province\":\"003\"}"), "bad_value", "/address/province"},
    {WITH("\"address\":{\"ward\":\"4\"}"), "bad_value", "/address/ward"},
    {WITH("\"card\":{\"state\":\"none\"}"), "bad_value", "/card/state"},
    {WITH("\"account\":{\"level\":0}"), "bad_value", "/account/level"},
    {WITH("\"account\":{\"level\":3}"), "bad_value", "/account/level"},
    {WITH("\"account\":{\"locks\":[\"holder\",\"other\"]}"), "bad_value", "/account/locks/1"},
    {WITH("\"account\":{\"passcode_hash\":\"$2y$10$abc\"}"), "bad_value", "/account/passcode_hash"},
    {WITH("\"account\":{\"passcode_hash\":\"$argon2id$\"}"), "bad_value", "/account/passcode_hash"},
};

static void every_reject_has_its_code_and_pointer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REJECTS / sizeof REJECTS[0]; i++) {
        struct xt_person person;
        struct xt_reject reject = {0};
        enum xt_status status = parse(REJECTS[i].line, &person, &reject);
        if (status != XT_INVALID || strcmp(reject.code, REJECTS[i].code) != 0 ||
            strcmp(reject.pointer, REJECTS[i].pointer) != 0) {
            fail_msg("%s: %s at \"%s\"", REJECTS[i].line, reject.code, reject.pointer);
        }
    }
}

/* {minimal, "<member>": <before> item,item,... <after>} of count items, numbered. */
static char *list_line(const char *before, const char *item, const char *after, unsigned count)
{
    char *line = calloc(1, 1 << 20);
    assert_non_null(line);
    size_t at = (size_t)sprintf(line, "{" MINIMAL ",%s", before);
    for (unsigned i = 0; i < count; i++) {
        at += (size_t)sprintf(line + at, "%s", i == 0 ? "" : ",");
        for (const char *c = item; *c != '\0'; c++) { /* # stands for the item's number */
            at +=
                (size_t)(*c == '#' ? sprintf(line + at, "%02u", i) : sprintf(line + at, "%c", *c));
        }
    }
    sprintf(line + at, "%s}", after);
    return line;
}

static void lists_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *before, *item, *after, *pointer;
        unsigned most;
    } LISTS[] = {
        {"\"phones\":[", "\"09123456#\"", "]", "/phones/32", XT_PERSON_PHONES_MAX},
        {"\"replaced_numbers\":[", "\"0010990000#\"", "]", "/replaced_numbers/8",
         XT_PERSON_REPLACED_MAX},
        {"\"links\":[", "{\"type\":\"vehicle\",\"number\":\"29A#\"}", "]", "/links",
         XT_PERSON_LINKS_MAX},
        {"\"account\":{\"devices\":[", "{\"device_id\":\"d#\",\"public_key\":\"" KEY "\"}", "]}",
         "/account/devices", XT_PERSON_DEVICES_MAX},
    };
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
        struct xt_person p;
        struct xt_reject reject = {0};
        char *line = list_line(LISTS[i].before, LISTS[i].item, LISTS[i].after, LISTS[i].most);
        assert_int_equal(parse(line, &p, &reject), XT_OK);
        assert_int_equal(p.phone_count + p.replaced_count + p.link_count + p.device_count,
                         LISTS[i].most);
        free(line);
        line = list_line(LISTS[i].before, LISTS[i].item, LISTS[i].after, LISTS[i].most + 1);
        assert_int_equal(parse(line, &p, &reject), XT_INVALID);
        assert_string_equal(reject.code, "too_many");
        assert_string_equal(reject.pointer, LISTS[i].pointer);
        free(line);
    }
}

static void a_line_of_any_allowed_shape_fits_the_arena(void **state)
{
    (void)state;
    static char line[XT_PERSON_JSON_MAX + 1];
    struct xt_person p;
    struct xt_reject reject;
    memset(line, '[', sizeof line);
    struct xt_span all = xt_span_of(line, XT_PERSON_JSON_MAX);
    assert_int_equal(xt_person_from_json(all, arena, &p, &reject), XT_INVALID);
    assert_string_equal(reject.code, "malformed_json"); /* and not out of memory */
    for (size_t i = 1; i + 1 < sizeof line; i += 2) {
        line[i] = '1';
        line[i + 1] = ',';
    }
    line[XT_PERSON_JSON_MAX - 2] = '1';
    line[XT_PERSON_JSON_MAX - 1] = ']';
    assert_int_equal(xt_person_from_json(all, arena, &p, &reject), XT_INVALID);
    assert_string_equal(reject.code, "not_an_object");
    all.size++;
    assert_int_equal(xt_person_from_json(all, arena, &p, &reject), XT_INVALID);
    assert_string_equal(reject.code, "too_long");
    struct xt_json_arena small = {arena_memory, 300};
    assert_int_equal(xt_person_from_json(xt_span_of_string(FULL), small, &p, &reject), XT_INVALID);
    assert_string_equal(reject.code, "too_long");
}

static void document_numbers_have_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *document; /* NULL: refused */
    } CASES[] = {
        {"GD4010123456789", "GD4010123456789"},
        {" gd-401.012/345 ", "GD401012345"},
        {"29a-123.45", "29A12345"},
        {"123456789012345678901234", "123456789012345678901234"},
        {"1234567890123456789012345", NULL},
        {"", NULL},
        {" -./", NULL},
        {"A_1", NULL},
        {"Đ1", NULL},
        {"\xef\xbc\x91", NULL}, /* full-width 1 */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_document document;
        enum xt_status status = xt_document_parse(xt_span_of_string(CASES[i].text), &document);
        assert_int_equal(status, CASES[i].document != NULL ? XT_OK : XT_INVALID);
        if (CASES[i].document != NULL) {
            assert_span(xt_span_of(document.text, document.length), CASES[i].document);
        }
    }
    struct xt_document document;
    assert_int_equal(xt_document_parse(xt_span_of("A\0B", 3), &document), XT_INVALID);
}

/* Cuts text at tabs. */
static unsigned split(const char *text, struct xt_span fields[64])
{
    unsigned count = 0;
    for (;;) {
        size_t size = strcspn(text, "\t");
        fields[count++] = xt_span_of(text, size);
        if (text[size] == '\0') {
            return count;
        }
        text += size + 1;
    }
}

static enum xt_status parse_csv(const char *header, const char *row, struct xt_person *person,
                                struct xt_reject *reject)
{
    struct xt_span fields[64];
    struct xt_person_columns columns;
    enum xt_status status = xt_person_csv_header(fields, split(header, fields), &columns, reject);
    return status == XT_OK
               ? xt_person_from_csv(&columns, fields, split(row, fields), person, reject)
               : status;
}

static void a_csv_row_is_read_like_the_json_of_the_same_members(void **state)
{
    (void)state;
    struct xt_person p;
    struct xt_reject reject;
    assert_int_equal(
        parse_csv("\xef\xbb\xbfid\tfull_name\tdate_of_birth\tsex\told_id\treplaced_numbers\t"
                  "nationality\tethnicity\thome_town\tplace_of_birth\tfather_name\tmother_name\t"
                  "address.province\taddress.ward\taddress.text\tstatus\tcard.issued_on\t"
                  "card.expires_on\tcard.state\tcard.public_key\tphones\taccount.level\t"
                  "account.locks\taccount.passcode_hash",
                  "001099012345\tNguyễn Văn An\t1999-01-25\tmale\t012345678\t001099999999\tVNM\t"
                  "Kinh\tSóc Sơn\tHà Nội\tB\tH\t001\t00004\tSố 10\tcancelled\t2021-04-25\t"
                  "2039-01-25\trevoked\t" KEY "\t0912345678  +84987654321 \t2\tbreach death\t"
                  "$argon2id$x",
                  &p, &reject),
        XT_OK);
    assert_true(p.number == 1099012345);
    assert_int_equal(p.cmnd, 12345678);
    assert_int_equal(p.replaced_count, 1);
    assert_span(p.mother_name, "H");
    assert_span(p.address_text, "Số 10");
    assert_int_equal(p.life, XT_LIFE_CANCELLED);
    assert_int_equal(p.card_state, XT_CARD_REVOKED);
    assert_true(p.card_has_expiry);
    assert_span(p.card_public_key, KEY);
    assert_int_equal(p.phone_count, 2);
    assert_int_equal(p.phones[1], 987654321);
    assert_int_equal(p.account_level, 2);
    assert_int_equal(p.locks, XT_LOCK_BREACH | XT_LOCK_DEATH);

    assert_int_equal(parse_csv("full_name\tid\tdate_of_birth\tsex\tphones\tcard.issued_on",
                               "Lê An\t001099012345\t1950\t\t\t", &p, &reject),
                     XT_OK);
    assert_int_equal(p.sex, XT_SEX_UNKNOWN);
    assert_int_equal(p.phone_count, 0);
    assert_int_equal(p.card_state, XT_CARD_NONE);
}

static void every_csv_fault_is_told_by_its_place(void **state)
{
    (void)state;
#define HEADER "id\tfull_name\tdate_of_birth"
#define ROW "001099012345\tLê An\t1950"
    static const struct {
        const char *header, *row, *code, *pointer;
    } CASES[] = {
        {HEADER "\tshoe_size", "", "unknown_column", "/column/4"},
        {"001099012345\tLê An\t1950", "", "unknown_column", "/column/1"},
        {HEADER "\tlinks", "", "unknown_column", "/column/4"},
        {HEADER "\t", "", "unknown_column", "/column/4"},
        {HEADER "\tid", "", "duplicate_column", "/column/4"},
        {"id\tfull_name", "", "missing_column", "/date_of_birth"},
        {HEADER, "001099012345\tLê An", "column_count", ""},
        {HEADER, ROW "\t", "column_count", ""},
        {HEADER, "001099012345\t\t1950", "missing_member", "/full_name"},
        {HEADER "\taddress.province", ROW "\t999", "bad_value", "/address.province"},
        {HEADER "\taddress.text", ROW "\t\xc3\x28", "invalid_utf8", "/address.text"},
        {HEADER "\taddress.text", ROW "\t\xe0\x9f\xbf", "invalid_utf8", "/address.text"},
        {HEADER "\taddress.text", ROW "\t12345678\xf4\x90\x80\x80", "invalid_utf8",
         "/address.text"},
        {HEADER "\taddress.text", ROW "\ta\nb", "control_character", "/address.text"},
        {HEADER "\taccount.level", ROW "\t3", "bad_value", "/account.level"},
        {HEADER "\tphones", ROW "\t0912345678;0912345679", "bad_phone", "/phones"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_person person;
        struct xt_reject reject = {0};
        enum xt_status status = parse_csv(CASES[i].header, CASES[i].row, &person, &reject);
        if (status != XT_INVALID || strcmp(reject.code, CASES[i].code) != 0 ||
            strcmp(reject.pointer, CASES[i].pointer) != 0) {
            fail_msg("%s / %s: %s at \"%s\"", CASES[i].header, CASES[i].row, reject.code,
                     reject.pointer);
        }
    }
    struct xt_span fields[65];
    struct xt_person_columns columns;
    struct xt_reject reject;
    for (unsigned i = 0; i < 65; i++) {
        fields[i] = xt_span_of_string("id");
    }
    assert_int_equal(xt_person_csv_header(fields, 65, &columns, &reject), XT_INVALID);
    assert_string_equal(reject.code, "too_many");
}

static void damaged_lines_are_refused_without_harm(void **state)
{
    (void)state;
    uint64_t random = 1;
    unsigned refused = 0;
    enum { ROUNDS = 200000 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t line[sizeof FULL + 64];
        memcpy(line, FULL, sizeof FULL - 1);
        size_t size = mutate(line, sizeof FULL - 1, sizeof line, &random);
        struct xt_person person;
        struct xt_reject reject = {0};
        enum xt_status status =
            xt_person_from_json(xt_span_of(line, size), arena, &person, &reject);
        if (status != XT_OK) {
            assert_int_equal(status, XT_INVALID);
            assert_non_null(reject.code);
            assert_non_null(memchr(reject.pointer, '\0', sizeof reject.pointer));
            refused++;
        } else {
            assert_true(person.number < 1000000000000);
            assert_true(person.name.length > 0 && person.name.length <= XT_NAME_MAX);
            assert_true(person.phone_count <= XT_PERSON_PHONES_MAX);
        }
    }
    assert_true(refused > ROUNDS / 2 && refused < ROUNDS);
}

static bool take(uint8_t *data, size_t size)
{
    struct xt_person person;
    struct xt_reject reject;
    while (size > 0 && data[size - 1] == '\n') {
        size--;
    }
    return xt_person_from_json(xt_span_of(data, size), arena, &person, &reject) == XT_OK;
}

static void the_corpus_of_records_is_judged_as_before(void **state)
{
    (void)state;
    replay_corpus("person_json", 0, take);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_the_contract_is_read),
        cmocka_unit_test(absent_members_have_their_defaults),
        cmocka_unit_test(a_device_tells_what_unlocks_it),
        cmocka_unit_test(a_card_without_an_expiry_expires_by_the_rule),
        cmocka_unit_test(a_number_that_implies_another_sex_is_no_reject),
        cmocka_unit_test(every_reject_has_its_code_and_pointer),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(a_line_of_any_allowed_shape_fits_the_arena),
        cmocka_unit_test(document_numbers_have_one_form),
        cmocka_unit_test(a_csv_row_is_read_like_the_json_of_the_same_members),
        cmocka_unit_test(every_csv_fault_is_told_by_its_place),
        cmocka_unit_test(damaged_lines_are_refused_without_harm),
        cmocka_unit_test(the_corpus_of_records_is_judged_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
