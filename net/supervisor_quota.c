/* What the partners' daily quotas are kept in: made and settled here, told to the workers. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "net/rates_record.h"
#include "net/supervisor_internal.h"

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void log_lost(struct xt_supervisor *supervisor)
{
    struct xt_failure why;
    if (xt_quota_book_lost(supervisor->quotas, &why)) {
        xt_supervisor_log_failure("quota_lost", &why); /* that day begins anew */
    }
}

/* Once for each thing that is wrong, and when nothing is any more. */
static void log_change(struct xt_supervisor *supervisor, const struct xt_failure *failure)
{
    if (strcmp(supervisor->quota_told.text, failure->text) == 0) {
        return;
    }
    supervisor->quota_told = *failure;
    if (failure->text[0] != '\0') {
        xt_supervisor_log_failure("quota_failed", failure);
        return;
    }
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "quota_mended");
    xt_log_end(&line);
}

void xt_quotas_settle(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    enum xt_status status = xt_quota_book_settle(supervisor->quotas, supervisor->partners,
                                                 supervisor->keyring, unix_ms(), &failure);
    log_lost(supervisor);
    if (status == XT_OK || status == XT_BUSY) {
        failure.text[0] = '\0';
    }
    log_change(supervisor, &failure);
}

enum xt_status xt_quotas_open(struct xt_supervisor *supervisor, struct xt_failure *failure)
{
    enum xt_status status = xt_quota_book_open(supervisor->plan->dir, supervisor->keyring,
                                               unix_ms(), &supervisor->quotas, failure);
    if (status == XT_OK) {
        xt_quotas_settle(supervisor);
        status = xt_miss_alarm_open(&supervisor->misses) == XT_OK
                     ? XT_OK
                     : xt_fail(failure, XT_NO_MEMORY, "no memory for the partners' counts");
    }
    return status;
}

enum xt_status xt_quotas_tell(struct xt_member *member)
{
    const struct xt_quota_book *book = member->supervisor->quotas;
    uint64_t serial = xt_quota_book_serial(book);
    if (serial == member->sent_quota) {
        return XT_OK;
    }
    struct xt_control_message message = {.type = XT_CONTROL_QUOTA, .numbers = {serial}};
    message.fd_count = xt_quota_book_hand(book, message.fds);
    enum xt_status status = xt_child_send(member->child, &message);
    if (status == XT_OK) {
        member->sent_quota = serial;
    }
    return status;
}

/* ---- rates ------------------------------------------------------------------------------------ */

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void xt_quotas_restore_rates(struct xt_supervisor *supervisor)
{
    xt_rates_record_restore(supervisor->plan->dir, supervisor->shared, supervisor->partners,
                            monotonic_ns(), unix_ms());
    xt_quotas_name_rates(supervisor);
}

void xt_quotas_name_rates(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    if (xt_rates_record_names(supervisor->plan->dir, supervisor->partners,
                              &supervisor->rates_recorded, &failure) != XT_OK) {
        xt_supervisor_log_failure("rates_not_recorded", &failure);
    }
}

void xt_quotas_save_rates(struct xt_supervisor *supervisor)
{
    struct xt_failure failure = {0};
    /* Who took over from us, or never let us begin, has the file. */
    if (supervisor->serving && !supervisor->upgrade.handed_over &&
        xt_rates_record_save(supervisor->plan->dir, supervisor->shared, supervisor->partners,
                             monotonic_ns(), unix_ms(), &failure) != XT_OK) {
        xt_supervisor_log_failure("rates_not_recorded", &failure);
    }
}
