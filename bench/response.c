#include "bench/response.h"

struct state {
    struct xt_response_head *head;
    bool has_length, http10, keep_alive;
};

static enum xt_status malformed(struct xt_response_head *head, const char *wrong)
{
    head->wrong = wrong;
    return XT_INVALID;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* "HTTP/1.1 200" and, after a space, a reason that nobody reads. */
static enum xt_status read_status_line(struct state *state, struct xt_span line)
{
    const uint8_t *text = line.data;
    if (line.size < 12 || memcmp(text, "HTTP/1.", 7) != 0 || (text[7] != '1' && text[7] != '0') ||
        text[8] != ' ' || !is_digit(text[9]) || !is_digit(text[10]) || !is_digit(text[11]) ||
        (line.size > 12 && text[12] != ' ')) {
        return malformed(state->head, "status line");
    }
    state->http10 = text[7] == '0';
    state->head->status =
        (unsigned)(text[9] - '0') * 100 + (unsigned)(text[10] - '0') * 10 + (text[11] - '0');
    if (state->head->status < 200 || state->head->status > 599) {
        return malformed(state->head, "status code");
    }
    return XT_OK;
}

static bool is_token(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    return (letter >= 'a' && letter <= 'z') || is_digit(byte) ||
           (byte > ' ' && byte < 0x7f && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* lower: the other text, in small letters. */
static bool is_word(struct xt_span text, const char *lower)
{
    size_t size = strlen(lower);
    if (text.size != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = text.data[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte) != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

static struct xt_span trimmed(struct xt_span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

static enum xt_status read_length(struct state *state, struct xt_span value)
{
    if (state->has_length || value.size == 0 || value.size > 10) {
        return malformed(state->head, "Content-Length");
    }
    uint64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (!is_digit(value.data[i])) {
            return malformed(state->head, "Content-Length");
        }
        length = length * 10 + (value.data[i] - '0');
    }
    if (length > XT_RESPONSE_BODY_MAX) {
        return malformed(state->head, "Content-Length");
    }
    state->has_length = true;
    state->head->body_size = length;
    return XT_OK;
}

static enum xt_status read_field(struct state *state, struct xt_span line)
{
    size_t name = 0;
    while (name < line.size && is_token(line.data[name])) {
        name++;
    }
    if (name == 0 || name == line.size || line.data[name] != ':') {
        return malformed(state->head, "field name");
    }
    for (size_t i = name + 1; i < line.size; i++) {
        if ((line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f) {
            return malformed(state->head, "control character");
        }
    }
    struct xt_span key = xt_span_of(line.data, name);
    struct xt_span value = trimmed(xt_span_of(line.data + name + 1, line.size - name - 1));
    switch (name) { /* most fields are told apart by their length */
    case sizeof("connection") - 1:
        if (is_word(key, "connection")) {
            state->head->close = state->head->close || is_word(value, "close");
            state->keep_alive = state->keep_alive || is_word(value, "keep-alive");
        }
        return XT_OK;
    case sizeof("content-length") - 1:
        if (is_word(key, "content-digest")) {
            state->head->content_digest = value;
            return XT_OK;
        }
        return is_word(key, "content-length") ? read_length(state, value) : XT_OK;
    case sizeof("signature-input") - 1:
        if (is_word(key, "signature-input")) {
            state->head->signature_input = value;
        }
        return XT_OK;
    case sizeof("signature") - 1:
        if (is_word(key, "signature")) {
            state->head->signature = value;
        }
        return XT_OK;
    case sizeof("transfer-encoding") - 1:
        return is_word(key, "transfer-encoding") ? malformed(state->head, "Transfer-Encoding")
                                                 : XT_OK;
    default:
        return XT_OK;
    }
}

static enum xt_status finish(struct state *state)
{
    struct xt_response_head *head = state->head;
    bool bodiless = head->status == 204 || head->status == 304;
    if (!bodiless && !state->has_length) {
        return malformed(head, "no Content-Length");
    }
    if (bodiless) {
        head->body_size = 0;
    }
    if (state->http10 && !state->keep_alive) {
        head->close = true;
    }
    return XT_OK;
}

enum xt_status xt_response_read(struct xt_span input, struct xt_response_head *head)
{
    *head = (struct xt_response_head){0};
    struct state state = {.head = head};
    size_t at = 0;
    for (bool first = true;; first = false) {
        size_t left = input.size - at;
        const uint8_t *end = left == 0 ? NULL : memchr(input.data + at, '\n', left);
        size_t size = end == NULL ? left : (size_t)(end - (input.data + at)) + 1;
        if (at + size > XT_RESPONSE_HEAD_MAX) {
            return malformed(head, "head too long");
        }
        if (end == NULL) {
            return XT_AGAIN;
        }
        struct xt_span line = xt_span_of(input.data + at, size - 1);
        if (line.size == 0 || line.data[line.size - 1] != '\r') {
            return malformed(head, "line end");
        }
        line.size--;
        at += size;
        if (line.size == 0 && !first) {
            head->size = at;
            return finish(&state);
        }
        enum xt_status status = first ? read_status_line(&state, line) : read_field(&state, line);
        if (status != XT_OK) {
            return status;
        }
    }
}
