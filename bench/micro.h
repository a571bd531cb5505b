/* bench/micro: the parts of a verify, each on its own, in this process: no network, no other process.
 *
 *   --dir DIR, or people made and imported into a temporary folder (micro_deployment)
 *     -> opened as a worker opens it, looked through once; the plain layout made of it (store/plain_table)
 *     -> one round that does not count, then rounds: new random people (micro_people), every part once
 *        over all of them (micro_parts), in an order that turns from round to round
 *     -> median and quartiles of the rounds (micro_result), a table, a file (micro_write)
 *
 * People are chosen at random among all of them and anew for each part that looks them up, so what it
 * needs of a large register is in no cache: least of all because the part before it has just had it. What a part works on is prepared before its time begins. A verify's answer is
 * compared with what the population says it must be, outside of the time.
 *
 * The file, JSON, "format":"xacthuc-micro/1" (no path, name or address of the machine in it):
 *   program, commit, date (UTC), command
 *   settings   seed, rounds, keys, requests, group
 *   machine    as in bench/standard.h
 *   sizes      [{count, hot_bytes, file_bytes, plain_bytes (0: none),
 *                measures: {name: {unit, better, operations, median, low, high, cpu, values: [one a round]}}}]
 *              low, high: quartiles of the rounds; cpu: median of the thread's CPU time
 */
#ifndef XT_BENCH_MICRO_H
#define XT_BENCH_MICRO_H

#include "bench/machine.h"
#include "bench/population.h"
#include "bench/requests.h"
#include "store/plain_table.h"
#include "store/register.h"

#define XT_MICRO_SIZES_MAX 16U
#define XT_MICRO_ROUNDS_MAX 100U
#define XT_MICRO_PATH_MAX 512

struct xt_micro_options {
    const char *dir;     /* NULL: made for the occasion */
    const char *program; /* xacthuc, for that; NULL: the one beside this program */
    const char *out;     /* NULL: none */
    const char *commit;
    const char *folder; /* for what is temporary; NULL: TMPDIR, /tmp */
    uint64_t seed;
    uint64_t counts[XT_MICRO_SIZES_MAX];
    unsigned size_count;
    uint64_t overlay; /* people who changed since; 0: none */
    unsigned rounds;
    uint32_t keys, requests; /* of each round */
    uint32_t parts;          /* set of 1 << enum xt_micro_part */
    int core;                /* to run on; -1: any */
    bool plain, quiet;
    bool full; /* people that are made have documents */
};

/* -1: go on; else the exit status (micro_options.c). */
int xt_micro_parse(int argc, char **argv, struct xt_micro_options *options);

/* ---- what is measured (micro_parts.c) ---- */

enum xt_micro_part {
    XT_MICRO_KEY_HASH,
    XT_MICRO_UNSEAL,
    XT_MICRO_HIT,
    XT_MICRO_HIT_BATCH,
    XT_MICRO_MISS,
    XT_MICRO_MISS_BATCH,
    XT_MICRO_CMND,
    XT_MICRO_CMND_BATCH,
    XT_MICRO_PLAIN_HIT,
    XT_MICRO_PLAIN_MISS,
    XT_MICRO_OVERLAY_HIT, /* with an overlay: of somebody who did not change */
    XT_MICRO_OVERLAY_HIT_BATCH,
    XT_MICRO_OVERLAY_MISS,
    XT_MICRO_OVERLAY_MISS_BATCH,
    XT_MICRO_OVERLAY_CHANGED, /* of somebody who did */
    XT_MICRO_NAME_EXACT,
    XT_MICRO_NAME_SPELLING,
    XT_MICRO_NAME_UNACCENTED,
    XT_MICRO_NAME_REORDERED,
    XT_MICRO_NAME_FUZZY,
    XT_MICRO_JSON_IN,
    XT_MICRO_JSON_OUT,
    XT_MICRO_VERIFY,
    XT_MICRO_VERIFY_BATCH,
    XT_MICRO_PARTS
};
const char *xt_micro_part_name(enum xt_micro_part part);  /* in files: "lookup_hit" */
const char *xt_micro_part_title(enum xt_micro_part part); /* for people */
/* XT_NOT_FOUND: there is none of that name. */
XT_MUST_USE enum xt_status xt_micro_part_by_name(const char *name, enum xt_micro_part *part);

/* One size while it is measured. */
struct xt_micro_people;
struct xt_micro_place {
    struct xt_generation *generation;
    struct xt_plain_table *plain; /* NULL: not wanted */
    struct xt_live *live;         /* NULL: no overlay */
    struct xt_micro_people *people;
};

struct xt_micro_sample {
    uint64_t operations;    /* 0: this part does not apply */
    double wall_ns, cpu_ns; /* of all of them together; CPU: of this thread */
};

/* Around what is timed. */
void xt_micro_begin(struct xt_micro_sample *sample);
void xt_micro_end(struct xt_micro_sample *sample, uint64_t operations);
/* "lookup_hit: 3 answers of the right kind in place of 4"; gives XT_CORRUPT. */
enum xt_status xt_micro_wrong(struct xt_failure *failure, enum xt_micro_part part, uint64_t got,
                              uint64_t expected);

/* Does a part once over what people holds. XT_CORRUPT: an answer was wrong. */
XT_MUST_USE enum xt_status xt_micro_part_run(enum xt_micro_part part,
                                             const struct xt_micro_place *place,
                                             struct xt_micro_sample *sample,
                                             struct xt_failure *failure);

