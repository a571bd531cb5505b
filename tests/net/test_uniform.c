/* Who is unknown, deceased, missing or cancelled is answered as a living person of whom every claim
 * mismatches: byte for byte, but for the answer's id and the time. The real binary over real TLS. */
#include <stdlib.h>
#include <string.h>

#include "tests/net/deployment.h"
#include "tests/test.h"

static struct server server;

/* Rights that must not see a difference; "wide" of the deployment has `existence`. */
static const struct {
    const char *name, *rights;
} partners[] = {
    {"plain", NULL},
    {"claims", "per_claim"},
    {"cards", "card_state"},
    {"both", "per_claim,card_state"},
    {"advised", "per_claim,card_state,advisory"},
};
#define PARTNERS (sizeof(partners) / sizeof(partners[0]))

#define ALL_CLAIMS                                                                                 \
    "full_name,date_of_birth,sex,phone,card_issued_on,card_expires_on,old_id,province,"            \
    "health_insurance,social_insurance,driving_licence,vehicle,passport,tax"

/* ---- who is asked about ---- */

struct subject {
    const char *what;
    char id[16]; /* as asked */
    char full_name[256], date_of_birth[16], old_id[16];
    bool right; /* the name and the birth date are the person's own */
};

/* A string member's value, "" where it is not there. */
static void member_or_nothing(const char *line, const char *name, char *text, size_t size)
{
    char needle[64];
    snprintf(needle, sizeof(needle), "\"%s\":\"", name);
    text[0] = '\0';
    if (strstr(line, needle) != NULL) {
        member_of(line, name, text, size);
    }
}

/* The first person from *from on whose line has all of these. */
static struct subject find(unsigned *from, const char *what, const char *one, const char *other,
                           const char *third)
{
    struct subject subject = {.what = what, .right = true};
    for (;;) {
        char *line = person_line((*from)++);
        bool fits =
            strstr(line, one) != NULL && strstr(line, other) != NULL && strstr(line, third) != NULL;
        if (fits) {
            member_of(line, "id", subject.id, sizeof(subject.id));
            member_of(line, "full_name", subject.full_name, sizeof(subject.full_name));
            member_of(line, "date_of_birth", subject.date_of_birth, sizeof(subject.date_of_birth));
            member_or_nothing(line, "old_id", subject.old_id, sizeof(subject.old_id));
        }
        free(line);
        if (fits && strlen(subject.date_of_birth) == 10) {
            return subject;
        }
    }
}

static void make_wrong(struct subject *subject, const char *what, const char *id)
{
    subject->what = what;
    subject->right = false;
    memmove(subject->id, id, strlen(id) + 1); /* may be its own */
    strcpy(subject->full_name, "Thạch Ngọc Khuê Tường");
    strcpy(subject->date_of_birth, "1931-02-03");
}

/* A CMND that two living people hold. */
static void find_shared_cmnd(char *cmnd, size_t size)
{
    static char seen[20000][10];
    unsigned count = 0;
    for (unsigned n = 0; n < 20000; n++) {
        char *line = person_line(n);
        char text[16];
        member_or_nothing(line, "old_id", text, sizeof(text));
        bool counts = text[0] != '\0' && strstr(line, "\"cancelled\"") == NULL;
        free(line);
        for (unsigned i = count; counts && i > 0 && i + 200 > count; i--) { /* twins are near */
            if (strcmp(seen[i - 1], text) == 0) {
                snprintf(cmnd, size, "%s", text);
                return;
            }
        }
        if (counts) {
            snprintf(seen[count++], sizeof(seen[0]), "%.9s", text);
        }
    }
    fail_msg("nobody shares a CMND");
}

#define SUBJECTS 10
#define ALIVE "\"status\":\"alive\""
#define FEMALE "\"sex\":\"female\""       /* the QR below says otherwise */
static struct subject subjects[SUBJECTS]; /* the first: alive, and nothing matches */

static void choose_subjects(void)
{
    unsigned from = 0;
    char text[16];
    struct subject *next = subjects;
    *next = find(&from, "", ALIVE, FEMALE, "\"state\":\"active\"");
    make_wrong(next, "alive and wrong", next->id);
    *++next = find(&from, "", ALIVE, FEMALE, "\"old_id\"");
    snprintf(text, sizeof(text), "%s", next->old_id);
    make_wrong(next, "alive and wrong, by CMND", text);
    from = 0;
    *++next = find(&from, "", ALIVE, FEMALE, "\"replaced_numbers\":[\"");
    char *line = person_line(from - 1);
    snprintf(text, sizeof(text), "%.12s",
             strstr(line, "\"replaced_numbers\":[\"") + strlen("\"replaced_numbers\":[\""));
    free(line);
    make_wrong(next, "alive and wrong, by a replaced number", text);
    make_wrong(++next, "unknown", "001099999998");
    make_wrong(++next, "an unknown CMND", "999999998");
    find_shared_cmnd(text, sizeof(text));
    make_wrong(++next, "a CMND of two", text);
    from = 0;
    *++next = find(&from, "deceased", "\"status\":\"deceased\"", "", "");
    from = 0;
    *++next = find(&from, "missing", "\"status\":\"missing\"", "", "");
    from = 0;
    *++next = find(&from, "cancelled", "\"status\":\"cancelled\"", "", "");
    from = 0;
    *++next = find(&from, "deceased, by CMND", "\"status\":\"deceased\"", "\"old_id\"", "");
    snprintf(next->id, sizeof(next->id), "%.9s", next->old_id);
    assert_ptr_equal(next, &subjects[SUBJECTS - 1]);
}

