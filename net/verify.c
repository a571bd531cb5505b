/* net/verify: POST /v1/verify. Partner, policy, lookup, comparison, answer, in one turn of the loop.
 *
 * Whatever the number names (nobody, somebody dead, somebody else) the same steps are done in the same
 * order; only the register's own damage and the request's shape change the way.
 */
#include "net/caller.h"
#include "net/route.h"
#include "net/verification.h"

static bool see_register(const struct xt_call *call, struct xt_register *people)
{
    enum xt_status status = xt_service_register(call->service, people);
    if (status != XT_OK) {
        xt_service_log_damage(call->service, status, call->answer_id, call->request->traceparent);
    }
    return status == XT_OK;
}

static void note(struct xt_call *call, const struct xt_verification *verification)
{
    const struct xt_audit_trail *trail = call->service->trail;
    xt_verification_note(verification, trail == NULL ? NULL : trail->log, &call->entry);
}

static void refuse(struct xt_call *call, const struct xt_verification *verification,
                   struct xt_answer *answer)
{
    const struct xt_request_errors *errors = &verification->errors;
    if (verification->status != XT_OK) {
        xt_service_log_damage(call->service, verification->status, call->answer_id,
                              call->request->traceparent);
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
        verification.problem =
            xt_caller_take_quota(service, partner, call->allowance, verification.request.id);
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
    call->miss = xt_verification_is_miss(&verification);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
