#include "tests/test.h"

#include "core/policy.h"
#include "tests/core/mutate.h"

static uint8_t arena_memory[XT_PERSON_JSON_ARENA];
static const struct xt_json_arena arena = {arena_memory, sizeof arena_memory};

#define SPKI_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SPKI_B "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Just as xt_partner_to_json writes it. */
static const char FULL[] =
    "{\n"
    "  \"name\": \"viettel\",\n"
    "  \"state\": \"disabled\",\n"
    "  \"certificates\": [\n"
    "    {\"spki_sha256\": \"" SPKI_A "\", \"note\": \"to \\\"2027\\\", máy chủ\"},\n"
    "    {\"spki_sha256\": \"" SPKI_B "\"}\n"
    "  ],\n"
    "  \"purposes\": [\n"
    "    {\n"
    "      \"name\": \"sim.register\",\n"
    "      \"claims\": [\"full_name\", \"date_of_birth\", \"phone\"],\n"
    "      \"attributes\": [\"full_name\", \"ethnicity\", \"address\"],\n"
    "      \"legal_basis_required\": true,\n"
    "      \"consent_required\": false\n"
    "    },\n"
    "    {\n"
    "      \"name\": \"sim.check\",\n"
    "      \"claims\": [],\n"
    "      \"legal_basis_required\": false,\n"
    "      \"consent_required\": true\n"
    "    }\n"
    "  ],\n"
    "  \"rights\": [\"per_claim\", \"card_state\", \"audit\"],\n"
    "  \"rate\": {\"per_second\": 1000, \"burst\": 2000},\n"
    "  \"daily_quota\": 5000000,\n"
    "  \"networks\": [\n"
    "    \"10.0.0.0/8\",\n"
    "    \"2001:db8::/32\"\n"
    "  ]\n"
    "}\n";

#define MINIMAL "\"name\":\"a\",\"certificates\":[{\"spki_sha256\":\"" SPKI_A "\"}],\"purposes\":[]"

static enum xt_status parse(const char *text, struct xt_partner *partner,
                            struct xt_failure *failure)
{
    return xt_partner_from_json(xt_span_of_string(text), arena, partner, failure);
}

static void every_member_of_a_partner_is_read(void **state)
{
    (void)state;
    struct xt_partner p;
    struct xt_failure failure;
    assert_int_equal(parse(FULL, &p, &failure), XT_OK);
    assert_string_equal(p.name, "viettel");
    assert_false(p.active);
    assert_int_equal(p.certificate_count, 2);
    assert_int_equal(p.certificates[0][0], 0x01);
    assert_int_equal(p.certificates[0][31], 0xef);
    assert_int_equal(p.certificates[1][0], 0xff);
    assert_string_equal(p.certificate_notes[0], "to \"2027\", máy chủ");
    assert_string_equal(p.certificate_notes[1], "");
    assert_int_equal(p.purpose_count, 2);
    assert_string_equal(p.purposes[0].name, "sim.register");
    assert_int_equal(p.purposes[0].claims, XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) |
                                               XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                                               XT_CLAIM_BIT(XT_CLAIM_PHONE));
    assert_true(p.purposes[0].legal_basis_required);
    assert_false(p.purposes[0].consent_required);
    assert_int_equal(p.purposes[1].claims, 0);
    assert_true(p.purposes[1].consent_required);
    assert_int_equal(p.rights, XT_RIGHT_PER_CLAIM | XT_RIGHT_CARD_STATE | XT_RIGHT_AUDIT);
    assert_int_equal(p.rate_per_second, 1000);
    assert_int_equal(p.rate_burst, 2000);
    assert_true(p.daily_quota == 5000000);
    assert_int_equal(p.network_count, 2);
    assert_int_equal(p.networks[0].prefix, 104);
    assert_int_equal(p.networks[1].prefix, 32);
}

static void absent_members_have_their_defaults(void **state)
{
    (void)state;
    struct xt_partner p;
    struct xt_failure failure;
    memset(&p, 0xa5, sizeof p);
    assert_int_equal(parse("{" MINIMAL "}", &p, &failure), XT_OK);
    assert_true(p.active);
    assert_int_equal(p.rights, 0);
    assert_int_equal(p.rate_per_second, 0);
    assert_int_equal(p.network_count, 0);
    assert_true(p.daily_quota == 0);
    assert_int_equal(parse("{" MINIMAL ",\"rate\":{\"per_second\":7}}", &p, &failure), XT_OK);
    assert_int_equal(p.rate_burst, 7);
}

