#include "net/batch_line.h"

#include "net/caller.h"
#include "net/metrics.h"

#define PADDING 4 /* bytes after a line that its parser may read: zeros while it does */

/* What one group has in common. */
struct moment {
    struct xt_service *service;
    uint64_t unix_ms;
    uint8_t
        random[10]; /* of the next answer_id: each is one more than the one before, so they sort */
    char answered_at[XT_TIMESTAMP];
    uint32_t outcomes[XT_OUTCOME_COUNT];
    uint32_t misses;
};

static void begin_moment(struct xt_service *service, struct moment *moment)
{
    memset(moment, 0, sizeof(*moment));
    moment->service = service;
    moment->unix_ms = service->unix_ms;
    xt_random(moment->random, sizeof(moment->random));
    xt_timestamp_format(moment->unix_ms, moment->answered_at);
}

static void next_id(struct moment *moment)
{
    for (unsigned i = sizeof(moment->random); i > 0 && ++moment->random[i - 1] == 0; i--) {
    }
}

/* ---- from text to outcome --------------------------------------------------------------------- */

static void read_line(struct xt_batch_group *group, unsigned at, struct xt_json_arena arena)
{
    const struct xt_batch_line *line = &group->lines[at];
    struct xt_verification *verification = &group->verifications[at];
    uint8_t kept[PADDING];
    verification->partner = group->partner;
    verification->address = group->address;
    verification->body = line->text;
    verification->body_size = line->size;
    memcpy(kept, line->text + line->size, PADDING);
    memset(line->text + line->size, 0, PADDING);
    xt_verification_read(verification, arena);
    memcpy(line->text + line->size, kept, PADDING);
}

static void read_lines(struct xt_service *service, struct xt_batch_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        struct xt_verification *verification = &group->verifications[i];
        if (group->refused == XT_PROBLEM_NONE && !group->lines[i].too_long) {
            read_line(group, i, service->arena);
        } else {
            verification->problem =
                group->refused != XT_PROBLEM_NONE ? group->refused : XT_PROBLEM_BODY_TOO_LARGE;
            verification->status = XT_OK;
            verification->errors.count = 0;
        }
        if (verification->problem == XT_PROBLEM_NONE) {
            verification->problem = xt_caller_take_quota(service, group->partner, group->allowance,
                                                         verification->request.id);
        }
    }
}

/* ---- the audit log ---------------------------------------------------------------------------- */

static bool was_read(const struct xt_batch_group *group, unsigned at)
{
    return group->refused == XT_PROBLEM_NONE && !group->lines[at].too_long &&
           group->verifications[at].problem != XT_PROBLEM_INVALID_REQUEST;
}

static const char *code_of(const struct xt_batch_group *group, unsigned at)
{
    const struct xt_verification *verification = &group->verifications[at];
    return group->lines[at].too_long && verification->problem == XT_PROBLEM_BODY_TOO_LARGE
               ? "line_too_long"
               : xt_problem_text(verification->problem)->code;
}

static enum xt_status write_down(const struct moment *moment, const struct xt_batch_group *group,
                                 unsigned at)
{
    struct xt_audit_trail *trail = moment->service->trail;
    const struct xt_verification *verification = &group->verifications[at];
    uint64_t number = group->lines[at].number;
    if (trail == NULL) {
        return XT_OK;
    }
    struct xt_audit_entry entry = {.unix_ms = moment->unix_ms,
                                   .route = XT_AUDIT_ROUTE_VERIFY_BATCH,
                                   .status = 200,
                                   .partner = xt_span_of_string(group->name),
                                   .line = number < XT_AUDIT_LINE_END ? number : 0};
    for (unsigned i = 0; i < 6; i++) {
        entry.answer_id[i] = (uint8_t)(moment->unix_ms >> (40 - 8 * i));
    }
    memcpy(entry.answer_id + 6, moment->random, sizeof(moment->random));
    if (was_read(group, at)) {
        xt_verification_note(verification, trail->log, &entry);
    }
    if (verification->problem != XT_PROBLEM_NONE) {
        entry.verdict = XT_AUDIT_NO_VERDICT;
        entry.status = (uint16_t)xt_problem_text(verification->problem)->status;
        entry.problem = xt_span_of_string(code_of(group, at));
    }
    return xt_audit_trail_add(trail, &entry);
}

/* ---- answers ---------------------------------------------------------------------------------- */

void xt_batch_write_number(struct xt_writer *writer, const char *before, uint64_t value)
{
    xt_write_string(writer, before);
    xt_write_digits(writer, value);
}

static void write_refusal(const struct xt_batch_group *group, unsigned at,
                          const char answer_id[XT_ANSWER_ID], struct xt_writer *writer)
{
    const struct xt_verification *verification = &group->verifications[at];
    xt_batch_write_number(writer, ",\"status\":", xt_problem_text(verification->problem)->status);
    xt_write_literal(writer, ",\"code\":\"");
    xt_write_string(writer, code_of(group, at));
    xt_write_literal(writer, "\"");
    for (unsigned i = 0; i < verification->errors.count; i++) {
        const struct xt_request_error *error = &verification->errors.list[i];
        xt_write_string(writer, i == 0 ? ",\"errors\":[{\"pointer\":\"" : ",{\"pointer\":\"");
        xt_write_string(writer, error->pointer);
        xt_write_literal(writer, "\",\"code\":\"");
        xt_write_string(writer, error->code);
        xt_write_literal(writer, "\"}");
    }
    xt_write_string(writer,
                    verification->errors.count > 0 ? "],\"answer_id\":\"" : ",\"answer_id\":\"");
    xt_write(writer, answer_id, XT_ANSWER_ID);
    xt_write_literal(writer, "\"}\n");
}

