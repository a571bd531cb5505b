/* crypto/passcode: hashes of passcodes: Argon2id (RFC 9106), in PHC strings.
 *
 *   $argon2id$v=19$m=19456,t=2,p=1,keyid=kJq8Xw$<salt>$<hash>     made here: peppered
 *   $argon2id$v=19$m=65536,t=3,p=1$<salt>$<hash>                  imported: of the passcode itself
 *
 *   peppered:  Argon2id( BLAKE2b(key: pepper, passcode), salt )
 *
 * The pepper is a key of the live store: whoever has only the hashes cannot try passcodes at all. keyid is of the
 * pepper, so that a hash under another one is known for what it is. m is in KiB, t passes, p always 1.
 * A hash that is not peppered, or costs less (memory times passes) than is asked for now, is to be made anew at the
 * next success.
 * Memory: m KiB while it works, given back; nothing of the passcode stays. Thread: any. Blocks: some 10 ms.
 */
#ifndef XT_CRYPTO_PASSCODE_H
#define XT_CRYPTO_PASSCODE_H

#include "core/span.h"
#include "core/status.h"

#define XT_PASSCODE_PHC_MAX 192 /* bytes of any PHC text that is read or made */
#define XT_PASSCODE_PEPPER 32
/* Of a hash that is read. More work than this is no passcode's. */
#define XT_PASSCODE_MEMORY_MOST_KIB (256U << 10)
#define XT_PASSCODE_WORK_MOST_KIB (1024U << 10) /* memory times passes */
#define XT_PASSCODE_IMPORT_MOST_KIB                                                                \
    (512U << 10) /* the same of an imported one: an answer_step has room for it */
#define XT_PASSCODE_MEMORY_LEAST_KIB 8U
#define XT_PASSCODE_PASSES_MOST 16U

struct xt_passcode_costs {
    uint32_t memory_kib; /* 8 to XT_PASSCODE_MEMORY_MOST_KIB */
    uint32_t passes;     /* 1 to XT_PASSCODE_PASSES_MOST */
};

/* XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_passcode_hash(const struct xt_passcode_costs *costs,
                                            const uint8_t pepper[XT_PASSCODE_PEPPER],
                                            struct xt_span passcode, char phc[XT_PASSCODE_PHC_MAX],
                                            size_t *size);

/* XT_OK: it is his passcode; *outdated: make its hash anew. XT_DENIED: it is not, or phc is empty, no such text, under
 * another pepper, of costs beyond the bounds, or too long for what compares such salts: then the same work is done as for a hash of `costs`.
 * XT_NO_MEMORY. */
XT_MUST_USE enum xt_status xt_passcode_verify(const struct xt_passcode_costs *costs,
                                              const uint8_t pepper[XT_PASSCODE_PEPPER],
                                              struct xt_span phc, struct xt_span passcode,
                                              bool *outdated);

/* Whether `made` may take the place of `old` for the same passcode: it is under this pepper, and the old one is under
 * none, or costs less (memory times passes). */
bool xt_passcode_is_better(const uint8_t pepper[XT_PASSCODE_PEPPER], struct xt_span old,
                           struct xt_span made);

/* Whether such a text can be verified at all: of an import, whose p may be another. */
bool xt_passcode_is_supported(struct xt_span phc);

#endif
