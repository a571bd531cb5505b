/* What the supervisor tells a worker, and the child's command. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/command.h"
#include "crypto/memory.h"
#include "net/sandbox.h"
#include "net/worker.h"

#define START_LIMIT_MS 10000

static void log_failure(const char *event, const struct xt_worker *worker,
                        const struct xt_failure *failure)
{
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_ERROR, event);
    xt_log_number(&line, "worker", worker->index);
    xt_log_text(&line, "reason", failure->text);
    xt_log_end(&line);
}

/* ---- what is in force ------------------------------------------------------------------------- */

/* A context of the snapshot's certificates; the supervisor has made one like it, so that this fails
 * where memory is short and nowhere else. */
static enum xt_status make_tls(struct xt_worker *worker, const struct xt_settings *settings,
                               const struct xt_snapshot *snapshot, struct xt_span key,
                               struct xt_tls_context **tls, struct xt_failure *failure)
{
    struct xt_tls_server_material material = {.certificate = snapshot->chain,
                                              .key = key,
                                              .client_authority = snapshot->authority,
                                              .revocations = snapshot->revocations,
                                              .allow_tls12 =
                                                  strcmp(settings->tls_min_version, "1.2") == 0,
                                              .revocations_were_in_force = true,
                                              .tickets = worker->tickets};
    return xt_tls_server(&material, tls, failure);
}

static void take_settings(struct xt_worker *worker, const struct xt_settings *settings)
{
    unsigned wanted = settings->connections, room = worker->room;
    worker->settings = *settings;
    if (room > 0) { /* else this is the start: they open with these settings afterwards */
        xt_listener_reload(&worker->api, wanted != 0 && wanted < room ? wanted : room);
        xt_listener_reload(&worker->admin, worker->admin.limit);
    }
}

enum xt_status xt_worker_take(struct xt_worker *worker, const struct xt_settings *settings, int fd,
                              struct xt_span key, struct xt_failure *failure)
{
    struct xt_snapshot snapshot;
    struct xt_tls_context *tls = NULL;
    enum xt_status status = xt_snapshot_open(fd, &snapshot, failure);
    if (status == XT_OK && key.size > 0) {
        status = make_tls(worker, settings, &snapshot, key, &tls, failure);
    }
    if (status == XT_OK) {
        status = xt_service_take_partners(&worker->service, snapshot.partners, snapshot.cells);
        if (status != XT_OK) {
            (void)xt_fail(failure, status, "cannot take the partners: %s", xt_status_name(status));
        }
    }
    if (status == XT_OK) {
        snapshot.partners = NULL; /* the service's now */
        take_settings(worker, settings);
        xt_service_take_issuer(&worker->service, snapshot.chain);
        if (tls != NULL) {
            xt_listener_set_tls(&worker->api, tls);
            xt_tls_context_close(worker->tls);
            worker->tls = tls;
        }
    } else {
        xt_tls_context_close(tls);
    }
    xt_snapshot_close(&snapshot);
    return status;
}

static enum xt_status open_keys(struct xt_span text, struct xt_answer_keys **keys)
{
    return text.size == 0 ? XT_OK : xt_answer_keys_open(text, keys);
}

enum xt_status xt_worker_take_signing(struct xt_worker *worker, struct xt_span text)
{
    struct xt_answer_keys *answers = NULL, *tokens = NULL;
    size_t at = 0;
    while (at < text.size && (text.data[at] != '\n' || (at > 0 && text.data[at - 1] != '\n'))) {
        at++;
    }
    if (at == text.size) {
        return XT_INVALID; /* the empty line is always there */
    }
    enum xt_status status = open_keys(xt_span_of(text.data, at), &answers);
    if (status == XT_OK) {
        status = open_keys(xt_span_of(text.data + at + 1, text.size - at - 1), &tokens);
    }
    if (status == XT_OK) {
        xt_service_take_answer_keys(&worker->service, answers);
        xt_service_take_token_keys(&worker->service, tokens);
    } else {
        xt_answer_keys_close(answers);
    }
    return status;
}

static bool is_of(const struct xt_generation *generation, struct xt_span digest)
{
    const struct xt_manifest *manifest = xt_generation_manifest(generation);
    return xt_span_equal(xt_span_of(manifest->digest, sizeof(manifest->digest)), digest);
}

