/* net/client_command: `xacthuc verify`, the client for single answers and whole lists. */
#ifndef XT_NET_CLIENT_COMMAND_H
#define XT_NET_CLIENT_COMMAND_H

int xt_command_verify(int argc, char **argv);

#endif
