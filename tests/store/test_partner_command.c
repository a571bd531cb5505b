/* `xacthuc partner` as its operator sees it: the real binary. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crypto/authority.h"
#include "store/partners.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;

static int make(void **state)
{
    deployment_make(state);
    char key[XT_PERSON_TEXT_MAX];
    snprintf(key, sizeof(key), "%s", deployment_path("keys/ca.key"));
    return xt_authority_create(key, deployment_path("ca.crt"), "test", &failure) == XT_OK ? 0 : -1;
}

#define CLAIMS "--purpose", "sim.register", "--claims", "full_name,date_of_birth,phone"

static void expect_json_array_of(unsigned partners)
{
    unsigned count = 0;
    assert_int_equal(run("partner", "list", "DIR", "--json", NULL), 0);
    for (const char *at = run_out; (at = strstr(at, "{\"name\":")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, partners);
}

static void issuing_writes_a_certificate_a_secret_key_and_the_authority(void **state)
{
    (void)state;
    struct stat facts;
    char out[64];
    snprintf(out, sizeof(out), "%s/out", deployment());
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--right",
                         "per_claim,card_state", "--right", "existence", "--rate", "100:200",
                         "--network", "10.0.0.0/8", "--network", "2001:db8::/32", "--issue", out,
                         NULL),
                     0);
    assert_non_null(strstr(run_out, "partner viettel is registered"));
    assert_string_equal(run_err, "");
    assert_int_equal(stat(deployment_path("out/viettel.key"), &facts), 0);
    assert_int_equal(facts.st_mode & 07777, 0600);
    assert_true(exists("out/viettel.crt"));
    char authority[8192];
    snprintf(authority, sizeof(authority), "%s", read_text("ca.crt"));
    assert_string_equal(read_text("out/ca.crt"), authority);

    const char *text = read_text("partners/viettel.json");
    assert_non_null(strstr(text, "sim.register"));
    assert_non_null(strstr(text, "date_of_birth"));
    assert_non_null(strstr(text, "card_state"));
    assert_non_null(strstr(text, "existence"));
    assert_non_null(strstr(text, "2001:db8::/32"));
    uint8_t spki[XT_SPKI_SHA256];
    char hex[2 * XT_SPKI_SHA256 + 1];
    assert_int_equal(xt_certificate_spki(deployment_path("out/viettel.crt"), spki, &failure),
                     XT_OK);
    for (unsigned i = 0; i < XT_SPKI_SHA256; i++) {
        sprintf(hex + 2 * i, "%02x", spki[i]);
    }
    assert_non_null(strstr(read_text("partners/viettel.json"), hex));

    /* The next partner's files go into the same folder. */
    assert_int_equal(
        run("partner", "add", "DIR", "mobifone", CLAIMS, "--json", "--issue", out, NULL), 0);
    assert_non_null(strstr(run_out, "{\"name\":\"mobifone\",\"certificate\":\""));
    expect_json_array_of(2);
}

static void a_purpose_may_demand_some_of_its_claims(void **state)
{
    (void)state;
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "kyc", "--claims",
                         "full_name,sex", "--claims-required", "full_name,phone", "--issue",
                         deployment_path("out"), NULL),
                     2);
    assert_non_null(strstr(run_err, "--claims-required must be among its --claims"));
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "kyc", "--claims",
                         "full_name,sex,phone", "--claims-required", "full_name,phone", "--issue",
                         deployment_path("out"), NULL),
                     0);
    assert_int_equal(run("partner", "show", "DIR", "bank", NULL), 0);
    assert_non_null(strstr(run_out, "\"claims_required\": [\"full_name\", \"phone\"]"));
    /* What is demanded cannot be taken from what may be asked. */
    assert_int_equal(
        run("partner", "set", "DIR", "bank", "--purpose", "kyc", "--claims", "full_name,sex", NULL),
        1);
    assert_int_equal(run("partner", "set", "DIR", "bank", "--purpose", "kyc", "--claims",
                         "full_name,sex", "--claims-required", "full_name", NULL),
                     0);
    struct xt_partners *partners = NULL;
    assert_int_equal(xt_partners_load(deployment(), NULL, NULL, NULL, &partners, &failure), XT_OK);
    const struct xt_partner *bank = xt_partners_by_name(partners, "bank");
    assert_int_equal(bank->purposes[0].required, XT_CLAIM_BIT(XT_CLAIM_FULL_NAME));
    xt_partners_free(partners);
}

