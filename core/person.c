#include "core/person.h"

#include "core/person_member.h"
#include "core/plain_text.h"
#include "core/province.h"

#include <stdio.h>

static const char *const MEMBER_NAMES[XT_MEMBER_COUNT] = {
    [XT_MEMBER_ID] = "id",
    [XT_MEMBER_FULL_NAME] = "full_name",
    [XT_MEMBER_DATE_OF_BIRTH] = "date_of_birth",
    [XT_MEMBER_SEX] = "sex",
    [XT_MEMBER_OLD_ID] = "old_id",
    [XT_MEMBER_REPLACED_NUMBERS] = "replaced_numbers",
    [XT_MEMBER_NATIONALITY] = "nationality",
    [XT_MEMBER_ETHNICITY] = "ethnicity",
    [XT_MEMBER_HOME_TOWN] = "home_town",
    [XT_MEMBER_PLACE_OF_BIRTH] = "place_of_birth",
    [XT_MEMBER_FATHER_NAME] = "father_name",
    [XT_MEMBER_MOTHER_NAME] = "mother_name",
    [XT_MEMBER_ADDRESS_PROVINCE] = "address.province",
    [XT_MEMBER_ADDRESS_WARD] = "address.ward",
    [XT_MEMBER_ADDRESS_TEXT] = "address.text",
    [XT_MEMBER_STATUS] = "status",
    [XT_MEMBER_CARD_ISSUED_ON] = "card.issued_on",
    [XT_MEMBER_CARD_EXPIRES_ON] = "card.expires_on",
    [XT_MEMBER_CARD_STATE] = "card.state",
    [XT_MEMBER_CARD_PUBLIC_KEY] = "card.public_key",
    [XT_MEMBER_PHONES] = "phones",
    [XT_MEMBER_ACCOUNT_LEVEL] = "account.level",
    [XT_MEMBER_ACCOUNT_LOCKS] = "account.locks",
    [XT_MEMBER_ACCOUNT_PASSCODE_HASH] = "account.passcode_hash",
};

/* A word of a closed list and what it stands for. */
struct word {
    const char *text;
    unsigned value;
};

static const struct word SEXES[] = {{"male", XT_SEX_MALE}, {"female", XT_SEX_FEMALE}, {NULL, 0}};
static const struct word LIVES[] = {{"alive", XT_LIFE_ALIVE},
                                    {"deceased", XT_LIFE_DECEASED},
                                    {"missing", XT_LIFE_MISSING},
                                    {"cancelled", XT_LIFE_CANCELLED},
                                    {NULL, 0}};
static const struct word CARD_STATES[] = {
    {"active", XT_CARD_ACTIVE}, {"lost", XT_CARD_LOST}, {"revoked", XT_CARD_REVOKED}, {NULL, 0}};
static const struct word LOCKS[] = {{"holder", XT_LOCK_HOLDER},
                                    {"breach", XT_LOCK_BREACH},
                                    {"authority", XT_LOCK_AUTHORITY},
                                    {"card_revoked", XT_LOCK_CARD_REVOKED},
                                    {"death", XT_LOCK_DEATH},
                                    {"stay_expired", XT_LOCK_STAY_EXPIRED},
                                    {NULL, 0}};
static const struct word UNLOCKS[] = {{"biometric", XT_UNLOCK_BIOMETRIC},
                                      {"fingerprint", XT_UNLOCK_FINGERPRINT},
                                      {"face", XT_UNLOCK_FACE},
                                      {"iris", XT_UNLOCK_IRIS},
                                      {NULL, 0}};
static const struct word LEVELS[] = {{"1", 1}, {"2", 2}, {NULL, 0}};

static const char PASSCODE_PREFIX[] = "$argon2id$";

enum xt_status xt_document_parse(struct xt_span text, struct xt_document *document)
{
    uint8_t length = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == ' ' || byte == '.' || byte == '-' || byte == '/') {
            continue;
        }
        if (byte >= 'a' && byte <= 'z') {
            byte = (uint8_t)(byte - 'a' + 'A');
        }
        bool fits = (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
        if (!fits || length == XT_DOCUMENT_MAX) {
            return XT_INVALID;
        }
        document->text[length++] = (char)byte;
    }
    document->length = length;
    return length > 0 ? XT_OK : XT_INVALID;
}

const char *xt_person_member_name(enum xt_person_member member)
{
    return MEMBER_NAMES[member];
}

void xt_person_clear(struct xt_person *person)
{
    /* The long arrays come last: they hold nothing beyond their counts. */
    memset(person, 0, offsetof(struct xt_person, devices));
    person->link_count = 0;
}

enum xt_status xt_reject_fill(struct xt_reject *reject, const char *code, const char *pointer)
{
    reject->code = code;
    (void)snprintf(reject->pointer, sizeof reject->pointer, "%s", pointer);
    return XT_INVALID;
}

