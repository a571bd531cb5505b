#include "crypto/key_bundle.h"

#include <sodium.h>
#include <stdlib.h>

#include "core/little_endian.h"
#include "crypto/keyring.h"

#define MAGIC "xt-keys\n"
#define MAGIC_SIZE 8
#define SALT crypto_pwhash_argon2id_SALTBYTES
#define STREAM crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define STREAM_KEY crypto_secretstream_xchacha20poly1305_KEYBYTES
#define OVERHEAD crypto_secretstream_xchacha20poly1305_ABYTES
#define CHECK 32
#define CHECKED (MAGIC_SIZE + 4 + 4 + 4 + SALT + STREAM)
#define FIXED (CHECKED + CHECK)
#define ENTRY_HEAD 6U /* name length 2 | content length 4, in memory */
#define NAME_LENGTH 2U

/* Whoever gives us a file may ask for work, but not for all that this machine has. */
#define PASSES_MAX 16U
#define MEMORY_MAX_KIB (1U << 20)

_Static_assert(SALT == 16 && STREAM == 24, "as drawn");

struct xt_key_bundle {
    size_t size;
    uint8_t entries[XT_KEY_BUNDLE_MAX]; /* head | name | content, one after another */
};

struct keys {
    uint8_t stream[STREAM_KEY];
    uint8_t check[crypto_generichash_KEYBYTES];
};

enum xt_status xt_key_bundle_new(struct xt_key_bundle **bundle)
{
    struct xt_key_bundle *made = xt_secret_alloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->size = 0;
    *bundle = made;
    return XT_OK;
}

void xt_key_bundle_close(struct xt_key_bundle *bundle)
{
    xt_secret_free(bundle);
}

/* ---- entries ---------------------------------------------------------------------------------- */

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool xt_key_bundle_name_is_valid(struct xt_span name)
{
    bool begins = true; /* a part does */
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        if (c == '/' ? begins : !is_name_byte(c) || (begins && c == '.')) {
            return false;
        }
        begins = c == '/';
    }
    return name.size > 0 && name.size <= XT_KEY_BUNDLE_NAME_MAX && !begins;
}

static enum xt_status add(struct xt_key_bundle *bundle, struct xt_span name, struct xt_span content)
{
    if (!xt_key_bundle_name_is_valid(name)) {
        return XT_INVALID;
    }
    struct xt_writer writer =
        xt_writer_over(bundle->entries + bundle->size, sizeof(bundle->entries) - bundle->size);
    xt_put(&writer, name.size, 2);
    xt_put(&writer, content.size, 4);
    xt_write_span(&writer, name);
    xt_write_span(&writer, content);
    if (writer.overflow) {
        return XT_TOO_LARGE;
    }
    bundle->size += writer.size;
    return XT_OK;
}

enum xt_status xt_key_bundle_add(struct xt_key_bundle *bundle, const char *name,
                                 struct xt_span content)
{
    return add(bundle, xt_span_of_string(name), content);
}

bool xt_key_bundle_next(const struct xt_key_bundle *bundle, size_t *place, struct xt_span *name,
                        struct xt_span *content)
{
    if (*place >= bundle->size) {
        return false;
    }
    struct xt_taker taker =
        xt_taker_over(xt_span_of(bundle->entries + *place, bundle->size - *place));
    size_t name_size = (size_t)xt_take(&taker, 2);
    size_t content_size = (size_t)xt_take(&taker, 4);
    *name = xt_take_bytes(&taker, name_size);
    *content = xt_take_bytes(&taker, content_size);
    xt_require(!taker.bad);
    *place += ENTRY_HEAD + name_size + content_size;
    return true;
}

bool xt_key_bundle_find(const struct xt_key_bundle *bundle, const char *name,
                        struct xt_span *content)
{
    size_t place = 0;
    for (struct xt_span here; xt_key_bundle_next(bundle, &place, &here, content);) {
        if (xt_span_is(here, name)) {
            return true;
        }
    }
    return false;
}

/* ---- keys ------------------------------------------------------------------------------------- */

