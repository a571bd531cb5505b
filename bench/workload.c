#include "bench/workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/random.h"
#include "core/policy.h"

/* While it is being made. */
struct maker {
    const struct xt_load_options *options;
    struct xt_workload *workload;
    size_t capacity;
    struct xt_request_plan plans[XT_WORKLOAD_PARTS_MAX];
    uint32_t weight_sum;
    char host[XT_LOAD_HOST_MAX + 16];
    const char *connection; /* a field, or "" */
};

static enum xt_status parse_claims(const char *text, uint32_t *claims, struct xt_failure *failure)
{
    *claims = 0;
    for (;; text++) {
        size_t size = strcspn(text, ",");
        enum xt_claim claim;
        if (xt_claim_by_name(xt_span_of(text, size), &claim) != XT_OK) {
            return xt_fail(failure, XT_INVALID, "--claims has no claim '%.*s'", (int)size, text);
        }
        *claims |= XT_CLAIM_BIT(claim);
        text += size;
        if (*text == '\0') {
            return XT_OK;
        }
    }
}

static enum xt_status plan_part(const struct xt_load_options *options,
                                const struct xt_population *population,
                                const struct xt_workload_part *part, struct xt_request_plan *plan,
                                struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    xt_request_plan_defaults(plan, population);
    plan->full = options->full;
    if (options->full) {
        plan->claims = XT_CLAIM_ALL;
    }
    if (options->purpose != NULL) {
        plan->purpose = options->purpose;
    }
    if (options->claims != NULL) {
        status = parse_claims(options->claims, &plan->claims, failure);
    }
    if (status == XT_OK && !options->full && (plan->claims & XT_CLAIM_DOCUMENTS) != 0) {
        status = xt_fail(failure, XT_INVALID, "--claims about documents need --full");
    }
    if (status == XT_OK && part->mix[0] != '\0') {
        status = xt_request_plan_set_mix(plan, part->mix, failure);
    }
    return status;
}

static enum xt_status make_room(struct maker *maker, struct xt_failure *failure)
{
    struct xt_workload *workload = maker->workload;
    if (maker->capacity - workload->wire_size >= XT_WORKLOAD_WIRE_MAX) {
        return XT_OK;
    }
    size_t capacity = 2 * maker->capacity + (1U << 20);
    uint8_t *wire = capacity > UINT32_MAX ? NULL : realloc(workload->wire, capacity);
    if (wire == NULL) {
        return xt_fail(failure, XT_NO_MEMORY,
                       "not enough memory for the prepared requests; ask for fewer --requests");
    }
    workload->wire = wire;
    maker->capacity = capacity;
    return XT_OK;
}

static void make_verify(struct maker *maker, const struct xt_request_plan *plan, unsigned index,
                        struct xt_writer *writer)
{
    static const char txn_start[] = "{\"txn\":\"";
    struct xt_generated_request made;
    struct xt_workload_request *request = &maker->workload->requests[index];
    char head[1024], digest[XT_LOAD_DIGEST_SIZE + 128] = "";
    static const char digest_start[] = "Content-Digest: ";
    xt_request_make(plan, index, &made);
    if (maker->workload->keys != NULL) {
        struct xt_writer fields = xt_writer_over(digest, sizeof(digest) - 1);
        xt_write_literal(&fields, "Content-Digest: ");
        xt_load_write_digest(xt_span_of(made.body, made.body_size), &fields);
        xt_write_literal(&fields, "\r\n");
        xt_require(!fields.overflow);
    }
    int size = snprintf(head, sizeof(head),
                        "POST /v1/verify HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                        "%s%sContent-Length: %zu\r\n%s\r\n",
                        maker->host, digest, digest[0] != '\0' ? XT_LOAD_SIGNED_FIELD : "",
                        made.body_size, maker->connection);
    xt_require(size > 0 && (size_t)size < sizeof(head) &&
               memcmp(made.body, txn_start, sizeof(txn_start) - 1) == 0);
    xt_write(writer, head, (size_t)size);
    if (digest[0] != '\0') {
        const char *at = strstr(head, digest_start);
        xt_require(at != NULL);
        request->digest_offset = request->offset + (uint32_t)(at - head) + sizeof(digest_start) - 1;
    }
    request->txn_offset = request->offset + (uint32_t)size + sizeof(txn_start) - 1;
    request->txn_size = (uint32_t)strcspn(made.body + sizeof(txn_start) - 1, "\"");
    request->asked = (uint16_t)made.asked;
    request->matched = (uint16_t)made.matched;
    request->status = 200;
    request->check = !maker->options->unchecked;
    xt_write(writer, made.body, made.body_size);
}

static void make_get(struct maker *maker, const struct xt_workload_part *part, unsigned index,
                     struct xt_writer *writer)
{
    xt_write_literal(writer, "GET ");
    xt_write_string(writer, part->path);
    xt_write_literal(writer, " HTTP/1.1\r\nHost: ");
    xt_write_string(writer, maker->host);
    xt_write_literal(writer, "\r\n");
    xt_write_string(writer, maker->connection);
    xt_write_literal(writer, "\r\n");
    maker->workload->requests[index].status = (uint16_t)part->status;
}

