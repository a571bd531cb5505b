/* net/oauth: what the routes of OAuth 2.0 have in common: forms in, JSON out, refusals as RFC 6749 section 5.2 has
 * them ({"error":...}, application/json), because that is what its clients' libraries read. What is refused before
 * the form is looked at (certificate, right, rate) is a problem document as everywhere.
 *
 * The client is authenticated by its certificate alone (RFC 8705, section 2.1, tls_client_auth): client_id, where it
 * is sent, must be the partner's name.
 */
#ifndef XT_NET_OAUTH_H
#define XT_NET_OAUTH_H

#include "core/form.h"
#include "net/caller.h"

#define XT_OAUTH_BODY_MAX 8192 /* bytes */

/* Who asks, and his form, borrowed from the request's body. NULL: the answer is made. */
const struct xt_partner *xt_oauth_begin(struct xt_call *call, enum xt_right right,
                                        struct xt_form *form, struct xt_answer *answer);

/* Refuses as OAuth does: "error" is the problem's code. */
void xt_oauth_refuse(struct xt_call *call, enum xt_problem problem, struct xt_answer *answer);

/* Who reads tokens in this service, now. */
struct xt_token_reader xt_oauth_reader(const struct xt_service *service);

/* Whether there is all that giving tokens takes. */
bool xt_oauth_can_give(const struct xt_service *service);
/* The claims of a token that begins now, of what was shown (set of enum xt_factor): for the partner whose name and
 * certificate these are. Texts are borrowed. */
struct xt_token_grant {
    uint64_t number;
    unsigned factors;
    enum xt_unlock unlocked_by; /* the device whose key it was */
    struct xt_span partner, audience;
    uint8_t certificate[XT_SHA256];
};
void xt_oauth_grant(const struct xt_service *service, const struct xt_token_grant *grant,
                    struct xt_token *token);
/* "access_token":...,"token_type":...,"expires_in":...: members, without braces. */
void xt_oauth_write_token(const struct xt_service *service, const struct xt_token *token,
                          struct xt_writer *writer);

/* Checks a token (xt_token_check) with the service's arena and cache. */
XT_MUST_USE enum xt_status xt_oauth_check(struct xt_service *service, struct xt_span text,
                                          uint8_t payload[XT_TOKEN_PAYLOAD],
                                          struct xt_token_text *read);

#endif
