/* bench/requests: which request, about whom, and what must come out. request_draft.c writes the
 * claims and the body. */
#include "bench/requests.h"

#include "bench/request_draft.h"

#include <stdio.h>
#include <stdlib.h>

/* How many people are looked at before a rare one is given up. */
#define SEARCH_RARE 50000U
#define SEARCH_FITTING 1000U

static const char *const kind_names[XT_REQUEST_KINDS] = {
    "right", "variant", "wrong", "misspelt", "unknown", "ambiguous", "inactive"};

const char *xt_request_kind_name(enum xt_request_kind kind)
{
    return kind_names[kind];
}

void xt_request_plan_defaults(struct xt_request_plan *plan, const struct xt_population *population)
{
    *plan = (struct xt_request_plan){.population = population,
                                     .purpose = XT_REQUEST_PURPOSE,
                                     .claims = XT_CLAIM_ALL & ~XT_CLAIM_DOCUMENTS,
                                     .weights = {60, 15, 10, 6, 5, 1, 3}};
}

enum xt_status xt_request_plan_set_mix(struct xt_request_plan *plan, const char *text,
                                       struct xt_failure *failure)
{
    static const char usage[] = "--mix takes kind=weight,... with the kinds right, variant, wrong, "
                                "misspelt, unknown, ambiguous, inactive and weights 0-100000";
    uint64_t sum = 0;
    memset(plan->weights, 0, sizeof(plan->weights));
    while (*text != '\0') {
        size_t size = strcspn(text, "=");
        unsigned kind = 0;
        while (kind < XT_REQUEST_KINDS &&
               (strlen(kind_names[kind]) != size || memcmp(kind_names[kind], text, size) != 0)) {
            kind++;
        }
        if (kind == XT_REQUEST_KINDS || text[size] != '=') {
            return xt_fail(failure, XT_INVALID, "%s", usage);
        }
        const char *digits = text + size + 1;
        char *end;
        unsigned long weight = strtoul(digits, &end, 10);
        if (*digits < '0' || *digits > '9' || weight > 100000 || (*end != ',' && *end != '\0')) {
            return xt_fail(failure, XT_INVALID, "%s", usage);
        }
        plan->weights[kind] = (uint32_t)weight;
        text = *end == ',' ? end + 1 : end;
    }
    for (unsigned kind = 0; kind < XT_REQUEST_KINDS; kind++) {
        sum += plan->weights[kind];
    }
    return sum > 0 ? XT_OK : xt_fail(failure, XT_INVALID, "%s", usage);
}

static uint64_t any_index(const struct xt_request_plan *plan, struct xt_stream *stream)
{
    /* The count is below 2^32, as xt_stream_below needs. */
    return xt_stream_below(stream, (uint32_t)xt_population_count(plan->population));
}

static bool is_alive(const struct xt_population *population, uint64_t index)
{
    return xt_population_life(population, index) == XT_LIFE_ALIVE;
}

static bool is_inactive(const struct xt_population *population, uint64_t index)
{
    return !is_alive(population, index);
}

static bool is_alive_replaced(const struct xt_population *population, uint64_t index)
{
    return xt_population_has_replaced(population, index) && is_alive(population, index);
}

/* Somebody who fits, of whom at least one right claim can be made. */
static bool find(const struct xt_request_plan *plan, struct xt_draft *draft, unsigned tries,
                 bool (*fits)(const struct xt_population *, uint64_t))
{
    for (unsigned i = 0; i < tries; i++) {
        uint64_t index = any_index(plan, &draft->stream);
        if (fits(plan->population, index)) {
            xt_draft_set_person(draft, plan, index);
            xt_draft_choose_claims(draft, plan->claims & xt_draft_held(draft));
            if (draft->asked != 0) {
                return true;
            }
        }
    }
    return false;
}

/* Each make_ function: false when this population cannot give such a request. */
static bool make_right(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    draft->form = "registered";
    if (!find(plan, draft, SEARCH_FITTING, is_alive)) {
        return false;
    }
    draft->matched = draft->asked;
    return true;
}

static bool make_variant(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    for (unsigned i = 0; i < SEARCH_FITTING / 10; i++) {
        enum xt_variant variant =
            (enum xt_variant)xt_stream_below(&draft->stream, XT_VARIANT_COUNT);
        bool replaced = variant == XT_VARIANT_REPLACED;
        if (find(plan, draft, replaced ? SEARCH_RARE : SEARCH_FITTING,
                 replaced ? is_alive_replaced : is_alive) &&
            xt_draft_vary(draft, plan->claims, variant)) {
            draft->matched = draft->asked;
            return true;
        }
    }
    return false;
}

static bool make_wrong(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    uint64_t index = any_index(plan, &draft->stream);
    for (unsigned i = 0; i < SEARCH_FITTING && !is_alive(plan->population, index); i++) {
        index = any_index(plan, &draft->stream);
    }
    xt_draft_set_person(draft, plan, index);
    /* One time in ten also what the register does not hold for this person: a mismatch. */
    uint32_t held = xt_draft_held(draft);
    bool beyond = xt_stream_below(&draft->stream, 10) == 0 || (plan->claims & held) == 0;
    xt_draft_choose_claims(draft, plan->claims & (beyond ? XT_CLAIM_ALL : held));
    uint32_t changed = draft->asked & ~held;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if (xt_stream_below(&draft->stream, 5) == 0) {
            changed |= draft->asked & XT_CLAIM_BIT(claim);
        }
    }
    while (changed == 0) {
        changed = draft->asked & XT_CLAIM_BIT(xt_stream_below(&draft->stream, XT_CLAIM_COUNT));
    }
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((changed & XT_CLAIM_BIT(claim)) != 0) {
            xt_draft_falsify(draft, plan, (enum xt_claim)claim);
        }
    }
    draft->form = "other_values";
    draft->matched = is_alive(plan->population, index) ? draft->asked & ~changed : 0;
    return true;
}

