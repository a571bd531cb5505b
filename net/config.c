#include "net/config.h"

#include <ini.h>
#include <stdio.h>

#include "crypto/file.h"

#define CONFIG_MAX (256U << 10) /* bytes */

struct reading {
    struct xt_settings *settings;
    struct xt_failure failure; /* of the first bad setting */
    bool failed;
};

static int on_setting(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->failed) {
        return 0;
    }
    reading->failed =
        xt_settings_set(reading->settings, section, name, value, &reading->failure) != XT_OK;
    return reading->failed ? 0 : 1; /* inih tells the first line that gave 0 */
}

enum xt_status xt_config_read(const char *dir, struct xt_settings *settings,
                              struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    xt_settings_defaults(settings);
    enum xt_status status = xt_path_join(path, dir, "xacthuc.conf");
    if (status != XT_OK) {
        return xt_fail(failure, status, "the path %s is too long", dir);
    }
    status = xt_file_read(path, CONFIG_MAX, &content, &size, failure);
    if (status == XT_NOT_FOUND) {
        return XT_OK;
    }
    if (status != XT_OK) {
        return status;
    }
    struct reading reading = {.settings = settings};
    int line = ini_parse_string((const char *)content, on_setting, &reading);
    xt_file_release(content, size);
    if (line == 0) {
        status = xt_settings_check(settings, &reading.failure);
        return status == XT_OK ? XT_OK
                               : xt_fail(failure, status, "%s: %s", path, reading.failure.text);
    }
    return xt_fail(failure, XT_INVALID, "%s, line %d: %s", path, line > 0 ? line : 0,
                   reading.failed ? reading.failure.text : "not a section and not key = value");
}
