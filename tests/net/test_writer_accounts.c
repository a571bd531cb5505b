/* Attempts over many channels of the real writer, at once: never a 101st failure in a row, never a challenge twice,
 * also when it is killed again and again; and who may tell it what.
 * XT_KILLS in the environment: how many writers are killed under load (12; a soak takes 200).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/control.h"
#include "net/sandbox.h"
#include "net/snapshot.h"
#include "net/writer.h"
#include "store/live_account.h"
#include "tests/core/mutate.h"
#include "tests/net/writer_rig.h"
#include "tests/test.h"

#define CHANNELS 8
#define SLOTS 160    /* attempts under way */
#define GUESSED 6    /* people at whom everybody guesses */
#define WELCOME 6    /* people who show the right thing, with challenges that are shown again */
#define CHALLENGES 4 /* of each of them at a time */
#define NUMBER(i) (1090000000ULL + (i))
#define KEY "the key of a device, as DER"

static struct xt_failure failure;
static struct xt_writer_channel *channels[CHANNELS];

/* ---- the writer and its channels ----------------------------------------------------------------- */

static struct xt_partner partner_with(const char *name, uint32_t rights)
{
    struct xt_partner partner = {.active = strcmp(name, "inactive") != 0, .rights = rights};
    snprintf(partner.name, sizeof(partner.name), "%s", name);
    partner.certificate_count = 1;
    memcpy(partner.certificates[0], name, strlen(name));
    return partner;
}

static const struct {
    const char *name;
    uint32_t rights;
} PARTNERS[] = {
    {"app", XT_RIGHT_AUTHENTICATE}, {"bank", XT_RIGHT_ATTRIBUTES},
    {"civil", XT_RIGHT_REGISTRY},   {"inactive", XT_RIGHT_AUTHENTICATE | XT_RIGHT_ACCOUNTS},
    {"vneid", XT_RIGHT_ACCOUNTS},
};
#define PARTNER_COUNT (sizeof(PARTNERS) / sizeof(PARTNERS[0]))

static void tell_partners(void)
{
    static uint8_t texts[PARTNER_COUNT][8192];
    struct xt_span spans[PARTNER_COUNT];
    uint32_t cells[PARTNER_COUNT] = {0};
    struct xt_partners *partners = NULL;
    struct xt_control_message message = {.type = XT_CONTROL_RELOAD, .fd_count = 1};
    for (size_t i = 0; i < PARTNER_COUNT; i++) {
        static struct xt_partner partner;
        struct xt_writer writer = xt_writer_over(texts[i], sizeof(texts[i]));
        partner = partner_with(PARTNERS[i].name, PARTNERS[i].rights);
        xt_partner_to_json(&partner, &writer);
        spans[i] = xt_written(&writer);
    }
    if (xt_partners_parse(spans, PARTNER_COUNT, &partners, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    struct xt_snapshot_parts parts = {.partners = partners, .cells = cells};
    assert_int_equal(xt_snapshot_write(&parts, &message.fds[0], &failure), XT_OK);
    assert_int_equal(xt_control_send(rig.supervisor, &message), XT_OK);
    close(message.fds[0]);
    xt_partners_free(partners);
}

/* Of workers: the writer hears of the partners before it hears of the channels. */
static void connect_channels(void)
{
    tell_partners();
    for (unsigned i = 0; i < CHANNELS; i++) {
        int ends[2];
        struct xt_control_message message = {.type = XT_CONTROL_CHANNEL, .fd_count = 1};
        assert_int_equal(xt_writer_channel_pair(ends, &failure), XT_OK);
        message.fds[0] = ends[0];
        assert_int_equal(xt_control_send(rig.supervisor, &message), XT_OK);
        close(ends[0]);
        if (channels[i] == NULL) {
            assert_int_equal(xt_writer_channel_open(&rig.loop, ends[1], &channels[i]), XT_OK);
        } else {
            assert_int_equal(xt_writer_channel_replace(channels[i], ends[1]), XT_OK);
        }
    }
}

struct asked {
    bool answered;
    struct xt_writer_answer answer;
};

static void on_asked(void *context, const struct xt_writer_answer *answer)
{
    struct asked *asked = context;
    asked->answered = true;
    asked->answer = *answer;
}

static struct xt_writer_answer ask(struct xt_writer_channel *channel, const char *partner,
                                   const struct xt_account_event *told)
{
    uint8_t body[XT_ACCOUNT_BODY_MAX];
    struct xt_event event;
    struct asked asked = {.answered = false};
    xt_event_from_account(told, body, &event);
    assert_int_equal(xt_writer_send_for(channel, partner, &event, on_asked, &asked), XT_OK);
    rig_patience();
    while (!asked.answered) {
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
    return asked.answer;
}

static uint64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 +
           (uint64_t)__atomic_load_n(&rig.control->clock_ms, __ATOMIC_RELAXED);
}

static struct xt_account_event about(enum xt_account_type type, const char *actor, unsigned person)
{
    return (struct xt_account_event){.type = type,
                                     .actor = xt_span_of_string(actor),
                                     .subject = {.kind = XT_ID_PERSONAL, .value = NUMBER(person)}};
}

/* The supervisor may tell everything. */
static void make_account(unsigned person)
{
    struct xt_account_event told = about(XT_ACCOUNT_ACTIVATED, "vneid", person);
    told.level = 2;
    assert_int_equal(ask(rig.channel, "", &told).status, XT_OK);
    told = about(XT_ACCOUNT_DEVICE_ADDED, "vneid", person);
    told.device_id = xt_span_of_string("phone");
    told.key = xt_span_of_string(KEY);
    assert_int_equal(ask(rig.channel, "", &told).status, XT_OK);
}

static void refresh(void)
{
    assert_int_equal(
        xt_live_refresh(rig.as.live, xt_writer_epoch(rig.shared), xt_writer_commit(rig.shared)),
        XT_OK);
}

static uint32_t failures_of(unsigned person)
{
    struct xt_throttle throttle;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = NUMBER(person)};
    refresh();
    assert_int_equal(xt_live_throttle(rig.as.live, id, false, &throttle), XT_OK);
    xt_live_rest(rig.as.live);
    return throttle.failures;
}

static int make(void **state)
{
    int result = rig_make(state);
    connect_channels();
    return result;
}

static int remove_all(void **state)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        xt_writer_channel_close(channels[i]);
        channels[i] = NULL;
    }
    return rig_remove(state);
}

