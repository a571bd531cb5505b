#include "tests/store/accounts.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/live_internal.h"
#include "store/register.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;
static struct xt_generation *base;
struct xt_live *live;
uint64_t now_ms;

void in_child(void (*work)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work();
        fflush(NULL);
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void open_accounts(void)
{
    if (xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    base = open_served();
    xt_live_set_base(live, base);
}

void close_accounts(void)
{
    xt_live_close(live);
    xt_generation_close(base);
    live = NULL;
}

struct xt_id id_of(unsigned person)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = PERSON_NUMBER(person)};
}

struct xt_account_event about(enum xt_account_type type, unsigned person)
{
    return (struct xt_account_event){
        .type = type, .actor = xt_span_of_string("vneid"), .subject = id_of(person)};
}

void tell_many(const struct xt_account_event *told, unsigned count,
               struct xt_live_outcome *outcomes)
{
    static uint8_t body[XT_ACCOUNT_BODY_MAX];
    static uint8_t memory[XT_LIVE_GROUP_MAX][XT_EVENT_MAX];
    struct xt_span encoded[XT_LIVE_GROUP_MAX];
    assert_true(count <= XT_LIVE_GROUP_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct xt_event event;
        struct xt_writer writer = xt_writer_over(memory[i], XT_EVENT_MAX);
        xt_event_from_account(&told[i], body, &event);
        event.at_ms = now_ms;
        xt_event_encode(&event, &writer);
        encoded[i] = xt_written(&writer);
    }
    if (xt_live_apply(live, now_ms, encoded, count, outcomes, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
}

struct xt_live_outcome tell(const struct xt_account_event *told)
{
    struct xt_live_outcome outcome;
    tell_many(told, 1, &outcome);
    return outcome;
}

void must(const struct xt_account_event *told)
{
    struct xt_live_outcome outcome = tell(told);
    if (outcome.status != XT_OK) {
        fail_msg("%s: %s %s", xt_account_type_name(told->type), xt_status_name(outcome.status),
                 xt_conflict_name(outcome.conflict));
    }
}

void must_not(const struct xt_account_event *told, enum xt_conflict conflict)
{
    struct xt_live_outcome outcome = tell(told);
    if (outcome.status != XT_DENIED || outcome.conflict != conflict) {
        fail_msg("%s: %s %s, expected %s", xt_account_type_name(told->type),
                 xt_status_name(outcome.status), xt_conflict_name(outcome.conflict),
                 xt_conflict_name(conflict));
    }
}

void make_account(unsigned person)
{
    struct xt_account_event event = about(XT_ACCOUNT_ACTIVATED, person);
    event.level = 2;
    must(&event);
    event = about(XT_ACCOUNT_PASSCODE_SET, person);
    event.passcode = xt_span_of_string(PHC);
    must(&event);
    event = about(XT_ACCOUNT_DEVICE_ADDED, person);
    event.device_id = xt_span_of_string("phone");
    event.key = xt_span_of_string(KEY);
    must(&event);
}

void add_factor(struct xt_account_proof *proof, enum xt_factor factor, const char *what)
{
    unsigned bit = factor == XT_FACTOR_PASSCODE ? 0 : factor == XT_FACTOR_DEVICE_KEY ? 1 : 2;
    proof->factors |= factor;
    xt_live_factor_digest(live, factor, xt_span_of_string(what), proof->digests[bit]);
}

struct xt_account_event attempt(unsigned person, bool passed)
{
    struct xt_account_event event = about(XT_ACCOUNT_ATTEMPT, person);
    event.passed = passed;
    add_factor(&event.proof, XT_FACTOR_DEVICE_KEY, KEY);
    event.proof.nonce_count = 1;
    xt_random(event.proof.nonces[0].bytes, XT_ACCOUNT_ID);
    event.proof.nonces[0].expires_ms = now_ms + 60 * SECOND;
    return event;
}

struct xt_account_event consent(unsigned person, uint8_t id)
{
    struct xt_account_event event = about(XT_ACCOUNT_CONSENT_GIVEN, person);
    event.actor = event.partner = xt_span_of_string("bank");
    event.purpose = xt_span_of_string("account.open");
    event.attributes = 5;
    event.expires_ms = now_ms + 3600 * SECOND;
    memset(event.id, id, sizeof(event.id));
    add_factor(&event.proof, XT_FACTOR_DEVICE_KEY, KEY);
    return event;
}

unsigned count_consents(unsigned person)
{
    uint8_t ids[XT_LIVE_CONSENTS_MAX][XT_ACCOUNT_ID];
    unsigned count;
    LOOK(xt_live_consents(live, PERSON_NUMBER(person), ids, &count));
    return count;
}

uint64_t records(void)
{
    uint64_t count;
    LOOK(xt_live_records_check(live, xt_live_sequence(live), &count));
    return count;
}

void sweep_all(void)
{
    for (bool done = false; !done || live->swept_ms != now_ms;) {
        assert_int_equal(xt_live_sweep(live, now_ms, &done, &failure), XT_OK);
    }
}

enum xt_attempt try(unsigned person, bool passed)
{
    struct xt_account_event event = attempt(person, passed);
    struct xt_live_outcome outcome = tell(&event);
    assert_int_equal(outcome.status, XT_OK);
    return outcome.attempt;
}

uint32_t failures_of(struct xt_id subject)
{
    struct xt_throttle throttle;
    struct xt_throttle nobody;
    LOOK(xt_live_throttle(live, subject, false, &throttle));
    LOOK(xt_live_throttle(live, subject, true, &nobody));
    return throttle.failures + nobody.failures;
}

const struct xt_person *look_at(unsigned person)
{
    static struct xt_person found;
    static uint8_t texts[XT_HOT_MAX + XT_COLD_MAX];
    struct xt_register as = {.generation = base, .live = live};
    struct xt_writer writer = xt_writer_over(texts, sizeof(texts));
    LOOK(xt_register_person(&as, PERSON_NUMBER(person), &found));
    xt_hot_encode(&found, &writer);
    size_t size = writer.size;
    xt_cold_encode(&found, &writer);
    assert_int_equal(xt_person_from_records(xt_span_of(texts, size),
                                            xt_span_of(texts + size, writer.size - size), &found),
                     XT_OK);
    return &found;
}
