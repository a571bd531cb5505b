#include "crypto/pem.h"

#include <limits.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "crypto/file.h"
#include "crypto/memory.h"

int xt_pem_no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

/* Reads until the file's PEM blocks end; false when a block is broken or memory is short. */
static bool read_certificates(BIO *bio, STACK_OF(X509) * list)
{
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(bio, NULL, xt_pem_no_passphrase, NULL)) != NULL) {
        if (!sk_X509_push(list, certificate)) {
            X509_free(certificate);
            return false;
        }
    }
    uint32_t error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

enum xt_status xt_pem_certificates_in(struct xt_span pem, const char *name,
                                      struct stack_st_X509 **list, struct xt_failure *failure)
{
    if (pem.size > XT_PEM_FILE_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "%s is larger than %u bytes", name, XT_PEM_FILE_MAX);
    }
    ERR_clear_error();
    STACK_OF(X509) *read = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    bool complete = read != NULL && bio != NULL && read_certificates(bio, read);
    BIO_free(bio);
    ERR_clear_error();
    if (!complete || sk_X509_num(read) == 0) {
        sk_X509_pop_free(read, X509_free);
        return xt_fail(failure, XT_INVALID,
                       "%s holds no readable certificate: it must be PEM "
                       "(-----BEGIN CERTIFICATE-----)",
                       name);
    }
    *list = read;
    return XT_OK;
}

enum xt_status xt_pem_certificates(const char *path, struct stack_st_X509 **list,
                                   struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read(path, XT_PEM_FILE_MAX, &content, &size, failure);
    if (status == XT_OK) {
        status = xt_pem_certificates_in(xt_span_of(content, size), path, list, failure);
        xt_file_release(content, size);
    }
    return status;
}

/* What the library derives from a key at its first use (for RSA) is then in the key's memory too. */
static bool sign_once(EVP_PKEY *key)
{
    static const uint8_t message[] = "xacthuc";
    uint8_t signature[1024];
    size_t size = sizeof(signature);
    const EVP_MD *digest = EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fine = context != NULL && EVP_DigestSignInit(context, NULL, digest, NULL, key) == 1 &&
                EVP_DigestSign(context, signature, &size, message, sizeof(message)) == 1;
    EVP_MD_CTX_free(context);
    return fine;
}

enum xt_status xt_pem_key_in(struct xt_span pem, const char *name, struct evp_pkey_st **key,
                             struct xt_failure *failure)
{
    if (pem.size > XT_PEM_FILE_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "%s is larger than %u bytes", name, XT_PEM_FILE_MAX);
    }
    ERR_clear_error();
    xt_key_memory_begin();
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    EVP_PKEY *read =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, xt_pem_no_passphrase, NULL);
    BIO_free(bio);
    bool works = read != NULL && sign_once(read);
    xt_key_memory_end();
    ERR_clear_error();
    if (read != NULL && !works) {
        EVP_PKEY_free(read);
        return xt_fail(failure, XT_INVALID, "%s holds a key that cannot sign", name);
    }
    if (read == NULL) {
        return xt_fail(failure, XT_INVALID,
                       "%s holds no readable private key: it must be PEM without a passphrase "
                       "(-----BEGIN PRIVATE KEY-----)",
                       name);
    }
    *key = read;
    return XT_OK;
}

enum xt_status xt_pem_key(const char *path, struct evp_pkey_st **key, struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read_secret(path, XT_PEM_FILE_MAX, &content, &size, failure);
    if (status == XT_OK) {
        status = xt_pem_key_in(xt_span_of(content, size), path, key, failure);
        xt_file_release_secret(content);
    }
    return status;
}

enum xt_status xt_pem_list(struct bio_st *pem, const char *name, struct X509_crl_st **list,
                           struct xt_failure *failure)
{
    ERR_clear_error();
    *list = PEM_read_bio_X509_CRL(pem, NULL, xt_pem_no_passphrase, NULL);
    uint32_t error = ERR_peek_last_error();
    ERR_clear_error();
    if (*list != NULL) {
        return XT_OK;
    }
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE) {
        return XT_NOT_FOUND;
    }
    return xt_fail(failure, XT_INVALID,
                   "%s is damaged: it must hold PEM (-----BEGIN X509 CRL-----)", name);
}

bool xt_x509_key_is_strong(struct x509_st *certificate)
{
    EVP_PKEY *key = X509_get_pubkey(certificate);
    if (key == NULL) {
        return false;
    }
    int kind = EVP_PKEY_id(key);
    int least = kind == EVP_PKEY_RSA ? 2048 : kind == EVP_PKEY_EC ? 256 : INT_MAX;
    bool strong = kind == EVP_PKEY_ED25519 || EVP_PKEY_bits(key) >= least;
    EVP_PKEY_free(key);
    return strong;
}

bool xt_x509_spki(const struct x509_st *certificate, uint8_t spki[XT_SPKI_SHA256])
{
    uint8_t *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0) {
        return false;
    }
    SHA256(der, (size_t)size, spki);
    OPENSSL_free(der);
    return true;
}

bool xt_x509_time(const struct asn1_string_st *time, int64_t *unix_s)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, rest;
    bool fine = epoch != NULL && ASN1_TIME_diff(&days, &rest, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    if (fine) {
        *unix_s = (int64_t)days * 86400 + rest;
    }
    return fine;
}

/* ---- which kind of file ----------------------------------------------------------------------- */

static bool has(struct xt_span content, const char *mark)
{
    size_t size = strlen(mark);
    return content.size >= size && memmem(content.data, content.size, mark, size) != NULL;
}

bool xt_has_private_key(struct xt_span content)
{
    return has(content, "PRIVATE KEY");
}

bool xt_is_certificate_or_list(struct xt_span content)
{
    if (has(content, "-----BEGIN CERTIFICATE-----") || has(content, "-----BEGIN X509 CRL-----")) {
        return true;
    }
    if (content.size == 0 || content.size > LONG_MAX) {
        return false;
    }
    const uint8_t *end = content.data + content.size;
    const uint8_t *certificate_end = content.data, *list_end = content.data;
    X509 *certificate = d2i_X509(NULL, &certificate_end, (long)content.size);
    X509_CRL *list = d2i_X509_CRL(NULL, &list_end, (long)content.size);
    bool is = (certificate != NULL && certificate_end == end) || (list != NULL && list_end == end);
    X509_free(certificate);
    X509_CRL_free(list);
    ERR_clear_error();
    return is;
}
