/* What the lines of a list change in whom: part by part, on all processors. The people of a part stand near
 * each other in the generation's tables too, both being in the order of the hash. */
#include <stdlib.h>

#include "store/builder_internal.h"
#include "store/crew.h"
#include "store/generation_internal.h"
#include "store/links_internal.h"
#include "store/progress.h"
#include "store/register.h"
#include "store/sort.h"

/* A reject waiting to be told in the order of the lines; sorted as it is. */
struct refused {
    uint64_t line, first_line, code; /* enum xt_conflict, or: */
};
#define DUPLICATE XT_CONFLICT_COUNT

/* One thread's. */
struct lane {
    struct xt_memory memory;
    struct xt_generation *generation;
    struct xt_spill_load load;
    struct xt_memory refused; /* of struct refused */
    struct xt_memory room;    /* people: in no core dump, wiped */
    struct work {
        struct xt_person person;
        struct xt_registry_event event;
        uint64_t given_by[XT_PERSON_LINKS_MAX]; /* the line that gave a document of his; 0: none */
        uint8_t hot[XT_HOT_MAX], cold[XT_COLD_MAX];
    } * work;
    uint64_t linked, unchanged, people;
};

struct deciding {
    struct xt_linking *linking;
    pthread_mutex_t mutex; /* of the live store's reader, and of the progress */
    struct xt_progress progress;
    uint64_t done;
    struct lane lanes[XT_CREW_MAX];
};

/* ---- one person ----------------------------------------------------------------------------------- */

static enum xt_status refuse(struct lane *lane, uint64_t line, uint64_t first_line, unsigned code)
{
    uint8_t *place = NULL;
    struct refused refused = {line, first_line, code};
    enum xt_status status = xt_memory_extend(&lane->refused, sizeof(refused), &place);
    if (status == XT_OK) {
        memcpy(place, &refused, sizeof(refused));
    }
    return status;
}

static enum xt_status load_person(const struct xt_register *as, uint64_t number,
                                  struct xt_person *person, enum xt_subject *subject)
{
    struct xt_found found;
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = number};
    enum xt_status status = xt_register_person(as, number, person);
    *subject = XT_SUBJECT_PERSON;
    if (status != XT_NOT_FOUND) {
        return status;
    }
    status = xt_register_find(as, id, &found);
    *subject = status == XT_OK && found.found ? XT_SUBJECT_REPLACED : XT_SUBJECT_UNKNOWN;
    return status;
}

/* Where a person has a document; his count: nowhere. */
static unsigned find_document(const struct xt_person *person, const struct xt_link *link)
{
    unsigned at = 0;
    while (at < person->link_count &&
           (person->links[at].type != link->type ||
            person->links[at].number.length != link->number.length ||
            memcmp(person->links[at].number.text, link->number.text, link->number.length) != 0)) {
        at++;
    }
    return at;
}

/* One line. *changed: it did something. */
static enum xt_status apply_line(struct lane *lane, enum xt_subject subject, uint64_t line,
                                 const struct xt_link *link, bool *changed)
{
    struct work *work = lane->work;
    if (subject == XT_SUBJECT_PERSON) {
        unsigned at = find_document(&work->person, link);
        if (at < work->person.link_count && work->given_by[at] != 0) {
            return refuse(lane, line, work->given_by[at], DUPLICATE);
        }
    }
    work->event.person.links[0] = *link;
    enum xt_conflict conflict =
        xt_registry_event_apply(&work->event, subject, false, &work->person);
    bool known = conflict == XT_CONFLICT_DOCUMENT_ALREADY_LINKED;
    if (conflict != XT_CONFLICT_NONE && !known) {
        return refuse(lane, line, 0, conflict);
    }
    work->given_by[find_document(&work->person, link)] = line;
    lane->linked += !known;
    lane->unchanged += known;
    *changed = *changed || !known;
    return XT_OK;
}

static enum xt_status keep_person(struct deciding *deciding, unsigned thread,
                                  struct xt_failure *failure)
{
    struct lane *lane = &deciding->lanes[thread];
    struct work *work = lane->work;
    struct xt_builder *builder = deciding->linking->compaction.builder;
    struct xt_writer cold = xt_writer_over(work->cold, sizeof(work->cold));
    struct xt_writer hot = xt_writer_over(work->hot, sizeof(work->hot));
    xt_cold_encode(&work->person, &cold);
    xt_hot_encode(&work->person, &hot);
    xt_require(!cold.overflow && !hot.overflow);
    xt_relinked_add(&deciding->linking->relinked, work->person.number);
    lane->people++;
    enum xt_status status =
        xt_builder_keep_hot(builder, thread, work->person.number, xt_written(&hot), failure);
    return status == XT_OK ? xt_builder_keep_cold(builder, thread, work->person.number,
                                                  xt_written(&cold), failure)
                           : status;
}

