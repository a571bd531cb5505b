#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/authority.h"
#include "crypto/pem.h"

/* What a caller's certificate is refused for, and what the operator can do; NULL: no authority of ours
 * signed it. */
static const char *advice(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "has expired, or its authority has: ask for a new one";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "is not valid yet: take it up once it is, or look at this machine's clock";
    case X509_V_ERR_INVALID_PURPOSE:
        return "is not for TLS clients: ask for one with the extended key usage clientAuth";
    case X509_V_ERR_INVALID_NON_CA:
        return "is one of an authority: give the caller's own";
    case X509_V_ERR_CERT_REJECTED:
        return "has a weak key: ask for one of P-256, Ed25519, or RSA of at least 2048 bits";
    default:
        return NULL;
    }
}

/* The chain as a handshake checks it, against the authorities of a list. */
static int verify_client(X509 *leaf, STACK_OF(X509) * others, STACK_OF(X509) * authorities)
{
    int error = X509_V_ERR_OUT_OF_MEM;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    bool fine = store != NULL && check != NULL;
    for (size_t i = 0; fine && i < sk_X509_num(authorities); i++) {
        fine = X509_STORE_add_cert(store, sk_X509_value(authorities, i)) == 1;
    }
    if (fine && X509_STORE_CTX_init(check, store, leaf, others) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(check);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        bool purpose = X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) == 1;
        error =
            purpose && X509_verify_cert(check) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(check);
    }
    X509_STORE_CTX_free(check);
    X509_STORE_free(store);
    /* What the library lets pass: an authority itself, and one that does not say what it is for. */
    if (error == X509_V_OK && X509_check_ca(leaf) != 0) {
        error = X509_V_ERR_INVALID_NON_CA;
    }
    if (error == X509_V_OK && ((X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) == 0 ||
                               (X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT) == 0)) {
        error = X509_V_ERR_INVALID_PURPOSE;
    }
    return error == X509_V_OK && !xt_x509_key_is_strong(leaf) ? X509_V_ERR_CERT_REJECTED : error;
}

enum xt_status xt_certificate_check_client(const char *path, const char *authority_path,
                                           uint8_t spki[XT_SPKI_SHA256], struct xt_failure *failure)
{
    STACK_OF(X509) *list = NULL;
    STACK_OF(X509) *authorities = NULL;
    enum xt_status status = xt_pem_certificates(path, &list, failure);
    if (status == XT_OK) {
        status = xt_pem_certificates(authority_path, &authorities, failure);
    }
    if (status == XT_OK) {
        X509 *leaf = sk_X509_value(list, 0);
        int error = verify_client(leaf, list, authorities);
        if (error == X509_V_ERR_OUT_OF_MEM || !xt_x509_spki(leaf, spki)) {
            status = xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", path);
        } else if (error != X509_V_OK) {
            const char *text = advice(error);
            status = text != NULL
                         ? xt_fail(failure, XT_DENIED, "the certificate %s %s", path, text)
                         : xt_fail(failure, XT_DENIED,
                                   "the certificate %s is not signed by an authority in %s: every "
                                   "connection with it would be refused. Have it signed by one of "
                                   "them, or add its authority to that file",
                                   path, authority_path);
        }
    }
    sk_X509_pop_free(list, X509_free);
    sk_X509_pop_free(authorities, X509_free);
    ERR_clear_error();
    return status;
}
