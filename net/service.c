#include "net/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/authority.h"
#include "net/writer.h"
#include "store/live_fold.h"

enum xt_status xt_service_open(struct xt_service *service, const struct xt_settings *settings)
{
    *service = (struct xt_service){.settings = settings};
    service->arena.memory = malloc(XT_VERIFY_ARENA);
    service->own_counters = calloc(1, sizeof(*service->own_counters));
    if (service->arena.memory == NULL || service->own_counters == NULL) {
        free(service->arena.memory);
        free(service->own_counters);
        *service = (struct xt_service){0};
        return XT_NO_MEMORY;
    }
    service->arena.size = XT_VERIFY_ARENA;
    service->counters = service->own_counters;
    service->log_limit.counter = &service->counters->log_suppressed;
    service->refusal_limit.counter = &service->counters->log_suppressed;
    return XT_OK;
}

void xt_service_share(struct xt_service *service, struct xt_shared *shared, unsigned worker)
{
    service->shared = shared;
    service->worker = worker;
    service->counters = xt_shared_counters(shared, worker);
    service->log_limit.counter = &service->counters->log_suppressed;
    service->refusal_limit.counter = &service->counters->log_suppressed;
}

enum xt_status xt_service_take_partners(struct xt_service *service, struct xt_partners *partners,
                                        const uint32_t *cells)
{
    struct xt_rates *rates = NULL;
    enum xt_status status =
        xt_rates_open(partners, cells, service->shared, service->worker, &rates);
    if (status != XT_OK) {
        return status;
    }
    xt_rates_bind(rates, service->quotas);
    xt_rates_close(service->rates);
    xt_partners_free(service->partners);
    service->partners = partners;
    service->rates = rates;
    xt_counter_set(&service->counters->now.partners, xt_partners_count(partners));
    return XT_OK;
}

void xt_service_take_generation(struct xt_service *service, struct xt_generation *generation)
{
    xt_generation_close(service->generation);
    service->generation = generation;
    const struct xt_manifest *manifest = xt_generation_manifest(generation);
    struct xt_gauges *now = &service->counters->now;
    xt_counter_set(&now->people, manifest->people);
    xt_counter_set(&now->aliases, manifest->aliases);
    xt_counter_set(&now->generation, manifest->number); /* last: from now on it serves */
}

void xt_service_take_quotas(struct xt_service *service, struct xt_quota_view *quotas)
{
    if (service->rates != NULL) {
        xt_rates_bind(service->rates, quotas);
    }
    xt_quota_view_close(service->quotas);
    service->quotas = quotas;
}

void xt_service_follow(struct xt_service *service, struct xt_live *live)
{
    service->follows = true;
    service->live = live;
    xt_token_cache_clear(service->token_cache); /* with marks of the store before */
}

/* Epoch 0: our writer waits for the one of a server before this one, whose changes we are not told of: then
 * every look is a new one. */
enum xt_status xt_service_register(struct xt_service *service, struct xt_register *people)
{
    *people = (struct xt_register){.generation = service->generation};
    if (!service->follows) {
        return XT_OK;
    }
    if (service->live == NULL) {
        return XT_BUSY;
    }
    uint64_t epoch = xt_writer_epoch(service->shared);
    if (epoch == 0) {
        xt_live_rest(service->live);
    } else if (epoch == service->live_epoch && xt_live_is_bare(service->live) &&
               xt_live_lies_over(service->live, service->generation)) {
        return XT_OK;
    }
    enum xt_status status =
        xt_live_refresh(service->live, epoch, xt_writer_commit(service->shared));
    if (status != XT_OK) { /* with XT_DENIED the keys are on their way, perhaps */
        xt_live_rest(service->live);
        service->live_epoch = 0;
        service->live_failed = status != XT_NO_MEMORY && status != XT_DENIED;
        return status;
    }
    service->live_epoch = epoch;
    people->live = service->live;
    return XT_OK;
}

enum xt_status xt_service_accounts(struct xt_service *service, struct xt_register *people)
{
    enum xt_status status = service->live == NULL ? XT_BUSY : xt_service_register(service, people);
    if (status != XT_OK) {
        return status;
    }
    /* Where nobody has changed the register is looked up without the live store. */
    status = xt_live_refresh(service->live, xt_writer_epoch(service->shared),
                             xt_writer_commit(service->shared));
    service->live_failed |= status != XT_OK && status != XT_NO_MEMORY && status != XT_DENIED;
    return status;
}

