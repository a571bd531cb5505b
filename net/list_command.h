/* net/list_command: `xacthuc verify LIST`, from the list to its results, flags and table. */
#ifndef XT_NET_LIST_COMMAND_H
#define XT_NET_LIST_COMMAND_H

#include "net/client.h"
#include "net/client_options.h"

/* Gives the exit status. */
int xt_list_command(const struct xt_client_options *options, const struct xt_client_server *server,
                    struct xt_tls_context *context);

#endif
