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

static void a_quota_that_would_not_be_kept_is_refused(void **state)
{
    (void)state;
    struct xt_partner partner = make_partner("quota", 1, 1);
    partner.daily_quota = 5000;
    assert_int_equal(xt_partner_save(deployment(), &partner, true, &failure), XT_OK);
    struct xt_partners *partners = load(NULL);
    assert_non_null(strstr(reported, "quota.json: daily_quota is not enforced"));
    assert_int_equal(xt_partners_count(partners), 0);
    xt_partners_free(partners);
}

static void the_second_with_a_certificate_is_refused(void **state)
{
    (void)state;
    save("alpha", 1, 2);
    save("beta", 2, 2); /* 2 is alpha's */
    save("gamma", 3, 1);
    struct xt_partners *partners = load(NULL);
    assert_non_null(
        strstr(reported, "beta.json: one of its certificates is already that of alpha"));
    assert_holder(partners, 2, "alpha");
    assert_holder(partners, 3, "gamma"); /* nothing of beta was kept */
    xt_partners_free(partners);
}

static void a_stolen_certificate_does_not_unseat_the_version_before(void **state)
{
    (void)state;
    save("alpha", 1, 1);
    save("beta", 5, 1);
    struct xt_partners *first = load(NULL);
    save("beta", 1, 1); /* now wants alpha's */
    struct xt_partners *second = load(first);
    assert_non_null(strstr(reported, "version before stays"));
    assert_holder(second, 1, "alpha");
    assert_holder(second, 5, "beta");
    save("alpha", 5, 1); /* and alpha, who comes first, takes beta's: beta has nothing left */
    struct xt_partners *third = load(second);
    assert_holder(third, 5, "alpha");
    assert_holder(third, 1, "beta");
    xt_partners_free(first);
    xt_partners_free(second);
    xt_partners_free(third);
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
        EACH(a_quota_that_would_not_be_kept_is_refused),
        EACH(the_second_with_a_certificate_is_refused),
        EACH(a_stolen_certificate_does_not_unseat_the_version_before),
        EACH(a_file_that_is_gone_takes_its_partner_with_it),
        EACH(saving_refuses_what_is_there_unless_told_to_replace),
        EACH(a_folder_or_a_huge_file_in_the_place_of_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
