#include "net/list_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/qr.h"
#include "crypto/keyring.h"
#include "crypto/seal.h"
#include "net/list_columns.h"
#include "net/list_dates.h"
#include "store/csv_rows.h"
#include "store/lines.h"

#define DIGEST_OF                                                                                  \
    (64U << 10) /* bytes of its beginning and of its end that a list is known again by */

struct xt_list_input {
    const struct xt_list_options *options;
    int fd;
    uint64_t size, number;
    struct xt_lines lines;
    struct xt_line_block block;
    bool has_block;
    size_t at; /* in the block */
    struct xt_csv *csv;
    struct xt_list_columns columns;
    struct xt_date_form dates;
    char separator;
    size_t header_size;
    uint8_t digest[32];
    struct xt_json_arena arena;
    char dates_text[XT_CLAIM_COUNT][XT_DATE_TEXT_MAX];
    char number_text[XT_NUMBER_DIGITS]; /* of a card's QR */
    uint8_t header[XT_LIST_ROW_MAX];
    uint8_t request[XT_LIST_REQUEST_MAX];
};

static bool is_blank(struct xt_span line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* ---- lines -------------------------------------------------------------------------------------- */

enum xt_status xt_list_input_skip(struct xt_list_input *input, struct xt_list_item *item,
                                  struct xt_failure *failure)
{
    struct xt_span line;
    for (;;) {
        enum xt_status status =
            input->has_block ? xt_line_next(&input->block, &input->at, &line) : XT_CLOSED;
        if (status == XT_CLOSED) {
            input->at = 0;
            do {
                status = xt_lines_fill(&input->lines, &input->block);
            } while (status == XT_AGAIN);
            input->has_block = status == XT_OK;
            if (status == XT_IO) {
                return xt_fail(failure, status, "cannot read the list: %s", strerror(errno));
            }
            if (status != XT_OK) {
                return status;
            }
            continue;
        }
        input->number++;
        size_t most = input->options->is_csv ? XT_LIST_ROW_MAX : XT_VERIFY_BODY_MAX - 1;
        if (status == XT_TOO_LARGE || line.size > most) {
            *item = (struct xt_list_item){.number = input->number, .code = "line_too_long"};
            return XT_OK;
        }
        if (!is_blank(line)) {
            *item = (struct xt_list_item){.number = input->number, .row = line};
            return XT_OK;
        }
    }
}

/* ---- NDJSON ------------------------------------------------------------------------------------- */

static void add_default(struct xt_writer *writer, const struct xt_question *question,
                        unsigned member, bool has)
{
    if (!has && question->values[member].size > 0) {
        xt_write_byte(writer, '"');
        xt_write_string(writer, xt_question_name(member));
        xt_write_string(writer, member == XT_ASK_MATCH ? "\":{\"full_name\":" : "\":");
        xt_json_write_string(writer, question->values[member]);
        xt_write_string(writer, member == XT_ASK_MATCH ? "}," : ",");
    }
}

/* The request as it stands, with what it lacks set before its first member. What is no object goes as it
 * is: the server says what is wrong with it. */
static void make_from_json(struct xt_list_input *input, struct xt_list_item *item)
{
    struct xt_list_request read;
    const struct xt_question *question = input->options->question;
    struct xt_writer writer = xt_writer_over(input->request, sizeof(input->request));
    const uint8_t *brace = memchr(item->row.data, '{', item->row.size);
    item->request = item->row;
    if (xt_list_request_read(item->row, input->arena, &read) != XT_OK || brace == NULL) {
        return;
    }
    item->id = read.id;
    item->phone = read.phone;
    item->date_of_birth = read.date_of_birth;
    struct xt_qr qr;
    if (read.qr.size > 0 && xt_qr_parse(read.qr, &qr) == XT_OK) {
        xt_number_format(qr.number, input->number_text);
        item->id = xt_span_of(input->number_text, XT_NUMBER_DIGITS);
    }
    const uint8_t *end = item->row.data + item->row.size;
    const uint8_t *first = brace + 1;
    while (first < end && (*first == ' ' || *first == '\t' || *first == '\r')) {
        first++;
    }
    bool is_empty = first == end || *first == '}';
    xt_write_byte(&writer, '{');
    add_default(&writer, question, XT_ASK_PURPOSE, read.has_purpose);
    add_default(&writer, question, XT_ASK_LEGAL_BASIS, read.has_legal_basis);
    add_default(&writer, question, XT_ASK_CONSENT_REF, read.has_consent_ref);
    add_default(&writer, question, XT_ASK_MATCH, read.has_match);
    if (writer.size == 1 || is_empty) {
        return;
    }
    xt_write(&writer, first, (size_t)(end - first));
    if (!writer.overflow) {
        item->request = xt_written(&writer);
    }
}

/* ---- CSV ---------------------------------------------------------------------------------------- */

static bool is_date(unsigned member)
{
    return member == XT_CLAIM_DATE_OF_BIRTH || member == XT_CLAIM_CARD_ISSUED_ON ||
           member == XT_CLAIM_CARD_EXPIRES_ON;
}

/* What a list may write otherwise than a request. What cannot be read goes as it is. */
static struct xt_span in_register_form(struct xt_list_input *input, unsigned member,
                                       struct xt_span cell)
{
    size_t size;
    if (is_date(member) && input->options->date_format != NULL &&
        xt_date_form_read(&input->dates, cell, input->dates_text[member], &size) == XT_OK) {
        return xt_span_of(input->dates_text[member], size);
    }
    if (member == XT_CLAIM_SEX && (xt_span_is(cell, "Nam") || xt_span_is(cell, "nam"))) {
        return xt_span_of("male", 4);
    }
    if (member == XT_CLAIM_SEX && (xt_span_is(cell, "Nữ") || xt_span_is(cell, "nữ"))) {
        return xt_span_of("female", 6);
    }
    return cell;
}

static void make_from_row(struct xt_list_input *input, struct xt_list_item *item)
{
    const struct xt_span *fields;
    unsigned count;
    struct xt_question question = *input->options->question;
    struct xt_writer writer = xt_writer_over(input->request, XT_VERIFY_BODY_MAX - 1);
    if (memchr(item->row.data, 0, item->row.size) != NULL) {
        item->code = "malformed_csv";
        return;
    }
    if (xt_csv_row(input->csv, item->row, &fields, &count, &item->code) != XT_OK) {
        return;
    }
    if (count > input->columns.count) {
        item->code = "too_many_fields";
        return;
    }
    item->fields = count;
    for (unsigned i = 0; i < count; i++) {
        unsigned member = input->columns.member[i];
        if (member < XT_ASK_COUNT && fields[i].size > 0) {
            question.values[member] = in_register_form(input, member, fields[i]);
        }
    }
    enum xt_status status = xt_question_to_json(&question, &writer);
    if (status != XT_OK) {
        item->code = status == XT_INVALID ? "not_utf8" : "line_too_long";
        return;
    }
    item->request = xt_written(&writer);
    item->id = question.values[XT_ASK_ID];
    item->phone = question.values[XT_CLAIM_PHONE];
    item->date_of_birth = question.values[XT_CLAIM_DATE_OF_BIRTH];
    struct xt_qr qr;
    if (question.values[XT_ASK_QR].size > 0 &&
        xt_qr_parse(question.values[XT_ASK_QR], &qr) == XT_OK) {
        xt_number_format(qr.number, input->number_text);
        item->id = xt_span_of(input->number_text, XT_NUMBER_DIGITS);
    }
}

enum xt_status xt_list_input_next(struct xt_list_input *input, struct xt_list_item *item,
                                  struct xt_failure *failure)
{
    enum xt_status status = xt_list_input_skip(input, item, failure);
    if (status != XT_OK || item->code != NULL) {
        return status;
    }
    if (input->options->is_csv) {
        make_from_row(input, item);
    } else {
        make_from_json(input, item);
    }
    return XT_OK;
}

/* ---- opening ------------------------------------------------------------------------------------ */

static enum xt_status read_header(struct xt_list_input *input, struct xt_failure *failure)
{
    struct xt_list_item item = {.number = 0};
    const struct xt_span *fields;
    unsigned count;
    const char *code = "empty";
    enum xt_status status = xt_list_input_skip(input, &item, failure);
    if (status == XT_IO) {
        return status;
    }
    if (status != XT_OK || item.row.size == 0) {
        return xt_fail(failure, XT_INVALID, "the list has no header");
    }
    memcpy(input->header, item.row.data, item.row.size);
    input->header_size = item.row.size;
    input->separator = memchr(item.row.data, ',', item.row.size) == NULL &&
                               memchr(item.row.data, ';', item.row.size) != NULL
                           ? ';'
                           : ',';
    xt_csv_separate_by(input->csv, input->separator);
    if (xt_csv_row(input->csv, item.row, &fields, &count, &code) != XT_OK) {
        return xt_fail(failure, XT_INVALID, "the list's header: %s", code);
    }
    return xt_list_columns_read(fields, count, input->options->map, &input->columns, failure);
}

static enum xt_status take_digest(struct xt_list_input *input, struct xt_failure *failure)
{
    const uint64_t from[] = {0, input->size > DIGEST_OF ? input->size - DIGEST_OF : 0};
    ssize_t got = 0;
    uint8_t *text = calloc(1, DIGEST_OF);
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    struct xt_digest *digest = xt_digest_start();
    xt_digest_add(digest, xt_span_of(&input->size, sizeof(input->size)));
    for (unsigned i = 0; i < 2 && got >= 0; i++) {
        got = pread(input->fd, text, DIGEST_OF, (off_t)from[i]);
        xt_digest_add(digest, xt_span_of(text, got > 0 ? (size_t)got : 0));
    }
    xt_digest_finish(digest, input->digest);
    xt_wipe(text, DIGEST_OF);
    free(text);
    return got >= 0 ? XT_OK : xt_fail(failure, XT_IO, "cannot read the list: %s", strerror(errno));
}

static enum xt_status open_file(struct xt_list_input *input, struct xt_failure *failure)
{
    struct stat facts;
    const char *path = input->options->path;
    input->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &facts) != 0) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(facts.st_mode)) {
        return xt_fail(failure, XT_INVALID, "%s is no file: a list must be one to go on with",
                       path);
    }
    input->size = (uint64_t)facts.st_size;
    (void)posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return take_digest(input, failure);
}

