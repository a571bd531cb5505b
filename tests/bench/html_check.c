#include "tests/test.h"

#include "tests/bench/html_check.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64
#define IDS_MAX 4096
#define NAME_MAX_BYTES 32

struct checker {
    const char *page, *at;
    unsigned depth, id_count, reference_count;
    char open[DEPTH_MAX][NAME_MAX_BYTES];
    char ids[IDS_MAX][NAME_MAX_BYTES], references[IDS_MAX][NAME_MAX_BYTES];
};

static struct checker checker;

static void wrong(const char *what)
{
    fail_msg("%s at byte %ld: %.120s", what, (long)(checker.at - checker.page), checker.at);
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0) {
            return true;
        }
    }
    return false;
}

static void read_name(char *name)
{
    size_t size = 0;
    while (isalnum((unsigned char)*checker.at) || *checker.at == '-' || *checker.at == ':') {
        name[size++] = *checker.at++;
        if (size == NAME_MAX_BYTES) {
            wrong("long name");
        }
    }
    name[size] = '\0';
}

static void skip_space(void)
{
    checker.at += strspn(checker.at, " \n");
}

/* '&' begins one of the few references that are written. */
static void check_reference(void)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&ensp;", NULL};
    for (const char *const *one = known; *one != NULL; one++) {
        if (strncmp(checker.at, *one, strlen(*one)) == 0) {
            return;
        }
    }
    wrong("stray &");
}

static void note_id(char (*list)[NAME_MAX_BYTES], unsigned *count, const char *id, size_t size)
{
    if (*count == IDS_MAX || size == 0 || size >= NAME_MAX_BYTES) {
        wrong("bad id");
    }
    (void)snprintf(list[(*count)++], NAME_MAX_BYTES, "%.*s", (int)size, id);
}

static void check_attribute(const char *name, const char *value)
{
    static const char *const known[] = {"lang",
                                        "charset",
                                        "http-equiv",
                                        "content",
                                        "name",
                                        "id",
                                        "class",
                                        "role",
                                        "scope",
                                        "href",
                                        "aria-labelledby",
                                        "aria-hidden",
                                        "data-table",
                                        "data-x",
                                        "width",
                                        "height",
                                        "viewBox",
                                        "preserveAspectRatio",
                                        "x",
                                        "y",
                                        "x1",
                                        "x2",
                                        "y1",
                                        "y2",
                                        "dx",
                                        "cx",
                                        "cy",
                                        "r",
                                        "d",
                                        "text-anchor",
                                        NULL};
    if (!is_one_of(name, known)) {
        wrong("attribute");
    }
    if (strstr(value, "http:") != NULL || strstr(value, "https:") != NULL ||
        strstr(value, "url(") != NULL || strncmp(value, "//", 2) == 0) {
        wrong("address");
    }
    if (strcmp(name, "id") == 0) {
        note_id(checker.ids, &checker.id_count, value, strlen(value));
    } else if (strcmp(name, "data-table") == 0) {
        note_id(checker.references, &checker.reference_count, value, strlen(value));
    } else if (strcmp(name, "href") == 0) {
        if (value[0] != '#') {
            wrong("href");
        }
        note_id(checker.references, &checker.reference_count, value + 1, strlen(value + 1));
    } else if (strcmp(name, "aria-labelledby") == 0) {
        while (*value != '\0') {
            size_t size = strcspn(value, " ");
            note_id(checker.references, &checker.reference_count, value, size);
            value += size;
            value += strspn(value, " ");
        }
    }
}

static void read_attribute(char *name)
{
    static char value[1 << 20];
    size_t size = 0;
    read_name(name);
    if (name[0] == '\0' || strncmp(checker.at, "=\"", 2) != 0) {
        wrong("attribute without quotes");
    }
    checker.at += 2;
    while (*checker.at != '"') {
        if (*checker.at == '\0' || *checker.at == '<' || *checker.at == '>' ||
            size == sizeof(value) - 1) {
            wrong("attribute's value");
        }
        if (*checker.at == '&') {
            check_reference();
        }
        value[size++] = *checker.at++;
    }
    checker.at++;
    value[size] = '\0';
    check_attribute(name, value);
}

/* After '<'. */
static void read_tag(void)
{
    static const char *const known[] = {
        "html",  "head",    "meta",   "title",   "style",      "body", "header", "main", "footer",
        "h1",    "h2",      "h3",     "p",       "b",          "a",    "ul",     "li",   "dl",
        "dt",    "dd",      "div",    "small",   "section",    "svg",  "desc",   "path", "line",
        "rect",  "circle",  "text",   "figure",  "table",      "th",   "td",     "tr",   "thead",
        "tbody", "details", "script", "summary", "figcaption", NULL};
    char name[NAME_MAX_BYTES];
    char attributes[32][NAME_MAX_BYTES];
    unsigned count = 0;
    bool closing = *checker.at == '/';
    checker.at += closing;
    read_name(name);
    if (!is_one_of(name, known)) {
        wrong("tag");
    }
    skip_space();
    while (!closing && *checker.at != '>' && *checker.at != '/') {
        read_attribute(attributes[count]);
        for (unsigned i = 0; i < count; i++) {
            if (strcmp(attributes[i], attributes[count]) == 0) {
                wrong("attribute twice");
            }
        }
        if (++count == 32) {
            wrong("many attributes");
        }
        skip_space();
    }
    bool empty = *checker.at == '/';
    checker.at += empty;
    if (*checker.at++ != '>') {
        wrong("tag's end");
    }
    if (closing) {
        if (checker.depth == 0 || strcmp(checker.open[--checker.depth], name) != 0) {
            wrong("closes what is not open");
        }
    } else if (!empty && strcmp(name, "meta") != 0) {
        if (checker.depth == DEPTH_MAX) {
            wrong("too deep");
        }
        (void)snprintf(checker.open[checker.depth++], NAME_MAX_BYTES, "%s", name);
    }
    if (!closing && (strcmp(name, "style") == 0 || strcmp(name, "script") == 0)) {
        char end[NAME_MAX_BYTES + 4];
        (void)snprintf(end, sizeof(end), "</%s>", name);
        const char *found = strstr(checker.at, end);
        if (found == NULL) {
            wrong("unclosed");
        }
        checker.at = found;
    }
}

static void check_references(void)
{
    for (unsigned i = 0; i < checker.id_count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(checker.ids[i], checker.ids[j]) == 0) {
                fail_msg("id %s twice", checker.ids[i]);
            }
        }
    }
    for (unsigned i = 0; i < checker.reference_count; i++) {
        bool found = false;
        for (unsigned j = 0; j < checker.id_count && !found; j++) {
            found = strcmp(checker.references[i], checker.ids[j]) == 0;
        }
        if (!found) {
            fail_msg("no id %s", checker.references[i]);
        }
    }
}

void html_check(const char *page)
{
    static const char doctype[] = "<!DOCTYPE html>\n";
    memset(&checker, 0, sizeof(checker));
    checker.page = page;
    checker.at = page;
    if (strncmp(page, doctype, sizeof(doctype) - 1) != 0) {
        wrong("no doctype");
    }
    checker.at += sizeof(doctype) - 1;
    while (*checker.at != '\0') {
        if (*checker.at == '<') {
            checker.at++;
            read_tag();
        } else {
            if (*checker.at == '&') {
                check_reference();
            }
            checker.at++;
        }
    }
    if (checker.depth != 0) {
        fail_msg("%s is not closed", checker.open[checker.depth - 1]);
    }
    check_references();
}

unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}
