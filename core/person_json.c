#include "core/person_object.h"
#include "core/plain_text.h"

#include <stdarg.h>
#include <stdio.h>

/* What a member of an object is: one of the plain members, or one of these. */
enum { ADDRESS = XT_MEMBER_COUNT, CARD, ACCOUNT, DEVICES, LINKS };
_Static_assert(LINKS < 32, "members seen are bits of one integer");

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))

static const struct xt_json_member TOP[] = {
    XT_JSON_MEMBER("id", XT_MEMBER_ID),
    XT_JSON_MEMBER("full_name", XT_MEMBER_FULL_NAME),
    XT_JSON_MEMBER("date_of_birth", XT_MEMBER_DATE_OF_BIRTH),
    XT_JSON_MEMBER("sex", XT_MEMBER_SEX),
    XT_JSON_MEMBER("old_id", XT_MEMBER_OLD_ID),
    XT_JSON_MEMBER("replaced_numbers", XT_MEMBER_REPLACED_NUMBERS),
    XT_JSON_MEMBER("nationality", XT_MEMBER_NATIONALITY),
    XT_JSON_MEMBER("ethnicity", XT_MEMBER_ETHNICITY),
    XT_JSON_MEMBER("home_town", XT_MEMBER_HOME_TOWN),
    XT_JSON_MEMBER("place_of_birth", XT_MEMBER_PLACE_OF_BIRTH),
    XT_JSON_MEMBER("father_name", XT_MEMBER_FATHER_NAME),
    XT_JSON_MEMBER("mother_name", XT_MEMBER_MOTHER_NAME),
    XT_JSON_MEMBER("address", ADDRESS),
    XT_JSON_MEMBER("status", XT_MEMBER_STATUS),
    XT_JSON_MEMBER("card", CARD),
    XT_JSON_MEMBER("phones", XT_MEMBER_PHONES),
    XT_JSON_MEMBER("account", ACCOUNT),
    XT_JSON_MEMBER("links", LINKS),
};
static const struct xt_json_member IN_ADDRESS[] = {
    XT_JSON_MEMBER("province", XT_MEMBER_ADDRESS_PROVINCE),
    XT_JSON_MEMBER("ward", XT_MEMBER_ADDRESS_WARD),
    XT_JSON_MEMBER("text", XT_MEMBER_ADDRESS_TEXT),
};
static const struct xt_json_member IN_CARD[] = {
    XT_JSON_MEMBER("issued_on", XT_MEMBER_CARD_ISSUED_ON),
    XT_JSON_MEMBER("expires_on", XT_MEMBER_CARD_EXPIRES_ON),
    XT_JSON_MEMBER("state", XT_MEMBER_CARD_STATE),
    XT_JSON_MEMBER("public_key", XT_MEMBER_CARD_PUBLIC_KEY),
};
static const struct xt_json_member IN_NEW_CARD[] = {
    XT_JSON_MEMBER("issued_on", XT_MEMBER_CARD_ISSUED_ON),
    XT_JSON_MEMBER("expires_on", XT_MEMBER_CARD_EXPIRES_ON),
    XT_JSON_MEMBER("public_key", XT_MEMBER_CARD_PUBLIC_KEY),
};
static const struct xt_json_member IN_ACCOUNT[] = {
    XT_JSON_MEMBER("level", XT_MEMBER_ACCOUNT_LEVEL),
    XT_JSON_MEMBER("locks", XT_MEMBER_ACCOUNT_LOCKS),
    XT_JSON_MEMBER("devices", DEVICES),
    XT_JSON_MEMBER("passcode_hash", XT_MEMBER_ACCOUNT_PASSCODE_HASH),
};
static const struct xt_json_member IN_CORRECTION[] = {
    XT_JSON_MEMBER("full_name", XT_MEMBER_FULL_NAME),
    XT_JSON_MEMBER("date_of_birth", XT_MEMBER_DATE_OF_BIRTH),
    XT_JSON_MEMBER("sex", XT_MEMBER_SEX),
    XT_JSON_MEMBER("old_id", XT_MEMBER_OLD_ID),
    XT_JSON_MEMBER("nationality", XT_MEMBER_NATIONALITY),
    XT_JSON_MEMBER("ethnicity", XT_MEMBER_ETHNICITY),
    XT_JSON_MEMBER("home_town", XT_MEMBER_HOME_TOWN),
    XT_JSON_MEMBER("place_of_birth", XT_MEMBER_PLACE_OF_BIRTH),
    XT_JSON_MEMBER("father_name", XT_MEMBER_FATHER_NAME),
    XT_JSON_MEMBER("mother_name", XT_MEMBER_MOTHER_NAME),
    XT_JSON_MEMBER("status", XT_MEMBER_STATUS),
};
/* What null takes out of a record. */
#define CLEARABLE                                                                                  \
    (XT_MEMBER_BIT(XT_MEMBER_SEX) | XT_MEMBER_BIT(XT_MEMBER_OLD_ID) |                              \
     XT_MEMBER_BIT(XT_MEMBER_NATIONALITY) | XT_MEMBER_BIT(XT_MEMBER_ETHNICITY) |                   \
     XT_MEMBER_BIT(XT_MEMBER_HOME_TOWN) | XT_MEMBER_BIT(XT_MEMBER_PLACE_OF_BIRTH) |                \
     XT_MEMBER_BIT(XT_MEMBER_FATHER_NAME) | XT_MEMBER_BIT(XT_MEMBER_MOTHER_NAME))

