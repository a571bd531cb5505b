#include "crypto/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/command.h"
#include "core/settings.h"
#include "crypto/answer_key.h"
#include "crypto/audit_key.h"
#include "crypto/authority.h"
#include "crypto/file.h"
#include "crypto/keyring.h"

#define NAMES_MAX 32 /* of one kind in the server's certificate */

static const char usage[] =
    "usage: xacthuc init DIR [--name NAME] [--dns NAME]... [--address IP]...\n"
    "\n"
    "Makes a deployment in DIR, which must not exist or be empty: master key, a private\n"
    "certificate authority, the server's certificate and the settings file.\n"
    "\n"
    "  --name NAME      name of the deployment, in the authority's certificate (xacthuc)\n"
    "  --dns NAME       a DNS name by which callers reach the server; may be repeated.\n"
    "                   localhost and the host's own name are always in\n"
    "  --address IP     an address by which callers reach the server; may be repeated.\n"
    "                   127.0.0.1 and ::1 are always in\n"
    "  --crl-url URL    http://... where callers can fetch DIR/revoked.crl (xacthuc partner\n"
    "                   revoke); stands in the server's certificate. You must serve it there\n"
    "  --help, --version\n";

struct plan {
    char directory[XT_PATH_MAX];
    bool exists; /* as an empty folder */
    const char *name, *revocations_url;
    char host[HOST_NAME_MAX + 1];
    const char *dns[NAMES_MAX + 3]; /* with localhost, the host and NULL */
    const char *addresses[NAMES_MAX + 3];
    size_t dns_count, address_count;
};

/* What a deployment consists of, in the order in which it is moved into place: the settings last, so
 * that a folder without them is not a deployment. */
static const char *const parts[] = {"keys", "ca.crt",     "server.crt", "partners",    "identity",
                                    "live", "supervisor", "audit",      "xacthuc.conf"};
#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

static bool add_name(const char **list, size_t *count, const char *name)
{
    if (*count == NAMES_MAX) {
        return false;
    }
    list[(*count)++] = name;
    return true;
}

/* The exit code in *code when there is nothing more to do. */
static bool parse_options(int argc, char **argv, struct plan *plan, int *code)
{
    static const struct option options[] = {
        {"name", required_argument, NULL, 'n'},
        {"dns", required_argument, NULL, 'd'},
        {"address", required_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {"crl-url", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    bool fine = true;
    int option;
    optind = 0; /* a fresh scan, whatever main did before */
    opterr = 0;
    *code = XT_EXIT_USAGE;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            plan->name = optarg;
            break;
        case 'd':
            fine = fine && add_name(plan->dns, &plan->dns_count, optarg);
            break;
        case 'a':
            fine = fine && add_name(plan->addresses, &plan->address_count, optarg);
            break;
        case 'c':
            plan->revocations_url = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            *code = XT_EXIT_OK;
            return false;
        case 'v':
            puts("xacthuc " XT_VERSION);
            *code = XT_EXIT_OK;
            return false;
        default:
            fprintf(stderr, "xacthuc init: %s %s: see xacthuc init --help\n",
                    option == ':' ? "no value for" : "unknown option", argv[optind - 1]);
            return false;
        }
    }
    if (!fine) {
        fprintf(stderr, "xacthuc init: at most %d names and %d addresses\n", NAMES_MAX - 2,
                NAMES_MAX - 2);
        return false;
    }
    if (argc - optind != 1 || argv[optind][0] == 0) {
        fputs("xacthuc init: give one folder: xacthuc init DIR\n", stderr);
        return false;
    }
    size_t size = strlen(argv[optind]);
    while (size > 1 && argv[optind][size - 1] == '/') {
        size--;
    }
    if (size >= sizeof(plan->directory)) {
        fputs("xacthuc init: the folder's name is too long\n", stderr);
        return false;
    }
    memcpy(plan->directory, argv[optind], size);
    plan->directory[size] = 0;
    return true;
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return false;
    }
    bool empty = true;
    const struct dirent *entry;
    while (empty && (entry = readdir(folder)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(folder);
    return empty;
}

static enum xt_status check_target(struct plan *plan, struct xt_failure *failure)
{
    struct stat facts;
    if (lstat(plan->directory, &facts) != 0) {
        return errno == ENOENT
                   ? XT_OK
                   : xt_fail(failure, XT_IO, "cannot use %s: %s", plan->directory, strerror(errno));
    }
    plan->exists = true;
    if (stat(plan->directory, &facts) != 0 || !S_ISDIR(facts.st_mode) ||
        !is_empty(plan->directory)) {
        return xt_fail(failure, XT_EXISTS,
                       "%s exists and is not an empty folder; nothing was changed: choose another",
                       plan->directory);
    }
    if (facts.st_uid != geteuid()) {
        return xt_fail(failure, XT_DENIED, "%s belongs to another user: run chown %u %s",
                       plan->directory, (unsigned)geteuid(), plan->directory);
    }
    return XT_OK;
}

static enum xt_status in_folder(char path[XT_PATH_MAX], const char *folder, const char *name,
                                struct xt_failure *failure)
{
    return xt_path_join(path, folder, name) == XT_OK
               ? XT_OK
               : xt_fail(failure, XT_TOO_LARGE, "the folder's name is too long");
}

static enum xt_status write_settings(const char *folder, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    enum xt_status status = in_folder(path, folder, "xacthuc.conf", failure);
    if (status != XT_OK) {
        return status;
    }
    uint8_t text[XT_SETTINGS_TEXT_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof(text));
    xt_settings_write_default(&writer);
    xt_require(!writer.overflow);
    return xt_file_write(path, xt_written(&writer), 0600, false, failure);
}

/* Adds a name unless it is there already. */
static void always(const char **list, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(list[i], name) == 0) {
            return;
        }
    }
    list[(*count)++] = name;
}

