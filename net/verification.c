#include "net/verification.h"

#include "core/branchless.h"

static void point_at(struct xt_request_errors *errors, const char *code, const char *parent,
                     const char *member)
{
    struct xt_request_error *error = &errors->list[errors->count++];
    struct xt_writer writer = xt_writer_over(error->pointer, sizeof(error->pointer) - 1);
    xt_write_string(&writer, parent);
    xt_write_string(&writer, member);
    error->pointer[writer.size] = '\0';
    error->code = code;
}

/* Tells which member the policy is against. */
static void point_at_denied(struct xt_request_errors *errors, enum xt_decision decision,
                            uint32_t denied)
{
    if (decision == XT_DENY_CLAIM || decision == XT_DENY_CLAIM_MISSING) {
        const char *code = decision == XT_DENY_CLAIM ? "not_permitted" : "missing_member";
        for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
            if ((denied & XT_CLAIM_BIT(claim)) != 0) {
                point_at(errors, code, "/claims/", xt_claim_name((enum xt_claim)claim));
            }
        }
    } else if (decision == XT_DENY_PURPOSE) {
        point_at(errors, "not_permitted", "/purpose", "");
    } else if (decision == XT_DENY_NAME_LEVEL) {
        point_at(errors, "not_permitted", "/match/", xt_claim_name(XT_CLAIM_FULL_NAME));
    } else if (decision == XT_DENY_LEGAL_BASIS_MISSING) {
        point_at(errors, "missing_member", "/legal_basis", "");
    } else if (decision == XT_DENY_CONSENT_MISSING) {
        point_at(errors, "missing_member", "/consent_ref", "");
    }
}
_Static_assert(XT_CLAIM_COUNT <= XT_REQUEST_ERRORS_MAX, "every claim may be denied");

void xt_verification_read(struct xt_verification *verification, struct xt_json_arena arena)
{
    const struct xt_purpose *purpose = NULL;
    uint32_t denied = 0;
    verification->problem = XT_PROBLEM_NONE;
    verification->status = XT_OK;
    enum xt_status status =
        xt_verify_request_from_json(verification->body, verification->body_size, arena,
                                    &verification->request, &verification->errors);
    if (status != XT_OK) {
        verification->problem = xt_problem_of_status(status);
        return;
    }
    enum xt_decision decision = xt_policy_decide(verification->partner, verification->address,
                                                 &verification->request, &purpose, &denied);
    if (decision != XT_ALLOW) {
        verification->problem = xt_problem_of_decision(decision);
        point_at_denied(&verification->errors, decision, denied);
        return;
    }
    verification->lookup.id = verification->request.id;
}

static void fail_lookup(struct xt_verification *verification, enum xt_status status)
{
    verification->status = status;
    verification->problem = xt_problem_of_status(status);
}

static bool asks_for_documents(const struct xt_verification *verification)
{
    return (verification->request.claims.asked & XT_CLAIM_DOCUMENTS) != 0;
}

/* For a partner who may not use old numbers, who is found by one is nobody: no branch tells them apart. */
static void hide_old_number(struct xt_verification *verification)
{
    struct xt_found *found = &verification->lookup.found;
    unsigned hidden =
        xt_opaque(found->by_alias) & xt_opaque(verification->partner->without_old_numbers);
    found->found = (bool)((unsigned)found->found & (hidden ^ 1U));
}

/* links is filled only when a document is asked for; then the cold part is looked up exactly once,
 * whether the person exists, has such a document, or not. */
static void compare(struct xt_verification *verification, const struct xt_register *as,
                    xt_date today)
{
    const struct xt_found *found = &verification->lookup.found;
    uint32_t rights = verification->partner->rights;
    struct xt_links links;
    bool documents = asks_for_documents(verification);
    hide_old_number(verification);
    if (documents) {
        enum xt_status status = xt_register_links(as, found->hot.number, &links);
        /* One branch: which of the two it is must not show. */
        if ((xt_opaque(status != XT_OK) & xt_opaque(status != XT_NOT_FOUND)) != 0) {
            fail_lookup(verification, status);
            return;
        }
    }
    xt_claims_compare(&verification->request.claims, found->found, &found->hot,
                      documents ? &links : NULL, (rights & XT_RIGHT_EXISTENCE) != 0,
                      (rights & XT_RIGHT_ADVISORY) != 0, today, &verification->outcome);
}

