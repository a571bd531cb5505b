/* crypto/revocation: lists of revoked certificates (CRL, RFC 5280 section 5).
 *
 * A server that has lists asks them about every client certificate and its intermediates, when it
 * connects, when it resumes and after a reload (crypto/tls). Then every authority must have a list in
 * force: one that is past its nextUpdate, or that is missing, refuses the clients of its authority,
 * since nobody could say any more who of them is revoked.
 *
 * Loading is strict: each list must be signed by one of the given authorities and be a plain one. Delta
 * and indirect lists, and critical extensions, are refused by name, not guessed at. One that has ended
 * is loaded all the same: it refuses the clients of its own authority only, where a refused file would
 * keep out what is urgent in the others, and a restart.
 * Internal to crypto/: the types are BoringSSL's. What makes a list is in crypto/authority.
 */
#ifndef XT_CRYPTO_REVOCATION_H
#define XT_CRYPTO_REVOCATION_H

#include "crypto/authority.h"

struct x509_st;
struct stack_st_X509;

#define XT_REVOCATIONS_PEM_MAX (16U << 20) /* bytes; some 200,000 entries */
#define XT_REVOCATIONS_MAX 16              /* lists in a file */

struct xt_revocations; /* opaque; read-only once loaded */

#define XT_REVOCATIONS_ANY_TIME                                                                    \
    (-1) /* for unix_s: that they are in force already was checked before */

/* name: what failures call it. authorities: who may have signed a list. XT_INVALID: not readable, of a
 * kind we do not judge, or an authority has none; XT_DENIED: not signed by an authority, not yet in
 * force at unix_s. Whoever loads tells the operator of one that has ended: xt_revocations_until. */
XT_MUST_USE enum xt_status xt_revocations_load(struct xt_span pem, const char *name,
                                               struct stack_st_X509 *authorities, int64_t unix_s,
                                               struct xt_revocations **revocations,
                                               struct xt_failure *failure);
void xt_revocations_free(struct xt_revocations *revocations);

/* When the first of the authorities has no list in force any more, Unix seconds; may have passed. */
int64_t xt_revocations_until(const struct xt_revocations *revocations);

enum xt_revocation { XT_NOT_REVOKED, XT_REVOKED, XT_REVOCATION_UNKNOWN };

/* What the lists say of a chain, leaf first, whose last certificate is a trusted one; *until is when the
 * first of the lists that were asked ends, Unix seconds: the answer holds no longer. The trusted one
 * itself is not asked about: to distrust it, take it out of the authorities. */
enum xt_revocation xt_revocations_judge(const struct xt_revocations *revocations,
                                        struct stack_st_X509 *chain, int64_t *until);

#endif
