/* The figures of all rounds as tables, for a terminal and in markdown. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench/peers.h"
#include "bench/print.h"

/* ---- figures ---- */

static double value_of(const struct xt_peer_round *round, enum xt_peer_value value)
{
    switch (value) {
    case XT_PEER_RATE:
        return round->rate;
    case XT_PEER_CPU:
        return round->cpu_us;
    case XT_PEER_P50:
        return round->p50;
    case XT_PEER_P99:
        return round->p99;
    case XT_PEER_P999:
        return round->p999;
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static struct xt_peer_middle middle_of(double *values, unsigned count)
{
    if (count == 0) {
        return (struct xt_peer_middle){0};
    }
    qsort(values, count, sizeof(*values), compare);
    double median =
        count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    return (struct xt_peer_middle){median, values[0], values[count - 1]};
}

struct xt_peer_middle xt_peer_middle(const struct xt_peer *peer, enum xt_peer_value value)
{
    double values[XT_PEERS_ROUNDS_MAX];
    for (unsigned i = 0; i < peer->round_count; i++) {
        values[i] = value_of(&peer->rounds[i], value);
    }
    return middle_of(values, peer->round_count);
}

bool xt_peer_ratio(const struct xt_peers *peers, const struct xt_peer *peer,
                   enum xt_peer_value value, struct xt_peer_middle *ratio)
{
    const struct xt_peer *own = &peers->list[XT_PEER_XACTHUC];
    double ratios[XT_PEERS_ROUNDS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < peer->round_count && i < own->round_count; i++) {
        double theirs = value_of(&peer->rounds[i], value);
        if (theirs > 0) {
            ratios[count++] = value_of(&own->rounds[i], value) / theirs;
        }
    }
    *ratio = middle_of(ratios, count);
    return count > 0;
}

double xt_peer_memory(const struct xt_peers *peers, const struct xt_peer *peer)
{
    uint64_t count = peers->options->count;
    return peer->kind->unchecked || !peer->has_memory || count < 1000000
               ? 0
               : (double)peer->memory.bytes * 1e6 / (double)count;
}

double xt_peer_right_share(const struct xt_peer *peer)
{
    uint64_t right = 0;
    uint64_t errors = 0;
    for (unsigned i = 0; i < peer->round_count; i++) {
        right += peer->rounds[i].right;
        errors += peer->rounds[i].errors;
    }
    return right + errors == 0 ? 0 : (double)right / (double)(right + errors);
}

/* ---- tables ---- */

#define CELL 96U /* bytes of one cell's text */
#define COLUMNS 11U

/* Shares of a core in the closed loop: above, the client is the limit; below, the server had not all of
 * its own. */
#define CLIENT_BUSY 0.95
#define SERVER_BUSY 0.9

struct table {
    unsigned columns, rows;
    bool words;                                   /* not numbers: all columns begin at the left */
    char cells[XT_PEER_COUNT + 1][COLUMNS][CELL]; /* row 0: the heads */
};

__attribute__((format(printf, 3, 4))) static void set(struct table *table, unsigned column,
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(table->cells[table->rows][column], CELL, format, arguments);
    va_end(arguments);
}

static void set_heads(struct table *table, const char *const *heads)
{
    *table = (struct table){0};
    while (heads[table->columns] != NULL) {
        set(table, table->columns, "%s", heads[table->columns]);
        table->columns++;
    }
    table->rows = 1;
}

static bool is_told(const struct xt_peer *peer)
{
    return peer->state == XT_PEER_READY && peer->round_count > 0;
}

static void set_or_dash(struct table *table, unsigned column, int decimals, double value)
{
    if (value > 0) {
        set(table, column, "%.*f", decimals, value);
    } else {
        set(table, column, "-");
    }
}

static void figures_table(const struct xt_peers *peers, struct table *table)
{
    static const char *const heads[] = {"",        "requests/s", "CPU us/request", "p50 ms",
                                        "p99 ms",  "p99.9 ms",   "memory MB",      "MB/M people",
                                        "disk MB", "load s",     "right",          NULL};
    set_heads(table, heads);
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        const struct xt_peer *peer = &peers->list[name];
        if (!is_told(peer)) {
            continue;
        }
        double right = xt_peer_right_share(peer);
        set(table, 0, "%s", peer->kind->title);
        set(table, 1, "%.0f", xt_peer_middle(peer, XT_PEER_RATE).median);
        set(table, 2, "%.1f", xt_peer_middle(peer, XT_PEER_CPU).median);
        set(table, 3, "%.3f", xt_peer_middle(peer, XT_PEER_P50).median / 1000);
        set(table, 4, "%.3f", xt_peer_middle(peer, XT_PEER_P99).median / 1000);
        set(table, 5, "%.3f", xt_peer_middle(peer, XT_PEER_P999).median / 1000);
        set_or_dash(table, 6, 0, peer->has_memory ? (double)peer->memory.bytes / 1e6 : 0);
        set_or_dash(table, 7, 0, xt_peer_memory(peers, peer) / 1e6);
        set_or_dash(table, 8, 0, (double)peer->disk_bytes / 1e6);
        set_or_dash(table, 9, 1, peer->load_seconds);
        if (peer->kind->unchecked) {
            set(table, 10, "status only");
        } else if (right < 1) { /* never rounded up to 100 % where one was wrong */
            set(table, 10, "%.4f %%", floor(right * 1e6) / 1e4);
        } else {
            set(table, 10, "100 %%");
        }
        table->rows++;
    }
}

static void set_ratio(struct table *table, unsigned column, const struct xt_peers *peers,
                      const struct xt_peer *peer, enum xt_peer_value value)
{
    struct xt_peer_middle ratio;
    if (xt_peer_ratio(peers, peer, value, &ratio)) {
        set(table, column, "%.2f (%.2f to %.2f)", ratio.median, ratio.least, ratio.most);
    } else {
        set(table, column, "-");
    }
}

static void ratios_table(const struct xt_peers *peers, struct table *table)
{
    static const char *const heads[] = {"xacthuc :", "requests/s", "CPU us/request",
                                        "p99",       "p99.9",      NULL};
    set_heads(table, heads);
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        const struct xt_peer *peer = &peers->list[name];
        if (name == XT_PEER_XACTHUC || !is_told(peer) || !is_told(&peers->list[XT_PEER_XACTHUC])) {
            continue;
        }
        set(table, 0, "%s", peer->kind->title);
        set_ratio(table, 1, peers, peer, XT_PEER_RATE);
        set_ratio(table, 2, peers, peer, XT_PEER_CPU);
        set_ratio(table, 3, peers, peer, XT_PEER_P99);
        set_ratio(table, 4, peers, peer, XT_PEER_P999);
        table->rows++;
    }
}

