#include "store/memory.h"

#include <sys/mman.h>

#include "crypto/keyring.h"

#define FIRST_BYTES (1U << 20) /* a multiple of every page size in use */

static enum xt_status grow(struct xt_memory *memory, size_t needed)
{
    size_t capacity = memory->capacity == 0 ? FIRST_BYTES : memory->capacity;
    while (capacity < needed) {
        if (capacity > SIZE_MAX / 4) {
            return XT_NO_MEMORY;
        }
        capacity *= 2; /* pages that are never touched cost nothing */
    }
    void *data = memory->data == NULL
                     ? mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                     : mremap(memory->data, memory->capacity, capacity, MREMAP_MAYMOVE);
    if (data == MAP_FAILED) {
        return XT_NO_MEMORY;
    }
    (void)madvise(data, capacity,
                  MADV_DONTDUMP); /* the moved part keeps it; the new part needs it */
    memory->data = data;
    memory->capacity = capacity;
    return XT_OK;
}

enum xt_status xt_memory_extend(struct xt_memory *memory, size_t size, uint8_t **place)
{
    if (size > memory->capacity - memory->size) {
        if (size > SIZE_MAX - memory->size) {
            return XT_NO_MEMORY;
        }
        enum xt_status status = grow(memory, memory->size + size);
        if (status != XT_OK) {
            return status;
        }
    }
    *place = memory->data + memory->size;
    memory->size += size;
    memory->touched = memory->size > memory->touched ? memory->size : memory->touched;
    return XT_OK;
}

void xt_memory_free(struct xt_memory *memory)
{
    if (memory->data != NULL) {
        xt_wipe(memory->data, memory->touched);
        (void)munmap(memory->data, memory->capacity);
    }
    *memory = (struct xt_memory){.data = NULL};
}
