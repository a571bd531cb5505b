/* net/stream: a body of lines (NDJSON) of any length that is answered line by line while it comes, in
 * constant memory: POST /v1/events, POST /v1/verify/batch.
 *
 *   window of the body --lines--> take_line, take_line, ... work --> answers that are due, in the order of
 *                                    |  false: no room now             the lines --> chunks of the answer
 *                                    +-- answers come later: wake
 *
 * A route's handler opens one (struct xt_answer.stream) in place of a body. From then on the exchange gives
 * it lines, and writes what it has due, until the body has ended and every line is answered; then its
 * summary ends the answer. Nothing is read while it takes no line or its client takes no answer.
 * A blank line is counted as a line and not answered. A line of more bytes than limits.body_bytes is told
 * as XT_STREAM_TOO_LONG. Without a line taken that is not blank, or an answer written for limits.stream_timeout it is given up: what the
 * lines wait for, or else the connection.
 * Thread: the loop's. No socket, no clock.
 */
#ifndef XT_NET_STREAM_H
#define XT_NET_STREAM_H

#include "core/span.h"
#include "core/status.h"

/* Lines of one stream that are taken in one turn of the loop, where nobody says otherwise; others come next. */
#define XT_STREAM_LINES_PER_TURN 256
/* Bytes that a writer has at least when answers are asked for: any one answer, and the summary. */
#define XT_STREAM_ANSWER_MAX 2048

struct xt_stream;

struct xt_stream_kind {
    /* Its lines cost work of this loop: they are taken after every request of a turn was answered, as many as
     * the time that is left is for, and every such stream has the same (net/connection_turn). */
    bool yields;
    /* A line without its end, never blank, and its number; the bytes, and the four after them until work is
     * over, may be changed, and are gone after work. too_long: it is not there, and size 0. false: no room now: it is offered again. */
    bool (*take_line)(struct xt_stream *stream, uint64_t number, uint8_t *line, size_t size,
                      bool too_long);
    /* The lines taken since the last time may be worked on together. Always called after take_line, and
     * after a wake. */
    void (*work)(struct xt_stream *stream);
    /* Whether the oldest line taken can be answered now; whether any waits for its answer or can be. */
    bool (*is_due)(const struct xt_stream *stream);
    bool (*is_busy)(const struct xt_stream *stream);
    /* Writes the oldest line's answer and its line feed, XT_STREAM_ANSWER_MAX at most, and forgets it; and those of
     * the next lines, where there is room for them. */
    void (*write)(struct xt_stream *stream, struct xt_writer *writer);
    /* unread: the body did not end, but the connection does. */
    void (*summarize)(struct xt_stream *stream, bool unread, struct xt_writer *writer);
    /* Nothing has moved for too long: answers what it can; false: it waits for nothing. */
    bool (*give_up)(struct xt_stream *stream);
    /* Exactly once, also when the client has gone. */
    void (*close)(struct xt_stream *stream);
};

struct xt_stream {
    const struct xt_stream_kind *kind;
    uint64_t lines; /* begun so far, blank ones too */
    uint64_t blank; /* of them */
    bool skipping;  /* in a line that is too long */
    bool no_room;   /* take_line has said so, and nothing was told since */
    bool over;      /* its kind takes no more lines: it ends when those taken are answered */
    void (*wake)(void *context); /* the exchange is to be run; NULL: nobody waits */
    void *context;
};

/* Gives it the lines in data, at most `most`. ended: nothing follows, so the last needs no line feed. full:
 * the window can hold no more, so a line that has no end in it is too long. Gives how many bytes were
 * used; *taken how many lines. */
size_t xt_stream_feed(struct xt_stream *stream, uint8_t *data, size_t size, bool ended, bool full,
                      unsigned most, unsigned *taken);

/* From whoever has an answer for it: it is to be looked at soon. */
void xt_stream_wake(struct xt_stream *stream);

#endif
