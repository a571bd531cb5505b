#include "tests/store/deployment.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "store/builder.h"
#include "tests/test.h"

static char folder[64];
static struct xt_keyring *keyring;
char run_out[1 << 16];
char run_err[1 << 16];

const char *deployment(void)
{
    return folder;
}

const char *deployment_path(const char *name)
{
    static char paths[8][XT_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_int_equal(xt_path_join(path, folder, name), XT_OK);
    return path;
}

struct xt_keyring *deployment_keyring(void)
{
    return keyring;
}

int deployment_make(void **state)
{
    (void)state;
    struct xt_failure failure;
    xt_crypto_start();
    snprintf(folder, sizeof(folder), "/tmp/xt-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(deployment_path("keys"), 0700), 0);
    assert_int_equal(mkdir(deployment_path("identity"), 0700), 0);
    assert_int_equal(mkdir(deployment_path("partners"), 0700), 0);
    assert_int_equal(xt_keyring_create(deployment_path("keys/master.keys"), &failure), XT_OK);
    assert_int_equal(xt_keyring_open(deployment_path("keys/master.keys"), &keyring, &failure),
                     XT_OK);
    return 0;
}

static void remove_tree(const char *path)
{
    struct stat facts;
    if (lstat(path, &facts) != 0) {
        return;
    }
    if (!S_ISDIR(facts.st_mode)) {
        unlink(path);
        return;
    }
    chmod(path, 0700);
    DIR *list = opendir(path);
    struct dirent *entry;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        char inside[XT_PATH_MAX];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            xt_path_join(inside, path, entry->d_name) == XT_OK) {
            remove_tree(inside);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
    rmdir(path);
}

int deployment_remove(void **state)
{
    (void)state;
    xt_keyring_close(keyring);
    keyring = NULL;
    (void)umount2(deployment_path("identity"), MNT_DETACH); /* of a test that failed half-way */
    remove_tree(folder);
    return 0;
}

unsigned count_names(const char *name, const char *prefix)
{
    unsigned count = 0;
    DIR *list = opendir(deployment_path(name));
    struct dirent *entry;
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                 strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    }
    closedir(list);
    return count;
}

bool exists(const char *name)
{
    struct stat facts;
    return lstat(deployment_path(name), &facts) == 0;
}

void write_text(const char *name, const char *text)
{
    FILE *file = fopen(deployment_path(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

const char *read_text(const char *name)
{
    static char text[1 << 16];
    FILE *file = fopen(deployment_path(name), "r");
    size_t size = file == NULL ? 0 : fread(text, 1, sizeof(text) - 1, file);
    text[size] = 0;
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

void make_person(unsigned i, struct xt_person *person)
{
    static const char *const names[] = {"Nguyễn Văn An", "Trần Thị Bình", "Lê Hoàng Châu"};
    memset(person, 0, sizeof(*person));
    person->number = PERSON_NUMBER(i);
    person->full_name = xt_span_of_string(names[i % 3]);
    assert_int_equal(xt_name_parse(person->full_name, &person->name), XT_OK);
    assert_int_equal(xt_date_make(1990, i % 100 == 0 ? 5 : i % 12 + 1,
                                  i % 100 == 0 ? 0 : i % 28 + 1, &person->date_of_birth),
                     XT_OK);
    person->sex = i % 100 == 0 ? XT_SEX_FEMALE : XT_SEX_MALE;
    person->address_province = i % 2 == 0 ? 1 : 2;
    person->phone_count = 1;
    person->phones[0] = 912000000U + i;
    person->account_level = i % 3;
    if (i % 3 == 0) {
        person->has_cmnd = true;
        person->cmnd = PERSON_CMND(i);
    }
    if (i % 4 == 0) {
        char number[16];
        int size = snprintf(number, sizeof(number), "C%07u", i);
        person->link_count = 1;
        person->links[0].type = XT_LINK_PASSPORT;
        assert_int_equal(
            xt_document_parse(xt_span_of(number, (size_t)size), &person->links[0].number), XT_OK);
    }
    if (i % 5 != 4) {
        person->mother_name = xt_span_of_string("Phạm Thị Dung");
    }
}

static void no_duplicate(void *context, uint64_t line, uint64_t first, const char *code,
                         const char *pointer)
{
    (void)context;
    fail_msg("line %llu: %s %s of line %llu", (unsigned long long)line, code, pointer,
             (unsigned long long)first);
}

void build_people(unsigned from, unsigned to)
{
    struct xt_failure failure = {.text = ""};
    struct xt_builder *builder = NULL;
    struct xt_manifest manifest;
    struct xt_person person;
    unsigned count = to - from;
    assert_int_equal(xt_builder_open(folder, keyring, NULL, &builder, &failure), XT_OK);
    for (unsigned i = 0; i < count; i++) {
        make_person(from + (unsigned)(i * 7919ULL % count), &person); /* 7919 is prime */
        assert_int_equal(xt_builder_add(builder, 0, &person, i + 1, &failure), XT_OK);
    }
    assert_int_equal(xt_builder_sort(builder, no_duplicate, NULL, &failure), XT_OK);
    assert_int_equal(xt_builder_seal(builder, &manifest, &failure), XT_OK);
    assert_int_equal(manifest.people, count);
    xt_builder_close(builder);
}

struct xt_generation *open_served(void)
{
    struct xt_failure failure = {.text = ""};
    struct xt_generation *generation = NULL;
    uint32_t number = 0;
    assert_int_equal(xt_generation_current(folder, &number, &failure), XT_OK);
    enum xt_status status = xt_generation_open(folder, number, keyring, &generation, &failure);
    if (status != XT_OK) {
        fail_msg("%s", failure.text);
    }
    return generation;
}

bool find_is(struct xt_generation *generation, enum xt_id_kind kind, uint64_t value, bool found)
{
    struct xt_found result;
    struct xt_id id = {.kind = kind, .value = value};
    return xt_generation_find(generation, id, &result) == XT_OK && result.found == found;
}

/* ---- the binary ----------------------------------------------------------------------------- */

/* Reads back what the child wrote into a file that has no name. */
static void take_output(FILE *file, char *text, size_t size)
{
    rewind(file);
    size_t got = fread(text, 1, size - 1, file);
    text[got] = 0;
    fclose(file);
}

static int run_program(const char *input, size_t size, const char **arguments)
{
    FILE *in = tmpfile();
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    assert_true(in != NULL && out != NULL && err != NULL);
    assert_int_equal(fwrite(input, 1, size, in), size);
    rewind(in);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(fileno(in), 0);
        dup2(fileno(out), 1);
        dup2(fileno(err), 2);
        /* execv takes char * for historical reasons only */
        union {
            const char **from;
            char **to;
        } list = {.from = arguments};
        execv(arguments[0], list.to);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    fclose(in);
    take_output(out, run_out, sizeof(run_out));
    take_output(err, run_err, sizeof(run_err));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

const char *program(void)
{
    const char *path = getenv("XT_XACTHUC");
    assert_non_null(path);
    return path != NULL ? path : "";
}

static void collect(const char **list, const char *first, va_list rest)
{
    unsigned count = 0;
    list[count++] = program();
    for (const char *next = first; next != NULL; next = va_arg(rest, const char *)) {
        assert_true(count < 39);
        list[count++] = strcmp(next, "DIR") == 0 ? folder : next;
    }
    list[count] = NULL;
}

int run(const char *argument, ...)
{
    const char *list[40];
    va_list rest;
    va_start(rest, argument);
    collect(list, argument, rest);
    va_end(rest);
    return run_program("", 0, list);
}

int run_with_input(const char *input, size_t size, const char *argument, ...)
{
    const char *list[40];
    va_list rest;
    va_start(rest, argument);
    collect(list, argument, rest);
    va_end(rest);
    return run_program(input, size, list);
}
