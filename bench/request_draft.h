/* bench/request_draft: one verify request while it is being made up. Private to bench/requests. */
#ifndef XT_BENCH_REQUEST_DRAFT_H
#define XT_BENCH_REQUEST_DRAFT_H

#include "bench/requests.h"
#include "bench/spelling.h"

struct xt_draft_value {
    uint16_t size;
    char text[XT_SPELLING_TEXT_MAX];
};

struct xt_draft {
    struct xt_stream stream;
    struct xt_resident person;
    struct xt_resident_more more; /* only where the plan is full */
    bool full;
    bool as_qr;
    const char *form;
    uint32_t asked, matched;
    uint8_t id_size;
    char id[XT_NUMBER_DIGITS];
    uint32_t written; /* claims whose value stands below; the others are as registered */
    struct xt_draft_value values[XT_CLAIM_COUNT];
};

void xt_draft_init(struct xt_draft *draft, struct xt_stream stream);

/* The id becomes the person's number; nothing is asked yet. */
void xt_draft_set_person(struct xt_draft *draft, const struct xt_request_plan *plan,
                         uint64_t index);
void xt_draft_set_number(struct xt_draft *draft, uint64_t number);
void xt_draft_set_cmnd(struct xt_draft *draft, uint32_t cmnd);

/* What the register holds for this person and is in force, as an XT_CLAIM_BIT set. */
uint32_t xt_draft_held(const struct xt_draft *draft);

/* Asks for some of `possible`, at least one unless it is empty. */
void xt_draft_choose_claims(struct xt_draft *draft, uint32_t possible);

enum xt_variant {
    XT_VARIANT_UPPER,
    XT_VARIANT_LOWER,
    XT_VARIANT_NFD,
    XT_VARIANT_COMBINING,
    XT_VARIANT_FULL_WIDTH,
    XT_VARIANT_TONE_MOVED,
    XT_VARIANT_I_Y,
    XT_VARIANT_SPACES,
    XT_VARIANT_PHONE_0,
    XT_VARIANT_PHONE_84,
    XT_VARIANT_QR,
    XT_VARIANT_CMND,
    XT_VARIANT_REPLACED,
    XT_VARIANT_COUNT
};
/* The same said in another legal form; false where it does not fit the person or the claims that
 * may be asked. */
bool xt_draft_vary(struct xt_draft *draft, uint32_t allowed, enum xt_variant variant);

/* Gives a claim a value that is surely not the person's. */
void xt_draft_falsify(struct xt_draft *draft, const struct xt_request_plan *plan,
                      enum xt_claim claim);
/* Asks for the name and gives it with a mistake; sets the form. */
void xt_draft_misspell(struct xt_draft *draft);

void xt_draft_write(const struct xt_draft *draft, const char *purpose, uint64_t seed,
                    uint64_t index, struct xt_writer *writer);

#endif
