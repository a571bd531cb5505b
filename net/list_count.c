#include "net/list_count.h"

static const char *const CARDS[4] = {"expired", "lost", "revoked", "none"};
static const char *const REASONS[4] = {"unknown", "deceased", "missing", "cancelled"};

/* ---- counting ----------------------------------------------------------------------------------- */

static void count_word(uint64_t counts[4], const char *const words[4], struct xt_span word)
{
    for (unsigned i = 0; i < 4; i++) {
        counts[i] += word.size > 0 && xt_span_is(word, words[i]);
    }
}

static void count_problem(struct xt_list_counts *counts, const struct xt_list_answer *answer)
{
    char name[XT_LIST_PROBLEM_MAX];
    unsigned at = 0;
    (void)snprintf(name, sizeof(name), "%.*s%s%.*s%s%.*s", (int)answer->code.size,
                   (const char *)answer->code.data, answer->what.size > 0 ? " " : "",
                   (int)answer->pointer.size, (const char *)answer->pointer.data,
                   answer->what.size > 0 ? " " : "", (int)answer->what.size,
                   (const char *)answer->what.data);
    while (at < counts->problems && strcmp(counts->problem[at].name, name) != 0) {
        at++;
    }
    if (at == counts->problems) {
        if (at == XT_LIST_PROBLEMS) {
            at--;
            (void)snprintf(name, sizeof(name), "other");
        } else {
            counts->problems++;
            counts->problem[at].count = 0;
        }
        memcpy(counts->problem[at].name, name, sizeof(name));
    }
    counts->problem[at].count++;
}

void xt_list_count(struct xt_list_counts *counts, const struct xt_list_answer *answer)
{
    counts->lines++;
    for (unsigned i = 0; answer->suggestions != 0 && i < XT_SUGGEST_COUNT; i++) {
        counts->suggestions[i] += (answer->suggestions & XT_SUGGEST_BIT(i)) != 0;
    }
    if (answer->status != 0) {
        counts->errors++;
        count_problem(counts, answer);
        return;
    }
    counts->verified += answer->verified;
    counts->not_verified += !answer->verified;
    for (uint32_t left = answer->mismatched; left != 0; left &= left - 1) {
        counts->mismatches[__builtin_ctz(left)]++;
    }
    for (uint32_t left = answer->not_held; left != 0; left &= left - 1) {
        counts->not_held[__builtin_ctz(left)]++;
    }
    count_word(counts->cards, CARDS, answer->card);
    count_word(counts->reasons, REASONS, answer->reason);
}

/* ---- telling ------------------------------------------------------------------------------------ */

static void print_row(FILE *out, const char *before, const char *name, const char *after,
                      uint64_t count)
{
    if (count > 0) {
        char text[XT_LIST_PROBLEM_MAX + 64];
        (void)snprintf(text, sizeof(text), "%s%s%s", before, name, after);
        fprintf(out, "  %-64s %12llu\n", text, (unsigned long long)count);
    }
}

static const char *meaning(enum xt_suggestion suggestion)
{
    static const char *const meanings[XT_SUGGEST_COUNT] = {
        [XT_SUGGEST_NAME_DIACRITICS] = "the name differs only in diacritics",
        [XT_SUGGEST_NAME_ORDER] = "the name is in another order, or joined",
        [XT_SUGGEST_NAME_SIMILAR] = "the name is similar",
        [XT_SUGGEST_DAY_AND_MONTH] = "day and month of birth may be exchanged",
        [XT_SUGGEST_OLD_NUMBER] = "the old 9-digit number was used",
        [XT_SUGGEST_ID_DIGITS] = "a digit of the number is missing",
    };
    return meanings[suggestion];
}

