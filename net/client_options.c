#include "net/client_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/request.h"
#include "crypto/keyring.h"
#include "store/command_line.h"

static const char help[] =
    "usage: xacthuc verify --server URL --cert FILE --key FILE --ca FILE LIST [OPTIONS]\n"
    "       xacthuc verify ... --id - --full-name - [--CLAIM -]... --purpose NAME\n"
    "       xacthuc verify ... - <request.json\n"
    "\n"
    "Asks a server about the people of a LIST, or about one person.\n"
    "\n"
    "  --server URL        https://HOST:PORT\n"
    "  --cert, --key FILE  your certificate and its key, PEM\n"
    "  --ca FILE           the authority that signed the server's certificate, PEM\n"
    "  --purpose NAME      the purpose, one of those registered for you\n"
    "  --legal-basis NAME, --consent-ref TEXT   where your purpose demands them\n"
    "  --match LEVEL       how names are compared: exact, spelling (default); by the right "
    "advisory\n"
    "                      unaccented, reordered, fuzzy, which suggest and never match\n"
    "  --json              the answer, or the summary, as JSON\n"
    "  --quiet             no progress\n"
    "  --help, --version\n"
    "\n"
    "A LIST is NDJSON, a verify request a line, or CSV with a header. Purpose, legal basis, "
    "consent\n"
    "reference and match stand in its lines, or are those given here. The answers are written "
    "beside\n"
    "it, to LIST.results.ndjson or LIST.results.csv, in its order, and LIST.flags.ndjson names "
    "lines\n"
    "that contradict each other: both with mode 0600, for they are about people. Interrupted in "
    "any\n"
    "way, the same command goes on where it was.\n"
    "\n"
    "  --map COLUMN=NAME,...  what an operator's own columns hold: id, qr, txn, a claim "
    "(full_name,\n"
    "                      date_of_birth, sex, phone, card_issued_on, card_expires_on, old_id,\n"
    "                      province, health_insurance, ...); columns of these names need none\n"
    "  --date-format FORM  how the CSV writes dates: dd/mm/yyyy for example; default yyyy-mm-dd\n"
    "  --format ndjson|csv default: by the list's name\n"
    "  --out FILE          the answers go there\n"
    "  --connections N     default 4, at most 64\n"
    "  --stop-at-quota     when the day's quota is used up, end (exit status 1) and do not wait\n"
    "\n"
    "One person: --id, or --qr, and a claim each as an option (--full-name, --date-of-birth,\n"
    "--phone, ...), --txn. Given as '-' a value is read from standard input, a line each in the\n"
    "order of the options. Values in the command line can be seen by others on the machine (ps)\n"
    "until the program has overwritten them, and stay in the shell's history: use '-'.\n"
    "\n"
    "exit status: 0 answered (whatever the verdicts), 1 not or not all, 2 wrong usage\n";

enum {
    OPTION_SERVER = 1000,
    OPTION_CERT,
    OPTION_KEY,
    OPTION_CA,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_MAP,
    OPTION_DATE_FORMAT,
    OPTION_FORMAT,
    OPTION_OUT,
    OPTION_CONNECTIONS,
    OPTION_STOP_AT_QUOTA,
    OPTION_MEMBER /* and the members of a question after it */
};

static const struct option fixed[] = {{"server", required_argument, NULL, OPTION_SERVER},
                                      {"cert", required_argument, NULL, OPTION_CERT},
                                      {"key", required_argument, NULL, OPTION_KEY},
                                      {"ca", required_argument, NULL, OPTION_CA},
                                      {"json", no_argument, NULL, OPTION_JSON},
                                      {"quiet", no_argument, NULL, OPTION_QUIET},
                                      {"help", no_argument, NULL, OPTION_HELP},
                                      {"version", no_argument, NULL, OPTION_VERSION},
                                      {"map", required_argument, NULL, OPTION_MAP},
                                      {"date-format", required_argument, NULL, OPTION_DATE_FORMAT},
                                      {"format", required_argument, NULL, OPTION_FORMAT},
                                      {"out", required_argument, NULL, OPTION_OUT},
                                      {"connections", required_argument, NULL, OPTION_CONNECTIONS},
                                      {"stop-at-quota", no_argument, NULL, OPTION_STOP_AT_QUOTA}};
#define FIXED (sizeof(fixed) / sizeof(fixed[0]))
#define NAME_MAX_BYTES 32

