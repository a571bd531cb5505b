#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/date.h"
#include "crypto/key_bundle.h"
#include "crypto/keyring.h"
#include "store/audit_entry.h"
#include "store/backup.h"
#include "store/command_line.h"
#include "store/commands.h"

static const char backup_help[] =
    "usage: xacthuc backup DIR OUT [OPTIONS]\n"
    "\n"
    "Copies a deployment to OUT, a new folder, also while the server runs: the served\n"
    "generation, the live store with every change that was acknowledged, the audit log up to a\n"
    "checkpoint, partners, settings, certificates. OUT has no keys but audit.pub: alone it can be\n"
    "read by nobody. On the same file system the generation is a further name for the same file,\n"
    "so that it takes no room: then copy OUT to another disk.\n"
    "\n"
    "  --since OUT0             an earlier backup on the same file system as OUT: what is the\n"
    "                           same is a further name for its files\n"
    "  --keys FILE              also puts all keys into FILE, new and encrypted. Keep it apart "
    "from\n"
    "                           OUT: with both and the passphrase everything can be read; without\n"
    "                           the keys OUT is lost\n"
    "  --passphrase-file FILE   its first line is the passphrase (mode 0600), 12 bytes or more\n"
    "  --passphrase-fd N        reads it from a descriptor that is open\n"
    "  --json                   the result as JSON\n"
    "  --quiet                  no progress\n"
    "  --help, --version\n"
    "\n"
    "A backup that was interrupted leaves nothing; one that was killed OUT.partial-*, to be "
    "removed.\n";

static const char restore_help[] =
    "usage: xacthuc restore OUT DIR --keys FILE --passphrase-file FILE [OPTIONS]\n"
    "\n"
    "Makes DIR, which must not exist or be empty, of a backup. Before anything is called DIR, the\n"
    "signature and every byte are checked, every record is opened, and the audit log verified. "
    "The\n"
    "restore is written down in the audit log.\n"
    "\n"
    "  --keys FILE              the keys that backup --keys wrote, then or later. Without it: "
    "those\n"
    "                           that the service manager gives ($CREDENTIALS_DIRECTORY)\n"
    "  --passphrase-file FILE   its first line is the passphrase (mode 0600)\n"
    "  --passphrase-fd N        reads it from a descriptor that is open\n"
    "  --json                   the result as JSON\n"
    "  --quiet                  no progress\n"
    "  --help, --version\n"
    "\n"
    "What was revoked, disabled or changed after the backup is as it was before: do it again. See\n"
    "the README's chapter on backups. One that was killed leaves DIR.partial-*, with keys in it:\n"
    "remove it.\n";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

struct asked {
    const char *command, *passphrase_file;
    bool restores, json, has_fd;
    uint64_t fd;
    struct xt_backup_plan plan;
};

/* ---- the passphrase --------------------------------------------------------------------------- */

static enum xt_status read_descriptor(int fd, uint8_t *secret, size_t *size,
                                      struct xt_failure *failure)
{
    *size = 0;
    if (isatty(fd)) {
        return xt_fail(failure, XT_INVALID,
                       "descriptor %d is a terminal, which would show the passphrase: use a pipe",
                       fd);
    }
    while (*size <= XT_PASSPHRASE_MAX) {
        ssize_t got = read(fd, secret + *size, XT_PASSPHRASE_MAX + 1 - *size);
        if (got < 0 && errno == EINTR && interrupted == 0) {
            continue;
        }
        if (got < 0) {
            return xt_fail(failure, XT_IO, "cannot read the passphrase from descriptor %d: %s", fd,
                           strerror(errno));
        }
        if (got == 0) {
            return XT_OK;
        }
        *size += (size_t)got;
    }
    return XT_OK; /* too long, as is told later */
}

/* secret: XT_PASSPHRASE_MAX + 1 bytes. */
static enum xt_status read_passphrase(const struct asked *asked, uint8_t *secret, size_t *size,
                                      struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    if (asked->has_fd) {
        status = read_descriptor((int)asked->fd, secret, size, failure);
    } else {
        uint8_t *content = NULL;
        status = xt_file_read_secret(asked->passphrase_file, XT_PASSPHRASE_MAX + 1, &content, size,
                                     failure);
        if (status == XT_OK) {
            memcpy(secret, content, *size);
        }
        xt_file_release_secret(content);
    }
    if (status != XT_OK) {
        return status;
    }
    const uint8_t *end = memchr(secret, '\n', *size);
    *size = end != NULL ? (size_t)(end - secret) : *size;
    *size -= *size > 0 && secret[*size - 1] == '\r';
    return *size > 0 && *size <= XT_PASSPHRASE_MAX
               ? XT_OK
               : xt_fail(failure, XT_INVALID, "there is no passphrase in its first line");
}

/* ---- the work --------------------------------------------------------------------------------- */

