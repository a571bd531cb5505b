/* The options of `xacthuc partner`. */
#include <getopt.h>
#include <stdio.h>

#include "core/plain_text.h"
#include "crypto/authority.h"
#include "store/command_line.h"
#include "store/partner_asked.h"

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

static bool is_none(const char *text)
{
    return strcmp(text, "none") == 0;
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

static int add_claims(struct xt_partner_asked *asked, int option, const char *text)
{
    struct xt_purpose *purpose = last_purpose(asked);
    struct xt_span item;
    if (purpose == NULL) {
        return xt_usage_error("partner", "--claims%s belongs behind a --purpose",
                              option == 'c' ? "" : "-required");
    }
    if (option == 'e') {
        asked->required_given |= 1U << (asked->partner.purpose_count - 1);
        if (is_none(text)) {
            return -1;
        }
    }
    while (next_item(&text, &item)) {
        enum xt_claim claim;
        if (xt_claim_by_name(item, &claim) != XT_OK) {
            return xt_usage_error("partner", "there is no claim '%.*s'", (int)item.size,
                                  (const char *)item.data);
        }
        *(option == 'c' ? &purpose->claims : &purpose->required) |= XT_CLAIM_BIT(claim);
    }
    return -1;
}

static int add_attributes(struct xt_partner_asked *asked, const char *text)
{
    struct xt_purpose *purpose = last_purpose(asked);
    struct xt_span item;
    if (purpose == NULL) {
        return xt_usage_error("partner", "--attributes belongs behind a --purpose");
    }
    asked->attributes_given |= 1U << (asked->partner.purpose_count - 1);
    if (is_none(text)) {
        return -1;
    }
    while (next_item(&text, &item)) {
        enum xt_attribute attribute;
        if (xt_attribute_by_name(item, &attribute) != XT_OK) {
            return xt_usage_error("partner", "there is no attribute '%.*s'", (int)item.size,
                                  (const char *)item.data);
        }
        purpose->attributes |= XT_ATTRIBUTE_BIT(attribute);
    }
    return -1;
}

static int add_rights(struct xt_partner_asked *asked, const char *text)
{
    struct xt_span item;
    asked->given |= XT_ASKED_RIGHTS;
    if (is_none(text)) {
        return -1;
    }
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
    asked->given |= XT_ASKED_RATE;
    if (is_none(text)) {
        return -1;
    }
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
        return xt_usage_error("partner", "--rate is N or N:BURST, each from 1 to %d, or none",
                              XT_RATE_MAX);
    }
    asked->partner.rate_per_second = (uint32_t)per_second;
    asked->partner.rate_burst = (uint32_t)burst;
    return -1;
}

static int set_level(struct xt_partner_asked *asked, const char *text)
{
    struct xt_purpose *purpose = last_purpose(asked);
    uint64_t level = 0;
    if (purpose == NULL) {
        return xt_usage_error("partner", "--least-level belongs behind a --purpose");
    }
    asked->level_given |= 1U << (asked->partner.purpose_count - 1);
    if (!is_none(text) && (!xt_parse_count(text, XT_LEVEL_MOST, &level) || level == 0)) {
        return xt_usage_error("partner", "--least-level is a level from 1 to 4, or none");
    }
    purpose->least_level = (unsigned)level;
    return -1;
}

static int set_old_numbers(struct xt_partner_asked *asked, const char *text)
{
    asked->given |= XT_ASKED_OLD_NUMBERS;
    asked->partner.without_old_numbers = strcmp(text, "no") == 0;
    return asked->partner.without_old_numbers || strcmp(text, "yes") == 0
               ? -1
               : xt_usage_error("partner", "--old-numbers is yes or no");
}

static int set_quota(struct xt_partner_asked *asked, const char *text)
{
    asked->given |= XT_ASKED_QUOTA;
    if (is_none(text) || (xt_parse_count(text, XT_QUOTA_MAX, &asked->partner.daily_quota) &&
                          asked->partner.daily_quota > 0)) {
        return -1;
    }
    return xt_usage_error("partner", "--daily-quota is a number of ids from 1 to %llu, or none",
                          XT_QUOTA_MAX);
}

static int set_state(struct xt_partner_asked *asked, const char *text)
{
    asked->given |= XT_ASKED_STATE;
    asked->partner.active = strcmp(text, "active") == 0;
    return asked->partner.active || strcmp(text, "disabled") == 0
               ? -1
               : xt_usage_error("partner", "--state is active or disabled");
}

