#include "store/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/keyring.h"
#include "crypto/seal.h"
#include "store/background.h"

#define HEADER 24               /* high, key, line and size and marks */
#define WRITE_OUT (16ULL << 20) /* bytes, after which the disk is asked to begin */
#define PART_SHIFT 56
_Static_assert(XT_SPILL_PARTS == 1U << (64 - PART_SHIFT), "parts are the top bits of a hash");

/* One block on disk: sealed, under its offset as ordinal. */
struct block {
    uint64_t offset;
    uint32_t size; /* with the seal */
    uint32_t records;
};

struct part {
    struct block *blocks;
    uint32_t count, capacity;
    uint64_t bytes, records;
};

struct xt_spill {
    int fd;
    struct xt_sealer *sealer;
    pthread_mutex_t mutex; /* of the parts' lists and the totals */
    uint64_t end;
    struct xt_spill_totals totals;
    struct part parts[XT_SPILL_PARTS];
};

struct waiting {
    uint32_t size, records;
};

struct xt_spill_writer {
    struct xt_spill *spill;
    struct xt_memory blocks; /* XT_SPILL_BLOCK for each part */
    struct xt_memory sealed; /* where a block is sealed */
    struct waiting waiting[XT_SPILL_PARTS];
};

static enum xt_status fail_file(struct xt_failure *failure, const char *what)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return xt_fail(failure, full ? XT_DISK_FULL : XT_IO,
                   full ? "cannot %s what is to be sorted: %s; make room and import again"
                        : "cannot %s what is to be sorted: %s",
                   what, strerror(errno));
}

static enum xt_status fail_memory(struct xt_failure *failure)
{
    return xt_fail(failure, XT_NO_MEMORY, "out of memory while sorting");
}

/* ---- the file ----------------------------------------------------------------------------- */

static enum xt_status open_nameless(const char *folder, int *fd, struct xt_failure *failure)
{
    static atomic_uint number;
    char name[32];
    char path[XT_PATH_MAX];
    snprintf(name, sizeof(name), "sorting-%u", atomic_fetch_add(&number, 1));
    if (xt_path_join(path, folder, name) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    *fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0 || unlink(path) != 0) {
        return fail_file(failure, "write");
    }
    return XT_OK;
}

enum xt_status xt_spill_open(const char *folder, struct xt_spill **opened,
                             struct xt_failure *failure)
{
    uint8_t key[XT_KEY_BYTES];
    struct xt_spill *spill = calloc(1, sizeof(*spill));
    if (spill == NULL) {
        return fail_memory(failure);
    }
    spill->fd = -1;
    pthread_mutex_init(&spill->mutex, NULL);
    enum xt_status status = open_nameless(folder, &spill->fd, failure);
    if (status == XT_OK) {
        xt_random(key, sizeof(key));
        status = xt_sealer_open(key, &spill->sealer);
        xt_wipe(key, sizeof(key));
        status = status == XT_OK ? XT_OK : fail_memory(failure);
    }
    if (status != XT_OK) {
        xt_spill_close(spill);
        return status;
    }
    *opened = spill;
    return XT_OK;
}

void xt_spill_close(struct xt_spill *spill)
{
    if (spill == NULL) {
        return;
    }
    for (unsigned i = 0; i < XT_SPILL_PARTS; i++) {
        free(spill->parts[i].blocks);
    }
    if (spill->fd >= 0) {
        close(spill->fd);
    }
    xt_sealer_close(spill->sealer);
    pthread_mutex_destroy(&spill->mutex);
    free(spill);
}

/* ---- writing ------------------------------------------------------------------------------ */

enum xt_status xt_spill_writer_open(struct xt_spill *spill, struct xt_spill_writer **opened,
                                    struct xt_failure *failure)
{
    uint8_t *place;
    struct xt_spill_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        return fail_memory(failure);
    }
    writer->spill = spill;
    if (xt_memory_extend(&writer->blocks, (size_t)XT_SPILL_PARTS * XT_SPILL_BLOCK, &place) !=
            XT_OK ||
        xt_memory_extend(&writer->sealed, HEADER + XT_SPILL_PAYLOAD_MAX + XT_SEAL_OVERHEAD,
                         &place) != XT_OK) {
        xt_spill_writer_close(writer);
        return fail_memory(failure);
    }
    *opened = writer;
    return XT_OK;
}

