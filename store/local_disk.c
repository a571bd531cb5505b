#include "store/local_disk.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/vfs.h>

/* Numbers of statfs(2) and of linux/magic.h. */
static const struct {
    uint32_t type;
    const char *name;
    enum xt_disk_use refused_for; /* and for all that asks for more */
} file_systems[] = {
    {0x6969, "NFS", XT_DISK_READ_MAPS},        {0x517b, "SMB", XT_DISK_READ_MAPS},
    {0xfe534d42, "SMB", XT_DISK_READ_MAPS},    {0xff534d42, "CIFS", XT_DISK_READ_MAPS},
    {0x5346414f, "AFS", XT_DISK_READ_MAPS},    {0x00c36400, "Ceph", XT_DISK_READ_MAPS},
    {0x0bd00bd0, "Lustre", XT_DISK_READ_MAPS}, {0x01161970, "GFS2", XT_DISK_READ_MAPS},
    {0x7461636f, "OCFS2", XT_DISK_READ_MAPS},  {0x65735546, "FUSE", XT_DISK_SHARED_MAPS},
    {0x01021997, "9P", XT_DISK_SHARED_MAPS},
};

const char *xt_disk_refused(uint32_t type, enum xt_disk_use use)
{
    for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
        if (file_systems[i].type == type && file_systems[i].refused_for <= use) {
            return file_systems[i].name;
        }
    }
    return NULL;
}

enum xt_status xt_disk_check(const char *folder, enum xt_disk_use use, struct xt_failure *failure)
{
    struct statfs facts;
    if (statfs(folder, &facts) != 0) {
        return xt_fail(failure, errno == ENOENT ? XT_NOT_FOUND : XT_IO, "cannot look at %s: %s",
                       folder, strerror(errno));
    }
    const char *name = xt_disk_refused((uint32_t)facts.f_type, use);
    return name == NULL ? XT_OK
                        : xt_fail(failure, XT_UNSUPPORTED,
                                  "%s is on %s, where memory maps are not safe: put the deployment "
                                  "on a local disk",
                                  folder, name);
}
