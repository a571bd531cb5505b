#include "bench/compare.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* "52,110/s", "12.34 us", "-" for a mean of nothing. */
static void format_value(char *text, size_t size, const struct xt_compare_measure *measure,
                         double value)
{
    const char *unit = measure->unit;
    bool bytes = strcmp(unit, "bytes") == 0;
    bool rate = strcmp(unit, "1/s") == 0;
    if (measure->count == 0) {
        (void)snprintf(text, size, "-");
        return;
    }
    if (bytes) {
        value /= 1048576;
        unit = "MiB";
    }
    unit = rate ? "/s" : unit;
    const char *space = rate || unit[0] == '\0' ? "" : " ";
    if (value >= 1e9) {
        (void)snprintf(text, size, "%.4g%s%s", value, space, unit);
    } else if (value >= 999.5) {
        unsigned long whole = (unsigned long)(value + 0.5);
        if (whole >= 1000000) {
            (void)snprintf(text, size, "%lu,%03lu,%03lu%s%s", whole / 1000000, whole / 1000 % 1000,
                           whole % 1000, space, unit);
        } else {
            (void)snprintf(text, size, "%lu,%03lu%s%s", whole / 1000, whole % 1000, space, unit);
        }
    } else {
        int digits = value == floor(value) ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3;
        (void)snprintf(text, size, "%.*f%s%s", digits, value, space, unit);
    }
}

struct cells {
    char a[48], b[48], ratio[16], interval[48];
    const char *verdict;
};

static void fill_cells(const struct xt_compare_row *row, struct cells *cells)
{
    const struct xt_ratio *ratio = &row->ratio;
    bool counted = row->a->kind == XT_COMPARE_COUNTED && row->verdict != XT_COMPARE_TOO_FEW;
    *cells = (struct cells){.verdict = row->verdict == XT_COMPARE_NOT_JUDGED
                                           ? ""
                                           : xt_compare_verdict_name(row->verdict)};
    format_value(cells->a, sizeof(cells->a), row->a, ratio->mean_a);
    format_value(cells->b, sizeof(cells->b), row->b, ratio->mean_b);
    if (ratio->mean_a > 0 && ratio->mean_b > 0) {
        (void)snprintf(cells->ratio, sizeof(cells->ratio), "%.3f", ratio->ratio);
    }
    if (row->verdict != XT_COMPARE_NOT_JUDGED && (ratio->known || counted)) {
        (void)snprintf(cells->interval, sizeof(cells->interval), "%.3f to %.3f", ratio->low,
                       ratio->high);
    }
}

/* ---- sentences that every form shares ---- */

static void print_caveats(const struct xt_comparison *comparison, FILE *out)
{
    bool set = comparison->a->standard && comparison->b->standard;
    (void)fprintf(out,
                  "B/A is the ratio of the means over %s, with its %g %% interval for that measure "
                  "alone, in which\nneighbouring slices count as alike as they are.\n",
                  set ? "rounds" : "seconds", 100 * comparison->confidence);
    if (comparison->tests > 0) {
        (void)fprintf(out,
                      "%u measures are judged together (Holm): were nothing different, there would "
                      "be any false\nalarm at all with a chance of about %g %%.\n",
                      comparison->tests, 100 * (1 - comparison->confidence));
    }
    (void)fprintf(
        out,
        "noise: no difference beyond chance (the interval says how large one could hide); "
        "small: one beyond\nchance, but below %g %%; too few slices: under %u on a side, so "
        "nothing can be said.\n",
        100 * comparison->smallest, XT_STATISTICS_LEAST);
    (void)fputs(
        set ? "Each set was taken at one time: what a machine does differently on another day is "
              "in "
              "no interval.\nMeasure A again before believing a difference.\n"
            : "One run each: what varies from start to start (memory layout, neighbours) is in no "
              "interval.\nPercentiles are means of each second's; those of the whole run are in "
              "the "
              "files.\n",
        out);
    if (comparison->machine_differs) {
        (void)fputs(
            "The machine itself differs between A and B: see its reference rows. Differences "
            "of time of that size\nare no verdict on the program; counts of instructions "
            "are.\n",
            out);
    }
    if (comparison->a->interrupted || comparison->b->interrupted) {
        (void)fprintf(out, "%s was interrupted: it holds only what came before.\n",
                      !comparison->b->interrupted   ? "A"
                      : !comparison->a->interrupted ? "B"
                                                    : "Each of them");
    }
}

static double change_percent(const struct xt_compare_row *row)
{
    return 100 * (row->ratio.ratio - 1);
}

static void print_named(const struct xt_compare_measure *measure, FILE *out)
{
    (void)fprintf(out, "%s%s%s", measure->run, measure->run[0] != '\0' ? " " : "", measure->name);
}

