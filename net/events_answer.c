#include "net/events_internal.h"

bool xt_events_is_due(const struct xt_stream *base)
{
    const struct xt_events_stream *stream = (const struct xt_events_stream *)(const void *)base;
    return stream->count > 0 && stream->lines[stream->first].state == XT_EVENTS_DONE;
}

bool xt_events_is_busy(const struct xt_stream *base)
{
    return ((const struct xt_events_stream *)(const void *)base)->count > 0;
}

static void write_number(struct xt_writer *writer, const char *before, uint64_t value)
{
    xt_write_string(writer, before);
    xt_write_digits(writer, value);
}

static void write_text(struct xt_writer *writer, const char *before, struct xt_span text)
{
    xt_write_string(writer, before);
    xt_json_write_string(writer, text);
}

static void write_outcome(const struct xt_events_line *line, struct xt_writer *writer)
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
        if (xt_reject_hint(line->fault) != NULL) {
            write_text(writer, ",\"hint\":", xt_span_of_string(xt_reject_hint(line->fault)));
        }
        xt_write_literal(writer, "}]");
    }
}

void xt_events_write_answer(struct xt_stream *base, struct xt_writer *writer)
{
    struct xt_events_stream *stream = xt_events_stream_of(base);
    const struct xt_events_line *line = xt_events_line_at(stream, 0);
    xt_require(line->state == XT_EVENTS_DONE);
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

void xt_events_summarize(struct xt_stream *base, bool unread, struct xt_writer *writer)
{
    const struct xt_events_stream *stream = xt_events_stream_of(base);
    uint64_t right = stream->applied + stream->duplicates + stream->conflicts;
    write_number(writer, "{\"summary\":{\"lines\":", stream->answered);
    write_number(writer, ",\"applied\":", stream->applied);
    write_number(writer, ",\"duplicates\":", stream->duplicates);
    write_number(writer, ",\"conflicts\":", stream->conflicts);
    write_number(writer, ",\"errors\":", stream->answered - right);
    xt_write_string(writer, unread ? ",\"unread\":true}}\n" : "}}\n");
}