static int set_up(void **state)
{
    if (deployment_make(state) != 0) {
        return 1;
    }
    for (unsigned i = 0; i < PARTNERS; i++) {
        const char *option = partners[i].rights != NULL ? "--right" : NULL;
        if (run(xacthuc(), "partner", "add", deployment("DIR"), partners[i].name, "--purpose",
                "demo.verify", "--claims", ALL_CLAIMS, "--issue", deployment("issued"), option,
                partners[i].rights, NULL) != 0) {
            return 1;
        }
    }
    server_start(&server, NULL);
    choose_subjects();
    return 0;
}

static int tear_down(void **state)
{
    int status = server_stop(&server);
    return deployment_remove(state) == 0 && status == 0 ? 0 : 1;
}

/* ---- asking ---- */

enum form { SOME, MANY, FUZZY, QR };

static const char *body_of(const struct subject *subject, enum form form)
{
    static char body[2048];
    const char *born = subject->date_of_birth;
    char claims[1024];
    if (form == QR) {
        snprintf(body, sizeof(body),
                 "{\"txn\":\"t\",\"purpose\":\"demo.verify\",\"qr\":\"%s|012345678|%s|%.2s%.2s%.4s|"
                 "Nam|Số 1|01022021\"}",
                 subject->id, subject->full_name, born + 8, born + 5, born);
        return body;
    }
    snprintf(claims, sizeof(claims), "\"full_name\":\"%s\",\"date_of_birth\":\"%s\"",
             subject->full_name, born);
    if (form == MANY) {
        size_t used = strlen(claims);
        snprintf(claims + used, sizeof(claims) - used,
                 ",\"phone\":\"0399999999\",\"card_issued_on\":\"1971-02-03\","
                 "\"card_expires_on\":\"1981-02-03\",\"health_insurance\":\"DN0000000000001\","
                 "\"passport\":\"Z0000001\",\"tax\":\"0000000001\"");
    }
    snprintf(body, sizeof(body),
             "{\"txn\":\"t\",\"id\":\"%s\",\"purpose\":\"demo.verify\",\"claims\":{%s}%s}",
             subject->id, claims, form == FUZZY ? ",\"match\":{\"full_name\":\"fuzzy\"}" : "");
    return body;
}

/* Crosses out what is never the same twice. */
static void cross_out(char *text, const char *before, char until)
{
    char *at = strstr(text, before);
    assert_non_null(at);
    for (at += strlen(before); *at != until; at++) {
        assert_true(*at != '\0');
        *at = '#';
    }
}

/* All bytes of the answer; the caller frees it. */
static char *answer_to(struct test_client *client, const struct subject *subject, enum form form)
{
    struct test_response response;
    char *whole = NULL;
    if (verify(client, body_of(subject, form), &response) != 200) {
        fail_msg("%s: %s", body_of(subject, form), response.body);
    }
    cross_out(response.head, "Date: ", '\r');
    cross_out(response.body, "\"answer_id\":\"", '"');
    cross_out(response.body, "\"answered_at\":\"", '"');
    assert_true(asprintf(&whole, "%s%s", response.head, response.body) > 0);
    test_response_release(&response);
    return whole;
}

static bool fits(const struct subject *subject, enum form form)
{
    return form != QR || strlen(subject->id) == 12; /* a card shows no CMND as its number */
}

static void nobody_without_existence_sees_a_difference(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PARTNERS; p++) {
        struct test_client *client = connect_as(&server, partners[p].name);
        for (enum form form = SOME; form <= QR; form++) {
            bool advised = partners[p].rights != NULL && strstr(partners[p].rights, "advisory");
            if (form == FUZZY && !advised) {
                continue;
            }
            char *expected = answer_to(client, &subjects[0], form);
            assert_non_null(strstr(expected, "\"verdict\":\"not_verified\""));
            assert_null(strstr(expected, "\"match\""));
            for (unsigned i = 1; i < SUBJECTS; i++) {
                if (!fits(&subjects[i], form)) {
                    continue;
                }
                char *answer = answer_to(client, &subjects[i], form);
                if (strcmp(answer, expected) != 0) {
                    fail_msg("partner %s, form %d, %s:\n%s\nin place of\n%s", partners[p].name,
                             (int)form, subjects[i].what, answer, expected);
                }
                free(answer);
            }
            free(expected);
        }
        test_client_close(client);
    }
}

/* So that the test above can fail: the claims of who is gone are right, and existence is told so. */
static void existence_sees_them_all(void **state)
{
    (void)state;
    struct test_client *client = connect_as(&server, "wide");
    char *expected = answer_to(client, &subjects[0], SOME);
    for (unsigned i = 1; i < SUBJECTS; i++) {
        char *answer = answer_to(client, &subjects[i], SOME);
        bool alive = strncmp(subjects[i].what, "alive", 5) == 0;
        assert_int_equal(strstr(answer, "\"reason\":\"") == NULL, alive);
        if (subjects[i].right) {
            assert_non_null(
                strstr(answer, "\"claims\":{\"full_name\":\"match\",\"date_of_birth\":\"match\"}"));
        }
        free(answer);
    }
    free(expected);
    test_client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_without_existence_sees_a_difference),
        cmocka_unit_test(existence_sees_them_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
