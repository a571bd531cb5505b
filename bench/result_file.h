/* bench/result_file: a result of `xacthuc-bench load` read back, for report and compare.
 *
 * The format is "xacthuc-load/1" (bench/load_result.h). A file is somebody else's text: its size and
 * every list in it are bounded, every member that is used is checked for presence, type and range,
 * and histograms must add up. Members that are not known here are left alone, so a later writer may
 * add some. An error names the file and the member ("run.json: run.errors_by_kind.timeout must be ...").
 *
 * A result may stand alone in a file, or be an object inside a larger document:
 *   xt_result_load(path)                                   read, parse, check
 *   xt_result_document(path, &document)                    read and parse any JSON file ...
 *   xt_result_read(member of it, "standard.json: closed")  ... and check one result in it
 */
#ifndef XT_BENCH_RESULT_FILE_H
#define XT_BENCH_RESULT_FILE_H

#include "bench/histogram.h"
#include "bench/load_result.h"
#include "core/json_document.h"

#define XT_RESULT_FILE_MAX (64U << 20) /* bytes; a day's run has 11 MB of seconds */
#define XT_RESULT_SECONDS_MAX 100000U  /* rows: a day and its drain */
#define XT_RESULT_PAIRS_MAX 128U
#define XT_RESULT_KINDS_MAX 32U
#define XT_RESULT_NAME_MAX 64  /* bytes with the 0 */
#define XT_RESULT_TEXT_MAX 512 /* bytes with the 0; longer is cut */

/* A setting, flattened: "people.seed" "1", "scenario 1" "kind verify, weight 3". Numbers as they were
 * written, booleans as yes and no, null as "". Text is UTF-8 of the file: escape it where it goes. */
struct xt_result_pair {
    char name[XT_RESULT_NAME_MAX];
    char value[XT_RESULT_TEXT_MAX];
};

struct xt_result_pairs {
    unsigned count;
    struct xt_result_pair list[XT_RESULT_PAIRS_MAX];
};

struct xt_result_kind { /* of error */
    char name[XT_RESULT_NAME_MAX];
    uint64_t count;
    char first[XT_RESULT_TEXT_MAX]; /* what was said of the first one; "" : nothing */
};

struct xt_bench_result {
    char label[XT_RESULT_TEXT_MAX];   /* the file's name, or what the caller said */
    char program[XT_RESULT_NAME_MAX]; /* "xacthuc-bench 0.1.0" */
    struct xt_result_pairs configuration, machine;

    /* Of the configuration, what figures depend on. */
    bool open_loop;
    double duration_s; /* as wanted */
    uint64_t connections_wanted, threads;

    /* Of the run. */
    double began;    /* Unix seconds */
    double measured; /* seconds; above 0 */
    bool interrupted;
    uint64_t wanted_rate; /* a second; 0: closed loop */
    double achieved_rate; /* right answers in time, a second */
    uint64_t right, right_in_time, errors;
    unsigned kind_count;
    struct xt_result_kind kinds[XT_RESULT_KINDS_MAX]; /* in the file's order, zeros included */
    uint64_t early_right, early_errors;               /* in ramp and warm-up */
    uint64_t connections, resumed;
    uint64_t client_cpu_us; /* in the measured time */
    double client_cpu_per_request;
    bool has_server; /* --server-pid was given */
    uint64_t server_cpu_us, server_processes, server_resident_bytes;
    double server_cpu_per_request; /* us for each right answer in time */

    unsigned second_count;
    struct xt_load_second *seconds;         /* ascending by second; may have gaps */
    struct xt_histogram latency, handshake; /* us */

    bool has_knee; /* --find-knee: figures above are those of the fastest step that kept it */
    uint64_t slo_us;
    struct xt_load_knee knee;
};

/* Reads a whole file of at most XT_RESULT_FILE_MAX bytes; "-" is standard input. */
XT_MUST_USE enum xt_status xt_result_document(const char *path, struct xt_json_document **document,
                                              struct xt_failure *failure);

/* Checks one result. label: for messages and headings. The document may be freed afterwards. */
XT_MUST_USE enum xt_status xt_result_read(const struct xt_json_value *value, const char *label,
                                          struct xt_bench_result **result,
                                          struct xt_failure *failure);

XT_MUST_USE enum xt_status xt_result_load(const char *path, struct xt_bench_result **result,
                                          struct xt_failure *failure);

void xt_result_free(struct xt_bench_result *result); /* NULL is fine */

#endif
