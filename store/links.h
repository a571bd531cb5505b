/* store/links: lists of documents (health and social insurance, driving licences, vehicles, passports, tax)
 * become part of the register: `xacthuc import DIR --links FILE`.
 *
 *   DIR/live/.lock -> lines -> sealed files, by hash of the number -> each part: who is it, what is he by
 *   now (overlay over generation), what do the lines change? -> rejects -> a new generation: those who
 *   changed, the rest of the overlay, the rest of the generation (store/compact) -> switch
 *
 * Each line is what the event document_linked is, by the same rules (core/registry_event), in the order
 * of the lines: a new document is added, one that is there with another validity takes the new one. One
 * that is there with the same validity is counted as unchanged.
 *
 * No server may run meanwhile: an event about somebody after he was read here would be written over him
 * without his new documents, and hide them. So the writer's lock is held to the end, and with a writer
 * there nothing is begun. What the new generation holds of the live store it covers (xt_live_lie_over):
 * no older entry hides a document, whether it was dropped or not.
 *
 * All or nothing, and killed at any moment, as the builder is. Memory: the builder's, beside 11 bytes for
 * each line and 24 for each that is refused. Nothing of a person is written but sealed.
 */
#ifndef XT_STORE_LINKS_H
#define XT_STORE_LINKS_H

#include "store/builder.h"
#include "store/import_read.h"

/* Codes of rejects beside those of core/link_line, all with the pointer "/id" but for the last two:
 *   unknown_person     nobody has the number
 *   number_replaced    it is in force no more: the list needs its successor
 *   number_cancelled, person_deceased
 *   too_many           the person has as many documents as a record holds  ("/number")
 *   duplicate          an earlier line, told as first_line, gives the same document  ("/number") */

struct xt_links_report {
    bool made;                   /* false: no line changed anything, and nothing was done */
    uint32_t base;               /* the generation before */
    uint64_t linked;             /* lines that added a document or changed its validity */
    uint64_t unchanged;          /* .. that said what was known */
    uint64_t people;             /* whose documents changed */
    struct xt_manifest manifest; /* of what was made */
};

/* rejects: started; what is refused is told there, and it is finished here. XT_BUSY: a server runs, or
 * another import. XT_INVALID: more than max_rejects; nothing was changed. Else as xt_compact. Reads the
 * live store: never in a process that has it open. */
XT_MUST_USE enum xt_status xt_links_import(const char *dir, const struct xt_keyring *keyring,
                                           const struct xt_builder_options *options,
                                           const struct xt_import_input *input,
                                           struct xt_rejects *rejects, uint64_t max_rejects,
                                           struct xt_links_report *report,
                                           struct xt_failure *failure);

#endif
