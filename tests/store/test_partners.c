#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/partners.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;
static char reported[2048]; /* "name.json: why\n" */

static void report(void *context, const char *file, const char *why)
{
    size_t size = strlen(reported);
    (void)context;
    snprintf(reported + size, sizeof(reported) - size, "%s: %s\n", file, why);
}

static struct xt_partners *load(const struct xt_partners *previous)
{
    struct xt_partners *partners = NULL;
    reported[0] = 0;
    assert_int_equal(xt_partners_load(deployment(), previous, report, NULL, &partners, &failure),
                     XT_OK);
    return partners;
}

static const uint8_t *spki(unsigned i)
{
    static uint8_t digests[4][XT_SPKI_DIGEST];
    uint8_t *digest = digests[i % 4];
    memset(digest, 0, XT_SPKI_DIGEST); /* equal first bytes: they share a slot */
    memcpy(digest + 8, &i, sizeof(i));
    return digest;
}

static struct xt_partner make_partner(const char *name, unsigned first, unsigned certificates)
{
    struct xt_partner partner;
    memset(&partner, 0, sizeof(partner));
    snprintf(partner.name, sizeof(partner.name), "%s", name);
    partner.active = true;
    partner.certificate_count = certificates;
    for (unsigned i = 0; i < certificates; i++) {
        memcpy(partner.certificates[i], spki(first + i), XT_SPKI_DIGEST);
    }
    partner.purpose_count = 1;
    snprintf(partner.purposes[0].name, sizeof(partner.purposes[0].name), "sim.register");
    partner.purposes[0].claims = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    return partner;
}

static void save(const char *name, unsigned first, unsigned certificates)
{
    struct xt_partner partner = make_partner(name, first, certificates);
    assert_int_equal(xt_partner_save(deployment(), &partner, true, &failure), XT_OK);
}

static void assert_holder(const struct xt_partners *partners, unsigned certificate,
                          const char *name)
{
    const struct xt_partner *partner = xt_partners_by_spki(partners, spki(certificate));
    if (name == NULL) {
        assert_null(partner);
    } else {
        assert_non_null(partner);
        assert_string_equal(partner->name, name);
    }
}

static void partners_are_found_by_each_of_their_certificates(void **state)
{
    (void)state;
    char name[16];
    for (unsigned i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "p%02u", i);
        save(name, i * 8, 1 + i % 8);
    }
    struct xt_partners *partners = load(NULL);
    assert_string_equal(reported, "");
    assert_int_equal(xt_partners_count(partners), 30);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "p%02u", i);
        assert_string_equal(xt_partners_at(partners, i)->name, name);
        assert_string_equal(xt_partners_by_name(partners, name)->name, name);
        for (unsigned j = 0; j < 8; j++) {
            assert_holder(partners, i * 8 + j, j <= i % 8 ? name : NULL);
        }
    }
    assert_null(xt_partners_by_name(partners, "p"));
    xt_partners_free(partners);
}

static void no_partners_are_a_set_too(void **state)
{
    (void)state;
    struct xt_partners *partners = load(NULL);
    assert_int_equal(xt_partners_count(partners), 0);
    assert_holder(partners, 1, NULL);
    assert_null(xt_partners_by_name(partners, "x"));
    xt_partners_free(partners);
    xt_partners_free(NULL);
    assert_int_equal(rmdir(deployment_path("partners")), 0);
    assert_int_equal(xt_partners_load(deployment(), NULL, report, NULL, &partners, &failure),
                     XT_NOT_FOUND);
}

static void a_bad_file_is_named_and_its_version_before_stays(void **state)
{
    (void)state;
    save("good", 1, 1);
    save("bad", 2, 1);
    struct xt_partners *first = load(NULL);
    const char *const texts[] = {"", "{", "[]", "{\"name\":\"bad\"}",
                                 "{\"name\":\"good\",\"certificates\":[],\"purposes\":[]}"};
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_text("partners/bad.json", texts[i]);
        struct xt_partners *second = load(first);
        assert_non_null(strstr(reported, "bad.json: "));
        assert_non_null(strstr(reported, "version before stays in force"));
        assert_holder(second, 2, "bad");
        struct xt_partners *third = load(second); /* and from one set to the next */
        xt_partners_free(second);
        assert_holder(third, 2, "bad");
        assert_holder(third, 1, "good");
        xt_partners_free(third);
        struct xt_partners *fresh = load(NULL);
        assert_non_null(strstr(reported, "not served"));
        assert_holder(fresh, 2, NULL);
        assert_int_equal(xt_partners_count(fresh), 1);
        xt_partners_free(fresh);
    }
    xt_partners_free(first);
}

