#include "store/audit_format.h"

#include <stdio.h>

#include "core/little_endian.h"

#define MAGIC "XTAUDSG1"
#define BATCH_MAGIC 0x31424158U /* "XAB1" */
#define BATCHES_MAX (1ULL << 48)
#define MAC_AT (XT_AUDIT_HEADER_BYTES - XT_DIGEST_BYTES)

_Static_assert(XT_AUDIT_HEADER_BYTES == 8 + 4 + 4 + XT_AUDIT_ID + 8 + 4 + 4 + XT_SALT_BYTES +
                                            XT_AUDIT_ID + XT_AUDIT_DIGEST + XT_DIGEST_BYTES,
               "as drawn");
_Static_assert(XT_AUDIT_BATCH_HEADER == 4 + 4 + 8 + 4 + 8 + 8, "as drawn");
_Static_assert(XT_DIGEST_BYTES == XT_AUDIT_DIGEST, "one digest");
_Static_assert(sizeof(struct xt_audit_state) == 6 * 8 + 2 * 4 + XT_AUDIT_ID + XT_AUDIT_DIGEST,
               "no padding: it is copied word by word");

/* ---- keys ------------------------------------------------------------------------------------- */

enum xt_status xt_audit_keys_open(const struct xt_keyring *keyring, uint32_t key_id,
                                  const uint8_t salt[XT_SALT_BYTES], struct xt_audit_keys *keys)
{
    static const uint8_t no_salt[XT_SALT_BYTES];
    uint8_t seal[XT_KEY_BYTES];
    *keys = (struct xt_audit_keys){.secrets = xt_secret_alloc(2 * XT_KEY_BYTES)};
    if (keys->secrets == NULL) {
        return XT_NO_MEMORY;
    }
    enum xt_status status =
        xt_keyring_derive(keyring, key_id, XT_USE_AUDIT_SEAL, 1, salt, keys->secrets);
    if (status == XT_OK) {
        status = xt_keyring_derive(keyring, key_id, XT_USE_PSEUDONYM, 0, no_salt,
                                   keys->secrets + XT_KEY_BYTES);
    }
    if (status == XT_OK) {
        status = xt_keyring_derive(keyring, key_id, XT_USE_AUDIT_SEAL, 0, salt, seal);
    }
    if (status == XT_OK) {
        status = xt_sealer_open(seal, &keys->sealer);
        xt_wipe(seal, sizeof(seal));
    }
    if (status != XT_OK) {
        xt_audit_keys_close(keys);
    }
    return status;
}

void xt_audit_keys_close(struct xt_audit_keys *keys)
{
    xt_sealer_close(keys->sealer);
    xt_secret_free(keys->secrets);
    *keys = (struct xt_audit_keys){.sealer = NULL};
}

void xt_audit_keys_subject(const struct xt_audit_keys *keys, struct xt_id id,
                           uint8_t subject[XT_PSEUDONYM_BYTES])
{
    xt_pseudonym(keys->secrets + XT_KEY_BYTES, id, subject);
}

/* ---- header ----------------------------------------------------------------------------------- */

void xt_audit_header_write(const struct xt_audit_header *header, const struct xt_audit_keys *keys,
                           uint8_t bytes[XT_AUDIT_HEADER_BYTES])
{
    struct xt_writer writer = xt_writer_over(bytes, XT_AUDIT_HEADER_BYTES);
    xt_write_literal(&writer, MAGIC);
    xt_put(&writer, XT_AUDIT_SEGMENT_VERSION, 4);
    xt_put(&writer, header->worker, 4);
    xt_write(&writer, header->id, XT_AUDIT_ID);
    xt_put(&writer, header->unix_ms, 8);
    xt_put(&writer, header->key_id, 4);
    xt_put(&writer, 0, 4);
    xt_write(&writer, header->salt, XT_SALT_BYTES);
    xt_write(&writer, header->before.id, XT_AUDIT_ID);
    xt_write(&writer, header->before.digest, XT_AUDIT_DIGEST);
    xt_require(writer.size == MAC_AT);
    xt_mac(keys->secrets, xt_span_of(bytes, MAC_AT), bytes + MAC_AT);
}

enum xt_status xt_audit_header_parse(struct xt_span bytes, struct xt_audit_header *header)
{
    struct xt_taker taker = xt_taker_over(bytes);
    struct xt_span magic = xt_take_bytes(&taker, 8);
    uint64_t version = xt_take(&taker, 4);
    if (taker.bad || bytes.size != XT_AUDIT_HEADER_BYTES || !xt_span_is(magic, MAGIC)) {
        return XT_CORRUPT;
    }
    if (version > XT_AUDIT_SEGMENT_VERSION) {
        return XT_UNSUPPORTED;
    }
    header->worker = (uint32_t)xt_take(&taker, 4);
    xt_take_copy(&taker, header->id, XT_AUDIT_ID);
    header->unix_ms = xt_take(&taker, 8);
    header->key_id = (uint32_t)xt_take(&taker, 4);
    uint64_t zero = xt_take(&taker, 4);
    xt_take_copy(&taker, header->salt, XT_SALT_BYTES);
    xt_take_copy(&taker, header->before.id, XT_AUDIT_ID);
    xt_take_copy(&taker, header->before.digest, XT_AUDIT_DIGEST);
    return !taker.bad && version == XT_AUDIT_SEGMENT_VERSION && zero == 0 &&
                   header->worker < XT_AUDIT_WORKERS_MAX && header->unix_ms < XT_AUDIT_MS_END
               ? XT_OK
               : XT_CORRUPT;
}

