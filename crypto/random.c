/* Random bytes, locked memory, wiping, comparing: the parts of crypto/keyring.h that need no keyring. */
#include <openssl/crypto.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>

#include "crypto/keyring.h"

#define PAGE_BYTES 4096

/* Random bytes drawn ahead: asking BoringSSL for 16 bytes costs hundreds of nanoseconds, copying
 * them from here a few. The page is in no core dump, and the kernel empties it in a child of fork(),
 * so that parent and child never hand out the same bytes; `left` being in it, the child refills. */
struct random_page {
    size_t left; /* unused bytes, at the end of `bytes`; used ones are zero */
    uint8_t bytes[PAGE_BYTES - sizeof(size_t)];
};
_Static_assert(sizeof(struct random_page) == PAGE_BYTES, "one page");

static _Thread_local struct random_page *page;

static void forget_after_fork(void)
{
    if (page != NULL) {
        xt_wipe(page, sizeof(*page));
    }
}

static struct random_page *page_make(void)
{
    void *memory =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    xt_require(memory != MAP_FAILED);
    if (madvise(memory, PAGE_BYTES, MADV_WIPEONFORK) != 0) { /* a kernel before 4.14 */
        xt_require(pthread_atfork(NULL, NULL, forget_after_fork) == 0);
    }
    /* Excludes it from core dumps and keeps it from swap; containers may forbid the second. */
    (void)sodium_mlock(memory, PAGE_BYTES);
    return memory;
}

void xt_crypto_start(void)
{
    xt_require(sodium_init() >= 0);
    CRYPTO_library_init();
    uint8_t probe;
    xt_random(&probe, sizeof(probe)); /* no entropy: better here than at the first connection */
}

void xt_random(void *data, size_t size)
{
    if (page == NULL) {
        page = page_make();
    }
    if (size > sizeof(page->bytes) / 8) {
        xt_require(RAND_bytes(data, size) == 1);
        return;
    }
    if (page->left < size) {
        xt_require(RAND_bytes(page->bytes, sizeof(page->bytes)) == 1);
        page->left = sizeof(page->bytes);
    }
    uint8_t *bytes = page->bytes + sizeof(page->bytes) - page->left;
    if (size > 0) {
        memcpy(data, bytes, size);
        xt_wipe(bytes, size);
        page->left -= size;
    }
}

void *xt_secret_alloc(size_t size)
{
    /* Its end lies at a guard page, so only a rounded size starts aligned. */
    return sodium_malloc((size + 63) & ~(size_t)63);
}

void xt_secret_free(void *secret)
{
    sodium_free(secret); /* wipes */
}

void xt_wipe(void *data, size_t size)
{
    if (size > 0) {
        OPENSSL_cleanse(data, size);
    }
}

void xt_wipe_registers(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile("vzeroall" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                               "xmm15");
    } else {
        __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2;"
                         "pxor %%xmm3, %%xmm3; pxor %%xmm4, %%xmm4; pxor %%xmm5, %%xmm5;"
                         "pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7; pxor %%xmm8, %%xmm8;" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                               "xmm8");
    }
    /* vzeroall knows the first sixteen only; the C library copies through the others where there are any,
     * and the compiler, which is not told of them, uses none. */
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile("vpxorq %zmm16, %zmm16, %zmm16; vpxorq %zmm17, %zmm17, %zmm17;"
                         "vpxorq %zmm18, %zmm18, %zmm18; vpxorq %zmm19, %zmm19, %zmm19;"
                         "vpxorq %zmm20, %zmm20, %zmm20; vpxorq %zmm21, %zmm21, %zmm21;"
                         "vpxorq %zmm22, %zmm22, %zmm22; vpxorq %zmm23, %zmm23, %zmm23;"
                         "vpxorq %zmm24, %zmm24, %zmm24; vpxorq %zmm25, %zmm25, %zmm25;"
                         "vpxorq %zmm26, %zmm26, %zmm26; vpxorq %zmm27, %zmm27, %zmm27;"
                         "vpxorq %zmm28, %zmm28, %zmm28; vpxorq %zmm29, %zmm29, %zmm29;"
                         "vpxorq %zmm30, %zmm30, %zmm30; vpxorq %zmm31, %zmm31, %zmm31;");
    }
#endif
}

bool xt_secret_equal(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}
