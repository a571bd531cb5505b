#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/request.h" /* xt_json_write_string */
#include "crypto/authority.h"
#include "crypto/file.h"
#include "store/command_line.h"
#include "store/partner_asked.h"

#define DAY_SECONDS 86400
#define CLOCK_SKEW 300 /* seconds that a certificate is valid before it was made */

void xt_partner_warn(void *context, const char *file, const char *why)
{
    bool *refused = context;
    *refused = true;
    fprintf(stderr, "xacthuc partner: partners/%s was refused: %s\n", file, why);
}

static bool is_there(const char *path)
{
    struct stat facts;
    return lstat(path, &facts) == 0;
}

/* What --issue makes, to be taken away again when the whole does not succeed. */
struct issued {
    char key[XT_PATH_MAX], certificate[XT_PATH_MAX], authority[XT_PATH_MAX];
    bool made_folder, made_pair, made_authority; /* by this run, really */
};

static void take_back(const struct issued *issued, const char *folder)
{
    if (issued->made_pair) {
        (void)unlink(issued->key);
        (void)unlink(issued->certificate);
    }
    if (issued->made_authority) {
        (void)unlink(issued->authority);
    }
    if (issued->made_folder) {
        (void)rmdir(folder);
    }
}

/* OUT may already hold the same authority, from the partner before. */
static enum xt_status copy_authority(const char *from, struct issued *issued,
                                     struct xt_failure *failure)
{
    const size_t max = 1U << 20;
    uint8_t *content = NULL;
    uint8_t *present = NULL;
    size_t size = 0;
    size_t present_size = 0;
    enum xt_status status = xt_file_read(from, max, &content, &size, failure);
    if (status != XT_OK) {
        return status;
    }
    if (is_there(issued->authority)) {
        status = xt_file_read(issued->authority, max, &present, &present_size, failure);
        if (status == XT_OK &&
            !xt_span_equal(xt_span_of(content, size), xt_span_of(present, present_size))) {
            status = xt_fail(failure, XT_EXISTS,
                             "%s is of another deployment: give another folder with --issue",
                             issued->authority);
        }
        xt_file_release(present, present_size);
    } else {
        status = xt_file_write(issued->authority, xt_span_of(content, size), 0644, false, failure);
        issued->made_authority = status == XT_OK;
    }
    xt_file_release(content, size);
    return status;
}

static enum xt_status issue(const struct xt_partner_asked *asked, struct issued *issued,
                            const char *ca_certificate, uint8_t *spki, struct xt_failure *failure)
{
    char file[XT_PARTNER_NAME_MAX + 8];
    char ca_key[XT_PATH_MAX];
    bool fits = xt_path_join(issued->authority, asked->issue, "ca.crt") == XT_OK &&
                xt_path_join(ca_key, asked->dir, "keys/ca.key") == XT_OK;
    snprintf(file, sizeof(file), "%s.key", asked->name);
    fits = fits && xt_path_join(issued->key, asked->issue, file) == XT_OK;
    snprintf(file, sizeof(file), "%s.crt", asked->name);
    fits = fits && xt_path_join(issued->certificate, asked->issue, file) == XT_OK;
    if (!fits) {
        return xt_fail(failure, XT_TOO_LARGE, "the path given with --issue is too long");
    }
    if (is_there(issued->key) || is_there(issued->certificate)) {
        return xt_fail(failure, XT_EXISTS,
                       "%s or %s is already there and is not overwritten: give another folder",
                       issued->key, issued->certificate);
    }
    issued->made_folder = mkdir(asked->issue, 0700) == 0;
    enum xt_status status = xt_folder_make(asked->issue, 0700, failure);
    if (status != XT_OK) {
        return status;
    }
    time_t now = time(NULL);
    struct xt_certificate_request request = {
        .use = XT_CERTIFICATE_CLIENT,
        .common_name = asked->name,
        .not_before = now - CLOCK_SKEW,
        .not_after = now + (time_t)asked->days * DAY_SECONDS,
    };
    status = xt_authority_issue(ca_key, ca_certificate, &request, issued->key, issued->certificate,
                                spki, failure);
    issued->made_pair = status == XT_OK;
    return status == XT_OK ? copy_authority(ca_certificate, issued, failure) : status;
}

static enum xt_status refuse_known(const struct xt_partners *partners,
                                   const struct xt_partner *partner, struct xt_failure *failure)
{
    for (unsigned i = 0; i < partner->certificate_count; i++) {
        const struct xt_partner *holder = xt_partners_by_spki(partners, partner->certificates[i]);
        if (holder != NULL) {
            return xt_fail(failure, XT_EXISTS,
                           "that certificate is already that of %s: one certificate, one partner",
                           holder->name);
        }
        for (unsigned j = 0; j < i; j++) {
            if (memcmp(partner->certificates[i], partner->certificates[j], XT_SPKI_DIGEST) == 0) {
                return xt_fail(failure, XT_EXISTS, "two of the certificates have the same key");
            }
        }
    }
    return XT_OK;
}

