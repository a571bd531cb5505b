/* The chapter "Threat model" of README.md names tests, and it answers the requirements of OWASP ASVS 5.0.0.
 * Neither may rot: every test that is named exists and runs, and of levels 1 and 2 nothing is left out.
 *
 * A test is named as `net/quota: one_name, another_name`: functions of tests/net/test_quota.c. Of net/raw and
 * net/raw_tls they are cases of tests/net/raw_cases.c; `fuzz/http` alone is tests/fuzz/fuzz_http.c. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

#define TEXT_MAX (1U << 20)
#define CHAPTER "\n## Threat model\n"
#define STANDARD "\n### OWASP ASVS"

/* Requirements of levels 1 and 2 in each section. They are the first ones of their section: the
 * standard (5.0.0, May 2025) puts those of level 3 behind them. */
static const struct section {
    unsigned char chapter, section, count;
} SECTIONS[] = {
    {1, 1, 2},  {1, 2, 9},  {1, 3, 11}, {1, 4, 3},  {1, 5, 2},   {2, 1, 3},  {2, 2, 3},  {2, 3, 4},
    {2, 4, 1},  {3, 2, 2},  {3, 3, 4},  {3, 4, 6},  {3, 5, 5},   {3, 7, 2},  {4, 1, 3},  {4, 2, 1},
    {4, 3, 2},  {4, 4, 4},  {5, 1, 1},  {5, 2, 3},  {5, 3, 2},   {5, 4, 3},  {6, 1, 3},  {6, 2, 12},
    {6, 3, 4},  {6, 4, 4},  {6, 5, 5},  {6, 6, 3},  {6, 8, 4},   {7, 1, 3},  {7, 2, 4},  {7, 3, 2},
    {7, 4, 5},  {7, 5, 2},  {7, 6, 2},  {8, 1, 2},  {8, 2, 3},   {8, 3, 1},  {8, 4, 1},  {9, 1, 3},
    {9, 2, 4},  {10, 1, 2}, {10, 2, 2}, {10, 3, 4}, {10, 4, 11}, {10, 5, 5}, {10, 6, 2}, {10, 7, 3},
    {11, 1, 2}, {11, 2, 3}, {11, 3, 3}, {11, 4, 4}, {11, 5, 1},  {11, 6, 1}, {12, 1, 3}, {12, 2, 2},
    {12, 3, 4}, {13, 1, 1}, {13, 2, 5}, {13, 3, 2}, {13, 4, 5},  {14, 1, 2}, {14, 2, 4}, {14, 3, 3},
    {15, 1, 3}, {15, 2, 3}, {15, 3, 7}, {16, 1, 1}, {16, 2, 5},  {16, 3, 4}, {16, 4, 3}, {16, 5, 3},
    {17, 1, 1}, {17, 2, 4}, {17, 3, 2},
};
#define SECTION_COUNT (sizeof(SECTIONS) / sizeof(SECTIONS[0]))
#define REFERENCE_MAX 1024
#define REQUIREMENTS_MAX 16 /* in a section */

static char *readme, *chapter, *standard;

/* A file of the source tree as a string; NULL when there is none. The caller frees it. */
static char *read_source(const char *path)
{
    const char *root = getenv("XT_SOURCE_ROOT");
    char whole[1024];
    assert_non_null(root);
    snprintf(whole, sizeof(whole), "%s/%s", root, path);
    FILE *file = fopen(whole, "re");
    if (file == NULL) {
        return NULL;
    }
    char *text = malloc(TEXT_MAX);
    assert_non_null(text);
    size_t size = fread(text, 1, TEXT_MAX - 1, file);
    assert_true(feof(file));
    fclose(file);
    text[size] = '\0';
    return text;
}

static int find_chapter(void **state)
{
    (void)state;
    readme = read_source("README.md");
    assert_non_null(readme);
    chapter = strstr(readme, CHAPTER);
    assert_non_null(chapter);
    char *end = strstr(chapter + 1, "\n## ");
    if (end != NULL) {
        end[1] = '\0';
    }
    standard = strstr(chapter, STANDARD);
    assert_non_null(standard);
    return 0;
}

static int forget_chapter(void **state)
{
    (void)state;
    free(readme);
    return 0;
}

