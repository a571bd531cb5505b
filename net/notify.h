/* net/notify: tells the service manager how the service is doing (sd_notify(3)), over the datagram
 * socket that $NOTIFY_SOCKET names: a path, or an abstract name that begins with '@'.
 *
 * Nothing is lost where there is no manager: every call is then a quiet nothing. Never waits.
 */
#ifndef XT_NET_NOTIFY_H
#define XT_NET_NOTIFY_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct xt_notify {
    int socket; /* -1: nobody to tell */
    struct sockaddr_un address;
    socklen_t size;
    unsigned watchdog_ms; /* how often the manager wants to hear from us at least; 0: not at all */
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID and takes them out of the environment, so that
 * children do not speak for us. heir: we took over from the process that the manager started, so the
 * watchdog's process number is that one's. */
void xt_notify_open(struct xt_notify *notify, bool heir);
void xt_notify_close(struct xt_notify *notify);

/* Puts the variables into the environment for the program that takes over, and takes them out again. */
void xt_notify_pass_on(const struct xt_notify *notify);
void xt_notify_take_back(void);

/* The state as text. STATUS: one line for `systemctl status`. */
void xt_notify_ready(const struct xt_notify *notify, const char *text);
void xt_notify_reloading(const struct xt_notify *notify);
void xt_notify_stopping(const struct xt_notify *notify);
void xt_notify_text(const struct xt_notify *notify, const char *text);
void xt_notify_alive(const struct xt_notify *notify);
/* From now on the service is that process. */
void xt_notify_main_process(const struct xt_notify *notify, pid_t pid);

#endif
