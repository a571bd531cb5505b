/* The synthetic population: the same everywhere, unique where it says so, with the stated shares. */
#include "tests/test.h"

#include "bench/population.h"
#include "bench/resident_text.h"
#include "core/province.h"
#include "crypto/holder_check.h"

#include <stdlib.h>

#define MANY 1000000U
#define SAMPLE 50000U

static struct xt_population *open_population(uint64_t seed, uint64_t count)
{
    struct xt_population *population = NULL;
    assert_int_equal(xt_population_open(seed, count, &population), XT_OK);
    return population;
}

static struct xt_span line_of(const struct xt_population *population, uint64_t index, bool full,
                              char line[XT_RESIDENT_LINE_MAX])
{
    struct xt_resident person;
    struct xt_resident_more more;
    struct xt_writer writer = xt_writer_over(line, XT_RESIDENT_LINE_MAX);
    xt_population_person(population, index, &person);
    if (full) {
        xt_population_more(population, &person, &more);
    }
    xt_resident_to_json(&person, full ? &more : NULL, &writer);
    assert_false(writer.overflow);
    return xt_written(&writer);
}

static void any_order_gives_the_same_people(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static char lines[COUNT][1024];
    char line[XT_RESIDENT_LINE_MAX];
    struct xt_population *first = open_population(7, COUNT), *second = open_population(7, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct xt_span text = line_of(first, i, false, line);
        assert_true(text.size < sizeof(lines[0]));
        memcpy(lines[i], text.data, text.size);
    }
    for (unsigned i = COUNT; i-- > 0;) {
        struct xt_span text = line_of(second, (uint64_t)i * 7 % COUNT, false, line);
        assert_memory_equal(text.data, lines[(uint64_t)i * 7 % COUNT], text.size);
    }
    xt_population_close(first);
    xt_population_close(second);
}

/* Pins the output of one seed: a machine on which it differs is wrong, and so is a change that was
 * not meant to make other people. Change the constant only with a change that was. */
static void seed_one_gives_the_people_it_always_gave(void **state)
{
    (void)state;
    char line[XT_RESIDENT_LINE_MAX];
    uint64_t digest = 14695981039346656037U; /* FNV-1a */
    struct xt_population *population = open_population(1, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        struct xt_span text = line_of(population, i, true, line);
        for (size_t at = 0; at < text.size; at++) {
            digest = (digest ^ text.data[at]) * 1099511628211U;
        }
    }
    assert_int_equal(digest, 0xe6fb376bdaea9541);
    xt_population_close(population);
}

