/* tests/net/site_server: the site of tests/net/rig.h behind a real listener, in a process of its own:
 * sockets, TLS and turns of the loop as in a worker, and nothing else of it. */
#ifndef XT_TESTS_NET_SITE_SERVER_H
#define XT_TESTS_NET_SITE_SERVER_H

#include <sys/types.h>

#include "core/settings.h"
#include "tests/net/deployment.h"

struct site_server {
    struct server at; /* for connect_as; at.pid and at.port */
    bool tls;
};

/* Serves with these settings (the listening address is not taken from them). tls: as the deployment of
 * tests/net/deployment.h, which must have been made; else plain. */
void site_server_start(struct site_server *server, const struct xt_settings *settings, bool tls);
/* Ends it as a worker ends; fails the test when it crashed or left something behind. */
void site_server_stop(struct site_server *server);

/* Everything that is done between these two is there for the server at once. */
void site_server_freeze(const struct site_server *server);
void site_server_thaw(const struct site_server *server);

/* Processor time that it has used, in ms. */
unsigned site_server_cpu_ms(const struct site_server *server);

#endif
