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
#define KEY_ID_BYTES 20
#define COMMON_NAME_MAX 64 /* RFC 5280, appendix A: ub-common-name */
#define DNS_NAME_MAX 253
#define DNS_LABEL_MAX 63

/* Bits of KeyUsage (RFC 5280, section 4.2.1.3). */
#define USAGE_DIGITAL_SIGNATURE 0
#define USAGE_CERT_SIGN 5
#define USAGE_CRL_SIGN 6

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

static bool set_basic_constraints(X509 *certificate, bool authority)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    bool set = false;
    if (constraints != NULL) {
        constraints->ca = authority ? 0xff : 0;
        /* pathlen 0: it signs leaves only */
        constraints->pathlen = authority ? ASN1_INTEGER_new() : NULL;
        set = (!authority ||
               (constraints->pathlen != NULL && ASN1_INTEGER_set(constraints->pathlen, 0) == 1)) &&
              X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints, 1, 0) == 1;
    }
    BASIC_CONSTRAINTS_free(constraints);
    return set;
}

static bool set_key_usage(X509 *certificate, bool authority)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool set = usage != NULL;
    if (set && authority) {
        set = ASN1_BIT_STRING_set_bit(usage, USAGE_CERT_SIGN, 1) == 1 &&
              ASN1_BIT_STRING_set_bit(usage, USAGE_CRL_SIGN, 1) == 1;
    } else if (set) {
        set = ASN1_BIT_STRING_set_bit(usage, USAGE_DIGITAL_SIGNATURE, 1) == 1;
    }
    set = set && X509_add1_ext_i2d(certificate, NID_key_usage, usage, 1, 0) == 1;
    ASN1_BIT_STRING_free(usage);
    return set;
}

static bool set_extended_usage(X509 *certificate, enum xt_certificate_use use)
{
    int nid = use == XT_CERTIFICATE_SERVER ? NID_server_auth : NID_client_auth;
    EXTENDED_KEY_USAGE *usage = sk_ASN1_OBJECT_new_null();
    bool set = usage != NULL && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(nid)) > 0 &&
               X509_add1_ext_i2d(certificate, NID_ext_key_usage, usage, 0, 0) == 1;
    sk_ASN1_OBJECT_free(usage); /* its one element is static */
    return set;
}

/* The first 160 bits of SHA-256 of the key (RFC 7093, section 2, method 1). */
static bool set_subject_key_id(X509 *certificate)
{
    const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(certificate);
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), digest);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool set = id != NULL && ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) == 1 &&
               X509_add1_ext_i2d(certificate, NID_subject_key_identifier, id, 0, 0) == 1;
    ASN1_OCTET_STRING_free(id);
    return set;
}

static bool set_authority_key_id(X509 *certificate, X509 *issuer)
{
    const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    bool set = id != NULL && key_id != NULL;
    if (set) {
        id->keyid = ASN1_OCTET_STRING_dup(key_id);
        set = id->keyid != NULL &&
              X509_add1_ext_i2d(certificate, NID_authority_key_identifier, id, 0, 0) == 1;
    }
    AUTHORITY_KEYID_free(id);
    return set;
}

static bool push_name(GENERAL_NAMES *names, int type, const void *data, size_t size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value =
        ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
    if (name == NULL || value == NULL || ASN1_STRING_set(value, data, (int)size) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool push_address(GENERAL_NAMES *names, const char *text)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        return push_name(names, GEN_IPADD, bytes, 4);
    }
    return inet_pton(AF_INET6, text, bytes) == 1 && push_name(names, GEN_IPADD, bytes, 16);
}

static bool set_alternative_names(X509 *certificate, const struct xt_certificate_request *request)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool set = names != NULL;
    for (const char *const *dns = request->dns_names; set && dns != NULL && *dns != NULL; dns++) {
        set = push_name(names, GEN_DNS, *dns, strlen(*dns));
    }
    for (const char *const *ip = request->addresses; set && ip != NULL && *ip != NULL; ip++) {
        set = push_address(names, *ip);
    }
    if (set && sk_GENERAL_NAME_num(names) > 0) {
        set = X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return set;
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
                X509_set_pubkey(made, key) == 1 && set_basic_constraints(made, authority) &&
                set_key_usage(made, authority) && set_subject_key_id(made);
    if (fine && !authority) {
        fine = set_authority_key_id(made, issuer) && set_extended_usage(made, request->use) &&
               set_alternative_names(made, request);
    }
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

/* The authority's key and certificate, which must belong together and still be in force. */
static enum xt_status load_authority(const char *key_path, const char *certificate_path,
                                     EVP_PKEY **key, STACK_OF(X509) * *list,
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
        status = load_authority(ca_key_path, ca_certificate_path, &ca_key, &ca, failure);
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
