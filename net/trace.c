#include "net/trace.h"

#define TRACE_ID_AT 3
#define TRACE_ID 32
#define SPAN_ID_AT (TRACE_ID_AT + TRACE_ID + 1)
#define SPAN_ID 16
#define FLAGS_AT (SPAN_ID_AT + SPAN_ID + 1)
#define FLAGS 2

static bool is_hex(struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

static bool is_zero(struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '0') {
            return false;
        }
    }
    return true;
}

bool xt_trace_parse(struct xt_span text, struct xt_trace *trace)
{
    if (text.size != FLAGS_AT + FLAGS || memcmp(text.data, "00-", TRACE_ID_AT) != 0 ||
        text.data[SPAN_ID_AT - 1] != '-' || text.data[FLAGS_AT - 1] != '-') {
        return false;
    }
    struct xt_span trace_id = xt_span_of(text.data + TRACE_ID_AT, TRACE_ID);
    struct xt_span span_id = xt_span_of(text.data + SPAN_ID_AT, SPAN_ID);
    if (!is_hex(trace_id) || !is_hex(span_id) || !is_hex(xt_span_of(text.data + FLAGS_AT, FLAGS)) ||
        is_zero(trace_id) || is_zero(span_id)) {
        return false;
    }
    *trace = (struct xt_trace){.trace_id = trace_id, .span_id = span_id};
    return true;
}
