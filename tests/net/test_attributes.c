/* POST /v1/attributes and /v1/consents/... of the real server, two workers, over TLS, with consents that devices of both
 * kinds have signed. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/jose.h"
#include "crypto/keyring.h"
#include "tests/net/citizens.h"
#include "tests/test.h"

#define FIELDS "Content-Type: application/json\r\n"
#define OPEN "account.open"
#define CLIENTS 12 /* so many that both workers have some */
#define TEXT 2048  /* bytes of a consent */

static const char *const two_workers[] = {"--workers", "2", NULL};
static struct server server;
static struct test_client *bank, *clinic, *backend, *portal;

static bool add_partner(const char *name, const char *rights)
{
    return run(xacthuc(), "partner", "add", deployment("DIR"), name, "--purpose", OPEN,
               "--attributes", "full_name,date_of_birth,sex,ethnicity", "--purpose", "much",
               "--attributes", "full_name,home_town,place_of_birth,father_name,mother_name,vehicle",
               "--purpose", "two.factors", "--attributes", "full_name", "--least-level", "2",
               "--purpose", "all.factors", "--attributes", "full_name", "--least-level", "4",
               "--purpose", "claims.only", "--claims", "full_name", "--right", rights, "--issue",
               deployment("issued"), NULL) == 0;
}

static void connect_all(void)
{
    bank = connect_patiently(&server, "bank");
    clinic = connect_patiently(&server, "clinic");
    backend = connect_patiently(&server, "backend");
    portal = connect_patiently(&server, "portal");
}

static void disconnect_all(void)
{
    test_client_close(bank);
    test_client_close(clinic);
    test_client_close(backend);
    test_client_close(portal);
}

static int begin(void **state)
{
    if (citizens_make(state) != 0 || !add_partner("bank", "attributes") ||
        !add_partner("clinic", "attributes,sensitive")) {
        return 1;
    }
    server_start_with(&server, "answer_timeout = 1m\n", two_workers);
    if (!wait_until_attempts_are_taken(&server)) {
        return 1;
    }
    connect_all();
    return 0;
}

static int end(void **state)
{
    disconnect_all();
    int status = server_stop(&server);
    return deployment_remove(state) != 0 ? 1 : status;
}

/* ---- consents ----------------------------------------------------------------------------------- */

/* What a citizen signs; whatever is NULL or 0 is as it ought to be. */
struct form {
    unsigned signer; /* whose device signs */
    const char *header, *kid, *alg, *typ, *aud, *purpose, *attributes, *jti, *payload;
    long iat, exp; /* seconds from now */
};

static void write_base64url(struct xt_writer *writer, const char *text)
{
    xt_base64url_write(writer, xt_span_of_string(text));
}

static void new_jti(char jti[23])
{
    uint8_t bytes[16];
    struct xt_writer writer = xt_writer_over(jti, 22);
    xt_random(bytes, sizeof(bytes));
    xt_base64url_write(&writer, xt_span_of(bytes, sizeof(bytes)));
    jti[22] = '\0';
}

#define OR(value, usual) ((value) != NULL ? (value) : (usual))

static void write_signed_part(const struct form *form, char text[TEXT])
{
    char header[512], payload[1024], jti[23];
    long now = (long)time(NULL);
    bool ed25519 = form->signer % 2 == 1;
    new_jti(jti);
    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"%s\",\"kid\":\"%s\"}",
             OR(form->alg, ed25519 ? "EdDSA" : "ES256"), OR(form->typ, "consent+jwt"),
             OR(form->kid, citizen_device(form->signer)));
    snprintf(payload, sizeof(payload),
             "{\"aud\":\"%s\",\"purpose\":\"%s\",\"attributes\":[%s],\"iat\":%ld,\"exp\":%ld,"
             "\"jti\":\"%s\"}",
             OR(form->aud, "bank"), OR(form->purpose, OPEN),
             OR(form->attributes, "\"full_name\",\"date_of_birth\""), now + form->iat,
             now + (form->exp != 0 ? form->exp : 3600), OR(form->jti, jti));
    struct xt_writer writer = xt_writer_over(text, TEXT - 1);
    write_base64url(&writer, OR(form->header, header));
    xt_write_byte(&writer, '.');
    write_base64url(&writer, OR(form->payload, payload));
    assert_false(writer.overflow);
    text[writer.size] = '\0';
}

/* The compact form; of the last one made by the calls below it. */
static const char *consent_of(struct form form)
{
    static char texts[4][TEXT];
    static unsigned next;
    char *text = texts[next++ % 4], signature[87];
    write_signed_part(&form, text);
    sign_as_device(form.signer, text, signature);
    size_t size = strlen(text);
    snprintf(text + size, TEXT - size, ".%s", signature);
    return text;
}