enum { DEVICE_ID, DEVICE_KEY, DEVICE_UNLOCKED_BY };
static const struct xt_json_member IN_DEVICE[] = {
    XT_JSON_MEMBER("device_id", DEVICE_ID),
    XT_JSON_MEMBER("public_key", DEVICE_KEY),
    XT_JSON_MEMBER("unlocked_by", DEVICE_UNLOCKED_BY),
};

enum { LINK_TYPE, LINK_NUMBER, LINK_FROM, LINK_UNTIL };
static const struct xt_json_member IN_LINK[] = {
    XT_JSON_MEMBER("type", LINK_TYPE),
    XT_JSON_MEMBER("number", LINK_NUMBER),
    XT_JSON_MEMBER("valid_from", LINK_FROM),
    XT_JSON_MEMBER("valid_until", LINK_UNTIL),
};
static const struct xt_json_member LINK_TYPES[] = {
    XT_JSON_MEMBER("health_insurance", XT_LINK_HEALTH_INSURANCE),
    XT_JSON_MEMBER("social_insurance", XT_LINK_SOCIAL_INSURANCE),
    XT_JSON_MEMBER("driving_licence", XT_LINK_DRIVING_LICENCE),
    XT_JSON_MEMBER("vehicle", XT_LINK_VEHICLE),
    XT_JSON_MEMBER("passport", XT_LINK_PASSPORT),
    XT_JSON_MEMBER("tax", XT_LINK_TAX),
};

struct reader {
    struct xt_person *person;
    struct xt_reject *reject;
    uint32_t seen;               /* of all objects together: every plain member has one place */
    uint32_t clearable, cleared; /* members that may be null, and that were */
};

/* The one way out for a bad value. Pointers are built only here, where something is wrong. */
XT_PRINTF(3, 4)
static enum xt_status refuse(struct reader *reader, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    reader->reject->code = code;
    (void)vsnprintf(reader->reject->pointer, sizeof reader->reject->pointer, format, arguments);
    va_end(arguments);
    return XT_INVALID;
}

static enum xt_status refuse_member(struct reader *reader, const char *code, unsigned member)
{
    enum xt_status status =
        refuse(reader, code, "/%s", xt_person_member_name((enum xt_person_member)member));
    for (char *at = reader->reject->pointer; *at != '\0'; at++) {
        if (*at == '.') {
            *at = '/';
        }
    }
    return status;
}

