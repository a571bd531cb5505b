/* bench/names: the parts of synthetic Vietnamese names with their frequencies, as data.
 *
 * Weights are shares of 10,000 (domain facts, section 7). An entry of weight 0 belongs to "the rest
 * spread": those share evenly what the others of their list leave. One spelling throughout (tone on
 * the first letter of oa, oe, uy; Mỹ, Lý with y), so that two texts are the same name only when the
 * bytes are equal.
 */
#ifndef XT_BENCH_NAMES_H
#define XT_BENCH_NAMES_H

#include <stdint.h>

#define XT_NAME_WEIGHT_TOTAL 10000

struct xt_name_part {
    const char *text; /* UTF-8, NFC; one or more tokens */
    uint16_t weight;  /* of 10,000 over both sexes; 0: the rest, spread */
    char sex;         /* 'f', 'm' or 'b' for both */
};

struct xt_name_list {
    const struct xt_name_part *parts;
    unsigned count;
};

extern const struct xt_name_list xt_names_family;
extern const struct xt_name_list xt_names_middle; /* second token; one-sex entries only */
extern const struct xt_name_list xt_names_second; /* third token of four */
extern const struct xt_name_list xt_names_given;
extern const struct xt_name_list xt_names_ede_given; /* after Y and H' */
extern const struct xt_name_list xt_names_ede_clan;
extern const struct xt_name_list xt_names_street;
extern const struct xt_name_list xt_names_commune;
extern const struct xt_name_list xt_names_ethnicity;

#endif