static void deeds_table(const struct xt_peers *peers, struct table *table)
{
    static const char *const heads[] = {
        "did",   "legal match", "mutual TLS", "policy", "uniform answers", "sealed at rest",
        "audit", NULL};
    set_heads(table, heads);
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        const struct xt_peer *peer = &peers->list[name];
        if (!is_told(peer)) {
            continue;
        }
        set(table, 0, "%s", peer->kind->title);
        set(table, 1, "%s", peer->deeds.match);
        set(table, 2, "%s", peer->deeds.mutual_tls);
        set(table, 3, "%s", peer->deeds.policy);
        set(table, 4, "%s", peer->deeds.uniform);
        set(table, 5, "%s", peer->deeds.sealed);
        set(table, 6, "%s", peer->deeds.audit);
        table->rows++;
    }
}

/* ---- writing ---- */

/* Where text goes: a stream, or an output whose first failure is kept. */
struct sink {
    FILE *file;
    struct xt_output *output;
    enum xt_status status;
    struct xt_failure *failure;
    bool markdown;
};

__attribute__((format(printf, 2, 3))) static void say(struct sink *sink, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (sink->file != NULL) {
        (void)fputs(text, sink->file);
    } else if (sink->status == XT_OK) {
        sink->status = xt_print(sink->output, sink->failure, "%s", text);
    }
}

static void say_padded(struct sink *sink, const char *text, unsigned width, bool left)
{
    say(sink, left ? "%-*s" : "%*s", (int)width, text);
}

static void say_table(struct sink *sink, const struct table *table)
{
    unsigned widths[COLUMNS] = {0};
    for (unsigned row = 0; row < table->rows; row++) {
        for (unsigned column = 0; column < table->columns; column++) {
            unsigned size = (unsigned)strlen(table->cells[row][column]);
            widths[column] = size > widths[column] ? size : widths[column];
        }
    }
    for (unsigned row = 0; row < table->rows; row++) {
        say(sink, "%s", sink->markdown ? "| " : "");
        for (unsigned column = 0; column < table->columns; column++) {
            say(sink, "%s", column == 0 ? "" : sink->markdown ? " | " : "  ");
            say_padded(sink, table->cells[row][column], widths[column],
                       column == 0 || table->words);
        }
        say(sink, "%s\n", sink->markdown ? " |" : "");
        for (unsigned column = 0; row == 0 && sink->markdown && column < table->columns; column++) {
            say(sink, "%s", column == 0 ? "|---|" : table->words ? "---|" : "---:|");
        }
        say(sink, "%s", row == 0 && sink->markdown ? "\n" : "");
    }
    say(sink, "\n");
}

