#include "tests/crash_states.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/core/mutate.h"
#include "tests/preload.h"
#include "tests/test.h"

#define SECTOR 512U
#define PAGE 4096U
#define ALL_OF 5 /* with so many pieces or fewer all subsets are made */
#define PATH_SIZE 1024
#define NODES 256

/* A file, folder or symbolic link, whatever it is called. */
struct node {
    enum { A_FOLDER, A_FILE, A_LINK } kind;
    char target[PATH_SIZE];
    uint8_t *bytes; /* on the disk */
    size_t size, room;
    uint8_t *state; /* with the subset at hand */
    size_t state_size;
};

/* A part of a write, within a sector, that is not on the disk for certain. */
struct piece {
    struct node *node;
    uint64_t offset;
    const uint8_t *bytes;
    unsigned size;
    bool given_up; /* no sync writes it any more */
};

/* A name in a folder. gone: it was taken out. */
struct name {
    struct node *parent, *node;
    char text[128];
    bool gone;
};
/* A change of names, all of it or nothing: at most the old name out and the new one in. */
struct renaming {
    struct name in, out;
};

struct tree {
    struct name names[NODES];
    size_t count;
};

struct crash_recording {
    uint8_t *data;
    size_t size, told_count, told_room;
    struct told {
        const uint8_t *bytes;
        size_t size;
    } * told;
    /* While states are made. */
    struct node nodes[NODES]; /* the first is the folder itself */
    size_t node_count;
    struct tree seen, lasting; /* as programs see it; as it is on the disk */
    struct piece *pieces;
    size_t piece_count, piece_room;
    struct renaming *renamings;
    size_t renaming_count, renaming_room;
    uint8_t *take;   /* of each renaming, then of each piece */
    uint64_t *known; /* hashes of states, open addressing */
    size_t known_count, known_room;
};

/* ---- the recording ------------------------------------------------------------------------------ */

static void *grow(void *memory, size_t count, size_t *room, size_t each)
{
    if (count < *room) {
        return memory;
    }
    *room = *room == 0 ? 64 : 2 * *room;
    memory = realloc(memory, *room * each);
    assert_non_null(memory);
    return memory;
}

/* One record; path and other end with a zero byte. */
struct record {
    struct preload_op op;
    char path[PATH_SIZE], other[PATH_SIZE];
    const uint8_t *bytes;
};

static bool read_record(const struct crash_recording *recording, size_t *at, struct record *record)
{
    size_t left = recording->size - *at;
    if (left < sizeof(record->op)) {
        return false;
    }
    const uint8_t *from = recording->data + *at;
    memcpy(&record->op, from, sizeof(record->op));
    from += sizeof(record->op);
    size_t size = sizeof(record->op) + record->op.path + record->op.other + record->op.size;
    assert_true(size <= left && record->op.path < PATH_SIZE && record->op.other < PATH_SIZE);
    memcpy(record->path, from, record->op.path);
    record->path[record->op.path] = '\0';
    memcpy(record->other, from + record->op.path, record->op.other);
    record->other[record->op.other] = '\0';
    record->bytes = from + record->op.path + record->op.other;
    *at += size;
    return true;
}

static bool is_told(const struct record *record)
{
    return strcmp(record->path, "told") == 0;
}

