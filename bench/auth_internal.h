/* bench/auth_internal: what the parts of `xacthuc-bench auth` share. */
#ifndef XT_BENCH_AUTH_INTERNAL_H
#define XT_BENCH_AUTH_INTERNAL_H

#include <sys/types.h>

#include "bench/auth_people.h"
#include "bench/crowd.h"
#include "core/authenticate.h"

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
    struct xt_crowd_options server;
    uint64_t count;
    uint64_t timing; /* attempts of a class; 0: none */
    enum xt_auth_factor factor;
    const char *people;
    unsigned pid_count;
    pid_t pids[XT_AUTH_PIDS_MAX];
};

/* Requests of one attempt, written into room. */
struct xt_auth_request {
    uint8_t room[XT_AUTH_BODY_MAX + 256];
};
struct xt_span xt_auth_ask(struct xt_auth_request *request, unsigned person,
                           enum xt_auth_factor factor);
struct xt_span xt_auth_try_passcode(struct xt_auth_request *request, unsigned person);
/* answer: to xt_auth_ask. Empty when there is no challenge in it. */
struct xt_span xt_auth_try_key(struct xt_auth_request *request, unsigned person,
                               enum xt_auth_factor factor, const struct xt_holder_signer *signer,
                               struct xt_span answer);

/* Attempts that must look alike, one after the other on one connection, and whether their times do
 * (bench/welch). Prints the result. XT_DENIED: they do not. */
XT_MUST_USE enum xt_status xt_auth_timing(const struct xt_auth_options *options,
                                          struct xt_failure *failure);

#endif
