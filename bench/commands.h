/* bench/commands: what xacthuc-bench can be told to do; main.c lists them. */
#ifndef XT_BENCH_COMMANDS_H
#define XT_BENCH_COMMANDS_H

int xt_bench_gen(int argc, char **argv);
int xt_bench_load(int argc, char **argv);
int xt_bench_batch(int argc, char **argv);
int xt_bench_auth(int argc, char **argv);
int xt_bench_events(int argc, char **argv);
int xt_bench_micro(int argc, char **argv);
int xt_bench_timing(int argc, char **argv);
int xt_bench_peers(int argc, char **argv);
int xt_bench_report(int argc, char **argv);
int xt_bench_compare(int argc, char **argv);
int xt_bench_standard(int argc, char **argv);

#endif
