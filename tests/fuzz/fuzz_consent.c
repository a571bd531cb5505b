/* Citizens' consents and the requests about them: all readers take or refuse every text; what they take is within bounds
 * and was all of it said; and no text counts but one that the key has signed. */
#include "core/consent.h"

#include "crypto/holder_key.h"
#include "tests/fuzz/fuzz.h"

static uint8_t memory[1 << 20];
static const struct xt_json_arena arena = {memory, sizeof(memory)};

static void look(enum xt_status status, const struct xt_request_errors *errors)
{
    xt_require((status == XT_OK) == (errors->count == 0));
    xt_require(errors->count <= XT_REQUEST_ERRORS_MAX);
    for (unsigned i = 0; i < errors->count; i++) {
        xt_require(memchr(errors->list[i].pointer, '\0', sizeof(errors->list[i].pointer)) != NULL);
        xt_require(errors->list[i].code != NULL);
    }
}

static void look_at_consent(const uint8_t *data, size_t size)
{
    struct xt_consent_text consent;
    struct xt_span text = xt_span_of(data, size);
    if (xt_consent_read(text, arena, &consent) != XT_OK) {
        return;
    }
    xt_require(size <= XT_CONSENT_MAX && consent.signed_part.data == data);
    xt_require(consent.signed_part.size + 1 + (XT_JOSE_SIGNATURE * 4 + 2) / 3 == size);
    xt_require(consent.device_id.size > 0 && consent.device_id.size <= XT_DEVICE_ID_MAX);
    xt_require(xt_policy_name_is_valid(consent.partner));
    xt_require(xt_policy_name_is_valid(consent.purpose));
    xt_require(consent.attributes != 0 && (consent.attributes & ~XT_ATTRIBUTE_ALL) == 0);
    xt_require(consent.expires_s > consent.issued_s &&
               consent.expires_s - consent.issued_s <= XT_CONSENT_LIFETIME_MAX_S);
    xt_require(strlen(consent.handle_text) == XT_CONSENT_HANDLE_TEXT);
    xt_require(xt_consent_is_in_time(&consent, consent.issued_s));
    xt_require(!xt_consent_is_in_time(&consent, consent.expires_s));
    xt_require(xt_holder_verify(xt_holder_nobody(), consent.signed_part, consent.signature) !=
               XT_OK);
}

void fuzz_one(uint8_t *data, size_t size)
{
    struct xt_attributes_request request;
    struct xt_request_errors errors = {0};
    struct xt_id id;
    uint8_t handle[XT_CONSENT_HANDLE];
    uint8_t *copy = fuzz_copy(data, size, 0);
    look_at_consent(copy, size);
    free(copy);
    copy = fuzz_copy(data, size, 4);
    enum xt_status status = xt_attributes_request_from_json(copy, size, arena, &request, &errors);
    look(status, &errors);
    if (status == XT_OK) {
        xt_require(request.attributes != 0 && request.consent.size > 0);
        look_at_consent(request.consent.data, request.consent.size);
    }
    free(copy);
    copy = fuzz_copy(data, size, 4);
    look(xt_revoke_request_from_json(copy, size, arena, &id, handle, &errors), &errors);
    free(copy);
}