static void a_file_must_be_called_after_its_partner(void **state)
{
    (void)state;
    save("one", 1, 1);
    char from[XT_PERSON_TEXT_MAX];
    snprintf(from, sizeof(from), "%s", deployment_path("partners/one.json"));
    assert_int_equal(rename(from, deployment_path("partners/two.json")), 0);
    write_text("partners/UPPER.json", "{}");
    write_text("partners/.hidden.json", "{");
    write_text("partners/notes.txt", "x");
    struct xt_partners *partners = load(NULL);
    assert_int_equal(xt_partners_count(partners), 0);
    assert_non_null(strstr(reported, "two.json: name must be two"));
    assert_non_null(strstr(reported, "UPPER.json: the file is not called after a partner"));
    assert_null(strstr(reported, "hidden"));
    assert_null(strstr(reported, "notes"));
    xt_partners_free(partners);
}

/* bad wants what h holds, and what c moves to: only bad is refused, and c's old key is out. */
static void a_refused_file_takes_nobody_along(void **state)
{
    (void)state;
    save("h", 1, 1);
    save("c", 2, 1);
    struct xt_partners *first = load(NULL);
    save("bad", 3, 1);
    struct xt_partner bad = make_partner("bad", 1, 1);
    bad.certificate_count = 2;
    memcpy(bad.certificates[1], spki(7), XT_SPKI_DIGEST);
    assert_int_equal(xt_partner_save(deployment(), &bad, true, &failure), XT_OK);
    save("c", 7, 1);
    struct xt_partners *second = load(first);
    assert_non_null(strstr(reported, "bad.json: one of its certificates is already that of h"));
    assert_null(strstr(reported, "c.json"));
    assert_holder(second, 1, "h");
    assert_holder(second, 7, "c");
    assert_holder(second, 2, NULL);
    xt_partners_free(first);
    xt_partners_free(second);
}

static void a_quota_beyond_what_can_be_kept_is_refused(void **state)
{
    (void)state;
    struct xt_partner partner = make_partner("quota", 1, 1);
    partner.daily_quota = XT_QUOTA_MAX + 1;
    assert_int_equal(xt_partner_save(deployment(), &partner, true, &failure), XT_OK);
    struct xt_partners *partners = load(NULL);
    assert_non_null(strstr(reported, "quota.json: daily_quota must be a whole number from 1 to"));
    assert_int_equal(xt_partners_count(partners), 0);
    xt_partners_free(partners);
}

static struct xt_partners *reload(struct xt_partners *previous)
{
    struct xt_partners *partners = load(previous);
    xt_partners_free(previous);
    return partners;
}

static void of_two_new_ones_with_a_certificate_neither_is_served(void **state)
{
    (void)state;
    save("alpha", 1, 2);
    save("beta", 2, 2);  /* 2 is alpha's too */
    save("gamma", 3, 1); /* 3 is beta's too */
    save("delta", 9, 1);
    struct xt_partners *partners = load(NULL);
    assert_non_null(
        strstr(reported, "alpha.json: one of its certificates is also claimed by beta; this"));
    assert_non_null(strstr(reported, "beta.json: one of its certificates is also claimed by "));
    assert_non_null(
        strstr(reported, "gamma.json: one of its certificates is also claimed by beta; this"));
    assert_int_equal(xt_partners_count(partners), 1);
    assert_holder(partners, 9, "delta");
    for (unsigned i = 1; i <= 3; i++) {
        assert_holder(partners, i, NULL);
    }
    assert_int_equal(unlink(deployment_path("partners/beta.json")), 0);
    partners = reload(partners); /* mended */
    assert_string_equal(reported, "");
    assert_holder(partners, 2, "alpha");
    assert_holder(partners, 3, "gamma");
    xt_partners_free(partners);
}

