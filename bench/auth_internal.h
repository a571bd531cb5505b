/* bench/auth_internal: what the parts of `xacthuc-bench auth` share. */
#ifndef XT_BENCH_AUTH_INTERNAL_H
#define XT_BENCH_AUTH_INTERNAL_H

#include <sys/types.h>

#include "bench/auth_people.h"
#include "core/authenticate.h"
#include "crypto/tls.h"

#define XT_AUTH_CONNECTIONS_MAX 512
#define XT_AUTH_PIDS_MAX 8
#define XT_AUTH_BODY_MAX 1024

/* What is tried; the last is not tried: only the challenge is asked for. */
enum xt_auth_factor {
    XT_AUTH_DEVICE_KEY,
    XT_AUTH_PASSCODE,
    XT_AUTH_CARD_CHIP,
    XT_AUTH_CHALLENGE,
    XT_AUTH_FACTORS
};
extern const char *const xt_auth_factor_names[XT_AUTH_FACTORS];

struct xt_auth_options {
    uint64_t port, count, connections, rate, seconds;
    uint64_t timing; /* attempts of a class; 0: none */
    enum xt_auth_factor factor;
    const char *certificate, *key, *authority, *people;
    unsigned pid_count;
    pid_t pids[XT_AUTH_PIDS_MAX];
};

/* One request at a time. */
struct xt_auth_connection {
    int fd;
    struct xt_tls *tls;
    enum { XT_AUTH_FREE, XT_AUTH_ASKED, XT_AUTH_TRIED } step;
    unsigned person;
    uint64_t due_ns;
    size_t input_size; /* of an answer so far, in clear */
    uint8_t input[8192];
    uint8_t sealed[16384];
};

XT_MUST_USE enum xt_status xt_auth_connect(const struct xt_auth_options *options,
                                           struct xt_tls_context *context,
                                           struct xt_auth_connection *connection);
void xt_auth_disconnect(struct xt_auth_connection *connection);

/* false: the connection is gone. */
bool xt_auth_flush(struct xt_auth_connection *connection);
bool xt_auth_ask(struct xt_auth_connection *connection, unsigned person,
                 enum xt_auth_factor factor);
bool xt_auth_try_passcode(struct xt_auth_connection *connection, unsigned person);
/* answer: to xt_auth_ask. Also false when there is no challenge in it. */
bool xt_auth_try_key(struct xt_auth_connection *connection, unsigned person,
                     enum xt_auth_factor factor, const struct xt_holder_signer *signer,
                     struct xt_span answer);

/* Waits for something at the socket, at most so long, and takes it. XT_OK also with nothing. */
XT_MUST_USE enum xt_status xt_auth_wait(struct xt_auth_connection *connection, int wait_ms);
/* What the socket has; XT_AGAIN: nothing. Then every answer in it: XT_AGAIN, there is none. */
XT_MUST_USE enum xt_status xt_auth_receive(struct xt_auth_connection *connection);
XT_MUST_USE enum xt_status xt_auth_next_answer(struct xt_auth_connection *connection,
                                               unsigned *status, struct xt_span *body);

/* Attempts that must look alike, one after the other on one connection, and whether their times do
 * (bench/welch). Prints the result. XT_DENIED: they do not. */
XT_MUST_USE enum xt_status xt_auth_timing(const struct xt_auth_options *options,
                                          struct xt_failure *failure);

#endif
