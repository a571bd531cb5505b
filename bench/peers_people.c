#include "bench/peers_people.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/resident_text.h"
#include "bench/spelling.h"
#include "core/province.h"
#include "store/progress.h"

#define LINE_ROOM (XT_RESIDENT_LINE_MAX + 4096U)
#define BUFFER (1U << 20)
#define LOOK_EVERY 4096U /* people between looks at whether to stop */

/* ---- names ---- */

static bool is_vowel(const struct xt_letter *letter)
{
    return strchr("aeiouy", letter->base) != NULL;
}

static bool ends_word(const struct xt_letters *letters, unsigned at)
{
    return at == letters->count || letters->list[at].base == ' ' || letters->list[at].base == '-';
}

/* y is i as the sole vowel of a word after h k l m s t, after v with a tone, and in quy. */
static void settle_y(struct xt_letter *word, unsigned size)
{
    struct xt_letter *last = size == 0 ? NULL : &word[size - 1];
    if (last == NULL || last->base != 'y') {
        return;
    }
    bool sole = size == 2 && word[0].mark == 0 &&
                (strchr("hklmst", word[0].base) != NULL || (word[0].base == 'v' && last->tone > 0));
    bool quy = size == 3 && word[0].base == 'q' && word[1].base == 'u' && word[1].mark == 0;
    if (sole || quy) {
        last->base = 'i';
    }
}

static void write_shape(struct xt_writer *writer, const struct xt_letter *letter)
{
    static const char marks[] = "\0^(+-";
    xt_write_byte(writer, (uint8_t)letter->base);
    if (letter->mark != 0) {
        xt_write_byte(writer, (uint8_t)marks[letter->mark]);
    }
}

/* A run of vowels; its one tone goes to its end. */
static void write_run(struct xt_writer *writer, const struct xt_letter *run, unsigned size)
{
    unsigned count = 0;
    uint8_t tone = 0;
    for (unsigned i = 0; i < size; i++) {
        count += run[i].tone != 0;
        tone = run[i].tone != 0 ? run[i].tone : tone;
    }
    for (unsigned i = 0; i < size; i++) {
        write_shape(writer, &run[i]);
        if (count > 1 && run[i].tone != 0) {
            xt_write_byte(writer, (uint8_t)('0' + run[i].tone));
        }
    }
    if (count == 1) {
        xt_write_byte(writer, (uint8_t)('0' + tone));
    }
}

size_t xt_peers_fold(struct xt_span name, char text[XT_FOLD_MAX])
{
    struct xt_letters letters;
    struct xt_writer writer = xt_writer_over(text, XT_FOLD_MAX);
    xt_letters_read(name, &letters);
    unsigned word = 0;
    for (unsigned i = 0; i <= letters.count; i++) {
        if (ends_word(&letters, i)) {
            settle_y(letters.list + word, i - word);
            word = i + 1;
        }
    }
    for (unsigned at = 0; at < letters.count;) {
        unsigned size = 0;
        while (at + size < letters.count && is_vowel(&letters.list[at + size])) {
            size++;
        }
        if (size == 0) {
            write_shape(&writer, &letters.list[at++]);
        } else {
            write_run(&writer, &letters.list[at], size);
            at += size;
        }
    }
    xt_require(!writer.overflow);
    return writer.size;
}

/* ---- one person ---- */

static const char *const lives[] = {"alive", "deceased", "missing", "cancelled"};

static void write_name(struct xt_writer *writer, const struct xt_resident *person)
{
    char text[XT_FOLD_MAX];
    size_t size = xt_peers_fold(xt_span_of(person->full_name.data, person->full_name.size), text);
    xt_write(writer, text, size);
}

static bool has_card(const struct xt_resident *person)
{
    return person->card_state != XT_CARD_NONE;
}

static bool expires(const struct xt_resident *person)
{
    return has_card(person) && person->card_expires_on != XT_CARD_NO_EXPIRY;
}

static void write_province(struct xt_writer *writer, const struct xt_resident *person)
{
    xt_write_decimal(writer, xt_province_at(person->province)->code, 3);
}

/* The nine fields, `between` them. */
static void write_fields(struct xt_writer *writer, const struct xt_resident *person,
                         uint8_t between)
{
    xt_write_string(writer, lives[person->life]);
    xt_write_byte(writer, between);
    write_name(writer, person);
    xt_write_byte(writer, between);
    xt_write_date(writer, person->date_of_birth);
    xt_write_byte(writer, between);
    xt_write_string(writer, person->sex == XT_SEX_FEMALE ? "female" : "male");
    xt_write_byte(writer, between);
    for (unsigned i = 0; i < person->phone_count; i++) {
        xt_write_byte(writer, ',');
        xt_write_decimal(writer, person->phones[i], 9);
    }
    if (person->phone_count > 0) {
        xt_write_byte(writer, ',');
    }
    xt_write_byte(writer, between);
    if (has_card(person)) {
        xt_write_date(writer, person->card_issued_on);
    }
    xt_write_byte(writer, between);
    if (expires(person)) {
        xt_write_date(writer, person->card_expires_on);
    }
    xt_write_byte(writer, between);
    if (person->has_cmnd) {
        xt_write_cmnd(writer, person->cmnd);
    }
    xt_write_byte(writer, between);
    write_province(writer, person);
}

