#include "store/statistics_file.h"

#include "crypto/file.h"
#include "crypto/seal.h"
#include "store/identity.h"
#include "store/sort.h"

#define MAGIC "xt-stat1"
#define MAGIC_SIZE 8
#define FILE_MAX ((size_t)1 << 31) /* bytes */
#define VARINT_MAX 10              /* bytes */

/* ---- one way of writing ----------------------------------------------------------------------- */

static void put_varint(struct xt_writer *writer, uint64_t value)
{
    for (; value > 127; value >>= 7) {
        xt_write_byte(writer, (uint8_t)(value | 128));
    }
    xt_write_byte(writer, (uint8_t)value);
}

static bool take_varint(struct xt_span *rest, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < rest->size && i < VARINT_MAX; i++) {
        *value |= (uint64_t)(rest->data[i] & 127) << (7 * i);
        if (rest->data[i] < 128) {
            *rest = xt_span_of(rest->data + i + 1, rest->size - i - 1);
            return i < VARINT_MAX - 1;
        }
    }
    return false;
}

struct line { /* as store/sort wants it: ordered by the first three */
    uint64_t key, none[2], people;
};

/* The lines that hold anybody, in order; into memory of the caller. */
static enum xt_status sort_lines(const struct xt_tally *tally, struct xt_memory *memory,
                                 size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < tally->places; i++) {
        const struct xt_tally_line *line = xt_tally_at(tally, i);
        uint8_t *place = NULL;
        if (line == NULL) {
            continue;
        }
        xt_require(line->people > 0);
        enum xt_status status = xt_memory_extend(memory, sizeof(struct line), &place);
        if (status != XT_OK) {
            return status;
        }
        struct line told = {.key = line->key_and_one - 1, .people = (uint64_t)line->people};
        memcpy(place, &told, sizeof(told));
        (*count)++;
    }
    if (*count > 0) {
        xt_sort_entries(memory->data, *count, sizeof(struct line));
    }
    return XT_OK;
}

static enum xt_status encode(const struct xt_tally *tally, struct xt_memory *plain)
{
    struct xt_memory sorted = {.data = NULL};
    size_t count = 0;
    uint8_t *place = NULL;
    enum xt_status status = sort_lines(tally, &sorted, &count);
    if (status == XT_OK) {
        status = xt_memory_extend(plain, (count * 2 + 1) * VARINT_MAX, &place);
    }
    if (status == XT_OK) {
        struct xt_writer writer = xt_writer_over(place, plain->size);
        const struct line *lines = (const struct line *)(const void *)sorted.data;
        uint64_t before = 0;
        for (size_t i = 0; i < count; i++) {
            put_varint(&writer, lines[i].key - before);
            put_varint(&writer, lines[i].people);
            before = lines[i].key;
        }
        xt_require(!writer.overflow);
        plain->size = writer.size;
    }
    xt_memory_free(&sorted);
    return status;
}

