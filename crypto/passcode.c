#include "crypto/passcode.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "crypto/keyring.h"

#define SALT crypto_pwhash_argon2id_SALTBYTES
#define SALT_LEAST 8 /* RFC 9106, section 3.1 */
#define SALT_MOST 48
#define HASH 32
#define HASH_LEAST 16
#define HASH_MOST 64
#define KEY_ID 4 /* bytes */
#define KEY_ID_TEXT 7

/* What a PHC text says. */
struct phc {
    struct xt_passcode_costs costs;
    bool has_key_id;
    uint8_t key_id[KEY_ID];
    uint8_t salt[SALT_MOST], hash[HASH_MOST];
    size_t salt_size, hash_size;
};

/* ---- text --------------------------------------------------------------------------------------- */

static bool skip(struct xt_span *text, const char *word)
{
    size_t length = strlen(word);
    if (text->size < length || memcmp(text->data, word, length) != 0) {
        return false;
    }
    *text = xt_span_of(text->data + length, text->size - length);
    return true;
}

static bool take_number(struct xt_span *text, uint32_t *number)
{
    uint64_t value = 0;
    size_t at = 0;
    while (at < text->size && at < 9 && text->data[at] >= '0' && text->data[at] <= '9') {
        value = value * 10 + text->data[at++] - '0';
    }
    if (at == 0 || (at > 1 && text->data[0] == '0')) {
        return false;
    }
    *number = (uint32_t)value;
    *text = xt_span_of(text->data + at, text->size - at);
    return true;
}

