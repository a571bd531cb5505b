/* net/verify: POST /v1/verify. Partner, policy, lookup, comparison, answer, in one turn of the loop.
 *
 * Whatever the number names (nobody, somebody dead, somebody else) the same steps are done in the same
 * order; only the register's own damage and the request's shape change the way.
 */
#include "net/caller.h"
#include "net/route.h"
#include "net/verification.h"

/* Counted of every answer in the same way: who asks about many that are not there, or tries what fits,
 * is told to the operator (net/miss_alarm). */
static bool is_miss(const struct xt_verification *verification)
{
    unsigned matched = 0;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        matched |= verification->outcome.results[claim] == XT_RESULT_MATCH;
    }
    return matched == 0;
}

/* The register did not give what it must: the operator has to know. */
static void log_damage(const struct xt_call *call, enum xt_status status)
{
    struct xt_service *service = call->service;
    struct xt_log_line line;
    if (xt_log_begin_limited(&service->log_limit, service->monotonic_ns / 1000000, &line,
                             XT_LOG_ERROR, "lookup_failed")) {
        xt_log_text(&line, "status", xt_status_name(status));
        xt_log_number(&line, "generation", xt_generation_manifest(service->generation)->number);
        xt_log_span(&line, "answer_id", xt_span_of(call->answer_id, XT_ANSWER_ID));
        xt_log_trace(&line, call->request->traceparent);
        xt_log_end(&line);
    }
}

static bool see_register(const struct xt_call *call, struct xt_register *people)
{
    enum xt_status status = xt_service_register(call->service, people);
    if (status != XT_OK) {
        log_damage(call, status);
    }
    return status == XT_OK;
}

static void note(struct xt_call *call, const struct xt_verification *verification)
{
    const struct xt_audit_trail *trail = call->service->trail;
    xt_verification_note(verification, trail == NULL ? NULL : trail->log, &call->entry);
}

/* Counts the id that is asked about, whether anybody has it or not. */
static void take_quota(const struct xt_call *call, struct xt_verification *verification)
{
    const struct xt_service *service = call->service;
    uint64_t quota = verification->partner->daily_quota;
    if (quota > 0) {
        enum xt_status status = xt_quota_take(service->quotas, call->allowance->seat, quota,
                                              verification->request.id, service->day);
        verification->problem = status == XT_OK       ? XT_PROBLEM_NONE
                                : status == XT_DENIED ? XT_PROBLEM_QUOTA_EXCEEDED
                                                      : XT_PROBLEM_NOT_READY;
    }
}

static void refuse(struct xt_call *call, const struct xt_verification *verification,
                   struct xt_answer *answer)
{
    const struct xt_request_errors *errors = &verification->errors;
    if (verification->status != XT_OK) {
        log_damage(call, verification->status);
    }
    xt_call_refuse(call, verification->problem, errors->count > 0 ? errors : NULL, answer);
    if (verification->problem == XT_PROBLEM_QUOTA_EXCEEDED) {
        /* No longer than the problem's own time: the quota may be raised before the day ends. */
        uint32_t left_s = xt_quota_seconds_left(call->service->unix_ms);
        answer->retry_after_s = left_s < answer->retry_after_s ? left_s : answer->retry_after_s;
    }
}

void xt_handle_verify(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = xt_call_partner(call, &problem);
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    struct xt_register people;
    if (service->generation == NULL || !see_register(call, &people)) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    if (!xt_call_take_rate(call, answer)) {
        return;
    }
    if (!xt_call_has_type(call->request, "application/json")) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
        return;
    }
    if (call->request->body_size > XT_VERIFY_BODY_MAX) {
        xt_call_refuse(call, XT_PROBLEM_BODY_TOO_LARGE, NULL, answer);
        return;
    }
    struct xt_verification verification;
    verification.partner = partner;
    verification.address = call->peer->address;
    verification.body = call->request->body;
    verification.body_size = call->request->body_size;
    xt_verification_read(&verification, service->arena);
    bool is_read =
        verification.problem != XT_PROBLEM_INVALID_REQUEST; /* but for the policy's word */
    if (verification.problem == XT_PROBLEM_NONE) {
        take_quota(call, &verification);
    }
    if (verification.problem == XT_PROBLEM_NONE) {
        xt_verifications_find(&verification, 1, &people, service->today);
        service->live_failed |= verification.status == XT_IO;
    }
    if (is_read) {
        note(call, &verification);
    }
    if (verification.problem != XT_PROBLEM_NONE) {
        refuse(call, &verification, answer);
        return;
    }
    char answered_at[XT_TIMESTAMP];
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    xt_timestamp_format(service->unix_ms, answered_at);
    xt_verification_write(&verification, call->answer_id, answered_at, &writer);
    xt_require(!writer.overflow);
    call->outcome = verification.outcome.verdict == XT_VERDICT_VERIFIED ? XT_OUTCOME_VERIFIED
                                                                        : XT_OUTCOME_NOT_VERIFIED;
    call->miss = is_miss(&verification);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
