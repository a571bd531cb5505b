#include "crypto/answer_key.h"

#include <openssl/curve25519.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "core/date.h"
#include "crypto/hex.h"
#include "crypto/keyring.h"

#define STATE_SIZE 8 /* padded with spaces */
#define SEED 32
#define LINE_SIZE (STATE_SIZE + 1 + XT_ANSWER_KEY_TIME + 1 + 2 * SEED + 1)

_Static_assert(XT_ANSWER_KEYS_TEXT_MAX == XT_ANSWER_KEYS_MAX * LINE_SIZE, "room for every key");
_Static_assert(sizeof((uint8_t[XT_ANSWER_SIGNATURE]){0}) == ED25519_SIGNATURE_LEN, "RFC 8032");

struct xt_answer_keys {
    unsigned count, current;
    struct xt_answer_key_facts facts[XT_ANSWER_KEYS_MAX];
    uint8_t secret[ED25519_PRIVATE_KEY_LEN]; /* of the current one; the others' are not needed */
};

static const char *const states[] = {"previous", "current ", "next    "};

/* ---- lines ------------------------------------------------------------------------------------ */

/* The shape of a time; its value is for the operator only. */
static bool is_time(const uint8_t *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
    for (size_t i = 0; i < XT_ANSWER_KEY_TIME; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != (uint8_t)shape[i]) {
            return false;
        }
    }
    return true;
}

