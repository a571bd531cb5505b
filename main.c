/* The front door: a table of commands, nothing else. */
#include <stdio.h>
#include <string.h>

#include "core/command.h"
#include "crypto/init.h"
#include "crypto/keyring.h"
#include "crypto/memory.h"
#include "net/client_command.h"
#include "net/serve.h"
#include "store/commands.h"

static const struct xt_command commands[] = {
    {"init", "make a deployment: keys, a private authority, the configuration", xt_command_init},
    {"import", "build a new sealed generation from NDJSON or CSV and switch to it",
     xt_command_import},
    {"compact", "fold the changes since the import into a new sealed generation",
     xt_command_compact},
    {"partner", "register and list partners, issue their certificates", xt_command_partner},
    {"serve", "answer verify requests", xt_command_serve},
    {"verify", "ask a server, about one person or a whole list", xt_command_verify},
    {"check", "verify every byte of the served generation", xt_command_check},
    {"audit", "verify, search, export and expire the audit log", xt_command_audit},
    {"keys", "list keys and what needs them, make new ones, take old ones out", xt_command_keys},
    {"token", "tell what an access token says and whether it is ours", xt_command_token},
    {"backup", "copy a deployment that belongs together, also while it serves", xt_command_backup},
    {"restore", "make a deployment of a backup, checked from end to end", xt_command_restore},
    {"stats", "counts and sizes of the served generation", xt_command_stats},
    /* Without a summary: started by serve, not by people. */
    {"serve-worker", NULL, xt_command_serve_worker},
    {"serve-writer", NULL, xt_command_serve_writer},
};

static void help(FILE *out)
{
    fputs("usage: xacthuc COMMAND [ARGUMENTS]\n\n", out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (commands[i].summary != NULL) {
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
        }
    }
    fputs("\nxacthuc COMMAND --help tells more of each.\n", out);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return XT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        return XT_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("xacthuc " XT_VERSION);
        return XT_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            xt_process_hide_memory(); /* most of them read keys */
            xt_crypto_start();
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "xacthuc: there is no command '%s'; see xacthuc --help\n", argv[1]);
    return XT_EXIT_USAGE;
}
