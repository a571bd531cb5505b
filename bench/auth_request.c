/* What `auth` asks the server for. */
#include <stdio.h>

#include "bench/auth_internal.h"
#include "core/jose.h"

static struct xt_span post(struct xt_auth_request *request, const char *target, const char *body)
{
    return xt_wire_request(target, XT_WIRE_JSON, xt_span_of_string(body), request->room,
                           sizeof(request->room));
}

struct xt_span xt_auth_ask(struct xt_auth_request *request, unsigned person,
                           enum xt_auth_factor factor)
{
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX];
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"factor\":\"%s\",\"audience\":\"bench\"}",
                   id, factor == XT_AUTH_CARD_CHIP ? "card_chip" : "device_key");
    return post(request, "/v1/challenges", body);
}

struct xt_span xt_auth_try_passcode(struct xt_auth_request *request, unsigned person)
{
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX];
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"passcode\","
                   "\"value\":\"not his\"}]}",
                   id);
    return post(request, "/v1/authenticate", body);
}

struct xt_span xt_auth_try_key(struct xt_auth_request *request, unsigned person,
                               enum xt_auth_factor factor, const struct xt_holder_signer *signer,
                               struct xt_span answer)
{
    static const char name[] = "\"challenge\":\"";
    uint8_t signature[XT_HOLDER_SIGNATURE];
    char id[XT_AUTH_ID], body[XT_AUTH_BODY_MAX], text[96];
    const uint8_t *at = memmem(answer.data, answer.size, name, sizeof(name) - 1);
    if (at == NULL || at + sizeof(name) - 1 + XT_CHALLENGE_CHARACTERS > answer.data + answer.size) {
        return xt_span_of(NULL, 0);
    }
    struct xt_span challenge = xt_span_of(at + sizeof(name) - 1, XT_CHALLENGE_CHARACTERS);
    if (xt_holder_sign(signer, challenge, signature) != XT_OK) {
        return xt_span_of(NULL, 0);
    }
    struct xt_writer writer = xt_writer_over((uint8_t *)text, sizeof(text) - 1);
    xt_base64url_write(&writer, xt_span_of(signature, sizeof(signature)));
    text[writer.size] = '\0';
    xt_auth_person_id(person, id);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"audience\":\"bench\",\"factors\":[{\"type\":\"%s\","
                   "\"challenge\":\"%.*s\",\"signature\":\"%s\"}]}",
                   id,
                   factor == XT_AUTH_CARD_CHIP ? "card_chip"
                                               : "device_key\",\"device_id\":\"" XT_AUTH_DEVICE,
                   XT_CHALLENGE_CHARACTERS, (const char *)challenge.data, text);
    return post(request, "/v1/authenticate", body);
}
