/* core/registry_event: what the register is told has happened to a person, and what follows from it
 * (product contract, section 3, POST /v1/events).
 *
 *   {"event_id":"...","type":"card_lost","id":"001099012345","at":"2026-11-22T08:00:00Z","data":{...}}
 *
 *   type               data (what stands in [] may be left out)
 *   registered         an identity record without its id (core/person)
 *   corrected          at least one of full_name, date_of_birth, sex, old_id, nationality, ethnicity,
 *                      home_town, place_of_birth, father_name, mother_name, status; null takes one out
 *                      again, but for full_name, date_of_birth and status, which is not "deceased"
 *   deceased           [{}]
 *   number_replaced    {"new_id"}
 *   card_issued        {"issued_on", ["expires_on"], ["public_key"]}
 *   card_lost, card_found, card_revoked   [{["issued_on"]}]: which card; without it the present one
 *   address_changed    {"province", ["ward"], ["text"]}: the whole address
 *   phone_linked, phone_unlinked          {"phone"}
 *   document_linked    {"type", "number", ["valid_from"], ["valid_until"]}
 *   document_unlinked  {"type", "number"}
 *
 * Three forms: JSON from the partner, bytes for the writer's channel, and this struct between them.
 * Pure: no clock, no allocation. Texts are borrowed from what was read.
 */
#ifndef XT_CORE_REGISTRY_EVENT_H
#define XT_CORE_REGISTRY_EVENT_H

#include "core/record.h"

/* Numbers are part of the encoding: never change one. Those below 16 are of the store's own events. */
enum xt_registry_type {
    XT_REGISTRY_REGISTERED = 16,
    XT_REGISTRY_CORRECTED,
    XT_REGISTRY_DECEASED,
    XT_REGISTRY_NUMBER_REPLACED,
    XT_REGISTRY_CARD_ISSUED,
    XT_REGISTRY_CARD_LOST,
    XT_REGISTRY_CARD_REVOKED,
    XT_REGISTRY_CARD_FOUND,
    XT_REGISTRY_ADDRESS_CHANGED,
    XT_REGISTRY_PHONE_LINKED,
    XT_REGISTRY_PHONE_UNLINKED,
    XT_REGISTRY_DOCUMENT_LINKED,
    XT_REGISTRY_DOCUMENT_UNLINKED,
    XT_REGISTRY_END
};
#define XT_REGISTRY_FIRST XT_REGISTRY_REGISTERED

/* "card_lost"; type must be one of them. by_name: XT_NOT_FOUND. */
const char *xt_registry_type_name(enum xt_registry_type type);
XT_MUST_USE enum xt_status xt_registry_type_by_name(struct xt_span name,
                                                    enum xt_registry_type *type);

/* Members that `corrected` can set or take out. Their order is part of the encoding. */
enum xt_correctable {
    XT_CORRECT_FULL_NAME,
    XT_CORRECT_DATE_OF_BIRTH,
    XT_CORRECT_SEX,
    XT_CORRECT_OLD_ID,
    XT_CORRECT_NATIONALITY,
    XT_CORRECT_ETHNICITY,
    XT_CORRECT_HOME_TOWN,
    XT_CORRECT_PLACE_OF_BIRTH,
    XT_CORRECT_FATHER_NAME,
    XT_CORRECT_MOTHER_NAME,
    XT_CORRECT_STATUS,
    XT_CORRECT_COUNT
};
#define XT_CORRECT_BIT(member) (1U << (unsigned)(member))

struct xt_registry_event {
    enum xt_registry_type type;
    uint64_t number;         /* whom it is about */
    uint64_t successor;      /* number_replaced: the new number */
    uint32_t set, cleared;   /* corrected: XT_CORRECT_BIT sets, disjoint; set are in person */
    bool expiry_stated;      /* card_issued: else core/card's rule tells the expiry */
    struct xt_person person; /* What it tells: registered: all of it; corrected: what is in `set`;
                              * card_*: the card's members; address_changed: the address's;
                              * phone_*: phones[0]; document_*: links[0]. Keys as read: text from JSON,
                              * DER from bytes. */
};

