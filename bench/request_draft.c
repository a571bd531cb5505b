/* bench/request_draft: see the header. */
#include "bench/request_draft.h"

#include "bench/resident_text.h"
#include "core/province.h"

#define QR_CLAIMS                                                                                  \
    (XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |                     \
     XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_CARD_ISSUED_ON))

void xt_draft_init(struct xt_draft *draft, struct xt_stream stream)
{
    /* values are large and read only where `written` says so. */
    memset(draft, 0, offsetof(struct xt_draft, values));
    draft->stream = stream;
    draft->form = "";
}

void xt_draft_set_number(struct xt_draft *draft, uint64_t number)
{
    xt_number_format(number, draft->id);
    draft->id_size = XT_NUMBER_DIGITS;
}

void xt_draft_set_cmnd(struct xt_draft *draft, uint32_t cmnd)
{
    xt_cmnd_format(cmnd, draft->id);
    draft->id_size = XT_CMND_DIGITS;
}

void xt_draft_set_person(struct xt_draft *draft, const struct xt_request_plan *plan, uint64_t index)
{
    xt_population_person(plan->population, index, &draft->person);
    draft->full = plan->full;
    if (plan->full) {
        xt_population_more(plan->population, &draft->person, &draft->more);
    }
    xt_draft_set_number(draft, draft->person.number);
    draft->asked = draft->matched = draft->written = 0;
    draft->as_qr = false;
}

static const struct xt_resident_link *link_of(const struct xt_draft *draft, enum xt_claim claim)
{
    for (unsigned i = 0; draft->full && i < draft->more.link_count; i++) {
        if ((unsigned)draft->more.links[i].type ==
            (unsigned)claim - (unsigned)XT_CLAIM_HEALTH_INSURANCE) {
            return &draft->more.links[i];
        }
    }
    return NULL;
}

uint32_t xt_draft_held(const struct xt_draft *draft)
{
    const struct xt_resident *person = &draft->person;
    uint32_t held = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                    XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_PROVINCE);
    if (person->phone_count > 0) {
        held |= XT_CLAIM_BIT(XT_CLAIM_PHONE);
    }
    if (person->has_cmnd) {
        held |= XT_CLAIM_BIT(XT_CLAIM_OLD_ID);
    }
    if (person->card_state != XT_CARD_NONE) {
        held |= XT_CLAIM_BIT(XT_CLAIM_CARD_ISSUED_ON);
        if (person->card_expires_on != XT_CARD_NO_EXPIRY) {
            held |= XT_CLAIM_BIT(XT_CLAIM_CARD_EXPIRES_ON);
        }
    }
    for (unsigned claim = XT_CLAIM_HEALTH_INSURANCE; claim < XT_CLAIM_COUNT; claim++) {
        const struct xt_resident_link *link = link_of(draft, (enum xt_claim)claim);
        if (link != NULL && !link->expired) {
            held |= XT_CLAIM_BIT(claim);
        }
    }
    return held;
}

void xt_draft_choose_claims(struct xt_draft *draft, uint32_t possible)
{
    static const uint8_t shares[XT_CLAIM_COUNT] = {95, 90, 30, 50, 20, 12, 12, /* per cent */
                                                   15, 20, 20, 20, 20, 20, 20};
    uint32_t first = possible & -possible;
    draft->asked = 0;
    for (unsigned claim = 0; claim < XT_CLAIM_COUNT; claim++) {
        if (xt_stream_below(&draft->stream, 100) < shares[claim]) {
            draft->asked |= possible & XT_CLAIM_BIT(claim);
        }
    }
    if (draft->asked == 0) {
        draft->asked = first;
    }
}

static struct xt_writer value_writer(struct xt_draft *draft, enum xt_claim claim)
{
    draft->written |= XT_CLAIM_BIT(claim);
    return xt_writer_over(draft->values[claim].text, sizeof(draft->values[claim].text));
}

static void value_done(struct xt_draft *draft, enum xt_claim claim, const struct xt_writer *writer)
{
    xt_require(!writer->overflow);
    draft->values[claim].size = (uint16_t)writer->size;
}

static void read_name(const struct xt_resident *person, struct xt_letters *letters)
{
    xt_letters_read(xt_span_of(person->full_name.data, person->full_name.size), letters);
}

static void set_name(struct xt_draft *draft, const struct xt_letters *letters, enum xt_form form)
{
    struct xt_draft_value *value = &draft->values[XT_CLAIM_FULL_NAME];
    draft->written |= XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    draft->asked |= XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    value->size = (uint16_t)xt_letters_write(letters, form, value->text);
}

