/* crypto/tls_internal: what the files of TLS share. Internal to crypto/.
 *
 *   tls_context.c   configuration, the pool of buffers, counting references
 *   tls_material.c  certificates, keys and authorities, from files and from memory
 *   tls_verify.c    is the peer's certificate good, and whose is it
 *   tls_ticket.c    between the library's tickets and ours
 *   tls.c           one connection: bytes in, bytes out
 *
 * The types are BoringSSL's, named here without its headers.
 */
#ifndef XT_CRYPTO_TLS_INTERNAL_H
#define XT_CRYPTO_TLS_INTERNAL_H

#include "crypto/tls.h"

struct bio_method_st;
struct bio_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct ssl_ticket_aead_method_st;
struct x509_store_st;
struct xt_revocations;

/* The largest record that we or a peer may send, its header and the overhead of any cipher. */
#define XT_TLS_RECORD_MAX (16384 + 5 + 256)

/* Buffers of two sizes: one record, and all that may wait. */
#define XT_TLS_SMALL_BYTES XT_TLS_INPUT_KEPT_MAX
#define XT_TLS_LARGE_BYTES XT_TLS_OUTPUT_MAX
_Static_assert(XT_TLS_RECORD_MAX <= XT_TLS_SMALL_BYTES, "a record fits into a small buffer");

/* Free buffers that a context keeps: 4.25 MiB of small ones and 3 MiB of large ones. */
#define XT_TLS_SMALL_KEPT 256
#define XT_TLS_LARGE_KEPT 32

/* Bytes begin..end are waiting; those before begin are gone, those after end are free. */
struct xt_tls_buffer {
    struct xt_tls_buffer *next; /* in the free list */
    size_t capacity, begin, end;
    uint8_t data[];
};

/* A leaf certificate that has been verified under this context, and until when that holds. */
struct xt_tls_verified {
    uint8_t digest[32]; /* SHA-256 of the leaf in DER */
    uint8_t spki[XT_SPKI_SHA256];
    int64_t not_before, not_after; /* when every certificate of the chain is valid */
    int64_t lists_until;           /* when a revocation list that was asked ends */
};
#define XT_TLS_VERIFIED_SLOTS 256 /* by the first byte of the digest; 26 KiB a context */
#define XT_TLS_SESSIONS_KEPT 256  /* a client's tickets for later connections */

struct xt_tls_context {
    unsigned references;
    uint64_t identity; /* random, never 0: another context, also at the same address, has another */
    bool server;
    bool resume; /* a client that keeps its sessions */
    struct ssl_ctx_st *ssl_context;
    struct bio_method_st *bio_method;
    struct x509_store_st *authorities;  /* NULL: the peer is not verified */
    struct xt_revocations *revocations; /* NULL: nothing is revoked */
    struct xt_tickets *tickets;         /* borrowed; NULL: the library's own */

    struct xt_tls_buffer *small, *large;
    size_t small_count, large_count;
    size_t large_lent;

    struct ssl_session_st *sessions[XT_TLS_SESSIONS_KEPT];
    size_t session_count;

    struct xt_tls_verified verified[XT_TLS_VERIFIED_SLOTS];
};

struct xt_tls {
    struct xt_tls_context *context;
    struct ssl_st *ssl;
    struct xt_span fed;           /* borrowed from the caller, not consumed yet */
    struct xt_tls_buffer *kept;   /* input that was copied by xt_tls_settle; comes before fed */
    struct xt_tls_buffer *output; /* NULL: nothing to send */
    const char *error;
    enum xt_status failed; /* XT_OK until the connection broke; then every call gives it */
    bool established, has_peer, out_of_memory;
    uint64_t judged_by;    /* identity of the context that judged the peer last; 0: none */
    enum xt_status judged; /* XT_OK or XT_DENIED */
    int64_t judged_until;  /* Unix seconds: after that it must be asked again */
    int64_t peer_not_after;
    uint8_t peer_spki[XT_SPKI_SHA256], peer_certificate[XT_CERTIFICATE_SHA256];
    char server_name[]; /* what a client expects; empty for a server */
};

/* Buffers of a context's pool. NULL: out of memory, or a server has lent XT_TLS_LENT_MAX large ones. */
struct xt_tls_buffer *xt_tls_buffer_take(struct xt_tls_context *context, size_t capacity);
void xt_tls_buffer_give(struct xt_tls_context *context, struct xt_tls_buffer *buffer);

/* Verifies the peer's chain under a context, that of the connection or a newer one, and fills
 * peer_spki and peer_not_after. On failure *alert says what to tell the peer and tls->error why. Also
 * for resumed sessions, which BoringSSL does not verify. */
XT_MUST_USE bool xt_tls_verify_peer(struct xt_tls *tls, struct xt_tls_context *context,
                                    int64_t unix_s, uint8_t *alert);

/* Our own certificate with its intermediates, leaf first, and its key. */
XT_MUST_USE enum xt_status xt_tls_load_identity(struct xt_tls_context *context,
                                                const struct xt_tls_server_material *material,
                                                struct xt_failure *failure);
/* Whom we trust to sign the peer's certificate, and what they revoked. */
XT_MUST_USE enum xt_status xt_tls_load_authorities(struct xt_tls_context *context,
                                                   const struct xt_tls_server_material *material,
                                                   struct xt_failure *failure);

/* Seals and opens tickets with context->tickets. */
const struct ssl_ticket_aead_method_st *xt_tls_ticket_method(void);

/* Connections of a context know themselves through their SSL. */
struct xt_tls *xt_tls_of(const struct ssl_st *ssl);

/* The methods of the BIO between a connection's SSL and its buffers. */
int xt_tls_bio_read(struct bio_st *bio, char *data, int size);
int xt_tls_bio_write(struct bio_st *bio, const char *data, int size);
long xt_tls_bio_ctrl(struct bio_st *bio, int command, long number, void *data);

#endif
