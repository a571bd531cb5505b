/* bench/workload: the requests of a load run, made beforehand as the bytes that go to the wire.
 *
 * Making them while the load runs would cost the client more than sending them; so a run goes round
 * and round a prepared set, every request with what must come back.
 * Thread: read only once made; all threads share it.
 */
#ifndef XT_BENCH_WORKLOAD_H
#define XT_BENCH_WORKLOAD_H

#include "bench/load_options.h"
#include "bench/load_signed.h"
#include "bench/requests.h"

#define XT_WORKLOAD_PARTS_MAX 16U
#define XT_WORKLOAD_PATH_MAX 256U
#define XT_WORKLOAD_WIRE_MAX (XT_REQUEST_BODY_MAX + 1024U) /* bytes of one request */

/* One section of a scenario. */
struct xt_workload_part {
    bool verify; /* else GET */
    uint32_t weight;
    char mix[128]; /* verify; "" : the default mix */
    char path[XT_WORKLOAD_PATH_MAX];
    unsigned status; /* GET: the one that is right */
};

struct xt_scenario {
    unsigned count;
    struct xt_workload_part parts[XT_WORKLOAD_PARTS_MAX];
};

/* XT_INVALID fills *failure with the file and line. */
XT_MUST_USE enum xt_status xt_scenario_read(const char *path, struct xt_scenario *scenario,
                                            struct xt_failure *failure);

struct xt_workload_request {
    uint32_t offset, size;         /* of its bytes in `wire` */
    uint32_t txn_offset, txn_size; /* in `wire`; verify only */
    uint32_t digest_offset;        /* of its Content-Digest in `wire`; 0: none */
    uint32_t index;                /* for xacthuc-bench gen --requests: the line, from 0 */
    uint16_t asked, matched;       /* XT_CLAIM_BIT sets */
    uint16_t status;               /* the right one */
    bool check;                    /* the body is a verify answer that is to be checked */
};

struct xt_workload {
    struct xt_scenario scenario;
    bool verdict_only;
    bool
        ldap; /* requests are compare operations (bench/ldap), one verify at a time on a connection */
    struct xt_load_keys *keys; /* by which answers are verified; NULL: they are not signed */
    unsigned count;
    struct xt_workload_request *requests;
    uint8_t *wire;
    size_t wire_size;
};

/* XT_INVALID: wrong usage, *failure says which option. */
XT_MUST_USE enum xt_status xt_workload_make(const struct xt_load_options *options,
                                            struct xt_workload *workload,
                                            struct xt_failure *failure);
void xt_workload_free(struct xt_workload *workload);

#endif
