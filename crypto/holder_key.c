#include "crypto/holder_key.h"

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>

/* SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING } (RFC 8410): nothing in it varies but the key. */
static const uint8_t ED25519_HEAD[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
/* The same of id-ecPublicKey with prime256v1 (RFC 5480) and an uncompressed point. */
static const uint8_t P256_HEAD[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
#define ED25519_KEY 32
#define P256_POINT 64 /* without the byte that says "uncompressed" */

_Static_assert(crypto_sign_PUBLICKEYBYTES == ED25519_KEY, "RFC 8032");
_Static_assert(crypto_sign_BYTES == XT_HOLDER_SIGNATURE, "RFC 8032");

static bool begins_with(struct xt_span spki, const uint8_t *head, size_t head_size, size_t rest)
{
    return spki.size == head_size + rest && memcmp(spki.data, head, head_size) == 0;
}

/* NULL: the point is not on the curve, or memory is short. */
static EC_KEY *p256_of(struct xt_span spki)
{
    const uint8_t *bytes = spki.data + sizeof(P256_HEAD) - 1;
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = key == NULL ? NULL : EC_POINT_new(EC_KEY_get0_group(key));
    bool fine = point != NULL &&
                EC_POINT_oct2point(EC_KEY_get0_group(key), point, bytes, P256_POINT + 1, NULL) &&
                EC_KEY_set_public_key(key, point) == 1;
    EC_POINT_free(point);
    if (!fine) {
        EC_KEY_free(key);
        return NULL;
    }
    return key;
}

static EC_GROUP *p256;
static pthread_once_t p256_made = PTHREAD_ONCE_INIT;

static void make_p256(void)
{
    p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
}

/* Without a key around it: an import asks this of every line. */
static bool is_on_p256(struct xt_span spki)
{
    (void)pthread_once(&p256_made, make_p256);
    EC_POINT *point = p256 == NULL ? NULL : EC_POINT_new(p256);
    bool is = point != NULL && EC_POINT_oct2point(p256, point, spki.data + sizeof(P256_HEAD) - 1,
                                                  P256_POINT + 1, NULL) == 1;
    EC_POINT_free(point);
    return is;
}

enum xt_status xt_holder_key_kind(struct xt_span spki, enum xt_holder_key *kind)
{
    if (begins_with(spki, ED25519_HEAD, sizeof(ED25519_HEAD), ED25519_KEY)) {
        *kind = XT_HOLDER_ED25519;
        return crypto_core_ed25519_is_valid_point(spki.data + sizeof(ED25519_HEAD)) == 1
                   ? XT_OK
                   : XT_INVALID;
    }
    if (!begins_with(spki, P256_HEAD, sizeof(P256_HEAD), P256_POINT)) {
        return XT_INVALID;
    }
    *kind = XT_HOLDER_P256;
    return is_on_p256(spki) ? XT_OK : XT_INVALID;
}

static enum xt_status verify_p256(struct xt_span spki, struct xt_span message,
                                  const uint8_t signature[XT_HOLDER_SIGNATURE])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    EC_KEY *key = p256_of(spki);
    ECDSA_SIG *read = key == NULL ? NULL : ECDSA_SIG_new();
    enum xt_status status = key == NULL ? XT_INVALID : XT_NO_MEMORY;
    BIGNUM *r = BN_bin2bn(signature, 32, NULL);
    BIGNUM *s = BN_bin2bn(signature + 32, 32, NULL);
    if (read != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(read, r, s) == 1) {
        r = s = NULL; /* they are the signature's */
        SHA256(message.data, message.size, digest);
        status = ECDSA_do_verify(digest, sizeof(digest), read, key) == 1 ? XT_OK : XT_DENIED;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(read);
    EC_KEY_free(key);
    return status;
}

enum xt_status xt_holder_verify(struct xt_span spki, struct xt_span message,
                                const uint8_t signature[XT_HOLDER_SIGNATURE])
{
    if (begins_with(spki, P256_HEAD, sizeof(P256_HEAD), P256_POINT)) {
        return verify_p256(spki, message, signature);
    }
    enum xt_holder_key kind;
    if (xt_holder_key_kind(spki, &kind) != XT_OK) {
        return XT_INVALID;
    }
    const uint8_t *key = spki.data + sizeof(ED25519_HEAD);
    return crypto_sign_verify_detached(signature, message.data, message.size, key) == 0 ? XT_OK
                                                                                        : XT_DENIED;
}

struct xt_span xt_holder_nobody(void)
{
    static const uint8_t generator[sizeof(P256_HEAD) + P256_POINT] = {
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
        0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
        0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
        0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
        0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    return xt_span_of(generator, sizeof(generator));
}
