/* Replays the corpus of a target, and seeded mutations of each of its files: what once went wrong stays
 * tried, by every compiler and without libFuzzer. Usage: replay TARGET */
#include <dirent.h>
#include <stdio.h>

#include "tests/core/mutate.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 65536
#define MUTATIONS 300 /* of each file; longer searches are ./dev fuzz */

static void try_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    xt_require(copy != NULL);
    memcpy(copy, data, size);
    fuzz_one(copy, size);
    free(copy);
}

static void try_file(const char *path)
{
    static uint8_t original[INPUT_MAX], changed[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    xt_require(file != NULL);
    size_t size = fread(original, 1, sizeof(original), file);
    fclose(file);
    try_copy(original, size);
    uint64_t random = 1;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(changed, original, size);
        try_copy(changed, mutate(changed, size, sizeof(changed), &random));
    }
}

int main(int argc, char **argv)
{
    const char *root = getenv("XT_SOURCE_ROOT");
    char folder[1024], path[2048];
    if (argc != 2) {
        fputs("usage: replay TARGET\n", stderr);
        return 2;
    }
    snprintf(folder, sizeof(folder), "%s/tests/corpus/%s", root != NULL ? root : ".", argv[1]);
    DIR *list = opendir(folder);
    if (list == NULL) {
        fprintf(stderr, "there is no %s\n", folder);
        return 1;
    }
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            try_file(path);
            files++;
        }
    }
    closedir(list);
    printf("%s: %u files, %u mutations each\n", argv[1], files, MUTATIONS);
    return files > 0 ? 0 : 1;
}
