/* net/admin: is the process alive, and can it answer? For the operator's probes, on loopback. */
#include "net/route.h"

static void answer_json(struct xt_answer *answer, unsigned status, const struct xt_writer *writer)
{
    xt_require(!writer->overflow);
    *answer =
        (struct xt_answer){.status = status, .type = XT_TYPE_JSON, .body = xt_written(writer)};
}

void xt_handle_healthz(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_writer writer =
        xt_writer_over(call->service->scratch, sizeof(call->service->scratch));
    xt_write_literal(&writer, "{\"status\":\"ok\"}\n");
    answer_json(answer, 200, &writer);
}

static bool is_blind(const struct xt_service *service)
{
    return service->follows && (service->live == NULL || service->live_failed);
}

/* A worker whose generation is another than this one's serves all the same: a switch takes a moment. */
static void write_reasons(const struct xt_service *service, const struct xt_readiness *all,
                          struct xt_writer *writer)
{
    const struct {
        bool holds;
        const char *word;
    } reasons[] = {
        {service->generation == NULL || all->with_generation < all->serving, "no_generation"},
        {is_blind(service), "live_store_not_readable"},
        {all->logging < all->serving, "audit_log_full"},
        {service->draining || all->draining, "draining"},
        {all->serving < all->workers, "workers_not_serving"},
        {all->writer_wanted && !all->writer_serving, "writer_not_serving"},
    };
    const char *separator = ",\"reasons\":[\"";
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].holds) {
            xt_write_string(writer, separator);
            xt_write_string(writer, reasons[i].word);
            separator = "\",\"";
        }
    }
    xt_write_literal(writer, "\"],\"workers\":");
    xt_write_digits(writer, all->workers);
    xt_write_literal(writer, ",\"serving\":");
    xt_write_digits(writer, all->serving);
}

void xt_handle_readyz(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    struct xt_readiness all = {0};
    bool all_ready = service->shared == NULL || xt_shared_is_ready(service->shared, &all);
    /* One that was told to leave may belong to a supervisor that has handed over: what it shares with that one
     * says nothing of those who serve now. */
    bool ready = service->generation != NULL &&
                 (service->replaced || (!service->draining && !is_blind(service) && all_ready));
    xt_write_string(&writer, ready ? "{\"status\":\"ready\"" : "{\"status\":\"not_ready\"");
    if (!ready) {
        write_reasons(service, &all, &writer);
    }
    if (service->generation != NULL) {
        const struct xt_manifest *manifest = xt_generation_manifest(service->generation);
        xt_write_literal(&writer, ",\"generation\":");
        xt_write_digits(&writer, manifest->number);
        xt_write_literal(&writer, ",\"people\":");
        xt_write_digits(&writer, manifest->people);
    }
    xt_write_literal(&writer, ",\"partners\":");
    xt_write_digits(&writer, service->partners == NULL ? 0 : xt_partners_count(service->partners));
    xt_write_literal(&writer, "}\n");
    answer_json(answer, ready ? 200 : 503, &writer);
    answer->retry_after_s = ready ? 0 : xt_problem_text(XT_PROBLEM_NOT_READY)->retry_after_s;
}
