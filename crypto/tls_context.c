#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/keyring.h"
#include "crypto/revocation.h"
#include "crypto/tickets.h"
#include "crypto/tls_internal.h"

#define TICKETS_SENT 1 /* one after each handshake: a ticket is used once and then replaced */
#define PEER_CHAIN_MAX                                                                             \
    16384 /* bytes of certificates that a peer nobody knows yet may make us hold */

static const uint8_t alpn_http11[] = "\x08http/1.1";
#define ALPN_HTTP11_SIZE (sizeof(alpn_http11) - 1)

/* Forward secret AEAD ciphers only, in the server's order. TLS 1.3 ones are fixed in the library,
 * AES-GCM first where the processor has it. */
static const char tls12_ciphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305";

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
    if (!is_small && context->server && context->large_lent >= XT_TLS_LENT_MAX) {
        return NULL;
    }
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
    context->large_lent += !is_small;
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
    context->large_lent -= !is_small;
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
    xt_revocations_free(context->revocations);
    BIO_meth_free(context->bio_method);
    free_buffers(context->small);
    free_buffers(context->large);
    free(context);
}

static enum ssl_verify_result_t verify_callback(SSL *ssl, uint8_t *alert)
{
    struct xt_tls *tls = xt_tls_of(ssl);
    bool fine = tls->context->authorities == NULL ||
                xt_tls_verify_peer(tls, tls->context, (int64_t)time(NULL), alert);
    if (fine && tls->context->server) {
        /* Tickets are renewed with each resumption, but all of them together do not outlive the proof
         * of the client's key by more than this. */
        SSL_SESSION_set_timeout(SSL_get_session(ssl), XT_TICKET_LIFE_SECONDS);
    }
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
    do {
        xt_random(&context->identity, sizeof(context->identity));
    } while (context->identity == 0);
    context->bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "xt_tls");
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
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return context;
}

/* What a client may not have, in words that failures use. */
static void name_material(struct xt_tls_server_material *material)
{
    if (material->certificate_name == NULL) {
        material->certificate_name = "the server's certificate";
    }
    if (material->key_name == NULL) {
        material->key_name = "the server's key";
    }
    if (material->client_authority_name == NULL) {
        material->client_authority_name = "the clients' authority";
    }
    if (material->revocations_name == NULL) {
        material->revocations_name = "the list of revoked certificates";
    }
}

static void configure_server(struct xt_tls_context *context)
{
    SSL_CTX *ssl = context->ssl_context;
    static const uint8_t session_context[] = "xacthuc";
    xt_require(SSL_CTX_set_session_id_context(ssl, session_context, sizeof(session_context)) == 1);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ssl, XT_TICKET_LIFE_SECONDS);
    SSL_CTX_set_session_psk_dhe_timeout(ssl, XT_TICKET_LIFE_SECONDS);
    xt_require(SSL_CTX_set_num_tickets(ssl, TICKETS_SENT) == 1);
    if (context->tickets != NULL) {
        SSL_CTX_set_ticket_aead_method(ssl, xt_tls_ticket_method());
    }
    SSL_CTX_set_alpn_select_cb(ssl, select_alpn, NULL);
    SSL_CTX_set_custom_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                              verify_callback);
}

enum xt_status xt_tls_server(const struct xt_tls_server_material *given,
                             struct xt_tls_context **context, struct xt_failure *failure)
{
    struct xt_tls_server_material material = *given;
    struct xt_tls_context *made = context_new(true, material.allow_tls12);
    if (made == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot set up TLS: out of memory");
    }
    name_material(&material);
    enum xt_status status = xt_tls_load_identity(made, &material, failure);
    if (status == XT_OK) {
        status = xt_tls_load_authorities(made, &material, failure);
    }
    if (status != XT_OK) {
        xt_tls_context_close(made);
        return status;
    }
    made->tickets = material.tickets;
    configure_server(made);
    *context = made;
    return XT_OK;
}

int64_t xt_tls_revocations_until(const struct xt_tls_context *context)
{
    return context->revocations == NULL ? INT64_MAX : xt_revocations_until(context->revocations);
}

static void configure_client(struct xt_tls_context *context, bool resume)
{
    SSL_CTX *ssl = context->ssl_context;
    context->resume = resume;
    if (resume) {
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl, keep_session);
    }
    xt_require(SSL_CTX_set_alpn_protos(ssl, alpn_http11, ALPN_HTTP11_SIZE) == 0);
    bool verified = context->authorities != NULL;
    SSL_CTX_set_custom_verify(ssl, verified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify_callback);
}

enum xt_status xt_tls_client(const struct xt_tls_client_files *files,
                             struct xt_tls_context **context, struct xt_failure *failure)
{
    struct xt_tls_server_files sources = {.certificate = files->certificate,
                                          .key = files->key,
                                          .client_authority = files->server_authority};
    struct xt_tls_server_material material = {.allow_tls12 = true};
    enum xt_status status = xt_tls_material_read(&sources, &material, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_tls_context *made = context_new(false, true);
    if (made == NULL) {
        xt_tls_material_release(&material);
        return xt_fail(failure, XT_NO_MEMORY, "cannot set up TLS: out of memory");
    }
    if (files->certificate != NULL) {
        status = xt_tls_load_identity(made, &material, failure);
    }
    if (status == XT_OK && files->server_authority != NULL) {
        status = xt_tls_load_authorities(made, &material, failure);
    }
    xt_tls_material_release(&material);
    if (status != XT_OK) {
        xt_tls_context_close(made);
        return status;
    }
    configure_client(made, files->resume);
    *context = made;
    return XT_OK;
}
