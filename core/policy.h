/* core/policy: what one partner may do, and the decision for one request.
 *
 * A partner is one reviewable JSON file, partners/<name>.json (product contract, section 4):
 *   {"name":"viettel","state":"active",
 *    "certificates":[{"spki_sha256":"<64 hex>","note":"..."}],
 *    "purposes":[{"name":"sim.register","claims":["full_name","date_of_birth","phone"],
 *                 "claims_required":["full_name","date_of_birth"],
 *                 "attributes":["full_name","address"],
 *                 "legal_basis_required":true,"consent_required":false,
 *                 "least_level":2}],
 *    "rights":["per_claim","card_state"],
 *    "rate":{"per_second":1000,"burst":2000},"daily_quota":5000000,
 *    "networks":["10.0.0.0/8","2001:db8::/32"]}
 * Only name, certificates (at least one) and purposes (none is fine for a partner that only feeds the
 * registry, say) are required; a purpose needs its name and claims. burst is per_second when absent.
 * claims_required, some of claims, are those without which a request is refused: who has to know several
 * things of somebody cannot learn them one by one. attributes: what citizens may consent to give for it
 * (POST /v1/attributes, core/consent); none when absent. least_level is for all that citizens do for it (core/assurance):
 * POST /v1/authenticate, the back channel, attributes.
 */
#ifndef XT_CORE_POLICY_H
#define XT_CORE_POLICY_H

#include "core/attribute.h"
#include "core/request.h"

#define XT_PARTNER_NAME_MAX 64 /* bytes: a-z 0-9 . _ - */
#define XT_PURPOSE_NAME_MAX 64 /* bytes: the same alphabet */
#define XT_PARTNER_PURPOSES_MAX 32
#define XT_PARTNER_CERTIFICATES_MAX 8
#define XT_PARTNER_NETWORKS_MAX 32
#define XT_PARTNER_JSON_MAX 65536
#define XT_SPKI_DIGEST 32           /* bytes of SHA-256 over the SubjectPublicKeyInfo */
#define XT_CERTIFICATE_NOTE_MAX 128 /* bytes: for the reviewer ("valid to 2027-05") */
#define XT_RATE_MAX 10000000        /* requests/s and burst; far above what a node answers */
#define XT_LEVEL_MOST 4             /* Decree 69/2024, art. 20 */
#define XT_QUOTA_MAX 100000000ULL   /* everybody; 16 bytes each on the disk (store/quota) */

enum xt_right {
    XT_RIGHT_PER_CLAIM = 1 << 0,
    XT_RIGHT_CARD_STATE = 1 << 1,
    XT_RIGHT_EXISTENCE = 1 << 2,
    XT_RIGHT_ADVISORY = 1 << 3,
    XT_RIGHT_AUTHENTICATE = 1 << 4,
    XT_RIGHT_ACCOUNTS = 1 << 5,
    XT_RIGHT_ATTRIBUTES = 1 << 6,
    XT_RIGHT_REGISTRY = 1 << 7,
    XT_RIGHT_STATISTICS = 1 << 8,
    XT_RIGHT_AUDIT = 1 << 9,
    XT_RIGHT_SIGNED = 1 << 10,   /* answers are signed without being asked */
    XT_RIGHT_SENSITIVE = 1 << 11 /* attributes that are sensitive (core/attribute) */
};

struct xt_purpose {
    char name[XT_PURPOSE_NAME_MAX + 1];
    uint32_t claims;     /* XT_CLAIM_BIT set: what may be asked for this purpose */
    uint32_t required;   /* of these: what every request must state */
    uint32_t attributes; /* XT_ATTRIBUTE_BIT set: what may be given away for it */
    bool legal_basis_required, consent_required;
    unsigned
        least_level; /* that citizens must authenticate at for it: 1 to XT_LEVEL_MOST; 0: any */
};

/* An IPv4 or IPv6 network; IPv4 is held mapped (::ffff:a.b.c.d, prefix + 96). */
struct xt_network {
    uint8_t address[16];
    uint8_t prefix; /* bits */
};

