/* Backups of a register that changes, and commands that are killed: what was acknowledged is in them, what
 * is in them belongs together, and nothing half-made ever has a name.
 *
 * XT_KILLS in the environment: how many of each command are killed (25). */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/backup_file.h"
#include "store/backup_manifest.h"
#include "store/identity.h"
#include "store/live_copy.h"
#include "store/live_fold.h"
#include "store/register.h"
#include "tests/core/mutate.h"
#include "tests/store/audit_log.h"
#include "tests/store/changes.h"
#include "tests/test.h"

#define PEOPLE 200
#define GROUP 4
#define BACKUPS 4   /* while people change */
#define SWITCHES 10 /* of the generation, while a backup is held */

static struct xt_failure failure;
static char elsewhere[64]; /* of backups, and what is restored */

/* What the process that changes things tells. */
static struct shared {
    _Atomic uint64_t acknowledged; /* sequence */
    atomic_bool stop;
} * shared;

static const char *place(const char *name)
{
    static char paths[8][XT_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_int_equal(xt_path_join(path, elsewhere, name), XT_OK);
    return path;
}

static int make(void **state)
{
    static const char *const names[] = {"master.keys", "audit.key", "audit.pub"};
    int result = audit_log_make(state);
    struct worker_log worker;
    struct worker_log *all[] = {&worker};
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, PEOPLE);
    struct xt_audit_checkpoints *list = open_checkpoints();
    worker_open(&worker, 0, LOG_START, list);
    worker_write(&worker, 0, 100, 10);
    checkpoint(list, LOG_START + 1000, XT_AUDIT_FLAG_START, all, 1);
    xt_audit_checkpoints_close(list);
    worker_close(&worker);

    snprintf(elsewhere, sizeof(elsewhere), "/tmp/xt-backup-XXXXXX");
    assert_non_null(mkdtemp(elsewhere));
    assert_int_equal(mkdir(place("credentials"), 0700), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char from[64], to[64];
        snprintf(from, sizeof(from), "keys/%s", names[i]);
        snprintf(to, sizeof(to), "credentials/%s", names[i]);
        assert_int_equal(link(deployment_path(from), place(to)), 0);
    }
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", place("credentials"), 1), 0);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    return result;
}

static int clear(void **state)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    (void)munmap(shared, sizeof(*shared));
    xt_backup_remove(elsewhere);
    return audit_log_remove(state);
}

