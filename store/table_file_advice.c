#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/table_file.h"

#ifndef MADV_POPULATE_READ /* since Linux 5.14 */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define PIECE (2U << 20)

/* Pages of a table follow each other in the file but for a few of the tree between them: gaps up to
 * this are told with what is around them. */
#define GAP_MOST (1U << 18)

static int advise(const uint8_t *from, const uint8_t *to, int advice)
{
    uintptr_t os_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)from & ~(os_page - 1);
    uintptr_t size = ((uintptr_t)to - begin + os_page - 1) & ~(os_page - 1);
    void *place;
    memcpy(&place, &begin, sizeof(place)); /* advice changes nothing of what is mapped there */
    while (madvise(place, size, advice) != 0) {
        if (errno != EINTR && errno != EAGAIN) {
            return errno;
        }
    }
    return 0;
}

/* 0, or the first errno. */
static int advise_pages(const struct xt_table_file *file, unsigned table, uint32_t from,
                        uint32_t to, int advice)
{
    const struct xt_span *pages = xt_table_file_pages(file, table);
    int result = 0;
    for (uint32_t i = from; i < to && result == 0;) {
        const uint8_t *begin = pages[i].data, *end = begin + pages[i].size;
        for (i++; i < to && pages[i].data >= end && pages[i].data - end <= GAP_MOST; i++) {
            end = pages[i].data + pages[i].size;
        }
        result = advise(begin, end, advice);
    }
    return result;
}

void xt_table_file_expect(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to)
{
    /* One by one: of a longer range the kernel reads only the beginning, as much as the device's
     * read_ahead_kb says, which is 128 where nobody changed it. */
    for (uint32_t page = from; page < to; page++) {
        (void)advise_pages(file, table, page, page + 1, MADV_WILLNEED);
    }
}

/* Memory in pieces of 2 MiB. Where what is free lies scattered, the kernel throws out two such pieces of other
 * pages for each that a file is to be read into, even with gigabytes free: a file read so pushes out its own
 * beginning. For memory of a process it moves pages together instead. So that memory is had, and given back. */
static void make_pieces(size_t size)
{
    size_t whole = (size + PIECE - 1) & ~((size_t)PIECE - 1);
    uint8_t *memory = mmap(NULL, whole + PIECE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    uint8_t *begin = memory + (PIECE - ((uintptr_t)memory & (PIECE - 1))) % PIECE;
    if (madvise(begin, whole, MADV_HUGEPAGE) == 0) {
        (void)madvise(begin, whole, MADV_POPULATE_WRITE);
    }
    (void)munmap(memory, whole + PIECE);
}

enum xt_status xt_table_file_load(const struct xt_table_file *file, unsigned table, uint32_t from,
                                  uint32_t to, bool large)
{
    /* In pieces of 2 MiB where the file system has them (Linux 6.16 for ext4): a cold file comes twelve
     * times as fast, and whoever maps it afterwards needs one entry of the TLB for each. Elsewhere this is
     * refused, and nothing is lost. */
    if (large) {
        const struct xt_span *pages = xt_table_file_pages(file, table);
        size_t size = 0;
        for (uint32_t page = from; page < to; page++) {
            size += pages[page].size;
        }
        if (advise_pages(file, table, from, to, MADV_HUGEPAGE) == 0) {
            make_pieces(size);
        }
    }
    int result = advise_pages(file, table, from, to, MADV_POPULATE_READ);
    return result == 0 ? XT_OK : result == EINVAL ? XT_UNSUPPORTED : XT_IO;
}

uint64_t xt_table_file_large(void)
{
    char text[4096];
    size_t got = 0;
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    if (rollup != NULL) {
        got = fread(text, 1, sizeof(text) - 1, rollup);
        (void)fclose(rollup);
    }
    text[got] = '\0';
    const char *found = strstr(text, "\nFilePmdMapped:");
    return found == NULL ? UINT64_MAX : strtoull(strchr(found, ':') + 1, NULL, 10) << 10;
}

void xt_table_file_repack(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to)
{
    const struct xt_span *pages = xt_table_file_pages(file, table);
    const uint8_t *map = pages[from].data - xt_table_file_offset(file, table, from);
    uint64_t at = xt_table_file_offset(file, table, from) & ~((uint64_t)PIECE - 1);
    uint64_t end = xt_table_file_offset(file, table, to - 1) + pages[to - 1].size;
    if (end < at || end - at > 2 * XT_TABLE_FILE_PIECES) {
        return; /* they do not lie together */
    }
    for (; at + PIECE <= end; at += PIECE) {
        (void)advise(map + at, map + at + PIECE, MADV_DONTNEED);
        xt_table_file_drop(file, at, PIECE);
        (void)advise(map + at, map + at + PIECE, MADV_POPULATE_READ);
    }
}

void xt_table_file_prefer(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to)
{
    /* A page counts as used when it is taken out of a map through which it was, but through none that is for
     * reading at random; used twice it is kept before those that were read once. */
    (void)advise_pages(file, table, from, to, MADV_NORMAL);
    xt_table_file_forget(file, table, from, to);
    (void)advise_pages(file, table, from, to, MADV_POPULATE_READ);
    xt_table_file_forget(file, table, from, to);
    (void)advise_pages(file, table, from, to, MADV_RANDOM);
}

/* mincore(2) tells the truth to those only who own the file or may write to it; to others all is in memory. */
static bool is_in_memory(const uint8_t *from, const uint8_t *to)
{
    unsigned char there[512];
    uintptr_t os_page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)from & ~(os_page - 1);
    while (at < (uintptr_t)to) {
        size_t pages = ((uintptr_t)to - at + os_page - 1) / os_page;
        void *place;
        memcpy(&place, &at, sizeof(place)); /* nothing is written there */
        pages = pages < sizeof(there) ? pages : sizeof(there);
        if (mincore(place, pages * os_page, there) != 0) {
            return false;
        }
        for (size_t i = 0; i < pages; i++) {
            if ((there[i] & 1) == 0) {
                return false;
            }
        }
        at += pages * os_page;
    }
    return true;
}

enum xt_status xt_table_file_map(const struct xt_table_file *file, unsigned table, uint32_t from,
                                 uint32_t to)
{
    const struct xt_span *pages = xt_table_file_pages(file, table);
    for (uint32_t page = from; page < to; page++) {
        if (!is_in_memory(pages[page].data, pages[page].data + pages[page].size)) {
            return XT_NOT_FOUND;
        }
    }
    /* Page by page: between them there may be some of the tree, which were not asked about. */
    int result = 0;
    for (uint32_t page = from; page < to && result == 0; page++) {
        result = advise(pages[page].data, pages[page].data + pages[page].size, MADV_POPULATE_READ);
    }
    return result == 0 ? XT_OK : result == EINVAL ? XT_UNSUPPORTED : XT_IO;
}

void xt_table_file_count_use(const struct xt_table_file *file, unsigned table, uint32_t from,
                             uint32_t to)
{
    (void)advise_pages(file, table, from, to, MADV_NORMAL);
}

/* On a shared map of a file that nobody writes to, this drops page table entries and nothing else. */
void xt_table_file_forget(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to)
{
    (void)advise_pages(file, table, from, to, MADV_DONTNEED);
}
