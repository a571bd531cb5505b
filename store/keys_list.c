/* xacthuc keys list: every key by id, when it was made and what needs it; never its bytes. */
#include <inttypes.h>
#include <stdio.h>

#include "store/command_line.h"
#include "store/keys_internal.h"

/* ---- a row ------------------------------------------------------------------------------------ */

void xt_key_print_use_json(const struct xt_key_use_count *use)
{
    printf("\"generations\":%u,\"first_generation\":%u,\"last_generation\":%u,"
           "\"live_store\":%s,\"quota_days\":%u,\"audit_segments\":%" PRIu64,
           use->generations, use->first_generation, use->last_generation,
           use->live_store ? "true" : "false", use->quota_days, use->segments);
}

void xt_key_print_use_text(const struct xt_key_use_count *use)
{
    const char *separator = "";
    if (use->generations == 1) {
        printf("generation %06u", use->first_generation);
        separator = ", ";
    } else if (use->generations > 1) {
        printf("%u generations (%06u to %06u)", use->generations, use->first_generation,
               use->last_generation);
        separator = ", ";
    }
    if (use->live_store) {
        printf("%slive store", separator);
        separator = ", ";
    }
    if (use->quota_days > 0) {
        printf("%squotas of %u %s", separator, use->quota_days,
               use->quota_days == 1 ? "day" : "days");
        separator = ", ";
    }
    if (use->segments > 0) {
        printf("%s%" PRIu64 " audit %s", separator, use->segments,
               use->segments == 1 ? "segment" : "segments");
    }
}

static void print_row_json(const struct xt_key_row *row)
{
    printf("{\"kind\":\"%s\",", row->kind);
    if (row->id != 0) {
        printf("\"id\":\"%08" PRIx32 "\",", row->id);
    }
    if (row->made[0] == '2') {
        printf("\"made\":\"%s\",", row->made);
    }
    printf("\"missing\":%s,\"current\":%s", row->made[0] == 'm' ? "true" : "false",
           row->current ? "true" : "false");
    if (row->use != NULL) {
        putchar(',');
        xt_key_print_use_json(row->use);
    }
    if (row->vouched_by != 0) {
        printf(",\"vouched_by\":\"%08" PRIx32 "\"", row->vouched_by);
    }
    if (row->kid != NULL) {
        printf(",\"next\":%s,\"kid\":\"%s\"", row->next ? "true" : "false", row->kid);
    }
    putchar('}');
}

static void print_row_text(const struct xt_key_row *row)
{
    char id[9] = "-";
    if (row->id != 0) {
        snprintf(id, sizeof(id), "%08" PRIx32, row->id);
    }
    printf("%-8s %-8s  %-20s  %-7s  ", row->kind, id, row->made[0] != 0 ? row->made : "-",
           row->current ? "current"
           : row->next  ? "next"
                        : "old");
    if (row->use != NULL && xt_key_is_used(row->use)) {
        xt_key_print_use_text(row->use);
    } else if (row->use != NULL && !row->current) {
        fputs("not needed by anything here: keys retire takes it out", stdout);
    } else if (row->vouched_by != 0) {
        printf("vouched for by %08" PRIx32, row->vouched_by);
    } else if (row->kid != NULL) {
        printf("kid %s", row->kid);
    } else if (row->id == 0) {
        fputs("in the server's memory only, new each 15 minutes", stdout);
    }
    putchar('\n');
}

void xt_key_print_row(struct xt_key_printer *printer, const struct xt_key_row *row)
{
    if (printer->json) {
        fputs(printer->rows > 0 ? "," : "", stdout);
        print_row_json(row);
    } else {
        print_row_text(row);
    }
    printer->rows++;
}

/* ---- list ------------------------------------------------------------------------------------- */

int xt_keys_list(const struct xt_keys_asked *asked)
{
    struct xt_key_printer printer = {.json = asked->json};
    struct xt_failure failure = {.text = ""};
    enum xt_status status = XT_OK;
    if (asked->json) {
        fputs("{\"keys\":[", stdout);
    }
    for (size_t i = 0; status == XT_OK && i < XT_KEYS_KINDS; i++) {
        status = xt_key_kinds[i].list(asked->dir, &printer, &failure);
    }
    if (asked->json && status == XT_OK) {
        puts("]}");
    }
    return status == XT_OK ? xt_finish_output("keys") : xt_work_error("keys", &failure);
}
