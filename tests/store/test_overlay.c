/* The overlay against a model: after any events, any crash, whatever is asked of the register is what the
 * model says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/little_endian.h"
#include "store/builder.h"
#include "store/identity.h"
#include "tests/core/mutate.h"
#include "tests/store/world.h"

/* Of LMDB, whose header stays in store/: to make a store as older programs did. */
int mdb_txn_begin(struct MDB_env *env, struct MDB_txn *parent, unsigned flags,
                  struct MDB_txn **txn);
int mdb_txn_commit(struct MDB_txn *txn);
int mdb_drop(struct MDB_txn *txn, unsigned table, int whole);

static struct xt_failure failure;

/* ---- tests -------------------------------------------------------------------------------------- */

#define GROUPS 400

static void whatever_happens_the_register_is_what_the_model_says(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned applied[XT_REGISTRY_END] = {0};
    unsigned next = 0;
    uint64_t random = 5;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    check_all(&as);
    for (unsigned group = 0; group < GROUPS; group++) {
        unsigned count = 1 + (unsigned)(next_random(&random) % GROUP_MAX);
        order_group(next, count);
        assert_true(hear(&answer) >= model.sequence);
        follow_group(next, count, &answer);
        for (unsigned i = 0; i < count; i++) {
            static struct xt_registry_event event;
            static uint8_t body[XT_EVENT_BODY_MAX];
            struct xt_event encoded;
            draw_event(next + i, &event, &encoded, body);
            applied[event.type] += answer.outcomes[i].status == XT_OK;
        }
        next += count;
        assert_int_equal(xt_live_refresh(as.live, group + 1, 0), XT_OK);
        if (group % 10 == 9) {
            check_all(&as);
        }
        for (unsigned i = 0; i < 5; i++) {
            check_number(&as, (unsigned)(next_random(&random) % (NUMBERS + OLDS)));
        }
    }
    for (unsigned type = XT_REGISTRY_FIRST; type < XT_REGISTRY_END; type++) {
        if (applied[type] < 3) {
            fail_msg("%s was applied %u times: the test is not one",
                     xt_registry_type_name((enum xt_registry_type)type), applied[type]);
        }
    }
    stop_writer(0);
    assert_true(start_writer() == model.sequence); /* and after a restart */
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

#define KILLS 150

/* Sent again after a crash, what had been applied is a duplicate, and the rest is applied. */
static void a_killed_writer_leaves_groups_whole_or_not_at_all(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    unsigned lost = 0;
    unsigned kept = 0;
    uint64_t random = 99;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    for (unsigned kill_at = 0; kill_at < KILLS; kill_at++) {
        unsigned count = 1 + (unsigned)(next_random(&random) % GROUP_MAX);
        order_group(next, count);
        if (kill_at % 5 == 4) { /* committed for certain */
            (void)hear(&answer);
        } else if (kill_at % 3 != 0) {
            usleep((useconds_t)(next_random(&random) % 2500));
        }
        stop_writer(SIGKILL);
        saved = model;
        uint64_t sequence = start_writer();
        follow_group(next, count, NULL);
        if (sequence != model.sequence) {
            assert_true(sequence == saved.sequence); /* not a part of it */
            model = saved;
            order_group(next, count);
            (void)hear(&answer);
            follow_group(next, count, &answer);
            lost++;
        } else {
            kept += sequence != saved.sequence;
            for (unsigned i = 0; i < count; i++) { /* those that were applied are so still, once */
                if (followed[i]) {
                    order_group(next + i, 1);
                    assert_true(hear(&answer) == sequence);
                    assert_int_equal(answer.outcomes[0].status, XT_OK);
                    assert_true(answer.outcomes[0].duplicate);
                }
            }
        }
        next += count;
        assert_int_equal(xt_live_refresh(as.live, kill_at + 1, 0), XT_OK);
        if (kill_at % 10 == 9) {
            check_all(&as);
        }
    }
    if (lost < KILLS / 10 || kept < KILLS / 10) {
        fail_msg("%u groups were lost and %u kept: they were not killed in between", lost, kept);
    }
    close_register(&as);
    stop_writer(0);
}

/* What the log has forgotten it cannot tell a reader any more. */
static void a_reader_that_lags_behind_the_log_reads_all_keys_again(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    window_events = XT_LIVE_WINDOW_LEAST;
    assert_true(start_writer() == 0);
    struct xt_register as = open_register();
    for (; model.sequence <= XT_LIVE_WINDOW_LEAST + GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
        if (model.sequence < 10) { /* from here on it sleeps */
            assert_int_equal(xt_live_refresh(as.live, next + 1, 0), XT_OK);
            xt_live_rest(as.live);
        }
    }
    assert_true(as.live->filtered < 10);
    assert_int_equal(xt_live_refresh(as.live, next + 1, 0), XT_OK);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
    window_events = XT_LIVE_WINDOW_EVENTS;
}

/* A store of before there were overlays gets its tables from the writer; a reader that was there first
 * sees them then. */
static void an_older_store_is_given_an_overlay(void **state)
{
    (void)state;
    static struct answer answer;
    assert_true(start_writer() == 0);
    stop_writer(0);
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct xt_live *live = NULL;
        struct MDB_txn *txn = NULL;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        assert_int_equal(mdb_txn_begin(live->env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_drop(txn, live->tables[XT_LIVE_PEOPLE], 1), 0);
        assert_int_equal(mdb_drop(txn, live->tables[XT_LIVE_TOUCHED], 1), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct xt_register as = open_register();
    assert_false(as.live->has_overlay);
    check_all(&as);
    assert_true(start_writer() == 0);
    order_group(0, GROUP_MAX);
    (void)hear(&answer);
    follow_group(0, GROUP_MAX, &answer);
    assert_true(model.sequence > 0);
    assert_int_equal(xt_live_refresh(as.live, 1, 0), XT_OK);
    assert_true(as.live->has_overlay);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

/* Numbers and names, as digits, as integers or as letters, stand nowhere in the file. */
static void nobody_is_in_the_file_in_the_clear(void **state)
{
    (void)state;
    static struct answer answer;
    static uint8_t text[1 << 20];
    assert_true(start_writer() == 0);
    for (unsigned next = 0; next < 40 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
    }
    stop_writer(0);
    FILE *file = fopen(deployment_path("live/live.mdb"), "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_true(size > 100000);
    for (unsigned slot = 0; slot < NUMBERS; slot++) {
        uint8_t bytes[5];
        char digits[XT_NUMBER_DIGITS];
        struct xt_writer over = xt_writer_over(bytes, sizeof(bytes));
        xt_put(&over, number_of(slot), sizeof(bytes));
        xt_number_format(number_of(slot), digits);
        assert_null(memmem(text, size, bytes, sizeof(bytes)));
        assert_null(memmem(text, size, digits, sizeof(digits)));
    }
    assert_null(memmem(text, size, "Huế", strlen("Huế")));
    assert_null(memmem(text, size, "NGUY", 4));
}

/* ---- new master keys ------------------------------------------------------------------------------ */

/* Gives the id that is current from now on, here too. */
static uint32_t rotate_keys(void)
{
    uint32_t id = 0;
    assert_int_equal(xt_keyring_add(deployment_path("keys/master.keys"), &id, &failure), XT_OK);
    xt_keyring_take(deployment_keyring(), read_keys());
    assert_int_equal(xt_keyring_current(deployment_keyring()), id);
    return id;
}

static int retire(uint32_t id)
{
    char text[16];
    snprintf(text, sizeof(text), "%08x", id);
    return run("keys", "retire", "DIR", "master", text, NULL);
}

/* Whoever reads meanwhile goes on with the filter that he has: the keys in it are the same. */
static void a_new_master_key_seals_the_overlay_anew_and_the_old_one_can_go(void **state)
{
    (void)state;
    static struct answer answer;
    unsigned next = 0;
    uint32_t old = xt_keyring_current(deployment_keyring());
    assert_true(start_writer() == 0);
    for (; next < 60 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    assert_int_equal(answer.key_id, old);
    struct xt_register as = open_register();
    check_all(&as);
    uint64_t keys = as.live->filter.count;
    uint32_t current = rotate_keys();
    assert_int_equal(retire(old), 1); /* the overlay needs it */
    order_group(0, 0);
    assert_true(hear(&answer) == model.sequence);
    assert_int_equal(answer.key_id, current);
    check_all(&as); /* as it was before */
    assert_int_equal(xt_live_key_id(as.live), old);
    assert_int_equal(xt_live_refresh(as.live, 1, 0), XT_OK);
    assert_int_equal(xt_live_key_id(as.live), current);
    check_all(&as);
    for (; next < 90 * GROUP_MAX; next += GROUP_MAX) { /* nobody is there twice */
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    assert_int_equal(xt_live_refresh(as.live, 2, 0), XT_OK);
    assert_true(as.live->filter.count >= keys);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
    assert_true(start_writer() == model.sequence);
    as = open_register();
    check_all(&as);
    close_register(&as);
    stop_writer(0);

    assert_int_equal(retire(old), 1); /* the generation needs it still */
    build_generation(false);
    assert_int_equal(retire(old), 1);
    xt_identity_remove(deployment(), "000001");
    assert_int_equal(retire(old), 0);
    xt_keyring_take(deployment_keyring(), read_keys());
    assert_false(xt_keyring_has(deployment_keyring(), old));
    assert_true(start_writer() == model.sequence);
    as = open_register();
    check_all(&as);
    order_group(next, GROUP_MAX);
    (void)hear(&answer);
    follow_group(next, GROUP_MAX, &answer);
    assert_int_equal(xt_live_refresh(as.live, 1, 0), XT_OK);
    check_all(&as);
    close_register(&as);
    stop_writer(0);
}

#define ROTATIONS 12
#define ROTATIONS_MOST 100

static void a_writer_killed_while_it_seals_anew_leaves_the_overlay_under_one_key(void **state)
{
    (void)state;
    static struct answer answer;
    uint64_t random = 41;
    unsigned next = 0;
    unsigned before = 0;
    unsigned after = 0;
    assert_true(start_writer() == 0);
    for (; next < 60 * GROUP_MAX; next += GROUP_MAX) {
        order_group(next, GROUP_MAX);
        (void)hear(&answer);
        follow_group(next, GROUP_MAX, &answer);
    }
    for (unsigned i = 0; i < ROTATIONS || (before == 0 && i < ROTATIONS_MOST); i++) {
        uint32_t current = rotate_keys();
        order_group(0, 0);
        if (i % 4 == 3) {
            (void)hear(&answer);
        } else {
            usleep((useconds_t)(next_random(&random) % 4000));
        }
        stop_writer(SIGKILL);
        assert_true(start_writer() == model.sequence);
        struct xt_register as = open_register();
        check_all(&as);
        before += xt_live_key_id(as.live) != current;
        after += xt_live_key_id(as.live) == current;
        close_register(&as);
    }
    assert_true(before > 0 && after > 0);
    stop_writer(0);
}

/* ---- one writer, one event at a time ------------------------------------------------------------- */

static void in_writer(void (*work)(struct xt_live *live))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct xt_live *live = NULL;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        xt_live_set_base(live, open_served());
        work(live);
        _exit(0); /* a failed assertion ends it otherwise */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct xt_live_outcome tell(struct xt_live *live, enum xt_registry_type type, unsigned slot,
                                   uint32_t phone)
{
    static struct xt_registry_event event;
    static unsigned id;
    struct xt_registry_envelope envelope = {.at_ms = 1};
    struct xt_event encoded;
    struct xt_live_outcome outcome;
    uint8_t body[XT_EVENT_BODY_MAX], memory[XT_EVENT_MAX];
    char event_id[16];
    int size = snprintf(event_id, sizeof(event_id), "%u", id++);
    memset(&event, 0, sizeof(event));
    envelope.event_id = xt_span_of(event_id, (size_t)size);
    event.type = type;
    event.number = number_of(slot);
    event.person.phone_count = 1;
    event.person.phones[0] = phone;
    assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded), XT_OK);
    struct xt_writer over = xt_writer_over(memory, sizeof(memory));
    xt_event_encode(&encoded, &over);
    struct xt_span span = xt_written(&over);
    assert_int_equal(xt_live_apply(live, 1, &span, 1, &outcome, &failure), XT_OK);
    return outcome;
}

/* What the overlay notes about one phone has an end; the event that would pass it changes nothing. */
static void fill_a_phone(struct xt_live *live)
{
    const uint32_t phone = 911111111;
    const unsigned most = XT_LIVE_ALIAS_MAX - 1;
    struct xt_live_outcome outcome;
    for (unsigned i = 0; i < most; i++) {
        assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, i, phone).status, XT_OK);
    }
    uint64_t sequence = xt_live_sequence(live);
    outcome = tell(live, XT_REGISTRY_PHONE_LINKED, most, phone);
    assert_int_equal(outcome.status, XT_DENIED);
    assert_int_equal(outcome.conflict, XT_CONFLICT_TOO_MANY);
    assert_true(xt_live_sequence(live) == sequence);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, most, phone).conflict,
                     XT_CONFLICT_PHONE_NOT_LINKED);
    /* Until a compaction who had it keeps his place. */
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, 3, phone).status, XT_OK);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, most, phone).status, XT_DENIED);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, 3, phone).status, XT_OK);
}

