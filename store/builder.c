#include "store/builder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crypto/credential.h"
#include "store/builder_internal.h"
#include "store/identity.h"
#include "store/manifest.h"

/* A lane's buffers: blocks of all parts of all streams, what the parser needs beside them. */
#define LANE_BYTES ((uint64_t)XT_TABLE_COUNT * XT_SPILL_PARTS * XT_SPILL_BLOCK + (8U << 20))

/* After how many spilled bytes a lane looks at the room again. */
#define LOOK_BYTES (64U << 20)

static enum xt_status out_of_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "out of memory while building the generation");
}

static enum xt_status make_folder(struct xt_builder *builder, struct xt_failure *failure)
{
    uint8_t random[8];
    char name[64];
    char folder[XT_PATH_MAX];
    xt_random(random, sizeof(random));
    int size = snprintf(name, sizeof(name), "building-%ld-", (long)getpid());
    for (size_t i = 0; i < sizeof(random); i++) {
        size += snprintf(name + size, sizeof(name) - (size_t)size, "%02x", random[i]);
    }
    enum xt_status status = xt_identity_path(builder->dir, name, folder, failure);
    if (status != XT_OK) {
        return status;
    }
    if (mkdir(folder, 0700) != 0) {
        return xt_fail(failure, errno == ENOSPC ? XT_DISK_FULL : XT_IO, "cannot make %s: %s",
                       folder, strerror(errno));
    }
    memcpy(builder->folder, folder, sizeof(folder));
    return XT_OK;
}

static size_t empty_cold_size(void)
{
    struct xt_person person;
    uint8_t record[64];
    memset(&person, 0, sizeof(person));
    struct xt_writer writer = xt_writer_over(record, sizeof(record));
    xt_cold_encode(&person, &writer);
    xt_require(!writer.overflow);
    return writer.size;
}

/* Bytes that are free where the generation is built. */
static enum xt_status look_for_room(const struct xt_builder *builder, uint64_t *bytes,
                                    struct xt_failure *failure)
{
    struct statvfs room;
    if (statvfs(builder->folder, &room) != 0) {
        return xt_fail(failure, XT_IO, "cannot tell the room at %s: %s", builder->folder,
                       strerror(errno));
    }
    *bytes = (uint64_t)room.f_bavail * room.f_frsize;
    return XT_OK;
}

static enum xt_status no_room(const struct xt_builder *builder, uint64_t needed, uint64_t room,
                              struct xt_failure *failure)
{
    return xt_fail(failure, XT_DISK_FULL,
                   "not enough room at %s/identity: about %.1f MiB are needed and %.1f MiB free; "
                   "make room and import again",
                   builder->dir, (double)needed / (1 << 20), (double)room / (1 << 20));
}

enum xt_status xt_builder_room(const struct xt_builder *builder, uint64_t needed,
                               struct xt_failure *failure)
{
    uint64_t room = 0;
    enum xt_status status = look_for_room(builder, &room, failure);
    return status == XT_OK && room < needed ? no_room(builder, needed, room, failure) : status;
}

/* An estimate is not worth a refusal unless it is missed by far. */
static enum xt_status foresee_room(const struct xt_builder *builder, struct xt_failure *failure)
{
    uint64_t foreseen = builder->options.foreseen;
    uint64_t room = 0;
    enum xt_status status = look_for_room(builder, &room, failure);
    if (status != XT_OK || room >= foreseen) {
        return status;
    }
    if ((double)room < (double)foreseen * XT_BUILDER_CERTAIN) {
        return no_room(builder, foreseen, room, failure);
    }
    (void)xt_fail(builder->options.warning, XT_DISK_FULL,
                  "the new generation may not fit at %s/identity: about %.1f MiB are needed and "
                  "%.1f MiB free",
                  builder->dir, (double)foreseen / (1 << 20), (double)room / (1 << 20));
    return XT_OK;
}

unsigned xt_builder_threads(const struct xt_builder *builder, uint64_t unit_bytes)
{
    uint64_t fitting = builder->options.memory / (unit_bytes + 1);
    return fitting < builder->options.threads ? (unsigned)fitting : builder->options.threads;
}