/* Lines of one number, in their order. */
static enum xt_status apply_lines(struct deciding *deciding, unsigned thread,
                                  const struct xt_register *as, const struct xt_spilled *records,
                                  size_t count, struct xt_failure *failure)
{
    struct lane *lane = &deciding->lanes[thread];
    enum xt_subject subject = XT_SUBJECT_UNKNOWN;
    bool changed = false;
    enum xt_status status = load_person(as, records[0].key, &lane->work->person, &subject);
    memset(lane->work->given_by, 0, sizeof(lane->work->given_by));
    lane->work->event.number = records[0].key;
    for (size_t i = 0; status == XT_OK && i < count; i++) {
        struct xt_link link;
        memcpy(&link, xt_spill_payload(&lane->load, &records[i]), sizeof(link));
        status = apply_line(lane, subject, xt_spilled_line(&records[i]), &link, &changed);
    }
    return status == XT_OK && changed ? keep_person(deciding, thread, failure) : status;
}

/* The live store has one reader: whom the overlay may hold is dealt with by one thread at a time, from
 * reading to encoding, since his texts are borrowed from it. */
static enum xt_status apply_group(struct deciding *deciding, unsigned thread,
                                  const struct xt_spilled *records, size_t count,
                                  struct xt_failure *failure)
{
    struct xt_live *live = deciding->linking->live;
    struct xt_register as = {.generation = deciding->lanes[thread].generation};
    if (live == NULL) {
        return apply_lines(deciding, thread, &as, records, count, failure);
    }
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = records[0].key};
    enum xt_status status = XT_OK;
    pthread_mutex_lock(&deciding->mutex);
    bool held = xt_live_may_hold(live, xt_live_key(live, id));
    if (held) {
        as.live = live;
        status = apply_lines(deciding, thread, &as, records, count, failure);
    }
    pthread_mutex_unlock(&deciding->mutex);
    return held ? status : apply_lines(deciding, thread, &as, records, count, failure);
}

/* ---- a part --------------------------------------------------------------------------------------- */

static enum xt_status decide_part(void *context, unsigned thread, uint64_t part,
                                  struct xt_failure *failure)
{
    struct deciding *deciding = context;
    struct lane *lane = &deciding->lanes[thread];
    size_t count;
    if (xt_builder_stopped(deciding->linking->compaction.builder)) {
        return xt_fail(failure, XT_CLOSED, "interrupted; nothing was changed");
    }
    enum xt_status status = xt_spill_read(deciding->linking->spill, (unsigned)part,
                                          (unsigned)part + 1, &lane->load, failure);
    if (status != XT_OK) {
        return status;
    }
    struct xt_spilled *records = xt_spill_records(&lane->load, &count);
    xt_sort_entries(records, count, sizeof(*records));
    failure->text[0] = 0;
    for (size_t from = 0, to; from < count && status == XT_OK; from = to) {
        to = from + 1;
        while (to < count && records[to].key == records[from].key) {
            to++;
        }
        status = apply_group(deciding, thread, records + from, to - from, failure);
    }
    pthread_mutex_lock(&deciding->mutex);
    deciding->done += count;
    xt_progress_look(&deciding->progress, deciding->done);
    pthread_mutex_unlock(&deciding->mutex);
    return status == XT_OK || failure->text[0] != 0
               ? status
               : xt_fail(failure, status, "cannot read the people of a list: %s%s",
                         xt_status_name(status),
                         status == XT_CORRUPT ? ": run xacthuc check; nothing was changed" : "");
}

/* How many threads the largest part leaves memory for; the others are as large at most. */
static unsigned threads_for(const struct xt_linking *linking, uint64_t *largest)
{
    unsigned lanes = xt_builder_lanes(linking->compaction.builder);
    *largest = 0;
    for (unsigned i = 0; i < XT_SPILL_PARTS; i++) {
        uint64_t bytes = xt_spill_part_bytes(linking->spill, i);
        *largest = bytes > *largest ? bytes : *largest;
    }
    *largest *= 2; /* memory grows by doubling */
    unsigned fitting = xt_builder_threads(linking->compaction.builder, *largest);
    return fitting < lanes ? fitting : lanes;
}