/* Doubled and no-break spaces between the tokens. */
static void set_name_spaced(struct xt_draft *draft)
{
    const struct xt_text *name = &draft->person.full_name;
    struct xt_writer writer = value_writer(draft, XT_CLAIM_FULL_NAME);
    draft->asked |= XT_CLAIM_BIT(XT_CLAIM_FULL_NAME);
    for (unsigned i = 0; i < name->size; i++) {
        if (name->data[i] == ' ') {
            xt_write_string(&writer, xt_stream_below(&draft->stream, 2) == 0 ? "  " : " \xC2\xA0 ");
        } else {
            xt_write_byte(&writer, (uint8_t)name->data[i]);
        }
    }
    value_done(draft, XT_CLAIM_FULL_NAME, &writer);
}

static bool vary_name(struct xt_draft *draft, enum xt_variant variant)
{
    struct xt_letters letters;
    enum xt_form form = XT_FORM_NFC;
    read_name(&draft->person, &letters);
    switch (variant) {
    case XT_VARIANT_UPPER:
    case XT_VARIANT_LOWER:
        xt_letters_set_case(&letters, variant == XT_VARIANT_UPPER);
        break;
    case XT_VARIANT_NFD:
        form = XT_FORM_NFD;
        break;
    case XT_VARIANT_COMBINING:
        form = XT_FORM_COMBINING;
        break;
    case XT_VARIANT_FULL_WIDTH:
        form = XT_FORM_FULL_WIDTH;
        break;
    case XT_VARIANT_TONE_MOVED:
        if (!xt_letters_move_tone(&letters)) {
            return false;
        }
        break;
    case XT_VARIANT_I_Y:
        if (!xt_letters_swap_i_y(&letters)) {
            return false;
        }
        break;
    default:
        set_name_spaced(draft);
        return true;
    }
    set_name(draft, &letters, form);
    return true;
}

static void set_phone(struct xt_draft *draft, uint32_t phone, const char *prefix)
{
    struct xt_writer writer = value_writer(draft, XT_CLAIM_PHONE);
    draft->asked |= XT_CLAIM_BIT(XT_CLAIM_PHONE);
    xt_write_string(&writer, prefix);
    xt_write_decimal(&writer, phone, 9);
    value_done(draft, XT_CLAIM_PHONE, &writer);
}

static uint32_t some_phone(struct xt_draft *draft)
{
    return draft->person.phones[xt_stream_below(&draft->stream, draft->person.phone_count)];
}

bool xt_draft_vary(struct xt_draft *draft, uint32_t allowed, enum xt_variant variant)
{
    static const char *const names[XT_VARIANT_COUNT] = {
        "upper",  "lower",   "nfd",      "combining", "full_width", "tone_moved", "i_y",
        "spaces", "phone_0", "phone_84", "qr",        "cmnd",       "replaced"};
    const struct xt_resident *person = &draft->person;
    draft->form = names[variant];
    switch (variant) {
    case XT_VARIANT_PHONE_0:
    case XT_VARIANT_PHONE_84:
        if (person->phone_count == 0 || (allowed & XT_CLAIM_BIT(XT_CLAIM_PHONE)) == 0) {
            return false;
        }
        set_phone(draft, some_phone(draft), variant == XT_VARIANT_PHONE_0 ? "0" : "84");
        return true;
    case XT_VARIANT_QR:
        draft->asked = QR_CLAIMS | (person->has_cmnd ? XT_CLAIM_BIT(XT_CLAIM_OLD_ID) : 0);
        draft->as_qr = true;
        return person->card_state != XT_CARD_NONE && (draft->asked & ~allowed) == 0;
    case XT_VARIANT_CMND:
        xt_draft_set_cmnd(draft, person->cmnd);
        return person->has_cmnd && !person->cmnd_shared;
    case XT_VARIANT_REPLACED:
        xt_draft_set_number(draft, person->replaced);
        return person->has_replaced;
    default:
        return (allowed & XT_CLAIM_BIT(XT_CLAIM_FULL_NAME)) != 0 && vary_name(draft, variant);
    }
}

void xt_draft_misspell(struct xt_draft *draft)
{
    struct xt_letters letters;
    read_name(&draft->person, &letters);
    /* Three of ten without accents, the others alike. */
    for (unsigned tries = 0; tries < 50; tries++) {
        unsigned roll = xt_stream_below(&draft->stream, XT_MISTAKE_COUNT + 2);
        enum xt_mistake mistake =
            roll < XT_MISTAKE_COUNT ? (enum xt_mistake)roll : XT_MISTAKE_UNACCENTED;
        if (xt_letters_spoil(&letters, mistake, &draft->stream)) {
            draft->form = xt_mistake_name(mistake);
            set_name(draft, &letters, XT_FORM_NFC);
            return;
        }
    }
    /* No name in the lists comes here; a letter more is a mistake in any name. */
    letters.list[letters.count++] = (struct xt_letter){'q', 0, 0, false};
    draft->form = xt_mistake_name(XT_MISTAKE_DOUBLED);
    set_name(draft, &letters, XT_FORM_NFC);
}

