#include "store/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/audit_internal.h"

struct xt_audit_log {
    int fd;
    bool broken; /* nobody knows what is in the file, or it was ended */
    struct xt_audit_keys keys;
    struct xt_audit_progress *progress; /* NULL: nobody looks */
    struct xt_audit_state written;      /* in the file */
    struct xt_audit_state sealed;       /* with the batch that waits; equal to written: none does */
    uint64_t durable;                   /* bytes of written that a sync covered */
    uint64_t reserved;                  /* bytes of the file that have their place on the disk */
    bool cannot_reserve;
    struct xt_audit_batch batch; /* of the entries in plain: count, times */
    size_t plain_size, out_size;
    uint8_t plain[XT_AUDIT_BATCH_PLAIN];
    /* A batch that was sealed and could not be written is kept as it is: to seal other entries under its
     * number would use a nonce twice. */
    uint8_t out[XT_AUDIT_BATCH_MAX];
};

/* ---- progress --------------------------------------------------------------------------------- */

#define WORDS(state) (sizeof(state) / sizeof(uint64_t))

/* Word by word and atomically, so that a copy made meanwhile is old or new in each word and the sequence
 * tells whether they belong together. */
static void store_state(struct xt_audit_state *to, const struct xt_audit_state *from)
{
    uint64_t words[WORDS(*from)];
    memcpy(words, from, sizeof(words));
    for (size_t i = 0; i < WORDS(*from); i++) {
        __atomic_store_n((uint64_t *)(void *)to + i, words[i], __ATOMIC_RELAXED);
    }
}

static void load_state(struct xt_audit_state *to, const struct xt_audit_state *from)
{
    uint64_t words[WORDS(*from)];
    for (size_t i = 0; i < WORDS(*from); i++) {
        words[i] = __atomic_load_n((const uint64_t *)(const void *)from + i, __ATOMIC_RELAXED);
    }
    memcpy(to, words, sizeof(words));
}

