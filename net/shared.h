/* net/shared: the one piece of memory that all processes of `serve` have in common: numbers only, no
 * secret and nothing of any request.
 *
 *   three memory files (sealed: nobody can shrink or grow them)               written by
 *   +--------------------------------------------------------------------+
 *   | header: version of the layout, workers, time of the start          |   supervisor, once
 *   | processes: workers 0 .. N-1, writer, supervisor: pid, state, ...   |   supervisor
 *   | names of the partners' cells; vitals of the supervisor             |   supervisor
 *   +--------------------------------------------------------------------+
 *   +--------------------------------------------------------------------+
 *   | rate cells: one 64-bit word for each partner (net/rates)           |   all workers, compare-and-swap
 *   | polls: when requests of the back channel were asked about          |
 *   +--------------------------------------------------------------------+
 *   +--------------------------------------------------------------------+
 *   | counters of worker 0   | counters of worker 1 | ... | of N-1       |   that worker only
 *   | counters of the writer                                             |   writer
 *   +--------------------------------------------------------------------+
 *   Every row begins on a page of its own.
 *
 * Who may write is held by the kernel, against a child that strangers have taken over. The header is
 * sealed against any writable map but the supervisor's (F_SEAL_FUTURE_WRITE, fcntl(2)). A child maps
 * the rows through a descriptor that can only read, and its own row alone through one that can write;
 * a map made by a reading descriptor can never be made writable (mprotect(2): EACCES). It closes all of
 * them before it hears a stranger. One way past is left to the sandbox, which denies it: to let the map
 * of one's own row grow over those behind it (mremap(2)).
 * What such a child can write is numbers. No index, no length and no bound of a loop is taken from
 * memory that a child can write; what the supervisor decides by (who has which cell) it keeps in memory
 * of its own and only publishes here; and each process keeps what it once checked of the header. So the
 * worst that a child does with it is wrong counters of its own, and partners' rates: to let through or
 * to refuse.
 *
 * Counters have one writer each, so adding is a plain load and store (relaxed atomics, no locked
 * instruction, no shared cache line). They belong to the place and not to the process: who replaces a
 * crashed worker goes on from what is there, so no counter ever goes backwards. Gauges (how it is now)
 * are zeroed by the new process when it attaches.
 *
 * Place: which process one is: workers 0 .. N-1, the writer N, the supervisor N + 1. Two places may be
 * of one worker, so that its successor can start before it has ended (xt_shared_set_slots).
 *
 * A partner's cell: an index into the rate cells and into each worker's counters by partner. The
 * supervisor gives one to a name when it first comes, and the name keeps it over every reload. When the
 * partner is removed the cell is retired: its counters are reported for another XT_CELL_KEPT_MS, so
 * that the last of them is scraped, then no more, and only then may another name get it. Twice as many
 * cells as partners make room for that; if removals are so quick that none is free all the same, the
 * one that was retired first is taken before its time. Who gets a used cell finds a new epoch in it,
 * and a worker's counters under an older epoch count as zero: they are never another partner's.
 * After a restart or an upgrade all of it begins anew (counters at zero, as Prometheus expects of a
 * restarted process) but for the rates (net/rates_record).
 *
 * Thread: one in each process. Blocks: never. Memory: about 2.3 MiB for each worker, of which only what
 * partners use is ever touched.
 */
#ifndef XT_NET_SHARED_H
#define XT_NET_SHARED_H

#include <sys/types.h>

#include "core/span.h"
#include "core/status.h"
#include "store/audit.h"
#include "store/partners.h"

#define XT_CELLS (2 * XT_PARTNERS_MAX)
#define XT_NO_CELL UINT32_MAX
#define XT_CELL_KEPT_MS 900000U /* 15 min: three of the longest usual scrape intervals */
#define XT_SHARED_WORKERS_MAX 256

/* ---- one number ------------------------------------------------------------------------------- */

struct xt_counter {
    uint64_t value; /* only by the functions below */
};

static inline uint64_t xt_counter_get(const struct xt_counter *counter)
{
    return __atomic_load_n(&counter->value, __ATOMIC_RELAXED);
}

/* By its one writer only. */
static inline void xt_counter_set(struct xt_counter *counter, uint64_t value)
{
    __atomic_store_n(&counter->value, value, __ATOMIC_RELAXED);
}

