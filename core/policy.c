#include "core/policy.h"

#include <arpa/inet.h>

static const char *const RIGHTS[XT_RIGHT_COUNT] = {
    "per_claim",  "card_state", "existence",  "advisory", "authenticate", "accounts",
    "attributes", "registry",   "statistics", "audit",    "signed",       "sensitive"};
_Static_assert(XT_RIGHT_SENSITIVE == 1 << (XT_RIGHT_COUNT - 1), "every right has a name");

static const uint8_t MAPPED_IPV4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

const char *xt_right_name(enum xt_right right)
{
    for (unsigned i = 0; i < XT_RIGHT_COUNT; i++) {
        if ((unsigned)right == 1U << i) {
            return RIGHTS[i];
        }
    }
    return "unknown";
}

enum xt_status xt_right_by_name(struct xt_span name, uint32_t *right)
{
    for (unsigned i = 0; i < XT_RIGHT_COUNT; i++) {
        if (xt_span_is(name, RIGHTS[i])) {
            *right = 1U << i;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

/* Whether address and network agree in the first `prefix` bits. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned prefix)
{
    unsigned bytes = prefix / 8;
    unsigned rest = prefix % 8;
    return memcmp(a, b, bytes) == 0 &&
           (rest == 0 || ((a[bytes] ^ b[bytes]) & (0xff00U >> rest) & 0xffU) == 0);
}

static bool rest_is_zero(const struct xt_network *network)
{
    for (unsigned bit = network->prefix; bit < 128; bit++) {
        if ((network->address[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

/* Decimal without sign or leading zeros, at most `most`. */
static bool parse_prefix(const char *text, unsigned most, unsigned *prefix)
{
    unsigned value = 0;
    size_t length = strlen(text);
    if (length == 0 || length > 3 || (text[0] == '0' && length > 1)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *prefix = value;
    return value <= most;
}

enum xt_status xt_network_parse(struct xt_span text, struct xt_network *network)
{
    char address[XT_NETWORK_TEXT];
    if (text.size == 0 || text.size >= sizeof address ||
        memchr(text.data, '\0', text.size) != NULL) {
        return XT_INVALID;
    }
    memcpy(address, text.data, text.size);
    address[text.size] = '\0';
    char *slash = strchr(address, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    unsigned shift = 0; /* bits before the address as written */
    if (inet_pton(AF_INET, address, network->address + sizeof MAPPED_IPV4) == 1) {
        memcpy(network->address, MAPPED_IPV4, sizeof MAPPED_IPV4);
        shift = 96;
    } else if (inet_pton(AF_INET6, address, network->address) != 1) {
        return XT_INVALID;
    }
    unsigned prefix = 128 - shift;
    if (slash != NULL && !parse_prefix(slash + 1, 128 - shift, &prefix)) {
        return XT_INVALID;
    }
    network->prefix = (uint8_t)(prefix + shift);
    return rest_is_zero(network) ? XT_OK : XT_INVALID;
}

void xt_network_format(const struct xt_network *network, char text[XT_NETWORK_TEXT])
{
    bool ipv4 =
        network->prefix >= 96 && memcmp(network->address, MAPPED_IPV4, sizeof MAPPED_IPV4) == 0;
    const uint8_t *address = network->address + (ipv4 ? sizeof MAPPED_IPV4 : 0);
    unsigned prefix = network->prefix - (ipv4 ? 96U : 0U);
    xt_require(inet_ntop(ipv4 ? AF_INET : AF_INET6, address, text, XT_NETWORK_TEXT - 4) != NULL);
    size_t at = strlen(text);
    text[at++] = '/';
    if (prefix >= 100) {
        text[at++] = (char)('0' + prefix / 100);
    }
    if (prefix >= 10) {
        text[at++] = (char)('0' + prefix / 10 % 10);
    }
    text[at++] = (char)('0' + prefix % 10);
    text[at] = '\0';
}

bool xt_network_holds(const struct xt_network *network, const uint8_t address[16])
{
    return same_prefix(network->address, address, network->prefix);
}

/* What a byte may be in a name: 1 anywhere, 2 anywhere but at its start. */
static const uint8_t NAME_BYTES[256] = {
    ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1,
    ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1,
    ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1,
    ['y'] = 1, ['z'] = 1, ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1,
    ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['.'] = 2, ['_'] = 2, ['-'] = 2};

bool xt_policy_name_is_valid(struct xt_span text)
{
    _Static_assert(XT_PARTNER_NAME_MAX == XT_PURPOSE_NAME_MAX, "one rule for both");
    if (text.size == 0 || text.size > XT_PARTNER_NAME_MAX || NAME_BYTES[text.data[0]] != 1) {
        return false;
    }
    for (size_t i = 1; i < text.size; i++) {
        if (NAME_BYTES[text.data[i]] == 0) {
            return false;
        }
    }
    return true;
}

const struct xt_purpose *xt_partner_purpose(const struct xt_partner *partner, struct xt_span name)
{
    for (unsigned i = 0; i < partner->purpose_count; i++) {
        if (xt_span_is(name, partner->purposes[i].name)) {
            return &partner->purposes[i];
        }
    }
    return NULL;
}

static bool network_is_allowed(const struct xt_partner *partner, const uint8_t address[16])
{
    for (unsigned i = 0; i < partner->network_count; i++) {
        if (xt_network_holds(&partner->networks[i], address)) {
            return true;
        }
    }
    return partner->network_count == 0;
}

enum xt_decision xt_policy_may(const struct xt_partner *partner, const uint8_t address[16],
                               enum xt_right right)
{
    if (!partner->active) {
        return XT_DENY_PARTNER_INACTIVE;
    }
    if (!network_is_allowed(partner, address)) {
        return XT_DENY_NETWORK;
    }
    return (partner->rights & (uint32_t)right) != 0 ? XT_ALLOW : XT_DENY_RIGHT;
}

enum xt_decision xt_policy_attributes(const struct xt_partner *partner, struct xt_span purpose,
                                      uint32_t attributes, uint32_t *denied)
{
    const struct xt_purpose *found = xt_partner_purpose(partner, purpose);
    *denied = 0;
    if (found == NULL) {
        return XT_DENY_PURPOSE;
    }
    *denied = attributes & ~found->attributes;
    if ((partner->rights & XT_RIGHT_SENSITIVE) == 0) {
        *denied |= attributes & XT_ATTRIBUTES_SENSITIVE;
    }
    return *denied != 0 ? XT_DENY_ATTRIBUTE : XT_ALLOW;
}

enum xt_decision xt_policy_decide(const struct xt_partner *partner, const uint8_t address[16],
                                  const struct xt_verify_request *request,
                                  const struct xt_purpose **purpose, uint32_t *denied)
{
    *purpose = NULL;
    *denied = 0;
    if (!partner->active) {
        return XT_DENY_PARTNER_INACTIVE;
    }
    if (!network_is_allowed(partner, address)) {
        return XT_DENY_NETWORK;
    }
    const struct xt_purpose *found = xt_partner_purpose(partner, request->purpose);
    if (found == NULL) {
        return XT_DENY_PURPOSE;
    }
    *purpose = found;
    *denied = request->claims.asked & ~found->claims;
    if (*denied != 0) {
        return XT_DENY_CLAIM;
    }
    if (request->claims.name_level > XT_NAME_SPELLING &&
        (partner->rights & XT_RIGHT_ADVISORY) == 0) {
        return XT_DENY_NAME_LEVEL;
    }
    if (found->legal_basis_required && request->legal_basis.size == 0) {
        return XT_DENY_LEGAL_BASIS_MISSING;
    }
    if (found->consent_required && request->consent_ref.size == 0) {
        return XT_DENY_CONSENT_MISSING;
    }
    *denied = found->required & ~request->claims.asked;
    return *denied != 0 ? XT_DENY_CLAIM_MISSING : XT_ALLOW;
}
