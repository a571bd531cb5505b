#include <openssl/ssl.h>

#include "crypto/tickets.h"
#include "crypto/tls_internal.h"

static size_t max_overhead(SSL *ssl)
{
    (void)ssl;
    return XT_TICKET_OVERHEAD;
}

static int seal(SSL *ssl, uint8_t *out, size_t *out_size, size_t capacity, const uint8_t *in,
                size_t in_size)
{
    if (capacity < in_size + XT_TICKET_OVERHEAD) {
        return 0;
    }
    xt_ticket_seal(xt_tls_of(ssl)->context->tickets, xt_span_of(in, in_size), out);
    *out_size = in_size + XT_TICKET_OVERHEAD;
    return 1;
}

/* A ticket that we cannot open is no fault of the client: a full handshake follows. */
static enum ssl_ticket_aead_result_t open_ticket(SSL *ssl, uint8_t *out, size_t *out_size,
                                                 size_t capacity, const uint8_t *in, size_t in_size)
{
    if (capacity < in_size) {
        return ssl_ticket_aead_ignore_ticket;
    }
    enum xt_status status =
        xt_ticket_open(xt_tls_of(ssl)->context->tickets, xt_span_of(in, in_size), out, out_size);
    return status == XT_OK ? ssl_ticket_aead_success : ssl_ticket_aead_ignore_ticket;
}

const struct ssl_ticket_aead_method_st *xt_tls_ticket_method(void)
{
    static const SSL_TICKET_AEAD_METHOD method = {
        .max_overhead = max_overhead, .seal = seal, .open = open_ticket};
    return &method;
}
