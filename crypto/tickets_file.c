/* DIR/keys/tickets: which rotation of the ticket keys was asked for last. */
#include <inttypes.h>
#include <stdio.h>

#include "crypto/file.h"
#include "crypto/hex.h"
#include "crypto/keyring.h"
#include "crypto/tickets.h"

#define ID_DIGITS 8
#define LINE_SIZE (ID_DIGITS + 1 + XT_KEY_TIME + 1)

enum xt_status xt_ticket_order_read(const char *dir, struct xt_ticket_order *order,
                                    struct xt_failure *failure)
{
    char path[XT_PATH_MAX];
    uint8_t *content;
    size_t size;
    *order = (struct xt_ticket_order){.id = 0};
    if (xt_path_join(path, dir, "keys/tickets") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = xt_file_read(path, LINE_SIZE, &content, &size, failure);
    if (status != XT_OK) {
        return status == XT_NOT_FOUND ? XT_OK : status;
    }
    uint8_t id[4];
    if (size == LINE_SIZE && xt_hex_parse(content, id, sizeof(id)) && content[ID_DIGITS] == ' ' &&
        xt_key_time_is(content + ID_DIGITS + 1) && content[LINE_SIZE - 1] == '\n') {
        order->id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
        memcpy(order->made, content + ID_DIGITS + 1, XT_KEY_TIME);
    } else {
        status = xt_fail(failure, XT_INVALID,
                         "%s is damaged: run xacthuc keys rotate %s tickets, which writes it anew",
                         path, dir);
    }
    xt_file_release(content, size);
    return status;
}

enum xt_status xt_ticket_order_write(const char *dir, uint32_t *id, struct xt_failure *failure)
{
    char path[XT_PATH_MAX], text[LINE_SIZE + 1], when[XT_KEY_TIME + 1];
    struct xt_ticket_order before;
    if (xt_path_join(path, dir, "keys/tickets") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    if (!xt_key_time_now(when)) {
        return xt_fail(failure, XT_IO, "the clock gives no usable date");
    }
    if (xt_ticket_order_read(dir, &before, NULL) != XT_OK) {
        before.id = 0; /* damaged: replaced */
    }
    do {
        xt_random(id, sizeof(*id));
    } while (*id == 0 || *id == before.id);
    snprintf(text, sizeof(text), "%08" PRIx32 " %s\n", *id, when);
    return xt_file_write(path, xt_span_of(text, LINE_SIZE), 0600, true, failure);
}
