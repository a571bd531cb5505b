/* tests/net/deployment: a deployment of synthetic people in a folder of its own, and the real server on
 * it. Failures end the test. */
#ifndef XT_TESTS_NET_DEPLOYMENT_H
#define XT_TESTS_NET_DEPLOYMENT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/client.h"

#define PEOPLE "20000"
#define SEED "7"

/* Group set-up and tear-down of cmocka: xacthuc init, import of PEOPLE, partners:
 *   demo   every claim for demo.verify, rights per_claim
 *   wide   the same with card_state, existence, advisory
 *   narrow full_name only, for narrow.purpose */
int deployment_make(void **state);
int deployment_remove(void **state);

/* Path of a name in the folder (DIR is the folder itself); valid until eight more were asked for. */
const char *deployment(const char *name);

/* Runs a program with arguments up to NULL, output thrown away; gives its exit status. */
int run(const char *program, ...);
const char *xacthuc(void);
const char *bench(void);

struct server {
    pid_t pid;
    unsigned port, admin_port;
};

/* Appends lines to xacthuc.conf's [limits] ("idle_timeout = 1s\n"; NULL: none), starts the server, waits
 * until it listens. */
void server_start(struct server *server, const char *limits);
/* The same with more arguments of `serve`, up to NULL ("--workers", "1"). */
void server_start_with(struct server *server, const char *limits, const char *const *arguments);
/* Process numbers of its workers, or of its writer; how many there are, at most `most`. */
unsigned server_workers(const struct server *server, pid_t *pids, unsigned most);
unsigned server_writers(const struct server *server, pid_t *pids, unsigned most);
/* Another process is the server now: one that took over and became our child. */
void server_adopt(struct server *server, pid_t pid);
/* SIGTERM; gives the exit status. */
int server_stop(struct server *server);
/* Waits until it has ended; gives the exit status, -1 after timeout_ms. */
int server_wait(struct server *server, unsigned timeout_ms);
/* Everything the servers of this program have logged; the caller frees it. */
char *server_log(void);
/* Waits until the log has text; false after timeout_ms. */
bool server_log_has(const char *text, unsigned timeout_ms);

/* Waits until there are so many workers and none of them is `gone`. */
bool server_wait_for_workers(const struct server *server, unsigned wanted, pid_t gone,
                             unsigned timeout_ms);
/* Whether a process runs: a zombie does not. */
bool process_is_alive(pid_t pid);
/* Waits until a process has ended (a zombie has). */
bool wait_until_gone(pid_t pid, unsigned timeout_ms);
/* How often the log has text. */
unsigned server_log_count(const char *text);

/* A connection as a partner; NULL name: without a certificate. Fails the test when it cannot. */
struct test_client *connect_as(const struct server *server, const char *partner);
struct test_client *connect_plain(unsigned port);
struct test_client_options options_as(const struct server *server, const char *partner);

/* POST /v1/verify with a JSON body; gives the status. */
int verify(struct test_client *client, const char *body, struct test_response *response);
/* The same on a connection of its own, status only. */
int status_of(const struct server *server, const char *partner, const char *body);

/* Line n (from 0) of the people (NDJSON) and of a file. The caller frees it. */
char *person_line(unsigned n);
/* A string member of a JSON line, without quotes, into text. Fails the test when there is none. */
void member_of(const char *line, const char *name, char *text, size_t size);

void write_text(const char *path, const char *text);
char *read_text(const char *path);
void sleep_ms(unsigned ms);
double now_s(void);

#endif