static enum xt_status open_lane(struct deciding *deciding, unsigned number)
{
    struct lane *lane = &deciding->lanes[number];
    uint8_t *place = NULL;
    enum xt_status status = xt_compact_share(deciding->linking->compaction.generation,
                                             &lane->memory, &lane->generation);
    if (status == XT_OK) {
        status = xt_memory_extend(&lane->room, sizeof(struct work), &place);
    }
    if (status == XT_OK) {
        lane->work = (struct work *)(void *)place;
        lane->work->event.type = XT_REGISTRY_DOCUMENT_LINKED;
    }
    return status;
}

static void close_lane(struct lane *lane)
{
    xt_compact_unshare(lane->generation, &lane->memory);
    xt_spill_load_free(&lane->load);
    xt_memory_free(&lane->room);
    xt_memory_free(&lane->refused);
}

/* ---- rejects -------------------------------------------------------------------------------------- */

static enum xt_status tell(struct xt_linking *linking, const struct refused *refused)
{
    bool duplicate = refused->code == DUPLICATE;
    bool about_document = duplicate || refused->code == XT_CONFLICT_TOO_MANY;
    return xt_rejects_add(linking->rejects, refused->line, refused->first_line,
                          duplicate ? "duplicate"
                                    : xt_conflict_name((enum xt_conflict)refused->code),
                          about_document ? "/number" : "/id", linking->failure);
}

static enum xt_status tell_refused(struct deciding *deciding, unsigned threads)
{
    struct xt_linking *linking = deciding->linking;
    struct xt_memory *all = &deciding->lanes[0].refused;
    enum xt_status status = XT_OK;
    for (unsigned i = 1; i < threads && status == XT_OK; i++) {
        const struct xt_memory *more = &deciding->lanes[i].refused;
        uint8_t *place = NULL;
        status = more->size == 0 ? XT_OK : xt_memory_extend(all, more->size, &place);
        if (status == XT_OK && more->size > 0) {
            memcpy(place, more->data, more->size);
        }
        xt_memory_free(&deciding->lanes[i].refused);
    }
    if (status != XT_OK) {
        return xt_fail(linking->failure, status, "out of memory");
    }
    size_t count = all->size / sizeof(struct refused);
    const struct refused *refused = (const struct refused *)(const void *)all->data;
    if (count > 0) {
        xt_sort_entries(all->data, count, sizeof(struct refused));
    }
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        status = tell(linking, &refused[i]);
    }
    return status;
}

/* ---- all ------------------------------------------------------------------------------------------ */

static enum xt_status run(struct deciding *deciding, unsigned threads)
{
    struct xt_linking *linking = deciding->linking;
    enum xt_status status = XT_OK;
    for (unsigned i = 0; i < threads && status == XT_OK; i++) {
        status = open_lane(deciding, i);
    }
    if (status != XT_OK) {
        return xt_fail(linking->failure, status, "out of memory");
    }
    xt_progress_start(&deciding->progress, "looking people up", "documents",
                      xt_spill_totals(linking->spill).records, linking->compaction.options->quiet);
    status = xt_crew_run(threads, XT_SPILL_PARTS, decide_part, deciding, linking->failure);
    if (status != XT_OK) {
        xt_progress_break(&deciding->progress);
        return status;
    }
    xt_progress_finish(&deciding->progress);
    for (unsigned i = 0; i < threads; i++) {
        linking->report->linked += deciding->lanes[i].linked;
        linking->report->unchanged += deciding->lanes[i].unchanged;
        linking->report->people += deciding->lanes[i].people;
    }
    return tell_refused(deciding, threads);
}

enum xt_status xt_links_decide(struct xt_linking *linking)
{
    uint64_t largest;
    unsigned threads = threads_for(linking, &largest);
    if (threads == 0) {
        return xt_fail(linking->failure, XT_NO_MEMORY,
                       "this list needs more memory to be sorted: give it at least --memory %lluM, "
                       "or take out lines that give the same number, if very many do",
                       (unsigned long long)(largest >> 20) + 1);
    }
    struct deciding *deciding = calloc(1, sizeof(*deciding));
    if (deciding == NULL) {
        return xt_fail(linking->failure, XT_NO_MEMORY, "out of memory");
    }
    deciding->linking = linking;
    pthread_mutex_init(&deciding->mutex, NULL);
    enum xt_status status = run(deciding, threads);
    for (unsigned i = 0; i < threads; i++) {
        close_lane(&deciding->lanes[i]);
    }
    pthread_mutex_destroy(&deciding->mutex);
    free(deciding);
    return status;
}
