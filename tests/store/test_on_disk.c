/* Nothing of a person stands in any file of a deployment: 1,000 people of a generated population, each in
 * every form in which the program handles them, against every byte of every file. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 1000U
#define POPULATION "4000"
#define EVERY 4 /* one in so many is looked for */
#define NEEDLES_MAX (PEOPLE * 24U)
#define TABLE_SIZE (1U << 16)
/* Forms of fewer bytes are found in sealed data by chance now and then: they are counted. */
#define LONG_ENOUGH 7

struct needle {
    uint8_t bytes[120];
    size_t size;
    uint32_t next; /* with the same hash; 0: none */
};

static struct needle needles[NEEDLES_MAX];
static uint32_t table[TABLE_SIZE]; /* by the first four bytes; index + 1 */
static uint32_t needle_count;
static uint64_t long_hits, short_hits, bytes_seen;
static unsigned files_seen;
static char found_in[256];

static uint32_t slot_of(const uint8_t *bytes)
{
    uint32_t first;
    memcpy(&first, bytes, sizeof(first));
    return (first * 2654435761U) >> 16; /* Knuth's multiplicative hash */
}

static void look_for(const void *bytes, size_t size)
{
    if (size < 4) {
        return;
    }
    assert_true(needle_count + 1 < NEEDLES_MAX);
    struct needle *needle = &needles[++needle_count];
    needle->size = size < sizeof(needle->bytes) ? size : sizeof(needle->bytes);
    memcpy(needle->bytes, bytes, needle->size);
    needle->next = table[slot_of(needle->bytes)];
    table[slot_of(needle->bytes)] = needle_count;
}

static void look_for_text(const char *text)
{
    look_for(text, strlen(text));
}

static void look_for_span(struct xt_span span)
{
    look_for(span.data, span.size);
}

static void look_for_integer(uint64_t value, size_t size)
{
    uint8_t little[8];
    uint8_t big[8];
    for (size_t i = 0; i < size; i++) {
        little[i] = (uint8_t)(value >> (8 * i));
        big[size - 1 - i] = little[i];
    }
    look_for(little, size);
    look_for(big, size);
}

static void look_for_person(const struct xt_person *person)
{
    char text[XT_PERSON_TEXT_MAX];
    snprintf(text, sizeof(text), "%012llu", (unsigned long long)person->number);
    look_for_text(text);
    look_for_integer(person->number, 5);
    look_for_integer(person->number, 8);
    look_for_span(person->full_name);
    look_for(person->name.codes, person->name.length);
    (void)xt_name_display(&person->name, text, sizeof(text));
    look_for_text(text);
    for (unsigned i = 0; i < person->phone_count; i++) {
        snprintf(text, sizeof(text), "%u", person->phones[i]);
        look_for_text(text);
        look_for_integer(person->phones[i], 4);
    }
    if (person->has_cmnd) {
        snprintf(text, sizeof(text), "%09u", person->cmnd);
        look_for_text(text);
        look_for_integer(person->cmnd, 4);
    }
    look_for_span(person->address_text);
    look_for_span(person->mother_name);
    look_for_span(person->father_name);
    for (unsigned i = 0; i < person->link_count; i++) {
        look_for(person->links[i].number.text, person->links[i].number.length);
    }
}

static void search(const uint8_t *data, size_t size, const char *where)
{
    bytes_seen += size;
    for (size_t at = 0; at + 4 <= size; at++) {
        for (uint32_t i = table[slot_of(data + at)]; i != 0; i = needles[i].next) {
            if (needles[i].size > size - at ||
                memcmp(data + at, needles[i].bytes, needles[i].size) != 0) {
                continue;
            }
            if (needles[i].size >= LONG_ENOUGH) {
                snprintf(found_in, sizeof(found_in), "%s, byte %zu", where, at);
            }
            *(needles[i].size >= LONG_ENOUGH ? &long_hits : &short_hits) += 1;
        }
    }
}

static int search_file(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F) {
        return 0;
    }
    size_t size = (size_t)facts->st_size;
    uint8_t *data = malloc(size + 1);
    FILE *file = fopen(path, "r");
    if (data == NULL || file == NULL || fread(data, 1, size, file) != size) {
        return -1;
    }
    search(data, size, path);
    fclose(file);
    free(data);
    files_seen++;
    return 0;
}

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

static void choose_people(const char *text, size_t size)
{
    struct xt_json_arena arena = {malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    assert_non_null(arena.memory);
    unsigned line = 0;
    for (const char *at = text, *end; at < text + size; at = end + 1) {
        struct xt_person person;
        struct xt_reject reject;
        end = memchr(at, '\n', (size_t)(text + size - at));
        assert_non_null(end);
        if (line++ % EVERY == 0) {
            assert_int_equal(
                xt_person_from_json(xt_span_of(at, (size_t)(end - at)), arena, &person, &reject),
                XT_OK);
            look_for_person(&person);
        }
    }
    assert_int_equal(line, PEOPLE * EVERY);
    free(arena.memory);
}

static void nothing_of_a_person_stands_on_disk(void **state)
{
    (void)state;
    size_t size;
    char *text = generate(&size);
    choose_people(text, size);
    assert_true(needle_count > 8 * PEOPLE);

    search((const uint8_t *)text, size, "the input"); /* it would be seen */
    assert_true(long_hits > 4 * PEOPLE);
    struct xt_person person;
    uint8_t record[XT_HOT_MAX];
    make_person(1, &person);
    look_for_person(&person);
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    xt_hot_encode(&person, &writer);
    long_hits = short_hits = bytes_seen = 0;
    search(record, writer.size, "a record");
    assert_true(long_hits >= 1 && short_hits >= 2); /* the name; the number and the phone */

    long_hits = short_hits = bytes_seen = 0;
    size += (size_t)sprintf(text + size, "%s", "{\"id\":\"001099012399\",\"full_name\":\"Kín\"}\n");
    assert_int_equal(run_with_input(text, size, "import", "DIR", "-", "--max-rejects", "1", NULL),
                     0);
    free(text);
    assert_true(exists("import-rejects.ndjson"));
    assert_int_equal(nftw(deployment(), search_file, 16, FTW_PHYS), 0);
    assert_true(files_seen >= 4); /* the data, the manifest, the keys, the rejects */
    assert_true(bytes_seen > PEOPLE * EVERY * 50ULL);
    if (long_hits > 0) {
        fail_msg("%llu found, such as in %s", (unsigned long long)long_hits, found_in);
    }
    /* Each form of four bytes comes up by chance once in 2^32 places; a leak would be thousands. */
    uint64_t by_chance = bytes_seen * needle_count >> 32;
    assert_true(short_hits <= 20 + 3 * by_chance);
    assert_true(20 + 3 * by_chance < PEOPLE / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        nothing_of_a_person_stands_on_disk, deployment_make, deployment_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
