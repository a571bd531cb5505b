/* Small records of accounts: throttles, nonces, lists of ids, facts of locks. */
#include <errno.h>
#include <lmdb.h>

#include "core/little_endian.h"
#include "store/live_account_internal.h"

#define DEVICE 1 /* the number of its bit in enum xt_factor */

void xt_live_subject_key(struct xt_id subject, uint8_t key[XT_SUBJECT_KEY])
{
    struct xt_writer writer = xt_writer_over(key, XT_SUBJECT_KEY);
    xt_put(&writer, (uint64_t)subject.kind, 1);
    xt_put(&writer, subject.value, 5);
}

void xt_live_factor_digest(const struct xt_live *live, enum xt_factor factor, struct xt_span what,
                           uint8_t digest[XT_ACCOUNT_DIGEST])
{
    unsigned bit = factor == XT_FACTOR_PASSCODE ? 0 : factor == XT_FACTOR_DEVICE_KEY ? 1 : 2;
    _Static_assert(XT_ACCOUNT_DIGEST == XT_LIVE_HASH, "it is a keyed hash");
    xt_live_hash(live->sealer, (uint8_t)(XT_LIVE_FACTOR + bit), what, digest);
}

static void device_digest(const struct xt_live *live, struct xt_span key,
                          enum xt_unlock unlocked_by, uint8_t digest[XT_ACCOUNT_DIGEST])
{
    unsigned kind =
        unlocked_by == XT_UNLOCK_NONE ? XT_LIVE_FACTOR + DEVICE : XT_LIVE_DEVICE + unlocked_by;
    xt_live_hash(live->sealer, (uint8_t)kind, key, digest);
}

void xt_live_proof_device(const struct xt_live *live, struct xt_span key,
                          enum xt_unlock unlocked_by, struct xt_account_proof *proof)
{
    device_digest(live, key, unlocked_by, proof->digests[DEVICE]);
    proof->unlocked_by = unlocked_by;
}

/* ---- throttles --------------------------------------------------------------------------------- */

static void take_count(struct xt_taker *taker, struct xt_throttle *count)
{
    count->failures = (uint32_t)xt_take(taker, 4);
    count->last_ms = xt_take(taker, 8);
}

static void write_count(struct xt_writer *writer, const struct xt_throttle *count)
{
    xt_put(writer, count->failures, 4);
    xt_put(writer, count->last_ms, 8);
}

uint64_t xt_live_throttle_wait(const struct xt_live_throttle_record *record, uint64_t now_ms)
{
    uint64_t all = xt_throttle_wait_ms(&record->throttle, now_ms);
    uint64_t passcode = xt_throttle_wait_ms(&record->passcode, now_ms);
    return all > passcode ? all : passcode;
}

/* No kind of a subject has this number. */
#define NOBODY 0xff

static void throttle_key(const struct xt_live *live, struct xt_id subject, bool nobody,
                         uint8_t key[XT_SUBJECT_KEY])
{
    uint8_t hash[XT_LIVE_HASH];
    xt_live_subject_key(subject, key);
    if (!nobody) {
        return;
    }
    xt_live_state_key(live, XT_LIVE_THROTTLE, xt_span_of(key, XT_SUBJECT_KEY), hash);
    struct xt_writer writer = xt_writer_over(key, XT_SUBJECT_KEY);
    struct xt_taker taker = xt_taker_over(xt_span_of(hash, sizeof(hash)));
    xt_put(&writer, NOBODY, 1);
    xt_put(&writer, xt_take(&taker, 4) & ((1U << XT_LIVE_NOBODY_BITS) - 1), 5);
}

enum xt_status xt_live_throttle_get(const struct xt_live *live, struct xt_id subject, bool nobody,
                                    struct xt_live_throttle_record *record)
{
    uint8_t key[XT_SUBJECT_KEY];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size;
    *record = (struct xt_live_throttle_record){.nobody = nobody};
    throttle_key(live, subject, nobody, key);
    enum xt_status status =
        xt_live_get(live, XT_LIVE_THROTTLE, xt_span_of(key, sizeof(key)), fields, &size, NULL);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(fields, size));
    take_count(&taker, &record->throttle);
    take_count(&taker, &record->passcode);
    (void)xt_take(&taker, 1);
    record->there = true;
    return xt_taken_all(&taker) ? XT_OK : XT_CORRUPT;
}

/* Of somebody it stays until it is reset. Of nobody it goes after a day. Either has a line in `due`, soon, so that they
 * are the same work: the sweep leaves the one without it and gives the other one for later. */
