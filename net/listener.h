/* net/listener: accepts clients of one listening socket into its connections.
 *
 * A readiness watcher and accept4, not uv_listen: takes at most `accepts_per_turn` in one turn, a
 * quarter of that while handshakes wait for their turn (the kernel's queue is the place to wait), and
 * stops watching when there is no room or no file descriptor, instead of spinning on EMFILE.
 */
#ifndef XT_NET_LISTENER_H
#define XT_NET_LISTENER_H

#include "net/connection.h"

struct xt_listener {
    uv_poll_t poll;
    int socket;
    unsigned limit; /* connections */
    bool watching, paused, closed;
    struct xt_entrance entrance;
    struct xt_connections connections;
};

/* Listens on "address:port" or "[v6]:port"; port 0: the system picks. Non-blocking, close on exec. */
XT_MUST_USE enum xt_status xt_listen(const char *address, int *socket, struct xt_failure *failure);
/* The same beside others of this user that listen there (SO_REUSEPORT): the kernel spreads clients over
 * them. */
XT_MUST_USE enum xt_status xt_listen_beside(const char *address, int *socket,
                                            struct xt_failure *failure);
/* Where a socket listens, as text. */
#define XT_ADDRESS_TEXT 64
void xt_listening_address(int socket, char text[XT_ADDRESS_TEXT]);
bool xt_listening_on_loopback(int socket);

/* Takes the socket, also on failure. gone: told whenever a connection is. */
XT_MUST_USE enum xt_status
xt_listener_open(struct xt_listener *listener, uv_loop_t *loop, int socket, unsigned limit,
                 const struct xt_entrance *entrance, const struct xt_settings *settings,
                 struct xt_service *service, void (*gone)(void *context), void *context);
/* From now on for new clients, and the judge of the certificates of those that are here. Borrowed until
 * the next one or the end; connections that began with the one before keep that alive themselves. */
void xt_listener_set_tls(struct xt_listener *listener, struct xt_tls_context *tls);
/* After the settings have changed. limit: connections, from now on (open ones stay). */
void xt_listener_reload(struct xt_listener *listener, unsigned limit);
/* Every second or so: time limits, and another try when accepting was paused. */
void xt_listener_sweep(struct xt_listener *listener);
/* Takes those that the kernel has queued, then no more: the socket is closed. */
void xt_listener_drain(struct xt_listener *listener);
/* Takes no more clients: the socket is closed, so that new ones are refused and need not wait. */
void xt_listener_stop(struct xt_listener *listener);
/* After the loop has ended. */
void xt_listener_close(struct xt_listener *listener);

#endif
