/* Session tickets that every worker resumes. The time is passed in; the library's own clock is this
 * file's gettimeofday. */
#include <sys/time.h>

#include "crypto/keyring.h"
#include "crypto/tickets.h"
#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define PERIOD XT_TICKET_PERIOD_SECONDS
#define T0 ((int64_t)1800000000) /* a multiple of PERIOD */
#define NAME 16

static struct link link_;
static struct xt_failure failure;
static int64_t library_ahead; /* seconds */

/* Instead of libc's, for BoringSSL. */
int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec real;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &real);
    now->tv_sec = (time_t)((int64_t)real.tv_sec + library_ahead);
    now->tv_usec = real.tv_nsec / 1000;
    return 0;
}

static struct xt_tickets *tickets_of(const struct xt_ticket_seed *seed, int64_t unix_s)
{
    struct xt_tickets *tickets;
    assert_int_equal(xt_tickets_open(seed, unix_s, &tickets), XT_OK);
    return tickets;
}

static const char session[] = "a session's secrets";
#define TICKET (sizeof(session) + XT_TICKET_OVERHEAD)

static void seal(const struct xt_tickets *tickets, uint8_t ticket[TICKET])
{
    xt_ticket_seal(tickets, xt_span_of(session, sizeof(session)), ticket);
    assert_null(memmem(ticket, TICKET, "secrets", 7));
}

static bool opens(const struct xt_tickets *tickets, const uint8_t *ticket)
{
    uint8_t got[TICKET];
    size_t size = 0;
    memset(got, 0, sizeof(got));
    enum xt_status status = xt_ticket_open(tickets, xt_span_of(ticket, TICKET), got, &size);
    if (status != XT_OK) {
        assert_int_equal(status, XT_NOT_FOUND);
        assert_null(memmem(got, sizeof(got), "secrets", 7));
        return false;
    }
    assert_int_equal(size, sizeof(session));
    assert_memory_equal(got, session, size);
    return true;
}

static void workers_with_one_seed_open_each_others_tickets(void **state)
{
    (void)state;
    struct xt_ticket_seed seed, other_seed;
    uint8_t ticket[TICKET], again[TICKET];
    xt_ticket_seed_make(&seed, T0);
    xt_ticket_seed_make(&other_seed, T0);
    struct xt_tickets *first = tickets_of(&seed, T0 + 100);
    struct xt_tickets *second = tickets_of(&seed, T0 + 100);
    struct xt_tickets *stranger = tickets_of(&other_seed, T0 + 100);
    seal(first, ticket);
    seal(first, again);
    assert_memory_equal(ticket, again, NAME);
    assert_memory_not_equal(ticket + NAME, again + NAME, 12); /* the nonce */
    assert_true(opens(first, ticket));
    assert_true(opens(second, ticket));
    assert_false(opens(stranger, ticket));
    xt_tickets_close(first);
    xt_tickets_close(second);
    xt_tickets_close(stranger);
    xt_tickets_close(NULL);
}

static void a_key_seals_a_minute_after_its_period_began_and_for_one_period(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    uint8_t before[TICKET], ticket[TICKET];
    xt_ticket_seed_make(&seed, T0);
    struct xt_tickets *tickets = tickets_of(&seed, T0 - 1);
    seal(tickets, before);
    for (int64_t at = 0; at < 60; at++) {
        xt_tickets_turn(tickets, T0 + at);
        seal(tickets, ticket);
        assert_memory_equal(ticket, before, NAME);
    }
    xt_tickets_turn(tickets, T0 + 60);
    seal(tickets, ticket);
    assert_memory_not_equal(ticket, before, NAME);
    memcpy(before, ticket, TICKET);
    xt_tickets_turn(tickets, T0 + PERIOD + 59);
    seal(tickets, ticket);
    assert_memory_equal(ticket, before, NAME);
    xt_tickets_turn(tickets, T0 + PERIOD + 60);
    seal(tickets, ticket);
    assert_memory_not_equal(ticket, before, NAME);
    xt_tickets_close(tickets);
}

/* A worker that turns later than the one that sealed has the key nevertheless. */
static void a_worker_whose_clock_is_behind_opens_a_new_keys_first_ticket(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    uint8_t ticket[TICKET];
    xt_ticket_seed_make(&seed, T0);
    struct xt_tickets *early = tickets_of(&seed, T0 + 60);
    struct xt_tickets *late = tickets_of(&seed, T0 - 500);
    xt_tickets_turn(late, T0 + 59);
    seal(early, ticket);
    assert_true(opens(late, ticket));
    xt_tickets_close(early);
    xt_tickets_close(late);
}

