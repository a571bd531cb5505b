#include "bench/ldap.h"

#include <stdlib.h>

#include "bench/peers_people.h"
#include "bench/resident_text.h"
#include "core/province.h"
#include "core/request.h"

/* Tags, RFC 4511 section 4 and X.690 section 8. */
#define SEQUENCE 0x30U
#define INTEGER 0x02U
#define OCTET_STRING 0x04U
#define ENUMERATED 0x0aU
#define COMPARE_REQUEST 0x6eU
#define COMPARE_RESPONSE 0x6fU

/* Result codes. */
#define COMPARE_FALSE 5
#define COMPARE_TRUE 6
#define NO_SUCH_ATTRIBUTE 16
#define NO_SUCH_OBJECT 32

/* ---- writing ---- */

static size_t length_size(size_t length)
{
    return length < 0x80 ? 1 : length < 0x100 ? 2 : 3;
}

static size_t whole(size_t content)
{
    return 1 + length_size(content) + content;
}

static void write_head(struct xt_writer *writer, unsigned tag, size_t length)
{
    xt_require(length < 0x10000);
    xt_write_byte(writer, (uint8_t)tag);
    if (length >= 0x80) {
        xt_write_byte(writer, length < 0x100 ? 0x81 : 0x82);
    }
    if (length >= 0x100) {
        xt_write_byte(writer, (uint8_t)(length >> 8));
    }
    xt_write_byte(writer, (uint8_t)length);
}

static void write_octets(struct xt_writer *writer, struct xt_span octets)
{
    write_head(writer, OCTET_STRING, octets.size);
    xt_write_span(writer, octets);
}

void xt_ldap_write_compare(struct xt_writer *writer, unsigned message_id, struct xt_span entry,
                           struct xt_span attribute, struct xt_span value)
{
    size_t assertion = whole(attribute.size) + whole(value.size);
    size_t request = whole(entry.size) + whole(assertion);
    xt_require(message_id > 0 && message_id < 0x80);
    write_head(writer, SEQUENCE, 3 + whole(request));
    write_head(writer, INTEGER, 1);
    xt_write_byte(writer, (uint8_t)message_id);
    write_head(writer, COMPARE_REQUEST, request);
    write_octets(writer, entry);
    write_head(writer, SEQUENCE, assertion);
    write_octets(writer, attribute);
    write_octets(writer, value);
}

/* ---- reading ---- */

/* Takes a tag and a length off the front of *input and gives the content, which may be cut off: then
 * XT_AGAIN. Definite lengths only (RFC 4511 5.1), of at most XT_LDAP_ANSWER_MAX. */
static enum xt_status take(struct xt_span *input, unsigned tag, struct xt_span *content)
{
    size_t head = 2;
    if (input->size == 0) {
        return XT_AGAIN;
    }
    if (input->data[0] != tag) {
        return XT_INVALID;
    }
    if (input->size < 2) {
        return XT_AGAIN;
    }
    size_t length = input->data[1];
    if (length >= 0x80) { /* OpenLDAP writes four bytes of length where one would do */
        size_t bytes = length & 0x7f;
        if (bytes == 0 || bytes > 4) {
            return XT_INVALID;
        }
        if (input->size < 2 + bytes) {
            return XT_AGAIN;
        }
        length = 0;
        for (size_t i = 0; i < bytes; i++) {
            length = length << 8 | input->data[2 + i];
        }
        head += bytes;
    }
    if (length > XT_LDAP_ANSWER_MAX) {
        return XT_INVALID;
    }
    if (input->size - head < length) {
        return XT_AGAIN;
    }
    *content = xt_span_of(input->data + head, length);
    *input = xt_span_of(input->data + head + length, input->size - head - length);
    return XT_OK;
}

/* Of a message that is all there: what is cut off within it is malformed. */
static bool take_inner(struct xt_span *input, unsigned tag, struct xt_span *content)
{
    return take(input, tag, content) == XT_OK;
}

