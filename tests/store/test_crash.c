/* The live store, and a generation that is imported, after a power cut: whatever of the writes under way has
 * come to the disk, what was told before is there, nothing is there by half, and the store goes on.
 *
 * A writer works while its disk is recorded (tests/preload), every state that a cut could leave is laid out
 * (tests/crash_states), and the real code opens it. The same with a disk whose syncs do nothing must find
 * broken states: else the test would be blind.
 * XT_STATES in the environment: about how many states of the live store (800; a soak takes 20000).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/builder.h"
#include "store/identity.h"
#include "store/live_statistics.h"
#include "tests/crash_states.h"
#include "tests/preload.h"
#include "tests/store/crash_work.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define PATIENCE_S 20 /* for one state: a damaged tree may lead in a circle */
#define AT_EACH 24    /* states at a sync */

static struct xt_failure failure;

static struct {
    char folder[64]; /* where states are laid out, in memory if possible */
    char live[80];
    struct crash_recording *recording;
    struct xt_keyring *keyring; /* with all keys of the recording */
    struct preload_control *control;
    size_t bad, reasons[8];
    unsigned visits;
} world;

/* How a state can be bad: the exit status of who looked at it. */
enum verdict { GOOD, NOT_OPENED, LOST, HALF, NOT_ONCE, MISCOUNTED, NOT_ON, CRASHED };
static const char *const verdicts[] = {"good",           "not opened",     "lost",
                                       "half",           "not once",       "miscounted",
                                       "does not go on", "crashed or hung"};

/* ---- recording ---------------------------------------------------------------------------------- */

