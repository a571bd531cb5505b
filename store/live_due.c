/* What is over leaves the live store: a table of keys in order of time, swept in steps. */
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define MINUTE_MS 60000ULL

/* The first whole minute in which it is certainly over, and later than a clock may go back. */
static uint32_t minute_of(uint64_t at_ms)
{
    uint64_t minute = (at_ms + XT_LIVE_DUE_LATE_MS) / MINUTE_MS + 1;
    return minute < UINT32_MAX ? (uint32_t)minute : UINT32_MAX;
}

static int put_line(struct xt_live *live, const uint8_t hash[XT_LIVE_HASH], uint64_t at_ms)
{
    uint8_t bytes[XT_LIVE_DUE_KEY];
    uint32_t minute = minute_of(at_ms);
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val nothing = {.mv_size = 0, .mv_data = bytes};
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(minute >> (24 - 8 * i));
    }
    memcpy(bytes + 4, hash, XT_LIVE_HASH);
    return mdb_put(live->txn, live->tables[XT_LIVE_DUE], &key, &nothing, 0);
}

int xt_live_put_due(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                    uint64_t at_ms)
{
    uint8_t hash[XT_LIVE_HASH];
    xt_live_state_key(live, kind, key, hash);
    return put_line(live, hash, at_ms);
}

int xt_live_put_until(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                      struct xt_span fields, uint64_t at_ms)
{
    int code = xt_live_put(live, kind, key, fields);
    return code == 0 ? xt_live_put_due(live, kind, key, at_ms) : code;
}

int xt_live_put_expiry(struct xt_live *live, enum xt_live_kind kind, struct xt_span key,
                       uint64_t expires_ms)
{
    uint8_t there[XT_LIVE_RECORD_MAX];
    uint8_t fields[8];
    size_t size;
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    if (xt_live_get(live, kind, key, there, &size, NULL) == XT_OK && size == sizeof(fields)) {
        struct xt_taker taker = xt_taker_over(xt_span_of(there, size));
        if (xt_take(&taker, 8) >= expires_ms) {
            return 0;
        }
    }
    xt_put(&writer, expires_ms, 8);
    return xt_live_put_until(live, kind, key, xt_written(&writer), expires_ms);
}

/* ---- one record -------------------------------------------------------------------------------- */

/* A record that is due, and until when it is good: 0 is for good. Whatever does not open stays where it is: the
 * check of the store finds it, and sweeping goes on. */
struct due {
    uint64_t until_ms;
    enum xt_live_kind list; /* .. it stands in a list of this kind, or in none (0) */
    struct xt_id subject;
    uint8_t id[XT_ACCOUNT_ID];
    bool barred; /* a consent that was revoked unused: that stays */
};

