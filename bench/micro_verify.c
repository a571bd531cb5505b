/* The parts of a verify that know its JSON, and all of it. */
#include <stdlib.h>

#include "bench/micro.h"
#include "net/verification.h"

#define BODY_ROOM (XT_REQUEST_BODY_MAX + 8)
/* Answers that are written over and over: they fit the cache, as one that was just made does. */
#define WRITTEN 256U
/* 2026-01-01, 09:00 UTC: in the population's time, so that no expected verdict depends on the day. */
#define UNIX_MS 1767258000000U

static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

/* Requests on their way, each with a buffer of its own, as a connection has. */
struct desk {
    struct xt_json_arena arena;
    uint8_t *bodies;
    struct xt_verification *list;
    unsigned size;
    char answered_at[XT_TIMESTAMP];
};

static void close_desk(struct desk *desk)
{
    free(desk->arena.memory);
    free(desk->bodies);
    free(desk->list);
}

static enum xt_status open_desk(struct desk *desk, unsigned size, struct xt_failure *failure)
{
    *desk = (struct desk){.arena = {.memory = malloc(XT_VERIFY_ARENA), .size = XT_VERIFY_ARENA},
                          .bodies = calloc(size, BODY_ROOM),
                          .list = calloc(size, sizeof(*desk->list)),
                          .size = size};
    xt_timestamp_format(UNIX_MS, desk->answered_at);
    if (desk->arena.memory == NULL || desk->bodies == NULL || desk->list == NULL) {
        close_desk(desk);
        (void)xt_fail(failure, XT_NO_MEMORY, "not enough memory");
        return XT_NO_MEMORY;
    }
    return XT_OK;
}

static void read_one(struct desk *desk, unsigned place, const struct xt_micro_people *people,
                     uint32_t index)
{
    const struct xt_micro_request *request = &people->requests[index];
    struct xt_verification *verification = &desk->list[place];
    uint8_t *body = desk->bodies + (size_t)place * BODY_ROOM;
    memcpy(body, people->bodies + request->offset, request->size);
    verification->partner = people->partner;
    verification->address = address;
    verification->body = body;
    verification->body_size = request->size;
    xt_verification_read(verification, desk->arena);
}

/* The id as the server makes it. */
static struct xt_span write_one(struct desk *desk, unsigned place, uint8_t *text, size_t room)
{
    char answer_id[XT_ANSWER_ID];
    uint8_t random[10];
    struct xt_writer writer = xt_writer_over(text, room);
    xt_random(random, sizeof(random));
    xt_answer_id_make(UNIX_MS, random, answer_id);
    xt_verification_write(&desk->list[place], answer_id, desk->answered_at, &writer);
    xt_require(!writer.overflow);
    return xt_written(&writer);
}

/* Requests from .. from+count-1 (at most the desk's size); gives how many are verified, adds how long the
 * answers are to *bytes. */
static uint64_t answer_group(struct desk *desk, const struct xt_micro_place *place, uint32_t from,
                             unsigned count, uint64_t *bytes)
{
    uint8_t text[XT_VERIFY_ANSWER_MAX];
    uint64_t verified = 0;
    for (unsigned i = 0; i < count; i++) {
        read_one(desk, i, place->people, from + i);
    }
    xt_timestamp_format(UNIX_MS,
                        desk->answered_at); /* once a group, as a server does once a turn */
    const struct xt_register people = {.generation = place->generation};
    xt_verifications_find(desk->list, count, &people, xt_date_of_unix_ms(UNIX_MS));
    for (unsigned i = 0; i < count; i++) {
        if (desk->list[i].problem == XT_PROBLEM_NONE) {
            *bytes += write_one(desk, i, text, sizeof(text)).size;
            verified += desk->list[i].outcome.verdict == XT_VERDICT_VERIFIED;
        }
    }
    return verified;
}

static enum xt_status run_verify(enum xt_micro_part part, const struct xt_micro_place *place,
                                 struct xt_micro_sample *sample, struct xt_failure *failure)
{
    const struct xt_micro_people *people = place->people;
    unsigned group = part == XT_MICRO_VERIFY_BATCH ? XT_TABLE_GROUP : 1;
    struct desk desk;
    uint64_t verified = 0, expected = 0, bytes = 0;
    enum xt_status status = open_desk(&desk, group, failure);
    if (status != XT_OK) {
        return status;
    }
    for (uint32_t i = 0; i < people->request_count; i++) {
        expected += people->requests[i].asked == people->requests[i].matched;
    }
    xt_micro_begin(sample);
    for (uint32_t at = 0; at < people->request_count; at += group) {
        uint32_t left = people->request_count - at;
        verified += answer_group(&desk, place, at, left < group ? left : group, &bytes);
    }
    xt_micro_end(sample, people->request_count);
    close_desk(&desk);
    return verified == expected && bytes > 0 ? XT_OK
                                             : xt_micro_wrong(failure, part, verified, expected);
}

