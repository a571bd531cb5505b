/* net/admin: is the process alive, and can it answer? For the operator's probes, on loopback. */
#include "net/route.h"

static void answer_json(struct xt_answer *answer, unsigned status, const struct xt_writer *writer)
{
    xt_require(!writer->overflow);
    *answer =
        (struct xt_answer){.status = status, .type = XT_TYPE_JSON, .body = xt_written(writer)};
}

static void write_number(struct xt_writer *writer, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    xt_write(writer, digits + at, sizeof(digits) - at);
}

void xt_handle_healthz(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_writer writer =
        xt_writer_over(call->service->scratch, sizeof(call->service->scratch));
    xt_write_literal(&writer, "{\"status\":\"ok\"}\n");
    answer_json(answer, 200, &writer);
}

void xt_handle_readyz(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    bool ready = service->generation != NULL && !service->draining;
    xt_write_string(&writer, ready ? "{\"status\":\"ready\"" : "{\"status\":\"not_ready\"");
    if (!ready) {
        xt_write_literal(&writer, ",\"reasons\":[");
        if (service->generation == NULL) {
            xt_write_literal(&writer, "\"no_generation\"");
        }
        if (service->draining) {
            xt_write_string(&writer,
                            service->generation == NULL ? ",\"draining\"" : "\"draining\"");
        }
        xt_write_byte(&writer, ']');
    }
    if (service->generation != NULL) {
        const struct xt_manifest *manifest = xt_generation_manifest(service->generation);
        xt_write_literal(&writer, ",\"generation\":");
        write_number(&writer, manifest->number);
        xt_write_literal(&writer, ",\"people\":");
        write_number(&writer, manifest->people);
    }
    xt_write_literal(&writer, ",\"partners\":");
    write_number(&writer, service->partners == NULL ? 0 : xt_partners_count(service->partners));
    xt_write_literal(&writer, "}\n");
    answer_json(answer, ready ? 200 : 503, &writer);
    answer->retry_after_s = ready ? 0 : xt_problem_text(XT_PROBLEM_NOT_READY)->retry_after_s;
}
