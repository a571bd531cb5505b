/* What a writer does before it relies on what it reads.
 *
 * That is what the writer before it left in the system's memory. That one may have been killed, or have
 * failed, in the middle of a commit: then the commit is seen, and would be answered for, and is not on the
 * disk yet; or it is on the disk and no more seen, and its pages are about to be used again. A power cut then
 * loses what was acknowledged, or finds the one commit with pages of the other. So what says which commit was
 * the last is written once more, as it is read. */
#include <errno.h>
#include <lmdb.h>
#include <unistd.h>

#include "store/live_internal.h"

/* Of each of LMDB's two first pages the part that says which transaction was the last. */
#define META_SIZE 512

int xt_live_note_commit(struct xt_live *live)
{
    MDB_envinfo info;
    int code = mdb_env_info(live->env, &info);
    live->committed = code == 0 ? (uint64_t)info.me_last_txnid : live->committed;
    return code;
}

int xt_live_begin_write(struct xt_live *live)
{
    int code = live->moved ? XT_LIVE_MOVED : mdb_txn_begin(live->env, NULL, 0, &live->txn);
    if (code == 0 && (uint64_t)mdb_txn_id(live->txn) != live->committed + 1) {
        live->moved = true;
        code = XT_LIVE_MOVED;
    }
    if (code != 0) {
        live->txn = NULL; /* with XT_LIVE_MOVED it goes on, and has the mutex */
    }
    return code;
}

int xt_live_end_write(struct xt_live *live, int code)
{
    if (code == 0) {
        code = mdb_txn_commit(live->txn);
        code = code == 0 ? xt_live_note_commit(live) : code;
    } else {
        mdb_txn_abort(live->txn);
    }
    live->txn = NULL;
    live->active = false;
    return code;
}

int xt_live_pin(struct xt_live *live)
{
    MDB_stat stat;
    int fd = -1;
    int code = mdb_env_stat(live->env, &stat);
    if (code == 0) {
        code = mdb_env_get_fd(live->env, &fd);
    }
    if (code == 0 && fdatasync(fd) != 0) { /* what a commit was made of comes before it */
        code = errno;
    }
    for (unsigned i = 0; code == 0 && i < 2; i++) {
        uint8_t meta[META_SIZE];
        off_t at = (off_t)i * stat.ms_psize;
        errno = EIO; /* of a read or write that was cut short */
        if (pread(fd, meta, sizeof(meta), at) != sizeof(meta) ||
            pwrite(fd, meta, sizeof(meta), at) != sizeof(meta) || fdatasync(fd) != 0) {
            code = errno;
        }
    }
    return code == 0 ? xt_live_note_commit(live) : code;
}