static uint32_t attributes_of_bank(unsigned purpose)
{
    struct xt_partners *partners = NULL;
    assert_int_equal(xt_partners_load(deployment(), NULL, NULL, NULL, &partners, &failure), XT_OK);
    const struct xt_partner *bank = xt_partners_by_name(partners, "bank");
    assert_true(bank != NULL && purpose < bank->purpose_count);
    uint32_t attributes = bank->purposes[purpose].attributes;
    xt_partners_free(partners);
    return attributes;
}

static void a_purpose_has_its_attributes(void **state)
{
    (void)state;
    const uint32_t name = XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_FULL_NAME);
    const uint32_t address = XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_ADDRESS);
    assert_int_equal(run("partner", "add", "DIR", "bank", "--attributes", "full_name", NULL), 2);
    assert_non_null(strstr(run_err, "--attributes belongs behind a --purpose"));
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "open", "--attributes",
                         "full_name,phone", "--issue", deployment_path("out"), NULL),
                     2);
    assert_non_null(strstr(run_err, "there is no attribute 'phone'"));
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "open", "--issue",
                         deployment_path("out"), NULL),
                     2);
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "open", "--attributes",
                         "full_name,address", "--right", "attributes,sensitive", "--issue",
                         deployment_path("out"), NULL),
                     0);
    assert_int_equal(attributes_of_bank(0), name | address);
    assert_int_equal(run("partner", "show", "DIR", "bank", NULL), 0);
    assert_non_null(strstr(run_out, "\"attributes\": [\"full_name\", \"address\"]"));
    assert_non_null(strstr(run_out, "\"rights\": [\"attributes\", \"sensitive\"]"));
    /* Others of its members leave them as they are; another purpose has its own. */
    assert_int_equal(run("partner", "set", "DIR", "bank", "--purpose", "open", "--claims",
                         "full_name", "--purpose", "loan", "--attributes", "address", NULL),
                     0);
    assert_int_equal(attributes_of_bank(0), name | address);
    assert_int_equal(attributes_of_bank(1), address);
    assert_int_equal(
        run("partner", "set", "DIR", "bank", "--purpose", "open", "--attributes", "none", NULL), 0);
    assert_int_equal(attributes_of_bank(0), 0);
}

static void each_purpose_has_its_own_claims_and_needs(void **state)
{
    (void)state;
    assert_int_equal(run("partner", "add", "DIR", "bank", "--purpose", "kyc", "--claims",
                         "full_name,sex", "--claims", "phone", "--consent-required", "--purpose",
                         "loan", "--legal-basis-required", "--claims", "tax", "--issue",
                         deployment_path("out"), NULL),
                     0);
    struct xt_partners *partners = NULL;
    assert_int_equal(xt_partners_load(deployment(), NULL, NULL, NULL, &partners, &failure), XT_OK);
    const struct xt_partner *bank = xt_partners_by_name(partners, "bank");
    assert_non_null(bank);
    assert_true(bank->active);
    assert_int_equal(bank->purpose_count, 2);
    assert_int_equal(bank->purposes[0].claims, XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) |
                                                   XT_CLAIM_BIT(XT_CLAIM_SEX) |
                                                   XT_CLAIM_BIT(XT_CLAIM_PHONE));
    assert_true(bank->purposes[0].consent_required && !bank->purposes[0].legal_basis_required);
    assert_int_equal(bank->purposes[0].required, 0);
    assert_int_equal(bank->purposes[1].claims, XT_CLAIM_BIT(XT_CLAIM_TAX));
    assert_true(bank->purposes[1].legal_basis_required && !bank->purposes[1].consent_required);
    assert_int_equal(bank->rights, 0);
    xt_partners_free(partners);
}