/* before NULL: stays as it is. */
static void publish(struct xt_audit_log *log, const struct xt_audit_state *current,
                    const struct xt_audit_state *before)
{
    struct xt_audit_progress *progress = log->progress;
    if (progress == NULL) {
        return;
    }
    /* Odd while it changes; whoever was killed at it left it odd, and we make it odd again. */
    uint64_t sequence = __atomic_load_n(&progress->sequence, __ATOMIC_RELAXED) | 1;
    __atomic_store_n(&progress->sequence, sequence, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (before != NULL) {
        store_state(&progress->before, before);
    }
    store_state(&progress->current, current);
    __atomic_store_n(&progress->sequence, sequence + 1, __ATOMIC_RELEASE);
}

enum xt_status xt_audit_progress_read(const struct xt_audit_progress *progress,
                                      struct xt_audit_progress *copy)
{
    for (unsigned i = 0; i < XT_AUDIT_READ_TRIES; i++) {
        uint64_t sequence = __atomic_load_n(&progress->sequence, __ATOMIC_ACQUIRE);
        load_state(&copy->current, &progress->current);
        load_state(&copy->before, &progress->before);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if ((sequence & 1) == 0 &&
            __atomic_load_n(&progress->sequence, __ATOMIC_RELAXED) == sequence) {
            copy->sequence = 0;
            return XT_OK;
        }
    }
    return XT_BUSY;
}

/* ---- files ------------------------------------------------------------------------------------ */

enum xt_status xt_audit_create(const char *dir, struct xt_audit_header *header, int *fd,
                               struct xt_failure *failure)
{
    char folder[XT_PATH_MAX], path[XT_PATH_MAX], name[XT_AUDIT_NAME];
    xt_random(header->id, sizeof(header->id));
    xt_audit_name(header->unix_ms, header->worker, header->id, name);
    if (xt_path_join(folder, dir, "audit") != XT_OK || xt_path_join(path, folder, name) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    int made = open(path, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0) {
        enum xt_status status = errno == ENOENT                      ? XT_NOT_FOUND
                                : errno == ENOSPC || errno == EDQUOT ? XT_DISK_FULL
                                                                     : XT_IO;
        return xt_fail(failure, status, "cannot make %s: %s", path, strerror(errno));
    }
    enum xt_status status = XT_OK;
    if (flock(made, LOCK_EX | LOCK_NB) != 0) {
        status = xt_fail(failure, XT_IO, "cannot lock %s: %s", path, strerror(errno));
    } else {
        status = xt_folder_sync(folder, failure);
    }
    if (status != XT_OK) {
        (void)unlink(path);
        close(made);
        return status;
    }
    *fd = made;
    return XT_OK;
}

void xt_audit_give_back(const char *dir, const struct xt_audit_header *header)
{
    char folder[XT_PATH_MAX], path[XT_PATH_MAX], name[XT_AUDIT_NAME];
    struct stat facts;
    xt_audit_name(header->unix_ms, header->worker, header->id, name);
    if (xt_path_join(folder, dir, "audit") != XT_OK || xt_path_join(path, folder, name) != XT_OK) {
        return;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &facts) == 0) {
        (void)!ftruncate(fd, facts.st_size); /* else it goes back when the segment expires */
    }
    if (fd >= 0) {
        close(fd);
    }
}

enum xt_status xt_audit_append(int fd, uint64_t size, const uint8_t *bytes, size_t count)
{
    struct stat facts;
    size_t done = 0;
    while (done < count) {
        ssize_t written = write(fd, bytes + done, count - done);
        if (written > 0) {
            done += (size_t)written; /* a short write: the next one tells why */
        } else if (written == 0 || errno != EINTR) {
            break;
        }
    }
    if (done == count) {
        return XT_OK;
    }
    /* Nothing of it is in the file: the next try writes where this one did. */
    if (fstat(fd, &facts) == 0 && (uint64_t)facts.st_size == size) {
        return XT_DISK_FULL;
    }
    /* A process that may not cut files (a worker) leaves what is torn to recovery, and ends. */
    return ftruncate(fd, (off_t)size) == 0 ? XT_DISK_FULL : XT_IO;
}

/* ---- a log ------------------------------------------------------------------------------------ */

static enum xt_status write_header(int fd, const struct xt_keyring *keyring,
                                   struct xt_audit_header *header, struct xt_audit_keys *keys,
                                   struct xt_audit_state *state)
{
    uint8_t bytes[XT_AUDIT_HEADER_BYTES];
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return XT_IO;
    }
    if (facts.st_size != 0 || header->worker >= XT_AUDIT_WORKERS_MAX ||
        header->unix_ms >= XT_AUDIT_MS_END) {
        return XT_INVALID;
    }
    header->key_id = xt_keyring_current(keyring);
    xt_random(header->salt, sizeof(header->salt));
    enum xt_status status = xt_audit_keys_open(keyring, header->key_id, header->salt, keys);
    if (status != XT_OK) {
        return status;
    }
    xt_audit_header_write(header, keys, bytes);
    status = xt_audit_append(fd, 0, bytes, sizeof(bytes));
    if (status == XT_OK && fdatasync(fd) != 0) {
        status = XT_IO;
    }
    if (status != XT_OK) {
        xt_audit_keys_close(keys);
        return status;
    }
    xt_audit_state_begin(state, header, bytes);
    return XT_OK;
}

static void begin(struct xt_audit_log *log, int fd, const struct xt_audit_keys *keys,
                  const struct xt_audit_state *state)
{
    log->fd = fd;
    log->keys = *keys;
    log->written = *state;
    log->sealed = *state;
    log->durable = state->bytes;
    log->reserved = 0;
    log->cannot_reserve = false;
}

