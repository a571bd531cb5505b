/* Registry events applied: the person is read from the overlay or the sealed generation, changed by the
 * rules of core/registry_event, and written to the overlay with all that follows from it.
 *
 *   event -> decode -> subject, person -> rules -> what may still refuse it -> writes
 *
 * Whatever can refuse an event comes before its first write, since the rest of its group goes on in the
 * same transaction. */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_fold.h"
#include "store/live_internal.h"
#include "store/register.h"

#define CHANGES_MAX (2 * XT_PERSON_PHONES_MAX + 2)
#define TOUCHED_MAX (1 + XT_PERSON_REPLACED_MAX + CHANGES_MAX)

/* An alias that names a person from now on, or names him no more. */
struct change {
    struct xt_id id;
    uint64_t number;
    bool added;
};

struct xt_live_work {
    struct xt_memory self;
    struct xt_registry_event event;
    struct xt_person person; /* before the event, then after it */
    struct xt_hot before;    /* number UINT64_MAX: there was nobody */
    uint32_t versions;       /* earlier ones that are kept */
    bool uncounted;          /* they are not counted yet */
    unsigned elsewhere_count;
    uint64_t elsewhere[XT_PERSON_REPLACED_MAX]; /* numbers he states, which name somebody else */
    unsigned change_count;
    struct change changes[CHANGES_MAX];
    unsigned touched_count;
    struct xt_hash touched[TOUCHED_MAX];
    uint8_t source[XT_HOT_MAX + XT_COLD_MAX]; /* texts of a person from the overlay */
    uint8_t version[XT_LIVE_ENTRY_MAX];       /* the person before a correction, to be kept */
    size_t version_size;
    uint8_t record[XT_LIVE_ENTRY_MAX];
};

void xt_live_set_base(struct xt_live *live, struct xt_generation *base)
{
    xt_require(live->writes);
    live->base = base;
    live->base_is_old = false;
    live->fold_ended = live->fold_began = false;
    live->covered = 0;
    if (base != NULL) {
        xt_live_lie_over(live, xt_generation_manifest(base));
    }
    live->counted = false;
    xt_live_stop_counting(live);
}

bool xt_live_wants_base(const struct xt_live *live)
{
    return live->base == NULL || live->base_is_old;
}

void xt_live_registry_close(struct xt_live *live)
{
    if (live->work != NULL) {
        struct xt_memory self = live->work->self;
        xt_memory_free(&self);
        live->work = NULL;
    }
}

/* Made at the first event: most writers of a small deployment never need it. */
static enum xt_status open_work(struct xt_live *live)
{
    struct xt_memory memory = {.data = NULL};
    uint8_t *place = NULL;
    if (live->work != NULL) {
        return XT_OK;
    }
    enum xt_status status = xt_memory_extend(&memory, sizeof(*live->work), &place);
    if (status == XT_OK) {
        live->work = (struct xt_live_work *)(void *)place;
        live->work->self = memory;
    }
    return status;
}

/* ---- reading ---------------------------------------------------------------------------------- */

static enum xt_status subject_of(struct xt_live *live, uint64_t number, enum xt_subject *subject)
{
    struct xt_live_entry entry;
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    enum xt_status status = xt_live_entry(live, number, &entry);
    if (status == XT_OK) {
        *subject = entry.replaced ? XT_SUBJECT_REPLACED : XT_SUBJECT_PERSON;
        return XT_OK;
    }
    if (status == XT_NOT_FOUND) {
        status = xt_generation_find(live->base, id, &found);
    }
    if (status == XT_OK) {
        *subject = !found.found     ? XT_SUBJECT_UNKNOWN
                   : found.by_alias ? XT_SUBJECT_REPLACED
                                    : XT_SUBJECT_PERSON;
    }
    return status;
}

static enum xt_status is_in_use(struct xt_live *live, uint64_t number, bool *in_use)
{
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
    enum xt_status status = subject_of(live, number, &subject);
    *in_use = *in_use || subject != XT_SUBJECT_UNKNOWN;
    return status;
}

/* Any of the numbers that an event would give to its person. */
static enum xt_status new_numbers_in_use(struct xt_live *live, bool *in_use)
{
    const struct xt_registry_event *event = &live->work->event;
    enum xt_status status = XT_OK;
    *in_use = false;
    if (event->type == XT_REGISTRY_NUMBER_REPLACED) {
        return is_in_use(live, event->successor, in_use);
    }
    if (event->type == XT_REGISTRY_REGISTERED) {
        for (unsigned i = 0; status == XT_OK && i < event->person.replaced_count; i++) {
            status = is_in_use(live, event->person.replaced[i], in_use);
        }
    }
    return status;
}

