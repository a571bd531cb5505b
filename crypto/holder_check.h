/* crypto/holder_check: whether the keys in an identity record are such that somebody could ever sign with them: asked
 * where they come in (an import, an event), so that whoever sent them is told. The same rule as xt_holder_verify has.
 * Some 0.6 us for a key of P-256, 70 us for one of Ed25519, whose order takes a multiplication to see.
 * Thread: any.
 */
#ifndef XT_CRYPTO_HOLDER_CHECK_H
#define XT_CRYPTO_HOLDER_CHECK_H

#include "core/person.h"

#define XT_HOLDER_CARD XT_PERSON_DEVICES_MAX

/* Of a person as read from JSON or CSV, whose keys are text. XT_INVALID: *which is the place of the first device whose
 * key is none (crypto/holder_key), or XT_HOLDER_CARD: that of the card is. */
XT_MUST_USE enum xt_status xt_holder_check_person(const struct xt_person *person, unsigned *which);

/* Fills *reject for it. within: what stands before the pointer in what was read ("", "/data"); card: the card's member
 * ("/card/public_key"). XT_INVALID. */
enum xt_status xt_holder_reject(unsigned which, const char *within, const char *card,
                                struct xt_reject *reject);

#endif