struct crash_recording *crash_recording_open(const char *path)
{
    struct crash_recording *recording = calloc(1, sizeof(*recording));
    struct record record;
    struct stat facts;
    assert_non_null(recording);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &facts) == 0);
    recording->size = (size_t)facts.st_size;
    recording->data = malloc(recording->size + 1);
    assert_non_null(recording->data);
    for (size_t done = 0; done < recording->size;) {
        ssize_t got = read(fd, recording->data + done, recording->size - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    close(fd);
    for (size_t at = 0; read_record(recording, &at, &record);) {
        assert_int_not_equal(record.op.type, PRELOAD_MAPPED); /* nobody saw what it wrote */
        if (is_told(&record) && record.op.type == PRELOAD_WRITE) {
            recording->told = grow(recording->told, recording->told_count, &recording->told_room,
                                   sizeof(*recording->told));
            recording->told[recording->told_count++] = (struct told){record.bytes, record.op.size};
        }
    }
    return recording;
}

static void forget_nodes(struct crash_recording *recording)
{
    for (size_t i = 0; i < recording->node_count; i++) {
        free(recording->nodes[i].bytes);
        free(recording->nodes[i].state);
    }
    recording->node_count = 0;
}

void crash_recording_close(struct crash_recording *recording)
{
    if (recording == NULL) {
        return;
    }
    forget_nodes(recording);
    free(recording->data);
    free(recording->told);
    free(recording->pieces);
    free(recording->renamings);
    free(recording->take);
    free(recording->known);
    free(recording);
}

const void *crash_told(const struct crash_recording *recording, size_t n, size_t *size)
{
    *size = n < recording->told_count ? recording->told[n].size : 0;
    return n < recording->told_count ? recording->told[n].bytes : NULL;
}

/* ---- names -------------------------------------------------------------------------------------- */

static struct node *new_node(struct crash_recording *recording, int kind)
{
    assert_true(recording->node_count < NODES);
    struct node *node = &recording->nodes[recording->node_count++];
    memset(node, 0, sizeof(*node));
    node->kind = kind;
    return node;
}

static struct name *find_name(struct tree *tree, const struct node *parent, const char *text)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->names[i].parent == parent && strcmp(tree->names[i].text, text) == 0) {
            return &tree->names[i];
        }
    }
    return NULL;
}

/* A path as programs see it now. *parent and name: where it stands, or would. NULL: nothing is there. */
static struct node *resolve(struct crash_recording *recording, const char *path,
                            struct node **parent, char name[128])
{
    struct node *at = &recording->nodes[0];
    *parent = NULL;
    while (*path != '\0') {
        size_t size = strcspn(path, "/");
        assert_true(size > 0 && size < 128 && at != NULL);
        *parent = at;
        memcpy(name, path, size);
        name[size] = '\0';
        struct name *found = find_name(&recording->seen, at, name);
        at = found == NULL ? NULL : found->node;
        path += size + (path[size] == '/');
    }
    return at;
}

static void put_name(struct tree *tree, const struct name *name)
{
    struct name *place = name->parent == NULL ? NULL : find_name(tree, name->parent, name->text);
    if (name->parent == NULL) {
        return;
    }
    if (name->gone) {
        if (place != NULL) {
            *place = tree->names[--tree->count];
        }
        return;
    }
    if (place == NULL) {
        assert_true(tree->count < NODES);
        place = &tree->names[tree->count++];
    }
    *place = *name;
}

/* The old name goes and the new one comes, if the old one is there at all. */
static void rename_in(struct tree *tree, const struct renaming *renaming)
{
    if (renaming->out.parent != NULL &&
        find_name(tree, renaming->out.parent, renaming->out.text) == NULL) {
        return;
    }
    put_name(tree, &renaming->out);
    put_name(tree, &renaming->in);
}