void xt_spill_writer_close(struct xt_spill_writer *writer)
{
    if (writer != NULL) {
        xt_memory_free(&writer->sealed);
        xt_memory_free(&writer->blocks);
        free(writer);
    }
}

/* Gives a block its place in the file and in the part's list. */
static enum xt_status place_block(struct xt_spill *spill, unsigned number, struct block *block,
                                  uint64_t payload_bytes, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    struct part *part = &spill->parts[number];
    pthread_mutex_lock(&spill->mutex);
    if (part->count == part->capacity) {
        uint32_t capacity = part->capacity == 0 ? 16 : part->capacity * 2;
        struct block *blocks = realloc(part->blocks, (size_t)capacity * sizeof(*blocks));
        if (blocks == NULL) {
            status = fail_memory(failure);
            goto done;
        }
        part->blocks = blocks;
        part->capacity = capacity;
    }
    block->offset = spill->end;
    spill->end += block->size;
    part->blocks[part->count++] = *block;
    part->bytes += block->size;
    part->records += block->records;
    spill->totals.records += block->records;
    spill->totals.payload_bytes += payload_bytes;
    spill->totals.disk_bytes += block->size;

done:
    pthread_mutex_unlock(&spill->mutex);
    return status;
}

static enum xt_status write_block(struct xt_spill_writer *writer, unsigned part, uint8_t *plain,
                                  uint32_t size, uint32_t records, struct xt_failure *failure)
{
    struct xt_spill *spill = writer->spill;
    uint8_t associated[4] = {(uint8_t)part, 0, 0, 0};
    struct block block = {.size = size + XT_SEAL_OVERHEAD, .records = records};
    enum xt_status status =
        place_block(spill, part, &block, size - (uint64_t)records * HEADER, failure);
    if (status != XT_OK) {
        return status;
    }
    xt_background_yield();
    xt_seal(spill->sealer, block.offset, xt_span_of(associated, sizeof(associated)),
            xt_span_of(plain, size), writer->sealed.data);
    for (size_t done = 0; done < block.size;) {
        ssize_t wrote = pwrite(spill->fd, writer->sealed.data + done, block.size - done,
                               (off_t)(block.offset + done));
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            errno = wrote == 0 ? ENOSPC : errno;
            return fail_file(failure, "write");
        }
        done += (size_t)wrote;
    }
    if (block.offset / WRITE_OUT != (block.offset + block.size) / WRITE_OUT) {
        xt_background_write_out(spill->fd);
    }
    return XT_OK;
}

static enum xt_status flush_part(struct xt_spill_writer *writer, unsigned part,
                                 struct xt_failure *failure)
{
    struct waiting *waiting = &writer->waiting[part];
    uint8_t *block = writer->blocks.data + (size_t)part * XT_SPILL_BLOCK;
    if (waiting->size == 0) {
        return XT_OK;
    }
    enum xt_status status =
        write_block(writer, part, block, waiting->size, waiting->records, failure);
    if (status == XT_OK) {
        *waiting = (struct waiting){0, 0};
    }
    return status;
}

enum xt_status xt_spill_flush(struct xt_spill_writer *writer, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned part = 0; part < XT_SPILL_PARTS && status == XT_OK; part++) {
        status = flush_part(writer, part, failure);
    }
    return status;
}

static void put_record(uint8_t *place, const uint64_t header[3], struct xt_span payload)
{
    memcpy(place, header, HEADER);
    if (payload.size > 0) {
        memcpy(place + HEADER, payload.data, payload.size);
    }
}

enum xt_status xt_spill_add(struct xt_spill_writer *writer, uint64_t high, uint64_t key,
                            uint64_t line, uint8_t marks, struct xt_span payload,
                            struct xt_failure *failure)
{
    xt_require(line <= XT_SPILL_LINE_MAX && payload.size <= XT_SPILL_PAYLOAD_MAX);
    const uint64_t header[3] = {high, key, line << 24 | (uint64_t)payload.size << 8 | marks};
    unsigned part = (unsigned)(high >> PART_SHIFT);
    struct waiting *waiting = &writer->waiting[part];
    size_t size = HEADER + payload.size;
    if (size > XT_SPILL_BLOCK - waiting->size) {
        enum xt_status status = flush_part(writer, part, failure);
        if (status != XT_OK) {
            return status;
        }
    }
    if (size > XT_SPILL_BLOCK) { /* a block of its own */
        struct xt_memory alone = {.data = NULL};
        uint8_t *place;
        if (xt_memory_extend(&alone, size, &place) != XT_OK) {
            return fail_memory(failure);
        }
        put_record(place, header, payload);
        enum xt_status status = write_block(writer, part, place, (uint32_t)size, 1, failure);
        xt_memory_free(&alone);
        return status;
    }
    put_record(writer->blocks.data + (size_t)part * XT_SPILL_BLOCK + waiting->size, header,
               payload);
    waiting->size += (uint32_t)size;
    waiting->records++;
    return XT_OK;
}