static void set_options(struct xt_builder *builder, const struct xt_builder_options *given)
{
    struct xt_builder_options *options = &builder->options;
    *options = given != NULL ? *given : (struct xt_builder_options){.quiet = true};
    options->memory = options->memory == 0 ? XT_BUILDER_MEMORY_DEFAULT : options->memory;
    options->threads = options->threads == 0 ? xt_crew_processors() : options->threads;
    options->threads = options->threads > XT_CREW_MAX ? XT_CREW_MAX : options->threads;
    uint64_t lanes = options->memory / LANE_BYTES;
    options->threads = lanes < options->threads ? (unsigned)lanes : options->threads;
    options->threads = options->threads == 0 ? 1 : options->threads;
}

static enum xt_status open_spills(struct xt_builder *builder, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned table = 0; table < XT_TABLE_COUNT && status == XT_OK; table++) {
        status = xt_spill_open(builder->folder, &builder->spills[table], failure);
        for (unsigned i = 0; i < builder->options.threads && status == XT_OK; i++) {
            status = xt_spill_writer_open(builder->spills[table], &builder->lanes[i].writers[table],
                                          failure);
        }
    }
    for (unsigned i = 0; i < builder->options.threads && status == XT_OK; i++) {
        uint8_t *place;
        if (xt_memory_extend(&builder->lanes[i].scratch, XT_HOT_MAX + XT_COLD_MAX, &place) !=
            XT_OK) {
            status = out_of_memory(failure);
        }
    }
    return status;
}

/* With the lock held: a key that was taken out before would seal what nobody can open. Whoever retires one
 * holds the lock too, so none goes from here on. */
static enum xt_status check_current_key(const char *dir, uint32_t id, struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    struct xt_keyring *now = NULL;
    enum xt_status status = xt_key_path(dir, "master.keys", path, failure);
    if (status == XT_OK) {
        status = xt_keyring_open(path, &now, failure);
    }
    if (status == XT_OK && xt_keyring_current(now) != id) {
        status = xt_fail(failure, XT_AGAIN,
                         "the master key was changed just now: start again with the new one");
    }
    xt_keyring_close(now);
    return status;
}

enum xt_status xt_builder_open(const char *dir, const struct xt_keyring *keyring,
                               const struct xt_builder_options *options, struct xt_builder **opened,
                               struct xt_failure *failure)
{
    struct xt_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL) {
        return out_of_memory(failure);
    }
    set_options(builder, options);
    if (builder->options.warning != NULL) {
        builder->options.warning->text[0] = 0;
    }
    xt_conflicts_init(&builder->conflicts, builder->options.memory / 4);
    builder->lock = -1;
    builder->keyring = keyring;
    builder->empty_cold = empty_cold_size();
    builder->manifest.version = XT_MANIFEST_VERSION;
    builder->manifest.key_id = xt_keyring_current(keyring);
    xt_random(builder->manifest.salt, sizeof(builder->manifest.salt));
    builder->dir = strdup(dir);
    enum xt_status status = builder->dir == NULL ? out_of_memory(failure) : XT_OK;
    if (status == XT_OK) {
        status = xt_identity_is_local(dir, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_lock(dir, &builder->lock, failure);
    }
    if (status == XT_OK) {
        status = check_current_key(dir, builder->manifest.key_id, failure);
    }
    if (status == XT_OK) {
        status = xt_identity_prepare(dir, &builder->manifest.number, &builder->before, failure);
    }
    if (status == XT_OK) {
        status = xt_keyring_derive(keyring, builder->manifest.key_id, XT_USE_GENERATION_HASH, 0,
                                   builder->manifest.salt, builder->hash_key);
    }
    if (status == XT_OK) {
        status = make_folder(builder, failure);
    }
    if (status == XT_OK) {
        status = foresee_room(builder, failure);
    }
    if (status == XT_OK) {
        status = open_spills(builder, failure);
    }
    if (status != XT_OK) {
        xt_builder_close(builder);
        return status;
    }
    *opened = builder;
    return XT_OK;
}

void xt_builder_close(struct xt_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_CREW_MAX; i++) {
        for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
            xt_spill_writer_close(builder->lanes[i].writers[table]);
        }
        xt_memory_free(&builder->lanes[i].scratch);
    }
    for (unsigned table = 0; table < XT_TABLE_COUNT; table++) {
        xt_spill_close(builder->spills[table]);
    }
    if (builder->folder[0] != 0) {
        xt_identity_remove(builder->dir, strrchr(builder->folder, '/') + 1);
    }
    if (builder->lock >= 0) {
        close(builder->lock);
    }
    xt_conflicts_free(&builder->conflicts);
    free(builder->dir);
    xt_wipe(builder, sizeof(*builder));
    free(builder);
}

