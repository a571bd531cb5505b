/* A backup and what is restored of it: whole, as it was, and nothing of it believed that was changed. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/backup.h"
#include "store/backup_file.h"
#include "store/backup_manifest.h"
#include "store/check.h"
#include "store/live_internal.h"
#include "store/live_statistics.h"
#include "store/statistics_file.h"
#include "tests/core/mutate.h"
#include "tests/needles.h"
#include "tests/store/audit_log.h"
#include "tests/store/changes.h"
#include "tests/test.h"

#define PEOPLE 300
#define PASSPHRASE "correct horse battery staple\n"
#define FLIPS 260
#define NEWCOMER "001090004321"
#define NEW_NAME "Nguyễn Thị Minh Khai"

static struct xt_failure failure;

/* ---- the deployment --------------------------------------------------------------------------- */

/* Two workers: the first one's log was rotated, the second one's is open and has gone on since the last
 * checkpoint. */
static struct worker_log workers[2];

static void write_log(void)
{
    struct xt_audit_checkpoints *list = open_checkpoints();
    struct worker_log *both[] = {&workers[0], &workers[1]};
    worker_open(&workers[0], 0, LOG_START, list);
    worker_open(&workers[1], 1, LOG_START, list);
    worker_write(&workers[0], 0, 100, 10);
    worker_write(&workers[1], 100, 130, 10);
    checkpoint(list, LOG_START + 1000, XT_AUDIT_FLAG_START, both, 2);
    worker_rotate(&workers[0], LOG_START + 2000);
    worker_write(&workers[0], 130, 150, 10);
    checkpoint(list, LOG_START + 3000, XT_AUDIT_FLAG_ROTATION, both, 2);
    worker_write(&workers[1], 150, 200, 10);
    xt_audit_checkpoints_close(list);
}
#define LOGGED 150 /* entries up to the last checkpoint */

static void close_log(void)
{
    worker_close(&workers[0]);
    worker_close(&workers[1]);
}

/* A name beside the deployment, as one in it; valid until eight more were asked for. */
static char elsewhere[64];
static const char *beside(const char *name)
{
    static char names[8][XT_PATH_MAX];
    static unsigned next;
    char *path = names[next++ % 8];
    char folder[sizeof(elsewhere)];
    snprintf(folder, sizeof(folder), "..%s", elsewhere + strlen("/tmp"));
    assert_int_equal(xt_path_join(path, folder, name), XT_OK);
    return path;
}
static const char *place(const char *name)
{
    return deployment_path(beside(name));
}

static int make(void **state)
{
    int result = audit_log_make(state);
    snprintf(elsewhere, sizeof(elsewhere), "/tmp/xt-backup-XXXXXX");
    assert_non_null(mkdtemp(elsewhere));
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    assert_int_equal(mkdir(deployment_path("tls"), 0755), 0);
    write_text("xacthuc.conf", "; settings\n");
    write_text("ca.crt", "-----BEGIN CERTIFICATE-----\n");
    write_text("tls/both.pem", "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n");
    write_text("keys/server.key", "-----BEGIN PRIVATE KEY-----\n");
    assert_int_equal(chmod(deployment_path("keys/server.key"), 0600), 0);
    write_text("people.ndjson", "{\"id\":\"001090000001\"}\n");
    write_text("partners/demo.json", "{}\n");
    write_text("partners/.demo.json.Ab12Cd", "{}\n");
    write_text("passphrase", PASSPHRASE);
    assert_int_equal(chmod(deployment_path("passphrase"), 0600), 0);
    build_people(0, PEOPLE);
    change_once("{\"event_id\":\"e-1\",\"type\":\"registered\",\"id\":\"" NEWCOMER
                "\",\"at\":\"2026-11-22T08:00:00Z\",\"data\":{\"full_name\":\"" NEW_NAME
                "\",\"date_of_birth\":\"2001-03-11\"}}");
    write_log();
    return result;
}

static int clear(void **state)
{
    close_log();
    xt_backup_remove(elsewhere);
    unsetenv("CREDENTIALS_DIRECTORY");
    return audit_log_remove(state);
}

