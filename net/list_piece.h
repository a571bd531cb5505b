/* net/list_piece: some lines of a list on their way: read, asked, answered, written.
 *
 *   fill --> give_text (lines without an answer) --> answer, later, ... in their order --> write
 *                 ^------------ lines that are to be asked again -----------+
 *
 * Memory: what its lines need; out of core dumps, wiped. Thread: one.
 */
#ifndef XT_NET_LIST_PIECE_H
#define XT_NET_LIST_PIECE_H

#include "net/list_results.h"
#include "store/memory.h"

#define XT_LIST_PIECE_LINES 256
/* Bytes of requests that it is filled up to; one line may go beyond. */
#define XT_LIST_PIECE_BYTES (48U << 10)
#define XT_LIST_PIECE_MAX (XT_LIST_PIECE_BYTES + XT_LIST_REQUEST_MAX + XT_LIST_PIECE_LINES)

struct xt_list_line {
    struct xt_list_row row; /* row.row is filled in when it is written */
    uint32_t row_at, row_size, request_at, request_size, answer_at, answer_size;
    bool answered;
};

struct xt_list_piece {
    bool filled, given; /* given: on a connection */
    unsigned count, answered, written;
    unsigned cursor; /* the line that the next answer is of */
    unsigned rounds; /* how often it was given */
    struct xt_memory rows, requests, answers;
    struct xt_list_line lines[XT_LIST_PIECE_LINES];
};

/* The next lines. XT_CLOSED: there are none. */
XT_MUST_USE enum xt_status xt_list_piece_fill(struct xt_list_piece *piece,
                                              struct xt_list_input *input,
                                              struct xt_failure *failure);
/* Bytes of the lines without an answer, with their line feeds. */
size_t xt_list_piece_bytes(const struct xt_list_piece *piece);
/* Each of them in turn, from *at = 0 on, with its line feed; false: there is none. */
bool xt_list_piece_next(const struct xt_list_piece *piece, unsigned *at, struct xt_span *request);
/* They have been given to a connection; or it is gone. */
void xt_list_piece_give(struct xt_list_piece *piece);
void xt_list_piece_take_back(struct xt_list_piece *piece);
/* The answer to the line at the cursor; size 0: it is to be asked again, later. */
XT_MUST_USE enum xt_status xt_list_piece_answer(struct xt_list_piece *piece, struct xt_span answer);
/* All lines that were given have been answered. */
static inline bool xt_list_piece_is_over(const struct xt_list_piece *piece)
{
    return piece->cursor == piece->count;
}

/* Writes the results of its first lines that are answered; it is not filled any more once all are. */
XT_MUST_USE enum xt_status xt_list_piece_write(struct xt_list_piece *piece,
                                               struct xt_list_results *results,
                                               struct xt_json_arena arena,
                                               struct xt_failure *failure);
void xt_list_piece_release(struct xt_list_piece *piece);

#endif
