/* net/verification: one verify request from its JSON text to the text of its answer, without a
 * connection: what POST /v1/verify does between the two, for one request or for many at once.
 *
 *   body --read--> request or problem --find--> outcome or problem --write--> answer's JSON
 *
 * Each step may be done for many requests before the next one is begun for the first of them; finding
 * many at once overlaps their waits for memory and gives what one by one would. A verification with a
 * problem passes through the later steps untouched; the problem's own text is its caller's to write, and
 * so are the partner's certificate and rate.
 * Memory: request's texts are borrowed from body, which is changed and must stay in place until written.
 * Thread: none is kept; one register belongs to one thread.
 */
#ifndef XT_NET_VERIFICATION_H
#define XT_NET_VERIFICATION_H

#include "net/problem.h"
#include "store/audit.h"
#include "store/register.h"

struct xt_verification {
    /* Given. */
    const struct xt_partner *partner;
    const uint8_t *address; /* 16 bytes: who asks, IPv6 or mapped IPv4 */
    uint8_t *body;          /* writable, with 4 spare bytes after it */
    size_t body_size;       /* at most XT_VERIFY_BODY_MAX */
    /* Told. */
    enum xt_problem problem; /* NONE: all is well so far */
    enum xt_status status;   /* of find; with a problem after it: what is wrong with the register */
    struct xt_request_errors errors; /* of read; empty without a problem */
    struct xt_verify_request request;
    struct xt_lookup lookup;
    struct xt_outcome outcome;
};

/* Parses body and asks the partner's policy. arena: for the time of this call (XT_VERIFY_ARENA). */
void xt_verification_read(struct xt_verification *verification, struct xt_json_arena arena);

/* Looks up and compares what was read without a problem, count of them. Whatever the number names
 * (nobody, somebody dead, somebody else) the same steps are done in the same order. */
void xt_verifications_find(struct xt_verification *list, size_t count, const struct xt_register *as,
                           xt_date today);

/* Not one claim of it matched. Counted of every answer in the same way: who asks about many that are not there,
 * or tries what fits, is told to the operator (net/miss_alarm). */
bool xt_verification_is_miss(const struct xt_verification *verification);

/* Writes the answer; verification must have no problem. answered_at: of xt_timestamp_format, which answers
 * of one moment share. XT_VERIFY_ANSWER_MAX bytes are always enough. */
void xt_verification_write(const struct xt_verification *verification,
                           const char answer_id[XT_ANSWER_ID], const char answered_at[XT_TIMESTAMP],
                           struct xt_writer *writer);

/* What the audit log is to hold of it, once it was read: fills the entry's purpose, legal basis, consent
 * reference, claims, results and, where there is a log to make its pseudonym, subject: the person found,
 * whatever number of his was asked by, else the number that was asked by. Texts are borrowed. */
void xt_verification_note(const struct xt_verification *verification,
                          const struct xt_audit_log *log, struct xt_audit_entry *entry);

#endif
