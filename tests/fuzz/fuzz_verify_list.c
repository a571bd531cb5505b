/* What a list, its results and a server's answers may hold: what is written of them can be read back. */
#include "net/list_columns.h"
#include "net/list_dates.h"
#include "net/list_line.h"
#include "tests/fuzz/fuzz.h"

static uint8_t memory[XT_VERIFY_ARENA];
static const struct xt_json_arena arena = {memory, sizeof(memory)};

/* As NDJSON, and as a CSV's row of two fields. */
static void check_written(struct xt_span answer, const struct xt_list_answer *read)
{
    static uint8_t text[XT_LIST_RESULT_MAX];
    static uint8_t other[XT_VERIFY_ARENA];
    const struct xt_json_arena again = {other, sizeof(other)};
    for (unsigned csv = 0; csv < 2; csv++) {
        const struct xt_list_form form = {.is_csv = csv != 0, .separator = ',', .columns = 2};
        const struct xt_list_row row = {
            .number = 7, .row = xt_span_of("a,b", 3), .fields = 2, .hints = 7};
        struct xt_list_answer written = *read;
        struct xt_list_answer back;
        struct xt_writer writer = xt_writer_over(text, sizeof(text));
        if (xt_list_line_write(&form, &row, answer, &written, &writer) != XT_OK) {
            continue;
        }
        struct xt_span line = xt_span_of(text, writer.size - 1);
        xt_require(text[writer.size - 1] == '\n' && memchr(line.data, '\n', line.size) == NULL);
        if (xt_list_line_read(&form, line, again, &back) == XT_OK) {
            xt_require(csv == 0 || read->status != 0 ||
                       (back.verified == read->verified && back.mismatched == read->mismatched));
        } else {
            xt_require(csv == 1 && read->status != 0); /* a problem without a code */
        }
    }
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_span text = xt_span_of(data, size);
    struct xt_list_request request;
    struct xt_list_answer answer;
    const struct xt_list_form form = {.is_csv = true, .separator = ';', .columns = 3};
    struct xt_date_form dates = {.order = {'d', 'm', 'y'}, .separator = '/'};
    char date[XT_DATE_TEXT_MAX];
    size_t length = 0;
    if (xt_list_request_read(text, arena, &request) == XT_OK) {
        xt_require(request.id.size <= size && request.phone.size <= size);
    }
    if (memchr(data, '\n', size) == NULL && xt_list_answer_read(text, arena, &answer) == XT_OK &&
        !answer.is_summary) {
        check_written(text, &answer);
    }
    (void)!xt_list_line_read(&form, text, arena, &answer);
    if (xt_date_form_read(&dates, text, date, &length) == XT_OK) {
        xt_date read;
        xt_require(xt_date_parse(xt_span_of(date, length), &read) == XT_OK);
    }
}
