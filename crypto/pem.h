/* crypto/pem: certificates, keys and lists of revoked ones as they stand in files. Internal to crypto/:
 * the types are BoringSSL's, named here without its headers.
 */
#ifndef XT_CRYPTO_PEM_H
#define XT_CRYPTO_PEM_H

#include "crypto/authority.h"

struct asn1_string_st;
struct X509_crl_st;
struct asn1_string_st;
struct x509_st;
struct bio_st;
struct stack_st_X509;
struct evp_pkey_st;

#define XT_PEM_FILE_MAX (256U << 10) /* bytes; room for a bundle of a hundred certificates */

/* All certificates of a file, in its order, at least one. The caller frees the list with
 * sk_X509_pop_free(list, X509_free). */
XT_MUST_USE enum xt_status xt_pem_certificates(const char *path, struct stack_st_X509 **list,
                                               struct xt_failure *failure);

/* The same from PEM text in memory; name is what failures call it. */
XT_MUST_USE enum xt_status xt_pem_certificates_in(struct xt_span pem, const char *name,
                                                  struct stack_st_X509 **list,
                                                  struct xt_failure *failure);

/* Adds the extensions of what is asked for; issuer NULL: an authority's own certificate. Its key is in
 * it already. false: the library refused, or memory is short. */
XT_MUST_USE bool xt_certificate_extend(struct x509_st *certificate, struct x509_st *issuer,
                                       const struct xt_certificate_request *request);

/* One list of revoked certificates after the other from PEM text; the library's own blocks between them
 * are passed over. XT_NOT_FOUND: no more; the caller frees *list with X509_CRL_free. */
XT_MUST_USE enum xt_status xt_pem_list(struct bio_st *pem, const char *name,
                                       struct X509_crl_st **list, struct xt_failure *failure);

/* The private key of a file that only its owner may read. A key under a passphrase is refused: a
 * server has nobody to ask. The caller frees it with EVP_PKEY_free. */
XT_MUST_USE enum xt_status xt_pem_key(const char *path, struct evp_pkey_st **key,
                                      struct xt_failure *failure);

XT_MUST_USE enum xt_status xt_pem_key_in(struct xt_span pem, const char *name,
                                         struct evp_pkey_st **key, struct xt_failure *failure);

/* The authority's key and its certificate, the first of *list, which belong together and are in force.
 * Both are the caller's, also on failure. */
XT_MUST_USE enum xt_status xt_authority_load(const char *key_path, const char *certificate_path,
                                             struct evp_pkey_st **key, struct stack_st_X509 **list,
                                             struct xt_failure *failure);

/* For the library's readers of PEM, instead of its default, which asks on the terminal. */
int xt_pem_no_passphrase(char *buffer, int size, int writing, void *data);

/* Seconds since 1970; false for a time that is not well formed. */
XT_MUST_USE bool xt_x509_time(const struct asn1_string_st *time, int64_t *unix_s);

/* Whether a caller's or server's key is one that may be trusted today: P-256 and larger, Ed25519, RSA of at
 * least 2048 bits (NIST SP 800-57 part 1 revision 5, table 2: 112 bits of security). */
bool xt_x509_key_is_strong(struct x509_st *certificate);

/* SHA-256 of the SubjectPublicKeyInfo in DER; false when memory is short. */
XT_MUST_USE bool xt_x509_spki(const struct x509_st *certificate, uint8_t spki[XT_SPKI_SHA256]);

#endif
