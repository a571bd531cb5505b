/* core/token: the claims of an access token (RFC 9068), as we write and read them.
 *
 *   {"iss":"https://id.example.vn","sub":"<43>","aud":"portal","client_id":"portal","iat":1,"exp":601,
 *    "jti":"<22>","acr":"2","amr":["hwk","pin","mfa"],"cnf":{"x5t#S256":"<43>"}}
 *
 * sub: base64url of 32 bytes, another for each partner; never a number. jti: base64url of 16 bytes, from which
 * only the server can tell the person. acr: the level of authentication, 1 to 4 (Decree 69/2024, art. 20).
 * amr: RFC 8176. cnf: the certificate of the partner that it was given to (RFC 8705, section 3.1).
 * Reading takes nothing else: every member stands there once, in any order, and none besides.
 * Pure: no clock, no allocation. A token is personal data: it stands in no log and no error.
 */
#ifndef XT_CORE_TOKEN_H
#define XT_CORE_TOKEN_H

#include "core/person.h"

#define XT_TOKEN_LIFETIME_MAX_S 900
#define XT_TOKEN_LEEWAY_S 5   /* between the clocks of two nodes */
#define XT_TOKEN_TEXT_MAX 128 /* bytes of iss and aud */
#define XT_TOKEN_METHODS_MAX 8
#define XT_TOKEN_METHOD_MAX 16 /* bytes of one of amr */
#define XT_TOKEN_SUBJECT 32
#define XT_TOKEN_HANDLE 16
#define XT_TOKEN_CERTIFICATE 32
#define XT_TOKEN_CLAIMS_MAX 1024 /* bytes of the JSON */
#define XT_TOKEN_ARENA 8192      /* bytes that reading takes */

struct xt_token {
    struct xt_span issuer, audience, client; /* client: a partner's name */
    uint8_t subject[XT_TOKEN_SUBJECT];
    int64_t issued_s, expires_s; /* Unix seconds, not negative */
    uint8_t handle[XT_TOKEN_HANDLE];
    unsigned level; /* 1 to 4 */
    struct xt_span methods[XT_TOKEN_METHODS_MAX];
    unsigned method_count; /* at least one */
    uint8_t certificate[XT_TOKEN_CERTIFICATE];
    /* Of one that was read: what xt_token_members_write writes of it; empty: not at hand. */
    struct xt_span members;
};

/* Whether text may be an iss or aud: 1 to XT_TOKEN_TEXT_MAX printable ASCII characters without space, quotation
 * mark and backslash (so that JSON has nothing to escape). */
bool xt_token_text_is_valid(struct xt_span text);

/* Every text must be valid, and so must the numbers; XT_TOKEN_CLAIMS_MAX bytes are enough. */
void xt_token_claims_write(const struct xt_token *token, struct xt_writer *writer);

/* The claims of the ID token (OpenID Connect Core, section 2) that goes with it: iss, sub, aud (the client), iat, exp,
 * auth_time, acr, amr. */
void xt_token_id_claims_write(const struct xt_token *token, int64_t authenticated_s,
                              struct xt_writer *writer);

/* Texts are in the arena (XT_TOKEN_ARENA). XT_INVALID: not such an object. */
XT_MUST_USE enum xt_status xt_token_claims_read(struct xt_span json, struct xt_json_arena arena,
                                                struct xt_token *token);

/* Members that answers have in common with the claims: "exp":...,"iat":... and so on, without the braces. */
void xt_token_members_write(const struct xt_token *token, struct xt_writer *writer);

/* What a token's text reveals of when it counts: it does at now_s. */
bool xt_token_is_in_time(const struct xt_token *token, int64_t now_s);

#endif
