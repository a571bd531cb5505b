#include "tests/net/prometheus.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

void scrape_free(struct scrape *scrape)
{
    free(scrape->list);
    *scrape = (struct scrape){0};
}

double value_of(const struct scrape *scrape, const char *text)
{
    for (size_t i = 0; i < scrape->count; i++) {
        if (strcmp(scrape->list[i].text, text) == 0) {
            return scrape->list[i].value;
        }
    }
    return 0;
}

double sum_of(const struct scrape *scrape, const char *start)
{
    double total = 0;
    for (size_t i = 0; i < scrape->count; i++) {
        if (strncmp(scrape->list[i].text, start, strlen(start)) == 0) {
            total += scrape->list[i].value;
        }
    }
    return total;
}

size_t name_length(const char *text)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]) || text[length] == '_' ||
           (length > 0 && isdigit((unsigned char)text[length]))) {
        length++;
    }
    return length;
}

/* {name="value",...}; gives its length. */
static size_t labels_length(const char *text)
{
    size_t at = 0;
    if (text[at] != '{') {
        return 0;
    }
    do {
        size_t name = name_length(text + ++at);
        assert_true(name > 0);
        at += name;
        assert_memory_equal(text + at, "=\"", 2);
        for (at += 2; text[at] != '"'; at++) {
            assert_true(text[at] != '\0' && text[at] != '\n');
            if (text[at] == '\\') {
                at++;
                assert_true(text[at] == '\\' || text[at] == '"' || text[at] == 'n');
            }
        }
        at++;
    } while (text[at] == ',');
    assert_int_equal(text[at], '}');
    return at + 1;
}

static bool ends_with(const char *text, size_t size, const char *end)
{
    return size >= strlen(end) && memcmp(text + size - strlen(end), end, strlen(end)) == 0;
}

/* The metric that lines belong to until the next HELP. */
struct family {
    char name[128], type[16];
    double last_bound, last_count;
    char last_group[320]; /* of a histogram: its labels without le */
};

static void check_sample(struct family *family, const struct series *series, size_t name)
{
    const char *text = series->text;
    bool histogram = strcmp(family->type, "histogram") == 0;
    size_t base = strlen(family->name);
    assert_memory_equal(text, family->name, base);
    if (!histogram) {
        assert_int_equal(name, base);
        assert_int_equal(strcmp(family->type, "counter") == 0, ends_with(text, name, "_total"));
        return;
    }
    const char *bound = strstr(text, "le=\""); /* the last of the labels, or the only one */
    bound = bound != NULL ? bound - 1 : NULL;
    if (ends_with(text, name, "_bucket")) {
        assert_non_null(bound);
        char group[320];
        snprintf(group, sizeof(group), "%.*s", (int)(bound - text), text);
        double le = strcmp(bound + 1, "le=\"+Inf\"}") == 0 ? 1e300 : atof(bound + 5);
        bool same = strcmp(group, family->last_group) == 0;
        assert_true(!same || (le > family->last_bound && series->value >= family->last_count));
        strcpy(family->last_group, group);
        family->last_bound = le;
        family->last_count = series->value;
    } else if (ends_with(text, name, "_count")) {
        assert_true(family->last_bound > 1e299); /* after +Inf, and the same */
        assert_true(family->last_count == series->value);
    } else {
        assert_true(ends_with(text, name, "_sum"));
    }
}

void scrape_read(struct scrape *scrape, const char *text)
{
    struct family family;
    memset(&family, 0, sizeof(family));
    char seen[128][128];
    unsigned families = 0;
    *scrape = (struct scrape){0};
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        assert_int_equal(text[length], '\n');
        if (strncmp(text, "# HELP ", 7) == 0) {
            size_t name = name_length(text + 7);
            memset(&family, 0, sizeof(family));
            snprintf(family.name, sizeof(family.name), "%.*s", (int)name, text + 7);
            assert_int_equal(text[7 + name], ' ');
            assert_true(isalnum((unsigned char)text[8 + name]) && text[length - 1] == '.');
            assert_null(memchr(text, '\\', length));
            for (unsigned i = 0; i < families; i++) {
                assert_string_not_equal(seen[i], family.name); /* lines of one stand together */
            }
            assert_true(families < 128);
            strcpy(seen[families++], family.name);
        } else if (strncmp(text, "# TYPE ", 7) == 0) {
            size_t name = name_length(text + 7);
            assert_int_equal(name, strlen(family.name));
            assert_memory_equal(text + 7, family.name, name);
            assert_int_equal(text[7 + name], ' ');
            snprintf(family.type, sizeof(family.type), "%.*s", (int)(length - name - 8),
                     text + name + 8);
            assert_true(strcmp(family.type, "counter") == 0 || strcmp(family.type, "gauge") == 0 ||
                        strcmp(family.type, "histogram") == 0);
        } else {
            struct series series;
            size_t name = name_length(text), all = name + labels_length(text + name);
            assert_true(name > 0 && all < sizeof(series.text) && family.type[0] != '\0');
            snprintf(series.text, sizeof(series.text), "%.*s", (int)all, text);
            assert_int_equal(text[all], ' ');
            const char *number = text + all + 1;
            assert_int_equal(strspn(number, "0123456789."), length - all - 1);
            series.value = strtod(number, NULL);
            check_sample(&family, &series, name);
            if (scrape->count == scrape->capacity) {
                scrape->capacity = scrape->capacity == 0 ? 1024 : 2 * scrape->capacity;
                scrape->list = realloc(scrape->list, scrape->capacity * sizeof(struct series));
                assert_non_null(scrape->list);
            }
            scrape->list[scrape->count++] = series;
        }
        text += length + 1;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct series *)a)->text, ((const struct series *)b)->text);
}

void no_series_is_there_twice(struct scrape *scrape)
{
    qsort(scrape->list, scrape->count, sizeof(struct series), by_text);
    for (size_t i = 1; i < scrape->count; i++) {
        assert_string_not_equal(scrape->list[i - 1].text, scrape->list[i].text);
    }
}
