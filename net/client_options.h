/* net/client_options: the command line of `xacthuc verify`. */
#ifndef XT_NET_CLIENT_OPTIONS_H
#define XT_NET_CLIENT_OPTIONS_H

#include "net/question.h"

#define XT_CLIENT_CONNECTIONS_MAX 64

struct xt_client_options {
    const char *server, *certificate, *key, *authority;
    const char *file;        /* a list; "-": one request from standard input; NULL: by options */
    const char *out;         /* NULL: beside the list */
    const char *map;         /* "so_dien_thoai=phone,..." */
    const char *date_format; /* NULL: YYYY-MM-DD */
    const char *format;      /* NULL: by the list's name */
    uint64_t connections;
    bool json, quiet, stop_at_quota;
    char *values[XT_ASK_COUNT]; /* private: what of question is not in argv any more */
    struct xt_question
        question; /* of one claim; for a list, what every line has unless it says so */
};

/* In any case: give it back with xt_client_options_release, which wipes it. -1: *options is filled in, and what of argv names a person is overwritten; else the exit status. */
int xt_client_options_parse(int argc, char **argv, struct xt_client_options *options);
void xt_client_options_release(struct xt_client_options *options);

#endif