enum xt_status xt_worker_take_generation(struct xt_worker *worker, uint32_t number,
                                         struct xt_span digest, struct xt_failure *failure)
{
    struct xt_generation *generation = NULL;
    if (worker->service.generation != NULL &&
        xt_generation_manifest(worker->service.generation)->number == number &&
        is_of(worker->service.generation, digest)) {
        return XT_OK;
    }
    enum xt_status status =
        xt_generation_open(worker->dir, number, worker->keyring, &generation, failure);
    if (status != XT_OK) {
        return status;
    }
    if (!is_of(generation, digest)) {
        xt_generation_close(generation);
        return xt_fail(failure, XT_CORRUPT,
                       "generation %u is not the one that was checked: it was exchanged meanwhile",
                       number);
    }
    xt_service_take_generation(&worker->service, generation);
    xt_worker_map_anew(worker);
    struct xt_log_line line;
    xt_log_begin(&line, XT_LOG_INFO, "generation_opened");
    xt_log_number(&line, "worker", worker->index);
    xt_log_number(&line, "generation", number);
    xt_log_number(&line, "people", xt_generation_manifest(generation)->people);
    xt_log_end(&line);
    return XT_OK;
}

/* ---- messages --------------------------------------------------------------------------------- */

static void answer(struct xt_worker *worker, const struct xt_control_message *message,
                   enum xt_status status, enum xt_control_type done,
                   const struct xt_failure *failure)
{
    struct xt_control_message reply = {.type = done,
                                       .numbers = {message->numbers[0], message->numbers[1]}};
    if (status != XT_OK) {
        reply.type = XT_CONTROL_REFUSED;
        reply.numbers[0] = (uint64_t)message->type;
        reply.numbers[1] = message->numbers[0];
        reply.numbers[2] = worker->service.generation != NULL || status == XT_NO_MEMORY;
        reply.blobs[0] = xt_span_of_string(failure->text);
    }
    xt_worker_tell(worker, &reply);
}

void xt_worker_refuse_generation(struct xt_worker *worker, uint32_t number,
                                 const struct xt_failure *failure)
{
    struct xt_control_message asked = {.type = XT_CONTROL_GENERATION, .numbers = {number}};
    answer(worker, &asked, XT_CORRUPT, XT_CONTROL_REFUSED, failure);
}

/* Beside everything that is open: connections, the register and the audit segment go on as they are. */
static void on_keys(struct xt_worker *worker, const struct xt_control_message *message)
{
    struct xt_keyring *keyring = NULL;
    struct xt_ticket_seed seed = {.period = message->numbers[1]};
    enum xt_status status = xt_control_copy(message, 1, seed.secret, sizeof(seed.secret))
                                ? xt_keyring_import(message->blobs[0], &keyring)
                                : XT_INVALID;
    struct xt_failure failure = {0};
    if (status == XT_OK) {
        status = xt_worker_take_signing(worker, message->blobs[2]);
    }
    if (status == XT_OK) {
        xt_keyring_take(worker->keyring, keyring);
        /* The seed that it has gives the same keys again. */
        xt_tickets_renew(worker->tickets, &seed, (int64_t)time(NULL));
    } else {
        xt_keyring_close(keyring);
        (void)xt_fail(&failure, status, "cannot take the keys: %s", xt_status_name(status));
    }
    xt_wipe(&seed, sizeof(seed));
    answer(worker, message, status, XT_CONTROL_KEYS_TAKEN, &failure);
}

static void on_reload(struct xt_worker *worker, const struct xt_control_message *message)
{
    struct xt_settings settings;
    struct xt_failure failure = {0};
    enum xt_status status = XT_INVALID;
    if (message->fd_count == 1 && xt_control_copy(message, 0, &settings, sizeof(settings))) {
        status = xt_worker_take(worker, &settings, message->fds[0], message->blobs[1], &failure);
    }
    answer(worker, message, status, XT_CONTROL_RELOADED, &failure);
}

static void on_quota(struct xt_worker *worker, const struct xt_control_message *message)
{
    struct xt_failure failure = {0};
    struct xt_quota_view *view = NULL;
    enum xt_status status =
        xt_quota_view_open(message->fds, message->fd_count, worker->keyring, &view, &failure);
    if (status == XT_OK) {
        xt_service_take_quotas(&worker->service, view);
    } else {
        answer(worker, message, status, XT_CONTROL_REFUSED, &failure);
    }
}

static void on_generation(struct xt_worker *worker, const struct xt_control_message *message)
{
    struct xt_failure failure = {0};
    enum xt_status status = xt_worker_take_generation(worker, (uint32_t)message->numbers[0],
                                                      message->blobs[0], &failure);
    answer(worker, message, status, XT_CONTROL_OPENED, &failure);
}

