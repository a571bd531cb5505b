#include "net/events.h"

#include <stdlib.h>
#include <time.h>

#include "net/caller.h"
#include "net/pool.h"
#include "net/ring.h"
#include "net/route.h"
#include "net/stream.h"

#define STREAMS_KEPT 4
#define CALLS_KEPT 1024
#define SHARE_LEAST                                                                                \
    8 /* events under way that every stream may have: XT_EVENTS_STREAMS times this fit */

enum state {
    WAITING, /* to be sent, or to be sent again */
    SENT,
    DONE
};

struct stream;

/* An event that the writer has: it outlives a line that is no longer waited for. */
struct call {
    struct xt_events_desk *desk;
    struct stream *stream; /* NULL: nobody waits */
    unsigned line;
};

struct line {
    uint64_t number; /* in the body */
    enum state state;
    bool was_sent;
    struct call *call; /* with SENT */
    enum xt_registry_type type;
    uint64_t person;
    uint8_t id[XT_EVENT_ID];
    uint64_t at_ms;
    uint64_t body_at; /* never falls; its place in the ring of bodies is the rest of the division */
    uint32_t body_size;
    uint8_t event_id_size;
    char event_id[XT_REGISTRY_EVENT_ID_MAX];
    /* With DONE. */
    unsigned status; /* 200, or that of a problem */
    bool duplicate;
    uint64_t sequence;
    const char *code;
    const char *fault; /* of a member: its code; NULL: none */
    char pointer[64];
    char answer_id[XT_ANSWER_ID];
};

struct stream {
    struct xt_stream base;
    struct xt_events_desk *desk;
    const struct xt_peer *peer; /* of the connection, while that is there */
    char partner[XT_PARTNER_NAME_MAX + 1];
    struct xt_ring link;   /* in the desk's list */
    unsigned first, count; /* lines taken and not written: a ring */
    unsigned unsent;       /* of them, from the first on: those before it were sent or are done */
    unsigned under_way;    /* sent and not answered */
    uint32_t cell;         /* of its partner, from the first line on */
    bool is_paid;          /* the first line was taken: the request's rate is spent */
    bool waits_for_rate;
    bool hopeless, abandoned; /* nothing has moved for too long; its client has gone */
    uint64_t bodies_end;
    uint64_t answered, applied, duplicates, conflicts;
    struct line lines[XT_EVENTS_LINES];
    uint8_t bodies[XT_EVENTS_BYTES];
};

struct xt_events_desk {
    struct xt_service *service;
    struct xt_writer_channel *writer;
    struct xt_pool streams, calls;
    struct xt_ring all;
    uv_timer_t rate;               /* the next time that a line may be taken which waits for it */
    bool starved;                  /* the channel took no more from somebody */
    struct xt_registry_event told; /* of the line at hand */
};

static struct stream *stream_of(struct xt_stream *base)
{
    return (struct stream *)(void *)base;
}

static struct line *line_at(struct stream *stream, unsigned index)
{
    return &stream->lines[(stream->first + index) % XT_EVENTS_LINES];
}

/* ---- what becomes of a line ------------------------------------------------------------------- */

static enum xt_status write_down(const struct stream *stream, const struct line *line,
                                 uint64_t now_ms)
{
    struct xt_audit_trail *trail = stream->desk->service->trail;
    struct xt_audit_entry entry = {.unix_ms = now_ms,
                                   .route = XT_AUDIT_ROUTE_EVENTS,
                                   .status = (uint16_t)line->status,
                                   .partner = xt_span_of_string(stream->partner),
                                   .problem = xt_span_of_string(line->code),
                                   .event = (uint8_t)line->type,
                                   .sequence = line->sequence};
    if (trail == NULL) {
        return XT_OK;
    }
    if (trail->ended || !xt_audit_trail_can(trail)) {
        return XT_DISK_FULL;
    }
    if (line->type != 0) {
        entry.has_subject = true;
        xt_audit_subject(trail->log, (struct xt_id){.kind = XT_ID_PERSONAL, .value = line->person},
                         entry.subject);
    }
    enum xt_status status =
        xt_audit_answer_id(xt_span_of(line->answer_id, XT_ANSWER_ID), entry.answer_id);
    return status == XT_OK ? xt_audit_trail_add(trail, &entry) : status;
}