/* Base64 without padding up to the next dollar sign, or to the end. */
static bool take_bytes(struct xt_span *text, uint8_t *bytes, size_t most, size_t *size)
{
    const uint8_t *end = text->size > 0 ? memchr(text->data, '$', text->size) : NULL;
    size_t length = end == NULL ? text->size : (size_t)(end - text->data);
    bool fine =
        length > 0 && sodium_base642bin(bytes, most, (const char *)text->data, length, NULL, size,
                                        NULL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
    *text = xt_span_of(text->data + length, text->size - length);
    return fine;
}

static bool are_possible(const struct xt_passcode_costs *costs)
{
    return costs->memory_kib >= XT_PASSCODE_MEMORY_LEAST_KIB &&
           costs->memory_kib <= XT_PASSCODE_MEMORY_MOST_KIB && costs->passes >= 1 &&
           costs->passes <= XT_PASSCODE_PASSES_MOST &&
           (uint64_t)costs->memory_kib * costs->passes <= XT_PASSCODE_WORK_MOST_KIB;
}

/* Imported: not too dear; with a salt that only the reference's own check takes, as short as that takes a text. */
static bool is_importable(const struct phc *phc, size_t text_size)
{
    return (uint64_t)phc->costs.memory_kib * phc->costs.passes <= XT_PASSCODE_IMPORT_MOST_KIB &&
           (phc->salt_size == SALT || text_size < crypto_pwhash_argon2id_STRBYTES);
}

static bool read_phc(struct xt_span text, struct phc *phc)
{
    size_t size = 0, whole = text.size;
    memset(phc, 0, sizeof(*phc));
    if (text.size > XT_PASSCODE_PHC_MAX || !skip(&text, "$argon2id$v=19$m=") ||
        !take_number(&text, &phc->costs.memory_kib) || !skip(&text, ",t=") ||
        !take_number(&text, &phc->costs.passes) || !skip(&text, ",p=1")) {
        return false;
    }
    phc->has_key_id = skip(&text, ",keyid=");
    if (phc->has_key_id) {
        struct xt_span id =
            xt_span_of(text.data, text.size < KEY_ID_TEXT - 1 ? text.size : KEY_ID_TEXT - 1);
        if (!take_bytes(&id, phc->key_id, KEY_ID, &size) || size != KEY_ID || id.size != 0) {
            return false;
        }
        text = xt_span_of(text.data + KEY_ID_TEXT - 1, text.size - (KEY_ID_TEXT - 1));
    }
    return skip(&text, "$") && take_bytes(&text, phc->salt, SALT_MOST, &phc->salt_size) &&
           phc->salt_size >= SALT_LEAST && skip(&text, "$") &&
           take_bytes(&text, phc->hash, HASH_MOST, &phc->hash_size) &&
           phc->hash_size >= HASH_LEAST && text.size == 0 && are_possible(&phc->costs) &&
           (phc->has_key_id ? phc->salt_size == SALT : is_importable(phc, whole));
}

bool xt_passcode_is_supported(struct xt_span text)
{
    struct phc phc;
    bool supported = read_phc(text, &phc);
    xt_wipe(&phc, sizeof(phc));
    return supported;
}

/* ---- work --------------------------------------------------------------------------------------- */

static void id_of(const uint8_t pepper[XT_PASSCODE_PEPPER], uint8_t id[KEY_ID])
{
    static const char what[] = "xacthuc passcode key id";
    uint8_t digest[crypto_generichash_BYTES];
    crypto_generichash(digest, sizeof(digest), (const uint8_t *)what, sizeof(what) - 1, pepper,
                       XT_PASSCODE_PEPPER);
    memcpy(id, digest, KEY_ID);
}

/* Only salts of SALT bytes: libsodium takes no others here. */
static enum xt_status work(const struct xt_passcode_costs *costs, const uint8_t *pepper,
                           struct xt_span passcode, const uint8_t salt[SALT], uint8_t *hash,
                           size_t hash_size)
{
    uint8_t keyed[crypto_generichash_BYTES];
    struct xt_span secret = passcode;
    if (pepper != NULL) {
        crypto_generichash(keyed, sizeof(keyed), passcode.data, passcode.size, pepper,
                           XT_PASSCODE_PEPPER);
        secret = xt_span_of(keyed, sizeof(keyed));
    }
    int done = crypto_pwhash_argon2id(hash, hash_size, (const char *)secret.data, secret.size, salt,
                                      costs->passes, (size_t)costs->memory_kib * 1024,
                                      crypto_pwhash_argon2id_ALG_ARGON2ID13);
    xt_wipe(keyed, sizeof(keyed));
    return done == 0 ? XT_OK : XT_NO_MEMORY;
}

/* The reference's own check, for salts of other sizes. It tells no difference between a wrong passcode and
 * no memory; the former is far more likely. */
static enum xt_status verify_text(struct xt_span text, struct xt_span passcode)
{
    char copy[crypto_pwhash_argon2id_STRBYTES] = {0};
    xt_require(text.size < sizeof(copy));
    memcpy(copy, text.data, text.size);
    int compared =
        crypto_pwhash_argon2id_str_verify(copy, (const char *)passcode.data, passcode.size);
    xt_wipe(copy, sizeof(copy));
    return compared == 0 ? XT_OK : XT_DENIED;
}

enum xt_status xt_passcode_hash(const struct xt_passcode_costs *costs,
                                const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span passcode,
                                char text[XT_PASSCODE_PHC_MAX], size_t *size)
{
    uint8_t salt[SALT], hash[HASH], id[KEY_ID];
    char salt_text[SALT * 2], hash_text[HASH * 2], id_text[KEY_ID_TEXT];
    xt_require(are_possible(costs));
    xt_random(salt, sizeof(salt));
    enum xt_status status = work(costs, pepper, passcode, salt, hash, sizeof(hash));
    if (status != XT_OK) {
        return status;
    }
    id_of(pepper, id);
    const int variant = sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    sodium_bin2base64(id_text, sizeof(id_text), id, sizeof(id), variant);
    sodium_bin2base64(salt_text, sizeof(salt_text), salt, sizeof(salt), variant);
    sodium_bin2base64(hash_text, sizeof(hash_text), hash, sizeof(hash), variant);
    int length = snprintf(text, XT_PASSCODE_PHC_MAX,
                          "$argon2id$v=19$m=%" PRIu32 ",t=%" PRIu32 ",p=1,keyid=%s$%s$%s",
                          costs->memory_kib, costs->passes, id_text, salt_text, hash_text);
    xt_require(length > 0 && length < XT_PASSCODE_PHC_MAX);
    *size = (size_t)length;
    xt_wipe(hash, sizeof(hash));
    xt_wipe(hash_text, sizeof(hash_text));
    return XT_OK;
}

/* For whom there is nothing to compare with. */
static enum xt_status work_in_vain(const struct xt_passcode_costs *costs,
                                   const uint8_t pepper[XT_PASSCODE_PEPPER],
                                   struct xt_span passcode)
{
    static const uint8_t salt[SALT];
    uint8_t hash[HASH];
    enum xt_status status = work(costs, pepper, passcode, salt, hash, sizeof(hash));
    xt_wipe(hash, sizeof(hash));
    return status == XT_OK ? XT_DENIED : status;
}

static bool cost_less(const struct xt_passcode_costs *costs, const struct xt_passcode_costs *than)
{
    return (uint64_t)costs->memory_kib * costs->passes < (uint64_t)than->memory_kib * than->passes;
}

bool xt_passcode_is_better(const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span old,
                           struct xt_span made)
{
    struct phc before, after;
    uint8_t id[KEY_ID];
    id_of(pepper, id);
    bool better = read_phc(old, &before) && read_phc(made, &after) && after.has_key_id &&
                  after.salt_size == SALT && memcmp(id, after.key_id, KEY_ID) == 0 &&
                  (!before.has_key_id || cost_less(&before.costs, &after.costs));
    xt_wipe(&before, sizeof(before));
    xt_wipe(&after, sizeof(after));
    return better;
}

enum xt_status xt_passcode_verify(const struct xt_passcode_costs *costs,
                                  const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span text,
                                  struct xt_span passcode, bool *outdated)
{
    struct phc phc;
    uint8_t id[KEY_ID], hash[HASH_MOST];
    *outdated = false;
    id_of(pepper, id);
    if (!read_phc(text, &phc) || (phc.has_key_id && !xt_secret_equal(id, phc.key_id, KEY_ID))) {
        xt_wipe(&phc, sizeof(phc));
        return work_in_vain(costs, pepper, passcode);
    }
    enum xt_status status;
    if (phc.salt_size != SALT) {
        status = verify_text(text, passcode);
    } else {
        status = work(&phc.costs, phc.has_key_id ? pepper : NULL, passcode, phc.salt, hash,
                      phc.hash_size);
        bool same = status == XT_OK && xt_secret_equal(hash, phc.hash, phc.hash_size);
        status = status == XT_OK && !same ? XT_DENIED : status;
    }
    *outdated = status == XT_OK && (!phc.has_key_id || cost_less(&phc.costs, costs));
    xt_wipe(hash, sizeof(hash));
    xt_wipe(&phc, sizeof(phc));
    return status;
}
