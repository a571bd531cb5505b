/* core/json: what the JSON readers of this folder share: strict objects over yyjson.
 *
 * Private to core/: no other folder includes this file, so that yyjson.h stays in this one.
 * Memory: documents and their strings live in the caller's arena (in the text itself when it is
 *         read in place) until the arena is used again; nothing is ever freed one by one.
 */
#ifndef XT_CORE_JSON_H
#define XT_CORE_JSON_H

#include <yyjson.h>

#include "core/person.h"

/* One member an object may have; `what` is the reader's own numbering, below 32. */
struct xt_json_member {
    const char *name;
    uint8_t length; /* bytes of name */
    uint8_t what;
};
#define XT_JSON_MEMBER(name, what)                                                                 \
    {                                                                                              \
        "" name, sizeof(name) - 1, (what)                                                          \
    }

static inline struct xt_span xt_json_string(yyjson_val *value)
{
    return xt_span_of(yyjson_get_str(value), yyjson_get_len(value));
}

/* The member called like key; NULL when the table has none. *next is where to look first: members
 * mostly come in the order of the documentation, so the first comparison mostly hits. */
static inline const struct xt_json_member *
xt_json_find(const struct xt_json_member *table, unsigned count, yyjson_val *key, unsigned *next)
{
    const char *name = yyjson_get_str(key);
    size_t length = yyjson_get_len(key);
    unsigned at = *next;
    for (unsigned tried = 0; tried < count; tried++, at++) {
        if (at >= count) {
            at = 0;
        }
        if (table[at].length == length && memcmp(table[at].name, name, length) == 0) {
            *next = at + 1;
            return &table[at];
        }
    }
    return NULL;
}

/* Parses text in place: it must be writable and have 4 spare bytes (YYJSON_PADDING_SIZE) after it.
 * It must be one JSON object with nothing after it; gives NULL and a stable code in *code otherwise.
 */
static inline yyjson_val *xt_json_read_in_place(uint8_t *text, size_t size,
                                                struct xt_json_arena arena, const char **code)
{
    yyjson_alc allocator;
    if (!yyjson_alc_pool_init(&allocator, arena.memory, arena.size)) {
        *code = "too_long";
        return NULL;
    }
    yyjson_read_err error;
    yyjson_doc *document =
        yyjson_read_opts((char *)text, size, YYJSON_READ_INSITU, &allocator, &error);
    if (document == NULL) {
        *code = error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? "too_long" : "malformed_json";
        return NULL;
    }
    yyjson_val *root = yyjson_doc_get_root(document);
    if (!yyjson_is_obj(root)) {
        *code = "not_an_object";
        return NULL;
    }
    return root;
}

/* The same for text that must not be changed: it is copied into the front of the arena. */
static inline yyjson_val *xt_json_read(struct xt_span text, struct xt_json_arena arena,
                                       const char **code)
{
    size_t front = (text.size + YYJSON_PADDING_SIZE + 15) & ~(size_t)15;
    if (text.size == 0 || front >= arena.size) {
        *code = text.size == 0 ? "malformed_json" : "too_long";
        return NULL;
    }
    uint8_t *copy = arena.memory;
    memcpy(copy, text.data, text.size);
    memset(copy + text.size, 0, YYJSON_PADDING_SIZE);
    arena.memory = copy + front;
    arena.size -= front;
    return xt_json_read_in_place(copy, text.size, arena, code);
}

#endif
