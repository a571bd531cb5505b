/* tests/net/feed: a request of lines that stays open: lines go out and answers come in, one by one. */
#ifndef XT_TESTS_NET_FEED_H
#define XT_TESTS_NET_FEED_H

#include "tests/net/deployment.h"

#define FEED_LINE_MAX 2048

struct feed {
    struct test_client *client;
    char raw[1U << 16]; /* received, not looked at */
    size_t raw_at, raw_size;
    size_t chunk_left; /* of the chunk under way */
    bool ended;        /* the last chunk has come */
};

/* Sends the head of a chunked POST, and reads the head of its answer. Fails the test unless that is 200. */
void feed_open(struct feed *feed, struct test_client *client, const char *target);
/* One chunk with these bytes; false: the connection is gone. */
bool feed_send(struct feed *feed, const char *text);
/* The last chunk. */
void feed_end(struct feed *feed);
/* The next line of the answer, without its line feed; false: the answer, or the connection, has ended. */
bool feed_line(struct feed *feed, char line[FEED_LINE_MAX]);

#endif
