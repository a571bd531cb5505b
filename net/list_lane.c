#include "net/list_lane.h"

#include <stdio.h>

#include "core/json_document.h"
#include "crypto/keyring.h"

#define ROUNDS_MAX 8 /* a line that is told 503 that often has that as its answer */

/* ---- lines of the answer ------------------------------------------------------------------------- */

static bool refuse(struct xt_list_lane *lane, unsigned status, struct xt_span code)
{
    lane->status = status;
    (void)snprintf(lane->told, sizeof(lane->told), "%u %.*s", status, (int)code.size,
                   (const char *)code.data);
    return false;
}

/* The partner himself may not, whatever the line says. */
static bool ends_all(const struct xt_list_answer *answer)
{
    return answer->status == 401 ||
           (answer->status == 403 && (xt_span_is(answer->code, "partner_inactive") ||
                                      xt_span_is(answer->code, "network_not_permitted") ||
                                      xt_span_is(answer->code, "endpoint_not_permitted")));
}

/* The number that a line of the stream has: it must be the next. */
static bool is_next(const struct xt_list_lane *lane, struct xt_span text)
{
    char begin[40];
    int size = snprintf(begin, sizeof(begin), "{\"line\":%llu,", (unsigned long long)lane->line);
    return text.size > (size_t)size && memcmp(text.data, begin, (size_t)size) == 0;
}

static bool take_answer(struct xt_list_lane *lane, struct xt_span text, bool later)
{
    if (lane->count == 0 || !is_next(lane, text)) {
        lane->invalid = true;
        return false;
    }
    struct xt_list_piece *piece = lane->pieces[lane->first];
    if (xt_list_piece_answer(piece, later ? xt_span_of(NULL, 0) : text) != XT_OK) {
        return false;
    }
    lane->line++;
    lane->answered = lane->answered || !later;
    if (xt_list_piece_is_over(piece)) {
        xt_list_piece_take_back(piece);
        lane->first = (lane->first + 1) % XT_LIST_LANE_PIECES;
        lane->count--;
    }
    return true;
}

static bool take_line(struct xt_list_lane *lane, struct xt_span text)
{
    static const char verdict[] = "\"verdict\":\"";
    struct xt_list_answer answer;
    if (memmem(text.data, text.size, verdict, sizeof(verdict) - 1) != NULL) {
        return take_answer(lane, text, false); /* read when it is written */
    }
    if (xt_list_answer_read(text, lane->arena, &answer) != XT_OK) {
        lane->invalid = true;
        return false;
    }
    if (answer.is_summary) {
        return true;
    }
    if (ends_all(&answer)) {
        return refuse(lane, answer.status, answer.code);
    }
    bool quota = answer.status == 429;
    bool later = quota || (answer.status == 503 && lane->count > 0 &&
                           lane->pieces[lane->first]->rounds < ROUNDS_MAX);
    lane->quota = lane->quota || quota;
    lane->later = lane->later || later;
    return take_answer(lane, text, later);
}

static bool take_head(void *context, unsigned status, unsigned retry_after_s)
{
    struct xt_list_lane *lane = context;
    lane->status = status;
    lane->retry_after_s = retry_after_s;
    lane->text_size = 0;
    return true;
}

static bool take_body(void *context, struct xt_span piece)
{
    struct xt_list_lane *lane = context;
    while (piece.size > 0) {
        const uint8_t *end = lane->status == 200 ? memchr(piece.data, '\n', piece.size) : NULL;
        size_t size = end == NULL ? piece.size : (size_t)(end - piece.data);
        if (size > sizeof(lane->text) - lane->text_size) {
            lane->invalid = true;
            return false;
        }
        struct xt_span line = xt_span_of(piece.data, size);
        if (end == NULL || lane->text_size > 0) { /* a line that comes in parts is put together */
            memcpy(lane->text + lane->text_size, piece.data, size);
            lane->text_size += size;
            line = xt_span_of(lane->text, lane->text_size);
        }
        if (end == NULL) {
            return true;
        }
        lane->text_size = 0;
        if (!take_line(lane, line)) {
            return false;
        }
        piece = xt_span_of(piece.data + size + 1, piece.size - size - 1);
    }
    return true;
}

