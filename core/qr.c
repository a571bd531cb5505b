#include "core/qr.h"

#include "core/plain_text.h"

#define FIELDS 7

enum field { NUMBER, CMND, NAME, BIRTH, SEX, ADDRESS, ISSUED };

/* Scanners and keyboards that type what they read end it with a line break. */
static struct xt_span without_trailing_blanks(struct xt_span text)
{
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\r' ||
                             text.data[text.size - 1] == '\n')) {
        text.size--;
    }
    return text;
}

/* Cuts the first seven fields; false where there are fewer. */
static bool split(struct xt_span text, struct xt_span fields[FIELDS])
{
    size_t start = 0;
    for (unsigned i = 0; i < FIELDS; i++) {
        if (start > text.size) {
            return false;
        }
        size_t end = start;
        while (end < text.size && text.data[end] != '|') {
            end++;
        }
        fields[i] = xt_span_of(text.data + start, end - start);
        start = end + 1;
    }
    return true;
}

/* Read as a name is, so that case and NFC or NFD do not matter. */
static enum xt_status parse_sex(struct xt_span text, enum xt_sex *sex)
{
    struct xt_name word, male, female;
    if (xt_name_parse(text, &word) != XT_OK ||
        xt_name_parse(xt_span_of_string("nam"), &male) != XT_OK ||
        xt_name_parse(xt_span_of_string("nữ"), &female) != XT_OK) {
        return XT_INVALID;
    }
    if (xt_name_matches(&word, &male, XT_NAME_EXACT)) {
        *sex = XT_SEX_MALE;
        return XT_OK;
    }
    if (xt_name_matches(&word, &female, XT_NAME_EXACT)) {
        *sex = XT_SEX_FEMALE;
        return XT_OK;
    }
    return XT_INVALID;
}

enum xt_status xt_qr_parse(struct xt_span text, struct xt_qr *qr)
{
    struct xt_span fields[FIELDS];
    if (!split(without_trailing_blanks(text), fields)) {
        return XT_INVALID;
    }
    qr->has_cmnd = fields[CMND].size > 0;
    qr->cmnd = 0;
    qr->address = fields[ADDRESS];
    if (xt_number_parse(fields[NUMBER], &qr->number) != XT_OK ||
        (qr->has_cmnd && xt_cmnd_parse(fields[CMND], &qr->cmnd) != XT_OK) ||
        xt_name_parse(fields[NAME], &qr->name) != XT_OK ||
        xt_date_parse_qr(fields[BIRTH], &qr->date_of_birth) != XT_OK ||
        parse_sex(fields[SEX], &qr->sex) != XT_OK || !xt_text_is_utf8(fields[ADDRESS]) ||
        xt_text_has_control(fields[ADDRESS]) ||
        xt_date_parse_qr(fields[ISSUED], &qr->issued_on) != XT_OK ||
        !xt_date_is_full(qr->issued_on)) {
        return XT_INVALID;
    }
    return XT_OK;
}
