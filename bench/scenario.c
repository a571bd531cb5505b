/* Scenario files: sections of key = value, see xacthuc-bench load --help. */
#include "bench/workload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_BYTES 512
#define LINES_MAX 1000U
#define WEIGHT_MAX 1000000U

struct reader {
    struct xt_scenario *scenario;
    struct xt_workload_part *part; /* NULL before the first section */
    const char *wrong;             /* static */
};

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t size = strlen(text);
    while (size > 0 && strchr(" \t\r\n", text[size - 1]) != NULL) {
        text[--size] = '\0';
    }
    return text;
}

static bool wrong(struct reader *reader, const char *text)
{
    reader->wrong = text;
    return false;
}

static bool begin_section(struct reader *reader, const char *line)
{
    bool verify = strcmp(line, "[verify]") == 0;
    if (!verify && strcmp(line, "[get]") != 0) {
        return wrong(reader, "sections are [verify] and [get]");
    }
    if (reader->scenario->count == XT_WORKLOAD_PARTS_MAX) {
        return wrong(reader, "more than 16 sections");
    }
    reader->part = &reader->scenario->parts[reader->scenario->count++];
    *reader->part = (struct xt_workload_part){.verify = verify, .weight = 1, .status = 200};
    return true;
}

static bool number(const char *text, unsigned long least, unsigned long most, unsigned long *value)
{
    char *end;
    *value = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *value >= least && *value <= most;
}

static bool copy(char *place, size_t room, const char *text)
{
    size_t size = strlen(text);
    if (size >= room || strcspn(text, " \t") != size) {
        return false;
    }
    memcpy(place, text, size + 1);
    return true;
}

static bool take_value(struct reader *reader, const char *key, const char *value)
{
    struct xt_workload_part *part = reader->part;
    unsigned long parsed;
    if (part == NULL) {
        return wrong(reader, "a section comes first: [verify] or [get]");
    }
    if (strcmp(key, "weight") == 0) {
        if (!number(value, 1, WEIGHT_MAX, &parsed)) {
            return wrong(reader, "weight takes 1 to 1000000");
        }
        part->weight = (uint32_t)parsed;
        return true;
    }
    if (part->verify && strcmp(key, "mix") == 0) {
        return copy(part->mix, sizeof(part->mix), value)
                   ? true
                   : wrong(reader, "mix takes kind=weight,... in less than 128 characters");
    }
    if (!part->verify && strcmp(key, "path") == 0) {
        return value[0] == '/' && copy(part->path, sizeof(part->path), value)
                   ? true
                   : wrong(reader, "path starts with / and has less than 256 characters");
    }
    if (!part->verify && strcmp(key, "status") == 0) {
        if (!number(value, 200, 599, &parsed)) {
            return wrong(reader, "status takes 200 to 599");
        }
        part->status = (unsigned)parsed;
        return true;
    }
    return wrong(reader, part->verify ? "[verify] has weight and mix"
                                      : "[get] has weight, path and status");
}

static bool take_line(struct reader *reader, char *line)
{
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
        return true;
    }
    if (line[0] == '[') {
        return begin_section(reader, line);
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return wrong(reader, "lines are key = value");
    }
    *equals = '\0';
    return take_value(reader, trim(line), trim(equals + 1));
}

enum xt_status xt_scenario_read(const char *path, struct xt_scenario *scenario,
                                struct xt_failure *failure)
{
    struct reader reader = {.scenario = scenario};
    char line[LINE_MAX_BYTES];
    unsigned at = 0;
    *scenario = (struct xt_scenario){0};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return xt_fail(failure, XT_IO, "cannot read %s: %s", path, strerror(errno));
    }
    while (reader.wrong == NULL && fgets(line, sizeof(line), file) != NULL) {
        at++;
        if (at > LINES_MAX || (strchr(line, '\n') == NULL && feof(file) == 0)) {
            reader.wrong = "file or line too long";
        } else {
            (void)take_line(&reader, line);
        }
    }
    (void)fclose(file);
    for (unsigned i = 0; reader.wrong == NULL && i < scenario->count; i++) {
        if (!scenario->parts[i].verify && scenario->parts[i].path[0] == '\0') {
            reader.wrong = "a [get] has no path";
        }
    }
    if (reader.wrong == NULL && scenario->count == 0) {
        reader.wrong = "no section";
    }
    return reader.wrong == NULL ? XT_OK
                                : xt_fail(failure, XT_INVALID, "%s:%u: %s", path, at, reader.wrong);
}
