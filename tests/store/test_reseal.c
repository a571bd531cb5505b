/* The live store under another master key: all of it or nothing, whatever happens meanwhile. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "crypto/seal.h"
#include "store/live_internal.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

#define EVENTS 3000
#define GROUP 200
#define KILLS 40

static struct xt_failure failure;
static struct xt_event events[EVENTS]; /* made before the processes that send them */

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    for (unsigned i = 0; i < EVENTS; i++) {
        xt_event_begin(&events[i], XT_EVENT_CERTIFICATE_HELD);
        memset(events[i].certificate_held.spki, (int)(i >> 8), XT_SPKI_DIGEST);
        events[i].certificate_held.spki[0] = (uint8_t)i;
        snprintf(events[i].certificate_held.partner, sizeof(events[i].certificate_held.partner),
                 "p%u", i % 7);
    }
    return result;
}

/* Runs in a process of its own, as LMDB wants a file opened once in each. */
static void in_child(void (*work)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        work();
        fflush(NULL);
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct xt_keyring *keyring_at(const char *name)
{
    struct xt_keyring *keyring = NULL;
    if (xt_keyring_open(deployment_path(name), &keyring, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return keyring;
}

static struct xt_live *open_writer(const struct xt_keyring *keyring)
{
    struct xt_live *live = NULL;
    if (xt_live_open_writer(deployment(), keyring, &live, &failure) != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return live;
}

/* Sends all events, of which the store knows all or none. */
static void send(struct xt_live *live, bool known)
{
    static uint8_t memory[GROUP][XT_EVENT_MAX];
    for (unsigned from = 0; from < EVENTS; from += GROUP) {
        struct xt_span spans[GROUP];
        struct xt_live_outcome outcomes[GROUP];
        for (unsigned i = 0; i < GROUP; i++) {
            struct xt_writer writer = xt_writer_over(memory[i], XT_EVENT_MAX);
            xt_event_encode(&events[from + i], &writer);
            spans[i] = xt_written(&writer);
        }
        assert_int_equal(xt_live_apply(live, 1, spans, GROUP, outcomes, &failure), XT_OK);
        for (unsigned i = 0; i < GROUP; i++) {
            assert_int_equal(outcomes[i].status, XT_OK);
            assert_true(outcomes[i].duplicate == known && outcomes[i].sequence == from + i + 1);
        }
    }
}

/* Every line of the log is known; through a reader, every record opens. */
static void assert_whole(struct xt_live *live)
{
    assert_int_equal(xt_live_sequence(live), EVENTS);
    if (live->writes) {
        send(live, true);
        return;
    }
    for (unsigned i = 0; i < EVENTS; i++) {
        char partner[XT_PARTNER_NAME_MAX + 1];
        assert_int_equal(xt_live_holder(live, events[i].certificate_held.spki, partner), XT_OK);
        assert_string_equal(partner, events[i].certificate_held.partner);
    }
}

static void fill(void)
{
    struct xt_live *live = open_writer(deployment_keyring());
    send(live, false);
    xt_live_close(live);
}

static void check_by_a_reader(void)
{
    struct xt_keyring *keyring = keyring_at("keys/master.keys");
    struct xt_live *live = NULL;
    assert_int_equal(xt_live_open_reader(deployment(), keyring, &live, &failure), XT_OK);
    assert_whole(live);
    xt_live_close(live);
    xt_keyring_close(keyring);
}

/* ---- a store of before ------------------------------------------------------------------------ */

/* Version 1: magic 8 | version 4 | key id 4 | salt 32 | MAC 32 of all before; the key of the hashes, which
 * is that of the MAC, was derived and did not stand in it. */
#define FIRST_SIGNED (8 + 4 + 4 + XT_SALT_BYTES)
#define FIRST_HEADER (FIRST_SIGNED + XT_DIGEST_BYTES)
#define SECOND_HEADER (FIRST_HEADER + XT_LIVE_HASH_KEY_WRAPPED)

static void make_first_header(uint8_t header[FIRST_HEADER])
{
    uint8_t salt[XT_SALT_BYTES], key[XT_KEY_BYTES];
    const struct xt_keyring *keyring = deployment_keyring();
    uint32_t id = xt_keyring_current(keyring);
    struct xt_writer writer = xt_writer_over(header, FIRST_SIGNED);
    xt_random(salt, sizeof(salt));
    xt_write(&writer, "xt-live\n", 8);
    xt_put(&writer, 1, 4);
    xt_put(&writer, id, 4);
    xt_write(&writer, salt, sizeof(salt));
    assert_int_equal(xt_keyring_derive(keyring, id, XT_USE_LIVE_HASH, 1, salt, key), XT_OK);
    xt_mac(key, xt_span_of(header, FIRST_SIGNED), header + FIRST_SIGNED);
}

static void open_and_close(void)
{
    xt_live_close(open_writer(deployment_keyring()));
}

/* An empty store, whose header is then replaced in the file: in LMDB's leaf a node is its data's size (two
 * bytes of 16 bits each), flags, the key's size, key, data. */
static void make_first_store(void)
{
    static uint8_t file[1 << 20];
    static const uint8_t node[] = {SECOND_HEADER, 0,   0,   0,   0,   0,   6,   0,
                                   'h',           'e', 'a', 'd', 'e', 'r', 'x', 't'};
    in_child(open_and_close);
    FILE *live = fopen(deployment_path("live/live.mdb"), "r+");
    assert_non_null(live);
    size_t size = fread(file, 1, sizeof(file), live);
    uint8_t *at = memmem(file, size, node, sizeof(node));
    assert_non_null(at);
    at[0] = FIRST_HEADER;
    make_first_header(at + 14);
    assert_null(memmem(at + 1, size - (size_t)(at + 1 - file), node, sizeof(node)));
    rewind(live);
    assert_int_equal(fwrite(file, 1, size, live), size);
    assert_int_equal(fclose(live), 0);
}

static void write_in_first_store(void)
{
    struct xt_live *live = open_writer(deployment_keyring());
    assert_int_equal(live->version, 1);
    send(live, false);
    xt_live_close(live);
}

static void go_on_in_first_store(void)
{
    bool done = false;
    struct xt_live *live = open_writer(deployment_keyring());
    assert_int_equal(live->version, 1); /* nobody changed it by opening it */
    assert_whole(live);
    assert_int_equal(xt_live_reseal(live, deployment_keyring(), &done, &failure), XT_OK);
    assert_true(done && live->version == XT_LIVE_VERSION);
    assert_whole(live);
    assert_int_equal(xt_live_reseal(live, deployment_keyring(), &done, &failure), XT_OK);
    assert_false(done);
    xt_live_close(live);
}

static void seal_under_the_current_key(void)
{
    bool done = false;
    struct xt_keyring *keyring = keyring_at("keys/master.keys");
    struct xt_live *live = open_writer(keyring);
    assert_int_equal(xt_live_reseal(live, keyring, &done, &failure), XT_OK);
    assert_true(done && xt_live_key_id(live) == xt_keyring_current(keyring));
    assert_whole(live);
    xt_live_close(live);
    xt_keyring_close(keyring);
}

static void a_store_of_version_1_opens_and_goes_on_under_new_keys(void **state)
{
    (void)state;
    uint32_t id, old = xt_keyring_current(deployment_keyring());
    make_first_store();
    in_child(write_in_first_store);
    in_child(check_by_a_reader);
    in_child(go_on_in_first_store);
    in_child(check_by_a_reader);
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    in_child(seal_under_the_current_key);
    /* Not even its hashes need the key that they were once derived from. */
    assert_int_equal(xt_keyring_remove(deployment_path("keys/master.keys"), old, &failure), XT_OK);
    in_child(check_by_a_reader);
}

/* ---- a full disk ------------------------------------------------------------------------------ */

static void reseal_without_room(void)
{
    struct stat facts;
    bool done = true;
    struct xt_keyring *keyring = keyring_at("keys/master.keys");
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(stat(deployment_path("live/live.mdb"), &facts), 0);
    struct rlimit limit = {.rlim_cur = (rlim_t)facts.st_size, .rlim_max = RLIM_INFINITY};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct xt_live *live = open_writer(keyring);
    uint32_t old = xt_live_key_id(live);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(xt_live_reseal(live, keyring, &done, &failure), XT_DISK_FULL);
        assert_true(!done && xt_live_key_id(live) == old && old != xt_keyring_current(keyring));
        assert_whole(live); /* it goes on under the old key */
    }
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(xt_live_reseal(live, keyring, &done, &failure), XT_OK);
    assert_true(done && xt_live_key_id(live) == xt_keyring_current(keyring));
    assert_whole(live);
    xt_live_close(live);
    xt_keyring_close(keyring);
}

static void without_room_it_stays_under_the_old_key_until_there_is_some(void **state)
{
    (void)state;
    uint32_t id;
    in_child(fill);
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    in_child(reseal_without_room);
    in_child(check_by_a_reader);
}

/* ---- killed ----------------------------------------------------------------------------------- */

/* The same two keys with the other one current. */
static void write_turned_keys(void)
{
    char text[512];
    snprintf(text, sizeof(text), "%s", read_text("keys/master.keys"));
    char *second = strchr(text, '\n') + 1;
    char turned[512];
    snprintf(turned, sizeof(turned), "%s%.*s", second, (int)(second - text), text);
    assert_int_equal(xt_file_write(deployment_path("keys/turned.keys"), xt_span_of_string(turned),
                                   0600, true, &failure),
                     XT_OK);
}

static void reseal_for_ever(int told)
{
    struct xt_keyring *keyrings[] = {keyring_at("keys/master.keys"),
                                     keyring_at("keys/turned.keys")};
    struct xt_live *live = open_writer(keyrings[0]);
    bool done;
    for (unsigned i = xt_live_key_id(live) == xt_keyring_current(keyrings[0]);; i++) {
        if (xt_live_reseal(live, keyrings[i % 2], &done, &failure) != XT_OK || !done ||
            write(told, "", 1) != 1) {
            _exit(3);
        }
    }
}

static void check_by_a_writer(void)
{
    struct xt_keyring *keyring = keyring_at("keys/master.keys");
    struct xt_live *live = open_writer(keyring);
    assert_whole(live);
    xt_live_close(live);
    xt_keyring_close(keyring);
}

static void killed_at_any_moment_it_is_whole_under_one_key(void **state)
{
    (void)state;
    uint32_t id;
    unsigned sealed = 0;
    in_child(fill);
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    write_turned_keys();
    for (unsigned i = 0; i < KILLS; i++) {
        int ends[2], how;
        uint32_t random;
        char byte;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            reseal_for_ever(ends[1]);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1); /* so that it is in the midst of the next */
        xt_random(&random, sizeof(random));
        const struct timespec wait = {.tv_nsec = (long)(random % 30000) * 1000};
        (void)nanosleep(&wait, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how)); /* else it told of an error */
        for (sealed++; read(ends[0], &byte, 1) == 1; sealed++) {
        }
        close(ends[0]);
        in_child(i % 2 == 0 ? check_by_a_writer : check_by_a_reader);
    }
    printf("%u kills in %u sealings\n", KILLS, sealed);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_store_of_version_1_opens_and_goes_on_under_new_keys),
        EACH(without_room_it_stays_under_the_old_key_until_there_is_some),
        EACH(killed_at_any_moment_it_is_whole_under_one_key),
    };
    xt_crypto_start();
    return cmocka_run_group_tests_name("store/reseal", tests, NULL, NULL);
}
