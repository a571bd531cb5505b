#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/tls_internal.h"

#define RECORD_PLAIN_MAX 16384U
/* Room kept beside a record: its overhead, and an alert or a key update that goes out before it. */
#define RECORD_RESERVE 512U
/* A record smaller than this only because the output is nearly full is not worth its overhead. */
#define RECORD_PLAIN_MIN 4096U

struct xt_tls *xt_tls_of(const struct ssl_st *ssl)
{
    return SSL_get_app_data(ssl);
}

/* ---- the BIO: BoringSSL asks here for input and leaves output here ---- */

static size_t take_kept(struct xt_tls *tls, char *data, size_t size)
{
    struct xt_tls_buffer *kept = tls->kept;
    size_t waiting = kept->end - kept->begin;
    size_t taken = size < waiting ? size : waiting;
    memcpy(data, kept->data + kept->begin, taken);
    kept->begin += taken;
    if (kept->begin == kept->end) {
        tls->kept = NULL;
        xt_tls_buffer_give(tls->context, kept);
    }
    return taken;
}

int xt_tls_bio_read(struct bio_st *bio, char *data, int size)
{
    struct xt_tls *tls = BIO_get_data(bio);
    size_t wanted = (size_t)size;
    size_t got = tls->kept != NULL ? take_kept(tls, data, wanted) : 0;
    size_t more = wanted - got < tls->fed.size ? wanted - got : tls->fed.size;
    if (more > 0) {
        memcpy(data + got, tls->fed.data, more);
        tls->fed.data += more;
        tls->fed.size -= more;
        got += more;
    }
    BIO_clear_retry_flags(bio);
    if (got == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    return (int)got;
}

/* Makes room behind the waiting output for size bytes or as much as the bound allows. */
static size_t output_room(struct xt_tls *tls, size_t size)
{
    struct xt_tls_buffer *old = tls->output;
    if (old == NULL) {
        tls->output = xt_tls_buffer_take(tls->context, XT_TLS_SMALL_BYTES);
        if (tls->output == NULL) {
            tls->out_of_memory = true;
            return 0;
        }
        old = tls->output;
    }
    if (old->capacity - old->end >= size) {
        return size;
    }
    size_t waiting = old->end - old->begin;
    if (old->capacity - waiting >= size || old->capacity == XT_TLS_LARGE_BYTES) {
        memmove(old->data, old->data + old->begin, waiting);
        old->begin = 0;
        old->end = waiting;
    } else {
        struct xt_tls_buffer *grown = xt_tls_buffer_take(tls->context, XT_TLS_LARGE_BYTES);
        if (grown == NULL) {
            tls->out_of_memory = true;
            return 0;
        }
        memcpy(grown->data, old->data + old->begin, waiting);
        grown->end = waiting;
        xt_tls_buffer_give(tls->context, old);
        tls->output = grown;
    }
    size_t room = tls->output->capacity - tls->output->end;
    return room < size ? room : size;
}

int xt_tls_bio_write(struct bio_st *bio, const char *data, int size)
{
    struct xt_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t room = output_room(tls, (size_t)size);
    if (room == 0) {
        if (!tls->out_of_memory) {
            BIO_set_retry_write(bio);
        }
        return -1;
    }
    memcpy(tls->output->data + tls->output->end, data, room);
    tls->output->end += room;
    return (int)room;
}

long xt_tls_bio_ctrl(struct bio_st *bio, int command, long number, void *data)
{
    (void)bio;
    (void)number;
    (void)data;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* ---- what went wrong ---- */

struct reason {
    int code; /* SSL_R_... */
    enum xt_status status;
    const char *word;
};

static const struct reason reasons[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, XT_DENIED, "no_certificate"},
    {SSL_R_HTTP_REQUEST, XT_INVALID, "plain_http"},
    {SSL_R_HTTPS_PROXY_REQUEST, XT_INVALID, "plain_http"},
    {SSL_R_WRONG_VERSION_NUMBER, XT_INVALID, "not_tls"},
    {SSL_R_UNSUPPORTED_PROTOCOL, XT_INVALID, "unsupported_version"},
    {SSL_R_NO_APPLICATION_PROTOCOL, XT_INVALID, "no_application_protocol"},
    {SSL_R_NO_SHARED_CIPHER, XT_INVALID, "no_shared_cipher"},
    {SSL_R_NO_SHARED_GROUP, XT_INVALID, "no_shared_group"},
    {SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS, XT_INVALID, "no_shared_signature"},
    {SSL_R_BAD_SIGNATURE, XT_DENIED, "bad_signature"},
    {SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, XT_INVALID, "bad_record"},
    {SSL_R_ENCRYPTED_LENGTH_TOO_LONG, XT_INVALID, "record_too_large"},
    {SSL_R_DATA_LENGTH_TOO_LONG, XT_INVALID, "record_too_large"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, XT_INVALID, "message_too_large"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, XT_DENIED, "alert_bad_certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, XT_DENIED, "alert_unsupported_certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, XT_DENIED, "alert_certificate_revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, XT_DENIED, "alert_certificate_expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, XT_DENIED, "alert_certificate_unknown"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, XT_DENIED, "alert_unknown_ca"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, XT_DENIED, "alert_access_denied"},
    {SSL_R_TLSV1_ALERT_CERTIFICATE_REQUIRED, XT_DENIED, "alert_certificate_required"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, XT_INVALID, "alert_handshake_failure"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, XT_INVALID, "alert_protocol_version"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, XT_INVALID, "alert_no_application_protocol"},
};

/* Only the first failure counts: later calls on a broken connection repeat it. */
static enum xt_status fail(struct xt_tls *tls, enum xt_status status, const char *word)
{
    tls->failed = status;
    tls->error = word;
    ERR_clear_error();
    return status;
}

/* Translates the outcome of an SSL_ call that did not succeed. */
static enum xt_status outcome(struct xt_tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return XT_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return XT_CLOSED;
    default:
        break;
    }
    if (tls->out_of_memory) {
        return fail(tls, XT_NO_MEMORY, "out_of_memory");
    }
    uint32_t error = ERR_peek_error();
    int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (code == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        return fail(tls, XT_DENIED, tls->error); /* from xt_tls_verify_peer */
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].code == code) {
            return fail(tls, reasons[i].status, reasons[i].word);
        }
    }
    bool alert = code >= SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256;
    return fail(tls, XT_INVALID, alert ? "alert" : "protocol_error");
}

