/* Requests answered without a connection: many together get what each gets alone, word for word. */
#include <stdlib.h>
#include <string.h>

#include "net/verification.h"
#include "store/command_line.h"
#include "store/partners.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

#define REQUESTS 1500U
#define OTHERS (sizeof(others) / sizeof(others[0]))
#define ALL (REQUESTS + OTHERS * 8)
#define UNIX_MS 1767258000000U
#define TODAY xt_date_of_unix_ms(UNIX_MS)

/* What is refused, and what goes to the cold part, in between the generated ones. */
static const char *const others[] = {
    "",
    "{",
    "[]",
    "{\"id\":\"001099012345\",\"purpose\":\"demo.verify\",\"claims\":{}}",
    "{\"id\":\"1\",\"purpose\":\"demo.verify\",\"claims\":{\"sex\":\"male\"},\"more\":1}",
    "{\"id\":\"001099012345\",\"purpose\":\"other\",\"claims\":{\"sex\":\"male\"}}",
    "{\"id\":\"001099012345\",\"purpose\":\"demo.verify\",\"claims\":{\"passport\":\"C1234567\"}}",
    "{\"id\":\"123456789\",\"purpose\":\"demo.verify\",\"claims\":{\"tax\":\"8012345678\",\"sex\":"
    "\"male\"}}",
    "{\"id\":\"001099012345\",\"purpose\":\"demo.verify\",\"match\":{\"full_name\":\"fuzzy\"},"
    "\"claims\":{\"full_name\":\"Nguyen Van An\"}}",
};

static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static struct xt_failure failure;
static struct xt_json_arena arena;
static struct xt_generation *generation;
static struct xt_partners *partners;
static char *texts[ALL]; /* the bodies */

static void ignore(void *context, const char *file, const char *why)
{
    (void)context;
    fail_msg("%s: %s", file, why);
}

static void read_texts(void)
{
    assert_int_equal(run(bench(), "gen", "--requests", "1500", "--count", PEOPLE, "--seed", SEED,
                         "--out", deployment("requests.ndjson"), NULL),
                     0);
    char *file = read_text(deployment("requests.ndjson"));
    char *line = strtok(file, "\n");
    unsigned next = 0;
    for (unsigned i = 0; i < ALL; i++) {
        unsigned other = i / 2 % OTHERS;
        if (i % 2 == 1 && i / 2 < OTHERS * 8) {
            texts[i] = strdup(others[other]);
            continue;
        }
        static const char before[] = "{\"request\":";
        assert_non_null(line);
        char *end = strstr(line, ",\"expect\":");
        assert_non_null(end);
        assert_memory_equal(line, before, sizeof(before) - 1);
        texts[i] = strndup(line + sizeof(before) - 1, (size_t)(end - line) - (sizeof(before) - 1));
        line = strtok(NULL, "\n");
        next++;
    }
    assert_int_equal(next, REQUESTS);
    free(file);
}

static int open_all(void **state)
{
    uint32_t number = 0;
    struct xt_keyring *keyring = NULL;
    const char *dir;
    if (deployment_make(state) != 0) {
        return -1;
    }
    dir = deployment("DIR");
    xt_crypto_start();
    arena = (struct xt_json_arena){.memory = malloc(XT_VERIFY_ARENA), .size = XT_VERIFY_ARENA};
    assert_int_equal(xt_generation_current(dir, &number, &failure), XT_OK);
    assert_int_equal(xt_deployment_keyring(dir, &keyring, &failure), XT_OK);
    assert_int_equal(xt_generation_open(dir, number, keyring, &generation, &failure), XT_OK);
    assert_int_equal(xt_partners_load(dir, NULL, ignore, NULL, &partners, &failure), XT_OK);
    xt_keyring_close(keyring);
    read_texts();
    return 0;
}

static int close_all(void **state)
{
    for (unsigned i = 0; i < ALL; i++) {
        free(texts[i]);
    }
    xt_generation_close(generation);
    xt_partners_free(partners);
    free(arena.memory);
    return deployment_remove(state);
}