static void a_certificate_of_the_partners_own_is_taken(void **state)
{
    (void)state;
    assert_int_equal(
        run("partner", "add", "DIR", "first", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    const char *certificate = deployment_path("out/first.crt");
    assert_int_equal(run("partner", "add", "DIR", "second", CLAIMS, "--cert", certificate, NULL),
                     1);
    assert_non_null(strstr(run_err, "already that of first"));
    assert_int_equal(unlink(deployment_path("partners/first.json")), 0);
    assert_int_equal(run("partner", "add", "DIR", "second", CLAIMS, "--cert", certificate, NULL),
                     0);
    expect_json_array_of(1);
    assert_int_equal(unlink(deployment_path("partners/second.json")), 0);
    assert_int_equal(run("partner", "add", "DIR", "twice", CLAIMS, "--cert", certificate, "--cert",
                         certificate, NULL),
                     1);
    assert_int_equal(run("partner", "add", "DIR", "none", CLAIMS, "--cert",
                         deployment_path("keys/ca.key"), NULL),
                     1);
    expect_json_array_of(0);
}

static void what_fails_leaves_no_file(void **state)
{
    (void)state;
    char out[64];
    snprintf(out, sizeof(out), "%s/out", deployment());
    /* The partner's file cannot be written: the folder is a file. */
    assert_int_equal(rmdir(deployment_path("partners")), 0);
    write_text("partners", "");
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 1);
    assert_false(exists("out"));
    assert_int_equal(unlink(deployment_path("partners")), 0);
    assert_int_equal(mkdir(deployment_path("partners"), 0700), 0);

    /* Another deployment's authority is already there. */
    assert_int_equal(mkdir(out, 0700), 0);
    write_text("out/ca.crt", "another");
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 1);
    assert_non_null(strstr(run_err, "another deployment"));
    assert_int_equal(count_names("out", ""), 1);
    assert_string_equal(read_text("out/ca.crt"), "another");
    assert_int_equal(count_names("partners", "v"), 0);

    /* A key of that name is already there, and is not touched. */
    assert_int_equal(unlink(deployment_path("out/ca.crt")), 0);
    write_text("out/viettel.key", "precious");
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 1);
    assert_string_equal(read_text("out/viettel.key"), "precious");
    assert_int_equal(count_names("out", ""), 1);

    /* A name that is taken, by a file that does not even parse: that file stays as it is. */
    assert_int_equal(unlink(deployment_path("out/viettel.key")), 0);
    write_text("partners/viettel.json", "{broken");
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 1);
    assert_string_equal(read_text("partners/viettel.json"), "{broken");
    assert_int_equal(count_names("out", ""), 0);
}

static void a_name_is_registered_once(void **state)
{
    (void)state;
    char out[64];
    snprintf(out, sizeof(out), "%s/out", deployment());
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 0);
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue",
                         deployment_path("elsewhere"), NULL),
                     1);
    assert_non_null(strstr(run_err, "already registered"));
    assert_false(exists("elsewhere"));
    assert_true(exists("out/viettel.key"));
}

/* Whose certificates a refused file claims is not settled: nothing is added beside it. */
static void beside_a_refused_file_nobody_is_added(void **state)
{
    (void)state;
    char out[64];
    snprintf(out, sizeof(out), "%s/out", deployment());
    write_text("partners/broken.json", "{\"name\":\"broken\",");
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 1);
    assert_non_null(strstr(run_err, "broken.json"));
    assert_non_null(strstr(run_err, "repair or remove it first"));
    assert_false(exists("partners/viettel.json") || exists("out"));
}

static void show_and_list_tell_what_is_registered(void **state)
{
    (void)state;
    assert_int_equal(run("partner", "list", "DIR", "--json", NULL), 0);
    assert_string_equal(run_out, "[]\n");
    assert_int_equal(run("partner", "show", "DIR", "viettel", NULL), 1);
    assert_non_null(strstr(run_err, "there is no partner viettel"));
    assert_int_equal(
        run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", deployment_path("out"), NULL),
        0);
    assert_int_equal(run("partner", "list", "DIR", NULL), 0);
    assert_non_null(strstr(run_out, "viettel"));
    assert_non_null(strstr(run_out, "active"));
    assert_non_null(strstr(run_out, "sim.register"));
    assert_int_equal(run("partner", "show", "DIR", "viettel", NULL), 0);
    assert_string_equal(run_out, read_text("partners/viettel.json"));
    write_text("partners/bad.json", "{");
    assert_int_equal(run("partner", "list", "DIR", NULL), 1);
    assert_non_null(strstr(run_out, "viettel"));
    assert_non_null(strstr(run_err, "partners/bad.json was refused"));
}

