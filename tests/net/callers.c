#include "tests/net/callers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

#define CALLERS_MAX 16

struct callers {
    struct server server;
    unsigned count;
    pthread_t threads[CALLERS_MAX];
    struct xt_tls_context *context[CALLERS_MAX];
    char body[1024];
    atomic_bool stop;
    _Atomic(FILE *) answers;
    atomic_uint right, wrong, refused, cut, longest_wait_ms;
};

struct caller {
    struct callers *callers;
    unsigned index;
};

void verified_question(char *body, size_t size)
{
    char id[16], name[256], *line = NULL;
    for (unsigned n = 0;; n++) {
        line = person_line(n);
        if (strstr(line, "\"status\":\"alive\"") != NULL) {
            break;
        }
        free(line);
    }
    member_of(line, "id", id, sizeof(id));
    member_of(line, "full_name", name, sizeof(name));
    free(line);
    snprintf(body, size,
             "{\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_name\":\"%s\"}}", id,
             name);
}

static void note_answer(struct callers *callers, const struct test_response *response)
{
    FILE *file = atomic_load(&callers->answers);
    char id[32];
    if (file != NULL) {
        member_of(response->body, "answer_id", id, sizeof(id));
        fprintf(file, "%s\n", id); /* one call, so whole lines */
    }
}

/* Gives whether the connection may be used again. */
static bool ask(struct callers *callers, struct test_client *client, bool *answered)
{
    struct test_response response = {0};
    char field[32];
    *answered = test_client_request(client, "POST", "/v1/verify",
                                    "Content-Type: application/json\r\n", callers->body, &response);
    if (!*answered) {
        atomic_fetch_add(&callers->cut, 1);
        return false;
    }
    bool right =
        response.status == 200 && strstr(response.body, "\"verdict\":\"verified\"") != NULL;
    if (!right && atomic_fetch_add(&callers->wrong, 1) == 0) {
        fprintf(stderr, "a wrong answer: %d %s\n", response.status, response.body);
    }
    atomic_fetch_add(&callers->right, right);
    note_answer(callers, &response);
    const char *connection = test_response_field(&response, "Connection", field, sizeof(field));
    bool last = connection != NULL && strcmp(connection, "close") == 0;
    test_response_release(&response);
    return !last;
}

static void *call(void *argument)
{
    struct caller caller = *(struct caller *)argument;
    struct callers *callers = caller.callers;
    struct test_client *client = NULL;
    struct test_client_options options = {.port = callers->server.port,
                                          .server_name = "127.0.0.1",
                                          .context = callers->context[caller.index]};
    double since = now_s();
    free(argument);
    while (!atomic_load(&callers->stop)) {
        char error[TEST_ERROR_MAX] = "";
        bool answered = false;
        if (client == NULL) {
            client = test_client_open(&options, error);
        }
        if (client == NULL) {
            if (atomic_fetch_add(&callers->refused, 1) == 0) {
                fprintf(stderr, "no connection: %s\n", error);
            }
            sleep_ms(20);
            continue;
        }
        if (!ask(callers, client, &answered)) {
            test_client_close(client);
            client = NULL;
        }
        if (answered) {
            unsigned waited = (unsigned)((now_s() - since) * 1000);
            since = now_s();
            if (waited > atomic_load(&callers->longest_wait_ms)) {
                atomic_store(&callers->longest_wait_ms, waited);
            }
        }
        sleep_ms(1); /* so that the machine is not only ours */
    }
    if (client != NULL) {
        test_client_close(client);
    }
    return NULL;
}

struct callers *callers_start(const struct server *server, unsigned count)
{
    struct callers *callers = calloc(1, sizeof(*callers));
    assert_non_null(callers);
    assert_true(count <= CALLERS_MAX);
    callers->server = *server;
    verified_question(callers->body, sizeof(callers->body));
    struct test_client_options options = options_as(server, "demo");
    struct xt_tls_client_files files = {.certificate = options.certificate,
                                        .key = options.key,
                                        .server_authority = options.authority,
                                        .resume = true};
    for (unsigned i = 0; i < count; i++) {
        struct xt_failure failure = {0};
        struct caller *caller = malloc(sizeof(*caller));
        assert_non_null(caller);
        *caller = (struct caller){.callers = callers, .index = i};
        if (xt_tls_client(&files, &callers->context[i], &failure) != XT_OK) {
            fail_msg("%s", failure.text);
        }
        assert_int_equal(pthread_create(&callers->threads[i], NULL, call, caller), 0);
        callers->count++;
    }
    return callers;
}

void callers_note_answers(struct callers *callers, FILE *file)
{
    atomic_store(&callers->answers, file);
}

unsigned callers_right(const struct callers *callers)
{
    return atomic_load(&callers->right);
}

bool callers_wait(const struct callers *callers, unsigned more, unsigned timeout_ms)
{
    unsigned wanted = callers_right(callers) + more;
    for (double end = now_s() + timeout_ms / 1000.0; now_s() < end; sleep_ms(5)) {
        if (callers_right(callers) >= wanted) {
            return true;
        }
    }
    return false;
}

struct callers_result callers_stop(struct callers *callers)
{
    atomic_store(&callers->stop, true);
    for (unsigned i = 0; i < callers->count; i++) {
        pthread_join(callers->threads[i], NULL);
        xt_tls_context_close(callers->context[i]);
    }
    struct callers_result result = {.right = callers->right,
                                    .wrong = callers->wrong,
                                    .refused = callers->refused,
                                    .cut = callers->cut,
                                    .longest_wait_ms = callers->longest_wait_ms};
    free(callers);
    return result;
}
