/* net/supervisor_internal: what the files of the supervisor share. Private to them.
 *
 *   supervisor_start.c     from a plan to a loop, and back
 *   supervisor.c           signals, clocks, the end
 *   supervisor_reload.c    settings, certificates, partners and generations that change
 *   supervisor_quota.c     what daily quotas are kept in, day after day; rates over a restart
 *   supervisor_workers.c   which worker runs where, what each was told, who replaces whom
 *   supervisor_messages.c  what workers say and what becomes of it
 *   supervisor_pulse.c     which child runs and does nothing
 *   supervisor_keys.c      master, ticket and signing keys that change
 *   supervisor_audit.c     the audit log's checkpoints
 *   supervisor_segments.c  its files: which worker writes which
 *   supervisor_writer.c    the writer, and everybody's channel to it
 *   supervisor_sockets.c   the listening sockets, made or taken over
 *   supervisor_warm_up.c   the pages of a generation, read in the background
 *   upgrade.c              both sides of a hand-over
 */
#ifndef XT_NET_SUPERVISOR_INTERNAL_H
#define XT_NET_SUPERVISOR_INTERNAL_H

#include "core/wall_clock.h"
#include "crypto/answer_key.h"
#include "crypto/tickets.h"
#include "net/children.h"
#include "net/log.h"
#include "net/miss_alarm.h"
#include "net/notify.h"
#include "net/supervisor.h"
#include "net/vitals.h"
#include "net/watch.h"
#include "net/writer_record.h"
#include "store/audit_recover.h"
#include "store/quota.h"
#include "store/warm_up.h"

#define XT_QUICK_DEATH_MS 500 /* one that lived longer is replaced at once */
#define XT_BACKOFF_LEAST_MS 100
#define XT_BACKOFF_MOST_MS 5000
#define XT_START_LIMIT_MS 30000 /* for a child to serve after it was started */
#define XT_KILL_GRACE_MS 2000   /* past its own time limit, a child is killed */
#define XT_SILENT_TICKS 11 /* a worker without a heartbeat: 10 s of the supervisor's own clock */
#define XT_SILENT_WRITER_TICKS 31 /* 30 s: a commit waits for the disk */
#define XT_BEHIND_TICKS 6         /* a worker that does not take what it was told: 5 s */
#define XT_ASK_AGAIN_MS 5000      /* a worker without a generation to open the one there is */
#define XT_NEVER UINT64_MAX
#define XT_SUPERVISOR_SIGNALS 4

/* When something is to be started again. */
struct xt_backoff {
    uint64_t start_at_ms; /* XT_NEVER: nothing is due */
    uint64_t delay_ms;    /* of the next quick death; 0: none so far */
};
/* After a death: sets when to start again. */
void xt_backoff_set(struct xt_backoff *backoff, uint64_t now_ms, bool quick);

/* What is known of a child's life. Counted in ticks of ours and not in time, so that nobody is found
 * silent because we ourselves did not run. */
struct xt_pulse {
    uint64_t beats; /* of its row in the shared memory, when it was last looked at */
    unsigned silent_ticks, behind_ticks;
    bool hung; /* it was told to be killed for it */
};

/* Segments of the audit log that a worker was given: the one before, the one it writes, and one that it was
 * told of. */
#define XT_AUDIT_GIVEN 3
struct xt_member_audit {
    struct xt_audit_header given[XT_AUDIT_GIVEN]; /* oldest first */
    uint32_t key_id;                              /* master key that the youngest is sealed under */
    unsigned count;
    bool under_way;       /* it has not said yet whether it took the last one */
    unsigned ticks;       /* for so long */
    int fd;               /* of the last one, to be told; -1: it was, or there is none */
    uint64_t retry_at_ms; /* after there was no room for one */
};

/* Serial numbers of the keys: told of, in force. */
struct xt_keys_known {
    uint64_t sent, taken;
};

/* The keys that sign answers, or tokens, as xt_material_signing gives them; NULL: there are none. */
struct xt_signing_text {
    uint8_t *text;
    size_t size;
};

enum xt_role { XT_ROLE_ABSENT, XT_ROLE_STARTING, XT_ROLE_SERVING, XT_ROLE_LEAVING };