enum xt_status xt_audit_header_open(struct xt_span bytes, const struct xt_keyring *keyring,
                                    struct xt_audit_header *header, struct xt_audit_keys *keys)
{
    uint8_t mac[XT_DIGEST_BYTES];
    enum xt_status status = xt_audit_header_parse(bytes, header);
    if (status == XT_OK) {
        status = xt_audit_keys_open(keyring, header->key_id, header->salt, keys);
    }
    if (status != XT_OK) {
        return status;
    }
    xt_mac(keys->secrets, xt_span_of(bytes.data, MAC_AT), mac);
    if (!xt_secret_equal(mac, bytes.data + MAC_AT, sizeof(mac))) {
        xt_audit_keys_close(keys);
        return XT_CORRUPT;
    }
    return XT_OK;
}

void xt_audit_state_begin(struct xt_audit_state *state, const struct xt_audit_header *header,
                          const uint8_t bytes[XT_AUDIT_HEADER_BYTES])
{
    static const uint8_t nothing[XT_AUDIT_DIGEST];
    *state = (struct xt_audit_state){
        .bytes = XT_AUDIT_HEADER_BYTES, .start_ms = header->unix_ms, .worker = header->worker};
    memcpy(state->id, header->id, XT_AUDIT_ID);
    xt_audit_chain(nothing, xt_span_of(bytes, XT_AUDIT_HEADER_BYTES), state->digest);
}

/* ---- batches ---------------------------------------------------------------------------------- */

/* What the seal covers beside the entries: the plain header, the digest before. */
#define ASSOCIATED (XT_AUDIT_BATCH_HEADER + XT_AUDIT_DIGEST)

static void associate(const uint8_t *header, const struct xt_audit_state *state,
                      uint8_t associated[ASSOCIATED])
{
    memcpy(associated, header, XT_AUDIT_BATCH_HEADER);
    memcpy(associated + XT_AUDIT_BATCH_HEADER, state->digest, XT_AUDIT_DIGEST);
}

static void advance(struct xt_audit_state *state, const struct xt_audit_batch *batch,
                    const uint8_t digest[XT_AUDIT_DIGEST])
{
    state->bytes += xt_audit_batch_size(batch);
    state->first_ms = state->entries == 0 || batch->first_ms < state->first_ms ? batch->first_ms
                                                                               : state->first_ms;
    state->last_ms = batch->last_ms > state->last_ms ? batch->last_ms : state->last_ms;
    state->batches++;
    state->entries += batch->entries;
    memcpy(state->digest, digest, XT_AUDIT_DIGEST);
}

size_t xt_audit_batch_seal(const struct xt_audit_keys *keys, struct xt_audit_state *state,
                           const struct xt_audit_batch *batch, struct xt_span plain, uint8_t *out)
{
    uint8_t associated[ASSOCIATED], digest[XT_AUDIT_DIGEST];
    struct xt_writer writer = xt_writer_over(out, XT_AUDIT_BATCH_HEADER);
    struct xt_audit_batch made = *batch;
    made.sealed = (uint32_t)(plain.size + XT_SEAL_OVERHEAD);
    made.number = state->batches;
    xt_require(plain.size <= XT_AUDIT_BATCH_PLAIN && made.number < BATCHES_MAX);
    xt_put(&writer, BATCH_MAGIC, 4);
    xt_put(&writer, made.sealed, 4);
    xt_put(&writer, made.number, 8);
    xt_put(&writer, made.entries, 4);
    xt_put(&writer, made.first_ms, 8);
    xt_put(&writer, made.last_ms, 8);
    associate(out, state, associated);
    xt_seal(keys->sealer, made.number, xt_span_of(associated, sizeof(associated)), plain,
            out + XT_AUDIT_BATCH_HEADER);
    size_t covered = XT_AUDIT_BATCH_HEADER + (size_t)made.sealed;
    xt_audit_chain(state->digest, xt_span_of(out, covered), digest);
    memcpy(out + covered, digest, XT_AUDIT_DIGEST);
    advance(state, &made, digest);
    return covered + XT_AUDIT_DIGEST;
}