static void another_seed_gives_other_people(void **state)
{
    (void)state;
    struct xt_population *one = open_population(1, SAMPLE), *two = open_population(2, SAMPLE);
    unsigned same = 0;
    for (unsigned i = 0; i < SAMPLE; i++) {
        struct xt_resident a, b;
        xt_population_person(one, i, &a);
        xt_population_person(two, i, &b);
        same += a.number == b.number || a.date_of_birth == b.date_of_birth;
    }
    assert_true(same < SAMPLE / 200);
    xt_population_close(one);
    xt_population_close(two);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

struct column {
    uint64_t *values;
    size_t count;
};

static struct column new_column(size_t most)
{
    struct column column = {malloc(most * sizeof(uint64_t)), 0};
    assert_non_null(column.values);
    return column;
}

static void sort_column(struct column *column)
{
    qsort(column->values, column->count, sizeof(uint64_t), compare_numbers);
}

static bool column_has(const struct column *column, uint64_t value)
{
    return bsearch(&value, column->values, column->count, sizeof(uint64_t), compare_numbers) !=
           NULL;
}

static size_t count_repeats(const struct column *column)
{
    size_t repeats = 0;
    for (size_t i = 1; i < column->count; i++) {
        repeats += column->values[i] == column->values[i - 1];
    }
    return repeats;
}

static void numbers_are_unique_and_agree_with_the_record(void **state)
{
    (void)state;
    struct xt_population *population = open_population(1, MANY);
    struct column numbers = new_column(MANY), replaced = new_column(MANY);
    struct xt_resident person;
    for (uint64_t i = 0; i < MANY; i++) {
        xt_population_person(population, i, &person);
        struct xt_number_facts facts = xt_number_facts(person.number);
        assert_int_equal(facts.birth_year, xt_date_year(person.date_of_birth));
        assert_int_equal(facts.sex, person.sex);
        assert_int_equal(facts.place, xt_province_at(person.birth_province)->code);
        numbers.values[numbers.count++] = person.number;
        assert_int_equal(person.has_replaced, xt_population_has_replaced(population, i));
        if (person.has_replaced) {
            replaced.values[replaced.count++] = person.replaced;
        }
    }
    sort_column(&numbers);
    sort_column(&replaced);
    assert_int_equal(count_repeats(&numbers), 0);
    assert_in_range(replaced.count, MANY / 1000 - 200, MANY / 1000 + 200);
    assert_int_equal(count_repeats(&replaced), 0);
    for (size_t i = 0; i < replaced.count; i++) {
        assert_false(column_has(&numbers, replaced.values[i]));
    }
    for (uint64_t i = 0; i < 100000; i++) {
        xt_population_person(population, i, &person);
        uint64_t unknown = xt_population_unknown_number(population, &person, i);
        assert_false(column_has(&numbers, unknown) || column_has(&replaced, unknown));
        assert_int_equal(unknown / 1000000, person.number / 1000000);
    }
    free(numbers.values);
    free(replaced.values);
    xt_population_close(population);
}

static void aliases_are_held_by_one_or_by_exactly_two(void **state)
{
    (void)state;
    struct xt_population *population = open_population(3, MANY);
    struct column cmnds = new_column(MANY), phones = new_column(2 * MANY);
    struct xt_resident person;
    size_t shared = 0, adults = 0, adult_phones = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        xt_population_person(population, i, &person);
        assert_int_equal(person.cmnd_shared, xt_population_cmnd_is_shared(population, i));
        assert_int_equal(person.life, xt_population_life(population, i));
        if (person.has_cmnd) {
            assert_true(person.birth_year <= XT_CMND_LAST_YEAR);
            cmnds.values[cmnds.count++] = person.cmnd;
            shared += person.cmnd_shared;
        }
        for (unsigned p = 0; p < person.phone_count; p++) {
            phones.values[phones.count++] = person.phones[p];
        }
        adults += person.age >= 18;
        adult_phones += person.age >= 18 ? person.phone_count : 0;
    }
    sort_column(&cmnds);
    sort_column(&phones);
    assert_in_range(shared, 300, 4000);
    assert_int_equal(count_repeats(&cmnds) * 2, shared);
    for (size_t i = 2; i < cmnds.count; i++) {
        assert_true(cmnds.values[i] != cmnds.values[i - 2]);
    }
    size_t repeats = count_repeats(&phones);
    assert_in_range(repeats, phones.count / 1000, phones.count / 50);
    assert_in_range(adult_phones * 100 / adults, 118, 122);
    for (uint64_t i = 0; i < 100000; i++) {
        assert_false(column_has(&cmnds, xt_population_unknown_cmnd(population, i)));
        assert_false(column_has(&phones, xt_population_unknown_phone(population, i)));
    }
    free(cmnds.values);
    free(phones.values);
    xt_population_close(population);
}

/* Pearson's statistic against its mean (the degrees of freedom) plus six standard deviations; a
 * share that is off by a tenth in any larger bin is far beyond that at these counts. */
static void assert_fits(const uint64_t *observed, const double *shares, unsigned bins,
                        const char *what)
{
    double total = 0, share_sum = 0, statistic = 0;
    for (unsigned i = 0; i < bins; i++) {
        total += (double)observed[i];
        share_sum += shares[i];
    }
    for (unsigned i = 0; i < bins; i++) {
        double expected = total * shares[i] / share_sum;
        double off = (double)observed[i] - expected;
        assert_true(expected > 5);
        statistic += off * off / expected;
    }
    double degrees = bins - 1;
    double slack = statistic - degrees;
    if (slack > 0 && slack * slack > 36 * 2 * degrees) {
        fail_msg("%s: chi-square %.1f with %.0f degrees of freedom", what, statistic, degrees);
    }
}

/* |observed - expected| within six standard deviations of a binomial. */
static void assert_share(uint64_t observed, uint64_t total, double share, const char *what)
{
    double expected = (double)total * share;
    double off = (double)observed - expected;
    if (off * off > 36 * expected * (1 - share) + 1) {
        fail_msg("%s: %.4f instead of %.4f", what, (double)observed / (double)total, share);
    }
}