static void a_partner_is_written_as_it_was_read(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        FULL,
        "{\n  \"name\": \"a\",\n  \"state\": \"active\",\n  \"certificates\": [\n    "
        "{\"spki_sha256\": \"" SPKI_A "\"}\n  ],\n  \"purposes\": [],\n  \"rights\": []\n}\n",
    };
    for (size_t i = 0; i < 2; i++) {
        static struct xt_partner partner;
        struct xt_failure failure;
        uint8_t text[4096];
        struct xt_writer writer = xt_writer_over(text, sizeof text);
        assert_int_equal(parse(TEXTS[i], &partner, &failure), XT_OK);
        xt_partner_to_json(&partner, &writer);
        if (!xt_span_is(xt_written(&writer), TEXTS[i])) {
            fail_msg("%.*s", (int)writer.size, (const char *)text);
        }
    }
}

static void the_largest_partner_fits_its_file(void **state)
{
    (void)state;
    static struct xt_partner partner;
    static struct xt_partner again;
    static uint8_t text[XT_PARTNER_JSON_MAX];
    memset(partner.name, 'a', XT_PARTNER_NAME_MAX);
    partner.rights = (1U << XT_RIGHT_COUNT) - 1;
    partner.certificate_count = XT_PARTNER_CERTIFICATES_MAX;
    partner.purpose_count = XT_PARTNER_PURPOSES_MAX;
    partner.network_count = XT_PARTNER_NETWORKS_MAX;
    partner.rate_per_second = partner.rate_burst = XT_RATE_MAX;
    partner.daily_quota = XT_QUOTA_MAX;
    for (unsigned i = 0; i < XT_PARTNER_CERTIFICATES_MAX; i++) {
        partner.certificates[i][0] = (uint8_t)i;
        memset(partner.certificate_notes[i], '"', XT_CERTIFICATE_NOTE_MAX);
    }
    for (unsigned i = 0; i < XT_PARTNER_PURPOSES_MAX; i++) {
        memset(partner.purposes[i].name, 'a' + (int)i % 26, XT_PURPOSE_NAME_MAX);
        partner.purposes[i].attributes = XT_ATTRIBUTE_ALL;
        partner.purposes[i].name[63] = (char)('0' + i / 26);
        partner.purposes[i].claims = XT_CLAIM_ALL;
    }
    for (unsigned i = 0; i < XT_PARTNER_NETWORKS_MAX; i++) {
        memset(partner.networks[i].address, 0x2a, 16);
        partner.networks[i].address[0] = (uint8_t)i;
        partner.networks[i].prefix = 128;
    }
    struct xt_writer writer = xt_writer_over(text, sizeof text);
    struct xt_failure failure;
    xt_partner_to_json(&partner, &writer);
    assert_false(writer.overflow);
    if (xt_partner_from_json(xt_written(&writer), arena, &again, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    assert_memory_equal(&again, &partner, sizeof partner);
}

#define WITH(member) "{" MINIMAL "," member "}"
#define PURPOSE(members)                                                                           \
    "{\"name\":\"a\",\"certificates\":[{\"spki_sha256\":\"" SPKI_A "\"}],\"purposes\":[" members   \
    "]}"
#define CERTIFICATE(members) "{\"name\":\"a\",\"certificates\":[" members "],\"purposes\":[]}"

static void every_fault_in_a_file_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *start; /* of the failure */
    } CASES[] = {
        {"", "the file must be one JSON object"},
        {"[]", "the file must be one JSON object"},
        {"{" MINIMAL "} x", "the file must be one JSON object"},
        {WITH("\"nmae\":1"), "the file has a member"},
        {WITH("\"name\":\"a\""), "name is there twice"},
        {"{}", "name is missing"},
        {"{\"name\":\"a\",\"purposes\":[]}", "certificates is missing"},
        {"{\"name\":\"a\",\"certificates\":[{\"spki_sha256\":\"" SPKI_A "\"}]}",
         "purposes is missing"},
        {"{\"name\":\"A\"}", "name must be 1-64 of"},
        {"{\"name\":\"../a\"}", "name must be 1-64 of"},
        {"{\"name\":7}", "name must be 1-64 of"},
        {WITH("\"state\":\"off\""), "state must be active or disabled"},
        {WITH("\"state\":true"), "state must be active or disabled"},
        {CERTIFICATE(""), "certificates must have at least one entry"},
        {CERTIFICATE("7"), "certificates[0] must be an object"},
        {CERTIFICATE("{}"), "certificates[0].spki_sha256 is missing"},
        {CERTIFICATE("{\"spki_sha256\":\"00\"}"), "certificates[0].spki_sha256 must be 64"},
        {CERTIFICATE(
             "{\"spki_sha256\":\"g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
             "\"}"),
         "certificates[0].spki_sha256 must be 64"},
        {CERTIFICATE("{\"spki_sha256\":7}"), "certificates[0].spki_sha256 must be 64"},
        {CERTIFICATE("{\"spki_sha256\":\"" SPKI_A "\",\"x\":1}"), "certificates[0] has a member"},
        {CERTIFICATE("{\"spki_sha256\":\"" SPKI_A "\"},{\"spki_sha256\":\"" SPKI_A "\"}"),
         "certificates[1].spki_sha256 is there twice"},
        {CERTIFICATE("{\"spki_sha256\":\"" SPKI_A "\",\"note\":\"a\\n\"}"),
         "certificates[0].note must be a text"},
        {"{\"certificates\":{}}", "certificates must be a list"},
        {PURPOSE("{\"name\":\"p\"}"), "purposes[0].claims is missing"},
        {PURPOSE("{\"claims\":[]}"), "purposes[0].name is missing"},
        {PURPOSE("{\"name\":\"p q\",\"claims\":[]}"), "purposes[0].name must be 1-64 of"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[\"sex\",\"face\"]}"),
         "purposes[0].claims[1] must be one of full_name"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[\"sex\",\"sex\"]}"),
         "purposes[0].claims[1] is there twice"},
        {PURPOSE("{\"name\":\"p\",\"claims\":\"sex\"}"), "purposes[0].claims must be a list"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[]},{\"name\":\"p\",\"claims\":[]}"),
         "purposes[1].name is there twice"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[],\"legal_basis_required\":1}"),
         "purposes[0].legal_basis_required must be true or false"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[\"sex\"],\"claims_required\":[\"phone\"]}"),
         "purposes[0].claims_required must be among the purpose's claims"},
        {PURPOSE("{\"name\":\"p\",\"claims\":[],\"consent_required\":\"no\"}"),
         "purposes[0].consent_required must be true or false"},
        {WITH("\"rights\":[\"per_claim\",\"root\"]"), "rights[1] must be one of per_claim"},
        {WITH("\"rights\":[\"audit\",\"audit\"]"), "rights[1] is there twice"},
        {WITH("\"rights\":\"audit\""), "rights must be a list"},
        {WITH("\"rate\":{}"), "rate.per_second is missing"},
        {WITH("\"rate\":{\"per_second\":0}"), "rate.per_second must be a whole number from 1"},
        {WITH("\"rate\":{\"per_second\":1.5}"), "rate.per_second must be a whole number"},
        {WITH("\"rate\":{\"per_second\":10000001}"), "rate.per_second must be a whole number"},
        {WITH("\"rate\":{\"per_second\":1,\"burst\":-1}"), "rate.burst must be a whole number"},
        {WITH("\"rate\":7"), "rate must be an object"},
        {WITH("\"daily_quota\":0"), "daily_quota must be a whole number from 1 to 100000000"},
        {WITH("\"daily_quota\":100000001"),
         "daily_quota must be a whole number from 1 to 100000000"},
        {WITH("\"daily_quota\":18446744073709551616"), "daily_quota must be a whole number"},
        {WITH("\"networks\":[\"10.0.0.0/8\",\"10.0.0.1/8\"]"), "networks[1] must be a network"},
        {WITH("\"networks\":[10]"), "networks[0] must be a network"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        static struct xt_partner partner;
        struct xt_failure failure = {""};
        enum xt_status status = parse(CASES[i].text, &partner, &failure);
        if (status != XT_INVALID ||
            strncmp(failure.text, CASES[i].start, strlen(CASES[i].start)) != 0) {
            fail_msg("%s: %s", CASES[i].text, failure.text);
        }
        assert_int_equal(parse(CASES[i].text, &partner, NULL), XT_INVALID);
    }
}

