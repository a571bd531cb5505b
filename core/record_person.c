/* A person out of both of his records. */
#include "core/record.h"

void xt_person_add_hot(const struct xt_hot *hot, struct xt_person *person)
{
    person->name = hot->name;
    person->date_of_birth = hot->date_of_birth;
    person->sex = hot->sex;
    person->life = hot->life;
    person->has_cmnd = hot->has_cmnd;
    person->cmnd = hot->cmnd;
    person->address_province = hot->province;
    person->card_state = hot->card_state;
    person->card_issued_on = hot->card_issued_on;
    person->card_expires_on = hot->card_expires_on;
    person->card_has_expiry = hot->card_has_expiry;
    person->phone_count = hot->phone_count;
    memcpy(person->phones, hot->phones, hot->phone_count * sizeof(hot->phones[0]));
    person->account_level = hot->account_level;
    person->locks = hot->locks;
}

enum xt_status xt_person_from_records(struct xt_span hot, struct xt_span cold,
                                      struct xt_person *person)
{
    struct xt_hot opened;
    enum xt_status status = xt_cold_decode(cold, person);
    if (status == XT_OK) {
        status = xt_hot_decode(hot, &opened);
    }
    if (status == XT_OK && opened.number != person->number) {
        status = XT_CORRUPT;
    }
    if (status == XT_OK) {
        xt_person_add_hot(&opened, person);
    }
    return status;
}