static void falsify_name(struct xt_draft *draft, const struct xt_population *population)
{
    struct xt_letters letters, other;
    struct xt_resident somebody;
    read_name(&draft->person, &letters);
    for (unsigned tries = 0; tries < 50; tries++) {
        uint32_t count = (uint32_t)xt_population_count(population);
        xt_population_person(population, xt_stream_below(&draft->stream, count), &somebody);
        read_name(&somebody, &other);
        if (xt_letters_surely_differ(&letters, &other)) {
            set_name(draft, &other, XT_FORM_NFC);
            return;
        }
    }
    xt_draft_misspell(draft); /* a population of one */
}

/* Day and month swapped where that is another date; else some days off; a date that knows less gets
 * what it does not know. */
static xt_date another_date(xt_date date, struct xt_stream *stream)
{
    unsigned year = xt_date_year(date), month = xt_date_month(date), day = xt_date_day(date);
    if (!xt_date_is_full(date)) {
        return (xt_date)year << 9 | (month == 0 ? 1U : month) << 5 | 1U;
    }
    if (day <= 12 && day != month && xt_stream_below(stream, 2) == 0) {
        return (xt_date)year << 9 | day << 5 | month;
    }
    return xt_date_from_days(xt_date_to_days(date) - 1 - (int32_t)xt_stream_below(stream, 400));
}

static void falsify_date(struct xt_draft *draft, enum xt_claim claim, xt_date date)
{
    struct xt_writer writer = value_writer(draft, claim);
    xt_date some = (xt_date)2022 << 9 | 3U << 5 | 15U; /* where the register has none */
    xt_write_date(&writer, another_date(date == XT_DATE_NONE ? some : date, &draft->stream));
    value_done(draft, claim, &writer);
}

static void falsify_phone(struct xt_draft *draft, const struct xt_population *population)
{
    const struct xt_resident *person = &draft->person;
    uint32_t phone = xt_population_unknown_phone(population, xt_stream_next(&draft->stream));
    struct xt_resident somebody;
    uint32_t count = (uint32_t)xt_population_count(population);
    xt_population_person(population, xt_stream_below(&draft->stream, count), &somebody);
    if (somebody.phone_count > 0 && xt_stream_below(&draft->stream, 2) == 0) {
        bool own = false;
        for (unsigned i = 0; i < person->phone_count; i++) {
            own |= person->phones[i] == somebody.phones[0];
        }
        phone = own ? phone : somebody.phones[0];
    }
    set_phone(draft, phone, "+84");
}

static void falsify_document(struct xt_draft *draft, enum xt_claim claim)
{
    const struct xt_resident_link *link = link_of(draft, claim);
    if (link != NULL && link->expired) {
        return; /* its own number is wrong enough */
    }
    struct xt_writer writer = value_writer(draft, claim);
    if (link == NULL) {
        xt_write_decimal(&writer, xt_stream_below(&draft->stream, 1000000000), 10);
    } else { /* every number ends with a digit */
        xt_write(&writer, link->number.data, link->number.size - 1U);
        unsigned digit = (unsigned)(link->number.data[link->number.size - 1] - '0');
        xt_write_decimal(&writer, (digit + 1 + xt_stream_below(&draft->stream, 9)) % 10, 1);
    }
    value_done(draft, claim, &writer);
}

void xt_draft_falsify(struct xt_draft *draft, const struct xt_request_plan *plan,
                      enum xt_claim claim)
{
    const struct xt_resident *person = &draft->person;
    struct xt_writer writer;
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        falsify_name(draft, plan->population);
        return;
    case XT_CLAIM_DATE_OF_BIRTH:
        falsify_date(draft, claim, person->date_of_birth);
        return;
    case XT_CLAIM_CARD_ISSUED_ON:
        falsify_date(draft, claim, person->card_issued_on);
        return;
    case XT_CLAIM_CARD_EXPIRES_ON:
        falsify_date(draft, claim, person->card_expires_on);
        return;
    case XT_CLAIM_PHONE:
        falsify_phone(draft, plan->population);
        return;
    case XT_CLAIM_SEX:
        writer = value_writer(draft, claim);
        xt_write_string(&writer, person->sex == XT_SEX_FEMALE ? "male" : "female");
        break;
    case XT_CLAIM_OLD_ID:
        writer = value_writer(draft, claim);
        xt_write_cmnd(&writer,
                      xt_population_unknown_cmnd(plan->population, xt_stream_next(&draft->stream)));
        break;
    case XT_CLAIM_PROVINCE: {
        unsigned step = 1 + xt_stream_below(&draft->stream, XT_PROVINCE_COUNT - 1);
        unsigned other = (person->province - 1 + step) % XT_PROVINCE_COUNT + 1;
        writer = value_writer(draft, claim);
        xt_write_decimal(&writer, xt_province_at(other)->code, 3);
        break;
    }
    default:
        falsify_document(draft, claim);
        return;
    }
    value_done(draft, claim, &writer);
}

