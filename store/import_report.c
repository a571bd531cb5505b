#include "store/import_report.h"

#include <stdio.h>
#include <string.h>

#include "core/request.h" /* xt_json_write_string */
#include "crypto/file.h"

typedef unsigned long long number; /* for printf */

static double bytes_each(const struct xt_table_sizes *sizes)
{
    return sizes->records == 0 ? 0 : (double)sizes->disk_bytes / (double)sizes->records;
}

static void print_links(const struct xt_import_summary *summary)
{
    const struct xt_links_report *links = summary->links;
    if (!links->made) {
        printf("generation %06u is served as before: %llu documents, all known, %llu rejects, %.1f "
               "s\n",
               links->base, (number)links->unchanged, (number)summary->rejects, summary->seconds);
        return;
    }
    printf("generation %06u is served: %llu documents of %llu people linked, %llu known, %llu "
           "rejects, %.1f s\n",
           links->manifest.number, (number)links->linked, (number)links->people,
           (number)links->unchanged, (number)summary->rejects, summary->seconds);
}

static void print_people(const struct xt_import_summary *summary)
{
    const struct xt_manifest *manifest = summary->manifest;
    printf("generation %06u is served: %llu people, %llu rejects, %.1f s\n", manifest->number,
           (number)manifest->people, (number)summary->rejects, summary->seconds);
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        const struct xt_table_sizes *sizes = &manifest->tables[i];
        printf("  %-6s %12llu records %8.1f bytes each on disk %10.1f MiB\n", xt_table_name(i),
               (number)sizes->records, bytes_each(sizes), (double)sizes->disk_bytes / (1 << 20));
    }
    if (summary->folded > 0) {
        printf("  %llu cancelled records were folded into their successors\n",
               (number)summary->folded);
    }
}

void xt_import_print_text(const struct xt_import_summary *summary)
{
    if (summary->links != NULL) {
        print_links(summary);
    } else {
        print_people(summary);
    }
    if (summary->rejects > 0) {
        printf("  rejects: %s\n", summary->rejects_path);
    }
}

static void print_json_string(const char *text)
{
    uint8_t quoted[XT_PATH_MAX * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(text));
    fwrite(quoted, 1, writer.size, stdout);
}

static void print_sizes(const struct xt_import_summary *summary)
{
    const struct xt_manifest *manifest = summary->manifest;
    printf(",\"folded\":%llu,\"replaced\":%llu,\"aliases\":%llu,\"file_bytes\":%llu,\"tables\":{",
           (number)summary->folded, (number)manifest->replaced, (number)manifest->aliases,
           (number)manifest->file_bytes);
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        const struct xt_table_sizes *sizes = &manifest->tables[i];
        printf("%s\"%s\":{\"records\":%llu,\"disk_bytes\":%llu,\"bytes_per_record\":%.1f}",
               i == 0 ? "" : ",", xt_table_name(i), (number)sizes->records,
               (number)sizes->disk_bytes, bytes_each(sizes));
    }
    putchar('}');
}

void xt_import_print_json(const struct xt_import_summary *summary)
{
    if (summary->sealed) {
        printf("{\"generation\":%u", summary->manifest->number);
    } else {
        fputs("{\"generation\":null", stdout);
    }
    if (summary->links != NULL) {
        printf(",\"linked\":%llu,\"unchanged\":%llu,\"people_changed\":%llu",
               (number)summary->links->linked, (number)summary->links->unchanged,
               (number)summary->links->people);
    } else {
        printf(",\"people\":%llu",
               (number)(summary->sealed ? summary->manifest->people : summary->people));
    }
    printf(",\"rejects\":%llu,\"rejects_file\":", (number)summary->rejects);
    if (summary->rejects > 0) {
        print_json_string(summary->rejects_path);
    } else {
        fputs("null", stdout);
    }
    printf(",\"seconds\":%.3f", summary->seconds);
    if (summary->sealed) {
        print_sizes(summary);
    }
    puts("}");
}