/* The keys without a passphrase, whose work takes a second each time. */
static void give_credentials(void)
{
    static const char *const names[] = {"master.keys", "audit.key", "audit.pub"};
    const char *folder = deployment_path("credentials");
    assert_int_equal(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char from[64], to[64];
        snprintf(from, sizeof(from), "keys/%s", names[i]);
        snprintf(to, sizeof(to), "credentials/%s", names[i]);
        assert_int_equal(link(deployment_path(from), deployment_path(to)), 0);
    }
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
}

static void succeeds(int code)
{
    if (code != 0) {
        fail_msg("%s", run_err);
    }
}

static void back_up(const char *out)
{
    succeeds(run("backup", "DIR", place(out), "--quiet", NULL));
}

static enum xt_status restore(const char *out, const char *dir)
{
    struct xt_backup_facts facts;
    const struct xt_backup_plan plan = {.dir = place(dir), .out = place(out), .quiet = true};
    return xt_backup_restore(&plan, &facts, &failure);
}

/* Nothing has the name, and nothing half-made is beside it. */
static void nothing_is_left(const char *name)
{
    char partial[64];
    snprintf(partial, sizeof(partial), "%s.partial", name);
    assert_false(exists(beside(name)));
    assert_int_equal(count_names(beside(""), partial), 0);
}

/* ---- what comes back -------------------------------------------------------------------------- */

static void same_file(const char *a, const char *b)
{
    char text[1 << 12];
    snprintf(text, sizeof(text), "%s", read_text(a));
    assert_true(text[0] != 0);
    assert_string_equal(read_text(b), text);
}

static void sound_people(const char *dir)
{
    static struct xt_check_report report;
    uint32_t number = 0;
    assert_int_equal(xt_generation_current(place(dir), &number, &failure), XT_OK);
    assert_int_equal(
        xt_generation_check(place(dir), number, deployment_keyring(), NULL, &report, &failure),
        XT_OK);
    assert_int_equal(report.people, PEOPLE);
}

static void sound_statistics(const char *dir)
{
    struct xt_tally tally = {.places = 0};
    struct xt_generation *generation = NULL;
    assert_int_equal(xt_generation_open(place(dir), 1, deployment_keyring(), &generation, &failure),
                     XT_OK);
    assert_int_equal(xt_generation_statistics(place(dir), xt_generation_manifest(generation),
                                              deployment_keyring(), &tally, &failure),
                     XT_OK);
    assert_true(tally.places > 0);
    xt_tally_free(&tally);
    xt_generation_close(generation);
}

static void sound_log(const char *dir)
{
    struct xt_audit_report report;
    const struct xt_audit_plan plan = {.threads = 1, .quiet = true};
    enum xt_status status =
        xt_audit_verify(place(dir), deployment_keyring(), &plan, &report, &failure);
    if (status != XT_OK) {
        fail_msg("%s", report.fault_count > 0 ? report.faults[0].what : failure.text);
    }
    assert_int_equal(report.entries, LOGGED);
    assert_int_equal(report.segments, 3);
    assert_int_equal(report.checkpoints, 3); /* two, and that of the restore */
    assert_int_equal(report.restored, 1);
    xt_audit_report_free(&report);
}

