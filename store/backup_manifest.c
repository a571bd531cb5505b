#include "store/backup_manifest.h"

#include <stdio.h>
#include <stdlib.h>

#define TITLE "xacthuc backup\n"
#define LABEL "xt backup list 1"
#define KEY_LINE "key = "
#define SIGNATURE_LINE "signature = "
#define ID_DIGITS 8
#define LINE_MAX (4 + 1 + 20 + 1 + 2 * XT_DIGEST_BYTES + 1 + XT_BACKUP_PATH + 1)
#define SIGNATURE_SIZE (sizeof(SIGNATURE_LINE) - 1 + 2 * XT_AUDIT_SIGNATURE + 1)
#define TAIL_SIZE (sizeof(KEY_LINE) - 1 + ID_DIGITS + 1 + SIGNATURE_SIZE)
#define HEAD_MAX 512

void xt_backup_manifest_free(struct xt_backup_manifest *manifest)
{
    free(manifest->files);
    *manifest = (struct xt_backup_manifest){.files = NULL};
}

enum xt_status xt_backup_manifest_add(struct xt_backup_manifest *manifest,
                                      const struct xt_backup_file *file)
{
    if (manifest->count == manifest->room) {
        size_t room = manifest->room == 0 ? 64 : 2 * manifest->room;
        struct xt_backup_file *more = realloc(manifest->files, room * sizeof(*more));
        if (more == NULL) {
            return XT_NO_MEMORY;
        }
        manifest->files = more;
        manifest->room = room;
    }
    manifest->files[manifest->count++] = *file;
    return XT_OK;
}

static int by_path(const void *a, const void *b)
{
    const struct xt_backup_file *left = a, *right = b;
    return strcmp(left->path, right->path);
}

const struct xt_backup_file *xt_backup_manifest_find(const struct xt_backup_manifest *manifest,
                                                     const char *path)
{
    struct xt_backup_file wanted = {.size = 0};
    size_t size = strlen(path);
    if (manifest->count == 0 || size > XT_BACKUP_PATH) {
        return NULL;
    }
    memcpy(wanted.path, path, size + 1);
    return bsearch(&wanted, manifest->files, manifest->count, sizeof(wanted), by_path);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_hex(struct xt_writer *writer, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        xt_write_byte(writer, (uint8_t)digits[bytes[i] >> 4]);
        xt_write_byte(writer, (uint8_t)digits[bytes[i] & 15]);
    }
}

static void write_line(struct xt_writer *writer, const char *name, uint64_t value)
{
    char text[64];
    snprintf(text, sizeof(text), "%s = %llu\n", name, (unsigned long long)value);
    xt_write_string(writer, text);
}

static void write_body(struct xt_writer *writer, const struct xt_backup_manifest *manifest)
{
    xt_write_literal(writer, TITLE);
    write_line(writer, "version", XT_BACKUP_VERSION);
    write_line(writer, "made_unix_ms", manifest->made_unix_ms);
    write_line(writer, "generation", manifest->generation);
    write_line(writer, "sequence", manifest->sequence);
    write_line(writer, "checkpoint", manifest->checkpoint);
    write_line(writer, "files", manifest->count);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct xt_backup_file *file = &manifest->files[i];
        char text[32];
        snprintf(text, sizeof(text), "%04o %llu ", file->mode & 0777U,
                 (unsigned long long)file->size);
        xt_write_string(writer, text);
        write_hex(writer, file->digest, sizeof(file->digest));
        xt_write_byte(writer, ' ');
        xt_write_string(writer, file->path);
        xt_write_byte(writer, '\n');
    }
}

static void digest_of(struct xt_span covered, uint8_t digest[XT_DIGEST_BYTES])
{
    struct xt_digest *running = xt_digest_start();
    xt_digest_add(running, covered);
    xt_digest_finish(running, digest);
}

enum xt_status xt_backup_manifest_write(const char *out, struct xt_backup_manifest *manifest,
                                        const struct xt_audit_key *key, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    char id[16];
    uint8_t digest[XT_DIGEST_BYTES];
    uint8_t signature[XT_AUDIT_SIGNATURE];
    size_t room = HEAD_MAX + manifest->count * LINE_MAX + TAIL_SIZE;
    if (xt_path_join(path, out, XT_BACKUP_MANIFEST) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the backup is too long");
    }
    if (manifest->count > 1) {
        qsort(manifest->files, manifest->count, sizeof(manifest->files[0]), by_path);
    }
    uint8_t *text = malloc(room);
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot write %s: out of memory", path);
    }
    struct xt_writer writer = xt_writer_over(text, room);
    write_body(&writer, manifest);
    snprintf(id, sizeof(id), "%08x\n", (unsigned)xt_audit_key_id(key));
    xt_write_literal(&writer, KEY_LINE);
    xt_write_string(&writer, id);
    digest_of(xt_written(&writer), digest);
    xt_audit_sign(key, LABEL, xt_span_of(digest, sizeof(digest)), signature);
    xt_write_literal(&writer, SIGNATURE_LINE);
    write_hex(&writer, signature, sizeof(signature));
    xt_write_byte(&writer, '\n');
    xt_require(!writer.overflow);
    enum xt_status status =
        writer.size > XT_BACKUP_MANIFEST_MAX
            ? xt_fail(failure, XT_TOO_LARGE, "the deployment has too many files for a backup")
            : xt_file_write(path, xt_written(&writer), 0400, false, failure);
    free(text);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static bool take(struct xt_span *text, const char *expected)
{
    size_t size = strlen(expected);
    if (text->size < size || memcmp(text->data, expected, size) != 0) {
        return false;
    }
    *text = xt_span_of(text->data + size, text->size - size);
    return true;
}

