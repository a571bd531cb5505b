/* bench/peers_people: the people of a population in the forms that other software loads.
 *
 * All peers hold the same nine facts as texts (see bench/peers/match.lua), with the name folded by the
 * loader: more than a team would have for free, and the cheapest form to compare.
 */
#ifndef XT_BENCH_PEERS_PEOPLE_H
#define XT_BENCH_PEERS_PEOPLE_H

#include "bench/population.h"
#include "core/claim.h"

#define XT_FOLD_MAX 512 /* bytes of a folded name */

/* The folded form of a name in NFC with Vietnamese and ASCII letters only, as `fold` of match.lua makes
 * it of any form: ASCII, no NUL. Gives its length. */
size_t xt_peers_fold(struct xt_span name, char text[XT_FOLD_MAX]);

enum xt_peers_form {
    XT_PEERS_NDJSON,  /* xacthuc import */
    XT_PEERS_REDIS,   /* RESP: SET p:number packed, SET a:old number */
    XT_PEERS_TABLE,   /* COPY of people */
    XT_PEERS_ALIASES, /* COPY of aliases */
    XT_PEERS_LDIF     /* slapadd */
};

/* Told after every few people; true ends the writing with XT_CLOSED. */
typedef bool xt_peers_stop(void);

XT_MUST_USE enum xt_status xt_peers_people_write(const struct xt_population *population,
                                                 enum xt_peers_form form, const char *path,
                                                 bool quiet, xt_peers_stop *stop,
                                                 struct xt_failure *failure);

/* What the value of a claim is called and what it is in those forms (LDAP attributes). */
const char *xt_peers_attribute(enum xt_claim claim);
#define XT_PEERS_LDAP_SUFFIX "xtUnit=register"

#endif