static int make(void **state)
{
    int result = deployment_make(state);
    memset(&world, 0, sizeof(world));
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    build_people(0, WORK_PEOPLE);
    assert_int_equal(mkdir(deployment_path("kept"), 0700), 0);
    assert_int_equal(mkdir(deployment_path("kept/identity"), 0700), 0);
    work_keep(deployment(), 1);
    snprintf(world.folder, sizeof(world.folder), "/dev/shm/xt-crash-XXXXXX");
    if (mkdtemp(world.folder) == NULL) {
        snprintf(world.folder, sizeof(world.folder), "/tmp/xt-crash-XXXXXX");
        assert_non_null(mkdtemp(world.folder));
    }
    snprintf(world.live, sizeof(world.live), "%s/live", world.folder);
    assert_int_equal(mkdir(world.live, 0700), 0);
    int fd = open(deployment_path("control"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof(*world.control)) == 0);
    world.control = mmap(NULL, sizeof(*world.control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(world.control != MAP_FAILED);
    close(fd);
    return result;
}

static int remove_all(void **state)
{
    char path[XT_PATH_MAX];
    crash_recording_close(world.recording);
    xt_keyring_close(world.keyring);
    munmap(world.control, sizeof(*world.control));
    static const char *const names[] = {"live/live.mdb", "live/live.mdb.new", "live/live.mdb-lock"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(xt_path_join(path, world.folder, names[i]), XT_OK);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(world.live), 0);
    assert_int_equal(rmdir(world.folder), 0);
    return deployment_remove(state);
}

/* Work by this program in another process, with what it does to a folder recorded. Gives how it ended. */
static int record_in(const char *folder, const char *first, const char *second)
{
    int status = 0;
    const char *library = getenv("XT_PRELOAD");
    assert_non_null(library);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char options[512];
        const char *asan = getenv("ASAN_OPTIONS");
        /* A sanitizer wants to be the first library. */
        snprintf(options, sizeof(options), "%s:verify_asan_link_order=0", asan == NULL ? "" : asan);
        if (setenv("ASAN_OPTIONS", options, 1) != 0 || setenv("LD_PRELOAD", library, 1) != 0 ||
            setenv("PRELOAD_FOLDER", deployment_path(folder), 1) != 0 ||
            setenv("PRELOAD_RECORD", deployment_path("recording"), 1) != 0 ||
            setenv("PRELOAD_CONTROL", deployment_path("control"), 1) != 0) {
            _exit(126);
        }
        execl("/proc/self/exe", "test_crash", deployment(), first, second, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* Steps of a writer. */
static int record(unsigned from, unsigned end)
{
    char text[2][16];
    snprintf(text[0], sizeof(text[0]), "%u", from);
    snprintf(text[1], sizeof(text[1]), "%u", end);
    return record_in("live", text[0], text[1]);
}

/* Reads all that was recorded so far. */
static void read_recording(void)
{
    world.recording = crash_recording_open(deployment_path("recording"));
    assert_int_equal(xt_keyring_open(deployment_path("keys/master.keys"), &world.keyring, &failure),
                     XT_OK);
}

/* ---- a state ------------------------------------------------------------------------------------ */

/* Valid until four more were asked for: in the recording they may stand anywhere. */
static const struct work_told *told(size_t n)
{
    static struct work_told copies[4];
    static unsigned next;
    size_t size;
    const void *found = crash_told(world.recording, n, &size);
    if (found == NULL) {
        return NULL;
    }
    struct work_told *copy = &copies[next++ % 4];
    assert_int_equal(size, sizeof(*copy));
    memcpy(copy, found, size);
    return copy;
}

static bool is_as_told(const struct work_sight *sight, const struct work_told *told)
{
    return told != NULL && sight->sequence == told->sight.sequence &&
           memcmp(sight->tables, told->sight.tables, sizeof(sight->tables)) == 0;
}

static bool applies(struct xt_live *live, struct xt_span event, bool duplicate, uint64_t sequence)
{
    struct xt_live_outcome outcome;
    return xt_live_apply(live, 1, &event, 1, &outcome, &failure) == XT_OK &&
           outcome.status == XT_OK && outcome.duplicate == duplicate &&
           outcome.sequence == sequence;
}

/* What was told last is known, the next step's is known if it is there, and both count once. */
static bool counts_once(struct xt_live *live, const struct work_told *last,
                        const struct work_told *next, bool next_is_there)
{
    uint8_t memory[XT_EVENT_MAX];
    if (last != NULL && last->kind == WORK_EVENTS &&
        !applies(live, work_first_event(last->step - 1, memory), true, last->first_sequence)) {
        return false;
    }
    return next == NULL || next->kind != WORK_EVENTS ||
           applies(live, work_first_event(next->step - 1, memory), next_is_there,
                   next_is_there ? next->first_sequence : xt_live_sequence(live) + 1);
}

static enum xt_status count(struct xt_live *live)
{
    bool done = false;
    enum xt_status status = XT_OK;
    while (status == XT_OK && !done) {
        status = xt_live_count_anew(live, &done, &failure);
    }
    return status;
}

/* The statistics count the people who are there, and still do after an event and a fold. */
static bool counts_on(struct xt_live *live, struct xt_generation *base, uint64_t sequence)
{
    uint8_t memory[XT_EVENT_MAX];
    xt_live_set_base(live, base);
    return count(live) == XT_OK &&
           work_recount(live, base, deployment_path("kept"), world.keyring) == XT_OK &&
           applies(live, work_other_event(true, memory), false, sequence) &&
           work_recount(live, base, deployment_path("kept"), world.keyring) == XT_OK &&
           work_fold(live) == XT_OK &&
           work_recount(live, base, deployment_path("kept"), world.keyring) == XT_OK;
}

/* Takes new events, in pages that may have been in use, and nothing else has changed after it. */
static bool goes_on(struct xt_live *live)
{
    uint8_t memory[XT_EVENT_MAX];
    struct work_sight before, after;
    if (!work_look(live, &before) ||
        !applies(live, work_other_event(false, memory), false, before.sequence + 1) ||
        !work_look(live, &after) || before.tables[XT_LIVE_PEOPLE] != after.tables[XT_LIVE_PEOPLE] ||
        before.tables[XT_LIVE_STATISTICS] != after.tables[XT_LIVE_STATISTICS] ||
        before.tables[XT_LIVE_HEADER_TABLE] != after.tables[XT_LIVE_HEADER_TABLE]) {
        return false;
    }
    struct xt_generation *base = work_base(live, deployment_path("kept"), world.keyring);
    bool counted = base != NULL && counts_on(live, base, before.sequence + 2) &&
                   work_look(live, &after) && after.log_lines > 0;
    xt_live_set_base(live, NULL);
    xt_generation_close(base);
    return counted;
}

/* Before anybody counts: what was told to be counted is. */
static bool is_counted(struct xt_live *live, bool certainly)
{
    struct xt_generation *base = work_base(live, deployment_path("kept"), world.keyring);
    enum xt_status status = base == NULL
                                ? XT_CORRUPT
                                : work_recount(live, base, deployment_path("kept"), world.keyring);
    xt_generation_close(base);
    return status == XT_OK || (status == XT_BUSY && !certainly);
}

/* A group that was never answered for, and that the next writer did not see either: it may be there
 * before that one has opened the store. */
static bool is_unheard_of(const struct work_sight *sight, const struct work_told *last,
                          const struct work_told *opened, const struct work_told *again)
{
    return opened->kind == WORK_OPENED && again != NULL && again->kind != WORK_OPENED &&
           opened->sight.sequence == last->sight.sequence &&
           sight->sequence == again->sight.sequence && sight->log_lines == again->sight.log_lines;
}

static enum verdict judge_store(size_t count)
{
    const struct work_told *last = count == 0 ? NULL : told(count - 1);
    const struct work_told *next = told(count);
    struct xt_live *live = NULL;
    struct work_sight sight;
    struct xt_live_sizes sizes = {XT_LIVE_MAP_LEAST, XT_LIVE_WINDOW_LEAST, 0};
    if (xt_live_open(world.folder, world.keyring, true, sizes, &live, &failure) != XT_OK ||
        !work_look(live, &sight)) {
        fprintf(stderr, "%s\n", failure.text);
        return NOT_OPENED;
    }
    bool next_is_there = is_as_told(&sight, next);
    if (last != NULL && next != NULL && is_unheard_of(&sight, last, next, told(count + 1))) {
        next_is_there = true;
        next = told(count + 1);
    } else if (last == NULL ? sight.sequence > 0 : !next_is_there && !is_as_told(&sight, last)) {
        return last != NULL && sight.sequence < last->sight.sequence ? LOST : HALF;
    }
    bool certainly = last != NULL && last->counted != 0 && (!next_is_there || next->counted != 0);
    if (!is_counted(live, certainly)) {
        return MISCOUNTED;
    }
    if (!counts_once(live, last, next, next_is_there)) {
        return NOT_ONCE;
    }
    enum verdict verdict = goes_on(live) ? GOOD : NOT_ON;
    xt_live_close(live);
    return verdict;
}

/* LMDB's lock file as the machine may have left it: older, empty, or not there. */
static void leave_lock_file(void)
{
    char path[XT_PATH_MAX];
    static uint8_t bytes[1 << 17];
    if (world.visits % 3 == 0) {
        return;
    }
    int from = open(deployment_path("live/live.mdb-lock"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(xt_path_join(path, world.live, "live.mdb-lock"), XT_OK);
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(from >= 0 && to >= 0);
    ssize_t size = read(from, bytes, sizeof(bytes));
    assert_true(size > 0 && write(to, bytes, (size_t)size) == size);
    close(from);
    close(to);
}

/* judge: in a process of its own, which may crash. */
static void look_at_state(size_t count, enum verdict (*judge)(size_t count))
{
    int status = 0;
    world.visits++;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(PATIENCE_S);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        /* Why, for whoever looks for the reason of a failure: XT_CRASH_LOG=1. */
        dup2(open(getenv("XT_CRASH_LOG") != NULL ? "/dev/stderr" : "/dev/null", O_WRONLY), 2);
        _exit(judge(count));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    int verdict =
        WIFEXITED(status) && WEXITSTATUS(status) <= CRASHED ? WEXITSTATUS(status) : CRASHED;
    world.reasons[verdict]++;
    if (verdict != GOOD && world.bad++ == 0) {
        print_message("state %u, after %zu were told: %s\n", world.visits, count,
                      verdicts[verdict]);
    }
}

static void visit(void *context, size_t count)
{
    (void)context;
    leave_lock_file();
    look_at_state(count, judge_store);
}

static size_t visit_all_in(const char *folder, unsigned at_each, crash_visit visitor)
{
    struct crash_plan plan = {.folder = folder, .at_each = at_each, .seed = 7};
    size_t states = crash_each_state(world.recording, &plan, visitor, NULL);
    print_message("%zu states:", states);
    for (unsigned i = 0; i <= CRASHED; i++) {
        if (world.reasons[i] > 0) {
            print_message(" %zu %s", world.reasons[i], verdicts[i]);
        }
    }
    print_message("\n");
    return states;
}

static size_t visit_all(unsigned at_each)
{
    return visit_all_in(world.live, at_each, visit);
}

/* ---- a generation ------------------------------------------------------------------------------- */

#define GENERATIONS 3

/* Imports one after the other; tells when each is served. Each has one person more than the one before. */
static void import_generations(const char *dir)
{
    struct xt_keyring *keyring = NULL;
    char path[XT_PATH_MAX];
    xt_crypto_start();
    assert_int_equal(xt_path_join(path, dir, "identity/told"), XT_OK);
    int out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_int_equal(xt_path_join(path, dir, "keys/master.keys"), XT_OK);
    assert_true(out >= 0);
    assert_int_equal(xt_keyring_open(path, &keyring, &failure), XT_OK);
    for (unsigned number = 1; number <= GENERATIONS; number++) {
        struct xt_builder *builder = NULL;
        struct xt_manifest manifest;
        struct xt_person person;
        assert_int_equal(xt_builder_open(dir, keyring, NULL, &builder, &failure), XT_OK);
        for (unsigned i = 0; i < number; i++) {
            make_person(i, &person);
            assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
        }
        assert_int_equal(xt_builder_sort(builder, NULL, NULL, &failure), XT_OK);
        assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
        xt_builder_close(builder);
        assert_int_equal(write(out, &number, sizeof(number)), sizeof(number));
    }
    xt_keyring_close(keyring);
    exit(0);
}

/* The generation that was told of is served, or the next one, whole. */
static enum verdict judge_generation(size_t count)
{
    struct xt_generation *generation = NULL;
    uint32_t number = 0;
    enum xt_status status = xt_generation_current(world.folder, &number, &failure);
    if (status != XT_OK) {
        return count == 0 && status == XT_NOT_FOUND ? GOOD : LOST;
    }
    if (number < count) {
        return LOST;
    }
    if (number > count + 1 ||
        xt_generation_open(world.folder, number, world.keyring, &generation, &failure) != XT_OK) {
        return NOT_OPENED;
    }
    for (unsigned i = 0; i <= number; i++) {
        if (!find_is(generation, XT_ID_PERSONAL, PERSON_NUMBER(i), i < number)) {
            return HALF;
        }
    }
    return GOOD;
}

static void visit_generation(void *context, size_t count)
{
    (void)context;
    look_at_state(count, judge_generation);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static unsigned wanted_states(void)
{
    const char *text = getenv("XT_STATES");
    return text == NULL ? 800 : (unsigned)strtoul(text, NULL, 10);
}

static void no_power_cut_loses_or_breaks_anything(void **state)
{
    (void)state;
    unsigned wanted = wanted_states();
    assert_int_equal(record(0, wanted / (AT_EACH - 4)), 0);
    read_recording();
    size_t states = visit_all(AT_EACH);
    assert_int_equal(world.bad, 0);
    assert_true(states >= wanted);
}

static void disk_is_found_out(unsigned without)
{
    world.control->without = without;
    assert_int_equal(record(0, 20), 0);
    read_recording();
    (void)visit_all(8);
    assert_true(world.bad > 0);
}

/* Blind, the test would see nothing in these either. What MDB_NOSYNC does: */
static void a_disk_without_syncs_is_found_out(void **state)
{
    (void)state;
    disk_is_found_out(PRELOAD_NO_DATA_SYNC | PRELOAD_NO_META_SYNC);
}

/* A commit that comes before what it commits. */
static void a_disk_that_does_not_sync_data_is_found_out(void **state)
{
    (void)state;
    disk_is_found_out(PRELOAD_NO_DATA_SYNC);
}

/* What MDB_NOMETASYNC does: a commit that comes after its answer. */
static void a_disk_that_does_not_sync_commits_is_found_out(void **state)
{
    (void)state;
    disk_is_found_out(PRELOAD_NO_META_SYNC);
}

static size_t cut_imports(unsigned without, unsigned at_each)
{
    char folder[80];
    snprintf(folder, sizeof(folder), "%s/identity", world.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    xt_identity_remove(deployment(), "current");
    xt_identity_remove(deployment(), "000001");
    world.control->without = without;
    assert_int_equal(record_in("identity", "import", ""), 0);
    read_recording();
    size_t states = visit_all_in(folder, at_each, visit_generation);
    assert_int_equal(rmdir(folder), 0);
    return states;
}

static void a_power_cut_in_an_import_leaves_a_whole_generation(void **state)
{
    (void)state;
    size_t states = cut_imports(0, 5 * AT_EACH);
    assert_int_equal(world.bad, 0);
    assert_true(states > 100);
}

static void an_import_without_syncs_is_found_out(void **state)
{
    (void)state;
    (void)cut_imports(PRELOAD_NO_DATA_SYNC, 4);
    assert_true(world.bad > 0);
}

static void start_recording_over(void)
{
    crash_recording_close(world.recording);
    xt_keyring_close(world.keyring);
    world.recording = NULL;
    world.keyring = NULL;
    memset(world.reasons, 0, sizeof(world.reasons));
}

/* The write of a commit has come to the system's memory and not to the disk when the writer dies. The next
 * one finds it, and answers for it: then it is on the disk. */
static void who_is_killed_in_a_commit(enum preload_how how)
{
    for (unsigned after = 2; after < 16; after += 6) {
        world.control->which = PRELOAD_META;
        world.control->how = how;
        world.control->error = EIO;
        world.control->after = after;
        world.control->times = how == PRELOAD_LATE ? 2 : 1;
        int status = record(0, 16);
        assert_true(how == PRELOAD_KILLED ? WIFSIGNALED(status) : WEXITSTATUS(status) != 0);
        assert_true(world.control->failed > 0);
        world.control->which = 0;
        read_recording();
        size_t steps = 0;
        for (size_t size; crash_told(world.recording, steps, &size) != NULL; steps++) {
        }
        unsigned next = steps == 0 ? 0 : told(steps - 1)->step;
        start_recording_over();
        assert_int_equal(record(next, next + 3), 0);
        read_recording();
        (void)visit_all(AT_EACH / 2);
        assert_int_equal(world.bad, 0);
        start_recording_over();
        assert_int_equal(unlink(deployment_path("recording")), 0);
        assert_int_equal(unlink(deployment_path("live/live.mdb")), 0);
        assert_int_equal(unlink(deployment_path("live/live.mdb-lock")), 0);
        assert_int_equal(unlink(deployment_path("live/told")), 0);
    }
}

static void a_commit_that_was_cut_off_by_a_kill_is_lasting_before_it_is_answered_for(void **state)
{
    (void)state;
    who_is_killed_in_a_commit(PRELOAD_KILLED);
}

static void a_commit_that_failed_late_is_lasting_before_it_is_answered_for(void **state)
{
    (void)state;
    who_is_killed_in_a_commit(PRELOAD_LATE);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, remove_all)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[2], "import") == 0) {
        import_generations(argv[1]);
    }
    if (argc == 4) {
        work_run(argv[1], (uint32_t)strtoul(argv[2], NULL, 10),
                 (uint32_t)strtoul(argv[3], NULL, 10));
    }
    const struct CMUnitTest tests[] = {
        EACH(a_power_cut_in_an_import_leaves_a_whole_generation),
        EACH(an_import_without_syncs_is_found_out),
        EACH(no_power_cut_loses_or_breaks_anything),
        EACH(a_disk_without_syncs_is_found_out),
        EACH(a_disk_that_does_not_sync_data_is_found_out),
        EACH(a_disk_that_does_not_sync_commits_is_found_out),
        EACH(a_commit_that_was_cut_off_by_a_kill_is_lasting_before_it_is_answered_for),
        EACH(a_commit_that_failed_late_is_lasting_before_it_is_answered_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