static bool take_hex(struct xt_span *text, uint8_t *bytes, size_t size)
{
    if (text->size < 2 * size) {
        return false;
    }
    for (size_t i = 0; i < 2 * size; i++) {
        uint8_t c = text->data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) {
            return false;
        }
        bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    *text = xt_span_of(text->data + 2 * size, text->size - 2 * size);
    return true;
}

/* base 8 or 10; up to `end`, which is taken as well. */
static bool take_number(struct xt_span *text, unsigned base, char end, uint64_t *value)
{
    size_t at = 0;
    *value = 0;
    for (; at < text->size && text->data[at] != (uint8_t)end; at++) {
        unsigned digit = (unsigned)text->data[at] - '0';
        if (digit >= base || *value > (UINT64_MAX - digit) / base) {
            return false;
        }
        *value = *value * base + digit;
    }
    if (at == 0 || at == text->size) {
        return false;
    }
    *text = xt_span_of(text->data + at + 1, text->size - at - 1);
    return true;
}

static bool take_line(struct xt_span *text, const char *name, uint64_t *value)
{
    return take(text, name) && take(text, " = ") && take_number(text, 10, '\n', value);
}

static bool take_file(struct xt_span *text, struct xt_backup_file *file)
{
    uint64_t mode = 0;
    if (!take_number(text, 8, ' ', &mode) || mode > 0777 ||
        !take_number(text, 10, ' ', &file->size) || file->size > INT64_MAX ||
        !take_hex(text, file->digest, sizeof(file->digest)) || !take(text, " ")) {
        return false;
    }
    const uint8_t *end = memchr(text->data, '\n', text->size);
    struct xt_span path = xt_span_of(text->data, end == NULL ? 0 : (size_t)(end - text->data));
    if (!xt_key_bundle_name_is_valid(path)) {
        return false;
    }
    memcpy(file->path, path.data, path.size);
    file->path[path.size] = 0;
    file->mode = (uint32_t)mode;
    *text = xt_span_of(text->data + path.size + 1, text->size - path.size - 1);
    return true;
}

static enum xt_status take_all(struct xt_span text, struct xt_backup_manifest *manifest)
{
    uint64_t version = 0, count = 0;
    if (!take(&text, TITLE) || !take_line(&text, "version", &version)) {
        return XT_CORRUPT;
    }
    if (version != XT_BACKUP_VERSION) {
        return XT_UNSUPPORTED;
    }
    bool right = take_line(&text, "made_unix_ms", &manifest->made_unix_ms) &&
                 take_line(&text, "generation", &manifest->generation) &&
                 take_line(&text, "sequence", &manifest->sequence) &&
                 take_line(&text, "checkpoint", &manifest->checkpoint) &&
                 take_line(&text, "files", &count) && manifest->generation <= UINT32_MAX;
    for (uint64_t i = 0; right && i < count; i++) {
        struct xt_backup_file file;
        right = take_file(&text, &file) && (i == 0 || by_path(&manifest->files[i - 1], &file) < 0);
        if (right && xt_backup_manifest_add(manifest, &file) != XT_OK) {
            return XT_NO_MEMORY;
        }
    }
    return right && text.size == 0 ? XT_OK : XT_CORRUPT;
}

/* The lines at the end, in a fixed length. *body: what comes before them. */
static enum xt_status check_signature(struct xt_span text, const struct xt_audit_public *keys,
                                      struct xt_span *body)
{
    uint8_t id[ID_DIGITS / 2];
    uint8_t signature[XT_AUDIT_SIGNATURE];
    uint8_t digest[XT_DIGEST_BYTES];
    if (text.size < TAIL_SIZE) {
        return XT_CORRUPT;
    }
    *body = xt_span_of(text.data, text.size - TAIL_SIZE);
    struct xt_span tail = xt_span_of(text.data + body->size, TAIL_SIZE);
    if (!take(&tail, KEY_LINE) || !take_hex(&tail, id, sizeof(id)) || !take(&tail, "\n") ||
        !take(&tail, SIGNATURE_LINE) || !take_hex(&tail, signature, sizeof(signature)) ||
        !take(&tail, "\n")) {
        return XT_CORRUPT;
    }
    uint32_t key = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    digest_of(xt_span_of(text.data, text.size - SIGNATURE_SIZE), digest);
    return xt_audit_check(keys, key, LABEL, xt_span_of(digest, sizeof(digest)), signature);
}

enum xt_status xt_backup_manifest_read(const char *out, const struct xt_audit_public *keys,
                                       struct xt_backup_manifest *manifest,
                                       struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *text = NULL;
    size_t size = 0;
    struct xt_span body;
    *manifest = (struct xt_backup_manifest){.files = NULL};
    if (xt_path_join(path, out, XT_BACKUP_MANIFEST) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the backup is too long");
    }
    enum xt_status status = xt_file_read(path, XT_BACKUP_MANIFEST_MAX, &text, &size, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND
                   ? xt_fail(failure, status, "%s is no backup: it has no manifest", out)
                   : status;
    }
    status = check_signature(xt_span_of(text, size), keys, &body);
    if (status == XT_NOT_FOUND) {
        status = xt_fail(failure, XT_DENIED,
                         "%s is signed by an audit key that is not known here: give the keys of "
                         "this deployment, as they were when it was made or later",
                         path);
    } else if (status == XT_OK && (status = take_all(body, manifest)) == XT_UNSUPPORTED) {
        status =
            xt_fail(failure, status, "%s is of a version that this program does not know", path);
    } else if (status != XT_OK) {
        status = xt_fail(failure, status, "%s is damaged, or was changed: take another copy", path);
    }
    xt_file_release(text, size);
    if (status != XT_OK) {
        xt_backup_manifest_free(manifest);
    }
    return status;
}
