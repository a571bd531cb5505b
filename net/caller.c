#include "net/caller.h"

#include <strings.h>

const struct xt_partner *xt_caller_find(const struct xt_service *service,
                                        const struct xt_peer *peer, const struct xt_partner **known,
                                        enum xt_problem *problem)
{
    const struct xt_partner *partner =
        peer->has_certificate ? xt_partners_by_spki(service->partners, peer->spki) : NULL;
    *known = partner;
    if (partner == NULL) {
        *problem = XT_PROBLEM_UNKNOWN_CERTIFICATE;
    } else if ((int64_t)(service->unix_ms / 1000) > peer->not_after) {
        *problem = XT_PROBLEM_CERTIFICATE_EXPIRED;
    } else if (peer->refused) {
        *problem = XT_PROBLEM_CERTIFICATE_REFUSED;
    } else if (!partner->active) {
        *problem = XT_PROBLEM_PARTNER_INACTIVE;
    } else {
        return partner;
    }
    return NULL;
}

const struct xt_partner *xt_call_partner(struct xt_call *call, enum xt_problem *problem)
{
    const struct xt_partner *known = NULL;
    const struct xt_partner *partner = xt_caller_find(call->service, call->peer, &known, problem);
    if (known != NULL) {
        call->allowance = xt_rates_of(call->service->rates, known);
        call->entry.partner = xt_span_of_string(known->name);
    }
    return partner;
}

const struct xt_partner *xt_call_partner_with(struct xt_call *call, enum xt_right right,
                                              enum xt_problem *problem)
{
    const struct xt_partner *partner = xt_call_partner(call, problem);
    if (partner == NULL) {
        return NULL;
    }
    *problem = xt_problem_of_decision(xt_policy_may(partner, call->peer->address, right));
    return *problem == XT_PROBLEM_NONE ? partner : NULL;
}

bool xt_call_take_rate(struct xt_call *call, struct xt_answer *answer)
{
    uint64_t wait_ms = 0;
    if (xt_rate_take(call->allowance->word, &call->allowance->rate, call->service->monotonic_ns,
                     &wait_ms)) {
        return true;
    }
    xt_call_refuse(call, XT_PROBLEM_RATE_EXCEEDED, NULL, answer);
    answer->retry_after_s = wait_ms > 1000 ? (uint32_t)((wait_ms + 999) / 1000) : 1;
    return false;
}

enum xt_problem xt_caller_take_quota(const struct xt_service *service,
                                     const struct xt_partner *partner,
                                     const struct xt_allowance *allowance, struct xt_id id)
{
    if (partner->daily_quota == 0 || allowance == NULL) {
        return XT_PROBLEM_NONE;
    }
    enum xt_status status =
        xt_quota_take(service->quotas, allowance->seat, partner->daily_quota, id, service->day);
    return status == XT_OK       ? XT_PROBLEM_NONE
           : status == XT_DENIED ? XT_PROBLEM_QUOTA_EXCEEDED
                                 : XT_PROBLEM_NOT_READY;
}

const struct xt_partner *xt_call_begin_json(struct xt_call *call, enum xt_right right, size_t most,
                                            struct xt_answer *answer)
{
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = xt_call_partner_with(call, right, &problem);
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return NULL;
    }
    if (!xt_call_take_rate(call, answer)) {
        return NULL;
    }
    if (!xt_call_has_type(call->request, "application/json")) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
        return NULL;
    }
    if (call->request->body_size > most) {
        xt_call_refuse(call, XT_PROBLEM_BODY_TOO_LARGE, NULL, answer);
        return NULL;
    }
    return partner;
}

bool xt_call_take_quota(struct xt_call *call, struct xt_id id, struct xt_answer *answer)
{
    const struct xt_service *service = call->service;
    enum xt_problem problem =
        xt_caller_take_quota(service, call->allowance->partner, call->allowance, id);
    if (problem == XT_PROBLEM_NONE) {
        return true;
    }
    xt_call_refuse(call, problem, NULL, answer);
    if (problem != XT_PROBLEM_QUOTA_EXCEEDED) {
        return false;
    }
    /* No longer than the problem's own time: the quota may be raised before the day ends. */
    uint32_t left_s = xt_quota_seconds_left(service->unix_ms);
    answer->retry_after_s = left_s < answer->retry_after_s ? left_s : answer->retry_after_s;
    return false;
}

void xt_call_count_attempt(const struct xt_call *call, bool passed)
{
    if (call->allowance != NULL && call->allowance->cell != XT_NO_CELL) {
        struct xt_partner_counters *counters =
            &call->service->counters->by_partner[call->allowance->cell];
        xt_counter_add(&counters->events, 1);
        xt_counter_add(&counters->misses, !passed);
    }
}

void xt_call_note_subject(struct xt_call *call, struct xt_id id)
{
    const struct xt_audit_trail *trail = call->service->trail;
    if (trail != NULL && trail->log != NULL) {
        call->entry.has_subject = true;
        xt_audit_subject(trail->log, id, call->entry.subject);
    }
}

static bool has_word(struct xt_span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

bool xt_call_has_type(const struct xt_http_request *request, const char *media)
{
    struct xt_span type = request->content_type;
    size_t length = strlen(media);
    if (request->content_encoding.size > 0 && !has_word(request->content_encoding, "identity")) {
        return false;
    }
    if (type.size < length || strncasecmp((const char *)type.data, media, length) != 0) {
        return false;
    }
    type = xt_span_of(type.data + length, type.size - length);
    if (type.size == 0) {
        return true;
    }
    while (type.size > 0 && (type.data[0] == ' ' || type.data[0] == '\t')) {
        type = xt_span_of(type.data + 1, type.size - 1);
    }
    if (type.size == 0 || type.data[0] != ';') {
        return false;
    }
    do {
        type = xt_span_of(type.data + 1, type.size - 1);
    } while (type.size > 0 && (type.data[0] == ' ' || type.data[0] == '\t'));
    return has_word(type, "charset=utf-8") || has_word(type, "charset=\"utf-8\"");
}
