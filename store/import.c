#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/memory.h"
#include "store/builder.h"
#include "store/command_line.h"
#include "store/commands.h"
#include "store/import_people.h"
#include "store/import_report.h"

static const char help[] =
    "usage: xacthuc import DIR FILE [OPTIONS]\n"
    "       xacthuc import DIR --links FILE [OPTIONS]\n"
    "\n"
    "Builds a new sealed generation out of people and switches to it, or leaves the served one as\n"
    "it is. FILE is NDJSON, or CSV when it ends in .csv; - reads standard input.\n"
    "\n"
    "  --links FILE          documents of people who are there (insurance, licences, vehicles, "
    "...),\n"
    "                        one a line: id, type, number, valid_from, valid_until. A new "
    "generation\n"
    "                        is made of the served one, what changed since and these. No server "
    "may\n"
    "                        run: while one does, send document_linked events\n"
    "  --format ndjson|csv   in place of what the name of FILE says\n"
    "  --max-rejects N       lines that may be refused before the import fails (default 0)\n"
    "  --rejects FILE        where refused lines are told (default DIR/import-rejects.ndjson). A "
    "file\n"
    "                        that holds anything but rejects is never replaced or removed\n"
    "  --memory SIZE         that it may take, about: 512M, 4G (default 2G, at least 256M). "
    "People\n"
    "                        are sorted on disk, in sealed files in DIR, a 256th of them or more "
    "at\n"
    "                        once; where the largest part does not fit (very many lines with one\n"
    "                        number), the import ends after reading and names what it needs\n"
    "  --json                the summary as JSON\n"
    "  --quiet               no progress\n"
    "  --help, --version\n";

static volatile sig_atomic_t stop;
static int wake = -1; /* an eventfd; written to once stop is set, for who waits for input */

static void on_signal(int number)
{
    const uint64_t one = 1;
    int before = errno;
    (void)number;
    stop = 1;
    ssize_t wrote = write(wake, &one, sizeof(one));
    (void)wrote;
    errno = before;
}

struct import {
    /* what was asked */
    const char *dir, *input, *rejects_path;
    char default_rejects[XT_PATH_MAX];
    bool is_csv, is_links, json, quiet;
    uint64_t max_rejects, memory;
    /* the work */
    int fd;
    struct xt_keyring *keyring;
    struct xt_builder *builder;
    struct xt_rejects rejects;
    uint64_t people;
    struct xt_manifest manifest;
    struct xt_links_report links;
    struct timespec started;
    enum xt_status status; /* of callbacks that cannot give one */
    struct xt_failure failure;
};

/* Disk that an import takes at its peak for each byte of its input, about; measured with a hundred
 * million made people of default fields: 22 GB for 28.6 GB of NDJSON. CSV says the same in half the
 * bytes. */
#define DISK_PER_BYTE 0.8
#define DISK_PER_BYTE_OF_CSV 1.8

static struct xt_import_input input_of(const struct import *import, uint64_t bytes)
{
    return (struct xt_import_input){.fd = import->fd,
                                    .name = import->input,
                                    .is_csv = import->is_csv,
                                    .bytes = bytes,
                                    .quiet = import->quiet,
                                    .stop = &stop,
                                    .wake = wake};
}

static enum xt_status read_people(struct import *import, uint64_t bytes)
{
    struct xt_import_input input = input_of(import, bytes);
    return xt_import_people(&input, import->builder, &import->rejects, &import->people,
                            &import->failure);
}

static void on_duplicate(void *context, uint64_t line, uint64_t first_line, const char *code,
                         const char *pointer)
{
    struct import *import = context;
    import->people--;
    if (import->status == XT_OK) {
        import->status =
            xt_rejects_add(&import->rejects, line, first_line, code, pointer, &import->failure);
    }
}

