/* core/person_member: the members of a person that are one text each, shared by the JSON and the CSV
 * reader, so that both apply the same rules. Private to core/.
 */
#ifndef XT_CORE_PERSON_MEMBER_H
#define XT_CORE_PERSON_MEMBER_H

#include "core/person.h"

enum xt_person_member {
    XT_MEMBER_ID,
    XT_MEMBER_FULL_NAME,
    XT_MEMBER_DATE_OF_BIRTH,
    XT_MEMBER_SEX,
    XT_MEMBER_OLD_ID,
    XT_MEMBER_REPLACED_NUMBERS, /* a list: one call an item */
    XT_MEMBER_NATIONALITY,
    XT_MEMBER_ETHNICITY,
    XT_MEMBER_HOME_TOWN,
    XT_MEMBER_PLACE_OF_BIRTH,
    XT_MEMBER_FATHER_NAME,
    XT_MEMBER_MOTHER_NAME,
    XT_MEMBER_ADDRESS_PROVINCE,
    XT_MEMBER_ADDRESS_WARD,
    XT_MEMBER_ADDRESS_TEXT,
    XT_MEMBER_STATUS,
    XT_MEMBER_CARD_ISSUED_ON,
    XT_MEMBER_CARD_EXPIRES_ON,
    XT_MEMBER_CARD_STATE,
    XT_MEMBER_CARD_PUBLIC_KEY,
    XT_MEMBER_PHONES, /* a list */
    XT_MEMBER_ACCOUNT_LEVEL,
    XT_MEMBER_ACCOUNT_LOCKS, /* a list */
    XT_MEMBER_ACCOUNT_PASSCODE_HASH,
    XT_MEMBER_COUNT
};

#define XT_MEMBER_BIT(member) (1U << (unsigned)(member))
#define XT_MEMBER_LISTS                                                                            \
    (XT_MEMBER_BIT(XT_MEMBER_REPLACED_NUMBERS) | XT_MEMBER_BIT(XT_MEMBER_PHONES) |                 \
     XT_MEMBER_BIT(XT_MEMBER_ACCOUNT_LOCKS))

/* "address.province": the CSV column; with slashes, the JSON pointer. */
const char *xt_person_member_name(enum xt_person_member member);

/* Empties person: no member, no list; elements of lists are left as they are. */
void xt_person_clear(struct xt_person *person);

/* Reads one member (or one item of a list) from valid UTF-8. NULL when fine, else the reject's code.
 */
const char *xt_person_member_set(struct xt_person *person, enum xt_person_member member,
                                 struct xt_span text);

/* Once all members in `seen` (XT_MEMBER_BIT set) are read: fills what follows from others and gives
 * the first required member that is missing, XT_MEMBER_COUNT for none. */
enum xt_person_member xt_person_finish(struct xt_person *person, uint32_t seen);

/* Base64url text of a public key. NULL when fine, else the reject's code. */
const char *xt_person_key_check(struct xt_span text);

XT_MUST_USE enum xt_status xt_reject_fill(struct xt_reject *reject, const char *code,
                                          const char *pointer);

#endif