static void wrong_usage_is_told_in_one_line(void **state)
{
    (void)state;
    char out[64];
    snprintf(out, sizeof(out), "%s/out", deployment());
    assert_int_equal(run("partner", NULL), 2);
    assert_int_equal(run("partner", "sing", "DIR", NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "x", "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "x", CLAIMS, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "x", CLAIMS, "--issue", out, "--cert", "y", NULL),
                     2);
    assert_int_equal(run("partner", "add", "DIR", "Viettel", CLAIMS, "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "../x", CLAIMS, "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "ca", CLAIMS, "--issue", out, NULL), 2);
    assert_int_equal(
        run("partner", "add", "DIR", "x", "--claims", "sex", CLAIMS, "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "x", "--purpose", "p", "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "add", "DIR", "x", "--purpose", "p", "--claims", "shoe_size",
                         "--issue", out, NULL),
                     2);
    assert_non_null(strstr(run_err, "there is no claim 'shoe_size'"));
    assert_int_equal(run("partner", "add", "DIR", "x", CLAIMS, CLAIMS, "--issue", out, NULL), 2);
    const char *const bad[][2] = {{"--rate", "0"},           {"--rate", "5:"},
                                  {"--rate", "x"},           {"--rate", "99999999999999999999"},
                                  {"--network", "10.1/8"},   {"--network", "10.0.0.1/8"},
                                  {"--days", "0"},           {"--daily-quota", "0"},
                                  {"--right", "all"},        {"--right", ""},
                                  {"--old-numbers", "maybe"}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            run("partner", "add", "DIR", "x", CLAIMS, "--issue", out, bad[i][0], bad[i][1], NULL),
            2);
        assert_ptr_equal(strchr(run_err, '\n'), run_err + strlen(run_err) - 1);
    }
    assert_int_equal(run("partner", "list", "DIR", "--issue", out, NULL), 2);
    assert_int_equal(run("partner", "--help", NULL), 0);
    assert_non_null(strstr(run_out, "usage: xacthuc partner add"));
    assert_false(exists("out"));
    assert_int_equal(count_names("partners", ""), 0);
}

static const struct xt_partner *loaded(struct xt_partners **partners, const char *name)
{
    assert_int_equal(xt_partners_load(deployment(), NULL, NULL, NULL, partners, &failure), XT_OK);
    const struct xt_partner *partner = xt_partners_by_name(*partners, name);
    assert_non_null(partner);
    return partner;
}

static void set_changes_what_is_given_and_leaves_the_rest(void **state)
{
    (void)state;
    struct xt_partners *partners = NULL;
    assert_int_equal(run("partner", "add", "DIR", "bank", CLAIMS, "--right", "per_claim", "--rate",
                         "10:20", "--daily-quota", "5000000", "--network", "10.0.0.0/8", "--note",
                         "first", "--issue", deployment_path("out"), NULL),
                     2); /* a note of nothing */
    assert_int_equal(run("partner", "add", "DIR", "bank", CLAIMS, "--right", "per_claim", "--rate",
                         "10:20", "--daily-quota", "5000000", "--network", "10.0.0.0/8", "--issue",
                         deployment_path("out"), "--note", "first", NULL),
                     0);
    const struct xt_partner *bank = loaded(&partners, "bank");
    assert_true(bank->daily_quota == 5000000);
    assert_string_equal(bank->certificate_notes[0], "first");
    assert_false(bank->without_old_numbers);
    xt_partners_free(partners);

    assert_int_equal(run("partner", "set", "DIR", "bank", "--old-numbers", "no", NULL), 0);
    assert_int_equal(run("partner", "show", "DIR", "bank", NULL), 0);
    assert_non_null(strstr(run_out, "\"old_numbers\": false"));
    assert_true(loaded(&partners, "bank")->without_old_numbers);
    xt_partners_free(partners);
    assert_int_equal(run("partner", "set", "DIR", "bank", "--old-numbers", "yes", NULL), 0);
    assert_int_equal(run("partner", "show", "DIR", "bank", NULL), 0);
    assert_null(strstr(run_out, "old_numbers"));
    assert_int_equal(run("partner", "set", "DIR", "bank", "--daily-quota", "7", NULL), 0);
    assert_non_null(strstr(run_out, "partner bank is changed"));
    assert_int_equal(run("partner", "set", "DIR", "bank", "--purpose", "sim.register",
                         "--consent-required", "--purpose", "kyc", "--claims", "sex", "--json",
                         NULL),
                     0);
    assert_non_null(strstr(run_out, "\"daily_quota\": 7"));
    bank = loaded(&partners, "bank");
    assert_true(bank->daily_quota == 7);
    assert_int_equal(bank->rate_per_second, 10);
    assert_int_equal(bank->rate_burst, 20);
    assert_int_equal(bank->rights, XT_RIGHT_PER_CLAIM);
    assert_int_equal(bank->network_count, 1);
    assert_int_equal(bank->purpose_count, 2);
    assert_true(bank->purposes[0].consent_required);
    assert_int_equal(bank->purposes[0].claims, XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) |
                                                   XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                                                   XT_CLAIM_BIT(XT_CLAIM_PHONE));
    assert_string_equal(bank->certificate_notes[0], "first");
    xt_partners_free(partners);

    assert_int_equal(run("partner", "set", "DIR", "bank", "--rate", "none", "--daily-quota", "none",
                         "--right", "none", "--network", "any", "--state", "disabled",
                         "--remove-purpose", "sim.register", NULL),
                     0);
    bank = loaded(&partners, "bank");
    assert_true(bank->daily_quota == 0 && bank->rate_per_second == 0 && bank->rights == 0 &&
                bank->network_count == 0 && !bank->active);
    assert_int_equal(bank->purpose_count, 1);
    assert_string_equal(bank->purposes[0].name, "kyc");
    xt_partners_free(partners);
    assert_int_equal(run("partner", "enable", "DIR", "bank", NULL), 0);
    assert_non_null(strstr(run_out, "partner bank is active"));
    assert_int_equal(run("partner", "disable", "DIR", "bank", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"state\": \"disabled\""));
}

