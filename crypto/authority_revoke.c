#include <fcntl.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/file.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "crypto/file.h"
#include "crypto/pem.h"
#include "crypto/revocation.h"

/* The list as it stands, which this authority must have signed; *list NULL: there is none yet. */
static enum xt_status read_list(const char *path, EVP_PKEY *key, X509_CRL **list,
                                struct xt_failure *failure)
{
    uint8_t *content;
    size_t size;
    *list = NULL;
    enum xt_status status = xt_file_read(path, XT_REVOCATIONS_PEM_MAX, &content, &size, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK;
    }
    if (status != XT_OK) {
        return status;
    }
    X509_CRL *more = NULL;
    BIO *bio = BIO_new_mem_buf(content, (int)size);
    status = bio == NULL ? XT_NO_MEMORY : xt_pem_list(bio, path, list, failure);
    if (status == XT_OK && X509_CRL_verify(*list, key) != 1) {
        status = xt_fail(failure, XT_DENIED,
                         "%s is not signed by this authority: move it away, or restore it", path);
    } else if (status == XT_OK && xt_pem_list(bio, path, &more, failure) != XT_NOT_FOUND) {
        status = xt_fail(failure, XT_INVALID,
                         "%s holds more than this authority's own list: keep that one in a file of "
                         "its own",
                         path);
    } else if (status == XT_NOT_FOUND) {
        status = xt_fail(failure, XT_INVALID,
                         "%s holds no list of revoked certificates: restore it, since starting "
                         "anew would let in again whom it refused",
                         path);
    } else if (status == XT_NO_MEMORY) {
        xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", path);
    }
    X509_CRL_free(more);
    BIO_free(bio);
    xt_file_release(content, size);
    return status;
}

/* RFC 5280, section 5.2.3: one more than before. */
static bool set_number(X509_CRL *list, const X509_CRL *before)
{
    ASN1_INTEGER *old =
        before == NULL ? NULL : X509_CRL_get_ext_d2i(before, NID_crl_number, NULL, NULL);
    BIGNUM *number = old == NULL ? BN_new() : ASN1_INTEGER_to_BN(old, NULL);
    ASN1_INTEGER *next =
        number != NULL && BN_add_word(number, 1) == 1 ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    bool set = next != NULL && X509_CRL_add1_ext_i2d(list, NID_crl_number, next, 0, 0) == 1;
    ASN1_INTEGER_free(old);
    ASN1_INTEGER_free(next);
    BN_free(number);
    return set;
}

static bool set_authority(X509_CRL *list, X509 *authority)
{
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    bool set = id != NULL &&
               X509_CRL_set_issuer_name(list, X509_get_subject_name(authority)) == 1 &&
               (id->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(authority))) != NULL &&
               X509_CRL_add1_ext_i2d(list, NID_authority_key_identifier, id, 0, 0) == 1;
    AUTHORITY_KEYID_free(id);
    return set;
}

static bool set_times(X509_CRL *list, time_t now, unsigned days)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, now - XT_CLOCK_SKEW_SECONDS);
    ASN1_TIME *until = ASN1_TIME_set(NULL, now + (time_t)days * 86400);
    bool set = from != NULL && until != NULL && X509_CRL_set1_lastUpdate(list, from) == 1 &&
               X509_CRL_set1_nextUpdate(list, until) == 1;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return set;
}

static bool add_entry(X509_CRL *list, const ASN1_INTEGER *serial, const ASN1_TIME *when)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    if (entry == NULL ||
        X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)(uintptr_t)serial) != 1 ||
        X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)(uintptr_t)when) != 1 ||
        X509_CRL_add0_revoked(list, entry) != 1) {
        X509_REVOKED_free(entry);
        return false;
    }
    return true;
}

static bool add_entries(X509_CRL *list, X509_CRL *before, X509 *certificate, time_t now,
                        struct xt_revocation_list *result)
{
    const STACK_OF(X509_REVOKED) *old = before == NULL ? NULL : X509_CRL_get_REVOKED(before);
    for (size_t i = 0; old != NULL && i < sk_X509_REVOKED_num(old); i++) {
        X509_REVOKED *kept = X509_REVOKED_dup(sk_X509_REVOKED_value(old, i));
        if (kept == NULL || X509_CRL_add0_revoked(list, kept) != 1) {
            X509_REVOKED_free(kept);
            return false;
        }
        result->entries++;
    }
    if (certificate == NULL) {
        return true;
    }
    X509_REVOKED *entry;
    result->was_revoked = before != NULL && X509_CRL_get0_by_cert(before, &entry, certificate) != 0;
    if (result->was_revoked) {
        return true;
    }
    ASN1_TIME *when = ASN1_TIME_set(NULL, now);
    bool added = when != NULL && add_entry(list, X509_get0_serialNumber(certificate), when);
    ASN1_TIME_free(when);
    result->entries += added;
    return added;
}

