/* A person that was read fits into its records, and is read back from them. */
#include "core/person.h"
#include "core/record.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_PERSON_JSON_ARENA];

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_person person;
    struct xt_reject reject;
    struct xt_json_arena memory = {arena, sizeof(arena)};
    if (xt_person_from_json(xt_span_of(data, size), memory, &person, &reject) != XT_OK) {
        return;
    }
    uint8_t record[XT_HOT_MAX];
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    struct xt_hot hot;
    xt_hot_encode(&person, &writer);
    xt_require(!writer.overflow && xt_hot_decode(xt_written(&writer), &hot) == XT_OK);
}
