#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "crypto/pem.h"
#include "crypto/revocation.h"
#include "crypto/tls_internal.h"

#define CHAIN_DEPTH_MAX 4 /* intermediates between a leaf and an authority of ours */

/* A refusal in two languages: the log's and the wire's (RFC 8446, section 6.2). */
struct refusal {
    int error; /* X509_V_ERR_... */
    uint8_t alert;
    const char *word;
};

static const struct refusal refusals[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED, "certificate_expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, SSL_AD_CERTIFICATE_EXPIRED, "certificate_not_yet_valid"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_CERT_UNTRUSTED, SSL_AD_UNKNOWN_CA, "unknown_ca"},
    {X509_V_ERR_INVALID_PURPOSE, SSL_AD_UNSUPPORTED_CERTIFICATE, "wrong_purpose"},
    {X509_V_ERR_INVALID_NON_CA, SSL_AD_UNSUPPORTED_CERTIFICATE, "certificate_is_ca"},
    {X509_V_ERR_CERT_REJECTED, SSL_AD_BAD_CERTIFICATE, "weak_key"},
    {X509_V_ERR_INVALID_CA, SSL_AD_BAD_CERTIFICATE, "invalid_ca"},
    {X509_V_ERR_PATH_LENGTH_EXCEEDED, SSL_AD_BAD_CERTIFICATE, "chain_too_long"},
    {X509_V_ERR_CERT_CHAIN_TOO_LONG, SSL_AD_BAD_CERTIFICATE, "chain_too_long"},
    {X509_V_ERR_CERT_SIGNATURE_FAILURE, SSL_AD_BAD_CERTIFICATE, "bad_signature"},
    {X509_V_ERR_CERT_REVOKED, SSL_AD_CERTIFICATE_REVOKED, "certificate_revoked"},
    {X509_V_ERR_UNABLE_TO_GET_CRL, SSL_AD_CERTIFICATE_UNKNOWN, "revocation_unknown"},
    {X509_V_ERR_CRL_HAS_EXPIRED, SSL_AD_CERTIFICATE_UNKNOWN, "revocation_list_expired"},
    {X509_V_ERR_HOSTNAME_MISMATCH, SSL_AD_BAD_CERTIFICATE, "wrong_name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, SSL_AD_BAD_CERTIFICATE, "wrong_name"},
    {X509_V_ERR_OUT_OF_MEM, SSL_AD_INTERNAL_ERROR, "out_of_memory"},
};

static bool refuse(struct xt_tls *tls, int error, uint8_t *alert)
{
    *alert = SSL_AD_BAD_CERTIFICATE;
    tls->error = "bad_certificate";
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].error == error) {
            *alert = refusals[i].alert;
            tls->error = refusals[i].word;
            break;
        }
    }
    return false;
}

/* When every certificate of the chain is valid. */
static bool chain_validity(STACK_OF(X509) * chain, struct xt_tls_verified *verified)
{
    verified->not_before = INT64_MIN;
    verified->not_after = INT64_MAX;
    for (size_t i = 0; i < sk_X509_num(chain); i++) {
        const X509 *certificate = sk_X509_value(chain, i);
        int64_t from, until;
        if (!xt_x509_time(X509_get0_notBefore(certificate), &from) ||
            !xt_x509_time(X509_get0_notAfter(certificate), &until)) {
            return false;
        }
        if (from > verified->not_before) {
            verified->not_before = from;
        }
        if (until < verified->not_after) {
            verified->not_after = until;
        }
    }
    return true;
}

/* What the library leaves open: a leaf without extended key usage or one that is itself an authority
 * would pass its purpose check. */