/* Whatever the thief is called, and whether he is new or known. */
static void a_certificate_stays_with_whom_it_is(void **state)
{
    (void)state;
    const char *const thieves[] = {"alpha", "zulu"};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned known = 0; known < 2; known++) {
            char file[32];
            snprintf(file, sizeof(file), "partners/%s.json", thieves[i]);
            save("mike", 1, 2);
            if (known) {
                save(thieves[i], 7, 1);
            }
            struct xt_partners *partners = load(NULL);
            save(thieves[i], 2, 1);
            for (unsigned again = 0; again < 2; again++) { /* and from one set to the next */
                partners = reload(partners);
                assert_non_null(
                    strstr(reported, "one of its certificates is already that of mike"));
                assert_null(strstr(reported, "mike.json"));
                assert_holder(partners, 1, "mike");
                assert_holder(partners, 2, "mike");
                assert_holder(partners, 7, known ? thieves[i] : NULL);
                assert_int_equal(xt_partners_count(partners), 1 + known);
            }
            save("mike", 1, 3); /* who is robbed changes something else meanwhile */
            partners = reload(partners);
            assert_holder(partners, 2, "mike");
            assert_holder(partners, 3, "mike");
            write_text("partners/mike.json", "{"); /* or breaks his file */
            partners = reload(partners);
            assert_holder(partners, 2, "mike");
            assert_holder(partners, 3, "mike");
            assert_int_equal(unlink(deployment_path("partners/mike.json")), 0); /* or leaves */
            partners = reload(partners);
            assert_string_equal(reported, "");
            assert_holder(partners, 1, NULL);
            assert_holder(partners, 2, thieves[i]);
            assert_int_equal(unlink(deployment_path(file)), 0);
            xt_partners_free(partners);
        }
    }
}

static void certificates_move_in_one_reload(void **state)
{
    (void)state;
    const char *const names[][2] = {{"alpha", "beta"}, {"beta", "alpha"}};
    for (unsigned i = 0; i < 2; i++) {
        save(names[i][0], 1, 2);
        save(names[i][1], 5, 1);
        struct xt_partners *partners = load(NULL);
        save(names[i][0], 1, 1); /* drops 2 */
        save(names[i][1], 2, 1); /* takes it, drops 5 */
        partners = reload(partners);
        assert_string_equal(reported, "");
        assert_holder(partners, 1, names[i][0]);
        assert_holder(partners, 2, names[i][1]);
        assert_holder(partners, 5, NULL);
        save(names[i][0], 2, 1); /* and both change places */
        save(names[i][1], 1, 1);
        partners = reload(partners);
        assert_string_equal(reported, "");
        assert_holder(partners, 2, names[i][0]);
        assert_holder(partners, 1, names[i][1]);
        xt_partners_free(partners);
    }
}

/* Who is refused claims again what he had given up, and so on. */
static void a_refusal_takes_back_what_others_had_taken(void **state)
{
    (void)state;
    save("alpha", 1, 1);
    save("beta", 2, 1);
    save("gamma", 3, 1);
    save("delta", 4, 1);
    struct xt_partners *partners = load(NULL);
    save("alpha", 2, 1);
    save("beta", 3, 1);
    save("gamma", 4, 1); /* delta keeps it: nobody moves */
    partners = reload(partners);
    assert_non_null(
        strstr(reported, "gamma.json: one of its certificates is already that of delta"));
    assert_non_null(
        strstr(reported, "beta.json: one of its certificates is already that of gamma"));
    assert_non_null(
        strstr(reported, "alpha.json: one of its certificates is already that of beta"));
    assert_holder(partners, 1, "alpha");
    assert_holder(partners, 2, "beta");
    assert_holder(partners, 3, "gamma");
    assert_holder(partners, 4, "delta");
    write_text("partners/beta.json", "broken");
    partners = reload(partners);
    assert_holder(partners, 2, "beta"); /* alpha's file still wants it */
    xt_partners_free(partners);
}

static void of_two_who_take_what_is_free_neither_gets_it(void **state)
{
    (void)state;
    save("alpha", 1, 1);
    save("beta", 2, 1);
    struct xt_partners *partners = load(NULL);
    save("alpha", 1, 3);
    save("beta", 2, 2); /* 3 is new, 2 is beta's */
    save("gamma", 3, 1);
    partners = reload(partners);
    assert_holder(partners, 1, "alpha");
    assert_holder(partners, 2, "beta");
    assert_holder(partners, 3, NULL);
    assert_int_equal(xt_partners_count(partners), 2);
    xt_partners_free(partners);
}

