#include "net/list_line.h"

#define COLUMNS 10
enum { VERDICT, MISMATCH, NOT_HELD, REASON, CARD, NAME, ERROR, SUGGESTION, ANSWER_ID, ANSWERED_AT };
static const char *const NAMES[COLUMNS] = {"verdict",   "mismatch",   "not_held", "reason",
                                           "card",      "name",       "error",    "suggestion",
                                           "answer_id", "answered_at"};

/* ---- suggestions -------------------------------------------------------------------------------- */

static bool is_digits(struct xt_span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.size > 0;
}

unsigned xt_list_hints(const struct xt_list_item *item)
{
    unsigned hints = 0;
    xt_date date;
    xt_date swapped;
    if (is_digits(item->id)) {
        size_t size = item->id.size;
        hints |= size == XT_CMND_DIGITS ? XT_HINT_CMND : 0;
        hints |= size == 8 || size == 10 || size == 11 ? XT_HINT_ID_SHORT : 0;
    }
    if (xt_date_parse(item->date_of_birth, &date) == XT_OK && xt_date_is_full(date) &&
        xt_date_make(xt_date_year(date), xt_date_day(date), xt_date_month(date), &swapped) ==
            XT_OK &&
        swapped != date) {
        hints |= XT_HINT_SWAP;
    }
    return hints;
}

static uint32_t suggest(const struct xt_list_answer *read, unsigned hints)
{
    uint32_t found = 0;
    uint32_t name = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME), born = XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH);
    if (read->status != 0) {
        return (hints & XT_HINT_ID_SHORT) != 0 ? XT_SUGGEST_BIT(XT_SUGGEST_ID_DIGITS) : 0;
    }
    if ((read->matched & name) == 0 && !read->verified) {
        found |= xt_span_is(read->name_level, "unaccented")
                     ? XT_SUGGEST_BIT(XT_SUGGEST_NAME_DIACRITICS)
                     : 0;
        found |=
            xt_span_is(read->name_level, "reordered") ? XT_SUGGEST_BIT(XT_SUGGEST_NAME_ORDER) : 0;
        found |=
            xt_span_is(read->name_level, "fuzzy") ? XT_SUGGEST_BIT(XT_SUGGEST_NAME_SIMILAR) : 0;
    }
    /* Only where something else says that it is the right person. */
    if ((read->mismatched & born) != 0 && read->matched != 0 && (hints & XT_HINT_SWAP) != 0) {
        found |= XT_SUGGEST_BIT(XT_SUGGEST_DAY_AND_MONTH);
    }
    if ((hints & XT_HINT_CMND) != 0 && (read->verified || read->matched != 0)) {
        found |= XT_SUGGEST_BIT(XT_SUGGEST_OLD_NUMBER);
    }
    return found;
}

/* ---- NDJSON ------------------------------------------------------------------------------------- */

static enum xt_status write_json(const struct xt_list_row *row, struct xt_span answer,
                                 uint32_t suggestions, struct xt_writer *writer)
{
    static const char begin[] = "{\"line\":";
    size_t at = sizeof(begin) - 1;
    xt_write_string(writer, begin);
    xt_write_digits(writer, row->number);
    if (row->code != NULL) {
        xt_write_string(writer, ",\"status\":400,\"code\":\"");
        xt_write_string(writer, row->code);
        xt_write_string(writer, "\"");
    } else {
        /* Its own number, then the rest of it up to the brace at its end. */
        if (answer.size <= at || memcmp(answer.data, begin, at) != 0 ||
            answer.data[answer.size - 1] != '}') {
            return XT_INVALID;
        }
        while (answer.data[at] >= '0' && answer.data[at] <= '9') {
            at++;
        }
        xt_write(writer, answer.data + at, answer.size - 1 - at);
    }
    const char *between = ",\"suggestions\":[\"";
    for (unsigned i = 0; i < XT_SUGGEST_COUNT; i++) {
        if ((suggestions & XT_SUGGEST_BIT(i)) != 0) {
            xt_write_string(writer, between);
            xt_write_string(writer, xt_suggestion_name((enum xt_suggestion)i));
            between = "\",\"";
        }
    }
    xt_write_string(writer, suggestions != 0 ? "\"]}\n" : "}\n");
    return XT_OK;
}

