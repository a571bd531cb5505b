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

static void take_back(const struct xt_partner_issued *issued, const char *folder)
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
static enum xt_status copy_authority(const char *from, struct xt_partner_issued *issued,
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

static enum xt_status issue(const struct xt_partner_asked *asked, struct xt_partner_issued *issued,
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

static void print_json_member(const char *name, const char *value)
{
    uint8_t quoted[XT_PATH_MAX * 6 + 2];
    struct xt_writer writer = xt_writer_over(quoted, sizeof(quoted));
    xt_json_write_string(&writer, xt_span_of_string(value));
    printf("\"%s\":%.*s", name, (int)writer.size, (const char *)quoted);
}

void xt_partner_print_issued(const struct xt_partner_asked *asked,
                             const struct xt_partner_issued *issued)
{
    if (asked->issue != NULL && asked->json) {
        putchar(',');
        print_json_member("certificate", issued->certificate);
        putchar(',');
        print_json_member("key", issued->key);
        putchar(',');
        print_json_member("authority", issued->authority);
    } else if (asked->issue != NULL) {
        printf("  certificate %s\n  key         %s (keep it secret)\n  authority   %s\n",
               issued->certificate, issued->key, issued->authority);
    }
}

/* ---- a change -------------------------------------------------------------------------------- */

/* The kernel lets go of the lock when the process ends, however it ends. */
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
    struct stat folder;
    char name[XT_PATH_MAX];
    if (xt_path_join(name, dir, "partners") != XT_OK || stat(name, &folder) != 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", name, strerror(errno));
    }
    /* What the server cannot read it refuses, and goes on with what the partner had before. */
    if (folder.st_uid != geteuid()) {
        return xt_fail(failure, XT_DENIED,
                       "%s belongs to another user (uid %u): run this as that user, or the server "
                       "could not read what is written",
                       name, (unsigned)folder.st_uid);
    }
    return XT_OK;
}

enum xt_status xt_partner_begin(const char *dir, struct xt_partner_change *change,
                                struct xt_failure *failure)
{
    *change = (struct xt_partner_change){.lock = -1};
    enum xt_status status = lock_partners(dir, &change->lock, failure);
    if (status != XT_OK && change->lock >= 0) {
        close(change->lock);
        change->lock = -1;
    }
    if (status == XT_OK) {
        /* It takes milliseconds: an interrupt waits until there is nothing half-made. */
        sigemptyset(&change->blocked);
        sigaddset(&change->blocked, SIGINT);
        sigaddset(&change->blocked, SIGTERM);
        sigaddset(&change->blocked, SIGHUP);
        sigprocmask(SIG_BLOCK, &change->blocked, &change->before);
    }
    return status;
}

enum xt_status xt_partner_commit(const struct xt_partner_change *change, struct xt_failure *failure)
{
    sigset_t pending;
    bool any = false;
    if (sigpending(&pending) == 0) {
        for (int number = 1; number < NSIG; number++) {
            any = any || (sigismember(&change->blocked, number) == 1 &&
                          sigismember(&pending, number) == 1);
        }
    }
    return any ? xt_fail(failure, XT_CLOSED, "interrupted; nothing was made") : XT_OK;
}

void xt_partner_end(struct xt_partner_change *change, const struct xt_partner_asked *asked,
                    enum xt_status status)
{
    if (change->lock < 0) {
        return;
    }
    if (status != XT_OK && asked->issue != NULL) {
        take_back(&change->issued, asked->issue);
    }
    sigprocmask(SIG_SETMASK, &change->before, NULL);
    close(change->lock);
    change->lock = -1;
}

/* ---- certificates ----------------------------------------------------------------------------- */

static void set_note(struct xt_partner *partner, unsigned at, const char *note)
{
    if (note != NULL) {
        memset(partner->certificate_notes[at], 0, sizeof(partner->certificate_notes[at]));
        memcpy(partner->certificate_notes[at], note, strlen(note));
    }
}

/* Behind the others; fresh_from: where those begin that this command adds. */
static enum xt_status add_certificate(const struct xt_partners *partners,
                                      struct xt_partner *partner, unsigned fresh_from,
                                      const uint8_t spki[XT_SPKI_DIGEST], const char *note,
                                      struct xt_failure *failure)
{
    const struct xt_partner *holder = xt_partners_by_spki(partners, spki);
    for (unsigned i = 0; i < partner->certificate_count; i++) {
        if (memcmp(partner->certificates[i], spki, XT_SPKI_DIGEST) != 0) {
            continue;
        }
        if (i >= fresh_from) {
            return xt_fail(failure, XT_EXISTS, "two of the certificates have the same key");
        }
        if (note == NULL) {
            return xt_fail(failure, XT_EXISTS, "%s has that certificate already", partner->name);
        }
        set_note(partner, i, note);
        return XT_OK;
    }
    if (holder != NULL && strcmp(holder->name, partner->name) != 0) {
        return xt_fail(failure, XT_EXISTS,
                       "that certificate is already that of %s: one certificate, one partner",
                       holder->name);
    }
    if (partner->certificate_count == XT_PARTNER_CERTIFICATES_MAX) {
        return xt_fail(failure, XT_TOO_LARGE,
                       "a partner has at most %d certificates: remove one with --remove-cert",
                       XT_PARTNER_CERTIFICATES_MAX);
    }
    memcpy(partner->certificates[partner->certificate_count], spki, XT_SPKI_DIGEST);
    memset(partner->certificate_notes[partner->certificate_count], 0,
           sizeof(partner->certificate_notes[0]));
    set_note(partner, partner->certificate_count++, note);
    return XT_OK;
}

static enum xt_status take(const struct xt_partner_asked *asked, struct xt_partner_change *change,
                           const struct xt_partners *partners, struct xt_partner *partner,
                           struct xt_failure *failure)
{
    char authority[XT_PATH_MAX];
    uint8_t spki[XT_SPKI_DIGEST];
    unsigned fresh_from = partner->certificate_count;
    enum xt_status status = XT_OK;
    if (xt_path_join(authority, asked->dir, "ca.crt") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    for (unsigned i = 0; i < asked->certificate_count && status == XT_OK; i++) {
        status = xt_certificate_check_client(asked->certificates[i], authority, spki, failure);
        if (status == XT_OK) {
            status = add_certificate(partners, partner, fresh_from, spki, asked->notes[i], failure);
        }
    }
    if (status == XT_OK && asked->issue != NULL) {
        status = issue(asked, &change->issued, authority, spki, failure);
        if (status == XT_OK) {
            status = add_certificate(partners, partner, fresh_from, spki, asked->notes[0], failure);
        }
    }
    return status;
}

enum xt_status xt_partner_take_certificates(const struct xt_partner_asked *asked,
                                            struct xt_partner_change *change,
                                            struct xt_partner *partner, struct xt_failure *failure)
{
    struct xt_partners *partners = NULL;
    bool refused = false;
    if (asked->certificate_count == 0 && asked->issue == NULL) {
        return XT_OK;
    }
    enum xt_status status =
        xt_partners_load(asked->dir, NULL, xt_partner_warn, &refused, &partners, failure);
    if (status == XT_OK && refused) {
        /* What certificates it claims is not known or not settled. */
        status = xt_fail(failure, XT_INVALID,
                         "a partner's file was refused, see above: repair or remove it first");
    }
    if (status == XT_OK && asked->action == XT_PARTNER_ADD &&
        xt_partners_by_name(partners, asked->name) != NULL) {
        status = xt_fail(failure, XT_EXISTS,
                         "partner %s is already registered: choose another name", asked->name);
    }
    if (status == XT_OK) {
        status = take(asked, change, partners, partner, failure);
    }
    xt_partners_free(partners);
    return status;
}

/* ---- adding ----------------------------------------------------------------------------------- */

static void print_added(const struct xt_partner_asked *asked,
                        const struct xt_partner_issued *issued)
{
    if (asked->json) {
        putchar('{');
        print_json_member("name", asked->name);
    } else {
        printf("partner %s is registered\n", asked->name);
    }
    xt_partner_print_issued(asked, issued);
    if (asked->json) {
        puts("}");
    }
}

int xt_partner_add(struct xt_partner_asked *asked)
{
    struct xt_failure failure;
    struct xt_partner_change change;
    memcpy(asked->partner.name, asked->name, strlen(asked->name) + 1);
    enum xt_status status = xt_partner_begin(asked->dir, &change, &failure);
    if (status == XT_OK) {
        status = xt_partner_take_certificates(asked, &change, &asked->partner, &failure);
    }
    if (status == XT_OK) {
        status = xt_partner_commit(&change, &failure);
    }
    if (status == XT_OK) {
        status = xt_partner_save(asked->dir, &asked->partner, false, &failure);
    }
    xt_partner_end(&change, asked, status);
    if (status != XT_OK) {
        return xt_work_error("partner", &failure);
    }
    print_added(asked, &change.issued);
    return xt_finish_output("partner");
}
