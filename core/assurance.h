/* core/assurance: what an authentication is worth: its level (acr) and its methods (amr).
 *
 *   level (Decree 69/2024, art. 20)                        reached by
 *   1   one factor, no biometrics                          one of passcode, device key, card chip
 *   2   two different factors, no biometrics               two of them
 *   3   two or more factors, one of them biometric         never: nothing that we check is biometric, and
 *   4   biometric, something possessed, something known    no record says that a device is unlocked by it
 *
 *   factor       amr (RFC 8176)
 *   passcode     pwd    it is compared here; pin would be one that unlocks a key on the device
 *   device key   pop    that the key lies in hardware (hwk) no record says
 *   card chip    sc
 *   both of something possessed and something known: mfa as well
 *
 * Pure.
 */
#ifndef XT_CORE_ASSURANCE_H
#define XT_CORE_ASSURANCE_H

#include "core/account_event.h"

#define XT_ASSURANCE_MOST 2 /* the highest level that can be reached */
#define XT_ASSURANCE_METHODS_MAX 4

struct xt_assurance {
    unsigned level; /* 1 to XT_ASSURANCE_MOST; 0: no factor */
    unsigned method_count;
    struct xt_span methods[XT_ASSURANCE_METHODS_MAX]; /* static texts */
};

/* factors: set of enum xt_factor. */
void xt_assurance_of(unsigned factors, struct xt_assurance *assurance);

#endif