static enum xt_status load_changed(struct xt_live_work *work, const struct xt_live_entry *entry)
{
    struct xt_writer writer = xt_writer_over(work->source, sizeof(work->source));
    xt_write_span(&writer, entry->hot);
    xt_write_span(&writer, entry->cold);
    work->versions = entry->versions;
    if (writer.overflow || entry->replaced) {
        return XT_CORRUPT;
    }
    struct xt_span hot = xt_span_of(work->source, entry->hot.size);
    struct xt_span cold = xt_span_of(work->source + hot.size, entry->cold.size);
    return xt_person_from_records(hot, cold, &work->person);
}

/* Earlier versions of somebody whose entry left the overlay are still there: count them. */
static enum xt_status count_versions(struct xt_live *live, uint64_t number)
{
    struct xt_live_entry entry;
    uint64_t at_ms;
    enum xt_status status;
    while ((status = xt_live_version(live, number, live->work->versions, &at_ms, &entry)) ==
           XT_OK) {
        live->work->versions++;
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* Nothing more is looked up in the base before the event is written: the person may borrow from it. */
static enum xt_status load_sealed(struct xt_live *live, uint64_t number)
{
    struct xt_register as = {.generation = live->base, .live = NULL};
    live->work->versions = 0;
    live->work->uncounted = true;
    return xt_register_person(&as, number, &live->work->person);
}

/* Without his versions. */
static enum xt_status read_person(struct xt_live *live, uint64_t number)
{
    struct xt_live_entry entry;
    enum xt_status status = xt_live_entry(live, number, &entry);
    live->work->uncounted = false;
    return status == XT_OK          ? load_changed(live->work, &entry)
           : status == XT_NOT_FOUND ? load_sealed(live, number)
                                    : status;
}

static enum xt_status load_person(struct xt_live *live, uint64_t number)
{
    enum xt_status status = read_person(live, number);
    return status == XT_OK && live->work->uncounted ? count_versions(live, number) : status;
}

/* Whom a number names now; 0: nobody. */
static enum xt_status named_by(struct xt_live *live, uint64_t number, uint64_t *names)
{
    struct xt_live_entry entry;
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    enum xt_status status = xt_live_entry(live, number, &entry);
    *names = status == XT_OK && entry.replaced ? entry.successor : number;
    if (status != XT_NOT_FOUND) {
        return status;
    }
    status = xt_generation_find(live->base, id, &found);
    *names = status == XT_OK && found.found ? found.hot.number : 0;
    if (status == XT_OK && found.found && found.by_alias) {
        status = xt_live_entry(live, found.hot.number, &entry);
        *names = status == XT_OK && entry.replaced ? entry.successor : *names;
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

/* Which of the numbers that the person states as his old ones name somebody else: registers let a cancelled
 * record state the old number of somebody in force, and an import may say otherwise than the overlay. He is
 * loaded again, since he may have borrowed from what was looked up. */
static enum xt_status find_elsewhere(struct xt_live *live, uint64_t number)
{
    struct xt_live_work *work = live->work;
    uint64_t stated[XT_PERSON_REPLACED_MAX];
    unsigned count = work->person.replaced_count;
    enum xt_status status = XT_OK;
    memcpy(stated, work->person.replaced, sizeof(stated));
    for (unsigned i = 0; status == XT_OK && i < count; i++) {
        uint64_t names = 0;
        status = named_by(live, stated[i], &names);
        if (status == XT_OK && names != 0 && names != number) {
            work->elsewhere[work->elsewhere_count++] = stated[i];
        }
    }
    return status == XT_OK && count > 0 ? load_person(live, number) : status;
}

/* Whether the event says anew whom the person's old numbers name. */
static bool claims_old_numbers(const struct xt_live_work *work)
{
    const struct xt_registry_event *event = &work->event;
    return event->type == XT_REGISTRY_NUMBER_REPLACED ||
           (event->type == XT_REGISTRY_CORRECTED && work->person.life == XT_LIFE_CANCELLED);
}

/* ---- what follows ----------------------------------------------------------------------------- */

static void note(struct xt_live_work *work, enum xt_id_kind kind, uint64_t value, uint64_t number,
                 bool added)
{
    xt_require(work->change_count < CHANGES_MAX);
    work->changes[work->change_count++] =
        (struct change){.id = {.kind = kind, .value = value}, .number = number, .added = added};
}

static bool has_phone(const uint32_t *phones, unsigned count, uint32_t phone)
{
    for (unsigned i = 0; i < count; i++) {
        if (phones[i] == phone) {
            return true;
        }
    }
    return false;
}

/* Aliases that named the person before and not now, or the other way round. A new number is another
 * person to them. */
static void find_changes(struct xt_live_work *work)
{
    const struct xt_hot *before = &work->before;
    const struct xt_person *after = &work->person;
    /* Who was cancelled may have been left out of what the base says for somebody else who holds the same:
     * in force again he counts again. */
    bool revived = before->life == XT_LIFE_CANCELLED && after->life != XT_LIFE_CANCELLED;
    bool same = before->number == after->number && !revived;
    bool same_cmnd = same && before->has_cmnd == after->has_cmnd && before->cmnd == after->cmnd;
    work->change_count = 0;
    if (!same_cmnd && before->has_cmnd) {
        note(work, XT_ID_CMND, before->cmnd, before->number, false);
    }
    if (!same_cmnd && after->has_cmnd) {
        note(work, XT_ID_CMND, after->cmnd, after->number, true);
    }
    for (unsigned i = 0; i < before->phone_count; i++) {
        if (!same || !has_phone(after->phones, after->phone_count, before->phones[i])) {
            note(work, XT_ID_PHONE, before->phones[i], before->number, false);
        }
    }
    for (unsigned i = 0; i < after->phone_count; i++) {
        if (!same || !has_phone(before->phones, before->phone_count, after->phones[i])) {
            note(work, XT_ID_PHONE, after->phones[i], after->number, true);
        }
    }
}

/* The line about the same person, which a change writes anew; count: there is none. What is as the base has
 * it keeps its line: the next base may be one that is being made of the state in between. */
static unsigned line_of(const struct xt_live_alias *alias, uint64_t number)
{
    unsigned at = 0;
    while (at < alias->count && alias->people[at].number != number) {
        at++;
    }
    return at;
}

/* Room for all changes? An event changes one alias twice at most. */
static enum xt_status check_changes(struct xt_live *live, enum xt_conflict *conflict)
{
    const struct xt_live_work *work = live->work;
    for (unsigned i = 0; i < work->change_count; i++) {
        const struct change *change = &work->changes[i];
        struct xt_live_alias alias;
        enum xt_status status = xt_live_alias(live, change->id, &alias);
        if (status != XT_OK && status != XT_NOT_FOUND) {
            return status;
        }
        if (alias.count + 2 > XT_LIVE_ALIAS_MAX && line_of(&alias, change->number) == alias.count) {
            *conflict = XT_CONFLICT_TOO_MANY;
        }
    }
    return XT_OK;
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* Puts what was written, begun by begin(), under an id. */
static int put(struct xt_live *live, struct xt_id id, const struct xt_writer *writer)
{
    struct xt_live_work *work = live->work;
    uint8_t key[XT_LIVE_HASH];
    xt_require(!writer->overflow && work->touched_count < TOUCHED_MAX);
    work->touched[work->touched_count] = xt_live_key(live, id);
    xt_live_key_bytes(work->touched[work->touched_count++], key);
    return xt_live_record_put(live, XT_LIVE_PEOPLE, xt_span_of(key, sizeof(key)),
                              xt_written(writer));
}

static struct xt_writer begin(struct xt_live *live, enum xt_live_kind kind)
{
    struct xt_writer writer = xt_writer_over(live->work->record, sizeof(live->work->record));
    xt_live_record_begin(live, kind, &writer);
    return writer;
}

static struct xt_id personal(uint64_t number)
{
    return (struct xt_id){.kind = XT_ID_PERSONAL, .value = number};
}

static int put_person(struct xt_live *live)
{
    struct xt_live_work *work = live->work;
    struct xt_writer writer = begin(live, XT_LIVE_PERSON);
    xt_live_write_person(&writer, work->versions, &work->person);
    return put(live, personal(work->person.number), &writer);
}

static bool is_elsewhere(const struct xt_live_work *work, uint64_t number)
{
    for (unsigned i = 0; i < work->elsewhere_count; i++) {
        if (work->elsewhere[i] == number) {
            return true;
        }
    }
    return false;
}

/* All numbers that the person had lead to the one he has, but those of others. */
static int put_replaced(struct xt_live *live)
{
    const struct xt_person *person = &live->work->person;
    int code = 0;
    for (unsigned i = 0; code == 0 && i < person->replaced_count; i++) {
        if (is_elsewhere(live->work, person->replaced[i])) {
            continue;
        }
        struct xt_writer writer = begin(live, XT_LIVE_PERSON);
        xt_live_write_replaced(&writer, person->number);
        code = put(live, personal(person->replaced[i]), &writer);
    }
    return code;
}

static int put_change(struct xt_live *live, const struct change *change)
{
    struct xt_live_alias alias;
    enum xt_status status = xt_live_alias(live, change->id, &alias);
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return MDB_CORRUPTED; /* it was read before */
    }
    unsigned at = line_of(&alias, change->number);
    alias.count += at == alias.count;
    alias.people[at].number = change->number;
    alias.people[at].added = change->added;
    struct xt_writer writer = begin(live, XT_LIVE_ALIAS);
    xt_live_write_alias(&writer, &alias);
    return put(live, change->id, &writer);
}

/* The person as he was before a correction, written down when he was loaded. */
static void keep_version(struct xt_live *live)
{
    struct xt_live_work *work = live->work;
    struct xt_writer writer = xt_writer_over(work->version, sizeof(work->version));
    xt_live_record_begin(live, XT_LIVE_VERSION_OF, &writer);
    xt_put(&writer, live->time_ms, 8);
    xt_live_write_person(&writer, 0, &work->person);
    xt_require(!writer.overflow);
    work->version_size = writer.size;
}

static int put_version(struct xt_live *live)
{
    struct xt_live_work *work = live->work;
    uint8_t hash[XT_LIVE_HASH];
    if (work->event.type != XT_REGISTRY_CORRECTED) {
        return 0;
    }
    xt_live_version_key(live, work->person.number, work->versions, hash);
    work->versions++;
    return xt_live_record_put(live, XT_LIVE_STATE, xt_span_of(hash, sizeof(hash)),
                              xt_span_of(work->version, work->version_size));
}

static int put_touched(struct xt_live *live)
{
    const struct xt_live_work *work = live->work;
    uint8_t sequence[8];
    MDB_val key = {.mv_size = sizeof(sequence), .mv_data = sequence};
    MDB_val value = {.mv_size = (size_t)work->touched_count * XT_LIVE_HASH};
    xt_live_log_key(live->sequence, sequence);
    int code =
        mdb_put(live->txn, live->tables[XT_LIVE_TOUCHED], &key, &value, MDB_RESERVE | MDB_APPEND);
    for (unsigned i = 0; code == 0 && i < work->touched_count; i++) {
        xt_live_key_bytes(work->touched[i], (uint8_t *)value.mv_data + (size_t)i * XT_LIVE_HASH);
    }
    return code;
}

/* The one place where a person changes: work->before is who he was (number UINT64_MAX: nobody), work->person who
 * he is. Whatever is counted over people is brought up to date here, in the same transaction. */
static int write_all(struct xt_live *live)
{
    struct xt_live_work *work = live->work;
    bool renumbered = work->before.number != work->person.number;
    work->touched_count = 0;
    int code = put_version(live);
    if (code == 0) {
        code = put_person(live);
    }
    if (code == 0 && renumbered) {
        code = put_replaced(live);
    }
    for (unsigned i = 0; code == 0 && i < work->change_count; i++) {
        code = put_change(live, &work->changes[i]);
    }
    if (code == 0) {
        code = xt_live_count_change(live, work->before.number == UINT64_MAX ? NULL : &work->before,
                                    &work->person);
    }
    return code == 0 ? put_touched(live) : code;
}

/* ---- one event -------------------------------------------------------------------------------- */

static void remember_before(struct xt_live_work *work, bool exists)
{
    const struct xt_person *person = &work->person;
    work->before.number = exists ? person->number : UINT64_MAX;
    work->before.life = XT_LIFE_ALIVE;
    work->before.has_cmnd = exists && person->has_cmnd;
    work->before.phone_count = 0;
    if (exists) {
        uint8_t record[XT_HOT_MAX];
        struct xt_writer writer = xt_writer_over(record, sizeof(record));
        xt_hot_encode(person, &writer);
        enum xt_status status = xt_hot_decode(xt_written(&writer), &work->before);
        xt_require(status == XT_OK);
        xt_wipe(record, sizeof(record));
    }
}

/* Everything that may refuse the event; nothing is written. */
static enum xt_status prepare(struct xt_live *live, enum xt_conflict *conflict)
{
    struct xt_live_work *work = live->work;
    const struct xt_registry_event *event = &work->event;
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
    bool in_use = false;
    enum xt_status status = subject_of(live, event->number, &subject);
    if (status == XT_OK) {
        status = new_numbers_in_use(live, &in_use);
    }
    if (status == XT_OK && subject == XT_SUBJECT_PERSON) {
        status = load_person(live, event->number);
    }
    work->elsewhere_count = 0;
    if (status == XT_OK && subject == XT_SUBJECT_PERSON && claims_old_numbers(work)) {
        status = find_elsewhere(live, event->number);
        in_use = in_use || (event->type == XT_REGISTRY_CORRECTED && work->elsewhere_count > 0);
    }
    if (status != XT_OK) {
        return status;
    }
    remember_before(work, subject == XT_SUBJECT_PERSON);
    if (subject != XT_SUBJECT_PERSON) {
        work->versions = 0;
    } else if (event->type == XT_REGISTRY_CORRECTED) {
        keep_version(live);
    }
    *conflict = xt_registry_event_apply(event, subject, in_use, &work->person);
    if (*conflict != XT_CONFLICT_NONE) {
        return XT_OK;
    }
    if (subject == XT_SUBJECT_PERSON && work->person.number != event->number) {
        work->versions = 0; /* those stay with the number they were of */
    }
    find_changes(work);
    return check_changes(live, conflict);
}

int xt_live_take_registry(struct xt_live *live, const struct xt_event *event,
                          enum xt_status *refused, enum xt_conflict *conflict)
{
    *conflict = XT_CONFLICT_NONE;
    *refused = xt_live_wants_base(live) ? XT_BUSY : open_work(live);
    if (*refused == XT_OK) {
        *refused = xt_registry_event_decode((enum xt_registry_type)event->type, event->registry,
                                            &live->work->event);
    }
    if (*refused == XT_OK) {
        *refused = prepare(live, conflict);
    }
    if (*refused == XT_OK && *conflict != XT_CONFLICT_NONE) {
        *refused = XT_DENIED;
    }
    int code = *refused == XT_OK ? write_all(live) : 0;
    if (code == 0 && *refused == XT_OK && live->work->before.number != UINT64_MAX) {
        code =
            xt_live_follow_registry(live, &live->work->before, &live->work->person, event->at_ms);
    }
    return code;
}

/* ---- accounts ---------------------------------------------------------------------------------- */

enum xt_status xt_live_load_person(struct xt_live *live, uint64_t number, enum xt_subject *subject,
                                   struct xt_person **person)
{
    *subject = XT_SUBJECT_UNKNOWN;
    *person = NULL;
    enum xt_status status = xt_live_wants_base(live) ? XT_BUSY : open_work(live);
    if (status == XT_OK) {
        status = subject_of(live, number, subject);
    }
    if (status == XT_OK && *subject == XT_SUBJECT_PERSON) {
        status = read_person(live, number);
        *person = &live->work->person;
    }
    return status;
}

enum xt_status xt_live_load_stand_in(struct xt_live *live, uint64_t number,
                                     struct xt_person **person)
{
    struct xt_register as = {.generation = live->base, .live = NULL};
    struct xt_live_entry entry;
    enum xt_status status = xt_live_wants_base(live) ? XT_BUSY : open_work(live);
    if (status == XT_OK) {
        status = xt_live_entry(live, number, &entry);
    }
    if (status != XT_OK && status != XT_NOT_FOUND) {
        return status;
    }
    xt_register_stand_in(&as, number, &live->work->person);
    *person = &live->work->person;
    return XT_OK;
}

enum xt_status xt_live_keep_before(struct xt_live *live)
{
    struct xt_live_work *work = live->work;
    enum xt_status status = work->uncounted ? count_versions(live, work->person.number) : XT_OK;
    work->uncounted = false;
    remember_before(work, true);
    return status;
}

int xt_live_write_account(struct xt_live *live)
{
    live->work->event.type = XT_REGISTRY_END; /* no earlier version is kept */
    live->work->elsewhere_count = live->work->change_count = 0;
    return write_all(live);
}
