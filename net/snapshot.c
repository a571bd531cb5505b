#include "net/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "XTSNAP1"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

struct head {
    char magic[8];
    uint64_t chain, authority, revocations; /* bytes */
    uint64_t partners, partner_bytes;       /* how many; bytes of them all */
};

struct partner_head {
    uint32_t cell, size;
};

/* ---- writing ---------------------------------------------------------------------------------- */

static enum xt_status write_all(int fd, struct xt_span content)
{
    while (content.size > 0) {
        ssize_t size = write(fd, content.data, content.size);
        if (size < 0 && errno != EINTR) {
            return errno == ENOSPC || errno == ENOMEM ? XT_NO_MEMORY : XT_IO;
        }
        size_t done = size < 0 ? 0 : (size_t)size;
        content = xt_span_of(content.data + done, content.size - done);
    }
    return XT_OK;
}

/* One partner after another through one buffer; *bytes: how many they came to. */
static enum xt_status write_partners(int fd, const struct xt_snapshot_parts *parts, uint64_t *bytes)
{
    size_t room = sizeof(struct partner_head) + XT_PARTNER_JSON_MAX;
    uint8_t *text = malloc(room);
    enum xt_status status = text == NULL ? XT_NO_MEMORY : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < xt_partners_count(parts->partners); i++) {
        struct partner_head head = {.cell = parts->cells[i]};
        struct xt_writer writer = xt_writer_over(text, room);
        (void)xt_write_reserve(&writer, sizeof(head));
        xt_partner_to_json(xt_partners_at(parts->partners, i), &writer);
        if (writer.overflow) {
            status = XT_TOO_LARGE;
            break;
        }
        head.size = (uint32_t)(writer.size - sizeof(head));
        memcpy(text, &head, sizeof(head));
        *bytes += writer.size;
        status = write_all(fd, xt_written(&writer));
    }
    free(text);
    return status;
}

enum xt_status xt_snapshot_write(const struct xt_snapshot_parts *parts, int *fd,
                                 struct xt_failure *failure)
{
    struct head head = {.magic = MAGIC,
                        .chain = parts->chain.size,
                        .authority = parts->authority.size,
                        .revocations = parts->revocations.size,
                        .partners = xt_partners_count(parts->partners)};
    int made = memfd_create("xacthuc-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made < 0) {
        return xt_fail(failure, XT_IO, "cannot make a memory file: %s", strerror(errno));
    }
    enum xt_status status = write_all(made, xt_span_of(&head, sizeof(head)));
    const struct xt_span texts[] = {parts->chain, parts->authority, parts->revocations};
    for (unsigned i = 0; status == XT_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        status = write_all(made, texts[i]);
    }
    if (status == XT_OK) {
        status = write_partners(made, parts, &head.partner_bytes);
    }
    if (status == XT_OK && (pwrite(made, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
                            fcntl(made, F_ADD_SEALS, SEALS) != 0)) {
        status = XT_IO;
    }
    if (status != XT_OK) {
        close(made);
        return xt_fail(failure, status, "cannot write a snapshot for the workers: %s",
                       xt_status_name(status));
    }
    *fd = made;
    return XT_OK;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* Cuts size bytes off the front of *rest; false: there are fewer. */
static bool cut(struct xt_span *rest, uint64_t size, struct xt_span *part)
{
    if (size > rest->size) {
        return false;
    }
    *part = xt_span_of(rest->data, (size_t)size);
    *rest = xt_span_of(rest->data + size, rest->size - (size_t)size);
    return true;
}

static enum xt_status read_partners(struct xt_snapshot *snapshot, struct xt_span rest,
                                    uint64_t count, struct xt_failure *failure)
{
    struct xt_span *texts = calloc((size_t)count + 1, sizeof(*texts));
    snapshot->cells = calloc((size_t)count + 1, sizeof(*snapshot->cells));
    if (texts == NULL || snapshot->cells == NULL) {
        free(texts);
        return XT_NO_MEMORY;
    }
    bool sound = true;
    for (uint64_t i = 0; sound && i < count; i++) {
        struct partner_head head = {0};
        struct xt_span bytes = xt_span_of(NULL, 0);
        sound = cut(&rest, sizeof(head), &bytes);
        if (sound) {
            memcpy(&head, bytes.data, sizeof(head));
            snapshot->cells[i] = head.cell;
            sound = cut(&rest, head.size, &texts[i]);
        }
    }
    enum xt_status status =
        sound && rest.size == 0
            ? xt_partners_parse(texts, (unsigned)count, &snapshot->partners, failure)
            : XT_CORRUPT;
    free(texts);
    return status;
}

enum xt_status xt_snapshot_open(int fd, struct xt_snapshot *snapshot, struct xt_failure *failure)
{
    struct stat facts;
    struct head head;
    struct xt_span bytes = xt_span_of(NULL, 0);
    *snapshot = (struct xt_snapshot){.map = NULL};
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &facts) != 0) {
        return xt_fail(failure, XT_DENIED, "the snapshot is not sealed");
    }
    if (facts.st_size < (off_t)sizeof(head)) {
        return xt_fail(failure, XT_CORRUPT, "the snapshot is too short");
    }
    void *map = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot map the snapshot: %s", strerror(errno));
    }
    snapshot->map = map;
    snapshot->size = (size_t)facts.st_size;
    struct xt_span rest = xt_span_of(snapshot->map, snapshot->size);
    (void)cut(&rest, sizeof(head), &bytes);
    memcpy(&head, bytes.data, sizeof(head));
    if (memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.partners > XT_PARTNERS_MAX ||
        !cut(&rest, head.chain, &snapshot->chain) ||
        !cut(&rest, head.authority, &snapshot->authority) ||
        !cut(&rest, head.revocations, &snapshot->revocations) || rest.size != head.partner_bytes) {
        return xt_fail(failure, XT_CORRUPT, "the snapshot does not add up");
    }
    enum xt_status status = read_partners(snapshot, rest, head.partners, failure);
    if (status == XT_NO_MEMORY) {
        return xt_fail(failure, status, "no memory for the snapshot's partners");
    }
    return status == XT_CORRUPT ? xt_fail(failure, status, "the snapshot's partners do not add up")
                                : status;
}

void xt_snapshot_close(struct xt_snapshot *snapshot)
{
    xt_partners_free(snapshot->partners);
    free(snapshot->cells);
    if (snapshot->map != NULL) {
        (void)munmap((void *)(uintptr_t)snapshot->map, snapshot->size);
    }
    *snapshot = (struct xt_snapshot){.map = NULL};
}