static void provinces_sexes_and_ages_have_their_weights(void **state)
{
    (void)state;
    static const double ages[18] = {8.2, 8.5, 7.6, 6.9, 7.0, 8.5, 8.5, 7.9, 7.1,
                                    6.6, 6.0, 5.3, 4.2, 2.9, 1.7, 1.3, 1.0, 0.8};
    static const double sexes[2] = {49.8, 50.2};
    static uint64_t of_province[XT_PROVINCE_COUNT], of_age[18], of_sex[2], of_tail[100];
    double provinces[XT_PROVINCE_COUNT], tails[100];
    struct xt_population *population = open_population(11, MANY);
    struct xt_resident person;
    for (uint64_t i = 0; i < MANY; i++) {
        xt_population_person(population, i, &person);
        of_province[person.birth_province - 1]++;
        of_age[person.age < 85 ? person.age / 5 : 17]++;
        of_sex[person.sex == XT_SEX_FEMALE]++;
        of_tail[person.number % 1000000 / 10000]++;
    }
    for (unsigned i = 0; i < XT_PROVINCE_COUNT; i++) {
        provinces[i] = xt_province_at(i + 1)->population;
    }
    for (unsigned i = 0; i < 100; i++) {
        tails[i] = 1;
    }
    assert_fits(of_province, provinces, XT_PROVINCE_COUNT, "provinces");
    assert_fits(of_age, ages, 18, "ages");
    assert_fits(of_sex, sexes, 2, "sexes");
    assert_fits(of_tail, tails, 100, "random digits");
    xt_population_close(population);
}

static bool starts(const struct xt_text *text, const char *with)
{
    return strlen(with) <= text->size && memcmp(text->data, with, strlen(with)) == 0;
}

static bool ends(const struct xt_text *text, const char *with)
{
    size_t size = strlen(with);
    return size <= text->size && memcmp(text->data + text->size - size, with, size) == 0;
}

static void names_have_their_frequencies(void **state)
{
    (void)state;
    static const double tokens[3] = {4, 69, 27};
    struct xt_population *population = open_population(12, MANY);
    struct xt_resident person;
    uint64_t counted[3] = {0}, all = 0, women = 0, men = 0;
    uint64_t nguyen = 0, vi = 0, y = 0, thi = 0, van = 0, anh = 0, linh = 0, hung = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        xt_population_person(population, i, &person);
        bool female = person.sex == XT_SEX_FEMALE;
        y += person.minority_name;
        if (person.minority_name) {
            continue;
        }
        const char *middle = memchr(person.full_name.data, ' ', person.full_name.size);
        unsigned spaces = 0;
        for (unsigned at = 0; at < person.full_name.size; at++) {
            spaces += person.full_name.data[at] == ' ';
        }
        assert_non_null(middle);
        /* Rơ Châm is one family name of two tokens. */
        counted[spaces - 1 - (strcmp(person.family, "Rơ Châm") == 0)]++;
        all++;
        nguyen += starts(&person.full_name, "Nguyễn ");
        vi += starts(&person.full_name, "Vi ");
        anh += ends(&person.full_name, " Anh");
        linh += ends(&person.full_name, " Linh");
        hung += ends(&person.full_name, " Hùng");
        women += female && spaces >= 2;
        men += !female && spaces >= 2;
        thi += female && spaces >= 2 && memcmp(middle, " Thị ", 5) == 0;
        van += !female && spaces >= 2 && memcmp(middle, " Văn ", 5) == 0;
    }
    assert_fits(counted, tokens, 3, "tokens");
    assert_share(y, MANY, .006, "Y and H'");
    assert_share(nguyen, MANY, .31, "Nguyễn");
    assert_share(vi, MANY, .003, "Vi");
    assert_share(thi, women, .51, "Thị");
    assert_share(van, men, .24, "Văn");
    /* A given name is drawn again when it repeats a token before it: a little under its weight. */
    assert_in_range(anh * 10000 / all, 325, 345);
    assert_in_range(linh * 10000 / all, 212, 228);
    assert_in_range(hung * 10000 / all, 112, 126);
    xt_population_close(population);
}

