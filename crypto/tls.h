/* crypto/tls: TLS over buffers of the caller: no socket, no file, no waiting.
 *
 *            xt_tls_feed(ciphertext from the socket)
 *   socket -------------------------------------------> [ xt_tls ] --xt_tls_read--> plaintext
 *   socket <------------------------------------------- [ xt_tls ] <-xt_tls_write-- plaintext
 *            xt_tls_output / xt_tls_output_taken
 *
 * Input is borrowed only during the call that is given it, and what was not consumed is kept by the
 * connection (at most one partial record); output collects in a buffer borrowed from a pool of the
 * context and bounded by XT_TLS_OUTPUT_MAX, so that an idle connection holds next to nothing.
 *
 * Server: TLS 1.3 (1.2 by configuration), mutual: a client without a certificate of the authority is
 * refused in the handshake; a resumed session's certificate is judged again (chain once per context,
 * validity always). No renegotiation, no early data, ALPN http/1.1. Which partner a certificate
 * belongs to is for the caller, from its SPKI digest, on every request. One session ticket, good for
 * an hour, leaves with the first answer and not in a write of its own.
 * Thread: contexts and connections belong to one loop.
 */
#ifndef XT_CRYPTO_TLS_H
#define XT_CRYPTO_TLS_H

#include "core/span.h"
#include "core/status.h"
#include "crypto/authority.h"

#define XT_TLS_OUTPUT_MAX (64U << 10)     /* bytes of ciphertext waiting; more is XT_AGAIN */
#define XT_TLS_INPUT_KEPT_MAX (17U << 10) /* bytes that xt_tls_settle keeps: a record and a bit */

struct xt_tls_context; /* opaque: server or client configuration; counted by its connections */
struct xt_tls;         /* opaque: one connection */

struct xt_tls_server_files {
    const char *certificate, *key; /* PEM */
    const char *client_authority;  /* PEM: who may sign client certificates */
    bool allow_tls12;
};
XT_MUST_USE enum xt_status xt_tls_server(const struct xt_tls_server_files *files,
                                         struct xt_tls_context **context,
                                         struct xt_failure *failure);

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
/* When the leaf or something above it in its chain expires, Unix seconds: re-checked by the caller on
 * long connections. */
int64_t xt_tls_peer_not_after(const struct xt_tls *tls);

bool xt_tls_resumed(const struct xt_tls *tls);
const char *xt_tls_version(const struct xt_tls *tls); /* "TLSv1.3" */

/* A word for the log on why the last call failed ("certificate_expired"); never peer text. */
const char *xt_tls_error(const struct xt_tls *tls);

#endif
