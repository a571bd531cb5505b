#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "crypto/pem.h"
#include "crypto/tls_internal.h"

#define TICKET_SECONDS 3600 /* how long a session may be resumed */
#define TICKETS_SENT 1      /* one after each handshake: a ticket is used once and then replaced */
#define PEER_CHAIN_MAX                                                                             \
    16384 /* bytes of certificates that a peer nobody knows yet may make us hold */

static const uint8_t alpn_http11[] = "\x08http/1.1";
#define ALPN_HTTP11_SIZE (sizeof(alpn_http11) - 1)

/* Forward secret AEAD ciphers only. TLS 1.3 ones are fixed in the library, AES-GCM first where the
 * processor has it. */
static const char tls12_ciphers[] = "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
                                    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
                                    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

static const uint16_t verify_algorithms[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,    SSL_SIGN_RSA_PSS_RSAE_SHA512,
};

/* Under a sanitizer every buffer is allocated afresh, so that use after release is seen. */
#if defined(__SANITIZE_ADDRESS__)
#define POOLING false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLING false
#endif
#endif
#ifndef POOLING
#define POOLING true
#endif

struct xt_tls_buffer *xt_tls_buffer_take(struct xt_tls_context *context, size_t capacity)
{
    bool is_small = capacity <= XT_TLS_SMALL_BYTES;
    struct xt_tls_buffer **list = is_small ? &context->small : &context->large;
    struct xt_tls_buffer *buffer = *list;
    if (buffer != NULL) {
        *list = buffer->next;
        *(is_small ? &context->small_count : &context->large_count) -= 1;
    } else {
        size_t size = is_small ? XT_TLS_SMALL_BYTES : XT_TLS_LARGE_BYTES;
        xt_require(capacity <= size);
        buffer = malloc(sizeof(*buffer) + size);
        if (buffer == NULL) {
            return NULL;
        }
        buffer->capacity = size;
    }
    buffer->next = NULL;
    buffer->begin = 0;
    buffer->end = 0;
    return buffer;
}

void xt_tls_buffer_give(struct xt_tls_context *context, struct xt_tls_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    bool is_small = buffer->capacity == XT_TLS_SMALL_BYTES;
    size_t *count = is_small ? &context->small_count : &context->large_count;
    if (!POOLING || *count >= (is_small ? XT_TLS_SMALL_KEPT : XT_TLS_LARGE_KEPT)) {
        free(buffer);
        return;
    }
    struct xt_tls_buffer **list = is_small ? &context->small : &context->large;
    buffer->next = *list;
    *list = buffer;
    *count += 1;
}

static void free_buffers(struct xt_tls_buffer *list)
{
    while (list != NULL) {
        struct xt_tls_buffer *next = list->next;
        free(list);
        list = next;
    }
}

void xt_tls_context_close(struct xt_tls_context *context)
{
    if (context == NULL || --context->references > 0) {
        return;
    }
    for (size_t i = 0; i < context->session_count; i++) {
        SSL_SESSION_free(context->sessions[i]);
    }
    SSL_CTX_free(context->ssl_context);
    X509_STORE_free(context->authorities);
    BIO_meth_free(context->bio_method);
    free_buffers(context->small);
    free_buffers(context->large);
    free(context);
}

static enum ssl_verify_result_t verify_callback(SSL *ssl, uint8_t *alert)
{
    struct xt_tls *tls = xt_tls_of(ssl);
    bool fine = tls->context->authorities == NULL || xt_tls_verify_peer(tls, alert);
    return fine ? ssl_verify_ok : ssl_verify_invalid;
}