/* ---- many at once -------------------------------------------------------------------------------- */

/* A challenge that several show, and how often it counted. */
struct challenge {
    uint8_t nonce[XT_ACCOUNT_ID];
    uint64_t expires_ms;
    unsigned shown, passed;
};

/* An attempt from the moment it is made until it is answered, and sent again meanwhile if need be. */
struct slot {
    bool made, under_way;
    unsigned person;
    struct challenge *challenge; /* of who is welcome */
    struct xt_event event;
    uint8_t body[XT_ACCOUNT_BODY_MAX];
};

static struct {
    struct slot slots[SLOTS];
    struct challenge challenges[WELCOME][CHALLENGES];
    unsigned counted[GUESSED], passed, used, throttled, duplicates, answers;
    uint8_t digest[XT_ACCOUNT_DIGEST];
} field;

static struct challenge *draw_challenge(unsigned person)
{
    struct challenge *challenge =
        &field.challenges[person - GUESSED][next_random(&rig.random) % CHALLENGES];
    if (challenge->shown == 0) {
        xt_random(challenge->nonce, sizeof(challenge->nonce));
        challenge->expires_ms = clock_now() + 60000;
    }
    challenge->shown++;
    return challenge;
}

static void draw(struct slot *slot)
{
    bool welcome = next_random(&rig.random) % 2 == 0;
    slot->person = welcome ? GUESSED + (unsigned)(next_random(&rig.random) % WELCOME)
                           : (unsigned)(next_random(&rig.random) % GUESSED);
    struct xt_account_event told = about(XT_ACCOUNT_ATTEMPT, "app", slot->person);
    told.passed = welcome;
    told.proof.factors = XT_FACTOR_DEVICE_KEY;
    memcpy(told.proof.digests[1], field.digest, sizeof(field.digest));
    told.proof.nonce_count = 1;
    slot->challenge = welcome ? draw_challenge(slot->person) : NULL;
    if (welcome) {
        memcpy(told.proof.nonces[0].bytes, slot->challenge->nonce, XT_ACCOUNT_ID);
        told.proof.nonces[0].expires_ms = slot->challenge->expires_ms;
    } else {
        xt_random(told.proof.nonces[0].bytes, XT_ACCOUNT_ID);
        told.proof.nonces[0].expires_ms = clock_now() + 60000;
    }
    xt_event_from_account(&told, slot->body, &slot->event);
    slot->made = true;
}