static void change_names(struct crash_recording *recording, const struct record *record)
{
    struct renaming renaming = {.in = {.parent = NULL}};
    struct node *parent;
    char text[128];
    struct node *node = resolve(recording, record->path, &parent, text);
    struct name here = {.parent = parent, .node = node};
    snprintf(here.text, sizeof(here.text), "%s", text);
    switch ((enum preload_type)record->op.type) {
    case PRELOAD_CREATE:
    case PRELOAD_MKDIR:
    case PRELOAD_SYMLINK:
        if (node != NULL) {
            return;
        }
        here.node = new_node(recording, record->op.type == PRELOAD_CREATE  ? A_FILE
                                        : record->op.type == PRELOAD_MKDIR ? A_FOLDER
                                                                           : A_LINK);
        snprintf(here.node->target, sizeof(here.node->target), "%s", record->other);
        renaming.in = here;
        break;
    case PRELOAD_UNLINK:
        here.gone = true;
        renaming.out = here;
        break;
    default: /* rename, link */
        assert_non_null(node);
        if (record->op.type == PRELOAD_RENAME) {
            renaming.out = here;
            renaming.out.gone = true;
        }
        (void)resolve(recording, record->other, &renaming.in.parent, renaming.in.text);
        renaming.in.node = node;
    }
    rename_in(&recording->seen, &renaming);
    recording->renamings = grow(recording->renamings, recording->renaming_count,
                                &recording->renaming_room, sizeof(*recording->renamings));
    recording->renamings[recording->renaming_count++] = renaming;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static void put_bytes(uint8_t **bytes, size_t *size, size_t *room, const struct piece *piece)
{
    size_t end = piece->offset + piece->size;
    if (end > *room) {
        *room = 2 * end;
        *bytes = realloc(*bytes, *room);
        assert_non_null(*bytes);
    }
    if (end > *size) {
        memset(*bytes + *size, 0, end - *size);
        *size = end;
    }
    memcpy(*bytes + piece->offset, piece->bytes, piece->size);
}

static void make_lasting(const struct piece *piece)
{
    put_bytes(&piece->node->bytes, &piece->node->size, &piece->node->room, piece);
}

static void note_write(struct crash_recording *recording, struct node *node,
                       const struct record *record)
{
    for (uint64_t done = 0; done < record->op.size;) {
        uint64_t at = record->op.offset + done;
        uint64_t size = SECTOR - at % SECTOR;
        size = size > record->op.size - done ? record->op.size - done : size;
        recording->pieces = grow(recording->pieces, recording->piece_count, &recording->piece_room,
                                 sizeof(*recording->pieces));
        recording->pieces[recording->piece_count++] = (struct piece){
            node, at, record->bytes + done, (unsigned)size, record->op.synced == PRELOAD_GIVEN_UP};
        done += size;
    }
}

/* Written over. */
static bool is_covered(const struct crash_recording *recording, const struct piece *piece,
                       size_t later, const struct node *node, uint64_t from, uint64_t end)
{
    for (; later < recording->piece_count; later++) {
        const struct piece *over = &recording->pieces[later];
        if (over->node == node && !over->given_up && over->offset >= from && over->offset < end &&
            over->offset <= piece->offset &&
            over->offset + over->size >= piece->offset + piece->size) {
            return true;
        }
    }
    return false;
}

/* What stands in a range, or in the whole file, is on the disk now, as it was written; but for what the
 * system has given up, if nothing was written over it. */
static void sync_range(struct crash_recording *recording, const struct node *node, uint64_t from,
                       uint64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < recording->piece_count; i++) {
        const struct piece *piece = &recording->pieces[i];
        bool within =
            piece->node == node && piece->offset >= from / SECTOR * SECTOR && piece->offset < end;
        if (within && !piece->given_up) {
            make_lasting(piece);
        } else if (!within || !is_covered(recording, piece, i + 1, node, from, end)) {
            recording->pieces[kept++] = *piece;
        }
    }
    recording->piece_count = kept;
}

static void sync_folder(struct crash_recording *recording, const struct node *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < recording->renaming_count; i++) {
        const struct renaming *renaming = &recording->renamings[i];
        if (renaming->in.parent == folder || renaming->out.parent == folder) {
            rename_in(&recording->lasting, renaming);
        } else {
            recording->renamings[kept++] = *renaming;
        }
    }
    recording->renaming_count = kept;
}

/* ---- a state ------------------------------------------------------------------------------------ */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 29;
    }
    for (; size > 0; size--) {
        hash = (hash ^ *at++) * 0x100000001b3ULL;
    }
    return hash;
}

