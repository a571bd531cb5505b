#include "crypto/revocation.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "crypto/pem.h"

struct list {
    X509_CRL *entries;
    uint8_t issuer[XT_SPKI_SHA256]; /* whose it is: this key, and the name that the list has */
    int64_t from, until; /* thisUpdate; nextUpdate, once loaded the latest of its issuer's */
};

struct xt_revocations {
    size_t count;
    struct list lists[XT_REVOCATIONS_MAX];
};

/* The authority that signed a list; NULL: none of them. */
static X509 *signer(X509_CRL *crl, STACK_OF(X509) * authorities)
{
    for (size_t i = 0; i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        EVP_PKEY *key = X509_get_pubkey(authority);
        bool signed_it =
            X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(authority)) == 0 &&
            (X509_get_key_usage(authority) & KU_CRL_SIGN) != 0 && key != NULL &&
            X509_CRL_verify(crl, key) == 1;
        EVP_PKEY_free(key);
        if (signed_it) {
            return authority;
        }
    }
    return NULL;
}

static bool has_critical(const STACK_OF(X509_EXTENSION) * extensions)
{
    for (size_t i = 0; extensions != NULL && i < sk_X509_EXTENSION_num(extensions); i++) {
        if (X509_EXTENSION_get_critical(sk_X509_EXTENSION_value(extensions, i))) {
            return true;
        }
    }
    return false;
}

/* A list of everything that its signer revoked, and of nothing else: then an entry means what it says
 * and the absence of one too. */
static bool is_plain(X509_CRL *crl)
{
    if (has_critical(X509_CRL_get0_extensions(crl)) ||
        X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0 ||
        X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0) {
        return false;
    }
    const STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
    for (size_t i = 0; entries != NULL && i < sk_X509_REVOKED_num(entries); i++) {
        if (has_critical(X509_REVOKED_get0_extensions(sk_X509_REVOKED_value(entries, i)))) {
            return false;
        }
    }
    return true;
}

/* Fills *list from crl, which it takes over in any case. */
static enum xt_status take(X509_CRL *crl, const char *name, size_t number,
                           STACK_OF(X509) * authorities, int64_t unix_s, struct list *list,
                           struct xt_failure *failure)
{
    list->entries = crl;
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    const X509 *authority = signer(crl, authorities);
    if (authority == NULL) {
        return xt_fail(failure, XT_DENIED,
                       "list %zu of %s is not signed by an authority of the clients: take it out, "
                       "or restore it",
                       number, name);
    }
    if (!is_plain(crl)) {
        return xt_fail(failure, XT_INVALID,
                       "list %zu of %s is a delta, indirect or partial list, or has a critical "
                       "extension: ask the authority for its full list",
                       number, name);
    }
    if (next == NULL || !xt_x509_time(next, &list->until) ||
        !xt_x509_time(X509_CRL_get0_lastUpdate(crl), &list->from)) {
        return xt_fail(failure, XT_INVALID,
                       "list %zu of %s does not say until when it is in force (nextUpdate)", number,
                       name);
    }
    if (unix_s != XT_REVOCATIONS_ANY_TIME && unix_s < list->from) {
        return xt_fail(failure, XT_DENIED,
                       "list %zu of %s is not in force yet: look at this machine's clock", number,
                       name);
    }
    return xt_x509_spki(authority, list->issuer) ? XT_OK : XT_NO_MEMORY;
}

