/* net/token_answer: the answer that gives an access token (RFC 6749, section 5.1; RFC 9068). */
#ifndef XT_NET_TOKEN_ANSWER_H
#define XT_NET_TOKEN_ANSWER_H

#include "net/service.h"

/* Whose it is, by what he is known to be here, and to whom it is given: call->entry.partner. */
struct xt_token_grant {
    uint64_t number;
    unsigned factors;           /* set of enum xt_factor, not empty */
    enum xt_unlock unlocked_by; /* the device whose key it was */
    struct xt_span audience;
    const uint8_t *certificate; /* XT_SHA256 bytes: of the partner's, that it is bound to */
};

/* Whether there are the keys, the issuer and the live store that it takes. */
bool xt_token_can_be_given(const struct xt_service *service);

/* Fills the answer: 200, with the token and what is in it. Only where it can be given. */
void xt_token_answer(const struct xt_call *call, const struct xt_token_grant *grant,
                     struct xt_answer *answer);

#endif
