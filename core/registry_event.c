/* Names of events and conflicts, and events as bytes. */
#include "core/registry_event.h"

#include "core/plain_text.h"
#include "core/province.h"
#include "core/registry_event_internal.h"
#include "core/wire.h"

static const char *const TYPE_NAMES[XT_REGISTRY_END - XT_REGISTRY_FIRST] = {
    "registered",     "corrected",       "deceased",          "number_replaced", "card_issued",
    "card_lost",      "card_revoked",    "card_found",        "address_changed", "phone_linked",
    "phone_unlinked", "document_linked", "document_unlinked",
};

static const char *const CONFLICT_NAMES[XT_CONFLICT_COUNT] = {
    [XT_CONFLICT_NONE] = "none",
    [XT_CONFLICT_UNKNOWN_PERSON] = "unknown_person",
    [XT_CONFLICT_ALREADY_REGISTERED] = "already_registered",
    [XT_CONFLICT_NUMBER_REPLACED] = "number_replaced",
    [XT_CONFLICT_NUMBER_IN_USE] = "number_in_use",
    [XT_CONFLICT_NUMBER_CANCELLED] = "number_cancelled",
    [XT_CONFLICT_PERSON_DECEASED] = "person_deceased",
    [XT_CONFLICT_NO_CARD] = "no_card",
    [XT_CONFLICT_CARD_ALREADY_LOST] = "card_already_lost",
    [XT_CONFLICT_CARD_NOT_LOST] = "card_not_lost",
    [XT_CONFLICT_CARD_REVOKED] = "card_revoked",
    [XT_CONFLICT_CARD_REPLACED] = "card_replaced",
    [XT_CONFLICT_CARD_NOT_NEWER] = "card_not_newer",
    [XT_CONFLICT_CARD_BEFORE_BIRTH] = "card_before_birth",
    [XT_CONFLICT_PHONE_ALREADY_LINKED] = "phone_already_linked",
    [XT_CONFLICT_PHONE_NOT_LINKED] = "phone_not_linked",
    [XT_CONFLICT_DOCUMENT_ALREADY_LINKED] = "document_already_linked",
    [XT_CONFLICT_DOCUMENT_NOT_LINKED] = "document_not_linked",
    [XT_CONFLICT_TOO_MANY] = "too_many",
    [XT_CONFLICT_NO_ACCOUNT] = "no_account",
    [XT_CONFLICT_ALREADY_ACTIVE] = "already_active",
    [XT_CONFLICT_ALREADY_LOCKED] = "already_locked",
    [XT_CONFLICT_NOT_LOCKED] = "not_locked",
    [XT_CONFLICT_PERSON_MISSING] = "person_missing",
    [XT_CONFLICT_DEVICE_KNOWN] = "device_known",
    [XT_CONFLICT_DEVICE_UNKNOWN] = "device_unknown",
    [XT_CONFLICT_PROOF_REFUSED] = "proof_refused",
    [XT_CONFLICT_CONSENT_KNOWN] = "consent_known",
    [XT_CONFLICT_CONSENT_REVOKED] = "consent_revoked",
    [XT_CONFLICT_CONSENT_UNKNOWN] = "consent_unknown",
    [XT_CONFLICT_REQUEST_KNOWN] = "request_known",
    [XT_CONFLICT_REQUEST_UNKNOWN] = "request_unknown",
    [XT_CONFLICT_REQUEST_DECIDED] = "request_decided",
    [XT_CONFLICT_REQUEST_PENDING] = "request_pending",
    [XT_CONFLICT_REQUEST_DENIED] = "request_denied",
    [XT_CONFLICT_REQUEST_TAKEN] = "request_taken",
    [XT_CONFLICT_EXPIRED] = "expired",
};

const char *xt_registry_type_name(enum xt_registry_type type)
{
    xt_require(type >= XT_REGISTRY_FIRST && type < XT_REGISTRY_END);
    return TYPE_NAMES[type - XT_REGISTRY_FIRST];
}

