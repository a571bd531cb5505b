/* `xacthuc partner set`, enable, disable and remove. */
#include <stdio.h>

#include "core/plain_text.h"
#include "crypto/authority.h"
#include "crypto/hex.h"
#include "store/command_line.h"
#include "store/partner_asked.h"

/* ---- purposes --------------------------------------------------------------------------------- */

static enum xt_status remove_purposes(const struct xt_partner_asked *asked,
                                      struct xt_partner *partner, struct xt_failure *failure)
{
    for (unsigned i = 0; i < asked->removed_purpose_count; i++) {
        const struct xt_purpose *found =
            xt_partner_purpose(partner, xt_span_of_string(asked->removed_purposes[i]));
        if (found == NULL) {
            return xt_fail(failure, XT_NOT_FOUND,
                           "%s has no purpose %.64s: see xacthuc partner show", partner->name,
                           asked->removed_purposes[i]);
        }
        unsigned at = (unsigned)(found - partner->purposes), last = --partner->purpose_count;
        memmove(&partner->purposes[at], &partner->purposes[at + 1],
                (last - at) * sizeof(partner->purposes[0]));
        memset(&partner->purposes[last], 0, sizeof(partner->purposes[0]));
    }
    return XT_OK;
}

/* One that he has is changed where something was said of it, another is added. */
static enum xt_status set_purposes(const struct xt_partner_asked *asked, struct xt_partner *partner,
                                   struct xt_failure *failure)
{
    for (unsigned i = 0; i < asked->partner.purpose_count; i++) {
        const struct xt_purpose *said = &asked->partner.purposes[i];
        const struct xt_purpose *found = xt_partner_purpose(partner, xt_span_of_string(said->name));
        if (found == NULL && said->claims == 0 && said->attributes == 0) {
            return xt_fail(failure, XT_INVALID,
                           "%s has no purpose %s yet: give its --claims to add it", partner->name,
                           said->name);
        }
        if (found == NULL && partner->purpose_count == XT_PARTNER_PURPOSES_MAX) {
            return xt_fail(failure, XT_TOO_LARGE,
                           "a partner has at most %d purposes: remove one with --remove-purpose",
                           XT_PARTNER_PURPOSES_MAX);
        }
        if (found == NULL) {
            partner->purposes[partner->purpose_count++] = *said;
            continue;
        }
        struct xt_purpose *purpose = &partner->purposes[found - partner->purposes];
        purpose->claims = said->claims != 0 ? said->claims : purpose->claims;
        purpose->required =
            (asked->required_given & 1U << i) != 0 ? said->required : purpose->required;
        if ((asked->attributes_given & 1U << i) != 0) {
            purpose->attributes = said->attributes;
        }
        if ((asked->legal_basis_given & 1U << i) != 0) {
            purpose->legal_basis_required = said->legal_basis_required;
        }
        if ((asked->consent_given & 1U << i) != 0) {
            purpose->consent_required = said->consent_required;
        }
        if ((asked->level_given & 1U << i) != 0) {
            purpose->least_level = said->least_level;
        }
    }
    for (unsigned i = 0; i < partner->purpose_count; i++) {
        const struct xt_purpose *purpose = &partner->purposes[i];
        if ((purpose->required & ~purpose->claims) != 0) {
            return xt_fail(failure, XT_INVALID,
                           "%s would have to state claims for %s that it may not ask: change "
                           "--claims and --claims-required together",
                           partner->name, purpose->name);
        }
    }
    return XT_OK;
}

/* ---- certificates ----------------------------------------------------------------------------- */

static bool read_digest(const char *text, uint8_t spki[XT_SPKI_DIGEST])
{
    return strlen(text) == (size_t)2 * XT_SPKI_DIGEST &&
           xt_hex_parse((const uint8_t *)text, spki, XT_SPKI_DIGEST);
}