void xt_list_counts_print(const struct xt_list_counts *counts, FILE *out)
{
    fprintf(out, "%-66s %12llu\n", "lines", (unsigned long long)counts->lines);
    fprintf(out, "%-66s %12llu\n", "verified", (unsigned long long)counts->verified);
    fprintf(out, "%-66s %12llu\n", "not verified", (unsigned long long)counts->not_verified);
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        print_row(out, "mismatch: ", xt_claim_name((enum xt_claim)i), "", counts->mismatches[i]);
        print_row(out, "not held: ", xt_claim_name((enum xt_claim)i), "", counts->not_held[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        print_row(out, "person: ", REASONS[i], "", counts->reasons[i]);
    }
    fprintf(out, "%-66s %12llu\n", "not in a form that can be asked, or refused",
            (unsigned long long)counts->errors);
    for (unsigned i = 0; i < counts->problems; i++) {
        print_row(out, "", counts->problem[i].name, "", counts->problem[i].count);
    }
    for (unsigned i = 0; i < 4; i++) {
        print_row(out, "card: ", CARDS[i], "", counts->cards[i]);
    }
    for (unsigned i = 0; i < XT_SUGGEST_COUNT; i++) {
        print_row(out, "perhaps: ", meaning((enum xt_suggestion)i), "", counts->suggestions[i]);
    }
    if (counts->flagged) {
        fprintf(out, "%-66s %12llu\n", "lines that repeat another",
                (unsigned long long)counts->duplicates);
        fprintf(out, "%-66s %12llu\n", "phones on two or more ids",
                (unsigned long long)counts->phones);
        fprintf(out, "%-66s %12llu\n", "ids with more than 3 phones",
                (unsigned long long)counts->documents);
        print_row(out, "", "not compared: too many lines of one id or phone", "",
                  counts->not_compared);
    }
}

/* ,"name":{"key":1,...} of those that are not 0. */
static void print_object(FILE *out, const char *name, const char *const *keys,
                         const uint64_t *values, unsigned count)
{
    const char *between = "";
    fprintf(out, ",\"%s\":{", name);
    for (unsigned i = 0; i < count; i++) {
        if (values[i] > 0) {
            fprintf(out, "%s\"%s\":%llu", between, keys[i], (unsigned long long)values[i]);
            between = ",";
        }
    }
    fputc('}', out);
}

/* A code of the server's stands in it: nothing that would end a string. */
static void print_problems(const struct xt_list_counts *counts, FILE *out)
{
    fputs(",\"problems\":{", out);
    for (unsigned i = 0; i < counts->problems; i++) {
        fputs(i == 0 ? "\"" : ",\"", out);
        for (const char *at = counts->problem[i].name; *at != 0; at++) {
            fputc(*at < ' ' || *at == '"' || *at == '\\' ? '_' : *at, out);
        }
        fprintf(out, "\":%llu", (unsigned long long)counts->problem[i].count);
    }
    fputc('}', out);
}

void xt_list_counts_print_json(const struct xt_list_counts *counts, FILE *out)
{
    const char *claims[XT_CLAIM_COUNT];
    const char *suggestions[XT_SUGGEST_COUNT];
    for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
        claims[i] = xt_claim_name((enum xt_claim)i);
    }
    for (unsigned i = 0; i < XT_SUGGEST_COUNT; i++) {
        suggestions[i] = xt_suggestion_name((enum xt_suggestion)i);
    }
    fprintf(out, "{\"lines\":%llu,\"verified\":%llu,\"not_verified\":%llu,\"errors\":%llu",
            (unsigned long long)counts->lines, (unsigned long long)counts->verified,
            (unsigned long long)counts->not_verified, (unsigned long long)counts->errors);
    print_object(out, "mismatches", claims, counts->mismatches, XT_CLAIM_COUNT);
    print_object(out, "not_held", claims, counts->not_held, XT_CLAIM_COUNT);
    print_object(out, "cards", CARDS, counts->cards, 4);
    print_object(out, "reasons", REASONS, counts->reasons, 4);
    print_problems(counts, out);
    print_object(out, "suggestions", suggestions, counts->suggestions, XT_SUGGEST_COUNT);
    if (counts->flagged) {
        fprintf(out,
                ",\"duplicates\":%llu,\"phones_on_two_ids\":%llu,\"ids_with_more_than_3_phones\":"
                "%llu,\"not_compared\":%llu",
                (unsigned long long)counts->duplicates, (unsigned long long)counts->phones,
                (unsigned long long)counts->documents, (unsigned long long)counts->not_compared);
    }
    fputs("}\n", out);
}
