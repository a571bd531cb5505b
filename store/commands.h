/* store/commands: what main.c lists of this folder. */
#ifndef XT_STORE_COMMANDS_H
#define XT_STORE_COMMANDS_H

int xt_command_import(int argc, char **argv);
int xt_command_compact(int argc, char **argv);
int xt_command_check(int argc, char **argv);
int xt_command_stats(int argc, char **argv);
int xt_command_partner(int argc, char **argv);
int xt_command_keys(int argc, char **argv);
int xt_command_token(int argc, char **argv);
int xt_command_audit(int argc, char **argv);
int xt_command_backup(int argc, char **argv);
int xt_command_restore(int argc, char **argv);

#endif