/* By its one writer only. */
static inline void xt_counter_add(struct xt_counter *counter, uint64_t count)
{
    __atomic_store_n(&counter->value, __atomic_load_n(&counter->value, __ATOMIC_RELAXED) + count,
                     __ATOMIC_RELAXED);
}

/* ---- what a worker counts --------------------------------------------------------------------- */

/* Which route a request took, as far as metrics tell them apart. Those with partners come first. */
enum xt_route_id {
    XT_ROUTE_VERIFY,
    XT_ROUTE_VERIFY_BATCH, /* its lines, and as answered the requests */
    XT_ROUTE_AUTHENTICATE,
    XT_ROUTE_PARTNERS_COUNT, /* those above are counted by partner as well */
    XT_ROUTE_OPENAPI = XT_ROUTE_PARTNERS_COUNT,
    XT_ROUTE_JWKS,
    XT_ROUTE_INTROSPECT,
    XT_ROUTE_REVOKE,
    XT_ROUTE_METADATA,
    XT_ROUTE_BACKCHANNEL,
    XT_ROUTE_TOKEN,
    XT_ROUTE_CHALLENGES,
    XT_ROUTE_ACCOUNTS, /* all of them */
    XT_ROUTE_ATTRIBUTES,
    XT_ROUTE_CONSENTS, /* both of them */
    XT_ROUTE_EVENTS,
    XT_ROUTE_STATISTICS,
    XT_ROUTE_HEALTHZ,
    XT_ROUTE_READYZ,
    XT_ROUTE_METRICS,
    XT_ROUTE_OTHER, /* no route, or not understood as a request */
    XT_ROUTE_COUNT
};

/* What became of a request. */
enum xt_request_outcome {
    XT_OUTCOME_VERIFIED,
    XT_OUTCOME_NOT_VERIFIED,
    XT_OUTCOME_ANSWERED, /* 2xx of other routes */
    XT_OUTCOME_REFUSED,  /* the first of its statuses: net/metrics has the list */
    XT_OUTCOME_FAILED = XT_OUTCOME_REFUSED + 18, /* by our own fault: 500; 503 for damage */
    XT_OUTCOME_COUNT = XT_OUTCOME_FAILED + 2
};

/* Upper bounds of the latency buckets, in steps of 1, 2, 5: 50 us ... 1 s, and all above. */
#define XT_LATENCY_BUCKETS 15

struct xt_latency {
    struct xt_counter buckets[XT_LATENCY_BUCKETS]; /* requests in this bucket alone */
    struct xt_counter sum_ns;
};

struct xt_partner_counters { /* six cache lines */
    _Alignas(64) struct xt_counter outcomes[XT_ROUTE_PARTNERS_COUNT][XT_OUTCOME_COUNT];
    struct xt_counter epoch;  /* of the cell when counting began */
    struct xt_counter misses; /* answers in which not one claim matched, events that did not fit */
    struct xt_counter
        events; /* that were applied, or did not fit the register; attempts to authenticate */
};

/* How a process itself is doing; set by net/vitals. */
struct xt_vitals {
    struct xt_counter cpu_us, major_faults; /* counters, over all processes of this place */
    struct xt_counter resident_bytes;       /* gauge; 0: not known */
    struct xt_counter own_bytes;            /* gauge: of them what is no part of a file */
    struct xt_counter
        beats; /* one each second; one that stands still tells of a process that hangs */
};

enum xt_entrance_kind { XT_ENTRANCE_API, XT_ENTRANCE_ADMIN, XT_ENTRANCE_COUNT };

/* Why something was given up before it became an answer. */
enum xt_shed {
    XT_SHED_CONNECTION,    /* closed to make room for a new one */
    XT_SHED_ACCEPT_PAUSED, /* times that accepting stopped: no place or no file descriptor */
    XT_SHED_NO_BUFFER,     /* closed: too many clients do not read their answers */
    XT_SHED_REQUEST,       /* answered 503 overloaded, before more queues grow */
    XT_SHED_COUNT
};