/* The same of those that need requests (micro_verify.c). */
XT_MUST_USE enum xt_status xt_micro_verify_run(enum xt_micro_part part,
                                               const struct xt_micro_place *place,
                                               struct xt_micro_sample *sample,
                                               struct xt_failure *failure);

/* Answers every request, singly and in groups, and compares each answer with what it must be. */
XT_MUST_USE enum xt_status xt_micro_check_answers(const struct xt_micro_place *place,
                                                  struct xt_failure *failure);

/* ---- what it is measured on (micro_people.c) ---- */

#define XT_MICRO_NAMES 2048U
#define XT_MICRO_LEVELS 5U /* exact ... fuzzy, as in core/name */

struct xt_micro_request {
    uint32_t offset, size; /* in the bodies */
    uint32_t asked, matched;
};

struct xt_micro_people {
    const struct xt_population *population;
    struct xt_request_plan plan;
    struct xt_partner *partner; /* may ask everything and is told claim by claim */
    uint32_t key_count, cmnd_count, request_count;
    uint64_t changed_count;            /* the last of the population: --overlay */
    uint64_t *hits, *misses, *changed; /* numbers; hits are of people who did not change */
    uint32_t *cmnds;
    struct xt_micro_request *requests;
    uint8_t *bodies;
    size_t body_bytes, body_capacity;
    struct xt_name claimed[XT_MICRO_LEVELS][XT_MICRO_NAMES], held[XT_MICRO_NAMES];
};

XT_MUST_USE enum xt_status xt_micro_people_open(const struct xt_population *population,
                                                const struct xt_micro_options *options,
                                                struct xt_micro_people **people,
                                                struct xt_failure *failure);
/* What a turn is about. */
enum xt_micro_need { XT_MICRO_KEYS = 1, XT_MICRO_NEW_NAMES = 2, XT_MICRO_NEW_REQUESTS = 4 };

/* Others of what is needed (a set) for this turn. */
XT_MUST_USE enum xt_status xt_micro_people_choose(struct xt_micro_people *people, unsigned turn,
                                                  unsigned needs, struct xt_failure *failure);
void xt_micro_people_close(struct xt_micro_people *people);

/* ---- one deployment (micro_deployment.c) ---- */

struct xt_micro_deployment {
    char folder[XT_MICRO_PATH_MAX]; /* temporary; "" : none */
    char dir[XT_MICRO_PATH_MAX];
    struct xt_generation *generation;
    struct xt_plain_table *plain;
    struct xt_live *live;
    struct xt_keyring *keyring; /* borrowed by live */
    uint64_t plain_bytes;
};

/* The program called `name` in the folder of this one. */
XT_MUST_USE enum xt_status xt_micro_beside_us(const char *name, char path[XT_MICRO_PATH_MAX],
                                              struct xt_failure *failure);

/* Opens options->dir, or makes count people of the seed. */
XT_MUST_USE enum xt_status xt_micro_deploy(const struct xt_micro_options *options, uint64_t count,
                                           struct xt_micro_deployment *deployment,
                                           struct xt_failure *failure);
/* Makes the plain layout of what it holds. */
XT_MUST_USE enum xt_status xt_micro_deploy_plain(const struct xt_micro_options *options,
                                                 struct xt_micro_deployment *deployment,
                                                 struct xt_failure *failure);
/* Changes options->overlay people, and opens the live store. */
XT_MUST_USE enum xt_status xt_micro_deploy_overlay(const struct xt_micro_options *options,
                                                   const struct xt_population *population,
                                                   struct xt_micro_deployment *deployment,
                                                   struct xt_failure *failure);
/* Closes and removes what was made, whatever deploy gave. */
void xt_micro_undeploy(struct xt_micro_deployment *deployment);

/* XT_INVALID: the register does not hold the people of this seed and count. */
XT_MUST_USE enum xt_status xt_micro_check_people(struct xt_generation *generation,
                                                 const struct xt_population *population,
                                                 struct xt_failure *failure);

/* ---- figures (micro_result.c) ---- */

struct xt_micro_measure {
    bool has;
    uint64_t operations; /* of a round */
    unsigned count;
    double wall[XT_MICRO_ROUNDS_MAX], cpu[XT_MICRO_ROUNDS_MAX]; /* ns an operation, a round each */
    double median, low, high, cpu_median;
};

struct xt_micro_size {
    uint64_t count, hot_bytes, file_bytes, plain_bytes;
    struct xt_micro_measure measures[XT_MICRO_PARTS];
};

struct xt_micro_result {
    char program[64], commit[64], date[32];
    uint64_t seed;
    unsigned rounds, keys, requests, group;
    struct xt_machine machine;
    unsigned size_count;
    struct xt_micro_size sizes[XT_MICRO_SIZES_MAX];
};

void xt_micro_measure_settle(struct xt_micro_measure *measure); /* median and quartiles */

/* The table, on standard output. */
void xt_micro_print(const struct xt_micro_result *result);
XT_MUST_USE enum xt_status xt_micro_write(const struct xt_micro_result *result, const char *path,
                                          struct xt_failure *failure);
struct xt_json_value;
/* Reads a file's document back and checks it. label: for messages. */
XT_MUST_USE enum xt_status xt_micro_read(const struct xt_json_value *root, const char *label,
                                         struct xt_micro_result *result,
                                         struct xt_failure *failure);

#endif