int xt_live_throttle_put(struct xt_live *live, struct xt_id subject,
                         const struct xt_live_throttle_record *record)
{
    uint8_t key[XT_SUBJECT_KEY];
    uint8_t fields[25];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    write_count(&writer, &record->throttle);
    write_count(&writer, &record->passcode);
    xt_put(&writer, record->nobody, 1);
    throttle_key(live, subject, record->nobody, key);
    struct xt_span name = xt_span_of(key, sizeof(key));
    int code = xt_live_put(live, XT_LIVE_THROTTLE, name, xt_written(&writer));
    return code == 0 && !record->there
               ? xt_live_put_due(live, XT_LIVE_THROTTLE, name, live->time_ms + XT_LIVE_FILLER_MS)
               : code;
}

int xt_live_throttle_fill(struct xt_live *live)
{
    uint8_t nonce[XT_ACCOUNT_ID];
    xt_random(nonce, sizeof(nonce));
    return xt_live_put_due(live, XT_LIVE_NONCE, xt_span_of(nonce, sizeof(nonce)),
                           live->time_ms + XT_LIVE_FILLER_MS);
}

int xt_live_throttle_passed(struct xt_live *live, struct xt_id subject, unsigned factors,
                            struct xt_live_throttle_record *record)
{
    xt_throttle_succeeded(&record->throttle);
    record->nobody = false;
    if ((factors & XT_FACTOR_PASSCODE) != 0) {
        xt_throttle_succeeded(&record->passcode);
    }
    return record->passcode.failures == 0 ? xt_live_throttle_forget(live, subject)
                                          : xt_live_throttle_put(live, subject, record);
}

int xt_live_throttle_forget(struct xt_live *live, struct xt_id subject)
{
    uint8_t key[XT_SUBJECT_KEY];
    xt_live_subject_key(subject, key);
    return xt_live_delete(live, XT_LIVE_THROTTLE, xt_span_of(key, sizeof(key)));
}

enum xt_status xt_live_throttle(const struct xt_live *live, struct xt_id subject, bool nobody,
                                struct xt_throttle *throttle)
{
    struct xt_live_throttle_record record;
    enum xt_status status = xt_live_throttle_get(live, subject, nobody, &record);
    *throttle =
        record.passcode.failures > record.throttle.failures ? record.passcode : record.throttle;
    return status;
}

/* ---- proofs ------------------------------------------------------------------------------------ */

enum xt_status xt_live_proof_is_used(const struct xt_live *live,
                                     const struct xt_account_proof *proof, bool *used)
{
    *used = false;
    for (unsigned i = 0; i < proof->nonce_count; i++) {
        uint64_t expires_ms = proof->nonces[i].expires_ms;
        bool known = false;
        enum xt_status status =
            xt_live_nonce_is_used(live, proof->nonces[i].bytes, expires_ms, &known);
        if (status != XT_OK) {
            return status;
        }
        *used = *used || known || expires_ms <= live->time_ms ||
                expires_ms > live->time_ms + XT_LIVE_NONCE_MOST_MS;
    }
    if (proof->nonce_count == 2 &&
        memcmp(proof->nonces[0].bytes, proof->nonces[1].bytes, XT_ACCOUNT_ID) == 0) {
        *used = true; /* one challenge for two factors */
    }
    return XT_OK;
}

/* What is over, or far ahead, never counts, and need not be remembered. */
int xt_live_proof_use_up(struct xt_live *live, const struct xt_account_proof *proof)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && i < proof->nonce_count; i++) {
        uint64_t expires_ms = proof->nonces[i].expires_ms;
        if (expires_ms <= live->time_ms || expires_ms > live->time_ms + XT_LIVE_NONCE_MOST_MS) {
            continue;
        }
        code = xt_live_nonce_use_up(live, proof->nonces[i].bytes, expires_ms);
    }
    return code;
}

bool xt_live_account_is_open(const struct xt_person *person)
{
    return person->life == XT_LIFE_ALIVE && person->account_level > 0 && person->locks == 0;
}

/* Of what he does not hold a digest is made all the same, of as many bytes as most keys have. */
static struct xt_span or_nothing(struct xt_span held)
{
    static const uint8_t nothing[91];
    return held.size > 0 ? held : xt_span_of(nothing, sizeof(nothing));
}

static bool is_it(const struct xt_live *live, const struct xt_account_proof *proof, unsigned bit,
                  struct xt_span held)
{
    uint8_t digest[XT_ACCOUNT_DIGEST];
    xt_live_factor_digest(live, (enum xt_factor)(1U << bit), or_nothing(held), digest);
    return xt_secret_equal(digest, proof->digests[bit], sizeof(digest)) && held.size > 0;
}

/* As many digests for somebody with one device, who is nearly everybody, as for somebody without one, or with a few,
 * whichever it is. */
#define DEVICES_COMPARED 4U

