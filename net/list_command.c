#include "net/list_command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/file.h"
#include "crypto/seal.h"
#include "net/list_flags.h"
#include "net/list_run.h"
#include "store/command_line.h"

struct list {
    const struct xt_client_options *options;
    struct xt_list_options input_options;
    char results[XT_PATH_MAX], flags[XT_PATH_MAX];
    struct xt_list_counts counts;
};

static volatile sig_atomic_t interrupted;

/* A second one ends it at once: results are whole at every moment. */
static void on_signal(int signal_number)
{
    interrupted = 1;
    (void)signal(signal_number, SIG_DFL);
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t tail = strlen(end);
    return size >= tail && strcmp(text + size - tail, end) == 0;
}

static enum xt_status prepare(struct list *list, struct xt_failure *failure)
{
    const struct xt_client_options *options = list->options;
    bool is_csv = options->format != NULL ? strcmp(options->format, "csv") == 0
                                          : ends_with(options->file, ".csv");
    const char *form = is_csv ? "csv" : "ndjson";
    list->input_options = (struct xt_list_options){.path = options->file,
                                                   .is_csv = is_csv,
                                                   .map = options->map,
                                                   .date_format = options->date_format,
                                                   .question = &options->question};
    int size = options->out != NULL
                   ? snprintf(list->results, XT_PATH_MAX, "%s", options->out)
                   : snprintf(list->results, XT_PATH_MAX, "%s.results.%s", options->file, form);
    int flags = snprintf(list->flags, XT_PATH_MAX, "%s.flags.ndjson",
                         options->out != NULL ? options->out : options->file);
    return size < XT_PATH_MAX - 16 && flags < XT_PATH_MAX - 16
               ? XT_OK
               : xt_fail(failure, XT_TOO_LARGE, "the list's path is too long");
}

/* Of the list and of what decides about its answers: what is gone on with must have been begun so. */
static void take_fingerprint(const struct list *list, const struct xt_list_input *input,
                             uint8_t fingerprint[32])
{
    const struct xt_client_options *options = list->options;
    const char *texts[] = {list->input_options.is_csv ? "csv" : "ndjson",
                           options->map == NULL ? "" : options->map,
                           options->date_format == NULL ? "" : options->date_format};
    struct xt_digest *digest = xt_digest_start();
    xt_list_input_digest(input, fingerprint);
    xt_digest_add(digest, xt_span_of(fingerprint, 32));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        xt_digest_add(digest, xt_span_of(texts[i], strlen(texts[i]) + 1));
    }
    for (unsigned i = XT_ASK_PURPOSE; i < XT_ASK_COUNT; i++) {
        xt_digest_add(digest, options->question.values[i]);
        xt_digest_add(digest, xt_span_of("", 1));
    }
    xt_digest_finish(digest, fingerprint);
}

/* ---- the phases --------------------------------------------------------------------------------- */

static enum xt_status ask(struct list *list, const struct xt_client_server *server,
                          struct xt_tls_context *context, struct xt_list_input *input,
                          struct xt_list_results *results, struct xt_failure *failure)
{
    struct xt_progress progress;
    const struct xt_list_run_options run = {.server = server,
                                            .context = context,
                                            .connections = (unsigned)list->options->connections,
                                            .stop_at_quota = list->options->stop_at_quota,
                                            .quiet = list->options->quiet};
    xt_progress_start(&progress, "asking", "lines", 0, list->options->quiet);
    progress.interrupted = &interrupted;
    enum xt_status status = xt_list_run(&run, input, results, &progress, failure);
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    return status;
}

static enum xt_status compare(struct list *list, struct xt_list_counts *counts,
                              struct xt_failure *failure)
{
    struct xt_progress progress;
    struct xt_list_input *input = NULL;
    enum xt_status status = xt_list_input_open(&list->input_options, &input, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_progress_start(&progress, "comparing lines", "lines", counts->lines, list->options->quiet);
    progress.interrupted = &interrupted;
    status = xt_list_flags(input, list->flags, &progress, counts, failure);
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    } else {
        xt_progress_break(&progress);
    }
    xt_list_input_close(input);
    return status;
}

static enum xt_status take_up(struct list *list, struct xt_list_input *input,
                              struct xt_list_results **results, struct xt_failure *failure)
{
    struct xt_progress progress;
    uint8_t fingerprint[32];
    take_fingerprint(list, input, fingerprint);
    xt_progress_start(&progress, "taking up", "lines", 0, list->options->quiet);
    progress.interrupted = &interrupted;
    enum xt_status status =
        xt_list_results_open(list->results, fingerprint, input, &progress, results, failure);
    xt_progress_break(&progress);
    if (status == XT_OK && xt_list_results_taken_up(*results) > 0 && !list->options->quiet) {
        fprintf(stderr, "going on after %llu lines\n",
                (unsigned long long)xt_list_results_taken_up(*results));
    }
    return status;
}

static enum xt_status work(struct list *list, const struct xt_client_server *server,
                           struct xt_tls_context *context, struct xt_failure *failure)
{
    struct xt_list_input *input = NULL;
    struct xt_list_results *results = NULL;
    enum xt_status status = xt_list_input_open(&list->input_options, &input, failure);
    if (status == XT_OK) {
        status = take_up(list, input, &results, failure);
    }
    if (status == XT_OK) {
        status = ask(list, server, context, input, results, failure);
    }
    if (status == XT_OK) {
        status = compare(list, xt_list_results_counts(results), failure);
    }
    if (status == XT_OK) {
        list->counts = *xt_list_results_counts(results);
        status = xt_list_results_finish(results, failure);
    }
    xt_list_results_close(results);
    xt_list_input_close(input);
    return status;
}

int xt_list_command(const struct xt_client_options *options, const struct xt_client_server *server,
                    struct xt_tls_context *context)
{
    struct xt_failure failure;
    struct list *list = calloc(1, sizeof(*list));
    if (list == NULL) {
        (void)xt_fail(&failure, XT_NO_MEMORY, "out of memory");
        return xt_work_error("verify", &failure);
    }
    list->options = options;
    watch_signals();
    enum xt_status status = prepare(list, &failure);
    if (status == XT_OK) {
        status = work(list, server, context, &failure);
    }
    if (status == XT_OK && options->json) {
        xt_list_counts_print_json(&list->counts, stdout);
    } else if (status == XT_OK) {
        xt_list_counts_print(&list->counts, stdout);
        printf("\nresults: %s\nflags:   %s\n", list->results, list->flags);
    }
    free(list);
    return status == XT_OK ? xt_finish_output("verify") : xt_work_error("verify", &failure);
}
