/* A damaged register under a running server: 503 for what is damaged, right answers for all else, and
 * never a crash; and a file that is cut off, which no process survives. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/command_line.h"
#include "store/generation_internal.h"
#include "store/table_internal.h"
#include "tests/net/deployment.h"
#include "tests/test.h"

#define OTHERS 20

static struct server server;
static int fd = -1;                      /* of data.mdb, to write */
static struct xt_generation *generation; /* as the server has it: the same pages of memory */
static uint8_t *content;                 /* of the sound file */
static size_t size;

static const char *const one_worker[] = {"--workers", "1", NULL};

static int set_up(void **state)
{
    struct xt_failure failure;
    struct xt_keyring *keyring = NULL;
    if (deployment_make(state) != 0 || /* and again with documents, for the cold table */
        run(bench(), "gen", "--full", "--count", PEOPLE, "--seed", SEED, "--out",
            deployment("people.ndjson"), NULL) != 0 ||
        run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL) != 0) {
        return 1;
    }
    const char *path = deployment("DIR/identity/000002/data.mdb");
    bool fine = xt_file_read(path, 1U << 30, &content, &size, &failure) == XT_OK &&
                xt_deployment_keyring(deployment("DIR"), &keyring, &failure) == XT_OK &&
                xt_generation_open(deployment("DIR"), 2, keyring, &generation, &failure) == XT_OK &&
                chmod(path, 0600) == 0 && (fd = open(path, O_RDWR | O_CLOEXEC)) >= 0;
    xt_keyring_close(keyring);
    if (!fine) {
        return 1;
    }
    server_start_with(&server, NULL, one_worker);
    return 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    xt_generation_close(generation);
    close(fd);
    xt_file_release(content, size);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

