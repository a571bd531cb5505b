/* core/assurance: what an authentication is worth: its level (acr) and its methods (amr).
 *
 *   level (Decree 69/2024, art. 20)                        reached by
 *   1   one factor, no biometrics                          one of passcode, device key, card chip
 *   2   two different factors, no biometrics               two of them, or all
 *   3   two or more factors, one of them biometric         a device key that a biometric unlocks, by itself or with the
 *                                                          card chip
 *   4   biometric, something possessed, something known    such a device key with the passcode
 *
 *   factor       amr (RFC 8176)
 *   passcode     pwd    it is compared here; pin would be one that unlocks a key on the device
 *   device key   pop    that the key lies in hardware (hwk) no record says
 *    .. that a biometric unlocks (enum xt_unlock): fpt, face or iris as well; nothing where the phone does not tell which
 *   card chip    sc
 *   two or three kinds (known, possessed, biometric): mfa as well
 *
 * The biometric is the phone's to check: here it follows from the signature, because the key signs only after it, as
 * whoever registered the device has seen from the key's attestation (a multi-factor cryptographic authenticator, NIST SP
 * 800-63B, section 5.1.9).
 *
 * Pure.
 */
#ifndef XT_CORE_ASSURANCE_H
#define XT_CORE_ASSURANCE_H

#include "core/account_event.h"

#define XT_ASSURANCE_METHODS_MAX 5

struct xt_assurance {
    unsigned level; /* 1 to XT_LEVEL_MOST; 0: no factor */
    unsigned method_count;
    struct xt_span methods[XT_ASSURANCE_METHODS_MAX]; /* static texts */
};

/* factors: set of enum xt_factor. unlocked_by: of the device whose key it was; of no meaning without one. */
void xt_assurance_of(unsigned factors, enum xt_unlock unlocked_by, struct xt_assurance *assurance);

/* The most that these factors reach, whatever unlocks the device. */
unsigned xt_assurance_most(unsigned factors);

#endif