static enum xt_status derive(struct xt_span passphrase, uint64_t passes, uint64_t memory_kib,
                             const uint8_t salt[SALT], struct keys **keys)
{
    struct keys *made = xt_secret_alloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    if (crypto_pwhash_argon2id((unsigned char *)made, sizeof(*made), (const char *)passphrase.data,
                               passphrase.size, salt, passes, (size_t)memory_kib * 1024,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
        xt_secret_free(made);
        return XT_NO_MEMORY;
    }
    *keys = made;
    return XT_OK;
}

static void make_check(const struct keys *keys, const uint8_t *head, uint8_t check[CHECK])
{
    int result = crypto_generichash(check, CHECK, head, CHECKED, keys->check, sizeof(keys->check));
    xt_require(result == 0);
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* plain: room for the longest message. */
static void seal_message(crypto_secretstream_xchacha20poly1305_state *stream, struct xt_span plain,
                         uint8_t tag, struct xt_writer *writer)
{
    xt_put(writer, plain.size + OVERHEAD, 4);
    uint8_t *sealed = xt_write_reserve(writer, plain.size + OVERHEAD);
    xt_require(sealed != NULL);
    int result = crypto_secretstream_xchacha20poly1305_push(stream, sealed, NULL, plain.data,
                                                            plain.size, NULL, 0, tag);
    xt_require(result == 0);
}

static void seal_entries(const struct xt_key_bundle *bundle,
                         crypto_secretstream_xchacha20poly1305_state *stream, uint8_t *plain,
                         struct xt_writer *writer)
{
    size_t place = 0;
    for (struct xt_span name, content; xt_key_bundle_next(bundle, &place, &name, &content);) {
        struct xt_writer message = xt_writer_over(plain, XT_KEY_BUNDLE_MAX);
        xt_put(&message, name.size, NAME_LENGTH);
        xt_write_span(&message, name);
        xt_write_span(&message, content);
        xt_require(!message.overflow);
        seal_message(stream, xt_written(&message),
                     crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, writer);
    }
    seal_message(stream, xt_span_of(plain, 0), crypto_secretstream_xchacha20poly1305_TAG_FINAL,
                 writer);
}

static void seal_all(const struct xt_key_bundle *bundle, const struct keys *keys,
                     const uint8_t salt[SALT], uint8_t *plain, struct xt_writer *writer)
{
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t header[STREAM];
    int result = crypto_secretstream_xchacha20poly1305_init_push(&stream, header, keys->stream);
    xt_require(result == 0);
    xt_write(writer, MAGIC, MAGIC_SIZE);
    xt_put(writer, XT_KEY_BUNDLE_VERSION, 4);
    xt_put(writer, crypto_pwhash_argon2id_OPSLIMIT_MODERATE, 4);
    xt_put(writer, crypto_pwhash_argon2id_MEMLIMIT_MODERATE / 1024, 4);
    xt_write(writer, salt, SALT);
    xt_write(writer, header, STREAM);
    uint8_t check[CHECK];
    make_check(keys, writer->data, check);
    xt_write(writer, check, CHECK);
    seal_entries(bundle, &stream, plain, writer);
    xt_wipe(&stream, sizeof(stream));
}

enum xt_status xt_key_bundle_write(const struct xt_key_bundle *bundle, const char *path,
                                   struct xt_span passphrase, struct xt_failure *failure)
{
    if (passphrase.size < XT_PASSPHRASE_LEAST || passphrase.size > XT_PASSPHRASE_MAX) {
        return xt_fail(failure, XT_INVALID,
                       "the passphrase must have %d to %d bytes: take several words by chance",
                       XT_PASSPHRASE_LEAST, XT_PASSPHRASE_MAX);
    }
    uint8_t salt[SALT];
    struct keys *keys = NULL;
    /* An entry's head in memory takes 6 bytes, in the file 2, 4 and the overhead. */
    size_t room = FIXED + (bundle->size / ENTRY_HEAD + 1) * OVERHEAD + bundle->size + 4 + OVERHEAD;
    uint8_t *sealed = malloc(room);
    uint8_t *plain = xt_secret_alloc(XT_KEY_BUNDLE_MAX);
    enum xt_status status = sealed == NULL || plain == NULL ? XT_NO_MEMORY : XT_OK;
    xt_random(salt, sizeof(salt));
    if (status == XT_OK) {
        status = derive(passphrase, crypto_pwhash_argon2id_OPSLIMIT_MODERATE,
                        crypto_pwhash_argon2id_MEMLIMIT_MODERATE / 1024, salt, &keys);
    }
    if (status == XT_OK) {
        struct xt_writer writer = xt_writer_over(sealed, room);
        seal_all(bundle, keys, salt, plain, &writer);
        xt_require(!writer.overflow);
        status = xt_file_write(path, xt_written(&writer), 0600, false, failure);
    } else {
        (void)xt_fail(failure, status, "cannot encrypt the keys: out of memory (it takes 256 MiB)");
    }
    xt_secret_free(keys);
    xt_secret_free(plain);
    free(sealed);
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static enum xt_status damaged(const char *path, struct xt_failure *failure)
{
    return xt_fail(failure, XT_CORRUPT, "%s is damaged: take another copy of it", path);
}

static enum xt_status open_message(struct xt_key_bundle *bundle, struct xt_span plain)
{
    struct xt_taker taker = xt_taker_over(plain);
    struct xt_span name = xt_take_bytes(&taker, (size_t)xt_take(&taker, NAME_LENGTH));
    return taker.bad ? XT_CORRUPT : add(bundle, name, taker.rest);
}

static enum xt_status open_messages(struct xt_taker *taker, const struct keys *keys,
                                    const uint8_t header[STREAM], uint8_t *plain,
                                    struct xt_key_bundle *bundle)
{
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t tag = 0;
    enum xt_status status =
        crypto_secretstream_xchacha20poly1305_init_pull(&stream, header, keys->stream) == 0
            ? XT_OK
            : XT_CORRUPT;
    while (status == XT_OK && tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL) {
        size_t size = (size_t)xt_take(taker, 4);
        struct xt_span sealed = xt_take_bytes(taker, size);
        unsigned long long got = 0;
        if (taker->bad || size < OVERHEAD || size - OVERHEAD > XT_KEY_BUNDLE_MAX ||
            crypto_secretstream_xchacha20poly1305_pull(&stream, plain, &got, &tag, sealed.data,
                                                       sealed.size, NULL, 0) != 0) {
            status = XT_CORRUPT;
        } else if (tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL) {
            status = got == 0 && xt_taken_all(taker) ? XT_OK : XT_CORRUPT;
        } else {
            status = open_message(bundle, xt_span_of(plain, (size_t)got));
        }
    }
    xt_wipe(&stream, sizeof(stream));
    return status;
}

static enum xt_status open_all(const char *path, struct xt_span file, struct xt_span passphrase,
                               struct xt_key_bundle *bundle, struct xt_failure *failure)
{
    struct xt_taker taker = xt_taker_over(file);
    struct xt_span magic = xt_take_bytes(&taker, MAGIC_SIZE);
    uint64_t version = xt_take(&taker, 4);
    uint64_t passes = xt_take(&taker, 4);
    uint64_t memory_kib = xt_take(&taker, 4);
    struct xt_span salt = xt_take_bytes(&taker, SALT);
    struct xt_span header = xt_take_bytes(&taker, STREAM);
    struct xt_span stored = xt_take_bytes(&taker, CHECK);
    if (taker.bad || !xt_span_equal(magic, xt_span_of(MAGIC, MAGIC_SIZE))) {
        return xt_fail(failure, XT_INVALID, "%s is no file of keys that xacthuc backup made", path);
    }
    if (version != XT_KEY_BUNDLE_VERSION || passes < 1 || passes > PASSES_MAX || memory_kib < 8 ||
        memory_kib > MEMORY_MAX_KIB) {
        return xt_fail(failure, XT_UNSUPPORTED,
                       "%s is of a version that this program does not know", path);
    }
    struct keys *keys = NULL;
    uint8_t check[CHECK];
    uint8_t *plain = xt_secret_alloc(XT_KEY_BUNDLE_MAX);
    enum xt_status status =
        plain == NULL ? XT_NO_MEMORY : derive(passphrase, passes, memory_kib, salt.data, &keys);
    if (status == XT_OK) {
        make_check(keys, file.data, check);
        if (!xt_secret_equal(check, stored.data, CHECK)) {
            status = xt_fail(failure, XT_DENIED,
                             "the passphrase does not open %s: it is another one (or the file's "
                             "beginning was changed)",
                             path);
        } else if (open_messages(&taker, keys, header.data, plain, bundle) != XT_OK) {
            status = damaged(path, failure);
        }
    } else {
        (void)xt_fail(failure, status, "cannot open %s: out of memory (it takes %llu MiB)", path,
                      (unsigned long long)memory_kib / 1024);
    }
    xt_secret_free(keys);
    xt_secret_free(plain);
    return status;
}

enum xt_status xt_key_bundle_read(const char *path, struct xt_span passphrase,
                                  struct xt_key_bundle **bundle, struct xt_failure *failure)
{
    uint8_t *content = NULL;
    size_t size = 0;
    enum xt_status status =
        xt_file_read(path, FIXED + 2 * (size_t)XT_KEY_BUNDLE_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_key_bundle *made = NULL;
    status = xt_key_bundle_new(&made);
    status = status == XT_OK ? open_all(path, xt_span_of(content, size), passphrase, made, failure)
                             : xt_fail(failure, status, "cannot open %s: out of memory", path);
    xt_file_release(content, size);
    if (status != XT_OK) {
        xt_key_bundle_close(made);
        return status;
    }
    *bundle = made;
    return XT_OK;
}
