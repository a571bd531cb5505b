#include "core/assurance.h"

static void add(struct xt_assurance *assurance, const char *method)
{
    assurance->methods[assurance->method_count++] = xt_span_of_string(method);
}

void xt_assurance_of(unsigned factors, struct xt_assurance *assurance)
{
    unsigned count = (unsigned)__builtin_popcount(factors);
    bool known = (factors & XT_FACTOR_PASSCODE) != 0;
    bool possessed = (factors & (XT_FACTOR_DEVICE_KEY | XT_FACTOR_CARD_CHIP)) != 0;
    *assurance = (struct xt_assurance){.level = count < 2 ? count : XT_ASSURANCE_MOST};
    if ((factors & XT_FACTOR_DEVICE_KEY) != 0) {
        add(assurance, "pop");
    }
    if ((factors & XT_FACTOR_CARD_CHIP) != 0) {
        add(assurance, "sc");
    }
    if (known) {
        add(assurance, "pwd");
    }
    if (known && possessed) {
        add(assurance, "mfa");
    }
}