static void print_conclusion(const struct xt_comparison *comparison, FILE *out)
{
    for (unsigned i = 0; i < comparison->row_count; i++) {
        const struct xt_compare_row *row = &comparison->rows[i];
        if (row->verdict != XT_COMPARE_WORSE && row->verdict != XT_COMPARE_BETTER) {
            continue;
        }
        (void)fprintf(out, "%s: ", xt_compare_verdict_name(row->verdict));
        print_named(row->a, out);
        if (row->ratio.mean_a > 0 && row->ratio.mean_b > 0) {
            (void)fprintf(out, " by %+.1f %%\n", change_percent(row));
        } else {
            (void)fprintf(out, ", %g against %g\n", row->ratio.mean_b, row->ratio.mean_a);
        }
    }
    if (comparison->worse == 0) {
        (void)fputs(comparison->tests == 0
                        ? "nothing can be said: too few slices for any interval\n"
                        : "nothing is worse beyond noise\n",
                    out);
    }
}

void xt_compare_print_differences(const struct xt_comparison *comparison, FILE *out)
{
    for (unsigned i = 0; i < comparison->difference_count; i++) {
        const struct xt_compare_difference *difference = &comparison->differences[i];
        (void)fprintf(out, "%s  %s: A %s, B %s\n", difference->matters ? "DIFFERS" : "differs",
                      difference->name, difference->a[0] != '\0' ? difference->a : "(none)",
                      difference->b[0] != '\0' ? difference->b : "(none)");
    }
}

static void print_lonely(const struct xt_comparison *comparison, FILE *out)
{
    for (unsigned i = 0; i < comparison->alone_count; i++) {
        const struct xt_compare_measure *measure = comparison->alone[i];
        bool in_a = measure >= comparison->a->measures &&
                    measure < comparison->a->measures + XT_COMPARE_MEASURES_MAX;
        (void)fprintf(out, "only in %s: ", in_a ? "A" : "B");
        print_named(measure, out);
        (void)fputc('\n', out);
    }
}

/* ---- text ---- */

static const char *colour_of(enum xt_compare_verdict verdict, bool colour)
{
    if (!colour) {
        return "";
    }
    return verdict == XT_COMPARE_WORSE     ? "\033[31m"
           : verdict == XT_COMPARE_BETTER  ? "\033[32m"
           : verdict == XT_COMPARE_MACHINE ? "\033[33m"
                                           : "";
}

void xt_compare_print(const struct xt_comparison *comparison, FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    bool colour = isatty(fileno(out)) == 1 && (no_colour == NULL || no_colour[0] == '\0');
    const char *run = NULL;
    (void)fprintf(out, "A  %s  (%s)\nB  %s  (%s)\n", comparison->a->label, comparison->a->about,
                  comparison->b->label, comparison->b->about);
    xt_compare_print_differences(comparison, out);
    (void)fprintf(out, "\n  %-28s %14s %14s  %6s  %-16s %s\n", "", "A", "B", "B/A", "interval",
                  "verdict");
    for (unsigned i = 0; i < comparison->row_count; i++) {
        const struct xt_compare_row *row = &comparison->rows[i];
        struct cells cells;
        fill_cells(row, &cells);
        if (row->a->run[0] != '\0' && (run == NULL || strcmp(run, row->a->run) != 0)) {
            run = row->a->run;
            (void)fprintf(out, "%s\n", run);
        }
        const char *start = colour_of(row->verdict, colour);
        (void)fprintf(out, "  %-28s %14s %14s  %6s  %-16s %s%s%s\n", row->a->name, cells.a, cells.b,
                      cells.ratio, cells.interval, start, cells.verdict,
                      *start != '\0' ? "\033[0m" : "");
    }
    (void)fputc('\n', out);
    print_lonely(comparison, out);
    print_caveats(comparison, out);
    (void)fputc('\n', out);
    print_conclusion(comparison, out);
}

/* ---- markdown ---- */

