/* tests/client: a small blocking HTTPS client for whole-program tests, on crypto/tls.
 *
 * Every wait has a limit (options.timeout_ms), so a test fails instead of hanging.
 * Memory: responses are the caller's; test_response_release gives them back.
 */
#ifndef XT_TESTS_CLIENT_H
#define XT_TESTS_CLIENT_H

#include "crypto/tls.h"

struct test_client; /* one connection */

struct test_client_options {
    const char *address; /* NULL: 127.0.0.1 */
    unsigned port;
    bool plain;                     /* no TLS: the admin listener, or hostile bytes at a TLS port */
    const char *certificate, *key;  /* PEM files; NULL: none */
    const char *authority;          /* PEM file; NULL: the server's certificate is not verified */
    const char *server_name;        /* NULL: the address */
    struct xt_tls_context *context; /* NULL: made from the files above; else used as it is, and
                                     * sessions are resumed if it was made so */
    unsigned timeout_ms;            /* of each wait; 0: 10,000 */
};

/* Connects and shakes hands. NULL on failure, with the reason in error (NULL is fine): "connect",
 * "timeout", "closed", or the word of xt_tls_error. With TLS 1.3 a refused client certificate shows
 * only at the first receive: see test_client_error. */
#define TEST_ERROR_MAX 512
struct test_client *test_client_open(const struct test_client_options *options,
                                     char error[TEST_ERROR_MAX]);
/* close_notify (with TLS) and close. */
void test_client_close(struct test_client *client);

/* false: see test_client_error. */
bool test_client_send(struct test_client *client, const void *data, size_t size);
bool test_client_send_text(struct test_client *client, const char *text);
/* Bytes straight to the socket, past TLS. */
bool test_client_send_raw(struct test_client *client, const void *data, size_t size);
/* Half-close of the socket: no more bytes will come from us. */
void test_client_finish(struct test_client *client);

/* Plaintext: bytes got, 0 when the peer ended the stream, -1 on an error or timeout. */
long test_client_receive(struct test_client *client, void *data, size_t size);
/* Waits until the peer closes, throwing away what comes; false on a timeout. */
bool test_client_wait_closed(struct test_client *client);

/* Of the last failure: "" when there was none. */
const char *test_client_error(const struct test_client *client);
const struct xt_tls *test_client_tls(const struct test_client *client); /* NULL: plain */
int test_client_socket(const struct test_client *client);

struct test_response {
    int status;
    char *head;       /* status line and fields as received, NUL-terminated */
    char *body;       /* NUL-terminated; chunks joined */
    size_t body_size; /* without the NUL */
    bool chunked;
};

/* Reads one response (with Content-Length, chunked, or until the end of the stream); further bytes
 * stay for the next one. head: the request was HEAD, so there is no body. */
bool test_client_response(struct test_client *client, bool head, struct test_response *response);
/* A field's value in the caller's memory; NULL when it is not there. The first of several. */
const char *test_response_field(const struct test_response *response, const char *name, char *value,
                                size_t size);
void test_response_release(struct test_response *response);

/* Sends one request and reads its response. fields: "Name: value\r\n..." or NULL; a body of NULL sends
 * none, else Content-Length is added. */
bool test_client_request(struct test_client *client, const char *method, const char *target,
                         const char *fields, const char *body, struct test_response *response);

#endif