static void lists_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        unsigned most;
    } LISTS[] = {{"certificates", XT_PARTNER_CERTIFICATES_MAX},
                 {"purposes", XT_PARTNER_PURPOSES_MAX},
                 {"rights", XT_RIGHT_COUNT},
                 {"networks", XT_PARTNER_NETWORKS_MAX}};
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
        static struct xt_partner partner;
        struct xt_failure failure;
        char text[1024];
        char wanted[128];
        size_t at = (size_t)sprintf(text, "{\"%s\":[7", LISTS[i].member);
        for (unsigned j = 0; j < LISTS[i].most; j++) {
            at += (size_t)sprintf(text + at, ",7");
        }
        strcpy(text + at, "]}");
        sprintf(wanted, "%s must have at most %u entries", LISTS[i].member, LISTS[i].most);
        assert_int_equal(parse(text, &partner, &failure), XT_INVALID);
        assert_string_equal(failure.text, wanted);
    }
    static char long_text[XT_PARTNER_JSON_MAX + 2];
    static struct xt_partner partner;
    struct xt_failure failure;
    memset(long_text, ' ', sizeof long_text - 1);
    assert_int_equal(parse(long_text, &partner, &failure), XT_INVALID);
    assert_string_equal(failure.text, "the file must have at most 65536 bytes");
}

