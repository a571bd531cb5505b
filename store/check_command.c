#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "core/request.h" /* xt_json_write_string */
#include "store/check.h"
#include "store/command_line.h"
#include "store/commands.h"

static const char help[] =
    "usage: xacthuc check DIR [OPTIONS]\n"
    "\n"
    "Reads every byte of a sealed generation: its digest, every record, and that the tables\n"
    "agree. The server may run meanwhile. Every damage is told with its table, page and record,\n"
    "up to 1000 of them.\n"
    "\n"
    "  --generation N   that one in place of the served one\n"
    "  --json           the result as JSON\n"
    "  --quiet          no progress\n"
    "  --help, --version\n"
    "\n"
    "Exit status 1 when anything is damaged: import again, or put the generation's folder back\n"
    "from a copy: copy it beside the damaged one, then rename both. The server notices. Until\n"
    "then it answers 503 for what is damaged, and the rest rightly.\n"
    "Exit status 1 without a verdict (no \"sound\" in JSON) when the check could not be "
    "finished.\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void print_string(const char *text)
{
    uint8_t quoted[sizeof(struct xt_failure) * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(text));
    printf("%.*s", (int)writer.size, (const char *)quoted);
}

static void print_damage(const struct xt_damage *damage)
{
    fputs("{\"text\":", stdout);
    print_string(damage->what);
    if (damage->table != NULL) {
        printf(",\"table\":\"%s\",\"page\":%u", damage->table, damage->page);
        if (damage->record != UINT32_MAX) {
            printf(",\"record\":%u", damage->record);
        }
        printf(",\"offset\":%llu", (unsigned long long)damage->offset);
    }
    putchar('}');
}

/* failure: why nothing is listed. */
static void print_damages(const struct xt_check_report *report, const struct xt_failure *failure)
{
    printf(",\"damaged\":%llu,\"damages\":[", (unsigned long long)report->damaged);
    for (unsigned i = 0; i < report->listed; i++) {
        fputs(i == 0 ? "" : ",", stdout);
        print_damage(&report->damages[i]);
    }
    if (report->listed == 0) {
        fputs("{\"text\":", stdout);
        print_string(failure->text);
        putchar('}');
    }
    puts("]}");
}

/* Without a verdict there is neither `sound` nor a count of what was looked at. */
static void print_json(uint32_t number, enum xt_status status, const struct xt_check_report *report,
                       const struct xt_failure *failure)
{
    printf("{\"generation\":%u", number);
    if (status == XT_OK || status == XT_CORRUPT) {
        printf(",\"sound\":%s,\"people\":%llu,\"records\":%llu", status == XT_OK ? "true" : "false",
               (unsigned long long)report->people, (unsigned long long)report->records);
    } else {
        fputs(",\"incomplete\":true", stdout);
    }
    if (status == XT_OK) {
        puts(",\"damaged\":0}");
    } else {
        print_damages(report, failure);
    }
}

static void print_text(uint32_t number, enum xt_status status, const struct xt_check_report *report)
{
    char text[256];
    if (status == XT_OK) {
        printf("generation %06u is sound: %llu people, %llu records\n", number,
               (unsigned long long)report->people, (unsigned long long)report->records);
    }
    for (unsigned i = 0; i < report->listed; i++) {
        xt_damage_text(&report->damages[i], text, sizeof(text));
        puts(text);
    }
    if (report->damaged > report->listed && report->listed > 0) {
        printf("and %llu more\n", (unsigned long long)(report->damaged - report->listed));
    }
}

static int finish(uint32_t number, enum xt_status status, const struct xt_check_report *report,
                  struct xt_failure *failure, bool json)
{
    bool verdict = status == XT_OK || status == XT_CORRUPT;
    if (!verdict && report->listed == 0) {
        return xt_work_error("check", failure);
    }
    if (json) {
        print_json(number, status, report, failure);
    } else {
        print_text(number, status, report);
    }
    int output = xt_finish_output("check");
    if (status == XT_OK) {
        return output;
    }
    if (verdict && report->listed > 0) {
        (void)xt_fail(failure, status,
                      "generation %06u is damaged in %llu %s; restore its folder from a copy, or "
                      "import again",
                      number, (unsigned long long)report->damaged,
                      report->damaged == 1 ? "place" : "places");
    }
    return xt_work_error("check", failure);
}

static int run(const char *dir, uint32_t number, bool json, const struct xt_check_plan *plan)
{
    static struct xt_check_report report;
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    enum xt_status status = xt_deployment_keyring(dir, &keyring, &failure);
    if (status == XT_OK && number == 0) {
        status = xt_generation_current(dir, &number, &failure);
    }
    if (status != XT_OK) {
        xt_keyring_close(keyring);
        return xt_work_error("check", &failure);
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    status = xt_generation_check(dir, number, keyring, plan, &report, &failure);
    xt_keyring_close(keyring);
    return finish(number, status, &report, &failure, json);
}

int xt_command_check(int argc, char **argv)
{
    static const struct option options[] = {{"generation", required_argument, NULL, 'g'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    uint64_t number = 0;
    bool json = false;
    struct xt_check_plan plan = {.interrupted = &interrupted};
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'g':
            if (!xt_parse_count(optarg, UINT32_MAX - 1, &number) || number == 0) {
                return xt_usage_error("check", "--generation needs a number from 1");
            }
            break;
        case 'j':
            json = true;
            break;
        case 'q':
            plan.quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("check", option, argv);
        }
    }
    if (argc - optind != 1) {
        return xt_usage_error("check", "give one deployment");
    }
    return run(argv[optind], (uint32_t)number, json, &plan);
}
