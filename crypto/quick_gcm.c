#include "crypto/quick_gcm.h"

#ifdef XT_HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <sodium.h>

#include "crypto/keyring.h"

_Static_assert(XT_SEAL_OVERHEAD == 2 * sizeof(uint64_t), "a tag is two words");

struct xt_quick_gcm {
    struct gcm_key_data key;
};

/* The library's table of functions for this processor, made once; NULL: BoringSSL is to do it. */
static IMB_MGR *manager;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
    IMB_ARCH architecture = IMB_ARCH_NONE;
    IMB_MGR *made = alloc_mb_mgr(0);
    if (made == NULL) {
        return;
    }
    init_mb_mgr_auto(made, &architecture);
    /* Without the instructions it would look up tables by secrets. */
    bool usable = imb_get_errno(made) == 0 && architecture >= IMB_ARCH_SSE &&
                  (made->features & IMB_FEATURE_AESNI) != 0 &&
                  (made->features & IMB_FEATURE_PCLMULQDQ) != 0;
    if (usable) {
        manager = made;
    } else {
        free_mb_mgr(made);
    }
}

struct xt_quick_gcm *xt_quick_gcm_open(const uint8_t key[32])
{
    if (pthread_once(&once, start) != 0 || manager == NULL) {
        return NULL;
    }
    /* sodium_malloc puts the end at a guard page, so only a rounded size starts aligned. */
    struct xt_quick_gcm *gcm = sodium_malloc((sizeof(*gcm) + 63) & ~(size_t)63);
    if (gcm != NULL) {
        IMB_AES256_GCM_PRE(manager, key, &gcm->key);
    }
    return gcm;
}

void xt_quick_gcm_close(struct xt_quick_gcm *gcm)
{
    sodium_free(gcm); /* wipes; NULL is fine */
}

void xt_quick_gcm_seal(const struct xt_quick_gcm *gcm, const uint8_t nonce[XT_QUICK_GCM_NONCE],
                       struct xt_span associated, struct xt_span plain, uint8_t *sealed)
{
    struct gcm_context_data context;
    IMB_AES256_GCM_ENC(manager, &gcm->key, &context, sealed, plain.data, plain.size, nonce,
                       associated.data, associated.size, sealed + plain.size, XT_SEAL_OVERHEAD);
}

bool xt_quick_gcm_open_message(const struct xt_quick_gcm *gcm,
                               const uint8_t nonce[XT_QUICK_GCM_NONCE], struct xt_span associated,
                               struct xt_span sealed, uint8_t *plain)
{
    struct gcm_context_data context;
    uint8_t tag[XT_SEAL_OVERHEAD];
    size_t size = sealed.size - XT_SEAL_OVERHEAD;
    IMB_AES256_GCM_DEC(manager, &gcm->key, &context, plain, sealed.data, size, nonce,
                       associated.data, associated.size, tag, sizeof(tag));
    /* As two words: time depends on nothing in them, and is that of a few instructions. */
    uint64_t made[2], given[2];
    memcpy(made, tag, sizeof(made));
    memcpy(given, sealed.data + size, sizeof(given));
    return ((made[0] ^ given[0]) | (made[1] ^ given[1])) == 0;
}

#else

struct xt_quick_gcm *xt_quick_gcm_open(const uint8_t key[32])
{
    (void)key;
    return NULL;
}

void xt_quick_gcm_close(struct xt_quick_gcm *gcm)
{
    (void)gcm;
}

void xt_quick_gcm_seal(const struct xt_quick_gcm *gcm, const uint8_t nonce[XT_QUICK_GCM_NONCE],
                       struct xt_span associated, struct xt_span plain, uint8_t *sealed)
{
    (void)gcm, (void)nonce, (void)associated, (void)plain, (void)sealed;
    xt_require(!"there is none");
}

bool xt_quick_gcm_open_message(const struct xt_quick_gcm *gcm,
                               const uint8_t nonce[XT_QUICK_GCM_NONCE], struct xt_span associated,
                               struct xt_span sealed, uint8_t *plain)
{
    (void)gcm, (void)nonce, (void)associated, (void)sealed, (void)plain;
    return false;
}

#endif