static void names_keep_to_their_alphabet(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"a", "0", "sim.register", "a-b_c.9"};
    static const char *const BAD[] = {"", "-a", ".a", "_a", "A", "a b", "a/b", "ă", "a\n"};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        assert_true(xt_policy_name_is_valid(xt_span_of_string(GOOD[i])));
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(xt_policy_name_is_valid(xt_span_of_string(BAD[i])));
    }
    char text[66];
    memset(text, 'a', sizeof text);
    assert_true(xt_policy_name_is_valid(xt_span_of(text, 64)));
    assert_false(xt_policy_name_is_valid(xt_span_of(text, 65)));
}

static void rights_are_called_as_in_the_contract(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"per_claim",    "card_state", "existence",  "advisory",
                                        "authenticate", "accounts",   "attributes", "registry",
                                        "statistics",   "audit",      "signed",     "sensitive"};
    uint32_t right = 0;
    for (unsigned i = 0; i < XT_RIGHT_COUNT; i++) {
        assert_string_equal(xt_right_name((enum xt_right)(1U << i)), NAMES[i]);
        assert_int_equal(xt_right_by_name(xt_span_of_string(NAMES[i]), &right), XT_OK);
        assert_int_equal(right, 1U << i);
    }
    assert_int_equal(xt_right_by_name(xt_span_of_string("root"), &right), XT_NOT_FOUND);
    assert_string_equal(xt_right_name((enum xt_right)0), "unknown");
}

/* "10.1.2.3" or an IPv6 text -> 16 bytes */
static void address_of(const char *text, uint8_t address[16])
{
    struct xt_network network;
    assert_int_equal(xt_network_parse(xt_span_of_string(text), &network), XT_OK);
    assert_int_equal(network.prefix, 128);
    memcpy(address, network.address, 16);
}

