/* bench/ldap by its bytes (RFC 4511, X.690), and the forms in which other software holds people. */
#include "tests/test.h"

#include "bench/ldap.h"
#include "bench/peers_people.h"
#include "bench/peers_template.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME XT_CLAIM_BIT(XT_CLAIM_FULL_NAME)
#define BIRTH XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH)
#define SEX XT_CLAIM_BIT(XT_CLAIM_SEX)

static void a_compare_is_the_bytes_that_the_standard_says(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x30, 0x16, 0x02, 0x01, 0x05, 0x6e, 0x11, 0x04,
                                       0x04, 'c',  'n',  '=',  'x',  0x30, 0x09, 0x04,
                                       0x02, 's',  'n',  0x04, 0x03, 'L',  0xc3, 0xaa};
    uint8_t bytes[64];
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    xt_ldap_write_compare(&writer, 5, xt_span_of_string("cn=x"), xt_span_of_string("sn"),
                          xt_span_of_string("L\xc3\xaa"));
    assert_false(writer.overflow);
    assert_int_equal(writer.size, sizeof(expected));
    assert_memory_equal(bytes, expected, sizeof(expected));
}

static void lengths_past_127_take_more_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    static char value[300];
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    memset(value, 'v', sizeof(value));
    xt_ldap_write_compare(&writer, 1, xt_span_of_string("e"), xt_span_of_string("a"),
                          xt_span_of(value, 130));
    /* 3 + 133 in the assertion (138 with its head), 3 before it, 3 + 144 in the message. */
    static const uint8_t head[] = {0x30, 0x81, 0x95, 0x02, 0x01, 0x01, 0x6e, 0x81, 0x8f, 0x04, 0x01,
                                   'e',  0x30, 0x81, 0x89, 0x04, 0x01, 'a',  0x04, 0x81, 0x82};
    assert_int_equal(writer.size, sizeof(head) + 130 + 1 - 1);
    assert_int_equal(bytes[2], writer.size - 3);
    assert_int_equal(bytes[8], writer.size - 9);
    writer = xt_writer_over(bytes, sizeof(bytes));
    xt_ldap_write_compare(&writer, 1, xt_span_of_string("e"), xt_span_of_string("a"),
                          xt_span_of(value, 300));
    assert_int_equal(bytes[1], 0x82);
    assert_int_equal(bytes[2] << 8 | bytes[3], writer.size - 4);
    size_t at = writer.size - 300 - 4;
    static const uint8_t before[] = {0x04, 0x82, 0x01, 0x2c};
    assert_memory_equal(bytes + at, before, 4);
}

/* An answer as slapd writes it. */
static void add_answer(struct xt_writer *writer, unsigned id, unsigned code)
{
    uint8_t bytes[] = {0x30, 0x0c, 0x02,          0x01, (uint8_t)id, 0x6f, 0x07,
                       0x0a, 0x01, (uint8_t)code, 0x04, 0x00,        0x04, 0x00};
    xt_write(writer, bytes, sizeof(bytes));
}

static void answers_find_their_claims_in_any_order(void **state)
{
    (void)state;
    uint8_t bytes[256];
    uint32_t matched;
    size_t size;
    const char *why = NULL;
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    add_answer(&writer, XT_CLAIM_SEX + 1, 5); /* compareFalse */
    add_answer(&writer, XT_CLAIM_FULL_NAME + 1, 6);
    add_answer(&writer, XT_CLAIM_DATE_OF_BIRTH + 1, 32); /* noSuchObject */
    size_t whole = writer.size;
    add_answer(&writer, 1, 6); /* of the next verify */
    assert_int_equal(
        xt_ldap_read_answers(xt_written(&writer), NAME | BIRTH | SEX, &matched, &size, &why),
        XT_OK);
    assert_int_equal(matched, NAME);
    assert_int_equal(size, whole);
    for (size_t cut = 0; cut < whole; cut++) {
        assert_int_equal(
            xt_ldap_read_answers(xt_span_of(bytes, cut), NAME | BIRTH | SEX, &matched, &size, &why),
            XT_AGAIN);
    }
}

