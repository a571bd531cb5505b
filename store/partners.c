#include "store/partners.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/file.h"

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

struct loading {
    char folder[XT_PATH_MAX];
    const struct xt_partners *previous;
    xt_partners_report report;
    void *context;
    struct xt_json_arena arena;
    struct xt_partners *partners;
};

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

/* ---- loading ------------------------------------------------------------------------------- */

/* Adds a copy of partner unless one of its certificates is another's: then gives whose. */
static enum xt_status add_partner(struct xt_partners *partners, const struct xt_partner *partner,
                                  const char **other)
{
    for (unsigned i = 0; i < partner->certificate_count; i++) {
        const struct xt_partner *holder = xt_partners_by_spki(partners, partner->certificates[i]);
        if (holder != NULL) {
            *other = holder->name;
            return XT_EXISTS;
        }
    }
    struct xt_partner *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return XT_NO_MEMORY;
    }
    *copy = *partner;
    unsigned index = partners->count++;
    partners->list[index] = copy;
    for (unsigned i = 0; i < copy->certificate_count; i++) {
        *slot_of(partners, copy->certificates[i]) = (index << 3 | i) + 1;
    }
    return XT_OK;
}

static enum xt_status read_partner(const struct loading *loading, const char *file,
                                   const char *name, struct xt_partner *partner,
                                   struct xt_failure *why)
{
    char path[XT_PATH_MAX];
    uint8_t *content = NULL;
    size_t size = 0;
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
    /* A limit that is written down but not kept would be believed. */
    if (status == XT_OK && partner->daily_quota > 0) {
        status = xt_fail(why, XT_UNSUPPORTED,
                         "daily_quota is not enforced by this version: take the member out");
    }
    return status;
}

/* One file: the partner in it, or its previous version and a report, or only a report. */
static enum xt_status load_file(struct loading *loading, const char *file)
{
    char name[XT_PARTNER_NAME_MAX + 1] = "";
    struct xt_partner partner = {.certificate_count = 0};
    struct xt_failure why;
    const char *other = NULL;
    size_t size = strlen(file) - SUFFIX_SIZE;
    enum xt_status status;
    if (size > XT_PARTNER_NAME_MAX || !xt_policy_name_is_valid(xt_span_of(file, size))) {
        loading->report(loading->context, file, "the file is not called after a partner");
        return XT_OK;
    }
    memcpy(name, file, size);
    status = read_partner(loading, file, name, &partner, &why);
    if (status == XT_OK) {
        status = add_partner(loading->partners, &partner, &other);
        if (status == XT_EXISTS) {
            (void)xt_fail(&why, status, "one of its certificates is already that of %s", other);
        }
    }
    if (status == XT_OK || status == XT_NO_MEMORY) {
        return status;
    }
    const struct xt_partner *before =
        loading->previous == NULL ? NULL : xt_partners_by_name(loading->previous, name);
    status = before == NULL ? XT_NOT_FOUND : add_partner(loading->partners, before, &other);
    if (status == XT_NO_MEMORY) {
        return status;
    }
    char text[sizeof(why.text) + 64];
    snprintf(text, sizeof(text), "%s; %s", why.text,
             status == XT_OK ? "its version before stays in force" : "this partner is not served");
    loading->report(loading->context, file, text);
    return XT_OK;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    size_t left_size = strlen(*left) - SUFFIX_SIZE;
    size_t right_size = strlen(*right) - SUFFIX_SIZE;
    int order = memcmp(*left, *right, left_size < right_size ? left_size : right_size);
    return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

static bool is_partner_file(const char *name)
{
    size_t size = strlen(name);
    return name[0] != '.' && size > SUFFIX_SIZE && strcmp(name + size - SUFFIX_SIZE, SUFFIX) == 0;
}

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

/* The names of the partners' files, in the order of the partners' names. */
static enum xt_status list_files(const char *folder, char ***names, size_t *count,
                                 struct xt_failure *failure)
{
    size_t capacity = 0;
    enum xt_status status = XT_OK;
    *names = NULL;
    *count = 0;
    DIR *list = opendir(folder);
    if (list == NULL) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot read %s: %s",
                       folder, strerror(errno));
    }
    struct dirent *entry;
    while (status == XT_OK && (entry = readdir(list)) != NULL) {
        if (!is_partner_file(entry->d_name)) {
            continue;
        }
        if (*count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            char **grown = realloc(*names, capacity * sizeof(*grown));
            if (grown == NULL) {
                status = XT_NO_MEMORY;
                break;
            }
            *names = grown;
        }
        (*names)[*count] = strdup(entry->d_name);
        status = (*names)[*count] == NULL ? XT_NO_MEMORY : XT_OK;
        *count += status == XT_OK;
    }
    closedir(list);
    if (status != XT_OK) {
        free_names(*names, *count);
        (void)xt_fail(failure, status, "cannot read %s: out of memory", folder);
        return status;
    }
    if (*count > 0) {
        qsort(*names, *count, sizeof(**names), compare_names);
    }
    return XT_OK;
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

enum xt_status xt_partners_load(const char *dir, const struct xt_partners *previous,
                                xt_partners_report report, void *context,
                                struct xt_partners **partners, struct xt_failure *failure)
{
    struct loading loading = {.previous = previous, .report = report, .context = context};
    char **names;
    size_t count;
    if (xt_path_join(loading.folder, dir, "partners") != XT_OK) {
        return xt_fail(failure, XT_TOO_LARGE, "the path of the deployment is too long");
    }
    enum xt_status status = list_files(loading.folder, &names, &count, failure);
    if (status != XT_OK) {
        return status;
    }
    size_t used = count < XT_PARTNERS_MAX ? count : XT_PARTNERS_MAX;
    loading.arena = (struct xt_json_arena){malloc(XT_PERSON_JSON_ARENA), XT_PERSON_JSON_ARENA};
    loading.partners = new_set(used);
    if (loading.arena.memory == NULL || loading.partners == NULL) {
        status = XT_NO_MEMORY;
    }
    for (size_t i = 0; i < count && status == XT_OK; i++) {
        if (i < used) {
            status = load_file(&loading, names[i]);
        } else {
            report(context, names[i], "there are too many partners (at most 4096)");
        }
    }
    free(loading.arena.memory);
    free_names(names, count);
    if (status != XT_OK) {
        xt_partners_free(loading.partners);
        return xt_fail(failure, status, "cannot load the partners: out of memory");
    }
    *partners = loading.partners;
    return XT_OK;
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