struct xt_spill_totals xt_spill_totals(const struct xt_spill *spill)
{
    return spill->totals;
}

/* ---- reading ------------------------------------------------------------------------------ */

uint64_t xt_spill_part_bytes(const struct xt_spill *spill, unsigned part)
{
    return spill->parts[part].bytes + spill->parts[part].records * sizeof(struct xt_spilled);
}

void xt_spill_load_free(struct xt_spill_load *load)
{
    xt_memory_free(&load->block);
    xt_memory_free(&load->text);
    xt_memory_free(&load->records);
}

static enum xt_status fail_damaged(struct xt_failure *failure)
{
    return xt_fail(failure, XT_CORRUPT,
                   "what was written to be sorted does not read back: check the disk and the "
                   "memory of this machine");
}

static enum xt_status read_block(const struct xt_spill *spill, unsigned part,
                                 const struct block *block, uint8_t *sealed, uint8_t *plain,
                                 struct xt_failure *failure)
{
    uint8_t associated[4] = {(uint8_t)part, 0, 0, 0};
    for (size_t done = 0; done < block->size;) {
        ssize_t got =
            pread(spill->fd, sealed + done, block->size - done, (off_t)(block->offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_file(failure, "read");
        }
        if (got == 0) {
            return fail_damaged(failure);
        }
        done += (size_t)got;
    }
    return xt_unseal(spill->sealer, block->offset, xt_span_of(associated, sizeof(associated)),
                     xt_span_of(sealed, block->size), plain) == XT_OK
               ? XT_OK
               : fail_damaged(failure);
}

/* The block opened last, of size bytes at text offset at -> entries. */
static void index_block(struct xt_spill_load *load, size_t at, size_t end, uint32_t records,
                        struct xt_spilled *into)
{
    for (uint32_t i = 0; i < records; i++) {
        xt_require(end - at >= HEADER); /* it opened, so it is what was written */
        memcpy(&into[i], load->text.data + at, HEADER);
        at += HEADER;
        into[i].payload = at;
        xt_require(end - at >= xt_spilled_size(&into[i]));
        at += xt_spilled_size(&into[i]);
    }
}

/* Keeps the memory for the next part. */
static void forget(struct xt_memory *memory)
{
    memory->size = 0;
}

static enum xt_status read_part(const struct xt_spill *spill, unsigned number,
                                struct xt_spill_load *load, struct xt_failure *failure)
{
    const struct part *part = &spill->parts[number];
    enum xt_status status = XT_OK;
    for (uint32_t i = 0; i < part->count && status == XT_OK; i++) {
        const struct block *block = &part->blocks[i];
        uint8_t *sealed;
        uint8_t *plain;
        uint8_t *entries;
        size_t at = load->text.size;
        xt_background_yield();
        forget(&load->block);
        if (xt_memory_extend(&load->block, block->size, &sealed) != XT_OK ||
            xt_memory_extend(&load->text, block->size - XT_SEAL_OVERHEAD, &plain) != XT_OK ||
            xt_memory_extend(&load->records, (size_t)block->records * sizeof(struct xt_spilled),
                             &entries) != XT_OK) {
            return fail_memory(failure);
        }
        status = read_block(spill, number, block, sealed, plain, failure);
        if (status == XT_OK) {
            index_block(load, at, load->text.size, block->records,
                        (struct xt_spilled *)(void *)entries);
        }
    }
    return status;
}

enum xt_status xt_spill_read(const struct xt_spill *spill, unsigned from, unsigned to,
                             struct xt_spill_load *load, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    forget(&load->text);
    forget(&load->records);
    for (unsigned part = from; part < to && status == XT_OK; part++) {
        status = read_part(spill, part, load, failure);
    }
    return status;
}
