/* net/config: DIR/xacthuc.conf (INI) into settings. */
#ifndef XT_NET_CONFIG_H
#define XT_NET_CONFIG_H

#include "core/settings.h"

/* Starts from the defaults; a missing file is those. XT_INVALID: failure names file, line, setting. */
XT_MUST_USE enum xt_status xt_config_read(const char *dir, struct xt_settings *settings,
                                          struct xt_failure *failure);

#endif
