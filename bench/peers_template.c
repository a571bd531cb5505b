#include "bench/peers_template.h"

#include <stdlib.h>

#include "crypto/file.h"

static const char *text_of(const char *name)
{
    for (const struct xt_peers_file *file = xt_peers_files; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0) {
            return file->text;
        }
    }
    return NULL;
}

/* The length of a @NAME@ at the front of text; 0: there is none. */
static size_t place_at(const char *text)
{
    size_t size = strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return text[0] == '@' && size > 0 && text[size + 1] == '@' ? size + 2 : 0;
}

static const char *value_of(const struct xt_peers_value *values, const char *place, size_t size)
{
    for (; values->name != NULL; values++) {
        if (strlen(values->name) == size - 2 && memcmp(values->name, place + 1, size - 2) == 0) {
            return values->value;
        }
    }
    return NULL;
}

enum xt_status xt_peers_fill(const char *name, const struct xt_peers_value *values,
                             char text[XT_PEERS_TEXT_MAX], struct xt_failure *failure)
{
    const char *from = text_of(name);
    xt_require(from != NULL);
    struct xt_writer writer = xt_writer_over(text, XT_PEERS_TEXT_MAX - 1);
    while (*from != '\0') {
        size_t size = place_at(from);
        if (size == 0) {
            xt_write_byte(&writer, (uint8_t)*from++);
            continue;
        }
        const char *value = value_of(values, from, size);
        if (value == NULL) {
            return xt_fail(failure, XT_INVALID, "%s: %.*s has no value", name, (int)size, from);
        }
        xt_write_string(&writer, value);
        from += size;
    }
    if (writer.overflow) {
        return xt_fail(failure, XT_TOO_LARGE, "%s: too long when filled in", name);
    }
    text[writer.size] = '\0';
    return XT_OK;
}

enum xt_status xt_peers_write(const char *name, const struct xt_peers_value *values,
                              const char *folder, const char *as, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    char *text = malloc(XT_PEERS_TEXT_MAX);
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    enum xt_status status = xt_path_join(path, folder, as);
    if (status == XT_OK) {
        status = xt_peers_fill(name, values, text, failure);
    }
    if (status == XT_OK) {
        status = xt_file_write(path, xt_span_of_string(text), 0644, true, failure);
    }
    free(text);
    return status;
}