static int check_leaf(X509 *leaf, bool client)
{
    if (X509_check_ca(leaf) != 0) {
        return X509_V_ERR_INVALID_NON_CA;
    }
    uint32_t usage = X509_get_extended_key_usage(leaf);
    bool stated = (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0;
    if (!stated || (usage & (client ? XKU_SSL_CLIENT : XKU_SSL_SERVER)) == 0) {
        return X509_V_ERR_INVALID_PURPOSE;
    }
    return xt_x509_key_is_strong(leaf) ? X509_V_OK : X509_V_ERR_CERT_REJECTED;
}

/* IP literals are compared with addresses, everything else with DNS names. */
static bool expect_name(X509_VERIFY_PARAM *param, const char *name)
{
    bool address = strchr(name, ':') != NULL || name[strspn(name, "0123456789.")] == 0;
    if (address) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

/* What the lists of revoked certificates say of a chain that is good otherwise. */
static int check_revocation(const struct xt_tls_context *context, STACK_OF(X509) * chain,
                            struct xt_tls_verified *verified)
{
    verified->lists_until = INT64_MAX;
    if (context->revocations == NULL) {
        return X509_V_OK;
    }
    switch (xt_revocations_judge(context->revocations, chain, &verified->lists_until)) {
    case XT_NOT_REVOKED:
        return X509_V_OK; /* whether its lists have ended is for the caller, each time */
    case XT_REVOKED:
        return X509_V_ERR_CERT_REVOKED;
    default:
        return X509_V_ERR_UNABLE_TO_GET_CRL;
    }
}

/* Builds and checks the chain; gives X509_V_OK and fills *verified, or the reason. */
static int verify_chain(struct xt_tls *tls, struct xt_tls_context *context, int64_t unix_s,
                        X509 *leaf, STACK_OF(X509) * others, struct xt_tls_verified *verified)
{
    int error = check_leaf(leaf, context->server);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    if (check == NULL || X509_STORE_CTX_init(check, context->authorities, leaf, others) != 1) {
        X509_STORE_CTX_free(check);
        return X509_V_ERR_OUT_OF_MEM;
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(check);
    X509_VERIFY_PARAM_set_depth(param, CHAIN_DEPTH_MAX);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_time(param, (time_t)unix_s);
    int purpose = context->server ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
    if (X509_VERIFY_PARAM_set_purpose(param, purpose) != 1 ||
        (!context->server && !expect_name(param, tls->server_name))) {
        error = X509_V_ERR_UNSPECIFIED;
    } else if (X509_verify_cert(check) != 1) {
        /* The chain first: what an unknown authority says about purposes means nothing. */
        int chain = X509_STORE_CTX_get_error(check);
        if (error == X509_V_OK || chain != X509_V_ERR_INVALID_PURPOSE) {
            error = chain != X509_V_OK ? chain : X509_V_ERR_UNSPECIFIED;
        }
    } else if (error == X509_V_OK && (!chain_validity(X509_STORE_CTX_get0_chain(check), verified) ||
                                      !xt_x509_spki(leaf, verified->spki))) {
        error = X509_V_ERR_OUT_OF_MEM;
    }
    if (error == X509_V_OK) {
        error = check_revocation(context, X509_STORE_CTX_get0_chain(check), verified);
    }
    X509_STORE_CTX_free(check);
    return error;
}

static int verify_buffers(struct xt_tls *tls, struct xt_tls_context *context, int64_t unix_s,
                          const STACK_OF(CRYPTO_BUFFER) * chain, struct xt_tls_verified *verified)
{
    int error = X509_V_ERR_UNSPECIFIED; /* it does not parse */
    X509 *leaf = NULL;
    STACK_OF(X509) *others = sk_X509_new_null();
    if (others == NULL) {
        return X509_V_ERR_OUT_OF_MEM;
    }
    for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); i++) {
        X509 *certificate = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
        if (certificate == NULL) {
            goto done;
        }
        if (i == 0) {
            leaf = certificate;
        } else if (!sk_X509_push(others, certificate)) {
            X509_free(certificate);
            error = X509_V_ERR_OUT_OF_MEM;
            goto done;
        }
    }
    error = verify_chain(tls, context, unix_s, leaf, others, verified);

done:
    X509_free(leaf);
    sk_X509_pop_free(others, X509_free);
    ERR_clear_error();
    return error;
}

/* What is known of a certificate under a context, verified if need be. A partner reconnects with the
 * same one all day: its chain is verified once per context (a reload makes a new one). A client must
 * compare names each time. NULL: *error says why not. */
static const struct xt_tls_verified *verified_peer(struct xt_tls *tls,
                                                   struct xt_tls_context *context, int64_t unix_s,
                                                   const STACK_OF(CRYPTO_BUFFER) * chain,
                                                   int *error)
{
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    uint8_t digest[32];
    SHA256(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), digest);
    struct xt_tls_verified *slot = &context->verified[digest[0]];
    if (context->server && memcmp(slot->digest, digest, sizeof(digest)) == 0) {
        return slot;
    }
    struct xt_tls_verified fresh = {.not_after = 0};
    *error = verify_buffers(tls, context, unix_s, chain, &fresh);
    if (*error != X509_V_OK) {
        return NULL;
    }
    memcpy(fresh.digest, digest, sizeof(digest));
    *slot = fresh;
    return slot;
}

bool xt_tls_verify_peer(struct xt_tls *tls, struct xt_tls_context *context, int64_t unix_s,
                        uint8_t *alert)
{
    const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(tls->ssl);
    /* A refusal holds for this second: whoever goes on asking costs no more than a comparison. */
    tls->judged_by = context->identity;
    tls->judged_until = unix_s;
    tls->judged = XT_DENIED;
    if (chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0) {
        *alert = SSL_AD_CERTIFICATE_REQUIRED;
        tls->error = "no_certificate";
        return false;
    }
    int error = X509_V_OK;
    const struct xt_tls_verified *known = verified_peer(tls, context, unix_s, chain, &error);
    if (known != NULL && unix_s < known->not_before) {
        error = X509_V_ERR_CERT_NOT_YET_VALID;
    } else if (known != NULL && unix_s > known->not_after) {
        error = X509_V_ERR_CERT_HAS_EXPIRED;
    } else if (known != NULL && unix_s > known->lists_until) {
        error = X509_V_ERR_CRL_HAS_EXPIRED;
    }
    if (known == NULL || error != X509_V_OK) {
        return refuse(tls, error, alert);
    }
    memcpy(tls->peer_spki, known->spki, sizeof(tls->peer_spki));
    memcpy(tls->peer_certificate, known->digest, sizeof(tls->peer_certificate));
    tls->peer_not_after = known->not_after;
    tls->has_peer = true;
    tls->judged = XT_OK;
    tls->judged_until =
        known->not_after < known->lists_until ? known->not_after : known->lists_until;
    return true;
}

enum xt_status xt_tls_rejudge(struct xt_tls *tls, struct xt_tls_context *current, int64_t unix_s)
{
    xt_require(tls->established && current->server);
    bool still = tls->judged == XT_OK ? unix_s <= tls->judged_until : unix_s == tls->judged_until;
    if (tls->judged_by == current->identity && still) {
        return tls->judged;
    }
    uint8_t alert;
    const char *before = tls->error;
    if (!xt_tls_verify_peer(tls, current, unix_s, &alert)) {
        return XT_DENIED;
    }
    tls->error = before;
    return XT_OK;
}
