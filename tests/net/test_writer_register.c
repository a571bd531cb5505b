/* The real writer process and the register: events over a generation, new keys, and the record of partners. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/snapshot.h"
#include "net/writer.h"
#include "net/writer_record.h"
#include "store/builder.h"
#include "store/live_internal.h"
#include "store/register.h"
#include "tests/net/writer_world.h"

/* ---- the register --------------------------------------------------------------------------------- */

#define SOMEBODY 1090000001ULL

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context, (void)line, (void)first;
    fail_msg("%s %s", code, pointer);
}

/* A generation with people 1 to count; gives the event that says it is served. */
static struct xt_event import(unsigned count)
{
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    struct xt_event event;
    memset(&person, 0, sizeof(person));
    person.full_name = xt_span_of_string("Nguyễn Văn An");
    assert_int_equal(xt_name_parse(person.full_name, &person.name), XT_OK);
    assert_int_equal(xt_date_make(1990, 1, 2, &person.date_of_birth), XT_OK);
    assert_int_equal(xt_date_make(2021, 4, 25, &person.card_issued_on), XT_OK);
    person.card_state = XT_CARD_ACTIVE;
    assert_int_equal(xt_builder_open(world.dir, world.keyring, NULL, &builder, &failure), XT_OK);
    for (unsigned i = 0; i < count; i++) {
        person.number = SOMEBODY + i;
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

/* One of the types that say nothing more than whom they are about. */
static struct xt_event registry_event(enum xt_registry_type type, uint64_t number,
                                      const char *event_id, uint8_t body[XT_EVENT_BODY_MAX])
{
    struct xt_registry_envelope envelope = {.event_id = xt_span_of_string(event_id), .at_ms = 1};
    static struct xt_registry_event told;
    struct xt_event event;
    memset(&told, 0, sizeof(told));
    told.type = type;
    told.number = number;
    assert_int_equal(xt_event_from_registry("civil", &envelope, &told, body, &event), XT_OK);
    return event;
}

static struct xt_writer_answer tell_of(struct xt_writer_channel *channel,
                                       enum xt_registry_type type, uint64_t number,
                                       const char *event_id)
{
    uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_event event = registry_event(type, number, event_id, body);
    return ask(channel, &event);
}

static enum xt_card_state card_of(const struct xt_register *as, uint64_t number)
{
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    assert_int_equal(
        xt_live_refresh(as->live, xt_writer_epoch(world.shared), xt_writer_commit(world.shared)),
        XT_OK);
    assert_int_equal(xt_register_find(as, id, &found), XT_OK);
    assert_true(found.found);
    return found.hot.card_state;
}

static void tell_partners(const char *const *names, const bool *may, unsigned count)
{
    static uint8_t texts[4][XT_PARTNER_JSON_MAX];
    struct xt_span spans[4];
    uint32_t cells[4] = {0};
    struct xt_partners *partners = NULL;
    struct xt_control_message message = {.type = XT_CONTROL_RELOAD, .fd_count = 1};
    for (unsigned i = 0; i < count; i++) {
        static struct xt_partner partner;
        struct xt_writer writer = xt_writer_over(texts[i], sizeof(texts[i]));
        memset(&partner, 0, sizeof(partner));
        snprintf(partner.name, sizeof(partner.name), "%s", names[i]);
        partner.active = strcmp(names[i], "inactive") != 0;
        partner.rights = may[i] ? XT_RIGHT_REGISTRY : XT_RIGHT_PER_CLAIM;
        partner.certificate_count = 1;
        partner.certificates[0][0] = (uint8_t)(i + 1);
        xt_partner_to_json(&partner, &writer);
        spans[i] = xt_written(&writer);
    }
    assert_int_equal(xt_partners_parse(spans, count, &partners, &failure), XT_OK);
    struct xt_snapshot_parts parts = {.partners = partners, .cells = cells};
    assert_int_equal(xt_snapshot_write(&parts, &message.fds[0], &failure), XT_OK);
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
    close(message.fds[0]);
    xt_partners_free(partners);
}

/* Of a worker: nothing but registry events, in the name of somebody who has the right. */
static void expect_only_the_registry(struct xt_writer_channel *worker,
                                     const struct xt_event *served)
{
    static const char *const names[] = {"bank", "civil", "inactive"};
    uint8_t body[XT_EVENT_BODY_MAX];
    struct xt_event about_nobody = registry_event(XT_REGISTRY_CARD_LOST, SOMEBODY + 99, "n", body);
    struct xt_event held = held_event(7, "civil");
    assert_int_equal(ask_for(worker, "civil", &about_nobody).status,
                     XT_DENIED); /* nobody may yet */
    tell_partners(names, (const bool[]){false, true, true}, 3);
    struct xt_writer_answer answer;
    do { /* until it has been told */
        answer = ask_for(worker, "civil", &about_nobody);
    } while (answer.conflict == XT_CONFLICT_NONE);
    assert_int_equal(answer.conflict, XT_CONFLICT_UNKNOWN_PERSON);
    static const char *const others[] = {"",       "bank",  "inactive", "civi",
                                         "civil2", "CIVIL", "../civil"};
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        answer = ask_for(worker, others[i], &about_nobody);
        assert_int_equal(answer.status, XT_DENIED);
        assert_int_equal(answer.conflict, XT_CONFLICT_NONE);
    }
    assert_int_equal(ask_for(worker, "civil", &held).status, XT_DENIED);
    assert_int_equal(ask_for(worker, "civil", served).status, XT_DENIED);
    tell_partners(names, (const bool[]){false, false, true}, 3);
    do {
        answer = ask_for(worker, "civil", &about_nobody);
    } while (answer.conflict != XT_CONFLICT_NONE);
    assert_int_equal(answer.status, XT_DENIED);
}

static void registry_events_change_the_register_and_only_for_whom_it_may(void **state)
{
    (void)state;
    struct xt_register as = {.generation = NULL};
    struct xt_event served = import(1);
    start_writer();
    struct xt_writer_channel *supervisor = open_channel(connect_administrator());
    struct xt_writer_channel *worker = open_channel(connect_place(0));
    /* Nothing is served yet. */
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_BUSY);
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    /* A worker that was taken over could forge it. */
    assert_int_equal(tell_of(worker, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_DENIED);
    expect_only_the_registry(worker, &served);
    as.live = open_reader();
    assert_int_equal(xt_generation_open(world.dir, 1, world.keyring, &as.generation, &failure),
                     XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    struct xt_writer_answer answer = tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "2");
    assert_int_equal(answer.status, XT_DENIED);
    assert_int_equal(answer.conflict, XT_CONFLICT_CARD_ALREADY_LOST);
    assert_true(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").duplicate);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "1").status, XT_EXISTS);
    answer = tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3");
    assert_int_equal(answer.conflict, XT_CONFLICT_UNKNOWN_PERSON);
    /* Another generation is served, with one person more; the overlay lies over it all the same. The
     * writer opens it after the group that tells of it. */
    served = import(2);
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    /* And so after a crash, with the generation on record. */
    kill_writer();
    xt_writer_channel_close(supervisor);
    xt_writer_channel_close(worker);
    start_writer();
    supervisor = open_channel(connect_administrator());
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "4").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_true(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").duplicate);
    xt_live_close(as.live);
    xt_generation_close(as.generation);
    xt_writer_channel_close(supervisor);
    drain_writer();
}

/* The key file has a new key; the writer is told as the supervisor tells it. */
static void rotate_keys(void)
{
    char path[XT_PATH_MAX];
    uint8_t keys[XT_KEYRING_EXPORT_MAX];
    uint32_t id = 0;
    struct xt_keyring *with_new = NULL;
    struct xt_writer writer = xt_writer_over(keys, sizeof(keys));
    struct xt_control_message message = {.type = XT_CONTROL_KEYS, .numbers = {7}};
    in_dir(path, "keys/master.keys");
    assert_int_equal(xt_keyring_add(path, &id, &failure), XT_OK);
    assert_int_equal(xt_keyring_open(path, &with_new, &failure), XT_OK);
    xt_keyring_take(world.keyring, with_new);
    xt_keyring_export(world.keyring, &writer);
    message.blobs[0] = xt_written(&writer);
    assert_int_equal(xt_control_send(world.control, &message), XT_OK);
    expect_told(XT_CONTROL_KEYS_TAKEN);
}

static void a_writer_goes_on_under_new_keys_over_old_and_new_generations(void **state)
{
    (void)state;
    struct xt_register as = {.generation = NULL};
    struct xt_event served = import(1);
    start_writer();
    expect_told(XT_CONTROL_READY);
    expect_told(XT_CONTROL_KEYS_TAKEN);
    struct xt_writer_channel *supervisor = open_channel(connect_administrator());
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "1").status, XT_OK);
    as.live = open_reader();
    assert_int_equal(xt_generation_open(world.dir, 1, world.keyring, &as.generation, &failure),
                     XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    rotate_keys();
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_LOST);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY, "2").conflict,
                     XT_CONFLICT_CARD_ALREADY_LOST);
    served = import(2); /* under the new key, which the writer was not started with */
    assert_int_equal(ask(supervisor, &served).status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_LOST, SOMEBODY + 1, "3").status, XT_OK);
    assert_int_equal(tell_of(supervisor, XT_REGISTRY_CARD_FOUND, SOMEBODY, "4").status, XT_OK);
    assert_int_equal(card_of(&as, SOMEBODY), XT_CARD_ACTIVE);
    assert_int_equal(xt_live_key_id(as.live), xt_keyring_current(world.keyring));
    xt_live_close(as.live);
    xt_generation_close(as.generation);
    xt_writer_channel_close(supervisor);
    drain_writer();
}

