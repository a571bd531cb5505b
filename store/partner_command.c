#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/authority.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/partner_asked.h"

static const char help[] =
    "usage: xacthuc partner add DIR NAME --purpose P --claims LIST ... --cert FILE | --issue OUT\n"
    "       xacthuc partner show DIR NAME\n"
    "       xacthuc partner list DIR\n"
    "       xacthuc partner revoke DIR [--cert FILE] [--days N]\n"
    "\n"
    "Partners are files in DIR/partners; a running server takes up changes by itself.\n"
    "revoke adds a certificate that our own authority issued to its list, DIR/revoked.crl, and\n"
    "renews the list, which must not end; a running server takes it up at SIGHUP.\n"
    "\n"
    "  --purpose P              a purpose this partner may state; may be repeated\n"
    "  --claims A,B,...         what may be asked for the purpose before it\n"
    "  --legal-basis-required   the purpose before it needs a legal basis in each request\n"
    "  --consent-required       the purpose before it needs a consent reference in each request\n"
    "  --right A,B,...          rights beyond a plain verdict, such as per_claim,card_state\n"
    "  --cert FILE              a certificate (PEM) the partner already has, signed by an "
    "authority\n"
    "                           in DIR/ca.crt; may be repeated\n"
    "  --issue OUT              makes OUT/NAME.key and OUT/NAME.crt, and copies OUT/ca.crt\n"
    "  --days N                 how long an issued certificate is valid (default 365), or until\n"
    "                           the list of revoke must be renewed (default 30)\n"
    "  --rate N[:BURST]         requests a second\n"
    "  --network CIDR           where the partner may call from; may be repeated\n"
    "  --json                   the result as JSON\n"
    "  --help, --version\n";

#define DAYS_MAX 3650
#define ISSUED_DAYS 365

/* Steps through a list with commas. */
static bool next_item(const char **text, struct xt_span *item)
{
    if (*text == NULL) {
        return false;
    }
    size_t size = strcspn(*text, ",");
    *item = xt_span_of(*text, size);
    *text = (*text)[size] == ',' ? *text + size + 1 : NULL;
    return true;
}

static struct xt_purpose *last_purpose(struct xt_partner_asked *asked)
{
    struct xt_partner *partner = &asked->partner;
    return partner->purpose_count == 0 ? NULL : &partner->purposes[partner->purpose_count - 1];
}

static int add_purpose(struct xt_partner_asked *asked, const char *text)
{
    struct xt_partner *partner = &asked->partner;
    struct xt_span name = xt_span_of_string(text);
    if (!xt_policy_name_is_valid(name)) {
        return xt_usage_error("partner", "a purpose is 1-64 of a-z 0-9 . _ -");
    }
    if (xt_partner_purpose(partner, name) != NULL) {
        return xt_usage_error("partner", "--purpose %s is given twice", text);
    }
    if (partner->purpose_count == XT_PARTNER_PURPOSES_MAX) {
        return xt_usage_error("partner", "at most %d purposes", XT_PARTNER_PURPOSES_MAX);
    }
    struct xt_purpose *purpose = &partner->purposes[partner->purpose_count++];
    memcpy(purpose->name, text, name.size + 1);
    return -1;
}

static int add_claims(struct xt_partner_asked *asked, const char *text)
{
    struct xt_purpose *purpose = last_purpose(asked);
    struct xt_span item;
    if (purpose == NULL) {
        return xt_usage_error("partner", "--claims belongs behind a --purpose");
    }
    while (next_item(&text, &item)) {
        enum xt_claim claim;
        if (xt_claim_by_name(item, &claim) != XT_OK) {
            return xt_usage_error("partner", "there is no claim '%.*s'", (int)item.size,
                                  (const char *)item.data);
        }
        purpose->claims |= XT_CLAIM_BIT(claim);
    }
    return -1;
}

static int add_rights(struct xt_partner_asked *asked, const char *text)
{
    struct xt_span item;
    while (next_item(&text, &item)) {
        uint32_t right;
        if (xt_right_by_name(item, &right) != XT_OK) {
            return xt_usage_error("partner", "there is no right '%.*s'", (int)item.size,
                                  (const char *)item.data);
        }
        asked->partner.rights |= right;
    }
    return -1;
}