/* Of the person himself: full name and date of birth, to the bank, for an hour. */
static const char *usual(unsigned n)
{
    return consent_of((struct form){.signer = n});
}

/* ---- asking ------------------------------------------------------------------------------------- */

static int ask_for(struct test_client *client, const char *id, const char *purpose,
                   const char *attributes, const char *consent, struct test_response *response)
{
    static char body[16384];
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"%s\",\"attributes\":[%s],\"consent\":\"%s\"}", id,
             purpose, attributes, consent);
    assert_true(test_client_request(client, "POST", "/v1/attributes", FIELDS, body, response));
    return response->status;
}

static void expect(struct test_response *response, int status, const char *wanted)
{
    if (response->status != status || strstr(response->body, wanted) == NULL) {
        fail_msg("%d %s, not %d %s", response->status, response->body, status, wanted);
    }
    test_response_release(response);
}

/* The bank asks for the full name. */
static void expect_for(unsigned n, const char *consent, int status, const char *wanted)
{
    struct test_response response;
    (void)ask_for(bank, citizen_id(n), OPEN, "\"full_name\"", consent, &response);
    expect(&response, status, wanted);
}

static void given(unsigned n, const char *consent)
{
    expect_for(n, consent, 200, "\"attributes\":{\"full_name\":\"Nguyễn Văn An\"}}");
}

static void refused(unsigned n, const char *consent)
{
    expect_for(n, consent, 403, "\"code\":\"consent_refused\"");
}

static void malformed(const char *consent)
{
    expect_for(2, consent, 400, "\"errors\":[{\"pointer\":\"/consent\",\"code\":\"bad_consent\"}]");
}

static void about_consents(const char *action, unsigned n, const char *reference, int status,
                           const char *wanted)
{
    char path[64], body[256];
    struct test_response response;
    snprintf(path, sizeof(path), "/v1/consents/%s", action);
    snprintf(body, sizeof(body), "{\"id\":\"%s\"%s%s%s}", citizen_id(n),
             reference == NULL ? "" : ",\"consent_ref\":\"", reference == NULL ? "" : reference,
             reference == NULL ? "" : "\"");
    assert_true(test_client_request(backend, "POST", path, FIELDS, body, &response));
    assert_null(strstr(response.body, citizen_id(n)));
    expect(&response, status, wanted);
}

static void revoke_consent(unsigned n, const char *reference)
{
    about_consents("revoke", n, reference, 200, "\"revoked_at\":\"20");
}

static void change_account(const char *action, unsigned n, const char *members)
{
    char path[64], body[512];
    struct test_response response;
    snprintf(path, sizeof(path), "/v1/accounts/%s", action);
    snprintf(body, sizeof(body), "{\"id\":\"%s\",%s}", citizen_id(n), members);
    assert_true(test_client_request(backend, "POST", path, FIELDS, body, &response));
    expect(&response, 200, "");
}

/* ---- what leaves -------------------------------------------------------------------------------- */

static void both_kinds_of_keys_give_what_they_signed(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) { /* Ed25519 and P-256 */
        struct test_response response;
        char jti[23], wanted[64];
        new_jti(jti);
        const char *consent = consent_of((struct form){.signer = n, .jti = jti});
        snprintf(wanted, sizeof(wanted), "\"consent_ref\":\"%s\",\"expires_at\":\"20", jti);
        for (unsigned use = 0; use < 3; use++) { /* put on record, and then read */
            assert_int_equal(ask_for(bank, citizen_id(n), OPEN, "\"date_of_birth\",\"full_name\"",
                                     consent, &response),
                             200);
            assert_non_null(strstr(response.body, "{\"answer_id\":\""));
            assert_non_null(strstr(response.body, "\",\"answered_at\":\"20"));
            assert_non_null(strstr(response.body, wanted));
            assert_null(strstr(response.body, citizen_id(n)));
            expect(&response, 200,
                   "\"attributes\":{\"full_name\":\"Nguyễn Văn An\","
                   "\"date_of_birth\":\"1999-01-25\"}}");
        }
    }
}

static void nothing_leaves_that_was_not_asked_for_or_not_signed(void **state)
{
    (void)state;
    struct test_response response;
    const char *consent = usual(3);
    given(3, consent); /* asked for one of two */
    (void)ask_for(bank, citizen_id(3), OPEN, "\"full_name\",\"sex\"", consent, &response);
    assert_null(strstr(response.body, "Nguy"));
    expect(&response, 403, "\"code\":\"consent_refused\"");
    (void)ask_for(bank, citizen_id(3), OPEN, "\"sex\"", consent, &response);
    expect(&response, 403, "\"code\":\"consent_refused\"");
}

