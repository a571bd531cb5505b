/* net/openapi: net/openapi.json, without white space, embedded when the program is built. */
#ifndef XT_NET_OPENAPI_H
#define XT_NET_OPENAPI_H

#include <stddef.h>
#include <stdint.h>

extern const uint8_t xt_openapi_json[];
extern const size_t xt_openapi_json_size;

#endif