static void flip(uint64_t at)
{
    uint8_t byte = content[at] ^ 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void mend(uint64_t at)
{
    assert_int_equal(pwrite(fd, content + at, 1, (off_t)at), 1);
}

/* ---- what is where -------------------------------------------------------------------------- */

/* Where the record of an id stands in a table, and in the file. */
struct spot {
    unsigned table;
    struct xt_page page;
    uint32_t index;
    uint64_t page_at; /* of the page's first byte in the file */
};

static struct spot spot_of(unsigned table, struct xt_id id)
{
    struct spot spot = {.table = table};
    struct xt_table_place place =
        xt_table_place_of(generation->tables[table], xt_key_hash(generation->hash_key, id));
    assert_true(xt_page_read(generation->tables[table], place.page, &spot.page));
    while (xt_page_tag(&spot.page, spot.index) != place.tag) {
        assert_true(++spot.index < spot.page.count);
    }
    spot.page_at = xt_table_file_offset(generation->file, table, place.page);
    return spot;
}

enum what { COUNT, NUMBER, ORDINAL, TAG, OFFSET, FIRST_BYTE, LAST_BYTE, END, WHATS };

static uint64_t place_of(const struct spot *spot, enum what what)
{
    uint64_t slot = XT_PAGE_HEADER + (uint64_t)spot->index * XT_PAGE_SLOT;
    uint64_t places[WHATS] = {
        [COUNT] = 0,
        [NUMBER] = 4,
        [ORDINAL] = 8,
        [TAG] = slot + 1,
        [OFFSET] = slot + 4,
        [FIRST_BYTE] = xt_page_offset(&spot->page, spot->index),
        [LAST_BYTE] = xt_page_offset(&spot->page, spot->index + 1) - 1,
        [END] = XT_PAGE_HEADER + (uint64_t)spot->page.count * XT_PAGE_SLOT,
    };
    return spot->page_at + places[what];
}

/* ---- who is asked about ---------------------------------------------------------------------- */

/* A living person, and what a verify says of him. */
struct subject {
    struct xt_id id, old_id;
    char body[1024];
};

/* The next one from line *n on whose line has needle. how: 'h' by his number, 'o' by his CMND, 'c' with
 * a claim about his health insurance. */
static struct subject next_subject(unsigned *n, const char *needle, char how)
{
    for (;; (*n)++) {
        char *line = person_line(*n);
        struct subject subject;
        char id[32], old_id[32] = "", name[256], number[64] = "", claims[256];
        bool fits = strstr(line, "\"status\":\"alive\"") != NULL && strstr(line, needle) != NULL;
        if (!fits) {
            free(line);
            continue;
        }
        member_of(line, "id", id, sizeof(id));
        member_of(line, "full_name", name, sizeof(name));
        if (how == 'o') {
            member_of(line, "old_id", old_id, sizeof(old_id));
        }
        const char *insurance = strstr(line, "\"health_insurance\",");
        if (how == 'c') {
            member_of(insurance, "number", number, sizeof(number));
        }
        snprintf(claims, sizeof(claims), how == 'c' ? ",\"health_insurance\":\"%s\"" : "%s",
                 number);
        snprintf(subject.body, sizeof(subject.body),
                 "{\"txn\":\"t-1\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{\"full_"
                 "name\":\"%s\"%s}}",
                 how == 'o' ? old_id : id, name, claims);
        assert_int_equal(xt_id_parse(xt_span_of_string(id), &subject.id), XT_OK);
        assert_true(how != 'o' || xt_id_parse(xt_span_of_string(old_id), &subject.old_id) == XT_OK);
        free(line);
        (*n)++;
        return subject;
    }
}

static struct spot spot_of_subject(const struct subject *subject, char how)
{
    return how == 'o'   ? spot_of(XT_TABLE_ALIAS, subject->old_id)
           : how == 'c' ? spot_of(XT_TABLE_COLD, subject->id)
                        : spot_of(XT_TABLE_HOT, subject->id);
}

static const char *needle_of(char how)
{
    return how == 'o' ? "\"old_id\"" : how == 'c' ? "\"type\":\"health_insurance\"," : "\"id\"";
}

/* The verdict must be right where there is one. */
static int ask(struct test_client *client, const struct subject *subject)
{
    struct test_response response;
    int status = verify(client, subject->body, &response);
    if (status == 200 && strstr(response.body, "\"verdict\":\"verified\"") == NULL) {
        fail_msg("a wrong answer: %s", response.body);
    }
    if (status == 503) {
        char value[16];
        assert_non_null(strstr(response.body, "\"code\":\"record_damaged\""));
        assert_non_null(test_response_field(&response, "Retry-After", value, sizeof(value)));
    }
    test_response_release(&response);
    return status;
}

static pid_t worker(void)
{
    pid_t pids[4] = {0};
    assert_int_equal(server_workers(&server, pids, 4), 1);
    return pids[0];
}

/* Another process, which has looked at no page yet. */
static void renew_worker(void)
{
    pid_t before = worker();
    kill(before, SIGKILL); /* one that died young is replaced after a while */
    assert_true(server_wait_for_workers(&server, 1, before, 10000));
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* All that one record, or the page it is in, is made of; the process has looked at the page before. */
static void a_flipped_bit_costs_its_record_and_nothing_else(void **state)
{
    (void)state;
    pid_t before = worker();
    unsigned n = 0, other = 5000, refused[WHATS] = {0}, died = server_log_count("worker_died");
    struct test_client *client = connect_as(&server, "demo");
    for (const char *how = "hoc"; *how != 0; how++) {
        for (unsigned round = 0; round < 4; round++) {
            struct subject subject = next_subject(&n, needle_of(*how), *how);
            struct subject bystander = next_subject(&other, needle_of(*how), *how);
            struct spot spot = spot_of_subject(&subject, *how);
            struct spot aside = spot_of_subject(&bystander, *how);
            assert_int_equal(ask(client, &subject), 200);
            for (enum what what = 0; what < WHATS; what++) {
                uint64_t at = place_of(&spot, what);
                flip(at);
                int status = ask(client, &subject);
                assert_true(status == 200 || status == 503);
                refused[what] += status == 503;
                if (spot.page_at != aside.page_at) {
                    assert_int_equal(ask(client, &bystander), 200);
                }
                mend(at);
                assert_int_equal(ask(client, &subject), 200);
            }
        }
    }
    for (enum what what = TAG; what < END; what++) {
        assert_int_equal(refused[what], 12);
    }
    test_client_close(client);
    assert_int_equal(worker(), before);
    assert_int_equal(server_log_count("worker_died"), died);
    assert_true(server_log_has("\"event\":\"lookup_failed\"", 1000));
}

#define HEADERS (ORDINAL + 1)
#define PAGES (3 * HEADERS)

struct case_of_page {
    struct subject subject;
    struct spot spot;
    uint64_t at;
    enum what what;
};

/* One page for each kind of place in a header, in each table. */
static void choose_pages(struct case_of_page cases[PAGES])
{
    static const char hows[] = "hoc";
    unsigned n = 10000;
    for (unsigned i = 0; i < PAGES; i++) {
        struct case_of_page *one = &cases[i];
        bool fresh = false;
        one->what = (enum what)(i % HEADERS);
        while (!fresh) {
            one->subject = next_subject(&n, needle_of(hows[i / HEADERS]), hows[i / HEADERS]);
            one->spot = spot_of_subject(&one->subject, hows[i / HEADERS]);
            fresh = true;
            for (unsigned j = 0; j < i; j++) {
                fresh = fresh && cases[j].spot.page_at != one->spot.page_at &&
                        spot_of(XT_TABLE_HOT, one->subject.id).page_at != cases[j].spot.page_at;
            }
        }
        one->at = place_of(&one->spot, one->what);
    }
}

/* The headers of pages that no lookup of this process has seen. */
static void damaged_pages_cost_their_records_and_nothing_else(void **state)
{
    (void)state;
    static struct case_of_page cases[PAGES];
    static struct subject others[OTHERS];
    bool aside[OTHERS]; /* in none of the pages */
    choose_pages(cases);
    for (unsigned i = 0, line = 0; i < OTHERS; i++) {
        others[i] = next_subject(&line, "\"id\"", 'h');
        aside[i] = true;
        for (unsigned j = 0; j < PAGES; j++) {
            aside[i] =
                aside[i] && spot_of_subject(&others[i], 'h').page_at != cases[j].spot.page_at;
        }
    }
    for (unsigned i = 0; i < PAGES; i++) {
        flip(cases[i].at);
    }
    renew_worker();
    pid_t before = worker();
    struct test_client *client = connect_as(&server, "demo");
    for (unsigned i = 0; i < PAGES; i++) {
        int status = ask(client, &cases[i].subject);
        /* Another count leaves a record that is not the last one where it is. */
        assert_true(status == 503 || (cases[i].what == COUNT && status == 200));
    }
    for (unsigned i = 0; i < OTHERS; i++) {
        int status = ask(client, &others[i]);
        assert_true(status == 200 || (status == 503 && !aside[i]));
    }
    test_client_close(client);
    assert_int_equal(worker(), before);
    for (unsigned i = 0; i < PAGES; i++) {
        mend(cases[i].at);
    }
    /* The same process: what it has noted of a damaged page it forgets with the first refusal. */
    client = connect_as(&server, "demo");
    for (unsigned i = 0; i < PAGES; i++) {
        if (cases[i].what ==
            COUNT) { /* under a wrong count others of the page may have had answers */
            (void)ask(client, &cases[i].subject);
        }
        assert_int_equal(ask(client, &cases[i].subject), 200);
    }
    test_client_close(client);
    assert_int_equal(worker(), before);
}

/* ---- what a lookup cannot be spared ---------------------------------------------------------- */

static int status_of_probe(const char *target)
{
    struct test_client *client = connect_plain(server.admin_port);
    struct test_response response;
    assert_true(test_client_request(client, "GET", target, NULL, NULL, &response));
    int status = response.status;
    test_response_release(&response);
    test_client_close(client);
    return status;
}

/* Until the service is ready again, within a few of its tries. */
static void wait_until_ready(void)
{
    for (double end = now_s() + 20; status_of_probe("/readyz") != 200; sleep_ms(50)) {
        assert_true(now_s() < end);
    }
}

/* Every client is answered 503 meanwhile: nobody waits in the queue of a process that never comes. */
static void is_served_without_a_register(const struct subject *subject)
{
    struct test_response response;
    for (double end = now_s() + 5; status_of_probe("/readyz") != 503; sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    pid_t before = worker();
    unsigned died = server_log_count("worker_died");
    for (unsigned i = 0; i < 10; i++) {
        struct test_client *client = connect_as(&server, "demo");
        assert_int_equal(verify(client, subject->body, &response), 503);
        assert_non_null(strstr(response.body, "\"code\":\"not_ready\""));
        test_response_release(&response);
        test_client_close(client);
    }
    assert_int_equal(worker(), before);
    assert_int_equal(server_log_count("worker_died"), died);
}

static void a_damaged_tree_is_not_opened_and_not_served(void **state)
{
    (void)state;
    unsigned n = 0;
    struct subject subject = next_subject(&n, "\"id\"", 'h');
    flip(8192 + 3); /* OS page 2: the first tree page behind the two of LMDB's own */
    assert_int_equal(status_of(&server, "demo", subject.body), 200); /* it is open here already */
    renew_worker();
    is_served_without_a_register(&subject);
    /* A setting that only a new process can have: that one could not open it either, and is not waited
     * for in vain. */
    pid_t before = worker();
    unsigned died = server_log_count("worker_died");
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    size_t room = strlen(conf) + 64;
    char *changed = malloc(room);
    assert_non_null(changed);
    snprintf(changed, room, "%s\nheader_bytes = 9000\n", conf);
    write_text(deployment("DIR/xacthuc.conf"), changed);
    free(changed);
    free(conf);
    kill(server.pid, SIGHUP);
    assert_true(server_wait_for_workers(&server, 1, before, 10000));
    is_served_without_a_register(&subject);
    assert_int_equal(server_log_count("worker_died"), died);
    mend(8192 + 3);
    wait_until_ready();
    assert_int_equal(status_of(&server, "demo", subject.body), 200);
}

/* Reading behind the end of a mapped file kills the process that does (SIGBUS). */
static void a_file_cut_off_stops_answers_and_not_the_service(void **state)
{
    (void)state;
    unsigned n = 0, died = server_log_count("worker_died");
    struct subject subject = next_subject(&n, "\"id\"", 'h');
    assert_int_equal(status_of(&server, "demo", subject.body), 200);
    assert_int_equal(ftruncate(fd, 4096), 0);
    pid_t before = worker();
    struct test_client *client = connect_as(&server, "demo");
    struct test_response response;
    assert_false(test_client_request(client, "POST", "/v1/verify",
                                     "Content-Type: application/json\r\n", subject.body,
                                     &response));
    test_client_close(client);
    assert_true(server_wait_for_workers(&server, 1, before, 10000));
    assert_int_equal(server_log_count("worker_died"), died + 1);
    is_served_without_a_register(&subject);
    assert_int_equal(pwrite(fd, content, size, 0), (ssize_t)size);
    wait_until_ready();
    assert_int_equal(status_of(&server, "demo", subject.body), 200);
}

/* ---- a copy in its place --------------------------------------------------------------------- */

static void write_all(const char *path, const uint8_t *data, size_t count)
{
    int copy = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    assert_true(copy >= 0);
    assert_int_equal(write(copy, data, count), (ssize_t)count);
    close(copy);
}

/* Another folder under generation 2's number: `bytes` of the sound file, and `flipped` (0: nothing). The
 * way that README tells. */
static void put_in_its_place(const char *kept, size_t bytes, uint64_t flipped)
{
    struct xt_failure failure;
    uint8_t *manifest, *data = malloc(size);
    size_t manifest_size;
    assert_non_null(data);
    memcpy(data, content, size);
    data[flipped] ^= flipped != 0 ? 0x20 : 0;
    assert_int_equal(xt_file_read(deployment("DIR/identity/000002/manifest"), 1U << 24, &manifest,
                                  &manifest_size, &failure),
                     XT_OK);
    assert_int_equal(mkdir(deployment("DIR/identity/restored"), 0700), 0);
    write_all(deployment("DIR/identity/restored/data.mdb"), data, bytes);
    write_all(deployment("DIR/identity/restored/manifest"), manifest, manifest_size);
    xt_file_release(manifest, manifest_size);
    free(data);
    assert_int_equal(rename(deployment("DIR/identity/000002"), deployment(kept)), 0);
    assert_int_equal(rename(deployment("DIR/identity/restored"), deployment("DIR/identity/000002")),
                     0);
}

static void wait_for_status(const struct subject *subject, int wanted)
{
    for (double end = now_s() + 20; status_of(&server, "demo", subject->body) != wanted;
         sleep_ms(20)) {
        assert_true(now_s() < end);
    }
}

/* Where nothing tells of it (a file system without inotify), SIGHUP does. */
static void a_folder_put_back_from_a_copy_is_opened(void **state)
{
    (void)state;
    unsigned n = 0;
    struct subject subject = next_subject(&n, "\"id\"", 'h');
    struct spot spot = spot_of_subject(&subject, 'h');
    uint64_t at = place_of(&spot, FIRST_BYTE);
    unsigned told = server_log_count("\"event\":\"generation_exchanged\"");
    assert_int_equal(status_of(&server, "demo", subject.body), 200);
    put_in_its_place("DIR/identity/kept-1", size, at); /* noticed without being told */
    wait_for_status(&subject, 503);
    assert_int_equal(server_log_count("\"event\":\"generation_exchanged\""), told + 1);
    put_in_its_place("DIR/identity/kept-2", size, 0);
    kill(server.pid, SIGHUP);
    wait_for_status(&subject, 200);
    assert_int_equal(server_log_count("\"event\":\"generation_exchanged\""), told + 2);
    /* The same file is not another one. */
    assert_true(server_log_has("\"event\":\"reloaded\"", 10000));
    sleep_ms(500);
    pid_t before = worker();
    unsigned reloads = server_log_count("\"event\":\"reloaded\"");
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 10; server_log_count("\"event\":\"reloaded\"") == reloads;
         sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_int_equal(worker(), before);
    assert_int_equal(server_log_count("\"event\":\"generation_exchanged\""), told + 2);
}

static void a_bad_copy_changes_nothing(void **state)
{
    (void)state;
    unsigned n = 0;
    struct subject subject = next_subject(&n, "\"id\"", 'h');
    pid_t before = worker();
    unsigned refused = server_log_count("\"event\":\"generation_refused\"");
    put_in_its_place("DIR/identity/kept-3", size - 4096, 0);
    kill(server.pid, SIGHUP);
    for (double end = now_s() + 10; server_log_count("\"event\":\"generation_refused\"") == refused;
         sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_int_equal(status_of(&server, "demo", subject.body), 200);
    assert_int_equal(worker(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_costs_its_record_and_nothing_else),
        cmocka_unit_test(damaged_pages_cost_their_records_and_nothing_else),
        cmocka_unit_test(a_damaged_tree_is_not_opened_and_not_served),
        cmocka_unit_test(a_file_cut_off_stops_answers_and_not_the_service),
        cmocka_unit_test(a_folder_put_back_from_a_copy_is_opened),
        cmocka_unit_test(a_bad_copy_changes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
