#include "net/writer_record.h"

#include "net/writer.h"

static enum xt_status open_live(struct xt_writer_record *record, struct xt_failure *failure)
{
    enum xt_status status =
        xt_live_open_reader(record->dir, record->keyring, &record->live, failure);
    if (status != XT_OK) {
        record->live = NULL;
    }
    return status == XT_NOT_FOUND ? XT_OK : status;
}

enum xt_status xt_writer_record_open(struct xt_writer_record *record, const char *dir,
                                     const struct xt_keyring *keyring, struct xt_shared *shared,
                                     struct xt_writer_channel *channel, struct xt_failure *failure)
{
    *record = (struct xt_writer_record){
        .dir = dir, .keyring = keyring, .shared = shared, .channel = channel};
    return open_live(record, failure);
}

void xt_writer_record_close(struct xt_writer_record *record)
{
    xt_live_close(record->live);
    record->live = NULL;
}

enum xt_status xt_writer_record_live(struct xt_writer_record *record, const struct xt_live **live,
                                     struct xt_failure *failure)
{
    *live = NULL;
    uint64_t epoch = xt_writer_epoch(record->shared);
    if (record->live != NULL &&
        xt_live_refresh(record->live, epoch, xt_writer_commit(record->shared)) != XT_OK) {
        xt_live_close(record->live);
        record->live = NULL;
    }
    enum xt_status status = record->live == NULL ? open_live(record, failure) : XT_OK;
    if (status == XT_OK) {
        *live = record->live;
    }
    return status;
}

static void rest(struct xt_writer_record *record)
{
    if (record->live != NULL) {
        xt_live_rest(record->live);
    }
}

static void pass(struct xt_writer_record *record);

static void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct xt_writer_record *record = context;
    record->under_way--;
    if (answer->status != XT_OK) {
        record->refused = answer->status; /* the next tick tries again */
    } else if (record->under_way == 0 && record->refused == XT_OK) {
        pass(record); /* the rest, or to see that nothing is missing */
    }
}

static bool send_event(struct xt_writer_record *record, const struct xt_event *event)
{
    bool sent = xt_writer_send(record->channel, event, on_answer, record) == XT_OK;
    record->under_way += sent;
    return sent;
}

static bool send_holder(struct xt_writer_record *record, const uint8_t spki[XT_SPKI_DIGEST],
                        const char *partner)
{
    struct xt_event event;
    xt_event_begin(&event, XT_EVENT_CERTIFICATE_HELD);
    memcpy(event.certificate_held.spki, spki, XT_SPKI_DIGEST);
    memcpy(event.certificate_held.partner, partner, strlen(partner) + 1);
    return send_event(record, &event);
}

/* Sends whose certificates stand otherwise on record; false: there is more to send. */
static bool pass_partners(struct xt_writer_record *record, const struct xt_live *live)
{
    char name[XT_PARTNER_NAME_MAX + 1];
    for (unsigned i = 0; i < xt_partners_count(record->partners); i++) {
        const struct xt_partner *partner = xt_partners_at(record->partners, i);
        for (unsigned j = 0; j < partner->certificate_count; j++) {
            const uint8_t *spki = partner->certificates[j];
            enum xt_status status = live == NULL ? XT_NOT_FOUND : xt_live_holder(live, spki, name);
            bool right = status == XT_OK && strcmp(name, partner->name) == 0;
            if (!right && !send_holder(record, spki, partner->name)) {
                return false;
            }
        }
    }
    return true;
}

static bool pass_generation(struct xt_writer_record *record, const struct xt_live *live)
{
    uint32_t number;
    uint8_t digest[XT_GENERATION_DIGEST];
    struct xt_event event;
    if (live != NULL && xt_live_generation(live, &number, digest) == XT_OK &&
        number == record->generation && memcmp(digest, record->digest, sizeof(digest)) == 0) {
        return true;
    }
    xt_event_begin(&event, XT_EVENT_GENERATION_SERVED);
    event.generation_served.number = record->generation;
    memcpy(event.generation_served.digest, record->digest, sizeof(digest));
    event.generation_served.rollback = record->rollback;
    return send_event(record, &event);
}

/* While something is under way the record is about to change: looked at again when all is answered. */
static void pass(struct xt_writer_record *record)
{
    if (record->under_way > 0 || (!record->partners_due && !record->generation_due)) {
        return;
    }
    record->refused = XT_OK;
    const struct xt_live *live;
    if (xt_writer_record_live(record, &live, NULL) != XT_OK) {
        return; /* with the next tick again */
    }
    bool sent = !record->generation_due || pass_generation(record, live);
    sent = (!record->partners_due || pass_partners(record, live)) && sent;
    if (sent && record->under_way == 0) {
        record->partners_due = record->generation_due = false;
    }
    rest(record);
}

void xt_writer_record_partners(struct xt_writer_record *record, const struct xt_partners *previous,
                               const struct xt_partners *partners)
{
    record->partners = partners;
    record->partners_due = true;
    for (unsigned i = 0; previous != NULL && i < xt_partners_count(previous); i++) {
        const struct xt_partner *partner = xt_partners_at(previous, i);
        for (unsigned j = 0; j < partner->certificate_count; j++) {
            if (xt_partners_by_spki(partners, partner->certificates[j]) == NULL) {
                (void)send_holder(record, partner->certificates[j], "");
            }
        }
    }
    pass(record);
}

enum xt_status xt_writer_record_may_serve(struct xt_writer_record *record, uint32_t number,
                                          const uint8_t digest[XT_GENERATION_DIGEST],
                                          bool allow_older, bool *rollback,
                                          struct xt_failure *failure)
{
    bool wanted;
    const struct xt_live *live;
    enum xt_status status = xt_writer_record_live(record, &live, failure);
    if (status == XT_OK) {
        status = xt_live_may_serve(live, number, digest, allow_older, &wanted, rollback, failure);
    }
    rest(record);
    return status;
}

enum xt_status xt_writer_record_may_lie_over(struct xt_writer_record *record,
                                             const struct xt_manifest *manifest, bool rollback,
                                             struct xt_failure *failure)
{
    const struct xt_live *unused;
    enum xt_status status = xt_writer_record_live(record, &unused, failure);
    if (status == XT_OK) {
        status = xt_live_may_lie_over(record->live, manifest, rollback, failure);
    }
    rest(record);
    return status;
}

void xt_writer_record_generation(struct xt_writer_record *record, uint32_t number,
                                 const uint8_t digest[XT_GENERATION_DIGEST], bool rollback)
{
    record->generation = number;
    memcpy(record->digest, digest, sizeof(record->digest));
    record->rollback = rollback;
    record->generation_due = true;
    pass(record);
}

void xt_writer_record_tick(struct xt_writer_record *record)
{
    record->refused = XT_OK;
    pass(record);
    rest(record);
}

bool xt_writer_record_is_done(const struct xt_writer_record *record)
{
    return !record->partners_due && !record->generation_due && record->under_way == 0;
}
