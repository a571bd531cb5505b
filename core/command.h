/* core/command: one entry of the front door's table (main.c). Commands live with what they operate. */
#ifndef XT_CORE_COMMAND_H
#define XT_CORE_COMMAND_H

#define XT_EXIT_OK 0     /* fine */
#define XT_EXIT_FAILED 1 /* the work failed */
#define XT_EXIT_USAGE 2  /* wrong usage */

struct xt_command {
    const char *name;
    const char *summary;               /* one line for the list in --help; NULL: not listed */
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

#endif
