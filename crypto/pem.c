#include "crypto/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "crypto/file.h"

/* Instead of the library's default, which asks on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
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
    while ((certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (!sk_X509_push(list, certificate)) {
            X509_free(certificate);
            return false;
        }
    }
    uint32_t error = ERR_peek_last_error();
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

enum xt_status xt_pem_certificates(const char *path, struct stack_st_X509 **list,
                                   struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read(path, XT_PEM_FILE_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    ERR_clear_error();
    STACK_OF(X509) *read = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(content, (int)size);
    bool complete = read != NULL && bio != NULL && read_certificates(bio, read);
    BIO_free(bio);
    xt_file_release(content, size);
    ERR_clear_error();
    if (!complete || sk_X509_num(read) == 0) {
        sk_X509_pop_free(read, X509_free);
        return xt_fail(failure, XT_INVALID,
                       "%s holds no readable certificate: it must be PEM "
                       "(-----BEGIN CERTIFICATE-----)",
                       path);
    }
    *list = read;
    return XT_OK;
}

enum xt_status xt_pem_key(const char *path, struct evp_pkey_st **key, struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    enum xt_status status = xt_file_read_secret(path, XT_PEM_FILE_MAX, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(content, (int)size);
    EVP_PKEY *read = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    xt_file_release(content, size);
    ERR_clear_error();
    if (read == NULL) {
        return xt_fail(failure, XT_INVALID,
                       "%s holds no readable private key: it must be PEM without a passphrase "
                       "(-----BEGIN PRIVATE KEY-----)",
                       path);
    }
    *key = read;
    return XT_OK;
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
