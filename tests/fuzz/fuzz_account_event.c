/* A type and bytes are an event that comes back as these bytes, or none; one about a person can be applied. */
#include "core/account_event.h"
#include "core/person_member.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    static struct xt_person person;
    static uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_account_event event;
    if (size == 0 || size > XT_ACCOUNT_BODY_MAX) {
        return;
    }
    enum xt_account_type type =
        (enum xt_account_type)(XT_ACCOUNT_FIRST + data[0] % (XT_ACCOUNT_END - XT_ACCOUNT_FIRST));
    struct xt_span bytes = xt_span_of(data + 1, size - 1);
    struct xt_writer writer = xt_writer_over(body, sizeof(body));
    if (xt_account_event_decode(type, bytes, &event) != XT_OK) {
        return;
    }
    xt_account_event_encode(&event, &writer);
    xt_require(!writer.overflow && xt_span_equal(xt_written(&writer), bytes));
    bool resets = type == XT_ACCOUNT_UNLOCKED && event.reason == 0; /* not of the person */
    if (xt_account_changes_person(type) && !resets) {
        xt_person_clear(&person);
        (void)!xt_account_event_apply(&event, XT_SUBJECT_PERSON, &person);
    }
}
