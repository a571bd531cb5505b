/* What reads the files of the audit log. The first byte says which parser the rest is for. */
#include <unistd.h>

#include "crypto/keyring.h"
#include "store/audit_checkpoint.h"
#include "tests/fuzz/fuzz.h"

enum { HEADER, BATCH, ENTRIES, CHECKPOINT, HEAD, ENTRY, KINDS };

static void try_header(struct xt_span bytes)
{
    struct xt_audit_header header;
    if (xt_audit_header_parse(bytes, &header) == XT_OK) {
        char name[XT_AUDIT_NAME];
        xt_audit_name(header.unix_ms, header.worker, header.id, name);
        xt_require(xt_audit_is_name(name));
    }
}

/* The chain alone: to pass the seal takes its key. */
static void try_batches(struct xt_span bytes)
{
    static uint8_t plain[XT_AUDIT_BATCH_PLAIN];
    struct xt_audit_state state = {.bytes = 0};
    struct xt_audit_batch batch;
    const char *what;
    while (xt_audit_batch_parse(bytes, state.batches, &batch) == XT_OK &&
           xt_audit_batch_size(&batch) <= bytes.size) {
        size_t size = xt_audit_batch_size(&batch);
        if (xt_audit_batch_open(NULL, &state, xt_span_of(bytes.data, size), &batch, plain, &what) !=
            XT_OK) {
            return;
        }
        bytes = xt_span_of(bytes.data + size, bytes.size - size);
    }
}

/* What decodes is what would be written. */
static bool try_entry(struct xt_span bytes)
{
    struct xt_audit_entry entry;
    uint8_t again[XT_AUDIT_ENTRY_MAX], json[XT_AUDIT_ENTRY_JSON_MAX];
    if (xt_audit_entry_decode(bytes, &entry) != XT_OK) {
        return false;
    }
    struct xt_writer writer = xt_writer_over(again, sizeof(again));
    xt_require(xt_audit_entry_encode(&entry, &writer) == XT_OK);
    xt_require(xt_span_equal(xt_written(&writer), bytes));
    writer = xt_writer_over(json, sizeof(json));
    xt_audit_entry_to_json(&entry, &writer);
    xt_require(!writer.overflow);
    return true;
}

static void try_entries(struct xt_span bytes)
{
    struct xt_audit_batch batch = {.entries = 1, .first_ms = 1, .last_ms = 1};
    struct xt_audit_entry entry;
    (void)!xt_audit_entries_check(bytes, &batch);
    for (;;) {
        struct xt_span before = bytes;
        if (xt_audit_entry_next(&bytes, &entry) != XT_OK) {
            return;
        }
        xt_require(try_entry(xt_span_of(before.data + 2, before.size - bytes.size - 2)));
    }
}

static void try_checkpoints(struct xt_span bytes)
{
    struct xt_audit_known known = {.rows = NULL};
    struct xt_audit_checkpoint checkpoint;
    while (xt_audit_checkpoint_parse(bytes, &checkpoint) == XT_OK) {
        struct xt_audit_row row;
        xt_require(checkpoint.bytes.size <= bytes.size);
        for (uint32_t i = 0; i < checkpoint.rows; i++) {
            if (xt_audit_checkpoint_row(&checkpoint, i, &row) == XT_OK) {
                (void)!xt_audit_known_apply(&known, &row);
            }
        }
        bytes = xt_span_of(bytes.data + checkpoint.bytes.size, bytes.size - checkpoint.bytes.size);
    }
    xt_audit_known_free(&known);
}

/* No signature of a fuzzer's passes; what stands before it is read all the same. */
static void try_head(struct xt_span bytes)
{
    static struct xt_audit_public *keys;
    struct xt_audit_head head;
    if (keys == NULL) {
        static const char line[] =
            "00000001 "
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n";
        char path[] = "/tmp/xt-fuzz-XXXXXX";
        int fd = mkstemp(path);
        xt_require(fd >= 0 && write(fd, line, sizeof(line) - 1) == sizeof(line) - 1);
        close(fd);
        xt_require(xt_audit_public_open(path, &keys, NULL) == XT_OK);
        unlink(path);
    }
    (void)!xt_audit_head_parse(bytes, keys, &head);
}

void fuzz_one(uint8_t *data, size_t size)
{
    static bool started;
    if (!started) {
        xt_crypto_start();
        started = true;
    }
    if (size == 0) {
        return;
    }
    struct xt_span bytes = xt_span_of(data + 1, size - 1);
    switch (data[0] % KINDS) {
    case HEADER:
        try_header(bytes);
        break;
    case BATCH:
        try_batches(bytes);
        break;
    case ENTRIES:
        try_entries(bytes);
        break;
    case CHECKPOINT:
        try_checkpoints(bytes);
        break;
    case HEAD:
        try_head(bytes);
        break;
    default:
        (void)try_entry(bytes);
        break;
    }
}
