#include "store/live_event.h"

#include <time.h>

#include "core/little_endian.h"
#include "crypto/keyring.h"
#include "crypto/seal.h"

#define VERSION 1

void xt_event_begin(struct xt_event *event, enum xt_event_type type)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(event, 0, sizeof(*event));
    event->type = type;
    event->at_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    xt_random(event->id, sizeof(event->id));
}

static bool id_is_given(const uint8_t id[XT_EVENT_ID])
{
    uint8_t all = 0;
    for (unsigned i = 0; i < XT_EVENT_ID; i++) {
        all |= id[i];
    }
    return all != 0;
}

_Static_assert(XT_EVENT_BODY_MAX + 1 + 2 + XT_EVENT_ID + 8 + 2 == XT_EVENT_MAX, "the head's size");

enum xt_status xt_event_from_registry(const char *partner,
                                      const struct xt_registry_envelope *envelope,
                                      const struct xt_registry_event *told,
                                      uint8_t body[XT_EVENT_BODY_MAX], struct xt_event *event)
{
    static const uint8_t zero[XT_KEY_BYTES]; /* the store hashes ids under its own key */
    uint8_t message[XT_PARTNER_NAME_MAX + 1 + XT_REGISTRY_EVENT_ID_MAX];
    uint8_t digest[XT_DIGEST_BYTES];
    struct xt_writer writer = xt_writer_over(message, sizeof(message));
    xt_write(&writer, partner, strlen(partner) + 1);
    xt_write_span(&writer, envelope->event_id);
    xt_require(!writer.overflow);
    xt_mac(zero, xt_written(&writer), digest);
    memset(event, 0, sizeof(*event));
    event->type = (enum xt_event_type)told->type;
    event->at_ms = envelope->at_ms;
    memcpy(event->id, digest, sizeof(event->id));
    writer = xt_writer_over(body, XT_EVENT_BODY_MAX);
    xt_registry_event_encode(told, &writer);
    event->registry = xt_written(&writer);
    return writer.overflow ? XT_TOO_LARGE : XT_OK;
}

_Static_assert(XT_ACCOUNT_BODY_MAX <= XT_EVENT_BODY_MAX, "an account event fits");

void xt_event_from_account(const struct xt_account_event *told, uint8_t body[XT_ACCOUNT_BODY_MAX],
                           struct xt_event *event)
{
    struct xt_writer writer = xt_writer_over(body, XT_ACCOUNT_BODY_MAX);
    xt_event_begin(event, (enum xt_event_type)told->type);
    xt_account_event_encode(told, &writer);
    xt_require(!writer.overflow); /* every member has its limit */
    event->account = xt_written(&writer);
}

static void write_body(const struct xt_event *event, struct xt_writer *writer)
{
    if (xt_event_is_registry(event)) {
        xt_write_span(writer, event->registry);
        return;
    }
    if (xt_event_is_account(event)) {
        xt_write_span(writer, event->account);
        return;
    }
    switch (event->type) {
    case XT_EVENT_CERTIFICATE_HELD: {
        struct xt_span name = xt_span_of_string(event->certificate_held.partner);
        xt_require(name.size == 0 || xt_policy_name_is_valid(name));
        xt_write(writer, event->certificate_held.spki, XT_SPKI_DIGEST);
        xt_write_byte(writer, (uint8_t)name.size);
        xt_write_span(writer, name);
        return;
    }
    case XT_EVENT_GENERATION_SERVED:
        xt_require(event->generation_served.number != 0);
        xt_put(writer, event->generation_served.number, 4);
        xt_write(writer, event->generation_served.digest, XT_GENERATION_DIGEST);
        xt_write_byte(writer, event->generation_served.rollback);
        return;
    }
    xt_require(!"an event of a known type");
}

void xt_event_encode(const struct xt_event *event, struct xt_writer *writer)
{
    xt_require(id_is_given(event->id) && event->at_ms <= XT_EVENT_AT_MAX);
    xt_write_byte(writer, VERSION);
    xt_put(writer, (uint64_t)event->type, 2);
    xt_write(writer, event->id, XT_EVENT_ID);
    xt_put(writer, event->at_ms, 8);
    uint8_t *size = xt_write_reserve(writer, 2);
    size_t before = writer->size;
    write_body(event, writer);
    if (size != NULL && !writer->overflow) {
        struct xt_writer over = xt_writer_over(size, 2);
        xt_put(&over, writer->size - before, 2);
    }
}

static enum xt_status read_certificate_held(struct xt_taker *body, struct xt_event *event)
{
    xt_take_copy(body, event->certificate_held.spki, XT_SPKI_DIGEST);
    size_t size = (size_t)xt_take(body, 1);
    struct xt_span name = xt_take_bytes(body, size);
    if (!xt_taken_all(body) || size > XT_PARTNER_NAME_MAX ||
        (size > 0 && !xt_policy_name_is_valid(name))) {
        return XT_INVALID;
    }
    if (size > 0) {
        memcpy(event->certificate_held.partner, name.data, size);
    }
    return XT_OK;
}

static enum xt_status read_generation_served(struct xt_taker *body, struct xt_event *event)
{
    event->generation_served.number = (uint32_t)xt_take(body, 4);
    xt_take_copy(body, event->generation_served.digest, XT_GENERATION_DIGEST);
    uint64_t rollback = xt_take(body, 1);
    if (!xt_taken_all(body) || event->generation_served.number == 0 || rollback > 1) {
        return XT_INVALID;
    }
    event->generation_served.rollback = rollback == 1;
    return XT_OK;
}

enum xt_status xt_event_decode(struct xt_span encoded, struct xt_event *event)
{
    struct xt_taker taker = xt_taker_over(encoded);
    memset(event, 0, sizeof(*event));
    if (encoded.size > XT_EVENT_MAX) {
        return XT_INVALID;
    }
    uint64_t version = xt_take(&taker, 1);
    uint64_t type = xt_take(&taker, 2);
    xt_take_copy(&taker, event->id, XT_EVENT_ID);
    event->at_ms = xt_take(&taker, 8);
    struct xt_span bytes = xt_take_bytes(&taker, (size_t)xt_take(&taker, 2));
    if (!xt_taken_all(&taker)) {
        return XT_INVALID;
    }
    if (version != VERSION) {
        return XT_UNSUPPORTED;
    }
    if (!id_is_given(event->id) || event->at_ms > XT_EVENT_AT_MAX) {
        return XT_INVALID;
    }
    struct xt_taker body = xt_taker_over(bytes);
    if (type >= XT_REGISTRY_FIRST && type < XT_REGISTRY_END) {
        event->type = (enum xt_event_type)type;
        event->registry = bytes;
        return XT_OK;
    }
    if (type >= XT_ACCOUNT_FIRST && type < XT_ACCOUNT_END) {
        event->type = (enum xt_event_type)type;
        event->account = bytes;
        return XT_OK;
    }
    switch (type) {
    case XT_EVENT_CERTIFICATE_HELD:
        event->type = XT_EVENT_CERTIFICATE_HELD;
        return read_certificate_held(&body, event);
    case XT_EVENT_GENERATION_SERVED:
        event->type = XT_EVENT_GENERATION_SERVED;
        return read_generation_served(&body, event);
    default:
        return XT_UNSUPPORTED;
    }
}
