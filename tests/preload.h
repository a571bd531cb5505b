/* tests/preload: a disk that is recorded or fails, and a clock that jumps, under a real program.
 *
 *   LD_PRELOAD=$XT_PRELOAD
 *   PRELOAD_FOLDER     which files: those below this folder (its real path, without a last slash)
 *   PRELOAD_RECORD     file to which every change of them is appended, in order
 *   PRELOAD_CONTROL    file with a struct preload_control, shared with the test
 *
 * A record is a struct preload_op, the path, the other path and the bytes. Changes are noted before they are
 * made, syncs when they have come back. What a program does to files it has no name for (O_TMPFILE, or
 * deleted) is not noted: no power cut brings them back.
 * Changes through a map cannot be seen: PRELOAD_MAPPED notes that somebody may make some. LMDB's lock files
 * are not noted at all.
 */
#ifndef XT_TESTS_PRELOAD_H
#define XT_TESTS_PRELOAD_H

#include <stdint.h>

enum preload_type {
    PRELOAD_WRITE = 1,
    PRELOAD_SYNC,   /* of a file or a folder */
    PRELOAD_CREATE, /* an empty file */
    PRELOAD_MKDIR,
    PRELOAD_RENAME,   /* path to other */
    PRELOAD_SYMLINK,  /* path, which leads to other */
    PRELOAD_LINK,     /* path, also under the name other */
    PRELOAD_UNLINK,   /* or rmdir */
    PRELOAD_TRUNCATE, /* to offset */
    PRELOAD_MAPPED
};

/* What is certain of a write when it has come back. */
enum preload_synced {
    PRELOAD_CACHED, /* nothing, until a sync */
    PRELOAD_SYNCED, /* it is on the disk (O_DSYNC) */
    PRELOAD_GIVEN_UP, /* nothing, and no sync will write it: it failed, and the system took it off its list */
};

struct preload_op {
    uint32_t type;
    uint32_t synced;
    uint64_t offset, size;
    uint32_t path, other; /* their lengths; paths are relative to the folder, "" is itself */
};

/* Which calls fail. A page is one of LMDB's. */
#define PRELOAD_META 1U  /* writes of less than a page into the first two */
#define PRELOAD_DATA 2U  /* other writes */
#define PRELOAD_SYNCS 4U /* fsync, fdatasync */

enum preload_how {
    PRELOAD_FAILS,  /* nothing is done, and `error` comes back */
    PRELOAD_SHORT,  /* half of it is written, and that comes back */
    PRELOAD_LATE,   /* it is written but not synced, and `error` comes back */
    PRELOAD_KILLED, /* it is written but not synced, and SIGKILL comes (in a sandbox SIGSYS) */
};

/* Syncs that a harness takes away, to show that it would see it. */
#define PRELOAD_NO_DATA_SYNC 1U /* fdatasync and fsync of a file do nothing */
#define PRELOAD_NO_META_SYNC 2U /* nor does O_DSYNC */

struct preload_control {
    int64_t clock_ms;      /* added to the time of day */
    uint32_t without;      /* PRELOAD_NO_*; of the recording */
    uint32_t which, how;   /* which 0: none fails */
    int32_t error;         /* errno */
    uint32_t after, times; /* so many succeed first, and so many fail then */
    uint32_t failed;       /* so many did */
    uint32_t writes;       /* of live.mdb's pages since the start, of either kind */
};

#endif
