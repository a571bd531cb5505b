/* One line of POST /v1/events. */
#include <stdarg.h>
#include <stdio.h>

#include "core/person_object.h"
#include "core/plain_text.h"
#include "core/province.h"
#include "core/registry_event_internal.h"

#define COUNT_OF(table) (unsigned)(sizeof(table) / sizeof((table)[0]))

enum { EVENT_ID, TYPE, ID, AT, DATA };
static const struct xt_json_member TOP[] = {
    XT_JSON_MEMBER("event_id", EVENT_ID),
    XT_JSON_MEMBER("type", TYPE),
    XT_JSON_MEMBER("id", ID),
    XT_JSON_MEMBER("at", AT),
    XT_JSON_MEMBER("data", DATA),
};

struct reader {
    struct xt_registry_event *event;
    struct xt_reject *reject;
};

XT_PRINTF(3, 4)
static enum xt_status refuse(struct xt_reject *reject, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    reject->code = code;
    (void)vsnprintf(reject->pointer, sizeof reject->pointer, format, arguments);
    va_end(arguments);
    return XT_INVALID;
}

/* ---- time ------------------------------------------------------------------------------------- */

static bool read_number(struct xt_span *text, unsigned digits, unsigned *value)
{
    *value = 0;
    if (text->size < digits) {
        return false;
    }
    for (unsigned i = 0; i < digits; i++) {
        unsigned digit = (unsigned)text->data[i] - '0';
        if (digit > 9) {
            return false;
        }
        *value = *value * 10 + digit;
    }
    *text = xt_span_of(text->data + digits, text->size - digits);
    return true;
}

static bool skip(struct xt_span *text, char wanted)
{
    if (text->size == 0 || text->data[0] != (uint8_t)wanted) {
        return false;
    }
    *text = xt_span_of(text->data + 1, text->size - 1);
    return true;
}

/* One to three digits after the point. */
static bool read_fraction(struct xt_span *text, unsigned *ms)
{
    unsigned digits = 0;
    unsigned scale = 100;
    *ms = 0;
    if (!skip(text, '.')) {
        return true;
    }
    for (unsigned digit; digits < 3 && read_number(text, 1, &digit); digits++, scale /= 10) {
        *ms += digit * scale;
    }
    return digits > 0;
}

/* Minutes to the east of UTC. */
static bool read_offset(struct xt_span *text, int *minutes)
{
    unsigned hour;
    unsigned minute;
    *minutes = 0;
    if (skip(text, 'Z')) {
        return true;
    }
    bool west = text->size > 0 && text->data[0] == '-';
    if (!skip(text, west ? '-' : '+') || !read_number(text, 2, &hour) || !skip(text, ':') ||
        !read_number(text, 2, &minute) || hour > 23 || minute > 59) {
        return false;
    }
    *minutes = (int)(hour * 60 + minute) * (west ? -1 : 1);
    return true;
}

/* RFC 3339 section 5.6, upper case only. A leap second counts as the one before it. */
static bool read_time(struct xt_span text, uint64_t *unix_ms)
{
    xt_date date;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ms;
    int east;
    if (text.size < 11 || xt_date_parse(xt_span_of(text.data, 10), &date) != XT_OK) {
        return false;
    }
    text = xt_span_of(text.data + 10, text.size - 10);
    if (!skip(&text, 'T') || !read_number(&text, 2, &hour) || !skip(&text, ':') ||
        !read_number(&text, 2, &minute) || !skip(&text, ':') || !read_number(&text, 2, &second) ||
        !read_fraction(&text, &ms) || !read_offset(&text, &east) || text.size != 0 || hour > 23 ||
        minute > 59 || second > 60) {
        return false;
    }
    second = second == 60 ? 59 : second;
    int64_t minutes = ((int64_t)xt_date_to_days(date) * 24 + hour) * 60 + minute - east;
    if (minutes < 0) {
        return false;
    }
    *unix_ms = ((uint64_t)minutes * 60 + second) * 1000 + ms;
    return true;
}

/* ---- data ------------------------------------------------------------------------------------- */

/* What read_object pointed at in an identity record, as it stands in data: without the name of the object
 * that data is here. */
static enum xt_status place(struct xt_reject *reject, const char *within)
{
    char pointer[sizeof(reject->pointer)];
    size_t length = strlen(within);
    const char *rest = reject->pointer;
    if (length > 0 && strncmp(rest, within, length) == 0) {
        rest += length;
    }
    memcpy(pointer, rest, strlen(rest) + 1);
    return refuse(reject, reject->code, "/data%.58s", pointer);
}