static void an_alias_has_room_for_so_many_changes(void **state)
{
    (void)state;
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    in_writer(fill_a_phone);
    struct xt_register as = open_register();
    struct xt_id id = {.kind = XT_ID_PHONE, .value = 911111111};
    assert_int_equal(xt_register_people(&as, id, people, &count), XT_OK);
    assert_int_equal(count, XT_LIVE_ALIAS_MAX - 1);
    close_register(&as);
}

/* What the generation says already is written down all the same: the next one may be made of the state in
 * between. */
static void take_a_phone_away_and_back(struct xt_live *live)
{
    uint32_t sealed = 912000013; /* of person 13 alone */
    struct xt_live_alias alias;
    struct xt_id id = {.kind = XT_ID_PHONE, .value = sealed};
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_UNLINKED, 13, sealed).status, XT_OK);
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_alias(live, id, &alias), XT_OK);
    assert_int_equal(alias.count, 1);
    xt_live_end_look(live);
    assert_int_equal(tell(live, XT_REGISTRY_PHONE_LINKED, 13, sealed).status, XT_OK);
    assert_int_equal(xt_live_begin_look(live), XT_OK);
    assert_int_equal(xt_live_alias(live, id, &alias), XT_OK);
    assert_int_equal(alias.count, 1);
    assert_true(alias.people[0].added);
    xt_live_end_look(live);
}

