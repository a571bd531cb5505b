#include "net/list_dates.h"

/* A run of one letter; gives how many. */
static size_t run_of(const char *text, char letter)
{
    size_t size = 0;
    while ((text[size] | 0x20) == letter) {
        size++;
    }
    return size;
}

static bool is_letter(char c)
{
    return (c | 0x20) == 'd' || (c | 0x20) == 'm' || (c | 0x20) == 'y';
}

enum xt_status xt_date_form_parse(const char *text, struct xt_date_form *form)
{
    bool separated = false;
    *form = (struct xt_date_form){.separator = 0};
    for (unsigned part = 0; part < 3; part++) {
        char letter = (char)(*text | 0x20);
        size_t size = is_letter(*text) ? run_of(text, letter) : 0;
        for (unsigned before = 0; before < part; before++) {
            size = form->order[before] == letter ? 0 : size;
        }
        if (letter == 'y' ? size != 4 : size != 1 && size != 2) {
            return XT_INVALID;
        }
        form->order[part] = letter;
        text += size;
        if (part == 0 && *text != 0 && strchr("/-. ", *text) != NULL) {
            form->separator = *text;
            separated = true;
        }
        if (!separated && size == 1) {
            return XT_INVALID;
        }
        if (part < 2 && separated && *text++ != form->separator) {
            return XT_INVALID;
        }
    }
    return *text == 0 ? XT_OK : XT_INVALID;
}

/* Digits at *at; gives how many there were, up to most. */
static unsigned read_digits(struct xt_span text, size_t *at, unsigned most, unsigned *value)
{
    unsigned count = 0;
    *value = 0;
    while (count < most && *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9') {
        *value = *value * 10 + (text.data[(*at)++] - '0');
        count++;
    }
    return count;
}

/* How many of the smallest units a text does not have: a year alone lacks two. */
static unsigned missing_units(const struct xt_date_form *form, struct xt_span text)
{
    unsigned separators = 0;
    if (form->separator == 0) {
        return text.size == 4 ? 2 : 0;
    }
    for (size_t i = 0; i < text.size; i++) {
        separators += text.data[i] == (uint8_t)form->separator;
    }
    return separators > 2 ? 0 : 2 - separators;
}

enum xt_status xt_date_form_read(const struct xt_date_form *form, struct xt_span text,
                                 char date[XT_DATE_TEXT_MAX], size_t *size)
{
    unsigned day = 0, month = 0, year = 0;
    unsigned missing = missing_units(form, text);
    size_t at = 0;
    bool begun = false;
    xt_date made;
    *size = 0;
    for (unsigned part = 0; part < 3; part++) {
        char letter = form->order[part];
        if ((letter == 'd' && missing >= 1) || (letter == 'm' && missing >= 2)) {
            continue;
        }
        if (begun && form->separator != 0 &&
            (at >= text.size || text.data[at++] != (uint8_t)form->separator)) {
            return XT_INVALID;
        }
        begun = true;
        unsigned least = letter == 'y' ? 4 : form->separator == 0 ? 2 : 1;
        if (read_digits(text, &at, letter == 'y' ? 4 : 2,
                        letter == 'd' ? &day : (letter == 'm' ? &month : &year)) < least) {
            return XT_INVALID;
        }
    }
    if (at != text.size || xt_date_make(year, month, day, &made) != XT_OK) {
        return XT_INVALID;
    }
    *size = xt_date_format(made, date);
    return XT_OK;
}
