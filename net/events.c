#include <stdlib.h>

#include "crypto/holder_check.h"
#include "net/caller.h"
#include "net/events_internal.h"
#include "net/route.h"

#define STREAMS_KEPT 4
#define CALLS_KEPT 1024

/* ---- lines ------------------------------------------------------------------------------------ */

/* Room for the largest event in one piece, behind those that wait; NULL: none. */
static uint8_t *reserve_body(struct xt_events_stream *stream)
{
    uint64_t begin = stream->count > 0 ? xt_events_line_at(stream, 0)->body_at : stream->bodies_end;
    size_t at = stream->bodies_end % XT_EVENTS_BYTES;
    uint64_t skipped = XT_EVENTS_BYTES - at < XT_EVENT_BODY_MAX ? XT_EVENTS_BYTES - at : 0;
    if (stream->bodies_end + skipped + XT_EVENT_BODY_MAX - begin > XT_EVENTS_BYTES) {
        return NULL;
    }
    stream->bodies_end += skipped;
    return stream->bodies + stream->bodies_end % XT_EVENTS_BYTES;
}

static void finish_rejected(struct xt_events_stream *stream, struct xt_events_line *line,
                            const struct xt_reject *reject)
{
    line->fault = reject->code;
    memcpy(line->pointer, reject->pointer, sizeof(line->pointer));
    xt_events_finish(stream, line, 400, "invalid_event");
}

/* A partner may have lost his right since the stream began. Else gives who he is now. */
static bool is_permitted(const struct xt_events_stream *stream, const struct xt_partner **found,
                         enum xt_problem *problem)
{
    const struct xt_partner *known = NULL;
    const struct xt_partner *partner =
        xt_caller_find(stream->desk->service, stream->peer, &known, problem);
    if (partner != NULL && strcmp(partner->name, stream->partner) != 0) {
        *problem = XT_PROBLEM_UNKNOWN_CERTIFICATE;
        return false;
    }
    if (partner != NULL) {
        *problem = xt_problem_of_decision(
            xt_policy_may(partner, stream->peer->address, XT_RIGHT_REGISTRY));
    }
    *found = partner;
    return *problem == XT_PROBLEM_NONE;
}

static void on_rate(uv_timer_t *timer)
{
    struct xt_events_desk *desk = timer->data;
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        struct xt_events_stream *stream = xt_ring_entry(at, struct xt_events_stream, link);
        if (stream->waits_for_rate) {
            stream->waits_for_rate = false;
            xt_stream_wake(&stream->base);
        }
    }
}

/* One for this line; false: not yet, it will be woken. Its request has paid for the first. */
static bool take_rate(struct xt_events_stream *stream, const struct xt_partner *partner)
{
    struct xt_events_desk *desk = stream->desk;
    const struct xt_rates *rates = desk->service->rates;
    uint64_t wait_ms = 0;
    if (rates == NULL) {
        return true; /* nothing is shared, so there are no limits */
    }
    const struct xt_allowance *allowance = xt_rates_of(rates, partner);
    stream->cell = allowance->cell;
    bool taken = !stream->is_paid || xt_rate_take(allowance->word, &allowance->rate,
                                                  desk->service->monotonic_ns, &wait_ms);
    stream->is_paid = true;
    stream->waits_for_rate = !taken;
    if (!taken &&
        (!uv_is_active((uv_handle_t *)&desk->rate) || uv_timer_get_due_in(&desk->rate) > wait_ms)) {
        (void)!uv_timer_start(&desk->rate, on_rate, wait_ms, 0); /* else: it has stopped */
    }
    return taken;
}

/* Of a card that was issued data is the card itself. Events of other types hold no key. */
static enum xt_status check_keys(const struct xt_registry_event *told, struct xt_reject *reject)
{
    bool card = told->type == XT_REGISTRY_CARD_ISSUED;
    unsigned which;
    if (!card && told->type != XT_REGISTRY_REGISTERED) {
        return XT_OK;
    }
    return xt_holder_check_person(&told->person, &which) == XT_OK
               ? XT_OK
               : xt_holder_reject(which, "/data", card ? "/public_key" : "/card/public_key",
                                  reject);
}

static void parse(struct xt_events_stream *stream, struct xt_events_line *line, struct xt_span text,
                  uint8_t *body)
{
    struct xt_events_desk *desk = stream->desk;
    struct xt_service *service = desk->service;
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    struct xt_event event;
    enum xt_status status =
        xt_registry_event_from_json(text, service->arena, &envelope, &desk->told, &reject);
    if (status == XT_OK) {
        status = check_keys(&desk->told, &reject);
    }
    if (status != XT_OK) {
        finish_rejected(stream, line, &reject);
        return;
    }
    line->type = desk->told.type;
    line->person = desk->told.number;
    line->event_id_size = (uint8_t)envelope.event_id.size;
    memcpy(line->event_id, envelope.event_id.data, envelope.event_id.size);
    status = xt_event_from_registry(stream->partner, &envelope, &desk->told, body, &event);
    if (status != XT_OK) {
        xt_events_finish(stream, line, 413, "event_too_large");
        return;
    }
    memcpy(line->id, event.id, sizeof(line->id));
    line->at_ms = event.at_ms;
    line->body_size = (uint32_t)event.registry.size;
    stream->bodies_end += line->body_size;
}

