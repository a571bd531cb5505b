/* tests/net/writer_rig: the real writer process under a disk and a clock that can fail (tests/preload), and
 * clients that check what it does from outside.
 *
 * Clients tell of certificates and people, one thing at a time each: the next once the last was acknowledged,
 * the same again when its writer died or had no room. So whatever happens, of each there is what was
 * acknowledged last or what is under way, and of people as many earlier versions as corrections were told.
 * More than half of what is told of people changes the statistics, which must be exact whenever they are
 * looked at.
 * What is drawn follows from XT_SEED in the environment, or the time; a test that failed says which.
 */
#ifndef XT_TESTS_NET_WRITER_RIG_H
#define XT_TESTS_NET_WRITER_RIG_H

#include <uv.h>

#include "net/shared.h"
#include "net/writer_channel.h"
#include "store/register.h"
#include "tests/preload.h"

#define RIG_SUBJECTS 96 /* every second one a certificate, the others people */

/* One after the other: event 1, 2, ... about one subject. */
struct rig_subject {
    unsigned index, told, done; /* done: acknowledged; told: done, or one more */
    bool under_way;
    uint64_t sequence; /* of the last one */
};

struct rig {
    char dir[64];
    struct xt_keyring *keyring;
    struct xt_shared *shared;
    struct preload_control *control;
    uv_loop_t loop;
    uv_timer_t patience;
    pid_t writer;   /* 0: none */
    int supervisor; /* our end of its control channel */
    struct xt_writer_channel *channel;
    struct xt_register as; /* a reader */
    struct rig_subject subjects[RIG_SUBJECTS];
    unsigned long file_limit; /* bytes of a file of the next writer's; 0: as many as we may */
    uint64_t acknowledged, duplicates, refused, seed, random;
    bool failed; /* as long as nobody has said otherwise */
};
extern struct rig rig;

int rig_make(void **state);
int rig_remove(void **state);
void rig_passed(void); /* at the end of a test that has not failed */

/* Starts a writer and waits until it serves; the channel goes to it. */
void rig_start(void);
/* The same, but it may as well end: its exit status, or -1 when it serves. */
int rig_try_start(void);
int rig_reap(void); /* waits for its end; gives waitpid's status */
void rig_drain(void);

/* Runs the clients until it holds. */
#define rig_run_until(condition)                                                                   \
    do {                                                                                           \
        rig_patience();                                                                            \
        while (!(condition)) {                                                                     \
            rig_feed();                                                                            \
            uv_run(&rig.loop, UV_RUN_ONCE);                                                        \
        }                                                                                          \
        uv_timer_stop(&rig.patience);                                                              \
    } while (0)
void rig_patience(void); /* fails after a while */
void rig_feed(void);
bool rig_has_writer(void); /* as far as its channel shows */

/* Whether a writer has logged this. */
bool rig_has_logged(const char *text);
/* What was acknowledged is there, and nothing that was not told, and the statistics count it; complete:
 * nothing is under way. Every sequence number belongs to one event. */
void rig_check(bool complete);
/* The last event of a subject again: it is known. */
void rig_tell_again(unsigned subject);

#endif
