/* net/verify: POST /v1/verify. Partner, policy, lookup, comparison, answer, in one turn of the loop.
 *
 * Whatever the number names (nobody, somebody dead, somebody else) the same steps are done in the same
 * order; only the register's own damage and the request's shape change the way.
 */
#include <strings.h>

#include "net/route.h"

static bool has_word(struct xt_span text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

/* application/json, with no parameter but charset=utf-8 (RFC 8259 has no other encoding). */
static bool is_json(const struct xt_http_request *request)
{
    struct xt_span type = request->content_type;
    const char media[] = "application/json";
    if (request->content_encoding.size > 0 && !has_word(request->content_encoding, "identity")) {
        return false;
    }
    if (type.size < sizeof(media) - 1 ||
        strncasecmp((const char *)type.data, media, sizeof(media) - 1) != 0) {
        return false;
    }
    type = xt_span_of(type.data + sizeof(media) - 1, type.size - (sizeof(media) - 1));
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

/* The partner of the connection's certificate, as of now: also on resumed and on long connections. */
static const struct xt_partner *find_partner(struct xt_call *call, enum xt_problem *problem)
{
    struct xt_service *service = call->service;
    const struct xt_peer *peer = call->peer;
    const struct xt_partner *partner =
        peer->has_certificate ? xt_partners_by_spki(service->partners, peer->spki) : NULL;
    if (partner == NULL) {
        *problem = XT_PROBLEM_UNKNOWN_CERTIFICATE;
        return NULL;
    }
    call->allowance = xt_rates_of(service->rates, partner);
    if ((int64_t)(service->unix_ms / 1000) > peer->not_after) {
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

static void point_at(struct xt_request_errors *errors, const char *code, const char *parent,
                     const char *member)
{
    struct xt_request_error *error = &errors->list[errors->count++];
    struct xt_writer writer = xt_writer_over(error->pointer, sizeof(error->pointer) - 1);
    xt_write_string(&writer, parent);
    xt_write_string(&writer, member);
    error->pointer[writer.size] = '\0';
    error->code = code;
}

static void refuse_decision(struct xt_call *call, enum xt_decision decision, uint32_t denied,
                            struct xt_answer *answer)
{
    struct xt_request_errors errors;
    errors.count = 0;
    if (decision == XT_DENY_CLAIM) {
        for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
            if ((denied & XT_CLAIM_BIT(claim)) != 0) {
                point_at(&errors, "not_permitted", "/claims/", xt_claim_name((enum xt_claim)claim));
            }
        }
    } else if (decision == XT_DENY_PURPOSE) {
        point_at(&errors, "not_permitted", "/purpose", "");
    } else if (decision == XT_DENY_NAME_LEVEL) {
        point_at(&errors, "not_permitted", "/match/", xt_claim_name(XT_CLAIM_FULL_NAME));
    } else if (decision == XT_DENY_LEGAL_BASIS_MISSING) {
        point_at(&errors, "missing_member", "/legal_basis", "");
    } else if (decision == XT_DENY_CONSENT_MISSING) {
        point_at(&errors, "missing_member", "/consent_ref", "");
    }
    xt_call_refuse(call, xt_problem_of_decision(decision), &errors, answer);
}

/* The register did not give what it must: the operator has to know. */
static void refuse_damage(struct xt_call *call, enum xt_status status, struct xt_answer *answer)
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
    xt_call_refuse(call, xt_problem_of_status(status), NULL, answer);
}

/* Finds the person and compares. links is filled only when a document is asked for; then the cold
 * part is looked up exactly once, whether the person exists, has such a document, or not. */
static enum xt_status compare(struct xt_service *service, const struct xt_partner *partner,
                              const struct xt_verify_request *request, struct xt_outcome *outcome)
{
    struct xt_found found;
    enum xt_status status = xt_generation_find(service->generation, request->id, &found);
    if (status != XT_OK) {
        return status;
    }
    struct xt_links links;
    bool documents = (request->claims.asked & XT_CLAIM_DOCUMENTS) != 0;
    if (documents) {
        status = xt_generation_links(service->generation, found.hot.number, &links);
        if (status != XT_OK && status != XT_NOT_FOUND) {
            return status;
        }
    }
    xt_claims_compare(&request->claims, found.found, &found.hot, documents ? &links : NULL,
                      (partner->rights & XT_RIGHT_EXISTENCE) != 0,
                      (partner->rights & XT_RIGHT_ADVISORY) != 0, service->today, outcome);
    return XT_OK;
}

void xt_handle_verify(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = find_partner(call, &problem);
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    if (service->generation == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    uint64_t wait_ms = 0;
    if (!xt_rate_take(call->allowance->word, &call->allowance->rate, service->monotonic_ns,
                      &wait_ms)) {
        xt_call_refuse(call, XT_PROBLEM_RATE_EXCEEDED, NULL, answer);
        answer->retry_after_s = wait_ms > 1000 ? (uint32_t)((wait_ms + 999) / 1000) : 1;
        return;
    }
    if (!is_json(call->request)) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
        return;
    }
    if (call->request->body_size > XT_VERIFY_BODY_MAX) {
        xt_call_refuse(call, XT_PROBLEM_BODY_TOO_LARGE, NULL, answer);
        return;
    }
    struct xt_verify_request request;
    struct xt_request_errors errors;
    enum xt_status status = xt_verify_request_from_json(
        call->request->body, call->request->body_size, service->arena, &request, &errors);
    if (status != XT_OK) {
        xt_call_refuse(call, xt_problem_of_status(status), status == XT_INVALID ? &errors : NULL,
                       answer);
        return;
    }
    const struct xt_purpose *purpose = NULL;
    uint32_t denied = 0;
    enum xt_decision decision =
        xt_policy_decide(partner, call->peer->address, &request, &purpose, &denied);
    if (decision != XT_ALLOW) {
        refuse_decision(call, decision, denied, answer);
        return;
    }
    struct xt_outcome outcome;
    status = compare(service, partner, &request, &outcome);
    if (status != XT_OK) {
        refuse_damage(call, status, answer);
        return;
    }
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    xt_verify_answer_to_json(&request, &outcome, partner->rights, call->answer_id, service->unix_ms,
                             &writer);
    xt_require(!writer.overflow);
    call->outcome =
        outcome.verdict == XT_VERDICT_VERIFIED ? XT_OUTCOME_VERIFIED : XT_OUTCOME_NOT_VERIFIED;
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
