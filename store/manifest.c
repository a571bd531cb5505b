#include "store/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/file.h"

#define TITLE "xacthuc sealed generation\n"
#define MAC_LINE "mac = "
#define PAGES_LINE "structure.pages ="

/* The lines between the title and the list of structure pages. */
struct line {
    const char *name;
    enum { NUMBER32, NUMBER64, BYTES32 } kind;
    bool of_structure; /* a member of struct xt_structure, else of struct xt_manifest */
    size_t offset;
    uint32_t since; /* the version that brought it */
};

#define MANIFEST(name, kind, member)                                                               \
    {                                                                                              \
        name, kind, false, offsetof(struct xt_manifest, member), 0                                 \
    }
#define MANIFEST_SINCE(version, name, kind, member)                                                \
    {                                                                                              \
        name, kind, false, offsetof(struct xt_manifest, member), version                           \
    }
#define STRUCTURE(name, kind, member)                                                              \
    {                                                                                              \
        name, kind, true, offsetof(struct xt_structure, member), 0                                 \
    }
#define TABLE(name, index)                                                                         \
    MANIFEST(name ".records", NUMBER64, tables[index].records),                                    \
        MANIFEST(name ".pages", NUMBER64, tables[index].pages),                                    \
        MANIFEST(name ".disk_bytes", NUMBER64, tables[index].disk_bytes)

static const struct line lines[] = {
    MANIFEST("version", NUMBER32, version),
    MANIFEST("number", NUMBER32, number),
    MANIFEST("key_id", NUMBER32, key_id),
    MANIFEST("salt", BYTES32, salt),
    MANIFEST("made_unix_ms", NUMBER64, made_unix_ms),
    MANIFEST("people", NUMBER64, people),
    MANIFEST("replaced", NUMBER64, replaced),
    MANIFEST("aliases", NUMBER64, aliases),
    MANIFEST("phones", NUMBER64, phones),
    MANIFEST_SINCE(3, "folded", NUMBER64, folded),
    MANIFEST_SINCE(3, "folded.base", NUMBER32, folded_base),
    MANIFEST_SINCE(3, "folded.live", BYTES32, folded_live),
    TABLE("hot", XT_TABLE_HOT),
    TABLE("cold", XT_TABLE_COLD),
    TABLE("alias", XT_TABLE_ALIAS),
    TABLE("phone", XT_TABLE_PHONE),
    MANIFEST("file_bytes", NUMBER64, file_bytes),
    MANIFEST("digest", BYTES32, digest),
    STRUCTURE("structure.page_bytes", NUMBER32, page_bytes),
    STRUCTURE("structure.digest", BYTES32, digest),
    STRUCTURE("structure.count", NUMBER32, count),
};
#define LINE_COUNT (sizeof(lines) / sizeof(lines[0]))

static void write_number(struct xt_writer *writer, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    xt_write_string(writer, text);
}

static void write_hex(struct xt_writer *writer, const uint8_t bytes[32])
{
    for (unsigned i = 0; i < 32; i++) {
        char text[3];
        snprintf(text, sizeof(text), "%02x", bytes[i]);
        xt_write(writer, text, 2);
    }
}

static const uint8_t *member_of(const struct line *line, const struct xt_manifest *manifest,
                                const struct xt_structure *structure)
{
    return (line->of_structure ? (const uint8_t *)structure : (const uint8_t *)manifest) +
           line->offset;
}

static void write_text(struct xt_writer *writer, const struct xt_manifest *manifest,
                       const struct xt_structure *structure)
{
    xt_write_literal(writer, TITLE);
    for (size_t i = 0; i < LINE_COUNT; i++) {
        const uint8_t *member = member_of(&lines[i], manifest, structure);
        if (manifest->version < lines[i].since) {
            continue;
        }
        xt_write_string(writer, lines[i].name);
        xt_write_literal(writer, " = ");
        if (lines[i].kind == BYTES32) {
            write_hex(writer, member);
        } else {
            uint64_t value = 0;
            memcpy(&value, member, lines[i].kind == NUMBER32 ? 4 : 8);
            write_number(writer, value);
        }
        xt_write_byte(writer, '\n');
    }
    xt_write_literal(writer, PAGES_LINE);
    for (uint32_t i = 0; i < structure->count; i++) {
        xt_write_byte(writer, ' ');
        write_number(writer, structure->pages[i]);
    }
    xt_write_byte(writer, '\n');
}

static enum xt_status make_mac(const struct xt_manifest *manifest, const struct xt_keyring *keyring,
                               struct xt_span text, uint8_t mac[XT_DIGEST_BYTES],
                               struct xt_failure *failure)
{
    uint8_t key[XT_KEY_BYTES];
    enum xt_status status = xt_keyring_derive(keyring, manifest->key_id, XT_USE_GENERATION_MANIFEST,
                                              0, manifest->salt, key);
    if (status != XT_OK) {
        return xt_fail(failure, XT_DENIED,
                       "generation %06u was sealed under master key %08x, which keys/master.keys "
                       "does not hold: restore the key file that does",
                       manifest->number, manifest->key_id);
    }
    xt_mac(key, text, mac);
    xt_wipe(key, sizeof(key));
    return XT_OK;
}