/* A label in a table or a heading: no character of it may end its cell or start markup. */
static void put_plain(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\`*_[]<>|#", *text) != NULL) {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
}

void xt_compare_print_markdown(const struct xt_comparison *comparison, FILE *out)
{
    const struct xt_compare_input *sides[] = {comparison->a, comparison->b};
    for (unsigned i = 0; i < 2; i++) {
        (void)fprintf(out, "- %s: ", i == 0 ? "A" : "B");
        put_plain(sides[i]->label, out);
        (void)fputs(" (", out);
        put_plain(sides[i]->about, out);
        (void)fputs(")\n", out);
    }
    for (unsigned i = 0; i < comparison->difference_count; i++) {
        const struct xt_compare_difference *difference = &comparison->differences[i];
        const char *const parts[] = {difference->name, ": A ", difference->a, ", B ",
                                     difference->b};
        (void)fprintf(out, "- %s ", difference->matters ? "**differs**" : "differs");
        for (unsigned part = 0; part < sizeof(parts) / sizeof(parts[0]); part++) {
            put_plain(parts[part], out);
        }
        (void)fputc('\n', out);
    }
    (void)fputs("\n| run | measure | A | B | B/A | interval | verdict |\n"
                "|---|---|---:|---:|---:|---|---|\n",
                out);
    for (unsigned i = 0; i < comparison->row_count; i++) {
        const struct xt_compare_row *row = &comparison->rows[i];
        struct cells cells;
        fill_cells(row, &cells);
        const char *const columns[] = {row->a->run, row->a->name,   cells.a,      cells.b,
                                       cells.ratio, cells.interval, cells.verdict};
        for (unsigned column = 0; column < sizeof(columns) / sizeof(columns[0]); column++) {
            (void)fputs("| ", out);
            put_plain(columns[column], out);
            (void)fputc(' ', out);
        }
        (void)fputs("|\n", out);
    }
    (void)fputc('\n', out);
    print_caveats(comparison, out);
    (void)fputc('\n', out);
    print_conclusion(comparison, out);
}

/* ---- JSON ---- */

static void put_string(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            (void)fprintf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            (void)fprintf(out, "\\u%04x", byte);
        } else {
            (void)fputc(byte, out);
        }
    }
    (void)fputc('"', out);
}

static void put_member(const char *name, const char *text, const char *after, FILE *out)
{
    (void)fprintf(out, "\"%s\":", name);
    put_string(text, out);
    (void)fputs(after, out);
}

static void put_row(const struct xt_compare_row *row, FILE *out)
{
    const struct xt_ratio *ratio = &row->ratio;
    (void)fputc('{', out);
    put_member("run", row->a->run, ",", out);
    put_member("name", row->a->name, ",", out);
    put_member("unit", row->a->unit, ",", out);
    (void)fprintf(out, "\"better\":\"%s\",\"slices_a\":%u,\"slices_b\":%u,\"a\":%.10g,\"b\":%.10g,",
                  row->a->more_is_better ? "more" : "less", row->a->count, row->b->count,
                  ratio->mean_a, ratio->mean_b);
    if (ratio->mean_a > 0) {
        (void)fprintf(out, "\"ratio\":%.8g,", ratio->ratio);
    } else {
        (void)fputs("\"ratio\":null,", out);
    }
    if (ratio->known) {
        (void)fprintf(out, "\"low\":%.8g,\"high\":%.8g,\"p\":%.6g,\"p_adjusted\":%.6g,", ratio->low,
                      ratio->high, ratio->probability, row->adjusted);
    } else {
        (void)fputs("\"low\":null,\"high\":null,\"p\":null,\"p_adjusted\":null,", out);
    }
    put_member("verdict", xt_compare_verdict_name(row->verdict), "}", out);
}

static void put_side(const char *name, const struct xt_compare_input *input, FILE *out)
{
    (void)fprintf(out, "\"%s\":{", name);
    put_member("file", input->label, ",", out);
    put_member("about", input->about, ",", out);
    (void)fprintf(out, "\"interrupted\":%s},\n", input->interrupted ? "true" : "false");
}

void xt_compare_print_json(const struct xt_comparison *comparison, FILE *out)
{
    (void)fputs("{\"format\":\"xacthuc-compare/1\",\n", out);
    put_side("a", comparison->a, out);
    put_side("b", comparison->b, out);
    (void)fprintf(out,
                  "\"comparable\":%s,\"confidence\":%g,\"smallest_effect\":%g,\"tests\":%u,"
                  "\"better\":%u,\"worse\":%u,\"too_few_slices\":%u,\"machine_differs\":%s,\n",
                  comparison->comparable ? "true" : "false", comparison->confidence,
                  comparison->smallest, comparison->tests, comparison->better, comparison->worse,
                  comparison->too_few, comparison->machine_differs ? "true" : "false");
    (void)fputs("\"differences\":[", out);
    for (unsigned i = 0; i < comparison->difference_count; i++) {
        const struct xt_compare_difference *difference = &comparison->differences[i];
        (void)fputs(i > 0 ? ",\n{" : "\n{", out);
        put_member("name", difference->name, ",", out);
        put_member("a", difference->a, ",", out);
        put_member("b", difference->b, ",", out);
        (void)fprintf(out, "\"matters\":%s}", difference->matters ? "true" : "false");
    }
    (void)fputs("],\n\"measures\":[", out);
    for (unsigned i = 0; i < comparison->row_count; i++) {
        (void)fputs(i > 0 ? ",\n" : "\n", out);
        put_row(&comparison->rows[i], out);
    }
    (void)fputs("]}\n", out);
}