static void on_attempt(void *context, const struct xt_writer_answer *answer)
{
    struct slot *slot = context;
    slot->under_way = false;
    if (answer->status == XT_CLOSED || answer->status == XT_BUSY) {
        return; /* the same once more; a new writer opens its generation first */
    }
    assert_int_equal(answer->status, XT_OK);
    assert_true(answer->attempt != XT_ATTEMPT_NONE && answer->attempt != XT_ATTEMPT_UNUSABLE);
    slot->made = false;
    field.answers++;
    field.duplicates += answer->duplicate;
    bool counts = answer->attempt != XT_ATTEMPT_THROTTLED;
    field.throttled += !counts;
    if (slot->challenge == NULL) {
        field.counted[slot->person] += counts;
        assert_true(answer->attempt != XT_ATTEMPT_PASSED);
        return;
    }
    field.used += answer->attempt == XT_ATTEMPT_USED;
    if (answer->attempt == XT_ATTEMPT_PASSED) {
        field.passed++;
        slot->challenge->passed++;
        assert_int_equal(slot->challenge->passed, 1);
    }
}

/* A challenge is shown some times and makes room for another once nobody shows it any more. */
static void renew_challenges(void)
{
    for (unsigned i = 0; i < WELCOME * CHALLENGES; i++) {
        struct challenge *challenge = &field.challenges[i / CHALLENGES][i % CHALLENGES];
        bool shown = false;
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            shown = shown || (field.slots[slot].made && field.slots[slot].challenge == challenge);
        }
        if (!shown && challenge->shown >= 3) {
            *challenge = (struct challenge){.shown = 0};
        }
    }
}

static void feed(bool more)
{
    renew_challenges();
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &field.slots[i];
        if (!slot->made && more) {
            draw(slot);
        }
        if (slot->made && !slot->under_way) {
            slot->under_way = xt_writer_send_for(channels[i % CHANNELS], "app", &slot->event,
                                                 on_attempt, slot) == XT_OK;
        }
    }
}

static unsigned least_counted(void)
{
    unsigned least = XT_THROTTLE_STOP;
    for (unsigned i = 0; i < GUESSED; i++) {
        assert_true(field.counted[i] <= XT_THROTTLE_STOP);
        least = field.counted[i] < least ? field.counted[i] : least;
    }
    return least;
}

/* The clock goes on by more than the longest wait, so that each of those who wait may try once more. */
static void leap(void)
{
    int64_t clock_ms = __atomic_load_n(&rig.control->clock_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&rig.control->clock_ms, clock_ms + 3601000, __ATOMIC_RELAXED);
}

