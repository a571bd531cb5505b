/* net/supervisor_material: what the service serves by, as the supervisor read it from DIR: settings,
 * certificates and the partners; checked as a whole before a worker hears of it.
 *
 * Memory: the TLS key's text is wiped when the material is freed.
 */
#ifndef XT_NET_SUPERVISOR_MATERIAL_H
#define XT_NET_SUPERVISOR_MATERIAL_H

#include "core/settings.h"
#include "crypto/file.h"
#include "crypto/tls.h"
#include "net/shared.h"

/* What the command line says instead of the configuration; NULL: nothing. */
struct xt_overrides {
    const char *listen, *admin, *workers;
};

/* DIR/xacthuc.conf and the command line. */
XT_MUST_USE enum xt_status xt_material_settings(const char *dir,
                                                const struct xt_overrides *overrides,
                                                struct xt_settings *settings,
                                                struct xt_failure *failure);

/* The server's certificate and key, the clients' authority and its revocation lists. */
struct xt_identity_files {
    struct xt_tls_server_material tls; /* owned */
    int64_t revocations_until;         /* Unix seconds; INT64_MAX: there are no lists */
    char certificate[XT_PATH_MAX], key[XT_PATH_MAX], authority[XT_PATH_MAX],
        revocations[XT_PATH_MAX]; /* paths; revocations "": none */
};

/* Reads them and makes a context of them as a worker would, so that what does not fit together is
 * refused here. The caller frees it with xt_material_release_identity; on failure there is nothing. */
XT_MUST_USE enum xt_status xt_material_identity(const char *dir, const struct xt_settings *settings,
                                                struct xt_identity_files **identity,
                                                struct xt_failure *failure);
void xt_material_release_identity(struct xt_identity_files *identity);

/* The text of the keys that sign answers ("signing.key") or tokens ("token.key"), in locked memory; to be
 * given back with xt_file_release_secret. A deployment may lack them: NULL, and the log says so. */
XT_MUST_USE enum xt_status xt_material_signing(const char *dir, const char *file, uint8_t **text,
                                               size_t *size, struct xt_failure *failure);

/* At the start: makes token.key in a deployment of before there were tokens. Where it cannot be made the log
 * says why, and no tokens are given. */
void xt_material_make_token_keys(const char *dir);

/* Loads the partners beside `previous` (may be NULL) and logs what it refused. live: who held which
 * certificate on record; NULL: nobody. */
XT_MUST_USE enum xt_status xt_material_partners(const char *dir, const struct xt_partners *previous,
                                                const struct xt_live *live,
                                                struct xt_partners **partners,
                                                struct xt_failure *failure);

/* One sealed snapshot of all that; gives the partners their cells. */
XT_MUST_USE enum xt_status xt_material_snapshot(const struct xt_identity_files *identity,
                                                const struct xt_partners *partners,
                                                struct xt_shared *shared, uint64_t now_ms, int *fd,
                                                struct xt_failure *failure);

#endif
