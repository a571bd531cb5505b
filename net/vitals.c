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

/* The second and the third number of statm: resident pages, and those of them that are of files or shared
 * (proc(5)). Zeros: not known. */
static void note_memory(int statm, struct xt_vitals *told)
{
    char text[128], *end = NULL;
    uint64_t os_page = (uint64_t)sysconf(_SC_PAGESIZE);
    ssize_t got = statm < 0 ? -1 : pread(statm, text, sizeof(text) - 1, 0);
    text[got <= 0 ? 0 : got] = '\0';
    (void)strtoull(text, &end, 10);
    uint64_t resident = strtoull(end, &end, 10);
    uint64_t of_files = strtoull(end, NULL, 10);
    xt_counter_set(&told->resident_bytes, resident * os_page);
    xt_counter_set(&told->own_bytes, resident < of_files ? 0 : (resident - of_files) * os_page);
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
    note_memory(source->statm, source->told);
}

void xt_vitals_close(struct xt_vitals_source *source)
{
    if (source->statm >= 0) {
        close(source->statm);
    }
    source->statm = -1;
}
