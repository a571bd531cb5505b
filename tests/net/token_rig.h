/* tests/net/token_rig: tokens of a deployment's people, made outside its server by the deployment's own keys. */
#ifndef XT_TESTS_NET_TOKEN_RIG_H
#define XT_TESTS_NET_TOKEN_RIG_H

#include "crypto/token.h"
#include "tests/net/deployment.h"

/* Reads the keys; a server must have run here once. issuer: of its settings. */
void token_rig_open(const char *issuer);
void token_rig_close(void);

/* The number of the first person whose line has `member` ("\"status\":\"deceased\"") and who, unless any is
 * true, is alive with an account that nothing locks. */
uint64_t person_with(const char *member, bool any);

/* A token of that person for a partner: bound to DIR's issued/PARTNER.crt, over in lifetime_s from now (at most
 * 900). Valid until the next. */
const char *token_for(uint64_t number, const char *partner, const char *audience, int lifetime_s);
/* The claims that the next tokens have; for tests that bend them. */
struct xt_token token_claims(uint64_t number, const char *partner, const char *audience,
                             int lifetime_s);
const char *token_of(const struct xt_token *claims);
const char *token_by(const struct xt_answer_keys *keys, const struct xt_token *claims);

/* SHA-256 of the DER of a certificate in PEM. */
void certificate_digest(const char *path, uint8_t digest[32]);

#endif
