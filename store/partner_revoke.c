#include <stdio.h>
#include <time.h>

#include "core/request.h" /* xt_json_write_string */
#include "crypto/authority.h"
#include "crypto/file.h"
#include "store/command_line.h"
#include "store/partner_asked.h"

static void print_when(int64_t unix_s)
{
    time_t when = (time_t)unix_s;
    struct tm utc;
    char text[32] = "";
    if (gmtime_r(&when, &utc) != NULL) {
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    fputs(text, stdout);
}

static void print_done(const struct xt_partner_asked *asked, const char *list,
                       const struct xt_revocation_list *result)
{
    if (asked->json) {
        uint8_t quoted[XT_PATH_MAX * 6 + 2];
        struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
        xt_json_write_string(&writer, xt_span_of_string(list));
        printf("{\"list\":%.*s,\"entries\":%zu,\"was_revoked\":%s,\"renew_before\":\"",
               (int)writer.size, (const char *)quoted, result->entries,
               result->was_revoked ? "true" : "false");
        print_when(result->until);
        puts("\"}");
        return;
    }
    if (asked->certificate_count > 0) {
        printf("%s %s revoked\n", asked->certificates[0],
               result->was_revoked ? "was already" : "is");
    }
    printf("  list         %s (%zu certificate%s)\n  renew before ", list, result->entries,
           result->entries == 1 ? "" : "s");
    print_when(result->until);
    puts(" (xacthuc partner revoke DIR), or every client of this authority is refused\n"
         "Next: send SIGHUP to a running server.");
}

int xt_partner_revoke(const struct xt_partner_asked *asked)
{
    char key[XT_PATH_MAX], certificate[XT_PATH_MAX], list[XT_PATH_MAX];
    struct xt_failure failure;
    struct xt_revocation_list result;
    if (xt_path_join(key, asked->dir, "keys/ca.key") != XT_OK ||
        xt_path_join(certificate, asked->dir, "ca.crt") != XT_OK ||
        xt_path_join(list, asked->dir, "revoked.crl") != XT_OK) {
        (void)xt_fail(&failure, XT_TOO_LARGE, "the path of the deployment is too long");
        return xt_work_error("partner", &failure);
    }
    const char *revoked = asked->certificate_count > 0 ? asked->certificates[0] : NULL;
    if (xt_authority_revoke(key, certificate, revoked, list, (unsigned)asked->days, &result,
                            &failure) != XT_OK) {
        return xt_work_error("partner", &failure);
    }
    print_done(asked, list, &result);
    return xt_finish_output("partner");
}