static bool make_misspelt(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    if ((plan->claims & XT_CLAIM_BIT(XT_CLAIM_FULL_NAME)) == 0 ||
        !find(plan, draft, SEARCH_FITTING, is_alive)) {
        return false;
    }
    xt_draft_misspell(draft);
    draft->matched = draft->asked & ~XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    return true;
}

static bool make_unknown(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    if (!find(plan, draft, SEARCH_FITTING, is_alive)) {
        return false;
    }
    uint64_t which = xt_stream_next(&draft->stream);
    if (xt_stream_below(&draft->stream, 5) == 0) {
        draft->form = "cmnd";
        xt_draft_set_cmnd(draft, xt_population_unknown_cmnd(plan->population, which));
    } else {
        draft->form = "number";
        xt_draft_set_number(draft,
                            xt_population_unknown_number(plan->population, &draft->person, which));
    }
    return true;
}

/* A cancelled holder does not count where the other is in force: the CMND then names that one. */
static bool is_ambiguous(const struct xt_population *population, uint64_t index)
{
    return xt_population_cmnd_is_shared(population, index) &&
           xt_population_life(population, index) != XT_LIFE_CANCELLED &&
           xt_population_life(population, index ^ 1) != XT_LIFE_CANCELLED;
}

static bool make_ambiguous(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    draft->form = "cmnd";
    if (!find(plan, draft, SEARCH_RARE, is_ambiguous)) {
        return false;
    }
    xt_draft_set_cmnd(draft, draft->person.cmnd);
    return true;
}

static bool make_inactive(const struct xt_request_plan *plan, struct xt_draft *draft)
{
    static const char *const lives[] = {"alive", "deceased", "missing", "cancelled"};
    if (!find(plan, draft, SEARCH_RARE, is_inactive)) {
        return false;
    }
    draft->form = lives[draft->person.life];
    return true;
}

static enum xt_request_kind choose_kind(const struct xt_request_plan *plan,
                                        struct xt_stream *stream)
{
    uint32_t sum = 0;
    for (unsigned kind = 0; kind < XT_REQUEST_KINDS; kind++) {
        sum += plan->weights[kind];
    }
    uint32_t roll = xt_stream_below(stream, sum);
    unsigned kind = 0;
    while (roll >= plan->weights[kind]) {
        roll -= plan->weights[kind++];
    }
    return (enum xt_request_kind)kind;
}

/* What cannot be had becomes wrong, which can be had of anybody. */
void xt_request_make(const struct xt_request_plan *plan, uint64_t index,
                     struct xt_generated_request *request)
{
    static bool (*const make[XT_REQUEST_KINDS])(const struct xt_request_plan *,
                                                struct xt_draft *) = {
        make_right,   make_variant,   make_wrong,   make_misspelt,
        make_unknown, make_ambiguous, make_inactive};
    struct xt_draft draft;
    uint64_t seed = xt_population_seed(plan->population);
    xt_draft_init(&draft, xt_stream_of(xt_mix(seed + 2 * XT_GOLDEN), index));
    request->kind = choose_kind(plan, &draft.stream);
    if (!make[request->kind](plan, &draft)) {
        request->kind = XT_REQUEST_WRONG;
        xt_draft_init(&draft, draft.stream);
        (void)make_wrong(plan, &draft);
    }
    request->form = draft.form;
    request->person = draft.person.index;
    request->asked = draft.asked;
    request->matched = draft.matched;
    struct xt_writer writer = xt_writer_over(request->body, sizeof(request->body));
    xt_draft_write(&draft, plan->purpose, seed, index, &writer);
    xt_require(!writer.overflow);
    request->body_size = writer.size;
}

void xt_request_to_json(const struct xt_generated_request *request, struct xt_writer *writer)
{
    xt_write_literal(writer, "{\"request\":");
    xt_write(writer, request->body, request->body_size);
    xt_write_literal(writer, ",\"expect\":{\"verdict\":\"");
    xt_write_string(writer, request->matched == request->asked ? "verified" : "not_verified");
    const char *before = "\",\"claims\":{\"";
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((request->asked & XT_CLAIM_BIT(claim)) != 0) {
            xt_write_string(writer, before);
            xt_write_string(writer, xt_claim_name((enum xt_claim)claim));
            xt_write_string(writer, (request->matched & XT_CLAIM_BIT(claim)) != 0
                                        ? "\":\"match"
                                        : "\":\"mismatch");
            before = "\",\"";
        }
    }
    xt_write_literal(writer, "\"},\"kind\":\"");
    xt_write_string(writer, kind_names[request->kind]);
    xt_write_literal(writer, "\",\"form\":\"");
    xt_write_string(writer, request->form);
    xt_write_literal(writer, "\"}}\n");
}
