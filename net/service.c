#include "net/service.h"

#include <stdlib.h>

enum xt_status xt_service_open(struct xt_service *service, const struct xt_settings *settings)
{
    *service = (struct xt_service){.settings = settings};
    service->arena.memory = malloc(XT_VERIFY_ARENA);
    if (service->arena.memory == NULL) {
        return XT_NO_MEMORY;
    }
    service->arena.size = XT_VERIFY_ARENA;
    return XT_OK;
}

void xt_service_close(struct xt_service *service)
{
    xt_rates_close(service->rates);
    xt_partners_free(service->partners);
    xt_generation_close(service->generation);
    free(service->arena.memory);
    *service = (struct xt_service){0};
}

void xt_service_set_time(struct xt_service *service, uint64_t unix_ms, uint64_t monotonic_ms)
{
    service->monotonic_ms = monotonic_ms;
    bool same_second = service->unix_ms / 1000 == unix_ms / 1000;
    service->unix_ms = unix_ms;
    if (!same_second) {
        service->today = xt_date_of_unix_ms(unix_ms);
        xt_answer_head_set_time(&service->head, unix_ms / 1000);
    }
}

void xt_call_refuse(struct xt_call *call, enum xt_problem problem,
                    const struct xt_request_errors *errors, struct xt_answer *answer)
{
    const struct xt_problem_text *text = xt_problem_text(problem);
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