void xt_service_rest(struct xt_service *service)
{
    if (service->live != NULL) {
        xt_live_rest(service->live);
    }
}

void xt_service_take_answer_keys(struct xt_service *service, struct xt_answer_keys *keys)
{
    xt_answer_keys_close(service->answer_keys);
    service->answer_keys = keys;
}

void xt_service_take_token_keys(struct xt_service *service, struct xt_answer_keys *keys)
{
    xt_answer_keys_close(service->token_keys);
    service->token_keys = keys;
    xt_token_cache_clear(service->token_cache);
}

void xt_service_take_issuer(struct xt_service *service, struct xt_span chain)
{
    const struct xt_settings *settings = service->settings;
    char name[XT_CERTIFICATE_NAME_MAX + 1], made[XT_SETTING_STRING_MAX + sizeof(name)];
    if (strcmp(settings->token_issuer, "auto") != 0) {
        (void)snprintf(made, sizeof(made), "%s", settings->token_issuer);
    } else {
        xt_certificate_name(chain, name);
        const char *port = strrchr(settings->listen, ':');
        bool usual = port == NULL || strcmp(port, ":443") == 0 || strcmp(port, ":0") == 0;
        (void)snprintf(made, sizeof(made), "https://%s%s", name[0] != '\0' ? name : "localhost",
                       usual ? "" : port);
    }
    bool fits = xt_token_text_is_valid(xt_span_of_string(made));
    (void)snprintf(service->issuer, sizeof(service->issuer), "%.*s", XT_TOKEN_TEXT_MAX,
                   fits ? made : "");
}

int64_t xt_service_token_keys_since(const struct xt_service *service)
{
    return (int64_t)(service->unix_ms / 1000) - XT_TOKEN_LIFETIME_MAX_S - XT_TOKEN_LEEWAY_S;
}

void xt_service_close(struct xt_service *service)
{
    xt_answer_keys_close(service->answer_keys);
    xt_answer_keys_close(service->token_keys);
    xt_token_cache_close(service->token_cache);
    xt_rates_close(service->rates);
    xt_partners_free(service->partners);
    xt_generation_close(service->generation);
    xt_live_close(service->live);
    xt_quota_view_close(service->quotas);
    free(service->statistics);
    free(service->arena.memory);
    free(service->own_counters);
    *service = (struct xt_service){0};
}

void xt_service_set_time(struct xt_service *service, uint64_t unix_ms, uint64_t monotonic_ns)
{
    service->monotonic_ns = monotonic_ns;
    bool same_second = service->unix_ms / 1000 == unix_ms / 1000;
    service->unix_ms = unix_ms;
    if (!same_second) {
        service->today = xt_date_of_unix_ms(unix_ms);
        service->day = xt_date_to_days(service->today);
        xt_answer_head_set_time(&service->head, unix_ms / 1000);
    }
}

/* Refusals that an operator wants to see one by one: a stranger with a good certificate, and a server
 * that cannot. What partners do wrong is theirs to see, and counted. */
static void log_refusal(const struct xt_call *call)
{
    struct xt_service *service = call->service;
    bool stranger = call->problem == XT_PROBLEM_UNKNOWN_CERTIFICATE ||
                    call->problem == XT_PROBLEM_CERTIFICATE_EXPIRED ||
                    call->problem == XT_PROBLEM_NETWORK_NOT_PERMITTED;
    bool unable = call->problem == XT_PROBLEM_OVERLOADED || call->problem == XT_PROBLEM_INTERNAL;
    struct xt_log_line line;
    if ((stranger || unable) &&
        xt_log_begin_limited(&service->refusal_limit, service->monotonic_ns / 1000000, &line,
                             XT_LOG_WARNING, "request_refused")) {
        xt_log_text(&line, "code", xt_problem_text(call->problem)->code);
        if (call->allowance != NULL) {
            xt_log_text(&line, "partner", call->allowance->partner->name);
        }
        xt_log_span(&line, "answer_id", xt_span_of(call->answer_id, XT_ANSWER_ID));
        xt_log_trace(&line, call->request->traceparent);
        xt_log_end(&line);
    }
}

