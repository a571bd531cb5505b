/* net/http_internal: what http.c (the machine and bodies) and http_fields.c (heads) share. */
#ifndef XT_NET_HTTP_INTERNAL_H
#define XT_NET_HTTP_INTERNAL_H

#include "net/http.h"

static inline struct xt_http *xt_http_of(llhttp_t *parser)
{
    return parser->data;
}

/* A callback's way to end parsing with a problem of ours. */
static inline int xt_http_refuse(struct xt_http *http, enum xt_problem problem)
{
    http->problem = problem;
    return HPE_USER;
}

/* A large block for a body that is streamed; false: there is none. */
bool xt_http_open_window(struct xt_http *http);

/* Sets llhttp's callbacks for fields and the end of a head. */
void xt_http_set_field_callbacks(llhttp_settings_t *callbacks);

#endif