static void pause_ms(unsigned ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

static void succeeds(int code)
{
    if (code != 0) {
        fail_msg("%s", run_err);
    }
}

/* ---- changes ---------------------------------------------------------------------------------- */

/* Event k, which is applied as number k: the person k % PEOPLE moves. */
static void write_line(uint64_t k, char line[256])
{
    snprintf(line, 256,
             "{\"event_id\":\"e-%llu\",\"type\":\"address_changed\",\"id\":\"%012llu\","
             "\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"province\":\"079\",\"text\":\"%llu "
             "Lê Lợi\"}}",
             (unsigned long long)k, (unsigned long long)PERSON_NUMBER(k % PEOPLE),
             (unsigned long long)k);
}

static void apply_from(struct xt_live *live, uint64_t from, unsigned count,
                       struct xt_live_outcome *outcomes)
{
    static char lines[GROUP][256];
    const char *list[GROUP];
    for (unsigned i = 0; i < count; i++) {
        write_line(from + i, lines[i]);
        list[i] = lines[i];
    }
    apply_changes(live, list, count, outcomes);
}

static void be_writer(void)
{
    struct xt_live *live = NULL;
    struct xt_live_outcome outcomes[GROUP];
    if (xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_live_set_base(live, open_served());
    for (uint64_t k = 1; !shared->stop; k += GROUP) {
        apply_from(live, k, GROUP, outcomes);
        for (unsigned i = 0; i < GROUP; i++) {
            assert_true(outcomes[i].status == XT_OK && outcomes[i].sequence == k + i);
        }
        shared->acknowledged = k + GROUP - 1;
    }
}

/* Another generation, on record in the live store once it is switched to: as when serve takes one up, and
 * as a compaction drops what it has folded. */
static void switch_once(const char *dir, uint64_t people)
{
    struct xt_live *live = NULL;
    uint8_t memory[XT_EVENT_MAX];
    struct xt_event event;
    struct xt_live_outcome outcome;
    struct xt_writer writer = xt_writer_over(memory, sizeof(memory));
    build_people(0, (unsigned)people);
    struct xt_generation *generation = open_served();
    const struct xt_manifest *manifest = xt_generation_manifest(generation);
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = manifest->number;
    memcpy(event.generation_served.digest, manifest->digest, sizeof(manifest->digest));
    xt_generation_close(generation);
    xt_event_encode(&event, &writer);
    struct xt_span span = xt_written(&writer);
    assert_int_equal(xt_live_open_writer(dir, deployment_keyring(), &live, &failure), XT_OK);
    assert_int_equal(xt_live_apply(live, 1000, &span, 1, &outcome, &failure), XT_OK);
    assert_int_equal(outcome.status, XT_OK);
}

static pid_t start(void (*work)(void))
{
    shared->stop = false;
    shared->acknowledged = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        work();
        _exit(0);
    }
    for (unsigned i = 0; i < 2000 && shared->acknowledged == 0; i++) {
        pause_ms(5);
    }
    assert_true(shared->acknowledged > 0);
    return child;
}

static void finish(pid_t child)
{
    int status = 0;
    shared->stop = true;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* ---- what is restored ------------------------------------------------------------------------- */

static uint64_t told(const char *name)
{
    const char *at = strstr(run_out, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

/* Everybody as he was after event number `sequence`, and nobody as later. */
static void look_at_people(const char *dir, uint64_t sequence)
{
    struct xt_live *live = NULL;
    struct xt_generation *generation = NULL;
    if (xt_live_open_reader(dir, deployment_keyring(), &live, &failure) != XT_OK ||
        xt_generation_open(dir, 1, deployment_keyring(), &generation, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    const struct xt_register as = {generation, live};
    assert_int_equal(xt_live_sequence(live), sequence);
    for (unsigned i = 0; i < PEOPLE; i++) {
        struct xt_person person;
        char text[64] = "";
        uint64_t last = sequence < i ? 0 : sequence - (sequence - i) % PEOPLE;
        if (last > 0) {
            snprintf(text, sizeof(text), "%llu Lê Lợi", (unsigned long long)last);
        }
        assert_int_equal(xt_register_person(&as, PERSON_NUMBER(i), &person), XT_OK);
        if (!xt_span_is(person.address_text, text)) {
            fail_msg("person %u after %llu: %.*s", i, (unsigned long long)sequence,
                     (int)person.address_text.size, (const char *)person.address_text.data);
        }
    }
}

/* The numbers go on, and what was applied before the backup is not applied again. */
static void go_on(const char *dir, uint64_t sequence)
{
    struct xt_live *live = NULL;
    struct xt_live_outcome outcome;
    struct xt_generation *generation = NULL;
    if (xt_live_open_writer(dir, deployment_keyring(), &live, &failure) != XT_OK ||
        xt_generation_open(dir, 1, deployment_keyring(), &generation, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    xt_live_set_base(live, generation);
    for (uint64_t k = 1; k <= sequence; k += sequence / 8 + 1) {
        apply_from(live, k, 1, &outcome);
        assert_true(outcome.status == XT_OK && outcome.duplicate && outcome.sequence == k);
    }
    apply_from(live, sequence + 1, 1, &outcome);
    assert_true(outcome.status == XT_OK && !outcome.duplicate);
    assert_int_equal(outcome.sequence, sequence + 1);
}

/* LMDB is opened in a process of its own each time. */
static void in_child(void (*work)(const char *, uint64_t), const char *dir, uint64_t sequence)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work(dir, sequence);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void all_that_was_acknowledged_before_it_began_is_in_a_backup(void **state)
{
    (void)state;
    pid_t writer = start(be_writer);
    for (unsigned i = 0; i < BACKUPS; i++) {
        pause_ms(50 * i);
        uint64_t before = shared->acknowledged;
        succeeds(run("backup", "DIR", place("out"), "--json", "--quiet", NULL));
        uint64_t after = shared->acknowledged + GROUP; /* one group may be on its way */
        uint64_t sequence = told("\"sequence\":");
        assert_true(sequence >= before && sequence <= after && sequence % GROUP == 0);
        succeeds(run("restore", place("out"), place("back"), "--quiet", NULL));
        in_child(look_at_people, place("back"), sequence);
        in_child(go_on, place("back"), sequence);
        xt_backup_remove(place("back"));
        xt_backup_remove(place("out"));
    }
    finish(writer);
}

static pid_t launch(const char *command, const char *first, const char *second)
{
    char a[XT_PATH_MAX], b[XT_PATH_MAX];
    snprintf(a, sizeof(a), "%s", first);
    snprintf(b, sizeof(b), "%s", second);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int sink = open("/dev/null", O_WRONLY);
        dup2(sink, 1);
        dup2(sink, 2);
        execl(program(), "xacthuc", command, a, b, "--quiet", NULL);
        _exit(127);
    }
    return child;
}

static bool is_there(const char *pattern)
{
    glob_t found;
    bool there = glob(place(pattern), GLOB_NOSORT, NULL, &found) == 0;
    if (there) {
        globfree(&found);
    }
    return there;
}

/* Waits until a file of what is being made is there; false: the process ended before. */
static bool wait_for(const char *pattern, pid_t child)
{
    while (!is_there(pattern)) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid != 0) {
            return false;
        }
    }
    return true;
}

static uint64_t generation_of(const char *out)
{
    char path[XT_PATH_MAX], line[128];
    unsigned long long number = 0;
    snprintf(path, sizeof(path), "%s/manifest", out);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (number == 0 && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "generation = %llu", &number);
    }
    fclose(file);
    return number;
}

/* While a backup is held. Where it holds a lock of LMDB's as well it has to go on a little. */
static void switch_beside(pid_t held)
{
    int status = 0;
    pid_t ended = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        switch_once(deployment(), 5000);
        _exit(0);
    }
    for (unsigned i = 0; i < 500 && ended == 0; i++) {
        pause_ms(10);
        ended = waitpid(child, &status, WNOHANG);
    }
    assert_int_equal(kill(held, SIGCONT), 0);
    assert_int_equal(ended != 0 ? ended : waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* What an overlay lies over is never older than what it knows of: the backup is held at the moment between
 * the two, and the generation switched. */
static void a_live_store_never_comes_with_an_older_generation(void **state)
{
    (void)state;
    unsigned between = 0;
    in_child(switch_once, deployment(), 5000);
    for (unsigned i = 0; i < SWITCHES; i++) {
        struct xt_live_facts facts;
        int status = 0;
        pid_t child = launch("backup", deployment(), place("out"));
        if (wait_for("out.partial-*/files/identity/*/data.mdb", child)) {
            assert_int_equal(kill(child, SIGSTOP), 0);
            assert_int_equal(waitpid(child, &status, WUNTRACED), child);
            between += !is_there("out.partial-*/files/live/live.mdb");
            switch_beside(child);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(xt_live_inspect(place("out/files/live/live.mdb"), deployment_keyring(),
                                         NULL, &facts, &failure),
                         XT_OK);
        if (facts.generation > generation_of(place("out"))) {
            fail_msg("generation %llu with changes over %u",
                     (unsigned long long)generation_of(place("out")), facts.generation);
        }
        if (i == 0) {
            succeeds(run("restore", place("out"), place("back"), "--quiet", NULL));
        }
        xt_backup_remove(place("out"));
    }
    assert_true(between > 0);
}

/* ---- what the operator points at --------------------------------------------------------------- */

static void drop_all(const char *dir, uint64_t unused)
{
    struct xt_live *live = NULL;
    bool done = false;
    (void)unused;
    assert_int_equal(xt_live_open_writer(dir, deployment_keyring(), &live, &failure), XT_OK);
    xt_live_set_base(live, open_served());
    while (!done) {
        assert_int_equal(xt_live_drop_folded(live, &done, &failure), XT_OK);
    }
}

static void point_at(uint32_t number)
{
    char name[XT_GENERATION_NAME];
    xt_identity_name(number, name);
    (void)unlink(deployment_path("identity/current"));
    assert_int_equal(symlink(name, deployment_path("identity/current")), 0);
}

/* The live store of one backup in another, signed: as an earlier version of the program may have made it. */
static void put_live(const char *from, const char *to)
{
    char source[XT_PATH_MAX], target[XT_PATH_MAX];
    struct xt_audit_public *keys = NULL;
    struct xt_audit_key *key = NULL;
    struct xt_backup_manifest manifest = {.count = 0}, other = {.count = 0};
    struct xt_backup_content content = {.size = XT_BACKUP_ANY};
    assert_int_equal(xt_audit_public_open(deployment_path("keys/audit.pub"), &keys, &failure),
                     XT_OK);
    assert_int_equal(xt_audit_key_open(deployment_path("keys/audit.key"), &key, &failure), XT_OK);
    assert_int_equal(xt_backup_manifest_read(place(to), keys, &manifest, &failure), XT_OK);
    assert_int_equal(xt_backup_manifest_read(place(from), keys, &other, &failure), XT_OK);
    assert_int_equal(xt_path_join(source, place(from), "files/live/live.mdb"), XT_OK);
    assert_int_equal(xt_path_join(target, place(to), "files/live/live.mdb"), XT_OK);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(xt_backup_copy(source, target, 0600, &content, NULL, &failure), XT_OK);
    manifest.sequence = other.sequence;
    for (size_t i = 0; i < manifest.count; i++) {
        if (strcmp(manifest.files[i].path, "live/live.mdb") == 0) {
            manifest.files[i].size = content.size;
            memcpy(manifest.files[i].digest, content.digest, XT_DIGEST_BYTES);
        }
    }
    assert_int_equal(xt_path_join(target, place(to), XT_BACKUP_MANIFEST), XT_OK);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(xt_backup_manifest_write(place(to), &manifest, key, &failure), XT_OK);
    xt_backup_manifest_free(&manifest);
    xt_backup_manifest_free(&other);
    xt_audit_public_close(keys);
    xt_audit_key_close(key);
}

static void a_live_store_comes_over_no_generation_that_it_must_not_lie_over(void **state)
{
    (void)state;
    char line[256];
    write_line(1, line);
    change_once(line);
    succeeds(run("backup", "DIR", place("before"), "--quiet", NULL));
    succeeds(run("compact", "DIR", "--quiet", NULL));
    in_child(drop_all, deployment(), 0);
    succeeds(run("backup", "DIR", place("after"), "--quiet", NULL));
    point_at(1);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "generation 000001 lacks events"));
    assert_int_not_equal(access(place("out"), F_OK), 0);
    point_at(2);
    succeeds(run("backup", "DIR", place("out"), "--quiet", NULL));

    put_live("after", "before");
    assert_int_equal(run("restore", place("before"), place("back"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "generation 000001 lacks events"));
    assert_int_not_equal(access(place("back"), F_OK), 0);
    put_live("out", "after");
    succeeds(run("restore", place("after"), place("back"), "--quiet", NULL));
}

static void current_must_not_lead_behind_what_was_served(void **state)
{
    (void)state;
    in_child(switch_once, deployment(), PEOPLE); /* to 2, on record */
    point_at(1);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "000002"));
    assert_int_equal(unlink(deployment_path("identity/current")), 0);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    point_at(2);
    succeeds(run("backup", "DIR", place("out"), "--quiet", NULL));
}

/* ---- killed ----------------------------------------------------------------------------------- */

static unsigned kills(void)
{
    const char *text = getenv("XT_KILLS");
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : 25;
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Whether it was killed; else it was done, and there is what it made. */
static bool kill_within(pid_t child, uint64_t us, int signal)
{
    int status = 0;
    (void)nanosleep(&(struct timespec){(time_t)(us / 1000000), (long)(us % 1000000) * 1000}, NULL);
    assert_int_equal(kill(child, signal), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void remove_partial(const char *prefix)
{
    char command[XT_PATH_MAX + 64];
    snprintf(command, sizeof(command), "chmod -R u+w '%s'; rm -rf '%s/%s'.partial-*", elsewhere,
             elsewhere, prefix);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own folder */
}

/* OUT has its name before its keys have theirs, and neither is removed again. */
static void a_backup_killed_at_its_end_has_its_keys(void **state)
{
    (void)state;
    unsigned first = 0;
    char out[XT_PATH_MAX], keys[XT_PATH_MAX], file[XT_PATH_MAX];
    snprintf(out, sizeof(out), "%s", place("out"));
    snprintf(keys, sizeof(keys), "%s", place("keyfile"));
    snprintf(file, sizeof(file), "%s", place("passphrase"));
    FILE *passphrase = fopen(file, "w");
    assert_true(passphrase != NULL && fputs("correct horse battery staple\n", passphrase) > 0);
    assert_int_equal(fclose(passphrase), 0);
    assert_int_equal(chmod(file, 0600), 0);
    for (unsigned i = 0; i < 2; i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            execl(program(), "xacthuc", "backup", deployment(), out, "--keys", keys,
                  "--passphrase-file", file, "--quiet", NULL);
            _exit(127);
        }
        (void)wait_for(i % 2 == 0 ? "keyfile*" : "out", child);
        (void)kill_within(child, 0, SIGKILL);
        bool made = access(out, F_OK) == 0, named = access(keys, F_OK) == 0;
        first += !made;
        assert_true(made || !named); /* keys under their name have their backup */
        if (made) {
            assert_true(named != is_there("keyfile.partial-*"));
            xt_backup_remove(out);
        }
        (void)unlink(keys);
        remove_partial("out");
        remove_partial("keyfile");
    }
    print_message("killed before its name: %u of 2\n", first);
}

/* A restore of `out` gives a deployment whose records, log and bytes were all looked at. */
static void out_is_whole(void)
{
    succeeds(run("restore", place("out"), place("probe"), "--quiet", NULL));
    succeeds(run("check", place("probe"), "--quiet", NULL));
    xt_backup_remove(place("probe"));
}

static void a_killed_backup_leaves_nothing_under_its_name(void **state)
{
    (void)state;
    uint64_t random = 11, started;
    pid_t writer = start(be_writer);
    started = now_us();
    succeeds(run("backup", "DIR", place("out"), "--quiet", NULL));
    uint64_t within = now_us() - started;
    xt_backup_remove(place("out"));
    unsigned killed = 0;
    for (unsigned tries = 0; killed < kills() && tries < 10 * kills(); tries++) {
        pid_t child = launch("backup", deployment(), place("out"));
        bool hit = kill_within(child, next_random(&random) % (within + 1), SIGKILL);
        killed += hit;
        within -= hit ? 0 : within / 16;
        if (access(place("out"), F_OK) == 0) { /* killed at its very end, or not at all */
            out_is_whole();
            xt_backup_remove(place("out"));
        } else {
            assert_true(hit);
        }
    }
    assert_int_equal(killed, kills());
    finish(writer); /* readers that were killed do not keep the writer from anything */
    succeeds(run("backup", "DIR", place("out"), "--quiet", NULL));
    out_is_whole();
    remove_partial("out");
}

static void a_killed_restore_leaves_nothing_under_its_name(void **state)
{
    (void)state;
    uint64_t random = 12, started;
    unsigned killed = 0;
    char line[256];
    write_line(1, line);
    change_once(line);
    succeeds(run("backup", "DIR", place("out"), "--quiet", NULL));
    started = now_us();
    out_is_whole();
    uint64_t within = now_us() - started;
    for (unsigned tries = 0; killed < kills() && tries < 10 * kills(); tries++) {
        pid_t child = launch("restore", place("out"), place("back"));
        bool hit = kill_within(child, next_random(&random) % (within + 1), SIGKILL);
        killed += hit;
        within -= hit ? 0 : within / 16;
        if (access(place("back"), F_OK) == 0) {
            succeeds(run("check", place("back"), "--quiet", NULL));
            succeeds(run("audit", "verify", place("back"), "--quiet", NULL));
            xt_backup_remove(place("back"));
        } else {
            assert_true(hit);
        }
    }
    assert_int_equal(killed, kills());
    out_is_whole();
    remove_partial("back");
}

/* Asked to end it clears up after itself as well. */
static void an_interrupted_command_leaves_nothing_at_all(void **state)
{
    (void)state;
    uint64_t random = 13;
    char found[64];
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = launch("backup", deployment(), place("out"));
        (void)kill_within(child, 5000 + next_random(&random) % 60000,
                          i % 2 == 0 ? SIGTERM : SIGINT);
        xt_backup_remove(place("out"));
        snprintf(found, sizeof(found), "../%s", elsewhere + strlen("/tmp/"));
        if (count_names(found, "out") != 0) {
            /* before its handler was there, it had made nothing; after, it clears up */
            fail_msg("something is left of try %u", i);
        }
    }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(all_that_was_acknowledged_before_it_began_is_in_a_backup),
        EACH(a_live_store_never_comes_with_an_older_generation),
        EACH(a_live_store_comes_over_no_generation_that_it_must_not_lie_over),
        EACH(current_must_not_lead_behind_what_was_served),
        EACH(a_killed_backup_leaves_nothing_under_its_name),
        EACH(a_backup_killed_at_its_end_has_its_keys),
        EACH(a_killed_restore_leaves_nothing_under_its_name),
        EACH(an_interrupted_command_leaves_nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