/* ---- CSV ---------------------------------------------------------------------------------------- */

static void separate(const struct xt_list_form *form, struct xt_writer *writer, unsigned times)
{
    while (times-- > 0) {
        xt_write_byte(writer, (uint8_t)form->separator);
    }
}

void xt_list_header_write(const struct xt_list_form *form, struct xt_span header,
                          struct xt_writer *writer)
{
    xt_write_span(writer, header);
    for (unsigned i = 0; i < COLUMNS; i++) {
        separate(form, writer, 1);
        xt_write_string(writer, NAMES[i]);
    }
    xt_write_byte(writer, '\n');
}

/* The list's row as it stands, with as many columns as there are; one that is no row becomes one field, so
 * that a quote left open in it does not take in the rows after it. */
static void write_row(const struct xt_list_form *form, const struct xt_list_row *row,
                      struct xt_writer *writer)
{
    if (row->fields > 0 || row->row.size == 0) {
        xt_write_span(writer, row->row);
        separate(form, writer, form->columns - (row->fields > 0 ? row->fields : 1));
        return;
    }
    xt_write_byte(writer, '"');
    for (size_t i = 0; i < row->row.size; i++) {
        if (row->row.data[i] == '"') {
            xt_write_byte(writer, '"');
        }
        uint8_t byte = row->row.data[i];
        xt_write_byte(writer, byte == 0 ? '?' : byte); /* zeros mark what a power cut left */
    }
    xt_write_byte(writer, '"');
    separate(form, writer, form->columns - 1);
}

/* Names of claims with a space between them. */
static void write_claims(struct xt_writer *writer, uint32_t claims)
{
    for (bool first = true; claims != 0; claims &= claims - 1, first = false) {
        if (!first) {
            xt_write_byte(writer, ' ');
        }
        xt_write_span(writer, xt_claim_name_span((enum xt_claim)__builtin_ctz(claims)));
    }
}

/* A word of the server's, without what could end a field. */
static void write_word(struct xt_writer *writer, struct xt_span word)
{
    for (size_t i = 0; i < word.size; i++) {
        uint8_t c = word.data[i];
        xt_write_byte(writer, c > ' ' && c < 0x7f && c != ',' && c != ';' && c != '"' ? c : '_');
    }
}

static void write_error(struct xt_writer *writer, const struct xt_list_row *row,
                        const struct xt_list_answer *read)
{
    if (row->code != NULL) {
        xt_write_string(writer, row->code);
        return;
    }
    write_word(writer, read->code);
    if (read->what.size > 0) {
        xt_write_byte(writer, ' ');
        write_word(writer, read->pointer);
        xt_write_byte(writer, ' ');
        write_word(writer, read->what);
    }
}

static void write_suggestions(struct xt_writer *writer, uint32_t suggestions)
{
    for (unsigned i = 0, written = 0; i < XT_SUGGEST_COUNT; i++) {
        if ((suggestions & XT_SUGGEST_BIT(i)) != 0) {
            xt_write_string(writer, written++ > 0 ? " " : "");
            xt_write_string(writer, xt_suggestion_name((enum xt_suggestion)i));
        }
    }
}

static void write_column(struct xt_writer *writer, unsigned column, const struct xt_list_row *row,
                         const struct xt_list_answer *read)
{
    switch (column) {
    case VERDICT:
        xt_write_string(writer, read->status != 0 ? ""
                                : read->verified  ? "verified"
                                                  : "not_verified");
        break;
    case MISMATCH:
        write_claims(writer, read->mismatched);
        break;
    case NOT_HELD:
        write_claims(writer, read->not_held);
        break;
    case REASON:
        write_word(writer, read->reason);
        break;
    case CARD:
        write_word(writer, read->card);
        break;
    case NAME:
        write_word(writer, read->name_level);
        break;
    case ERROR:
        write_error(writer, row, read);
        break;
    case SUGGESTION:
        write_suggestions(writer, read->suggestions);
        break;
    case ANSWER_ID:
        write_word(writer, read->answer_id);
        break;
    default:
        write_word(writer, read->answered_at);
        break;
    }
}