/* The process in one of a worker's two places, and what it was told. */
struct xt_member {
    struct xt_supervisor *supervisor;
    struct xt_slot *slot;
    struct xt_child *child; /* NULL: ABSENT */
    enum xt_role role;
    unsigned place;
    uint64_t sent_serial, known_serial; /* snapshot: told of, in force */
    uint64_t sent_identity;             /* certificates: told of */
    uint64_t sent_quota;                /* quotas: told of */
    struct xt_keys_known keys;
    uint32_t sent_generation;
    uint64_t start_generation_serial; /* of the generation that START named */
    uint64_t opened_serial;           /* of the one that it has; 0: none */
    uint64_t answered_serial;         /* taken or refused */
    uint32_t answered_generation;
    uint64_t generation_at_ms; /* not told of one before */
    bool lacks_generation;     /* it refused the only one it could have: it answers 503 */
    struct xt_pulse pulse;
    int drain_wanted, drain_sent; /* enum xt_drain; -1: none */
    bool stopped;                 /* it has nothing under way any more */
    int writer_end;               /* a channel to the writer, to be told to it; -1 */
    int channel_end;              /* the other end, to be told to the writer; -1 */
    struct xt_member_audit audit;
    uint64_t kill_at_ms;
};

/* One worker: its sockets and its two places. No other worker has these sockets: what a worker does to
 * them it does to its successors at most, and those get them set right again. */
struct xt_slot {
    unsigned index;
    int api_socket, admin_socket;
    struct xt_member members[2];
    struct xt_backoff backoff;
    bool replace; /* the one that serves is to be replaced */
};

struct xt_writer_slot {
    struct xt_child *child; /* NULL: none */
    enum xt_role role;
    struct xt_keys_known keys;
    uint64_t sent_serial; /* snapshot: told of */
    bool drain_sent;
    uint64_t settled_serial; /* of the generation that it knows to be the only one that is read */
    bool waits;              /* an heir's, for the writer before it: that one serves all the same */
    struct xt_writer_channel *channel; /* ours to it */
    int far_end;                       /* of our channel, to be told to it; -1 */
    struct xt_backoff backoff;
    struct xt_pulse pulse;
    uint64_t kill_at_ms;
};

struct xt_audit_desk {
    struct xt_audit_checkpoints *checkpoints; /* NULL: not open */
    uint64_t checkpoint_at_ms, expiry_at_ms;
    struct xt_wall_clock clock; /* tells when segments are old enough to go */
    bool doubted;     /* it has not been believed since DIR/supervisor/clock.doubted was made */
    bool rotated;     /* since the last checkpoint segments were opened or closed */
    bool recover_due; /* at the start there was no room for the first checkpoint */
    unsigned contradicted; /* checkpoints in a row that did not fit those before */
    /* Of trouble that lasts, what the log has said already. */
    enum xt_status told_checkpoint, told_segment, told_closing;
};

struct xt_warmer {
    struct xt_supervisor *supervisor;
    uv_timer_t timer; /* the next slice */
    uv_work_t work;
    bool reading;              /* a thread has warm_up */
    bool told_partly;          /* in the log: not all is read */
    struct xt_warm_up warm_up; /* of no generation: nothing to do */
    enum xt_status status;     /* of the last slice */
    uint64_t slice_bytes, period_ms, began_ms, told_ms;
    struct xt_generation *next; /* takes the place once the slice is read; NULL: none */
};

struct xt_upgrade {
    struct xt_child *heir; /* NULL: none is starting */
    uint64_t give_up_at_ms;
    bool handed_over;
    int channel; /* of ours to the one before; -1: we took over from nobody, or have done so */
    bool poll_open, announced;
    bool list_in_force; /* the one before had a revocation list */
    uv_poll_t poll;
};

struct xt_supervisor {
    uv_loop_t loop;
    bool loop_open;
    const struct xt_supervisor_plan *plan;
    struct xt_settings settings; /* in force */
    struct xt_keyring *keyring;  /* changes in place */
    uint32_t ticket_order;       /* the last rotation of the ticket keys that was obeyed */
    struct xt_signing_text signing, token;
    uint64_t keys_serial; /* of all three */
    uint64_t keys_told;   /* that stands in DIR/supervisor/keys.taken */
    struct xt_identity_files *identity;
    struct xt_partners *partners;
    int snapshot; /* of both */
    struct xt_miss_alarm *misses;
    struct xt_quota_book *quotas;
    uint64_t rates_recorded;              /* of xt_rates_record_names */
    struct xt_failure quota_told;         /* what the log says is wrong with them; "": nothing */
    uint64_t serial;                      /* of the snapshot and settings */
    uint64_t identity_serial;             /* of the certificates */
    uint32_t generation;                  /* 0: none */
    uint64_t generation_serial;           /* changes with it, also where the number does not */
    uint8_t digest[XT_GENERATION_DIGEST]; /* of the generation that was checked */
    uint32_t generation_key;              /* master key that it needs */
    dev_t data_device;                    /* and its data.mdb: the file that the workers have */
    ino_t data_inode;
    struct xt_ticket_seed *tickets; /* in locked memory */
    struct xt_shared *shared;