static void what_is_restored_is_what_was_there(void **state)
{
    (void)state;
    struct stat facts;
    succeeds(run("backup", "DIR", place("out"), "--keys", place("keyfile"), "--passphrase-file",
                 deployment_path("passphrase"), "--json", "--quiet", NULL));
    assert_non_null(strstr(run_out, "\"generation\":1,\"sequence\":1,\"checkpoint\":2,"));
    assert_string_equal(run_err, "");
    assert_int_equal(stat(place("keyfile"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(stat(place("out"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    assert_int_equal(count_names(beside("out/files/keys"), ""), 1); /* audit.pub */
    assert_false(exists(beside("out/files/tls")));                  /* a private key is in it */
    assert_false(exists(beside("out/files/people.ndjson")));
    assert_int_equal(count_names(beside("out/files/partners"), ""), 1);
    assert_true(exists(beside("out/files/identity/000001/statistics")));

    assert_int_equal(mkdir(place("back"), 0755), 0); /* an empty folder will do */
    succeeds(run("restore", place("out"), place("back"), "--keys", place("keyfile"),
                 "--passphrase-file", deployment_path("passphrase"), "--quiet", NULL));
    same_file("xacthuc.conf", beside("back/xacthuc.conf"));
    same_file("ca.crt", beside("back/ca.crt"));
    same_file("tls/both.pem", beside("back/tls/both.pem"));
    same_file("keys/master.keys", beside("back/keys/master.keys"));
    same_file("keys/server.key", beside("back/keys/server.key"));
    same_file("partners/demo.json", beside("back/partners/demo.json"));
    assert_int_equal(stat(place("back"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    assert_int_equal(stat(place("back/keys/master.keys"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0600);
    assert_int_equal(stat(place("back/identity/000001"), &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0500);
    sound_people("back");
    sound_statistics("back");
    sound_log("back");
    nothing_is_left("none");
    assert_int_equal(count_names(beside(""), "back.partial"), 0);
    succeeds(run("audit", "verify", place("back"), NULL));
    assert_non_null(strstr(run_out, "it came out of a backup 1 time"));
}

/* The served file is another name for the backup's; damage of what is served must not reach a restore that
 * was made, and a restored deployment must not write into a backup. */
static void a_restored_deployment_shares_no_file_with_its_backup(void **state)
{
    (void)state;
    struct stat before, after;
    back_up("out");
    assert_int_equal(stat(place("out/files/identity/000001/data.mdb"), &before), 0);
    assert_int_equal(before.st_nlink, 2);
    give_credentials();
    assert_int_equal(restore("out", "back"), XT_OK);
    assert_int_equal(stat(place("back/identity/000001/data.mdb"), &after), 0);
    assert_int_equal(after.st_nlink, 1);
    sound_people("back");
}

/* ---- secrecy ---------------------------------------------------------------------------------- */

static void neither_people_nor_keys_stand_in_a_backup_in_the_clear(void **state)
{
    (void)state;
    struct needles_found found = {0};
    char key[65] = "";
    struct xt_person person;
    for (unsigned i = 0; i < PEOPLE; i++) {
        make_person(i, &person);
        needles_add_person(&person);
    }
    needles_add_text(NEWCOMER);
    needles_add_text(NEW_NAME);
    assert_int_equal(sscanf(read_text("keys/master.keys"), "%*s %*s %64s", key), 1);
    assert_int_equal(strlen(key), 64);
    needles_search_file(deployment_path("people.ndjson"), "people.ndjson", &found);
    assert_true(found.forms_short + found.forms_long > 0); /* it would be seen */
    needles_add_text(key);
    needles_add_text("PRIVATE KEY");
    found = (struct needles_found){0};
    needles_search_file(deployment_path("keys/master.keys"), "master.keys", &found);
    assert_true(found.forms_long > 0);

    succeeds(run("backup", "DIR", place("out"), "--keys", place("keyfile"), "--passphrase-file",
                 deployment_path("passphrase"), NULL));
    assert_null(strstr(run_out, "correct"));
    found = (struct needles_found){0};
    needles_search_folder(place("out"), &found);
    needles_search_file(place("keyfile"), "keyfile", &found);
    assert_true(found.files == 15);
    needles_assert_none(&found);
}

/* ---- damage ----------------------------------------------------------------------------------- */

#define FILES_MAX 64
static char names[FILES_MAX][XT_PATH_MAX];
static unsigned name_count;

static int list_file(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts, (void)where;
    if (type == FTW_F) {
        assert_true(name_count < FILES_MAX);
        snprintf(names[name_count++], XT_PATH_MAX, "%s", path);
    }
    return 0;
}

static void list_files(const char *folder)
{
    name_count = 0;
    assert_int_equal(nftw(place(folder), list_file, 8, FTW_PHYS), 0);
}

static void flip(const char *path, uint64_t random)
{
    uint8_t byte;
    struct stat facts;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        assert_int_equal(chmod(path, 0600), 0);
        fd = open(path, O_RDWR | O_CLOEXEC);
    }
    assert_true(fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size > 0);
    off_t at = (off_t)(random % (uint64_t)facts.st_size);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1 << (random >> 40) % 8);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void refused(const char *path)
{
    enum xt_status status = restore("out", "back");
    if (status != XT_CORRUPT && status != XT_DENIED) {
        fail_msg("%s was changed: %s", path, xt_status_name(status));
    }
    nothing_is_left("back");
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    uint64_t random = 7;
    back_up("out");
    give_credentials();
    list_files("out");
    assert_int_equal(name_count, 14);
    for (unsigned i = 0; i < FLIPS; i++) {
        const char *path = names[i % name_count];
        uint64_t place = next_random(&random);
        flip(path, place);
        refused(path);
        flip(path, place);
    }
    assert_int_equal(restore("out", "back"), XT_OK);
}

static void write_whole(const char *path, const uint8_t *content, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, size), size);
    close(fd);
}

static void every_file_that_is_missing_cut_longer_or_a_link_is_found(void **state)
{
    (void)state;
    char aside[XT_PATH_MAX];
    back_up("out");
    give_credentials();
    list_files("out");
    snprintf(aside, sizeof(aside), "%s", place("aside"));
    for (unsigned i = 0; i < name_count; i++) {
        const char *path = names[i];
        bool manifest = strstr(path, "out/manifest") != NULL;
        uint8_t *content = NULL;
        size_t size = 0;
        assert_int_equal(xt_file_read(path, 1 << 20, &content, &size, &failure), XT_OK);
        write_whole(aside, content, size);

        assert_int_equal(unlink(path), 0);
        assert_int_equal(restore("out", "back"), manifest ? XT_NOT_FOUND : XT_CORRUPT);
        nothing_is_left("back");
        if (!manifest) { /* a link is not what was written, whatever it leads to */
            assert_int_equal(symlink(aside, path), 0);
            refused(path);
            assert_int_equal(unlink(path), 0);
        }
        write_whole(path, content, size - 1);
        refused(path);
        assert_int_equal(unlink(path), 0);
        write_whole(path, content, size + 1); /* the zero behind it */
        refused(path);
        assert_int_equal(unlink(path), 0);
        write_whole(path, content, size);
        assert_int_equal(unlink(aside), 0);
        xt_file_release(content, size);
    }
    assert_int_equal(restore("out", "back"), XT_OK);
}

static void keys_of_another_deployment_open_nothing(void **state)
{
    (void)state;
    back_up("out");
    give_credentials();
    assert_int_equal(unlink(deployment_path("credentials/audit.pub")), 0);
    write_text("credentials/audit.pub",
               "00000001 d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n");
    assert_int_equal(chmod(deployment_path("credentials/audit.pub"), 0600), 0);
    assert_int_equal(restore("out", "back"), XT_DENIED);
    nothing_is_left("back");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(restore("out", "back"), XT_DENIED); /* none at all */
    assert_non_null(strstr(failure.text, "--keys"));
    nothing_is_left("back");
}

/* LMDB is opened in a process of its own each time. */
static void in_child(void (*work)(enum xt_live_table), enum xt_live_table table)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work(table);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* So that `statistics` is not empty. */
static void count_people(enum xt_live_table table)
{
    struct xt_live *live = NULL;
    assert_int_equal(table, XT_LIVE_STATISTICS);
    assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                     XT_OK);
    xt_live_set_base(live, open_served());
    for (bool done = false; !done;) {
        assert_int_equal(xt_live_count_anew(live, &done, &failure), XT_OK);
    }
}

/* Flips a bit `after` the beginning of each of a key's places in live.mdb. */
static void flip_after(const uint8_t *key, size_t size, size_t after)
{
    unsigned hits = 0;
    uint8_t *content = NULL;
    size_t whole = 0;
    assert_int_equal(
        xt_file_read(deployment_path("live/live.mdb"), 1 << 26, &content, &whole, &failure), XT_OK);
    int fd = open(deployment_path("live/live.mdb"), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at + size + after < whole; at++) {
        if (memcmp(content + at, key, size) == 0) {
            uint8_t byte = content[at + after] ^ 0x80;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)(at + after)), 1);
            hits++;
        }
    }
    assert_true(hits > 0);
    close(fd);
    xt_file_release(content, whole);
}

/* One bit of a record. LMDB keeps a key's length, 2 bytes, before it. */
static void damage_live(enum xt_live_table table)
{
    struct xt_live *live = NULL;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = 1090004321ULL}; /* NEWCOMER */
    uint8_t key[2 + XT_LIVE_HASH] = {XT_LIVE_HASH, 0};
    uint8_t line[8 + XT_LIVE_HASH];
    assert_int_equal(xt_live_open_reader(deployment(), deployment_keyring(), &live, &failure),
                     XT_OK);
    xt_live_key_bytes(xt_live_key(live, id), key + 2);
    if (table == XT_LIVE_TOUCHED) { /* the number of its event */
        xt_live_log_key(1, line);
        memcpy(line + 8, key + 2, XT_LIVE_HASH);
        flip_after(line, sizeof(line), 0);
        return;
    }
    if (table != XT_LIVE_PEOPLE) {
        xt_live_state_key(live, table == XT_LIVE_STATE ? XT_LIVE_POSITION : XT_LIVE_COUNTED_BASE,
                          xt_span_of(NULL, 0), key + 2);
    }
    flip_after(key, sizeof(key), sizeof(key) + 7);
}

static void a_damaged_live_store_is_not_backed_up(void **state)
{
    (void)state;
    static const enum xt_live_table tables[] = {XT_LIVE_STATE, XT_LIVE_PEOPLE, XT_LIVE_TOUCHED,
                                                XT_LIVE_STATISTICS};
    in_child(count_people, XT_LIVE_STATISTICS);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        uint8_t *content = NULL;
        size_t size = 0;
        assert_int_equal(
            xt_file_read(deployment_path("live/live.mdb"), 1 << 26, &content, &size, &failure),
            XT_OK);
        in_child(damage_live, tables[i]);
        if (run("backup", "DIR", place("out"), "--quiet", NULL) != 1) {
            fail_msg("table %u", tables[i]);
        }
        nothing_is_left("out");
        assert_int_equal(unlink(deployment_path("live/live.mdb")), 0);
        write_whole(deployment_path("live/live.mdb"), content, size);
        xt_file_release(content, size);
    }
    back_up("out");
}

/* A backup of what is damaged would be found out on the worst of days. */
static void what_is_damaged_is_not_backed_up(void **state)
{
    (void)state;
    flip(deployment_path("identity/000001/data.mdb"), 1234567);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "damaged"));
    nothing_is_left("out");
    flip(deployment_path("identity/000001/data.mdb"), 1234567);
    flip(deployment_path("identity/000001/statistics"), 1234567);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "statistics cannot be read"));
    nothing_is_left("out");
    flip(deployment_path("identity/000001/statistics"), 1234567);
    assert_int_equal(truncate(deployment_path(worker_file(&workers[1])), 500), 0);
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    nothing_is_left("out");
}