enum xt_status xt_audit_open(int fd, const struct xt_keyring *keyring,
                             struct xt_audit_header *header, struct xt_audit_progress *progress,
                             struct xt_audit_log **log)
{
    struct xt_audit_keys keys;
    struct xt_audit_state state;
    struct xt_audit_log *made = xt_secret_alloc(sizeof(*made));
    if (made == NULL) {
        return XT_NO_MEMORY;
    }
    memset(made, 0, sizeof(*made));
    enum xt_status status = write_header(fd, keyring, header, &keys, &state);
    if (status != XT_OK) {
        xt_secret_free(made);
        return status;
    }
    static const struct xt_audit_state none;
    made->progress = progress;
    begin(made, fd, &keys, &state);
    publish(made, &state, &none);
    *log = made;
    return XT_OK;
}

void xt_audit_close(struct xt_audit_log *log)
{
    if (log != NULL) {
        xt_audit_keys_close(&log->keys);
        xt_secret_free(log);
    }
}

void xt_audit_subject(const struct xt_audit_log *log, struct xt_id id,
                      uint8_t subject[XT_PSEUDONYM_BYTES])
{
    xt_audit_keys_subject(&log->keys, id, subject);
}

/* Writes the batch that is sealed, if one is. */
static enum xt_status write_sealed(struct xt_audit_log *log)
{
    if (log->out_size == 0) {
        return XT_OK;
    }
    enum xt_status status = xt_audit_append(log->fd, log->written.bytes, log->out, log->out_size);
    if (status == XT_OK) {
        log->written = log->sealed;
        log->out_size = 0;
    } else {
        log->reserved = 0; /* the file was cut back, and with it what was set aside */
        log->broken = status == XT_IO;
    }
    return status;
}

enum xt_status xt_audit_flush(struct xt_audit_log *log)
{
    if (log->broken) {
        return XT_IO;
    }
    enum xt_status status = write_sealed(log);
    if (status == XT_OK && log->batch.entries > 0) {
        log->out_size = xt_audit_batch_seal(&log->keys, &log->sealed, &log->batch,
                                            xt_span_of(log->plain, log->plain_size), log->out);
        log->batch = (struct xt_audit_batch){.entries = 0};
        log->plain_size = 0;
        status = write_sealed(log);
    }
    return status;
}

/* XT_NO_SPACE: the batch is full. */
static enum xt_status put_entry(struct xt_audit_log *log, const struct xt_audit_entry *entry)
{
    struct xt_writer writer =
        xt_writer_over(log->plain + log->plain_size, sizeof(log->plain) - log->plain_size);
    uint8_t *length = xt_write_reserve(&writer, 2);
    if (length == NULL || log->batch.entries == XT_AUDIT_BATCH_ENTRIES) {
        return XT_NO_SPACE;
    }
    enum xt_status status = xt_audit_entry_encode(entry, &writer);
    if (status != XT_OK) {
        return status;
    }
    size_t size = writer.size - 2;
    length[0] = (uint8_t)size;
    length[1] = (uint8_t)(size >> 8);
    struct xt_audit_batch *batch = &log->batch;
    if (batch->entries++ == 0) {
        batch->first_ms = batch->last_ms = entry->unix_ms;
    }
    batch->first_ms = entry->unix_ms < batch->first_ms ? entry->unix_ms : batch->first_ms;
    batch->last_ms = entry->unix_ms > batch->last_ms ? entry->unix_ms : batch->last_ms;
    log->plain_size += writer.size;
    return XT_OK;
}

enum xt_status xt_audit_add(struct xt_audit_log *log, const struct xt_audit_entry *entry)
{
    if (log->broken) {
        return XT_IO;
    }
    enum xt_status status = put_entry(log, entry);
    if (status == XT_NO_SPACE) {
        status = xt_audit_flush(log);
        if (status == XT_OK || log->batch.entries == 0) {
            /* Where the flush sealed the batch and found no room for it, there is room here again. */
            status = status == XT_IO ? XT_IO : put_entry(log, entry);
        }
    }
    return status;
}

enum xt_status xt_audit_sync(struct xt_audit_log *log)
{
    if (log->broken) {
        return XT_IO;
    }
    if (log->durable == log->written.bytes) {
        return XT_OK;
    }
    if (fdatasync(log->fd) != 0) {
        log->broken = true;
        return XT_IO;
    }
    log->durable = log->written.bytes;
    publish(log, &log->written, NULL);
    return XT_OK;
}