static enum xt_status read_list(struct reader *reader, unsigned member, yyjson_val *value)
{
    if (!yyjson_is_arr(value)) {
        return refuse_member(reader, "wrong_type", member);
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(value, index, count, item)
    {
        const char *code = yyjson_is_str(item)
                               ? xt_person_member_set(reader->person, (enum xt_person_member)member,
                                                      xt_json_string(item))
                               : "wrong_type";
        if (code != NULL) {
            enum xt_status status = refuse_member(reader, code, member);
            char *pointer = reader->reject->pointer;
            size_t length = strlen(pointer);
            (void)snprintf(pointer + length, sizeof reader->reject->pointer - length, "/%zu",
                           index);
            return status;
        }
    }
    return XT_OK;
}

static enum xt_status read_level(struct reader *reader, yyjson_val *value)
{
    if (!yyjson_is_uint(value)) {
        return refuse_member(reader, "wrong_type", XT_MEMBER_ACCOUNT_LEVEL);
    }
    uint64_t level = yyjson_get_uint(value);
    if (level < 1 || level > 2) {
        return refuse_member(reader, "bad_value", XT_MEMBER_ACCOUNT_LEVEL);
    }
    reader->person->account_level = (unsigned)level;
    return XT_OK;
}

static enum xt_status read_plain(struct reader *reader, unsigned member, yyjson_val *value)
{
    if ((XT_MEMBER_BIT(member) & XT_MEMBER_LISTS) != 0) {
        return read_list(reader, member, value);
    }
    if ((XT_MEMBER_BIT(member) & reader->clearable) != 0 && yyjson_is_null(value)) {
        reader->cleared |= XT_MEMBER_BIT(member);
        return XT_OK;
    }
    if (member == XT_MEMBER_ACCOUNT_LEVEL) {
        return read_level(reader, value);
    }
    const char *code = yyjson_is_str(value)
                           ? xt_person_member_set(reader->person, (enum xt_person_member)member,
                                                  xt_json_string(value))
                           : "wrong_type";
    return code == NULL ? XT_OK : refuse_member(reader, code, member);
}

/* Walks one element of a list of objects whose members are all strings; values[what] is its text, or
 * of data NULL. */
static enum xt_status read_strings(struct reader *reader, const char *list, size_t index,
                                   yyjson_val *object, const struct xt_json_member *table,
                                   unsigned count, unsigned required, struct xt_span *values)
{
    if (!yyjson_is_obj(object)) {
        return refuse(reader, "wrong_type", "%s/%zu", list, index);
    }
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(table, count, key, &next);
        if (member == NULL) {
            return refuse(reader, "unknown_member", "%s/%zu", list, index);
        }
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct xt_span *place = &values[member->what];
        const char *code = place->data != NULL          ? "duplicate_member"
                           : !yyjson_is_str(value)      ? "wrong_type"
                           : yyjson_get_len(value) == 0 ? "empty"
                                                        : NULL;
        if (code != NULL) {
            return refuse(reader, code, "%s/%zu/%s", list, index, member->name);
        }
        *place = xt_json_string(value);
    }
    for (unsigned i = 0; i < required; i++) {
        if (values[i].data == NULL) {
            return refuse(reader, "missing_member", "%s/%zu/%s", list, index, table[i].name);
        }
    }
    return XT_OK;
}