static int set_rate(struct xt_partner_asked *asked, const char *text)
{
    char first[16];
    uint64_t per_second;
    uint64_t burst;
    size_t size = strcspn(text, ":");
    snprintf(first, sizeof(first), "%.*s", (int)(size < 15 ? size : 15), text);
    bool fine = xt_parse_count(first, XT_RATE_MAX, &per_second) && per_second > 0;
    burst = per_second;
    if (fine && text[size] == ':') {
        fine = xt_parse_count(text + size + 1, XT_RATE_MAX, &burst) && burst > 0;
    }
    if (!fine) {
        return xt_usage_error("partner", "--rate is N or N:BURST, each from 1 to %d", XT_RATE_MAX);
    }
    asked->partner.rate_per_second = (uint32_t)per_second;
    asked->partner.rate_burst = (uint32_t)burst;
    return -1;
}

static int add_network(struct xt_partner_asked *asked, const char *text)
{
    struct xt_partner *partner = &asked->partner;
    if (partner->network_count == XT_PARTNER_NETWORKS_MAX) {
        return xt_usage_error("partner", "at most %d networks", XT_PARTNER_NETWORKS_MAX);
    }
    if (xt_network_parse(xt_span_of_string(text), &partner->networks[partner->network_count]) !=
        XT_OK) {
        return xt_usage_error("partner", "--network is one such as 10.0.0.0/8 or 2001:db8::/32, "
                                         "with no bits set past the prefix");
    }
    partner->network_count++;
    return -1;
}

static int add_certificate(struct xt_partner_asked *asked, const char *path)
{
    if (asked->certificate_count == XT_PARTNER_CERTIFICATES_MAX) {
        return xt_usage_error("partner", "at most %d certificates", XT_PARTNER_CERTIFICATES_MAX);
    }
    asked->certificates[asked->certificate_count++] = path;
    return -1;
}

/* One option; -1 to go on, else the exit status. */
static int take_option(struct xt_partner_asked *asked, int option, char **argv)
{
    struct xt_purpose *purpose = last_purpose(asked);
    asked->add_options = asked->add_options || strchr("pclCrRIn", option) != NULL;
    asked->certificate_options = asked->certificate_options || option == 'i' || option == 'd';
    switch (option) {
    case 'p':
        return add_purpose(asked, optarg);
    case 'c':
        return add_claims(asked, optarg);
    case 'l':
    case 'C':
        if (purpose == NULL) {
            return xt_usage_error("partner", "%s belongs behind a --purpose", argv[optind - 1]);
        }
        purpose->legal_basis_required = purpose->legal_basis_required || option == 'l';
        purpose->consent_required = purpose->consent_required || option == 'C';
        return -1;
    case 'r':
        return add_rights(asked, optarg);
    case 'R':
        return set_rate(asked, optarg);
    case 'i':
        return add_certificate(asked, optarg);
    case 'I':
        asked->issue = optarg;
        return -1;
    case 'd':
        return xt_parse_count(optarg, DAYS_MAX, &asked->days) && asked->days > 0
                   ? -1
                   : xt_usage_error("partner", "--days is a number from 1 to %d", DAYS_MAX);
    case 'n':
        return add_network(asked, optarg);
    case 'j':
        asked->json = true;
        return -1;
    case 'h':
        fputs(help, stdout);
        return XT_EXIT_OK;
    case 'v':
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    default:
        return xt_option_error("partner", option, argv);
    }
}

static int check_add(const struct xt_partner_asked *asked)
{
    if (!xt_policy_name_is_valid(xt_span_of_string(asked->name))) {
        return xt_usage_error("partner", "a partner's name is 1-64 of a-z 0-9 . _ -");
    }
    if (asked->partner.purpose_count == 0) {
        return xt_usage_error("partner", "give at least one --purpose with its --claims");
    }
    for (unsigned i = 0; i < asked->partner.purpose_count; i++) {
        if (asked->partner.purposes[i].claims == 0) {
            return xt_usage_error("partner", "--purpose %s has no --claims",
                                  asked->partner.purposes[i].name);
        }
    }
    if ((asked->certificate_count > 0) == (asked->issue != NULL)) {
        return xt_usage_error("partner", "give either --cert FILE or --issue OUT");
    }
    if (asked->issue != NULL && strcmp(asked->name, "ca") == 0) {
        return xt_usage_error("partner",
                              "with --issue a partner cannot be called ca: OUT/ca.crt is "
                              "the authority's certificate");
    }
    return -1;
}

