/* What is told of the counts, from time to time. */
#include "store/live_statistics.h"

#include "core/little_endian.h"
#include "store/live_statistics_internal.h"

#define TOLD_HEAD 4
#define PLAIN_MAX (XT_LIVE_RECORD_HEAD + TOLD_HEAD + XT_STATISTICS_STORED_MAX)

_Static_assert(PLAIN_MAX <= XT_LIVE_ENTRY_MAX, "a store that is sealed anew has room for it");

/* Room of a publication. */
struct telling {
    struct xt_statistics before, now;
    struct xt_statistics_work work;
    uint32_t cube[XT_STATISTICS_CUBE_MAX];
    uint8_t plain[PLAIN_MAX];
    size_t size;
};

static enum xt_status read_told(const struct xt_live *live, uint8_t plain[PLAIN_MAX],
                                struct xt_statistics *statistics, xt_date *as_of)
{
    struct xt_span fields;
    enum xt_status status =
        xt_live_statistics_get(live, XT_LIVE_TOLD, xt_span_of(NULL, 0), plain, PLAIN_MAX, &fields);
    if (status != XT_OK) {
        return status;
    }
    struct xt_taker taker = xt_taker_over(fields);
    *as_of = (xt_date)xt_take(&taker, TOLD_HEAD);
    return taker.bad ? XT_CORRUPT : xt_statistics_decode(taker.rest, statistics);
}

enum xt_status xt_live_statistics(struct xt_live *live, struct xt_statistics *statistics,
                                  xt_date *as_of)
{
    uint8_t plain[PLAIN_MAX];
    enum xt_status status = live->writes ? xt_live_begin_look(live) : XT_OK;
    if (status == XT_OK) {
        status = read_told(live, plain, statistics, as_of);
        if (live->writes) {
            xt_live_end_look(live);
        }
    }
    xt_wipe(plain, sizeof(plain));
    return status;
}

static int put_told(struct xt_live *live, void *context)
{
    const struct telling *telling = context;
    uint8_t hash[XT_LIVE_HASH];
    xt_live_state_key(live, XT_LIVE_TOLD, xt_span_of(NULL, 0), hash);
    return xt_live_record_put(live, XT_LIVE_STATISTICS, xt_span_of(hash, sizeof(hash)),
                              xt_span_of(telling->plain, telling->size));
}

/* Of tables of which nothing was told, the next may come the next day. */
static bool is_time(const struct xt_statistics *before, xt_date as_of, xt_date today)
{
    int32_t days = xt_date_to_days(today) - xt_date_to_days(as_of);
    days = days < 0 ? -days : days; /* the clock was wrong, then or now */
    return days >= (before->tables[0].withdrawn ? 1 : XT_STATISTICS_DAYS);
}

/* Makes today's tables. *due: they are to take the place of those before. */
static enum xt_status make_tables(struct xt_live *live, struct xt_tally *people, xt_date today,
                                  struct telling *telling, bool *due)
{
    xt_date as_of = XT_DATE_NONE;
    struct xt_statistics_shape shape;
    enum xt_status status = xt_live_statistics(live, &telling->before, &as_of);
    bool first = status == XT_NOT_FOUND || status == XT_UNSUPPORTED;
    *due = false;
    if (!first && (status != XT_OK || !is_time(&telling->before, as_of, today))) {
        return status;
    }
    const uint8_t *digest = xt_generation_manifest(live->base)->digest;
    status = xt_live_add_cells(live, digest, people);
    if (status == XT_OK && !xt_tally_to_cube(people, today, telling->cube)) {
        status = XT_CORRUPT;
    }
    if (status != XT_OK) {
        return status;
    }
    xt_statistics_shape(&shape);
    xt_statistics_publish(&telling->now, &shape, telling->cube, first ? NULL : &telling->before,
                          &telling->work, NULL, NULL);
    *due =
        first || xt_statistics_distance(&telling->before, &telling->now) >= XT_STATISTICS_SMALLEST;
    struct xt_writer writer = xt_writer_over(telling->plain, sizeof(telling->plain));
    xt_live_record_begin(live, XT_LIVE_TOLD, &writer);
    xt_put(&writer, today, TOLD_HEAD);
    xt_statistics_encode(&telling->now, &writer);
    xt_require(!writer.overflow);
    telling->size = writer.size;
    return XT_OK;
}

enum xt_status xt_live_tell_statistics(struct xt_live *live, struct xt_tally *people, xt_date today,
                                       bool *told, struct xt_failure *failure)
{
    struct xt_memory memory = {.data = NULL};
    uint8_t *place = NULL;
    bool due = false;
    xt_require(live->writes && live->txn == NULL && live->base != NULL);
    *told = false;
    enum xt_status status = xt_memory_extend(&memory, sizeof(struct telling), &place);
    if (status != XT_OK) {
        return xt_fail(failure, status, "cannot make statistics: out of memory");
    }
    struct telling *telling = (struct telling *)(void *)place;
    status = make_tables(live, people, today, telling, &due);
    if (status != XT_OK) {
        (void)xt_fail(failure, status, "cannot make statistics: %s", xt_status_name(status));
    } else if (due) {
        status = xt_live_commit(live, put_told, telling, failure);
        *told = status == XT_OK;
    }
    xt_memory_free(&memory);
    return status;
}