static void too_many_leave_out_new_ones_only(void **state)
{
    (void)state;
    char name[16];
    static uint8_t text[XT_PARTNER_JSON_MAX];
    for (unsigned i = 0; i < XT_PARTNERS_MAX; i++) { /* not saved: that syncs every file */
        char file[32];
        snprintf(name, sizeof(name), "p%04u", i);
        snprintf(file, sizeof(file), "partners/%s.json", name);
        struct xt_partner partner = make_partner(name, i * 8, 1);
        struct xt_writer writer = xt_writer_over(text, sizeof(text) - 1);
        xt_partner_to_json(&partner, &writer);
        text[writer.size] = 0;
        write_text(file, (const char *)text);
    }
    struct xt_partners *partners = load(NULL);
    assert_int_equal(xt_partners_count(partners), XT_PARTNERS_MAX);
    save("aaaa", 7, 1);
    partners = reload(partners);
    assert_string_equal(reported, "aaaa.json: there are too many partners (at most 4096)\n");
    assert_int_equal(xt_partners_count(partners), XT_PARTNERS_MAX);
    assert_holder(partners, 8 * (XT_PARTNERS_MAX - 1), "p4095");
    xt_partners_free(partners);
}

static void a_file_that_is_gone_takes_its_partner_with_it(void **state)
{
    (void)state;
    save("alpha", 1, 1);
    struct xt_partners *first = load(NULL);
    assert_int_equal(unlink(deployment_path("partners/alpha.json")), 0);
    struct xt_partners *second = load(first);
    assert_string_equal(reported, "");
    assert_int_equal(xt_partners_count(second), 0);
    assert_holder(first, 1, "alpha"); /* the old set is as it was */
    xt_partners_free(first);
    xt_partners_free(second);
}

static void saving_refuses_what_is_there_unless_told_to_replace(void **state)
{
    (void)state;
    struct xt_partner partner = make_partner("alpha", 1, 1);
    assert_int_equal(xt_partner_save(deployment(), &partner, false, &failure), XT_OK);
    partner.rights = XT_RIGHT_PER_CLAIM;
    assert_int_equal(xt_partner_save(deployment(), &partner, false, &failure), XT_EXISTS);
    assert_null(strstr(read_text("partners/alpha.json"), "per_claim"));
    assert_int_equal(xt_partner_save(deployment(), &partner, true, &failure), XT_OK);
    assert_non_null(strstr(read_text("partners/alpha.json"), "per_claim"));
    assert_int_equal(count_names("partners", ""), 1);
}

static void a_folder_or_a_huge_file_in_the_place_of_one_is_refused(void **state)
{
    (void)state;
    assert_int_equal(mkdir(deployment_path("partners/folder.json"), 0700), 0);
    write_text("partners/huge.json", "");
    assert_int_equal(truncate(deployment_path("partners/huge.json"), XT_PARTNER_JSON_MAX + 1), 0);
    assert_int_equal(mkfifo(deployment_path("partners/pipe.json"), 0600), 0);
    struct xt_partners *partners = load(NULL);
    assert_non_null(strstr(reported, "folder.json: "));
    assert_non_null(strstr(reported, "huge.json: "));
    assert_non_null(strstr(reported, "pipe.json: "));
    assert_int_equal(xt_partners_count(partners), 0);
    xt_partners_free(partners);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, deployment_make, deployment_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(partners_are_found_by_each_of_their_certificates),
        EACH(no_partners_are_a_set_too),
        EACH(a_bad_file_is_named_and_its_version_before_stays),
        EACH(a_file_must_be_called_after_its_partner),
        EACH(a_refused_file_takes_nobody_along),
        EACH(a_quota_beyond_what_can_be_kept_is_refused),
        EACH(of_two_new_ones_with_a_certificate_neither_is_served),
        EACH(a_certificate_stays_with_whom_it_is),
        EACH(certificates_move_in_one_reload),
        EACH(a_refusal_takes_back_what_others_had_taken),
        EACH(of_two_who_take_what_is_free_neither_gets_it),
        EACH(too_many_leave_out_new_ones_only),
        EACH(a_file_that_is_gone_takes_its_partner_with_it),
        EACH(saving_refuses_what_is_there_unless_told_to_replace),
        EACH(a_folder_or_a_huge_file_in_the_place_of_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