static enum xt_status read_lists(BIO *bio, const char *name, STACK_OF(X509) * authorities,
                                 int64_t unix_s, struct xt_revocations *revocations,
                                 struct xt_failure *failure)
{
    X509_CRL *crl;
    enum xt_status status;
    while ((status = xt_pem_list(bio, name, &crl, failure)) == XT_OK) {
        if (revocations->count == XT_REVOCATIONS_MAX) {
            X509_CRL_free(crl);
            return xt_fail(failure, XT_TOO_LARGE, "%s holds more than %d lists", name,
                           XT_REVOCATIONS_MAX);
        }
        struct list *list = &revocations->lists[revocations->count++];
        status = take(crl, name, revocations->count, authorities, unix_s, list, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* Two authorities may have one name, or one key under two names; a list only ever says something of
 * certificates that name its issuer (RFC 5280, 6.3.3). */
static bool is_of(const struct list *list, const X509_NAME *name,
                  const uint8_t spki[XT_SPKI_SHA256])
{
    return memcmp(list->issuer, spki, XT_SPKI_SHA256) == 0 &&
           X509_NAME_cmp(X509_CRL_get_issuer(list->entries), name) == 0;
}

static bool covers(const struct xt_revocations *revocations, const X509 *authority)
{
    uint8_t spki[XT_SPKI_SHA256];
    if (!xt_x509_spki(authority, spki)) {
        return false;
    }
    for (size_t i = 0; i < revocations->count; i++) {
        if (is_of(&revocations->lists[i], X509_get_subject_name(authority), spki)) {
            return true;
        }
    }
    return false;
}

/* An authority is silent only when the last of its lists has ended: an old one that was left beside its
 * successor must not shut its clients out. */
static void extend_ends(struct xt_revocations *revocations)
{
    for (size_t i = 0; i < revocations->count; i++) {
        struct list *list = &revocations->lists[i];
        for (size_t j = 0; j < revocations->count; j++) {
            const struct list *other = &revocations->lists[j];
            if (other->until > list->until &&
                is_of(other, X509_CRL_get_issuer(list->entries), list->issuer)) {
                list->until = other->until;
            }
        }
    }
}

enum xt_status xt_revocations_load(struct xt_span pem, const char *name,
                                   struct stack_st_X509 *authorities, int64_t unix_s,
                                   struct xt_revocations **revocations, struct xt_failure *failure)
{
    if (pem.size > XT_REVOCATIONS_PEM_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "%s is larger than %u bytes", name,
                       XT_REVOCATIONS_PEM_MAX);
    }
    struct xt_revocations *made = calloc(1, sizeof(*made));
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    enum xt_status status = XT_NO_MEMORY;
    if (made != NULL && bio != NULL) {
        status = read_lists(bio, name, authorities, unix_s, made, failure);
    }
    if (status == XT_NO_MEMORY) {
        xt_fail(failure, XT_NO_MEMORY, "cannot load %s: out of memory", name);
    }
    if (status == XT_OK && made->count == 0) {
        status = xt_fail(failure, XT_INVALID,
                         "%s holds no list of revoked certificates: it must be PEM "
                         "(-----BEGIN X509 CRL-----)",
                         name);
    }
    for (size_t i = 0; status == XT_OK && i < sk_X509_num(authorities); i++) {
        if (!covers(made, sk_X509_value(authorities, i))) {
            status = xt_fail(failure, XT_INVALID,
                             "%s has no list of authority %zu of the clients' authorities: add it, "
                             "an empty one if it revoked nobody",
                             name, i + 1);
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    if (status != XT_OK) {
        xt_revocations_free(made);
        return status;
    }
    extend_ends(made);
    *revocations = made;
    return XT_OK;
}

void xt_revocations_free(struct xt_revocations *revocations)
{
    if (revocations != NULL) {
        for (size_t i = 0; i < revocations->count; i++) {
            X509_CRL_free(revocations->lists[i].entries);
        }
        free(revocations);
    }
}

int64_t xt_revocations_until(const struct xt_revocations *revocations)
{
    int64_t until = INT64_MAX;
    for (size_t i = 0; i < revocations->count; i++) {
        if (revocations->lists[i].until < until) {
            until = revocations->lists[i].until;
        }
    }
    return until;
}

/* One certificate and who issued it. Of several lists of an issuer each may revoke. */
static enum xt_revocation judge(const struct xt_revocations *revocations, X509 *certificate,
                                const X509 *issuer, int64_t *until)
{
    enum xt_revocation result = XT_REVOCATION_UNKNOWN;
    uint8_t spki[XT_SPKI_SHA256];
    if (!xt_x509_spki(issuer, spki)) {
        return XT_REVOCATION_UNKNOWN;
    }
    for (size_t i = 0; i < revocations->count; i++) {
        const struct list *list = &revocations->lists[i];
        X509_REVOKED *entry;
        if (!is_of(list, X509_get_subject_name(issuer), spki)) {
            continue;
        }
        if (X509_CRL_get0_by_cert(list->entries, &entry, certificate) != 0) {
            return XT_REVOKED; /* also by a list that has ended */
        }
        if (list->until < *until) {
            *until = list->until;
        }
        result = XT_NOT_REVOKED;
    }
    return result;
}

enum xt_revocation xt_revocations_judge(const struct xt_revocations *revocations,
                                        struct stack_st_X509 *chain, int64_t *until)
{
    *until = INT64_MAX;
    for (size_t i = 0; i + 1 < sk_X509_num(chain); i++) {
        enum xt_revocation result =
            judge(revocations, sk_X509_value(chain, i), sk_X509_value(chain, i + 1), until);
        if (result != XT_NOT_REVOKED) {
            return result;
        }
    }
    return XT_NOT_REVOKED;
}