static void certificates_are_added_noted_and_removed(void **state)
{
    (void)state;
    struct xt_partners *partners = NULL;
    assert_int_equal(
        run("partner", "add", "DIR", "bank", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    assert_int_equal(
        run("partner", "add", "DIR", "other", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    const char *first = deployment_path("out/bank.crt");
    assert_int_equal(run("partner", "set", "DIR", "bank", "--remove-cert", first, NULL), 1);
    assert_non_null(strstr(run_err, "the last certificate of bank"));
    assert_int_equal(
        run("partner", "set", "DIR", "bank", "--cert", deployment_path("out/other.crt"), NULL), 1);
    assert_non_null(strstr(run_err, "already that of other"));
    assert_int_equal(run("partner", "set", "DIR", "bank", "--cert", first, NULL), 1);
    assert_non_null(strstr(run_err, "bank has that certificate already"));
    assert_int_equal(run("partner", "set", "DIR", "bank", "--cert", first, "--note", "old", NULL),
                     0);
    /* A further one; what fails after it was issued takes it away again. */
    assert_int_equal(run("partner", "set", "DIR", "bank", "--issue", deployment_path("new"),
                         "--remove-cert", deployment_path("out/other.crt"), NULL),
                     1);
    assert_false(exists("new"));
    assert_int_equal(run("partner", "set", "DIR", "bank", "--issue", deployment_path("new"),
                         "--note", "new", NULL),
                     0);
    assert_non_null(strstr(run_out, "new/bank.key (keep it secret)"));
    const struct xt_partner *bank = loaded(&partners, "bank");
    assert_int_equal(bank->certificate_count, 2);
    assert_string_equal(bank->certificate_notes[0], "old");
    assert_string_equal(bank->certificate_notes[1], "new");
    char digest[2 * XT_SPKI_DIGEST + 1];
    for (unsigned i = 0; i < XT_SPKI_DIGEST; i++) {
        sprintf(digest + 2 * i, "%02x", bank->certificates[0][i]);
    }
    xt_partners_free(partners);
    assert_int_equal(run("partner", "set", "DIR", "bank", "--remove-cert", digest, NULL), 0);
    bank = loaded(&partners, "bank");
    assert_int_equal(bank->certificate_count, 1);
    assert_string_equal(bank->certificate_notes[0], "new");
    assert_string_equal(bank->certificate_notes[1], "");
    xt_partners_free(partners);
    /* The place of the last one is taken in one step. */
    assert_int_equal(run("partner", "set", "DIR", "bank", "--cert", first, "--remove-cert",
                         deployment_path("new/bank.crt"), NULL),
                     0);
}

static void a_removed_partner_is_gone_and_only_he(void **state)
{
    (void)state;
    assert_int_equal(
        run("partner", "add", "DIR", "bank", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    assert_int_equal(
        run("partner", "add", "DIR", "bank2", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    assert_int_equal(run("partner", "remove", "DIR", "ban", NULL), 1);
    assert_non_null(strstr(run_err, "there is no partner ban"));
    assert_int_equal(run("partner", "remove", "DIR", "bank*", NULL), 2);
    assert_int_equal(run("partner", "remove", "DIR", "bank", "--json", NULL), 0);
    assert_string_equal(run_out, "{\"name\":\"bank\",\"removed\":true}\n");
    expect_json_array_of(1);
    assert_true(exists("partners/bank2.json"));
    /* One whose file does not parse can be removed, and others changed beside it. */
    write_text("partners/broken.json", "{");
    assert_int_equal(run("partner", "disable", "DIR", "bank2", NULL), 0);
    assert_int_equal(run("partner", "disable", "DIR", "broken", NULL), 1);
    assert_non_null(strstr(run_err, "partners/broken.json: "));
    assert_int_equal(run("partner", "remove", "DIR", "broken", NULL), 0);
    expect_json_array_of(1);
}

static void a_wrong_change_is_one_line_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(
        run("partner", "add", "DIR", "bank", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    char before[8192];
    snprintf(before, sizeof(before), "%s", read_text("partners/bank.json"));
    const struct {
        const char *option, *value;
        int status;
    } bad[] = {{"--daily-quota", "0", 2},
               {"--daily-quota", "100000001", 2},
               {"--daily-quota", "x", 2},
               {"--state", "asleep", 2},
               {"--rate", "0", 2},
               {"--right", "all", 2},
               {"--network", "10.0.0.1/8", 2},
               {"--note", "x", 2},
               {"--remove-purpose", "nothing", 1},
               {"--purpose", "fresh", 1},
               {"--remove-cert", "nowhere", 1},
               {"--cert", "nowhere", 1},
               {"--days", "0", 2}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(run("partner", "set", "DIR", "bank", bad[i].option, bad[i].value, NULL),
                         bad[i].status);
        assert_string_equal(run_out, "");
        assert_ptr_equal(strchr(run_err, '\n'), run_err + strlen(run_err) - 1);
    }
    assert_int_equal(run("partner", "set", "DIR", "bank", NULL), 2);
    assert_non_null(strstr(run_err, "say what is to change"));
    assert_int_equal(run("partner", "set", "DIR", "nobody", "--rate", "1", NULL), 1);
    assert_int_equal(run("partner", "set", "DIR", NULL), 2);
    assert_int_equal(run("partner", "disable", "DIR", "bank", "--rate", "1", NULL), 2);
    assert_non_null(strstr(run_err, "disable does not take --rate"));
    assert_int_equal(run("partner", "add", "DIR", "x", CLAIMS, "--remove-purpose", "p", NULL), 2);
    assert_int_equal(run("partner", "remove", "/nonexistent", "bank", NULL), 1);
    assert_string_equal(read_text("partners/bank.json"), before);
}

static pid_t start_add(const char *name, const char *how, const char *what)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int sink = open("/dev/null", O_WRONLY);
        dup2(sink, 1);
        dup2(sink, 2);
        execl(program(), "xacthuc", "partner", "add", deployment(), name, CLAIMS, how, what, NULL);
        _exit(127);
    }
    return child;
}

static unsigned successes(pid_t first, pid_t second)
{
    int statuses[2];
    assert_int_equal(waitpid(first, &statuses[0], 0), first);
    assert_int_equal(waitpid(second, &statuses[1], 0), second);
    assert_true(WIFEXITED(statuses[0]) && WIFEXITED(statuses[1]));
    assert_true(WEXITSTATUS(statuses[0]) <= 1 && WEXITSTATUS(statuses[1]) <= 1);
    return (WEXITSTATUS(statuses[0]) == 0) + (WEXITSTATUS(statuses[1]) == 0);
}

static void of_two_who_add_one_name_at_once_one_succeeds(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        char name[16], file[64], out[2][96];
        bool apart = i % 2 == 0; /* into folders of their own, or into one */
        snprintf(name, sizeof(name), "p%u", i);
        for (unsigned j = 0; j < 2; j++) {
            snprintf(out[j], sizeof(out[j]), "%s/out%u%s", deployment(), i,
                     apart && j == 1 ? "b" : "");
        }
        pid_t first = start_add(name, "--issue", out[0]);
        pid_t second = start_add(name, "--issue", out[1]);
        assert_int_equal(successes(first, second), 1);
        /* What the one made is whole, and it is what is registered; the other left nothing. */
        snprintf(file, sizeof(file), "out%u", i);
        bool in_first = exists(file);
        snprintf(file, sizeof(file), "out%ub", i);
        assert_int_equal(in_first + exists(file), 1);
        snprintf(file, sizeof(file), "out%u%s", i, in_first ? "" : "b");
        assert_int_equal(count_names(file, ""), 3);
        snprintf(file, sizeof(file), "out%u%s/p%u.crt", i, in_first ? "" : "b", i);
        uint8_t spki[XT_SPKI_SHA256];
        assert_int_equal(xt_certificate_spki(deployment_path(file), spki, &failure), XT_OK);
        struct xt_partners *partners = NULL;
        assert_int_equal(xt_partners_load(deployment(), NULL, NULL, NULL, &partners, &failure),
                         XT_OK);
        const struct xt_partner *partner = xt_partners_by_spki(partners, spki);
        assert_non_null(partner);
        assert_string_equal(partner->name, name);
        xt_partners_free(partners);
    }
}

static void of_two_who_add_one_certificate_at_once_one_succeeds(void **state)
{
    (void)state;
    assert_int_equal(
        run("partner", "add", "DIR", "first", CLAIMS, "--issue", deployment_path("out"), NULL), 0);
    assert_int_equal(unlink(deployment_path("partners/first.json")), 0);
    char certificate[128];
    snprintf(certificate, sizeof(certificate), "%s", deployment_path("out/first.crt"));
    for (unsigned i = 0; i < 20; i++) {
        pid_t first = start_add("alpha", "--cert", certificate);
        pid_t second = start_add("beta", "--cert", certificate);
        assert_int_equal(successes(first, second), 1);
        expect_json_array_of(1);
        bool alpha = exists("partners/alpha.json");
        assert_int_equal(
            unlink(deployment_path(alpha ? "partners/alpha.json" : "partners/beta.json")), 0);
    }
}

static void an_interrupted_add_is_whole_or_not_at_all(void **state)
{
    (void)state;
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (unsigned i = 0; i < 60; i++) {
        int status = 0;
        pid_t child = start_add("viettel", "--issue", deployment_path("out"));
        nanosleep(&(struct timespec){0, (long)i * 150000}, NULL);
        kill(child, signals[i % 3]);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (exists("partners/viettel.json")) {
            assert_int_equal(count_names("out", ""), 3);
            assert_int_equal(unlink(deployment_path("partners/viettel.json")), 0);
            assert_int_equal(unlink(deployment_path("out/viettel.key")), 0);
            assert_int_equal(unlink(deployment_path("out/viettel.crt")), 0);
            assert_int_equal(unlink(deployment_path("out/ca.crt")), 0);
            assert_int_equal(rmdir(deployment_path("out")), 0);
        }
        assert_false(exists("out"));
        assert_true(count_names("partners", "") <= 1); /* .lock */
    }
}

static void a_certificate_that_no_connection_could_use_is_refused(void **state)
{
    (void)state;
    char key[128], authority[128], foreign[128];
    snprintf(key, sizeof(key), "%s", deployment_path("other.key"));
    snprintf(authority, sizeof(authority), "%s", deployment_path("other.crt"));
    snprintf(foreign, sizeof(foreign), "%s", deployment_path("foreign.crt"));
    assert_int_equal(xt_authority_create(key, authority, "other", &failure), XT_OK);
    struct xt_certificate_request request = {.use = XT_CERTIFICATE_CLIENT,
                                             .common_name = "x",
                                             .not_before = time(NULL) - 60,
                                             .not_after = time(NULL) + 3600};
    uint8_t spki[XT_SPKI_SHA256];
    assert_int_equal(xt_authority_issue(key, authority, &request, deployment_path("foreign.key"),
                                        foreign, spki, &failure),
                     XT_OK);
    assert_int_equal(run("partner", "add", "DIR", "x", CLAIMS, "--cert", foreign, NULL), 1);
    assert_non_null(strstr(run_err, "is not signed by an authority in"));
    assert_non_null(strstr(run_err, "ca.crt"));
    assert_ptr_equal(strchr(run_err, '\n'), run_err + strlen(run_err) - 1);
    request.not_before = time(NULL) - 3600;
    request.not_after = time(NULL) - 60;
    snprintf(key, sizeof(key), "%s", deployment_path("keys/ca.key"));
    snprintf(authority, sizeof(authority), "%s", deployment_path("ca.crt"));
    assert_int_equal(xt_authority_issue(key, authority, &request, deployment_path("old.key"),
                                        deployment_path("old.crt"), spki, &failure),
                     XT_OK);
    assert_int_equal(
        run("partner", "add", "DIR", "x", CLAIMS, "--cert", deployment_path("old.crt"), NULL), 1);
    assert_non_null(strstr(run_err, "has expired"));
    assert_false(exists("partners/x.json"));
}

static void revoking_writes_a_list_that_grows(void **state)
{
    (void)state;
    char out[64], certificate[80];
    snprintf(out, sizeof(out), "%s/out", deployment());
    snprintf(certificate, sizeof(certificate), "%s/out/viettel.crt", deployment());
    assert_int_equal(run("partner", "revoke", "DIR", NULL), 0);
    assert_non_null(strstr(run_out, "revoked.crl (0 certificates)"));
    assert_non_null(strstr(read_text("revoked.crl"), "BEGIN X509 CRL"));
    assert_int_equal(run("partner", "add", "DIR", "viettel", CLAIMS, "--issue", out, NULL), 0);
    assert_int_equal(run("partner", "revoke", "DIR", "--cert", certificate, NULL), 0);
    assert_non_null(strstr(run_out, "viettel.crt is revoked"));
    assert_non_null(strstr(run_out, "(1 certificate)"));
    assert_int_equal(
        run("partner", "revoke", "DIR", "--cert", certificate, "--days", "3", "--json", NULL), 0);
    assert_non_null(strstr(run_out, "\"entries\":1,\"was_revoked\":true,\"renew_before\":\"2"));
    assert_string_equal(run_err, "");

    assert_int_equal(run("partner", "revoke", "DIR", "viettel", NULL), 2);
    assert_int_equal(run("partner", "revoke", "DIR", "--rate", "3", NULL), 2);
    assert_int_equal(run("partner", "revoke", "DIR", "--days", "0", NULL), 2);
    assert_int_equal(
        run("partner", "revoke", "DIR", "--cert", certificate, "--cert", certificate, NULL), 2);
    assert_int_equal(run("partner", "list", "DIR", "--days", "3", NULL), 2);
    char before[8192];
    snprintf(before, sizeof(before), "%s", read_text("revoked.crl"));
    assert_int_equal(run("partner", "revoke", "DIR", "--cert", "/nowhere.crt", NULL), 1);
    assert_int_equal(unlink(deployment_path("keys/ca.key")), 0);
    assert_int_equal(run("partner", "revoke", "DIR", NULL), 1);
    assert_string_equal(read_text("revoked.crl"), before);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(issuing_writes_a_certificate_a_secret_key_and_the_authority),
        EACH(a_purpose_has_its_attributes),
        EACH(each_purpose_has_its_own_claims_and_needs),
        EACH(a_purpose_may_demand_some_of_its_claims),
        EACH(a_certificate_of_the_partners_own_is_taken),
        EACH(what_fails_leaves_no_file),
        EACH(a_name_is_registered_once),
        EACH(beside_a_refused_file_nobody_is_added),
        EACH(show_and_list_tell_what_is_registered),
        EACH(wrong_usage_is_told_in_one_line),
        EACH(set_changes_what_is_given_and_leaves_the_rest),
        EACH(certificates_are_added_noted_and_removed),
        EACH(a_removed_partner_is_gone_and_only_he),
        EACH(a_wrong_change_is_one_line_and_changes_nothing),
        EACH(of_two_who_add_one_name_at_once_one_succeeds),
        EACH(of_two_who_add_one_certificate_at_once_one_succeeds),
        EACH(an_interrupted_add_is_whole_or_not_at_all),
        EACH(a_certificate_that_no_connection_could_use_is_refused),
        EACH(revoking_writes_a_list_that_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