void xt_service_log_damage(struct xt_service *service, enum xt_status status,
                           const char answer_id[XT_ANSWER_ID], struct xt_span traceparent)
{
    struct xt_log_line line;
    if (xt_log_begin_limited(&service->log_limit, service->monotonic_ns / 1000000, &line,
                             XT_LOG_ERROR, "lookup_failed")) {
        xt_log_text(&line, "status", xt_status_name(status));
        xt_log_number(&line, "generation", xt_generation_manifest(service->generation)->number);
        xt_log_span(&line, "answer_id", xt_span_of(answer_id, XT_ANSWER_ID));
        xt_log_trace(&line, traceparent);
        xt_log_end(&line);
    }
}

void xt_call_refuse(struct xt_call *call, enum xt_problem problem,
                    const struct xt_request_errors *errors, struct xt_answer *answer)
{
    const struct xt_problem_text *text = xt_problem_text(problem);
    call->problem = problem;
    log_refusal(call);
    bool vietnamese = xt_prefers_vietnamese(call->request->accept_language);
    struct xt_writer writer =
        xt_writer_over(call->service->scratch, sizeof(call->service->scratch));
    xt_problem_to_json(problem, vietnamese, call->answer_id, errors, &writer);
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = text->status,
                                 .type = XT_TYPE_PROBLEM,
                                 .language = vietnamese ? "vi" : "en",
                                 .body = xt_written(&writer),
                                 .retry_after_s = text->retry_after_s};
}

static enum xt_audit_route audit_route(enum xt_route_id route)
{
    return route == XT_ROUTE_VERIFY         ? XT_AUDIT_ROUTE_VERIFY
           : route == XT_ROUTE_VERIFY_BATCH ? XT_AUDIT_ROUTE_VERIFY_BATCH
           : route == XT_ROUTE_EVENTS       ? XT_AUDIT_ROUTE_EVENTS
           : route == XT_ROUTE_CHALLENGES   ? XT_AUDIT_ROUTE_CHALLENGES
           : route == XT_ROUTE_AUTHENTICATE ? XT_AUDIT_ROUTE_AUTHENTICATE
           : route == XT_ROUTE_ACCOUNTS     ? XT_AUDIT_ROUTE_ACCOUNTS
           : route == XT_ROUTE_STATISTICS   ? XT_AUDIT_ROUTE_STATISTICS
           : route == XT_ROUTE_OPENAPI      ? XT_AUDIT_ROUTE_OPENAPI
           : route == XT_ROUTE_INTROSPECT   ? XT_AUDIT_ROUTE_INTROSPECT
           : route == XT_ROUTE_REVOKE       ? XT_AUDIT_ROUTE_REVOKE
           : route == XT_ROUTE_BACKCHANNEL  ? XT_AUDIT_ROUTE_BACKCHANNEL
           : route == XT_ROUTE_TOKEN        ? XT_AUDIT_ROUTE_TOKEN
           : route == XT_ROUTE_ATTRIBUTES   ? XT_AUDIT_ROUTE_ATTRIBUTES
           : route == XT_ROUTE_CONSENTS     ? XT_AUDIT_ROUTE_CONSENTS
                                            : XT_AUDIT_ROUTE_OTHER;
}

enum xt_status xt_call_log(struct xt_call *call, unsigned status)
{
    struct xt_audit_entry *entry = &call->entry;
    if (entry->partner.size == 0 && call->peer->has_certificate) { /* no handler looked for him */
        const struct xt_partner *partner =
            xt_partners_by_spki(call->service->partners, call->peer->spki);
        entry->partner = xt_span_of_string(partner != NULL ? partner->name : "");
    }
    struct xt_span id = xt_span_of(call->answer_id, sizeof(call->answer_id));
    entry->unix_ms = call->service->unix_ms;
    entry->route = audit_route(call->route);
    entry->status = (uint16_t)status;
    if (call->problem != XT_PROBLEM_NONE) {
        entry->verdict = XT_AUDIT_NO_VERDICT;
        entry->problem = xt_span_of_string(xt_problem_text(call->problem)->code);
    }
    enum xt_status made = xt_audit_answer_id(id, entry->answer_id);
    return made == XT_OK ? xt_audit_trail_add(call->service->trail, entry) : made;
}