/* ---- JSON ------------------------------------------------------------------------------------- */

#define XT_REGISTRY_EVENT_ID_MAX 64 /* bytes: printable ASCII */

/* What stands around an event in JSON. */
struct xt_registry_envelope {
    struct xt_span event_id; /* borrowed; 1 to XT_REGISTRY_EVENT_ID_MAX bytes */
    uint64_t at_ms;          /* UTC, milliseconds since 1970 */
};

/* One line of NDJSON (at most XT_PERSON_JSON_MAX bytes) -> event; the arena as for xt_person_from_json.
 * XT_INVALID fills *reject with the first fault: codes of core/person, and bad_time, bad_event_id,
 * unknown_type. Pointers begin with "/data" for what is in there.
 * `at`: RFC 3339, in UTC (Z) or with an offset, with at most milliseconds. */
XT_MUST_USE enum xt_status xt_registry_event_from_json(struct xt_span line,
                                                       struct xt_json_arena arena,
                                                       struct xt_registry_envelope *envelope,
                                                       struct xt_registry_event *event,
                                                       struct xt_reject *reject);

/* ---- bytes ------------------------------------------------------------------------------------ */

/*   number 5 | and then, integers little endian:
 *   registered         hot size 2 | hot record | cold record                     (core/record)
 *   corrected          set 2 | cleared 2 | each member in `set`, in order:
 *                        text: size 2 | UTF-8    date 3    sex 1    CMND 4    life 1
 *   number_replaced    new number 5
 *   card_issued        issued on 3 | expiry stated 1 | expires on 3, or 0 | the rest: DER of the key
 *   card_lost|found|revoked   issued on 3, or 0
 *   address_changed    province 1 | ward size 1 | ward | text size 2 | text
 *   phone_*            phone 4
 *   document_*         type 1 | valid from 3, or 0 | until 3, or 0 | the rest: number
 *
 * There is one way to write an event, and the decoder takes nothing else. It trusts nothing: what it
 * gives obeys every rule that the JSON reader applies to a single member. */
#define XT_REGISTRY_BODY_MAX (5 + 2 + XT_HOT_MAX + XT_COLD_MAX)

/* The body alone: the type travels before it. */
void xt_registry_event_encode(const struct xt_registry_event *event, struct xt_writer *writer);
XT_MUST_USE enum xt_status xt_registry_event_decode(enum xt_registry_type type, struct xt_span body,
                                                    struct xt_registry_event *event);

/* ---- rules ------------------------------------------------------------------------------------ */