    unsigned workers;
    struct xt_slot *slots;
    struct xt_writer_slot writer;
    struct xt_writer_record record; /* who held which certificate; the last generation */
    enum xt_status refused_told;    /* what the log says of it */
    unsigned cpu_count;
    unsigned cpus[XT_WORKERS_MAX];

    uv_timer_t tick; /* once a second */
    uv_timer_t due;  /* the next deadline */
    uv_signal_t signals[XT_SUPERVISOR_SIGNALS];
    struct xt_watch partners_watch, identity_watch, keys_watch;
    struct xt_notify notify;
    struct xt_upgrade upgrade;
    struct xt_warmer warmer;
    struct xt_audit_desk audit;
    struct xt_vitals_source vitals;
    uint64_t alive_told_ms;
    int64_t revocations_warned_s;

    bool serving;      /* all have served at once, and it was said */
    bool reloading;    /* told to the service manager, not finished */
    bool snapshot_due; /* partners changed, and memory was short */
    bool draining, stopped, cut_off;
    enum xt_status start_status; /* why it never served; XT_OK */
    struct xt_failure start_failure;
};

/* ---- supervisor.c ---- */
uint64_t xt_supervisor_now(const struct xt_supervisor *supervisor);
/* Handles of the loop. */
void xt_supervisor_signal(uv_signal_t *handle, int number);
void xt_supervisor_tick(uv_timer_t *timer);
/* Something changed: is everybody there, is everything over? Arms the timer for the next deadline. */
void xt_supervisor_progress(struct xt_supervisor *supervisor);
/* mode: enum xt_drain. */
void xt_supervisor_drain(struct xt_supervisor *supervisor, int mode);
/* A child could not serve before the service ever did: there is nothing to wait for. */
void xt_supervisor_give_up(struct xt_supervisor *supervisor, const char *who);
/* Something that the service cannot go on without has failed: it drains and ends with a failure. */
void xt_supervisor_fail(struct xt_supervisor *supervisor, const char *why);
void xt_supervisor_log_failure(const char *event, const struct xt_failure *failure);
/* READY, with a line of how it is. */
void xt_supervisor_tell_ready(struct xt_supervisor *supervisor);

/* ---- supervisor_reload.c ---- */
/* SIGHUP. */
void xt_supervisor_reload(struct xt_supervisor *supervisor);
/* Loads the partners in the place of those in force. */
XT_MUST_USE enum xt_status xt_supervisor_load_partners(struct xt_supervisor *supervisor,
                                                       struct xt_failure *failure);
/* Reads the partners again and tells the workers. */
void xt_supervisor_take_partners(struct xt_supervisor *supervisor);
/* Logs which of these settings only a start can change. */
void xt_supervisor_log_fixed(const struct xt_supervisor *supervisor,
                             const struct xt_settings *settings);
/* A list in force that is simply gone would let everybody in again whom it shut out. */
XT_MUST_USE enum xt_status xt_supervisor_check_revocations(bool list_in_force,
                                                           const struct xt_settings *settings,
                                                           const struct xt_identity_files *identity,
                                                           struct xt_failure *failure);
/* Looks which generation is current, and whether its file is another one than the workers opened (put
 * back from a copy); checks it and tells the workers, or replaces them. */
XT_MUST_USE enum xt_status xt_supervisor_look_at_generation(struct xt_supervisor *supervisor,
                                                            struct xt_failure *failure);

/* ---- supervisor_quota.c ---- */
XT_MUST_USE enum xt_status xt_quotas_open(struct xt_supervisor *supervisor,
                                          struct xt_failure *failure);
