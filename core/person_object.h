/* core/person_object: parts of an identity record that stand in other JSON too, read by the same rules.
 * Private to core/.
 */
#ifndef XT_CORE_PERSON_OBJECT_H
#define XT_CORE_PERSON_OBJECT_H

#include "core/json.h"
#include "core/person_member.h"

enum xt_person_object {
    XT_OBJECT_RECORD,     /* all but its id */
    XT_OBJECT_CORRECTION, /* members of the person himself; null clears the optional ones */
    XT_OBJECT_CARD,       /* of a card that is issued */
    XT_OBJECT_ADDRESS
};

/* Reads object into person, whose other members stay. *seen: XT_MEMBER_BIT of what was there, *cleared of
 * what was null. XT_INVALID fills *reject; its pointer is that of the member in an identity record. */
XT_MUST_USE enum xt_status xt_person_read_object(enum xt_person_object what, yyjson_val *object,
                                                 struct xt_person *person, uint32_t *seen,
                                                 uint32_t *cleared, struct xt_reject *reject);

/* Reads one element of `links`, as the first that person has. */
XT_MUST_USE enum xt_status xt_person_read_link(yyjson_val *object, struct xt_person *person,
                                               struct xt_reject *reject);

/* "health_insurance"; XT_NOT_FOUND: none is called so. */
XT_MUST_USE enum xt_status xt_link_type_by_name(struct xt_span name, enum xt_link_type *type);

#endif
