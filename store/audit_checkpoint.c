#include "store/audit_checkpoint.h"

#include <stdlib.h>

#include "core/little_endian.h"
#include "store/audit_checkpoint_internal.h"
#include "store/audit_internal.h"

#define MAGIC 0x31434158U /* "XAC1" */

_Static_assert(XT_AUDIT_CHECKPOINT_FIXED == 4 + 8 + 8 + 4 + 4 + XT_AUDIT_DIGEST + 4, "as drawn");
_Static_assert(XT_AUDIT_ROW_BYTES == XT_AUDIT_ID + 4 + 4 + 6 * 8 + XT_AUDIT_DIGEST + 8, "as drawn");

/* ---- bytes ------------------------------------------------------------------------------------ */

enum xt_status xt_audit_checkpoint_parse(struct xt_span bytes,
                                         struct xt_audit_checkpoint *checkpoint)
{
    struct xt_taker taker = xt_taker_over(bytes);
    uint64_t length = xt_take(&taker, 4);
    if (taker.bad) {
        return XT_AGAIN;
    }
    if (length < XT_AUDIT_CHECKPOINT_FIXED ||
        length > XT_AUDIT_CHECKPOINT_MAX - 4 - XT_AUDIT_SIGNATURE ||
        (length - XT_AUDIT_CHECKPOINT_FIXED) % XT_AUDIT_ROW_BYTES != 0) {
        return XT_CORRUPT;
    }
    size_t size = 4 + (size_t)length + XT_AUDIT_SIGNATURE;
    if (bytes.size < size) {
        return XT_AGAIN;
    }
    uint64_t magic = xt_take(&taker, 4);
    checkpoint->number = xt_take(&taker, 8);
    checkpoint->unix_ms = xt_take(&taker, 8);
    checkpoint->flags = (uint32_t)xt_take(&taker, 4);
    checkpoint->key_id = (uint32_t)xt_take(&taker, 4);
    xt_take_copy(&taker, checkpoint->before, XT_AUDIT_DIGEST);
    checkpoint->rows = (uint32_t)xt_take(&taker, 4);
    checkpoint->bytes = xt_span_of(bytes.data, size);
    return magic == MAGIC && (checkpoint->flags & ~(uint32_t)XT_AUDIT_FLAG_ALL) == 0 &&
                   checkpoint->unix_ms < XT_AUDIT_MS_END &&
                   checkpoint->rows == (length - XT_AUDIT_CHECKPOINT_FIXED) / XT_AUDIT_ROW_BYTES
               ? XT_OK
               : XT_CORRUPT;
}

/* Nothing else is ever written, so that nothing that a worker says makes the list unreadable. */
static bool state_is_sound(const struct xt_audit_state *state)
{
    return state->worker < XT_AUDIT_WORKERS_MAX && state->start_ms < XT_AUDIT_MS_END &&
           state->bytes >= XT_AUDIT_HEADER_BYTES;
}

enum xt_status xt_audit_checkpoint_row(const struct xt_audit_checkpoint *checkpoint, uint32_t index,
                                       struct xt_audit_row *row)
{
    xt_require(index < checkpoint->rows);
    struct xt_taker taker = xt_taker_over(xt_span_of(
        checkpoint->bytes.data + 4 + XT_AUDIT_CHECKPOINT_FIXED + (size_t)index * XT_AUDIT_ROW_BYTES,
        XT_AUDIT_ROW_BYTES));
    struct xt_audit_state *state = &row->state;
    xt_take_copy(&taker, state->id, XT_AUDIT_ID);
    state->worker = (uint32_t)xt_take(&taker, 4);
    row->kind = (enum xt_audit_kind)xt_take(&taker, 4);
    state->bytes = xt_take(&taker, 8);
    state->batches = xt_take(&taker, 8);
    state->entries = xt_take(&taker, 8);
    state->first_ms = xt_take(&taker, 8);
    state->last_ms = xt_take(&taker, 8);
    state->start_ms = xt_take(&taker, 8);
    xt_take_copy(&taker, state->digest, XT_AUDIT_DIGEST);
    row->cut = xt_take(&taker, 8);
    state->closed = row->kind != XT_AUDIT_OPEN;
    return xt_taken_all(&taker) && (unsigned)row->kind <= XT_AUDIT_EXPIRED && state_is_sound(state)
               ? XT_OK
               : XT_CORRUPT;
}

static void put_row(struct xt_writer *writer, const struct xt_audit_row *row)
{
    const struct xt_audit_state *state = &row->state;
    xt_write(writer, state->id, XT_AUDIT_ID);
    xt_put(writer, state->worker, 4);
    xt_put(writer, (uint64_t)row->kind, 4);
    xt_put(writer, state->bytes, 8);
    xt_put(writer, state->batches, 8);
    xt_put(writer, state->entries, 8);
    xt_put(writer, state->first_ms, 8);
    xt_put(writer, state->last_ms, 8);
    xt_put(writer, state->start_ms, 8);
    xt_write(writer, state->digest, XT_AUDIT_DIGEST);
    xt_put(writer, row->cut, 8);
}

