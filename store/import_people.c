#include "store/import_people.h"

#include "crypto/holder_check.h"
#include "store/memory.h"

struct taking {
    struct xt_builder *builder;
    struct xt_person_columns columns; /* of a CSV; set before any lane sees a line */
    struct xt_memory memory;
    struct xt_person *people; /* one a lane, filled millions of times */
};

static enum xt_status read_header(void *context, const struct xt_span *fields, unsigned count,
                                  struct xt_reject *reject)
{
    struct taking *taking = context;
    return xt_person_csv_header(fields, count, &taking->columns, reject);
}

static enum xt_status take_line(void *context, const struct xt_import_line *line,
                                struct xt_reject *reject, struct xt_failure *failure)
{
    struct taking *taking = context;
    struct xt_person *person = &taking->people[line->lane];
    enum xt_status status =
        line->fields == NULL
            ? xt_person_from_json(line->text, line->arena, person, reject)
            : xt_person_from_csv(&taking->columns, line->fields, line->field_count, person, reject);
    unsigned which;
    if (status == XT_OK && xt_holder_check_person(person, &which) != XT_OK) {
        const char *card = line->fields == NULL ? "/card/public_key" : "/card.public_key";
        status = xt_holder_reject(which, "", card, reject);
    }
    return status == XT_OK
               ? xt_builder_add(taking->builder, line->lane, person, line->number, failure)
               : status;
}

enum xt_status xt_import_people(const struct xt_import_input *input, struct xt_builder *builder,
                                struct xt_rejects *rejects, uint64_t *people,
                                struct xt_failure *failure)
{
    struct taking taking = {.builder = builder};
    struct xt_import_taker taker = {.context = &taking,
                                    .lanes = xt_builder_lanes(builder),
                                    .what = "person",
                                    .column = "full_name",
                                    .header = read_header,
                                    .take = take_line};
    uint8_t *place = NULL;
    enum xt_status status =
        xt_memory_extend(&taking.memory, taker.lanes * sizeof(struct xt_person), &place);
    if (status != XT_OK) {
        return xt_fail(failure, status, "out of memory");
    }
    taking.people = (struct xt_person *)(void *)place;
    status = xt_import_read(input, &taker, rejects, people, failure);
    xt_memory_free(&taking.memory);
    return status;
}
