/* Requests answered in this process, with the time of each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/load_run.h"
#include "bench/timing.h"
#include "net/verification.h"
#include "store/command_line.h"
#include "store/progress.h"

#define PROGRESS_STEP 4096U
/* 2026-01-01, 09:00 UTC: in the population's time. */
#define UNIX_MS 1767258000000U

/* ---- ticks ---- */

/* Nothing before it is still under way and nothing after it has begun. */
#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t ticks(void)
{
    _mm_lfence();
    uint64_t now = __rdtsc();
    _mm_lfence();
    return now;
}
#else
static inline uint64_t ticks(void)
{
    return xt_clock_ns();
}
#endif

/* ---- samples ---- */

enum xt_status xt_timing_samples_open(uint32_t capacity, struct xt_timing_samples *samples,
                                      struct xt_failure *failure)
{
    *samples = (struct xt_timing_samples){.capacity = capacity, .ns = 1};
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        samples->list[i] = calloc(capacity, sizeof(uint32_t));
        samples->cases[i] = calloc(capacity, sizeof(uint32_t));
        if (samples->list[i] == NULL || samples->cases[i] == NULL) {
            xt_timing_samples_close(samples);
            return xt_fail(failure, XT_NO_MEMORY, "not enough memory; ask for fewer --requests");
        }
    }
    return XT_OK;
}

void xt_timing_samples_close(struct xt_timing_samples *samples)
{
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        free(samples->list[i]);
        free(samples->cases[i]);
        samples->list[i] = samples->cases[i] = NULL;
    }
}

bool xt_timing_next(const struct xt_timing_cases *cases, const struct xt_timing_samples *samples,
                    uint32_t classes, struct xt_stream *stream, struct xt_timing_turn *turn)
{
    unsigned open[XT_TIMING_CLASSES];
    unsigned count = 0;
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        if ((classes >> i & 1U) != 0 && cases->counts[i] > 0 &&
            samples->counts[i] < samples->capacity) {
            open[count++] = i;
        }
    }
    if (count == 0) {
        return false;
    }
    unsigned class = open[xt_stream_below(stream, count)];
    turn->class = (enum xt_timing_class) class;
    turn->place = xt_stream_below(stream, cases->counts[class]);
    turn->asked = &cases->list[class][turn->place];
    return true;
}

/* ---- requests ---- */

struct desk {
    struct xt_generation *generation; /* borrowed */
    struct xt_audit_log *log;         /* nothing is written to it: entries are made */
    int log_file;
    struct xt_audit_entry entry;
    uint8_t entry_bytes[XT_AUDIT_ENTRY_MAX];
    struct xt_partner *partner;
    struct xt_json_arena arena;
    uint8_t body[XT_TIMING_BODY_MAX + 8];
    struct xt_verification verification;
    enum xt_status noted;
    char answered_at[XT_TIMESTAMP];
    uint8_t answer[XT_VERIFY_ANSWER_MAX];
    size_t answer_size;
    size_t sizes[XT_TIMING_CLASSES]; /* of answers; 0: none yet */
};

/* Told of no existence, but of all else. */
static struct xt_partner *make_partner(void)
{
    struct xt_partner *partner = calloc(1, sizeof(*partner));
    if (partner != NULL) {
        struct xt_writer name = xt_writer_over(partner->name, XT_PARTNER_NAME_MAX);
        struct xt_writer purpose = xt_writer_over(partner->purposes[0].name, XT_PURPOSE_NAME_MAX);
        xt_write_literal(&name, "timing");
        xt_write_literal(&purpose, XT_REQUEST_PURPOSE);
        partner->purposes[0].claims = XT_CLAIM_ALL;
        partner->purpose_count = 1;
        partner->active = true;
        partner->rights = XT_RIGHT_PER_CLAIM | XT_RIGHT_CARD_STATE | XT_RIGHT_ADVISORY;
    }
    return partner;
}

/* Everything between the request's bytes and the answer's: as net/verify does it. */
static __attribute__((noinline)) uint64_t answer(struct desk *desk, size_t size)
{
    static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
    static const char answer_id[XT_ANSWER_ID + 1] = "01M7ZZ3DR28S9K00G2DT89MJSZ";
    struct xt_verification *verification = &desk->verification;
    uint64_t from = ticks();
    verification->partner = desk->partner;
    verification->address = address;
    verification->body = desk->body;
    verification->body_size = size;
    xt_verification_read(verification, desk->arena);
    const struct xt_register people = {.generation = desk->generation};
    xt_verifications_find(verification, 1, &people, xt_date_of_unix_ms(UNIX_MS));
    if (verification->problem == XT_PROBLEM_NONE) {
        struct xt_writer entry = xt_writer_over(desk->entry_bytes, sizeof(desk->entry_bytes));
        xt_verification_note(verification, desk->log, &desk->entry);
        desk->noted = xt_audit_entry_encode(&desk->entry, &entry);
        struct xt_writer writer = xt_writer_over(desk->answer, sizeof(desk->answer));
        xt_verification_write(verification, answer_id, desk->answered_at, &writer);
        desk->answer_size = writer.size;
    }
    return ticks() - from;
}

