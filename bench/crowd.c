#include "bench/crowd.h"

#include <poll.h>
#include <stdlib.h>

#include "bench/clock.h"
#include "store/command_line.h"

bool xt_crowd_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return xt_parse_count(text, most, value) && *value >= least;
}

bool xt_crowd_take_option(int option, const char *text, uint64_t most_connections,
                          struct xt_crowd_options *options)
{
    switch (option) {
    case 'p':
        return xt_crowd_number(text, 1, 65535, &options->port);
    case 'c':
        options->certificates[0] = text;
        return true;
    case 'k':
        options->keys[0] = text;
        return true;
    case 'a':
        options->authority = text;
        return true;
    case 'C':
        return xt_crowd_number(text, 1, most_connections, &options->connections);
    case 'S':
        return xt_crowd_number(text, 1, 86400, &options->seconds);
    default:
        return false;
    }
}

static unsigned partners_of(const struct xt_crowd_options *options)
{
    return options->certificates[1] != NULL ? 2 : 1;
}

enum xt_status xt_crowd_read(struct xt_crowd *crowd, const struct xt_crowd_options *options,
                             struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    for (unsigned i = 0; status == XT_OK && i < partners_of(options); i++) {
        const struct xt_tls_client_files files = {.certificate = options->certificates[i],
                                                  .key = options->keys[i],
                                                  .server_authority = options->authority};
        status = xt_tls_client(&files, &crowd->contexts[i], failure);
    }
    return status;
}

enum xt_status xt_crowd_open(struct xt_crowd *crowd, const struct xt_crowd_options *options,
                             struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    crowd->wires = calloc(options->connections, sizeof(*crowd->wires));
    if (crowd->wires == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "not enough memory");
    }
    crowd->count = (unsigned)options->connections;
    for (unsigned i = 0; status == XT_OK && i < crowd->count; i++) {
        status = xt_wire_open(&crowd->wires[i], (uint16_t)options->port,
                              crowd->contexts[i % partners_of(options)], 0);
        if (status == XT_OK && crowd->begin != NULL && !crowd->begin(crowd->context, i)) {
            status = XT_IO;
        }
    }
    return status == XT_OK ? XT_OK
                           : xt_fail(failure, status, "cannot connect to 127.0.0.1:%llu",
                                     (unsigned long long)options->port);
}

void xt_crowd_close(struct xt_crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++) {
        xt_wire_close(&crowd->wires[i]);
    }
    free(crowd->wires);
    for (unsigned i = 0; i < XT_CROWD_PARTNERS; i++) {
        xt_tls_context_close(crowd->contexts[i]);
    }
}

static bool send_more(struct xt_crowd *crowd, unsigned index)
{
    return crowd->send != NULL ? crowd->send(crowd->context, index)
                               : xt_wire_flush(&crowd->wires[index], false);
}

static bool receive(struct xt_crowd *crowd, unsigned index)
{
    enum xt_status status = xt_wire_receive(&crowd->wires[index], false);
    return status == XT_OK ? crowd->take(crowd->context, index) : status == XT_AGAIN;
}

bool xt_crowd_look(struct xt_crowd *crowd, int wait_ms)
{
    struct pollfd list[XT_CROWD_MAX];
    xt_require(crowd->count <= XT_CROWD_MAX);
    for (unsigned i = 0; i < crowd->count; i++) {
        const struct xt_wire *wire = &crowd->wires[i];
        bool pending = wire->more || xt_tls_output(wire->tls).size > 0;
        list[i] = (struct pollfd){.fd = wire->finished ? -1 : wire->fd,
                                  .events = (short)(POLLIN | (pending ? POLLOUT : 0))};
    }
    (void)poll(list, crowd->count, wait_ms);
    for (unsigned i = 0; i < crowd->count; i++) {
        if ((list[i].revents & POLLOUT) != 0 && !send_more(crowd, i)) {
            return false;
        }
        if ((list[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive(crowd, i)) {
            return false;
        }
    }
    return true;
}

bool xt_crowd_drive(struct xt_crowd *crowd, const struct xt_crowd_options *options)
{
    bool fine = true;
    crowd->began_ns = xt_clock_ns();
    uint64_t end = crowd->began_ns + options->seconds * 1000000000ULL;
    for (uint64_t now = crowd->began_ns; fine && now < end; now = xt_clock_ns()) {
        fine = crowd->begin_due(crowd->context, now) &&
               xt_crowd_look(crowd, options->rate == 0 ? 100 : 1);
    }
    uint64_t stopped = xt_clock_ns();
    while (fine && crowd->answered < crowd->begun && xt_clock_ns() < stopped + crowd->end_ns) {
        fine = xt_crowd_look(crowd, 10);
    }
    return fine && crowd->answered == crowd->begun;
}