unsigned xt_builder_lanes(const struct xt_builder *builder)
{
    return builder->options.threads;
}

/* ---- adding ------------------------------------------------------------------------------- */

enum xt_status xt_builder_spill(struct xt_builder *builder, struct xt_builder_lane *lane,
                                unsigned table, struct xt_id key, struct xt_builder_origin origin,
                                struct xt_span payload, struct xt_failure *failure)
{
    struct xt_hash hash = xt_key_hash(builder->hash_key, key);
    lane->spilled += payload.size + XT_SEAL_OVERHEAD;
    return xt_spill_add(lane->writers[table], hash.high, key.value, origin.line, origin.marks,
                        payload, failure);
}

/* One person being added. */
struct adding {
    struct xt_builder *builder;
    struct xt_builder_lane *lane;
    uint64_t line;
    uint8_t marks; /* of all his records */
    struct xt_failure *failure;
};

static enum xt_status put(const struct adding *adding, unsigned table, struct xt_id key,
                          uint8_t marks, struct xt_span payload)
{
    struct xt_builder_origin origin = {.line = adding->line, .marks = adding->marks | marks};
    return xt_builder_spill(adding->builder, adding->lane, table, key, origin, payload,
                            adding->failure);
}

static enum xt_status put_number(const struct adding *adding, unsigned table, struct xt_id key,
                                 uint8_t marks, uint64_t number)
{
    return put(adding, table, key, marks, xt_span_of(&number, sizeof(number)));
}

static enum xt_status put_records(const struct adding *adding, const struct xt_person *person)
{
    struct xt_id id = {.kind = XT_ID_PERSONAL, .value = person->number};
    uint8_t *scratch = adding->lane->scratch.data;
    struct xt_writer hot = xt_writer_over(scratch, XT_HOT_MAX);
    xt_hot_encode(person, &hot);
    struct xt_writer cold = xt_writer_over(scratch + XT_HOT_MAX, XT_COLD_MAX);
    xt_cold_encode(person, &cold);
    xt_require(!hot.overflow && !cold.overflow);
    enum xt_status status = put(adding, XT_TABLE_HOT, id, 0, xt_written(&hot));
    if (status == XT_OK && cold.size != adding->builder->empty_cold) {
        status = put(adding, XT_TABLE_COLD, id, 0, xt_written(&cold));
    }
    return status;
}

/* The data still to be written is about as large as what was spilled. */
enum xt_status xt_builder_look(struct xt_builder *builder, struct xt_builder_lane *lane,
                               struct xt_failure *failure)
{
    if (lane->spilled - lane->looked < LOOK_BYTES) {
        return XT_OK;
    }
    lane->looked = lane->spilled;
    return xt_builder_room(builder, lane->spilled * builder->options.threads, failure);
}

enum xt_status xt_builder_add(struct xt_builder *builder, unsigned lane_number,
                              const struct xt_person *person, uint64_t line,
                              struct xt_failure *failure)
{
    xt_require(!builder->sorted && line > 0 && lane_number < builder->options.threads);
    struct xt_builder_lane *lane = &builder->lanes[lane_number];
    struct adding adding = {.builder = builder, .lane = lane, .line = line, .failure = failure};
    adding.marks = person->life == XT_LIFE_CANCELLED ? XT_MARK_CANCELLED : 0;
    if (line > XT_SPILL_LINE_MAX) {
        return xt_fail(failure, XT_TOO_LARGE, "the input has too many lines");
    }
    enum xt_status status = put_records(&adding, person);
    for (unsigned i = 0; i < person->replaced_count && status == XT_OK; i++) {
        struct xt_id old = {.kind = XT_ID_PERSONAL, .value = person->replaced[i]};
        status = put_number(&adding, XT_TABLE_HOT, old, XT_MARK_REPLACED, person->number);
    }
    if (status == XT_OK && person->has_cmnd) {
        struct xt_id cmnd = {.kind = XT_ID_CMND, .value = person->cmnd};
        status = put_number(&adding, XT_TABLE_ALIAS, cmnd, 0, person->number);
    }
    for (unsigned i = 0; i < person->phone_count && status == XT_OK; i++) {
        struct xt_id phone = {.kind = XT_ID_PHONE, .value = person->phones[i]};
        status = put_number(&adding, XT_TABLE_PHONE, phone, 0, person->number);
    }
    lane->people++;
    return status == XT_OK ? xt_builder_look(builder, lane, failure) : status;
}
