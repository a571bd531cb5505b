#include "store/partners.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/partner_claims.h"

#define SUFFIX ".json"
#define SUFFIX_SIZE (sizeof(SUFFIX) - 1)
#define FILE_NAME_MAX (XT_PARTNER_NAME_MAX + SUFFIX_SIZE)

struct xt_partners {
    unsigned count;
    struct xt_partner **list; /* by name, ascending */
    /* Certificates, open addressing: partner << 3 | certificate, plus 1; 0 is free. At most half full.
     * Digests are uniform, so their first bytes do as a hash. */
    uint32_t *slots;
    uint32_t slot_mask;
};

_Static_assert(XT_PARTNER_CERTIFICATES_MAX <= 8, "three bits of a slot");

void xt_partners_free(struct xt_partners *partners)
{
    if (partners == NULL) {
        return;
    }
    for (unsigned i = 0; i < partners->count; i++) {
        free(partners->list[i]);
    }
    free(partners->list);
    free(partners->slots);
    free(partners);
}

unsigned xt_partners_count(const struct xt_partners *partners)
{
    return partners->count;
}

const struct xt_partner *xt_partners_at(const struct xt_partners *partners, unsigned index)
{
    xt_require(index < partners->count);
    return partners->list[index];
}

static int compare_with_name(const void *name, const void *element)
{
    const struct xt_partner *const *partner = element;
    return strcmp(name, (*partner)->name);
}

const struct xt_partner *xt_partners_by_name(const struct xt_partners *partners, const char *name)
{
    struct xt_partner **found = partners->count == 0
                                    ? NULL
                                    : bsearch(name, partners->list, partners->count,
                                              sizeof(struct xt_partner *), compare_with_name);
    return found == NULL ? NULL : *found;
}

/* The slot that holds a digest, or the free one where it belongs. */
static uint32_t *slot_of(const struct xt_partners *partners, const uint8_t spki[XT_SPKI_DIGEST])
{
    uint32_t at;
    memcpy(&at, spki, sizeof(at));
    for (;; at++) {
        uint32_t *slot = &partners->slots[at & partners->slot_mask];
        if (*slot == 0) {
            return slot;
        }
        const struct xt_partner *partner = partners->list[(*slot - 1) >> 3];
        if (memcmp(partner->certificates[(*slot - 1) & 7], spki, XT_SPKI_DIGEST) == 0) {
            return slot;
        }
    }
}

const struct xt_partner *xt_partners_by_spki(const struct xt_partners *partners,
                                             const uint8_t spki[XT_SPKI_DIGEST])
{
    uint32_t slot = *slot_of(partners, spki);
    return slot == 0 ? NULL : partners->list[(slot - 1) >> 3];
}

/* The list is whole: only then can digests be looked up. */
static void fill_slots(struct xt_partners *partners)
{
    for (unsigned i = 0; i < partners->count; i++) {
        for (unsigned j = 0; j < partners->list[i]->certificate_count; j++) {
            *slot_of(partners, partners->list[i]->certificates[j]) = (i << 3 | j) + 1;
        }
    }
}

static struct xt_partners *new_set(size_t partners_at_most)
{
    struct xt_partners *partners = calloc(1, sizeof(*partners));
    if (partners == NULL) {
        return NULL;
    }
    uint32_t slots = 16;
    while (slots < partners_at_most * XT_PARTNER_CERTIFICATES_MAX * 2) {
        slots *= 2;
    }
    partners->slot_mask = slots - 1;
    partners->slots = calloc(slots, sizeof(*partners->slots));
    partners->list = calloc(partners_at_most + 1, sizeof(struct xt_partner *));
    if (partners->slots == NULL || partners->list == NULL) {
        xt_partners_free(partners);
        return NULL;
    }
    return partners;
}

/* ---- reading the files ----------------------------------------------------------------------- */

static int compare_candidates(const void *a, const void *b)
{
    const struct xt_partner_candidate *left = a;
    const struct xt_partner_candidate *right = b;
    return strcmp(left->name, right->name);
}

static bool is_partner_file(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > SUFFIX_SIZE && strcmp(name + size - SUFFIX_SIZE, SUFFIX) == 0;
}

/* A file by its name: one more candidate, or a report. */
static enum xt_status add_candidate(struct xt_partner_loading *loading, const char *file)
{
    size_t size = strlen(file) - SUFFIX_SIZE;
    if (size > XT_PARTNER_NAME_MAX || !xt_policy_name_is_valid(xt_span_of(file, size))) {
        loading->report(loading->context, file, "the file is not called after a partner");
        return XT_OK;
    }
    if (loading->count == loading->capacity) {
        size_t capacity = loading->capacity == 0 ? 64 : loading->capacity * 2;
        struct xt_partner_candidate *grown =
            realloc(loading->candidates, capacity * sizeof(*grown));
        if (grown == NULL) {
            return XT_NO_MEMORY;
        }
        loading->candidates = grown;
        loading->capacity = capacity;
    }
    struct xt_partner_candidate *candidate = &loading->candidates[loading->count++];
    *candidate = (struct xt_partner_candidate){.fresh = NULL};
    memcpy(candidate->name, file, size);
    if (loading->previous != NULL) {
        candidate->before = xt_partners_by_name(loading->previous, candidate->name);
    }
    return XT_OK;
}

