#include "store/audit_reader.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/audit_internal.h"

#define BUFFER (192U << 10) /* a whole batch from wherever it begins, and more at a time */
#define PLAIN_LEAST 8192    /* bytes */
#define ZEROS_LEAST 64      /* bytes of zeros that a sound file does not end in */

_Static_assert(BUFFER > XT_AUDIT_BATCH_MAX, "a batch fits");

struct xt_audit_reader {
    int fd;
    bool has_keys;
    struct xt_audit_header header;
    struct xt_audit_keys keys;
    struct xt_audit_state state;
    uint64_t from;  /* where in the file the buffer begins */
    size_t have;    /* bytes in it */
    uint8_t *plain; /* plain_room bytes of xt_secret_alloc */
    size_t plain_room;
    uint8_t buffer[BUFFER]; /* as it is in the file: sealed */
};

/* Bytes of the file from the reader's place on: at least `need` of them unless the file ends before. */
static enum xt_status look(struct xt_audit_reader *reader, size_t need, struct xt_span *bytes)
{
    uint64_t at = reader->state.bytes;
    if (at < reader->from || at + need > reader->from + reader->have) {
        reader->from = at;
        reader->have = 0;
        enum xt_status status =
            xt_audit_read_at(reader->fd, at, reader->buffer, BUFFER, &reader->have);
        if (status != XT_OK) {
            return status;
        }
    }
    size_t skip = (size_t)(at - reader->from);
    *bytes = xt_span_of(reader->buffer + skip, reader->have - skip);
    return XT_OK;
}

enum xt_status xt_audit_reader_open(int fd, const struct xt_keyring *keyring,
                                    struct xt_audit_reader **reader)
{
    struct xt_audit_reader *made = malloc(sizeof(*made));
    if (made == NULL) {
        close(fd);
        return XT_NO_MEMORY;
    }
    memset(made, 0, offsetof(struct xt_audit_reader, buffer));
    made->fd = fd;
    struct xt_span bytes;
    enum xt_status status = look(made, XT_AUDIT_HEADER_BYTES, &bytes);
    if (status == XT_OK && bytes.size < XT_AUDIT_HEADER_BYTES) {
        status = XT_AGAIN;
    }
    if (status == XT_OK) {
        bytes.size = XT_AUDIT_HEADER_BYTES;
        status = keyring != NULL ? xt_audit_header_open(bytes, keyring, &made->header, &made->keys)
                                 : xt_audit_header_parse(bytes, &made->header);
    }
    if (status != XT_OK) {
        xt_audit_reader_close(made);
        return status;
    }
    made->has_keys = keyring != NULL;
    xt_audit_state_begin(&made->state, &made->header, bytes.data);
    *reader = made;
    return XT_OK;
}

void xt_audit_reader_close(struct xt_audit_reader *reader)
{
    if (reader != NULL) {
        close(reader->fd);
        xt_audit_keys_close(&reader->keys);
        xt_secret_free(reader->plain);
        free(reader);
    }
}

const struct xt_audit_header *xt_audit_reader_header(const struct xt_audit_reader *reader)
{
    return &reader->header;
}

const struct xt_audit_keys *xt_audit_reader_keys(const struct xt_audit_reader *reader)
{
    return reader->has_keys ? &reader->keys : NULL;
}

const struct xt_audit_state *xt_audit_reader_state(const struct xt_audit_reader *reader)
{
    return &reader->state;
}

void xt_audit_reader_seek(struct xt_audit_reader *reader, const struct xt_audit_state *state)
{
    reader->state = *state;
}

