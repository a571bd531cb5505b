/* The warm-up: what is cold when the server starts is in memory a while later, and the server serves
 * meanwhile. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/command_line.h"
#include "store/generation_internal.h"
#include "tests/net/deployment.h"
#include "tests/net/prometheus.h"
#include "tests/test.h"

static const char *data_of(unsigned generation)
{
    char name[64];
    snprintf(name, sizeof(name), "DIR/identity/%06u/data.mdb", generation);
    return deployment(name);
}

/* Takes a file out of the page cache; a file system that lives there keeps it. */
static void make_cold(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

/* The share of a table's OS pages that is in memory. */
static double share_in_memory(unsigned number, unsigned table)
{
    struct xt_failure failure;
    struct xt_keyring *keyring;
    struct xt_generation *generation;
    unsigned all = 0, there = 0;
    unsigned char resident[1024];
    uintptr_t os_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(xt_deployment_keyring(deployment("DIR"), &keyring, &failure), XT_OK);
    assert_int_equal(xt_generation_open(deployment("DIR"), number, keyring, &generation, &failure),
                     XT_OK);
    const struct xt_span *pages = xt_table_file_pages(generation->file, table);
    for (uint32_t i = 0; i < generation->manifest.tables[table].pages; i++) {
        uintptr_t begin = (uintptr_t)pages[i].data & ~(os_page - 1);
        size_t size = (uintptr_t)pages[i].data + pages[i].size - begin;
        void *place;
        memcpy(&place, &begin, sizeof(place));
        assert_true(size < sizeof(resident) * os_page);
        assert_int_equal(mincore(place, size, resident), 0);
        for (size_t j = 0; j < (size + os_page - 1) / os_page; j++, all++) {
            there += resident[j] & 1;
        }
    }
    xt_generation_close(generation);
    xt_keyring_close(keyring);
    return (double)there / all;
}

static struct scrape metrics(const struct server *server)
{
    struct test_client *client = connect_plain(server->admin_port);
    struct test_response response;
    struct scrape scrape;
    assert_true(test_client_request(client, "GET", "/metrics", NULL, NULL, &response));
    scrape_read(&scrape, response.body);
    test_response_release(&response);
    test_client_close(client);
    return scrape;
}

/* Waits until the metrics say that all was read; gives how many bytes. */
static double wait_until_warm(const struct server *server)
{
    for (double end = now_s() + 20;; sleep_ms(20)) {
        struct scrape scrape = metrics(server);
        double done = value_of(&scrape, "xacthuc_warm_up_bytes");
        double wanted = value_of(&scrape, "xacthuc_warm_up_wanted_bytes");
        scrape_free(&scrape);
        assert_true(done <= wanted);
        assert_true(now_s() < end);
        if (done == wanted && wanted > 0) {
            return wanted;
        }
    }
}

/* Bytes of the register's file that a process has mapped. */
static double mapped_by(pid_t pid)
{
    char line[1024];
    bool wanted = false;
    unsigned long begin, end, value, kib = 0;
    snprintf(line, sizeof(line), "/proc/%d/smaps", (int)pid);
    FILE *smaps = fopen(line, "re");
    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        if (sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
            wanted = strstr(line, "data.mdb") != NULL;
        } else if (wanted && sscanf(line, "Rss: %lu kB", &value) == 1) {
            kib += value;
        }
    }
    fclose(smaps);
    return (double)kib * 1024;
}

/* No client has asked anything: each worker has what was read in its own map. */
static void wait_until_mapped(const struct server *server, double bytes)
{
    pid_t workers[8];
    unsigned count = server_workers(server, workers, 8);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++) {
        for (double end = now_s() + 20; mapped_by(workers[i]) < bytes; sleep_ms(20)) {
            assert_true(now_s() < end);
        }
    }
}

static void cold_pages_are_in_memory_a_while_after_the_start(void **state)
{
    (void)state;
    struct server server;
    make_cold(data_of(1));
    double before = share_in_memory(1, XT_TABLE_HOT);
    server_start(&server, NULL); /* and it listens: it did not wait for this */
    double warm = wait_until_warm(&server);
    assert_true(warm > 1e6);
    assert_true(server_log_has("\"event\":\"warmed_up\"", 5000));
    assert_true(share_in_memory(1, XT_TABLE_HOT) == 1);
    assert_true(share_in_memory(1, XT_TABLE_ALIAS) == 1);
    assert_true(share_in_memory(1, XT_TABLE_COLD) == 1);
    wait_until_mapped(&server, warm);
    assert_int_equal(server_stop(&server), 0);
    if (before == 1) {
        print_message("this file system cannot be made cold: the half of it is not tested\n");
    }
}

static void another_generation_is_warmed_up_as_well(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    (void)wait_until_warm(&server);
    unsigned told = server_log_count("\"event\":\"warmed_up\"");
    assert_int_equal(run(xacthuc(), "import", deployment("DIR"), deployment("people.ndjson"), NULL),
                     0);
    for (double end = now_s() + 20; server_log_count("\"event\":\"warmed_up\"") == told;
         sleep_ms(20)) {
        assert_true(now_s() < end);
    }
    assert_true(server_log_has("\"event\":\"warmed_up\",\"generation\":2,", 5000));
    assert_true(share_in_memory(2, XT_TABLE_HOT) == 1);
    assert_int_equal(server_stop(&server), 0);
}

