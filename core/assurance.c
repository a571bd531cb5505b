#include "core/assurance.h"

static const char *const BIOMETRICS[XT_UNLOCK_COUNT] = {
    [XT_UNLOCK_FINGERPRINT] = "fpt",
    [XT_UNLOCK_FACE] = "face",
    [XT_UNLOCK_IRIS] = "iris",
};

static void add(struct xt_assurance *assurance, const char *method)
{
    assurance->methods[assurance->method_count++] = xt_span_of_string(method);
}

void xt_assurance_of(unsigned factors, enum xt_unlock unlocked_by, struct xt_assurance *assurance)
{
    unsigned count = (unsigned)__builtin_popcount(factors);
    bool known = (factors & XT_FACTOR_PASSCODE) != 0;
    bool device = (factors & XT_FACTOR_DEVICE_KEY) != 0;
    bool card = (factors & XT_FACTOR_CARD_CHIP) != 0;
    bool biometric = device && unlocked_by != XT_UNLOCK_NONE;
    unsigned plain = count < 2 ? count : 2;
    *assurance = (struct xt_assurance){.level = !biometric ? plain : known ? 4 : 3};
    if (device) {
        add(assurance, "pop");
    }
    if (biometric && BIOMETRICS[unlocked_by] != NULL) {
        add(assurance, BIOMETRICS[unlocked_by]);
    }
    if (card) {
        add(assurance, "sc");
    }
    if (known) {
        add(assurance, "pwd");
    }
    if (biometric || (known && (device || card))) {
        add(assurance, "mfa");
    }
}

unsigned xt_assurance_most(unsigned factors)
{
    struct xt_assurance assurance;
    xt_assurance_of(factors, XT_UNLOCK_BIOMETRIC, &assurance);
    return assurance.level;
}