/* The line can be answered from now on, and is written down. */
static void finish(struct stream *stream, struct line *line, unsigned status, const char *code)
{
    uint8_t random[10];
    struct timespec now; /* answers of the writer come between the turns of connections */
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    line->state = DONE;
    line->status = status;
    line->code = code;
    xt_random(random, sizeof(random));
    xt_answer_id_make(now_ms, random, line->answer_id);
    if (write_down(stream, line, now_ms) != XT_OK) {
        line->status = 503;
        line->code = "not_logged";
    }
}

/* For the alarm: whoever tells what does not fit asks about people. */
static void count_fit(const struct stream *stream, bool fits)
{
    if (stream->cell != XT_NO_CELL) {
        struct xt_partner_counters *counters =
            &stream->desk->service->counters->by_partner[stream->cell];
        xt_counter_add(&counters->events, 1);
        xt_counter_add(&counters->misses, !fits);
    }
}

static void finish_answered(struct stream *stream, struct line *line,
                            const struct xt_writer_answer *answer)
{
    static const struct {
        enum xt_status answer;
        unsigned status;
        const char *code;
    } refusals[] = {
        {XT_EXISTS, 409, "event_id_reused"}, {XT_DENIED, 403, "endpoint_not_permitted"},
        {XT_DISK_FULL, 503, "not_stored"},   {XT_BUSY, 503, "not_ready"},
        {XT_CORRUPT, 503, "record_damaged"}, {XT_INVALID, 500, "internal"},
    };
    if (answer->status == XT_OK) {
        line->duplicate = answer->duplicate;
        line->sequence = answer->sequence;
        count_fit(stream, true);
        finish(stream, line, 200, "");
        return;
    }
    if (answer->status == XT_DENIED && answer->conflict != XT_CONFLICT_NONE) {
        count_fit(stream, false);
        finish(stream, line, 409, xt_conflict_name(answer->conflict));
        return;
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].answer == answer->status) {
            finish(stream, line, refusals[i].status, refusals[i].code);
            return;
        }
    }
    finish(stream, line, 500, "internal");
}

/* What nobody will hear of any more. */
static void finish_unknown(struct stream *stream, struct line *line)
{
    if (line->call != NULL) {
        line->call->stream = NULL;
        line->call = NULL;
        stream->under_way--;
    }
    finish(stream, line, 503, line->was_sent ? "outcome_unknown" : "not_ready");
}

static void release(struct stream *stream)
{
    struct xt_events_desk *desk = stream->desk;
    xt_ring_remove(&stream->link);
    xt_pool_give(&desk->streams, stream);
}

/* Its client has gone: it stays until what it has sent is answered, so that the log has it. */
static void release_if_done(struct stream *stream)
{
    if (stream->abandoned && stream->under_way == 0) {
        release(stream);
    }
}

/* ---- the writer ------------------------------------------------------------------------------- */

static void wake_others(struct xt_events_desk *desk)
{
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        struct stream *stream = xt_ring_entry(at, struct stream, link);
        if (stream->unsent < stream->count) {
            xt_stream_wake(&stream->base);
        }
    }
}

static void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct call *call = context;
    struct stream *stream = call->stream;
    struct xt_events_desk *desk = call->desk;
    if (desk->starved) {
        desk->starved = false;
        wake_others(desk);
    }
    if (stream == NULL) {
        xt_pool_give(&desk->calls, call);
        return;
    }
    struct line *line = &stream->lines[call->line];
    unsigned index = (call->line + XT_EVENTS_LINES - stream->first) % XT_EVENTS_LINES;
    xt_pool_give(&desk->calls, call);
    line->call = NULL;
    stream->under_way--;
    if (answer->status != XT_CLOSED) {
        finish_answered(stream, line, answer);
    } else if (stream->abandoned) {
        finish_unknown(stream, line);
    } else { /* it is sent again to the next writer, before those behind it */
        line->state = WAITING;
        stream->unsent = index < stream->unsent ? index : stream->unsent;
    }
    xt_stream_wake(&stream->base);
    release_if_done(stream);
}

static enum xt_status send_line(struct stream *stream, struct line *line)
{
    struct xt_events_desk *desk = stream->desk;
    struct xt_event event = {.type = (enum xt_event_type)line->type, .at_ms = line->at_ms};
    memcpy(event.id, line->id, sizeof(event.id));
    event.registry = xt_span_of(stream->bodies + line->body_at % XT_EVENTS_BYTES, line->body_size);
    struct call *call = xt_pool_take(&desk->calls);
    if (call == NULL) {
        return XT_AGAIN;
    }
    *call = (struct call){.desk = desk, .stream = stream, .line = (unsigned)(line - stream->lines)};
    enum xt_status status =
        xt_writer_send_for(desk->writer, stream->partner, &event, on_answer, call);
    if (status != XT_OK) {
        desk->starved = status == XT_AGAIN;
        xt_pool_give(&desk->calls, call);
        return status;
    }
    line->call = call;
    line->state = SENT;
    line->was_sent = true;
    stream->under_way++;
    return XT_OK;
}

