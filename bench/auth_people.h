/* bench/auth_people: people who can authenticate with a key of their device, which is ours, and have a card with a key
 * and a passcode that nobody knows: what `auth` asks for and has imported before. The same number of people is the same people. */
#ifndef XT_BENCH_AUTH_PEOPLE_H
#define XT_BENCH_AUTH_PEOPLE_H

#include "core/span.h"
#include "crypto/holder_signer.h"

#define XT_AUTH_PEOPLE_MAX 100000U
/* Numbers of others: whose account is locked, and whom there is not. */
#define XT_AUTH_LOCKED 200000U
#define XT_AUTH_NOBODY 400000U
#define XT_AUTH_ID 13          /* characters and a NUL */
#define XT_AUTH_DEVICE "phone" /* device_id of everybody */

void xt_auth_person_id(unsigned person, char id[XT_AUTH_ID]);

/* The key of his device: P-256. XT_NO_MEMORY. That of his card is another. */
XT_MUST_USE enum xt_status xt_auth_person_signer(unsigned person, struct xt_holder_signer **signer);

/* Writes so many people, and as many whose account is locked, as NDJSON to import. */
XT_MUST_USE enum xt_status xt_auth_people_write(unsigned count, const char *path,
                                                struct xt_failure *failure);

#endif