/* After a change of the partners, and each second; the next sync tells the workers. */
void xt_quotas_settle(struct xt_supervisor *supervisor);
/* Rates: as they were before the start; who has one; how they are at the end. */
void xt_quotas_restore_rates(struct xt_supervisor *supervisor);
void xt_quotas_name_rates(struct xt_supervisor *supervisor);
void xt_quotas_save_rates(struct xt_supervisor *supervisor);
/* Tells a worker, if it was not told of them. */
XT_MUST_USE enum xt_status xt_quotas_tell(struct xt_member *member);
/* ---- supervisor_keys.c ---- */
struct xt_new_keys {
    struct xt_keyring *keyring;
    uint32_t ticket_order;
    struct xt_signing_text signing, token;
    bool keep_gone; /* signing keys in force stay where there are none now */
};
/* Reads and checks DIR/keys; nothing is taken. */
XT_MUST_USE enum xt_status xt_supervisor_read_keys(const struct xt_supervisor *supervisor,
                                                   struct xt_new_keys *keys,
                                                   struct xt_failure *failure);
void xt_new_keys_release(struct xt_new_keys *keys);
/* Writes the keys that sign, as XT_START_SIGNING has them. */
#define XT_SIGNING_TEXT_MAX (2 * XT_ANSWER_KEYS_TEXT_MAX + 1) /* bytes */
struct xt_span xt_supervisor_write_signing(const struct xt_supervisor *supervisor,
                                           struct xt_writer *writer);
/* Takes them over, so that nothing is left in *keys, and tells everybody what is new. */
void xt_supervisor_take_keys(struct xt_supervisor *supervisor, struct xt_new_keys *keys);
/* Both; but signing keys that are gone go on until SIGHUP: an operator may just put another file there. */
XT_MUST_USE enum xt_status xt_supervisor_look_at_keys(struct xt_supervisor *supervisor,
                                                      struct xt_failure *failure);
/* Of the watch. */
void xt_supervisor_keys_changed(void *context);
XT_MUST_USE enum xt_status xt_member_keys_sync(struct xt_member *member);
XT_MUST_USE enum xt_status xt_writer_slot_keys_sync(struct xt_supervisor *supervisor);
/* Once all have the newest keys, writes it down. */
void xt_supervisor_keys_progress(struct xt_supervisor *supervisor);

/* ---- supervisor_workers.c ---- */
XT_MUST_USE enum xt_status xt_workers_open(struct xt_supervisor *supervisor,
                                           struct xt_failure *failure);
void xt_workers_close(struct xt_supervisor *supervisor);
/* Starts a worker in a free place of the slot; what fails is logged and tried again. */
void xt_worker_start_in(struct xt_slot *slot);
/* Tells each what it was not told yet. */
void xt_workers_sync(struct xt_supervisor *supervisor);
void xt_member_sync(struct xt_member *member);
/* The member is to end; the slot's other one goes on, or one is started. */
void xt_member_leave(struct xt_member *member, int mode);
void xt_workers_drain(struct xt_supervisor *supervisor, int mode);
/* Successors for all that serve. */
void xt_workers_replace(struct xt_supervisor *supervisor);
/* Does what is due; gives the time of what is due next. */
uint64_t xt_workers_due(struct xt_supervisor *supervisor, uint64_t now_ms);
bool xt_workers_all_serve(const struct xt_supervisor *supervisor);
bool xt_workers_all_stopped(const struct xt_supervisor *supervisor);
bool xt_workers_any_left(const struct xt_supervisor *supervisor);
/* Every worker there is, also one that starts or drains, has the generation of now and will open no other. */
bool xt_workers_read_one_generation(const struct xt_supervisor *supervisor);
/* All that serve have the newest snapshot in force. */
bool xt_workers_are_current(const struct xt_supervisor *supervisor);
struct xt_member *xt_slot_other(struct xt_member *member);
struct xt_member *xt_slot_in_role(struct xt_slot *slot, enum xt_role role); /* NULL: none */

/* ---- supervisor_messages.c ---- */
void xt_member_told(void *context, struct xt_child *child, struct xt_control_message *message);
void xt_member_writable(void *context, struct xt_child *child);
void xt_member_ended(void *context, struct xt_child *child, const struct xt_child_end *end);

/* ---- supervisor_audit.c ---- */
/* Opens the checkpoints and repairs what a crash left. Before the sandbox. */
XT_MUST_USE enum xt_status xt_audit_desk_open(struct xt_supervisor *supervisor,
                                              struct xt_failure *failure);