/* Of what the channel takes: so that nobody waits until others have no more to tell. */
static bool has_its_share(const struct stream *stream)
{
    unsigned share = XT_WRITER_CHANNEL_EVENTS / stream->desk->streams.out_count;
    return stream->under_way >= (share > SHARE_LEAST ? share : SHARE_LEAST);
}

/* Those that were not sent, in their order, as many as the channel takes. */
static void work(struct xt_stream *base)
{
    struct stream *stream = stream_of(base);
    stream->hopeless = stream->hopeless && !xt_writer_channel_is_open(stream->desk->writer);
    while (stream->unsent < stream->count) {
        struct line *line = line_at(stream, stream->unsent);
        if (line->state == WAITING && stream->hopeless) {
            finish_unknown(stream, line);
        } else if (line->state == WAITING &&
                   (has_its_share(stream) || send_line(stream, line) != XT_OK)) {
            return;
        }
        stream->unsent++;
    }
}

/* ---- lines ------------------------------------------------------------------------------------ */

/* Room for the largest event in one piece, behind those that wait; NULL: none. */
static uint8_t *reserve_body(struct stream *stream)
{
    uint64_t begin = stream->count > 0 ? line_at(stream, 0)->body_at : stream->bodies_end;
    size_t at = stream->bodies_end % XT_EVENTS_BYTES;
    uint64_t skipped = XT_EVENTS_BYTES - at < XT_EVENT_BODY_MAX ? XT_EVENTS_BYTES - at : 0;
    if (stream->bodies_end + skipped + XT_EVENT_BODY_MAX - begin > XT_EVENTS_BYTES) {
        return NULL;
    }
    stream->bodies_end += skipped;
    return stream->bodies + stream->bodies_end % XT_EVENTS_BYTES;
}

static void finish_rejected(struct stream *stream, struct line *line,
                            const struct xt_reject *reject)
{
    line->fault = reject->code;
    memcpy(line->pointer, reject->pointer, sizeof(line->pointer));
    finish(stream, line, 400, "invalid_event");
}

/* A partner may have lost his right since the stream began. Else gives who he is now. */
static bool is_permitted(const struct stream *stream, const struct xt_partner **found,
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
        struct stream *stream = xt_ring_entry(at, struct stream, link);
        if (stream->waits_for_rate) {
            stream->waits_for_rate = false;
            xt_stream_wake(&stream->base);
        }
    }
}

/* One for this line; false: not yet, it will be woken. Its request has paid for the first. */
static bool take_rate(struct stream *stream, const struct xt_partner *partner)
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

