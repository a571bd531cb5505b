/* tests/net/writer_rig_person: what is told of a person, one event after the other, and how each leaves him.
 *
 * Events 1, 3, 5, ... correct the home town (each leaves a version: who counts twice shows), and between them a
 * card is issued, it is lost, the address changes, he dies, and with the next correction he lives again. So
 * every second event and one more of eight moves him from one cell of the statistics to another.
 */
#ifndef XT_TESTS_NET_WRITER_RIG_PERSON_H
#define XT_TESTS_NET_WRITER_RIG_PERSON_H

#include "core/person.h"
#include "store/live_event.h"

#define RIG_PERSON_PROVINCE                                                                        \
    1U /* where he lives before the first event; he has no card and no home town */

void rig_person_event(uint64_t number, unsigned n, uint8_t body[XT_EVENT_BODY_MAX],
                      struct xt_event *event);
/* Whether the person, with so many earlier versions, is as event n leaves him; 0: as he was. */
bool rig_person_is_as_told(const struct xt_person *person, uint32_t versions, unsigned n);

#endif
