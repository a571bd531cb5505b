/* net/token_answer: the answer that gives an access token (RFC 6749, section 5.1; RFC 9068). */
#ifndef XT_NET_TOKEN_ANSWER_H
#define XT_NET_TOKEN_ANSWER_H

#include "net/oauth.h"

/* Fills the answer: 200, with the token and what is in it. Only where it can be given (xt_oauth_can_give). */
void xt_token_answer(const struct xt_call *call, const struct xt_token_grant *grant,
                     struct xt_answer *answer);

#endif