size_t xt_audit_checkpoint_make(const struct xt_audit_checkpoint *checkpoint,
                                const struct xt_audit_key *key, const struct xt_audit_row *rows,
                                uint8_t bytes[XT_AUDIT_CHECKPOINT_MAX])
{
    struct xt_writer writer = xt_writer_over(bytes, XT_AUDIT_CHECKPOINT_MAX);
    xt_put(&writer, XT_AUDIT_CHECKPOINT_FIXED + (uint64_t)checkpoint->rows * XT_AUDIT_ROW_BYTES, 4);
    xt_put(&writer, MAGIC, 4);
    xt_put(&writer, checkpoint->number, 8);
    xt_put(&writer, checkpoint->unix_ms, 8);
    xt_put(&writer, checkpoint->flags, 4);
    xt_put(&writer, xt_audit_key_id(key), 4);
    xt_write(&writer, checkpoint->before, XT_AUDIT_DIGEST);
    xt_put(&writer, checkpoint->rows, 4);
    for (uint32_t i = 0; i < checkpoint->rows; i++) {
        put_row(&writer, &rows[i]);
    }
    struct xt_span covered = xt_written(&writer);
    uint8_t *signature = xt_write_reserve(&writer, XT_AUDIT_SIGNATURE);
    xt_require(signature != NULL);
    xt_audit_sign(key, XT_AUDIT_CHECKPOINT_LABEL, covered, signature);
    return writer.size;
}

enum xt_status xt_audit_checkpoint_check(const struct xt_audit_checkpoint *checkpoint,
                                         const struct xt_audit_public *keys)
{
    struct xt_span bytes = checkpoint->bytes;
    size_t covered = bytes.size - XT_AUDIT_SIGNATURE;
    return xt_audit_check(keys, checkpoint->key_id, XT_AUDIT_CHECKPOINT_LABEL,
                          xt_span_of(bytes.data, covered), bytes.data + covered);
}

/* ---- known ------------------------------------------------------------------------------------ */

void xt_audit_known_free(struct xt_audit_known *known)
{
    free(known->rows);
    *known = (struct xt_audit_known){.rows = NULL};
}

struct xt_audit_row *xt_audit_known_find(const struct xt_audit_known *known,
                                         const uint8_t id[XT_AUDIT_ID])
{
    for (size_t i = known->count; i > 0; i--) { /* those asked for are mostly the youngest */
        if (memcmp(known->rows[i - 1].state.id, id, XT_AUDIT_ID) == 0) {
            return &known->rows[i - 1];
        }
    }
    return NULL;
}

const struct xt_audit_row *xt_audit_known_by_name(const struct xt_audit_known *known,
                                                  const char *name)
{
    size_t size = strlen(name);
    for (size_t i = known->count; i > 0 && size > 12; i--) {
        const struct xt_audit_state *state = &known->rows[i - 1].state;
        char right[XT_AUDIT_NAME];
        /* The id's first digits spare most of the formatting. */
        static const char digits[] = "0123456789abcdef";
        if (digits[state->id[0] >> 4] != name[size - 12] ||
            digits[state->id[0] & 15] != name[size - 11] ||
            digits[state->id[1] >> 4] != name[size - 10]) {
            continue;
        }
        xt_audit_name(state->start_ms, state->worker, state->id, right);
        if (strcmp(right, name) == 0) {
            return &known->rows[i - 1];
        }
    }
    return NULL;
}

static bool same_extent(const struct xt_audit_state *a, const struct xt_audit_state *b)
{
    return a->bytes == b->bytes && a->batches == b->batches && a->entries == b->entries &&
           memcmp(a->digest, b->digest, XT_AUDIT_DIGEST) == 0;
}

bool xt_audit_known_allows(const struct xt_audit_known *known, const struct xt_audit_row *row)
{
    const struct xt_audit_state *state = &row->state;
    const struct xt_audit_row *before = xt_audit_known_find(known, state->id);
    if (!state_is_sound(state)) {
        return false;
    }
    if (before == NULL) {
        return row->kind != XT_AUDIT_EXPIRED && !xt_audit_id_is_none(state->id);
    }
    const struct xt_audit_state *last = &before->state;
    if (last->worker != state->worker || last->start_ms != state->start_ms) {
        return false;
    }
    switch (before->kind) {
    case XT_AUDIT_OPEN:
        return row->kind != XT_AUDIT_EXPIRED && state->last_ms >= last->last_ms &&
               (same_extent(state, last) ||
                (state->bytes > last->bytes && state->batches > last->batches &&
                 state->entries > last->entries));
    case XT_AUDIT_CLOSED:
        return row->kind == XT_AUDIT_EXPIRED && same_extent(state, last);
    default:
        return false;
    }
}

enum xt_status xt_audit_known_apply(struct xt_audit_known *known, const struct xt_audit_row *row)
{
    if (!xt_audit_known_allows(known, row)) {
        return XT_CORRUPT;
    }
    struct xt_audit_row *place = xt_audit_known_find(known, row->state.id);
    if (place == NULL) {
        if (known->count == known->room) {
            size_t room = known->room == 0 ? 64 : known->room * 2;
            struct xt_audit_row *more = realloc(known->rows, room * sizeof(*more));
            if (more == NULL) {
                return XT_NO_MEMORY;
            }
            known->rows = more;
            known->room = room;
        }
        place = &known->rows[known->count++];
    }
    *place = *row;
    place->state.closed = row->kind != XT_AUDIT_OPEN;
    return XT_OK;
}
