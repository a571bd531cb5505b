#include "store/keys_taken.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "store/live.h"

#define NAME XT_SUPERVISOR_FOLDER "/keys.taken"
#define TEXT_MAX 80

enum xt_status xt_keys_taken_write(const char *dir, const struct xt_keys_taken *taken,
                                   struct xt_failure *failure)
{
    char path[XT_PATH_MAX], text[TEXT_MAX];
    if (xt_path_join(path, dir, NAME) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    int size = snprintf(text, sizeof(text),
                        "master %08" PRIx32 "\ntickets %08" PRIx32 "\nsigning %08" PRIx32
                        "\ntoken %08" PRIx32 "\n",
                        taken->master, taken->tickets, taken->signing, taken->token);
    return xt_file_write(path, xt_span_of(text, (size_t)size), 0600, true, failure);
}

void xt_keys_taken_remove(const char *dir)
{
    char path[XT_PATH_MAX];
    if (xt_path_join(path, dir, NAME) == XT_OK) {
        (void)unlink(path);
    }
}

enum xt_status xt_keys_taken_read(const char *dir, bool *runs, struct xt_keys_taken *taken,
                                  struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size;
    int lock = -1;
    *taken = (struct xt_keys_taken){.master = 0};
    /* The writer has it as long as a server runs, and a file that is there without one is left over. */
    enum xt_status status = xt_live_lock(dir, &lock, failure);
    *runs = status == XT_BUSY;
    if (status == XT_OK) {
        close(lock);
        return XT_OK;
    }
    if (status != XT_BUSY) {
        return status;
    }
    if (xt_path_join(path, dir, NAME) == XT_OK &&
        xt_file_read(path, TEXT_MAX, &content, &size, NULL) == XT_OK) {
        if (sscanf((const char *)content,
                   "master %8" SCNx32 "\ntickets %8" SCNx32 "\nsigning %8" SCNx32
                   "\ntoken %8" SCNx32,
                   &taken->master, &taken->tickets, &taken->signing, &taken->token) < 2) {
            *taken = (struct xt_keys_taken){.master = 0};
        }
        xt_file_release(content, size);
    }
    return XT_OK;
}
