/* Every generated request against the register itself: the person is looked up by brute force among
 * all people, as the import would hold them, and the claims are compared by core. */
#include "tests/test.h"

#include "bench/requests.h"
#include "bench/resident_text.h"
#include "bench/spelling.h"
#include "core/record.h"
#include "core/request.h"

#include <stdlib.h>

#define PEOPLE 100000U
#define REQUESTS 60000U
#define DAY ((xt_date)2026 << 9 | 1U << 5 | 1U)

struct alias {
    uint64_t value; /* CMND are kept apart from numbers by 10^12 */
    uint32_t person;
};
#define CMND_BASE 1000000000000U

struct register_of_all {
    struct xt_population *population;
    struct alias *aliases;
    size_t count;
};

static int compare_aliases(const void *a, const void *b)
{
    const struct alias *left = a, *right = b;
    return left->value < right->value ? -1 : left->value > right->value;
}

static struct register_of_all build(uint64_t seed, uint32_t count)
{
    struct register_of_all all = {.aliases = malloc(3 * sizeof(struct alias) * count)};
    assert_non_null(all.aliases);
    assert_int_equal(xt_population_open(seed, count, &all.population), XT_OK);
    for (uint32_t i = 0; i < count; i++) {
        struct xt_resident person;
        xt_population_person(all.population, i, &person);
        all.aliases[all.count++] = (struct alias){person.number, i};
        /* As import does: a cancelled holder gives way to one who is not. */
        bool gives_way = person.cmnd_shared && person.life == XT_LIFE_CANCELLED &&
                         xt_population_life(all.population, i ^ 1U) != XT_LIFE_CANCELLED;
        if (person.has_cmnd && !gives_way) {
            all.aliases[all.count++] = (struct alias){CMND_BASE + person.cmnd, i};
        }
        if (person.has_replaced) {
            all.aliases[all.count++] = (struct alias){person.replaced, i};
        }
    }
    qsort(all.aliases, all.count, sizeof(all.aliases[0]), compare_aliases);
    return all;
}

static void drop(struct register_of_all *all)
{
    xt_population_close(all->population);
    free(all->aliases);
}

/* Exactly one person of that id. */
static bool look_up(const struct register_of_all *all, struct xt_id id, uint32_t *person)
{
    uint64_t value = id.kind == XT_ID_CMND ? CMND_BASE + id.value : id.value;
    size_t low = 0, high = all->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all->aliases[middle].value < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == all->count || all->aliases[low].value != value ||
        (low + 1 < all->count && all->aliases[low + 1].value == value)) {
        return false;
    }
    *person = all->aliases[low].person;
    return true;
}

/* The person as the store would give it: through the import format and the hot record. */
static void load(const struct register_of_all *all, uint32_t index, bool full, struct xt_hot *hot,
                 struct xt_links *links)
{
    static uint8_t memory[XT_PERSON_JSON_ARENA];
    static struct xt_person person;
    struct xt_resident resident;
    struct xt_resident_more more;
    struct xt_reject reject;
    char line[XT_RESIDENT_LINE_MAX];
    uint8_t record[XT_HOT_MAX];
    struct xt_writer writer = xt_writer_over(line, sizeof(line));
    xt_population_person(all->population, index, &resident);
    xt_population_more(all->population, &resident, &more);
    xt_resident_to_json(&resident, full ? &more : NULL, &writer);
    struct xt_json_arena arena = {memory, sizeof(memory)};
    assert_int_equal(
        xt_person_from_json(xt_span_of(line, writer.size - 1), arena, &person, &reject), XT_OK);
    writer = xt_writer_over(record, sizeof(record));
    xt_hot_encode(&person, &writer);
    assert_false(writer.overflow);
    assert_int_equal(xt_hot_decode(xt_written(&writer), hot), XT_OK);
    links->count = person.link_count;
    memcpy(links->links, person.links, person.link_count * sizeof(person.links[0]));
}