/* ---- life of a connection ---- */

static bool configure_client(struct xt_tls *tls)
{
    struct xt_tls_context *context = tls->context;
    const char *name = tls->server_name;
    SSL_set_connect_state(tls->ssl);
    /* RFC 6066, section 3: no literal addresses in server_name. */
    bool address = strchr(name, ':') != NULL || name[strspn(name, "0123456789.")] == 0;
    if (!address && SSL_set_tlsext_host_name(tls->ssl, name) != 1) {
        return false;
    }
    if (context->session_count > 0) {
        SSL_SESSION *session = context->sessions[--context->session_count];
        int set = SSL_set_session(tls->ssl, session);
        SSL_SESSION_free(session); /* used once (RFC 8446, appendix C.4) */
        return set == 1;
    }
    return true;
}

enum xt_status xt_tls_open(struct xt_tls_context *context, const char *server_name,
                           struct xt_tls **tls)
{
    size_t name_size = server_name == NULL ? 0 : strlen(server_name);
    xt_require(context->server || context->authorities == NULL || name_size > 0);
    struct xt_tls *made = calloc(1, sizeof(*made) + name_size + 1);
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->context = context;
    made->error = "";
    if (name_size > 0) {
        memcpy(made->server_name, server_name, name_size);
    }
    context->references++;
    made->ssl = SSL_new(context->ssl_context);
    BIO *bio = BIO_new(context->bio_method);
    if (made->ssl == NULL || bio == NULL) {
        BIO_free(bio);
        goto fail;
    }
    BIO_set_data(bio, made);
    BIO_set_init(bio, 1);
    SSL_set_bio(made->ssl, bio, bio); /* takes over our one reference */
    if (SSL_set_app_data(made->ssl, made) != 1) {
        goto fail;
    }
    /* What only a handshake needs is freed after it. */
    SSL_set_shed_handshake_config(made->ssl, 1);
    if (context->server) {
        SSL_set_accept_state(made->ssl);
    } else if (!configure_client(made)) {
        goto fail;
    }
    *tls = made;
    return XT_OK;

fail:
    ERR_clear_error();
    xt_tls_close(made);
    return XT_NO_MEMORY;
}

void xt_tls_close(struct xt_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    xt_tls_buffer_give(tls->context, tls->kept);
    xt_tls_buffer_give(tls->context, tls->output);
    xt_tls_context_close(tls->context);
    free(tls);
}

void xt_tls_feed(struct xt_tls *tls, struct xt_span ciphertext)
{
    xt_require(tls->fed.size == 0); /* else xt_tls_settle was forgotten */
    tls->fed = ciphertext;
}

enum xt_status xt_tls_settle(struct xt_tls *tls)
{
    struct xt_span rest = tls->fed;
    if (rest.size == 0) {
        return XT_OK;
    }
    struct xt_tls_buffer *kept = tls->kept;
    size_t waiting = kept == NULL ? 0 : kept->end - kept->begin;
    if (rest.size > XT_TLS_SMALL_BYTES - waiting) {
        return XT_TOO_LARGE;
    }
    if (kept == NULL) {
        kept = xt_tls_buffer_take(tls->context, XT_TLS_SMALL_BYTES);
        if (kept == NULL) {
            return XT_NO_MEMORY;
        }
        tls->kept = kept;
    } else if (rest.size > kept->capacity - kept->end) {
        memmove(kept->data, kept->data + kept->begin, waiting);
        kept->begin = 0;
        kept->end = waiting;
    }
    memcpy(kept->data + kept->end, rest.data, rest.size);
    kept->end += rest.size;
    tls->fed = xt_span_of(NULL, 0);
    return XT_OK;
}

