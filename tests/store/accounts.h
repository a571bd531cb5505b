/* tests/store/accounts: events of accounts told to the live store of the test's deployment. */
#ifndef XT_TESTS_STORE_ACCOUNTS_H
#define XT_TESTS_STORE_ACCOUNTS_H

#include "store/live_account.h"
#include "store/live_internal.h"

#define PHC                                                                                        \
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$"                                       \
    "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
#define T0 1800000000000ULL /* a time */
#define SECOND 1000ULL

/* Runs in a process of its own, as LMDB wants a file opened once in each. */
void in_child(void (*work)(void));

/* The writer of this process, over the served generation; now_ms is its clock. */
extern struct xt_live *live;
extern uint64_t now_ms;
void open_accounts(void);
void close_accounts(void);

struct xt_account_event about(enum xt_account_type type, unsigned person);
/* In one group. */
void tell_many(const struct xt_account_event *told, unsigned count,
               struct xt_live_outcome *outcomes);
struct xt_live_outcome tell(const struct xt_account_event *told);
void must(const struct xt_account_event *told);
void must_not(const struct xt_account_event *told, enum xt_conflict conflict);

/* An account of level 2 with a passcode (PHC) and the device "phone", whose key is these bytes. */
#define KEY "the key of a device, as DER"
void make_account(unsigned person);
void add_factor(struct xt_account_proof *proof, enum xt_factor factor, const char *what);
/* An attempt with the device's key and a challenge that nobody used yet. */
struct xt_account_event attempt(unsigned person, bool passed);
enum xt_attempt try(unsigned person, bool passed);
uint32_t failures_of(struct xt_id subject);
struct xt_id id_of(unsigned person);

/* Given to the bank for an hour by the device of make_account; its id is of such bytes. */
struct xt_account_event consent(unsigned person, uint8_t id);
unsigned count_consents(unsigned person); /* in his list */

/* Records, and lines of `due` and `touched`. */
uint64_t records(void);

/* Until the clock of the sweeps shows now_ms, by its steps. */
void sweep_all(void);

/* The person as the writer sees him; valid until the next call. */
const struct xt_person *look_at(unsigned person);
/* Reads through the writer, between groups. */
#define LOOK(expression)                                                                           \
    do {                                                                                           \
        assert_int_equal(xt_live_begin_look(live), XT_OK);                                         \
        assert_int_equal(expression, XT_OK);                                                       \
        xt_live_end_look(live);                                                                    \
    } while (0)

#endif