/* Takes http/1.1; a client that offers only other protocols is refused (RFC 7301, section 3.2). */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in,
                       unsigned in_size, void *data)
{
    (void)ssl;
    (void)data;
    for (size_t at = 0; at < in_size; at += 1U + in[at]) {
        if (in_size - at >= ALPN_HTTP11_SIZE &&
            memcmp(in + at, alpn_http11, ALPN_HTTP11_SIZE) == 0) {
            *out = alpn_http11 + 1;
            *out_size = ALPN_HTTP11_SIZE - 1;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A client's new ticket: kept for the next connection; the oldest makes room. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct xt_tls_context *context = xt_tls_of(ssl)->context;
    if (context->session_count == XT_TLS_SESSIONS_KEPT) {
        SSL_SESSION_free(context->sessions[0]);
        for (size_t i = 1; i < context->session_count; i++) {
            context->sessions[i - 1] = context->sessions[i];
        }
        context->session_count--;
    }
    context->sessions[context->session_count++] = session;
    return 1; /* taken over */
}

/* What servers and clients have in common; NULL when memory is short. */
static struct xt_tls_context *context_new(bool server, bool tls12)
{
    struct xt_tls_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        return NULL;
    }
    context->references = 1;
    context->server = server;
    context->bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "xt_tls");
    context->ssl_context = SSL_CTX_new(TLS_with_buffers_method());
    SSL_CTX *ssl = context->ssl_context;
    /* X25519MLKEM768 by number: older libraries do not know it and then go without. */
    if (ssl == NULL || context->bio_method == NULL ||
        BIO_meth_set_read(context->bio_method, xt_tls_bio_read) != 1 ||
        BIO_meth_set_write(context->bio_method, xt_tls_bio_write) != 1 ||
        BIO_meth_set_ctrl(context->bio_method, xt_tls_bio_ctrl) != 1 ||
        SSL_CTX_set_min_proto_version(ssl, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_strict_cipher_list(ssl, tls12_ciphers) != 1 ||
        (SSL_CTX_set1_curves_list(ssl, "X25519MLKEM768:X25519:P-256") != 1 &&
         SSL_CTX_set1_curves_list(ssl, "X25519:P-256") != 1) ||
        SSL_CTX_set_verify_algorithm_prefs(
            ssl, verify_algorithms, sizeof(verify_algorithms) / sizeof(verify_algorithms[0])) !=
            1) {
        xt_tls_context_close(context);
        ERR_clear_error();
        return NULL;
    }
    ERR_clear_error();
    SSL_CTX_set_max_cert_list(ssl, PEER_CHAIN_MAX);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_early_data_enabled(ssl, 0);
    return context;
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
static enum xt_status load_identity(struct xt_tls_context *context, const char *certificate,
                                    const char *key_path, struct xt_failure *failure)
{
    STACK_OF(X509) *list = NULL;
    STACK_OF(CRYPTO_BUFFER) *chain = NULL;
    EVP_PKEY *key = NULL;
    enum xt_status status = xt_pem_certificates(certificate, &list, failure);
    if (status == XT_OK) {
        status = xt_pem_key(key_path, &key, failure);
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
                         key_path, certificate);
    }

done:
    EVP_PKEY_free(key);
    sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    return status;
}

/* Whom we trust to sign the peer's certificate. */
static enum xt_status load_authorities(struct xt_tls_context *context, const char *path,
                                       struct xt_failure *failure)
{
    STACK_OF(X509) *list = NULL;
    enum xt_status status = xt_pem_certificates(path, &list, failure);
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
    if (status == XT_OK && context->server) {
        SSL_CTX_set0_client_CAs(context->ssl_context, names); /* takes them over */
    } else {
        sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
    }
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
    return status;
}

enum xt_status xt_tls_server(const struct xt_tls_server_files *files,
                             struct xt_tls_context **context, struct xt_failure *failure)
{
    struct xt_tls_context *made = context_new(true, files->allow_tls12);
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot set up TLS: out of memory");
    }
    enum xt_status status = load_identity(made, files->certificate, files->key, failure);
    if (status == XT_OK) {
        status = load_authorities(made, files->client_authority, failure);
    }
    if (status != XT_OK) {
        xt_tls_context_close(made);
        return status;
    }
    SSL_CTX *ssl = made->ssl_context;
    static const uint8_t session_context[] = "xacthuc";
    xt_require(SSL_CTX_set_session_id_context(ssl, session_context, sizeof(session_context)) == 1);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, TICKET_SECONDS);
    SSL_CTX_set_session_psk_dhe_timeout(ssl, TICKET_SECONDS);
    xt_require(SSL_CTX_set_num_tickets(ssl, TICKETS_SENT) == 1);
    SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
    SSL_CTX_set_custom_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                              verify_callback);
    *context = made;
    return XT_OK;
}

enum xt_status xt_tls_client(const struct xt_tls_client_files *files,
                             struct xt_tls_context **context, struct xt_failure *failure)
{
    struct xt_tls_context *made = context_new(false, true);
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot set up TLS: out of memory");
    }
    enum xt_status status = XT_OK;
    if (files->certificate != NULL) {
        status = load_identity(made, files->certificate, files->key, failure);
    }
    if (status == XT_OK && files->server_authority != NULL) {
        status = load_authorities(made, files->server_authority, failure);
    }
    if (status != XT_OK) {
        xt_tls_context_close(made);
        return status;
    }
    SSL_CTX *ssl = made->ssl_context;
    made->resume = files->resume;
    if (made->resume) {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl, keep_session);
    }
    xt_require(SSL_CTX_set_alpn_protos(ssl, alpn_http11, ALPN_HTTP11_SIZE) == 0);
    SSL_CTX_set_custom_verify(ssl, made->authorities != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                              verify_callback);
    *context = made;
    return XT_OK;
}
