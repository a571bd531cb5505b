#include "crypto/challenge.h"

#include <sodium.h>

#include "core/little_endian.h"

#define VERSION 2 /* raised when what was issued before must not count any more */
#define HEAD (1 + 4 + 8 + XT_CHALLENGE_NONCE)
#define MAC 16
#define BYTES (HEAD + MAC)
#define AHEAD_MS 1000 /* of another node's clock */

_Static_assert((BYTES * 4 + 2) / 3 == XT_CHALLENGE_TEXT, "base64url of it");

/* What stands around each text: its length, so that no two scopes are the same bytes. */
static void add_text(crypto_generichash_state *state, struct xt_span text)
{
    uint8_t size[4];
    struct xt_writer writer = xt_writer_over(size, sizeof(size));
    xt_put(&writer, text.size, sizeof(size));
    crypto_generichash_update(state, size, sizeof(size));
    crypto_generichash_update(state, text.data, text.size);
}

static enum xt_status mac_of(const struct xt_keyring *keyring, uint32_t key_id,
                             const uint8_t head[HEAD], const struct xt_challenge_scope *scope,
                             uint8_t mac[MAC])
{
    static const uint8_t no_salt[XT_SALT_BYTES];
    uint8_t key[XT_KEY_BYTES], subject[10];
    crypto_generichash_state state;
    enum xt_status status = xt_keyring_derive(keyring, key_id, XT_USE_CHALLENGE, 0, no_salt, key);
    if (status != XT_OK) {
        return status;
    }
    struct xt_writer writer = xt_writer_over(subject, sizeof(subject));
    xt_put(&writer, (unsigned)scope->id.kind, 1);
    xt_put(&writer, scope->id.value, 8);
    xt_put(&writer, scope->factor, 1);
    crypto_generichash_init(&state, key, sizeof(key), MAC);
    crypto_generichash_update(&state, head, HEAD);
    crypto_generichash_update(&state, subject, sizeof(subject));
    add_text(&state, scope->audience);
    add_text(&state, scope->partner);
    crypto_generichash_final(&state, mac, MAC);
    xt_wipe(key, sizeof(key));
    xt_wipe(&state, sizeof(state));
    return XT_OK;
}

enum xt_status xt_challenge_make(const struct xt_keyring *keyring,
                                 const struct xt_challenge_scope *scope, uint64_t now_ms,
                                 char text[XT_CHALLENGE_TEXT])
{
    uint8_t bytes[BYTES];
    char encoded[XT_CHALLENGE_TEXT + 1];
    uint32_t key_id = xt_keyring_current(keyring);
    struct xt_writer writer = xt_writer_over(bytes, sizeof(bytes));
    xt_put(&writer, VERSION, 1);
    xt_put(&writer, key_id, 4);
    xt_put(&writer, now_ms, 8);
    xt_random(bytes + writer.size, XT_CHALLENGE_NONCE);
    enum xt_status status = mac_of(keyring, key_id, bytes, scope, bytes + HEAD);
    if (status == XT_OK) {
        sodium_bin2base64(encoded, sizeof(encoded), bytes, sizeof(bytes),
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        memcpy(text, encoded, XT_CHALLENGE_TEXT);
    }
    return status;
}

enum xt_status xt_challenge_check(const struct xt_keyring *keyring,
                                  const struct xt_challenge_scope *scope, uint64_t now_ms,
                                  struct xt_span text, struct xt_challenge_use *use)
{
    uint8_t bytes[BYTES] = {0}, mac[MAC] = {0}, other[XT_CHALLENGE_NONCE];
    size_t size = 0;
    bool fine = text.size == XT_CHALLENGE_TEXT &&
                sodium_base642bin(bytes, sizeof(bytes), (const char *)text.data, text.size, NULL,
                                  &size, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
                size == BYTES;
    struct xt_taker taker = xt_taker_over(xt_span_of(bytes, sizeof(bytes)));
    fine = (xt_take(&taker, 1) == VERSION) & fine;
    uint32_t key_id = (uint32_t)xt_take(&taker, 4);
    uint64_t made_ms = xt_take(&taker, 8);
    bool known = xt_keyring_has(keyring, key_id);
    /* Of a key that is not there the MAC is made all the same. */
    enum xt_status status =
        mac_of(keyring, known ? key_id : xt_keyring_current(keyring), bytes, scope, mac);
    if (status != XT_OK) {
        return status;
    }
    fine = xt_secret_equal(mac, bytes + HEAD, MAC) & known & fine;
    fine = (made_ms <= now_ms + AHEAD_MS) & (now_ms < made_ms + XT_CHALLENGE_MS) & fine;
    xt_random(other, sizeof(other));
    memcpy(use->nonce, fine ? bytes + HEAD - XT_CHALLENGE_NONCE : other, XT_CHALLENGE_NONCE);
    use->until_ms = (fine ? made_ms : now_ms) + XT_CHALLENGE_KEPT_MS;
    return fine ? XT_OK : XT_DENIED;
}