static void run_for(unsigned answers)
{
    unsigned until = field.answers + answers;
    rig_patience();
    while (field.answers < until && xt_writer_channel_is_open(channels[0])) {
        feed(true);
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
}

static bool is_at_rest(void)
{
    bool rests = true;
    for (unsigned i = 0; i < SLOTS; i++) {
        rests = rests && !field.slots[i].made;
    }
    return rests;
}

/* Asked before the loop waits: with nothing under way it would wait for ever. */
static void come_to_rest(void)
{
    rig_patience();
    while (!is_at_rest()) {
        feed(false);
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
}

static void begin(void)
{
    memset(&field, 0, sizeof(field));
    for (unsigned i = 0; i < GUESSED + WELCOME; i++) {
        make_account(i);
    }
    xt_live_factor_digest(rig.as.live, XT_FACTOR_DEVICE_KEY, xt_span_of_string(KEY), field.digest);
}

/* All that was answered is what is there: no failure lost, none counted twice. */
static void finish(void)
{
    come_to_rest();
    for (unsigned i = 0; i < GUESSED; i++) {
        assert_int_equal(field.counted[i], XT_THROTTLE_STOP);
        assert_int_equal(failures_of(i), XT_THROTTLE_STOP);
    }
    assert_true(field.passed > 0 && field.used > 0 && field.throttled > 0);
    print_message("%u attempts, %u passed, %u with a used challenge, %u throttled, %u sent again\n",
                  field.answers, field.passed, field.used, field.throttled, field.duplicates);
    rig_drain();
    rig_passed();
}

static void parallel_attempts_never_allow_a_101st_failure_nor_a_challenge_twice(void **state)
{
    (void)state;
    begin();
    while (least_counted() < XT_THROTTLE_STOP) {
        run_for(SLOTS);
        leap();
    }
    for (unsigned i = 0; i < 3; i++) {
        leap();
        run_for(4 * SLOTS);
    }
    finish();
}

/* What it had answered before it was killed, and that the rest is not known. */
static void hear_all(void)
{
    rig_patience();
    for (unsigned i = 0; i < CHANNELS; i++) {
        while (xt_writer_channel_waiting(channels[i]) > 0) {
            uv_run(&rig.loop, UV_RUN_ONCE);
        }
    }
    uv_timer_stop(&rig.patience);
}

/* Behind it the writer answers, within microseconds: who is killed there leaves attempts that were applied and not
 * answered. */
static void wait_for_commit(void)
{
    uint64_t before = xt_writer_epoch(rig.shared);
    for (unsigned spins = 0; spins < 20000000 && xt_writer_epoch(rig.shared) == before; spins++) {
    }
}

static void nor_do_they_when_the_writer_is_killed_again_and_again(void **state)
{
    (void)state;
    const char *text = getenv("XT_KILLS");
    unsigned kills = text == NULL ? 12 : (unsigned)strtoul(text, NULL, 10);
    begin();
    for (unsigned i = 0; i < kills; i++) {
        run_for((unsigned)(next_random(&rig.random) % (4 * SLOTS)));
        leap();
        feed(true);
        (void)uv_run(&rig.loop, UV_RUN_NOWAIT);
        if (i % 2 == 0) {
            usleep((useconds_t)(next_random(&rig.random) % 3000));
        } else {
            wait_for_commit();
        }
        assert_int_equal(kill(rig.writer, SIGKILL), 0);
        hear_all();
        assert_true(WIFSIGNALED(rig_reap()));
        rig_start();
        connect_channels();
    }
    while (least_counted() < XT_THROTTLE_STOP) {
        run_for(SLOTS);
        leap();
    }
    finish();
    assert_true(field.duplicates > 0 || kills < 100); /* of a few none may have been in time */
}

/* ---- rights -------------------------------------------------------------------------------------- */

static bool is_let_through(const char *partner, struct xt_account_event told, const char *actor)
{
    told.actor = xt_span_of_string(actor);
    struct xt_writer_answer answer = ask(channels[0], partner, &told);
    return answer.status != XT_DENIED || answer.conflict != XT_CONFLICT_NONE;
}

static struct xt_account_event sample(enum xt_account_type type)
{
    struct xt_account_event told = about(type, "app", RIG_SUBJECTS + 5); /* nobody */
    told.level = 1;
    told.reason = XT_LOCK_HOLDER;
    told.device_id = told.key = xt_span_of_string("x");
    told.passcode = xt_span_of_string("$argon2id$v=19$m=1,t=1,p=1$a$b");
    told.partner = xt_span_of_string("bank");
    told.purpose = xt_span_of_string("login");
    told.attributes = 1;
    told.expires_ms = clock_now() + 60000;
    told.proof.factors = XT_FACTOR_DEVICE_KEY;
    told.proof.nonce_count = 1;
    told.approved = true;
    told.acr = 1;
    xt_random(told.id, sizeof(told.id));
    return told;
}

static void partners_tell_only_what_they_have_the_right_for(void **state)
{
    (void)state;
    for (unsigned type = XT_ACCOUNT_FIRST; type < XT_ACCOUNT_END; type++) {
        struct xt_account_event told = sample((enum xt_account_type)type);
        bool tries = type == XT_ACCOUNT_ATTEMPT;
        bool app = tries || type == XT_ACCOUNT_TOKEN_REVOKED ||
                   type == XT_ACCOUNT_BACKCHANNEL_ASKED || type == XT_ACCOUNT_BACKCHANNEL_TAKEN ||
                   type == XT_ACCOUNT_PASSCODE_REHASHED;
        bool bank = type == XT_ACCOUNT_CONSENT_GIVEN;
        assert_int_equal(is_let_through("app", told, "app"), app);
        assert_int_equal(is_let_through("vneid", told, "vneid"), tries || !app);
        assert_int_equal(is_let_through("bank", told, "bank"), bank);
        assert_false(is_let_through("civil", told, "civil"));
        assert_false(is_let_through("inactive", told, "inactive"));
        assert_false(is_let_through("", told, "app"));
        assert_false(is_let_through("nobody", told, "nobody"));
        /* In another's name, whoever stands around it. */
        assert_false(is_let_through("bank", told, "app"));
        assert_false(is_let_through("app", told, "vneid"));
        assert_false(is_let_through("vneid", told, "app"));
        told.partner = xt_span_of_string("clinic");
        assert_false(is_let_through("bank", told, "bank")); /* a consent to somebody else */
    }
    rig_drain();
    rig_passed();
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

int main(void)
{
    struct xt_failure no_rings; /* as the supervisor leaves it to its children */
    if (xt_sandbox_without_rings(&no_rings) != XT_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(partners_tell_only_what_they_have_the_right_for),
        EACH(parallel_attempts_never_allow_a_101st_failure_nor_a_challenge_twice),
        EACH(nor_do_they_when_the_writer_is_killed_again_and_again),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
