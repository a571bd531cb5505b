#include <stdio.h>
#include <stdlib.h>

#include "store/command_line.h"
#include "store/commands.h"
#include "store/partner_asked.h"

static const char help[] =
    "usage: xacthuc partner add DIR NAME --purpose P --claims LIST ... --cert FILE | --issue OUT\n"
    "       xacthuc partner set DIR NAME OPTIONS\n"
    "       xacthuc partner enable | disable | remove | show DIR NAME\n"
    "       xacthuc partner list DIR\n"
    "       xacthuc partner revoke DIR [--cert FILE] [--days N]\n"
    "\n"
    "Partners are files in DIR/partners; a running server takes up changes within a second.\n"
    "set changes what is given and leaves the rest. remove takes the partner's file away; the\n"
    "audit log keeps what he asked. revoke adds a certificate that our own authority issued to\n"
    "its list, DIR/revoked.crl, and renews the list, which must not end; a running server takes "
    "it\n"
    "up at SIGHUP.\n"
    "\n"
    "  --purpose P              a purpose this partner may state; may be repeated\n"
    "  --claims A,B,...         what may be asked for the purpose before it (set: that and no "
    "other)\n"
    "  --claims-required A,...  of these, what each request must state for the purpose before it,\n"
    "                           or none\n"
    "  --attributes A,B,...     what citizens may consent to give for the purpose before it, or\n"
    "                           none; sensitive ones need the right sensitive as well\n"
    "  --legal-basis-required   the purpose before it needs a legal basis in each request\n"
    "  --consent-required       the purpose before it needs a consent reference in each request\n"
    "  --no-legal-basis-required, --no-consent-required   it does not\n"
    "  --least-level N          citizens must authenticate at this level for the purpose before "
    "it\n"
    "                           (1 or 2; 3 and 4 cannot be reached yet), or none\n"
    "  --remove-purpose P       set: takes a purpose away; may be repeated\n"
    "  --right A,B,...          rights beyond a plain verdict, such as per_claim,card_state\n"
    "                           (set: these and no others), or none\n"
    "  --cert FILE              a certificate (PEM) the partner already has, signed by an "
    "authority\n"
    "                           in DIR/ca.crt; may be repeated (set: a further one)\n"
    "  --issue OUT              makes OUT/NAME.key and OUT/NAME.crt, and copies OUT/ca.crt\n"
    "  --note TEXT              a reviewer's note on the certificate before it\n"
    "  --remove-cert X          set: takes a certificate away: its file, or its spki_sha256\n"
    "  --days N                 how long an issued certificate is valid (default 365), or until\n"
    "                           the list of revoke must be renewed (default 30)\n"
    "  --rate N[:BURST]         requests a second, or none: no limit\n"
    "  --daily-quota N          distinct ids a day, or none: no limit\n"
    "  --old-numbers yes|no     whether an id may be a CMND or a replaced number (default yes); "
    "no:\n"
    "                           it is answered as one that nobody has\n"
    "  --network CIDR           where the partner may call from; may be repeated (set: from there\n"
    "                           only), or any\n"
    "  --state active|disabled  disabled: every request is refused\n"
    "  --json                   the result as JSON\n"
    "  --help, --version\n";

/* ---- the work ------------------------------------------------------------------------------ */

int xt_partner_print(const struct xt_partner *partner)
{
    uint8_t *text = malloc(XT_PARTNER_JSON_MAX);
    xt_require(text != NULL);
    struct xt_writer writer = xt_writer_over(text, XT_PARTNER_JSON_MAX);
    xt_partner_to_json(partner, &writer);
    xt_require(!writer.overflow);
    fwrite(text, 1, writer.size, stdout);
    free(text);
    return xt_finish_output("partner");
}

static int run_show(const struct xt_partner_asked *asked, const struct xt_partners *partners)
{
    const struct xt_partner *partner = xt_partners_by_name(partners, asked->name);
    if (partner == NULL) {
        struct xt_failure failure;
        (void)xt_fail(&failure, XT_NOT_FOUND, "there is no partner %s: see xacthuc partner list",
                      asked->name);
        return xt_work_error("partner", &failure);
    }
    return xt_partner_print(partner);
}

static void print_row(const struct xt_partner *partner, bool json, bool first)
{
    if (json) {
        printf("%s{\"name\":\"%s\",\"state\":\"%s\",\"certificates\":%u,\"purposes\":[",
               first ? "" : ",", partner->name, partner->active ? "active" : "disabled",
               partner->certificate_count);
        for (unsigned i = 0; i < partner->purpose_count; i++) {
            printf("%s\"%s\"", i == 0 ? "" : ",", partner->purposes[i].name);
        }
        putchar(']');
        if (partner->rate_per_second > 0) {
            printf(",\"rate\":{\"per_second\":%u,\"burst\":%u}", partner->rate_per_second,
                   partner->rate_burst);
        }
        if (partner->without_old_numbers) {
            printf(",\"old_numbers\":false");
        }
        if (partner->daily_quota > 0) {
            printf(",\"daily_quota\":%llu", (unsigned long long)partner->daily_quota);
        }
        putchar('}');
        return;
    }
    printf("%-24s %-9s %u certificate%s ", partner->name, partner->active ? "active" : "disabled",
           partner->certificate_count, partner->certificate_count == 1 ? " " : "s");
    for (unsigned i = 0; i < partner->purpose_count; i++) {
        printf("%s%s", i == 0 ? " " : ",", partner->purposes[i].name);
    }
    putchar('\n');
}

static int run_list(const struct xt_partner_asked *asked, const struct xt_partners *partners)
{
    fputs(asked->json ? "[" : "", stdout);
    for (unsigned i = 0; i < xt_partners_count(partners); i++) {
        print_row(xt_partners_at(partners, i), asked->json, i == 0);
    }
    fputs(asked->json ? "]\n" : "", stdout);
    return xt_finish_output("partner");
}

/* show and list */
static int look(const struct xt_partner_asked *asked)
{
    struct xt_failure failure;
    struct xt_partners *partners = NULL;
    bool refused = false, shows = asked->action == XT_PARTNER_SHOW;
    if (xt_partners_load(asked->dir, NULL, xt_partner_warn, &refused, &partners, &failure) !=
        XT_OK) {
        return xt_work_error("partner", &failure);
    }
    int exit_status = shows ? run_show(asked, partners) : run_list(asked, partners);
    if (!shows && refused && exit_status == XT_EXIT_OK) {
        exit_status = XT_EXIT_FAILED; /* the list is not the whole of them */
    }
    xt_partners_free(partners);
    return exit_status;
}

int xt_command_partner(int argc, char **argv)
{
    static struct xt_partner_asked asked; /* a partner is large */
    asked = (struct xt_partner_asked){.partner = {.active = true}};
    int exit_status = xt_partner_parse(&asked, argc, argv);
    if (exit_status >= 0) {
        return exit_status;
    }
    if (asked.help) {
        fputs(help, stdout);
        return XT_EXIT_OK;
    }
    switch (asked.action) {
    case XT_PARTNER_ADD:
        return xt_partner_add(&asked);
    case XT_PARTNER_SET:
    case XT_PARTNER_ENABLE:
    case XT_PARTNER_DISABLE:
        return xt_partner_set(&asked);
    case XT_PARTNER_REMOVE:
        return xt_partner_remove(&asked);
    case XT_PARTNER_REVOKE:
        return xt_partner_revoke(&asked);
    default:
        return look(&asked);
    }
}
