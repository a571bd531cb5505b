/* net/client: one connection of `xacthuc verify` to a server: TCP, TLS with our certificate, HTTP/1.1.
 *
 *   xt_client_send: bytes of requests --> [ client ] --> TLS --> socket
 *   taker: heads, bodies in pieces   <-- [ llhttp ] <-- TLS <-- socket
 *
 * Never waits: the caller polls xt_client_socket for xt_client_events and calls xt_client_run.
 * Only names are looked up while the caller waits, once, in xt_client_server_resolve.
 * Memory: XT_CLIENT_ROOM bytes of requests wait at most; wiped when it closes, for they hold people.
 * Thread: one.
 */
#ifndef XT_NET_CLIENT_H
#define XT_NET_CLIENT_H

#include <sys/socket.h>

#include "core/span.h"
#include "core/status.h"
#include "crypto/tls.h"

#define XT_CLIENT_ROOM (256U << 10) /* bytes */
#define XT_CLIENT_ADDRESSES 8

/* Where to. */
struct xt_client_server {
    char host[256]; /* a name, or an address without brackets */
    char port[6];
    char authority[270]; /* host and port as the Host field has them */
    unsigned addresses;
    struct sockaddr_storage address[XT_CLIENT_ADDRESSES];
    socklen_t address_size[XT_CLIENT_ADDRESSES];
};

/* https://HOST[:PORT][/]; without a port 443. XT_INVALID: anything else. */
XT_MUST_USE enum xt_status xt_client_server_parse(const char *url, struct xt_client_server *server);
XT_MUST_USE enum xt_status xt_client_server_resolve(struct xt_client_server *server,
                                                    struct xt_failure *failure);

/* What answers are given to. false from any: the connection is given up (XT_INVALID). */
struct xt_client_taker {
    void *context;
    bool (*take_head)(void *context, unsigned status, unsigned retry_after_s); /* 0: none given */
    bool (*take_body)(void *context, struct xt_span piece);
    bool (*take_end)(void *context);
};

struct xt_client;

/* Begins to connect; server and context must outlive it. The first address that answers is taken. */
XT_MUST_USE enum xt_status xt_client_open(const struct xt_client_server *server,
                                          struct xt_tls_context *context,
                                          const struct xt_client_taker *taker,
                                          struct xt_client **client);
void xt_client_close(struct xt_client *client);

int xt_client_socket(const struct xt_client *client);
short xt_client_events(const struct xt_client *client);

/* revents: of poll, 0 when bytes were given to send. XT_OK: it goes on. Otherwise it is over, and
 * xt_client_why tells in a few words without personal data: XT_IO (no connection, or it broke),
 * XT_DENIED (TLS: one side does not take the other's certificate), XT_INVALID (no HTTP or TLS, or the
 * taker did not want it), XT_CLOSED (the server ended it between two answers). */
XT_MUST_USE enum xt_status xt_client_run(struct xt_client *client, short revents);
const char *xt_client_why(const struct xt_client *client);

/* Bytes that xt_client_send takes now; before the handshake too. More than that must not be given. */
size_t xt_client_room(const struct xt_client *client);
void xt_client_send(struct xt_client *client, struct xt_span bytes);

/* When bytes last moved in either direction, in ms of xt_client_now_ms. */
uint64_t xt_client_moved_ms(const struct xt_client *client);
uint64_t xt_client_now_ms(void);

/* One request and its whole answer, waited for, at most timeout_ms without a byte. The answer's body is
 * memory of malloc, to be wiped and freed by xt_client_answer_release. */
struct xt_client_answer {
    unsigned status;
    unsigned retry_after_s;
    size_t size, capacity;
    uint8_t *body;
};
XT_MUST_USE enum xt_status xt_client_ask(const struct xt_client_server *server,
                                         struct xt_tls_context *context, const char *path,
                                         struct xt_span body, unsigned timeout_ms,
                                         struct xt_client_answer *answer,
                                         struct xt_failure *failure);
void xt_client_answer_release(struct xt_client_answer *answer);

#endif
