#include "tests/store/live_store.h"

#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct xt_failure failure;

int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

int remove_all(void **state)
{
    (void)umount2(deployment_path("live"), MNT_DETACH); /* of a test that failed half-way */
    return deployment_remove(state);
}

struct xt_live *open_sized(bool writes, uint64_t map_bytes, uint32_t window_events)
{
    struct xt_live *live = NULL;
    struct xt_live_sizes sizes = {map_bytes, window_events, window_events};
    if (xt_live_open(deployment(), deployment_keyring(), writes, sizes, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return live;
}

struct xt_live *open_writer(void)
{
    return open_sized(true, XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_EVENTS);
}

struct xt_live *open_reader(void)
{
    return open_sized(false, XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_EVENTS);
}

void in_child(void (*work)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work();
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void spki_of(unsigned i, uint8_t spki[XT_SPKI_DIGEST])
{
    memset(spki, (int)(i >> 16), XT_SPKI_DIGEST);
    spki[0] = (uint8_t)i;
    spki[1] = (uint8_t)(i >> 8);
}

struct xt_event held_event(unsigned i, const char *partner)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    spki_of(i, event.certificate_held.spki);
    snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "%s", partner);
    return event;
}

struct xt_event served_event(uint32_t number, uint8_t digest, bool rollback)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = number;
    memset(event.generation_served.digest, digest, XT_GENERATION_DIGEST);
    event.generation_served.rollback = rollback;
    return event;
}

struct xt_span encode(const struct xt_event *event, uint8_t memory[XT_EVENT_MAX])
{
    struct xt_writer writer = xt_writer_over(memory, XT_EVENT_MAX);
    xt_event_encode(event, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

enum xt_status apply(struct xt_live *live, uint64_t now_ms, const struct xt_event *events,
                     unsigned count, struct xt_live_outcome *outcomes)
{
    static uint8_t memory[XT_LIVE_GROUP_MAX][XT_EVENT_MAX];
    struct xt_span spans[XT_LIVE_GROUP_MAX];
    for (unsigned i = 0; i < count; i++) {
        spans[i] = encode(&events[i], memory[i]);
    }
    return xt_live_apply(live, now_ms, spans, count, outcomes, &failure);
}

struct xt_live_outcome apply_one(struct xt_live *live, const struct xt_event *event)
{
    struct xt_live_outcome outcome;
    assert_int_equal(apply(live, event->at_ms, event, 1, &outcome), XT_OK);
    return outcome;
}

void assert_applied(struct xt_live_outcome outcome, uint64_t sequence, bool duplicate)
{
    assert_int_equal(outcome.status, XT_OK);
    assert_int_equal(outcome.sequence, sequence);
    assert_int_equal(outcome.duplicate, duplicate);
}

void assert_held_by(const struct xt_live *live, unsigned i, const char *partner)
{
    uint8_t spki[XT_SPKI_DIGEST];
    char name[XT_PARTNER_NAME_MAX + 1];
    spki_of(i, spki);
    enum xt_status status = xt_live_holder(live, spki, name);
    assert_int_equal(status, partner == NULL ? XT_NOT_FOUND : XT_OK);
    if (partner != NULL) {
        assert_string_equal(name, partner);
    }
}

static enum xt_status count_line(void *context, uint64_t sequence, const struct xt_live_line *line)
{
    unsigned *count = context;
    (void)sequence;
    (void)line;
    ++*count;
    return XT_OK;
}

unsigned count_log(void)
{
    unsigned count = 0;
    struct xt_live *live = open_reader();
    assert_int_equal(xt_live_log_each(live, count_line, &count), XT_OK);
    xt_live_close(live);
    return count;
}
