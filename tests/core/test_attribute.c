#include "core/attribute.h"

#include <stdio.h>

#include "core/province.h"
#include "core/record.h"
#include "tests/test.h"

#define BIT(name) XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_##name)

static struct xt_person person;
static uint8_t memory[XT_PERSON_JSON_ARENA];
static uint8_t hot[XT_HOT_MAX], cold[XT_COLD_MAX];

/* As the register gives him: imported, stored, and read again. */
static void hold(const char *line)
{
    static struct xt_person imported;
    const struct xt_json_arena arena = {.memory = memory, .size = sizeof(memory)};
    struct xt_reject reject;
    struct xt_writer hot_writer = xt_writer_over(hot, sizeof(hot));
    struct xt_writer cold_writer = xt_writer_over(cold, sizeof(cold));
    if (xt_person_from_json(xt_span_of_string(line), arena, &imported, &reject) != XT_OK) {
        fail_msg("%s %s", reject.code, reject.pointer);
    }
    xt_hot_encode(&imported, &hot_writer);
    xt_cold_encode(&imported, &cold_writer);
    assert_int_equal(
        xt_person_from_records(xt_written(&hot_writer), xt_written(&cold_writer), &person), XT_OK);
}

static void assert_written(uint32_t set, const char *wanted)
{
    static char text[XT_ATTRIBUTES_JSON_MAX + 1];
    struct xt_writer writer = xt_writer_over(text, XT_ATTRIBUTES_JSON_MAX);
    xt_attributes_write(&person, set, &writer);
    assert_false(writer.overflow);
    text[writer.size] = '\0';
    assert_string_equal(text, wanted);
}

static void whoever_has_all_is_told_as_documented(void **state)
{
    (void)state;
    hold(
        "{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
        "\"sex\":\"male\",\"old_id\":\"012345678\",\"nationality\":\"VNM\",\"ethnicity\":\"Kinh\","
        "\"home_town\":\"Hà \\\"Nội\\\"\",\"place_of_birth\":\"Huế\",\"father_name\":\"Cha\","
        "\"mother_name\":\"Mẹ\",\"address\":{\"province\":\"001\",\"ward\":\"00004\","
        "\"text\":\"Số 10\"},\"card\":{\"issued_on\":\"2021-04-25\","
        "\"expires_on\":\"2039-01-25\"},\"phones\":[\"+84912345678\",\"0987654321\"],"
        "\"links\":[{\"type\":\"passport\",\"number\":\"B1234567\",\"valid_from\":\"2020-01-01\","
        "\"valid_until\":\"2030-01-01\"},{\"type\":\"vehicle\",\"number\":\"29A-12345\"},"
        "{\"type\":\"vehicle\",\"number\":\"30A-12345\"}]}");
    assert_written(
        XT_ATTRIBUTE_ALL,
        "{\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\",\"sex\":\"male\","
        "\"nationality\":\"VNM\",\"ethnicity\":\"Kinh\",\"home_town\":\"Hà \\\"Nội\\\"\","
        "\"place_of_birth\":\"Huế\",\"father_name\":\"Cha\",\"mother_name\":\"Mẹ\","
        "\"address\":{\"province\":\"001\",\"ward\":\"00004\",\"text\":\"Số 10\"},"
        "\"phones\":[\"+84912345678\",\"+84987654321\"],\"old_id\":\"012345678\","
        "\"card_issued_on\":\"2021-04-25\",\"card_expires_on\":\"2039-01-25\","
        "\"health_insurance\":[],\"social_insurance\":[],\"driving_licence\":[],"
        "\"vehicle\":[{\"number\":\"29A12345\"},{\"number\":\"30A12345\"}],"
        "\"passport\":[{\"number\":\"B1234567\",\"valid_from\":\"2020-01-01\","
        "\"valid_until\":\"2030-01-01\"}],\"tax\":[]}");
    assert_int_equal(xt_attributes_held(&person, XT_ATTRIBUTE_ALL),
                     XT_ATTRIBUTE_ALL & ~(BIT(HEALTH_INSURANCE) | BIT(SOCIAL_INSURANCE) |
                                          BIT(DRIVING_LICENCE) | BIT(TAX)));
}

static void only_those_asked_for_are_told(void **state)
{
    (void)state;
    hold("{\"id\":\"001099012345\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999\","
         "\"ethnicity\":\"Kinh\",\"address\":{\"province\":\"079\"}}");
    for (unsigned i = 0; i < XT_ATTRIBUTE_COUNT; i++) {
        char text[512], name[64];
        struct xt_writer writer = xt_writer_over(text, sizeof(text) - 1);
        xt_attributes_write(&person, 1U << i, &writer);
        text[writer.size] = '\0';
        snprintf(name, sizeof(name), "{\"%s\":", xt_attribute_name((enum xt_attribute)i));
        assert_memory_equal(text, name, strlen(name));
        assert_true((strstr(text, "Kinh") != NULL) == (i == XT_ATTRIBUTE_ETHNICITY));
        assert_true((strstr(text, "An") != NULL) == (i == XT_ATTRIBUTE_FULL_NAME));
    }
    assert_written(0, "{}");
    assert_written(BIT(DATE_OF_BIRTH) | BIT(ADDRESS),
                   "{\"date_of_birth\":\"1999\",\"address\":{\"province\":\"079\"}}");
}