bool xt_audit_pass_begin(struct xt_audit_log *log, struct xt_audit_pass *pass)
{
    if (log->broken || log->durable == log->written.bytes) {
        return false;
    }
    *pass = (struct xt_audit_pass){.fd = log->fd, .state = log->written};
    return true;
}

enum xt_status xt_audit_pass_run(const struct xt_audit_pass *pass)
{
    return fdatasync(pass->fd) == 0 ? XT_OK : XT_IO;
}

enum xt_status xt_audit_pass_end(struct xt_audit_log *log, const struct xt_audit_pass *pass,
                                 enum xt_status status)
{
    if (status != XT_OK) {
        log->broken = true;
    }
    if (log->broken) {
        return XT_IO;
    }
    /* A sync of our own or a rotation may have overtaken it. */
    if (memcmp(pass->state.id, log->written.id, XT_AUDIT_ID) == 0 &&
        pass->state.bytes > log->durable) {
        log->durable = pass->state.bytes;
        publish(log, &pass->state, NULL);
    }
    return XT_OK;
}

enum xt_status xt_audit_reserve(struct xt_audit_log *log)
{
    uint64_t size = log->written.bytes;
    if (log->broken) {
        return XT_IO;
    }
    if (log->cannot_reserve || log->reserved >= size + XT_AUDIT_RESERVE_LEAST) {
        return XT_OK;
    }
    /* The last of the disk is for those who sign checkpoints and for the live store. */
    struct statvfs disk;
    if (fstatvfs(log->fd, &disk) == 0 &&
        disk.f_bavail < (XT_AUDIT_RESERVE_BYTES + XT_AUDIT_SPARE_BYTES) / disk.f_frsize) {
        return XT_DISK_FULL;
    }
    int result;
    do {
        result = fallocate(log->fd, FALLOC_FL_KEEP_SIZE, (off_t)size, XT_AUDIT_RESERVE_BYTES);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
        log->reserved = 0;
        return XT_DISK_FULL;
    }
    log->cannot_reserve = result != 0;
    log->reserved = size + XT_AUDIT_RESERVE_BYTES;
    return XT_OK;
}

static enum xt_status settle(struct xt_audit_log *log)
{
    enum xt_status status = xt_audit_flush(log);
    return status == XT_OK ? xt_audit_sync(log) : status;
}

enum xt_status xt_audit_rotate(struct xt_audit_log *log, int fd, const struct xt_keyring *keyring,
                               struct xt_audit_header *header)
{
    struct xt_audit_keys keys;
    struct xt_audit_state state;
    enum xt_status status = settle(log);
    if (status != XT_OK) {
        return status;
    }
    memcpy(header->before.id, log->written.id, XT_AUDIT_ID);
    memcpy(header->before.digest, log->written.digest, XT_AUDIT_DIGEST);
    status = write_header(fd, keyring, header, &keys, &state);
    if (status != XT_OK) {
        /* Of the new file: this one is sound, so its failure must not read as one of ours. */
        return status == XT_IO ? XT_DISK_FULL : status;
    }
    struct xt_audit_state closed = log->written;
    closed.closed = 1;
    xt_audit_keys_close(&log->keys);
    begin(log, fd, &keys, &state);
    publish(log, &state, &closed);
    return XT_OK;
}

enum xt_status xt_audit_end(struct xt_audit_log *log)
{
    enum xt_status status = settle(log);
    if (status == XT_OK) {
        struct xt_audit_state closed = log->written;
        closed.closed = 1;
        publish(log, &closed, NULL);
        log->broken = true; /* nothing may follow */
    }
    return status;
}

uint32_t xt_audit_pending(const struct xt_audit_log *log)
{
    return log->batch.entries + (uint32_t)(log->sealed.entries - log->written.entries);
}

const struct xt_audit_state *xt_audit_written(const struct xt_audit_log *log)
{
    return &log->written;
}