/* ---- the record ----------------------------------------------------------------------------------------- */

static char reported[4096];

static void report(void *context, const char *file, const char *why)
{
    size_t size = strlen(reported);
    (void)context;
    snprintf(reported + size, sizeof(reported) - size, "%s: %s\n", file, why);
}

static void save_partner(const char *name, unsigned certificate)
{
    struct xt_partner partner = {.active = true, .certificate_count = 1, .purpose_count = 1};
    snprintf(partner.name, sizeof(partner.name), "%s", name);
    snprintf(partner.purposes[0].name, sizeof(partner.purposes[0].name), "test");
    partner.purposes[0].claims = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    memset(partner.certificates[0], (int)certificate, XT_SPKI_DIGEST);
    assert_int_equal(xt_partner_save(world.dir, &partner, true, &failure), XT_OK);
}

static struct xt_partners *load(struct xt_writer_record *record, const struct xt_partners *previous)
{
    const struct xt_live *live;
    struct xt_partners *partners = NULL;
    reported[0] = '\0';
    assert_int_equal(xt_writer_record_live(record, &live, &failure), XT_OK);
    assert_int_equal(
        xt_partners_load_held(world.dir, previous, live, report, NULL, &partners, &failure), XT_OK);
    return partners;
}

static const char *holder(const struct xt_partners *partners, unsigned certificate)
{
    uint8_t spki[XT_SPKI_DIGEST];
    memset(spki, (int)certificate, sizeof(spki));
    const struct xt_partner *partner = xt_partners_by_spki(partners, spki);
    return partner == NULL ? "" : partner->name;
}