/* The partners' files, in the order of the partners' names. */
static enum xt_status list_files(struct xt_partner_loading *loading, struct xt_failure *failure)
{
    enum xt_status status = XT_OK;
    DIR *list = opendir(loading->folder);
    if (list == NULL) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot read %s: %s",
                       loading->folder, strerror(errno));
    }
    struct dirent *entry;
    while (status == XT_OK && (entry = readdir(list)) != NULL) {
        if (is_partner_file(entry->d_name)) {
            status = add_candidate(loading, entry->d_name);
        }
    }
    closedir(list);
    if (status == XT_OK && loading->count > 0) {
        qsort(loading->candidates, loading->count, sizeof(*loading->candidates),
              compare_candidates);
    }
    return status;
}

static void report_candidate(const struct xt_partner_loading *loading,
                             const struct xt_partner_candidate *candidate, const char *why)
{
    char file[FILE_NAME_MAX + 1];
    snprintf(file, sizeof(file), "%s" SUFFIX, candidate->name);
    loading->report(loading->context, file, why);
}

/* More than there is room for: those already served stay, whatever the others are called. */
static void leave_out_too_many(struct xt_partner_loading *loading)
{
    size_t known = 0;
    size_t kept = 0;
    for (size_t i = 0; i < loading->count; i++) {
        known += loading->candidates[i].before != NULL;
    }
    size_t room = known < XT_PARTNERS_MAX ? XT_PARTNERS_MAX - known : 0;
    for (size_t i = 0; i < loading->count; i++) {
        const struct xt_partner_candidate *candidate = &loading->candidates[i];
        if (candidate->before == NULL && room == 0) {
            report_candidate(loading, candidate, "there are too many partners (at most 4096)");
            continue;
        }
        room -= candidate->before == NULL;
        loading->candidates[kept++] = *candidate;
    }
    loading->count = kept;
}

static enum xt_status read_partner(const struct xt_partner_loading *loading, const char *name,
                                   struct xt_partner *partner, struct xt_failure *why)
{
    char file[FILE_NAME_MAX + 1];
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
    snprintf(file, sizeof(file), "%s" SUFFIX, name);
    if (xt_path_join(path, loading->folder, file) != XT_OK) {
        return xt_fail(why, XT_TOO_LARGE, "its path is too long");
    }
    enum xt_status status = xt_file_read(path, XT_PARTNER_JSON_MAX, &content, &size, why);
    if (status != XT_OK) {
        return status;
    }
    status = xt_partner_from_json(xt_span_of(content, size), loading->arena, partner, why);
    xt_file_release(content, size);
    if (status == XT_OK && strcmp(partner->name, name) != 0) {
        status = xt_fail(why, XT_INVALID, "name must be %s, as the file is called", name);
    }
    return status;
}

void xt_partner_refuse(const struct xt_partner_loading *loading,
                       struct xt_partner_candidate *candidate, const char *why)
{
    char text[sizeof(struct xt_failure) + 64];
    free(candidate->fresh);
    candidate->fresh = NULL;
    snprintf(text, sizeof(text), "%s; %s", why,
             candidate->before != NULL ? "its version before stays in force"
                                       : "this partner is not served");
    report_candidate(loading, candidate, text);
}

static enum xt_status read_files(struct xt_partner_loading *loading)
{
    for (size_t i = 0; i < loading->count; i++) {
        struct xt_partner_candidate *candidate = &loading->candidates[i];
        struct xt_failure why;
        candidate->fresh = calloc(1, sizeof(*candidate->fresh));
        if (candidate->fresh == NULL) {
            return XT_NO_MEMORY;
        }
        if (read_partner(loading, candidate->name, candidate->fresh, &why) != XT_OK) {
            xt_partner_refuse(loading, candidate, why.text);
        }
    }
    return XT_OK;
}

/* ---- making the set -------------------------------------------------------------------------- */

static enum xt_status make_set(struct xt_partner_loading *loading, struct xt_partners **made)
{
    struct xt_partners *partners = new_set(loading->count);
    if (partners == NULL) {
        return XT_NO_MEMORY;
    }
    for (size_t i = 0; i < loading->count; i++) {
        struct xt_partner_candidate *candidate = &loading->candidates[i];
        struct xt_partner *partner = candidate->fresh;
        if (partner == NULL && candidate->before != NULL) {
            partner = malloc(sizeof(*partner));
            if (partner == NULL) {
                xt_partners_free(partners);
                return XT_NO_MEMORY;
            }
            *partner = *candidate->before;
        }
        candidate->fresh = NULL;
        if (partner != NULL) {
            partners->list[partners->count++] = partner;
        }
    }
    fill_slots(partners);
    *made = partners;
    return XT_OK;
}

enum xt_status xt_partners_load(const char *dir, const struct xt_partners *previous,
                                xt_partners_report report, void *context,
                                struct xt_partners **partners, struct xt_failure *failure)
{
    return xt_partners_load_held(dir, previous, NULL, report, context, partners, failure);
}

