#include "net/vitals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void xt_vitals_open(struct xt_vitals_source *source, struct xt_vitals *told)
{
    *source = (struct xt_vitals_source){
        .told = told,
        .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
        .cpu_us_before = xt_counter_get(&told->cpu_us),
        .major_faults_before = xt_counter_get(&told->major_faults),
    };
    xt_vitals_update(source);
}

static uint64_t in_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* The second number of statm: resident pages (proc(5)). 0: not known. */
static uint64_t resident_bytes(int statm)
{
    char text[128], *end = NULL;
    ssize_t got = statm < 0 ? -1 : pread(statm, text, sizeof(text) - 1, 0);
    if (got <= 0) {
        return 0;
    }
    text[got] = '\0';
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void xt_vitals_update(struct xt_vitals_source *source)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        xt_counter_set(&source->told->cpu_us,
                       source->cpu_us_before + in_us(usage.ru_utime) + in_us(usage.ru_stime));
        xt_counter_set(&source->told->major_faults,
                       source->major_faults_before + (uint64_t)usage.ru_majflt);
    }
    xt_counter_add(&source->told->beats, 1);
    xt_counter_set(&source->told->resident_bytes, resident_bytes(source->statm));
}

void xt_vitals_close(struct xt_vitals_source *source)
{
    if (source->statm >= 0) {
        close(source->statm);
    }
    source->statm = -1;
}
