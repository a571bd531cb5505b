#include "tests/store/changes.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;

static void encode(const char *line, uint8_t memory[XT_EVENT_MAX], struct xt_span *encoded)
{
    static uint8_t arena_memory[XT_PERSON_JSON_ARENA], body[XT_EVENT_BODY_MAX];
    static struct xt_registry_event told;
    struct xt_json_arena arena = {arena_memory, sizeof(arena_memory)};
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    struct xt_event event;
    if (xt_registry_event_from_json(xt_span_of_string(line), arena, &envelope, &told, &reject) !=
        XT_OK) {
        fail_msg("%s", line);
    }
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, &event), XT_OK);
    struct xt_writer writer = xt_writer_over(memory, XT_EVENT_MAX);
    xt_event_encode(&event, &writer);
    assert_false(writer.overflow);
    *encoded = xt_written(&writer);
}

void apply_changes(struct xt_live *live, const char *const *lines, unsigned count,
                   struct xt_live_outcome *outcomes)
{
    static uint8_t memory[CHANGES_MAX][XT_EVENT_MAX];
    struct xt_span spans[CHANGES_MAX];
    assert_true(count <= CHANGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        encode(lines[i], memory[i], &spans[i]);
    }
    if (xt_live_apply(live, 1000, spans, count, outcomes, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

void change_once(const char *line)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct xt_live *live = NULL;
        struct xt_live_outcome outcome = {.status = XT_INVALID};
        if (xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure) != XT_OK) {
            fail_msg("%s", failure.text);
        }
        xt_live_set_base(live, open_served());
        apply_changes(live, &line, 1, &outcome);
        _exit(outcome.status == XT_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
