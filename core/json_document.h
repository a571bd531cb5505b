/* core/json_document: a whole JSON document in memory, for files that programs read back.
 *
 * The request's way reads JSON in place (core/json.h, private to this folder); this is the reader for
 * everybody else, so that yyjson.h stays in core/.
 * Memory: a document owns its values; text of the caller is only borrowed while it is parsed. About
 *         16 bytes a value: bound the text before parsing it.
 * Thread: immutable once parsed.
 */
#ifndef XT_CORE_JSON_DOCUMENT_H
#define XT_CORE_JSON_DOCUMENT_H

#include "core/span.h"
#include "core/status.h"

struct xt_json_document;
struct xt_json_value; /* borrowed from its document */

enum xt_json_type {
    XT_JSON_NULL,
    XT_JSON_BOOL,
    XT_JSON_INTEGER, /* not negative and fits 64 bits */
    XT_JSON_NUMBER,  /* any other number */
    XT_JSON_STRING,
    XT_JSON_ARRAY,
    XT_JSON_OBJECT
};

/* Strict RFC 8259 in UTF-8. XT_INVALID: *failure tells the byte and why; XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_json_document_parse(struct xt_span text,
                                                  struct xt_json_document **document,
                                                  struct xt_failure *failure);
void xt_json_document_free(struct xt_json_document *document);
const struct xt_json_value *xt_json_document_root(const struct xt_json_document *document);

/* What a value is and holds. Asking for another type than it has gives 0, false or nothing;
 * xt_json_real also gives integers. Strings end with a 0 byte and may hold others. */
enum xt_json_type xt_json_type_of(const struct xt_json_value *value);
bool xt_json_bool(const struct xt_json_value *value);
uint64_t xt_json_integer(const struct xt_json_value *value);
double xt_json_real(const struct xt_json_value *value);
struct xt_span xt_json_text(const struct xt_json_value *value);

/* Elements of an array, members of an object; 0 for everything else. */
size_t xt_json_size(const struct xt_json_value *value);

/* The member of that name; NULL when there is none, or more than one (then nobody can say which was
 * meant), or when value is no object. */
const struct xt_json_value *xt_json_member_of(const struct xt_json_value *object, const char *name);

/* Walks an array or an object:
 *   struct xt_json_walk walk = xt_json_walk_over(value);
 *   while (xt_json_walk_next(&walk)) { ... walk.name (objects only), walk.value ... } */
struct xt_json_walk {
    struct xt_span name;
    const struct xt_json_value *value;
    size_t left;
    bool is_object;
    const void *next;
};
struct xt_json_walk xt_json_walk_over(const struct xt_json_value *container);
bool xt_json_walk_next(struct xt_json_walk *walk);

#endif