static unsigned digits(const char *text, unsigned count)
{
    unsigned value = 0;
    for (unsigned i = 0; i < count; i++) {
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value;
}

/* Unix seconds of the time of a line, INT64_MAX where it has only its shape. */
static int64_t seconds_of(const char made[XT_ANSWER_KEY_TIME + 1])
{
    xt_date date = XT_DATE_NONE;
    unsigned hour = digits(made + 11, 2), minute = digits(made + 14, 2),
             second = digits(made + 17, 2);
    if (hour > 23 || minute > 59 || second > 60 ||
        xt_date_parse(xt_span_of(made, 10), &date) != XT_OK) {
        return INT64_MAX;
    }
    return ((xt_date_to_days(date) * INT64_C(24) + hour) * 60 + minute) * 60 + second;
}

static bool parse_line(const uint8_t *line, struct xt_answer_key_facts *facts, uint8_t seed[SEED])
{
    const uint8_t *made = line + STATE_SIZE + 1, *hex = made + XT_ANSWER_KEY_TIME + 1;
    if (line[STATE_SIZE] != ' ' || !is_time(made) || made[XT_ANSWER_KEY_TIME] != ' ' ||
        !xt_hex_parse(hex, seed, SEED) || line[LINE_SIZE - 1] != '\n') {
        return false;
    }
    memcpy(facts->made, made, XT_ANSWER_KEY_TIME);
    facts->made[XT_ANSWER_KEY_TIME] = '\0';
    for (unsigned i = XT_ANSWER_PREVIOUS; i <= XT_ANSWER_NEXT; i++) {
        if (memcmp(line, states[i], STATE_SIZE) == 0) {
            facts->state = (enum xt_answer_key_state)i;
            return true;
        }
    }
    return false;
}

/* A line with a new key. */
static bool new_line(enum xt_answer_key_state state, char line[LINE_SIZE + 1])
{
    uint8_t seed[SEED];
    char hex[2 * SEED + 1], made[XT_ANSWER_KEY_TIME + 1];
    time_t now = time(NULL);
    struct tm utc;
    bool dated = gmtime_r(&now, &utc) != NULL &&
                 strftime(made, sizeof(made), "%Y-%m-%dT%H:%M:%SZ", &utc) == XT_ANSWER_KEY_TIME;
    if (dated) {
        xt_random(seed, sizeof(seed));
        sodium_bin2hex(hex, sizeof(hex), seed, sizeof(seed));
        snprintf(line, LINE_SIZE + 1, "%s %s %s\n", states[state], made, hex);
        xt_wipe(seed, sizeof(seed));
        xt_wipe(hex, sizeof(hex));
    }
    return dated;
}

/* ---- the file --------------------------------------------------------------------------------- */

static enum xt_status write_file(const char *path, const char *text, size_t size, bool replace,
                                 struct xt_failure *failure)
{
    return xt_file_write(path, xt_span_of(text, size), 0600, replace, failure);
}

enum xt_status xt_answer_key_make(const char *path, struct xt_failure *failure)
{
    char text[2 * LINE_SIZE + 1];
    if (!new_line(XT_ANSWER_CURRENT, text) || !new_line(XT_ANSWER_NEXT, text + LINE_SIZE)) {
        return xt_fail(failure, XT_IO, "cannot make a key: the clock gives no usable date");
    }
    enum xt_status status = write_file(path, text, 2 * LINE_SIZE, false, failure);
    xt_wipe(text, sizeof(text));
    return status;
}

enum xt_status xt_answer_key_read(const char *path, uint8_t **text, size_t *size,
                                  struct xt_failure *failure)
{
    struct xt_answer_keys *keys = NULL;
    enum xt_status status = xt_file_read_secret(path, XT_ANSWER_KEYS_TEXT_MAX, text, size, failure);
    if (status != XT_OK) {
        return status;
    }
    status = xt_answer_keys_open(xt_span_of(*text, *size), &keys);
    xt_answer_keys_close(keys);
    if (status != XT_OK) {
        xt_file_release_secret(*text);
        *text = NULL;
        *size = 0;
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status,
                                     "%s does not hold signing keys (state, time, 64 hex digits a "
                                     "line; one is current): restore it from its backup",
                                     path);
}

/* The keys of old, one state further: what was next signs, what signed is previous. */
static size_t turn_lines(const uint8_t *old, size_t size, char *text)
{
    size_t lines = size / LINE_SIZE, made = 0;
    xt_require(old != NULL && lines > 0); /* xt_answer_key_read gives no other */
    bool has_next = memcmp(old + (lines - 1) * LINE_SIZE, states[XT_ANSWER_NEXT], STATE_SIZE) == 0;
    size_t previous = has_next ? lines - 1 : lines; /* with the one that signed until now */
    size_t skip = previous > XT_ANSWER_PREVIOUS_MAX ? previous - XT_ANSWER_PREVIOUS_MAX : 0;
    for (size_t i = skip; i < lines; i++, made++) {
        char *line = text + made * LINE_SIZE;
        memcpy(line, old + i * LINE_SIZE, LINE_SIZE);
        memcpy(line, states[i < previous ? XT_ANSWER_PREVIOUS : XT_ANSWER_CURRENT], STATE_SIZE);
    }
    return made;
}

enum xt_status xt_answer_key_rotate(const char *path, struct xt_failure *failure)
{
    uint8_t *old = NULL;
    size_t size = 0;
    enum xt_status status = xt_file_is_no_link(path, failure);
    if (status == XT_OK) {
        status = xt_answer_key_read(path, &old, &size, failure);
    }
    if (status != XT_OK) {
        return status;
    }
    char text[XT_ANSWER_KEYS_TEXT_MAX + 1];
    size_t lines = turn_lines(old, size, text);
    bool has_current =
        memcmp(text + (lines - 1) * LINE_SIZE, states[XT_ANSWER_CURRENT], STATE_SIZE) == 0;
    bool dated = has_current || new_line(XT_ANSWER_CURRENT, text + lines++ * LINE_SIZE);
    dated = dated && new_line(XT_ANSWER_NEXT, text + lines++ * LINE_SIZE);
    status = dated ? write_file(path, text, lines * LINE_SIZE, true, failure)
                   : xt_fail(failure, XT_IO, "cannot make a key: the clock gives no usable date");
    xt_wipe(text, sizeof(text));
    xt_file_release_secret(old);
    return status;
}

/* ---- the keys --------------------------------------------------------------------------------- */

/* Whether the states come in the order of the file's description. */
static bool follows(const struct xt_answer_keys *keys, unsigned index)
{
    enum xt_answer_key_state state = keys->facts[index].state;
    bool first = index == 0 || keys->facts[index - 1].state == XT_ANSWER_PREVIOUS;
    return state == XT_ANSWER_NEXT ? index > 0 && keys->facts[index - 1].state == XT_ANSWER_CURRENT
                                   : first;
}

static uint32_t number_of(const uint8_t public[XT_ANSWER_PUBLIC]);

static bool take_line(struct xt_answer_keys *keys, unsigned index, const uint8_t *line)
{
    uint8_t seed[SEED], secret[ED25519_PRIVATE_KEY_LEN];
    struct xt_answer_key_facts *facts = &keys->facts[index];
    bool fine = parse_line(line, facts, seed) && follows(keys, index);
    if (fine) {
        ED25519_keypair_from_seed(facts->public, secret, seed);
        xt_answer_key_id(facts->public, facts->id);
        facts->number = number_of(facts->public);
        if (facts->state == XT_ANSWER_CURRENT) {
            memcpy(keys->secret, secret, sizeof(secret));
            keys->current = index;
        }
        xt_wipe(secret, sizeof(secret));
    }
    xt_wipe(seed, sizeof(seed));
    for (unsigned i = 0; fine && i < index; i++) {
        fine = memcmp(keys->facts[i].public, facts->public, XT_ANSWER_PUBLIC) != 0;
    }
    return fine;
}

enum xt_status xt_answer_keys_open(struct xt_span text, struct xt_answer_keys **keys)
{
    if (text.size == 0 || text.size % LINE_SIZE != 0 || text.size > XT_ANSWER_KEYS_TEXT_MAX) {
        return XT_INVALID;
    }
    struct xt_answer_keys *made = xt_secret_alloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    made->count = (unsigned)(text.size / LINE_SIZE);
    bool fine = true;
    for (unsigned i = 0; fine && i < made->count; i++) {
        fine = take_line(made, i, text.data + (size_t)i * LINE_SIZE);
    }
    if (!fine || made->facts[made->count - 1].state == XT_ANSWER_PREVIOUS) {
        xt_secret_free(made);
        return XT_INVALID;
    }
    for (unsigned i = 0; i < made->count; i++) {
        bool retired = made->facts[i].state == XT_ANSWER_PREVIOUS && i + 2 < made->count;
        made->facts[i].retired_s = retired ? seconds_of(made->facts[i + 2].made) : INT64_MAX;
    }
    *keys = made;
    return XT_OK;
}

void xt_answer_keys_close(struct xt_answer_keys *keys)
{
    xt_secret_free(keys);
}

unsigned xt_answer_keys_count(const struct xt_answer_keys *keys)
{
    return keys->count;
}

const struct xt_answer_key_facts *xt_answer_keys_at(const struct xt_answer_keys *keys,
                                                    unsigned index)
{
    xt_require(index < keys->count);
    return &keys->facts[index];
}

const struct xt_answer_key_facts *xt_answer_keys_current(const struct xt_answer_keys *keys)
{
    return &keys->facts[keys->current];
}

void xt_answer_sign(const struct xt_answer_keys *keys, struct xt_span message,
                    uint8_t signature[XT_ANSWER_SIGNATURE])
{
    xt_require(ED25519_sign(signature, message.data, message.size, keys->secret) == 1);
}

static void to_base64url(const uint8_t bytes[32], char text[XT_ANSWER_KEY_ID + 1])
{
    sodium_bin2base64(text, XT_ANSWER_KEY_ID + 1, bytes, 32,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* state: XT_ANSWER_CURRENT first, since whoever takes the first key of a list takes that one. */
static void write_keys(const struct xt_answer_keys *keys, enum xt_answer_key_state state,
                       int64_t since_s, bool *first, struct xt_writer *writer)
{
    for (unsigned i = keys->count; i-- > 0;) { /* the newest of the previous ones first */
        const struct xt_answer_key_facts *facts = &keys->facts[i];
        char x[XT_ANSWER_KEY_ID + 1];
        if (facts->state != state || facts->retired_s < since_s) {
            continue;
        }
        to_base64url(facts->public, x);
        xt_write_string(writer, *first ? "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\""
                                       : ",{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        xt_write(writer, x, XT_ANSWER_KEY_ID);
        xt_write_literal(writer, "\",\"kid\":\"");
        xt_write(writer, facts->id, XT_ANSWER_KEY_ID);
        xt_write_literal(writer, "\",\"use\":\"sig\",\"alg\":\"EdDSA\"}");
        *first = false;
    }
}

void xt_answer_keys_to_json_since(const struct xt_answer_keys *keys, int64_t since_s,
                                  struct xt_writer *writer)
{
    bool first = true;
    write_keys(keys, XT_ANSWER_CURRENT, since_s, &first, writer);
    write_keys(keys, XT_ANSWER_NEXT, since_s, &first, writer);
    write_keys(keys, XT_ANSWER_PREVIOUS, since_s, &first, writer);
}

void xt_answer_keys_to_json(const struct xt_answer_keys *keys, struct xt_writer *writer)
{
    xt_answer_keys_to_json_since(keys, INT64_MIN, writer);
}

const struct xt_answer_key_facts *xt_answer_keys_find(const struct xt_answer_keys *keys,
                                                      struct xt_span id, int64_t since_s)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct xt_answer_key_facts *facts = &keys->facts[i];
        if (xt_span_is(id, facts->id) && facts->retired_s >= since_s) {
            return facts;
        }
    }
    return NULL;
}

/* ---- for whoever verifies --------------------------------------------------------------------- */

static void thumbprint(const uint8_t public[XT_ANSWER_PUBLIC], uint8_t digest[XT_SHA256])
{
    char x[XT_ANSWER_KEY_ID + 1], json[128];
    to_base64url(public, x);
    /* The members that RFC 7638 demands for OKP, in their order, without a space. */
    int size =
        snprintf(json, sizeof(json), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", x);
    xt_sha256(xt_span_of(json, (size_t)size), digest);
}

void xt_answer_key_id(const uint8_t public[XT_ANSWER_PUBLIC], char id[XT_ANSWER_KEY_ID + 1])
{
    uint8_t digest[XT_SHA256];
    thumbprint(public, digest);
    to_base64url(digest, id);
}

static uint32_t number_of(const uint8_t public[XT_ANSWER_PUBLIC])
{
    uint8_t digest[XT_SHA256];
    thumbprint(public, digest);
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           digest[3];
}

bool xt_answer_signature_is_right(const uint8_t public[XT_ANSWER_PUBLIC], struct xt_span message,
                                  const uint8_t signature[XT_ANSWER_SIGNATURE])
{
    return ED25519_verify(message.data, message.size, signature, public) == 1;
}

void xt_sha256(struct xt_span content, uint8_t digest[XT_SHA256])
{
    SHA256(content.data, content.size, digest);
}

void xt_sha512(struct xt_span content, uint8_t digest[XT_SHA512])
{
    SHA512(content.data, content.size, digest);
}
