/* What follows from an event: the rules of core/registry_event.h. */
#include "core/registry_event_internal.h"

static void close_card(struct xt_person *person)
{
    if (person->card_state == XT_CARD_NONE) {
        return;
    }
    person->card_state = XT_CARD_REVOKED;
    if (person->account_level > 0) {
        person->locks |= XT_LOCK_CARD_REVOKED;
    }
}

static enum xt_conflict registered(const struct xt_registry_event *event, bool number_in_use,
                                   struct xt_person *person)
{
    if (number_in_use) {
        return XT_CONFLICT_NUMBER_IN_USE;
    }
    *person = event->person;
    return XT_CONFLICT_NONE;
}

/* ---- corrected -------------------------------------------------------------------------------- */

static void correct_status(enum xt_life life, struct xt_person *person)
{
    if (person->life == XT_LIFE_DECEASED && life != XT_LIFE_DECEASED) {
        person->locks &= (uint8_t)~XT_LOCK_DEATH;
    }
    person->life = life;
    if (life == XT_LIFE_CANCELLED) {
        close_card(person);
    }
}

static void correct_member(unsigned member, bool set, struct xt_person *told,
                           struct xt_person *person)
{
    switch (member) {
    case XT_CORRECT_FULL_NAME:
        person->name = told->name;
        person->full_name = told->full_name;
        return;
    case XT_CORRECT_DATE_OF_BIRTH:
        person->date_of_birth = told->date_of_birth;
        return;
    case XT_CORRECT_SEX:
        person->sex = set ? told->sex : XT_SEX_UNKNOWN;
        return;
    case XT_CORRECT_OLD_ID:
        person->has_cmnd = set;
        person->cmnd = set ? told->cmnd : 0;
        return;
    case XT_CORRECT_STATUS:
        correct_status(told->life, person);
        return;
    default:
        *xt_correctable_text(person, member) =
            set ? *xt_correctable_text(told, member) : xt_span_of(NULL, 0);
    }
}

/* A dead person may have been entered wrongly as well; a number that is not in force can only be put in
 * force again. */
static enum xt_conflict corrected(const struct xt_registry_event *event, bool number_in_use,
                                  struct xt_person *person)
{
    struct xt_person told =
        event->person; /* for xt_correctable_text, which may be written through */
    bool sets_status = (event->set & XT_CORRECT_BIT(XT_CORRECT_STATUS)) != 0;
    if (person->life == XT_LIFE_CANCELLED && !sets_status) {
        return XT_CONFLICT_NUMBER_CANCELLED;
    }
    if (person->life == XT_LIFE_CANCELLED && event->person.life != XT_LIFE_CANCELLED &&
        number_in_use) {
        return XT_CONFLICT_NUMBER_IN_USE;
    }
    for (unsigned i = 0; i < XT_CORRECT_COUNT; i++) {
        if (((event->set | event->cleared) & XT_CORRECT_BIT(i)) != 0) {
            correct_member(i, (event->set & XT_CORRECT_BIT(i)) != 0, &told, person);
        }
    }
    return XT_CONFLICT_NONE;
}

/* ---- the person ------------------------------------------------------------------------------- */

static enum xt_conflict deceased(struct xt_person *person)
{
    person->life = XT_LIFE_DECEASED;
    close_card(person);
    if (person->account_level > 0) {
        person->locks |= XT_LOCK_DEATH;
    }
    return XT_CONFLICT_NONE;
}

static enum xt_conflict number_replaced(const struct xt_registry_event *event, bool number_in_use,
                                        struct xt_person *person)
{
    if (number_in_use) {
        return XT_CONFLICT_NUMBER_IN_USE;
    }
    if (person->replaced_count == XT_PERSON_REPLACED_MAX) {
        return XT_CONFLICT_TOO_MANY;
    }
    person->replaced[person->replaced_count++] = person->number;
    person->number = event->successor;
    close_card(person);
    return XT_CONFLICT_NONE;
}

static enum xt_conflict address_changed(const struct xt_registry_event *event,
                                        struct xt_person *person)
{
    person->address_province = event->person.address_province;
    person->address_ward = event->person.address_ward;
    person->address_text = event->person.address_text;
    return XT_CONFLICT_NONE;
}

