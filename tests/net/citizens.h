/* tests/net/citizens: people who can authenticate, in a deployment: their devices and cards are ours. Failures end
 * the test. */
#ifndef XT_TESTS_NET_CITIZENS_H
#define XT_TESTS_NET_CITIZENS_H

#include "tests/net/deployment.h"

#define CITIZENS 512

/* How citizens differ, by their number modulo 16; all others have an account of level 2 without locks, a device
 * (P-256; Ed25519 of odd numbers), a card with a key, and the passcode "password" as an import has it. */
enum citizen_kind {
    CITIZEN_LOCKED = 11,
    CITIZEN_DEAD,
    CITIZEN_WITHOUT_ACCOUNT,
    CITIZEN_WITH_LOST_CARD,
    CITIZEN_WITHOUT_PASSCODE
};
/* One of the others, of whom as much is held as may be. */
#define CITIZEN_WITH_MUCH 480

/* Of these four a biometric unlocks the device: fingerprint, face, iris, and one that is not told. */
#define CITIZEN_UNLOCKED 400

/* One of them has a CMND as well. */
#define CITIZEN_WITH_OLD_NUMBER 49
#define CITIZEN_OLD_NUMBER "098765432"

/* Group set-up: deployment_make, and the citizens with it, and partners
 *   portal   right authenticate; purposes portal.login, portal.pay (least level 2)
 *   shop     the same right and portal.login
 *   backend  rights authenticate, accounts */
int citizens_make(void **state);

/* The number of citizen n; that of somebody who is nobody for n >= CITIZENS. */
const char *citizen_id(unsigned n);
/* "phone-3" */
const char *citizen_device(unsigned n);

/* The public key of his device, as an import has it; also of citizens who do not exist. */
void write_device_key(unsigned n, char text[160]);

/* A connection of a partner's that waits for an answer for a minute: hashing and the writer come after everything
 * else on the machine. */
struct test_client *connect_patiently(const struct server *server, const char *partner);

/* Asks for a challenge; gives its text in `challenge` (61 bytes). */
void ask_challenge(struct test_client *client, const char *id, const char *factor,
                   const char *audience, char challenge[61]);
/* A device's or card's signature over it, as base64url in `text` (87 bytes). */
void sign_as_device(unsigned n, const char *challenge, char text[87]);
void sign_as_card(unsigned n, const char *challenge, char text[87]);

/* One element of "factors". */
void write_device_factor(char *text, size_t size, unsigned n, const char *challenge);
void write_card_factor(char *text, size_t size, unsigned n, const char *challenge);

/* POST /v1/authenticate with these factors ("[...]" without the brackets); gives the status. purpose: NULL: none.
 * The response is the caller's. */
int authenticate(struct test_client *client, const char *id, const char *audience,
                 const char *purpose, const char *factors, struct test_response *response);
/* The same from a challenge on, with his device alone. */
int authenticate_by_device(struct test_client *client, unsigned n, struct test_response *response);

/* Waits until attempts are taken: the writer opens what is served a moment after the first start. */
bool wait_until_attempts_are_taken(const struct server *server);

/* xacthuc_passcode_hashes_total once none waits and no more have come for two seconds: workers count once a second. */
unsigned hashes_at_rest(const struct server *server);

#endif
