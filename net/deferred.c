#include "net/deferred.h"

#include <stdlib.h>
#include <time.h>

#include "crypto/keyring.h"
#include "net/pool.h"

#define KEPT 64

struct block {
    struct xt_deferred base;
    _Alignas(16) uint8_t memory[XT_DEFERRED_MEMORY];
};

struct xt_deferred_desk {
    struct xt_service *service;
    struct xt_writer_channel *writer;
    struct xt_pool blocks;
    struct xt_ring held;
    bool holds; /* there is a loop, and it goes on */
    uv_timer_t timer;
    uint16_t of_cell[XT_CELLS]; /* that a partner has at the moment */
};

static void release(struct xt_deferred *deferred)
{
    struct xt_deferred_desk *desk = deferred->desk;
    if (deferred->cell != XT_NO_CELL) {
        desk->of_cell[deferred->cell]--;
    }
    xt_wipe(deferred->memory, deferred->kind->size);
    xt_pool_give(&desk->blocks, deferred);
}

/* Who asked, as far as he is still known, and about what. */
static void describe(const struct xt_deferred *deferred, struct xt_call *call)
{
    const struct xt_service *service = call->service;
    const struct xt_partner *partner =
        service->partners == NULL ? NULL
                                  : xt_partners_by_name(service->partners, deferred->partner);
    call->route = deferred->route;
    call->entry.partner = xt_span_of_string(deferred->partner);
    call->allowance =
        partner == NULL || service->rates == NULL ? NULL : xt_rates_of(service->rates, partner);
    if (deferred->kind->note != NULL) {
        deferred->kind->note(deferred, call);
    }
}

/* Nobody is answered, so nobody is kept waiting: but what was done is in the log. Between the turns of
 * connections, so that the service's time may be old. */
static void conclude(struct xt_deferred *deferred)
{
    struct xt_service *service = deferred->desk->service;
    struct xt_http_request nothing = {.method = XT_POST};
    struct xt_peer nobody = {.has_certificate = false};
    struct xt_call call = {.service = service, .peer = &nobody, .request = &nothing};
    struct xt_answer answer;
    struct timespec now;
    uint8_t random[10];
    clock_gettime(CLOCK_REALTIME, &now);
    xt_service_set_time(service, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
                        service->monotonic_ns);
    xt_random(random, sizeof(random));
    xt_answer_id_make(service->unix_ms, random, call.answer_id);
    describe(deferred, &call);
    deferred->kind->finish(deferred, &call, &answer);
    if (service->trail != NULL && !service->trail->ended) {
        (void)!xt_call_log(&call,
                           answer.status); /* without room there is nothing else to be done */
    }
    release(deferred);
}

/* ---- held ones ---------------------------------------------------------------------------------- */

static void on_due(uv_timer_t *timer);

/* Whatever the timer was set to before: they are due in no order. */
static void set_timer(struct xt_deferred_desk *desk)
{
    uint64_t next = UINT64_MAX, now = uv_hrtime();
    for (struct xt_ring *link = desk->held.next; link != &desk->held; link = link->next) {
        const struct xt_deferred *deferred = xt_ring_entry(link, struct xt_deferred, held);
        next = deferred->due_ns < next ? deferred->due_ns : next;
    }
    if (next == UINT64_MAX) {
        (void)uv_timer_stop(&desk->timer);
        return;
    }
    uv_update_time(desk->timer.loop);
    (void)uv_timer_start(&desk->timer, on_due, next > now ? (next - now + 999999) / 1000000 : 0, 0);
}

static void hold(struct xt_deferred *deferred)
{
    struct xt_deferred_desk *desk = deferred->desk;
    uint64_t step_ns = (uint64_t)deferred->step_ms * 1000000, now = uv_hrtime();
    uint64_t took = now > deferred->began_ns ? now - deferred->began_ns : 0;
    deferred->due_ns = deferred->began_ns + (took / step_ns + 1) * step_ns;
    xt_ring_append(&desk->held, &deferred->held);
    set_timer(desk);
}

static void be_ready(struct xt_deferred *deferred)
{
    xt_ring_remove(&deferred->held);
    deferred->ready = true;
    if (deferred->abandoned) {
        conclude(deferred);
    } else if (deferred->wake != NULL) {
        deferred->wake(deferred->context);
    }
}

