/* core/authenticate_internal: what core/account_request reads as core/authenticate does. Private to core/. */
#ifndef XT_CORE_AUTHENTICATE_INTERNAL_H
#define XT_CORE_AUTHENTICATE_INTERNAL_H

#include "core/authenticate.h"
#include "core/json.h"

/* Reads one member of the table's into `into`; what is wrong with it, or NULL. */
typedef const char *xt_read_member(void *into, unsigned what, yyjson_val *value,
                                   struct xt_request_errors *errors);

/* An object in place, at most XT_AUTHENTICATE_BODY_MAX bytes. optional: set of bits of the members that may lack. */
XT_MUST_USE enum xt_status xt_body_read(uint8_t *body, size_t size, struct xt_json_arena arena,
                                        const struct xt_json_member *table, unsigned count,
                                        uint32_t optional, xt_read_member *read, void *into,
                                        struct xt_request_errors *errors);

/* The value of "factors", into a request's factors; what is wrong with the list as a whole, or NULL. */
const char *xt_factors_read(struct xt_authenticate_request *request, yyjson_val *list,
                            struct xt_request_errors *errors);

/* A text that is there; NULL when it is. */
const char *xt_text_member(yyjson_val *value, struct xt_span *text);

/* pointer: "/evidence". */
void xt_request_report(struct xt_request_errors *errors, const char *code, const char *pointer);

#endif
