/* net/backchannel: OpenID Connect Client-Initiated Backchannel Authentication (CIBA core 1.0), poll mode: a partner
 * names a person, the citizen approves on his own device, the partner fetches his tokens.
 *
 *   partner  POST /v1/backchannel/authorize --> auth_req_id    asked: the writer keeps it until it is over
 *   backend  POST /v1/backchannel/pending   --> requests       of a person, each with a name and two audiences
 *   backend  POST /v1/challenges {audience: that of approving, or of denying}
 *   backend  POST /v1/backchannel/decide    <-- the citizen's signature over that challenge, and his passcode where the level
 *                                               that is asked for needs it
 *   partner  POST /v1/token                 --> authorization_pending, access_denied .., once: tokens
 *
 * A request's name is a digest of auth_req_id: who sees it cannot fetch the tokens. The challenge's audience says which
 * request it is for and what is decided, so that one signature does one thing once. Whom nobody is, or whose
 * account is locked, is asked in the same way, and nobody ever approves.
 * That a request is decided once, and gives tokens once, is the writer's to see (store/live_account).
 */
#ifndef XT_NET_BACKCHANNEL_H
#define XT_NET_BACKCHANNEL_H

#include "core/authenticate.h"
#include "net/caller.h"

#define XT_BACKCHANNEL_INTERVAL_S 5 /* between two questions about one request */
#define XT_BACKCHANNEL_EXPIRY_S 120 /* where the partner asks for no other */
#define XT_BACKCHANNEL_EXPIRY_LEAST_S 30
#define XT_BACKCHANNEL_EXPIRY_MOST_S 600
#define XT_BACKCHANNEL_TEXT_MAX                                                                    \
    128 /* bytes of scope and of binding_message: eight fit into an answer */

/* The name of a request. Of the text, so that nothing is decoded. */
void xt_backchannel_handle(struct xt_span auth_req_id, uint8_t handle[XT_REQUEST_HANDLE]);

/* urn:xacthuc:ciba:NAME:approve, NAME in base64url. */
#define XT_BACKCHANNEL_AUDIENCE_MAX 64
void xt_backchannel_audience(const uint8_t handle[XT_REQUEST_HANDLE], bool approve,
                             struct xt_writer *writer);

/* The person whom an id names, or of nobody the id. Anything but XT_OK: the answer is made. */
XT_MUST_USE enum xt_status xt_backchannel_subject(struct xt_call *call, struct xt_id id,
                                                  struct xt_register *people, struct xt_id *subject,
                                                  struct xt_answer *answer);

#endif
