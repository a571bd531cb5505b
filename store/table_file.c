#include "store/table_file.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/background.h"

/* LMDB keeps pages in memory until a commit; this bounds them. Each commit costs four OS pages. */
#define COMMIT_BYTES (64U << 20)
#define SURVEY_BLOCK (1U << 20) /* a multiple of the page size */
#define PAGE_HEADER 16
#define FLAG_DATA_RUN 0x04U

struct xt_table_file {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi tables[XT_TABLE_COUNT];
    size_t uncommitted;
    struct xt_span *pages[XT_TABLE_COUNT]; /* of an open file */
    const uint8_t *map;                    /* where it begins */
    uint32_t page_bytes;                   /* of one OS page in it */
};

static enum xt_status fail_mdb(struct xt_failure *failure, const char *what, int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
        return xt_fail(failure, XT_DISK_FULL,
                       "cannot %s: the disk is full; make room and try again", what);
    case ENOMEM:
        return xt_fail(failure, XT_NO_MEMORY, "cannot %s: out of memory", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return xt_fail(failure, XT_CORRUPT, "cannot %s: the file is damaged (%s)", what,
                       mdb_strerror(code));
    default:
        return xt_fail(failure, XT_IO, "cannot %s: %s", what, mdb_strerror(code));
    }
}

void xt_structure_free(struct xt_structure *structure)
{
    free(structure->pages);
    *structure = (struct xt_structure){.pages = NULL};
}

void xt_table_file_close(struct xt_table_file *file)
{
    if (file == NULL) {
        return;
    }
    if (file->txn != NULL) {
        mdb_txn_abort(file->txn);
    }
    if (file->env != NULL) {
        mdb_env_close(file->env);
    }
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        free(file->pages[i]);
    }
    free(file);
}

static enum xt_status open_env(const char *path, size_t map_bytes, unsigned flags,
                               struct xt_table_file *file, struct xt_failure *failure)
{
    int code = mdb_env_create(&file->env);
    if (code == 0) {
        code = mdb_env_set_maxdbs(file->env, XT_TABLE_COUNT);
    }
    if (code == 0) {
        code = mdb_env_set_mapsize(file->env, map_bytes);
    }
    if (code == 0) {
        code = mdb_env_open(file->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | flags, 0600);
    }
    return code == 0 ? XT_OK : fail_mdb(failure, "open the table file", code);
}

enum xt_status xt_table_file_create(const char *path, uint64_t at_most, struct xt_table_file **made,
                                    struct xt_failure *failure)
{
    struct xt_table_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot write the table file: out of memory");
    }
    /* Twice what the pages need, and room for the tree: only address space. */
    size_t map_bytes = ((size_t)at_most * 2 + (64U << 20)) & ~((size_t)(1U << 20) - 1);
    enum xt_status status = open_env(path, map_bytes, MDB_NOSYNC, file, failure);
    if (status != XT_OK) {
        goto fail;
    }
    int code = mdb_txn_begin(file->env, NULL, 0, &file->txn);
    for (unsigned i = 0; code == 0 && i < XT_TABLE_COUNT; i++) {
        code = mdb_dbi_open(file->txn, xt_table_name(i), MDB_CREATE | MDB_INTEGERKEY,
                            &file->tables[i]);
    }
    if (code != 0) {
        status = fail_mdb(failure, "write the table file", code);
        goto fail;
    }
    *made = file;
    return XT_OK;

fail:
    xt_table_file_close(file);
    return status;
}

static void write_out(const struct xt_table_file *file)
{
    int fd;
    if (mdb_env_get_fd(file->env, &fd) == 0) {
        xt_background_write_out(fd);
    }
}

enum xt_status xt_table_file_reserve(struct xt_table_file *file, unsigned table, uint32_t page,
                                     size_t size, uint8_t **place, struct xt_failure *failure)
{
    int code = 0;
    if (file->uncommitted >= COMMIT_BYTES) {
        code = mdb_txn_commit(file->txn);
        file->txn = NULL;
        file->uncommitted = 0;
        write_out(file);
        if (code == 0) {
            code = mdb_txn_begin(file->env, NULL, 0, &file->txn);
        }
        if (code != 0) {
            return fail_mdb(failure, "write the table file", code);
        }
    }
    MDB_val key = {.mv_size = sizeof(page), .mv_data = &page};
    MDB_val value = {.mv_size = size, .mv_data = NULL};
    code = mdb_put(file->txn, file->tables[table], &key, &value, MDB_RESERVE | MDB_APPEND);
    if (code != 0) {
        return fail_mdb(failure, "write the table file", code);
    }
    file->uncommitted += size;
    *place = value.mv_data;
    return XT_OK;
}

enum xt_status xt_table_file_finish(struct xt_table_file *file, struct xt_failure *failure)
{
    int code = mdb_txn_commit(file->txn);
    file->txn = NULL;
    if (code == 0) {
        code = mdb_env_sync(file->env, 1);
    }
    return code == 0 ? XT_OK : fail_mdb(failure, "write the table file", code);
}

