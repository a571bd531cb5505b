/* net/request_line: method SP target SP HTTP/1.x CRLF, exactly (RFC 9112 section 3). Pure. */
#ifndef XT_NET_REQUEST_LINE_H
#define XT_NET_REQUEST_LINE_H

#include "net/http.h"

/* line ends with its LF. Fills method, is_http10, path, has_query and query, which are borrowed from line;
 * scheme is the one that absolute targets must have. XT_PROBLEM_NONE, or why it is refused. */
XT_MUST_USE enum xt_problem xt_request_line_parse(struct xt_span line, const char *scheme,
                                                  struct xt_http_request *request);

/* As it stands in a request line. */
const char *xt_method_name(enum xt_method method);

/* uri-host [ ":" port ] of RFC 9110 section 7.2; no user, no path, not empty. */
bool xt_host_is_valid(struct xt_span text);

/* One or more ASCII digits and nothing else. */
bool xt_is_digits(struct xt_span text);

#endif
