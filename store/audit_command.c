#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/audit_recover.h"
#include "store/audit_search.h"
#include "store/audit_verify.h"
#include "store/command_line.h"
#include "store/commands.h"

static const char help[] =
    "usage: xacthuc audit verify DIR [--json] [--quiet] [--checkpoint N] [--public-key FILE]\n"
    "       xacthuc audit search DIR [--partner X] [--from T] [--to T] [--id -] [--answer ID] "
    "[--json]\n"
    "       xacthuc audit export DIR [--from T] [--to T]\n"
    "       xacthuc audit expire DIR --before DATE [--json]\n"
    "\n"
    "verify  reads every byte of the audit log: that nothing was changed, dropped, doubled, moved\n"
    "        or cut; names the file and the byte where each begins to be wrong. The server may\n"
    "        run meanwhile\n"
    "search  the entries that match, oldest files first; without --json a line of text each\n"
    "export  all of them as NDJSON\n"
    "expire  removes whole files that hold nothing but entries older than DATE, and leaves a\n"
    "        signed tombstone of each, so that verify still knows what there was. A file that the\n"
    "        server still writes is kept\n"
    "\n"
    "  --partner X        only of this partner\n"
    "  --from T, --to T   from a time on, and before one: 2026-11-22 or 2026-11-22T03:04:05Z\n"
    "                     (+07:00 in place of Z for Viet Nam's time; UTC where nothing is said)\n"
    "  --id -             only about the number on standard input (12 digits, or 9 of a CMND).\n"
    "                     Never the number itself: arguments can be seen by everybody\n"
    "  --answer ID        only the answer with this answer_id\n"
    "  --before DATE      UTC, as above\n"
    "  --checkpoint N     a checkpoint that there must be, noted elsewhere: shows that nobody put\n"
    "                     an older copy of the whole log in its place\n"
    "  --public-key FILE  a copy of DIR/keys/audit.pub that was kept elsewhere\n"
    "  --json, --quiet, --help, --version\n"
    "\n"
    "Exit status 1 when the log is not sound.\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