/* How it is now: zeroed when a process attaches. */
struct xt_gauges {
    struct xt_counter open[XT_ENTRANCE_COUNT]; /* connections */
    struct xt_counter shaking;                 /* of them: in their TLS handshake */
    struct xt_counter held_buffers;            /* lent to connections that wait for their client */
    struct xt_counter deferred, hashing;       /* answers that wait; passcodes that do */
    struct xt_counter writer_queue;            /* events sent to the writer and not answered yet */
    struct xt_counter generation, people, aliases; /* served; generation 0: none */
    struct xt_counter partners;                    /* in force */
    struct xt_counter audit_full; /* 1: no audit log, or no room for it: requests are refused */
};

struct xt_counters {
    struct xt_counter requests[XT_ROUTE_COUNT][XT_OUTCOME_COUNT];
    struct xt_latency latency[XT_ROUTE_COUNT];
    struct xt_latency turns; /* of the loop, that served clients */
    struct xt_counter accepted[XT_ENTRANCE_COUNT];
    struct xt_counter handshakes_full, handshakes_resumed, handshakes_refused;
    struct xt_counter handshakes_unfinished; /* given up or timed out, without a verdict */
    struct xt_counter bytes_in[XT_ENTRANCE_COUNT], bytes_out[XT_ENTRANCE_COUNT]; /* on the wire */
    struct xt_counter shed[XT_SHED_COUNT];
    struct xt_counter log_suppressed; /* lines */
    struct xt_counter hashes;         /* of passcodes, computed */
    struct xt_counter audit_entries, audit_bytes;
    struct xt_counter audit_syncs, audit_sync_ns; /* waits for the disk, and the time of them */
    struct xt_audit_progress audit;               /* what of the log is durable, for checkpoints */
    struct xt_vitals vitals;
    struct xt_gauges now;
    struct xt_partner_counters by_partner[XT_CELLS];
};

/* What the writer counts; its page is there from the start, at zero. */
struct xt_writer_counters {
    struct xt_counter events;          /* committed */
    struct xt_counter refused, failed; /* not applied: refused by rule; an error of ours */
    struct xt_counter transactions;    /* committed */
    struct xt_counter commit_ns;       /* spent in commits */
    struct xt_vitals vitals;
    struct xt_counter queue;              /* gauge: events received and not committed yet */
    struct xt_counter sequence;           /* gauge: of the last committed event */
    struct xt_counter statistics_changes; /* gauge: of events, not added up yet */
    struct xt_counter commit;             /* gauge: xt_live_committed, stored before sequence */
    struct xt_counter store_bytes, room_bytes; /* gauges: what the live store takes, and may take */
};

/* ---- processes -------------------------------------------------------------------------------- */

enum xt_process_state {
    XT_PROCESS_NONE, /* none is wanted in this place (a worker's other one) */
    XT_PROCESS_STARTING,
    XT_PROCESS_SERVING,
    XT_PROCESS_DRAINING,
    XT_PROCESS_DEAD
};

/* Written by the supervisor, about each place. */
struct xt_process {
    struct xt_counter pid, state; /* enum xt_process_state */
    struct xt_counter started_ms; /* CLOCK_MONOTONIC */
    struct xt_counter restarts;   /* times that it had to be replaced */
};

struct xt_shared; /* opaque: this process's view */

/* What a child needs to attach, in this order. */
enum xt_shared_fd {
    XT_SHARED_HEADER,
    XT_SHARED_RATES,
    XT_SHARED_ROWS, /* to map its own row */
    XT_SHARED_VIEW, /* the rows again, to be read only */
    XT_SHARED_FDS
};

/* Makes the memory; every state is NONE but the supervisor's (this process), SERVING. XT_IO,
 * XT_NO_MEMORY; XT_INVALID: too many workers. */
XT_MUST_USE enum xt_status xt_shared_create(unsigned workers, struct xt_shared **shared,
                                            struct xt_failure *failure);
/* Supervisor only: the descriptors for a child; they stay those of `shared` (cloexec). */
void xt_shared_hand(const struct xt_shared *shared, int fds[XT_SHARED_FDS]);
/* In the process of that place: its gauges are zeroed, its counters go on. The descriptors stay the
 * caller's, who must close them before any stranger is heard: whoever has them can map every row to
 * write. XT_UNSUPPORTED: of another program's layout; XT_INVALID: no such place. */
XT_MUST_USE enum xt_status xt_shared_attach(const int fds[XT_SHARED_FDS], unsigned place,
                                            struct xt_shared **shared, struct xt_failure *failure);