static void a_ticket_is_good_for_an_hour_and_not_longer(void **state)
{
    (void)state;
    static const int64_t made[] = {0, 1, 59, 60, 61, 450, 898, 899};
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        struct xt_ticket_seed seed;
        uint8_t ticket[TICKET];
        int64_t at = T0 + made[i];
        xt_ticket_seed_make(&seed, at);
        struct xt_tickets *stays = tickets_of(&seed, at);
        seal(stays, ticket);
        for (int64_t later = 1; later < 3600; later++) {
            xt_tickets_turn(stays, at + later);
            if (later % 97 == 0 || later > 3590) {
                assert_true(opens(stays, ticket));
            }
        }
        struct xt_tickets *leaps = tickets_of(&seed, at);
        xt_tickets_turn(leaps, at + 3599);
        assert_true(opens(leaps, ticket));
        for (int64_t later = 3600; later < 3600 + 2 * PERIOD; later += 13) {
            xt_tickets_turn(stays, at + later);
            xt_tickets_turn(leaps, at + later);
            assert_false(opens(stays, ticket));
            assert_false(opens(leaps, ticket));
        }
        xt_tickets_close(stays);
        xt_tickets_close(leaps);
    }
}

static void a_worker_started_later_with_the_advanced_seed_opens_what_is_still_good(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    xt_ticket_seed_make(&seed, T0);
    struct xt_tickets *old = tickets_of(&seed, T0);
    struct {
        int64_t made;
        uint8_t ticket[TICKET];
    } all[400];
    unsigned count = 0;
    for (int64_t now = T0; now < T0 + 400 * 60; now += 60) { /* the supervisor's minutes */
        xt_tickets_turn(old, now);
        all[count].made = now;
        seal(old, all[count++].ticket);
        xt_ticket_seed_advance(&seed, now);
        struct xt_tickets *fresh = tickets_of(&seed, now);
        for (unsigned i = count > 100 ? count - 100 : 0; i < count; i += i + 3 < count ? 3 : 1) {
            assert_int_equal(opens(fresh, all[i].ticket), now - all[i].made < 3600);
        }
        uint8_t ticket[TICKET];
        seal(fresh, ticket);
        assert_true(opens(old, ticket));
        xt_tickets_close(fresh);
    }
    xt_tickets_close(old);
}

static void an_advanced_seed_has_forgotten_the_keys_before_it(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    uint8_t ticket[TICKET];
    xt_ticket_seed_make(&seed, T0);
    struct xt_ticket_seed kept = seed;
    struct xt_tickets *tickets = tickets_of(&seed, T0 + 100);
    seal(tickets, ticket);
    xt_tickets_close(tickets);
    xt_ticket_seed_advance(&seed, T0 + 100 + 3600 + 2 * PERIOD);
    assert_true(seed.period > kept.period);
    assert_memory_not_equal(seed.secret, kept.secret, 32);
    tickets = tickets_of(&seed, T0 + 200); /* even for a clock that was put back */
    assert_false(opens(tickets, ticket));
    xt_tickets_close(tickets);
    tickets = tickets_of(&kept, T0 + 200);
    assert_true(opens(tickets, ticket));
    xt_tickets_close(tickets);
    uint64_t period = seed.period;
    xt_ticket_seed_advance(&seed, T0); /* never back */
    assert_int_equal(seed.period, period);
}

static void a_changed_ticket_is_no_ticket(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    uint8_t ticket[TICKET], got[TICKET];
    size_t size;
    xt_ticket_seed_make(&seed, T0);
    struct xt_tickets *tickets = tickets_of(&seed, T0 + 100);
    seal(tickets, ticket);
    for (size_t bit = 0; bit < 8 * TICKET; bit++) {
        ticket[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(opens(tickets, ticket));
        ticket[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t cut = 0; cut < TICKET; cut++) {
        assert_int_equal(xt_ticket_open(tickets, xt_span_of(ticket, cut), got, &size),
                         XT_NOT_FOUND);
    }
    assert_true(opens(tickets, ticket));
    /* In place, as the library may ask for it. */
    assert_int_equal(xt_ticket_open(tickets, xt_span_of(ticket, TICKET), ticket, &size), XT_OK);
    assert_memory_equal(ticket, session, sizeof(session));
    xt_tickets_close(tickets);
}

static void a_clock_that_jumps_costs_full_handshakes_and_nothing_else(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    uint8_t ticket[TICKET], early[TICKET];
    xt_ticket_seed_make(&seed, T0);
    struct xt_tickets *tickets = tickets_of(&seed, T0 + 100);
    seal(tickets, early);
    static const int64_t clocks[] = {T0 - 7200, T0 - 86400,   0, -1, INT64_MIN,
                                     T0 + 5,    INT64_MAX / 2};
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        xt_tickets_turn(tickets, clocks[i]);
        seal(tickets, ticket);
        (void)opens(tickets, ticket);
        (void)opens(tickets, early);
    }
    /* Ten years on: followed in several turns, then as before. */
    xt_tickets_close(tickets);
    tickets = tickets_of(&seed, T0);
    int64_t later = T0 + (int64_t)10 * 366 * 86400;
    for (int i = 0; i < 8; i++) {
        xt_tickets_turn(tickets, later + i);
        xt_ticket_seed_advance(&seed, later + i);
    }
    struct xt_tickets *other = tickets_of(&seed, later + 8);
    seal(tickets, ticket);
    assert_true(opens(tickets, ticket));
    assert_true(opens(other, ticket));
    assert_false(opens(tickets, early));
    xt_tickets_close(other);
    xt_tickets_close(tickets);
}

/* ---- with TLS ---- */

static struct xt_tls_context *worker(struct xt_tickets *tickets, bool tls12)
{
    struct xt_tls_context *context;
    struct xt_tls_server_files files = {.certificate = scratch("server.crt"),
                                        .key = scratch("server.key"),
                                        .client_authority = scratch("ca.crt")};
    struct xt_tls_server_material material = {.tickets = tickets, .allow_tls12 = tls12};
    assert_int_equal(link_server_of(&files, &material, &context, &failure), XT_OK);
    return context;
}

/* One connection with an answer, so that the client has a new ticket; was it resumed? */
static bool connect_once(struct xt_tls_context *client, struct xt_tls_context *server)
{
    size_t taken;
    uint8_t spki[32], expected[32];
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_int_equal(link_.server.handshake, XT_OK);
    assert_int_equal(xt_tls_peer_spki(link_.server.tls, spki), XT_OK);
    assert_int_equal(xt_certificate_spki(scratch("client.crt"), expected, &failure), XT_OK);
    assert_memory_equal(spki, expected, 32);
    assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of("x", 1), &taken), XT_OK);
    link_pump(&link_, 4096);
    assert_int_equal(link_.client.size, 1);
    bool resumed = xt_tls_resumed(link_.server.tls);
    assert_int_equal(resumed, xt_tls_resumed(link_.client.tls));
    link_close(&link_);
    return resumed;
}

