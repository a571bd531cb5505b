/* store/table_page: the layout of one page (drawn in table.h), for its reader and its writer. */
#ifndef XT_STORE_TABLE_PAGE_H
#define XT_STORE_TABLE_PAGE_H

#include "crypto/seal.h"
#include "store/table.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the sealed format is little endian");

#define XT_PAGE_HEADER 16 /* count, page number, first ordinal */
#define XT_PAGE_SLOT 8    /* tag and offset of one record */
#define XT_PAGE_END 4     /* where the last record ends */
#define XT_PAGE_COUNT_MAX (1U << 30)
#define XT_ASSOCIATED_BYTES 16

#define XT_FLAG_LAST (1U << 31)        /* no record after it in its page */
#define XT_FLAG_SAME_BEFORE (1U << 30) /* the record before it has the same tag */

static inline uint32_t xt_page_load32(const uint8_t *place)
{
    uint32_t value;
    memcpy(&value, place, sizeof(value));
    return value;
}

static inline uint64_t xt_page_load64(const uint8_t *place)
{
    uint64_t value;
    memcpy(&value, place, sizeof(value));
    return value;
}

static inline void xt_page_store32(uint8_t *place, uint32_t value)
{
    memcpy(place, &value, sizeof(value));
}

static inline void xt_page_store64(uint8_t *place, uint64_t value)
{
    memcpy(place, &value, sizeof(value));
}

static inline struct xt_table_place xt_page_place(struct xt_hash hash, uint32_t pages)
{
    unsigned __int128 product = (unsigned __int128)hash.high * pages;
    return (struct xt_table_place){.page = (uint32_t)(product >> 64),
                                   .tag = (uint32_t)((uint64_t)product >> 32)};
}

static inline void xt_page_associate(uint8_t associated[XT_ASSOCIATED_BYTES], uint32_t page,
                                     uint32_t tag, uint32_t next_tag, uint32_t flags_and_index)
{
    xt_page_store32(associated, page);
    xt_page_store32(associated + 4, tag);
    xt_page_store32(associated + 8, next_tag);
    xt_page_store32(associated + 12, flags_and_index);
}

#endif