/* The answer, or the problem and its errors, as text. */
static void describe(const struct xt_verification *verification, char *text, size_t size)
{
    static const char answer_id[XT_ANSWER_ID + 1] = "01KAWK6Z9Q0000000000000000";
    struct xt_writer writer = xt_writer_over(text, size - 1);
    if (verification->problem == XT_PROBLEM_NONE) {
        xt_verification_write(verification, answer_id, "2026-01-01T09:00:00.000Z", &writer);
    } else {
        xt_problem_to_json(verification->problem, false, answer_id, &verification->errors, &writer);
    }
    assert_false(writer.overflow);
    text[writer.size] = '\0';
}

struct tray {
    struct xt_verification *list;
    uint8_t **bodies;
    unsigned size;
};

static struct tray make_tray(const struct xt_partner *partner, unsigned from, unsigned count)
{
    struct tray tray = {.list = calloc(count, sizeof(*tray.list)),
                        .bodies = calloc(count, sizeof(*tray.bodies)),
                        .size = count};
    for (unsigned i = 0; i < count; i++) {
        size_t size = strlen(texts[from + i]);
        tray.bodies[i] = calloc(1, size + 4);
        memcpy(tray.bodies[i], texts[from + i], size);
        tray.list[i].partner = partner;
        tray.list[i].address = address;
        tray.list[i].body = tray.bodies[i];
        tray.list[i].body_size = size;
        xt_verification_read(&tray.list[i], arena);
    }
    return tray;
}

static void free_tray(struct tray *tray)
{
    for (unsigned i = 0; i < tray->size; i++) {
        free(tray->bodies[i]);
    }
    free(tray->bodies);
    free(tray->list);
}

static void compare(const struct xt_partner *partner, unsigned group, unsigned *answered)
{
    const struct xt_register people = {.generation = generation};
    for (unsigned from = 0; from < ALL; from += group) {
        unsigned count = ALL - from < group ? ALL - from : group;
        struct tray together = make_tray(partner, from, count);
        xt_verifications_find(together.list, count, &people, TODAY);
        for (unsigned i = 0; i < count; i++) {
            char expected[8192];
            char got[8192];
            struct tray alone = make_tray(partner, from + i, 1);
            xt_verifications_find(alone.list, 1, &people, TODAY);
            describe(&alone.list[0], expected, sizeof(expected));
            describe(&together.list[i], got, sizeof(got));
            assert_string_equal(got, expected);
            *answered += alone.list[0].problem == XT_PROBLEM_NONE;
            free_tray(&alone);
        }
        free_tray(&together);
    }
}

static void many_together_get_what_each_gets_alone(void **state)
{
    (void)state;
    static const unsigned groups[] = {1, 3, XT_TABLE_GROUP, XT_TABLE_GROUP + 1, ALL};
    for (unsigned p = 0; p < 3; p++) {
        static const char *const names[] = {"demo", "wide", "narrow"};
        const struct xt_partner *partner = xt_partners_by_name(partners, names[p]);
        assert_non_null(partner);
        for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
            unsigned answered = 0;
            compare(partner, groups[i], &answered);
            if (p < 2) { /* narrow may ask for next to nothing */
                assert_in_range(answered, REQUESTS, ALL);
            }
        }
    }
}

static void none_at_all_is_fine(void **state)
{
    (void)state;
    xt_verifications_find(NULL, 0, NULL, TODAY);
}

static void a_refused_request_tells_where_it_is_wrong(void **state)
{
    (void)state;
    const struct xt_partner *partner = xt_partners_by_name(partners, "demo");
    static const struct {
        unsigned other;
        enum xt_problem problem;
        const char *pointer;
    } cases[] = {{1, XT_PROBLEM_INVALID_REQUEST, ""},
                 {3, XT_PROBLEM_INVALID_REQUEST, "/claims"},
                 {5, XT_PROBLEM_PURPOSE_NOT_PERMITTED, "/purpose"},
                 {8, XT_PROBLEM_NAME_LEVEL_NOT_PERMITTED, "/match/full_name"}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned at = cases[i].other * 2 + 1;
        assert_string_equal(texts[at], others[cases[i].other]);
        struct tray tray = make_tray(partner, at, 1);
        assert_int_equal(tray.list[0].problem, cases[i].problem);
        assert_int_equal(tray.list[0].errors.count, 1);
        assert_string_equal(tray.list[0].errors.list[0].pointer, cases[i].pointer);
        free_tray(&tray);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_together_get_what_each_gets_alone),
        cmocka_unit_test(none_at_all_is_fine),
        cmocka_unit_test(a_refused_request_tells_where_it_is_wrong),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
