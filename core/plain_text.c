#include "core/plain_text.h"

#include "core/utf8.h"

#define EACH_BYTE(byte) (0x0101010101010101ULL * (byte))

static inline uint64_t word_at(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/* The high bit of each byte that is below limit (at most 0x80); may also mark bytes after a true
 * hit, which is fine for a yes or no. */
static inline uint64_t bytes_below(uint64_t word, uint8_t limit)
{
    return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

static inline uint64_t bytes_equal(uint64_t word, uint8_t byte)
{
    return bytes_below(word ^ EACH_BYTE(byte), 1);
}

bool xt_text_is_utf8(struct xt_span text)
{
    size_t at = 0;
    while (at < text.size) {
        if (text.size - at >= 8 && (word_at(text.data + at) & EACH_BYTE(0x80)) == 0) {
            at += 8;
            continue;
        }
        uint32_t code_point = 0;
        size_t size = xt_utf8_read(text.data + at, text.size - at, &code_point);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

static bool byte_is_control(struct xt_span text, size_t at)
{
    uint8_t byte = text.data[at];
    return byte < 0x20 || byte == 0x7f ||
           (byte == 0xc2 && at + 1 < text.size && text.data[at + 1] < 0xa0);
}

bool xt_text_has_control(struct xt_span text)
{
    for (size_t at = 0; at < text.size;) {
        size_t end = at + 1;
        if (text.size - at >= 8) {
            uint64_t word = word_at(text.data + at);
            end = at + 8;
            if ((bytes_below(word, 0x20) | bytes_equal(word, 0x7f) | bytes_equal(word, 0xc2)) ==
                0) {
                at = end;
                continue;
            }
        }
        for (; at < end; at++) {
            if (byte_is_control(text, at)) {
                return true;
            }
        }
    }
    return false;
}

const char *xt_text_check(struct xt_span text, size_t most)
{
    if (text.size == 0) {
        return "empty";
    }
    if (text.size > most) {
        return "too_long";
    }
    return xt_text_has_control(text) ? "control_character" : NULL;
}

size_t xt_text_length(struct xt_span text)
{
    size_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        length += (text.data[i] & 0xc0) != 0x80;
    }
    return length;
}

bool xt_text_is_digits(struct xt_span text, size_t count)
{
    if (text.size != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return true;
}

/* Value of one base64url digit plus one; 0 for every other byte. */
static const uint8_t BASE64URL[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64};

/* The same for each of four digits, where its bits stand in the group of three bytes; RIGHT marks that it is one. */
#define RIGHT (1U << 24)
#define D(digit, value, s) [digit] = (RIGHT | (uint32_t)(value) << (s))
#define DIGITS(s)                                                                                  \
    {                                                                                              \
        D('A', 0, s), D('B', 1, s), D('C', 2, s), D('D', 3, s), D('E', 4, s), D('F', 5, s),        \
            D('G', 6, s), D('H', 7, s), D('I', 8, s), D('J', 9, s), D('K', 10, s), D('L', 11, s),  \
            D('M', 12, s), D('N', 13, s), D('O', 14, s), D('P', 15, s), D('Q', 16, s),             \
            D('R', 17, s), D('S', 18, s), D('T', 19, s), D('U', 20, s), D('V', 21, s),             \
            D('W', 22, s), D('X', 23, s), D('Y', 24, s), D('Z', 25, s), D('a', 26, s),             \
            D('b', 27, s), D('c', 28, s), D('d', 29, s), D('e', 30, s), D('f', 31, s),             \
            D('g', 32, s), D('h', 33, s), D('i', 34, s), D('j', 35, s), D('k', 36, s),             \
            D('l', 37, s), D('m', 38, s), D('n', 39, s), D('o', 40, s), D('p', 41, s),             \
            D('q', 42, s), D('r', 43, s), D('s', 44, s), D('t', 45, s), D('u', 46, s),             \
            D('v', 47, s), D('w', 48, s), D('x', 49, s), D('y', 50, s), D('z', 51, s),             \
            D('0', 52, s), D('1', 53, s), D('2', 54, s), D('3', 55, s), D('4', 56, s),             \
            D('5', 57, s), D('6', 58, s), D('7', 59, s), D('8', 60, s), D('9', 61, s),             \
            D('-', 62, s), D('_', 63, s)                                                           \
    }
static const uint32_t GROUP[4][256] = {DIGITS(18), DIGITS(12), DIGITS(6), DIGITS(0)};
#undef D
#undef DIGITS

static inline uint32_t group_of(const uint8_t *digits, uint32_t *right)
{
    uint32_t a = GROUP[0][digits[0]], b = GROUP[1][digits[1]], c = GROUP[2][digits[2]],
             d = GROUP[3][digits[3]];
    *right &= a & b & c & d;
    return a | b | c | d;
}

static inline void put_group(uint32_t group, uint8_t *bytes)
{
    bytes[0] = (uint8_t)(group >> 16);
    bytes[1] = (uint8_t)(group >> 8);
    bytes[2] = (uint8_t)group;
}

/* All are read whatever they are: what is wrong is told in the end. */
static bool decode_groups(const uint8_t *digits, size_t groups, uint8_t *bytes)
{
    uint32_t right = RIGHT;
    for (size_t i = 0; i < groups; i++) {
        uint32_t group = group_of(digits + i * 4, &right);
        if (bytes != NULL) {
            put_group(group, bytes + i * 3);
        }
    }
    return right != 0;
}

bool xt_base64url_decode(struct xt_span text, uint8_t *bytes, size_t *length)
{
    if (text.size == 0 || text.size % 4 == 1) {
        return false;
    }
    uint32_t held = 0; /* bits not yet written */
    unsigned bits = 0;
    size_t start = text.size - text.size % 4, count = start / 4 * 3;
    if (!decode_groups(text.data, start / 4, bytes)) {
        return false;
    }
    for (size_t i = start; i < text.size; i++) {
        uint8_t digit = BASE64URL[text.data[i]];
        if (digit == 0) {
            return false;
        }
        held = held << 6 | (uint32_t)(digit - 1);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (bytes != NULL) {
                bytes[count] = (uint8_t)(held >> bits);
            }
            count++;
            held &= (1U << bits) - 1;
        }
    }
    *length = count;
    return held == 0;
}
