#include "net/batch.h"

#include <stdlib.h>

#include "net/batch_line.h"
#include "net/caller.h"
#include "net/pool.h"
#include "net/ring.h"
#include "net/route.h"

#define STREAMS_KEPT 4
#define RETRY_MS 100 /* while there is no register, or no room for the audit log */

struct stream {
    struct xt_stream base;
    struct xt_batch_desk *desk;
    const struct xt_peer *peer; /* of the connection, which outlives the stream */
    char partner[XT_PARTNER_NAME_MAX + 1];
    struct xt_ring link; /* in the desk's list */
    bool is_paid;        /* the first line was taken: the request's rate is spent */
    bool waits;          /* for its rate, the register or the log: the desk's timer wakes it */
    bool ended,
        unread;    /* its summary was written; which says that the list was not read to its end */
    uint64_t last; /* the number of the line that was answered last */
    unsigned written; /* of its answers */
    struct xt_batch_counts counts;
    struct xt_batch_answers answers;
};

struct xt_batch_desk {
    struct xt_service *service;
    struct xt_pool streams;
    struct xt_ring all;
    uv_timer_t timer;
    struct xt_batch_group group; /* of the stream at hand, within its turn */
};

static struct stream *stream_of(struct xt_stream *base)
{
    return (struct stream *)(void *)base;
}

static bool has_answers(const struct stream *stream)
{
    return stream->written < stream->answers.count;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct xt_batch_desk *desk = timer->data;
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        struct stream *stream = xt_ring_entry(at, struct stream, link);
        if (stream->waits) {
            stream->waits = false;
            xt_stream_wake(&stream->base);
        }
    }
}

static bool wait_for(struct stream *stream, uint64_t ms)
{
    uv_timer_t *timer = &stream->desk->timer;
    stream->waits = true;
    if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > ms) {
        (void)!uv_timer_start(timer, on_timer, ms, 0); /* else: it has stopped */
    }
    return false;
}

/* ---- lines ------------------------------------------------------------------------------------ */

/* Who asks, as of now: his file, his certificate or his right may have changed since the stream began. */
static enum xt_problem find_partner(const struct stream *stream, struct xt_batch_group *group)
{
    struct xt_service *service = stream->desk->service;
    enum xt_problem problem = XT_PROBLEM_NONE;
    const struct xt_partner *known = NULL;
    const struct xt_partner *partner = xt_caller_find(service, stream->peer, &known, &problem);
    if (partner != NULL && strcmp(partner->name, stream->partner) != 0) {
        partner = NULL;
        problem = XT_PROBLEM_UNKNOWN_CERTIFICATE;
    }
    group->partner = partner;
    group->allowance =
        partner == NULL || service->rates == NULL ? NULL : xt_rates_of(service->rates, partner);
    return problem;
}

/* What all lines of a group have in common; false: none can be answered now. */
static bool begin_group(struct stream *stream)
{
    struct xt_service *service = stream->desk->service;
    struct xt_batch_group *group = &stream->desk->group;
    if (service->trail != NULL && !xt_audit_trail_can(service->trail)) {
        return wait_for(stream, RETRY_MS);
    }
    if (service->generation == NULL || xt_service_register(service, &group->people) != XT_OK) {
        return wait_for(stream, RETRY_MS);
    }
    group->name = stream->partner;
    group->address = stream->peer->address;
    group->refused = find_partner(stream, group);
    stream->base.over = group->refused != XT_PROBLEM_NONE;
    return true;
}

/* One for this line; false: not yet, it will be woken. Its request has paid for the first. */
static bool take_rate(struct stream *stream)
{
    const struct xt_batch_desk *desk = stream->desk;
    const struct xt_allowance *allowance = desk->group.allowance;
    uint64_t wait_ms = 0;
    bool taken =
        allowance == NULL || !stream->is_paid ||
        xt_rate_take(allowance->word, &allowance->rate, desk->service->monotonic_ns, &wait_ms);
    stream->is_paid = true;
    return taken || wait_for(stream, wait_ms);
}

/* RFC 8259 section 8.1: a byte order mark may be ignored. Files have one at their beginning. */
static void skip_mark(struct xt_batch_line *line)
{
    if (line->number == 1 && line->size >= 3 && memcmp(line->text, "\xef\xbb\xbf", 3) == 0) {
        line->text += 3;
        line->size -= 3;
    }
}