/* ---- tests that are named --------------------------------------------------------------------- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* How often word stands in text and is not part of another. */
static unsigned count_words(const char *text, const char *word)
{
    unsigned count = 0;
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
        count += (at == text || !is_word(at[-1])) && !is_word(at[length]);
    }
    return count;
}

/* Defined as a test, and in the list of those that run. */
static bool has_test(const char *source, const char *name)
{
    char definition[1100];
    snprintf(definition, sizeof(definition), "static void %s(void **state)", name);
    return strstr(source, definition) != NULL && count_words(source, name) >= 2;
}

static bool has_case(const char *source, const char *name)
{
    char definition[1100];
    snprintf(definition, sizeof(definition), "CASE(\"%s\",", name);
    return strstr(source, definition) != NULL;
}

/* Whether meson runs the program, in a list of names or by its file. */
static bool is_built(const char *folder, const char *program)
{
    char path[128], name[128], file[128];
    snprintf(path, sizeof(path), "tests/%s/meson.build", folder);
    snprintf(name, sizeof(name), "'%s'", program);
    snprintf(file, sizeof(file), "'test_%s.c'", program);
    char *text = read_source(path);
    bool is_there = text != NULL && (strstr(text, name) != NULL || strstr(text, file) != NULL);
    free(text);
    return is_there;
}

/* What a piece of the chapter between backticks names as tests: folder/program and, after a colon,
 * their names. */
struct reference {
    const char *folder;
    char program[64];
    char names[REFERENCE_MAX]; /* empty: the program alone */
};

static bool is_reference(const char *text, size_t size, struct reference *reference)
{
    static const char *const folders[] = {"core", "crypto", "store", "net", "bench", "fuzz"};
    char whole[REFERENCE_MAX];
    if (size >= sizeof(whole)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        whole[i] = text[i] == '\n' ? ' ' : text[i]; /* a long one goes on in the next line */
    }
    whole[size] = '\0';
    *reference = (struct reference){.folder = NULL};
    char *slash = strchr(whole, '/');
    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    const char *folder = NULL;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        folder = strcmp(whole, folders[i]) == 0 ? folders[i] : folder;
    }
    size_t length = strspn(slash + 1, "abcdefghijklmnopqrstuvwxyz0123456789_");
    const char *after = slash + 1 + length;
    if (folder == NULL || length == 0 || length >= sizeof(reference->program) ||
        (*after != '\0' && strncmp(after, ": ", 2) != 0)) {
        return false;
    }
    reference->folder = folder;
    memcpy(reference->program, slash + 1, length);
    if (*after != '\0') {
        memcpy(reference->names, after + 2, strlen(after + 2) + 1);
    }
    return true;
}

/* The next reference from *at on, which then goes on behind it. */
static bool next_reference(const char **at, const char *end, struct reference *reference)
{
    while (*at < end) {
        const char *open = memchr(*at, '`', (size_t)(end - *at));
        const char *close = open == NULL ? NULL : memchr(open + 1, '`', (size_t)(end - open - 1));
        if (close == NULL) {
            return false;
        }
        *at = close + 1;
        if (is_reference(open + 1, (size_t)(close - open - 1), reference)) {
            return true;
        }
    }
    return false;
}

/* Gives how many tests it names; each one that is missing is printed and counted in *missing. */
static unsigned check_reference(const struct reference *reference, unsigned *missing)
{
    bool raw = strcmp(reference->folder, "net") == 0 && strncmp(reference->program, "raw", 3) == 0;
    bool fuzz = strcmp(reference->folder, "fuzz") == 0;
    char path[256], names[sizeof(reference->names)];
    unsigned named = 0;
    snprintf(path, sizeof(path), "tests/%s/%s_%s.c", reference->folder, fuzz ? "fuzz" : "test",
             reference->program);
    char *source = read_source(raw ? "tests/net/raw_cases.c" : path);
    if (source == NULL || !is_built(reference->folder, reference->program)) {
        print_error("README.md names %s/%s, which is no test\n", reference->folder,
                    reference->program);
        ++*missing;
    } else if (!fuzz && reference->names[0] == '\0') {
        print_error("README.md names %s/%s without its tests\n", reference->folder,
                    reference->program);
        ++*missing;
    }
    memcpy(names, reference->names, sizeof(names));
    char *rest = names;
    for (char *name = names; source != NULL && *rest != '\0'; name = rest) {
        char *comma = strstr(name, ", ");
        rest = comma == NULL ? name + strlen(name) : comma + 2;
        if (comma != NULL) {
            *comma = '\0';
        }
        named++;
        if (raw ? !has_case(source, name) : !has_test(source, name)) {
            print_error("README.md names %s, which is not in %s\n", name, path);
            ++*missing;
        }
    }
    free(source);
    return named;
}