static void lives_cards_and_accounts_have_their_shares(void **state)
{
    (void)state;
    struct xt_population *population = open_population(13, MANY);
    struct xt_resident person;
    uint64_t lives[4] = {0}, eligible = 0, cards = 0, not_active = 0, old = 0, january = 0;
    uint64_t partial = 0, accounts = 0, locked = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        xt_population_person(population, i, &person);
        lives[person.life]++;
        if (person.age >= 15) {
            eligible++;
            cards += person.card_state != XT_CARD_NONE;
        }
        if (person.card_state != XT_CARD_NONE) {
            assert_in_range(xt_date_year(person.card_issued_on), 2021, 2025);
            assert_true(xt_date_is_full(person.card_issued_on));
            assert_int_equal(person.card_expires_on,
                             xt_card_expiry(person.date_of_birth, person.card_issued_on));
            assert_true(person.card_issued_on >= xt_date_add_years(person.date_of_birth, 14));
            not_active += person.card_state != XT_CARD_ACTIVE;
        }
        if (person.birth_year < 1960) {
            old++;
            january += xt_date_is_full(person.date_of_birth) &&
                       (person.date_of_birth & 511U) == (1U << 5 | 1U);
            partial += !xt_date_is_full(person.date_of_birth);
        }
        accounts += person.account_level > 0;
        locked += person.locks != 0;
    }
    assert_in_range(lives[XT_LIFE_ALIVE], MANY / 1000 * 983, MANY / 1000 * 989);
    assert_share(lives[XT_LIFE_MISSING], MANY, .001, "missing");
    assert_share(lives[XT_LIFE_CANCELLED], MANY, .002, "cancelled");
    assert_in_range(lives[XT_LIFE_DECEASED], MANY / 1000 * 9, MANY / 1000 * 13);
    assert_in_range(cards * 1000 / eligible, 880, 900);
    assert_share(not_active, cards, .015, "cards not active");
    assert_in_range(january * 1000 / old, 170, 195); /* 18 % and the usual 1/365 */
    assert_share(partial, old, .05, "dates not fully known");
    assert_in_range(accounts * 100 / eligible, 53, 57);
    assert_in_range(locked, accounts / 200, accounts / 25);
    xt_population_close(population);
}

static void every_person_is_accepted_by_the_import_format(void **state)
{
    (void)state;
    static uint8_t memory[XT_PERSON_JSON_ARENA];
    struct xt_json_arena arena = {memory, sizeof(memory)};
    struct xt_population *population = open_population(14, SAMPLE);
    static struct xt_person read;
    unsigned devices = 0, unlocked = 0;
    unsigned keys = 0;
    for (unsigned full = 0; full < 2; full++) {
        for (uint64_t i = 0; i < SAMPLE; i++) {
            char line[XT_RESIDENT_LINE_MAX];
            struct xt_resident person;
            struct xt_resident_more more;
            struct xt_reject reject = {0};
            unsigned which;
            struct xt_span text = line_of(population, i, full == 1, line);
            assert_int_equal(text.data[text.size - 1], '\n');
            text.size--;
            if (xt_person_from_json(text, arena, &read, &reject) != XT_OK) {
                fail_msg("%s at %s: %.*s", reject.code, reject.pointer, (int)text.size, line);
            }
            xt_population_person(population, i, &person);
            assert_int_equal(read.number, person.number);
            assert_int_equal(read.full_name.size, person.full_name.size);
            assert_memory_equal(read.full_name.data, person.full_name.data, person.full_name.size);
            assert_int_equal(read.date_of_birth, person.date_of_birth);
            assert_int_equal(read.sex, person.sex);
            assert_int_equal(read.life, person.life);
            assert_int_equal(read.has_cmnd, person.has_cmnd);
            assert_int_equal(read.cmnd, person.cmnd);
            assert_int_equal(read.replaced_count, person.has_replaced);
            assert_int_equal(read.address_province, person.province);
            assert_int_equal(read.card_state, person.card_state);
            assert_int_equal(read.card_issued_on, person.card_issued_on);
            assert_int_equal(read.card_expires_on, person.card_expires_on);
            assert_int_equal(read.phone_count, person.phone_count);
            for (unsigned p = 0; p < person.phone_count; p++) {
                assert_int_equal(read.phones[p], person.phones[p]);
            }
            assert_int_equal(read.account_level, person.account_level);
            assert_int_equal(read.locks, person.locks);
            if (full == 1) {
                xt_population_more(population, &person, &more);
                assert_int_equal(read.link_count, more.link_count);
                assert_int_equal(read.device_count, more.has_device);
                if (more.has_device) {
                    devices++;
                    unlocked += read.devices[0].unlocked_by != XT_UNLOCK_NONE;
                    assert_true((more.unlocked_by == NULL) ==
                                (read.devices[0].unlocked_by == XT_UNLOCK_NONE));
                }
                assert_int_equal(xt_holder_check_person(&read, &which), XT_OK);
                keys += read.device_count + (read.card_public_key.size > 0);
                assert_int_equal(read.ethnicity.size, strlen(more.ethnicity));
            }
        }
    }
    assert_in_range(unlocked * 100 / devices, 60, 70);
    assert_true(keys > SAMPLE / 2);
    xt_population_close(population);
}