/* ---- the card --------------------------------------------------------------------------------- */

static enum xt_conflict card_issued(const struct xt_registry_event *event, struct xt_person *person)
{
    const struct xt_person *told = &event->person;
    bool held = person->card_state != XT_CARD_NONE && person->card_issued_on != XT_DATE_NONE;
    if (xt_date_latest(told->card_issued_on) < person->date_of_birth ||
        (event->expiry_stated && xt_date_latest(told->card_expires_on) < told->card_issued_on)) {
        return XT_CONFLICT_CARD_BEFORE_BIRTH;
    }
    if (held && (told->card_issued_on < person->card_issued_on ||
                 (told->card_issued_on == person->card_issued_on &&
                  person->card_state == XT_CARD_ACTIVE))) {
        return XT_CONFLICT_CARD_NOT_NEWER;
    }
    person->card_state = XT_CARD_ACTIVE;
    person->card_issued_on = told->card_issued_on;
    person->card_expires_on = event->expiry_stated
                                  ? told->card_expires_on
                                  : xt_card_expiry(person->date_of_birth, told->card_issued_on);
    person->card_has_expiry = person->card_expires_on != XT_CARD_NO_EXPIRY;
    person->card_public_key = told->card_public_key;
    person->card_public_key_der = told->card_public_key_der;
    person->locks &= (uint8_t)~XT_LOCK_CARD_REVOKED;
    return XT_CONFLICT_NONE;
}

static enum xt_conflict card_changed(const struct xt_registry_event *event,
                                     struct xt_person *person)
{
    xt_date which = event->person.card_issued_on;
    if (person->card_state == XT_CARD_NONE) {
        return XT_CONFLICT_NO_CARD;
    }
    if (which != XT_DATE_NONE && which != person->card_issued_on) {
        return XT_CONFLICT_CARD_REPLACED;
    }
    if (person->card_state == XT_CARD_REVOKED) {
        return XT_CONFLICT_CARD_REVOKED;
    }
    if (event->type == XT_REGISTRY_CARD_REVOKED) {
        close_card(person);
        return XT_CONFLICT_NONE;
    }
    bool lost = event->type == XT_REGISTRY_CARD_LOST;
    if (lost == (person->card_state == XT_CARD_LOST)) {
        return lost ? XT_CONFLICT_CARD_ALREADY_LOST : XT_CONFLICT_CARD_NOT_LOST;
    }
    person->card_state = lost ? XT_CARD_LOST : XT_CARD_ACTIVE;
    return XT_CONFLICT_NONE;
}

/* ---- phones and documents --------------------------------------------------------------------- */

static unsigned find_phone(const struct xt_person *person, uint32_t phone)
{
    unsigned at = 0;
    while (at < person->phone_count && person->phones[at] != phone) {
        at++;
    }
    return at;
}

static enum xt_conflict phone_linked(uint32_t phone, struct xt_person *person)
{
    if (find_phone(person, phone) < person->phone_count) {
        return XT_CONFLICT_PHONE_ALREADY_LINKED;
    }
    if (person->phone_count == XT_PERSON_PHONES_MAX) {
        return XT_CONFLICT_TOO_MANY;
    }
    person->phones[person->phone_count++] = phone;
    return XT_CONFLICT_NONE;
}

static enum xt_conflict phone_unlinked(uint32_t phone, struct xt_person *person)
{
    unsigned at = find_phone(person, phone);
    if (at == person->phone_count) {
        return XT_CONFLICT_PHONE_NOT_LINKED;
    }
    person->phone_count--;
    memmove(&person->phones[at], &person->phones[at + 1],
            (person->phone_count - at) * sizeof(person->phones[0]));
    return XT_CONFLICT_NONE;
}

static unsigned find_document(const struct xt_person *person, const struct xt_link *wanted)
{
    unsigned at = 0;
    for (; at < person->link_count; at++) {
        const struct xt_link *link = &person->links[at];
        if (link->type == wanted->type && link->number.length == wanted->number.length &&
            memcmp(link->number.text, wanted->number.text, wanted->number.length) == 0) {
            break;
        }
    }
    return at;
}