static bool take_end(void *context)
{
    struct xt_list_lane *lane = context;
    struct xt_json_document *document = NULL;
    lane->over = true;
    if (lane->status != 200 &&
        xt_json_document_parse(xt_span_of(lane->text, lane->text_size), &document, NULL) == XT_OK) {
        const struct xt_json_value *root = xt_json_document_root(document);
        (void)refuse(lane, lane->status, xt_json_text(xt_json_member_of(root, "code")));
        xt_json_document_free(document);
    }
    return true;
}

/* ---- the stream ---------------------------------------------------------------------------------- */

enum xt_status xt_list_lane_open(struct xt_list_lane *lane, const struct xt_client_server *server,
                                 struct xt_tls_context *context)
{
    char head[512];
    const struct xt_client_taker taker = {lane, take_head, take_body, take_end};
    enum xt_status status = xt_client_open(server, context, &taker, &lane->client);
    if (status != XT_OK) {
        lane->client = NULL;
        return status;
    }
    lane->line = 1;
    lane->answered = lane->ending = lane->over = lane->invalid = false;
    lane->status = lane->retry_after_s = 0;
    lane->text_size = 0;
    lane->told[0] = 0;
    int size = snprintf(head, sizeof(head),
                        "POST /v1/verify/batch HTTP/1.1\r\nHost: %s\r\n"
                        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
                        server->authority);
    xt_client_send(lane->client, xt_span_of(head, (size_t)size));
    return XT_OK;
}

bool xt_list_lane_takes(const struct xt_list_lane *lane, const struct xt_list_piece *piece)
{
    return lane->client != NULL && !lane->ending && lane->count < XT_LIST_LANE_PIECES &&
           xt_client_room(lane->client) >= xt_list_piece_bytes(piece) + 32;
}

void xt_list_lane_give(struct xt_list_lane *lane, struct xt_list_piece *piece)
{
    char head[24];
    struct xt_span request;
    int size = snprintf(head, sizeof(head), "%zx\r\n", xt_list_piece_bytes(piece));
    xt_client_send(lane->client, xt_span_of(head, (size_t)size));
    for (unsigned at = 0; xt_list_piece_next(piece, &at, &request);) {
        xt_client_send(lane->client, request);
    }
    xt_client_send(lane->client, xt_span_of("\r\n", 2));
    xt_list_piece_give(piece);
    lane->pieces[(lane->first + lane->count++) % XT_LIST_LANE_PIECES] = piece;
}

void xt_list_lane_end(struct xt_list_lane *lane)
{
    static const char last[] = "0\r\n\r\n";
    if (!lane->ending && xt_client_room(lane->client) >= sizeof(last) - 1) {
        xt_client_send(lane->client, xt_span_of(last, sizeof(last) - 1));
        lane->ending = true;
    }
}

void xt_list_lane_close(struct xt_list_lane *lane)
{
    for (; lane->count > 0; lane->count--, lane->first = (lane->first + 1) % XT_LIST_LANE_PIECES) {
        xt_list_piece_take_back(lane->pieces[lane->first]);
    }
    xt_client_close(lane->client);
    lane->client = NULL;
    xt_wipe(lane->text, sizeof(lane->text));
}

static enum xt_lane_end end_of(const struct xt_list_lane *lane, enum xt_status status)
{
    if (lane->invalid) {
        return XT_LANE_INVALID;
    }
    if (lane->over || lane->told[0] != 0) {
        unsigned code = lane->status;
        return code == 200                                 ? XT_LANE_ENDED
               : code == 408 || code == 429 || code >= 500 ? XT_LANE_BUSY
                                                           : XT_LANE_REFUSED;
    }
    return status == XT_OK        ? XT_LANE_GOES_ON
           : status == XT_DENIED  ? XT_LANE_REFUSED
           : status == XT_INVALID ? XT_LANE_INVALID
                                  : XT_LANE_BROKEN;
}

enum xt_lane_end xt_list_lane_run(struct xt_list_lane *lane, short revents)
{
    enum xt_status status = xt_client_run(lane->client, revents);
    enum xt_lane_end end = end_of(lane, status);
    if (end == XT_LANE_GOES_ON) {
        return end;
    }
    if (lane->told[0] == 0) {
        (void)snprintf(lane->told, sizeof(lane->told), "%s",
                       lane->invalid ? "what came is no answer" : xt_client_why(lane->client));
    }
    xt_list_lane_close(lane);
    return end;
}
