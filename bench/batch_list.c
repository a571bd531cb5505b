#include "bench/batch_list.h"

#include <stdio.h>

#include "store/background.h"

#define CHUNK_BYTES 15360 /* with its head, one record of TLS */
#define OUTPUT_MOST 49152 /* of ciphertext waiting: then the socket is waited for */

/* ---- sending ------------------------------------------------------------------------------------ */

static bool write_all(struct xt_batch_list *list, struct xt_span data)
{
    size_t taken = 0;
    return xt_tls_write(list->wire->tls, data, &taken) == XT_OK;
}

bool xt_batch_list_begin(struct xt_batch_list *list)
{
    list->wire->more = true;
    return write_all(list, xt_span_of_string("POST /v1/verify/batch HTTP/1.1\r\nHost: localhost\r\n"
                                             "Content-Type: application/x-ndjson\r\n"
                                             "Transfer-Encoding: chunked\r\n\r\n"));
}

/* The next lines, at most a chunk; false: the connection is gone. */
static bool send_chunk(struct xt_batch_list *list)
{
    static uint8_t chunk[CHUNK_BYTES + 32];
    size_t size = 8;
    bool over = list->ended;
    xt_background_yield();
    while (!over) {
        struct xt_span line = xt_batch_people_line(list->people, list->first + list->sent);
        if (size + line.size + 2 > CHUNK_BYTES) {
            break;
        }
        memcpy(chunk + size, line.data, line.size);
        size += line.size;
        list->sent++;
        over = list->most > 0 && list->sent == list->most;
    }
    bool fine = true;
    if (size > 8) {
        char head[16];
        (void)snprintf(head, sizeof(head), "%06x\r\n", (unsigned)(size - 8) & 0xffffffU);
        memcpy(chunk, head, 8);
        memcpy(chunk + size, "\r\n", 2);
        fine = write_all(list, xt_span_of(chunk, size + 2));
    }
    if (fine && over) {
        fine = write_all(list, xt_span_of_string("0\r\n\r\n"));
        list->wire->more = false;
    }
    return fine;
}

/* What the socket takes. */
bool xt_batch_list_send(struct xt_batch_list *list)
{
    struct xt_wire *wire = list->wire;
    do {
        while (wire->more && xt_tls_output(wire->tls).size < OUTPUT_MOST) {
            if (!send_chunk(list)) {
                return false;
            }
        }
        if (!xt_wire_flush(wire, false)) {
            return false;
        }
    } while (wire->more && xt_tls_output(wire->tls).size == 0);
    return true;
}

/* ---- answers ------------------------------------------------------------------------------------ */

static void take_answer(struct xt_batch_list *list, uint8_t *line, size_t size)
{
    static const char summary[] = "{\"summary\":";
    if (size > sizeof(summary) && memcmp(line, summary, sizeof(summary) - 1) == 0) {
        list->wire->finished = true;
        return;
    }
    uint64_t index = list->first + list->answered++;
    const char *why = NULL;
    xt_background_yield();
    switch (xt_batch_people_check(list->people, index, list->answered, line, size, &why)) {
    case XT_BATCH_RIGHT:
        break;
    case XT_BATCH_REFUSED:
        list->tally->refused++;
        break;
    case XT_BATCH_WRONG:
        list->tally->wrong++;
        list->tally->why = why;
        break;
    }
    list->tally->answered++;
}

/* Bytes of content: whole lines where they stand, others put together. */
static bool take_content(struct xt_batch_list *list, uint8_t *data, size_t size)
{
    while (size > 0) {
        uint8_t *end = memchr(data, '\n', size);
        size_t part = end == NULL ? size : (size_t)(end - data);
        if (end != NULL && list->kept == 0) {
            take_answer(list, data, part);
        } else {
            if (part > XT_BATCH_ANSWER_MAX - list->kept) {
                return false;
            }
            memcpy(list->line + list->kept, data, part);
            list->kept += part;
            if (end != NULL) {
                take_answer(list, (uint8_t *)list->line, list->kept);
                list->kept = 0;
            }
        }
        size -= part + (end != NULL);
        data += part + (end != NULL);
    }
    return true;
}

/* One byte of what stands around the content; false: that is no such answer. */
static bool take_frame(struct xt_batch_list *list, uint8_t byte)
{
    static const char end_of_head[] = "\r\n\r\n";
    switch (list->reading) {
    case XT_BATCH_IN_HEAD:
        list->matched = byte == (uint8_t)end_of_head[list->matched] ? list->matched + 1
                                                                    : (size_t)(byte == '\r');
        if (list->matched == sizeof(end_of_head) - 1) {
            list->reading = XT_BATCH_IN_SIZE;
        }
        return true;
    case XT_BATCH_IN_SIZE:
        if (byte == '\n') {
            list->reading = list->chunk_left > 0 ? XT_BATCH_IN_CHUNK : XT_BATCH_IN_TRAILER;
        } else if (byte != '\r') {
            unsigned digit = byte <= '9' ? byte - 48U : (byte | 0x20U) - 'a' + 10U;
            list->chunk_left = list->chunk_left * 16 + digit;
            return digit < 16 && list->chunk_left < 1U << 24;
        }
        return true;
    case XT_BATCH_IN_END:
        list->reading = byte == '\n' ? XT_BATCH_IN_SIZE : XT_BATCH_IN_END;
        return byte == '\r' || byte == '\n';
    default:
        return true;
    }
}

static bool take_plain(struct xt_batch_list *list, uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        if (list->reading != XT_BATCH_IN_CHUNK) {
            if (!take_frame(list, data[at++])) {
                return false;
            }
            continue;
        }
        size_t part = size - at < list->chunk_left ? size - at : list->chunk_left;
        if (!take_content(list, data + at, part)) {
            return false;
        }
        at += part;
        list->chunk_left -= part;
        list->reading = list->chunk_left == 0 ? XT_BATCH_IN_END : XT_BATCH_IN_CHUNK;
    }
    return true;
}

bool xt_batch_list_take(struct xt_batch_list *list)
{
    static uint8_t plain[16384];
    for (;;) {
        size_t got = 0;
        enum xt_status status = xt_wire_read(list->wire, plain, sizeof(plain), &got);
        if (status == XT_AGAIN) {
            return true;
        }
        if (status != XT_OK || !take_plain(list, plain, got)) {
            return list->wire->finished;
        }
    }
}