/* Another value of a setting for a server that runs. */
static void set_number(const struct server *server, const char *key, unsigned from, unsigned to)
{
    char before[64], after[64];
    char *conf = read_text(deployment("DIR/xacthuc.conf"));
    unsigned told = server_log_count("\"event\":\"reloaded\"");
    snprintf(before, sizeof(before), "%s = %u\n", key, from);
    snprintf(after, sizeof(after), "%s = %u\n", key, to);
    char *place = strstr(conf, before);
    assert_non_null(place);
    size_t size = strlen(conf) + sizeof(after);
    char *changed = malloc(size);
    assert_non_null(changed);
    snprintf(changed, size, "%.*s%s%s", (int)(place - conf), conf, after, place + strlen(before));
    write_text(deployment("DIR/xacthuc.conf"), changed);
    free(changed);
    free(conf);
    assert_int_equal(kill(server->pid, SIGHUP), 0);
    for (double end = now_s() + 20; server_log_count("\"event\":\"reloaded\"") == told;
         sleep_ms(20)) {
        assert_true(now_s() < end);
    }
}

/* More than any machine has is to be left. */
static void the_rest_is_left_out_where_memory_is_short(void **state)
{
    (void)state;
    struct server server;
    make_cold(data_of(2));
    unsigned told = server_log_count("\"event\":\"warm_up_hot_only\"");
    server_start(&server, "[server]\nwarm_up_reserve = 16777216\n");
    double hot = wait_until_warm(&server);
    assert_true(server_log_has("\"event\":\"warm_up_hot_only\",\"generation\":2,\"bytes\":", 5000));
    assert_int_equal(server_log_count("\"event\":\"warm_up_hot_only\""), told + 1);
    assert_true(share_in_memory(2, XT_TABLE_HOT) == 1);
    assert_true(share_in_memory(2, XT_TABLE_ALIAS) == 1);
    set_number(&server, "warm_up_reserve", 16777216, 0); /* then it is read as well */
    double all = hot;
    for (double end = now_s() + 20; all == hot; sleep_ms(20)) {
        all = wait_until_warm(&server);
        assert_true(now_s() < end);
    }
    assert_true(all > hot);
    assert_true(share_in_memory(2, XT_TABLE_COLD) == 1);
    wait_until_mapped(&server, all);
    assert_int_equal(server_log_count("\"event\":\"warm_up_hot_only\""), told + 1);
    assert_int_equal(server_stop(&server), 0);
}

static void none_is_wanted_where_the_rate_is_0(void **state)
{
    (void)state;
    struct server server;
    make_cold(data_of(2));
    bool can_be_cold = share_in_memory(2, XT_TABLE_HOT) < 1;
    unsigned told = server_log_count("warmed_up");
    server_start(&server, "[server]\nwarm_up_rate = 0\n");
    struct scrape scrape = metrics(&server);
    assert_true(value_of(&scrape, "xacthuc_warm_up_wanted_bytes") == 0);
    scrape_free(&scrape);
    sleep_ms(1500);
    assert_true(!can_be_cold || share_in_memory(2, XT_TABLE_HOT) < 1);
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("warmed_up"), told);
}

/* One that has far to go does not hold up the end of the service, nor a reload. */
static void it_ends_with_the_service(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "[server]\nwarm_up_rate = 1\n"); /* 100 KiB a slice: some 2 s in all */
    for (double end = now_s() + 10, done = 0; done == 0; sleep_ms(20)) {
        struct scrape scrape = metrics(&server);
        done = value_of(&scrape, "xacthuc_warm_up_bytes");
        assert_true(done < value_of(&scrape, "xacthuc_warm_up_wanted_bytes"));
        scrape_free(&scrape);
        assert_true(now_s() < end);
    }
    unsigned told = server_log_count("warmed_up");
    assert_int_equal(server_stop(&server), 0);
    assert_int_equal(server_log_count("warmed_up"), told);
}

static void the_rate_is_0_and_others_while_it_serves(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, "[server]\nwarm_up_rate = 1\n");
    for (double end = now_s() + 10, done = 0; done == 0; sleep_ms(20)) {
        struct scrape scrape = metrics(&server);
        done = value_of(&scrape, "xacthuc_warm_up_bytes");
        scrape_free(&scrape);
        assert_true(now_s() < end);
    }
    unsigned told = server_log_count("\"event\":\"warmed_up\"");
    set_number(&server, "warm_up_rate", 1, 0); /* midway */
    for (double end = now_s() + 10, left = 1; left != 0; sleep_ms(20)) {
        struct scrape scrape = metrics(&server);
        left = value_of(&scrape, "xacthuc_warm_up_bytes") +
               value_of(&scrape, "xacthuc_warm_up_wanted_bytes");
        scrape_free(&scrape);
        assert_true(now_s() < end);
    }
    assert_int_equal(server_log_count("\"event\":\"warmed_up\""), told);
    set_number(&server, "warm_up_rate", 0, 100);
    assert_true(wait_until_warm(&server) > 1e6);
    set_number(&server, "warm_up_rate", 100, 0); /* after its end */
    struct scrape scrape = metrics(&server);
    assert_true(value_of(&scrape, "xacthuc_warm_up_bytes") == 0);
    assert_true(value_of(&scrape, "xacthuc_warm_up_wanted_bytes") == 0);
    scrape_free(&scrape);
    set_number(&server, "warm_up_rate", 0, 200);
    assert_true(wait_until_warm(&server) > 1e6);
    assert_int_equal(server_stop(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cold_pages_are_in_memory_a_while_after_the_start),
        cmocka_unit_test(another_generation_is_warmed_up_as_well),
        cmocka_unit_test(the_rest_is_left_out_where_memory_is_short),
        cmocka_unit_test(none_is_wanted_where_the_rate_is_0),
        cmocka_unit_test(the_rate_is_0_and_others_while_it_serves),
        cmocka_unit_test(it_ends_with_the_service),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