static void check(const struct register_of_all *all, const struct xt_generated_request *generated,
                  bool full)
{
    static uint8_t memory[XT_VERIFY_ARENA];
    static uint8_t body[XT_REQUEST_BODY_MAX + 64];
    struct xt_verify_request request;
    struct xt_request_errors errors = {0};
    struct xt_hot hot;
    static struct xt_links links;
    struct xt_outcome outcome;
    uint32_t person = 0;
    memcpy(body, generated->body, generated->body_size);
    memset(body + generated->body_size, 0, 64);
    struct xt_json_arena arena = {memory, sizeof(memory)};
    if (xt_verify_request_from_json(body, generated->body_size, arena, &request, &errors) !=
        XT_OK) {
        fail_msg("%s at %s: %.*s", errors.list[0].code, errors.list[0].pointer,
                 (int)generated->body_size, generated->body);
    }
    assert_int_equal(request.claims.asked, generated->asked);
    bool found = look_up(all, request.id, &person);
    load(all, person, full, &hot, &links);
    xt_claims_compare(&request.claims, found, &hot, &links, false, false, DAY, &outcome);
    bool verified = outcome.verdict == XT_VERDICT_VERIFIED;
    bool wrong = verified != (generated->matched == generated->asked);
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((generated->asked & XT_CLAIM_BIT(claim)) != 0) {
            bool matched = outcome.results[claim] == XT_RESULT_MATCH;
            wrong |= matched != ((generated->matched & XT_CLAIM_BIT(claim)) != 0);
        }
    }
    if (wrong) {
        fail_msg("%s %s: asked %x, expected %x: %.*s", xt_request_kind_name(generated->kind),
                 generated->form, generated->asked, generated->matched, (int)generated->body_size,
                 generated->body);
    }
}

static void check_plan(bool full, uint64_t seed, const char *mix)
{
    struct register_of_all all = build(seed, PEOPLE);
    struct xt_request_plan plan;
    struct xt_generated_request request;
    struct xt_failure failure;
    uint64_t kinds[XT_REQUEST_KINDS] = {0};
    xt_request_plan_defaults(&plan, all.population);
    plan.full = full;
    plan.claims = full ? XT_CLAIM_ALL : plan.claims;
    if (mix != NULL) {
        assert_int_equal(xt_request_plan_set_mix(&plan, mix, &failure), XT_OK);
    }
    uint32_t asked = 0;
    for (uint64_t i = 0; i < REQUESTS; i++) {
        xt_request_make(&plan, i, &request);
        assert_int_equal(request.asked & ~plan.claims, 0);
        assert_int_equal(request.matched & ~request.asked, 0);
        check(&all, &request, full);
        kinds[request.kind]++;
        asked |= request.asked;
    }
    assert_int_equal(asked, plan.claims); /* every claim is asked by some */
    for (unsigned kind = 0; kind < XT_REQUEST_KINDS; kind++) {
        double expected = REQUESTS * plan.weights[kind] / 100.0;
        double off = (double)kinds[kind] - expected;
        if (off * off > 36 * expected) {
            fail_msg("%s: %.0f expected", xt_request_kind_name((enum xt_request_kind)kind),
                     expected);
        }
    }
    drop(&all);
}

static void expected_answers_are_the_registers(void **state)
{
    (void)state;
    check_plan(false, 21, NULL);
}

static void expected_answers_about_documents_are_the_registers(void **state)
{
    (void)state;
    check_plan(true, 22, NULL);
}

/* Many, since what could go wrong is rare: the CMND of one whose CMND another holds as well. */
static void every_variant_is_verified(void **state)
{
    (void)state;
    check_plan(false, 25, "variant=100");
    check_plan(false, 26, "variant=100");
}

static void every_form_of_every_kind_occurs(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "registered", "upper",        "lower",     "nfd",          "combining", "full_width",
        "tone_moved", "i_y",          "spaces",    "phone_0",      "phone_84",  "qr",
        "cmnd",       "replaced",     "number",    "unaccented",   "dropped",   "substituted",
        "doubled",    "wrong_tone",   "reordered", "other_values", "deceased",  "missing",
        "cancelled",  "missing_token"};
    enum { FORMS = sizeof(forms) / sizeof(forms[0]) };
    unsigned seen[FORMS] = {0};
    struct xt_population *population;
    struct xt_request_plan plan;
    struct xt_generated_request request;
    assert_int_equal(xt_population_open(23, PEOPLE, &population), XT_OK);
    xt_request_plan_defaults(&plan, population);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        unsigned form = 0;
        xt_request_make(&plan, i, &request);
        while (form < FORMS && strcmp(forms[form], request.form) != 0) {
            form++;
        }
        assert_true(form < FORMS);
        seen[form]++;
    }
    for (unsigned form = 0; form < FORMS; form++) {
        if (seen[form] == 0) {
            fail_msg("no request of form %s", forms[form]);
        }
    }
    xt_population_close(population);
}

