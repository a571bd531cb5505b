/* store/command_line: what the commands of store/ share: errors as the operator sees them, numbers,
 * the deployment's keyring. */
#ifndef XT_STORE_COMMAND_LINE_H
#define XT_STORE_COMMAND_LINE_H

#include "core/command.h"
#include "crypto/keyring.h"

/* "xacthuc import: ..." and where to read more, on stderr. Gives XT_EXIT_USAGE. */
int xt_usage_error(const char *command, const char *format, ...) XT_PRINTF(2, 3);

/* For what getopt_long gave '?' or ':' (with opterr 0, and ':' first in the short options). */
int xt_option_error(const char *command, int result, char **argv);

/* "xacthuc import: ..." on stderr. Gives XT_EXIT_FAILED. */
int xt_work_error(const char *command, const struct xt_failure *failure);

/* Digits only, at most max. */
bool xt_parse_count(const char *text, uint64_t max, uint64_t *value);

/* 512M, 4G, at least `least` bytes. */
bool xt_parse_memory(const char *text, uint64_t least, uint64_t *bytes);

/* The keyring of DIR. */
XT_MUST_USE enum xt_status xt_deployment_keyring(const char *dir, struct xt_keyring **keyring,
                                                 struct xt_failure *failure);

/* Flushes what a command printed; a full disk or a closed pipe behind it is a failure. */
int xt_finish_output(const char *command);

#endif