/* NULL: none of his. */
static const struct xt_device *find_his(const struct xt_live *live,
                                        const struct xt_account_proof *proof,
                                        const struct xt_person *person)
{
    unsigned count =
        person->device_count > DEVICES_COMPARED ? person->device_count : DEVICES_COMPARED;
    static const struct xt_device none = {.unlocked_by = XT_UNLOCK_NONE};
    const struct xt_device *his = NULL;
    for (unsigned i = 0; i < count; i++) {
        const struct xt_device *device = i < person->device_count ? &person->devices[i] : &none;
        uint8_t digest[XT_ACCOUNT_DIGEST];
        device_digest(live, or_nothing(device->public_key_der), device->unlocked_by, digest);
        bool equal = xt_secret_equal(digest, proof->digests[DEVICE], sizeof(digest));
        bool told = device->public_key_der.size > 0 && device->unlocked_by == proof->unlocked_by;
        his = equal && told ? device : his;
    }
    return his;
}

void xt_live_proof_key(const struct xt_live *live, const struct xt_account_proof *proof,
                       const struct xt_person *person, uint8_t digest[XT_ACCOUNT_DIGEST])
{
    const struct xt_device *his = find_his(live, proof, person);
    struct xt_span key = his != NULL ? his->public_key_der : xt_span_of(NULL, 0);
    device_digest(live, or_nothing(key), XT_UNLOCK_NONE, digest);
}

bool xt_live_proof_is_his(const struct xt_live *live, const struct xt_account_proof *proof,
                          const struct xt_person *person)
{
    bool passcode =
        (proof->factors & XT_FACTOR_PASSCODE) == 0 || is_it(live, proof, 0, person->passcode_hash);
    bool device =
        (proof->factors & XT_FACTOR_DEVICE_KEY) == 0 || find_his(live, proof, person) != NULL;
    bool card = (proof->factors & XT_FACTOR_CARD_CHIP) == 0 ||
                (is_it(live, proof, 2, person->card_public_key_der) &&
                 person->card_state == XT_CARD_ACTIVE);
    return passcode && device && card;
}

/* ---- lists of ids ------------------------------------------------------------------------------ */

enum xt_status xt_live_ids_get(const struct xt_live *live, enum xt_live_kind kind,
                               struct xt_id subject, struct xt_live_ids *ids)
{
    uint8_t key[XT_SUBJECT_KEY];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size = 0;
    ids->count = 0;
    xt_live_subject_key(subject, key);
    enum xt_status status =
        xt_live_get(live, kind, xt_span_of(key, sizeof(key)), fields, &size, NULL);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    if (size % XT_ACCOUNT_ID != 0 || size > sizeof(ids->ids)) {
        return XT_CORRUPT;
    }
    memcpy(ids->ids, fields, size);
    ids->count = (unsigned)(size / XT_ACCOUNT_ID);
    return XT_OK;
}

int xt_live_ids_put(struct xt_live *live, enum xt_live_kind kind, struct xt_id subject,
                    const struct xt_live_ids *ids)
{
    uint8_t key[XT_SUBJECT_KEY];
    xt_live_subject_key(subject, key);
    struct xt_span name = xt_span_of(key, sizeof(key));
    return ids->count == 0 ? xt_live_delete(live, kind, name)
                           : xt_live_put(live, kind, name,
                                         xt_span_of(ids->ids, (size_t)ids->count * XT_ACCOUNT_ID));
}

int xt_live_ids_drop(struct xt_live *live, enum xt_live_kind kind, struct xt_id subject,
                     const uint8_t id[XT_ACCOUNT_ID])
{
    struct xt_live_ids ids;
    enum xt_status status = xt_live_ids_get(live, kind, subject, &ids);
    if (status != XT_OK) {
        return status == XT_IO ? EIO : 0;
    }
    for (unsigned i = 0; i < ids.count; i++) {
        if (memcmp(ids.ids[i], id, XT_ACCOUNT_ID) == 0) {
            ids.count--;
            memmove(ids.ids[i], ids.ids[i + 1], (size_t)(ids.count - i) * XT_ACCOUNT_ID);
            return xt_live_ids_put(live, kind, subject, &ids);
        }
    }
    return 0;
}

static bool is_listed(const struct xt_live_ids *ids, const uint8_t id[XT_ACCOUNT_ID])
{
    for (unsigned i = 0; i < ids->count; i++) {
        if (memcmp(ids->ids[i], id, XT_ACCOUNT_ID) == 0) {
            return true;
        }
    }
    return false;
}