enum xt_status xt_list_line_write(const struct xt_list_form *form, const struct xt_list_row *row,
                                  struct xt_span answer, struct xt_list_answer *read,
                                  struct xt_writer *writer)
{
    enum xt_status status = XT_OK;
    if (row->code != NULL) {
        *read = (struct xt_list_answer){.status = 400, .code = xt_span_of_string(row->code)};
    }
    read->line = row->number;
    read->suggestions = suggest(read, row->hints);
    if (!form->is_csv) {
        status = write_json(row, answer, read->suggestions, writer);
    } else {
        write_row(form, row, writer);
        for (unsigned column = 0; column < COLUMNS; column++) {
            separate(form, writer, 1);
            write_column(writer, column, row, read);
        }
        xt_write_byte(writer, '\n');
    }
    return writer->overflow ? XT_INVALID : status;
}

/* ---- back --------------------------------------------------------------------------------------- */

/* The next word of a cell; size 0: there is none. */
static struct xt_span next_word(struct xt_span *cell)
{
    const uint8_t *space = cell->size == 0 ? NULL : memchr(cell->data, ' ', cell->size);
    size_t size = space == NULL ? cell->size : (size_t)(space - cell->data);
    struct xt_span word = xt_span_of(cell->data, size);
    size += space != NULL;
    *cell = xt_span_of(cell->data + size, cell->size - size);
    return word;
}

static uint32_t read_claims(struct xt_span cell)
{
    uint32_t claims = 0;
    for (struct xt_span word = next_word(&cell); word.size > 0; word = next_word(&cell)) {
        enum xt_claim claim;
        if (xt_claim_by_name(word, &claim) == XT_OK) {
            claims |= XT_CLAIM_BIT(claim);
        }
    }
    return claims;
}

static enum xt_status read_columns(const struct xt_span *cells, struct xt_list_answer *read)
{
    struct xt_span error = cells[ERROR], suggestions = cells[SUGGESTION];
    *read = (struct xt_list_answer){.mismatched = read_claims(cells[MISMATCH]),
                                    .not_held = read_claims(cells[NOT_HELD]),
                                    .reason = cells[REASON],
                                    .card = cells[CARD],
                                    .name_level = cells[NAME],
                                    .answer_id = cells[ANSWER_ID],
                                    .answered_at = cells[ANSWERED_AT]};
    read->verified = xt_span_is(cells[VERDICT], "verified");
    read->status = cells[VERDICT].size == 0 ? 400 : 0;
    read->code = next_word(&error);
    read->pointer = next_word(&error);
    read->what = next_word(&error);
    for (struct xt_span word = next_word(&suggestions); word.size > 0;
         word = next_word(&suggestions)) {
        enum xt_suggestion suggestion;
        if (xt_suggestion_by_name(word, &suggestion) == XT_OK) {
            read->suggestions |= XT_SUGGEST_BIT(suggestion);
        }
    }
    bool whole =
        read->verified || xt_span_is(cells[VERDICT], "not_verified") || read->code.size > 0;
    return whole ? XT_OK : XT_INVALID;
}

enum xt_status xt_list_line_read(const struct xt_list_form *form, struct xt_span line,
                                 struct xt_json_arena arena, struct xt_list_answer *read)
{
    struct xt_span cells[COLUMNS];
    size_t end = line.size;
    if (!form->is_csv) {
        enum xt_status status = xt_list_answer_read(line, arena, read);
        return status == XT_OK && read->line > 0 ? XT_OK : XT_INVALID;
    }
    for (unsigned column = COLUMNS; column-- > 0;) {
        const uint8_t *separator = end == 0 ? NULL : memrchr(line.data, form->separator, end);
        if (separator == NULL) {
            return XT_INVALID;
        }
        size_t at = (size_t)(separator - line.data);
        cells[column] = xt_span_of(line.data + at + 1, end - at - 1);
        end = at;
    }
    return read_columns(cells, read);
}
