#include "bench/batch_people.h"

#include <stdlib.h>

#include "bench/verdict.h"

#define TXN_START "{\"txn\":\""

static enum xt_status add_line(const struct xt_request_plan *plan, uint64_t index, size_t *capacity,
                               struct xt_batch_people *people)
{
    struct xt_generated_request made;
    size_t size = people->offsets[index];
    xt_request_make(plan, index, &made);
    if (*capacity - size < made.body_size + 1) {
        size_t larger = *capacity + *capacity / 4 + (16U << 20);
        uint8_t *text = realloc(people->text, larger);
        if (text == NULL) {
            return XT_NO_MEMORY;
        }
        people->text = text;
        *capacity = larger;
    }
    memcpy(people->text + size, made.body, made.body_size);
    people->text[size + made.body_size] = '\n';
    people->offsets[index + 1] = size + made.body_size + 1;
    people->asked[index] = (uint16_t)made.asked;
    people->matched[index] = (uint16_t)made.matched;
    return XT_OK;
}

enum xt_status xt_batch_people_make(uint64_t seed, uint64_t count, uint64_t lines,
                                    struct xt_batch_people *people, struct xt_failure *failure)
{
    struct xt_population *population = NULL;
    struct xt_request_plan plan;
    size_t capacity = 0;
    *people = (struct xt_batch_people){.count = lines,
                                       .offsets = calloc(lines + 1, sizeof(uint64_t)),
                                       .asked = calloc(lines, sizeof(uint16_t)),
                                       .matched = calloc(lines, sizeof(uint16_t))};
    if (people->offsets == NULL || people->asked == NULL || people->matched == NULL ||
        xt_population_open(seed, count, &population) != XT_OK) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory; ask for fewer --lines");
    }
    xt_request_plan_defaults(&plan, population);
    enum xt_status status = XT_OK;
    for (uint64_t i = 0; status == XT_OK && i < lines; i++) {
        status = add_line(&plan, i, &capacity, people);
    }
    xt_population_close(population);
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "not enough memory; ask for fewer --lines");
}

void xt_batch_people_free(struct xt_batch_people *people)
{
    free(people->offsets);
    free(people->asked);
    free(people->matched);
    free(people->text);
}

/* {"line":N,"txn":... as the answer to a single request; gives where that begins, 0: it is none. */
static size_t strip_number(uint8_t *answer, size_t size, uint64_t number)
{
    static const char start[] = "{\"line\":";
    uint64_t told = 0;
    size_t at = sizeof(start) - 1;
    if (size < sizeof(start) || memcmp(answer, start, sizeof(start) - 1) != 0) {
        return 0;
    }
    for (; at < size && answer[at] >= '0' && answer[at] <= '9'; at++) {
        told = told * 10 + (answer[at] - '0');
    }
    if (at == size || answer[at] != ',' || told != number) {
        return 0;
    }
    answer[at] = '{';
    return at;
}

enum xt_batch_check xt_batch_people_check(const struct xt_batch_people *people, uint64_t index,
                                          uint64_t number, uint8_t *answer, size_t size,
                                          const char **why)
{
    static const char refusal[] = "{\"status\":";
    struct xt_span line = xt_batch_people_line(people, index);
    size_t at = strip_number(answer, size, number);
    if (at == 0) {
        *why = "another line's number";
        return XT_BATCH_WRONG;
    }
    if (size - at > sizeof(refusal) && memcmp(answer + at, refusal, sizeof(refusal) - 1) == 0) {
        return XT_BATCH_REFUSED;
    }
    const uint8_t *txn = line.data + sizeof(TXN_START) - 1;
    const uint8_t *end = memchr(txn, '"', line.size - sizeof(TXN_START));
    struct xt_expected expected = {.txn = xt_span_of(txn, (size_t)(end - txn)),
                                   .asked = people->asked[index % people->count],
                                   .matched = people->matched[index % people->count]};
    return xt_verdict_check(xt_span_of(answer + at, size - at), &expected, why) == XT_VERDICT_RIGHT
               ? XT_BATCH_RIGHT
               : XT_BATCH_WRONG;
}
