/* core/registry_event_internal: what the parts of core/registry_event share. Private to core/. */
#ifndef XT_CORE_REGISTRY_EVENT_INTERNAL_H
#define XT_CORE_REGISTRY_EVENT_INTERNAL_H

#include "core/person_member.h"
#include "core/registry_event.h"

/* The member of a record that a correction is about. */
static inline enum xt_person_member xt_correctable_member(unsigned correctable)
{
    static const enum xt_person_member MEMBERS[XT_CORRECT_COUNT] = {
        [XT_CORRECT_FULL_NAME] = XT_MEMBER_FULL_NAME,
        [XT_CORRECT_DATE_OF_BIRTH] = XT_MEMBER_DATE_OF_BIRTH,
        [XT_CORRECT_SEX] = XT_MEMBER_SEX,
        [XT_CORRECT_OLD_ID] = XT_MEMBER_OLD_ID,
        [XT_CORRECT_NATIONALITY] = XT_MEMBER_NATIONALITY,
        [XT_CORRECT_ETHNICITY] = XT_MEMBER_ETHNICITY,
        [XT_CORRECT_HOME_TOWN] = XT_MEMBER_HOME_TOWN,
        [XT_CORRECT_PLACE_OF_BIRTH] = XT_MEMBER_PLACE_OF_BIRTH,
        [XT_CORRECT_FATHER_NAME] = XT_MEMBER_FATHER_NAME,
        [XT_CORRECT_MOTHER_NAME] = XT_MEMBER_MOTHER_NAME,
        [XT_CORRECT_STATUS] = XT_MEMBER_STATUS,
    };
    return MEMBERS[correctable];
}

/* A correctable text of person that is kept as given; NULL: it is no such text. */
static inline struct xt_span *xt_correctable_text(struct xt_person *person, unsigned correctable)
{
    switch (correctable) {
    case XT_CORRECT_NATIONALITY:
        return &person->nationality;
    case XT_CORRECT_ETHNICITY:
        return &person->ethnicity;
    case XT_CORRECT_HOME_TOWN:
        return &person->home_town;
    case XT_CORRECT_PLACE_OF_BIRTH:
        return &person->place_of_birth;
    case XT_CORRECT_FATHER_NAME:
        return &person->father_name;
    case XT_CORRECT_MOTHER_NAME:
        return &person->mother_name;
    default:
        return NULL;
    }
}

/* Says nothing about anybody. */
static inline void xt_registry_event_clear(struct xt_registry_event *event)
{
    event->type = XT_REGISTRY_END;
    event->number = event->successor = 0;
    event->set = event->cleared = 0;
    event->expiry_stated = false;
    xt_person_clear(&event->person);
}

/* What a correction cannot take out. */
#define XT_CORRECT_REQUIRED                                                                        \
    (XT_CORRECT_BIT(XT_CORRECT_FULL_NAME) | XT_CORRECT_BIT(XT_CORRECT_DATE_OF_BIRTH) |             \
     XT_CORRECT_BIT(XT_CORRECT_STATUS))

#endif
