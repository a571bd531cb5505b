#include "tests/net/writer_rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/settings.h"
#include "net/control.h"
#include "net/writer.h"
#include "store/builder.h"
#include "store/identity.h"
#include "store/live_internal.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"
#include "tests/core/mutate.h"
#include "tests/net/writer_rig_person.h"
#include "tests/test.h"

#define WORKERS 1
#define PATIENCE_MS 30000
#define NUMBER(i) (1090000000ULL + (i))
#define AT_ONCE 64 /* events under way */

struct rig rig;
static struct xt_failure failure;
static unsigned under_way;

static const char *in_dir(const char *name)
{
    static char path[XT_PATH_MAX];
    assert_int_equal(xt_path_join(path, rig.dir, name), XT_OK);
    return path;
}

/* ---- the process -------------------------------------------------------------------------------- */

static void send_start(void)
{
    static uint8_t keys[XT_KEYRING_EXPORT_MAX];
    struct xt_settings settings;
    struct xt_control_message message = {.type = XT_CONTROL_START, .fd_count = XT_SHARED_FDS};
    struct xt_writer writer = xt_writer_over(keys, sizeof(keys));
    xt_settings_defaults(&settings);
    xt_keyring_export(rig.keyring, &writer);
    message.numbers[XT_START_PLACE] = xt_shared_writer_place(WORKERS);
    message.numbers[XT_START_WORKERS] = WORKERS;
    message.blobs[XT_START_DIR] = xt_span_of(rig.dir, strlen(rig.dir) + 1);
    message.blobs[XT_START_SETTINGS] = xt_span_of(&settings, sizeof(settings));
    message.blobs[XT_START_KEYRING] = xt_written(&writer);
    xt_shared_hand(rig.shared, &message.fds[XT_START_SHARED]);
    assert_int_equal(xt_control_send(rig.supervisor, &message), XT_OK);
}

