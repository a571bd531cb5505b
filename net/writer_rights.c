/* Who may tell the writer what, in whose name. Workers talk to strangers: one that was taken over can do no more than
 * the partners can who are there. What it can, as each of them, since it is the worker who checks what citizens show:
 *
 *   authenticate   say that an attempt passed (which ends the count of failures) or failed (which makes somebody wait),
 *                  revoke tokens, ask by the back channel, put a hash of its own in place of one without a pepper or of
 *                  lower costs (named by its digest)
 *   accounts       open, lock and unlock accounts, add and remove devices, set passcodes; give and revoke consents and
 *                  approve requests for whoever has a device
 *   attributes     give a consent to this partner for whoever has a device
 *
 * Proofs are not checked a second time here: who has the right `accounts` may do all of it for a citizen who came in
 * person and shows nothing, and a token is signed by the worker, who has its key. What the writer decides by itself no
 * worker changes: used challenges and revoked tokens stay so, a stopped account begins anew only by what ends a count,
 * locks by death and by a revoked card come and go with the register's events. */
#include "net/writer_internal.h"

/* An event of an account is told by the partner who stands in it. */
static uint32_t rights_for(const struct xt_account_event *told)
{
    switch (told->type) {
    case XT_ACCOUNT_ATTEMPT: /* before an account is changed, what the citizen shows is tried as well */
        return XT_RIGHT_AUTHENTICATE | XT_RIGHT_ACCOUNTS;
    case XT_ACCOUNT_PASSCODE_REHASHED: /* in place of a weaker one only */
    case XT_ACCOUNT_TOKEN_REVOKED:
    case XT_ACCOUNT_BACKCHANNEL_ASKED:
    case XT_ACCOUNT_BACKCHANNEL_TAKEN:
        return XT_RIGHT_AUTHENTICATE;
    case XT_ACCOUNT_CONSENT_GIVEN: /* to himself; the citizen's backend also to others */
        return xt_span_equal(told->partner, told->actor) ? XT_RIGHT_ATTRIBUTES | XT_RIGHT_ACCOUNTS
                                                         : XT_RIGHT_ACCOUNTS;
    default:
        return XT_RIGHT_ACCOUNTS;
    }
}

static bool has_one(const struct xt_partners *partners, struct xt_span name, uint32_t rights)
{
    char text[XT_PARTNER_NAME_MAX + 1] = {0};
    if (partners == NULL || !xt_policy_name_is_valid(name)) {
        return false;
    }
    memcpy(text, name.data, name.size);
    const struct xt_partner *partner = xt_partners_by_name(partners, text);
    return partner != NULL && partner->active && (partner->rights & rights) != 0;
}

bool xt_writer_may_tell(const struct xt_partners *partners, struct xt_span name,
                        const struct xt_event *event)
{
    struct xt_account_event told;
    if (xt_event_is_registry(event)) {
        return has_one(partners, name, XT_RIGHT_REGISTRY);
    }
    return xt_event_is_account(event) &&
           xt_account_event_decode((enum xt_account_type)event->type, event->account, &told) ==
               XT_OK &&
           xt_span_equal(told.actor, name) && has_one(partners, name, rights_for(&told));
}