enum xt_status xt_manifest_write(const char *folder, const struct xt_manifest *manifest,
                                 const struct xt_structure *structure,
                                 const struct xt_keyring *keyring, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t mac[XT_DIGEST_BYTES];
    if (xt_path_join(path, folder, XT_MANIFEST_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    uint8_t *text = malloc(XT_MANIFEST_MAX);
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot write %s: out of memory", path);
    }
    struct xt_writer writer = xt_writer_over(text, XT_MANIFEST_MAX);
    write_text(&writer, manifest, structure);
    enum xt_status status = make_mac(manifest, keyring, xt_written(&writer), mac, failure);
    if (status == XT_OK) {
        xt_write_literal(&writer, MAC_LINE);
        write_hex(&writer, mac);
        xt_write_byte(&writer, '\n');
        status = writer.overflow ? xt_fail(failure, XT_TOO_LARGE, "%s would be too large", path)
                                 : xt_file_write(path, xt_written(&writer), 0400, false, failure);
    }
    free(text);
    return status;
}

/* ---- reading: each step takes what it expects from the front, or fails ---------------------- */

static bool take(struct xt_span *text, const char *expected)
{
    size_t size = strlen(expected);
    if (text->size < size || memcmp(text->data, expected, size) != 0) {
        return false;
    }
    *text = xt_span_of(text->data + size, text->size - size);
    return true;
}

static bool take_number(struct xt_span *text, uint64_t max, uint64_t *value)
{
    size_t digits = 0;
    *value = 0;
    for (; digits < text->size && digits < 20; digits++) {
        unsigned digit = (unsigned)text->data[digits] - '0';
        if (digit > 9) {
            break;
        }
        if (*value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    *text = xt_span_of(text->data + digits, text->size - digits);
    return digits > 0 && *value <= max;
}

static bool take_hex(struct xt_span *text, uint8_t bytes[32])
{
    if (text->size < 64) {
        return false;
    }
    for (unsigned i = 0; i < 64; i++) {
        uint8_t byte = text->data[i];
        unsigned digit = byte >= '0' && byte <= '9'   ? byte - (unsigned)'0'
                         : byte >= 'a' && byte <= 'f' ? byte - (unsigned)'a' + 10
                                                      : 16;
        if (digit > 15) {
            return false;
        }
        bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    *text = xt_span_of(text->data + 64, text->size - 64);
    return true;
}

static bool take_line(struct xt_span *text, const struct line *line, struct xt_manifest *manifest,
                      struct xt_structure *structure)
{
    uint8_t *member =
        (line->of_structure ? (uint8_t *)structure : (uint8_t *)manifest) + line->offset;
    if (!take(text, line->name) || !take(text, " = ")) {
        return false;
    }
    if (line->kind == BYTES32) {
        return take_hex(text, member) && take(text, "\n");
    }
    uint64_t value;
    if (!take_number(text, line->kind == NUMBER32 ? UINT32_MAX : UINT64_MAX, &value)) {
        return false;
    }
    memcpy(member, &value, line->kind == NUMBER32 ? 4 : 8);
    return take(text, "\n");
}

static bool take_pages(struct xt_span *text, struct xt_structure *structure)
{
    if (!take(text, PAGES_LINE) || structure->count > text->size / 2) {
        return false;
    }
    structure->pages = malloc((size_t)structure->count * sizeof(*structure->pages) + 1);
    for (uint32_t i = 0; structure->pages != NULL && i < structure->count; i++) {
        uint64_t value;
        if (!take(text, " ") || !take_number(text, UINT32_MAX, &value)) {
            return false;
        }
        structure->pages[i] = (uint32_t)value;
    }
    return structure->pages != NULL && take(text, "\n");
}

/* Whether the numbers can be worked with; whoever has the key wrote them, but maybe another build. */
static bool is_sound(const struct xt_manifest *manifest, const struct xt_structure *structure)
{
    bool sound =
        structure->page_bytes >= 512 && structure->page_bytes <= 65536 && manifest->number > 0;
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        sound = sound && manifest->tables[i].pages > 0 && manifest->tables[i].pages < UINT32_MAX;
    }
    return sound;
}

static bool is_known(uint32_t version)
{
    return version >= XT_MANIFEST_VERSION_LEAST && version <= XT_MANIFEST_VERSION;
}

enum xt_status xt_manifest_read(const char *folder, const struct xt_keyring *keyring,
                                struct xt_manifest *manifest, struct xt_structure *structure,
                                struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    uint8_t mac[XT_DIGEST_BYTES];
    uint8_t expected[XT_DIGEST_BYTES];
    if (xt_path_join(path, folder, XT_MANIFEST_NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_file_read(path, XT_MANIFEST_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    *manifest = (struct xt_manifest){.version = 0};
    *structure = (struct xt_structure){.pages = NULL};
    struct xt_span text = xt_span_of(content, size);
    bool well_formed = take(&text, TITLE);
    for (size_t i = 0; i < LINE_COUNT && well_formed; i++) {
        if (i > 0 && manifest->version < lines[i].since) {
            continue;
        }
        well_formed = take_line(&text, &lines[i], manifest, structure);
        if (well_formed && i == 0 && !is_known(manifest->version)) {
            status = xt_fail(failure, XT_UNSUPPORTED,
                             "%s is of version %u, which this build does not know: import again",
                             path, manifest->version);
            goto done;
        }
    }
    well_formed = well_formed && take_pages(&text, structure);
    struct xt_span covered = xt_span_of(content, size - text.size);
    if (!well_formed || !take(&text, MAC_LINE) || !take_hex(&text, mac) || !take(&text, "\n") ||
        text.size != 0) {
        status = xt_fail(failure, XT_CORRUPT, "%s is damaged: restore it, or import again", path);
        goto done;
    }
    status = make_mac(manifest, keyring, covered, expected, failure);
    if (status == XT_OK &&
        (!xt_secret_equal(mac, expected, sizeof(mac)) || !is_sound(manifest, structure))) {
        status = xt_fail(failure, XT_CORRUPT,
                         "%s was changed after it was sealed: restore it, or import again", path);
    }

done:
    if (status != XT_OK) {
        xt_structure_free(structure);
    }
    xt_file_release(content, size);
    return status;
}
