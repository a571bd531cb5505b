/* bench/load_signed: asks for signed answers (net/signature) and verifies them, as a partner would: with
 * the server's published keys and nothing else of it.
 *
 * Thread: read only once opened; all threads share it.
 */
#ifndef XT_BENCH_LOAD_SIGNED_H
#define XT_BENCH_LOAD_SIGNED_H

#include "bench/response.h"

/* Of so many answers of a thread one is verified: it costs the client three times what signing costs the
 * server. That the fields are there is looked at in all. */
#define XT_LOAD_SIGNED_SAMPLE 16U

#define XT_LOAD_DIGEST_SIZE 54U /* characters: sha-256=:...: */
/* What every request has besides Content-Digest. */
#define XT_LOAD_SIGNED_LIST                                                                        \
    "(\"@status\" \"content-digest\" \"@method\";req \"@path\";req \"content-digest\";req)"
#define XT_LOAD_SIGNED_FIELD "Accept-Signature: sig=" XT_LOAD_SIGNED_LIST ";created;keyid\r\n"

struct xt_load_keys; /* opaque */

/* Reads a JWK set as /.well-known/jwks.json gives it. XT_INVALID: no Ed25519 key in it. */
XT_MUST_USE enum xt_status xt_load_keys_open(const char *path, struct xt_load_keys **keys,
                                             struct xt_failure *failure);
void xt_load_keys_close(struct xt_load_keys *keys); /* NULL is fine */

/* Writes the Content-Digest of a body, XT_LOAD_DIGEST_SIZE characters. */
void xt_load_write_digest(struct xt_span body, struct xt_writer *writer);

/* Whether the answer to POST /v1/verify with that Content-Digest is signed; whole: verified, too. *why
 * tells what is wrong otherwise. */
bool xt_load_is_signed(const struct xt_load_keys *keys, const struct xt_response_head *head,
                       struct xt_span body, struct xt_span request_digest, bool whole,
                       const char **why);

#endif