/* Each second: does what is due. */
void xt_audit_desk_tick(struct xt_supervisor *supervisor);
/* The last checkpoint, when no worker is left. */
void xt_audit_desk_end(struct xt_supervisor *supervisor);
void xt_audit_desk_close(struct xt_supervisor *supervisor);
/* The same trouble each second is one line: *told is of the last one. XT_OK: it is over. */
void xt_audit_trouble(enum xt_status *told, const char *event, enum xt_status status,
                      const struct xt_failure *failure);
void xt_audit_log_repair(const char *event, const struct xt_audit_repair *repair);

/* ---- supervisor_segments.c ---- */
/* Each second: files for those who need one. */
void xt_members_audit_tick(struct xt_supervisor *supervisor);
/* It says of its log what cannot be, or nothing. */
void xt_member_audit_kill(const struct xt_member *member, const char *why);
/* Makes the next segment of a member; to be sent with START or by xt_member_audit_sync. XT_DISK_FULL: it
 * starts without one, and the tick tries again. */
XT_MUST_USE enum xt_status xt_member_audit_make(struct xt_member *member,
                                                struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_member_audit_sync(struct xt_member *member);
void xt_member_audit_sent(struct xt_member *member);
/* It writes the last one it was given; or could not begin to. */
void xt_member_audit_taken(struct xt_member *member);
void xt_member_audit_refused(struct xt_member *member);
/* Before its successor starts: its segments are repaired and closed. */
void xt_member_audit_ended(struct xt_member *member);

/* ---- supervisor_pulse.c ---- */
/* Another process in that place. */
void xt_pulse_begin(struct xt_pulse *pulse);
/* Each second: kills who hangs; it is replaced when it has ended. */
void xt_pulse_tick(struct xt_supervisor *supervisor);

/* ---- supervisor_writer.c ---- */
void xt_writer_slot_start(struct xt_supervisor *supervisor);
void xt_writer_slot_sync(struct xt_supervisor *supervisor);
/* Tells it, once that is so, that nobody reads any generation but the present one. */
void xt_writer_slot_settle(struct xt_supervisor *supervisor);
void xt_writer_slot_drain(struct xt_supervisor *supervisor);
uint64_t xt_writer_slot_due(struct xt_supervisor *supervisor, uint64_t now_ms);
/* A new pair of ends between this member and the writer: both to be told. */
void xt_writer_slot_connect(struct xt_member *member);

/* ---- supervisor_sockets.c ---- */
/* The slots' sockets, bound and listening. */
XT_MUST_USE enum xt_status xt_sockets_open(struct xt_supervisor *supervisor,
                                           struct xt_failure *failure);
/* Ours; the workers have theirs. */
void xt_sockets_close(struct xt_supervisor *supervisor);
/* Before a worker gets them: non-blocking, whatever the one before it did to them. */
void xt_sockets_set_right(const struct xt_slot *slot);
/* Whether the settings mean where we listen already. */
bool xt_sockets_are_at(int socket, const char *address);

/* ---- supervisor_warm_up.c ---- */
bool xt_warmer_open(struct xt_supervisor *supervisor);
/* Takes a generation that is served from now on. */
void xt_warmer_take(struct xt_supervisor *supervisor, struct xt_generation *generation);
/* The settings are other ones; before them the rate was rate_before (MiB a second). */
void xt_warmer_retune(struct xt_supervisor *supervisor, uint64_t rate_before,
                      uint64_t reserve_before);
/* The loop is to end; a slice under way ends first. */
void xt_warmer_stop(struct xt_supervisor *supervisor);
/* After the loop. */
void xt_warmer_close(struct xt_supervisor *supervisor);

/* ---- upgrade.c ---- */
/* Receives sockets and ticket seed from the one before. */
XT_MUST_USE enum xt_status xt_upgrade_receive(struct xt_supervisor *supervisor,
                                              struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_upgrade_listen(struct xt_supervisor *supervisor,
                                             struct xt_failure *failure);
/* All our workers serve: says so to the one before. */
void xt_upgrade_announce(struct xt_supervisor *supervisor);
/* SIGUSR2. */
void xt_upgrade_begin(struct xt_supervisor *supervisor);
/* It is not to take over after all. */
void xt_upgrade_abandon(struct xt_supervisor *supervisor, const char *why);
uint64_t xt_upgrade_due(struct xt_supervisor *supervisor, uint64_t now_ms);
/* SIGHUP while we drain: the one that took over is meant. */
void xt_upgrade_pass_on_reload(struct xt_supervisor *supervisor);
void xt_upgrade_close(struct xt_supervisor *supervisor);

#endif
