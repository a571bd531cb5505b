#include "crypto/holder_check.h"

#include <stdio.h>

#include "core/plain_text.h"
#include "crypto/holder_key.h"

#define DER_MOST 91                        /* bytes: of P-256; of Ed25519 it is less */
#define TEXT_MOST ((DER_MOST * 4 + 2) / 3) /* characters */

static bool is_key(struct xt_span text)
{
    uint8_t der[TEXT_MOST * 3 / 4 + 1];
    size_t size = 0;
    enum xt_holder_key kind;
    return text.size <= TEXT_MOST && xt_base64url_decode(text, der, &size) &&
           xt_holder_key_kind(xt_span_of(der, size), &kind) == XT_OK;
}

enum xt_status xt_holder_check_person(const struct xt_person *person, unsigned *which)
{
    *which = XT_HOLDER_CARD;
    if (person->card_public_key.size > 0 && !is_key(person->card_public_key)) {
        return XT_INVALID;
    }
    for (*which = 0; *which < person->device_count; ++*which) {
        if (!is_key(person->devices[*which].public_key)) {
            return XT_INVALID;
        }
    }
    return XT_OK;
}

enum xt_status xt_holder_reject(unsigned which, const char *within, const char *card,
                                struct xt_reject *reject)
{
    reject->code = "bad_key";
    if (which == XT_HOLDER_CARD) {
        (void)snprintf(reject->pointer, sizeof(reject->pointer), "%s%s", within, card);
    } else {
        (void)snprintf(reject->pointer, sizeof(reject->pointer), "%s/account/devices/%u/public_key",
                       within, which);
    }
    return XT_INVALID;
}
