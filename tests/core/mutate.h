/* tests/core/mutate: seeded damage to inputs, and replay of tests/corpus/<parser>/, so that what once
 * went wrong stays tried. Files called ok_* must be taken, bad_* refused. */
#ifndef XT_TESTS_CORE_MUTATE_H
#define XT_TESTS_CORE_MUTATE_H

#include "tests/test.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

/* Changes, drops, doubles or inserts a few bytes; gives the new size, at most capacity. */
static inline size_t mutate(uint8_t *data, size_t size, size_t capacity, uint64_t *state)
{
    static const char SPICE[] = "{}[]\":,\\u0\0nE9\xc3\x80\xff-+.";
    unsigned changes = 1 + (unsigned)(next_random(state) % 3);
    for (unsigned i = 0; i < changes; i++) {
        uint64_t random = next_random(state);
        size_t at = size == 0 ? 0 : (size_t)(random >> 32) % size;
        uint8_t byte = (random & 0x100) != 0 ? (uint8_t)random
                                             : (uint8_t)SPICE[(random & 0xff) % sizeof SPICE];
        switch (random >> 9 & 7) {
        case 0: /* cut the end off */
            size = at;
            break;
        case 1: /* drop some */
            if (size > 0) {
                size_t count = 1 + (size_t)(random >> 16 & 7);
                count = count > size - at ? size - at : count;
                memmove(data + at, data + at + count, size - at - count);
                size -= count;
            }
            break;
        case 2: /* double some */
        case 3: /* insert one */
            if (size > 0 && size + 16 < capacity) {
                size_t count = (random >> 9 & 7) == 3 ? 1 : 1 + (size_t)(random >> 16 & 15);
                count = count > size - at ? size - at : count;
                memmove(data + at + count, data + at, size - at);
                size += count;
                if (count == 1) {
                    data[at] = byte;
                }
            }
            break;
        case 4: /* one bit */
            if (size > 0) {
                data[at] ^= (uint8_t)(1U << (random & 7));
            }
            break;
        default:
            if (size > 0) {
                data[at] = byte;
            }
        }
    }
    return size;
}

/* Gives every file of tests/corpus/<parser>/ to take, which tells whether it was accepted. The bytes
 * have `spare` more after them, as heap memory of just that size, so that a sanitizer sees any read
 * past the end. */
static inline void replay_corpus(const char *parser, size_t spare,
                                 bool (*take)(uint8_t *data, size_t size))
{
    const char *root = getenv("XT_SOURCE_ROOT");
    char path[512];
    snprintf(path, sizeof path, "%s/tests/corpus/%s", root != NULL ? root : ".", parser);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    unsigned accepted = 0;
    unsigned refused = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        FILE *file = fopen(name, "rb");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        size_t size = (size_t)ftell(file);
        rewind(file);
        uint8_t *data = calloc(1, size + spare + (size + spare == 0));
        assert_non_null(data);
        assert_int_equal(fread(data, 1, size, file), size);
        fclose(file);
        bool expected = strncmp(entry->d_name, "ok_", 3) == 0;
        bool took = take(data, size);
        free(data);
        if (took != expected) {
            fail_msg("%s was %s", name, took ? "accepted" : "refused");
        }
        accepted += took;
        refused += !took;
    }
    closedir(folder);
    assert_true(accepted > 0 && refused > 0);
}

#endif