/* A line of standard input, without its end; NULL: there is none. */
static char *read_value(unsigned member)
{
    char *line = NULL;
    size_t size = 0;
    if (isatty(STDIN_FILENO) == 1) {
        fprintf(stderr, "%s: ", xt_question_name(member));
    }
    ssize_t got = getline(&line, &size, stdin);
    if (got < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = 0;
    return line;
}

/* A copy of an argument, which is then overwritten: ps shows it to everybody. */
static char *take_value(char *argument)
{
    char *copy = strdup(argument);
    memset(argument, '*', strlen(argument));
    return copy;
}

static void forget_value(char *value)
{
    if (value != NULL) {
        xt_wipe(value, strlen(value));
        free(value);
    }
}

/* -1: fine. */
static int take_member(unsigned member, struct xt_client_options *options)
{
    const char *value = optarg;
    if (member < XT_ASK_PURPOSE) { /* about a person */
        forget_value(options->values[member]);
        options->values[member] =
            strcmp(optarg, "-") == 0 ? read_value(member) : take_value(optarg);
        value = options->values[member];
    }
    if (value == NULL) {
        return xt_usage_error("verify", "standard input has no line for --%s",
                              xt_question_name(member));
    }
    options->question.values[member] = xt_span_of_string(value);
    return *value != 0 ? -1 : xt_usage_error("verify", "%s is empty", xt_question_name(member));
}

void xt_client_options_release(struct xt_client_options *options)
{
    for (unsigned member = 0; member < XT_ASK_COUNT; member++) {
        forget_value(options->values[member]);
    }
    *options = (struct xt_client_options){.server = NULL};
}

static int take_option(int option, struct xt_client_options *options)
{
    switch (option) {
    case OPTION_SERVER:
        options->server = optarg;
        return -1;
    case OPTION_CERT:
        options->certificate = optarg;
        return -1;
    case OPTION_KEY:
        options->key = optarg;
        return -1;
    case OPTION_CA:
        options->authority = optarg;
        return -1;
    case OPTION_JSON:
        options->json = true;
        return -1;
    case OPTION_QUIET:
        options->quiet = true;
        return -1;
    case OPTION_MAP:
        options->map = optarg;
        return -1;
    case OPTION_DATE_FORMAT:
        options->date_format = optarg;
        return -1;
    case OPTION_FORMAT:
        options->format = optarg;
        return strcmp(optarg, "csv") == 0 || strcmp(optarg, "ndjson") == 0
                   ? -1
                   : xt_usage_error("verify", "--format is ndjson or csv");
    case OPTION_OUT:
        options->out = optarg;
        return -1;
    case OPTION_CONNECTIONS:
        return xt_parse_count(optarg, XT_CLIENT_CONNECTIONS_MAX, &options->connections) &&
                       options->connections > 0
                   ? -1
                   : xt_usage_error("verify", "--connections is 1 to %d",
                                    XT_CLIENT_CONNECTIONS_MAX);
    case OPTION_STOP_AT_QUOTA:
        options->stop_at_quota = true;
        return -1;
    case OPTION_HELP:
        fputs(help, stdout);
        return XT_EXIT_OK;
    case OPTION_VERSION:
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    default:
        return take_member((unsigned)option - OPTION_MEMBER, options);
    }
}

/* What there must be, and what must not be together. */
static int judge(const struct xt_client_options *options)
{
    const struct xt_span *values = options->question.values;
    bool one = values[XT_ASK_ID].size > 0 || values[XT_ASK_QR].size > 0;
    bool about_one = one || values[XT_ASK_TXN].size > 0;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        about_one = about_one || values[claim].size > 0;
    }
    bool list = options->file != NULL && strcmp(options->file, "-") != 0;
    bool of_list = options->map != NULL || options->date_format != NULL || options->out != NULL ||
                   options->format != NULL;
    if (options->server == NULL || options->certificate == NULL || options->key == NULL ||
        options->authority == NULL) {
        return xt_usage_error("verify", "--server, --cert, --key and --ca are needed");
    }
    if (options->file == NULL && !one) {
        return xt_usage_error("verify", "give a list, '-', or --id with claims");
    }
    if (options->file != NULL && about_one) {
        return xt_usage_error("verify", "a person is given by options, or in a file: not both");
    }
    if (!list && of_list) {
        return xt_usage_error("verify", "--map, --date-format, --format and --out are for lists");
    }
    return -1;
}

/* Without what follows an equals sign: it may be about a person. */
static int refuse_option(const char *argument)
{
    return xt_usage_error("verify", "there is no option %.*s", (int)strcspn(argument, "="),
                          argument);
}

static int scan(int argc, char **argv, const struct option *table,
                struct xt_client_options *options)
{
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int status = option == '?'   ? refuse_option(argv[optind - 1])
                     : option == ':' ? xt_option_error("verify", option, argv)
                                     : take_option(option, options);
        if (status >= 0) {
            return status;
        }
    }
    if (argc - optind > 1) {
        return xt_usage_error("verify", "give one list");
    }
    options->file = argc - optind == 1 ? argv[optind] : NULL;
    return judge(options);
}

int xt_client_options_parse(int argc, char **argv, struct xt_client_options *options)
{
    struct option table[FIXED + XT_ASK_COUNT + 1];
    char names[XT_ASK_COUNT][NAME_MAX_BYTES];
    memcpy(table, fixed, sizeof(fixed));
    for (unsigned member = 0; member < XT_ASK_COUNT; member++) {
        (void)snprintf(names[member], NAME_MAX_BYTES, "%s", xt_question_name(member));
        for (char *at = names[member]; *at != 0; at++) {
            *at = (char)(*at == '_' ? '-' : *at);
        }
        table[FIXED + member] =
            (struct option){names[member], required_argument, NULL, (int)(OPTION_MEMBER + member)};
    }
    table[FIXED + XT_ASK_COUNT] = (struct option){NULL, 0, NULL, 0};
    *options = (struct xt_client_options){.connections = 4};
    return scan(argc, argv, table, options);
}
