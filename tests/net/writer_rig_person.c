#include "tests/net/writer_rig_person.h"

#include <stdio.h>
#include <string.h>

#include "core/province.h"
#include "tests/test.h"

enum turn { REVIVED = 1, ISSUED = 2, LOST = 4, MOVED = 6, DIED = 0, TURNS = 8 };

/* A person as event n leaves him. */
struct expected {
    unsigned versions, town, province;
    enum xt_card_state card;
    enum xt_life life;
};

static struct expected expect(unsigned n)
{
    unsigned turn = n % TURNS;
    return (struct expected){
        .versions = (n + 1) / 2,
        .town = n == 0 ? 0 : n - (n % 2 == 0),
        .province = RIG_PERSON_PROVINCE + (n + TURNS - MOVED) / TURNS % XT_PROVINCE_COUNT,
        .card = n < ISSUED                        ? XT_CARD_NONE
                : turn == DIED || turn == REVIVED ? XT_CARD_REVOKED
                : turn < LOST                     ? XT_CARD_ACTIVE
                                                  : XT_CARD_LOST,
        .life = n > 0 && turn == DIED ? XT_LIFE_DECEASED : XT_LIFE_ALIVE,
    };
}

static void write_town(char text[32], unsigned n)
{
    snprintf(text, 32, "Huế %u", n);
}

static void tell_of_person(unsigned n, char text[32], struct xt_registry_event *told)
{
    static const enum xt_registry_type types[TURNS] = {
        [ISSUED] = XT_REGISTRY_CARD_ISSUED,
        [LOST] = XT_REGISTRY_CARD_LOST,
        [MOVED] = XT_REGISTRY_ADDRESS_CHANGED,
        [DIED] = XT_REGISTRY_DECEASED,
    };
    write_town(text, n);
    told->type = n % 2 == 1 ? XT_REGISTRY_CORRECTED : types[n % TURNS];
    if (told->type == XT_REGISTRY_CORRECTED) {
        told->set = XT_CORRECT_BIT(XT_CORRECT_HOME_TOWN);
        told->set |= n % TURNS == REVIVED ? XT_CORRECT_BIT(XT_CORRECT_STATUS) : 0;
        told->person.home_town = xt_span_of_string(text);
    } else if (told->type == XT_REGISTRY_CARD_ISSUED) {
        assert_int_equal(xt_date_make(2021, 5, 1, &told->person.card_issued_on), XT_OK);
    } else if (told->type == XT_REGISTRY_ADDRESS_CHANGED) {
        told->person.address_province = expect(n).province;
    }
}

void rig_person_event(uint64_t number, unsigned n, uint8_t body[XT_EVENT_BODY_MAX],
                      struct xt_event *event)
{
    static struct xt_registry_event told;
    char id[48], text[32];
    struct xt_registry_envelope envelope = {.at_ms = 1};
    snprintf(id, sizeof(id), "%llu-%u", (unsigned long long)(number % 1000), n);
    envelope.event_id = xt_span_of_string(id);
    memset(&told, 0, sizeof(told));
    told.number = number;
    tell_of_person(n, text, &told);
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, event), XT_OK);
}

bool rig_person_is_as_told(const struct xt_person *person, uint32_t versions, unsigned n)
{
    struct expected wanted = expect(n);
    char town[32];
    write_town(town, wanted.town);
    return versions == wanted.versions && person->card_state == wanted.card &&
           person->life == wanted.life && person->address_province == wanted.province &&
           (wanted.town == 0 ? person->home_town.size == 0
                             : person->home_town.size == strlen(town) &&
                                   memcmp(person->home_town.data, town, strlen(town)) == 0);
}
