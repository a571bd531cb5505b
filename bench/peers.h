/* bench/peers: `xacthuc-bench peers`, the same verify work on other software. Private to bench/peers*.
 *
 *   options -> software there is -> folder, certificates -> load and start each -> rounds -> figures
 *   peers_options  peers_software   peers.c                 peers_xacthuc, _nginx,   peers_   peers_table,
 *                                                           _store, _slapd           measure  peers_json
 *
 * All servers run at once from loading to the end, on one core, and stand still but for the one whose
 * turn it is; the client has another core. Everything they write is in one folder.
 */
#ifndef XT_BENCH_PEERS_H
#define XT_BENCH_PEERS_H

#include <stdio.h>

#include "bench/load_run.h"
#include "bench/machine.h"
#include "bench/peers_people.h"
#include "bench/process.h"
#include "crypto/file.h"

#define XT_PEERS_ROUNDS_MAX 20U
#define XT_PEERS_REQUESTS_MAX 100000U /* prepared, and asked over and over */
#define XT_PEERS_REQUESTS_MIN 10000U
#define XT_PEERS_CONNECTIONS 64U
#define XT_PEERS_NEEDS_MAX 6U
#define XT_PEERS_PARTNER "demo" /* common name of the client's certificate */

enum xt_peer_name {
    XT_PEER_XACTHUC, /* first: the others are compared with it */
    XT_PEER_NGINX,
    XT_PEER_REDIS,
    XT_PEER_POSTGRES,
    XT_PEER_SLAPD,
    XT_PEER_COUNT
};

struct xt_peers_options {
    const char *xacthuc; /* NULL: beside this program, or in PATH */
    uint64_t count, seed;
    unsigned rounds, seconds;
    uint32_t only; /* bits of enum xt_peer_name */
    bool install, quiet;
    const char *json, *markdown, *keep; /* NULL: not given */
};
/* -1: go on; else the exit status. */
int xt_peers_options_parse(int argc, char **argv, struct xt_peers_options *options);

/* What it does beside answering. Each a word or two, static. */
struct xt_peer_deeds {
    const char *match, *mutual_tls, *policy, *uniform, *sealed, *audit;
};

struct xt_peers;
struct xt_peer;

/* A program, or a file by a pattern (glob), and the package that has it. */
struct xt_peer_need {
    const char *what, *package;
};

struct xt_peer_kind {
    const char *name, *title;
    const char *note; /* how it was done, a sentence; NULL: nothing to say */
    struct xt_peer_deeds deeds;
    struct xt_peer_need needs[XT_PEERS_NEEDS_MAX]; /* ends with NULL */
    bool ldap;
    bool unchecked; /* answers nothing that could be checked */
    /* Brings the people in (takes load_seconds) and starts the server. */
    enum xt_status (*start)(struct xt_peers *peers, struct xt_peer *peer,
                            struct xt_failure *failure);
};
extern const struct xt_peer_kind xt_peer_kinds[XT_PEER_COUNT];

struct xt_peer_round {
    double rate;             /* right answers a second, closed loop */
    double cpu_us;           /* of the server's processes, user and system, per right answer */
    double client_share;     /* of the client's core, closed loop: near 1 the client is the limit */
    double open_rate;        /* asked for in the open loop */
    uint32_t p50, p99, p999; /* us, open loop */
    uint64_t right, errors;  /* both loops */
};

enum xt_peer_state { XT_PEER_LEFT_OUT, XT_PEER_MISSING, XT_PEER_FAILED, XT_PEER_READY };

struct xt_peer {
    const struct xt_peer_kind *kind;
    struct xt_peer_deeds deeds;
    enum xt_peer_state state;
    char why[512];     /* MISSING: packages; FAILED: what went wrong */
    char version[256]; /* of all it is made of */
    char command[512]; /* that started it; of two programs the one that is called */
    char folder[XT_PATH_MAX];
    struct xt_process server, store; /* store: behind the server, or none */
    unsigned port;
    double load_seconds; /* people in, indexes built, out of a file that was there; 0: no people */
    uint64_t disk_bytes; /* that the people take on disk */
    bool has_memory;
    struct xt_process_memory memory; /* of all its processes, after the rounds */
    unsigned round_count;
    struct xt_peer_round rounds[XT_PEERS_ROUNDS_MAX];
};

struct xt_peers {
    const struct xt_peers_options *options;
    struct xt_machine machine;
    char folder[XT_PATH_MAX];
    char tls[XT_PATH_MAX]; /* ca.crt, server.crt, server.key, client.crt, client.key */
    bool made_folder;
    char xacthuc[XT_PATH_MAX];
    unsigned user, group; /* for the others' software, when we are root; else 0 */
    int server_core, client_core;
    unsigned requests;    /* prepared: as many as people, within the bounds above */
    unsigned answer_size; /* bytes of a mean answer of ours */
    struct xt_population *population;
    struct xt_workload verify, unchecked, compares; /* made when needed */
    struct xt_peer list[XT_PEER_COUNT];
    double seconds; /* the whole run took */
    char date[32];
};