static void become_writer(int control)
{
    char live[80], options[512];
    const char *asan = getenv("ASAN_OPTIONS");
    int log = open(in_dir("log"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct rlimit limit = {rig.file_limit, RLIM_INFINITY};
    snprintf(live, sizeof(live), "%s/live", rig.dir);
    snprintf(options, sizeof(options), "%s:verify_asan_link_order=0", asan == NULL ? "" : asan);
    dup2(log, 2);
    if (rig.file_limit > 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        _exit(125);
    }
    if (dup2(control, XT_CONTROL_FD) != XT_CONTROL_FD ||
        (control == XT_CONTROL_FD && fcntl(XT_CONTROL_FD, F_SETFD, 0) != 0) ||
        setenv("ASAN_OPTIONS", options, 1) != 0 ||
        setenv("LD_PRELOAD", getenv("XT_PRELOAD"), 1) != 0 ||
        setenv("PRELOAD_FOLDER", live, 1) != 0 ||
        setenv("PRELOAD_CONTROL", in_dir("control"), 1) != 0) {
        _exit(126);
    }
    execl(getenv("XT_XACTHUC"), "xacthuc", "serve-writer", NULL);
    _exit(127);
}

int rig_reap(void)
{
    int status = 0;
    assert_int_equal(waitpid(rig.writer, &status, 0), rig.writer);
    rig.writer = 0;
    close(rig.supervisor);
    rig.supervisor = -1;
    return status;
}

static void connect_channel(void)
{
    int ends[2];
    struct xt_control_message message = {.type = XT_CONTROL_CHANNEL, .fd_count = 1};
    assert_int_equal(xt_writer_channel_pair(ends, &failure), XT_OK);
    message.numbers[0] = xt_shared_supervisor_place(WORKERS);
    message.fds[0] = ends[0];
    assert_int_equal(xt_control_send(rig.supervisor, &message), XT_OK);
    close(ends[0]);
    assert_int_equal(xt_writer_channel_replace(rig.channel, ends[1]), XT_OK);
}

int rig_try_start(void)
{
    int ends[2];
    struct xt_control_message message;
    assert_int_equal(xt_control_pair(ends, &failure), XT_OK);
    fflush(NULL);
    rig.writer = fork();
    assert_true(rig.writer >= 0);
    if (rig.writer == 0) {
        become_writer(ends[1]);
    }
    close(ends[1]);
    rig.supervisor = ends[0];
    send_start();
    enum xt_control_type told;
    do {
        enum xt_status status = xt_control_wait(rig.supervisor, PATIENCE_MS, &message);
        told = message.type;
        xt_control_release(&message);
        if (status == XT_CLOSED) {
            int ended = rig_reap();
            assert_true(WIFEXITED(ended));
            return WEXITSTATUS(ended);
        }
        assert_int_equal(status, XT_OK);
    } while (told != XT_CONTROL_READY);
    connect_channel();
    assert_int_equal(under_way, 0);
    return -1;
}

void rig_start(void)
{
    assert_int_equal(rig_try_start(), -1);
}

void rig_drain(void)
{
    struct xt_control_message message = {.type = XT_CONTROL_DRAIN};
    assert_int_equal(xt_control_send(rig.supervisor, &message), XT_OK);
    int status = rig_reap();
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool rig_has_writer(void)
{
    return xt_writer_channel_is_open(rig.channel);
}

/* ---- events ------------------------------------------------------------------------------------- */

static bool is_person(unsigned subject)
{
    return subject % 2 == 1;
}

static void make_event(unsigned subject, unsigned n, uint8_t body[XT_EVENT_BODY_MAX],
                       struct xt_event *event)
{
    if (is_person(subject)) {
        rig_person_event(NUMBER(subject), n, body, event);
        return;
    }
    xt_event_begin(event, XT_EVENT_CERTIFICATE_HELD);
    memset(event->id, 7, sizeof(event->id));
    memcpy(event->id, &subject, sizeof(subject));
    memcpy(event->id + sizeof(subject), &n, sizeof(n));
    event->at_ms = 1;
    memcpy(event->certificate_held.spki, &subject, sizeof(subject));
    snprintf(event->certificate_held.partner, sizeof(event->certificate_held.partner), "p%u", n);
}

static void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct rig_subject *subject = context;
    assert_true(subject->under_way);
    subject->under_way = false;
    under_way--;
    if (answer->status == XT_CLOSED || answer->status == XT_DISK_FULL) {
        rig.refused += answer->status == XT_DISK_FULL;
        return;
    }
    assert_int_equal(answer->status, XT_OK);
    assert_true(answer->sequence > subject->sequence);
    subject->sequence = answer->sequence;
    subject->done++;
    assert_int_equal(subject->done, subject->told);
    rig.acknowledged++;
    rig.duplicates += answer->duplicate;
}

void rig_feed(void)
{
    uint8_t body[XT_EVENT_BODY_MAX];
    unsigned first = (unsigned)(next_random(&rig.random) % RIG_SUBJECTS);
    for (unsigned i = 0; i < RIG_SUBJECTS && under_way < AT_ONCE && rig_has_writer(); i++) {
        struct rig_subject *subject = &rig.subjects[(first + i) % RIG_SUBJECTS];
        struct xt_event event;
        if (subject->under_way) {
            continue;
        }
        make_event(subject->index, subject->done + 1, body, &event);
        if (xt_writer_send(rig.channel, &event, on_answer, subject) != XT_OK) {
            return;
        }
        subject->told = subject->done + 1;
        subject->under_way = true;
        under_way++;
    }
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened for %d s", PATIENCE_MS / 1000);
}

void rig_patience(void)
{
    assert_int_equal(uv_timer_start(&rig.patience, on_patience, PATIENCE_MS, 0), 0);
}

struct asked {
    bool answered;
    struct xt_writer_answer answer;
};

static void on_asked(void *context, const struct xt_writer_answer *answer)
{
    struct asked *asked = context;
    asked->answered = true;
    asked->answer = *answer;
}

static struct xt_writer_answer ask(const struct xt_event *event)
{
    struct asked asked = {.answered = false};
    assert_int_equal(xt_writer_send(rig.channel, event, on_asked, &asked), XT_OK);
    rig_patience();
    while (!asked.answered) {
        uv_run(&rig.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&rig.patience);
    return asked.answer;
}

void rig_tell_again(unsigned i)
{
    uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_event event;
    assert_true(rig.subjects[i].done > 0);
    make_event(i, rig.subjects[i].done, body, &event);
    struct xt_writer_answer answer = ask(&event);
    assert_int_equal(answer.status, XT_OK);
    assert_true(answer.duplicate);
    assert_int_equal(answer.sequence, rig.subjects[i].sequence);
}

/* ---- what is there ------------------------------------------------------------------------------ */

/* Which event of a subject shows. */
static unsigned seen_of_certificate(unsigned i)
{
    uint8_t spki[XT_SPKI_DIGEST] = {0};
    char partner[XT_PARTNER_NAME_MAX + 1];
    memcpy(spki, &i, sizeof(i));
    enum xt_status status = xt_live_holder(rig.as.live, spki, partner);
    assert_true(status == XT_OK || status == XT_NOT_FOUND);
    return status == XT_OK ? (unsigned)strtoul(partner + 1, NULL, 10) : 0;
}

static unsigned seen_of_person(unsigned i)
{
    const struct rig_subject *subject = &rig.subjects[i];
    struct xt_live_entry entry;
    struct xt_person person;
    enum xt_status status = xt_live_entry(rig.as.live, NUMBER(i), &entry);
    if (status == XT_NOT_FOUND) {
        return 0;
    }
    assert_int_equal(status, XT_OK);
    assert_int_equal(xt_person_from_records(entry.hot, entry.cold, &person), XT_OK);
    for (unsigned n = subject->done; n <= subject->told; n++) {
        if (rig_person_is_as_told(&person, entry.versions, n)) {
            return n;
        }
    }
    fail_msg("person %u is neither as event %u left him nor as %u: %u versions", i, subject->done,
             subject->told, entry.versions);
    return 0;
}

/* Everybody, looked up one by one. */
static void recount(struct xt_tally *counted)
{
    for (unsigned i = 0; i < RIG_SUBJECTS; i++) {
        struct xt_found found;
        struct xt_id id = {.kind = XT_ID_PERSONAL, .value = NUMBER(i)};
        assert_int_equal(xt_register_find(&rig.as, id, &found), XT_OK);
        assert_true(found.found && !found.by_alias);
        assert_int_equal(xt_tally_add(counted, xt_statistics_key(&found.hot), 1), XT_OK);
    }
}

bool rig_has_logged(const char *text)
{
    static char log[1 << 16];
    int fd = open(in_dir("log"), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t size = read(fd, log, sizeof(log) - 1);
    close(fd);
    log[size > 0 ? size : 0] = '\0';
    return strstr(log, text) != NULL;
}

/* The statistics are those of the people who are there, event by event. */
static void check_statistics(void)
{
    const struct xt_manifest *manifest = xt_generation_manifest(rig.as.generation);
    struct xt_tally now = {.places = 0}, counted = {.places = 0};
    assert_int_equal(xt_generation_statistics(rig.dir, manifest, rig.keyring, &now, &failure),
                     XT_OK);
    enum xt_status status = xt_live_add_cells(rig.as.live, manifest->digest, &now);
    for (unsigned waits = 0; status == XT_BUSY && rig_has_writer() && waits < 1000 &&
                             !rig_has_logged("statistics_failed");
         waits++) {
        usleep(10000); /* it counts in steps, between groups */
        xt_live_rest(rig.as.live);
        assert_int_equal(
            xt_live_refresh(rig.as.live, xt_writer_epoch(rig.shared), xt_writer_commit(rig.shared)),
            XT_OK);
        status = xt_live_add_cells(rig.as.live, manifest->digest, &now);
    }
    /* It ended before it had counted, and the next one will; or a disk that failed has kept it from counting,
     * which it tries again after a minute. */
    if (status == XT_BUSY && (!rig_has_writer() || rig_has_logged("statistics_failed"))) {
        xt_tally_free(&now);
        return;
    }
    assert_int_equal(status, XT_OK);
    recount(&counted);
    if (!xt_tally_is_same(&now, &counted)) {
        fail_msg("the statistics are not those of the people after %llu events",
                 (unsigned long long)xt_live_sequence(rig.as.live));
    }
    xt_tally_free(&now);
    xt_tally_free(&counted);
}

void rig_check(bool complete)
{
    uint64_t applied = 1; /* the generation */
    assert_int_equal(
        xt_live_refresh(rig.as.live, xt_writer_epoch(rig.shared), xt_writer_commit(rig.shared)),
        XT_OK);
    for (unsigned i = 0; i < RIG_SUBJECTS; i++) {
        const struct rig_subject *subject = &rig.subjects[i];
        unsigned seen = is_person(i) ? seen_of_person(i) : seen_of_certificate(i);
        if (seen != subject->done && (complete || seen != subject->told)) {
            fail_msg("subject %u: event %u shows, %u were acknowledged, %u told", i, seen,
                     subject->done, subject->told);
        }
        applied += seen;
    }
    assert_int_equal(xt_live_sequence(rig.as.live), applied);
    check_statistics();
    xt_live_rest(rig.as.live);
}

/* ---- set-up ------------------------------------------------------------------------------------- */

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context, (void)line, (void)first;
    fail_msg("%s %s", code, pointer);
}

static struct xt_event build_people(void)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    struct xt_event event;
    memset(&person, 0, sizeof(person));
    person.address_province = RIG_PERSON_PROVINCE;
    person.full_name = xt_span_of_string("Nguyễn Văn An");
    assert_int_equal(xt_name_parse(person.full_name, &person.name), XT_OK);
    assert_int_equal(xt_date_make(1990, 1, 2, &person.date_of_birth), XT_OK);
    assert_int_equal(xt_builder_open(rig.dir, rig.keyring, NULL, &builder, &failure), XT_OK);
    for (unsigned i = 0; i < RIG_SUBJECTS; i++) {
        person.number = NUMBER(i);
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = manifest.number;
    memcpy(event.generation_served.digest, manifest.digest, XT_GENERATION_DIGEST);
    return event;
}

static void open_control(void)
{
    int fd = open(in_dir("control"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, sizeof(*rig.control)) == 0);
    rig.control = mmap(NULL, sizeof(*rig.control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(rig.control != MAP_FAILED);
    close(fd);
}

int rig_make(void **state)
{
    static const char *const folders[] = {"live", "identity", "keys"};
    (void)state;
    memset(&rig, 0, sizeof(rig));
    under_way = 0;
    snprintf(rig.dir, sizeof(rig.dir), "/tmp/xt-rig-XXXXXX");
    assert_non_null(mkdtemp(rig.dir));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(mkdir(in_dir(folders[i]), 0700), 0);
    }
    for (unsigned i = 0; i < RIG_SUBJECTS; i++) {
        rig.subjects[i].index = i;
    }
    const char *seed = getenv("XT_SEED");
    rig.seed = seed == NULL ? (uint64_t)time(NULL) : strtoull(seed, NULL, 10);
    rig.random = rig.seed;
    rig.failed = true; /* until rig_passed */
    rig.supervisor = -1;
    open_control();
    assert_int_equal(xt_keyring_create(in_dir("keys/master.keys"), &failure), XT_OK);
    assert_int_equal(xt_keyring_open(in_dir("keys/master.keys"), &rig.keyring, &failure), XT_OK);
    assert_int_equal(xt_shared_create(WORKERS, &rig.shared, &failure), XT_OK);
    assert_int_equal(uv_loop_init(&rig.loop), 0);
    assert_int_equal(uv_timer_init(&rig.loop, &rig.patience), 0);
    assert_int_equal(xt_writer_channel_open(&rig.loop, -1, &rig.channel), XT_OK);
    struct xt_event served = build_people();
    rig_start();
    assert_int_equal(ask(&served).status, XT_OK);
    assert_int_equal(xt_live_open_reader(rig.dir, rig.keyring, &rig.as.live, &failure), XT_OK);
    xt_live_rest(rig.as.live);
    assert_int_equal(xt_generation_open(rig.dir, served.generation_served.number, rig.keyring,
                                        &rig.as.generation, &failure),
                     XT_OK);
    return 0;
}

void rig_passed(void)
{
    rig.failed = false;
}

int rig_remove(void **state)
{
    static const char *const names[] = {
        "live/live.mdb", "live/live.mdb-lock", "live/.lock", "keys/master.keys", "control",
        "log",           "identity/.lock"};
    static const char *const folders[] = {"live", "identity", "keys"};
    (void)state;
    if (rig.failed) {
        print_message("to draw the same again: XT_SEED=%llu\n", (unsigned long long)rig.seed);
    }
    if (rig.writer > 0) {
        kill(rig.writer, SIGKILL);
        (void)rig_reap();
    }
    xt_writer_channel_close(rig.channel);
    uv_close((uv_handle_t *)&rig.patience, NULL);
    while (uv_run(&rig.loop, UV_RUN_NOWAIT) != 0) {
    }
    assert_int_equal(uv_loop_close(&rig.loop), 0);
    xt_live_close(rig.as.live);
    xt_generation_close(rig.as.generation);
    xt_shared_close(rig.shared);
    xt_keyring_close(rig.keyring);
    munmap(rig.control, sizeof(*rig.control));
    xt_identity_remove(rig.dir, "current");
    xt_identity_remove(rig.dir, "000001");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unlink(in_dir(names[i]));
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rmdir(in_dir(folders[i])), 0);
    }
    assert_int_equal(rmdir(rig.dir), 0);
    return 0;
}
