/* bench/ldap: compare operations of LDAP (RFC 4511), as bytes: what a directory is asked in place of
 * POST /v1/verify.
 *
 * One verify is one CompareRequest per claim, sent together:
 *
 *   LDAPMessage ::= SEQUENCE { messageID INTEGER,
 *                              [APPLICATION 14] SEQUENCE { entry, SEQUENCE { attribute, value } } }
 *   answer      ::= SEQUENCE { messageID INTEGER,
 *                              [APPLICATION 15] SEQUENCE { resultCode ENUMERATED, matchedDN,
 *                                                          diagnosticMessage, ... }, ... }
 *
 * The message's ID is the claim's number plus one, so that answers in any order find their claim; a
 * connection has one verify under way at a time.
 */
#ifndef XT_BENCH_LDAP_H
#define XT_BENCH_LDAP_H

#include "bench/load_options.h"
#include "bench/workload.h"
#include "core/claim.h"

#define XT_LDAP_ANSWER_MAX 1024U /* bytes of one answer; more is malformed */

/* message_id: 1 ... 127. */
void xt_ldap_write_compare(struct xt_writer *writer, unsigned message_id, struct xt_span entry,
                           struct xt_span attribute, struct xt_span value);

/* Reads the answers to all claims asked off the front of input. XT_AGAIN: they are not all there yet.
 * XT_OK: *size is their bytes, *matched the claims compareTrue came for; compareFalse, noSuchObject and
 * noSuchAttribute are mismatches. XT_INVALID: anything else, *why says what (static). */
XT_MUST_USE enum xt_status xt_ldap_read_answers(struct xt_span input, uint32_t asked,
                                                uint32_t *matched, size_t *size, const char **why);

/* The requests that xt_workload_make makes of the same options, as compare operations. What a caller
 * would do beforehand is done: numbers that were replaced and CMNDs are the number in force where they
 * name one person, values have the register's form. Requests go to XT_PEERS_LDAP_SUFFIX. */
XT_MUST_USE enum xt_status xt_ldap_workload_make(const struct xt_load_options *options,
                                                 struct xt_workload *workload,
                                                 struct xt_failure *failure);

#endif
