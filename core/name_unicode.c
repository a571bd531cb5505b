/* Letters outside the table: foreign-born citizens' names (Ö, ç, ñ, other scripts), and marks that
 * no Vietnamese letter takes. Slower by an order of magnitude, and rare. The text goes to NFKC and
 * case folding through utf8proc; letters the table knows are still held by their table codes. */
#include "core/name_table.h"
#include "core/utf8.h"

#include <utf8proc.h>

#define FOLDED_MAX (XT_NAME_TEXT_MAX * 2) /* code points; only a few ligatures grow more */
#define FOLDED_BYTES (FOLDED_MAX * XT_UTF8_MAX)
#define FOLD_PASSES 3 /* folding after composing can undo it, at most twice (UAX 15, UAX 44) */
#define FOLDING (UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD)

/* Letters to Unicode that are marks of mojibake and in nobody's name: ª º µ Ƒ ƒ. */
static bool is_letter(uint32_t code_point)
{
    if (code_point == 0xAA || code_point == 0xBA || code_point == 0xB5 || code_point == 0x191 ||
        code_point == 0x192) {
        return false;
    }
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LO:
        return true;
    default:
        return false;
    }
}

static bool is_mark(uint32_t code_point)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC;
}

/* Copies text with everything but letters and marks already in its final form, and refuses what can
 * be no name before NFKC could turn it into letters. */
static bool clean(struct xt_span text, struct xt_writer *cleaned)
{
    for (size_t at = 0, length; at < text.size; at += length) {
        uint32_t code_point;
        length = xt_utf8_read(text.data + at, text.size - at, &code_point);
        if (length == 0) {
            return false;
        }
        if (code_point - 0xC0 <= 0xDE - 0xC0 && xt_name_capital_is_mojibake(text, at)) {
            return false;
        }
        uint8_t value = xt_name_value_of(code_point);
        if (value == XT_VALUE_IGNORE) {
            continue;
        }
        if (value == XT_CODE_D_STROKE) {
            xt_write_literal(cleaned, "đ");
        } else if (value >= XT_CODE_SPACE && value < XT_CODE_LETTER) {
            xt_write_byte(cleaned, value);
        } else if (value != XT_VALUE_OTHER || is_letter(code_point) || is_mark(code_point)) {
            xt_write(cleaned, text.data + at, length);
        } else {
            return false;
        }
    }
    return true;
}

static size_t encode(const utf8proc_int32_t *letters, size_t count, uint8_t *bytes)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += xt_utf8_write((uint32_t)letters[i], bytes + size);
    }
    return size;
}

/* One pass of NFKC and case folding. Gives the code points, 0 when there are too many. */
static size_t fold(const uint8_t *text, size_t size, utf8proc_int32_t letters[FOLDED_MAX + 1])
{
    utf8proc_ssize_t count =
        utf8proc_decompose(text, (utf8proc_ssize_t)size, letters, FOLDED_MAX, FOLDING);
    if (count <= 0 || count > FOLDED_MAX) {
        return 0;
    }
    count = utf8proc_normalize_utf32(letters, count, FOLDING);
    return count > 0 ? (size_t)count : 0;
}

/* Folds until nothing changes any more, so that a name read back from its display is the same. */
static size_t fold_all(struct xt_span text, utf8proc_int32_t letters[FOLDED_MAX + 1])
{
    uint8_t before[FOLDED_BYTES], after[FOLDED_BYTES];
    size_t size = text.size;
    memcpy(before, text.data, size);
    for (unsigned pass = 0; pass < FOLD_PASSES; pass++) {
        size_t count = fold(before, size, letters);
        size_t folded = encode(letters, count, after);
        if (count == 0 || (folded == size && memcmp(before, after, size) == 0)) {
            return count;
        }
        memcpy(before, after, folded);
        size = folded;
    }
    return 0;
}

static enum xt_status add_escape(struct xt_name *name, uint32_t letter)
{
    uint8_t codes[4];
    size_t length = xt_name_escape(letter, codes);
    if (length == 0) {
        return XT_INVALID;
    }
    if (length > (size_t)XT_NAME_MAX - name->length) {
        return XT_TOO_LARGE;
    }
    memcpy(name->codes + name->length, codes, length);
    name->length = (uint8_t)(name->length + length);
    return XT_OK;
}

static enum xt_status add_letter(struct xt_name *name, uint32_t letter)
{
    uint8_t value = xt_name_value_of(letter);
    uint8_t last = name->length > 0 ? name->codes[name->length - 1] : XT_CODE_SPACE;
    enum xt_status status = xt_name_add(name, value);
    if (status != XT_AGAIN) {
        return status;
    }
    bool tone = value > XT_VALUE_OTHER && value < XT_TONE_COUNT;
    if (tone && xt_code_is_vowel(last)) {
        return XT_INVALID; /* two tones on one letter */
    }
    if (is_mark(letter)) {
        bool follows_letter = last >= XT_CODE_LETTER || last < XT_CODE_SPACE;
        return follows_letter ? add_escape(name, letter) : XT_INVALID;
    }
    return is_letter(letter) ? add_escape(name, letter) : XT_INVALID;
}

enum xt_status xt_name_parse_any(struct xt_span text, struct xt_name *name)
{
    uint8_t buffer[XT_NAME_TEXT_MAX];
    struct xt_writer cleaned = xt_writer_over(buffer, sizeof(buffer));
    utf8proc_int32_t letters[FOLDED_MAX + 1];

    name->length = 0;
    if (!clean(text, &cleaned) || cleaned.size == 0) {
        return XT_INVALID;
    }
    xt_require(!cleaned.overflow); /* nothing grows */
    size_t count = fold_all(xt_written(&cleaned), letters);
    if (count == 0) {
        return XT_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        enum xt_status status = add_letter(name, (uint32_t)letters[i]);
        if (status != XT_OK) {
            return status;
        }
    }
    return xt_name_finish(name);
}

uint32_t xt_name_capital(uint32_t code_point)
{
    uint8_t bytes[XT_UTF8_MAX];
    utf8proc_int32_t folded[FOLDED_MAX + 1];
    utf8proc_int32_t capital = utf8proc_toupper((utf8proc_int32_t)code_point);
    size_t count = fold(bytes, xt_utf8_write((uint32_t)capital, bytes), folded);
    return count == 1 && (uint32_t)folded[0] == code_point ? (uint32_t)capital : code_point;
}

uint32_t xt_name_base_letter(uint32_t code_point)
{
    /* Latin letters that a stroke or a curl makes have no decomposition. */
    switch (code_point) {
    case 0xF8: /* ø */
        return 'o';
    case 0x142: /* ł */
        return 'l';
    case 0x131: /* ı */
        return 'i';
    default:
        break;
    }
    if (is_mark(code_point)) {
        return 0;
    }
    utf8proc_int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code_point, parts, 8,
                                                     UTF8PROC_DECOMPOSE, &boundary);
    return count > 0 && count <= 8 ? (uint32_t)parts[0] : code_point;
}
