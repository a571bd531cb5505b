#include "tests/net/citizens.h"

#include <stdlib.h>
#include <string.h>

#include "core/jose.h"
#include "crypto/holder_signer.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

/* "password", of the reference implementation's tests. */
#define PASSCODE_HASH                                                                              \
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define FIELDS "Content-Type: application/json\r\n"

enum { DEVICE = 1, CARD = 2 };

static struct xt_holder_signer *signer_of(unsigned n, uint8_t what)
{
    struct xt_holder_signer *signer = NULL;
    uint8_t seed[XT_HOLDER_SEED] = {what, (uint8_t)n, (uint8_t)(n >> 8)};
    enum xt_holder_key kind = what == DEVICE && n % 2 == 1 ? XT_HOLDER_ED25519 : XT_HOLDER_P256;
    assert_int_equal(xt_holder_signer_open(kind, seed, &signer), XT_OK);
    return signer;
}

static void write_base64url(const uint8_t *bytes, size_t size, char *text, size_t room)
{
    struct xt_writer writer = xt_writer_over((uint8_t *)text, room - 1);
    xt_base64url_write(&writer, xt_span_of(bytes, size));
    assert_false(writer.overflow);
    text[writer.size] = '\0';
}

static void write_key(unsigned n, uint8_t what, char text[160])
{
    uint8_t spki[XT_HOLDER_SPKI_MAX];
    struct xt_holder_signer *signer = signer_of(n, what);
    size_t size = xt_holder_signer_spki(signer, spki);
    write_base64url(spki, size, text, 160);
    xt_holder_signer_close(signer);
}

void write_device_key(unsigned n, char text[160])
{
    write_key(n, DEVICE, text);
}

const char *citizen_id(unsigned n)
{
    static _Thread_local char ids[8][16];
    static _Thread_local unsigned next;
    char *id = ids[next++ % 8];
    snprintf(id, sizeof(ids[0]), "001099%06u", 900000 + n % 99999);
    return id;
}

const char *citizen_device(unsigned n)
{
    static _Thread_local char names[8][16];
    static _Thread_local unsigned next;
    char *name = names[next++ % 8];
    snprintf(name, sizeof(names[0]), "phone-%u", n % 99999);
    return name;
}

/* ---- the deployment ----------------------------------------------------------------------------- */

/* Texts of quotation marks, which take twice the room in an answer. */
static void write_much(FILE *file)
{
    static const char *const texts[] = {"home_town", "place_of_birth", "father_name",
                                        "mother_name"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(fprintf(file, ",\"%s\":\"", texts[i]) > 0);
        for (unsigned j = 0; j < 500; j++) {
            assert_true(fputs("\\\"", file) >= 0);
        }
        assert_true(fputs("\"", file) >= 0);
    }
    assert_true(fputs(",\"links\":[", file) >= 0);
    for (unsigned i = 0; i < 64; i++) {
        assert_true(fprintf(file,
                            "%s{\"type\":\"vehicle\",\"number\":\"29A%05uABCDEFGHIJKLMNOP\","
                            "\"valid_from\":\"2020-01-01\",\"valid_until\":\"2030-01-01\"}",
                            i == 0 ? "" : ",", i) > 0);
    }
    assert_true(fputs("]", file) >= 0);
}

static const char *unlocked_by(unsigned n)
{
    static const char *const members[] = {",\"unlocked_by\":\"fingerprint\"",
                                          ",\"unlocked_by\":\"face\"", ",\"unlocked_by\":\"iris\"",
                                          ",\"unlocked_by\":\"biometric\""};
    return n >= CITIZEN_UNLOCKED && n < CITIZEN_UNLOCKED + 4 ? members[n - CITIZEN_UNLOCKED] : "";
}

static void write_citizen(FILE *file, unsigned n)
{
    char device[160], card[160];
    unsigned kind = n % 16;
    write_key(n, DEVICE, device);
    write_key(n, CARD, card);
    assert_true(
        fprintf(file,
                "{\"id\":\"%s\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1999-01-25\","
                "\"sex\":\"male\",\"ethnicity\":\"Kinh\",\"status\":\"%s\",\"card\":{\"issued_on\":"
                "\"2021-04-25\","
                "\"expires_on\":\"2099-01-25\",\"state\":\"%s\",\"public_key\":\"%s\"}",
                citizen_id(n), kind == CITIZEN_DEAD ? "deceased" : "alive",
                kind == CITIZEN_WITH_LOST_CARD ? "lost" : "active", card) > 0);
    if (n == CITIZEN_WITH_OLD_NUMBER) {
        assert_true(fputs(",\"old_id\":\"" CITIZEN_OLD_NUMBER "\"", file) >= 0);
    }
    if (kind != CITIZEN_WITHOUT_ACCOUNT) {
        assert_true(fprintf(file,
                            ",\"account\":{\"level\":2,\"locks\":[%s],\"devices\":[{\"device_id\":"
                            "\"%s\",\"public_key\":\"%s\"%s}]%s}",
                            kind == CITIZEN_LOCKED ? "\"holder\"" : "", citizen_device(n), device,
                            unlocked_by(n),
                            kind == CITIZEN_WITHOUT_PASSCODE ? ""
                                                             : ",\"passcode_hash\":\"" PASSCODE_HASH
                                                               "\"") > 0);
    }
    if (n == CITIZEN_WITH_MUCH) {
        write_much(file);
    }
    assert_true(fputs("}\n", file) >= 0);
}