static enum xt_status run_json_in(const struct xt_micro_people *people,
                                  struct xt_micro_sample *sample, struct xt_failure *failure)
{
    static struct xt_verify_request request;
    static struct xt_request_errors errors;
    struct desk desk;
    uint64_t right = 0;
    enum xt_status status = open_desk(&desk, 1, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < people->request_count; i++) {
        const struct xt_micro_request *source = &people->requests[i];
        memcpy(desk.bodies, people->bodies + source->offset, source->size);
        right += xt_verify_request_from_json(desk.bodies, source->size, desk.arena, &request,
                                             &errors) == XT_OK;
    }
    xt_micro_end(sample, people->request_count);
    close_desk(&desk);
    return right == people->request_count
               ? XT_OK
               : xt_micro_wrong(failure, XT_MICRO_JSON_IN, right, people->request_count);
}

static enum xt_status run_json_out(const struct xt_micro_place *place,
                                   struct xt_micro_sample *sample, struct xt_failure *failure)
{
    uint8_t text[XT_VERIFY_ANSWER_MAX];
    struct desk desk;
    uint64_t bytes = 0;
    unsigned count =
        place->people->request_count < WRITTEN ? place->people->request_count : WRITTEN;
    enum xt_status status = open_desk(&desk, count, failure);
    if (status != XT_OK) {
        return status;
    }
    (void)answer_group(&desk, place, 0, count, &bytes);
    xt_micro_begin(sample);
    for (uint32_t i = 0; i < place->people->request_count; i++) {
        bytes += write_one(&desk, i % count, text, sizeof(text)).size;
    }
    xt_micro_end(sample, place->people->request_count);
    close_desk(&desk);
    return bytes > 0 ? XT_OK : xt_micro_wrong(failure, XT_MICRO_JSON_OUT, 0, 1);
}

static bool is_right(const struct xt_verification *verification,
                     const struct xt_micro_request *request)
{
    uint32_t matched = 0;
    if (verification->problem != XT_PROBLEM_NONE ||
        verification->request.claims.asked != request->asked) {
        return false;
    }
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        bool match = verification->outcome.results[claim] == XT_RESULT_MATCH;
        matched |= match ? XT_CLAIM_BIT(claim) & request->asked : 0;
    }
    bool verified = verification->outcome.verdict == XT_VERDICT_VERIFIED;
    return matched == request->matched && verified == (request->matched == request->asked);
}

enum xt_status xt_micro_check_answers(const struct xt_micro_place *place,
                                      struct xt_failure *failure)
{
    const struct xt_micro_people *people = place->people;
    const unsigned groups[] = {1, XT_TABLE_GROUP};
    struct desk desk;
    uint64_t bytes = 0;
    enum xt_status status = open_desk(&desk, XT_TABLE_GROUP, failure);
    if (status != XT_OK) {
        return status;
    }
    for (unsigned mode = 0; status == XT_OK && mode < 2; mode++) {
        for (uint32_t at = 0; at < people->request_count && status == XT_OK; at += groups[mode]) {
            uint32_t left = people->request_count - at;
            unsigned count = left < groups[mode] ? left : groups[mode];
            (void)answer_group(&desk, place, at, count, &bytes);
            for (unsigned i = 0; i < count; i++) {
                if (!is_right(&desk.list[i], &people->requests[at + i])) {
                    status = xt_fail(failure, XT_CORRUPT,
                                     "the answer to request %u of seed %llu is wrong", at + i,
                                     (unsigned long long)xt_population_seed(people->population));
                }
            }
        }
    }
    close_desk(&desk);
    return status;
}

enum xt_status xt_micro_verify_run(enum xt_micro_part part, const struct xt_micro_place *place,
                                   struct xt_micro_sample *sample, struct xt_failure *failure)
{
    return part == XT_MICRO_JSON_IN    ? run_json_in(place->people, sample, failure)
           : part == XT_MICRO_JSON_OUT ? run_json_out(place, sample, failure)
                                       : run_verify(part, place, sample, failure);
}