enum xt_status xt_registry_type_by_name(struct xt_span name, enum xt_registry_type *type)
{
    for (unsigned i = 0; i < XT_REGISTRY_END - XT_REGISTRY_FIRST; i++) {
        if (xt_span_is(name, TYPE_NAMES[i])) {
            *type = (enum xt_registry_type)(XT_REGISTRY_FIRST + i);
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

const char *xt_conflict_name(enum xt_conflict conflict)
{
    return (unsigned)conflict < XT_CONFLICT_COUNT ? CONFLICT_NAMES[conflict] : "none";
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_text(struct xt_writer *writer, struct xt_span text)
{
    xt_wire_write(writer, text.size, 2);
    xt_write_span(writer, text);
}

static void write_record(const struct xt_person *person, struct xt_writer *writer)
{
    uint8_t *size = xt_write_reserve(writer, 2);
    size_t before = writer->size;
    xt_hot_encode(person, writer);
    if (size != NULL && !writer->overflow) {
        struct xt_writer over = xt_writer_over(size, 2);
        xt_wire_write(&over, writer->size - before, 2);
    }
    xt_cold_encode(person, writer);
}

static void write_correction(const struct xt_registry_event *event, struct xt_writer *writer)
{
    struct xt_person person =
        event->person; /* for xt_correctable_text, which may be written through */
    xt_wire_write(writer, event->set, 2);
    xt_wire_write(writer, event->cleared, 2);
    for (unsigned i = 0; i < XT_CORRECT_COUNT; i++) {
        const struct xt_span *text = xt_correctable_text(&person, i);
        if ((event->set & XT_CORRECT_BIT(i)) == 0) {
            continue;
        }
        if (i == XT_CORRECT_FULL_NAME) {
            write_text(writer, person.full_name);
        } else if (i == XT_CORRECT_DATE_OF_BIRTH) {
            xt_wire_write(writer, person.date_of_birth, XT_WIRE_DATE);
        } else if (i == XT_CORRECT_SEX) {
            xt_write_byte(writer, (uint8_t)person.sex);
        } else if (i == XT_CORRECT_OLD_ID) {
            xt_wire_write(writer, person.cmnd, 4);
        } else if (i == XT_CORRECT_STATUS) {
            xt_write_byte(writer, (uint8_t)person.life);
        } else {
            write_text(writer, *text);
        }
    }
}

/* A key from JSON is text, checked when it was read. */
static void write_card(const struct xt_registry_event *event, struct xt_writer *writer)
{
    const struct xt_person *person = &event->person;
    xt_wire_write(writer, person->card_issued_on, XT_WIRE_DATE);
    xt_write_byte(writer, event->expiry_stated);
    xt_wire_write(writer, event->expiry_stated ? person->card_expires_on : XT_DATE_NONE,
                  XT_WIRE_DATE);
    if (person->card_public_key.size == 0) {
        xt_write_span(writer, person->card_public_key_der);
        return;
    }
    size_t length = 0;
    uint8_t *place = xt_write_reserve(writer, person->card_public_key.size * 3 / 4);
    xt_require(place == NULL || xt_base64url_decode(person->card_public_key, place, &length));
}

void xt_registry_event_encode(const struct xt_registry_event *event, struct xt_writer *writer)
{
    const struct xt_person *person = &event->person;
    xt_wire_write(writer, event->number, XT_WIRE_NUMBER);
    switch (event->type) {
    case XT_REGISTRY_REGISTERED:
        write_record(person, writer);
        return;
    case XT_REGISTRY_CORRECTED:
        write_correction(event, writer);
        return;
    case XT_REGISTRY_DECEASED:
        return;
    case XT_REGISTRY_NUMBER_REPLACED:
        xt_wire_write(writer, event->successor, XT_WIRE_NUMBER);
        return;
    case XT_REGISTRY_CARD_ISSUED:
        write_card(event, writer);
        return;
    case XT_REGISTRY_CARD_LOST:
    case XT_REGISTRY_CARD_REVOKED:
    case XT_REGISTRY_CARD_FOUND:
        xt_wire_write(writer, person->card_issued_on, XT_WIRE_DATE);
        return;
    case XT_REGISTRY_ADDRESS_CHANGED:
        xt_write_byte(writer, (uint8_t)person->address_province);
        xt_write_byte(writer, (uint8_t)person->address_ward.size);
        xt_write_span(writer, person->address_ward);
        write_text(writer, person->address_text);
        return;
    case XT_REGISTRY_PHONE_LINKED:
    case XT_REGISTRY_PHONE_UNLINKED:
        xt_wire_write(writer, person->phones[0], 4);
        return;
    case XT_REGISTRY_DOCUMENT_LINKED:
    case XT_REGISTRY_DOCUMENT_UNLINKED:
        xt_write_byte(writer, (uint8_t)person->links[0].type);
        xt_wire_write(writer, person->links[0].valid_from, XT_WIRE_DATE);
        xt_wire_write(writer, person->links[0].valid_until, XT_WIRE_DATE);
        xt_write(writer, person->links[0].number.text, person->links[0].number.length);
        return;
    case XT_REGISTRY_END:
        break;
    }
    xt_require(!"an event of a known type");
}
