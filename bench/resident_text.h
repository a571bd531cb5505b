/* bench/resident_text: a synthetic person as one line of the import format (product contract, 2). */
#ifndef XT_BENCH_RESIDENT_TEXT_H
#define XT_BENCH_RESIDENT_TEXT_H

#include "bench/population.h"

#define XT_RESIDENT_LINE_MAX 4096 /* bytes; always enough, newline included */

/* more: NULL for the default members. Both end the line with a newline. */
void xt_resident_to_json(const struct xt_resident *person, const struct xt_resident_more *more,
                         struct xt_writer *writer);
/* Links and devices exist in JSON only. */
void xt_resident_to_csv(const struct xt_resident *person, const struct xt_resident_more *more,
                        struct xt_writer *writer);
void xt_resident_csv_header(bool full, struct xt_writer *writer);

/* "health_insurance" and so on. */
const char *xt_link_type_text(enum xt_link_type type);

/* Shared with the request generator. */
static inline void xt_write_text(struct xt_writer *writer, const struct xt_text *text)
{
    xt_write(writer, text->data, text->size);
}
void xt_write_number(struct xt_writer *writer, uint64_t number);
void xt_write_cmnd(struct xt_writer *writer, uint32_t cmnd);
void xt_write_phone(struct xt_writer *writer, uint32_t phone);
void xt_write_date(struct xt_writer *writer, xt_date date);
/* digits: with leading zeros, at most 20. */
void xt_write_decimal(struct xt_writer *writer, uint64_t value, unsigned digits);

#endif