static bool take_line(struct xt_stream *base, uint64_t number, uint8_t *text, size_t size,
                      bool too_long)
{
    struct stream *stream = stream_of(base);
    struct xt_batch_group *group = &stream->desk->group;
    if (has_answers(stream) || group->count == XT_BATCH_GROUP || base->over ||
        (group->count == 0 && !begin_group(stream)) || (!base->over && !take_rate(stream))) {
        return false;
    }
    struct xt_batch_line *line = &group->lines[group->count++];
    *line =
        (struct xt_batch_line){.number = number, .text = text, .size = size, .too_long = too_long};
    skip_mark(line);
    return true;
}

static void work(struct xt_stream *base)
{
    struct stream *stream = stream_of(base);
    struct xt_batch_group *group = &stream->desk->group;
    if (group->count > 0) {
        stream->written = 0;
        xt_batch_answer(stream->desk->service, group, &stream->answers, &stream->counts);
    }
}

/* ---- answers ---------------------------------------------------------------------------------- */

static bool is_due(const struct xt_stream *base)
{
    return has_answers((const struct stream *)(const void *)base);
}

/* As many as there is room for. */
static void write_answers(struct xt_stream *base, struct xt_writer *writer)
{
    struct stream *stream = stream_of(base);
    const struct xt_batch_answers *answers = &stream->answers;
    size_t room = writer->capacity - writer->size;
    unsigned end = stream->written;
    uint32_t from = end == 0 ? 0 : answers->ends[end - 1];
    while (end < answers->count && answers->ends[end] - from <= room) {
        end++;
    }
    xt_require(end > stream->written);
    xt_write(writer, answers->text + from, answers->ends[end - 1] - from);
    stream->last = answers->numbers[end - 1];
    stream->written = end;
}

static void summarize(struct xt_stream *base, bool unread, struct xt_writer *writer)
{
    struct stream *stream = stream_of(base);
    const struct xt_batch_counts *counts = &stream->counts;
    stream->ended = true;
    stream->unread = unread;
    xt_batch_write_number(writer, "{\"summary\":{\"lines\":", counts->lines);
    xt_batch_write_number(writer, ",\"verified\":", counts->verified);
    xt_batch_write_number(writer, ",\"not_verified\":", counts->not_verified);
    xt_batch_write_number(writer, ",\"errors\":", counts->errors);
    if (counts->per_claim) {
        const char *before = "\"";
        xt_write_literal(writer, ",\"mismatches\":{");
        for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
            if (counts->mismatches[claim] > 0) {
                xt_write_string(writer, before);
                xt_write_span(writer, xt_claim_name_span((enum xt_claim)claim));
                xt_batch_write_number(writer, "\":", counts->mismatches[claim]);
                before = ",\"";
            }
        }
        xt_write_literal(writer, "}");
    }
    xt_write_string(writer, unread ? ",\"unread\":true}}\n" : "}}\n");
}

static bool give_up(struct xt_stream *base)
{
    (void)base;
    return false; /* every line that was taken is answered */
}

/* How far it came. */
static void write_end_down(const struct stream *stream)
{
    struct xt_service *service = stream->desk->service;
    const char *code = !stream->ended   ? "stream_broken"
                       : stream->unread ? "stream_unread"
                                        : "stream_ended";
    struct xt_audit_entry entry = {.unix_ms = service->unix_ms,
                                   .route = XT_AUDIT_ROUTE_VERIFY_BATCH,
                                   .status = 200,
                                   .partner = xt_span_of_string(stream->partner),
                                   .problem = xt_span_of_string(code),
                                   .line = stream->last < XT_AUDIT_LINE_END ? stream->last : 0};
    if (service->trail == NULL || service->trail->ended || !xt_audit_trail_can(service->trail)) {
        return; /* each line's own entry tells it as well */
    }
    for (unsigned i = 0; i < 6; i++) {
        entry.answer_id[i] = (uint8_t)(entry.unix_ms >> (40 - 8 * i));
    }
    xt_random(entry.answer_id + 6, sizeof(entry.answer_id) - 6);
    (void)!xt_audit_trail_add(service->trail, &entry);
}

