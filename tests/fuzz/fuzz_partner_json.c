/* A partner that was read is written as it was read. */
#include "core/person.h"
#include "core/policy.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_PERSON_JSON_ARENA];

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_partner partner, again;
    static uint8_t text[XT_PARTNER_JSON_MAX], twice[XT_PARTNER_JSON_MAX];
    struct xt_json_arena memory = {arena, sizeof(arena)};
    if (xt_partner_from_json(xt_span_of(data, size), memory, &partner, NULL) != XT_OK) {
        return;
    }
    struct xt_writer first = xt_writer_over(text, sizeof(text));
    struct xt_writer second = xt_writer_over(twice, sizeof(twice));
    xt_partner_to_json(&partner, &first);
    xt_require(!first.overflow);
    xt_require(xt_partner_from_json(xt_written(&first), memory, &again, NULL) == XT_OK);
    xt_partner_to_json(&again, &second);
    xt_require(first.size == second.size && memcmp(text, twice, first.size) == 0);
}
