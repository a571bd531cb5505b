#include "tests/test.h"

#include "tests/bench/result_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A_SECOND 100U /* requests */

static void put_run(FILE *to, const struct result_wish *wish, const char *text)
{
    unsigned all = wish->seconds * A_SECOND;
    unsigned right = wish->none_right ? 0 : all;
    unsigned wrong = wish->none_right ? all : 0;
    fprintf(to,
            "{\"format\":\"xacthuc-load/1\",\"program\":\"xacthuc-bench 9\","
            "\"configuration\":{\"server\":\"%s\",\"open_loop\":%s,\"connections\":4,"
            "\"threads\":1,\"duration_s\":%u,\"checked\":\"claims\",\"people\":{\"seed\":1},"
            "\"%s\":1,\"scenario\":[{\"kind\":\"verify\",\"weight\":3}]},"
            "\"machine\":{\"processor\":\"%s\",\"memory_bytes\":1073741824},",
            text, wish->closed ? "false" : "true", wish->seconds, text, text);
    fprintf(to,
            "\"run\":{\"began\":1795303237.5,\"measured_s\":%u.0,\"interrupted\":false,"
            "\"wanted_rate\":%u,\"achieved_rate\":%u,\"right\":%u,\"right_in_time\":%u,"
            "\"errors\":%u,\"errors_by_kind\":{\"timeout\":0,\"verdict\":%u,\"%s\":0},"
            "\"first_of_kind\":{\"verdict\":\"%s\"},",
            wish->seconds, wish->closed ? 0 : A_SECOND, right > 0 ? A_SECOND : 0, right, right,
            wrong, wrong, text, text);
    fprintf(to,
            "\"before_measuring\":{\"right\":5,\"errors\":0},\"connections\":4,\"resumed\":1,"
            "\"client_cpu_us\":1000,\"client_cpu_us_per_request\":10.5,\"server\":%s},",
            wish->server ? "{\"cpu_us\":900,\"cpu_us_per_request\":9.25,\"processes\":2,"
                           "\"resident_bytes\":4194304}"
                         : "null");
}

static void put_rows(FILE *to, const struct result_wish *wish)
{
    fprintf(to, "\"seconds\":[");
    for (unsigned i = 0; i < wish->seconds; i++) {
        bool slow = wish->slow_second > 0 && i == wish->slow_second;
        unsigned us = wish->none_right ? 0 : 1;
        fprintf(to,
                "%s{\"second\":%u,\"right\":%u,\"errors\":%u,\"p50_us\":%u,\"p90_us\":%u,"
                "\"p99_us\":%u,\"p99.9_us\":%u,\"max_us\":%u}",
                i > 0 ? "," : "", i, us * A_SECOND, (1 - us) * A_SECOND, us * 100, us * 200,
                us * 300, slow ? 987000 : us * 400, slow ? 987000 : us * 400);
    }
    fprintf(to, "],");
}

static void put_histogram(FILE *to, const char *name, unsigned count)
{
    fprintf(to,
            "\"%s\":{\"unit\":\"us\",\"lowest\":1,\"highest\":60000000,\"digits\":3,"
            "\"count\":%u,\"saturated\":0,",
            name, count);
    if (count == 0) {
        fprintf(to, "\"sum\":0,\"min\":0,\"max\":0,\"values\":[]},");
    } else { /* half of them 100 us, half 2049 us, which share a bucket with 2048 */
        fprintf(to, "\"sum\":%u,\"min\":100,\"max\":2049,\"values\":[[100,%u],[2048,%u]]},",
                count / 2 * 100 + (count - count / 2) * 2049, count / 2, count - count / 2);
    }
}

char *result_text(const struct result_wish *wish)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    put_run(to, wish, wish->text != NULL ? wish->text : "plain");
    put_rows(to, wish);
    put_histogram(to, "histogram", wish->none_right ? 0 : wish->seconds * A_SECOND);
    put_histogram(to, "handshake", 4);
    if (wish->knee) {
        fprintf(to, "\"knee\":{\"slo_p99_us\":1000,\"rate\":2000,\"steps\":["
                    "{\"wanted_rate\":1000,\"achieved_rate\":1000,\"errors\":0,\"p50_us\":90,"
                    "\"p99_us\":200,\"p99.9_us\":300,\"kept\":true},"
                    "{\"wanted_rate\":3000,\"achieved_rate\":2500,\"errors\":1,\"p50_us\":900,"
                    "\"p99_us\":20000,\"p99.9_us\":30000,\"kept\":false},"
                    "{\"wanted_rate\":2000,\"achieved_rate\":2000,\"errors\":0,\"p50_us\":95,"
                    "\"p99_us\":900,\"p99.9_us\":1300,\"kept\":true}]}}");
    } else {
        fprintf(to, "\"knee\":null}");
    }
    assert_int_equal(fclose(to), 0);
    return text;
}

char *result_replaced(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (at == NULL) {
        fail_msg("'%s' is not in %.300s", from, text);
    }
    size_t before = (size_t)(at - text);
    size_t size = strlen(text) + strlen(to) + 1;
    char *made = malloc(size);
    assert_non_null(made);
    (void)snprintf(made, size, "%.*s%s%s", (int)before, text, to, at + strlen(from));
    return made;
}