static void long_forms_of_lengths_and_trailing_parts_are_taken(void **state)
{
    (void)state;
    static const uint8_t long_form[] = {0x30, 0x84, 0, 0, 0,    0x10, 0x02, 0x01, 0x01, 0x6f, 0x84,
                                        0,    0,    0, 7, 0x0a, 0x01, 0x06, 0x04, 0x00, 0x04, 0x00};
    static const uint8_t with_text[] = {0x30, 0x10, 0x02, 0x01, 0x01, 0x6f, 0x0b, 0x0a, 0x01,
                                        0x10, 0x04, 0x01, 'x',  0x04, 0x03, 'w',  'h',  'y'};
    uint32_t matched;
    size_t size;
    const char *why;
    assert_int_equal(
        xt_ldap_read_answers(xt_span_of(long_form, sizeof(long_form)), NAME, &matched, &size, &why),
        XT_OK);
    assert_int_equal(matched, NAME);
    assert_int_equal(size, sizeof(long_form));
    assert_int_equal(
        xt_ldap_read_answers(xt_span_of(with_text, sizeof(with_text)), NAME, &matched, &size, &why),
        XT_OK); /* noSuchAttribute */
    assert_int_equal(matched, 0);
}

static void anything_else_is_malformed(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        uint8_t bytes[20];
    } answers[] = {
        {14, {0x30, 0x0c, 2, 1, 0, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}},    /* a notice */
        {14, {0x30, 0x0c, 2, 1, 2, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}},    /* not asked */
        {14, {0x30, 0x0c, 2, 1, 99, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}},   /* no claim */
        {14, {0x30, 0x0c, 2, 1, 1, 0x61, 7, 0x0a, 1, 6, 4, 0, 4, 0}},    /* a bind's answer */
        {14, {0x30, 0x0c, 2, 1, 1, 0x6f, 7, 0x0a, 1, 50, 4, 0, 4, 0}},   /* no right */
        {14, {0x30, 0x0c, 2, 1, 1, 0x6f, 9, 0x0a, 1, 6, 4, 0, 4, 0}},    /* longer than its whole */
        {14, {0x30, 0x0c, 2, 1, 1, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 1}},    /* the same, within */
        {14, {0x31, 0x0c, 2, 1, 1, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}},    /* a set */
        {14, {0x30, 0x80, 2, 1, 1, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}},    /* indefinite length */
        {7, {0x30, 0x85, 1, 0, 0, 0, 0}},                                /* five bytes of length */
        {6, {0x30, 0x84, 0xff, 0xff, 0xff, 0xff}},                       /* 4 GiB */
        {4, {0x30, 0x82, 0x04, 0x01}},                                   /* over the limit */
        {15, {0x30, 0x0d, 2, 2, 0, 1, 0x6f, 7, 0x0a, 1, 6, 4, 0, 4, 0}}, /* not in fewest bytes */
    };
    for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        uint32_t matched;
        size_t size;
        const char *why = NULL;
        /* In memory of just that size, for the sanitizer. */
        uint8_t *copy = malloc(answers[i].size);
        assert_non_null(copy);
        memcpy(copy, answers[i].bytes, answers[i].size);
        if (xt_ldap_read_answers(xt_span_of(copy, answers[i].size), NAME, &matched, &size, &why) !=
            XT_INVALID) {
            fail_msg("answer %u", i);
        }
        assert_non_null(why);
        free(copy);
    }
}

static void an_answer_given_twice_is_malformed(void **state)
{
    (void)state;
    uint8_t bytes[64];
    uint32_t matched;
    size_t size;
    const char *why;
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    add_answer(&writer, 1, 6);
    add_answer(&writer, 1, 6);
    assert_int_equal(xt_ldap_read_answers(xt_written(&writer), NAME | BIRTH, &matched, &size, &why),
                     XT_INVALID);
}

static void requests_become_one_compare_per_claim(void **state)
{
    (void)state;
    struct xt_load_options options = {.seed = 3, .count = 500, .requests = 200};
    struct xt_workload workload;
    struct xt_failure failure = {""};
    assert_int_equal(xt_ldap_workload_make(&options, &workload, &failure), XT_OK);
    assert_true(workload.ldap);
    for (unsigned i = 0; i < workload.count; i++) {
        const struct xt_workload_request *request = &workload.requests[i];
        const uint8_t *at = workload.wire + request->offset;
        const uint8_t *end = at + request->size;
        uint32_t asked = 0;
        while (at < end) { /* all lengths are short here */
            assert_int_equal(at[0], 0x30);
            assert_true(at[1] < 0x80 && at + 2 + at[1] <= end);
            asked |= XT_CLAIM_BIT(at[4] - 1);
            at += 2 + at[1];
        }
        assert_ptr_equal(at, end);
        assert_int_equal(asked, request->asked);
        assert_true(asked != 0 && (request->matched & ~asked) == 0);
    }
    xt_workload_free(&workload);
}

static const char *folded(const char *name)
{
    static char texts[2][XT_FOLD_MAX + 1];
    static unsigned next;
    char *text = texts[next++ % 2];
    text[xt_peers_fold(xt_span_of_string(name), text)] = '\0';
    return text;
}

