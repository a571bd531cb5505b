#include "store/live_copy.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>

#include "store/live_fold.h"
#include "store/live_internal.h"

enum xt_status xt_live_copy(struct xt_live *live, const char *path, struct xt_failure *failure)
{
    xt_live_rest(live);
    int code = mdb_env_copy2(live->env, path, MDB_CP_COMPACT);
    if (code == MDB_MAP_RESIZED) { /* the writer has made it larger since it was opened */
        code = mdb_env_set_mapsize(live->env, 0);
        code = code == 0 ? mdb_env_copy2(live->env, path, MDB_CP_COMPACT) : code;
    }
    return code == 0 ? XT_OK : xt_live_failed(failure, "copy the live store", code);
}

/* ---- a look ----------------------------------------------------------------------------------- */

static int open_copy(struct xt_live *live, const char *path)
{
    static const char *const names[XT_LIVE_TABLES] = {
        "header", "state", "log", "people", "touched", "statistics", "due", "nonces"};
    int code = mdb_env_create(&live->env);
    if (code == 0) {
        code = mdb_env_set_maxdbs(live->env, XT_LIVE_TABLES);
    }
    if (code == 0) {
        code =
            mdb_env_open(live->env, path,
                         MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_RDONLY | MDB_NOLOCK, 0600);
    }
    if (code == 0) {
        code = mdb_txn_begin(live->env, NULL, MDB_RDONLY, &live->txn);
    }
    for (unsigned i = 0; code == 0 && i < XT_LIVE_PEOPLE; i++) {
        code = mdb_dbi_open(live->txn, names[i], 0, &live->tables[i]);
    }
    /* An older store lacks those that came later, from one of them on. */
    unsigned later = XT_LIVE_PEOPLE;
    while (code == 0 && later < XT_LIVE_TABLES) {
        code = mdb_dbi_open(live->txn, names[later], 0, &live->tables[later]);
        later += code == 0;
    }
    live->has_overlay = later > XT_LIVE_TOUCHED;
    live->has_statistics = later > XT_LIVE_STATISTICS;
    live->has_due = later > XT_LIVE_DUE;
    live->has_nonces = later > XT_LIVE_NONCES;
    code = code == MDB_NOTFOUND && later != XT_LIVE_TOUCHED ? 0 : code;
    live->active = code == 0;
    return code;
}

struct lines {
    uint64_t count, last;
};

static enum xt_status count_line(void *context, uint64_t sequence, const struct xt_live_line *line)
{
    struct lines *lines = context;
    (void)line;
    lines->count++;
    lines->last = sequence;
    return XT_OK;
}

static enum xt_status look(struct xt_live *live, struct xt_live_facts *facts)
{
    uint8_t digest[XT_GENERATION_DIGEST];
    struct lines lines = {.count = 0};
    facts->sequence = xt_live_sequence(live);
    enum xt_status status = xt_live_records_check(live, facts->sequence, &facts->records);
    if (status == XT_OK) {
        status = xt_live_log_each(live, count_line, &lines);
    }
    if (status == XT_OK) {
        status = xt_live_generation(live, &facts->generation, digest);
        status = status == XT_NOT_FOUND ? XT_OK : status;
    }
    facts->window = lines.count;
    return status == XT_OK && lines.count > 0 && lines.last != facts->sequence ? XT_CORRUPT
                                                                               : status;
}

static enum xt_status look_below(struct xt_live *live, const struct xt_manifest *over,
                                 struct xt_failure *failure)
{
    xt_live_make_identity(live);
    enum xt_status status = xt_live_may_lie_over(live, over, false, failure);
    return status == XT_DENIED ? XT_INVALID : status;
}

enum xt_status xt_live_inspect(const char *path, const struct xt_keyring *keyring,
                               const struct xt_manifest *over, struct xt_live_facts *facts,
                               struct xt_failure *failure)
{
    struct xt_live *live = calloc(1, sizeof(*live));
    if (live == NULL) {
        return xt_fail(failure, XT_NO_MEMORY, "cannot open the live store: out of memory");
    }
    *facts = (struct xt_live_facts){.sequence = 0};
    int code = open_copy(live, path);
    enum xt_status status = code == 0 ? xt_live_read_header(live, keyring, failure)
                                      : xt_live_failed(failure, "open the live store", code);
    if (status == XT_OK && (status = look(live, facts)) != XT_OK) {
        status = xt_fail(failure, status, "the live store %s does not add up: %s", path,
                         xt_status_name(status));
    }
    if (status == XT_OK && over != NULL) {
        status = look_below(live, over, failure);
    }
    if (live->txn != NULL) {
        mdb_txn_abort(live->txn);
    }
    if (live->env != NULL) {
        mdb_env_close(live->env); /* it has no lock file, and so nothing that others use */
    }
    xt_live_sealer_close(live->sealer);
    free(live);
    return status;
}