static enum xt_status remove_certificates(const struct xt_partner_asked *asked,
                                          struct xt_partner *partner, struct xt_failure *failure)
{
    for (unsigned i = 0; i < asked->removed_certificate_count; i++) {
        const char *text = asked->removed_certificates[i];
        uint8_t spki[XT_SPKI_DIGEST];
        enum xt_status status =
            read_digest(text, spki) ? XT_OK : xt_certificate_spki(text, spki, failure);
        if (status != XT_OK) {
            return status;
        }
        unsigned at = 0, last = partner->certificate_count - 1;
        while (at <= last && memcmp(partner->certificates[at], spki, XT_SPKI_DIGEST) != 0) {
            at++;
        }
        if (at > last) {
            return xt_fail(failure, XT_NOT_FOUND,
                           "%.300s is no certificate of %s: see xacthuc partner show", text,
                           partner->name);
        }
        if (last == 0) {
            return xt_fail(failure, XT_INVALID,
                           "it is the last certificate of %s: add another one with --cert, or use "
                           "xacthuc partner disable",
                           partner->name);
        }
        memmove(partner->certificates[at], partner->certificates[at + 1],
                (last - at) * sizeof(partner->certificates[0]));
        memmove(partner->certificate_notes[at], partner->certificate_notes[at + 1],
                (last - at) * sizeof(partner->certificate_notes[0]));
        memset(partner->certificate_notes[last], 0, sizeof(partner->certificate_notes[0]));
        partner->certificate_count = last;
    }
    return XT_OK;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void set_members(const struct xt_partner_asked *asked, struct xt_partner *partner)
{
    const struct xt_partner *said = &asked->partner;
    if ((asked->given & XT_ASKED_RIGHTS) != 0) {
        partner->rights = said->rights;
    }
    if ((asked->given & XT_ASKED_OLD_NUMBERS) != 0) {
        partner->without_old_numbers = said->without_old_numbers;
    }
    if ((asked->given & XT_ASKED_RATE) != 0) {
        partner->rate_per_second = said->rate_per_second;
        partner->rate_burst = said->rate_burst;
    }
    if ((asked->given & XT_ASKED_QUOTA) != 0) {
        partner->daily_quota = said->daily_quota;
    }
    if ((asked->given & XT_ASKED_NETWORKS) != 0) {
        partner->network_count = said->network_count;
        memcpy(partner->networks, said->networks, sizeof(partner->networks));
    }
    if ((asked->given & XT_ASKED_STATE) != 0) {
        partner->active = said->active;
    }
    if (asked->action != XT_PARTNER_SET) {
        partner->active = asked->action == XT_PARTNER_ENABLE;
    }
}

/* With the lock held. */
static enum xt_status change_partner(const struct xt_partner_asked *asked,
                                     struct xt_partner_change *change, struct xt_partner *partner,
                                     struct xt_failure *failure)
{
    enum xt_status status = xt_partner_read(asked->dir, asked->name, partner, failure);
    if (status == XT_OK) {
        status = remove_purposes(asked, partner, failure);
    }
    if (status == XT_OK) {
        status = set_purposes(asked, partner, failure);
    }
    if (status == XT_OK) {
        set_members(asked, partner);
        status = xt_partner_take_certificates(asked, change, partner, failure);
    }
    if (status == XT_OK) { /* behind those that are added: one may take the place of the last */
        status = remove_certificates(asked, partner, failure);
    }
    if (status == XT_OK) {
        status = xt_partner_commit(change, failure);
    }
    return status == XT_OK ? xt_partner_save(asked->dir, partner, true, failure) : status;
}

int xt_partner_set(const struct xt_partner_asked *asked)
{
    static struct xt_partner partner;
    struct xt_failure failure;
    struct xt_partner_change change;
    enum xt_status status = xt_partner_begin(asked->dir, &change, &failure);
    if (status == XT_OK) {
        status = change_partner(asked, &change, &partner, &failure);
    }
    xt_partner_end(&change, asked, status);
    if (status != XT_OK) {
        return xt_work_error("partner", &failure);
    }
    if (asked->json) {
        return xt_partner_print(&partner);
    }
    printf("partner %s is %s; a running server takes it up within a second\n", asked->name,
           asked->action == XT_PARTNER_SET ? "changed"
           : partner.active                ? "active"
                                           : "disabled");
    xt_partner_print_issued(asked, &change.issued);
    return xt_finish_output("partner");
}

int xt_partner_remove(const struct xt_partner_asked *asked)
{
    struct xt_failure failure;
    struct xt_partner_change change;
    enum xt_status status = xt_partner_begin(asked->dir, &change, &failure);
    if (status == XT_OK) {
        status = xt_partner_commit(&change, &failure);
    }
    if (status == XT_OK) {
        status = xt_partner_delete(asked->dir, asked->name, &failure);
    }
    xt_partner_end(&change, asked, status);
    if (status != XT_OK) {
        return xt_work_error("partner", &failure);
    }
    if (asked->json) {
        printf("{\"name\":\"%s\",\"removed\":true}\n", asked->name);
    } else {
        printf("partner %s is removed; a running server takes it up within a second\n",
               asked->name);
    }
    return xt_finish_output("partner");
}
