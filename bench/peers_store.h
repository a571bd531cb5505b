/* bench/peers_store: the data bases behind nginx, loaded and running. Private to bench/peers*. */
#ifndef XT_BENCH_PEERS_STORE_H
#define XT_BENCH_PEERS_STORE_H

#include "bench/peers.h"

#define XT_PEERS_POSTGRES_PORT "5432" /* names its socket; there is no TCP */

/* On a Unix socket of that path; into peer->store. */
XT_MUST_USE enum xt_status xt_peers_start_redis(struct xt_peers *peers, struct xt_peer *peer,
                                                const char *socket_path,
                                                struct xt_failure *failure);
/* On a Unix socket in peer->folder; user and data base are called people. */
XT_MUST_USE enum xt_status xt_peers_start_postgres(struct xt_peers *peers, struct xt_peer *peer,
                                                   struct xt_failure *failure);

#endif