static void on_writer(struct xt_worker *worker, struct xt_control_message *message)
{
    int fd = xt_control_take_fd(message, 0);
    if (fd < 0) {
        return;
    }
    if (xt_writer_channel_replace(worker->writer, fd) == XT_OK) {
        xt_events_resume(worker->events);
        return;
    }
    struct xt_failure failure = {.text = "no memory or descriptors for the writer's channel"};
    log_failure("writer_not_connected", worker, &failure);
    close(fd);
}

void xt_worker_tell_segment(struct xt_worker *worker, enum xt_status status)
{
    struct xt_control_message asked = {.type = XT_CONTROL_AUDIT};
    struct xt_failure failure = {0};
    (void)xt_fail(&failure, status, "cannot begin another segment of the audit log: %s",
                  xt_status_name(status));
    if (status != XT_OK && status != XT_BUSY && !worker->segment_refused) {
        log_failure("audit_segment_refused", worker,
                    &failure); /* once: others follow each second */
    }
    worker->segment_refused = status != XT_OK;
    answer(worker, &asked, status, XT_CONTROL_AUDITING, &failure);
}

static void on_audit(struct xt_worker *worker, struct xt_control_message *message)
{
    struct xt_audit_header header;
    enum xt_status status = XT_INVALID;
    if (message->fd_count == 1 && xt_control_copy(message, 0, &header, sizeof(header))) {
        status = xt_audit_trail_take(&worker->trail, xt_control_take_fd(message, 0),
                                     worker->keyring, &header);
    }
    xt_worker_tell_segment(worker, status);
}

void xt_worker_told(struct xt_worker *worker, struct xt_control_message *message)
{
    switch (message->type) {
    case XT_CONTROL_RELOAD:
        on_reload(worker, message);
        break;
    case XT_CONTROL_KEYS:
        on_keys(worker, message);
        break;
    case XT_CONTROL_GENERATION:
        on_generation(worker, message);
        break;
    case XT_CONTROL_QUOTA:
        on_quota(worker, message);
        break;
    case XT_CONTROL_WRITER:
        on_writer(worker, message);
        break;
    case XT_CONTROL_AUDIT:
        on_audit(worker, message);
        break;
    case XT_CONTROL_DRAIN:
        worker->service.replaced = message->numbers[0] == XT_DRAIN_LEAVE;
        xt_worker_drain(worker, (int)message->numbers[0]);
        break;
    default: /* of a message that this worker does not know nothing depends */
        break;
    }
}

/* ---- the command ------------------------------------------------------------------------------ */

void xt_process_harden(void)
{
    xt_process_hide_memory();
    (void)signal(SIGPIPE, SIG_IGN);
    /* What whoever started us left open is none of ours, and a worker could use it. */
    (void)close_range(XT_CONTROL_FD + 1, ~0U, 0);
}

/* Signals of the terminal and of the service manager are for the supervisor. SIGTERM also comes when
 * it ends, beside the end of the channel. */
static void become_child(void)
{
    xt_process_harden();
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)prctl(PR_SET_NAME, "xacthuc-worker");
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void pin(uint64_t cpu)
{
    cpu_set_t set;
    if (cpu < CPU_SETSIZE) {
        CPU_ZERO(&set);
        CPU_SET((unsigned)cpu, &set);
        (void)sched_setaffinity(0, sizeof(set), &set); /* a processor may have been taken away */
    }
}

static enum xt_status start(struct xt_worker *worker, struct xt_failure *failure)
{
    struct xt_control_message message;
    struct xt_sandbox_report report;
    if (fcntl(XT_CONTROL_FD, F_SETFD, FD_CLOEXEC) != 0) {
        return xt_fail(failure, XT_INVALID, "this is started by xacthuc serve, not by hand");
    }
    enum xt_status status = xt_control_wait(XT_CONTROL_FD, START_LIMIT_MS, &message);
    if (status != XT_OK) {
        xt_control_release(&message);
        return xt_fail(failure, status, "the supervisor says nothing: %s", xt_status_name(status));
    }
    pin(message.numbers[XT_START_CPU]);
    status = xt_worker_open(worker, XT_CONTROL_FD, &message, failure);
    xt_control_release(&message);
    return status == XT_OK ? xt_sandbox_worker(worker->dir, &report, failure) : status;
}

int xt_command_serve_worker(int argc, char **argv)
{
    struct xt_failure failure = {0};
    (void)argc;
    (void)argv;
    become_child();
    struct xt_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return XT_EXIT_FAILED;
    }
    if (start(worker, &failure) != XT_OK) {
        log_failure("worker_failed", worker, &failure);
        _exit(XT_EXIT_FAILED); /* nothing of it is worth taking apart */
    }
    xt_worker_run(worker);
    xt_worker_close(worker);
    free(worker);
    _exit(XT_EXIT_OK); /* handlers of exit may want what the sandbox took away */
}
