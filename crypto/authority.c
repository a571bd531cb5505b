#include "crypto/authority.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/keyring.h"
#include "crypto/pem.h"

#define AUTHORITY_DAYS 3652 /* ten years */
#define SERIAL_BYTES 16
#define COMMON_NAME_MAX 64 /* RFC 5280, appendix A: ub-common-name */
#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63
#define URL_MAX 1024

static EVP_PKEY *new_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec == NULL || key == NULL || EC_KEY_generate_key(ec) != 1 ||
        EVP_PKEY_set1_EC_KEY(key, ec) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    return key;
}

/* 128 bits from the generator, positive and of full length in DER. */
static bool set_serial(X509 *certificate)
{
    uint8_t bytes[SERIAL_BYTES];
    xt_random(bytes, sizeof(bytes));
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

/* One common name: X.509 has room for more, but nobody reads it here. */
static bool set_name(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const uint8_t *)common_name, -1, -1, 0) == 1;
}

/* Letters, digits and hyphens, as certificates carry them (international names as xn--...). */
static bool is_dns_name(const char *name)
{
    size_t size = strlen(name);
    size_t label = 0;
    if (size == 0 || size > DNS_NAME_MAX) {
        return false;
    }
    if (strncmp(name, "*.", 2) == 0) {
        name += 2;
    }
    for (const char *at = name;; at++) {
        bool plain =
            (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (plain) {
            label++;
        } else if (*at == '-' && label > 0 && at[1] != '.' && at[1] != 0) {
            label++;
        } else if ((*at == '.' || *at == 0) && label > 0 && label <= DNS_LABEL_MAX) {
            label = 0;
            if (*at == 0) {
                return true;
            }
        } else {
            return false;
        }
    }
}

/* What every checker of revocation lists fetches: plain HTTP, since the list is signed and whoever
 * fetches it may be in the middle of a TLS handshake (RFC 5280, section 8). */
static bool is_url(const char *text)
{
    size_t size = strlen(text);
    bool fine = strncmp(text, "http://", 7) == 0 && size > 7 && size <= URL_MAX && text[7] != '/';
    for (size_t i = 0; fine && i < size; i++) {
        fine = text[i] > ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\';
    }
    return fine;
}

static enum xt_status check_request(const struct xt_certificate_request *request,
                                    struct xt_failure *failure)
{
    size_t size = strlen(request->common_name);
    if (size == 0 || size > COMMON_NAME_MAX) {
        return xt_fail(failure, XT_INVALID, "a certificate's name must have 1 to %d bytes",
                       COMMON_NAME_MAX);
    }
    for (const char *const *dns = request->dns_names; dns != NULL && *dns != NULL; dns++) {
        if (!is_dns_name(*dns)) {
            return xt_fail(failure, XT_INVALID,
                           "%.253s is not a DNS name (letters, digits, hyphens and dots)", *dns);
        }
    }
    for (const char *const *ip = request->addresses; ip != NULL && *ip != NULL; ip++) {
        uint8_t bytes[16];
        if (inet_pton(AF_INET, *ip, bytes) != 1 && inet_pton(AF_INET6, *ip, bytes) != 1) {
            return xt_fail(failure, XT_INVALID, "%.64s is not an IP address", *ip);
        }
    }
    if (request->revocations_url != NULL && !is_url(request->revocations_url)) {
        return xt_fail(failure, XT_INVALID,
                       "%.100s is not a URL for a revocation list (http://HOST/PATH, ASCII)",
                       request->revocations_url);
    }
    if (request->not_after <= request->not_before) {
        return xt_fail(failure, XT_INVALID, "the certificate would end before it begins");
    }
    return XT_OK;
}

/* Signs a certificate for key; issuer NULL: an authority's own. NULL when the library refuses. */
static X509 *sign_certificate(const struct xt_certificate_request *request, EVP_PKEY *key,
                              X509 *issuer, EVP_PKEY *issuer_key)
{
    bool authority = issuer == NULL;
    X509 *made = X509_new();
    if (made == NULL) {
        return NULL;
    }
    bool fine = X509_set_version(made, X509_VERSION_3) == 1 && set_serial(made) &&
                set_name(X509_get_subject_name(made), request->common_name) &&
                X509_set_issuer_name(made, X509_get_subject_name(authority ? made : issuer)) == 1 &&
                ASN1_TIME_set(X509_getm_notBefore(made), request->not_before) != NULL &&
                ASN1_TIME_set(X509_getm_notAfter(made), request->not_after) != NULL &&
                X509_set_pubkey(made, key) == 1 &&
                xt_certificate_extend(made, authority ? NULL : issuer, request);
    if (!fine || X509_sign(made, issuer_key, EVP_sha256()) == 0) {
        X509_free(made);
        return NULL;
    }
    return made;
}

/* Both files as PEM, neither left behind without the other. The key's memory is wiped. */
static enum xt_status write_pair(EVP_PKEY *key, X509 *certificate, const char *key_path,
                                 const char *certificate_path, struct xt_failure *failure)
{
    const uint8_t *key_pem, *certificate_pem;
    size_t key_size, certificate_size;
    enum xt_status status;
    BIO *key_bio = BIO_new(BIO_s_mem());
    BIO *certificate_bio = BIO_new(BIO_s_mem());
    if (key_bio == NULL || certificate_bio == NULL ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_X509(certificate_bio, certificate) != 1 ||
        BIO_mem_contents(key_bio, &key_pem, &key_size) != 1 ||
        BIO_mem_contents(certificate_bio, &certificate_pem, &certificate_size) != 1) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot make %s: out of memory", certificate_path);
        goto done;
    }
    if (access(certificate_path, F_OK) == 0) {
        status = xt_fail(failure, XT_EXISTS,
                         "%s exists and is not overwritten: move it away or choose another name",
                         certificate_path);
        goto done;
    }
    status = xt_file_write(key_path, xt_span_of(key_pem, key_size), 0600, false, failure);
    if (status != XT_OK) {
        goto done;
    }
    status = xt_file_write(certificate_path, xt_span_of(certificate_pem, certificate_size), 0644,
                           false, failure);
    if (status != XT_OK) {
        unlink(key_path);
    }

done:
    BIO_free(key_bio); /* the library wipes what it frees */
    BIO_free(certificate_bio);
    return status;
}

