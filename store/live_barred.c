/* Consents that a person has revoked before they were used: their ids, for good. In parts, so that each is a record of a
 * usual size; a new id goes into the last one, or a new one behind it. */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define PART_IDS 255U
#define PART_BYTES (PART_IDS * XT_ACCOUNT_ID)
#define PARTS_FULL (XT_LIVE_REVOKED_MAX / PART_IDS)
#define PARTS_MOST 256U /* of numbers that became one */
#define KEY_BYTES 6

_Static_assert(PART_BYTES <= XT_LIVE_RECORD_MAX, "a part is a record");
_Static_assert(PARTS_FULL *PART_IDS == XT_LIVE_REVOKED_MAX, "whole parts");

static struct xt_span part_key(uint64_t number, unsigned part, uint8_t key[KEY_BYTES])
{
    struct xt_writer writer = xt_writer_over(key, KEY_BYTES);
    xt_put(&writer, number, 5);
    xt_put(&writer, part, 1);
    return xt_written(&writer);
}

struct part {
    unsigned number; /* .. of the last one, or of the one behind it when that is full */
    size_t size;
    uint8_t ids[XT_LIVE_RECORD_MAX];
    bool known; /* the id that was looked for is in one of them */
};

static enum xt_status read_part(const struct xt_live *live, uint64_t number, struct part *part)
{
    uint8_t key[KEY_BYTES];
    enum xt_status status = xt_live_get(
        live, XT_LIVE_BARRED_OF, part_key(number, part->number, key), part->ids, &part->size, NULL);
    return status == XT_OK && (part->size % XT_ACCOUNT_ID != 0 || part->size > PART_BYTES)
               ? XT_CORRUPT
               : status;
}

static bool holds(const struct part *part, const uint8_t id[XT_ACCOUNT_ID])
{
    for (size_t at = 0; at < part->size; at += XT_ACCOUNT_ID) {
        if (memcmp(part->ids + at, id, XT_ACCOUNT_ID) == 0) {
            return true;
        }
    }
    return false;
}

/* Looks through all of them, and stops where the next id goes. */
static enum xt_status look_through(const struct xt_live *live, uint64_t number,
                                   const uint8_t id[XT_ACCOUNT_ID], struct part *part)
{
    enum xt_status status = XT_OK;
    part->known = false;
    for (part->number = 0; part->number < PARTS_MOST; part->number++) {
        status = read_part(live, number, part);
        if (status != XT_OK) {
            break;
        }
        part->known = part->known || holds(part, id);
    }
    if (status != XT_NOT_FOUND) {
        return status;
    }
    if (part->number > 0) {
        part->number--;
        status = read_part(live, number, part);
        if (status != XT_OK || part->size < PART_BYTES) {
            return status;
        }
        part->number++;
    }
    part->size = 0;
    return XT_OK;
}

enum xt_status xt_live_consent_is_barred(const struct xt_live *live, uint64_t number,
                                         const uint8_t id[XT_ACCOUNT_ID], bool *barred)
{
    struct part part;
    enum xt_status status = look_through(live, number, id, &part);
    *barred = status == XT_OK && part.known;
    return status;
}

int xt_live_bar_consent(struct xt_live *live, uint64_t number, const uint8_t id[XT_ACCOUNT_ID],
                        enum xt_status *barred)
{
    struct part part;
    uint8_t key[KEY_BYTES];
    *barred = look_through(live, number, id, &part);
    if (*barred == XT_OK && !part.known && part.number >= PARTS_FULL) {
        *barred = XT_TOO_LARGE;
    }
    if (*barred != XT_OK || part.known) {
        return 0;
    }
    memcpy(part.ids + part.size, id, XT_ACCOUNT_ID);
    return xt_live_put(live, XT_LIVE_BARRED_OF, part_key(number, part.number, key),
                       xt_span_of(part.ids, part.size + XT_ACCOUNT_ID));
}

int xt_live_move_barred(struct xt_live *live, uint64_t from, uint64_t to)
{
    struct part part;
    uint8_t key[KEY_BYTES];
    for (part.number = 0; part.number < PARTS_MOST; part.number++) {
        if (read_part(live, to, &part) == XT_NOT_FOUND) {
            break;
        }
    }
    unsigned behind = part.number;
    int code = 0;
    for (part.number = 0; code == 0 && part.number < PARTS_MOST; part.number++) {
        enum xt_status status = read_part(live, from, &part);
        if (status == XT_NOT_FOUND || behind == PARTS_MOST) {
            break;
        }
        if (status != XT_OK) {
            continue;
        }
        code = xt_live_put(live, XT_LIVE_BARRED_OF, part_key(to, behind++, key),
                           xt_span_of(part.ids, part.size));
        code = code == 0 ? xt_live_delete(live, XT_LIVE_BARRED_OF, part_key(from, part.number, key))
                         : code;
    }
    return code;
}