/* ---- since ------------------------------------------------------------------------------------ */

static ino_t inode(const char *out, const char *name)
{
    struct stat facts;
    char path[XT_PATH_MAX];
    snprintf(path, sizeof(path), "%s/files/%s", out, name);
    assert_int_equal(stat(place(path), &facts), 0);
    return facts.st_ino;
}

static void what_is_the_same_since_an_earlier_backup_is_not_copied(void **state)
{
    (void)state;
    static const char data[] = "identity/000001/data.mdb";
    char closed[64], open[64];
    struct xt_audit_checkpoints *list = open_checkpoints();
    struct worker_log *both[] = {&workers[0], &workers[1]};
    xt_audit_name(workers[0].before.unix_ms, 0, workers[0].before.id, closed + 6);
    memcpy(closed, "audit/", 6);
    snprintf(open, sizeof(open), "%s", worker_file(&workers[1]));
    back_up("one");
    checkpoint(list, LOG_START + 4000, 0, both, 2);
    xt_audit_checkpoints_close(list);
    succeeds(run("backup", "DIR", place("two"), "--since", place("one"), "--quiet", NULL));
    assert_true(inode("one", data) == inode("two", data));
    assert_true(inode("one", closed) == inode("two", closed));
    assert_true(inode("one", open) != inode("two", open)); /* it has grown */

    /* What is damaged in the earlier one is taken anew. */
    char path[XT_PATH_MAX];
    snprintf(path, sizeof(path), "two/files/%s", closed);
    flip(place(path), 99);
    succeeds(run("backup", "DIR", place("three"), "--since", place("two"), "--quiet", NULL));
    assert_true(inode("two", closed) != inode("three", closed));
    give_credentials();
    assert_int_equal(restore("two", "back"), XT_CORRUPT);
    assert_int_equal(restore("three", "back"), XT_OK);
}

