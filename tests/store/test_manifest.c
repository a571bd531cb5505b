#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/manifest.h"
#include "tests/store/deployment.h"
#include "tests/test.h"

static struct xt_failure failure;

static struct xt_manifest some_manifest(void)
{
    struct xt_manifest manifest = {.version = XT_MANIFEST_VERSION,
                                   .number = 7,
                                   .key_id = xt_keyring_current(deployment_keyring()),
                                   .made_unix_ms = UINT64_MAX,
                                   .people = 100000000,
                                   .replaced = 1,
                                   .aliases = 2,
                                   .folded = 77,
                                   .folded_base = 6,
                                   .file_bytes = 1ULL << 40};
    memset(manifest.salt, 0xa5, sizeof(manifest.salt));
    memset(manifest.digest, 0x5a, sizeof(manifest.digest));
    memset(manifest.folded_live, 0x3c, sizeof(manifest.folded_live));
    for (unsigned i = 0; i < XT_TABLE_COUNT; i++) {
        manifest.tables[i] = (struct xt_table_sizes){i + 10, i + 20, i + 30};
    }
    return manifest;
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct xt_manifest manifest = some_manifest();
    struct xt_manifest back;
    struct xt_structure read;
    uint32_t pages[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        pages[i] = i * 850000;
    }
    struct xt_structure structure = {.page_bytes = 4096, .count = COUNT, .pages = pages};
    memset(structure.digest, 0x11, sizeof(structure.digest));
    assert_int_equal(
        xt_manifest_write(deployment(), &manifest, &structure, deployment_keyring(), &failure),
        XT_OK);
    assert_int_equal(xt_manifest_read(deployment(), deployment_keyring(), &back, &read, &failure),
                     XT_OK);
    assert_int_equal(back.version, manifest.version);
    assert_int_equal(back.number, 7);
    assert_int_equal(back.key_id, manifest.key_id);
    assert_memory_equal(back.salt, manifest.salt, sizeof(back.salt));
    assert_int_equal(back.made_unix_ms, UINT64_MAX);
    assert_int_equal(back.people, 100000000);
    assert_int_equal(back.replaced, 1);
    assert_int_equal(back.aliases, 2);
    assert_int_equal(back.folded, 77);
    assert_int_equal(back.folded_base, 6);
    assert_memory_equal(back.folded_live, manifest.folded_live, sizeof(back.folded_live));
    assert_memory_equal(back.tables, manifest.tables, sizeof(back.tables));
    assert_int_equal(back.file_bytes, 1ULL << 40);
    assert_memory_equal(back.digest, manifest.digest, sizeof(back.digest));
    assert_int_equal(read.page_bytes, 4096);
    assert_int_equal(read.count, COUNT);
    assert_memory_equal(read.pages, pages, sizeof(pages));
    assert_memory_equal(read.digest, structure.digest, sizeof(read.digest));
    xt_structure_free(&read);
}

/* Of before there were compactions. */
static void an_older_version_is_read(void **state)
{
    (void)state;
    struct xt_manifest manifest = some_manifest();
    struct xt_manifest back;
    struct xt_structure read;
    uint32_t pages[] = {0, 1};
    struct xt_structure structure = {.page_bytes = 4096, .count = 2, .pages = pages};
    char folder[4096];
    snprintf(folder, sizeof(folder), "%s/older", deployment());
    assert_int_equal(mkdir(folder, 0700), 0);
    manifest.version = 2;
    assert_int_equal(
        xt_manifest_write(folder, &manifest, &structure, deployment_keyring(), &failure), XT_OK);
    assert_null(strstr(read_text("older/manifest"), "folded"));
    assert_int_equal(xt_manifest_read(folder, deployment_keyring(), &back, &read, &failure), XT_OK);
    assert_int_equal(back.people, 100000000);
    assert_true(back.folded == 0);
    assert_memory_equal(back.tables, manifest.tables, sizeof(back.tables));
    xt_structure_free(&read);
}

static void text_that_is_not_a_manifest_is_refused(void **state)
{
    (void)state;
    struct xt_manifest manifest = some_manifest();
    struct xt_manifest back;
    struct xt_structure read;
    uint32_t pages[] = {0, 1};
    struct xt_structure structure = {.page_bytes = 4096, .count = 2, .pages = pages};
    char text[4096];
    snprintf(text, sizeof(text), "%s/text", deployment());
    assert_int_equal(mkdir(text, 0700), 0);
    assert_int_equal(xt_manifest_write(text, &manifest, &structure, deployment_keyring(), &failure),
                     XT_OK);
    size_t size = strlen(read_text("text/manifest"));
    char *whole = strdup(read_text("text/manifest"));
    assert_non_null(whole);
    const char *path = deployment_path("text/manifest");
    for (size_t cut = 0; cut < size; cut += 7) { /* each write is synced */
        assert_int_equal(xt_file_write(path, xt_span_of(whole, cut), 0400, true, &failure), XT_OK);
        assert_int_equal(xt_manifest_read(text, deployment_keyring(), &back, &read, &failure),
                         XT_CORRUPT);
    }
    char *longer = malloc(size + 2);
    assert_non_null(longer);
    memcpy(longer, whole, size);
    memcpy(longer + size, "\n", 1);
    assert_int_equal(xt_file_write(path, xt_span_of(longer, size + 1), 0400, true, &failure),
                     XT_OK);
    assert_int_equal(xt_manifest_read(text, deployment_keyring(), &back, &read, &failure),
                     XT_CORRUPT);
    free(longer);
    free(whole);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(xt_manifest_read(text, deployment_keyring(), &back, &read, &failure),
                     XT_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(an_older_version_is_read),
        cmocka_unit_test(text_that_is_not_a_manifest_is_refused),
    };
    return cmocka_run_group_tests(tests, deployment_make, deployment_remove);
}