/* ---- peers_software ---- */

/* Looks for what the peers asked for need, installs it (--install), marks who is MISSING, reads
 * versions. XT_IO: the installation failed. */
XT_MUST_USE enum xt_status xt_peers_find_software(struct xt_peers *peers,
                                                  struct xt_failure *failure);
/* The first file that fits the pattern, last in order: /usr/lib/postgresql/15 rather than 13. */
bool xt_peers_glob(const char *pattern, char path[XT_PATH_MAX]);

/* ---- peers_folder ---- */

/* --keep's, or one of its own that xt_peers_remove_folder takes away again. */
XT_MUST_USE enum xt_status xt_peers_open_folder(struct xt_peers *peers, struct xt_failure *failure);
void xt_peers_remove_folder(const struct xt_peers *peers);

/* peers->folder/name, made for the user the software runs as, into peer->folder. */
XT_MUST_USE enum xt_status xt_peers_make_folder(const struct xt_peers *peers, struct xt_peer *peer,
                                                struct xt_failure *failure);
/* path becomes readable by that user. */
XT_MUST_USE enum xt_status xt_peers_hand_over(const struct xt_peers *peers, const char *path,
                                              struct xt_failure *failure);
/* The people into peer->folder/name. */
XT_MUST_USE enum xt_status xt_peers_write_people(const struct xt_peers *peers, struct xt_peer *peer,
                                                 enum xt_peers_form form, const char *name,
                                                 struct xt_failure *failure);
/* Runs a command as the software's user to its end, on any core; its output goes to peer->folder/as.log.
 * input: NULL, or a file for its standard input. */
XT_MUST_USE enum xt_status xt_peers_command(const struct xt_peers *peers,
                                            const struct xt_peer *peer,
                                            const char *const *arguments, const char *as,
                                            const char *input, struct xt_failure *failure);
/* Starts a server on the server's core. */
XT_MUST_USE enum xt_status xt_peers_serve(const struct xt_peers *peers, struct xt_peer *peer,
                                          const char *const *arguments, const char *as,
                                          int end_signal, struct xt_process *process,
                                          struct xt_failure *failure);
uint64_t xt_peers_disk_use(const char *folder);

/* ---- the kinds ---- */

enum xt_status xt_peer_start_xacthuc(struct xt_peers *peers, struct xt_peer *peer,
                                     struct xt_failure *failure);
/* After the rounds: whether it has kept an audit log. */
void xt_peer_look_at_audit(struct xt_peer *peer);
enum xt_status xt_peer_start_nginx(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure);
enum xt_status xt_peer_start_redis(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure);
enum xt_status xt_peer_start_postgres(struct xt_peers *peers, struct xt_peer *peer,
                                      struct xt_failure *failure);
enum xt_status xt_peer_start_slapd(struct xt_peers *peers, struct xt_peer *peer,
                                   struct xt_failure *failure);

/* ---- peers_measure ---- */

/* All rounds, in turns. XT_CLOSED: interrupted. */
XT_MUST_USE enum xt_status xt_peers_measure(struct xt_peers *peers, struct xt_failure *failure);

/* ---- peers_table, peers_json ---- */

enum xt_peer_value { XT_PEER_RATE, XT_PEER_CPU, XT_PEER_P50, XT_PEER_P99, XT_PEER_P999 };

struct xt_peer_middle {
    double median, least, most;
};
/* Over the rounds. */
struct xt_peer_middle xt_peer_middle(const struct xt_peer *peer, enum xt_peer_value value);
/* xacthuc's by the peer's, round by round; false where one of them has none. */
bool xt_peer_ratio(const struct xt_peers *peers, const struct xt_peer *peer,
                   enum xt_peer_value value, struct xt_peer_middle *ratio);
/* Bytes for a million people; 0: holds none, or there are so few that what every process needs would
 * be multiplied. */
double xt_peer_memory(const struct xt_peers *peers, const struct xt_peer *peer);
double xt_peer_right_share(const struct xt_peer *peer);

void xt_peers_print(const struct xt_peers *peers, FILE *out);
XT_MUST_USE enum xt_status xt_peers_write_markdown(const struct xt_peers *peers, const char *path,
                                                   struct xt_failure *failure);
XT_MUST_USE enum xt_status xt_peers_write_json(const struct xt_peers *peers, const char *path,
                                               struct xt_failure *failure);

#endif
