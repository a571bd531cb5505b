#include "core/link_line.h"
#include "store/crew.h"
#include "store/generation_internal.h"
#include "store/links_internal.h"

struct reading {
    const struct xt_linking *linking;
    struct xt_link_columns columns; /* of a CSV; set before any lane sees a line */
    struct xt_spill_writer *writers[XT_CREW_MAX];
};

static enum xt_status read_header(void *context, const struct xt_span *fields, unsigned count,
                                  struct xt_reject *reject)
{
    struct reading *reading = context;
    return xt_link_csv_header(fields, count, &reading->columns, reject);
}

static enum xt_status take_line(void *context, const struct xt_import_line *line,
                                struct xt_reject *reject, struct xt_failure *failure)
{
    struct reading *reading = context;
    struct xt_link_line read;
    enum xt_status status = line->fields == NULL
                                ? xt_link_line_from_json(line->text, line->arena, &read, reject)
                                : xt_link_line_from_csv(&reading->columns, line->fields,
                                                        line->field_count, &read, reject);
    if (status == XT_OK) {
        const struct xt_generation *generation = reading->linking->compaction.generation;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = read.number};
        status = xt_spill_add(reading->writers[line->lane],
                              xt_key_hash(generation->hash_key, id).high, read.number, line->number,
                              0, xt_span_of(&read.link, sizeof(read.link)), failure);
        xt_wipe(&read, sizeof(read));
    }
    return status;
}

enum xt_status xt_links_read(struct xt_linking *linking, const struct xt_import_input *input,
                             uint64_t *lines)
{
    struct reading reading = {.linking = linking};
    struct xt_import_taker taker = {.context = &reading,
                                    .lanes = xt_builder_lanes(linking->compaction.builder),
                                    .what = "document",
                                    .column = "type",
                                    .header = read_header,
                                    .take = take_line};
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < taker.lanes && status == XT_OK; i++) {
        status = xt_spill_writer_open(linking->spill, &reading.writers[i], linking->failure);
    }
    if (status == XT_OK) {
        status = xt_import_read(input, &taker, linking->rejects, lines, linking->failure);
    }
    for (unsigned i = 0; i < taker.lanes; i++) {
        if (status == XT_OK) {
            status = xt_spill_flush(reading.writers[i], linking->failure);
        }
        xt_spill_writer_close(reading.writers[i]);
    }
    return status;
}