static void close_stream(struct xt_stream *base)
{
    struct stream *stream = stream_of(base);
    write_end_down(stream);
    xt_ring_remove(&stream->link);
    xt_pool_give(&stream->desk->streams, stream);
}

/* ---- the route -------------------------------------------------------------------------------- */

static const struct xt_stream_kind kind = {.yields = true,
                                           .take_line = take_line,
                                           .work = work,
                                           .is_due = is_due,
                                           .is_busy = is_due,
                                           .write = write_answers,
                                           .summarize = summarize,
                                           .give_up = give_up,
                                           .close = close_stream};

static void open_stream(struct xt_batch_desk *desk, const struct xt_call *call,
                        const struct xt_partner *partner, uint64_t from, struct stream *stream)
{
    memset(stream, 0, offsetof(struct stream, answers));
    stream->answers.count = 0;
    stream->base.kind = &kind;
    stream->base.lines = from - 1;
    stream->desk = desk;
    stream->peer = call->peer;
    memcpy(stream->partner, partner->name, sizeof(stream->partner));
    xt_ring_open(&stream->link);
    xt_ring_append(&desk->all, &stream->link);
}

static bool has_his_streams(const struct xt_batch_desk *desk, const struct xt_partner *partner)
{
    unsigned count = 0;
    for (struct xt_ring *at = desk->all.next; at != &desk->all; at = at->next) {
        count += strcmp(xt_ring_entry(at, struct stream, link)->partner, partner->name) == 0;
    }
    return count >= XT_BATCH_SHARE;
}

/* The number of the first line. */
static bool read_resume(struct xt_span text, uint64_t *from)
{
    *from = text.size == 0 ? 1 : 0;
    if (text.size > 13 || (text.size > 0 && text.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *from = *from * 10 + (text.data[i] - '0');
    }
    return *from <= XT_BATCH_RESUME_MAX;
}

static void refuse_resume(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_request_errors errors = {.count = 1, .list = {{.code = "bad_resume_from"}}};
    xt_call_refuse(call, XT_PROBLEM_INVALID_REQUEST, &errors, answer);
}

void xt_handle_batch(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_batch_desk *desk = call->service->batch;
    enum xt_problem problem = XT_PROBLEM_NONE;
    uint64_t from = 1;
    const struct xt_partner *partner = xt_call_partner(call, &problem);
    if (partner == NULL) {
        xt_call_refuse(call, problem, NULL, answer);
        return;
    }
    if (desk == NULL || call->service->generation == NULL) {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    if (!xt_call_take_rate(call, answer)) {
        return;
    }
    if (!xt_call_has_type(call->request, "application/x-ndjson")) {
        xt_call_refuse(call, XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL, answer);
        return;
    }
    if (!read_resume(call->request->resume_from, &from)) {
        refuse_resume(call, answer);
        return;
    }
    struct stream *stream = has_his_streams(desk, partner) ? NULL : xt_pool_take(&desk->streams);
    if (stream == NULL) {
        xt_call_refuse(call, XT_PROBLEM_OVERLOADED, NULL, answer);
        return;
    }
    open_stream(desk, call, partner, from, stream);
    *answer = (struct xt_answer){.status = 200, .type = XT_TYPE_LINES, .stream = &stream->base};
}

enum xt_status xt_batch_open(uv_loop_t *loop, struct xt_service *service,
                             struct xt_batch_desk **opened)
{
    struct xt_batch_desk *desk = calloc(1, sizeof(*desk));
    if (desk == NULL) {
        return XT_NO_MEMORY;
    }
    desk->service = service;
    desk->timer.data = desk;
    xt_ring_open(&desk->all);
    if (uv_timer_init(loop, &desk->timer) != 0) {
        free(desk);
        return XT_IO;
    }
    xt_pool_open(&desk->streams, sizeof(struct stream), STREAMS_KEPT, XT_BATCH_STREAMS);
    service->batch = desk;
    *opened = desk;
    return XT_OK;
}

void xt_batch_stop(struct xt_batch_desk *desk)
{
    uv_close((uv_handle_t *)&desk->timer, NULL);
}

void xt_batch_close(struct xt_batch_desk *desk)
{
    if (desk != NULL) {
        xt_require(xt_ring_is_empty(&desk->all));
        desk->service->batch = NULL;
        xt_pool_close(&desk->streams);
        free(desk);
    }
}