enum xt_status xt_audit_reader_peek(struct xt_audit_reader *reader, struct xt_audit_batch *batch)
{
    struct xt_span bytes;
    enum xt_status status = look(reader, XT_AUDIT_BATCH_HEADER, &bytes);
    if (status != XT_OK) {
        return status;
    }
    if (bytes.size == 0) {
        return XT_NOT_FOUND;
    }
    status = xt_audit_batch_parse(bytes, reader->state.batches, batch);
    if (status == XT_OK) {
        status = look(reader, xt_audit_batch_size(batch), &bytes);
        if (status == XT_OK && bytes.size < xt_audit_batch_size(batch)) {
            status = XT_AGAIN;
        }
    }
    if (status == XT_AGAIN) {
        reader->have = 0; /* the file may grow: read it again next time */
    }
    return status;
}

/* Locked memory costs by the page, and most batches are small. */
static enum xt_status make_room(struct xt_audit_reader *reader, size_t size)
{
    if (size <= reader->plain_room) {
        return XT_OK;
    }
    size_t room = size <= PLAIN_LEAST ? PLAIN_LEAST : XT_AUDIT_BATCH_PLAIN;
    xt_secret_free(reader->plain);
    reader->plain = xt_secret_alloc(room);
    reader->plain_room = reader->plain != NULL ? room : 0;
    return reader->plain != NULL ? XT_OK : XT_NO_MEMORY;
}

enum xt_status xt_audit_reader_take(struct xt_audit_reader *reader,
                                    const struct xt_audit_batch *batch, struct xt_span *plain,
                                    const char **what)
{
    struct xt_span bytes;
    size_t size = xt_audit_batch_size(batch);
    *what = "it cannot be read";
    enum xt_status status = look(reader, size, &bytes);
    if (status != XT_OK || bytes.size < size) {
        return status != XT_OK ? status : XT_CORRUPT;
    }
    bytes.size = size;
    if (reader->has_keys &&
        (status = make_room(reader, batch->sealed - XT_SEAL_OVERHEAD)) != XT_OK) {
        return status;
    }
    status = xt_audit_batch_open(reader->has_keys ? &reader->keys : NULL, &reader->state, bytes,
                                 batch, reader->plain, what);
    *plain = xt_span_of(reader->plain,
                        reader->has_keys && status == XT_OK ? batch->sealed - XT_SEAL_OVERHEAD : 0);
    return status;
}

void xt_audit_reader_skip(struct xt_audit_reader *reader, const struct xt_audit_batch *batch)
{
    struct xt_audit_state *state = &reader->state;
    struct xt_span bytes;
    size_t size = xt_audit_batch_size(batch);
    if (look(reader, size, &bytes) == XT_OK && bytes.size >= size) {
        memcpy(state->digest, bytes.data + size - XT_AUDIT_DIGEST, XT_AUDIT_DIGEST);
    }
    state->bytes += size;
    state->batches++;
    state->entries += batch->entries;
}

/* Where the zeros begin in which bytes end. */
static size_t zeros_from(struct xt_span bytes)
{
    size_t at = bytes.size;
    while (at > 0 && bytes.data[at - 1] == 0) {
        at--;
    }
    return at;
}

enum xt_status xt_audit_reader_is_torn(struct xt_audit_reader *reader, bool *torn, uint64_t *size)
{
    struct xt_audit_batch batch;
    struct xt_span bytes;
    struct stat facts;
    *torn = false;
    reader->have = 0;
    enum xt_status status = xt_audit_reader_peek(reader, &batch);
    if (status != XT_OK && status != XT_AGAIN && status != XT_CORRUPT) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    if (fstat(reader->fd, &facts) != 0 || look(reader, 1, &bytes) != XT_OK) {
        return XT_IO;
    }
    *size = (uint64_t)facts.st_size;
    if (status == XT_AGAIN) {
        *torn = true;
        return XT_OK;
    }
    uint64_t rest = *size - reader->state.bytes;
    size_t within = status == XT_OK ? xt_audit_batch_size(&batch) : XT_AUDIT_BATCH_MAX;
    size_t zeros = zeros_from(bytes);
    /* More than the buffer holds is more than one write: that is no torn tail. */
    *torn = rest == bytes.size && zeros < within && bytes.size - zeros >= ZEROS_LEAST;
    return XT_OK;
}
