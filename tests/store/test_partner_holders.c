/* Whose certificate is whose after a restart: the live store tells what no set before can. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/live.h"
#include "store/partners.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;
static char reported[4096];

static int make(void **state)
{
    int result = deployment_make(state);
    assert_int_equal(mkdir(deployment_path("live"), 0700), 0);
    return result;
}

static void spki_of(unsigned certificate, uint8_t spki[XT_SPKI_DIGEST])
{
    memset(spki, (int)certificate, XT_SPKI_DIGEST);
}

static void record(unsigned certificate, const char *partner)
{
    struct xt_live *live = NULL;
    struct xt_event event;
    uint8_t memory[XT_EVENT_MAX];
    struct xt_writer writer = xt_writer_over(memory, sizeof(memory));
    struct xt_live_outcome outcome;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    spki_of(certificate, event.certificate_held.spki);
    snprintf(event.certificate_held.partner, sizeof(event.certificate_held.partner), "%s", partner);
    xt_event_encode(&event, &writer);
    struct xt_span span = xt_written(&writer);
    assert_int_equal(xt_live_open_writer(deployment(), deployment_keyring(), &live, &failure),
                     XT_OK);
    assert_int_equal(xt_live_apply(live, 1, &span, 1, &outcome, &failure), XT_OK);
    assert_int_equal(outcome.status, XT_OK);
    xt_live_close(live);
}

static void save(const char *name, unsigned certificate, unsigned count)
{
    struct xt_partner partner = {.active = true, .purpose_count = 1};
    snprintf(partner.name, sizeof(partner.name), "%s", name);
    snprintf(partner.purposes[0].name, sizeof(partner.purposes[0].name), "test");
    partner.purposes[0].claims = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    partner.certificate_count = count;
    for (unsigned i = 0; i < count; i++) {
        spki_of(certificate + i, partner.certificates[i]);
    }
    assert_int_equal(xt_partner_save(deployment(), &partner, true, &failure), XT_OK);
}

static void report(void *context, const char *file, const char *why)
{
    size_t size = strlen(reported);
    (void)context;
    snprintf(reported + size, sizeof(reported) - size, "%s: %s\n", file, why);
}

static struct xt_partners *load(const struct xt_partners *previous)
{
    struct xt_live *live = NULL;
    struct xt_partners *partners = NULL;
    reported[0] = '\0';
    assert_int_equal(xt_live_open_reader(deployment(), deployment_keyring(), &live, &failure),
                     XT_OK);
    assert_int_equal(
        xt_partners_load_held(deployment(), previous, live, report, NULL, &partners, &failure),
        XT_OK);
    xt_live_close(live);
    return partners;
}

static void assert_holder(const struct xt_partners *partners, unsigned certificate,
                          const char *name)
{
    uint8_t spki[XT_SPKI_DIGEST];
    spki_of(certificate, spki);
    const struct xt_partner *partner = xt_partners_by_spki(partners, spki);
    assert_true((partner == NULL) == (name == NULL));
    if (partner != NULL && name != NULL) {
        assert_string_equal(partner->name, name);
    }
}

static void who_held_it_before_the_restart_keeps_it(void **state)
{
    (void)state;
    const char *const thieves[] = {"alpha", "zulu"};
    record(1, "mike");
    record(2, "mike");
    for (unsigned i = 0; i < 2; i++) {
        char file[32];
        save("mike", 1, 2);
        save(thieves[i], 2, 1);
        struct xt_partners *partners = load(NULL);
        assert_non_null(strstr(reported, thieves[i]));
        assert_non_null(strstr(reported, "one of its certificates is already that of mike; this "
                                         "partner is not served"));
        assert_null(strstr(reported, "mike.json"));
        assert_holder(partners, 1, "mike");
        assert_holder(partners, 2, "mike");
        assert_int_equal(xt_partners_count(partners), 1);
        struct xt_partners *again = load(partners); /* and so it stays */
        assert_holder(again, 2, "mike");
        xt_partners_free(again);
        xt_partners_free(partners);
        snprintf(file, sizeof(file), "partners/%s.json", thieves[i]);
        assert_int_equal(unlink(deployment_path(file)), 0);
    }
}

/* His file cannot be read, so what he claims now is not known: nobody else gets what was his. */
static void a_broken_file_of_the_holder_gives_nothing_away(void **state)
{
    (void)state;
    record(1, "mike");
    save("alpha", 1, 2);
    write_text("partners/mike.json", "{");
    struct xt_partners *partners = load(NULL);
    assert_non_null(
        strstr(reported, "alpha.json: one of its certificates is already that of mike"));
    assert_int_equal(xt_partners_count(partners), 0);
    struct xt_partners *again = load(partners); /* nor with the next reload */
    assert_int_equal(xt_partners_count(again), 0);
    xt_partners_free(partners);
    save("mike", 1, 1); /* mended */
    partners = load(again);
    assert_holder(partners, 1, "mike");
    assert_int_equal(xt_partners_count(partners), 1);
    xt_partners_free(partners);
    xt_partners_free(again);
}

static void who_left_or_let_go_has_no_claim(void **state)
{
    (void)state;
    record(1, "mike"); /* has left: there is no file of his */
    record(2, "lima"); /* has let go: his file no longer has it */
    save("alpha", 1, 2);
    save("lima", 7, 1);
    struct xt_partners *partners = load(NULL);
    assert_string_equal(reported, "");
    assert_holder(partners, 1, "alpha");
    assert_holder(partners, 2, "alpha");
    assert_holder(partners, 7, "lima");
    xt_partners_free(partners);
}

/* The set in force knows better than what is on record. */
static void the_set_before_goes_first(void **state)
{
    (void)state;
    record(9, "nobody-we-know");
    save("alpha", 1, 1);
    save("mike", 2, 1);
    struct xt_partners *first = load(NULL);
    assert_string_equal(reported, "");
    record(1, "mike"); /* an old record, of a time before */
    save("mike", 1, 1);
    struct xt_partners *second = load(first);
    assert_non_null(
        strstr(reported, "mike.json: one of its certificates is already that of alpha"));
    assert_holder(second, 1, "alpha");
    assert_holder(second, 2, "mike"); /* his version before stays */
    xt_partners_free(first);
    xt_partners_free(second);
}

static void of_several_new_ones_the_one_on_record_gets_it(void **state)
{
    (void)state;
    record(5, "mike");
    save("alpha", 5, 1);
    save("mike", 5, 1);
    save("zulu", 4, 2);
    struct xt_partners *partners = load(NULL);
    assert_non_null(strstr(reported, "alpha.json: "));
    assert_non_null(strstr(reported, "zulu.json: "));
    assert_holder(partners, 5, "mike");
    assert_holder(partners, 4, NULL);
    xt_partners_free(partners);
    record(5, ""); /* nobody's any more: as if it had never been anybody's */
    partners = load(NULL);
    assert_non_null(strstr(reported, "mike.json: one of its certificates is also claimed by"));
    assert_int_equal(xt_partners_count(partners), 0);
    xt_partners_free(partners);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(who_held_it_before_the_restart_keeps_it),
        EACH(a_broken_file_of_the_holder_gives_nothing_away),
        EACH(who_left_or_let_go_has_no_claim),
        EACH(the_set_before_goes_first),
        EACH(of_several_new_ones_the_one_on_record_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