static void every_test_that_is_named_exists(void **state)
{
    (void)state;
    const char *at = chapter, *end = chapter + strlen(chapter);
    struct reference reference;
    unsigned named = 0, missing = 0;
    while (next_reference(&at, end, &reference)) {
        named += check_reference(&reference, &missing);
    }
    assert_int_equal(missing, 0);
    assert_true(named >= 100);
}

/* ---- requirements of the standard ------------------------------------------------------------- */

static unsigned char answered[SECTION_COUNT][REQUIREMENTS_MAX];

/* V3, 4.3 or 1.2.6; a part that is 0 stands for all of it. */
static void answer(unsigned in_chapter, unsigned in_section, unsigned number, unsigned *wrong)
{
    unsigned found = 0;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const struct section *s = &SECTIONS[i];
        if (s->chapter != in_chapter || (in_section != 0 && s->section != in_section)) {
            continue;
        }
        for (unsigned n = 1; n <= s->count; n++) {
            if (number == 0 || number == n) {
                answered[i][n]++;
                found++;
            }
        }
    }
    if (found == 0) {
        print_error("README.md answers %u.%u.%u, which is not of level 1 or 2\n", in_chapter,
                    in_section, number);
        ++*wrong;
    }
}

/* The numbers in a row's first cell. */
static void answer_all(const char *cell, const char *end, unsigned *wrong)
{
    while (cell < end) {
        unsigned parts[3] = {0};
        unsigned count = 0;
        while (cell < end && !isdigit((unsigned char)*cell)) {
            cell++;
        }
        while (cell < end && isdigit((unsigned char)*cell) && count < 3) {
            char *after;
            parts[count++] = (unsigned)strtoul(cell, &after, 10);
            cell = *after == '.' ? after + 1 : after;
        }
        if (count > 0) {
            answer(parts[0], parts[1], parts[2], wrong);
        }
    }
}

/* A row: | numbers | what is asked | how it is met | what shows it |, or | numbers | why it does not apply |.
 * The former must end in tests, or say why there is none. */
static void check_row(const char *row, const char *end, unsigned *wrong)
{
    static const char *const reasons[] = {"not met", "partly", "operator", "this README", "review"};
    const char *cells[8] = {NULL};
    unsigned count = 0;
    for (const char *at = row; at < end && count < 8; at++) {
        if (*at == '|') {
            cells[count++] = at;
        }
    }
    assert_in_range(count, 3, 5);
    answer_all(cells[0], cells[1], wrong);
    if (count == 3) {
        return;
    }
    const char *last = cells[count - 2];
    struct reference reference;
    bool shown = next_reference(&last, end, &reference);
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        const char *reason = strstr(cells[count - 2], reasons[i]);
        shown |= reason != NULL && reason < end;
    }
    if (!shown) {
        print_error("README.md does not say what shows this: %.*s\n", (int)(end - row), row);
        ++*wrong;
    }
}

static void every_requirement_of_levels_1_and_2_is_answered_once(void **state)
{
    (void)state;
    unsigned wrong = 0, all = 0;
    memset(answered, 0, sizeof(answered));
    for (const char *line = standard; line != NULL; line = strchr(line, '\n')) {
        line++;
        if (strncmp(line, "| ", 2) == 0 && (isdigit((unsigned char)line[2]) || line[2] == 'V')) {
            check_row(line, line + strcspn(line, "\n"), &wrong);
        }
    }
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        for (unsigned n = 1; n <= SECTIONS[i].count; n++) {
            all++;
            if (answered[i][n] != 1) {
                print_error("README.md answers %u.%u.%u %u times\n", SECTIONS[i].chapter,
                            SECTIONS[i].section, n, answered[i][n]);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(all, 253);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_test_that_is_named_exists),
        cmocka_unit_test(every_requirement_of_levels_1_and_2_is_answered_once),
    };
    return cmocka_run_group_tests(tests, find_chapter, forget_chapter);
}