static void print_json_member(const char *name, const char *value)
{
    uint8_t quoted[XT_PATH_MAX * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(value));
    printf("\"%s\":%.*s", name, (int)writer.size, (const char *)quoted);
}

static void print_added(const struct xt_partner_asked *asked, const struct issued *issued)
{
    if (!asked->json) {
        printf("partner %s is registered\n", asked->name);
        if (asked->issue != NULL) {
            printf("  certificate %s\n  key         %s (keep it secret)\n  authority   %s\n",
                   issued->certificate, issued->key, issued->authority);
        }
        return;
    }
    putchar('{');
    print_json_member("name", asked->name);
    if (asked->issue != NULL) {
        putchar(',');
        print_json_member("certificate", issued->certificate);
        putchar(',');
        print_json_member("key", issued->key);
        putchar(',');
        print_json_member("authority", issued->authority);
    }
    puts("}");
}

/* Between looking at the other partners and saving, no other add may save. The kernel lets go of the
 * lock when the process ends, however it ends. */
static enum xt_status lock_partners(const char *dir, int *lock, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    if (xt_path_join(path, dir, "partners/.lock") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return xt_fail(failure, XT_NOT_FOUND, "%s is not a deployment: run xacthuc init %s first",
                       dir, dir);
    }
    if (*lock < 0 || flock(*lock, LOCK_EX) != 0) {
        return xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
    }
    return XT_OK;
}

/* The certificates of the partner: those given, or the one that is issued now. */
static enum xt_status take_certificates(struct xt_partner_asked *asked, struct issued *issued,
                                        struct xt_failure *failure)
{
    char authority[XT_PATH_MAX];
    struct xt_partner *partner = &asked->partner;
    enum xt_status status = XT_OK;
    if (xt_path_join(authority, asked->dir, "ca.crt") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    for (unsigned i = 0; i < asked->certificate_count && status == XT_OK; i++) {
        status = xt_certificate_check_client(asked->certificates[i], authority,
                                             partner->certificates[i], failure);
        partner->certificate_count = i + 1;
    }
    if (status == XT_OK && asked->issue != NULL) {
        partner->certificate_count = 1;
        status = issue(asked, issued, authority, partner->certificates[0], failure);
    }
    return status;
}

static enum xt_status interrupted(const sigset_t *blocked, struct xt_failure *failure)
{
    sigset_t pending;
    bool any = false;
    if (sigpending(&pending) == 0) {
        for (int number = 1; number < NSIG; number++) {
            any = any || (sigismember(blocked, number) == 1 && sigismember(&pending, number) == 1);
        }
    }
    return any ? xt_fail(failure, XT_CLOSED, "interrupted; nothing was made") : XT_OK;
}

/* With the lock held: all or nothing. */
static enum xt_status make_partner(struct xt_partner_asked *asked, struct issued *issued,
                                   const sigset_t *blocked, struct xt_failure *failure)
{
    struct xt_partners *partners = NULL;
    struct xt_partner *partner = &asked->partner;
    bool refused = false;
    enum xt_status status =
        xt_partners_load(asked->dir, NULL, xt_partner_warn, &refused, &partners, failure);
    if (status == XT_OK && refused) {
        /* What certificates it claims is not known or not settled. */
        status = xt_fail(failure, XT_INVALID,
                         "a partner's file was refused, see above: repair or remove it first");
    }
    if (status == XT_OK && xt_partners_by_name(partners, asked->name) != NULL) {
        status = xt_fail(failure, XT_EXISTS,
                         "partner %s is already registered: choose another name", asked->name);
    }
    if (status == XT_OK) {
        status = take_certificates(asked, issued, failure);
    }
    if (status == XT_OK) {
        status = refuse_known(partners, partner, failure);
    }
    if (status == XT_OK) {
        status = interrupted(blocked, failure);
    }
    if (status == XT_OK) {
        status = xt_partner_save(asked->dir, partner, false, failure);
    }
    xt_partners_free(partners);
    if (status != XT_OK) {
        take_back(issued, asked->issue);
    }
    return status;
}

int xt_partner_add(struct xt_partner_asked *asked)
{
    struct xt_failure failure;
    struct issued issued = {.made_folder = false};
    sigset_t blocked, before;
    int lock = -1;
    asked->partner.active = true;
    memcpy(asked->partner.name, asked->name, strlen(asked->name) + 1);
    enum xt_status status = lock_partners(asked->dir, &lock, &failure);
    if (status == XT_OK) {
        /* It takes milliseconds: an interrupt waits until there is nothing half-made. */
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGINT);
        sigaddset(&blocked, SIGTERM);
        sigaddset(&blocked, SIGHUP);
        sigprocmask(SIG_BLOCK, &blocked, &before);
        status = make_partner(asked, &issued, &blocked, &failure);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    if (lock >= 0) {
        close(lock);
    }
    if (status != XT_OK) {
        return xt_work_error("partner", &failure);
    }
    print_added(asked, &issued);
    return xt_finish_output("partner");
}