const char *xt_person_key_check(struct xt_span text)
{
    size_t length = 0;
    if (text.size == 0) {
        return "empty";
    }
    if (text.size > XT_PERSON_KEY_MAX) {
        return "too_long";
    }
    return xt_base64url_decode(text, NULL, &length) ? NULL : "bad_key";
}

const char *xt_reject_hint(const char *code)
{
    return strcmp(code, "bad_key") == 0
               ? "give the base64url text of the DER of a SubjectPublicKeyInfo: of P-256 an uncompressed "
                 "point of the curve, or Ed25519; or leave the key out"
               : NULL;
}

static const char *set_text(struct xt_span *member, struct xt_span text)
{
    *member = text;
    return xt_text_check(text, XT_PERSON_TEXT_MAX);
}

static const char *set_word(const struct word *list, struct xt_span text, unsigned *value)
{
    for (; list->text != NULL; list++) {
        if (xt_span_is(text, list->text)) {
            *value = list->value;
            return NULL;
        }
    }
    return text.size == 0 ? "empty" : "bad_value";
}

static const char *set_name(struct xt_person *person, struct xt_span text)
{
    if (text.size == 0) {
        return "empty";
    }
    if (text.size > XT_PERSON_TEXT_MAX) {
        return "too_long";
    }
    person->full_name = text;
    enum xt_status status = xt_name_parse(text, &person->name);
    return status == XT_OK ? NULL : status == XT_TOO_LARGE ? "too_long" : "bad_name";
}

static const char *set_date(struct xt_span text, xt_date *date)
{
    if (xt_date_parse(text, date) == XT_OK) {
        return NULL;
    }
    return text.size == 0 ? "empty" : "bad_date";
}

static const char *set_number(struct xt_span text, uint64_t *number)
{
    if (xt_number_parse(text, number) == XT_OK) {
        return NULL;
    }
    return text.size == 0 ? "empty" : "bad_id";
}

static const char *set_old_id(struct xt_person *person, struct xt_span text)
{
    uint64_t cmnd = 0;
    if (xt_cmnd_parse(text, &cmnd) != XT_OK) {
        return text.size == 0 ? "empty" : "bad_id";
    }
    person->has_cmnd = true;
    person->cmnd = (uint32_t)cmnd;
    return NULL;
}

static const char *add_replaced(struct xt_person *person, struct xt_span text)
{
    uint64_t number = 0;
    const char *code = set_number(text, &number);
    if (code != NULL) {
        return code;
    }
    for (unsigned i = 0; i < person->replaced_count; i++) {
        if (person->replaced[i] == number) {
            return NULL;
        }
    }
    if (person->replaced_count == XT_PERSON_REPLACED_MAX) {
        return "too_many";
    }
    person->replaced[person->replaced_count++] = number;
    return NULL;
}

static const char *add_phone(struct xt_person *person, struct xt_span text)
{
    uint32_t phone = 0;
    if (xt_phone_parse(text, &phone) != XT_OK) {
        return text.size == 0 ? "empty" : "bad_phone";
    }
    for (unsigned i = 0; i < person->phone_count; i++) {
        if (person->phones[i] == phone) {
            return NULL;
        }
    }
    if (person->phone_count == XT_PERSON_PHONES_MAX) {
        return "too_many";
    }
    person->phones[person->phone_count++] = phone;
    return NULL;
}

static const char *set_nationality(struct xt_person *person, struct xt_span text)
{
    if (text.size != 3) { /* ICAO 9303: three capitals */
        return text.size == 0 ? "empty" : "bad_value";
    }
    for (unsigned i = 0; i < 3; i++) {
        if (text.data[i] < 'A' || text.data[i] > 'Z') {
            return "bad_value";
        }
    }
    person->nationality = text;
    return NULL;
}

static const char *set_passcode_hash(struct xt_person *person, struct xt_span text)
{
    const char *code = set_text(&person->passcode_hash, text);
    size_t prefix = sizeof PASSCODE_PREFIX - 1;
    if (code == NULL && (text.size <= prefix || memcmp(text.data, PASSCODE_PREFIX, prefix) != 0)) {
        code = "bad_value";
    }
    return code;
}

static const char *set_ward(struct xt_person *person, struct xt_span text)
{
    person->address_ward = text;
    if (xt_text_is_digits(text, 5)) { /* the code of the General Statistics Office */
        return NULL;
    }
    return text.size == 0 ? "empty" : "bad_value";
}

static const char *set_province(struct xt_person *person, struct xt_span text)
{
    if (xt_province_parse(text, &person->address_province) == XT_OK) {
        return NULL;
    }
    return text.size == 0 ? "empty" : "bad_value";
}