/* Bytes of the input; 0: not known. */
static uint64_t input_bytes(const struct import *import)
{
    struct stat facts;
    bool sized = fstat(import->fd, &facts) == 0 && S_ISREG(facts.st_mode);
    return sized ? (uint64_t)facts.st_size : 0;
}

static enum xt_status open_all(struct import *import, uint64_t bytes)
{
    double each = import->is_csv ? DISK_PER_BYTE_OF_CSV : DISK_PER_BYTE;
    struct xt_failure warning = {.text = ""};
    struct xt_builder_options options = {.memory = import->memory,
                                         .foreseen = (uint64_t)((double)bytes * each),
                                         .warning = &warning,
                                         .quiet = import->quiet,
                                         .stop = &stop};
    enum xt_status status = xt_deployment_keyring(import->dir, &import->keyring, &import->failure);
    if (status == XT_OK) {
        status = xt_builder_open(import->dir, import->keyring, &options, &import->builder,
                                 &import->failure);
    }
    if (status == XT_OK && warning.text[0] != 0) {
        fprintf(stderr, "xacthuc import: %s\n", warning.text);
    }
    if (status == XT_OK) {
        status =
            xt_rejects_start(&import->rejects, import->rejects_path, import->fd, &import->failure);
    }
    return status;
}

static enum xt_status run_import(struct import *import)
{
    uint64_t bytes = input_bytes(import);
    enum xt_status status = open_all(import, bytes);
    if (status == XT_OK) {
        status = read_people(import, bytes);
    }
    if (status != XT_OK) {
        return status;
    }
    status = xt_builder_sort(import->builder, on_duplicate, import, &import->failure);
    if (status == XT_OK) {
        status = import->status;
    }
    if (status == XT_OK) {
        status = xt_rejects_finish(&import->rejects, &import->failure);
    }
    if (status != XT_OK) {
        return status;
    }
    import->people -= xt_builder_folded(import->builder);
    if (import->rejects.count > import->max_rejects) {
        return xt_fail(&import->failure, XT_INVALID,
                       "%llu lines were refused and --max-rejects allows %llu: see %s; the served "
                       "generation is as it was",
                       (unsigned long long)import->rejects.count,
                       (unsigned long long)import->max_rejects, import->rejects_path);
    }
    if (import->people == 0) {
        return xt_fail(&import->failure, XT_INVALID,
                       "there is nobody in %s; the served generation is as it was", import->input);
    }
    return xt_builder_seal(import->builder, &import->manifest, &import->failure);
}

