/* net/list_lane: one stream of a list's lines to POST /v1/verify/batch, on a connection of its own.
 *
 *   closed --open--> open --give pieces--> ... --end--> ending --its answer is over--> closed
 *     ^                                       broken at any moment                        |
 *     +---- what was not answered has been taken back; xt_list_lane_run told why ---------+
 *
 * Thread: one. Memory: a connection's (net/client), and a line of its answer.
 */
#ifndef XT_NET_LIST_LANE_H
#define XT_NET_LIST_LANE_H

#include "net/client.h"
#include "net/list_piece.h"

#define XT_LIST_LANE_PIECES 4

/* Why a stream is over, or XT_LANE_GOES_ON. */
enum xt_lane_end {
    XT_LANE_GOES_ON,
    XT_LANE_ENDED,   /* as it should; not all of it may have been read when the server stops */
    XT_LANE_BUSY,    /* the server is, or may be later: 429, 503 and the like */
    XT_LANE_BROKEN,  /* no connection, or it broke */
    XT_LANE_REFUSED, /* for good: told says why */
    XT_LANE_INVALID  /* what came is no answer */
};

struct xt_list_lane {
    struct xt_client *client; /* NULL: closed */
    struct xt_list_piece *pieces[XT_LIST_LANE_PIECES];
    unsigned first, count;
    uint64_t line; /* of the stream: the one that is answered next */
    bool answered; /* a line of this stream was */
    bool ending, over, invalid;
    unsigned status, retry_after_s;
    bool quota, later; /* lines were told so since the caller took it away */
    size_t text_size;  /* of a line of the answer, or of a refusal */
    uint8_t text[2 * XT_VERIFY_ANSWER_MAX];
    char told[256];             /* status and code of a refusal */
    struct xt_json_arena arena; /* the caller's */
};

XT_MUST_USE enum xt_status xt_list_lane_open(struct xt_list_lane *lane,
                                             const struct xt_client_server *server,
                                             struct xt_tls_context *context);
bool xt_list_lane_takes(const struct xt_list_lane *lane, const struct xt_list_piece *piece);
void xt_list_lane_give(struct xt_list_lane *lane, struct xt_list_piece *piece);
/* No more pieces. */
void xt_list_lane_end(struct xt_list_lane *lane);
/* After poll. Anything but XT_LANE_GOES_ON: it is closed. */
enum xt_lane_end xt_list_lane_run(struct xt_list_lane *lane, short revents);
/* Gives it up. */
void xt_list_lane_close(struct xt_list_lane *lane);

#endif