static void networks_hold_their_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *network, *address, *written;
        bool holds;
    } CASES[] = {
        {"10.0.0.0/8", "10.255.1.2", "10.0.0.0/8", true},
        {"10.0.0.0/8", "11.0.0.0", "10.0.0.0/8", false},
        {"10.0.0.0/8", "::10.0.0.1", "10.0.0.0/8", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", "10.0.0.0/8", true},
        {"::ffff:10.0.0.0/104", "10.0.0.1", "10.0.0.0/8", true},
        {"192.168.4.0/22", "192.168.7.255", "192.168.4.0/22", true},
        {"192.168.4.0/22", "192.168.8.0", "192.168.4.0/22", false},
        {"192.168.4.1", "192.168.4.1", "192.168.4.1/32", true},
        {"192.168.4.1/32", "192.168.4.0", "192.168.4.1/32", false},
        {"0.0.0.0/0", "1.2.3.4", "0.0.0.0/0", true},
        {"0.0.0.0/0", "2001:db8::1", "0.0.0.0/0", false},
        {"::/0", "1.2.3.4", "::/0", true},
        {"2001:db8::/32", "2001:db8:ffff::1", "2001:db8::/32", true},
        {"2001:db8::/32", "2001:db9::1", "2001:db8::/32", false},
        {"2001:DB8:0::/33", "2001:db8:8000::1", "2001:db8::/33", false},
        {"::1", "::1", "::1/128", true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_network network;
        uint8_t address[16];
        char text[XT_NETWORK_TEXT];
        assert_int_equal(xt_network_parse(xt_span_of_string(CASES[i].network), &network), XT_OK);
        address_of(CASES[i].address, address);
        if (xt_network_holds(&network, address) != CASES[i].holds) {
            fail_msg("%s and %s", CASES[i].network, CASES[i].address);
        }
        xt_network_format(&network, text);
        assert_string_equal(text, CASES[i].written);
    }
    static const char *const BAD[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/08",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8 ",
                                      "10.0.0/8",
                                      "10.0.0.1/8",
                                      "010.0.0.0/8",
                                      "localhost",
                                      "::/129",
                                      "2001:db8::1/32",
                                      "10.0.0.0/8/8",
                                      "fe80::1%eth0",
                                      "10.0.0.0/1000",
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/1"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct xt_network network;
        if (xt_network_parse(xt_span_of_string(BAD[i]), &network) != XT_INVALID) {
            fail_msg("%s was accepted", BAD[i]);
        }
    }
    struct xt_network network;
    assert_int_equal(xt_network_parse(xt_span_of("::1\0", 4), &network), XT_INVALID);
}

static void the_first_reason_against_a_request_decides(void **state)
{
    (void)state;
    static struct xt_partner partner;
    struct xt_failure failure;
    const struct xt_purpose *purpose;
    uint32_t denied;
    uint8_t inside[16];
    uint8_t outside[16];
    struct xt_verify_request request = {
        .purpose = xt_span_of_string("other"),
        .claims = {.asked = XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_TAX) |
                            XT_CLAIM_BIT(XT_CLAIM_PHONE),
                   .name_level = XT_NAME_UNACCENTED},
    };
    assert_int_equal(parse(FULL, &partner, &failure), XT_OK);
    partner.purposes[0].consent_required = true;
    address_of("10.1.2.3", inside);
    address_of("11.1.2.3", outside);
#define DECIDE(address) xt_policy_decide(&partner, address, &request, &purpose, &denied)
    assert_int_equal(DECIDE(outside), XT_DENY_PARTNER_INACTIVE);
    partner.active = true;
    assert_int_equal(DECIDE(outside), XT_DENY_NETWORK);
    assert_int_equal(DECIDE(inside), XT_DENY_PURPOSE);
    assert_null(purpose);
    request.purpose = xt_span_of_string("sim.register");
    assert_int_equal(DECIDE(inside), XT_DENY_CLAIM);
    assert_int_equal(denied, XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_TAX));
    assert_ptr_equal(purpose, &partner.purposes[0]);
    request.claims.asked = XT_CLAIM_BIT(XT_CLAIM_PHONE);
    assert_int_equal(DECIDE(inside), XT_DENY_NAME_LEVEL);
    assert_int_equal(denied, 0);
    partner.rights |= XT_RIGHT_ADVISORY;
    assert_int_equal(DECIDE(inside), XT_DENY_LEGAL_BASIS_MISSING);
    partner.rights &= ~(uint32_t)XT_RIGHT_ADVISORY;
    request.claims.name_level = XT_NAME_SPELLING;
    assert_int_equal(DECIDE(inside), XT_DENY_LEGAL_BASIS_MISSING);
    request.legal_basis = xt_span_of_string("consent");
    assert_int_equal(DECIDE(inside), XT_DENY_CONSENT_MISSING);
    request.consent_ref = xt_span_of_string("c");
    assert_int_equal(DECIDE(inside), XT_ALLOW);
    partner.purposes[0].required = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_PHONE);
    assert_int_equal(DECIDE(inside), XT_DENY_CLAIM_MISSING);
    assert_int_equal(denied, XT_CLAIM_BIT(XT_CLAIM_FULL_NAME));
    request.claims.asked |= XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    assert_int_equal(DECIDE(inside), XT_ALLOW);
    assert_int_equal(denied, 0);
    request.claims.name_level = XT_NAME_EXACT;
    assert_int_equal(DECIDE(inside), XT_ALLOW);
    assert_int_equal(DECIDE(outside), XT_DENY_NETWORK);
    partner.network_count = 0;
    assert_int_equal(DECIDE(outside), XT_ALLOW);
}