void xt_deferred_done(struct xt_deferred *deferred, enum xt_status status)
{
    xt_require(!deferred->ready && xt_ring_is_empty(&deferred->held));
    deferred->status = status;
    if (deferred->step_ms == 0 || !deferred->desk->holds) {
        be_ready(deferred);
    } else {
        hold(deferred);
    }
}

/* Each is looked at once: those that are not due go to the end of the list. */
static void on_due(uv_timer_t *timer)
{
    struct xt_deferred_desk *desk = timer->data;
    struct xt_ring later;
    uint64_t now = uv_hrtime();
    xt_ring_open(&later);
    while (!xt_ring_is_empty(&desk->held)) {
        struct xt_deferred *deferred = xt_ring_entry(desk->held.next, struct xt_deferred, held);
        if (deferred->due_ns <= now) {
            be_ready(deferred);
        } else {
            xt_ring_append(&later, &deferred->held);
        }
    }
    while (!xt_ring_is_empty(&later)) {
        xt_ring_append(&desk->held, later.next);
    }
    set_timer(desk);
}

void xt_deferred_leave(struct xt_deferred *deferred)
{
    deferred->abandoned = true;
    deferred->wake = NULL;
    if (deferred->ready) {
        conclude(deferred);
    }
}

void xt_deferred_finish(struct xt_deferred *deferred, struct xt_call *call,
                        struct xt_answer *answer)
{
    describe(deferred, call);
    if (deferred->ready) {
        deferred->kind->finish(deferred, call, answer);
        deferred->finished = true;
    } else {
        xt_require(deferred->late);
        xt_call_refuse(call, XT_PROBLEM_OUTCOME_UNKNOWN, NULL, answer);
    }
}

void xt_deferred_end(struct xt_deferred *deferred)
{
    if (deferred->finished) {
        release(deferred);
    } else {
        xt_deferred_leave(deferred);
    }
}

/* ---- for handlers ------------------------------------------------------------------------------- */

struct xt_deferred *xt_deferred_open(struct xt_call *call, const struct xt_deferred_kind *kind,
                                     struct xt_answer *answer)
{
    struct xt_deferred_desk *desk = call->service->deferred;
    uint32_t cell = call->allowance != NULL ? call->allowance->cell : XT_NO_CELL;
    xt_require(kind->size <= XT_DEFERRED_MEMORY);
    bool may_have = desk != NULL && (cell == XT_NO_CELL || desk->of_cell[cell] < XT_DEFERRED_SHARE);
    struct block *block = may_have ? xt_pool_take(&desk->blocks) : NULL;
    if (block == NULL) {
        xt_call_refuse(call, desk == NULL ? XT_PROBLEM_NOT_READY : XT_PROBLEM_OVERLOADED, NULL,
                       answer);
        return NULL;
    }
    struct xt_deferred *deferred = &block->base;
    *deferred = (struct xt_deferred){.kind = kind, .desk = desk, .memory = block->memory};
    memset(block->memory, 0, kind->size);
    xt_ring_open(&deferred->held);
    deferred->route = call->route;
    deferred->cell = cell;
    deferred->began_ns = call->service->monotonic_ns;
    if (call->allowance != NULL) {
        memcpy(deferred->partner, call->allowance->partner->name, sizeof(deferred->partner));
    }
    if (cell != XT_NO_CELL) {
        desk->of_cell[cell]++;
    }
    *answer = (struct xt_answer){.deferred = deferred};
    return deferred;
}

void xt_deferred_hold(struct xt_deferred *deferred, uint32_t step_ms)
{
    deferred->step_ms = step_ms;
}

void xt_deferred_cancel(struct xt_deferred *deferred, struct xt_answer *answer)
{
    answer->deferred = NULL;
    release(deferred);
}

static void on_answer(void *context, const struct xt_writer_answer *answer)
{
    struct xt_deferred *deferred = context;
    deferred->outcome = *answer;
    if (answer->status == XT_OK && deferred->kind->decided != NULL &&
        deferred->kind->decided(deferred, deferred->desk->service)) {
        return;
    }
    xt_deferred_done(deferred, answer->status);
}