enum xt_status xt_audit_batch_parse(struct xt_span bytes, uint64_t number,
                                    struct xt_audit_batch *batch)
{
    struct xt_taker taker = xt_taker_over(bytes);
    uint64_t magic = xt_take(&taker, 4);
    batch->sealed = (uint32_t)xt_take(&taker, 4);
    batch->number = xt_take(&taker, 8);
    batch->entries = (uint32_t)xt_take(&taker, 4);
    batch->first_ms = xt_take(&taker, 8);
    batch->last_ms = xt_take(&taker, 8);
    if (taker.bad) {
        return XT_AGAIN;
    }
    return magic == BATCH_MAGIC && batch->sealed > XT_SEAL_OVERHEAD &&
                   batch->sealed <= XT_AUDIT_BATCH_PLAIN + XT_SEAL_OVERHEAD &&
                   batch->number == number && number < BATCHES_MAX && batch->entries > 0 &&
                   batch->entries <= XT_AUDIT_BATCH_ENTRIES && batch->first_ms <= batch->last_ms &&
                   batch->last_ms < XT_AUDIT_MS_END
               ? XT_OK
               : XT_CORRUPT;
}

enum xt_status xt_audit_batch_open(const struct xt_audit_keys *keys, struct xt_audit_state *state,
                                   struct xt_span bytes, const struct xt_audit_batch *batch,
                                   uint8_t *plain, const char **what)
{
    uint8_t associated[ASSOCIATED], digest[XT_AUDIT_DIGEST];
    size_t covered = XT_AUDIT_BATCH_HEADER + (size_t)batch->sealed;
    xt_require(bytes.size == covered + XT_AUDIT_DIGEST);
    xt_audit_chain(state->digest, xt_span_of(bytes.data, covered), digest);
    if (memcmp(digest, bytes.data + covered, sizeof(digest)) != 0) {
        *what =
            "the chain of digests is broken here: this batch or what stood before it was changed";
        return XT_CORRUPT;
    }
    if (keys != NULL) {
        associate(bytes.data, state, associated);
        enum xt_status status =
            xt_unseal(keys->sealer, batch->number, xt_span_of(associated, sizeof(associated)),
                      xt_span_of(bytes.data + XT_AUDIT_BATCH_HEADER, batch->sealed), plain);
        if (status == XT_OK) {
            status =
                xt_audit_entries_check(xt_span_of(plain, batch->sealed - XT_SEAL_OVERHEAD), batch);
        }
        if (status != XT_OK) {
            *what = status == XT_UNSUPPORTED ? "an entry of a later version"
                                             : "this batch was not sealed by this deployment";
            return status;
        }
    }
    advance(state, batch, digest);
    return XT_OK;
}

enum xt_status xt_audit_entry_next(struct xt_span *rest, struct xt_audit_entry *entry)
{
    if (rest->size == 0) {
        return XT_NOT_FOUND;
    }
    struct xt_taker taker = xt_taker_over(*rest);
    size_t size = (size_t)xt_take(&taker, 2);
    struct xt_span bytes = xt_take_bytes(&taker, size);
    if (taker.bad || size == 0 || size > XT_AUDIT_ENTRY_MAX) {
        return XT_CORRUPT;
    }
    *rest = taker.rest;
    return xt_audit_entry_decode(bytes, entry);
}

enum xt_status xt_audit_entries_check(struct xt_span plain, const struct xt_audit_batch *batch)
{
    struct xt_audit_entry entry;
    uint64_t first = UINT64_MAX, last = 0;
    uint32_t count = 0;
    enum xt_status status;
    while ((status = xt_audit_entry_next(&plain, &entry)) == XT_OK) {
        first = entry.unix_ms < first ? entry.unix_ms : first;
        last = entry.unix_ms > last ? entry.unix_ms : last;
        count++;
    }
    if (status != XT_NOT_FOUND) {
        return status;
    }
    return count == batch->entries && first == batch->first_ms && last == batch->last_ms
               ? XT_OK
               : XT_CORRUPT;
}

/* ---- names ------------------------------------------------------------------------------------ */

void xt_audit_name(uint64_t start_ms, uint32_t worker, const uint8_t id[XT_AUDIT_ID],
                   char name[XT_AUDIT_NAME])
{
    char time[XT_TIMESTAMP];
    xt_timestamp_format(start_ms < XT_AUDIT_MS_END ? start_ms : 0, time);
    /* YYYY-MM-DDThh:mm:ss.mmmZ without its signs: names sort by time */
    snprintf(name, XT_AUDIT_NAME, "%.4s%.2s%.5s%.2s%.2sZ-w%u-%02x%02x%02x%02x.seg", time, time + 5,
             time + 8, time + 14, time + 17, worker % XT_AUDIT_WORKERS_MAX, id[0], id[1], id[2],
             id[3]);
}

bool xt_audit_is_name(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && name[0] != '.' && strcmp(name + size - 4, ".seg") == 0;
}
