#include "crypto/memory.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "core/status.h"

/* Before each allocation; 16 bytes, so that what follows is aligned for anything. */
struct header {
    size_t size;   /* bytes that were asked for */
    size_t locked; /* 1: from sodium_malloc */
};
_Static_assert(sizeof(struct header) == 16, "keeps the alignment of malloc");

static _Thread_local unsigned in_key_memory;

void xt_key_memory_begin(void)
{
    in_key_memory++;
}

void xt_key_memory_end(void)
{
    xt_require(in_key_memory > 0);
    in_key_memory--;
}

void xt_process_hide_memory(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* The names that BoringSSL looks for (crypto/mem.c there); no header of its has them. They must not call
 * back into it. */
void *OPENSSL_memory_alloc(size_t size);
void OPENSSL_memory_free(void *memory);
size_t OPENSSL_memory_get_size(void *memory);

void *OPENSSL_memory_alloc(size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    /* sodium_malloc puts the end at a guard page, so only a rounded size starts aligned. */
    size_t whole = sizeof(struct header) + ((size + 15) & ~(size_t)15);
    size_t locked = in_key_memory > 0 ? 1 : 0;
    struct header *header = locked ? sodium_malloc(whole) : malloc(whole);
    if (header == NULL) {
        return NULL;
    }
    header->size = size;
    header->locked = locked;
    return header + 1;
}

void OPENSSL_memory_free(void *memory)
{
    struct header *header = (struct header *)memory - 1;
    if (header->locked) {
        sodium_free(header); /* wipes */
    } else {
        explicit_bzero(header, sizeof(*header) + header->size);
        free(header);
    }
}

size_t OPENSSL_memory_get_size(void *memory)
{
    return ((const struct header *)memory - 1)->size;
}