static void the_policy_decides_before_the_consent(void **state)
{
    (void)state;
    struct test_response response;
    const char *all = "\"full_name\",\"ethnicity\",\"address\"";
    const char *consent = consent_of((struct form){.signer = 3, .attributes = all});
    (void)ask_for(bank, citizen_id(3), OPEN, "\"address\"", consent, &response);
    expect(&response, 403, "\"code\":\"attribute_not_permitted\"");
    (void)ask_for(bank, citizen_id(3), OPEN, "\"ethnicity\"", consent, &response);
    expect(&response, 403, "\"errors\":[{\"pointer\":\"/attributes\",\"code\":\"not_permitted\"}]");
    (void)ask_for(bank, citizen_id(3), "claims.only", "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"attribute_not_permitted\"");
    (void)ask_for(bank, citizen_id(3), "nothing", "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"purpose_not_permitted\"");
    (void)ask_for(bank, citizen_id(3), "all.factors", "\"full_name\"", consent, &response);
    expect(&response, 403, "\"errors\":[{\"pointer\":\"/purpose\",\"code\":\"not_permitted\"}]");
    (void)ask_for(portal, citizen_id(3), OPEN, "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"endpoint_not_permitted\"");
    (void)ask_for(backend, citizen_id(3), OPEN, "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"endpoint_not_permitted\"");
    consent = consent_of((struct form){.signer = 3, .attributes = all, .aud = "clinic"});
    (void)ask_for(clinic, citizen_id(3), OPEN, "\"ethnicity\"", consent, &response);
    expect(&response, 200, "\"attributes\":{\"ethnicity\":\"Kinh\"}}");
}

static void a_level_is_reached_by_a_device_that_a_biometric_unlocks(void **state)
{
    (void)state;
    struct test_response response;
    for (unsigned i = 0; i < 2; i++) { /* at first use and at the next */
        for (unsigned n = CITIZEN_UNLOCKED; n < CITIZEN_UNLOCKED + 4; n++) {
            static char texts[4][TEXT];
            char *consent = texts[n - CITIZEN_UNLOCKED];
            if (i == 0) {
                snprintf(consent, TEXT, "%s",
                         consent_of((struct form){.signer = n, .purpose = "two.factors"}));
            }
            (void)ask_for(bank, citizen_id(n), "two.factors", "\"full_name\"", consent, &response);
            expect(&response, 200, "\"attributes\":{\"full_name\":");
        }
    }
    /* Only whose consent counts is told that his device is not enough. */
    const char *consent = consent_of((struct form){.signer = 20, .purpose = "two.factors"});
    (void)ask_for(bank, citizen_id(20), "two.factors", "\"full_name\"", consent, &response);
    assert_null(strstr(response.body, "Nguy"));
    expect(&response, 403, "\"code\":\"level_too_low\"");
    (void)ask_for(bank, citizen_id(21), "two.factors", "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"consent_refused\"");
    (void)ask_for(bank, citizen_id(CITIZENS), "two.factors", "\"full_name\"", consent, &response);
    expect(&response, 403, "\"code\":\"consent_refused\"");
    (void)ask_for(bank, citizen_id(20), "two.factors", "\"full_name\"", usual(20), &response);
    expect(&response, 403, "\"code\":\"consent_refused\"");
}