/* Splits one line of ours: quotes only around whole fields, none inside. */
static unsigned split(char *line, struct xt_span *fields)
{
    unsigned count = 0;
    for (char *at = line;; at++) {
        char *from = at;
        if (*at == '"') {
            from = ++at;
            at = strchr(at, '"');
            fields[count++] = xt_span_of(from, (size_t)(at - from));
            at++;
        } else {
            at += strcspn(at, ",\n");
            fields[count++] = xt_span_of(from, (size_t)(at - from));
        }
        if (*at == '\n') {
            return count;
        }
    }
}

static void csv_says_the_same_as_json(void **state)
{
    (void)state;
    static struct xt_person read;
    struct xt_population *population = open_population(15, SAMPLE);
    for (unsigned full = 0; full < 2; full++) {
        char line[XT_RESIDENT_LINE_MAX];
        struct xt_span fields[XT_PERSON_CSV_COLUMNS_MAX];
        struct xt_person_columns columns;
        struct xt_reject reject = {0};
        struct xt_writer writer = xt_writer_over(line, sizeof(line));
        xt_resident_csv_header(full == 1, &writer);
        unsigned count = split(line, fields);
        assert_int_equal(xt_person_csv_header(fields, count, &columns, &reject), XT_OK);
        for (uint64_t i = 0; i < SAMPLE / 10; i++) {
            struct xt_resident person;
            struct xt_resident_more more;
            xt_population_person(population, i, &person);
            xt_population_more(population, &person, &more);
            writer = xt_writer_over(line, sizeof(line));
            xt_resident_to_csv(&person, full == 1 ? &more : NULL, &writer);
            assert_int_equal(split(line, fields), count);
            if (xt_person_from_csv(&columns, fields, count, &read, &reject) != XT_OK) {
                fail_msg("%s at %s: %s", reject.code, reject.pointer, line);
            }
            assert_int_equal(read.number, person.number);
            assert_int_equal(read.cmnd, person.cmnd);
            assert_int_equal(read.card_expires_on, person.card_expires_on);
            assert_int_equal(read.phone_count, person.phone_count);
            assert_int_equal(read.locks, person.locks);
            assert_int_equal(read.account_level, person.account_level);
        }
    }
    xt_population_close(population);
}

static void smallest_and_largest_populations_work(void **state)
{
    (void)state;
    struct xt_population *population = NULL;
    assert_int_equal(xt_population_open(1, 0, &population), XT_INVALID);
    assert_int_equal(xt_population_open(1, XT_POPULATION_MAX + 1ULL, &population), XT_INVALID);
    for (uint64_t count = 1; count < 40; count++) {
        uint64_t numbers[40];
        population = open_population(count, count);
        for (uint64_t i = 0; i < count; i++) {
            struct xt_resident person;
            xt_population_person(population, i, &person);
            numbers[i] = person.number;
            for (uint64_t before = 0; before < i; before++) {
                assert_true(numbers[before] != numbers[i]);
            }
        }
        xt_population_close(population);
    }
    population = open_population(1, XT_POPULATION_MAX); /* its cells must all have room */
    for (uint64_t i = 0; i < 10000; i++) {
        struct xt_resident person;
        xt_population_person(population, XT_POPULATION_MAX - 1 - i * 14999, &person);
        assert_int_equal(xt_number_facts(person.number).birth_year, person.birth_year);
    }
    xt_population_close(population);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_gives_the_same_people),
        cmocka_unit_test(seed_one_gives_the_people_it_always_gave),
        cmocka_unit_test(another_seed_gives_other_people),
        cmocka_unit_test(numbers_are_unique_and_agree_with_the_record),
        cmocka_unit_test(aliases_are_held_by_one_or_by_exactly_two),
        cmocka_unit_test(provinces_sexes_and_ages_have_their_weights),
        cmocka_unit_test(names_have_their_frequencies),
        cmocka_unit_test(lives_cards_and_accounts_have_their_shares),
        cmocka_unit_test(every_person_is_accepted_by_the_import_format),
        cmocka_unit_test(csv_says_the_same_as_json),
        cmocka_unit_test(smallest_and_largest_populations_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