/* How much of its core a server had, in the round in which it had least; 1 is all of it. */
static double least_core_share(const struct xt_peer *peer)
{
    double least = 1;
    for (unsigned i = 0; i < peer->round_count; i++) {
        double share = peer->rounds[i].rate * peer->rounds[i].cpu_us / 1e6;
        least = share < least ? share : least;
    }
    return least;
}

static void say_doubts(struct sink *sink, const struct xt_peer *peer, const char *item)
{
    double client = 0;
    for (unsigned i = 0; i < peer->round_count; i++) {
        double share = peer->rounds[i].client_share;
        client = share > client ? share : client;
    }
    if (client > CLIENT_BUSY) {
        say(sink, "%s%s: the client's core was busy as well: its requests/s are a lower bound\n",
            item, peer->kind->title);
    } else if (least_core_share(peer) < SERVER_BUSY) {
        say(sink,
            "%s%s: had only %.0f %% of its core in one round: the machine was not quiet, and its "
            "requests/s and latency say little\n",
            item, peer->kind->title, least_core_share(peer) * 100);
    }
    if (!peer->has_memory) {
        say(sink, "%s%s: its memory is not ours to look at: as root it is\n", item,
            peer->kind->title);
    }
}

static void say_notes(struct sink *sink, const struct xt_peers *peers)
{
    const char *item = sink->markdown ? "- " : "  ";
    for (unsigned name = 0; name < XT_PEER_COUNT; name++) {
        const struct xt_peer *peer = &peers->list[name];
        const char *title = peer->kind->title;
        if (is_told(peer)) {
            say(sink, "%s%s: %s%s%s\n", item, title, peer->version,
                peer->kind->note != NULL ? "; " : "",
                peer->kind->note != NULL ? peer->kind->note : "");
            say_doubts(sink, peer, item);
        } else if (peer->state == XT_PEER_MISSING) {
            say(sink, "%s%s: not measured: apt-get install --no-install-recommends %s\n", item,
                title, peer->why);
        } else if (peer->state == XT_PEER_FAILED) {
            say(sink, "%s%s: failed: %s\n", item, title, peer->why);
        }
    }
    say(sink, "\n");
}

static void say_head(struct sink *sink, const struct xt_peers *peers)
{
    const struct xt_peers_options *options = peers->options;
    const struct xt_machine *machine = &peers->machine;
    say(sink,
        "%llu people (seed %llu), the default mix of verify requests, %u rounds in turns; "
        "medians.\n",
        (unsigned long long)options->count, (unsigned long long)options->seed, options->rounds);
    say(sink,
        "Servers on core %d, client on core %d, %u connections. requests/s and CPU (user and "
        "system,\nall of a server's processes): closed loop, %u s. Latency: open loop at half of "
        "that rate, %u s.\nMemory: Pss of all its processes, after the rounds.\n",
        peers->server_core, peers->client_core, XT_PEERS_CONNECTIONS, options->seconds,
        options->seconds);
    say(sink, "%s, %u cores, %.1f GiB, %s; load average before: %.2f; took %.0f s; %s\n\n",
        machine->processor, machine->cores, (double)machine->memory_bytes / (1U << 30),
        machine->kernel, machine->load_average, peers->seconds, peers->date);
}

static void say_all(struct sink *sink, const struct xt_peers *peers)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return;
    }
    say_head(sink, peers);
    figures_table(peers, table);
    if (table->rows > 1) {
        say_table(sink, table);
    }
    ratios_table(peers, table);
    if (table->rows > 1) {
        say(sink, "Round by round, median (least to most); below 1 is less than the peer:\n\n");
        say_table(sink, table);
    }
    deeds_table(peers, table);
    if (table->rows > 1) {
        say_table(sink, table);
    }
    say_notes(sink, peers);
    free(table);
}

void xt_peers_print(const struct xt_peers *peers, FILE *out)
{
    struct sink sink = {.file = out};
    say_all(&sink, peers);
}

enum xt_status xt_peers_write_markdown(const struct xt_peers *peers, const char *path,
                                       struct xt_failure *failure)
{
    struct xt_output output;
    enum xt_status status = xt_output_open(&output, path, failure);
    if (status != XT_OK) {
        return status;
    }
    struct sink sink = {.output = &output, .status = XT_OK, .failure = failure, .markdown = true};
    say_all(&sink, peers);
    status = sink.status == XT_OK ? xt_output_commit(&output, failure) : sink.status;
    xt_output_close(&output);
    return status;
}