void xt_deferred_send(struct xt_deferred *deferred, const struct xt_event *event)
{
    struct xt_writer_channel *writer = deferred->desk->writer;
    enum xt_status status =
        writer == NULL ? XT_CLOSED
                       : xt_writer_send_for(writer, deferred->partner, event, on_answer, deferred);
    if (status != XT_OK) {
        xt_deferred_done(deferred, status);
        return;
    }
    deferred->was_sent = true;
}

static void on_another(void *context, const struct xt_writer_answer *answer)
{
    (void)answer;
    xt_deferred_done(context, XT_OK);
}

void xt_deferred_send_also(struct xt_deferred *deferred, const struct xt_event *event)
{
    struct xt_writer_channel *writer = deferred->desk->writer;
    if (writer == NULL ||
        xt_writer_send_for(writer, deferred->partner, event, on_another, deferred) != XT_OK) {
        xt_deferred_done(deferred, XT_OK);
    }
}

void xt_deferred_note(const struct xt_deferred *deferred, enum xt_account_type told,
                      struct xt_call *call)
{
    call->entry.event = (uint8_t)told;
    if (deferred->ready && deferred->outcome.status == XT_OK) {
        call->entry.sequence = deferred->outcome.sequence;
        call->entry.attempt = (uint8_t)deferred->outcome.attempt;
    }
}

bool xt_deferred_refuse(const struct xt_deferred *deferred, struct xt_call *call,
                        struct xt_answer *answer)
{
    enum xt_problem problem = XT_PROBLEM_INTERNAL;
    switch (deferred->status) {
    case XT_OK:
        return false;
    case XT_DENIED:
        if (deferred->outcome.conflict != XT_CONFLICT_NONE) {
            return false;
        }
        problem = XT_PROBLEM_ENDPOINT_NOT_PERMITTED;
        break;
    case XT_CLOSED:
        problem = deferred->was_sent ? XT_PROBLEM_OUTCOME_UNKNOWN : XT_PROBLEM_NOT_READY;
        break;
    case XT_BUSY:
        problem = XT_PROBLEM_NOT_READY;
        break;
    case XT_AGAIN:
    case XT_DISK_FULL:
    case XT_NO_MEMORY:
        problem = XT_PROBLEM_OVERLOADED;
        break;
    case XT_CORRUPT:
        problem = XT_PROBLEM_RECORD_DAMAGED;
        break;
    default:
        break;
    }
    xt_call_refuse(call, problem, NULL, answer);
    return true;
}

/* ---- the desk ----------------------------------------------------------------------------------- */

enum xt_status xt_deferred_desk_open(uv_loop_t *loop, struct xt_service *service,
                                     struct xt_writer_channel *writer,
                                     struct xt_deferred_desk **opened)
{
    struct xt_deferred_desk *desk = calloc(1, sizeof(*desk));
    if (desk == NULL) {
        return XT_NO_MEMORY;
    }
    if (loop != NULL && uv_timer_init(loop, &desk->timer) != 0) {
        free(desk);
        return XT_NO_MEMORY;
    }
    desk->holds = loop != NULL;
    desk->timer.data = desk;
    xt_ring_open(&desk->held);
    desk->service = service;
    desk->writer = writer;
    xt_pool_open(&desk->blocks, sizeof(struct block), KEPT, XT_DEFERRED_MOST);
    service->deferred = desk;
    *opened = desk;
    return XT_OK;
}

unsigned xt_deferred_waiting(const struct xt_deferred_desk *desk)
{
    return desk->blocks.out_count;
}

void xt_deferred_desk_stop(struct xt_deferred_desk *desk)
{
    desk->holds = false;
    while (!xt_ring_is_empty(&desk->held)) {
        be_ready(xt_ring_entry(desk->held.next, struct xt_deferred, held));
    }
    uv_close((uv_handle_t *)&desk->timer, NULL);
}

void xt_deferred_desk_close(struct xt_deferred_desk *desk)
{
    if (desk != NULL) {
        desk->service->deferred = NULL;
        xt_pool_close(&desk->blocks);
        free(desk);
    }
}