/* NULL: out of memory. */
static X509_CRL *sign_list(X509_CRL *before, X509 *certificate, X509 *authority, EVP_PKEY *key,
                           unsigned days, struct xt_revocation_list *result)
{
    time_t now = time(NULL);
    X509_CRL *made = X509_CRL_new();
    if (made == NULL || X509_CRL_set_version(made, X509_CRL_VERSION_2) != 1 ||
        !set_authority(made, authority) || !set_times(made, now, days) ||
        !set_number(made, before) || !add_entries(made, before, certificate, now, result) ||
        X509_CRL_sort(made) != 1 || X509_CRL_sign(made, key, EVP_sha256()) == 0) {
        X509_CRL_free(made);
        return NULL;
    }
    result->until = (int64_t)now + (int64_t)days * 86400;
    return made;
}

static enum xt_status write_list(X509_CRL *list, const char *path, struct xt_failure *failure)
{
    const uint8_t *pem;
    size_t size;
    BIO *bio = BIO_new(BIO_s_mem());
    enum xt_status status;
    if (bio == NULL || PEM_write_bio_X509_CRL(bio, list) != 1 ||
        BIO_mem_contents(bio, &pem, &size) != 1) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot make %s: out of memory", path);
    } else if (size > XT_REVOCATIONS_PEM_MAX) {
        status = xt_fail(failure, XT_TOO_LARGE,
                         "%s would be larger than %u bytes: time for a new authority", path,
                         XT_REVOCATIONS_PEM_MAX);
    } else {
        status = xt_file_write(path, xt_span_of(pem, size), 0644, true, failure);
    }
    BIO_free(bio);
    return status;
}

/* The first certificate of a file, if this authority issued it. */
static enum xt_status read_certificate(const char *path, X509 *authority, EVP_PKEY *key,
                                       STACK_OF(X509) * *list, struct xt_failure *failure)
{
    enum xt_status status = xt_pem_certificates(path, list, failure);
    if (status != XT_OK) {
        return status;
    }
    X509 *certificate = sk_X509_value(*list, 0);
    if (X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(authority)) != 0 ||
        X509_verify(certificate, key) != 1) {
        return xt_fail(
            failure, XT_DENIED,
            "the certificate %s was not issued by this authority: only its own authority "
            "can revoke it",
            path);
    }
    return XT_OK;
}

/* Reading the list and replacing it is one step: two at a time must not lose an entry. The key is the
 * one file that whoever may do this can open and that is not replaced by it. */
static int lock(const char *key_path)
{
    int fd = open(key_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

enum xt_status xt_authority_revoke(const char *ca_key_path, const char *ca_certificate_path,
                                   const char *certificate_path, const char *list_path,
                                   unsigned days, struct xt_revocation_list *result,
                                   struct xt_failure *failure)
{
    EVP_PKEY *key = NULL;
    STACK_OF(X509) *authorities = NULL;
    STACK_OF(X509) *certificates = NULL;
    X509_CRL *before = NULL;
    X509_CRL *made = NULL;
    *result = (struct xt_revocation_list){.entries = 0};
    int locked = lock(ca_key_path);
    enum xt_status status =
        xt_authority_load(ca_key_path, ca_certificate_path, &key, &authorities, failure);
    if (status != XT_OK) {
        goto done;
    }
    if (locked < 0) {
        status = xt_fail(failure, XT_IO, "cannot lock %s", ca_key_path);
        goto done;
    }
    X509 *authority = sk_X509_value(authorities, 0);
    if (certificate_path != NULL) {
        status = read_certificate(certificate_path, authority, key, &certificates, failure);
    }
    if (status == XT_OK) {
        status = read_list(list_path, key, &before, failure);
    }
    if (status != XT_OK) {
        goto done;
    }
    X509 *certificate = certificates == NULL ? NULL : sk_X509_value(certificates, 0);
    made = sign_list(before, certificate, authority, key, days, result);
    if (made == NULL || (certificate != NULL && !xt_x509_spki(certificate, result->spki))) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot make %s: out of memory", list_path);
        goto done;
    }
    status = write_list(made, list_path, failure);

done:
    if (locked >= 0) {
        close(locked);
    }
    X509_CRL_free(made);
    X509_CRL_free(before);
    sk_X509_pop_free(certificates, X509_free);
    sk_X509_pop_free(authorities, X509_free);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return status;
}