static void a_phone_taken_away_and_given_back_names_its_holder_once(void **state)
{
    (void)state;
    uint64_t people[XT_ALIAS_PEOPLE_MAX];
    unsigned count = 0;
    in_writer(take_a_phone_away_and_back);
    struct xt_register as = open_register();
    struct xt_id id = {.kind = XT_ID_PHONE, .value = 912000013};
    assert_int_equal(xt_register_people(&as, id, people, &count), XT_OK);
    assert_int_equal(count, 1);
    assert_true(people[0] == PERSON_NUMBER(13));
    close_register(&as);
}

/* As much as a record may hold. */
static struct xt_person *largest_person(void)
{
    static struct xt_person person;
    static char text[XT_PERSON_TEXT_MAX], key[XT_PERSON_KEY_MAX], ids[XT_PERSON_DEVICES_MAX][400];
    make_person(1, &person);
    memset(text, 'x', sizeof(text));
    memset(key, 'A', sizeof(key));
    person.home_town = person.place_of_birth = person.father_name = person.mother_name =
        person.address_text = xt_span_of(text, sizeof(text));
    person.card_state = XT_CARD_ACTIVE;
    for (unsigned i = 0; i < XT_PERSON_DEVICES_MAX; i++) {
        memset(ids[i], 'a' + (int)i, sizeof(ids[i]));
        person.devices[i].device_id = xt_span_of(ids[i], sizeof(ids[i]));
        person.devices[i].public_key = xt_span_of(key, sizeof(key));
    }
    person.device_count = XT_PERSON_DEVICES_MAX;
    return &person;
}

