/* net/serve: `xacthuc serve DIR` answers until it is told to stop. */
#ifndef XT_NET_SERVE_H
#define XT_NET_SERVE_H

int xt_command_serve(int argc, char **argv);

/* The processes that it starts (net/worker, net/writer). Not for operators. */
int xt_command_serve_worker(int argc, char **argv);
int xt_command_serve_writer(int argc, char **argv);

#endif
