#include "tests/net/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/keyring.h"
#include "tests/test.h"

/* ---- the site --------------------------------------------------------------------------------- */

static void handle_echo(struct xt_call *call, struct xt_answer *answer)
{
    *answer = (struct xt_answer){.status = 200,
                                 .type = XT_TYPE_JSON,
                                 .body = xt_span_of(call->request->body, call->request->body_size)};
    memset(call->request->body + call->request->body_size, 0, XT_HTTP_BODY_PADDING);
    if (answer->body.size > 4096) {
        answer->body.size = 4096;
    }
}

static uint8_t document[40000];

static void handle_document(struct xt_call *call, struct xt_answer *answer)
{
    (void)call;
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_span_of(document, sizeof(document))};
}

unsigned (*rig_put_off)(void);

static void handle_turn(struct xt_call *call, struct xt_answer *answer)
{
    static unsigned order;
    char *text = (char *)call->service->scratch;
    int size = snprintf(text, XT_SCRATCH, "{\"order\":%u,\"put_off\":%u}", order++,
                        rig_put_off == NULL ? 0 : rig_put_off());
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_span_of(text, (size_t)size)};
}

static void handle_slow(struct xt_call *call, struct xt_answer *answer)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    handle_turn(call, answer);
}

static const struct xt_route list[] = {
    {"/", XT_GET | XT_HEAD | XT_OPTIONS, handle_echo},
    {"/echo", XT_POST | XT_OPTIONS, handle_echo},
    {"/document", XT_GET | XT_HEAD | XT_OPTIONS, handle_document},
    {"/turn", XT_GET, handle_turn},
    {"/slow", XT_GET, handle_slow},
};
const struct xt_routes site = {list, sizeof(list) / sizeof(list[0]),
                               XT_GET | XT_HEAD | XT_OPTIONS | XT_POST, false};

/* ---- playing bytes ---------------------------------------------------------------------------- */

struct rig rig;

int rig_open(void **state)
{
    (void)state;
    xt_crypto_start();
    xt_settings_defaults(&rig.settings);
    if (xt_service_open(&rig.service, &rig.settings) != XT_OK) {
        return 1;
    }
    xt_service_set_time(&rig.service, 1795251600123, 1000);
    xt_http_shared_open(&rig.shared, &rig.settings);
    return 0;
}

int rig_close(void **state)
{
    (void)state;
    xt_http_shared_close(&rig.shared); /* aborts if a request's memory was not given back */
    xt_service_close(&rig.service);
    return 0;
}

#define OUTPUT_ALL (1U << 20)

void play_open(struct play *play, bool tls)
{
    static uint8_t output[OUTPUT_ALL]; /* one play at a time */
    memset(play, 0, sizeof(*play));
    play->output = output;
    xt_exchange_open(&play->exchange, &rig.shared, &rig.service, &site, tls);
}

/* Feeds a piece as the connection does: an exact copy, so that reading past it is seen. */
void play_feed(struct play *play, const uint8_t *data, size_t size)
{
    static uint8_t room[XT_OUTPUT_MAX];
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    size_t at = 0;
    while (!play->closed) {
        struct xt_writer writer = xt_writer_over(room, sizeof(room));
        size_t used = 0;
        enum xt_exchange_result result =
            xt_exchange_run(&play->exchange, copy + at, size - at, &used, &writer);
        at += used;
        assert_true(at <= size);
        assert_true(play->output_size + writer.size < OUTPUT_ALL - 1);
        memcpy(play->output + play->output_size, room, writer.size);
        play->output_size += writer.size;
        play->closed = result == XT_EXCHANGE_LAST;
        if (result == XT_EXCHANGE_MORE) {
            assert_int_equal(at, size);
            break;
        }
    }
    free(copy);
    play->output[play->output_size] = '\0';
}

void play_close(struct play *play)
{
    xt_exchange_close(&play->exchange);
}

void play_text(struct play *play, const char *text, bool tls)
{
    play_open(play, tls);
    play_feed(play, (const uint8_t *)text, strlen(text));
}

/* ---- cases ------------------------------------------------------------------------------------ */

const char *read_statuses(const uint8_t *output, size_t output_size, const uint8_t *input,
                          char *text, size_t size)
{
    const char *at = (const char *)output, *end = at + output_size;
    bool head = strncmp((const char *)input, "HEAD ", 5) == 0;
    const char *last = NULL;
    text[0] = '\0';
    while (at < end) {
        assert_true(end - at > 12 && memcmp(at, "HTTP/1.1 ", 9) == 0);
        size_t used = strlen(text);
        last = at;
        snprintf(text + used, size - used, "%s%.3s", used > 0 ? " " : "", at + 9);
        const char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        assert_non_null(body);
        body += 4;
        const char *length = memmem(at, (size_t)(body - at), "\r\nContent-Length: ", 18);
        at = body + (length != NULL && !head ? strtoul(length + 18, NULL, 10) : 0);
    }
    assert_ptr_equal(at, end);
    return last;
}

uint8_t *raw_case_bytes(const struct raw_case *c, size_t *size)
{
    const char *bytes = c->bytes;
    size_t length = c->length;
    uint8_t *result = malloc(1U << 20);
    assert_non_null(result);
    *size = 0;
    for (size_t i = 0; i < length; i++) {
        const char *close = NULL, *star = NULL;
        if (bytes[i] == '{' && (close = memchr(bytes + i, '}', length - i)) != NULL &&
            (star = memchr(bytes + i, '*', (size_t)(close - bytes) - i)) != NULL) {
            for (unsigned long n = strtoul(star + 1, NULL, 10); n > 0; n--) {
                memcpy(result + *size, bytes + i + 1, (size_t)(star - bytes) - i - 1);
                *size += (size_t)(star - bytes) - i - 1;
            }
            i = (size_t)(close - bytes);
        } else {
            result[(*size)++] = (uint8_t)bytes[i];
        }
    }
    return result;
}