/* Such a record takes several pages of its own, which are to be sealed anew as well. */
static void lose_the_card(struct xt_live *live)
{
    assert_int_equal(tell(live, XT_REGISTRY_CARD_LOST, 1, 0).status, XT_OK);
    (void)rotate_keys();
    seal_anew(live);
}

static void the_largest_record_can_be_changed_but_not_be_sent(void **state)
{
    (void)state;
    static struct xt_registry_event event;
    static uint8_t wanted[XT_COLD_MAX], cold[XT_COLD_MAX];
    static struct xt_person person;
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_writer was = xt_writer_over(wanted, sizeof(wanted));
    struct xt_writer is = xt_writer_over(cold, sizeof(cold));
    assert_int_equal(xt_builder_open(deployment(), deployment_keyring(), NULL, &builder, &failure),
                     XT_OK);
    assert_int_equal(xt_builder_add(builder, 0, largest_person(), 1, &failure), XT_OK);
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    xt_builder_close(builder);
    xt_cold_encode(largest_person(), &was);
    assert_true(was.size > 20000);
    in_writer(lose_the_card);
    xt_keyring_take(deployment_keyring(), read_keys());
    struct xt_register as = open_register();
    assert_int_equal(xt_register_person(&as, PERSON_NUMBER(1), &person), XT_OK);
    assert_int_equal(person.card_state, XT_CARD_LOST);
    xt_cold_encode(&person, &is);
    assert_int_equal(is.size, was.size);
    assert_memory_equal(cold, wanted, is.size);
    close_register(&as);

    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string("1")};
    struct xt_event encoded;
    uint8_t body[XT_EVENT_BODY_MAX];
    event.type = XT_REGISTRY_REGISTERED;
    event.number = PERSON_NUMBER(2);
    event.person = *largest_person();
    assert_int_equal(xt_event_from_registry("civil", &envelope, &event, body, &encoded),
                     XT_TOO_LARGE);
}

