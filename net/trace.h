/* net/trace: the caller's trace context, for our log lines and nothing else: it is never answered, sent
 * on or stored.
 *
 *   traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *                version, trace-id, parent-id, flags          (W3C Trace Context, section 3.2)
 */
#ifndef XT_NET_TRACE_H
#define XT_NET_TRACE_H

#include "core/span.h"

struct xt_trace {
    struct xt_span trace_id, span_id; /* 32 and 16 hex digits, borrowed */
};

/* Version 00 exactly: its one length, lower-case hex, neither id all zeros. false: to be ignored, as the
 * recommendation says; also of versions to come, whose rules nobody knows. */
bool xt_trace_parse(struct xt_span traceparent, struct xt_trace *trace);

#endif
