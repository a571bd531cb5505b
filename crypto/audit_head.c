#include "core/little_endian.h"
#include "crypto/audit_key.h"

#define MAGIC "XTAUDHD1"
#define SIGNED (XT_AUDIT_HEAD_BYTES - XT_AUDIT_SIGNATURE)
#define LABEL "xt audit head 1"

_Static_assert(SIGNED == 8 + 8 + 8 + XT_AUDIT_DIGEST + 4, "magic, number, end, digest, key");

enum xt_status xt_audit_head_write(const char *path, const struct xt_audit_key *key,
                                   const struct xt_audit_head *head, struct xt_failure *failure)
{
    uint8_t bytes[XT_AUDIT_HEAD_BYTES];
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    xt_write_literal(&writer, MAGIC);
    xt_put(&writer, head->number, 8);
    xt_put(&writer, head->end, 8);
    xt_write(&writer, head->digest, sizeof(head->digest));
    xt_put(&writer, xt_audit_key_id(key), 4);
    xt_require(writer.size == SIGNED);
    xt_audit_sign(key, LABEL, xt_written(&writer), bytes + SIGNED);
    return xt_file_write(path, xt_span_of(bytes, sizeof(bytes)), 0600, true, failure);
}

enum xt_status xt_audit_head_parse(struct xt_span bytes, const struct xt_audit_public *keys,
                                   struct xt_audit_head *head)
{
    struct xt_taker taker = xt_taker_over(bytes);
    struct xt_span magic = xt_take_bytes(&taker, 8);
    struct xt_audit_head read;
    read.number = xt_take(&taker, 8);
    read.end = xt_take(&taker, 8);
    xt_take_copy(&taker, read.digest, sizeof(read.digest));
    uint32_t id = (uint32_t)xt_take(&taker, 4);
    read.key_id = id;
    struct xt_span signature = xt_take_bytes(&taker, XT_AUDIT_SIGNATURE);
    if (!xt_taken_all(&taker) || !xt_span_is(magic, MAGIC) ||
        xt_audit_check(keys, id, LABEL, xt_span_of(bytes.data, SIGNED), signature.data) != XT_OK) {
        return XT_CORRUPT;
    }
    *head = read;
    return XT_OK;
}

enum xt_status xt_audit_head_read(const char *path, const struct xt_audit_public *keys,
                                  struct xt_audit_head *head, struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read(path, 4096, &content, &size, failure);
    if (status == XT_TOO_LARGE || status == XT_INVALID) {
        return xt_fail(failure, XT_CORRUPT, "%s is damaged", path);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_audit_head_parse(xt_span_of(content, size), keys, head);
    xt_file_release(content, size);
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status,
                         "%s is damaged, or not signed by a key of this deployment", path);
}
