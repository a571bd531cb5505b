/* tests/net/prometheus: a strict reader of Prometheus' text format 0.0.4, for tests. It fails the test on
 * anything that the format or the naming practices do not allow: a sample without HELP and TYPE, lines of
 * a metric that stand apart, a counter not called _total, a histogram that does not add up. */
#ifndef XT_TESTS_NET_PROMETHEUS_H
#define XT_TESTS_NET_PROMETHEUS_H

#include <stdbool.h>
#include <stddef.h>

struct series {
    char text[320]; /* name and labels, as written */
    double value;
};

struct scrape {
    struct series *list;
    size_t count, capacity;
};

/* text ends with a NUL. */
void scrape_read(struct scrape *scrape, const char *text);
void scrape_free(struct scrape *scrape);

/* 0: no such series. */
double value_of(const struct scrape *scrape, const char *text);
/* Of all series whose text begins with this. */
double sum_of(const struct scrape *scrape, const char *start);
/* Sorts them, too. */
void no_series_is_there_twice(struct scrape *scrape);
/* Of the metric's name that text begins with. */
size_t name_length(const char *text);

#define OF_PARTNER(name, labels)                                                                   \
    "xacthuc_partner_requests_total{partner=\"" name "\",route=\"/v1/verify\"," labels "}"

#endif