static int parse(struct xt_partner_asked *asked, int argc, char **argv)
{
    static const struct option options[] = {{"purpose", required_argument, NULL, 'p'},
                                            {"claims", required_argument, NULL, 'c'},
                                            {"legal-basis-required", no_argument, NULL, 'l'},
                                            {"consent-required", no_argument, NULL, 'C'},
                                            {"right", required_argument, NULL, 'r'},
                                            {"rate", required_argument, NULL, 'R'},
                                            {"cert", required_argument, NULL, 'i'},
                                            {"issue", required_argument, NULL, 'I'},
                                            {"days", required_argument, NULL, 'd'},
                                            {"network", required_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        int exit_status = take_option(asked, option, argv);
        if (exit_status >= 0) {
            return exit_status;
        }
    }
    if (optind == argc) {
        return xt_usage_error("partner", "say what to do: add, show, list or revoke");
    }
    asked->action = argv[optind];
    bool add = strcmp(asked->action, "add") == 0;
    bool list = strcmp(asked->action, "list") == 0;
    bool revoke = strcmp(asked->action, "revoke") == 0;
    if (!add && !list && !revoke && strcmp(asked->action, "show") != 0) {
        return xt_usage_error("partner", "there is no action '%s'", asked->action);
    }
    if (argc - optind != (list || revoke ? 2 : 3)) {
        return xt_usage_error("partner",
                              list || revoke ? "%s: give one deployment"
                                             : "%s: give the deployment and one partner's name",
                              asked->action);
    }
    if (!add && (asked->add_options || (asked->certificate_options && !revoke))) {
        return xt_usage_error("partner", "%s takes no options but --json%s", asked->action,
                              revoke ? ", --cert and --days" : "");
    }
    if (revoke && asked->certificate_count > 1) {
        return xt_usage_error("partner", "revoke takes one --cert at a time");
    }
    if (asked->days == 0) {
        asked->days = revoke ? XT_REVOCATION_DAYS : ISSUED_DAYS;
    }
    asked->dir = argv[optind + 1];
    asked->name = list || revoke ? "" : argv[optind + 2];
    return add ? check_add(asked) : -1;
}

/* ---- the work ------------------------------------------------------------------------------ */

static int run_show(const struct xt_partner_asked *asked, const struct xt_partners *partners)
{
    const struct xt_partner *partner = xt_partners_by_name(partners, asked->name);
    if (partner == NULL) {
        struct xt_failure failure;
        (void)xt_fail(&failure, XT_NOT_FOUND, "there is no partner %s: see xacthuc partner list",
                      asked->name);
        return xt_work_error("partner", &failure);
    }
    uint8_t *text = malloc(XT_PARTNER_JSON_MAX);
    xt_require(text != NULL);
    struct xt_writer writer = xt_writer_over(text, XT_PARTNER_JSON_MAX);
    xt_partner_to_json(partner, &writer);
    xt_require(!writer.overflow);
    fwrite(text, 1, writer.size, stdout);
    free(text);
    return xt_finish_output("partner");
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
        fputs("]}", stdout);
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

int xt_command_partner(int argc, char **argv)
{
    struct xt_partner_asked asked = {.action = "", .days = 0};
    struct xt_failure failure;
    struct xt_partners *partners = NULL;
    bool refused = false;
    int exit_status = parse(&asked, argc, argv);
    if (exit_status >= 0) {
        return exit_status;
    }
    if (strcmp(asked.action, "add") == 0) {
        return xt_partner_add(&asked);
    }
    if (strcmp(asked.action, "revoke") == 0) {
        return xt_partner_revoke(&asked);
    }
    if (xt_partners_load(asked.dir, NULL, xt_partner_warn, &refused, &partners, &failure) !=
        XT_OK) {
        return xt_work_error("partner", &failure);
    }
    bool shows = strcmp(asked.action, "show") == 0;
    exit_status = shows ? run_show(&asked, partners) : run_list(&asked, partners);
    if (!shows && refused && exit_status == XT_EXIT_OK) {
        exit_status = XT_EXIT_FAILED; /* the list is not the whole of them */
    }
    xt_partners_free(partners);
    return exit_status;
}
