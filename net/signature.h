/* net/signature: signed answers: HTTP message signatures (RFC 9421) with Ed25519, and Content-Digest
 * (RFC 9530).
 *
 *   request   Content-Digest: sha-256=:...:                             looked at against the body
 *             Accept-Signature: sig=("@status" "content-digest" "@method";req "@path";req
 *                                    "content-digest";req);created;keyid;nonce="..."
 *   answer    Content-Digest: sha-256=:...:
 *             Signature-Input: sig=(...);created=1700000000;keyid="...";nonce="..."
 *             Signature: sig=:...:
 *
 * A signature covers what Accept-Signature lists, in its order, under its label, but never less than
 * "@status" and "content-digest", so that none says of an answer only half of what it is. What is not
 * in the table of components, or cannot be met, is refused (section 5.2). Partners with the right
 * `signed` get one over all components there are, without asking.
 * Signed is every answer to a request that came whole, refusals too; not what overload or a malformed
 * request is answered with. txn stands in both bodies, so the digests cover it.
 *
 * The time it takes does not depend on what the answer says; its length only on what was asked for.
 * Memory: borrows the request.
 */
#ifndef XT_NET_SIGNATURE_H
#define XT_NET_SIGNATURE_H

#include "crypto/answer_key.h"
#include "net/http.h"
#include "net/problem.h"

#define XT_SIGNATURE_LABEL_MAX 32 /* characters of a label that a client chooses */
#define XT_SIGNATURE_TEXT_MAX 64  /* of a nonce and of a tag, escapes counted */
#define XT_SIGNATURE_FIELD_MAX                                                                     \
    256 /* bytes of a request's Content-Digest, and of a path, to be covered */

/* What a signed answer counts for among those of a turn (limits.requests_per_turn): it costs about so
 * many times the work of one that is not signed. */
#define XT_SIGNATURE_REQUESTS 8

enum xt_signature_component {
    XT_COVERS_STATUS,
    XT_COVERS_CONTENT_DIGEST,
    XT_COVERS_METHOD,
    XT_COVERS_PATH,
    XT_COVERS_REQUEST_DIGEST,
    XT_SIGNATURE_COMPONENTS
};

struct xt_signing {
    bool wanted;
    bool with_alg;
    unsigned count;
    uint8_t components[XT_SIGNATURE_COMPONENTS]; /* enum xt_signature_component, in order */
    struct xt_span label;
    struct xt_span nonce, tag;     /* as they stood, with escapes; data NULL: not asked for */
    struct xt_span request_digest; /* the request's Content-Digest; size 0: none that we know */
};

/* Reads both fields of a request that is whole. keys NULL: nothing can be signed. On a problem what was
 * understood is in *signing, so that the refusal is signed too where it can be. */
XT_MUST_USE enum xt_problem xt_signature_read(const struct xt_http_request *request,
                                              const struct xt_answer_keys *keys,
                                              struct xt_signing *signing);

/* What a partner gets who always gets one. */
void xt_signature_by_right(const struct xt_http_request *request, struct xt_signing *signing);

/* Writes the three fields, at most XT_SIGNATURE_LINES_MAX bytes. body: what follows the head. */
void xt_signature_write(const struct xt_answer_keys *keys, const struct xt_signing *signing,
                        const struct xt_http_request *request, unsigned status, struct xt_span body,
                        uint64_t unix_s, struct xt_writer *lines);

#endif