/* A host name that cannot stand in a certificate is left out rather than failing everything. */
static bool usable_host(const char *host)
{
    size_t size = strlen(host);
    return size > 0 && size < 64 && host[0] != '-' && host[size - 1] != '-' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == size;
}

static enum xt_status make_certificates(struct plan *plan, const char *folder,
                                        struct xt_failure *failure)
{
    char ca_key[XT_PATH_MAX], ca[XT_PATH_MAX], key[XT_PATH_MAX], certificate[XT_PATH_MAX];
    enum xt_status status;
    if ((status = in_folder(ca_key, folder, "keys/ca.key", failure)) != XT_OK ||
        (status = in_folder(ca, folder, "ca.crt", failure)) != XT_OK ||
        (status = in_folder(key, folder, "keys/server.key", failure)) != XT_OK ||
        (status = in_folder(certificate, folder, "server.crt", failure)) != XT_OK ||
        (status = xt_authority_create(ca_key, ca, plan->name, failure)) != XT_OK) {
        return status;
    }
    always(plan->dns, &plan->dns_count, "localhost");
    if (gethostname(plan->host, sizeof(plan->host)) == 0 && usable_host(plan->host)) {
        always(plan->dns, &plan->dns_count, plan->host);
    }
    always(plan->addresses, &plan->address_count, "127.0.0.1");
    always(plan->addresses, &plan->address_count, "::1");
    time_t now = time(NULL);
    struct xt_certificate_request request = {
        .use = XT_CERTIFICATE_SERVER,
        .common_name = strlen(plan->dns[0]) <= 64 ? plan->dns[0] : "xacthuc",
        .dns_names = plan->dns,
        .addresses = plan->addresses,
        .revocations_url = plan->revocations_url,
        .not_before = now - XT_CLOCK_SKEW_SECONDS,
        .not_after = now + (time_t)XT_CERTIFICATE_DAYS * 86400,
    };
    uint8_t spki[XT_SPKI_SHA256];
    return xt_authority_issue(ca_key, ca, &request, key, certificate, spki, failure);
}

static enum xt_status build(struct plan *plan, const char *folder, struct xt_failure *failure)
{
    static const char *const folders[] = {"keys", "partners",   "identity",
                                          "live", "supervisor", "audit"};
    char path[XT_PATH_MAX];
    enum xt_status status;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if ((status = in_folder(path, folder, folders[i], failure)) != XT_OK ||
            (status = xt_folder_make(path, 0700, failure)) != XT_OK) {
            return status;
        }
    }
    if ((status = in_folder(path, folder, "keys/master.keys", failure)) != XT_OK ||
        (status = xt_keyring_create(path, failure)) != XT_OK ||
        (status = in_folder(path, folder, "keys/signing.key", failure)) != XT_OK ||
        (status = xt_answer_key_make(path, failure)) != XT_OK ||
        (status = in_folder(path, folder, "keys/token.key", failure)) != XT_OK ||
        (status = xt_answer_key_make(path, failure)) != XT_OK ||
        (status = xt_audit_key_make(folder, failure)) != XT_OK ||
        (status = make_certificates(plan, folder, failure)) != XT_OK ||
        (status = write_settings(folder, failure)) != XT_OK) {
        return status;
    }
    return xt_folder_sync(folder, failure);
}

