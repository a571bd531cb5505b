/* net/caller: who asks, and what he sends: the questions that the routes of partners begin with. */
#ifndef XT_NET_CALLER_H
#define XT_NET_CALLER_H

#include "net/service.h"

/* The partner of a connection's certificate, as of now: also on resumed and on long connections. NULL: *problem
 * tells why not. *known: who it is by the certificate alone; NULL: nobody. */
const struct xt_partner *xt_caller_find(const struct xt_service *service,
                                        const struct xt_peer *peer, const struct xt_partner **known,
                                        enum xt_problem *problem);

/* The same for a call: metrics and the audit log learn who it is. */
const struct xt_partner *xt_call_partner(struct xt_call *call, enum xt_problem *problem);

/* The same for a route that a right opens, from where he may call. */
const struct xt_partner *xt_call_partner_with(struct xt_call *call, enum xt_right right,
                                              enum xt_problem *problem);

/* Takes one request of the partner's rate; false: the answer is made. */
bool xt_call_take_rate(struct xt_call *call, struct xt_answer *answer);

/* Counts the id that is asked about, whether anybody has it or not, for the partner's daily quota. allowance: the
 * partner's; NULL: nothing is shared, so there are no limits. */
enum xt_problem xt_caller_take_quota(const struct xt_service *service,
                                     const struct xt_partner *partner,
                                     const struct xt_allowance *allowance, struct xt_id id);

/* The beginning of a route of JSON that a right opens: who asks, his rate, the body's type and size. NULL: the
 * answer is made. */
const struct xt_partner *xt_call_begin_json(struct xt_call *call, enum xt_right right, size_t most,
                                            struct xt_answer *answer);

/* Takes one of the partner's daily quota of distinct ids, whether anybody has it or not; false: the answer is
 * made. */
bool xt_call_take_quota(struct xt_call *call, struct xt_id id, struct xt_answer *answer);

/* For the alarm of who mostly asks in vain: an attempt to be let in, or to be given something. */
void xt_call_count_attempt(const struct xt_call *call, bool passed);

/* Whom the call is about, for the audit log. */
void xt_call_note_subject(struct xt_call *call, struct xt_id id);

/* Whether the content is of this media type, with no parameter but charset=utf-8 and no coding. */
bool xt_call_has_type(const struct xt_http_request *request, const char *media);

#endif