/* A CMND that two people hold names neither, unless one's number is cancelled: then the other. */
static bool cmnd_names(const struct xt_population *population, const struct xt_resident *person)
{
    if (!person->has_cmnd || !person->cmnd_shared) {
        return person->has_cmnd;
    }
    return person->life != XT_LIFE_CANCELLED &&
           xt_population_life(population, person->index ^ 1) == XT_LIFE_CANCELLED;
}

static void write_bulk(struct xt_writer *writer, struct xt_span bytes)
{
    xt_write_byte(writer, '$');
    xt_write_decimal(writer, bytes.size, 1);
    xt_write_literal(writer, "\r\n");
    xt_write_span(writer, bytes);
    xt_write_literal(writer, "\r\n");
}

static void write_set(struct xt_writer *writer, const char *prefix, uint64_t key, unsigned digits,
                      struct xt_span value)
{
    char text[32];
    struct xt_writer name = xt_writer_over(text, sizeof(text));
    xt_write_string(&name, prefix);
    xt_write_decimal(&name, key, digits);
    xt_write_literal(writer, "*3\r\n$3\r\nSET\r\n");
    write_bulk(writer, xt_written(&name));
    write_bulk(writer, value);
}

static void write_redis(struct xt_writer *writer, const struct xt_population *population,
                        const struct xt_resident *person)
{
    char text[1024];
    char digits[XT_NUMBER_DIGITS];
    struct xt_writer fields = xt_writer_over(text, sizeof(text));
    write_fields(&fields, person, '|');
    xt_require(!fields.overflow);
    write_set(writer, "p:", person->number, XT_NUMBER_DIGITS, xt_written(&fields));
    xt_number_format(person->number, digits);
    struct xt_span number = xt_span_of(digits, sizeof(digits));
    if (cmnd_names(population, person)) {
        write_set(writer, "a:", person->cmnd, XT_CMND_DIGITS, number);
    }
    if (person->has_replaced) {
        write_set(writer, "a:", person->replaced, XT_NUMBER_DIGITS, number);
    }
}

static void write_alias(struct xt_writer *writer, uint64_t old, uint64_t number)
{
    xt_write_decimal(writer, old, 1);
    xt_write_byte(writer, '\t');
    xt_write_decimal(writer, number, 1);
    xt_write_byte(writer, '\n');
}

/* ---- LDAP ---- */

const char *xt_peers_attribute(enum xt_claim claim)
{
    static const char *const names[XT_CLAIM_COUNT] = {[XT_CLAIM_FULL_NAME] = "xtName",
                                                      [XT_CLAIM_DATE_OF_BIRTH] = "xtBirth",
                                                      [XT_CLAIM_SEX] = "xtSex",
                                                      [XT_CLAIM_PHONE] = "xtPhone",
                                                      [XT_CLAIM_CARD_ISSUED_ON] = "xtIssued",
                                                      [XT_CLAIM_CARD_EXPIRES_ON] = "xtExpires",
                                                      [XT_CLAIM_OLD_ID] = "xtOld",
                                                      [XT_CLAIM_PROVINCE] = "xtProvince"};
    xt_require(names[claim] != NULL);
    return names[claim];
}

static void begin_attribute(struct xt_writer *writer, enum xt_claim claim)
{
    xt_write_byte(writer, '\n');
    xt_write_string(writer, xt_peers_attribute(claim));
    xt_write_literal(writer, ": ");
}

