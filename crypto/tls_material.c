#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "crypto/file.h"
#include "crypto/pem.h"
#include "crypto/revocation.h"
#include "crypto/tls_internal.h"

/* A file into *content; NULL: nothing. */
static enum xt_status read_piece(const char *path, bool secret, size_t max, struct xt_span *content,
                                 const char **name, struct xt_failure *failure)
{
    uint8_t *data;
    size_t size;
    if (path == NULL) {
        return XT_OK;
    }
    enum xt_status status = secret ? xt_file_read_secret(path, max, &data, &size, failure)
                                   : xt_file_read(path, max, &data, &size, failure);
    if (status == XT_OK) {
        *content = xt_span_of(data, size);
        *name = path;
    }
    return status;
}

enum xt_status xt_tls_material_read(const struct xt_tls_server_files *files,
                                    struct xt_tls_server_material *material,
                                    struct xt_failure *failure)
{
    struct xt_tls_server_material read = *material;
    read.certificate = read.key = read.client_authority = read.revocations = xt_span_of(NULL, 0);
    enum xt_status status = read_piece(files->certificate, false, XT_PEM_FILE_MAX,
                                       &read.certificate, &read.certificate_name, failure);
    if (status == XT_OK) {
        status = read_piece(files->key, true, XT_PEM_FILE_MAX, &read.key, &read.key_name, failure);
    }
    if (status == XT_OK) {
        status = read_piece(files->client_authority, false, XT_PEM_FILE_MAX, &read.client_authority,
                            &read.client_authority_name, failure);
    }
    if (status == XT_OK && files->revocations != NULL) {
        status = read_piece(files->revocations, false, XT_REVOCATIONS_PEM_MAX, &read.revocations,
                            &read.revocations_name, failure);
        if (status == XT_NOT_FOUND) { /* nothing was revoked yet */
            status = XT_OK;
        } else if (status == XT_OK && read.revocations.size == 0) {
            /* Not the same: a list that was cut short would let everybody in again. */
            status = xt_fail(failure, XT_INVALID, "%s is empty: restore it or take it away",
                             files->revocations);
        }
    }
    if (status != XT_OK) {
        xt_tls_material_release(&read);
        return status;
    }
    *material = read;
    return XT_OK;
}

static void release_piece(struct xt_span *piece)
{
    xt_file_release((uint8_t *)(uintptr_t)piece->data, piece->size);
    *piece = xt_span_of(NULL, 0);
}

void xt_tls_material_release(struct xt_tls_server_material *material)
{
    release_piece(&material->certificate);
    xt_file_release_secret((uint8_t *)(uintptr_t)material->key.data);
    material->key = xt_span_of(NULL, 0);
    release_piece(&material->client_authority);
    release_piece(&material->revocations);
}

/* The chain of a certificate file as the library wants it; NULL when memory is short. */
static STACK_OF(CRYPTO_BUFFER) * chain_buffers(STACK_OF(X509) * list)
{
    STACK_OF(CRYPTO_BUFFER) *chain = sk_CRYPTO_BUFFER_new_null();
    for (size_t i = 0; chain != NULL && i < sk_X509_num(list); i++) {
        uint8_t *der = NULL;
        int size = i2d_X509(sk_X509_value(list, i), &der);
        CRYPTO_BUFFER *buffer = size <= 0 ? NULL : CRYPTO_BUFFER_new(der, (size_t)size, NULL);
        OPENSSL_free(der);
        if (buffer == NULL || !sk_CRYPTO_BUFFER_push(chain, buffer)) {
            CRYPTO_BUFFER_free(buffer);
            sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
            return NULL;
        }
    }
    return chain;
}

/* Our own certificate (with intermediates, leaf first) and its key. */
enum xt_status xt_tls_load_identity(struct xt_tls_context *context,
                                    const struct xt_tls_server_material *material,
                                    struct xt_failure *failure)
{
    const char *certificate = material->certificate_name;
    STACK_OF(X509) *list = NULL;
    STACK_OF(CRYPTO_BUFFER) *chain = NULL;
    EVP_PKEY *key = NULL;
    enum xt_status status =
        xt_pem_certificates_in(material->certificate, certificate, &list, failure);
    if (status == XT_OK) {
        status = xt_pem_key_in(material->key, material->key_name, &key, failure);
    }
    if (status != XT_OK) {
        goto done;
    }
    chain = chain_buffers(list);
    if (chain == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", certificate);
        goto done;
    }
    size_t count = sk_CRYPTO_BUFFER_num(chain);
    CRYPTO_BUFFER *certificates[16];
    if (count > sizeof(certificates) / sizeof(certificates[0])) {
        status = xt_fail(failure, XT_TOO_LARGE,
                         "%s holds %zu certificates: keep the server's and "
                         "its intermediates",
                         certificate, count);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        certificates[i] = sk_CRYPTO_BUFFER_value(chain, i);
    }
    if (SSL_CTX_set_chain_and_key(context->ssl_context, certificates, count, key, NULL) != 1) {
        status = xt_fail(failure, XT_INVALID,
                         "the key %s does not belong to the first certificate of %s, or is of a "
                         "kind that TLS does not use",
                         material->key_name, certificate);
    }

done:
    EVP_PKEY_free(key);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    return status;
}

enum xt_status xt_tls_load_authorities(struct xt_tls_context *context,
                                       const struct xt_tls_server_material *material,
                                       struct xt_failure *failure)
{
    const char *path = material->client_authority_name;
    STACK_OF(X509) *list = NULL;
    enum xt_status status =
        xt_pem_certificates_in(material->client_authority, path, &list, failure);
    if (status != XT_OK) {
        return status;
    }
    STACK_OF(CRYPTO_BUFFER) *names = sk_CRYPTO_BUFFER_new_null();
    context->authorities = X509_STORE_new();
    bool fine = names != NULL && context->authorities != NULL;
    for (size_t i = 0; fine && i < sk_X509_num(list); i++) {
        X509 *authority = sk_X509_value(list, i);
        if (X509_check_ca(authority) != 1) {
            status =
                xt_fail(failure, XT_INVALID,
                        "certificate %zu of %s is not one of an authority (CA:TRUE)", i + 1, path);
            break;
        }
        uint8_t *der = NULL;
        int size = i2d_X509_NAME(X509_get_subject_name(authority), &der);
        CRYPTO_BUFFER *name = size <= 0 ? NULL : CRYPTO_BUFFER_new(der, (size_t)size, NULL);
        OPENSSL_free(der);
        fine = X509_STORE_add_cert(context->authorities, authority) == 1 && name != NULL &&
               sk_CRYPTO_BUFFER_push(names, name) > 0;
        if (!fine) {
            CRYPTO_BUFFER_free(name);
        }
    }
    if (!fine) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", path);
    }
    if (status == XT_OK && material->revocations.size > 0) {
        int64_t now =
            material->revocations_were_in_force ? XT_REVOCATIONS_ANY_TIME : (int64_t)time(NULL);
        status = xt_revocations_load(material->revocations, material->revocations_name, list, now,
                                     &context->revocations, failure);
    }
    if (status == XT_OK && context->server) {
        SSL_CTX_set0_client_CAs(context->ssl_context, names); /* takes them over */
    } else {
        sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
    }
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    return status;
}