/* The ids of one partner are not those of another. */
static void partners_do_not_meet_each_others_event_ids(void **state)
{
    (void)state;
    static struct xt_registry_event event;
    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string("b1")};
    struct xt_event one, same, other;
    uint8_t body[XT_EVENT_BODY_MAX];
    event.type = XT_REGISTRY_DECEASED;
    event.number = PERSON_NUMBER(2);
    assert_int_equal(xt_event_from_registry("a", &envelope, &event, body, &one), XT_OK);
    assert_int_equal(xt_event_from_registry("a", &envelope, &event, body, &same), XT_OK);
    envelope.event_id = xt_span_of_string("1");
    assert_int_equal(xt_event_from_registry("ab", &envelope, &event, body, &other), XT_OK);
    assert_memory_equal(one.id, same.id, sizeof(one.id));
    assert_memory_not_equal(one.id, other.id, sizeof(one.id));
}

static int make_empty(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

static void without_a_base_registry_events_are_refused(void **state)
{
    (void)state;
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct xt_live *live = NULL;
        static struct answer answer;
        assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                         XT_OK);
        write_group(live, (struct order){0, 4}, &answer);
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(answer.outcomes[i].status, XT_BUSY);
        }
        assert_true(answer.sequence == 0);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_filter_never_denies_and_seldom_errs(void **state)
{
    (void)state;
    struct xt_live_filter filter;
    uint64_t random = 3;
    assert_int_equal(xt_live_filter_open(&filter, 100000), XT_OK);
    struct xt_hash some = {next_random(&random), next_random(&random)};
    assert_false(xt_live_filter_may_hold(&filter, some));
    for (uint64_t i = 0; i < filter.capacity; i++) {
        uint64_t seed = i;
        xt_live_filter_add(&filter, (struct xt_hash){next_random(&seed), next_random(&seed)});
    }
    unsigned wrong = 0;
    for (uint64_t i = 0; i < filter.capacity; i++) {
        uint64_t seed = i;
        assert_true(xt_live_filter_may_hold(
            &filter, (struct xt_hash){next_random(&seed), next_random(&seed)}));
        wrong += xt_live_filter_may_hold(
            &filter, (struct xt_hash){next_random(&random), next_random(&random)});
    }
    assert_true(wrong < filter.capacity / 100);
    assert_true(filter.count > filter.capacity * 98 / 100);
    xt_live_filter_close(&filter);
    assert_false(xt_live_filter_may_hold(&filter, some));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filter_never_denies_and_seldom_errs),
        cmocka_unit_test_setup_teardown(whatever_happens_the_register_is_what_the_model_says,
                                        world_make, deployment_remove),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_groups_whole_or_not_at_all,
                                        world_make, deployment_remove),
        cmocka_unit_test_setup_teardown(a_reader_that_lags_behind_the_log_reads_all_keys_again,
                                        world_make, deployment_remove),
        cmocka_unit_test_setup_teardown(an_older_store_is_given_an_overlay, world_make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(
            a_new_master_key_seals_the_overlay_anew_and_the_old_one_can_go, world_make,
            deployment_remove),
        cmocka_unit_test_setup_teardown(
            a_writer_killed_while_it_seals_anew_leaves_the_overlay_under_one_key, world_make,
            deployment_remove),
        cmocka_unit_test_setup_teardown(nobody_is_in_the_file_in_the_clear, world_make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(an_alias_has_room_for_so_many_changes, world_make,
                                        deployment_remove),
        cmocka_unit_test_setup_teardown(a_phone_taken_away_and_given_back_names_its_holder_once,
                                        world_make, deployment_remove),
        cmocka_unit_test_setup_teardown(the_largest_record_can_be_changed_but_not_be_sent,
                                        make_empty, deployment_remove),
        cmocka_unit_test(partners_do_not_meet_each_others_event_ids),
        cmocka_unit_test_setup_teardown(without_a_base_registry_events_are_refused, world_make,
                                        deployment_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
