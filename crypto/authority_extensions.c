#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/pem.h"

#define KEY_ID_BYTES 20

/* Bits of KeyUsage (RFC 5280, section 4.2.1.3). */
#define USAGE_DIGITAL_SIGNATURE 0
#define USAGE_CERT_SIGN 5
#define USAGE_CRL_SIGN 6

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
        ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
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

/* Where the authority's list of revoked certificates can be fetched (RFC 5280, section 4.2.1.13). */
static bool set_revocations_url(X509 *certificate, const char *url)
{
    CRL_DIST_POINTS *points = sk_DIST_POINT_new_null();
    DIST_POINT *point = DIST_POINT_new();
    bool set = points != NULL && point != NULL;
    if (set) {
        point->distpoint = DIST_POINT_NAME_new();
        set = point->distpoint != NULL;
    }
    if (set) {
        point->distpoint->type = 0; /* a full name */
        point->distpoint->name.fullname = sk_GENERAL_NAME_new_null();
        set = point->distpoint->name.fullname != NULL &&
              push_name(point->distpoint->name.fullname, GEN_URI, url, strlen(url)) &&
              sk_DIST_POINT_push(points, point) > 0;
    }
    if (set) {
        point = NULL; /* the list's now */
        set = X509_add1_ext_i2d(certificate, NID_crl_distribution_points, points, 0, 0) == 1;
    }
    DIST_POINT_free(point);
    sk_DIST_POINT_pop_free(points, DIST_POINT_free);
    return set;
}

bool xt_certificate_extend(struct x509_st *certificate, struct x509_st *issuer,
                           const struct xt_certificate_request *request)
{
    bool authority = issuer == NULL;
    if (!set_basic_constraints(certificate, authority) || !set_key_usage(certificate, authority) ||
        !set_subject_key_id(certificate)) {
        return false;
    }
    return authority || (set_authority_key_id(certificate, issuer) &&
                         set_extended_usage(certificate, request->use) &&
                         set_alternative_names(certificate, request) &&
                         (request->revocations_url == NULL ||
                          set_revocations_url(certificate, request->revocations_url)));
}