/* One answer; gives its claim and result code. */
static bool read_answer(struct xt_span message, unsigned *claim, unsigned *code, const char **why)
{
    struct xt_span id;
    struct xt_span response;
    struct xt_span field;
    *why = "no LDAP message";
    if (!take_inner(&message, INTEGER, &id) || id.size != 1) {
        return false;
    }
    *why = "no answer to a compare";
    if (!take_inner(&message, COMPARE_RESPONSE, &response) ||
        !take_inner(&response, ENUMERATED, &field) || field.size != 1) {
        return false;
    }
    *code = field.data[0];
    for (unsigned i = 0; i < 2; i++) { /* matchedDN, diagnosticMessage */
        if (!take_inner(&response, OCTET_STRING, &field)) {
            return false;
        }
    }
    *why = "answer to another message";
    *claim = id.data[0] - 1U; /* 0 is a notice of the server's own */
    return id.data[0] > 0 && *claim < XT_CLAIM_COUNT;
}

enum xt_status xt_ldap_read_answers(struct xt_span input, uint32_t asked, uint32_t *matched,
                                    size_t *size, const char **why)
{
    size_t before = input.size;
    uint32_t told = 0;
    *matched = 0;
    while (told != asked) {
        struct xt_span message;
        unsigned claim;
        unsigned code;
        enum xt_status status = take(&input, SEQUENCE, &message);
        if (status != XT_OK) {
            *why = "no LDAP message";
            return status;
        }
        if (!read_answer(message, &claim, &code, why)) {
            return XT_INVALID;
        }
        uint32_t bit = XT_CLAIM_BIT(claim);
        if ((asked & bit) == 0 || (told & bit) != 0) {
            *why = "answer to another message";
            return XT_INVALID;
        }
        if (code != COMPARE_TRUE && code != COMPARE_FALSE && code != NO_SUCH_ATTRIBUTE &&
            code != NO_SUCH_OBJECT) {
            *why = "result code of a failure";
            return XT_INVALID;
        }
        told |= bit;
        *matched |= code == COMPARE_TRUE ? bit : 0;
    }
    *size = before - input.size;
    return XT_OK;
}

/* ---- the workload ---- */

static void write_name(struct xt_writer *writer, const struct xt_name *name)
{
    char text[XT_NAME_DISPLAY_MAX];
    char folded[XT_FOLD_MAX];
    size_t size = xt_name_display(name, text, sizeof(text));
    size = xt_peers_fold(xt_span_of(text, size), folded);
    xt_write(writer, folded, size);
}

static void write_value(struct xt_writer *writer, const struct xt_claims *claims,
                        enum xt_claim claim)
{
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        write_name(writer, &claims->full_name);
        return;
    case XT_CLAIM_DATE_OF_BIRTH:
        xt_write_date(writer, claims->date_of_birth);
        return;
    case XT_CLAIM_SEX:
        xt_write_string(writer, claims->sex == XT_SEX_FEMALE ? "female" : "male");
        return;
    case XT_CLAIM_PHONE:
        xt_write_decimal(writer, claims->phone, 9);
        return;
    case XT_CLAIM_CARD_ISSUED_ON:
        xt_write_date(writer, claims->card_issued_on);
        return;
    case XT_CLAIM_CARD_EXPIRES_ON:
        xt_write_date(writer, claims->card_expires_on);
        return;
    case XT_CLAIM_OLD_ID:
        xt_write_decimal(writer, claims->old_id.value,
                         claims->old_id.kind == XT_ID_CMND ? XT_CMND_DIGITS : XT_NUMBER_DIGITS);
        return;
    default: /* documents are not asked for: people have none here */
        xt_write_decimal(writer, xt_province_at(claims->province)->code, 3);
        return;
    }
}