static bool is_new(struct crash_recording *recording, uint64_t hash)
{
    if (recording->known_count * 2 >= recording->known_room) {
        uint64_t *old = recording->known;
        size_t room = recording->known_room;
        recording->known_room = room == 0 ? 4096 : 2 * room;
        recording->known = calloc(recording->known_room, sizeof(*recording->known));
        assert_non_null(recording->known);
        recording->known_count = 0;
        for (size_t i = 0; i < room; i++) {
            (void)(old[i] != 0 && is_new(recording, old[i]));
        }
        free(old);
    }
    hash |= hash == 0;
    size_t at = hash % recording->known_room;
    while (recording->known[at] != 0 && recording->known[at] != hash) {
        at = (at + 1) % recording->known_room;
    }
    bool found = recording->known[at] == hash;
    recording->known[at] = hash;
    recording->known_count += !found;
    return !found;
}

static uint64_t lay_out_folder(struct crash_recording *recording, const struct tree *tree,
                               const struct node *folder, const char *path, bool write)
{
    uint64_t hash = 1;
    for (size_t i = 0; i < tree->count; i++) {
        const struct name *name = &tree->names[i];
        const struct node *node = name->node;
        char inside[PATH_SIZE];
        if (name->parent != folder) {
            continue;
        }
        snprintf(inside, sizeof(inside), "%s/%.127s", path, name->text);
        uint64_t one = hash_bytes((uint64_t)node->kind + 1, name->text, strlen(name->text));
        if (node->kind == A_FOLDER) {
            if (write) {
                assert_int_equal(mkdir(inside, 0700), 0);
            }
            one ^= 3 * lay_out_folder(recording, tree, node, inside, write);
        } else if (node->kind == A_LINK) {
            one = hash_bytes(one, node->target, strlen(node->target));
            assert_true(!write || symlink(node->target, inside) == 0);
        } else {
            one = hash_bytes(one, node->state, node->state_size);
            if (write) {
                int fd = open(inside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                assert_true(fd >= 0 && pwrite(fd, node->state, node->state_size, 0) ==
                                           (ssize_t)node->state_size);
                close(fd);
            }
        }
        hash += one * 0x9e3779b97f4a7c15ULL;
    }
    return hash;
}

static void empty_folder(const char *path)
{
    DIR *list = opendir(path);
    struct dirent *entry;
    assert_non_null(list);
    while ((entry = readdir(list)) != NULL) {
        char inside[PATH_SIZE + 256];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR) {
            empty_folder(inside);
            assert_int_equal(rmdir(inside), 0);
        } else {
            assert_int_equal(unlink(inside), 0);
        }
    }
    closedir(list);
}

/* The subset in `take`. longer: the files have their full length, whatever is in them. */
static void make_state(struct crash_recording *recording, const struct crash_plan *plan,
                       bool longer, size_t told, crash_visit visit, void *context, size_t *count)
{
    static struct tree tree;
    tree = recording->lasting;
    for (size_t i = 0; i < recording->renaming_count; i++) {
        if (recording->take[i]) {
            rename_in(&tree, &recording->renamings[i]);
        }
    }
    for (size_t i = 0; i < recording->node_count; i++) {
        struct node *node = &recording->nodes[i];
        if (node->kind == A_FILE) {
            node->state = realloc(node->state, node->room + 1);
            assert_non_null(node->state);
            node->state_size = node->size;
            if (node->size > 0) {
                memcpy(node->state, node->bytes, node->size);
            }
        }
    }
    for (size_t i = 0; i < recording->piece_count; i++) {
        struct piece piece = recording->pieces[i];
        struct node *node = piece.node;
        bool taken = recording->take[recording->renaming_count + i];
        size_t room = node->room;
        if (!taken && longer && piece.offset + piece.size > node->state_size) {
            static const uint8_t zeros[SECTOR];
            piece.bytes = zeros;
            taken = true;
        }
        if (taken) {
            put_bytes(&node->state, &node->state_size, &room, &piece);
            if (room > node->room) { /* the next one needs as much */
                node->room = room;
                node->bytes = realloc(node->bytes, room);
                assert_non_null(node->bytes);
            }
        }
    }
    const struct node *top = &recording->nodes[0];
    if (is_new(recording, lay_out_folder(recording, &tree, top, plan->folder, false))) {
        (void)lay_out_folder(recording, &tree, top, plan->folder, true);
        visit(context, told);
        empty_folder(plan->folder);
        ++*count;
    }
}