static enum xt_status run_links(struct import *import)
{
    struct xt_import_input input = input_of(import, input_bytes(import));
    struct xt_builder_options options = {
        .memory = import->memory, .quiet = import->quiet, .stop = &stop};
    enum xt_status status = xt_deployment_keyring(import->dir, &import->keyring, &import->failure);
    if (status == XT_OK) {
        status =
            xt_rejects_start(&import->rejects, import->rejects_path, import->fd, &import->failure);
    }
    return status == XT_OK
               ? xt_links_import(import->dir, import->keyring, &options, &input, &import->rejects,
                                 import->max_rejects, &import->links, &import->failure)
               : status;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static struct xt_import_summary summarize(const struct import *import, bool done)
{
    return (struct xt_import_summary){
        .sealed = done && (!import->is_links || import->links.made),
        .manifest = import->is_links ? &import->links.manifest : &import->manifest,
        .people = import->people,
        .folded = !done || import->is_links ? 0 : xt_builder_folded(import->builder),
        .links = import->is_links ? &import->links : NULL,
        .rejects = import->rejects.count,
        .rejects_path = import->rejects_path,
        .seconds = seconds_since(&import->started)};
}

static void close_all(struct import *import)
{
    xt_rejects_end(&import->rejects);
    xt_builder_close(import->builder);
    xt_keyring_close(import->keyring);
    if (import->fd > STDIN_FILENO) {
        close(import->fd);
    }
}

static bool ends_in(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* Fills import from the arguments; -1 to go on, else the exit status. */
static int parse(struct import *import, int argc, char **argv)
{
    static const struct option options[] = {{"links", required_argument, NULL, 'l'},
                                            {"format", required_argument, NULL, 'f'},
                                            {"max-rejects", required_argument, NULL, 'm'},
                                            {"rejects", required_argument, NULL, 'r'},
                                            {"memory", required_argument, NULL, 'M'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    const char *format = NULL;
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            import->is_links = true;
            import->input = optarg;
            break;
        case 'f':
            format = optarg;
            break;
        case 'm':
            if (!xt_parse_count(optarg, UINT64_MAX / 2, &import->max_rejects)) {
                return xt_usage_error("import", "--max-rejects needs a number");
            }
            break;
        case 'r':
            import->rejects_path = optarg;
            break;
        case 'M':
            if (!xt_parse_memory(optarg, XT_BUILDER_MEMORY_MIN, &import->memory)) {
                return xt_usage_error("import", "--memory needs a size of 256M or more: 512M, 4G");
            }
            break;
        case 'j':
            import->json = true;
            break;
        case 'q':
            import->quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return XT_EXIT_OK;
        case 'v':
            puts("xacthuc " XT_VERSION);
            return XT_EXIT_OK;
        default:
            return xt_option_error("import", option, argv);
        }
    }
    if (argc - optind != (import->is_links ? 1 : 2)) {
        return xt_usage_error("import", import->is_links
                                            ? "give the deployment and one file, --links or people"
                                            : "give the deployment and one file of people");
    }
    import->dir = argv[optind];
    import->input = import->is_links ? import->input : argv[optind + 1];
    xt_require(import->input != NULL);
    import->is_csv = format != NULL ? strcmp(format, "csv") == 0 : ends_in(import->input, ".csv");
    if (format != NULL && !import->is_csv && strcmp(format, "ndjson") != 0) {
        return xt_usage_error("import", "--format is ndjson or csv");
    }
    if (import->rejects_path == NULL) {
        if (xt_path_join(import->default_rejects, import->dir, "import-rejects.ndjson") != XT_OK) {
            return xt_usage_error("import", "the path of the deployment is too long");
        }
        import->rejects_path = import->default_rejects;
    }
    return -1;
}

static enum xt_status listen_to_signals(struct xt_failure *failure)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before; /* nohup means it */
    wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) {
        return xt_fail(failure, XT_IO, "cannot make an eventfd: %s", strerror(errno));
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL);
    }
    return XT_OK;
}

int xt_command_import(int argc, char **argv)
{
    struct import import = {.fd = -1};
    int exit_status = parse(&import, argc, argv);
    if (exit_status >= 0) {
        return exit_status;
    }
    xt_process_hide_memory();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, no death */
    clock_gettime(CLOCK_MONOTONIC, &import.started);
    bool from_stdin = strcmp(import.input, "-") == 0;
    import.fd = from_stdin ? STDIN_FILENO : open(import.input, O_RDONLY | O_CLOEXEC);
    if (import.fd < 0) {
        (void)xt_fail(&import.failure, XT_IO, "cannot read %s: %s", import.input, strerror(errno));
        return xt_work_error("import", &import.failure);
    }
    import.input = from_stdin ? "the standard input" : import.input;
    enum xt_status status = listen_to_signals(&import.failure);
    if (status == XT_OK) {
        status = import.is_links ? run_links(&import) : run_import(&import);
    }
    struct xt_import_summary summary = summarize(&import, status == XT_OK);
    if (import.json && (status == XT_OK || import.rejects.count > 0)) {
        xt_import_print_json(&summary);
    } else if (status == XT_OK) {
        xt_import_print_text(&summary);
    }
    close_all(&import);
    if (status != XT_OK) {
        (void)fflush(stdout);
        return xt_work_error("import", &import.failure);
    }
    return xt_finish_output("import");
}