static void damaged_files_are_refused_without_harm(void **state)
{
    (void)state;
    uint64_t random = 5;
    unsigned accepted = 0;
    for (unsigned i = 0; i < 200000; i++) {
        static struct xt_partner partner;
        struct xt_failure failure;
        uint8_t text[sizeof FULL + 64];
        memcpy(text, FULL, sizeof FULL - 1);
        size_t size = mutate(text, sizeof FULL - 1, sizeof text, &random);
        enum xt_status status =
            xt_partner_from_json(xt_span_of(text, size), arena, &partner, &failure);
        assert_true(status == XT_OK || status == XT_INVALID);
        if (status == XT_OK) {
            accepted++;
            assert_true(partner.certificate_count >= 1);
            assert_non_null(memchr(partner.name, '\0', sizeof partner.name));
        } else {
            assert_true(strlen(failure.text) > 0);
        }
    }
    assert_true(accepted > 1000 && accepted < 150000);
}

static void attributes_need_the_purpose_and_sensitive_ones_a_right(void **state)
{
    (void)state;
    struct xt_partner p;
    struct xt_failure failure;
    const struct xt_span purpose = xt_span_of_string("sim.register");
    const uint32_t name = XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_FULL_NAME);
    const uint32_t ethnicity = XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_ETHNICITY);
    const uint32_t sex = XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_SEX);
    uint32_t denied;
    assert_int_equal(parse(FULL, &p, &failure), XT_OK);
    assert_int_equal(p.purposes[0].attributes,
                     name | ethnicity | XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_ADDRESS));
    assert_int_equal(xt_policy_attributes(&p, purpose, name, &denied), XT_ALLOW);
    assert_int_equal(denied, 0);
    assert_int_equal(xt_policy_attributes(&p, purpose, name | sex, &denied), XT_DENY_ATTRIBUTE);
    assert_int_equal(denied, sex);
    assert_int_equal(xt_policy_attributes(&p, purpose, name | ethnicity, &denied),
                     XT_DENY_ATTRIBUTE);
    assert_int_equal(denied, ethnicity);
    p.rights |= XT_RIGHT_SENSITIVE;
    assert_int_equal(xt_policy_attributes(&p, purpose, name | ethnicity, &denied), XT_ALLOW);
    assert_int_equal(xt_policy_attributes(&p, xt_span_of_string("sim.check"), name, &denied),
                     XT_DENY_ATTRIBUTE);
    assert_int_equal(xt_policy_attributes(&p, xt_span_of_string("kyc"), name, &denied),
                     XT_DENY_PURPOSE);
    assert_int_equal(denied, 0);
}

static bool take(uint8_t *data, size_t size)
{
    static struct xt_partner partner;
    return xt_partner_from_json(xt_span_of(data, size), arena, &partner, NULL) == XT_OK;
}

static void the_corpus_of_partners_is_judged_as_before(void **state)
{
    (void)state;
    replay_corpus("partner_json", 0, take);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_a_partner_is_read),
        cmocka_unit_test(absent_members_have_their_defaults),
        cmocka_unit_test(a_partner_is_written_as_it_was_read),
        cmocka_unit_test(the_largest_partner_fits_its_file),
        cmocka_unit_test(every_fault_in_a_file_is_named),
        cmocka_unit_test(lists_are_bounded),
        cmocka_unit_test(names_keep_to_their_alphabet),
        cmocka_unit_test(rights_are_called_as_in_the_contract),
        cmocka_unit_test(networks_hold_their_addresses),
        cmocka_unit_test(the_first_reason_against_a_request_decides),
        cmocka_unit_test(attributes_need_the_purpose_and_sensitive_ones_a_right),
        cmocka_unit_test(damaged_files_are_refused_without_harm),
        cmocka_unit_test(the_corpus_of_partners_is_judged_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
