/* tests/crypto/link: a TLS client and a server joined in memory. */
#ifndef XT_TESTS_CRYPTO_LINK_H
#define XT_TESTS_CRYPTO_LINK_H

#include <time.h>

#include "crypto/tls.h"

struct side {
    struct xt_tls *tls;
    enum xt_status handshake; /* XT_AGAIN until it is over */
    enum xt_status stream;    /* last outcome of a read: XT_AGAIN while open */
    uint8_t got[256 << 10];   /* plaintext that arrived */
    size_t size;
};

struct link {
    struct side client, server;
    /* Changes bytes on their way; returns the new size, at most capacity. NULL: none. */
    size_t (*tamper)(void *data, bool to_server, uint8_t *bytes, size_t size, size_t capacity);
    void *tamper_data;
};

/* The people of these tests: scratch("ca.crt") signed server.*, client.*, ...; other-ca.crt signed
 * stranger.*. */
void link_make_certificates(void);
struct xt_tls_context *link_server(void);
/* A server's context from files, whose other members come from material; NULL: none of them. */
enum xt_status link_server_of(const struct xt_tls_server_files *files,
                              const struct xt_tls_server_material *material,
                              struct xt_tls_context **context, struct xt_failure *failure);
/* name: "client", "stranger", ...; NULL: no certificate. */
struct xt_tls_context *link_client(const char *name, bool resume);
/* Issues name.crt and name.key. authority: "ca" or "other-ca". */
void link_issue(const char *authority, const char *name, int use, time_t not_before,
                time_t not_after);

void link_open(struct link *link, struct xt_tls_context *client, struct xt_tls_context *server,
               const char *server_name);
void link_close(struct link *link);

/* Carries bytes to and fro, at most step at a time, until both sides are silent. */
void link_pump(struct link *link, size_t step);

/* Feeds one side and lets it work; everything fed is consumed or kept. */
void side_take(struct side *side, const uint8_t *bytes, size_t size);
void side_work(struct side *side);

#endif