static enum xt_status read_device(struct reader *reader, size_t index, yyjson_val *object)
{
    static const char LIST[] = "/account/devices";
    struct xt_person *person = reader->person;
    struct xt_span values[COUNT_OF(IN_DEVICE)] = {{0}};
    enum xt_status status =
        read_strings(reader, LIST, index, object, IN_DEVICE, COUNT_OF(IN_DEVICE), 2, values);
    if (status != XT_OK) {
        return status;
    }
    const char *code = xt_text_check(values[DEVICE_ID], XT_PERSON_TEXT_MAX);
    for (unsigned i = 0; i < person->device_count && code == NULL; i++) {
        if (xt_span_equal(person->devices[i].device_id, values[DEVICE_ID])) {
            code = "duplicate";
        }
    }
    if (code != NULL) {
        return refuse(reader, code, "%s/%zu/device_id", LIST, index);
    }
    code = xt_person_key_check(values[DEVICE_KEY]);
    if (code != NULL) {
        return refuse(reader, code, "%s/%zu/public_key", LIST, index);
    }
    enum xt_unlock unlocked_by = XT_UNLOCK_NONE;
    if (values[DEVICE_UNLOCKED_BY].data != NULL) {
        code = xt_unlock_read(values[DEVICE_UNLOCKED_BY], &unlocked_by);
    }
    if (code != NULL) {
        return refuse(reader, code, "%s/%zu/unlocked_by", LIST, index);
    }
    person->devices[person->device_count++] = (struct xt_device){
        .device_id = values[DEVICE_ID],
        .public_key = values[DEVICE_KEY],
        .unlocked_by = unlocked_by,
    };
    return XT_OK;
}

enum xt_status xt_link_type_by_name(struct xt_span name, enum xt_link_type *type)
{
    for (unsigned i = 0; i < COUNT_OF(LINK_TYPES); i++) {
        if (xt_span_is(name, LINK_TYPES[i].name)) {
            *type = (enum xt_link_type)LINK_TYPES[i].what;
            return XT_OK;
        }
    }
    return XT_NOT_FOUND;
}

static enum xt_status read_link(struct reader *reader, size_t index, yyjson_val *object)
{
    static const char LIST[] = "/links";
    struct xt_link *link = &reader->person->links[reader->person->link_count];
    struct xt_span values[COUNT_OF(IN_LINK)] = {{0}};
    enum xt_status status =
        read_strings(reader, LIST, index, object, IN_LINK, COUNT_OF(IN_LINK), 2, values);
    if (status != XT_OK) {
        return status;
    }
    if (xt_link_type_by_name(values[LINK_TYPE], &link->type) != XT_OK) {
        return refuse(reader, "bad_value", "%s/%zu/type", LIST, index);
    }
    if (xt_document_parse(values[LINK_NUMBER], &link->number) != XT_OK) {
        return refuse(reader, "bad_document", "%s/%zu/number", LIST, index);
    }
    link->valid_from = XT_DATE_NONE;
    link->valid_until = XT_DATE_NONE;
    if (values[LINK_FROM].data != NULL &&
        xt_date_parse(values[LINK_FROM], &link->valid_from) != XT_OK) {
        return refuse(reader, "bad_date", "%s/%zu/valid_from", LIST, index);
    }
    if (values[LINK_UNTIL].data != NULL &&
        xt_date_parse(values[LINK_UNTIL], &link->valid_until) != XT_OK) {
        return refuse(reader, "bad_date", "%s/%zu/valid_until", LIST, index);
    }
    reader->person->link_count++;
    return XT_OK;
}