static enum xt_status read_throttle(struct xt_span fields, struct due *due)
{
    struct xt_taker taker = xt_taker_over(fields);
    (void)xt_take(&taker, 4);
    uint64_t last_ms = xt_take(&taker, 8);
    (void)xt_take_bytes(&taker, 12); /* of passcodes: of one of those */
    bool nobody = xt_take(&taker, 1) != 0;
    due->until_ms = nobody ? last_ms + XT_LIVE_NOBODY_MS : 0;
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

static enum xt_status read_expiry(struct xt_span fields, struct due *due)
{
    struct xt_taker taker = xt_taker_over(fields);
    due->until_ms = xt_take(&taker, 8);
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

static enum xt_status read_consent(struct xt_span fields, struct due *due)
{
    struct xt_consent consent;
    enum xt_status status = xt_live_consent_open(fields, &consent);
    if (status == XT_OK) {
        due->until_ms = consent.expires_ms;
        due->list = XT_LIVE_CONSENTS_OF;
        due->subject = (struct xt_id){.kind = XT_ID_PERSONAL, .value = consent.number};
        memcpy(due->id, consent.id, sizeof(due->id));
        due->barred = consent.attributes == 0;
    }
    return status;
}

static enum xt_status read_request(struct xt_span fields, struct due *due)
{
    struct xt_backchannel request;
    enum xt_status status = xt_live_backchannel_open(fields, &request);
    if (status == XT_OK) {
        due->until_ms = request.expires_ms;
        due->list = XT_LIVE_BACKCHANNELS_OF;
        due->subject = request.subject;
        memcpy(due->id, request.id, sizeof(due->id));
    }
    return status;
}

static enum xt_status read_due(const struct xt_live_record *record, struct due *due)
{
    *due = (struct due){.until_ms = 0};
    switch (record->kind) {
    case XT_LIVE_THROTTLE:
        return read_throttle(record->fields, due);
    case XT_LIVE_NONCE:
    case XT_LIVE_REVOKED_TOKEN:
    case XT_LIVE_SIGNED:
        return read_expiry(record->fields, due);
    case XT_LIVE_CONSENT:
        return read_consent(record->fields, due);
    case XT_LIVE_BACKCHANNEL:
        return read_request(record->fields, due);
    case XT_LIVE_DEVICES_OF:
        return xt_live_devices_until(record->fields, &due->until_ms);
    default:
        return XT_CORRUPT;
    }
}

/* Of a consent that was revoked unused an older program has left no more than its record: where nothing else can be
 * kept, that stays. */
static int delete_record(struct xt_live *live, MDB_val name, const struct due *due)
{
    enum xt_status barred = XT_OK;
    int code = due->barred ? xt_live_bar_consent(live, due->subject.value, due->id, &barred) : 0;
    if (code == 0 && barred == XT_OK) {
        code = mdb_del(live->txn, live->tables[XT_LIVE_STATE], &name, NULL);
    }
    return code == 0 && due->list != 0 ? xt_live_ids_drop(live, due->list, due->subject, due->id)
                                       : code;
}

/* Whether the record of a line is over; else it gets a line for later, or, for good, none. */
static int sweep_record(struct xt_live *live, uint8_t hash[XT_LIVE_HASH], uint64_t now_ms)
{
    MDB_val name = {.mv_size = XT_LIVE_HASH, .mv_data = hash};
    MDB_val value;
    struct xt_live_record record;
    struct due due;
    int code = mdb_get(live->txn, live->tables[XT_LIVE_STATE], &name, &value);
    if (code != 0) {
        return code == MDB_NOTFOUND ? 0 : code; /* it went before */
    }
    enum xt_status status = xt_live_record_open(live, XT_LIVE_STATE, xt_span_of(hash, XT_LIVE_HASH),
                                                xt_span_of(value.mv_data, value.mv_size),
                                                live->record, XT_LIVE_ENTRY_MAX, &record);
    if (status == XT_OK) {
        status = read_due(&record, &due);
    }
    if (status != XT_OK || due.until_ms == 0) {
        return 0;
    }
    return minute_of(due.until_ms) <= now_ms / MINUTE_MS ? delete_record(live, name, &due)
                                                         : put_line(live, hash, due.until_ms);
}

/* ---- steps ------------------------------------------------------------------------------------- */

static uint64_t minute_in(MDB_val key)
{
    const uint8_t *bytes = key.mv_data;
    uint64_t minute = 0;
    for (unsigned i = 0; i < 4; i++) {
        minute = minute << 8 | bytes[i];
    }
    return minute;
}

/* The first line; *due: it is. Codes of LMDB's; MDB_NOTFOUND: there is none. */
static int look_at_first(MDB_cursor *cursor, uint64_t now_ms, uint8_t hash[XT_LIVE_HASH], bool *due)
{
    MDB_val key;
    MDB_val value;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (code == 0 && key.mv_size != XT_LIVE_DUE_KEY) {
        code = MDB_CORRUPTED;
    }
    *due = code == 0 && minute_in(key) <= now_ms / MINUTE_MS;
    if (*due) {
        memcpy(hash, (const uint8_t *)key.mv_data + 4, XT_LIVE_HASH);
    }
    return code;
}

static int sweep_some(struct xt_live *live, uint64_t now_ms, unsigned *swept, bool *done)
{
    MDB_cursor *cursor = NULL;
    int code = mdb_cursor_open(live->txn, live->tables[XT_LIVE_DUE], &cursor);
    if (code != 0) {
        return code;
    }
    for (*swept = 0, *done = false; code == 0 && *swept < XT_LIVE_SWEEP_MOST; ++*swept) {
        uint8_t hash[XT_LIVE_HASH];
        bool due;
        code = look_at_first(cursor, now_ms, hash, &due);
        if (code != 0 || !due) {
            *done = true;
            break;
        }
        code = mdb_cursor_del(cursor, 0);
        code = code == 0 ? sweep_record(live, hash, now_ms) : code;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* In a transaction of its own; nothing is open after it. Codes of LMDB's. */
static int try_sweep(struct xt_live *live, uint64_t now_ms, bool *done)
{
    unsigned swept = 0;
    int code = xt_live_begin_write(live);
    if (code != 0) {
        return code;
    }
    live->active = true;
    code = sweep_some(live, now_ms, &swept, done);
    if (code == 0) {
        unsigned forgotten = 0;
        code = xt_live_nonces_forget(live, XT_LIVE_SWEEP_MOST, &forgotten);
        *done = *done && forgotten < XT_LIVE_SWEEP_MOST;
        swept += forgotten;
    }
    if (code == 0 && swept == 0) {
        mdb_txn_abort(live->txn); /* nothing changed: nothing to wait for */
        live->txn = NULL;
        live->active = false;
        return 0;
    }
    return xt_live_end_write(live, code);
}

/* By a clock that goes on by XT_LIVE_GAP_MS in a step at most: what is used or revoked is not forgotten at once when a
 * clock leaps ahead. It begins where the last event was. */
static uint64_t sweeping_time(struct xt_live *live, uint64_t now_ms)
{
    if (live->swept_ms == 0) {
        live->swept_ms = live->time_ms;
    }
    uint64_t gap = now_ms > live->swept_ms ? now_ms - live->swept_ms : 0;
    live->swept_ms = gap > XT_LIVE_GAP_MS ? live->swept_ms + XT_LIVE_GAP_MS : now_ms;
    return live->swept_ms;
}

enum xt_status xt_live_sweep(struct xt_live *live, uint64_t now_ms, bool *done,
                             struct xt_failure *failure)
{
    xt_require(live->writes && live->txn == NULL);
    *done = true;
    now_ms = sweeping_time(live, now_ms);
    int code = xt_live_grow(live, false);
    for (unsigned tries = 0; code == 0 && tries < 2; tries++) {
        code = try_sweep(live, now_ms, done);
        if (code != MDB_MAP_FULL) {
            break;
        }
        code = tries == 0 ? xt_live_grow(live, true) : code;
    }
    if (code == 0) {
        return XT_OK;
    }
    return xt_live_lacks_room(live, code)
               ? xt_fail(failure, XT_DISK_FULL,
                         "cannot sweep the live store: the disk is full; make room")
               : xt_live_broken(failure, "sweep the live store", code);
}