static enum xt_status check_answer(struct desk *desk, enum xt_timing_class class,
                                   struct xt_failure *failure)
{
    const struct xt_verification *verification = &desk->verification;
    bool same = verification->problem == XT_PROBLEM_NONE && desk->noted == XT_OK &&
                verification->outcome.verdict == XT_VERDICT_NOT_VERIFIED &&
                verification->outcome.card == XT_CARD_ANSWER_NONE;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        same = same && verification->outcome.results[claim] == XT_RESULT_MISMATCH;
    }
    size_t *size = &desk->sizes[class];
    *size = *size == 0 ? desk->answer_size : *size;
    same = same && *size == desk->answer_size;
    return same ? XT_OK
                : xt_fail(failure, XT_CORRUPT,
                          "an answer of class %s tells what it must not; is the register that of "
                          "this seed?",
                          xt_timing_class_name(class));
}

static enum xt_status ask(struct desk *desk, const struct xt_timing_cases *cases,
                          const struct xt_timing_turn *turn, uint64_t *time,
                          struct xt_failure *failure)
{
    xt_require(cases->bodies != NULL); /* there is a case, so there is its body */
    memcpy(desk->body, cases->bodies + turn->asked->offset, turn->asked->size);
    *time = answer(desk, turn->asked->size);
    return check_answer(desk, turn->class, failure);
}

/* Every case a few times, so that none is the first to touch its page. */
static enum xt_status warm(struct desk *desk, const struct xt_timing_cases *cases,
                           struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    uint64_t unused;
    for (unsigned times = 0; times < XT_TIMING_WARM; times++) {
        for (unsigned class = 0; class < XT_TIMING_CLASSES; class ++) {
            for (uint32_t i = 0; i < cases->counts[class] && status == XT_OK; i++) {
                struct xt_timing_turn turn = {.class = (enum xt_timing_class) class,
                                              .asked = &cases->list[class][i]};
                status = ask(desk, cases, &turn, &unused, failure);
            }
        }
    }
    return status;
}

static enum xt_status measure(struct desk *desk, const struct xt_timing_cases *cases, uint64_t seed,
                              bool quiet, struct xt_timing_samples *samples,
                              struct xt_failure *failure)
{
    struct xt_stream stream = xt_stream_of(seed, 4);
    struct xt_progress progress;
    struct xt_timing_turn turn;
    uint64_t done = 0, wanted = 0, time = 0;
    for (unsigned i = 0; i < XT_TIMING_CLASSES; i++) {
        wanted += cases->counts[i] > 0 ? samples->capacity : 0;
    }
    xt_progress_start(&progress, "asking in this process", "requests", wanted, quiet);
    uint64_t from = ticks();
    double began = xt_clock_s();
    enum xt_status status = XT_OK;
    while (status == XT_OK && xt_timing_next(cases, samples, UINT32_MAX, &stream, &turn)) {
        status = ask(desk, cases, &turn, &time, failure);
        samples->cases[turn.class][samples->counts[turn.class]] = turn.place;
        samples->list[turn.class][samples->counts[turn.class]++] =
            time < UINT32_MAX ? (uint32_t)time : UINT32_MAX;
        if (++done % PROGRESS_STEP == 0) {
            xt_progress_set(&progress, done);
            status = xt_load_interrupted() ? xt_fail(failure, XT_CLOSED, "interrupted") : status;
        }
    }
    samples->ns = (xt_clock_s() - began) * 1e9 / (double)(ticks() - from);
    xt_progress_finish(&progress);
    return status;
}

/* A segment of the audit log, for its pseudonyms: of the deployment, which is removed after. */
static enum xt_status open_log(struct desk *desk, const char *dir, struct xt_failure *failure)
{
    struct xt_keyring *keyring = NULL;
    struct xt_audit_header header = {.unix_ms = UNIX_MS};
    enum xt_status status = xt_deployment_keyring(dir, &keyring, failure);
    if (status == XT_OK) {
        status = xt_audit_create(dir, &header, &desk->log_file, failure);
    }
    if (status == XT_OK) {
        status = xt_audit_open(desk->log_file, keyring, &header, NULL, &desk->log);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "cannot begin an audit log in %s", dir);
        }
    }
    xt_keyring_close(keyring);
    desk->entry = (struct xt_audit_entry){
        .unix_ms = UNIX_MS, .partner = xt_span_of_string(desk->partner->name), .status = 200};
    return status;
}

static void close_desk(struct desk *desk)
{
    if (desk == NULL) {
        return;
    }
    xt_audit_close(desk->log);
    if (desk->log_file >= 0) {
        close(desk->log_file);
    }
    free(desk->arena.memory);
    free(desk->partner);
    free(desk);
}

static enum xt_status open_desk(const struct xt_micro_deployment *deployment, struct desk **desk,
                                struct xt_failure *failure)
{
    struct desk *made = calloc(1, sizeof(*made));
    *desk = made;
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    made->log_file = -1;
    made->generation = deployment->generation;
    made->partner = make_partner();
    made->arena =
        (struct xt_json_arena){.memory = malloc(XT_VERIFY_ARENA), .size = XT_VERIFY_ARENA};
    if (made->partner == NULL || made->arena.memory == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    xt_timestamp_format(UNIX_MS, made->answered_at);
    return open_log(made, deployment->dir, failure);
}

enum xt_status xt_timing_in_process(const struct xt_micro_deployment *deployment,
                                    const struct xt_timing_cases *cases, uint64_t seed, bool quiet,
                                    struct xt_timing_samples *samples, struct xt_failure *failure)
{
    struct desk *desk;
    enum xt_status status = open_desk(deployment, &desk, failure);
    if (status == XT_OK) {
        xt_require(desk != NULL);
        status = warm(desk, cases, failure);
    }
    if (status == XT_OK) {
        status = measure(desk, cases, seed, quiet, samples, failure);
    }
    close_desk(desk);
    return status;
}