static enum xt_status read_elements(struct reader *reader, const char *list, yyjson_val *value,
                                    size_t most,
                                    enum xt_status (*read)(struct reader *, size_t, yyjson_val *))
{
    if (!yyjson_is_arr(value)) {
        return refuse(reader, "wrong_type", "%s", list);
    }
    if (yyjson_arr_size(value) > most) {
        return refuse(reader, "too_many", "%s", list);
    }
    size_t index = 0;
    size_t count = 0;
    yyjson_val *item = NULL;
    yyjson_arr_foreach(value, index, count, item)
    {
        enum xt_status status = read(reader, index, item);
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

/* name: of the object in the record, "" for the record itself. */
static enum xt_status read_object(struct reader *reader, const char *name, yyjson_val *object,
                                  const struct xt_json_member *table, unsigned count);

static enum xt_status read_member(struct reader *reader, unsigned what, yyjson_val *value)
{
    switch (what) {
    case ADDRESS:
        return read_object(reader, "/address", value, IN_ADDRESS, COUNT_OF(IN_ADDRESS));
    case CARD:
        return read_object(reader, "/card", value, IN_CARD, COUNT_OF(IN_CARD));
    case ACCOUNT:
        return read_object(reader, "/account", value, IN_ACCOUNT, COUNT_OF(IN_ACCOUNT));
    case DEVICES:
        return read_elements(reader, "/account/devices", value, XT_PERSON_DEVICES_MAX, read_device);
    case LINKS:
        return read_elements(reader, "/links", value, XT_PERSON_LINKS_MAX, read_link);
    default:
        return read_plain(reader, what, value);
    }
}

static enum xt_status read_object(struct reader *reader, const char *name, yyjson_val *object,
                                  const struct xt_json_member *table, unsigned count)
{
    if (!yyjson_is_obj(object)) {
        return refuse(reader, "wrong_type", "%s", name);
    }
    unsigned next = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(table, count, key, &next);
        if (member == NULL) {
            return refuse(reader, "unknown_member", "%s", name);
        }
        uint32_t bit = 1U << member->what;
        if ((reader->seen & bit) != 0) {
            return refuse(reader, "duplicate_member", "%s/%s", name, member->name);
        }
        reader->seen |= bit;
        enum xt_status status = read_member(reader, member->what, yyjson_obj_iter_get_val(key));
        if (status != XT_OK) {
            return status;
        }
    }
    return XT_OK;
}

enum xt_status xt_person_from_json(struct xt_span line, struct xt_json_arena arena,
                                   struct xt_person *person, struct xt_reject *reject)
{
    if (line.size > XT_PERSON_JSON_MAX) {
        return xt_reject_fill(reject, "too_long", "");
    }
    const char *code = NULL;
    yyjson_val *root = xt_json_read(line, arena, &code);
    if (root == NULL) {
        return xt_reject_fill(reject, code, "");
    }
    xt_person_clear(person);
    struct reader reader = {.person = person, .reject = reject};
    enum xt_status status = read_object(&reader, "", root, TOP, COUNT_OF(TOP));
    if (status != XT_OK) {
        return status;
    }
    enum xt_person_member missing = xt_person_finish(person, reader.seen);
    return missing == XT_MEMBER_COUNT ? XT_OK : refuse_member(&reader, "missing_member", missing);
}

enum xt_status xt_person_read_object(enum xt_person_object what, yyjson_val *object,
                                     struct xt_person *person, uint32_t *seen, uint32_t *cleared,
                                     struct xt_reject *reject)
{
    static const struct {
        const struct xt_json_member *table;
        unsigned count;
        uint32_t clearable;
    } OBJECTS[] = {
        [XT_OBJECT_RECORD] = {TOP + 1, COUNT_OF(TOP) - 1, 0}, /* the first is the id */
        [XT_OBJECT_CORRECTION] = {IN_CORRECTION, COUNT_OF(IN_CORRECTION), CLEARABLE},
        [XT_OBJECT_CARD] = {IN_NEW_CARD, COUNT_OF(IN_NEW_CARD), 0},
        [XT_OBJECT_ADDRESS] = {IN_ADDRESS, COUNT_OF(IN_ADDRESS), 0},
    };
    struct reader reader = {
        .person = person, .reject = reject, .clearable = OBJECTS[what].clearable};
    enum xt_status status =
        read_object(&reader, "", object, OBJECTS[what].table, OBJECTS[what].count);
    *seen = reader.seen;
    *cleared = reader.cleared;
    if (status == XT_OK && what == XT_OBJECT_RECORD) {
        enum xt_person_member missing =
            xt_person_finish(person, reader.seen | XT_MEMBER_BIT(XT_MEMBER_ID));
        status =
            missing == XT_MEMBER_COUNT ? XT_OK : refuse_member(&reader, "missing_member", missing);
    }
    return status;
}

enum xt_status xt_person_read_link(yyjson_val *object, struct xt_person *person,
                                   struct xt_reject *reject)
{
    struct reader reader = {.person = person, .reject = reject};
    return read_link(&reader, 0, object);
}