/* ---- refusals --------------------------------------------------------------------------------- */

static void what_exists_is_never_overwritten(void **state)
{
    (void)state;
    const char *out = place("out");
    back_up("out");
    write_text(beside("keyfile"), "x");
    assert_int_equal(mkdir(place("full"), 0700), 0);
    write_text(beside("full/file"), "x");
    assert_int_equal(run("backup", "DIR", out, NULL), 1);
    assert_non_null(strstr(run_err, "exists"));
    assert_int_equal(run("backup", "DIR", place("other"), "--keys", place("keyfile"),
                         "--passphrase-file", deployment_path("passphrase"), NULL),
                     1);
    assert_non_null(strstr(run_err, "exists"));
    nothing_is_left("other");
    give_credentials();
    assert_int_equal(restore("out", "full"), XT_EXISTS);
    assert_int_equal(restore("out", "keyfile"), XT_EXISTS);
    assert_int_equal(count_names(beside("full"), ""), 1);
    assert_int_equal(run("backup", "DIR", deployment_path("inside"), NULL), 1);
    assert_non_null(strstr(run_err, "inside"));
    assert_false(exists("inside"));
}

static void a_passphrase_comes_from_a_private_file_or_a_descriptor(void **state)
{
    (void)state;
    char file[XT_PATH_MAX], out[XT_PATH_MAX], keys[XT_PATH_MAX];
    snprintf(file, sizeof(file), "%s", deployment_path("passphrase"));
    snprintf(out, sizeof(out), "%s", place("out"));
    snprintf(keys, sizeof(keys), "%s", place("keyfile"));
    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(
        run("backup", "DIR", out, "--keys", keys, "--passphrase-file", file, "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "chmod 600"));
    assert_int_equal(run_with_input("short\n", 6, "backup", "DIR", out, "--keys", keys,
                                    "--passphrase-fd", "0", "--quiet", NULL),
                     1);
    assert_non_null(strstr(run_err, "12"));
    nothing_is_left("out");
    assert_false(exists(beside("keyfile")));
    assert_int_equal(run("backup", "DIR", out, "--keys", keys, NULL), 2);
    assert_int_equal(run("backup", "DIR", out, "--passphrase-fd", "0", NULL), 2);
    assert_int_equal(run("backup", "DIR", NULL), 2);
    assert_int_equal(run("restore", out, "x", "--since", out, NULL), 2);
    succeeds(run_with_input(PASSPHRASE, strlen(PASSPHRASE), "backup", "DIR", out, "--keys", keys,
                            "--passphrase-fd", "0", "--quiet", NULL));
    assert_int_equal(run_with_input("another one altogether", 22, "restore", out, place("back"),
                                    "--keys", keys, "--passphrase-fd", "0", "--quiet", NULL),
                     1);
    assert_non_null(strstr(run_err, "passphrase"));
    nothing_is_left("back");
    assert_int_equal(chmod(file, 0600), 0);
    succeeds(run("restore", out, place("back"), "--keys", keys, "--passphrase-file", file,
                 "--quiet", NULL));
}

/* ---- what else lies in a deployment ----------------------------------------------------------- */

static void back_up_with_keys(const char *dir, const char *out)
{
    succeeds(run("backup", dir, place(out), "--keys", place("keyfile"), "--passphrase-file",
                 deployment_path("passphrase"), "--quiet", NULL));
}

static void a_backup_refuses(const char *what)
{
    assert_int_equal(run("backup", "DIR", place("out"), "--quiet", NULL), 1);
    if (strstr(run_err, what) == NULL) {
        fail_msg("%s", run_err);
    }
    nothing_is_left("out");
}

static void a_link_to_the_deployment_is_as_good_as_itself(void **state)
{
    (void)state;
    assert_int_equal(symlink(deployment(), place("link")), 0);
    assert_int_equal(symlink("../ca.crt", deployment_path("tls/linked.crt")), 0);
    succeeds(run("backup", place("link"), place("out"), "--quiet", NULL));
    same_file("xacthuc.conf", beside("out/files/xacthuc.conf"));
    same_file("ca.crt", beside("out/files/ca.crt"));
    same_file("ca.crt", beside("out/files/tls/linked.crt"));
}

static void what_cannot_be_taken_is_refused_not_left_out(void **state)
{
    (void)state;
    assert_int_equal(mkdir(deployment_path("lost+found"), 0), 0);
    assert_int_equal(symlink("tls", deployment_path("certificates")), 0);
    a_backup_refuses("certificates is a link");
    assert_int_equal(unlink(deployment_path("certificates")), 0);
    assert_int_equal(symlink("nowhere", deployment_path("old.crt")), 0);
    a_backup_refuses("old.crt is a link");
    assert_int_equal(unlink(deployment_path("old.crt")), 0);
    assert_int_equal(mkfifo(deployment_path("pipe.pem"), 0600), 0);
    a_backup_refuses("pipe.pem is no plain file");
    assert_int_equal(unlink(deployment_path("pipe.pem")), 0);
    write_text("tls/with space.crt", "-----BEGIN CERTIFICATE-----\n");
    a_backup_refuses("letters, digits");
    assert_int_equal(unlink(deployment_path("tls/with space.crt")), 0);
    write_text("keys/with space", "x");
    assert_int_equal(run("backup", "DIR", place("out"), "--keys", place("keyfile"),
                         "--passphrase-file", deployment_path("passphrase"), "--quiet", NULL),
                     1);
    assert_non_null(strstr(run_err, "letters, digits"));
    nothing_is_left("out");
    assert_int_equal(count_names(beside(""), "keyfile"), 0);
    assert_int_equal(unlink(deployment_path("keys/with space")), 0);
    assert_int_equal(chmod(deployment_path("keys/server.key"), 0644), 0);
    assert_int_equal(run("backup", "DIR", place("out"), "--keys", place("keyfile"),
                         "--passphrase-file", deployment_path("passphrase"), "--quiet", NULL),
                     1);
    assert_non_null(strstr(run_err, "chmod 600"));
    assert_int_equal(chmod(deployment_path("keys/server.key"), 0600), 0);
    back_up("out");
}

static void the_list_of_revoked_certificates_may_be_called_anything(void **state)
{
    (void)state;
    write_text("xacthuc.conf", "[server]\n  revocations = tls/revoked.list ; ours\n");
    write_text("tls/revoked.list", "-----BEGIN X509 CRL-----\n");
    back_up("out");
    same_file("tls/revoked.list", beside("out/files/tls/revoked.list"));
    assert_int_equal(unlink(deployment_path("tls/revoked.list")), 0);
    write_text("tls/revoked.list", "-----BEGIN PRIVATE KEY-----\n");
    assert_int_equal(run("backup", "DIR", place("other"), "--quiet", NULL), 1);
    assert_non_null(strstr(run_err, "revoked.list"));
}

/* Makes a private key, its certificate, and both in DER as well. */
static void make_certificate(void)
{
    static const char command[] =
        "cd '%s/tls' && exec >/dev/null 2>&1 && "
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "
        "-keyout site.key -out site.pem && openssl x509 -in site.pem -outform DER -out public.der "
        "&& openssl pkcs8 -topk8 -nocrypt -in site.key -outform DER -out private.der && "
        "openssl ec -in site.key -outform DER -out older.der && chmod 600 site.key";
    char text[sizeof(command) + XT_PATH_MAX];
    snprintf(text, sizeof(text), command, deployment());
    if (system(text) != 0) { /* NOLINT(cert-env33-c): our own folder */
        print_message("no openssl(1) here\n");
        skip();
    }
}

static void private_keys_in_any_form_are_with_the_keys_only(void **state)
{
    (void)state;
    static const char *const secrets[] = {"tls/site.key", "tls/private.der", "tls/older.der"};
    static const char *const open[] = {"tls/site.pem", "tls/public.der"};
    char name[64];
    make_certificate();
    back_up_with_keys("DIR", "out");
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        snprintf(name, sizeof(name), "out/files/%s", open[i]);
        assert_true(exists(beside(name)));
    }
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        snprintf(name, sizeof(name), "out/files/%s", secrets[i]);
        assert_false(exists(beside(name)));
    }
    succeeds(run("restore", place("out"), place("back"), "--keys", place("keyfile"),
                 "--passphrase-file", deployment_path("passphrase"), "--quiet", NULL));
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        struct xt_backup_content there = {.size = XT_BACKUP_ANY}, back = there;
        snprintf(name, sizeof(name), "back/%s", secrets[i]);
        assert_int_equal(
            xt_backup_copy(deployment_path(secrets[i]), NULL, 0, &there, NULL, &failure), XT_OK);
        assert_int_equal(xt_backup_copy(place(name), NULL, 0, &back, NULL, &failure), XT_OK);
        assert_memory_equal(there.digest, back.digest, XT_DIGEST_BYTES);
        assert_int_equal(back.mode, 0600);
    }
}

