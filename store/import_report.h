/* store/import_report: what `xacthuc import` says when it is over, as text or as JSON. */
#ifndef XT_STORE_IMPORT_REPORT_H
#define XT_STORE_IMPORT_REPORT_H

#include "store/links.h"

struct xt_import_summary {
    bool sealed;                         /* there is a new generation */
    const struct xt_manifest *manifest;  /* its, where it is sealed */
    uint64_t people;                     /* that were read, where it is not */
    uint64_t folded;                     /* see xt_builder_folded */
    const struct xt_links_report *links; /* of --links; NULL: people were imported */
    uint64_t rejects;
    const char *rejects_path;
    double seconds;
};

void xt_import_print_text(const struct xt_import_summary *summary);
void xt_import_print_json(const struct xt_import_summary *summary);

#endif