static void remove_partner(const char *name)
{
    char file[128];
    char path[XT_PATH_MAX];
    snprintf(file, sizeof(file), "partners/%s.json", name);
    in_dir(path, file);
    assert_int_equal(unlink(path), 0);
}

static void the_supervisors_record_outlives_it(void **state)
{
    (void)state;
    struct xt_writer_record record;
    uint8_t digest[XT_GENERATION_DIGEST] = {7};
    bool rollback = false;
    char path[XT_PATH_MAX];
    in_dir(path, "partners");
    assert_int_equal(mkdir(path, 0700), 0);
    save_partner("mike", 1);
    save_partner("alpha", 2);
    struct xt_writer_channel *channel = open_channel(-1); /* no writer yet */
    assert_int_equal(
        xt_writer_record_open(&record, world.dir, world.keyring, world.shared, channel, &failure),
        XT_OK);
    struct xt_partners *first = load(&record, NULL);
    xt_writer_record_partners(&record, NULL, first);
    assert_int_equal(xt_writer_record_may_serve(&record, 7, digest, false, &rollback, &failure),
                     XT_OK);
    xt_writer_record_generation(&record, 7, digest, rollback);
    assert_false(xt_writer_record_is_done(&record));
    start_writer();
    assert_int_equal(xt_writer_channel_replace(channel, connect_administrator()), XT_OK);
    xt_writer_record_tick(&record);
    run_until(xt_writer_record_is_done(&record));
    assert_int_equal(xt_writer_epoch(world.shared), 3);
    xt_writer_record_partners(&record, first, first); /* all is on record: nothing is sent */
    assert_true(xt_writer_record_is_done(&record));
    kill_writer();
    xt_writer_channel_close(channel);
    xt_writer_record_close(&record);
    xt_partners_free(first);

    /* A new start, and a thief whose file comes first. */
    save_partner("alpha", 1);
    channel = open_channel(-1);
    assert_int_equal(
        xt_writer_record_open(&record, world.dir, world.keyring, world.shared, channel, &failure),
        XT_OK);
    struct xt_partners *second = load(&record, NULL);
    assert_non_null(
        strstr(reported, "alpha.json: one of its certificates is already that of mike"));
    assert_string_equal(holder(second, 1), "mike");
    assert_int_equal(xt_partners_count(second), 1);
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, false, &rollback, &failure),
                     XT_DENIED);
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, true, &rollback, &failure),
                     XT_OK);
    assert_true(rollback);
    start_writer();
    assert_int_equal(xt_writer_channel_replace(channel, connect_administrator()), XT_OK);
    xt_writer_record_partners(&record, NULL, second);
    xt_writer_record_generation(&record, 6, digest, rollback);
    run_until(xt_writer_record_is_done(&record));
    assert_int_equal(xt_writer_record_may_serve(&record, 6, digest, false, &rollback, &failure),
                     XT_OK);
    /* Who leaves gives it free. */
    remove_partner("mike");
    struct xt_partners *third = load(&record, second);
    assert_string_equal(holder(third, 1), "alpha");
    xt_writer_record_partners(&record, second, third);
    run_until(xt_writer_record_is_done(&record));
    remove_partner("alpha");
    struct xt_partners *fourth = load(&record, third);
    xt_writer_record_partners(&record, third, fourth);
    run_until(xt_writer_record_is_done(&record));
    const struct xt_live *live;
    char name[XT_PARTNER_NAME_MAX + 1];
    uint8_t spki[XT_SPKI_DIGEST];
    memset(spki, 1, sizeof(spki));
    assert_int_equal(xt_writer_record_live(&record, &live, &failure), XT_OK);
    assert_int_equal(xt_live_holder(live, spki, name), XT_NOT_FOUND);
    xt_writer_channel_close(channel);
    xt_writer_record_close(&record);
    drain_writer();
    xt_partners_free(second);
    xt_partners_free(third);
    xt_partners_free(fourth);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    if (!world_begin()) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        EACH(registry_events_change_the_register_and_only_for_whom_it_may),
        EACH(a_writer_goes_on_under_new_keys_over_old_and_new_generations),
        EACH(the_supervisors_record_outlives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