int xt_live_ids_move(struct xt_live *live, enum xt_live_kind kind, struct xt_id from,
                     struct xt_id to, unsigned most, const struct xt_live_ids *ids)
{
    struct xt_live_ids all = *ids;
    struct xt_live_ids there;
    if (xt_live_ids_get(live, kind, to, &there) != XT_OK) {
        there.count = 0;
    }
    for (unsigned i = 0; i < there.count && all.count < most; i++) {
        if (!is_listed(ids, there.ids[i])) {
            memcpy(all.ids[all.count++], there.ids[i], XT_ACCOUNT_ID);
        }
    }
    struct xt_live_ids none = {.count = 0};
    int code = xt_live_ids_put(live, kind, to, &all);
    return code == 0 ? xt_live_ids_put(live, kind, from, &none) : code;
}

/* ---- facts of locks ---------------------------------------------------------------------------- */

static enum xt_status take_fact(struct xt_taker *taker, struct xt_lock_fact *fact)
{
    fact->reason = (unsigned)xt_take(taker, 1);
    fact->at_ms = xt_take(taker, 8);
    struct xt_span actor = xt_take_bytes(taker, (size_t)xt_take(taker, 1));
    if (taker->bad || actor.size > XT_PARTNER_NAME_MAX) {
        return XT_CORRUPT;
    }
    memset(fact->actor, 0, sizeof(fact->actor));
    memcpy(fact->actor, actor.data, actor.size);
    return XT_OK;
}

static void number_key(uint64_t number, uint8_t key[5])
{
    struct xt_writer writer = xt_writer_over(key, 5);
    xt_put(&writer, number, 5);
}

enum xt_status xt_live_lock_facts(const struct xt_live *live, uint64_t number,
                                  struct xt_lock_fact facts[XT_LOCK_FACTS_MAX], unsigned *count)
{
    uint8_t key[5];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size = 0;
    *count = 0;
    number_key(number, key);
    enum xt_status status =
        xt_live_get(live, XT_LIVE_LOCK_FACTS, xt_span_of(key, sizeof(key)), fields, &size, NULL);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    struct xt_taker taker = xt_taker_over(xt_span_of(fields, size));
    while (status == XT_OK && taker.rest.size > 0 && *count < XT_LOCK_FACTS_MAX) {
        status = take_fact(&taker, &facts[*count]);
        *count += status == XT_OK;
    }
    return status == XT_OK && !xt_taken_all(&taker) ? XT_CORRUPT : status;
}

static void write_fact(struct xt_writer *writer, unsigned reason, uint64_t at_ms,
                       struct xt_span actor)
{
    xt_put(writer, reason, 1);
    xt_put(writer, at_ms, 8);
    xt_put(writer, actor.size, 1);
    xt_write_span(writer, actor);
}

/* Facts that do not open are given up: the locks themselves are in the person's record. */
int xt_live_note_locks(struct xt_live *live, uint64_t number, unsigned before, unsigned after,
                       uint64_t at_ms, struct xt_span actor)
{
    struct xt_lock_fact facts[XT_LOCK_FACTS_MAX];
    uint8_t key[5];
    uint8_t fields[XT_LOCK_FACTS_MAX * (1 + 8 + 1 + XT_PARTNER_NAME_MAX)];
    struct xt_writer writer = xt_writer_over(fields, sizeof(fields));
    unsigned count = 0;
    if (before == after) {
        return 0;
    }
    number_key(number, key);
    if (xt_live_lock_facts(live, number, facts, &count) != XT_OK) {
        count = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if ((facts[i].reason & after & before) != 0) {
            write_fact(&writer, facts[i].reason, facts[i].at_ms, xt_span_of_string(facts[i].actor));
        }
    }
    for (unsigned reason = 1; reason <= XT_LOCK_STAY_EXPIRED; reason <<= 1) {
        if ((after & ~before & reason) != 0) {
            write_fact(&writer, reason, at_ms, actor);
        }
    }
    struct xt_span name = xt_span_of(key, sizeof(key));
    xt_require(!writer.overflow);
    return writer.size == 0 ? xt_live_delete(live, XT_LIVE_LOCK_FACTS, name)
                            : xt_live_put(live, XT_LIVE_LOCK_FACTS, name, xt_written(&writer));
}

int xt_live_move_lock_facts(struct xt_live *live, uint64_t from, uint64_t to)
{
    uint8_t old[5];
    uint8_t new[5];
    uint8_t fields[XT_LIVE_RECORD_MAX];
    size_t size = 0;
    number_key(from, old);
    number_key(to, new);
    if (xt_live_get(live, XT_LIVE_LOCK_FACTS, xt_span_of(old, sizeof(old)), fields, &size, NULL) !=
        XT_OK) {
        return 0;
    }
    int code = xt_live_put(live, XT_LIVE_LOCK_FACTS, xt_span_of(new, sizeof(new)),
                           xt_span_of(fields, size));
    return code == 0 ? xt_live_delete(live, XT_LIVE_LOCK_FACTS, xt_span_of(old, sizeof(old)))
                     : code;
}