/* A document that is linked with other dates was renewed. */
static enum xt_conflict document_linked(const struct xt_link *told, struct xt_person *person)
{
    unsigned at = find_document(person, told);
    if (at == XT_PERSON_LINKS_MAX) {
        return XT_CONFLICT_TOO_MANY;
    }
    if (at < person->link_count && person->links[at].valid_from == told->valid_from &&
        person->links[at].valid_until == told->valid_until) {
        return XT_CONFLICT_DOCUMENT_ALREADY_LINKED;
    }
    person->links[at] = *told;
    person->link_count += at == person->link_count;
    return XT_CONFLICT_NONE;
}

static enum xt_conflict document_unlinked(const struct xt_link *told, struct xt_person *person)
{
    unsigned at = find_document(person, told);
    if (at == person->link_count) {
        return XT_CONFLICT_DOCUMENT_NOT_LINKED;
    }
    person->link_count--;
    memmove(&person->links[at], &person->links[at + 1],
            (person->link_count - at) * sizeof(person->links[0]));
    return XT_CONFLICT_NONE;
}

/* ---- all -------------------------------------------------------------------------------------- */

/* What may still happen to somebody whose number is not in force, or who is dead: a correction, and links
 * that are taken away. */
static enum xt_conflict is_open(enum xt_registry_type type, enum xt_life life)
{
    if (type == XT_REGISTRY_CORRECTED || type == XT_REGISTRY_PHONE_UNLINKED ||
        type == XT_REGISTRY_DOCUMENT_UNLINKED) {
        return XT_CONFLICT_NONE;
    }
    return life == XT_LIFE_CANCELLED  ? XT_CONFLICT_NUMBER_CANCELLED
           : life == XT_LIFE_DECEASED ? XT_CONFLICT_PERSON_DECEASED
                                      : XT_CONFLICT_NONE;
}

enum xt_conflict xt_registry_event_apply(const struct xt_registry_event *event,
                                         enum xt_subject subject, bool number_in_use,
                                         struct xt_person *person)
{
    bool is_new = event->type == XT_REGISTRY_REGISTERED;
    if (subject == XT_SUBJECT_REPLACED) {
        return XT_CONFLICT_NUMBER_REPLACED;
    }
    if (is_new) {
        return subject == XT_SUBJECT_PERSON ? XT_CONFLICT_ALREADY_REGISTERED
                                            : registered(event, number_in_use, person);
    }
    if (subject == XT_SUBJECT_UNKNOWN) {
        return XT_CONFLICT_UNKNOWN_PERSON;
    }
    enum xt_conflict closed = is_open(event->type, person->life);
    if (closed != XT_CONFLICT_NONE) {
        return closed;
    }
    switch (event->type) {
    case XT_REGISTRY_CORRECTED:
        return corrected(event, number_in_use, person);
    case XT_REGISTRY_DECEASED:
        return deceased(person);
    case XT_REGISTRY_NUMBER_REPLACED:
        return number_replaced(event, number_in_use, person);
    case XT_REGISTRY_CARD_ISSUED:
        return card_issued(event, person);
    case XT_REGISTRY_CARD_LOST:
    case XT_REGISTRY_CARD_REVOKED:
    case XT_REGISTRY_CARD_FOUND:
        return card_changed(event, person);
    case XT_REGISTRY_ADDRESS_CHANGED:
        return address_changed(event, person);
    case XT_REGISTRY_PHONE_LINKED:
        return phone_linked(event->person.phones[0], person);
    case XT_REGISTRY_PHONE_UNLINKED:
        return phone_unlinked(event->person.phones[0], person);
    case XT_REGISTRY_DOCUMENT_LINKED:
        return document_linked(&event->person.links[0], person);
    case XT_REGISTRY_DOCUMENT_UNLINKED:
        return document_unlinked(&event->person.links[0], person);
    case XT_REGISTRY_REGISTERED:
    case XT_REGISTRY_END:
        break;
    }
    xt_require(!"an event of a known type");
    return XT_CONFLICT_NONE;
}
