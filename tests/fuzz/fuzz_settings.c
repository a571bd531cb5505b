/* "section key value": whatever is taken is in its bounds, whatever is refused says why. */
#include "core/settings.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(uint8_t *data, size_t size)
{
    char *text = (char *)fuzz_copy(data, size, 1);
    char *rest = text;
    const char *section = strsep(&rest, " ");
    const char *key = rest == NULL ? "" : strsep(&rest, " ");
    struct xt_settings settings;
    struct xt_failure failure = {0};
    xt_settings_defaults(&settings);
    if (xt_settings_set(&settings, section, key, rest == NULL ? "" : rest, &failure) != XT_OK) {
        xt_require(failure.text[0] != '\0');
    }
    xt_require(memchr(settings.listen, 0, sizeof(settings.listen)) != NULL);
    free(text);
}
