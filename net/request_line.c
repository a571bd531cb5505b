#include "net/request_line.h"

#include <arpa/inet.h>
#include <strings.h>

bool xt_is_digits(struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.size > 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* reg-name of RFC 3986; gives its length, 0 when there is none or it is malformed. */
static size_t name_length(struct xt_span text)
{
    static const char extra[] = "-._~!$&'()*+,;=";
    size_t at = 0;
    while (at < text.size && text.data[at] != ':') {
        uint8_t c = text.data[at];
        if (c == '%') {
            if (text.size - at < 3 || !is_hex(text.data[at + 1]) || !is_hex(text.data[at + 2])) {
                return 0;
            }
            at += 3;
        } else if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                   (c != 0 && strchr(extra, c) != NULL)) {
            at++;
        } else {
            return 0;
        }
    }
    return at;
}

/* "[" IPv6address "]"; gives its length, 0 when it is malformed. No zone, no IPvFuture. */
static size_t literal_length(struct xt_span text)
{
    char address[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    const uint8_t *end = memchr(text.data, ']', text.size);
    size_t length = end == NULL ? 0 : (size_t)(end - text.data) - 1;
    if (length == 0 || length >= sizeof(address)) {
        return 0;
    }
    memcpy(address, text.data + 1, length);
    address[length] = '\0'; /* one inside ends it early: then it is no address, or not all of it */
    return strlen(address) == length && inet_pton(AF_INET6, address, bytes) == 1 ? length + 2 : 0;
}

bool xt_host_is_valid(struct xt_span text)
{
    bool literal = text.size > 0 && text.data[0] == '[';
    size_t at = literal ? literal_length(text) : name_length(text);
    if (at == 0 || at == text.size) {
        return at > 0;
    }
    if (text.data[at] != ':' || text.size - at > 6) {
        return false;
    }
    for (at++; at < text.size; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_token(struct xt_span text)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
              (c != 0 && strchr(extra, c) != NULL))) {
            return false;
        }
    }
    return text.size > 0;
}

/* Characters of RFC 3986 without the fragment's '#'. */
static bool is_target(struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"#<>\\^`{|}", c) != NULL) {
            return false;
        }
    }
    return text.size > 0;
}

static const struct {
    const char *name;
    enum xt_method method;
} methods[] = {{"POST", XT_POST},       {"GET", XT_GET}, {"HEAD", XT_HEAD},
               {"OPTIONS", XT_OPTIONS}, {"PUT", XT_PUT}, {"DELETE", XT_DELETE},
               {"PATCH", XT_PATCH}};

const char *xt_method_name(enum xt_method method)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].method == method) {
            return methods[i].name;
        }
    }
    return "";
}

static enum xt_problem take_method(struct xt_http_request *request, struct xt_span text)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (xt_span_is(text, methods[i].name)) {
            request->method = methods[i].method;
            return XT_PROBLEM_NONE;
        }
    }
    return XT_PROBLEM_NOT_IMPLEMENTED;
}

/* origin-form, absolute-form of our own scheme, or * for OPTIONS (RFC 9112 section 3.2). */
static enum xt_problem take_target(struct xt_span target, const char *scheme,
                                   struct xt_http_request *request)
{
    if (!is_target(target)) {
        return XT_PROBLEM_MALFORMED_HTTP;
    }
    if (xt_span_is(target, "*")) {
        request->path = target;
        return request->method == XT_OPTIONS ? XT_PROBLEM_NONE : XT_PROBLEM_MALFORMED_HTTP;
    }
    if (target.data[0] != '/') {
        size_t length = strlen(scheme);
        if (target.size < length + 3 ||
            strncasecmp((const char *)target.data, scheme, length) != 0 ||
            memcmp(target.data + length, "://", 3) != 0) {
            return XT_PROBLEM_MALFORMED_HTTP;
        }
        struct xt_span rest = xt_span_of(target.data + length + 3, target.size - length - 3);
        size_t authority = 0;
        while (authority < rest.size && rest.data[authority] != '/' &&
               rest.data[authority] != '?') {
            authority++;
        }
        if (!xt_host_is_valid(xt_span_of(rest.data, authority))) {
            return XT_PROBLEM_BAD_HOST;
        }
        target = xt_span_of(rest.data + authority, rest.size - authority);
        if (target.size == 0) {
            request->path = xt_span_of_string(request->method == XT_OPTIONS ? "*" : "/");
            return XT_PROBLEM_NONE;
        }
    }
    const uint8_t *query = memchr(target.data, '?', target.size);
    request->has_query = query != NULL;
    request->query = query == NULL
                         ? xt_span_of(NULL, 0)
                         : xt_span_of(query + 1, (size_t)(target.data + target.size - query - 1));
    request->path =
        xt_span_of(target.data, query == NULL ? target.size : (size_t)(query - target.data));
    return XT_PROBLEM_NONE;
}

enum xt_problem xt_request_line_parse(struct xt_span line, const char *scheme,
                                      struct xt_http_request *request)
{
    if (line.size < 2 || line.data[line.size - 2] != '\r') {
        return XT_PROBLEM_MALFORMED_HTTP;
    }
    line.size -= 2;
    const uint8_t *space = memchr(line.data, ' ', line.size);
    if (space == NULL) {
        return XT_PROBLEM_MALFORMED_HTTP;
    }
    struct xt_span method = xt_span_of(line.data, (size_t)(space - line.data));
    struct xt_span rest = xt_span_of(space + 1, line.size - method.size - 1);
    space = rest.size > 0 ? memchr(rest.data, ' ', rest.size) : NULL;
    if (space == NULL || !is_token(method)) {
        return XT_PROBLEM_MALFORMED_HTTP;
    }
    struct xt_span target = xt_span_of(rest.data, (size_t)(space - rest.data));
    struct xt_span version = xt_span_of(space + 1, rest.size - target.size - 1);
    if (version.size != 8 || memcmp(version.data, "HTTP/", 5) != 0 || version.data[6] != '.' ||
        !xt_is_digits(xt_span_of(version.data + 5, 1)) ||
        !xt_is_digits(xt_span_of(version.data + 7, 1))) {
        return XT_PROBLEM_MALFORMED_HTTP;
    }
    if (version.data[5] != '1' || version.data[7] > '1') {
        return XT_PROBLEM_VERSION_NOT_SUPPORTED;
    }
    request->is_http10 = version.data[7] == '0';
    enum xt_problem problem = take_method(request, method);
    return problem != XT_PROBLEM_NONE ? problem : take_target(target, scheme, request);
}
