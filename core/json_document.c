#include "core/json_document.h"

#include <yyjson.h>

/* Both are one pointer of yyjson's in other clothes, so that its header stays here. */
static yyjson_doc *doc_of(const struct xt_json_document *document)
{
    return (yyjson_doc *)(uintptr_t)document;
}

static yyjson_val *val_of(const struct xt_json_value *value)
{
    return (yyjson_val *)(uintptr_t)value;
}

static const struct xt_json_value *of_val(const yyjson_val *value)
{
    return (const struct xt_json_value *)value;
}

enum xt_status xt_json_document_parse(struct xt_span text, struct xt_json_document **document,
                                      struct xt_failure *failure)
{
    yyjson_read_err error;
    /* Without YYJSON_READ_INSITU the text is copied and left as it is. */
    yyjson_doc *parsed =
        yyjson_read_opts((char *)(uintptr_t)text.data, text.size, YYJSON_READ_NOFLAG, NULL, &error);
    if (parsed == NULL) {
        if (error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
            return xt_fail(failure, XT_NO_MEMORY, "not enough memory for the JSON; free some");
        }
        return xt_fail(failure, XT_INVALID, "no JSON: %s at byte %zu",
                       text.size == 0 ? "it is empty" : error.msg, error.pos);
    }
    *document = (struct xt_json_document *)parsed;
    return XT_OK;
}

void xt_json_document_free(struct xt_json_document *document)
{
    yyjson_doc_free(doc_of(document));
}

const struct xt_json_value *xt_json_document_root(const struct xt_json_document *document)
{
    return of_val(yyjson_doc_get_root(doc_of(document)));
}

enum xt_json_type xt_json_type_of(const struct xt_json_value *value)
{
    switch (yyjson_get_type(val_of(value))) {
    case YYJSON_TYPE_BOOL:
        return XT_JSON_BOOL;
    case YYJSON_TYPE_NUM:
        return yyjson_is_uint(val_of(value)) ? XT_JSON_INTEGER : XT_JSON_NUMBER;
    case YYJSON_TYPE_STR:
        return XT_JSON_STRING;
    case YYJSON_TYPE_ARR:
        return XT_JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return XT_JSON_OBJECT;
    default:
        return XT_JSON_NULL;
    }
}

bool xt_json_bool(const struct xt_json_value *value)
{
    return yyjson_get_bool(val_of(value));
}

uint64_t xt_json_integer(const struct xt_json_value *value)
{
    return yyjson_is_uint(val_of(value)) ? yyjson_get_uint(val_of(value)) : 0;
}

double xt_json_real(const struct xt_json_value *value)
{
    return yyjson_get_num(val_of(value));
}

struct xt_span xt_json_text(const struct xt_json_value *value)
{
    return xt_span_of(yyjson_get_str(val_of(value)), yyjson_get_len(val_of(value)));
}

size_t xt_json_size(const struct xt_json_value *value)
{
    return yyjson_is_ctn(val_of(value)) ? unsafe_yyjson_get_len(val_of(value)) : 0;
}

const struct xt_json_value *xt_json_member_of(const struct xt_json_value *object, const char *name)
{
    const struct xt_json_value *found = NULL;
    struct xt_span wanted = xt_span_of_string(name);
    struct xt_json_walk walk = xt_json_walk_over(object);
    while (walk.is_object && xt_json_walk_next(&walk)) {
        if (xt_span_equal(walk.name, wanted)) {
            if (found != NULL) {
                return NULL;
            }
            found = walk.value;
        }
    }
    return found;
}

struct xt_json_walk xt_json_walk_over(const struct xt_json_value *container)
{
    struct xt_json_walk walk = {.left = xt_json_size(container),
                                .is_object = yyjson_is_obj(val_of(container))};
    walk.next = walk.left > 0 ? unsafe_yyjson_get_first(val_of(container)) : NULL;
    return walk;
}

bool xt_json_walk_next(struct xt_json_walk *walk)
{
    if (walk->left == 0) {
        return false;
    }
    walk->left--;
    yyjson_val *at = (yyjson_val *)(uintptr_t)walk->next;
    if (walk->is_object) {
        walk->name = xt_span_of(yyjson_get_str(at), yyjson_get_len(at));
        at++; /* an object's value stands behind its name */
    }
    walk->value = of_val(at);
    walk->next = unsafe_yyjson_get_next(at);
    return true;
}
