/* Since when a person has his devices: of those that events added, for as long as something may be about that was signed
 * before. One that goes leaves this, and begins anew when it comes back. */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define ENTRY_BYTES (XT_ACCOUNT_DIGEST + 8)

struct since {
    uint8_t digest[XT_ACCOUNT_DIGEST];
    uint64_t ms;
};
struct devices {
    bool there;
    unsigned count;
    struct since of[XT_PERSON_DEVICES_MAX];
};

static struct xt_span number_key(uint64_t number, uint8_t key[5])
{
    struct xt_writer writer = xt_writer_over(key, 5);
    xt_put(&writer, number, 5);
    return xt_written(&writer);
}

static enum xt_status take_devices(struct xt_span fields, struct devices *devices)
{
    struct xt_taker taker = xt_taker_over(fields);
    if (fields.size % ENTRY_BYTES != 0 || fields.size / ENTRY_BYTES > XT_PERSON_DEVICES_MAX) {
        return XT_CORRUPT;
    }
    devices->count = (unsigned)(fields.size / ENTRY_BYTES);
    for (unsigned i = 0; i < devices->count; i++) {
        xt_take_copy(&taker, devices->of[i].digest, XT_ACCOUNT_DIGEST);
        devices->of[i].ms = xt_take(&taker, 8);
    }
    return XT_OK;
}

/* Nothing: XT_OK, and none. */
static enum xt_status read_devices(const struct xt_live *live, uint64_t number,
                                   struct devices *devices)
{
    uint8_t key[5];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size = 0;
    devices->count = 0;
    enum xt_status status =
        xt_live_get(live, XT_LIVE_DEVICES_OF, number_key(number, key), fields, &size, NULL);
    devices->there = status == XT_OK;
    return status == XT_OK          ? take_devices(xt_span_of(fields, size), devices)
           : status == XT_NOT_FOUND ? XT_OK
                                    : status;
}

static uint64_t latest(const struct devices *devices)
{
    uint64_t ms = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        ms = devices->of[i].ms > ms ? devices->of[i].ms : ms;
    }
    return ms;
}

/* One that was there before has its line in `due` already, which leads to a later one if need be: whoever adds and
 * removes devices without end makes no more of them. */
static int put_devices(struct xt_live *live, uint64_t number, const struct devices *devices)
{
    uint8_t key[5];
    uint8_t fields[XT_PERSON_DEVICES_MAX * ENTRY_BYTES];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    struct xt_span name = number_key(number, key);
    for (unsigned i = 0; i < devices->count; i++) {
        xt_write(&writer, devices->of[i].digest, XT_ACCOUNT_DIGEST);
        xt_put(&writer, devices->of[i].ms, 8);
    }
    xt_require(!writer.overflow);
    return devices->there ? xt_live_put(live, XT_LIVE_DEVICES_OF, name, xt_written(&writer))
                          : xt_live_put_until(live, XT_LIVE_DEVICES_OF, name, xt_written(&writer),
                                              latest(devices) + XT_LIVE_DEVICE_MS);
}

/* 0: it is in none of them. */
static uint64_t since_of(const struct devices *devices, const uint8_t digest[XT_ACCOUNT_DIGEST])
{
    uint64_t ms = 0;
    for (unsigned i = 0; i < devices->count; i++) {
        if (memcmp(devices->of[i].digest, digest, XT_ACCOUNT_DIGEST) == 0 &&
            devices->of[i].ms > ms) {
            ms = devices->of[i].ms;
        }
    }
    return ms;
}

enum xt_status xt_live_device_since(const struct xt_live *live, uint64_t number, struct xt_span key,
                                    uint64_t *since_ms)
{
    struct devices devices;
    uint8_t digest[XT_ACCOUNT_DIGEST];
    enum xt_status status = read_devices(live, number, &devices);
    xt_live_factor_digest(live, XT_FACTOR_DEVICE_KEY, key, digest);
    *since_ms = status == XT_OK ? since_of(&devices, digest) : UINT64_MAX;
    return status;
}

/* Where it cannot be read how it was, all begin now. */
int xt_live_note_devices(struct xt_live *live, const struct xt_person *person, struct xt_span added)
{
    struct devices before;
    bool lost = read_devices(live, person->number, &before) != XT_OK;
    struct devices after = {.there = before.there};
    for (unsigned i = 0; i < person->device_count; i++) {
        struct xt_span key = person->devices[i].public_key_der;
        struct since *since = &after.of[after.count];
        xt_live_factor_digest(live, XT_FACTOR_DEVICE_KEY, key, since->digest);
        since->ms =
            lost || xt_span_equal(key, added) ? live->time_ms : since_of(&before, since->digest);
        after.count += since->ms != 0;
    }
    return after.there || after.count > 0 ? put_devices(live, person->number, &after) : 0;
}

int xt_live_move_devices(struct xt_live *live, uint64_t from, uint64_t to)
{
    struct devices moved;
    struct devices there;
    uint8_t key[5];
    if (read_devices(live, from, &moved) != XT_OK || !moved.there) {
        return 0;
    }
    if (read_devices(live, to, &there) != XT_OK) {
        there.count = 0;
    }
    for (unsigned i = 0; i < there.count && moved.count < XT_PERSON_DEVICES_MAX; i++) {
        moved.of[moved.count++] = there.of[i];
    }
    moved.there = false; /* its line in `due` is of the old number */
    int code = put_devices(live, to, &moved);
    return code == 0 ? xt_live_delete(live, XT_LIVE_DEVICES_OF, number_key(from, key)) : code;
}

enum xt_status xt_live_devices_until(struct xt_span fields, uint64_t *until_ms)
{
    struct devices devices;
    enum xt_status status = take_devices(fields, &devices);
    *until_ms = status == XT_OK ? latest(&devices) + XT_LIVE_DEVICE_MS : 0;
    return status;
}