static void find_group(struct xt_verification *const *group, unsigned count,
                       const struct xt_register *as, xt_date today)
{
    struct xt_lookup *lookups[XT_TABLE_GROUP];
    uint64_t numbers[XT_TABLE_GROUP];
    unsigned documents = 0;
    for (unsigned i = 0; i < count; i++) {
        lookups[i] = &group[i]->lookup;
    }
    xt_register_find_batch(as, lookups, count);
    for (unsigned i = 0; i < count; i++) {
        if (group[i]->lookup.status == XT_OK && asks_for_documents(group[i])) {
            numbers[documents++] = group[i]->lookup.found.hot.number;
        }
    }
    if (documents > 0) {
        xt_register_expect_links(as, numbers, documents);
    }
    for (unsigned i = 0; i < count; i++) {
        if (group[i]->lookup.status == XT_OK) {
            compare(group[i], as, today);
        } else {
            fail_lookup(group[i], group[i]->lookup.status);
        }
    }
}

static void find_one(struct xt_verification *verification, const struct xt_register *as,
                     xt_date today)
{
    enum xt_status status =
        xt_register_find(as, verification->lookup.id, &verification->lookup.found);
    if (status == XT_OK) {
        compare(verification, as, today);
    } else {
        fail_lookup(verification, status);
    }
}

void xt_verifications_find(struct xt_verification *list, size_t count, const struct xt_register *as,
                           xt_date today)
{
    struct xt_verification *group[XT_TABLE_GROUP];
    unsigned size = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].problem == XT_PROBLEM_NONE) {
            group[size++] = &list[i];
        }
        if (size == XT_TABLE_GROUP || (i + 1 == count && size > 1)) {
            find_group(group, size, as, today);
            size = 0;
        }
    }
    if (size == 1) { /* nothing to overlap with */
        find_one(group[0], as, today);
    }
}

bool xt_verification_is_miss(const struct xt_verification *verification)
{
    unsigned matched = 0;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        matched |= verification->outcome.results[claim] == XT_RESULT_MATCH;
    }
    return matched == 0;
}

void xt_verification_write(const struct xt_verification *verification,
                           const char answer_id[XT_ANSWER_ID], const char answered_at[XT_TIMESTAMP],
                           struct xt_writer *writer)
{
    xt_require(verification->problem == XT_PROBLEM_NONE);
    xt_verify_answer_at_to_json(&verification->request, &verification->outcome,
                                verification->partner->rights, answer_id, answered_at, writer);
}

void xt_verification_note(const struct xt_verification *verification,
                          const struct xt_audit_log *log, struct xt_audit_entry *entry)
{
    const struct xt_verify_request *request = &verification->request;
    const struct xt_found *found = &verification->lookup.found;
    struct xt_id id = request->id;
    entry->purpose = request->purpose;
    entry->legal_basis = request->legal_basis;
    entry->consent_ref = request->consent_ref;
    entry->asked = request->claims.asked;
    if (verification->problem == XT_PROBLEM_NONE) {
        xt_audit_entry_outcome(entry, request->claims.asked, &verification->outcome);
        /* Without a branch, as everything that depends on it (core/branchless). One pseudonym is made in
         * any case. */
        uint64_t mask = xt_mask64(found->found);
        id.value = (found->hot.number & mask) | (id.value & ~mask);
        id.kind = (enum xt_id_kind)(((unsigned)XT_ID_PERSONAL & (unsigned)mask) |
                                    ((unsigned)id.kind & ~(unsigned)mask));
    }
    if (log != NULL) {
        entry->has_subject = true;
        xt_audit_subject(log, id, entry->subject);
    }
}