/* Larger than what other answers have room for: at first use, at the next, and many in one go. */
static void large_answers_go_out_whole(void **state)
{
    (void)state;
    static char body[TEXT + 512], request[TEXT + 1024];
    static const char wanted[] = "\"full_name\",\"home_town\",\"place_of_birth\",\"father_name\","
                                 "\"mother_name\",\"vehicle\"";
    struct test_response response;
    const char *consent = consent_of(
        (struct form){.signer = CITIZEN_WITH_MUCH, .purpose = "much", .attributes = wanted});
    size_t size = 0;
    for (unsigned use = 0; use < 2; use++) {
        assert_int_equal(
            ask_for(bank, citizen_id(CITIZEN_WITH_MUCH), "much", wanted, consent, &response), 200);
        assert_true(response.body_size > 10000);
        assert_true(size == 0 || size == response.body_size);
        size = response.body_size;
        test_response_release(&response);
    }
    snprintf(body, sizeof(body),
             "{\"id\":\"%s\",\"purpose\":\"much\",\"attributes\":[%s],\"consent\":\"%s\"}",
             citizen_id(CITIZEN_WITH_MUCH), wanted, consent);
    snprintf(request, sizeof(request),
             "POST /v1/attributes HTTP/1.1\r\nHost: localhost\r\n" FIELDS
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    for (unsigned i = 0; i < 16; i++) {
        assert_true(test_client_send_text(bank, request));
    }
    for (unsigned i = 0; i < 16; i++) {
        assert_true(test_client_response(bank, false, &response));
        assert_true(response.status == 200 && response.body_size == size);
        assert_string_equal(response.body + size - 2, "}}");
        test_response_release(&response);
    }
}

/* ---- what is refused ---------------------------------------------------------------------------- */

/* The answer without its id; the head without the time. */
static void same_but_for_its_id(const char *what, struct test_response *response)
{
    static char first[2048];
    char *id = strstr(response->body, "\"answer_id\":\"");
    assert_non_null(id);
    memset(id + strlen("\"answer_id\":\""), 'x', 26);
    char *date = strstr(response->head, "Date: ");
    assert_non_null(date);
    memset(date, 'x', strcspn(date, "\r"));
    char whole[2048];
    snprintf(whole, sizeof(whole), "%s%s", response->head, response->body);
    if (first[0] == '\0') {
        memcpy(first, whole, sizeof(first));
    } else if (strcmp(first, whole) != 0) {
        fail_msg("%s: %s, not %s", what, whole, first);
    }
    test_response_release(response);
}

static void refused_alike(const char *what, unsigned n, const char *consent)
{
    struct test_response response;
    (void)ask_for(bank, citizen_id(n), OPEN, "\"full_name\"", consent, &response);
    if (response.status != 403 || strstr(response.body, "consent_refused") == NULL) {
        fail_msg("%s: %d %s", what, response.status, response.body);
    }
    same_but_for_its_id(what, &response);
}

static void whatever_does_not_count_looks_alike(void **state)
{
    (void)state;
    refused_alike("nobody", CITIZENS, usual(CITIZENS));
    refused_alike("locked", CITIZEN_LOCKED, usual(CITIZEN_LOCKED));
    refused_alike("dead", CITIZEN_DEAD, usual(CITIZEN_DEAD));
    refused_alike("no account", CITIZEN_WITHOUT_ACCOUNT, usual(CITIZEN_WITHOUT_ACCOUNT));
    refused_alike("unknown device", 4, consent_of((struct form){.signer = 4, .kid = "phone"}));
    refused_alike("another's signature", 4,
                  consent_of((struct form){.signer = 6, .kid = citizen_device(4)}));
    refused_alike("another's consent", 4, usual(6));
    refused_alike("another kind of key", 4,
                  consent_of((struct form){.signer = 5, .alg = "EdDSA", .kid = citizen_device(4)}));
    refused_alike("another algorithm", 4, consent_of((struct form){.signer = 4, .alg = "EdDSA"}));
    refused_alike("another algorithm", 5, consent_of((struct form){.signer = 5, .alg = "ES256"}));
    refused_alike("another partner", 4, consent_of((struct form){.signer = 4, .aud = "clinic"}));
    refused_alike("another purpose", 4, consent_of((struct form){.signer = 4, .purpose = "much"}));
    refused_alike("another attribute", 4,
                  consent_of((struct form){.signer = 4, .attributes = "\"sex\""}));
    refused_alike("over", 4, consent_of((struct form){.signer = 4, .iat = -60, .exp = -1}));
    refused_alike("not begun", 4, consent_of((struct form){.signer = 4, .iat = 120}));
}

static void wrong_signatures_are_refused(void **state)
{
    (void)state;
    static const uint8_t n[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    static const uint8_t low_order[][32] = {
        {0},
        {1},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05}};
    static const uint8_t zero[32], one[32] = {[31] = 1};
    const struct {
        unsigned signer;
        const uint8_t *left, *right;
    } CASES[] = {
        {2, zero, zero},
        {2, zero, one},
        {2, one, zero},
        {2, n, one},
        {2, one, n},
        {2, n, n},
        {2, one, one},
        {1, low_order[0], zero},
        {1, low_order[1], zero},
        {1, low_order[2], zero},
        {1, low_order[3], zero},
        {1, low_order[1], one},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char text[TEXT];
        uint8_t bytes[64];
        write_signed_part(&(struct form){.signer = CASES[i].signer}, text);
        memcpy(bytes, CASES[i].left, 32);
        memcpy(bytes + 32, CASES[i].right, 32);
        size_t size = strlen(text);
        struct xt_writer writer = xt_writer_over(text + size, TEXT - size - 1);
        xt_write_byte(&writer, '.');
        xt_base64url_write(&writer, xt_span_of(bytes, sizeof(bytes)));
        writer.data[writer.size] = '\0';
        refused(CASES[i].signer, text);
    }
}

/* Flips a bit in every tenth character of what was signed, and of the signature. */
static void a_changed_consent_is_refused(void **state)
{
    (void)state;
    for (unsigned signer = 1; signer <= 2; signer++) {
        char text[TEXT];
        snprintf(text, sizeof(text), "%s", usual(signer));
        size_t size = strlen(text);
        for (size_t i = size - 87; i < size - 2; i += 10) {
            char was = text[i];
            if (was == '.') {
                continue;
            }
            text[i] = was == 'A' ? 'B' : 'A';
            refused(signer, text);
            text[i] = was;
        }
        given(signer, text);
    }
}

static void what_is_wrong_on_its_face_is_malformed(void **state)
{
    (void)state;
    static const char kid[] = "phone-2";
    char key[160], text[TEXT], longer[9000];
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"typ\":\"consent+jwt\",\"kid\":\"phone-2\"}",
        "{\"alg\":\"HS256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-2\"}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-2\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-2\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\",\"kid\":\"phone-2\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"typ\":\"consent+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"phone-2\"}",
        "{}",
        "[]",
        "x",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        malformed(consent_of((struct form){.signer = 2, .header = headers[i]}));
    }
    malformed(consent_of((struct form){.signer = 2, .typ = "JWT"}));
    malformed(consent_of((struct form){.signer = 2, .typ = "at+jwt"}));
    malformed(consent_of((struct form){.signer = 2, .exp = 366L * 86400}));
    malformed(consent_of((struct form){.signer = 2, .jti = "short"}));
    malformed(consent_of((struct form){.signer = 2, .attributes = "\"*\""}));
    malformed(consent_of((struct form){.signer = 2, .attributes = "\"sex\",\"sex\""}));
    malformed(consent_of((struct form){.signer = 2, .aud = "bank\",\"aud\":\"bank"}));
    malformed(consent_of((struct form){.signer = 2, .aud = "bank\",\"sub\":\"x"}));
    malformed(consent_of((struct form){.signer = 2, .payload = "{}"}));
    malformed(consent_of((struct form){.signer = 2, .payload = "null"}));
    /* The public key as the secret of an HMAC: whatever stands there, no algorithm of that kind is known. */
    write_device_key(2, key);
    snprintf(text, sizeof(text), "%s",
             consent_of((struct form){.signer = 2, .alg = "HS256", .kid = kid}));
    strrchr(text, '.')[1] = '\0';
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.43s", key);
    malformed(text);
    snprintf(text, sizeof(text), "%s", usual(2));
    strrchr(text, '.')[1] = '\0'; /* without a signature */
    malformed(text);
    strrchr(text, '.')[0] = '\0';
    malformed(text);
    snprintf(text, sizeof(text), "%s=", usual(2));
    malformed(text);
    snprintf(text, sizeof(text), "%sAA", usual(2)); /* bytes behind it, as DER has them as well */
    malformed(text);
    snprintf(text, sizeof(text), "%s.AA", usual(2));
    malformed(text);
    snprintf(text, sizeof(text), " %s", usual(2));
    malformed(text);
    memset(longer, 'A', sizeof(longer));
    longer[5000] = '\0';
    malformed(longer);
}