static int add_network(struct xt_partner_asked *asked, const char *text)
{
    struct xt_partner *partner = &asked->partner;
    asked->given |= XT_ASKED_NETWORKS;
    if (strcmp(text, "any") == 0) {
        return -1;
    }
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

static int add_note(struct xt_partner_asked *asked, const char *text)
{
    if (asked->certificate_count == 0 && asked->issue == NULL) {
        return xt_usage_error("partner", "--note belongs behind a --cert or --issue");
    }
    if (strlen(text) > XT_CERTIFICATE_NOTE_MAX || xt_text_has_control(xt_span_of_string(text))) {
        return xt_usage_error("partner", "--note is a text of at most %d bytes on one line",
                              XT_CERTIFICATE_NOTE_MAX);
    }
    unsigned at = asked->issue != NULL ? 0 : asked->certificate_count - 1;
    asked->notes[at] = text;
    return -1;
}

static int add_removed(const char *what, const char **list, unsigned *count, unsigned most,
                       const char *text)
{
    if (*count == most) {
        return xt_usage_error("partner", "at most %u %s", most, what);
    }
    list[(*count)++] = text;
    return -1;
}

/* What the purpose before it needs of each request. */
static int set_need(struct xt_partner_asked *asked, int option, char **argv)
{
    struct xt_purpose *purpose = last_purpose(asked);
    if (purpose == NULL) {
        return xt_usage_error("partner", "%s belongs behind a --purpose", argv[optind - 1]);
    }
    unsigned at = asked->partner.purpose_count - 1;
    if (option == 'l' || option == 'k') {
        purpose->legal_basis_required = option == 'l';
        asked->legal_basis_given |= 1U << at;
    } else {
        purpose->consent_required = option == 'C';
        asked->consent_given |= 1U << at;
    }
    return -1;
}

/* One option; -1 to go on, else the exit status. */
static int take_option(struct xt_partner_asked *asked, int option, char **argv)
{
    switch (option) {
    case 'p':
        return add_purpose(asked, optarg);
    case 'c':
    case 'e':
        return add_claims(asked, option, optarg);
    case 'a':
        return add_attributes(asked, optarg);
    case 'l':
    case 'k':
    case 'C':
    case 'K':
        return set_need(asked, option, argv);
    case 'r':
        return add_rights(asked, optarg);
    case 'R':
        return set_rate(asked, optarg);
    case 'q':
        return set_quota(asked, optarg);
    case 'o':
        return set_old_numbers(asked, optarg);
    case 's':
        return set_state(asked, optarg);
    case 'N':
        return add_note(asked, optarg);
    case 'L':
        return set_level(asked, optarg);
    case 'P':
        return add_removed("purposes to remove", asked->removed_purposes,
                           &asked->removed_purpose_count, XT_PARTNER_PURPOSES_MAX, optarg);
    case 'x':
        return add_removed("certificates to remove", asked->removed_certificates,
                           &asked->removed_certificate_count, XT_PARTNER_CERTIFICATES_MAX, optarg);
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
        asked->help = true;
        return -1;
    case 'v':
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    default:
        return xt_option_error("partner", option, argv);
    }
}

static int check_add(const struct xt_partner_asked *asked)
{
    if (asked->partner.purpose_count == 0) {
        return xt_usage_error("partner", "give at least one --purpose with its --claims");
    }
    for (unsigned i = 0; i < asked->partner.purpose_count; i++) {
        if (asked->partner.purposes[i].claims == 0 && asked->partner.purposes[i].attributes == 0) {
            return xt_usage_error("partner", "--purpose %s has no --claims",
                                  asked->partner.purposes[i].name);
        }
        if ((asked->partner.purposes[i].required & ~asked->partner.purposes[i].claims) != 0) {
            return xt_usage_error("partner",
                                  "--purpose %s: --claims-required must be among its --claims",
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

/* A further certificate of a partner comes with its note only. */
static int check_set(const struct xt_partner_asked *asked)
{
    if (asked->partner.purpose_count == 0 && asked->certificate_count == 0 &&
        asked->issue == NULL && asked->removed_purpose_count == 0 &&
        asked->removed_certificate_count == 0 && asked->given == 0) {
        return xt_usage_error("partner", "set: say what is to change, such as --rate 100");
    }
    if (asked->certificate_count > 0 && asked->issue != NULL) {
        return xt_usage_error("partner", "give either --cert FILE or --issue OUT");
    }
    return -1;
}

static const struct {
    const char *name;
    unsigned action; /* XT_PARTNER_ADD ... */
} actions[] = {{"add", XT_PARTNER_ADD},       {"set", XT_PARTNER_SET},
               {"show", XT_PARTNER_SHOW},     {"list", XT_PARTNER_LIST},
               {"enable", XT_PARTNER_ENABLE}, {"disable", XT_PARTNER_DISABLE},
               {"remove", XT_PARTNER_REMOVE}, {"revoke", XT_PARTNER_REVOKE}};

#define BOTH (XT_PARTNER_ADD | XT_PARTNER_SET)
#define ALL UINT32_MAX

/* For which actions each option is; in the order of `options`. */
static const struct option options[] = {{"purpose", required_argument, NULL, 'p'},
                                        {"claims", required_argument, NULL, 'c'},
                                        {"claims-required", required_argument, NULL, 'e'},
                                        {"attributes", required_argument, NULL, 'a'},
                                        {"legal-basis-required", no_argument, NULL, 'l'},
                                        {"no-legal-basis-required", no_argument, NULL, 'k'},
                                        {"consent-required", no_argument, NULL, 'C'},
                                        {"no-consent-required", no_argument, NULL, 'K'},
                                        {"least-level", required_argument, NULL, 'L'},
                                        {"remove-purpose", required_argument, NULL, 'P'},
                                        {"right", required_argument, NULL, 'r'},
                                        {"rate", required_argument, NULL, 'R'},
                                        {"daily-quota", required_argument, NULL, 'q'},
                                        {"old-numbers", required_argument, NULL, 'o'},
                                        {"state", required_argument, NULL, 's'},
                                        {"cert", required_argument, NULL, 'i'},
                                        {"issue", required_argument, NULL, 'I'},
                                        {"note", required_argument, NULL, 'N'},
                                        {"remove-cert", required_argument, NULL, 'x'},
                                        {"days", required_argument, NULL, 'd'},
                                        {"network", required_argument, NULL, 'n'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'v'},
                                        {NULL, 0, NULL, 0}};
static const uint32_t option_actions[] = {BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          XT_PARTNER_SET,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH,
                                          BOTH | XT_PARTNER_REVOKE,
                                          BOTH,
                                          BOTH,
                                          XT_PARTNER_SET,
                                          BOTH | XT_PARTNER_REVOKE,
                                          BOTH,
                                          ALL,
                                          ALL,
                                          ALL};
_Static_assert(sizeof(option_actions) / sizeof(option_actions[0]) + 1 ==
                   sizeof(options) / sizeof(options[0]),
               "every option has its actions");

static int read_options(struct xt_partner_asked *asked, int argc, char **argv, uint32_t *used)
{
    int option, index = 0;
    opterr = 0;
    optind = 0;
    while ((option = getopt_long(argc, argv, ":", options, &index)) != -1) {
        int exit_status = take_option(asked, option, argv);
        if (exit_status >= 0 || asked->help) {
            return exit_status;
        }
        *used |= 1U << index;
    }
    return -1;
}

static int check_options(const struct xt_partner_asked *asked, uint32_t used)
{
    for (unsigned i = 0; i < sizeof(option_actions) / sizeof(option_actions[0]); i++) {
        if ((used & 1U << i) != 0 && (option_actions[i] & asked->action) == 0) {
            return xt_usage_error("partner", "%s does not take --%s", asked->action_name,
                                  options[i].name);
        }
    }
    return -1;
}

int xt_partner_parse(struct xt_partner_asked *asked, int argc, char **argv)
{
    uint32_t used = 0;
    int exit_status = read_options(asked, argc, argv, &used);
    if (exit_status >= 0 || asked->help) {
        return exit_status;
    }
    if (optind == argc) {
        return xt_usage_error(
            "partner", "say what to do: add, set, show, list, enable, disable, remove or revoke");
    }
    asked->action_name = argv[optind];
    for (unsigned i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(asked->action_name, actions[i].name) == 0) {
            asked->action = actions[i].action;
        }
    }
    if (asked->action == 0) {
        return xt_usage_error("partner", "there is no action '%s'", asked->action_name);
    }
    bool nameless = asked->action == XT_PARTNER_LIST || asked->action == XT_PARTNER_REVOKE;
    if (argc - optind != (nameless ? 2 : 3)) {
        return xt_usage_error("partner",
                              nameless ? "%s: give one deployment"
                                       : "%s: give the deployment and one partner's name",
                              asked->action_name);
    }
    exit_status = check_options(asked, used);
    if (exit_status >= 0) {
        return exit_status;
    }
    if (asked->action == XT_PARTNER_REVOKE && asked->certificate_count > 1) {
        return xt_usage_error("partner", "revoke takes one --cert at a time");
    }
    if (asked->days == 0) {
        asked->days = asked->action == XT_PARTNER_REVOKE ? XT_REVOCATION_DAYS : ISSUED_DAYS;
    }
    asked->dir = argv[optind + 1];
    asked->name = nameless ? "" : argv[optind + 2];
    if (!nameless && !xt_policy_name_is_valid(xt_span_of_string(asked->name))) {
        return xt_usage_error("partner", "a partner's name is 1-64 of a-z 0-9 . _ -");
    }
    return asked->action == XT_PARTNER_ADD   ? check_add(asked)
           : asked->action == XT_PARTNER_SET ? check_set(asked)
                                             : -1;
}
