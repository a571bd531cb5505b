/* net/metadata: GET /.well-known/oauth-authorization-server (RFC 8414): where what is and how it is asked for; only
 * what is served. */
#include "net/route.h"

#define MAX_AGE_S 3600

static void write_url(struct xt_writer *writer, const char *name, const char *issuer,
                      const char *path)
{
    xt_write_literal(writer, ",\"");
    xt_write_string(writer, name);
    xt_write_literal(writer, "\":\"");
    xt_write_string(writer, issuer);
    xt_write_string(writer, path);
    xt_write_byte(writer, '"');
}

void xt_handle_metadata(struct xt_call *call, struct xt_answer *answer)
{
    struct xt_service *service = call->service;
    const char *issuer = service->issuer;
    struct xt_writer writer = xt_writer_over(service->scratch, sizeof(service->scratch));
    if (issuer[0] == '\0') {
        xt_call_refuse(call, XT_PROBLEM_NOT_READY, NULL, answer);
        return;
    }
    xt_write_literal(&writer, "{\"issuer\":\"");
    xt_write_string(&writer, issuer);
    xt_write_byte(&writer, '"');
    write_url(&writer, "jwks_uri", issuer, "/.well-known/jwks.json");
    write_url(&writer, "introspection_endpoint", issuer, "/v1/introspect");
    write_url(&writer, "revocation_endpoint", issuer, "/v1/revoke");
    write_url(&writer, "token_endpoint", issuer, "/v1/token");
    write_url(&writer, "backchannel_authentication_endpoint", issuer, "/v1/backchannel/authorize");
    write_url(&writer, "service_documentation", issuer, "/openapi.json");
    xt_write_literal(&writer,
                     ",\"response_types_supported\":[]"
                     ",\"grant_types_supported\":[\"urn:openid:params:grant-type:ciba\"]"
                     ",\"backchannel_token_delivery_modes_supported\":[\"poll\"]"
                     ",\"backchannel_user_code_parameter_supported\":false"
                     ",\"scopes_supported\":[\"openid\"],\"subject_types_supported\":[\"pairwise\"]"
                     ",\"acr_values_supported\":[\"1\",\"2\",\"3\",\"4\"]"
                     ",\"id_token_signing_alg_values_supported\":[\"EdDSA\"]"
                     ",\"token_endpoint_auth_methods_supported\":[\"tls_client_auth\"]"
                     ",\"introspection_endpoint_auth_methods_supported\":[\"tls_client_auth\"]"
                     ",\"revocation_endpoint_auth_methods_supported\":[\"tls_client_auth\"]"
                     ",\"tls_client_certificate_bound_access_tokens\":true}");
    xt_require(!writer.overflow);
    *answer = (struct xt_answer){
        .status = 200, .type = XT_TYPE_JSON, .body = xt_written(&writer), .max_age_s = MAX_AGE_S};
}
