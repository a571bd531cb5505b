#include "net/list_piece.h"

static enum xt_status keep(struct xt_memory *memory, struct xt_span text, uint32_t *at,
                           uint32_t *size)
{
    uint8_t *place = NULL;
    *at = (uint32_t)memory->size;
    *size = (uint32_t)text.size;
    enum xt_status status = text.size == 0 ? XT_OK : xt_memory_extend(memory, text.size, &place);
    if (status == XT_OK && text.size > 0) {
        memcpy(place, text.data, text.size);
    }
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum xt_status add_line(struct xt_list_piece *piece, const struct xt_list_item *item)
{
    struct xt_list_line *line = &piece->lines[piece->count];
    uint32_t none;
    *line = (struct xt_list_line){.row = {.number = item->number,
                                          .code = item->code,
                                          .fields = item->fields,
                                          .hints = xt_list_hints(item)},
                                  .answered = item->code != NULL};
    enum xt_status status = keep(&piece->rows, item->row, &line->row_at, &line->row_size);
    if (status == XT_OK && item->code == NULL) {
        status = keep(&piece->requests, item->request, &line->request_at, &line->request_size);
    }
    if (status == XT_OK && item->code == NULL) {
        status = keep(&piece->requests, xt_span_of("\n", 1), &none, &none);
        line->request_size++;
    }
    piece->count++;
    piece->answered += line->answered;
    return status;
}

enum xt_status xt_list_piece_fill(struct xt_list_piece *piece, struct xt_list_input *input,
                                  struct xt_failure *failure)
{
    struct xt_list_item item;
    enum xt_status status = XT_OK;
    piece->rows.size = piece->requests.size = piece->answers.size = 0;
    piece->count = piece->answered = piece->written = piece->rounds = 0;
    while (piece->count < XT_LIST_PIECE_LINES && piece->requests.size < XT_LIST_PIECE_BYTES) {
        status = xt_list_input_next(input, &item, failure);
        if (status == XT_OK && add_line(piece, &item) != XT_OK) {
            status = xt_fail(failure, XT_NO_MEMORY, "out of memory");
        }
        if (status != XT_OK) {
            break;
        }
    }
    if (status == XT_CLOSED && piece->count > 0) {
        status = XT_OK;
    }
    piece->filled = status == XT_OK;
    return status;
}

/* ---- asking ------------------------------------------------------------------------------------- */

size_t xt_list_piece_bytes(const struct xt_list_piece *piece)
{
    size_t bytes = 0;
    struct xt_span request;
    for (unsigned at = 0; xt_list_piece_next(piece, &at, &request);) {
        bytes += request.size;
    }
    return bytes;
}

bool xt_list_piece_next(const struct xt_list_piece *piece, unsigned *at, struct xt_span *request)
{
    while (*at < piece->count && piece->lines[*at].answered) {
        ++*at;
    }
    if (*at == piece->count) {
        return false;
    }
    const struct xt_list_line *line = &piece->lines[(*at)++];
    *request = xt_span_of(piece->requests.data + line->request_at, line->request_size);
    return true;
}

static void move_cursor(struct xt_list_piece *piece, unsigned from)
{
    while (from < piece->count && piece->lines[from].answered) {
        from++;
    }
    piece->cursor = from;
}

void xt_list_piece_give(struct xt_list_piece *piece)
{
    piece->given = true;
    piece->rounds++;
    move_cursor(piece, 0);
}

void xt_list_piece_take_back(struct xt_list_piece *piece)
{
    piece->given = false;
}

enum xt_status xt_list_piece_answer(struct xt_list_piece *piece, struct xt_span answer)
{
    struct xt_list_line *line = &piece->lines[piece->cursor];
    xt_require(piece->given && !xt_list_piece_is_over(piece));
    if (answer.size > 0) {
        enum xt_status status = keep(&piece->answers, answer, &line->answer_at, &line->answer_size);
        if (status != XT_OK) {
            return status;
        }
        line->answered = true;
        piece->answered++;
    }
    move_cursor(piece, piece->cursor + 1);
    return XT_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

enum xt_status xt_list_piece_write(struct xt_list_piece *piece, struct xt_list_results *results,
                                   struct xt_json_arena arena, struct xt_failure *failure)
{
    while (piece->written < piece->count && piece->lines[piece->written].answered) {
        struct xt_list_line *line = &piece->lines[piece->written];
        struct xt_list_answer read;
        struct xt_span answer = xt_span_of(NULL, 0);
        line->row.row = xt_span_of(piece->rows.data + line->row_at, line->row_size);
        if (line->row.code == NULL) {
            answer = xt_span_of(piece->answers.data + line->answer_at, line->answer_size);
            if (xt_list_answer_read(answer, arena, &read) != XT_OK) {
                return xt_fail(failure, XT_INVALID, "the server's answer to line %llu is none",
                               (unsigned long long)line->row.number);
            }
        }
        enum xt_status status = xt_list_results_add(results, &line->row, answer, &read, failure);
        if (status != XT_OK) {
            return status;
        }
        piece->written++;
    }
    piece->filled = piece->written < piece->count;
    return XT_OK;
}

void xt_list_piece_release(struct xt_list_piece *piece)
{
    xt_memory_free(&piece->rows);
    xt_memory_free(&piece->requests);
    xt_memory_free(&piece->answers);
}
