/* tests/store/deployment: a deployment of its own for each test, people for it, and the real binary.
 */
#ifndef XT_TESTS_STORE_DEPLOYMENT_H
#define XT_TESTS_STORE_DEPLOYMENT_H

#include "core/person.h"
#include "crypto/keyring.h"
#include "store/generation.h"

/* Per-test set-up and tear-down of cmocka: keys/master.keys, identity/, partners/ in a new folder. */
int deployment_make(void **state);
int deployment_remove(void **state);

const char *deployment(void);                  /* the folder */
const char *deployment_path(const char *name); /* in it; valid until eight more were asked for */
struct xt_keyring *deployment_keyring(void);   /* opened once */

/* Names in a folder of the deployment that begin so; "" counts all but . and .. */
unsigned count_names(const char *folder, const char *prefix);
bool exists(const char *name);
void write_text(const char *name, const char *text);
/* A file's text; valid until the next call. "" when there is no such file. */
const char *read_text(const char *name);

/* Person i of a small world: number 001090000000 + i, with name, card, phone; every third has a CMND
 * 100000000 + i, every fourth a passport link, every hundredth is a woman of 1990-05. */
void make_person(unsigned i, struct xt_person *person);
#define PERSON_NUMBER(i) (1090000000ULL + (i))
#define PERSON_CMND(i) (100000000U + (i))

/* Imports people from..to-1 through the builder, in a scrambled order. */
void build_people(unsigned from, unsigned to);
/* The served generation, opened. */
struct xt_generation *open_served(void);
bool find_is(struct xt_generation *generation, enum xt_id_kind kind, uint64_t value, bool found);

const char *program(void); /* the real binary */

/* Runs the program with arguments (NULL at the end; "DIR" stands for the deployment). Gives the exit
 * status, 128 + the signal when it was killed; its output is in run_out and run_err. */
extern char run_out[1 << 16], run_err[1 << 16];
int run(const char *argument, ...) __attribute__((sentinel));
/* The same with `input` on its standard input. */
int run_with_input(const char *input, size_t size, const char *argument, ...)
    __attribute__((sentinel));

#endif
