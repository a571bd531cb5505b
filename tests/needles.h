/* tests/needles: looks for people in bytes where none may stand: each in every form in which the program
 * handles them. Failures end the test. */
#ifndef XT_TESTS_NEEDLES_H
#define XT_TESTS_NEEDLES_H

#include "core/person.h"

#define NEEDLES_MAX 65536U /* forms; a person has about 20 */

struct needles_found {
    uint64_t forms_long, forms_short; /* hits; short forms come up by chance now and then */
    uint64_t bytes;
    unsigned files;
    char in[512]; /* where a long one was */
};

/* What is looked for from now on. */
void needles_add_text(const char *text);
void needles_add_person(const struct xt_person *person);
/* Every `every`-th line of NDJSON; gives how many people that were. */
unsigned needles_add_people(const char *text, size_t size, unsigned every);
unsigned needles_count(void);

/* Adds what is found. */
void needles_search(const uint8_t *data, size_t size, const char *where,
                    struct needles_found *found);
void needles_search_file(const char *path, const char *where, struct needles_found *found);
/* All files below. */
void needles_search_folder(const char *path, struct needles_found *found);

/* No long form was found, and no more short ones than chance has. */
void needles_assert_none(const struct needles_found *found);

#endif