static void write_registered(const struct xt_draft *draft, enum xt_claim claim,
                             struct xt_writer *writer)
{
    const struct xt_resident *person = &draft->person;
    switch (claim) {
    case XT_CLAIM_FULL_NAME:
        xt_write_text(writer, &person->full_name);
        return;
    case XT_CLAIM_DATE_OF_BIRTH:
        xt_write_date(writer, person->date_of_birth);
        return;
    case XT_CLAIM_SEX:
        xt_write_string(writer, person->sex == XT_SEX_FEMALE ? "female" : "male");
        return;
    case XT_CLAIM_PHONE: /* any of them; which depends on nothing but the person asked about */
        xt_write_phone(writer, person->phones[(person->index / 2) % person->phone_count]);
        return;
    case XT_CLAIM_CARD_ISSUED_ON:
        xt_write_date(writer, person->card_issued_on);
        return;
    case XT_CLAIM_CARD_EXPIRES_ON:
        xt_write_date(writer, person->card_expires_on);
        return;
    case XT_CLAIM_OLD_ID:
        xt_write_cmnd(writer, person->cmnd);
        return;
    case XT_CLAIM_PROVINCE:
        xt_write_decimal(writer, xt_province_at(person->province)->code, 3);
        return;
    default:
        xt_write_text(writer, &link_of(draft, claim)->number);
        return;
    }
}

/* ddmmyyyy, 00 for what is not known. */
static void write_qr_date(struct xt_writer *writer, xt_date date)
{
    xt_write_decimal(writer, xt_date_day(date), 2);
    xt_write_decimal(writer, xt_date_month(date), 2);
    xt_write_decimal(writer, xt_date_year(date), 4);
}

static void write_qr(const struct xt_draft *draft, struct xt_writer *writer)
{
    const struct xt_resident *person = &draft->person;
    xt_write_literal(writer, "\",\"qr\":\"");
    xt_write(writer, draft->id, draft->id_size);
    xt_write_byte(writer, '|');
    if (person->has_cmnd) {
        xt_write_cmnd(writer, person->cmnd);
    }
    xt_write_byte(writer, '|');
    xt_write_text(writer, &person->full_name);
    xt_write_byte(writer, '|');
    write_qr_date(writer, person->date_of_birth);
    xt_write_string(writer, person->sex == XT_SEX_FEMALE ? "|Nữ|" : "|Nam|");
    xt_write_text(writer, &person->address);
    xt_write_byte(writer, '|');
    write_qr_date(writer, person->card_issued_on);
}

void xt_draft_write(const struct xt_draft *draft, const char *purpose, uint64_t seed,
                    uint64_t index, struct xt_writer *writer)
{
    xt_write_literal(writer, "{\"txn\":\"gen-");
    xt_write_decimal(writer, seed, 1);
    xt_write_byte(writer, '-');
    xt_write_decimal(writer, index, 1);
    if (draft->as_qr) {
        write_qr(draft, writer);
    } else {
        xt_write_literal(writer, "\",\"id\":\"");
        xt_write(writer, draft->id, draft->id_size);
    }
    xt_write_literal(writer, "\",\"purpose\":\"");
    xt_write_string(writer, purpose);
    if (!draft->as_qr) {
        const char *before = "\",\"claims\":{\"";
        for (unsigned i = 0; i < XT_CLAIM_COUNT; i++) {
            enum xt_claim claim = (enum xt_claim)i;
            if ((draft->asked & XT_CLAIM_BIT(i)) == 0) {
                continue;
            }
            xt_write_string(writer, before);
            xt_write_string(writer, xt_claim_name(claim));
            xt_write_literal(writer, "\":\"");
            if ((draft->written & XT_CLAIM_BIT(i)) != 0) {
                xt_write(writer, draft->values[i].text, draft->values[i].size);
            } else {
                write_registered(draft, claim, writer);
            }
            before = "\",\"";
        }
        xt_write_literal(writer, "\"}}");
    } else {
        xt_write_literal(writer, "\"}");
    }
}