struct asked {
    const char *action, *dir;
    bool json, quiet, has_before, has_id;
    uint64_t before_ms, at_least;
    const char *public_key, *partner;
    struct xt_audit_query query;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void print_string(const char *text)
{
    uint8_t quoted[sizeof(struct xt_failure) * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(text));
    printf("%.*s", (int)writer.size, (const char *)quoted);
}

/* ---- verify ----------------------------------------------------------------------------------- */

static void print_report_json(const struct xt_audit_report *report)
{
    printf("{\"sound\":%s,\"segments\":%llu,\"entries\":%llu,\"batches\":%llu,\"bytes\":%llu,"
           "\"checkpoints\":%llu,\"after_last_checkpoint\":%llu,\"repaired\":%llu,"
           "\"repaired_bytes\":%llu,\"expired\":%llu,\"restored\":%llu,\"faults\":[",
           report->fault_count == 0 ? "true" : "false", (unsigned long long)report->segments,
           (unsigned long long)report->entries, (unsigned long long)report->batches,
           (unsigned long long)report->bytes, (unsigned long long)report->checkpoints,
           (unsigned long long)report->uncovered, (unsigned long long)report->repaired,
           (unsigned long long)report->cut, (unsigned long long)report->expired,
           (unsigned long long)report->restored);
    for (size_t i = 0; i < report->fault_count; i++) {
        const struct xt_audit_fault *fault = &report->faults[i];
        fputs(i == 0 ? "{\"file\":" : ",{\"file\":", stdout);
        print_string(fault->file);
        printf(",\"offset\":%llu,\"text\":", (unsigned long long)fault->offset);
        print_string(fault->what);
        putchar('}');
    }
    puts("]}");
}

static void print_report_text(const struct xt_audit_report *report)
{
    for (size_t i = 0; i < report->fault_count; i++) {
        const struct xt_audit_fault *fault = &report->faults[i];
        printf("%s: byte %llu: %s\n", fault->file, (unsigned long long)fault->offset, fault->what);
    }
    if (report->fault_count == 0) {
        if (report->segments == 0) {
            puts("nothing was ever logged: serve does not write the audit log in this version");
        }
        printf("the audit log is sound: %llu entries in %llu files up to checkpoint %llu",
               (unsigned long long)report->entries, (unsigned long long)report->segments,
               (unsigned long long)report->checkpoints);
        if (report->uncovered > 0) {
            printf(", %llu of them after it", (unsigned long long)report->uncovered);
        }
        putchar('\n');
    }
    if (report->repaired > 0) {
        printf("%llu %s had a torn end after a crash, which was cut off and written down (%llu "
               "bytes)\n",
               (unsigned long long)report->repaired, report->repaired == 1 ? "file" : "files",
               (unsigned long long)report->cut);
    }
    if (report->expired > 0) {
        printf("%llu %s removed by audit expire\n", (unsigned long long)report->expired,
               report->expired == 1 ? "file was" : "files were");
    }
    if (report->restored > 0) {
        printf("it came out of a backup %llu %s\n", (unsigned long long)report->restored,
               report->restored == 1 ? "time" : "times");
    }
}

static int run_verify(const struct asked *asked, const struct xt_keyring *keyring)
{
    struct xt_failure failure = {.text = ""};
    struct xt_audit_report report;
    struct xt_audit_plan plan = {.quiet = asked->quiet,
                                 .at_least = asked->at_least,
                                 .public_key = asked->public_key,
                                 .interrupted = &interrupted};
    enum xt_status status = xt_audit_verify(asked->dir, keyring, &plan, &report, &failure);
    int code = XT_EXIT_OK;
    if (status == XT_OK || (status == XT_CORRUPT && report.fault_count > 0)) {
        if (asked->json) {
            print_report_json(&report);
        } else {
            print_report_text(&report);
        }
        code = xt_finish_output("audit");
    }
    if (status != XT_OK) {
        code = xt_work_error("audit", &failure);
    }
    xt_audit_report_free(&report);
    return code;
}

/* ---- search and export ------------------------------------------------------------------------ */

static enum xt_status write_out(struct xt_span text, struct xt_failure *failure)
{
    return fwrite(text.data, 1, text.size, stdout) == text.size
               ? XT_OK
               : xt_fail(failure, XT_IO, "cannot write the output");
}

static enum xt_status print_json(void *context, const struct xt_audit_entry *entry,
                                 struct xt_failure *failure)
{
    (void)context;
    uint8_t text[XT_AUDIT_ENTRY_JSON_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_audit_entry_to_json(entry, &writer);
    xt_write_literal(&writer, "\n");
    xt_require(!writer.overflow);
    return write_out(xt_written(&writer), failure);
}

static void print_span(struct xt_span text)
{
    printf(" %.*s", text.size > 0 ? (int)text.size : 1,
           text.size > 0 ? (const char *)text.data : "-");
}

/* time answer partner route purpose status what-came-of-it claims */
static enum xt_status print_line(void *context, const struct xt_audit_entry *entry,
                                 struct xt_failure *failure)
{
    (void)context;
    static const char *const results[] = {"none", "match", "mismatch", "not_held"};
    char time[XT_TIMESTAMP], id[XT_ANSWER_ID];
    xt_timestamp_format(entry->unix_ms, time);
    xt_audit_answer_id_text(entry->answer_id, id);
    printf("%.*s %.*s", XT_TIMESTAMP, time, XT_ANSWER_ID, id);
    print_span(entry->partner);
    printf(" %s", xt_audit_route_name(entry->route));
    print_span(entry->purpose);
    printf(" %u", entry->status);
    if (entry->problem.size > 0) {
        print_span(entry->problem);
    } else {
        fputs(entry->verdict == XT_AUDIT_VERIFIED       ? " verified"
              : entry->verdict == XT_AUDIT_NOT_VERIFIED ? " not_verified"
                                                        : " -",
              stdout);
    }
    char separator = ' ';
    for (uint32_t left = entry->asked; left != 0; left &= left - 1) {
        enum xt_claim claim = (enum xt_claim)__builtin_ctz(left);
        printf("%c%s=%s", separator, xt_claim_name(claim), results[entry->results[claim] & 3]);
        separator = ',';
    }
    putchar('\n');
    return ferror(stdout) == 0 ? XT_OK : xt_fail(failure, XT_IO, "cannot write the output");
}

/* The number is read, not given: everybody can see the arguments of a command. */
static int read_subject(struct xt_audit_query *query)
{
    char line[64];
    if (isatty(STDIN_FILENO)) {
        fputs("number: ", stderr);
    }
    bool got = fgets(line, sizeof(line), stdin) != NULL;
    size_t size = got ? strcspn(line, "\r\n") : 0;
    enum xt_status status = xt_id_parse(xt_span_of(line, size), &query->subject);
    xt_wipe(line, sizeof(line));
    query->has_subject = status == XT_OK;
    return status == XT_OK
               ? XT_EXIT_OK
               : xt_usage_error("audit", "standard input has no number of 12 or 9 digits");
}

static int run_search(struct asked *asked, const struct xt_keyring *keyring)
{
    struct xt_failure failure = {.text = ""};
    struct xt_audit_tally tally;
    bool json = asked->json || strcmp(asked->action, "export") == 0;
    asked->query.interrupted = &interrupted;
    enum xt_status status = xt_audit_search(asked->dir, keyring, &asked->query,
                                            json ? print_json : print_line, NULL, &tally, &failure);
    int code = xt_finish_output("audit");
    if (status != XT_OK) {
        return xt_work_error("audit", &failure);
    }
    if (!json && !asked->quiet && code == XT_EXIT_OK) {
        fprintf(stderr, "%llu found\n", (unsigned long long)tally.found);
    }
    return code;
}

/* ---- expire ----------------------------------------------------------------------------------- */

static int run_expire(const struct asked *asked)
{
    struct xt_failure failure = {.text = ""};
    struct xt_audit_checkpoints *checkpoints = NULL;
    struct xt_audit_expiry expiry;
    uint64_t now = now_ms();
    if (asked->before_ms > now) {
        return xt_usage_error("audit", "--before lies in the future");
    }
    enum xt_status status = xt_audit_checkpoints_open(asked->dir, &checkpoints, &failure);
    if (status == XT_OK) {
        status = xt_audit_expire(checkpoints, now, asked->before_ms, SIZE_MAX, &expiry, &failure);
    }
    xt_audit_checkpoints_close(checkpoints);
    if (status != XT_OK) {
        return xt_work_error("audit", &failure);
    }
    if (asked->json) {
        printf("{\"files\":%llu,\"entries\":%llu,\"bytes\":%llu,\"open\":%llu}\n",
               (unsigned long long)expiry.segments, (unsigned long long)expiry.entries,
               (unsigned long long)expiry.bytes, (unsigned long long)expiry.open);
    } else {
        printf("removed %llu files with %llu entries, %llu bytes\n",
               (unsigned long long)expiry.segments, (unsigned long long)expiry.entries,
               (unsigned long long)expiry.bytes);
        if (expiry.open > 0) {
            printf("kept %llu that the server still writes, or that no checkpoint has closed\n",
                   (unsigned long long)expiry.open);
        }
    }
    return xt_finish_output("audit");
}

/* ---- options ---------------------------------------------------------------------------------- */

static int take_option(struct asked *asked, int option, char **argv)
{
    switch (option) {
    case 'p':
        asked->query.partner = xt_span_of_string(optarg);
        return xt_policy_name_is_valid(asked->query.partner)
                   ? -1
                   : xt_usage_error("audit", "--partner needs a partner's name");
    case 'f':
        return xt_audit_time_parse(optarg, &asked->query.from_ms)
                   ? -1
                   : xt_usage_error("audit", "--from needs a time such as 2026-11-22T03:04:05Z");
    case 't':
        return xt_audit_time_parse(optarg, &asked->query.to_ms)
                   ? -1
                   : xt_usage_error("audit", "--to needs a time such as 2026-11-22T03:04:05Z");
    case 'b':
        asked->has_before = xt_audit_time_parse(optarg, &asked->before_ms);
        return asked->has_before
                   ? -1
                   : xt_usage_error("audit", "--before needs a date such as 2026-11-22");
    case 'i':
        asked->has_id = strcmp(optarg, "-") == 0;
        return asked->has_id
                   ? -1
                   : xt_usage_error("audit",
                                    "--id takes only -, and reads the number from standard input: "
                                    "arguments can be seen by everybody on this machine");
    case 'a':
        asked->query.has_answer =
            xt_audit_answer_id(xt_span_of_string(optarg), asked->query.answer_id) == XT_OK;
        return asked->query.has_answer
                   ? -1
                   : xt_usage_error("audit", "--answer needs the 26 characters of an answer_id");
    case 'c':
        return xt_parse_count(optarg, UINT64_MAX - 1, &asked->at_least)
                   ? -1
                   : xt_usage_error("audit", "--checkpoint needs a number");
    case 'k':
        asked->public_key = optarg;
        return -1;
    case 'j':
        asked->json = true;
        return -1;
    case 'q':
        asked->quiet = true;
        return -1;
    case 'h':
        fputs(help, stdout);
        return XT_EXIT_OK;
    case 'v':
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    default:
        return xt_option_error("audit", option, argv);
    }
}

/* An option that the action has no use for would be believed to have worked. */
static const char *misplaced(const struct asked *asked)
{
    bool verify = strcmp(asked->action, "verify") == 0;
    bool search = strcmp(asked->action, "search") == 0;
    const struct xt_audit_query *query = &asked->query;
    if (!search && (query->partner.size > 0 || asked->has_id || query->has_answer)) {
        return "--partner, --id and --answer are for audit search";
    }
    if (!search && strcmp(asked->action, "export") != 0 &&
        (query->from_ms > 0 || query->to_ms > 0)) {
        return "--from and --to are for audit search and export";
    }
    if (!verify && (asked->at_least > 0 || asked->public_key != NULL)) {
        return "--checkpoint and --public-key are for audit verify";
    }
    if (asked->has_before != (strcmp(asked->action, "expire") == 0)) {
        return asked->has_before ? "--before is for audit expire" : "audit expire needs --before";
    }
    return NULL;
}

/* -1: go on; else the exit status. */
static int parse(struct asked *asked, int argc, char **argv)
{
    static const struct option options[] = {{"partner", required_argument, NULL, 'p'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"to", required_argument, NULL, 't'},
                                            {"before", required_argument, NULL, 'b'},
                                            {"id", required_argument, NULL, 'i'},
                                            {"answer", required_argument, NULL, 'a'},
                                            {"checkpoint", required_argument, NULL, 'c'},
                                            {"public-key", required_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    static const char *const actions[] = {"verify", "search", "export", "expire"};
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        int code = take_option(asked, option, argv);
        if (code >= 0) {
            return code;
        }
    }
    for (size_t i = 0; argc - optind >= 1 && i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argv[optind], actions[i]) == 0) {
            asked->action = actions[i];
        }
    }
    if (asked->action[0] == 0) {
        return xt_usage_error("audit", "say what: verify, search, export or expire");
    }
    if (argc - optind != 2) {
        return xt_usage_error("audit", "give one deployment");
    }
    asked->dir = argv[optind + 1];
    const char *wrong = misplaced(asked);
    return wrong != NULL ? xt_usage_error("audit", "%s", wrong) : -1;
}

int xt_command_audit(int argc, char **argv)
{
    struct asked asked = {.action = ""};
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    int code = parse(&asked, argc, argv);
    if (code >= 0) {
        return code;
    }
    if (asked.has_id && (code = read_subject(&asked.query)) != XT_EXIT_OK) {
        return code;
    }
    umask(077);
    if (xt_deployment_keyring(asked.dir, &keyring, &failure) != XT_OK) {
        return xt_work_error("audit", &failure);
    }
    if (strcmp(asked.action, "expire") == 0) {
        code = run_expire(&asked); /* short: it is not interrupted half-way */
    } else {
        catch_signals();
        code = strcmp(asked.action, "verify") == 0 ? run_verify(&asked, keyring)
                                                   : run_search(&asked, keyring);
    }
    xt_keyring_close(keyring);
    return code;
}