static bool take_line(struct xt_stream *base, uint64_t number, uint8_t *text, size_t size,
                      bool too_long)
{
    struct xt_events_stream *stream = xt_events_stream_of(base);
    struct xt_audit_trail *trail = stream->desk->service->trail;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = NULL;
    bool has_room = stream->count < XT_EVENTS_LINES && !base->over;
    uint8_t *body = has_room ? reserve_body(stream) : NULL;
    if (body == NULL) {
        return false;
    }
    base->over = !is_permitted(stream, &partner, &problem);
    if (!base->over && !take_rate(stream, partner)) {
        return false;
    }
    struct xt_events_line *line = xt_events_line_at(stream, stream->count);
    memset(line, 0, sizeof(*line));
    line->number = number;
    line->body_at = stream->bodies_end;
    stream->count++;
    if (trail != NULL &&
        !xt_audit_trail_can(trail)) { /* nothing changes that is not written down */
        xt_events_finish(stream, line, 503, "not_logged");
    } else if (base->over) {
        xt_events_finish(stream, line, xt_problem_text(problem)->status,
                         xt_problem_text(problem)->code);
    } else if (too_long) {
        xt_events_finish(stream, line, 413, "line_too_long");
    } else {
        parse(stream, line, xt_span_of(text, size), body);
    }
    return true;
}

/* ---- the end of a stream ------------------------------------------------------------------------ */

static bool give_up(struct xt_stream *base)
{
    struct xt_events_stream *stream = xt_events_stream_of(base);
    bool waits = false;
    for (unsigned i = 0; i < stream->count; i++) {
        struct xt_events_line *line = xt_events_line_at(stream, i);
        if (line->state != XT_EVENTS_DONE) {
            xt_events_finish_unknown(stream, line);
            waits = true;
        }
    }
    stream->unsent = stream->count;
    stream->hopeless = waits; /* until there is a writer, those that come do not wait as long */
    stream->base.no_room = false;
    return waits;
}

static void close_stream(struct xt_stream *base)
{
    struct xt_events_stream *stream = xt_events_stream_of(base);
    stream->abandoned = true;
    stream->peer = NULL;
    for (unsigned i = 0; i < stream->count; i++) {
        struct xt_events_line *line = xt_events_line_at(stream, i);
        if (line->state == XT_EVENTS_WAITING && line->was_sent) {
            xt_events_finish_unknown(stream, line);
        }
    }
    stream->unsent = stream->count;
    xt_events_release_if_done(stream);
}

/* ---- the route -------------------------------------------------------------------------------- */

static const struct xt_stream_kind kind = {.take_line = take_line,
                                           .work = xt_events_work,
                                           .is_due = xt_events_is_due,
                                           .is_busy = xt_events_is_busy,
                                           .write = xt_events_write_answer,
                                           .summarize = xt_events_summarize,
                                           .give_up = give_up,
                                           .close = close_stream};

static void open_stream(struct xt_events_desk *desk, const struct xt_call *call,
                        const struct xt_partner *partner, struct xt_events_stream *stream)
{
    memset(stream, 0, offsetof(struct xt_events_stream, lines));
    stream->base.kind = &kind;
    stream->desk = desk;
    stream->peer = call->peer;
    memcpy(stream->partner, partner->name, sizeof(stream->partner));
    stream->cell = XT_NO_CELL;
    xt_ring_open(&stream->link);
    xt_ring_append(&desk->all, &stream->link);
}

static bool has_its_streams(const struct xt_events_desk *desk, const struct xt_partner *partner)
{
    unsigned count = 0;
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        const struct xt_events_stream *stream = xt_ring_entry(at, struct xt_events_stream, link);
        count += strcmp(stream->partner, partner->name) == 0;
    }
    return count >= XT_EVENTS_SHARE;
}

void xt_handle_events(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_events_desk *desk = call->service->events;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *partner = xt_call_partner_with(call, XT_RIGHT_REGISTRY, &problem);
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    if (!xt_call_take_rate(call, answer)) {
        return;
    }
    if (!xt_call_has_type(call->request, "application/x-ndjson")) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
        return;
    }
    bool may_have = desk != NULL && !has_its_streams(desk, partner);
    struct xt_events_stream *stream = may_have ? xt_pool_take(&desk->streams) : NULL;
    if (stream == NULL) {
        xt_call_refuse(call, desk == NULL ? XT_PROBLEM_NOT_READY : XT_PROBLEM_OVERLOADED, NULL,
                       answer);
        return;
    }
    open_stream(desk, call, partner, stream);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_LINES, .stream = &stream->base};
}

enum xt_status xt_events_open(uv_loop_t *loop, struct xt_service *service,
                              struct xt_writer_channel *writer, struct xt_events_desk **opened)
{
    struct xt_events_desk *desk = calloc(1, sizeof(*desk));
    if (desk == NULL) {
        return XT_NO_MEMORY;
    }
    desk->service = service;
    desk->writer = writer;
    desk->rate.data = desk;
    xt_ring_open(&desk->all);
    if (uv_timer_init(loop, &desk->rate) != 0) {
        free(desk);
        return XT_IO;
    }
    xt_pool_open(&desk->streams, sizeof(struct xt_events_stream), STREAMS_KEPT, XT_EVENTS_STREAMS);
    xt_pool_open(&desk->calls, sizeof(struct xt_events_call), CALLS_KEPT, 0);
    service->events = desk;
    *opened = desk;
    return XT_OK;
}

void xt_events_resume(struct xt_events_desk *desk)
{
    xt_events_wake_unsent(desk);
}

void xt_events_stop(struct xt_events_desk *desk)
{
    uv_close((uv_handle_t *)&desk->rate, NULL);
}

void xt_events_close(struct xt_events_desk *desk)
{
    if (desk != NULL) {
        xt_require(xt_ring_is_empty(&desk->all));
        desk->service->events = NULL;
        xt_pool_close(&desk->streams);
        xt_pool_close(&desk->calls);
        free(desk);
    }
}