enum xt_status xt_partners_load_held(const char *dir, const struct xt_partners *previous,
                                     const struct xt_live *live, xt_partners_report report,
                                     void *context, struct xt_partners **partners,
                                     struct xt_failure *failure)
{
    struct xt_partner_loading loading = {.previous = previous, .live = live, .report = report};
    loading.context = context;
    if (xt_path_join(loading.folder, dir, "partners") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    loading.arena = (struct xt_json_arena){malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    enum xt_status status =
        loading.arena.memory == NULL ? XT_NO_MEMORY : list_files(&loading, failure);
    if (status == XT_OK) {
        leave_out_too_many(&loading);
        status = read_files(&loading);
    }
    if (status == XT_OK) {
        status = xt_partner_claims_settle(&loading);
        if (status == XT_CORRUPT || status == XT_IO || status == XT_UNSUPPORTED) {
            (void)xt_fail(failure, status,
                          "the live store's record of who holds a certificate cannot be read: %s",
                          xt_status_name(status));
        }
    }
    if (status == XT_OK) {
        status = make_set(&loading, partners);
    }
    for (size_t i = 0; i < loading.count; i++) {
        free(loading.candidates[i].fresh);
    }
    free(loading.candidates);
    free(loading.arena.memory);
    return status != XT_NO_MEMORY
               ? status
               : xt_fail(failure, status, "cannot load the partners: out of memory");
}

enum xt_status xt_partners_parse(const struct xt_span *texts, unsigned count,
                                 struct xt_partners **partners, struct xt_failure *failure)
{
    struct xt_partners *made = count > XT_PARTNERS_MAX ? NULL : new_set(count);
    struct xt_json_arena arena = {malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    enum xt_status status = made == NULL || arena.memory == NULL ? XT_NO_MEMORY : XT_OK;
    for (unsigned i = 0; status == XT_OK && i < count; i++) {
        struct xt_partner *partner = calloc(1, sizeof(*partner));
        if (partner == NULL) {
            status = XT_NO_MEMORY;
            break;
        }
        made->list[made->count++] = partner;
        status = xt_partner_from_json(texts[i], arena, partner, failure);
        if (status == XT_OK && i > 0 && strcmp(made->list[i - 1]->name, partner->name) >= 0) {
            status = xt_fail(failure, XT_INVALID, "the partners are not in order");
        }
    }
    free(arena.memory);
    if (status != XT_OK) {
        xt_partners_free(made);
        return status != XT_NO_MEMORY ? status
                                      : xt_fail(failure, status, "no memory for the partners");
    }
    fill_slots(made);
    *partners = made;
    return XT_OK;
}

enum xt_status xt_partner_read(const char *dir, const char *name, struct xt_partner *partner,
                               struct xt_failure *failure)
{
    struct xt_partner_loading loading = {.previous = NULL};
    struct xt_failure why = {""};
    if (xt_path_join(loading.folder, dir, "partners") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    loading.arena = (struct xt_json_arena){malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    if (loading.arena.memory == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot read partner %s: out of memory", name);
    }
    enum xt_status status = read_partner(&loading, name, partner, &why);
    free(loading.arena.memory);
    if (status == XT_NOT_FOUND) {
        return xt_fail(failure, status, "there is no partner %s: see xacthuc partner list", name);
    }
    return status == XT_OK
               ? XT_OK
               : xt_fail(failure, status, "partners/%s" SUFFIX ": %.300s", name, why.text);
}

enum xt_status xt_partner_delete(const char *dir, const char *name, struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    char file[FILE_NAME_MAX + 1];
    snprintf(file, sizeof(file), "%s" SUFFIX, name);
    if (xt_path_join(folder, dir, "partners") != XT_OK ||
        xt_path_join(path, folder, file) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    if (unlink(path) != 0) {
        return errno == ENOENT
                   ? xt_fail(failure, XT_NOT_FOUND,
                             "there is no partner %s: see xacthuc partner list", name)
                   : xt_fail(failure, XT_IO, "cannot remove %s: %s", path, strerror(errno));
    }
    return xt_folder_sync(folder, failure);
}

enum xt_status xt_partner_save(const char *dir, const struct xt_partner *partner, bool replace,
                               struct xt_failure *failure)
{
    char folder[XT_PATH_MAX];
    char path[XT_PATH_MAX];
    char file[FILE_NAME_MAX + 1];
    snprintf(file, sizeof(file), "%s" SUFFIX, partner->name);
    if (xt_path_join(folder, dir, "partners") != XT_OK ||
        xt_path_join(path, folder, file) != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    uint8_t *text = malloc(XT_PARTNER_JSON_MAX);
    if (text == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot write %s: out of memory", path);
    }
    struct xt_writer writer = xt_writer_over(text, XT_PARTNER_JSON_MAX);
    xt_partner_to_json(partner, &writer);
    enum xt_status status = writer.overflow
                                ? xt_fail(failure, XT_TOO_LARGE, "%s would be too large", path)
                                : xt_file_write(path, xt_written(&writer), 0600, replace, failure);
    free(text);
    return status;
}
