/* crypto/tls: TLS over buffers of the caller: no socket, no file, no waiting.
 *
 *            xt_tls_feed(ciphertext from the socket)
 *   socket -------------------------------------------> [ xt_tls ] --xt_tls_read--> plaintext
 *   socket <------------------------------------------- [ xt_tls ] <-xt_tls_write-- plaintext
 *            xt_tls_output / xt_tls_output_taken
 *
 * Input is borrowed only during the call that is given it, and what was not consumed is kept by the
 * connection (at most one partial record); output collects in a buffer borrowed from a pool of the
 * context and bounded by XT_TLS_OUTPUT_MAX, so that an idle connection holds next to nothing. A server's
 * context lends at most XT_TLS_LENT_MAX buffers for more than a record: clients that do not read what
 * they asked for cost no more, and one who comes on top has XT_NO_MEMORY and is closed.
 *
 * Server: TLS 1.3 (1.2 by configuration), mutual: a client without a certificate of the authority, or
 * with a revoked one, is refused in the handshake; a resumed session's certificate is judged again
 * (chain and revocation once per context, validity always). No renegotiation, no early data, ALPN
 * http/1.1. Which partner a certificate belongs to is for the caller, from its SPKI digest, on every
 * request. One session ticket leaves with the first answer and not in a write of its own; sessions
 * may be resumed until an hour after the handshake in which the client last proved its key.
 *
 * Reload: a new context for new connections; old connections keep theirs, and xt_tls_rejudge asks
 * before each of their requests whether their certificate would still be let in now.
 * Thread: contexts and connections belong to one loop.
 */
#ifndef XT_CRYPTO_TLS_H
#define XT_CRYPTO_TLS_H

#include "core/span.h"
#include "core/status.h"
#include "crypto/authority.h"

#define XT_TLS_OUTPUT_MAX (96U << 10) /* bytes of ciphertext waiting; more is XT_AGAIN */
/* Of these, what a write of up to 64 KiB may come with: records around it, an alert, and before the
 * first a ticket, which has the client's certificates in it (16 KiB at most). */
#define XT_TLS_OVERHEAD_MAX (24U << 10)
#define XT_TLS_LENT_MAX 1024              /* large buffers: 96 MiB */
#define XT_TLS_INPUT_KEPT_MAX (17U << 10) /* bytes that xt_tls_settle keeps: a record and a bit */

struct xt_tls_context; /* opaque: server or client configuration; counted by its connections */
struct xt_tls;         /* opaque: one connection */

struct xt_tickets; /* crypto/tickets.h */

/* What a server's context is made of. Everything is borrowed during the call, but for tickets, which
 * must live as long as the context and its connections. */
struct xt_tls_server_material {
    struct xt_span certificate;      /* PEM: the server's, then its intermediates */
    struct xt_span key;              /* PEM, no passphrase */
    struct xt_span client_authority; /* PEM: who may sign client certificates, one or several */
    struct xt_span revocations;      /* PEM: lists of what they revoked (crypto/revocation); empty:
                                      * nothing is revoked */
    /* What failures call each of them, a path for example; NULL: words of our own. */
    const char *certificate_name, *key_name, *client_authority_name, *revocations_name;
    bool allow_tls12;
    /* For a worker, whose supervisor refused lists that were not yet in force when it loaded them: a
     * clock that was set back since must not keep a replaced worker from starting. */
    bool revocations_were_in_force;
    struct xt_tickets *tickets; /* NULL: tickets of this context only, in this process only */
};
/* XT_INVALID, XT_TOO_LARGE, XT_DENIED (lists not yet in force, lists of a stranger): the reason for the
 * operator is in *failure and nothing was made. */
XT_MUST_USE enum xt_status xt_tls_server(const struct xt_tls_server_material *material,
                                         struct xt_tls_context **context,
                                         struct xt_failure *failure);

/* The same from files. The key's must be readable for its owner only. */
struct xt_tls_server_files {
    const char *certificate, *key;
    const char *client_authority;
    const char *revocations; /* NULL or no such file: none */
};
/* Fills the four spans and names of *material and leaves its other members alone; the names are the
 * paths, borrowed. Give the spans back with xt_tls_material_release, which wipes them; on failure
 * there is nothing to give back. */
XT_MUST_USE enum xt_status xt_tls_material_read(const struct xt_tls_server_files *files,
                                                struct xt_tls_server_material *material,
                                                struct xt_failure *failure);
void xt_tls_material_release(struct xt_tls_server_material *material);

/* When the first of the context's authorities has no revocation list in force any more, Unix seconds;
 * INT64_MAX: there are no lists. It may have passed when the context was made. From then on every client
 * certificate of that authority is refused until a newer list is loaded: warn the operator long before. */
int64_t xt_tls_revocations_until(const struct xt_tls_context *context);

