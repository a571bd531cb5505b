/* Nothing of a person stands in any file of a deployment: 1,000 people of a generated population, each in
 * every form in which the program handles them, against every byte of every file. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/needles.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 1000U
#define POPULATION "4000"
#define EVERY 4 /* one in so many is looked for */
/* A generated population as text; the caller frees it. */
static char *generate(size_t *size)
{
    char command[256];
    const char *bench = getenv("XT_BENCH");
    const size_t most = 16U << 20;
    char *text = malloc(most);
    assert_non_null(bench);
    assert_non_null(text);
    snprintf(command, sizeof(command), "'%s' gen --count " POPULATION " --seed 7 --full", bench);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): our own program */
    assert_non_null(pipe);
    *size = fread(text, 1, most - 256, pipe);
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static void nothing_of_a_person_stands_on_disk(void **state)
{
    (void)state;
    size_t size;
    char *text = generate(&size);
    struct needles_found found = {0};
    assert_int_equal(needles_add_people(text, size, EVERY), PEOPLE);
    assert_true(needles_count() > 8 * PEOPLE);

    needles_search((const uint8_t *)text, size, "the input", &found); /* it would be seen */
    assert_true(found.forms_long > 4 * PEOPLE);
    struct xt_person person;
    uint8_t record[XT_HOT_MAX];
    make_person(1, &person);
    needles_add_person(&person);
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    xt_hot_encode(&person, &writer);
    found = (struct needles_found){0};
    needles_search(record, writer.size, "a record", &found);
    assert_true(found.forms_long >= 1 && found.forms_short >= 2); /* the name; number and phone */

    found = (struct needles_found){0};
    size += (size_t)sprintf(text + size, "%s", "{\"id\":\"001099012399\",\"full_name\":\"Kín\"}\n");
    assert_int_equal(run_with_input(text, size, "import", "DIR", "-", "--max-rejects", "1", NULL),
                     0);
    free(text);
    assert_true(exists("import-rejects.ndjson"));
    needles_search_folder(deployment(), &found);
    assert_true(found.files >= 4); /* the data, the manifest, the keys, the rejects */
    assert_true(found.bytes > PEOPLE * EVERY * 50ULL);
    needles_assert_none(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        nothing_of_a_person_stands_on_disk, deployment_make, deployment_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