/* ---- what is in it ------------------------------------------------------------------------ */

static enum xt_status fail_read(struct xt_failure *failure, const char *path)
{
    return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot read %s: %s", path,
                   strerror(errno));
}

/* Reads all of size; 0 bytes at the end of the file count as an error. */
static bool read_at(int fd, uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t got = pread(fd, data, size, (off_t)offset);
        if (got <= 0) {
            if (got < 0 && errno == EINTR) {
                continue;
            }
            errno = got == 0 ? EIO : errno;
            return false;
        }
        data += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

struct survey {
    struct xt_structure *structure;
    struct xt_digest *digest; /* of the structure */
    uint64_t next;            /* the next page number that begins something */
    uint32_t capacity;
};

static enum xt_status survey_page(struct survey *survey, uint64_t number, const uint8_t *page)
{
    if (number != survey->next) {
        return XT_OK; /* inside a run of data */
    }
    uint16_t flags;
    uint32_t run;
    memcpy(&flags, page + 10, sizeof(flags));
    memcpy(&run, page + 12, sizeof(run));
    if ((flags & FLAG_DATA_RUN) != 0) {
        survey->next += run;
        return run > 0 ? XT_OK : XT_CORRUPT;
    }
    struct xt_structure *structure = survey->structure;
    if (structure->count == survey->capacity) {
        uint32_t capacity = survey->capacity == 0 ? 256 : survey->capacity * 2;
        uint32_t *pages = realloc(structure->pages, (size_t)capacity * sizeof(*pages));
        if (pages == NULL) {
            return XT_NO_MEMORY;
        }
        structure->pages = pages;
        survey->capacity = capacity;
    }
    structure->pages[structure->count++] = (uint32_t)number;
    xt_digest_add(survey->digest, xt_span_of(page, structure->page_bytes));
    survey->next++;
    return XT_OK;
}

/* The page size stands in the first meta page: after its header come magic u32, version u32, address
 * u64, map size u64, and then the record of the free list, which begins with it. */
static bool read_page_bytes(int fd, uint32_t *page_bytes)
{
    uint8_t head[PAGE_HEADER + 28];
    if (!read_at(fd, head, sizeof(head), 0)) {
        return false;
    }
    memcpy(page_bytes, head + PAGE_HEADER + 24, sizeof(*page_bytes));
    if (*page_bytes < 512 || *page_bytes > 65536 || (*page_bytes & (*page_bytes - 1)) != 0) {
        errno = EBADMSG;
        return false;
    }
    return true;
}

enum xt_status xt_table_file_survey(const char *path, struct xt_progress *progress, uint64_t *bytes,
                                    uint8_t digest[XT_DIGEST_BYTES], struct xt_structure *structure,
                                    struct xt_failure *failure)
{
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail_read(failure, path);
    }
    enum xt_status status = XT_OK;
    struct survey survey = {.structure = structure};
    struct xt_digest *whole = xt_digest_start();
    uint8_t *block = malloc(SURVEY_BLOCK);
    uint64_t at = 0;
    if (block == NULL) {
        status = xt_fail(failure, XT_NO_MEMORY, "cannot read %s: out of memory", path);
        goto done;
    }
    if (fstat(fd, &facts) != 0) {
        status = fail_read(failure, path);
        goto done;
    }
    *bytes = (uint64_t)facts.st_size;
    if (structure != NULL) {
        *structure = (struct xt_structure){.pages = NULL};
        survey.digest = xt_digest_start();
        if (!read_page_bytes(fd, &structure->page_bytes) || *bytes % structure->page_bytes != 0) {
            status = xt_fail(failure, XT_CORRUPT, "%s is not a table file", path);
            goto done;
        }
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (; at < *bytes && status == XT_OK; at += SURVEY_BLOCK) {
        size_t size = *bytes - at < SURVEY_BLOCK ? (size_t)(*bytes - at) : SURVEY_BLOCK;
        if (xt_progress_interrupted(progress)) {
            status = xt_fail(failure, XT_CLOSED, "interrupted");
            break;
        }
        if (!read_at(fd, block, size, at)) {
            status = fail_read(failure, path);
            break;
        }
        xt_digest_add(whole, xt_span_of(block, size));
        for (size_t i = 0; structure != NULL && i < size && status == XT_OK;
             i += structure->page_bytes) {
            status = survey_page(&survey, (at + i) / structure->page_bytes, block + i);
        }
        if (progress != NULL) {
            xt_progress_set(progress, at + size);
        }
    }
    if (structure != NULL && status == XT_OK && survey.next != *bytes / structure->page_bytes) {
        status = xt_fail(failure, XT_UNSUPPORTED,
                         "the installed LMDB writes another file format than this build knows");
    }

done:
    if (structure != NULL && survey.digest != NULL) {
        xt_digest_finish(survey.digest, structure->digest);
    }
    if (structure != NULL && status != XT_OK) {
        xt_structure_free(structure);
    }
    xt_digest_finish(whole, digest);
    free(block);
    close(fd);
    return status;
}

/* LMDB may only see the file once this has agreed. */
static enum xt_status check_structure(int fd, const char *path, uint64_t bytes,
                                      const struct xt_structure *expected,
                                      struct xt_failure *failure)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return fail_read(failure, path);
    }
    if ((uint64_t)facts.st_size != bytes) {
        return xt_fail(failure, XT_CORRUPT,
                       "%s is damaged: %llu bytes in place of %llu; restore it, or import again",
                       path, (unsigned long long)facts.st_size, (unsigned long long)bytes);
    }
    uint8_t *page = malloc(expected->page_bytes);
    if (page == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    enum xt_status status = XT_OK;
    uint8_t digest[XT_DIGEST_BYTES];
    struct xt_digest *running = xt_digest_start();
    /* A few thousand pages all over a large file: asked for at once, a cold disk gives them in the time
     * of a few. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    for (uint32_t i = 0; i < expected->count; i++) {
        (void)posix_fadvise(fd, (off_t)expected->pages[i] * expected->page_bytes,
                            expected->page_bytes, POSIX_FADV_WILLNEED);
    }
    for (uint32_t i = 0; i < expected->count && status == XT_OK; i++) {
        if (read_at(fd, page, expected->page_bytes,
                    (uint64_t)expected->pages[i] * expected->page_bytes)) {
            xt_digest_add(running, xt_span_of(page, expected->page_bytes));
        } else {
            status = fail_read(failure, path);
        }
    }
    xt_digest_finish(running, digest);
    free(page);
    if (status == XT_OK && memcmp(digest, expected->digest, sizeof(digest)) != 0) {
        status = xt_fail(failure, XT_CORRUPT,
                         "%s is damaged in its tree pages; restore it, or import again", path);
    }
    return status;
}

/* Where the map begins: LMDB does not say, but a key lies in a tree page, which was checked and begins
 * with its own number. */
static const uint8_t *map_of(const struct xt_table_file *file, MDB_val key)
{
    uint64_t number;
    const uint8_t *data = key.mv_data;
    const uint8_t *page = data - ((uintptr_t)data & (file->page_bytes - 1));
    memcpy(&number, page, sizeof(number));
    return page - number * file->page_bytes;
}

/* One walk over the tree gives every page's address; data is not touched. */
static int load_pages(struct xt_table_file *file, unsigned table, uint32_t count)
{
    MDB_dbi dbi;
    MDB_cursor *cursor = NULL;
    struct xt_span *pages = calloc(count, sizeof(*pages));
    if (pages == NULL) {
        return ENOMEM;
    }
    file->pages[table] = pages; /* freed with the file */
    int code = mdb_dbi_open(file->txn, xt_table_name(table), MDB_INTEGERKEY, &dbi);
    if (code == 0) {
        code = mdb_cursor_open(file->txn, dbi, &cursor);
    }
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        MDB_val key;
        MDB_val value;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (code == 0 && (key.mv_size != sizeof(i) || memcmp(key.mv_data, &i, sizeof(i)) != 0)) {
            code = MDB_CORRUPTED;
        }
        if (code == 0) {
            pages[i] = xt_span_of(value.mv_data, value.mv_size);
            file->map = map_of(file, key);
        }
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    return code;
}

enum xt_status xt_table_file_open(const char *path, uint64_t bytes,
                                  const struct xt_structure *expected,
                                  const uint32_t page_counts[XT_TABLE_COUNT],
                                  struct xt_table_file **opened, struct xt_failure *failure)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail_read(failure, path);
    }
    enum xt_status status = check_structure(fd, path, bytes, expected, failure);
    close(fd);
    if (status != XT_OK) {
        return status;
    }
    struct xt_table_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    file->page_bytes = expected->page_bytes;
    status = open_env(path, (size_t)bytes, MDB_RDONLY | MDB_NORDAHEAD, file, failure);
    if (status != XT_OK) {
        goto fail;
    }
    int code = mdb_txn_begin(file->env, NULL, MDB_RDONLY, &file->txn);
    for (unsigned i = 0; code == 0 && i < XT_TABLE_COUNT; i++) {
        code = load_pages(file, i, page_counts[i]);
    }
    if (code != 0) {
        status = fail_mdb(failure, "open the table file", code);
        goto fail;
    }
    *opened = file;
    return XT_OK;

fail:
    xt_table_file_close(file);
    return status;
}

const struct xt_span *xt_table_file_pages(const struct xt_table_file *file, unsigned table)
{
    return file->pages[table];
}

void xt_table_file_drop(const struct xt_table_file *file, uint64_t offset, uint64_t size)
{
    int fd;
    if (mdb_env_get_fd(file->env, &fd) == 0) {
        (void)posix_fadvise(fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    }
}

uint64_t xt_table_file_offset(const struct xt_table_file *file, unsigned table, uint32_t page)
{
    return (uint64_t)(file->pages[table][page].data - file->map);
}