static void write_verify(struct xt_writer *writer, const struct xt_verify_request *request,
                         const struct xt_resident *person)
{
    char text[64];
    char value[XT_FOLD_MAX];
    struct xt_writer entry = xt_writer_over(text, sizeof(text));
    bool by_number = request->id.kind == XT_ID_PERSONAL || person != NULL;
    xt_write_literal(&entry, "xtNumber=");
    xt_write_decimal(&entry, person != NULL ? person->number : request->id.value,
                     by_number ? XT_NUMBER_DIGITS : XT_CMND_DIGITS);
    xt_write_literal(&entry, "," XT_PEERS_LDAP_SUFFIX);
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if ((request->claims.asked & XT_CLAIM_BIT(claim)) != 0) {
            struct xt_writer said = xt_writer_over(value, sizeof(value));
            write_value(&said, &request->claims, (enum xt_claim)claim);
            xt_require(!said.overflow);
            xt_ldap_write_compare(writer, claim + 1, xt_written(&entry),
                                  xt_span_of_string(xt_peers_attribute((enum xt_claim)claim)),
                                  xt_written(&said));
        }
    }
}

static void make_one(const struct xt_request_plan *plan, unsigned index, struct xt_json_arena arena,
                     struct xt_workload *workload)
{
    struct xt_generated_request made;
    struct xt_verify_request parsed;
    struct xt_request_errors errors;
    struct xt_resident person;
    uint8_t body[XT_REQUEST_BODY_MAX + 16];
    struct xt_workload_request *request = &workload->requests[index];
    struct xt_writer writer =
        xt_writer_over(workload->wire + workload->wire_size, XT_WORKLOAD_WIRE_MAX);
    xt_request_make(plan, index, &made);
    memcpy(body, made.body, made.body_size);
    memset(body + made.body_size, 0, 16);
    /* The generator's requests are well formed. */
    xt_require(xt_verify_request_from_json(body, made.body_size, arena, &parsed, &errors) == XT_OK);
    bool renamed = made.kind == XT_REQUEST_VARIANT;
    if (renamed) {
        xt_population_person(plan->population, made.person, &person);
    }
    write_verify(&writer, &parsed, renamed ? &person : NULL);
    xt_require(!writer.overflow && made.asked == parsed.claims.asked);
    *request = (struct xt_workload_request){.offset = (uint32_t)workload->wire_size,
                                            .size = (uint32_t)writer.size,
                                            .index = index,
                                            .asked = (uint16_t)made.asked,
                                            .matched = (uint16_t)made.matched,
                                            .check = true};
    workload->wire_size += writer.size;
}

enum xt_status xt_ldap_workload_make(const struct xt_load_options *options,
                                     struct xt_workload *workload, struct xt_failure *failure)
{
    struct xt_population *population = NULL;
    struct xt_request_plan plan;
    struct xt_json_arena arena = {malloc(XT_VERIFY_ARENA), XT_VERIFY_ARENA};
    *workload = (struct xt_workload){.ldap = true, .count = options->requests};
    workload->requests = calloc(options->requests, sizeof(*workload->requests));
    size_t capacity = 0;
    enum xt_status status = xt_population_open(options->seed, options->count, &population);
    if (arena.memory == NULL || workload->requests == NULL) {
        status = XT_NO_MEMORY;
    }
    if (status == XT_OK) {
        xt_request_plan_defaults(&plan, population);
        plan.purpose = options->purpose != NULL ? options->purpose : plan.purpose;
    }
    if (status == XT_OK && options->mix != NULL) {
        status = xt_request_plan_set_mix(&plan, options->mix, failure);
    }
    for (unsigned index = 0; status == XT_OK && index < options->requests; index++) {
        if (capacity - workload->wire_size < XT_WORKLOAD_WIRE_MAX) {
            capacity = 2 * capacity + (1U << 20);
            uint8_t *wire = capacity > UINT32_MAX ? NULL : realloc(workload->wire, capacity);
            if (wire == NULL) {
                status = XT_NO_MEMORY;
                break;
            }
            workload->wire = wire;
        }
        make_one(&plan, index, arena, workload);
    }
    free(arena.memory);
    xt_population_close(population);
    if (status != XT_OK) {
        xt_workload_free(workload);
        return status == XT_NO_MEMORY ? xt_fail(failure, status, "not enough memory for requests")
                                      : status;
    }
    return XT_OK;
}