static void spellings_of_one_name_fold_alike_and_others_do_not(void **state)
{
    (void)state;
    assert_string_equal(folded("Nguyễn Văn An"), "nguye^4n va(n an");
    assert_string_equal(folded("Đỗ Thị Hòa"), folded("ĐỖ THỊ HOÀ"));
    assert_string_equal(folded("Lý Mỹ Thủy"), folded("Lí Mĩ Thuỷ"));
    assert_string_equal(folded("Quý"), folded("Quí"));
    assert_string_not_equal(folded("Vi"), folded("Vy"));
    assert_string_equal(folded("Vĩ"), folded("Vỹ"));
    assert_string_not_equal(folded("Thúy"), folded("Thúi"));
    assert_string_not_equal(folded("Tay"), folded("Tai"));
    assert_string_not_equal(folded("Hoa"), folded("Hòa"));
    assert_string_not_equal(folded("Đung"), folded("Dung"));
}

static void names_in_a_configuration_are_filled_in(void **state)
{
    (void)state;
    static char text[XT_PEERS_TEXT_MAX];
    const struct xt_peers_value all[] = {
        {"REDIS", "/run/r.sock"}, {"FOLDER", "/a/folder"}, {NULL, NULL}};
    struct xt_failure failure = {""};
    assert_int_equal(xt_peers_fill("redis.conf", all, text, &failure), XT_OK);
    assert_non_null(strstr(text, "\nunixsocket /run/r.sock\n"));
    assert_non_null(strstr(text, "\ndir /a/folder\n"));
    assert_null(strchr(text, '@'));
    assert_int_equal(xt_peers_fill("redis.conf", all + 1, text, &failure), XT_INVALID);
    assert_string_equal(failure.text, "redis.conf: @REDIS@ has no value");
}

/* What is loaded, one text a form, of a population that two readers can be compared by. */
static char *people_in(enum xt_peers_form form)
{
    char path[] = "/tmp/xt-people-XXXXXX";
    struct xt_population *population;
    struct xt_failure failure = {""};
    assert_int_equal(xt_population_open(11, 3000, &population), XT_OK);
    assert_non_null(mkdtemp(path));
    char file[64];
    (void)snprintf(file, sizeof(file), "%s/people", path);
    assert_int_equal(xt_peers_people_write(population, form, file, true, NULL, &failure), XT_OK);
    xt_population_close(population);
    FILE *stream = fopen(file, "re");
    char *text = calloc(1, 8U << 20);
    assert_true(stream != NULL && text != NULL);
    assert_true(fread(text, 1, (8U << 20) - 1, stream) > 0);
    (void)fclose(stream);
    (void)remove(file);
    (void)remove(path);
    return text;
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)) != NULL; text++) {
        count++;
    }
    return count;
}

static void every_form_has_the_same_people(void **state)
{
    (void)state;
    struct xt_population *population;
    assert_int_equal(xt_population_open(11, 3000, &population), XT_OK);
    unsigned alive = 0;
    for (uint64_t i = 0; i < 3000; i++) {
        alive += xt_population_life(population, i) == XT_LIFE_ALIVE;
    }
    xt_population_close(population);
    char *redis = people_in(XT_PEERS_REDIS);
    char *table = people_in(XT_PEERS_TABLE);
    char *aliases = people_in(XT_PEERS_ALIASES);
    char *ldif = people_in(XT_PEERS_LDIF);
    assert_int_equal(count_of(redis, "\r\np:"), 3000);
    assert_int_equal(count_of(table, "\n"), 3000);
    assert_int_equal(count_of(redis, "\r\na:"), count_of(aliases, "\n"));
    assert_int_equal(count_of(ldif, "\ndn: xtNumber="), alive);
    assert_int_equal(count_of(table, "\talive\t"), alive);
    free(redis);
    free(table);
    free(aliases);
    free(ldif);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_compare_is_the_bytes_that_the_standard_says),
        cmocka_unit_test(lengths_past_127_take_more_bytes),
        cmocka_unit_test(answers_find_their_claims_in_any_order),
        cmocka_unit_test(long_forms_of_lengths_and_trailing_parts_are_taken),
        cmocka_unit_test(anything_else_is_malformed),
        cmocka_unit_test(an_answer_given_twice_is_malformed),
        cmocka_unit_test(requests_become_one_compare_per_claim),
        cmocka_unit_test(spellings_of_one_name_fold_alike_and_others_do_not),
        cmocka_unit_test(names_in_a_configuration_are_filled_in),
        cmocka_unit_test(every_form_has_the_same_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
