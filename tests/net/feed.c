#include "tests/net/feed.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* The next byte as received; -1: there is none any more. */
static int take_raw(struct feed *feed)
{
    if (feed->raw_at == feed->raw_size) {
        long got = test_client_receive(feed->client, feed->raw, sizeof(feed->raw));
        if (got <= 0) {
            return -1;
        }
        feed->raw_at = 0;
        feed->raw_size = (size_t)got;
    }
    return (unsigned char)feed->raw[feed->raw_at++];
}

/* Up to and without CR LF. */
static bool take_text(struct feed *feed, char *text, size_t size)
{
    size_t at = 0;
    for (int byte; (byte = take_raw(feed)) >= 0;) {
        if (byte == '\n') {
            text[at] = '\0';
            return true;
        }
        assert_true(at < size - 1);
        if (byte != '\r') {
            text[at++] = (char)byte;
        }
    }
    return false;
}

void feed_open(struct feed *feed, struct test_client *client, const char *target)
{
    char text[1024];
    *feed = (struct feed){.client = client};
    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
             "Transfer-Encoding: chunked\r\n\r\n",
             target);
    assert_true(test_client_send_text(client, text));
    assert_true(take_text(feed, text, sizeof(text)));
    assert_string_equal(text, "HTTP/1.1 200 OK");
    do {
        assert_true(take_text(feed, text, sizeof(text)));
    } while (text[0] != '\0');
}

bool feed_send(struct feed *feed, const char *text)
{
    char head[32];
    size_t size = strlen(text);
    char *chunk = malloc(size + sizeof(head));
    assert_non_null(chunk);
    int length = snprintf(chunk, size + sizeof(head), "%zx\r\n%s\r\n", size, text);
    bool sent = test_client_send(feed->client, chunk, (size_t)length);
    free(chunk);
    return sent;
}

void feed_end(struct feed *feed)
{
    assert_true(test_client_send_text(feed->client, "0\r\n\r\n"));
}

/* The next byte of the answer's content. */
static int take(struct feed *feed)
{
    char text[32];
    if (feed->chunk_left == 0 && !feed->ended) {
        if (!take_text(feed, text, sizeof(text))) {
            return -1;
        }
        feed->chunk_left = strtoul(text, NULL, 16);
        feed->ended = feed->chunk_left == 0;
        if (feed->ended) {
            assert_true(take_text(feed, text, sizeof(text)));
        }
    }
    if (feed->ended) {
        return -1;
    }
    int byte = take_raw(feed);
    feed->chunk_left--;
    if (feed->chunk_left == 0 && byte >= 0) {
        assert_true(take_text(feed, text, sizeof(text)));
    }
    return byte;
}

bool feed_line(struct feed *feed, char line[FEED_LINE_MAX])
{
    size_t at = 0;
    for (int byte; (byte = take(feed)) >= 0;) {
        if (byte == '\n') {
            line[at] = '\0';
            return true;
        }
        assert_true(at < FEED_LINE_MAX - 1);
        line[at++] = (char)byte;
    }
    return false;
}
