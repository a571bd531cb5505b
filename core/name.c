#include "core/name.h"

#include "core/name_table.h"
#include "core/utf8.h"

enum xt_status xt_name_add(struct xt_name *name, uint8_t value)
{
    if (value >= XT_CODE_LETTER || (value > XT_CODE_SPACE && value < '0')) {
        if (name->length == XT_NAME_MAX) {
            return XT_TOO_LARGE;
        }
        name->codes[name->length++] = value;
        return XT_OK;
    }
    uint8_t last = name->length > 0 ? name->codes[name->length - 1] : XT_CODE_SPACE;
    if (value == XT_CODE_SPACE) {
        if (last != XT_CODE_SPACE) {
            if (name->length == XT_NAME_MAX) {
                return XT_TOO_LARGE;
            }
            name->codes[name->length++] = XT_CODE_SPACE;
        }
        return XT_OK;
    }
    if (value == XT_VALUE_IGNORE) {
        return XT_OK;
    }
    if (value == XT_VALUE_OTHER || !xt_code_is_vowel(last)) {
        return XT_AGAIN;
    }
    /* A mark. The tone and the shape of a vowel may come in either order. */
    if (value < XT_TONE_COUNT) {
        if (xt_code_tone(last) != XT_TONE_NONE) {
            return XT_AGAIN;
        }
        name->codes[name->length - 1] = xt_code_with_tone(last, value);
        return XT_OK;
    }
    unsigned vowel = xt_name_vowel_with(xt_code_vowel(last), value);
    if (vowel == XT_VOWEL_COUNT) {
        return XT_AGAIN;
    }
    name->codes[name->length - 1] = (uint8_t)XT_CODE_VOWEL(vowel, xt_code_tone(last));
    return XT_OK;
}

enum xt_status xt_name_finish(struct xt_name *name)
{
    if (name->length > 0 && name->codes[name->length - 1] == XT_CODE_SPACE) {
        name->length--;
    }
    bool letters = false;
    for (size_t i = 0; i < name->length && !letters; i++) {
        letters = name->codes[i] >= XT_CODE_LETTER;
    }
    return letters && !xt_name_has_mojibake_pair(name) ? XT_OK : XT_INVALID;
}

/* Vietnamese text needs nothing but the table; what does not fit it begins again in
 * core/name_unicode.c, so that this loop stays small. The length lives in a register: stores to the
 * codes would otherwise have it read back for every letter. */
static enum xt_status parse(struct xt_span text, struct xt_name *name)
{
    const uint8_t *data = text.data;
    size_t at = 0, count = 0;
    while (at < text.size) {
        uint32_t code_point = data[at];
        size_t length = 1;
        uint8_t value;
        if (code_point < 0x80) {
            value = xt_name_values[code_point];
        } else {
            length = xt_utf8_read(data + at, text.size - at, &code_point);
            if (length == 0) {
                return XT_INVALID;
            }
            if (code_point - 0xC0 <= 0xDE - 0xC0 && xt_name_capital_is_mojibake(text, at)) {
                return XT_INVALID;
            }
            value = xt_name_value_of(code_point);
        }
        at += length;
        if (value >= XT_CODE_LETTER && count < XT_NAME_MAX) {
            name->codes[count++] = value;
            continue;
        }
        name->length = (uint8_t)count;
        enum xt_status status = xt_name_add(name, value);
        if (status == XT_AGAIN) {
            return xt_name_parse_any(text, name);
        }
        if (status != XT_OK) {
            return status;
        }
        count = name->length;
    }
    name->length = (uint8_t)count;
    return xt_name_finish(name);
}

enum xt_status xt_name_parse(struct xt_span text, struct xt_name *name)
{
    name->length = 0;
    if (text.size > XT_NAME_TEXT_MAX) {
        return XT_TOO_LARGE;
    }
    enum xt_status status = parse(text, name);
    if (status != XT_OK) {
        name->length = 0;
    }
    return status;
}

/* The capital of the letter before *at. İ takes in the mark (U+0307) that its small letter leaves
 * beside it; with another mark before that one, i stays small, or NFC would reorder the two. */
static uint32_t capital(const struct xt_name *name, uint32_t letter, uint8_t code, size_t *at)
{
    if (code == 0) {
        return xt_name_capital(letter);
    }
    size_t after = *at;
    uint8_t next = XT_CODE_SPACE;
    uint32_t mark = 0;
    if (letter == 'i' && after < name->length && after < XT_NAME_MAX) {
        mark = xt_name_next(name, &after, &next);
    }
    if (mark == 0x307) {
        *at = after;
        return 0x130;
    }
    if (next == 0 && xt_name_base_letter(mark) == 0) {
        return letter;
    }
    return xt_name_upper(code) != 0 ? xt_name_upper(code) : letter;
}

size_t xt_name_display(const struct xt_name *name, char *text, size_t size)
{
    size_t written = 0;
    size_t at = 0;
    bool first = true;
    while (at < name->length && at < XT_NAME_MAX) {
        uint8_t code;
        uint32_t letter = xt_name_next(name, &at, &code);
        if (first) {
            letter = capital(name, letter, code, &at);
        }
        first = code > 0 && code < XT_CODE_LETTER;
        uint8_t bytes[XT_UTF8_MAX];
        size_t length = xt_utf8_write(letter, bytes);
        if (length > size - written) {
            break;
        }
        memcpy(text + written, bytes, length);
        written += length;
    }
    return written;
}
