#include <time.h>

#include "net/events_internal.h"

#define SHARE_LEAST                                                                                \
    8 /* events under way that every stream may have: XT_EVENTS_STREAMS times this fit */

/* ---- what becomes of a line ------------------------------------------------------------------- */

static enum xt_status write_down(const struct xt_events_stream *stream,
                                 const struct xt_events_line *line, uint64_t now_ms)
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

void xt_events_finish(struct xt_events_stream *stream, struct xt_events_line *line, unsigned status,
                      const char *code)
{
    uint8_t random[10];
    struct timespec now; /* answers of the writer come between the turns of connections */
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    line->state = XT_EVENTS_DONE;
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
static void count_fit(const struct xt_events_stream *stream, bool fits)
{
    if (stream->cell != XT_NO_CELL) {
        struct xt_partner_counters *counters =
            &stream->desk->service->counters->by_partner[stream->cell];
        xt_counter_add(&counters->events, 1);
        xt_counter_add(&counters->misses, !fits);
    }
}

static void finish_answered(struct xt_events_stream *stream, struct xt_events_line *line,
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
        xt_events_finish(stream, line, 200, "");
        return;
    }
    if (answer->status == XT_DENIED && answer->conflict != XT_CONFLICT_NONE) {
        count_fit(stream, false);
        xt_events_finish(stream, line, 409, xt_conflict_name(answer->conflict));
        return;
    }
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].answer == answer->status) {
            xt_events_finish(stream, line, refusals[i].status, refusals[i].code);
            return;
        }
    }
    xt_events_finish(stream, line, 500, "internal");
}

void xt_events_finish_unknown(struct xt_events_stream *stream, struct xt_events_line *line)
{
    if (line->call != NULL) {
        line->call->stream = NULL;
        line->call = NULL;
        stream->under_way--;
    }
    xt_events_finish(stream, line, 503, line->was_sent ? "outcome_unknown" : "not_ready");
}

static void release(struct xt_events_stream *stream)
{
    struct xt_events_desk *desk = stream->desk;
    xt_ring_remove(&stream->link);
    xt_pool_give(&desk->streams, stream);
}

void xt_events_release_if_done(struct xt_events_stream *stream)
{
    if (stream->abandoned && stream->under_way == 0) {
        release(stream);
    }
}

/* ---- the writer ------------------------------------------------------------------------------- */

void xt_events_wake_unsent(struct xt_events_desk *desk)
{
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        struct xt_events_stream *stream = xt_ring_entry(at, struct xt_events_stream, link);
        if (stream->unsent < stream->count) {
            xt_stream_wake(&stream->base);
        }
    }
}

static void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct xt_events_call *call = context;
    struct xt_events_stream *stream = call->stream;
    struct xt_events_desk *desk = call->desk;
    if (desk->starved) {
        desk->starved = false;
        xt_events_wake_unsent(desk);
    }
    if (stream == NULL) {
        xt_pool_give(&desk->calls, call);
        return;
    }
    struct xt_events_line *line = &stream->lines[call->line];
    unsigned index = (call->line + XT_EVENTS_LINES - stream->first) % XT_EVENTS_LINES;
    xt_pool_give(&desk->calls, call);
    line->call = NULL;
    stream->under_way--;
    if (answer->status != XT_CLOSED) {
        finish_answered(stream, line, answer);
    } else if (stream->abandoned) {
        xt_events_finish_unknown(stream, line);
    } else { /* it is sent again to the next writer, before those behind it */
        line->state = XT_EVENTS_WAITING;
        stream->unsent = index < stream->unsent ? index : stream->unsent;
    }
    xt_stream_wake(&stream->base);
    xt_events_release_if_done(stream);
}

static enum xt_status send_line(struct xt_events_stream *stream, struct xt_events_line *line)
{
    struct xt_events_desk *desk = stream->desk;
    struct xt_event event = {.type = (enum xt_event_type)line->type, .at_ms = line->at_ms};
    memcpy(event.id, line->id, sizeof(event.id));
    event.registry = xt_span_of(stream->bodies + line->body_at % XT_EVENTS_BYTES, line->body_size);
    struct xt_events_call *call = xt_pool_take(&desk->calls);
    if (call == NULL) {
        return XT_AGAIN;
    }
    *call = (struct xt_events_call){
        .desk = desk, .stream = stream, .line = (unsigned)(line - stream->lines)};
    enum xt_status status =
        xt_writer_send_for(desk->writer, stream->partner, &event, on_answer, call);
    if (status != XT_OK) {
        desk->starved = status == XT_AGAIN;
        xt_pool_give(&desk->calls, call);
        return status;
    }
    line->call = call;
    line->state = XT_EVENTS_SENT;
    line->was_sent = true;
    stream->under_way++;
    return XT_OK;
}

/* Of what the channel takes: so that nobody waits until others have no more to tell. */
static bool has_its_share(const struct xt_events_stream *stream)
{
    unsigned share = XT_WRITER_CHANNEL_EVENTS / stream->desk->streams.out_count;
    return stream->under_way >= (share > SHARE_LEAST ? share : SHARE_LEAST);
}

void xt_events_work(struct xt_stream *base)
{
    struct xt_events_stream *stream = xt_events_stream_of(base);
    stream->hopeless = stream->hopeless && !xt_writer_channel_is_open(stream->desk->writer);
    while (stream->unsent < stream->count) {
        struct xt_events_line *line = xt_events_line_at(stream, stream->unsent);
        if (line->state == XT_EVENTS_WAITING && stream->hopeless) {
            xt_events_finish_unknown(stream, line);
        } else if (line->state == XT_EVENTS_WAITING &&
                   (has_its_share(stream) || send_line(stream, line) != XT_OK)) {
            return;
        }
        stream->unsent++;
    }
}
