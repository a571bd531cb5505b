/* tests/store/world: a small register that changes, and a model of it. A writer in a process of its own applies
 * events to the live store, the model does the same, and whatever is asked of the register must be what the
 * model says. */
#ifndef XT_TESTS_STORE_WORLD_H
#define XT_TESTS_STORE_WORLD_H

#include <sys/types.h>

#include "store/live_internal.h"
#include "store/register.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PEOPLE 300 /* in the generation */
#define SPARE 60   /* numbers that nobody has yet */
#define NUMBERS (PEOPLE + SPARE)
#define OLD(i) (PERSON_NUMBER(5000) + (i)) /* replaced by PERSON_NUMBER(i), in the generation */
#define OLDS 10
#define SHARED_CMND 555555555U /* of three people in the generation */
#define PHONES 120             /* a pool, so that several people have the same */
#define PHONE(i) (987650000U + (i))
#define CMNDS 90
#define CMND(i) (777000000U + (i))
#define GROUP_MAX 12

/* ---- the model -------------------------------------------------------------------------------- */

enum state { NOBODY, SOMEBODY, GONE };

/* A number: whom it names. A person is kept as two records, as anywhere. */
struct slot {
    enum state state;
    uint64_t successor;
    unsigned versions;
    size_t hot_size, cold_size;
    uint8_t hot[XT_HOT_MAX], cold[2048];
    uint8_t before[XT_HOT_MAX]; /* hot record before the last correction */
    size_t before_size;
};

extern struct world {
    struct slot slots[NUMBERS + OLDS];
    uint64_t sequence;
} model, saved;

uint64_t number_of(unsigned slot);
struct slot *slot_of(uint64_t number);

/* What `import --links` does; no event. */
enum xt_conflict model_link(uint64_t number, const struct xt_link *link);

/* ---- the deployment --------------------------------------------------------------------------- */

/* Set-up of cmocka: a deployment with PEOPLE people, whom the model knows. */
int world_make(void **state);
/* The same people each time, whatever the model says of them by now. */
void build_generation(bool model_too);
/* For xt_builder_sort. */
void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                  const char *pointer);
/* The keys that are in the file by now. */
struct xt_keyring *read_keys(void);

/* ---- events and the writer ---------------------------------------------------------------------- */

/* Event k of a world: always the same, whatever happened before. */
void draw_event(unsigned k, struct xt_registry_event *event, struct xt_event *encoded,
                uint8_t body[XT_EVENT_BODY_MAX]);

extern uint32_t window_events; /* of the writer's window */

struct order {
    unsigned from, count; /* events; count 0: one of these instead */
};
enum { SEAL_ANEW, TAKE_CURRENT, DROP_FOLDED };

struct answer {
    uint64_t sequence;
    uint32_t key_id;
    bool done; /* of DROP_FOLDED */
    struct xt_live_outcome outcomes[GROUP_MAX];
};

extern struct world_writer {
    pid_t process;
    int channel;
} writer;

uint64_t start_writer(void); /* gives the sequence that it found */
void stop_writer(int with);  /* a signal; 0: by itself */
void order_group(unsigned from, unsigned count);
uint64_t hear(struct answer *answer);
/* The model does the same; its answers must be those of the writer (NULL: are not looked at). */
void follow_group(unsigned from, unsigned count, const struct answer *answer);
extern bool followed[GROUP_MAX]; /* which events of the last group were applied */

/* In the caller's own process. */
void write_group(struct xt_live *live, struct order order, struct answer *answer);
void seal_anew(struct xt_live *live);

/* ---- what readers see --------------------------------------------------------------------------- */

struct xt_register open_register(void);
void close_register(struct xt_register *as);
void check_number(const struct xt_register *as, unsigned index);
void check_alias(const struct xt_register *as, enum xt_id_kind kind, uint64_t value);
void check_all(const struct xt_register *as);

#endif