static enum xt_status make_all(struct maker *maker, struct xt_failure *failure)
{
    struct xt_workload *workload = maker->workload;
    for (unsigned index = 0; index < workload->count; index++) {
        enum xt_status status = make_room(maker, failure);
        if (status != XT_OK) {
            return status;
        }
        uint32_t roll = xt_scale(xt_hash(maker->options->seed, index), maker->weight_sum);
        unsigned part = 0;
        while (roll >= workload->scenario.parts[part].weight) {
            roll -= workload->scenario.parts[part++].weight;
        }
        struct xt_writer writer =
            xt_writer_over(workload->wire + workload->wire_size, XT_WORKLOAD_WIRE_MAX);
        struct xt_workload_request *request = &workload->requests[index];
        request->index = index;
        request->offset = (uint32_t)workload->wire_size;
        if (workload->scenario.parts[part].verify) {
            make_verify(maker, &maker->plans[part], index, &writer);
        } else {
            make_get(maker, &workload->scenario.parts[part], index, &writer);
        }
        xt_require(!writer.overflow);
        request->size = (uint32_t)writer.size;
        workload->wire_size += writer.size;
    }
    return XT_OK;
}

/* What the options say without a file. */
static enum xt_status scenario_of(const struct xt_load_options *options,
                                  struct xt_scenario *scenario, struct xt_failure *failure)
{
    if (options->scenario != NULL) {
        return xt_scenario_read(options->scenario, scenario, failure);
    }
    struct xt_workload_part *part = &scenario->parts[0];
    scenario->count = 1;
    part->weight = 1;
    part->status = 200;
    part->verify = options->path == NULL;
    const char *text = part->verify ? (options->mix == NULL ? "" : options->mix) : options->path;
    char *place = part->verify ? part->mix : part->path;
    size_t room = part->verify ? sizeof(part->mix) : sizeof(part->path);
    if (strlen(text) >= room || (!part->verify && text[0] != '/') ||
        strcspn(text, " \t\r\n") != strlen(text)) {
        return xt_fail(failure, XT_INVALID, "%s takes %s, of less than %zu characters",
                       part->verify ? "--mix" : "--path",
                       part->verify ? "kind=weight,..." : "a path that starts with /", room);
    }
    memcpy(place, text, strlen(text) + 1);
    return XT_OK;
}

enum xt_status xt_workload_make(const struct xt_load_options *options, struct xt_workload *workload,
                                struct xt_failure *failure)
{
    struct maker maker = {.options = options, .workload = workload};
    struct xt_population *population = NULL;
    *workload = (struct xt_workload){.verdict_only = options->verdict_only};
    bool v6 = strchr(options->host, ':') != NULL;
    (void)snprintf(maker.host, sizeof(maker.host), "%s%s%s:%s", v6 ? "[" : "", options->host,
                   v6 ? "]" : "", options->port);
    maker.connection = options->handshake == XT_LOAD_KEEP_ALIVE ? "" : "Connection: close\r\n";
    enum xt_status status = scenario_of(options, &workload->scenario, failure);
    bool verify = false;
    for (unsigned i = 0; i < workload->scenario.count; i++) {
        verify = verify || workload->scenario.parts[i].verify;
        maker.weight_sum += workload->scenario.parts[i].weight;
    }
    if (status == XT_OK && verify && !options->has_people) {
        status = xt_fail(failure, XT_INVALID, "verify requests need --seed and --count");
    }
    if (status == XT_OK && options->purpose != NULL &&
        !xt_policy_name_is_valid(xt_span_of_string(options->purpose))) {
        status = xt_fail(failure, XT_INVALID, "--purpose takes a name as in sim.register");
    }
    if (status == XT_OK && options->signed_keys != NULL) {
        status = xt_load_keys_open(options->signed_keys, &workload->keys, failure);
    }
    if (status == XT_OK && verify &&
        xt_population_open(options->seed, options->count, &population) != XT_OK) {
        status = xt_fail(failure, XT_NO_MEMORY, "not enough memory for the tables (250 KiB)");
    }
    for (unsigned i = 0; status == XT_OK && i < workload->scenario.count; i++) {
        if (workload->scenario.parts[i].verify) {
            status = plan_part(options, population, &workload->scenario.parts[i], &maker.plans[i],
                               failure);
        }
    }
    if (status == XT_OK) {
        workload->count = verify ? options->requests : workload->scenario.count * 64;
        xt_require(workload->count > 0);
        workload->requests = calloc(workload->count, sizeof(*workload->requests));
        status = workload->requests == NULL
                     ? xt_fail(failure, XT_NO_MEMORY, "not enough memory for the requests")
                     : make_all(&maker, failure);
    }
    xt_population_close(population);
    if (status != XT_OK) {
        xt_workload_free(workload);
    }
    return status;
}

void xt_workload_free(struct xt_workload *workload)
{
    free(workload->requests);
    free(workload->wire);
    xt_load_keys_close(workload->keys);
    workload->keys = NULL;
    workload->requests = NULL;
    workload->wire = NULL;
}