/* ---- a full disk ------------------------------------------------------------------------------ */

static void a_full_disk_leaves_nothing_and_room_is_all_it_takes(void **state)
{
    (void)state;
    const char *disk = place("disk");
    assert_int_equal(mkdir(disk, 0700), 0);
    if (mount("none", disk, "tmpfs", 0, "size=64k") != 0) {
        print_message("not permitted to mount a tmpfs\n");
        skip();
    }
    int full = run("backup", "DIR", place("disk/out"), "--quiet", NULL);
    bool told = strstr(run_err, "No space left") != NULL;
    unsigned left = count_names(beside("disk"), "");
    int resized = mount("none", place("disk"), "tmpfs", MS_REMOUNT, "size=64m");
    int roomy = run("backup", "DIR", place("disk/out"), "--quiet", NULL);
    give_credentials();
    enum xt_status restored = restore("disk/out", "back");
    assert_int_equal(umount(place("disk")), 0);
    assert_int_equal(full, 1);
    assert_true(told);
    assert_int_equal(left, 0);
    assert_int_equal(resized, 0);
    assert_int_equal(roomy, 0);
    assert_int_equal(restored, XT_OK);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_restored_is_what_was_there),
        EACH(a_restored_deployment_shares_no_file_with_its_backup),
        EACH(neither_people_nor_keys_stand_in_a_backup_in_the_clear),
        EACH(every_flipped_bit_is_found),
        EACH(every_file_that_is_missing_cut_longer_or_a_link_is_found),
        EACH(keys_of_another_deployment_open_nothing),
        EACH(what_is_damaged_is_not_backed_up),
        EACH(a_damaged_live_store_is_not_backed_up),
        EACH(what_is_the_same_since_an_earlier_backup_is_not_copied),
        EACH(what_exists_is_never_overwritten),
        EACH(a_link_to_the_deployment_is_as_good_as_itself),
        EACH(what_cannot_be_taken_is_refused_not_left_out),
        EACH(the_list_of_revoked_certificates_may_be_called_anything),
        EACH(private_keys_in_any_form_are_with_the_keys_only),
        EACH(a_full_disk_leaves_nothing_and_room_is_all_it_takes),
        EACH(a_passphrase_comes_from_a_private_file_or_a_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