static void a_body_that_is_too_long_is_not_read(void **state)
{
    (void)state;
    char longer[9000];
    memset(longer, 'A', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    expect_for(2, longer, 413, "\"code\":\"body_too_large\"");
}

/* ---- replays ------------------------------------------------------------------------------------ */

static void a_name_is_good_for_one_content(void **state)
{
    (void)state;
    char jti[23];
    new_jti(jti);
    given(7, consent_of((struct form){.signer = 7, .jti = jti}));
    refused(7, consent_of((struct form){.signer = 7, .jti = jti, .exp = 7200}));
    refused(7, consent_of((struct form){.signer = 7, .jti = jti, .attributes = "\"full_name\""}));
    refused(7, consent_of((struct form){
                   .signer = 7, .jti = jti, .attributes = "\"full_name\",\"ethnicity\""}));
}

/* Whatever others have given or taken back under the same name. */
static void a_name_is_of_one_person_alone(void **state)
{
    (void)state;
    char jti[23], his[TEXT], hers[TEXT];
    new_jti(jti);
    snprintf(his, sizeof(his), "%s", consent_of((struct form){.signer = 7, .jti = jti}));
    snprintf(hers, sizeof(hers), "%s", consent_of((struct form){.signer = 8, .jti = jti}));
    revoke_consent(6, jti); /* which he has never given */
    given(7, his);
    given(8, hers);
    revoke_consent(8, jti);
    refused(8, hers);
    given(7, his);
    about_consents("list", 7, NULL, 200, jti);
    revoke_consent(7, jti);
    refused(7, his);
}

/* Two requests with the same new consent at the same time, on two connections. */
static void two_first_uses_at_once_are_one_consent(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        static char request[TEXT + 1024], body[TEXT + 512];
        struct test_client *other = connect_patiently(&server, "bank");
        struct test_client *both[2] = {bank, other};
        snprintf(body, sizeof(body),
                 "{\"id\":\"%s\",\"purpose\":\"" OPEN "\",\"attributes\":[\"full_name\"],"
                 "\"consent\":\"%s\"}",
                 citizen_id(9), usual(9));
        snprintf(request, sizeof(request),
                 "POST /v1/attributes HTTP/1.1\r\nHost: localhost\r\n" FIELDS
                 "Content-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
        for (unsigned i = 0; i < 2; i++) {
            assert_true(test_client_send_text(both[i], request));
        }
        for (unsigned i = 0; i < 2; i++) {
            struct test_response response;
            assert_true(test_client_response(both[i], false, &response));
            expect(&response, 200, "Nguyễn Văn An");
        }
        test_client_close(other);
    }
}

/* ---- revoking ----------------------------------------------------------------------------------- */

static void revoked_is_revoked_everywhere_before_it_is_answered(void **state)
{
    (void)state;
    struct test_client *clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = connect_patiently(&server, "bank");
    }
    for (unsigned round = 0; round < 5; round++) {
        struct test_response response;
        char jti[23];
        new_jti(jti);
        const char *consent = consent_of((struct form){.signer = 10, .jti = jti});
        for (unsigned i = 0; i < CLIENTS; i++) {
            (void)ask_for(clients[i], citizen_id(10), OPEN, "\"full_name\"", consent, &response);
            expect(&response, 200, "Nguyễn Văn An");
        }
        revoke_consent(10, jti);
        for (unsigned i = 0; i < CLIENTS; i++) {
            (void)ask_for(clients[i], citizen_id(10), OPEN, "\"full_name\"", consent, &response);
            expect(&response, 403, "\"code\":\"consent_refused\"");
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        test_client_close(clients[i]);
    }
}

static void what_was_never_used_is_revoked_as_well(void **state)
{
    (void)state;
    char jti[23], wanted[128];
    new_jti(jti);
    const char *consent = consent_of((struct form){.signer = 17, .jti = jti});
    revoke_consent(17, jti);
    refused(17, consent);
    snprintf(wanted, sizeof(wanted), "\"consents\":[{\"consent_ref\":\"%s\",\"expires_at\":\"20",
             jti);
    about_consents("list", 17, NULL, 200, wanted);
}

static void the_citizen_sees_what_he_has_given(void **state)
{
    (void)state;
    char first[23], second[23], wanted[512];
    new_jti(first);
    new_jti(second);
    about_consents("list", 18, NULL, 200, "\"consents\":[]}");
    given(18, consent_of((struct form){.signer = 18, .jti = first}));
    given(18, consent_of((struct form){.signer = 18, .jti = second}));
    snprintf(wanted, sizeof(wanted),
             "\"consents\":[{\"consent_ref\":\"%s\",\"partner\":\"bank\",\"purpose\":\"" OPEN
             "\",\"attributes\":[\"full_name\",\"date_of_birth\"],\"given_at\":\"20",
             second); /* the newest first */
    about_consents("list", 18, NULL, 200, wanted);
    snprintf(wanted, sizeof(wanted), "{\"answer_id\":\"");
    about_consents("revoke", 18, second, 200, wanted);
    about_consents("list", 18, NULL, 200, "Z\",\"revoked_at\":\"20");
    about_consents("revoke", 18, second, 200, "\"revoked_at\":\"20"); /* again: as it is */
    revoke_consent(19, first); /* one of his own of that name, which he never used */
    about_consents("list", 18, NULL, 200, first);
    about_consents("list", 19, NULL, 200, first);
    about_consents("revoke", CITIZENS, first, 409, "\"code\":\"unknown_person\"");
    about_consents("list", CITIZENS, NULL, 409, "\"code\":\"unknown_person\"");
    about_consents("revoke", 18, "x", 400, "\"pointer\":\"/consent_ref\"");
    given(18, consent_of((struct form){.signer = 18})); /* others go on */
}

static void only_the_backend_lists_and_revokes(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v1/consents/list", "/v1/consents/revoke"};
    struct test_client *others[] = {bank, clinic, portal};
    for (unsigned i = 0; i < 6; i++) {
        struct test_response response;
        char body[128];
        snprintf(body, sizeof(body), "{\"id\":\"%s\"}", citizen_id(18));
        assert_true(
            test_client_request(others[i % 3], "POST", paths[i / 3], FIELDS, body, &response));
        expect(&response, 403, "\"code\":\"endpoint_not_permitted\"");
    }
}

static void there_is_an_end_to_how_many_he_gives(void **state)
{
    (void)state;
    struct test_response response;
    char body[64];
    const char *first = usual(20);
    given(20, first);
    char kept[TEXT];
    snprintf(kept, sizeof(kept), "%s", first);
    for (unsigned i = 1; i < 64; i++) {
        given(20, usual(20));
    }
    expect_for(20, usual(20), 409, "\"code\":\"too_many\"");
    given(20, kept); /* those there are go on */
    refused(20, consent_of((struct form){.signer = 22, .kid = citizen_device(20)}));
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", citizen_id(20));
    assert_true(test_client_request(backend, "POST", "/v1/consents/list", FIELDS, body, &response));
    unsigned count = 0;
    for (const char *at = response.body; (at = strstr(at, "\"consent_ref\"")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, 64);
    assert_true(response.body_size > 8192);
    expect(&response, 200, "]}");
}

/* ---- the account -------------------------------------------------------------------------------- */

static void locks_and_lost_devices_end_what_was_consented(void **state)
{
    (void)state;
    char members[512], key[160], consent[TEXT];
    snprintf(consent, sizeof(consent), "%s", usual(21));
    given(21, consent);
    change_account("lock", 21, "\"reason\":\"holder\"");
    refused(21, consent);
    change_account("unlock", 21, "\"reason\":\"holder\"");
    given(21, consent);
    snprintf(members, sizeof(members), "\"device_id\":\"%s\"", citizen_device(21));
    change_account("devices/remove", 21, members);
    refused(21, consent);
    refused(21, usual(21));
    write_device_key(23, key); /* another key under the same name */
    snprintf(members, sizeof(members),
             "\"device_id\":\"%s\",\"public_key\":\"%s\",\"evidence\":\"in_person\"",
             citizen_device(21), key);
    change_account("devices/add", 21, members);
    refused(21, consent);
    given(21, consent_of((struct form){.signer = 23, .kid = citizen_device(21)}));
}

/* By its key's second coming, whatever was signed before; used or not. */
static void a_device_that_comes_back_does_not_bring_back_what_it_signed(void **state)
{
    (void)state;
    char members[512], key[160], jti[23], used[TEXT], unused[TEXT], other[TEXT];
    new_jti(jti);
    snprintf(used, sizeof(used), "%s", consent_of((struct form){.signer = 25, .jti = jti}));
    snprintf(unused, sizeof(unused), "%s", consent_of((struct form){.signer = 25, .iat = -120}));
    snprintf(other, sizeof(other), "%s", consent_of((struct form){.signer = 34, .iat = -120}));
    given(25, used);
    snprintf(members, sizeof(members), "\"device_id\":\"%s\"", citizen_device(25));
    change_account("devices/remove", 25, members);
    refused(25, used);
    write_device_key(25, key);
    snprintf(members, sizeof(members),
             "\"device_id\":\"%s\",\"public_key\":\"%s\",\"evidence\":\"in_person\"",
             citizen_device(25), key);
    change_account("devices/add", 25, members);
    refused(25, used);
    refused(25, unused);
    refused(25, consent_of((struct form){.signer = 25, .jti = jti})); /* its name is spent */
    given(25, usual(25));
    given(25, consent_of((struct form){.signer = 25, .iat = -30})); /* a clock that is behind */
    given(34, other); /* of a device that was always there */
}

/* ---- processes that die ------------------------------------------------------------------------- */

static void kill_writer(void)
{
    pid_t before, now;
    assert_int_equal(server_writers(&server, &before, 1), 1);
    assert_int_equal(kill(before, SIGKILL), 0);
    assert_true(wait_until_gone(before, 10000));
    for (double until = now_s() + 30; now_s() < until; sleep_ms(20)) {
        if (server_writers(&server, &now, 1) == 1 && now != before) {
            break;
        }
    }
    assert_true(wait_until_attempts_are_taken(&server));
}

static void what_was_answered_for_holds_when_processes_die(void **state)
{
    (void)state;
    char jti[23], revoked[TEXT], kept[TEXT], changed[TEXT];
    new_jti(jti);
    snprintf(revoked, sizeof(revoked), "%s", consent_of((struct form){.signer = 24, .jti = jti}));
    given(24, revoked);
    revoke_consent(24, jti);
    new_jti(jti);
    snprintf(kept, sizeof(kept), "%s", consent_of((struct form){.signer = 24, .jti = jti}));
    snprintf(changed, sizeof(changed), "%s",
             consent_of((struct form){.signer = 24, .jti = jti, .exp = 7200}));
    given(24, kept);
    kill_writer();
    refused(24, revoked);
    refused(24, changed);
    given(24, kept);
    disconnect_all();
    assert_int_equal(kill(server.pid, SIGKILL), 0);
    (void)server_wait(&server, 30000);
    server_start_with(&server, NULL, two_workers);
    assert_true(wait_until_attempts_are_taken(&server));
    connect_all();
    refused(24, revoked);
    refused(24, changed);
    given(24, kept);
}

/* ---- what is written down ----------------------------------------------------------------------- */

static char *search(const char *partner)
{
    char command[512];
    snprintf(command, sizeof(command), "'%s' audit search '%s' --partner %s --json > '%s'",
             xacthuc(), deployment("DIR"), partner, deployment("found"));
    sleep_ms(1200); /* until the entries are on the disk and signed for */
    assert_int_equal(system(command), 0);
    return read_text(deployment("found"));
}

static void must_have(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no %s", part);
    }
}

static void uses_and_refusals_are_in_the_audit_log(void **state)
{
    (void)state;
    char jti[23], reference[64];
    new_jti(jti);
    const char *consent = consent_of((struct form){.signer = 26, .jti = jti});
    given(26, consent);
    given(26, consent);
    revoke_consent(26, jti);
    refused(26, consent);
    snprintf(reference, sizeof(reference), "\"consent_ref\":\"%s\"", jti);
    char *found = search("bank");
    unsigned uses = 0, given_in_log = 0;
    for (char *line = strtok(found, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strstr(line, reference) == NULL) {
            continue;
        }
        must_have(line, "\"route\":\"attributes\"");
        must_have(line, "\"purpose\":\"" OPEN "\"");
        must_have(line, "\"subject\":\"");
        if (uses == 0) {
            must_have(line, "\"event\":\"consent_given\",\"sequence\":");
        }
        bool left = strstr(line, "\"attributes\":{\"asked\":[\"full_name\"],"
                                 "\"given\":[\"full_name\"]}") != NULL;
        assert_int_equal(left, strstr(line, "\"status\":200") != NULL);
        must_have(line, left ? "\"status\":200" : "\"code\":\"consent_refused\"");
        uses++;
        given_in_log += left;
    }
    assert_int_equal(uses, 3);
    assert_int_equal(given_in_log, 2);
    free(found);
    found = search("backend");
    must_have(found, "\"event\":\"consent_revoked\",\"sequence\":");
    must_have(found, "\"route\":\"consents\"");
    must_have(found, reference);
    free(found);
}

static void nothing_of_a_person_is_logged(void **state)
{
    (void)state;
    char *log = server_log();
    char *found = search("bank");
    static const char *const parts[] = {"Nguy", "1999-01-25", "Kinh", "001099", "phone-", "eyJ"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_null(strstr(log, parts[i]));
        assert_null(strstr(found, parts[i]));
    }
    free(found);
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_of_keys_give_what_they_signed),
        cmocka_unit_test(nothing_leaves_that_was_not_asked_for_or_not_signed),
        cmocka_unit_test(the_policy_decides_before_the_consent),
        cmocka_unit_test(a_level_is_reached_by_a_device_that_a_biometric_unlocks),
        cmocka_unit_test(large_answers_go_out_whole),
        cmocka_unit_test(whatever_does_not_count_looks_alike),
        cmocka_unit_test(wrong_signatures_are_refused),
        cmocka_unit_test(a_changed_consent_is_refused),
        cmocka_unit_test(what_is_wrong_on_its_face_is_malformed),
        cmocka_unit_test(a_body_that_is_too_long_is_not_read),
        cmocka_unit_test(a_name_is_good_for_one_content),
        cmocka_unit_test(a_name_is_of_one_person_alone),
        cmocka_unit_test(two_first_uses_at_once_are_one_consent),
        cmocka_unit_test(revoked_is_revoked_everywhere_before_it_is_answered),
        cmocka_unit_test(what_was_never_used_is_revoked_as_well),
        cmocka_unit_test(the_citizen_sees_what_he_has_given),
        cmocka_unit_test(only_the_backend_lists_and_revokes),
        cmocka_unit_test(there_is_an_end_to_how_many_he_gives),
        cmocka_unit_test(locks_and_lost_devices_end_what_was_consented),
        cmocka_unit_test(a_device_that_comes_back_does_not_bring_back_what_it_signed),
        cmocka_unit_test(what_was_answered_for_holds_when_processes_die),
        cmocka_unit_test(uses_and_refusals_are_in_the_audit_log),
        cmocka_unit_test(nothing_of_a_person_is_logged),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