static int remove_entry(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Into an existing folder (it may be a mount point, which cannot be replaced): part by part. */
static enum xt_status move_parts(const char *from, const char *directory,
                                 struct xt_failure *failure)
{
    char source[XT_PATH_MAX], target[XT_PATH_MAX];
    size_t moved = 0;
    enum xt_status status = XT_OK;
    for (; moved < PART_COUNT; moved++) {
        if ((status = in_folder(source, from, parts[moved], failure)) != XT_OK ||
            (status = in_folder(target, directory, parts[moved], failure)) != XT_OK) {
            break;
        }
        if (renameat2(AT_FDCWD, source, AT_FDCWD, target, RENAME_NOREPLACE) != 0 &&
            (errno != EINVAL || rename(source, target) != 0)) {
            status = xt_fail(failure, XT_IO, "cannot make %s: %s", target, strerror(errno));
            break;
        }
    }
    for (; status != XT_OK && moved > 0; moved--) {
        if (xt_path_join(target, directory, parts[moved - 1]) == XT_OK) {
            remove_tree(target);
        }
    }
    return status;
}

/* Moves the finished work into place. */
static enum xt_status put_in_place(const struct plan *plan, const char *temporary,
                                   struct xt_failure *failure)
{
    if (plan->exists) {
        enum xt_status status = move_parts(temporary, plan->directory, failure);
        if (status != XT_OK || rmdir(temporary) != 0) {
            return status;
        }
        if (chmod(plan->directory, 0700) != 0) {
            return xt_fail(failure, XT_IO, "cannot make %s private: %s", plan->directory,
                           strerror(errno));
        }
        return xt_folder_sync(plan->directory, failure);
    }
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, plan->directory, RENAME_NOREPLACE) != 0 &&
        (errno != EINVAL || rename(temporary, plan->directory) != 0)) {
        return xt_fail(failure, errno == EEXIST || errno == ENOTEMPTY ? XT_EXISTS : XT_IO,
                       "cannot make %s: %s", plan->directory, strerror(errno));
    }
    return xt_folder_sync(plan->directory, failure);
}

/* Everything is made in a folder of its own, so that nobody ever sees a half of it. */
static enum xt_status make_deployment(struct plan *plan, struct xt_failure *failure)
{
    char temporary[XT_PATH_MAX];
    enum xt_status status = check_target(plan, failure);
    if (status != XT_OK) {
        return status;
    }
    int size = snprintf(temporary, sizeof(temporary), "%s%s-XXXXXX", plan->directory,
                        plan->exists ? "/.init" : ".tmp");
    if (size < 0 || (size_t)size >= sizeof(temporary)) {
        return xt_fail(failure, XT_TOO_LARGE, "the folder's name is too long");
    }
    if (mkdtemp(temporary) == NULL) {
        return xt_fail(failure, XT_IO, "cannot make %s: %s", plan->directory, strerror(errno));
    }
    status = build(plan, temporary, failure);
    if (status == XT_OK) {
        sigset_t pending;
        bool interrupted = sigpending(&pending) == 0 &&
                           (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
                            sigismember(&pending, SIGHUP));
        status = interrupted ? xt_fail(failure, XT_CLOSED, "interrupted; nothing was made")
                             : put_in_place(plan, temporary, failure);
    }
    if (status != XT_OK) {
        remove_tree(temporary);
    }
    return status;
}

int xt_command_init(int argc, char **argv)
{
    struct plan plan = {.name = "xacthuc"};
    int code;
    if (!parse_options(argc, argv, &plan, &code)) {
        return code;
    }
    xt_crypto_start();
    umask(077);
    /* It takes milliseconds: an interrupt waits until there is nothing half-made. */
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    struct xt_failure failure;
    enum xt_status status = make_deployment(&plan, &failure);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (status != XT_OK) {
        fprintf(stderr, "xacthuc init: %s\n", failure.text);
        return XT_EXIT_FAILED;
    }
    const char *directory = plan.directory;
    printf(
        "Made %s:\n"
        "  xacthuc.conf          every setting with its default\n"
        "  keys/                 master.keys, ca.key, server.key, audit.key, signing.key: back "
        "them\n"
        "                        up apart from the data; without master.keys nothing stored can "
        "be\n"
        "                        read\n"
        "  ca.crt, server.crt    what callers trust; the server's certificate, good for %d days\n"
        "Next: xacthuc import %s people.ndjson\n",
        directory, XT_CERTIFICATE_DAYS, directory);
    return XT_EXIT_OK;
}