static void parse(struct stream *stream, struct line *line, struct xt_span text, uint8_t *body)
{
    struct xt_events_desk *desk = stream->desk;
    struct xt_service *service = desk->service;
    struct xt_registry_envelope envelope;
    struct xt_reject reject;
    struct xt_event event;
    enum xt_status status =
        xt_registry_event_from_json(text, service->arena, &envelope, &desk->told, &reject);
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
        finish(stream, line, 413, "event_too_large");
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
    struct stream *stream = stream_of(base);
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
    struct line *line = line_at(stream, stream->count);
    memset(line, 0, sizeof(*line));
    line->number = number;
    line->body_at = stream->bodies_end;
    stream->count++;
    if (trail != NULL &&
        !xt_audit_trail_can(trail)) { /* nothing changes that is not written down */
        finish(stream, line, 503, "not_logged");
    } else if (base->over) {
        finish(stream, line, xt_problem_text(problem)->status, xt_problem_text(problem)->code);
    } else if (too_long) {
        finish(stream, line, 413, "line_too_long");
    } else {
        parse(stream, line, xt_span_of(text, size), body);
    }
    return true;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static bool is_due(const struct xt_stream *base)
{
    const struct stream *stream = (const struct stream *)(const void *)base;
    return stream->count > 0 && stream->lines[stream->first].state == DONE;
}

static bool is_busy(const struct xt_stream *base)
{
    return ((const struct stream *)(const void *)base)->count > 0;
}

static void write_number(struct xt_writer *writer, const char *before, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    xt_write_string(writer, before);
    xt_write(writer, digits + at, sizeof(digits) - at);
}

static void write_text(struct xt_writer *writer, const char *before, struct xt_span text)
{
    xt_write_string(writer, before);
    xt_json_write_string(writer, text);
}

static void write_outcome(const struct line *line, struct xt_writer *writer)
{
    if (line->status == 200) {
        xt_write_string(writer,
                        line->duplicate ? ",\"status\":\"duplicate\"" : ",\"status\":\"applied\"");
        write_number(writer, ",\"sequence\":", line->sequence);
        return;
    }
    write_number(writer, ",\"status\":", line->status);
    write_text(writer, ",\"code\":", xt_span_of_string(line->code));
    if (line->fault != NULL) {
        write_text(writer, ",\"errors\":[{\"pointer\":", xt_span_of_string(line->pointer));
        write_text(writer, ",\"code\":", xt_span_of_string(line->fault));
        xt_write_literal(writer, "}]");
    }
}

static void write_answer(struct xt_stream *base, struct xt_writer *writer)
{
    struct stream *stream = stream_of(base);
    const struct line *line = line_at(stream, 0);
    xt_require(line->state == DONE);
    write_number(writer, "{\"line\":", line->number);
    if (line->event_id_size > 0) {
        write_text(writer, ",\"event_id\":", xt_span_of(line->event_id, line->event_id_size));
    }
    write_outcome(line, writer);
    write_text(writer, ",\"answer_id\":", xt_span_of(line->answer_id, XT_ANSWER_ID));
    xt_write_literal(writer, "}\n");
    stream->answered++;
    stream->applied += line->status == 200 && !line->duplicate;
    stream->duplicates += line->status == 200 && line->duplicate;
    stream->conflicts += line->status == 409;
    stream->first = (stream->first + 1) % XT_EVENTS_LINES;
    stream->count--;
    stream->unsent -= stream->unsent > 0;
}

static void summarize(struct xt_stream *base, bool unread, struct xt_writer *writer)
{
    const struct stream *stream = stream_of(base);
    uint64_t right = stream->applied + stream->duplicates + stream->conflicts;
    write_number(writer, "{\"summary\":{\"lines\":", stream->answered);
    write_number(writer, ",\"applied\":", stream->applied);
    write_number(writer, ",\"duplicates\":", stream->duplicates);
    write_number(writer, ",\"conflicts\":", stream->conflicts);
    write_number(writer, ",\"errors\":", stream->answered - right);
    xt_write_string(writer, unread ? ",\"unread\":true}}\n" : "}}\n");
}

static bool give_up(struct xt_stream *base)
{
    struct stream *stream = stream_of(base);
    bool waits = false;
    for (unsigned i = 0; i < stream->count; i++) {
        struct line *line = line_at(stream, i);
        if (line->state != DONE) {
            finish_unknown(stream, line);
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
    struct stream *stream = stream_of(base);
    stream->abandoned = true;
    stream->peer = NULL;
    for (unsigned i = 0; i < stream->count; i++) {
        struct line *line = line_at(stream, i);
        if (line->state == WAITING && line->was_sent) {
            finish_unknown(stream, line);
        }
    }
    stream->unsent = stream->count;
    release_if_done(stream);
}

/* ---- the route -------------------------------------------------------------------------------- */

static const struct xt_stream_kind kind = {.take_line = take_line,
                                           .work = work,
                                           .is_due = is_due,
                                           .is_busy = is_busy,
                                           .write = write_answer,
                                           .summarize = summarize,
                                           .give_up = give_up,
                                           .close = close_stream};

static void open_stream(struct xt_events_desk *desk, const struct xt_call *call,
                        const struct xt_partner *partner, struct stream *stream)
{
    memset(stream, 0, offsetof(struct stream, lines));
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
        const struct stream *stream = xt_ring_entry(at, struct stream, link);
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
    struct stream *stream = may_have ? xt_pool_take(&desk->streams) : NULL;
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
    xt_pool_open(&desk->streams, sizeof(struct stream), STREAMS_KEPT, XT_EVENTS_STREAMS);
    xt_pool_open(&desk->calls, sizeof(struct call), CALLS_KEPT, 0);
    service->events = desk;
    *opened = desk;
    return XT_OK;
}

void xt_events_resume(struct xt_events_desk *desk)
{
    wake_others(desk);
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