static enum xt_status read_correction(struct reader *reader, yyjson_val *data)
{
    struct xt_registry_event *event = reader->event;
    uint32_t seen;
    uint32_t cleared;
    if (xt_person_read_object(XT_OBJECT_CORRECTION, data, &event->person, &seen, &cleared,
                              reader->reject) != XT_OK) {
        return place(reader->reject, "");
    }
    for (unsigned i = 0; i < XT_CORRECT_COUNT; i++) {
        uint32_t bit = XT_MEMBER_BIT(xt_correctable_member(i));
        event->cleared |= (cleared & bit) != 0 ? XT_CORRECT_BIT(i) : 0;
        event->set |= (seen & ~cleared & bit) != 0 ? XT_CORRECT_BIT(i) : 0;
    }
    if ((event->set | event->cleared) == 0) {
        return refuse(reader->reject, "empty", "/data");
    }
    return (event->set & XT_CORRECT_BIT(XT_CORRECT_STATUS)) != 0 &&
                   event->person.life == XT_LIFE_DECEASED
               ? refuse(reader->reject, "bad_value", "/data/status")
               : XT_OK;
}

static enum xt_status read_card(struct reader *reader, yyjson_val *data)
{
    uint32_t seen;
    uint32_t cleared;
    if (xt_person_read_object(XT_OBJECT_CARD, data, &reader->event->person, &seen, &cleared,
                              reader->reject) != XT_OK) {
        return place(reader->reject, "/card");
    }
    reader->event->expiry_stated = (seen & XT_MEMBER_BIT(XT_MEMBER_CARD_EXPIRES_ON)) != 0;
    return (seen & XT_MEMBER_BIT(XT_MEMBER_CARD_ISSUED_ON)) != 0
               ? XT_OK
               : refuse(reader->reject, "missing_member", "/data/issued_on");
}

static enum xt_status read_address(struct reader *reader, yyjson_val *data)
{
    uint32_t seen;
    uint32_t cleared;
    if (xt_person_read_object(XT_OBJECT_ADDRESS, data, &reader->event->person, &seen, &cleared,
                              reader->reject) != XT_OK) {
        return place(reader->reject, "/address");
    }
    return (seen & XT_MEMBER_BIT(XT_MEMBER_ADDRESS_PROVINCE)) != 0
               ? XT_OK
               : refuse(reader->reject, "missing_member", "/data/province");
}

static enum xt_status read_record(struct reader *reader, yyjson_val *data)
{
    uint32_t seen;
    uint32_t cleared;
    struct xt_person *person = &reader->event->person;
    if (xt_person_read_object(XT_OBJECT_RECORD, data, person, &seen, &cleared, reader->reject) !=
        XT_OK) {
        return place(reader->reject, "");
    }
    person->number = reader->event->number;
    for (unsigned i = 0; i < person->replaced_count; i++) {
        if (person->replaced[i] == person->number) {
            return refuse(reader->reject, "bad_id", "/data/replaced_numbers/%u", i);
        }
    }
    return XT_OK;
}

static enum xt_status read_document(struct reader *reader, yyjson_val *data, bool linked)
{
    struct xt_person *person = &reader->event->person;
    if (xt_person_read_link(data, person, reader->reject) != XT_OK) {
        return place(reader->reject, "/links/0");
    }
    const struct xt_link *link = &person->links[0];
    if (!linked && (link->valid_from != XT_DATE_NONE || link->valid_until != XT_DATE_NONE)) {
        return refuse(reader->reject, "unknown_member", "/data");
    }
    return XT_OK;
}