static enum xt_status prepare(struct xt_list_input *input, struct xt_failure *failure)
{
    const struct xt_list_options *options = input->options;
    if (options->date_format != NULL &&
        xt_date_form_parse(options->date_format, &input->dates) != XT_OK) {
        return xt_fail(failure, XT_INVALID, "--date-format is like dd/mm/yyyy or ddmmyyyy");
    }
    enum xt_status status = open_file(input, failure);
    if (status != XT_OK) {
        return status;
    }
    input->arena = (struct xt_json_arena){malloc(XT_VERIFY_ARENA), XT_VERIFY_ARENA};
    if (input->arena.memory == NULL || xt_lines_start(&input->lines, input->fd, -1) != XT_OK ||
        xt_line_block_start(&input->block) != XT_OK ||
        (options->is_csv && xt_csv_open(&input->csv) != XT_OK)) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    return options->is_csv ? read_header(input, failure) : XT_OK;
}

enum xt_status xt_list_input_open(const struct xt_list_options *options,
                                  struct xt_list_input **opened, struct xt_failure *failure)
{
    struct xt_list_input *input = calloc(1, sizeof(*input));
    if (input == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "out of memory");
    }
    input->options = options;
    input->fd = -1;
    enum xt_status status = prepare(input, failure);
    if (status != XT_OK) {
        xt_list_input_close(input);
        return status;
    }
    *opened = input;
    return XT_OK;
}

void xt_list_input_close(struct xt_list_input *input)
{
    if (input == NULL) {
        return;
    }
    if (input->fd >= 0) {
        close(input->fd);
    }
    xt_lines_end(&input->lines);
    xt_line_block_end(&input->block);
    xt_csv_close(input->csv);
    if (input->arena.memory != NULL) {
        xt_wipe(input->arena.memory, input->arena.size);
        free(input->arena.memory);
    }
    xt_wipe(input, sizeof(*input));
    free(input);
}

struct xt_span xt_list_input_header(const struct xt_list_input *input)
{
    return xt_span_of(input->header, input->header_size);
}

char xt_list_input_separator(const struct xt_list_input *input)
{
    return input->separator;
}

unsigned xt_list_input_columns(const struct xt_list_input *input)
{
    return input->columns.count;
}

uint64_t xt_list_input_bytes(const struct xt_list_input *input)
{
    return input->lines.bytes;
}

uint64_t xt_list_input_size(const struct xt_list_input *input)
{
    return input->size;
}

void xt_list_input_digest(const struct xt_list_input *input, uint8_t digest[32])
{
    memcpy(digest, input->digest, sizeof(input->digest));
}
