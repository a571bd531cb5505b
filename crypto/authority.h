/* crypto/authority: the deployment's private certificate authority (X.509, ECDSA P-256).
 *
 * DIR/keys/ca.key (0600), DIR/ca.crt; DIR/keys/server.key (0600), DIR/server.crt.
 * Files are PEM. Serial numbers are 16 random bytes; times start 5 minutes back for clock skew.
 */
#ifndef XT_CRYPTO_AUTHORITY_H
#define XT_CRYPTO_AUTHORITY_H

#include <time.h>

#include "core/span.h"
#include "core/status.h"

#define XT_SPKI_SHA256 32

#define XT_CLOCK_SKEW_SECONDS 300 /* certificates begin so long ago: clocks differ */
#define XT_CERTIFICATE_DAYS 397   /* life of a server's or partner's certificate by default */

/* Makes ca.key and ca.crt (10 years, pathlen 0, keyCertSign and cRLSign). */
XT_MUST_USE enum xt_status xt_authority_create(const char *key_path, const char *certificate_path,
                                               const char *common_name, struct xt_failure *failure);

enum xt_certificate_use { XT_CERTIFICATE_SERVER, XT_CERTIFICATE_CLIENT };

struct xt_certificate_request {
    enum xt_certificate_use use;
    const char *common_name;
    const char *const *dns_names; /* NULL-terminated, or NULL */
    const char *const *addresses; /* IP literals, NULL-terminated, or NULL */
    const char *revocations_url;  /* where its authority's list can be fetched, or NULL */
    time_t not_before, not_after; /* Unix seconds */
};

/* Makes a P-256 key and a certificate for it signed by the authority, and writes both. Gives the
 * SHA-256 of its SubjectPublicKeyInfo. Refuses to overwrite: XT_EXISTS. The key gets mode
 * 0600, and neither file is left without the other. */
XT_MUST_USE enum xt_status xt_authority_issue(const char *ca_key_path,
                                              const char *ca_certificate_path,
                                              const struct xt_certificate_request *request,
                                              const char *key_path, const char *certificate_path,
                                              uint8_t spki[XT_SPKI_SHA256],
                                              struct xt_failure *failure);

/* What the authority revoked stands in a list (CRL, RFC 5280 section 5) that is signed anew with every
 * change: numbers rise, entries stay. It must be renewed before it ends, or all are refused. */
#define XT_REVOCATION_DAYS 30 /* by default, until a list must have been renewed */

struct xt_revocation_list {
    size_t entries;               /* certificates revoked so far */
    int64_t until;                /* nextUpdate, Unix seconds */
    bool was_revoked;             /* the certificate stood there before */
    uint8_t spki[XT_SPKI_SHA256]; /* of the certificate; zero without one */
};

/* Adds the first certificate of certificate_path to the list at list_path, which is made when there is
 * none; NULL: only renews it. Two of these at a time wait for each other. XT_DENIED: not a certificate
 * of this authority; XT_INVALID, XT_DENIED: what stands at list_path is no list of its. */
XT_MUST_USE enum xt_status xt_authority_revoke(const char *ca_key_path,
                                               const char *ca_certificate_path,
                                               const char *certificate_path, const char *list_path,
                                               unsigned days, struct xt_revocation_list *result,
                                               struct xt_failure *failure);

/* Whether a file is one or more certificates or lists of revoked ones: in PEM by its marks, in DER as a whole. */
bool xt_is_certificate_or_list(struct xt_span content);
/* Whether a file has a private key in PEM, of any form (RFC 7468, RFC 5915). */
bool xt_has_private_key(struct xt_span content);

/* The first DNS name of the first certificate in PEM text, for which clients look there (RFC 6125); "": it has none that
 * fits, or the text is no certificate. */
#define XT_CERTIFICATE_NAME_MAX 253
void xt_certificate_name(struct xt_span pem, char name[XT_CERTIFICATE_NAME_MAX + 1]);

/* SHA-256 of the SubjectPublicKeyInfo of the first certificate in a PEM file. */
XT_MUST_USE enum xt_status xt_certificate_spki(const char *path, uint8_t spki[XT_SPKI_SHA256],
                                               struct xt_failure *failure);

/* The same, once it is clear that a handshake will accept it from a caller: signed by an authority in
 * authority_path (what follows it in path are intermediates), for TLS clients, in force now. XT_DENIED
 * says why not and what to do. */
XT_MUST_USE enum xt_status xt_certificate_check_client(const char *path, const char *authority_path,
                                                       uint8_t spki[XT_SPKI_SHA256],
                                                       struct xt_failure *failure);

#endif