static enum xt_status decode(struct xt_span plain, struct xt_tally *tally)
{
    uint64_t key = 0;
    bool first = true;
    while (plain.size > 0) {
        uint64_t step = 0;
        uint64_t people = 0;
        if (!take_varint(&plain, &step) || !take_varint(&plain, &people) || people == 0 ||
            people > UINT32_MAX || step > UINT64_MAX - key || (step == 0 && !first) ||
            !xt_statistics_key_is_valid(key + step)) {
            return XT_CORRUPT;
        }
        key += step;
        first = false;
        enum xt_status status = xt_tally_add(tally, key, (int64_t)people);
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

/* ---- the file --------------------------------------------------------------------------------- */

static enum xt_status open_sealer(const struct xt_manifest *manifest,
                                  const struct xt_keyring *keyring, struct xt_sealer **sealer)
{
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status = xt_keyring_derive(keyring, manifest->key_id, XT_USE_GENERATION_SEAL,
                                              XT_STATISTICS_TABLE, manifest->salt, key);
    if (status == XT_OK) {
        status = xt_sealer_open(key, sealer);
    }
    xt_wipe(key, sizeof(key));
    return status == XT_NOT_FOUND ? XT_DENIED : status;
}

static struct xt_span digest_of(const struct xt_manifest *manifest)
{
    return xt_span_of(manifest->digest, sizeof(manifest->digest));
}

enum xt_status xt_statistics_file_write(const char *folder, const struct xt_manifest *manifest,
                                        const struct xt_keyring *keyring,
                                        const struct xt_tally *tally, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_memory plain = {.data = NULL};
    struct xt_memory file = {.data = NULL};
    struct xt_sealer *sealer = NULL;
    uint8_t *place = NULL;
    if (xt_path_join(path, folder, XT_STATISTICS_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = encode(tally, &plain);
    if (status == XT_OK) {
        status = open_sealer(manifest, keyring, &sealer);
    }
    if (status == XT_OK) {
        status = xt_memory_extend(&file, MAGIC_SIZE + plain.size + XT_SEAL_OVERHEAD, &place);
    }
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "cannot write %s: %s", path, xt_status_name(status));
    } else {
        memcpy(place, MAGIC, MAGIC_SIZE);
        xt_seal(sealer, 0, digest_of(manifest), xt_span_of(plain.data, plain.size),
                place + MAGIC_SIZE);
        status = xt_file_write(path, xt_span_of(file.data, file.size), 0400, false, failure);
    }
    xt_sealer_close(sealer);
    xt_memory_free(&file);
    xt_memory_free(&plain);
    return status;
}

static enum xt_status open_content(const struct xt_manifest *manifest,
                                   const struct xt_keyring *keyring, struct xt_span content,
                                   struct xt_tally *tally)
{
    struct xt_memory plain = {.data = NULL};
    struct xt_sealer *sealer = NULL;
    uint8_t *place = NULL;
    if (content.size < MAGIC_SIZE + XT_SEAL_OVERHEAD ||
        memcmp(content.data, MAGIC, MAGIC_SIZE) != 0) {
        return XT_CORRUPT;
    }
    size_t size = content.size - MAGIC_SIZE - XT_SEAL_OVERHEAD;
    enum xt_status status = xt_memory_extend(&plain, size + 1, &place);
    if (status == XT_OK) {
        status = open_sealer(manifest, keyring, &sealer);
    }
    if (status == XT_OK) {
        status = xt_unseal(sealer, 0, digest_of(manifest),
                           xt_span_of(content.data + MAGIC_SIZE, content.size - MAGIC_SIZE), place);
    }
    if (status == XT_OK) {
        status = decode(xt_span_of(place, size), tally);
    }
    xt_sealer_close(sealer);
    xt_memory_free(&plain);
    return status;
}

enum xt_status xt_statistics_file_read(const char *folder, const struct xt_manifest *manifest,
                                       const struct xt_keyring *keyring, struct xt_tally *tally,
                                       struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    if (xt_path_join(path, folder, XT_STATISTICS_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_file_read(path, FILE_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    status = open_content(manifest, keyring, xt_span_of(content, size), tally);
    xt_file_release(content, size);
    if (status != XT_OK) {
        xt_tally_free(tally);
        return xt_fail(failure, status, "%s cannot be read: %s; restore it, or import again", path,
                       xt_status_name(status));
    }
    return XT_OK;
}

enum xt_status xt_generation_statistics(const char *dir, const struct xt_manifest *manifest,
                                        const struct xt_keyring *keyring, struct xt_tally *tally,
                                        struct xt_failure *failure)
{
    char name[XT_GENERATION_NAME];
    char folder[XT_PATH_MAX];
    xt_identity_name(manifest->number, name);
    enum xt_status status = xt_identity_path(dir, name, folder, failure);
    return status == XT_OK ? xt_statistics_file_read(folder, manifest, keyring, tally, failure)
                           : status;
}