/* Why an event cannot be applied to what the register holds: 409 with these names as codes. Stable. */
enum xt_conflict {
    XT_CONFLICT_NONE,
    XT_CONFLICT_UNKNOWN_PERSON,     /* nobody has this number */
    XT_CONFLICT_ALREADY_REGISTERED, /* somebody has it */
    XT_CONFLICT_NUMBER_REPLACED,    /* it is in force no more: its successor is meant */
    XT_CONFLICT_NUMBER_IN_USE,      /* a new or replaced number names somebody already */
    XT_CONFLICT_NUMBER_CANCELLED,   /* the person's number is cancelled */
    XT_CONFLICT_PERSON_DECEASED,    /* the dead get no cards, phones, documents, numbers */
    XT_CONFLICT_NO_CARD,            /* the person never had one */
    XT_CONFLICT_CARD_ALREADY_LOST,  /* lost twice */
    XT_CONFLICT_CARD_NOT_LOST,      /* found without having been lost */
    XT_CONFLICT_CARD_REVOKED,       /* revoked for good */
    XT_CONFLICT_CARD_REPLACED,      /* it is not the card issued last */
    XT_CONFLICT_CARD_NOT_NEWER,     /* a later one, or the same, is there */
    XT_CONFLICT_CARD_BEFORE_BIRTH,  /* or it expires before it is issued */
    XT_CONFLICT_PHONE_ALREADY_LINKED,
    XT_CONFLICT_PHONE_NOT_LINKED,
    XT_CONFLICT_DOCUMENT_ALREADY_LINKED, /* with the same validity */
    XT_CONFLICT_DOCUMENT_NOT_LINKED,
    XT_CONFLICT_TOO_MANY, /* the record's list, or that of who shares a phone or CMND, is full */
    /* Of events of accounts (core/account_event, store/live_account). */
    XT_CONFLICT_NO_ACCOUNT,
    XT_CONFLICT_ALREADY_ACTIVE, /* at this level or a higher one */
    XT_CONFLICT_ALREADY_LOCKED, /* for this reason */
    XT_CONFLICT_NOT_LOCKED,     /* for this reason; or no failed attempts are counted */
    XT_CONFLICT_PERSON_MISSING,
    XT_CONFLICT_DEVICE_KNOWN, /* its id or its key */
    XT_CONFLICT_DEVICE_UNKNOWN,
    XT_CONFLICT_PROOF_REFUSED, /* what was shown does not count, or not any more */
    XT_CONFLICT_CONSENT_KNOWN,
    XT_CONFLICT_CONSENT_REVOKED, /* .. and it was revoked */
    XT_CONFLICT_CONSENT_UNKNOWN,
    XT_CONFLICT_REQUEST_KNOWN,
    XT_CONFLICT_REQUEST_UNKNOWN, /* or it has expired, or is another partner's */
    XT_CONFLICT_REQUEST_DECIDED,
    XT_CONFLICT_REQUEST_PENDING,
    XT_CONFLICT_REQUEST_DENIED,
    XT_CONFLICT_REQUEST_TAKEN,
    XT_CONFLICT_EXPIRED, /* it was over before it was told, or lasts longer than it may */
    XT_CONFLICT_COUNT
};
const char *xt_conflict_name(enum xt_conflict conflict); /* "card_not_lost" */

/* What the register knows under an event's number. */
enum xt_subject {
    XT_SUBJECT_UNKNOWN,
    XT_SUBJECT_PERSON,
    XT_SUBJECT_REPLACED /* the number was replaced */
};

/* From the state before an event to the one after it.
 *
 *             card_issued             card_lost            card_revoked, deceased,
 *   (none) ---------------> active ------------> lost      number_replaced, cancelled
 *                           ^  ^  <------------    |     active, lost ----------------> revoked
 *                           |  |    card_found     |                                      |
 *                           |  +-------------------+---------- card_issued ---------------+
 *                           +-- card_issued: the card before is replaced, whatever it was
 *
 *   One card counts, the one issued last. An event that names another (issued_on) is a conflict.
 *
 *   status   alive <--corrected--> missing     any of them --corrected--> cancelled
 *            alive, missing --deceased--> deceased     deceased, cancelled --corrected--> alive
 *            (a death or a cancellation entered by mistake; cards and links stay closed)
 *
 *   deceased closes the account (lock death) and the card; cancelled closes the card. A card that ends so,
 *   or by card_revoked, locks the account (card_revoked) until another is issued. A number stands on its
 *   card, so that number_replaced ends that too; the old number joins replaced_numbers.
 *
 * subject: under event->number. number_in_use: of number_replaced, whether the new number names anybody
 * or was replaced; of registered, whether one of its replaced numbers does; of corrected, whether one that a
 * cancelled person replaced names somebody else, so that he is not put in force again.
 * person: as the register holds it, changed in place; of registered it is filled. After a conflict it is
 * not to be used. Its texts are then borrowed from the event as well. */
XT_MUST_USE enum xt_conflict xt_registry_event_apply(const struct xt_registry_event *event,
                                                     enum xt_subject subject, bool number_in_use,
                                                     struct xt_person *person);

#endif