static void sessions_move_between_workers_and_over_reloads(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    int64_t now = T0 + 500;
    xt_ticket_seed_make(&seed, now);
    struct xt_tickets *first = tickets_of(&seed, now);
    struct xt_tickets *second = tickets_of(&seed, now);
    struct xt_tls_context *one = worker(first, false), *two = worker(second, false);
    struct xt_tls_context *client = link_client("client", true);
    assert_false(connect_once(client, one));
    assert_true(connect_once(client, two));
    assert_true(connect_once(client, one));
    for (int i = 0; i < 5; i++) { /* into the next periods: an older key opens, a new one seals */
        now += PERIOD;
        xt_tickets_turn(first, now);
        assert_true(connect_once(client, one));
        xt_tickets_turn(second, now);
        assert_true(connect_once(client, two));
    }
    xt_tls_context_close(two); /* a reload */
    two = worker(second, false);
    assert_true(connect_once(client, two));
    xt_ticket_seed_advance(&seed, now); /* a crash: another process with the supervisor's seed */
    xt_tls_context_close(one);
    xt_tickets_close(first);
    first = tickets_of(&seed, now);
    one = worker(first, false);
    assert_true(connect_once(client, one));
    now += 3600;
    xt_tickets_turn(second, now);
    assert_false(connect_once(client, two));
    xt_tls_context_close(one);
    xt_tls_context_close(two);
    xt_tls_context_close(client);
    xt_tickets_close(first);
    xt_tickets_close(second);
}

/* The keys would still open the ticket (their time stands still here): the session itself says no. */
static void an_hour_after_the_full_handshake_the_client_proves_its_key_again(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    xt_ticket_seed_make(&seed, T0 + 500);
    struct xt_tickets *tickets = tickets_of(&seed, T0 + 500);
    struct xt_tls_context *server = worker(tickets, false);
    struct xt_tls_context *client = link_client("client", true);
    library_ahead = 0;
    assert_false(connect_once(client, server));
    for (int i = 0; i < 3; i++) { /* renewed on the way */
        library_ahead += 1100;
        assert_true(connect_once(client, server));
    }
    library_ahead = 3590;
    assert_true(connect_once(client, server));
    library_ahead = 3601;
    assert_false(connect_once(client, server));
    assert_true(connect_once(client, server));
    library_ahead = 0;
    xt_tls_context_close(server);
    xt_tls_context_close(client);
    xt_tickets_close(tickets);
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        link_make_certificates();
    }
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_with_one_seed_open_each_others_tickets),
        cmocka_unit_test(a_key_seals_a_minute_after_its_period_began_and_for_one_period),
        cmocka_unit_test(a_worker_whose_clock_is_behind_opens_a_new_keys_first_ticket),
        cmocka_unit_test(a_ticket_is_good_for_an_hour_and_not_longer),
        cmocka_unit_test(a_worker_started_later_with_the_advanced_seed_opens_what_is_still_good),
        cmocka_unit_test(an_advanced_seed_has_forgotten_the_keys_before_it),
        cmocka_unit_test(a_changed_ticket_is_no_ticket),
        cmocka_unit_test(a_clock_that_jumps_costs_full_handshakes_and_nothing_else),
        cmocka_unit_test(sessions_move_between_workers_and_over_reloads),
        cmocka_unit_test(an_hour_after_the_full_handshake_the_client_proves_its_key_again),
    };
    return cmocka_run_group_tests_name("crypto/tickets", tests, set_up, scratch_remove);
}
