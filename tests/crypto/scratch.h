/* tests/crypto/scratch: a folder of its own for each test program, gone at its end. */
#ifndef XT_TESTS_CRYPTO_SCRATCH_H
#define XT_TESTS_CRYPTO_SCRATCH_H

#include "core/span.h"
#include "core/status.h"

/* Group set-up and tear-down of cmocka; the set-up also calls xt_crypto_start. */
int scratch_make(void **state);
int scratch_remove(void **state);

/* Path of a name in the folder; valid until eight more have been asked for. */
const char *scratch(const char *name);

/* Writes a file as it is, with the given mode. */
void scratch_write(const char *name, const void *data, size_t size, unsigned mode);

/* Entries of a folder in the scratch folder, . and .. not counted. */
size_t scratch_count(const char *name);

/* Runs a shell command in the folder and gives what it wrote, errors too; false when it failed. */
#define SHELL_TEXT_MAX 8192
bool scratch_shell(char text[SHELL_TEXT_MAX], const char *format, ...) XT_PRINTF(2, 3);

/* Is the openssl command there, as a second opinion? */
bool have_openssl(void);

#endif
