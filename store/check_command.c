#include <getopt.h>
#include <stdio.h>

#include "core/request.h" /* xt_json_write_string */
#include "store/command_line.h"
#include "store/commands.h"
#include "store/generation.h"

static const char help[] = "usage: xacthuc check DIR [OPTIONS]\n"
                           "\n"
                           "Reads every byte of a sealed generation: its digest, every record, and "
                           "that the tables agree.\n"
                           "\n"
                           "  --generation N   that one in place of the served one\n"
                           "  --json           the result as JSON\n"
                           "  --quiet          no progress\n"
                           "  --help, --version\n"
                           "\n"
                           "Exit status 1 when anything is damaged; the first damage is named.\n";

static void print_json(uint32_t number, const struct xt_check_report *report,
                       const struct xt_failure *failure)
{
    printf("{\"generation\":%u,\"sound\":%s,\"people\":%llu,\"records\":%llu,\"damaged\":%llu",
           number, failure == NULL ? "true" : "false", (unsigned long long)report->people,
           (unsigned long long)report->records, (unsigned long long)report->damaged);
    if (failure != NULL) {
        uint8_t quoted[sizeof(failure->text) * 6 + 2];
        struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
        xt_json_write_string(&writer, xt_span_of_string(failure->text));
        printf(",\"first\":{\"text\":%.*s", (int)writer.size, (const char *)quoted);
        if (report->table != NULL) {
            printf(",\"table\":\"%s\",\"page\":%u", report->table, report->page);
        }
        if (report->table != NULL && report->record != UINT32_MAX) {
            printf(",\"record\":%u", report->record);
        }
        putchar('}');
    }
    puts("}");
}

static int run(const char *dir, uint32_t number, bool json, bool quiet)
{
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    struct xt_check_report report = {.table = NULL};
    enum xt_status status = xt_deployment_keyring(dir, &keyring, &failure);
    if (status == XT_OK && number == 0) {
        status = xt_generation_current(dir, &number, &failure);
    }
    if (status != XT_OK) {
        xt_keyring_close(keyring);
        return xt_work_error("check", &failure);
    }
    status = xt_generation_check(dir, number, keyring, quiet, &report, &failure);
    xt_keyring_close(keyring);
    if (json) {
        print_json(number, &report, status == XT_OK ? NULL : &failure);
    } else if (status == XT_OK) {
        printf("generation %06u is sound: %llu people, %llu records\n", number,
               (unsigned long long)report.people, (unsigned long long)report.records);
    }
    int output = xt_finish_output("check");
    if (status == XT_OK) {
        return output;
    }
    if (report.damaged > 1) {
        fprintf(stderr, "xacthuc check: %llu findings; the first is told below\n",
                (unsigned long long)report.damaged);
    }
    return xt_work_error("check", &failure);
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
    bool quiet = false;
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
            quiet = true;
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
    return run(argv[optind], (uint32_t)number, json, quiet);
}
