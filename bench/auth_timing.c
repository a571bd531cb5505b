/* Does the time of a refusal tell whom it was about? A signature by another's key each time, over a challenge that
 * is right, or a wrong passcode; or does that of a challenge? In random order:
 *
 *   wrong     people who are there, four times each at most: the fifth failure in a row makes them wait
 *   unknown   numbers that nobody has
 *   locked    people whose account is locked
 *   waiting   people who were made to wait before
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/auth_internal.h"
#include "bench/clock.h"
#include "bench/random.h"
#include "bench/welch.h"

#define LIMIT_S 10
#define FAILURES 5 /* in a row, and somebody waits for half a minute */
#define CASES_OF_WAITING 16

enum class { WRONG, UNKNOWN, LOCKED, WAITING, CLASSES };

static const char *const names[CLASSES] = {"wrong", "unknown", "locked", "waiting"};

struct timing {
    const struct xt_auth_options *options;
    struct xt_wire wire;
    struct xt_holder_signer *signer; /* of somebody who is asked about by nobody */
    struct xt_stream stream;
    uint64_t count[CLASSES];
    uint32_t *values[CLASSES], *cases[CLASSES];
};

static uint32_t cases_of(const struct timing *timing, enum class class)
{
    return class == WAITING ? CASES_OF_WAITING : (uint32_t)timing->options->count / 2;
}

/* Half of the people, one after the other: so nobody is tried more than `timing` / that many times. */
static unsigned person_of(const struct timing *timing, enum class class, uint32_t place)
{
    unsigned half = (unsigned)timing->options->count / 2;
    switch (class) {
    case WRONG:
        return place;
    case UNKNOWN:
        return XT_AUTH_NOBODY + place;
    case LOCKED:
        return XT_AUTH_LOCKED + place;
    default:
        return half + place;
    }
}

/* One attempt; *ns: how long its last request took. */
static bool attempt(struct timing *timing, unsigned person, uint64_t *ns)
{
    enum xt_auth_factor factor = timing->options->factor;
    struct xt_auth_request request;
    struct xt_response_head head;
    struct xt_span body = xt_span_of(NULL, 0);
    uint64_t began = xt_clock_ns();
    if (factor != XT_AUTH_PASSCODE) {
        struct xt_span text = xt_auth_ask(&request, person, factor);
        bool asked = xt_wire_ask(&timing->wire, text, &head) == XT_OK && head.status == 200;
        *ns = xt_clock_ns() - began;
        if (!asked || factor == XT_AUTH_CHALLENGE) {
            return asked;
        }
        body = xt_wire_body(&timing->wire, &head);
    }
    began = xt_clock_ns();
    struct xt_span text = factor == XT_AUTH_PASSCODE
                              ? xt_auth_try_passcode(&request, person)
                              : xt_auth_try_key(&request, person, factor, timing->signer, body);
    bool fine = text.size > 0 && xt_wire_ask(&timing->wire, text, &head) == XT_OK;
    *ns = xt_clock_ns() - began;
    return fine && head.status == 401;
}

static bool make_wait(struct timing *timing)
{
    uint64_t ns;
    bool fine = true;
    for (uint32_t i = 0; fine && i < CASES_OF_WAITING * FAILURES; i++) {
        fine = attempt(timing, person_of(timing, WAITING, i % CASES_OF_WAITING), &ns);
    }
    return fine;
}

static bool run(struct timing *timing)
{
    uint64_t left = timing->options->timing * CLASSES;
    bool fine = make_wait(timing);
    while (fine && left > 0) {
        enum class class = (enum class)(xt_stream_next(&timing->stream) % CLASSES);
        uint64_t at = timing->count[class];
        if (at == timing->options->timing) {
            continue;
        }
        uint32_t place = (uint32_t)(at % cases_of(timing, class));
        uint64_t ns = 0;
        fine = attempt(timing, person_of(timing, class, place), &ns);
        timing->values[class][at] = (uint32_t)(ns > UINT32_MAX ? UINT32_MAX : ns);
        timing->cases[class][at] = place;
        timing->count[class]++;
        left--;
    }
    return fine;
}

static enum xt_status compare(const struct timing *timing)
{
    bool alike = true;
    printf("{\"factor\":\"%s\",\"attempts\":%llu,\"pairs\":[",
           xt_auth_factor_names[timing->options->factor],
           (unsigned long long)timing->options->timing);
    for (unsigned class = UNKNOWN; class < CLASSES; class ++) {
        struct xt_welch result;
        struct xt_welch_class pair[2];
        for (unsigned i = 0; i < 2; i++) {
            unsigned which = i == 0 ? WRONG : class;
            pair[i] =
                (struct xt_welch_class){timing->values[which], timing->cases[which],
                                        timing->count[which], cases_of(timing, (enum class)which)};
        }
        if (!xt_welch_compare(&pair[0], &pair[1], &result)) {
            return XT_NO_MEMORY;
        }
        alike = alike && result.worst < XT_WELCH_LIMIT;
        printf("%s{\"a\":\"wrong\",\"b\":\"%s\",\"t\":%.2f,\"naive\":%.2f,\"difference_us\":%.2f,"
               "\"would_be_seen_us\":%.2f,\"mean_us\":%.1f}",
               class == UNKNOWN ? "" : ",", names[class], result.worst, result.naive,
               result.difference / 1000, XT_WELCH_LIMIT * result.error / 1000, result.mean / 1000);
    }
    printf("],\"alike\":%s}\n", alike ? "true" : "false");
    return alike ? XT_OK : XT_DENIED;
}

static bool make_room(struct timing *timing)
{
    bool fine = xt_auth_person_signer(XT_AUTH_PEOPLE_MAX - 1, &timing->signer) == XT_OK;
    for (unsigned class = 0; fine && class < CLASSES; class ++) {
        timing->values[class] = calloc(timing->options->timing, sizeof(uint32_t));
        timing->cases[class] = calloc(timing->options->timing, sizeof(uint32_t));
        fine = timing->values[class] != NULL && timing->cases[class] != NULL;
    }
    return fine;
}

enum xt_status xt_auth_timing(const struct xt_auth_options *options, struct xt_failure *failure)
{
    struct timing *timing = calloc(1, sizeof(*timing));
    struct xt_tls_context *context = NULL;
    const struct xt_crowd_options *server = &options->server;
    const struct xt_tls_client_files files = {.certificate = server->certificates[0],
                                              .key = server->keys[0],
                                              .server_authority = server->authority};
    if (timing == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    timing->options = options;
    timing->stream = xt_stream_of(options->timing, 7);
    enum xt_status status = make_room(timing) ? XT_OK : XT_NO_MEMORY;
    status = status == XT_OK ? xt_tls_client(&files, &context, failure) : status;
    if (status == XT_OK) {
        status = xt_wire_open(&timing->wire, (uint16_t)server->port, context, LIMIT_S);
    }
    if (status == XT_OK) {
        status = run(timing) ? compare(timing) : XT_IO;
    }
    if (status != XT_OK) {
        (void)xt_fail(failure, status,
                      status == XT_DENIED ? "time tells them apart"
                                          : "an attempt was not refused as it must be");
    }
    xt_wire_close(&timing->wire);
    xt_tls_context_close(context);
    xt_holder_signer_close(timing->signer);
    for (unsigned class = 0; class < CLASSES; class ++) {
        free(timing->values[class]);
        free(timing->cases[class]);
    }
    free(timing);
    return status;
}
