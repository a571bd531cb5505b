/* crypto/pem: certificates and keys as they stand in files. Internal to crypto/: the types are
 * BoringSSL's, named here without its headers.
 */
#ifndef XT_CRYPTO_PEM_H
#define XT_CRYPTO_PEM_H

#include "crypto/authority.h"

struct x509_st;
struct stack_st_X509;
struct evp_pkey_st;

#define XT_PEM_FILE_MAX (256U << 10) /* bytes; room for a bundle of a hundred certificates */

/* All certificates of a file, in its order, at least one. The caller frees the list with
 * sk_X509_pop_free(list, X509_free). */
XT_MUST_USE enum xt_status xt_pem_certificates(const char *path, struct stack_st_X509 **list,
                                               struct xt_failure *failure);

/* The private key of a file that only its owner may read. A key under a passphrase is refused: a
 * server has nobody to ask. The caller frees it with EVP_PKEY_free. */
XT_MUST_USE enum xt_status xt_pem_key(const char *path, struct evp_pkey_st **key,
                                      struct xt_failure *failure);

/* SHA-256 of the SubjectPublicKeyInfo in DER; false when memory is short. */
XT_MUST_USE bool xt_x509_spki(const struct x509_st *certificate, uint8_t spki[XT_SPKI_SHA256]);

#endif
