#include "core/structured_field.h"

#include "tests/core/corpus.h"
#include "tests/test.h"

static bool is_taken(struct xt_span text)
{
    struct xt_field_reader reader = xt_field_over(text);
    struct xt_span key;
    struct xt_field_value value;
    while (xt_field_member(&reader, &key, &value)) {
    }
    return !reader.bad;
}

static void the_corpus_is_judged_as_its_names_say(void **state)
{
    (void)state;
    corpus_replay("structured_field", is_taken);
}

static struct xt_field_value only_value(const char *text)
{
    struct xt_field_reader reader = xt_field_over(xt_span_of_string(text));
    struct xt_span key;
    struct xt_field_value value = {0}, none;
    assert_true(xt_field_member(&reader, &key, &value));
    assert_true(xt_span_is(key, "a"));
    assert_false(xt_field_member(&reader, &key, &none));
    assert_false(reader.bad);
    return value;
}

static void every_type_has_its_value(void **state)
{
    (void)state;
    struct xt_field_value value = only_value("a=-42");
    assert_true(value.type == XT_FIELD_INTEGER && value.number == -42);
    value = only_value("a=-1.05");
    assert_true(value.type == XT_FIELD_DECIMAL && value.number == -1050);
    value = only_value("a=\"b\\\"c\"");
    assert_true(value.type == XT_FIELD_STRING && xt_span_is(value.text, "b\\\"c"));
    value = only_value("a=*b/c");
    assert_true(value.type == XT_FIELD_TOKEN && xt_span_is(value.text, "*b/c"));
    value = only_value("a=:AQI=:");
    assert_true(value.type == XT_FIELD_BYTES && xt_span_is(value.text, "AQI="));
    value = only_value("a=?0");
    assert_true(value.type == XT_FIELD_BOOLEAN && value.number == 0);
    value = only_value("a");
    assert_true(value.type == XT_FIELD_BOOLEAN && value.number == 1);
}

static void parameters_belong_to_the_item_before_them(void **state)
{
    (void)state;
    struct xt_field_reader reader =
        xt_field_over(xt_span_of_string("s=(\"x\";req \"y\");n=\"z\", t;u=1"));
    struct xt_span key;
    struct xt_field_value value;
    assert_true(xt_field_member(&reader, &key, &value) && value.type == XT_FIELD_LIST);
    assert_true(xt_field_item(&reader, &value) && xt_span_is(value.text, "x"));
    assert_true(xt_field_parameter(&reader, &key, &value) && xt_span_is(key, "req"));
    assert_false(xt_field_parameter(&reader, &key, &value));
    assert_true(xt_field_item(&reader, &value) && xt_span_is(value.text, "y"));
    assert_false(xt_field_parameter(&reader, &key, &value));
    assert_false(xt_field_item(&reader, &value));
    assert_true(xt_field_parameter(&reader, &key, &value) && xt_span_is(key, "n") &&
                xt_span_is(value.text, "z"));
    assert_true(xt_field_member(&reader, &key, &value) && xt_span_is(key, "t"));
    assert_false(xt_field_member(&reader, &key, &value));
    assert_false(reader.bad);
}

static void what_was_not_asked_for_is_judged_as_well(void **state)
{
    (void)state;
    static const char *const texts[] = {"a=(1 2;B), b", "a=(1 \"), b", "a=1;x=\", b", "a;?1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(is_taken(xt_span_of_string(texts[i])));
    }
}

static void bytes_are_written_as_base64(void **state)
{
    (void)state;
    static const char *const expected[] = {"::", ":Zg==:", ":Zm8=:", ":Zm9v:", ":Zm9vYg==:"};
    for (size_t size = 0; size < 5; size++) { /* RFC 4648 section 10 */
        uint8_t room[16];
        struct xt_writer writer = xt_writer_over(room, XT_FIELD_BYTES_SIZE(size));
        xt_field_write_bytes(&writer, (const uint8_t *)"foob", size);
        assert_false(writer.overflow);
        assert_true(xt_span_is(xt_written(&writer), expected[size]));
        writer = xt_writer_over(room, XT_FIELD_BYTES_SIZE(size) - 1);
        xt_field_write_bytes(&writer, (const uint8_t *)"foob", size);
        assert_true(writer.overflow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_is_judged_as_its_names_say),
        cmocka_unit_test(every_type_has_its_value),
        cmocka_unit_test(parameters_belong_to_the_item_before_them),
        cmocka_unit_test(what_was_not_asked_for_is_judged_as_well),
        cmocka_unit_test(bytes_are_written_as_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
