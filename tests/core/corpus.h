/* tests/core/corpus: replays the seed texts of a parser's fuzz target as a normal test.
 *
 * tests/corpus/<parser>/ holds one input per file, read as bytes. Names tell what is expected:
 * good-* must be accepted, bad-* refused.
 */
#ifndef XT_TESTS_CORE_CORPUS_H
#define XT_TESTS_CORE_CORPUS_H

#include "core/span.h"

#include "tests/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define CORPUS_INPUT_MAX 65536

static inline void corpus_replay(const char *parser, bool (*accepts)(struct xt_span text))
{
    static uint8_t input[CORPUS_INPUT_MAX];
    char path[1024];
    const char *root = getenv("XT_SOURCE_ROOT");
    unsigned good = 0, bad = 0;

    snprintf(path, sizeof(path), "%s/tests/corpus/%s", root != NULL ? root : ".", parser);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        fail_msg("no corpus in %s", path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/tests/corpus/%s/%s", root != NULL ? root : ".", parser,
                 entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t size = fread(input, 1, sizeof(input), file);
        fclose(file);
        /* A copy of exactly that size, so that a sanitizer sees a read past the end. */
        uint8_t *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, input, size);
        bool accepted = accepts(xt_span_of(copy, size));
        free(copy);
        bool is_good = strncmp(entry->d_name, "good-", 5) == 0;
        if (accepted != is_good) {
            fail_msg("%s was %s", path, accepted ? "accepted" : "refused");
        }
        good += is_good;
        bad += !is_good;
    }
    closedir(folder);
    assert_true(good > 0);
    assert_true(bad > 0);
}

#endif