struct xt_tls_client_files {
    const char *certificate, *key; /* PEM; NULL: present none */
    const char *server_authority;  /* PEM; NULL: do not verify (only for negative tests) */
    bool resume; /* keep tickets and use them for later connections; the context then serves one
                  * server only, and server_name must always be the same */
};
XT_MUST_USE enum xt_status xt_tls_client(const struct xt_tls_client_files *files,
                                         struct xt_tls_context **context,
                                         struct xt_failure *failure);

/* Drops the caller's reference; connections keep the context alive until they close. */
void xt_tls_context_close(struct xt_tls_context *context);

/* server_name: for a client, the name or IP literal that the server's certificate must carry; NULL
 * for a server. A client's first flight is there to be sent at once after xt_tls_handshake. */
XT_MUST_USE enum xt_status xt_tls_open(struct xt_tls_context *context, const char *server_name,
                                       struct xt_tls **tls);
void xt_tls_close(struct xt_tls *tls);

/* Gives received ciphertext, borrowed until the handshake or read that consumes all of it (XT_AGAIN)
 * or xt_tls_settle. What was fed before must have been consumed or settled. */
void xt_tls_feed(struct xt_tls *tls, struct xt_span ciphertext);

/* Copies what of the fed input has not been consumed yet, so that the caller's buffer is free again.
 * XT_TOO_LARGE when it would be more than XT_TLS_INPUT_KEPT_MAX: who feeds at most 16 KiB at a time
 * and feeds no more while something is kept never sees it. */
XT_MUST_USE enum xt_status xt_tls_settle(struct xt_tls *tls);

/* XT_OK: done; on a server the client's certificate has then been verified. XT_AGAIN: send the
 * output, feed more. XT_DENIED: the peer's certificate was refused or missing, or it refused ours;
 * XT_INVALID: not TLS or a protocol error; XT_NO_MEMORY. Any output (an alert) is to be sent before
 * closing. After an error every call on the connection gives the same one. */
XT_MUST_USE enum xt_status xt_tls_handshake(struct xt_tls *tls);

/* Only after xt_tls_handshake gave XT_OK, as xt_tls_write. XT_OK with *got > 0: call again, there may
 * be more; XT_AGAIN: feed more; XT_CLOSED: close_notify; XT_INVALID: protocol error; XT_DENIED: on a
 * client, the server refused our certificate (with TLS 1.3 it says so only now). There may be output
 * afterwards: an alert, or an answer to a key update. */
XT_MUST_USE enum xt_status xt_tls_read(struct xt_tls *tls, uint8_t *data, size_t size, size_t *got);

/* Encrypts all of plain into the output, in records of up to 16 KiB. XT_AGAIN: not enough room for
 * all of it below XT_TLS_OUTPUT_MAX, *taken says how much went in. */
XT_MUST_USE enum xt_status xt_tls_write(struct xt_tls *tls, struct xt_span plain, size_t *taken);

/* close_notify into the output. */
void xt_tls_shutdown(struct xt_tls *tls);

/* Ciphertext to send; borrowed until the next call on tls. */
struct xt_span xt_tls_output(struct xt_tls *tls);
/* size bytes of it were sent; an empty output gives its buffer back to the pool. */
void xt_tls_output_taken(struct xt_tls *tls, size_t size);

/* The peer's leaf certificate, after the handshake. XT_NOT_FOUND: it sent none. Computed once per
 * connection, also on resumed sessions. */
XT_MUST_USE enum xt_status xt_tls_peer_spki(const struct xt_tls *tls, uint8_t spki[XT_SPKI_SHA256]);
/* The SHA-256 of the same in DER (RFC 8705, section 3.1). */
#define XT_CERTIFICATE_SHA256 32
XT_MUST_USE enum xt_status xt_tls_peer_certificate(const struct xt_tls *tls,
                                                   uint8_t digest[XT_CERTIFICATE_SHA256]);
/* When the leaf or something above it in its chain expires, Unix seconds: re-checked by the caller on
 * long connections. */
int64_t xt_tls_peer_not_after(const struct xt_tls *tls);

/* Whether the client of an established connection would still be let in by `current`, the server's
 * context of now, at unix_s: for every request. Compares two numbers unless the context is another
 * one than at the last call, and then verifies the certificate once. XT_DENIED: revoked, not of an
 * authority any more, expired, or its revocation list is; xt_tls_error says which. The connection
 * itself stays intact, so that the refusal can be answered. */
XT_MUST_USE enum xt_status xt_tls_rejudge(struct xt_tls *tls, struct xt_tls_context *current,
                                          int64_t unix_s);

bool xt_tls_resumed(const struct xt_tls *tls);
const char *xt_tls_version(const struct xt_tls *tls); /* "TLSv1.3" */

/* A word for the log on why the last call failed ("certificate_expired"); never peer text. */
const char *xt_tls_error(const struct xt_tls *tls);

#endif