static void write_ldif(struct xt_writer *writer, const struct xt_resident *person)
{
    xt_write_literal(writer, "dn: xtNumber=");
    xt_write_decimal(writer, person->number, XT_NUMBER_DIGITS);
    xt_write_literal(writer, "," XT_PEERS_LDAP_SUFFIX "\nobjectClass: xtPerson\nxtNumber: ");
    xt_write_decimal(writer, person->number, XT_NUMBER_DIGITS);
    begin_attribute(writer, XT_CLAIM_FULL_NAME);
    write_name(writer, person);
    begin_attribute(writer, XT_CLAIM_DATE_OF_BIRTH);
    xt_write_date(writer, person->date_of_birth);
    begin_attribute(writer, XT_CLAIM_SEX);
    xt_write_string(writer, person->sex == XT_SEX_FEMALE ? "female" : "male");
    for (unsigned i = 0; i < person->phone_count; i++) {
        if (i > 0 && person->phones[i] == person->phones[0]) {
            continue; /* a value stands once */
        }
        begin_attribute(writer, XT_CLAIM_PHONE);
        xt_write_decimal(writer, person->phones[i], 9);
    }
    if (has_card(person)) {
        begin_attribute(writer, XT_CLAIM_CARD_ISSUED_ON);
        xt_write_date(writer, person->card_issued_on);
    }
    if (expires(person)) {
        begin_attribute(writer, XT_CLAIM_CARD_EXPIRES_ON);
        xt_write_date(writer, person->card_expires_on);
    }
    if (person->has_cmnd) {
        begin_attribute(writer, XT_CLAIM_OLD_ID);
        xt_write_cmnd(writer, person->cmnd);
    }
    begin_attribute(writer, XT_CLAIM_PROVINCE);
    write_province(writer, person);
    xt_write_literal(writer, "\n\n");
}

/* ---- all of them ---- */

static void write_person(struct xt_writer *writer, const struct xt_population *population,
                         enum xt_peers_form form, const struct xt_resident *person)
{
    switch (form) {
    case XT_PEERS_NDJSON:
        xt_resident_to_json(person, NULL, writer);
        return;
    case XT_PEERS_REDIS:
        write_redis(writer, population, person);
        return;
    case XT_PEERS_TABLE:
        xt_write_decimal(writer, person->number, 1);
        xt_write_byte(writer, '\t');
        write_fields(writer, person, '\t');
        xt_write_byte(writer, '\n');
        return;
    case XT_PEERS_ALIASES:
        if (cmnd_names(population, person)) {
            write_alias(writer, person->cmnd, person->number);
        }
        if (person->has_replaced) {
            write_alias(writer, person->replaced, person->number);
        }
        return;
    case XT_PEERS_LDIF:
        if (person->life == XT_LIFE_ALIVE) {
            write_ldif(writer, person);
        }
        return;
    }
}

static enum xt_status flush(FILE *file, struct xt_writer *writer, const char *path,
                            struct xt_failure *failure)
{
    xt_require(!writer->overflow);
    if (fwrite(writer->data, 1, writer->size, file) != writer->size) {
        return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot write to %s: %s",
                       path, strerror(errno));
    }
    writer->size = 0;
    return XT_OK;
}

static enum xt_status write_all(const struct xt_population *population, enum xt_peers_form form,
                                FILE *file, const char *path, struct xt_writer *writer,
                                struct xt_progress *progress, xt_peers_stop *stop,
                                struct xt_failure *failure)
{
    uint64_t count = xt_population_count(population);
    enum xt_status status = XT_OK;
    if (form == XT_PEERS_LDIF) {
        xt_write_literal(writer, "dn: " XT_PEERS_LDAP_SUFFIX
                                 "\nobjectClass: xtRegister\nxtUnit: register\n\n");
    }
    for (uint64_t index = 0; status == XT_OK && index < count; index++) {
        struct xt_resident person;
        if (index % LOOK_EVERY == 0 && stop != NULL && stop()) {
            return xt_fail(failure, XT_CLOSED, "interrupted");
        }
        xt_population_person(population, index, &person);
        write_person(writer, population, form, &person);
        xt_progress_set(progress, index + 1);
        if (writer->capacity - writer->size < LINE_ROOM) {
            status = flush(file, writer, path, failure);
        }
    }
    return status == XT_OK ? flush(file, writer, path, failure) : status;
}

/* Not by bench/output: that ends the process on the first signal, and more than a file must be cleared
 * away then. */
enum xt_status xt_peers_people_write(const struct xt_population *population,
                                     enum xt_peers_form form, const char *path, bool quiet,
                                     xt_peers_stop *stop, struct xt_failure *failure)
{
    struct xt_progress progress;
    FILE *file = fopen(path, "wxe");
    uint8_t *buffer = malloc(BUFFER);
    if (file == NULL || buffer == NULL) {
        enum xt_status status =
            file == NULL ? xt_fail(failure, XT_IO, "cannot write to %s: %s", path, strerror(errno))
                         : xt_fail(failure, XT_NO_MEMORY, "not enough memory");
        free(buffer);
        if (file != NULL) {
            (void)fclose(file);
        }
        return status;
    }
    struct xt_writer writer = xt_writer_over(buffer, BUFFER);
    xt_progress_start(&progress, "writing people", "people", xt_population_count(population),
                      quiet);
    enum xt_status status =
        write_all(population, form, file, path, &writer, &progress, stop, failure);
    free(buffer);
    if (fclose(file) != 0 && status == XT_OK) {
        status = xt_fail(failure, XT_IO, "cannot write to %s: %s", path, strerror(errno));
    }
    if (status == XT_OK) {
        xt_progress_finish(&progress);
    }
    return status;
}