static void what_is_not_held_is_null_or_an_empty_list(void **state)
{
    (void)state;
    hold("{\"id\":\"001099012345\",\"full_name\":\"An\",\"date_of_birth\":\"1999-01\"}");
    assert_written(XT_ATTRIBUTE_ALL,
                   "{\"full_name\":\"An\",\"date_of_birth\":\"1999-01\",\"sex\":null,"
                   "\"nationality\":null,\"ethnicity\":null,\"home_town\":null,"
                   "\"place_of_birth\":null,\"father_name\":null,\"mother_name\":null,"
                   "\"address\":null,\"phones\":[],\"old_id\":null,\"card_issued_on\":null,"
                   "\"card_expires_on\":null,\"health_insurance\":[],\"social_insurance\":[],"
                   "\"driving_licence\":[],\"vehicle\":[],\"passport\":[],\"tax\":[]}");
    assert_int_equal(xt_attributes_held(&person, XT_ATTRIBUTE_ALL),
                     BIT(FULL_NAME) | BIT(DATE_OF_BIRTH));
    assert_int_equal(xt_attributes_held(&person, BIT(SEX)), 0);
}

/* Texts of nothing but quotation marks, every list full. */
static void the_largest_person_fits(void **state)
{
    (void)state;
    static char marks[XT_PERSON_TEXT_MAX];
    static uint8_t text[XT_ATTRIBUTES_JSON_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    struct xt_span most = xt_span_of(marks, sizeof(marks));
    memset(marks, '"', sizeof(marks));
    memset(&person, 0, sizeof(person));
    person.full_name = person.nationality = person.ethnicity = person.home_town =
        person.place_of_birth = person.father_name = person.mother_name = person.address_ward =
            person.address_text = most;
    person.address_province = XT_PROVINCE_COUNT;
    assert_int_equal(xt_date_make(2000, 12, 31, &person.date_of_birth), XT_OK);
    person.card_issued_on = person.card_expires_on = person.date_of_birth;
    person.card_has_expiry = person.has_cmnd = true;
    person.sex = XT_SEX_FEMALE;
    person.phone_count = XT_PERSON_PHONES_MAX;
    person.link_count = XT_PERSON_LINKS_MAX;
    for (unsigned i = 0; i < XT_PERSON_LINKS_MAX; i++) {
        struct xt_link *link = &person.links[i];
        link->type = XT_LINK_SOCIAL_INSURANCE;
        link->number.length = XT_DOCUMENT_MAX;
        memset(link->number.text, '7', XT_DOCUMENT_MAX);
        link->valid_from = link->valid_until = person.date_of_birth;
    }
    xt_attributes_write(&person, XT_ATTRIBUTE_ALL, &writer);
    assert_false(writer.overflow);
}

static void names_stand_for_attributes(void **state)
{
    (void)state;
    uint8_t text[XT_ATTRIBUTE_NAMES_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    enum xt_attribute attribute;
    for (unsigned i = 0; i < XT_ATTRIBUTE_COUNT; i++) {
        const char *name = xt_attribute_name((enum xt_attribute)i);
        assert_int_equal(xt_attribute_by_name(xt_span_of_string(name), &attribute), XT_OK);
        assert_int_equal(attribute, i);
    }
    static const char *const others[] = {"",   "full_nam",  "full_name ",
                                         "id", "Full_name", "passcode_hash"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(xt_attribute_by_name(xt_span_of_string(others[i]), &attribute),
                         XT_NOT_FOUND);
    }
    xt_attribute_names_write(XT_ATTRIBUTE_ALL, &writer);
    assert_false(writer.overflow);
    writer = xt_writer_over(text, sizeof(text));
    xt_attribute_names_write(BIT(SEX) | BIT(TAX), &writer);
    assert_true(xt_span_is(xt_written(&writer), "[\"sex\",\"tax\"]"));
    writer = xt_writer_over(text, sizeof(text));
    xt_attribute_names_write(0, &writer);
    assert_true(xt_span_is(xt_written(&writer), "[]"));
}

/* Consents and the audit log have them by number. */
static void numbers_never_change(void **state)
{
    (void)state;
    assert_int_equal(XT_ATTRIBUTE_FULL_NAME, 0);
    assert_int_equal(XT_ATTRIBUTE_ETHNICITY, 4);
    assert_int_equal(XT_ATTRIBUTE_ADDRESS, 9);
    assert_int_equal(XT_ATTRIBUTE_HEALTH_INSURANCE, 14);
    assert_int_equal(XT_ATTRIBUTE_TAX, 19);
    assert_int_equal(XT_ATTRIBUTES_SENSITIVE, 1 << 4 | 1 << 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_has_all_is_told_as_documented),
        cmocka_unit_test(only_those_asked_for_are_told),
        cmocka_unit_test(what_is_not_held_is_null_or_an_empty_list),
        cmocka_unit_test(the_largest_person_fits),
        cmocka_unit_test(names_stand_for_attributes),
        cmocka_unit_test(numbers_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