/* data with one member, a text. */
static enum xt_status read_one(struct reader *reader, yyjson_val *data, const char *name,
                               bool required, const char *(*take)(struct reader *, struct xt_span))
{
    bool seen = false;
    const char *code = NULL;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(data);
    for (yyjson_val *key; code == NULL && (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (name == NULL || !xt_span_is(xt_json_string(key), name)) {
            return refuse(reader->reject, "unknown_member", "/data");
        }
        code = seen                   ? "duplicate_member"
               : yyjson_is_str(value) ? take(reader, xt_json_string(value))
                                      : "wrong_type";
        seen = true;
    }
    code = code == NULL && !seen && required ? "missing_member" : code;
    return code == NULL ? XT_OK : refuse(reader->reject, code, "/data/%s", name);
}

static const char *take_issued_on(struct reader *reader, struct xt_span text)
{
    return xt_person_member_set(&reader->event->person, XT_MEMBER_CARD_ISSUED_ON, text);
}

static const char *take_phone(struct reader *reader, struct xt_span text)
{
    return xt_person_member_set(&reader->event->person, XT_MEMBER_PHONES, text);
}

static const char *take_successor(struct reader *reader, struct xt_span text)
{
    bool fits = xt_number_parse(text, &reader->event->successor) == XT_OK &&
                reader->event->successor != reader->event->number;
    return fits ? NULL : text.size == 0 ? "empty" : "bad_id";
}

static enum xt_status read_data(struct reader *reader, yyjson_val *data)
{
    switch (reader->event->type) {
    case XT_REGISTRY_REGISTERED:
        return read_record(reader, data);
    case XT_REGISTRY_CORRECTED:
        return read_correction(reader, data);
    case XT_REGISTRY_DECEASED:
        return read_one(reader, data, NULL, false, NULL);
    case XT_REGISTRY_NUMBER_REPLACED:
        return read_one(reader, data, "new_id", true, take_successor);
    case XT_REGISTRY_CARD_ISSUED:
        return read_card(reader, data);
    case XT_REGISTRY_CARD_LOST:
    case XT_REGISTRY_CARD_REVOKED:
    case XT_REGISTRY_CARD_FOUND:
        return read_one(reader, data, "issued_on", false, take_issued_on);
    case XT_REGISTRY_ADDRESS_CHANGED:
        return read_address(reader, data);
    case XT_REGISTRY_PHONE_LINKED:
    case XT_REGISTRY_PHONE_UNLINKED:
        return read_one(reader, data, "phone", true, take_phone);
    case XT_REGISTRY_DOCUMENT_LINKED:
        return read_document(reader, data, true);
    case XT_REGISTRY_DOCUMENT_UNLINKED:
        return read_document(reader, data, false);
    case XT_REGISTRY_END:
        break;
    }
    return refuse(reader->reject, "unknown_type", "/type");
}

/* ---- the line --------------------------------------------------------------------------------- */

/* Data may be left out where nothing in it is required. */
static bool data_is_optional(enum xt_registry_type type)
{
    return type == XT_REGISTRY_DECEASED || type == XT_REGISTRY_CARD_LOST ||
           type == XT_REGISTRY_CARD_REVOKED || type == XT_REGISTRY_CARD_FOUND;
}

static const char *check_event_id(struct xt_span text)
{
    if (text.size == 0) {
        return "empty";
    }
    if (text.size > XT_REGISTRY_EVENT_ID_MAX) {
        return "too_long";
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return "bad_event_id";
        }
    }
    return NULL;
}

/* The members around data. Data itself is read last: what it may hold depends on the type. */
static const char *read_member(unsigned what, struct xt_span text,
                               struct xt_registry_envelope *envelope,
                               struct xt_registry_event *event)
{
    switch (what) {
    case EVENT_ID:
        envelope->event_id = text;
        return check_event_id(text);
    case TYPE:
        return xt_registry_type_by_name(text, &event->type) == XT_OK ? NULL : "unknown_type";
    case ID:
        return xt_number_parse(text, &event->number) == XT_OK ? NULL
               : text.size == 0                               ? "empty"
                                                              : "bad_id";
    default:
        return read_time(text, &envelope->at_ms) ? NULL : text.size == 0 ? "empty" : "bad_time";
    }
}

static enum xt_status read_top(yyjson_val *root, struct xt_registry_envelope *envelope,
                               struct xt_registry_event *event, yyjson_val **data,
                               struct xt_reject *reject)
{
    unsigned next = 0;
    uint32_t seen = 0;
    yyjson_obj_iter iterator = yyjson_obj_iter_with(root);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iterator)) != NULL;) {
        const struct xt_json_member *member = xt_json_find(TOP, COUNT_OF(TOP), key, &next);
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        const char *code = NULL;
        if (member == NULL) {
            return refuse(reject, "unknown_member", "%s", "");
        }
        if ((seen & 1U << member->what) != 0) {
            code = "duplicate_member";
        } else if (member->what == DATA) {
            *data = value;
            code = yyjson_is_obj(value) ? NULL : "wrong_type";
        } else {
            code = yyjson_is_str(value)
                       ? read_member(member->what, xt_json_string(value), envelope, event)
                       : "wrong_type";
        }
        if (code != NULL) {
            return refuse(reject, code, "/%s", member->name);
        }
        seen |= 1U << member->what;
    }
    for (unsigned i = 0; i < COUNT_OF(TOP); i++) {
        bool optional = TOP[i].what == DATA && data_is_optional(event->type);
        if ((seen & 1U << TOP[i].what) == 0 && !optional) {
            return refuse(reject, "missing_member", "/%s", TOP[i].name);
        }
    }
    return XT_OK;
}

enum xt_status xt_registry_event_from_json(struct xt_span line, struct xt_json_arena arena,
                                           struct xt_registry_envelope *envelope,
                                           struct xt_registry_event *event,
                                           struct xt_reject *reject)
{
    const char *code = NULL;
    yyjson_val *data = NULL;
    if (line.size > XT_PERSON_JSON_MAX) {
        return xt_reject_fill(reject, "too_long", "");
    }
    yyjson_val *root = xt_json_read(line, arena, &code);
    if (root == NULL) {
        return xt_reject_fill(reject, code, "");
    }
    *envelope = (struct xt_registry_envelope){.at_ms = 0};
    xt_registry_event_clear(event);
    enum xt_status status = read_top(root, envelope, event, &data, reject);
    if (status != XT_OK || data == NULL) {
        return status;
    }
    struct reader reader = {.event = event, .reject = reject};
    return read_data(&reader, data);
}
