#include "core/form.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/test.h"

/* Exactly as many bytes as there are, so that ASan sees a read past their end. The form borrows from it. */
static uint8_t *copy_of(const char *text, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return copy;
}

static void fields_are_decoded(void **state)
{
    (void)state;
    static const char text[] = "grant_type=urn%3Aopenid:params%3agrant-type%3Aciba&binding_message="
                               "S%E1%BB%91+%2B7&x=a=b&e=";
    uint8_t *body = copy_of(text, sizeof(text) - 1);
    struct xt_form form;
    struct xt_span value;
    assert_int_equal(xt_form_read(body, sizeof(text) - 1, &form), XT_OK);
    assert_int_equal(form.count, 4);
    assert_true(xt_form_find(&form, "grant_type", &value));
    assert_true(xt_span_is(value, "urn:openid:params:grant-type:ciba"));
    assert_true(xt_form_find(&form, "binding_message", &value));
    assert_true(xt_span_is(value, "Số +7"));
    assert_true(xt_form_find(&form, "x", &value));
    assert_true(xt_span_is(value, "a=b"));
    assert_false(xt_form_find(&form, "e", &value)); /* empty is not there */
    assert_false(xt_form_find(&form, "token", &value));
    assert_int_equal(xt_form_read(body, 0, &form), XT_OK);
    assert_int_equal(form.count, 0);
    free(body);
}

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a",     "=a",         "&",     "a=1&",  "&a=1",        "a=1&&b=2", "a=1&a=2", "a=1&%61=2",
        "a=%",   "a=%2",       "a=%2g", "a=%g2", "a=%00",       "a=%0a",    "a=%7f",   "a=%c0%80",
        "a=%ff", "a=\xc3\xa9", "a= b",  "a=\t",  "a=%ed%a0%80", "%00=a",    "a=1;b",   NULL};
    struct xt_form form;
    for (unsigned i = 0; texts[i] != NULL; i++) {
        uint8_t *body = copy_of(texts[i], strlen(texts[i]));
        bool last = strcmp(texts[i], "a=1;b") == 0; /* a semicolon is no separator */
        assert_int_equal(xt_form_read(body, strlen(texts[i]), &form), last ? XT_OK : XT_INVALID);
        free(body);
    }
    uint8_t *body = copy_of("a=\0b", 4);
    assert_int_equal(xt_form_read(body, 4, &form), XT_INVALID);
    free(body);
}

/* Long values are looked at many bytes at a time: every byte, at every place of one. */
static void every_byte_is_read_alike_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 70; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            char text[72] = "a=";
            struct xt_form form;
            struct xt_span value;
            memset(text + 2, 'g', sizeof(text) - 2);
            text[2 + at] = (char)byte;
            uint8_t *body = copy_of(text, sizeof(text));
            bool right = byte > ' ' && byte <= '~' && byte != '%' && byte != '&';
            assert_int_equal(xt_form_read(body, sizeof(text), &form), right ? XT_OK : XT_INVALID);
            if (right) {
                assert_true(xt_form_find(&form, "a", &value));
                assert_int_equal(value.size, sizeof(text) - 2);
                assert_int_equal(value.data[at], byte == '+' ? ' ' : byte);
            }
            free(body);
        }
    }
}

static void there_are_at_most_sixteen_fields(void **state)
{
    (void)state;
    for (unsigned count = XT_FORM_FIELDS_MAX; count <= XT_FORM_FIELDS_MAX + 1; count++) {
        char text[256];
        size_t size = 0;
        struct xt_form form;
        for (unsigned i = 0; i < count; i++) {
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%sn%u=%u", i > 0 ? "&" : "",
                                     i, i);
        }
        uint8_t *body = copy_of(text, size);
        assert_int_equal(xt_form_read(body, size, &form),
                         count <= XT_FORM_FIELDS_MAX ? XT_OK : XT_INVALID);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_decoded),
        cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(every_byte_is_read_alike_wherever_it_stands),
        cmocka_unit_test(there_are_at_most_sixteen_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
