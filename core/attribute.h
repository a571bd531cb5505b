/* core/attribute: what the register holds of a person that can be given away with his consent, and as what JSON.
 *
 *   full_name                          text                    sex                  "male", "female"
 *   date_of_birth, card_issued_on,     "1999-01-25", or        old_id               "012345678"
 *   card_expires_on                    "1999-01", "1999"       phones               ["+84912345678"]
 *   nationality, ethnicity, home_town, text                    address              {"province":"001","ward":"..",
 *   place_of_birth, father_name,                                                     "text":".."}, what there is of it
 *   mother_name
 *   health_insurance, social_insurance, driving_licence, vehicle, passport, tax
 *                                      [{"number":"..","valid_from":"..","valid_until":".."}], the dates where stated
 *
 * What is not held is null, or an empty list.
 * Sensitive (Decree 13/2023, art. 2): ethnicity, and health insurance, which says where somebody is treated. They need
 * a right of their own (XT_RIGHT_SENSITIVE) beside the purpose's leave.
 * Pure: no clock, no allocation.
 */
#ifndef XT_CORE_ATTRIBUTE_H
#define XT_CORE_ATTRIBUTE_H

#include "core/person.h"

/* In the order in which answers list them. Numbers are stored (consents, the audit log): never change one, append. */
enum xt_attribute {
    XT_ATTRIBUTE_FULL_NAME,
    XT_ATTRIBUTE_DATE_OF_BIRTH,
    XT_ATTRIBUTE_SEX,
    XT_ATTRIBUTE_NATIONALITY,
    XT_ATTRIBUTE_ETHNICITY,
    XT_ATTRIBUTE_HOME_TOWN,
    XT_ATTRIBUTE_PLACE_OF_BIRTH,
    XT_ATTRIBUTE_FATHER_NAME,
    XT_ATTRIBUTE_MOTHER_NAME,
    XT_ATTRIBUTE_ADDRESS,
    XT_ATTRIBUTE_PHONES,
    XT_ATTRIBUTE_OLD_ID,
    XT_ATTRIBUTE_CARD_ISSUED_ON,
    XT_ATTRIBUTE_CARD_EXPIRES_ON,
    XT_ATTRIBUTE_HEALTH_INSURANCE, /* the documents stand in the order of enum xt_link_type */
    XT_ATTRIBUTE_SOCIAL_INSURANCE,
    XT_ATTRIBUTE_DRIVING_LICENCE,
    XT_ATTRIBUTE_VEHICLE,
    XT_ATTRIBUTE_PASSPORT,
    XT_ATTRIBUTE_TAX,
    XT_ATTRIBUTE_COUNT
};

#define XT_ATTRIBUTE_BIT(attribute) (1U << (unsigned)(attribute))
#define XT_ATTRIBUTE_ALL (XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_COUNT) - 1)
#define XT_ATTRIBUTES_SENSITIVE                                                                    \
    (XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_ETHNICITY) | XT_ATTRIBUTE_BIT(XT_ATTRIBUTE_HEALTH_INSURANCE))

const char *xt_attribute_name(enum xt_attribute attribute);
XT_MUST_USE enum xt_status xt_attribute_by_name(struct xt_span name, enum xt_attribute *attribute);

/* Writes ["full_name","sex"]: the names of a set, without anything of a person. */
#define XT_ATTRIBUTE_NAMES_MAX 288 /* bytes of all of them */
void xt_attribute_names_write(uint32_t set, struct xt_writer *writer);

/* Which of the set this person has. */
uint32_t xt_attributes_held(const struct xt_person *person, uint32_t set);

/* Writes {"full_name":"...",...}: those of the set. person: of a stored record. */
#define XT_ATTRIBUTES_JSON_MAX 24576 /* bytes of any person's, all of them, all escapes */
void xt_attributes_write(const struct xt_person *person, uint32_t set, struct xt_writer *writer);

#endif
