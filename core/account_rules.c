/* What follows from an event of an account for the person: the rules of core/account_event.h. */
#include "core/account_event.h"

bool xt_account_changes_person(enum xt_account_type type)
{
    return (type >= XT_ACCOUNT_ACTIVATED && type <= XT_ACCOUNT_PASSCODE_SET) ||
           type == XT_ACCOUNT_PASSCODE_REHASHED;
}

static enum xt_conflict activated(unsigned level, struct xt_person *person)
{
    if (level <= person->account_level) {
        return XT_CONFLICT_ALREADY_ACTIVE;
    }
    if (person->account_level == 0 && person->card_state == XT_CARD_REVOKED) {
        person->locks |= XT_LOCK_CARD_REVOKED;
    }
    person->account_level = level;
    return XT_CONFLICT_NONE;
}

static enum xt_conflict locked(unsigned reason, struct xt_person *person)
{
    if ((person->locks & reason) != 0) {
        return XT_CONFLICT_ALREADY_LOCKED;
    }
    person->locks |= (uint8_t)reason;
    return XT_CONFLICT_NONE;
}

static enum xt_conflict unlocked(unsigned reason, struct xt_person *person)
{
    if ((person->locks & reason) == 0) {
        return XT_CONFLICT_NOT_LOCKED;
    }
    person->locks &= (uint8_t)~reason;
    return XT_CONFLICT_NONE;
}

static unsigned find_device(const struct xt_person *person, struct xt_span device_id)
{
    unsigned at = 0;
    while (at < person->device_count && !xt_span_equal(person->devices[at].device_id, device_id)) {
        at++;
    }
    return at;
}

/* One key stands for one device: else taking it away would leave it in force under another name. */
static enum xt_conflict device_added(const struct xt_account_event *event, struct xt_person *person)
{
    for (unsigned i = 0; i < person->device_count; i++) {
        if (xt_span_equal(person->devices[i].device_id, event->device_id) ||
            xt_span_equal(person->devices[i].public_key_der, event->key)) {
            return XT_CONFLICT_DEVICE_KNOWN;
        }
    }
    if (person->device_count == XT_PERSON_DEVICES_MAX) {
        return XT_CONFLICT_TOO_MANY;
    }
    person->devices[person->device_count++] = (struct xt_device){.device_id = event->device_id,
                                                                 .public_key_der = event->key,
                                                                 .unlocked_by = event->unlocked_by};
    return XT_CONFLICT_NONE;
}

static enum xt_conflict device_removed(const struct xt_account_event *event,
                                       struct xt_person *person)
{
    unsigned at = find_device(person, event->device_id);
    if (at == person->device_count) {
        return XT_CONFLICT_DEVICE_UNKNOWN;
    }
    person->device_count--;
    memmove(&person->devices[at], &person->devices[at + 1],
            (person->device_count - at) * sizeof(person->devices[0]));
    return XT_CONFLICT_NONE;
}

static bool gives_something_new(enum xt_account_type type)
{
    return type == XT_ACCOUNT_ACTIVATED || type == XT_ACCOUNT_DEVICE_ADDED ||
           type == XT_ACCOUNT_PASSCODE_SET || type == XT_ACCOUNT_PASSCODE_REHASHED;
}

static enum xt_conflict is_open(enum xt_account_type type, enum xt_life life)
{
    bool locks = type == XT_ACCOUNT_LOCKED || type == XT_ACCOUNT_UNLOCKED;
    return locks                                                  ? XT_CONFLICT_NONE
           : life == XT_LIFE_CANCELLED                            ? XT_CONFLICT_NUMBER_CANCELLED
           : life == XT_LIFE_DECEASED                             ? XT_CONFLICT_PERSON_DECEASED
           : life == XT_LIFE_MISSING && gives_something_new(type) ? XT_CONFLICT_PERSON_MISSING
                                                                  : XT_CONFLICT_NONE;
}

enum xt_conflict xt_account_event_apply(const struct xt_account_event *event,
                                        enum xt_subject subject, struct xt_person *person)
{
    if (subject != XT_SUBJECT_PERSON) {
        return subject == XT_SUBJECT_REPLACED ? XT_CONFLICT_NUMBER_REPLACED
                                              : XT_CONFLICT_UNKNOWN_PERSON;
    }
    enum xt_conflict closed = is_open(event->type, person->life);
    if (closed != XT_CONFLICT_NONE) {
        return closed;
    }
    if (event->type != XT_ACCOUNT_ACTIVATED && person->account_level == 0) {
        return XT_CONFLICT_NO_ACCOUNT;
    }
    switch (event->type) {
    case XT_ACCOUNT_ACTIVATED:
        return activated(event->level, person);
    case XT_ACCOUNT_LOCKED:
        return locked(event->reason, person);
    case XT_ACCOUNT_UNLOCKED:
        return unlocked(event->reason, person);
    case XT_ACCOUNT_DEVICE_ADDED:
        return device_added(event, person);
    case XT_ACCOUNT_DEVICE_REMOVED:
        return device_removed(event, person);
    case XT_ACCOUNT_PASSCODE_SET:
    case XT_ACCOUNT_PASSCODE_REHASHED:
        person->passcode_hash = event->passcode;
        return XT_CONFLICT_NONE;
    default:
        xt_require(!"an event that changes a person");
        return XT_CONFLICT_NONE;
    }
}
