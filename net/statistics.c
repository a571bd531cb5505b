/* net/statistics: GET /v1/statistics: a table of what the writer published last (store/live_statistics).
 *
 * The query is ?by= and names with commas between them, which may be %2C, as some clients write them; nothing
 * else is decoded. */
#include <stdlib.h>

#include "net/caller.h"
#include "net/exchange.h"
#include "net/route.h"
#include "net/writer.h"
#include "store/live_statistics.h"

#define QUERY_MAX 96 /* bytes of all names, each once, with %2C */

struct xt_statistics_desk {
    struct xt_statistics told;
    uint8_t body[XT_STATISTICS_JSON_MAX];
};

_Static_assert(XT_ANSWER_HEAD_MAX + XT_STATISTICS_JSON_MAX <= XT_OUTPUT_MAX,
               "every table fits into one output");

/* The set that a query asks for. */
static enum xt_problem take_query(struct xt_span query, unsigned *by)
{
    static const char name[] = "by=";
    uint8_t text[QUERY_MAX];
    struct xt_writer names = xt_writer_over(text, sizeof(text));
    *by = 0;
    if (query.size < sizeof(name) || memcmp(query.data, name, sizeof(name) - 1) != 0) {
        return XT_PROBLEM_INVALID_QUERY;
    }
    for (size_t i = sizeof(name) - 1; i < query.size && !names.overflow; i++) {
        const uint8_t *at = query.data + i;
        bool comma = query.size - i >= 3 && at[0] == '%' && at[1] == '2' && (at[2] | 32) == 'c';
        xt_write_byte(&names, comma ? ',' : at[0]);
        i += comma ? 2 : 0;
    }
    enum xt_status status =
        names.overflow ? XT_INVALID : xt_statistics_by_parse(xt_written(&names), by);
    return status == XT_OK       ? XT_PROBLEM_NONE
           : status == XT_DENIED ? XT_PROBLEM_DIMENSIONS_NOT_OFFERED
                                 : XT_PROBLEM_INVALID_QUERY;
}

/* What was told last, into the desk. */
static enum xt_problem look_up(struct xt_service *service, xt_date *as_of)
{
    struct xt_register people;
    if (service->statistics == NULL) {
        service->statistics = malloc(sizeof(*service->statistics));
    }
    if (service->statistics == NULL || service->live == NULL ||
        xt_service_register(service, &people) != XT_OK) {
        return XT_PROBLEM_NOT_READY;
    }
    uint64_t epoch = xt_writer_epoch(service->shared);
    enum xt_status status =
        xt_live_refresh(service->live, epoch, xt_writer_commit(service->shared));
    if (status == XT_OK) {
        status = xt_live_statistics(service->live, &service->statistics->told, as_of);
    }
    return status == XT_OK          ? XT_PROBLEM_NONE
           : status == XT_NOT_FOUND ? XT_PROBLEM_NOT_READY
                                    : xt_problem_of_status(status);
}

void xt_handle_statistics(struct xt_call *call, struct xt_answer *answer)
{
    const struct xt_http_request *request = call->request;
    struct xt_service *service = call->service;
    enum xt_problem problem = XT_PROBLEM_NONE;
    unsigned by = 0;
    xt_date as_of = XT_DATE_NONE;
    if (xt_call_partner_with(call, XT_RIGHT_STATISTICS, &problem) == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    if (!xt_call_take_rate(call, answer)) {
        return;
    }
    problem = request->has_query ? take_query(request->query, &by) : XT_PROBLEM_NONE;
    if (problem == XT_PROBLEM_NONE) {
        problem = look_up(service, &as_of);
    }
    if (problem != XT_PROBLEM_NONE) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    struct xt_statistics_desk *desk = service->statistics;
    struct xt_writer writer = xt_writer_over(desk->body, sizeof(desk->body));
    xt_statistics_to_json(&desk->told, by, as_of, &writer);
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer)};
}
