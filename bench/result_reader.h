/* bench/result_reader: members of a result, each checked for presence, type and range.
 *
 * Private to bench/result_*.c. After the first complaint everything gives 0 or nothing, so that a reader
 * of many members looks once, at its end.
 */
#ifndef XT_BENCH_RESULT_READER_H
#define XT_BENCH_RESULT_READER_H

#include "bench/result_file.h"

#define XT_RESULT_COUNT_MAX (1ULL << 53) /* what a JSON number says exactly everywhere */

struct xt_result_reader {
    const char *label;
    const char *within; /* what precedes a member's name in a complaint: "run." */
    enum xt_status status;
    struct xt_failure *failure;
};

/* "run.json: run.errors must be ..." */
void xt_result_complain(struct xt_result_reader *reader, const char *name, const char *must);

/* The member; NULL, with a complaint, when there is none or another type. must: "must be a list". */
const struct xt_json_value *xt_result_want(struct xt_result_reader *reader,
                                           const struct xt_json_value *object, const char *name);
const struct xt_json_value *xt_result_want_type(struct xt_result_reader *reader,
                                                const struct xt_json_value *object,
                                                const char *name, enum xt_json_type type,
                                                const char *must);

uint64_t xt_result_integer(struct xt_result_reader *reader, const struct xt_json_value *object,
                           const char *name, uint64_t max);
/* Up to XT_HISTOGRAM_HIGHEST. */
uint32_t xt_result_microseconds(struct xt_result_reader *reader, const struct xt_json_value *object,
                                const char *name);
/* 0 ... max. */
double xt_result_real(struct xt_result_reader *reader, const struct xt_json_value *object,
                      const char *name, double max);
bool xt_result_boolean(struct xt_result_reader *reader, const struct xt_json_value *object,
                       const char *name);

/* Copies text, cut between characters where it is too long; control characters become spaces, since
 * nothing that shows them has a use for them. */
void xt_result_copy_text(struct xt_span from, char *to, size_t capacity);

/* Appends an object's members, flattened; prefix: what precedes their names; depth: 0. */
void xt_result_read_pairs(struct xt_result_reader *reader, const struct xt_json_value *object,
                          const char *prefix, unsigned depth, struct xt_result_pairs *pairs);

#endif