static bool add_partner(const char *name, const char *rights)
{
    return run(xacthuc(), "partner", "add", deployment("DIR"), name, "--purpose", "portal.login",
               "--claims", "full_name", "--purpose", "portal.pay", "--claims", "full_name",
               "--least-level", "2", "--right", rights, "--issue", deployment("issued"), NULL) == 0;
}

int citizens_make(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    FILE *file = fopen(deployment("people.ndjson"), "a");
    assert_non_null(file);
    for (unsigned n = 0; n < CITIZENS; n++) {
        write_citizen(file, n);
    }
    assert_int_equal(fclose(file), 0);
    return run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL) == 0 &&
                   add_partner("portal", "authenticate") && add_partner("shop", "authenticate") &&
                   add_partner("backend", "authenticate,accounts")
               ? 0
               : 1;
}

struct test_client *connect_patiently(const struct server *server, const char *partner)
{
    char error[TEST_ERROR_MAX];
    struct test_client_options options = options_as(server, partner);
    options.timeout_ms = 60000;
    struct test_client *client = NULL;
    double until = now_s() + 60;
    do { /* whom a killed worker had accepted is cut off in his handshake */
        client = test_client_open(&options, error);
    } while (client == NULL && now_s() < until);
    if (client == NULL) {
        fail_msg("cannot connect: %s", error);
    }
    return client;
}

/* ---- authenticating ----------------------------------------------------------------------------- */

void ask_challenge(struct test_client *client, const char *id, const char *factor,
                   const char *audience, char challenge[61])
{
    char body[512];
    struct test_response response;
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"factor\":\"%s\",\"audience\":\"%s\"}", id,
             factor, audience);
    assert_true(test_client_request(client, "POST", "/v1/challenges", FIELDS, body, &response));
    if (response.status != 200) {
        fail_msg("no challenge: %s", response.body);
    }
    member_of(response.body, "challenge", challenge, 61);
    assert_non_null(strstr(response.body, "\"expires_in\":60"));
    test_response_release(&response);
}

static void sign_as(unsigned n, uint8_t what, const char *challenge, char text[87])
{
    uint8_t signature[XT_HOLDER_SIGNATURE];
    struct xt_holder_signer *signer = signer_of(n, what);
    assert_int_equal(xt_holder_sign(signer, xt_span_of_string(challenge), signature), XT_OK);
    xt_holder_signer_close(signer);
    write_base64url(signature, sizeof(signature), text, 87);
}

void sign_as_device(unsigned n, const char *challenge, char text[87])
{
    sign_as(n, DEVICE, challenge, text);
}

void sign_as_card(unsigned n, const char *challenge, char text[87])
{
    sign_as(n, CARD, challenge, text);
}

void write_device_factor(char *text, size_t size, unsigned n, const char *challenge)
{
    char signature[87];
    sign_as_device(n, challenge, signature);
    snprintf(text, size,
             "{\"type\":\"device_key\",\"device_id\":\"%s\",\"challenge\":\"%s\","
             "\"signature\":\"%s\"}",
             citizen_device(n), challenge, signature);
}

void write_card_factor(char *text, size_t size, unsigned n, const char *challenge)
{
    char signature[87];
    sign_as_card(n, challenge, signature);
    snprintf(text, size, "{\"type\":\"card_chip\",\"challenge\":\"%s\",\"signature\":\"%s\"}",
             challenge, signature);
}

int authenticate(struct test_client *client, const char *id, const char *audience,
                 const char *purpose, const char *factors, struct test_response *response)
{
    char body[4096];
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"audience\":\"%s\"%s%s%s,\"factors\":[%s]}", id,
             audience, purpose == NULL ? "" : ",\"purpose\":\"", purpose == NULL ? "" : purpose,
             purpose == NULL ? "" : "\"", factors);
    if (!test_client_request(client, "POST", "/v1/authenticate", FIELDS, body, response)) {
        return 0; /* the connection is gone */
    }
    return response->status;
}

int authenticate_by_device(struct test_client *client, unsigned n, struct test_response *response)
{
    char challenge[61], factor[512];
    ask_challenge(client, citizen_id(n), "device_key", "portal", challenge);
    write_device_factor(factor, sizeof(factor), n, challenge);
    return authenticate(client, citizen_id(n), "portal", "portal.login", factor, response);
}

bool wait_until_attempts_are_taken(const struct server *server)
{
    for (double until = now_s() + 60; now_s() < until; sleep_ms(20)) {
        struct test_response response;
        struct test_client *client = connect_patiently(server, "portal");
        int status = authenticate_by_device(client, 0, &response);
        test_response_release(&response);
        test_client_close(client);
        if (status == 200) {
            return true;
        }
    }
    return false;
}

static void read_metrics(const struct server *server, struct scrape *scrape)
{
    struct test_response response;
    struct test_client *client = connect_plain(server->admin_port);
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    scrape_read(scrape, response.body);
    test_response_release(&response);
    test_client_close(client);
}

unsigned hashes_at_rest(const struct server *server)
{
    double before = -1;
    for (unsigned i = 0, same = 0; i < 200 && same < 8; i++) {
        struct scrape scrape;
        read_metrics(server, &scrape);
        double now = value_of(&scrape, "xacthuc_passcode_hashes_total");
        bool rests = sum_of(&scrape, "xacthuc_passcodes_waiting") == 0;
        scrape_free(&scrape);
        same = rests && now == before ? same + 1 : 0;
        before = now;
        sleep_ms(250);
    }
    return (unsigned)before;
}
