#include "crypto/holder_signer.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdlib.h>

#include "crypto/keyring.h"

#define POINT 65 /* uncompressed */

struct xt_holder_signer {
    EC_KEY *p256; /* NULL: Ed25519 */
    uint8_t ed25519[crypto_sign_SECRETKEYBYTES];
    uint8_t spki[XT_HOLDER_SPKI_MAX];
    size_t spki_size;
};

static void write_spki(struct xt_holder_signer *signer, const uint8_t *head, size_t head_size,
                       const uint8_t *key, size_t key_size)
{
    memcpy(signer->spki, head, head_size);
    memcpy(signer->spki + head_size, key, key_size);
    signer->spki_size = head_size + key_size;
}

static bool make_ed25519(struct xt_holder_signer *signer, const uint8_t seed[XT_HOLDER_SEED])
{
    static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                   0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    uint8_t key[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(key, signer->ed25519, seed);
    write_spki(signer, head, sizeof(head), key, sizeof(key));
    return true;
}

/* The seed modulo the order less one, plus one: some are a little likelier, of which nothing follows here. */
static bool make_p256(struct xt_holder_signer *signer, const uint8_t seed[XT_HOLDER_SEED])
{
    static const uint8_t head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                   0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
    uint8_t point[POINT];
    signer->p256 = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    const EC_GROUP *group = signer->p256 == NULL ? NULL : EC_KEY_get0_group(signer->p256);
    EC_POINT *public = group == NULL ? NULL : EC_POINT_new(group);
    BIGNUM *private = BN_bin2bn(seed, XT_HOLDER_SEED, NULL);
    BIGNUM *most = group == NULL ? NULL : BN_dup(EC_GROUP_get0_order(group));
    BN_CTX *context = BN_CTX_new();
    bool fine = public != NULL && private != NULL && most != NULL && context != NULL &&
                BN_sub_word(most, 1) == 1 && BN_mod(private, private, most, context) == 1 &&
                BN_add_word(private, 1) == 1 &&
                EC_POINT_mul(group, public, private, NULL, NULL, context) == 1 &&
                EC_KEY_set_private_key(signer->p256, private) == 1 &&
                EC_KEY_set_public_key(signer->p256, public) == 1 &&
                EC_POINT_point2oct(group, public, POINT_CONVERSION_UNCOMPRESSED, point,
                                   sizeof(point), context) == sizeof(point);
    BN_clear_free(private);
    BN_free(most);
    BN_CTX_free(context);
    EC_POINT_free(public);
    if (fine) {
        write_spki(signer, head, sizeof(head), point, sizeof(point));
    }
    return fine;
}

enum xt_status xt_holder_signer_open(enum xt_holder_key kind, const uint8_t seed[XT_HOLDER_SEED],
                                     struct xt_holder_signer **opened)
{
    struct xt_holder_signer *signer = calloc(1, sizeof(*signer));
    if (signer == NULL ||
        !(kind == XT_HOLDER_P256 ? make_p256(signer, seed) : make_ed25519(signer, seed))) {
        xt_holder_signer_close(signer);
        return XT_NO_MEMORY;
    }
    *opened = signer;
    return XT_OK;
}

void xt_holder_signer_close(struct xt_holder_signer *signer)
{
    if (signer != NULL) {
        EC_KEY_free(signer->p256);
        xt_wipe(signer->ed25519, sizeof(signer->ed25519));
        free(signer);
    }
}

size_t xt_holder_signer_spki(const struct xt_holder_signer *signer,
                             uint8_t spki[XT_HOLDER_SPKI_MAX])
{
    memcpy(spki, signer->spki, signer->spki_size);
    return signer->spki_size;
}

enum xt_status xt_holder_sign(const struct xt_holder_signer *signer, struct xt_span message,
                              uint8_t signature[XT_HOLDER_SIGNATURE])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const BIGNUM *r = NULL, *s = NULL;
    if (signer->p256 == NULL) {
        (void)crypto_sign_detached(signature, NULL, message.data, message.size, signer->ed25519);
        return XT_OK;
    }
    SHA256(message.data, message.size, digest);
    ECDSA_SIG *made = ECDSA_do_sign(digest, sizeof(digest), signer->p256);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    ECDSA_SIG_get0(made, &r, &s);
    bool fine =
        BN_bn2bin_padded(signature, 32, r) == 1 && BN_bn2bin_padded(signature + 32, 32, s) == 1;
    ECDSA_SIG_free(made);
    return fine ? XT_OK : XT_NO_MEMORY;
}