/* Unmaps; in the supervisor also closes the descriptors. NULL is fine. */
void xt_shared_close(struct xt_shared *shared);

/* Places for workers. */
unsigned xt_shared_workers(const struct xt_shared *shared);
/* A worker that is replaced without a gap has several places, of which one serves at a time: place p is
 * of worker p % slots. Supervisor only, before the first child attaches, who keeps what he finds;
 * without it each place is a worker. */
void xt_shared_set_slots(struct xt_shared *shared, unsigned slots);
unsigned xt_shared_slots(const struct xt_shared *shared);
static inline unsigned xt_shared_writer_place(unsigned workers)
{
    return workers;
}
static inline unsigned xt_shared_supervisor_place(unsigned workers)
{
    return workers + 1;
}
uint64_t xt_shared_started_unix_ms(const struct xt_shared *shared);

/* How far the warm-up of the served generation has come, in bytes; generation 0: there is none. Supervisor
 * only. */
void xt_shared_set_warm_up(struct xt_shared *shared, uint32_t generation, uint64_t done,
                           uint64_t wanted);
/* The bytes of this generation that have been read. */
uint64_t xt_shared_warmed_up(const struct xt_shared *shared, uint32_t generation);
/* 0 and 0: there is none. */
void xt_shared_warm_up(const struct xt_shared *shared, uint64_t *done, uint64_t *wanted);

/* The audit log's last checkpoint. Supervisor only. */
void xt_shared_set_checkpoint(struct xt_shared *shared, uint64_t number, uint64_t unix_s);
/* 0 and 0: there is none. */
void xt_shared_checkpoint(const struct xt_shared *shared, uint64_t *number, uint64_t *unix_s);

/* Read by all; written by that place's process only (others get SIGSEGV). */
struct xt_counters *xt_shared_counters(const struct xt_shared *shared, unsigned worker);
struct xt_writer_counters *xt_shared_writer_counters(const struct xt_shared *shared);
struct xt_vitals *xt_shared_vitals(const struct xt_shared *shared, unsigned place);

/* Written by the supervisor only. */
const struct xt_process *xt_shared_process(const struct xt_shared *shared, unsigned place);
void xt_shared_set_process(struct xt_shared *shared, unsigned place, enum xt_process_state state,
                           pid_t pid);
/* The process of that place ended by itself: DEAD, and one more restart. */
void xt_shared_count_restart(struct xt_shared *shared, unsigned place);

/* Whether every worker serves a generation and can write its audit log, from one of its places, and the writer serves if one is
 * wanted. */
struct xt_readiness {
    unsigned workers, serving, with_generation, logging;
    bool writer_wanted, writer_serving, draining;
};
bool xt_shared_is_ready(const struct xt_shared *shared, struct xt_readiness *readiness);

/* ---- partners' cells -------------------------------------------------------------------------- */

/* Supervisor only: gives each partner of a new set its cell, in the order of the set, and retires those
 * of partners that are gone. cells has room for xt_partners_count(partners). Never fails: there are
 * twice as many cells as partners. A partner whose rate changed keeps what he has used, in requests.
 * now_ms: CLOCK_MONOTONIC, as everywhere here. */
void xt_shared_assign(struct xt_shared *shared, const struct xt_partners *partners, uint64_t now_ms,
                      uint32_t *cells);

/* A worker that begins to use a cell; its counters by partner begin anew if another had it before. */
void xt_shared_use(struct xt_shared *shared, unsigned worker, uint32_t cell);

/* The word of net/rates; NULL for a cell that is not there, and in the writer. Any worker may have
 * written anything there. */
uint64_t *xt_shared_rate(struct xt_shared *shared, uint32_t cell);

/* When a request of the back channel was asked about last (net/backchannel_token), in the place that its name picks.
 * NULL in the writer. Any worker may have written anything there. */
#define XT_SHARED_POLLS 4096U
uint64_t *xt_shared_poll(struct xt_shared *shared, uint32_t place);

/* The name of a cell that is reported now, and its epoch, under which each worker's counters of it are
 * valid; false: nothing is reported for it. */
bool xt_shared_cell(const struct xt_shared *shared, uint32_t cell, uint64_t now_ms,
                    char name[XT_PARTNER_NAME_MAX + 1], uint64_t *epoch);

#endif