static void write_line(const struct moment *moment, const struct xt_batch_group *group, unsigned at,
                       struct xt_batch_answers *answers)
{
    const struct xt_verification *verification = &group->verifications[at];
    size_t from = answers->count == 0 ? 0 : answers->ends[answers->count - 1];
    struct xt_writer writer = xt_writer_over(answers->text + from, XT_STREAM_ANSWER_MAX);
    char answer_id[XT_ANSWER_ID];
    xt_answer_id_make(moment->unix_ms, moment->random, answer_id);
    xt_batch_write_number(&writer, "{\"line\":", group->lines[at].number);
    if (verification->problem != XT_PROBLEM_NONE) {
        write_refusal(group, at, answer_id, &writer);
    } else {
        size_t brace = writer.size; /* of the answer's own object, whose members go on with ours */
        xt_verification_write(verification, answer_id, moment->answered_at, &writer);
        writer.data[brace] = ',';
        xt_write_byte(&writer, '\n');
    }
    xt_require(!writer.overflow);
    answers->numbers[answers->count] = group->lines[at].number;
    answers->ends[answers->count++] = (uint32_t)(from + writer.size);
}

/* ---- counting --------------------------------------------------------------------------------- */

static void count_claims(const struct xt_verification *verification, struct xt_batch_counts *counts)
{
    uint32_t rights = verification->partner->rights;
    bool existence = (rights & XT_RIGHT_EXISTENCE) != 0;
    if ((rights & XT_RIGHT_PER_CLAIM) == 0) {
        return;
    }
    counts->per_claim = true;
    for (uint32_t left = verification->request.claims.asked; left != 0; left &= left - 1) {
        unsigned claim = (unsigned)__builtin_ctz(left);
        uint8_t result = verification->outcome.results[claim];
        counts->mismatches[claim] +=
            result == XT_RESULT_MISMATCH || (result == XT_RESULT_NOT_HELD && !existence);
    }
}

static void count_line(struct moment *moment, const struct xt_verification *verification,
                       struct xt_batch_counts *counts)
{
    counts->lines++;
    if (verification->problem != XT_PROBLEM_NONE) {
        unsigned status = xt_problem_text(verification->problem)->status;
        moment->outcomes[xt_metrics_outcome(verification->problem, status, XT_OUTCOME_REFUSED)]++;
        counts->errors++;
        return;
    }
    bool verified = verification->outcome.verdict == XT_VERDICT_VERIFIED;
    moment->outcomes[verified ? XT_OUTCOME_VERIFIED : XT_OUTCOME_NOT_VERIFIED]++;
    moment->misses += xt_verification_is_miss(verification);
    counts->verified += verified;
    counts->not_verified += !verified;
    count_claims(verification, counts);
}

static void add_counters(const struct moment *moment, const struct xt_allowance *allowance)
{
    struct xt_counters *counters = moment->service->counters;
    struct xt_partner_counters *by_partner =
        allowance == NULL ? NULL : &counters->by_partner[allowance->cell];
    for (unsigned i = 0; i < XT_OUTCOME_COUNT; i++) {
        uint32_t count = moment->outcomes[i];
        if (count > 0) {
            xt_counter_add(&counters->requests[XT_ROUTE_VERIFY_BATCH][i], count);
        }
        if (count > 0 && by_partner != NULL) {
            xt_counter_add(&by_partner->outcomes[XT_ROUTE_VERIFY_BATCH][i], count);
        }
    }
    if (by_partner != NULL) {
        xt_counter_add(&by_partner->misses, moment->misses);
    }
}

void xt_batch_answer(struct xt_service *service, struct xt_batch_group *group,
                     struct xt_batch_answers *answers, struct xt_batch_counts *counts)
{
    struct moment moment;
    begin_moment(service, &moment);
    answers->count = 0;
    read_lines(service, group);
    xt_verifications_find(group->verifications, group->count, &group->people, service->today);
    for (unsigned i = 0; i < group->count; i++) {
        struct xt_verification *verification = &group->verifications[i];
        next_id(&moment);
        if (verification->status != XT_OK) {
            char answer_id[XT_ANSWER_ID];
            xt_answer_id_make(moment.unix_ms, moment.random, answer_id);
            xt_service_log_damage(service, verification->status, answer_id, xt_span_of(NULL, 0));
            service->live_failed |= verification->status == XT_IO;
        }
        if (write_down(&moment, group, i) != XT_OK) { /* what is not written down is not told */
            verification->problem = XT_PROBLEM_NOT_LOGGED;
            verification->errors.count = 0;
        }
        write_line(&moment, group, i, answers);
        count_line(&moment, verification, counts);
    }
    add_counters(&moment, group->allowance);
    group->count = 0;
}
