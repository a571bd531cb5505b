/* tests/net/writer_world: a deployment, shared memory and, mostly, one writer, the real process; channels to it, and
 * events for it. Each test has them anew (EACH). */
#ifndef XT_TESTS_NET_WRITER_WORLD_H
#define XT_TESTS_NET_WRITER_WORLD_H

#include <sys/resource.h>
#include <sys/types.h>
#include <uv.h>

#include "net/control.h"
#include "net/shared.h"
#include "net/writer_channel.h"
#include "net/writer_message.h"
#include "store/live.h"
#include "tests/test.h"

#define WORKERS 2
#define PATIENCE_MS 20000

extern struct writer_world {
    char dir[64];
    struct xt_keyring *keyring;
    struct xt_shared *shared;
    uv_loop_t loop;
    uv_timer_t patience;
    pid_t writer;
    int control;       /* our end; -1: none */
    rlim_t file_limit; /* bytes of a file of the writer's; 0: as many as we may */
} world;
extern struct xt_failure failure;

/* Before the tests, in main; false: it cannot be. */
bool world_begin(void);
int make(void **state);
int remove_all(void **state);
#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

void in_dir(char path[XT_PATH_MAX], const char *name);

void start_writer(void);
/* The next thing that it says, but for that it has its keys, which it says when it has them. */
void expect_told(enum xt_control_type type);
int reap(void); /* waits for its end; gives waitpid's status */
void kill_writer(void);
void tell(enum xt_control_type type);
void drain_writer(void);

/* A channel: the writer has one end, the other is returned. answer_bytes: what the kernel keeps of the
 * writer's answers; 0: as much as usual. */
int connect_with(unsigned place, int answer_bytes);
int connect_place(unsigned place);
int connect_administrator(void);
struct xt_writer_channel *open_channel(int fd);
struct xt_live *open_reader(void);

struct xt_event held_event(unsigned i, const char *partner);
bool is_held(const struct xt_live *live, unsigned i, const char *partner);

/* The packet that tells of such an event; gives its size. */
size_t make_packet(unsigned i, uint8_t packet[XT_WRITER_EVENT_MAX]);

/* What came back for one event. */
struct asked {
    unsigned answers;
    struct xt_writer_answer answer;
};

void on_answer(void *asked, const struct xt_writer_answer *answer);
struct xt_writer_answer ask_for(struct xt_writer_channel *channel, const char *partner,
                                const struct xt_event *event);
struct xt_writer_answer ask(struct xt_writer_channel *channel, const struct xt_event *event);

void start_patience(void); /* fails after a while */
/* Runs the loop until it holds. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        start_patience();                                                                          \
        while (!(condition)) {                                                                     \
            uv_run(&world.loop, UV_RUN_ONCE);                                                      \
        }                                                                                          \
        uv_timer_stop(&world.patience);                                                            \
    } while (0)

unsigned count_descriptors(pid_t pid);

#endif