struct xt_partner {
    char name[XT_PARTNER_NAME_MAX + 1];
    bool active;
    uint32_t rights; /* set of enum xt_right */
    unsigned certificate_count;
    uint8_t certificates[XT_PARTNER_CERTIFICATES_MAX][XT_SPKI_DIGEST];
    char certificate_notes[XT_PARTNER_CERTIFICATES_MAX][XT_CERTIFICATE_NOTE_MAX + 1];
    unsigned purpose_count;
    struct xt_purpose purposes[XT_PARTNER_PURPOSES_MAX];
    unsigned network_count; /* 0: from anywhere */
    struct xt_network networks[XT_PARTNER_NETWORKS_MAX];
    uint32_t rate_per_second, rate_burst; /* 0: no limit */
    uint64_t daily_quota;                 /* distinct ids; 0: no limit */
    bool without_old_numbers; /* an id that is a CMND or a replaced number is answered as unknown */
};

/* Rights are called as their enumerators in lower case: "per_claim". by_name: XT_NOT_FOUND. */
#define XT_RIGHT_COUNT 12
const char *xt_right_name(enum xt_right right);
XT_MUST_USE enum xt_status xt_right_by_name(struct xt_span name, uint32_t *right);

/* 10.0.0.0/8, 2001:db8::/32, or one address. XT_INVALID also where bits past the prefix are set: the
 * writer meant something else than what he wrote. */
XT_MUST_USE enum xt_status xt_network_parse(struct xt_span text, struct xt_network *network);
#define XT_NETWORK_TEXT 50 /* bytes of the longest text and its NUL */
void xt_network_format(const struct xt_network *network, char text[XT_NETWORK_TEXT]);
bool xt_network_holds(const struct xt_network *network, const uint8_t address[16]);

/* Whether text may be the name of a partner or purpose: 1-64 of a-z 0-9 . _ -, starting with a
 * letter or digit. */
bool xt_policy_name_is_valid(struct xt_span text);

/* The text of a partner's file. XT_INVALID: *failure names the member that is wrong and what it may
 * be; partner must not be used then. The arena: XT_PERSON_JSON_ARENA is enough for
 * XT_PARTNER_JSON_MAX. */
XT_MUST_USE enum xt_status xt_partner_from_json(struct xt_span text, struct xt_json_arena arena,
                                                struct xt_partner *partner,
                                                struct xt_failure *failure);
/* Writes the file's text, pretty-printed, with a final newline. */
void xt_partner_to_json(const struct xt_partner *partner, struct xt_writer *writer);

const struct xt_purpose *xt_partner_purpose(const struct xt_partner *partner, struct xt_span name);

/* The answers a policy can give; net/problem gives each its HTTP status and code. */
enum xt_decision {
    XT_ALLOW,
    XT_DENY_PARTNER_INACTIVE,
    XT_DENY_NETWORK,
    XT_DENY_PURPOSE,
    XT_DENY_CLAIM,      /* *denied tells which: XT_CLAIM_BIT set */
    XT_DENY_NAME_LEVEL, /* an advisory level without the right */
    XT_DENY_LEGAL_BASIS_MISSING,
    XT_DENY_CONSENT_MISSING,
    XT_DENY_CLAIM_MISSING, /* *denied tells which are missing */
    XT_DENY_ATTRIBUTE,     /* *denied tells which: XT_ATTRIBUTE_BIT set */
    XT_DENY_RIGHT          /* the endpoint needs a right that the partner has not */
};

/* May this partner, calling from address, use an endpoint that a right opens? */
enum xt_decision xt_policy_may(const struct xt_partner *partner, const uint8_t address[16],
                               enum xt_right right);

/* May this partner have these attributes (XT_ATTRIBUTE_BIT set) for this purpose, given that he may use the endpoint?
 * *denied: 0 but for XT_DENY_ATTRIBUTE. */
enum xt_decision xt_policy_attributes(const struct xt_partner *partner, struct xt_span purpose,
                                      uint32_t attributes, uint32_t *denied);

/* May this partner, calling from address (IPv6 or mapped IPv4), have this verify answered?
 * The first reason against it, in the order of the enumerators. *purpose is the partner's entry (NULL
 * when there is none), *denied 0 but for XT_DENY_CLAIM and XT_DENY_CLAIM_MISSING. */
enum xt_decision xt_policy_decide(const struct xt_partner *partner, const uint8_t address[16],
                                  const struct xt_verify_request *request,
                                  const struct xt_purpose **purpose, uint32_t *denied);

#endif