/* A resumed session carries the certificate of the handshake that began it; it is judged again, as
 * its time may have come or its authority be trusted no more. */
static enum xt_status establish(struct xt_tls *tls)
{
    uint8_t alert;
    if (SSL_session_reused(tls->ssl) && tls->context->authorities != NULL &&
        !xt_tls_verify_peer(tls, tls->context, (int64_t)time(NULL), &alert)) {
        (void)SSL_send_fatal_alert(tls->ssl, alert);
        return fail(tls, XT_DENIED, tls->error);
    }
    tls->established = true;
    return XT_OK;
}

enum xt_status xt_tls_handshake(struct xt_tls *tls)
{
    if (tls->failed != XT_OK || tls->established) {
        return tls->failed;
    }
    int result = SSL_do_handshake(tls->ssl);
    return result == 1 ? establish(tls) : outcome(tls, result);
}

enum xt_status xt_tls_read(struct xt_tls *tls, uint8_t *data, size_t size, size_t *got)
{
    *got = 0;
    if (tls->failed != XT_OK) {
        return tls->failed;
    }
    xt_require(tls->established && size > 0);
    int result = SSL_read(tls->ssl, data, size > INT32_MAX ? INT32_MAX : (int)size);
    if (result <= 0) {
        return outcome(tls, result);
    }
    *got = (size_t)result;
    return XT_OK;
}

/* How much of size bytes may go into one record now; 0 when the output must be sent first. */
static size_t record_size(const struct xt_tls *tls, size_t size)
{
    size_t waiting = tls->output == NULL ? 0 : tls->output->end - tls->output->begin;
    size_t room = XT_TLS_OUTPUT_MAX - waiting;
    size_t wanted = size < RECORD_PLAIN_MAX ? size : RECORD_PLAIN_MAX;
    if (room >= wanted + RECORD_RESERVE) {
        return wanted;
    }
    return room >= RECORD_PLAIN_MIN + RECORD_RESERVE ? room - RECORD_RESERVE : 0;
}

enum xt_status xt_tls_write(struct xt_tls *tls, struct xt_span plain, size_t *taken)
{
    *taken = 0;
    if (tls->failed != XT_OK) {
        return tls->failed;
    }
    xt_require(tls->established);
    while (plain.size > 0) {
        size_t size = record_size(tls, plain.size);
        if (size == 0) {
            return XT_AGAIN;
        }
        int result = SSL_write(tls->ssl, plain.data, (int)size);
        if (result <= 0) {
            return outcome(tls, result);
        }
        plain.data += result;
        plain.size -= (size_t)result;
        *taken += (size_t)result;
    }
    return XT_OK;
}

void xt_tls_shutdown(struct xt_tls *tls)
{
    if (tls->established && tls->failed == XT_OK) {
        (void)SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

struct xt_span xt_tls_output(struct xt_tls *tls)
{
    const struct xt_tls_buffer *output = tls->output;
    return output == NULL ? xt_span_of(NULL, 0)
                          : xt_span_of(output->data + output->begin, output->end - output->begin);
}

void xt_tls_output_taken(struct xt_tls *tls, size_t size)
{
    struct xt_tls_buffer *output = tls->output;
    if (output == NULL) {
        xt_require(size == 0);
        return;
    }
    xt_require(size <= output->end - output->begin);
    output->begin += size;
    if (output->begin == output->end) {
        tls->output = NULL;
        xt_tls_buffer_give(tls->context, output);
    }
}

/* ---- facts ---- */

enum xt_status xt_tls_peer_spki(const struct xt_tls *tls, uint8_t spki[XT_SPKI_SHA256])
{
    if (!tls->established || !tls->has_peer) {
        return XT_NOT_FOUND;
    }
    memcpy(spki, tls->peer_spki, XT_SPKI_SHA256);
    return XT_OK;
}

enum xt_status xt_tls_peer_certificate(const struct xt_tls *tls,
                                       uint8_t digest[XT_CERTIFICATE_SHA256])
{
    if (!tls->established || !tls->has_peer) {
        return XT_NOT_FOUND;
    }
    memcpy(digest, tls->peer_certificate, XT_CERTIFICATE_SHA256);
    return XT_OK;
}

int64_t xt_tls_peer_not_after(const struct xt_tls *tls)
{
    return tls->peer_not_after;
}

bool xt_tls_resumed(const struct xt_tls *tls)
{
    return SSL_session_reused(tls->ssl) == 1;
}

const char *xt_tls_version(const struct xt_tls *tls)
{
    return SSL_get_version(tls->ssl);
}

const char *xt_tls_error(const struct xt_tls *tls)
{
    return tls->error;
}