enum xt_status xt_authority_create(const char *key_path, const char *certificate_path,
                                   const char *common_name, struct xt_failure *failure)
{
    time_t now = time(NULL);
    struct xt_certificate_request request = {
        .common_name = common_name,
        .not_before = now - XT_CLOCK_SKEW_SECONDS,
        .not_after = now + (time_t)AUTHORITY_DAYS * 86400,
    };
    enum xt_status status = check_request(&request, failure);
    if (status != XT_OK) {
        return status;
    }
    EVP_PKEY *key = new_key();
    X509 *certificate = key == NULL ? NULL : sign_certificate(&request, key, NULL, key);
    if (certificate == NULL) {
        status = xt_fail(failure, XT_INVALID, "cannot make %s: its name must be valid UTF-8",
                         certificate_path);
    } else {
        status = write_pair(key, certificate, key_path, certificate_path, failure);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}

enum xt_status xt_authority_load(const char *key_path, const char *certificate_path,
                                 struct evp_pkey_st **key, struct stack_st_X509 **list,
                                 struct xt_failure *failure)
{
    enum xt_status status = xt_pem_key(key_path, key, failure);
    if (status == XT_OK) {
        status = xt_pem_certificates(certificate_path, list, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    X509 *certificate = sk_X509_value(*list, 0);
    if (X509_check_ca(certificate) != 1 || X509_get0_subject_key_id(certificate) == NULL) {
        return xt_fail(failure, XT_INVALID,
                       "%s is not the certificate of an authority with a subject key identifier",
                       certificate_path);
    }
    if (X509_check_private_key(certificate, *key) != 1) {
        return xt_fail(failure, XT_INVALID, "the key %s does not belong to the certificate %s",
                       key_path, certificate_path);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
        return xt_fail(failure, XT_DENIED,
                       "the authority %s has expired: what it signs would be refused",
                       certificate_path);
    }
    return XT_OK;
}

enum xt_status xt_authority_issue(const char *ca_key_path, const char *ca_certificate_path,
                                  const struct xt_certificate_request *request,
                                  const char *key_path, const char *certificate_path,
                                  uint8_t spki[XT_SPKI_SHA256], struct xt_failure *failure)
{
    EVP_PKEY *ca_key = NULL;
    EVP_PKEY *key = NULL;
    STACK_OF(X509) *ca = NULL;
    X509 *certificate = NULL;
    enum xt_status status = check_request(request, failure);
    if (status == XT_OK) {
        status = xt_authority_load(ca_key_path, ca_certificate_path, &ca_key, &ca, failure);
    }
    if (status != XT_OK) {
        goto done;
    }
    key = new_key();
    certificate = key == NULL ? NULL : sign_certificate(request, key, sk_X509_value(ca, 0), ca_key);
    if (certificate == NULL || !xt_x509_spki(certificate, spki)) {
        status = xt_fail(failure, XT_INVALID, "cannot make %s: its name must be valid UTF-8",
                         certificate_path);
        goto done;
    }
    status = write_pair(key, certificate, key_path, certificate_path, failure);

done:
    X509_free(certificate);
    sk_X509_pop_free(ca, X509_free);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    ERR_clear_error();
    return status;
}

enum xt_status xt_certificate_spki(const char *path, uint8_t spki[XT_SPKI_SHA256],
                                   struct xt_failure *failure)
{
    STACK_OF(X509) * list;
    enum xt_status status = xt_pem_certificates(path, &list, failure);
    if (status != XT_OK) {
        return status;
    }
    if (!xt_x509_spki(sk_X509_value(list, 0), spki)) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", path);
    }
    sk_X509_pop_free(list, X509_free);
    return status;
}

/* Letters, digits, dots and hyphens: what a host in a URL is made of. */
static bool take_name(const ASN1_STRING *text, char name[XT_CERTIFICATE_NAME_MAX + 1])
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t size = (size_t)ASN1_STRING_length(text);
    if (size == 0 || size > XT_CERTIFICATE_NAME_MAX) {
        return false;
    }
    memcpy(name, ASN1_STRING_get0_data(text), size);
    name[size] = '\0';
    return strspn(name, letters) == size;
}

void xt_certificate_name(struct xt_span pem, char name[XT_CERTIFICATE_NAME_MAX + 1])
{
    STACK_OF(X509) * list;
    bool found = false;
    name[0] = '\0';
    if (xt_pem_certificates_in(pem, "the certificate", &list, NULL) != XT_OK) {
        return;
    }
    GENERAL_NAMES *names =
        X509_get_ext_d2i(sk_X509_value(list, 0), NID_subject_alt_name, NULL, NULL);
    for (size_t i = 0; names != NULL && !found && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        found = one->type == GEN_DNS && take_name(one->d.dNSName, name);
    }
    if (!found) {
        name[0] = '\0';
    }
    GENERAL_NAMES_free(names);
    sk_X509_pop_free(list, X509_free);
    ERR_clear_error();
}