const char *xt_person_member_set(struct xt_person *person, enum xt_person_member member,
                                 struct xt_span text)
{
    const char *code = NULL;
    unsigned value = 0;
    switch (member) {
    case XT_MEMBER_ID:
        return set_number(text, &person->number);
    case XT_MEMBER_FULL_NAME:
        return set_name(person, text);
    case XT_MEMBER_DATE_OF_BIRTH:
        return set_date(text, &person->date_of_birth);
    case XT_MEMBER_SEX:
        code = set_word(SEXES, text, &value);
        person->sex = (enum xt_sex)value;
        return code;
    case XT_MEMBER_OLD_ID:
        return set_old_id(person, text);
    case XT_MEMBER_REPLACED_NUMBERS:
        return add_replaced(person, text);
    case XT_MEMBER_NATIONALITY:
        return set_nationality(person, text);
    case XT_MEMBER_ETHNICITY:
        return set_text(&person->ethnicity, text);
    case XT_MEMBER_HOME_TOWN:
        return set_text(&person->home_town, text);
    case XT_MEMBER_PLACE_OF_BIRTH:
        return set_text(&person->place_of_birth, text);
    case XT_MEMBER_FATHER_NAME:
        return set_text(&person->father_name, text);
    case XT_MEMBER_MOTHER_NAME:
        return set_text(&person->mother_name, text);
    case XT_MEMBER_ADDRESS_PROVINCE:
        return set_province(person, text);
    case XT_MEMBER_ADDRESS_WARD:
        return set_ward(person, text);
    case XT_MEMBER_ADDRESS_TEXT:
        return set_text(&person->address_text, text);
    case XT_MEMBER_STATUS:
        code = set_word(LIVES, text, &value);
        person->life = (enum xt_life)value;
        return code;
    case XT_MEMBER_CARD_ISSUED_ON:
        return set_date(text, &person->card_issued_on);
    case XT_MEMBER_CARD_EXPIRES_ON:
        person->card_has_expiry = true;
        return set_date(text, &person->card_expires_on);
    case XT_MEMBER_CARD_STATE:
        code = set_word(CARD_STATES, text, &value);
        person->card_state = (enum xt_card_state)value;
        return code;
    case XT_MEMBER_CARD_PUBLIC_KEY:
        person->card_public_key = text;
        return xt_person_key_check(text);
    case XT_MEMBER_PHONES:
        return add_phone(person, text);
    case XT_MEMBER_ACCOUNT_LEVEL:
        return set_word(LEVELS, text, &person->account_level);
    case XT_MEMBER_ACCOUNT_LOCKS:
        code = set_word(LOCKS, text, &value);
        person->locks = (uint8_t)(person->locks | value);
        return code;
    case XT_MEMBER_ACCOUNT_PASSCODE_HASH:
        return set_passcode_hash(person, text);
    case XT_MEMBER_COUNT:
        break;
    }
    return "unknown_member";
}

enum xt_person_member xt_person_finish(struct xt_person *person, uint32_t seen)
{
    static const enum xt_person_member REQUIRED[] = {XT_MEMBER_ID, XT_MEMBER_FULL_NAME,
                                                     XT_MEMBER_DATE_OF_BIRTH};
    for (unsigned i = 0; i < sizeof REQUIRED / sizeof REQUIRED[0]; i++) {
        if ((seen & XT_MEMBER_BIT(REQUIRED[i])) == 0) {
            return REQUIRED[i];
        }
    }
    uint32_t card = XT_MEMBER_BIT(XT_MEMBER_CARD_ISSUED_ON) |
                    XT_MEMBER_BIT(XT_MEMBER_CARD_EXPIRES_ON) |
                    XT_MEMBER_BIT(XT_MEMBER_CARD_PUBLIC_KEY);
    if ((seen & XT_MEMBER_BIT(XT_MEMBER_CARD_STATE)) == 0 && (seen & card) != 0) {
        person->card_state = XT_CARD_ACTIVE;
    }
    if ((seen & XT_MEMBER_BIT(XT_MEMBER_CARD_EXPIRES_ON)) == 0) {
        person->card_expires_on = xt_card_expiry(person->date_of_birth, person->card_issued_on);
        person->card_has_expiry = person->card_expires_on != XT_CARD_NO_EXPIRY;
    }
    return XT_MEMBER_COUNT;
}

struct xt_device xt_person_device(const struct xt_person *person, struct xt_span device_id)
{
    for (unsigned i = 0; i < person->device_count; i++) {
        if (xt_span_equal(person->devices[i].device_id, device_id)) {
            return person->devices[i];
        }
    }
    return (struct xt_device){.unlocked_by = XT_UNLOCK_NONE};
}

const char *xt_unlock_read(struct xt_span name, enum xt_unlock *unlocked_by)
{
    unsigned value = XT_UNLOCK_NONE;
    const char *code = set_word(UNLOCKS, name, &value);
    *unlocked_by = (enum xt_unlock)value;
    return code;
}
