/* An event that was read fits into its bytes, is read back from them, and can be applied; the same text
 * taken for bytes is an event that comes back, or none. */
#include "core/registry_event.h"
#include "tests/fuzz/fuzz.h"

static uint8_t arena[XT_PERSON_JSON_ARENA];
static uint8_t body[XT_REGISTRY_BODY_MAX];
static struct xt_registry_event event;

static void comes_back(enum xt_registry_type type, struct xt_span bytes)
{
    struct xt_writer writer = xt_writer_over(body, sizeof(body));
    if (xt_registry_event_decode(type, bytes, &event) == XT_OK) {
        xt_registry_event_encode(&event, &writer);
        xt_require(!writer.overflow && xt_span_equal(xt_written(&writer), bytes));
    }
}

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_person person;
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    struct xt_json_arena memory = {arena, sizeof(arena)};
    if (xt_registry_event_from_json(xt_span_of(data, size), memory, &envelope, &event, &reject) ==
        XT_OK) {
        struct xt_writer writer = xt_writer_over(body, sizeof(body));
        xt_registry_event_encode(&event, &writer);
        xt_require(!writer.overflow);
        xt_require(xt_registry_event_decode(event.type, xt_written(&writer), &event) == XT_OK);
        memset(&person, 0, sizeof(person));
        person.number = event.number;
        (void)!xt_registry_event_apply(&event, XT_SUBJECT_PERSON, false, &person);
    }
    if (size > 0 && size <= XT_REGISTRY_BODY_MAX) {
        comes_back((enum xt_registry_type)(XT_REGISTRY_FIRST + data[0] % 13),
                   xt_span_of(data + 1, size - 1));
    }
}
