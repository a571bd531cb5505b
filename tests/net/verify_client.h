/* tests/net/verify_client: `xacthuc verify` run by a test, what it says kept. Failures end the test. */
#ifndef XT_TESTS_NET_VERIFY_CLIENT_H
#define XT_TESTS_NET_VERIFY_CLIENT_H

#include "tests/net/deployment.h"

struct said {
    int status;
    char *out, *error; /* NUL-terminated */
};

/* Starts it as this partner of this server, with more arguments (up to NULL) and this on its standard
 * input (NULL: nothing). What it says goes to files that the next start overwrites. */
pid_t verify_client_start(const struct server *server, const char *partner, const char *input,
                          const char *const *arguments);
/* The same, waited for. Give it back with said_release. */
struct said verify_client(const struct server *server, const char *partner, const char *input, ...);
/* Of the process started last, which has ended with this status as waitpid gave it. */
struct said verify_client_said(int status);
void said_release(struct said *said);

#endif