static void print_facts(const struct asked *asked, const struct xt_backup_facts *facts)
{
    char time[XT_TIMESTAMP];
    xt_timestamp_format(facts->made_unix_ms, time);
    if (asked->json) {
        printf("{\"made\":\"%.*s\",\"generation\":%llu,\"sequence\":%llu,\"checkpoint\":%llu,"
               "\"files\":%llu,\"bytes\":%llu",
               XT_TIMESTAMP, time, (unsigned long long)facts->generation,
               (unsigned long long)facts->sequence, (unsigned long long)facts->checkpoint,
               (unsigned long long)facts->files, (unsigned long long)facts->bytes);
        if (!asked->restores) {
            printf(",\"linked\":%llu", (unsigned long long)facts->linked);
        }
        puts("}");
        return;
    }
    printf("%s %s: generation %06llu, changes up to %llu, audit log up to checkpoint %llu; %llu "
           "files, %llu bytes",
           asked->restores ? "restored" : "made",
           asked->restores ? asked->plan.dir : asked->plan.out,
           (unsigned long long)facts->generation, (unsigned long long)facts->sequence,
           (unsigned long long)facts->checkpoint, (unsigned long long)facts->files,
           (unsigned long long)facts->bytes);
    if (asked->restores) {
        printf(", as of %.*s\n", XT_TIMESTAMP, time);
        puts("what was revoked, disabled or changed since is to be done again");
        return;
    }
    if (facts->linked > 0) {
        printf(", %llu of them without a copy of their own", (unsigned long long)facts->linked);
    }
    putchar('\n');
    if (asked->plan.keys == NULL) {
        puts("the keys are not in it: back them up apart (--keys)");
    }
}

static int work(struct asked *asked)
{
    struct xt_failure failure = {.text = ""};
    struct xt_backup_facts facts = {.files = 0};
    size_t size = 0;
    uint8_t *secret = xt_secret_alloc(XT_PASSPHRASE_MAX + 1);
    enum xt_status status = XT_OK;
    if (secret == NULL) {
        (void)xt_fail(&failure, XT_NO_MEMORY, "out of memory");
        return xt_work_error(asked->command, &failure);
    }
    if (asked->plan.keys != NULL) {
        status = read_passphrase(asked, secret, &size, &failure);
    }
    if (status == XT_OK) {
        asked->plan.passphrase = xt_span_of(secret, size);
        status = asked->restores ? xt_backup_restore(&asked->plan, &facts, &failure)
                                 : xt_backup_make(&asked->plan, &facts, &failure);
    }
    xt_secret_free(secret);
    if (status != XT_OK) {
        return xt_work_error(asked->command, &failure);
    }
    print_facts(asked, &facts);
    return xt_finish_output(asked->command);
}

/* ---- options ---------------------------------------------------------------------------------- */

static int take_option(struct asked *asked, int option, char **argv)
{
    switch (option) {
    case 's':
        asked->plan.since = optarg;
        return -1;
    case 'k':
        asked->plan.keys = optarg;
        return -1;
    case 'p':
        asked->passphrase_file = optarg;
        return -1;
    case 'd':
        asked->has_fd = xt_parse_count(optarg, 1 << 20, &asked->fd);
        return asked->has_fd ? -1
                             : xt_usage_error(asked->command, "--passphrase-fd needs a number");
    case 'j':
        asked->json = true;
        return -1;
    case 'q':
        asked->plan.quiet = true;
        return -1;
    case 'h':
        fputs(asked->restores ? restore_help : backup_help, stdout);
        return XT_EXIT_OK;
    case 'v':
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    default:
        return xt_option_error(asked->command, option, argv);
    }
}

/* Slashes at the end would put what is partial inside. */
static const char *without_slashes(char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        path[--size] = 0;
    }
    return path;
}

/* -1: go on; else the exit status. */
static int parse(struct asked *asked, int argc, char **argv)
{
    static const struct option options[] = {{"keys", required_argument, NULL, 'k'},
                                            {"passphrase-file", required_argument, NULL, 'p'},
                                            {"passphrase-fd", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"since", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    int option;
    opterr = 0;
    optind = 0; /* a fresh scan */
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        int code = take_option(asked, option, argv);
        if (code >= 0) {
            return code;
        }
    }
    if (argc - optind != 2) {
        return xt_usage_error(asked->command, asked->restores
                                                  ? "give a backup and the folder to make"
                                                  : "give a deployment and the folder to make");
    }
    unsigned given = (asked->passphrase_file != NULL) + asked->has_fd;
    if (given > 1 || (given == 1) != (asked->plan.keys != NULL)) {
        return xt_usage_error(asked->command,
                              "--keys goes with --passphrase-file or --passphrase-fd, one of them");
    }
    if (asked->restores && asked->plan.since != NULL) {
        return xt_usage_error(asked->command, "--since is for backup");
    }
    char *first = argv[optind], *second = argv[optind + 1];
    asked->plan.dir = without_slashes(asked->restores ? second : first);
    asked->plan.out = without_slashes(asked->restores ? first : second);
    return -1;
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction before; /* nohup means it */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            (void)sigaction(signals[i], &action, NULL);
        }
    }
}

static int run(bool restores, int argc, char **argv)
{
    struct asked asked = {.command = restores ? "restore" : "backup",
                          .restores = restores,
                          .plan = {.interrupted = &interrupted}};
    int code = parse(&asked, argc, argv);
    if (code >= 0) {
        return code;
    }
    umask(077);
    catch_signals();
    return work(&asked);
}

int xt_command_backup(int argc, char **argv)
{
    return run(false, argc, argv);
}

int xt_command_restore(int argc, char **argv)
{
    return run(true, argc, argv);
}