static void requests_can_be_made_in_any_order(void **state)
{
    (void)state;
    struct xt_population *population;
    struct xt_request_plan plan;
    static struct xt_generated_request one, two;
    assert_int_equal(xt_population_open(24, 1000, &population), XT_OK);
    xt_request_plan_defaults(&plan, population);
    for (uint64_t i = 0; i < 1000; i++) {
        xt_request_make(&plan, 1000000 - i, &one);
        xt_request_make(&plan, i, &two);
        xt_request_make(&plan, 1000000 - i, &two);
        assert_int_equal(one.body_size, two.body_size);
        assert_memory_equal(one.body, two.body, one.body_size);
        assert_int_equal(one.matched, two.matched);
    }
    xt_population_close(population);
}

/* Where there is nobody deceased, no shared CMND, no phone: still right answers for every request. */
static void small_populations_give_right_answers_too(void **state)
{
    (void)state;
    struct xt_generated_request request;
    for (uint32_t count = 1; count < 30; count++) {
        struct register_of_all all = build(count * 31, count);
        for (unsigned claims = 0; claims < 3; claims++) {
            struct xt_request_plan plan;
            xt_request_plan_defaults(&plan, all.population);
            plan.claims = claims == 0   ? plan.claims
                          : claims == 1 ? XT_CLAIM_BIT(XT_CLAIM_PHONE)
                                        : XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
            for (uint64_t i = 0; i < 40; i++) {
                xt_request_make(&plan, i, &request);
                check(&all, &request, false);
            }
        }
        drop(&all);
    }
}

static void mix_is_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "right",  "right=",          "right=x",      "right=-1",
        "right=0", "left=1", "right=1;wrong=2", "right=100001", "=1"};
    struct xt_request_plan plan;
    struct xt_failure failure;
    assert_int_equal(xt_request_plan_set_mix(&plan, "right=3,unknown=1", &failure), XT_OK);
    assert_int_equal(plan.weights[XT_REQUEST_RIGHT], 3);
    assert_int_equal(plan.weights[XT_REQUEST_WRONG], 0);
    assert_int_equal(plan.weights[XT_REQUEST_UNKNOWN], 1);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(xt_request_plan_set_mix(&plan, bad[i], &failure), XT_INVALID);
    }
}

static size_t rewrite(const char *name, enum xt_form form, char *text)
{
    struct xt_letters letters;
    xt_letters_read(xt_span_of_string(name), &letters);
    return xt_letters_write(&letters, form, text);
}

static void names_are_written_in_each_form(void **state)
{
    (void)state;
    char text[XT_SPELLING_TEXT_MAX];
    static const char nfd[] = "Nguye\xCC\x82\xCC\x83n \xC4\x90"
                              "a\xCC\xA3\xCC\x82u o\xCC\x9B\xCC\xA3";
    assert_int_equal(rewrite("Nguyễn Đậu ợ", XT_FORM_NFD, text), sizeof(nfd) - 1);
    assert_memory_equal(text, nfd, sizeof(nfd) - 1);
    assert_int_equal(rewrite("Nguyễn Đậu ợ", XT_FORM_NFC, text), strlen("Nguyễn Đậu ợ"));
    assert_memory_equal(text, "Nguyễn Đậu ợ", strlen("Nguyễn Đậu ợ"));
    static const char combining[] = "Nguy\xC3\xAA\xCC\x83n";
    assert_int_equal(rewrite("Nguyễn", XT_FORM_COMBINING, text), sizeof(combining) - 1);
    assert_memory_equal(text, combining, sizeof(combining) - 1);
    struct xt_letters letters;
    xt_letters_read(xt_span_of_string("Lý Thủy Hòa Quý"), &letters);
    assert_true(xt_letters_move_tone(&letters));
    assert_true(xt_letters_swap_i_y(&letters));
    size_t size = xt_letters_write(&letters, XT_FORM_NFC, text);
    assert_int_equal(size, strlen("Lí Thuỷ Hoà Qúy"));
    assert_memory_equal(text, "Lí Thuỷ Hoà Qúy", size);
    xt_letters_set_case(&letters, true);
    size = xt_letters_write(&letters, XT_FORM_NFC, text);
    assert_memory_equal(text, "LÍ THUỶ HOÀ QÚY", size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_answers_are_the_registers),
        cmocka_unit_test(expected_answers_about_documents_are_the_registers),
        cmocka_unit_test(every_variant_is_verified),
        cmocka_unit_test(every_form_of_every_kind_occurs),
        cmocka_unit_test(requests_can_be_made_in_any_order),
        cmocka_unit_test(small_populations_give_right_answers_too),
        cmocka_unit_test(mix_is_read_strictly),
        cmocka_unit_test(names_are_written_in_each_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