/* Subset k of those at one sync. */
static bool draw(struct crash_recording *recording, unsigned k, uint64_t *random)
{
    size_t names = recording->renaming_count;
    size_t all = names + recording->piece_count;
    uint64_t how = k < 2 ? k : 2 + next_random(random) % 9;
    size_t one = next_random(random) % all;
    unsigned density = 1U << (next_random(random) % 5); /* in 32 */
    for (size_t i = 0; i < all; i++) {
        bool chance = next_random(random) % 32 < density;
        bool take = how == 1;
        if (all <= ALL_OF) {
            take = (k >> i & 1) != 0;
        } else if (how == 2) {
            take = i < one;
        } else if (how == 3) {
            take = i >= one;
        } else if (how == 4 && i >= names) { /* whole pages */
            const struct piece *piece = &recording->pieces[i - names];
            uint64_t page = piece->offset / PAGE + one + k;
            take = next_random(&page) % 32 < density;
        } else if (how == 5) {
            take = i == one;
        } else if (how == 6) {
            take = i != one;
        } else if (how == 7 || how == 8) {
            take = !chance;
        } else if (how > 8 || how == 4) {
            take = chance;
        }
        recording->take[i] = take;
    }
    return next_random(random) % 4 == 0;
}

static void make_states(struct crash_recording *recording, const struct crash_plan *plan,
                        uint64_t *random, size_t told, crash_visit visit, void *context,
                        size_t *count)
{
    size_t all = recording->renaming_count + recording->piece_count;
    unsigned most = all <= ALL_OF ? 1U << all : plan->at_each;
    if (all == 0) {
        return;
    }
    recording->take = realloc(recording->take, all);
    assert_non_null(recording->take);
    for (unsigned k = 0; k < most; k++) {
        bool longer = draw(recording, k, random);
        make_state(recording, plan, longer, told, visit, context, count);
    }
}

size_t crash_each_state(struct crash_recording *recording, const struct crash_plan *plan,
                        crash_visit visit, void *context)
{
    struct record record;
    size_t count = 0;
    size_t told = 0;
    uint64_t random = plan->seed;
    forget_nodes(recording);
    recording->seen.count = recording->lasting.count = 0;
    recording->piece_count = recording->renaming_count = 0;
    (void)new_node(recording, A_FOLDER);
    for (size_t at = 0; read_record(recording, &at, &record);) {
        struct node *parent;
        char text[128];
        if (is_told(&record)) {
            /* Not lost with what is on the disk from here on. */
            if (record.op.type == PRELOAD_WRITE) {
                make_states(recording, plan, &random, told, visit, context, &count);
                told++;
            }
            continue;
        }
        if (record.op.type != PRELOAD_WRITE && record.op.type != PRELOAD_SYNC) {
            assert_int_not_equal(record.op.type, PRELOAD_TRUNCATE); /* nobody does it so far */
            change_names(recording, &record);
            continue;
        }
        struct node *node = resolve(recording, record.path, &parent, text);
        if (node == NULL) { /* made by mkstemp, which nobody sees */
            struct record made = record;
            made.op.type = PRELOAD_CREATE;
            change_names(recording, &made);
            node = resolve(recording, record.path, &parent, text);
        }
        if (record.op.type == PRELOAD_WRITE) {
            note_write(recording, node, &record);
        }
        if (record.op.type == PRELOAD_SYNC || record.op.synced == PRELOAD_SYNCED) {
            make_states(recording, plan, &random, told, visit, context, &count);
        }
        if (record.op.type == PRELOAD_SYNC && node->kind == A_FOLDER) {
            sync_folder(recording, node);
        } else if (record.op.type == PRELOAD_SYNC) {
            sync_range(recording, node, 0, UINT64_MAX);
        } else if (record.op.synced == PRELOAD_SYNCED) {
            sync_range(recording, node, record.op.offset, record.op.offset + record.op.size);
        }
    }
    make_states(recording, plan, &random, told, visit, context, &count);
    return count;
}
