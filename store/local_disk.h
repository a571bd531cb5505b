/* store/local_disk: whether a folder is on a disk of this machine. Private to store/. */
#ifndef XT_STORE_LOCAL_DISK_H
#define XT_STORE_LOCAL_DISK_H

#include <stdint.h>

#include "core/status.h"

enum xt_disk_use {
    XT_DISK_READ_MAPS, /* sealed files, mapped to be read: FUSE and 9P will do, they also carry local
                         * disks into containers */
    XT_DISK_SHARED_MAPS /* memory that processes share, locks, and what was synced is on the disk */
};

/* The name of a file system, by the type that statfs(2) gives, that will not do; NULL: it will. */
const char *xt_disk_refused(uint32_t type, enum xt_disk_use use);

/* XT_UNSUPPORTED: it is on a file system that will not do. XT_NOT_FOUND: there is no such folder. XT_IO. */
XT_MUST_USE enum xt_status xt_disk_check(const char *folder, enum xt_disk_use use,
                                         struct xt_failure *failure);

#endif
